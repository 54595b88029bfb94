"""What a provider's status page claimed, at the time when we read it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from holdfast.facts.evidence import PageState

ComponentStatus = Literal[
    "operational", "degraded", "partial_outage", "major_outage", "maintenance", "unknown"
]
Stage = Literal["investigating", "identified", "monitoring", "resolved", "maintenance", "unknown"]

# What a page speaks; "any": to be recognised by its shape.
PageFormat = Literal[
    "any",
    "statuspage",
    "incidentio",
    "google",
    "aws",
    "feed",
    "instatus",
    "betterstack",
    "cachet",
]


class PageSource(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a provider's status page is read by a program, and what of it is about the provider.

    `urls` are addresses of the same page, tried in order. `components` maps a component (its id,
    or a glob on its name; letter case is no matter) to our name of that surface; the first that
    fits speaks. `scope` are globs on what the page calls products, services or components, for
    pages that serve many: what fits none is left out (empty: everything counts). `regions`
    likewise, for events that name a region.
    """

    format: PageFormat = "any"
    urls: tuple[str, ...] = ()
    components: dict[str, str] = {}
    scope: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()


class PageComponent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One component of a page. `surface`: what we call that part of the provider, if we know it."""

    id: str
    name: str
    status: ComponentStatus
    surface: str = ""


class PageIncident(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One incident as the page tells it. Times are UTC seconds, as claimed; None: not said.

    `started_wall` may be back-dated against `created_wall`, when the page first had it.
    `components` are ids or names of components, where the page links them.
    """

    id: str
    name: str
    stage: Stage
    impact: str = ""
    started_wall: float | None = None
    created_wall: float | None = None
    updated_wall: float | None = None
    resolved_wall: float | None = None
    components: tuple[str, ...] = ()


class PageClaim(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one page claimed when it was read. A claim, never more.

    `state` "unreadable" (with `why`: blocked, a CAPTCHA, a bad certificate, not the promised
    format, too large, …) is a state of its own and says nothing about the provider. `described` is
    the page's own headline, plain text, bounded. Components and incidents that a page leaves out
    are unknown, not well: `components` holds only those that it named in this reading.
    """

    state: PageState
    url: str = ""
    why: str = ""
    described: str = ""
    components: tuple[PageComponent, ...] = ()
    incidents: tuple[PageIncident, ...] = ()
