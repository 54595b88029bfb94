"""A gateway's data plane without the house around it: real sockets, the core, a book in memory."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Self

from holdfast.core.board import Board
from holdfast.core.budget import Budget
from holdfast.core.route import Affinity
from holdfast.facts.flights import Exchange, Intent, Limits, Settled
from holdfast.facts.places import Provider, Route
from holdfast.net.dial import Dialer
from holdfast.net.doorman import Doorman
from holdfast.net.front import Front, Rules
from holdfast.net.listen import Listener
from holdfast.net.pilot import Desk, Place
from holdfast.net.reply import Reply, Request


class Book:
    """Keeps what a ledger would write."""

    def __init__(self) -> None:
        self.intents: list[Intent] = []
        self.settled: list[Settled] = []
        self.exchanges: list[Exchange] = []

    def intend(self, intent: Intent) -> bool:
        self.intents.append(intent)
        return True

    def settle(self, settled: Settled) -> None:
        self.settled.append(settled)

    def record(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)


class DataPlane:
    """Runs in a thread of its own; `url` is where clients ask."""

    def __init__(
        self, routes: dict[str, tuple[str, ...]], *providers: Provider, key: bytes
    ) -> None:
        self.book = Book()
        self.url = ""
        self.crashes: list[BaseException] = []
        self._routes = tuple(Route(model, targets) for model, targets in routes.items())
        self._providers = {provider.name: provider for provider in providers}
        self._key = key
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(5)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

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
        desk.places = {name: Place(p, self._key) for name, p in self._providers.items()}
        limits = Limits(connect_s=0.5, headers_s=0.5, content_s=0.5, idle_s=0.5, whole_s=1.0)
        front = Front(
            desk,
            Rules(self._providers, self._routes, limits),
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
        bound = await listener.start("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{bound[0][1]}"
        self._ready.set()
        await self._stop.wait()
        await listener.close(1.0)
        dialer.close()


def control(request: Request, reply: Reply) -> None:
    del request
    reply.send(404, (), b"")
