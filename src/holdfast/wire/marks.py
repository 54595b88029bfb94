"""Marks of who answered: headers of servers, edges and relays, and the shape of an error's body.

They tell the provider's own front from an edge, a relay or a proxy in between, and a front of
today from yesterday's. Marks only: no cookies, no limits, nothing of a request.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from holdfast.facts.calls import Headers
from holdfast.wire.speech import UNREADABLE

MARKS_MAX = 16
VALUE_MAX = 128
SHAPE_MAX = 240
_DEPTH = 4
_KEYS = 12

_NAMES = frozenset(
    b"""server via cf-ray cf-cache-status x-cache x-served-by x-request-id request-id x-req-id
    x-correlation-id x-trace-id x-amzn-requestid x-amzn-trace-id x-amz-cf-id x-amz-cf-pop
    x-amz-apigw-id x-azure-ref x-ms-request-id apim-request-id x-ms-region x-vercel-id
    fly-request-id x-envoy-upstream-service-time x-powered-by x-squid-error x-kong-request-id
    proxy-agent proxy-status""".split()
)


def marks_of(headers: Headers) -> tuple[tuple[str, str], ...]:
    """The headers that tell who answered, as they came; at most `MARKS_MAX`, each bounded.

    Names are taken to be in lower case. What cannot be printed becomes a question mark.
    """
    found: list[tuple[str, str]] = []
    for name, value in headers:
        if name in _NAMES or name.endswith(b"-request-id"):
            found.append((_text(name), _text(value)))
            if len(found) == MARKS_MAX:
                break
    return tuple(found)


class _Model(Struct):
    id: str = ""
    name: str = ""


class _Listed(Struct):
    data: list[_Model] = []
    models: list[_Model] = []


_listed = msgspec.json.Decoder(_Listed).decode


def models_of(body: bytes) -> tuple[str, ...]:
    """The ids in a list of models, in whichever dialect; empty for anything else. Never raises."""
    try:
        found = _listed(body)
    except UNREADABLE:
        return ()
    return tuple(name for one in (*found.data, *found.models) if (name := one.id or one.name))


def _text(value: bytes) -> str:
    text = value[:VALUE_MAX].decode("latin-1")
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def shape_of(body: bytes) -> str:
    """The shape of an error's body in a short line: its keys, sorted, and no value of theirs.

    `{error:{message,type},request_id,type}` for JSON, down to four levels; `html` for a page,
    `text` for anything else, `empty` for nothing. Never raises.
    """
    start = body[:512].lstrip()
    if not start:
        return "empty"
    try:
        return _shape(msgspec.json.decode(body), _DEPTH)[:SHAPE_MAX]
    except UNREADABLE:
        return "html" if start.startswith(b"<") else "text"


def _shape(value: object, depth: int) -> str:
    if isinstance(value, dict):
        if not depth:
            return "{}"
        keys = sorted(key for key in value if isinstance(key, str))[:_KEYS]
        return "{" + ",".join(_key(key) + _inner(value[key], depth - 1) for key in keys) + "}"
    if isinstance(value, list):
        return f"[{_shape(value[0], depth - 1)}]" if value and depth else "[]"
    return "value"


def _inner(value: object, depth: int) -> str:
    return f":{_shape(value, depth)}" if isinstance(value, dict | list) else ""


def _key(key: str) -> str:
    """A key that is a word; another (an id, a sentence) would be a value in disguise."""
    return key if key.isascii() and key.isidentifier() and len(key) <= 32 else "?"
