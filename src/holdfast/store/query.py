"""Reading the ledger: for logs, status and usage, while the gateway runs and when it does not.

What a running gateway did in the last tenth of a second may not be there yet.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from holdfast.facts.incidents import Incident
from holdfast.facts.observations import Observation
from holdfast.facts.outcomes import Times, Usage
from holdfast.store import schema
from holdfast.store.home import LEDGER, StoreError
from holdfast.store.observations import Noted, Reading, read_incidents, read_observations

BUSY_S = 5.0
# How a call or an attempt without an end is called: it is still in the air, or its gateway died
# and none has been started since.
UNSETTLED = "unsettled"


class AttemptLine(Struct, frozen=True, kw_only=True):
    """One attempt as it stands in the ledger; fields as in `facts.flights`.

    `outcome` is that of `facts.flights.Settled`, or "unsettled". `wall` is the intent's (UTC
    seconds). What the ledger does not know has its default here.
    """

    id: str
    exchange: str
    wall: float
    attempt: int = 0
    provider: str = ""
    model: str = ""
    surface: str = ""
    credential: str = ""
    asked_model: str = ""
    tool: str = ""
    bytes_out: int = 0
    why: str = ""
    outcome: str = UNSETTLED
    settled_wall: float | None = None
    status: int | None = None
    failure_kind: str = ""
    failure_text: str = ""
    verdict: str = ""
    because: tuple[str, ...] = ()
    usage: Usage = Usage()
    times: Times = Times()
    bytes_in: int = 0
    lost: tuple[str, ...] = ()


class ExchangeLine(Struct, frozen=True, kw_only=True):
    """One call as it stands in the ledger, with its attempts in order.

    `outcome` is that of `facts.flights.Exchange`, "unknown" when its process died before its end,
    or "unsettled"; for the last two only what its attempts know is filled in.
    """

    id: str
    wall: float
    outcome: str
    duration_s: float | None = None
    dialect: str = ""
    surface: str = ""
    method: str = ""
    path: str = ""
    asked_model: str = ""
    stream: bool = False
    tool: str = ""
    status: int | None = None
    served_by: str = ""
    stand_in: bool = False
    verdict: str = ""
    because: str = ""
    bytes_in: int = 0
    bytes_out: int = 0
    attempts: tuple[AttemptLine, ...] = ()


class UsageLine(Struct, frozen=True, kw_only=True):
    """Attempts and tokens of one provider, model and tool. Cache tokens stand beside `input`."""

    provider: str = ""
    model: str = ""
    tool: str = ""
    attempts: int
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0


class Totals(Struct, frozen=True, kw_only=True):
    """Counts by outcome, of calls and of attempts, and what was used."""

    exchanges: dict[str, int]
    attempts: dict[str, int]
    usage: tuple[UsageLine, ...]


_FAILED = "outcome NOT IN ('ok', 'abandoned')"
# Calls that are in the air: their attempts are there, their own line is not.
_IN_THE_AIR = f"""
    SELECT exchange AS id, min(wall) AS wall, surface, asked_model, tool, '{UNSETTLED}' AS outcome
    FROM attempt_lines
    WHERE exchange IN (SELECT exchange FROM attempts WHERE outcome IS NULL)
      AND exchange NOT IN (SELECT id FROM exchanges)
"""  # noqa: S608 - no value in it comes from outside

_USAGE = """
    SELECT provider, model, tool, count(*) AS attempts, sum(input) AS input,
        sum(output) AS output, sum(cache_read) AS cache_read, sum(cache_write) AS cache_write
    FROM attempt_lines WHERE wall >= :since GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""


