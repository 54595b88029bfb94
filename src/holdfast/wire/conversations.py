"""Conversations that clients know by a name alone: `previous_response_id`, `conversation`.

Where the provider keeps them it is asked by the name, as it came. A target that does not know it
(a stand-in, an engine without a memory) is told all that was said; so what is asked and answered
here is kept, where the client does not forbid it, bounded and forgetful. Each answer is kept with
the name of the one before it, so nothing is kept twice. Time comes in as an argument.
"""

from __future__ import annotations

from collections import OrderedDict

import msgspec
from msgspec import Raw, Struct

from holdfast.wire.speech import UNREADABLE

KEPT_MAX = 10_000
KEPT_BYTES_MAX = 64 << 20
KEPT_S = 6 * 3600.0
_encode = msgspec.json.encode
_MARKS = (b'"previous_response_id"', b'"conversation"', b'"item_reference"')


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
    """One question with its answer, behind those of `parent` ("" for the first).

    `by` answered; `holder` is the provider that has it too, "" where none has. `whole` is the
    object that its name stands for.
    """

    parent: str
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

    __slots__ = ("_bytes", "_items", "_kept", "_last")

    def __init__(self) -> None:
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._items: dict[str, tuple[str, Raw]] = {}  # by name: whose answer's, and the item
        self._last: OrderedDict[str, str] = OrderedDict()  # the last answer of a conversation
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, asked: bytes, answer: bytes, by: str, at: float, *, native: bool) -> None:
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
        parent = self._parent(question)
        if not found.id or question.store is False or (parent and parent not in self._kept):
            return
        holder = by if native and found.store is True else ""
        # Copies: what came in is a view of the whole body.
        kept = tuple(Raw(bytes(item)) for item in items)
        names = tuple(name for name, _ in named if name)
        self._put(found.id, _Kept(parent, kept, names, answer, by, holder, at + KEPT_S))
        for (name, _), item in zip(named, kept[len(kept) - len(named) :], strict=True):
            if name:
                self._items[name] = (found.id, item)
        conversation = _name(question)
        if conversation:
            self._last[conversation] = found.id
            self._last.move_to_end(conversation)
        self._bound()

    def begin(self, name: str, items: list[Raw], whole: bytes, at: float) -> None:
        """A conversation that nobody else keeps; `whole` is its object."""
        kept = tuple(Raw(bytes(item)) for item in items)
        self._put(name, _Kept("", kept, (), whole, "", "", at + KEPT_S))
        self._last[name] = name
        self._bound()

    def whole(self, name: str, at: float) -> bytes:
        """The object of this name; b"" where it is not known, or where its provider has it."""
        found = self._kept.get(name)
        return found.whole if found is not None and not found.holder and at <= found.until else b""

    def forget(self, name: str) -> None:
        """Nothing of this name is known any more."""
        self._last.pop(name, None)
        self._drop(name)

    def _put(self, name: str, kept: _Kept) -> None:
        self._drop(name)
        self._kept[name] = kept
        self._bytes += kept.size

    def _bound(self) -> None:
        while len(self._kept) > KEPT_MAX or self._bytes > KEPT_BYTES_MAX:
            self._drop(next(iter(self._kept)))
        while len(self._last) > KEPT_MAX:
            self._last.popitem(last=False)

    def _drop(self, name: str) -> None:
        found = self._kept.pop(name, None)
        if found is None:
            return
        self._bytes -= found.size
        for item in found.names:
            if self._items.get(item, ("",))[0] == name:
                del self._items[item]

    def _parent(self, question: _Asked) -> str:
        return question.previous_response_id or self._last.get(_name(question), "")

    def told(self, body: bytes, provider: str, at: float) -> bytes:
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
        resolved = [self._resolved(item, provider, at) for item in items]
        chain = self._chain(self._parent(question), at)
        if chain and chain[-1].holder != provider:
            fields = {name: fields[name] for name in fields if name not in _NAMES}
            resolved = [item for kept in chain for item in _for(kept, provider)] + resolved
        elif resolved == items:
            return body
        return _encode({**fields, "input": resolved})

    def _chain(self, name: str, at: float) -> list[_Kept]:
        """All that was said up to this answer, oldest first; nothing where a part is not known."""
        names: list[str] = []
        while name:
            found = self._kept.get(name)
            if found is None or at > found.until or name in names:
                return []
            names.append(name)
            name = found.parent
        for known in reversed(names):
            self._kept.move_to_end(known)
        return [self._kept[known] for known in reversed(names)]

    def _resolved(self, item: Raw, provider: str, at: float) -> Raw:
        """The item that is only referred to."""
        if b'"item_reference"' not in bytes(item):
            return item
        found = _decode_item(item)
        owner, whole = self._items.get(found.id or "", ("", item))
        kept = self._kept.get(owner)
        if found.type != "item_reference" or kept is None:
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
