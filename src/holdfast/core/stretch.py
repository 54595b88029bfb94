"""A stretch of trouble: what belongs to it, what it looked like, whose fault it is.

The records that `core.incident` folds into. Leaves are the finest segments; they are judged each
by its own belief, and shown as few segments as say the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from holdfast.core.detect import Belief
from holdfast.facts.incidents import Event, EventKind, Incident
from holdfast.facts.observations import Observation
from holdfast.facts.outcomes import Whose
from holdfast.facts.places import Segment

# provider, surface, model, credential; "" where it is about no particular one
Key = tuple[str, str, str, str]

TIMELINE_MAX = 200
SORTS_MAX = 20
# How much an older failure's verdict counts against the next one's.
FADING = 0.8
# What to call it where all failures together say another side than each by itself did.
CAUSES: dict[Whose, str] = {
    "provider": "provider_outage",
    "account": "credential_revoked_or_org",
    "network": "local_network",
}
# A leaf seen within so long is one of those that are still in use.
IN_USE_S = 86400.0
REFUSED = (401, 403)


class Pool:
    """All leaves of one surface as one: thin traffic, spread over many models, adds up."""

    __slots__ = ("belief", "leaves")

    def __init__(self) -> None:
        self.belief = Belief()
        self.leaves = 0


class Leaf:
    """One finest segment: its belief, and where it stands. Times are UTC seconds.

    `suspected`: it failed, and nothing has cleared it. `stretch`: the trouble that it belongs to,
    `since`: its first failure in it.
    `good_from`, `good_wall`, `goods`: the good answers since its last failure.
    """

    __slots__ = (
        "belief",
        "ever_good",
        "failed_wall",
        "good_from",
        "good_wall",
        "goods",
        "key",
        "last_good",
        "pool",
        "since",
        "stretch",
        "suspected",
    )

    def __init__(self, key: Key, pool: Pool) -> None:
        self.key = key
        self.pool = pool
        self.belief = Belief()
        self.suspected = False
        self.stretch: Stretch | None = None
        self.since: float | None = None
        self.failed_wall = 0.0
        self.ever_good = False
        self.last_good = 0.0
        self.goods = 0
        self.good_from = 0.0
        self.good_wall = 0.0

    def good(self, wall: float, count: int) -> None:
        """A good answer, while it is in trouble."""
        if not self.goods:
            self.good_from = wall
        self.goods += count
        self.good_wall = wall


class Stretch:
    """One stretch of trouble of one provider (or of our own network), open or only suspected.

    `leaves` belong to it; those `inside` are declared. Of an ended one `inside` is what was.
    """

    __slots__ = (
        "back",
        "because",
        "cause",
        "causes",
        "confidence",
        "credential",
        "failed",
        "first",
        "goods",
        "id",
        "inside",
        "last",
        "leaves",
        "open",
        "opened",
        "page_claims_since",
        "page_said",
        "provider",
        "refused",
        "relapses",
        "resolved",
        "shown",
        "since",
        "sorts",
        "stood_in",
        "tally",
        "timeline",
        "transport",
        "whose",
    )

    def __init__(
        self, name: str, provider: str | None, credential: str | None, wall: float
    ) -> None:
        self.id = name
        self.provider = provider  # None: our own network
        # Set where it is this credential's own trouble.
        self.credential = credential
        self.since = wall
        self.open = False
        self.opened: float | None = None
        self.back: float | None = None
        self.resolved: float | None = None
        self.relapses = 0
        self.leaves: dict[Key, Leaf] = {}
        self.inside: dict[Key, Leaf] = {}
        self.shown: tuple[Segment, ...] = ()
        self.failed = self.goods = self.refused = self.transport = 0
        self.first = self.last = ""
        self.sorts: dict[str, int] = {}
        self.tally: dict[Whose, float] = {}
        self.whose: Whose = "unknown"
        self.cause = ""
        # The latest cause that was named for each side.
        self.causes: dict[Whose, str] = {}
        self.confidence = 0.0
        self.because: tuple[str, ...] = ()
        self.page_said: float | None = None
        self.page_claims_since: float | None = None
        self.stood_in: dict[str, None] = {}  # in the order in which they came
        self.timeline: list[Event] = []

    def holds(self, leaf: Leaf) -> bool:
        """Whether this leaf is declared, as a part of it."""
        return self.open and leaf.key in self.inside

    def note(self, obs: Observation, *, transport: bool) -> None:
        """One failure that belongs to it."""
        sort = sort_of(obs)
        self.failed += obs.count
        self.refused += obs.count if obs.status in REFUSED else 0
        self.transport += obs.count if transport else 0
        self.last = obs.text[:200] or sort
        self.first = self.first or self.last
        if sort in self.sorts or len(self.sorts) < SORTS_MAX:
            self.sorts[sort] = self.sorts.get(sort, 0) + obs.count
        for known in self.tally:
            self.tally[known] *= FADING
        verdict = obs.verdict
        whose: Whose = "unknown" if verdict is None else verdict.whose
        self.tally[whose] = self.tally.get(whose, 0.0) + (0.3 if verdict is None else 1.0)
        if verdict is not None:
            self.causes[whose] = verdict.cause

    def afresh(self) -> None:
        """What was suspected has passed; what fails from here on begins anew."""
        self.failed = self.goods = self.refused = self.transport = 0
        self.first = ""
        self.sorts = {}

    def judged(self, known: Iterable[Leaf], *, vouched: bool) -> Whose:
        """Whose fault it is, of all its failures together. `known`: the provider's leaves.

        `vouched`: something else speaks of trouble there: server errors, its page, others.

        Where every failure names the user (401, 403), what else is well decides: another key that
        works on the same surface speaks against this key, this key working on another surface
        speaks for it, and two keys that are refused at once are no coincidence. A key that is not
        known (401) on any of several surfaces, while nothing else speaks of trouble, was most
        likely taken back.
        """
        if self.provider is None:
            return "network"
        members = self.inside or self.leaves
        if self.refused == self.failed > 0:
            keys = {key[3] for key in members}
            surfaces = {key[1] for key in members}
            well = [
                leaf.key
                for leaf in known
                if leaf.ever_good and leaf.last_good >= self.since and leaf.key not in members
            ]
            if any(key[3] not in keys and key[1] in surfaces for key in well):
                return "account"
            if len(keys) > 1 or any(key[3] in keys and key[1] not in surfaces for key in well):
                return "provider"
            unknown = self.sorts.get("HTTP 401", 0) == self.failed
            if unknown and not vouched and not well and len(surfaces) > 1 and self.open:
                return "account"
        return max(self.tally, key=lambda one: (self.tally[one], one), default="unknown")

    def tell(self, wall: float, event: EventKind, shown: tuple[Segment, ...]) -> Event:
        """Write one entry of the timeline."""
        self.shown = shown
        self.cause = self.causes.get(self.whose) or CAUSES.get(self.whose, "unknown")
        told = Event(
            at=wall,
            event=event,
            incident=self.id,
            whose=self.whose,
            cause=self.cause,
            segments=shown,
            confidence=round(min(0.999, max(0.001, self.confidence)), 3),
            because=self.because,
        )
        self.timeline.append(told)
        if len(self.timeline) > TIMELINE_MAX:
            del self.timeline[TIMELINE_MAX // 4]  # the beginning and the newest stay
        return told

    def record(self) -> Incident:
        """What is known of it now."""
        late_s = None
        if self.page_said is not None and self.opened is not None:
            late_s = self.page_said - self.opened
        return Incident(
            id=self.id,
            since=self.since,
            opened=self.opened,
            back=self.back,
            resolved=self.resolved,
            whose=self.whose,
            cause=self.cause,
            confidence=self.confidence,
            because=self.because,
            segments=self.shown,
            reopened=self.relapses,
            page_said=self.page_said,
            page_claims_since=self.page_claims_since,
            page_late_s=late_s,
            stood_in=tuple(self.stood_in),
            timeline=tuple(self.timeline),
        )


def sort_of(obs: Observation) -> str:
    """A failure's sort in a word."""
    if obs.status is not None and obs.failure_kind in ("", "status"):
        return f"HTTP {obs.status}"
    return obs.failure_kind.replace("_", " ")[:40] or "failure"


