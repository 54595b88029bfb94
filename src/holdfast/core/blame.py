"""Whose fault it is: evidence in, verdict out.

Two steps, apart. First what the bytes *may mean*: rows of `MEANINGS`, the most specific first, by
the provider's stable code, then its type, then its wording, then the status or the kind of the
failure. Then what *corroborates*: did this credential work a minute ago, did a burst of overload
come before, does the same credential work on another surface now? An auth error is evidence, not
a verdict: telling people that their key is bad during an outage is the worst mistake, so without
corroboration it is "unknown".

Wordings are those of the providers' documented errors and of public threads (2026-11); wording
may change, so each row that names one has a plainer row behind it.
"""

from __future__ import annotations

import re

from msgspec import Struct

from holdfast.facts.evidence import Circumstances
from holdfast.facts.outcomes import Action, Failure, Scope, Verdict, Whose

RECENT_S = 3600.0
# A stated wait longer than this is not "a moment": go elsewhere and tell.
SHORT_WAIT_S = 60.0
# From here on the wording itself says whose it is; below, the same bytes came in outages, too.
CLEAR = 0.6
WORDS_MAX = 4000


class Meaning(Struct, frozen=True):
    """What some bytes may mean. Empty `statuses` or `kinds` fit all; `wording` is searched."""

    cause: str
    whose: Whose
    confidence: float
    action: Action
    scope: Scope
    statuses: frozenset[int] = frozenset()
    kinds: frozenset[str] = frozenset()
    wording: re.Pattern[str] | None = None

    def fits(self, failure: Failure, words: str) -> bool:
        """Whether this row speaks about the failure."""
        if self.statuses and failure.status not in self.statuses:
            return False
        if self.kinds and failure.kind not in self.kinds:
            return False
        return self.wording is None or self.wording.search(words) is not None


def _row(
    cause: str, whose: Whose, confidence: float, action: Action, scope: Scope, *marks: int | str
) -> Meaning:
    """Marks: a number is a status, a word a kind of failure, `~…` a wording."""
    wording = next((m[1:] for m in marks if isinstance(m, str) and m.startswith("~")), None)
    return Meaning(
        cause,
        whose,
        confidence,
        action,
        scope,
        frozenset(m for m in marks if isinstance(m, int)),
        frozenset(m for m in marks if isinstance(m, str) and not m.startswith("~")),
        re.compile(wording, re.IGNORECASE) if wording is not None else None,
    )


SAY: Action = "surface_to_user"
GO: Action = "fail_over"
GO_TELL: Action = "fail_over_and_tell_user"
WAIT: Action = "wait_retry_after"
LARGER: Action = "shrink_or_larger_context"
PAGE = "<page>"
SERVER = tuple(range(500, 600))
MONEY = (
    r"~credit balance|insufficient_quota|credit_balance_exhausted|billing|spend(?:ing)?.?limit"
    r"|api usage limits|exceeded your current quota|out of credits|insufficient balance"
    r"|extra usage, not your plan|purchase (?:more )?credits|any credits|more credits are required"
)
FILTER = (
    r"~content.?filter|content_policy|content management policy|responsible.?ai|safety system"
    r"|moderation|usage polic|(?:prompt|input|message|content)\b.{0,60}\bflagged|flagged this"
)

