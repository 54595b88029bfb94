"""Names looked up family by family, on bounded threads of their own."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from holdfast.net import lookup


def test_a_name_is_looked_up_for_one_family() -> None:
    found = asyncio.run(lookup.ask_apart("127.0.0.1", 80, socket.AF_INET))
    assert list(found) == [(socket.AF_INET, ("127.0.0.1", 80))]


def test_a_name_without_addresses_is_an_error_of_the_resolver() -> None:
    with pytest.raises(socket.gaierror):
        asyncio.run(lookup.ask_apart("127.0.0.1", 80, socket.AF_INET6))
    with pytest.raises((OSError, UnicodeError)):
        asyncio.run(lookup.ask_apart("a" * 80 + ".invalid", 80, socket.AF_INET))


def test_questions_that_hang_take_no_more_threads_than_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The system's resolver cannot be made to hang here, so it stands still in its place."""
    gate, began = threading.Event(), threading.Semaphore(0)

    def hang(*_: object) -> list[object]:
        began.release()
        assert gate.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)

    async def main() -> None:
        asking = [
            asyncio.ensure_future(lookup.ask_apart("slow.test", 80, socket.AF_INET))
            for _ in range(lookup.THREADS_MAX)
        ]
        await asyncio.sleep(0)
        for _ in asking:
            assert began.acquire(timeout=10)
        with pytest.raises(socket.gaierror, match="still hang"):
            await lookup.ask_apart("slow.test", 80, socket.AF_INET)
        asking[0].cancel()  # nobody waits for it any more: its answer goes nowhere
        gate.set()
        ends = await asyncio.gather(*asking, return_exceptions=True)
        assert ends[1:] == [[]] * (lookup.THREADS_MAX - 1)
        assert isinstance(ends[0], asyncio.CancelledError)
        assert await lookup.ask_apart("slow.test", 80, socket.AF_INET) == []

    asyncio.run(main())
