"""Bytes in, requests out: framing, ambiguity and bounds, without a socket or a clock."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.net.visiting import pieces, post

from holdfast.net.doorman import Doorman, Refusal
from holdfast.net.familiar import Familiar
from holdfast.net.intake import SLICE, Bounds, Intake
from holdfast.net.reply import Request

DOORMAN = Doorman.of("127.0.0.1", 4141)
HOST = b"Host: localhost\r\n"


def intake(**bounds: int) -> Intake:
    limits = Bounds(**bounds)  # type: ignore[arg-type]  # keywords of Bounds
    return Intake(DOORMAN, limits, Familiar())


def read(*parts: bytes, into: Intake | None = None) -> list[Request | Refusal]:
    """All that these bytes come to, as a connection would have it."""
    found = into or intake()
    ready: list[Request | Refusal] = []
    for part in parts:
        left = part
        while left and not found.closed:
            left = found.feed(left)
            ready += found.ready
            found.ready.clear()
    assert found.crash is None
    return ready


def story(things: list[Request | Refusal]) -> list[object]:
    """What can be told apart from outside."""
    return [
        (t.method, t.path, t.query, t.headers, t.body, t.http10, t.keep_alive)
        if isinstance(t, Request)
        else t.status
        for t in things
    ]


def chunked(*chunks: bytes, more: bytes = b"", trailer: bytes = b"") -> bytes:
    """A good chunked POST."""
    head = b"POST /v1/messages HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n" + more
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n" + trailer + b"\r\n"


def get(*lines: bytes, target: bytes = b"/", version: bytes = b"1.1") -> bytes:
    """A GET with these lines behind its Host."""
    head = b"GET " + target + b" HTTP/" + version + b"\r\n" + HOST
    return head + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def posted(*lines: bytes, body: bytes = b"") -> bytes:
    """A POST of JSON with these lines."""
    return post(b"")[: -len(b"Content-Length: 0\r\n\r\n")] + b"".join(
        line + b"\r\n" for line in lines
    ) + b"\r\n" + body  # fmt: skip


# --------------------------------------------------------- what is malformed

MALFORMED: dict[str, tuple[bytes, int]] = {
    "not http": (b"hello\r\n\r\n", 400),
    "nothing but noise": (b"\x00\x01\x02\xff", 400),
    "tls hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "http/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "http/2 by name": (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 400),
    "http/0.9": (b"GET /\r\n\r\n", 400),
    "http/0.9 by name": (b"GET / HTTP/0.9\r\n\r\n", 400),
    "http/1.2": (b"GET / HTTP/1.2\r\n" + HOST + b"\r\n", 400),
    "http in lower case": (b"GET / http/1.1\r\n" + HOST + b"\r\n", 400),
    "method in lower case": (b"get / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "unknown method": (b"BREW / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "connect": (b"CONNECT localhost:443 HTTP/1.1\r\n" + HOST + b"\r\n", 501),
    "trace": (b"TRACE / HTTP/1.1\r\n" + HOST + b"\r\n", 501),
    "rtsp": (b"OPTIONS / RTSP/1.0\r\nCSeq: 1\r\n\r\n", 501),
    "icecast": (b"SOURCE / ICE/1.0\r\n\r\n", 501),
    "space in the target": (b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "blank before the method": (b" GET / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "tab for a space": (b"GET\t/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "bytes behind the version": (b"GET / HTTP/1.1 x\r\n" + HOST + b"\r\n", 400),
    "absolute form": (b"GET http://localhost/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "absolute form of a stranger": (b"GET http://evil.example/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "asterisk form": (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "fragment": (get(target=b"/a#b"), 400),
    "control in the target": (get(target=b"/a\x01b"), 400),
    "nul in the target": (get(target=b"/a\x00b"), 400),
    "raw bytes in the target": (get(target=b"/caf\xc3\xa9"), 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (get(b"Host: localhost"), 400),
    "a stranger's host": (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
    "a stranger's host in http/1.0": (b"GET / HTTP/1.0\r\nHost: evil.example\r\n\r\n", 421),
    "empty host": (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
    "host with a path": (b"GET / HTTP/1.1\r\nHost: localhost/x\r\n\r\n", 400),
    "host with a user": (b"GET / HTTP/1.1\r\nHost: a@localhost\r\n\r\n", 400),
    "bare lf in the request line": (b"GET / HTTP/1.1\n" + HOST + b"\r\n", 400),
    "bare lf in a header": (b"GET / HTTP/1.1\r\nHost: localhost\n\r\n", 400),
    "bare lf in a value": (get(b"X: a\nb: c"), 400),
    "bare cr in a value": (get(b"X: a\rb"), 400),
    "cr at the end alone": (b"GET / HTTP/1.1\r\nHost: localhost\r\r\n\r\n", 400),
    "nul in a value": (get(b"X: a\x00b"), 400),
    "nul in a name": (get(b"X\x00: a"), 400),
    "control in a value": (get(b"X: a\x01b"), 400),
    "delete in a value": (get(b"X: a\x7fb"), 400),
    "obsolete folding": (get(b"X: a", b" b"), 400),
    "folding by a tab": (get(b"X: a", b"\tb"), 400),
    "folding of the first header": (b"GET / HTTP/1.1\r\n Host: localhost\r\n\r\n", 400),
    "blank before the colon": (get(b"X : a"), 400),
    "blank before host's colon": (b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n", 400),
    "blank in a name": (get(b"X Y: a"), 400),
    "no name": (get(b": a"), 400),
    "no colon": (get(b"X"), 400),
    "bytes in a name": (get(b"X\xff: a"), 400),
    "brackets in a name": (get(b"X(): a"), 400),
    "length and coding": (
        posted(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), 400
    ),
    "coding and length": (
        posted(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n"), 400
    ),
    "two lengths": (posted(b"Content-Length: 2", b"Content-Length: 3", body=b"{} "), 400),
    "the same length twice": (posted(b"Content-Length: 2", b"Content-Length: 2", body=b"{}"), 400),
    "a list of lengths": (posted(b"Content-Length: 2, 2", body=b"{}"), 400),
    "a length with a sign": (posted(b"Content-Length: +2", body=b"{}"), 400),
    "a negative length": (posted(b"Content-Length: -2", body=b"{}"), 400),
    "a length in hex": (posted(b"Content-Length: 0x2", body=b"{}"), 400),
    "no length in the length": (posted(b"Content-Length:", body=b"{}"), 400),
    "a length beyond 64 bits": (posted(b"Content-Length: 18446744073709551617", body=b"{}"), 400),
    "a length behind endless zeros": (posted(b"Content-Length: " + b"0" * 5000 + b"2"), 400),
    "two codings": (
        posted(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), 400
    ),
    "two codings, one a lie": (
        posted(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=b"0\r\n\r\n"),
        400,
    ),
    "identity, chunked": (
        posted(b"Transfer-Encoding: identity, chunked", body=b"0\r\n\r\n"), 400
    ),
    "chunked, identity": (posted(b"Transfer-Encoding: chunked, identity"), 400),
    "an unknown coding": (posted(b"Transfer-Encoding: xchunked"), 400),
    "a folded coding": (posted(b"Transfer-Encoding:", b" chunked", body=b"0\r\n\r\n"), 400),
    "a quoted coding": (posted(b'Transfer-Encoding: "chunked"'), 400),
    "a coding behind a control": (posted(b"Transfer-Encoding: \x0bchunked"), 400),
    "a coding with a blank in its name": (posted(b"Transfer-Encoding : chunked"), 400),
    "chunked in http/1.0": (chunked(b"{}").replace(b"HTTP/1.1", b"HTTP/1.0"), 400),
    "a chunk size of no digits": (chunked(b"{}").replace(b"\r\n2\r\n", b"\r\nx\r\n"), 400),
    "a chunk size with a sign": (chunked(b"{}").replace(b"\r\n2\r\n", b"\r\n+2\r\n"), 400),
    "a chunk size with 0x": (chunked(b"{}").replace(b"\r\n2\r\n", b"\r\n0x2\r\n"), 400),
    "a chunk size behind a blank": (chunked(b"{}").replace(b"\r\n2\r\n", b"\r\n 2\r\n"), 400),
    "a chunk size and a blank": (chunked(b"{}").replace(b"\r\n2\r\n", b"\r\n2 \r\n"), 400),
    "a chunk size beyond 64 bits": (
        chunked(b"{}").replace(b"\r\n2\r\n", b"\r\n10000000000000002\r\n"), 400
    ),
    "a chunk size ended by lf": (chunked(b"{}").replace(b"\r\n2\r\n", b"\r\n2\n"), 400),
    "a chunk longer than its size": (chunked(b"{}").replace(b"\r\n2\r\n", b"\r\n1\r\n"), 400),
    "a chunk ended by lf": (chunked(b"{}").replace(b"{}\r\n", b"{}\n"), 400),
    "a chunk extension with lf": (chunked(b"{}").replace(b"\r\n2\r\n", b"\r\n2;a\nb\r\n"), 400),
    "a chunk extension with cr": (chunked(b"{}").replace(b"\r\n2\r\n", b"\r\n2;a\rb\r\n"), 400),
    "a trailer with a nul": (chunked(b"{}", trailer=b"x: \x00\r\n"), 400),
    "an unknown expectation": (posted(b"Content-Length: 2", b"Expect: wonders", body=b"{}"), 417),
    "a form": (post(b"{}").replace(b"application/json", b"text/plain"), 415),
}  # fmt: skip


@pytest.mark.parametrize("case", MALFORMED, ids=str)
def test_what_is_malformed_is_refused_and_nothing_behind_it_read(case: str) -> None:
    """With a smuggled request behind it, and in one piece, by lines, and byte by byte."""
    data, status = MALFORMED[case]
    whole = data + get(target=b"/smuggled")
    for size in (len(whole), 7, 1):
        found = intake()
        things = read(*pieces(whole, size), into=found)
        assert story(things) == [status], size
        refusal = things[0]
        assert isinstance(refusal, Refusal)
        assert refusal.text.startswith("holdfast: ")
        assert found.closed


def test_a_refusal_comes_behind_the_good_requests_before_it() -> None:
    things = read(get(target=b"/1") + post(b"{}", path=b"/2") + b"nonsense\r\n\r\n" + get())
    assert [t.path if isinstance(t, Request) else t.status for t in things] == ["/1", "/2", 400]


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (MALFORMED["tls hello"][0], "http://"),
        (MALFORMED["http/2 preface"][0], "HTTP/2"),
        (MALFORMED["length and coding"][0], "Transfer-Encoding"),
        (MALFORMED["no host"][0], "Host"),
        (MALFORMED["absolute form"][0], "path"),
        (MALFORMED["a form"][0], "application/json"),
        (MALFORMED["connect"][0], "CONNECT"),
    ],
)
def test_the_sentence_says_what_is_wrong(data: bytes, word: str) -> None:
    (refusal,) = read(data)
    assert isinstance(refusal, Refusal)
    assert word in refusal.text


# -------------------------------------------------------- what is good, if odd

GOOD: dict[str, tuple[bytes, list[tuple[str, bytes]]]] = {
    "a get": (get(target=b"/a?b"), [("/a", b"")]),
    "a post": (post(b'{"a":1}'), [("/v1/messages", b'{"a":1}')]),
    "a post without a body": (post(b""), [("/v1/messages", b"")]),
    "chunks": (chunked(b'{"a"', b":", b"1}"), [("/v1/messages", b'{"a":1}')]),
    "no chunks": (chunked(), [("/v1/messages", b"")]),
    "chunk extensions": (
        chunked(b"{}").replace(b"\r\n2\r\n", b'\r\n2;a=b;c="d;e"\r\n'), [("/v1/messages", b"{}")]
    ),
    "a chunk size with zeros": (
        chunked(b"{}").replace(b"\r\n2\r\n", b"\r\n0002\r\n"), [("/v1/messages", b"{}")]
    ),
    "trailers": (
        chunked(b"{}", trailer=b"host: evil.example\r\nx-api-key: theirs\r\n"),
        [("/v1/messages", b"{}")],
    ),
    "blank lines before it": (b"\r\n\r\n" + get(), [("/", b"")]),
    # RFC 9112, 3: a recipient may take any blanks there for one; there is no second reading.
    "two blanks before the target": (b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", [("/", b"")]),
    "an upgrade that is not taken": (
        get(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"),
        [("/", b"")],
    ),
    "a websocket that is not opened": (
        get(b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"),
        [("/", b"")],
    ),
    "an upgrade with a body": (
        post(b'{"a":1}', b"Connection: Upgrade", b"Upgrade: h2c"), [("/v1/messages", b'{"a":1}')]
    ),
    "an upgrade with chunks": (
        chunked(b'{"a"', b":1}", more=b"Connection: Upgrade\r\nUpgrade: h2c\r\n"),
        [("/v1/messages", b'{"a":1}')],
    ),
    "pipelined": (
        get(target=b"/1") + post(b"{}", path=b"/2") + chunked(b"[]") + get(target=b"/4"),
        [("/1", b""), ("/2", b"{}"), ("/v1/messages", b"[]"), ("/4", b"")],
    ),
    "tabs and blanks around values": (
        b"GET / HTTP/1.1\r\nHost:\t localhost \t\r\n\r\n", [("/", b"")]
    ),
    "a body that looks like a request": (
        post(get(target=b"/smuggled")), [("/v1/messages", get(target=b"/smuggled"))]
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", GOOD, ids=str)
def test_any_split_of_what_is_good_gives_the_same_requests(case: str) -> None:
    """Cut once, at every byte; and into pieces of each size."""
    data, expected = GOOD[case]
    whole = read(data)
    assert [(t.path, t.body) for t in whole if isinstance(t, Request)] == expected
    assert len(whole) == len(expected)
    for at in range(len(data)):
        assert story(read(data[:at], data[at:])) == story(whole), at
    for size in range(1, 20):
        assert story(read(*pieces(data, size))) == story(whole), size


@pytest.mark.parametrize("case", [c for c in GOOD if c != "blank lines before it"], ids=str)
def test_what_follows_is_the_next_request(case: str) -> None:
    """No framing leaves a byte behind or takes one too many."""
    data, expected = GOOD[case]
    for next_one in (get(target=b"/next"), post(b'{"n":2}', path=b"/next")):
        things = read(*pieces(data + next_one, 5))
        assert len(things) == len(expected) + 1
        last = things[-1]
        assert isinstance(last, Request)
        assert last.path == "/next"


@given(
    st.lists(st.sampled_from(sorted(GOOD)), min_size=1, max_size=3),
    st.lists(st.integers(0, 600), max_size=8),
)
@settings(max_examples=100)
def test_any_split_of_many(cases: list[str], cuts: list[int]) -> None:
    data = b"".join(GOOD[case][0] for case in cases)
    at = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    parts = [data[a:b] for a, b in pairwise(at)]
    assert story(read(*parts)) == story(read(data))


def test_trailers_are_nobodys_headers() -> None:
    (request,) = read(GOOD["trailers"][0])
    assert isinstance(request, Request)
    assert request.header(b"x-api-key") is None
    assert request.header(b"host") == b"localhost"


def test_nothing_is_read_behind_the_last_request() -> None:
    for last in (get(b"Connection: close"), get(version=b"1.0"), post(b"{}", b"Connection: close")):
        found = intake()
        things = read(last + get(target=b"/late"), into=found)
        assert len(things) == 1
        assert found.closed


def test_http_1_0_stays_where_it_asks_to() -> None:
    things = read(get(b"Connection: keep-alive", version=b"1.0") + get())
    assert [t.keep_alive for t in things if isinstance(t, Request)] == [True, True]


# ------------------------------------------------------------------- bounds


def test_more_headers_than_the_bound_are_too_many() -> None:
    lines = [b"X-%d: y" % n for n in range(99)]
    assert story(read(get(*lines)))[0] != 431
    assert story(read(get(*lines, b"X-99: y"))) == [431]


def test_a_head_beyond_the_bound_is_too_large_wherever_it_grows() -> None:
    """One endless value, an endless target, an endless name, many headers, and one that ends."""
    for data in (
        get(b"X: " + b"y" * 40_000),
        get(target=b"/" + b"y" * 40_000),
        get(b"X" * 40_000 + b": y"),
        b"GET /" + b"y" * 40_000,
        b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 33_000,
        get(*[b"X-%d: " % n + b"y" * 1000 for n in range(40)]),
    ):
        for size in (len(data), 1000):
            assert story(read(*pieces(data, size))) == [431], (data[:20], size)


def test_a_head_at_the_bound_is_taken() -> None:
    assert len(story(read(get(b"X: " + b"y" * 32_000)))) == 1
    assert story(read(get(b"X: " + b"y" * 32_000))) != [431]
    small = get(b"X: " + b"y" * 100)
    assert story(read(small, into=intake(max_header_bytes=200))) != [431]
    assert story(read(get(b"X: " + b"y" * 300), into=intake(max_header_bytes=200))) == [431]


def test_a_long_request_before_it_does_not_count_for_a_head() -> None:
    """What is bounded is one head, not what one connection asks."""
    data = post(b"{" + b" " * 100_000 + b"}") + get(b"X: " + b"y" * 20_000)
    for size in (len(data), 10_000):
        assert [type(t) for t in read(*pieces(data * 3, size))] == [Request] * 6


def test_endless_blank_lines_are_no_request() -> None:
    found = intake()
    assert read(*[b"\r\n" * 1000] * 20, into=found)[-1:] != []
    assert found.closed
    assert not found.named_a_target


def test_endless_framing_without_content_is_refused() -> None:
    """A chunk extension or a trailer that never ends holds no content and no bound of its own."""
    start = chunked(b"{}")
    for endless in (b"2;x=" + b"y" * 50_000, b"0\r\nx: " + b"y" * 50_000):
        data = start.replace(b"2\r\n{}\r\n0\r\n\r\n", endless)
        assert story(read(*pieces(data, 4000))) == [431]


def test_a_body_beyond_the_bound_is_told_at_the_head() -> None:
    """Before a byte of it came: the client need not send it."""
    data = posted(b"Content-Length: 33554433")
    assert story(read(data)) == [413]
    found = intake()
    assert read(posted(b"Content-Length: 33554432"), into=found) == []
    assert found.head is not None


def test_a_chunked_body_beyond_the_bound_is_cut_off_where_it_passes_it() -> None:
    found = intake(max_body=100_000)
    fine = chunked(b"x" * 50_000, b"x" * 50_000)
    assert story(read(fine, into=intake(max_body=100_000)))[0] != 413
    start = fine.removesuffix(b"0\r\n\r\n")
    assert read(start, into=found) == []
    assert story(read(b"1\r\nx", into=found)) == [413]
    assert found.body_bytes == 0  # let go of


def test_the_413_names_the_bound() -> None:
    (refusal,) = read(posted(b"Content-Length: 99999999999"))
    assert isinstance(refusal, Refusal)
    assert "32 MB" in refusal.text
    (refusal,) = read(posted(b"Content-Length: 11"), into=intake(max_body=10))
    assert isinstance(refusal, Refusal)
    assert "10 bytes" in refusal.text


def test_a_large_body_comes_whole() -> None:
    body = bytes(range(256)) * 8192
    (request,) = read(*pieces(post(body), 65_536))
    assert isinstance(request, Request)
    assert request.body == body


def test_what_is_read_at_a_time_is_bounded() -> None:
    """Of ten thousand pipelined requests only a slice's worth is ever waiting as requests."""
    found = intake()
    one = get()
    left = found.feed(one * 10_000)
    assert 0 < len(found.ready) <= SLICE // len(one) + 1
    assert len(left) > 9_000 * len(one)


