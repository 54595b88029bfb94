"""A stream that is one JSON array: its elements as they come, cut as events are.

Some dialects stream so where no events are asked for. What stands between two elements belongs to
the one behind it; the closing bracket is an event of its own whose data is `[DONE]`. A single
object in place of the array is its only element.
"""

from __future__ import annotations

import re

from holdfast.wire.halves import without_halves
from holdfast.wire.sse import EVENT_BYTES_MAX, SseEvent, WireError

CLOSED = b"[DONE]"
_MARK = re.compile(rb'["{}\[\]]')
_IN_TEXT = re.compile(rb'["\\]')


class ElementReader:
    """Incremental reader. All raws joined, and the rest, are exactly the bytes that were fed."""

    __slots__ = ("_at", "_base", "_begun", "_depth", "_quoted", "_tail")

    def __init__(self) -> None:
        self._tail = bytearray()
        self._at = 0  # how much of the tail was looked at
        self._begun = 0  # where the element in it begins
        self._depth = 0
        self._base = 0  # the depth between two elements: 1 within an array
        self._quoted = False

    def feed(self, data: bytes) -> list[SseEvent]:
        """Take bytes, return the elements that they completed.

        Raises WireError for brackets that do not match, and beyond the bound of an element.
        """
        buffer = self._tail
        buffer += data
        events: list[SseEvent] = []
        start = 0
        while found := (_IN_TEXT if self._quoted else _MARK).search(buffer, self._at):
            mark, self._at = found[0], found.end()
            if mark == b"\\":
                if self._at == len(buffer):
                    self._at -= 1  # what it escapes may still come
                    break
                self._at += 1
            elif mark == b'"':
                self._quoted = not self._quoted
            elif self._bracket(mark, found.start()):
                behind = self._behind(buffer)
                raw = bytes(buffer[start:behind])
                whole = bytes(buffer[self._begun : self._at]) if mark == b"}" else CLOSED
                events.append(SseEvent(raw, b"", without_halves(whole)))
                start = self._at = behind
        else:
            self._at = len(buffer)
        del buffer[:start]
        self._at -= start
        self._begun -= start
        if len(buffer) > EVENT_BYTES_MAX:
            raise WireError(f"an element of the stream is larger than {EVENT_BYTES_MAX >> 20} MB")
        return events

    def _bracket(self, mark: bytes, at: int) -> bool:
        """Whether this bracket ends an element, or the array."""
        if mark in b"{[":
            if mark == b"[" and self._depth == 0:
                self._base = 1
            elif self._depth == self._base:
                self._begun = at
            self._depth += 1
            return False
        self._depth -= 1
        if self._depth < 0:
            raise WireError("the stream closes a bracket that it did not open")
        if mark == b"]":
            return self._depth == 0
        return self._depth == self._base

    def _behind(self, buffer: bytearray) -> int:
        """Where the event ends: white space behind the closing bracket belongs to it."""
        if self._depth or not self._base:
            return self._at
        rest = buffer[self._at :]
        return self._at + len(rest) - len(rest.lstrip())

    def ahead(self, data: bytes) -> bytes:  # noqa: ARG002 - a promise of the protocol
        """Never known at a glance."""
        return b""

    def passed(self, block: bytes, data: bytes) -> None:
        """Nothing is passed at a glance here."""

    def finish(self) -> SseEvent | None:
        """What is left of an element that did not end; None where there is none."""
        rest = bytes(self._tail)
        return SseEvent(rest, b"", rest) if rest.strip(b" \t\r\n,[") else None
