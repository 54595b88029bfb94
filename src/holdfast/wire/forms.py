"""The schema of an answer, for providers that hold a model to it.

They take less than JSON Schema: an object must say that it has no other fields, and what cannot be
enforced is refused. So what a schema leaves unsaid is said for them, where that changes nothing of
what it asks for, after the transformations in the providers' own SDKs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from holdfast.wire.speech import UNREADABLE, Ask, Form, Text

# To a model that nothing holds to JSON, and to providers that demand the word.
IN_JSON = "Answer with one JSON object and nothing else."
NOT_ENFORCED = "the model is shown this schema; it cannot be enforced here"
Schema = dict[str, Any]
# Where schemas stand within a schema: under names, in a list, alone.
_NAMED = ("properties", "$defs", "definitions")
_LISTED = ("anyOf", "oneOf", "allOf", "prefixItems")
_ALONE = ("items", "additionalProperties", "not")
# Keywords of which a provider that enforces every field knows nothing.
_UNENFORCED = ("oneOf", "allOf", "not", "if", "then", "else", "patternProperties", "prefixItems")


def wants_word(ask: Ask) -> bool:
    """Whether JSON of no schema is asked for, and nobody says so in the conversation."""
    if ask.form is None or ask.form.kind != "json_object":
        return False
    parts = (part for turn in ask.turns for part in turn.parts)
    return not any(isinstance(part, Text) and "json" in part.text.lower() for part in parts)


def enforced(form: Form) -> Form:
    """The form for a provider that enforces every field of a schema or none.

    One that cannot be enforced is only shown to the model: `strict` is False then.
    """
    if form.kind != "json_schema" or not form.strict:
        return form
    schema = closed(form.schema)
    if is_strict(schema):
        return msgspec.structs.replace(form, schema=schema)
    return msgspec.structs.replace(form, strict=False)


def closed(schema: bytes) -> bytes:
    """The schema (JSON), its objects without other fields where they say nothing of others.

    Its very bytes where nothing is to be said.
    """
    return rewritten(schema, _closed)


def rewritten(schema: bytes, rewrite: Callable[[Schema], Schema]) -> bytes:
    """The schema with each schema in it rewritten, the innermost first; else its very bytes."""
    try:
        found = msgspec.json.decode(schema)
        new = _each(found, rewrite)
        return schema if new == found else msgspec.json.encode(new)
    except UNREADABLE:
        return schema


def _each(schema: object, rewrite: Callable[[Schema], Schema]) -> object:
    if not isinstance(schema, dict):
        return schema
    new = dict(schema)
    for name in _NAMED:
        if isinstance(inner := schema.get(name), dict):
            new[name] = {field: _each(one, rewrite) for field, one in inner.items()}
    for name in _LISTED:
        if isinstance(inner := schema.get(name), list):
            new[name] = [_each(one, rewrite) for one in inner]
    for name in _ALONE:
        if name in schema:
            new[name] = _each(schema[name], rewrite)
    return rewrite(new)


def _closed(schema: Schema) -> Schema:
    # Without any field it means an object of any fields; who closed it would ask for `{}`.
    if schema.get("properties") and "additionalProperties" not in schema:
        return {**schema, "additionalProperties": False}
    return schema


def is_strict(schema: bytes) -> bool:
    """Whether a provider that enforces every field can enforce this: an object at the top, no
    object in it with fields that may be there or not.
    """
    try:
        found = msgspec.json.decode(schema)
    except UNREADABLE:
        return False
    loose: list[Schema] = []

    def look(one: Schema) -> Schema:
        if not _is_strict(one):
            loose.append(one)
        return one

    _each(found, look)
    return not loose and isinstance(found, dict) and found.get("type") == "object"


def _is_strict(schema: Schema) -> bool:
    if any(name in schema for name in _UNENFORCED):
        return False
    kind, fields = schema.get("type"), schema.get("properties")
    is_object = kind == "object" or (isinstance(kind, list) and "object" in kind)
    if not is_object and fields is None:
        return True
    required = schema.get("required", [])
    return (
        schema.get("additionalProperties") is False
        and isinstance(fields, dict)
        and isinstance(required, list)
        and sorted(map(str, required)) == sorted(fields)
    )
