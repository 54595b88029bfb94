"""The observation journal: what is handed in is read back, whole, once and in order."""

from __future__ import annotations

import random
import sqlite3
import tempfile
import time
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.store.pen import spawn
from tests.store.records import NOW, eventually, incident, observation

from holdfast.facts.incidents import Incident
from holdfast.facts.observations import Observation
from holdfast.store import book, observations
from holdfast.store.ledger import Ledger
from holdfast.store.observations import Waiting, is_sample
from holdfast.store.query import Reader

DAY_S = 86_400.0
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    # Half characters are cleaned, and so not equal: they have a test of their own.
    str: st.text(st.characters(exclude_categories=("Cs",)), max_size=12),
    float: st.floats(-1e9, 4e9),
    int: st.integers(-(2**63), 2**63 - 1),
    bool: st.booleans(),
    NoneType: st.none(),
}


def anything(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type as our facts use them."""
    if kind in PLAIN:
        return PLAIN[kind]
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    if get_origin(kind) in (Union, UnionType):
        return st.one_of(*map(anything, get_args(kind)))
    if get_origin(kind) is tuple:
        return st.lists(anything(get_args(kind)[0]), max_size=2).map(tuple)
    fields = msgspec.structs.fields(kind)
    return st.builds(kind, **{field.name: anything(field.type) for field in fields})


OBSERVATIONS = anything(Observation)
INCIDENTS = anything(Incident)


@settings(max_examples=15)
@given(noted=st.lists(OBSERVATIONS, max_size=12), told=st.lists(INCIDENTS, max_size=4))
def test_what_is_written_is_read_back_whatever_it_is(
    noted: list[Observation], told: list[Incident]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger.open(Path(folder), wall=lambda: -1e9)
        ledger.observe(noted)
        ledger.remember(told)
        ledger.close()
        assert ledger.alarms == ()
        reader = Reader(Path(folder))
        assert list(reader.observations(-2e9)) == noted
        assert reader.incidents(-2e9) == list({one.id: one for one in told}.values())
        assert reader.complaint is None


def test_order_is_that_of_learning_even_where_the_wall_clock_steps_back(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path)
    walls = [NOW - 50.0, NOW + 5.0, NOW + 1.0, NOW + 9.0, NOW - 3.0, NOW + 2.0]
    ledger.observe([observation(n, wall=wall) for n, wall in enumerate(walls)])
    ledger.close()
    reader = Reader(tmp_path)
    assert [each.at for each in reader.observations()] == [0, 1, 2, 3, 4, 5]
    assert [each.at for each in reader.observations(NOW)] == [1, 2, 3, 5]
    assert list(reader.observations(NOW + 100.0)) == []


def test_torn_rows_are_skipped_and_said_to_be(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path)
    ledger.observe([observation(n) for n in range(6)])
    ledger.close()
    db = sqlite3.connect(tmp_path / "ledger.sqlite3")
    for number, data in (
        (2, b'{"at":1.0,"wall":'),
        (3, b"\xff\xfe"),
        (4, None),
        (5, b'{"kind":"tarot"}'),
    ):
        db.execute("UPDATE observations SET data=? WHERE id=?", (data, number))
    db.commit()
    db.close()
    reader = Reader(tmp_path)
    assert [each.at for each in reader.observations()] == [0, 5]
    assert reader.complaint is not None
    assert "4 rows of the journal" in reader.complaint


def test_what_has_no_place_in_time_keeps_no_other_out(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path)
    odd: Any = object()
    ledger.observe(
        [
            observation(1),
            observation(2, wall=float("nan")),
            observation(3, text="half \ud800", ok=False),
            observation(4, text=odd),
            observation(5),
        ]
    )
    assert ledger.flush()
    assert "2 records were of a kind" in ledger.alarms[0]
    found = list(Reader(tmp_path).observations())
    assert [each.at for each in found] == [1, 3, 5]
    assert found[1].text == "half ?"
    ledger.close()


# ------------------------------------------------------------------ kill -9


def note_and_die(data_dir: Path, start: int, dice: random.Random) -> int:
    """Have a process observe from a number on, kill it at some moment; what it was promised."""
    child = spawn(data_dir, "note", str(start))
    with child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(dice.choice((1, 2, 6)))]
        assert all(lines), "the process ended by itself"
        time.sleep(dice.random() * 0.08)
        child.kill()
        lines += child.stdout.readlines()
    said = [line.split() for line in lines if line.endswith(b"\n")]
    return max((int(words[1]) for words in said if words[0] == b"kept"), default=start)


def test_kill_9_leaves_a_whole_beginning_of_what_was_observed(tmp_path: Path) -> None:
    """None doubled, none out of order, no gap, no torn row; what was promised is there."""
    dice = random.Random(3)
    last = 0
    for _ in range(8):
        promised = note_and_die(tmp_path, last, dice)
        reader = Reader(tmp_path)
        found = [int(each.at) for each in reader.observations()]
        assert found == list(range(1, len(found) + 1))
        assert len(found) >= promised
        told = [each.id for each in reader.incidents()]
        assert told == [f"i{n}" for n in found if n % 7 == 0]
        assert reader.complaint is None
        last = len(found)
    assert last > 0


def test_a_transaction_whose_end_was_not_seen_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was committed, and then the disk said that it had failed: it is made again."""
    ledger = Ledger.open(tmp_path)
    real = book.write
    failing = [sqlite3.OperationalError("disk I/O error")]

    def lie(*work: Any) -> int:
        refused = real(*work)
        if failing:
            raise failing.pop()
        return refused

    with monkeypatch.context() as patch:
        patch.setattr(book, "write", lie)
        ledger.observe([observation(n) for n in range(5)])
        ledger.remember([incident(n) for n in range(5)])
        eventually(ledger.flush)
    ledger.observe([observation(5)])
    ledger.close()
    assert not failing
    reader = Reader(tmp_path)
    assert [each.at for each in reader.observations()] == [0, 1, 2, 3, 4, 5]
    assert [each.id for each in reader.incidents()] == [f"i{n}" for n in range(5)]


# ------------------------------------------------------------------- bounds


@given(goods=st.lists(st.booleans(), max_size=60), room=st.integers(1, 12))
def test_a_full_queue_drops_the_oldest_good_samples_and_no_failure(
    goods: list[bool], room: int
) -> None:
    """Whatever comes: all failures, the newest good samples as far as there is room, in order."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(observations, "WAITING_MAX", room)
        queue = Waiting()
        queue.put([observation(n, ok=ok) for n, ok in enumerate(goods)])
        kept = queue.take()
    numbers = [int(each.at) for each in kept]
    assert numbers == sorted(numbers)
    failures = [n for n, ok in enumerate(goods) if not ok]
    samples = [n for n, ok in enumerate(goods) if ok]
    assert [int(each.at) for each in kept if not each.ok] == failures
    survivors = [int(each.at) for each in kept if each.ok]
    assert survivors == samples[len(samples) - len(survivors) :]
    assert len(survivors) + queue.dropped == len(samples)
    assert queue.lost == len(queue) == 0
    assert len(kept) <= max(room, len(failures))


def test_even_failures_have_a_bound_and_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observations, "WAITING_MAX", 4)
    monkeypatch.setattr(observations, "FAILURES_MAX", 6)
    queue = Waiting()
    queue.put([observation(n, ok=False) for n in range(10)])
    assert [each.at for each in queue.take()] == [4, 5, 6, 7, 8, 9]
    assert (queue.dropped, queue.lost) == (0, 4)


def test_a_stuck_ledger_says_what_gave_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observations, "WAITING_MAX", 20)
    ledger = Ledger.open(tmp_path)
    holder = sqlite3.connect(tmp_path / "ledger.sqlite3", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    for number in range(0, 100, 10):
        ledger.observe([observation(n, ok=n % 10 > 0) for n in range(number, number + 10)])
    eventually(lambda: any("cannot be written" in alarm for alarm in ledger.alarms))
    assert ledger.backlog > 0
    holder.execute("ROLLBACK")
    holder.close()
    eventually(ledger.flush)
    assert [alarm for alarm in ledger.alarms if "good samples gave way" in alarm]
    failed = [each.at for each in Reader(tmp_path).observations() if not each.ok]
    assert failed == [float(n) for n in range(0, 100, 10)]
    ledger.close()


def test_only_good_measurements_are_samples() -> None:
    assert is_sample(observation(1))
    assert is_sample(observation(1, kind="probe"))
    assert not is_sample(observation(1, ok=False))
    assert not is_sample(observation(1, kind="slept"))
    assert not is_sample(observation(1, kind="status_page"))


def test_good_samples_are_kept_a_week_and_the_rest_as_long_as_all_else(tmp_path: Path) -> None:
    now = [NOW]
    ledger = Ledger.open(tmp_path, wall=lambda: now[0])
    ledger.observe([observation(n, wall=NOW) for n in range(1200)])
    ledger.observe([observation(5000, ok=False), observation(5001, kind="slept")])
    ledger.remember([incident(1)])
    assert ledger.flush()
    reader = Reader(tmp_path)

    def left() -> list[float]:
        ledger.flush()
        return [each.at for each in reader.observations()]

    now[0] = NOW + 6 * DAY_S
    assert len(left()) == 1202
    now[0] = NOW + 8 * DAY_S
    eventually(lambda: left() == [5000, 5001])
    now[0] = NOW + 91 * DAY_S
    eventually(lambda: not left() and not reader.incidents())
    ledger.close()
