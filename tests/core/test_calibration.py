"""Do the ranges hold? The marks themselves are checked here, against slow and plain reckoning."""

from __future__ import annotations

import random
from math import log1p

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.calibration import (
    CHECKED_MAX,
    PROBES,
    Ended,
    as_lived,
    check,
    crps,
    marks,
    outages,
)
from holdfast.core.prior import POOLED
from holdfast.facts.incidents import Incident


def drawn(seed: int, count: int, scale: float = 1.0) -> list[Ended]:
    """A history with a day between the beginnings."""
    dice = random.Random(seed)
    return [
        Ended(at * 86_400.0, min(scale * POOLED.time(dice.expovariate(1.0)), 1400.0))
        for at in range(count)
    ]


@given(st.floats(0.0, 2000.0), st.floats(0.0, 300.0))
def test_the_score_is_the_integral_of_the_squared_error_of_the_distribution(
    to_go: float, elapsed: float
) -> None:
    """CRPS = ∫ (F(y) − 1[y ≥ truth])² dy over y = ln(1 + minutes), on a fine grid."""
    grid = np.linspace(0.0, 14.0, 3001)
    below = np.array([POOLED.back_within(elapsed, float(np.expm1(y))) for y in grid])
    error = (below - (grid >= log1p(to_go))) ** 2
    slow = float(np.sum((error[1:] + error[:-1]) / 2) * (grid[1] - grid[0]))
    assert crps(POOLED.to_go(elapsed, *PROBES), to_go) == pytest.approx(slow, rel=0.03, abs=0.02)


def test_ranges_of_the_law_that_was_drawn_from_hold_as_they_say() -> None:
    dice = random.Random(3)
    cases = [(POOLED, POOLED.time(dice.expovariate(1.0))) for _ in range(4000)]
    for at in (0.0, 30.0):
        found = marks(at, cases)
        assert found is not None
        assert found.held_50 == pytest.approx(0.5, abs=0.03)
        assert found.held_80 == pytest.approx(0.8, abs=0.025)
        assert found.held_90 == pytest.approx(0.9, abs=0.02)
        p = POOLED.back_within(at, 60.0)
        assert found.brier_60 == pytest.approx(p * (1 - p), abs=0.01)


def test_a_wrong_law_is_found_out() -> None:
    dice = random.Random(4)
    short = [(POOLED, 0.1 * POOLED.time(dice.expovariate(1.0))) for _ in range(500)]
    found = marks(0.0, short)
    assert found is not None
    assert found.held_80 < 0.55


def test_those_that_were_over_are_not_asked_about() -> None:
    assert marks(60.0, [(POOLED, 60.0), (POOLED, 5.0)]) is None
    found = marks(60.0, [(POOLED, 5.0), (POOLED, 100.0)])
    assert found is not None
    assert found.n == 1


@given(st.lists(st.builds(Ended, st.floats(0, 1e6), st.floats(0.1, 3000.0)), max_size=12))
def test_an_outlook_is_never_checked_with_what_was_not_known_then(history: list[Ended]) -> None:
    history.sort(key=lambda one: one.began)
    for one, (curve, minutes) in zip(history, as_lived(history), strict=True):
        assert minutes == one.minutes
        over = [other for other in history if other.began + 60 * other.minutes <= one.began]
        assert curve.own == len(over)


def test_own_history_is_checked_beside_the_published_one_and_said() -> None:
    found = check(drawn(1, 60, scale=0.3))
    assert [one.landmark_min for one in found.ours] == [5.0, 15.0, 30.0, 60.0]
    assert found.ours[0].crps < found.published[0].crps
    first = found.ours[0]
    assert found.told == (
        f"checked on your own {first.n} outages: the range from 10 to 90 % held"
        f" {first.held_80:.0%} of them (80 % would be right)"
    )


def test_too_few_are_not_spoken_of_and_of_very_many_the_last_are_checked() -> None:
    assert check([]).told == ""
    assert check(drawn(2, 5)).told == ""
    assert check(drawn(2, 3 * CHECKED_MAX)).ours[0].n <= CHECKED_MAX


def test_only_outages_that_are_over_count_in_time_order() -> None:
    def one(since: float, **more: object) -> Incident:
        fields = {"opened": since, "resolved": since + 600.0, "whose": "provider"} | more
        return Incident(id="i", since=since, **fields)  # type: ignore[arg-type]

    found = outages(
        [
            one(900.0), one(100.0), one(200.0, whose="account"), one(300.0, resolved=None),
            one(400.0, opened=None), one(500.0, back=500.0),
        ]
    )  # fmt: skip
    assert found == [Ended(100.0, 10.0), Ended(900.0, 10.0)]
