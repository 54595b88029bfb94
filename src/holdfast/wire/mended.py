"""Streams that pass and are mended on the way, event by event, where they leave their grammar."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from holdfast.wire.speech import EventMender, Framer
from holdfast.wire.sse import SseEvent, SseReader

_encode = msgspec.json.encode
_fields = msgspec.json.Decoder(dict[str, Raw]).decode


class AsItCame:
    """Mends nothing: the dialect has no engines whose faults are known."""

    def mend(self, event: SseEvent) -> tuple[SseEvent, ...]:
        return (event,)


class MendedFrames:
    """A framer whose events are mended before anybody reads them."""

    __slots__ = ("_frames", "_mender")

    def __init__(self, frames: Framer, mender: EventMender) -> None:
        self._frames = frames
        self._mender = mender

    def feed(self, data: bytes) -> list[SseEvent]:
        mend = self._mender.mend
        return [mended for event in self._frames.feed(data) for mended in mend(event)]

    def ahead(self, data: bytes) -> bytes:  # noqa: ARG002 - nothing is known at a glance
        """Nothing: every event is read."""
        return b""

    def passed(self, block: bytes, data: bytes) -> None:
        """Never called, as nothing is seen ahead."""

    def finish(self) -> SseEvent | None:
        last = self._frames.finish()
        if last is None:
            return None
        found = self._mender.mend(last)
        if len(found) == 1:
            return found[0]
        raw = b"".join(event.raw for event in found)
        return SseEvent(raw, found[-1].event, found[-1].data) if found else None


def patched(json: bytes, **fields: object) -> bytes:
    """An object of JSON with these fields in place of its own; all others keep their bytes.

    Raises one of UNREADABLE where it is no object.
    """
    return _encode({**_fields(json), **fields})


def event_of(raw: bytes) -> SseEvent:
    """The one event that these bytes are."""
    return SseReader().feed(raw)[0]


def named(kind: str, data: bytes) -> SseEvent:
    """An event with its name, as it is written."""
    name = kind.encode()
    return SseEvent(b"event: %b\ndata: %b\n\n" % (name, data), name, data)
