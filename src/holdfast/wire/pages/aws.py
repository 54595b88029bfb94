"""AWS's list of current events (`/public/currentevents`), and the older `data.json`.

It comes as UTF-16 at times, and numbers come as numbers or as strings.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from holdfast.facts.pages import ComponentStatus, PageClaim, PageComponent, PageIncident
from holdfast.wire.pages import claim
from holdfast.wire.pages.claim import LINKS_MAX, About
from holdfast.wire.pages.plain import Row, UnreadableError, document, moment, row, rows, text

_STATUSES: dict[str, ComponentStatus] = {
    "0": "operational",
    "1": "degraded",
    "2": "partial_outage",
    "3": "major_outage",
}


def read(data: bytes, about: About) -> PageClaim:
    """The claim about the services and regions that count. Raises UnreadableError."""
    found = document(data)
    if isinstance(found, dict) and isinstance(found.get("current"), list):
        found = found["current"]
    events = list(rows(found))
    if not isinstance(found, list) or not all("service" in event for event in events):
        raise UnreadableError("its JSON is not a list of AWS events")
    ours = [event for event in events if _counts(event, about)]
    current = [event for event in ours if not _over(event)]
    described = current[0].get("summary") if current else ""
    return claim.claim(
        about,
        [part for event in current for part in _components(event, about)],
        [_incident(event, about) for event in ours],
        described=described,
    )


def _over(event: Row) -> bool:
    said = text(event.get("summary")).lower()
    return text(event.get("status")) == "0" or "[resolved]" in said or bool(event.get("endTime"))


def _services(event: Row) -> Iterator[tuple[str, str]]:
    """Key and name of the services of an event: its own, and those that it befalls as well."""
    yield text(event.get("service")), text(event.get("service_name"))
    impacted = event.get("impacted_services")
    for key, told in islice(row(impacted).items(), LINKS_MAX):
        yield text(key), text(row(told).get("service_name"))
    for told in rows(impacted, LINKS_MAX):
        yield text(told.get("service")), text(told.get("service_name"))


def _counts(event: Row, about: About) -> bool:
    region = text(event.get("region_name") or event.get("region"))
    return about.counts_at(region) and any(about.counts(*each) for each in _services(event))


def _components(event: Row, about: About) -> Iterator[PageComponent]:
    status = _STATUSES.get(text(event.get("status")), "unknown")
    for key, name in _services(event):
        if about.counts(key, name):
            yield claim.component(about, id=key, name=name, status=status)


def _incident(event: Row, about: About) -> PageIncident:
    now = about.at
    region, service = text(event.get("region_name")), text(event.get("service_name"))
    place = ", ".join(filter(None, (service, region)))
    summary = text(event.get("summary"))
    started = moment(event.get("date") or event.get("startTime"), now)
    key = event.get("arn") or f"{text(event.get('service'))} {text(event.get('date'))}"
    return claim.incident(
        id=key,
        name=f"{summary} ({place})" if place else summary,
        # It states no stages; what is listed and not marked as over goes on.
        stage="resolved" if _over(event) else "investigating",
        impact=text(event.get("status")),
        started=started,
        created=started,
        resolved=moment(event.get("endTime"), now),
        components=[key or name for key, name in _services(event)],
    )
