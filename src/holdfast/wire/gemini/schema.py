"""JSON Schema, and the part of OpenAPI's that Gemini's dialect takes under its older names.

`parameters` and `responseSchema` take a subset with types in capitals; `parametersJsonSchema` and
`responseJsonSchema` take JSON Schema. What fits the subset is said by the older name, which every
version knows; nothing is ever bent to fit.
"""

from __future__ import annotations

import re

import msgspec

from holdfast.wire.speech import UNREADABLE, BadFieldError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_KEYWORDS = frozenset(
    {
        "type",
        "format",
        "title",
        "description",
        "nullable",
        "enum",
        "maxItems",
        "minItems",
        "properties",
        "required",
        "minProperties",
        "maxProperties",
        "minLength",
        "maxLength",
        "pattern",
        "anyOf",
        "propertyOrdering",
        "default",
        "items",
        "minimum",
        "maximum",
    }
)
_FORMATS = {
    "string": ("enum", "date-time"),
    "number": ("float", "double"),
    "integer": ("int32", "int64"),
}
_TYPES = ("string", "number", "integer", "boolean", "array", "object")
# Whole numbers that this dialect's JSON writes as texts.
_COUNTS = frozenset(
    {"maxItems", "minItems", "minProperties", "maxProperties", "minLength", "maxLength"}
)
_decode = msgspec.json.decode


def fits(schema: bytes) -> bool:
    """Whether a schema (JSON) can be said in the subset as it is."""
    try:
        return _fits(_decode(schema))
    except UNREADABLE:
        return False


def is_empty(schema: bytes) -> bool:
    """Whether it is an object's without fields, which the subset cannot say and need not."""
    try:
        found = _decode(schema)
    except UNREADABLE:
        return False
    return (
        isinstance(found, dict)
        and not found.keys() - {"type", "properties"}
        and (found.get("type", "object") == "object" and not found.get("properties"))
    )


def _fits(schema: object) -> bool:
    if not isinstance(schema, dict) or schema.keys() - _KEYWORDS:
        return False
    kind = schema.get("type")
    choices = schema.get("anyOf")
    if choices is not None:
        return isinstance(choices, list) and bool(choices) and all(map(_fits, choices))
    if kind not in _TYPES or schema.get("format") not in (None, *_FORMATS.get(kind, ())):
        return False
    if "enum" in schema and not (kind == "string" and _is_texts(schema["enum"])):
        return False
    if kind == "array":
        return _fits(schema.get("items"))
    return kind != "object" or _fits_object(schema)


def _fits_object(schema: dict[str, object]) -> bool:
    fields = schema.get("properties")
    required = schema.get("required", [])
    return (
        isinstance(fields, dict)
        and bool(fields)
        and all(map(_NAME.fullmatch, fields))
        and all(map(_fits, fields.values()))
        and isinstance(required, list)
        and all(isinstance(name, str) and name in fields for name in required)
    )


def _is_texts(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(v, str) and v for v in values)


def json_schema(schema: bytes, where: str) -> bytes:
    """A schema of the subset as JSON Schema; its very bytes where it is one already.

    Raises BadFieldError.
    """
    try:
        found = _decode(schema)
        plain = _plain(found)
        written = schema if plain == found else msgspec.json.encode(plain)
    except UNREADABLE:
        raise BadFieldError(f"{where} is no schema that can be read") from None
    if not isinstance(found, dict):
        raise BadFieldError(f"{where} is not a JSON object")
    return written


def _plain(schema: object) -> object:
    if not isinstance(schema, dict):
        return schema
    found: dict[str, object] = {}
    for written, value in schema.items():
        name = camel(written)
        if name == "type" and isinstance(value, str):
            if value != "TYPE_UNSPECIFIED":
                found[name] = value.lower()
        elif name == "properties" and isinstance(value, dict):
            found[name] = {field: _plain(inner) for field, inner in value.items()}
        elif name == "items":
            found[name] = _plain(value)
        elif name == "anyOf" and isinstance(value, list):
            found[name] = [_plain(inner) for inner in value]
        elif name in _COUNTS and isinstance(value, str) and value.isascii() and value.isdigit():
            found[name] = int(value[:15])
        elif name not in ("nullable", "propertyOrdering", "example"):
            found[written] = value
    if schema.get("nullable") is True:
        _allow_null(found)
    return found


def _allow_null(schema: dict[str, object]) -> None:
    kind, choices, values = schema.get("type"), schema.get("anyOf"), schema.get("enum")
    if isinstance(choices, list):
        schema["anyOf"] = [*choices, {"type": "null"}]
    elif isinstance(kind, str):
        schema["type"] = [kind, "null"]
    if isinstance(values, list):
        schema["enum"] = [*values, None]


def camel(name: str) -> str:
    """A field's name as this dialect writes it; it reads `top_p` for `topP`, too."""
    if "_" not in name:
        return name
    first, *others = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in others)
