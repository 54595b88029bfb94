"""Small whole answers over real loopback sockets: bounds, redirects, and failures as values."""

from __future__ import annotations

import asyncio
import ssl
import threading
from typing import Any

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.net.asking import LOOPS, eventually, on_loop
from tests.net.script_server import ScriptServer, Step, closed_port, read, send, until_gone, wait

from holdfast.net.dial import Dialer
from holdfast.net.fetch import Fetched, _objection, _onward, fetch

OK = b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag: "7"\r\n\r\nhi'
MEGABYTE = b"x" * (1 << 20)


def fetched(
    url: str, *, loop: str = "uvloop", tls: ssl.SSLContext | None = None, **how: Any
) -> Fetched:
    """What `fetch` makes of an address."""
    found: list[Fetched] = []

    async def flight(dialer: Dialer) -> None:
        found.append(await fetch(dialer, url, **how))

    on_loop(loop, flight, ssl_context=tls)
    return found[0]


def redirect(where: str, status: int = 302) -> list[Step]:
    head = f"HTTP/1.1 {status} Found\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n"
    return [read(), send(head.encode())]


def kind(found: Fetched) -> str:
    assert found.failure is not None, found
    assert found.body == b""
    return found.failure.kind


@pytest.mark.parametrize("loop", sorted(LOOPS))
def test_a_plain_answer_comes_whole(loop: str) -> None:
    with ScriptServer([read(), send(OK)]) as server:
        found = fetched(f"{server.url}/a%20b?c=d", loop=loop, headers=((b"if-none-match", b'"6"'),))
    assert (found.status, found.body, found.header(b"etag")) == (200, b"hi", b'"7"')
    assert found.failure is None
    assert 0 < found.took_s < 10
    request = server.requests[0]
    assert request.startswith(b"GET /a%20b?c=d HTTP/1.1\r\n")
    for line in (b'if-none-match: "6"', b"accept-encoding: identity", b"connection: close"):
        assert line in request


