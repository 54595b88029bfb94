"""Ollama's `/api/generate`: one prompt and its answer, without a conversation around them.

All but the request's words and the answer's envelope is as in `wire.ollama`.
"""

from __future__ import annotations

from holdfast.facts.losses import Lost
from holdfast.wire.fields import Fields
from holdfast.wire.ollama.ask import asked
from holdfast.wire.ollama.ask import said as spoken
from holdfast.wire.ollama.dialect import (
    COUNT_PATH,
    DIALECT,
    HEADERS,
    ID_CHARS_MAX,
    MODELS_PATH,
    NAME_CHARS_MAX,
    OVERLOADED,
    OWN_PREFIXES,
    SIGNS,
    STREAM,
    delta_reader,
    error_body,
    error_event,
    error_type,
    event_mender,
    frames,
    model_body,
    models_body,
    own,
    path,
    read_answer,
    read_count,
    read_whole,
    said,
    shows_thoughts,
    stream_reader,
    too_long,
    write_ask,
    write_count,
    write_count_answer,
    written,
)
from holdfast.wire.ollama.stream import StreamWriter, generated
from holdfast.wire.speech import Answer, Ask, CannotCrossError, Text, Turn

__all__ = [
    "COUNT_PATH",
    "DIALECT",
    "HEADERS",
    "ID_CHARS_MAX",
    "MODELS_PATH",
    "NAME_CHARS_MAX",
    "OVERLOADED",
    "OWN_PREFIXES",
    "SIGNS",
    "STREAM",
    "SURFACE",
    "TURNS",
    "delta_reader",
    "error_body",
    "error_event",
    "error_type",
    "event_mender",
    "frames",
    "model_body",
    "models_body",
    "own",
    "path",
    "read_answer",
    "read_ask",
    "read_count",
    "read_whole",
    "said",
    "shows_thoughts",
    "stream_reader",
    "stream_writer",
    "too_long",
    "write_answer",
    "write_ask",
    "write_count",
    "write_count_answer",
]

SURFACE = "generate"
TURNS = "prompt"
# Fields without which the answer would be another one: they speak to the engine itself.
_GRAVE = {
    "context": "the state of an engine",
    "raw": "a prompt in a model's own template",
    "suffix": "filling in the middle",
    "template": "a model's own template",
}
_NOTHING = (b"", b'""', b"[]", b"false")


def read_ask(body: bytes) -> Ask:
    """The request in the neutral form. Raises BadFieldError, CannotCrossError."""
    fields = Fields(body)
    fields.raw("model")
    lost = [
        Lost(name, f"{why} has no word outside its dialect", tolerable=False)
        for name, why in _GRAVE.items()
        if fields.raw(name) not in _NOTHING
    ]
    system, prompt = fields.text("system"), fields.text("prompt")
    if not prompt:
        raise CannotCrossError("prompt: there is none, and no engine here to load a model into")
    turn = Turn("user", tuple(spoken(fields, prompt)))
    return asked(fields, lost, (Text(system),) if system else (), (turn,))


def stream_writer(asked: bytes, created: int) -> StreamWriter:  # noqa: ARG001 - others need them
    """A writer of one stream."""
    return StreamWriter(created, generated=True)


def write_answer(answer: Answer, created: int) -> bytes:
    """A whole answer for a client. Raises CannotCrossError where it is several."""
    return written(answer, created, generated)
