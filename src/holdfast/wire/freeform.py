"""Tools whose input is text and no JSON, for those who know no such tools.

They become tools with the one field `input`, and back: OpenAI's two dialects have them.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from holdfast.wire.fields import Fields
from holdfast.wire.speech import UNREADABLE, Tool

# The one field of a tool whose input is text, where all input is JSON.
INPUT_SCHEMA = b'{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}'


class _Input(Struct):
    input: str


def freeform(name: str, description: str, grammar: Fields | None) -> Tool:
    """A tool of this name; `grammar`, where there is one, has `syntax` and `definition`."""
    if grammar is not None:
        # Elsewhere nobody is held to a grammar; a model that reads it keeps to it mostly.
        syntax, definition = grammar.text("syntax") or "", grammar.text("definition") or ""
        description += f"\n\n`input` follows this {syntax} grammar:\n{definition}"
    return Tool(name, description.strip(), INPUT_SCHEMA, freeform=True)


def arguments_of(text: str) -> str:
    """The arguments that say this input."""
    return msgspec.json.encode(_Input(text)).decode()


def input_of(arguments: str) -> str:
    """The text that such a tool is given; all of it where it has another shape."""
    try:
        return msgspec.json.decode(arguments, type=_Input).input
    except UNREADABLE:
        return arguments
