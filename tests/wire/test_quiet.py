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
from holdfast.wire import anthropic, openai, speak
from holdfast.wire.crossings import Crossings
from holdfast.wire.deltas import BlockEnded, Delta, Opened, Ping, Stopped, TextDelta, ThinkingDelta
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


def test_dialects_with_a_place_beside_the_words_show_them_always() -> None:
    assert openai.shows_thoughts(b"{}")
    assert anthropic.shows_thoughts(b"no JSON")
