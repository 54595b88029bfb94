"""Heads of answers as they were read before: a provider says the same names with every answer, in
the same order, and only some values are others. Such a head is read by one look, not line by line.
"""

from __future__ import annotations

import re

from holdfast.facts.calls import Headers

HEAD_BYTES_MAX = 4096
# So many are learnt, since learning one takes a while, and so many of them begin the same.
SHAPES_MAX = 64
ALIKE_MAX = 4
# What decides how an answer is framed, read and kept: these must be the same to the letter.
_FIXED = frozenset(
    {
        b"connection",
        b"content-encoding",
        b"content-type",
        b"keep-alive",
        b"proxy-connection",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_LENGTH = b"content-length"
_BODILESS = (204, 304)
_DIGITS = rb"([0-9]{1,8})"
# Any other value: nothing in it that the parser would stumble over, no blank around it.
_VALUE = rb"(?! )([ -~\x80-\xff]*)(?<! )"

Answer = tuple[int, Headers, bytes]


class _Shape:
    """The names of one head, with what must be as it was."""

    __slots__ = ("length_at", "match", "names", "status")

    def __init__(self, status: int, names: tuple[bytes, ...], pattern: bytes) -> None:
        self.status = status
        self.names = names
        self.length_at = names.index(_LENGTH)
        self.match = re.compile(pattern).match


class Usual:
    """The shapes of one origin's answers; in memory only.

    Only an answer that came whole and alone in one piece, with its body counted in bytes, is known
    or learnt: for every other there is the parser. Nothing is taken for known that the parser has
    not let in, with the same names, and other values of harmless characters.
    """

    __slots__ = ("_learnt", "_shapes")

    def __init__(self) -> None:
        # By the first line and the first name, which tell most of them apart.
        self._shapes: dict[bytes, list[_Shape]] = {}
        self._learnt = 0

    def recognise(self, data: bytes) -> Answer | None:
        """The answer that these bytes are, where its shape is known and they are all of it."""
        at = data.find(b":", 0, HEAD_BYTES_MAX)
        for shape in self._shapes.get(data[:at], ()) if at > 0 else ():
            found = shape.match(data)
            if found is not None:
                return _answer(shape, found, data)
        return None

    def learn(self, data: bytes, status: int, headers: Headers) -> None:
        """The parser read this one whole answer, and nothing else, in these bytes."""
        end = data.find(b"\r\n\r\n", 0, HEAD_BYTES_MAX)
        names = tuple(name for name, _ in headers)
        if self._learnt >= SHAPES_MAX or end < 0 or status in _BODILESS:
            return
        if names.count(_LENGTH) != 1 or b"transfer-encoding" in names:
            return
        first, *lines = data[:end].split(b"\r\n")
        if not first.startswith(b"HTTP/1.1 %d " % status) or len(lines) != len(headers):
            return
        pattern = re.escape(first)
        for line, (name, value) in zip(lines, headers, strict=True):
            said, _, rest = line.partition(b": ")
            if said.lower() != name or rest != value:
                return
            pattern += re.escape(b"\r\n" + said + b": ")
            if name in _FIXED:
                pattern += b"(" + re.escape(value) + b")"
            else:
                pattern += _DIGITS if name == _LENGTH else _VALUE
        alike = self._shapes.setdefault(data[: data.find(b":")], [])
        if len(alike) < ALIKE_MAX:
            alike.append(_Shape(status, names, pattern + rb"\r\n\r\n"))
            self._learnt += 1


def _answer(shape: _Shape, found: re.Match[bytes], data: bytes) -> Answer | None:
    """What these bytes are, where nothing is missing and nothing is behind it."""
    values = found.groups()
    start = found.end()
    if start > HEAD_BYTES_MAX or len(data) - start != int(values[shape.length_at]):
        return None
    return shape.status, tuple(zip(shape.names, values, strict=True)), data[start:]
