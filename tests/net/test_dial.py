"""The dialler against real loopback sockets: what is sent, what comes back, what is kept."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.net.asking import LOOPS, Flight, Note, ask, begin, eventually, on_loop
from tests.net.script_server import (
    ScriptServer,
    closed_port,
    deaf_until_gone,
    finish,
    read,
    read_head,
    reset,
    send,
    send_each,
    tell,
    until_gone,
    wait,
)

from holdfast.net import pipe
from holdfast.net.dial import Dialer, Origin, request_head
from holdfast.wire.headers import to_client

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: 1\r\nX-A: 2\r\n\r\nhi"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;why=not\r\nhel\r\n2\r\nlo\r\n0\r\nX-Trailer: 1\r\n\r\n"
)
HEAD_ONLY = CHUNKED[: CHUNKED.index(b"\r\n\r\n") + 4]
Run = Callable[..., None]


@pytest.fixture(params=sorted(LOOPS))
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a test's coroutine with a dialler, on each of the loops a user may have."""

    def run(flight: Flight, **settings: object) -> None:
        on_loop(request.param, flight, **settings)

    return run


# ---------------------------------------------------------------- origins and heads


@pytest.mark.parametrize(
    ("url", "origin", "prefix"),
    [
        ("https://api.example.com", Origin("https", "api.example.com", 443), ""),
        ("https://API.example.com/", Origin("https", "api.example.com", 443), ""),
        ("http://127.0.0.1:8080/x/y/", Origin("http", "127.0.0.1", 8080), "/x/y"),
        ("http://[::1]:8080", Origin("http", "::1", 8080), ""),
        ("https://bücher.example", Origin("https", "xn--bcher-kva.example", 443), ""),
    ],
)
def test_a_base_url_is_an_origin_and_a_prefix(url: str, origin: Origin, prefix: str) -> None:
    assert Origin.of(url) == (origin, prefix)


@pytest.mark.parametrize(
    "url",
    [
        "api.example.com",
        "ftp://example.com",
        "https://",
        "https://example.com?x=1",
        "https://example.com#x",
        "https://example.com:99999",
        "https://example.com:port",
        "https://exa mple.com",
        "https://example.com\r\nx: y",
        "https://[::1",
        "https://example.com/ü",
    ],
)
def test_a_base_url_that_cannot_be_used_says_why(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        Origin.of(url)


def test_a_secret_in_a_base_url_is_refused_and_not_quoted() -> None:
    with pytest.raises(ValueError, match="must not hold a user name") as caught:
        Origin.of("https://user:hunter2@example.com")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "authority", "text"),
    [
        ("https://a.example", "a.example", "a.example:443"),
        ("http://a.example:443", "a.example:443", "a.example:443"),
        ("http://[::1]", "[::1]", "[::1]:80"),
        ("http://[::1]:81", "[::1]:81", "[::1]:81"),
    ],
)
def test_the_host_header_names_only_an_unusual_port(url: str, authority: str, text: str) -> None:
    origin, _ = Origin.of(url)
    assert (origin.authority, str(origin)) == (authority, text)


def test_the_request_head_frames_the_body_itself() -> None:
    """Host, length and connection headers of the caller give way to ours."""
    headers = (
        (b"x-b", b"1"),
        (b"host", b"evil.example"),
        (b"content-length", b"99"),
        (b"transfer-encoding", b"chunked"),
        (b"connection", b"upgrade"),
        (b"expect", b"100-continue"),
        (b"x-b", b"2"),
    )
    host = b"host: h.example"
    assert request_head("POST", "/p?q=1", host, headers, b"four", keep=True) == (
        b"POST /p?q=1 HTTP/1.1\r\nhost: h.example\r\nx-b: 1\r\nx-b: 2\r\ncontent-length: 4\r\n\r\n"
    )
    assert request_head("GET", "/", host, (), b"", keep=False) == (
        b"GET / HTTP/1.1\r\nhost: h.example\r\nconnection: close\r\n\r\n"
    )
    assert b"content-length: 0\r\n" in request_head("POST", "/", host, (), b"", keep=True)


OURS = (
    b"connection content-length expect host keep-alive proxy-connection te trailer "
    b"transfer-encoding upgrade"
).split()


