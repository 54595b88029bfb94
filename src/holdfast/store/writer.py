"""The ledger's one writer: a thread with the only writing connection, and all checkpoints.

It works in turns. A turn takes what waits and commits it together. Most commits only reach the
kernel (`synchronous=NORMAL`); the first in each second waits for the disk (FULL), and that one is
what a power cut cannot undo. Only then are segments of the journal removed.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

from holdfast.facts.flights import Exchange, Intent, Settled
from holdfast.facts.incidents import Incident
from holdfast.facts.observations import Observation
from holdfast.store import book, observations, schema
from holdfast.store.home import StoreError, no_space, unusable
from holdfast.store.inbox import EXCHANGES_MAX, SETTLED_MAX, Inbox
from holdfast.store.journal import WAITING_MAX, Journal, Segment, read
from holdfast.store.observations import Notebook

GATHER_S = 0.05  # records are gathered for this long before they are committed together
DURABLE_S = 0.8  # from one commit that the disk has to the next: a second, with turn and gathering
RETRY_S = 1.0
IDLE_S = 3600.0
JOURNAL_BYTES_MAX = 1 << 20
DAY_S = 86_400.0
SWEEP_ROWS = 500
# Troubles that leave the connection as it was.
PASSING = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
ASIDE_S = 3600.0  # a second broken file within this time is the disk's fault, not the file's


class Writer(Thread):
    """`take_over()` once, on the thread that opens the ledger; then `start()`."""

    def __init__(
        self,
        path: Path,
        journal: Journal,
        inbox: Inbox,
        wall: Callable[[], float],
        keep_days: float,
    ) -> None:
        super().__init__(name="holdfast-ledger", daemon=True)
        self._path = path
        self._journal = journal
        self._inbox = inbox
        self._wall = wall
        self._keep_s = keep_days * DAY_S
        self._db: sqlite3.Connection | None = None
        self._full = False  # the connection's `synchronous`
        self._taken_over = False
        # Taken from the queues, not yet committed.
        self._intents: list[Intent] = []
        self._settled: list[Settled] = []
        self._exchanges: list[Exchange] = []
        self._observed: Notebook[Observation] = Notebook(
            "observations", observations.observation_row
        )
        self._incidents: Notebook[Incident] = Notebook("incidents", observations.incident_row)
        self._synced_at = 0.0  # steady clock of the last commit that the disk has
        self._dirty = False  # something was committed since
        self._more = False  # there is more to commit than one turn takes
        self._sweeping = False
        self._swept_wall: float | None = None
        self._aside_at: float | None = None
        # For the alarms.
        self._begun = False
        self._trouble: str | None = None
        self._aside: list[Path] = []
        self._unreadable = 0
        self._refused = 0

    # ------------------------------------------------------------- the thread

    def take_over(self) -> None:
        """Open the database and book what an earlier process left in the journal.

        A disk that is full is no reason to stop here: it becomes an alarm, and the thread tries
        again before it writes anything of its own. Raises StoreError for what needs a person.
        """
        try:
            self._ready()
        except (*schema.FAULTS, OSError, StoreError) as error:
            self._stumble(error)
            if isinstance(error, StoreError):
                raise
            if isinstance(error, OSError) and not no_space(error):
                raise unusable(self._path.parent, error) from error

    def run(self) -> None:
        self._begun = True
        try:
            self._work()
        finally:  # should our own code break, the file is at least let go of
            self._disconnect()
        self._begun = False

    def _work(self) -> None:
        """Turn after turn, until the inbox ends."""
        inbox = self._inbox
        ended = False
        while not ended:
            well = self._trouble is None
            inbox.wait(self._patience(), for_bell=well)
            inbox.wait(GATHER_S, for_bell=False)
            ended = inbox.ended
            ticket = inbox.begin_turn()
            self._turn(at_once=ended or inbox.hurried)
            while self._more and (ended or inbox.hurried):
                self._turn(at_once=True)
            inbox.end_turn(ticket)

    def _patience(self) -> float:
        """How long to sleep if nobody rings, in seconds."""
        if self._trouble is not None:
            return RETRY_S
        if self._more or self._sweeping:
            return 0.0
        if self._dirty or self._journal.used or self._journal.closed():
            return max(0.0, self._synced_at + DURABLE_S - time.monotonic())
        return IDLE_S

    def _turn(self, *, at_once: bool) -> None:
        journal = self._journal
        durable = at_once or time.monotonic() >= self._synced_at + DURABLE_S
        if journal.used and (
            journal.size > JOURNAL_BYTES_MAX or (durable and self._trouble is None)
        ):
            journal.rotate()
        closed = journal.closed()  # before the queue is emptied: what is in them is in it
        whole = self._collect()
        try:
            db = self._ready()
            self._more = not whole
            self._commit(db, closed, durable=durable, whole=whole)
            self._sweep(db)
            self._trouble = None
        except (*schema.FAULTS, OSError, StoreError) as error:
            self._more = False
            self._stumble(error)

    def _collect(self) -> bool:
        """Take what waits, as far as there is room; True: all intents were taken."""
        if len(self._settled) < SETTLED_MAX:
            self._settled += self._inbox.take_settled()
        if len(self._exchanges) < EXCHANGES_MAX:
            self._exchanges += self._inbox.take_exchanges()
        if len(self._observed) < observations.WAITING_MAX:
            self._observed.add(self._inbox.take_observations())
        if len(self._incidents) < observations.INCIDENTS_MAX:
            self._incidents.add(self._inbox.take_incidents())
        if len(self._intents) < WAITING_MAX:
            self._intents += self._journal.take()
            return True
        return False

    def _commit(
        self, db: sqlite3.Connection, closed: list[Segment], *, durable: bool, whole: bool
    ) -> None:
        intents = self._intents
        unseen = next((segment for segment in closed if segment.unseen), None)
        if unseen is not None:
            intents = self._read(unseen) + intents
            self._more = True
        if intents or self.pending:
            self._dirty = True
        elif not (durable and (self._dirty or closed)):
            return
        self._synchronous(db, full=durable)
        self._refused += book.write(
            db,
            intents,
            self._settled,
            self._exchanges,
            self._wall(),
            (
                (observations.OBSERVATION, self._observed.rows()),
                (observations.INCIDENT, self._incidents.rows()),
            ),
        )
        self._intents, self._settled, self._exchanges = [], [], []
        self._observed.written()
        self._incidents.written()
        if unseen is not None:
            unseen.unseen = False
        if durable:
            self._dirty = False
            self._synced_at = time.monotonic()
            if whole:
                self._journal.forget([segment for segment in closed if not segment.unseen])

    # --------------------------------------------------------- the connection

    def _ready(self) -> sqlite3.Connection:
        """The connection, with everything of an earlier process in the book."""
        db = self._db
        if db is None:
            db = self._db = self._connect()
            self._full = True
        if not self._taken_over:
            self._synchronous(db, full=True)
            leftover = list(self._journal.leftover)
            for segment in leftover:
                self._refused += book.write(db, self._read(segment), (), (), self._wall())
                segment.unseen = False
            book.conclude(db, self._wall())
            self._journal.forget(leftover)
            self._observed.go_on(db)
            self._incidents.go_on(db)
            self._swept_wall = book.recall(db, "swept_wall")
            self._taken_over = True
        return db

    def _connect(self) -> sqlite3.Connection:
        try:
            return schema.connect(self._path, check=not self._taken_over)
        except schema.FAULTS as error:
            if not self._put_aside(error):
                raise
            return schema.connect(self._path, check=False)

    def _disconnect(self) -> None:
        """Close the connection, as far as it can be closed."""
        db, self._db = self._db, None
        if db is not None:
            try:
                db.close()
            except sqlite3.Error as error:
                self._trouble = str(error)

    def _synchronous(self, db: sqlite3.Connection, *, full: bool) -> None:
        if self._full != full:
            db.execute(f"PRAGMA synchronous={'FULL' if full else 'NORMAL'}")
            self._full = full

    def _read(self, segment: Segment) -> list[Intent]:
        intents, unreadable = read(segment.path)
        if segment.unseen:
            self._unreadable += unreadable
        return intents

    # ---------------------------------------------------------------- trouble

    def _stumble(self, error: Exception) -> None:
        """The turn failed: what it took is kept for the next one."""
        self._journal.sync()
        self._trouble = str(error)
        if schema.primary_code(error) not in PASSING:
            self._disconnect()
        if self._put_aside(error):
            self._more = True
            self._trouble = None

    def _put_aside(self, error: Exception) -> bool:
        """If the file is no good, move it out of the way; True: it is."""
        now = time.monotonic()
        lately = self._aside_at is not None and now < self._aside_at + ASIDE_S
        if lately or not schema.broken(error):
            return False
        try:
            aside = schema.set_aside(self._path, self._wall())
        except OSError as hindrance:
            self._trouble = f"{error}; it could not be moved aside: {hindrance}"
            return False
        self._aside_at = now
        self._aside.append(aside)
        return True

    def alarms(self) -> tuple[str, ...]:
        """What is wrong at present, in sentences for people."""
        where, journal, inbox = self._path.parent, self._journal, self._inbox
        told = [
            f"The ledger {self._path} was damaged. It was moved to {aside} and an empty one was"
            f" begun; earlier records are in the damaged file (try: sqlite3 {aside.name} .recover)."
            for aside in self._aside
        ]
        if self._trouble is not None:
            told.append(
                f"The ledger in {where} cannot be written ({self._trouble}). Calls go on;"
                f" {self.pending} records wait and are written when it can be. Look for a full"
                " disk, or another program that holds the file."
            )
        if journal.trouble is not None:
            told.append(
                f"The journal in {where} cannot be written ({journal.trouble.strerror}). Calls go"
                " on, but until it can be, the end of this process may cost their records. Free"
                " some space there."
            )
        if self._begun and not self.is_alive():
            told.append(
                "The ledger's writer has stopped: new records reach the journal only. This is"
                " holdfast's own fault; restart the gateway, and nothing of the journal is lost."
            )
        told += [
            f"{count} {what}"
            for count, what in (
                (journal.lost, "attempts could not be written down anywhere, and are lost."),
                (inbox.dropped_settled, "ends of attempts were dropped: the ledger was stuck."),
                (inbox.dropped_exchanges, "finished calls were dropped: the ledger was stuck."),
                (
                    inbox.observed.dropped,
                    "good samples gave way to failures: the ledger was stuck. No failure was.",
                ),
                (inbox.observed.lost, "observed failures were dropped: the ledger was stuck."),
                (inbox.dropped_incidents, "news of incidents were dropped: the ledger was stuck."),
                (self._unreadable, "lines of an earlier journal were torn and could not be read."),
                (
                    self._refused + self._observed.refused + self._incidents.refused,
                    "records were of a kind that SQLite refuses, and were dropped.",
                ),
            )
            if count
        ]
        return tuple(told)

    @property
    def healthy(self) -> bool:
        return self._trouble is None

    @property
    def pending(self) -> int:
        calls = len(self._intents) + len(self._settled) + len(self._exchanges)
        return calls + len(self._observed) + len(self._incidents)

    # -------------------------------------------------------------- retention

    def _sweep(self, db: sqlite3.Connection) -> None:
        """Once a day delete what is too old, some rows each turn."""
        wall = self._wall()
        if self._swept_wall is not None and 0 <= wall - self._swept_wall < DAY_S:
            return
        with book.transaction(db):
            gone = book.sweep(db, wall - self._keep_s, SWEEP_ROWS)
            gone += observations.sweep(db, wall, self._keep_s, SWEEP_ROWS)
        if not gone:
            book.remember(db, "swept_wall", wall)
            self._swept_wall = wall
            self._sweeping = False
        else:
            self._sweeping = True
