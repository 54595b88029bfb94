"""Answers, errors, models and counts of Gemini's dialect."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.asks import ASKS, VALUES, answers

from holdfast.facts.calls import Call
from holdfast.facts.flights import Leg
from holdfast.facts.outcomes import Said, Usage
from holdfast.facts.places import Target
from holdfast.wire import speak
from holdfast.wire.anthropic import dialect as anthropic
from holdfast.wire.gemini import array as gemini_array
from holdfast.wire.gemini import dialect as gemini
from holdfast.wire.gemini.parts import SEALED
from holdfast.wire.openai import dialect as openai
from holdfast.wire.speech import (
    UNREADABLE,
    Answer,
    BadBodyError,
    CannotCrossError,
    Choice,
    Model,
    Refusal,
    Speaking,
    Text,
    Thinking,
    ToolCall,
)

HI = [{"role": "user", "parts": [{"text": "hi"}]}]


def dumped(value: object) -> bytes:
    return json.dumps(value).encode()


# -------------------------------------------------------------------- answers


@given(answers())
def test_an_answer_that_is_written_is_read_as_the_same(answer: Answer) -> None:
    found = gemini.read_answer(gemini.write_answer(answer, 0))
    usage = answer.usage
    assert found.choices[0].parts == answer.choices[0].parts
    stop = answer.choices[0].stop
    assert found.choices[0].stop == ("end" if stop == "tool_calls" else stop)
    assert (found.id, found.model) == (answer.id, answer.model)
    assert found.usage == Usage(usage.input, usage.output, usage.cache_read or None)


def test_several_candidates_their_thoughts_and_their_odds_are_kept() -> None:
    likely = {"token": "a", "logprob": -0.5, "bytes": [97]}
    odds = {"content": [{**likely, "top_logprobs": [likely]}], "refusal": None}
    answer = Answer(
        id="x",
        model="m",
        choices=(
            Choice((Thinking("hm", origin="gemini"), Text("a")), logprobs=dumped(odds)),
            Choice((Thinking(signature="c2ln", origin="gemini"), ToolCall("c", "f", '{"a": 1E2}'))),
            Choice((Thinking("so", "sig", origin="anthropic"), Text("b")), "length"),
        ),
        usage=Usage(1, 2),
    )
    written = gemini.write_answer(answer, 0)
    found = gemini.read_answer(written)
    assert json.loads(found.choices[0].logprobs) == odds
    assert found.choices[0].parts == answer.choices[0].parts
    assert found.choices[1] == answer.choices[1]
    # What others thought is shown, and sealed into what stands behind it.
    shown, sealed = json.loads(written)["candidates"][2]["content"]["parts"]
    assert shown == {"text": "so", "thought": True}
    assert sealed["thoughtSignature"].startswith(SEALED)


def test_an_answer_without_words_has_an_empty_part() -> None:
    body = json.loads(gemini.write_answer(Answer(id="", model="m", choices=(Choice(()),)), 0))
    assert body["candidates"][0]["content"] == {"parts": [{"text": ""}], "role": "model"}
    assert body["responseId"]


@pytest.mark.parametrize(
    ("candidate", "says"),
    [
        ({"content": {"parts": [{"functionCall": {"args": {}}}]}}, "without a name"),
        ({"finishReason": "MALFORMED_FUNCTION_CALL", "finishMessage": "f("}, "broken: MALFORMED"),
    ],
)
def test_what_cannot_be_said_elsewhere_does_not_cross(candidate: object, says: str) -> None:
    with pytest.raises(CannotCrossError, match=says):
        gemini.read_answer(dumped({"candidates": [candidate]}))
    with pytest.raises(CannotCrossError, match="no candidate"):
        gemini.read_answer(b"{}")


def test_a_blocked_prompt_is_an_answer_that_refuses() -> None:
    blocked = {"promptFeedback": {"blockReason": "OTHER", "blockReasonMessage": "No."}}
    assert gemini.read_whole(dumped(blocked)).answer
    (choice,) = gemini.read_answer(dumped(blocked)).choices
    assert choice == Choice((Refusal("No."),), "refusal")
    withheld = {"candidates": [{"finishReason": "SAFETY", "finishMessage": "Not this."}]}
    (choice,) = gemini.read_answer(dumped(withheld)).choices
    assert choice == Choice((Refusal("Not this."),), "refusal")


def test_an_answer_that_a_limit_emptied_is_one() -> None:
    """All tokens went into thoughts: no content, and yet a success."""
    body = {"candidates": [{"finishReason": "MAX_TOKENS", "index": 0}], "usageMetadata": {}}
    assert gemini.read_whole(dumped(body)).answer
    assert gemini.read_answer(dumped(body)).choices == (Choice((), "length"),)


def test_what_a_whole_body_is() -> None:
    assert not gemini.read_whole(b'{"candidates":[]}').answer
    assert gemini.read_whole(b'[{"error":{"code":503}}]').error
    assert gemini.read_whole(b'{"error":{"code":503}}').error
    assert not gemini.read_whole(b"[]").error


@given(VALUES)
def test_any_answer_is_read_or_refused(value: object) -> None:
    content = {"content": {"parts": value}, "logprobsResult": value, "finishReason": "STOP"}
    for fields in (
        {"candidates": value},
        {"candidates": [value]},
        {"candidates": [content]},
        {"promptFeedback": value, "usageMetadata": value},
    ):
        for read in (gemini.read_answer, gemini.read_whole):
            try:
                read(dumped(fields))
            except (CannotCrossError, *UNREADABLE):
                pass


# --------------------------------------------------------------------- asking


@pytest.mark.parametrize(
    ("path", "model", "stream"),
    [
        ("/v1beta/models/gemini-3-pro:generateContent", "gemini-3-pro", False),
        ("/v1/models/gemini-3-pro:streamGenerateContent", "gemini-3-pro", True),
        ("/v1beta/models/sim/steady:generateContent", "sim/steady", False),
        ("/v1beta/models/sim%2Fsteady:countTokens", "sim/steady", False),
        ("/v1beta/models/ollama/qwen3:8b:generateContent", "ollama/qwen3:8b", False),
    ],
)
def test_model_and_stream_stand_in_the_path(path: str, model: str, stream: bool) -> None:
    peek = speak.peek("gemini", dumped({"contents": HI, "model": "other", "stream": True}), path)
    assert (peek.model, peek.stream) == (model, stream)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "JSON"),
        (b"[]", "object"),
        (b"[" * 100_000, "JSON|deep"),
        (b"{}", "no `contents`"),
        (b'{"messages":[]}', "`messages`, as other dialects"),
        (b'{"input":"x"}', "`input`, as other dialects"),
    ],
)
def test_a_body_of_another_dialect_is_told_where_it_belongs(body: bytes, says: str) -> None:
    with pytest.raises(BadBodyError, match=says):
        speak.peek("gemini", body, "/v1beta/models/m:generateContent")
    with pytest.raises(BadBodyError, match="names no model"):
        speak.peek("gemini", b'{"contents":[]}', "/v1beta/models/:generateContent")


def call(path: str = "/v1beta/models/m:generateContent", **more: object) -> Call:
    fields = {"id": "x", "at": 0.0, "wall": 0.0, "dialect": "gemini", "surface": "generate_content"}
    body = dumped({"contents": HI})
    return Call(**(fields | {"path": path, "model": "m", "body": body} | more))  # type: ignore[arg-type]


def leg(dialect: str, model: str = "n") -> Leg:
    surface = speak.DIALECTS[dialect].SURFACE
    return Leg(target=Target("p", model, "none"), dialect=dialect, surface=surface)  # type: ignore[arg-type]


def test_of_the_same_dialect_only_the_models_name_in_the_path_is_exchanged() -> None:
    body = b'{ "contents" : [{"parts":[{"text":"m"}]}] }'
    for path, sent in (
        ("/v1beta/models/m:generateContent", "/v1beta/models/a%2Fb:generateContent"),
        ("/v1/models/m:streamGenerateContent", "/v1/models/a%2Fb:streamGenerateContent"),
        ("/v1beta/models/%6D:countTokens", "/v1beta/models/a%2Fb:countTokens"),
        ("/v1beta/models/m", "/v1beta/models/a%2Fb"),
    ):
        out = speak.compose(call(path, body=body, query="alt=sse"), leg("gemini", "a/b"))
        assert (out.path, out.body) == (f"{sent}?alt=sse", body)
        assert speak.compose(call(path, body=body), leg("gemini", "m")).path == path


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("there", [anthropic, openai])
def test_whether_it_streams_crosses_from_the_path(there: Speaking, stream: bool) -> None:
    out = speak.compose(call(stream=stream, query="alt=sse"), leg(there.DIALECT))
    assert out.path == there.path("n", stream=stream)
    assert json.loads(out.body).get("stream", False) is stream


def test_a_request_for_a_target_of_this_dialect_has_its_path() -> None:
    body = dumped({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True})
    asked = call("/x", dialect="openai", surface="chat", body=body, stream=True)
    out = speak.compose(asked, leg("gemini", "g 3"))
    assert out.path == "/v1beta/models/g%203:streamGenerateContent?alt=sse"
    assert json.loads(out.body) == {"contents": HI}
    assert gemini.path("m", stream=False) == "/v1beta/models/m:generateContent"


# ------------------------------------------------------------------- counting


@given(ASKS)
def test_tokens_are_asked_for_with_all_that_counts(ask) -> None:
    found = json.loads(gemini.write_count(ask, "g"))["generateContentRequest"]
    sent = json.loads(gemini.write_ask(ask, "g").body)
    sent.pop("generationConfig", None)
    assert found == {"model": "models/g", **sent}


def test_a_count_crosses_both_ways() -> None:
    body = dumped({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
    asked = call("/", dialect="anthropic", surface="count_tokens", body=body)
    out = speak.compose(asked, leg("gemini", "g"))
    assert out.path == "/v1beta/models/g:countTokens"
    tap = speak.tap(asked, leg("gemini"), 200, ((b"content-type", b"application/json"),))
    tap.feed(b'{"totalTokens":31,"promptTokensDetails":[]}')
    assert json.loads(tap.close()[0].data) == {"input_tokens": 31}
    asked = call(surface="count_tokens")
    assert speak.compose(asked, leg("anthropic")).path == "/v1/messages/count_tokens"
    tap = speak.tap(asked, leg("anthropic"), 200, ((b"content-type", b"application/json"),))
    tap.feed(b'{"input_tokens":31}')
    assert json.loads(tap.close()[0].data) == {"totalTokens": 31}


# --------------------------------------------------------------------- errors


@given(st.integers(400, 599), st.text(max_size=30))
def test_our_errors_have_a_status_and_its_code(status: int, message: str) -> None:
    headers, body = speak.error_reply("gemini", status, message)
    error = json.loads(body)["error"]
    assert error["message"] == message.encode(errors="replace").decode() or error["message"]
    assert gemini.error_type(error["code"]) == error["status"]
    assert headers == ((b"content-type", b"application/json"),)
    assert speak.overload_status("gemini") == 503


QUOTA = {
    "error": {
        "code": 429,
        "message": "Quota exceeded",
        "status": "RESOURCE_EXHAUSTED",
        "details": [{"@type": "x"}, {"reason": "RATE_LIMIT_EXCEEDED"}],
    }
}


@pytest.mark.parametrize(
    "body",
    [
        QUOTA,
        [QUOTA],
        {"error": {"message": json.dumps(QUOTA), "code": 429, "status": "Too Many Requests"}},
        {"error": {"message": json.dumps({"error": {"message": json.dumps([QUOTA])}})}},
    ],
)
def test_an_error_is_read_alone_in_an_array_and_within_a_string(body: object) -> None:
    said = gemini.said(dumped(body))
    assert said == Said("RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED", "Quota exceeded")


@given(st.binary(max_size=40), st.text(max_size=10))
def test_no_error_whatever_raises(body: bytes, message: str) -> None:
    for found in (body, dumped({"error": {"message": "{" + message}})):
        assert isinstance(gemini.said(found), Said)


# --------------------------------------------------------------------- models


@given(st.lists(st.text(min_size=1, max_size=9), max_size=4))
def test_a_list_of_models_is_of_the_dialect(ids: list[str]) -> None:
    found = json.loads(speak.models_reply("gemini", [Model(id_) for id_ in ids]))["models"]
    assert [model["name"] for model in found] == [
        f"models/{id_}".encode(errors="replace").decode() for id_ in ids
    ]
    assert all("generateContent" in model["supportedGenerationMethods"] for model in found)


# --------------------------------------------------------------- conversation


def marked(*contents: object, first_turns: bool = False) -> str:
    body = dumped({"contents": contents, "systemInstruction": 5})
    return speak.conversation("gemini", body, first_turns=first_turns)


def test_a_conversation_keeps_its_mark_while_it_goes_on() -> None:
    one = {"role": "user", "parts": [{"text": "q"}]}
    answer = {"role": "model", "parts": [{"text": "a"}]}
    assert marked(one) == ""
    assert marked(one, answer) == marked(one, answer, one, answer) != ""
    assert marked(one, first_turns=True) == marked(one, answer)
    assert marked({**one, "parts": [{"text": "other"}]}, answer) != marked(one, answer)


@given(VALUES, st.binary(max_size=30))
def test_no_body_whatever_makes_a_mark_raise(value: object, body: bytes) -> None:
    assert isinstance(marked(value, {"role": "model"}), str)
    assert speak.conversation("gemini", body) == ""


def test_the_array_is_the_same_dialect_but_for_its_streams() -> None:
    differs = {"STREAM", "frames", "stream_writer", "error_event"}
    names = [name for name in dir(Speaking) if not name.startswith("_")]
    names += list(Speaking.__annotations__)
    for name in names:
        assert (getattr(gemini, name) == getattr(gemini_array, name)) is (name not in differs), name