class _Seen:
    """What a strict parser makes of a request."""

    def __init__(self, data: bytes) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.url = b""
        self.messages = 0
        httptools.HttpRequestParser(self).feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value.rstrip(b" \t")))

    def on_message_complete(self) -> None:
        self.messages += 1


_nasty = st.one_of(
    st.binary(max_size=12),
    st.sampled_from([b"x-a", b"host", b"Host", b"content-length", b"Content-Length", b"a:b", b""]),
    st.sampled_from([b"1\r\nx: y", b"1\nx: y", b"1\r", b"\0", b" v ", b"\x80", b"v" * 50]),
)


@given(
    st.lists(st.tuples(_nasty, _nasty), max_size=4), _nasty.map(lambda b: "/" + b.decode("latin-1"))
)
@settings(max_examples=200)
def test_a_request_head_is_one_clean_request_or_none(
    headers: list[tuple[bytes, bytes]], target: str
) -> None:
    """Whatever the headers hold, a strict parser reads exactly what was meant, or nothing left."""
    try:
        head = request_head("POST", target, b"host: h.example", tuple(headers), b"{}", keep=True)
    except ValueError:
        return
    try:
        seen = _Seen(head + b"{}")
    except httptools.HttpParserError:
        # Control characters within a value are its reader's to refuse; they split nothing.
        assert any(byte < 32 or byte == 127 for _, value in headers for byte in value)
        return
    theirs = [(name, value.strip(b" \t")) for name, value in headers if name not in OURS]
    assert seen.messages == 1
    assert seen.url == target.encode()
    assert seen.headers == [(b"host", b"h.example"), *theirs, (b"content-length", b"2")]


def test_an_unclean_request_is_refused_before_anything_is_dialled(run: Run) -> None:
    async def flight(dialer: Dialer) -> None:
        origin, _ = Origin.of("http://127.0.0.1:1")
        good = ("POST", "/", ((b"a", b"b"),))
        for i, bad in [
            (0, "PO ST"),
            (0, ""),
            (1, "no-slash"),
            (1, "/a b"),
            (1, "/ü"),
            (1, "/a\r\nb"),
            (2, ((b"a", b"b\r\nc: d"),)),
            (2, ((b"a", b"\0"),)),
            (2, ((b"a b", b""),)),
            (2, ((b"", b""),)),
            (2, ((b"Content-Length", b"0"),)),
        ]:
            method, target, headers = (*good[:i], bad, *good[i + 1 :])
            with pytest.raises(ValueError, match=r"HTTP method|target|header"):
                dialer.ask(origin, method, target, headers, b"", Note(), connect_s=1)  # type: ignore[arg-type]
        assert dialer.counts.dialled == 0

    run(flight)


# ---------------------------------------------------------------- answers


def test_a_request_arrives_and_its_answer_comes_back(run: Run) -> None:
    with ScriptServer([read(), send(OK), until_gone()]) as server:

        async def flight(dialer: Dialer) -> None:
            note = await ask(dialer, server.url + "/prefix", b'{"a":1}')
            assert note.order == ["sent", "head", "body", "ended"]
            assert (note.status, note.data, note.reused) == (200, b"hi", False)
            assert note.headers == ((b"content-length", b"2"), (b"x-a", b"1"), (b"x-a", b"2"))
            line = note.line
            assert line is not None
            assert line.peer == f"127.0.0.1:{server.port}"
            assert not line.eof_delimited
            way = line.way
            assert way is not None
            assert (way.issuer, way.alpn, way.tls_s) == (None, None, None)
            assert None not in (way.dns_s, way.connect_s)

        run(flight)
    assert server.requests == [
        b"POST /prefix/v1/messages HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n"
        b'x-api-key: a-secret-key\r\ncontent-length: 7\r\n\r\n{"a":1}' % server.port
    ]


