"""The stream of OpenAI Responses, read and written, as providers and engines speak it.

After the documented API: each event has a type and a sequence number; `response.created` opens,
items are added, told in deltas and done, `response.completed` (or `incomplete`, or `failed`) holds
the whole answer once more and ends the stream. Nobody waits for the connection's end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from holdfast.facts.losses import Lost
from holdfast.facts.outcomes import Failure, FailureKind, PieceKind, Said, Usage, Where
from holdfast.wire.deltas import (
    BlockEnded,
    Delta,
    Fault,
    Odds,
    Opened,
    Ping,
    RefusalDelta,
    Stop,
    Stopped,
    TextDelta,
    ThinkingDelta,
    ToolArgsDelta,
    ToolCallBegun,
    UsageSeen,
)
from holdfast.wire.freeform import input_of
from holdfast.wire.kinds import Passing
from holdfast.wire.odds import filled
from holdfast.wire.responses.answer import (
    Answering,
    Item,
    Piece,
    Response,
    arguments_of,
    cut,
    ending,
    failed_event,
    failure_of,
    is_error,
    losses,
    piece_of,
    read_usage,
    stop_of,
    thoughts_of,
    tokens_of,
)
from holdfast.wire.responses.ask import DIALECT, Own
from holdfast.wire.said import read_said
from holdfast.wire.speech import (
    UNREADABLE,
    CannotCrossError,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from holdfast.wire.sse import SseEvent

_encode = msgspec.json.encode
_PARTS_MAX = 1 << 12  # of an item; places of blocks are counted in these
_ITEMS_MAX = 1 << 20


class _Told(Struct, gc=False):
    """Nearly every event of an answer: a piece of something."""

    type: Literal[
        "response.output_text.delta",
        "response.refusal.delta",
        "response.function_call_arguments.delta",
        "response.reasoning_summary_text.delta",
        "response.reasoning_text.delta",
    ]
    delta: str
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    logprobs: Raw = Raw()


class _Kind(Struct):
    type: str = ""
    error: Raw = Raw()


class _Added(Struct):
    """An item that begins or is done."""

    item: Item
    output_index: int = 0


class _Done(Struct):
    """A part that is done, said whole once more."""

    output_index: int = 0
    content_index: int = 0
    text: str | None = None
    refusal: str | None = None
    arguments: str | None = None


class _Ended(Struct):
    response: Response


class _Running(Struct, gc=False):
    """What passes at a glance: an event of text; no other can be read as one."""

    type: Literal["response.output_text.delta"]
    delta: str
    output_index: int = 0
    content_index: int = 0


_decode_told = msgspec.json.Decoder(_Told).decode
_decode_kind = msgspec.json.Decoder(_Kind).decode
_decode_added = msgspec.json.Decoder(_Added).decode
_decode_done = msgspec.json.Decoder(_Done).decode
_decode_ended = msgspec.json.Decoder(_Ended).decode
_decode_running = msgspec.json.Decoder(_Running).decode_lines
_decode_one = msgspec.json.Decoder(_Running).decode
_PINGS = (Ping(),)
_TEXT_EVENT = b"event: response.output_text.delta\ndata: {"
_TEXT_AT = len(_TEXT_EVENT) - 1


def _running(block: bytes) -> list[_Running]:
    """These whole events, read in one go; none where they are not all of text.

    An event without the names of its fields is a line of JSON. Neither a string nor a whole JSON
    value holds a newline before `data:`.
    """
    events = block.count(b"\n\n")
    if block.count(b"\n") != 3 * events:
        return []  # a line's end within JSON is white space to a decoder, and cuts an event
    try:
        found = _decode_running(block.replace(_TEXT_EVENT, b"{"))
    except UNREADABLE:
        return []
    return found if len(found) == events else []


def _ends(data: bytes) -> bool:
    """Whether an event that says an error is the terminal one."""
    try:
        return _decode_kind(data).type.startswith("response.")
    except UNREADABLE:
        return False


class StreamReader(Passing):
    """Reads a Responses stream that passes."""

    __slots__ = ()

    def read(self, event: SseEvent) -> PieceKind:
        """What this event is. Never raises.

        Providers say an error in an event of its own and in a terminal one behind it; coding tools
        only know the latter. Nothing is read behind a fault, so it is said here.
        """
        kind = super().read(event)
        failure = self.failure
        if failure is not None and failure.kind == "error_event" and not _ends(event.data):
            said = failure.said
            self.missing = failed_event(said.code or said.type or "server_error", said.message)
        return kind

    def flows(self, block: bytes) -> bool:
        """Whether these whole events are text and nothing else, known after the first content."""
        return bool(_running(block))


class DeltaReader:
    """Reads a Responses stream that crosses.

    Each part of an item is a block. Some engines leave deltas out and say a part only whole, some
    leave out that it began: what has not been said when a part or an item is done is said then.
    """

    __slots__ = ("_begun", "_ids", "_model", "_parts", "_spoke", "_told", "lost")

    def __init__(self, model: str) -> None:
        self._model = model
        self._spoke = False
        self._begun: set[int] = set()  # the calls
        self._ids: set[str] = set()  # theirs
        self._told: set[int] = set()  # the blocks of which something was said
        self.lost: tuple[Lost, ...] = ()
        self._parts: list[Part] = []  # one of each kind that was said, for the reason of the end

    def read(self, event: SseEvent) -> Sequence[Delta]:
        """What this event says. Never raises."""
        data = event.data
        try:
            found = _decode_told(data)
        except UNREADABLE:
            return self._other(event)
        return self._piece(found)

    def run(self, block: bytes) -> TextDelta | None:
        """These whole events as one delta, where they are nothing but words of one part."""
        if b'"logprob"' in block:
            return None
        if block.find(b"\n", _TEXT_AT) == len(block) - 2 and block.startswith(_TEXT_EVENT):
            try:
                one = _decode_one(block[_TEXT_AT:])
            except UNREADABLE:
                return None
            index = one.output_index * _PARTS_MAX + one.content_index
            self._told.add(index)
            return TextDelta(index, one.delta)
        found = _running(block)
        if not found:
            return None
        first = found[0]
        place = (first.output_index, first.content_index)
        if any((event.output_index, event.content_index) != place for event in found):
            return None
        index = place[0] * _PARTS_MAX + place[1]
        self._told.add(index)
        return TextDelta(index, "".join([event.delta for event in found]))

    def _piece(self, found: _Told) -> Sequence[Delta]:
        index = found.output_index * _PARTS_MAX + found.content_index
        kind, text = found.type, found.delta
        if kind == "response.output_text.delta":
            odds = filled(bytes(found.logprobs))
            said = self._text(index, text)
            return (Odds(odds), *said) if odds else said
        if kind == "response.function_call_arguments.delta":
            return self._arguments(found.output_index * _PARTS_MAX, text)
        if kind == "response.refusal.delta":
            return self._refusal(index, text)
        index = found.output_index * _PARTS_MAX
        self._told.add(index)
        return (ThinkingDelta(index, text, origin=DIALECT),)

    def _text(self, index: int, text: str) -> Sequence[Delta]:
        self._spoke = self._spoke or bool(text)
        self._told.add(index)
        return (TextDelta(index, text),)

    def _refusal(self, index: int, text: str) -> Sequence[Delta]:
        self._spoke = self._spoke or bool(text)
        self._told.add(index)
        if not any(isinstance(part, Refusal) for part in self._parts):
            self._parts.append(Refusal(text))
        return (RefusalDelta(index, text),)

    def _begin(self, index: int, item: Item) -> Sequence[Delta]:
        if index in self._begun:
            return ()
        self._begun.add(index)
        self._ids.add(item.call_id or "")
        self._spoke = True
        return (ToolCallBegun(index, item.call_id or "", item.name or ""),)

    def _arguments(self, index: int, text: str) -> Sequence[Delta]:
        if index not in self._begun:
            return _PINGS  # its item, which names it, says all of it once more
        self._told.add(index)
        return (ToolArgsDelta(index, text),)

    def _other(self, event: SseEvent) -> Sequence[Delta]:
        data = event.data
        if not data or data.startswith(b"[DONE]"):
            return _PINGS
        try:
            found = _decode_kind(data)
        except UNREADABLE:
            if event.event == b"error":
                return (Fault(failure_of(data, spoke=self._spoke)),)
            return self._fault("garbage", "an event of the stream is not of the dialect")
        kind = found.type
        step = _READ.get(kind)
        if step is not None:
            try:
                return step(self, data)
            except (CannotCrossError, *UNREADABLE):
                return self._fault("garbage", "an event of the stream is not of the dialect")
        if event.event == b"error" or kind == "error" or (not kind and read_said(data) != Said()):
            return (Fault(failure_of(data, spoke=self._spoke)),)
        if not kind:
            return self._fault("garbage", "an event of the stream has no type")
        return _PINGS

    def _fault(self, kind: FailureKind, text: str) -> Sequence[Delta]:
        where: Where = "in_stream" if self._spoke else "body"
        return (Fault(Failure(kind=kind, where=where, text=text)),)

    def _created(self, data: bytes) -> Sequence[Delta]:
        response = _decode_ended(data).response
        return (Opened(response.id or "", response.model or self._model),)

    def _added(self, data: bytes) -> Sequence[Delta]:
        found = _decode_added(data)
        item, index = found.item, found.output_index * _PARTS_MAX
        if item.type in ("function_call", "custom_tool_call"):
            return self._begin(index, item)
        if item.type == "reasoning":
            return (ThinkingDelta(index, origin=DIALECT),)
        return _PINGS

    def _summary(self, data: bytes) -> Sequence[Delta]:
        """A further part of what was thought."""
        index = _decode_done(data).output_index * _PARTS_MAX
        return (ThinkingDelta(index, "\n\n", origin=DIALECT),) if index in self._told else _PINGS

    def _part_done(self, data: bytes) -> Sequence[Delta]:
        """A part of a message, said whole."""
        done = _decode_done(data)
        index = done.output_index * _PARTS_MAX + done.content_index
        if index in self._told:
            return (BlockEnded(index),)
        if done.refusal:
            return (*self._refusal(index, done.refusal), BlockEnded(index))
        return (*self._text(index, done.text), BlockEnded(index)) if done.text else _PINGS

    def _args_done(self, data: bytes) -> Sequence[Delta]:
        done = _decode_done(data)
        index = done.output_index * _PARTS_MAX
        if index in self._told or not done.arguments:
            return _PINGS
        return self._arguments(index, done.arguments)

    def _done(self, data: bytes) -> Sequence[Delta]:
        found = _decode_added(data)
        return self._item(found.item, found.output_index * _PARTS_MAX)

    def _item(self, item: Item, first: int) -> Sequence[Delta]:
        """An item, whole: what of it was not said yet."""
        self.lost = tuple(dict.fromkeys((*self.lost, *losses(item))))
        if item.type == "message":
            said: list[Delta] = []
            for number, piece in enumerate(item.content or ()):
                said += self._rest(piece, first + number)
            return said
        if item.type == "reasoning":
            return self._thought(item, first)
        if item.type in ("function_call", "custom_tool_call"):
            begun = self._begin(first, item)
            told = first in self._told
            self._told.add(first)
            rest = () if told else (ToolArgsDelta(first, arguments_of(item)),)
            return (*begun, *rest, BlockEnded(first))
        return _PINGS

    def _rest(self, piece: Piece, index: int) -> Sequence[Delta]:
        said: Sequence[Delta] = ()
        if index not in self._told:
            if piece.type == "refusal" and piece.refusal:
                said = self._refusal(index, piece.refusal)
            elif piece.text:
                said = self._text(index, piece.text)
        return (*said, BlockEnded(index)) if index in self._told else ()

    def _thought(self, item: Item, index: int) -> Sequence[Delta]:
        told = index in self._told
        self._told.add(index)
        deltas: list[Delta] = []
        for thought in thoughts_of(item):
            assert isinstance(thought, Thinking)  # noqa: S101 - what a reasoning item holds
            text = "" if told else thought.text
            deltas.append(
                ThinkingDelta(index, text, thought.signature, thought.data, thought.origin)
            )
        return (*deltas, BlockEnded(index))

    def _ended(self, data: bytes) -> Sequence[Delta]:
        """The terminal event, with all of the answer."""
        response = _decode_ended(data).response
        if is_error(response.error) and response.status == "failed":
            return self._failed(data)
        said: list[Delta] = []
        silent = not self._spoke
        if silent:
            said.append(Opened(response.id or "", response.model or self._model))
        for number, item in enumerate(response.output or ()):
            # Engines number as they like: beyond what was said, so that nothing meets.
            index = (_ITEMS_MAX + number) * _PARTS_MAX
            missed = item.type == "function_call" and (item.call_id or "") not in self._ids
            if missed or (silent and number * _PARTS_MAX not in self._told):
                said += self._item(item, index)
        said.append(UsageSeen(read_usage(response.usage)))
        said.append(Stopped(self._stop(response)))
        return said

    def _stop(self, response: Response) -> Stop:
        calls: list[Part] = [ToolCall("", "")] if self._begun else []
        return stop_of(response, (*calls, *self._parts))

    def _failed(self, data: bytes) -> Sequence[Delta]:
        error = bytes(_decode_ended(data).response.error)
        event = b'{"error":' + error + b"}" if error.startswith(b"{") else data
        return (Fault(failure_of(event, spoke=self._spoke)),)

    def close(self) -> Sequence[Delta]:
        """Without its terminal event an answer is never whole."""
        return ()


# What each type of event does to the reader; the class's own table, outside it because it names
# its methods. A type that is not here is a sign of life.
# ruff: noqa: SLF001
_READ: dict[str, Callable[[DeltaReader, bytes], Sequence[Delta]]] = {
    "response.created": DeltaReader._created,
    "response.output_item.added": DeltaReader._added,
    "response.output_item.done": DeltaReader._done,
    "response.reasoning_summary_part.added": DeltaReader._summary,
    "response.output_text.done": DeltaReader._part_done,
    "response.refusal.done": DeltaReader._part_done,
    "response.function_call_arguments.done": DeltaReader._args_done,
    "response.completed": DeltaReader._ended,
    "response.incomplete": DeltaReader._ended,
    "response.failed": DeltaReader._failed,
}


_TEXT_DELTA = (
    b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta",'
    b'"sequence_number":%d,"item_id":%b,"content_index":0,"delta":%b,"logprobs":[]}\n\n'
)


class StreamWriter:
    """Writes a Responses stream: each block is an item."""

    several = False
    __slots__ = (
        "_answering",
        "_begun",
        "_due",
        "_item",
        "_likely",
        "_number",
        "_odds",
        "_output",
        "_part",
        "_parts",
        "_place",
        "_usage",
    )

    def __init__(self, asked: bytes, created: int, names: dict[str, Own]) -> None:
        self._answering = Answering(asked, created, names)
        self._number = 0
        self._usage = Usage()
        self._output: list[dict[str, Any]] = []
        self._parts: list[Part] = []
        self._begun: Part | None = None  # the block that is open: what of it was said at first
        self._part: list[Delta] = []  # and all that was said of it
        self._odds = b""  # of the words that come next
        self._likely: list[Raw] = []  # and of all words of the block, token by token
        self._item = ""  # its id
        self._due: dict[str, Any] | None = (
            None  # the item that was said last, where its end was not
        )
        self._place = b""  # its id and its index, as they stand in each of its events

    def write(self, delta: Delta) -> bytes:
        """The events that say this delta."""
        step = _WRITE.get(type(delta))
        return step(self, delta) if step is not None else b""

    def _event(self, kind: str, **fields: object) -> bytes:
        number, self._number = self._number, self._number + 1
        data = _encode({"type": kind, "sequence_number": number, **fields})
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)

    def _in_item(self, kind: str, **fields: object) -> bytes:
        return self._event(kind, item_id=self._item, output_index=len(self._output), **fields)

    def _begin(self, part: Part) -> bytes:
        """The item of a block, where it is not open yet."""
        if self._begun is not None:
            return b""
        due = self._item_done()
        self._begun = part
        index = len(self._output)
        item = self._answering.begun(index, part)
        self._item = item["id"]
        said = due + self._event("response.output_item.added", output_index=index, item=item)
        self._place = _encode(self._item) + b',"output_index":%d' % index
        if isinstance(part, Text | Refusal):
            piece = piece_of(type(part)(""))
            said += self._in_item("response.content_part.added", content_index=0, part=piece)
        return said

    def _opened(self, delta: Opened) -> bytes:
        self._answering.open(delta.id, delta.model)
        response = self._answering.response("in_progress", [])
        return self._event("response.created", response=response) + self._event(
            "response.in_progress", response=response
        )

    def _text(self, delta: TextDelta) -> bytes:
        """Nearly all that an answer is: but for the words only a number changes."""
        begun = self._begin(Text("")) if self._begun is None else b""
        self._part.append(delta)
        if self._odds:
            return begun + self._with_odds(delta)
        number, self._number = self._number, self._number + 1
        said = _TEXT_DELTA % (number, self._place, _encode(delta.text))
        return begun + said if begun else said

    def _with_odds(self, delta: TextDelta) -> bytes:
        odds, self._odds = self._odds, b""
        self._likely += tokens_of(odds)
        kind = "response.output_text.delta"
        return self._in_item(kind, content_index=0, delta=delta.text, logprobs=Raw(odds))

    def _refusal(self, delta: RefusalDelta) -> bytes:
        begun = self._begin(Refusal(""))
        self._part.append(delta)
        return begun + self._in_item("response.refusal.delta", content_index=0, delta=delta.text)

    def _thinking(self, delta: ThinkingDelta) -> bytes:
        said = self._begin(Thinking("", delta.signature, delta.data, delta.origin))
        first = not any(isinstance(one, ThinkingDelta) and one.text for one in self._part)
        self._part.append(delta)
        if not delta.text:
            return said
        if first:
            piece = {"type": "summary_text", "text": ""}
            said += self._in_item(
                "response.reasoning_summary_part.added", summary_index=0, part=piece
            )
        return said + self._in_item(
            "response.reasoning_summary_text.delta", summary_index=0, delta=delta.text
        )

    def _call(self, delta: ToolCallBegun) -> bytes:
        return self._begin(ToolCall(delta.id, delta.name))

    def _args(self, delta: ToolArgsDelta) -> bytes:
        self._part.append(delta)
        assert isinstance(self._begun, ToolCall)  # noqa: S101 - the grammar says so
        if self._answering.is_custom(self._begun.name):
            return b""  # it is known when it is whole
        return self._in_item("response.function_call_arguments.delta", delta=delta.json)

    def _ended(self, _: BlockEnded) -> bytes:
        part = self._whole()
        odds = _encode(self._likely) if self._likely else b""
        item = self._answering.done(len(self._output), part, odds)
        item["id"] = self._item if isinstance(part, Text | Refusal | ToolCall) else item["id"]
        said = self._said(part, odds)
        self._output.append(item)
        self._due = item
        if not isinstance(part, Text | Refusal):
            said += self._item_done()
        self._parts.append(part)
        self._begun = None
        self._part = []
        self._likely = []
        return said

    def _item_done(self) -> bytes:
        """The end of an item. Whether a message is whole is known by what comes behind it."""
        item, self._due = self._due, None
        if item is None:
            return b""
        index = len(self._output) - 1
        return self._event("response.output_item.done", output_index=index, item=item)

    def _whole(self) -> Part:
        """The part that the block has come to."""
        begun = self._begun
        if isinstance(begun, ToolCall):
            json = "".join(one.json for one in self._part if isinstance(one, ToolArgsDelta))
            return ToolCall(begun.id, begun.name, json)
        text = "".join(getattr(one, "text", "") for one in self._part)
        if isinstance(begun, Refusal):
            return Refusal(text)
        if isinstance(begun, Text):
            return Text(text)
        thoughts = [one for one in self._part if isinstance(one, ThinkingDelta)]
        return Thinking(
            text,
            "".join(one.signature for one in thoughts),
            "".join(one.data for one in thoughts),
            thoughts[-1].origin if thoughts else "",
        )

    def _said(self, part: Part, odds: bytes) -> bytes:
        """The events that say a part whole."""
        if isinstance(part, ToolCall):
            if not self._answering.is_custom(part.name):
                return self._in_item(
                    "response.function_call_arguments.done",
                    name=part.name,
                    arguments=part.arguments,
                )
            given = input_of(part.arguments)
            return self._in_item("response.custom_tool_call_input.delta", delta=given) + (
                self._in_item("response.custom_tool_call_input.done", input=given)
            )
        if isinstance(part, Thinking):
            if not part.text:
                return b""
            piece = {"type": "summary_text", "text": part.text}
            return self._in_item(
                "response.reasoning_summary_text.done", summary_index=0, text=part.text
            ) + self._in_item("response.reasoning_summary_part.done", summary_index=0, part=piece)
        assert isinstance(part, Text | Refusal)  # noqa: S101 - what is left
        if isinstance(part, Text):
            kind, likely = "response.output_text.done", Raw(odds or b"[]")
            done = self._in_item(kind, content_index=0, text=part.text, logprobs=likely)
        else:
            done = self._in_item("response.refusal.done", content_index=0, refusal=part.text)
        return done + self._in_item(
            "response.content_part.done", content_index=0, part=piece_of(part, odds)
        )

    def _chances(self, delta: Odds) -> bytes:
        self._odds = delta.tokens
        return b""

    def _seen(self, delta: UsageSeen) -> bytes:
        self._usage = delta.usage
        return b""

    def _ping(self, _: Ping) -> bytes:
        """The provider's own sign of life; no client needs to know it."""
        return self._event("keepalive")

    def _stopped(self, delta: Stopped) -> bytes:
        status, reason = ending(delta.stop, self._parts)
        cut(self._output, status)
        due = self._item_done()
        response = self._answering.response(status, self._output, self._usage, reason)
        return due + self._event(f"response.{status}", response=response)


_WRITE: dict[type, Callable[..., bytes]] = {
    Opened: StreamWriter._opened,
    TextDelta: StreamWriter._text,
    RefusalDelta: StreamWriter._refusal,
    ThinkingDelta: StreamWriter._thinking,
    ToolCallBegun: StreamWriter._call,
    ToolArgsDelta: StreamWriter._args,
    BlockEnded: StreamWriter._ended,
    Odds: StreamWriter._chances,
    UsageSeen: StreamWriter._seen,
    Ping: StreamWriter._ping,
    Stopped: StreamWriter._stopped,
}
