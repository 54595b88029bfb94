"""Which probes are due: cheap questions of our own where the user's traffic is too thin to tell.

One person's traffic alone needs many minutes to show an outage; a question a minute shows it in a
few. Asked is what is in use (or would be, as a stand-in), by endpoints that cost nothing first: a
list of models, a count of tokens. They may be well while inference is down, so now and then, and
in trouble whenever they are well, a very short answer is asked for, too.

Pure: `observe` folds what was learnt, `due` decides. What was spent is counted from the probes'
own observations, so folding the day's journal after a restart gives the day's account back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import msgspec
from msgspec import Struct

from holdfast.core.route import TALK
from holdfast.facts.observations import FREE_SURFACES, Observation, absent
from holdfast.facts.places import Dialect, Provider, Segment, Target

DAY_S = 86_400.0
KNOWN_MAX = 2_000

Way = Literal["models", "count_tokens", "generation", "reach"]
# Provider, surface, model, credential; for a probe: of what it asks.
Leaf = tuple[str, str, str, str]


class Params(Struct, frozen=True, kw_only=True):
    """How often, in seconds between two; and how much, on one day (UTC) and for one provider."""

    # What was used lately: about two to four minutes to a declared outage (for a person who asks
    # 20 times an hour, traffic alone takes nine).
    quiet_s: float = 60.0
    used_lately_s: float = 1800.0
    # What is only named in the routes: is the key good, is the stand-in there?
    idle_s: float = 3600.0
    # After the first failure: soon, but spread over minutes. A quick burst would sample the same
    # short blip again and again, and call it an outage.
    suspected_s: float = 15.0
    suspected_for_s: float = 180.0
    # In a declared outage the question is when it is back. Free ones keep the pace; paid ones
    # wait for a tenth of what it has lasted, so a day's budget outlives four hours of outage and
    # the return is seen within a tenth of its length.
    declared_s: float = 30.0
    declared_share: float = 0.1
    # Of ten looks at something well, one is an answer that costs.
    generation_every: int = 10
    # Chat sites, consoles, sign-ins: a page each, so politely.
    watch_s: float = 300.0
    watch_trouble_s: float = 60.0
    free_per_day_max: int = 1500
    generations_per_day_max: int = 50
    # The rest of the day's budget is for trouble. As their share runs out, quiet probes come
    # more and more seldom, instead of stopping.
    quiet_free_share: float = 2 / 3
    quiet_generation_share: float = 0.3
    jitter: float = 0.2
    # The network of a machine that just woke is not up yet: that is no outage.
    woke_s: float = 30.0
    # A probe that never came back is given up.
    lost_s: float = 120.0
    # Who answers 429 to a probe is asked half as often, down to this.
    patience_max: float = 64.0
    at_once_max: int = 8
    # Simulated providers are probed only where somebody asks for it.
    sim: bool = False


class Probe(Struct, frozen=True, kw_only=True):
    """One question. `surface` is what it asks (its observation's), `url` only for "reach"."""

    way: Way
    provider: str
    surface: str
    model: str = ""
    credential: str = ""
    dialect: Dialect | None = None
    url: str = ""
    why: str = ""

    @property
    def leaf(self) -> Leaf:
        return self.provider, self.surface, self.model, self.credential


class Watched(Struct, frozen=True):
    """A surface that cannot be routed, and the page that shows whether it is there."""

    provider: str
    surface: str
    url: str


class View(Struct, frozen=True, kw_only=True):
    """What the shell knows now.

    `targets`: first choices and stand-ins of the routes (a model `*`, or empty: none in
    particular). `subscriptions`: providers whose key is a subscription's token, which no probe may
    carry. `suspected` and `declared`: segments in trouble (a part that is None means all).
    `woke_wall`: when the machine last woke (UTC seconds).
    """

    providers: tuple[Provider, ...] = ()
    targets: tuple[Target, ...] = ()
    watched: tuple[Watched, ...] = ()
    subscriptions: frozenset[str] = frozenset()
    suspected: frozenset[Segment] = frozenset()
    declared: frozenset[Segment] = frozenset()
    offline: bool = False
    woke_wall: float | None = None


class Spent(Struct, frozen=True, kw_only=True):
    """What probes of one provider have used of today's budget."""

    provider: str
    free: int
    free_max: int
    generations: int
    generations_max: int


class Kind(Struct, frozen=True):
    """How a surface that gives answers is asked in one dialect: the free ways first to last."""

    dialect: Dialect
    free: tuple[Way, ...]
    answers: bool = True


# By surface; which of several kinds it is tells the dialect that its provider speaks.
KINDS: dict[str, tuple[Kind, ...]] = {
    "messages": (Kind("anthropic", ("count_tokens", "models")),),
    "chat": (Kind("openai", ("models",)), Kind("ollama", ("models",))),
    "responses": (Kind("openai-responses", ("count_tokens", "models")),),
    "generate_content": (Kind("gemini", ("count_tokens", "models")),),
    "embeddings": (Kind("openai", ("models",), answers=False),),
}
# Statuses by which a server says that it has no such endpoint.


class _Leaf(Struct):
    """What is remembered of a segment in use."""

    used_wall: float
    good_wall: float | None = None


class _Asked(Struct):
    """What is remembered of a probe. `spread` is its dice: a factor on every interval; `well`: it
    was once answered as it should be.
    """

    last_wall: float
    spread: float
    flying_since: float | None = None
    paid: bool = False
    answered_wall: float | None = None
    ok: bool = False
    patience: float = 1.0
    well: bool = False
    absent: bool = False


class _Station(Struct, frozen=True):
    """A segment that probes look after. `spared`: by answers that cost, while all is well."""

    used: bool
    spared: bool
    kind: Kind


class _Trouble(Struct, frozen=True):
    level: Literal["suspected", "declared"]
    since: float


class _Wish(Struct, frozen=True):
    """A probe that is made when so much time has passed since its last one."""

    probe: Probe
    after_s: float
    in_trouble: bool = False
    at_once: bool = False


class Probing:
    """Told everything that is learnt; asked once a second or so what is due."""

    __slots__ = ("_asked", "_day", "_hurried", "_leaves", "_spent", "_troubled", "params")

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or Params()
        self._leaves: dict[Leaf, _Leaf] = {}
        self._asked: dict[Leaf, _Asked] = {}
        self._troubled: dict[Segment, _Trouble] = {}
        # Stations whose sibling has just come under suspicion.
        self._hurried: set[Leaf] = set()
        self._day = 0
        self._spent: dict[tuple[str, bool], int] = {}

    # ------------------------------------------------------------- the fold

    def observe(self, obs: Observation) -> None:
        """Fold one observation; those that are neither traffic nor probes change nothing."""
        leaf = (obs.provider, obs.surface, obs.model, obs.credential)
        if obs.kind == "traffic":
            known = self._leaves.get(leaf)
            if known is None:
                known = self._leaves[leaf] = _Leaf(obs.wall)
                if len(self._leaves) > KNOWN_MAX:
                    del self._leaves[next(iter(self._leaves))]
            known.used_wall = max(known.used_wall, obs.wall)
            if obs.ok:
                known.good_wall = max(known.good_wall or obs.wall, obs.wall)
        elif obs.kind == "probe":
            self._answered(leaf, obs)

    def _answered(self, leaf: Leaf, obs: Observation) -> None:
        asked = self._asked.get(leaf)
        if asked is None:
            asked = self._remember(leaf, _Asked(obs.wall, 1.0, paid=is_paid(obs.surface)))
        asked.flying_since = None
        asked.last_wall = max(asked.last_wall, obs.wall)
        asked.answered_wall, asked.ok = obs.wall, obs.ok
        if obs.status == 429:
            asked.patience = min(2 * asked.patience, self.params.patience_max)
        elif obs.ok:
            asked.patience = 1.0
            asked.well = True
        elif absent(obs) and not asked.well:  # else an outage speaks so
            asked.absent = True
        if obs.surface in KINDS or obs.surface in FREE_SURFACES:
            self._count(obs.provider, obs.wall, paid=asked.paid)

    def _remember(self, leaf: Leaf, asked: _Asked) -> _Asked:
        if len(self._asked) >= KNOWN_MAX:
            del self._asked[next(iter(self._asked))]
        self._asked[leaf] = asked
        return asked

    # ------------------------------------------------------------ the budget

    def _count(self, provider: str, wall: float, *, paid: bool) -> None:
        if self._is_today(wall):
            self._spent[provider, paid] = self._spent.get((provider, paid), 0) + 1

    def _is_today(self, wall: float) -> bool:
        day = int(wall // DAY_S)
        if day > self._day:
            self._day = day
            self._spent.clear()
        return day == self._day

    def _used(self, provider: str, *, paid: bool) -> int:
        """Of today's budget: what has ended, and what is under way."""
        flying = sum(
            asked.flying_since is not None and asked.paid is paid and leaf[0] == provider
            for leaf, asked in self._asked.items()
            if leaf[1] in KINDS or leaf[1] in FREE_SURFACES
        )
        return self._spent.get((provider, paid), 0) + flying

    def _most(self, *, paid: bool) -> int:
        params = self.params
        return params.generations_per_day_max if paid else params.free_per_day_max

    def _stretch(self, wish: _Wish) -> float | None:
        """By how much the budget stretches this wish's interval; None: there is none left."""
        if wish.probe.way == "reach":
            return 1.0
        paid = wish.probe.way == "generation"
        used, most = self._used(wish.probe.provider, paid=paid), float(self._most(paid=paid))
        if wish.in_trouble:
            return 1.0 if used < most else None
        params = self.params
        most *= params.quiet_generation_share if paid else params.quiet_free_share
        return most / (most - used) if used < most else None

    def spent(self, at_wall: float) -> tuple[Spent, ...]:
        """What was spent on this day (UTC), by provider, with what is under way."""
        if not self._is_today(at_wall):
            return ()
        flying = {leaf[0] for leaf, asked in self._asked.items() if asked.flying_since is not None}
        told = (
            Spent(
                provider=provider,
                free=self._used(provider, paid=False),
                free_max=self.params.free_per_day_max,
                generations=self._used(provider, paid=True),
                generations_max=self.params.generations_per_day_max,
            )
            for provider in sorted({provider for provider, _ in self._spent} | flying)
        )
        return tuple(one for one in told if one.free or one.generations)

    # ----------------------------------------------------------- the question

    def due(self, at_wall: float, view: View, dice: Callable[[], float]) -> list[Probe]:
        """The probes to make now (UTC seconds), those for segments in trouble first.

        Each is under way until its observation comes. `dice` is uniform in [0, 1).
        """
        self._is_today(at_wall)
        self._give_up(at_wall)
        woke = view.woke_wall
        if view.offline or (woke is not None and 0 <= at_wall - woke < self.params.woke_s):
            return []
        new = self._note_trouble(at_wall, view)
        stations = self._stations(at_wall, view)
        self._hurry_siblings(new, stations)
        wishes = [wish for leaf, at in stations.items() for wish in self._wishes(leaf, at, at_wall)]
        wishes += [*self._free_in_trouble(at_wall, view), *self._watches(view)]
        wishes.sort(key=lambda wish: not (wish.in_trouble or wish.at_once))
        found: list[Probe] = []
        for wish in wishes:
            if len(found) < self.params.at_once_max and self._is_due(wish, at_wall, dice):
                found.append(wish.probe)
        self._hurried.clear()
        return found

    def _give_up(self, at_wall: float) -> None:
        for leaf, asked in self._asked.items():
            since = asked.flying_since
            if since is not None and not 0 <= at_wall - since < self.params.lost_s:
                asked.flying_since = None
                if leaf[1] in KINDS or leaf[1] in FREE_SURFACES:
                    self._count(leaf[0], at_wall, paid=asked.paid)

    def _is_due(self, wish: _Wish, at_wall: float, dice: Callable[[], float]) -> bool:
        stretch = self._stretch(wish)
        if stretch is None:
            return False
        leaf, params = wish.probe.leaf, self.params
        asked = self._asked.get(leaf)
        if asked is None:
            # Not all at the same moment, when a gateway has just started.
            began = at_wall - wish.after_s + dice() * min(wish.after_s, params.quiet_s)
            paid = wish.probe.way == "generation"
            asked = self._remember(leaf, _Asked(began, 1.0, paid=paid))
            if wish.in_trouble:
                asked.last_wall = at_wall - wish.after_s
        if asked.flying_since is not None or asked.absent:
            return False
        asked.last_wall = min(asked.last_wall, at_wall)  # the wall clock may step back
        after_s = wish.after_s * asked.spread * asked.patience * stretch
        if at_wall - asked.last_wall < after_s and not (wish.at_once and asked.patience == 1.0):
            return False
        asked.flying_since = asked.last_wall = at_wall
        asked.spread = 1.0 + params.jitter * (2.0 * dice() - 1.0)
        return True

    # ----------------------------------------------------------- the stations

    def _stations(self, at_wall: float, view: View) -> dict[Leaf, _Station]:
        """The segments that probes look after: those named, and those used lately."""
        allowed = self._allowed(view)
        found: dict[Leaf, _Station] = {}
        for target in view.targets:
            provider = allowed.get(target.provider)
            if provider is None:
                continue
            talk = next((TALK[dialect] for dialect in provider.dialects if dialect in TALK), None)
            kind = None if talk is None else _kind(provider, talk)
            if talk is not None and kind is not None:
                model = "" if target.model == "*" else target.model
                station = _Station(used=False, spared=True, kind=kind)
                found[provider.name, talk, model, provider.key] = station
        for leaf, known in self._leaves.items():
            provider = allowed.get(leaf[0])
            kind = None if provider is None else _kind(provider, leaf[1])
            if provider is None or kind is None or leaf[3] != provider.key:
                continue
            used = at_wall - known.used_wall < self.params.used_lately_s
            trouble = self._trouble_of(leaf)
            if used or leaf in found or (trouble is not None and self._matters(leaf, trouble)):
                # An answer may have a local engine load a model and throw another out.
                spared = not used or provider.kind == "local"
                found[leaf] = _Station(used, spared=spared, kind=kind)
        return found

    def _allowed(self, view: View) -> dict[str, Provider]:
        """Providers that may be asked, by their names."""
        sim = self.params.sim
        return {
            provider.name: provider
            for provider in view.providers
            if provider.key != "client"
            and provider.name not in view.subscriptions
            and (sim or provider.kind != "sim")
        }

    def _note_trouble(self, at_wall: float, view: View) -> set[Segment]:
        """Keep since when each segment is in trouble; returns the new ones."""
        now: dict[Segment, _Trouble] = {}
        for segment in view.suspected | view.declared:
            before = self._troubled.get(segment)
            since = before.since if before is not None else at_wall
            now[segment] = _Trouble("declared" if segment in view.declared else "suspected", since)
        new = now.keys() - self._troubled.keys()
        self._troubled = now
        return new

    def _hurry_siblings(self, new: Iterable[Segment], stations: Iterable[Leaf]) -> None:
        for segment in new:
            for leaf in stations:
                if leaf[0] == segment.provider and not covers(segment, leaf):
                    self._hurried.add(leaf)

    def _matters(self, leaf: Leaf, trouble: _Trouble) -> bool:
        """Whether it was in use when this trouble came: then somebody waits for its end."""
        known = self._leaves.get(leaf)
        return known is not None and known.used_wall >= trouble.since - self.params.used_lately_s

    def _trouble_of(self, leaf: Leaf) -> _Trouble | None:
        """The worst that covers this leaf; among equals, the oldest."""
        found = [trouble for s, trouble in self._troubled.items() if covers(s, leaf)]
        return min(found, key=lambda t: (t.level != "declared", t.since), default=None)

    # ------------------------------------------------------------- the wishes

    def _wishes(self, leaf: Leaf, station: _Station, at_wall: float) -> Iterator[_Wish]:
        trouble = self._trouble_of(leaf)
        if trouble is not None:
            yield from self._in_trouble(leaf, station.kind, trouble, at_wall)
            return
        params = self.params
        hurried = leaf in self._hurried
        why = "its sibling is suspected" if hurried else "little traffic"
        kind = station.kind
        free, paid = self._free(leaf, kind, why), self._paid(leaf, kind, why)
        after_s = params.quiet_s if station.used else params.idle_s
        if paid is not None and not station.spared:
            seldom_s = after_s * params.generation_every
            if hurried or not self._seen_well(leaf, at_wall, seldom_s):
                yield _Wish(paid, seldom_s, at_once=hurried)
        if free is not None and (hurried or not self._seen_well(leaf, at_wall, after_s)):
            yield _Wish(free, after_s, at_once=hurried)

    def _in_trouble(
        self, leaf: Leaf, kind: Kind, trouble: _Trouble, at_wall: float
    ) -> Iterator[_Wish]:
        params, level = self.params, trouble.level
        free, paid = self._free(leaf, kind, level), self._paid(leaf, kind, level)
        if not self._matters(leaf, trouble):
            paid = None
        lasted_s = max(0.0, at_wall - trouble.since)
        after_s = costly_s = self._pace_s(trouble, lasted_s)
        if trouble.level == "declared":
            costly_s = max(after_s, params.declared_share * lasted_s)
        if self._seen_well(leaf, at_wall, after_s):
            return
        told = self._asked.get(free.leaf) if free is not None else None
        well = free is None or (
            told is not None
            and told.ok
            and told.answered_wall is not None
            and told.answered_wall >= trouble.since
        )
        # Where the free one says that all is well it has no more to tell; where it fails too, or
        # is forbidden to this key, it is what costs that would tell little.
        seldom = float(params.generation_every)
        if free is not None:
            yield _Wish(free, after_s * (seldom if well and paid else 1.0), in_trouble=True)
        if paid is not None:
            yield _Wish(paid, costly_s * (1.0 if well else seldom), in_trouble=True)

    def _pace_s(self, trouble: _Trouble, lasted_s: float) -> float:
        """The usual time between two free probes of what is in trouble."""
        if trouble.level == "declared":
            return self.params.declared_s
        fast = lasted_s < self.params.suspected_for_s
        return self.params.suspected_s if fast else self.params.quiet_s

    def _free_in_trouble(self, at_wall: float, view: View) -> Iterator[_Wish]:
        """Free endpoints that are themselves in trouble, whoever found out.

        They stand in for answers, and when these are well again nobody else may ever ask them: no
        good answer would show that it is over.
        """
        allowed = self._allowed(view)
        for leaf in dict.fromkeys((*self._asked, *self._leaves)):
            provider, surface, model, credential = leaf
            trouble = self._trouble_of(leaf) if surface in FREE_SURFACES else None
            mine = allowed.get(provider)
            if trouble is None or mine is None or credential != mine.key:
                continue
            probe = _free_probe(mine, surface, model)
            after_s = self._pace_s(trouble, max(0.0, at_wall - trouble.since))
            if probe is not None and not self._seen_well(leaf, at_wall, after_s):
                yield _Wish(probe, after_s, in_trouble=True)

    def _watches(self, view: View) -> Iterator[_Wish]:
        params = self.params
        for watched in view.watched:
            trouble = any(segment.provider == watched.provider for segment in self._troubled)
            after_s = params.watch_trouble_s if trouble else params.watch_s
            probe = Probe(
                way="reach", provider=watched.provider, surface=watched.surface, url=watched.url
            )
            yield _Wish(probe, after_s, in_trouble=trouble)

    def _seen_well(self, leaf: Leaf, at_wall: float, within_s: float) -> bool:
        """Whether the user's own traffic had a good answer there within this time."""
        known = self._leaves.get(leaf)
        good = known.good_wall if known is not None else None
        return good is not None and 0 <= at_wall - good < within_s

    def _free(self, leaf: Leaf, kind: Kind, why: str) -> Probe | None:
        """The first free way that this server has."""
        provider, _, model, credential = leaf
        for way in kind.free:
            if way == "count_tokens" and not model:
                continue
            probe = Probe(
                way=way,
                provider=provider,
                surface=way,
                model=model if way == "count_tokens" else "",
                credential=credential,
                dialect=kind.dialect,
                why=why,
            )
            asked = self._asked.get(probe.leaf)
            if asked is None or not asked.absent:
                return probe
        return None

    def _paid(self, leaf: Leaf, kind: Kind, why: str) -> Probe | None:
        provider, surface, model, credential = leaf
        if not (kind.answers and model):
            return None
        return Probe(
            way="generation",
            provider=provider,
            surface=surface,
            model=model,
            credential=credential,
            dialect=kind.dialect,
            why=why,
        )


def _kind(provider: Provider, surface: str) -> Kind | None:
    """How this provider is asked on a surface: in the first dialect it speaks that has it."""
    kinds = {kind.dialect: kind for kind in KINDS.get(surface, ())}
    spoken = next((dialect for dialect in provider.dialects if dialect in kinds), None)
    return None if spoken is None else _able(kinds[spoken], provider)


def _able(kind: Kind, provider: Provider) -> Kind:
    """Without counts where the provider is known not to have any in this dialect."""
    if provider.counts is None or kind.dialect in provider.counts:
        return kind
    free = tuple(way for way in kind.free if way != "count_tokens")
    return msgspec.structs.replace(kind, free=free)


def _free_probe(provider: Provider, surface: str, model: str) -> Probe | None:
    """A question for one free endpoint; None where it cannot be asked."""
    for dialect in provider.dialects:
        kinds = [_able(k, provider) for ks in KINDS.values() for k in ks if k.dialect == dialect]
        way = next((w for kind in kinds for w in kind.free if w == surface), None)
        if way is not None and (model or way == "models"):
            return Probe(
                way=way,
                provider=provider.name,
                surface=surface,
                model=model,
                credential=provider.key,
                dialect=dialect,
                why="in trouble itself",
            )
    return None


def covers(segment: Segment, leaf: Leaf) -> bool:
    """Whether a segment (None: all) holds this leaf."""
    parts = (segment.provider, segment.surface, segment.model, segment.credential)
    return all(part is None or part == own for part, own in zip(parts, leaf, strict=True))


def is_paid(surface: str) -> bool:
    """Whether a probe of this surface is a generation."""
    return surface in KINDS
