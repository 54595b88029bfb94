"""Chat's older words for tools: `functions`, `function_call`, and messages of a `function`.

They are read as tools, one call at a time; a client that asked in them is answered in them.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from holdfast.facts.losses import Lost
from holdfast.wire.fields import Fields
from holdfast.wire.speech import UNREADABLE, BadFieldError, Tool, ToolCall, ToolChoice

_MODES = {b'"auto"': ToolChoice("auto", parallel=False), b'"none"': ToolChoice("none")}


class _Asked(Struct):
    functions: Raw = Raw()


_decode = msgspec.json.Decoder(_Asked).decode


def speaks_older(asked: bytes) -> bool:
    """Whether this request has functions, and so no word for several calls. Never raises."""
    if b'"functions"' not in asked:
        return False
    try:
        return bytes(_decode(asked).functions)[:1] == b"["
    except UNREADABLE:
        return False


def functions(fields: Fields, lost: list[Lost]) -> tuple[tuple[Tool, ...], ToolChoice | None]:
    """The functions as tools, and how they are chosen. Raises BadFieldError."""
    found = []
    for function in fields.objects("functions"):
        name = function.text("name")
        if not name:
            raise function.refuse("name", "is missing")
        schema = function.mapping("parameters") or Tool(name).schema
        found.append(Tool(name, function.text("description") or "", schema))
        lost += function.losses()
    value = fields.raw("function_call")
    if not found:
        return (), None
    if not value:
        return tuple(found), _MODES[b'"auto"']
    if value in _MODES:
        return tuple(found), _MODES[value]
    if not value.startswith(b"{"):
        raise fields.refuse("function_call", "is none of auto, none, or an object")
    chosen = Fields(value, "function_call")
    name = chosen.text("name")
    if not name:
        raise chosen.refuse("name", "is missing")
    return tuple(found), ToolChoice("named", name, parallel=False)


class Calls:
    """The calls of a conversation in these words: they have no ids, so each is given one."""

    __slots__ = ("_count", "_open")

    def __init__(self) -> None:
        self._count = 0
        self._open: ToolCall | None = None

    def begun(self, call: Fields) -> ToolCall:
        """The model calls a function. Raises BadFieldError."""
        name, arguments = call.text("name"), call.text("arguments") or "{}"
        if not name:
            raise call.refuse("name", "is missing")
        try:
            Fields(arguments.encode(), "arguments")
        except (BadFieldError, UnicodeEncodeError):
            raise call.refuse("arguments", "is not the text of a JSON object") from None
        self._count += 1
        self._open = ToolCall(f"call_{self._count}", name, arguments)
        return self._open

    def answered(self, message: Fields, name: str | None) -> str:
        """The id of the call that a function's message answers. Raises BadFieldError."""
        call = self._open
        if call is None:
            raise message.refuse("role", "is function, and no function is called before it")
        if name and name != call.name:
            raise message.refuse("name", f"is {name!r}, which the message before does not call")
        self._open = None
        return call.id
