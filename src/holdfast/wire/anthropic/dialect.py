"""Anthropic Messages: requests, whole answers, errors, after the provider's documented API.

The stream is in `wire.anthropic.stream`; what the functions promise, in `speech.Speaking`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Raw, Struct

from holdfast.facts.calls import Headers
from holdfast.facts.losses import Lost
from holdfast.facts.outcomes import Said
from holdfast.wire.anthropic import ask as anthropic_ask
from holdfast.wire.anthropic.ask import signed, thinking_of
from holdfast.wire.anthropic.mend import Mender
from holdfast.wire.anthropic.stream import (
    STOP_NAMES,
    STOPS,
    UNNAMED,
    DeltaReader,
    StreamReader,
    StreamWriter,
    explained,
    runs,
    usage_body,
    usage_of,
)
from holdfast.wire.fitting import fitted
from holdfast.wire.listing import asked_of, limit_of, page
from holdfast.wire.said import read_said
from holdfast.wire.speech import (
    CITED,
    RAN,
    STRANGE,
    UNREADABLE,
    Answer,
    Ask,
    CannotCrossError,
    Choice,
    Model,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    Whole,
)
from holdfast.wire.sse import SseReader

DIALECT = anthropic_ask.DIALECT
PATH = "/v1/messages"
SURFACE = "messages"
TURNS = "messages"
STREAM = b"text/event-stream; charset=utf-8"
# The version this module writes; requests that are passed on keep their own.
HEADERS: Headers = ((b"anthropic-version", b"2023-06-01"),)
OWN_PREFIXES: tuple[bytes, ...] = (b"anthropic-",)
OVERLOADED = 529
ID_CHARS_MAX = anthropic_ask.ID_CHARS_MAX
NAME_CHARS_MAX = anthropic_ask.NAME_CHARS_MAX
SIGNS = True
COUNT_PATH = "/v1/messages/count_tokens"
MODELS_PATH = "/v1/models?limit=1000"
own = anthropic_ask.own
read_ask = anthropic_ask.read_ask
write_ask = anthropic_ask.write_ask
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


def path(model: str, *, stream: bool) -> str:  # noqa: ARG001 - others name the model in it
    """Where a request for an answer goes."""
    return PATH


def frames() -> SseReader:
    """A framer for one stream."""
    return SseReader()


def stream_reader(model: str) -> StreamReader:  # noqa: ARG001 - a promise of the protocol
    """A reader of one stream that passes."""
    return StreamReader()


def event_mender(model: str, created: int) -> Mender:  # noqa: ARG001 - a promise of the protocol
    """A mender of one stream that passes from an engine."""
    return Mender(model)


def delta_reader(model: str) -> DeltaReader:
    """A reader of one stream that crosses; `model` is said where the stream names none."""
    return DeltaReader(model)


def stream_writer(asked: bytes, created: int) -> StreamWriter:  # noqa: ARG001 - others need them
    """A writer of one stream."""
    return StreamWriter()


class _Kind(Struct):
    type: str = ""


class _Asked(Struct):
    thinking: _Kind | None = None


_decode_asked = msgspec.json.Decoder(_Asked).decode


def shows_thoughts(asked: bytes) -> bool:
    """Whether a request asks for thinking: programs that do not take the first block for words."""
    try:
        thinking = _decode_asked(asked).thinking
    except UNREADABLE:
        return True
    return thinking is not None and thinking.type != "disabled"


# ------------------------------------------------------------- whole answers


class _Whole(Struct, gc=False):
    content: Raw = Raw()
    usage: Raw = Raw()
    error: Raw = Raw()


class _Block(Struct):
    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    data: str = ""
    id: str = ""
    name: str = ""
    input: Raw = Raw()
    citations: Raw = Raw()


class _Answer(Struct):
    content: list[_Block]
    id: str = ""
    model: str = ""
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: Raw = Raw()
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
        usage=usage_of(found.usage),
    )


def read_answer(body: bytes) -> Answer:
    """A whole answer. Raises UNREADABLE or CannotCrossError."""
    found = _decode_answer(body)
    parts: tuple[Part, ...] = tuple(
        part for block in found.content if (part := _part(block)) is not None
    )
    said = explained(found.stop_details)
    if said and not any(isinstance(part, Text | ToolCall) for part in parts):
        parts = (*parts, Refusal(said))
    choice = Choice(parts, STOPS.get(found.stop_reason or "", "end"), found.stop_sequence or "")
    lost = tuple(dict.fromkeys(loss for block in found.content for loss in _losses(block)))
    return Answer(
        id=found.id,
        model=found.model,
        choices=(choice,),
        usage=usage_of(found.usage),
        lost=lost,
    )


_CARRIED = ("text", "tool_use", "thinking", "redacted_thinking")


def _losses(block: _Block) -> Iterator[Lost]:
    if runs(block.type):
        yield RAN
    elif block.type not in _CARRIED:
        yield STRANGE
    if bytes(block.citations) not in (b"", b"null", b"[]"):
        yield CITED


def _part(block: _Block) -> Part | None:
    kind = block.type
    if kind == "text":
        return Text(block.text) if block.text else None
    if kind == "tool_use":
        given = bytes(block.input).decode() or "{}"
        if not block.name or not given.startswith("{"):
            raise CannotCrossError("the answer calls a tool without a name or arguments")
        return ToolCall(block.id, block.name, given)
    if kind == "thinking":
        return thinking_of(block.thinking, block.signature)
    if kind == "redacted_thinking":
        return Thinking(data=block.data, origin=DIALECT)
    if not kind:
        raise CannotCrossError("the answer holds a block without a type")
    return None  # it is named as a loss


def write_answer(answer: Answer, created: int) -> bytes:  # noqa: ARG001 - this dialect has no date
    """A whole answer for a Messages client. Raises CannotCrossError where it is several."""
    if len(answer.choices) != 1:
        raise CannotCrossError(f"the answer holds {len(answer.choices)} choices, not one")
    choice = answer.choices[0]
    return _encode(
        {
            "id": answer.id or UNNAMED,
            "type": "message",
            "role": "assistant",
            "model": answer.model,
            "content": [_written(part) for part in choice.parts],
            "stop_reason": STOP_NAMES[choice.stop],
            "stop_sequence": choice.sequence or None,
            "usage": usage_body(answer.usage),
        }
    )


def _written(part: Part) -> dict[str, Any]:
    if isinstance(part, Text | Refusal):
        return {"type": "text", "text": part.text}
    if isinstance(part, ToolCall):
        given = Raw(part.arguments.encode())
        id_ = fitted(part.id, ID_CHARS_MAX)
        return {"type": "tool_use", "id": id_, "name": part.name, "input": given}
    if isinstance(part, Thinking):
        if part.data and part.origin == DIALECT:
            return {"type": "redacted_thinking", "data": part.data}
        return {"type": "thinking", "thinking": part.text, "signature": signed(part)}
    raise CannotCrossError(f"the answer holds a {type(part).__name__}")


# ------------------------------------------------------------------ counting

# What of a request does not count, and is refused where tokens are counted.
_UNCOUNTED = (
    "max_tokens",
    "metadata",
    "stop_sequences",
    "stream",
    "temperature",
    "top_k",
    "top_p",
)


class _Count(Struct):
    input_tokens: int


def write_count(ask: Ask, model: str) -> bytes:
    """The question how many tokens this is. Raises CannotCrossError."""
    fields: dict[str, Raw] = msgspec.json.decode(write_ask(ask, model).body, type=dict[str, Raw])
    return _encode({name: fields[name] for name in fields if name not in _UNCOUNTED})


def read_count(body: bytes) -> int:
    """The number in its answer. Raises one of UNREADABLE."""
    return msgspec.json.decode(body, type=_Count).input_tokens


def write_count_answer(tokens: int) -> bytes:
    """The number as this dialect's clients read it."""
    return _encode({"input_tokens": tokens})


