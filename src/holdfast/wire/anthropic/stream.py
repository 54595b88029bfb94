"""The stream of Anthropic Messages, read and written.

After the provider's documented grammar: `message_start`, blocks with `content_block_start`,
`_delta` and `_stop`, `message_delta`, `message_stop`, `ping`, `error`. Unknown event types are
passed on, as the documentation demands of clients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from holdfast.facts.losses import Lost
from holdfast.facts.outcomes import (
    CONTENT,
    END,
    OPENING,
    PING,
    THINKING,
    Failure,
    FailureKind,
    PieceKind,
    Said,
    Usage,
    Where,
)
from holdfast.wire.anthropic.ask import DIALECT, ID_CHARS_MAX, signed
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
from holdfast.wire.fitting import fitted
from holdfast.wire.said import read_said
from holdfast.wire.speech import CITED, RAN, STRANGE, UNREADABLE, Thinking
from holdfast.wire.sse import SseEvent

UNNAMED = "msg_holdfast"
PING_EVENT = b'event: ping\ndata: {"type":"ping"}\n\n'
MESSAGE_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_TEXT = {"type": "text", "text": ""}
_THINKING = {"type": "thinking", "thinking": "", "signature": ""}
STOPS: dict[str, Stop] = {
    "end_turn": "end",
    "max_tokens": "length",
    "stop_sequence": "stop_sequence",
    "refusal": "refusal",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
}
STOP_NAMES: dict[Stop, str] = {
    "end": "end_turn",
    "length": "max_tokens",
    "stop_sequence": "stop_sequence",
    "refusal": "refusal",
    "tool_calls": "tool_use",
    "pause": "pause_turn",
}


class _OutputDetails(Struct, gc=False):
    thinking_tokens: int | None = None


class UsageFields(Struct, gc=False):
    """Usage as this dialect writes it; input excludes what the cache read or took."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens_details: _OutputDetails | None = None


class _Message(Struct):
    id: str = ""
    model: str = ""
    usage: Raw = Raw()


class _Delta(Struct):
    type: str = ""
    text: str = ""
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: Raw = Raw()


class _Kind(Struct):
    type: str = ""


class _Event(Struct):
    message: _Message | None = None
    delta: _Delta | None = None
    content_block: _Kind | None = None
    usage: Raw = Raw()
    index: int = 0


class _Flowing(Struct, gc=False):
    """Nearly every event of an answer; no other type of event can be read as one."""

    type: Literal["content_block_delta"]


class _Payload(Struct):
    delta: dict[str, Raw]


_decode_kind = msgspec.json.Decoder(_Kind).decode
_decode_event = msgspec.json.Decoder(_Event).decode
_decode_payload = msgspec.json.Decoder(_Payload).decode
_decode_usage = msgspec.json.Decoder(UsageFields).decode
_decode_flowing = msgspec.json.Decoder(_Flowing).decode_lines
_encode = msgspec.json.encode
_NOTHING = (b'""', b"null", b"[]", b"{}")


def _loosely(data: bytes) -> _Event:
    """An event's fields; none of them where a provider gives them other types. JSON it is."""
    try:
        return _decode_event(data)
    except UNREADABLE:
        return _Event()


def usage_of(raw: Raw) -> Usage:
    """The usage that is said here; none where it is odd."""
    try:
        found = _decode_usage(raw)
    except UNREADABLE:
        return Usage()
    details = found.output_tokens_details
    return Usage(
        found.input_tokens,
        found.output_tokens,
        found.cache_read_input_tokens,
        found.cache_creation_input_tokens,
        (details.thinking_tokens or None) if details is not None else None,
    )


def merged(usage: Usage, raw: Raw) -> Usage:
    """The usage so far, with what is found here put over it; all of it where that is odd."""
    try:
        found = _decode_usage(raw)
    except UNREADABLE:
        return usage
    details = found.output_tokens_details
    return Usage(
        _newest(found.input_tokens, usage.input),
        _newest(found.output_tokens, usage.output),
        _newest(found.cache_read_input_tokens, usage.cache_read),
        _newest(found.cache_creation_input_tokens, usage.cache_write),
        _newest(details.thinking_tokens or None if details is not None else None, usage.thought),
    )


def _failure(kind: FailureKind, text: str, *, spoke: bool, said: Said | None = None) -> Failure:
    where: Where = "in_stream" if spoke else "body"
    return Failure(kind=kind, where=where, text=text, said=said or Said())


