"""JSON schemas as the dialects take them.

All take any object for a tool, but no top level that is a choice between schemas, a reference, or
no object at all. Who holds answers to a schema takes less of it: every object closed, everything
required, few bounds. What can be said in another way is, at the price of being looser, and told;
a schema of something else than an object is the client's mistake.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from holdfast.facts.losses import Lost
from holdfast.wire.speech import UNREADABLE, Ask, BadFieldError, Form, Tool

_encode = msgspec.json.encode
_decode = msgspec.json.decode
_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_replace = msgspec.structs.replace
# What may not stand on the top level of a tool's schema.
_CHOICES = ("oneOf", "anyOf")
_TOP = ("$ref", "allOf", *_CHOICES, "enum", "const", "not", "if", "then", "else")
# What keeps OpenAI's dialects from being strict, wherever it stands.
_LOOSE = frozenset({"allOf", "oneOf", "not", "if", "then", "else", "patternProperties"})
# Bounds that Anthropic's dialect does not hold answers to; `minItems` it knows up to 1.
_BOUNDS = frozenset(
    {
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "pattern",
        "maxItems",
        "uniqueItems",
        "minProperties",
        "maxProperties",
    }
)
_STRICT_DIALECTS = ("openai", "openai-responses")
_CLOSED_DIALECT = "anthropic"


def schemed(ask: Ask, dialect: str) -> Ask:
    """The ask with schemas that this dialect takes; the very same where it takes them all.

    Raises BadFieldError with the name of a tool whose input is no object.
    """
    lost: list[Lost] = []
    tools = tuple(_tool(tool, dialect, lost) for tool in ask.tools)
    form = _form(ask.form, dialect, lost)
    if not lost and tools == ask.tools and form == ask.form:
        return ask
    return _replace(ask, tools=tools, form=form, lost=(*ask.lost, *lost))


def _tool(tool: Tool, dialect: str, lost: list[Lost]) -> Tool:
    where = f"tools.{tool.name[:64]}"
    try:
        schema = flat(tool.schema)
    except ValueError as why:
        raise BadFieldError(f"{where}: its schema {why}; what a tool takes is an object") from None
    except RecursionError:
        raise BadFieldError(f"{where}: its schema nests too deep") from None
    if schema != tool.schema:
        lost.append(Lost(where, "its schema is said without a choice on its top level"))
        tool = _replace(tool, schema=schema)
    if tool.strict and not _holds(schema, dialect):
        lost.append(Lost(f"{where}.strict", "its schema is not one that is held to here"))
        tool = _replace(tool, strict=None)
    return tool


def _holds(schema: bytes, dialect: str) -> bool:
    """Whether a dialect holds a tool to its schema, if it is told to."""
    if dialect in _STRICT_DIALECTS:
        return is_strict(schema)
    return dialect != _CLOSED_DIALECT or closed(schema) == (schema, ())


def _form(form: Form | None, dialect: str, lost: list[Lost]) -> Form | None:
    if form is None or form.kind != "json_schema":
        return form
    if dialect in _STRICT_DIALECTS and form.strict and not is_strict(form.schema):
        why = "its schema leaves fields open, so that the answer is not strictly held to it"
        lost.append(Lost("response_format.strict", why))
        return _replace(form, strict=False)
    if dialect == _CLOSED_DIALECT:
        schema, dropped = closed(form.schema)
        if dropped:
            why = f"{', '.join(dropped)[:80]} of its schema cannot be held to"
            lost.append(Lost("response_format", why))
        return form if schema == form.schema else _replace(form, schema=schema)
    return form


# -------------------------------------------------------------------- flatness


def flat(schema: bytes) -> bytes:
    """A tool's schema with an object on its top level; its very bytes where that is so already.

    Of a choice it takes what any of them may hold and all of them require. Raises ValueError where
    it is no object's.
    """
    try:
        fields = _fields(schema)
    except ValueError:
        raise ValueError("is not a JSON object") from None
    kind = bytes(fields.get("type", b'"object"'))
    if kind == b'"object"' and not any(name in fields for name in _TOP):
        return schema
    whole = _decode(schema)
    found = _flat(whole, whole, 8)
    kinds = found.pop("type", "object")
    if "object" not in (kinds if isinstance(kinds, list) else [kinds]):
        raise ValueError(f"is of the type {str(kinds)[:40]!r}")
    return _encode({"type": "object", "properties": {}, **found})


def _flat(schema: object, root: dict[str, Any], depth: int) -> dict[str, Any]:
    if not isinstance(schema, dict) or depth == 0:
        return {}
    found = {name: value for name, value in schema.items() if name not in _TOP}
    others = [_target(schema.get("$ref"), root), *_dicts(schema.get("allOf"))]
    for other in others:
        _join(found, _flat(other, root, depth - 1), every=True)
    for name in _CHOICES:
        choices = [_flat(choice, root, depth - 1) for choice in _dicts(schema.get(name))]
        if choices:
            _join(found, _any_of(choices), every=True)
    return found


def _any_of(choices: list[dict[str, Any]]) -> dict[str, Any]:
    """What any of these may hold, and all of them require."""
    found: dict[str, Any] = {}
    objects = [one for one in choices if one.get("type", "object") == "object"]
    for choice in objects:
        _join(found, choice, every=False)
    if not objects:
        found["type"] = choices[0].get("type")
    shared = [set(_texts(choice.get("required"))) for choice in objects]
    required = sorted(set.intersection(*shared)) if shared else []
    found.pop("required", None)
    return {**found, "required": required} if required else found


def _join(found: dict[str, Any], other: dict[str, Any], *, every: bool) -> None:
    """Put another schema's fields into this one; `every`: both are required."""
    for name, value in other.items():
        held = found.get(name)
        if name == "properties" and isinstance(held, dict) and isinstance(value, dict):
            found[name] = {**value, **held}
        elif name == "required" and every:
            found[name] = list(dict.fromkeys((*_texts(held), *_texts(value))))
        elif name == "additionalProperties" and held is not None and held != value:
            found[name] = True
        else:
            found.setdefault(name, value)


