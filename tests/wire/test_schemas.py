"""Schemas as the dialects take them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.wire.schemas import closed, flat, is_strict, schemed
from holdfast.wire.speech import Ask, BadFieldError, Form, Text, Tool, Turn

Json = dict[str, Any]
HI = Turn("user", (Text("x"),))
A = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
B = {"type": "object", "properties": {"a": {"type": "string"}, "b": {}}, "required": ["b", "a"]}
STRICT = {**A, "additionalProperties": False}


def dumps(schema: object) -> bytes:
    return json.dumps(schema).encode()


@pytest.mark.parametrize(
    ("schema", "found"),
    [
        ({"anyOf": [A, B]}, {"properties": {"a": {"type": "string"}, "b": {}}, "required": ["a"]}),
        ({"oneOf": [A, {"type": "string"}]}, {"properties": A["properties"], "required": ["a"]}),
        ({"allOf": [A, B]}, {"properties": {"a": {"type": "string"}, "b": {}}}),
        ({"$ref": "#/$defs/A", "$defs": {"A": A}}, {"properties": A["properties"]}),
        ({**A, "not": {}, "enum": [1]}, {"properties": A["properties"], "required": ["a"]}),
        ({"type": ["object", "null"]}, {"properties": {}}),
        ({"anyOf": [{"$ref": "#/definitions/A"}], "definitions": {"A": A}}, {"required": ["a"]}),
        ({"$ref": "#"}, {"properties": {}}),
    ],
)
def test_the_top_level_of_a_tool_s_schema_becomes_an_object(schema: Json, found: Json) -> None:
    sent = json.loads(flat(dumps(schema)))
    assert sent["type"] == "object"
    assert {name: sent[name] for name in found} == found
    if "allOf" in schema:
        assert set(sent["required"]) == {"a", "b"}
    assert sent.keys().isdisjoint({"anyOf", "oneOf", "allOf", "$ref", "not", "enum"})


@pytest.mark.parametrize("schema", [A, {}, {"properties": {"x": {"anyOf": [A, B]}}}])
def test_an_object_s_schema_keeps_its_bytes(schema: Json) -> None:
    body = dumps(schema)
    assert flat(body) is body


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "string"}, "of the type 'string'"),
        ({"anyOf": [{"type": "array"}]}, "of the type 'array'"),
        ([], "not a JSON object"),
    ],
)
def test_a_schema_of_something_else_is_refused_with_the_tool_s_name(
    schema: object, says: str
) -> None:
    asked = Ask(turns=(HI,), tools=(Tool("f"), Tool("g", schema=dumps(schema))))
    with pytest.raises(BadFieldError, match=rf"tools\.g: its schema .*{says}"):
        schemed(asked, "openai")


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (STRICT, True),
        (A, False),
        ({**STRICT, "required": []}, False),
        ({**STRICT, "properties": {"a": A}}, False),
        ({**STRICT, "properties": {"a": {"type": "array", "items": STRICT}}}, True),
        ({**STRICT, "properties": {"a": {"oneOf": []}}}, False),
        ({"type": "array", "items": STRICT}, False),
    ],
)
def test_only_some_schemas_are_strictly_held_to(schema: Json, strict: bool) -> None:
    asked = Ask(
        turns=(HI,),
        tools=(Tool("f", schema=dumps(STRICT), strict=True),),
        form=Form("json_schema", dumps(schema), strict=True),
    )
    sent = schemed(asked, "openai-responses")
    assert is_strict(dumps(schema)) is strict
    assert (sent is asked) is strict
    assert sent.form is not None
    assert sent.form.strict is strict
    assert [loss.field for loss in sent.lost] == ([] if strict else ["response_format.strict"])


def test_a_tool_that_cannot_be_held_to_its_schema_is_a_tool_all_the_same() -> None:
    asked = Ask(turns=(HI,), tools=(Tool("f", schema=dumps(A), strict=True),))
    for dialect in ("openai", "anthropic"):
        sent = schemed(asked, dialect)
        assert sent.tools == (Tool("f", schema=dumps(A)),)
        assert [loss.field for loss in sent.lost] == ["tools.f.strict"]
    assert schemed(asked, "gemini") is asked


def test_answers_are_held_to_closed_objects_without_bounds() -> None:
    schema = {
        "type": "object",
        "properties": {
            "n": {"type": "integer", "minimum": 1, "description": "many"},
            "l": {"type": "array", "items": A, "minItems": 2},
            "o": {"oneOf": [A, {"type": "null"}]},
        },
        "$defs": {"A": A},
    }
    asked = Ask(turns=(HI,), form=Form("json_schema", dumps(schema), strict=True))
    sent = schemed(asked, "anthropic")
    assert sent.form is not None
    assert json.loads(sent.form.schema) == {
        "type": "object",
        "properties": {
            "n": {"type": "integer", "description": "many"},
            "l": {"type": "array", "items": STRICT},
            "o": {"anyOf": [STRICT, {"type": "null"}]},
        },
        "$defs": {"A": STRICT},
        "additionalProperties": False,
    }
    (loss,) = sent.lost
    assert "minimum, minItems" in loss.why
    fine = Ask(turns=(HI,), form=Form("json_schema", dumps(STRICT)))
    assert schemed(fine, "anthropic") is fine
    open_ = {"type": "object", "additionalProperties": {"type": "string"}}
    assert closed(dumps(open_))[1] == ("additionalProperties",)


NAMES = st.sampled_from(["a", "b"])
KINDS = st.sampled_from(["object", "string", "array", "null"])
SCHEMAS = st.recursive(
    st.fixed_dictionaries({}, optional={"type": KINDS, "minimum": st.integers(0, 3)}),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "type": KINDS,
            "properties": st.dictionaries(NAMES, inner, max_size=2),
            "required": st.lists(NAMES, unique=True),
            "additionalProperties": st.booleans() | inner,
            "items": inner,
            "anyOf": st.lists(inner, max_size=2),
            "oneOf": st.lists(inner, max_size=2),
            "allOf": st.lists(inner, max_size=2),
            "$ref": st.sampled_from(["#", "#/$defs/a", "#/properties/b", "#/x", "http://y"]),
            "$defs": st.dictionaries(NAMES, inner, max_size=1),
        },
    ),
    max_leaves=6,
)
DIALECTS = st.sampled_from(["anthropic", "openai", "openai-responses", "gemini", "ollama"])


@given(SCHEMAS, SCHEMAS, DIALECTS)
def test_what_was_schemed_is_such_as_is_taken(tool: Json, form: Json, dialect: str) -> None:
    asked = Ask(
        turns=(HI,),
        tools=(Tool("f", schema=dumps(tool), strict=True),),
        form=Form("json_schema", dumps(form), strict=True),
    )
    try:
        sent = schemed(asked, dialect)
    except BadFieldError:
        with pytest.raises(ValueError, match="type"):
            flat(dumps(tool))
        return
    top = json.loads(sent.tools[0].schema)
    assert top.keys().isdisjoint({"anyOf", "oneOf", "allOf", "$ref"})
    assert top.get("type", "object") == "object"
    assert sent.form is not None
    if dialect.startswith("openai"):
        assert not sent.form.strict or is_strict(sent.form.schema)
        assert not sent.tools[0].strict or is_strict(sent.tools[0].schema)
    if dialect == "anthropic":
        assert closed(sent.form.schema) == (sent.form.schema, ())
    assert schemed(sent, dialect) is sent


@given(st.binary(max_size=9) | st.sampled_from([b"[" * 3000, b'{"anyOf":' * 3000]))
def test_what_is_no_schema_is_said_in_words(body: bytes) -> None:
    assert is_strict(body) is False
    assert closed(body) == (body, ())