MEANINGS = (
    # --- the request -----------------------------------------------------------------------
    # Anthropic 400 "prompt is too long: 210000 tokens > 200000 maximum", "input length and
    # `max_tokens` exceed context limit"; OpenAI code context_length_exceeded, "maximum context
    # length"; llama.cpp type exceed_context_size_error; Together with 403; Google "input token
    # count exceeds"; Groq 413/429 "Request too large for model": no waiting cures those.
    _row("context_too_long", "request", 0.9, LARGER, "nothing",
         r"~prompt is too long|context_length_exceeded|maximum context length|exceed_context_size"
         r"|context (?:window|limit|length|size|(?:the )?overflows)|input token count.{0,40}exceeds"
         r"|request too large for"),
    # Azure code content_filter / ResponsibleAIPolicyViolation, OpenAI content_policy_violation,
    # Anthropic "Output blocked by content filtering policy", OpenRouter 403 moderation. Going
    # round a refusal is not ours to decide.
    _row("content_filter", "request", 0.9, SAY, "nothing", 400, 403, 422, FILTER),
    _row("content_filter", "request", 0.9, SAY, "nothing", "error_event", FILTER),
    # --- HTML where JSON was due: not the API speaking, so not its word on the request ------
    _row("proxy_or_captive_portal", "intermediary", 0.5, GO, "model",
         400, 401, 403, 404, 405, 407, "~^<page>"),
    # --- the account -----------------------------------------------------------------------
    # A limit that says when it ends is one, even where it names quota (Google: "exceeded your
    # current quota … Please retry in 26.6s") or billing (Groq: "try again in 1.2s … Upgrade …
    # /settings/billing").
    _row("rate_limit", "account", 0.7, WAIT, "leaf", 429, r"~\b(?:re)?try (?:again )?in \d"),
    # Anthropic 429 "Extra usage is required for long context requests": no wait cures it, and
    # the same key still serves shorter ones.
    _row("quota_or_billing", "account", 0.6, GO_TELL, "nothing", 429,
         r"~extra usage is required"),
    # Anthropic 400 "Your credit balance is too low", "specified API usage limits", 402 and 429
    # spend limits; OpenAI 429 insufficient_quota; xAI 403 "run out of credits"; DeepSeek 402.
    _row("quota_or_billing", "account", 0.8, GO_TELL, "credential", 400, 401, 402, 403, 429, MONEY),
    _row("quota_or_billing", "account", 0.8, GO_TELL, "credential", "error_event", MONEY),
    # OpenAI 403 "Project … does not have access to model", Anthropic 403 api_key_scope_missing.
    _row("permission_model_access", "account", 0.7, GO_TELL, "leaf", 401, 403, 404,
         r"~not have access to (?:the )?model|api_key_scope_missing|must be verified to use"),
    # OpenAI 404 "… does not exist or you do not have access to it": most often the second.
    _row("permission_model_access", "account", 0.5, GO_TELL, "leaf", 404,
         r"~or you do not have access"),
    # OpenAI 403 unsupported_country_region_territory, Google 400 "User location is not
    # supported", and the edge's 403 "Request not allowed" before Anthropic's API.
    _row("region_blocked", "account", 0.7, GO_TELL, "credential", 400, 403,
         r"~unsupported_country|user location|forbidden.{0,20}request not allowed"),
    # Anthropic 400 "This organization has been disabled", organization_on_hold, 403 "OAuth …
    # not allowed for this organization"; OpenAI 401 account_deactivated: decisions of somebody.
    _row("credential_revoked_or_org", "account", CLEAR, GO_TELL, "credential", 400, 401, 403,
         r"~organization has (?:been )?disabled|organization_on_hold"
         r"|not allowed for this organization|deactivated"),
    # The 403 of the article, and OAuth texts: each of them was also seen in an outage of sign-in.
    _row("credential_revoked_or_org", "account", 0.5, GO_TELL, "credential", 400, 401, 403,
         r"~member of the organization|token (?:has been )?revoked|oauth"),
    # OpenAI 401 quotes the key that it does not know. Google says it with 400: "API key not
    # valid", reason API_KEY_INVALID.
    _row("credential_invalid", "account", CLEAR, GO_TELL, "credential", 400, 401,
         r"~api key not valid|api_key_invalid|incorrect api key provided"),
    _row("credential_invalid", "account", 0.5, GO_TELL, "credential", 400, r"~invalid api key"),
    _row("credential_invalid", "account", 0.5, GO_TELL, "credential", "error_event",
         r"~authentication_error|invalid_api_key"),
    _row("permission_model_access", "account", 0.5, GO_TELL, "credential", "error_event",
         r"~permission_error|permission_denied"),
    # --- the model -------------------------------------------------------------------------
    # Anthropic 404 not_found_error "model: …"; OpenAI code model_not_found (400, 403, 404);
    # Azure DeploymentNotFound; Ollama 404 "model 'x' not found, try pulling it first"; Mistral
    # 400 "Invalid model"; OpenRouter 404 "No endpoints found"; Google 404 "models/x is not
    # found", "Requested entity was not found". Another target may have it; the name stays wrong.
    _row("model_not_found", "request", 0.8, GO_TELL, "leaf", 400, 403, 404,
         r"~model_not_(?:found|available)|(?:unknown|invalid).model|no such model"
         r"|no models? (?:is )?loaded|not a valid model"
         r"|\bmodel (?:not exist|[`'\"].{1,120}does not exist)"),
    _row("model_not_found", "request", 0.8, GO_TELL, "leaf", 404,
         r"~not_found_error\s+model|deploymentnotfound|no endpoints found|requested entity"
         r"|models?\b.{0,120}(?:not found|not exist)"),
    # --- load ------------------------------------------------------------------------------
    _row("provider_overload", "provider", 0.85, GO, "model", 529),
    # In-stream events carry no status; OpenAI 503 server_is_overloaded, 429 slow_down; Envoy's
    # plain text; Mistral types capacity as an invalid request; "Rate exceeded." as bare text
    # with 429 came in an outage.
    _row("provider_overload", "provider", 0.8, GO, "model",
         r"~overloaded|no healthy upstream|upstream connect error|slow_down|at capacity"
         r"|capacity exceeded|^\s*rate exceeded"),
    _row("rate_limit", "account", 0.7, WAIT, "leaf", 429),
    _row("rate_limit", "account", 0.7, WAIT, "leaf", "error_event",
         r"~rate_limit|throttlingexception|resource_exhausted"),
    # --- what remains by status ------------------------------------------------------------
    _row("quota_or_billing", "account", 0.8, GO_TELL, "credential", 402),
    _row("credential_invalid", "account", 0.5, GO_TELL, "credential", 401),
    _row("permission_model_access", "account", 0.5, GO_TELL, "credential", 403),
    _row("proxy_or_captive_portal", "network", 0.6, GO_TELL, "provider",
         300, 301, 302, 303, 307, 308, 407),
    # Too many bytes for this one (Anthropic 413 request_too_large, 32 MB): others bear more.
    _row("request_invalid", "request", 0.8, GO, "nothing", 413),
    _row("request_invalid", "request", 0.8, GO, "nothing", "error_event", "~request_too_large"),
    _row("request_invalid", "request", 0.9, SAY, "nothing", 400, 404, 405, 409, 411, 414, 415,
         422, 431),
    _row("request_invalid", "request", 0.8, SAY, "nothing", "error_event",
         r"~invalid_request_error"),
    _row("client_timeout", "provider", 0.6, GO, "model", 408),
    # A local engine's 500 may be memory (Ollama, llama.cpp); any other 5xx is an outage.
    _row("local_engine_oom", "local", 0.7, GO_TELL, "model", *SERVER,
         r"~out of memory|requires more system memory|cudamalloc|runner process has terminated"),
    _row("provider_outage", "provider", 0.8, GO, "model", *SERVER),
    # --- what remains by kind --------------------------------------------------------------
    # The way there: other targets may be on another way, but somebody must see to this one.
    _row("dns", "network", 0.7, GO_TELL, "provider", "dns"),
    _row("tls_interception", "network", 0.6, GO_TELL, "provider", "tls"),
    _row("local_network", "network", 0.7, GO_TELL, "provider", "unreachable"),
    _row("no_connection", "unknown", 0.4, GO, "provider", "refused"),
    _row("blackhole", "unknown", 0.4, GO, "provider", "connect_timeout"),
    _row("proxy_or_captive_portal", "intermediary", 0.5, GO, "model", "not_json"),
    _row("silence", "provider", 0.6, GO, "model",
         "headers_timeout", "content_timeout", "idle_timeout"),
    _row("provider_outage", "provider", 0.6, GO, "model", "error_event"),
    _row("stream_truncated", "provider", 0.6, GO, "model",
         "truncated", "empty", "garbage", "protocol", "too_large"),
    # Cut before a word was said: either end, or anything between, may have done it.
    _row("no_connection", "unknown", 0.4, GO, "model", "reset"),
    # A reused connection that had been closed: a race, nobody's fault, and no news of anyone.
    _row("stale_connection", "network", 0.9, GO, "nothing", "stale"),
    _row("internal", "unknown", 0.3, GO, "nothing", "internal"),
)  # fmt: skip
OTHERWISE = _row("unknown", "unknown", 0.2, GO, "model")