@pytest.mark.parametrize(
    ("answer", "method", "status", "data"),
    [
        (CHUNKED, "POST", 200, b"hello"),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + OK,
            "POST",
            200,
            b"hi",
        ),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "POST", 204, b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "GET", 304, b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "HEAD", 200, b""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HEAD", 200, b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "POST", 200, b""),
        (b"HTTP/1.1 307 Go\r\nLocation: http://x/\r\nContent-Length: 0\r\n\r\n", "POST", 307, b""),
        (
            b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx",
            "GET",
            200,
            b"x",
        ),
    ],
    ids=["chunked", "interim", "204", "304", "head", "head-chunked", "empty", "redirect", "1.0"],
)
def test_every_framing_ends_where_it_should(
    run: Run, answer: bytes, method: str, status: int, data: bytes
) -> None:
    """Sent byte by byte, and the connection still open at the end."""
    with ScriptServer([read(), send_each(answer), until_gone()]) as server:

        async def flight(dialer: Dialer) -> None:
            note = await ask(dialer, server.url, b"", method=method)
            assert (note.status, note.data, note.order[-1]) == (status, data, "ended")
            assert all(name != b"x-trailer" for name, _ in note.headers)
            assert dialer.counts.idle == (method != "HEAD")

        run(flight)


def test_an_answer_without_a_length_ends_with_its_connection(run: Run) -> None:
    with ScriptServer(
        [read(), send(b"HTTP/1.0 200 OK\r\nX: y\r\n\r\nall "), send(b"of it")]
    ) as server:

        async def flight(dialer: Dialer) -> None:
            note = await ask(dialer, server.url)
            assert (note.data, note.order[-1]) == (b"all of it", "ended")
            assert note.line is not None
            assert note.line.eof_delimited
            assert dialer.counts.open == 0

        run(flight)


def test_an_early_answer_arrives_although_the_upload_breaks(run: Run) -> None:
    """413 before the body was read, then the socket is slammed shut."""
    no = b"HTTP/1.1 413 Too Large\r\nContent-Length: 100\r\n\r\nno"
    heard = threading.Event()
    with ScriptServer([read_head(), send(no), wait(heard), reset()]) as server:

        async def flight(dialer: Dialer) -> None:
            note = begin(dialer, server.url, b"x" * 30_000_000)
            await note.until("body")
            heard.set()
            await note.end()
            assert (note.status, note.data) == (413, b"no")
            assert note.how == ("truncated", "body")

        run(flight)


def test_a_connection_is_not_kept_while_the_upload_is_unfinished(run: Run) -> None:
    """The answer is whole, but the rest of our body would be read as the next request."""
    no = b"HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno"
    with ScriptServer([read_head(), send(no), deaf_until_gone()]) as server:

        async def flight(dialer: Dialer) -> None:
            note = await ask(dialer, server.url, b"x" * 30_000_000)
            assert (note.status, note.data, note.order[-1]) == (401, b"no", "ended")
            assert dialer.counts.open == 0

        run(flight)


def test_a_large_body_arrives_whole(run: Run) -> None:
    body = bytes(range(256)) * 20_000
    with ScriptServer([read(), send(OK), until_gone()]) as server:

        async def flight(dialer: Dialer) -> None:
            assert (await ask(dialer, server.url, body)).data == b"hi"

        run(flight)
    assert server.requests[0].endswith(b"\r\n\r\n" + body)


# ---------------------------------------------------------------- what is kept


def test_a_kept_connection_serves_the_next_asking(run: Run) -> None:
    """Even one made from within the end of the first; and an old line cannot touch it."""
    again = [read(), send(OK), read(), send(OK)]
    with ScriptServer([*again, *again, until_gone()]) as server:

        async def flight(dialer: Dialer) -> None:
            second = Note()
            first = Note()

            def ask_again() -> None:
                begin(dialer, server.url, note=second)
                assert first.line is not None
                first.line.hang_up()
                first.line.release()
                first.line.pause()

            first.on["ended"] = ask_again
            begin(dialer, server.url, note=first)
            await second.end()
            assert (second.reused, second.data, second.order[0]) == (True, b"hi", "sent")
            assert second.line is not None
            assert second.line.peer == f"127.0.0.1:{server.port}"
            for _ in range(2):
                assert (await ask(dialer, server.url)).reused
            counts = dialer.counts
            assert (counts.open, counts.idle, counts.dialled, counts.reused) == (1, 1, 1, 3)

        run(flight)
    assert len(server.peers) == 1


