"""What all page formats share: plain texts, credible times, JSON that is handled with care.

Nothing on a status page is ours, and some of it ends up in terminals, browsers and notifications.
So texts leave here without markup and control characters, and bounded; times only where they can
be true.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html import unescape
from typing import Any

import msgspec

NAME_MAX = 200
DESCRIBED_MAX = 300
ID_MAX = 120
ROWS_MAX = 1000
# How far a page's clock may be ahead of ours.
AHEAD_S = 300.0

_RAW_TIMES = 8  # of a text so many times its bound is looked at: markup takes its share
_OLDEST = 946_684_800.0  # 2000-01-01: no page here is older
_MILLISECONDS = 100_000_000_000.0  # an epoch beyond this (the year 5138) counts milliseconds
_INTEGER_MAX = 1 << 64
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-_]?")
_TAG = re.compile(r"<[^<>]*>")
_ANGLES = str.maketrans({"<": "‹", ">": "›"})

Row = Mapping[str, Any]


class UnreadableError(Exception):
    """What came is not what the page promises; the text says why, for people."""


def text(value: object, longest: int = NAME_MAX) -> str:
    """Plain text of a value: no markup, no control, escape or direction characters, one line."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return ""
    if isinstance(value, int) and abs(value) > _INTEGER_MAX:
        return ""  # Python refuses to spell out the longest ones
    # Twice: feeds escape the markup that they carry.
    raw = unescape(_TAG.sub(" ", unescape(str(value)[: longest * _RAW_TIMES])))
    stripped = _TAG.sub(" ", _ESCAPES.sub("", raw)).translate(_ANGLES)
    shown = "".join([char if char.isprintable() else _gap(char) for char in stripped])
    line = " ".join(shown.split())
    return line if len(line) <= longest else f"{line[: longest - 1].rstrip()}…"


def _gap(char: str) -> str:
    return " " if char.isspace() else ""


def moment(value: object, now: float) -> float | None:
    """UTC seconds of a date (ISO 8601, RFC 822, epoch in s or ms); None if it cannot be true.

    A date without a zone is UTC. What lies ahead of `now`, or before the year 2000, is no time
    at which anything was seen.
    """
    try:
        seconds = _seconds(value)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    if seconds is None or not _OLDEST <= seconds <= now + AHEAD_S:
        return None
    return seconds


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    if isinstance(value, str):
        value = value.strip()
        if not value or len(value) > 64:
            return None
        if value.isdecimal():
            value = int(value)
    if isinstance(value, (int, float)):
        return float(value) / 1000 if value > _MILLISECONDS else float(value)
    try:
        date = datetime.fromisoformat(value)
    except ValueError:
        date = parsedate_to_datetime(value)
    return (date if date.tzinfo is not None else date.replace(tzinfo=UTC)).timestamp()


def utf8(data: bytes) -> str:
    """The text of bytes that are UTF-8, or UTF-16 with its mark (as AWS sends). Else unreadable."""
    try:
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            return data.decode("utf-16")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnreadableError("its text is not UTF-8") from None


def document(data: bytes) -> object:
    """The JSON document. Raises UnreadableError."""
    try:
        found: object = msgspec.json.decode(utf8(data))
    except msgspec.DecodeError:
        raise UnreadableError("it is not the JSON that was promised") from None
    except RecursionError:
        raise UnreadableError("its JSON is nested too deeply") from None
    return found


def table(data: bytes) -> Row:
    """The JSON document, which must be an object. Raises UnreadableError."""
    found = document(data)
    if not isinstance(found, dict):
        raise UnreadableError("its JSON is not of the promised shape")
    return found


def rows(value: object, most: int = ROWS_MAX) -> Iterator[Row]:
    """The objects in what should be a list of objects; whatever else is in it is passed over.

    Of a very long list only the beginning is looked at: pages have the newest first.
    """
    if isinstance(value, list):
        yield from (item for item in value[:most] if isinstance(item, dict))


def row(value: object) -> Row:
    """What should be an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def word(value: object) -> str:
    """A word out of a fixed list, brought to one spelling: lower case, no separators."""
    return re.sub(r"[\s_-]+", "", text(value, 64)).lower()
