"""The observation journal: what was learnt, and how incidents stood, as rows of the ledger.

One row each, and one for each change of an incident (its timeline is in it, and the last row of an
incident counts), JSON by msgspec, in the order in which they were handed in: replaying them is
folding the rows in the order of their ids. They share the ledger's writer, its transactions and
its promises; what had not reached the database when a process was killed (about 50 ms) is lost.
"""

from __future__ import annotations

import math
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from threading import Lock
from typing import Generic, TypeVar

import msgspec

from holdfast.facts.incidents import Incident
from holdfast.facts.observations import Observation
from holdfast.store.book import INT_MAX, Row

# What waits for a stuck database. Good samples give way first: a hundred more or less of them
# change nothing, and one failure may be the first sign of an outage.
WAITING_MAX = 20_000
FAILURES_MAX = 100_000
INCIDENTS_MAX = 10_000
GOOD_KEEP_DAYS = 7.0

OBSERVATION = (
    "INSERT INTO observations (id, wall, good, data) VALUES (?,?,?,?) ON CONFLICT (id) DO NOTHING"
)
INCIDENT = "INSERT INTO incidents (id, wall, data) VALUES (?,?,?) ON CONFLICT (id) DO NOTHING"

_SWEEPS = (
    """DELETE FROM observations WHERE id IN
    (SELECT id FROM observations WHERE good AND wall < :good LIMIT :most)""",
    """DELETE FROM observations WHERE id IN
    (SELECT id FROM observations WHERE wall < :all LIMIT :most)""",
    "DELETE FROM incidents WHERE id IN (SELECT id FROM incidents WHERE wall < :all LIMIT :most)",
)
# By id, so in the order of writing, which is that of learning; `wall` may step back. The index
# finds the first, and `+` keeps it from being used for the rest, whose order it would lose.
_SINCE = """
    SELECT data FROM {0} WHERE +wall >= :since
    AND id >= (SELECT min(id) FROM {0} INDEXED BY {0}_wall WHERE wall >= :since) ORDER BY id
"""

_json = msgspec.json.encode
_observation = msgspec.json.Decoder(Observation)
_incident = msgspec.json.Decoder(Incident)

Noted = TypeVar("Noted")  # an observation, or an incident


def is_sample(observation: Observation) -> bool:
    """Whether it is one of many that say the same: things go well."""
    return observation.ok and observation.kind in ("traffic", "probe", "peer")


class Waiting:
    """Observations that wait for the writer, in order and bounded. For any thread."""

    __slots__ = ("_failures", "_lock", "_number", "_samples", "dropped", "lost")

    def __init__(self) -> None:
        self._samples: deque[tuple[int, Observation]] = deque()
        self._failures: deque[tuple[int, Observation]] = deque()
        self._lock = Lock()
        self._number = 0
        self.dropped = 0  # good samples that gave way
        self.lost = 0  # others: the bound of the bounds

    def put(self, batch: Iterable[Observation]) -> None:
        with self._lock:
            for observation in batch:
                self._number += 1
                queue = self._samples if is_sample(observation) else self._failures
                queue.append((self._number, observation))
                if len(self._samples) + len(self._failures) > WAITING_MAX and self._samples:
                    self._samples.popleft()
                    self.dropped += 1
                elif len(self._failures) > FAILURES_MAX:
                    self._failures.popleft()
                    self.lost += 1

    def take(self) -> list[Observation]:
        with self._lock:
            samples, self._samples = self._samples, deque()
            failures, self._failures = self._failures, deque()
        return [each for _, each in merge(samples, failures, key=_number)]

    def __len__(self) -> int:
        return len(self._samples) + len(self._failures)


def _number(pair: tuple[int, Observation]) -> int:
    return pair[0]


class Notebook(Generic[Noted]):
    """What was taken from a queue and is not committed yet.

    Each has its id before it is written, so that a transaction which is made again (its end was
    not seen) doubles nothing. `refused` counts those that cannot be written down at all.
    """

    __slots__ = ("_first_id", "_row", "_rows", "_table", "refused")

    def __init__(self, table: str, row: Callable[[Noted], Row | None]) -> None:
        self._table = table
        self._row = row
        self._rows: list[Row] = []
        self._first_id = 1
        self.refused = 0

    def add(self, noted: Iterable[Noted]) -> None:
        for each in noted:
            row = self._row(each)
            if row is None:
                self.refused += 1
            else:
                self._rows.append(row)

    def go_on(self, db: sqlite3.Connection) -> None:
        """Number on from what is there. `table` is our own word."""
        last = db.execute(f"SELECT max(id) FROM {self._table}").fetchone()[0]  # noqa: S608
        self._first_id = max(self._first_id, (last or 0) + 1)

    def rows(self) -> list[Row]:
        return [(number, *row) for number, row in enumerate(self._rows, self._first_id)]

    def written(self) -> None:
        """These rows are committed."""
        self._first_id += len(self._rows)
        self._rows.clear()

    def __len__(self) -> int:
        return len(self._rows)


def observation_row(observation: Observation) -> Row | None:
    """As a row, without its id; None for what has no place in time, or is no JSON."""
    data = written(observation, observation.at, observation.wall)
    if data is None:
        return None
    return observation.wall, int(is_sample(observation)), data


def incident_row(incident: Incident) -> Row | None:
    """The same for an incident, at the time of its last entry."""
    wall = incident.timeline[-1].at if incident.timeline else incident.since
    data = written(incident, wall)
    return None if data is None else (wall, data)


def written(noted: Observation | Incident, *times: float) -> bytes | None:
    """The JSON. Half characters (they come from outside) become question marks."""
    try:
        if not all(map(math.isfinite, times)):
            return None
        return _json(noted)
    except UnicodeEncodeError:
        return _json(_whole(msgspec.to_builtins(noted)))
    except (TypeError, ValueError, OverflowError):
        return None


def _whole(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_whole(item) for item in value]
    return value


def sweep(db: sqlite3.Connection, wall: float, keep_s: float, most: int) -> int:
    """Within a transaction, delete some of what is too old; returns how many rows went."""
    good_s = min(keep_s, GOOD_KEEP_DAYS * 86_400.0)
    bounds = {"good": wall - good_s, "all": wall - keep_s, "most": min(most, INT_MAX)}
    return sum(db.execute(statement, bounds).rowcount for statement in _SWEEPS)


class Reading(Iterator[Noted]):
    """Rows one by one, in the order of writing. `unreadable`: those that had to be skipped."""

    __slots__ = ("_decode", "_rows", "unreadable")

    def __init__(self, rows: Iterator[Sequence[object]], decode: Callable[[bytes], Noted]) -> None:
        self._rows = rows
        self._decode = decode
        self.unreadable = 0

    def __next__(self) -> Noted:
        while True:
            (data,) = next(self._rows)
            try:
                return self._decode(data if isinstance(data, bytes) else str(data).encode())
            except (ValueError, RecursionError):  # msgspec's own errors are ValueErrors
                self.unreadable += 1


def read_observations(db: sqlite3.Connection, since_wall: float) -> Reading[Observation]:
    return Reading(_since(db, "observations", since_wall), _observation.decode)


def read_incidents(db: sqlite3.Connection, since_wall: float) -> Reading[Incident]:
    return Reading(_since(db, "incidents", since_wall), _incident.decode)


def _since(db: sqlite3.Connection, table: str, since_wall: float) -> Iterator[Sequence[object]]:
    statement = _SINCE.format(table)
    return iter(db.execute(statement, {"since": since_wall}))
