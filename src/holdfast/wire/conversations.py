"""Conversations that clients know by a name alone: `previous_response_id`, `conversation`.

Where the provider keeps them it is asked by the name, as it came. A target that does not know it
(a stand-in, an engine without a memory) is told all that was said; so what is asked and answered
here is kept, where the client does not forbid it, bounded and forgetful. Each answer is kept with
the name of the one before it, so nothing is kept twice. Time comes in as an argument.

A name is good for the credential that it was given to (`owner`, a mark of it) and for no other:
behind a gateway's one key the provider itself could not tell them apart.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Container

import msgspec
from msgspec import Raw, Struct

from holdfast.wire.speech import UNREADABLE

KEPT_MAX = 10_000
KEPT_BYTES_MAX = 64 << 20
KEPT_S = 6 * 3600.0
_encode = msgspec.json.encode
_MARKS = (b'"previous_response_id"', b'"conversation"', b'"item_reference"')
_ESCAPED = b"\\u00"  # a mark may be written with escapes
Key = tuple[str, str]  # the owner, and the name


class _Named(Struct):
    id: str = ""


class _Asked(Struct):
    """What of a request tells where it belongs."""

    input: Raw = Raw()
    previous_response_id: str | None = None
    conversation: str | _Named | None = None
    store: bool | None = None


class _Item(Struct):
    type: str = ""
    id: str | None = None


class _Answered(Struct):
    id: str = ""
    output: list[Raw] = []
    store: object = None


_decode_asked = msgspec.json.Decoder(_Asked).decode
_decode_answered = msgspec.json.Decoder(_Answered).decode
_decode_item = msgspec.json.Decoder(_Item).decode
_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_list = msgspec.json.Decoder(list[Raw]).decode


class _Kept(Struct, frozen=True):
    """One question with its answer, behind those of `parent` (None for the first).

    `by` answered; `holder` is the provider that has it too, "" where none has. `whole` is the
    object that its name stands for.
    """

    parent: Key | None
    items: tuple[Raw, ...]
    names: tuple[str, ...]  # of items that may be referred to
    whole: bytes
    by: str
    holder: str
    until: float

    @property
    def size(self) -> int:
        """Bytes, roughly."""
        return 500 + len(self.whole) + sum(len(bytes(item)) for item in self.items)


class Conversations:
    """What was said, by the names of answers, of conversations and of items."""

    __slots__ = ("_bytes", "_items", "_kept", "_last", "_names")

    def __init__(self) -> None:
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._items: dict[Key, tuple[Key, Raw]] = {}  # whose answer's, and the item
        self._last: OrderedDict[Key, Key] = OrderedDict()  # the last answer of a conversation
        self._names: Counter[str] = Counter()  # of all three, for how many owners each
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def keep(
        self, asked: bytes, answer: bytes, by: str, at: float, *, native: bool, owner: str = ""
    ) -> None:
        """This answer, the object of a response, was given to this request. Never raises.

        `native`: the provider named it, so that it may know it, too.
        """
        try:
            question, found = _decode_asked(asked), _decode_answered(answer)
            said = question.input
            items = (*_items_of(said), *found.output)
            named = [(_decode_item(item).id or "", item) for item in found.output]
        except UNREADABLE:
            return
        parent = self._parent(question, owner)
        if not found.id or question.store is False or (parent and parent not in self._kept):
            return
        holder = by if native and found.store is True else ""
        # Copies: what came in is a view of the whole body.
        kept = tuple(Raw(bytes(item)) for item in items)
        names = tuple(name for name, _ in named if name)
        key = (owner, found.id)
        self._put(key, _Kept(parent, kept, names, answer, by, holder, at + KEPT_S))
        for (name, _), item in zip(named, kept[len(kept) - len(named) :], strict=True):
            if name:
                self._count(self._items, (owner, name))
                self._items[owner, name] = (key, item)
        conversation = _name(question)
        if conversation:
            self._go_on((owner, conversation), key)
        self._bound()

    def begin(
        self, name: str, items: list[Raw], whole: bytes, at: float, *, owner: str = ""
    ) -> None:
        """A conversation that nobody else keeps; `whole` is its object."""
        kept = tuple(Raw(bytes(item)) for item in items)
        self._put((owner, name), _Kept(None, kept, (), whole, "", "", at + KEPT_S))
        self._go_on((owner, name), (owner, name))
        self._bound()

    def whole(self, name: str, at: float, *, owner: str = "") -> bytes:
        """The object of this name; b"" where it is not known, or where its provider has it."""
        found = self._kept.get((owner, name))
        return found.whole if found is not None and not found.holder and at <= found.until else b""

    def forget(self, name: str, *, owner: str = "") -> None:
        """Nothing of this name is known any more."""
        self._end((owner, name))
        self._drop((owner, name))

    def anothers(self, name: str, *, owner: str = "") -> bool:
        """Whether this name was given to somebody else, and not to this owner."""
        if name not in self._names:
            return False
        key = (owner, name)
        return not (key in self._kept or key in self._last or key in self._items)

    def unknown(self, body: bytes, at: float, *, owner: str = "", keeper: bool) -> Key | None:
        """The field and the name by which a request goes on from what nobody knows. Never raises.

        That is what was given to another owner; and, without a `keeper` (a target that may keep
        answers of its own), what is not known here.
        """
        if (keeper and not self._names) or not any(mark in body for mark in (*_MARKS, _ESCAPED)):
            return None
        try:
            question = _decode_asked(body)
            items = [_decode_item(item) for item in _items_of(question.input)]
        except UNREADABLE:
            return None
        for field, name in (
            ("previous_response_id", question.previous_response_id or ""),
            ("conversation", _name(question)),
        ):
            here = keeper or not name or self._chain(self._parent(question, owner), at)
            if not here or self.anothers(name, owner=owner):
                return field, name
        for item in items:
            if item.type == "item_reference" and self.anothers(item.id or "", owner=owner):
                return "input", item.id or ""
        return None

    def _put(self, key: Key, kept: _Kept) -> None:
        self._drop(key)
        self._count(self._kept, key)
        self._kept[key] = kept
        self._bytes += kept.size

    def _go_on(self, key: Key, last: Key) -> None:
        self._count(self._last, key)
        self._last[key] = last
        self._last.move_to_end(key)

    def _end(self, key: Key) -> None:
        if self._last.pop(key, None) is not None:
            self._uncount(key)

    def _count(self, known: Container[Key], key: Key) -> None:
        if key not in known:
            self._names[key[1]] += 1

    def _uncount(self, key: Key) -> None:
        self._names[key[1]] -= 1
        if not self._names[key[1]]:
            del self._names[key[1]]

    def _bound(self) -> None:
        while len(self._kept) > KEPT_MAX or self._bytes > KEPT_BYTES_MAX:
            self._drop(next(iter(self._kept)))
        while len(self._last) > KEPT_MAX:
            self._end(next(iter(self._last)))

    def _drop(self, key: Key) -> None:
        found = self._kept.pop(key, None)
        if found is None:
            return
        self._uncount(key)
        self._bytes -= found.size
        for name in found.names:
            item = (key[0], name)
            if item in self._items and self._items[item][0] == key:
                del self._items[item]
                self._uncount(item)

    def _parent(self, question: _Asked, owner: str) -> Key | None:
        if question.previous_response_id:
            return owner, question.previous_response_id
        return self._last.get((owner, _name(question)))

    def told(self, body: bytes, provider: str, at: float, *, owner: str = "") -> bytes:
        """The request as this provider needs it: with all that was said before where it does not
        know it. As it came where it does, and where nobody here knows. Never raises.
        """
        if not any(mark in body for mark in _MARKS):
            return body
        try:
            question, fields = _decode_asked(body), _fields(body)
            items = _items_of(question.input)
        except UNREADABLE:
            return body
        resolved = [self._resolved(item, provider, at, owner) for item in items]
        chain = self._chain(self._parent(question, owner), at)
        if chain and chain[-1].holder != provider:
            fields = {name: fields[name] for name in fields if name not in _NAMES}
            resolved = [item for kept in chain for item in _for(kept, provider)] + resolved
        elif resolved == items:
            return body
        return _encode({**fields, "input": resolved})

    def _chain(self, key: Key | None, at: float) -> list[_Kept]:
        """All that was said up to this answer, oldest first; nothing where a part is not known."""
        keys: list[Key] = []
        while key is not None:
            found = self._kept.get(key)
            if found is None or at > found.until or key in keys:
                return []
            keys.append(key)
            key = found.parent
        for known in reversed(keys):
            self._kept.move_to_end(known)
        return [self._kept[known] for known in reversed(keys)]

    def _resolved(self, item: Raw, provider: str, at: float, owner: str) -> Raw:
        """The item that is only referred to."""
        if b'"item_reference"' not in bytes(item):
            return item
        found = _decode_item(item)
        known = self._items.get((owner, found.id or ""))
        if found.type != "item_reference" or known is None:
            return item
        answer, whole = known
        kept = self._kept.get(answer)
        if kept is None:
            return item
        return item if kept.holder == provider or at > kept.until else whole


_NAMES = ("previous_response_id", "conversation", "input")


def _name(question: _Asked) -> str:
    named = question.conversation
    return named.id if isinstance(named, _Named) else named or ""


def _items_of(said: Raw) -> list[Raw]:
    """The items of an input. Raises one of UNREADABLE."""
    value = bytes(said)
    if value in (b"", b"null"):
        return []
    if value.startswith(b'"'):
        return [Raw(b'{"role":"user","content":' + value + b"}")]
    return _list(said)


def _for(kept: _Kept, provider: str) -> list[Raw]:
    """What was said, without thoughts that somebody else sealed."""
    if kept.by == provider:
        return list(kept.items)
    return [item for item in kept.items if not _is_sealed(item)]


def _is_sealed(item: Raw) -> bool:
    try:
        return _decode_item(item).type == "reasoning"
    except UNREADABLE:
        return False
