"""The stream of Anthropic Messages: its grammar, its mending, its errors."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from tests.wire.asks import streams
from tests.wire.heard import mended, says
from tests.wire.recorded import (
    ANTHROPIC,
    MESSAGE_STOP,
    START,
    block,
    event,
    joined,
    message_delta,
    play,
    read,
    text_block,
)

from holdfast.facts.outcomes import PieceKind, Usage
from holdfast.wire.anthropic.stream import DeltaReader, StreamReader, StreamWriter
from holdfast.wire.deltas import (
    BlockEnded,
    Delta,
    Opened,
    Stopped,
    ThinkingDelta,
    ToolArgsDelta,
    ToolCallBegun,
)
from holdfast.wire.sse import SseReader


def names(stream: bytes) -> list[str]:
    """The types of all events of a stream."""
    return [json.loads(event.data)["type"] for event in SseReader().feed(stream) if event.data]


def kinds(*events: bytes) -> list[PieceKind]:
    reader = StreamReader()
    return [reader.read(found) for found in SseReader().feed(b"".join(events))]


def test_each_event_is_what_the_flight_takes_it_for() -> None:
    opening, ping, content, end = (
        PieceKind.OPENING,
        PieceKind.PING,
        PieceKind.CONTENT,
        PieceKind.END,
    )
    assert kinds(ANTHROPIC["text"].stream) == [
        opening,
        opening,
        content,
        content,
        content,
        ping,
        content,
        end,
    ]
    empty = [*block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": ""})]
    assert kinds(START, *empty) == [opening] * 4
    assert kinds(START, b": comment\n\n", event({"type": "tomorrow"})) == [opening, ping, ping]


def test_thinking_is_announced_before_and_between_the_words() -> None:
    thought = {"type": "thinking", "thinking": "", "signature": ""}
    begun = event({"type": "content_block_start", "index": 0, "content_block": thought})
    signed = event(
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "signature_delta", "signature": "x"},
        }
    )
    thinking, content = PieceKind.THINKING, PieceKind.CONTENT
    assert kinds(START, begun, signed, begun) == [PieceKind.OPENING, thinking, content, thinking]


@pytest.mark.parametrize(
    "delta",
    [
        {"type": "text_delta", "text": "x"},
        {"type": "thinking_delta", "thinking": "x"},
        {"type": "signature_delta", "signature": "x"},
        {"type": "input_json_delta", "partial_json": "{"},
        {"type": "citations_delta", "citation": {"type": "char_location"}},
        {"type": "delta_of_tomorrow", "light": 1},
    ],
)
def test_any_payload_commits(delta: dict[str, object]) -> None:
    """Once the client has seen a byte of an answer, no other answer can take its place."""
    assert kinds(START, *block(0, {"type": "x"}, delta))[2] is PieceKind.CONTENT


def test_a_stop_reason_without_the_terminal_event_is_whole() -> None:
    stream = ANTHROPIC["text"].stream
    pieces = play("anthropic", "anthropic", [stream.removesuffix(MESSAGE_STOP)])
    assert (pieces[-1].kind, pieces[-1].data) == (PieceKind.END, MESSAGE_STOP)


# --------------------------------------------------------------------------- errors

OVERLOADED = event(
    {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "Overloaded"},
        "request_id": "req_011CSHoEeqs5C35K2UUqR7Fy",
    }
)
ERRORS = [
    (OVERLOADED, "overloaded_error", "Overloaded"),
    (OVERLOADED.replace(b"event: error\n", b""), "overloaded_error", "Overloaded"),
    (b'event: error\ndata: {"message":"no"}\n\n', "", "no"),
    (b"event: error\ndata: out of order\n\n", "", "out of order"),
    (b'data: {"error":{"message":"busy","type":"server_error"}}\n\n', "server_error", "busy"),
    (b'data: {"error":"busy"}\n\n', "", "busy"),
]


@pytest.mark.parametrize(("error", "type_", "message"), ERRORS)
def test_an_error_event_keeps_its_bytes_and_says_its_type(
    error: bytes, type_: str, message: str
) -> None:
    begun = START + text_block(0, "Hel")[1]
    for before in (b"", START, begun):
        for client in ("anthropic", "openai"):
            pieces = play(client, "anthropic", [before + error + MESSAGE_STOP])
            last = pieces[-1]
            assert last.kind is PieceKind.FAULT
            assert last.data == (error if client == "anthropic" else b"")
            assert last.failure is not None
            assert last.failure.kind == "error_event"
            assert (last.failure.said.type, last.failure.said.message) == (type_, message)
            assert last.failure.where == ("in_stream" if before == begun else "body")


def test_half_an_error_event_is_a_fault_too_but_does_not_pass() -> None:
    for cut in range(len(START), len(START) + len(OVERLOADED)):
        pieces = play("anthropic", "anthropic", [(START + OVERLOADED)[:cut]])
        assert (pieces[-1].kind, pieces[-1].data) == (PieceKind.FAULT, b"")


# --------------------------------------------------------------------------- usage


def test_usage_is_what_was_said_last_and_odd_counts_are_passed_over() -> None:
    reader = StreamReader()

    def used(fields: object) -> Usage:
        data = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": fields}
        for found in SseReader().feed(event(data)):
            reader.read(found)
        assert reader.stop == "end"
        return reader.usage

    assert used({"input_tokens": 5, "output_tokens": 1}) == Usage(input=5, output=1)
    assert used({"output_tokens": 9, "cache_read_input_tokens": 2}) == Usage(5, 9, 2)
    assert used({"output_tokens": "many"}) == Usage(5, 9, 2)
    assert used(None) == used([]) == used({}) == Usage(5, 9, 2)


def test_a_start_of_another_shape_costs_its_names_and_nothing_else() -> None:
    odd = event({"type": "message_start", "message": {"id": 5, "usage": {"input_tokens": 3}}})
    rest = ANTHROPIC["text"].stream[len(START) :]
    pieces = play("anthropic", "anthropic", [odd + rest])
    assert joined(pieces) == odd + rest
    assert pieces[-1].kind is PieceKind.END


# --------------------------------------------------------------------------- crossing

# What may follow what, by the documented grammar.
FOLLOWS = {
    "": {"message_start"},
    "message_start": {"content_block_start", "message_delta"},
    "content_block_start": {"content_block_delta", "content_block_stop"},
    "content_block_delta": {"content_block_delta", "content_block_stop"},
    "content_block_stop": {"content_block_start", "message_delta"},
    "message_delta": {"message_stop"},
    "message_stop": set(),
}
DELTAS = {
    "text": {"text_delta"},
    "thinking": {"thinking_delta", "signature_delta"},
    "redacted_thinking": set(),
    "tool_use": {"input_json_delta"},
}


def check(stream: bytes) -> None:
    """Hold a written stream against the table; blocks are dense and do not overlap."""
    before, index, kind = "", -1, ""
    for found in SseReader().feed(stream):
        fields = json.loads(found.data)
        type_ = fields["type"]
        assert found.event.decode() == type_
        if type_ == "ping":
            continue
        assert type_ in FOLLOWS[before]
        if type_ == "content_block_start":
            index += 1
            kind = fields["content_block"]["type"]
        elif type_ == "content_block_delta":
            assert fields["delta"]["type"] in DELTAS[kind]
        if type_.startswith("content_block"):
            assert fields["index"] == index
        before = type_
    assert before == "message_stop"


def written(deltas: list[Delta]) -> bytes:
    return b"".join(map(StreamWriter().write, deltas))


@given(streams())
def test_a_stream_that_is_written_keeps_the_grammar_and_is_read_as_the_same(
    deltas: list[Delta],
) -> None:
    stream = written(deltas)
    check(stream)
    said = says(deltas)
    # Refusals are words here; the marks of what others signed stay with it.
    words = [(k.replace("refusal", "text"), v) for k, v in said.blocks]
    back = says(mended(DeltaReader("x"), stream))
    assert [(k, v) for k, v in back.blocks if k != "signature"] == [
        (k, v) for k, v in words if k != "signature"
    ]
    assert (back.stop, back.opened) == (said.stop, said.opened)
    assert back.usage.output == said.usage.output


def test_thoughts_keep_their_signature_and_foreign_ones_are_marked() -> None:
    own = ThinkingDelta(0, "hm", "EqQB", origin="anthropic")
    assert mended(DeltaReader("x"), written([Opened(), own, BlockEnded(0), Stopped()]))[2:4] == [
        ThinkingDelta(0, "hm", origin="anthropic"),
        ThinkingDelta(0, signature="EqQB", origin="anthropic"),
    ]
    foreign = ThinkingDelta(0, "hm", origin="openai")
    stream = written([Opened(), foreign, foreign, BlockEnded(0), Stopped()])
    assert stream.count(b'"signature":"holdfast.openai."') == 1
    hidden = ThinkingDelta(0, data="Emw", origin="anthropic")
    stream = written([Opened(), hidden, BlockEnded(0), Stopped()])
    check(stream)
    assert b'"type":"redacted_thinking","data":"Emw"' in stream


def test_calls_are_read_and_the_providers_own_steps_are_not() -> None:
    found = mended(DeltaReader("x"), ANTHROPIC["tool"].stream)
    assert ToolCallBegun(1, "toolu_01T1x1fJ", "get_weather") in found
    assert ToolArgsDelta(1, '{"location": "San Francisco, CA"}') in found
    found = mended(DeltaReader("x"), ANTHROPIC["web search"].stream)
    assert says(found).blocks == [("text", "I'll check."), ("text", " 22 °C.")]
    given = {"type": "tool_use", "id": "t", "name": "f", "input": {"n": 1}}
    whole = START + b"".join(block(0, given)) + message_delta("tool_use") + MESSAGE_STOP
    assert ToolArgsDelta(0, '{"n":1}') in mended(DeltaReader("x"), whole)


def test_an_id_that_is_too_long_is_fitted() -> None:
    stream = written([Opened(), ToolCallBegun(0, "x|" * 60, "f"), BlockEnded(0), Stopped()])
    start = json.loads(SseReader().feed(stream)[1].data)["content_block"]
    assert len(start["id"]) <= 64
    assert "|" not in start["id"]


def test_a_stop_reason_that_nobody_knows_is_an_end() -> None:
    stream = START + b"".join(text_block(0, "x")) + message_delta("tired") + MESSAGE_STOP
    pieces = play("openai", "anthropic", [stream])
    assert read("openai", joined(pieces))[1] == "stop"
