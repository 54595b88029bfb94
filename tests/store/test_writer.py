"""The writer, turn by turn and with crashes between turns, against a model of what must be there.

Its thread is not started: the turns are ours, so every order of events is the same on every run.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.store.records import NOW, exchange, intent, observation, outcomes, settled

from holdfast.store import book, writer
from holdfast.store.home import Home
from holdfast.store.inbox import Inbox
from holdfast.store.journal import Journal
from holdfast.store.query import Reader
from holdfast.store.writer import Writer


class Life:
    """A process with a ledger, of which each turn is made by hand; it ends in a crash."""

    def __init__(self, data_dir: Path, wall: Callable[[], float]) -> None:
        self.home = Home.claim(data_dir)
        self.journal = Journal(self.home.journal)
        self.inbox = Inbox()
        self.writer = Writer(self.home.ledger, self.journal, self.inbox, wall, 90.0)
        self.writer.take_over()

    def turn(self, *, at_once: bool = True) -> None:
        self.inbox.begin_turn()
        self.writer._turn(at_once=at_once)

    def crash(self) -> None:
        """What a kill leaves: what the kernel has, and nothing of what waits in memory."""
        self.writer._disconnect()
        self.journal.close()
        self.home.release()


class Model:
    """What must be in the ledger. `heard`: settled, but lost if the process dies now."""

    def __init__(self) -> None:
        self.attempts: dict[str, str | None] = {}
        self.calls: dict[str, str] = {}
        self.heard: list[tuple[str, str]] = []
        self.told: list[tuple[str, str]] = []
        self.learnt: list[float] = []
        self.noted: list[float] = []

    def turn(self) -> None:
        for id_, outcome in self.heard:
            if self.attempts.get(id_) is None:
                self.attempts[id_] = outcome
        for id_, outcome in self.told:
            self.calls.setdefault(id_, outcome)
        self.noted += self.learnt
        self.heard, self.told, self.learnt = [], [], []

    def crash(self) -> None:
        self.heard, self.told, self.learnt = [], [], []
        for id_ in self.attempts:
            self.attempts[id_] = self.attempts[id_] or "unknown"
            self.calls.setdefault(id_.partition(".")[0], "unknown")


CALLS = st.sampled_from("abc")
NUMBERS = st.integers(1, 2)
EVENTS = st.one_of(
    st.tuples(st.just("intend"), CALLS, NUMBERS),
    st.tuples(st.just("settle"), CALLS, NUMBERS, st.sampled_from(["ok", "failed", "abandoned"])),
    st.tuples(st.just("record"), CALLS, st.sampled_from(["ok", "declined", "broken"])),
    st.tuples(st.just("observe"), st.lists(st.booleans(), max_size=3)),
    st.tuples(st.just("turn")),
    st.tuples(st.just("soft turn")),
    st.tuples(st.just("crash")),
)


@settings(max_examples=100)
@given(events=st.lists(EVENTS, max_size=25))
def test_any_order_of_events_and_crashes_leaves_each_attempt_once(events: list[Any]) -> None:
    """Intents, ends, doubles, turns and crashes in any order: the rows are those of the model."""
    obey(events)


@pytest.mark.long
@pytest.mark.timeout(900)
@settings(max_examples=1000)
@given(events=st.lists(EVENTS, max_size=60))
def test_any_order_of_events_and_crashes_at_length(events: list[Any]) -> None:
    obey(events)


def obey(events: list[Any]) -> None:
    model = Model()
    clock = iter(range(2_000_000_000, 2_100_000_000))
    with tempfile.TemporaryDirectory() as folder:
        life = Life(Path(folder), lambda: float(next(clock)))
        for event in events:
            match event:
                case ("intend", call, number):
                    model.attempts.setdefault(f"{call}.{number}", None)
                    assert life.journal.promise(intent(call, number, wall=float(next(clock))))
                case ("settle", call, number, outcome):
                    model.heard.append((f"{call}.{number}", outcome))
                    life.inbox.put_settled(settled(call, number, outcome, wall=float(next(clock))))
                case ("record", call, outcome):
                    model.told.append((call, outcome))
                    life.inbox.put_exchange(
                        exchange(call, outcome=outcome, wall=float(next(clock)))
                    )
                case ("observe", samples):
                    walls = [float(next(clock)) for _ in samples]
                    batch = [
                        observation(int(wall), ok=ok, wall=wall)
                        for wall, ok in zip(walls, samples, strict=True)
                    ]
                    model.learnt += [each.at for each in batch]
                    life.inbox.put_observations(batch)
                case ("turn",):
                    model.turn()
                    life.turn()
                case ("soft turn",):
                    model.turn()
                    life.turn(at_once=False)
                case ("crash",):
                    model.crash()
                    life.crash()
                    life = Life(Path(folder), lambda: float(next(clock)))
            assert life.writer.alarms() == ()
        model.turn()
        life.turn()
        assert list(life.home.journal.iterdir()) == [life.journal._active.path]
        life.crash()
        assert outcomes(Path(folder)) == model.attempts
        assert outcomes(Path(folder), "exchanges") == model.calls
        assert [each.at for each in Reader(Path(folder)).observations()] == model.noted


@pytest.mark.parametrize("code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_IOERR])
@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_commit_that_fails_in_its_middle_is_made_again_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, after: int
) -> None:
    """Nothing of it is there, the alarm is; the next turn writes all, and the alarm is gone."""
    life = Life(tmp_path, lambda: NOW)
    life.turn()
    error = sqlite3.OperationalError("it failed")
    error.sqlite_errorcode = code

    class Failing:
        """The connection, of which one statement fails."""

        def __init__(self, db: sqlite3.Connection) -> None:
            self.db = db
            self.count = 0

        def executemany(self, *arguments: Any) -> Any:
            self.count += 1
            if self.count > after:
                raise error
            return self.db.executemany(*arguments)

        def execute(self, statement: str, *arguments: Any) -> Any:
            if after == 2 and statement == "COMMIT":
                raise error
            return self.db.execute(statement, *arguments)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.db, name)

    write = book.write
    for number in range(3):
        life.journal.promise(intent(f"e{number}"))
        life.inbox.put_settled(settled(f"e{number}"))
        life.inbox.put_exchange(exchange(f"e{number}"))
    with monkeypatch.context() as patch:
        patch.setattr(book, "write", lambda db, *rest: write(Failing(db), *rest))  # type: ignore[arg-type]
        life.turn()
    assert len(life.writer.alarms()) == 1
    assert "it failed" in life.writer.alarms()[0]
    assert "9 records wait" in life.writer.alarms()[0]
    assert outcomes(tmp_path) == {}
    life.turn()
    assert life.writer.alarms() == ()
    assert len(outcomes(tmp_path)) == len(outcomes(tmp_path, "exchanges")) == 3
    life.crash()


def test_a_segment_is_removed_only_when_the_disk_has_what_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit that only the kernel has (NORMAL) removes none; one on the disk (FULL) does."""
    modes = []
    write = book.write

    def watched(db: sqlite3.Connection, *rest: Any) -> int:
        modes.append(db.execute("PRAGMA synchronous").fetchone()[0])
        return write(db, *rest)

    monkeypatch.setattr(book, "write", watched)
    monkeypatch.setattr(writer, "JOURNAL_BYTES_MAX", 1)
    life = Life(tmp_path, lambda: NOW)
    life.journal.promise(intent("a"))
    life.turn()
    segments = tmp_path / "journal"
    assert [path.stat().st_size for path in segments.iterdir()] == [0]
    for name in "bc":
        life.journal.promise(intent(name))
        life.turn(at_once=False)
    assert len([path for path in segments.iterdir() if path.stat().st_size]) == 2
    assert set(outcomes(tmp_path)) == {"a.1", "b.1", "c.1"}
    life.turn()
    assert [path.stat().st_size for path in segments.iterdir()] == [0]
    assert modes == [2, 1, 1, 2]
    life.crash()


