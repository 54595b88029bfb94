"""The belief: what convinces and what does not, and the filter against a slow one."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.detect import COUNT_MAX, Belief, Expected, moved
from holdfast.core.incident import Params

EXPECTED = Expected()
DECLARE = Params().declare
STATES = ("blip", "total", "half", "fifth")

samples = st.lists(
    st.tuples(
        st.floats(0.0, 1e5) | st.sampled_from([0.0, 0.1, 15.0, 60.0]),
        st.booleans(),
        st.integers(1, 5),
    ),
    max_size=60,
)


def fed(*seen: tuple[float, bool], belief: Belief | None = None) -> Belief:
    belief = belief or well()
    start = belief.wall
    for after_s, ok in seen:
        belief.feed(EXPECTED, start + after_s, ok=ok)
    return belief


def well() -> Belief:
    belief = Belief()
    for minute in range(60):
        belief.feed(EXPECTED, minute * 60.0, ok=True)
    return belief


def failing(*after_s: float) -> tuple[tuple[float, bool], ...]:
    return tuple((one, False) for one in after_s)


def test_a_burst_within_seconds_convinces_nobody() -> None:
    belief = fed(*failing(*(60 + 0.5 * n for n in range(20))))
    assert belief.trouble() > 0.99
    assert belief.outage(EXPECTED) < 0.05


def test_failures_spread_over_three_minutes_do() -> None:
    belief = fed(*failing(60, 120, 180))
    assert belief.outage(EXPECTED) < DECLARE
    fed((60, False), belief=belief)
    assert belief.outage(EXPECTED) > DECLARE


def test_single_failures_hours_apart_add_up_to_nothing() -> None:
    belief = well()
    for _ in range(100):
        belief = fed((3600.0, False), *((3600 + n * 60, True) for n in range(1, 30)), belief=belief)
    assert not belief.ill


def test_half_failing_is_found_although_good_answers_come_between() -> None:
    belief = fed(*((45 * n, n % 2 == 0) for n in range(1, 20)))
    assert belief.half > 0.9


def test_a_crowd_calls_a_blip_an_outage() -> None:
    belief = Belief()
    for n in range(2000):
        belief.feed(EXPECTED, n / 10, ok=True)
    assert belief.pace_s == pytest.approx(0.1, abs=0.01)
    first = next(
        n for n in range(200) if fed((0.1, False), belief=belief).outage(EXPECTED) > DECLARE
    )
    assert first * 0.1 < 5.0


def test_a_retry_storm_of_one_person_is_no_crowd() -> None:
    belief = fed(*failing(*(30 + 0.2 * n for n in range(100))))
    assert belief.outage(EXPECTED) < DECLARE


def test_a_night_tells_nothing_and_forgets_a_blip() -> None:
    belief = fed(*failing(60, 61, 62))
    fed((8 * 3600, True), belief=belief)
    assert belief.outage(EXPECTED) < 0.01


def test_good_answers_end_it() -> None:
    belief = fed(*failing(*range(60, 900, 60)))
    assert belief.outage(EXPECTED) > 0.99
    fed(*((60.0 * n, True) for n in range(1, 5)), belief=belief)
    assert belief.trouble() < 0.1


def slow(seen: list[tuple[float, bool, int]]) -> list[np.ndarray]:
    """The forward algorithm with matrices: P(state) after each sample, "fine" first.

    Samples are (gap before it, ok, count).
    """
    e = EXPECTED
    fails = np.array([e.fine_fails, e.blip_fails, e.total_fails, e.half_fails, e.fifth_fails])
    lasts = np.array([e.blip_s, e.outage_s, e.outage_s, e.outage_s])
    rates = np.array([e.blip_rate, e.total_rate, e.half_rate, e.fifth_rate])
    p = np.array([1.0, 0, 0, 0, 0])
    found = []
    for gap, ok, count in seen:
        stays = np.exp(-gap / lasts)
        change = np.zeros((5, 5))
        change[0, 1:] = rates * lasts * (1 - stays)
        change[0, 0] = 1 - change[0, 1:].sum()
        for n in range(4):
            change[n + 1, n + 1] = stays[n]
            change[n + 1, 0] = 1 - stays[n]
        these = fails.copy()
        if gap < e.near_s and not ok:
            these[1] = e.total_fails
        p = p @ change * np.where(ok, 1 - these, these) ** count
        p = p / p.sum()
        found.append(p)
    return found


@given(samples)
def test_it_is_the_forward_algorithm(seen: list[tuple[float, bool, int]]) -> None:
    """Up to what is forgotten at rest, which is told by the rest's own limits."""
    never_rests = msgspec.structs.replace(EXPECTED, rest_blip=0.0, rest_outage=0.0)
    belief = Belief()
    belief.feed(never_rests, 0.0, ok=False)
    slowly = slow([(EXPECTED.unseen_s, False, 1), *seen])
    wall = 0.0
    assert belief.blip == pytest.approx(slowly[0][1], rel=1e-9)
    for (after_s, ok, count), p in zip(seen, slowly[1:], strict=True):
        wall += after_s
        belief.feed(never_rests, wall, ok=ok, count=count)
        mine = [belief.fine(), *(getattr(belief, state) for state in STATES)]
        assert mine == pytest.approx(list(p), rel=1e-4, abs=1e-7)


@given(samples)
def test_shares_stay_shares(seen: list[tuple[float, bool, int]]) -> None:
    belief, wall = Belief(), 0.0
    for after_s, ok, count in seen:
        wall += after_s if ok else -after_s / 7  # the clock is set back, too
        belief.feed(EXPECTED, wall, ok=ok, count=count * COUNT_MAX if count == 5 else count)
        shares = [getattr(belief, state) for state in STATES]
        assert all(0.0 <= share <= 1.0 for share in shares)
        assert sum(shares) <= 1.0 + 1e-9
        assert 0.0 <= belief.outage(EXPECTED) <= 1.0 + 1e-9
        assert belief.ill or sum(shares) == 0.0


@given(samples, st.integers(0, 60))
def test_written_down_and_read_back_it_goes_on(
    seen: list[tuple[float, bool, int]], at: int
) -> None:
    here, there, wall = Belief(), Belief(), 0.0
    for n, (after_s, ok, count) in enumerate(seen):
        if n == at:
            there = msgspec.json.decode(msgspec.json.encode(there), type=Belief)
        wall += after_s
        here.feed(EXPECTED, wall, ok=ok, count=count)
        there.feed(EXPECTED, wall, ok=ok, count=count)
    assert here == there


@given(st.floats(0.0, 1.0), st.floats(1.0, 50.0))
def test_odds_move_as_told(probability: float, times: float) -> None:
    found = moved(probability, times)
    assert probability - 1e-12 <= found <= 1.0
    if 0.0 < probability < 0.999:
        assert found / (1 - found) == pytest.approx(times * probability / (1 - probability))


def test_more_corroboration_is_never_less_sure() -> None:
    found = [moved(0.1, times) for times in (1.0, 2.0, 8.0, 30.0)]
    assert all(less < more for less, more in pairwise(found))
