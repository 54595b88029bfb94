"""Google Cloud's `incidents.json`: a list of incidents of all products, months of them."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.facts.pages import ComponentStatus, PageClaim, PageComponent, PageIncident
from holdfast.wire.pages import claim
from holdfast.wire.pages.claim import LINKS_MAX, About
from holdfast.wire.pages.plain import Row, UnreadableError, document, moment, row, rows, text

_STATUSES: dict[str, ComponentStatus] = {
    "AVAILABLE": "operational",
    "SERVICE_INFORMATION": "degraded",
    "SERVICE_DISRUPTION": "partial_outage",
    "SERVICE_OUTAGE": "major_outage",
}


def read(data: bytes, about: About) -> PageClaim:
    """The claim about the products and regions that count. Raises UnreadableError."""
    found = document(data)
    incidents = list(rows(found))
    marks = ("external_desc", "affected_products")
    if not isinstance(found, list) or not all(
        any(mark in item for mark in marks) for item in incidents
    ):
        raise UnreadableError("its JSON is not a list of Google Cloud incidents")
    ours = [item for item in incidents if _counts(item, about)]
    told = [_incident(item, about) for item in ours]
    current = [item for item in ours if not item.get("end")]
    described = current[0].get("external_desc") if current else ""
    return claim.claim(about, _components(current, about), told, described=described)


def _products(item: Row) -> Iterator[tuple[str, str]]:
    """Id and title of every product that an incident affects."""
    listed = list(rows(item.get("affected_products"), LINKS_MAX))
    for each in listed:
        yield text(each.get("id")), text(each.get("current_title") or each.get("title"))
    if not listed:
        yield text(item.get("service_key")), text(item.get("service_name"))


def _counts(item: Row, about: About) -> bool:
    key = "currently_affected_locations" if not item.get("end") else "previously_affected_locations"
    regions = [text(each.get("id")) for each in rows(item.get(key), LINKS_MAX)]
    return about.counts_at(*regions) and any(about.counts(*each) for each in _products(item))


def _components(current: list[Row], about: About) -> Iterator[PageComponent]:
    for item in current:
        status = _STATUSES.get(text(_latest(item).get("status") or item.get("status_impact")))
        for id_, title in _products(item):
            if about.counts(id_, title):
                yield claim.component(about, id=id_, name=title, status=status or "unknown")


def _latest(item: Row) -> Row:
    return row(item.get("most_recent_update"))


def _incident(item: Row, about: About) -> PageIncident:
    now = about.at
    back = text(_latest(item).get("status")) == "AVAILABLE"
    return claim.incident(
        id=item.get("id") or item.get("number"),
        name=item.get("external_desc"),
        # It states no stages; what has no end goes on.
        stage="resolved" if item.get("end") else "monitoring" if back else "investigating",
        impact=item.get("status_impact") or item.get("severity"),
        started=moment(item.get("begin"), now),
        created=moment(item.get("created"), now),
        updated=moment(item.get("modified"), now),
        resolved=moment(item.get("end"), now),
        components=[id_ or title for id_, title in _products(item)],
    )
