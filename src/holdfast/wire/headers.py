"""Which headers travel on, upwards and downwards.

Upwards everything goes on but what belongs to one hop, to this host, or to a credential. Downwards
everything goes on but what an upstream must not set on our origin: cookies, CORS, policies,
redirects, challenges. Unknown headers travel: the providers' lists are open.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from holdfast.facts.calls import Headers
from holdfast.facts.losses import Lost
from holdfast.facts.places import Dialect

_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
        b"content-length",
    }
)
_UP = _HOP | {
    b"host",
    b"expect",
    b"accept-encoding",
    b"authorization",
    b"x-api-key",
    b"x-goog-api-key",
    b"api-key",
    b"cookie",
    b"forwarded",
    b"via",
    b"x-real-ip",
    b"origin",
    b"referer",
}
_UP_PREFIXES = (b"proxy-", b"x-forwarded-", b"sec-fetch-", b"x-holdfast-")
_DOWN = _HOP | {
    b"set-cookie",
    b"set-cookie2",
    b"clear-site-data",
    b"refresh",
    b"link",
    b"location",
    b"strict-transport-security",
    b"alt-svc",
    b"nel",
    b"report-to",
    b"reporting-endpoints",
    b"www-authenticate",
    b"service-worker-allowed",
    b"sourcemap",
    b"x-sourcemap",
    b"permissions-policy",
    b"feature-policy",
    b"referrer-policy",
    b"timing-allow-origin",
    b"speculation-rules",
    b"accept-ch",
    b"critical-ch",
    b"set-login",
    b"document-policy",
    b"origin-agent-cluster",
}
_DOWN_PREFIXES = (
    b"access-control-",
    b"content-security-policy",
    b"cross-origin-",
    b"proxy-",
    b"x-holdfast-",
)
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
IDENTITY = (b"accept-encoding", b"identity")
_ODD = re.compile(r"[^A-Za-z0-9_.\[\]-]")
LOST_BYTES_MAX = 1000
_KNOWN_MAX = 2048
_up_known: dict[bytes, bool] = {}
_down_known: dict[bytes, bool] = {}


def _passes(
    name: bytes, known: dict[bytes, bool], exact: frozenset[bytes], prefixes: tuple[bytes, ...]
) -> bool:
    passes = (
        name not in exact and not name.startswith(prefixes) and _NAME.fullmatch(name) is not None
    )
    if len(known) < _KNOWN_MAX and len(name) < 100:
        known[name] = passes
    return passes


def _named_by_connection(headers: Headers) -> set[bytes]:
    """What the sender's `connection` headers name besides the usual: those are for one hop."""
    named: set[bytes] = set()
    for name, value in headers:
        if name == b"connection":
            named.update(word.strip().lower() for word in value.split(b","))
    return named - {b"close", b"keep-alive", b""}


def _filtered(
    headers: Headers,
    known: dict[bytes, bool],
    exact: frozenset[bytes],
    prefixes: tuple[bytes, ...],
) -> Headers:
    kept = []
    hop = False
    for pair in headers:
        name = pair[0]
        passes = known.get(name)
        if passes is None:
            passes = _passes(name, known, exact, prefixes)
        if passes:
            kept.append(pair)
        elif name == b"connection":
            hop = True
    # One look at all values is cheaper than one at each.
    if _VALUE.fullmatch(b"".join([value for _, value in kept])) is None:
        kept = [pair for pair in kept if _VALUE.fullmatch(pair[1]) is not None]
    if hop:
        named = _named_by_connection(headers)
        if named:
            kept = [pair for pair in kept if pair[0] not in named]
    return tuple(kept)


def to_upstream(headers: Headers) -> Headers:
    """What of a client's headers goes to a target; the answer is asked for uncompressed."""
    return (*_filtered(headers, _up_known, _UP, _UP_PREFIXES), IDENTITY)


def to_client(headers: Headers) -> Headers:
    """What of an upstream's headers goes to the client; split or invalid ones do not."""
    return _filtered(headers, _down_known, _DOWN, _DOWN_PREFIXES)


def lost_value(lost: Iterable[Lost]) -> bytes:
    """The value of `x-holdfast-lost`: the names of what could not be carried, `, ` between them.

    Names may be the client's own words: whatever is not plain is shown as `?`.
    """
    names = ", ".join(dict.fromkeys(_ODD.sub("?", loss.field) for loss in lost))
    return names.encode()[:LOST_BYTES_MAX]


def client_credential(headers: Headers) -> tuple[str, bytes] | None:
    """The client's own credential and how it came (`x-api-key`, `bearer`), or None."""
    for name, value in headers:
        if name == b"authorization" and value[:7].lower() == b"bearer " and value[7:].strip():
            return "bearer", value[7:].strip()
        if name in (b"x-api-key", b"x-goog-api-key") and value.strip():
            return name.decode(), value.strip()
    return None


def is_subscription(secret: bytes | None) -> bool:
    """Whether a credential is a subscription's OAuth token and not an API key.

    The form tells (`sk-ant-oat…`); the scheme does not: current SDKs send keys as Bearer too.
    """
    return secret is not None and secret.startswith(b"sk-ant-oat")


def credential_headers(dialect: Dialect, secret: bytes, own: tuple[str, bytes] | None) -> Headers:
    """The credential as the dialect wants it; `own` is the client's, as `client_credential` says.

    Anthropic takes both forms; a client that used Bearer keeps it, and OAuth tokens need it.
    Gemini's dialect takes keys in a header of its own and nothing but OAuth tokens as Bearer.
    """
    if dialect == "gemini" and not secret.startswith(b"ya29."):
        return ((b"x-goog-api-key", secret),)
    bearer = own is not None and own[0] == "bearer"
    if dialect == "anthropic" and not bearer and not is_subscription(secret):
        return ((b"x-api-key", secret),)
    return ((b"authorization", b"Bearer " + secret),)
