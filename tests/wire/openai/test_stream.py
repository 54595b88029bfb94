"""The stream of OpenAI Chat Completions, as providers, relays and engines speak it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from tests.wire.asks import streams
from tests.wire.heard import mended, says
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
    tool_call,
    words,
)

from holdfast.facts.outcomes import PieceKind, Usage
from holdfast.wire.deltas import Delta, Of, Opened, Stopped, TextDelta
from holdfast.wire.openai.stream import DeltaReader, StreamReader, StreamWriter
from holdfast.wire.speech import CITED, STRANGE
from holdfast.wire.sse import SseReader

OPENING, PING, THINKING, CONTENT, END, FAULT = PieceKind


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


def test_an_answer_in_pieces_crosses_with_its_thoughts() -> None:
    """So Mistral's models that reason stream: lists while they think, and at times behind it."""
    stream = (
        chunk({"role": "assistant", "content": ""})
        + chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "h"}]}]})
        + chunk({"content": [{"type": "thinking", "thinking": "m"}]})
        + chunk({"content": [{"type": "text", "text": "He"}, {"type": "reference", "of": [1]}]})
        + chunk({"content": "llo"})
        + chunk({"content": [{"type": "of_tomorrow"}]}, "stop")
    )
    reader = DeltaReader("m")
    said = says(mended(reader, stream + DONE))
    assert said.blocks == [("thinking", "hm"), ("text", "Hello")]
    assert said.stop == "end"
    assert reader.lost == (CITED, STRANGE)
    assert kinds(stream)[1] is CONTENT


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


# ------------------------------------------------------------------------- crossing


def check(stream: bytes) -> None:
    """Chunks of one head; a role, words, calls with dense numbers, one finish, `[DONE]`."""
    events = [found.data for found in SseReader().feed(stream)]
    assert events[-1] == b"[DONE]"
    chunks = [json.loads(data) for data in events[:-1]]
    assert {found["object"] for found in chunks} == {"chat.completion.chunk"}
    assert len({(found["id"], found["model"], found["created"]) for found in chunks}) == 1
    spoken = [found["choices"][0] for found in chunks if found["choices"]]
    assert spoken[0]["delta"] == {"role": "assistant", "content": ""}
    finishes = [choice["finish_reason"] for choice in spoken]
    assert finishes[-1] is not None
    assert not any(finishes[:-1])
    assert spoken[-1]["delta"] == {}
    number = -1
    for choice in spoken[1:-1]:
        for call in choice["delta"].get("tool_calls", ()):
            if "id" in call:
                number += 1
                assert (call["type"], call["function"]["arguments"]) == ("function", "")
            assert call["index"] == number


def written(deltas: list[Delta]) -> bytes:
    return b"".join(map(StreamWriter(7, usage_asked=True).write, deltas))


@given(streams())
def test_a_stream_that_is_written_keeps_the_grammar_and_is_read_as_the_same(
    deltas: list[Delta],
) -> None:
    stream = written(deltas)
    check(stream)
    said, back = says(deltas), says(mended(DeltaReader("x"), stream))
    for kind in ("text", "refusal", "thinking"):  # blocks of a kind are one here
        assert back.joined(kind) == said.joined(kind)
    assert back.calls == said.calls
    assert back.stop == ("end" if said.stop == "stop_sequence" else said.stop)
    assert (back.opened, back.usage) == (said.opened, said.usage)


PARALLEL = [
    tool_call(0, name="f", arguments=""),
    tool_call(1, name="g", arguments='{"b'),
    tool_call(0, arguments='{"a":'),
    tool_call(1, arguments='":2}'),
    tool_call(0, arguments="1}"),
]


def test_calls_whose_pieces_are_mixed_are_put_in_order() -> None:
    stream = b"".join(map(chunk, PARALLEL)) + chunk({}, "tool_calls") + DONE
    assert says(mended(DeltaReader("x"), ROLE + stream)).calls == [
        ("call_0", "f", '{"a":1}'),
        ("call_1", "g", '{"b":2}'),
    ]


def engine_call(id_: str | None, arguments: str) -> bytes:
    function = {"name": "f", "arguments": arguments}
    return chunk({"tool_calls": [{"index": 0, "id": id_, "function": function}]})


def test_engines_that_number_no_calls_are_understood() -> None:
    """Every call whole, under the same number; the finish reason says stop."""
    stream = engine_call("a", '{"n":1}') + engine_call("b", "{}") + chunk({}, "stop") + DONE
    found = says(mended(DeltaReader("x"), stream))
    assert found.calls == [("a", "f", '{"n":1}'), ("b", "f", "{}")]
    assert found.stop == "tool_calls"
    nameless = engine_call(None, "") + chunk({}, "stop") + DONE
    ((id_, name, arguments),) = says(mended(DeltaReader("x"), nameless)).calls
    assert (id_[:5], name, arguments) == ("call_", "f", "{}")


def test_an_opening_without_a_name_is_none() -> None:
    opened = mended(DeltaReader("x"), OPENAI["azure"].stream)[0]
    assert opened == Opened(HEAD["id"], HEAD["model"])


def test_each_choice_is_read_by_itself() -> None:
    reader, found = DeltaReader("x"), []
    for one in SseReader().feed(OPENAI["two choices"].stream):
        found += reader.read(one)
    assert [one for one in found if isinstance(one, Of)] == [
        Of(1, TextDelta(0, "Tails")),
        Of(1, Stopped("end")),
    ]
    assert isinstance(found[-1], Stopped)


def test_a_choice_without_its_reason_is_a_cut() -> None:
    reader = DeltaReader("x")
    parts = [*words("a"), chunk({"content": "b"}, index=1), chunk({}, "stop")]
    for one in SseReader().feed(b"".join(parts)):
        reader.read(one)
    assert reader.close() == ()


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
