"""The listener: our own HTTP/1.1 rim, one address, one handler.

`intake` reads what clients send, `guest` is one connection, `doorman` says who may come in. What
is malformed, ambiguous, too large, too slow or not welcome gets a status, a sentence that says
what to do, and a closed connection.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable

from holdfast.net.cork import Cork
from holdfast.net.doorman import Doorman, Refusal
from holdfast.net.familiar import Familiar
from holdfast.net.guest import FRESH_S, Guest, Handler
from holdfast.net.intake import Bounds
from holdfast.net.reply import Reply, Request

__all__ = ["Bounds", "CannotListenError", "Handler", "Listener", "Reply", "Request"]

OnCrash = Callable[[Exception, Request | None], None]

BACKLOG = 2048
# For what is said last to be read; a client that reads at all closes then.
LAST_WORDS_S = 0.5


class CannotListenError(OSError):
    """The address cannot be had; the system's own number and words say why."""


class Listener:
    """Listens on one address and serves `handler`.

    `handler(request, reply)` starts synchronously and may go on by callbacks. If it raises, the
    client gets a 500 (or a broken reply, if one was begun) and `on_crash` the exception, with
    the request where there is one. `refuses` counts, by status, what never reached the handler.
    """

    __slots__ = (
        "_empty",
        "_guests",
        "_on_crash",
        "_servers",
        "_sweeping",
        "addresses",
        "bounds",
        "cork",
        "doorman",
        "draining",
        "familiar",
        "handler",
        "now",
        "refuses",
    )

    def __init__(
        self,
        handler: Handler,
        *,
        doorman: Doorman,
        bounds: Bounds = Bounds(),  # noqa: B008 - frozen
        on_crash: OnCrash | None = None,
    ) -> None:
        self.handler = handler
        self.doorman = doorman
        self.familiar = Familiar()
        self.cork = Cork()
        self.bounds = bounds
        self.draining = False
        self.addresses: list[tuple[str, int]] = []
        self.refuses: dict[int, int] = {}
        self.now: Callable[[], float] = lambda: 0.0  # the loop's clock, once started
        self._on_crash = on_crash
        self._guests: set[Guest] = set()
        self._servers: list[asyncio.Server] = []
        self._sweeping: asyncio.TimerHandle | None = None
        self._empty: asyncio.Event | None = None

    @property
    def connections(self) -> int:
        """Open connections, counted from their acceptance."""
        return len(self._guests)

    async def start(self, host: str, port: int) -> list[tuple[str, int]]:
        """Bind and serve; returns the bound `addresses`, which are known before anybody is
        answered. `port` 0 takes any free one.

        `127.0.0.1` and `localhost` mean this machine: `::1` is bound as well where it can be,
        because some clients try it first. Raises CannotListenError.
        """
        loop = asyncio.get_running_loop()
        self.now = loop.time
        local = host in ("127.0.0.1", "localhost")
        bound = await self._bind("127.0.0.1" if local else host, port)
        if not port:
            self.doorman = self.doorman.at(bound[0][1])
        if local:
            try:
                bound += await self._bind("::1", bound[0][1])
            except OSError as problem:
                # No IPv6 here, or a stranger's there: 127.0.0.1 is what was asked for.
                if problem.errno not in (
                    errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EACCES
                ):  # fmt: skip
                    raise
        self.addresses = bound
        for server in self._servers:
            try:
                await server.start_serving()
            except OSError as error:  # somebody else has begun to listen there meanwhile
                raise CannotListenError(*error.args) from error
        return bound

    async def _bind(self, host: str, port: int) -> list[tuple[str, int]]:
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(
                lambda: Guest(self), host or None, port, backlog=BACKLOG, start_serving=False
            )
        except OSError as error:
            raise CannotListenError(*error.args) from error
        self._servers.append(server)
        return [sock.getsockname()[:2] for sock in server.sockets]

    async def close(self, drain_s: float, last_words: Callable[[], None] = lambda: None) -> None:
        """Accept no more, let replies end for `drain_s` seconds, then cut what is left.

        `last_words` is called before the cut, to end what can be ended in words.
        """
        self.draining = True
        for server in self._servers:
            server.close()
        loop = asyncio.get_running_loop()
        self._empty = asyncio.Event()
        for guest in tuple(self._guests):
            guest.retire()
        loop.call_later(FRESH_S, self._look)
        if not await self._emptied(drain_s):
            last_words()
            await self._emptied(LAST_WORDS_S)
            for guest in tuple(self._guests):
                guest.abort()
            await self._emptied(1.0)
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None

    async def _emptied(self, within_s: float) -> bool:
        if self._guests and self._empty is not None:
            try:
                await asyncio.wait_for(self._empty.wait(), within_s)
            except TimeoutError:
                return False
        return True

    # ------------------------------------------------------------ for its connections

    def arrived(self, guest: Guest) -> None:
        """Count a connection in; too many are told so and closed."""
        self._guests.add(guest)
        if self._sweeping is None:
            self._schedule()
        excess = len(self._guests) - self.bounds.max_connections
        if excess > self.bounds.max_connections:
            guest.abort()  # not even told: those that are being told are too many
        elif excess > 0:
            guest.turn_away(
                Refusal(
                    503,
                    f"holdfast: {self.bounds.max_connections} connections are open, which is the"
                    " limit. Try again soon, and look for a client that never closes any.",
                )
            )

    def left(self, guest: Guest) -> None:
        """Count a connection out."""
        self._guests.discard(guest)
        if self._empty is not None and not self._guests:
            self._empty.set()

    def refused(self, status: int) -> None:
        """Count a refusal."""
        self.refuses[status] = self.refuses.get(status, 0) + 1

    def crashed(self, error: Exception, request: Request | None) -> None:
        """Our own code failed on a request."""
        if self._on_crash is not None:
            self._on_crash(error, request)
        else:
            what = {"message": "holdfast: a handler raised", "exception": error}
            asyncio.get_running_loop().call_exception_handler(what)

    def _schedule(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweeping = loop.call_later(self.bounds.sweep_s, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = None
        if self._guests:
            self._schedule()
        self._look()

    def _look(self) -> None:
        now = self.now()
        for guest in tuple(self._guests):
            try:
                guest.look(now)
            except Exception as error:  # noqa: BLE001 - one connection's trouble is its own
                guest.abort()
                self.crashed(error, None)