def test_a_crash_of_our_own_is_kept_and_told_as_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Doorman, "check", broken)
    found = intake()
    found.feed(get() + get())
    assert [getattr(t, "status", 0) for t in found.ready] == [500]
    assert isinstance(found.crash, ZeroDivisionError)
    assert found.closed


# -------------------------------------------------------------------- any bytes

TOKENS = st.sampled_from(
    [
        b"GET / HTTP/1.1\r\n", b"POST /v1/messages HTTP/1.1\r\n", b"GET / HTTP/1.0\r\n", HOST,
        b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"\r\n", b"\n", b"0\r\n\r\n",
        b"5\r\nhello\r\n", b"hello", b"Connection: Upgrade\r\nUpgrade: h2c\r\n", b": ", b"\x00",
        b"Expect: 100-continue\r\n", b"Content-Type: application/json\r\n", b" ",
        b"Content-Type: text/plain\r\n", b"Content-Length: 0\r\n",
        b"Connection: close\r\n",
    ]
)  # fmt: skip
MET = Familiar()
BYTES = st.lists(TOKENS | st.binary(max_size=12), max_size=14)


def hold_anything(parts: list[bytes]) -> None:
    """Any bytes give requests and at most one refusal, the last; the same in any pieces."""
    data = b"".join(parts)
    whole = read(data)
    assert all(isinstance(thing, Request) for thing in whole[:-1])
    for thing in whole:
        if isinstance(thing, Request):
            assert thing.http10 or thing.header(b"host") == b"localhost"
            assert thing.path.startswith("/")
    # A doubtful one may be found out earlier or later, and in other words, but what was served
    # before it is the same.
    for cut in (parts, list(pieces(data, 1)), list(pieces(data, 3))):
        again = read(*cut)
        assert [s for s in story(again) if isinstance(s, tuple)] == [
            s for s in story(whole) if isinstance(s, tuple)
        ]
    # Whoever came before, and whatever of them is remembered.
    for _ in range(2):
        assert story(read(*parts, into=Intake(DOORMAN, Bounds(), MET))) == story(read(*parts))


@given(BYTES)
@example([b"POST / HTTP/1.1\r\n", HOST, b"Connection: Upgrade\r\nUpgrade: h2c\r\n", b"\r\n"])
def test_any_bytes(parts: list[bytes]) -> None:
    hold_anything(parts)


@pytest.mark.long
@settings(settings.get_profile("long"))
@given(BYTES)
def test_any_bytes_at_length(parts: list[bytes]) -> None:
    hold_anything(parts)
