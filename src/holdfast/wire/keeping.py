"""What is remembered of an answer on its way: all of it, or what its provider signed."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Raw, Struct

from holdfast.facts.outcomes import Piece, PieceKind
from holdfast.wire.signers import Signers
from holdfast.wire.speech import UNREADABLE
from holdfast.wire.sse import SseReader, WireError
from holdfast.wire.tap import AroundTap, Tap


class _Ended(Struct):
    response: Raw


_decode_ended = msgspec.json.Decoder(_Ended).decode


class KeepingTap(AroundTap):
    """Another tap; what passes through it is kept, once it is whole."""

    __slots__ = ("_keep", "_last", "_stream")

    def __init__(self, tap: Tap, keep: Callable[[bytes], None], *, stream: bool) -> None:
        """`keep` is given the object of the response."""
        super().__init__(tap)
        self._keep = keep
        self._stream = stream
        self._last = b""

    def feed(self, data: bytes) -> list[Piece]:
        return self._seen(self._tap.feed(data))

    def close(self) -> list[Piece]:
        return self._seen(self._tap.close())

    def _seen(self, pieces: list[Piece]) -> list[Piece]:
        if not pieces:
            return pieces
        for piece in pieces:
            self._last = piece.data or self._last
        if pieces[-1].kind is PieceKind.END:
            answer = ended(self._last) if self._stream else self._last
            if answer:
                self._keep(answer)
            self._last = b""
        return pieces


class SignedTap(AroundTap):
    """Another tap, of a provider that stands in: what it signs is remembered as its own."""

    __slots__ = ("_provider", "_signers")

    def __init__(self, tap: Tap, signers: Signers, provider: str) -> None:
        super().__init__(tap)
        self._signers = signers
        self._provider = provider

    def feed(self, data: bytes) -> list[Piece]:
        return self._seen(self._tap.feed(data))

    def close(self) -> list[Piece]:
        return self._seen(self._tap.close())

    def _seen(self, pieces: list[Piece]) -> list[Piece]:
        for piece in pieces:
            if piece.data:
                self._signers.keep(piece.data, self._provider)
        return pieces


def ended(stream: bytes) -> bytes:
    """The object of the response in the last event of these bytes; b"" where there is none."""
    try:
        events = SseReader().feed(stream)
        return bytes(_decode_ended(events[-1].data).response) if events else b""
    except (WireError, *UNREADABLE):
        return b""
