"""Taps: an answer is read as it comes and becomes pieces for the flight.

One tap reads one attempt's answer. Bytes of the client's own dialect pass untouched, cut at event
ends; of another dialect they are written anew. A tap never raises: whatever is wrong with the
bytes is a FAULT piece, and the last one that it gives. Bodies that come whole are in `wire.whole`,
compressed ones in `wire.packed`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from holdfast.facts.calls import Headers
from holdfast.facts.losses import Lost
from holdfast.facts.outcomes import (
    CONTENT,
    END,
    FAULT,
    OPENING,
    PING,
    Failure,
    FailureKind,
    Piece,
    PieceKind,
    Usage,
    Where,
)
from holdfast.wire.crossings import Gathered
from holdfast.wire.deltas import (
    Delta,
    DeltaReader,
    DeltaWriter,
    Fault,
    Odds,
    Of,
    Opened,
    Ping,
    Stopped,
    ThinkingDelta,
    UsageSeen,
)
from holdfast.wire.mend import Mender
from holdfast.wire.speech import UNSEEN, UNSHOWN, Framer, Part, Reader
from holdfast.wire.sse import SseEvent, SseReader, WireError

# So much of a tool call is held back in silence, before a sign of life commits to the answer; and
# so much between two of them. A slow engine says eight bytes a second.
SILENT_BYTES_MAX = 1024
PING_BYTES = 256
NO_END = "the answer ended without its terminal event"
NOTHING = "a success without an answer in it"


class Tap(Protocol):
    """Reads one answer."""

    @property
    def head(self) -> Headers | None:
        """What replaces the upstream's headers where the body is not its own; good from the first
        piece on.
        """
        ...

    @property
    def usage(self) -> Usage:
        """Tokens as far as the provider has counted them."""
        ...

    @property
    def stopped(self) -> bool:
        """Of an answer that is whole: whether the client reads in it why it ended."""
        ...

    @property
    def lost(self) -> tuple[Lost, ...]:
        """What the answer held, so far, that its client is not told."""
        ...

    def feed(self, data: bytes) -> list[Piece]:
        """Take bytes of the body; return the pieces that they completed."""
        ...

    def close(self) -> list[Piece]:
        """The body ended as HTTP says it should; return what that means."""
        ...


class AroundTap:
    """A tap around another, which has what is to be known of the answer."""

    __slots__ = ("_tap",)

    def __init__(self, tap: Tap) -> None:
        self._tap = tap

    @property
    def head(self) -> Headers | None:
        return self._tap.head

    @property
    def usage(self) -> Usage:
        return self._tap.usage

    @property
    def stopped(self) -> bool:
        return self._tap.stopped

    @property
    def lost(self) -> tuple[Lost, ...]:
        return self._tap.lost


def fault(kind: FailureKind, text: str, *, spoke: bool = False) -> Piece:
    """A FAULT piece; `spoke`: content had come before."""
    where: Where = "in_stream" if spoke else "body"
    return Piece(FAULT, b"", Failure(kind=kind, where=where, text=text))


class PassingTap:
    """A stream of the client's own dialect: events pass as they came."""

    lost: tuple[Lost, ...] = ()
    __slots__ = ("_any", "_done", "_reader", "_sse", "head")

    def __init__(self, reader: Reader, frames: Framer | None = None) -> None:
        self._reader = reader
        self._sse: Framer = SseReader() if frames is None else frames
        self._any = False
        self._done = False
        self.head: Headers | None = None

    @property
    def usage(self) -> Usage:
        return self._reader.usage

    @property
    def stopped(self) -> bool:
        return self._reader.stopped

    def feed(self, data: bytes) -> list[Piece]:
        if self._done:
            return []
        reader = self._reader
        if reader.spoke:
            # Nearly every byte of an answer comes this way.
            block = self._sse.ahead(data)
            if block and reader.flows(block):
                if block is not data:
                    self._sse.passed(block, data)
                return [Piece(CONTENT, block)]
        try:
            events = self._sse.feed(data)
        except WireError as error:
            self._done = True
            return [fault("garbage", str(error), spoke=reader.spoke)]
        return self._read(events)

    def _read(self, events: list[SseEvent]) -> list[Piece]:
        """Pieces for these events, those of one kind that follow each other joined."""
        pieces: list[Piece] = []
        reader = self._reader
        run: list[bytes] = []
        run_kind = OPENING
        for event in events:
            kind = reader.read(event)
            if run and kind is not run_kind:
                pieces.append(Piece(run_kind, b"".join(run)))
                run = []
            if kind is FAULT:
                self._done = True
                own = reader.failure is not None and reader.failure.kind == "error_event"
                said = event.raw + reader.missing if own else b""
                pieces.append(Piece(kind, said, reader.failure))
                return pieces
            run_kind = kind
            if reader.missing:
                run.append(reader.missing)
            run.append(event.raw)
            if kind is END:
                self._done = True
                break
        if run:
            self._any = True
            pieces.append(Piece(run_kind, run[0] if len(run) == 1 else b"".join(run)))
        return pieces

    def close(self) -> list[Piece]:
        if self._done:
            return []
        self._done = True
        reader, pieces = self._reader, []
        last = self._sse.finish()
        if last is not None:
            # It lacks its blank line. If it says something it is taken for whole, else it is a
            # part of an event, which no client should see.
            kind = reader.read(last)
            read = Piece(kind, b"", reader.failure)
            if kind is FAULT:
                if not _unread(read):
                    return [read]
            elif kind is not PING:
                pieces.append(Piece(kind, reader.missing + last.raw))
                if kind is END:
                    return pieces
        added = reader.closing()
        if added is not None:
            return [*pieces, Piece(END, added)]
        if last is None and not self._any:
            return [fault("empty", NOTHING)]
        return [*pieces, fault("truncated", NO_END, spoke=reader.spoke)]


