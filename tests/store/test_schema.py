"""The file itself: what it has columns for, newer ones, damaged ones."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import msgspec
import pytest
from tests.store.records import (
    NOW,
    eventually,
    exchange,
    intent,
    observation,
    outcomes,
    settled,
)

from holdfast.facts.flights import Exchange, Intent, Settled
from holdfast.facts.observations import Observation
from holdfast.facts.outcomes import Times, Usage
from holdfast.store.home import StoreError
from holdfast.store.ledger import Ledger
from holdfast.store.query import Reader
from holdfast.store.schema import MIGRATIONS


def written(data_dir: Path, rows: int = 1) -> Path:
    """A ledger with some rows, closed; its file."""
    ledger = Ledger.open(data_dir)
    for number in range(rows):
        ledger.intend(intent(f"e{number}"))
        ledger.settle(settled(f"e{number}"))
        ledger.record(exchange(f"e{number}"))
    ledger.close()
    return data_dir / "ledger.sqlite3"


def test_there_is_a_column_for_every_fact_and_for_nothing_else(tmp_path: Path) -> None:
    """So there is none for a prompt, an answer or a key, and none can be added unseen."""
    db = sqlite3.connect(written(tmp_path))
    columns = {
        table: {row[1] for row in db.execute(f"PRAGMA table_info({table})")}
        for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall()
    }
    db.close()
    ends = set(Settled.__struct_fields__) - {"wall", "usage", "times"} | {"settled_wall"}
    own, shared = {"id", "wall", "exchange", "attempt", "bytes_out"}, {"shared"}
    said_alike = set(Intent.__struct_fields__) - own | set(Exchange.__struct_fields__) - (
        own | {"duration_s", "outcome", "status", "bytes_in"}
    )
    counts = {*Usage.__struct_fields__, *(f"{name}_s" for name in Times.__struct_fields__)}
    assert columns == {
        "meta": {"name", "value"},
        "attempts": {*Intent.__struct_fields__, *ends, *counts, *shared},
        "exchanges": {*Exchange.__struct_fields__, *shared},
        "shared": {"id", "wall", *said_alike},
        "observations": {"id", "wall", "good", "data"},
        "incidents": {"id", "wall", "data"},
    }
    names = columns["attempts"] | columns["exchanges"] | {*Observation.__struct_fields__}
    assert not {"prompt", "messages", "body", "answer", "content", "key", "headers"} & names


def test_a_ledger_of_the_first_version_is_brought_up_to_date_where_it_is(tmp_path: Path) -> None:
    """Its rows stay; until then a reader finds no observations in it, and no trouble either."""
    path = tmp_path / "ledger.sqlite3"
    db = sqlite3.connect(path)
    db.executescript(f"{MIGRATIONS[0]} PRAGMA user_version=1;")
    db.execute(
        "INSERT INTO attempts (id, exchange, wall, outcome) VALUES ('e.1', 'e', ?, 'ok')", (NOW,)
    )
    db.execute("INSERT INTO exchanges (id, wall, outcome) VALUES ('e', ?, 'ok')", (NOW,))
    db.commit()
    db.close()
    reader = Reader(tmp_path)
    assert list(reader.observations()) == reader.incidents() == []
    (line,) = reader.exchanges()
    assert line.attempts[0].lost == ()
    ledger = Ledger.open(tmp_path)
    ledger.observe([observation(1)])
    ledger.settle(settled("f", lost=("top_k: none",)))
    assert ledger.flush()
    assert ledger.alarms == ()
    assert outcomes(tmp_path) == {"e.1": "ok", "f.1": "ok"}
    assert list(reader.observations()) == [observation(1)]
    ledger.close()


def test_rows_that_say_everything_themselves_read_as_before(tmp_path: Path) -> None:
    """Those of the third version, before a gateway has opened it and after."""
    db = sqlite3.connect(tmp_path / "ledger.sqlite3")
    for number, migration in enumerate(MIGRATIONS[:3], 1):
        db.executescript(f"{migration} PRAGMA user_version={number};")
    for table, fact in (("attempts", intent("e")), ("exchanges", exchange("e"))):
        cells = msgspec.structs.asdict(fact)
        db.execute(
            f"INSERT INTO {table} ({','.join(cells)}) VALUES ({','.join('?' * len(cells))})",
            tuple(cells.values()),
        )
    db.commit()
    db.close()
    reader = Reader(tmp_path)
    (before,) = reader.exchanges()
    assert before.attempts[0].provider == "north"
    assert reader.exchanges(tool="claude-code") == [before]
    ledger = Ledger.open(tmp_path)
    ledger.intend(intent("e"), intent("new"))
    ledger.settle(settled("new"))
    ledger.record(exchange("new"))
    assert ledger.flush()
    old, new = reader.one("e"), reader.one("new")
    ledger.close()
    assert old is not None
    assert new is not None
    assert msgspec.structs.replace(old, attempts=()) == msgspec.structs.replace(before, attempts=())
    assert msgspec.structs.replace(new, id="e", attempts=()) == msgspec.structs.replace(
        old, attempts=()
    )
    assert [one.model for one in (*old.attempts, *new.attempts)] == ["large", "large"]
    assert [line.attempts for line in reader.totals().usage] == [2]


def test_a_ledger_of_a_newer_version_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = written(tmp_path)
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version=99")
    db.close()

    def everything() -> dict[str, bytes]:
        return {
            str(each): each.read_bytes()
            for each in tmp_path.rglob("*")
            if each.is_file() and each.name != "lock"
        }

    (tmp_path / "journal" / "0000000007.jsonl").write_text("of the newer one")
    before = everything()
    for _ in range(2):
        with pytest.raises(StoreError, match=r"newer holdfast \(its format is 99.*Upgrade"):
            Ledger.open(tmp_path)
        assert everything() == before
    with pytest.raises(StoreError, match="newer holdfast"):
        Reader(tmp_path).totals()


@pytest.mark.parametrize(
    "damage", ["no database", "a hole", "cut off", "empty pages", "no words", "other words"]
)
def test_a_damaged_ledger_is_moved_aside_and_the_alarm_says_where(
    tmp_path: Path, damage: str
) -> None:
    path = written(tmp_path, rows=300)
    data = bytearray(path.read_bytes())
    if damage == "no database":
        data[:] = b"these are my notes\n" * 500
    elif damage == "a hole":
        data[5000:9000] = b"\xff" * 4000
    elif damage == "cut off":
        del data[len(data) // 2 + 100 :]
    elif damage == "empty pages":
        data[4096:] = bytes(len(data) - 4096)
    elif damage == "no words":  # Python cannot read SQLite's complaint
        data[:] = data.replace(b"CREATE TABLE attempts", b"CREATE T\xd4BLE attempts")
    else:  # sound as a file, but not our tables
        data[:] = data.replace(b"settled_wall REAL", b"sattled_wall REAL")
    path.write_bytes(data)
    ledger = Ledger.open(tmp_path, wall=lambda: 1234.0)
    aside = tmp_path / "ledger.sqlite3.corrupt-1234"
    assert len(ledger.alarms) == 1
    assert f"was damaged. It was moved to {aside}" in ledger.alarms[0]
    assert aside.read_bytes() == data
    ledger.settle(settled("after", wall=1234.0))
    assert ledger.flush()
    assert outcomes(tmp_path) == {"after.1": "ok"}
    ledger.close()


def test_damage_where_nobody_looks_at_work_is_found_at_the_start(tmp_path: Path) -> None:
    """Old rows are not touched by what a start does anyway, so they are looked at for this."""
    path = written(tmp_path, rows=1000)
    Ledger.open(tmp_path).close()
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 8] = b"\xff" * 8
    path.write_bytes(data)
    ledger = Ledger.open(tmp_path)
    assert "was damaged" in ledger.alarms[0]
    ledger.close()


def test_two_damaged_ledgers_in_one_second_are_both_kept(tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / "ledger.sqlite3").write_bytes(b"notes %d " % number * 100)
        Ledger.open(tmp_path, wall=lambda: 7.0).close()
    kept = sorted(tmp_path.glob("*.corrupt-7*"))
    assert [path.read_bytes()[:7] for path in kept] == [b"notes 0", b"notes 1"]


def test_an_empty_file_is_a_ledger_that_was_not_begun(tmp_path: Path) -> None:
    """A process may die between making the file and making its tables."""
    (tmp_path / "ledger.sqlite3").touch()
    with pytest.raises(StoreError, match="no ledger yet"):
        Reader(tmp_path).exchanges()
    ledger = Ledger.open(tmp_path)
    assert ledger.alarms == ()
    ledger.close()


def flip(tmp_path: Path, seeds: range) -> None:
    whole = written(tmp_path / "whole", rows=100).read_bytes()
    for seed in seeds:
        dice = random.Random(seed)
        data = bytearray(whole)
        for _ in range(dice.choice((1, 3, 30, 300))):
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        data_dir = tmp_path / str(seed)
        data_dir.mkdir()
        (data_dir / "ledger.sqlite3").write_bytes(data)
        try:
            ledger = Ledger.open(data_dir)
        except StoreError:
            assert data[60:64] != whole[60:64]  # the bits that hold the version: a newer one
            continue
        assert ledger.intend(intent("after"))
        eventually(ledger.flush)
        ledger.close()
        assert Reader(data_dir).one("after") is not None


def test_flipped_bits_stop_nothing(tmp_path: Path) -> None:
    """Noticed or not: the ledger opens, writes, and reads what it wrote."""
    flip(tmp_path, range(40))


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_thousand_times_flipped_bits_stop_nothing(tmp_path: Path) -> None:
    flip(tmp_path, range(1000, 2000))
