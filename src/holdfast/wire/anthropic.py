"""Anthropic Messages.

After the provider's documented API: request fields, the stream's grammar (`message_start`, blocks
with `content_block_start/_delta/_stop`, `message_delta`, `message_stop`, `ping`, `error`), the
error envelope. Unknown event types are passed on, as the documentation demands of clients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from holdfast.facts.calls import Headers
from holdfast.facts.outcomes import Failure, FailureKind, PieceKind, Said, Usage, Where
from holdfast.wire.speech import Answer, Ask, CannotCrossError, Stop, Turn
from holdfast.wire.sse import SseEvent

DIALECT = "anthropic"
PATH = "/v1/messages"
TEXT_SURFACE = "messages"
# The version this module writes; requests that are passed on keep their own.
EXTRA_HEADERS: Headers = ((b"anthropic-version", b"2023-06-01"),)
DEFAULT_MAX_TOKENS = 4096
_BY_STATUS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    415: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_STOPS: dict[str, Stop] = {
    "end_turn": "end",
    "max_tokens": "length",
    "stop_sequence": "stop_sequence",
    "refusal": "refusal",
}
_STOP_NAMES = {stop: name for name, stop in _STOPS.items()}


class _Usage(Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class _Block(Struct):
    type: str = ""
    text: str = ""


class _Message(Struct):
    id: str = ""
    model: str = ""
    usage: _Usage | None = None
    content: list[_Block] = []
    stop_reason: str | None = None
    type: str = ""
    error: Any = None


class _Delta(Struct):
    type: str = ""
    text: str = ""
    stop_reason: str | None = None


class _Event(Struct):
    type: str
    message: _Message | None = None
    delta: _Delta | None = None
    usage: _Usage | None = None
    error: Any = None


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_message = msgspec.json.Decoder(_Message).decode
_encode = msgspec.json.encode


def _merged(usage: Usage, found: _Usage | None) -> Usage:
    if found is None:
        return usage

    def pick(new: int | None, old: int | None) -> int | None:
        return old if new is None else new

    return Usage(
        input=pick(found.input_tokens, usage.input),
        output=pick(found.output_tokens, usage.output),
        cache_read=pick(found.cache_read_input_tokens, usage.cache_read),
        cache_write=pick(found.cache_creation_input_tokens, usage.cache_write),
    )


class StreamReader:
    """Reads a Messages stream."""

    __slots__ = ("_opened", "_spoke", "failure", "id", "model", "stop", "usage")

    def __init__(self) -> None:
        self.usage = Usage()
        self.stop: Stop | None = None
        self.id = ""
        self.model = ""
        self.failure: Failure | None = None
        self._opened = False
        self._spoke = False

    def read(self, event: SseEvent) -> PieceKind:
        if not event.data:
            return PieceKind.PING
        try:
            seen = _decode_event(event.data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self._fault("garbage", "an event of the stream is not of the dialect")
        if seen.type == "content_block_delta":  # nearly all of them
            self._spoke = True
            return PieceKind.CONTENT
        step = _STEPS.get(seen.type)
        return PieceKind.PING if step is None else step(self, seen, event.data)

    def _block_start(self, _: _Event, __: bytes) -> PieceKind:
        return PieceKind.OPENING

    def _block_stop(self, _: _Event, __: bytes) -> PieceKind:
        return PieceKind.CONTENT if self._spoke else PieceKind.OPENING

    def _message_start(self, seen: _Event, _: bytes) -> PieceKind:
        self._opened = True
        if seen.message is not None:
            self.id, self.model = seen.message.id, seen.message.model
            self.usage = _merged(self.usage, seen.message.usage)
        return PieceKind.OPENING

    def _message_delta(self, seen: _Event, _: bytes) -> PieceKind:
        self.usage = _merged(self.usage, seen.usage)
        if seen.delta is not None and seen.delta.stop_reason is not None:
            self.stop = _STOPS.get(seen.delta.stop_reason, "end")
        return PieceKind.CONTENT

    def _message_stop(self, _: _Event, __: bytes) -> PieceKind:
        if not self._spoke and self.stop is None:
            return self._fault("empty", "the answer ended without a word")
        return PieceKind.END

    def _error(self, _: _Event, data: bytes) -> PieceKind:
        words = said(data)
        text = f"the stream says {words.type or 'error'}: {words.message}"
        return self._fault("error_event", text, words)

    def _fault(self, kind: FailureKind, text: str, words: Said | None = None) -> PieceKind:
        where: Where = "in_stream" if self._spoke else "body"
        self.failure = Failure(kind=kind, where=where, text=text, said=words or Said())
        return PieceKind.FAULT

    def text(self, event: SseEvent) -> str:
        if not event.data:
            return ""
        seen = _decode_event(event.data)
        return seen.delta.text if seen.delta is not None else ""

    def rescue(self, event: SseEvent) -> bytes:
        """llama.cpp leaves out `message_start` when the first token is half a character."""
        if self._opened or not event.event.startswith(b"content_block"):
            return b""
        self._opened = True
        head = StreamWriter().opening("msg_holdfast", self.model)
        if event.event == b"content_block_start":
            return head.split(b"event: content_block_start")[0]
        return head

    def closing(self) -> bytes | None:
        """Some providers end with a stop reason and no `message_stop`: the answer is whole."""
        if self.stop is None:
            return None
        return _event("message_stop", {"type": "message_stop"})


# What each type of event does to the reader; the class's own table, outside it because it names
# its methods. A type that is not here is passed on like a ping.
# ruff: noqa: SLF001
_STEPS: dict[str, Callable[[StreamReader, _Event, bytes], PieceKind]] = {
    "content_block_start": StreamReader._block_start,
    "content_block_stop": StreamReader._block_stop,
    "message_start": StreamReader._message_start,
    "message_delta": StreamReader._message_delta,
    "message_stop": StreamReader._message_stop,
    "error": StreamReader._error,
}


def _event(name: str, data: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), _encode(data))


class StreamWriter:
    """Writes a Messages stream with one text block."""

    __slots__ = ()

    def opening(self, id_: str, model: str) -> bytes:
        message: dict[str, Any] = {
            "id": id_ or "msg_holdfast",
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 0, "output_tokens": 0},
        }
        block = {"type": "text", "text": ""}
        return _event("message_start", {"type": "message_start", "message": message}) + _event(
            "content_block_start",
            {"type": "content_block_start", "index": 0, "content_block": block},
        )

    def text(self, text: str) -> bytes:
        delta = {"type": "text_delta", "text": text}
        return _event(
            "content_block_delta", {"type": "content_block_delta", "index": 0, "delta": delta}
        )

    def end(self, stop: Stop, usage: Usage) -> bytes:
        delta = {"stop_reason": _STOP_NAMES[stop], "stop_sequence": None}
        return (
            _event("content_block_stop", {"type": "content_block_stop", "index": 0})
            + _event(
                "message_delta",
                {"type": "message_delta", "delta": delta, "usage": _usage(usage)},
            )
            + _event("message_stop", {"type": "message_stop"})
        )


def _usage(usage: Usage) -> dict[str, int]:
    counts = {"input_tokens": usage.input or 0, "output_tokens": usage.output or 0}
    if usage.cache_read is not None:
        counts["cache_read_input_tokens"] = usage.cache_read
    if usage.cache_write is not None:
        counts["cache_creation_input_tokens"] = usage.cache_write
    return counts


# ------------------------------------------------------------- whole answers


def read_usage(body: bytes) -> Usage:
    """The usage of a whole answer. Raises msgspec.DecodeError when it is not of the dialect."""
    message = _decode_message(body)
    return _merged(Usage(), message.usage)


def read_answer(body: bytes) -> Answer:
    """A whole answer of text. Raises msgspec.DecodeError or CannotCrossError."""
    message = _decode_message(body)
    if any(block.type != "text" for block in message.content):
        raise CannotCrossError("the answer holds more than text")
    return Answer(
        id=message.id,
        model=message.model,
        text="".join(block.text for block in message.content),
        stop=_STOPS.get(message.stop_reason or "", "end"),
        usage=_merged(Usage(), message.usage),
    )


def write_answer(answer: Answer) -> bytes:
    """A whole answer for a Messages client."""
    return _encode(
        {
            "id": answer.id or "msg_holdfast",
            "type": "message",
            "role": "assistant",
            "model": answer.model,
            "content": [{"type": "text", "text": answer.text}],
            "stop_reason": _STOP_NAMES[answer.stop],
            "stop_sequence": None,
            "usage": _usage(answer.usage),
        }
    )


# ------------------------------------------------------------------ requests

# Dropped in crossing, without a change of meaning: book-keeping and service hints.
_DROPPED = {"metadata", "service_tier", "model"}


def _text(content: object, where: str) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise CannotCrossError(f"{where} is neither text nor a list of blocks")
    parts = []
    for block in content:
        if not isinstance(block, dict) or block.get("type") != "text":
            kind = block.get("type") if isinstance(block, dict) else type(block).__name__
            raise CannotCrossError(f"{where} holds a block of type {kind}; only text crosses yet")
        if set(block) - {"type", "text", "cache_control"}:
            raise CannotCrossError(f"{where} holds a text block with more than text")
        parts.append(str(block.get("text", "")))
    return "".join(parts)


def read_ask(body: bytes) -> Ask:
    """The request in the neutral form. Raises CannotCrossError."""
    fields: dict[str, Any] = msgspec.json.decode(body)
    turns = []
    for number, message in enumerate(fields.pop("messages", [])):
        role = message.get("role")
        if role not in ("user", "assistant"):
            raise CannotCrossError(f"messages[{number}] has the role {role}")
        turns.append(Turn(role, _text(message.get("content"), f"messages[{number}]")))
    if not turns or turns[-1].role != "user":
        raise CannotCrossError("the conversation does not end with the user's words")
    system = fields.pop("system", None)
    ask = Ask(
        system="" if system is None else _text(system, "system"),
        turns=tuple(turns),
        max_tokens=fields.pop("max_tokens", None),
        temperature=fields.pop("temperature", None),
        top_p=fields.pop("top_p", None),
        stop=tuple(fields.pop("stop_sequences", None) or ()),
        stream=bool(fields.pop("stream", False)),
    )
    left = {name for name in fields if name not in _DROPPED and fields[name] not in (None, [])}
    if left:
        raise CannotCrossError(
            f"the request uses {', '.join(sorted(left))}, which cannot cross yet"
        )
    return ask


def write_ask(ask: Ask, model: str) -> bytes:
    """The request for a Messages target."""
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": ask.max_tokens or DEFAULT_MAX_TOKENS,
        "messages": [{"role": turn.role, "content": turn.text} for turn in ask.turns],
    }
    if ask.system:
        body["system"] = ask.system
    if ask.temperature is not None:
        # This dialect's range ends at 1, the other's at 2.
        body["temperature"] = min(ask.temperature, 1.0)
    if ask.top_p is not None:
        body["top_p"] = ask.top_p
    if ask.stop:
        body["stop_sequences"] = list(ask.stop)
    if ask.stream:
        body["stream"] = True
    return _encode(body)


# -------------------------------------------------------------------- errors


def error_type(status: int) -> str:
    """The dialect's error type for a status."""
    return _BY_STATUS.get(status, "api_error" if status >= 500 else "invalid_request_error")


def error_body(type_: str, message: str) -> bytes:
    """An error in the dialect's envelope."""
    return _encode({"type": "error", "error": {"type": type_, "message": message}})


def error_event(type_: str, message: str) -> bytes:
    """An error inside a stream; the SDKs raise on it."""
    return b"event: error\ndata: " + error_body(type_, message) + b"\n\n"


def said(body: bytes) -> Said:
    """Type, code and message of an error envelope; empty where there is none. Never raises."""
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Said()
    error = fields.get("error") if isinstance(fields, dict) else None
    if not isinstance(error, dict):
        return Said()
    details = error.get("details")
    code = details.get("error_code") if isinstance(details, dict) else None
    return Said(str(error.get("type") or ""), str(code or ""), str(error.get("message") or ""))


def models_body(ids: list[str]) -> bytes:
    """A list of models as this dialect's clients read it."""
    data = [
        {"type": "model", "id": id_, "display_name": id_, "created_at": "1970-01-01T00:00:00Z"}
        for id_ in ids
    ]
    return _encode(
        {
            "data": data,
            "has_more": False,
            "first_id": ids[0] if ids else None,
            "last_id": ids[-1] if ids else None,
        }
    )
