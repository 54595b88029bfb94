"""Compressed answers, which nobody asked for: unpacked within bounds."""

from __future__ import annotations

import gzip
import itertools
import time
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.recorded import (
    ANTHROPIC,
    JSON,
    OPENAI,
    OTHER,
    SSE,
    Recorded,
    call,
    joined,
    leg,
    pieces_of,
    read,
    split,
)

from holdfast.facts.calls import Headers
from holdfast.facts.outcomes import Piece, PieceKind
from holdfast.wire import packed, speak

STREAMS = [ANTHROPIC["tool"], OPENAI["text"]]
PACKERS = {b"gzip": gzip.compress, b"x-gzip": gzip.compress, b"deflate": zlib.compress}


def encoded(encoding: bytes, headers: Headers = SSE) -> Headers:
    return (*headers, (b"content-encoding", encoding), (b"request-id", b"req_1"))


def kind(pieces: list[Piece]) -> str:
    assert pieces[-1].kind is PieceKind.FAULT
    assert pieces[-1].failure is not None
    return pieces[-1].failure.kind


@pytest.mark.parametrize("encoding", PACKERS)
@pytest.mark.parametrize("recorded", STREAMS)
@given(cuts=st.lists(st.integers(0, 100_000), max_size=8))
def test_a_compressed_stream_is_unpacked_and_its_head_says_so(
    encoding: bytes, recorded: Recorded, cuts: list[int]
) -> None:
    tap = speak.tap(call(recorded.dialect), leg(recorded.dialect), 200, encoded(encoding))
    pieces = pieces_of(tap, split(PACKERS[encoding](recorded.stream), cuts))
    assert joined(pieces) == recorded.stream
    assert pieces[-1].kind is PieceKind.END
    assert tap.usage == recorded.usage
    assert tap.head == (*SSE, (b"request-id", b"req_1"))


def test_a_compressed_stream_crosses() -> None:
    recorded = OPENAI["text"]
    tap = speak.tap(call(OTHER["openai"]), leg("openai"), 200, encoded(b"GZip"))
    pieces = pieces_of(tap, [gzip.compress(recorded.stream)])
    assert read("anthropic", joined(pieces))[0] == recorded.text
    assert tap.head is not None
    assert [name for name, _ in tap.head] == [b"request-id", b"content-type"]


def test_several_members_are_one_stream() -> None:
    stream = OPENAI["text"].stream
    members = gzip.compress(stream[:70]) + gzip.compress(b"") + gzip.compress(stream[70:])
    for size in (1, 13, len(members)):
        tap = speak.tap(call("openai"), leg("openai"), 200, encoded(b"gzip"))
        parts = [members[at : at + size] for at in range(0, len(members), size)]
        assert joined(pieces_of(tap, parts)) == stream


@pytest.mark.parametrize("recorded", STREAMS)
def test_a_compressed_stream_that_is_cut_is_truncated(recorded: Recorded) -> None:
    compressor = zlib.compressobj(wbits=31)
    flushed = [
        compressor.compress(recorded.stream[at : at + 50]) + compressor.flush(zlib.Z_SYNC_FLUSH)
        for at in range(0, recorded.whole_from, 50)
    ]
    for count in range(1, len(flushed)):
        tap = speak.tap(call(recorded.dialect), leg(recorded.dialect), 200, encoded(b"gzip"))
        assert kind(pieces_of(tap, flushed[:count])) == "truncated"


def test_a_compressed_body_that_is_cut_is_truncated_whatever_it_holds() -> None:
    lines = gzip.compress(b'{"custom_id":"1"}\n' * 9)
    for surface in ("batches", "models", "chat"):
        asked = call("openai", stream=False, surface=surface)
        tap = speak.tap(asked, leg("openai"), 200, encoded(b"gzip", JSON))
        assert kind(pieces_of(tap, [lines[:-9]])) == "truncated"


def test_an_error_that_came_compressed_is_passed_on_plain() -> None:
    """Its head must not say that the plain bytes are packed."""
    body = b'{"error":{"message":"no"}}'
    tap = speak.tap(call("openai"), leg("openai"), 500, encoded(b"gzip", JSON))
    failure = pieces_of(tap, [gzip.compress(body)])[-1].failure
    assert failure is not None
    assert failure.body == body
    assert failure.headers == (*JSON, (b"request-id", b"req_1"))


@pytest.mark.parametrize("stream", [True, False])
def test_a_bomb_is_a_fault_before_it_fills_the_memory(stream: bool) -> None:
    headers = encoded(b"gzip", SSE if stream else JSON)
    bomb = gzip.compress(b" " * (64 << 20))
    for size in (len(bomb), 1000):
        tap = speak.tap(call("openai", stream=stream), leg("openai"), 200, headers)
        fed = 0
        pieces: list[Piece] = []
        for at in range(0, len(bomb), size):
            fed += size
            pieces = tap.feed(bomb[at : at + size])
            if pieces:
                break
        assert kind(pieces) == "too_large"
        assert tap.feed(bomb) == tap.close() == []


def test_a_bomb_in_crumbs_is_a_fault_in_no_time() -> None:
    """Each member costs an unpacker; a megabyte of the smallest would be fifty thousand."""
    crumbs = gzip.compress(b"") * 50_000
    tap = speak.tap(call("openai"), leg("openai"), 200, encoded(b"gzip"))
    began = time.process_time()
    assert kind(tap.feed(crumbs)) == "garbage"
    assert time.process_time() - began < 1.0
    assert packed.MEMBERS_MAX < 1000


def test_bytes_that_are_not_packed_at_all_are_garbage() -> None:
    tap = speak.tap(call("openai"), leg("openai"), 200, encoded(b"gzip"))
    assert kind(tap.feed(OPENAI["text"].stream)) == "garbage"
    assert tap.close() == []


@pytest.mark.parametrize("encoding", [b"br", b"zstd", b"gzip, br", b"x" * 10_000, b"\xff"])
def test_other_encodings_are_told_apart_as_a_breach_of_protocol(encoding: bytes) -> None:
    tap = speak.tap(call("openai"), leg("openai"), 200, encoded(encoding))
    pieces = tap.feed(b"?")
    assert kind(pieces) == kind(tap.close()) == "protocol"
    assert pieces[0].failure is not None
    assert len(pieces[0].failure.text) < 100


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_no_bytes_whatever_make_it_raise(chunks: list[bytes]) -> None:
    good = gzip.compress(OPENAI["text"].stream)
    for lead in (b"", good[:20], good):
        tap = speak.tap(call("openai"), leg("openai"), 200, encoded(b"gzip"))
        pieces = pieces_of(tap, list(itertools.chain([lead], chunks)))
        assert pieces[-1].kind >= PieceKind.END
