"""A passing stream known by its deltas is what it is known for at a glance."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.wire.recorded import ALL, DONE, MESSAGE_STOP, Recorded

from holdfast.facts.outcomes import PieceKind, Usage
from holdfast.wire.deltas import Delta, Stopped, TextDelta, ThinkingDelta, UsageSeen
from holdfast.wire.kinds import Passing
from holdfast.wire.speak import DIALECTS
from holdfast.wire.sse import SseEvent, SseReader


class Says:
    """A reader of deltas to whom every event says the same."""

    def __init__(self, *deltas: Delta) -> None:
        self.deltas = deltas

    def read(self, _: SseEvent) -> Sequence[Delta]:
        return self.deltas

    def run(self, _: bytes) -> TextDelta | None:
        return None

    def close(self) -> Sequence[Delta]:
        return ()


ENDS = {"anthropic": MESSAGE_STOP, "openai": DONE}


def passing(recorded: Recorded) -> Passing:
    reader = DIALECTS[recorded.dialect].delta_reader("m")
    return Passing(reader, ENDS[recorded.dialect])


@pytest.mark.parametrize("recorded", [r for _, r in ALL], ids=[n for n, _ in ALL])
def test_each_recorded_stream_is_whole_with_its_usage(recorded: Recorded) -> None:
    reader = passing(recorded)
    kinds = [reader.read(event) for event in SseReader().feed(recorded.stream)]
    assert PieceKind.FAULT not in kinds or "several" in str(reader.failure)
    if PieceKind.FAULT not in kinds:
        assert reader.usage == recorded.usage
        assert kinds[-1] is PieceKind.END or reader.closing() == ENDS[recorded.dialect]
        assert not reader.flows(recorded.stream)


def test_nothing_that_speaks_stands_before_the_commit() -> None:
    for _, recorded in ALL:
        reader = passing(recorded)
        for event in SseReader().feed(recorded.stream):
            kind = reader.read(event)
            if not reader.spoke:
                assert kind is not PieceKind.CONTENT


def test_what_is_said_or_ended_beside_thinking_is_not_passed_over() -> None:
    """One event may hold all of it: a chunk with an empty thought, words and the end."""
    stopped = Stopped("end")
    for rest, kind in (
        ((), PieceKind.THINKING),
        ((TextDelta(0, "hi"),), PieceKind.CONTENT),
        ((stopped,), PieceKind.END),
    ):
        reader = Passing(Says(ThinkingDelta(0), UsageSeen(Usage(output=3)), *rest))
        assert reader.read(SseEvent(b"", b"", b"")) is kind
        assert reader.usage.output == 3
        assert reader.stopped is (stopped in rest)


def test_a_fault_says_how_and_a_cut_is_no_end() -> None:
    for dialect, speaking in DIALECTS.items():
        reader = Passing(speaking.delta_reader("m"), ENDS.get(dialect, b""))
        event, *_ = speaking.frames().feed(speaking.error_event("server_error", "no"))
        assert reader.read(event) is PieceKind.FAULT
        assert reader.failure is not None
        assert reader.failure.said.message == "no"
        assert reader.closing() is None
