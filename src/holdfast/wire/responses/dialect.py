"""OpenAI Responses: requests, whole answers, errors, after the documented API.

The stream is in `wire.responses.stream`; what the functions promise, in `speech.Speaking`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from holdfast.facts.calls import Headers
from holdfast.facts.outcomes import Said
from holdfast.wire.responses import answer as responses_answer
from holdfast.wire.responses import ask as responses_ask
from holdfast.wire.responses.answer import (
    LAST_NUMBER,
    Response,
    answer_of,
    failed_event,
    is_error,
    read_usage,
)
from holdfast.wire.responses.ask import names_of
from holdfast.wire.responses.mend import Mender
from holdfast.wire.responses.stream import DeltaReader, StreamReader, StreamWriter
from holdfast.wire.said import read_said
from holdfast.wire.speech import UNREADABLE, Answer, Ask, BadBodyError, Model, Whole
from holdfast.wire.sse import SseReader

DIALECT: Final = responses_ask.DIALECT
PATH = "/v1/responses"
SURFACE = "responses"
TURNS = "input"
STREAM = b"text/event-stream; charset=utf-8"
HEADERS: Headers = ()
OWN_PREFIXES: tuple[bytes, ...] = (b"openai-",)
OVERLOADED = 503
ID_CHARS_MAX = responses_ask.ID_CHARS_MAX
NAME_CHARS_MAX = responses_ask.NAME_CHARS_MAX
SIGNS = True
COUNT_PATH = "/v1/responses/input_tokens"
MODELS_PATH = "/v1/models"
own = responses_ask.own
read_ask = responses_ask.read_ask
write_ask = responses_ask.write_ask
_BY_STATUS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_encode = msgspec.json.encode


def path(model: str, *, stream: bool) -> str:  # noqa: ARG001 - others name the model in it
    """Where a request for an answer goes."""
    return PATH


def frames() -> SseReader:
    """A framer for one stream."""
    return SseReader()


def stream_reader(model: str) -> StreamReader:
    """A reader of one stream that passes."""
    return StreamReader(DeltaReader(model))


def event_mender(model: str, created: int) -> Mender:
    """A mender of one stream that passes from an engine."""
    return Mender(model, created)


def delta_reader(model: str) -> DeltaReader:
    """A reader of one stream that crosses; `model` is said where the stream names none."""
    return DeltaReader(model)


def stream_writer(asked: bytes, created: int) -> StreamWriter:
    """A writer of one stream, for the client's own tools."""
    return StreamWriter(asked, created, names_of(asked))


# ------------------------------------------------------------------- requests


class _Shape(Struct):
    """The fields by which the dialects' requests are told apart."""

    input: Raw = Raw()
    messages: Raw = Raw()
    contents: Raw = Raw()
    conversation: Raw = Raw()
    previous_response_id: Raw = Raw()
    prompt: Raw = Raw()


_decode_shape = msgspec.json.Decoder(_Shape).decode


def is_ours(body: bytes) -> bool:
    """Whether a request that came as Chat's is one of this dialect: some clients send those.

    Quick where it is not. Never raises.
    """
    if b'"input"' not in body:
        return False
    try:
        shape = _decode_shape(body)
    except UNREADABLE:
        return False
    return bool(bytes(shape.input)) and not bytes(shape.messages)


def check(body: bytes) -> None:
    """Raises BadBodyError for a request of another dialect."""
    try:
        shape = _decode_shape(body)
    except UNREADABLE:
        return  # said by who reads it
    known = (shape.input, shape.prompt, shape.conversation, shape.previous_response_id)
    if any(bytes(field) for field in known):
        return
    for name, theirs in (("messages", "/v1/chat/completions or /v1/messages"), ("contents", "")):
        if bytes(getattr(shape, name)):
            raise BadBodyError(
                f"holdfast: `{name}` is of another dialect: {PATH} takes `input`."
                f" Send this body to {theirs or 'the path of a model, :generateContent'}."
            )
    raise BadBodyError("holdfast: `input` is missing; give a text or a list of items.")


class _Said(Struct):
    """What makes an item what it is."""

    type: str = ""
    role: str = ""
    content: Raw = Raw()


class _Items(Struct):
    input: list[_Said] | str = []


_decode_items = msgspec.json.Decoder(_Items).decode


