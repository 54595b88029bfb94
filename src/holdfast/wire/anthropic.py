"""Anthropic Messages: requests, whole answers, errors, after the provider's documented API.

The stream is in `wire.anthropic_stream`; what the functions promise, in `speech.Speaking`.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from holdfast.facts.calls import Headers
from holdfast.facts.outcomes import Said, Usage
from holdfast.wire.anthropic_stream import (
    STOP_NAMES,
    STOPS,
    UNNAMED,
    StreamReader,
    StreamWriter,
    merged,
    usage_body,
)
from holdfast.wire.said import read_said
from holdfast.wire.speech import (
    Answer,
    Ask,
    CannotCrossError,
    Sampling,
    Turn,
    Whole,
    refuse_the_rest,
)

PATH = "/v1/messages"
SURFACE = "messages"
# The version this module writes; requests that are passed on keep their own.
HEADERS: Headers = ((b"anthropic-version", b"2023-06-01"),)
OWN_PREFIXES: tuple[bytes, ...] = (b"anthropic-",)
OVERLOADED = 529
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


def stream_reader(model: str) -> StreamReader:
    """A reader of one stream; `model` is put where the opening is missing."""
    return StreamReader(model)


def stream_writer(asked: bytes, created: int) -> StreamWriter:  # noqa: ARG001 - others need them
    """A writer of one stream."""
    return StreamWriter()


# ------------------------------------------------------------- whole answers


class _Whole(Struct):
    content: Raw = Raw()
    usage: Raw = Raw()
    error: Raw = Raw()


class _Block(Struct):
    type: str = ""
    text: str = ""


class _Answer(Struct):
    content: list[_Block]
    id: str = ""
    model: str = ""
    stop_reason: str | None = None
    usage: Raw = Raw()


_encode = msgspec.json.encode
_decode_whole = msgspec.json.Decoder(_Whole).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode


def read_whole(body: bytes) -> Whole:
    """What a whole body is. Raises one of UNREADABLE when it is not a JSON object."""
    found = _decode_whole(body)
    return Whole(
        answer=bytes(found.content).startswith(b"["),
        error=bytes(found.error) not in (b"", b"null"),
        usage=merged(Usage(), found.usage),
    )


def read_answer(body: bytes) -> Answer:
    """A whole answer of text; thinking stays behind. Raises UNREADABLE or CannotCrossError."""
    found = _decode_answer(body)
    kinds = {block.type for block in found.content} - {"text", "thinking", "redacted_thinking"}
    if kinds:
        raise CannotCrossError(f"the answer holds {', '.join(sorted(kinds))}, not only text")
    return Answer(
        id=found.id,
        model=found.model,
        text="".join(block.text for block in found.content if block.type == "text"),
        stop=STOPS.get(found.stop_reason or "", "end"),
        usage=merged(Usage(), found.usage),
    )


def write_answer(answer: Answer, created: int) -> bytes:  # noqa: ARG001 - this dialect has no date
    """A whole answer for a Messages client."""
    return _encode(
        {
            "id": answer.id or UNNAMED,
            "type": "message",
            "role": "assistant",
            "model": answer.model,
            "content": [{"type": "text", "text": answer.text}],
            "stop_reason": STOP_NAMES[answer.stop],
            "stop_sequence": None,
            "usage": usage_body(answer.usage),
        }
    )


# ------------------------------------------------------------------ requests

# Dropped in crossing, without a change of meaning: book-keeping, marks for a cache.
_DROPPED = {"metadata", "service_tier", "cache_control", "model"}
# Said, yet it changes nothing.
_NEUTRAL = {"thinking": {"type": "disabled"}, "tool_choice": {"type": "none"}}


def _text(content: object, where: str, between: str = "\n\n") -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise CannotCrossError(f"{where} is neither text nor a list of blocks")
    parts = []
    for block in content:
        kind = block.get("type") if isinstance(block, dict) else type(block).__name__
        if not isinstance(block, dict) or kind != "text":
            raise CannotCrossError(f"{where} holds a block of type {kind}; only text crosses yet")
        left = {name for name in block if block[name] is not None}
        if left - {"type", "text", "cache_control"} or not isinstance(block.get("text"), str):
            raise CannotCrossError(f"{where} holds a text block with more than text")
        parts.append(block["text"])
    return between.join(parts)


def read_ask(body: bytes) -> Ask:
    """The request in the neutral form. Raises CannotCrossError; ValueError, TypeError, and
    AttributeError where it is not of the dialect.
    """
    fields: dict[str, Any] = msgspec.json.decode(body)
    turns = []
    for number, message in enumerate(fields.pop("messages", [])):
        role, where = message.get("role"), f"messages[{number}]"
        if role not in ("user", "assistant"):
            raise CannotCrossError(f"{where} has the role {role}, which cannot cross here yet")
        if set(message) - {"role", "content"}:
            raise CannotCrossError(f"{where} holds more than text")
        # What a model said goes on from block to block; what people send are separate texts.
        between = "" if role == "assistant" else "\n\n"
        turns.append(Turn(role, _text(message.get("content"), where, between)))
    if not turns or turns[-1].role != "user":
        raise CannotCrossError("the conversation does not end with the user's words")
    system = fields.pop("system", None)
    sampling = {
        "max_tokens": fields.pop("max_tokens", None),
        "temperature": fields.pop("temperature", None),
        "top_p": fields.pop("top_p", None),
        "stop": fields.pop("stop_sequences", None) or (),
        "stream": fields.pop("stream", None) or False,
    }
    refuse_the_rest(fields, _DROPPED, _NEUTRAL)
    return Ask(
        system="" if system is None else _text(system, "system"),
        turns=tuple(turns),
        sampling=msgspec.convert(sampling, Sampling),
    )


def write_ask(ask: Ask, model: str) -> bytes:
    """The request for a Messages target. Raises CannotCrossError."""
    if ask.turns[0].role != "user" or not all(turn.text.strip() for turn in ask.turns):
        raise CannotCrossError("this dialect wants the user first, and no empty message")
    sampling = ask.sampling
    if (sampling.temperature or 0.0) > 1.0:
        raise CannotCrossError("a temperature above 1 cannot be said in this dialect")
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": sampling.max_tokens or DEFAULT_MAX_TOKENS,
        "messages": [{"role": turn.role, "content": turn.text} for turn in ask.turns],
    }
    if ask.system:
        body["system"] = ask.system
    if sampling.temperature is not None:
        body["temperature"] = sampling.temperature
    if sampling.top_p is not None:
        body["top_p"] = sampling.top_p
    if sampling.stop:
        body["stop_sequences"] = list(sampling.stop)
    if sampling.stream:
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
    """Type, code and message of an error; empty where there is none. Never raises."""
    return read_said(body)


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
