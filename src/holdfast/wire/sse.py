"""Server-sent events, read from bytes as they come.

After the WHATWG specification's "event stream interpretation": lines end in LF, CRLF or CR, a
blank line ends an event, lines that begin with `:` are comments, several `data` lines are joined
by LF, one BOM at the very start is passed over. Unlike a browser's reader this one keeps the raw
bytes of each event, because what is passed on is passed on untouched.
"""

from __future__ import annotations

from msgspec import Struct

LINE_BYTES_MAX = 8 << 20
EVENT_BYTES_MAX = 16 << 20
BOM = b"\xef\xbb\xbf"


class WireError(Exception):
    """Bytes that are not of the format, or beyond its bounds. The text says which."""


class SseEvent(Struct, frozen=True):
    """One event: the raw bytes, its ending blank line included; its name; its joined data.

    An event of comments only has neither name nor data.
    """

    raw: bytes
    event: bytes
    data: bytes


class SseReader:
    """Incremental reader. All raws joined, and `tail`, are exactly the bytes that were fed."""

    __slots__ = ("_buffer", "_scanned", "_started")

    def __init__(self) -> None:
        self._buffer = b""
        self._scanned = 0
        self._started = False

    @property
    def tail(self) -> bytes:
        """The bytes of an event that has not ended yet."""
        return self._buffer

    def feed(self, data: bytes) -> list[SseEvent]:
        """Take bytes, return the events that they completed.

        Raises WireError when a line or an event goes beyond its bound.
        """
        buffer = self._buffer + data if self._buffer else data
        events: list[SseEvent] = []
        start = 0
        if b"\r" in buffer:
            start = self._feed_any(buffer, events)
        else:
            # The usual case: LF only, so an event ends at the first empty line.
            scan = self._scanned
            while (end := buffer.find(b"\n\n", max(scan, start))) >= 0:
                raw = buffer[start : end + 2]
                events.append(self._event(raw))
                start = end + 2
        self._buffer = buffer[start:]
        self._scanned = max(0, len(self._buffer) - 3)
        if len(self._buffer) > LINE_BYTES_MAX:
            self._check_bounds()
        return events

    def _feed_any(self, buffer: bytes, events: list[SseEvent]) -> int:
        """Events among any mixture of line ends; returns where the unfinished one begins."""
        start = 0
        line = 0
        at = 0
        size = len(buffer)
        while at < size:
            lf, cr = buffer.find(b"\n", at), buffer.find(b"\r", at)
            ends = [end for end in (lf, cr) if end >= 0]
            if not ends:
                break
            end = min(ends)
            behind = end + 1
            if buffer[end] == 13:
                if behind == size:
                    break  # the LF of a CRLF may still come
                if buffer[behind] == 10:
                    behind += 1
            if end == line:
                events.append(self._event(buffer[start:behind]))
                start = behind
            line = at = behind
        return start

    def _check_bounds(self) -> None:
        if len(self._buffer) > EVENT_BYTES_MAX:
            raise WireError(f"an event of the stream is larger than {EVENT_BYTES_MAX >> 20} MB")
        if max(map(len, self._buffer.splitlines())) > LINE_BYTES_MAX:
            raise WireError(f"a line of the stream is larger than {LINE_BYTES_MAX >> 20} MB")

    def _event(self, raw: bytes) -> SseEvent:
        text = raw
        if not self._started:
            self._started = True
            text = raw.removeprefix(BOM)
        name = b""
        data: list[bytes] = []
        for line in lines_of(text):
            if line.startswith(b"data:"):
                data.append(line[6:] if line[5:6] == b" " else line[5:])
            elif line.startswith(b"event:"):
                name = line[6:].strip()
            elif line == b"data":
                data.append(b"")
        return SseEvent(raw, name, data[0] if len(data) == 1 else b"\n".join(data))


def lines_of(text: bytes) -> list[bytes]:
    """Lines by the three line ends of the format, and no others."""
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return text.split(b"\n")
