"""Requests of OpenAI Responses in the neutral form and back."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.asks import ASKS, NAMES, TEXT, plain

from holdfast.wire.freeform import INPUT_SCHEMA
from holdfast.wire.responses import ask as responses_ask
from holdfast.wire.responses.ask import CACHE, Own, names_of, read_ask
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


def body(*items: object, **more: object) -> bytes:
    return json.dumps({"model": "m", "input": items or "hi", **more}).encode()


def read(*items: object, **more: object) -> Ask:
    return read_ask(body(*items, **more))


def write(ask: Ask) -> dict[str, Any]:
    return json.loads(responses_ask.write_ask(ask, "m").body)


def user(*said: object) -> Ask:
    return Ask(turns=(Turn("user", said),))


def fields(ask: Ask) -> list[str]:
    return [loss.field for loss in ask.lost]


def sayable(ask: Ask) -> Ask:
    """What of an ask this dialect can say: no stop sequences, no fewer than 16 tokens; and
    tools that say nothing of `strict` are not.
    """
    tokens = max(16, ask.sampling.max_tokens or 0)
    sampling = msgspec.structs.replace(ask.sampling, stop=(), max_tokens=tokens)
    tools = tuple(msgspec.structs.replace(t, strict=t.strict or False) for t in ask.tools)
    return plain(msgspec.structs.replace(ask, sampling=sampling, tools=tools))


@given(ASKS)
def test_a_request_that_is_written_is_read_as_the_same(ask: Ask) -> None:
    written = responses_ask.write_ask(ask, "m")
    assert json.loads(written.body)["store"] is False
    lost = {loss.field for loss in written.lost}
    assert lost <= {"stop", "max_tokens"}
    assert ("stop" in lost) == bool(ask.sampling.stop)
    assert plain(read_ask(written.body)) == sayable(ask)


# ---------------------------------------------------------------------- reading


def test_each_part_is_read() -> None:
    content = [
        {"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}},
        {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "low"},
        {"type": "input_image", "image_url": "https://x", "detail": "auto"},
        {"type": "input_file", "file_data": "data:application/pdf;base64,JV", "filename": "a"},
        {"type": "input_file", "file_url": "https://x/a.pdf"},
    ]
    ask = read({"type": "message", "role": "user", "content": content})
    assert ask.turns[0].parts == (
        Text("a", CACHE),
        Image("image/png", "aGk=", detail="low"),
        Image(url="https://x"),
        Document("application/pdf", "JV", name="a"),
        Document(url="https://x/a.pdf"),
    )
    assert ask.lost == ()


def test_what_a_coding_tool_sends_is_read() -> None:
    """A developer's message before all, nested tools, the items of the turn before handed back."""
    tools = [
        {"type": "function", "name": "shell", "strict": False, "parameters": {"type": "object"}},
        {
            "type": "namespace",
            "name": "mcp__files",
            "description": "Files",
            "tools": [
                {"type": "function", "name": "read", "description": "r", "parameters": {}},
                {"type": "custom", "name": "patch", "description": "p"},
            ],
        },
        {"type": "web_search"},
    ]
    ask = read(
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "d"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "q"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
        {
            "type": "message",
            "role": "assistant",
            "id": "msg_1",
            "phase": "commentary",
            "content": [{"type": "output_text", "text": "Let me see.", "annotations": []}],
        },
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "call_1",
            "name": "read",
            "namespace": "mcp__files",
            "arguments": '{"p": 1}',
            "status": "completed",
        },
        {"type": "function_call", "call_id": "call_2", "name": "shell", "arguments": ""},
        {"type": "function_call_output", "call_id": "call_1", "output": "1"},
        {
            "type": "function_call_output",
            "call_id": "call_2",
            "output": [{"type": "input_text", "text": "2"}],
        },
        tools=tools,
        instructions="i",
        store=False,
        stream=True,
        include=["reasoning.encrypted_content"],
        tool_choice="auto",
        parallel_tool_calls=True,
        reasoning={"effort": "medium", "summary": "auto"},
        prompt_cache_key="k",
        text={"verbosity": "medium"},
        client_metadata={"x": "y"},
    )
    assert ask.system == (Text("i"), Text("d"))
    assert [tool.name for tool in ask.tools] == ["shell", "mcp__files__read", "mcp__files__patch"]
    assert ask.tools[2].schema == INPUT_SCHEMA
    assert ask.turns == (
        Turn("user", (Text("q"),)),
        Turn(
            "assistant",
            (
                Thinking(signature="rs_1:gAAA", origin="openai-responses"),
                Text("Let me see."),
                ToolCall("call_1", "mcp__files__read", '{"p": 1}'),
                ToolCall("call_2", "shell", "{}"),
            ),
        ),
        Turn("user", (ToolResult("call_1", (Text("1"),)), ToolResult("call_2", (Text("2"),)))),
    )
    assert ask.reasoning == Reasoning("on", effort="medium")
    assert fields(ask) == ["tools[2]", "client_metadata"]
    assert dict(ask.shared) == {"prompt_cache_key": b'"k"', "verbosity": b'"medium"'}
    assert all(loss.tolerable for loss in ask.lost)


