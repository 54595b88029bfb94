"""When our own code breaks before the first byte, the traffic passes."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.doubles import acts
from tests.doubles.provider import Provider as Double
from tests.net.flying import DataPlane, asking
from tests.net.script_server import ScriptServer, Step, read, send, tell, until_gone, wait
from tests.net.test_pilot import response
from tests.net.visiting import at_rest, eventually

from holdfast.facts.places import Dialect, Provider
from holdfast.net import front as front_module
from holdfast.wire import speak
from holdfast.wire.tap import PassingTap
from holdfast.wire.whole import WholeTap

BODY = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}]}


def broken(*_: object, **__: object) -> None:
    raise ZeroDivisionError("a fault of ours")


def ask(url: str) -> tuple[int, dict[str, object]]:
    """One plain call; its status and body."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port or 0, timeout=10)
    headers = {"content-type": "application/json", "anthropic-version": "2023-06-01"}
    connection.request("POST", "/v1/messages", json.dumps(BODY), headers)
    reply = connection.getresponse()
    found = json.loads(reply.read())
    connection.close()
    return reply.status, found


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (front_module, "plan"),
        (front_module, "Flight"),
        (speak, "peek"),
        (speak, "compose"),
        (speak, "tap"),
    ],
    ids=["plan", "flight", "peek", "compose", "tap"],
)
def test_a_fault_of_ours_costs_nobody_the_answer(
    monkeypatch: pytest.MonkeyPatch, place: object, name: str
) -> None:
    """The raw request reaches its provider, the raw answer the client, and the book has both."""
    monkeypatch.setattr(place, name, broken)
    with Double("first", "anthropic") as double:
        monkeypatch.setitem(BODY, "model", double.models[0])
        provider = Provider(name="first", dialects=("anthropic",), base_url=double.url)
        with DataPlane({"*": ("first/*",)}, provider, key=double.key.encode()) as plane:
            status, answer = ask(plane.url)
            book = plane.book
        assert status == 200, answer
        assert answer["type"] == "message"
        assert plane.crashes == []
        assert book.intents[-1].why == "passed through raw"
        assert book.settled[-1].outcome == "ok"
        assert book.exchanges[-1].outcome == "bypassed"
        # The tap breaks behind the first answer's head, so its request had left already.
        assert len(double.calls) == (2 if name == "tap" else 1)
        assert book.exchanges[-1].attempts == len(double.calls)


def test_a_provider_that_is_away_as_well_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our fault and theirs at once: an error in the client's dialect that names both."""
    monkeypatch.setattr(front_module, "plan", broken)
    provider = Provider(name="first", dialects=("anthropic",), base_url="http://127.0.0.1:9")
    with DataPlane({"*": ("first/*",)}, provider, key=b"k" * 20) as plane:
        status, answer = ask(plane.url)
        assert status == 502
        assert "holdfast's own code failed" in str(answer)
        assert plane.book.settled[-1].outcome == "failed"
        told = plane.book.exchanges[-1]
        assert (told.outcome, told.served_by) == ("declined", "")


