"""Asking a table of the file for its keys, and noting down what is wrong with the answers."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from difflib import get_close_matches

from holdfast.config.lines import Lines, Where
from holdfast.config.problems import Problem, printable

_NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text in quotes",
    list: "a list",
    dict: "a table",
}


def kind_of(value: object) -> str:
    """What a value is, in words."""
    return _NAMES.get(type(value), "a date or time")


def dotted(where: Where) -> str:
    """A place as people write it: `providers.work.key`, `routes[0].targets`."""
    text = ""
    for part in where:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        plain = part.replace("-", "").replace("_", "").isalnum() and part.isascii()
        text += f".{part if plain else json.dumps(part)}"
    return text.removeprefix(".")


class Sheet:
    """One file while it is read: its lines, what was wrong, and what is worth a word."""

    __slots__ = ("file", "lines", "notices", "problems")

    def __init__(self, file: str, lines: Lines) -> None:
        self.file = file
        self.lines = lines
        self.problems: list[Problem] = []
        self.notices: list[str] = []

    def wrong(self, where: Where, what: str, remedy: str) -> None:
        """Note a problem; reading goes on, so that all of them are told at once."""
        line = self.lines.find(where)
        self.problems.append(Problem(self.file, line, dotted(where), what, remedy))

    def note(self, where: Where, sentence: str) -> None:
        """Note something that is no error but that the person should know."""
        line = self.lines.find(where)
        place = self.file if line is None else f"{self.file}:{line}"
        self.notices.append(printable(f"{place}: {dotted(where)}: {sentence}"))


class Table:
    """One table. Whatever was not asked for by `close` is an unknown key.

    Every question returns None where the key is absent or its value is wrong; the latter has then
    been noted.
    """

    __slots__ = ("_asked", "_raw", "sheet", "where")

    def __init__(self, sheet: Sheet, where: Where, raw: dict[str, object]) -> None:
        self.sheet = sheet
        self.where = where
        self._raw = raw
        self._asked: set[str] = set()

    def __contains__(self, key: str) -> bool:
        self._asked.add(key)
        return key in self._raw

    def names(self) -> list[str]:
        """The keys, in the order of the file."""
        return list(self._raw)

    def wrong(self, key: str, what: str, remedy: str) -> None:
        self.sheet.wrong((*self.where, key), what, remedy)

    def note(self, key: str, sentence: str) -> None:
        self.sheet.note((*self.where, key), sentence)

    def text(self, key: str, choices: Sequence[str] = ()) -> str | None:
        value = self._ask(key, str, "a text in quotes")
        if not isinstance(value, str):
            return None
        return self._checked(key, value, choices)

    def texts(
        self, key: str, choices: Sequence[str] = (), *, lone: bool = False, empty: bool = False
    ) -> list[str]:
        """A list of texts, without the wrong ones; with `lone` a single text will do, too.

        With `empty` an empty list says what it says: none.
        """
        self._asked.add(key)
        value = self._raw.get(key)
        if value is None:
            return []
        if lone and isinstance(value, str):
            value = [value]
        if not isinstance(value, list):
            what = "a text or a list of texts" if lone else "a list of texts"
            self.wrong(key, f"must be {what}, and is {kind_of(value)}", f'Write {key} = ["…"].')
            return []
        found = []
        for item in value:
            if not isinstance(item, str):
                remedy = f'Write {key} = ["…", "…"].'
                self.wrong(key, f"must hold texts only, and holds {kind_of(item)}", remedy)
            elif (text := self._checked(key, item, choices)) is not None:
                found.append(text)
        if not value and not empty:
            self.wrong(key, "is an empty list", "Name at least one, or take the key out.")
        return found

    def flag(self, key: str) -> bool | None:
        value = self._ask(key, bool, "true or false")
        return value if isinstance(value, bool) else None

    def whole(self, key: str, low: int, high: int) -> int | None:
        value = self._ask(key, int, "a whole number")
        if not isinstance(value, int) or not self._within(key, value, low, high):
            return None
        return value

    def wholes(self, key: str, low: int, high: int) -> list[int] | None:
        """A list of whole numbers; None where it is absent or none."""
        value = self._ask(key, list, "a list of whole numbers")
        if not isinstance(value, list):
            return None
        if any(type(item) is not int or not low <= item <= high for item in value):
            what = f"must hold whole numbers between {low} and {high}"
            self.wrong(key, what, f"Write {key} = [1, 2].")
            return None
        return value

    def number(self, key: str, low: float, high: float) -> float | None:
        value = self._ask(key, (int, float), "a number")
        if not isinstance(value, int | float) or not self._within(key, value, low, high):
            return None
        return float(value)

    def table(self, key: str) -> Table:
        """A table within; an empty one where it is absent or no table."""
        value = self._ask(key, dict, "a table")
        return Table(self.sheet, (*self.where, key), value if isinstance(value, dict) else {})

    def tables(self, key: str) -> list[Table]:
        """An array of tables (`[[key]]`), without what is no table."""
        value = self._ask(key, list, "a list of tables")
        found = []
        for number, item in enumerate(value if isinstance(value, list) else ()):
            where: Where = (*self.where, key, number)
            if isinstance(item, dict):
                found.append(Table(self.sheet, where, item))
            else:
                self.sheet.wrong(
                    where, f"must be a table, and is {kind_of(item)}", f"Write [[{key}]] above it."
                )
        return found

    def close(self) -> None:
        """Say which keys nobody asked for."""
        for key in self._raw:
            if key in self._asked:
                continue
            near = get_close_matches(key, sorted(self._asked), n=1)
            known = ", ".join(sorted(self._asked))
            remedy = f"Did you mean {near[0]}?" if near else f"There are: {known}."
            self.wrong(key, "is not a key that holdfast knows here", remedy)

    def _ask(self, key: str, kinds: type | tuple[type, ...], words: str) -> object:
        self._asked.add(key)
        value = self._raw.get(key)
        if value is None:
            return None
        # true is a whole number to Python, but hardly to a person.
        if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
            self.wrong(key, f"must be {words}, and is {kind_of(value)}", f"Write {words}.")
            return None
        return value

    def _checked(self, key: str, value: str, choices: Sequence[str]) -> str | None:
        if choices and value not in choices:
            near = get_close_matches(value.lower(), choices, n=1)
            remedy = f"Did you mean {near[0]}?" if near else "Choose one of them."
            self.wrong(key, f"must be one of {', '.join(choices)}", remedy)
            return None
        if not value or value.isspace():
            self.wrong(key, "is empty", "Write its value, or take the key out.")
            return None
        if not value.isprintable():
            self.wrong(key, "holds a character that cannot be printed", "Take it out.")
            return None
        return value

    def _within(self, key: str, value: float, low: float, high: float) -> bool:
        if math.isfinite(value) and low <= value <= high:
            return True
        self.wrong(key, f"must be between {low} and {high}", "Choose a number in that range.")
        return False
