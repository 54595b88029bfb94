"""Ollama's own API: requests, whole answers, errors, lists of models, after its documentation.

The stream is in `wire.ollama.stream`; what the functions promise, in `speech.Speaking`. Beside
them stand the pages that its tools ask for before they talk: version, models, a model's details.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from holdfast.facts.calls import Headers
from holdfast.facts.outcomes import Said
from holdfast.wire.kinds import Passing
from holdfast.wire.lines import LineReader
from holdfast.wire.odds import listed
from holdfast.wire.ollama import ask as ollama_ask
from holdfast.wire.ollama.mend import Mender
from holdfast.wire.ollama.stream import (
    STOP_NAMES,
    STOPS,
    DeltaReader,
    StreamWriter,
    arguments_of,
    date,
    decode,
    is_error,
    read_usage,
    usage_fields,
    written_call,
)
from holdfast.wire.said import read_said
from holdfast.wire.speech import (
    UNREADABLE,
    Answer,
    Ask,
    BadBodyError,
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

DIALECT = ollama_ask.DIALECT
PATH = "/api/chat"
SURFACE = "chat"
TURNS = "messages"
STREAM = b"application/x-ndjson"
HEADERS: Headers = ()
OWN_PREFIXES: tuple[bytes, ...] = (b"ollama-",)
OVERLOADED = 503
ID_CHARS_MAX = ollama_ask.ID_CHARS_MAX
NAME_CHARS_MAX = ollama_ask.NAME_CHARS_MAX
SIGNS = False
COUNT_PATH = ""
MODELS_PATH = "/api/tags"
read_ask = ollama_ask.read_ask
write_ask = ollama_ask.write_ask
# The version whose API is spoken here: tools ask for it and want a newest one at least.
VERSION = "0.13.0"
# What stands where the real engine knows a model's family.
_FAMILY = "holdfast"
_ABLE = ("tools", "vision", "thinking")
_encode = msgspec.json.encode


def path(model: str, *, stream: bool) -> str:  # noqa: ARG001 - others name the model in it
    """Where a request for an answer goes."""
    return PATH


def own(body: bytes, takes: Takes) -> bytes:  # noqa: ARG001 - nothing is signed here
    """The request as it is: nothing in this dialect is signed."""
    return body


def frames() -> LineReader:
    """A framer for one stream."""
    return LineReader()


def stream_reader(model: str) -> Passing:
    """A reader of one stream that passes; `model` is said where the stream names none."""
    return Passing(DeltaReader(model))


def event_mender(model: str, created: int) -> Mender:  # noqa: ARG001 - a promise of the protocol
    """A mender of one stream that passes from an engine."""
    return Mender()


def delta_reader(model: str) -> DeltaReader:
    """A reader of one stream that crosses; `model` is said where the stream names none."""
    return DeltaReader(model)


def stream_writer(asked: bytes, created: int) -> StreamWriter:  # noqa: ARG001 - others need them
    """A writer of one stream."""
    return StreamWriter(created)


def shows_thoughts(asked: bytes) -> bool:  # noqa: ARG001 - they stand beside the words
    """Always: no program takes them for the answer."""
    return True


# ------------------------------------------------------------- whole answers


def read_whole(body: bytes) -> Whole:
    """What a whole body is. Raises one of UNREADABLE when it is not a JSON object."""
    found = decode(body)
    return Whole(
        answer=found.message is not None or found.response is not None,
        error=is_error(found),
        usage=read_usage(found),
    )


def read_answer(body: bytes) -> Answer:
    """A whole answer. Raises UNREADABLE or CannotCrossError."""
    found = decode(body)
    message = found.message
    if message is None:
        raise CannotCrossError("the answer holds no message")
    parts: list[Part] = []
    if message.thinking:
        parts.append(Thinking(text=message.thinking, origin=DIALECT))
    if message.content:
        parts.append(Text(message.content))
    for call in message.tool_calls or ():
        name = call.function.name if call.function is not None else None
        if not name:
            raise CannotCrossError("the answer calls a tool without a name")
        parts.append(ToolCall(call.id or "", name, arguments_of(call)))
    logprobs = bytes(found.logprobs)
    choice = Choice(
        tuple(parts),
        STOPS.get(found.done_reason or "", "end"),
        logprobs=b'{"content":%b}' % logprobs if logprobs.startswith(b"[") else b"",
    )
    return Answer(id="", model=found.model or "", choices=(choice,), usage=read_usage(found))


def write_answer(answer: Answer, created: int) -> bytes:
    """A whole answer for a client of `/api/chat`. Raises CannotCrossError where it is several."""
    return written(answer, created, lambda message: {"message": message})


def written(
    answer: Answer, created: int, said: Callable[[dict[str, Any]], dict[str, Any]]
) -> bytes:
    """The same, with its message said in this way."""
    if len(answer.choices) != 1:
        raise CannotCrossError(f"the answer holds {len(answer.choices)} choices, not one")
    choice = answer.choices[0]
    odds = listed(choice.logprobs)
    return _encode(
        {
            "model": answer.model,
            "created_at": date(created),
            **said(_message(choice.parts)),
            "done": True,
            "done_reason": STOP_NAMES[choice.stop],
            **usage_fields(answer.usage),
            **({"logprobs": Raw(odds)} if odds else {}),
        }
    )


def _message(parts: tuple[Part, ...]) -> dict[str, Any]:
    text = "".join(part.text for part in parts if isinstance(part, Text | Refusal))
    thought = "".join(part.text for part in parts if isinstance(part, Thinking))
    calls = [part for part in parts if isinstance(part, ToolCall)]
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if thought:
        message["thinking"] = thought
    if calls:
        message["tool_calls"] = [
            written_call(index, call.id, call.name, call.arguments)
            for index, call in enumerate(calls)
        ]
    return message


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


def error_type(status: int) -> str:  # noqa: ARG001 - a promise of the protocol
    """Nothing: an error is a sentence in this dialect."""
    return ""


def error_body(type_: str, message: str, code: str = "", status: int = 0) -> bytes:  # noqa: ARG001
    """An error in the dialect's envelope."""
    return _encode({"error": message})


