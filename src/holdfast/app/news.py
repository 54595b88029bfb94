"""News for the person at the terminal: who went down, who is back, what is alarming."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from holdfast.core.board import SegmentRow
from holdfast.core.serving import told
from holdfast.facts.places import Segment

# An alarm that only counts further ("6854 records wait") is the same one.
_NUMBER = re.compile(r"(?<!\S)\d+(?!\S)")


class News:
    """Compares the board with what it was at the last look. Says each thing once."""

    __slots__ = ("_alarms", "_down")

    def __init__(self) -> None:
        self._down: dict[Segment, float] = {}
        self._alarms: dict[str, str] = {}

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
        present = {_NUMBER.sub("", alarm): alarm for alarm in alarms}
        began, ended = present.keys() - self._alarms.keys(), self._alarms.keys() - present.keys()
        sentences += [f"alarm: {present[alarm]}" for alarm in sorted(began)]
        sentences += [f"over: {self._alarms[alarm]}" for alarm in sorted(ended)]
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
