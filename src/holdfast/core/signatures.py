"""What the bytes of a failure may mean: rows of data, each with where it is known from.

Stable codes come first, the type second, wording last: a provider may word an error anew any day,
but SDKs are built on its codes. Plain rows by status or by the kind of the failure stand behind
all others. A row does not say whose fault it is; it says how often it was whose, because the same
bytes come from many causes. What stands around the failure then decides (`core/blame`).

Marks of a row: a number is a status, a word the kind of a failure; `codes` and `types` are the
provider's own words, whole; `says` is searched in what was said, lower-cased.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import get_args

from msgspec import Struct

from holdfast.facts.outcomes import Action, Failure, Said, Scope, Whose

WHOSE: tuple[Whose, ...] = get_args(Whose)
WORDS_MAX = 4000
PAGE = "<page>"
# The cause where nothing is wrong, but for that the target has no such thing.
NOT_OFFERED = "not_offered"

SAY: Action = "surface_to_user"
GO: Action = "fail_over"
GO_TELL: Action = "fail_over_and_tell_user"
WAIT: Action = "wait_retry_after"
LARGER: Action = "shrink_or_larger_context"
AGAIN: Action = "retry_same"


class Signature(Struct, frozen=True, kw_only=True):
    """One row: what a failure looks like, and whose it then was how often.

    `prior`: a share for each of `WHOSE`, in their order, summing to 1. `whose` and `confidence`
    are its greatest. Empty `statuses` or `kinds` fit all. With `codes` or `types` as well as
    `says`, one of the three is enough.
    """

    cause: str
    prior: tuple[float, ...]
    whose: Whose
    confidence: float
    action: Action
    scope: Scope
    source: str
    statuses: frozenset[int] = frozenset()
    kinds: frozenset[str] = frozenset()
    codes: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    says: re.Pattern[str] | None = None

    @property
    def plain(self) -> bool:
        """Whether the row looks at status and kind alone, at nobody's words."""
        return not self.codes and not self.types and self.says is None

    def fits(self, said: Said, words: str) -> bool:
        """Whether this row speaks about a failure of the right status and kind."""
        if self.plain:
            return True
        if said.code in self.codes or said.type in self.types:
            return True
        return self.says is not None and self.says.search(words) is not None


def _row(  # noqa: PLR0913 - a row is wide
    cause: str,
    prior: Mapping[Whose, float],
    action: Action,
    scope: Scope,
    *marks: int | str,
    codes: str = "",
    types: str = "",
    says: str = "",
    source: str,
) -> Signature:
    rest = (1.0 - sum(prior.values())) / len(WHOSE)
    shares = tuple(round(prior.get(whose, 0.0) + rest, 4) for whose in WHOSE)
    whose = max(prior, key=lambda name: prior[name])
    return Signature(
        cause=cause,
        prior=shares,
        whose=whose,
        confidence=prior[whose],
        action=action,
        scope=scope,
        source=source,
        statuses=frozenset(m for m in marks if isinstance(m, int)),
        kinds=frozenset(m for m in marks if isinstance(m, str)),
        codes=frozenset(codes.split()),
        types=frozenset(types.split()),
        says=re.compile(says) if says else None,
    )


REFUSED = (400, 401, 403, 404)
SERVER = tuple(range(500, 600))
EVENT = "error_event"
# A page of the network itself, whatever its status: nobody's API speaks in these words.
NETWORK_PAGE = (
    r"zscaler|netskope|forti(?:net|gate|guard)|blue ?coat|palo alto networks|websense|forcepoint"
    r"|sophos|barracuda|cisco umbrella|captive|proxy authentication required|squid"
    r"|network authentication required|url (?:is )?blocked|web ?filter|blocked by your"
    r"|(?:log|sign) ?in to (?:the |this )?(?:wi-?fi|network|hotspot)|hotspot"
)
MONEY = (
    r"credit balance|insufficient_quota|billing|spend(?:ing)?.?limit|exceeded your current quota"
    r"|api usage limits|out of credits|insufficient balance|extra usage, not your plan"
    r"|purchase (?:more |those )?credits|any credits|more credits are required|payment required"
    r"|not enough credits|quota exhausted|prepa(?:id|yment)"
)
FILTER = (
    r"content.?filter|content_policy|content management policy|responsible.?ai|safety system"
    r"|moderation|violates? our usage polic|usage polic(?:y|ies)"
    r"|(?:prompt|input|message|content)\b.{0,60}\bflagged|flagged this|prohibited_content"
    r"|block_?reason|finish_?reason\W+(?:\w+\.)?(?:safety|recitation|blocklist|spii)"
    r"|(?:sensitive|inappropriate) content|data_inspection_failed"
)
LOCAL_MEMORY = (
    r"out of memory|requires more system memory|cudamalloc|runner process has terminated"
    r"|not enough (?:gpu |video |system )?memory|insufficient memory"
    r"|(?:error|failed to) load(?:ing)? model|memory layout cannot be allocated"
    r"|runner.{0,20}(?:no longer running|unexpectedly stopped)|model has crashed|cuda error"
    r"|cache blocks"
)