# -------------------------------------------------------------------- errors


def error_type(status: int) -> str:
    """The dialect's error type for a status."""
    return _BY_STATUS.get(status, "api_error" if status >= 500 else "invalid_request_error")


def error_body(type_: str, message: str, code: str = "", status: int = 0) -> bytes:  # noqa: ARG001
    """An error in the dialect's envelope."""
    return _encode({"type": "error", "error": {"type": type_, "message": message}})


def too_long(message: str) -> bytes:
    """The error for a prompt that is too long: coding tools know it by these words."""
    return error_body(error_type(400), f"prompt is too long: {message}")


def error_event(type_: str, message: str) -> bytes:
    """An error inside a stream; the SDKs raise on it."""
    return b"event: error\ndata: " + error_body(type_, message) + b"\n\n"


def said(body: bytes) -> Said:
    """Type, code and message of an error; empty where there is none. Never raises."""
    return read_said(body)


def models_body(models: Sequence[Model], query: str) -> bytes:
    """The part of a list of models that the query asks for. Raises BadBodyError."""
    asked = asked_of(query)
    name = "before_id" if asked.get("before_id") else "after_id"
    part, more = page(
        models,
        limit_of(asked, "limit"),
        after=asked.get("after_id", "") if name == "after_id" else "",
        before=asked.get("before_id", ""),
        name=name,
    )
    return _encode(
        {
            "data": [_model(model) for model in part],
            "has_more": more,
            "first_id": part[0].id if part else None,
            "last_id": part[-1].id if part else None,
        }
    )


def model_body(model: Model) -> bytes:
    """One model as this dialect's clients read it."""
    return _encode(_model(model))


def _model(model: Model) -> dict[str, Any]:
    created = datetime.fromtimestamp(model.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.title or model.id,
        "created_at": created,
        "max_input_tokens": model.context_tokens,
        "lifecycle": "active",
    }
