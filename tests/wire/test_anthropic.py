"""Anthropic Messages in the neutral form and back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.asks import ASKS

from holdfast.facts.outcomes import Usage
from holdfast.wire import anthropic
from holdfast.wire.speech import UNREADABLE, Answer, Ask, CannotCrossError, Sampling, Turn

COUNT = st.none() | st.integers(0, 10**6)


@given(ASKS)
def test_a_request_that_is_written_is_read_as_the_same(ask: Ask) -> None:
    body = anthropic.write_ask(ask, "m")
    assert json.loads(body)["model"] == "m"
    assert anthropic.read_ask(body) == ask


@given(
    st.text(max_size=30),
    st.sampled_from(["end", "length", "stop_sequence", "refusal"]),
    st.builds(Usage, st.integers(0, 9), st.integers(0, 9), COUNT, COUNT),
)
def test_an_answer_that_is_written_is_read_as_the_same(text: str, stop: str, usage: Usage) -> None:
    answer = Answer(id="msg_1", model="m", text=text, stop=stop, usage=usage)
    assert anthropic.read_answer(anthropic.write_answer(answer, 0)) == answer


def test_a_limit_that_was_not_set_is_set_because_the_dialect_wants_one() -> None:
    body = json.loads(anthropic.write_ask(Ask(turns=(Turn("user", "hi"),)), "m"))
    assert body == {
        "model": "m",
        "max_tokens": anthropic.DEFAULT_MAX_TOKENS,
        "messages": [{"role": "user", "content": "hi"}],
    }


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (Ask(turns=(Turn("assistant", "hi"), Turn("user", "ho"))), "user first"),
        (Ask(turns=(Turn("user", "  "),)), "empty"),
        (Ask(turns=(Turn("user", "x"),), sampling=Sampling(temperature=1.2)), "temperature"),
    ],
)
def test_what_the_dialect_would_refuse_is_not_sent(ask: Ask, says: str) -> None:
    with pytest.raises(CannotCrossError, match=says):
        anthropic.write_ask(ask, "m")


def test_what_a_model_said_in_blocks_goes_on_and_what_people_sent_stays_apart() -> None:
    blocks = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    turns = [{"role": role, "content": blocks} for role in ("user", "assistant", "user")]
    ask = anthropic.read_ask(json.dumps({"messages": turns, "system": blocks}).encode())
    assert [turn.text for turn in ask.turns] == ["a\n\nb", "ab", "a\n\nb"]
    assert ask.system == "a\n\nb"


def test_what_changes_nothing_does_not_keep_a_request_from_crossing() -> None:
    extra = {
        "thinking": {"type": "disabled"},
        "metadata": {"user_id": "u"},
        "tools": [],
        "stop_sequences": None,
        "service_tier": "auto",
        "cache_control": {"type": "ephemeral"},
    }
    body = json.dumps({"messages": [{"role": "user", "content": "x"}], **extra}).encode()
    assert anthropic.read_ask(body) == Ask(turns=(Turn("user", "x"),))


@given(st.recursive(st.none() | st.integers() | st.text(max_size=4), st.lists))
def test_any_answer_is_read_or_refused(value: object) -> None:
    for fields in ({"content": value}, {"content": [value]}, {"content": [], "usage": value}):
        body = json.dumps(fields).encode()
        try:
            anthropic.read_answer(body)
        except (CannotCrossError, *UNREADABLE):
            pass
        assert anthropic.read_whole(body).error is False
