"""The proxy that the environment names for https, and the hosts that it names no proxy for.

The conventions are those of curl and Go: lower-case variables first, `NO_PROXY` as a list of hosts
(with all below them), addresses, networks, `host:port`, or `*`; loopback never through a proxy.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from msgspec import Struct

_VARIABLES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


class Proxy(Struct, frozen=True):
    """An HTTP proxy, asked by CONNECT. Its credentials, if it has any, are not kept."""

    host: str
    port: int


class Proxies(Struct, frozen=True):
    """What the environment says. `unusable` tells of a proxy that cannot be asked, and why."""

    https: Proxy | None = None
    exempt: tuple[str, ...] = ()
    unusable: str = ""

    def towards(self, host: str, port: int) -> Proxy | None:
        """The proxy on the way to an https host; None: there is none."""
        if self.https is None or host == "localhost" or _loopback(host):
            return None
        return None if any(_covers(rule, host, port) for rule in self.exempt) else self.https


def proxies_of(environ: Mapping[str, str]) -> Proxies:
    """Read the environment's variables. Never raises, and quotes no value: it may be a secret."""
    named = next((name for name in _VARIABLES if environ.get(name, "").strip()), "")
    listed = environ.get("no_proxy", "") or environ.get("NO_PROXY", "")
    exempt = tuple(rule.strip().lower() for rule in listed.split(",") if rule.strip())
    if not named:
        return Proxies(None, exempt)
    value = environ[named].strip()
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        host, port = parts.hostname or "", parts.port or 80
    except ValueError:
        return Proxies(None, exempt, f"{named} holds no URL")
    if parts.scheme != "http":
        return Proxies(None, exempt, f"{named} names a proxy of the kind {parts.scheme}")
    if not host or not host.isascii() or not host.isprintable() or " " in host:
        return Proxies(None, exempt, f"{named} names no host")
    return Proxies(Proxy(host, port), exempt)


def _covers(rule: str, host: str, port: int) -> bool:
    if rule == "*":
        return True
    name, colon, digits = rule.rpartition(":")
    if colon and digits.isdecimal() and (":" not in name or name.endswith("]")):
        if int(digits[:6]) != port:
            return False
        rule = name
    if "/" in rule:
        return _within(rule, host)
    rule = rule.removeprefix("*").removeprefix(".").strip("[]")
    return bool(rule) and (host == rule or host.endswith("." + rule))


def _within(network: str, host: str) -> bool:
    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:
        return False


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
