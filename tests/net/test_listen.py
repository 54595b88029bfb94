"""The listener: where it listens, how many it takes, what it refuses, and how it closes."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.net.asking import LOOPS
from tests.net.visiting import GOOD, House, Visitor, eventually, post

from holdfast.facts.calls import Headers
from holdfast.net.doorman import Doorman
from holdfast.net.guest import Guest
from holdfast.net.intake import Intake
from holdfast.net.listen import Listener
from holdfast.net.reply import Reply, Request

TEXT: Headers = ((b"content-type", b"text/plain"),)
both_loops = pytest.mark.parametrize("kind", LOOPS)


class Kept:
    """A handler that answers nothing by itself."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.gone = 0

    def __call__(self, _: Request, reply: Reply) -> None:
        reply.on_gone = self._left
        self.replies.append(reply)

    def _left(self) -> None:
        self.gone += 1


# ------------------------------------------------------------------ addresses


@both_loops
def test_127_0_0_1_means_this_machine_in_both_versions(kind: str) -> None:
    """The same port on ::1: some clients try it first for `localhost`."""
    with House(kind=kind) as home:
        assert [host for host, _ in home.bound] == ["127.0.0.1", "::1"]
        assert len({port for _, port in home.bound}) == 1
        for address in home.bound:
            with Visitor(address) as visitor:
                host = f"[{address[0]}]" if ":" in address[0] else address[0]
                visitor.send(GOOD.replace(b"localhost", f"{host}:{home.port}".encode()))
                assert visitor.answer().status == 200


@both_loops
def test_a_stranger_on_the_same_port_of_ipv6_is_left_alone(kind: str) -> None:
    with socket.socket(socket.AF_INET6) as other:
        other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        other.bind(("::1", 0))
        other.listen()
        port = other.getsockname()[1]

        async def main() -> list[tuple[str, int]]:
            listener = Listener(lambda _, __: None, doorman=Doorman.of("127.0.0.1", port))
            bound = await listener.start("127.0.0.1", port)
            await listener.close(0.0)
            return bound

        with asyncio.Runner(loop_factory=LOOPS[kind]) as runner:
            assert runner.run(main()) == [("127.0.0.1", port)]


@both_loops
def test_a_port_that_is_taken_cannot_be_had(kind: str) -> None:
    """Even where the one who has it would share: an OSError that says so."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        async def main() -> None:
            listener = Listener(lambda _, __: None, doorman=Doorman.of("127.0.0.1", port))
            await listener.start("127.0.0.1", port)

        with asyncio.Runner(loop_factory=LOOPS[kind]) as runner, pytest.raises(OSError, match=r"."):
            runner.run(main())


def test_all_addresses_are_bound_where_that_is_asked_for() -> None:
    """And then an address of this machine is a good `Host`, a stranger's name is none."""

    async def main() -> None:
        listener = Listener(
            lambda _, reply: reply.send(200, TEXT, b"x"), doorman=Doorman.of("0.0.0.0", 0)
        )
        ((host, port),) = await listener.start("0.0.0.0", 0)
        assert host == "0.0.0.0"
        for name, status in ((f"127.0.0.1:{port}", b"200"), ("evil.example", b"421")):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
            assert (await reader.readline()).split()[1] == status
            writer.close()
            await writer.wait_closed()
        await listener.close(0.5)

    with asyncio.Runner() as runner:
        runner.run(main())


# ------------------------------------------------------------- who is not let in


PREFLIGHT = (
    b"OPTIONS /v1/messages HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n"
    b"Access-Control-Request-Method: POST\r\n"
    b"Access-Control-Request-Headers: content-type\r\n"
    b"Access-Control-Request-Private-Network: true\r\n\r\n"
)


@pytest.mark.parametrize(
    ("request_", "status", "word"),
    [
        (GOOD.replace(b"localhost", b"evil.example"), 421, "evil.example"),
        (GOOD.replace(b"localhost", b"localhost:1"), 421, "localhost:1"),
        (GOOD.replace(b"\r\n\r\n", b"\r\nOrigin: https://evil.example\r\n\r\n"), 403, "evil"),
        (GOOD.replace(b"\r\n\r\n", b"\r\nOrigin: null\r\n\r\n"), 403, "null"),
        (GOOD.replace(b"\r\n\r\n", b"\r\nSec-Fetch-Site: cross-site\r\n\r\n"), 403, "cross-site"),
        (
            PREFLIGHT,
            403,
            "evil",
        ),
        (post(b"a=b").replace(b"application/json", b"text/plain"), 415, "application/json"),
        (post(b"a=b").replace(b"Content-Type", b"X-Type"), 415, "declared as nothing"),
    ],
)  # fmt: skip
def test_strangers_are_told_why_and_get_no_cors(request_: bytes, status: int, word: str) -> None:
    """No answer of ours opens the door to a page of another origin, refusals least of all."""
    with House() as home:
        answer = home.ask(request_)
        assert answer.status == status
        assert word in answer.error
        assert not [name for name, _ in answer.headers if name.startswith("access-control-")]
        assert answer.header("connection") == "close"
        assert answer.header("x-content-type-options") == "nosniff"
        assert home.requests == []
        assert home.listener.refuses == {status: 1}


