"""The board: the present state of every segment, folded from observations.

`observe` folds; `standing` and `rows` show. The board composes and judges nothing itself: a
failure comes with its verdict, and the verdict's scope says which part of the tree it speaks of.
What makes incidents of the same observations, for people, is `core.incident`; what it has been
told of pages, peers and the network stands around failures here.

    provider ── surface ── model
                   └────── credential

Two models in trouble on one surface put the surface down, two credentials likewise, and two
surfaces that went down this way the provider. Law of replay: folding the same observations again
(with the same dice) gives an equal board. Claims of trials are the one thing beside the fold; the
observation of a trial's end takes its claim away.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import lru_cache
from math import inf
from typing import TypeVar

from msgspec import Struct

from holdfast.core.health import CONNECT_KINDS, SILENT_KINDS, Health, Node, Params, State
from holdfast.core.incident import Incidents
from holdfast.core.sampling import Leaf
from holdfast.facts.evidence import Circumstances
from holdfast.facts.flights import Leg, Vouched
from holdfast.facts.observations import Observation
from holdfast.facts.outcomes import Times, Verdict
from holdfast.facts.places import Segment

# "Lately", for evidence.
LATELY_S = 300.0
BURST_COUNT = 2
# Weight of the newest time to first content in the moving average.
SMOOTHING = 0.2
KNOWN_MAX = 10_000
Key = TypeVar("Key", bound=tuple[str, ...])
IN_TROUBLE = (State.DOWN, State.PROBATION)


class Standing(Struct, frozen=True):
    """How one leg stands now. `open`: it may be asked; `trial`: as one trial.

    Not open: it `rests`, or its trial is under way. `failed_at`: the last failure of what keeps it
    from being well; `silent`: that was silence, `trips` times lately. `asked`: it asked to be left
    alone until later.
    """

    open: bool
    trial: bool = False
    rests: bool = False
    failed_at: float = 0.0
    silent: bool = False
    trips: int = 0
    asked: bool = False
    why: str = ""


class SegmentRow(Struct, frozen=True, kw_only=True):
    """One line of the board for people and scripts. `since` is UTC seconds."""

    segment: Segment
    state: str
    since: float
    kind: str = ""
    status: int | None = None
    verdict: str = ""
    whose: str = ""
    because: tuple[str, ...] = ()
    rests_s: float = 0.0


WELL = Standing(open=True)


class Board:
    """Told everything in order; asks nobody. `dice` is uniform in [0, 1).

    `incidents` are folded by whoever keeps the journal, somewhat later; here they are only asked.
    `watched` are surfaces that are looked at and cannot be routed (a chat site, a sign-in).
    """

    __slots__ = (
        "_aside",
        "_bursts",
        "_health",
        "_last_ok",
        "_seen",
        "_typical",
        "_watched",
        "incidents",
    )

    def __init__(
        self,
        dice: Callable[[], float],
        params: Params | None = None,
        incidents: Incidents | None = None,
        watched: Collection[str] = (),
    ) -> None:
        self.incidents = incidents or Incidents()
        self._watched = frozenset(watched)
        self._health = Health(dice, params)
        # (provider, credential, surface) → when it last worked.
        self._last_ok: dict[tuple[str, str, str], float] = {}
        self._typical: dict[tuple[str, str], float] = {}
        self._bursts: dict[str, list[float]] = {}
        self._seen: dict[tuple[str, str, str, str], float] = {}
        # Of watched surfaces: when they last failed.
        self._aside: dict[tuple[str, str], float] = {}

    # ------------------------------------------------------------- the fold

    def observe(self, obs: Observation) -> None:
        """Fold one observation."""
        match obs.kind:
            case "traffic" | "probe" if obs.surface in self._watched:
                self._looked_aside(obs)
            case "traffic" | "probe":
                if obs.ok:
                    leaf = (obs.provider, obs.surface, obs.model, obs.credential)
                    self._succeeded(
                        leaf, obs.at, obs.wall, obs.took_s, obs.first_content_s, obs.trial_of
                    )
                elif obs.verdict is not None:
                    self._failed(obs, obs.verdict)
            case "knock":
                self._health.knock(Segment(obs.provider), obs.at, obs.wall, ok=obs.ok)
            case "slept":
                self._health.wake(obs.at, obs.wall)
            case "moved":
                self._moved(obs.provider)

    def _moved(self, provider: str) -> None:
        """It is elsewhere, or has another key: whoever was there before is of no concern."""
        self._health.forget(provider)
        self._bursts.pop(provider, None)
        drop(self._last_ok, provider)
        drop(self._typical, provider)
        drop(self._seen, provider)
        drop(self._aside, provider)

    def _looked_aside(self, obs: Observation) -> None:
        """A surface that cannot be routed: evidence for the judge, no reason to go elsewhere."""
        place = (obs.provider, obs.surface)
        if obs.ok:
            self._aside.pop(place, None)
        elif place in self._aside or len(self._aside) < KNOWN_MAX:
            self._aside[place] = obs.at

    def answered(self, leaf: Leaf, at: float, wall: float, times: Times) -> None:
        """Fold one good answer, which was no trial, without an observation of its own."""
        if leaf[1] in self._watched:
            self._aside.pop(leaf[:2], None)
        else:
            self._succeeded(leaf, at, wall, times.end or 0.0, times.content)

    def vouched(self, note: Vouched, wall: float, trial_of: str) -> None:
        """A trial's answer is coming, and nobody waits for its end to go there, too."""
        for segment in path_of(note.leg):
            self._health.vouch(segment, note.at, wall, took_s=note.took_s, trial_of=trial_of)

    def _succeeded(
        self,
        leaf: Leaf,
        at: float,
        wall: float,
        took_s: float,
        content_s: float | None,
        trial_of: str = "",
    ) -> None:
        provider, surface, model, credential = leaf
        last_ok = self._last_ok
        last_ok[provider, credential, surface] = at
        if len(last_ok) > KNOWN_MAX:  # clients that bring their own keys may bring many
            del last_ok[next(iter(last_ok))]
        if content_s is not None:
            self._learn(provider, model, content_s)
        if leaf not in self._seen and len(self._seen) < KNOWN_MAX:
            self._seen[leaf] = wall
        if self._health.knows(provider):
            for segment in covering(*leaf):
                self._health.succeed(segment, at, wall, took_s=took_s, trial_of=trial_of)

    def _learn(self, provider: str, model: str, first_content_s: float) -> None:
        typical = self._typical
        before = typical.get((provider, model))
        if before is None:
            if len(typical) >= KNOWN_MAX:
                typical.clear()
            typical[provider, model] = first_content_s
        else:
            typical[provider, model] = before + SMOOTHING * (first_content_s - before)

    def _failed(self, obs: Observation, verdict: Verdict) -> None:
        if obs.status is not None and obs.status >= 500:
            burst = self._bursts.setdefault(obs.provider, [])
            burst.append(obs.at)
            del burst[:-BURST_COUNT]
        leaf = Segment(obs.provider, obs.surface, obs.model, obs.credential)
        named = scoped(leaf, verdict)
        self._tried(obs, verdict, named)
        if named is not None:
            fail(self._health, named, obs, verdict)
            self._promote(named, obs, verdict)

    def _tried(self, obs: Observation, verdict: Verdict, named: Segment | None) -> None:
        """What a failure tells of the other segments that it went through."""
        health = self._health
        if not health.knows(obs.provider):
            return
        for segment in covering(obs.provider, obs.surface, obs.model, obs.credential):
            node = health.nodes.get(segment)
            if node is None or segment == named:
                continue
            state = node.state_at(obs.at, health.params.memory_s)
            if state not in IN_TROUBLE:
                continue
            if obs.status is not None and node.kind in CONNECT_KINDS:
                # Nobody could be reached there, and now somebody answered, if only with an error.
                health.succeed(segment, obs.at, obs.wall, took_s=obs.took_s, trial_of=obs.trial_of)
            elif obs.trial and named is not None:
                fail(health, segment, obs, verdict)
            elif obs.trial:
                health.unclaim(segment, trial_of=obs.trial_of)

    def _promote(self, named: Segment, obs: Observation, verdict: Verdict) -> None:
        """Several in trouble under one parent: the parent is."""
        part: Segment | None = named
        while part is not None:
            parent = above(part)
            if parent is None or not self._has_trouble_beside(part, obs.at):
                return
            fail(self._health, parent, obs, verdict, sure=True)
            part = parent

    def _has_trouble_beside(self, part: Segment, at: float) -> bool:
        """Whether a brother of this segment, of the same sort, is in trouble lately, as it is, and
        nobody was answered there since.

        A credential that never worked there may just be no good: it speaks for itself alone.
        """
        nodes, parent = self._health.nodes, above(part)
        own = nodes.get(part)
        if own is None or own.state not in IN_TROUBLE or parent is None:
            return False
        known = {None, *(key for name, key, _ in self._last_ok if name == part.provider)}
        answered_at = self._answered_at(part.provider, parent.surface)
        return part.credential in known and any(
            node.state in IN_TROUBLE
            and at - node.failed_at < LATELY_S
            and segment.credential in known
            and answered_at < min(own.down_at, node.down_at)
            for segment, node in nodes.items()
            if segment != part and sort_of(segment) == sort_of(part)
        )

    def _answered_at(self, provider: str, surface: str | None, *, but: str | None = None) -> float:
        """When somebody was last answered there, `but` this credential; -inf: never."""
        return max(
            (
                ok
                for (name, credential, elsewhere), ok in self._last_ok.items()
                if name == provider and surface in (None, elsewhere) and credential != but
            ),
            default=-inf,
        )

    # ----------------------------------------------------------- the showing

    def quiet(self, leg: Leg) -> bool:
        """Nothing of this leg's provider has been in trouble lately: it stands well."""
        return not self._health.knows(leg.target.provider)

    def standing(self, leg: Leg, at: float) -> Standing:
        """How a leg stands: open, open for one trial, or resting (with the reason)."""
        nodes = self._health.nodes
        if self.quiet(leg):
            return WELL
        shut: Node | None = None
        trial: Node | None = None
        failed_at = 0.0
        target = leg.target
        for segment in covering(target.provider, leg.surface, target.model, target.credential):
            node = nodes.get(segment)
            if node is None or node.state not in IN_TROUBLE:
                continue
            failed_at = max(failed_at, node.failed_at)
            if not node.shut(at):
                trial = node
            elif shut is None or node.rests_until > shut.rests_until:
                shut = node
        worst = shut or trial
        if worst is None:
            return WELL
        return Standing(
            open=shut is None,
            trial=shut is None,
            rests=shut is not None and at < shut.rests_until,
            failed_at=failed_at,
            silent=worst.kind in SILENT_KINDS,
            trips=worst.recent(worst.trips, at, self._health.params.memory_s),
            asked=at < worst.asked_until,
            why=why_resting(worst, at) if shut is not None else "on probation",
        )

    def claim(self, leg: Leg, at: float, trial_of: str = "") -> None:
        """This leg's trial is under way: it was dialled, as the attempt of this name.

        Its observation ends the claim, and no other attempt's does.
        """
        for segment in path_of(leg):
            self._health.claim(segment, at, trial_of=trial_of)

    def unclaim(self, leg: Leg, trial_of: str = "") -> None:
        """This leg's trial ended without an observation (the client left)."""
        for segment in path_of(leg):
            self._health.unclaim(segment, trial_of=trial_of)

    def knocks_due(self, at: float) -> list[str]:
        """Providers that nobody could reach and at whose door somebody should knock now.

        A knock is a bare connection; its end is observed with kind "knock". A shell that is still
        knocking there does not start another.
        """
        return [segment.provider for segment in self._health.knocks_due(at)]

    def typical_s(self, provider: str, model: str) -> float | None:
        """The usual time to first content there, None where nothing was seen yet."""
        return self._typical.get((provider, model))

    def circumstances(
        self,
        leg: Leg,
        at: float,
        wall: float,
        *,
        retry_after_s: float | None = None,
    ) -> Circumstances:
        """What stands around a failure of this leg now (`at` steady, `wall` UTC seconds)."""
        target, surface = leg.target, leg.surface
        provider, credential = target.provider, target.credential
        own = {
            elsewhere: ok
            for (name, key, elsewhere), ok in self._last_ok.items()
            if name == provider and key == credential
        }
        others_ok_at = self._answered_at(provider, surface, but=credential)
        trouble = self._trouble(provider, at)
        burst = self._bursts.get(provider, [])
        node = self._health.nodes.get(Segment(provider, surface, None, credential))
        began_at = node.began_at if node is not None and node.state in IN_TROUBLE else at
        return Circumstances(
            local=provider in self.incidents.local,
            credential_last_ok_s=max(0.0, at - max(own.values())) if own else None,
            credential_ever_ok=True if own else None,
            overload_burst=len(burst) >= BURST_COUNT and at - burst[0] < LATELY_S,
            other_surfaces_failing=any(
                s.surface is not None and s.surface != surface and s.credential is None
                for s in trouble
            )
            or any(
                name == provider and elsewhere != surface and at - failed < LATELY_S
                for (name, elsewhere), failed in self._aside.items()
            ),
            other_surfaces_ok=any(
                elsewhere != surface and ok > began_at for elsewhere, ok in own.items()
            ),
            other_models_failing=any(
                s.model is not None and s.model != target.model and s.credential is None
                for s in trouble
            ),
            # Not where a third is answered meanwhile: keys are no good for reasons of their own.
            other_credentials_failing=any(
                s.model is None
                and s.credential not in (None, credential)
                and self._health.nodes[s].began_at > others_ok_at
                for s in trouble
            ),
            other_providers_ok=any(
                name != provider and at - ok < LATELY_S
                for (name, _, _), ok in self._last_ok.items()
            ),
            other_providers_failing=any(
                segment.provider != provider
                and node.state in IN_TROUBLE
                and at - node.failed_at < LATELY_S
                for segment, node in self._health.nodes.items()
            ),
            many_users=self.incidents.confirmed(provider, surface, wall),
            status_page=self.incidents.page(provider, surface, wall),
            internet_ok=self.incidents.network(wall),
            model=target.model or None,
            context_tokens=leg.context_tokens,
            retry_after_s=retry_after_s,
        )

    def _trouble(self, provider: str, at: float) -> list[Segment]:
        """The provider's segments in trouble lately."""
        return [
            segment
            for segment, node in self._health.nodes.items()
            if segment.provider == provider
            and node.state in IN_TROUBLE
            and at - node.failed_at < LATELY_S
        ]

    def rows(self, at: float) -> list[SegmentRow]:
        """The whole board: segments in trouble first, then those seen and well."""
        memory_s = self._health.params.memory_s
        rows = [
            row_of(node, at, memory_s)
            for node in self._health.nodes.values()
            if node.state_at(at, memory_s) is not State.WELL
        ]
        troubled = {row.segment for row in rows}
        rows += [
            SegmentRow(segment=Segment(*leaf), state=State.WELL.value, since=since)
            for leaf, since in self._seen.items()
            if troubled.isdisjoint(covering(*leaf))
        ]
        return rows