def test_results_stand_before_what_people_say_meanwhile() -> None:
    def called(id_: str) -> dict[str, str]:
        return {"type": "function_call", "call_id": id_, "name": "f", "arguments": "{}"}

    def result(id_: str) -> dict[str, str]:
        return {"type": "function_call_output", "call_id": id_, "output": id_}

    ask = read(HI, called("a"), called("b"), result("a"), HI, result("b"), HI)
    assert ask.turns[2:] == (
        Turn("user", (ToolResult("a", (Text("a"),)), ToolResult("b", (Text("b"),)), Text("hi"))),
        Turn("user", (Text("hi"),)),
    )


def test_a_tool_whose_input_is_text_becomes_one_with_a_field_for_it() -> None:
    form = {"type": "grammar", "syntax": "lark", "definition": "start: x"}
    tool = {"type": "custom", "name": "apply_patch", "description": "Edit.", "format": form}
    called = {"type": "custom_tool_call", "call_id": "c", "name": "apply_patch", "input": "*** x"}
    result = {"type": "custom_tool_call_output", "call_id": "c", "output": "ok"}
    ask = read(HI, called, result, tools=[tool])
    (found,) = ask.tools
    assert (found.name, found.schema, found.freeform) == ("apply_patch", INPUT_SCHEMA, True)
    assert found.description.startswith("Edit.")
    assert "start: x" in found.description
    assert ask.turns[1].parts == (ToolCall("c", "apply_patch", '{"input":"*** x"}'),)
    assert ask.turns[2].parts == (ToolResult("c", (Text("ok"),)),)


@given(st.lists(st.tuples(NAMES, st.sampled_from(["", "a", "a__", "b"])), unique=True))
def test_every_tool_has_one_plain_name_and_keeps_its_own(tools: list[tuple[str, str]]) -> None:
    spaces: dict[str, list[object]] = {}
    for name, space in tools:
        spaces.setdefault(space, []).append({"type": "function", "name": name})
    given_: list[object] = [*spaces.pop("", [])]
    given_ += [{"type": "namespace", "name": s, "tools": inner} for s, inner in spaces.items()]
    asked = body(tools=given_)
    plain_names = [tool.name for tool in read_ask(asked).tools]
    assert len(set(plain_names)) == len(tools)
    own = names_of(asked)
    found = [own.get(name, Own(name)) for name in plain_names]
    assert sorted((one.name, one.namespace) for one in found) == sorted(tools)


def test_tools_that_came_with_an_item_are_offered_too() -> None:
    tool = {"type": "function", "name": "g"}
    ask = read(
        HI,
        {"type": "tool_search_call", "arguments": {}, "execution": "client"},
        {"type": "tool_search_output", "tools": [tool]},
        {"type": "additional_tools", "role": "developer", "tools": [tool, {**tool, "name": "h"}]},
        tools=[{"type": "function", "name": "f"}],
    )
    assert [tool.name for tool in ask.tools] == ["f", "g", "h"]
    assert [(loss.field, loss.tolerable) for loss in ask.lost] == [("input[1]", True)]


