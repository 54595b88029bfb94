"""Lines of JSON as a stream: the same promises as `wire.sse`, each line an event's data."""

from __future__ import annotations

from holdfast.wire.halves import without_halves
from holdfast.wire.sse import LINE_BYTES_MAX, SseEvent, WireError


class LineReader:
    """Incremental reader of newline-delimited JSON. All raws joined are the bytes that were fed."""

    __slots__ = ("_tail",)

    def __init__(self) -> None:
        self._tail = bytearray()

    def feed(self, data: bytes) -> list[SseEvent]:
        """Take bytes, return the lines that they completed. Raises WireError beyond the bound."""
        searched = len(self._tail)
        self._tail += data
        end = self._tail.rfind(b"\n", searched)
        if end < 0:
            if len(self._tail) > LINE_BYTES_MAX:
                raise WireError(f"a line of the stream is larger than {LINE_BYTES_MAX >> 20} MB")
            return []
        whole = bytes(self._tail[: end + 1])
        del self._tail[: end + 1]
        return [_event(line + b"\n") for line in whole[:-1].split(b"\n")]

    def ahead(self, data: bytes) -> bytes:  # noqa: ARG002 - nothing is known at a glance
        """Nothing: every line is read."""
        return b""

    def passed(self, block: bytes, data: bytes) -> None:
        """Never called, as nothing is seen ahead."""

    def finish(self) -> SseEvent | None:
        """The line that the bytes end in, as if it were complete; None where there is none."""
        line = bytes(self._tail)
        self._tail.clear()
        return _event(line) if line.strip() else None


def _event(line: bytes) -> SseEvent:
    return SseEvent(line, b"", without_halves(line.strip()))