def fail(
    health: Health, segment: Segment, obs: Observation, verdict: Verdict, *, sure: bool = False
) -> None:
    """One failed attempt, as a failure of this segment."""
    health.fail(
        segment,
        obs.at,
        obs.wall,
        verdict,
        obs.failure_kind,
        obs.status,
        sure=sure,
        spoke=obs.first_content_s is not None,
        took_s=obs.took_s,
        trial_of=obs.trial_of,
    )


def row_of(node: Node, at: float, memory_s: float) -> SegmentRow:
    """A node as one line of the board."""
    verdict = node.verdict
    state = node.state_at(at, memory_s)
    rested = state is not node.state
    return SegmentRow(
        segment=node.segment,
        state=state.value,
        since=node.rests_until + node.wall_ahead_s if rested else node.since_wall,
        kind=node.kind,
        status=node.status,
        verdict="" if verdict is None else str(verdict),
        whose="" if verdict is None else verdict.whose,
        because=() if verdict is None else verdict.because,
        rests_s=max(0.0, node.rests_until - at),
    )


def why_resting(node: Node, at: float) -> str:
    """In words: why a segment is not asked now."""
    what = str(node.status) if node.status is not None else node.kind.replace("_", " ")
    left = node.rests_until - at
    if left <= 0:
        return f"a trial is under way after {what}"
    return f"resting for {max(1, round(left))} s more after {what}"


