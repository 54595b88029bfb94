"""How facts become rows: the statements of the ledger's one writer, each call one transaction.

Every statement may be run again with the same facts and changes nothing then; that is what makes
"none missing, none doubled" hold wherever a process dies.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from holdfast.facts.flights import Exchange, Intent, Settled

# Text that comes from outside (names of models, paths, words of a failure) is cut to this.
TEXT_CHARS_MAX = 1000
INT_MAX = 2**63 - 1

Cell = str | int | float | bytes | None
Row = Sequence[Cell]

_INTENT = msgspec.structs.fields(Intent)
_INTENT_COLUMNS = tuple(field.name for field in _INTENT)
_SETTLED_COLUMNS = (
    "outcome", "settled_wall", "status", "failure_kind", "failure_text", "verdict", "because",
    "input", "output", "cache_read", "cache_write",
    "sent_s", "headers_s", "content_s", "end_s", "bytes_in", "lost",
)  # fmt: skip
_EXCHANGE_COLUMNS = tuple(field.name for field in msgspec.structs.fields(Exchange))
_NO_SETTLEMENT: tuple[Cell, ...] = (None,) * len(_SETTLED_COLUMNS)

_astuple = msgspec.structs.astuple
_json = msgspec.json.encode


def _insert(table: str, columns: tuple[str, ...]) -> str:
    marks = ",".join("?" * len(columns))
    return f"INSERT INTO {table} ({','.join(columns)}) VALUES ({marks})"  # noqa: S608 - our names


def _unless(taken: str, columns: Iterable[str]) -> str:
    return ",".join(
        f"{name}=CASE WHEN {taken} IS NULL THEN excluded.{name} ELSE {name} END" for name in columns
    )


# An attempt's row has two halves, the intent's and the settlement's. Either may come first or
# twice; the first to come stays.
ATTEMPT = (
    _insert("attempts", _INTENT_COLUMNS + _SETTLED_COLUMNS)
    + " ON CONFLICT (id) DO UPDATE SET "
    + _unless("provider", (name for name in _INTENT_COLUMNS if name != "id"))
    + ","
    + _unless("outcome", _SETTLED_COLUMNS)
)
EXCHANGE = _insert("exchanges", _EXCHANGE_COLUMNS) + " ON CONFLICT (id) DO NOTHING"

# What an earlier process left without an end: calls of which only attempts are there (looked for
# since that process began), then the attempts themselves.
_CALLS_WITHOUT_END = """
    INSERT INTO exchanges (id, wall, surface, asked_model, tool, outcome, attempts)
    SELECT exchange, min(wall), surface, asked_model, tool, 'unknown', count(*) FROM attempts
    WHERE exchange IN (
        SELECT exchange FROM attempts WHERE outcome IS NULL
        UNION SELECT exchange FROM attempts WHERE wall >= ?)
      AND exchange NOT IN (SELECT id FROM exchanges)
    GROUP BY exchange
"""
_UNKNOWN = "UPDATE attempts SET outcome='unknown', settled_wall=? WHERE outcome IS NULL"
_REMEMBER = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value=excluded.value"

_SWEEP_ATTEMPTS = """
    DELETE FROM attempts WHERE id IN (SELECT id FROM attempts WHERE wall < ? LIMIT ?)
"""
_SWEEP_EXCHANGES = """
    DELETE FROM exchanges WHERE id IN (SELECT id FROM exchanges WHERE wall < ? LIMIT ?)
