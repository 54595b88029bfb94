"""The stream of Anthropic Messages, read and written.

After the provider's documented grammar: `message_start`, blocks with `content_block_start`,
`_delta` and `_stop`, `message_delta`, `message_stop`, `ping`, `error`. Unknown event types are
passed on, as the documentation demands of clients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from holdfast.facts.outcomes import (
    CONTENT,
    END,
    FAULT,
    OPENING,
    PING,
    Failure,
    FailureKind,
    PieceKind,
    Said,
    Usage,
    Where,
)
from holdfast.wire.said import read_said
from holdfast.wire.speech import UNREADABLE, CannotCrossError, Stop
from holdfast.wire.sse import SseEvent

UNNAMED = "msg_holdfast"
STOPS: dict[str, Stop] = {
    "end_turn": "end",
    "max_tokens": "length",
    "stop_sequence": "stop_sequence",
    "refusal": "refusal",
    "model_context_window_exceeded": "length",
}
STOP_NAMES: dict[Stop, str] = {
    "end": "end_turn",
    "length": "max_tokens",
    "stop_sequence": "stop_sequence",
    "refusal": "refusal",
}


class UsageFields(Struct):
    """Usage as this dialect writes it; input excludes what the cache read or took."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class _Message(Struct):
    id: str = ""
    model: str = ""
    usage: Raw = Raw()


class _Delta(Struct):
    type: str = ""
    text: str = ""
    stop_reason: str | None = None


class _Event(Struct):
    message: _Message | None = None
    delta: _Delta | None = None
    usage: Raw = Raw()
    index: int = 0


class _Flowing(Struct, gc=False):
    """Nearly every event of an answer; no other type of event can be read as one."""

    type: Literal["content_block_delta"]


class _Kind(Struct):
    type: str = ""


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


def merged(usage: Usage, raw: Raw) -> Usage:
    """The usage so far, with what is found here put over it; all of it where that is odd."""
    try:
        found = _decode_usage(raw)
    except UNREADABLE:
        return usage
    return Usage(
        _newest(found.input_tokens, usage.input),
        _newest(found.output_tokens, usage.output),
        _newest(found.cache_read_input_tokens, usage.cache_read),
        _newest(found.cache_creation_input_tokens, usage.cache_write),
    )


def _newest(new: int | None, old: int | None) -> int | None:
    return old if new is None else new


class StreamReader:
    """Reads a Messages stream.

    Only the type of an event is decoded until it matters; after the first content that is all
    that most events need.
    """

    __slots__ = ("_model", "_opened", "failure", "id", "missing", "model", "spoke", "stop", "usage")

    def __init__(self, model: str) -> None:
        self.usage = Usage()
        self.stop: Stop | None = None
        self.id = ""
        self.model = ""
        self.spoke = False
        self.missing = b""
        self.failure: Failure | None = None
        self._model = model
        self._opened = False

    def read(self, event: SseEvent) -> PieceKind:
        """What this event is. Never raises."""
        data = event.data
        if self.missing:
            self.missing = b""
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
            if not self._opened and kind in _GRAMMAR:
                self._mend(kind, data)
            return step(self, data)
        if not kind and read_said(data) == Said():
            return self._fault("garbage", "an event of the stream has no type")
        return PING if kind else self._error(data)

    def _mend(self, kind: str, data: bytes) -> None:
        """llama.cpp leaves out the opening when the first token is half a character."""
        self._opened = True
        if kind == "message_start":
            return
        self.missing = _message_start("", self._model)
        if kind == "content_block_delta":
            seen = _loosely(data)
            thinks = seen.delta is not None and seen.delta.type == "thinking_delta"
            self.missing += _block_start(seen.index, "thinking" if thinks else "text")

    def _message_start(self, data: bytes) -> PieceKind:
        message = _loosely(data).message
        if message is not None:
            self.id, self.model = message.id, message.model
            self.usage = merged(self.usage, message.usage)
        return OPENING

    def _block_start(self, _: bytes) -> PieceKind:
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
        words = read_said(data) if data else Said()
        if not words.message and not words.type:
            words = Said(message=data[:500].decode("utf-8", "replace"))
        text = f"the stream says {words.type or 'error'}: {words.message}"[:500]
        return self._fault("error_event", text, words)

    def _fault(self, kind: FailureKind, text: str, words: Said | None = None) -> PieceKind:
        where: Where = "in_stream" if self.spoke else "body"
        self.failure = Failure(kind=kind, where=where, text=text, said=words or Said())
        return FAULT

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

    def text(self, event: SseEvent) -> str | None:
        """The text of a CONTENT event; "" for thinking, None for what says nothing."""
        delta = _loosely(event.data).delta
        if delta is None:
            return None
        if delta.stop_reason in ("tool_use", "pause_turn"):
            raise CannotCrossError("the answer waits for a tool, which cannot cross yet")
        if not delta.type:
            return None
        if delta.type == "text_delta":
            return delta.text
        if delta.type == "input_json_delta":
            raise CannotCrossError("the answer calls a tool, which cannot cross yet")
        return ""

    def closing(self) -> bytes | None:
        """Some providers end with a stop reason and no `message_stop`: the answer is whole."""
        return None if self.stop is None else _event("message_stop", {"type": "message_stop"})


