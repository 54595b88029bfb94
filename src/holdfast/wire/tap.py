"""Taps: an answer is read as it comes and becomes pieces for the flight.

One tap reads one attempt's answer. Bytes of the client's own dialect pass untouched, cut at event
ends; of another dialect they are written anew. A tap never raises: whatever is wrong with the
bytes is a FAULT piece.
"""

from __future__ import annotations

import zlib
from typing import Protocol

import msgspec

from holdfast.facts.calls import Headers
from holdfast.facts.outcomes import Failure, FailureKind, Piece, PieceKind, Said, Usage
from holdfast.wire.speech import Reader, Writer
from holdfast.wire.sse import SseEvent, SseReader, WireError

ERROR_BYTES_MAX = 1 << 20
WHOLE_BYTES_MAX = 64 << 20
# zlib reaches 1,029 : 1; nothing that a model says does.
INFLATE_RATIO_MAX = 200
INFLATE_FLOOR_BYTES = 1 << 20


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


def fault(kind: FailureKind, text: str, **more: object) -> Piece:
    """A FAULT piece with a failure of this kind in the body."""
    failure = msgspec.structs.replace(Failure(kind=kind, where="body", text=text), **more)
    return Piece(PieceKind.FAULT, b"", failure)


class PassingTap:
    """A stream of the client's own dialect: events pass as they came."""

    __slots__ = ("_done", "_reader", "_sse", "head")

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._sse = SseReader()
        self._done = False
        self.head: Headers | None = None

    @property
    def usage(self) -> Usage:
        return self._reader.usage

    def feed(self, data: bytes) -> list[Piece]:
        if self._done:
            return []
        try:
            events = self._sse.feed(data)
        except WireError as error:
            self._done = True
            return [fault("garbage", str(error))]
        pieces: list[Piece] = []
        reader = self._reader
        run: list[bytes] = []
        run_kind = PieceKind.OPENING
        for event in events:
            kind = reader.read(event)
            raw = event.raw
            if kind is PieceKind.OPENING or kind is PieceKind.CONTENT:
                added = reader.rescue(event)
                raw = added + raw if added else raw
            if run and kind is not run_kind:
                pieces.append(Piece(run_kind, b"".join(run)))
                run = []
            if kind is PieceKind.FAULT:
                self._done = True
                own = raw if reader.failure and reader.failure.kind == "error_event" else b""
                pieces.append(Piece(kind, own, reader.failure))
                return pieces
            run_kind = kind
            run.append(raw)
            if kind is PieceKind.END:
                self._done = True
                break
        if run:
            pieces.append(Piece(run_kind, run[0] if len(run) == 1 else b"".join(run)))
        return pieces

    def close(self) -> list[Piece]:
        if self._done:
            return []
        pieces = self.feed(b"\n\n") if self._sse.tail.strip() else []
        if pieces and pieces[-1].kind >= PieceKind.END:
            return pieces
        added = self._reader.closing()
        if added is not None:
            return [*pieces, Piece(PieceKind.END, added)]
        if not pieces and not self._reader.id and not self._sse.tail:
            return [fault("empty", "a success without an answer in it")]
        return [*pieces, fault("truncated", "the answer ended without its terminal event")]


class CrossingTap:
    """A stream of another dialect: read into words, written anew for the client."""

    __slots__ = ("_done", "_reader", "_spoke", "_sse", "_writer", "head")

    def __init__(self, reader: Reader, writer: Writer) -> None:
        self._reader = reader
        self._writer = writer
        self._sse = SseReader()
        self._done = False
        self._spoke = False
        self.head: Headers | None = ((b"content-type", b"text/event-stream; charset=utf-8"),)

    @property
    def usage(self) -> Usage:
        return self._reader.usage

    def feed(self, data: bytes) -> list[Piece]:
        if self._done:
            return []
        pieces: list[Piece] = []
        try:
            for event in self._sse.feed(data):
                self._one(event, pieces)
                if pieces and pieces[-1].kind >= PieceKind.END:
                    break
        except WireError as error:
            self._done = True
            return [*pieces, fault("garbage", str(error))]
        return pieces

    def _one(self, event: SseEvent, pieces: list[Piece]) -> None:
        kind = self._reader.read(event)
        if kind is PieceKind.FAULT:
            self._done = True
            pieces.append(Piece(kind, b"", self._reader.failure))
        elif kind is PieceKind.END:
            pieces += self._end()
        elif kind is PieceKind.CONTENT:
            text = self._reader.text(event)
            if text:
                self._open(pieces)
                pieces.append(Piece(PieceKind.CONTENT, self._writer.text(text)))

    def _open(self, pieces: list[Piece]) -> None:
        if not self._spoke:
            self._spoke = True
            opening = self._writer.opening(self._reader.id, self._reader.model)
            pieces.append(Piece(PieceKind.OPENING, opening))

    def _end(self) -> list[Piece]:
        self._done = True
        pieces: list[Piece] = []
        self._open(pieces)
        end = self._writer.end(self._reader.stop or "end", self._reader.usage)
        return [*pieces, Piece(PieceKind.END, end)]

    def close(self) -> list[Piece]:
        if self._done:
            return []
        pieces = self.feed(b"\n\n") if self._sse.tail.strip() else []
        if pieces and pieces[-1].kind >= PieceKind.END:
            return pieces
        if self._reader.closing() is not None:
            return [*pieces, *self._end()]
        return [*pieces, fault("truncated", "the answer ended without its terminal event")]


