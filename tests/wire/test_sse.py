"""The event-stream reader: any bytes in any parts, none of them lost, none looked at too often."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.wire.sse import BOM, EVENT_BYTES_MAX, LINE_BYTES_MAX, SseReader, WireError, fields

STREAMS = [
    b"data: one\n\ndata: two\n\n",
    b"event: a\r\ndata: one\r\n\r\n: comment\r\n\r\ndata: two\r\ndata: three\r\n\r\n",
    b"event: a\rdata: one\r\rdata: two\r\r",
    BOM + "data: grüße ✓\n\ndata: 你好\n\n".encode(),
    b": ping\n\nevent: x\ndata\ndata:y\n\nid: 3\nretry: 5\n\n",
    b"data: mixed\r\n\ndata: ends\n\r\ndata: tail",
    b"\n\n\n\ndata: behind nothing\n\n\n",
    b"data: lf\n\ndata: lf\n\ndata: then crlf\r\n\r\ndata: and lf\n\n",
]
Event = tuple[bytes, bytes]


def read(chunks: list[bytes]) -> tuple[list[Event], bytes]:
    reader = SseReader()
    events = [event for chunk in chunks for event in reader.feed(chunk)]
    assert b"".join(event.raw for event in events) + reader.tail == b"".join(chunks)
    return [(event.event, event.data) for event in events], reader.tail


def slowly(stream: bytes) -> list[Event]:
    """The specification, word for word, one line after the other; for whole streams."""
    text = stream.removeprefix(BOM).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    found: list[Event] = []
    name, data = b"", []
    for line in text.split(b"\n")[:-1]:
        if not line:
            if data:
                found.append((name, b"\n".join(data)))
            name, data = b"", []
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.strip()
    return found


def split(stream: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[a:b] for a, b in itertools.pairwise(places)]


CUTS = st.lists(st.integers(0, 1000), max_size=12)
LINES = st.lists(
    st.sampled_from(
        b"data: x|data:|data|data:  y|event: e|event:e |:|: c||id: 1|dat|data : no|  data: no|"
        b"data: \xc3\xbc\xff\x00|datax: no".split(b"|")
    ),
    max_size=12,
)


def test_fields_are_read_as_the_specification_says() -> None:
    assert read([STREAMS[1] + b"data: x\n\n"])[0] == [
        (b"a", b"one"),
        (b"", b""),
        (b"", b"two\nthree"),
        (b"", b"x"),
    ]
    assert read([STREAMS[3]])[0] == [(b"", "grüße ✓".encode()), (b"", "你好".encode())]
    assert read([STREAMS[4]])[0] == [(b"", b""), (b"x", b"\ny"), (b"", b"")]


@given(st.sampled_from(STREAMS), CUTS)
def test_any_split_of_the_bytes_gives_the_same_events(stream: bytes, cuts: list[int]) -> None:
    """A lone CR at the very end waits for its LF, so whole streams end in LF here."""
    stream += b"\n\n\n"
    events, _ = read(split(stream, cuts))
    assert [event for event in events if event[1]] == slowly(stream)


@given(LINES, st.sampled_from([b"\n", b"\r\n", b"\r"]), CUTS, st.booleans())
def test_any_lines_are_read_as_the_specification_says(
    lines: list[bytes], end: bytes, cuts: list[int], bom: bool
) -> None:
    stream = (BOM if bom else b"") + end.join(lines) + end + end + b"\n"
    events, _ = read(split(stream, cuts))
    # An event of empty data says nothing and is told as one that has none.
    assert [e for e in events if e[1]] == [e for e in slowly(stream) if e[1]]


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_no_bytes_are_lost_whatever_they_are(chunks: list[bytes]) -> None:
    read(chunks)


@given(st.sampled_from(STREAMS[:1] + STREAMS[3:5] + STREAMS[6:]), CUTS, CUTS)
def test_events_that_were_dealt_with_ahead_are_as_if_they_had_been_read(
    stream: bytes, cuts: list[int], skipped: list[int]
) -> None:
    """Some parts are read, of others the whole events are taken in one piece."""
    reader = SseReader()
    out: list[bytes] = []
    found: list[Event] = []
    for number, chunk in enumerate(split(stream * 2, cuts)):
        before = reader.tail
        block = reader.ahead(chunk)
        assert reader.tail == before
        if block and number in skipped:
            assert block.endswith(b"\n\n")
            if block is not chunk:
                reader.passed(block, chunk)
            out.append(block)
            found += slowly(block)
            continue
        events = reader.feed(chunk)
        out += [event.raw for event in events]
        found += [(event.event, event.data) for event in events if event.data]
    assert b"".join(out) + reader.tail == stream * 2
    whole, _ = read([stream * 2])
    if not stream.startswith(BOM):
        assert found == [event for event in whole if event[1]]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_an_event_is_told_with_its_last_byte(end: bytes) -> None:
    """Nobody waits for the next one to come."""
    reader = SseReader()
    for _ in range(3):
        assert len(reader.feed(b"data: x" + end + end)) == 1
        assert reader.tail == b""


def test_what_is_not_only_lf_is_never_taken_ahead() -> None:
    reader = SseReader()
    assert reader.ahead(b"data: x\n\n") == b""  # a BOM may still come
    reader.feed(b"data: x\n\n")
    assert reader.ahead(b"data: x\n\n") == b"data: x\n\n"
    assert reader.ahead(b"data: x\n\ndata: y") == b"data: x\n\n"
    assert reader.ahead(b"data: x") == b""
    assert reader.ahead(b"data: x\r\n\r\n") == b""
    reader.feed(b"data: x\r\n\r\n")
    assert reader.ahead(b"data: x\n\n") == b""


@pytest.mark.parametrize(
    ("tail", "event"),
    [
        (b"", None),
        (b"\n", None),
        (b"data: x", (b"", b"x")),
        (b"data: x\n", (b"", b"x")),
        (b"event: e\r\ndata: x\r", (b"e", b"x")),
        (b"event: e\nda", None),
        (b": comment", None),
    ],
)
def test_a_stream_may_end_in_an_event_without_its_blank_line(
    tail: bytes, event: Event | None
) -> None:
    for before in ([], [b"data: 1\n\n"]):
        reader = SseReader()
        for chunk in [*before, tail]:
            reader.feed(chunk)
        last = reader.finish()
        assert (None if last is None else (last.event, last.data)) == event
        assert last is None or last.raw.startswith(tail)


@pytest.mark.parametrize("end", [b"\n", b"\r"])
def test_endless_lines_and_events_are_errors_and_not_a_full_memory(end: bytes) -> None:
    reader = SseReader()
    reader.feed(b"x" * LINE_BYTES_MAX)
    with pytest.raises(WireError, match="line"):
        reader.feed(b"x")
    reader = SseReader()
    for _ in range(EVENT_BYTES_MAX // (1 << 20)):
        assert reader.feed(b"data: " + b"x" * ((1 << 20) - 7) + end) == []
    with pytest.raises(WireError, match="event"):
        reader.feed(b"data: x" + end)
    assert len(reader.tail) < EVENT_BYTES_MAX + 100


def test_a_large_event_in_small_parts_costs_its_size_and_not_its_square() -> None:
    """4 MB in parts of 1 kB would be 8 GB to look at, twice."""
    for end in (b"\n", b"\r\n"):
        reader = SseReader()
        began = time.process_time()
        reader.feed(b"data: " + end[:0])
        for _ in range(4096):
            assert reader.feed(b"x" * 1024) == []
        assert len(reader.feed(end + end + b":")) == 1
        assert time.process_time() - began < 2.0


@pytest.mark.parametrize("bit", [b"\n", b"\r\n", b"\r", b"\n\n", b"data:\n", b":\r", b"x\n"])
def test_a_hostile_stream_takes_no_time(bit: bytes) -> None:
    for size in (1 << 10, 1 << 18):
        stream = bit * ((1 << 18) // len(bit))
        began = time.process_time()
        reader = SseReader()
        for at in range(0, len(stream), size):
            reader.feed(stream[at : at + size])
        assert time.process_time() - began < 5.0


def test_fields_take_the_formats_line_ends_and_no_others() -> None:
    separators = "data: a\u2028b\u0085c\x0bd\x0ce\x1cf\n\n".encode()
    assert fields(separators) == (b"", separators[6:-2])