"""

POISON = (
    sqlite3.IntegrityError,
    sqlite3.ProgrammingError,
    sqlite3.InterfaceError,
    sqlite3.DataError,
    OverflowError,
    UnicodeEncodeError,
)


def attempt_rows(intents: Sequence[Intent], settled: Sequence[Settled]) -> list[Row]:
    """One row for each attempt that these speak of; halves that are here together, together."""
    ends: dict[str, Settled] = {}
    for end in settled:
        ends.setdefault(end.id, end)
    rows: list[Row] = [
        _astuple(intent) + _settlement(ends.pop(intent.id, None)) for intent in intents
    ]
    rows.extend(_nameless(end) + _settlement(end) for end in ends.values())
    return rows


def _settlement(end: Settled | None) -> tuple[Cell, ...]:
    if end is None:
        return _NO_SETTLEMENT
    usage, times = end.usage, end.times
    return (
        end.outcome, end.wall, end.status, end.failure_kind, end.failure_text[:TEXT_CHARS_MAX],
        end.verdict, _reasons(end.because) if end.because else "",
        usage.input, usage.output, usage.cache_read, usage.cache_write,
        times.sent, times.headers, times.content, times.end, end.bytes_in,
        _reasons(end.lost) if end.lost else None,
    )  # fmt: skip


def _reasons(because: tuple[str, ...]) -> str:
    """As a JSON array."""
    try:
        text = _json(because)
        if len(text) <= 2 * TEXT_CHARS_MAX:
            return text.decode()
    except UnicodeEncodeError:
        pass
    return _json(
        [why.encode("utf-8", "replace").decode()[: TEXT_CHARS_MAX // 8] for why in because[:8]]
    ).decode()


def _nameless(end: Settled) -> tuple[Cell, ...]:
    """The intent's half while only the settlement is known: an id is `exchange.attempt`."""
    exchange, _, number = end.id.rpartition(".")
    known: dict[str, Cell] = {"id": end.id, "exchange": exchange or end.id, "wall": end.wall}
    known["attempt"] = int(number) if number.isdecimal() and len(number) < 10 else None
    return tuple(known.get(name) for name in _INTENT_COLUMNS)


def exchange_rows(exchanges: Iterable[Exchange]) -> list[Row]:
    return [
        _astuple(
            exchange
            if len(exchange.path) + len(exchange.asked_model) <= TEXT_CHARS_MAX
            else msgspec.structs.replace(
                exchange,
                path=exchange.path[:TEXT_CHARS_MAX],
                asked_model=exchange.asked_model[:TEXT_CHARS_MAX],
            )
        )
        for exchange in exchanges
    ]


def write(
    db: sqlite3.Connection,
    attempts: list[Row],
    exchanges: list[Row],
    wall: float,
    others: Sequence[tuple[str, list[Row]]] = (),
) -> int:
    """Write rows in one transaction; return how many SQLite would not have at all.

    `others` are further statements with their rows. `wall` is noted, so that there is always
    something to commit. Raises sqlite3.Error when the transaction failed as a whole; nothing of
    it is there then.
    """
    work = ((ATTEMPT, attempts), (EXCHANGE, exchanges), *others)
    try:
        with transaction(db):
            for statement, rows in work:
                db.executemany(statement, rows)
            remember(db, "written_wall", wall)
    except POISON:
        return _write_singly(db, work, wall)
    return 0


def _write_singly(
    db: sqlite3.Connection, work: Iterable[tuple[str, list[Row]]], wall: float
) -> int:
    """One row that cannot be stored must not keep the others out."""
    refused = 0
    with transaction(db):
        for statement, rows in work:
            for row in rows:
                try:
                    db.execute(statement, [_storable(cell) for cell in row])
                except POISON:
                    refused += 1
        remember(db, "written_wall", wall)
    return refused


def _storable(cell: Cell) -> Cell:
    if isinstance(cell, str):
        return cell.encode("utf-8", "replace").decode()
    if isinstance(cell, int) and abs(cell) > INT_MAX:
        return INT_MAX if cell > 0 else -INT_MAX
    return cell


def conclude(db: sqlite3.Connection, wall: float) -> None:
    """Settle as "unknown" what an earlier process left open; to be called before our own rows.

    A call of which only attempts are there gets its line too, so that it is found in the logs.
    """
    with transaction(db):
        since = recall(db, "opened_wall") or 0.0
        db.execute(_CALLS_WITHOUT_END, (since,))
        db.execute(_UNKNOWN, (wall,))
        remember(db, "opened_wall", wall)


def sweep(db: sqlite3.Connection, before_wall: float, most: int) -> int:
    """Within a transaction, delete some of the rows older than a time; returns how many went."""
    gone = db.execute(_SWEEP_ATTEMPTS, (before_wall, most)).rowcount
    return gone + db.execute(_SWEEP_EXCHANGES, (before_wall, most)).rowcount


def recall(db: sqlite3.Connection, name: str) -> float | None:
    """What was remembered under a name."""
    found = db.execute("SELECT value FROM meta WHERE name=?", (name,)).fetchone()
    return None if found is None else float(found[0])


def remember(db: sqlite3.Connection, name: str, value: float) -> None:
    db.execute(_REMEMBER, (name, value))


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.rollback()
        raise
