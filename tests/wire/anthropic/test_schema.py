"""Schemas of answers as Anthropic's providers enforce them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic import transform_schema
from hypothesis import given
from tests.wire.test_forms import SCHEMAS

from holdfast.wire.anthropic.schema import enforceable
from holdfast.wire.speech import CannotCrossError

Json = dict[str, Any]


@given(SCHEMAS)
def test_what_can_be_enforced_is_and_is_once(schema: Json) -> None:
    sent, asked = enforceable(json.dumps(schema).encode())
    assert asked == ()
    assert enforceable(sent) == (sent, ())


def test_what_cannot_be_enforced_is_asked_for_as_the_providers_sdk_does() -> None:
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
            "n": {"type": "integer", "description": "how many", "minimum": 1},
            "l": {"type": "array", "items": {"type": "string", "format": "uri"}, "minItems": 2},
            "o": {"oneOf": [{"type": "string", "format": "enum"}, {"type": "null"}]},
        },
        "required": ["n"],
    }
    sent, asked = enforceable(json.dumps(schema).encode())
    found = json.loads(sent)
    del schema["$schema"]
    assert found == transform_schema(schema) | {"properties": found["properties"]}
    assert asked == ("format", "minItems", "minimum")
    assert found["properties"]["n"] == {
        "type": "integer",
        "description": "how many\n\n{minimum: 1}",
    }
    assert found["properties"]["l"]["items"] == {"type": "string", "format": "uri"}
    assert found["properties"]["o"]["anyOf"][0]["description"] == '{format: "enum"}'


@pytest.mark.parametrize(
    "open_",
    [
        {"type": "object"},
        {"type": "array", "items": {"type": "object", "additionalProperties": {"type": "string"}}},
        {"type": "object", "properties": {"a": {}}, "additionalProperties": True},
    ],
)
def test_an_object_of_any_fields_is_refused(open_: Json) -> None:
    with pytest.raises(CannotCrossError, match="response_format"):
        enforceable(json.dumps(open_).encode())
