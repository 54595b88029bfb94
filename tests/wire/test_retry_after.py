"""How long the other side asks to be left alone, in all the ways in which it is said."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.facts.calls import Headers
from holdfast.wire.retry_after import YEAR_S, retry_after_s, retry_delay_s

NOW = datetime(2026, 11, 24, 4, 0, 0, tzinfo=UTC)
WALL = NOW.timestamp()
REQUESTS = (b"x-ratelimit-remaining-requests", b"x-ratelimit-reset-requests")
TOKENS = (b"x-ratelimit-remaining-tokens", b"x-ratelimit-reset-tokens")
OWN_REQUESTS = (b"anthropic-ratelimit-requests-remaining", b"anthropic-ratelimit-requests-reset")
OWN_TOKENS = (b"anthropic-ratelimit-tokens-remaining", b"anthropic-ratelimit-tokens-reset")
LIMITS = [REQUESTS, TOKENS, OWN_REQUESTS, OWN_TOKENS]


def said(*headers: tuple[bytes, bytes]) -> float | None:
    return retry_after_s(headers, WALL)


def spent(limit: tuple[bytes, bytes], reset: bytes, remaining: bytes = b"0") -> Headers:
    return (limit[0], remaining), (limit[1], reset)


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        (b"17", 17.0),
        (b" 17 ", 17.0),
        (b"0", 0.0),
        (b"1.5", 1.5),
        (b"-3", 0.0),
        (b"86400", 86400.0),
        (b"inf", YEAR_S),
        (b"1e300", YEAR_S),
        (b"Tue, 24 Nov 2026 04:00:30 GMT", 30.0),
        (b"Tuesday, 24-Nov-26 04:00:30 GMT", 30.0),
        (b"Tue, 24 Nov 2026 05:00:30 +0100", 30.0),
        (b"Tue, 24 Nov 2026 03:00:00 GMT", 0.0),
        (b"Mon, 01 Jan 0001 00:00:00 GMT", 0.0),
        (b"Fri, 31 Dec 9999 23:59:59 GMT", YEAR_S),
    ],
)
def test_seconds_and_dates_are_read(value: bytes, wait_s: float) -> None:
    """RFC 9110 §10.2.3, and the fractions that providers send."""
    assert said((b"retry-after", value)) == wait_s


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b" ",
        b"soon",
        b"nan",
        b"0x10",
        b"9" * 40,
        b"Tue, 99 Nov 2026 04:00:30 GMT",
        b"Fri, 31 Dec 9999 23:59:59 +9959",
        b"\xff\xfe",
        b"17 minutes",
    ],
)
def test_what_cannot_be_read_says_nothing(value: bytes) -> None:
    assert said((b"retry-after", value)) is None


def test_nothing_said_is_none() -> None:
    assert said() is None
    assert (
        said((b"content-type", b"text/html"), (b"date", b"Tue, 24 Nov 2026 04:00:00 GMT")) is None
    )


def test_milliseconds_come_before_seconds_and_seconds_before_limits() -> None:
    """The order in which the official SDKs obey."""
    ms, seconds = (b"retry-after-ms", b"1500"), (b"retry-after", b"9")
    limits = spent(REQUESTS, b"1m0s")
    assert said(*limits, seconds, ms) == 1.5
    assert said(*limits, seconds) == 9.0
    assert said(*limits) == 60.0


@pytest.mark.parametrize("ms", [b"", b"x", b"nan"])
def test_unreadable_milliseconds_leave_the_word_to_the_seconds(ms: bytes) -> None:
    assert said((b"retry-after-ms", ms), (b"retry-after", b"5")) == 5.0


@pytest.mark.parametrize(
    ("reset", "wait_s"),
    [
        (b"12ms", 0.012),
        (b"1s", 1.0),
        (b"7.66s", 7.66),
        (b"1m30s", 90.0),
        (b"6m0s", 360.0),
        (b"2m59.56s", 179.56),
        (b"9m38.016s", 578.016),
        (b"1h", 3600.0),
        (b"1h0m1s", 3601.0),
        (b"1m30s500ms", 90.5),
        (b"0s", 0.0),
        (b"9" * 60 + b"h", YEAR_S),
        (b"2026-11-24T04:01:00Z", 60.0),
        (b"2026-11-24T04:01:00.500Z", 60.5),
        (b"2026-11-24T13:01:00+09:00", 60.0),
        (b"2026-11-24T03:00:00Z", 0.0),
        (b"9999-12-31T23:59:59-23:59", YEAR_S),
        (b"0001-01-01T00:00:00+23:59", 0.0),
    ],
)
@pytest.mark.parametrize("limit", LIMITS)
def test_the_reset_of_a_spent_limit_is_read(limit, reset: bytes, wait_s: float) -> None:
    """Durations as Go prints them, moments after RFC 3339."""
    assert said(*spent(limit, reset)) == pytest.approx(wait_s, abs=1e-3)


@pytest.mark.parametrize(
    "reset", [b"", b"s", b"ms", b"-1s", b"1x", b"1d", b"1h1h", b"1s1m", b"\xb2s", b"1" * 65 + b"s"]
)
def test_an_unreadable_reset_says_nothing(reset: bytes) -> None:
    assert said(*spent(TOKENS, reset)) is None


@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_with_something_left_or_no_reset_asks_for_nothing(limit) -> None:
    assert said(*spent(limit, b"1m0s", remaining=b"1")) is None
    assert said((limit[0], b"0")) is None
    assert said((limit[1], b"1m0s")) is None


def test_of_two_spent_limits_the_later_reset_counts() -> None:
    assert said(*spent(REQUESTS, b"5s"), *spent(TOKENS, b"1m0s")) == 60.0
    assert said(*spent(TOKENS, b"5s"), *spent(OWN_REQUESTS, b"2026-11-24T04:00:07Z")) == 7.0
    assert said(*spent(REQUESTS, b"?"), *spent(TOKENS, b"5s")) == 5.0


@given(st.integers(0, 10**6))
def test_a_date_in_the_future_is_that_many_seconds_away(seconds: int) -> None:
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert said((b"retry-after", date.encode())) == seconds


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59_999))
def test_a_duration_is_the_sum_of_its_parts(hours: int, minutes: int, ms: int) -> None:
    text = f"{hours}h{minutes}m{ms // 1000}.{ms % 1000:03}s"
    wait_s = said(*spent(TOKENS, text.encode()))
    assert wait_s == pytest.approx(hours * 3600 + minutes * 60 + ms / 1000)


WORDS = st.one_of(
    st.binary(max_size=40),
    st.text("0123456789.:+-eE_hmsTZ, GMTuov", max_size=40).map(str.encode),
    st.from_regex(rb"[A-Z][a-z]{2}, [0-9]{1,2} [A-Z][a-z]{2} [0-9]{1,5} .{0,12}", fullmatch=True),
)
NAMES = st.sampled_from(
    [b"retry-after", b"retry-after-ms", *(name for limit in LIMITS for name in limit)]
)


@given(st.lists(st.tuples(NAMES, st.one_of(st.just(b"0"), WORDS)), max_size=8))
def test_no_headers_whatever_raise_or_ask_for_more_than_a_year(headers) -> None:
    wait_s = said(*headers)
    assert wait_s is None or 0.0 <= wait_s <= YEAR_S


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", [b"retry-after", b"retry-after-ms", TOKENS[1], OWN_TOKENS[1]])
@pytest.mark.parametrize(
    "bit", [b"1", b"9m", b" ", b",", b"(", b"Tue, ", b"1 ", b":", b"+", b"\\", b"2026-"]
)
def test_a_megabyte_of_nonsense_takes_no_time(name: bytes, bit: bytes) -> None:
    value = bit * (1_000_000 // len(bit))
    assert said((TOKENS[0], b"0"), (OWN_TOKENS[0], b"0"), (name, value)) in (None, YEAR_S)


# --------------------------------------------------------------------- in the body

INFO = "type.googleapis.com/google.rpc.RetryInfo"


def google(*details: object) -> bytes:
    return json.dumps({"error": {"code": 429, "details": details}}).encode()


@pytest.mark.parametrize(
    ("delay", "wait_s"),
    [("34.07s", 34.07), ("0s", 0.0), ("59s", 59.0), ("1e9s", YEAR_S), ("-3s", 0.0), ("17", 17.0),
     ("soon", None), ("", None), ("nans", None), (5, None), (None, None), ({"seconds": 5}, None)],
)  # fmt: skip
def test_googles_retry_info_is_read(delay: object, wait_s: float | None) -> None:
    """google.rpc.RetryInfo, as JSON writes a google.protobuf.Duration."""
    help_ = {"@type": "type.googleapis.com/google.rpc.Help", "retryDelay": "1s"}
    body = google(help_, {"@type": INFO, "retryDelay": delay})
    for told in (body, b" [" + body + b"]"):
        assert retry_after_s((), WALL, told) == wait_s


def test_a_header_speaks_before_the_body_and_the_body_before_a_reset() -> None:
    body = google({"@type": INFO, "retryDelay": "7s"})
    assert retry_after_s(((b"retry-after", b"3"),), WALL, body) == 3.0
    assert retry_after_s(spent(REQUESTS, b"60s"), WALL, body) == 7.0


@given(st.binary(max_size=60) | st.text(max_size=40).map(str.encode))
def test_no_body_breaks_the_reading(noise: bytes) -> None:
    assert retry_delay_s(noise) is None
    for body in (b'{"error":{"details":[{"@type":%b,"retryDelay":%b}]}}' % (noise, noise),
                 b"retryDelay" + noise):  # fmt: skip
        assert retry_delay_s(body) is None or body
