"""Reaching an origin: names, addresses, TLS, and what every failure of them is called."""

from __future__ import annotations

import asyncio
import datetime
import gc
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from tests.net.asking import LOOPS, Flight, Note, ask, begin, eventually, on_loop
from tests.net.script_server import (
    ScriptServer,
    blackhole,
    closed_port,
    deaf_until_gone,
    finish,
    goodbye,
    hear,
    read,
    read_head,
    reset,
    send,
    until_gone,
    wait,
)

from holdfast.net.dial import Dialer
from holdfast.net.reach import Address, interleaved

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
Run = Callable[..., None]
V4 = socket.AF_INET
V6 = socket.AF_INET6


@pytest.fixture(params=sorted(LOOPS))
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a test's coroutine with a dialler, on each of the loops a user may have."""

    def run(flight: Flight, **settings: object) -> None:
        on_loop(request.param, flight, **settings)

    return run


class Book:
    """A resolver of made-up names."""

    def __init__(self, *addresses: Address, error: Exception | None = None) -> None:
        self.addresses = addresses
        self.error = error
        self.asked: list[tuple[str, int]] = []
        self.gate: asyncio.Event | None = None

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        self.asked.append((host, port))
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return self.addresses


def at(port: int, host: str = "127.0.0.1") -> Address:
    return (V4, (host, port))


# ---------------------------------------------------------------- connecting


def test_a_closed_port_refuses(run: Run) -> None:
    port = closed_port()

    async def flight(dialer: Dialer) -> None:
        note = await ask(dialer, f"http://127.0.0.1:{port}")
        assert note.order == ["broke"]
        assert note.how == ("refused", "connect")
        assert f"127.0.0.1:{port}" in note.text
        assert "secret" not in note.text
        assert note.line is not None
        assert note.line.way is not None
        assert note.line.way.dns_s is not None
        assert note.line.way.connect_s is None
        assert dialer.counts.dialled == 0

    run(flight)


def test_localhost_needs_no_name_server(run: Run) -> None:
    """It is this machine, by whichever of its addresses answers."""
    book = Book(error=socket.gaierror(socket.EAI_AGAIN, "hanging"))
    with ScriptServer([read(), send(OK), until_gone()]) as server:

        async def flight(dialer: Dialer) -> None:
            note = await ask(dialer, f"http://localhost:{server.port}")
            assert note.data == b"hi"
            assert note.line is not None
            assert note.line.peer == f"127.0.0.1:{server.port}"

        run(flight, resolve=book)
    assert book.asked == []
    assert server.requests[0].startswith(b"POST /v1/messages HTTP/1.1\r\nhost: localhost:")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (socket.gaierror(socket.EAI_NONAME, "no"), "no such name"),
        (socket.gaierror(socket.EAI_AGAIN, "no"), "is this machine online"),
        (UnicodeError("label too long"), "not a host name"),
        (None, "no such name"),
    ],
)
def test_a_name_that_does_not_resolve(run: Run, error: Exception | None, says: str) -> None:
    async def flight(dialer: Dialer) -> None:
        note = await ask(dialer, "https://api.example.test")
        assert note.how == ("dns", "connect")
        assert "api.example.test:443" in note.text
        assert says in note.text
        assert note.line is not None
        assert note.line.way is not None
        assert note.line.way.dns_s is None

    run(flight, resolve=Book(error=error))


def test_the_system_resolver_knows_no_invalid_name(run: Run) -> None:
    """`.invalid` never resolves (RFC 6761), with or without a network."""

    async def flight(dialer: Dialer) -> None:
        note = await ask(dialer, "http://holdfast.invalid")
        assert note.how in (("dns", "connect"), ("connect_timeout", "connect"))

    run(flight)


def test_one_name_is_looked_up_once_at_a_time(run: Run) -> None:
    """Hung-up askings leave the others' lookup alone; later ones look again."""
    with ScriptServer([read(), send(OK), until_gone()]) as server:
        book = Book(at(server.port))

        async def flight(dialer: Dialer) -> None:
            book.gate = asyncio.Event()
            url = f"http://a.test:{server.port}"
            notes = [begin(dialer, url) for _ in range(4)]
            await eventually(lambda: book.asked)
            assert notes[0].line is not None
            notes[0].line.hang_up()
            await asyncio.sleep(0.01)
            book.gate.set()
            for note in notes[1:]:
                assert (await note.end()).data == b"hi"
            assert notes[0].order == []
            assert len(book.asked) == 1
            await ask(dialer, url, fresh=True)
            assert len(book.asked) == 2

        run(flight, resolve=book)