def test_the_connection_used_last_is_used_next(run: Run) -> None:
    go = threading.Event()
    script = [read(), wait(go), send(OK), read(), send(OK), until_gone()]
    with ScriptServer(script) as server:

        async def flight(dialer: Dialer) -> None:
            notes = [begin(dialer, server.url) for _ in range(3)]
            ended: list[str] = []
            for note in notes:
                await note.until("sent")
                assert note.line is not None
                note.on["ended"] = lambda note=note: ended.append(note.line.way)  # type: ignore[misc]
            go.set()
            for note in notes:
                await note.end()
            assert dialer.counts.idle == 3
            last = await ask(dialer, server.url)
            assert last.line is not None
            assert last.line.way is ended[-1]
            assert dialer.counts.dialled == 3

        run(flight)


@pytest.mark.parametrize("option", [{"keep": False}, {"fresh": True}])
def test_a_new_connection_on_demand(run: Run, option: dict[str, bool]) -> None:
    """keep=False never keeps, and says so; fresh=True only does not reuse."""
    with ScriptServer([read(), send(OK), until_gone()]) as server:

        async def flight(dialer: Dialer) -> None:
            for _ in range(2):
                assert (await ask(dialer, server.url, **option)).reused is False
            assert dialer.counts.dialled == 2
            assert dialer.counts.idle == (0 if "keep" in option else 2)

        run(flight)
    assert all((b"connection: close" in seen) == ("keep" in option) for seen in server.requests)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        OK + b"garbage",
        OK + OK,
        OK + b"HTTP/1.1 2",
        b"HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\nhi",
    ],
    ids=["close", "1.0", "garbage", "second-answer", "start-of-one", "204-with-body"],
)
def test_what_cannot_be_trusted_is_not_kept(run: Run, answer: bytes) -> None:
    """The answer is whole, but nothing may come after it on this connection."""
    with ScriptServer([read(), send(answer), until_gone()]) as server:

        async def flight(dialer: Dialer) -> None:
            note = await ask(dialer, server.url)
            assert (note.order[-1], note.data) == ("ended", b"" if note.status == 204 else b"hi")
            assert dialer.counts.open == 0

        run(flight)


@pytest.mark.parametrize("then", [finish(), reset(), send(b"HTTP/1.1 408 Slow\r\n\r\n")])
def test_an_idle_connection_that_stirs_is_dropped(run: Run, then: Callable[..., None]) -> None:
    """Closed, reset, or saying something unasked."""
    go = threading.Event()
    with ScriptServer([read(), send(OK), wait(go), then], [read(), send(OK)]) as server:

        async def flight(dialer: Dialer) -> None:
            await ask(dialer, server.url)
            assert dialer.counts.idle == 1
            go.set()
            await eventually(lambda: dialer.counts.open == 0)
            assert (await ask(dialer, server.url)).reused is False

        run(flight)


def test_idle_connections_grow_old(run: Run) -> None:
    with ScriptServer([read(), send(OK), until_gone()]) as server:

        async def flight(dialer: Dialer) -> None:
            await ask(dialer, server.url)
            await asyncio.sleep(0.1)
            await ask(dialer, server.url, fresh=True)
            assert dialer.counts.idle == 2
            await eventually(lambda: dialer.counts.idle == 1)  # the older one went first
            await eventually(lambda: dialer.counts.open == 0)

        run(flight, idle_s=0.2)


def test_only_so_many_are_kept_and_all_can_be_dropped(run: Run) -> None:
    with ScriptServer([read(), send(OK), until_gone()]) as server:

        async def flight(dialer: Dialer) -> None:
            notes = [begin(dialer, server.url) for _ in range(4)]
            for note in notes:
                await note.end()
            assert (dialer.counts.open, dialer.counts.idle) == (2, 2)
            dialer.drop_idle()
            assert (dialer.counts.open, dialer.counts.idle) == (0, 0)

        run(flight, per_origin_idle=2)


@pytest.mark.parametrize("end", [finish(), reset()])
def test_a_stale_connection_is_told_from_a_failed_answer(
    run: Run, end: Callable[..., None]
) -> None:
    """Nothing came on a kept connection: stale, and a fresh one answers."""
    with ScriptServer([read(), send(OK), read(), end], [read(), send(OK)]) as server:

        async def flight(dialer: Dialer) -> None:
            await ask(dialer, server.url)
            note = await ask(dialer, server.url)
            assert note.order == ["sent", "broke"]
            assert note.how == ("stale", "before_headers")
            assert f"127.0.0.1:{server.port}" in note.text
            assert (await ask(dialer, server.url, fresh=True)).data == b"hi"

        run(flight)