class Reader:
    """Reads one ledger. Each question opens the file anew, so it may be replaced meanwhile.

    `Reader(data_dir)`. Raises StoreError, when asked, if there is no ledger or it cannot be read.
    """

    __slots__ = ("path", "unreadable")

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / LEDGER
        self.unreadable = 0

    def exchanges(
        self,
        limit: int = 50,
        *,
        since_wall: float = 0.0,
        only_failed: bool = False,
        tool: str | None = None,
    ) -> list[ExchangeLine]:
        """The last calls, newest first, since a time (UTC seconds).

        `only_failed`: those that gave their client no whole answer (and were not left by it).
        """
        wanted = "wall >= :since" + (f" AND {_FAILED}" if only_failed else "")
        if tool is not None:
            wanted += " AND tool = :tool"
        values: Mapping[str, Cell] = {"since": since_wall, "tool": tool, "limit": limit}
        with self._open() as db:
            rows = _rows(
                db,
                f"SELECT * FROM exchange_lines WHERE {wanted}"  # noqa: S608 - `wanted` is ours
                " ORDER BY wall DESC, id DESC LIMIT :limit",
                values,
            )
            if not only_failed:
                rows += _rows(
                    db,
                    f"SELECT * FROM ({_IN_THE_AIR} GROUP BY exchange) WHERE {wanted}"  # noqa: S608 - the same
                    " ORDER BY wall DESC, id DESC LIMIT :limit",
                    values,
                )
            rows.sort(key=lambda row: (row["wall"], row["id"]), reverse=True)
            return [_exchange(db, row) for row in rows[:limit]]

    def one(self, exchange_id: str) -> ExchangeLine | None:
        """One call by its id; None when it is not there."""
        with self._open() as db:
            rows = _rows(db, "SELECT * FROM exchange_lines WHERE id = :id", {"id": exchange_id})
            rows = rows or _rows(
                db,
                f"{_IN_THE_AIR} AND exchange = :id GROUP BY exchange",
                {"id": exchange_id},
            )
            return _exchange(db, rows[0]) if rows else None

    def totals(self, since_wall: float = 0.0) -> Totals:
        """Counts and tokens since a time (UTC seconds), of what has ended and what has not."""
        values = {"since": since_wall}
        count = "SELECT ifnull(outcome, '{}'), count(*) FROM {} WHERE wall >= :since GROUP BY 1"
        with self._open() as db:
            exchanges, attempts = (
                dict(db.execute(count.format(UNSETTLED, table), values).fetchall())
                for table in ("exchange_lines", "attempt_lines")
            )
            usage = msgspec.convert(_rows(db, _USAGE, values), tuple[UsageLine, ...], strict=False)
        return Totals(exchanges=exchanges, attempts=attempts, usage=usage)

    def observations(self, since_wall: float = 0.0) -> Iterator[Observation]:
        """What was learnt since a time (UTC seconds), in the order in which it was learnt.

        Rows that cannot be read (torn, or of another kind) are skipped; `unreadable` counts them
        and `complaint` says so, once all was read.
        """
        return self._noted(read_observations, since_wall)

    def incidents(self, since_wall: float = 0.0) -> list[Incident]:
        """How the incidents stood last that had news since a time, the first of them first."""
        return list({one.id: one for one in self._noted(read_incidents, since_wall)}.values())

    @property
    def complaint(self) -> str | None:
        """What to tell a person about rows that were skipped; None where none was."""
        if not self.unreadable:
            return None
        return (
            f"{self.unreadable} rows of the journal in {self.path} cannot be read and were left"
            " out: they are torn, or from another version of holdfast. All others were used."
        )

    def _noted(
        self, read: Callable[[sqlite3.Connection, float], Reading[Noted]], since_wall: float
    ) -> Iterator[Noted]:
        with self._open() as db:
            if schema.version(db, self.path) < schema.OBSERVATIONS_SINCE:
                return  # of an older gateway, which kept none
            reading = read(db, since_wall)
            try:
                yield from reading
            finally:
                self.unreadable += reading.unreadable

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        path = self.path
        try:
            if not path.exists():
                raise _not_yet(path)
            db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_S)
            try:
                version = schema.version(db, path)
                if not version:  # just being made
                    raise _not_yet(path)
                if version < schema.LINES_SINCE:  # of an older gateway: each row is its own line
                    for line in ("attempt", "exchange"):
                        db.execute(f"CREATE TEMP VIEW {line}_lines AS SELECT * FROM {line}s")  # noqa: S608 - our names
                # One moment for all that a question looks at.
                db.execute("BEGIN")
                yield db
            finally:
                db.close()
        except (sqlite3.Error, OSError, ValueError) as error:  # ValueError: a cell is damaged
            raise StoreError(
                f"The ledger {path} cannot be read ({error}). If it is damaged, starting the"
                " gateway moves it aside and begins an empty one; if not, look at its permissions."
            ) from error


def _not_yet(path: Path) -> StoreError:
    return StoreError(
        f"There is no ledger yet at {path}. One is made when the gateway first starts"
        " (holdfast up); if it runs with another data_dir, name the same configuration."
    )


Cell = str | int | float | bytes | None
Known = dict[str, Cell]


def _rows(db: sqlite3.Connection, query: str, values: Mapping[str, Cell]) -> list[Known]:
    """Rows without their NULLs: what is not known takes the default of its field."""
    cursor = db.execute(query, values)
    names = [column[0] for column in cursor.description]
    return [
        {name: cell for name, cell in zip(names, row, strict=True) if cell is not None}
        for row in cursor
    ]


def _exchange(db: sqlite3.Connection, row: Known) -> ExchangeLine:
    attempts = _rows(
        db,
        "SELECT * FROM attempt_lines WHERE exchange = :id ORDER BY attempt, id",
        {"id": row["id"]},
    )
    # The row's own `attempts` is their number as the flight counted them.
    line = row | {"attempts": tuple(_attempt(attempt) for attempt in attempts)}
    return msgspec.convert(line, ExchangeLine, strict=False)


def _attempt(row: Known) -> AttemptLine:
    times = {name: row[f"{name}_s"] for name in Times.__struct_fields__ if f"{name}_s" in row}
    line: dict[str, object] = dict(row)
    line["because"] = json.loads(str(row.get("because") or "[]"))
    line["lost"] = json.loads(str(row.get("lost") or "[]"))
    line["usage"] = msgspec.convert(row, Usage)
    line["times"] = msgspec.convert(times, Times)
    return msgspec.convert(line, AttemptLine, strict=False)
