"""Each page format, read after its documented fields and with its known traps."""

from __future__ import annotations

from typing import Any

import pytest
from tests.wire.pages import documents
from tests.wire.pages.documents import EVERY, NOW, at, dumps, statuspage

from holdfast.facts.pages import PageClaim, PageFormat, PageSource
from holdfast.wire.pages.claim import About
from holdfast.wire.pages.door import READERS, read_page
from holdfast.wire.pages.plain import moment


def claimed(data: bytes, form: PageFormat, **source: Any) -> PageClaim:
    about = About(PageSource(format=form, **source), NOW, "https://status.example.com/x")
    return read_page(200, (), data, about)


def statuses(found: PageClaim) -> dict[str, str]:
    return {each.id: each.status for each in found.components}


@pytest.mark.parametrize("form", sorted(EVERY))
def test_every_format_tells_trouble_and_is_recognised_by_its_shape(form: PageFormat) -> None:
    found = claimed(EVERY[form], form)
    assert found.state == "incident", found
    assert found.url == "https://status.example.com/x"
    assert claimed(EVERY[form], "any") == found
    for other in READERS:
        if other != form:
            assert claimed(EVERY[form], other).state == "unreadable", other


# ---------------------------------------------------------------- Statuspage


def test_statuspage_gives_components_incidents_and_their_times() -> None:
    found = claimed(
        dumps(statuspage()), "statuspage", components={"*API*": "messages", "c2": "chat_site"}
    )
    assert found.described == "Partial System Outage"
    assert statuses(found) == {"c1": "partial_outage", "c2": "operational", "c3": "maintenance"}
    assert [each.surface for each in found.components] == ["messages", "chat_site", ""]
    incident, maintenance = found.incidents
    assert (incident.stage, incident.impact, incident.components) == (
        "identified",
        "minor",
        ("c1",),
    )
    assert incident.started_wall == NOW - 37 * 60
    assert incident.created_wall == NOW - 20 * 60
    assert incident.updated_wall == NOW - 5 * 60
    assert (maintenance.name, maintenance.stage) == ("Database work", "maintenance")


def test_components_speak_where_the_impact_says_none_and_the_list_is_absent() -> None:
    page = statuspage(status={"indicator": "none", "description": "All Systems Operational"})
    del page["incidents"], page["scheduled_maintenances"]
    assert claimed(dumps(page), "statuspage").state == "incident"


def test_maintenance_alone_is_no_trouble_but_is_seen() -> None:
    page = statuspage(status={"indicator": "maintenance"}, incidents=[])
    page["components"] = page["components"][2:]
    found = claimed(dumps(page), "statuspage")
    assert found.state == "operational"
    assert statuses(found)["c3"] == "maintenance"
    assert [each.stage for each in found.incidents] == ["maintenance"]


@pytest.mark.parametrize("over", ["resolved", "postmortem"])
def test_what_is_over_is_kept_and_is_no_trouble(over: str) -> None:
    page = statuspage(status={"indicator": "none"}, components=[])
    page["incidents"][0] |= {"status": over, "resolved_at": at(1)}
    found = claimed(dumps(page), "statuspage")
    assert found.state == "operational"
    assert found.incidents[0].stage == "resolved"
    assert found.incidents[0].resolved_wall == NOW - 60


def test_an_incident_that_was_opened_again_is_not_resolved() -> None:
    page = statuspage()
    page["incidents"][0] |= {"status": "identified", "resolved_at": at(40)}
    assert claimed(dumps(page), "statuspage").incidents[0].resolved_wall is None


def test_where_the_page_states_no_start_the_earliest_update_shown_is_it() -> None:
    """As of incident.io's compatible form, which back-dates what it shows."""
    page = statuspage(components=[])
    incident = page["incidents"][0]
    del incident["started_at"], incident["components"]
    incident["incident_updates"] = [
        {"display_at": at(4), "affected_components": [{"code": "c9", "name": "Nine"}]},
        {"display_at": at(171)},
    ]
    found = claimed(dumps(page), "statuspage").incidents[0]
    assert found.started_wall == NOW - 171 * 60
    assert found.components == ("c9",)


