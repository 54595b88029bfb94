"""Answers that come compressed although none were asked for."""

from __future__ import annotations

import zlib

from holdfast.facts.calls import Headers
from holdfast.facts.losses import Lost
from holdfast.facts.outcomes import Piece, Usage
from holdfast.wire.tap import AroundTap, Tap, fault

# zlib reaches 1,029 : 1; nothing that a model says does.
INFLATE_RATIO_MAX = 200
INFLATE_FLOOR_BYTES = 1 << 20
MEMBERS_MAX = 64
_GZIP_OR_ZLIB = 47  # zlib's own number for: tell them apart by their first bytes


class InflatingTap(AroundTap):
    """Unpacks gzip or deflate as it comes, for the tap behind it; bounded by size and ratio."""

    __slots__ = ("_done", "_headers", "_in", "_inflate", "_members", "_out")

    def __init__(self, tap: Tap, headers: Headers) -> None:
        """`headers`: the upstream's, without the encoding."""
        super().__init__(tap)
        self._headers = headers
        self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._in = self._out = 0
        self._members = 1
        self._done = False

    @property
    def head(self) -> Headers | None:
        found = super().head
        return self._headers if found is None else found

    def feed(self, data: bytes) -> list[Piece]:
        if self._done:
            return []
        self._in += len(data)
        limit = max(INFLATE_FLOOR_BYTES, self._in * INFLATE_RATIO_MAX)
        plain: list[bytes] = []
        try:
            while data:
                if self._inflate.eof:  # gzip may be several members, one after the other
                    self._members += 1
                    if self._members > MEMBERS_MAX:
                        return self._fail(fault("garbage", "the compressed answer is in crumbs"))
                    self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB)
                plain.append(self._inflate.decompress(data, max(1, limit - self._out)))
                self._out += len(plain[-1])
                if self._inflate.unconsumed_tail or self._out > limit:
                    text = "the answer unpacks to more than any answer holds"
                    return self._fail(fault("too_large", text))
                data = self._inflate.unused_data
        except zlib.error:
            return self._fail(fault("garbage", "the compressed answer cannot be unpacked"))
        unpacked = b"".join(plain)
        return self._tap.feed(unpacked) if unpacked else []

    def _fail(self, piece: Piece) -> list[Piece]:
        self._done = True
        return [piece]

    def close(self) -> list[Piece]:
        if self._done:
            return []
        self._done = True
        pieces = self._tap.close()
        if pieces and self._in and not self._inflate.eof:
            return [fault("truncated", "the compressed answer is cut")]
        return pieces


class UnreadableTap:
    """An answer in an encoding that nobody asked for: a fault as soon as it is seen."""

    lost: tuple[Lost, ...] = ()
    stopped = False
    __slots__ = ("_text", "head", "usage")

    def __init__(self, text: str) -> None:
        self._text = text
        self.usage = Usage()
        self.head: Headers | None = None

    def feed(self, data: bytes) -> list[Piece]:  # noqa: ARG002 - it is not read
        return [fault("protocol", self._text)]

    def close(self) -> list[Piece]:
        return [fault("protocol", self._text)]
