"""Tools whose input is text."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from holdfast.wire.deltas import BlockEnded, Opened, Stopped, ToolArgsDelta, ToolCallBegun
from holdfast.wire.fields import Fields
from holdfast.wire.freeform import INPUT_SCHEMA, arguments_of, freeform, input_of
from holdfast.wire.openai import dialect as openai
from holdfast.wire.speech import Answer, Choice, Text, ToolCall, ToolChoice, ToolResult, Turn

FORM = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: x"}}
PATCH = {"type": "custom", "custom": {"name": "patch", "description": "Edit.", "format": FORM}}
F = {"type": "function", "function": {"name": "f"}}
HI = {"role": "user", "content": "q"}


def body(*messages: object, **more: object) -> bytes:
    return json.dumps({"model": "m", "messages": messages or [HI], **more}).encode()


@given(st.text(max_size=9))
def test_input_becomes_arguments_and_input_again(text: str) -> None:
    assert json.loads(arguments_of(text)) == {"input": text}
    assert input_of(arguments_of(text)) == text == input_of(json.dumps({"input": text}))
    assert input_of('{"path":1}') == '{"path":1}'


def test_a_grammar_is_told_in_words() -> None:
    tool = freeform("t", "Edit.", Fields(b'{"syntax":"lark","definition":"start: x"}'))
    assert tool.description == "Edit.\n\n`input` follows this lark grammar:\nstart: x"
    assert (tool.schema, tool.freeform) == (INPUT_SCHEMA, True)
    assert freeform("t", "", None).description == ""


def test_chat_has_them_too() -> None:
    call = {"id": "c", "type": "custom", "custom": {"name": "patch", "input": "*** x"}}
    called = {"role": "assistant", "content": None, "tool_calls": [call]}
    result = {"role": "tool", "tool_call_id": "c", "content": "ok"}
    choice = {"type": "custom", "custom": {"name": "patch"}}
    ask = openai.read_ask(body(HI, called, result, tools=[PATCH, F], tool_choice=choice))
    assert [(tool.name, tool.freeform) for tool in ask.tools] == [("patch", True), ("f", False)]
    assert "start: x" in ask.tools[0].description
    assert ask.turns[1:] == (
        Turn("assistant", (ToolCall("c", "patch", '{"input":"*** x"}'),)),
        Turn("user", (ToolResult("c", (Text("ok"),)),)),
    )
    assert ask.tool_choice == ToolChoice("named", "patch")
    assert ask.lost == ()


CALLS = (ToolCall("a", "patch", '{"input":"*** x"}'), ToolCall("b", "f", "{}"))
TOLD = [
    {"id": "a", "type": "custom", "custom": {"name": "patch", "input": "*** x"}},
    {"id": "b", "type": "function", "function": {"name": "f", "arguments": "{}"}},
]


def test_a_whole_answer_calls_each_in_its_own_way() -> None:
    asked, choices = body(tools=[PATCH, F]), (Choice(CALLS, "tool_calls"),)
    answer = Answer(id="i", model="m", choices=choices, asked=asked)
    (choice,) = json.loads(openai.write_answer(answer, 0))["choices"]
    assert choice["message"]["tool_calls"] == TOLD


def test_a_stream_calls_each_in_its_own_way() -> None:
    writer = openai.stream_writer(body(tools=[PATCH, F]), 0)
    said = [Opened("i", "m"), ToolCallBegun(0, "a", "patch"), ToolArgsDelta(0, '{"input":')]
    said += [ToolArgsDelta(0, '"*** x"}'), BlockEnded(0), ToolCallBegun(1, "b", "f")]
    said += [ToolArgsDelta(1, "{}"), BlockEnded(1), Stopped("tool_calls")]
    streamed = b"".join(map(writer.write, said))
    chunks = [json.loads(line[6:]) for line in streamed.split(b"\n\n") if b"tool_calls" in line]
    found: dict[int, dict] = {}
    for chunk in chunks[:-1]:
        (call,) = chunk["choices"][0]["delta"]["tool_calls"]
        kept = found.setdefault(call.pop("index"), {})
        for name, value in call.items():
            if isinstance(value, dict):
                inner = kept.setdefault(name, {})
                for key, text in value.items():
                    inner[key] = inner.get(key, "") + text
            else:
                kept[name] = value
    assert list(found.values()) == TOLD


def test_no_bytes_make_it_raise() -> None:
    odd = (b'[{"type":"custom"}]', b'[{"type":"custom","custom":5}]')
    for tools in (b"5", b"[5]", b'"custom', *odd):
        openai.stream_writer(b'{"x":"custom","tools":' + tools + b"}", 0)
