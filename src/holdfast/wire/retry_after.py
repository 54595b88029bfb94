"""How long the other side asks to be left alone: `Retry-After` and its relatives."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import msgspec
from msgspec import Struct, field

from holdfast.facts.calls import Headers
from holdfast.wire.speech import UNREADABLE

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?")
_REMAINING_RESET = (
    (b"x-ratelimit-remaining-requests", b"x-ratelimit-reset-requests"),
    (b"x-ratelimit-remaining-tokens", b"x-ratelimit-reset-tokens"),
    (b"anthropic-ratelimit-requests-remaining", b"anthropic-ratelimit-requests-reset"),
    (b"anthropic-ratelimit-tokens-remaining", b"anthropic-ratelimit-tokens-reset"),
)
YEAR_S = 366 * 86400.0


class _Detail(Struct):
    type: object = field(default=None, name="@type")
    retryDelay: object = None  # noqa: N815 - Google's own


class _Error(Struct, frozen=True):
    details: list[_Detail] = []


class _Told(Struct):
    error: _Error = _Error()


_one = msgspec.json.Decoder(_Told).decode
_several = msgspec.json.Decoder(list[_Told]).decode


def retry_after_s(headers: Headers, wall: float, body: bytes = b"") -> float | None:
    """Seconds to wait, from now (`wall`, UTC), or None where nothing usable was said.

    The SDKs' own order: milliseconds, then seconds or a date (RFC 9110 §10.2.3); then what an
    error's body says (`retry_delay_s`), then the reset of a limit of which nothing remains.
    """
    by_name = dict(headers)
    found = _number(by_name.get(b"retry-after-ms"))
    if found is not None:
        return _bounded(found / 1000)
    value = by_name.get(b"retry-after")
    if value is not None:
        found = _number(value)
        return _bounded(found if found is not None else _until(value.decode("latin-1"), wall))
    told_s = retry_delay_s(body)
    if told_s is not None:
        return told_s
    waits = [
        wait
        for remaining, reset in _REMAINING_RESET
        if by_name.get(remaining) == b"0" and (wait := _reset(by_name.get(reset), wall)) is not None
    ]
    return _bounded(max(waits)) if waits else None


def retry_delay_s(body: bytes) -> float | None:
    """Seconds to wait as Google's errors say them (google.rpc.RetryInfo: `"retryDelay": "34.07s"`),
    alone or in an array. None where there is nothing of the kind. Never raises.
    """
    if b"retryDelay" not in body:
        return None
    try:
        errors = _several(body) if body.lstrip()[:1] == b"[" else [_one(body)]
    except UNREADABLE:
        return None
    for detail in (detail for told in errors for detail in told.error.details):
        said = detail.retryDelay
        if str(detail.type).endswith("google.rpc.RetryInfo") and isinstance(said, str):
            found = _number(said.strip().removesuffix("s").encode("ascii", "replace"))
            if found is not None:
                return _bounded(found)
    return None


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
