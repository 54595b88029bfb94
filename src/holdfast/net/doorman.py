"""Who may come in: the policy on a request's head, decided without a socket or a clock.

Loopback is no boundary: every web page in the user's browser can reach it. What keeps pages out
is that they cannot choose their `Host` (DNS rebinding, hence a list of names), cannot hide their
`Origin`, and cannot send `application/json` across sites without a preflight, which is refused.
There is no CORS here at all. Method, raw path and these headers decide, nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address

import msgspec
from msgspec import Struct

from holdfast.wire import speak

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
WILDCARDS = frozenset({"", "0.0.0.0", "::"})

# What the client's SDK calls such an error; both dialects' SDKs go by the status anyway.
_KINDS = {
    403: "permission_error",
    408: "timeout_error",
    413: "request_too_large",
    500: "api_error",
    503: "overloaded_error",
}
# RFC 3986, 3.2.2 and 3.2.3, without user information and without empty names.
_AUTHORITY = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~!$&'()*+,;=%]+)(?::[0-9]*)?")
# Whose error is looked for at a path; at another one it may be anybody's.
_PATHS = (
    ("ollama", re.compile("/api/")),
    ("gemini", re.compile("/v1beta/|/v1/models/[^?]*:")),
    ("anthropic", re.compile(r"/v1/messages(?:[/?]|$)")),
    ("openai-responses", re.compile(r"/v1/(?:responses|conversations)(?:[/?]|$)")),
    ("openai", re.compile(r"/v1/(?:chat/|embeddings)")),
)
_OWN_SITES = frozenset({b"same-origin", b"none"})


class Refusal(Struct, frozen=True):
    """Why a request is not served: a status, and a sentence that says what to do about it.

    `path` is where it went, as far as that is known.
    """

    status: int
    text: str
    path: str = ""

    def body(self) -> bytes:
        """As JSON: in the dialect of the path, else in the shape that most look for."""
        dialect = next((of for of, path in _PATHS if path.match(self.path)), None)
        if dialect is not None:
            return speak.error_reply(dialect, self.status, self.text)[1] + b"\n"
        kind = _KINDS.get(self.status, "invalid_request_error")
        return msgspec.json.encode({"error": {"type": kind, "message": self.text}}) + b"\n"


class Doorman:
    """Judges request heads for one address. `allowed_hosts` are names as they stand in `Host`.

    A name without a port is allowed alone and with `port`; one with a port exactly as it is.
    IPv6 addresses are in brackets. The loopback names are always allowed. `any_address` allows
    every IP address in its canonical form besides: what is no name cannot be rebound by DNS.
    """

    __slots__ = ("_allowed", "_any_address", "_home", "_hosts", "_origins")

    def __init__(
        self, allowed_hosts: frozenset[str], port: int, *, any_address: bool = False
    ) -> None:
        self._allowed = frozenset(name.lower() for name in allowed_hosts)
        self._any_address = any_address
        self._home = f"http://127.0.0.1:{port}"
        names = self._allowed | LOOPBACK
        hosts = {name for name in names if _is_bare(name)}
        hosts |= {name if not _is_bare(name) else f"{name}:{port}" for name in names}
        self._hosts = frozenset(host.encode() for host in hosts)
        # A page of ours has the origin of the address it was loaded from. A configured name may
        # have a TLS proxy in front; in front of loopback nobody but a stranger would stand.
        origins = {f"http://{host}" for host in hosts if port == 80 or not _is_bare(host)}
        origins |= {f"https://{host}" for host in hosts if _without_port(host) not in LOOPBACK}
        self._origins = frozenset(origin.encode() for origin in origins)

    @classmethod
    def of(cls, host: str, port: int) -> Doorman:
        """The doorman for a gateway bound to `host` (as configured) and `port`."""
        if host in WILDCARDS:
            return cls(LOOPBACK, port, any_address=True)
        return cls(LOOPBACK | {f"[{host}]" if ":" in host else host}, port)

    def at(self, port: int) -> Doorman:
        """The same doorman at another port: the one that was bound, where any would do."""
        return Doorman(self._allowed, port, any_address=self._any_address)

    def check(self, method: str, path: str, named: Mapping[bytes, bytes]) -> Refusal | None:
        """Why this request may not come in, or None.

        `named` are its headers by lower-case name. Where `Host`, `Origin`, `Sec-Fetch-*` and
        `Content-Type` are repeated, or `Host` is missing, the caller has refused.
        """
        host = named.get(b"host")
        if host is not None and host not in self._hosts:
            refusal = self._check_host(host)
            if refusal is not None:
                return refusal
        if b"origin" in named or b"sec-fetch-site" in named:
            refusal = self._check_page(method, path, named)
            if refusal is not None:
                return refusal
        if method == "POST" and named.get(b"content-type") != b"application/json":
            return _check_type(named)
        return None

    def _check_host(self, host: bytes) -> Refusal | None:
        if _AUTHORITY.fullmatch(host) is None:
            return Refusal(
                400,
                "holdfast: the Host header is not a name or address with an optional port. The"
                f" client, or a proxy in between, sent it; use {self._home} as the base URL.",
            )
        host = host.lower()
        if host in self._hosts or (self._any_address and _is_canonical_address(host)):
            return None
        return Refusal(
            421,
            f"holdfast: the Host header says {_printable(host)}, which is not a name of this"
            f" gateway; use {self._home} as the base URL. (Other names are refused so that no web"
            " page can reach the gateway through a name of its own.)",
        )

    def _check_page(self, method: str, path: str, named: Mapping[bytes, bytes]) -> Refusal | None:
        origin = named.get(b"origin")
        if origin is not None and origin not in self._origins:
            # An allowed address (see `any_address`) is its own page's origin.
            host = named.get(b"host", b"")
            if not (self._any_address and host and origin == b"http://" + host):
                return Refusal(
                    403,
                    "holdfast: a web page of another origin asked for this"
                    f" ({_printable(origin)}), and pages of others may not use the gateway. Call"
                    f" it from a program, or open {self._home}/-/ itself.",
                )
        site = named.get(b"sec-fetch-site", b"none")
        if site in _OWN_SITES:
            return None
        if (
            method == "GET"
            and (path == "/-" or path.startswith("/-/"))
            and named.get(b"sec-fetch-mode") == b"navigate"
            and named.get(b"sec-fetch-dest", b"document") == b"document"
        ):
            return None  # somebody followed a link to one of our pages; it opens in a tab
        return Refusal(
            403,
            f"holdfast: the browser says that another site asked for this ({_printable(site)}),"
            f" and other sites may not use the gateway. Open {self._home}/-/ itself.",
        )


def _check_type(named: Mapping[bytes, bytes]) -> Refusal | None:
    if b"transfer-encoding" not in named and not named.get(b"content-length", b"").strip(b"0"):
        return None  # no body
    declared = named.get(b"content-type")
    if declared is None:
        said = "is declared as nothing"
    elif declared.partition(b";")[0].strip().lower() == b"application/json":
        return None
    else:
        said = f"is declared as {_printable(declared)}"
    return Refusal(
        415,
        f"holdfast: the body of this POST {said}, where application/json is due. Send the header"
        " 'content-type: application/json'. (A web page cannot send that to us unasked.)",
    )


def _is_bare(host: str) -> bool:
    """Whether a `Host` names no port."""
    return _without_port(host) == host


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[: host.find("]") + 1]
    return host.partition(":")[0]


def _is_canonical_address(host: bytes) -> bool:
    """Whether it is an IP address, with or without a port, spelt in the one usual way."""
    text = _without_port(host.decode())
    if text.startswith("["):
        text = text[1:-1]
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return str(address) == text and not address.is_unspecified


def _printable(value: bytes) -> str:
    """Somebody else's bytes, short and without anything that acts on a terminal."""
    return repr(value[:80].decode("latin-1"))
