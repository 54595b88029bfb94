"""Answers for clients that did not ask to see what a model thinks.

Where a dialect gives thoughts a place among the words, programs that never asked for any read the
first block as the answer. So they are left out, and a sign of life stands in for them.
"""

from __future__ import annotations

import msgspec

from holdfast.wire.deltas import BlockEnded, Delta, DeltaWriter, Of, Ping, ThinkingDelta
from holdfast.wire.speech import Answer, Thinking

PING_CHARS = 400  # of thoughts, for each sign of life


class QuietWriter:
    """Writes one stream without its thoughts: the blocks behind them move up."""

    __slots__ = ("_hidden", "_open", "_others", "_unsaid", "_writer", "several")

    def __init__(self, writer: DeltaWriter) -> None:
        self.several = writer.several
        self._writer = writer
        self._others: dict[int, QuietWriter] = {}  # of the other answers, where there are several
        self._hidden = 0  # blocks that were left out
        self._open = False  # whether one of them is on its way
        self._unsaid = 0  # characters since the last sign of life

    def write(self, delta: Delta) -> bytes:
        """The events that say this, or that somebody thinks."""
        if isinstance(delta, Of):
            return self._other(delta.choice).write(delta.delta)
        if isinstance(delta, ThinkingDelta):
            return self._thinking(len(delta.text))
        if self._open and isinstance(delta, BlockEnded):
            self._open = False
            return b""
        if self._hidden and hasattr(delta, "index"):
            delta = msgspec.structs.replace(delta, index=delta.index - self._hidden)
        return self._writer.write(delta)

    def _other(self, number: int) -> QuietWriter:
        if number not in self._others:
            self._others[number] = QuietWriter(_Other(self._writer, number))
        return self._others[number]

    def _thinking(self, chars: int) -> bytes:
        begins, self._open = not self._open, True
        self._hidden += begins
        self._unsaid += chars
        if not begins and self._unsaid < PING_CHARS:
            return b""
        self._unsaid = 0
        return self._writer.write(Ping())


class _Other:
    """Writes what another of several answers says; signs of life are nobody's."""

    __slots__ = ("_number", "_writer", "several")

    def __init__(self, writer: DeltaWriter, number: int) -> None:
        self.several = False
        self._writer = writer
        self._number = number

    def write(self, delta: Delta) -> bytes:
        return self._writer.write(delta if isinstance(delta, Ping) else Of(self._number, delta))


def quiet(answer: Answer) -> Answer:
    """A whole answer without its thoughts."""
    choices = tuple(
        msgspec.structs.replace(
            choice, parts=tuple(part for part in choice.parts if not isinstance(part, Thinking))
        )
        for choice in answer.choices
    )
    return msgspec.structs.replace(answer, choices=choices)
