"""Ids and names that fit, and calls that have their results."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.wire.asks import ASKS, NAMES, VALUES

from holdfast.wire.anthropic import ask as anthropic_ask
from holdfast.wire.fitting import (
    ID,
    fitted,
    flat,
    is_flat,
    itemised,
    lettered,
    looks_fitted,
    paired,
    rounded,
)
from holdfast.wire.openai import ask as openai_ask
from holdfast.wire.responses import ask as responses_ask
from holdfast.wire.speech import Ask, BadFieldError, Text, Tool, ToolCall, ToolResult, Turn

CALLED = Turn("assistant", (ToolCall("a", "f"), ToolCall("b", "f")))
FIRST, SECOND = ToolResult("a", (Text("1"),)), ToolResult("b", (Text("2"),))
WORDS, RULES = Turn("user", (Text("wait"),)), Turn("system", (Text("rules"),))


@given(st.text(max_size=100), st.sampled_from([40, 64, 128]))
def test_anything_fits_and_always_in_the_same_way(name: str, most: int) -> None:
    found = fitted(name, most)
    assert len(found) <= most
    assert ID.fullmatch(found)
    assert fitted(name, most) == found == fitted(found, most)
    assert found == name or looks_fitted(found)


@given(st.text(max_size=100))
def test_a_name_may_have_to_begin_with_a_letter(name: str) -> None:
    found = lettered(name, 64)
    assert re.fullmatch("[A-Za-z_][A-Za-z0-9_-]{0,63}", found)
    assert lettered(found, 64) == found
    assert found == name or looks_fitted(found)
    assert (found == fitted(name, 64)) is (name[:1] not in set("0123456789-"))


@given(NAMES)
def test_what_fits_stays(name: str) -> None:
    assert fitted(name, 40) == name


@given(st.lists(st.text(max_size=60), unique=True, max_size=20))
def test_two_names_do_not_become_one(names: list[str]) -> None:
    assert len({fitted(name, 40) for name in names}) == len(names)


@pytest.mark.parametrize(
    ("schema", "found"),
    [
        (b"{}", b'{"type":"object","properties":{}}'),
        (b'{"type": "object"}', b'{"type":"object","properties":{}}'),
        (b'{"required": []}', b'{"type":"object","properties":{},"required":[]}'),
        (b'{"properties": {"a": 1E2}}', b'{"type":"object","properties":{"a": 1E2}}'),
        (b'{"type": "object", "properties": {}}', b'{"type": "object", "properties": {}}'),
        (b'{"type":"string"}', b'{"type":"string"}'),
        (b"5", b"5"),
    ],
)
def test_a_schema_has_its_type_and_its_properties(schema: bytes, found: bytes) -> None:
    assert json.loads(rounded(schema)) == json.loads(found)
    if b"1E2" in schema:
        assert b"1E2" in rounded(schema)


def test_alternatives_at_the_top_become_fields_that_may_be_there() -> None:
    a, b = {"properties": {"a": {"type": "string"}}, "required": ["a", "k"]}, {"$ref": "#/$defs/B"}
    schema = {
        "properties": {"k": {"type": "integer"}},
        "anyOf": [a, b],
        "allOf": [{"required": ["z"]}],
        "$defs": {"B": {"properties": {"b": {}}, "required": ["k"]}},
    }
    found = json.loads(flat(json.dumps(schema).encode()))
    assert found == {
        "type": "object",
        "properties": {"b": {}, "a": {"type": "string"}, "k": {"type": "integer"}},
        "required": ["k", "z"],
        "$defs": schema["$defs"],
    }


@pytest.mark.parametrize("dialect", [anthropic_ask, openai_ask, responses_ask])
def test_a_schema_that_was_loosened_is_a_loss(dialect: Any) -> None:
    for schema, fields in ((b'{"oneOf":[{"required":["a"]}]}', ["tools"]), (b"{}", [])):
        ask = Ask(turns=(WORDS,), tools=(Tool("f", schema=schema),))
        assert [lost.field for lost in dialect.write_ask(ask, "m").lost] == fields


@given(VALUES.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=20))
def test_what_has_no_alternatives_is_left_alone(schema: bytes) -> None:
    assume(not re.search(rb"(any|one|all)Of|ref", schema))
    assert flat(schema) == rounded(schema)
    assert is_flat(schema)
    inner = b'{"type":"object","properties":{"x":{"anyOf":[{},{}]}}}'
    assert flat(inner) == inner
    assert is_flat(inner)


def test_every_array_says_what_its_items_are() -> None:
    bare = b'{"properties":{"a":{"type":"array"},"b":{"type":["array","null"]}}}'
    assert json.loads(itemised(bare)) == {
        "properties": {
            "a": {"type": "array", "items": {}},
            "b": {"type": ["array", "null"], "items": {}},
        }
    }
    said = b'{"properties":{"a":{"type":"array", "items":{"type":"array","items":{}}}}}'
    assert itemised(said) is said


@settings(max_examples=25)
@given(ASKS)
def test_calls_in_order_stay_as_they_are(ask: Ask) -> None:
    assert paired(ask, "messages") == ask


def ask(*turns: tuple[object, ...]) -> Ask:
    found = [
        Turn("assistant" if any(isinstance(p, ToolCall) for p in parts) else "user", parts)
        for parts in turns
    ]
    return Ask(turns=(Turn("user", (Text("x"),)), *found))


@pytest.mark.parametrize(
    ("between", "expected"),
    [
        ([WORDS, Turn("user", (FIRST, SECOND))], [Turn("user", (FIRST, SECOND, Text("wait")))]),
        ([RULES, Turn("user", (FIRST, SECOND))], [Turn("user", (FIRST, SECOND)), RULES]),
        (
            [Turn("user", (FIRST,)), RULES, Turn("user", (SECOND, Text("go")))],
            [Turn("user", (FIRST, SECOND)), RULES, Turn("user", (Text("go"),))],
        ),
    ],
)
def test_results_stand_right_behind_their_calls(between: list[Turn], expected: list[Turn]) -> None:
    """Most providers refuse whatever else is said first."""
    ask = Ask(turns=(WORDS, CALLED, *between))
    assert paired(ask, "messages").turns == (WORDS, CALLED, *expected)
    assert paired(paired(ask, "messages"), "messages") == paired(ask, "messages")


@given(st.lists(st.lists(st.sampled_from(["", "a", "b", "a_2"]), max_size=3), max_size=5))
def test_every_call_gets_an_id_of_its_own(turns: list[list[str]]) -> None:
    said = []
    for ids in filter(None, turns):
        said += [tuple(ToolCall(i, "f") for i in ids), tuple(ToolResult(i) for i in ids)]
    found = paired(ask(*said), "messages")
    calls = [p.id for turn in found.turns for p in turn.parts if isinstance(p, ToolCall)]
    results = [p.id for turn in found.turns for p in turn.parts if isinstance(p, ToolResult)]
    assert calls == results
    assert len(set(calls)) == len(calls)
    assert all(calls)


@pytest.mark.parametrize(
    ("turns", "says"),
    [
        ([(ToolResult("z"),)], "names the call 'z'"),
        ([(ToolCall("a", "f"),), (ToolResult("a"), ToolResult("a"))], "names the call 'a'"),
        ([(ToolCall("a", "f"),), (Text("x"),)], "'a' has no result"),
        ([(ToolCall("a", "f"),), (ToolCall("b", "f"),)], "'a' has no result"),
    ],
)
def test_calls_and_results_that_do_not_belong_together_are_named(
    turns: list[tuple[object, ...]], says: str
) -> None:
    with pytest.raises(BadFieldError, match=f"^input: .*{says}"):
        paired(ask(*turns), "input")
