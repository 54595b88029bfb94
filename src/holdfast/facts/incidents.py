"""Incidents: one timeline for each stretch of trouble."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from holdfast.facts.outcomes import Whose
from holdfast.facts.places import Segment

EventKind = Literal["suspected", "opened", "widened", "narrowed", "resolved"]


class Event(Struct, frozen=True, kw_only=True):
    """One entry of a timeline. `at` is the UTC time of the observation that led to it.

    `segments` is the whole set as it then is (what was in trouble, for "resolved"). A reopened
    incident is "opened" again under its old id. A part of a segment that is None means all.
    """

    at: float
    event: EventKind
    incident: str
    whose: Whose
    cause: str = ""
    segments: tuple[Segment, ...] = ()
    confidence: float
    because: tuple[str, ...] = ()


class Incident(Struct, frozen=True, kw_only=True):
    """A stretch of trouble, with its timeline. Times are UTC seconds.

    `since` is the first failure that belongs to it, `opened` when it was declared, `back` the first
    good answer of the recovery, `resolved` when that was declared (None: still open). `suspected`
    alone (`opened` None) is no incident yet: it is noted, nobody is told.
    `page_said`: when we first read on the provider's page that it admits trouble there (None: not
    yet), `page_claims_since` the beginning that the page claims. `page_late_s`: by how much later
    than our declaration the page said so; negative: it was first. `stood_in`: who answered instead.
    """

    id: str
    since: float
    opened: float | None = None
    back: float | None = None
    resolved: float | None = None
    whose: Whose = "unknown"
    cause: str = ""
    confidence: float = 0.0
    because: tuple[str, ...] = ()
    segments: tuple[Segment, ...] = ()
    reopened: int = 0
    page_said: float | None = None
    page_claims_since: float | None = None
    page_late_s: float | None = None
    stood_in: tuple[str, ...] = ()
    timeline: tuple[Event, ...] = ()
