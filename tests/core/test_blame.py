"""The judge: the same bytes, other circumstances, another verdict."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.blame import judge, transient
from holdfast.core.board import Circumstances
from holdfast.facts.outcomes import Failure, Said

ARTICLE = Failure(
    kind="status",
    where="body",
    status=403,
    said=Said(
        "permission_error",
        "",
        "Account is no longer a member of the organization associated with this token.",
    ),
)


def test_the_article_s_403_is_theirs_when_the_key_worked_a_minute_ago() -> None:
    verdict = judge(ARTICLE, Circumstances(credential_last_ok_s=60, overload_burst=True))
    assert verdict.whose == "provider"
    assert verdict.confidence > 0.9
    assert verdict.action == "fail_over"


def test_the_article_s_403_alone_blames_nobody() -> None:
    verdict = judge(ARTICLE, Circumstances())
    assert verdict.whose == "unknown"
    assert verdict.action == "fail_over_and_tell_user"


@pytest.mark.parametrize(
    ("status", "message", "cause", "action"),
    [
        (400, "max_tokens: field required", "request_invalid", "surface_to_user"),
        (400, "prompt is too long: 210000 tokens", "context_too_long", "shrink_or_larger_context"),
        (400, "Your credit balance is too low", "quota_or_billing", "fail_over_and_tell_user"),
        (404, "model_not_found: no such model", "model_not_found", "fail_over"),
        (413, "too large", "request_invalid", "surface_to_user"),
        (429, "", "rate_limit", "wait_retry_after"),
        (500, "", "provider_outage", "fail_over"),
        (529, "Overloaded", "provider_overload", "fail_over"),
    ],
)
def test_statuses_and_wordings(status: int, message: str, cause: str, action: str) -> None:
    failure = Failure(kind="status", where="body", status=status, said=Said("", "", message))
    verdict = judge(failure, Circumstances())
    assert (verdict.cause, verdict.action) == (cause, action)


@given(
    st.sampled_from([None, 200, 400, 401, 402, 403, 404, 429, 500, 529, 999]),
    st.text(max_size=80),
    st.sampled_from(["status", "refused", "dns", "garbage", "error_event", "idle_timeout"]),
    st.none() | st.floats(0, 3599),
    st.booleans(),
)
def test_any_failure_gets_a_verdict_and_no_working_key_is_called_bad(
    status: int | None, text: str, kind: str, ok_s: float | None, burst: bool
) -> None:
    failure = Failure(kind=kind, where="body", status=status, said=Said("", "", text))
    verdict = judge(failure, Circumstances(credential_last_ok_s=ok_s, overload_burst=burst))
    assert 0 <= verdict.confidence <= 1
    assert verdict.because
    assert isinstance(transient(verdict), bool)
    if status in (401, 403) and ok_s is not None:
        assert verdict.whose != "account" or verdict.confidence <= 0.8
