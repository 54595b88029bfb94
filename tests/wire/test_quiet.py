"""Answers for clients that did not ask to see what a model thinks."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from tests.wire.asks import streams
from tests.wire.heard import mended, says

from holdfast.facts.calls import Call
from holdfast.facts.flights import Leg
from holdfast.facts.places import Target
from holdfast.wire import speak
from holdfast.wire.anthropic import dialect as anthropic
from holdfast.wire.crossings import Crossings
from holdfast.wire.deltas import (
    BlockEnded,
    Delta,
    Of,
    Opened,
    Ping,
    Stopped,
    TextDelta,
    ThinkingDelta,
)
from holdfast.wire.gemini import dialect as gemini
from holdfast.wire.openai import dialect as openai
from holdfast.wire.quiet import PING_CHARS, QuietWriter

HI = {"role": "user", "content": "hi"}


@given(streams())
def test_all_but_the_thoughts_is_said_and_keeps_the_grammar(deltas: list[Delta]) -> None:
    stream = b"".join(map(QuietWriter(anthropic.stream_writer(b"{}", 0)).write, deltas))
    said, back = says(deltas), says(mended(anthropic.delta_reader("m"), stream))
    words = [words for kind, words in said.blocks if kind != "thinking"]
    assert back.joined("text") == "".join(words)
    assert back.joined("thinking") == ""
    assert back.calls == said.calls
    events = [json.loads(line[6:]) for line in stream.split(b"\n") if line.startswith(b"data: ")]
    starts = [event["index"] for event in events if event["type"] == "content_block_start"]
    assert starts == list(range(len(starts)))


def test_whoever_waits_for_a_long_thought_sees_signs_of_life() -> None:
    writer = QuietWriter(anthropic.stream_writer(b"{}", 0))
    writer.write(Opened("x", "m"))
    ping = anthropic.stream_writer(b"{}", 0).write(Ping())
    assert writer.write(ThinkingDelta(0, "a")) == ping
    assert writer.write(ThinkingDelta(0, "a" * (PING_CHARS - 1))) == b""
    assert writer.write(ThinkingDelta(0, "a")) == ping
    assert writer.write(BlockEnded(0)) == b""
    assert b'"index":0' in writer.write(TextDelta(1, "hi"))
    assert b'"index":0' in writer.write(BlockEnded(1))
    assert writer.write(Stopped())


def messages(turns: list, *, stream: bool = False, **asked: object) -> Call:
    body = json.dumps({"model": "m", "max_tokens": 9, "messages": turns, **asked}).encode()
    return Call(
        id="x",
        at=0.0,
        wall=0.0,
        dialect="anthropic",
        surface="messages",
        path="/v1/messages",
        body=body,
        model="m",
        stream=stream,
    )


def generating(turns: list, *, stream: bool = False, **asked: object) -> Call:
    action = "streamGenerateContent" if stream else "generateContent"
    return Call(
        id="x",
        at=0.0,
        wall=0.0,
        dialect="gemini",
        surface="generate_content",
        path=f"/v1beta/models/m:{action}",
        query="alt=sse",
        body=json.dumps({"contents": turns, **asked}).encode(),
        model="m",
        stream=stream,
    )


def told(call: Call, leg: Leg, said: bytes, kind: bytes, crossings: Crossings) -> bytes:
    tap = speak.tap(call, leg, 200, ((b"content-type", kind),), crossings)
    return b"".join(piece.data for piece in [*tap.feed(said), *tap.close()])


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ({}, False),
        ({"thinking": {"type": "disabled"}}, False),
        ({"thinking": {"type": "adaptive"}}, True),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, True),
    ],
)
def test_a_client_of_messages_sees_thoughts_where_it_asked_for_them(
    asked: dict, shown: bool, stream: bool
) -> None:
    """A program that did not ask reads `content[0].text`."""
    tool = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    words = {"role": "assistant", "reasoning_content": "Hm.", "content": "Hi", "tool_calls": [tool]}
    choice = {"delta" if stream else "message": words, "finish_reason": "tool_calls"}
    said = json.dumps({"id": "i", "model": "n", "choices": [choice]}).encode()
    kind = b"application/json"
    if stream:
        said, kind = b"data: %b\n\ndata: [DONE]\n\n" % said, b"text/event-stream"
    leg = Leg(target=Target("p", "n", "none"), dialect="openai", surface="chat")
    found = told(messages([HI], stream=stream, **asked), leg, said, kind, Crossings())
    assert (b'"thinking"' in found) is shown
    assert b"Hi" in found
    assert b"tool_use" in found


def test_what_was_signed_and_not_shown_goes_back_to_who_signed_it() -> None:
    """Some providers refuse a call that comes back without the signature of its thought."""
    crossings = Crossings()
    leg = Leg(target=Target("p", "n", "none"), dialect="gemini", surface="generate_content")
    part = {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "c2lnbg=="}
    content = {"role": "model", "parts": [{"text": "Hm.", "thought": True}, part]}
    said = json.dumps({"candidates": [{"content": content, "finishReason": "STOP"}]}).encode()
    answer = json.loads(told(messages([HI]), leg, said, b"application/json", crossings))
    assert [block["type"] for block in answer["content"]] == ["tool_use"]
    id_ = answer["content"][0]["id"]
    result = {"type": "tool_result", "tool_use_id": id_, "content": "ok"}
    turns = [
        HI,
        {"role": "assistant", "content": answer["content"]},
        {"role": "user", "content": [result]},
    ]
    assert b"c2lnbg==" in speak.compose(messages(turns), leg, crossings).body


INCLUDED = {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}}
SNAKES = {"generation_config": {"thinking_config": {"include_thoughts": True}}}


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ({}, False),
        ({"generationConfig": {"thinkingConfig": {"thinkingBudget": 99}}}, False),
        (INCLUDED, True),
        (SNAKES, True),
    ],
)
def test_a_client_of_gemini_sees_thoughts_where_it_asked_for_them(
    asked: dict, shown: bool, stream: bool
) -> None:
    crossings = Crossings()
    thinks = {"type": "thinking", "thinking": "Hm.", "signature": "sig"}
    calls = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
    answer = {"id": "i", "model": "n", "content": [thinks, {"type": "text", "text": "Hi"}, calls]}
    said = json.dumps({**answer, "type": "message", "stop_reason": "tool_use"}).encode()
    leg = Leg(target=Target("p", "n", "none"), dialect="anthropic", surface="messages")
    turns = [{"role": "user", "parts": [{"text": "hi"}]}]
    call = generating(turns, stream=stream, **asked)
    found = told(call, leg, said, b"application/json", crossings)
    assert (b'"thought":true' in found) is shown
    assert b'"text":"Hi"' in found
    assert (len(crossings) == 1) is not shown  # else the client hands them back
    if not stream:
        turns.append(json.loads(found)["candidates"][0]["content"])
        result = {"name": "f", "id": "toolu_1", "response": {"a": 1}}
        turns.append({"role": "user", "parts": [{"functionResponse": result}]})
        assert b'"sig"' in speak.compose(generating(turns, **asked), leg, crossings).body


def test_each_of_several_answers_is_without_its_thoughts() -> None:
    writer = QuietWriter(gemini.stream_writer(b"{}", 0))
    said = [
        Opened("x", "m"),
        Of(1, ThinkingDelta(0, "Hm")),
        Of(1, BlockEnded(0)),
        Of(1, TextDelta(1, "b")),
        TextDelta(0, "a"),
        BlockEnded(0),
        Of(1, BlockEnded(1)),
        Of(1, Stopped()),
        Stopped(),
    ]
    assert writer.several
    stream = b"".join(map(writer.write, said))
    assert b"Hm" not in stream
    deltas = [
        delta
        for event in gemini.frames().feed(stream)
        for delta in gemini.delta_reader("m").read(event)
    ]
    assert Of(1, TextDelta(0, "b")) in deltas
    assert TextDelta(0, "a") in deltas


def test_dialects_with_a_place_beside_the_words_show_them_always() -> None:
    assert openai.shows_thoughts(b"{}")
    assert anthropic.shows_thoughts(b"no JSON")