def test_a_scope_leaves_out_components_and_what_concerns_only_those() -> None:
    everything = claimed(dumps(statuspage()), "statuspage")
    assert everything.state == "incident"
    found = claimed(dumps(statuspage()), "statuspage", scope=("chat*",))
    assert statuses(found) == {"c2": "operational"}
    assert [each.id for each in found.incidents] == ["m1"]
    assert found.state == "operational"


# ---------------------------------------------------------------- incident.io


def test_the_widget_names_only_what_is_affected() -> None:
    found = claimed(EVERY["incidentio"], "incidentio", components={"responses": "chat"})
    assert statuses(found) == {"a1": "degraded", "a2": "major_outage"}
    assert [each.surface for each in found.components] == ["chat", ""]
    assert [each.stage for each in found.incidents] == ["monitoring", "maintenance"]
    assert found.incidents[0].updated_wall == NOW - 180
    quiet = documents.incidentio_widget() | {"ongoing_incidents": []}
    found = claimed(dumps({"summary": quiet}), "incidentio")
    assert (found.state, found.components) == ("operational", ())


@pytest.mark.parametrize("escaped", [False, True], ids=["plain", "pushed"])
def test_the_list_is_found_inside_the_html(escaped: bool) -> None:
    found = claimed(documents.incidentio_html(escaped=escaped), "incidentio")
    assert found.state == "incident", found.why
    (incident,) = found.incidents
    assert incident.name == 'Errors with "tools"'
    assert incident.started_wall == NOW - 44 * 60
    assert incident.created_wall == NOW - 22 * 60
    assert incident.updated_wall == NOW - 9 * 60
    assert statuses(found) == {"a1": "partial_outage"}


@pytest.mark.parametrize(
    "page",
    [
        b'<html><script>{"ongoing_incidents":"$undefined"}</script></html>',
        b'<html><script>self.__next_f.push([1,"never ends</script></html>',
        b'<html>"ongoing_incidents":[{"id":',
        b"<html>All is well!</html>",
    ],
)
def test_html_without_the_list_is_unreadable_not_well(page: bytes) -> None:
    found = claimed(page, "incidentio")
    assert (found.state, found.why) == ("unreadable", "its HTML holds no list of incidents")


# ---------------------------------------------------------------- the clouds


def test_of_google_s_list_only_the_products_that_count_are_read() -> None:
    found = claimed(EVERY["google"], "google", scope=("*gemini*",))
    assert [(each.id, each.stage) for each in found.incidents] == [
        ("1", "investigating"),
        ("3", "resolved"),
    ]
    assert found.described == "Vertex Gemini API returns errors"
    assert statuses(found) == {"id-1": "partial_outage"}
    first = found.incidents[0]
    assert (first.started_wall, first.created_wall) == (NOW - 80 * 60, NOW - 600)
    assert claimed(EVERY["google"], "google", scope=("*translate*",)).state == "operational"


def test_regions_bound_what_counts() -> None:
    assert claimed(EVERY["google"], "google", regions=("us-*",)).state == "incident"
    assert claimed(EVERY["google"], "google", regions=("europe-*",)).state == "operational"
    assert claimed(EVERY["aws"], "aws", regions=("n. virginia",)).state == "incident"
    assert claimed(EVERY["aws"], "aws", regions=("ireland",)).state == "operational"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_aws_is_read_in_either_encoding_and_by_service(encoding: str) -> None:
    data = EVERY["aws"].decode().encode(encoding)
    found = claimed(data, "aws", scope=("*bedrock*",))
    assert [each.stage for each in found.incidents] == ["investigating", "resolved"]
    assert found.incidents[0].started_wall == NOW - 1800
    assert found.incidents[1].started_wall is None  # 1970 is no date of an event
    assert statuses(found) == {"bedrock-us-east-1": "partial_outage"}
    befallen = claimed(data, "aws", scope=("*lambda*",))
    assert befallen.state == "incident"
    assert claimed(dumps({"current": [], "archive": []}), "aws").state == "operational"


