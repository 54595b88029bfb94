"""The ledger: every attempt that left the machine, once, and how it ended; and what was learnt.

The promise, exactly. When `intend` has returned True the intent is with the kernel:
  - `kill -9` at any moment loses no intent and doubles none. An attempt whose end had not reached
    the database (it does so within about 50 ms) says "unknown" after the next start.
  - a power cut, or a crash of the operating system, may cost the last second.
  - a full or failing disk stops no call: what the journal will not take waits in memory, what the
    database will not take waits in the journal and in memory, `alarms` says so, and all of it is
    written when the disk recovers. Only what neither could take is at the mercy of the process.
  - what was observed and told of incidents is there once, whole and in order, or not at all; the
    journal does not hold it, so a kill may cost what came within the last 50 ms or so.
Prompts, answers and keys are in none of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from holdfast.facts.flights import Exchange, Intent, Settled
from holdfast.facts.incidents import Incident
from holdfast.facts.observations import Observation
from holdfast.store.home import Home
from holdfast.store.inbox import Inbox
from holdfast.store.journal import Journal
from holdfast.store.writer import Writer

CLOSE_S = 10.0


class Ledger:
    """One process's pen. `Ledger.open(data_dir)`, then `close()`.

    `intend`, `settle`, `record`, `observe` and `remember` are for the thread that runs the calls;
    none of them raises, and none but `intend` (one `write`, some microseconds) touches a file.
    """

    __slots__ = ("_home", "_inbox", "_journal", "_writer")

    def __init__(self, home: Home, journal: Journal, inbox: Inbox, writer: Writer) -> None:
        self._home = home
        self._journal = journal
        self._inbox = inbox
        self._writer = writer

    @classmethod
    def open(
        cls, data_dir: Path, *, wall: Callable[[], float] = time.time, keep_days: float = 90.0
    ) -> Ledger:
        """Take the data directory, bring the ledger up to date, start its writer.

        What an earlier process left is taken over first: its journal becomes rows, and attempts
        without an end become "unknown". A damaged ledger is moved aside and an empty one begun,
        which is an alarm, not an error; so is a full disk. `wall` tells UTC seconds; attempts
        and all else older than `keep_days` are deleted, little by little, once a day; good
        samples of traffic already after a week.

        Raises StoreError when the directory cannot be used, another gateway is using it, or the
        ledger is from a newer version; no record has been changed then.
        """
        with ExitStack() as undo:
            home = Home.claim(data_dir)
            undo.callback(home.release)
            journal = Journal(home.journal)
            undo.callback(journal.close)
            inbox = Inbox()
            writer = Writer(home.ledger, journal, inbox, wall, keep_days)
            writer.take_over()
            undo.pop_all()
        writer.start()
        return cls(home, journal, inbox, writer)

    def intend(self, *intents: Intent) -> bool:
        """Before requests' bytes leave: write the intents down. True: the kernel has them."""
        kept = self._journal.promise(*intents)
        self._inbox.ring()
        return kept

    def settle(self, settled: Settled) -> None:
        """An attempt has ended. The first settlement of an attempt is the one that stays."""
        self._inbox.put_settled(settled)

    def record(self, exchange: Exchange) -> None:
        """A call has ended."""
        self._inbox.put_exchange(exchange)

    def observe(self, batch: Sequence[Observation]) -> None:
        """Something was learnt: it goes into the observation journal, in this order."""
        self._inbox.put_observations(batch)

    def remember(self, incidents: Sequence[Incident]) -> None:
        """How incidents stand now, their timelines included."""
        self._inbox.put_incidents(incidents)

    @property
    def alarms(self) -> tuple[str, ...]:
        """What is wrong at present, in sentences for people; empty when nothing is."""
        return self._writer.alarms()

    @property
    def backlog(self) -> int:
        """Records that wait in memory for the database."""
        return self._journal.waiting + self._inbox.waiting + self._writer.pending

    def flush(self, timeout_s: float = CLOSE_S) -> bool:
        """Wait until all that was handed in so far is on the disk; False: it could not be."""
        return self._inbox.hurry(timeout_s) and self._writer.healthy

    def close(self) -> None:
        """Write everything down, stop the writer, let go of the directory. Raises nothing."""
        self._inbox.end()
        self._writer.join(CLOSE_S)
        if self._writer.is_alive():
            return  # a disk that hangs must not keep a gateway from stopping; the journal has it
        self._journal.close()
        self._home.release()
