"""Answers of OpenAI Responses: the items, and the response around them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.asks import answers

from holdfast.facts.outcomes import Usage
from holdfast.wire.responses.answer import ending, read_usage
from holdfast.wire.responses.dialect import read_answer, write_answer
from holdfast.wire.speech import (
    UNREADABLE,
    Answer,
    CannotCrossError,
    Choice,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)

Json = dict[str, Any]


def answer(*parts: object, asked: bytes = b"", **more: Any) -> Answer:
    choice = Choice(parts, **more)
    return Answer(id="x", model="m", choices=(choice,), usage=Usage(1, 2), asked=asked)


def told(given_: Answer) -> Json:
    return json.loads(write_answer(given_, 5))


@given(answers())
def test_an_answer_that_is_written_is_read_as_the_same(said: Answer) -> None:
    written = write_answer(said, 0)
    id_ = json.loads(written)["id"]
    assert read_answer(written) == msgspec.structs.replace(said, id=id_)


def test_each_item_is_written() -> None:
    last = told(
        answer(
            Thinking("Hm.", "sig", origin="anthropic"),
            Text("a"),
            Refusal("No."),
            ToolCall("call_1", "f", '{"n":1}'),
            stop="tool_calls",
        )
    )
    assert [item["type"] for item in last["output"]] == [
        "reasoning",
        "message",
        "message",
        "function_call",
    ]
    assert last["output"][1]["content"] == [
        {"type": "output_text", "text": "a", "annotations": [], "logprobs": []}
    ]
    assert last["output"][2]["content"] == [{"type": "refusal", "refusal": "No."}]
    assert (last["status"], last["created_at"], last["object"]) == ("completed", 5, "response")
    assert last["id"].startswith("resp_")
    assert last["usage"] == {
        "input_tokens": 1,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 3,
    }


def test_the_request_is_said_again_as_it_came() -> None:
    asked = b'{"tools":[{"type":"function","name":"f"}],"temperature":0.50,"metadata":{"a":"b"}}'
    written = write_answer(answer(Text("x"), asked=asked), 5)
    assert b'"temperature":0.50' in written
    last = json.loads(written)
    assert last["tools"] == [{"type": "function", "name": "f"}]
    assert last["metadata"] == {"a": "b"}
    assert last["tool_choice"] == "auto"
    assert told(answer(Text("x"), asked=b"{"))["tools"] == []


def test_ids_are_not_the_same_for_another_question() -> None:
    one, same, other, later = (
        json.loads(write_answer(answer(Text("x"), asked=asked), at))["id"]
        for asked, at in ((b"{}", 1), (b"{}", 1), (b"{ }", 1), (b"{}", 2))
    )
    assert one == same
    assert len({one, other, later}) == 3


def test_the_clients_own_names_are_said() -> None:
    tools = [
        {"type": "namespace", "name": "ns", "tools": [{"type": "function", "name": "f"}]},
        {"type": "custom", "name": "patch"},
    ]
    asked = json.dumps({"input": "x", "tools": tools}).encode()
    calls = (ToolCall("a", "ns__f"), ToolCall("b", "patch", '{"input":"*** x"}'))
    one, two = told(answer(*calls, asked=asked, stop="tool_calls"))["output"]
    assert (one["type"], one["namespace"], one["name"]) == ("function_call", "ns", "f")
    assert (two["type"], two["name"], two["input"]) == ("custom_tool_call", "patch", "*** x")


@pytest.mark.parametrize(
    ("stop", "parts", "expected"),
    [
        ("end", [Text("x")], ("completed", None)),
        ("stop_sequence", [Text("x")], ("completed", None)),
        ("pause", [], ("completed", None)),
        ("tool_calls", [ToolCall("a", "f")], ("completed", None)),
        ("length", [Text("x")], ("incomplete", "max_output_tokens")),
        ("refusal", [Refusal("x")], ("completed", None)),
        ("refusal", [Text("x")], ("incomplete", "content_filter")),
    ],
)
def test_each_end_has_its_status(stop: Any, parts: Any, expected: object) -> None:
    assert ending(stop, parts) == expected


def test_several_choices_are_refused() -> None:
    two = Answer(id="x", model="m", choices=(Choice(()), Choice(())))
    with pytest.raises(CannotCrossError, match="2 choices"):
        write_answer(two, 0)


def test_probabilities_move_between_the_text_and_the_choice() -> None:
    probs = b'[{"token":"x","bytes":[120],"logprob":-0.50,"top_logprobs":[]}]'
    chat = b'{"content":' + probs + b',"refusal":null}'
    written = write_answer(answer(Text("x"), logprobs=chat), 0)
    assert b'"logprobs":' + probs in written
    assert read_answer(written).choices[0].logprobs == chat


@pytest.mark.parametrize(
    ("usage", "found"),
    [
        (b'{"input_tokens":9,"output_tokens":2}', Usage(9, 2)),
        (
            b'{"input_tokens":9,"input_tokens_details":{"cached_tokens":5,"cache_write_tokens":3}}',
            Usage(1, None, 5, 3),
        ),
        (b'{"input_tokens":1,"input_tokens_details":{"cached_tokens":5}}', Usage(0, None, 5)),
        (b"null", Usage()),
        (b'"x"', Usage()),
        (b"", Usage()),
    ],
)
def test_caches_are_counted_beside_the_input(usage: bytes, found: Usage) -> None:
    assert read_usage(msgspec.Raw(usage)) == found


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["type", "output", "content", "summary", "name", "text"]),
                inner | st.sampled_from(["message", "reasoning", "function_call", "output_text"]),
            )
        ),
        max_leaves=8,
    )
)
def test_any_answer_is_read_or_refused(value: object) -> None:
    for fields in (value, {"output": value}, {"output": [value]}):
        try:
            found = read_answer(json.dumps(fields).encode())
        except (CannotCrossError, *UNREADABLE):
            continue
        assert len(found.choices) == 1
