"""What is wrong with a configuration, said so that it can be put right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct


class Problem(Struct, frozen=True):
    """One thing that is wrong: where, what, and what to do about it.

    `line` counts from 1; None where it is not known. `key` is dotted (`routes[0].targets`), empty
    where the whole file is meant. No field ever holds a secret.
    """

    file: str
    line: int | None
    key: str
    what: str
    remedy: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        key = f"{self.key}: " if self.key else ""
        return printable(f"{place}: {key}{self.what.rstrip('.')}. {self.remedy}")


class ConfigError(Exception):
    """Everything that is wrong with a configuration, at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def one(file: Path | str, what: str, remedy: str, line: int | None = None) -> ConfigError:
    """A ConfigError about a file as a whole."""
    return ConfigError((Problem(str(file), line, "", what, remedy),))


def printable(text: str) -> str:
    """The text with everything escaped that could move a terminal's cursor or fake a line."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
