"""The ledger's promises, kept by real processes, real files and real kills."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import stat
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from tests.store.pen import spawn
from tests.store.records import NOW, count_of, eventually, exchange, intent, outcomes, settled

from holdfast.facts.outcomes import Times, Usage
from holdfast.store import book
from holdfast.store.home import StoreError
from holdfast.store.inbox import EXCHANGES_MAX
from holdfast.store.ledger import Ledger
from holdfast.store.query import Reader
from holdfast.store.writer import Writer


class Wall:
    """A clock on the wall that is turned by hand."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_what_is_written_is_read(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path)
    assert ledger.intend(intent("e", 1))
    ledger.settle(
        settled(
            "e", 1, "failed", status=529, failure_kind="http", failure_text="Overloaded",
            verdict="outage", because=("status 529", "said so"),
            lost=("top_k: this dialect has none", "user: it has no word for who asks"),
            usage=Usage(7, 5, 3, 1, 2), times=Times(0.1, 0.2, 0.3, 0.4), bytes_in=99,
        )
    )  # fmt: skip
    assert ledger.intend(intent("e", 2, provider="south", why="the first is down"))
    ledger.settle(settled("e", 2))
    ledger.record(exchange("e", attempts=2))
    assert ledger.flush()
    assert ledger.alarms == ()
    assert ledger.backlog == 0
    line = Reader(tmp_path).one("e")
    assert line is not None
    assert (line.outcome, line.stream, line.served_by) == ("ok", True, "north/large")
    first, second = line.attempts
    assert first.because == ("status 529", "said so")
    assert first.lost == ("top_k: this dialect has none", "user: it has no word for who asks")
    assert first.usage == Usage(7, 5, 3, 1, 2)
    assert first.times == Times(0.1, 0.2, 0.3, 0.4)
    assert (first.outcome, first.status, first.bytes_in) == ("failed", 529, 99)
    assert (second.provider, second.why, second.outcome) == ("south", "the first is down", "ok")
    ledger.close()


def test_a_call_whose_process_died_is_unknown_and_never_anything_else(tmp_path: Path) -> None:
    """A settlement that comes after the verdict of a restart does not change it."""
    ledger = Ledger.open(tmp_path)
    ledger.intend(intent("e"))
    ledger.close()
    assert outcomes(tmp_path) == {"e.1": None}
    ledger = Ledger.open(tmp_path, wall=Wall(NOW + 9.0))
    ledger.settle(settled("e"))
    ledger.close()
    line = Reader(tmp_path).one("e")
    assert line is not None
    assert line.outcome == "unknown"
    assert [(a.outcome, a.settled_wall) for a in line.attempts] == [("unknown", NOW + 9.0)]


def test_closing_twice_and_writing_afterwards_hurt_nobody(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path)
    ledger.close()
    ledger.close()
    assert not ledger.intend(intent("late"))
    ledger.settle(settled("late"))
    ledger.record(exchange("late"))