# ---------------------------------------------------------------- broken answers


@pytest.mark.parametrize("end", [finish(), reset()], ids=["fin", "rst"])
@pytest.mark.parametrize(
    ("before", "how"),
    [
        (b"", ("reset", "before_headers")),
        (b"HTTP/1.1 200 OK\r\nContent-Le", ("reset", "before_headers")),
        (b"HTTP/1.1 100 Continue\r\n\r\n", ("reset", "before_headers")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", ("truncated", "body")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", ("truncated", "body")),
        (CHUNKED[:-2], ("truncated", "body")),
        (CHUNKED[: CHUNKED.index(b"0\r\n")], ("truncated", "body")),
    ],
    ids=["nothing", "in-head", "after-interim", "no-body", "short", "in-trailer", "no-last-chunk"],
)
def test_a_cut_is_never_an_end(
    run: Run, before: bytes, how: tuple[str, str], end: Callable[..., None]
) -> None:
    got = threading.Event()
    # A RST may overtake what was sent before it: it waits until that has arrived.
    script = [read(), send(before), *([wait(got)] if before else []), end]
    with ScriptServer(script) as server:

        async def flight(dialer: Dialer) -> None:
            note = begin(dialer, server.url)
            if before:
                assert note.line is not None
                line = note.line
                await eventually(lambda: isinstance(line.pipe, pipe.Pipe) and line.pipe._heard)
                await asyncio.sleep(0.02)
                got.set()
            await note.end()
            assert note.how == how
            assert f"127.0.0.1:{server.port}" in note.text
            assert "secret" not in note.text
            assert dialer.counts.open == 0

        run(flight)


def test_a_reset_is_no_end_for_an_answer_without_a_length(run: Run) -> None:
    got = threading.Event()
    with ScriptServer([read(), send(b"HTTP/1.1 200 OK\r\n\r\nabc"), wait(got), reset()]) as server:

        async def flight(dialer: Dialer) -> None:
            note = begin(dialer, server.url)
            await note.until("body")
            got.set()
            await note.end()
            assert note.how == ("truncated", "body")

        run(flight)


