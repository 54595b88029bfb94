"""Tools that ask on for ever are slowed, and nobody else is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.runaway import (
    FORGET_S,
    MANY,
    MARKS_MAX,
    PAUSE_MAX_S,
    WINDOW_S,
    Runaways,
)


def storm(length_s: float, every_s: float = 0.33) -> tuple[Runaways, int, float]:
    """A tool that asks again at once, whenever it is let: the guard, its requests, the time."""
    guard, asked, at = Runaways(), 0, 0.0
    while at < length_s:
        at += guard.pause_s("m", at) + every_s
        guard.ended("m", at, whole=False, name="opencode")
        asked += 1
    return guard, asked, at


def test_a_storm_of_three_a_second_becomes_three_a_minute() -> None:
    """Measured without a guard: 366 requests in 120 s."""
    _, asked, _ = storm(120.0)
    assert MANY < asked <= MANY + 10
    _, asked, _ = storm(600.0)
    assert asked <= MANY + 35


def test_it_is_said_and_over_with_a_whole_answer() -> None:
    guard, _, at = storm(120.0)
    (alarm,) = guard.alarms(at)
    assert alarm.startswith("opencode asks on and on")
    assert "waits 20 s" in alarm
    guard.ended("m", at, whole=True)
    assert guard.pause_s("m", at) == 0.0
    assert guard.alarms(at) == ()


def test_it_is_forgotten_when_it_stops() -> None:
    guard, _, at = storm(60.0)
    assert guard.pause_s("m", at + FORGET_S) > 0
    assert guard.alarms(at + FORGET_S + 1) == ()
    assert guard.pause_s("m", at + FORGET_S + 1) == 0.0
    assert len(guard) == 0


def test_a_patient_repeater_and_another_conversation_are_left_alone() -> None:
    guard, _, at = storm(60.0)
    assert guard.pause_s("other", at) == 0.0
    patient = Runaways()
    for number in range(100):
        now = number * WINDOW_S / (MANY - 2)
        patient.ended("m", now, whole=False)
        assert patient.pause_s("m", now) == 0.0


def test_whole_answers_never_slow_anybody() -> None:
    """A benchmark asks the same thousands of times, and means it."""
    guard = Runaways()
    for number in range(1000):
        guard.ended("m", number * 0.001, whole=True)
        assert guard.pause_s("m", number * 0.001) == 0.0
    assert len(guard) == 0


ENDS = st.tuples(st.sampled_from("abc"), st.floats(0, 400), st.booleans())


@given(st.lists(ENDS, max_size=200))
def test_pauses_are_bounded_and_only_grow_until_a_whole_answer(
    ends: list[tuple[str, float, bool]],
) -> None:
    guard, at, last = Runaways(), 0.0, {}
    for mark, later, whole in ends:
        before = guard.pause_s(mark, at)
        forgotten = later > FORGET_S
        at += later / 20 if not forgotten else later
        guard.ended(mark, at, whole=whole)
        after = guard.pause_s(mark, at)
        assert 0.0 <= after <= PAUSE_MAX_S
        if whole:
            assert after == 0.0
        elif at - last.get(mark, at) <= FORGET_S:
            assert after >= before
        last[mark] = at


@given(st.integers(MARKS_MAX, MARKS_MAX + 50))
def test_it_keeps_few_marks(count: int) -> None:
    guard = Runaways()
    for number in range(count):
        guard.ended(str(number), float(number), whole=False)
    assert len(guard) <= MARKS_MAX
