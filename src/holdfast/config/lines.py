"""Which line of a TOML text a key stands on; the parser of the standard library does not say."""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right

# Names of tables and keys, and places in arrays of tables: ("routes", 0, "model").
Where = tuple[str | int, ...]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_COMMENT = re.compile(r"#[^\n]*")


class Lines:
    """The lines of one TOML text that the parser has accepted."""

    __slots__ = ("_at",)

    def __init__(self, text: str) -> None:
        scan = _Scan(text.replace("\r\n", "\n"))
        scan.run()
        self._at = scan.at

    def find(self, where: Where) -> int | None:
        """The line (from 1) of a key, or of the nearest table around it; None if unknown."""
        while where:
            line = self._at.get(where)
            if line is not None:
                return line
            where = where[:-1]
        return None


class _LostError(Exception):
    """The scanner does not understand the text; what it has found so far stays right."""


class _Scan:
    __slots__ = ("_counts", "_ends", "_here", "_i", "_text", "at")

    def __init__(self, text: str) -> None:
        self.at: dict[Where, int] = {}
        self._text = text
        self._i = 0
        self._here: Where = ()
        self._counts: dict[Where, int] = {}
        self._ends = [match.start() for match in re.finditer("\n", text)]

    def run(self) -> None:
        try:
            while self._statement():
                pass
        except _LostError:
            return

    def _statement(self) -> bool:
        self._skip(_BLANK)
        if self._i >= len(self._text):
            return False
        line = bisect_right(self._ends, self._i) + 1
        if self._text.startswith("[[", self._i):
            self._i += 2
            self._array_table(self._key(), line)
            self._expect("]]")
        elif self._text[self._i] == "[":
            self._i += 1
            self._here = self._resolve(self._key())
            self._mark(self._here, line)
            self._expect("]")
        else:
            where = (*self._here, *self._key())
            self._expect("=")
            self._mark(where, line)
            self._value()
        return True

    def _mark(self, where: Where, line: int) -> None:
        for length in range(1, len(where) + 1):
            self.at.setdefault(where[:length], line)

    def _resolve(self, parts: tuple[str, ...]) -> Where:
        """A name in a header, as a place: an array of tables stands for its last one."""
        where: Where = ()
        for part in parts:
            where = (*where, part)
            if where in self._counts:
                where = (*where, self._counts[where] - 1)
        return where

    def _array_table(self, parts: tuple[str, ...], line: int) -> None:
        where = (*self._resolve(parts[:-1]), parts[-1])
        number = self._counts.get(where, 0)
        self._counts[where] = number + 1
        self._here = (*where, number)
        self._mark(self._here, line)

    def _key(self) -> tuple[str, ...]:
        parts: list[str] = []
        while True:
            self._skip(_SPACE)
            quoted = _STRING.match(self._text, self._i)
            match = quoted or _BARE.match(self._text, self._i)
            if match is None:
                raise _LostError
            self._i = match.end()
            parts.append(_unquote(match[0]) if quoted else match[0])
            self._skip(_SPACE)
            if not self._text.startswith(".", self._i):
                return tuple(parts)
            self._i += 1

    def _value(self) -> None:
        """Skip a value: up to the end of the line that is outside of every bracket."""
        depth = 0
        while self._i < len(self._text):
            char = self._text[self._i]
            if char in "\"'":
                match = _STRING.match(self._text, self._i)
                if match is None:
                    raise _LostError
                self._i = match.end()
                continue
            if char == "#":
                self._skip(_COMMENT)
                continue
            if char == "\n" and depth == 0:
                return
            depth += (char in "[{") - (char in "]}")
            self._i += 1

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._i)
        if match is not None:
            self._i = match.end()

    def _expect(self, text: str) -> None:
        self._skip(_SPACE)
        if not self._text.startswith(text, self._i):
            raise _LostError
        self._i += len(text)


def _unquote(token: str) -> str:
    try:
        return str(tomllib.loads(f"key = {token}")["key"])
    except tomllib.TOMLDecodeError:
        raise _LostError from None
