"""Those who go out and look: probes, status pages, other gateways, the network itself.

Each brings observations home by `observe` and decides nothing; when somebody goes is decided by
`core.probing`, `core.reading`, `core.peers` and `core.way`. A scout that fails hurts no call.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterable, Mapping

import msgspec

from holdfast.config.addresses import is_loopback
from holdfast.config.catalogue import catalogue, known_as
from holdfast.config.read import Config
from holdfast.core.health import CONNECT_KINDS
from holdfast.core.peers import Tally, public_names
from holdfast.core.probing import Params, Probe, Probing, View, Watched
from holdfast.core.reading import Params as ReadingParams
from holdfast.core.way import due, observation_of
from holdfast.facts.incidents import Incident
from holdfast.facts.network import Climb, References
from holdfast.facts.observations import Observation
from holdfast.facts.places import Provider, Segment, Target
from holdfast.net.desk import Desk
from holdfast.net.dial import Origin
from holdfast.net.ladder import Ladder
from holdfast.net.neighbours import Peers, Source
from holdfast.net.pages import PageReader
from holdfast.net.probe import Judge, Prober
from holdfast.net.proxies import proxies_of
from holdfast.wire.headers import is_subscription

# What may as well be the way there: worth a look at the network.
ON_THE_WAY = CONNECT_KINDS | {"reset", "headers_timeout"}
# A page whose claim is the same as before is noted again only so often.
PAGE_HEARTBEAT_S = 2700.0
# Who has just started listens first: the user's own calls may tell all there is to know.
LISTEN_S = 30.0

Observe = Callable[[Observation], None]


class Scouts:
    """All of them, for one gateway. `take_over` a configuration, then `beat` once a second.

    `observe` takes what they bring; `fault` an exception of our own code in one of them.
    """

    def __init__(
        self,
        desk: Desk,
        observe: Observe,
        fault: Callable[[BaseException], None],
        *,
        judge: Judge,
        prefix: str,
        nonce: str,
    ) -> None:
        self._desk = desk
        self._observe = observe
        self._fault = fault
        self._entries = catalogue()
        self._prober = Prober(desk, judge, prefix)
        self._tasks: set[asyncio.Task[None]] = set()
        self._providers: dict[str, Provider] = {}
        self._targets: tuple[Target, ...] = ()
        self._watched: tuple[Watched, ...] = ()
        self._climbed: dict[str, float] = {}
        self._ladder: Ladder | None = None
        self._reader: PageReader | None = None
        self._peers: Peers | None = None
        self._woke_wall: float | None = None
        self._probes = True
        self._own_references = False
        self._began_at = desk.clock()
        self.probing = Probing()
        self.tally = Tally(nonce, {}, {})
        self.network: Climb | None = None
        self.pages: dict[str, Observation] = {}
        self._paged: dict[str, Observation] = {}

    def take_over(self, config: Config, environ: Mapping[str, str]) -> list[str]:
        """Look as this configuration says; returns sentences about what cannot be done."""
        wanted = config.observatory
        self._providers = config.providers
        self._targets = tuple(
            Target(name, model, config.providers[name].key)
            for route in config.routes
            for name, _, model in (target.partition("/") for target in route.targets)
        )
        self._watched = self._watch_list(config) if wanted.watch else ()
        self._probes = wanted.probes
        self.probing.params = Params(
            free_per_day_max=wanted.free_probes_per_day,
            generations_per_day_max=wanted.paid_probes_per_day,
        )
        clouds = {e.base_url: name for name, e in self._entries.items() if e.kind == "cloud"}
        self.tally.names = public_names(config.providers.values(), clouds)
        self.tally.serves = {name: one.serves for name, one in config.providers.items()}
        proxies = proxies_of(environ)
        self._ladder = Ladder(wanted.references, proxies=proxies)
        self._own_references = wanted.references != References()
        pages = ReadingParams(usual_s=wanted.pages_every_s)
        self._reader = (
            PageReader(
                self._desk.dialer,
                random.random,
                params=pages,
                clock=self._desk.clock,
                wall=self._desk.wall,
            )
            if wanted.pages
            else None
        )
        self._peers = Peers(
            wanted.peers,
            self.tally.nonce,
            self.tally.names,
            self._desk.dialer,
            clock=self._desk.clock,
            wall=self._desk.wall,
            dice=random.random,
        )
        self.pages = {name: obs for name, obs in self.pages.items() if name in config.providers}
        return [proxies.unusable] if proxies.unusable else []

    @property
    def alarms(self) -> tuple[str, ...]:
        """What is wrong with what they look at, in sentences for people."""
        return self._peers.alarms if self._peers is not None else ()

    @property
    def offline(self) -> bool:
        """Whether the last look found that this machine's own network is down."""
        return self.network is not None and not observation_of(self.network, 0.0).ok

    def learn(self, obs: Observation) -> None:
        """Take in what was learnt, by whomever: it decides who goes next."""
        self.probing.observe(obs)
        self.tally.observe(obs)
        if obs.kind == "slept":
            self._woke_wall = obs.wall

    def alarmed(self, obs: Observation) -> None:
        """Something failed: if it may be the way there, somebody looks at the network."""
        verdict = obs.verdict
        strange = verdict is not None and verdict.whose in ("network", "unknown", "intermediary")
        if obs.kind in ("traffic", "probe") and (obs.failure_kind in ON_THE_WAY or strange):
            place = self._desk.places.get(obs.provider)
            if place is not None and place.provider.kind == "cloud" and self._far(place.origin):
                self._look(obs.provider)

    def beat(self, at: float, wall: float, incidents: Iterable[Incident]) -> None:
        """Once a second: send those who are due. `incidents` are the open and suspected ones."""
        suspected: set[Segment] = set()
        declared: set[Segment] = set()
        for one in incidents:
            if one.resolved is None and one.segments[:1] != (Segment(""),):
                (suspected if one.opened is None else declared).update(one.segments)
        if self.offline:
            self._look("")
        if self._probes and at - self._began_at >= LISTEN_S:
            for probe in self.probing.due(wall, self._view(suspected, declared), random.random):
                self._go(self._probe(probe))
        if self._reader is not None:
            troubled = {segment.provider for segment in suspected | declared}
            self._go(self._read(self._reader, troubled))
        for source in self._peers.due(at) if self._peers is not None else ():
            self._go(self._hear(source))

    async def close(self) -> None:
        """Call everybody home."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ------------------------------------------------------------ who goes

    def _view(self, suspected: set[Segment], declared: set[Segment]) -> View:
        places = self._desk.places
        return View(
            providers=tuple(self._providers.values()),
            targets=self._targets,
            watched=self._watched,
            subscriptions=frozenset(
                name for name, place in places.items() if is_subscription(place.secret)
            ),
            suspected=frozenset(suspected),
            declared=frozenset(declared),
            offline=self.offline,
            woke_wall=self._woke_wall,
        )

    def _watch_list(self, config: Config) -> tuple[Watched, ...]:
        found: dict[str, Watched] = {}
        for name, provider in config.providers.items():
            entry = known_as(self._entries, name, provider.base_url)
            if entry is not None and provider.base_url == entry.base_url:
                for surface, url in entry.watch.items():
                    found.setdefault(url, Watched(name, surface, url))
        return tuple(found.values())

    def _far(self, origin: Origin) -> bool:
        """Whether the network has to do with it. Who stands on this machine needs none: strangers
        are not asked about him, unless somebody named whom to ask.
        """
        return self._own_references or not is_loopback(origin.host)

    def _look(self, provider: str) -> None:
        at = self._desk.clock()
        if self._ladder is not None and due(at, provider, self._climbed):
            self._climbed[provider] = at
            self._go(self._climb(self._ladder, provider))

    async def _climb(self, ladder: Ladder, provider: str) -> None:
        place = self._desk.places.get(provider)
        origin: Origin | None = place.origin if place is not None else None
        self.network = await ladder.climb(self._desk.wall(), provider, origin)
        self._observe(observation_of(self.network, self._desk.clock()))

    async def _probe(self, probe: Probe) -> None:
        found = await self._prober.carry(probe)
        if found is not None:
            self._observe(found)

    async def _read(self, reader: PageReader, troubled: set[str]) -> None:
        for found in await reader.read_due(
            self._providers.values(), troubled=troubled, online=not self.offline
        ):
            self.pages[found.provider] = found
            before = self._paged.get(found.provider)
            if (
                before is None
                or before.page != found.page
                or found.wall - before.wall >= PAGE_HEARTBEAT_S
            ):
                self._paged[found.provider] = found
                self._observe(found)

    async def _hear(self, source: Source) -> None:
        for found in await source.news():
            self._observe(found)

    # ------------------------------------------------------------ coming home

    def _go(self, errand: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(errand)
        self._tasks.add(task)
        task.add_done_callback(self._home)

    def _home(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._fault(error)


def page_told(obs: Observation) -> dict[str, object]:
    """A page as the status shows it. Times are UTC seconds."""
    page = obs.page
    if page is None:
        return {"state": "unreadable", "read_at": obs.wall}
    return {
        "state": page.state,
        "described": page.described,
        "why": page.why,
        "url": page.url,
        "read_at": obs.wall,
        "incidents": [msgspec.to_builtins(one) for one in page.incidents[:5]],
    }
