"""A segment's health as a table, and who rests for how long.

    state      failure            success               time
    ---------  -----------------  --------------------  ------------------------
    well       doubtful or down   well                  –
    doubtful   down               well                  –
    down       down (later)       probation or well     rest over: probation
    probation  down (a new trip)  well when enough      –

Kinds that leave no doubt (nobody listens, the key is refused, a limit with a time) put a segment
down at once; others on the second in a row. A segment that is down rests: 3 s, doubled with each
trip within five minutes, at most 15 s, so that a call a second finds a recovery within 30 s. The
other side's own `Retry-After` may lengthen a rest, never shorten it. Then one trial at a time is
let through. Who tripped once is well after one good trial; who tripped again needs two, five
seconds apart, and eleven from the third trip on, so that flapping does not flap the user.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from msgspec import Struct

from holdfast.facts.outcomes import Verdict
from holdfast.facts.places import Segment


class State(Enum):
    """How a segment stands; see the table above."""

    WELL = "well"
    DOUBTFUL = "doubtful"
    DOWN = "down"
    PROBATION = "probation"


class Params(Struct, frozen=True):
    """Seconds and counts of the table above."""

    rest_s: float = 3.0
    rest_max_s: float = 15.0
    asked_rest_max_s: float = 3600.0
    jitter: float = 0.2
    memory_s: float = 300.0
    trial_s: float = 90.0
    apart_s: float = 5.0
    apart_flapping_s: float = 11.0


# These say by themselves that the next call would fare alike.
AT_ONCE = frozenset(
    {
        "refused",
        "unreachable",
        "dns",
        "tls",
        "connect_timeout",
        "headers_timeout",
        "content_timeout",
    }
)
AT_ONCE_STATUS = frozenset({401, 402, 403})
CONNECT_KINDS = frozenset({"refused", "unreachable", "dns", "tls", "connect_timeout"})
SILENT_KINDS = frozenset({"headers_timeout", "content_timeout", "connect_timeout"})


class Node:
    """One segment that is, or lately was, in trouble."""

    __slots__ = (
        "failed_at",
        "good_at",
        "goods",
        "kind",
        "rests_until",
        "segment",
        "since_wall",
        "state",
        "status",
        "trial_until",
        "trips",
        "verdict",
    )

    def __init__(self, segment: Segment, wall: float) -> None:
        self.segment = segment
        self.state = State.WELL
        self.since_wall = wall
        self.failed_at = 0.0
        self.rests_until = 0.0
        self.trial_until = 0.0
        self.trips: list[float] = []
        self.goods = 0
        self.good_at = 0.0
        self.kind = ""
        self.status: int | None = None
        self.verdict: Verdict | None = None

    def __repr__(self) -> str:
        return f"[{self.segment}: {self.state.value}, {len(self.trips)} trips]"

    def turn(self, state: State, wall: float) -> None:
        if state is not self.state:
            self.state = state
            self.since_wall = wall


class Health:
    """The nodes in trouble. What has no node is well."""

    __slots__ = ("_dice", "_params", "nodes")

    def __init__(self, dice: Callable[[], float], params: Params | None = None) -> None:
        self._dice = dice
        self._params = params or Params()
        self.nodes: dict[Segment, Node] = {}

    def fail(
        self,
        segment: Segment,
        at: float,
        wall: float,
        verdict: Verdict,
        kind: str,
        status: int | None,
    ) -> None:
        """One failure that speaks about this segment."""
        node = self.nodes.get(segment)
        if node is None:
            node = self.nodes[segment] = Node(segment, wall)
        node.failed_at, node.kind, node.status, node.verdict = at, kind, status, verdict
        node.goods = 0
        clear = kind in AT_ONCE or status in AT_ONCE_STATUS or verdict.rest_s is not None
        was_resting = node.state is State.DOWN and at < node.rests_until
        node.trial_until = 0.0
        if node.state is State.WELL and not clear:
            node.turn(State.DOUBTFUL, wall)
            return
        if not was_resting:
            node.trips = [trip for trip in node.trips if at - trip < self._params.memory_s]
            node.trips.append(at)
        node.rests_until = max(node.rests_until, at + self._rest_s(node, verdict.rest_s))
        node.turn(State.DOWN, wall)

    def _rest_s(self, node: Node, asked_s: float | None) -> float:
        params = self._params
        own = min(params.rest_s * 2.0 ** (len(node.trips) - 1), params.rest_max_s)
        own *= 1.0 - params.jitter * self._dice()
        return max(own, min(asked_s or 0.0, params.asked_rest_max_s))

    def succeed(self, segment: Segment, at: float, wall: float) -> None:
        """One good answer that went through this segment."""
        node = self.nodes.get(segment)
        if node is None:
            return
        node.trial_until = 0.0
        if node.state in (State.WELL, State.DOUBTFUL):
            node.turn(State.WELL, wall)
            if at - node.failed_at > self._params.memory_s:
                del self.nodes[segment]
            return
        params = self._params
        recent = sum(at - trip < params.memory_s for trip in node.trips)
        apart_s = params.apart_s if recent < 3 else params.apart_flapping_s
        if node.goods and at - node.good_at < apart_s:
            return
        node.goods += 1
        node.good_at = at
        if node.goods >= min(max(recent, 1), 2):
            node.turn(State.WELL, wall)
        else:
            node.turn(State.PROBATION, wall)
            node.rests_until = at + apart_s

    def claim(self, segment: Segment, at: float) -> None:
        """A trial is under way through this segment; no other starts until it has ended."""
        node = self.nodes.get(segment)
        if node is not None and node.state in (State.DOWN, State.PROBATION):
            node.trial_until = at + self._params.trial_s

    def wake(self, at: float, wall: float) -> None:
        """The machine slept: what rested may be tried."""
        for node in self.nodes.values():
            node.rests_until = min(node.rests_until, at)
            node.trial_until = 0.0
            if node.state is State.DOWN:
                node.turn(State.PROBATION, wall)