def test_settings_are_read() -> None:
    ask = read(
        max_output_tokens=9,
        temperature=1.5,
        top_p=0.5,
        top_logprobs=3,
        include=["message.output_text.logprobs"],
        parallel_tool_calls=False,
        text={"format": {"type": "json_object"}, "verbosity": "low"},
        reasoning={"effort": "none"},
        safety_identifier="s",
        service_tier="auto",
        truncation="auto",
        metadata={"a": "b"},
    )
    assert ask.sampling == Sampling(
        max_tokens=9, temperature=1.5, top_p=0.5, logprobs=True, top_logprobs=3
    )
    assert ask.reasoning == Reasoning("off")
    assert ask.tool_choice == ToolChoice(parallel=False)
    assert ask.form == Form("json_object")
    assert ask.user == "s"
    assert fields(ask) == ["truncation"]
    assert [name for name, _ in ask.shared] == [
        "metadata",
        "service_tier",
        "safety_identifier",
        "verbosity",
    ]
    schema = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}
    assert read(text={"format": schema}).form == Form(
        "json_schema", b'{"type": "object"}', "n", strict=True
    )


def test_what_changes_nothing_is_no_loss() -> None:
    extra = {
        "store": False,
        "background": False,
        "metadata": {},
        "tools": [],
        "text": {"format": {"type": "text"}},
        "truncation": "disabled",
        "previous_response_id": None,
        "reasoning": None,
        "stream_options": {"include_obfuscation": False},
    }
    assert read(**extra) == read() == user(Text("hi"))


FUNCTIONS = [{"type": "function", "name": name} for name in "fg"]


@pytest.mark.parametrize(
    ("choice", "found"),
    [
        ("auto", ToolChoice()),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("any")),
        ({"type": "function", "name": "f"}, ToolChoice("named", "f")),
        ({"type": "custom", "name": "f"}, ToolChoice("named", "f")),
    ],
)
def test_each_choice_of_tools_is_read(choice: object, found: ToolChoice) -> None:
    assert read(tools=FUNCTIONS, tool_choice=choice).tool_choice == found


def test_tools_that_are_not_allowed_are_not_offered() -> None:
    choice = {"type": "allowed_tools", "mode": "required", "tools": FUNCTIONS[:1]}
    ask = read(tools=FUNCTIONS, tool_choice=choice)
    assert [tool.name for tool in ask.tools] == ["f"]
    assert ask.tool_choice == ToolChoice("any")


