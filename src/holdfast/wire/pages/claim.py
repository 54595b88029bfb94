"""From what a format's reader found to a claim: whose part it is, what is open, how much is kept.

The readers give what the page says; here the same rules hold for all formats. Impact is a word of
hindsight and may contradict the components, so it decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from itertools import islice

from msgspec import Struct

from holdfast.facts.evidence import PageState
from holdfast.facts.pages import (
    ComponentStatus,
    PageClaim,
    PageComponent,
    PageIncident,
    PageSource,
    Stage,
)
from holdfast.wire.pages.plain import DESCRIBED_MAX, ID_MAX, NAME_MAX, text, word

COMPONENTS_MAX = 200
INCIDENTS_MAX = 100
LINKS_MAX = 50
# An entry whose stage the page does not state counts as open for this long after its last update.
FRESH_S = 24 * 3600.0

_STATUSES: dict[str, ComponentStatus] = {
    "operational": "operational",
    "ok": "operational",
    "up": "operational",
    "degraded": "degraded",
    "degradedperformance": "degraded",
    "performanceissues": "degraded",
    "partialoutage": "partial_outage",
    "minoroutage": "partial_outage",
    "majoroutage": "major_outage",
    "fulloutage": "major_outage",
    "down": "major_outage",
    "downtime": "major_outage",
    "undermaintenance": "maintenance",
    "maintenance": "maintenance",
}
_STAGES: dict[str, Stage] = {
    "investigating": "investigating",
    "identified": "identified",
    "monitoring": "monitoring",
    "watching": "monitoring",
    "resolved": "resolved",
    "fixed": "resolved",
    "postmortem": "resolved",
    "scheduled": "maintenance",
    "inprogress": "maintenance",
    "verifying": "maintenance",
    "maintenance": "maintenance",
    "completed": "resolved",
}


class About(Struct, frozen=True):
    """What is read: from where, what of it counts, and at what time (UTC seconds)."""

    source: PageSource
    at: float
    url: str = ""

    def surface(self, *names: str) -> str:
        """Our name for what the page calls by one of these (id, name); empty if none is known."""
        for glob, surface in self.source.components.items():
            if any(_fits(name, glob) for name in names):
                return surface
        return ""

    def counts(self, *names: str) -> bool:
        """Whether something of these names is about the provider."""
        scope = self.source.scope
        return not scope or any(_fits(name, glob) for name in names for glob in scope)

    def counts_at(self, *regions: str) -> bool:
        """Whether something that befell these regions (none: all) counts."""
        ours = self.source.regions
        named = [region for region in regions if region and region.lower() != "global"]
        return not ours or not named or any(_fits(name, glob) for name in named for glob in ours)


def _fits(name: str, glob: str) -> bool:
    return fnmatchcase(name.lower(), glob.lower())


def component_status(value: object) -> ComponentStatus:
    """A component's status in our words; "unknown" for what none of the formats says."""
    return _STATUSES.get(word(value), "unknown")


def stage(value: object) -> Stage:
    """An incident's stage in our words."""
    return _STAGES.get(word(value), "unknown")


def component(about: About, *, id: object, name: object, status: ComponentStatus) -> PageComponent:  # noqa: A002
    """A component with plain names; one of the two stands in for the other."""
    known = text(id, ID_MAX)
    called = text(name, NAME_MAX) or known
    known = known or called[:ID_MAX]
    return PageComponent(id=known, name=called, status=status, surface=about.surface(known, called))


def incident(  # noqa: PLR0913 - it is as many things
    *,
    id: object,  # noqa: A002
    name: object,
    stage: Stage,
    impact: object = "",
    started: float | None = None,
    created: float | None = None,
    updated: float | None = None,
    resolved: float | None = None,
    components: Iterable[object] = (),
) -> PageIncident:
    """An incident with plain texts. One that was opened again has not been resolved."""
    called = text(name, NAME_MAX)
    links = (text(link, ID_MAX) for link in islice(components, LINKS_MAX))
    return PageIncident(
        id=text(id, ID_MAX) or called[:ID_MAX],
        name=called,
        stage=stage,
        impact=text(impact, 40),
        started_wall=started,
        created_wall=created,
        updated_wall=updated,
        resolved_wall=resolved if stage == "resolved" else None,
        components=tuple(dict.fromkeys(filter(None, links))),
    )


def claim(
    about: About,
    components: Iterable[PageComponent] = (),
    incidents: Iterable[PageIncident] = (),
    *,
    described: object = "",
    trouble: bool = False,
) -> PageClaim:
    """The claim: in trouble if an incident is open or a component is unwell, else operational.

    `trouble`: the page's headline says so; it counts where the page is about one provider only.
    With a scope, components that do not fit go, and incidents that are linked to such only.
    """
    told = list(components)
    kept = [each for each in told if about.counts(each.id, each.name)]
    ours = {name for each in kept for name in (each.id, each.name)}
    others = {name for each in told for name in (each.id, each.name)} - ours
    told_incidents = [each for each in incidents if not _only(each.components, others)]
    open_now = [each for each in told_incidents if is_open(each, about.at)]
    over = [each for each in told_incidents if not is_open(each, about.at)]
    unwell = any(each.status in ("degraded", "partial_outage", "major_outage") for each in kept)
    headline = trouble and not about.source.scope
    state: PageState = "incident" if open_now or unwell or headline else "operational"
    return PageClaim(
        state=state,
        url=about.url,
        described=text(described, DESCRIBED_MAX),
        components=tuple(kept[:COMPONENTS_MAX]),
        incidents=tuple([*open_now, *over][:INCIDENTS_MAX]),
    )


def unreadable(url: str, why: str) -> PageClaim:
    """A claim that there is none."""
    return PageClaim(state="unreadable", url=url, why=text(why, DESCRIBED_MAX))


def is_open(incident: PageIncident, now: float) -> bool:
    """Whether trouble is claimed to go on: not over, and no maintenance."""
    if incident.stage in ("resolved", "maintenance"):
        return False
    if incident.stage == "unknown":
        last = incident.updated_wall or incident.created_wall or incident.started_wall
        return last is None or now - last < FRESH_S
    return True


def _only(links: tuple[str, ...], others: set[str]) -> bool:
    return bool(links) and others.issuperset(links)