class Speaker(Protocol):
    """What a whole-body tap needs of a dialect module."""

    @staticmethod
    def said(body: bytes) -> Said: ...
    @staticmethod
    def read_usage(body: bytes) -> Usage: ...


class WholeTap:
    """An answer that comes in one piece: kept until it is complete, then judged by its bytes.

    `rewrite` turns it into the client's dialect; None passes it as it came. `strict` demands a
    JSON object, as every surface but the batches' results does.
    """

    __slots__ = ("_parts", "_rewrite", "_size", "_speaker", "_status", "_strict", "head", "usage")

    def __init__(
        self,
        speaker: Speaker,
        status: int,
        *,
        rewrite: Rewrite | None = None,
        strict: bool = True,
    ) -> None:
        self._speaker = speaker
        self._status = status
        self._rewrite = rewrite
        self._strict = strict
        self._parts: list[bytes] = []
        self._size = 0
        self.usage = Usage()
        json = ((b"content-type", b"application/json"),)
        self.head: Headers | None = json if rewrite is not None else None

    def feed(self, data: bytes) -> list[Piece]:
        self._size += len(data)
        if self._size > WHOLE_BYTES_MAX:
            self._parts.clear()
            return [fault("too_large", f"an answer of more than {WHOLE_BYTES_MAX >> 20} MB")]
        self._parts.append(data)
        return []

    def close(self) -> list[Piece]:
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        if self._strict:
            problem = self._wrong(body)
            if problem is not None:
                return [problem]
        if self._rewrite is not None:
            try:
                body = self._rewrite(body)
            except Exception as error:  # noqa: BLE001 - what cannot be read is the target's fault
                return [fault("garbage", f"the answer cannot be written anew: {error}")]
        return [Piece(PieceKind.CONTENT, body), Piece(PieceKind.END)]

    def _wrong(self, body: bytes) -> Piece | None:
        start = body.lstrip()[:1]
        if not start:
            return fault("empty", "a success without an answer in it", status=self._status)
        if start not in b"{[":
            text = "a page or other text where JSON was due"
            return fault("not_json", text, status=self._status, body=body[:ERROR_BYTES_MAX])
        try:
            top = msgspec.json.decode(body, type=_Top)
            self.usage = self._speaker.read_usage(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return fault("garbage", "the answer is not whole JSON of the dialect")
        if top.error is not None:
            said = self._speaker.said(body)
            text = f"a success that holds an error: {said.message or said.type}"
            return fault("error_event", text, said=said)
        return None


class _Top(msgspec.Struct):
    error: object = None


class Rewrite(Protocol):
    def __call__(self, body: bytes, /) -> bytes: ...


class ErrorTap:
    """An answer whose status says failure: its body is kept, so that it can be passed on."""

    __slots__ = ("_headers", "_parts", "_size", "_speaker", "_status", "head", "usage")

    def __init__(self, speaker: Speaker, status: int, headers: Headers) -> None:
        self._speaker = speaker
        self._status = status
        self._headers = headers
        self._parts: list[bytes] = []
        self._size = 0
        self.usage = Usage()
        self.head: Headers | None = None

    def feed(self, data: bytes) -> list[Piece]:
        room = ERROR_BYTES_MAX - self._size
        if room > 0:
            self._parts.append(data[:room])
            self._size += len(self._parts[-1])
        return []

    def close(self) -> list[Piece]:
        body = b"".join(self._parts)
        said = self._speaker.said(body)
        what = " ".join(part for part in (said.type, said.message) if part)
        text = f"{self._status} {what}".strip()[:500]
        failure = Failure(
            kind="status",
            where="body",
            text=text,
            status=self._status,
            headers=self._headers,
            body=body,
            said=said,
        )
        return [Piece(PieceKind.FAULT, b"", failure)]


class InflatingTap:
    """Unpacks a body that was compressed although we asked for none, for the tap behind it."""

    __slots__ = ("_in", "_inflate", "_out", "_tap", "head")

    def __init__(self, tap: Tap, headers: Headers) -> None:
        self._tap = tap
        self._inflate = zlib.decompressobj(wbits=47)  # gzip or zlib, by its first bytes
        self._in = self._out = 0
        own = tap.head
        self.head: Headers | None = (
            own
            if own is not None
            else tuple(pair for pair in headers if pair[0] != b"content-encoding")
        )

    @property
    def usage(self) -> Usage:
        return self._tap.usage

    def feed(self, data: bytes) -> list[Piece]:
        self._in += len(data)
        limit = max(INFLATE_FLOOR_BYTES, self._in * INFLATE_RATIO_MAX) - self._out
        try:
            plain = self._inflate.decompress(data, max(1, limit))
        except zlib.error:
            return [fault("garbage", "the compressed answer cannot be unpacked")]
        self._out += len(plain)
        if self._inflate.unconsumed_tail:
            return [fault("too_large", "the answer unpacks to more than any answer holds")]
        return self._tap.feed(plain) if plain else []

    def close(self) -> list[Piece]:
        if not self._inflate.eof and self._in:
            return [fault("truncated", "the compressed answer is not complete")]
        return self._tap.close()


class UnreadableTap:
    """An answer in an encoding that nobody asked for: a fault as soon as it is seen."""

    __slots__ = ("_text", "head", "usage")

    def __init__(self, text: str) -> None:
        self._text = text
        self.usage = Usage()
        self.head: Headers | None = None

    def feed(self, data: bytes) -> list[Piece]:  # noqa: ARG002 - it is not read
        return [fault("protocol", self._text)]

    def close(self) -> list[Piece]:
        return [fault("protocol", self._text)]
