"""Peers over real sockets: heard, forgiven, never believed twice."""

from __future__ import annotations

import asyncio
import random
import time

import msgspec
from tests.net.asking import on_loop
from tests.net.script_server import ScriptServer, Step, closed_port, read, send

from holdfast.core.peers import Tally
from holdfast.facts.observations import Observation
from holdfast.net.dial import Dialer
from holdfast.net.neighbours import FEED_PATH, Peers

NAMES = {"mine": "north"}


def feed(nonce: str = "theirs", ok: int = 3) -> bytes:
    """An answer with a feed, as another gateway gives it."""
    tally = Tally(nonce, NAMES, {})
    tally.observe(
        Observation(
            at=0.0,
            wall=time.time(),
            kind="traffic",
            provider="mine",
            surface="messages",
            count=ok,
        )
    )
    return answer(msgspec.json.encode(tally.feed(time.time())))


def answer(body: bytes, status: int = 200) -> bytes:
    head = b"HTTP/1.1 %d So\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % (status, len(body)) + body


def peers(dialer: Dialer, *urls: str) -> Peers:
    return Peers(
        urls,
        "ours",
        NAMES,
        dialer,
        clock=asyncio.get_running_loop().time,
        wall=time.time,
        dice=random.Random(1).random,
    )


def visits(*urls: str, times: int = 1) -> tuple[list[list[Observation]], tuple[str, ...]]:
    """Ask all of them some times over; what came each time, and the alarms at the end."""
    found: list[list[Observation]] = []
    alarms: list[str] = []

    async def flight(dialer: Dialer) -> None:
        all_of_them = peers(dialer, *urls)
        for _ in range(times):
            found.extend([await source.news() for source in all_of_them.sources])
        alarms.extend(all_of_them.alarms)

    on_loop("uvloop", flight)
    return found, tuple(alarms)


def script(*answers: bytes) -> list[list[Step]]:
    return [[read(), send(data)] for data in answers]


def test_what_a_peer_saw_is_heard_once() -> None:
    with ScriptServer(*script(feed(ok=3), feed(ok=5))) as server:
        found, alarms = visits(server.url + "/", times=2)
        assert server.requests[0].startswith(b"GET " + FEED_PATH.encode() + b" HTTP/1.1\r\n")
    assert alarms == ()
    assert [o.count for o in found[0]] == [3]
    assert sum(o.count for batch in found for o in batch) in (5, 8)  # 8: a minute began between
    assert {(o.kind, o.peer) for batch in found for o in batch} == {("peer", "peer1")}


def test_a_peer_in_trouble_is_told_of_plainly_and_forgiven() -> None:
    answers = (b"garbage\r\n\r\n", answer(b"{}"), answer(b"", 404), feed())
    with ScriptServer(*script(*answers)) as server:
        found, alarms = visits(server.url, times=3)
        assert found == [[], [], []]
        (alarm,) = alarms
        assert "is not heard: it answers with the status 404" in alarm
        assert "Calls are not affected" in alarm
        found, alarms = visits(server.url)
        assert len(found[0]) == 1
        assert alarms == ()


def test_nobody_there_and_a_flood_are_troubles_too() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 50000000\r\n\r\n"
    with ScriptServer([read(), send(head)]) as flood:
        found, alarms = visits(f"http://127.0.0.1:{closed_port()}", flood.url)
    assert found == [[], []]
    assert "refused" in alarms[0]
    assert "larger" in alarms[1]


def test_nobody_confirms_himself_and_nobody_twice() -> None:
    with (
        ScriptServer(*script(feed("ours"))) as mirror,
        ScriptServer(*script(feed("theirs"))) as one,
        ScriptServer(*script(feed("theirs"))) as again,
    ):
        found, alarms = visits(mirror.url, one.url, again.url)
    assert [len(batch) for batch in found] == [0, 1, 0]
    assert "this very gateway" in alarms[0]
    assert "under another address" in alarms[1]


def test_each_is_asked_at_its_own_pace_and_never_twice_at_a_time() -> None:
    with ScriptServer(*script(feed())) as server:

        async def flight(dialer: Dialer) -> None:
            dead = f"http://127.0.0.1:{closed_port()}"
            both = peers(dialer, server.url, dead, dead)
            assert len(both.sources) == 2
            at = asyncio.get_running_loop().time()
            good, bad = both.due(at)
            asking = asyncio.create_task(good.news())
            await asyncio.sleep(0)
            assert both.due(at) == [bad]
            await bad.news()
            await asking
            assert both.due(at + 20) == []
            assert both.due(at + 40) == [good]
            assert both.due(at + 70) == [good, bad]

        on_loop("asyncio", flight)
