"""Instatus: `/summary.json`, with the components of `/v2/components.json` where they are there.

Keys are absent where their lists would be empty, `name` may be a map of languages, and an
incident's impact may say OPERATIONAL while its components are down.
"""

from __future__ import annotations

from holdfast.facts.pages import PageClaim, PageComponent, PageIncident
from holdfast.wire.pages import claim
from holdfast.wire.pages.claim import LINKS_MAX, About
from holdfast.wire.pages.plain import Row, UnreadableError, moment, row, rows, table

_HEADLINES = {
    "UP": "All is well",
    "HASISSUES": "There are issues",
    "UNDERMAINTENANCE": "Under maintenance",
}


def read(data: bytes, about: About) -> PageClaim:
    """The claim. Raises UnreadableError."""
    found = table(data)
    page = row(found.get("page"))
    headline = page.get("status")
    if not isinstance(headline, str) or headline not in _HEADLINES:
        raise UnreadableError("its JSON is not an Instatus summary")
    incidents = list(rows(found.get("activeIncidents")))
    planned = rows(found.get("activeMaintenances"))
    parts = [*rows(found.get("components"))]
    for item in incidents:
        parts += _linked(item)
    components = {each.id: each for each in (_component(part, about) for part in parts)}
    told = [_incident(item, about) for item in incidents]
    told += [_maintenance(item, about) for item in planned]
    return claim.claim(
        about,
        components.values(),
        told,
        described=told[0].name if told else _HEADLINES[headline],
        trouble=headline == "HASISSUES",
    )


def _name(value: object) -> object:
    """A name, in English where there are several."""
    if isinstance(value, dict):
        return value.get("en") or value.get("default") or next(iter(value.values()), "")
    return value


def _component(item: Row, about: About) -> PageComponent:
    status = claim.component_status(item.get("status"))
    return claim.component(about, id=item.get("id"), name=_name(item.get("name")), status=status)


def _incident(item: Row, about: About) -> PageIncident:
    now = about.at
    updates = list(rows(item.get("updates"), LINKS_MAX))
    times = [at for each in updates if (at := moment(each.get("started"), now)) is not None]
    return claim.incident(
        id=item.get("id") or item.get("url"),
        name=_name(item.get("name")),
        stage=claim.stage(item.get("status")),
        impact=item.get("impact"),
        started=moment(item.get("started"), now),
        updated=max(times, default=None),
        resolved=moment(item.get("resolved"), now),
        components=[each.get("id") or _name(each.get("name")) for each in _linked(item)],
    )


def _linked(item: Row) -> list[Row]:
    return list(rows(item.get("components"), LINKS_MAX))


def _maintenance(item: Row, about: About) -> PageIncident:
    return claim.incident(
        id=item.get("id") or item.get("url"),
        name=_name(item.get("name")),
        stage="maintenance",
        started=moment(item.get("start"), about.at),
    )
