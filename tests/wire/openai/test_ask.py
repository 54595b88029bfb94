"""Requests of OpenAI Chat Completions in the neutral form and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.asks import ASKS, plain

from holdfast.wire.openai import ask as openai_ask
from holdfast.wire.openai.ask import read_ask
from holdfast.wire.speech import (
    Ask,
    BadFieldError,
    CannotCrossError,
    Document,
    Form,
    Image,
    Reasoning,
    Refusal,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)

HI = {"role": "user", "content": "hi"}


def read(*messages: object, **more: object) -> Ask:
    return read_ask(json.dumps({"model": "m", "messages": messages or [HI], **more}).encode())


def write(ask: Ask) -> dict[str, Any]:
    return json.loads(openai_ask.write_ask(ask, "m").body)


def user(*said: object) -> Ask:
    return Ask(turns=(Turn("user", said),))


def names(ask: Ask) -> list[str]:
    return [loss.field for loss in ask.lost]


@given(ASKS)
def test_a_request_that_is_written_is_read_as_the_same(ask: Ask) -> None:
    written = openai_ask.write_ask(ask, "m")
    fields = json.loads(written.body)
    assert fields["model"] == "m"
    assert ("stream_options" in fields) == ask.sampling.stream
    assert written.lost == ()
    assert plain(read_ask(written.body)) == plain(ask)


# ---------------------------------------------------------------------- reading


def test_each_part_is_read() -> None:
    content = [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://x"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,JV", "filename": "a"}},
    ]
    assert read({"role": "user", "content": content}).turns[0].parts == (
        Text("a"),
        Image("image/png", "aGk=", detail="low"),
        Image(url="https://x"),
        Document("application/pdf", "JV", name="a"),
    )


def test_a_tool_loop_is_read_as_one_turn_of_results_and_words() -> None:
    def called(id_: str) -> dict[str, object]:
        function = {"name": "f", "arguments": '{"n": 1}'}
        return {"id": id_, "type": "function", "function": function}

    ask = read(
        HI,
        {"role": "assistant", "content": None, "tool_calls": [called("a"), called("b")]},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "2"}]},
        HI,
    )
    assert ask.turns[1:] == (
        Turn("assistant", (ToolCall("a", "f", '{"n": 1}'), ToolCall("b", "f", '{"n": 1}'))),
        Turn("user", (ToolResult("a", (Text("1"),)), ToolResult("b", (Text("2"),)), Text("hi"))),
    )


def test_systems_stand_where_they_were_said() -> None:
    ask = read(
        {"role": "system", "content": "a"},
        {"role": "developer", "content": [{"type": "text", "text": "b"}]},
        HI,
        {"role": "system", "content": "c"},
        HI,
    )
    assert ask.system == (Text("a"), Text("b"))
    assert ask.turns[1] == Turn("system", (Text("c"),))


def test_an_answer_that_a_client_hands_back_crosses_with_its_empty_fields() -> None:
    empty = {"refusal": None, "annotations": [], "audio": None, "tool_calls": None}
    ask = read(HI, {"role": "assistant", "content": "ho", **empty}, HI)
    assert ask.turns[1] == Turn("assistant", (Text("ho"),))
    assert ask.lost == ()
    ask = read(HI, {"role": "assistant", "content": None, "refusal": "No."}, HI)
    assert ask.turns[1].parts == (Refusal("No."),)


def test_what_changes_nothing_is_no_loss() -> None:
    extra = {
        "n": 1,
        "frequency_penalty": None,
        "logprobs": False,
        "response_format": {"type": "text"},
        "tools": [],
        "modalities": ["text"],
        "store": False,
        "stop": None,
        "logit_bias": {},
        "stream_options": {"include_usage": True},
    }
    assert read(**extra) == read() == user(Text("hi"))


def test_settings_are_read() -> None:
    ask = read(
        max_tokens=5,
        max_completion_tokens=9,
        temperature=1.5,
        seed=-3,
        presence_penalty=0.5,
        n=2,
        logprobs=True,
        top_logprobs=3,
        stop="END",
        reasoning_effort="high",
        parallel_tool_calls=False,
        response_format={"type": "json_object"},
        safety_identifier="s",
        verbosity="low",
    )
    assert ask.sampling == Sampling(
        max_tokens=9,
        temperature=1.5,
        seed=-3,
        presence_penalty=0.5,
        choices=2,
        logprobs=True,
        top_logprobs=3,
        stop=("END",),
    )
    assert ask.reasoning == Reasoning("on", effort="high")
    assert ask.tool_choice == ToolChoice(parallel=False)
    assert ask.form == Form("json_object")
    assert ask.user == "s"
    assert ask.shared == (("safety_identifier", b'"s"'), ("verbosity", b'"low"'))
    assert names(ask) == []


FUNCTIONS = [{"type": "function", "function": {"name": name}} for name in "fg"]


@pytest.mark.parametrize(
    ("choice", "found"),
    [
        ("auto", ToolChoice()),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("any")),
        ({"type": "function", "function": {"name": "f"}}, ToolChoice("named", "f")),
    ],
)
def test_each_choice_of_tools_is_read(choice: object, found: ToolChoice) -> None:
    assert read(tools=FUNCTIONS, tool_choice=choice).tool_choice == found


def test_tools_that_are_not_allowed_are_not_offered() -> None:
    allowed = {"mode": "required", "tools": FUNCTIONS[:1]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    ask = read(tools=FUNCTIONS, tool_choice=choice)
    assert [tool.name for tool in ask.tools] == ["f"]
    assert ask.tool_choice == ToolChoice("any")


@pytest.mark.parametrize(
    ("extra", "tolerable"),
    [
        ({"logit_bias": {"50256": -100}}, False),
        ({"modalities": ["text", "audio"]}, False),
        ({"web_search_options": {}}, False),
        ({"tools": [{"type": "custom"}]}, False),
        ({"tools": [{"type": "web_search"}]}, True),
        ({"prediction": {"type": "content"}}, True),
        ({"field_of_tomorrow": False}, True),
    ],
)
def test_what_has_no_word_elsewhere_is_a_loss_with_its_name(
    extra: dict[str, object], tolerable: bool
) -> None:
    (lost,) = read(**extra).lost
    assert lost.field.startswith(next(iter(extra)))
    assert lost.tolerable is tolerable


def test_sounds_cannot_be_borne() -> None:
    part = {"type": "input_audio", "input_audio": {"data": "x", "format": "wav"}}
    (lost,) = read({"role": "user", "content": [part]}).lost
    assert (lost.field, lost.tolerable) == ("messages[0].content[0]", False)


def test_rules_that_stand_alone_are_said_as_a_users() -> None:
    """This dialect answers to them; others want somebody to ask."""
    ask = read({"role": "system", "content": "Write a haiku."})
    assert (ask.system, ask.turns) == ((), (Turn("user", (Text("Write a haiku."),)),))
    assert [lost.field for lost in ask.lost] == ["system"]


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{"}}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"messages": []}, "messages is missing or empty; this path takes Chat"),
        ({"system": "Be brief."}, "system is of Anthropic's requests"),
        ({"messages": [{"role": "king", "content": "x"}]}, r"messages\[0\].role is 'king'"),
        ({"messages": [{"role": "user", "content": None}]}, "neither text nor"),
        ({"messages": [HI, {"role": "assistant"}, HI]}, r"messages\[1\].content"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "tool_call_id is missing"),
        ({"messages": [HI, {"role": "assistant", "tool_calls": [CALL]}, HI]}, "arguments"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "image_url.url"),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]}, "file_data"),
        ({"messages": [{"role": "system", "content": [{"type": "refusal"}]}, HI]}, "more than"),
        ({"tools": [{"type": "function"}]}, r"tools\[0\].function is missing"),
        ({"tools": [{"type": "function", "function": {}}]}, "name is missing"),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "function.name is missing"),
        ({"stop": 5}, "stop is neither"),
        ({"stop": [5]}, "stop is neither"),
        ({"max_tokens": 5.5}, "max_tokens is not a whole number"),
        ({"seed": "x"}, "seed is not a whole number"),
        ({"response_format": {"type": "poem"}}, "response_format.type"),
    ],
)
def test_a_field_that_is_wrong_is_named(fields: dict[str, object], says: str) -> None:
    with pytest.raises(BadFieldError, match=says):
        read_ask(json.dumps({"model": "m", "messages": [HI], **fields}).encode())


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "type",
                        "text",
                        "role",
                        "content",
                        "tool_calls",
                        "function",
                        "name",
                        "image_url",
                    ]
                ),
                inner | st.sampled_from(["text", "image_url", "user", "assistant", "function"]),
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_read_or_refused(value: object) -> None:
    for fields in (value, {"messages": value}, {"messages": [HI], "tools": value, "stop": value}):
        try:
            ask = read_ask(json.dumps(fields).encode())
        except CannotCrossError:
            continue
        assert ask.turns


# ---------------------------------------------------------------------- writing


def test_more_stop_sequences_than_the_dialect_takes_are_refused() -> None:
    ask = Ask(turns=user(Text("x")).turns, sampling=Sampling(stop=("a", "b", "c", "d", "e")))
    with pytest.raises(CannotCrossError, match="4 stop sequences"):
        write(ask)


def test_texts_are_one_text_and_a_picture_makes_a_list() -> None:
    both = write(user(Text("a"), Text("b")))["messages"]
    assert both == [{"role": "user", "content": "a\n\nb"}]
    shown = write(user(Text("a"), Image("image/png", "aGk=")))["messages"][0]["content"]
    assert shown == [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
    ]


def test_a_document_is_a_file_or_its_words_and_none_by_its_url() -> None:
    shown = write(user(Document("application/pdf", "JV", name="a.pdf"), Document(text="t")))
    assert shown["messages"][0]["content"] == [
        {
            "type": "file",
            "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JV"},
        },
        {"type": "text", "text": "t"},
    ]
    with pytest.raises(CannotCrossError, match="URL"):
        write(user(Document(url="https://x")))


def test_results_are_texts_their_errors_are_said_and_their_pictures_follow() -> None:
    picture = Image("image/png", "aGk=")
    ask = Ask(
        turns=(
            Turn("user", (Text("a"),)),
            Turn("assistant", (ToolCall("c", "f"), ToolCall("d", "f"))),
            Turn(
                "user",
                (
                    ToolResult("c", (Text("no such file"),), error=True),
                    ToolResult("d", (picture,)),
                    Text("so?"),
                ),
            ),
        )
    )
    messages = write(ask)["messages"]
    assert messages[1]["content"] is None
    assert [m["role"] for m in messages[2:]] == ["tool", "tool", "user"]
    assert messages[2]["content"] == "Error: no such file"
    kinds = [part["type"] for part in messages[4]["content"]]
    assert kinds == ["text", "image_url", "text"]


def test_ids_are_fitted_in_both_places() -> None:
    id_ = "toolu_" + "x" * 60
    ask = Ask(
        turns=(
            Turn("user", (Text("a"),)),
            Turn("assistant", (ToolCall(id_, "f"),)),
            Turn("user", (ToolResult(id_),)),
        )
    )
    messages = write(ask)["messages"]
    short = messages[1]["tool_calls"][0]["id"]
    assert short == messages[2]["tool_call_id"]
    assert len(short) <= 40


def test_thoughts_go_back_within_their_loop_and_signed_ones_stay_behind() -> None:
    own, foreign = Thinking("hm", origin="openai"), Thinking("oh", "EqQB", origin="anthropic")
    ask = Ask(
        turns=(
            Turn("user", (Text("a"),)),
            Turn("assistant", (own, Text("b"))),
            Turn("user", (Text("c"),)),
            Turn("assistant", (own, foreign, ToolCall("c", "f"))),
            Turn("user", (ToolResult("c"),)),
        )
    )
    written = openai_ask.write_ask(ask, "m")
    messages = json.loads(written.body)["messages"]
    assert [m.get("reasoning_content") for m in messages] == [None, None, None, "hm", None]
    assert [loss.field for loss in written.lost] == ["thinking"]


@pytest.mark.parametrize(
    ("reasoning", "effort"),
    [
        (None, None),
        (Reasoning("off"), "none"),
        (Reasoning(), None),
        (Reasoning(effort="max"), "max"),
        (Reasoning("on", 1024), "low"),
        (Reasoning("on", 8000), "medium"),
        (Reasoning("on", 32000), "high"),
    ],
)
def test_how_much_is_thought_is_an_effort(reasoning: Reasoning | None, effort: str | None) -> None:
    ask = Ask(turns=user(Text("x")).turns, reasoning=reasoning)
    assert write(ask).get("reasoning_effort") == effort


def test_marks_for_a_cache_and_top_k_are_losses() -> None:
    ask = Ask(turns=user(Text("x", b"{}")).turns, sampling=Sampling(top_k=5), tools=(Tool("f"),))
    lost = openai_ask.write_ask(ask, "m").lost
    assert [loss.field for loss in lost] == ["top_k", "cache_control"]
    assert all(loss.tolerable for loss in lost)


def test_a_long_user_is_a_digest() -> None:
    """It may say which account and which machine: that is nobody else's business either."""
    body = write(Ask(turns=user(Text("x")).turns, user='{"account":"' + "a" * 90 + '"}'))
    assert len(body["user"]) <= 64
    assert body["user"].isascii()