SIGNATURES: tuple[Signature, ...] = (
    # --- the request -----------------------------------------------------------------------
    _row("context_too_long", {"request": 0.92}, LARGER, "nothing",
         codes="context_length_exceeded string_above_max_length",
         types="exceed_context_size_error",
         says=r"prompt is too long|context_length_exceeded|maximum context length"
         r"|exceed_context_size|context (?:window|limit|length|size|(?:the )?overflows)"
         r"|input token count.{0,40}exceeds|(?:input|prompt) (?:tokens?|length) exceeds?"
         r"|reduce the length of the (?:messages|prompt|input)|input is too long|prompt too long"
         r"|too long for (?:the )?requested model|kv cache is full"
         r"|exceeds? the (?:maximum|max|model's|available)(?: number of)? (?:input )?tokens?",
         source="error pages of Anthropic, OpenAI, Google, Together; llama.cpp server; LM Studio"),
    # Tokens a minute are fewer than this one request needs: no waiting cures that.
    _row("context_too_long", {"request": 0.92}, LARGER, "nothing",
         says=r"request too large for",
         source="OpenAI and Groq: 413 or 429 with type tokens"),
    # Going round a refusal is not ours to decide.
    _row("content_filter", {"request": 0.93}, SAY, "nothing", 200, 400, 403, 422,
         codes="content_filter content_policy_violation ResponsibleAIPolicyViolation",
         says=FILTER, source="Azure content_filter; OpenAI policy; Anthropic; OpenRouter 403"),
    _row("content_filter", {"request": 0.93}, SAY, "nothing", EVENT, "empty",
         codes="content_filter content_policy_violation ResponsibleAIPolicyViolation",
         says=FILTER, source="the same, in the stream"),
    _row("request_invalid", {"request": 0.85}, SAY, "nothing", EVENT, "empty",
         says=r"finish_?reason\W+(?:\w+\.)?max_tokens",
         source="Gemini: the whole budget went into thinking; an empty answer with 200"),
    _row("provider_bug", {"provider": 0.75, "request": 0.1}, AGAIN, "model", EVENT, "empty",
         says=r"malformed_function_call|finish_?reason\W+(?:<?\w+\.)?stop\b",
         source="Gemini: an empty answer that calls itself whole"),
    # --- a page where the API was due: not its word on the request ------------------------
    _row("proxy_or_captive_portal", {"network": 0.85, "intermediary": 0.08}, GO_TELL, "provider",
         200, *range(300, 309), *REFUSED, 407, 451, 502, 503, 511,
         "not_json",
         says=rf"(?s)^<page>.*(?:{NETWORK_PAGE})",
         source="block pages of TLS-inspecting proxies; RFC 6585 status 511"),
    _row("proxy_or_captive_portal", {"network": 0.7, "intermediary": 0.15}, GO_TELL, "provider",
         300, 301, 302, 303, 307, 308, 407, 511, source="RFC 9110; captive portals redirect"),
    _row("proxy_or_captive_portal", {"intermediary": 0.5, "account": 0.3}, GO, "model", 403,
         says=r"attention required|cf-error|just a moment|captcha|access denied|been blocked"
         r"|error code: 10\d\d",
         source="an edge's challenge page: the address it sees is not welcome"),
    _row("proxy_or_captive_portal",
         {"intermediary": 0.5, "network": 0.15, "request": 0.15, "account": 0.1}, GO, "model",
         400, 401, 403, 405, 407, says=r"^<page>|unexpected token '?<",
         source="HTML where JSON was due"),
    # A count is asked of whoever may have one; where the words are about the model, see below.
    _row(NOT_OFFERED, {"request": 0.9}, GO, "nothing", "absent", says=r"(?s)^(?!.*\bmodels?\b)",
         source="vLLM 404 and 405, Ollama 404, LM Studio 200: no count, and nobody's fault"),
    _row("unshown", {"request": 0.9}, GO, "nothing", "unshown",
         source="Gemini, audio models: a picture or a sound for a client of another dialect"),
    # The site's own pages, or a server that does not know the path: the address is wrong.
    _row("wrong_address", {"request": 0.6, "intermediary": 0.17, "local": 0.1}, GO_TELL, "model",
         404,
         says=r"^<page>|unexpected token '?<|doctype html|html page|^404 page not found"
         r"|^cannot (?:post|get) /|no route matched",
         source="a base URL without /v1, or of the web site; Go's and Express's own 404"),
    _row("wrong_address", {"request": 0.6, "intermediary": 0.17, "local": 0.1}, GO_TELL, "model",
         200, "not_json", says=r"^<page>|unexpected token '?<|doctype html|html page",
         source="a base URL without /v1, or of the web site"),
    # --- a local engine --------------------------------------------------------------------
    _row("local_engine_oom", {"local": 0.9}, GO_TELL, "model", 400, *SERVER, says=LOCAL_MEMORY,
         source="Ollama, llama.cpp, LM Studio: the model does not fit"),
    _row("local_engine_oom", {"local": 0.9}, GO_TELL, "model", EVENT, says=LOCAL_MEMORY,
         source="the same, in the stream"),
    _row("local_engine_down", {"local": 0.88}, AGAIN, "model",
         says=r"loading (?:the )?model|model is (?:still )?loading|maximum pending requests",
         source="llama.cpp 503 while it loads; Ollama 503 with its queue full"),
    _row("local_engine_down", {"local": 0.88}, GO_TELL, "provider",
         says=r"asyncenginedead|enginedead|enginecore|model (?:is|was) unloaded"
         r"|could not connect to ollama",
         source="vLLM, LM Studio, Ollama"),
    _row("model_not_found", {"request": 0.8, "local": 0.12}, GO_TELL, "leaf", 400, 404, EVENT,
         says=r"no models? (?:is )?loaded|try pulling it first",
         source="LM Studio 400, Ollama 404"),
    _row("local_engine_down", {"local": 0.75, "network": 0.12}, GO_TELL, "provider",
         500, 502, 503, "refused", EVENT,
         says=r"(?:localhost|127\.0\.0\.1|\[?::1\]?):\d+.{0,200}refused"
         r"|refused.{0,80}(?:localhost|127\.0\.0\.1|::1)",
         source="relays and clients that quote the address that they dialled"),
    _row("local_network", {"network": 0.65, "local": 0.2}, GO_TELL, "provider",
         "refused", "unreachable", "connect_timeout", "reset",
         says=r"\b(?:10\.\d+|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d+\.\d+",
         source="an engine on another machine of the person's own network"),
    # --- the account: money and limits -----------------------------------------------------
    _row("rate_limit", {"intermediary": 0.4, "provider": 0.27, "account": 0.2}, GO, "model", 429,
         says=r"no deployments available|all (?:accounts|keys|channels|upstreams)",
         source="routers that rest all that they have, whatever ails it"),
    _row("proxy_or_captive_portal", {"intermediary": 0.68, "provider": 0.12}, GO, "model",
         types="new_api_error one_api_error",
         says=r"no available (?:channel|account|key|upstream)|channel not found",
         source="pooling relays (one-api, new-api and their kin) about their own stock"),
    _row("quota_or_billing", {"account": 0.85, "provider": 0.06}, GO_TELL, "leaf", 429, EVENT,
         says=r"\blimit: 0\b|quota.{0,40}\b(?:is|of) 0\b",
         source="Google: a quota of none for this model looks like a rate limit"),
    # A limit that says when it ends is one, even where it names quota (Google) or billing (Groq).
    _row("rate_limit", {"account": 0.85, "intermediary": 0.05}, WAIT, "leaf", 429, EVENT,
         says=r"\b(?:re)?try (?:again )?(?:in|after) \d",
         source="OpenAI, Groq, Google, Azure: a stated wait"),
    _row("quota_or_billing", {"account": 0.52, "provider": 0.15, "request": 0.25},
         GO_TELL, "nothing", 429, EVENT, says=r"extra usage is required",
         source="Anthropic 429 for long context: no wait cures it, shorter ones still pass"),
    _row("quota_or_billing", {"account": 0.78, "provider": 0.11}, GO_TELL, "credential",
         *REFUSED, 402, 429,
         codes="insufficient_quota credit_balance_exhausted billing_hard_limit_reached"
         " billing_not_active contract_spend_limit_reached enforced_spend_limit_reached"
         " ramp_limit_exceeded insufficient_balance",
         types="billing_error insufficient_quota exceeded_current_quota_error", says=MONEY,
         source="SDK error maps of Anthropic and OpenAI; xAI 403; DeepSeek 402; OpenRouter 402"),
    _row("quota_or_billing", {"account": 0.78, "provider": 0.11}, GO_TELL, "credential", EVENT,
         codes="insufficient_quota", types="billing_error insufficient_quota", says=MONEY,
         source="the same, in the stream"),
    _row("quota_or_billing", {"account": 0.85, "provider": 0.06}, GO_TELL, "credential",
         403, 429, EVENT,
         says=r"per[- _]?day|daily (?:limit|quota)|weekly limit|5.hour limit|usage limit"
         r"|hit your limit|limit reached.{0,20}resets?",
         source="Google quota_limit …PerDay; windows of subscriptions: hours, not seconds"),
    # --- the account: what it may do -------------------------------------------------------
    _row("permission_model_access", {"account": 0.82, "provider": 0.05}, GO_TELL, "leaf",
         *REFUSED, EVENT,
         codes="api_key_scope_missing SERVICE_DISABLED IAM_PERMISSION_DENIED ip_not_authorized"
         " API_KEY_SERVICE_BLOCKED insufficient_permissions",
         types="PERMISSION_DENIED",
         says=r"(?:does|do)(?: not|n.t) have access to (?:the )?model|api_key_scope_missing"
         r"|missing scopes|insufficient permissions|permission to (?:use|access)|data policy"
         r"|use case details have not been|virtual network|public access is disabled"
         r"|only authorized for use with"
         r"|must be verified to use|not authorized to (?:invoke|perform|access)"
         r"|permission '.{1,80}' denied|permission denied on resource"
         r"|principal does not have access|has not been used in project|accessdenied",
         source="OpenAI 403 on projects; Google and AWS IAM; Azure roles"),
    _row("permission_model_access", {"account": 0.68, "request": 0.2}, GO_TELL, "leaf",
         404, EVENT, says=r"or you (?:do|may) not have access",
         source="OpenAI 404: most often the second"),
    _row("region_blocked", {"account": 0.82, "provider": 0.06}, GO_TELL, "credential",
         400, 403, EVENT, codes="unsupported_country_region_territory",
         says=r"unsupported_country|user location is not|forbidden.{0,40}request not allowed"
         r"|not (?:available|supported) in your (?:country|region|location)",
         source="OpenAI 403; Google 400; the edge before Anthropic's API"),
    _row("region_blocked", {"account": 0.55, "network": 0.25}, GO_TELL, "provider",
         "refused", "reset", "connect_timeout", "unreachable", EVENT,
         says=r"err_bad_request|err_forbidden",
         source="clients that tell a 4xx of the edge as a connection that failed"),
    _row("credential_revoked_or_org", {"account": 0.72, "provider": 0.08, "intermediary": 0.1},
         GO_TELL, "credential", 400, 401, 403, EVENT,
         codes="organization_on_hold account_deactivated claude_code_key_creator_not_member",
         says=r"organization has (?:been )?disabled|organization_on_hold|deactivated|suspended"
         r"|not allowed for this organization|account.{0,20}(?:banned|blocked|disabled)",
         source="OpenAI account_deactivated; Anthropic 400 and 403: decisions of somebody"),
    # The 403 of the article, and OAuth texts: each was also seen in outages of sign-in.
    _row("credential_revoked_or_org", {"account": 0.4, "provider": 0.4}, GO_TELL, "credential",
         400, 401, 403, EVENT,
         says=r"member of the organization|token (?:has been )?revoked|oauth|run /login"
         r"|not logged in|log ?in (?:window|again|required)|session (?:has )?expired"
         r"|(?:signed|logged) (?:you )?out",
         source="outages of 2025-07-10, 2026-04-06, -07 and -30 said the same as true refusals"),
    _row("credential_invalid", {"account": 0.85, "provider": 0.05}, GO_TELL, "credential",
         400, 401, 403, EVENT,
         codes="ExpiredTokenException UnrecognizedClientException InvalidSignatureException",
         says=r"no (?:api key|auth credentials|cookie auth)|(?:didn.t|did not) provide an api key"
         r"|(?:missing|no) (?:authentication|authorization) header|header is required"
         r"|unregistered callers|security token included in the request|invalid_grant"
         r"|default credentials|unable to locate credentials|api key (?:has )?expired"
         r"|must be a member of an organization|invalid subscription key",
         source="OpenAI, OpenRouter, Google, AWS, Azure: no key, or one that was never good"),
    # OpenAI 401 quotes the key that it does not know. Google says it with 400.
    _row("credential_invalid", {"account": 0.85, "provider": 0.05}, GO_TELL, "credential",
         400, 401, EVENT, codes="API_KEY_INVALID",
         says=r"api key not valid|api_key_invalid|incorrect api key provided",
         source="OpenAI 401, Google 400: the key itself is looked up"),
    _row("credential_invalid", {"account": 0.5, "provider": 0.3}, GO_TELL, "credential", 400,
         says=r"invalid api key|api key (?:is )?(?:missing|required)",
         source="relays and smaller clouds"),
    _row("credential_invalid", {"account": 0.5, "provider": 0.3}, GO_TELL, "credential", EVENT,
         codes="invalid_api_key", types="authentication_error",
         says=r"authentication_error|invalid_api_key|unauthorized",
         source="error types of Anthropic and OpenAI, in the stream"),
    _row("permission_model_access", {"account": 0.5, "provider": 0.25}, GO_TELL, "credential",
         EVENT, types="permission_error PERMISSION_DENIED",
         says=r"permission_error|permission_denied", source="the same"),
    # --- the model -------------------------------------------------------------------------
    # Another target may have it; the name stays wrong.
    _row("model_not_found", {"request": 0.85, "account": 0.07}, GO_TELL, "leaf",
         400, 403, 404, EVENT,
         codes="model_not_found DeploymentNotFound model_not_available model_decommissioned",
         says=r"model_not_(?:found|available)|(?:unknown|invalid).model|no such model"
         r"|not a valid model|model.{0,80}(?:decommissioned|deprecated|retired|been shut down)"
         r"|\bmodel (?:not exist|[`'\"].{1,120}does not exist)",
         source="OpenAI code model_not_found; Azure; Mistral 400; DeepSeek 400"),
    _row("model_not_found", {"request": 0.75, "local": 0.07}, GO_TELL, "leaf", 404, EVENT,
         says=r"not_found_error\s+model|deploymentnotfound|no endpoints found"
         r"|models?\b.{0,120}(?:not found|not exist)",
         source="Anthropic 404 'model: …'; OpenRouter; Google; Ollama"),
    _row("model_not_found", {"request": 0.5, "provider": 0.15, "account": 0.15}, GO_TELL, "leaf",
         404, says=r"requested entity|may not exist", source="Google 404 of many causes"),
    # --- load ------------------------------------------------------------------------------
    _row("provider_overload", {"provider": 0.88, "intermediary": 0.07}, GO, "model",
         429, *SERVER, EVENT,
         codes="server_is_overloaded slow_down", types="overloaded_error",
         says=r"overloaded|no healthy upstream|upstream connect error|slow_down|at capacity"
         r"|capacity exceeded|^\s*\"?rate exceeded|high demand|too many connections",
         source="Anthropic 529; OpenAI 503; Envoy's plain text; Mistral types it as invalid"),
    _row("provider_overload", {"provider": 0.88, "intermediary": 0.07}, GO, "model",
         types="overloaded_error", says=r"overloaded_error",
         source="relays that change the status and keep the type"),
    _row("provider_overload", {"provider": 0.88, "intermediary": 0.08}, GO, "model", 529,
         source="Anthropic errors page"),
    _row("rate_limit",
         {"account": 0.76, "provider": 0.1, "request": 0.05, "intermediary": 0.04},
         WAIT, "leaf", 429,
         source="RFC 6585; of 67 read in threads, 25 were no more than that"),
    _row("rate_limit", {"account": 0.75, "provider": 0.12}, WAIT, "leaf", EVENT,
         types="rate_limit_error rate_limit_exceeded ThrottlingException RESOURCE_EXHAUSTED",
         says=r"rate_?limit|throttl|resource_exhausted|too many (?:requests|tokens)",
         source="Anthropic, OpenAI, Bedrock, Google, in the stream"),
    # --- what remains by status ------------------------------------------------------------
    _row("quota_or_billing", {"account": 0.85, "provider": 0.06}, GO_TELL, "credential", 402,
         source="Anthropic, DeepSeek, OpenRouter: billing"),
    _row("credential_invalid", {"account": 0.48, "provider": 0.3, "intermediary": 0.06},
         GO_TELL, "credential", 401, source="every provider; and outages of sign-in"),
    _row("permission_model_access",
         {"account": 0.5, "provider": 0.26, "network": 0.06, "intermediary": 0.06},
         GO_TELL, "credential", 403, source="every provider; and outages of sign-in"),
    # Too many bytes for this one (Anthropic: 32 MB): others bear more.
    _row("request_invalid", {"request": 0.8, "intermediary": 0.1}, GO, "nothing", 413,
         source="RFC 9110; Anthropic request_too_large"),
    _row("request_invalid", {"request": 0.8}, GO, "nothing", EVENT, types="request_too_large",
         says=r"request_too_large", source="Anthropic errors page"),
    _row("request_invalid", {"request": 0.8, "account": 0.06, "provider": 0.05}, SAY, "nothing",
         400, 404, 405, 409, 411, 414, 415, 422, 431, source="RFC 9110: the client's error"),
    _row("request_invalid", {"request": 0.8, "provider": 0.06}, SAY, "nothing", EVENT,
         types="invalid_request_error INVALID_ARGUMENT BadRequestError ValidationException",
         says=r"invalid_request_error|invalid_argument|validationexception", source="error types"),
    _row("client_timeout", {"provider": 0.6, "network": 0.12, "intermediary": 0.1}, GO, "model",
         408, source="RFC 9110; OpenRouter 408"),
    # The edge answers for a server behind it that does not: HTML, or a line of text.
    _row("provider_outage", {"provider": 0.72, "intermediary": 0.18}, GO, "model",
         502, 503, 504, *range(520, 531), source="RFC 9110; Cloudflare's 52x"),
    _row("provider_outage", {"provider": 0.84, "request": 0.05, "intermediary": 0.04}, GO, "model",
         *SERVER, source="RFC 9110; api_error, server_error, INTERNAL"),
    _row("proxy_or_captive_portal", {"network": 0.78, "intermediary": 0.1}, GO_TELL, "provider",
         "refused", "reset", "unreachable", "connect_timeout", EVENT,
         says=r"proxyerror|tunnel|(?:via|through|to) (?:the )?proxy|socks"
         r"|proxy (?:refused|connect)",
         source="curl, requests, Node: the proxy that this machine is told to use"),
    # --- what remains by kind --------------------------------------------------------------
    # The way there: other targets may be on another way, but somebody must see to this one.
    _row("dns", {"network": 0.85}, GO_TELL, "provider", "dns", source="getaddrinfo"),
    _row("certificate", {"network": 0.45, "provider": 0.25, "unknown": 0.15}, GO_TELL, "provider",
         "tls", says=r"expired|not yet valid|host ?name|altname|doesn't match",
         source="OpenSSL: its dates or its names; a clock that is wrong, or theirs"),
    _row("tls_interception", {"network": 0.85}, GO_TELL, "provider", "tls",
         source="OpenSSL, Node, rustls: the signer is not known here"),
    _row("local_network", {"network": 0.8}, GO_TELL, "provider", "unreachable",
         source="ENETUNREACH, EHOSTUNREACH"),
    _row("no_connection", {"unknown": 0.42, "provider": 0.24, "network": 0.2}, GO, "provider",
         "refused", source="ECONNREFUSED, or a client that says no more than 'connection error'"),
    _row("blackhole", {"unknown": 0.4, "provider": 0.2, "network": 0.28}, GO, "provider",
         "connect_timeout", source="ETIMEDOUT, 'request timed out' before any header"),
    _row("proxy_or_captive_portal", {"intermediary": 0.55, "network": 0.12, "request": 0.15}, GO,
         "model", "not_json", source="text where JSON was due"),
    _row("silence", {"provider": 0.66, "network": 0.1, "local": 0.06}, GO, "model",
         "headers_timeout", "content_timeout", "idle_timeout",
         source="time limits, ours and those of SDKs"),
    _row("stream_truncated",
         {"unknown": 0.32, "provider": 0.24, "intermediary": 0.2, "request": 0.12}, GO, "model",
         "truncated", says=r"stream (?:closed|disconnected) before",
         source="Codex: ten threads, eight causes"),
    _row("stream_truncated", {"local": 0.4, "provider": 0.25, "request": 0.15}, GO, "model",
         "garbage", says=r"unexpected (?:end of json|token)|not valid json|parse message",
         source="a client that reads a stream by pieces that are no events"),
    _row("provider_outage", {"provider": 0.68, "request": 0.08}, GO, "model", "error_event",
         source="an error in the stream that names nothing else"),
    _row("stream_truncated", {"provider": 0.6, "intermediary": 0.1, "network": 0.06}, GO, "model",
         "truncated", "empty", "garbage", "protocol", "too_large",
         source="an answer without its end"),
    # Cut before a word was said: either end, or anything between, may have done it.
    _row("no_connection", {"unknown": 0.48, "network": 0.25, "provider": 0.17}, GO, "model",
         "reset", source="ECONNRESET in public threads: most were never explained"),
    # A reused connection that had been closed: a race, nobody's fault, and no news of anyone.
    _row("stale_connection", {"network": 0.9}, GO, "nothing", "stale", source="RFC 9112 § 9.3"),
    _row("internal", {"unknown": 0.5}, GO, "nothing", "internal", source="our own code"),
)  # fmt: skip
OTHERWISE = _row("unknown", {"unknown": 0.4}, GO, "model", source="nothing fits")