def _target(ref: object, root: dict[str, Any]) -> object:
    """What a reference within the schema names; None for any other."""
    if not isinstance(ref, str) or not ref.startswith("#/"):
        return None
    at: object = root
    for step in ref[2:].split("/"):
        at = at.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(at, dict) else None
    return at


def _dicts(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


# ------------------------------------------------------------------ strictness


def is_strict(schema: bytes) -> bool:
    """Whether OpenAI's dialects hold an answer to it: every object closed, every field required."""
    try:
        whole = _decode(schema)
        return isinstance(whole, dict) and whole.get("type") == "object" and _is_strict(whole)
    except UNREADABLE:
        return False


def _is_strict(schema: object) -> bool:
    if not isinstance(schema, dict):
        return False
    if not schema.keys().isdisjoint(_LOOSE):
        return False
    fields = schema.get("properties", {})
    if schema.get("type") == "object" or fields:
        if schema.get("additionalProperties") is not False or not isinstance(fields, dict):
            return False
        if set(_texts(schema.get("required"))) != set(fields):
            return False
    return all(map(_is_strict, _within(schema)))


def _within(schema: dict[str, Any]) -> list[object]:
    """The schemas that stand directly in this one."""
    found: list[object] = []
    for name in ("properties", "$defs", "definitions"):
        held = schema.get(name)
        found += held.values() if isinstance(held, dict) else []
    for name in ("anyOf", "oneOf", "allOf", "prefixItems"):
        found += _dicts(schema.get(name))
    return [*found, schema["items"]] if isinstance(schema.get("items"), dict) else found


def closed(schema: bytes) -> tuple[bytes, tuple[str, ...]]:
    """A schema with closed objects and without bounds, and what had to go for that.

    Its very bytes where it is such a one. An object that says nothing of other fields is closed: an
    answer to that is one to the schema, too.
    """
    dropped: dict[str, None] = {}
    try:
        whole = _decode(schema)
        found = _closed(whole, dropped)
        return (schema if found == whole else _encode(found)), tuple(dropped)
    except UNREADABLE:
        return schema, ()


def _closed(schema: object, dropped: dict[str, None]) -> object:
    if not isinstance(schema, dict):
        return schema
    found: dict[str, Any] = {}
    for name, value in schema.items():
        if name in _BOUNDS or (name == "minItems" and value not in (0, 1)):
            dropped[name] = None
        elif name in ("properties", "$defs", "definitions") and isinstance(value, dict):
            found[name] = {field: _closed(one, dropped) for field, one in value.items()}
        elif name in ("anyOf", "oneOf", "allOf") and isinstance(value, list):
            found["anyOf" if name == "oneOf" else name] = [_closed(one, dropped) for one in value]
        elif name == "items":
            found[name] = _closed(value, dropped)
        elif name == "additionalProperties":
            if value is not False:
                dropped[name] = None
        else:
            found[name] = value
    if found.get("type") == "object" or "properties" in found:
        found["additionalProperties"] = False
    return found
