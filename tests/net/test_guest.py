"""One connection: whose turn it is, who is slow, who has left, and what our own crashes cost."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.net.asking import LOOPS
from tests.net.test_intake import BYTES, MALFORMED
from tests.net.visiting import GOOD, House, Visitor, echo, eventually, pieces, post

from holdfast.facts.calls import Headers
from holdfast.net.reply import Reply, Request

TEXT: Headers = ((b"content-type", b"text/plain"),)


class Kept:
    """A handler that answers nothing by itself."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.gone: list[float] = []

    def __call__(self, _: Request, reply: Reply) -> None:
        reply.on_gone = lambda: self.gone.append(time.monotonic())
        self.replies.append(reply)


def stuff(visitor: Visitor) -> None:
    """Send requests until no more are taken."""
    visitor.sock.settimeout(0.2)
    with contextlib.suppress(TimeoutError):
        while True:
            visitor.sock.sendall(post(b"x" * 60_000))


# -------------------------------------------------------------------- turns


@pytest.mark.parametrize("kind", LOOPS)
def test_pipelined_requests_are_answered_in_order_one_at_a_time(kind: str) -> None:
    """The second reaches the handler when the first is answered, and not before."""
    kept = Kept()
    with House(kept, kind=kind) as home, home.visit() as visitor:
        visitor.send(post(b'{"n":1}') + post(b'{"n":2}') + GOOD)
        for n in range(3):
            eventually(lambda n=n: len(kept.replies) == n + 1)
            time.sleep(0.02)
            assert len(kept.replies) == n + 1
            home.do(lambda n=n: kept.replies[n].send(200, TEXT, b"%d" % n))
            assert visitor.answer().body == b"%d" % n
    assert [request.body for request in home.requests] == [b'{"n":1}', b'{"n":2}', b""]


@pytest.mark.parametrize("kind", LOOPS)
def test_many_pipelined_requests_cost_no_stack_and_no_memory(kind: str) -> None:
    """Twenty thousand in one go: read as they are answered."""
    count = 20_000
    with House(kind=kind) as home, home.visit() as visitor:
        visitor.sock.setblocking(False)
        data, got = GOOD * count, b""
        end = time.monotonic() + 20
        while got.count(b"/good") < count:
            assert time.monotonic() < end
            with contextlib.suppress(BlockingIOError):
                data = data[visitor.sock.send(data[:200_000]) :] if data else data
            try:
                got += visitor.sock.recv(1 << 20)
            except BlockingIOError:
                time.sleep(0.001)
        assert got.count(b"HTTP/1.1 200 OK") == count
        assert len(home.requests) == count


def test_reading_pauses_behind_a_request_that_is_being_answered() -> None:
    """What may wait is bounded; the rest stays with the kernels and the client."""
    kept = Kept()
    with House(kept) as home, home.visit() as visitor:
        visitor.send(GOOD)
        eventually(lambda: kept.replies)
        stuff(visitor)
        (guest,) = home.listener._guests
        assert len(guest._waiting) < 1 << 20


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("case", [*sorted(MALFORMED)[::4], "length and coding", "tls hello"])
def test_a_malformed_request_gets_its_answer_and_a_closed_connection(kind: str, case: str) -> None:
    """Behind the good one before it; what is behind it is never served. Then a good one is."""
    data, status = MALFORMED[case]
    with House(kind=kind) as home:
        with home.visit() as visitor:
            visitor.send(GOOD).try_send(data + GOOD + post(b"{}"))
            assert visitor.answer().status == 200
            answer = visitor.answer()
            assert (answer.status, answer.header("connection")) == (status, "close")
            assert answer.header("content-type") == "application/json"
            assert answer.error.startswith("holdfast: ")
            assert visitor.rest() == b""
        assert [request.path for request in home.requests] == ["/good"]
        assert home.listener.refuses == {status: 1}
        home.is_well()


