"""What a client is told where nobody could answer."""

from __future__ import annotations

import msgspec
import pytest
from tests.core.playbook import legs

from holdfast.core.declining import SHRINK, decline
from holdfast.core.words import declined_status
from holdfast.facts.outcomes import Failure, Verdict, Whose


@pytest.mark.parametrize(
    ("whose", "confidence", "told", "own_errors", "passed_on"),
    [
        ("provider", 0.9, 403, True, False),
        ("provider", 0.7, 403, True, True),  # not sure enough to speak for somebody else
        ("provider", 0.9, 403, False, True),  # the route would rather have it as it came
        ("provider", 0.9, 529, True, True),  # blames nobody but who said it
        ("account", 0.9, 403, True, True),
    ],
)
def test_words_that_surely_blame_the_wrong_one_are_not_passed_on(
    whose: Whose, confidence: float, told: int, own_errors: bool, passed_on: bool
) -> None:
    (leg,) = legs("a")
    leg = msgspec.structs.replace(leg, own_errors=own_errors)
    failure = Failure(kind="status", where="body", text="it is you", status=told, body=b"{}")
    verdict = Verdict(whose=whose, cause="outage", confidence=confidence, action="fail_over")
    declined = decline([(leg, failure, verdict)], (("a/m", "it is you"),), several=False)
    assert (declined.failure is failure) is passed_on
    assert (declined.instead_of is failure) is not passed_on
    assert declined.provider == "a"


def test_a_route_may_ask_for_the_first_choice_s_own_error_though_several_failed() -> None:
    first, second = (msgspec.structs.replace(leg, own_errors=False) for leg in legs("a", "b"))
    verdict = Verdict(whose="provider", cause="outage", confidence=0.9, action="fail_over")
    failures = [
        Failure(kind="status", where="body", status=code, body=b"{}") for code in (403, 500)
    ]
    both = [(first, failures[0], verdict), (second, failures[1], verdict)]
    assert decline(both, (), several=True).failure is failures[0]


def test_that_a_call_is_too_long_for_a_stand_in_says_nothing_of_the_first_choice() -> None:
    """A client that shortens its conversation for a spare's window has lost it for nothing."""
    first, second = legs("a", "b")
    second = msgspec.structs.replace(second, stand_in=True)
    busy = Failure(kind="status", where="body", text="529", status=529, body=b"{}")
    down = Verdict(whose="provider", cause="provider_overload", confidence=0.9, action="fail_over")
    long = Failure(kind="status", where="body", text="too long", status=400, body=b"{}")
    small = Verdict(whose="request", cause="context_too_long", confidence=0.9, action=SHRINK)
    told = decline([(first, busy, down), (second, long, small)], (), several=True)
    assert (told.provider, told.verdict, told.failure) == ("a", down, None)
    for failed in ([(first, long, small), (second, busy, down)], [(second, long, small)]):
        assert decline(failed, (), several=True).verdict is small


@pytest.mark.parametrize(("status", "final"), [(200, False), (404, True)])
def test_a_page_for_an_answer_is_not_the_last_word(status: int, final: bool) -> None:
    """Of a wrong address or of a guest network: the client asks again, and is told no 400."""
    (leg,) = legs("a")
    page = Failure(kind="not_json", where="body", text="a page", status=status, body=b"<html>")
    verdict = Verdict(
        whose="request", cause="wrong_address", confidence=0.6, action="fail_over_and_tell_user"
    )
    told = decline([(leg, page, verdict)], (), several=False)
    assert told.should_retry is not final
    assert (told.failure is page) is final
    assert declined_status(verdict, 529) == 503


@pytest.mark.parametrize(("said", "told"), [(b"retry-after", None), (b"x-other", 20.0)])
def test_a_wait_that_stands_in_words_alone_is_said_in_a_header(
    said: bytes, told: float | None
) -> None:
    (leg,) = legs("a")
    failure = Failure(kind="status", where="body", status=429, body=b"{}", headers=((said, b"20"),))
    verdict = Verdict(
        whose="account", cause="rate_limit", confidence=0.8, action="wait_retry_after", rest_s=20.0
    )
    declined = decline([(leg, failure, verdict)], (), several=False)
    assert (declined.failure, declined.retry_after_s) == (failure, told)


def test_that_one_of_several_has_no_count_is_no_answer() -> None:
    first, second = legs("a", "b")
    absent = Failure(kind="absent", where="body", text="404 Not Found", status=404, body=b"{}")
    none = Verdict(whose="request", cause="not_offered", confidence=0.9, action="fail_over")
    busy = Failure(kind="status", where="body", text="529", status=529, body=b"{}")
    down = Verdict(whose="provider", cause="outage", confidence=0.9, action="fail_over")
    nobody = decline([(first, absent, none)], (), several=False, counting=True)
    assert (nobody.verdict.cause, nobody.failure, nobody.should_retry) == (none.cause, None, False)
    assert decline([], (), several=False, counting=True).verdict.cause == none.cause
    both = decline([(first, absent, none), (second, busy, down)], (), several=True, counting=True)
    assert (both.verdict, both.provider) == (down, "b")
