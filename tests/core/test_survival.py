"""How long troubles last: the curve, its inverse, and one's own history in it."""

from __future__ import annotations

from math import inf, isfinite, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.prior import POOLED
from holdfast.core.survival import LONGEST_MIN, Past, Survival, blended, bounded

minutes = st.floats(0.01, 20_000.0)
elapsed = st.one_of(st.floats(), st.floats(-10.0, 10_000.0))
histories = st.lists(st.builds(Past, minutes, st.booleans()), max_size=60)


def kaplan_meier(past: list[Past], t: float) -> float:
    """The textbook's estimator, slow: the product over the ends up to t of 1 − ended / at risk."""
    share = 1.0
    for end in sorted({one.minutes for one in past if one.ended and one.minutes <= t}):
        at_risk = sum(one.minutes >= end for one in past)
        ended = sum(one.ended and one.minutes == end for one in past)
        share *= 1.0 - ended / at_risk
    return share


def test_a_curve_begins_at_one_goes_through_its_knots_and_ends_as_a_pareto_law() -> None:
    curve = Survival([(9.0, 0.5), (99.0, 0.25)], tail=2.0)
    assert curve.share(0.0) == 1.0
    assert curve.share(9.0) == pytest.approx(0.5)
    assert curve.share(99.0) == pytest.approx(0.25)
    # Ten times as long behind the last knot: a hundredth, with the index 2.
    assert curve.share(999.0) == pytest.approx(0.0025)
    # In between it is straight in ln(1 + t): a third of the way from 10 to 100.
    assert curve.share(10.0 ** (4 / 3) - 1.0) == pytest.approx(0.5 * 0.5 ** (1 / 3))


def test_where_nothing_ends_for_a_while_the_quantile_is_the_beginning_of_it() -> None:
    curve = Survival([(10.0, 0.5), (100.0, 0.5), (200.0, 0.1)], tail=1.0)
    assert curve.to_go(0.0, 0.5) == [pytest.approx(10.0)]
    assert curve.back_within(20.0, 60.0) == 0.0


@given(histories, elapsed, st.lists(st.floats(0.0, 0.999), min_size=1, max_size=9))
def test_quantiles_rise_are_finite_and_agree_with_the_probabilities(
    past: list[Past], at: float, ps: list[float]
) -> None:
    curve = blended(POOLED, past)
    ps.sort()
    found = curve.to_go(at, *ps)
    assert all(isfinite(r) and r >= 0.0 for r in found)
    assert found == sorted(found)
    for p, r in zip(ps, found, strict=True):
        # The first moment at which so many are over: then they are, and just before they are not.
        assert curve.back_within(at, r) == pytest.approx(p, abs=1e-6)
        assert curve.back_within(at, r * 0.99) <= p + 1e-6


@given(histories, elapsed, st.floats(0.0, 1e5), st.floats(0.0, 1e5))
def test_probabilities_lie_between_none_and_all_and_rise_with_the_time(
    past: list[Past], at: float, first: float, second: float
) -> None:
    curve = blended(POOLED, past)
    sooner, later = sorted((first, second))
    assert 0.0 <= curve.back_within(at, sooner) <= curve.back_within(at, later) <= 1.0
    assert curve.back_within(at, -1.0) == 0.0


@given(st.lists(st.builds(Past, minutes, st.just(True)), min_size=1, max_size=60), minutes)
def test_without_open_ones_own_history_weighs_n_of_n_and_the_strength(
    past: list[Past], t: float
) -> None:
    """At every own end and every knot of the prior the mixture is the weighted mean."""
    curve = blended(POOLED, past, strength=10.0)
    weight = len(past) / (len(past) + 10.0)
    for t in curve.times:
        alone = sum(one.minutes > t for one in past) / len(past)
        assert curve.share(t) == pytest.approx(
            weight * alone + (1.0 - weight) * POOLED.share(t), rel=1e-9
        )


@given(st.lists(st.builds(Past, st.integers(1, 50).map(float), st.booleans()), max_size=40))
def test_with_hardly_any_prior_it_is_kaplan_and_meier_s_estimator(past: list[Past]) -> None:
    """With ties, and with open ones censored behind the ends of the same minute."""
    curve = blended(POOLED, past, strength=1e-9)
    for one in past:
        expected = kaplan_meier(past, one.minutes)
        if sum(other.minutes > one.minutes for other in past):
            assert curve.share(one.minutes) == pytest.approx(expected, rel=1e-6)


def test_an_open_outage_says_that_it_can_last_as_long_and_nothing_more() -> None:
    ended = [Past(minutes) for minutes in (5.0, 10.0, 20.0, 40.0)]
    plain, more = blended(POOLED, ended), blended(POOLED, [*ended, Past(300.0, ended=False)])
    assert more.share(60.0) > plain.share(60.0)
    # What had lasted as long already is judged alike: the open one itself changes nothing there.
    assert more.to_go(300.0, 0.5) == pytest.approx(plain.to_go(300.0, 0.5))
    assert (plain.own, more.own) == (4, 4)


def test_outages_without_length_are_left_out() -> None:
    assert blended(POOLED, [Past(0.0), Past(-3.0), Past(nan)]) is POOLED
    assert blended(POOLED, []) is POOLED


def test_own_outages_of_any_length_leave_the_tail_alive() -> None:
    curve = blended(POOLED, [Past(1e9), Past(inf), Past(1e-300)] * 100)
    assert curve.own == 300
    assert all(isfinite(r) for r in curve.to_go(1e9, 0.05, 0.5, 0.95))


def test_a_stretch_of_time_is_bounded() -> None:
    assert [bounded(t) for t in (-1.0, nan, 0.0, 7.0, 1e12, inf)] == [
        0.0, 0.0, 0.0, 7.0, LONGEST_MIN, LONGEST_MIN
    ]  # fmt: skip
