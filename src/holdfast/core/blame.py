"""Whose fault it is: evidence in, verdict out.

Two steps, apart. First what the bytes *may mean*: rows of `MEANINGS`, the most specific first, by
the provider's stable code, then its type, then its wording, then the status or kind. Then what
*corroborates*: did this credential work a minute ago, did a burst of overload come before, does
another surface fail too? An auth error is evidence, not a verdict: telling people that their key
is bad during an outage is the worst mistake, so without corroboration it is "unknown".
"""

from __future__ import annotations

import re

from msgspec import Struct

from holdfast.core.board import Circumstances
from holdfast.facts.outcomes import Action, Failure, Scope, Verdict, Whose

RECENT_S = 3600.0


class Meaning(Struct, frozen=True):
    """What some bytes may mean. `wording` is searched in type, code and message."""

    cause: str
    whose: Whose
    confidence: float
    action: Action
    scope: Scope
    statuses: frozenset[int] = frozenset()
    kinds: frozenset[str] = frozenset()
    wording: re.Pattern[str] | None = None

    def fits(self, failure: Failure, words: str) -> bool:
        if self.statuses and failure.status not in self.statuses:
            return False
        if self.kinds and failure.kind not in self.kinds:
            return False
        return self.wording is None or self.wording.search(words) is not None


def _row(
    cause: str, whose: Whose, confidence: float, action: Action, scope: Scope, *marks: object
) -> Meaning:
    statuses = frozenset(mark for mark in marks if isinstance(mark, int))
    kinds = frozenset(mark for mark in marks if isinstance(mark, str) and not mark.startswith("~"))
    wording = next((m[1:] for m in marks if isinstance(m, str) and m.startswith("~")), None)
    return Meaning(
        cause,
        whose,
        confidence,
        action,
        scope,
        statuses,
        kinds,
        re.compile(wording, re.IGNORECASE) if wording is not None else None,
    )


SAY: Action = "surface_to_user"
GO: Action = "fail_over"
GO_TELL: Action = "fail_over_and_tell_user"
# Statuses of "wrong everywhere" and of "the account" overlap; the wording of the documented
# errors (Anthropic, OpenAI, Google, llama.cpp; 2026-11) tells them apart.
MEANINGS = (
    _row(
        "context_too_long", "request", 0.9, "shrink_or_larger_context", "nothing",
        r"~prompt is too long|context_length_exceeded|maximum context length|exceed_context_size"
        r"|context window|input token count.*exceeds|too many (?:input )?tokens.*context",
    ),
    _row("content_filter", "request", 0.9, SAY, "nothing",
         r"~content_filter|content_policy|responsible.?ai|safety system|moderation"),
    _row("quota_or_billing", "account", 0.8, GO_TELL, "credential",
         r"~credit balance|insufficient_quota|credit_balance_exhausted|billing|spend.?limit"
         r"|api usage limits|exceeded your current quota|payment"),
    _row("credential_revoked_or_org", "account", 0.5, GO_TELL, "credential",
         r"~member of the organization|organization (?:has been )?disabled|organization_on_hold"
         r"|token has been revoked|oauth"),
    _row("region_blocked", "account", 0.7, GO_TELL, "provider",
         r"~unsupported_country|user location|region"),
    _row("credential_invalid", "account", 0.5, GO_TELL, "credential", 400,
         r"~api key not valid|api_key_invalid|invalid api key"),
    _row("model_not_found", "request", 0.8, GO, "leaf", 400, 404,
         r"~model_not_found|model.{0,80}(?:not exist|not found|not_found|unknown)|no such model"),
    _row("provider_overload", "provider", 0.85, GO, "model", 529),
    _row("provider_overload", "provider", 0.8, GO, "model",
         r"~overloaded|server_is_overloaded|at capacity|no healthy upstream|slow_down"),
    _row("rate_limit", "account", 0.7, "wait_retry_after", "leaf", 429),
    _row("rate_limit", "account", 0.7, "wait_retry_after", "leaf",
         r"~rate_limit_error|rate_limit_exceeded|ThrottlingException|RESOURCE_EXHAUSTED"),
    _row("quota_or_billing", "account", 0.8, GO_TELL, "credential", 402),
    _row("credential_invalid", "account", 0.5, GO_TELL, "credential", 401),
    _row("permission_model_access", "account", 0.5, GO_TELL, "credential", 403),
    _row("request_invalid", "request", 0.9, SAY, "nothing", 400, 404, 405, 409, 411, 413, 415, 422),
    _row("request_invalid", "request", 0.8, SAY, "nothing", "error_event",
         r"~invalid_request_error"),
    _row("client_timeout", "provider", 0.6, GO, "model", 408),
    _row("provider_outage", "provider", 0.8, GO, "model", *range(500, 600)),
    _row("dns", "network", 0.7, GO, "provider", "dns"),
    _row("tls_interception", "network", 0.6, GO, "provider", "tls"),
    _row("local_network", "network", 0.7, GO, "provider", "unreachable"),
    _row("no_connection", "unknown", 0.4, GO, "provider", "refused", "connect_timeout"),
    _row("proxy_or_captive_portal", "intermediary", 0.5, GO, "model", "not_json"),
    _row("silence", "provider", 0.6, GO, "model",
         "headers_timeout", "content_timeout", "idle_timeout"),
    _row("stream_truncated", "provider", 0.6, GO, "model",
         "reset", "truncated", "empty", "garbage", "protocol", "error_event", "too_large"),
    _row("stale_connection", "network", 0.9, GO, "nothing", "stale"),
    _row("internal", "unknown", 0.3, GO, "nothing", "internal"),
)  # fmt: skip
OTHERWISE = _row("unknown", "unknown", 0.2, GO, "model")

