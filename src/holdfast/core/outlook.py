"""When it may be back: a range, never one time, given how long it has lasted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from holdfast.core.prior import POOLED, TAIL, USEFUL_MIN
from holdfast.core.survival import Past, Survival, blended, bounded
from holdfast.facts.incidents import Incident

PERCENTS: Final = (5, 10, 25, 50, 75, 90, 95)
WITHIN_MIN: Final = (60, 240)
# Troubles of these kinds end as the published ones do; a bad key ends when somebody mends it.
OUTAGES: Final = frozenset({"provider", "intermediary", "unknown"})
# Services change: what is older than the last so many outages is not asked.
OWN_MAX: Final = 500
_NAMES: Final = tuple(str(percent) for percent in PERCENTS)
_LEVELS: Final = tuple(percent / 100 for percent in PERCENTS)
_SPANS: Final = tuple((str(minutes), float(minutes)) for minutes in WITHIN_MIN)


class Outlook(Struct, frozen=True, kw_only=True):
    """When it may be back. Minutes from now; the keys are percents and minutes.

    `quantiles_min["90"]`: in 9 of 10 such outages it is over within so many minutes more.
    `p_back_within_min["60"]`: the probability that it is over within an hour. `n_own`: how many
    outages of one's own are in it. `useful` False: it has lasted so long that there is hardly
    anything to compare it with. `told`: the same in a sentence.
    """

    elapsed_min: float
    quantiles_min: dict[str, float]
    p_back_within_min: dict[str, float]
    n_own: int = 0
    useful: bool = True
    told: str = ""


def outlook(elapsed_min: float, curve: Survival = POOLED) -> Outlook:
    """The range for an outage that has lasted so long (below 0: it begins now)."""
    elapsed = bounded(elapsed_min)
    quantiles, chances = estimate(elapsed, curve)
    return Outlook(
        elapsed_min=round(float(elapsed), 2),
        quantiles_min=quantiles,
        p_back_within_min=chances,
        n_own=curve.own,
        useful=elapsed <= USEFUL_MIN,
        told=_told(elapsed, quantiles),
    )


def estimate(elapsed_min: float, curve: Survival) -> tuple[dict[str, float], dict[str, float]]:
    """`quantiles_min` and `p_back_within_min` alone, for whoever asks often."""
    to_go = [round(minutes, 2) for minutes in curve.to_go(elapsed_min, *_LEVELS)]
    chances = {name: round(curve.back_within(elapsed_min, span), 4) for name, span in _SPANS}
    return dict(zip(_NAMES, to_go, strict=True)), chances


def outlook_of(incident: Incident, curve: Survival, now: float) -> Outlook | None:
    """The range for an open incident at `now` (UTC seconds).

    None where there is nothing to wait for: it is over, or it ends when somebody here mends it.
    """
    if incident.resolved is not None or incident.whose not in OUTAGES:
        return None
    return outlook((now - incident.since) / 60.0, curve)


def curve_of(incidents: Iterable[Incident], now: float) -> Survival:
    """The published history with one's own mixed in: what outages have to be measured by here."""
    own = sorted((one for one in incidents if _counts(one)), key=lambda one: one.since)
    return blended(POOLED, (_past(one, now) for one in own[-OWN_MAX:]))


def minutes_of(incident: Incident) -> float | None:
    """How long it lasted: from the first failure to the first good answer; None: still open."""
    if incident.resolved is None:
        return None
    end = incident.resolved if incident.back is None else incident.back
    return max(0.0, end - incident.since) / 60.0


def _counts(incident: Incident) -> bool:
    return incident.opened is not None and incident.whose in OUTAGES


def _past(incident: Incident, now: float) -> Past:
    minutes = minutes_of(incident)
    if minutes is None:
        return Past((now - incident.since) / 60.0, ended=False)
    return Past(minutes)


def back_by(
    quantiles_min: Mapping[str, float], p_back_within_min: Mapping[str, float], minutes: float
) -> float:
    """The probability that it is back within so many minutes, read off an outlook that was told.

    What lies between two of its points is spread as everywhere here; outside of them the nearest
    stretch, or the tail, goes on. So the answer agrees with the range that is shown beside it.
    """
    points = [(t, 1.0 - float(name) / 100.0) for name, t in quantiles_min.items()]
    points += [(float(name), 1.0 - p) for name, p in p_back_within_min.items()]
    knots: list[tuple[float, float]] = []
    share = 1.0
    for t, told in sorted(points):
        share = min(share, told)
        if t > (knots[-1][0] if knots else 0.0) and share > 0.0:
            knots.append((t, share))
    return Survival(knots, TAIL).back_within(0.0, bounded(minutes)) if knots else 0.0


def _told(elapsed: float, quantiles: dict[str, float]) -> str:
    half, most = quantiles["50"], quantiles["90"]
    if elapsed > USEFUL_MIN:
        return (
            f"a long outage, no useful estimate: of the few that lasted as long, half ended within"
            f" {about(half)} more, 9 of 10 within {about(most)}; elapsed {lasted(elapsed)}"
        )
    return (
        f"half of such outages end within {about(half)} more, 9 of 10 within {about(most)};"
        f" elapsed {lasted(elapsed)}; not a promise"
    )


def about(minutes: float) -> str:
    """A stretch of time as roughly as it is known: 4 min, 70 min, 5.5 h, 3 days, some weeks."""
    if minutes < 20:
        return f"{max(1, round(minutes))} min"
    if minutes < 117.5:
        return f"{5 * round(minutes / 5)} min"
    hours = minutes / 60
    if hours < 9.75:
        return f"{round(hours * 2) / 2:g} h"
    if hours < 47.5:
        return f"{round(hours)} h"
    return f"{round(hours / 24)} days" if hours < 14 * 24 else "some weeks"


def lasted(minutes: float) -> str:
    """A stretch of time as exactly as a person wants it: 25 min, 2 h 10 min, 3 d 4 h."""
    whole = int(minutes)
    if whole < 90:
        return f"{whole} min"
    hours, rest = divmod(whole, 60)
    if hours < 48:
        return f"{hours} h {rest} min"
    return f"{hours // 24} d {hours % 24} h"


def chance(p: float) -> str:
    """A probability as roughly as it is known: to 5 %, and never none or all."""
    if p < 0.025:
        return "less than 5 %"
    if p > 0.975:
        return "more than 95 %"
    return f"about {5 * round(p * 20)} %"
