"""What people are told when nobody could answer: what happened, whose fault, what to do."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.words import (
    STOPPED,
    ascii_header,
    because_of,
    declined_status,
    refusal,
    sentence,
)
from holdfast.facts.flights import Decline
from holdfast.facts.outcomes import Failure, Said, Verdict, Whose

TRIED = (("a/m", "503 overloaded"), ("b/m", "connection refused by 127.0.0.1:9"))


def verdict(whose: Whose = "provider", *because: str) -> Verdict:
    return Verdict(
        whose=whose, cause="provider_outage", confidence=0.8, action="fail_over", because=because
    )


def test_a_refusal_names_each_target_that_was_tried_and_why_it_failed() -> None:
    said = refusal(Decline(verdict=verdict(), tried=TRIED, should_retry=True, retry_after_s=7.6))
    assert "a/m: 503 overloaded; b/m: connection refused by 127.0.0.1:9" in said
    assert "Whose fault: theirs, not yours (provider_outage)." in said
    assert "Ask again in about 8 s" in said
    assert "holdfast status" in said


def test_what_went_alike_is_told_once() -> None:
    said = refusal(Decline(verdict=verdict(), tried=(TRIED[0], TRIED[0], TRIED[1])))
    assert "(a/m: 503 overloaded (2 times); b/m: connection" in said


def test_why_somebody_else_answered_is_told() -> None:
    passed = (("a/m", "no key"), ("b/m", "resting"))
    for planned, unasked, told in (
        ("first choice", (), "first choice"),
        ("first choice", passed[:1], "a/m was not asked: no key"),
        ("a/m is resting", passed[1:], "b/m was not asked: resting; a/m is resting"),
        ("", passed, "a/m was not asked: no key; b/m was not asked: resting"),
    ):
        assert because_of(planned, unasked) == told


def test_a_refusal_without_a_wait_says_a_moment_and_never_zero() -> None:
    for wait_s, told in ((None, "about 3 s"), (0.2, "about 1 s")):
        decline = Decline(verdict=verdict(), tried=TRIED, should_retry=True, retry_after_s=wait_s)
        assert told in refusal(decline)


def test_an_error_that_misleads_is_told_of_and_warned_against() -> None:
    said = Said("permission_error", "", "Account is no longer a member of the organization")
    article = Failure(kind="status", where="body", status=403, said=said)
    decline = Decline(verdict=verdict(), instead_of=article, tried=TRIED, should_retry=True)
    told = refusal(decline, "Since 14:02; half of such outages end within 70 min more.")
    assert "403 permission_error: Account is no longer a member of the organization" in told
    assert "do not act on it" in told
    assert "Since 14:02; half of such outages end within 70 min more." in told


def test_where_asking_again_is_no_cure_that_is_said() -> None:
    said = refusal(Decline(verdict=verdict("account"), tried=TRIED, should_retry=False))
    assert "Asking again will not help by itself" in said
    assert "holdfast logs" in said


@pytest.mark.parametrize(("wait_s", "told"), [(31.0, "1 min"), (600.0, "10 min"), (7200.0, "2 h")])
def test_a_long_wait_is_told_and_not_called_hopeless(wait_s: float, told: str) -> None:
    """`retry-after` says the same beside it, and a limit does end."""
    decline = Decline(verdict=verdict(), tried=TRIED, should_retry=False, retry_after_s=wait_s)
    said = refusal(decline)
    assert f"Ask again in about {told}; before, it will not help." in said
    assert "by itself" not in said


def test_where_nobody_counts_that_is_said_with_what_to_do() -> None:
    none = msgspec.structs.replace(verdict("request"), cause="not_offered")
    said = refusal(Decline(verdict=none, tried=(("a/m", "404 Not Found"),), should_retry=False))
    assert said.endswith("counts tokens (a/m: 404 Not Found). Estimate them.")
    assert declined_status(none, 529) == 404


def test_a_refusal_before_any_attempt_gives_the_verdict_s_reasons() -> None:
    said = refusal(Decline(verdict=verdict("request", "no target can carry this call")))
    assert "(no target can carry this call)" in said


def test_our_own_end_is_nobody_elses_fault() -> None:
    stopped = Verdict(whose="local", cause=STOPPED, confidence=1.0, action="surface_to_user")
    for told in (
        sentence(stopped, "a/m"),
        refusal(Decline(verdict=stopped, tried=TRIED, should_retry=True)),
    ):
        assert "stopped" in told
        assert "at fault" in told
        assert "gain when it is back" in told
        assert "engine" not in told


def test_an_answer_that_broke_off_says_that_it_is_incomplete() -> None:
    said = sentence(verdict("network", "cut in mid-answer"), "a/m")
    for part in ("a/m", "cut in mid-answer", "network", "incomplete", "ask again"):
        assert part in said
    assert "provider_outage" in sentence(verdict(), "a/m")


@pytest.mark.parametrize("whose", get_args(Whose))
def test_every_verdict_has_its_words(whose: Whose) -> None:
    said = refusal(Decline(verdict=verdict(whose), tried=TRIED))
    assert said.startswith("holdfast: ")
    assert "Whose fault: " in said
    assert sentence(verdict(whose), "a/m").startswith("holdfast: ")
    assert declined_status(verdict(whose), 529) in (400, 403, 503, 529)


def test_a_limit_is_told_as_a_limit_and_not_as_a_ban() -> None:
    limit = Verdict(whose="account", cause="rate_limit", confidence=0.7, action="wait_retry_after")
    assert declined_status(limit, 529) == 429
    assert declined_status(msgspec.structs.replace(limit, cause="quota_or_billing"), 529) == 403


@given(st.text())
def test_a_header_is_one_line_of_printable_ascii(text: str) -> None:
    value = ascii_header(text)
    assert len(value) == len(text)
    assert all(0x20 <= byte <= 0x7E for byte in value)