# Passing faults: the same target may be asked once more when nobody else can answer.
TRANSIENT = frozenset(
    {
        "provider_overload",
        "provider_outage",
        "stream_truncated",
        "client_timeout",
        "rate_limit",
        "no_connection",
        "proxy_or_captive_portal",
    }
)
_PERSONAL = frozenset(
    {
        "credential_revoked_or_org",
        "credential_invalid",
        "permission_model_access",
        "quota_or_billing",
    }
)


def transient(verdict: Verdict) -> bool:
    """Whether asking the same target again could help within a second or two."""
    return verdict.cause in TRANSIENT or verdict.cause == "outage"


def judge(failure: Failure, around: Circumstances) -> Verdict:
    """Give the verdict on one failure. Never raises; unsure is a verdict too."""
    said = failure.said
    words = f"{said.type} {said.code} {said.message}"[:4000]
    meaning = next((row for row in MEANINGS if row.fits(failure, words)), OTHERWISE)
    because = [evidence(failure)]
    whose, cause, confidence = meaning.whose, meaning.cause, meaning.confidence
    action = meaning.action
    if cause in _PERSONAL:
        whose, cause, confidence = _personal(cause, around, because)
        action = GO if whose == "provider" else GO_TELL
    elif around.local and whose in ("provider", "unknown", "network"):
        whose, confidence = "local", max(confidence, 0.7)
        because.append("it is an engine on this machine")
    elif cause == "no_connection" and around.other_providers_ok:
        whose, confidence = "provider", 0.7
        because.append("other providers answer, so the plain network works")
    elif whose == "provider" and around.overload_burst:
        confidence = min(0.95, confidence + 0.1)
        because.append("a burst of server errors there in the last minutes")
    return Verdict(
        whose=whose,
        cause=cause,
        confidence=confidence,
        action=action,
        because=tuple(because),
        scope=meaning.scope,
        rest_s=around.retry_after_s if failure.status in (429, 503, 529) else None,
    )


def _personal(cause: str, around: Circumstances, because: list[str]) -> tuple[Whose, str, float]:
    """An error that names the user: what speaks for the provider being at fault after all?"""
    for_them = 0.0
    ok_s = around.credential_last_ok_s
    if ok_s is not None and ok_s < RECENT_S:
        for_them += 0.4 if ok_s < RECENT_S / 4 else 0.3
        because.append(f"this very credential worked {max(1, round(ok_s))} s ago")
    if around.overload_burst:
        for_them += 0.35
        because.append("a burst of server errors came first")
    if around.other_surfaces_failing:
        for_them += 0.2
        because.append("other surfaces of the provider fail too")
    if cause == "quota_or_billing":
        # Money runs out in mid-morning, too: a key that worked says little here.
        for_them /= 2
    if for_them >= 0.3:
        return "provider", "provider_outage", min(0.95, 0.45 + for_them)
    because.append("nothing tells yet whether the credential or the provider is at fault")
    if cause == "quota_or_billing":
        return "account", cause, 0.7
    if ok_s is None:
        return "unknown", cause, 0.4
    return "account", cause, 0.5


def evidence(failure: Failure) -> str:
    """The failure itself in a few words."""
    return (failure.text or failure.kind.replace("_", " "))[:300]
