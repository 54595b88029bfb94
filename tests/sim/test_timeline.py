"""Timelines: which request meets which fault, and when."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.sim.timeline import SCENARIOS, Span, Timeline


def fault(timeline: Timeline, at_s: float, dice: float = 0.0, **who: str) -> str | None:
    return timeline.fault(
        at_s,
        who.get("surface", "messages"),
        who.get("model", "m"),
        who.get("credential", "k"),
        dice,
    )


def test_a_span_begins_at_once_and_ends_before_its_end() -> None:
    timeline = Timeline((Span(from_s=1, until_s=2, fault="error"),))
    assert [fault(timeline, at) for at in (0.9, 1.0, 1.9, 2.0)] == [None, "error", "error", None]


def test_a_span_may_be_narrowed_to_surface_model_and_credential() -> None:
    """What is not covered works: that is what a partial outage is."""
    span = Span(
        from_s=0,
        until_s=9,
        fault="error",
        surfaces=("messages",),
        models=("claude-*",),
        credentials=("k",),
    )
    timeline = Timeline((span,))
    assert fault(timeline, 1, model="claude-x") == "error"
    assert fault(timeline, 1, model="gpt") is None
    assert fault(timeline, 1, model="claude-x", surface="models") is None
    assert fault(timeline, 1, model="claude-x", credential="other") is None


def test_of_spans_that_overlap_the_first_that_the_dice_picks_decides() -> None:
    timeline = Timeline(
        (
            Span(from_s=0, until_s=9, fault="error", probability=0.3),
            Span(from_s=0, until_s=9, fault="slow", probability=0.7),
        )
    )
    assert [fault(timeline, 1, dice) for dice in (0.1, 0.5, 0.9)] == ["error", "slow", None]


@given(
    st.sampled_from(sorted(SCENARIOS)),
    st.floats(0, 300),
    st.sampled_from([0.125, 0.25, 2.0, 8.0]),
    st.floats(0, 0.999),
)
def test_scaling_moves_times_and_nothing_else(
    name: str, at_s: float, factor: float, dice: float
) -> None:
    """The scaled scenario at the scaled time is the scenario at the time."""
    scenario = SCENARIOS[name]
    assert fault(scenario.scaled(factor), at_s * factor, dice) == fault(scenario, at_s, dice)
    assert scenario.scaled(factor).length_s == scenario.length_s * factor


def test_a_scenario_cannot_be_scaled_away() -> None:
    with pytest.raises(ValueError, match="0 times as long"):
        SCENARIOS["article"].scaled(0)


def test_shifted_scenarios_begin_later() -> None:
    later = SCENARIOS["blackhole"].shifted(100)
    assert not later.troubled(50)
    assert later.troubled(150)


@pytest.mark.parametrize("name", sorted(set(SCENARIOS) - {"steady"}))
def test_each_scenario_begins_well_has_trouble_and_recovers(name: str) -> None:
    """A rehearsal shows all three: the usual, the fault and the way back."""
    scenario = SCENARIOS[name]
    assert scenario.says
    assert not scenario.troubled(0)
    assert any(scenario.troubled(at) for at in range(int(scenario.length_s)))
    assert max(span.until_s for span in scenario.spans) < scenario.length_s