def test_while_the_database_fails_the_disk_gets_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of its segments, the closed ones once; so a power cut costs no more than usual."""
    life = Life(tmp_path, lambda: NOW)
    life.turn()
    holder = sqlite3.connect(tmp_path / "ledger.sqlite3", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr("holdfast.store.schema.BUSY_S", 0.0)
    life.writer._disconnect()
    life.journal.promise(intent("a"))
    synced: list[int] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.fstat(fd).st_ino), fsync(fd))[1])
    life.turn()
    assert "locked" in life.writer.alarms()[0]
    inodes = {path.stat().st_ino for path in (tmp_path / "journal").iterdir()}
    assert len(inodes) == 2
    assert set(synced) == inodes | {(tmp_path / "journal").stat().st_ino}
    synced.clear()
    life.turn()
    assert len(synced) == 2
    holder.close()
    life.turn()
    assert life.writer.alarms() == ()
    assert outcomes(tmp_path) == {"a.1": None}
    life.crash()


def test_a_take_over_that_fails_is_made_before_anything_of_our_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an attempt of this process could be taken for one of an earlier process."""
    first = Life(tmp_path, lambda: NOW)
    first.journal.promise(intent("old"))
    first.crash()
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL

    def fail(*_: object) -> None:
        raise full

    with monkeypatch.context() as patch:
        patch.setattr(book, "conclude", fail)
        life = Life(tmp_path, lambda: NOW + 100.0)
        life.journal.promise(intent("new"))
        life.turn()
    assert "is full" in life.writer.alarms()[0]
    life.turn()
    assert life.writer.alarms() == ()
    assert outcomes(tmp_path) == {"old.1": "unknown", "new.1": None}
    life.crash()


def test_damage_that_shows_while_at_work_moves_the_file_aside(tmp_path: Path) -> None:
    """What waited is written to the new file; the old one is kept; the alarm stays."""
    life = Life(tmp_path, lambda: NOW)
    for number in range(2000):
        life.journal.promise(intent(f"e{number}"))
    life.turn()
    db = life.writer._db
    assert db is not None
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.execute("PRAGMA shrink_memory")
    path = tmp_path / "ledger.sqlite3"
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    with path.open("r+b") as file:
        file.write(data)
    life.writer._disconnect()
    life.journal.promise(intent("after"))
    life.turn()
    life.turn()
    assert outcomes(tmp_path) == {"after.1": None}
    assert len(life.writer.alarms()) == 1
    assert f"ledger.sqlite3.corrupt-{NOW:.0f}" in life.writer.alarms()[0]
    assert (tmp_path / f"ledger.sqlite3.corrupt-{NOW:.0f}").read_bytes() == data
    life.crash()
