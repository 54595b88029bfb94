"""What both sides of Gemini's dialect are made of: parts, and the signatures that they carry.

A provider of this dialect signs the part behind a thought: the call that it led to, or the words.
What providers of other dialects thought has no such place; it is sealed whole into the signature
of the part behind it, in base64 because clients decode signatures, and is known when it returns.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw

from holdfast.wire.fitting import fitted, lettered
from holdfast.wire.speech import FOREIGN, UNREADABLE, Thinking, ToolCall

DIALECT = "gemini"
ID_CHARS_MAX = 64
NAME_CHARS_MAX = 64
# Documented: a call that carries this was not made by a provider of this dialect, and is taken
# without a signature by models that insist on one.
UNSIGNED = "skip_thought_signature_validator"
# Nine bytes are twelve letters: whatever follows, a seal begins with these.
SEALED = base64.b64encode(FOREIGN.encode()).decode()
_encode = msgspec.json.encode
_seals = msgspec.json.Decoder(list[tuple[str, str, str, str]]).decode


def sealed(thoughts: Sequence[Thinking]) -> str:
    """Foreign thoughts as one signature."""
    fields = [(one.origin, one.text, one.signature, one.data) for one in thoughts]
    return base64.b64encode(FOREIGN.encode() + _encode(fields)).decode()


def unsealed(signature: str) -> tuple[Thinking, ...]:
    """The thoughts that a signature stands for, of whomever. Never raises."""
    if not signature or standard(signature) == standard(UNSIGNED):
        return ()
    if not signature.startswith(SEALED):
        return (Thinking(signature=signature, origin=DIALECT),)
    try:
        found = _seals(base64.b64decode(standard(signature))[len(FOREIGN) :])
    except UNREADABLE:
        return ()
    return tuple(Thinking(text, sign, data, origin) for origin, text, sign, data in found)


def standard(base64_text: str) -> str:
    """Base64 as all dialects take it: clients of this one write either alphabet, its own SDK the
    one for addresses, and some no padding.
    """
    if "-" in base64_text or "_" in base64_text:
        base64_text = base64_text.translate(_ALPHABET)
    return base64_text + "=" * (-len(base64_text) % 4)


_ALPHABET = str.maketrans("-_", "+/")


class Signing:
    """Writes the parts of one turn, each thought's signature upon the part behind it.

    `marks`: the first call is marked as made elsewhere where nothing vouches for it. Newer models
    insist on that when it comes back, and clients send parts back as they got them.
    """

    __slots__ = ("_foreign", "_marks", "_own")

    def __init__(self, *, marks: bool = True) -> None:
        self._marks = marks
        self._own = ""
        self._foreign: list[Thinking] = []

    def think(self, thinking: Thinking) -> None:
        """A thought was whole; what vouches for it goes upon the next part."""
        if thinking.origin == DIALECT:
            self._own = thinking.signature or self._own
        else:
            self._foreign.append(thinking)

    @property
    def due(self) -> bool:
        """Whether a signature waits for a part."""
        return bool(self._own or self._foreign)

    def signed(self, part: dict[str, Any]) -> dict[str, Any]:
        """The part with the signature that was due."""
        if self._foreign:
            part["thoughtSignature"] = sealed(self._foreign)
            self._foreign = []
        elif self._own:
            part["thoughtSignature"] = self._own
        self._own = ""
        return part

    def call(self, call: ToolCall) -> dict[str, Any]:
        """A part that calls a tool."""
        part = self.signed(called(call))
        if self._marks:
            part.setdefault("thoughtSignature", UNSIGNED)
            self._marks = False
        return part


def thought(text: str) -> dict[str, Any]:
    """A part of thoughts."""
    return {"text": text, "thought": True}


def called(call: ToolCall) -> dict[str, Any]:
    """A part that calls a tool, unsigned."""
    id_, name = fitted(call.id, ID_CHARS_MAX), lettered(call.name, NAME_CHARS_MAX)
    return {"functionCall": {"id": id_, "name": name, "args": Raw(call.arguments.encode())}}
