"""The reference is what the code says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
# Sheets of figures that a bench has measured say so; they are not written from the code alone.
MEASURED = "<!-- Written by `python -m bench."


def writer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def sheets() -> list[Path]:
    found = sorted((ROOT / "docs" / "reference").glob("*.md"))
    found.append(ROOT / "docs" / "guide" / "clients.md")  # a part of it
    return [file for file in found if not file.read_text().startswith(MEASURED)]


@pytest.mark.parametrize("file", sheets(), ids=str)
def test_every_sheet_is_current(file: Path) -> None:
    """`make docs` would change nothing, and nothing else lies there."""
    assert file.read_text() == writer().written()[file], "run `make docs`"


def test_no_sheet_is_missing() -> None:
    """Each sheet that the code can write has been written."""
    assert all(file.exists() for file in writer().written())
