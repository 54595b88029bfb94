"""Records to write, and a look at what was written that does not go through the reader."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from holdfast.facts.flights import Exchange, Intent, Settled
from holdfast.facts.incidents import Incident
from holdfast.facts.observations import Observation

NOW = time.time()  # or retention would take them away

_INTENT = Intent(
    id="e.1",
    exchange="e",
    attempt=1,
    wall=NOW,
    provider="north",
    model="large",
    surface="messages",
    credential="default",
    asked_model="large",
    tool="claude-code",
    bytes_out=321,
    why="first in the order",
)
_EXCHANGE = Exchange(
    id="e",
    wall=NOW,
    duration_s=1.5,
    dialect="anthropic",
    surface="messages",
    method="POST",
    path="/v1/messages",
    asked_model="large",
    stream=True,
    tool="claude-code",
    outcome="ok",
    status=200,
    attempts=1,
    served_by="north/large",
    because="first in the order",
    bytes_in=500,
    bytes_out=321,
)


def intent(exchange: str, attempt: int = 1, **fields: Any) -> Intent:
    names = {"id": f"{exchange}.{attempt}", "exchange": exchange, "attempt": attempt}
    return msgspec.structs.replace(_INTENT, **names, **fields)


def settled(exchange: str, attempt: int = 1, outcome: Any = "ok", **fields: Any) -> Settled:
    return Settled(
        id=f"{exchange}.{attempt}", outcome=outcome, **{"wall": NOW + 1.0, "status": 200} | fields
    )


def exchange(id_: str, **fields: Any) -> Exchange:
    return msgspec.structs.replace(_EXCHANGE, id=id_, **fields)


def observation(number: int, *, ok: bool = True, **fields: Any) -> Observation:
    """The nth of them: `at` tells which."""
    known = {"kind": "traffic", "provider": "north", "surface": "messages", "wall": NOW}
    return Observation(**known | {"at": float(number), "ok": ok} | fields)


def incident(number: int, **fields: Any) -> Incident:
    """The nth incident: its name tells which."""
    return Incident(**{"id": f"i{number}", "since": NOW} | fields)


def count_of(data_dir: Path, table: str) -> int:
    """How many rows are in a table."""
    db = sqlite3.connect(data_dir / "ledger.sqlite3")
    count: int = db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    db.close()
    return count


def outcomes(data_dir: Path, table: str = "attempts") -> dict[str, str | None]:
    """Outcome by id of all rows, read straight from the file; fails if an id is there twice."""
    db = sqlite3.connect(data_dir / "ledger.sqlite3")
    try:
        rows = db.execute(f"SELECT id, outcome FROM {table} ORDER BY id").fetchall()
    finally:
        db.close()
    found = dict(rows)
    assert len(found) == len(rows)
    return found


def eventually(true: Callable[[], object], within_s: float = 15.0) -> None:
    """Wait for something that another thread brings about."""
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.01)
