"""How long the other side asks to be left alone: `Retry-After` and its relatives."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from holdfast.facts.calls import Headers

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?")
_REMAINING_RESET = (
    (b"x-ratelimit-remaining-requests", b"x-ratelimit-reset-requests"),
    (b"x-ratelimit-remaining-tokens", b"x-ratelimit-reset-tokens"),
    (b"anthropic-ratelimit-requests-remaining", b"anthropic-ratelimit-requests-reset"),
    (b"anthropic-ratelimit-tokens-remaining", b"anthropic-ratelimit-tokens-reset"),
)
YEAR_S = 366 * 86400.0


def retry_after_s(headers: Headers, wall: float) -> float | None:
    """Seconds to wait, from now (`wall`, UTC), or None where nothing usable was said.

    The SDKs' own order: milliseconds, then seconds or a date (RFC 9110 §10.2.3), then the reset
    of a limit of which nothing remains.
    """
    by_name = dict(headers)
    found = _number(by_name.get(b"retry-after-ms"))
    if found is not None:
        return _bounded(found / 1000)
    value = by_name.get(b"retry-after")
    if value is not None:
        found = _number(value)
        return _bounded(found if found is not None else _until(value.decode("latin-1"), wall))
    waits = [
        wait
        for remaining, reset in _REMAINING_RESET
        if by_name.get(remaining) == b"0" and (wait := _reset(by_name.get(reset), wall)) is not None
    ]
    return _bounded(max(waits)) if waits else None


def _number(value: bytes | None) -> float | None:
    if value is None or len(value) > 32:
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if number == number else None  # noqa: PLR0124 - NaN is not itself


def _bounded(wait_s: float | None) -> float | None:
    return None if wait_s is None else min(max(wait_s, 0.0), YEAR_S)


def _until(text: str, wall: float) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return _seconds(moment, wall)


def _seconds(moment: datetime, wall: float) -> float:
    """A date without a zone is UTC, not this machine's time."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp() - wall


def _reset(value: bytes | None, wall: float) -> float | None:
    if value is None or len(value) > 64:
        return None
    text = value.decode("latin-1").strip()
    match = _DURATION.fullmatch(text)
    if match is not None and text:
        hours, minutes, seconds, ms = (float(part or 0) for part in match.groups())
        return hours * 3600 + minutes * 60 + seconds + ms / 1000
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return _seconds(moment, wall)
