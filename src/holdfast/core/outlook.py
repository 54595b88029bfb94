"""What the board means for the routes: who answers now, who rests, and whose fault it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Literal

from msgspec import Struct

from holdfast.core.board import SegmentRow
from holdfast.facts.places import Route

RESTING = ("down",)
THEIRS = frozenset({"provider"})
YOURS = frozenset({"account", "request", "network", "local", "intermediary"})
Blame = Literal["well", "them", "you", "mixed", "unknown"]


class TargetOutlook(Struct, frozen=True):
    """One target of a route: "ready", "on probation", or "down" with when it is tried again."""

    target: str
    state: str
    why: str = ""
    tried_again_in_s: float | None = None


class RouteOutlook(Struct, frozen=True):
    """One route: who answers now (empty: nobody is known to), and how each target stands."""

    model: str
    serving: str
    stand_in: bool
    targets: tuple[TargetOutlook, ...]


def outlook(routes: Iterable[Route], rows: Sequence[SegmentRow]) -> list[RouteOutlook]:
    """How each route stands. `rows` are the board's; those that are well do not matter."""
    troubled = [row for row in rows if row.state in ("down", "probation")]
    found = []
    for route in routes:
        targets = tuple(_target(name, route.model, troubled) for name in route.targets)
        serving = next((t.target for t in targets if t.state == "ready"), None)
        if serving is None:
            serving = next((t.target for t in targets if t.state == "on probation"), "")
        found.append(
            RouteOutlook(
                model=route.model,
                serving=serving,
                stand_in=bool(serving) and serving != route.targets[0],
                targets=targets,
            )
        )
    return found


def _target(name: str, asked: str, troubled: Sequence[SegmentRow]) -> TargetOutlook:
    provider, _, model = name.partition("/")
    # A target that keeps the asked name meets whatever is in trouble under the route's glob.
    glob = asked.partition("/")[2] if asked.startswith(f"{provider}/") else asked
    mine = [
        row
        for row in troubled
        if row.segment.provider == provider
        and (
            row.segment.model is None
            or (
                fnmatchcase(row.segment.model, glob) if model == "*" else row.segment.model == model
            )
        )
    ]
    down = [row for row in mine if row.state in RESTING]
    if down:
        worst = max(down, key=lambda row: row.rests_s)
        return TargetOutlook(name, "down", told(worst), round(worst.rests_s, 1))
    if mine:
        return TargetOutlook(name, "on probation", told(mine[0]))
    return TargetOutlook(name, "ready")


def told(row: SegmentRow) -> str:
    """A row's trouble in a few words."""
    what = str(row.status) if row.status is not None else row.kind.replace("_", " ")
    return "; ".join(row.because) or what


def blame(rows: Iterable[SegmentRow]) -> Blame:
    """Whose fault the present trouble is, over all segments that are down or on probation."""
    whose = {row.whose for row in rows if row.state in ("down", "probation")}
    if not whose:
        return "well"
    theirs, yours = bool(whose & THEIRS), bool(whose & YOURS)
    if theirs and yours:
        return "mixed"
    if theirs:
        return "them"
    return "you" if yours else "unknown"
