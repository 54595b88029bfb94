"""What the dialler's tests share: a sink that writes down what it is told, and loops to run on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

from holdfast.facts.calls import Headers
from holdfast.facts.outcomes import Failure
from holdfast.net.dial import Dialer, Line, Origin

PATIENCE_S = 10.0
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "uvloop": uvloop.new_event_loop,
    "asyncio": asyncio.new_event_loop,
}


class Note:
    """A sink that writes everything down, and can be waited for."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.reused: bool | None = None
        self.status = 0
        self.headers: Headers = ()
        self.data = b""
        self.failure: Failure | None = None
        self.over = asyncio.Event()
        self.news = asyncio.Event()
        self.line: Line | None = None
        self.on: dict[str, Callable[[], None]] = {}  # what to do at which callback

    def _note(self, what: str) -> None:
        assert not self.over.is_set(), f"{what} after the end"
        if not (what == "body" and self.order[-1:] == ["body"]):
            self.order.append(what)
        self.news.set()
        if what in ("ended", "broke"):
            self.over.set()
        if what in self.on:
            self.on[what]()

    def sent(self, reused: bool) -> None:
        self.reused = reused
        self._note("sent")

    def head(self, status: int, headers: Headers) -> None:
        self.status, self.headers = status, headers
        self._note("head")

    def body(self, data: bytes) -> None:
        assert data
        self.data += data
        self._note("body")

    def ended(self) -> None:
        self._note("ended")

    def broke(self, failure: Failure) -> None:
        self.failure = failure
        self._note("broke")

    @property
    def how(self) -> tuple[str, str]:
        """Kind and place of the failure."""
        assert self.failure is not None, f"it did not break: {self.order}, {self.data[:80]!r}"
        return self.failure.kind, self.failure.where

    @property
    def text(self) -> str:
        assert self.failure is not None
        return self.failure.text

    async def end(self) -> Note:
        """Wait until the asking is over."""
        await asyncio.wait_for(self.over.wait(), PATIENCE_S)
        return self

    async def until(self, what: str) -> Note:
        """Wait for a callback."""
        async with asyncio.timeout(PATIENCE_S):
            while what not in self.order:
                self.news.clear()
                await self.news.wait()
        return self


def begin(
    dialer: Dialer,
    url: str,
    body: bytes = b"{}",
    *,
    method: str = "POST",
    note: Note | None = None,
    **options: Any,
) -> Note:
    """Start an asking of `/v1/messages`; its line is in the note."""
    note = note or Note()
    origin, prefix = Origin.of(url)
    options.setdefault("connect_s", 5.0)
    headers = ((b"x-api-key", b"a-secret-key"),)
    note.line = dialer.ask(origin, method, f"{prefix}/v1/messages", headers, body, note, **options)
    assert note.order == [], "a callback from within ask"
    return note


async def ask(dialer: Dialer, url: str, body: bytes = b"{}", **options: Any) -> Note:
    """Ask, and wait for the end."""
    return await begin(dialer, url, body, **options).end()


async def eventually(met: Callable[[], object]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(PATIENCE_S):
        while not met():  # noqa: ASYNC110 - it may change on a thread
            await asyncio.sleep(0.005)


Flight = Callable[[Dialer], Coroutine[Any, Any, None]]


def on_loop(kind: str, flight: Flight, **settings: Any) -> None:
    """Run a test's coroutine with a dialler; nothing may stay open, nothing be reported."""
    reports: list[dict[str, Any]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reports.append(context))
        dialer = Dialer(**settings)
        try:
            await flight(dialer)
        finally:
            dialer.close()
            await asyncio.sleep(0)
        assert dialer.counts.open == 0
        assert dialer.counts.idle == 0
        await eventually(lambda: len(asyncio.all_tasks()) == 1)

    with asyncio.Runner(loop_factory=LOOPS[kind]) as runner:
        runner.run(main())
    assert reports == []
