"""When it may be back: ranges, deadlines, one's own history, and the words for them."""

from __future__ import annotations

from itertools import pairwise
from math import isfinite
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.outlook import (
    OUTAGES,
    OWN_MAX,
    PERCENTS,
    about,
    back_by,
    chance,
    curve_of,
    lasted,
    minutes_of,
    outlook,
    outlook_of,
)
from holdfast.core.prior import POOLED
from holdfast.facts.incidents import Incident
from holdfast.facts.outcomes import Whose

NOW = 1_760_000_000.0


def incident(began_min: float, lasted_min: float | None = None, **more: object) -> Incident:
    """One that began so many minutes before now."""
    since = NOW - 60.0 * began_min
    end = None if lasted_min is None else since + 60.0 * lasted_min
    fields = {"opened": since + 120.0, "back": end, "whose": "provider"} | more
    fields.setdefault("resolved", None if end is None else end + 30.0)
    return Incident(id="i", since=since, **fields)  # type: ignore[arg-type]


@given(st.floats())
def test_any_elapsed_time_has_a_range_that_holds_together(elapsed: float) -> None:
    found = outlook(elapsed)
    quantiles = [found.quantiles_min[str(percent)] for percent in PERCENTS]
    assert all(isfinite(r) and r >= 0.0 for r in quantiles)
    assert quantiles == sorted(quantiles)
    chances = found.p_back_within_min
    assert 0.0 <= chances["60"] <= chances["240"] <= 1.0
    for span, p in chances.items():
        # An hour lies between the quantiles that its probability lies between.
        for (low, sooner), (high, later) in pairwise(found.quantiles_min.items()):
            if sooner + 0.01 < float(span) < later - 0.01:
                assert int(low) / 100 - 1e-3 <= p <= int(high) / 100 + 1e-3
    assert found.told
    assert found.useful == (found.elapsed_min <= 480.0)


def test_it_is_told_in_a_sentence_that_promises_nothing() -> None:
    assert outlook(25.0).told == (
        "half of such outages end within 75 min more, 9 of 10 within 6.5 h; elapsed 25 min;"
        " not a promise"
    )
    assert outlook(-3.0).told.endswith("elapsed 0 min; not a promise")


def test_beyond_eight_hours_it_says_that_there_is_no_useful_estimate() -> None:
    long = outlook(600.0)
    assert not long.useful
    assert long.told.startswith("a long outage, no useful estimate: ")
    assert long.quantiles_min["50"] > 0.0


def test_own_history_moves_the_range_towards_it() -> None:
    short = [incident(5000.0 + 100 * at, 6.0 + at % 5) for at in range(40)]
    curve = curve_of(short, NOW)
    mine, theirs = outlook(2.0, curve), outlook(2.0)
    assert mine.n_own == 40
    assert mine.quantiles_min["50"] < 10.0 < theirs.quantiles_min["50"]


@pytest.mark.parametrize("whose", get_args(Whose))
def test_only_outages_are_learnt_from_and_only_they_are_waited_for(whose: Whose) -> None:
    past = [incident(9000.0, 7.0, whose=whose)]
    assert (curve_of(past, NOW).own == 1) == (whose in OUTAGES)
    found = outlook_of(incident(25.0, whose=whose), POOLED, NOW)
    assert (found is not None) == (whose in OUTAGES)
    assert found is None or found.elapsed_min == 25.0


def test_what_was_only_suspected_and_what_has_no_length_is_not_learnt_from() -> None:
    odd = [incident(900.0, 7.0, opened=None), incident(900.0, 0.0), incident(900.0, -5.0)]
    assert curve_of(odd, NOW) is POOLED


def test_an_incident_that_is_over_has_no_outlook() -> None:
    assert outlook_of(incident(25.0, 10.0), POOLED, NOW) is None


def test_a_clock_that_was_turned_back_makes_no_negative_length() -> None:
    found = outlook_of(incident(-30.0), POOLED, NOW)
    assert found is not None
    assert found.elapsed_min == 0.0
    assert minutes_of(incident(10.0, -20.0)) == 0.0


def test_open_ones_are_censored_and_the_oldest_of_very_many_forgotten() -> None:
    still = curve_of([incident(300.0)], NOW)
    assert still.own == 0
    assert still.share(200.0) > POOLED.share(200.0)
    many = [incident(1e6 - 10 * at, 5.0) for at in range(OWN_MAX + 50)]
    assert curve_of(many, NOW).own == OWN_MAX


def test_it_lasted_from_the_first_failure_to_the_first_good_answer() -> None:
    assert minutes_of(incident(25.0, 10.0)) == 10.0
    assert minutes_of(incident(25.0, 10.0, back=None)) == pytest.approx(10.5)
    assert minutes_of(incident(25.0)) is None


@given(st.floats(0.0, 3000.0), st.floats(0.0, 1e6))
def test_a_deadline_is_read_off_the_range_that_was_told(elapsed: float, by: float) -> None:
    told = outlook(elapsed)
    found = back_by(told.quantiles_min, told.p_back_within_min, by)
    assert 0.0 <= found <= 1.0
    exact = POOLED.back_within(told.elapsed_min, by)
    assert found == pytest.approx(exact, abs=0.08)
    for name, minutes in told.quantiles_min.items():
        at = back_by(told.quantiles_min, told.p_back_within_min, minutes)
        assert at == pytest.approx(int(name) / 100, abs=2e-3)


def test_a_deadline_copes_with_a_range_that_is_told_in_part() -> None:
    assert back_by({}, {}, 10.0) == 0.0
    assert back_by({"10": 5.0, "50": 60.0, "90": 300.0}, {}, 60.0) == pytest.approx(0.5)
    assert back_by({"10": 5.0, "50": 5.0, "90": 300.0}, {"240": 1.0}, 1e9) <= 1.0


def test_words_for_lengths_and_chances() -> None:
    rough = [about(t) for t in (0.0, 4.4, 70.0, 100.0, 130.0, 327.0, 683.0, 2550.0, 9000.0, 1e6)]
    assert rough == [
        "1 min", "4 min", "70 min", "100 min", "2 h", "5.5 h", "11 h", "42 h", "6 days",
        "some weeks",
    ]  # fmt: skip
    exact = [lasted(t) for t in (0.0, 25.9, 89.0, 130.0, 2880.0)]
    assert exact == ["0 min", "25 min", "89 min", "2 h 10 min", "2 d 0 h"]
    assert [chance(p) for p in (0.0, 0.03, 0.62, 0.97, 1.0)] == [
        "less than 5 %", "about 5 %", "about 60 %", "about 95 %", "more than 95 %"
    ]  # fmt: skip


@given(st.floats(0.0, 1e7), st.floats(0.0, 1e7))
def test_rough_lengths_never_lie_by_more_than_a_quarter(first: float, second: float) -> None:
    """Below some weeks, and above a few minutes."""
    units = {"min": 1.0, "h": 60.0, "days": 1440.0}
    number, unit = about(first).split()
    if unit in units and first > 4:
        assert float(number) * units[unit] == pytest.approx(first, rel=0.26)