def path_of(leg: Leg) -> tuple[Segment, ...]:
    """The segments that a leg goes through."""
    target = leg.target
    return covering(target.provider, leg.surface, target.model, target.credential)


@lru_cache(maxsize=4096)
def covering(provider: str, surface: str, model: str, credential: str) -> tuple[Segment, ...]:
    """The segments that speak for a leaf, itself included."""
    return (
        Segment(provider),
        Segment(provider, surface),
        Segment(provider, surface, model),
        Segment(provider, surface, None, credential),
        Segment(provider, surface, model, credential),
    )


def drop(known: dict[Key, float], provider: str) -> None:
    """Take out what is known under this provider's name, the first of each key."""
    for key in [key for key in known if key[0] == provider]:
        del known[key]


def scoped(leaf: Segment, verdict: Verdict) -> Segment | None:
    """The segment that a verdict on this leaf speaks about."""
    match verdict.scope:
        case "provider":
            return Segment(leaf.provider)
        case "model":
            return Segment(leaf.provider, leaf.surface, leaf.model)
        case "credential":
            return Segment(leaf.provider, leaf.surface, None, leaf.credential)
        case "leaf":
            return leaf
        case "nothing":
            return None


def above(segment: Segment) -> Segment | None:
    """The parent that brothers in trouble put down; a leaf's limit speaks for no parent."""
    if segment.model is not None and segment.credential is not None:
        return None
    if segment.model is not None or segment.credential is not None:
        return Segment(segment.provider, segment.surface)
    return Segment(segment.provider) if segment.surface is not None else None


def sort_of(segment: Segment) -> tuple[Segment | None, bool, bool]:
    """Brothers share it: the parent, and whether they are models or credentials."""
    return above(segment), segment.model is None, segment.credential is None