MALFORMED = {
    "not-http": b"SSH-2.0-OpenSSH_9.9\r\n",
    "html": b"<html>busy</html>\r\n\r\n",
    "http2": b"HTTP/2.0 200 OK\r\n\r\n",
    "cl-and-te": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
    "te-and-cl": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n",
    "two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi",
    "plus-length": b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nhi",
    "endless-length": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nhi",
    "other-coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nhi\r\n",
    "unended-coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\nhi",
    "twice-chunked": b"HTTP/1.1 200 OK\r\n" + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n",
    "nul-in-length": b"HTTP/1.1 200 OK\r\nContent-Length: 2\0\r\n\r\nhi",
    "control-in-coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: \x01chunked\r\n\r\n0\r\n\r\n",
    "folded-coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked,\r\n chunked\r\n\r\n",
    "bare-cr": b"HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
    "bare-lf": b"HTTP/1.1 200 OK\r\nX: a\nY: b\r\n\r\n",
    "space-before-colon": b"HTTP/1.1 200 OK\r\nX : a\r\n\r\n",
    "switching": b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\nhi",
    "big-head": b"HTTP/1.1 200 OK\r\n" + b"X: %b\r\n" % (b"v" * 800) * 100,
    "many-headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 201 + b"\r\n",
    "endless-interim": b"HTTP/1.1 103 Early\r\nX: %b\r\n\r\n" % (b"v" * 800) * 100,
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_head_is_refused(run: Run, name: str) -> None:
    with ScriptServer([read(), send(MALFORMED[name]), until_gone()]) as server:

        async def flight(dialer: Dialer) -> None:
            note = await ask(dialer, server.url)
            assert note.order == ["sent", "broke"]
            assert note.how == ("protocol", "before_headers")
            assert dialer.counts.open == 0

        run(flight)


def test_a_value_that_is_invalid_costs_its_header_and_not_the_answer(run: Run) -> None:
    """RFC 9112, 5.2, has a folded value read as one line; what holds a NUL does not travel on."""
    answer = (
        b"HTTP/1.1 200 OK\r\nX-Nul: a\0b\r\nX-Bell: a\ab\r\nX-Folded: a\r\n b\r\nX-Fine: c\r\n"
        b"Content-Length: 2\r\n\r\nhi"
    )
    with ScriptServer([read(), send(answer), until_gone()]) as server:

        async def flight(dialer: Dialer) -> None:
            note = await ask(dialer, server.url)
            assert (note.order[-1], note.data) == ("ended", b"hi")
            assert to_client(note.headers) == ((b"x-folded", b"a b"), (b"x-fine", b"c"))

        run(flight)


@pytest.mark.parametrize(
    "rest",
    [
        b"zz\r\nabc\r\n",
        b"3\r\nabcd\r\n",
        b"3\nabc\r\n",
        b"-1\r\n",
        b"fffffffffffffffff\r\n",
        b"0\r\nX: %b\r\n" % (b"v" * 400_000),
        b"3;%b\r\n" % (b"x" * 400_000),
    ],
    ids=["hex", "overrun", "bare-lf", "minus", "overflow", "endless-trailer", "endless-extension"],
)
def test_malformed_chunks_break_the_answer_in_its_body(run: Run, rest: bytes) -> None:
    start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"
    with ScriptServer([read(), send(start), send(rest), until_gone()]) as server:

        async def flight(dialer: Dialer) -> None:
            note = await ask(dialer, server.url)
            assert note.data.startswith(b"hi")
            assert note.how == ("protocol", "body")

        run(flight)


def test_a_sink_that_raises_ends_its_asking_and_is_reported(run: Run) -> None:
    """The fault is ours, and says so; other askings go on."""
    with ScriptServer([read(), send(OK), until_gone()]) as server:

        async def flight(dialer: Dialer) -> None:
            loop = asyncio.get_running_loop()
            reports: list[object] = []
            handler = loop.get_exception_handler()
            loop.set_exception_handler(lambda _, context: reports.append(context["exception"]))
            note = Note()
            error = ZeroDivisionError("ours")

            def fail() -> None:
                raise error

            note.on["body"] = fail
            begin(dialer, server.url, note=note)
            await note.end()
            assert note.how == ("internal", "body")
            assert reports == [error]
            loop.set_exception_handler(handler)
            assert (await ask(dialer, server.url)).data == b"hi"

        run(flight)


# ---------------------------------------------------------------- leaving, waiting


def _left_within_a_second(server: ScriptServer, since: float) -> None:
    deadline = time.monotonic() + 5
    while not any(peer.left_at for peer in server.peers[:1]) and time.monotonic() < deadline:
        time.sleep(0.005)
    left_at = server.peers[0].left_at
    assert left_at is not None
    assert left_at - since < 1.0


@pytest.mark.parametrize("stage", ["sent", "head", "body"])
def test_hanging_up_closes_the_socket_at_once(run: Run, stage: str) -> None:
    """From outside or from within a callback; nothing is called any more."""
    answer = {"sent": b"", "head": HEAD_ONLY, "body": CHUNKED[:-10]}[stage]
    with ScriptServer([read(), send(answer), until_gone()]) as server:

        async def flight(dialer: Dialer) -> None:
            note = Note()

            def leave() -> None:
                assert note.line is not None
                note.line.hang_up()

            def leave_later() -> None:
                asyncio.get_running_loop().call_soon(leave)  # else the request stays here

            note.on[stage] = leave_later if stage == "sent" else leave
            begin(dialer, server.url, note=note)
            await note.until(stage)
            await asyncio.sleep(0)
            since = time.monotonic()
            assert dialer.counts.open == 0
            await asyncio.to_thread(_left_within_a_second, server, since)
            assert note.order[-1] == stage

        run(flight)


def test_hanging_up_in_mid_upload_is_noticed_at_once(run: Run) -> None:
    """The other side does not read: only a RST can tell it."""
    with ScriptServer([read_head(), deaf_until_gone()]) as server:

        async def flight(dialer: Dialer) -> None:
            note = begin(dialer, server.url, b"x" * 30_000_000)
            await note.until("sent")
            await eventually(lambda: server.requests)
            assert note.line is not None
            note.line.hang_up()
            since = time.monotonic()
            await asyncio.to_thread(_left_within_a_second, server, since)
            assert note.order == ["sent"]

        run(flight)
    assert server.peers[0].left_by == "reset"


def test_a_released_answer_may_still_end_its_framing(run: Run) -> None:
    """Whole for us at its last event; the last chunk comes a little later, and the line is kept."""
    rest = CHUNKED.index(b"0\r\n")
    released = threading.Event()
    script = [read(), send(CHUNKED[:rest]), wait(released), send(CHUNKED[rest:]), read(), send(OK)]
    with ScriptServer([*script, until_gone()]) as server:

        async def flight(dialer: Dialer) -> None:
            note = begin(dialer, server.url)
            await eventually(lambda: note.data == b"hello")
            assert note.line is not None
            note.line.pause()
            note.line.release()
            released.set()
            await eventually(lambda: dialer.counts.idle == 1)
            assert note.order == ["sent", "head", "body"]
            assert (await ask(dialer, server.url)).reused

        run(flight)


def test_a_release_from_within_the_last_piece_needs_no_timer(run: Run) -> None:
    with ScriptServer([read(), send(CHUNKED), until_gone()]) as server:

        async def flight(dialer: Dialer) -> None:
            note = Note()

            def release() -> None:
                assert note.line is not None
                note.line.release()

            note.on["body"] = release
            begin(dialer, server.url, note=note)
            await note.until("body")
            await eventually(lambda: dialer.counts.idle == 1)
            assert note.data == b"hel"
            assert note.order == ["sent", "head", "body"]

        run(flight)


def test_a_released_answer_that_does_not_end_is_closed(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipe, "DRAIN_S", 0.05)
    with ScriptServer([read(), send(CHUNKED[:-10]), until_gone()]) as server:

        async def flight(dialer: Dialer) -> None:
            note = begin(dialer, server.url)
            await note.until("body")
            assert note.line is not None
            note.line.release()
            note.line.release()
            assert dialer.counts.open == 1
            await eventually(lambda: dialer.counts.open == 0)
            assert note.order[-1] == "body"

        run(flight)


def test_a_paused_line_holds_the_sender_back(run: Run) -> None:
    """Most of a large body stays with the server until the line reads on."""
    size = 40_000_000
    sent = threading.Event()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size
    with ScriptServer([read(), send(head), send(b"x" * size), tell(sent), until_gone()]) as server:

        async def flight(dialer: Dialer) -> None:
            note = begin(dialer, server.url)
            length = 0

            def count(data: bytes) -> None:
                nonlocal length
                length += len(data)

            note.body = count  # type: ignore[method-assign]
            await note.until("head")
            assert note.line is not None
            note.line.pause()
            note.line.pause()
            await asyncio.sleep(0.2)
            held = length
            assert held < size / 2
            assert not sent.is_set()
            note.line.resume()
            await note.end()
            assert length == size

        run(flight)


def test_a_line_paused_before_it_is_connected_waits(run: Run) -> None:
    with ScriptServer([read(), send(OK), until_gone()]) as server:

        async def flight(dialer: Dialer) -> None:
            note = begin(dialer, server.url)
            assert note.line is not None
            note.line.pause()
            await note.until("sent")
            await asyncio.sleep(0.05)
            assert note.order == ["sent"]
            note.line.resume()
            await note.end()
            assert dialer.counts.idle == 1

        run(flight)


def test_closing_the_dialler_closes_everything(run: Run) -> None:
    """Idle, dialling and busy ones; nobody is called, and nothing can be asked after."""
    go = threading.Event()
    with ScriptServer([read(), send(OK), until_gone()], [read(), until_gone()]) as server:

        async def flight(dialer: Dialer) -> None:
            await ask(dialer, server.url)
            busy = begin(dialer, server.url, fresh=True)
            await busy.until("sent")
            dialling = begin(dialer, f"http://127.0.0.1:{closed_port()}")
            dialer.close()
            await asyncio.sleep(0.02)
            assert (busy.order, dialling.order) == (["sent"], [])
            assert dialer.counts.open == 0
            with pytest.raises(RuntimeError, match="closed"):
                begin(dialer, server.url)

        run(flight)
        go.set()
