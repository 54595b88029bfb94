"""What is read of a request before anything is decided: as little as routing needs.

No body is parsed as a whole here: the decoder walks over what nobody asked about. How deep a body
may nest is bounded by the decoder, too.
"""

from __future__ import annotations

import hashlib
import re

import msgspec
from msgspec import Raw, Struct

from holdfast.facts.calls import Peek
from holdfast.wire.speech import UNREADABLE, BadBodyError

MODEL_CHARS_MAX = 1024


class _Asked(Struct):
    model: object = None
    stream: object = None


_asked = msgspec.json.Decoder(_Asked).decode
_string = msgspec.json.Decoder(str).decode


def peek(body: bytes, *, unsaid: bool = False) -> Peek:
    """What routing needs of a body; `unsaid`: whether it is streamed where it does not say.

    Raises BadBodyError with the field and the remedy.
    """
    try:
        asked = _asked(body)
    except RecursionError:
        raise BadBodyError("holdfast: the body nests too deep to be read.") from None
    except UNREADABLE as error:
        raise BadBodyError(
            f"holdfast: the body is not the JSON object that this path takes: {error}."
        ) from None
    model, stream = asked.model, asked.stream
    if not isinstance(model, str) or not model:
        raise BadBodyError("holdfast: the body names no model; give `model` as a string.")
    if len(model) > MODEL_CHARS_MAX:
        raise BadBodyError(f"holdfast: `model` is longer than {MODEL_CHARS_MAX} characters.")
    if stream is not None and not isinstance(stream, bool):
        raise BadBodyError("holdfast: `stream` is neither true nor false.")
    return Peek(model=model, stream=unsaid if stream is None else stream is True)


_KEY = re.compile(rb'"model"\s*:\s*("[^"\\]*(?:\\.[^"\\]*)*")')
_TOKEN = re.compile(rb'("[^"\\]*(?:\\.[^"\\]*)*")(\s*:)?|[{}\[\]]', re.DOTALL)


def renamed(body: bytes, model: str) -> bytes:
    """The body with this model's name in place of the one that it names, and no other change.

    A body that names none on its top level stays as it is. Never raises.
    """
    name = msgspec.json.encode(model)
    # A quote that opens a key never stands behind a backslash.
    found = [at for at in _KEY.finditer(body) if body[at.start() - 1] != 0x5C]
    if len(found) == 1:
        start, end = found[0].span(1)
        spliced = b"".join((body[:start], name, body[end:]))
        if _model(spliced) == model:
            return spliced
    # Said more than once (in the schema of a tool, say) or written with escapes: walk.
    parts: list[bytes] = []
    behind = 0
    for start, end in model_spans(body):
        parts += (body[behind:start], name)
        behind = end
    return b"".join((*parts, body[behind:]))


def _model(body: bytes) -> object:
    try:
        return _asked(body).model
    except UNREADABLE:
        return None


def _is_model(string: bytes) -> bool:
    """Whether this JSON string is the key, however it is written."""
    try:
        return string == b'"model"' or (b"\\" in string and _string(string) == "model")
    except UNREADABLE:
        return False


def model_spans(body: bytes) -> list[tuple[int, int]]:
    """The byte ranges of the values of `model` on the top level of a body, quotes included.

    More than one where it is said twice: parsers differ in which of them they take. One pass.
    Never raises; what it finds in bytes that are not JSON means nothing.
    """
    spans: list[tuple[int, int]] = []
    level = 0
    value_next = False
    for token in _TOKEN.finditer(body):
        string = token[1]
        if string is None:
            level += 1 if token[0] in b"{[" else -1
        elif value_next and token[2] is None:  # else a key, behind a value that is no string
            spans.append(token.span(1))
        value_next = (
            string is not None and level == 1 and token[2] is not None and _is_model(string)
        )
    return spans


class _Part(Struct):
    """What makes a part of a message what it is; marks for a cache move from turn to turn."""

    text: Raw = Raw()
    source: Raw = Raw()
    image_url: Raw = Raw()
    content: Raw = Raw()


class _Message(Struct):
    role: str = ""
    content: Raw = Raw()


class _Conversation(Struct):
    messages: list[_Message] = []


_conversation = msgspec.json.Decoder(_Conversation).decode
_parts = msgspec.json.Decoder(list[_Part]).decode


def conversation(dialect: str, body: bytes, *, first_turns: bool = False) -> str:
    """A mark of a *continuing* conversation, the same on each of its turns; "" for a first turn.

    `first_turns`: that has one, too, the one of the turns that follow it.

    Made from what does not change while it goes on: what was said up to the first answer. (System
    prompts do change: coding tools put the state of the day into them.)
    """
    try:
        messages = _conversation(body).messages
        unanswered = len(messages) if first_turns else 0
        first = next((n for n, m in enumerate(messages) if m.role == "assistant"), unanswered)
        if not first:
            return ""
        digest = hashlib.blake2b(dialect.encode(), digest_size=12)
        for message in messages[:first]:
            if message.role in ("system", "developer"):
                continue
            content = bytes(message.content)
            if not content.startswith(b"["):
                digest.update(b"\0" + content)
                continue
            for part in _parts(content):
                for raw in (part.text, part.source, part.image_url, part.content):
                    digest.update(b"\0" + bytes(raw))
    except UNREADABLE:
        return ""
    return digest.hexdigest()