def test_a_failing_status_is_an_answer_and_a_head_has_no_body() -> None:
    with ScriptServer(
        [read(), send(b"HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\ndown")],
        [read(), send(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n")],
    ) as server:
        first = fetched(server.url)
        second = fetched(server.url, method="HEAD", limit_bytes=10)
    assert (first.status, first.body, first.failure) == (503, b"down", None)
    assert (second.status, second.body, second.failure) == (200, b"", None)


def test_a_post_carries_its_body_and_follows_no_redirect() -> None:
    with ScriptServer(redirect("/elsewhere", 307)) as server:
        found = fetched(server.url, method="POST", body=b'{"a":1}')
    assert (found.status, found.failure) == (307, None)
    assert server.requests[0].endswith(b'\r\n\r\n{"a":1}')
    assert len(server.requests) == 1


# ---------------------------------------------------------------- bounds


@pytest.mark.parametrize("loop", sorted(LOOPS))
def test_of_a_page_of_50_mb_no_more_than_the_limit_is_read(loop: str) -> None:
    head = b"HTTP/1.1 200 OK\r\n\r\n"  # says no length: the body must be counted
    said: list[int] = []

    def pour(peer: Any) -> None:
        for count in range(50):
            try:
                peer.sock.sendall(MEGABYTE)
            except OSError:
                said.append(count)
                return

    with ScriptServer([read(), send(head), pour]) as server:
        found = fetched(server.url, loop=loop, limit_bytes=1 << 20)
    assert kind(found) == "too_large"
    assert "larger than 1 MB" in found.failure.text  # type: ignore[union-attr]
    assert said, "all of it was taken"


def test_a_length_beyond_the_limit_is_enough_to_leave() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 52428800\r\n\r\n"
    with ScriptServer([read(), send(head), until_gone()]) as server:
        found = fetched(server.url)
    assert kind(found) == "too_large"
    assert found.status == 200


@pytest.mark.parametrize(
    ("sent", "expected"),
    [(b"", "headers_timeout"), (b"HTTP/1.1 200 OK\r\n\r\nhalf", "idle_timeout")],
)
def test_a_slow_answer_ends_with_the_time_it_is_given(sent: bytes, expected: str) -> None:
    with ScriptServer([read(), send(sent), until_gone()]) as server:
        found = fetched(server.url, total_s=0.15)
    assert kind(found) == expected
    assert found.took_s < 5


def test_where_nobody_listens_the_failure_says_so() -> None:
    assert kind(fetched(f"http://127.0.0.1:{closed_port()}")) == "refused"


@pytest.mark.parametrize(
    "url", ["ftp://a/", "http://", "http://a b/", "http://u:p@a/", "http://a:99999/", "nonsense"]
)
def test_an_address_that_cannot_be_used_is_a_failure_too(url: str) -> None:
    assert kind(fetched(url)) == "internal"


def test_cancelling_leaves_nothing_open() -> None:
    gone = threading.Event()
    with ScriptServer([read(), wait(gone), until_gone()]) as server:

        async def flight(dialer: Dialer) -> None:
            task = asyncio.ensure_future(fetch(dialer, server.url))
            await eventually(lambda: server.requests)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            gone.set()

        on_loop("uvloop", flight)  # which sees that no task and no connection is left


# ---------------------------------------------------------------- redirects


def test_a_redirect_is_followed_without_what_could_be_a_secret() -> None:
    headers = ((b"authorization", b"Bearer s3cret"), (b"x-api-key", b"s3cret"), (b"accept", b"a/b"))
    with (
        ScriptServer([read(), send(OK)]) as second,
        ScriptServer(redirect(f"{second.url}/there#part")) as first,
    ):
        found = fetched(first.url, headers=headers)
    assert (found.status, found.url) == (200, f"{second.url}/there")
    assert b"s3cret" in first.requests[0]
    assert b"s3cret" not in second.requests[0]
    assert b"accept: a/b" in second.requests[0]


@pytest.mark.parametrize(
    ("where", "why"),
    [("/", "in a circle"), ("//[", "cannot be used"), ("mailto:x@y", "cannot be used")],
)
def test_a_redirect_that_leads_nowhere_is_a_failure(where: str, why: str) -> None:
    with ScriptServer(redirect(where)) as server:
        found = fetched(f"{server.url}/")
    assert kind(found) == "protocol"
    assert why in found.failure.text  # type: ignore[union-attr]
    assert found.status == 302


def test_redirects_end_after_so_many_and_can_be_left_alone() -> None:
    with ScriptServer(*[redirect(f"/{i}") for i in range(9)]) as server:
        found = fetched(server.url, redirects=3)
        assert kind(found) == "protocol"
        assert "too often" in found.failure.text  # type: ignore[union-attr]
        assert len(server.requests) == 4
        as_it_came = fetched(server.url, redirects=0)
    assert (as_it_came.status, as_it_came.failure) == (302, None)
    assert as_it_came.header(b"location") == b"/4"


@pytest.mark.parametrize(
    ("came", "to", "why"),
    [
        ("https://a.example/x", "http://a.example/y", "from https to http"),
        ("https://a.example/x", "https://127.0.0.1/", "into this machine"),
        ("https://a.example/x", "https://[::1]:8443/", "into this machine"),
        ("https://a.example/x", "https://169.254.169.254/latest", "into this machine"),
        ("https://a.example/x", "https://10.1.2.3/", "into this machine"),
        ("https://a.example/x", "https://LOCALHOST./", "into this machine"),
        ("https://a.example/x", "https://127.1/", "into this machine"),
        ("https://a.example/x", "https://0x7f000001/", "into this machine"),
        ("https://a.example/x", "https://[::ffff:127.0.0.1]/", "into this machine"),
        ("https://a.example/x", "https://1.1.1.1/", ""),
        ("https://a.example/x", "https://b.example/", ""),
        ("http://a.example/x", "https://a.example/x", ""),
        ("http://127.0.0.1/x", "http://127.0.0.1:8080/", ""),
    ],
)
def test_what_speaks_against_a_redirect(came: str, to: str, why: str) -> None:
    objection = _objection(_onward(came, to.encode()), [came])
    assert objection.startswith(why)
    assert bool(objection) == bool(why)


@settings(max_examples=300)
@given(st.binary(max_size=60) | st.text(max_size=40).map(str.encode))
def test_whatever_a_location_says_no_secure_page_leads_out_of_tls(where: bytes) -> None:
    came = "https://a.example/x"
    onward = _onward(came, where)
    if not _objection(onward, [came]):
        assert onward.startswith("https://")
        assert onward != came


# ---------------------------------------------------------------- TLS


def test_a_certificate_of_nobody_is_a_failure_with_its_reason() -> None:
    stranger, ours = trustme.CA(), trustme.CA()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    stranger.issue_cert("127.0.0.1").configure_cert(serving)
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ours.configure_trust(trusting)
    with ScriptServer([read(), send(OK)], tls=serving) as server:
        found = fetched(server.url, tls=trusting)
    assert kind(found) == "tls"
    assert "certificate" in found.failure.text  # type: ignore[union-attr]
