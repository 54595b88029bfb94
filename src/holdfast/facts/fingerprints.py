"""How a provider's front looks from here: what one connection showed, and what changed in it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Field = Literal[
    "address",  # the range of the address that answered: /16 of IPv4, /32 of IPv6
    "issuer",  # who signed the certificate
    "name",  # a name in the certificate
    "server",  # the products in `server` and `via`, without versions and ids
    "header",  # a header that tells of an edge or a request id: its name alone
    "protocol",  # TLS version and ALPN
    "model",  # the id of a listed model
    "error",  # the shape of an error's envelope
]


class Evidence(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one connection showed of who stands there. Bounded; nothing of a request is in it.

    Made once for each connection, with the head of the first answer on it. Seconds of each phase;
    None: it did not get so far. `address` is the peer without its port. `names` are those of the
    certificate, sorted (the first few). `headers` are the answer's marks as they came
    (`server`, `via`, `cf-ray`, `request-id`, …), names in lower case. `models` and `error` (see
    `wire.marks.shape_of`) are for whoever read a list of models, or an error's body.
    """

    address: str = ""
    dns_s: float | None = None
    connect_s: float | None = None
    tls_s: float | None = None
    headers_s: float | None = None
    issuer: str = ""
    names: tuple[str, ...] = ()
    tls: str = ""
    alpn: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    models: tuple[str, ...] = ()
    error: str = ""


class Change(Struct, frozen=True, kw_only=True):
    """A value never seen before, after a time in which nothing new was seen. A fact, no more.

    `at` is the UTC time of the first sight; `before` are the values known until then, the most
    frequent first (a few of the `known`), seen since `since`.
    """

    at: float
    provider: str
    surface: str
    field: Field
    value: str
    before: tuple[str, ...] = ()
    known: int = 0
    since: float


class Seen(Struct, kw_only=True):
    """One value of one field. Times are UTC seconds; `count` is in observations."""

    value: str
    first: float
    last: float
    count: int = 1


class Print(Struct, kw_only=True, omit_defaults=True):
    """All that was seen in one field of a provider's surface.

    `calm_since` is when the last new value came, `calm_count` the observations since then.
    `restless`: it took more values than are kept, so that a new one says nothing.
    """

    provider: str
    surface: str
    field: Field
    since: float
    calm_since: float
    calm_count: int = 0
    restless: bool = False
    seen: list[Seen]