# What each type of event does to the reader; the class's own table, outside it because it names
# its methods. A type that is not here is passed on like a ping.
# ruff: noqa: SLF001
_STEPS: dict[str, Callable[[StreamReader, bytes], PieceKind]] = {
    "content_block_delta": StreamReader._block_delta,
    "content_block_start": StreamReader._block_start,
    "content_block_stop": StreamReader._block_start,
    "message_start": StreamReader._message_start,
    "message_delta": StreamReader._message_delta,
    "message_stop": StreamReader._message_stop,
    "error": StreamReader._error,
}
# These may only stand behind `message_start`.
_GRAMMAR = frozenset(_STEPS) - {"error", "message_stop"}


def _event(name: str, data: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), _encode(data))


def _message_start(id_: str, model: str) -> bytes:
    message: dict[str, Any] = {
        "id": id_ or UNNAMED,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 0, "output_tokens": 0},
    }
    return _event("message_start", {"type": "message_start", "message": message})


def _block_start(index: int, kind: str) -> bytes:
    block = {"type": kind, kind: ""} | ({"signature": ""} if kind == "thinking" else {})
    fields = {"type": "content_block_start", "index": index, "content_block": block}
    return _event("content_block_start", fields)


_TEXT_DELTA = (
    b"event: content_block_delta\ndata: "
    b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":'
)


class StreamWriter:
    """Writes a Messages stream with one text block."""

    __slots__ = ()

    def opening(self, id_: str, model: str) -> bytes:
        return _message_start(id_, model) + _block_start(0, "text")

    def ping(self) -> bytes:
        return b'event: ping\ndata: {"type":"ping"}\n\n'

    def text(self, text: str) -> bytes:
        return b"%b%b}}\n\n" % (_TEXT_DELTA, _encode(text))

    def end(self, stop: Stop, usage: Usage) -> bytes:
        delta = {"stop_reason": STOP_NAMES[stop], "stop_sequence": None}
        return (
            _event("content_block_stop", {"type": "content_block_stop", "index": 0})
            + _event(
                "message_delta",
                {"type": "message_delta", "delta": delta, "usage": usage_body(usage)},
            )
            + _event("message_stop", {"type": "message_stop"})
        )


def usage_body(usage: Usage) -> dict[str, int]:
    """Usage as this dialect writes it."""
    counts = {"input_tokens": usage.input or 0, "output_tokens": usage.output or 0}
    if usage.cache_read is not None:
        counts["cache_read_input_tokens"] = usage.cache_read
    if usage.cache_write is not None:
        counts["cache_creation_input_tokens"] = usage.cache_write
    return counts
