"""One connection, fed by hand: however an answer's bytes are split, the callbacks are the same."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.net.test_dial import CHUNKED, MALFORMED, OK

from holdfast.facts.calls import Headers
from holdfast.facts.outcomes import Failure
from holdfast.net.line import Line, Way
from holdfast.net.pipe import Pipe

ANSWERS = [
    OK,
    CHUNKED,
    b"HTTP/1.1 100 Continue\r\n\r\n" + CHUNKED,
    b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + OK,
    b"HTTP/1.1 204 No\r\nX-Y: z \r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
    b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
    OK[:-1],
    CHUNKED[:-3],
    OK + OK,
    OK + b"garbage",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nzz\r\n",
    *(data for name, data in MALFORMED.items() if len(data) < 300),
]


class _Transport(asyncio.Transport):
    """A connection with nobody at its other end."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Goes nowhere."""

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True


class _Home:
    """Writes down what becomes of the connection."""

    where = "example.test:80"

    def __init__(self) -> None:
        self.fate = ""

    def back(self, pipe: Pipe) -> None:
        self.fate = "kept"

    def lost(self, pipe: Pipe) -> None:
        self.fate = "closed"


class _Tale:
    """Everything a sink was told, pieces of body joined."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.data = b""

    def sent(self, reused: bool) -> None:
        self.told.append("sent")

    def head(self, status: int, headers: Headers) -> None:
        self.told.append((status, headers))

    def body(self, data: bytes) -> None:
        self.data += data

    def ended(self) -> None:
        self.told += [self.data, "ended"]

    def broke(self, failure: Failure) -> None:
        self.told += [self.data, failure]


def _told(answer: bytes, cuts: list[int], *, bodiless: bool) -> tuple[list[object], str]:
    """Feed an answer in pieces, then the connection's end; what was told, and the fate."""
    home, tale, transport = _Home(), _Tale(), _Transport()
    pipe = Pipe(home, Way())
    pipe.connection_made(transport)
    pipe.carry(Line(tale, bodiless=bodiless, keep=True), b"GET / HTTP/1.1\r\n\r\n", b"")
    edges = sorted({0, len(answer), *(cut for cut in cuts if cut < len(answer))})
    for start, stop in pairwise(edges):
        if not transport.closed:
            pipe.data_received(answer[start:stop])
    fate = home.fate
    if not transport.closed:
        pipe.eof_received()
    pipe.connection_lost(None)
    return tale.told, fate


@given(st.sampled_from(ANSWERS), st.lists(st.integers(0, 200), max_size=12), st.booleans())
@example(CHUNKED, list(range(200)), False)
@example(OK, list(range(200)), True)
@settings(max_examples=200)
def test_any_split_of_an_answer_is_told_the_same(
    answer: bytes, cuts: list[int], bodiless: bool
) -> None:
    told, fate = _told(answer, cuts, bodiless=bodiless)
    assert (told, fate) == _told(answer, [], bodiless=bodiless)
    ends = [item for item in told if item == "ended" or isinstance(item, Failure)]
    assert len(ends) == 1
    assert told[-1] == ends[0]
    assert told[0] == "sent"


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=5), st.booleans())
@settings(max_examples=200)
def test_any_bytes_end_in_exactly_one_way(noise: bytes, cuts: list[int], start: bool) -> None:
    """Whatever an upstream says, the asking ends once, and a broken connection is not kept."""
    told, fate = _told((b"HTTP/1.1 200 OK\r\n" if start else b"") + noise, cuts, bodiless=False)
    assert sum(item == "ended" or isinstance(item, Failure) for item in told) == 1
    assert isinstance(told[-1], Failure) or told[-1] == "ended"
    if isinstance(told[-1], Failure):
        assert fate in ("closed", "")


@pytest.mark.parametrize("answer", [OK, CHUNKED])
def test_a_whole_answer_gives_its_connection_back(answer: bytes) -> None:
    assert _told(answer, [], bodiless=False)[1] == "kept"