def test_a_refused_head_request_gets_no_body() -> None:
    """A body there would be read as the next reply."""
    with House() as home, home.visit() as visitor:
        visitor.send(b"HEAD / HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        answer = visitor.answer(head_only=True)
        assert (answer.status, answer.header("connection")) == (421, "close")
        assert visitor.rest() == b""


def test_a_refusal_is_read_by_a_client_that_is_still_sending() -> None:
    """The connection lingers: a reset would overtake the answer."""
    with House() as home, home.visit() as visitor:
        visitor.send(
            post(b"", path=b"/big").replace(
                b"Content-Length: 0", b"Content-Length: %d" % (64 << 20)
            )
        )
        for _ in range(100):
            visitor.try_send(b"x" * 65_536)
        answer = visitor.answer()
        assert answer.status == 413
        assert "32 MB" in answer.error
    assert home.requests == []


def test_a_chunked_body_that_grows_too_large_is_told_while_it_grows() -> None:
    with House(max_body=200_000) as home, home.visit() as visitor:
        visitor.send(post(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked"))
        for _ in range(10):
            visitor.try_send(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
        answer = visitor.answer()
        assert (answer.status, answer.header("connection")) == (413, "close")
    assert home.requests == []


# ------------------------------------------------------------------- expecting


@pytest.mark.parametrize("framing", ["counted", "chunked"])
def test_who_expects_to_go_on_is_told_to(framing: str) -> None:
    """Once the head is fine, and before the body is there."""
    head = post(b"12345", b"Expect: 100-continue")[:-5]
    body = b"12345"
    if framing == "chunked":
        head = head.replace(b"Content-Length: 5", b"Transfer-Encoding: chunked")
        body = b"5\r\n12345\r\n0\r\n\r\n"
    with House() as home, home.visit() as visitor:
        visitor.send(head[:-2])
        assert not visitor.closed(0.05)
        visitor.send(head[-2:])
        assert visitor.answer().status == 100
        assert visitor.send(body).answer().body == b"12345"
        # The next one does not wait for the word, and gets none.
        answer = visitor.send(head + body).answer()
        assert (answer.status, answer.body) == (200, b"12345")


def test_the_word_comes_once_however_the_body_trickles() -> None:
    with House() as home, home.visit() as visitor:
        visitor.send(post(b"12345", b"Expect: 100-continue")[:-5])
        assert visitor.answer().status == 100
        for byte in pieces(b"12345", 1):
            visitor.send(byte)
            time.sleep(0.005)
        assert visitor.answer().status == 200
        assert home.requests[0].body == b"12345"


def test_who_expects_too_much_is_told_at_once() -> None:
    """No 100 before a 413, 415 or 421: the body need not come."""
    good = post(b"x", b"Expect: 100-continue")[:-1]
    for bad, status in (
        (good.replace(b"Length: 1", b"Length: 99999999999"), 413),
        (good.replace(b"application/json", b"text/plain"), 415),
        (good.replace(b"localhost", b"evil.example"), 421),
    ):
        with House() as home:
            assert home.ask(bad).status == status


def test_http_1_0_is_not_told_to_go_on() -> None:
    data = post(b"12345", b"Expect: 100-continue").replace(b"1.1", b"1.0")
    with House() as home, home.visit() as visitor:
        visitor.send(data[:-5])
        time.sleep(0.05)
        answer = visitor.send(data[-5:]).answer()
        assert (answer.status, answer.body) == (200, b"12345")


def test_an_offer_of_another_protocol_is_passed_over() -> None:
    """h2c and WebSocket: answered in HTTP/1.1, with the connection going on."""
    with House() as home, home.visit() as visitor:
        for offer in (b"h2c", b"websocket"):
            data = post(b"{}", b"Connection: Upgrade", b"Upgrade: " + offer)
            answer = visitor.send(data).answer()
            assert (answer.status, answer.body) == (200, b"{}")
            assert answer.header("upgrade") is None
        assert visitor.send(GOOD).answer().status == 200


# ----------------------------------------------------------------- who is slow


def trickle(visitor: Visitor, data: bytes) -> float:
    """Send byte by byte until an answer comes; returns how long that took, in seconds."""
    begun = time.monotonic()
    for byte in pieces(data, 1):
        visitor.try_send(byte)
        if select.select([visitor.sock], [], [], 0.02)[0]:
            return time.monotonic() - begun
    raise AssertionError("no answer came while it trickled")


SLOW = {"header_s": 0.15, "idle_s": 0.15, "body_grace_s": 0.15, "linger_s": 0.15}


@pytest.mark.parametrize("kind", LOOPS)
def test_a_head_that_trickles_is_given_up(kind: str) -> None:
    """However steadily it comes: it must be whole in time."""
    with House(kind=kind, **SLOW) as home, home.visit() as visitor:
        assert trickle(visitor, b"GET / HTTP/1.1\r\nX: " + b"y" * 1000) < 1.0
        answer = visitor.answer()
        assert (answer.status, answer.header("connection")) == (408, "close")
        assert "0.15 s" in answer.error
        assert home.requests == []
        eventually(lambda: home.listener.connections == 0)
        home.is_well()


def test_the_next_head_has_its_own_time() -> None:
    with House(**SLOW) as home, home.visit() as visitor:
        assert visitor.send(GOOD).answer().status == 200
        time.sleep(0.08)
        visitor.send(GOOD[:20])
        time.sleep(0.08)
        assert visitor.send(GOOD[20:]).answer().status == 200
        assert visitor.send(GOOD[:20]).answer().status == 408
    assert len(home.requests) == 2


@pytest.mark.parametrize("first", [b"", b"\r\n", b"\r\n\r\n\r\n"])
def test_a_connection_that_asks_nothing_is_closed_without_a_word(first: bytes) -> None:
    with House(**SLOW) as home, home.visit() as visitor:
        visitor.send(first)
        assert visitor.rest() == b""
        eventually(lambda: home.listener.connections == 0)
    assert home.listener.refuses == {}


@pytest.mark.parametrize("kind", LOOPS)
def test_an_idle_connection_is_closed_between_requests(kind: str) -> None:
    with House(kind=kind, **SLOW) as home, home.visit() as visitor:
        begun = time.monotonic()
        assert visitor.send(GOOD).answer().status == 200
        assert visitor.closed(2.0)
        assert 0.1 < time.monotonic() - begun < 1.0
    assert home.listener.refuses == {}


@pytest.mark.parametrize("kind", LOOPS)
def test_a_body_that_trickles_is_given_up(kind: str) -> None:
    """Bytes that keep coming are not enough: there is a rate."""
    with House(kind=kind, **SLOW) as home, home.visit() as visitor:
        visitor.send(post(b"x" * 1000)[:-1000])
        assert trickle(visitor, b"x" * 1000) < 1.0
        answer = visitor.answer()
        assert (answer.status, answer.header("connection")) == (408, "close")
        assert "too slowly" in answer.error
    assert home.requests == []


def test_a_body_at_the_rate_may_take_its_time() -> None:
    """Slow and steady is a phone in a train, not an attack."""
    body = b"x" * 40_000
    with House(body_rate=50_000.0, **SLOW) as home, home.visit() as visitor:
        visitor.send(post(body)[: -len(body)])
        for piece in pieces(body, 4000):
            visitor.send(piece)
            time.sleep(0.05)
        assert visitor.answer().body == body
    assert home.listener.refuses == {}


def test_a_request_that_waits_for_its_answer_is_not_slow() -> None:
    """No time of ours bounds how long an answer takes."""
    kept = Kept()
    with House(kept, stalled_s=0.15, **SLOW) as home, home.visit() as visitor:
        visitor.send(post(b"{}"))
        time.sleep(0.5)
        home.do(lambda: kept.replies[0].send(200, TEXT, b"at last"))
        assert visitor.answer().body == b"at last"


def test_an_answer_that_is_silent_for_long_is_not_stalled() -> None:
    """There is nothing buffered: it is the target that is silent, not the client that is slow."""
    kept = Kept()
    with House(kept, stalled_s=0.15, **SLOW) as home, home.visit() as visitor:
        visitor.send(GOOD)
        eventually(lambda: kept.replies)
        home.do(lambda: (kept.replies[0].begin(200, TEXT), kept.replies[0].say(b"one ")))
        time.sleep(0.4)
        home.do(lambda: (kept.replies[0].say(b"two"), kept.replies[0].finish()))
        answer = visitor.answer()
        assert (answer.body, answer.whole) == (b"one two", True)


@pytest.mark.parametrize("kind", LOOPS)
def test_a_slow_reader_turns_writable_off_and_on_again(kind: str) -> None:
    """No more than the bound piles up, and everything arrives in the end."""
    chunk, total = bytes(64_000), 100
    log: list[str] = []

    def handle(_: Request, reply: Reply) -> None:
        left = total

        def pour() -> None:
            nonlocal left
            while left and reply.writable:
                reply.say(chunk)
                left -= 1
            if left:
                log.append("full")
            else:
                reply.finish()

        def again() -> None:
            log.append("writable")
            assert reply.writable
            pour()

        reply.on_writable = again
        reply.begin(200, TEXT)
        pour()

    with (
        House(handle, kind=kind, max_buffered=200_000) as home,
        home.visit(receive_bytes=8192) as visitor,
    ):
        visitor.send(GOOD)
        eventually(lambda: log)
        (guest,) = home.listener._guests
        assert home.do(guest._transport.get_write_buffer_size) < 300_000
        assert log == ["full"]
        answer = visitor.answer()
        assert (len(answer.body), answer.whole) == (len(chunk) * total, True)
        assert log[:2] == ["full", "writable"]


@pytest.mark.parametrize("kind", LOOPS)
def test_the_next_reply_begins_behind_what_the_last_left_unread(kind: str) -> None:
    """Full is the connection's state: its next reply is told so, and when it passes."""
    kept = Kept()
    with (
        House(kept, kind=kind, max_buffered=100_000) as home,
        home.visit(receive_bytes=8192) as visitor,
    ):
        visitor.send(GOOD * 2)
        eventually(lambda: kept.replies)
        home.do(lambda: kept.replies[0].send(200, TEXT, bytes(10_000_000)))
        eventually(lambda: len(kept.replies) == 2)
        told: list[bool] = []
        second = kept.replies[1]
        assert not second.writable
        home.do(lambda: setattr(second, "on_writable", lambda: told.append(second.writable)))
        assert len(visitor.answer().body) == 10_000_000
        eventually(lambda: told)
        assert told == [True]
        home.do(lambda: second.send(200, TEXT, b"next"))
        assert visitor.answer().body == b"next"


@pytest.mark.parametrize("kind", LOOPS)
def test_a_reader_that_takes_nothing_is_dropped(kind: str) -> None:
    """Its handler learns that it is gone; one that takes a little stays."""
    kept = Kept()
    with (
        House(kept, kind=kind, max_buffered=100_000, stalled_s=0.3) as home,
        home.visit() as visitor,
    ):
        visitor.send(GOOD)
        eventually(lambda: kept.replies)
        reply = kept.replies[0]
        home.do(lambda: (reply.begin(200, TEXT), reply.say(bytes(80_000_000))))
        begun = time.monotonic()
        while time.monotonic() - begun < 0.9:  # three times the patience
            visitor.sock.recv(500_000)
            time.sleep(0.01)
            assert not kept.gone
        eventually(lambda: kept.gone, within_s=2.0)
        assert home.do(lambda: reply.ended)


def test_who_was_told_to_go_and_does_not_is_closed_all_the_same() -> None:
    """The answer can be read even then."""
    with House(linger_s=0.15, stalled_s=0.3) as home, home.visit() as visitor:
        visitor.send(b"nonsense\r\n\r\n")
        eventually(lambda: home.listener.connections == 0)
        assert visitor.answer().status == 400


# -------------------------------------------------------------------- who left


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("manner", ["close", "reset", "half"])
@pytest.mark.parametrize("begun", [False, True], ids=["before", "within"])
def test_a_client_that_leaves_is_noticed_at_once(kind: str, manner: str, begun: bool) -> None:
    """Before the reply began, and in the middle of it; told once, and a second is the limit."""
    kept = Kept()
    with House(kept, kind=kind) as home, home.visit() as visitor:
        visitor.send(GOOD)
        eventually(lambda: kept.replies)
        reply = kept.replies[0]
        if begun:
            home.do(lambda: (reply.begin(200, TEXT), reply.say(b"some")))
            visitor.sock.recv(65536)
        left = time.monotonic()
        {"close": visitor.sock.close, "reset": visitor.reset, "half": visitor.shut}[manner]()
        eventually(lambda: kept.gone, within_s=1.0)
        assert kept.gone[0] - left < 1.0
        home.do(lambda: (reply.say(b"late"), reply.finish(), reply.break_()))
        assert home.do(lambda: reply.ended)
        assert len(kept.gone) == 1
        eventually(lambda: home.listener.connections == 0)


@pytest.mark.parametrize("kind", LOOPS)
def test_a_client_that_leaves_with_much_unread_is_noticed_at_once(kind: str) -> None:
    """Nothing waits for what it will never take."""
    kept = Kept()
    with House(kept, kind=kind) as home, home.visit(receive_bytes=4096) as visitor:
        visitor.send(GOOD)
        eventually(lambda: kept.replies)
        reply = kept.replies[0]
        home.do(lambda: (reply.begin(200, TEXT), reply.say(bytes(20_000_000))))
        visitor.shut()
        eventually(lambda: kept.gone, within_s=1.0)


def test_a_client_that_leaves_with_a_request_waiting_is_noticed_too() -> None:
    """As long as reading goes on. (Behind 64 kB that wait it does not: there the end is unseen.)"""
    kept = Kept()
    with House(kept) as home, home.visit() as visitor:
        visitor.send(GOOD)
        eventually(lambda: kept.replies)
        visitor.send(post(b"x" * 30_000)).shut()
        eventually(lambda: kept.gone, within_s=1.0)
        assert len(kept.replies) == 1


def test_a_client_that_leaves_behind_the_end_is_nobodys_loss() -> None:
    gone: list[int] = []

    def handle(_: Request, reply: Reply) -> None:
        reply.on_gone = lambda: gone.append(1)
        reply.send(200, TEXT, b"all")

    with House(handle) as home:
        assert home.ask(GOOD).body == b"all"
        eventually(lambda: home.listener.connections == 0)
    assert gone == []


def test_a_half_closing_client_gets_an_answer_that_is_ready_at_once() -> None:
    """`printf … | nc` closes its half behind the request."""
    with House() as home, home.visit() as visitor:
        assert visitor.send(GOOD).shut().answer().status == 200


def test_a_body_that_breaks_off_reaches_no_handler() -> None:
    with House() as home:
        with home.visit() as visitor:
            visitor.send(post(b"12345")[:-1]).shut()
            assert visitor.rest() == b""
        eventually(lambda: home.listener.connections == 0)
        assert home.requests == []
        home.is_well()


# ------------------------------------------------------------- our own crashes


@pytest.mark.parametrize("kind", LOOPS)
def test_a_handler_that_raises_costs_its_own_request_and_no_other(kind: str) -> None:
    def handle(request: Request, reply: Reply) -> None:
        if request.path == "/bad":
            raise ZeroDivisionError("sk-secret")
        echo(request, reply)

    with House(handle, kind=kind) as home, home.visit() as visitor:
        home.forgive = True
        answer = visitor.send(GOOD.replace(b"/good", b"/bad")).answer()
        assert answer.status == 500
        assert "own code" in answer.error
        assert "sk-secret" not in answer.error
        assert visitor.send(GOOD).answer().status == 200  # the very same connection
        ((error, request),) = home.crashes
        assert isinstance(error, ZeroDivisionError)
        assert request is not None
        assert request.path == "/bad"


def test_a_handler_that_raises_within_its_answer_breaks_it() -> None:
    def handle(request: Request, reply: Reply) -> None:
        reply.begin(200, TEXT)
        reply.say(b"some")
        raise ZeroDivisionError

    with House(handle) as home, home.visit() as visitor:
        home.forgive = True
        answer = visitor.send(GOOD).answer()
        assert (answer.body, answer.whole) == (b"some", False)


def test_a_handler_that_raises_behind_its_answer_harms_nobody() -> None:
    def handle(request: Request, reply: Reply) -> None:
        echo(request, reply)
        raise ZeroDivisionError

    with House(handle) as home, home.visit() as visitor:
        home.forgive = True
        for _ in range(2):
            assert visitor.send(GOOD).answer().body == b"/good"
        assert len(home.crashes) == 2


# --------------------------------------------------------------------- any bytes


def any_bytes_are_survived(home: House, parts: list[bytes]) -> None:
    """However they are cut: an answer or none, then a closed connection, and the house is well."""
    with home.visit() as visitor:
        for part in parts:
            visitor.try_send(part)
        try:
            visitor.shut()
            visitor.rest()
        except OSError:
            pass  # reset: it would not hear more
    home.is_well()


@pytest.mark.parametrize("kind", LOOPS)
def test_any_bytes_at_the_door_leave_the_house_standing(kind: str) -> None:
    with House(kind=kind) as home:

        @settings(max_examples=60)
        @given(BYTES)
        def hold(parts: list[bytes]) -> None:
            any_bytes_are_survived(home, parts)

        hold()
        eventually(lambda: home.listener.connections == 0)


def test_any_split_of_a_good_request_is_the_same_request() -> None:
    whole = post(b'{"model":"m","messages":[]}', b"X-Twice: 1", b"X-Twice: 2")
    with House() as home, home.visit() as visitor:

        @settings(max_examples=60)
        @given(st.sets(st.integers(1, len(whole) - 1), max_size=5))
        def hold(cuts: set[int]) -> None:
            for a, b in pairwise(sorted({0, len(whole), *cuts})):
                visitor.send(whole[a:b])
                if len(cuts) < 3:
                    time.sleep(0.001)  # so that they come apart
            assert visitor.answer().body == b'{"model":"m","messages":[]}'

        hold()
    first = home.requests[0]
    assert all(r.headers == first.headers and r.body == first.body for r in home.requests)


@pytest.mark.long
def test_any_bytes_at_length() -> None:
    with House() as home:

        @settings(settings.get_profile("long"), max_examples=2000)
        @given(BYTES)
        def hold(parts: list[bytes]) -> None:
            any_bytes_are_survived(home, parts)

        hold()


def test_half_open_strangers_do_not_slow_down_a_guest() -> None:
    """Five hundred that never finish a head: others are served as before."""
    with House(header_s=5.0) as home:
        strangers = [home.visit().send(b"GET / HTTP/1.1\r\nHost: localh") for _ in range(500)]
        eventually(lambda: home.listener.connections == 500)
        begun = time.monotonic()
        for _ in range(20):
            home.is_well()
        assert time.monotonic() - begun < 5.0
        for stranger in strangers:
            stranger.sock.close()


def test_what_a_guest_is_called() -> None:
    """Address and port, the address of version 6 in brackets."""
    with House() as home:
        for host, port in home.bound:
            with Visitor((host, port)) as visitor:
                own = visitor.sock.getsockname()
                assert visitor.send(GOOD).answer().status == 200
                name = f"[{own[0]}]" if visitor.sock.family == socket.AF_INET6 else own[0]
                assert home.requests[-1].peer == f"{name}:{own[1]}"
                now = home.do(lambda: asyncio.get_running_loop().time())
                assert 0 <= now - home.requests[-1].received_at < 5
