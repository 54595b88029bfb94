"""Answers that come as streams, though they were asked for in one piece: gathered into such.

Some relays and engines always stream. Nothing is said to the client before the end of the stream,
so that one that is cut off is a failure like any other before the first word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from holdfast.facts.calls import Headers
from holdfast.facts.outcomes import CONTENT, END, Piece, PieceKind, Usage
from holdfast.wire.deltas import (
    BlockEnded,
    Delta,
    Odds,
    Of,
    Opened,
    RefusalDelta,
    Stopped,
    TextDelta,
    ThinkingDelta,
    ToolArgsDelta,
    ToolCallBegun,
    UsageSeen,
)
from holdfast.wire.speech import (
    Answer,
    CannotCrossError,
    Choice,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from holdfast.wire.tap import AroundTap, Tap, fault


class _Gathered:
    """One of the answers of a stream, as far as it came."""

    __slots__ = ("block", "odds", "parts", "stopped")

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.block: list[Delta] = []  # of the part that is on its way
        self.odds: list[bytes] = []
        self.stopped = Stopped()

    def see(self, delta: Delta) -> None:
        if isinstance(delta, BlockEnded):
            self.parts.append(_part(self.block))
            self.block = []
        elif isinstance(delta, Odds):
            self.odds.append(delta.tokens.strip()[1:-1])  # a list in a list of lists
        elif isinstance(delta, Stopped):
            self.stopped = delta
        elif hasattr(delta, "index"):
            self.block.append(delta)

    def choice(self) -> Choice:
        odds = b'{"content":[%b]}' % b",".join(self.odds) if self.odds else b""
        return Choice(tuple(self.parts), self.stopped.stop, self.stopped.sequence, odds)


def _part(block: Sequence[Delta]) -> Part:
    """The part that these deltas say, one block of the grammar."""
    first = block[0]
    if isinstance(first, ToolCallBegun):
        json = "".join(delta.json for delta in block if isinstance(delta, ToolArgsDelta))
        return ToolCall(first.id, first.name, json or "{}")
    if isinstance(first, ThinkingDelta):
        thoughts = [delta for delta in block if isinstance(delta, ThinkingDelta)]
        return Thinking(
            "".join(delta.text for delta in thoughts),
            "".join(delta.signature for delta in thoughts),
            "".join(delta.data for delta in thoughts),
            first.origin,
        )
    words = "".join(delta.text for delta in block if isinstance(delta, TextDelta | RefusalDelta))
    return Refusal(words) if isinstance(first, RefusalDelta) else Text(words)


class Gatherer:
    """Stands where a stream is written, and keeps what it says: `answer`, once it stopped."""

    several = True
    __slots__ = ("_choices", "_opened", "_usage")

    def __init__(self) -> None:
        self._opened = Opened()
        self._usage = Usage()
        self._choices: dict[int, _Gathered] = {0: _Gathered()}

    def write(self, delta: Delta) -> bytes:
        """Keep what this says; nothing is said yet."""
        number = 0
        if isinstance(delta, Of):
            number, delta = delta.choice, delta.delta
        if isinstance(delta, Opened):
            self._opened = delta
        elif isinstance(delta, UsageSeen):
            self._usage = delta.usage
        else:
            self._choices.setdefault(number, _Gathered()).see(delta)
        return b""

    def answer(self) -> Answer:
        """The whole answer."""
        return Answer(
            id=self._opened.id,
            model=self._opened.model,
            choices=tuple(self._choices[number].choice() for number in sorted(self._choices)),
            usage=self._usage,
        )


class GatheringTap(AroundTap):
    """Around a stream that a `Gatherer` keeps; `written` gives its answer as bytes."""

    stopped = True
    __slots__ = ("_head", "_written")

    def __init__(self, tap: Tap, written: Callable[[], bytes], head: Headers) -> None:
        """`written` may raise CannotCrossError."""
        super().__init__(tap)
        self._written = written
        self._head = head

    @property
    def head(self) -> Headers | None:
        return self._head

    def feed(self, data: bytes) -> list[Piece]:
        return self._held(self._tap.feed(data))

    def close(self) -> list[Piece]:
        return self._held(self._tap.close())

    def _held(self, pieces: list[Piece]) -> list[Piece]:
        """Nothing of these, before they end."""
        last = pieces[-1] if pieces else None
        if last is None or last.kind not in (PieceKind.END, PieceKind.FAULT):
            return []
        if last.failure is not None:
            failure = msgspec.structs.replace(last.failure, where="body")
            return [msgspec.structs.replace(last, failure=failure)]
        try:
            return [Piece(CONTENT, self._written()), Piece(END)]
        except CannotCrossError as error:
            return [fault("garbage", str(error))]