@pytest.mark.parametrize(
    ("extra", "tolerable"),
    [
        ({"background": True}, False),
        ({"context_management": [{"type": "compaction"}]}, True),
        ({"conversation": "conv_1"}, False),
        ({"previous_response_id": "resp_1"}, False),
        ({"prompt": {"id": "pmpt_1"}}, False),
        ({"tools": [{"type": "local_shell"}]}, False),
        ({"tools": [{"type": "web_search"}]}, True),
        ({"tools": [{"type": "mcp", "server_label": "x"}]}, True),
        ({"input": [HI, {"type": "web_search_call", "id": "x"}, HI]}, True),
        ({"input": [HI, {"type": "item_reference", "id": "msg_1"}]}, False),
        ({"input": [HI, {"type": "compaction", "encrypted_content": "x"}]}, False),
        ({"input": [HI, {"type": "item_of_tomorrow"}]}, False),
        ({"input": [{"type": "item_of_tomorrow"}]}, False),
        ({"input": [{"role": "user", "content": [{"type": "input_audio"}]}]}, False),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}, False),
        ({"field_of_tomorrow": False}, True),
    ],
)
def test_what_has_no_word_elsewhere_is_a_loss_with_its_name(
    extra: dict[str, object], tolerable: bool
) -> None:
    (lost,) = read_ask(json.dumps({"model": "m", "input": "hi", **extra}).encode()).lost
    assert lost.field.startswith(next(iter(extra)))
    assert lost.tolerable is tolerable


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"input": 5}, "input is neither text nor"),
        ({"input": None}, "input is neither text nor"),
        ({"input": [5]}, r"input\[0\] is not a JSON object"),
        ({"input": [{"role": "king", "content": "x"}]}, r"input\[0\].role is 'king'"),
        ({"input": [{"role": "user"}]}, r"input\[0\].content is neither"),
        ({"input": [{"role": "user", "content": [{}]}]}, r"content\[0\].type is missing"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "text is missing"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "image_url is"),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "file_data is"),
        ({"input": [HI, {"type": "function_call", "name": "f"}]}, r"input\[1\].call_id is missing"),
        ({"input": [HI, {"type": "function_call", "call_id": "c"}]}, "name is missing"),
        (
            {"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{"}]},
            r"input\[0\].arguments is not the text of a JSON object",
        ),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "call_id is missing"),
        ({"input": [{"type": "function_call_output", "call_id": "c"}]}, "output is neither"),
        ({"tools": [{"name": "f"}]}, r"tools\[0\].type is missing"),
        ({"tools": [{"type": "function"}]}, r"tools\[0\].name is missing"),
        ({"tools": [{"type": "function", "name": "f", "parameters": 5}]}, "parameters is not"),
        ({"tools": [{"type": "namespace", "tools": []}]}, r"tools\[0\].name is missing"),
        ({"tool_choice": "maybe"}, "tool_choice is none of"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.name is missing"),
        ({"max_output_tokens": 5.5}, "max_output_tokens is not a whole number"),
        ({"text": {"format": {"type": "poem"}}}, "text.format.type is 'poem'"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.schema is not"),
        ({"instructions": 5}, "instructions is not a text"),
    ],
)
def test_a_field_that_is_wrong_is_named(fields: dict[str, object], says: str) -> None:
    with pytest.raises(BadFieldError, match=says):
        read_ask(json.dumps({"model": "m", "input": "hi", **fields}).encode())


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["type", "role", "content", "output", "call_id", "name", "tools"]),
                inner
                | st.sampled_from(["message", "user", "function_call", "reasoning", "namespace"]),
                max_size=4,
            )
        ),
        max_leaves=9,
    )
)
def test_any_body_is_read_or_refused_in_words(value: object) -> None:
    for wrong in (value, {"input": value}, {"input": [value]}, {"input": "x", "tools": [value]}):
        sent = json.dumps(wrong).encode()
        with contextlib.suppress(CannotCrossError):
            read_ask(sent)
        names_of(sent + b'"custom"')
        assert responses_ask.own(sent) == sent


# ---------------------------------------------------------------------- writing


def test_a_tool_loop_is_written_as_items() -> None:
    own = Thinking("Hm.", "rs_1:gAAA", origin="openai-responses")
    foreign = Thinking("Hm.", "sig", origin="anthropic")
    ask = Ask(
        system=(Text("a"), Text("b")),
        turns=(
            Turn("user", (Text("q"), Image("image/png", "aGk="))),
            Turn("assistant", (own, foreign, Text("Let"), Text(" me"), ToolCall("c", "f"))),
            Turn("user", (ToolResult("c", (Text("1"), Image(url="https://x")), error=True),)),
        ),
        tools=(Tool("f"),),
        tool_choice=ToolChoice("named", "f", parallel=False),
    )
    written = responses_ask.write_ask(ask, "m")
    assert json.loads(written.body) == {
        "model": "m",
        "instructions": "a\n\nb",
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "q"},
                    {
                        "type": "input_image",
                        "image_url": "data:image/png;base64,aGk=",
                        "detail": "auto",
                    },
                ],
            },
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": "Hm."}],
                "encrypted_content": "gAAA",
            },
            {"role": "assistant", "content": "Let me"},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {
                "type": "function_call_output",
                "call_id": "c",
                "output": [
                    {"type": "input_text", "text": "Error: 1"},
                    {"type": "input_image", "image_url": "https://x", "detail": "auto"},
                ],
            },
        ],
        "tools": [
            {
                "type": "function",
                "name": "f",
                "parameters": {"type": "object", "properties": {}},
                "strict": False,
            }
        ],
        "tool_choice": {"type": "function", "name": "f"},
        "parallel_tool_calls": False,
    }
    assert [loss.field for loss in written.lost] == ["thinking"]


def test_what_this_dialect_lacks_is_a_loss() -> None:
    sampling = Sampling(max_tokens=1, top_k=3, seed=5, presence_penalty=0.5, stop=("x",))
    ask = msgspec.structs.replace(user(Text("x", CACHE)), sampling=sampling)
    written = responses_ask.write_ask(ask, "m")
    assert [loss.field for loss in written.lost] == [
        "stop",
        "top_k",
        "seed",
        "presence_penalty",
        "max_tokens",
        "cache_control",
    ]
    assert all(loss.tolerable for loss in written.lost)
    assert json.loads(written.body)["max_output_tokens"] == 16
    several = msgspec.structs.replace(ask, sampling=Sampling(choices=2))
    assert not responses_ask.write_ask(several, "m").lost[0].tolerable


