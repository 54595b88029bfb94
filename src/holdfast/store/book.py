"""How facts become rows: the statements of the ledger's one writer, each call one transaction.

Every statement may be run again with the same facts and changes nothing then; that is what makes
"none missing, none doubled" hold wherever a process dies.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from operator import attrgetter

import msgspec

from holdfast.facts.flights import Exchange, Intent, Settled

# Text that comes from outside (names of models, paths, words of a failure) is cut to this.
TEXT_CHARS_MAX = 1000
INT_MAX = 2**63 - 1

Cell = str | int | float | bytes | None
Row = Sequence[Cell]
Columns = tuple[str, ...]
Work = tuple[str, list[Row]]  # a statement, and what it is run with

# What a row says by itself; what it says like many others it only names (see `schema`). It has
# cells for what it knows: to bind a NULL takes Python's module longer than to bind a word.
_NAMELESS: Columns = ("id", "exchange", "attempt", "wall")
_INTENT: Columns = (*_NAMELESS, "bytes_out", "shared")
_INTENT_SHARED: Columns = (
    "provider", "model", "surface", "credential", "asked_model", "tool", "why",
)  # fmt: skip
_END: Columns = (
    "outcome", "settled_wall", "status", "input", "output", "cache_read", "cache_write",
    "sent_s", "headers_s", "content_s", "end_s", "bytes_in",
)  # fmt: skip
_RARE: Columns = ("thought", "failure_kind", "failure_text", "verdict", "because", "lost")
_EXCHANGE: Columns = (
    "id", "wall", "duration_s", "outcome", "status", "bytes_in", "bytes_out", "shared",
)  # fmt: skip
_EXCHANGE_SHARED: Columns = (
    "dialect", "surface", "method", "path", "asked_model", "stream", "tool", "attempts",
    "served_by", "stand_in", "verdict", "because",
)  # fmt: skip

_own_of_intent = attrgetter(*_INTENT[:-1])
_own_of_exchange = attrgetter(*_EXCHANGE[:-1])
_json = msgspec.json.encode


def _insert(table: str, columns: Columns) -> str:
    marks = ",".join("?" * len(columns))
    return f"INSERT INTO {table} ({','.join(columns)}) VALUES ({marks})"  # noqa: S608 - our names


def _attempt(columns: Columns) -> str:
    """The statement for attempts of which this is known.

    An attempt's row has two halves, the intent's and the settlement's. Either may come first or
    twice; the first to come stays.
    """
    halves = {name: "bytes_out" if name in _INTENT else "outcome" for name in columns[1:]}
    first = ",".join(
        f"{name}=CASE WHEN {taken} IS NULL THEN excluded.{name} ELSE {name} END"
        for name, taken in halves.items()
    )
    return f"{_insert('attempts', columns)} ON CONFLICT (id) DO UPDATE SET {first}"


_BEGUN = _attempt(_INTENT)
# From beginning to end, and the end alone; by whether there is anything rare.
_WHOLE = {False: _attempt(_INTENT + _END), True: _attempt(_INTENT + _END + _RARE)}
_ENDED = {False: _attempt(_NAMELESS + _END), True: _attempt(_NAMELESS + _END + _RARE)}
EXCHANGE = _insert("exchanges", _EXCHANGE) + " ON CONFLICT (id) DO NOTHING"

# What an earlier process left without an end: calls of which only attempts are there (looked for
# since that process began), then the attempts themselves.
_CALLS_WITHOUT_END = """
    INSERT INTO exchanges (id, wall, surface, asked_model, tool, outcome, attempts)
    SELECT exchange, min(wall), surface, asked_model, tool, 'unknown', count(*)
    FROM attempt_lines
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
# A day later than the last rows that may name it.
_SWEEP_SHARED = """
    DELETE FROM shared WHERE id IN (SELECT id FROM shared WHERE wall < ? - 86400.0 LIMIT ?)
"""

POISON = (
    sqlite3.IntegrityError,
    sqlite3.ProgrammingError,
    sqlite3.InterfaceError,
    sqlite3.DataError,
    OverflowError,
    UnicodeEncodeError,
)


