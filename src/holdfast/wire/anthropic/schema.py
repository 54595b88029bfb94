"""The schema of an answer as Anthropic's providers enforce it, after their own SDK.

What they cannot enforce they refuse. It goes into the description, where the model reads it: it is
asked for still, and no longer enforced.
"""

from __future__ import annotations

import msgspec

from holdfast.wire.forms import Schema, closed, rewritten
from holdfast.wire.speech import CannotCrossError

_FORMATS = frozenset(
    {
        "date-time",
        "time",
        "date",
        "duration",
        "email",
        "hostname",
        "uri",
        "ipv4",
        "ipv6",
        "uuid",
    }
)
_ASKED = frozenset(
    {
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "maxItems",
        "uniqueItems",
        "contains",
        "minProperties",
        "maxProperties",
        "patternProperties",
        "propertyNames",
        "prefixItems",
        "not",
    }
)


def enforceable(schema: bytes) -> tuple[bytes, tuple[str, ...]]:
    """The schema (JSON) for a target of this dialect, and the keywords that are asked for only.

    Raises CannotCrossError where an object may have any fields, which cannot be demanded.
    """
    asked: set[str] = set()

    def rewrite(one: Schema) -> Schema:
        if _is_open(one):
            raise CannotCrossError("response_format: an object of any fields cannot be demanded")
        new = dict(one)
        new.pop("$schema", None)
        if "oneOf" in new and "anyOf" not in new:
            new["anyOf"] = new.pop("oneOf")
        over = {name: new.pop(name) for name in tuple(new) if _is_asked(name, new[name])}
        if over:
            asked.update(over)
            said = ", ".join(f"{k}: {msgspec.json.encode(v).decode()}" for k, v in over.items())
            new["description"] = "\n\n".join(filter(None, (new.get("description"), f"{{{said}}}")))
        return new

    return rewritten(closed(schema), rewrite), tuple(sorted(asked))


def _is_open(schema: Schema) -> bool:
    kind = schema.get("type")
    is_object = kind == "object" or (isinstance(kind, list) and "object" in kind)
    others = schema.get("additionalProperties", not schema.get("properties"))
    return (is_object or "properties" in schema) and others is not False


def _is_asked(name: str, value: object) -> bool:
    if name == "format":
        return value not in _FORMATS
    if name == "minItems":
        return value not in (0, 1)
    return name in _ASKED
