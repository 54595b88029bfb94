"""When pages are read: the intervals, what brings one forward, and what holds one back."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.reading import Params, Reading

QUIET: tuple[str, ...] = ()
STEADY = Params(spread_s=0.0, jitter=0.0)


def schedule(dice: float = 0.0, params: Params = STEADY) -> Reading:
    return Reading(lambda: dice, params)


def times(
    reading: Reading,
    until: float,
    *,
    trouble: tuple[float, float] = (0.0, 0.0),
    readable: bool = True,
    step: float = 10.0,
) -> list[float]:
    """When page "a" is read, if it is looked at every few seconds; trouble is from … to …"""
    found = []
    at = 0.0
    while at < until:
        troubled = ("a",) if trouble[0] <= at < trouble[1] else ()
        if reading.due(at, ["a"], troubled=troubled):
            found.append(at)
            reading.read("a", at, readable=readable)
        at += step
    return found


def test_all_quiet_it_is_every_quarter_of_an_hour() -> None:
    assert times(schedule(), 3000) == [0, 900, 1800, 2700]


def test_the_interval_can_be_set_but_not_below_five_minutes() -> None:
    assert times(schedule(params=Params(usual_s=1.0, spread_s=0, jitter=0)), 700) == [0, 300, 600]


def test_the_first_readings_are_spread_and_the_others_jittered() -> None:
    reading = schedule(0.5, Params())
    assert times(reading, 1000) == [10, 960]


def test_trouble_brings_one_forward_then_every_five_minutes_until_it_ends() -> None:
    found = times(schedule(), 2500, trouble=(200, 1000))
    assert found == [0, 200, 500, 800, 1100, 2000]


def test_a_reading_brought_forward_keeps_its_distance_from_the_last() -> None:
    assert times(schedule(), 100, trouble=(10, 1000)) == [0, 60]


def test_flapping_trouble_brings_no_flood() -> None:
    reading = schedule()
    reads = []
    for at in range(0, 1800, 10):
        if reading.due(at, ["a"], troubled=("a",) if at // 10 % 2 else ()):
            reads.append(at)
            reading.read("a", at, readable=True)
    assert all(later - earlier >= 60 for earlier, later in pairwise(reads))
    assert len(reads) <= 8


def test_what_cannot_be_read_is_left_alone_ever_longer_up_to_two_hours() -> None:
    found = times(schedule(), 40_000, readable=False)
    waits = [later - earlier for earlier, later in pairwise(found)]
    assert waits == [1800, 3600, 7200, 7200, 7200, 7200]


def test_trouble_hurries_even_what_could_not_be_read_once() -> None:
    reading = schedule()
    reading.due(0, ["a"])
    reading.read("a", 0, readable=False)
    assert reading.due(100, ["a"], troubled=("a",)) == ["a"]
    reading.read("a", 100, readable=False)
    assert reading.due(600, ["a"], troubled=("a",)) == []
    assert reading.due(3700, ["a"], troubled=("a",)) == ["a"]


def test_a_page_s_own_wish_is_honoured_even_in_trouble() -> None:
    reading = schedule()
    reading.due(0, ["a"])
    reading.read("a", 0, readable=False, asked_s=5000.0)
    assert reading.next_at() == 5000
    assert reading.due(4990, ["a"], troubled=("a",)) == []
    assert reading.due(5000, ["a"], troubled=("a",)) == ["a"]
    reading.read("a", 5000, readable=True, asked_s=1e12)
    assert reading.next_at() == 5000 + 86_400


def test_a_page_is_handed_out_once_even_if_nobody_tells_how_it_went() -> None:
    reading = schedule()
    assert reading.due(0, ["a"]) == ["a"]
    assert reading.due(1, ["a"], troubled=("a",)) == []
    assert reading.due(60, ["a"], troubled=("a",)) == ["a"]
    assert reading.due(359, ["a"]) == []
    assert reading.due(360, ["a"]) == ["a"]


def test_offline_nothing_is_read_and_afterwards_at_once() -> None:
    reading = schedule()
    assert reading.due(0, ["a", "b"], online=False) == []
    assert reading.due(5000, ["a", "b"], troubled=("a",), online=False) == []
    assert reading.due(5001, ["a", "b"]) == ["a", "b"]


def test_a_page_that_is_gone_is_forgotten() -> None:
    reading = schedule()
    reading.due(0, ["a"])
    reading.due(1, QUIET)
    assert reading.next_at() is None
    reading.read("a", 2, readable=True)  # it was under way
    assert reading.next_at() is None


STEPS = st.lists(
    st.tuples(
        st.floats(0.1, 5000),
        st.booleans(),  # in trouble
        st.booleans(),  # online
        st.booleans(),  # readable
        st.none() | st.floats(-10, 1e9),
    ),
    max_size=60,
)


@given(STEPS, st.floats(0, 0.999))
def test_whatever_happens_readings_keep_apart_and_wishes_are_kept(
    steps: list[tuple[float, bool, bool, bool, float | None]], dice: float
) -> None:
    reading = schedule(dice, Params())
    at, last, floor = 0.0, -1e9, 0.0
    for wait_s, troubled, online, readable, asked_s in steps:
        at += wait_s
        if reading.due(at, ["a"], troubled=("a",) if troubled else (), online=online):
            assert online
            assert at - last >= 59.9
            assert at >= floor
            last = at
            floor = at + min(max(asked_s or 0.0, 0.0), 86_400)
            reading.read("a", at, readable=readable, asked_s=asked_s)
            ahead = reading.next_at()
            assert ahead is not None
            assert at + 299.9 <= ahead <= at + 86_400 * 1.1