def test_without_a_provider_of_the_dialect_our_fault_is_owned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where nobody could take the raw request, the client hears whose fault it is."""
    monkeypatch.setattr(front_module, "plan", broken)
    provider = Provider(name="first", dialects=("openai",), base_url="http://127.0.0.1:9")
    with DataPlane({"*": ("first/*",)}, provider, key=b"k" * 20) as plane:
        status, answer = ask(plane.url)
        assert status == 500
        assert "holdfast's own code failed" in str(answer)
        (told,) = plane.book.exchanges
        assert (told.outcome, told.attempts) == ("declined", 0)
        assert "own code failed" in told.because


# -------------------------------------------------- what holds for a bypass, too

KEY = b"sk-own-canary-0123456789"
GOOD = b'{"type": "message", "id": "msg_1"}'


@contextmanager
def passing(*steps: Step, monkeypatch: pytest.MonkeyPatch, **more: Any) -> Iterator[DataPlane]:
    """A data plane whose planning is broken, before one scripted target; `server` is on it."""
    monkeypatch.setattr(front_module, "plan", broken)
    with ScriptServer(steps) as server:
        provider = Provider(name="first", dialects=("anthropic",), base_url=server.url, **more)
        with DataPlane({"*": ("first/*",)}, provider, key=KEY) as plane:
            plane.server = server  # type: ignore[attr-defined]  # for the test
            yield plane


def test_the_raw_request_is_as_clean_as_any(monkeypatch: pytest.MonkeyPatch) -> None:
    """Untouched body and query, our key and no other credential, nothing of this hop."""
    body = json.dumps(BODY, indent=3).encode()
    lines = (b"cookie: canary", b"x-forwarded-for: canary", b"anthropic-beta: a")
    with passing(read(), send(response(200, GOOD)), monkeypatch=monkeypatch) as plane:
        asked = asking(body, *lines, path=b"/v1/messages?beta=true", key=b"client-canary")
        answer = plane.ask(asked)
        (seen,) = plane.server.requests  # type: ignore[attr-defined]
    assert (answer.status, answer.body) == (200, GOOD)
    assert answer.header("x-holdfast-exchange") == plane.book.exchanges[0].id
    head, _, sent = seen.partition(b"\r\n\r\n")
    assert sent == body
    assert head.startswith(b"POST /v1/messages?beta=true HTTP/1.1\r\n")
    assert b"anthropic-beta: a" in head
    assert head.count(KEY) == 1
    assert b"canary" not in seen.replace(KEY, b"")

    told = {name: answer.header(f"x-holdfast-{name}") for name in ("served-by", "attempts")}
    assert told == {"served-by": "first/m", "attempts": "1"}
    assert answer.header("x-holdfast-stand-in") is None


def test_the_raw_request_names_the_model_as_its_target_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with passing(read(), send(response(200, GOOD)), monkeypatch=monkeypatch) as plane:
        answer = plane.ask(asking(BODY | {"model": "first/its own"}))
        (seen,) = plane.server.requests  # type: ignore[attr-defined]
    assert answer.header("x-holdfast-served-by") == "first/its own"
    sent = json.loads(seen.partition(b"\r\n\r\n")[2])
    assert sent == BODY | {"model": "its own"}


@pytest.mark.parametrize(
    ("name", "dialect"), [("plan", "anthropic"), ("peek", "anthropic"), ("peek", "openai")]
)
def test_what_is_said_to_one_provider_is_told_to_no_other(
    monkeypatch: pytest.MonkeyPatch, name: str, dialect: Dialect
) -> None:
    """Where it cannot be read whom a call was meant for, nobody gets it.

    It may have been an engine of one's own, which is asked in another dialect.
    """
    with ScriptServer([read(), send(response(200, GOOD))]) as server, ScriptServer([]) as other:
        providers = [
            Provider(name="other", dialects=("anthropic",), base_url=other.url),
            Provider(name="meant", dialects=(dialect,), base_url=server.url),
        ]
        with DataPlane({"*": ("meant/*", "other/*")}, *providers, key=KEY) as plane:
            monkeypatch.setattr(front_module if name == "plan" else speak, name, broken)
            answer = plane.ask(asking(BODY))
        assert len(other.peers) == 0
        if name == "plan":
            assert (answer.status, answer.body) == (200, GOOD)
        else:
            assert answer.status == 500
            assert b"holdfast's own code failed" in answer.body


def test_the_raw_answer_sets_nothing_on_our_origin_and_echoes_no_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = (b"set-cookie: a=canary", b"access-control-allow-origin: *", b"location: http://x/")
    said = b'{"error":"no such key: ' + KEY + b'"}'
    answered = response(401, said, *lines, b"request-id: req_1", b"x-echo: " + KEY)
    with passing(read(), send(answered), monkeypatch=monkeypatch) as plane:
        answer = plane.ask(asking(BODY))
    assert answer.status == 401
    assert answer.header("request-id") == "req_1"
    assert (
        not {"set-cookie", "access-control-allow-origin", "location"} & dict(answer.headers).keys()
    )
    assert KEY.decode() not in repr((answer, plane.book.__dict__))
    assert plane.book.settled[0].outcome == "failed"


def test_a_subscription_is_not_carried_raw_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours switches no consent on."""
    with passing(read(), monkeypatch=monkeypatch, key="client") as plane:
        answer = plane.ask(asking(BODY, key=b"sk-ant-oat01-canary"))
        assert answer.status == 502
        assert b"subscription" in answer.body
        assert b"canary" not in answer.body
        assert plane.server.peers == []  # type: ignore[attr-defined]
        assert plane.book.intents == []


def test_a_provider_that_left_the_configuration_is_told_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with passing(read(), monkeypatch=monkeypatch) as plane:
        plane.do(plane.desk.places.clear)
        answer = plane.ask(asking(BODY))
        assert answer.status == 502
        assert b"no longer in the configuration" in answer.body
        assert answer.header("x-holdfast-attempts") == "0"
        (told,) = plane.book.exchanges
        assert (told.attempts, told.served_by) == (0, "")


def test_a_raw_answer_that_breaks_off_does_not_end_cleanly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cut = response(200, GOOD)[:-5]
    with passing(read(), send(cut), monkeypatch=monkeypatch) as plane:
        answer = plane.ask(asking(BODY))
        assert (answer.status, answer.whole, answer.body) == (200, False, GOOD[:-5])
        assert plane.book.settled[0].outcome == "failed"