def test_a_lookup_that_hangs_is_a_connect_timeout(run: Run) -> None:
    book = Book()

    async def flight(dialer: Dialer) -> None:
        book.gate = asyncio.Event()
        note = await ask(dialer, "http://a.test", connect_s=0.05)
        assert note.how == ("connect_timeout", "connect")
        assert "name server" in note.text

    run(flight, resolve=book)


def test_a_blackhole_is_a_connect_timeout(run: Run) -> None:
    with blackhole() as port:

        async def flight(dialer: Dialer) -> None:
            since = time.monotonic()
            note = await ask(dialer, f"http://127.0.0.1:{port}", connect_s=0.1)
            assert time.monotonic() - since < 2
            assert note.how == ("connect_timeout", "connect")
            assert f"127.0.0.1:{port}" in note.text

        run(flight)


def test_no_route_is_unreachable(run: Run) -> None:
    """A multicast address takes no connection: the kernel says so before anything is sent."""

    async def flight(dialer: Dialer) -> None:
        note = await ask(dialer, "http://224.0.0.1:9")
        assert note.how == ("unreachable", "connect")
        assert "224.0.0.1:9" in note.text

    run(flight)


def test_a_dead_address_is_overtaken_by_a_living_one(run: Run) -> None:
    """After the stagger the next is tried beside it, long before the patience is used up."""
    with blackhole() as dead, ScriptServer([read(), send(OK), until_gone()]) as server:

        async def flight(dialer: Dialer) -> None:
            since = time.monotonic()
            note = await ask(dialer, "http://a.test", connect_s=8)
            assert note.data == b"hi"
            assert time.monotonic() - since < 4
            assert note.line is not None
            assert note.line.peer == f"127.0.0.1:{server.port}"

        run(flight, resolve=Book(at(dead), at(server.port)))


def test_a_refusing_address_is_passed_at_once(run: Run) -> None:
    with ScriptServer([read(), send(OK), until_gone()]) as server:

        async def flight(dialer: Dialer) -> None:
            assert (await ask(dialer, "http://a.test")).data == b"hi"
            assert dialer.counts.open == 1

        run(flight, resolve=Book(at(closed_port()), at(closed_port()), at(server.port)))


def test_the_most_telling_error_is_told(run: Run) -> None:
    """A refusal says more than the unreachable address that was tried after it."""

    async def flight(dialer: Dialer) -> None:
        assert (await ask(dialer, "http://a.test")).how == ("refused", "connect")

    run(flight, resolve=Book(at(closed_port()), at(9, "224.0.0.1")))


@given(st.lists(st.tuples(st.sampled_from([V4, V6]), st.integers(1, 999)), max_size=8))
def test_families_alternate_and_keep_their_order(pairs: list[tuple[int, int]]) -> None:
    """Nothing is lost, each family keeps its order, the resolver's first choice stays first."""
    addresses: list[Address] = [(family, ("x", number)) for family, number in pairs]
    mixed = interleaved(addresses)
    assert sorted(mixed) == sorted(addresses)
    assert mixed[:1] == addresses[:1]
    for family in (V4, V6):
        assert [a for a in mixed if a[0] == family] == [a for a in addresses if a[0] == family]
    fewer = min(sum(a[0] == family for a in addresses) for family in (V4, V6))
    assert all(a[0] != b[0] for a, b in pairwise(mixed[: 2 * fewer]))


def test_hanging_up_while_dialling_leaves_nothing_behind(run: Run) -> None:
    """In the lookup, in the race of two addresses, and in the wait for one."""
    with blackhole() as dead, blackhole() as dead_too:
        book = Book(at(dead), at(dead_too))

        async def flight(dialer: Dialer) -> None:
            for url, later_s in [
                ("http://a.test", 0),
                ("http://a.test", 0.3),
                (f"http://127.0.0.1:{dead}", 0.02),
            ]:
                note = begin(dialer, url)
                await asyncio.sleep(later_s)
                assert note.line is not None
                note.line.hang_up()
                note.line.release()
                await asyncio.sleep(0.02)
                assert note.order == []
                assert dialer.counts.open == 0
                assert asyncio.all_tasks() == {asyncio.current_task()}

        run(flight, resolve=book)


def test_a_released_line_is_not_dialled_on(run: Run) -> None:
    with ScriptServer([until_gone()]) as server:

        async def flight(dialer: Dialer) -> None:
            note = begin(dialer, server.url)
            assert note.line is not None
            note.line.release()
            await asyncio.sleep(0.02)
            assert note.order == []

        run(flight)
    assert server.requests == []


