"""incident.io's own shapes: `/api/widget`, `/api/v1/summary`, and the JSON inside its HTML.

Components are named only where an incident affects them; all others are unknown, not well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from holdfast.facts.pages import PageClaim, PageComponent, PageIncident
from holdfast.wire.pages import claim
from holdfast.wire.pages.claim import LINKS_MAX, About
from holdfast.wire.pages.plain import Row, UnreadableError, document, moment, row, rows, utf8

_KEY = re.compile(r'"ongoing_incidents"\s*:\s*')
_PUSHED = "self.__next_f.push([1,"
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)


def read(data: bytes, about: About) -> PageClaim:
    """The claim of one of these documents. Raises UnreadableError."""
    if data.lstrip()[:1] == b"<":
        return _claim({"ongoing_incidents": _embedded(utf8(data))}, about)
    found = row(document(data))
    found = row(found.get("summary")) or found
    if not isinstance(found.get("ongoing_incidents"), list):
        raise UnreadableError("its JSON is not an incident.io summary")
    return _claim(found, about)


def _claim(found: Row, about: About) -> PageClaim:
    ongoing = list(rows(found.get("ongoing_incidents")))
    planned = [
        *rows(found.get("in_progress_maintenances")),
        *rows(found.get("scheduled_maintenances")),
    ]
    incidents = [_incident(item, about) for item in ongoing]
    incidents += [_maintenance(item, about) for item in planned]
    described = found.get("page_title") if not ongoing else ongoing[0].get("name")
    return claim.claim(about, _components(ongoing, about), incidents, described=described)


def _components(ongoing: list[Row], about: About) -> Iterator[PageComponent]:
    seen: set[str] = set()
    for item in ongoing:
        for part in rows(item.get("affected_components"), LINKS_MAX):
            status = claim.component_status(part.get("current_status") or part.get("status"))
            id_ = part.get("id") or part.get("component_id")
            found = claim.component(about, id=id_, name=part.get("name"), status=status)
            if found.id not in seen:
                seen.add(found.id)
                yield found


def _incident(item: Row, about: About) -> PageIncident:
    now = about.at
    updates = list(rows(item.get("updates"), LINKS_MAX))
    times = [at for each in updates if (at := moment(each.get("published_at"), now)) is not None]
    impacts = rows(item.get("component_impacts"), LINKS_MAX)
    starts = [at for each in impacts if (at := moment(each.get("start_at"), now)) is not None]
    links = rows(item.get("affected_components"), LINKS_MAX)
    return claim.incident(
        id=item.get("id"),
        name=item.get("name"),
        stage=claim.stage(item.get("status")),
        impact=item.get("current_worst_impact"),
        started=min(starts, default=None),
        created=moment(item.get("published_at"), now) or min(times, default=None),
        updated=moment(item.get("last_update_at"), now) or max(times, default=None),
        components=[each.get("id") or each.get("component_id") for each in links],
    )


def _maintenance(item: Row, about: About) -> PageIncident:
    return claim.incident(
        id=item.get("id"),
        name=item.get("name"),
        stage="maintenance",
        started=moment(item.get("started_at"), about.at),
        updated=moment(item.get("last_update_at"), about.at),
    )


def _embedded(page: str) -> object:
    """The list of ongoing incidents out of the page's own data. Raises UnreadableError.

    It stands there as JSON, or within strings of JSON that scripts push one after the other.
    """
    for told in (page, "".join(_pushed(page))):
        match = _KEY.search(told)
        if match is None:
            continue
        try:
            found, _ = json.JSONDecoder().raw_decode(told, match.end())
        except (ValueError, RecursionError):
            continue
        if isinstance(found, list):  # else a placeholder: absent is not empty
            return found
    raise UnreadableError("its HTML holds no list of incidents")


def _pushed(page: str) -> Iterator[str]:
    at = page.find(_PUSHED)
    while at >= 0:
        match = _STRING.match(page, at + len(_PUSHED))
        if match is None:  # no string, or one without an end: nothing behind it can be trusted
            return
        try:
            yield json.loads(match[0])
        except ValueError:
            return
        at = page.find(_PUSHED, match.end())
