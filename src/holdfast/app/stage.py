"""The stage: plays simulated providers on real sockets.

`sim` invents what a provider does; here each gets a listener of its own on loopback, so that the
gateway reaches it like any other provider, by the same dialler and through the same taps.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping

from holdfast.net.doorman import Doorman
from holdfast.net.listen import Listener
from holdfast.net.reply import Reply, Request
from holdfast.sim.player import Player
from holdfast.sim.provider import SimProvider
from holdfast.sim.script import Blackhole, Bytes, Cut, End, Fin, Head, Refuse, Script, Stall
from holdfast.sim.timeline import STEADY, Timeline


class Stage:
    """Simulated providers by name, each opened when it is first wanted, on a free loopback port.

    `rehearsals` says what befalls whom; a provider that is not named there is steady.
    """

    def __init__(
        self, *, seed: int | None = None, rehearsals: Mapping[str, Timeline] | None = None
    ) -> None:
        self._seed = secrets.randbits(32) if seed is None else seed
        self._rehearsals = rehearsals or {}
        self._listeners: list[Listener] = []
        self._urls: dict[str, str] = {}
        self._players: list[Player] = []

    async def open(self, name: str) -> str:
        """Start playing this provider, if not yet; returns its base URL."""
        if name in self._urls:
            return self._urls[name]
        provider = SimProvider(self._seed, self._rehearsals.get(name, STEADY), name=name)
        player = Player(provider, begun_at_s=asyncio.get_running_loop().time())

        def play(request: Request, reply: Reply) -> None:
            now_s = asyncio.get_running_loop().time()
            Performance(
                player.script(now_s, request.method, request.path, request.headers, request.body),
                reply,
            ).go_on()

        listener = Listener(play, doorman=Doorman.of("127.0.0.1", 0))
        host, port = (await listener.start("127.0.0.1", 0))[0]
        self._listeners.append(listener)
        self._players.append(player)
        self._urls[name] = f"http://{host}:{port}"
        return self._urls[name]

    def begin(self) -> None:
        """Let every provider's own time be 0 now."""
        for player in self._players:
            player.begun_at_s = asyncio.get_running_loop().time()

    async def close(self) -> None:
        """Stop playing; what still plays is cut."""
        for listener in self._listeners:
            await listener.close(0.0)
        self._listeners.clear()
        self._urls.clear()


class Performance:
    """One script, played step by step on one reply."""

    __slots__ = ("_next", "_reply", "_script", "_timer", "_waited")

    def __init__(self, script: Script, reply: Reply) -> None:
        self._script = script
        self._reply = reply
        self._next = 0
        self._waited = False
        self._timer: asyncio.TimerHandle | None = None
        reply.on_gone = self._leave

    def _leave(self) -> None:
        self._next = len(self._script)
        if self._timer is not None:
            self._timer.cancel()

    def go_on(self) -> None:
        """Act until a step has to be waited for."""
        while self._next < len(self._script):
            step = self._script[self._next]
            if step.wait_s > 0 and not self._waited:
                self._waited = True
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(step.wait_s, self.go_on)
                return
            self._waited = False
            self._next += 1
            self._act(step.does)

    def _act(self, does: object) -> None:
        reply = self._reply
        match does:
            case Head():
                reply.begin(does.status, does.headers)
            case Bytes():
                reply.say(does.data)
            case End():
                reply.finish()
            case Cut() | Fin() | Refuse():
                # On a shared address a connection cannot be refused any more, only dropped.
                reply.break_()
            case Stall() | Blackhole():
                pass
