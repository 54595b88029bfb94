"""Engines' streams of Messages, as their users reported them, and what clients are given."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wire.every import tap
from tests.wire.recorded import (
    ANTHROPIC,
    MESSAGE_STOP,
    START,
    block,
    event,
    joined,
    message_delta,
    pieces_of,
    split,
    text_block,
)

from holdfast.facts.outcomes import PieceKind
from holdfast.wire.sse import SseReader

Json = dict[str, Any]
TEXT, THINKING = {"type": "text", "text": ""}, {"type": "thinking", "thinking": ""}
SAYS = {"type": "text_delta", "text": "x"}
THINKS = {"type": "thinking_delta", "thinking": "y"}
END = message_delta("end_turn") + MESSAGE_STOP


def start(index: int, block: Json) -> bytes:
    return event({"type": "content_block_start", "index": index, "content_block": block})


def delta(index: int, delta: Json) -> bytes:
    return event({"type": "content_block_delta", "index": index, "delta": delta})


def stop(index: int) -> bytes:
    return event({"type": "content_block_stop", "index": index})


def tool(n: int, **more: object) -> Json:
    return {"type": "tool_use", "id": f"t{n}", "name": "f", "input": {}, **more}


def args(index: int, json: str) -> bytes:
    return delta(index, {"type": "input_json_delta", "partial_json": json})


def passed(*parts: bytes, cuts: list[int] | None = None) -> bytes:
    pieces = pieces_of(
        tap("anthropic", "anthropic", local=True), split(b"".join(parts), cuts or [])
    )
    assert pieces[-1].kind is PieceKind.END
    return joined(pieces)


def told(stream: bytes) -> list[str]:
    """Each event in short: its type, its index, what it begins or adds."""
    found = []
    for one in SseReader().feed(stream):
        fields = json.loads(one.data)
        assert one.event.decode() == fields["type"]
        kind = fields["type"].removeprefix("content_block_").removeprefix("message_")
        about = fields.get("content_block") or fields.get("delta") or {}
        name = about.get("type") or about.get("stop_reason") or ""
        found.append(f"{kind}{fields.get('index', '')} {name}".strip())
    return found


def heard(stream: bytes) -> anthropic.types.Message:
    """What the SDK's helper makes of it; it insists on the grammar."""
    from anthropic.lib.streaming._messages import accumulate_event

    snapshot, buffers = None, {}
    for one in SseReader().feed(stream):
        raw = anthropic._models.construct_type(
            type_=anthropic.types.RawMessageStreamEvent, value=json.loads(one.data)
        )
        snapshot = accumulate_event(event=raw, json_bufs=buffers, current_snapshot=snapshot)
    assert snapshot is not None
    return snapshot


TURN = ["start", "delta end_turn", "stop"]


def within(*blocks: str, stop: str = "end_turn") -> list[str]:
    return ["start", *blocks, f"delta {stop}", "stop"]


