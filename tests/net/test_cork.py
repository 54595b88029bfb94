"""What is written in one turn of the loop: held back, in order, and never before what must be."""

from __future__ import annotations

import asyncio

from holdfast.net.cork import HELD_BYTES_MAX, Cork


class _Transport(asyncio.WriteTransport):
    def __init__(self, log: list[object], name: str = "") -> None:
        super().__init__()
        self._log = log
        self._name = name

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
