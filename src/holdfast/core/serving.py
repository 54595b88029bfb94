"""What the board means for the routes: who answers now, who rests, and whose fault it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Literal

from msgspec import Struct

from holdfast.core.board import SegmentRow
from holdfast.facts.incidents import Incident
from holdfast.facts.places import Route

THEIRS = frozenset({"provider"})
YOURS = frozenset({"account", "request", "network", "local", "intermediary"})
# Who answers is the first of the best of these.
ANSWERING = ("ready", "partly", "probation")
Blame = Literal["well", "them", "you", "mixed", "unknown"]


class TargetStanding(Struct, frozen=True):
    """One target of a route and how it stands; when a resting one is tried again, in seconds.

    "ready"; "partly" (a model of those that it keeps the names of is in trouble, others are not);
    "probation"; "down".
    """

    target: str
    state: str
    why: str = ""
    tried_again_in_s: float | None = None


class RouteStanding(Struct, frozen=True):
    """One route: who answers now (empty: nobody is known to), and how each target stands."""

    model: str
    serving: str
    stand_in: bool
    targets: tuple[TargetStanding, ...]


def standing_of(routes: Iterable[Route], rows: Sequence[SegmentRow]) -> list[RouteStanding]:
    """How each route stands. `rows` are the board's; those that are well do not matter."""
    troubled = [row for row in rows if row.state in ("down", "probation")]
    found = []
    for route in routes:
        targets = tuple(_target(name, route.model, troubled) for name in route.targets)
        serving = next((t.target for wanted in ANSWERING for t in targets if t.state == wanted), "")
        found.append(
            RouteStanding(
                model=route.model,
                serving=serving,
                stand_in=bool(serving) and serving != route.targets[0],
                targets=targets,
            )
        )
    return found


def _target(name: str, asked: str, troubled: Sequence[SegmentRow]) -> TargetStanding:
    provider, _, model = name.partition("/")
    # A target that keeps the asked name meets whatever is in trouble under the route's glob.
    glob = asked.partition("/")[2] if asked.startswith(f"{provider}/") else asked
    mine = [row for row in troubled if row.segment.provider == provider]
    whole = [row for row in mine if row.segment.model in (None, model)]
    down = [row for row in whole if row.state == "down"]
    if down:
        worst = max(down, key=lambda row: row.rests_s)
        return TargetStanding(name, "down", told(worst), round(worst.rests_s, 1))
    if whole:
        return TargetStanding(name, "probation", told(whole[0]))
    for row in mine:
        if model == "*" and fnmatchcase(row.segment.model or "", glob):
            return TargetStanding(name, "partly", f"{row.segment.model}: {told(row)}")
    return TargetStanding(name, "ready")


def told(row: SegmentRow) -> str:
    """A row's trouble in a few words."""
    what = str(row.status) if row.status is not None else row.kind.replace("_", " ")
    return "; ".join(row.because) or what


def blame(rows: Iterable[SegmentRow], incidents: Iterable[Incident] = ()) -> Blame:
    """Whose fault the present trouble is: of declared incidents where there are any open, else of
    all segments that are down or on probation.
    """
    whose: set[str] = {
        one.whose for one in incidents if one.opened is not None and one.resolved is None
    }
    if not whose:
        whose = {row.whose for row in rows if row.state in ("down", "probation")}
    if not whose:
        return "well"
    theirs, yours = bool(whose & THEIRS), bool(whose & YOURS)
    if theirs and yours:
        return "mixed"
    if theirs:
        return "them"
    return "you" if yours else "unknown"