# Passing faults: the same target may be asked once more when nobody else can answer. Silence and
# blackholes are not among them: they have cost the user's patience already.
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
# Causes that name the user, in whole families of which any may be an outage of sign-in.
_PERSONAL = frozenset(
    {
        "credential_revoked_or_org",
        "credential_invalid",
        "permission_model_access",
        "quota_or_billing",
    }
)
_LOCAL_DOWN = frozenset({"no_connection", "blackhole", "local_network"})


def transient(verdict: Verdict) -> bool:
    """Whether asking the same target again could help within a second or two."""
    return verdict.cause in TRANSIENT and verdict.action in (GO, WAIT)


def judge(failure: Failure, around: Circumstances) -> Verdict:
    """Give the verdict on one failure. Never raises; unsure is a verdict too."""
    words = wording(failure)
    meaning = next((row for row in MEANINGS if row.fits(failure, words)), OTHERWISE)
    because = [evidence(failure)]
    whose, cause, confidence = meaning.whose, meaning.cause, meaning.confidence
    action, rest_s = meaning.action, around.retry_after_s
    if rest_s is None and action == WAIT:
        rest_s = stated_wait_s(words)
    if meaning.scope == "nothing":
        rest_s = None
    if cause in _PERSONAL and meaning.scope == "credential":
        whose, cause, confidence = _personal(cause, confidence, around, because)
        action = GO if whose == "provider" else GO_TELL
    elif around.local and whose in ("provider", "unknown", "network"):
        whose, confidence = "local", max(confidence, 0.7)
        if cause in _LOCAL_DOWN and meaning.scope == "provider":
            cause, action = "local_engine_down", GO_TELL
        because.append("it is an engine on this machine")
    elif whose in ("provider", "unknown"):
        whose, confidence = _theirs(whose, cause, confidence, around, because)
    elif action == WAIT and rest_s is not None and rest_s > SHORT_WAIT_S:
        action = GO_TELL
        because.append(f"it asks to be left alone for {round(rest_s)} s")
    if whose == "account" and failure.status in (401, 403) and _worked(around, RECENT_S):
        confidence = min(confidence, 0.6)
    return Verdict(
        whose=whose,
        cause=cause,
        confidence=round(confidence, 3),
        action=action,
        because=tuple(because),
        scope=meaning.scope,
        rest_s=rest_s,
    )


