"""What a conversation left with a provider is there when it returns, for a while."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wire.asks import ASKS, CALLS

from holdfast.wire import crossings
from holdfast.wire.crossings import KEPT_S, Crossings, Gathered
from holdfast.wire.deltas import Opened, Stopped, ThinkingDelta, ToolCallBegun
from holdfast.wire.speech import Ask, Part, Text, Thinking, ToolCall, ToolResult, Turn

SIGNED = Thinking("hm", "EqQB", origin="anthropic")


def ask(*ids: str) -> Ask:
    """A conversation as the client knows it, each turn of the model with one call."""
    turns = [Turn("user", (Text("x"),))]
    for id_ in ids:
        turns += [
            Turn("assistant", (ToolCall(id_, "f"),)),
            Turn("user", (ToolResult(id_, (Text("1"),)),)),
        ]
    return Ask(turns=tuple(turns))


def thoughts(ask: Ask) -> list[Part]:
    return [part for turn in ask.turns for part in turn.parts if isinstance(part, Thinking)]


def test_what_was_signed_returns_to_who_signed_it_and_to_nobody_else() -> None:
    kept = Crossings()
    kept.keep("a", (SIGNED, ToolCall("long-id", "f")), ("id",), 0.0)
    back = kept.restored(ask("id"), "a", 1.0)
    assert back.turns[1].parts == (SIGNED, ToolCall("long-id", "f"))
    assert back.turns[2].parts == (ToolResult("long-id", (Text("1"),)),)
    assert kept.restored(ask("id"), "b", 1.0) == ask("id")
    assert kept.restored(ask("other"), "a", 1.0) == ask("other")
    assert kept.restored(ask("id"), "a", KEPT_S + 1) == ask("id")


def test_what_was_kept_for_one_credential_returns_with_that_one_alone() -> None:
    """Engines count their calls from one, and so do other people's."""
    kept = Crossings()
    kept.keep("p", (SIGNED, ToolCall("long-id", "f")), ("id",), 0.0, owner="a")
    assert kept.restored(ask("id"), "p", 1.0, owner="b") == ask("id")
    kept.keep("p", (ToolCall("b-id", "f"),), ("id",), 0.0, owner="b")
    assert thoughts(kept.restored(ask("id"), "p", 1.0, owner="a")) == [SIGNED]
    assert thoughts(kept.restored(ask("id"), "p", 1.0, owner="b")) == []


def test_of_parallel_calls_the_first_has_the_thoughts() -> None:
    kept = Crossings()
    kept.keep("a", (SIGNED, ToolCall("c", "f"), ToolCall("d", "f")), ("c", "d"), 0.0)
    both = Ask(turns=(Turn("assistant", (Text("t"), ToolCall("c", "f"), ToolCall("d", "f"))),))
    assert kept.restored(both, "a", 0.0).turns[0].parts == (SIGNED, *both.turns[0].parts)
    assert len(kept) == 1


def test_thoughts_that_nobody_signed_are_not_kept() -> None:
    kept = Crossings()
    kept.keep("a", (Thinking("hm", origin="openai"), ToolCall("c", "f")), ("c",), 0.0)
    assert len(kept) == 0


@settings(max_examples=25)
@given(st.lists(CALLS, min_size=1, max_size=5, unique_by=lambda call: call.id), ASKS)
def test_who_has_left_nothing_is_asked_as_it_is(calls: list[ToolCall], other: Ask) -> None:
    kept = Crossings()
    assert kept.restored(other, "a", 0.0) is other
    for call in calls:
        kept.keep("a", (SIGNED, msgspec.structs.replace(call, name="!")), (call.id,), 0.0)
    assert kept.restored(other, "a", 0.0) == other


def test_the_memory_is_bounded_and_the_oldest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crossings, "KEPT_MAX", 3)
    kept = Crossings()
    for number in range(5):
        kept.keep("a", (SIGNED, ToolCall(str(number), "f")), (str(number),), 0.0)
    assert len(kept) == 3
    assert len(thoughts(kept.restored(ask(*"01234"), "a", 0.0))) == 3
    monkeypatch.setattr(crossings, "KEPT_BYTES_MAX", 500)
    kept.keep("a", (SIGNED, ToolCall("9", "f")), ("9",), 0.0)
    assert len(kept) == 2
    kept.keep("a", (Thinking("x" * 600, "s"), ToolCall("10", "f")), ("10",), 0.0)
    assert len(kept) == 0


def test_a_stream_gathers_what_is_to_be_kept() -> None:
    gathered = Gathered()
    for delta in (
        Opened(),
        ThinkingDelta(0, "h", origin="anthropic"),
        ThinkingDelta(0, "m", origin="anthropic"),
        ThinkingDelta(0, signature="EqQB", origin="anthropic"),
        ToolCallBegun(1, "c", "f"),
    ):
        assert gathered.see(delta) is None
    assert gathered.see(Stopped()) == (SIGNED, ToolCall("c", "f"))
    assert Gathered().see(Stopped()) is None
