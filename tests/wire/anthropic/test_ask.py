"""Requests of Anthropic Messages in the neutral form and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.asks import ASKS, plain

from holdfast.facts.losses import Lost
from holdfast.wire.anthropic import ask as anthropic_ask
from holdfast.wire.anthropic.ask import own, read_ask
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
CACHED = {"type": "ephemeral", "ttl": "1h"}
PNG = {"type": "base64", "media_type": "image/png", "data": "aGk="}


def read(*messages: object, **more: object) -> Ask:
    return read_ask(json.dumps({"model": "m", "messages": messages or [HI], **more}).encode())


def parts(*blocks: object) -> tuple[object, ...]:
    return read({"role": "user", "content": blocks}).turns[0].parts


def write(ask: Ask) -> dict[str, Any]:
    return json.loads(anthropic_ask.write_ask(ask, "m").body)


def user(*said: object) -> Ask:
    return Ask(turns=(Turn("user", said),))


def names(ask: Ask) -> list[str]:
    return [loss.field for loss in ask.lost]


@given(ASKS)
def test_a_request_that_is_written_is_read_as_the_same(ask: Ask) -> None:
    written = anthropic_ask.write_ask(ask, "m")
    assert json.loads(written.body)["model"] == "m"
    assert written.lost == ()
    assert plain(read_ask(written.body)) == plain(ask)


# ---------------------------------------------------------------------- reading


def test_each_block_becomes_a_part() -> None:
    assert parts(
        {"type": "text", "text": "a", "cache_control": CACHED},
        {"type": "image", "source": PNG},
        {"type": "image", "source": {"type": "url", "url": "https://x"}},
        {
            "type": "document",
            "title": "T",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"},
        },
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "t"}},
        {
            "type": "search_result",
            "source": "s",
            "title": "t",
            "content": [{"type": "text", "text": "found"}],
        },
    ) == (
        Text("a", json.dumps(CACHED).encode()),
        Image("image/png", "aGk="),
        Image(url="https://x"),
        Document("application/pdf", "JVBE", name="T"),
        Document("text/plain", text="t"),
        Text("t\ns\nfound"),
    )


def test_a_tool_loop_is_read() -> None:
    use = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"n": 1}}
    thinks = {"type": "thinking", "thinking": "hm", "signature": "EqQB"}
    redacted = {"type": "redacted_thinking", "data": "Emw"}
    content = [{"type": "text", "text": "22"}, {"type": "image", "source": PNG}]
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": content, "is_error": True}
    ask = read(
        HI,
        {"role": "assistant", "content": [thinks, redacted, use]},
        {"role": "user", "content": [result]},
    )
    assert ask.turns[1].parts == (
        Thinking("hm", "EqQB", origin="anthropic"),
        Thinking(data="Emw", origin="anthropic"),
        ToolCall("toolu_1", "f", '{"n": 1}'),
    )
    assert ask.turns[2].parts == (
        ToolResult("toolu_1", (Text("22"), Image("image/png", "aGk=")), error=True),
    )
    assert ask.lost == ()


def test_what_clients_of_today_send_is_read_whole() -> None:
    """As measured: adaptive thinking, an effort, a system message inside, marks, a user id."""
    ask = read(
        HI,
        {"role": "system", "content": "Be brief."},
        system=[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
        thinking={"type": "adaptive"},
        output_config={"effort": "high"},
        context_management={"edits": [{"type": "clear_thinking_20251015"}]},
        metadata={"user_id": '{"device":"d"}'},
        tools=[
            {"name": "f", "description": "d", "input_schema": {"type": "object"}},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 8},
        ],
        tool_choice={"type": "auto", "disable_parallel_tool_use": True},
        top_k=5,
        stream=True,
        max_tokens=64000,
    )
    assert ask.system == (Text("a"), Text("b"))
    assert ask.turns[1] == Turn("system", (Text("Be brief."),))
    assert ask.reasoning == Reasoning(effort="high")
    assert ask.user == '{"device":"d"}'
    assert ask.tools == (Tool("f", "d", b'{"type": "object"}'),)
    assert ask.tool_choice == ToolChoice(parallel=False)
    assert ask.sampling == Sampling(max_tokens=64000, top_k=5, stream=True)
    assert names(ask) == ["tools[1]", "context_management"]
    assert all(loss.tolerable for loss in ask.lost)


@pytest.mark.parametrize(
    ("thinking", "found"),
    [
        ({"type": "disabled"}, Reasoning("off")),
        ({"type": "enabled", "budget_tokens": 2000}, Reasoning("on", 2000)),
        ({"type": "adaptive", "display": "omitted"}, Reasoning()),
        (None, None),
    ],
)
def test_how_much_is_thought_is_read(thinking: object, found: Reasoning | None) -> None:
    assert read(thinking=thinking).reasoning == found


@pytest.mark.parametrize("name", ["output_config", "output_format"])
def test_the_form_is_read_by_its_new_and_its_old_name(name: str) -> None:
    form = {"type": "json_schema", "schema": {"type": "object"}}
    found = read(**{name: {"format": form} if name == "output_config" else form}).form
    assert found == Form("json_schema", b'{"type": "object"}', strict=True)


def test_what_has_no_word_elsewhere_is_a_loss_with_its_name() -> None:
    ask = read(
        {"role": "user", "content": [{"type": "text", "text": "x", "citations": [{}]}], "mood": 1},
        made_up_next_year=1,
        mcp_servers=[{"url": "x"}],
    )
    assert names(ask) == [
        "mcp_servers",
        "messages[0].content[0].citations",
        "messages[0].mood",
        "made_up_next_year",
    ]
    assert [loss.tolerable for loss in ask.lost] == [False, True, True, True]


def test_content_that_nobody_knows_cannot_be_borne_but_the_providers_own_steps_can() -> None:
    hologram = {"type": "hologram", "rays": []}
    searched = {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}
    ask = read(
        {"role": "user", "content": [hologram]},
        {"role": "assistant", "content": [searched, {"type": "text", "text": "So."}]},
        HI,
    )
    assert [(loss.field, loss.tolerable) for loss in ask.lost] == [
        ("messages[0].content[0]", False),
        ("messages[1].content[0]", True),
    ]


@pytest.mark.parametrize(
    ("kind", "tolerable"),
    [("web_search_20250305", True), ("bash_20250124", False), ("computer_20250124", False)],
)
def test_tools_that_the_client_runs_cannot_be_missed(kind: str, tolerable: bool) -> None:
    (lost,) = read(tools=[{"type": kind, "name": "x"}]).lost
    assert (lost.field, lost.tolerable) == ("tools[0]", tolerable)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"messages": 5}, "messages is not a list"),
        ({"messages": []}, "messages is missing or empty; this path takes Anthropic's"),
        ({"tools": [{"type": "function", "function": {}}]}, r"tools\[0\].type is 'function'"),
        ({"messages": ["x"]}, r"messages\[0\] is not a JSON object"),
        ({"messages": [{"role": "king", "content": "x"}]}, r"messages\[0\].role"),
        ({"messages": [{"role": "user"}]}, r"messages\[0\].content is neither"),
        ({"messages": [{"role": "user", "content": 5}]}, r"messages\[0\].content is neither"),
        ({"messages": [{"role": "user", "content": [{}]}]}, r"content\[0\].type is missing"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, r"\[0\].text is missing"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "source is missing"),
        ({"system": 5}, "system is neither"),
        ({"system": [{"type": "image", "source": PNG}]}, r"system\[0\].type"),
        ({"tools": [{"input_schema": {}}]}, r"tools\[0\].name is missing"),
        ({"tools": [{"name": "f", "input_schema": 5}]}, r"tools\[0\].input_schema"),
        ({"tools": [{"name": "f"}]}, r"tools\[0\].input_schema is missing"),
        ({"output_format": {"type": "json_schema", "schema": 5}}, "output_format.schema"),
        ({"system": [{"type": "text", "text": "x", "cache_control": 5}]}, "cache_control is not"),
        ({"tool_choice": {"type": "maybe"}}, "tool_choice.type"),
        ({"thinking": {"type": "much"}}, "thinking.type"),
        ({"max_tokens": "many"}, "max_tokens is not a whole number"),
        ({"max_tokens": -1}, "max_tokens is out of range"),
        ({"temperature": "hot"}, "temperature is not a number"),
        ({"stop_sequences": "abc"}, "stop_sequences is not a list"),
        ({"stream": "yes"}, "stream is neither true nor false"),
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
                    ["type", "text", "role", "content", "source", "id", "name", "input"]
                ),
                inner | st.sampled_from(["text", "image", "user", "tool_use", "tool_result"]),
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_read_or_refused(value: object) -> None:
    for fields in (value, {"messages": value}, {"messages": [HI], "tools": value, "system": value}):
        try:
            ask = read_ask(json.dumps(fields).encode())
        except CannotCrossError:
            continue
        assert ask.turns


# ---------------------------------------------------------------------- writing


def test_a_limit_that_was_not_set_is_set_because_the_dialect_wants_one() -> None:
    assert write(user(Text("hi"))) == {
        "model": "m",
        "max_tokens": anthropic_ask.DEFAULT_MAX_TOKENS,
        "messages": [{"role": "user", "content": "hi"}],
    }


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (user(Text("  ")), "empty"),
    ],
)
def test_what_the_dialect_would_refuse_is_not_sent(ask: Ask, says: str) -> None:
    with pytest.raises(CannotCrossError, match=says):
        write(ask)


def test_where_the_model_spoke_first_a_line_stands_for_the_user() -> None:
    """As chat windows begin with a greeting."""
    ask = Ask(turns=(Turn("assistant", (Text("Hello!"),)), *user(Text("hi")).turns))
    sent = anthropic_ask.write_ask(ask, "m")
    messages = json.loads(sent.body)["messages"]
    assert [m["role"] for m in messages] == ["user", "assistant", "user"]
    assert messages[0]["content"] == anthropic_ask.OPENING
    assert [lost.field for lost in sent.lost] == ["messages"]


def test_a_hot_temperature_is_cut_and_said() -> None:
    ask = Ask(turns=user(Text("x")).turns, sampling=Sampling(temperature=1.5, seed=1))
    written = anthropic_ask.write_ask(ask, "m")
    assert json.loads(written.body)["temperature"] == 1.0
    assert [loss.field for loss in written.lost] == ["seed", "temperature"]


def test_turns_of_people_that_follow_each_other_are_one_with_results_first() -> None:
    ask = Ask(
        turns=(
            Turn("user", (Text("a"),)),
            Turn("assistant", (ToolCall("c", "f"), ToolCall("d", "f"))),
            Turn("user", (ToolResult("c", (Text("1"),)), Text("b"))),
            Turn("user", (ToolResult("d", (Text("2"),)),)),
        )
    )
    kinds = [block["type"] for block in write(ask)["messages"][2]["content"]]
    assert kinds == ["tool_result", "tool_result", "text"]


def test_an_empty_answer_of_the_model_is_left_out() -> None:
    ask = Ask(
        turns=(
            Turn("user", (Text("a"),)),
            Turn("assistant", (Text(""),)),
            Turn("user", (Text("b"), Refusal(""))),
        )
    )
    content = write(ask)["messages"][0]["content"]
    assert [block["text"] for block in content] == ["a", "b"]


def test_ids_and_names_are_fitted_in_both_places() -> None:
    ask = Ask(
        turns=(
            Turn("user", (Text("a"),)),
            Turn("assistant", (ToolCall("fc|" + "x" * 80, "mcp.server/tool"),)),
            Turn("user", (ToolResult("fc|" + "x" * 80),)),
        ),
        tools=(Tool("mcp.server/tool"),),
        tool_choice=ToolChoice("named", "mcp.server/tool"),
    )
    body = write(ask)
    call, result = body["messages"][1]["content"][0], body["messages"][2]["content"][0]
    assert call["id"] == result["tool_use_id"]
    assert len(call["id"]) <= 64
    assert call["name"] == body["tools"][0]["name"] == body["tool_choice"]["name"]
    assert "." not in call["name"]


THINKS = (Thinking("hm", "EqQB", origin="anthropic"), ToolCall("c", "f"))
FOREIGN = (Thinking("hm", "sig", origin="openai"), ToolCall("c", "f"))


def loop(said: tuple[object, ...], **more: Any) -> Ask:
    turns = (
        Turn("user", (Text("a"),)),
        Turn("assistant", said),
        Turn("user", (ToolResult("c", (Text("1"),)),)),
    )
    return Ask(turns=turns, tools=(Tool("f"),), reasoning=Reasoning("on", effort="high"), **more)


def test_thoughts_go_back_to_who_signed_them_and_to_nobody_else() -> None:
    body = write(loop(THINKS))
    assert body["messages"][1]["content"][0] == {
        "type": "thinking",
        "thinking": "hm",
        "signature": "EqQB",
    }
    assert body["thinking"] == {"type": "adaptive"}
    assert body["output_config"] == {"effort": "high"}
    written = anthropic_ask.write_ask(loop(FOREIGN), "m")
    body = json.loads(written.body)
    assert [block["type"] for block in body["messages"][1]["content"]] == ["tool_use"]
    assert "thinking" not in body, "a provider that thinks wants its own thoughts back"
    assert {loss.field for loss in written.lost} == {"thinking"}


def test_who_is_made_to_call_a_tool_does_not_think() -> None:
    written = anthropic_ask.write_ask(loop(THINKS, tool_choice=ToolChoice("any")), "m")
    assert "thinking" not in json.loads(written.body)
    assert written.lost[0].field == "thinking"


@pytest.mark.parametrize(
    ("budget", "longest", "found"),
    [
        (5000, 9000, {"type": "enabled", "budget_tokens": 5000}),
        (500, 9000, {"type": "enabled", "budget_tokens": 1024}),
        (50000, 9000, {"type": "enabled", "budget_tokens": 8999}),
        (5000, 900, {"type": "adaptive"}),
        (None, 9000, {"type": "adaptive"}),
    ],
)
def test_a_budget_is_within_its_bounds(budget: int | None, longest: int, found: object) -> None:
    ask = Ask(
        turns=user(Text("x")).turns,
        sampling=Sampling(max_tokens=longest, temperature=0.5),
        reasoning=Reasoning("on", budget),
    )
    written = anthropic_ask.write_ask(ask, "m")
    body = json.loads(written.body)
    assert body["thinking"] == found
    assert "temperature" not in body
    assert written.lost == (Lost("temperature", "cannot be set where the model thinks"),)


def test_how_closely_a_picture_is_looked_at_is_a_loss() -> None:
    written = anthropic_ask.write_ask(user(Image(url="https://x", detail="low")), "m")
    assert [loss.field for loss in written.lost] == ["detail"]


def test_what_only_others_can_is_a_loss_that_cannot_be_borne() -> None:
    ask = Ask(turns=user(Text("x")).turns, sampling=Sampling(choices=2, logprobs=True))
    lost = anthropic_ask.write_ask(ask, "m").lost
    assert [(loss.field, loss.tolerable) for loss in lost] == [("n", False), ("logprobs", False)]


# ------------------------------------------------------------- what others signed


def conversation(*blocks: object) -> bytes:
    said = {"role": "assistant", "content": blocks}
    return json.dumps({"model": "m", "messages": [HI, said, HI], "x": 1.50}).encode()


def test_thinking_that_others_signed_is_taken_out_and_the_rest_stays() -> None:
    signed = {"type": "thinking", "thinking": "hm", "signature": "holdfast.openai."}
    kept = [
        {"type": "thinking", "thinking": "holdfast.", "signature": "EqQB"},
        {"type": "text", "text": '"holdfast.'},
    ]
    cleared = json.loads(own(conversation(signed, *kept)))
    assert cleared == json.loads(conversation(*kept))
    assert len(json.loads(own(conversation(signed)))["messages"]) == 2


@pytest.mark.parametrize("kind", ["enabled", "adaptive"])
def test_who_demands_thoughts_is_not_asked_for_them_where_they_were_anothers(kind: str) -> None:
    signed = {"type": "thinking", "thinking": "hm", "signature": "holdfast.openai."}
    called = {"role": "assistant", "content": [signed, {"type": "tool_use", "id": "c"}]}
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c"}]}
    body = {"messages": [HI, called, result], "thinking": {"type": kind}}
    assert ("thinking" in json.loads(own(json.dumps(body).encode()))) == (kind == "adaptive")


@pytest.mark.parametrize("body", [b"", b'{"messages":"holdfast."}', b'["holdfast."', b'"holdfast.'])
def test_what_is_not_of_the_dialect_stays_as_it_is(body: bytes) -> None:
    assert own(body) == body


def test_a_mark_is_known_when_it_returns() -> None:
    block = {"type": "thinking", "thinking": "hm", "signature": "holdfast.openai.gAAA.x"}
    ask = read_ask(conversation(block, {"type": "text", "text": "x"}))
    assert ask.turns[1].parts[0] == Thinking("hm", "gAAA.x", origin="openai")


def test_the_systems_words_in_mid_conversation_stand_behind_the_users() -> None:
    """This dialect takes them nowhere else."""
    hi, yo, go = (
        Turn(role, (Text(text),))
        for role, text in (("user", "hi"), ("assistant", "yo"), ("user", "go"))
    )
    rules = Turn("system", (Text("rules"),))
    for turns in ((hi, yo, rules, go), (hi, yo, go, rules)):
        messages = json.loads(anthropic_ask.write_ask(Ask(turns=turns), "m").body)["messages"]
        assert [m["role"] for m in messages] == ["user", "assistant", "user", "system"]
    messages = json.loads(anthropic_ask.write_ask(Ask(turns=(hi, rules, yo, go)), "m").body)[
        "messages"
    ]
    assert [m["role"] for m in messages] == ["user", "system", "assistant", "user"]
