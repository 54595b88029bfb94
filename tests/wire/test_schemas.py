"""The schemas of tools that a target would refuse."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.wire.fitting import flat
from holdfast.wire.forms import is_strict
from holdfast.wire.schemas import schemed
from holdfast.wire.speech import Ask, BadFieldError, Text, Tool, Turn

Json = dict[str, Any]
HI = Turn("user", (Text("x"),))
A: Json = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
STRICT = {**A, "additionalProperties": False}
BOUND = {**STRICT, "properties": {"a": {"type": "string", "maxLength": 3}}}


def dumps(schema: object) -> bytes:
    return json.dumps(schema).encode()


def asking(schema: object, *, strict: bool | None = None) -> Ask:
    return Ask(turns=(HI,), tools=(Tool("f"), Tool("g", schema=dumps(schema), strict=strict)))


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "string"}, "of the type 'string'"),
        ({"type": ["array", "null"]}, "array"),
        ({"type": 7}, "of the type '7'"),
        ([], "no JSON object"),
    ],
)
def test_a_tool_that_takes_no_object_is_refused_by_its_name(schema: object, says: str) -> None:
    with pytest.raises(BadFieldError, match=rf"tools\.g: its schema .*{says}"):
        schemed(asking(schema), "gemini")


@given(st.lists(st.sampled_from("abcd"), max_size=5))
def test_a_tool_that_is_there_twice_is_refused_by_its_name(names: list[str]) -> None:
    asked = Ask(turns=(HI,), tools=tuple(map(Tool, names)))
    if len(set(names)) == len(names):
        assert schemed(asked, "openai") is asked
        return
    with pytest.raises(BadFieldError, match=r"tools: '[abcd]' is there twice") as refused:
        schemed(asked, "openai")
    assert names.count(str(refused.value)[8]) > 1


@pytest.mark.parametrize(
    "schema",
    [{}, A, {"type": ["object", "null"]}, {"anyOf": [A]}, {"$ref": "#/$defs/A", "$defs": {"A": A}}],
)
def test_whatever_takes_an_object_is_taken(schema: Json) -> None:
    asked = asking(schema)
    assert schemed(asked, "openai") is asked


@pytest.mark.parametrize(
    ("schema", "dialect", "held"),
    [
        (STRICT, "openai", True),
        (STRICT, "anthropic", True),
        (A, "openai-responses", False),
        (A, "anthropic", False),
        (BOUND, "openai", True),
        (BOUND, "anthropic", False),
        (A, "gemini", True),  # it is its writer that says so
    ],
)
def test_a_tool_that_cannot_be_held_to_its_schema_is_a_tool_all_the_same(
    schema: Json, dialect: str, held: bool
) -> None:
    sent = schemed(asking(schema, strict=True), dialect)
    assert sent.tools[1] == Tool("g", schema=dumps(schema), strict=True if held else None)
    assert [loss.field for loss in sent.lost] == ([] if held else ["tools.g.strict"])


def test_a_reference_at_the_top_is_what_it_refers_to() -> None:
    sent = json.loads(flat(dumps({"$ref": "#/$defs/A", "$defs": {"A": A}})))
    assert sent == {**A, "$defs": {"A": A}}


@given(
    st.dictionaries(
        st.sampled_from(
            ["type", "properties", "required", "additionalProperties", "$ref", "anyOf"]
        ),
        st.none()
        | st.booleans()
        | st.sampled_from(["object", "string", "#/x", "#"])
        | st.lists(st.sampled_from([A, STRICT, "a"]), max_size=2)
        | st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from([A, STRICT]), max_size=2),
    ),
    st.sampled_from(["anthropic", "openai", "openai-responses", "gemini", "ollama"]),
)
def test_what_is_strict_can_be_held_to(schema: Json, dialect: str) -> None:
    try:
        sent = schemed(asking(schema, strict=True), dialect)
    except BadFieldError:
        return
    if sent.tools[1].strict and dialect not in ("gemini", "ollama"):
        assert is_strict(sent.tools[1].schema)
    assert schemed(sent, dialect) is sent
