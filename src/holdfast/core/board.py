"""The board: the present state of every segment, folded from observations.

`observe` folds, `view` shows. The board composes and judges nothing itself: a failure comes with
its verdict, and the verdict's scope says which part of the tree it speaks about.

    provider ── surface ── model
                   └────── credential

Two models down on one surface put the surface down, two credentials likewise, two surfaces down
this way the provider.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from holdfast.core.health import Health, Node, Params, State
from holdfast.facts.flights import Leg, Observation
from holdfast.facts.outcomes import Verdict
from holdfast.facts.places import Segment

BURST_S = 300.0
BURST_COUNT = 2
SMOOTHING = 0.2
KNOWN_MAX = 10_000


class Circumstances(Struct, frozen=True, kw_only=True):
    """What stood around a failure, for the judge. Seconds; None: not known."""

    local: bool = False
    credential_last_ok_s: float | None = None
    overload_burst: bool = False
    other_surfaces_failing: bool = False
    other_surfaces_ok: bool = False
    other_providers_ok: bool = False
    retry_after_s: float | None = None


class Standing(Struct, frozen=True):
    """How one leg stands now. `open`: it may be asked; `trial`: as one trial."""

    open: bool
    trial: bool = False
    failed_at: float = 0.0
    silent: bool = False
    why: str = ""


class SegmentRow(Struct, frozen=True, kw_only=True):
    """One line of the board for people and scripts."""

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
    """Told everything in order; asks nobody."""

    __slots__ = ("_bursts", "_health", "_last_ok", "_seen", "_surface_ok", "_typical")

    def __init__(self, dice: Callable[[], float], params: Params | None = None) -> None:
        self._health = Health(dice, params)
        self._last_ok: dict[tuple[str, str], float] = {}
        self._surface_ok: dict[tuple[str, str], float] = {}
        self._typical: dict[tuple[str, str], float] = {}
        self._bursts: dict[str, list[float]] = {}
        self._seen: dict[Segment, float] = {}

    # ------------------------------------------------------------- the fold

    def observe(self, obs: Observation) -> None:
        """Fold one observation."""
        if obs.kind == "slept":
            self._health.wake(obs.at, obs.wall)
        elif obs.ok:
            self._succeeded(obs)
        elif obs.verdict is not None:
            self._failed(obs, obs.verdict)

    def _succeeded(self, obs: Observation) -> None:
        provider = obs.provider
        self._last_ok[provider, obs.credential] = obs.at
        self._surface_ok[provider, obs.surface] = obs.at
        if obs.first_content_s is not None:
            key = (provider, obs.model)
            before = self._typical.get(key, obs.first_content_s)
            self._typical[key] = before + SMOOTHING * (obs.first_content_s - before)
        if len(self._typical) > KNOWN_MAX:
            self._typical.clear()
        leaf = Segment(provider, obs.surface, obs.model, obs.credential)
        if len(self._seen) < KNOWN_MAX:
            self._seen.setdefault(leaf, obs.wall)
        if self._health.nodes:
            for segment in covering(leaf):
                self._health.succeed(segment, obs.at, obs.wall)

    def _failed(self, obs: Observation, verdict: Verdict) -> None:
        leaf = Segment(obs.provider, obs.surface, obs.model, obs.credential)
        if obs.status is not None and obs.status >= 500:
            burst = self._bursts.setdefault(obs.provider, [])
            burst.append(obs.at)
            del burst[:-BURST_COUNT]
        segment = scoped(leaf, verdict)
        if segment is None:
            if obs.trial:  # it ended without telling anything: the next may try
                for other in covering(leaf):
                    node = self._health.nodes.get(other)
                    if node is not None:
                        node.trial_until = 0.0
            return
        health = self._health
        health.fail(segment, obs.at, obs.wall, verdict, obs.failure_kind, obs.status)
        if obs.trial:
            for other in covering(leaf):
                node = health.nodes.get(other)
                if node is not None and node.state is not State.WELL and other != segment:
                    health.fail(other, obs.at, obs.wall, verdict, obs.failure_kind, obs.status)
        self._promote(segment, obs, verdict)

    def _promote(self, segment: Segment, obs: Observation, verdict: Verdict) -> None:
        """Several down under one parent: the parent is."""
        for part in (segment, Segment(segment.provider, segment.surface)):
            parent = above(part)
            if parent is None:
                return
            siblings = [
                node
                for node in self._health.nodes.values()
                if node.state is State.DOWN
                and above(node.segment) == parent
                and (node.segment.model is None) == (part.model is None)
            ]
            if len(siblings) < 2:
                return
            self._health.fail(parent, obs.at, obs.wall, verdict, obs.failure_kind, obs.status)

    # ----------------------------------------------------------- the showing

    def standing(self, leg: Leg, at: float) -> Standing:
        """How a leg stands: open, open for one trial, or resting (with the reason)."""
        nodes = self._health.nodes
        if not nodes:
            return WELL
        trial = False
        for segment in covering(leaf_of(leg)):
            node = nodes.get(segment)
            if node is None or node.state in (State.WELL, State.DOUBTFUL):
                continue
            if at < node.rests_until or at < node.trial_until:
                return Standing(
                    open=False,
                    failed_at=node.failed_at,
                    silent=node.kind.endswith("timeout"),
                    why=why_resting(node, at),
                )
            trial = True
        return Standing(open=True, trial=True, why="on probation") if trial else WELL

    def claim(self, leg: Leg, at: float) -> None:
        """This leg's trial is under way."""
        for segment in covering(leaf_of(leg)):
            self._health.claim(segment, at)

    def typical_s(self, provider: str, model: str) -> float | None:
        """The usual time to first content there, None where nothing was seen yet."""
        return self._typical.get((provider, model))

    def opens_in_s(self, at: float) -> float | None:
        """Seconds until the first resting segment may be tried, None when none rests."""
        waits = [
            node.rests_until - at
            for node in self._health.nodes.values()
            if node.state is State.DOWN and node.rests_until > at
        ]
        return min(waits) if waits else None

    def circumstances(
        self, leg: Leg, at: float, *, local: bool, retry_after_s: float | None
    ) -> Circumstances:
        """What stands around a failure of this leg now."""
        provider = leg.target.provider
        last_ok = self._last_ok.get((provider, leg.target.credential))
        burst = self._bursts.get(provider, [])
        down = [node for node in self._health.nodes.values() if node.state is State.DOWN]
        return Circumstances(
            local=local,
            credential_last_ok_s=None if last_ok is None else at - last_ok,
            overload_burst=len(burst) >= BURST_COUNT and at - burst[0] < BURST_S,
            other_surfaces_failing=any(
                node.segment.provider == provider
                and node.segment.surface not in (None, leg.surface)
                for node in down
            ),
            other_surfaces_ok=any(
                name == provider and surface != leg.surface and at - ok < BURST_S
                for (name, surface), ok in self._surface_ok.items()
            ),
            other_providers_ok=any(
                name != provider and at - ok < BURST_S for (name, _), ok in self._last_ok.items()
            ),
            retry_after_s=retry_after_s,
        )

    def rows(self, at: float) -> list[SegmentRow]:
        """The whole board: segments in trouble first, then those seen and well."""
        rows = [
            row_of(node, at) for node in self._health.nodes.values() if node.state is not State.WELL
        ]
        troubled = {row.segment for row in rows}
        rows += [
            SegmentRow(segment=segment, state=State.WELL.value, since=since)
            for segment, since in self._seen.items()
            if segment not in troubled
        ]
        return rows


def row_of(node: Node, at: float) -> SegmentRow:
    """A node as one line of the board."""
    verdict = node.verdict
    return SegmentRow(
        segment=node.segment,
        state=node.state.value,
        since=node.since_wall,
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


def leaf_of(leg: Leg) -> Segment:
    """The segment that a leg goes through."""
    target = leg.target
    return Segment(target.provider, leg.surface, target.model, target.credential)


def covering(leaf: Segment) -> tuple[Segment, ...]:
    """The segments that speak for a leaf, itself included."""
    provider, surface = leaf.provider, leaf.surface
    return (
        Segment(provider),
        Segment(provider, surface),
        Segment(provider, surface, leaf.model),
        Segment(provider, surface, None, leaf.credential),
        leaf,
    )


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
    """The parent in the tree, None for a provider."""
    if segment.model is not None or segment.credential is not None:
        return Segment(segment.provider, segment.surface)
    return Segment(segment.provider) if segment.surface is not None else None
