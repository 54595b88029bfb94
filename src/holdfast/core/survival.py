"""How long troubles last: a survival curve, and how a person's own history is mixed into it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from math import exp, expm1, log, log1p
from typing import Final

from msgspec import Struct

# Estimates for what has lasted longer than a year are those for a year.
LONGEST_MIN: Final = 525_600.0
# The published history counts as this many outages of one's own. `python -m bench.outlook` tries
# others: more lose much where one's own outages differ, fewer where they do not.
STRENGTH: Final = 10.0


class Past(Struct, frozen=True):
    """One outage of one's own history: how long it lasted, or so far where it is still open."""

    minutes: float
    ended: bool = True


class Survival:
    """The share of outages that are still open after so many minutes: S(t), with S(0) = 1.

    Made of knots `(t, S)` with t > 0 rising and 0 < S ≤ 1 never rising. Between knots, and behind
    the last one with the index `tail`, it is a Pareto law in 1 + t: the cumulative hazard
    H = −ln S is linear in ln(1 + t), which is how outages behave over four orders of magnitude.
    Never zero, so that whatever has lasted has a finite time to go. `own`: ended outages in it
    that are of one's own.
    """

    __slots__ = ("_hazards", "_logs", "own", "tail", "times")

    def __init__(self, knots: Sequence[tuple[float, float]], tail: float, own: int = 0) -> None:
        self.tail = tail
        self.own = own
        self.times: tuple[float, ...] = tuple(t for t, _ in knots)
        self._logs = [0.0, *(log1p(t) for t, _ in knots)]
        self._hazards = [0.0, *(-log(share) for _, share in knots)]

    def hazard(self, minutes: float) -> float:
        """H(t) = −ln S(t)."""
        logs, hazards = self._logs, self._hazards
        x = log1p(minutes)
        upper = bisect_right(logs, x)
        if upper == len(logs):
            return hazards[-1] + self.tail * (x - logs[-1])
        lower = upper - 1
        part = (x - logs[lower]) / (logs[upper] - logs[lower])
        return hazards[lower] + part * (hazards[upper] - hazards[lower])

    def time(self, hazard: float) -> float:
        """The first t with H(t) ≥ `hazard`."""
        logs, hazards = self._logs, self._hazards
        upper = bisect_left(hazards, hazard)
        if upper == 0:
            return 0.0
        if upper == len(hazards):
            return expm1(logs[-1] + (hazard - hazards[-1]) / self.tail)
        lower = upper - 1
        part = (hazard - hazards[lower]) / (hazards[upper] - hazards[lower])
        return expm1(logs[lower] + part * (logs[upper] - logs[lower]))

    def share(self, minutes: float) -> float:
        """S(t): the share still open after so many minutes."""
        return exp(-self.hazard(minutes))

    def to_go(self, elapsed_min: float, *ps: float) -> list[float]:
        """The quantiles p (0 ≤ p < 1) of the minutes still to go: S(e + r) = (1 − p) S(e)."""
        elapsed = bounded(elapsed_min)
        so_far = self.hazard(elapsed)
        return [max(0.0, self.time(so_far - log1p(-p)) - elapsed) for p in ps]

    def back_within(self, elapsed_min: float, minutes: float) -> float:
        """The probability that it is over within so many minutes more: 1 − S(e + r) / S(e)."""
        if not minutes > 0.0:
            return 0.0
        elapsed = bounded(elapsed_min)
        return -expm1(self.hazard(elapsed) - self.hazard(elapsed + minutes))


def bounded(minutes: float) -> float:
    """A stretch of time that can be reckoned with: nothing below 0, nothing above a year."""
    return min(minutes, LONGEST_MIN) if minutes > 0.0 else 0.0


def blended(prior: Survival, own: Iterable[Past], strength: float = STRENGTH) -> Survival:
    """The prior and one's own history in one curve; `strength`: outages that the prior counts as.

    Kaplan and Meier's estimator with the prior as so many more outages, spread as its curve says:
    the mean of a Dirichlet process (Susarla and Van Ryzin 1976, J. Am. Stat. Assoc. 71, 897). With
    n ended outages and none open, one's own history weighs n / (n + strength). Those still open
    are censored: they say that it can last as long, and nothing more. Those without length are
    left out: they were written down after the fact. Own outages are spread back to the knot before
    them, as everything here lies on a continuous curve.
    """
    past = [Past(bounded(one.minutes), one.ended) for one in own if one.minutes > 0.0]
    if not past:
        return prior
    ends = Counter(one.minutes for one in past if one.ended)
    leaving = Counter(one.minutes for one in past)
    at_risk, share, prior_share = len(past), 1.0, 1.0
    knots: list[tuple[float, float]] = []
    for t in sorted({*prior.times, *leaving}):
        before = strength * prior_share + at_risk
        prior_share = prior.share(t)
        share *= (strength * prior_share + at_risk - ends[t]) / before
        at_risk -= leaving[t]
        knots.append((t, share))
    return Survival(knots, prior.tail, own=ends.total())
