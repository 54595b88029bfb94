"""The journal: one line, one write; torn lines, full disks, and what becomes of its segments."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.store.records import intent, outcomes

from holdfast.store import journal
from holdfast.store.journal import LINE_BYTES_MAX, Journal, read
from holdfast.store.ledger import Ledger


class Disk:
    """In the place of `os.write`: takes so many bytes, then says that it is full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.room = room
        self._write = os.write
        monkeypatch.setattr(journal.os, "write", self.write)

    def write(self, fd: int, data: bytes) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = self._write(fd, data[: self.room])
        self.room -= written
        return written


def ids(folder: Path) -> list[str]:
    return [found.id for path in sorted(folder.iterdir()) for found in read(path)[0]]


def test_an_intent_is_one_line_written_at_once(tmp_path: Path) -> None:
    log = Journal(tmp_path)
    assert log.promise(intent("e"))
    assert read(tmp_path / "0000000001.jsonl") == ([intent("e")], 0)
    assert log.take() == [intent("e")]
    log.close()


def test_an_empty_journal_leaves_no_file(tmp_path: Path) -> None:
    Journal(tmp_path).close()
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_not_ours_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_text("mine")
    log = Journal(tmp_path)
    assert log.leftover == []
    log.close()


def test_rotation_closes_a_segment_and_forgetting_removes_it(tmp_path: Path) -> None:
    log = Journal(tmp_path)
    log.promise(intent("a"))
    log.rotate()
    log.promise(intent("b"))
    assert ids(tmp_path) == ["a.1", "b.1"]
    log.sync()
    log.forget(log.closed())
    assert ids(tmp_path) == ["b.1"]
    log.close()
    assert [path.path.name for path in Journal(tmp_path).leftover] == ["0000000002.jsonl"]


@pytest.mark.parametrize("room", range(0, 600, 7))
def test_half_a_line_costs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """However many bytes the disk still takes: what was promised is there, and no other is torn."""
    log = Journal(tmp_path)
    disk = Disk(monkeypatch, room)
    kept = [f"e{number}.1" for number in range(4) if log.promise(intent(f"e{number}"))]
    assert log.trouble is not None
    disk.room = 10**6
    assert log.promise(intent("after"))
    assert log.trouble is None
    found = ids(tmp_path)
    assert set(found) >= {*kept, "after.1"}
    assert len(set(found)) == len(found)
    assert [waiting.exchange for waiting in log.take()] == ["e0", "e1", "e2", "e3", "after"]
    log.close()


def test_a_full_memory_is_told_apart_from_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What only the journal has is marked; what neither has is lost, and counted."""
    monkeypatch.setattr(journal, "WAITING_MAX", 2)
    log = Journal(tmp_path)
    for name in "abc":
        assert log.promise(intent(name))
    log.rotate()
    (segment,) = log.closed()
    assert segment.unseen
    assert log.lost == 0
    Disk(monkeypatch, 0)
    assert not log.promise(intent("d"))
    assert log.lost == 1
    log.close()


def test_names_that_clients_make_up_are_cut_to_size(tmp_path: Path) -> None:
    log = Journal(tmp_path)
    assert log.promise(intent("e", asked_model="\ud800" + "m" * 10**6, tool="é" * 10**6))
    ((found,), unreadable) = read(tmp_path / "0000000001.jsonl")
    assert unreadable == 0
    assert found.asked_model == "?" + "m" * 255
    assert found.id == "e.1"
    assert log.size < LINE_BYTES_MAX
    log.close()


@given(
    walls=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=6),
    cut=st.integers(0, 400),
    junk=st.binary(max_size=40).filter(lambda data: b"\n" not in data),
    where=st.integers(0, 6),
)
def test_whatever_stands_between_them_whole_lines_are_read(
    tmp_path_factory: pytest.TempPathFactory, walls: list[float], cut: int, junk: bytes, where: int
) -> None:
    """Junk in the middle costs nothing but itself; a torn end costs the torn line."""
    folder = tmp_path_factory.mktemp("journal")
    log = Journal(folder)
    wanted = [intent(f"e{number}", wall=wall) for number, wall in enumerate(walls)]
    for number, each in enumerate(wanted):
        assert log.promise(each)
        if number == where:
            os.write(log._fd, junk + b"\n")
    log.close()
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[: max(0, path.stat().st_size - cut)])
        found, unreadable = read(path)
        assert found == wanted[: len(found)]
        assert unreadable <= 2
        if cut <= 1:  # the last line's end is not needed
            assert len(found) == len(wanted)


def test_torn_lines_of_an_earlier_process_are_counted_in_an_alarm(tmp_path: Path) -> None:
    Ledger.open(tmp_path).close()
    log = Journal(tmp_path / "journal")
    log.promise(intent("a"))
    os.write(log._fd, b'{"id": "torn, and then ano\n\0\0\0\0\n')
    log.promise(intent("b"))
    os.write(log._fd, b'{"id":"c.1","exch')
    log.close()
    ledger = Ledger.open(tmp_path)
    assert ledger.alarms == ("3 lines of an earlier journal were torn and could not be read.",)
    ledger.close()
    assert outcomes(tmp_path) == {"a.1": "unknown", "b.1": "unknown"}


def test_a_segment_that_cannot_be_begun_leaves_the_old_one_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Journal(tmp_path)

    def fail(*_: Any) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patch:
        patch.setattr(journal, "private_file", fail)
        log.rotate()
        assert log.trouble is not None
    assert log.promise(intent("e"))
    assert log.trouble is None
    assert log.closed() == []
    log.close()


def test_an_intent_costs_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No other system call on the way of a call: no open, no sync, no stat."""
    log = Journal(tmp_path)
    writes = []
    original = os.write
    monkeypatch.setattr(
        journal.os, "write", lambda fd, data: (writes.append(data), original(fd, data))[1]
    )
    monkeypatch.setattr(journal, "private_file", None)
    monkeypatch.setattr(journal.os, "fsync", None)
    assert log.promise(intent("e"))
    assert len(writes) == 1
    log.close()