# ---------------------------------------------------------------- TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA(organization_name="Holdfast Test Authority")


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """A client's settings that trust our own authority, and it alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    return context


def serving(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """A server's settings with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2", "http/1.1"])
    certificate.configure_cert(context)
    return context


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    return serving(authority.issue_cert("a.test", "127.0.0.1"))


def test_tls_carries_a_request_and_leaves_evidence(
    run: Run, tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    body = b"x" * 1_000_000
    script = [read(), send(OK), read(), send(OK), until_gone()]
    with ScriptServer(script, tls=tls) as server:

        async def flight(dialer: Dialer) -> None:
            note = await ask(dialer, f"https://a.test:{server.port}", body)
            assert note.data == b"hi"
            line = note.line
            assert line is not None
            way = line.way
            assert way is not None
            assert (way.issuer, way.alpn) == ("Holdfast Test Authority", "http/1.1")
            assert way.tls_s is not None
            assert way.tls_s > 0
            assert (await ask(dialer, f"https://a.test:{server.port}")).reused

        run(flight, ssl_context=trusting, resolve=Book(at(server.port)))
    assert server.requests[0].endswith(body)


def _expired(authority: trustme.CA) -> ssl.SSLContext:
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    return serving(
        authority.issue_cert("a.test", not_before=past, not_after=past + datetime.timedelta(days=9))
    )


def _early(authority: trustme.CA) -> ssl.SSLContext:
    future = datetime.datetime(2199, 1, 1, tzinfo=datetime.UTC)
    return serving(
        authority.issue_cert(
            "a.test", not_before=future, not_after=future + datetime.timedelta(days=9)
        )
    )


def _of_nobody(_: trustme.CA) -> ssl.SSLContext:
    """A certificate that is its own issuer."""
    stranger = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    both = trustme.Blob(stranger.private_key_pem.bytes() + stranger.cert_pem.bytes())
    with both.tempfile() as path:
        context.load_cert_chain(path)
    return context


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_expired, "expired"),
        (_early, "not valid yet"),
        (lambda authority: serving(authority.issue_cert("b.test")), "wrong host"),
        (lambda _: serving(trustme.CA().issue_cert("a.test")), "issuer is unknown"),
        (_of_nobody, "self-signed"),
    ],
    ids=["expired", "early", "wrong-host", "unknown-issuer", "self-signed"],
)
def test_a_certificate_that_cannot_be_trusted(
    run: Run,
    make: Callable[[trustme.CA], ssl.SSLContext],
    says: str,
    authority: trustme.CA,
    trusting: ssl.SSLContext,
) -> None:
    with ScriptServer([read()], tls=make(authority)) as server:

        async def flight(dialer: Dialer) -> None:
            note = await ask(dialer, f"https://a.test:{server.port}")
            assert note.order == ["broke"]
            assert note.how == ("tls", "connect")
            assert says in note.text
            assert f"a.test:{server.port} (127.0.0.1:{server.port})" in note.text
            assert dialer.counts.open == 0

        run(flight, ssl_context=trusting, resolve=Book(at(server.port)))
    assert server.requests == []


def test_by_default_the_system_trusts_and_ours_is_not_known(run: Run, tls: ssl.SSLContext) -> None:
    with ScriptServer([read()], tls=tls) as server:

        async def flight(dialer: Dialer) -> None:
            note = await ask(dialer, f"https://127.0.0.1:{server.port}")
            assert note.how == ("tls", "connect")

        run(flight)


@pytest.mark.parametrize("setting", [("check_hostname", False), ("verify_mode", ssl.CERT_NONE)])
def test_settings_that_do_not_verify_are_refused(setting: tuple[str, object]) -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    setattr(context, *setting)
    with pytest.raises(ValueError, match="must verify"):
        Dialer(ssl_context=context)