def span(seconds: float) -> str:
    """A duration in words: 40 s, 3 min, 2 h 5 min."""
    if seconds < 100:
        return f"{max(0, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def shown_as(inside: Collection[Key], known: Iterable[Leaf], wall: float) -> tuple[Segment, ...]:
    """The fewest segments that say `inside`, of the provider's leaves that are in use.

    A part becomes None ("all") where at least two of it are in trouble and none is known that
    is not.
    """
    if not inside:
        return ()
    others = [
        leaf.key
        for leaf in known
        if leaf.key not in inside and leaf.ever_good and wall - leaf.last_good < IN_USE_S
    ]
    provider = next(iter(inside))[0]
    surfaces = sorted({key[1] for key in inside})
    if len(surfaces) > 1 and not others:
        return (Segment(provider, None, _one(inside, 2), _one(inside, 3)),)
    found = [
        part
        for surface in surfaces
        for part in _on_surface(
            [key for key in inside if key[1] == surface],
            [key for key in others if key[1] == surface],
        )
    ]
    return tuple(_over_surfaces(found, others))


def _one(keys: Iterable[Key], part: int) -> str | None:
    """The one name that all share in this part, or None."""
    names = {key[part] for key in keys}
    return (names.pop() or None) if len(names) == 1 else None


def _on_surface(inside: list[Key], others: list[Key]) -> Iterator[Segment]:
    provider, surface = inside[0][0], inside[0][1] or None
    # No other is well there, or none with the same credential, or none of the same model.
    for part in ((), (3,), (2,)):
        groups: dict[tuple[str, ...], list[Key]] = {}
        for key in inside:
            groups.setdefault(tuple(key[p] for p in part), []).append(key)
        if not any(tuple(key[p] for p in part) in groups for key in others):
            for keys in groups.values():
                yield Segment(provider, surface, _one(keys, 2), _one(keys, 3))
            return
    for key in sorted(inside):
        yield Segment(provider, surface, key[2] or None, key[3] or None)


def _over_surfaces(found: list[Segment], others: list[Key]) -> Iterator[Segment]:
    """One segment for the same part of all surfaces, where none of them has it well."""
    groups: dict[tuple[str | None, str | None], list[Segment]] = {}
    for segment in found:
        groups.setdefault((segment.model, segment.credential), []).append(segment)
    for (model, credential), same in groups.items():
        surfaces = {segment.surface for segment in same}
        well = any(
            (key[1] or None) not in surfaces
            or (model in (None, key[2]) and credential in (None, key[3]))
            for key in others
        )
        if len(same) > 1 and not well:
            yield Segment(same[0].provider, None, model, credential)
        else:
            yield from same