class CrossingTap:
    """A stream of another dialect: read into deltas, put in order, written anew for the client.

    `whole` is told the thoughts and the calls of an answer that is whole and calls a tool.

    The client sees a tool call whole or not at all. While a long one is on its way, and nothing
    else has committed, a sign of life does: somebody who waits a minute in silence leaves.
    """

    stopped = True  # what is written anew says so at its end
    __slots__ = (
        "_any",
        "_done",
        "_gathered",
        "_mender",
        "_others",
        "_pinged",
        "_reader",
        "_spoke",
        "_sse",
        "_whole",
        "_writer",
        "head",
        "usage",
    )

    def __init__(
        self,
        reader: DeltaReader,
        writer: DeltaWriter,
        mender: Mender,
        frames: Framer,
        head: Headers,
        *,
        whole: Callable[[Sequence[Part]], None] | None = None,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._mender = mender
        self._others: dict[int, Mender] = {}  # of the other answers, where there are several
        self._sse = frames
        self._whole = whole
        self._gathered = Gathered() if whole is not None else None
        self._any = False
        self._done = False
        self._spoke = False
        self._pinged = 0  # how much was held when the last sign of life was given
        self.usage = Usage()
        self.head: Headers | None = head

    @property
    def lost(self) -> tuple[Lost, ...]:
        return self._reader.lost

    def feed(self, data: bytes) -> list[Piece]:
        if self._done:
            return []
        pieces: list[Piece] = []
        if self._spoke:
            # Nearly every byte of an answer comes this way.
            block = self._sse.ahead(data)
            run = self._reader.run(block) if block else None
            if run is not None:
                if block is not data:
                    self._sse.passed(block, data)
                more = self._mender.goes_on(run)
                if more is not None:
                    return [Piece(CONTENT, self._writer.write(more))]
                self._take((run,), pieces)
                return pieces
        try:
            for event in self._sse.feed(data):
                self._any = True
                if self._take(self._reader.read(event), pieces):
                    break
        except WireError as error:
            self._done = True
            pieces.append(fault("garbage", str(error), spoke=self._spoke))
        return pieces

    def _take(self, deltas: Sequence[Delta], pieces: list[Piece]) -> bool:
        """Add what these deltas give; True where the last of them is the end."""
        for delta in deltas:
            if isinstance(delta, ThinkingDelta) and delta.announces:
                pieces.append(Piece(PieceKind.THINKING))
                continue
            mended = self._mended(delta)
            for found in mended:
                self._say(found, pieces)
            if self._done:
                return True
            if not mended and self._mender.held:
                self._alive(pieces)
        return False

    def _mended(self, delta: Delta) -> list[Delta]:
        """The delta in the grammar of the answer that it is of."""
        if not isinstance(delta, Of):
            return self._mender.mend(delta)
        if not self._writer.several:
            text = "the answer holds several choices, not one"
            return [Fault(Failure(kind="garbage", where="body", text=text))]
        number = delta.choice
        if number not in self._others:
            self._others[number] = self._mender.another(number)
        mended = self._others[number].mend(delta.delta)
        return [one if isinstance(one, Fault) else Of(number, one) for one in mended]

    def _say(self, delta: Delta, pieces: list[Piece]) -> None:
        kind = _KINDS.get(type(delta), PieceKind.CONTENT)
        if kind is PieceKind.END and not self._spoke and not UNSEEN.isdisjoint(self._reader.lost):
            self._done = True
            pieces.append(fault("unshown", UNSHOWN))
            return
        if kind is PieceKind.FAULT:
            assert isinstance(delta, Fault)  # noqa: S101 - the table says so
            self._done = True
            where: Where = "in_stream" if self._spoke else "body"
            pieces.append(Piece(kind, b"", msgspec.structs.replace(delta.failure, where=where)))
            return
        if isinstance(delta, UsageSeen):
            self.usage = delta.usage
        elif isinstance(delta, Ping) and not self._spoke:
            return  # before the commit nobody hears it
        if self._gathered is not None and self._whole is not None:
            parts = self._gathered.see(delta)
            if parts:
                self._whole(parts)
        said = self._writer.write(delta)
        if kind is PieceKind.CONTENT:
            self._spoke = True
        elif kind is PieceKind.END:
            self._done = True
        if said or kind is not PieceKind.PING:
            pieces.append(Piece(kind, said))

    def _alive(self, pieces: list[Piece]) -> None:
        """A sign of life where enough of a call was held back since the last one."""
        held = self._mender.held
        if not self._spoke and held < SILENT_BYTES_MAX:
            return
        if self._spoke and 0 <= held - self._pinged < PING_BYTES:
            return
        kind = PieceKind.PING if self._spoke else PieceKind.CONTENT
        self._spoke, self._pinged = True, held
        pieces.append(Piece(kind, self._writer.write(Ping())))

    def close(self) -> list[Piece]:
        if self._done:
            return []
        pieces: list[Piece] = []
        last = self._sse.finish()
        if last is not None and self._take(self._reader.read(last), pieces):
            if not _unread(pieces[-1]):
                return pieces
            pieces.pop()  # half an event: the stream was cut in it
        if self._take(self._reader.close(), pieces):
            return pieces
        self._done = True
        if last is None and not self._any:
            pieces.append(fault("empty", NOTHING))
        else:
            pieces.append(fault("truncated", NO_END, spoke=self._spoke))
        return pieces


# What a delta means to the flight; whatever is not named here is content.
_KINDS: dict[type, PieceKind] = {
    Opened: PieceKind.OPENING,
    Ping: PieceKind.PING,
    Odds: PieceKind.PING,
    UsageSeen: PieceKind.PING,
    Stopped: PieceKind.END,
    Fault: PieceKind.FAULT,
}


def _unread(piece: Piece) -> bool:
    return piece.failure is not None and piece.failure.kind == "garbage"
