"""Answers that come as streams, though they were asked for in one piece."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire import every
from tests.wire.asks import streams
from tests.wire.every import STREAMS, Stream
from tests.wire.heard import Says, mended, says
from tests.wire.recorded import joined, kinds, pieces_of, split

from holdfast.facts.calls import Call
from holdfast.facts.flights import Leg
from holdfast.facts.outcomes import PieceKind
from holdfast.facts.places import Target
from holdfast.wire import speak
from holdfast.wire.deltas import BlockEnded, Delta, Odds, Of, Opened, Stopped, TextDelta
from holdfast.wire.gathering import Gatherer
from holdfast.wire.mend import deltas_of
from holdfast.wire.tap import Tap

SINGLE = [stream for stream in STREAMS if b'"index":1,"delta"' not in stream.bytes]
WHOLE = [PieceKind.CONTENT, PieceKind.END]
THINKS = b'{"thinking":{"type":"adaptive"}}'


def words(said: Says) -> str:
    """Some dialects say a refusal among the words."""
    return said.joined("text") + said.joined("refusal")


def tap(client: str, target: str, surface: str = "") -> Tap:
    here, there = speak.DIALECTS[client], speak.DIALECTS[target]
    call = Call(
        id="x", at=0.0, wall=1e9, dialect=client, surface=surface or here.SURFACE, path="/v1/x",
        model="m", stream=False, body=THINKS,
    )  # fmt: skip
    leg = Leg(target=Target("p", "m", "none"), dialect=target, surface=there.SURFACE)
    return speak.tap(call, leg, 200, ((b"content-type", there.STREAM),))


@given(streams())
def test_what_is_gathered_says_what_was_streamed(deltas: list[Delta]) -> None:
    gatherer = Gatherer()
    assert not any(map(gatherer.write, deltas))
    said, found = says(deltas), says(deltas_of(gatherer.answer()))
    assert found.blocks == said.blocks
    assert found.calls == [(id_, name, args or "{}") for id_, name, args in said.calls]
    assert (found.opened, found.stop, found.usage) == (said.opened, said.stop, said.usage)


def test_every_answer_is_gathered_with_its_odds() -> None:
    gatherer = Gatherer()
    for delta in (
        Opened("i", "m"),
        Odds(b'[{"token":"a"}]'),
        TextDelta(0, "a"),
        Of(1, TextDelta(0, "b")),
        Of(1, BlockEnded(0)),
        Of(1, Stopped("length")),
        Odds(b'[{"token":"c"}]'),
        TextDelta(0, "c"),
        BlockEnded(0),
        Stopped("stop_sequence", "!"),
    ):
        gatherer.write(delta)
    first, second = gatherer.answer().choices
    assert json.loads(first.logprobs) == {"content": [{"token": "a"}, {"token": "c"}]}
    assert (first.stop, first.sequence, second.stop) == ("stop_sequence", "!", "length")
    assert [choice.parts[0].text for choice in (first, second)] == ["ac", "b"]


@pytest.mark.parametrize("recorded", SINGLE, ids=[stream.name for stream in SINGLE])
@pytest.mark.parametrize("client", speak.DIALECTS)
def test_a_stream_that_nobody_asked_for_becomes_a_whole_answer(
    client: str, recorded: Stream
) -> None:
    there = speak.DIALECTS[recorded.dialect]
    said = says(mended(there.delta_reader("m"), recorded.bytes, there.frames()))
    found = tap(client, recorded.dialect)
    pieces = pieces_of(found, [recorded.bytes])
    streamed = pieces_of(every.tap(client, recorded.dialect, body=THINKS), [recorded.bytes])
    if streamed[-1].kind is PieceKind.FAULT:
        assert kinds(pieces) == [PieceKind.FAULT]
        return
    assert kinds(pieces) == WHOLE
    back = says(deltas_of(speak.DIALECTS[client].read_answer(joined(pieces))))
    assert words(back) == words(said)
    assert [call[1:] for call in back.calls] == [call[1:] for call in said.calls]
    assert found.usage == said.usage
    assert found.head == ((b"content-type", b"application/json"),)


@given(st.sampled_from(STREAMS), st.sampled_from(list(speak.DIALECTS)), st.data())
def test_a_cut_is_a_failure_before_the_first_word(
    recorded: Stream, client: str, data: st.DataObject
) -> None:
    """So that the call goes on to another target."""
    cut = data.draw(st.integers(0, len(recorded.bytes)))
    places = data.draw(st.lists(st.integers(0, 10_000), max_size=3))
    pieces = pieces_of(tap(client, recorded.dialect), split(recorded.bytes[:cut], places))
    if kinds(pieces) == WHOLE:
        assert joined(pieces)
        return
    assert kinds(pieces) == [PieceKind.FAULT]
    assert pieces[0].failure is not None
    assert pieces[0].failure.where == "body"
    assert not pieces[0].data


def test_what_its_client_has_no_words_for_is_a_failure() -> None:
    chunk = {
        "id": "i",
        "choices": [
            {"index": index, "delta": {"content": "a"}, "finish_reason": "stop"} for index in (0, 1)
        ],
    }
    said = b"data: %b\n\ndata: [DONE]\n\n" % json.dumps(chunk).encode()
    assert kinds(pieces_of(tap("openai", "openai"), [said])) == WHOLE
    assert kinds(pieces_of(tap("anthropic", "openai"), [said])) == [PieceKind.FAULT]


def test_a_prompt_without_turns_is_answered_in_its_own_form() -> None:
    lines = [
        {"model": "m", "response": "Hi ", "done": False},
        {"model": "m", "response": "you", "done": False},
        {"model": "m", "response": "", "done": True, "done_reason": "stop"},
    ]
    said = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    pieces = pieces_of(tap("ollama", "ollama", "generate"), [said])
    assert json.loads(joined(pieces))["response"] == "Hi you"
