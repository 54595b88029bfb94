"""The schemas of tools that a target would refuse, whatever its dialect makes of the rest.

What a tool takes is an object; and who holds a model to a schema holds it to closed objects alone,
all of whose fields are required.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from holdfast.facts.losses import Lost
from holdfast.wire.fitting import flat
from holdfast.wire.forms import is_strict
from holdfast.wire.speech import UNREADABLE, Ask, BadFieldError, Tool

# The dialects in which a model can be held to a tool's schema.
_HOLDING = frozenset({"anthropic", "openai", "openai-responses"})
# Bounds to which nobody is held: a keyword that only looks like one costs no more than strictness.
_BOUNDS = tuple(
    f'"{name}"'.encode()
    for name in (
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "maxItems",
        "uniqueItems",
    )
)
_BOUNDLESS = "anthropic"
_fields = msgspec.json.Decoder(dict[str, Any]).decode
_replace = msgspec.structs.replace


def schemed(ask: Ask, dialect: str) -> Ask:
    """The ask, no tool of which is held to a schema that cannot be; often the very same.

    Raises BadFieldError with the name of a tool whose input is no object, or that is there twice.
    """
    named_once(ask.tools)
    lost: list[Lost] = []
    tools = tuple(_tool(tool, dialect, lost) for tool in ask.tools)
    return _replace(ask, tools=tools, lost=(*ask.lost, *lost)) if lost else ask


def named_once(tools: Sequence[Tool]) -> None:
    """Raise BadFieldError with the name of a tool that is there twice: most targets refuse that."""
    if len({tool.name for tool in tools}) == len(tools):
        return
    names = [tool.name for tool in tools]
    twice = next(name for number, name in enumerate(names) if name in names[:number])
    raise BadFieldError(f"tools: {twice[:64]!r} is there twice; each tool needs a name of its own")


def _tool(tool: Tool, dialect: str, lost: list[Lost]) -> Tool:
    where = f"tools.{tool.name[:64]}"
    kind = _type(tool.schema, where)
    if kind != "object":
        raise BadFieldError(
            f"{where}: its schema is of the type {kind[:40]!r}; what a tool takes is an object"
        )
    if tool.strict and dialect in _HOLDING and not _is_held_to(tool.schema, dialect):
        lost.append(Lost(f"{where}.strict", "its schema is not one that is held to here"))
        return _replace(tool, strict=None)
    return tool


def _type(schema: bytes, where: str) -> str:
    """What a tool's schema says that it takes: the first type where it says several."""
    try:
        kind = _fields(flat(schema)).get("type", "object")
    except UNREADABLE:
        raise BadFieldError(f"{where}: its schema is no JSON object that can be read") from None
    if isinstance(kind, list):
        return "object" if "object" in kind else str(kind)
    return str(kind)


def _is_held_to(schema: bytes, dialect: str) -> bool:
    if dialect == _BOUNDLESS and any(name in schema for name in _BOUNDS):
        return False
    return is_strict(schema)
