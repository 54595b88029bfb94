"""The figures about `holdfast eta`: fixed seeds, so the page can be checked."""

from __future__ import annotations

import pytest
from bench import outlook


def test_the_figures_are_the_same_on_every_run_and_none_is_missing() -> None:
    page = outlook.sheet(quick=True)
    assert page == outlook.sheet(quick=True)
    assert "nan" not in page
    for world in outlook.WORLDS:
        assert world in page


@pytest.mark.long
def test_the_page_is_current() -> None:
    assert outlook.SHEET.read_text() == outlook.sheet(), "python -m bench.outlook --write"
