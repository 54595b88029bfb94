"""Ollama's own API: whole answers, errors, lists of models and their details."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.asks import answers
from tests.wire.recorded import JSON, call, joined, leg

from holdfast.facts.outcomes import PieceKind, Usage
from holdfast.wire import speak
from holdfast.wire.mend import mended_answer
from holdfast.wire.ollama import dialect as ollama
from holdfast.wire.speech import (
    UNREADABLE,
    Answer,
    Ask,
    BadBodyError,
    CannotCrossError,
    Choice,
    Model,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    Turn,
)

WHOLE = {
    "model": "llama3.2",
    "created_at": "2024-07-22T20:33:28.123648Z",
    "message": {
        "role": "assistant",
        "content": "",
        "thinking": "hm",
        "tool_calls": [
            {"function": {"name": "get_current_weather", "arguments": {"location": "Paris, FR"}}}
        ],
    },
    "done_reason": "stop",
    "done": True,
    "total_duration": 885095291,
    "load_duration": 3753500,
    "prompt_eval_count": 122,
    "prompt_eval_duration": 328493000,
    "eval_count": 33,
    "eval_duration": 552222000,
}


def body(**more: object) -> bytes:
    return json.dumps({**WHOLE, **more}).encode()


# ------------------------------------------------------------------ whole answers


def test_an_answer_as_documented_is_read() -> None:
    answer = ollama.read_answer(body())
    given_ = '{"location": "Paris, FR"}'
    parts = (Thinking("hm", origin="ollama"), ToolCall("", "get_current_weather", given_))
    usage = Usage(input=122, output=33)
    assert answer == Answer(id="", model="llama3.2", choices=(Choice(parts),), usage=usage)
    (choice,) = mended_answer(answer).choices
    assert choice.stop == "tool_calls"
    assert choice.parts[1].id.startswith("call_")


@given(answers())
def test_an_answer_that_is_written_is_read_as_the_same(answer: Answer) -> None:
    (choice,) = answer.choices
    written = json.loads(ollama.write_answer(answer, 7))
    assert written["done"] is True
    assert written["created_at"] == "1970-01-01T00:00:07Z"
    assert written["message"]["role"] == "assistant"
    back = mended_answer(ollama.read_answer(ollama.write_answer(answer, 7)))
    stop = "end" if choice.stop == "refusal" else choice.stop
    used = answer.usage
    assert back == msgspec.structs.replace(
        answer,
        id="",
        choices=(msgspec.structs.replace(choice, stop=stop),),
        usage=Usage((used.input or 0) + (used.cache_read or 0), used.output),
    )


def test_words_of_each_kind_have_their_place() -> None:
    parts = (Thinking("a"), Thinking("b"), Text("c"), Refusal("d"))
    answer = Answer(id="i", model="m", choices=(Choice(parts, "length"),))
    written = json.loads(ollama.write_answer(answer, 0))
    assert written["message"] == {"role": "assistant", "content": "cd", "thinking": "ab"}
    assert written["done_reason"] == "length"
    two = msgspec.structs.replace(answer, choices=answer.choices * 2)
    with pytest.raises(CannotCrossError, match="2 choices"):
        ollama.write_answer(two, 0)


def test_logprobs_cross_as_the_list_that_they_are_here() -> None:
    found = [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}]
    answer = ollama.read_answer(body(logprobs=found))
    assert json.loads(answer.choices[0].logprobs) == {"content": found}
    assert json.loads(ollama.write_answer(answer, 0))["logprobs"] == found
    for none in (b"", b"5", b'{"content":null}'):
        choice = msgspec.structs.replace(answer.choices[0], logprobs=none)
        bare = msgspec.structs.replace(answer, choices=(choice,))
        assert "logprobs" not in json.loads(ollama.write_answer(bare, 0))


def test_a_whole_body_is_an_answer_an_error_or_neither() -> None:
    whole = ollama.read_whole(body())
    assert (whole.answer, whole.error, whole.usage) == (True, False, Usage(122, 33))
    assert ollama.read_whole(b'{"response":""}').answer
    assert ollama.read_whole(b'{"error":"no"}').error
    neither = ollama.read_whole(b"{}")
    assert (neither.answer, neither.error) == (False, False)


@pytest.mark.parametrize("bad", [b"{}", b'{"message":{"tool_calls":[{"function":{}}]}}'])
def test_what_is_no_answer_does_not_cross(bad: bytes) -> None:
    with pytest.raises(CannotCrossError):
        ollama.read_answer(bad)


@given(st.recursive(st.none() | st.integers() | st.text(max_size=4), st.lists))
def test_any_answer_is_read_or_refused(value: object) -> None:
    for fields in ({"message": value}, {"message": {"content": value, "tool_calls": [value]}}):
        try:
            ollama.read_answer(json.dumps(fields).encode())
        except (CannotCrossError, *UNREADABLE) as error:
            assert str(error)  # noqa: PT017 - either is right


def test_a_whole_answer_is_streamed_where_a_stream_was_asked_for() -> None:
    """Some relays do not stream."""
    tap = speak.tap(call("ollama"), leg("openai"), 200, JSON)
    message = {"role": "assistant", "content": "Hi"}
    whole = {"id": "i", "model": "g", "choices": [{"message": message, "finish_reason": "stop"}]}
    pieces = [*tap.feed(json.dumps(whole).encode()), *tap.close()]
    assert tap.head == ((b"content-type", b"application/x-ndjson"),)
    lines = [json.loads(line) for line in joined(pieces).splitlines()]
    assert [line["message"]["content"] for line in lines] == ["Hi", ""]
    assert pieces[-1].kind is PieceKind.END


# ------------------------------------------------------------------------- errors


def test_an_error_is_a_sentence() -> None:
    assert speak.error_reply("ollama", 404, "no")[1] == b'{"error":"no"}'
    assert speak.error_event("ollama", 529, "no") == b'{"error":"no"}\n'
    assert speak.overload_status("ollama") == 503
    assert ollama.said(b'{"error":"model not found"}').message == "model not found"


def test_nobody_counts_here() -> None:
    for ask in (
        lambda: ollama.write_count(Ask(turns=(Turn("user", ()),)), "m"),
        lambda: ollama.read_count(b""),
        lambda: ollama.write_count_answer(1),
    ):
        with pytest.raises(CannotCrossError, match="cannot be counted"):
            ask()


# ------------------------------------------------------------------------- models


def test_models_are_listed_as_tools_read_them() -> None:
    models = [Model("sim/steady"), Model("fast", created=1_800_000_000)]
    (one, two) = json.loads(speak.models_reply("ollama", models))["models"]
    assert two["modified_at"].startswith("2027-01-15T")
    assert (one["name"], one["model"], two["name"]) == ("sim/steady", "sim/steady", "fast")
    assert len(one["digest"]) == 64
    assert one["digest"] != two["digest"]
    assert one["details"]["families"]


def test_a_model_is_shown_with_what_is_known_of_it() -> None:
    shown = json.loads(ollama.show_body(65536, frozenset({"vision"})))
    assert shown["capabilities"] == ["completion", "tools", "thinking"]
    family = shown["model_info"]["general.architecture"]
    assert shown["model_info"][f"{family}.context_length"] == 65536
    unknown = json.loads(ollama.show_body(None, frozenset()))
    assert list(unknown["model_info"]) == ["general.architecture"]
    assert unknown["capabilities"] == ["completion", "tools", "vision", "thinking"]


def test_the_model_that_is_asked_about_is_found_or_its_field_is_named() -> None:
    assert ollama.shown_model(b'{"model":"a","name":"b"}') == "a"
    assert ollama.shown_model(b'{"name":"b","verbose":true}') == "b"
    for bad in (b"", b"[]", b"{}", b'{"model":5}', b'{"model":""}'):
        with pytest.raises(BadBodyError, match=r"holdfast: the body (names no|is not a)"):
            ollama.shown_model(bad)


def test_the_version_is_one_that_tools_take() -> None:
    major, minor, _ = json.loads(ollama.version_body())["version"].split(".")
    assert (int(major), int(minor)) >= (0, 6)
