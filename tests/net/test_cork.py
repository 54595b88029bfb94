"""What is written in one turn of the loop: held back, in order, and never before what must be."""

from __future__ import annotations

import asyncio
import socket

import pytest

from holdfast.net.cork import HELD_BYTES_MAX, Cork


class _Transport(asyncio.WriteTransport):
    def __init__(self, log: list[object], name: str = "") -> None:
        super().__init__()
        self._log = log
        self._name = name

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None:
        self._log.append((self._name, "aborted"))

    def write(self, data: bytes | bytearray | memoryview[int]) -> None:
        self._log.append((self._name, bytes(data)))


def test_what_one_turn_writes_leaves_at_its_end_in_order_and_behind_what_comes_before() -> None:
    log: list[object] = []

    async def scene() -> None:
        cork = Cork()
        cork.before = lambda: log.append("before")
        one, other = _Transport(log, "one"), _Transport(log, "other")
        cork.write(one, b"a")
        cork.write(other, b"b")
        cork.write(one, b"c")
        assert not log
        await asyncio.sleep(0)

    asyncio.run(scene())
    assert log == ["before", ("one", b"a"), ("other", b"b"), ("one", b"c")]


def test_flushed_early_nothing_is_written_twice_and_what_comes_later_is_written_too() -> None:
    log: list[object] = []

    async def scene() -> None:
        cork = Cork()
        cork.write(_Transport(log), b"a")
        cork.flush()
        cork.write(_Transport(log), b"b")
        assert log == [("", b"a")]
        await asyncio.sleep(0)

    asyncio.run(scene())
    assert log == [("", b"a"), ("", b"b")]


def test_roused_it_calls_what_comes_before_although_nothing_is_written() -> None:
    log: list[object] = []

    async def scene() -> None:
        cork = Cork()
        cork.before = lambda: log.append("before")
        cork.rouse()
        cork.rouse()
        await asyncio.sleep(0)

    asyncio.run(scene())
    assert log == ["before"]


def test_of_much_nothing_is_held_back_so_that_the_transport_sees_who_does_not_keep_up() -> None:
    log: list[object] = []

    async def scene() -> None:
        cork = Cork()
        cork.before = lambda: log.append("before")
        cork.write(_Transport(log), b"a")
        cork.write(_Transport(log), bytes(HELD_BYTES_MAX))
        assert log == ["before", ("", b"a"), ("", bytes(HELD_BYTES_MAX))]

    asyncio.run(scene())


class _Broken(_Transport):
    def write(self, data: bytes | bytearray | memoryview[int]) -> None:
        raise RuntimeError(data)


def test_what_one_connection_breaks_on_costs_no_other_a_byte() -> None:
    log: list[object] = []

    async def scene() -> None:
        told: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, what: told.append(what))
        cork = Cork()
        cork.write(_Transport(log, "one"), b"a")
        cork.write(_Broken(log, "broken"), b"b")
        cork.write(_Transport(log, "other"), b"c")
        cork.flush()
        assert len(told) == 1

    asyncio.run(scene())
    assert log == [("one", b"a"), ("broken", "aborted"), ("other", b"c")]


def test_where_what_comes_before_fails_nothing_is_lost_or_said_twice() -> None:
    """It raises to the loop, which tells; an answer does not wait for that."""
    log: list[object] = []

    async def scene() -> None:
        cork = Cork()

        def before() -> None:
            raise OSError("the disk is gone")

        cork.before = before
        cork.write(_Transport(log), b"a")
        with pytest.raises(OSError, match="disk"):
            cork.flush()
        cork.before = None
        cork.write(_Transport(log), b"b")
        cork.flush()

    asyncio.run(scene())
    assert log == [("", b"a"), ("", b"b")]


def test_a_transport_that_closed_meanwhile_costs_no_other_a_byte() -> None:
    """On the loop that `holdfast up` runs on, which raises for writes to a closed transport."""
    import uvloop

    async def scene() -> tuple[bytes, list[object]]:
        loop, told = asyncio.get_running_loop(), list[object]()
        loop.set_exception_handler(lambda _, what: told.append(what))
        cork, ends, transports = Cork(), [], []
        for _ in range(3):
            here, there = socket.socketpair()
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=here)
            ends.append(there)
            transports.append(transport)
        transports[1].abort()
        await asyncio.sleep(0.01)
        for transport in transports:
            cork.write(transport, b"x")
        await asyncio.sleep(0.01)
        got = b""
        for end in (ends[0], ends[2]):
            end.setblocking(False)
            got += await asyncio.wait_for(loop.sock_recv(end, 10), 5)
        for end, transport in zip(ends, transports, strict=True):
            transport.abort()
            end.close()
        await asyncio.sleep(0)
        return got, told

    assert uvloop.run(scene()) == (b"xx", [])
