"""OpenAI Chat Completions in the neutral form and back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.asks import ASKS

from holdfast.facts.outcomes import Usage
from holdfast.wire import openai
from holdfast.wire.speech import UNREADABLE, Answer, Ask, CannotCrossError, Sampling, Turn
from holdfast.wire.sse import SseReader

HI = {"role": "user", "content": "hi"}


def ask(*messages: object, **more: object) -> Ask:
    return openai.read_ask(json.dumps({"messages": messages or [HI], **more}).encode())


@given(ASKS)
def test_a_request_that_is_written_is_read_as_the_same(asked: Ask) -> None:
    body = openai.write_ask(asked, "m")
    fields = json.loads(body)
    assert fields["model"] == "m"
    assert ("stream_options" in fields) == asked.sampling.stream
    assert openai.read_ask(body) == asked


@given(
    st.text(max_size=30),
    st.sampled_from(["end", "length", "refusal"]),
    st.builds(Usage, *[st.integers(0, 9)] * 3),
)
def test_an_answer_that_is_written_is_read_as_the_same(text: str, stop: str, usage: Usage) -> None:
    answer = Answer(id="c-1", model="m", text=text, stop=stop, usage=usage)
    assert openai.read_answer(openai.write_answer(answer, 0)) == answer


def test_more_stop_sequences_than_the_dialect_takes_are_refused() -> None:
    five = Ask(turns=(Turn("user", "x"),), sampling=Sampling(stop=("a", "b", "c", "d", "e")))
    with pytest.raises(CannotCrossError, match="4 stop sequences"):
        openai.write_ask(five, "m")


def test_what_changes_nothing_does_not_keep_a_request_from_crossing() -> None:
    extra = {
        "n": 1,
        "frequency_penalty": 0.0,
        "presence_penalty": 0,
        "logprobs": False,
        "response_format": {"type": "text"},
        "tools": [],
        "tool_choice": "none",
        "modalities": ["text"],
        "store": False,
        "user": "u",
        "stop": None,
        "prompt_cache_key": "k",
        "stream_options": {"include_usage": True},
    }
    assert ask(**extra) == ask() == Ask(turns=(Turn("user", "hi"),))


@pytest.mark.parametrize(
    "extra",
    [
        {"n": 2},
        {"frequency_penalty": 0.5},
        {"logprobs": True},
        {"response_format": {"type": "json_object"}},
        {"reasoning_effort": "high"},
        {"seed": 0},
        {"logit_bias": {"50256": -100}},
        {"field_of_tomorrow": False},
    ],
)
def test_what_changes_the_answer_is_refused_by_name(extra: dict[str, object]) -> None:
    with pytest.raises(CannotCrossError, match=next(iter(extra))):
        ask(**extra)


def test_an_answer_that_a_client_hands_back_crosses_with_its_empty_fields() -> None:
    empty = {"refusal": None, "annotations": [], "audio": None, "tool_calls": None}
    found = ask(HI, {"role": "assistant", "content": "ho", **empty}, HI)
    assert [turn.role for turn in found.turns] == ["user", "assistant", "user"]
    with pytest.raises(CannotCrossError, match=r"messages\[1\] holds more than text"):
        ask(HI, {"role": "assistant", "content": "ho", "tool_calls": [{}]}, HI)


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        (b'{"stream_options":{"include_usage":true}}', True),
        (b'{"stream_options":{"include_usage":false}}', False),
        (b'{"stream_options":null}', False),
        (b'{"messages":[{"content":"include_usage"}]}', False),
        (b'{"stream_options":5}', False),
        (b"{", False),
    ],
)
def test_usage_is_streamed_where_it_was_asked_for(body: bytes, asked: bool) -> None:
    end = openai.stream_writer(body, 0).end("end", Usage(1, 2))
    assert (b'"usage"' in end) is asked
    assert SseReader().feed(end)[-1].data == b"[DONE]"


@given(st.recursive(st.none() | st.integers() | st.text(max_size=4), st.lists))
def test_any_answer_is_read_or_refused(value: object) -> None:
    message = {"message": {"content": value}}
    for fields in ({"choices": value}, {"choices": [value]}, {"choices": [message]}):
        body = json.dumps(fields).encode()
        try:
            openai.read_answer(body)
        except (CannotCrossError, *UNREADABLE):
            pass
        assert openai.read_whole(body).error is False