def too_long(message: str) -> bytes:
    """The error for a prompt that is too long: nothing but its sentence tells it from others."""
    return error_body("", message)


def error_event(type_: str, message: str) -> bytes:
    """An error inside a stream; the clients raise on it."""
    return error_body(type_, message) + b"\n"


def said(body: bytes) -> Said:
    """Type, code and message of an error; empty where there is none. Never raises."""
    return read_said(body)


# -------------------------------------------------------------------- models


def models_body(models: Sequence[Model], query: str) -> bytes:  # noqa: ARG001 - others page
    """What `/api/tags` lists. A digest stands for the name alone, as tools show a part of it."""
    return _encode({"models": [_model(model) for model in models]})


def model_body(model: Model) -> bytes:
    """One model as lists tell of it; its page is `show_body`."""
    return _encode(_model(model))


def _model(model: Model) -> dict[str, Any]:
    return {
        "name": model.id,
        "model": model.id,
        "modified_at": date(model.created),
        "size": 0,
        "digest": hashlib.sha256(model.id.encode(errors="replace")).hexdigest(),
        "details": _details(),
    }


def loaded_body() -> bytes:
    """What `/api/ps` lists: a gateway has no model in its memory."""
    return _encode({"models": []})


def version_body() -> bytes:
    """What `/api/version` says."""
    return _encode({"version": VERSION})


class _Shown(Struct):
    model: object = None
    name: object = None  # its older name


def shown_model(body: bytes) -> str:
    """The model that a request to `/api/show` asks about. Raises BadBodyError."""
    try:
        asked = msgspec.json.decode(body, type=_Shown)
    except UNREADABLE as error:
        raise BadBodyError(f"holdfast: the body is not a JSON object: {error}.") from None
    model = asked.model or asked.name
    if not isinstance(model, str):
        raise BadBodyError("holdfast: the body names no model; give `model` as a string.")
    return model


def show_body(context_tokens: int | None, lacks: frozenset[str]) -> bytes:
    """What `/api/show` says of a model: its window where it is known, and what it is not known to
    lack (as in `flights.Leg`).
    """
    info: dict[str, Any] = {"general.architecture": _FAMILY}
    if context_tokens is not None:
        info[f"{_FAMILY}.context_length"] = context_tokens
    return _encode(
        {
            "modelfile": "",
            "parameters": "",
            "template": "",
            "details": _details(),
            "model_info": info,
            "capabilities": ["completion", *(name for name in _ABLE if name not in lacks)],
            "modified_at": date(0),
        }
    )


def _details() -> dict[str, Any]:
    return {
        "parent_model": "",
        "format": "",
        "family": _FAMILY,
        "families": [_FAMILY],
        "parameter_size": "",
        "quantization_level": "",
    }
