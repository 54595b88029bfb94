"""The event-stream reader."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.wire.sse import BOM, SseReader, WireError

STREAMS = [
    b"data: one\n\ndata: two\n\n",
    b"event: a\r\ndata: one\r\n\r\n: comment\r\n\r\ndata: two\r\ndata: three\r\n\r\n",
    b"event: a\rdata: one\r\rdata: two\r\r",
    BOM + "data: grüße ✓\n\ndata: 你好\n\n".encode(),
    b": ping\n\nevent: x\ndata\ndata:y\n\nid: 3\nretry: 5\n\n",
    b"data: mixed\r\n\ndata: ends\n\r\ndata: tail",
]


def read(chunks: list[bytes]) -> tuple[list[tuple[bytes, bytes]], bytes]:
    reader = SseReader()
    events = [event for chunk in chunks for event in reader.feed(chunk)]
    assert b"".join(event.raw for event in events) + reader.tail == b"".join(chunks)
    return [(event.event, event.data) for event in events], reader.tail


def test_fields_are_read_as_the_specification_says() -> None:
    assert read([STREAMS[1] + b"data: x\n\n"])[0] == [
        (b"a", b"one"),
        (b"", b""),
        (b"", b"two\nthree"),
        (b"", b"x"),
    ]
    assert read([STREAMS[3]])[0] == [(b"", "grüße ✓".encode()), (b"", "你好".encode())]
    assert read([STREAMS[4]])[0] == [(b"", b""), (b"x", b"\ny"), (b"", b"")]


@given(st.sampled_from(STREAMS), st.lists(st.integers(0, 90), max_size=12))
def test_any_split_of_the_bytes_gives_the_same_events(stream: bytes, cuts: list[int]) -> None:
    """A lone CR at the very end waits for its LF, so whole streams end in LF here."""
    stream += b"\n\n\n"
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[a:b] for a, b in itertools.pairwise(places)]
    split, _ = read(chunks)
    whole, _ = read([stream])
    assert [event for event in split if event != (b"", b"")] == [
        event for event in whole if event != (b"", b"")
    ]


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_no_bytes_are_lost_whatever_they_are(chunks: list[bytes]) -> None:
    read(chunks)


def test_an_endless_line_is_an_error_and_not_a_full_memory() -> None:
    reader = SseReader()
    reader.feed(b"x" * (8 << 20))
    with pytest.raises(WireError, match="line"):
        reader.feed(b"x")
