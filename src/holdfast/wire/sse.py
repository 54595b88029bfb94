"""Server-sent events, read from bytes as they come.

After the WHATWG specification's "event stream interpretation": lines end in LF, CRLF or CR, a
blank line ends an event, lines that begin with `:` are comments, several `data` lines are joined
by LF, one BOM at the very start is passed over. Unlike a browser's reader this one keeps the raw
bytes of each event, because what is passed on is passed on untouched; its data is readable JSON
where it is JSON (`wire.halves`).
"""

from __future__ import annotations

import re

from msgspec import Struct

from holdfast.wire.halves import without_halves

LINE_BYTES_MAX = 8 << 20
EVENT_BYTES_MAX = 16 << 20
BOM = b"\xef\xbb\xbf"
_AHEAD_BYTES_MAX = 1 << 16
_LINE_END = re.compile(rb"\r\n|\n|\r")


class WireError(Exception):
    """Bytes that are not of the format, or beyond its bounds. The text says which."""


class SseEvent(Struct, frozen=True, gc=False):
    """One event: the raw bytes, its ending blank line included; its name; its joined data.

    An event of comments only has neither name nor data.
    """

    raw: bytes
    event: bytes
    data: bytes


class SseReader:
    """Incremental reader. All raws joined, and `tail`, are exactly the bytes that were fed.

    Each byte is looked at a bounded number of times, however the bytes are cut: what was already
    searched for line ends is not searched again.
    """

    __slots__ = ("_line", "_mixed", "_seen", "_started", "_tail")

    def __init__(self) -> None:
        self._tail: bytes | bytearray = b""
        self._seen = 0  # how much of the tail was searched
        self._line = 0  # where its last line begins (kept for mixed line ends only)
        self._mixed = False
        self._started = False

    @property
    def tail(self) -> bytes:
        """The bytes of an event that has not ended yet."""
        return bytes(self._tail)

    def feed(self, data: bytes) -> list[SseEvent]:
        """Take bytes, return the events that they completed.

        Raises WireError when a line or an event goes beyond its bound.
        """
        buffer: bytes | bytearray = data
        if self._tail:
            if isinstance(self._tail, bytes):
                self._tail = bytearray(self._tail)
            self._tail += data
            buffer = self._tail
        if not self._mixed and data.find(b"\r") >= 0:
            self._mixed = True
            self._seen = self._line = 0
        events: list[SseEvent] = []
        start = self._cut_mixed(buffer, events) if self._mixed else self._cut(buffer, events)
        if start == len(buffer):
            self._tail = b""
            self._seen = self._line = 0
            return events
        if start or buffer is data:
            self._tail = buffer[start:]
            self._line = max(self._line - start, 0)
        self._seen = max(self._seen - start, 0)
        if len(self._tail) > LINE_BYTES_MAX:
            self._check_bounds()
        return events

    def ahead(self, data: bytes) -> bytes:
        """The whole events that these bytes would complete, or b"" where that takes a closer look.

        Nothing is taken in: `passed` or `feed` follows, with the same bytes. Where the very bytes
        come back, they are whole events by themselves and there is nothing to take in.
        """
        if self._mixed or not self._started or len(self._tail) > _AHEAD_BYTES_MAX:
            return b""
        if data.find(b"\r") >= 0:  # `in` first fails to take the bytes for a number
            return b""
        buffer = bytes(self._tail) + data if self._tail else data
        if buffer.endswith(b"\n\n"):
            return buffer
        end = buffer.rfind(b"\n\n")
        return buffer[: end + 2] if end >= 0 else b""

    def passed(self, block: bytes, data: bytes) -> None:
        """Take bytes whose whole events, `block`, have been dealt with."""
        rest = len(self._tail) + len(data) - len(block)
        self._tail = data[len(data) - rest :]
        self._seen = self._line = 0

    def finish(self) -> SseEvent | None:
        """The event that the bytes end in, as if it were complete; None where there is none."""
        events = self.feed(b"\n\n") if self._tail.strip() else []
        return next((event for event in events if event.data), None)

    def _cut(self, buffer: bytes | bytearray, events: list[SseEvent]) -> int:
        """The usual case, LF only: an event ends at the first empty line."""
        start = 0
        scan = self._seen
        while (end := buffer.find(b"\n\n", scan)) >= 0:
            behind = end + 2
            events.append(self._event(bytes(buffer[start:behind])))
            start = scan = behind
        self._seen = len(buffer) - 1
        return start

    def _cut_mixed(self, buffer: bytes | bytearray, events: list[SseEvent]) -> int:
        """Events among any mixture of line ends; returns where the unfinished one begins."""
        start, line, size = 0, self._line, len(buffer)
        self._seen, scan = size, self._seen
        for found in _LINE_END.finditer(buffer, scan):
            end, behind = found.span()
            if behind == size and buffer[behind - 1] == 13:
                self._seen = end  # the LF of a CRLF may still come
                break
            if end == line:
                events.append(self._event(bytes(buffer[start:behind])))
                start = behind
            line = behind
        self._line = line
        return start

    def _check_bounds(self) -> None:
        tail = self._tail
        if len(tail) > EVENT_BYTES_MAX:
            raise WireError(f"an event of the stream is larger than {EVENT_BYTES_MAX >> 20} MB")
        since = len(tail) - LINE_BYTES_MAX - 1
        if tail.rfind(b"\n", since) < 0 and tail.rfind(b"\r", since) < 0:
            raise WireError(f"a line of the stream is larger than {LINE_BYTES_MAX >> 20} MB")

    def _event(self, raw: bytes) -> SseEvent:
        text = raw
        if not self._started:
            self._started = True
            text = raw.removeprefix(BOM)
        if not self._mixed:
            # The two forms that nearly every event has; anything else goes the long way.
            last = len(text) - 2
            if text.startswith(b"data: ") and text.find(b"\n") == last:
                return SseEvent(raw, b"", without_halves(text[6:last]))
            if text.startswith(b"event: "):
                end = text.find(b"\n")
                if text.startswith(b"data: ", end + 1) and text.find(b"\n", end + 1) == last:
                    data = without_halves(text[end + 7 : last])
                    return SseEvent(raw, text[7:end].strip(), data)
        name, data = fields(text)
        return SseEvent(raw, name, without_halves(data))


def fields(text: bytes) -> tuple[bytes, bytes]:
    """Name and joined data of one event, by the format's three line ends and no others."""
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    name = b""
    data: list[bytes] = []
    for line in text.split(b"\n"):
        if line.startswith(b"data:"):
            data.append(line[6:] if line[5:6] == b" " else line[5:])
        elif line.startswith(b"event:"):
            name = line[6:].strip()
        elif line == b"data":
            data.append(b"")
    return name, data[0] if len(data) == 1 else b"\n".join(data)