class Shared:
    """What the rows of one transaction say like many others; each is written down once.

    Its id is a digest of it, so that whoever says the same names the same, without asking.
    """

    __slots__ = ("_cells", "_columns", "_named", "_wall")

    def __init__(self, columns: Columns, wall: float) -> None:
        self._cells = attrgetter(*columns)
        self._columns = columns
        self._wall = wall
        self._named: dict[tuple[Cell, ...], int] = {}

    def name(self, fact: Intent | Exchange) -> int:
        """The id of what it says in these columns."""
        cells = self._cells(fact)
        found = self._named.get(cells)
        if found is None:
            said = repr((self._columns, cells)).encode(errors="surrogatepass")
            digest = blake2b(said, digest_size=8).digest()
            found = self._named[cells] = int.from_bytes(digest, signed=True)
        return found

    def work(self) -> Work:
        """The statement that writes it down, with its rows."""
        statement = (
            _insert("shared", ("id", "wall", *self._columns))
            + " ON CONFLICT (id) DO UPDATE SET wall=excluded.wall"
        )
        return statement, [(number, self._wall, *cells) for cells, number in self._named.items()]


def _attempts(
    intents: Sequence[Intent], settled: Sequence[Settled], shared: Shared
) -> Iterable[Work]:
    """One row for each attempt that these speak of; halves that are here together, together."""
    ends: dict[str, Settled] = {}
    for end in settled:
        ends.setdefault(end.id, end)
    statements = (_BEGUN, *_WHOLE.values(), *_ENDED.values())
    rows: dict[str, list[Row]] = {statement: [] for statement in statements}
    for intent in intents:
        own = (*_own_of_intent(intent), shared.name(intent))
        ended = ends.pop(intent.id, None)
        if ended is None:
            rows[_BEGUN].append(own)
        else:
            rare = _rare(ended)
            rows[_WHOLE[rare != ()]].append((*own, *_settlement(ended), *rare))
    for end in ends.values():
        rare = _rare(end)
        rows[_ENDED[rare != ()]].append((*_nameless(end), *_settlement(end), *rare))
    return rows.items()


def _settlement(end: Settled) -> tuple[Cell, ...]:
    usage, times = end.usage, end.times
    return (
        end.outcome, end.wall, end.status,
        usage.input, usage.output, usage.cache_read, usage.cache_write,
        times.sent, times.headers, times.content, times.end, end.bytes_in,
    )  # fmt: skip


def _rare(end: Settled) -> tuple[Cell, ...]:
    """What most attempts have nothing of: trouble, and thoughts. Empty where there is none."""
    thought = end.usage.thought
    told = end.failure_kind or end.failure_text or end.verdict or end.because or end.lost
    if not told and thought is None:
        return ()
    return (
        thought, end.failure_kind, end.failure_text[:TEXT_CHARS_MAX], end.verdict,
        _reasons(end.because) if end.because else "", _reasons(end.lost) if end.lost else "",
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
    known = number.isdecimal() and len(number) < 10
    return end.id, exchange or end.id, int(number) if known else None, end.wall


def _exchanges(exchanges: Iterable[Exchange], shared: Shared) -> list[Row]:
    return [(*_own_of_exchange(each), shared.name(each)) for each in map(_fitting, exchanges)]


def _fitting(exchange: Exchange) -> Exchange:
    if len(exchange.path) + len(exchange.asked_model) <= TEXT_CHARS_MAX:
        return exchange
    return msgspec.structs.replace(
        exchange,
        path=exchange.path[:TEXT_CHARS_MAX],
        asked_model=exchange.asked_model[:TEXT_CHARS_MAX],
    )


def write(
    db: sqlite3.Connection,
    intents: Sequence[Intent],
    settled: Sequence[Settled],
    exchanges: Sequence[Exchange],
    wall: float,
    others: Sequence[Work] = (),
) -> int:
    """Write them down in one transaction; return how many rows SQLite would not have at all.

    `others` are further statements with their rows. `wall` is noted, so that there is always
    something to commit. Raises sqlite3.Error when the transaction failed as a whole; nothing of
    it is there then.
    """
    of_intents, of_exchanges = Shared(_INTENT_SHARED, wall), Shared(_EXCHANGE_SHARED, wall)
    work = (
        *_attempts(intents, settled, of_intents),
        (EXCHANGE, _exchanges(exchanges, of_exchanges)),
        of_intents.work(),
        of_exchanges.work(),
        *others,
    )
    try:
        with transaction(db):
            for statement, rows in work:
                if rows:
                    db.executemany(statement, rows)
            remember(db, "written_wall", wall)
    except POISON:
        return _write_singly(db, work, wall)
    return 0


def _write_singly(db: sqlite3.Connection, work: Iterable[Work], wall: float) -> int:
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
    gone += db.execute(_SWEEP_EXCHANGES, (before_wall, most)).rowcount
    return gone + db.execute(_SWEEP_SHARED, (before_wall, most)).rowcount


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
