"""Do the ranges hold what they say? Outlooks beside what became of the outages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import log1p
from typing import Final

from msgspec import Struct

from holdfast.core.outlook import OUTAGES, minutes_of
from holdfast.core.prior import POOLED
from holdfast.core.survival import Past, Survival, blended
from holdfast.facts.incidents import Incident

LANDMARKS_MIN: Final = (5.0, 15.0, 30.0, 60.0)
# Below so many outages a share of them says nothing.
ENOUGH: Final = 8
# Enough to see whether ranges hold; each has a curve of its own.
CHECKED_MAX: Final = 100
# Where the continuous ranked probability score is taken: the middles of so many equal parts.
PROBES: Final = tuple((part + 0.5) / 20 for part in range(20))


class Ended(Struct, frozen=True):
    """An outage that is over: when it began (UTC seconds) and how many minutes it lasted."""

    began: float
    minutes: float


class Marks(Struct, frozen=True, kw_only=True):
    """How outlooks fared that were given `landmark_min` after the beginning, over `n` outages.

    `held_50`, `held_80`, `held_90`: how often the 50, 80 and 90 % ranges held the true time; best
    is what their names say. `crps`: the continuous ranked probability score of ln(1 + minutes to
    go), 0 best; it is taken as the mean quantile loss (Laio and Tamea 2007, Hydrol. Earth Syst.
    Sci. 11, 1267). `brier_60`, `brier_240`: the squared error of "back within 1 h" and "4 h".
    """

    landmark_min: float
    n: int
    held_50: float
    held_80: float
    held_90: float
    crps: float
    brier_60: float
    brier_240: float


class Check(Struct, frozen=True, kw_only=True):
    """How the outlooks of one's own past outages fared, and how the published history alone had.

    Both by landmark. `told`: in a sentence, empty where there are too few to say anything.
    """

    ours: tuple[Marks, ...] = ()
    published: tuple[Marks, ...] = ()
    told: str = ""


def marks(landmark_min: float, cases: Iterable[tuple[Survival, float]]) -> Marks | None:
    """Judge outlooks: for each outage the curve as it was then, and how long it lasted in all.

    Those that were over at the landmark are left out; None where none is left.
    """
    scores = [
        _scored(curve, landmark_min, minutes - landmark_min)
        for curve, minutes in cases
        if minutes > landmark_min
    ]
    if not scores:
        return None
    means = [sum(column) / len(scores) for column in zip(*scores, strict=True)]
    return Marks(
        landmark_min=landmark_min,
        n=len(scores),
        held_50=means[0],
        held_80=means[1],
        held_90=means[2],
        crps=means[3],
        brier_60=means[4],
        brier_240=means[5],
    )


def crps(quantiles: Sequence[float], to_go: float) -> float:
    """The score of one outlook, given by its quantiles at PROBES, against the true time to go."""
    truth = log1p(to_go)
    loss = 0.0
    for p, minutes in zip(PROBES, quantiles, strict=True):
        off = truth - log1p(minutes)
        loss += p * off if off > 0.0 else (p - 1.0) * off
    return 2.0 * loss / len(PROBES)


def _scored(curve: Survival, elapsed: float, to_go: float) -> tuple[float, ...]:
    ends = curve.to_go(elapsed, 0.25, 0.75, 0.10, 0.90, 0.05, 0.95)
    held = [float(ends[at] <= to_go <= ends[at + 1]) for at in (0, 2, 4)]
    brier = [
        (curve.back_within(elapsed, span) - float(to_go <= span)) ** 2 for span in (60.0, 240.0)
    ]
    return (*held, crps(curve.to_go(elapsed, *PROBES), to_go), *brier)


def outages(incidents: Iterable[Incident]) -> list[Ended]:
    """What of one's own incidents can be learnt from: outages that are over, in time order."""
    found = [
        Ended(one.since, minutes)
        for one in incidents
        if one.opened is not None and one.whose in OUTAGES and (minutes := minutes_of(one))
    ]
    return sorted(found, key=lambda one: one.began)


def as_lived(history: Sequence[Ended], prior: Survival = POOLED) -> list[tuple[Survival, float]]:
    """For each outage the curve as it stood when it began, and how long it then lasted.

    Only what was over by then is in it: an outlook is never checked with what it learnt from.
    """
    found = []
    for one in history:
        known = [
            Past(other.minutes)
            for other in history
            if other.began + 60.0 * other.minutes <= one.began
        ]
        found.append((blended(prior, known), one.minutes))
    return found


def check(history: Sequence[Ended]) -> Check:
    """Check outlooks on one's own outages, the last ones where there are very many."""
    recent = history[-CHECKED_MAX:]
    lived = as_lived(recent)
    plain = [(POOLED, one.minutes) for one in recent]
    ours = tuple(found for at in LANDMARKS_MIN if (found := marks(at, lived)))
    published = tuple(found for at in LANDMARKS_MIN if (found := marks(at, plain)))
    return Check(ours=ours, published=published, told=_told(ours[0]) if ours else "")


def _told(first: Marks) -> str:
    if first.n < ENOUGH:
        return ""
    return (
        f"checked on your own {first.n} outages: the range from 10 to 90 % held"
        f" {first.held_80:.0%} of them (80 % would be right)"
    )