def _said_error(data: bytes, *, spoke: bool) -> Failure:
    words = read_said(data) if data else Said()
    if not words.message and not words.type:
        words = Said(message=data[:500].decode("utf-8", "replace"))
    text = f"the stream says {words.type or 'error'}: {words.message}"[:500]
    return _failure("error_event", text, spoke=spoke, said=words)


def _newest(new: int | None, old: int | None) -> int | None:
    return old if new is None else new


class StreamReader:
    """Reads a Messages stream that passes.

    Only the type of an event is decoded until it matters; after the first content that is all
    that most events need.
    """

    __slots__ = ("failure", "id", "missing", "model", "spoke", "stop", "usage")

    def __init__(self) -> None:
        self.usage = Usage()
        self.stop: Stop | None = None
        self.id = ""
        self.model = ""
        self.spoke = False
        self.missing = b""
        self.failure: Failure | None = None

    @property
    def stopped(self) -> bool:
        return self.stop is not None

    def read(self, event: SseEvent) -> PieceKind:
        """What this event is. Never raises."""
        data = event.data
        if event.event == b"error":
            return self._error(data)
        if not data:
            return PING
        try:
            kind = _decode_kind(data).type
        except UNREADABLE:
            return self._fault("garbage", "an event of the stream is not of the dialect")
        if kind == "content_block_delta" and self.spoke:  # nearly all of them
            return CONTENT
        step = _STEPS.get(kind)
        if step is not None:
            return step(self, data)
        if not kind and read_said(data) == Said():
            return self._fault("garbage", "an event of the stream has no type")
        return PING if kind else self._error(data)

    def _message_start(self, data: bytes) -> PieceKind:
        message = _loosely(data).message
        if message is not None:
            self.id, self.model = message.id, message.model
            self.usage = merged(self.usage, message.usage)
        return OPENING

    def _block_start(self, data: bytes) -> PieceKind:
        block = _loosely(data).content_block
        if block is not None and block.type == "thinking":
            return THINKING
        return CONTENT if self.spoke else OPENING

    def _block_stop(self, _: bytes) -> PieceKind:
        return CONTENT if self.spoke else OPENING

    def _block_delta(self, data: bytes) -> PieceKind:
        """The first deltas: an empty one commits to nothing yet."""
        try:
            payload = _decode_payload(data).delta
        except UNREADABLE:
            payload = {}
        self.spoke = any(
            name != "type" and bytes(value) not in _NOTHING for name, value in payload.items()
        )
        return CONTENT if self.spoke else OPENING

    def _message_delta(self, data: bytes) -> PieceKind:
        seen = _loosely(data)
        self.usage = merged(self.usage, seen.usage)
        if seen.delta is not None and seen.delta.stop_reason:
            self.stop = STOPS.get(seen.delta.stop_reason, "end")
        return CONTENT

    def _message_stop(self, _: bytes) -> PieceKind:
        if not self.spoke and self.stop is None:
            return self._fault("empty", "the answer ended without a word")
        return END

    def _error(self, data: bytes) -> PieceKind:
        self.failure = _said_error(data, spoke=self.spoke)
        return PieceKind.FAULT

    def _fault(self, kind: FailureKind, text: str) -> PieceKind:
        self.failure = _failure(kind, text, spoke=self.spoke)
        return PieceKind.FAULT

    def flows(self, block: bytes) -> bool:
        """Whether these whole events are content and nothing else, known after the first content.

        All of them are read in one go: an event without the names of its fields is a line of
        JSON. Neither a string nor a whole JSON value holds a newline before `data:`.
        """
        events = block.count(b"\n\n")
        if block.count(b"\n") != 3 * events:
            return False  # a line's end within JSON is white space to a decoder, and cuts an event
        lines = block.replace(b"event: content_block_delta\ndata: {", b"{")
        try:
            return len(_decode_flowing(lines)) == events
        except UNREADABLE:
            return False

    def closing(self) -> bytes | None:
        """Some providers end with a stop reason and no `message_stop`: the answer is whole."""
        return None if self.stop is None else MESSAGE_STOP


# What each type of event does to the reader; the class's own table, outside it because it names
# its methods. A type that is not here is passed on like a ping.
# ruff: noqa: SLF001
_STEPS: dict[str, Callable[[StreamReader, bytes], PieceKind]] = {
    "content_block_delta": StreamReader._block_delta,
    "content_block_start": StreamReader._block_start,
    "content_block_stop": StreamReader._block_stop,
    "message_start": StreamReader._message_start,
    "message_delta": StreamReader._message_delta,
    "message_stop": StreamReader._message_stop,
    "error": StreamReader._error,
}


