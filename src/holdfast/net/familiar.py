"""Heads that were read before: a client says the same with every request, but for the length of
its body. What was found of such a head, letter for letter the same, need not be found again.
"""

from __future__ import annotations

from holdfast.net.reply import Request

# Beyond these a head is read anew each time.
HEAD_BYTES_MAX = 4096
HEADS_MAX = 256
DIGITS_MAX = 8
_LENGTHS = (b"\r\nContent-Length: ", b"\r\ncontent-length: ")  # as clients spell it


class _Known:
    """A head in two parts, between which the digits of its length stand, and what it says.

    `at` is the place of the length among the headers.
    """

    __slots__ = ("after", "at", "before", "request")

    def __init__(self, before: bytes, after: bytes, request: Request, at: int) -> None:
        self.before = before
        self.after = after
        self.request = request
        self.at = at


_NOBODY = _Known(b"\0", b"", Request("", "", "", (), {}), 0)


class Familiar:
    """The heads that are about, for one listener with its one doorman; in memory only.

    Only a request that came whole and alone, with its body counted in bytes, is known or learnt:
    for every other there is the parser. Nothing is taken for known that the parser and the doorman
    have not let in, in the same letters but for the digits of its length.
    """

    __slots__ = ("_known", "_last")

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, bytes], _Known] = {}
        self._last = _NOBODY

    def recognise(self, data: bytes) -> Request | None:
        """The request that these bytes are, where its head is known and they are all of it."""
        known = self._last  # mostly it is the same client again
        before = len(known.before)
        behind = data.find(b"\r", before, before + DIGITS_MAX + 1)
        digits = data[before:behind]
        if (
            behind < 0
            or not digits.isdigit()
            or not data.startswith(known.before)
            or not data.startswith(known.after, behind)
        ):
            parts = split(data)
            other = self._known.get(parts[:2]) if parts is not None else None
            if parts is None or other is None:
                return None
            known = self._last = other
            digits = parts[2]
        start = len(known.before) + len(digits) + len(known.after)
        if len(data) - start != int(digits):
            return None
        headers, at = known.request.headers, known.at
        if headers[at][1] != digits:
            headers = (*headers[:at], (b"content-length", digits), *headers[at + 1 :])
        request = known.request.again(headers)
        request.body = data[start:]
        return request

    def learn(self, data: bytes, request: Request) -> None:
        """The parser read this one request, and nothing else, in these bytes."""
        parts = split(data)
        if parts is None or not request.keep_alive or len(request.body) != int(parts[2]):
            return
        if not request.body or data[-len(request.body) :] != request.body:
            return  # (without a body the doorman lets in whatever it is declared as)
        before, after, digits = parts
        if len(before) + len(digits) + len(after) + len(request.body) != len(data):
            return
        names = [name for name, _ in request.headers]
        if names.count(b"content-length") != 1 or b"expect" in names:
            return
        if len(self._known) >= HEADS_MAX:
            self._known.clear()
        first = request.again(request.headers)
        at = names.index(b"content-length")
        self._known[before, after] = _Known(before, after, first, at)


def split(data: bytes) -> tuple[bytes, bytes, bytes] | None:
    """A head up to the digits of its length, all of it behind them, and these digits."""
    end = data.find(b"\r\n\r\n", 0, HEAD_BYTES_MAX)
    if end < 0:
        return None
    for name in _LENGTHS:
        at = data.find(name, 0, end)
        if at >= 0:
            at += len(name)
            behind = data.find(b"\r", at, end + 2)
            digits = data[at:behind]
            if digits.isdigit() and len(digits) <= DIGITS_MAX:
                return data[:at], data[behind : end + 4], digits
            break
    return None
