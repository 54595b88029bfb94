"""Heads that were read before: known again letter for letter, and never taken for another's."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.net.visiting import post

from holdfast.net.doorman import Doorman, Refusal
from holdfast.net.familiar import HEADS_MAX, Familiar
from holdfast.net.intake import Bounds, Intake
from holdfast.net.reply import Request

DOORMAN = Doorman.of("127.0.0.1", 4141)
GOOD = post(b'{"a":1}')
LONGER = post(b'{"a":12345678}')
BIG = post(b'{"a":"%b"}' % (b"x" * 40_000))  # more than one slice for the parser
PLAIN = GOOD.replace(b"application/json", b"text/plain")
EMPTY = PLAIN.replace(b"Length: 7", b"Length: 0").removesuffix(b'{"a":1}')


class Forgetful(Familiar):
    """Knows nobody: every head is read by the parser."""

    def recognise(self, data: bytes) -> None:
        return None


def told(familiar: Familiar, chunks: list[bytes]) -> list[object]:
    """What a connection that gets these chunks has to answer."""
    intake = Intake(DOORMAN, Bounds(), familiar)
    found: list[object] = []
    for chunk in chunks:
        left = chunk
        while left and not intake.closed:
            left = intake.feed(left)
            for one in intake.ready:
                if isinstance(one, Refusal):
                    found.append((one.status, one.text))
                else:
                    found.append((one.method, one.path, one.query, one.headers, one.body))
                    found.append((one.keep_alive, one.http10, one.header(b"host")))
            intake.ready.clear()
    return found


def known(data: bytes) -> Request | None:
    """What a listener that has met `GOOD` recognises in these bytes."""
    familiar = Familiar()
    told(familiar, [GOOD])
    return familiar.recognise(data)


def test_the_same_head_with_another_length_is_known() -> None:
    request = known(LONGER)
    assert request is not None
    assert request.body == b'{"a":12345678}'
    assert (b"content-length", b"14") in request.headers


def test_a_large_body_that_came_with_its_head_is_known_and_teaches_too() -> None:
    request = known(BIG)
    assert request is not None
    assert len(request.body) == 40_008
    familiar = Familiar()
    told(familiar, [BIG])
    assert familiar.recognise(GOOD) is not None
    assert familiar.recognise(BIG[:-1]) is None


@given(
    st.sampled_from(
        [
            LONGER[:-1],
            LONGER + b"G",
            LONGER + GOOD,
            GOOD.replace(b"Host: ", b"Host:  "),
            GOOD.replace(b"POST /", b"POST /x"),
            GOOD.replace(b"Content-Length: 7", b"Content-Length: 07 "),
            GOOD.replace(b"Content-Length: 7", b"Content-Length: +7"),
            GOOD.replace(b"\r\n\r\n", b"\r\nX: y\r\n\r\n"),
            GOOD.replace(b"\r\n\r\n", b"\r\nContent-Length: 7\r\n\r\n"),
            b"\r\n" + GOOD,
        ]
    )
)
def test_whatever_differs_is_for_the_parser(data: bytes) -> None:
    assert known(data) is None


@given(
    st.lists(
        st.sampled_from(
            [
                GOOD,
                LONGER,
                BIG,
                BIG[:30_000],
                BIG[30_000:],
                GOOD + LONGER,
                GOOD + BIG,
                BIG + GOOD,
                GOOD[:20],
                GOOD[20:],
                LONGER[:-3],
                LONGER[-3:],
                b"\r\n",
                b"PO",
                b"POST / HTTP/1.1\r\nX: ",
                GOOD.replace(b"Host: ", b"X: y\r\nHost: "),
                GOOD.replace(b"Host: ", b"Connection: close\r\nHost: "),
                GOOD.replace(b"Content-Length: 7", b"Transfer-Encoding: chunked"),
                b"7\r\n" + b'{"a":1}' + b"\r\n0\r\n\r\n",
                GOOD.replace(b"Host: localhost", b"Host: evil.example"),
                PLAIN,
                EMPTY,
                post(b""),
                b"GET /-/live HTTP/1.1\r\nHost: localhost\r\n\r\n",
            ]
        ),
        max_size=8,
    )
)
@example([GOOD, b"PO", GOOD])
@example([EMPTY, PLAIN])
@example([GOOD, b"POST / HTTP/1.1\r\nX: ", GOOD])
@example([GOOD, b"\r\n", GOOD])
@settings(max_examples=400)
def test_nothing_is_read_otherwise_than_by_the_parser(chunks: list[bytes]) -> None:
    """Whatever a client sends, in whatever pieces: knowing heads changes no answer."""
    assert told(Familiar(), chunks) == told(Forgetful(), chunks)


def test_one_connection_knows_what_another_taught() -> None:
    familiar = Familiar()
    first = told(familiar, [GOOD])
    assert told(familiar, [GOOD]) == first


def test_it_holds_few_heads() -> None:
    familiar = Familiar()
    for n in range(2 * HEADS_MAX):
        told(familiar, [GOOD.replace(b"Host: ", b"X-N: %d\r\nHost: " % n)])
    assert len(familiar._known) <= HEADS_MAX