class _Content(Struct, gc=False):
    """A block's delta in the shapes that can be carried."""

    type: str = ""
    text: str = ""
    partial_json: str = ""
    thinking: str = ""
    signature: str = ""


class _Crossing(Struct, gc=False):
    """What nearly every event of an answer is; any other type of event is read in another way."""

    type: Literal["content_block_delta"]
    index: int
    delta: _Content


class _Words(Struct, gc=False):
    type: Literal["text_delta"]
    text: str


class _Running(Struct, gc=False):
    """An event of words; no other can be read as one."""

    type: Literal["content_block_delta"]
    index: int
    delta: _Words


class _Block(Struct):
    """The start of a block in the shapes that can be carried."""

    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    data: str = ""
    id: str = ""
    name: str = ""
    input: Raw = Raw()


class _Start(Struct):
    content_block: _Block
    index: int = 0


_decode_crossing = msgspec.json.Decoder(_Crossing).decode
_decode_running = msgspec.json.Decoder(_Running).decode_lines
_decode_one = msgspec.json.Decoder(_Running).decode
_TEXT_HEAD = b"event: content_block_delta\ndata: {"
_TEXT_AT = len(_TEXT_HEAD) - 1
_decode_start = msgspec.json.Decoder(_Start).decode
_PINGS = (Ping(),)


_BEHIND = 1 << 30  # the place of a block behind all others


class _Details(Struct):
    explanation: str | None = None


_decode_details = msgspec.json.Decoder(_Details).decode


def explained(details: Raw) -> str:
    """Why a provider refused, of an answer's `stop_details`; "" where it does not say."""
    try:
        return _decode_details(details).explanation or ""
    except UNREADABLE:
        return ""


def runs(kind: str) -> bool:
    """Whether a block of this type is what the provider did by itself."""
    return kind == "server_tool_use" or kind.endswith("_tool_result")


