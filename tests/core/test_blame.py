"""The judge: the same bytes, other circumstances, another verdict."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.blame import judge, stated_wait_s, transient
from holdfast.facts.evidence import Circumstances
from holdfast.facts.outcomes import Action, Failure, FailureKind, Said, Scope, Verdict, Whose

QUIET = Circumstances()
ARTICLE = Said(
    "permission_error",
    "",
    "Account is no longer a member of the organization associated with this token.",
)
AZURE_FILTER = "The response was filtered due to Azure OpenAI's content management policy."


def status(code: int, *said: str, body: bytes = b"") -> Failure:
    """An answer that says failure; `said` is type, code, message, or the message alone."""
    words = Said(*said) if len(said) != 1 else Said("", "", said[0])
    return Failure(kind="status", where="body", status=code, said=words, body=body)


def event(*said: str) -> Failure:
    """A stream that itself says error: there is no status then."""
    return Failure(kind="error_event", where="in_stream", said=Said(*said))


def found(failure: Failure, around: Circumstances = QUIET) -> tuple[str, str, str]:
    verdict = judge(failure, around)
    return verdict.whose, verdict.cause, verdict.action


SAY = "surface_to_user"
GO = "fail_over"
TELL = "fail_over_and_tell_user"
LARGER = "shrink_or_larger_context"
WAIT = "wait_retry_after"

# ------------------------------------------------------------ what the bytes may mean

LONG = ("request", "context_too_long", LARGER)
TOO_LONG = [
    status(400, "invalid_request_error", "", "prompt is too long: 210000 tokens > 200000 maximum"),
    status(400, "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000"),
    status(400, "invalid_request_error", "context_length_exceeded", "too many"),
    status(400, "This model's maximum context length is 8192 tokens. However, you requested 9000"),
    status(400, "exceed_context_size_error", "400", "request exceeds the available context size"),
    status(500, "exceed_context_size_error", "500", "request exceeds the available context size"),
    status(403, "This model's maximum context length is 32768 tokens"),
    status(400, "INVALID_ARGUMENT", "400", "The input token count (2097153) exceeds the maximum"),
    status(413, "tokens", "rate_limit_exceeded", "Request too large for model `llama-3.1-8b`"),
    status(429, "tokens", "rate_limit_exceeded", "Request too large for gpt-4o on tokens per min"),
    status(400, "Trying to keep the first 6547 tokens when context overflows."),
    event("invalid_request_error", "", "prompt is too long: 210000 tokens > 200000 maximum"),
]

FILTERED = [
    status(400, "invalid_request_error", "content_policy_violation", "rejected by the system"),
    status(400, "", "content_filter", AZURE_FILTER),
    status(400, "", "", AZURE_FILTER),
    status(400, "invalid_request_error", "", "Output blocked by content filtering policy"),
    status(403, "", "403", "Your chosen model requires moderation and your input was flagged"),
    status(
        400, "invalid_request_error", "invalid_prompt", "your prompt was flagged as potentially"
    ),
    event("", "content_filter", AZURE_FILTER),
    event("invalid_request_error", "", "Output blocked by content filtering policy"),
    event("", "", "unable to respond to this request, which appears to violate our Usage Policy"),
]

NO_MODEL = [
    status(404, "not_found_error", "", "model: claude-sonnet-4-20250514"),
    status(404, "invalid_request_error", "model_not_found", "The model `gtp-5` does not exist"),
    status(400, "invalid_request_error", "model_not_found", "unknown"),
    status(400, "The model `gpt-5.1-mini` does not exist"),
    status(400, "Model Not Exist"),
    status(400, "invalid_model", "1500", "Invalid model: mistral-huge"),
    status(400, "x/y is not a valid model ID"),
    status(404, 'model "qwen3" not found, try pulling it first'),
    status(404, "", "DeploymentNotFound", "The API deployment for this resource is not there"),
    status(404, "NOT_FOUND", "404", "models/gemini-9 is not found for API version v1beta"),
    status(404, "No endpoints found for x/y."),
    status(400, "No models loaded. Please load a model in the developer page"),
]

WRONG_EVERYWHERE = [
    status(400, "invalid_request_error", "", "max_tokens: Field required"),
    status(400),
    status(404, "not_found_error", "", "Not found"),
    status(405),
    status(422, "invalid_request_error", "", "messages: unexpected role"),
    event("invalid_request_error", "", "messages: roles must alternate"),
]

MONEY = [
    status(400, "invalid_request_error", "", "Your credit balance is too low to access the API."),
    status(400, "You have reached your specified API usage limits."),
    status(402, "billing_error", "", "spend limit"),
    status(402),
    status(403, "You have run out of credits or need a subscription."),
    status(429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota"),
    status(429, "Your team has used all available credits or reached its monthly spending limit."),
    event("billing_error", "", "Your credit balance is too low to access the API."),
]


@pytest.mark.parametrize(
    ("failures", "expected"),
    [
        (TOO_LONG, LONG),
        (FILTERED, ("request", "content_filter", SAY)),
        (NO_MODEL, ("request", "model_not_found", TELL)),
        (WRONG_EVERYWHERE, ("request", "request_invalid", SAY)),
        (MONEY, ("account", "quota_or_billing", TELL)),
    ],
    ids=["too long", "filtered", "no such model", "wrong everywhere", "money"],
)
def test_every_dialect_of_a_cause_means_the_same(
    failures: list[Failure], expected: tuple[str, str, str]
) -> None:
    assert [(f.said, found(f)) for f in failures] == [(f.said, expected) for f in failures]


OTHERS: list[tuple[Failure, tuple[str, str, str]]] = [
    (status(529, "overloaded_error", "", "Overloaded"), ("provider", "provider_overload", GO)),
    (event("overloaded_error", "", "Overloaded"), ("provider", "provider_overload", GO)),
    (status(503, body=b"no healthy upstream"), ("provider", "provider_overload", GO)),
    (status(429, body=b"Rate exceeded."), ("provider", "provider_overload", GO)),
    (
        status(429, "invalid_request_error", "", "Service tier capacity exceeded for this model."),
        ("provider", "provider_overload", GO),
    ),
    (status(500), ("provider", "provider_outage", GO)),
    (status(520, body=b"<!DOCTYPE html>"), ("provider", "provider_outage", GO)),
    (event("api_error", "", "Internal server error"), ("provider", "provider_outage", GO)),
    (status(408), ("provider", "client_timeout", GO)),
    (status(413, "request_too_large", "", "Request exceeds"), ("request", "request_invalid", GO)),
    (event("request_too_large", "", "Request exceeds"), ("request", "request_invalid", GO)),
    (status(429), ("account", "rate_limit", WAIT)),
    (event("rate_limit_error", "", "too fast"), ("account", "rate_limit", WAIT)),
    (
        status(429, "rate_limit_error", "", "Extra usage is required for long context requests."),
        ("account", "quota_or_billing", TELL),
    ),
    (
        status(
            404, "", "model_not_found", "The model `x` does not exist or you do not have access"
        ),
        ("account", "permission_model_access", TELL),
    ),
    (
        status(403, "", "model_not_found", "Project `p` does not have access to model `x`"),
        ("account", "permission_model_access", TELL),
    ),
    (
        status(403, "", "unsupported_country_region_territory", "Country not supported"),
        ("account", "region_blocked", TELL),
    ),
    (status(403, "forbidden", "", "Request not allowed"), ("account", "region_blocked", TELL)),
    (
        status(400, "This organization has been disabled."),
        ("account", "credential_revoked_or_org", TELL),
    ),
    (
        status(400, "INVALID_ARGUMENT", "API_KEY_INVALID", "API key not valid."),
        ("account", "credential_invalid", TELL),
    ),
    (
        status(401, "", "invalid_api_key", "Incorrect API key provided: sk-…"),
        ("account", "credential_invalid", TELL),
    ),
    (
        status(401, "authentication_error", "", "invalid x-api-key"),
        ("unknown", "credential_invalid", TELL),
    ),
    (event("authentication_error", "", "no"), ("unknown", "credential_invalid", TELL)),
    (status(403, body=b" <html>blocked"), ("intermediary", "proxy_or_captive_portal", GO)),
    (status(302), ("network", "proxy_or_captive_portal", TELL)),
    (status(500, "CUDA error: out of memory"), ("local", "local_engine_oom", TELL)),
    (status(418), ("unknown", "unknown", GO)),
]


@pytest.mark.parametrize(("failure", "expected"), OTHERS)
def test_what_the_bytes_may_mean(failure: Failure, expected: tuple[str, str, str]) -> None:
    assert found(failure) == expected


KINDS: dict[FailureKind, tuple[str, str, str, Scope]] = {
    "refused": ("unknown", "no_connection", GO, "provider"),
    "unreachable": ("network", "local_network", TELL, "provider"),
    "dns": ("network", "dns", TELL, "provider"),
    "tls": ("network", "tls_interception", TELL, "provider"),
    "connect_timeout": ("unknown", "blackhole", GO, "provider"),
    "stale": ("network", "stale_connection", GO, "nothing"),
    "reset": ("unknown", "no_connection", GO, "model"),
    "headers_timeout": ("provider", "silence", GO, "model"),
    "status": ("unknown", "unknown", GO, "model"),
    "not_json": ("intermediary", "proxy_or_captive_portal", GO, "model"),
    "absent": ("request", "not_offered", GO, "nothing"),
    "unshown": ("request", "unshown", GO, "nothing"),
    "empty": ("provider", "stream_truncated", GO, "model"),
    "error_event": ("provider", "provider_outage", GO, "model"),
    "content_timeout": ("provider", "silence", GO, "model"),
    "idle_timeout": ("provider", "silence", GO, "model"),
    "truncated": ("provider", "stream_truncated", GO, "model"),
    "garbage": ("provider", "stream_truncated", GO, "model"),
    "protocol": ("provider", "stream_truncated", GO, "model"),
    "too_large": ("provider", "stream_truncated", GO, "model"),
    "internal": ("unknown", "internal", GO, "nothing"),
}


def test_every_kind_of_failure_has_its_meaning() -> None:
    got = {}
    for kind in get_args(FailureKind):
        verdict = judge(Failure(kind=kind, where="before_headers"), QUIET)
        got[kind] = (verdict.whose, verdict.cause, verdict.action, verdict.scope)
    assert got == KINDS


def test_what_could_be_answered_elsewhere_goes_elsewhere() -> None:
    """401, 402, 403, 408, 429, 5xx and every failure on the way: never to the user at once."""
    codes = (401, 402, 403, 408, 429, *range(500, 600))
    failures = [status(code) for code in codes]
    failures += [Failure(kind=kind, where="connect") for kind in get_args(FailureKind)]
    assert all(judge(f, QUIET).action not in (SAY, LARGER) for f in failures)


# ------------------------------------------------------------ what corroborates


def article() -> Failure:
    return Failure(kind="status", where="body", status=403, said=ARTICLE)


def test_the_article_s_403_is_theirs_when_the_key_worked_a_minute_ago() -> None:
    verdict = judge(article(), Circumstances(credential_last_ok_s=60, overload_burst=True))
    assert verdict.whose == "provider"
    assert verdict.confidence > 0.9
    assert verdict.action == GO


def test_the_article_s_403_alone_blames_nobody() -> None:
    verdict = judge(article(), QUIET)
    assert verdict.whose == "unknown"
    assert verdict.action == TELL


@pytest.mark.parametrize(
    ("around", "whose"),
    [
        (Circumstances(credential_last_ok_s=3500), "provider"),
        # That it worked over an hour ago says nothing for either.
        (Circumstances(credential_last_ok_s=3700), "unknown"),
        (Circumstances(overload_burst=True), "provider"),
        (Circumstances(other_surfaces_ok=True), "provider"),
        (Circumstances(other_credentials_failing=True), "provider"),
        (Circumstances(other_surfaces_failing=True), "unknown"),
        (Circumstances(other_providers_ok=True), "unknown"),
    ],
)
def test_an_auth_error_is_evidence_and_no_verdict(around: Circumstances, whose: str) -> None:
    assert judge(article(), around).whose == whose


def test_a_wording_that_names_the_account_needs_more_than_a_key_that_worked() -> None:
    closed = status(401, "", "account_deactivated", "This account has been deactivated.")
    assert judge(closed, Circumstances(credential_last_ok_s=60)).whose == "account"
    both = Circumstances(credential_last_ok_s=60, overload_burst=True)
    assert judge(closed, both).whose == "provider"


def test_other_providers_that_answer_clear_the_network() -> None:
    ok = Circumstances(other_providers_ok=True)
    for kind in ("refused", "connect_timeout", "reset"):
        failure = Failure(kind=kind, where="connect")
        assert judge(failure, QUIET).whose == "unknown"
        assert judge(failure, ok).whose == "provider"


def test_a_burst_and_other_models_make_an_outage_surer() -> None:
    alone = judge(status(500), QUIET)
    burst = judge(status(500), Circumstances(overload_burst=True, other_models_failing=True))
    assert alone.confidence < burst.confidence <= 0.95


def test_an_engine_on_this_machine_is_nobody_else_s_fault() -> None:
    here = Circumstances(local=True)
    assert found(Failure(kind="refused", where="connect"), here) == (
        "local",
        "local_engine_down",
        TELL,
    )
    assert judge(status(500), here).whose == "local"
    reset = judge(Failure(kind="reset", where="before_headers"), here)
    assert reset.whose == "local"
    assert transient(reset)
    odd = Failure(kind="not_json", where="body", text="text where JSON was due", status=200)
    assert judge(odd, QUIET).whose == "intermediary"
    assert judge(odd, here).whose == "local"


# ------------------------------------------------------------ waiting


@pytest.mark.parametrize(
    ("words", "wait_s"),
    [
        ("Please try again in 9.816s.", 9.816),
        ("Please try again in 174ms. Visit", 0.174),
        ("Please try again in 9m38.016s.", 578.016),
        ("try again in 1h2m3s", 3723.0),
        ("Try again in 60 seconds.", 60.0),
        ("try again in 5 minutes", 300.0),
        ("try again in 2 hours", 7200.0),
        ("Please retry in 26.6s.", 26.6),
        ("Please try again later.", None),
        ("try again in a moment", None),
        ("try again in 3", None),
        ("", None),
    ],
)
def test_a_wait_that_stands_in_the_wording_is_read(words: str, wait_s: float | None) -> None:
    assert stated_wait_s(words) == wait_s


def test_a_wait_in_the_header_counts_before_the_wording_s() -> None:
    failure = status(429, "Rate limit reached. Please try again in 9s.")
    assert judge(failure, QUIET).rest_s == 9.0
    assert judge(failure, Circumstances(retry_after_s=2.0)).rest_s == 2.0


def test_a_limit_that_names_billing_or_quota_but_ends_soon_is_a_limit() -> None:
    """Groq points to its billing page, Google says quota; both say when to come back."""
    groq = status(429, "Rate limit reached. Please try again in 1.2s. Upgrade at /settings/billing")
    google = status(429, "You exceeded your current quota … billing details.\nPlease retry in 26s.")
    for failure in (groq, google):
        assert found(failure) == ("account", "rate_limit", WAIT)


@pytest.mark.parametrize(
    ("ok_s", "whose"), [(3.0, "intermediary"), (5000.0, "request"), (None, "request")]
)
def test_a_page_is_no_matter_of_the_address_where_an_answer_came_just_before(
    ok_s: float | None, whose: str
) -> None:
    page = b"<!DOCTYPE html><html><body>We are down for maintenance</body></html>"
    failure = Failure(kind="not_json", where="body", text="a page", status=200, body=page)
    assert judge(failure, Circumstances(credential_last_ok_s=ok_s)).whose == whose


def test_a_long_wait_goes_elsewhere_and_is_told() -> None:
    for around, failure in (
        (Circumstances(retry_after_s=3600), status(429)),
        (QUIET, status(429, "Please try again in 9m38s.")),
    ):
        verdict = judge(failure, around)
        assert verdict.action == TELL
        assert not transient(verdict)


def test_a_matter_of_the_request_asks_for_no_rest() -> None:
    assert judge(status(400), Circumstances(retry_after_s=10)).rest_s is None
    assert judge(status(503), Circumstances(retry_after_s=10)).rest_s == 10


def test_passing_faults_may_be_asked_again_and_lasting_ones_not() -> None:
    for failure in (status(500), status(529), event("api_error", "", ""), status(429)):
        assert transient(judge(failure, QUIET))
    for failure in (status(400), status(401), status(402), status(404, "model not found")):
        assert not transient(judge(failure, QUIET))
    for kind in ("headers_timeout", "connect_timeout", "dns", "tls"):
        assert not transient(judge(Failure(kind=kind, where="connect"), QUIET))


# ------------------------------------------------------------ whatever comes

PHRASES = st.sampled_from([said.said.message for group in (TOO_LONG, MONEY) for said in group])
WORDS = st.text(max_size=80) | PHRASES
failures = st.builds(
    Failure,
    kind=st.sampled_from(get_args(FailureKind)),
    where=st.sampled_from(["connect", "before_headers", "body", "in_stream"]),
    status=st.none() | st.sampled_from([200, 400, 401, 402, 403, 404, 429, 500, 529, 999]),
    said=st.builds(Said, WORDS, WORDS, WORDS),
    body=st.binary(max_size=80),
)
arounds = st.builds(
    Circumstances,
    local=st.booleans(),
    credential_last_ok_s=st.none() | st.floats(0, 7200),
    overload_burst=st.booleans(),
    other_surfaces_failing=st.booleans(),
    other_surfaces_ok=st.booleans(),
    other_models_failing=st.booleans(),
    other_credentials_failing=st.booleans(),
    other_providers_ok=st.booleans(),
    retry_after_s=st.none() | st.floats(0, 1e6),
)


@given(failures, arounds)
def test_any_failure_gets_a_verdict_and_no_working_key_is_called_bad(
    failure: Failure, around: Circumstances
) -> None:
    verdict = judge(failure, around)
    assert isinstance(verdict, Verdict)
    assert verdict.whose in get_args(Whose)
    assert verdict.action in get_args(Action)
    assert verdict.scope in get_args(Scope)
    assert 0 <= verdict.confidence <= 1
    assert verdict.because
    assert all(verdict.because)
    assert isinstance(transient(verdict), bool)
    worked = around.credential_last_ok_s is not None and around.credential_last_ok_s < 3600
    if failure.status in (401, 403) and worked:
        assert verdict.whose != "account" or verdict.confidence <= 0.6


@given(st.text(max_size=100), st.text("0123456789hms. ", max_size=12))
def test_a_stated_wait_is_a_number_or_nothing(text: str, tail: str) -> None:
    wait_s = stated_wait_s(f"{text} try again in {tail}")
    assert wait_s is None or wait_s >= 0
