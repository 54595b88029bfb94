"""The ledger's tables, numbered; and how its file is opened for writing.

`PRAGMA user_version` counts the migrations that a file has seen. A change of the tables is one
more entry at the end, additive, in one transaction.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from holdfast.store.home import StoreError, private_file, sync

# No column holds a prompt, an answer or a key, and none may be added: the ledger is about calls,
# not about what was said in them. `outcome` is NULL from the intent to its settlement.
MIGRATIONS = (
    """
    CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
    CREATE TABLE attempts (
        id TEXT PRIMARY KEY, exchange TEXT, attempt INTEGER, wall REAL, provider TEXT, model TEXT,
        surface TEXT, credential TEXT, asked_model TEXT, tool TEXT, bytes_out INTEGER, why TEXT,
        outcome TEXT, settled_wall REAL, status INTEGER, failure_kind TEXT, failure_text TEXT,
        verdict TEXT, because TEXT,
        input INTEGER, output INTEGER, cache_read INTEGER, cache_write INTEGER,
        sent_s REAL, headers_s REAL, content_s REAL, end_s REAL, bytes_in INTEGER
    ) WITHOUT ROWID;
    CREATE INDEX attempts_exchange ON attempts (exchange);
    CREATE INDEX attempts_wall ON attempts (wall);
    CREATE INDEX attempts_unsettled ON attempts (exchange) WHERE outcome IS NULL;
    CREATE TABLE exchanges (
        id TEXT PRIMARY KEY, wall REAL, duration_s REAL, dialect TEXT, surface TEXT, method TEXT,
        path TEXT, asked_model TEXT, stream INTEGER, tool TEXT, outcome TEXT, status INTEGER,
        attempts INTEGER, served_by TEXT, stand_in INTEGER, verdict TEXT, because TEXT,
        bytes_in INTEGER, bytes_out INTEGER
    ) WITHOUT ROWID;
    CREATE INDEX exchanges_wall ON exchanges (wall);
    """,
    # `data` is the JSON of an Observation or an Incident. `good` marks good samples, which are many
    # and kept for a shorter time.
    """
    CREATE TABLE observations (id INTEGER PRIMARY KEY, wall REAL, good INTEGER, data BLOB);
    CREATE INDEX observations_wall ON observations (wall);
    CREATE INDEX observations_good ON observations (wall) WHERE good;
    CREATE TABLE incidents (id INTEGER PRIMARY KEY, wall REAL, data BLOB);
    CREATE INDEX incidents_wall ON incidents (wall);
    """,
    # What of a request did not reach its target: a JSON array, NULL for nothing. And the tokens of
    # the output that went into thinking.
    """
    ALTER TABLE attempts ADD COLUMN lost TEXT;
    ALTER TABLE attempts ADD COLUMN thought INTEGER;
    """,
    # What many rows say alike stands in `shared` once: they name it there, and these columns of
    # their own are NULL. `wall` is when it was last named. The lines are the rows as they read.
    """
    CREATE TABLE shared (
        id INTEGER PRIMARY KEY, wall REAL, provider TEXT, model TEXT, surface TEXT, credential TEXT,
        asked_model TEXT, tool TEXT, why TEXT, dialect TEXT, method TEXT, path TEXT, stream INTEGER,
        attempts INTEGER, served_by TEXT, stand_in INTEGER, verdict TEXT, because TEXT
    );
    ALTER TABLE attempts ADD COLUMN shared INTEGER;
    ALTER TABLE exchanges ADD COLUMN shared INTEGER;
    CREATE VIEW attempt_lines AS SELECT
        own.id, exchange, attempt, own.wall, ifnull(own.provider, of.provider) AS provider,
        ifnull(own.model, of.model) AS model, ifnull(own.surface, of.surface) AS surface,
        ifnull(own.credential, of.credential) AS credential,
        ifnull(own.asked_model, of.asked_model) AS asked_model, ifnull(own.tool, of.tool) AS tool,
        bytes_out, ifnull(own.why, of.why) AS why, outcome, settled_wall, status,
        failure_kind, failure_text, own.verdict, own.because, input, output, cache_read,
        cache_write, sent_s, headers_s, content_s, end_s, bytes_in, lost, thought
        FROM attempts AS own LEFT JOIN shared AS of ON of.id = own.shared;
    CREATE VIEW exchange_lines AS SELECT
        own.id, own.wall, duration_s, ifnull(own.dialect, of.dialect) AS dialect,
        ifnull(own.surface, of.surface) AS surface, ifnull(own.method, of.method) AS method,
        ifnull(own.path, of.path) AS path, ifnull(own.asked_model, of.asked_model) AS asked_model,
        ifnull(own.stream, of.stream) AS stream, ifnull(own.tool, of.tool) AS tool,
        outcome, status, ifnull(own.attempts, of.attempts) AS attempts,
        ifnull(own.served_by, of.served_by) AS served_by,
        ifnull(own.stand_in, of.stand_in) AS stand_in, ifnull(own.verdict, of.verdict) AS verdict,
        ifnull(own.because, of.because) AS because, bytes_in, bytes_out
        FROM exchanges AS own LEFT JOIN shared AS of ON of.id = own.shared;
    """,
)
OBSERVATIONS_SINCE = 2  # the version that brought them
LINES_SINCE = 4
VERSION = len(MIGRATIONS)

BUSY_S = 2.0
# What SQLite's Python module raises. (The second is no error of its own: see `broken`.)
FAULTS = (sqlite3.Error, UnicodeDecodeError)
# A check of the whole file takes about a second for 100 MB, and a gateway is to be ready within
# one. A larger file is checked page by page as it is used: see `broken`.
CHECK_BYTES_MAX = 32 << 20


def connect(path: Path, *, check: bool) -> sqlite3.Connection:
    """Open the ledger's file for its one writer, bringing its tables up to date.

    `check`: look for damage first, unless the file is large.

    Raises StoreError for a file from a newer version, one of FAULTS for all else; `broken` tells
    whether such an error means that the file is no good.
    """
    os.close(private_file(path, os.O_RDWR))  # -wal and -shm take its permissions
    db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        found = version(db, path)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA trusted_schema=OFF")
        if check and path.stat().st_size <= CHECK_BYTES_MAX:
            _look_for_damage(db)
        for number in range(found, VERSION):
            db.executescript(
                f"BEGIN IMMEDIATE; {MIGRATIONS[number]} PRAGMA user_version={number + 1}; COMMIT;"
            )
        if not found:
            sync(path.parent)  # its name: that a file's own sync keeps its name is not promised
    except BaseException:
        db.close()
        raise
    return db


def version(db: sqlite3.Connection, path: Path) -> int:
    """How many migrations the file has seen; StoreError if more than we know."""
    found: int = db.execute("PRAGMA user_version").fetchone()[0]
    if found > VERSION:
        raise StoreError(
            f"The ledger {path} was written by a newer holdfast (its format is {found}; this one"
            f" knows {VERSION}). Upgrade holdfast, or name another data_dir under [gateway] in the"
            " configuration. The file was left as it is."
        )
    return found


def _look_for_damage(db: sqlite3.Connection) -> None:
    complaint: str = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if complaint != "ok":
        error = sqlite3.DatabaseError(complaint)
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error


def primary_code(error: Exception) -> int:
    """SQLite's primary result code; 0 for errors that are not its own."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF


def broken(error: Exception) -> bool:
    """Whether the file itself is no good: damaged, or no database at all.

    Our statements never change, so one that does not fit (ERROR) tells of damaged tables. And
    where damage reaches their names, Python cannot read even SQLite's complaint about them.
    """
    damage = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
    return isinstance(error, UnicodeDecodeError) or primary_code(error) in damage


def set_aside(path: Path, wall: float) -> Path:
    """Move a broken ledger out of the way, with what belongs to it; nothing is deleted.

    Returns where it now is; raises OSError.
    """
    aside = path.with_name(f"{path.name}.corrupt-{wall:.0f}")
    while aside.exists():
        aside = aside.with_name(aside.name + "x")
    for suffix in ("-wal", "-shm", ""):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside
