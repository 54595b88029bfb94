"""Gemini's dialect where a stream was not asked for as events: one JSON array of chunks.

Everything but the stream's form is `wire.gemini`'s.
"""

from __future__ import annotations

from holdfast.wire.elements import ElementReader
from holdfast.wire.gemini import dialect as gemini
from holdfast.wire.gemini.stream import StreamWriter

DIALECT = gemini.DIALECT
SURFACE = gemini.SURFACE
TURNS = gemini.TURNS
STREAM = b"application/json"
HEADERS = gemini.HEADERS
OWN_PREFIXES = gemini.OWN_PREFIXES
OVERLOADED = gemini.OVERLOADED
ID_CHARS_MAX = gemini.ID_CHARS_MAX
NAME_CHARS_MAX = gemini.NAME_CHARS_MAX
SIGNS = gemini.SIGNS
COUNT_PATH = gemini.COUNT_PATH
MODELS_PATH = gemini.MODELS_PATH
path = gemini.path
own = gemini.own
read_ask = gemini.read_ask
write_ask = gemini.write_ask
read_answer = gemini.read_answer
write_answer = gemini.write_answer
read_whole = gemini.read_whole
stream_reader = gemini.stream_reader
delta_reader = gemini.delta_reader
event_mender = gemini.event_mender
write_count = gemini.write_count
read_count = gemini.read_count
write_count_answer = gemini.write_count_answer
said = gemini.said
error_type = gemini.error_type
error_body = gemini.error_body
too_long = gemini.too_long
shows_thoughts = gemini.shows_thoughts
models_body = gemini.models_body
model_body = gemini.model_body


def frames() -> ElementReader:
    """A framer for one stream."""
    return ElementReader()


def stream_writer(asked: bytes, created: int) -> StreamWriter:  # noqa: ARG001 - others need them
    """A writer of one stream."""
    return StreamWriter(array=True)


def error_event(type_: str, message: str) -> bytes:
    """An error behind the elements that were said, and the array's end."""
    return b",\r\n%b]" % gemini.error_body(type_, message)