def test_good_answers_carry_no_cors_either() -> None:
    with House() as home:
        own = f"Origin: http://localhost:{home.port}".encode()
        answer = home.ask(GOOD.replace(b"\r\n\r\n", b"\r\n" + own + b"\r\n\r\n"))
        assert answer.status == 200
        assert not [name for name, _ in answer.headers if name.startswith("access-control-")]


def test_tls_on_the_plain_port_is_told_to_come_without() -> None:
    """With a real handshake: the words are in the bytes that come back."""
    with House() as home:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        hello = ssl.create_default_context().wrap_bio(
            incoming, outgoing, server_hostname="localhost"
        )
        with pytest.raises(ssl.SSLWantReadError):
            hello.do_handshake()
        answer = home.ask(outgoing.read())
        assert answer.status == 400
        assert "http://, not https://" in answer.error
        home.is_well()


# ------------------------------------------------------------------- how many


@both_loops
def test_beyond_the_limit_connections_are_told_so_and_closed(kind: str) -> None:
    """Those that are in are served on; one that goes makes room."""
    with House(kind=kind, max_connections=3) as home:
        guests = [home.visit() for _ in range(3)]
        eventually(lambda: home.listener.connections == 3)
        with home.visit() as fourth:
            answer = fourth.answer()
            assert (answer.status, answer.header("connection")) == (503, "close")
            assert "3 connections" in answer.error
            assert fourth.rest() == b""
        for guest in guests:
            assert guest.send(GOOD).answer().status == 200
        guests[0].sock.close()
        eventually(lambda: home.listener.connections == 2)
        home.is_well()
        for guest in guests[1:]:
            guest.sock.close()


@both_loops
def test_far_beyond_the_limit_they_are_not_even_told(kind: str) -> None:
    """What they could hold while being told is bounded too."""
    with House(kind=kind, max_connections=2) as home:
        guests = [home.visit() for _ in range(2)]
        eventually(lambda: home.listener.connections == 2)
        crowd = [home.visit() for _ in range(40)]
        told = 0
        for one in crowd:
            with contextlib.suppress(ConnectionResetError):
                told += bool(one.rest())
            one.sock.close()
        assert 2 <= told < 40
        assert home.listener.refuses == {503: told}
        for guest in guests:
            assert guest.send(GOOD).answer().status == 200
            guest.sock.close()
        eventually(lambda: home.listener.connections == 0)
        home.is_well()


STARVED = """
import asyncio, resource, sys
import uvloop
from tests.net.visiting import echo
from holdfast.net.doorman import Doorman
from holdfast.net.guest import Guest
from holdfast.net.listen import Listener

async def main():
    listener = Listener(echo, doorman=Doorman.of("127.0.0.1", 0))
    bound = await listener.start("127.0.0.1", 0)
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
    print(bound[0][1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await listener.close(0.0)

uvloop.run(main())
"""


