""" "It's back!": told once, with how long it lasted, who stood in, and what waits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from holdfast.core.outlook import lasted, minutes_of
from holdfast.facts.incidents import Incident
from holdfast.facts.places import Segment

NAMED_MAX: Final = 3


def back_told(incident: Incident, waiting: int) -> str:
    """What people are told when an incident is resolved; `waiting`: calls that still wait."""
    parts = [f"It's back: {_some([named(segment) for segment in incident.segments])}."]
    minutes = minutes_of(incident)
    if minutes is not None:
        length = lasted(minutes) if minutes >= 1 else "less than a minute"
        again = f", reopened {_times(incident.reopened)}" if incident.reopened else ""
        parts.append(f"It lasted {length}{again}.")
    if incident.stood_in:
        parts.append(f"{_some(incident.stood_in)} stood in.")
    if waiting > 0:
        parts.append("1 call waits." if waiting == 1 else f"{waiting} calls wait.")
    return " ".join(parts)


def named(segment: Segment) -> str:
    """A segment in few words: its provider and what of it is meant, where not all of it is."""
    parts = (segment.surface, segment.model, segment.credential)
    return " · ".join([segment.provider or "everything", *(part for part in parts if part)])


def _some(names: Sequence[str]) -> str:
    """The first few, and how many more."""
    if not names:
        return "all that was in trouble"
    named_ones = ", ".join(names[:NAMED_MAX])
    more = len(names) - NAMED_MAX
    return f"{named_ones} and {more} more" if more > 0 else named_ones


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
