"""Answers whose head does not say that they are a stream: their first bytes do.

Home-made relays often name no content type, or a wrong one, for the events that they send.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from holdfast.facts.calls import Headers
from holdfast.facts.outcomes import Piece
from holdfast.wire.tap import AroundTap, Tap

# How events may begin (a BOM may stand before the first), and how the beginning of that may look.
_EVENTS = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:data|event|id|retry)?:")
_PERHAPS = re.compile(rb"(?:\xef(?:\xbb(?:\xbf)?)?)?\s*[a-z]{0,5}")
LOOKED_AT_BYTES_MAX = 1024


class SniffingTap(AroundTap):
    """Waits for the first bytes, then is the tap for events that `streamed` makes, or `whole`."""

    __slots__ = ("_first", "_head", "_headers", "_streamed", "_told")

    def __init__(self, whole: Tap, streamed: Callable[[], Tap], headers: Headers) -> None:
        """`headers`: the upstream's, as they are right for events."""
        super().__init__(whole)
        self._streamed = streamed
        self._headers = headers
        self._head: Headers | None = None  # what stands for the tap's own, where it has none
        self._first = b""
        self._told = False

    @property
    def head(self) -> Headers | None:
        found = super().head
        return self._head if found is None else found

    def feed(self, data: bytes) -> list[Piece]:
        if self._told:
            return self._tap.feed(data)
        first = self._first = self._first + data
        if len(first) <= LOOKED_AT_BYTES_MAX and _PERHAPS.fullmatch(first):
            return []
        self._told = True
        self._first = b""
        if _EVENTS.match(first):
            self._tap = self._streamed()
            self._head = self._headers
        return self._tap.feed(first)

    def close(self) -> list[Piece]:
        if self._told or not self._first:
            return self._tap.close()
        return [*self._tap.feed(self._first), *self._tap.close()]
