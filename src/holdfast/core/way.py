"""What a look at the network comes to, and when the next one is due.

The ladder (`net/ladder`) says step by step what it met; here the steps become one finding. Each row
of `_TABLE` is a finding, when it holds, and its sentence; the first that holds wins. The order is
the meaning: who answers in place of others comes before who does not answer, and what a call to
this host needs comes before what others would need.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from holdfast.facts.network import Climb, Distrust, Finding, Step
from holdfast.facts.observations import Observation

PER_PROVIDER_S = 30.0
OVERALL_S = 15.0
_DETAILS = 4
_SAME_ISSUER = 3  # so many hosts with one issuer are worth a sentence
# Findings in whose reasons a step over one family counts though the other took it.
_TELLS_ALL: frozenset[Finding] = frozenset({"offline", "ipv6"})
_PROXY_WANTS_LOGIN = 407
# The plain network works, whatever one host does.
_WORKS: frozenset[Finding] = frozenset({"well", "host", "ipv6"})


def due(at: float, provider: str, climbed: Mapping[str, float]) -> bool:
    """Whether the ladder may be climbed now, towards `provider` (empty: references only).

    `climbed` says when it was last climbed for each, on the same steady clock (seconds).
    """
    if any(at - last < OVERALL_S for last in climbed.values()):
        return False
    last = climbed.get(provider)
    return last is None or at - last >= PER_PROVIDER_S


def finding(steps: Sequence[Step], host: str = "") -> tuple[Finding, tuple[str, ...]]:
    """What the steps come to, with the reasons, the first of which sums up.

    `host` is the one that the look was for; every other host is a reference. Empty: references
    alone were asked. The order of the steps does not matter.
    """
    view = _View(steps, host)
    for found, holds, sentence in _TABLE:
        if holds(view):
            return found, (sentence.format(host=host or "the hosts"), *view.details(found))
    return "unclear", ("what was met fits no single cause", *view.details("unclear"))


def observation_of(climb: Climb, at: float) -> Observation:
    """A climb as an observation. `ok`: the plain network works, though this host may not."""
    through = any(step.rung == "http" and step.ok and not step.proxied for step in climb.steps)
    return Observation(
        at=at,
        wall=climb.wall,
        kind="network",
        provider=climb.provider,
        ok=climb.finding in _WORKS or (climb.finding == "proxy" and through),
        failure_kind=climb.finding,
        text="; ".join(climb.because),
    )


class _View:
    """The steps of one climb, as the table asks for them. A reference is reached once it is sure
    who it is (TLS, or plain http); the host itself once it answers."""

    def __init__(self, steps: Sequence[Step], host: str) -> None:
        self.host = host
        self.steps = steps
        self.direct = [step for step in steps if not step.proxied]
        self.climbed = [step for step in self.direct if step.rung in ("dns", "tcp", "tls", "http")]
        self.others = {step.host for step in self.climbed} - {host}
        self.host_reached = bool(host) and self._reached(host, ("http",))
        self.reached = {name for name in self.others if self._reached(name, ("tls", "http"))}

    def _reached(self, name: str, rungs: tuple[str, ...]) -> bool:
        return any(step.ok and step.host == name and step.rung in rungs for step in self.climbed)

    @property
    def aim_reached(self) -> bool:
        """Whether what was asked for is reached: the host, or the references if there is none."""
        return self.host_reached if self.host else bool(self.reached)

    @property
    def nothing_reached(self) -> bool:
        return not self.host_reached and not self.reached

    @property
    def link_down(self) -> bool:
        links = [step.ok for step in self.direct if step.rung == "link"]
        return bool(links) and not any(links)

    @property
    def portal(self) -> bool:
        return any(s.rung == "portal" and not s.ok and s.status is not None for s in self.direct)

    def distrusted(self, *why: Distrust) -> set[str]:
        """Hosts whose certificate was refused for one of these reasons, and that never passed."""
        found = {step.host for step in self.climbed if step.distrust in why}
        return found - self.reached - ({self.host} if self.host_reached else set())

    @property
    def intercepted(self) -> bool:
        """An unknown issuer; or one for all, on certificates of others."""
        found = self.distrusted("issuer")
        if self.nothing_reached:
            return bool(found) or len(self.distrusted("name")) > 1
        return bool(self.host) and self.host in found

    @property
    def clock(self) -> bool:
        """Certificates of several hosts are out of date at once: rather this machine's clock."""
        return self.nothing_reached and len(self.distrusted("expired", "early")) > 1

    @property
    def names_dead(self) -> bool:
        named = [step for step in self.direct if step.rung == "dns"]
        touched = any(step.ok and step.rung in ("tcp", "tls", "http") for step in self.climbed)
        return bool(named) and not any(step.ok for step in named) and touched

    @property
    def dead_family(self) -> str:
        """The family that has a link and fails for every host, while the other works; or ""."""
        for family, other in (("v6", "v4"), ("v4", "v6")):
            linked = any(s.ok for s in self.direct if s.rung == "link" and s.family == family)
            carried = self._carried(family)
            if linked and carried and not any(carried) and any(self._carried(other)):
                return family
        return ""

    def _carried(self, family: str) -> list[bool]:
        """For each host asked over this family: whether bytes came back over it."""
        tcp = [s for s in self.climbed if s.family == family and s.rung == "tcp"]
        tls = [s for s in self.climbed if s.family == family and s.rung == "tls"]
        plain = {s.host for s in tcp if s.ok} - {s.host for s in tls}
        through = plain | {s.host for s in tls if s.ok or s.distrust}
        return [host in through for host in {s.host for s in tcp}]

    @property
    def host_needs_dead_family(self) -> bool:
        """The host has addresses of one family alone, and that family is dead here."""
        families = {
            step.family for step in self.climbed if step.host == self.host and step.rung == "tcp"
        }
        return bool(families) and families == {self.dead_family}

    @property
    def proxied(self) -> list[Step]:
        return [step for step in self.steps if step.proxied]

    @property
    def proxy_works(self) -> bool:
        return any(step.ok and step.rung in ("tls", "http") for step in self.proxied)

    @property
    def proxy_fails(self) -> bool:
        """It was asked, and let nothing through; one that wants a login was asked nothing."""
        steps = self.proxied
        login = any(step.status == _PROXY_WANTS_LOGIN for step in steps)
        return bool(steps) and not self.proxy_works and not login

    @property
    def one_issuer(self) -> str:
        """Who signed for several hosts that have nothing to do with each other, if one did.

        So it looks where a company's proxy reads along and this machine trusts it.
        """
        signed = {s.host: s.issuer for s in self.climbed if s.rung == "tls" and s.ok and s.issuer}
        issuers = set(signed.values())
        return issuers.pop() if len(signed) >= _SAME_ISSUER and len(issuers) == 1 else ""

    def details(self, found: Finding) -> tuple[str, ...]:
        """What failed, in the steps' own words, the host that was asked for first."""
        signed = self.one_issuer
        first = (f"every host's certificate is signed by {signed}",) if signed else ()
        if found == "well":
            return first
        failed = [step for step in self.steps if not step.ok and step.text]
        told = [step for step in failed if found in _TELLS_ALL or not self._beside(step)]
        told.sort(key=lambda step: (step.host != self.host, step.host, step.rung, step.text))
        return (first + tuple(dict.fromkeys(step.text for step in told)))[:_DETAILS]

    def _beside(self, failed: Step) -> bool:
        """Whether it stopped nothing: no link, or the same rung was taken over the other family."""
        linked = {step.family for step in self.direct if step.rung == "link" and step.ok}
        if failed.rung == "link" or (linked and failed.family and failed.family not in linked):
            return True
        same = (failed.rung, failed.host, failed.proxied)
        return any(s.ok and (s.rung, s.host, s.proxied) == same for s in self.steps)


