"""What a stream of deltas says, whatever the number of deltas that it says it in."""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.facts.outcomes import Usage
from holdfast.wire.deltas import (
    BlockEnded,
    Delta,
    DeltaReader,
    Fault,
    Grammar,
    Opened,
    RefusalDelta,
    Stopped,
    TextDelta,
    ThinkingDelta,
    ToolArgsDelta,
    ToolCallBegun,
    UsageSeen,
)
from holdfast.wire.mend import Mender
from holdfast.wire.speech import Framer
from holdfast.wire.sse import SseReader

_KINDS = {TextDelta: "text", RefusalDelta: "refusal", ThinkingDelta: "thinking"}


class Says:
    """The sum of a stream: its blocks as (kind, words), its calls, its end."""

    def __init__(self, deltas: Iterable[Delta]) -> None:
        self.opened: Opened | None = None
        self.blocks: list[tuple[str, str]] = []
        self.calls: list[tuple[str, str, str]] = []
        self.stop = ""
        self.usage = Usage()
        open_ = False
        for delta in deltas:
            if isinstance(delta, Opened):
                self.opened = delta
            elif isinstance(delta, ToolCallBegun):
                self.calls.append((delta.id, delta.name, ""))
            elif isinstance(delta, ToolArgsDelta):
                id_, name, json = self.calls[-1]
                self.calls[-1] = (id_, name, json + delta.json)
            elif isinstance(delta, TextDelta | RefusalDelta | ThinkingDelta):
                kind = _KINDS[type(delta)]
                before = self.blocks.pop()[1] if open_ else ""
                self.blocks.append((kind, before + delta.text))
                open_ = True
            elif isinstance(delta, BlockEnded):
                open_ = False
            elif isinstance(delta, UsageSeen):
                self.usage = delta.usage
            elif isinstance(delta, Stopped):
                self.stop = delta.stop

    def joined(self, kind: str) -> str:
        return "".join(words for found, words in self.blocks if found == kind)


says = Says


def mended(reader: DeltaReader, stream: bytes, frames: Framer | None = None) -> list[Delta]:
    """The neutral stream that these bytes become; it is held against the grammar."""
    mender, grammar, found = Mender("m"), Grammar(), []
    for event in (frames or SseReader()).feed(stream):
        for raw in reader.read(event):
            for delta in mender.mend(raw):
                assert grammar.check(delta) is None
                found.append(delta)
                if isinstance(delta, Stopped | Fault):
                    return found
    return found
