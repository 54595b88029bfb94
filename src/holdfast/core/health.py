"""A segment's health as a table, and who rests for how long.

    state      DOUBT     TRIP  GOOD       ENOUGH  RESTED     KNOCKED_IN_VAIN  QUIET
    ---------  --------  ----  ---------  ------  ---------  ---------------  -----
    well       doubtful  down  well       well    –          –                –
    doubtful   down      down  well       well    –          –                well
    down       down      down  probation  well    probation  down             –
    probation  down      down  probation  well    probation  down             –

TRIP is a failure that leaves no doubt (nobody listens, the key is refused, a limit with a time
stated), DOUBT one that may be chance: of those it takes two in a row, or four after which no call
was begun that ended well, if hardly more answers came among them. What was begun before a segment
fell tells of then, whether it ends well or not. A segment that is down rests: 3 s, doubled with
each trip within five minutes, at most 15 s, so that a call a second finds a recovery within 30 s.
The other side's own `Retry-After` may lengthen a rest, never shorten it. When the rest is over, one
trial at a time is let through; an answer that has been coming for three seconds is a good one for
it, as its end may be minutes away, but not for who broke off the last one.

How many good trials are ENOUGH depends on relapses, not on the length of one outage: who was down
once, however long, is well after one good trial; who fell again within five minutes needs two,
five seconds apart, and from the third fall on ten seconds apart, after rests of up to 18 s.
Flapping every ten seconds then never counts as well, and a true recovery is still taken within
30 s.

Knocks (a bare connection, no call) find out about those whom nobody could reach, without costing
a user's call. A knock that was answered although the next trial failed has lied: that segment's
knocks are not believed again until it is well.
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


class Turn(Enum):
    """What moves a segment from one state to another; see the table above."""

    DOUBT = "a failure that may be chance"
    TRIP = "a failure that leaves no doubt"
    GOOD = "a good answer"
    ENOUGH = "good answers enough"
    RESTED = "the rest is over"
    KNOCKED_IN_VAIN = "nobody opened"
    QUIET = "nothing more was heard"


WELL, DOUBTFUL, DOWN, PROBATION = State
TABLE: dict[State, dict[Turn, State]] = {
    WELL: {Turn.DOUBT: DOUBTFUL, Turn.TRIP: DOWN, Turn.GOOD: WELL, Turn.ENOUGH: WELL},
    DOUBTFUL: {
        Turn.DOUBT: DOWN,
        Turn.TRIP: DOWN,
        Turn.GOOD: WELL,
        Turn.ENOUGH: WELL,
        Turn.QUIET: WELL,
    },
    DOWN: {
        Turn.DOUBT: DOWN,
        Turn.TRIP: DOWN,
        Turn.GOOD: PROBATION,
        Turn.ENOUGH: WELL,
        Turn.RESTED: PROBATION,
        Turn.KNOCKED_IN_VAIN: DOWN,
    },
    PROBATION: {
        Turn.DOUBT: DOWN,
        Turn.TRIP: DOWN,
        Turn.GOOD: PROBATION,
        Turn.ENOUGH: WELL,
        Turn.RESTED: PROBATION,
        Turn.KNOCKED_IN_VAIN: DOWN,
    },
}


class Params(Struct, frozen=True):
    """Seconds and counts. `jitter` is the share by which a rest of its own varies both ways.

    A recovery is found within `rest_max_s`, and counts as one `apart_s` later at most; who flaps
    is back after `rest_flapping_max_s + apart_flapping_s`. Both sums stay below 30 s.
    """

    rest_s: float = 3.0
    rest_max_s: float = 15.0
    rest_flapping_max_s: float = 18.0
    asked_rest_max_s: float = 3600.0
    jitter: float = 0.2
    memory_s: float = 300.0
    trial_s: float = 90.0
    apart_s: float = 5.0
    apart_flapping_s: float = 10.0
    knock_every_s: float = 2.0
    nodes_max: int = 10_000


# Nobody was reached: a knock can find out whether that has changed.
CONNECT_KINDS = frozenset({"refused", "unreachable", "dns", "tls", "connect_timeout"})
SILENT_KINDS = frozenset({"connect_timeout", "headers_timeout", "content_timeout", "idle_timeout"})
# These say by themselves that the next call would fare alike.
AT_ONCE_KINDS = CONNECT_KINDS | {"headers_timeout", "content_timeout"}
AT_ONCE_STATUSES = frozenset({401, 402, 403})
# Long answers from before end well one after the other, and would hide that nothing new does.
DOUBTS_MAX = 4
FLAPPING_RELAPSES = 3
TIMES_KEPT = 16


class Node:
    """One segment that is, or lately was, in trouble. Times are steady seconds.

    `began_at` is when it left `well`, `down_at` when it last went down or asked anew to be left
    alone, which it does until `asked_until`; `trips` and `relapses` are the times of the last few.
    `doubts` are the last few failures after which no good answer was begun, as far as is known,
    each with how many `answers` had come by then.
    `trial_of` is the attempt that is its trial. `breaks_off`: its last failure came behind a good
    beginning.
    """

    __slots__ = (
        "answers",
        "asked_until",
        "began_at",
        "breaks_off",
        "doubts",
        "down_at",
        "failed_at",
        "good_at",
        "goods",
        "kind",
        "knocked",
        "knocked_at",
        "knocks_lie",
        "relapses",
        "rests_until",
        "segment",
        "since_wall",
        "state",
        "status",
        "trial_of",
        "trial_until",
        "trips",
        "verdict",
        "wall_ahead_s",
    )

    def __init__(self, segment: Segment, wall: float) -> None:
        self.segment = segment
        self.state = WELL
        self.since_wall = wall
        self.wall_ahead_s = 0.0
        self.began_at = 0.0
        self.down_at = 0.0
        self.doubts: list[tuple[float, int]] = []
        self.answers = 0
        self.failed_at = 0.0
        self.rests_until = 0.0
        self.asked_until = 0.0
        self.trial_until = 0.0
        self.trial_of = ""
        self.trips: list[float] = []
        self.relapses: list[float] = []
        self.goods = 0
        self.good_at = 0.0
        self.knocked = False
        self.knocked_at = 0.0
        self.knocks_lie = False
        self.breaks_off = False
        self.kind = ""
        self.status: int | None = None
        self.verdict: Verdict | None = None

    def __repr__(self) -> str:
        return f"[{self.segment}: {self.state.value}, {len(self.trips)} trips]"

    def turn(self, turn: Turn, wall: float) -> State:
        """Move as the table says; returns the new state."""
        state = TABLE[self.state][turn]
        if state is not self.state:
            self.state = state
            self.since_wall = wall
        return state

    def state_at(self, at: float, memory_s: float) -> State:
        """The state, with what the mere passing of time has done to it."""
        if self.state is DOWN and at >= self.rests_until:
            return TABLE[DOWN][Turn.RESTED]
        if self.state is DOUBTFUL and at - self.failed_at > memory_s:
            return TABLE[DOUBTFUL][Turn.QUIET]
        return self.state

    def settle(self, at: float, memory_s: float) -> State:
        """Make `state_at` the stored state."""
        if self.state_at(at, memory_s) is not self.state:
            rested = self.state is DOWN
            since = self.rests_until if rested else self.failed_at + memory_s
            self.turn(Turn.RESTED if rested else Turn.QUIET, since + self.wall_ahead_s)
        return self.state

    def shut(self, at: float) -> bool:
        """Whether no call should go there now: it rests, or its trial is under way."""
        if self.state is DOWN or self.state is PROBATION:
            return at < self.rests_until or at < self.trial_until
        return False

    def tells_of_then(self, begun_at: float) -> bool:
        """Whether the end of a call that was begun then says nothing of what is since it fell."""
        return begun_at < self.down_at

    def often_in_vain(self, at: float, memory_s: float) -> bool:
        """Whether the doubts are many, and no few among many good answers."""
        doubts = [answers for when, answers in self.doubts if at - when < memory_s]
        return len(doubts) >= DOUBTS_MAX and self.answers - doubts[0] <= 2 * len(doubts)

    def tried(self, attempt: str) -> None:
        """This attempt has ended; if it was the trial, the next may begin."""
        if attempt == self.trial_of:
            self.trial_until = 0.0
            self.trial_of = ""

    def recent(self, times: list[float], at: float, memory_s: float) -> int:
        return sum(at - time < memory_s for time in times)


class Health:
    """The nodes in trouble. What has no node is well.

    `dice` is uniform in [0, 1) and spreads the rests.
    """

    __slots__ = ("_dice", "_providers", "nodes", "params")

    def __init__(self, dice: Callable[[], float], params: Params | None = None) -> None:
        self._dice = dice
        self.params = params or Params()
        self.nodes: dict[Segment, Node] = {}
        self._providers: dict[str, int] = {}  # how many of the nodes are theirs

    def knows(self, provider: str) -> bool:
        """Whether a segment of this provider has a node."""
        return provider in self._providers

    def fail(  # noqa: PLR0913 - a failure has as many sides
        self,
        segment: Segment,
        at: float,
        wall: float,
        verdict: Verdict,
        kind: str,
        status: int | None,
        *,
        sure: bool = False,
        spoke: bool = False,
        took_s: float = 0.0,
        trial_of: str = "",
    ) -> None:
        """One failure that speaks about this segment, of a call of `took_s` ago.

        `sure`: it puts it down whatever it is. `spoke`: it came behind the beginning of an answer.
        `trial_of`: the attempt, where it was a trial.
        """
        memory_s = self.params.memory_s
        node = self.nodes.get(segment)
        if node is None:
            node = self._new(segment, wall)
        before = node.settle(at, memory_s)
        node.wall_ahead_s = wall - at
        node.failed_at, node.kind, node.status, node.verdict = at, kind, status, verdict
        node.tried(trial_of)
        asked_s = self._asked_s(verdict)
        node.asked_until = max(node.asked_until, at + asked_s)
        of_then = node.tells_of_then(at - took_s)
        if before is DOWN or (of_then and (before is PROBATION or not asked_s)):
            # An answer to a call from before is no new trip, but a longer wait that the other side
            # asks for counts.
            if asked_s:
                node.down_at = at
                node.rests_until = max(node.rests_until, node.asked_until)
            return
        node.breaks_off = spoke
        if before is WELL:
            node.began_at = at
        clear = kind in AT_ONCE_KINDS or status in AT_ONCE_STATUSES or verdict.rest_s is not None
        node.doubts = [*node.doubts, (at, node.answers)][-DOUBTS_MAX:]
        sure = sure or clear or node.often_in_vain(at, memory_s)
        if node.turn(Turn.TRIP if sure else Turn.DOUBT, wall) is DOWN:
            self._fell(node, at, before)

    def _fell(self, node: Node, at: float, before: State) -> None:
        """It has just gone down, from this state: how long it rests."""
        if before is not PROBATION or node.goods:
            node.relapses = [*node.relapses, at][-TIMES_KEPT:]
        if node.knocked:
            node.knocks_lie = True
        node.knocked = False
        node.goods = 0
        node.down_at = at
        node.trips = [*node.trips, at][-TIMES_KEPT:]
        node.rests_until = max(at + self._own_rest_s(node, at), node.asked_until)

    def _own_rest_s(self, node: Node, at: float) -> float:
        params = self.params
        trips = node.recent(node.trips, at, params.memory_s)
        flapping = node.recent(node.relapses, at, params.memory_s) >= FLAPPING_RELAPSES
        longest_s = params.rest_flapping_max_s if flapping else params.rest_max_s
        longest_s /= 1.0 + params.jitter
        usual_s = min(params.rest_s * 2.0 ** (trips - 1), longest_s)
        return usual_s * (1.0 + params.jitter * (2.0 * self._dice() - 1.0))

    def _asked_s(self, verdict: Verdict) -> float:
        return min(verdict.rest_s or 0.0, self.params.asked_rest_max_s)

    def _new(self, segment: Segment, wall: float) -> Node:
        if len(self.nodes) >= self.params.nodes_max:
            oldest_first = sorted(self.nodes.values(), key=lambda node: node.failed_at)
            for node in oldest_first[: max(1, self.params.nodes_max // 10)]:
                self._forget(node.segment)
        node = self.nodes[segment] = Node(segment, wall)
        self._providers[segment.provider] = self._providers.get(segment.provider, 0) + 1
        return node

    def forget(self, provider: str) -> None:
        """Nothing that was known of this provider's segments holds any more."""
        for segment in [one for one in self.nodes if one.provider == provider]:
            self._forget(segment)

    def _forget(self, segment: Segment) -> None:
        del self.nodes[segment]
        self._providers[segment.provider] -= 1
        if not self._providers[segment.provider]:
            del self._providers[segment.provider]

    def succeed(
        self,
        segment: Segment,
        at: float,
        wall: float,
        *,
        took_s: float = 0.0,
        trial_of: str = "",
    ) -> None:
        """One good answer that went through this segment, to a call of `took_s` ago."""
        node = self.nodes.get(segment)
        if node is None:
            return
        params = self.params
        state = node.settle(at, params.memory_s)
        node.wall_ahead_s = wall - at
        node.tried(trial_of)
        if state is WELL or state is DOUBTFUL:
            node.turn(Turn.GOOD, wall)
            node.answers += 1
            node.doubts = [doubt for doubt in node.doubts if doubt[0] > at - took_s]
            if at - node.failed_at > params.memory_s:
                self._forget(segment)
            return
        if node.tells_of_then(at - took_s):
            return
        relapses = node.recent(node.relapses, at, params.memory_s)
        apart_s = params.apart_s if relapses < FLAPPING_RELAPSES else params.apart_flapping_s
        if node.goods and at - node.good_at < apart_s:
            return
        node.goods += 1
        node.good_at = at
        if node.goods >= min(max(relapses, 1), 2):
            node.turn(Turn.ENOUGH, wall)
            node.goods = 0
            node.doubts = []
            node.knocked = node.knocks_lie = False
        else:
            node.turn(Turn.GOOD, wall)
            node.rests_until = at + apart_s

    def vouch(
        self, segment: Segment, at: float, wall: float, *, took_s: float, trial_of: str
    ) -> None:
        """The answer to its trial has been coming for a while; the call was begun `took_s` ago."""
        node = self.nodes.get(segment)
        if node is not None and not node.breaks_off:
            self.succeed(segment, at, wall, took_s=took_s, trial_of=trial_of)

    def claim(self, segment: Segment, at: float, *, trial_of: str = "") -> None:
        """A trial is under way through this segment; no other starts until it has ended.

        `trial_of` names the attempt: another's end does not end its claim.
        """
        node = self.nodes.get(segment)
        if node is not None and node.settle(at, self.params.memory_s) is PROBATION:
            node.trial_until = at + self.params.trial_s
            node.trial_of = trial_of

    def unclaim(self, segment: Segment, *, trial_of: str = "") -> None:
        """A trial ended and told nothing: the next call may try."""
        node = self.nodes.get(segment)
        if node is not None:
            node.tried(trial_of)

    def knock(self, segment: Segment, at: float, wall: float, *, ok: bool) -> None:
        """Somebody opened the door there, or nobody did; no call was made."""
        node = self.nodes.get(segment)
        if node is None or not self._knockable(node, at):
            return
        node.knocked_at = at
        node.wall_ahead_s = wall - at
        if ok:
            node.knocked = True
            node.rests_until = min(node.rests_until, at)
            node.settle(at, self.params.memory_s)
        elif at >= node.trial_until:
            node.turn(Turn.KNOCKED_IN_VAIN, wall)
            node.rests_until = max(node.rests_until, at + self.params.rest_s)

    def knocks_due(self, at: float) -> list[Segment]:
        """Segments at whose door somebody should knock now."""
        every_s = self.params.knock_every_s
        return [
            node.segment
            for node in self.nodes.values()
            if self._knockable(node, at) and at - max(node.failed_at, node.knocked_at) >= every_s
        ]

    def _knockable(self, node: Node, at: float) -> bool:
        state = node.state_at(at, self.params.memory_s)
        return (
            (state is DOWN or state is PROBATION)
            and node.segment.surface is None  # a door is a provider's
            and node.kind in CONNECT_KINDS
            and not node.goods
            and not node.knocked
            and not node.knocks_lie
        )

    def wake(self, at: float, wall: float) -> None:
        """The machine slept: what rested may be tried, and old trips tell nothing."""
        for node in self.nodes.values():
            node.rests_until = min(node.rests_until, at)
            node.trial_until = 0.0
            node.trips, node.relapses, node.doubts = [], [], []
            node.wall_ahead_s = wall - at
            node.settle(at, self.params.memory_s)