FAULTS = {
    "no opening": ([*text_block(0, "x"), END], within("start0 text", "delta0 text_delta", "stop0")),
    "nothing but a delta": (
        [delta(0, SAYS), END],
        within("start0 text", "delta0 text_delta", "stop0"),
    ),
    "a block within another, under its index": (
        [START, start(0, TEXT), delta(0, SAYS), start(0, THINKING), delta(0, THINKS), stop(0), END],
        within(
            "start0 text",
            "delta0 text_delta",
            "stop0",
            "start1 thinking",
            "delta1 thinking_delta",
            "stop1",
        ),
    ),
    "thoughts in a block of text": (
        [START, start(0, TEXT), delta(0, THINKS), delta(0, SAYS), stop(0), END],
        within(
            "start0 text",
            "stop0",
            "start1 thinking",
            "delta1 thinking_delta",
            "stop1",
            "start2 text",
            "delta2 text_delta",
            "stop2",
        ),
    ),
    "a start with each token": (
        [START, *[start(0, TEXT) + delta(0, SAYS)] * 3, stop(0), END],
        within("start0 text", *["delta0 text_delta"] * 3, "stop0"),
    ),
    "no stops": (
        [START, start(0, TEXT), delta(0, SAYS), start(1, tool(1)), args(1, "{}"), END],
        within(
            "start0 text",
            "delta0 text_delta",
            "stop0",
            "start1 tool_use",
            "delta1 input_json_delta",
            "stop1",
            stop="tool_use",
        ),
    ),
    "all stops at the end": (
        [START, start(0, TEXT), delta(0, SAYS), start(1, tool(1)), stop(0), stop(1), END],
        within(
            "start0 text", "delta0 text_delta", "stop0", "start1 tool_use", "stop1", stop="tool_use"
        ),
    ),
    "indexes with gaps": (
        [START, *text_block(1, "x"), *block(5, tool(1)), END],
        within(
            "start0 text", "delta0 text_delta", "stop0", "start1 tool_use", "stop1", stop="tool_use"
        ),
    ),
    "every block under the same index": (
        [START, *block(0, tool(1)), *block(0, tool(2)), END],
        within("start0 tool_use", "stop0", "start1 tool_use", "stop1", stop="tool_use"),
    ),
    "two openings": (
        [START, START, *text_block(0, "x"), END],
        within("start0 text", "delta0 text_delta", "stop0"),
    ),
    "an end without a reason": (
        [START, *block(0, tool(1)), MESSAGE_STOP],
        within("start0 tool_use", "stop0", stop="tool_use"),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
@settings(max_examples=15)
@given(cuts=st.lists(st.integers(0, 5000), max_size=5))
def test_what_leaves_the_grammar_is_mended(name: str, cuts: list[int]) -> None:
    parts, due = FAULTS[name]
    stream = passed(*parts, cuts=cuts)
    assert told(stream) == due
    message = heard(stream)
    assert message.stop_reason == due[-2].removeprefix("delta ")
    texts = "".join(one.text for one in message.content if one.type == "text")
    assert texts == "x" * b"".join(parts).count(b'"text":"x"')


@pytest.mark.parametrize("name", ["text", "thinking", "tool", "citations", "refusal", "length"])
@settings(max_examples=15)
@given(cuts=st.lists(st.integers(0, 10_000), max_size=5))
def test_all_behind_a_missing_opening_stays_as_it_came(name: str, cuts: list[int]) -> None:
    """llama.cpp leaves it out when the first token is half a character; the SDK dies of it."""
    stream = ANTHROPIC[name].stream
    mended = passed(stream[len(START) :], cuts=cuts)
    assert mended.endswith(stream[len(START) :])
    start = json.loads(SseReader().feed(mended)[0].data)["message"]
    assert (start["model"], start["content"]) == ("m", [])


def test_usage_that_is_missing_is_nought() -> None:
    """The SDKs and Claude Code read it without asking whether it is there."""
    bare = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "e"}
    end = event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}})
    opening = event({"type": "message_start", "message": bare})
    message = heard(passed(opening, *text_block(0, "x"), end, MESSAGE_STOP))
    assert (message.id, message.usage.input_tokens, message.usage.output_tokens) == ("msg_1", 0, 0)


def test_events_without_a_name_are_given_theirs() -> None:
    """The SDKs go by it; the data stays."""
    whole = ANTHROPIC["text"].stream
    bare = b"".join(line for line in whole.splitlines(True) if not line.startswith(b"event:"))
    assert passed(bare) == whole


def test_other_fields_of_what_is_mended_keep_their_bytes() -> None:
    odd = b'{"type":"content_block_start","index":3,"content_block":{"type":"text","n":1e400}}'
    stream = passed(START, b"data: %b\n\n" % odd, delta(3, SAYS), stop(3), END)
    assert b'"content_block":{"type":"text","n":1e400}' in stream


def test_arguments_that_belong_to_no_open_call_break_the_answer_off() -> None:
    """Half a call is not to be run."""
    mixed = [start(0, tool(1)), start(1, tool(2)), args(0, "{}"), args(1, "{}"), END]
    pieces = pieces_of(tap("anthropic", "anthropic", local=True), [START, *mixed])
    assert pieces[-1].kind is PieceKind.FAULT
    assert pieces[-1].failure is not None
    assert "mixed" in pieces[-1].failure.text


def test_an_answer_without_a_word_is_still_none() -> None:
    pieces = pieces_of(tap("anthropic", "anthropic", local=True), [START + MESSAGE_STOP])
    assert pieces[-1].failure is not None
    assert pieces[-1].failure.kind == "empty"


def test_a_cloud_is_not_mended() -> None:
    stream = b"".join([START, START, *text_block(4, "x"), END])
    assert joined(pieces_of(tap("anthropic", "anthropic"), [stream])) == stream