def conversation(body: bytes, *, first_turns: bool = False) -> str:
    """A mark of a *continuing* conversation, as `peek.conversation` makes it."""
    try:
        said = _decode_items(body).input
    except UNREADABLE:
        return ""
    items = [_Said(role="user", content=Raw(_encode(said)))] if isinstance(said, str) else said
    unanswered = len(items) if first_turns else 0
    first = next((n for n, item in enumerate(items) if _is_models(item)), unanswered)
    digest = hashlib.blake2b(DIALECT.encode(), digest_size=12)
    for item in items[:first]:
        if item.role not in ("system", "developer"):
            digest.update(b"\0" + bytes(item.content))
    return digest.hexdigest() if first else ""


def _is_models(item: _Said) -> bool:
    if item.type in ("", "message"):
        return item.role == "assistant"
    return item.type == "reasoning" or item.type.endswith("_call")


def shows_thoughts(asked: bytes) -> bool:  # noqa: ARG001 - they stand beside the words
    """Always: no program takes them for the answer."""
    return True


# ------------------------------------------------------------- whole answers


class _Whole(Struct):
    output: Raw = Raw()
    usage: Raw = Raw()
    error: Raw = Raw()
    status: Any = None


_decode_whole = msgspec.json.Decoder(_Whole).decode
_decode_answer = msgspec.json.Decoder(Response).decode


def read_whole(body: bytes) -> Whole:
    """What a whole body is. Raises one of UNREADABLE when it is not a JSON object."""
    found = _decode_whole(body)
    return Whole(
        answer=bytes(found.output).startswith(b"[") and found.status != "failed",
        error=is_error(found.error),
        usage=read_usage(found.usage),
    )


def read_answer(body: bytes) -> Answer:
    """A whole answer. Raises UNREADABLE or CannotCrossError."""
    return answer_of(_decode_answer(body))


def write_answer(answer: Answer, created: int) -> bytes:
    """A whole answer for a Responses client. Raises CannotCrossError."""
    return responses_answer.write_answer(answer, created, answer.asked, names_of(answer.asked))


# ------------------------------------------------------------------ counting

# What of a request does not count, and is refused where tokens are counted.
_UNCOUNTED = (
    "include",
    "max_output_tokens",
    "store",
    "stream",
    "temperature",
    "top_logprobs",
    "top_p",
    "user",
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
    return _encode({"object": "response.input_tokens", "input_tokens": tokens})


# -------------------------------------------------------------------- errors


def error_type(status: int) -> str:
    """The dialect's error type for a status."""
    return _BY_STATUS.get(status, "server_error" if status >= 500 else "invalid_request_error")


def error_body(type_: str, message: str, code: str = "", status: int = 0) -> bytes:  # noqa: ARG001
    """An error in the dialect's envelope."""
    error = {"message": message, "type": type_, "param": None, "code": code or None}
    return _encode({"error": error})


def too_long(message: str) -> bytes:
    """The error for a prompt that is too long: clients know it by its code."""
    return error_body(error_type(400), message, "context_length_exceeded")


def error_event(type_: str, message: str) -> bytes:
    """An error inside a stream, said twice, as the provider does: SDKs raise on the error, and
    tools that look for the end of the response find that it failed.
    """
    code = "rate_limit_exceeded" if type_ == "rate_limit_error" else type_
    error = {"type": type_, "code": code, "message": message, "param": None}
    event = {
        "type": "error",
        "sequence_number": LAST_NUMBER,
        "code": code,
        "message": message,
        "param": None,
        "error": error,
    }
    return b"event: error\ndata: %b\n\n" % _encode(event) + failed_event(code, message)


def said(body: bytes) -> Said:
    """Type, code and message of an error; empty where there is none. Never raises."""
    return read_said(body)


def models_body(models: Sequence[Model], query: str) -> bytes:  # noqa: ARG001 - others page
    """A list of models as this dialect's clients read it."""
    return _encode({"object": "list", "data": [_model(model) for model in models]})


def model_body(model: Model) -> bytes:
    """One model as this dialect's clients read it."""
    return _encode(_model(model))


def _model(model: Model) -> dict[str, Any]:
    owner = model.id.partition("/")[0]
    return {"id": model.id, "object": "model", "created": model.created, "owned_by": owner}
