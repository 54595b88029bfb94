"""Errors as programs print them."""

from __future__ import annotations

import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.facts.outcomes import FailureKind, Said
from holdfast.wire.printed import DEPTH_MAX, read_printed, way_of

ERROR = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
GOOGLE = {"error": {"code": 503, "message": "Busy.", "status": "UNAVAILABLE"}}

STATUSES = [
    ("API Error: 529 Overloaded. This is a server-side issue", 529),
    ("Error code: 429 - {'error': {'message': 'x', 'code': 'insufficient_quota'}}", 429),
    ("Error: [429:insufficient_quota] You exceeded", 429),
    ('403 "You have run out of credits"', 403),
    ("503 no healthy upstream", 503),
    ("unexpected status 502 Bad Gateway: error code: 502", 502),
    ("Access forbidden (403): OAuth token has been revoked.", 403),
    ("[API Error: got status: UNAVAILABLE.]", 503),
    ("An error occurred (ThrottlingException) when calling", 429),
    ("openai.RateLimitError: too fast", 429),
    ('HTTP 413 "Request too large ... Limit 8000, Requested 32979"', 413),
    ("rate limit exceeded", 429),
    ("Rate limit reached for gpt-4o in organization org-x", 429),
    ("Quota exceeded for metric", 429),
    ("Invalid API key", 401),
    ("invalid x-api-key", 401),
    ("Service Unavailable", 503),
    ("Internal server error", 500),
    ("Error code: 500 - rate limit service unavailable", 500),  # a number goes before words
    ("the limit of your patience", None),
    ("prompt is too long: 210000 tokens > 200000 maximum", None),
    ("Request timed out after 600 seconds", None),
    ("Connection error.", None),
    ("", None),
]


@pytest.mark.parametrize(("text", "status"), STATUSES)
def test_a_status_is_read_where_it_is_named_as_one(text: str, status: int | None) -> None:
    assert read_printed(text).status == status


WRAPPED = [
    json.dumps(ERROR),
    f"API Error: 529 {json.dumps(ERROR)}",
    f"Error code: 529 - {ERROR}",
    json.dumps(json.dumps(ERROR)),
    json.dumps({"error": {"message": json.dumps(ERROR)}}),
    f"event: error\ndata: {json.dumps(ERROR)}\n\n",
    f"[{json.dumps(ERROR)}]",
]


@pytest.mark.parametrize("text", WRAPPED)
def test_the_innermost_words_are_the_provider_s(text: str) -> None:
    printed = read_printed(text)
    assert printed.said.type == "overloaded_error"
    assert "Overloaded" in printed.said.message
    assert printed.structured


def test_an_array_and_a_status_in_the_body_are_read() -> None:
    printed = read_printed(json.dumps([GOOGLE]))
    assert printed.status == 503
    assert printed.said == Said("UNAVAILABLE", "503", "Busy.")


def test_a_page_is_a_page_wherever_it_begins() -> None:
    printed = read_printed("HTTP 403 Forbidden.\n\n`<!DOCTYPE html>\n<title>Attention")
    assert printed.status == 403
    assert printed.page.startswith("<!DOCTYPE html>")
    assert printed.said == Said()


WAYS: list[tuple[str, FailureKind | None]] = [
    ("getaddrinfo ENOTFOUND api.example.com", "dns"),
    ("[Errno -3] Temporary failure in name resolution", "dns"),
    ("CERTIFICATE_VERIFY_FAILED self-signed certificate in certificate chain", "tls"),
    ("unable to get issuer certificate", "tls"),
    ("connect ECONNREFUSED 127.0.0.1:11434", "refused"),
    ("EHOSTUNREACH", "unreachable"),
    ("API Error: Unable to connect to API (ECONNRESET)", "reset"),
    ("socket hang up", "reset"),
    ("APITimeoutError: Request timed out.", "connect_timeout"),
    ("UND_ERR_HEADERS_TIMEOUT", "headers_timeout"),
    ("Stream idle timeout - partial response received", "idle_timeout"),
    ("stream disconnected before completion", "truncated"),
    ("TypeError: fetch failed", "refused"),
    ("Can't reach Claude. Check your connection.", "refused"),
    ("Connection error.", "refused"),
    ("Unexpected token '<', \"<!DOCTYPE \"... is not valid JSON", "not_json"),
    ("Cannot connect to host api.openai.com:443 ssl:default [Name or service not known]", "dns"),
    ("You exceeded your current quota", None),
    ("5-hour limit reached, resets 3pm", None),
    ("install it again; the safety system refused this", None),
    ("", None),
]


@pytest.mark.parametrize(("words", "kind"), WAYS)
def test_what_clients_call_a_failure_on_the_way(words: str, kind: FailureKind | None) -> None:
    assert way_of(words) == kind


@given(st.text(max_size=300) | st.text("{}[]'\"\\:, ae3", max_size=300))
def test_any_text_is_read(text: str) -> None:
    printed = read_printed(text)
    assert printed.status is None or 300 <= printed.status <= 599
    assert way_of(text) in (None, *get_args(FailureKind))
    if not printed.page and not printed.structured:
        assert printed.said.message == " ".join(text.split())


# Control characters fall to the squeezing of white space; a brace in the message looks like more.
PLAIN = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=30)


@given(PLAIN, PLAIN, PLAIN, st.integers(0, DEPTH_MAX - 2))
def test_an_error_is_found_in_its_wrappings(kind: str, words: str, about: str, deep: int) -> None:
    text = json.dumps({"error": {"type": f"{kind}_error", "message": words}})
    for _ in range(deep):
        text = json.dumps({"error": {"message": f"{about}: {text}"}})
    printed = read_printed(text)
    assert printed.said.type == f"{kind}_error"
    assert words in printed.said.message


@pytest.mark.parametrize("text", ["[" * 50_000, "{'a':" * 20_000, "(" * 50_000 + "'{", "\ud800{"])
def test_nests_and_broken_letters_are_borne(text: str) -> None:
    assert read_printed(text).said.type == ""
