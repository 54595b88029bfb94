"""The reader: beside a gateway at work, after it, and where there is nothing to read."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from tests.store.records import NOW, exchange, intent, settled

from holdfast.facts.outcomes import Usage
from holdfast.store.home import StoreError
from holdfast.store.ledger import Ledger
from holdfast.store.query import Reader, UsageLine


def test_without_a_ledger_it_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=f"no ledger yet at {tmp_path}.*holdfast up"):
        Reader(tmp_path).exchanges()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_ledger_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite3").write_text("these are my notes" * 100)
    with pytest.raises(StoreError, match="cannot be read"):
        Reader(tmp_path).totals()


def test_reading_changes_no_record(tmp_path: Path) -> None:
    """It opens the file for reading only; SQLite itself refuses the rest."""
    Ledger.open(tmp_path).close()
    with (
        Reader(tmp_path)._open() as db,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        db.execute("DELETE FROM attempts")


def test_calls_come_newest_first_and_can_be_chosen(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path)
    for number in range(6):
        ledger.record(
            exchange(
                f"e{number}",
                wall=NOW + number,
                outcome=("ok", "declined", "abandoned")[number % 3],
                tool=("claude-code", "curl")[number % 2],
            )
        )
    ledger.intend(intent("air", wall=NOW + 2.5, tool="curl"))
    assert ledger.flush()
    reader = Reader(tmp_path)

    def ids(**choice: object) -> list[str]:
        return [line.id for line in reader.exchanges(**choice)]  # type: ignore[arg-type]

    assert ids() == ["e5", "e4", "e3", "air", "e2", "e1", "e0"]
    assert ids(limit=4) == ["e5", "e4", "e3", "air"]
    assert ids(limit=0) == []
    assert ids(since_wall=NOW + 3) == ["e5", "e4", "e3"]
    assert ids(only_failed=True) == ["e4", "e1"]
    assert ids(tool="curl") == ["e5", "e3", "air", "e1"]
    assert reader.one("nobody") is None
    ledger.close()


def test_a_call_in_the_air_is_unsettled_until_it_ends(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path)
    reader = Reader(tmp_path)
    ledger.intend(intent("e", 1))
    ledger.settle(settled("e", 1, "failed"))
    ledger.intend(intent("e", 2))
    assert ledger.flush()
    line = reader.one("e")
    assert line is not None
    assert (line.outcome, line.status, line.duration_s) == ("unsettled", None, None)
    assert [attempt.outcome for attempt in line.attempts] == ["failed", "unsettled"]
    ledger.settle(settled("e", 2))
    ledger.record(exchange("e"))
    assert ledger.flush()
    line = reader.one("e")
    assert line is not None
    assert (line.outcome, line.status, line.duration_s) == ("ok", 200, 1.5)
    assert [attempt.outcome for attempt in line.attempts] == ["failed", "ok"]
    ledger.close()


def test_totals_count_outcomes_and_tokens(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path)
    for number in range(5):
        ledger.intend(intent(f"e{number}", wall=NOW + number))
        usage = Usage(10, 1, None if number else 4, None)
        if number < 4:
            ledger.settle(settled(f"e{number}", outcome="ok", usage=usage))
            ledger.record(exchange(f"e{number}", wall=NOW + number))
    ledger.intend(intent("s", provider="south", wall=NOW))
    ledger.settle(settled("s", outcome="failed"))
    ledger.record(exchange("s", outcome="declined", wall=NOW))
    ledger.close()
    totals = Reader(tmp_path).totals()
    assert totals.exchanges == {"ok": 4, "declined": 1}
    assert totals.attempts == {"ok": 4, "failed": 1, "unsettled": 1}
    north, south = totals.usage
    assert north == UsageLine(
        provider="north", model="large", tool="claude-code", attempts=5,
        input=40, output=4, cache_read=4, cache_write=0,
    )  # fmt: skip
    assert (south.provider, south.attempts, south.input) == ("south", 1, 0)
    assert Reader(tmp_path).totals(NOW + 3).attempts == {"ok": 1, "unsettled": 1}


def test_reading_beside_a_writer_never_fails_and_never_sees_half(tmp_path: Path) -> None:
    """An attempt and its call come in one commit here, so a reader sees both or neither."""
    ledger = Ledger.open(tmp_path)
    reader = Reader(tmp_path)
    done = threading.Event()

    def write() -> None:
        for number in range(3000):
            ledger.settle(settled(f"e{number}"))
        ledger.flush()
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    seen = [0]
    while not done.is_set():
        totals = reader.totals()
        seen.append(totals.attempts.get("ok", 0))
        assert sum(line.attempts for line in totals.usage) == seen[-1]
    thread.join()
    assert seen == sorted(seen)
    assert reader.totals().attempts == {"ok": 3000}
    ledger.close()


def test_a_reader_that_takes_its_time_holds_up_nobody(tmp_path: Path) -> None:
    """It sees its moment; the writer goes on, far beyond a checkpoint; then it sees all."""
    ledger = Ledger.open(tmp_path)
    ledger.intend(intent("first"))
    assert ledger.flush()
    count = "SELECT count(*) FROM attempts"
    with Reader(tmp_path)._open() as db:
        assert db.execute(count).fetchone() == (1,)
        for turn in range(12):
            for number in range(1000):
                ledger.intend(intent(f"t{turn}-{number}"))
            assert ledger.flush()
        assert ledger.alarms == ()
        assert db.execute(count).fetchone() == (1,)
    assert Reader(tmp_path).totals().attempts == {"unsettled": 12_001}
    ledger.close()


def test_what_a_killed_gateway_left_is_read_before_the_next_starts(tmp_path: Path) -> None:
    """The write-ahead log is still there: reading it needs no gateway."""
    ledger = Ledger.open(tmp_path / "one")
    ledger.intend(intent("e"))
    assert ledger.flush()
    (tmp_path / "two").mkdir()
    for name in ("ledger.sqlite3", "ledger.sqlite3-wal"):
        (tmp_path / "two" / name).write_bytes((tmp_path / "one" / name).read_bytes())
    line = Reader(tmp_path / "two").one("e")
    assert line is not None
    assert line.outcome == "unsettled"
    ledger.close()
