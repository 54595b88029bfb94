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
from holdfast.net.cork import Cork
from holdfast.net.line import Line, Way
from holdfast.net.pipe import Pipe
from holdfast.net.usual import Usual

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


class _Straight(Cork):
    """Without a loop there is nothing to wait for."""

    def write(self, transport: asyncio.WriteTransport, data: bytes) -> None:
        transport.write(data)


class _Home:
    """Writes down what becomes of the connection."""

    where = "example.test:80"

    def __init__(self, usual: Usual | None = None) -> None:
        self.fate = ""
        self.cork = _Straight()
        self.usual = usual or Usual()

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

    def whole(self, status: int, headers: Headers, body: bytes) -> None:
        self.head(status, headers)
        self.body(body)
        self.ended()

    def broke(self, failure: Failure) -> None:
        self.told += [self.data, failure]


def _told(
    answer: bytes, cuts: list[int], *, bodiless: bool, usual: Usual | None = None
) -> tuple[list[object], str]:
    """Feed an answer in pieces, then the connection's end; what was told, and the fate."""
    home, tale, transport = _Home(usual), _Tale(), _Transport()
    pipe = Pipe(home, Way())
    pipe.connection_made(transport)
    line = Line(tale, bodiless=bodiless, keep=True, whole=tale.whole if usual else None)
    pipe.carry(line, b"GET / HTTP/1.1\r\n\r\n", b"")
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


USUAL = (
    b"HTTP/1.1 200 OK\r\nDate: today\r\nContent-Type: application/json\r\nX-Left: 4000\r\n"
    b"Content-Length: 2\r\n\r\n{}"
)


@given(
    st.sampled_from([*ANSWERS, USUAL]),
    st.lists(
        st.tuples(
            st.sampled_from(
                [b"today", b"4000", b"200", b"OK", b"json", b"2", b"Length", b"{}", b"\r\n", b": "]
            ),
            st.binary(max_size=6)
            | st.sampled_from([b"", b" ", b" x", b"x ", b"X-A: b", b"04", b"3"]),
        ),
        max_size=3,
    ),
    st.booleans(),
)
@example(USUAL, [], False)
@example(USUAL, [(b"4000", b"3999")], False)
@example(USUAL, [(b"4000", b" 3999 ")], False)
@example(USUAL, [(b"2\r", b"3\r"), (b"{}", b"[1]")], False)
@example(USUAL, [(b"4000", b"\0")], False)
@settings(max_examples=400)
def test_an_answer_of_a_known_shape_is_told_as_by_the_parser(
    answer: bytes, changes: list[tuple[bytes, bytes]], bodiless: bool
) -> None:
    usual = Usual()
    for known in (USUAL, OK):
        _told(known, [], bodiless=False, usual=usual)
    for was, becomes in changes:
        answer = answer.replace(was, becomes, 1)
    assert _told(answer, [], bodiless=bodiless, usual=usual) == _told(answer, [], bodiless=bodiless)


def test_what_a_provider_says_with_every_answer_is_known_and_comes_in_one_piece() -> None:
    usual = Usual()
    _told(USUAL, [], bodiless=False, usual=usual)
    found = usual.recognise(
        USUAL.replace(b"4000", b"3999").replace(b"2\r\n\r\n{}", b"3\r\n\r\n[1]")
    )
    assert found is not None
    status, headers, body = found
    assert (status, body) == (200, b"[1]")
    assert headers[2:] == ((b"x-left", b"3999"), (b"content-length", b"3"))


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