@pytest.mark.parametrize("begun", [False, True], ids=["before", "within"])
def test_a_client_that_leaves_takes_the_bypass_along(
    monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    there = threading.Event()
    some = [send(response(200, GOOD)[:-5])] if begun else []
    with (
        passing(read(), *some, tell(there), until_gone(), monkeypatch=monkeypatch) as plane,
        plane.visit() as visitor,
    ):
        visitor.send(asking(BODY))
        assert there.wait(5)
        if begun:
            visitor._fill()
        left = time.monotonic()
        visitor.sock.close()
        peer = plane.server.peers[0]  # type: ignore[attr-defined]
        eventually(lambda: peer.left_at, within_s=1.5)
        assert peer.left_at - left < 1.0
        eventually(lambda: plane.book.settled)
        assert plane.book.settled[0].outcome == "abandoned"
        eventually(lambda: plane.book.exchanges)
        outcome = "bypassed" if begun else "abandoned"
        assert [line.outcome for line in plane.book.exchanges] == [outcome]


def test_a_slow_client_slows_the_bypass_down(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    piece, count = b"x" * 100_000, 300  # 30 MB

    def pour(peer: Any) -> None:
        for n in range(count):
            peer.sock.sendall(piece)
            sent.append(n)

    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (len(piece) * count)
    with (
        passing(read(), send(head), pour, monkeypatch=monkeypatch) as plane,
        plane.visit(receive_bytes=65_536) as visitor,
    ):
        visitor.send(asking(BODY))
        eventually(lambda: sent)
        assert at_rest(lambda: len(sent), 0.5) < count - 50
        answer = visitor.answer()
        assert (len(answer.body), answer.whole) == (len(piece) * count, True)


@contextmanager
def crashing(monkeypatch: pytest.MonkeyPatch, *steps: Step) -> Iterator[tuple[DataPlane, Any]]:
    """A data plane whose pilot breaks on the first answer; the steps are for its bypass."""
    monkeypatch.setattr(speak, "tap", broken)
    with ScriptServer([read(), send(response())], [read(), *steps]) as server:
        provider = Provider(name="first", dialects=("anthropic",), base_url=server.url)
        with DataPlane({"*": ("first/*",)}, provider, key=KEY) as plane:
            yield plane, server


def test_a_client_of_a_call_that_crashed_takes_its_bypass_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = threading.Event()
    with crashing(monkeypatch, tell(there), until_gone()) as (plane, server):
        with plane.visit() as visitor:
            visitor.send(asking(BODY))
            assert there.wait(5)
            visitor.sock.close()
            eventually(lambda: server.peers[-1].left_at, within_s=1.5)
            eventually(lambda: len(plane.book.settled) == 2)
        assert [each.outcome for each in plane.book.settled] == ["unknown", "abandoned"]


def test_a_slow_client_of_a_call_that_crashed_gets_all_of_its_bypass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size = 20_000_000
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size
    steps = (send(head), send(b"x" * size))
    with crashing(monkeypatch, *steps) as (plane, _), plane.visit(receive_bytes=65_536) as visitor:
        visitor.send(asking(BODY))
        time.sleep(0.5)
        answer = visitor.answer()
        assert (len(answer.body), answer.whole) == (size, True)


def test_a_book_that_breaks_leaves_no_client_without_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with crashing(monkeypatch, send(response(200, GOOD))) as (plane, _):
        settle = plane.book.settle
        monkeypatch.setattr(
            plane.book, "settle", lambda one: settle(one) if one.outcome == "ok" else broken()
        )
        assert plane.ask(asking(BODY)).body == GOOD
        monkeypatch.setattr(front_module, "plan", broken)
        monkeypatch.setattr(plane.front, "_meant", lambda _: None)
        monkeypatch.setattr(plane.book, "record", broken)
        assert plane.ask(asking(BODY)).status == 500


@pytest.mark.parametrize("before", [0, 2], ids=["read by the parser", "of a known shape"])
def test_a_fault_on_an_answer_leaves_no_attempt_open(
    monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    """It was sent, so the book says that its end is not known."""
    steps = [read(), send(response())] * (before + 1)
    with ScriptServer(steps, [read(), send(response())]) as server:
        provider = Provider(name="first", dialects=("anthropic",), base_url=server.url)
        with DataPlane({"*": ("first/*",)}, provider, key=KEY) as plane:
            for _ in range(before):
                assert plane.ask(asking(BODY)).status == 200
            monkeypatch.setattr(WholeTap, "feed", broken)
            assert plane.ask(asking(BODY)).status == 200
            settled = plane.book.settled
            assert {each.id for each in settled} == {each.id for each in plane.book.intents}
            assert [each.outcome for each in settled[before:]] == ["unknown", "ok"]


def test_a_retry_that_joined_is_passed_raw_with_the_call_it_joined(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One raw request for both, paid once."""
    there, go = threading.Event(), threading.Event()
    steps = [read(), tell(there), wait(go), send(response())]
    with ScriptServer(steps, [read(), send(response(200, GOOD))]) as server:
        provider = Provider(name="first", dialects=("anthropic",), base_url=server.url)
        with (
            DataPlane({"*": ("first/*",)}, provider, key=KEY) as plane,
            plane.visit() as first,
            plane.visit() as again,
        ):
            monkeypatch.setattr(speak, "tap", broken)
            first.send(asking(BODY, b"x-stainless-retry-count: 0"))
            assert there.wait(5)
            again.send(asking(BODY, b"x-stainless-retry-count: 1"))
            (pilot,) = plane.do(lambda: set(plane.desk.flying))
            eventually(lambda: len(pilot.audience.replies) == 2)
            go.set()
            answers = [first.answer(), again.answer()]
        assert [(answer.status, answer.body) for answer in answers] == [(200, GOOD)] * 2
        assert len(server.requests) == 2
        assert [each.outcome for each in plane.book.settled] == ["unknown", "ok"]
        assert [told.attempts for told in plane.book.exchanges] == [2]


def test_a_fault_on_the_fourth_attempt_makes_no_fifth(monkeypatch: pytest.MonkeyPatch) -> None:
    tap, count = speak.tap, 0

    def breaks_at_last(*args: Any) -> Any:
        nonlocal count
        count += 1
        return broken() if count == 4 else tap(*args)

    monkeypatch.setattr(speak, "tap", breaks_at_last)
    with ExitStack() as stack:
        servers = [
            stack.enter_context(ScriptServer([read(), send(response(529 if n < 3 else 200))]))
            for n in range(4)
        ]
        providers = [
            Provider(name=f"p{n}", dialects=("anthropic",), base_url=server.url)
            for n, server in enumerate(servers)
        ]
        targets = tuple(f"{provider.name}/*" for provider in providers)
        plane = stack.enter_context(DataPlane({"*": targets}, *providers, key=KEY))
        answer = plane.ask(asking(BODY))
        assert (answer.status, answer.header("x-holdfast-attempts")) == (500, "4")
        assert sum(len(server.requests) for server in servers) == 4


def test_a_fault_within_the_answer_breaks_it_and_does_not_say_it_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was said cannot be taken back: an unclean end, no second call, a settled attempt."""
    heard = 0
    feed = PassingTap.feed

    def breaks_later(self: PassingTap, data: bytes) -> Any:
        nonlocal heard
        pieces = feed(self, data)
        heard += bool(pieces)
        if heard > 6:
            broken()
        return pieces

    monkeypatch.setattr(PassingTap, "feed", breaks_later)
    with Double("first", "anthropic") as double:
        double.always(acts.slow(gap_s=0.02))
        provider = Provider(name="first", dialects=("anthropic",), base_url=double.url)
        with DataPlane({"*": ("first/*",)}, provider, key=double.key.encode()) as plane:
            answer = plane.ask(asking(BODY | {"model": double.models[0], "stream": True}))
        assert (answer.status, answer.whole) == (200, False)
        assert len(double.calls) == 1
        assert [settled.outcome for settled in plane.book.settled] == ["unknown"]
        assert len(plane.front.crashes) == 1
        (told,) = plane.book.exchanges
        assert (told.outcome, told.status, told.attempts) == ("broken", 200, 1)


def test_nothing_is_passed_raw_for_a_client_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may come back for the answer; for a fault of ours nobody pays twice."""
    there, go = threading.Event(), threading.Event()
    steps = [read(), tell(there), wait(go), send(response())]
    with ScriptServer(steps, [read(), send(response(200, GOOD))]) as server:
        provider = Provider(name="first", dialects=("anthropic",), base_url=server.url)
        with DataPlane({"*": ("first/*",)}, provider, key=KEY) as plane, plane.visit() as visitor:
            monkeypatch.setattr(speak, "tap", broken)
            visitor.send(asking(BODY, b"x-stainless-retry-count: 0"))
            assert there.wait(5)
            visitor.sock.close()
            (pilot,) = plane.do(lambda: set(plane.desk.flying))
            eventually(lambda: not pilot.audience.replies)
            go.set()
            eventually(lambda: plane.book.exchanges)
            (told,) = plane.book.exchanges
            assert (told.outcome, told.status, told.attempts) == ("abandoned", 0, 1)
        assert len(server.requests) == 1
