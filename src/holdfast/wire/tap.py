"""Taps: an answer is read as it comes and becomes pieces for the flight.

One tap reads one attempt's answer. Bytes of the client's own dialect pass untouched, cut at event
ends; of another dialect they are written anew. A tap never raises: whatever is wrong with the
bytes is a FAULT piece, and the last one that it gives. Bodies that come whole are in `wire.whole`,
compressed ones in `wire.packed`.
"""

from __future__ import annotations

from typing import Protocol

from holdfast.facts.calls import Headers
from holdfast.facts.outcomes import (
    CONTENT,
    END,
    FAULT,
    OPENING,
    PING,
    Failure,
    FailureKind,
    Piece,
    Usage,
    Where,
)
from holdfast.wire.speech import CannotCrossError, Reader, Writer
from holdfast.wire.sse import SseEvent, SseReader, WireError

EVENT_STREAM: Headers = ((b"content-type", b"text/event-stream; charset=utf-8"),)
NO_END = "the answer ended without its terminal event"
NOTHING = "a success without an answer in it"


class Tap(Protocol):
    """Reads one answer. `head` replaces the upstream's headers where the body is not its own."""

    head: Headers | None

    @property
    def usage(self) -> Usage:
        """Tokens as far as the provider has counted them."""
        ...

    def feed(self, data: bytes) -> list[Piece]:
        """Take bytes of the body; return the pieces that they completed."""
        ...

    def close(self) -> list[Piece]:
        """The body ended as HTTP says it should; return what that means."""
        ...


def fault(kind: FailureKind, text: str, *, spoke: bool = False) -> Piece:
    """A FAULT piece; `spoke`: content had come before."""
    where: Where = "in_stream" if spoke else "body"
    return Piece(FAULT, b"", Failure(kind=kind, where=where, text=text))


class PassingTap:
    """A stream of the client's own dialect: events pass as they came."""

    __slots__ = ("_any", "_done", "_reader", "_sse", "head")

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._sse = SseReader()
        self._any = False
        self._done = False
        self.head: Headers | None = None

    @property
    def usage(self) -> Usage:
        return self._reader.usage

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
                pieces.append(Piece(kind, event.raw if own else b"", reader.failure))
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
    """A stream of another dialect: read into words, written anew for the client."""

    __slots__ = ("_any", "_done", "_opened", "_reader", "_sse", "_writer", "head")

    def __init__(self, reader: Reader, writer: Writer) -> None:
        self._reader = reader
        self._writer = writer
        self._sse = SseReader()
        self._any = False
        self._done = False
        self._opened = False
        self.head: Headers | None = EVENT_STREAM

    @property
    def usage(self) -> Usage:
        return self._reader.usage

    def feed(self, data: bytes) -> list[Piece]:
        if self._done:
            return []
        pieces: list[Piece] = []
        try:
            for event in self._sse.feed(data):
                self._any = True
                if self._over(event, pieces):
                    break
        except WireError as error:
            self._done = True
            pieces.append(fault("garbage", str(error), spoke=self._opened))
        return pieces

    def _over(self, event: SseEvent, pieces: list[Piece]) -> bool:
        """Add what this event gives; True where it is the last."""
        reader = self._reader
        kind = reader.read(event)
        if kind is FAULT:
            self._done = True
            pieces.append(Piece(kind, b"", reader.failure))
        elif kind is END:
            self._end(pieces)
        elif kind is CONTENT:
            self._say(event, pieces)
        elif kind is PING and self._opened:
            pieces.append(Piece(kind, self._writer.ping()))
        return self._done

    def _say(self, event: SseEvent, pieces: list[Piece]) -> None:
        try:
            text = self._reader.text(event)
        except CannotCrossError as error:
            self._done = True
            pieces.append(fault("garbage", str(error), spoke=self._opened))
            return
        if text is not None:
            self._open(pieces)
            # Thoughts stay behind, yet show that the model is at work: so they commit, too.
            said = self._writer.text(text) if text else self._writer.ping()
            pieces.append(Piece(CONTENT, said))

    def _open(self, pieces: list[Piece]) -> None:
        if not self._opened:
            self._opened = True
            opening = self._writer.opening(self._reader.id, self._reader.model)
            pieces.append(Piece(OPENING, opening))

    def _end(self, pieces: list[Piece]) -> None:
        self._done = True
        self._open(pieces)
        end = self._writer.end(self._reader.stop or "end", self._reader.usage)
        pieces.append(Piece(END, end))

    def close(self) -> list[Piece]:
        if self._done:
            return []
        pieces: list[Piece] = []
        last = self._sse.finish()
        if last is not None and self._over(last, pieces):
            if not _unread(pieces[-1]):
                return pieces
            pieces.pop()  # half an event: the stream was cut in it
        self._done = True
        if self._reader.closing() is not None:
            self._end(pieces)
        elif last is None and not self._any:
            pieces.append(fault("empty", NOTHING))
        else:
            pieces.append(fault("truncated", NO_END, spoke=self._opened))
        return pieces


def _unread(piece: Piece) -> bool:
    return piece.failure is not None and piece.failure.kind == "garbage"
