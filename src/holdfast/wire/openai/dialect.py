"""OpenAI Chat Completions: requests, whole answers, errors, after the documented API.

The stream is in `wire.openai.stream`; what the functions promise, in `speech.Speaking`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from holdfast.facts.calls import Headers
from holdfast.facts.outcomes import Said
from holdfast.wire.fitting import fitted
from holdfast.wire.freeform import input_of
from holdfast.wire.openai import ask as openai_ask
from holdfast.wire.openai.mend import Mender
from holdfast.wire.openai.older import speaks_older
from holdfast.wire.openai.stream import (
    STOPS,
    UNNAMED,
    DeltaReader,
    StreamReader,
    StreamWriter,
    Words,
    losses,
    read_usage,
    spoken,
    stop_name,
    usage_body,
)
from holdfast.wire.said import read_said
from holdfast.wire.speech import (
    UNREADABLE,
    Answer,
    Ask,
    CannotCrossError,
    Choice,
    Model,
    Part,
    Refusal,
    Takes,
    Text,
    Thinking,
    ToolCall,
    Whole,
)
from holdfast.wire.sse import SseReader

DIALECT = openai_ask.DIALECT
PATH = "/v1/chat/completions"
SURFACE = "chat"
TURNS = "messages"
STREAM = b"text/event-stream; charset=utf-8"
HEADERS: Headers = ()
OWN_PREFIXES: tuple[bytes, ...] = (b"openai-",)
OVERLOADED = 503
ID_CHARS_MAX = openai_ask.ID_CHARS_MAX
NAME_CHARS_MAX = openai_ask.NAME_CHARS_MAX
SIGNS = False
COUNT_PATH = ""
MODELS_PATH = "/v1/models"
read_ask = openai_ask.read_ask
write_ask = openai_ask.write_ask
_BY_STATUS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


class _StreamOptions(Struct):
    include_usage: bool | None = None


class _Options(Struct):
    stream_options: _StreamOptions | None = None


class _Whole(Struct, gc=False):
    choices: Raw = Raw()
    usage: Raw = Raw()
    error: Raw = Raw()


class _Choice(Struct):
    message: Words
    finish_reason: str | None = None
    logprobs: Raw = Raw()


class _Answer(Struct):
    choices: list[_Choice]
    id: str | None = None
    model: str | None = None
    usage: Raw = Raw()


_encode = msgspec.json.encode
_decode_options = msgspec.json.Decoder(_Options).decode
_decode_whole = msgspec.json.Decoder(_Whole).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode


def path(model: str, *, stream: bool) -> str:  # noqa: ARG001 - others name the model in it
    """Where a request for an answer goes."""
    return PATH


def own(body: bytes, takes: Takes) -> bytes:  # noqa: ARG001 - nothing is signed here
    """The request as it is: nothing in this dialect is signed."""
    return body


def frames() -> SseReader:
    """A framer for one stream."""
    return SseReader()


def stream_reader(model: str) -> StreamReader:
    """A reader of one stream that passes; `model` is said where the stream names none."""
    return StreamReader(model)


def event_mender(model: str, created: int) -> Mender:
    """A mender of one stream that passes from an engine."""
    return Mender(model, created)


def delta_reader(model: str) -> DeltaReader:
    """A reader of one stream that crosses; `model` is said where the stream names none."""
    return DeltaReader(model)


def stream_writer(asked: bytes, created: int) -> StreamWriter:
    """A writer of one stream, with usage where the client asked for it."""
    try:
        options = _decode_options(asked).stream_options
    except UNREADABLE:
        options = None
    usage_asked = options is not None and options.include_usage is True
    older, custom = speaks_older(asked), openai_ask.customs(asked)
    return StreamWriter(created, usage_asked=usage_asked, older=older, custom=custom)


def shows_thoughts(asked: bytes) -> bool:  # noqa: ARG001 - they stand beside the words
    """Always: no program takes them for the answer."""
    return True


# ------------------------------------------------------------- whole answers


def read_whole(body: bytes) -> Whole:
    """What a whole body is. Raises one of UNREADABLE when it is not a JSON object."""
    found = _decode_whole(body)
    choices = bytes(found.choices)
    return Whole(
        answer=choices.startswith(b"[") and bool(choices[1:-1].strip()),
        error=bytes(found.error) not in (b"", b"null"),
        usage=read_usage(found.usage),
    )


def read_answer(body: bytes) -> Answer:
    """A whole answer. Raises UNREADABLE or CannotCrossError."""
    found = _decode_answer(body)
    if not found.choices:
        raise CannotCrossError("the answer holds no choice")
    return Answer(
        id=found.id or "",
        model=found.model or "",
        choices=tuple(map(_choice, found.choices)),
        usage=read_usage(found.usage),
        lost=tuple(dict.fromkeys(loss for one in found.choices for loss in losses(one.message))),
    )


def _choice(choice: _Choice) -> Choice:
    words = choice.message
    parts: list[Part] = []
    thought, text = spoken(words)
    if thought:
        parts.append(Thinking(text=thought, origin=DIALECT))
    if text:
        parts.append(Text(text))
    if words.refusal:
        parts.append(Refusal(words.refusal))
    for call in words.tool_calls or ():
        function = call.function
        if function is None or not function.name:
            raise CannotCrossError("the answer calls a tool without a name")
        parts.append(ToolCall(call.id or "", function.name, function.arguments or "{}"))
    stop = STOPS.get(choice.finish_reason or "", "end")
    if words.refusal and not text:
        stop = "refusal"
    logprobs = bytes(choice.logprobs)
    return Choice(tuple(parts), stop, logprobs=b"" if logprobs == b"null" else logprobs)


def write_answer(answer: Answer, created: int) -> bytes:
    """A whole answer for a Chat client. Raises CannotCrossError."""
    older, custom = speaks_older(answer.asked), openai_ask.customs(answer.asked)
    choices = [
        {
            "index": number,
            "message": _message(choice, older=older, custom=custom),
            "logprobs": Raw(choice.logprobs) if choice.logprobs else None,
            "finish_reason": stop_name(choice.stop, refused=_refuses(choice), older=older),
        }
        for number, choice in enumerate(answer.choices)
    ]
    return _encode(
        {
            "id": answer.id or UNNAMED,
            "object": "chat.completion",
            "created": created,
            "model": answer.model,
            "choices": choices,
            "usage": usage_body(answer.usage),
        }
    )


def _refuses(choice: Choice) -> bool:
    return any(isinstance(part, Refusal) for part in choice.parts)


def _message(choice: Choice, *, older: bool, custom: frozenset[str]) -> dict[str, Any]:
    text = "".join(part.text for part in choice.parts if isinstance(part, Text))
    refusal = "".join(part.text for part in choice.parts if isinstance(part, Refusal))
    thought = "".join(part.text for part in choice.parts if isinstance(part, Thinking))
    calls = [part for part in choice.parts if isinstance(part, ToolCall)]
    content = text or (None if calls or refusal else "")
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": refusal or None}
    if thought:
        message["reasoning_content"] = thought
    if calls and older:  # there is room for one; for another the model asks again
        call = calls[0]
        message["function_call"] = {"name": call.name, "arguments": call.arguments}
    elif calls:
        message["tool_calls"] = [_call(call, custom) for call in calls]
    return message


def _call(call: ToolCall, custom: frozenset[str]) -> dict[str, Any]:
    id_ = fitted(call.id, ID_CHARS_MAX)
    if call.name in custom:
        given = {"name": call.name, "input": input_of(call.arguments)}
        return {"id": id_, "type": "custom", "custom": given}
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": id_, "type": "function", "function": function}


# ------------------------------------------------------------------ counting


def write_count(ask: Ask, model: str) -> bytes:  # noqa: ARG001 - a promise of the protocol
    """Nobody counts in this dialect: raises CannotCrossError."""
    raise CannotCrossError("tokens cannot be counted in this dialect")


def read_count(body: bytes) -> int:  # noqa: ARG001 - a promise of the protocol
    """Nobody counts in this dialect: raises CannotCrossError."""
    raise CannotCrossError("tokens cannot be counted in this dialect")


def write_count_answer(tokens: int) -> bytes:  # noqa: ARG001 - a promise of the protocol
    """Nobody counts in this dialect: raises CannotCrossError."""
    raise CannotCrossError("tokens cannot be counted in this dialect")


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
    """An error inside a stream; the SDKs raise on it."""
    return b"data: " + error_body(type_, message) + b"\n\n"


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