Row = tuple[Finding, Callable[[_View], bool], str]

_TABLE: tuple[Row, ...] = (
    (
        "portal",
        lambda v: v.portal and v.nothing_reached,
        "a captive portal answers in place of others: sign in to this network in a browser",
    ),
    (
        "intercepted",
        lambda v: v.intercepted,
        "somebody in between shows a certificate that this machine does not trust",
    ),
    (
        "unclear",
        lambda v: v.clock,
        "the certificates of several hosts are out of date at once: check this machine's clock",
    ),
    (
        "ipv6",
        lambda v: v.aim_reached and v.dead_family == "v6" and not v.names_dead,
        "IPv6 is dead on this network; IPv4 works",
    ),
    (
        "ipv6",
        lambda v: v.aim_reached and v.dead_family == "v4" and not v.names_dead,
        "IPv4 is dead on this network; IPv6 works",
    ),
    (
        "dns",
        lambda v: v.names_dead and not v.host_reached,
        "names do not resolve, though addresses are reached: the name server is at fault",
    ),
    (
        "proxy",
        lambda v: v.aim_reached and v.proxy_fails,
        "the environment's proxy fails; the direct way works",
    ),
    ("well", lambda v: v.aim_reached, "{host} can be reached"),
    (
        "ipv6",
        lambda v: bool(v.reached) and v.host_needs_dead_family,
        "{host} has addresses of one family only, and that family is dead on this network",
    ),
    ("host", lambda v: bool(v.reached), "others are reached, {host} is not"),
    (
        "proxy",
        lambda v: v.proxy_works,
        "nothing is reached directly; only the environment's proxy leads out",
    ),
    ("offline", lambda v: v.link_down, "this machine has no network"),
    (
        "proxy",
        lambda v: v.proxy_fails,
        "the environment's proxy fails, and nothing is reached directly",
    ),
    (
        "offline",
        lambda v: bool(v.others) and not any(s.ok for s in v.climbed if s.rung != "dns"),
        "no host is reached at all",
    ),
)
