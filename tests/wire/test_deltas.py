"""The grammar of the neutral stream."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.asks import streams

from holdfast.facts.outcomes import Failure, Usage
from holdfast.wire.deltas import (
    GRAMMAR,
    BlockEnded,
    Delta,
    Fault,
    Grammar,
    Opened,
    Ping,
    Stopped,
    TextDelta,
    ThinkingDelta,
    ToolArgsDelta,
    ToolCallBegun,
    UsageSeen,
)

FAULT = Fault(Failure(kind="truncated", where="in_stream"))


def complaints(*deltas: Delta) -> list[str]:
    grammar = Grammar()
    return [said for said in map(grammar.check, deltas) if said is not None]


@given(streams(), st.integers(0, 60))
def test_a_stream_of_the_grammar_has_no_fault_and_may_break_anywhere(
    deltas: list[Delta], cut: int
) -> None:
    assert complaints(*deltas) == []
    assert complaints(*deltas[: cut % len(deltas)], FAULT) == []


@pytest.mark.parametrize(
    ("deltas", "says"),
    [
        ([TextDelta(0, "x")], "TextDelta in state start"),
        ([Ping()], "Ping in state start"),
        ([Opened(), Opened()], "Opened in state between"),
        ([Opened(), TextDelta(1, "x")], "block 1, where 0"),
        ([Opened(), TextDelta(0, "x"), TextDelta(1, "y")], "block 1, where 0"),
        ([Opened(), TextDelta(0, "x"), ThinkingDelta(0, "y")], "ThinkingDelta in state text"),
        ([Opened(), TextDelta(0, "x"), BlockEnded(1)], "block 1, where 0"),
        ([Opened(), BlockEnded(0)], "BlockEnded in state between"),
        ([Opened(), ToolArgsDelta(0, "{}")], "ToolArgsDelta in state between"),
        ([Opened(), ToolCallBegun(0, "c", "f"), Stopped()], "Stopped in state call"),
        ([Opened(), Stopped(), Ping()], "Ping in state stopped"),
        ([Opened(), Stopped(), FAULT], "Fault in state stopped"),
        ([Opened(), FAULT, UsageSeen(Usage())], "UsageSeen in state stopped"),
    ],
)
def test_what_leaves_the_grammar_is_named(deltas: list[Delta], says: str) -> None:
    (said,) = complaints(*deltas)
    assert says in said


def test_every_state_can_be_reached_and_left() -> None:
    reached = {"start"} | {to for row in GRAMMAR.rows.values() for to in row.values()}
    assert reached == set(GRAMMAR.rows)
    assert [state for state, row in GRAMMAR.rows.items() if not row] == ["stopped"]
