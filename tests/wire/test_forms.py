"""Schemas of answers for providers that enforce them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.asks import VALUES

from holdfast.wire.anthropic import ask as anthropic_ask
from holdfast.wire.forms import IN_JSON, closed, enforced, is_strict, rewritten, wants_word
from holdfast.wire.openai import ask as openai_ask
from holdfast.wire.responses import ask as responses_ask
from holdfast.wire.speech import Ask, Form, Text, Turn

Json = dict[str, Any]
LEAVES = st.sampled_from([{"type": "string"}, {"type": ["number", "null"]}, {"enum": ["a", 1]}])
NAMES = st.sampled_from(["a", "b", "properties", "type"])


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[Json]) -> Json:
    fields = draw(st.dictionaries(NAMES, inner, min_size=1, max_size=3))
    return {"type": "object", "properties": fields, "required": list(fields)}


SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: (
        objects(inner)
        | st.builds(lambda one: {"type": "array", "items": one}, inner)
        | st.builds(lambda some: {"anyOf": some}, st.lists(inner, min_size=1, max_size=2))
    ),
    max_leaves=6,
)


@given(SCHEMAS)
def test_an_object_that_leaves_others_unsaid_is_closed_and_once(schema: Json) -> None:
    """Whose fields are all required is strict then, however deep it stands."""
    whole = {"type": "object", "properties": {"x": schema}, "required": ["x"]}
    given_ = json.dumps(whole).encode()
    assert not is_strict(given_)
    once = closed(given_)
    assert is_strict(once)
    assert closed(once) == once
    assert rewritten(once, without_the_word) == json.dumps(whole, separators=(",", ":")).encode()


def without_the_word(schema: Json) -> Json:
    return {name: value for name, value in schema.items() if name != "additionalProperties"}


@given(st.binary(max_size=20) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_what_is_no_schema_stays_as_it_is(data: bytes) -> None:
    assert isinstance(closed(data), bytes)
    assert enforced(Form("json_schema", data, strict=None)).schema == data


@pytest.mark.parametrize(
    "loose",
    [
        {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"type": "object"}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": {}},
        {"type": "object", "properties": {"a": {"oneOf": [{}]}}, "required": ["a"]},
        {"type": "array", "items": {"type": "string"}},
        {"$ref": "#"},
    ],
)
def test_what_cannot_be_enforced_is_shown_as_it_came(loose: Json) -> None:
    form = Form("json_schema", json.dumps(loose).encode(), "n", strict=True)
    assert enforced(form) == Form("json_schema", form.schema, "n", strict=False)


def asked(form: Form, text: str = "hi") -> Ask:
    return Ask(turns=(Turn("user", (Text(text),)),), form=form)


@pytest.mark.parametrize("dialect", [openai_ask, responses_ask])
def test_a_form_that_is_no_longer_enforced_is_a_loss(dialect: Any) -> None:
    loose = Form("json_schema", b'{"type":"object","properties":{"a":{}}}', strict=True)
    sent = dialect.write_ask(asked(loose), "m")
    assert [lost.field for lost in sent.lost] == ["response_format"]
    assert b'"strict":false' in sent.body
    held = Form("json_schema", b'{"type":"object","properties":{"a":{}},"required":["a"]}')
    sent = dialect.write_ask(asked(Form("json_schema", held.schema, strict=True)), "m")
    assert sent.lost == ()
    assert b'"additionalProperties":false' in sent.body


def test_the_word_that_providers_demand_is_said_where_nobody_says_it() -> None:
    plain = Form("json_object")
    assert wants_word(asked(plain))
    assert not wants_word(asked(plain, "as Json"))
    assert not wants_word(asked(Form("json_schema", b"{}")))
    for said, texts in (("hi", 1), ("json, please", 0)):
        chat = json.loads(openai_ask.write_ask(asked(plain, said), "m").body)
        items = json.loads(responses_ask.write_ask(asked(plain, said), "m").body)
        expected = [{"role": "system", "content": IN_JSON}] * texts
        assert chat["messages"][:-1] == items["input"][:-1] == expected
    sent = anthropic_ask.write_ask(asked(plain, "json"), "m")
    assert json.loads(sent.body)["system"] == IN_JSON
    assert [lost.field for lost in sent.lost] == ["response_format"]