def test_rss_the_newest_entry_of_one_thing_speaks() -> None:
    found = claimed(EVERY["feed"], "feed")
    (incident,) = found.incidents
    assert incident.stage == "investigating"
    assert incident.name == "Service degradation: Increased Error Rates"
    assert incident.created_wall == 1_779_999_600.0
    reverse = EVERY["feed"].replace(b"28 May 2026", b"20 May 2026")
    assert claimed(reverse, "feed").state == "operational"


def test_atom_is_read_with_its_escaped_markup() -> None:
    found = claimed(documents.ATOM, "feed")
    assert [(each.name, each.stage) for each in found.incidents] == [
        ("API errors", "monitoring"),
        ("Console", "resolved"),
    ]
    assert claimed(documents.ATOM, "feed", scope=("*console*",)).state == "operational"


@pytest.mark.parametrize(
    ("category", "body", "stage"),
    [
        ("disruption", "&lt;h3&gt;Status: IDENTIFIED&lt;/h3&gt;", "identified"),
        ("resolved", "We are investigating.", "resolved"),
        ("disruption", "Status: RESOLVED. We were investigating.", "resolved"),
        ("", "No word for it.", "unknown"),
    ],
)
def test_an_entry_s_stage_is_read_from_its_words(category: str, body: str, stage: str) -> None:
    page = f"""<rss><channel><item><title>[API] Outage</title><guid>1</guid>
    <category>{category}</category><description>{body}</description>
    <pubDate>Thu, 28 May 2026 20:00:00 GMT</pubDate></item></channel></rss>"""
    found = claimed(page.encode(), "feed")
    assert found.incidents[0].stage == stage
    assert found.state == ("operational" if stage == "resolved" else "incident")


def test_an_entry_of_days_ago_says_nothing_about_now_and_an_empty_feed_is_fine() -> None:
    old = documents.ATOM.replace(b"2026-05-28", b"2026-05-20")
    assert claimed(old, "feed").state == "operational"
    empty = b"<rss><channel><title>Azure Status</title></channel></rss>"
    assert claimed(empty, "feed").state == "operational"


# ---------------------------------------------------------------- the others


def test_instatus_components_count_though_the_impact_says_operational() -> None:
    found = claimed(EVERY["instatus"], "instatus")
    assert statuses(found) == {"k1": "major_outage"}
    assert (found.described, found.incidents[0].started_wall) == ("Trouble", NOW - 900)
    well = {"page": {"name": "Example", "status": "UP"}}
    assert claimed(dumps(well), "instatus").state == "operational"


def test_better_stack_has_resources_reports_and_maintenance_that_is_not_over() -> None:
    found = claimed(EVERY["betterstack"], "betterstack")
    assert statuses(found) == {"r1": "degraded", "r2": "unknown"}
    assert [each.stage for each in found.incidents] == ["investigating", "maintenance"]
    assert found.incidents[0].components == ("r1",)
    assert found.incidents[0].started_wall == NOW - 31 * 60


def test_cachet_s_two_documents_are_two_claims() -> None:
    assert statuses(claimed(EVERY["cachet"], "cachet")) == {
        "1": "partial_outage",
        "2": "operational",
    }
    found = claimed(dumps(documents.cachet_incidents()), "cachet")
    assert [(each.id, each.stage) for each in found.incidents] == [
        ("7", "identified"),
        ("6", "resolved"),
    ]
    assert found.incidents[0].started_wall == 1_779_998_400.0


# ---------------------------------------------------------------- times


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-05-28T20:26:40Z", NOW),
        ("2026-05-28T20:26:40.000-00:00", NOW),
        ("2026-05-28 20:26:40", NOW),
        ("Thu, 28 May 2026 20:26:40 GMT", NOW),
        (NOW, NOW),
        (int(NOW * 1000), NOW),
        (str(int(NOW)), NOW),
        (at(-4), NOW + 240),  # clocks differ
        (at(-6), None),  # the future
        ("2999-01-01T00:00:00Z", None),
        ("1999-12-31T00:00:00Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        (0, None),
        (-1, None),
        (True, None),
        ("", None),
        ("9" * 64, None),
        (10**400, None),
        ("yesterday", None),
        (None, None),
        ([], None),
    ],
)
def test_only_times_that_can_be_true_are_kept(value: object, expected: float | None) -> None:
    assert moment(value, NOW) == expected
