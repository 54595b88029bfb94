"""The stream of OpenAI Chat Completions, as providers, relays and engines speak it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.recorded import (
    DONE,
    HEAD,
    OPENAI,
    ROLE,
    USAGE_ONLY,
    chunk,
    event,
    joined,
    line,
    play,
    read,
    tool_call,
    words,
)

from holdfast.facts.outcomes import PieceKind, Usage
from holdfast.wire.openai_stream import StreamReader, StreamWriter
from holdfast.wire.sse import SseReader

OPENING, PING, CONTENT, END, FAULT = PieceKind


def kinds(*events: bytes) -> list[PieceKind]:
    reader = StreamReader("asked")
    return [reader.read(found) for found in SseReader().feed(b"".join(events))]


def test_each_chunk_is_what_the_flight_takes_it_for() -> None:
    assert kinds(OPENAI["text"].stream) == [OPENING, CONTENT, CONTENT, CONTENT, CONTENT, END]
    assert kinds(OPENAI["azure"].stream)[:3] == [OPENING, OPENING, CONTENT]
    assert kinds(OPENAI["comments of a relay"].stream)[:4] == [PING, PING, OPENING, CONTENT]
    assert kinds(USAGE_ONLY, ROLE) == [OPENING, OPENING]


@pytest.mark.parametrize(
    ("delta", "commits"),
    [
        ({"content": "x"}, True),
        ({"refusal": "x"}, True),
        ({"reasoning_content": "x"}, True),
        ({"reasoning": "x"}, True),
        ({"function_call": {"name": "f", "arguments": ""}}, True),
        ({"audio": {"id": "audio_1"}}, True),
        ({"field_of_tomorrow": 0}, True),
        (tool_call(0, name="f", arguments=""), True),
        ({"role": "assistant"}, False),
        ({"role": "assistant", "content": "", "tool_calls": [], "refusal": None}, False),
        ({}, False),
    ],
)
def test_whatever_a_delta_says_commits(delta: dict[str, object], commits: bool) -> None:
    assert kinds(chunk(delta)) == [CONTENT if commits else OPENING]


# ------------------------------------------------------------------------ endings


@pytest.mark.parametrize("done", [b"data: [DONE]\n\n", b"data:[DONE]\n\n", b"data: [DONE] \n\n"])
def test_done_ends_it_however_it_is_spaced(done: bytes) -> None:
    stream = b"".join(words("Hi")) + chunk({}, "stop") + done
    pieces = play("openai", "openai", [stream])
    assert (pieces[-1].kind, joined(pieces)) == (END, stream)


def test_done_without_its_blank_line_ends_it() -> None:
    for done in (b"data: [DONE]", b"data: [DONE]\n"):
        for client in ("openai", "anthropic"):
            pieces = play(client, "openai", [b"".join(words("Hi")), done])
            assert pieces[-1].kind is END


def test_a_finish_reason_without_done_is_whole() -> None:
    pieces = play("openai", "openai", [b"".join(words("Hi")) + chunk({}, "stop")])
    assert (pieces[-1].kind, pieces[-1].data) == (END, DONE)


def test_of_several_choices_each_must_be_finished() -> None:
    begun = words("Heads")[0] + chunk({"content": "Tails"}, index=1)
    for finished, kind in ((b"", FAULT), (chunk({}, "stop", index=1), END)):
        stream = begun + chunk({}, "stop") + finished
        assert play("openai", "openai", [stream])[-1].kind is kind


# --------------------------------------------------------------------------- errors

CUT_OFF = {"code": "server_error", "message": "Provider disconnected unexpectedly"}
ERRORS = [
    # OpenAI's own, with and without the name of the event.
    (line({"error": {"type": "server_error", "code": None, "message": "busy"}}), "busy"),
    (b'event: error\ndata: {"type":"error","message":"busy"}\n\n', "busy"),
    # A relay's: a chunk that is an error, too.
    (chunk({"content": ""}, "error", error=CUT_OFF), "Provider disconnected unexpectedly"),
    # Engines'.
    (line({"error": "model runner has unexpectedly stopped"}), "model runner has unexpectedly"),
    (line({"object": "error", "message": "no", "type": "BadRequest", "code": 400}), "no"),
    (line({"error": {"code": 500, "message": "slot gone", "type": "x"}}), "slot gone"),
    # The other dialect's, from a relay that lost its way.
    (event({"type": "error", "error": {"type": "overloaded_error", "message": "No"}}), "No"),
]


@pytest.mark.parametrize(("error", "message"), ERRORS)
def test_an_error_in_the_stream_keeps_its_bytes_and_its_words(error: bytes, message: str) -> None:
    begun = ROLE + words("Hel")[0]
    for before in (b"", ROLE, begun):
        for client in ("openai", "anthropic"):
            pieces = play(client, "openai", [before + error + DONE])
            last = pieces[-1]
            assert last.kind is FAULT
            assert last.data == (error if client == "openai" else b"")
            assert last.failure is not None
            assert last.failure.kind == "error_event"
            assert last.failure.said.message.startswith(message)
            assert last.failure.where == ("in_stream" if before == begun else "body")


@pytest.mark.parametrize("none", [None, "", {}, []])
def test_an_empty_error_field_is_none(none: object) -> None:
    stream = chunk({"content": "Hi"}, error=none) + chunk({}, "stop", error=none) + DONE
    assert play("openai", "openai", [stream])[-1].kind is END


# ---------------------------------------------------------------------------- usage


def used(usage: object) -> Usage:
    reader = StreamReader("m")
    for found in SseReader().feed(line({**HEAD, "choices": [], "usage": usage})):
        assert reader.read(found) is OPENING
    return reader.usage


def test_cached_tokens_are_counted_beside_the_input() -> None:
    counts = {"prompt_tokens": 10, "completion_tokens": 5}
    assert used(counts) == Usage(input=10, output=5)
    details = {"prompt_tokens_details": {"cached_tokens": 4}}
    assert used(counts | details) == Usage(input=6, output=5, cache_read=4)
    too_many = {"prompt_tokens_details": {"cached_tokens": 40}}
    assert used(counts | too_many) == Usage(input=0, output=5, cache_read=40)


@pytest.mark.parametrize("usage", [None, [], {}, "5", 5, {"prompt_tokens": "5"}, [None]])
def test_odd_usage_is_passed_over(usage: object) -> None:
    assert used(usage) == Usage()


# -------------------------------------------------------------------------- writing


@given(
    st.lists(st.text(max_size=20), max_size=6),
    st.sampled_from(["end", "length", "refusal"]),
    st.builds(Usage, *[st.integers(0, 10**6)] * 3),
)
def test_what_is_written_is_read_as_the_same(texts: list[str], stop: str, usage: Usage) -> None:
    writer = StreamWriter(7, usage_asked=True)
    stream = writer.opening("id-1", "m") + writer.ping() + b"".join(map(writer.text, texts))
    stream += writer.end(stop, usage)
    reader, said = StreamReader("x"), ""
    for found in SseReader().feed(stream):
        kind = reader.read(found)
        assert kind is not FAULT
        said += (reader.text(found) or "") if kind is CONTENT else ""
    assert (said, reader.stop, reader.id, reader.model) == ("".join(texts), stop, "id-1", "m")
    assert reader.usage == usage
    assert read("openai", stream)[0] == said
    chunks = [json.loads(found.data) for found in SseReader().feed(stream)[:-1]]
    assert {found["created"] for found in chunks} == {7}
    assert {found["object"] for found in chunks} == {"chat.completion.chunk"}


def test_an_answer_without_a_name_gets_one() -> None:
    stream = line({"choices": [{"index": 0, "delta": {"content": "Hi"}}]}) + DONE
    start = json.loads(SseReader().feed(joined(play("anthropic", "openai", [stream])))[0].data)
    assert start["message"]["id"].startswith("msg_")
    assert start["message"]["model"] == "m"


@pytest.mark.parametrize(
    "beside", [b"", b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n']
)
def test_a_line_end_within_json_is_no_content(beside: bytes) -> None:
    """To a decoder it is white space, to a reader of events the end of one: garbage either way."""
    reader = StreamReader("m")
    first = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"x"}}]}\n\n'
    for said in SseReader().feed(first):
        reader.read(said)
    assert reader.flows(first)
    assert not reader.flows(
        beside + b'data: {"choices":[{"index":\n0,"delta":{"content":"b"}}]}\n\n'
    )
