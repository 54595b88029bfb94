"""Rules for addresses: base URLs of providers, and the host that the gateway listens on."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

_VERSIONS = ("/v1", "/v1beta")
_ENDPOINTS = ("/messages", "/chat/completions", "/responses", "/models", "/embeddings", "/api/chat")


class AddressError(ValueError):
    """An address that cannot be used: what is wrong with it, and what to do.

    The address is not quoted: it may hold a password or a key.
    """

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}. {remedy}")
        self.what = what
        self.remedy = remedy


def base_url(url: str) -> str:
    """The URL as `Provider.base_url` wants it: no trailing slash, no version segment.

    Raises AddressError.
    """
    parts, port = _split(url)
    if parts.scheme not in ("http", "https"):
        raise AddressError("must start with http:// or https://", "Write the whole URL.")
    if parts.username is not None or parts.password is not None:
        raise AddressError(
            "holds a user name or password", 'Take it out; a key goes into key = "env:…".'
        )
    if not parts.hostname:
        raise AddressError("names no host", "Write it like https://api.example.com.")
    if parts.query or parts.fragment or url.endswith(("?", "#")):
        raise AddressError("holds a query (?) or fragment (#)", "Take that part out.")
    if port == 0:
        raise AddressError("names port 0", "Choose a port between 1 and 65535.")
    path = parts.path.rstrip("/")
    for version in _VERSIONS:
        if path.endswith(version):
            path = path.removesuffix(version).rstrip("/")
            break
    if path.endswith(_ENDPOINTS):
        raise AddressError("names an endpoint", "Write the part of it before /v1 only.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{f':{port}' if port is not None else ''}{path}"


def _split(url: str) -> tuple[SplitResult, int | None]:
    bad = AddressError("is not a URL", "Write it like https://api.example.com.")
    if not url.isprintable() or any(char in url for char in ' \\"<>^`{|}*'):
        raise bad
    try:
        parts = urlsplit(url)
        port = parts.port
        parts.path.encode("ascii")
        if parts.hostname and ":" not in parts.hostname:
            parts.hostname.encode("idna")
        elif parts.hostname:
            ip_address(parts.hostname)
    except ValueError:  # a port out of range, a broken IPv6 address or host name, other letters
        raise bad from None
    return parts, port


def host_of(url: str) -> str:
    """The host of a URL that `base_url` has accepted."""
    return urlsplit(url).hostname or ""


def is_loopback(host: str) -> bool:
    """Whether what goes to this host stays on this machine, to the best of our knowledge."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def listen_host(host: str) -> str:
    """A host to listen on. Raises AddressError."""
    try:
        return str(ip_address(host))
    except ValueError:
        pass
    if "/" in host or ":" in host or "[" in host:
        raise AddressError(
            "must be a host alone", 'Write it like "127.0.0.1" or "::1"; the port has its own key.'
        )
    try:
        host.encode("idna")
    except ValueError:
        raise AddressError("is not a host name", 'Write it like "127.0.0.1".') from None
    if any(not (char.isalnum() or char in "-.") for char in host):
        raise AddressError("is not a host name", 'Write it like "127.0.0.1".')
    return host.lower()
