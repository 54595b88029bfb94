"""Data directories that cannot be used: each is refused with what is wrong and what to do."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.store.records import intent

from holdfast.store.home import StoreError
from holdfast.store.ledger import Ledger
from holdfast.store.query import Reader

NOBODY = 65534


@contextmanager
def somebody_else() -> Iterator[Path]:
    """Whoever runs the tests, work as a user who is not allowed everything; gives a folder."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o755)
        root = os.geteuid() == 0
        if root:
            os.chown(path, NOBODY, -1)
            os.seteuid(NOBODY)
        try:
            yield path
        finally:
            if root:
                os.seteuid(0)
            for each in [path, *path.rglob("*")]:
                each.chmod(0o700)


@pytest.mark.parametrize("mode", [0o000, 0o300, 0o500])
def test_a_directory_without_permissions_is_refused(mode: int) -> None:
    with somebody_else() as folder:
        data_dir = folder / "data"
        data_dir.mkdir()
        data_dir.chmod(mode)
        with pytest.raises(StoreError, match=r"cannot be used: Permission denied .*another data_"):
            Ledger.open(data_dir)
        data_dir.chmod(0o700)
        assert not (data_dir / "ledger.sqlite3").exists()


def test_a_directory_below_one_without_permissions_is_refused() -> None:
    with somebody_else() as folder:
        folder.chmod(0o500)
        with pytest.raises(StoreError, match="Permission denied"):
            Ledger.open(folder / "data")


@pytest.mark.parametrize("part", ["ledger.sqlite3", "lock", "journal"])
@pytest.mark.parametrize("mode", [0o000, 0o400])
def test_parts_without_permissions_are_refused(part: str, mode: int) -> None:
    """And the directory can be opened again once they are put right."""
    with somebody_else() as folder:
        ledger = Ledger.open(folder)
        ledger.intend(intent("e"))
        ledger.close()
        (folder / part).chmod(mode)
        with pytest.raises(StoreError, match=r"Permission denied .*permissions"):
            Ledger.open(folder)
        (folder / part).chmod(0o700)
        Ledger.open(folder).close()
        assert Reader(folder).one("e") is not None


def test_a_ledger_that_may_not_be_read_says_so() -> None:
    with somebody_else() as folder:
        Ledger.open(folder).close()
        (folder / "ledger.sqlite3").chmod(0)
        with pytest.raises(StoreError, match=r"cannot be read .*look at its permissions"):
            Reader(folder).exchanges()


def test_a_file_is_no_data_directory(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("mine")
    with pytest.raises(StoreError, match="Not a directory"):
        Ledger.open(path)
    with pytest.raises(StoreError, match="Not a directory"):
        Ledger.open(path / "below")
    assert path.read_text() == "mine"


def test_a_refused_directory_is_not_held(tmp_path: Path) -> None:
    """After the mistake is put right, the same process may open it."""
    Ledger.open(tmp_path).close()
    (tmp_path / "journal").rmdir()
    (tmp_path / "journal").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be used"):
        Ledger.open(tmp_path)
    (tmp_path / "journal").unlink()
    Ledger.open(tmp_path).close()
