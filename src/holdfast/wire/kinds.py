"""A stream of the client's own dialect, known by its deltas: for dialects without a quicker way."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.facts.outcomes import Failure, PieceKind, Usage
from holdfast.wire.deltas import (
    BlockEnded,
    Delta,
    DeltaReader,
    Fault,
    Opened,
    Ping,
    Stopped,
    ThinkingDelta,
    ToolArgsDelta,
    ToolCallBegun,
    UsageSeen,
)
from holdfast.wire.sse import SseEvent

_QUIET = (Opened, Ping, UsageSeen, BlockEnded)


class Passing:
    """A `speech.Reader` made of a reader of deltas. `end` is the event that ends a stream of the
    dialect, b"" where none is added to an answer that is whole without it.
    """

    __slots__ = ("_end", "_reader", "failure", "missing", "spoke", "stopped", "usage")

    def __init__(self, reader: DeltaReader, end: bytes = b"") -> None:
        self._reader = reader
        self._end = end
        self.usage = Usage()
        self.spoke = False
        self.stopped = False
        self.missing = b""
        self.failure: Failure | None = None

    def read(self, event: SseEvent) -> PieceKind:
        """What this event is. Never raises."""
        deltas = self._reader.read(event)
        kind = PieceKind.PING if _pings(deltas) else PieceKind.OPENING
        for delta in deltas:
            if isinstance(delta, Fault):
                self.failure = delta.failure
                return PieceKind.FAULT
            if isinstance(delta, Stopped):
                self.stopped = True
                return PieceKind.END
            if isinstance(delta, UsageSeen):
                self.usage = delta.usage
            elif _speaks(delta):
                self.spoke = True
                kind = PieceKind.CONTENT
            elif isinstance(delta, ThinkingDelta) and kind is PieceKind.OPENING:
                kind = PieceKind.THINKING
        if self.spoke and kind is PieceKind.OPENING:
            return PieceKind.CONTENT
        return kind

    def flows(self, block: bytes) -> bool:  # noqa: ARG002 - a promise of the protocol
        """Never known at a glance."""
        return False

    def closing(self) -> bytes | None:
        """The terminal event where the answer is whole."""
        self.stopped = any(isinstance(delta, Stopped) for delta in self._reader.close())
        return self._end if self.stopped else None


def _pings(deltas: Sequence[Delta]) -> bool:
    return all(isinstance(delta, Ping) for delta in deltas)


def _speaks(delta: Delta) -> bool:
    """Whether there is anything in it."""
    if isinstance(delta, _QUIET):
        return False
    if isinstance(delta, ThinkingDelta):
        return not delta.announces
    if isinstance(delta, ToolCallBegun):
        return True
    return bool(delta.json if isinstance(delta, ToolArgsDelta) else getattr(delta, "text", ""))