class Book:
    """Signatures to look things up in: by status and kind first, then row by row."""

    def __init__(self, rows: Iterable[Signature] = SIGNATURES) -> None:
        self.rows = tuple(rows)
        self._found: dict[tuple[int | None, str], tuple[Signature, ...]] = {}

    def find(self, failure: Failure, words: str) -> Signature:
        """The first row that speaks about the failure. `words`: see `wording`."""
        key = failure.status, failure.kind
        rows = self._found.get(key)
        if rows is None:
            rows = self._found[key] = tuple(row for row in self.rows if _may(row, *key))
            if len(self._found) > 1000:  # statuses that nobody uses; forget them
                self._found.clear()
        said = failure.said
        return next((row for row in rows if row.fits(said, words)), OTHERWISE)


def _may(row: Signature, status: int | None, kind: str) -> bool:
    """Whether status and kind are of this row. Where both are named, either will do."""
    if not row.statuses and not row.kinds:
        return True
    return status in row.statuses or kind in row.kinds


def wording(failure: Failure) -> str:
    """What the rows search, lower-cased: the provider's own words, or the bare text of a body.

    A page of HTML begins with `<page>`. Where no answer came, it is the words of whoever failed.
    """
    said = failure.said
    if said.type or said.code or said.message:
        return f"{said.type} {said.code} {said.message}"[:WORDS_MAX].strip().lower()
    text = failure.body[:WORDS_MAX].decode("utf-8", "replace").lower()
    if not text and failure.status is None:
        return failure.text[:WORDS_MAX].lower()
    return f"{PAGE} {text}" if text.lstrip()[:1] == "<" else text


BOOK = Book()
