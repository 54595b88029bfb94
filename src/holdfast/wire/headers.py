"""Which headers travel on, upwards and downwards.

Upwards everything goes on but what belongs to one hop, to this host, or to a credential. Downwards
everything goes on but what an upstream must not set on our origin: cookies, CORS, policies,
redirects, challenges. Unknown headers travel: the providers' lists are open.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import compress, islice
from operator import itemgetter

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
_FIT = b"\t" + bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100))  # in a value
_ABOUT_CALL = re.compile(rb"retry-after|(?:.+-)?request-id|.+-rate-?limit-.+")
IDENTITY = (b"accept-encoding", b"identity")
_ODD = re.compile(r"[^A-Za-z0-9_.\[\]-]")
_UNPRINTABLE = re.compile(r"[^ -~]")
LOST_BYTES_MAX = 1000
LOSSES_MAX = 100

# Which headers of a head pass, by its names: a provider says the same ones with every answer.
Passing = dict[tuple[bytes, ...], tuple[bool, ...]]
_HEADS_MAX = 512
_NAMES_BYTES_MAX = 4096
_name, _value = itemgetter(0), itemgetter(1)
_up_passing: Passing = {}
_down_passing: Passing = {}


def _passes(
    names: tuple[bytes, ...],
    passing: Passing,
    exact: frozenset[bytes],
    prefixes: tuple[bytes, ...],
) -> tuple[bool, ...]:
    passes = tuple(
        name not in exact and not name.startswith(prefixes) and _NAME.fullmatch(name) is not None
        for name in names
    )
    if sum(map(len, names)) <= _NAMES_BYTES_MAX:
        if len(passing) >= _HEADS_MAX:
            passing.clear()
        passing[names] = passes
    return passes


def named_by_connection(headers: Headers) -> set[bytes]:
    """What the sender's `connection` headers name besides the usual: those are for one hop."""
    named: set[bytes] = set()
    for name, value in headers:
        if name == b"connection":
            named.update(word.strip().lower() for word in value.split(b","))
    return named - {b"close", b"keep-alive", b""}


def _filtered(
    headers: Headers,
    passing: Passing,
    exact: frozenset[bytes],
    prefixes: tuple[bytes, ...],
) -> Headers:
    names = tuple(map(_name, headers))
    passes = passing.get(names) or _passes(names, passing, exact, prefixes)
    kept = tuple(compress(headers, passes))
    # One look at all values is cheaper than one at each.
    if not all_fit(b"".join(map(_value, kept))):
        kept = tuple([pair for pair in kept if not pair[1].translate(None, _FIT)])
    if b"connection" in names:
        named = named_by_connection(headers)
        if named:
            kept = tuple([pair for pair in kept if pair[0] not in named])
    return kept


def to_upstream(headers: Headers) -> Headers:
    """What of a client's headers goes to a target; the answer is asked for uncompressed."""
    return (*_filtered(headers, _up_passing, _UP, _UP_PREFIXES), IDENTITY)


def to_client(headers: Headers) -> Headers:
    """What of an upstream's headers goes to the client; split or invalid ones do not."""
    return _filtered(headers, _down_passing, _DOWN, _DOWN_PREFIXES)


def passing_down(names: tuple[bytes, ...]) -> tuple[bool, ...]:
    """Which headers of these names go to the client, if their values are fit and they are not
    named by `connection`.
    """
    return _down_passing.get(names) or _passes(names, _down_passing, _DOWN, _DOWN_PREFIXES)


def all_fit(values: bytes) -> bool:
    """Whether every byte may stand in a value."""
    return not values.translate(None, _FIT)


def about_call(headers: Headers) -> Headers:
    """What of an upstream's headers tells of the call, whoever reads it: its id there, what is left
    of limits, when to come again. The rest is about a body that a crossing writes anew.
    """
    return tuple(pair for pair in headers if _ABOUT_CALL.fullmatch(pair[0]))


def lost_value(lost: Iterable[Lost]) -> bytes:
    """The value of `x-holdfast-lost`: the names of what could not be carried, `, ` between them.

    Names may be the client's own words: whatever is not plain is shown as `?`.
    """
    names = ", ".join(dict.fromkeys(_ODD.sub("?", loss.field) for loss in lost))
    return names.encode()[:LOST_BYTES_MAX]


def lost_told(lost: Iterable[Lost]) -> tuple[str, ...]:
    """The same for the book: each name with the reason, in words."""
    words = (
        f"{_ODD.sub('?', loss.field)}: {_UNPRINTABLE.sub('?', loss.why)}"
        for loss in islice(lost, LOSSES_MAX)
    )
    return tuple(dict.fromkeys(words))


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
