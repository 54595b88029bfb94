"""News for the person at the terminal: who went down, who is back, what is alarming."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from holdfast.core.board import SegmentRow
from holdfast.core.serving import told
from holdfast.facts.places import Segment


class News:
    """Compares the board with what it was at the last look. Says each thing once."""

    __slots__ = ("_alarms", "_down")

    def __init__(self) -> None:
        self._down: dict[Segment, float] = {}
        self._alarms: set[str] = set()

    def read(self, rows: Sequence[SegmentRow], alarms: Iterable[str]) -> list[str]:
        """Sentences about what is new since the last reading."""
        sentences = []
        troubled = {row.segment: row for row in rows if row.state in ("down", "probation")}
        for segment, row in troubled.items():
            if segment not in self._down and row.state == "down":
                self._down[segment] = row.since
                whose = f", {WHOSE[row.whose]}" if row.whose in WHOSE else ""
                sentences.append(f"not asked for now: {segment} ({told(row)}){whose}")
        for segment in [segment for segment in self._down if segment not in troubled]:
            del self._down[segment]
            sentences.append(f"asked again: {segment}")
        present = set(alarms)
        sentences += [f"alarm: {alarm}" for alarm in sorted(present - self._alarms)]
        sentences += [f"over: {alarm}" for alarm in sorted(self._alarms - present)]
        self._alarms = present
        return sentences


WHOSE = {
    "provider": "the provider's fault",
    "account": "a matter of your account there",
    "network": "the network on the way",
    "local": "the engine on this machine",
    "intermediary": "something in between",
    "unknown": "whose fault is not clear yet",
}