@pytest.mark.parametrize(
    ("script", "kind", "says"),
    [
        ([send(b"HTTP/1.1 400 Bad Request\r\n\r\n"), until_gone()], "tls", "speak TLS"),
        ([hear(), finish()], "tls", "handshake"),
        ([hear(), reset()], "tls", "handshake"),
        ([until_gone()], "connect_timeout", "TLS handshake"),
    ],
    ids=["plain-http", "fin", "rst", "silence"],
)
def test_a_handshake_that_fails(
    run: Run, script: list[Callable[..., None]], kind: str, says: str
) -> None:
    with ScriptServer(script) as server:

        async def flight(dialer: Dialer) -> None:
            url = f"https://127.0.0.1:{server.port}"
            note = await ask(dialer, url, connect_s=0.2 if kind == "connect_timeout" else 5)
            assert note.how == (kind, "connect")
            assert says in note.text
            assert note.line is not None
            assert note.line.way is not None
            assert note.line.way.connect_s is not None

        run(flight)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_server_that_slams_the_door(run: Run, scheme: str) -> None:
    """Reset as soon as it is accepted: whichever step notices, it is one failure, nothing leaks."""
    with ScriptServer([reset()]) as server:

        async def flight(dialer: Dialer) -> None:
            notes = [begin(dialer, f"{scheme}://127.0.0.1:{server.port}") for _ in range(20)]
            for note in notes:
                await note.end()
                assert note.how[0] == "reset" or (scheme == "https" and note.how[0] == "tls")

        run(flight)
    gc.collect()  # a socket left open would warn now


def test_hanging_up_in_the_handshake_closes_the_socket(run: Run) -> None:
    with ScriptServer([until_gone()]) as server:

        async def flight(dialer: Dialer) -> None:
            note = begin(dialer, f"https://127.0.0.1:{server.port}")
            await eventually(lambda: server.peers)
            await asyncio.sleep(0.05)
            assert note.line is not None
            note.line.hang_up()
            since = time.monotonic()
            await eventually(lambda: server.peers[0].left_at is not None)
            assert time.monotonic() - since < 1
            assert note.order == []

        run(flight)


def test_hanging_up_in_a_tls_upload_is_noticed_at_once(
    run: Run, tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    with ScriptServer([read_head(), deaf_until_gone()], tls=tls) as server:

        async def flight(dialer: Dialer) -> None:
            note = begin(dialer, server.url, b"x" * 30_000_000)
            await eventually(lambda: server.requests)
            assert note.line is not None
            note.line.hang_up()
            since = time.monotonic()
            await eventually(lambda: server.peers[0].left_at is not None)
            assert time.monotonic() - since < 1
            assert note.order == ["sent"]

        run(flight, ssl_context=trusting)


@pytest.mark.parametrize(
    ("end", "whole"), [(goodbye(), True), (finish(), False)], ids=["close_notify", "torn"]
)
def test_tls_tells_an_end_from_a_cut(
    run: Run,
    tls: ssl.SSLContext,
    trusting: ssl.SSLContext,
    end: Callable[..., None],
    whole: bool,
) -> None:
    """Without a length only close_notify ends an answer; a bare FIN may be anybody's."""
    with ScriptServer([read(), send(b"HTTP/1.1 200 OK\r\n\r\nabc"), end], tls=tls) as server:

        async def flight(dialer: Dialer) -> None:
            note = await ask(dialer, server.url)
            assert note.data == b"abc"
            if whole:
                assert note.order[-1] == "ended"
            else:
                assert note.how == ("truncated", "body")
                assert "close_notify" in note.text

        run(flight, ssl_context=trusting)


@pytest.mark.parametrize("end", [goodbye(), finish()], ids=["close_notify", "torn"])
def test_a_paused_tls_line_loses_nothing_of_what_was_sent(
    run: Run, tls: ssl.SSLContext, trusting: ssl.SSLContext, end: Callable[..., None]
) -> None:
    """The server has sent all and left while nobody read: the TLS layer must not throw it away."""
    size = 300_000
    started = threading.Event()
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % size
    script = [read(), send(head), wait(started), send(b"x" * size), end]
    with ScriptServer(script, tls=tls) as server:

        async def flight(dialer: Dialer) -> None:
            note = begin(dialer, server.url)
            await note.until("head")
            assert note.line is not None
            note.line.pause()
            started.set()
            await asyncio.sleep(0.4)
            assert note.order[-1] != "ended"
            note.line.resume()
            await note.end()
            assert (note.order[-1], len(note.data)) == ("ended", size)

        run(flight, ssl_context=trusting)


def test_a_tls_server_that_refuses_us_after_its_handshake(
    run: Run, tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """In TLS 1.3 the refusal of a client without a certificate comes where the answer was due."""
    tls.verify_mode = ssl.CERT_REQUIRED
    with ScriptServer([read()], tls=tls) as server:

        async def flight(dialer: Dialer) -> None:
            note: Note = await ask(dialer, server.url)
            assert note.how in (("tls", "connect"), ("reset", "before_headers"))

        run(flight, ssl_context=trusting)