class DeltaReader:
    """Reads a Messages stream that crosses."""

    __slots__ = ("_calls", "_model", "_sequence", "_spoke", "_stop", "_usage", "lost")

    def __init__(self, model: str) -> None:
        self._model = model
        self._usage = Usage()
        self._stop: Stop | None = None
        self._sequence = ""
        self._spoke = False
        self._calls: set[int] = set()  # the blocks that are calls of the client's tools
        self.lost: tuple[Lost, ...] = ()

    def read(self, event: SseEvent) -> Sequence[Delta]:
        """What this event says. Never raises."""
        data = event.data
        try:
            found = _decode_crossing(data)
        except UNREADABLE:
            return self._other(event)
        delta, index = found.delta, found.index
        kind = delta.type
        if kind == "text_delta":
            self._spoke = self._spoke or bool(delta.text)
            return (TextDelta(index, delta.text),)
        if kind == "input_json_delta":
            if index not in self._calls:
                return _PINGS  # of a tool that the provider runs
            return (ToolArgsDelta(index, delta.partial_json),)
        if kind == "thinking_delta":
            return (ThinkingDelta(index, delta.thinking, origin=DIALECT),)
        if kind == "signature_delta":
            return (ThinkingDelta(index, signature=delta.signature, origin=DIALECT),)
        if kind == "citations_delta":
            self._lose(CITED)
        return _PINGS

    def _lose(self, loss: Lost) -> None:
        if loss not in self.lost:
            self.lost += (loss,)

    def run(self, block: bytes) -> TextDelta | None:
        """These whole events as one delta, where they are nothing but words of one block."""
        if block.find(b"\n", _TEXT_AT) == len(block) - 2 and block.startswith(_TEXT_HEAD):
            try:
                one = _decode_one(block[_TEXT_AT:])
            except UNREADABLE:
                return None
            self._spoke = self._spoke or bool(one.delta.text)
            return TextDelta(one.index, one.delta.text)
        events = block.count(b"\n\n")
        if block.count(b"\n") != 3 * events:
            return None  # see `StreamReader.flows`
        lines = block.replace(b"event: content_block_delta\ndata: {", b"{")
        try:
            found = _decode_running(lines)
        except UNREADABLE:
            return None
        if len(found) != events:
            return None
        index = found[0].index
        if any(event.index != index for event in found):
            return None
        text = "".join([event.delta.text for event in found])
        self._spoke = self._spoke or bool(text)
        return TextDelta(index, text)

    def _other(self, event: SseEvent) -> Sequence[Delta]:
        data = event.data
        if event.event == b"error":
            return (Fault(_said_error(data, spoke=self._spoke)),)
        if not data:
            return _PINGS
        try:
            kind = _decode_kind(data).type
        except UNREADABLE:
            return self._fault("garbage", "an event of the stream is not of the dialect")
        step = _READ.get(kind)
        if step is not None:
            return step(self, data)
        if kind == "error" or (not kind and read_said(data) != Said()):
            return (Fault(_said_error(data, spoke=self._spoke)),)
        if not kind:
            return self._fault("garbage", "an event of the stream has no type")
        return _PINGS

    def _fault(self, kind: FailureKind, text: str) -> Sequence[Delta]:
        return (Fault(_failure(kind, text, spoke=self._spoke)),)

    def _message_start(self, data: bytes) -> Sequence[Delta]:
        message = _loosely(data).message
        if message is None:
            return (Opened("", self._model),)
        self._usage = merged(self._usage, message.usage)
        opened = Opened(message.id, message.model or self._model)
        return (opened, UsageSeen(self._usage)) if self._usage != Usage() else (opened,)

    def _block_start(self, data: bytes) -> Sequence[Delta]:
        try:
            found = _decode_start(data)
        except UNREADABLE:
            return _PINGS
        block, index = found.content_block, found.index
        if block.type == "tool_use":
            self._spoke = True
            self._calls.add(index)
            begun = ToolCallBegun(index, block.id, block.name)
            given = bytes(block.input)
            if given in _NOTHING or not given:
                return (begun,)
            return (begun, ToolArgsDelta(index, given.decode("utf-8", "replace")))
        if block.type == "text":
            self._spoke = self._spoke or bool(block.text)
            return (TextDelta(index, block.text),)
        if block.type == "thinking":
            return (ThinkingDelta(index, block.thinking, block.signature, origin=DIALECT),)
        if block.type == "redacted_thinking":
            return (ThinkingDelta(index, data=block.data, origin=DIALECT),)
        self._lose(RAN if runs(block.type) else STRANGE)
        return _PINGS

    def _block_stop(self, data: bytes) -> Sequence[Delta]:
        index = _loosely(data).index
        self._calls.discard(index)
        return (BlockEnded(index),)

    def _message_delta(self, data: bytes) -> Sequence[Delta]:
        seen = _loosely(data)
        self._usage = merged(self._usage, seen.usage)
        if seen.delta is not None and seen.delta.stop_reason:
            self._stop = STOPS.get(seen.delta.stop_reason, "end")
            self._sequence = seen.delta.stop_sequence or ""
            said = "" if self._spoke else explained(seen.delta.stop_details)
            if said:
                self._spoke = True
                return (UsageSeen(self._usage), RefusalDelta(_BEHIND, said), BlockEnded(_BEHIND))
        return (UsageSeen(self._usage),)

    def _message_stop(self, _: bytes) -> Sequence[Delta]:
        if not self._spoke and self._stop is None:
            return self._fault("empty", "the answer ended without a word")
        return (Stopped(self._stop or "end", self._sequence),)

    def close(self) -> Sequence[Delta]:
        """Some providers end with a stop reason and no `message_stop`: the answer is whole."""
        return () if self._stop is None else (Stopped(self._stop, self._sequence),)


_READ: dict[str, Callable[[DeltaReader, bytes], Sequence[Delta]]] = {
    "content_block_start": DeltaReader._block_start,
    "content_block_stop": DeltaReader._block_stop,
    "message_start": DeltaReader._message_start,
    "message_delta": DeltaReader._message_delta,
    "message_stop": DeltaReader._message_stop,
}


def _event(name: str, data: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), _encode(data))


def message_start(id_: str, model: str, usage: Usage | None = None) -> bytes:
    message: dict[str, Any] = {
        "id": id_ or UNNAMED,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage_body(usage or Usage()),
    }
    return _event("message_start", {"type": "message_start", "message": message})


def block_start(index: int, kind: str) -> bytes:
    block = {"type": kind, kind: ""} | ({"signature": ""} if kind == "thinking" else {})
    fields = {"type": "content_block_start", "index": index, "content_block": block}
    return _event("content_block_start", fields)


def _delta(index: int, kind: str, name: str, value: str) -> bytes:
    return (
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,'
        b'"delta":{"type":"%b","%b":%b}}\n\n'
        % (index, kind.encode(), name.encode(), _encode(value))
    )


