"""The way between this machine and a host, looked at rung by rung."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Rung = Literal["link", "dns", "tcp", "tls", "http"]
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
    `issuer` is who signed the certificate that was shown (organisation, else common name).
    """

    rung: Rung
    host: str
    ok: bool
    took_s: float = 0.0
    family: str = ""
    proxied: bool = False
    address: str = ""
    issuer: str = ""
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
