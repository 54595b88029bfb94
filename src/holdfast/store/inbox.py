"""What waits for the ledger's writer, and the bell that wakes it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from threading import Condition
from typing import TypeVar

from holdfast.facts.flights import Exchange, Settled
from holdfast.facts.incidents import Incident
from holdfast.facts.observations import Observation
from holdfast.store.observations import INCIDENTS_MAX, Waiting

# Beyond these the oldest are dropped, and counted. (Intents have the journal, and its bound.)
SETTLED_MAX = 20_000
EXCHANGES_MAX = 10_000

T = TypeVar("T")


class Inbox:
    """Bounded queues and a bell. Any thread puts in; the writer alone takes out.

    A thing is in its queue before the bell is looked at, and the writer stills the bell before it
    looks into the queues: so none is ever left lying.
    """

    __slots__ = (
        "_answered",
        "_asked",
        "_bell",
        "_ended",
        "_exchanges",
        "_incidents",
        "_rung",
        "_settled",
        "dropped_exchanges",
        "dropped_incidents",
        "dropped_settled",
        "observed",
    )

    def __init__(self) -> None:
        self._settled: deque[Settled] = deque(maxlen=SETTLED_MAX)
        self._exchanges: deque[Exchange] = deque(maxlen=EXCHANGES_MAX)
        self._incidents: deque[Incident] = deque(maxlen=INCIDENTS_MAX)
        self.observed = Waiting()
        self.dropped_settled = 0
        self.dropped_exchanges = 0
        self.dropped_incidents = 0
        self._bell = Condition()
        self._rung = False
        self._ended = False
        self._asked = 0  # numbers of the last flush that somebody waits for …
        self._answered = 0  # … and of the last that was done

    def put_settled(self, settled: Settled) -> None:
        if len(self._settled) == SETTLED_MAX:
            self.dropped_settled += 1
        self._settled.append(settled)
        if not self._rung:
            self.ring()

    def put_exchange(self, exchange: Exchange) -> None:
        if len(self._exchanges) == EXCHANGES_MAX:
            self.dropped_exchanges += 1
        self._exchanges.append(exchange)
        if not self._rung:
            self.ring()

    def put_observations(self, batch: Sequence[Observation]) -> None:
        self.observed.put(batch)
        self.ring()

    def put_incidents(self, incidents: Iterable[Incident]) -> None:
        for incident in incidents:
            if len(self._incidents) == INCIDENTS_MAX:
                self.dropped_incidents += 1
            self._incidents.append(incident)
        self.ring()

    def ring(self) -> None:
        """There is something to write."""
        if not self._rung:
            with self._bell:
                self._rung = True
                self._bell.notify_all()

    def hurry(self, timeout_s: float) -> bool:
        """Have the writer make a turn now, and wait for its end. False: it took too long."""
        with self._bell:
            self._asked += 1
            ticket = self._asked
            self._bell.notify_all()
            return self._bell.wait_for(lambda: self._answered >= ticket, timeout_s)

    def end(self) -> None:
        """Let the writer make its last turn."""
        with self._bell:
            self._ended = True
            self._bell.notify_all()

    # ------------------------------------------------------------ the writer

    def wait(self, timeout_s: float, *, for_bell: bool) -> None:
        """Sleep until somebody hurries, or it ends, or (`for_bell`) there is something to write."""
        with self._bell:
            self._bell.wait_for(
                lambda: self._ended or self.hurried or (for_bell and self._rung), timeout_s
            )

    @property
    def hurried(self) -> bool:
        return self._asked != self._answered

    @property
    def ended(self) -> bool:
        return self._ended

    @property
    def waiting(self) -> int:
        return len(self._settled) + len(self._exchanges) + len(self._incidents) + len(self.observed)

    def begin_turn(self) -> int:
        """Still the bell; returns the number of the last flush that this turn answers."""
        with self._bell:
            self._rung = False
            return self._asked

    def end_turn(self, ticket: int) -> None:
        with self._bell:
            self._answered = ticket
            self._bell.notify_all()

    def take_settled(self) -> list[Settled]:
        return _emptied(self._settled)

    def take_exchanges(self) -> list[Exchange]:
        return _emptied(self._exchanges)

    def take_observations(self) -> list[Observation]:
        return self.observed.take()

    def take_incidents(self) -> list[Incident]:
        return _emptied(self._incidents)


def _emptied(queue: deque[T]) -> list[T]:
    return [queue.popleft() for _ in range(len(queue))]
