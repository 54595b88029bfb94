"""Which schemas Gemini's older names take, and what they are in JSON Schema."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.wire.gemini.schema import camel, fits, is_empty, json_schema
from holdfast.wire.speech import BadFieldError

LEAVES = st.sampled_from(
    [
        {"type": "string"},
        {"type": "string", "enum": ["a", "b"], "description": "which"},
        {"type": "integer", "minimum": 0, "format": "int32"},
        {"type": "boolean"},
    ]
)
NAMES = st.from_regex(r"[a-z_]{1,6}", fullmatch=True)
SUBSET = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(lambda item: {"type": "array", "items": item}, inner)
        | st.builds(
            lambda fields: {"type": "object", "properties": fields, "required": sorted(fields)[:1]},
            st.dictionaries(NAMES, inner, min_size=1, max_size=3),
        )
    ),
    max_leaves=6,
)


def dumped(value: object) -> bytes:
    return json.dumps(value).encode()


def shouted(schema: object) -> object:
    """As the dialect's own clients write it."""
    if isinstance(schema, dict):
        return {
            name: value.upper() if name == "type" and isinstance(value, str) else shouted(value)
            for name, value in schema.items()
        }
    return schema


@given(SUBSET)
def test_the_subset_keeps_its_bytes_and_its_capitals_are_read(schema: dict) -> None:
    plain = dumped(schema)
    assert fits(plain)
    assert json_schema(plain, "x") is plain
    assert json.loads(json_schema(dumped(shouted(schema)), "x")) == schema


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {}},
        {"type": "object", "properties": {"a": {"type": "object"}}},
        {"type": "object", "properties": {"a": {}}, "additionalProperties": False},
        {"type": "object", "properties": {"a-b": {"type": "string"}}},
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["b"]},
        {"type": "array"},
        {"type": ["string", "null"]},
        {"type": "string", "format": "uri"},
        {"type": "string", "const": "x"},
        {"type": "integer", "enum": [1]},
        {"$ref": "#/$defs/a"},
        {"anyOf": []},
        {},
        [],
        5,
    ],
)
def test_what_the_subset_has_no_word_for_does_not_fit(schema: object) -> None:
    assert not fits(dumped(schema))


def test_a_choice_of_schemas_fits() -> None:
    assert fits(dumped({"anyOf": [{"type": "string"}, {"type": "integer"}]}))


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ({"type": "STRING", "nullable": True}, {"type": ["string", "null"]}),
        ({"type": "STRING", "enum": ["a"], "nullable": True},
         {"type": ["string", "null"], "enum": ["a", None]}),
        ({"any_of": [{"type": "STRING"}], "nullable": True},
         {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ({"type": "ARRAY", "items": {"type": "NUMBER"}, "minItems": "2"},
         {"type": "array", "items": {"type": "number"}, "minItems": 2}),
        ({"type": "OBJECT", "properties": {"type": {"type": "STRING"}},
          "propertyOrdering": ["type"]},
         {"type": "object", "properties": {"type": {"type": "string"}}}),
        ({"type": "TYPE_UNSPECIFIED", "description": "any"}, {"description": "any"}),
    ],
)  # fmt: skip
def test_the_words_of_the_subset_are_said_in_json_schema(written: dict, found: dict) -> None:
    assert json.loads(json_schema(dumped(written), "x")) == found


def test_an_object_without_fields_is_empty() -> None:
    assert is_empty(b"{}")
    assert is_empty(b'{"type":"object"}')
    assert is_empty(b'{"type":"object","properties":{}}')
    assert not is_empty(b'{"type":"string"}')
    assert not is_empty(b'{"type":"object","additionalProperties":true}')
    assert not is_empty(b"[")


@pytest.mark.parametrize("schema", [b"[]", b"5", b"{", b'{"a":' * 5000])
def test_what_is_no_schema_is_named(schema: bytes) -> None:
    with pytest.raises(BadFieldError, match=r"tools\[0\]"):
        json_schema(schema, "tools[0]")
    assert not fits(schema)


def test_names_are_read_in_either_spelling() -> None:
    assert camel("top_p") == "topP"
    assert camel("response_json_schema") == "responseJsonSchema"
    assert camel("topP") == "topP"