def test_files_are_for_their_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        ledger = Ledger.open(tmp_path / "a" / "b")
        ledger.intend(intent("e"))
        assert ledger.flush()
        ledger.intend(intent("f"))
    finally:
        os.umask(before)
    files = [path for path in (tmp_path / "a" / "b").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} >= {".sqlite3", ".jsonl", ".sqlite3-wal", ""}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    for folder in (tmp_path / "a" / "b", tmp_path / "a" / "b" / "journal"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    ledger.close()


def sizes(journal: Path) -> list[int]:
    """Of its files; those that are deleted while it is looked have none."""
    found = []
    for path in journal.iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(path.stat().st_size)
    return found


def test_an_idle_ledger_leaves_an_empty_journal_and_sleeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a flush, what was written is on the disk and out of the journal within about 1 s."""
    turns = []
    turn = Writer._turn
    monkeypatch.setattr(
        Writer, "_turn", lambda self, **how: (turns.append(how), turn(self, **how))[1]
    )
    ledger = Ledger.open(tmp_path)
    ledger.intend(intent("e"))
    journal = tmp_path / "journal"
    eventually(lambda: sizes(journal) == [0])
    assert outcomes(tmp_path) == {"e.1": None}
    before = len(turns)
    time.sleep(0.2)
    assert len(turns) <= before + 1  # the one that was just being made
    ledger.close()
    assert list(journal.iterdir()) == []


# ------------------------------------------------------------------ kill -9


def killed(data_dir: Path, name: str, dice: random.Random) -> tuple[set[str], set[str]]:
    """Have a process write, kill it at some moment; what it was promised: intents, ends."""
    child = spawn(data_dir, "scribble", name)
    with child:
        assert child.stdout is not None
        lines: list[bytes] = []
        while len(lines) < dice.choice((1, 2, 40, 200, 600)):
            lines.append(child.stdout.readline())
            assert lines[-1], "the process ended by itself"
        time.sleep(dice.random() * 0.06)
        child.kill()
        lines += child.stdout.readlines()
    said = [line.decode().split() for line in lines if line.endswith(b"\n")]
    intents = {words[1] for words in said if words[0] == "intent"}
    return intents, {words[1] for words in said if words[0] == "end"}


def survive(data_dir: Path, kills: int, seed: int) -> None:
    dice = random.Random(seed)
    promised: set[str] = set()
    ended: set[str] = set()
    for number in range(kills):
        if dice.random() < 0.2:  # some die while they take over what another left
            with spawn(data_dir, "scribble", f"brief{number}") as child:
                time.sleep(dice.random() * 0.4)
                child.kill()
                assert child.stdout is not None
                said = [line.decode().split() for line in child.stdout.readlines()]
            promised |= {words[1] for words in said if words[0] == "intent"}
        intents, ends = killed(data_dir, f"k{number}", dice)
        promised |= intents
        ended |= ends
        assert ends <= intents
    Ledger.open(data_dir).close()
    found = outcomes(data_dir)
    assert promised <= set(found), "an attempt that was acknowledged is missing"
    # Beyond what we heard of there may be the one that was written when the kill came.
    assert len(set(found) - promised) <= 2 * kills
    assert set(found.values()) <= {"ok", "unknown"}
    assert {found[id_] for id_ in ended} <= {"ok"}
    calls = outcomes(data_dir, "exchanges")
    assert {id_.rpartition(".")[0] for id_ in found} <= set(calls)
    assert list((data_dir / "journal").iterdir()) == []


def test_kill_9_loses_no_attempt_and_doubles_none(tmp_path: Path) -> None:
    survive(tmp_path, kills=20, seed=1)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(10))
def test_kill_9_hundreds_of_times(tmp_path: Path, seed: int) -> None:
    survive(tmp_path, kills=40, seed=100 + seed)


# ---------------------------------------------------------------- full disk


@pytest.mark.parametrize("size", [0, 1000, 9000, 60_000])
def test_a_full_disk_stops_nothing_and_loses_nothing(tmp_path: Path, size: int) -> None:
    """Calls go on, alarms are raised; with space again all is written and the alarms are gone."""
    with spawn(tmp_path, "fill", str(size)) as child:
        assert child.stdout is not None
        said = child.stdout.read().decode().splitlines()
    assert child.returncode == 0
    assert said[-1] == "well"
    found = outcomes(tmp_path)
    calls = [f"{size}-{number}" for number in range(1, len(found) - 1)]
    assert found == {
        **{f"{call}.1": "ok" for call in calls},
        f"{size}-before.1": None,
        f"{size}-after.1": "ok",
    }
    assert set(outcomes(tmp_path, "exchanges")) == set(calls)
    reader = Reader(tmp_path)
    assert [each.at for each in reader.observations()] == [n + 1.0 for n in range(len(calls))]
    assert [each.id for each in reader.incidents()] == [f"i{n + 1}" for n in range(len(calls))]


@pytest.mark.parametrize("size", [1000, 60_000])
def test_kill_9_on_a_full_disk_loses_nothing_that_was_acknowledged(
    tmp_path: Path, size: int
) -> None:
    with spawn(tmp_path, "crowd", str(size)) as child:
        assert child.stdout is not None
        said: list[str] = []
        while not said or said[-1] != "full":
            said.append(child.stdout.readline().decode().strip())
            assert said[-1]
        child.kill()
    promised = {line.split()[1] for line in said if line.startswith("intent ")}
    assert promised
    Ledger.open(tmp_path).close()
    assert promised <= set(outcomes(tmp_path))


# ---------------------------------------------------------------- the rest


def test_two_gateways_never_share_a_directory(tmp_path: Path) -> None:
    """The second is told which process has it; a kill frees it."""
    with spawn(tmp_path, "crowd", "100000") as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        with pytest.raises(StoreError, match=rf"in use .*\(process {child.pid}\)"):
            Ledger.open(tmp_path)
        child.kill()
    Ledger.open(tmp_path).close()


def test_one_process_cannot_open_a_ledger_twice_either(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path)
    with pytest.raises(StoreError, match=f"process {os.getpid()}"):
        Ledger.open(tmp_path)
    ledger.close()
    Ledger.open(tmp_path).close()


def test_retention_deletes_what_is_old_and_only_that(tmp_path: Path) -> None:
    """More old rows than one turn deletes; the sweep of the next day comes as well."""
    wall = Wall(1_000_000.0)
    ledger = Ledger.open(tmp_path, wall=wall, keep_days=2.0)
    for number in range(1200):
        ledger.intend(intent(f"old{number}", wall=1_000_000.0 - 2 * 86_400 - 1))
        ledger.settle(settled(f"old{number}"))
        ledger.record(exchange(f"old{number}", wall=1_000_000.0 - 2 * 86_400 - 1))
    ledger.intend(intent("young", wall=999_999.0))
    ledger.settle(settled("young"))
    ledger.record(exchange("young", wall=999_999.0))
    assert ledger.flush()
    wall.now += 86_401.0

    def swept() -> bool:
        ledger.flush()
        return set(outcomes(tmp_path)) == {"young.1"}

    eventually(swept)
    assert set(outcomes(tmp_path, "exchanges")) == {"young"}
    # What all of them say alike stands there once, for attempts and for calls.
    assert count_of(tmp_path, "shared") == 2
    wall.now += 2 * 86_400.0
    eventually(lambda: ledger.flush() and not outcomes(tmp_path))
    eventually(lambda: ledger.flush() and not count_of(tmp_path, "shared"))
    ledger.close()


def test_an_end_without_an_intent_is_swept_too(tmp_path: Path) -> None:
    wall = Wall(NOW)
    ledger = Ledger.open(tmp_path, wall=wall, keep_days=1.0)
    ledger.settle(settled("lone"))
    assert ledger.flush()
    assert outcomes(tmp_path) == {"lone.1": "ok"}
    wall.now += 3 * 86_400.0
    eventually(lambda: ledger.flush() and not outcomes(tmp_path))
    ledger.close()


def test_a_stuck_ledger_drops_calls_before_it_drops_attempts(tmp_path: Path) -> None:
    """Somebody holds the file: lines of calls are bounded, and the loss is an alarm."""
    ledger = Ledger.open(tmp_path)
    holder = sqlite3.connect(tmp_path / "ledger.sqlite3", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    for number in range(2 * EXCHANGES_MAX + 500):
        ledger.record(exchange(f"e{number}"))
    for number in range(100):
        assert ledger.intend(intent(f"i{number}"))
    eventually(lambda: any("cannot be written" in alarm for alarm in ledger.alarms))
    holder.execute("ROLLBACK")
    holder.close()
    eventually(ledger.flush)
    assert len(ledger.alarms) == 1
    assert "finished calls were dropped" in ledger.alarms[0]
    assert len(outcomes(tmp_path)) == 100
    ledger.close()


def test_more_intents_than_memory_holds_come_back_from_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.store.journal.WAITING_MAX", 10)
    monkeypatch.setattr("holdfast.store.writer.WAITING_MAX", 10)
    ledger = Ledger.open(tmp_path)
    for number in range(5000):
        assert ledger.intend(intent(f"i{number}"))
    eventually(ledger.flush)
    assert len(outcomes(tmp_path)) == 5000
    assert ledger.alarms == ()
    ledger.close()


def test_a_record_that_sqlite_refuses_keeps_no_other_out(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path)
    ledger.intend(intent("e", asked_model="\ud800 half a pair"))
    ledger.settle(settled("e", failure_text="\udfff", because=("\ud800",)))
    ledger.record(exchange("e", path="/\ud800", bytes_in=2**70))
    not_a_number: Any = object()
    ledger.record(exchange("f", status=not_a_number))
    ledger.record(exchange("good"))
    assert ledger.flush()
    assert outcomes(tmp_path) == {"e.1": "ok"}
    assert set(outcomes(tmp_path, "exchanges")) == {"e", "good"}
    assert "1 records were of a kind" in ledger.alarms[0]
    line = Reader(tmp_path).one("e")
    assert line is not None
    assert line.path == "/?"
    assert line.attempts[0].asked_model == "? half a pair"
    ledger.close()


def test_a_writer_that_dies_is_an_alarm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own fault, so it is said; intents still reach the journal, for the next start."""
    died = threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda _: died.set())
    ledger = Ledger.open(tmp_path)

    def fail(*_: object) -> int:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(book, "write", fail)
        ledger.intend(intent("e"))
        assert died.wait(10)
        eventually(lambda: ledger.alarms)
    assert "writer has stopped" in ledger.alarms[0]
    assert ledger.intend(intent("f"))
    assert not ledger.flush(0.01)
    ledger.close()
    Ledger.open(tmp_path).close()
    assert outcomes(tmp_path) == {"e.1": "unknown", "f.1": "unknown"}


def test_a_child_that_was_given_the_file_descriptors_does_not_hold_the_lock(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path)
    with subprocess.Popen(["/bin/sleep", "30"], close_fds=False) as child:
        ledger.close()
        Ledger.open(tmp_path).close()
        child.kill()
