"""The way between this machine and a host, looked at rung by rung."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

# "portal" is no rung of a way up but a question beside it: does plain http come back unaltered?
Rung = Literal["link", "dns", "tcp", "tls", "http", "portal"]
# Why a certificate is not to be trusted: its issuer is unknown here, it has expired, it is not
# valid yet, it is for another host.
Distrust = Literal["", "issuer", "expired", "early", "name", "other"]
# What all the rungs together come to; the word stands in an observation's `failure_kind`.
Finding = Literal[
    "well",  # reached, and it is who it says
    "offline",  # no link, or no reference host is reached at all
    "dns",  # names do not resolve; addresses are reached
    "portal",  # a captive portal answers in place of others
    "intercepted",  # somebody else's certificate stands in between
    "proxy",  # the proxy of the environment fails; the direct way works, or none does
    "ipv6",  # one address family is dead, the other works
    "host",  # everybody else is reached, this host is not
    "unclear",
]


class Step(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One rung to one host. `took_s` seconds; `text` says for people what was found.

    `family` is "v4" or "v6" (empty: neither in particular); `proxied`: by the environment's proxy.
    `issuer` is who signed the certificate that was shown (organisation, else common name), also
    where it was refused, for the reason in `distrust`. A "portal" step that is not ok and has a
    status was answered by somebody else.
    """

    rung: Rung
    host: str
    ok: bool
    took_s: float = 0.0
    family: str = ""
    proxied: bool = False
    address: str = ""
    issuer: str = ""
    distrust: Distrust = ""
    alpn: str = ""
    status: int | None = None
    text: str = ""


class Climb(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One look at the ladder: towards `provider` (empty: reference hosts only) at `wall` (UTC)."""

    wall: float
    provider: str = ""
    finding: Finding
    steps: tuple[Step, ...] = ()
    because: tuple[str, ...] = ()


class PortalCheck(Struct, frozen=True):
    """A plain-http URL whose answer is known: its status, and how its body begins.

    A captive portal answers in its place, with a redirect or with a page of its own.
    """

    url: str
    status: int = 200
    says: str = ""


class References(Struct, frozen=True, kw_only=True):
    """Who is asked whether the network works: all independent of each other and of providers.

    `hosts` are `https://` URLs, names as well as bare addresses (these tell a dead name server from
    a dead network). They are asked only when something has failed, and then for a bare HEAD. Both
    may be empty; less is known then.
    """

    hosts: tuple[str, ...] = (
        "https://www.wikipedia.org",
        "https://www.example.com",
        "https://1.1.1.1",
        "https://9.9.9.9",
    )
    portals: tuple[PortalCheck, ...] = (
        PortalCheck("http://detectportal.firefox.com/success.txt", says="success"),
        PortalCheck("http://nmcheck.gnome.org/check_network_status.txt", says="NetworkManager"),
    )
