"""Answers of Anthropic Messages in the neutral form and back; the counting of tokens."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wire.asks import ASKS, NAMES, answers

from holdfast.facts.outcomes import Usage
from holdfast.wire.anthropic import dialect as anthropic
from holdfast.wire.speech import (
    UNREADABLE,
    Answer,
    Ask,
    CannotCrossError,
    Choice,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)


@given(answers())
def test_an_answer_that_is_written_is_read_as_the_same(answer: Answer) -> None:
    assert anthropic.read_answer(anthropic.write_answer(answer, 0)) == answer


def read(*blocks: object, **more: object) -> Answer:
    return anthropic.read_answer(json.dumps({"content": blocks, **more}).encode())


def write(*parts: object, **more: Any) -> dict[str, Any]:
    answer = Answer(id="", model="m", choices=(Choice(parts, **more),))
    return json.loads(anthropic.write_answer(answer, 0))


def test_each_block_of_an_answer_is_read() -> None:
    answer = read(
        {"type": "thinking", "thinking": "hm", "signature": "EqQB"},
        {"type": "redacted_thinking", "data": "Emw"},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
        {"type": "text", "text": "So."},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"n": 1}},
        stop_reason="tool_use",
        stop_sequence=None,
    )
    assert answer.choices == (
        Choice(
            (
                Thinking("hm", "EqQB", origin="anthropic"),
                Thinking(data="Emw", origin="anthropic"),
                Text("So."),
                ToolCall("toolu_1", "f", '{"n": 1}'),
            ),
            "tool_calls",
        ),
    )


@given(NAMES, st.text(max_size=9))
def test_what_was_signed_elsewhere_comes_back_signed(signature: str, text: str) -> None:
    thinking = Thinking(text, signature, origin="openai-responses")
    content = write(thinking)["content"]
    assert content[0]["signature"].startswith("holdfast.")
    (back,) = read(*content).choices[0].parts
    assert back == thinking


def test_a_refusal_is_words_and_the_sequence_that_was_met_is_said() -> None:
    assert write(Refusal("No."), stop="refusal")["content"] == [{"type": "text", "text": "No."}]
    met = write(Text("1"), stop="stop_sequence", sequence="END")
    assert (met["stop_reason"], met["stop_sequence"]) == ("stop_sequence", "END")
    assert read(*met["content"], stop_reason="stop_sequence", stop_sequence="END").choices[
        0
    ] == Choice((Text("1"),), "stop_sequence", "END")


@pytest.mark.parametrize(
    "block",
    [
        {"type": "tool_use", "id": "x"},
        {"type": "tool_use", "name": "f", "input": "x"},
        {},
    ],
)
def test_what_nobody_knows_does_not_cross(block: object) -> None:
    with pytest.raises(CannotCrossError, match="the answer"):
        read(block)


def test_several_choices_cannot_be_said() -> None:
    two = Answer(id="", model="m", choices=(Choice((Text("a"),)), Choice((Text("b"),))))
    with pytest.raises(CannotCrossError, match="2 choices"):
        anthropic.write_answer(two, 0)


@given(st.recursive(st.none() | st.integers() | st.text(max_size=4), st.lists))
def test_any_answer_is_read_or_refused(value: object) -> None:
    for fields in ({"content": value}, {"content": [value]}, {"content": [], "usage": value}):
        body = json.dumps(fields).encode()
        try:
            anthropic.read_answer(body)
        except (CannotCrossError, *UNREADABLE):
            pass
        assert anthropic.read_whole(body).error is False


# --------------------------------------------------------------------- counting


@settings(max_examples=25)
@given(ASKS)
def test_what_counts_is_asked_about_and_nothing_else(ask: Ask) -> None:
    asked = json.loads(anthropic.write_count(ask, "m"))
    whole = json.loads(anthropic.write_ask(ask, "m").body)
    assert asked.items() <= whole.items()
    counted = {"model", "messages", "system", "tools", "tool_choice", "thinking", "output_config"}
    assert asked.keys() == whole.keys() & counted


def test_a_count_is_a_number() -> None:
    assert anthropic.read_count(anthropic.write_count_answer(2095)) == 2095
    with pytest.raises(UNREADABLE):
        anthropic.read_count(b"{}")


def test_usage_is_read_beside_the_caches() -> None:
    usage = {"input_tokens": 5, "cache_read_input_tokens": 7, "output_tokens": 2}
    assert read(usage=usage).usage == Usage(5, 2, 7)
