"""Streams of engines: what keeps the grammar passes untouched, what does not is mended."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wire.asks import streams
from tests.wire.every import STREAMS, Stream, tap
from tests.wire.recorded import DONE, OPENAI, joined, kinds, pieces_of, split

from holdfast.facts.outcomes import PieceKind
from holdfast.wire import speak
from holdfast.wire.deltas import Delta
from holdfast.wire.mended import MendedFrames, patched
from holdfast.wire.sse import SseEvent

DIALECTS = list(speak.DIALECTS)
each_stream = pytest.mark.parametrize("stream", STREAMS, ids=[one.name for one in STREAMS])
CUTS = st.lists(st.integers(0, 100_000), max_size=6)


def events_of(dialect: str, stream: bytes) -> list[SseEvent]:
    return speak.DIALECTS[dialect].frames().feed(stream)


def mended(dialect: str, stream: bytes) -> bytes:
    mender = speak.DIALECTS[dialect].event_mender("m", 1)
    return b"".join(e.raw for event in events_of(dialect, stream) for e in mender.mend(event))


@each_stream
@settings(max_examples=25)
@given(cuts=CUTS)
def test_a_stream_of_an_engine_in_its_grammar_passes_byte_for_byte(
    stream: Stream, cuts: list[int]
) -> None:
    pieces = pieces_of(tap(stream.dialect, stream.dialect, local=True), split(stream.bytes, cuts))
    added = DONE if stream.bytes == OPENAI["done is missing"].stream else b""
    assert joined(pieces) == stream.bytes + added
    assert pieces[-1].kind is PieceKind.END


@pytest.mark.parametrize("dialect", DIALECTS)
@given(deltas=streams())
def test_what_we_write_keeps_the_grammar(dialect: str, deltas: list[Delta]) -> None:
    """So the table that mends engines' streams also checks our own."""
    asked = b'{"stream_options":{"include_usage":true}}'
    stream = b"".join(map(speak.DIALECTS[dialect].stream_writer(asked, 0).write, deltas))
    mender = speak.DIALECTS[dialect].event_mender("m", 1)
    for event in events_of(dialect, stream):
        assert mender.mend(event) == (event,)


FAULTY = [one for one in STREAMS if one.dialect != "gemini"]


@given(data=st.data(), stream=st.sampled_from(FAULTY))
def test_what_is_mended_keeps_the_grammar(data: st.DataObject, stream: Stream) -> None:
    """Events left out, said twice, in another order: what comes of it is not mended again."""
    events = events_of(stream.dialect, stream.bytes)
    places = st.lists(st.integers(0, len(events) - 1), max_size=len(events))
    chosen = data.draw(st.permutations(range(len(events))) | places.map(sorted))
    once = mended(stream.dialect, b"".join(events[n].raw for n in chosen))
    assert mended(stream.dialect, once) == once


@each_stream
def test_a_cut_stays_a_cut(stream: Stream) -> None:
    """Whatever is mended, the end is never added: an engine and a cloud end at the same bytes."""
    for cut in range(0, len(stream.bytes), 3):
        part = [stream.bytes[:cut]]
        engine = pieces_of(tap(stream.dialect, stream.dialect, local=True), part)
        cloud = pieces_of(tap(stream.dialect, stream.dialect), part)
        assert kinds(engine)[-1] is kinds(cloud)[-1]


@pytest.mark.parametrize("dialect", DIALECTS)
@given(data=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_bytes_whatever_make_it_raise(dialect: str, data: bytes) -> None:
    mender = speak.DIALECTS[dialect].event_mender("m", 1)
    for dirty in (data, b'{"type":' + data + b"}", b'{"choices":[' + data + b"]}"):
        mender.mend(SseEvent(dirty, b"", dirty))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(data=st.data(), stream=st.sampled_from(STREAMS))
def test_no_field_of_another_type_makes_it_raise(data: st.DataObject, stream: Stream) -> None:
    mender = speak.DIALECTS[stream.dialect].event_mender("m", 1)
    for event in events_of(stream.dialect, stream.bytes):
        try:
            fields = json.loads(event.data)
        except ValueError:
            continue
        name = data.draw(st.sampled_from(sorted(fields)))
        other = json.dumps(fields | {name: data.draw(JSON)}).encode()
        mender.mend(SseEvent(other, event.event, other))


class Twice:
    """A mender that says each event twice, and leaves some out."""

    def mend(self, event: SseEvent) -> tuple[SseEvent, ...]:
        return () if event.data == b"no" else (event, event)


@pytest.mark.parametrize("cut", range(24))
def test_an_event_without_its_blank_line_is_mended_too(cut: int) -> None:
    stream = b"data: a\n\ndata: no\n\ndata: b"
    frames = MendedFrames(speak.DIALECTS["openai"].frames(), Twice())
    found = [*frames.feed(stream[:cut]), *frames.feed(stream[cut:])]
    assert [event.data for event in found] == [b"a", b"a"]
    last = frames.finish()
    assert last is not None
    assert (last.data, last.raw) == (b"b", b"data: b\n\ndata: b\n\n")
    assert frames.finish() is None


def test_other_fields_of_an_object_keep_their_bytes() -> None:
    assert patched(b'{"a": 1e400,"b":2}', b=3) == b'{"a":1e400,"b":3}'


def test_every_pair_of_streams_and_clients_is_told_of_an_end() -> None:
    """The list of streams holds each dialect: what is said of it is said of all."""
    assert {one.dialect for one in STREAMS} == set(DIALECTS)
    for client, stream in itertools.product(DIALECTS, STREAMS):
        last = pieces_of(tap(client, stream.dialect), [stream.bytes])[-1]
        assert last.kind in (PieceKind.END, PieceKind.FAULT)
