"""Makes a stream of the neutral grammar out of what an upstream sends, whatever it sends.

Engines open no answer, mix the deltas of several tool calls, send a call under an index that is
taken, leave blocks open, say nothing at length, go on behind their end. Readers pass all of that
on as it came; here it is put in order, once for all dialects.

A tool call is let go when it is whole: at its end where the dialect marks it, else at the end of
the answer. Half a call never leaves; a call whose arguments are no JSON is a fault.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import msgspec
from msgspec import Raw

from holdfast.facts.outcomes import Failure
from holdfast.wire.deltas import (
    GRAMMAR,
    BlockEnded,
    Delta,
    Fault,
    Odds,
    Of,
    Opened,
    Ping,
    RefusalDelta,
    State,
    Stopped,
    TextDelta,
    ThinkingDelta,
    ToolArgsDelta,
    ToolCallBegun,
    UsageSeen,
)
from holdfast.wire.odds import listed
from holdfast.wire.speech import (
    UNREADABLE,
    Answer,
    CannotCrossError,
    Choice,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)

HELD_BYTES_MAX = 16 << 20
_object = msgspec.json.Decoder(dict[str, Raw]).decode


class Call:
    """A call that is on its way: what is known of it."""

    __slots__ = ("id", "name", "parts")

    def __init__(self, id_: str, name: str) -> None:
        self.id = id_
        self.name = name
        self.parts: list[str] = []

    def goes_on(self, delta: ToolCallBegun) -> bool:
        """Whether this is more of it, and not the next one under the same index."""
        if self.id and delta.id:
            return delta.id == self.id  # said with every piece of it
        if delta.name not in ("", self.name) and self.name:
            return False
        # Without ids: whoever names a tool again behind whole arguments means another call.
        return not (delta.name and self.parts and _is_object("".join(self.parts)))

    @property
    def whole(self) -> bool:
        """Whether its arguments are all there."""
        json = "".join(self.parts)
        return not json.strip() or _is_object(json)


class Mender:
    """Takes an upstream's deltas, gives those of the grammar. `model` is said where none is;
    `tool` gives the client's own name of a tool for the upstream's.
    """

    __slots__ = (
        "_block",
        "_calls",
        "_id",
        "_index",
        "_model",
        "_refused",
        "_said_call",
        "_state",
        "_tool",
        "held",
    )

    def __init__(self, model: str, tool: Callable[[str], str] = str) -> None:
        self._model = model
        self._tool = tool
        self._id = ""
        self._state: State = "start"
        self._block: tuple[type, int] | None = None  # what is open: its kind, the upstream's index
        self._index = -1  # of the block that is open, or was last
        self._calls: dict[int, Call] = {}
        self._said_call = False
        self._refused = False
        self.held = 0  # bytes of calls that were held back and not yet let go

    def another(self, number: int) -> Mender:
        """The mender of another answer in the same stream, which is open by then."""
        other = Mender(self._model, self._tool)
        other._id, other._state = f"{self._id}\0{number}", "between"
        return other

    def mend(self, delta: Delta) -> list[Delta]:
        """What this delta makes certain; often itself. After Stopped or Fault feed no more."""
        kind = type(delta)
        if self._block == (kind, getattr(delta, "index", 0)):  # nearly all of them
            return self._more(delta)
        return _STEPS[kind](self, delta)

    def goes_on(self, delta: TextDelta) -> TextDelta | None:
        """These words, where they go on in the block that is open and are all that is to be said;
        None where they are to be mended.
        """
        block = self._block
        if block is None or block[0] is not TextDelta or block[1] != delta.index or not delta.text:
            return None
        index = self._index
        return delta if delta.index == index else TextDelta(index, delta.text)

    def _more(self, delta: Delta) -> list[Delta]:
        index = self._index
        if isinstance(delta, TextDelta):
            if not delta.text:
                return []
            return [delta if delta.index == index else TextDelta(index, delta.text)]
        if isinstance(delta, RefusalDelta):
            return [RefusalDelta(index, delta.text)] if delta.text else []
        assert isinstance(delta, ThinkingDelta)  # noqa: S101 - the kinds of blocks that are open
        if delta.announces:
            return []
        return [msgspec.structs.replace(delta, index=index)]

    def _opened(self, delta: Opened) -> list[Delta]:
        if self._state != "start":
            return []
        self._id, self._state = delta.id, "between"
        return [delta if delta.model else Opened(delta.id, self._model)]

    def _before(self, kind: type) -> list[Delta]:
        """What the grammar wants before this kind of delta, as a block of its own or the end."""
        found: list[Delta] = []
        # The same kind goes on in the block that is open: behind its end it begins another.
        due = () if self._block is None else (BlockEnded,)
        for step in due or GRAMMAR.way(self._state, kind) or ():
            found += self._opened(Opened()) if step is Opened else self._end()
        return found

    def _end(self) -> list[Delta]:
        if self._block is None:
            return []
        self._block, self._state = None, "between"
        return [BlockEnded(self._index)]

    def _words(self, delta: TextDelta | RefusalDelta | ThinkingDelta) -> list[Delta]:
        said = self._more(delta)
        if not said:
            return []
        kind = type(delta)
        before = self._before(kind)
        self._index += 1
        self._block, self._state = (kind, delta.index), GRAMMAR.rows["between"][kind]
        self._refused = self._refused or kind is RefusalDelta
        return before + self._more(delta)

    def _begun(self, delta: ToolCallBegun) -> list[Delta]:
        known = self._calls.get(delta.index)
        if known is not None and known.goes_on(delta):
            known.id, known.name = known.id or delta.id, known.name or delta.name
            return []
        # Some engines give every call the same index: the one before is whole.
        before = self._let_go(delta.index) if known is not None else []
        if before and isinstance(before[-1], Fault):
            return before
        self._calls[delta.index] = Call(delta.id, delta.name)
        self.held += 1
        return self._before(ToolCallBegun) + before if self._state == "start" else before

    def _args(self, delta: ToolArgsDelta) -> list[Delta]:
        known = self._calls.get(delta.index)
        if known is None:
            return _fault("the arguments of a tool call that was not begun") if delta.json else []
        known.parts.append(delta.json)
        self.held += len(delta.json)
        if self.held > HELD_BYTES_MAX:
            return _fault(f"tool calls of more than {HELD_BYTES_MAX >> 20} MB")
        return []

    def _ended(self, delta: BlockEnded) -> list[Delta]:
        if self._block is not None and self._block[1] == delta.index:
            return self._end()
        return self._let_go(delta.index) if delta.index in self._calls else []

    def _let_go(self, key: int) -> list[Delta]:
        """The call as a block, whole."""
        call = self._calls.pop(key)
        json = "".join(call.parts)
        self.held -= min(self.held, len(json) + 1)
        json = json if json.strip() else "{}"
        if not call.name:
            return _fault("a tool call without a name")
        if not _is_object(json):
            return _fault(f"the call of {call.name!r} has arguments that are no JSON object")
        before = self._before(ToolCallBegun)
        self._index += 1
        self._said_call = True
        id_ = call.id or named(self._id, self._index, call.name, json)
        return [
            *before,
            ToolCallBegun(self._index, id_, self._tool(call.name)),
            ToolArgsDelta(self._index, json),
            BlockEnded(self._index),
        ]

    def _stopped(self, delta: Stopped) -> list[Delta]:
        found = self._before(Stopped)
        cut = delta.stop in ("length", "refusal")
        for key in list(self._calls):
            if cut and not _is_object("".join(self._calls[key].parts)):
                del self._calls[key]  # the answer was cut off in it
                continue
            found += self._let_go(key)
            if isinstance(found[-1], Fault):
                return found
        self.held = 0
        stop = delta.stop
        if self._said_call and stop == "end":
            stop = "tool_calls"
        elif self._refused and stop == "end":
            stop = "refusal"
        elif stop == "tool_calls" and not self._said_call:
            stop = "end"
        return [*found, delta if stop == delta.stop else Stopped(stop, delta.sequence)]

    def _beside(self, delta: Delta) -> list[Delta]:
        return [delta] if GRAMMAR.after(self._state, Ping) else []

    def _usage(self, delta: UsageSeen | Odds) -> list[Delta]:
        return [*(self._before(UsageSeen) if self._state == "start" else ()), delta]

    def _fault(self, delta: Fault) -> list[Delta]:
        return [delta]


def named(answer: str, index: int, name: str, json: str) -> str:
    """An id for a call that came without; the same for the same call of the same answer."""
    seed = f"{answer}\0{index}\0{name}\0{json}"
    return "call_" + hashlib.blake2b(seed.encode(errors="replace"), digest_size=12).hexdigest()


def mended_answer(answer: Answer, tool: Callable[[str], str] = str) -> Answer:
    """A whole answer as the mender would give it: ids for all calls, the stop that fits them.

    Raises CannotCrossError for a call whose arguments are no JSON object.
    """
    return msgspec.structs.replace(
        answer, choices=tuple(_mended_choice(choice, answer.id, tool) for choice in answer.choices)
    )


def _mended_choice(choice: Choice, id_: str, tool: Callable[[str], str]) -> Choice:
    parts: list[Part] = []
    for number, part in enumerate(choice.parts):
        if not isinstance(part, ToolCall):
            parts.append(part)
            continue
        if not _is_object(part.arguments):
            if choice.stop in ("length", "refusal"):
                continue  # the answer was cut off in it
            raise CannotCrossError(
                f"the answer calls {part.name!r} with arguments that are no JSON"
            )
        own = part.id or named(id_, number, part.name, part.arguments)
        parts.append(msgspec.structs.replace(part, id=own, name=tool(part.name)))
    calls = any(isinstance(part, ToolCall) for part in parts)
    stop = choice.stop
    if calls and stop == "end":
        stop = "tool_calls"
    elif stop == "end" and any(isinstance(part, Refusal) for part in parts):
        stop = "refusal"
    elif stop == "tool_calls" and not calls:
        stop = "end"
    return msgspec.structs.replace(choice, parts=tuple(parts), stop=stop)


def deltas_of(answer: Answer) -> Iterator[Delta]:
    """A whole answer as a stream of the grammar. Raises CannotCrossError where it holds what no
    answer does.
    """
    yield Opened(answer.id, answer.model)
    for number, other in enumerate(answer.choices[1:], 1):
        yield from (Of(number, delta) for delta in _deltas_of(other))
        yield Of(number, Stopped(other.stop, other.sequence))
    choice = answer.choices[0]
    yield from _deltas_of(choice)
    yield UsageSeen(answer.usage)
    yield Stopped(choice.stop, choice.sequence)


def _deltas_of(choice: Choice) -> Iterator[Delta]:
    """The blocks of one choice."""
    odds = listed(choice.logprobs)
    for index, part in enumerate(choice.parts):
        if isinstance(part, Text):
            if odds:
                yield Odds(odds)
                odds = b""
            yield TextDelta(index, part.text)
        elif isinstance(part, Refusal):
            yield RefusalDelta(index, part.text)
        elif isinstance(part, Thinking):
            yield ThinkingDelta(index, part.text, part.signature, part.data, part.origin)
        elif isinstance(part, ToolCall):
            yield ToolCallBegun(index, part.id, part.name)
            yield ToolArgsDelta(index, part.arguments)
        else:
            raise CannotCrossError(f"the answer holds a {type(part).__name__}")
        yield BlockEnded(index)


# What each kind of delta does to the mender; outside the class because it names its methods.
# ruff: noqa: SLF001
_STEPS: dict[type, Callable[..., list[Delta]]] = {
    Opened: Mender._opened,
    TextDelta: Mender._words,
    RefusalDelta: Mender._words,
    ThinkingDelta: Mender._words,
    ToolCallBegun: Mender._begun,
    ToolArgsDelta: Mender._args,
    BlockEnded: Mender._ended,
    UsageSeen: Mender._usage,
    Odds: Mender._usage,
    Stopped: Mender._stopped,
    Ping: Mender._beside,
    Fault: Mender._fault,
}


def _fault(text: str) -> list[Delta]:
    return [Fault(Failure(kind="garbage", where="body", text=f"the answer holds {text}"))]


def _is_object(json: str) -> bool:
    try:
        _object(json)
    except UNREADABLE:
        return False
    return True
