"""Chance against the laws: random faults, weather and clients; a breach is found by its seed."""

from __future__ import annotations

import pytest
from tests.stories.chance import BACK_S, END_S, FIRST, LONGEST_S, world
from tests.stories.laws import broken_laws, late, not_back


def breaches(seeds: range) -> dict[int, list[str]]:
    """What each seed broke, those left out that broke nothing."""
    found = {}
    for seed in seeds:
        there, calls = world(seed)
        trace = there.run(calls, END_S)
        wrong = [
            *broken_laws(there, trace),
            *late(trace, LONGEST_S),
            *not_back(trace, FIRST, BACK_S),
        ]
        if wrong:
            found[seed] = wrong
    return found


@pytest.mark.parametrize("first", range(0, 200, 25))
def test_no_seed_breaks_a_law(first: int) -> None:
    """Two hundred worlds of random faults, and not one law broken in any."""
    assert breaches(range(first, first + 25)) == {}


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("first", range(1000, 6000, 500))
def test_thousands_of_seeds_break_no_law(first: int) -> None:
    """The same, thousands of times."""
    assert breaches(range(first, first + 500)) == {}
