"""Cachet: `/api/components` or `/api/incidents` (older ones below `/api/v1`).

Two documents, each a claim of its own: components say how things are, incidents what is told.
"""

from __future__ import annotations

from holdfast.facts.pages import ComponentStatus, PageClaim, PageComponent, PageIncident, Stage
from holdfast.wire.pages import claim
from holdfast.wire.pages.claim import About
from holdfast.wire.pages.plain import Row, UnreadableError, moment, row, rows, table, text

_COMPONENTS: dict[str, ComponentStatus] = {
    "1": "operational",
    "2": "degraded",
    "3": "partial_outage",
    "4": "major_outage",
    "5": "unknown",
    "6": "maintenance",
}
_INCIDENTS: dict[str, Stage] = {
    "0": "maintenance",
    "1": "investigating",
    "2": "identified",
    "3": "monitoring",
    "4": "resolved",
}
# What an incident has and a component has not.
_TOLD = ("message", "occurred_at", "scheduled_at", "visible", "stickied")


def read(data: bytes, about: About) -> PageClaim:
    """The claim. Raises UnreadableError."""
    listed = table(data).get("data")
    items = list(rows(listed))
    if not isinstance(listed, list) or not all(
        "status" in fields and "name" in fields for fields in map(_fields, items)
    ):
        raise UnreadableError("its JSON is not a list of Cachet's")
    incidents = [item for item in items if _is_incident(item)]
    components = [item for item in items if not _is_incident(item)]
    return claim.claim(
        about,
        [_component(item, about) for item in components],
        [_incident(item, about) for item in incidents],
    )


def _fields(item: Row) -> Row:
    return row(item.get("attributes")) or item


def _is_incident(item: Row) -> bool:
    kind = item.get("type")  # JSON:API's, in later versions
    if kind in ("incidents", "components"):
        return bool(kind == "incidents")
    return any(key in _fields(item) for key in _TOLD)


def _status(fields: Row) -> str:
    """The number of a status that is a number, a string of it, or an object around it."""
    status = fields.get("status")
    return text(row(status).get("value") if isinstance(status, dict) else status)


def _component(item: Row, about: About) -> PageComponent:
    fields = _fields(item)
    status = _COMPONENTS.get(_status(fields), "unknown")
    return claim.component(about, id=item.get("id"), name=fields.get("name"), status=status)


def _incident(item: Row, about: About) -> PageIncident:
    now = about.at
    fields = _fields(item)
    at = {
        key: moment(row(value).get("string") if isinstance(value, dict) else value, now)
        for key in ("occurred_at", "created_at", "updated_at")
        for value in (fields.get(key),)
    }
    component = fields.get("component_id")
    return claim.incident(
        id=item.get("id"),
        name=fields.get("name"),
        stage=_INCIDENTS.get(_status(fields), "unknown"),
        started=at["occurred_at"],
        created=at["created_at"],
        updated=at["updated_at"],
        components=[component] if component else [],
    )
