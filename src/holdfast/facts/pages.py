"""What a provider's status page claimed, at the time when we read it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from holdfast.facts.evidence import PageState

ComponentStatus = Literal[
    "operational", "degraded", "partial_outage", "major_outage", "maintenance", "unknown"
]
Stage = Literal["investigating", "identified", "monitoring", "resolved", "maintenance", "unknown"]


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
