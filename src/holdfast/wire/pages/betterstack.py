"""Better Stack: `/index.json`, a JSON:API document.

Fields stand in `attributes`, as JSON:API has it; they are found without that as well.
"""

from __future__ import annotations

from holdfast.facts.pages import PageClaim, PageComponent, PageIncident, Stage
from holdfast.wire.pages import claim
from holdfast.wire.pages.claim import About
from holdfast.wire.pages.plain import Row, UnreadableError, moment, row, rows, table, word


def read(data: bytes, about: About) -> PageClaim:
    """The claim. Raises UnreadableError."""
    found = table(data)
    page = row(found.get("data"))
    if page.get("type") != "status_page":
        raise UnreadableError("its JSON is not a Better Stack status page")
    included = list(rows(found.get("included")))
    resources = [item for item in included if item.get("type") == "status_page_resource"]
    resources += [item for item in included if item.get("type") == "resource"]
    reports = [item for item in included if item.get("type") in ("status_report", "report")]
    aggregate = word(_fields(page).get("aggregate_state"))
    return claim.claim(
        about,
        [_component(item, about) for item in resources],
        [_incident(item, about) for item in reports],
        described=_fields(page).get("aggregate_state"),
        trouble=aggregate in ("degraded", "down", "downtime"),
    )


def _fields(item: Row) -> Row:
    return row(item.get("attributes")) or item


def _component(item: Row, about: About) -> PageComponent:
    fields = _fields(item)
    name = fields.get("public_name") or fields.get("name")
    status = claim.component_status(fields.get("status"))
    return claim.component(about, id=item.get("id"), name=name, status=status)


def _incident(item: Row, about: About) -> PageIncident:
    now = about.at
    fields = _fields(item)
    parts = rows(fields.get("affected_resources"))
    return claim.incident(
        id=item.get("id"),
        name=fields.get("title"),
        stage=_stage(fields, now),
        impact=fields.get("aggregate_state"),
        started=moment(fields.get("starts_at"), now),
        created=moment(fields.get("created_at"), now),
        updated=moment(fields.get("updated_at"), now),
        resolved=moment(fields.get("ends_at"), now),
        components=[each.get("status_page_resource_id") or each.get("id") for each in parts],
    )


def _stage(fields: Row, now: float) -> Stage:
    """It states no stages: what has not ended goes on. An end may lie ahead, as of maintenance."""
    state = word(fields.get("aggregate_state"))
    if state == "resolved" or moment(fields.get("ends_at"), now) is not None:
        return "resolved"
    planned = "maintenance" in (word(fields.get("report_type")), state)
    return "maintenance" if planned else "investigating"