@pytest.mark.parametrize(
    ("reasoning", "effort"),
    [
        (None, None),
        (Reasoning("off"), "none"),
        (Reasoning("auto"), None),
        (Reasoning("on", effort="xhigh"), "xhigh"),
        (Reasoning("on", budget=2048), "low"),
        (Reasoning("on", budget=9000), "high"),
    ],
)
def test_an_effort_is_written_where_one_is_meant(reasoning: Any, effort: str | None) -> None:
    sent = write(msgspec.structs.replace(user(Text("x")), reasoning=reasoning))
    assert sent.get("reasoning", {}).get("effort") == effort
    assert ("include" in sent) == (effort not in (None, "none"))


def test_a_refusal_is_handed_back_as_one() -> None:
    turns = (Turn("user", (Text("q"),)), Turn("assistant", (Text("Well."), Refusal("No."))))
    sent = write(Ask(turns=(*turns, Turn("user", (Text("r"),)))))
    assert [part["type"] for part in sent["input"][1]["content"]] == ["output_text", "refusal"]
    assert read_ask(json.dumps(sent).encode()).turns[1] == turns[1]


def test_ids_and_names_are_made_to_fit() -> None:
    long = "x" * 65
    turns = (
        Turn("user", (Text("q"),)),
        Turn("assistant", (ToolCall(long, "a.b" * 30),)),
        Turn("user", (ToolResult(long),)),
    )
    sent = write(Ask(turns=turns, tools=(Tool("a.b" * 30),)))
    _, call, result = sent["input"]
    assert call["call_id"] == result["call_id"]
    assert call["name"] == sent["tools"][0]["name"]
    assert max(len(call["call_id"]), len(call["name"])) <= 64


# --------------------------------------------------------------------- thoughts

THOUGHTS = st.builds(
    Thinking, text=st.text(max_size=9), signature=TEXT, origin=st.sampled_from(["anthropic", "x"])
) | st.builds(Thinking, text=st.text(max_size=9), data=TEXT, origin=st.just("anthropic"))


@given(THOUGHTS)
def test_what_others_signed_comes_back_and_is_never_shown_to_this_provider(
    thought: Thinking,
) -> None:
    _, content = responses_ask.sealed(thought)
    summary = [{"type": "summary_text", "text": thought.text}]
    item = {"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": content}
    sent = body(HI, item, HI)
    assert read_ask(sent).turns[1].parts == (thought,)
    assert json.loads(responses_ask.own(sent))["input"] == [HI, HI]


def test_a_request_of_ones_own_keeps_its_bytes() -> None:
    for sent in (
        body(HI, {"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "g"}, HI),
        body({"role": "user", "content": '"holdfast.anthropic.text.x"'}),
        b'{"input": "holdfast.',
        b"",
    ):
        assert responses_ask.own(sent) is sent


def test_rules_that_stand_alone_are_said_as_a_users() -> None:
    item = {"role": "developer", "content": "Write a haiku."}
    ask = read_ask(json.dumps({"model": "m", "input": [item], "instructions": "Rhyme."}).encode())
    assert (ask.system, ask.turns) == (
        (Text("Rhyme."),),
        (Turn("user", (Text("Write a haiku."),)),),
    )
    assert [lost.field for lost in ask.lost] == ["system"]


def test_a_tool_that_is_there_twice_is_refused_unless_it_came_again_on_the_way() -> None:
    tool = {"type": "function", "name": "f"}
    with pytest.raises(BadFieldError, match="tools: 'f' is there twice"):
        read(tools=[tool, tool])
    found = {"type": "tool_search_output", "tools": [tool]}
    assert [one.name for one in read(HI, found, tools=[tool]).tools] == ["f"]
    spaces = [{"type": "namespace", "name": name, "tools": [tool]} for name in "ab"]
    assert [one.name for one in read(tools=spaces).tools] == ["a__f", "b__f"]
