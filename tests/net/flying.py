"""A gateway's data plane without the house around it: real sockets, the core, a book in memory."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Self

from tests.net.visiting import Answer, Visitor

from holdfast.core.board import Board
from holdfast.core.budget import Budget
from holdfast.core.route import Affinity
from holdfast.facts.flights import Exchange, Intent, Settled
from holdfast.facts.losses import Losses
from holdfast.facts.places import Limits, Provider, Route, engines_of
from holdfast.net.desk import Desk, Place
from holdfast.net.dial import Dialer
from holdfast.net.doorman import Doorman
from holdfast.net.front import Front, Rules
from holdfast.net.listen import Listener
from holdfast.net.reply import Reply, Request


class Book:
    """Keeps what a ledger would write."""

    def __init__(self) -> None:
        self.intents: list[Intent] = []
        self.settled: list[Settled] = []
        self.exchanges: list[Exchange] = []

    def intend(self, *intents: Intent) -> bool:
        self.intents += intents
        return True

    def settle(self, settled: Settled) -> None:
        self.settled.append(settled)

    def record(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)


IMPATIENT = Limits(connect_s=0.5, headers_s=0.5, content_s=0.5, idle_s=0.5, whole_s=1.0)


class DataPlane:
    """Runs in a thread of its own; `url` is where clients ask.

    `key` is the secret of every provider that `keys` does not name. At its end nothing may have
    been reported to the loop, and no flight be in the air.
    """

    front: Front
    desk: Desk

    def __init__(
        self,
        routes: Mapping[str, tuple[str, ...]],
        *providers: Provider,
        key: bytes,
        keys: Mapping[str, bytes | None] | None = None,
        limits: Limits = IMPATIENT,
        losses: Losses = "allowed",
    ) -> None:
        self.book = Book()
        self.drain_s = 1.0  # at its end
        self.url = ""
        self.address = ("127.0.0.1", 0)
        self.crashes: list[BaseException] = []
        self.reports: list[dict[str, Any]] = []
        self._limits = limits
        self._keys = keys or {}
        self._routes = tuple(
            Route(model, targets, losses=losses) for model, targets in routes.items()
        )
        self._providers = {provider.name: provider for provider in providers}
        self._key = key
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda _, context: self.reports.append(context))
        self._ready = threading.Event()
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(5)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive()
        if kind is None:
            assert not self.reports, self.reports
            assert not self.desk.flying

    def do(self, step: Callable[[], Any]) -> Any:
        """Run a step on the data plane's own thread."""

        async def run() -> Any:
            return step()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    def visit(self, **options: int) -> Visitor:
        return Visitor(self.address, **options)

    def ask(self, data: bytes) -> Answer:
        """One request on a connection of its own."""
        with self.visit() as visitor:
            return visitor.send(data).answer()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        budget, affinity = Budget(), Affinity()
        dialer = Dialer()
        desk = Desk(
            board=Board(dice=lambda: 0.5),
            book=self.book,
            dialer=dialer,
            clock=self._loop.time,
            wall=time.time,
            credit=budget.credit,
            affinity=lambda _call, _leg, _at: None,
        )
        desk.board.incidents.local = engines_of(self._providers)
        desk.places = {
            name: Place(p, self._keys.get(name, self._key)) for name, p in self._providers.items()
        }
        front = Front(
            desk,
            Rules(self._providers, self._routes, self._limits),
            budget=budget,
            affinity=affinity,
            dice=lambda: 0.5,
            prefix="t",
            control=control,
        )
        listener = Listener(
            front,
            doorman=Doorman.of("127.0.0.1", 0),
            on_crash=lambda error, _request: self.crashes.append(error),
        )
        self.front, self.desk = front, desk
        bound = await listener.start("127.0.0.1", 0)
        self.address = bound[0]
        self.url = f"http://127.0.0.1:{bound[0][1]}"
        self._ready.set()
        await self._stop.wait()
        await listener.close(self.drain_s, desk.stop)
        dialer.close()


def asking(
    body: Mapping[str, object] | bytes,
    *more: bytes,
    path: bytes = b"/v1/messages",
    key: bytes | None = b"client-key-canary",
) -> bytes:
    """A POST as an SDK of Anthropic's sends it, with a credential of its own."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [
        b"POST " + path + b" HTTP/1.1",
        b"host: localhost",
        b"content-type: application/json",
        b"anthropic-version: 2023-06-01",
        *((b"x-api-key: " + key,) if key is not None else ()),
        b"content-length: %d" % len(data),
        *more,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + data


def control(request: Request, reply: Reply) -> None:
    del request
    reply.send(404, (), b"")
