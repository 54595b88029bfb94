"""Chat's older words for tools: read as tools, answered in the same words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.asks import NAMES, OBJECTS

from holdfast.wire.deltas import (
    BlockEnded,
    Delta,
    Of,
    Opened,
    Stopped,
    ToolArgsDelta,
    ToolCallBegun,
)
from holdfast.wire.openai import dialect as openai
from holdfast.wire.openai.older import speaks_older
from holdfast.wire.speech import (
    Answer,
    Ask,
    BadFieldError,
    Choice,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)

HI = {"role": "user", "content": "q"}
F = {"name": "f", "description": "d", "parameters": {"type": "object"}}


def body(*messages: object, **more: object) -> bytes:
    return json.dumps({"model": "m", "messages": messages or [HI], **more}).encode()


def read(*messages: object, **more: object) -> Ask:
    return openai.read_ask(body(*messages, **more))


def calling(name: str, arguments: str) -> dict[str, Any]:
    call = {"name": name, "arguments": arguments}
    return {"role": "assistant", "content": None, "function_call": call}


@given(st.lists(st.tuples(NAMES, OBJECTS), min_size=1, max_size=4))
def test_a_loop_of_functions_is_one_of_tools(steps: list[tuple[str, str]]) -> None:
    told: list[object] = [HI]
    turns = [Turn("user", (Text("q"),))]
    for number, (name, arguments) in enumerate(steps, 1):
        told += [calling(name, arguments), {"role": "function", "name": name, "content": "r"}]
        turns.append(Turn("assistant", (ToolCall(f"call_{number}", name, arguments),)))
        turns.append(Turn("user", (ToolResult(f"call_{number}", (Text("r"),)),)))
    ask = read(*told, functions=[F])
    assert ask.turns == tuple(turns)
    assert ask.tools == (Tool("f", "d", b'{"type": "object"}'),)
    assert ask.lost == ()


@pytest.mark.parametrize(
    ("choice", "found"),
    [
        (None, ToolChoice(parallel=False)),
        ("auto", ToolChoice(parallel=False)),
        ("none", ToolChoice("none")),
        ({"name": "f"}, ToolChoice("named", "f", parallel=False)),
    ],
)
def test_one_is_chosen_at_a_time(choice: object, found: ToolChoice) -> None:
    assert read(functions=[F], function_call=choice).tool_choice == found


@pytest.mark.parametrize(
    ("messages", "more", "says"),
    [
        ([], {"functions": [{}]}, r"functions\[0\].name is missing"),
        ([], {"functions": [F], "function_call": 5}, "function_call is none of"),
        ([], {"functions": [F], "function_call": {}}, "function_call.name is missing"),
        ([], {"functions": [F], "tools": [{"function": F}]}, "functions is an older name"),
        ([HI, calling("f", "no")], {}, r"messages\[1\].function_call.arguments"),
        ([HI, calling("", "{}")], {}, r"messages\[1\].function_call.name"),
        (
            [HI, {"role": "function", "name": "f", "content": ""}],
            {},
            r"messages\[1\].role is function",
        ),
        (
            [HI, calling("f", "{}"), {"role": "function", "name": "g", "content": ""}],
            {},
            r"messages\[2\].name is 'g'",
        ),
    ],
)
def test_what_is_wrong_has_its_name(
    messages: list[object], more: dict[str, Any], says: str
) -> None:
    with pytest.raises(BadFieldError, match=says):
        read(*messages, **more)


@given(st.binary(max_size=20))
def test_who_asks_so_is_known_whatever_the_bytes(dirty: bytes) -> None:
    assert speaks_older(body(functions=[F]))
    assert not speaks_older(body(tools=[{"function": F}]))
    assert not speaks_older(b'{"functions":null}')
    speaks_older(b'{"functions":' + dirty)


def test_a_whole_answer_calls_in_the_same_words() -> None:
    calls = (ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g"))
    answer = Answer(id="i", model="m", choices=(Choice(calls, "tool_calls"),))
    asked = Answer(id="i", model="m", choices=answer.choices, asked=body(functions=[F]))
    (choice,) = json.loads(openai.write_answer(asked, 0))["choices"]
    assert choice["finish_reason"] == "function_call"
    assert choice["message"]["function_call"] == {"name": "f", "arguments": '{"x":1}'}
    assert "tool_calls" not in choice["message"]
    (choice,) = json.loads(openai.write_answer(answer, 0))["choices"]
    assert (choice["finish_reason"], len(choice["message"]["tool_calls"])) == ("tool_calls", 2)


def test_a_stream_calls_in_the_same_words() -> None:
    said: list[Delta] = [Opened("i", "m")]
    for index, name in enumerate("fg"):
        said += [ToolCallBegun(index, str(index), name), ToolArgsDelta(index, '{"x":')]
        said += [ToolArgsDelta(index, "1}"), BlockEnded(index)]
    writer = openai.stream_writer(body(functions=[F]), 0)
    streamed = b"".join(writer.write(delta) for delta in [*said, Stopped("tool_calls")])
    chunks = [json.loads(line[6:]) for line in streamed.split(b"\n\n") if b"{" in line]
    choices = [chunk["choices"][0] for chunk in chunks]
    calls = [one["delta"]["function_call"] for one in choices if "function_call" in one["delta"]]
    assert [call.get("name") for call in calls] == ["f", None, None]
    assert "".join(call["arguments"] for call in calls) == '{"x":1}'
    assert choices[-1]["finish_reason"] == "function_call"
    assert b"tool_calls" not in streamed
    other = writer.write(Of(1, ToolCallBegun(0, "z", "f")))
    assert b"function_call" in other
