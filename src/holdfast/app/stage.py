"""The stage: plays the simulated provider on real sockets.

`sim` invents what a provider does; here it gets a listener of its own on loopback, so that the
gateway reaches it like any other provider, by the same dialler and through the same taps.
"""

from __future__ import annotations

import asyncio
import secrets

from holdfast.net.doorman import Doorman
from holdfast.net.listen import Listener
from holdfast.net.reply import Reply, Request
from holdfast.sim.player import Player
from holdfast.sim.provider import SimProvider
from holdfast.sim.script import Blackhole, Bytes, Cut, End, Fin, Head, Refuse, Script, Stall
from holdfast.sim.timeline import Timeline


class Stage:
    """One simulated provider, opened when it is first wanted, on a free loopback port."""

    def __init__(self, *, seed: int | None = None, timeline: Timeline | None = None) -> None:
        self._seed = secrets.randbits(32) if seed is None else seed
        self._timeline = timeline
        self._listener: Listener | None = None
        self.url = ""
        self.player: Player | None = None

    async def open(self) -> str:
        """Start playing, if not yet; returns the base URL."""
        if self._listener is not None:
            return self.url
        provider = SimProvider(self._seed, self._timeline or Timeline(()))
        self.player = Player(provider, begun_at_s=asyncio.get_running_loop().time())
        self._listener = Listener(self._play, doorman=Doorman.of("127.0.0.1", 0))
        host, port = (await self._listener.start("127.0.0.1", 0))[0]
        self.url = f"http://{host}:{port}"
        return self.url

    async def close(self) -> None:
        """Stop playing; what still plays is cut."""
        if self._listener is not None:
            await self._listener.close(0.0)
            self._listener = None

    def _play(self, request: Request, reply: Reply) -> None:
        player = self.player
        if player is None:
            return
        now_s = asyncio.get_running_loop().time()
        script = player.script(now_s, request.method, request.path, request.headers, request.body)
        Performance(script, reply).go_on()


class Performance:
    """One script, played step by step on one reply."""

    __slots__ = ("_gone", "_next", "_reply", "_script", "_timer")

    def __init__(self, script: Script, reply: Reply) -> None:
        self._script = script
        self._reply = reply
        self._next = 0
        self._timer: asyncio.TimerHandle | None = None
        self._gone = False
        reply.on_gone = self._leave

    def _leave(self) -> None:
        self._gone = True
        if self._timer is not None:
            self._timer.cancel()

    def go_on(self) -> None:
        """Act until a step has to be waited for."""
        while self._next < len(self._script) and not self._gone:
            step = self._script[self._next]
            if step.wait_s > 0 and self._timer is None:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(step.wait_s, self.go_on)
                return
            self._timer = None
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
