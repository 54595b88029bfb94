"""Atlassian Statuspage v2: `/api/v2/{summary,status,components,incidents,…}.json`.

incident.io serves the same shape with traps: `incidents` and `scheduled_maintenances` may be
absent, incidents name no components and no `started_at`, and of the components only some are
listed, others in each reading. So nothing here is concluded from what is not there.
"""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.facts.pages import PageClaim, PageComponent, PageIncident
from holdfast.wire.pages import claim
from holdfast.wire.pages.claim import LINKS_MAX, About
from holdfast.wire.pages.plain import Row, UnreadableError, moment, row, rows, table

_UNWELL = ("minor", "major", "critical")


def read(data: bytes, about: About) -> PageClaim:
    """The claim of any of these documents. Raises UnreadableError."""
    found = table(data)
    page, status = row(found.get("page")), row(found.get("status"))
    listed = ("components", "incidents", "scheduled_maintenances")
    ours = "indicator" in status or any(isinstance(found.get(key), list) for key in listed)
    if not page or not ours:
        raise UnreadableError("its JSON is not a Statuspage document")
    incidents = [_incident(item, about) for item in rows(found.get("incidents"))]
    planned = [_incident(item, about) for item in rows(found.get("scheduled_maintenances"))]
    return claim.claim(
        about,
        _components(found, about),
        [*incidents, *planned],
        described=status.get("description"),
        trouble=status.get("indicator") in _UNWELL,
    )


def _components(found: Row, about: About) -> Iterator[PageComponent]:
    for item in rows(found.get("components")):
        if item.get("group") is not True:  # a group's status is that of its worst member
            status = claim.component_status(item.get("status"))
            yield claim.component(about, id=item.get("id"), name=item.get("name"), status=status)


def _incident(item: Row, about: About) -> PageIncident:
    now = about.at
    updates = list(rows(item.get("incident_updates"), LINKS_MAX))  # newest first
    shown = [at for each in updates if (at := moment(each.get("display_at"), now)) is not None]
    links = [each.get("id") or each.get("name") for each in rows(item.get("components"), LINKS_MAX)]
    links += [
        each.get("code") or each.get("name")
        for each in rows(updates[0].get("affected_components") if updates else None)
    ]
    return claim.incident(
        id=item.get("id"),
        name=item.get("name"),
        stage=claim.stage(item.get("status")),
        impact=item.get("impact"),
        started=moment(item.get("started_at"), now) or min(shown, default=None),
        created=moment(item.get("created_at"), now),
        updated=moment(item.get("updated_at"), now),
        resolved=moment(item.get("resolved_at"), now),
        components=links,
    )
