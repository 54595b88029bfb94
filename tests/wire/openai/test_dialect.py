"""Answers of OpenAI Chat Completions in the neutral form and back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.asks import answers

from holdfast.facts.outcomes import Usage
from holdfast.wire.deltas import Stopped, UsageSeen
from holdfast.wire.mend import deltas_of
from holdfast.wire.openai import dialect as openai
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
    Turn,
)
from holdfast.wire.sse import SseReader


@given(answers())
def test_an_answer_that_is_written_is_read_as_the_same(answer: Answer) -> None:
    assert openai.read_answer(openai.write_answer(answer, 0)) == answer


def test_several_choices_their_thoughts_and_their_odds_are_kept() -> None:
    odds = b'{"content":[],"refusal":null}'
    answer = Answer(
        id="x",
        model="m",
        choices=(
            Choice((Thinking("hm", origin="openai"), Text("a")), logprobs=odds),
            Choice((Refusal("No."),), "refusal"),
            Choice((ToolCall("c", "f", '{"a": 1E2}'),), "tool_calls"),
        ),
        usage=Usage(1, 2, 0),
    )
    assert openai.read_answer(openai.write_answer(answer, 0)) == answer


def test_an_answer_in_pieces_is_read_with_its_thoughts() -> None:
    """So Mistral's models that reason give it."""
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}], "closed": True}
    content = [thinking, {"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]
    body = {"choices": [{"message": {"content": content}, "finish_reason": "stop"}]}
    answer = openai.read_answer(json.dumps(body).encode())
    assert answer.choices[0].parts == (Thinking("hm", origin="openai"), Text("Hello"))
    assert answer.lost == ()


@pytest.mark.parametrize(("said", "reason"), [((Refusal("No."),), "stop"), ((), "content_filter")])
def test_a_refusal_in_words_ends_as_other_answers_do(said: tuple, reason: str) -> None:
    """SDKs raise on `content_filter`, and would never show the words."""
    answer = Answer(id="x", model="m", choices=(Choice(said, "refusal"),))
    choice = json.loads(openai.write_answer(answer, 0))["choices"][0]
    assert choice["finish_reason"] == reason
    writer = openai.stream_writer(b"{}", 0)
    stream = b"".join(map(writer.write, deltas_of(answer)))
    assert f'"finish_reason":"{reason}"'.encode() in stream


@pytest.mark.parametrize("message", [{"tool_calls": [{"id": "c"}]}, {"tool_calls": [{}]}])
def test_a_call_without_a_name_does_not_cross(message: object) -> None:
    with pytest.raises(CannotCrossError, match="without a name"):
        openai.read_answer(json.dumps({"choices": [{"message": message}]}).encode())
    with pytest.raises(CannotCrossError, match="no choice"):
        openai.read_answer(b'{"choices":[]}')


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
    writer = openai.stream_writer(body, 0)
    end = writer.write(UsageSeen(Usage(1, 2))) + writer.write(Stopped())
    assert (b'"usage"' in end) is asked
    assert SseReader().feed(end)[-1].data == b"[DONE]"


@given(st.recursive(st.none() | st.integers() | st.text(max_size=4), st.lists))
def test_any_answer_is_read_or_refused(value: object) -> None:
    message = {"message": {"content": value, "tool_calls": value}}
    for fields in ({"choices": value}, {"choices": [value]}, {"choices": [message]}):
        body = json.dumps(fields).encode()
        try:
            openai.read_answer(body)
        except (CannotCrossError, *UNREADABLE):
            pass
        assert openai.read_whole(body).error is False


def test_nobody_counts_tokens_in_this_dialect() -> None:
    with pytest.raises(CannotCrossError):
        openai.write_count(Ask(turns=(Turn("user", (Text("x"),)),)), "m")
    with pytest.raises(CannotCrossError):
        openai.read_count(b"{}")
    with pytest.raises(CannotCrossError):
        openai.write_count_answer(1)
