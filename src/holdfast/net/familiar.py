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


class Familiar:
    """The heads that are about, for one listener with its one doorman; in memory only.

    Only a request that came whole and alone, with its body counted in bytes, is known or learnt:
    for every other there is the parser. Nothing is taken for known that the parser and the doorman
    have not let in, in the same letters but for the digits of its length.
    """

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[Request, int]] = {}

    def recognise(self, data: bytes) -> Request | None:
        """The request that these bytes are, where its head is known and they are all of it."""
        found = split(data)
        if found is None:
            return None
        key, digits, start = found
        known = self._known.get(key)
        if known is None or len(data) - start != int(digits):
            return None
        first, at = known
        headers = first.headers
        if headers[at][1] != digits:
            headers = (*headers[:at], (b"content-length", digits), *headers[at + 1 :])
        request = first.again(headers)
        request.body = data[start:]
        return request

    def learn(self, data: bytes, request: Request) -> None:
        """The parser read this one request, and nothing else, in these bytes."""
        found = split(data)
        if found is None or not request.keep_alive or len(request.body) != int(found[1]):
            return
        if data[found[2] :] != request.body:
            return
        if not request.body:
            return  # the doorman lets it in whatever it is declared as, and a body would not be
        names = [name for name, _ in request.headers]
        if names.count(b"content-length") != 1 or b"expect" in names:
            return
        if len(self._known) >= HEADS_MAX:
            self._known.clear()
        first = request.again(request.headers)
        self._known[found[0]] = first, names.index(b"content-length")


def split(data: bytes) -> tuple[bytes, bytes, int] | None:
    """A head without the digits of its length, those digits, and where the body starts."""
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
                return data[:at] + data[behind:end], digits, end + 4
            break
    return None