_TEXT_DELTA = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,'
    b'"delta":{"type":"text_delta","text":%b}}\n\n'
)


class StreamWriter:
    """Writes a Messages stream."""

    several = False
    __slots__ = ("_begun", "_foreign", "_usage")

    def __init__(self) -> None:
        self._begun = -1  # the block that was begun last
        self._foreign = ""  # the mark of thinking that another dialect signed
        self._usage = Usage()

    def write(self, delta: Delta) -> bytes:
        """The events that say this delta."""
        return _WRITE[type(delta)](self, delta)

    def _words(self, delta: TextDelta | RefusalDelta) -> bytes:
        """Nearly all that an answer is: but for the words only the block's place changes."""
        said = _TEXT_DELTA % (delta.index, _encode(delta.text))
        return said if delta.index == self._begun else self._start(delta.index, _TEXT) + said

    def _start(self, index: int, block: dict[str, Any]) -> bytes:
        if index == self._begun:
            return b""
        self._begun = index
        return _event(
            "content_block_start",
            {"type": "content_block_start", "index": index, "content_block": block},
        )

    def _opened(self, delta: Opened) -> bytes:
        return message_start(delta.id, delta.model, self._usage)

    def _thinking(self, delta: ThinkingDelta) -> bytes:
        index = delta.index
        if delta.origin != DIALECT:
            # Its signature goes behind the last of it, in a form that is known when it returns.
            self._foreign = signed(Thinking("", delta.signature, delta.data, delta.origin))
        elif delta.data:
            return self._start(index, {"type": "redacted_thinking", "data": delta.data})
        said = self._start(index, _THINKING)
        if delta.text:
            said += _delta(index, "thinking_delta", "thinking", delta.text)
        if delta.signature and delta.origin == DIALECT:
            said += _delta(index, "signature_delta", "signature", delta.signature)
        return said

    def _call(self, delta: ToolCallBegun) -> bytes:
        id_, name = fitted(delta.id, ID_CHARS_MAX), delta.name
        return self._start(delta.index, {"type": "tool_use", "id": id_, "name": name, "input": {}})

    def _args(self, delta: ToolArgsDelta) -> bytes:
        return _delta(delta.index, "input_json_delta", "partial_json", delta.json)

    def _ended(self, delta: BlockEnded) -> bytes:
        said = b""
        if self._foreign:
            said = _delta(delta.index, "signature_delta", "signature", self._foreign)
            self._foreign = ""
        return said + _event(
            "content_block_stop", {"type": "content_block_stop", "index": delta.index}
        )

    def _seen(self, delta: UsageSeen) -> bytes:
        self._usage = delta.usage
        return b""

    def _likely(self, _: Odds) -> bytes:
        return b""  # this dialect has no place for it

    def _ping(self, _: Ping) -> bytes:
        return PING_EVENT

    def _stopped(self, delta: Stopped) -> bytes:
        stopped = {
            "type": "message_delta",
            "delta": {
                "stop_reason": STOP_NAMES[delta.stop],
                "stop_sequence": delta.sequence or None,
            },
            "usage": usage_body(self._usage),
        }
        return _event("message_delta", stopped) + MESSAGE_STOP

    def _fault(self, _: Fault) -> bytes:
        return b""


_WRITE: dict[type, Callable[..., bytes]] = {
    Opened: StreamWriter._opened,
    TextDelta: StreamWriter._words,
    RefusalDelta: StreamWriter._words,
    ThinkingDelta: StreamWriter._thinking,
    ToolCallBegun: StreamWriter._call,
    ToolArgsDelta: StreamWriter._args,
    BlockEnded: StreamWriter._ended,
    Odds: StreamWriter._likely,
    UsageSeen: StreamWriter._seen,
    Ping: StreamWriter._ping,
    Stopped: StreamWriter._stopped,
    Fault: StreamWriter._fault,
}


def usage_body(usage: Usage) -> dict[str, Any]:
    """Usage as this dialect writes it."""
    counts: dict[str, Any] = {"input_tokens": usage.input or 0, "output_tokens": usage.output or 0}
    if usage.cache_read is not None:
        counts["cache_read_input_tokens"] = usage.cache_read
    if usage.cache_write is not None:
        counts["cache_creation_input_tokens"] = usage.cache_write
    if usage.thought is not None:
        counts["output_tokens_details"] = {"thinking_tokens": usage.thought}
    return counts