def test_out_of_descriptors_it_lives_on_and_does_not_flood_the_log() -> None:
    """Two hundred connections with forty descriptors: ≤ 10 kB said, and then served again.

    (asyncio's own loop says it once for each place in the backlog, once a second.)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", STARVED],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline())
        crowd = []
        for _ in range(200):
            sock = socket.socket()
            sock.settimeout(0.5)
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                crowd.append(sock)
        time.sleep(0.5)
        for sock in crowd:
            sock.close()

        def served() -> bool:
            try:
                with Visitor(("127.0.0.1", port)) as visitor:
                    visitor.sock.settimeout(0.5)
                    return visitor.send(GOOD).answer().status == 200
            except (OSError, AssertionError):
                return False

        eventually(served)
        process.stdin.close()
        assert process.wait(10) == 0
        assert process.stderr is not None
        said = process.stderr.read()
        assert len(said) <= 10_000, said[-2000:]
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            assert stream is not None
            stream.close()


# -------------------------------------------------------------------- closing


@both_loops
def test_closing_lets_replies_end_and_takes_no_more(kind: str) -> None:
    """The reply under way ends properly, with `connection: close` where it can still be said."""
    kept = Kept()
    with House(kept, kind=kind) as home, home.visit() as early, home.visit() as late:
        for visitor in (early, late):
            visitor.send(GOOD)
        eventually(lambda: len(kept.replies) == 2)
        home.do(lambda: (kept.replies[0].begin(200, TEXT), kept.replies[0].say(b"one ")))
        closing = home.start(home.listener.close(10.0))
        eventually(lambda: home.listener.draining)
        with pytest.raises(ConnectionRefusedError):
            home.visit()
        home.do(lambda: (kept.replies[0].say(b"two"), kept.replies[0].finish()))
        home.do(lambda: kept.replies[1].send(200, TEXT, b"late"))
        answers = {v.answer().body: v.rest() for v in (early, late)}
        assert answers == {b"one two": b"", b"late": b""}
        for visitor in (early, late):
            visitor.sock.close()
        closing.result(5)
        assert kept.gone == 0


@both_loops
def test_closing_sends_the_idle_away_at_once(kind: str) -> None:
    with House(kind=kind) as home, home.visit() as idle, home.visit() as fresh:
        assert idle.send(GOOD).answer().status == 200
        eventually(lambda: home.listener.connections == 2)
        begun = time.monotonic()
        home.wait_for(home.listener.close(5.0))
        assert time.monotonic() - begun < 2.0
        assert idle.closed()
        assert fresh.closed()


def test_who_just_came_may_still_ask_while_it_closes() -> None:
    """Its request may be on the way: a refused one would be lost for nothing."""
    with House() as home, home.visit() as fresh:
        eventually(lambda: home.listener.connections == 1)
        closing = home.start(home.listener.close(5.0))
        eventually(lambda: home.listener.draining)
        answer = fresh.send(GOOD).answer()
        assert (answer.status, answer.header("connection")) == (200, "close")
        assert fresh.rest() == b""
        fresh.sock.close()
        closing.result(5)


@both_loops
def test_closing_cuts_what_does_not_end_in_time(kind: str) -> None:
    """Uncleanly, and the handler learns of it."""
    kept = Kept()
    with House(kept, kind=kind) as home, home.visit() as visitor:
        visitor.send(GOOD)
        eventually(lambda: kept.replies)
        home.do(lambda: (kept.replies[0].begin(200, TEXT), kept.replies[0].say(b"some")))
        begun = time.monotonic()
        home.wait_for(home.listener.close(0.2))
        assert 0.15 < time.monotonic() - begun < 2.0
        assert kept.gone == 1
        try:
            answer = visitor.answer()
        except ConnectionResetError:
            return
        assert not answer.whole


def test_closing_twice_and_without_a_guest_is_quick() -> None:
    with House() as home:
        begun = time.monotonic()
        home.wait_for(home.listener.close(5.0))
        home.wait_for(home.listener.close(5.0))
        assert time.monotonic() - begun < 1.0


# -------------------------------------------------------------- many, and memory


def test_a_connection_that_ended_leaves_no_cycle_behind() -> None:
    """Thousands an hour that only the collector finds would be a pause of everybody's."""

    def alive() -> int:
        return sum(isinstance(thing, Guest | Intake | Reply) for thing in gc.get_objects())

    with House() as home:
        home.is_well()
        eventually(lambda: home.listener.connections == 0)
        home.requests.clear()
        gc.collect()
        gc.disable()
        try:
            before = alive()
            upgrade = post(b"", b"Connection: Upgrade", b"Upgrade: h2c")
            for last in (b"nonsense\r\n\r\n", upgrade, b""):
                with home.visit() as visitor:
                    for data in (GOOD, post(b"{}")):
                        visitor.send(data).answer()
                    visitor.send(last)
            eventually(lambda: home.listener.connections == 0)
            eventually(lambda: alive() <= before, within_s=2.0)
        finally:
            gc.enable()


def test_many_at_once_are_all_served() -> None:
    """Fifty clients with twenty requests each, bodies and all."""
    with House() as home:
        troubles: list[BaseException] = []

        def client(n: int) -> None:
            try:
                with home.visit() as visitor:
                    for k in range(20):
                        body = b'{"n":%d,"k":%d}' % (n, k)
                        assert visitor.send(post(body)).answer().body == body
            except BaseException as trouble:  # noqa: BLE001 - told by the test
                troubles.append(trouble)

        threads = [threading.Thread(target=client, args=(n,)) for n in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert troubles == []
        assert len(home.requests) == 1000


def test_trouble_with_one_connection_keeps_nobody_else_from_being_looked_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That one is cut, and told of; the next that says nothing for too long is sent away."""
    look = Guest.look
    broken: list[Guest] = []

    def breaks(self: Guest, now: float) -> None:
        if not broken or self is broken[0]:
            broken.append(self)
            raise ZeroDivisionError
        look(self, now)

    with House(header_s=0.3, idle_s=0.3) as home:
        home.forgive = True
        with Visitor(home.bound[0]) as visitor:
            monkeypatch.setattr(Guest, "look", breaks)
            assert visitor.sock.recv(10) == b""
            assert isinstance(home.crashes[0][0], ZeroDivisionError)
        with Visitor(home.bound[0]) as other:
            other.send(b"GET / HTTP/1.1\r\n")
            assert other.answer().status == 408