def _worked(around: Circumstances, within_s: float) -> bool:
    return around.credential_last_ok_s is not None and around.credential_last_ok_s < within_s


def _theirs(
    whose: Whose, cause: str, confidence: float, around: Circumstances, because: list[str]
) -> tuple[Whose, float]:
    """A failure that names nobody: what speaks for or against the provider?"""
    if cause in ("no_connection", "blackhole"):
        if not around.other_providers_ok:
            return whose, confidence
        because.append("other providers answer, so the plain network works")
        return "provider", 0.7
    if whose == "provider" and around.overload_burst:
        because.append("a burst of server errors there in the last minutes")
        confidence += 0.1
    if whose == "provider" and around.other_models_failing:
        because.append("other models there fail too")
        confidence += 0.05
    return whose, min(0.95, confidence)


def _personal(
    cause: str, confidence: float, around: Circumstances, because: list[str]
) -> tuple[Whose, str, float]:
    """An error that names the user: what speaks for the provider being at fault after all?"""
    theirs = 0.0
    ok_s = around.credential_last_ok_s
    if ok_s is not None and _worked(around, RECENT_S):
        theirs += 0.4 if ok_s < RECENT_S / 4 else 0.3
        because.append(f"this very credential worked {max(1, round(ok_s))} s ago")
    if around.overload_burst:
        theirs += 0.35
        because.append("a burst of server errors came first")
    if around.other_surfaces_ok:
        theirs += 0.3
        because.append("the same credential still works on another surface")
    if around.other_surfaces_failing:
        theirs += 0.2
        because.append("other surfaces of the provider fail too")
    if around.other_credentials_failing:
        theirs += 0.3
        because.append("another credential is refused there, too")
    if confidence >= CLEAR:
        # Money runs out and accounts are closed in mid-morning, too: a key that worked says little.
        theirs /= 2
    if theirs >= 0.3:
        return "provider", "provider_outage", min(0.95, 0.45 + theirs)
    if confidence >= CLEAR:
        because.append("the wording names the account")
        return "account", cause, min(confidence, 0.7)
    because.append("nothing tells yet whether the credential or the provider is at fault")
    if ok_s is None:
        return "unknown", cause, 0.4
    return "account", cause, 0.5


def wording(failure: Failure) -> str:
    """What the rows search: the provider's own words, or the bare text of a body without them."""
    said = failure.said
    if said.type or said.code or said.message:
        return " ".join(part for part in (said.type, said.code, said.message) if part)[:WORDS_MAX]
    text = failure.body[:WORDS_MAX].decode("utf-8", "replace")
    return f"{PAGE} {text}" if text.lstrip()[:1] == "<" else text


_WAIT_STATED = re.compile(
    r"\b(?:re)?try (?:again )?in (?:(\d+) ?h(?:ours?)?)? ?(?:(\d+) ?m(?:in(?:ute)?s?)?(?!s))?"
    r" ?(?:(\d+(?:\.\d+)?) ?(ms|s))?",
    re.IGNORECASE,
)


def stated_wait_s(words: str) -> float | None:
    """Seconds to wait as said in words ("try again in 9m38.016s"), for those without a header."""
    found = _WAIT_STATED.search(words)
    if found is None or not any(found.groups()):
        return None
    hours, minutes, seconds, unit = found.groups()
    last_s = float(seconds or 0) / (1000 if unit and unit.lower() == "ms" else 1)
    return int(hours or 0) * 3600.0 + int(minutes or 0) * 60.0 + last_s


def evidence(failure: Failure) -> str:
    """The failure itself in a few words."""
    return (failure.text or failure.kind.replace("_", " "))[:300]
