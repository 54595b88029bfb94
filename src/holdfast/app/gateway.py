"""Builds the gateway and joins its rooms; starts, reloads and stops it.

Everything that has to be chosen once is chosen here: clocks, dice, seams. The rooms get what they
need by their constructors and ask nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from holdfast.app.control import Control
from holdfast.app.news import News
from holdfast.app.observatory import Observatory
from holdfast.app.stage import Stage
from holdfast.app.watch import Watch
from holdfast.config.catalogue import catalogue
from holdfast.config.problems import ConfigError
from holdfast.config.read import Config, read
from holdfast.core.board import Board
from holdfast.core.budget import Budget
from holdfast.core.route import Affinity
from holdfast.facts.calls import Call
from holdfast.facts.flights import Leg
from holdfast.facts.observations import Observation, ObservationKind
from holdfast.facts.places import engines_of
from holdfast.net.desk import Desk, Place
from holdfast.net.dial import Dialer
from holdfast.net.doorman import Doorman
from holdfast.net.front import Front, Rules
from holdfast.net.listen import Listener
from holdfast.net.reply import Request
from holdfast.store.ledger import Ledger
from holdfast.wire import speak

BEAT_S = 1.0
# The wall clock ahead of the steady one by more than this between two beats: the machine slept.
SLEPT_S = 5.0
KNOCK_S = 3.0
DRAIN_S = 10.0

Say = Callable[[str], None]


class Gateway:
    """One running gateway: `await Gateway.start(config, environ)`, then `await gateway.stop()`.

    `say` is given sentences for the person at the terminal, as things happen.
    """

    def __init__(
        self,
        config: Config,
        environ: Mapping[str, str],
        ledger: Ledger,
        *,
        say: Say,
        stage: Stage,
        wall: Callable[[], float],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.config = config
        self.ledger = ledger
        self.wall = wall
        self.started_wall = wall()
        watched = {surface for entry in catalogue().values() for surface in entry.watch}
        self.board = Board(random.random, watched=watched)
        self.dialer = Dialer()
        self.stage = stage
        self.alarms: dict[str, str] = {}
        self._environ = environ
        self._say = say
        self._news = News()
        self._affinity = Affinity()
        prefix = exchange_prefix(self.started_wall)
        budget = Budget()
        self.desk = Desk(
            board=self.board,
            book=ledger,
            dialer=self.dialer,
            clock=loop.time,
            wall=wall,
            credit=budget.credit,
            affinity=self._stay,
        )
        self.front = Front(
            self.desk,
            Rules({}, (), config.limits),
            budget=budget,
            affinity=self._affinity,
            dice=random.random,
            prefix=prefix,
            control=Control(self),
        )
        self.observatory = self._observatory(config.gateway.data_dir, prefix)
        gate = config.gateway
        self.listener = Listener(
            self.front, doorman=Doorman.of(gate.host, gate.port), on_crash=self._crashed
        )
        self._timer: asyncio.TimerHandle | None = None
        self._ticked = (loop.time(), wall())
        self._watch = Watch(config.source) if config.source is not None else None
        self._knocking: dict[str, asyncio.Task[None]] = {}
        self._reloading: asyncio.Task[None] | None = None
        self._stale = False  # whether the file is to be read (once more)

    def _observatory(self, data_dir: Path, prefix: str) -> Observatory:
        """The observatory, listening at the desk."""
        made = Observatory(
            self.desk,
            self.ledger,
            data_dir,
            judge=self.front.judge,
            fault=self._scout_failed,
            say=self._say,
            prefix=prefix,
        )
        self.desk.observe = made.observe
        self.desk.counted = made.counted
        self.desk.shown = made.shown
        self.desk.outlook = made.since_when
        return made

    @classmethod
    async def start(
        cls,
        config: Config,
        environ: Mapping[str, str],
        *,
        say: Say = lambda _: None,
        stage: Stage | None = None,
        wall: Callable[[], float] = time.time,
    ) -> Gateway:
        """Open the ledger, bind the port, start the simulated providers that are named.

        `stage` plays these, and is closed with the gateway. `wall` gives UTC seconds; the steady
        clock is the loop's. Raises StoreError (the data directory) or CannotListenError; nothing is
        served then.
        """
        ledger = Ledger.open(config.gateway.data_dir, wall=wall)
        stage = stage or Stage()
        try:
            gateway = cls(config, environ, ledger, say=say, stage=stage, wall=wall)
            await gateway.take_over(config)
            gate = config.gateway
            await gateway.listener.start(gate.host, gate.port)
        except BaseException:
            await stage.close()
            ledger.close()
            raise
        gateway.observatory.start()
        gateway._beat()
        # What was built so far lives as long as the process: the collector need not look again.
        gc.collect()
        gc.freeze()
        return gateway

    @property
    def url(self) -> str:
        """Where clients find it."""
        host, port = self.listener.addresses[0]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def take_over(self, config: Config) -> None:
        """Make a configuration the current one. Calls in the air finish by the old one."""
        providers = dict(config.providers)
        for name, provider in providers.items():
            if provider.kind == "sim":
                base_url = await self.stage.open(name)
                providers[name] = msgspec.structs.replace(provider, base_url=base_url)
        places = {}
        for name, provider in providers.items():
            secret = config.secrets.get(name)
            places[name] = Place(provider, secret.reveal().encode() if secret else None)
        # What may go wrong stands before the switch: routing is by the old one, or by the new.
        sentences = self.observatory.take_over(config, self._environ)
        former, self.desk.places = self.desk.places, places
        self.board.incidents.local = engines_of(config.providers)
        self.front.rules = Rules(providers, config.routes, config.limits)
        self.front.shelf.forget()
        self.config = config
        for name, place in places.items():
            if name in former and not place.is_at(former[name]):
                at = self.desk.clock()
                self.observatory.observe(without_place("moved", at, self.wall(), provider=name))
        for sentence in sentences:
            self._say(sentence)

    def reload(self) -> None:
        """Read the configuration's file again, beside the traffic; a broken one is refused.

        Asked while it is being read, it is read once more: what was read may be the old one.
        """
        self._stale = True
        if self._reloading is None or self._reloading.done():
            self._reloading = asyncio.get_running_loop().create_task(self._reload())

    async def _reload(self) -> None:
        while self._stale:
            self._stale = False
            await self._read_again()

    async def _read_again(self) -> None:
        source, old = self.config.source, self.config
        if source is None:
            return
        try:
            # In a thread: a key may come from a command that takes its time.
            config = await asyncio.to_thread(read, source, self._environ)
        except ConfigError as error:
            self.alarms["config"] = (
                f"The changed configuration was refused and the former one stays: {error}"
            )
            self._say(f"configuration refused, the former one stays:\n{error}")
            return
        if config.gateway != old.gateway:
            self.alarms["restart"] = (
                "[gateway] was changed: host, port, data_dir and keys count from the next start."
            )
            config = msgspec.structs.replace(config, gateway=old.gateway)
            self._say(self.alarms["restart"])
        else:
            self.alarms.pop("restart", None)
        try:
            await self.take_over(config)
        except Exception as error:  # noqa: BLE001 - whatever it was, it is told, and calls go on
            self.alarms["config"] = (
                f"The changed configuration could not be taken over ({type(error).__name__}:"
                f" {error}). Save it again to try once more, or start holdfast anew."
            )
            self._say(self.alarms["config"])
            return
        self.alarms.pop("config", None)
        self._say(f"configuration taken over: {source}")

    async def stop(self, drain_s: float = DRAIN_S) -> None:
        """Accept no more, let calls end for a while, write everything down."""
        if self._timer is not None:
            self._timer.cancel()
        for task in (*self._knocking.values(), self._reloading):
            if task is not None:
                task.cancel()
        # Whatever goes wrong in one of them, the next is done: above all the last.
        async with contextlib.AsyncExitStack() as steps:
            steps.push_async_callback(asyncio.to_thread, self.ledger.close)
            steps.callback(self.dialer.close)
            steps.push_async_callback(self.stage.close)
            steps.push_async_callback(self.observatory.close)
            await self.listener.close(drain_s, self.desk.stop)

    # ------------------------------------------------------------ the seams

    def _stay(self, call: Call, leg: Leg, at: float) -> None:
        digest = speak.conversation(call.dialect, call.body)
        if digest:
            self._affinity.note(digest, leg.target, at)

    def _scout_failed(self, error: BaseException) -> None:
        self.front.crashes.append(f"{type(error).__name__}: {error} (the observatory)")

    def _crashed(self, error: Exception, request: Request | None) -> None:
        where = request.path if request is not None else "a connection"
        self.front.crashes.append(f"{type(error).__name__}: {error} ({where})")

    # -------------------------------------------------------------- the beat

    def _beat(self) -> None:
        """Once a second: sleep, knocks, the configuration's file, news for the terminal."""
        loop = asyncio.get_running_loop()
        # First of all: whatever goes wrong in this beat, there is a next one.
        self._timer = loop.call_later(BEAT_S, self._beat)
        steady, wall = loop.time(), self.wall()
        slept_s = (wall - self._ticked[1]) - (steady - self._ticked[0])
        self._ticked = (steady, wall)
        if slept_s > SLEPT_S:
            # A closed lid is no outage, and the kept connections are most likely dead.
            self.dialer.drop_idle()
            self.observatory.observe(without_place("slept", steady, wall, slept_s=slept_s))
            self._say(f"the machine slept for about {round(slept_s)} s")
        for provider in self.board.knocks_due(steady):
            if provider in self.desk.places and provider not in self._knocking:
                self._knocking[provider] = loop.create_task(self._knock(provider))
        if self._watch is not None and self._watch.changed():
            self.reload()
        try:
            self.observatory.beat(steady, wall)
        except Exception as error:  # noqa: BLE001 - it thinks about calls, and hurts none
            self._scout_failed(error)
        alarms = [
            *self.ledger.alarms,
            *self.observatory.alarms,
            *self.desk.runaways.alarms(steady),
            *map(crash_told, self.front.crashes),
        ]
        for sentence in self._news.read(self.board.rows(steady), alarms):
            self._say(sentence)

    async def _knock(self, provider: str) -> None:
        try:
            ok = await self.dialer.knock(self.desk.places[provider].origin, KNOCK_S)
            at = self.desk.clock()
            self.observatory.observe(
                without_place("knock", at, self.wall(), provider=provider, ok=ok)
            )
        finally:
            del self._knocking[provider]


def without_place(
    kind: ObservationKind,
    at: float,
    wall: float,
    *,
    provider: str = "",
    ok: bool = True,
    slept_s: float = 0.0,
) -> Observation:
    """An observation that is about no single surface, model or credential."""
    return Observation(at=at, wall=wall, kind=kind, provider=provider, ok=ok, slept_s=slept_s)


def crash_told(error: str) -> str:
    """What to say of a fault of our own."""
    return (
        f"a fault in holdfast itself ({error}); calls go on, past it where need be."
        " Please report it."
    )


def exchange_prefix(wall: float) -> str:
    """Sorts by the start; chance keeps two processes that start in one second apart."""
    return f"x{int(wall):x}{secrets.token_hex(4)}"
