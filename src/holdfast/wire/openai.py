"""OpenAI Chat Completions: requests, whole answers, errors, after the documented API.

The stream is in `wire.openai_stream`; what the functions promise, in `speech.Speaking`.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from holdfast.facts.calls import Headers
from holdfast.facts.outcomes import Said
from holdfast.wire.openai_stream import (
    STOP_NAMES,
    STOPS,
    UNNAMED,
    StreamReader,
    StreamWriter,
    Words,
    read_usage,
    text_of,
    usage_body,
)
from holdfast.wire.said import read_said
from holdfast.wire.speech import (
    UNREADABLE,
    Answer,
    Ask,
    CannotCrossError,
    Sampling,
    Turn,
    Whole,
    refuse_the_rest,
)

PATH = "/v1/chat/completions"
SURFACE = "chat"
HEADERS: Headers = ()
OWN_PREFIXES: tuple[bytes, ...] = (b"openai-",)
OVERLOADED = 503
STOP_SEQUENCES_MAX = 4
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


class _Whole(Struct):
    choices: Raw = Raw()
    usage: Raw = Raw()
    error: Raw = Raw()


class _Choice(Struct):
    message: Words
    finish_reason: str | None = None


class _Answer(Struct):
    choices: list[_Choice]
    id: str | None = None
    model: str | None = None
    usage: Raw = Raw()


_encode = msgspec.json.encode
_decode_options = msgspec.json.Decoder(_Options).decode
_decode_whole = msgspec.json.Decoder(_Whole).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode


def stream_reader(model: str) -> StreamReader:
    """A reader of one stream; `model` is said where the stream names none."""
    return StreamReader(model)


def stream_writer(asked: bytes, created: int) -> StreamWriter:
    """A writer of one stream, with usage where the client asked for it."""
    try:
        options = _decode_options(asked).stream_options
    except UNREADABLE:
        options = None
    usage_asked = options is not None and options.include_usage is True
    return StreamWriter(created, usage_asked=usage_asked)


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
    """A whole answer of text; reasoning stays behind. Raises UNREADABLE or CannotCrossError."""
    found = _decode_answer(body)
    if len(found.choices) != 1:
        raise CannotCrossError(f"the answer holds {len(found.choices)} choices, not one")
    choice = found.choices[0]
    refused = not choice.message.content and bool(choice.message.refusal)
    return Answer(
        id=found.id or "",
        model=found.model or "",
        text=text_of(choice.message),
        stop="refusal" if refused else STOPS.get(choice.finish_reason or "", "end"),
        usage=read_usage(found.usage),
    )


def write_answer(answer: Answer, created: int) -> bytes:
    """A whole answer for a Chat client."""
    message = {"role": "assistant", "content": answer.text, "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": STOP_NAMES[answer.stop]}
    return _encode(
        {
            "id": answer.id or UNNAMED,
            "object": "chat.completion",
            "created": created,
            "model": answer.model,
            "choices": [{**choice, "logprobs": None}],
            "usage": usage_body(answer.usage),
        }
    )


# ------------------------------------------------------------------ requests

# Dropped in crossing, without a change of meaning: book-keeping, caches, service hints.
_DROPPED = {
    "metadata",
    "model",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "stream_options",
    "user",
}
# Said, yet it changes nothing.
_NEUTRAL = {
    "frequency_penalty": 0,
    "logprobs": False,
    "modalities": ["text"],
    "n": 1,
    "presence_penalty": 0,
    "response_format": {"type": "text"},
    "tool_choice": "none",
}
_SYSTEM = ("system", "developer")


def _text(content: object, where: str, between: str = "\n\n") -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise CannotCrossError(f"{where} is neither text nor a list of parts")
    parts = []
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else type(part).__name__
        if not isinstance(part, dict) or kind != "text":
            raise CannotCrossError(f"{where} holds a part of type {kind}; only text crosses yet")
        if set(part) - {"type", "text", "cache_control"} or not isinstance(part.get("text"), str):
            raise CannotCrossError(f"{where} holds a text part with more than text")
        parts.append(part["text"])
    return between.join(parts)


def read_ask(body: bytes) -> Ask:
    """The request in the neutral form. Raises CannotCrossError; ValueError, TypeError, and
    AttributeError where it is not of the dialect.
    """
    fields: dict[str, Any] = msgspec.json.decode(body)
    system: list[str] = []
    turns: list[Turn] = []
    for number, message in enumerate(fields.pop("messages", [])):
        role, where = message.get("role"), f"messages[{number}]"
        # Clients hand answers back as they got them, with the fields that were empty.
        left = {name for name in message if message[name] not in (None, [])}
        if left - {"role", "content"}:
            raise CannotCrossError(f"{where} holds more than text")
        # What a model said goes on from part to part; what people send are separate texts.
        text = _text(message.get("content"), where, "" if role == "assistant" else "\n\n")
        if role in _SYSTEM and not turns:
            system.append(text)
        elif role in ("user", "assistant"):
            turns.append(Turn(role, text))
        else:
            raise CannotCrossError(f"{where} has the role {role}, which cannot cross here yet")
    if not turns or turns[-1].role != "user":
        raise CannotCrossError("the conversation does not end with the user's words")
    stop = fields.pop("stop", None)
    longest = fields.pop("max_completion_tokens", None)
    older = fields.pop("max_tokens", None)
    sampling = {
        "max_tokens": older if longest is None else longest,
        "temperature": fields.pop("temperature", None),
        "top_p": fields.pop("top_p", None),
        "stop": (stop,) if isinstance(stop, str) else stop or (),
        "stream": fields.pop("stream", None) or False,
    }
    refuse_the_rest(fields, _DROPPED, _NEUTRAL)
    return Ask(
        system="\n\n".join(system),
        turns=tuple(turns),
        sampling=msgspec.convert(sampling, Sampling),
    )


def write_ask(ask: Ask, model: str) -> bytes:
    """The request for a Chat target. Raises CannotCrossError.

    The limit is said as `max_completion_tokens`: newer models refuse the older `max_tokens`.
    """
    sampling = ask.sampling
    if len(sampling.stop) > STOP_SEQUENCES_MAX:
        raise CannotCrossError(f"this dialect takes {STOP_SEQUENCES_MAX} stop sequences at most")
    messages = [{"role": turn.role, "content": turn.text} for turn in ask.turns]
    if ask.system:
        messages.insert(0, {"role": "system", "content": ask.system})
    body: dict[str, Any] = {"model": model, "messages": messages}
    if sampling.max_tokens is not None:
        body["max_completion_tokens"] = sampling.max_tokens
    if sampling.temperature is not None:
        body["temperature"] = sampling.temperature
    if sampling.top_p is not None:
        body["top_p"] = sampling.top_p
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if sampling.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return _encode(body)


# -------------------------------------------------------------------- errors


def error_type(status: int) -> str:
    """The dialect's error type for a status."""
    return _BY_STATUS.get(status, "server_error" if status >= 500 else "invalid_request_error")


def error_body(type_: str, message: str) -> bytes:
    """An error in the dialect's envelope."""
    return _encode({"error": {"message": message, "type": type_, "param": None, "code": None}})


def error_event(type_: str, message: str) -> bytes:
    """An error inside a stream; the SDKs raise on it."""
    return b"data: " + error_body(type_, message) + b"\n\n"


def said(body: bytes) -> Said:
    """Type, code and message of an error; empty where there is none. Never raises."""
    return read_said(body)


def models_body(ids: list[str]) -> bytes:
    """A list of models as this dialect's clients read it."""
    data = [
        {"id": id_, "object": "model", "created": 0, "owned_by": id_.partition("/")[0]}
        for id_ in ids
    ]
    return _encode({"object": "list", "data": data})
