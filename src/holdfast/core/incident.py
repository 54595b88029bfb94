"""Incidents: observations in, one timeline for each stretch of trouble out.

Two levels. *Suspected* at the first failure that counts: it is noted, nobody is told yet, probes
and pages are asked sooner. (Routing acts on what is down by `core.health`, on neither level.)
*Declared* ("opened") when the belief in an outage (`core.detect`) of one leaf, or of a surface as a
whole, passes a threshold. From there:

    fails again or for the first time, and convinces      → widened
    good answers on a leaf that failed, and belief low    → narrowed; of the last one: resolved
    the same falls again within half an hour              → opened again, under the old id

What corroborates (another leaf of the provider in trouble, its page, other gateways) raises the
odds and so makes it faster; two failures of one's own are needed whatever others say. Requests
that are themselves broken, rate limits and a used-up quota are no trouble. While our own network is
down, what cannot be reached counts against it, as an incident of its own, and against no provider.
A closed lid is no outage.

Law of replay: folding the same observations again gives the same events and an equal view. The
only time is `Observation.wall`; a clock set back makes no negative durations.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable

from msgspec import Struct

from holdfast.core.detect import Expected, moved
from holdfast.core.health import CONNECT_KINDS
from holdfast.core.stretch import Key, Leaf, Pool, Stretch, shown_as, span
from holdfast.core.witness import FRESH_S, Way, Witness
from holdfast.facts.evidence import PageState
from holdfast.facts.incidents import Event, EventKind, Incident
from holdfast.facts.observations import Observation, absent
from holdfast.facts.places import Segment

TRANSPORT_KINDS = CONNECT_KINDS | {"reset", "headers_timeout"}
# Whose fault it is where something on the way answers, or nobody.
BETWEEN = frozenset({"network", "intermediary"})
# The user's own limits: no outage, and no news of one.
LIMITS = frozenset({"rate_limit", "quota_or_billing"})
# Findings of a look at the network that leave open whether it works.
UNTELLING = frozenset({"unclear", "intercepted"})
STOOD_IN_MAX = 10
SURER = 0.01


class Params(Struct, frozen=True, kw_only=True):
    """When to say what. Probabilities of 1; seconds.

    `declare`: chosen with `python -m bench.detection --choose` for about one false declaration a
    month of one person's samples with blips. `calm`: what may be left of the belief in trouble when
    it is over. `goods`, `apart_s`: so many good answers, so far apart; more (`goods_beside`) where
    others of the surface are still in trouble, since luck is then the likelier reason. Who has
    relapsed needs a longer proof, so that flapping is one incident. Below `told` of trouble nothing
    is suspected, below `cleared` a suspicion is dropped; it keeps its name for `over_s`, in case it
    comes back, but after `afresh` good answers what then fails is a new beginning.
    `declared_times`, `suspected_times`: what another leaf of the provider, declared or (in
    proportion to the belief) suspected, does to the odds; the second is small, because short blips
    often hit several surfaces at once. `network_times`: the same of a look at our own network.
    `fresh_s`: failures older than this are no ground for what a page or a peer says now.
    `silent_s`: a declared leaf that nobody asks any more leaves with its surface, later (`…
    elsewhere_s`) with its provider.
    """

    declare: float = 0.71
    calm: float = 0.1
    told: float = 0.02
    cleared: float = 0.5
    over_s: float = 300.0
    afresh: int = 5
    failures: int = 2
    goods: int = 2
    goods_beside: int = 4
    apart_s: tuple[float, ...] = (10.0, 120.0, 600.0)
    declared_times: float = 7.0
    suspected_times: float = 3.0
    times_max: float = 30.0
    network_times: float = 5.0
    reopen_s: float = 1800.0
    fresh_s: float = 180.0
    silent_s: float = 900.0
    silent_elsewhere_s: float = 3600.0
    leaves_max: int = 10_000
    providers_max: int = 1_000
    ended_max: int = 50


class Place:
    """What is known of one provider."""

    __slots__ = ("erred", "leaves", "pools", "stretches", "witness")

    def __init__(self) -> None:
        self.leaves: dict[Key, Leaf] = {}
        self.pools: dict[str, Pool] = {}
        self.stretches: list[Stretch] = []
        self.witness = Witness()
        # When it last failed in a way that names no user.
        self.erred: float | None = None


class Incidents:
    """Told everything in order; asks nobody. `local`: providers that are engines on this machine,
    as the configuration of the moment has it.

    Memory is bounded: of leaves, providers and ended incidents the oldest are forgotten.
    """

    def __init__(
        self,
        params: Params | None = None,
        expected: Expected | None = None,
        local: Collection[str] = (),
    ) -> None:
        self.params = params or Params()
        self.expected = expected or Expected()
        self.local = frozenset(local)
        self._places: dict[str, Place] = {}
        self._leaves: dict[Key, Leaf] = {}
        self._ended: deque[Stretch] = deque(maxlen=self.params.ended_max)
        self._way = Way()
        # Our own network is a place with one leaf, beside the providers.
        self._net = Place()
        self._net_leaf = Leaf(("", "", "", ""), Pool())
        self._troubled = 0

    # ------------------------------------------------------------- the fold

    def observe(self, obs: Observation) -> list[Event]:
        """Fold one observation; returns what it led to, in order."""
        match obs.kind:
            case "traffic" | "probe":
                return self._good(obs) if obs.ok else self._failed(obs)
            case "status_page" | "peer":
                return self._told(obs)
            case "network":
                return self._looked(obs)
            case "slept":
                self._slept(obs.wall)
        return []

    def _good(self, obs: Observation) -> list[Event]:
        wall = obs.wall
        key = (obs.provider, obs.surface, obs.model, obs.credential)
        leaf = self._leaves.get(key) or self._leaf(key)
        leaf.belief.feed(self.expected, wall, ok=True, count=obs.count)
        pool = leaf.pool
        if pool.leaves > 1:
            pool.belief.feed(self.expected, wall, ok=True, count=obs.count)
        news = not leaf.ever_good
        leaf.ever_good = True
        leaf.last_good = wall
        if obs.provider not in self.local:
            self._way.reached(obs.provider, wall)
        if not self._troubled:
            return []
        events = self._net_feed(wall, ok=True) if obs.provider not in self.local else []
        if obs.stand_in:
            self._note_stand_in(obs)
        place = self._places[obs.provider]
        if leaf.stretch is not None:
            leaf.good(wall, obs.count)
            events += self._better(place, leaf.stretch, leaf, wall)
        for stretch in [one for one in place.stretches if one.open]:
            events += self._silent(place, stretch, leaf, wall)
            if news and stretch.open:
                events += self._reshow(place, stretch, "narrowed", wall)
        return events

    def _note_stand_in(self, obs: Observation) -> None:
        """Somebody answered in another's place."""
        target = f"{obs.provider}/{obs.model}" if obs.model else obs.provider
        for place in self._everywhere():
            for stretch in place.stretches:
                if stretch.provider != obs.provider and len(stretch.stood_in) < STOOD_IN_MAX:
                    stretch.stood_in.setdefault(target)

    def _failed(self, obs: Observation) -> list[Event]:
        wall, provider = obs.wall, obs.provider
        between = obs.verdict is not None and obs.verdict.whose in BETWEEN
        transport = obs.status is None and obs.failure_kind in TRANSPORT_KINDS
        if provider in self.local:
            return self._charged(obs, transport=transport)
        if transport or between:
            # Who answers in the place of others, as a portal does: that reaches nobody.
            return self._unreached(obs) if counts(obs) and not self._way.waking(wall) else []
        events: list[Event] = []
        if obs.status is not None:
            self._way.reached(provider, wall)
            events = self._net_feed(wall, ok=True)
        return events + self._charged(obs, transport=False)

    def _charged(self, obs: Observation, *, transport: bool) -> list[Event]:
        """A failure of the other side, where it is one at all."""
        leaf = self._leaves.get((obs.provider, obs.surface, obs.model, obs.credential))
        if absent(obs) and not (leaf is not None and leaf.ever_good):
            return self._absent(leaf, obs.wall) if leaf is not None else []
        return self._blame(obs, transport=transport) if counts(obs) else []

    def _unreached(self, obs: Observation) -> list[Event]:
        """A cloud could not be reached: is it that one, or the way to all of them?"""
        way, wall = self._way, obs.wall
        way.missed(obs.provider, wall)
        verdict = obs.verdict
        ours = verdict is not None and verdict.whose == "network" and not way.lately_reached(wall)
        if not ours and not way.down(wall):
            return self._blame(obs, transport=True)
        self._retract(wall)
        return self._net_feed(wall, ok=False, obs=obs)

    def _blame(self, obs: Observation, *, transport: bool) -> list[Event]:
        """A failure that counts, as one of its own leaf."""
        wall = obs.wall
        key = (obs.provider, obs.surface, obs.model, obs.credential)
        leaf = self._leaves.get(key) or self._leaf(key)
        place = self._places[obs.provider]
        stretch = leaf.stretch
        old = wall - leaf.belief.wall > self.params.reopen_s
        if stretch is not None and old and not stretch.holds(leaf):
            self._part(place, stretch, leaf)  # an old suspicion is no beginning of this
        leaf.belief.feed(self.expected, wall, ok=False, count=obs.count)
        if leaf.pool.leaves > 1:
            leaf.pool.belief.feed(self.expected, wall, ok=False, count=obs.count)
        leaf.goods = 0
        if obs.status is not None and obs.status >= 500:
            place.erred = wall
        stretch = leaf.stretch or self._stretch_for(place, leaf, obs)
        stretch.note(obs, transport=transport)
        return self._worse(place, stretch, leaf, wall)

    def _worse(self, place: Place, stretch: Stretch, leaf: Leaf, wall: float) -> list[Event]:
        events = []
        leaf.failed_wall = wall
        if stretch.open and leaf.key in stretch.inside:
            # The longer it goes on, the surer; in steps, so that it is no news each time.
            sure = leaf.belief.outage(self.expected)
            if sure >= stretch.confidence + SURER:
                stretch.confidence = sure
        if leaf.since is None:
            leaf.since = wall
        news = not leaf.suspected and leaf.belief.trouble() >= self.params.told
        leaf.suspected = leaf.suspected or news
        if news and not stretch.open:
            stretch.confidence = leaf.belief.outage(self.expected)
            suspects = [key for key, one in stretch.leaves.items() if one.suspected]
            events.append(self._event(place, stretch, "suspected", wall, suspects))
        return events + self._weigh(place, stretch, (leaf,), wall)

    # ------------------------------------------------------ declaring

    def _weigh(
        self, place: Place, stretch: Stretch, asked: Iterable[Leaf], wall: float
    ) -> list[Event]:
        """Declare what convinces by now, of those asked. One that joins speaks for the others."""
        before = stretch.inside if stretch.open else {}
        inside = dict(before)
        best = 0.0
        while True:
            found = [
                (sure, leaf)
                for leaf in asked
                if leaf.suspected and leaf.key not in inside
                if (sure := self._sure(place, stretch, leaf, before, inside, wall))
                >= self.params.declare
            ]
            if not found:
                break
            best = max(best, *(sure for sure, _ in found))
            inside.update((leaf.key, leaf) for _, leaf in found)
            asked = list(stretch.leaves.values())
        if len(inside) == len(before):
            return []
        stretch.inside = inside
        stretch.confidence = best
        if stretch.open:
            return self._reshow(place, stretch, "widened", wall)
        return [self._open(place, stretch, wall)]

    def _open(self, place: Place, stretch: Stretch, wall: float) -> Event:
        if stretch.opened is None:
            begun = [one.since for one in stretch.inside.values() if one.since is not None]
            stretch.since = min(wall, *begun)
            stretch.opened = wall
        else:
            stretch.relapses += 1
            stretch.resolved = stretch.back = None
            if stretch in self._ended:
                self._ended.remove(stretch)
        stretch.open = True
        if stretch.page_said is None and place.witness.admits({key[1] for key in stretch.inside}):
            stretch.page_said = place.witness.said
            stretch.page_claims_since = place.witness.claims_since()
        return self._event(place, stretch, "opened", wall, stretch.inside)

    def _sure(
        self,
        place: Place,
        stretch: Stretch,
        leaf: Leaf,
        before: Collection[Key],
        inside: Collection[Key],
        wall: float,
    ) -> float:
        """The probability of an outage of this leaf, with what corroborates."""
        expected, params = self.expected, self.params
        times = self._times(place, stretch, leaf, inside, wall)
        belief, pool = leaf.belief, leaf.pool
        sure = 0.0
        if belief.failed >= params.failures:
            sure = moved(belief.outage(expected), times)
        if (
            pool.leaves > 1
            and pool.belief.failed >= params.failures
            and not leaf.goods
            and self._whole(place, stretch, leaf, before)
        ):
            sure = max(sure, moved(pool.belief.outage(expected), times))
        return sure

    def _whole(self, place: Place, stretch: Stretch, leaf: Leaf, before: Collection[Key]) -> bool:
        """Whether a surface in trouble may be so as a whole.

        Not where those declared there explain it, and others there are well.
        """
        surface = leaf.key[1]
        if not any(key[1] == surface for key in before):
            return True
        return not any(
            one.ever_good and one.last_good >= stretch.since
            for one in place.leaves.values()
            if one.key[1] == surface and one.key not in before
        )

    def _times(
        self, place: Place, stretch: Stretch, leaf: Leaf, inside: Collection[Key], wall: float
    ) -> float:
        """By how much what corroborates raises the odds."""
        params = self.params
        if stretch.provider is None:
            return params.network_times if self._way.seen_down(wall) else 1.0
        if inside:
            times = params.declared_times
        else:
            most = max(
                (
                    other.belief.outage(self.expected)
                    for other in stretch.leaves.values()
                    if other is not leaf and other.suspected
                ),
                default=0.0,
            )
            times = 1.0 + (params.suspected_times - 1.0) * most
        times *= place.witness.times((leaf.key[1],), stretch.since, wall)
        return min(times, params.times_max)

    # ------------------------------------------------------ recovering

    def _better(self, place: Place, stretch: Stretch, leaf: Leaf, wall: float) -> list[Event]:
        """A good answer on a leaf in trouble."""
        params = self.params
        stretch.goods += 1
        if stretch.holds(leaf):
            if not self._recovered(stretch, leaf):
                return []
            return self._leave(place, stretch, [leaf], wall)
        trouble = leaf.belief.trouble()
        if trouble < params.cleared:
            leaf.suspected = False
        if trouble < params.told and leaf.goods >= params.afresh:
            leaf.since = None
            if len(stretch.leaves) == 1:
                stretch.afresh()
        if not leaf.belief.ill or (
            not leaf.suspected and leaf.good_wall - leaf.failed_wall >= params.over_s
        ):
            self._part(place, stretch, leaf)
        return []

    def _recovered(self, stretch: Stretch, leaf: Leaf) -> bool:
        params = self.params
        apart_s = params.apart_s[min(stretch.relapses, len(params.apart_s) - 1)]
        beside = any(key[1] == leaf.key[1] for key in stretch.inside if key != leaf.key)
        if (
            leaf.goods < (params.goods_beside if beside else params.goods)
            or leaf.good_wall - leaf.good_from < apart_s
            or leaf.belief.trouble() >= params.calm
        ):
            return False
        # A surface that is half ill as a whole is not well because its last leaf had luck.
        return beside or leaf.pool.leaves == 1 or leaf.pool.belief.outage(self.expected) <= 0.5

    def _silent(self, place: Place, stretch: Stretch, good: Leaf, wall: float) -> list[Event]:
        """Declared leaves that nobody asks any more, while others there are well."""
        if good.key in stretch.inside:
            return []
        gone = []
        for leaf in stretch.inside.values():
            silent_s = wall - leaf.belief.wall
            near = leaf.key[1] == good.key[1]
            alike = stretch.credential is None or leaf.key[3] == good.key[3]
            limit_s = self.params.silent_s if near else self.params.silent_elsewhere_s
            if alike and silent_s >= limit_s:
                leaf.goods, leaf.good_from = 0, wall
                gone.append(leaf)
        return self._leave(place, stretch, gone, wall) if gone else []

    def _absent(self, leaf: Leaf, wall: float) -> list[Event]:
        """There is no such surface: it failed with the others, and nobody waits for its return."""
        stretch = leaf.stretch
        if stretch is None:
            return []
        place = self._places[leaf.key[0]]
        if not stretch.holds(leaf):
            self._part(place, stretch, leaf)
            return []
        leaf.goods, leaf.good_from = 0, wall
        return self._leave(place, stretch, [leaf], wall)

    def _leave(self, place: Place, stretch: Stretch, gone: list[Leaf], wall: float) -> list[Event]:
        """Leaves are well again: the set gets smaller, or it is over."""
        left = {key: one for key, one in stretch.inside.items() if one not in gone}
        stretch.confidence = 1.0 - max(leaf.belief.trouble() for leaf in gone)
        if left:
            stretch.inside = left
            for leaf in gone:
                self._part(place, stretch, leaf)
            return self._reshow(place, stretch, "narrowed", wall)
        stretch.open = False
        stretch.back = max(stretch.since, *(leaf.good_from for leaf in gone))
        stretch.resolved = max(wall, stretch.back, stretch.opened or wall)
        self._ended.append(stretch)
        event = self._event(place, stretch, "resolved", wall, stretch.inside)
        for leaf in list(stretch.leaves.values()):
            if not leaf.suspected or leaf in gone:
                self._part(place, stretch, leaf)
        return [event]

    def _part(self, place: Place, stretch: Stretch, leaf: Leaf) -> None:
        """This leaf belongs to the stretch no more; a stretch of none is over or forgotten."""
        stretch.leaves.pop(leaf.key, None)
        leaf.stretch = None
        leaf.suspected = False
        if not leaf.belief.ill:
            leaf.goods = 0
        if not stretch.leaves and not stretch.open and stretch in place.stretches:
            place.stretches.remove(stretch)
            self._troubled -= 1

    # ------------------------------------------------------ what others say

    def _told(self, obs: Observation) -> list[Event]:
        if len(self._places) >= self.params.providers_max and obs.provider not in self._places:
            return []
        place = self._place(obs.provider)
        witness, wall = place.witness, obs.wall
        if obs.kind == "peer":
            witness.heard(obs)
        else:
            witness.read(obs)
        events: list[Event] = []
        for stretch in list(place.stretches):
            surfaces = {key[1] for key in stretch.inside or stretch.leaves}
            if stretch.page_said is None and witness.admits(surfaces):
                stretch.page_said = witness.said
                stretch.page_claims_since = witness.claims_since()
            last = max((leaf.belief.wall for leaf in stretch.leaves.values()), default=wall)
            failing = any(leaf.suspected and not leaf.goods for leaf in stretch.leaves.values())
            if failing and wall - last <= self.params.fresh_s:
                events += self._weigh(place, stretch, list(stretch.leaves.values()), wall)
        return events

    def page(self, provider: str, surface: str, wall: float) -> PageState | None:
        """What the provider's page claims of a surface; None: nothing of late."""
        place = self._places.get(provider)
        return place.witness.page(surface, wall) if place is not None else None

    def confirmed(self, provider: str, surface: str, wall: float) -> bool | None:
        """True: other gateways are in trouble there now. None: they say nothing of it."""
        place = self._places.get(provider)
        if place is None:
            return None
        return place.witness.peers((surface,), wall - FRESH_S, wall) > 0 or None

    def network(self, wall: float) -> bool | None:
        """Whether the plain network worked when it was last looked at; None: not of late."""
        return self._way.plain(wall)

    # ------------------------------------------------------ our own network

    def _looked(self, obs: Observation) -> list[Event]:
        if obs.failure_kind in UNTELLING or (obs.provider and not obs.failure_kind):
            return []  # nothing of the plain network: of one provider its own failures will tell
        wall = obs.wall
        self._way.looked(wall, ok=obs.ok)
        if obs.ok:
            # Several independent hosts were reached.
            return self._net_feed(wall, ok=True, count=3) if self._troubled else []
        if self._way.waking(wall):
            return []
        self._retract(wall)
        return self._net_feed(wall, ok=False, obs=obs)

    def _net_feed(
        self, wall: float, *, ok: bool, obs: Observation | None = None, count: int = 1
    ) -> list[Event]:
        """One sample of our own network, which is a leaf like any other."""
        leaf, place = self._net_leaf, self._net
        if ok and leaf.stretch is None:
            return []
        reached = self._way.reached_wall
        if not leaf.belief.ill and reached is not None:
            # Whoever was reached proved it well, up to then.
            leaf.belief.wall, leaf.belief.samples = reached, max(1, leaf.belief.samples)
        leaf.belief.feed(self.expected, wall, ok=ok, count=count)
        if ok:
            leaf.ever_good = True
            leaf.last_good = wall
            leaf.good(wall, count)
            return self._better(place, leaf.stretch, leaf, wall) if leaf.stretch else []
        leaf.goods = 0
        if obs is None:
            return []
        stretch = leaf.stretch or self._stretch_for(place, leaf, obs)
        stretch.note(obs, transport=True)
        return self._worse(place, stretch, leaf, wall)

    def _retract(self, wall: float) -> None:
        """It was our network all along: what was held against providers for it is forgotten."""
        since = min(wall, self._way.since(wall)) - Way.TOGETHER_S
        for place in self._everywhere():
            for stretch in list(place.stretches):
                only = stretch.transport == stretch.failed and stretch.since >= since
                if stretch.provider is not None and only and not stretch.open:
                    self._forget(place, stretch)

    def _slept(self, wall: float) -> None:
        """The lid was closed: what was only suspected before is forgotten."""
        self._way.woke = wall
        for place in self._everywhere():
            for stretch in list(place.stretches):
                if not stretch.open:
                    self._forget(place, stretch)

    def _forget(self, place: Place, stretch: Stretch) -> None:
        for leaf in list(stretch.leaves.values()):
            leaf.belief.forget()
            leaf.pool.belief.forget()
            self._part(place, stretch, leaf)

    # ------------------------------------------------------ the records

    def _leaf(self, key: Key) -> Leaf:
        """A leaf that was not known yet."""
        if len(self._leaves) >= self.params.leaves_max:
            self._drop_leaves()
        place = self._place(key[0])
        pool = place.pools.get(key[1])
        if pool is None:
            pool = place.pools[key[1]] = Pool()
        pool.leaves += 1
        leaf = self._leaves[key] = place.leaves[key] = Leaf(key, pool)
        return leaf

    def _place(self, provider: str) -> Place:
        place = self._places.get(provider)
        if place is None:
            place = self._places[provider] = Place()
        return place

    def _everywhere(self) -> list[Place]:
        return [*self._places.values(), self._net]

    def _drop_leaves(self) -> None:
        """Too many names: the oldest tenth is forgotten, those in no trouble first."""
        oldest = sorted(
            self._leaves.values(), key=lambda leaf: (leaf.stretch is not None, leaf.belief.wall)
        )
        for leaf in oldest[: max(1, len(oldest) // 10)]:
            place = self._places[leaf.key[0]]
            stretch = leaf.stretch
            if stretch is not None:
                if stretch.open:
                    stretch.inside = {k: one for k, one in stretch.inside.items() if one != leaf}
                    stretch.open = bool(stretch.inside)
                self._part(place, stretch, leaf)
            leaf.pool.leaves -= 1
            if not leaf.pool.leaves:
                del place.pools[leaf.key[1]]
            del place.leaves[leaf.key], self._leaves[leaf.key]
            if not place.leaves:
                del self._places[leaf.key[0]]

    def _stretch_for(self, place: Place, leaf: Leaf, obs: Observation) -> Stretch:
        """The stretch of trouble that a failing leaf belongs to: one there is, or a new one."""
        wall = obs.wall
        personal = obs.verdict is not None and obs.verdict.whose == "account"
        found = self._fitting(place, leaf, wall, personal=personal)
        if found is None:
            name = self._name(place, key_provider=leaf.key[0], wall=wall)
            provider = None if place is self._net else leaf.key[0]
            found = Stretch(name, provider, leaf.key[3] if personal else None, wall)
        if found not in place.stretches:
            place.stretches.append(found)
            self._troubled += 1
        if found.credential not in (None, leaf.key[3]):
            found.credential = None
        found.leaves[leaf.key] = leaf
        leaf.stretch, leaf.since = found, None
        return found

    def _name(self, place: Place, *, key_provider: str, wall: float) -> str:
        """A name that a fold which begins somewhat later or earlier gives as well."""
        name = f"{key_provider or 'network'}-{int(wall)}"
        taken = {stretch.id for stretch in (*place.stretches, *self._ended)}
        while name in taken:
            name += "x"
        return name

    def _fitting(self, place: Place, leaf: Leaf, wall: float, *, personal: bool) -> Stretch | None:
        """A stretch that this failure may be part of.

        A key's own trouble stays with that key, until a second key is refused at about the same
        time: then it is one trouble, and no longer theirs.
        """
        key = leaf.key
        for stretch in sorted(place.stretches, key=lambda one: not one.open):
            together = personal and wall - stretch.since < self.params.reopen_s
            if stretch.credential in (None, key[3]) or together:
                return stretch
        for stretch in reversed(self._ended):
            if (
                stretch.provider == (None if place is self._net else key[0])
                and stretch.resolved is not None
                and wall - stretch.resolved < self.params.reopen_s
                and stretch.credential in (None, key[3])
                and any(one[1] == key[1] for one in stretch.inside)
            ):
                return stretch
        return None

    # ------------------------------------------------------ the telling

    def _event(
        self, place: Place, stretch: Stretch, event: EventKind, wall: float, keys: Collection[Key]
    ) -> Event:
        surfaces = {key[1] for key in stretch.inside or stretch.leaves}
        lately = stretch.since - self.params.reopen_s
        vouched = (
            (place.erred is not None and place.erred >= lately)
            or place.witness.admits(surfaces)
            or place.witness.peers(surfaces, stretch.since, wall) > 0
        )
        stretch.whose = stretch.judged(place.leaves.values(), vouched=vouched)
        stretch.because = self._because(place, stretch, event, wall)
        return stretch.tell(wall, event, self._shown(place, stretch, keys, wall))

    def _shown(
        self, place: Place, stretch: Stretch, keys: Collection[Key], wall: float
    ) -> tuple[Segment, ...]:
        if stretch.provider is None:
            return (Segment(""),)
        return shown_as(keys, place.leaves.values(), wall)

    def _reshow(self, place: Place, stretch: Stretch, event: EventKind, wall: float) -> list[Event]:
        """Tell the set as it now is, if that has changed."""
        shown = self._shown(place, stretch, stretch.inside, wall)
        return (
            []
            if shown == stretch.shown
            else [self._event(place, stretch, event, wall, stretch.inside)]
        )

    def _because(
        self, place: Place, stretch: Stretch, event: EventKind, wall: float
    ) -> tuple[str, ...]:
        """The evidence, in words."""
        if event == "suspected":
            return (stretch.last,)
        sorts = sorted(stretch.sorts.items(), key=lambda sort: -sort[1])
        asked = stretch.failed + stretch.goods
        said = [
            f"{stretch.failed} of {asked} attempts failed in {span(wall - stretch.since)}: "
            + ", ".join(f"{count} × {sort}" for sort, count in sorts[:4]),
            f"the first failure: {stretch.first}",
        ]
        if event in ("narrowed", "resolved"):
            said.insert(0, "good answers again where it had failed")
        members = stretch.inside or stretch.leaves
        surfaces = {key[1] for key in members}
        well = {
            key[1]
            for key, leaf in place.leaves.items()
            if key[1] not in surfaces and leaf.ever_good and leaf.last_good >= stretch.since
        }
        if len(surfaces) > 1:
            said.append(f"{len(surfaces)} surfaces are in trouble together")
        if well:
            said.append(f"still well there: {', '.join(sorted(well)[:5])}")
        peers = place.witness.peers(surfaces, stretch.since, wall)
        if peers:
            said.append(f"{peers} other gateway{'s' if peers > 1 else ''} in trouble there, too")
        if place.witness.state:
            said.append(f"the status page says: {place.witness.state}")
        return tuple(said)

    def view(self, wall: float | None = None) -> tuple[Incident, ...]:
        """Open incidents, then suspicions, then those that ended, the newest first.

        With `wall`, suspicions of which nothing was heard for half an hour are left out.
        """
        alive = [stretch for place in self._everywhere() for stretch in place.stretches]
        opened = [stretch for stretch in alive if stretch.open]
        suspected = [
            stretch
            for stretch in alive
            if not stretch.open
            and stretch.opened is None
            and any(
                leaf.suspected and (wall is None or wall - leaf.belief.wall < self.params.reopen_s)
                for leaf in stretch.leaves.values()
            )
        ]
        ended = list(reversed(self._ended))
        return tuple(stretch.record() for stretch in (*opened, *suspected, *ended))


def counts(obs: Observation) -> bool:
    """Whether a failure says anything about how the other side, or the way there, stands.

    Not where the request itself was wrong, and not the user's own limits.
    """
    verdict = obs.verdict
    if verdict is None:
        return obs.status not in (402, 429)
    if verdict.whose == "request" or verdict.cause == "stale_connection":
        return False
    return not (verdict.whose == "account" and verdict.cause in LIMITS)
