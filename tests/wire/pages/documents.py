"""Documents of status pages, written by us after the documented fields; nothing was captured."""

from __future__ import annotations

import json
from typing import Any

NOW = 1_780_000_000.0  # 2026-05-28T20:26:40Z


def dumps(value: Any) -> bytes:
    return json.dumps(value).encode()


def at(minutes_ago: float) -> str:
    """A date that many minutes before NOW, as ISO 8601."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(NOW - 60 * minutes_ago, UTC).isoformat().replace("+00:00", "Z")


def statuspage(**over: Any) -> dict[str, Any]:
    """A summary with an API in partial outage and one incident that is identified."""
    return {
        "page": {"id": "p1", "name": "Example", "url": "https://status.example.com"},
        "status": {"indicator": "major", "description": "Partial System Outage"},
        "components": [
            {"id": "c0", "name": "Everything", "status": "major_outage", "group": True},
            {"id": "c1", "name": "Example API (api.example.com)", "status": "partial_outage"},
            {"id": "c2", "name": "Chat", "status": "operational", "group": False},
            {"id": "c3", "name": "Console", "status": "under_maintenance"},
        ],
        "incidents": [
            {
                "id": "i1",
                "name": "Elevated errors on Example 5 Large",
                "status": "identified",
                "impact": "minor",
                "created_at": at(20),
                "started_at": at(37),
                "updated_at": at(5),
                "resolved_at": None,
                "components": [{"id": "c1", "name": "Example API (api.example.com)"}],
                "incident_updates": [],
            }
        ],
        "scheduled_maintenances": [
            {"id": "m1", "name": "Database work", "status": "scheduled", "created_at": at(600)}
        ],
        **over,
    }


def incidentio_widget() -> dict[str, Any]:
    return {
        "page_title": "Example",
        "page_url": "https://status.example.com",
        "ongoing_incidents": [
            {
                "id": "w1",
                "name": "Slow answers",
                "status": "monitoring",
                "last_update_at": at(3),
                "last_update_message": "A fix is out.",
                "current_worst_impact": "degraded_performance",
                "affected_components": [
                    {"id": "a1", "name": "Responses", "current_status": "degraded_performance"},
                    {"id": "a2", "name": "Chat", "current_status": "full_outage"},
                ],
            }
        ],
        "in_progress_maintenances": [{"id": "x", "name": "Work", "started_at": at(60)}],
        "scheduled_maintenances": [],
    }


def incidentio_html(*, escaped: bool) -> bytes:
    data = {
        "summary": {
            "ongoing_incidents": [
                {
                    "id": "h1",
                    "name": 'Errors with "tools"',
                    "published_at": at(22),
                    "status": "investigating",
                    "affected_components": [{"component_id": "a1", "status": "partial_outage"}],
                    "component_impacts": [{"component_id": "a1", "start_at": at(44)}],
                    "updates": [{"published_at": at(9), "to_status": "investigating"}],
                }
            ],
            "scheduled_maintenances": "$undefined",
        }
    }
    told = json.dumps(data)
    if escaped:
        half = len(told) // 2
        pushes = "".join(
            f"<script>self.__next_f.push([1,{json.dumps(part)}])</script>"
            for part in (told[:half], told[half:])
        )
        return f"<!DOCTYPE html><html><body>{pushes}</body></html>".encode()
    return f'<!DOCTYPE html><html><script type="application/json">{told}</script></html>'.encode()


def google() -> list[dict[str, Any]]:
    def one(number: str, product: str, end: str | None, **more: Any) -> dict[str, Any]:
        return {
            "id": number,
            "number": number,
            "begin": at(80),
            "created": at(10),
            "modified": at(4),
            "end": end,
            "external_desc": f"{product} returns errors",
            "severity": "medium",
            "status_impact": "SERVICE_DISRUPTION",
            "service_key": "zall",
            "service_name": "Multiple Products",
            "affected_products": [{"title": product, "id": f"id-{number}"}],
            "most_recent_update": {"status": "SERVICE_DISRUPTION", "when": at(4)},
            "currently_affected_locations": [{"id": "us-central1", "title": "Iowa"}],
            "previously_affected_locations": [],
            **more,
        }

    return [
        one("1", "Vertex Gemini API", None),
        one("2", "Cloud Dataflow", None),
        one("3", "Vertex Gemini API", at(1)),
    ]


def aws() -> list[dict[str, Any]]:
    event = {
        "date": str(int(NOW - 1800)),
        "region_name": "N. Virginia",
        "status": "2",
        "service": "bedrock-us-east-1",
        "service_name": "Amazon Bedrock",
        "summary": "Increased API Error Rates",
        "impacted_services": {"lambda-us-east-1": {"service_name": "AWS Lambda"}},
    }
    over = {**event, "status": 0, "summary": "[RESOLVED] Increased Latencies", "date": "1"}
    other = {
        **event,
        "service": "ec2-eu-west-1",
        "service_name": "Amazon EC2",
        "impacted_services": {},
    }
    return [event, over, other]


def instatus() -> dict[str, Any]:
    return {
        "page": {"name": "Example", "url": "https://example.instatus.com", "status": "HASISSUES"},
        "activeIncidents": [
            {
                "id": "n1",
                "name": {"en": "Trouble", "de": "Ärger"},
                "started": at(15),
                "status": "INVESTIGATING",
                "impact": "OPERATIONAL",
                "url": "https://example.instatus.com/n1",
                "components": [{"id": "k1", "name": {"default": "API"}, "status": "MAJOROUTAGE"}],
            }
        ],
    }


def betterstack() -> dict[str, Any]:
    return {
        "data": {
            "id": "1",
            "type": "status_page",
            "attributes": {"company_name": "Example", "aggregate_state": "degraded"},
        },
        "included": [
            {"id": "s", "type": "status_page_section", "attributes": {"name": "All"}},
            {
                "id": "r1",
                "type": "status_page_resource",
                "attributes": {"public_name": "API", "status": "degraded"},
            },
            {
                "id": "r2",
                "type": "status_page_resource",
                "attributes": {"public_name": "Site", "status": "not_monitored"},
            },
            {
                "id": "t1",
                "type": "status_report",
                "attributes": {
                    "title": "API is slow",
                    "report_type": "manual",
                    "starts_at": at(31),
                    "ends_at": None,
                    "aggregate_state": "degraded",
                    "affected_resources": [{"status_page_resource_id": "r1", "status": "degraded"}],
                },
            },
            {
                "id": "t2",
                "type": "status_report",
                "attributes": {
                    "title": "Move",
                    "report_type": "maintenance",
                    "starts_at": at(5),
                    "ends_at": at(-120),
                },
            },
        ],
    }


def cachet_components() -> dict[str, Any]:
    return {
        "data": [
            {"id": 1, "name": "API", "status": 3, "group_id": 0},
            {
                "id": "2",
                "type": "components",
                "attributes": {"name": "Web", "status": {"value": 1}},
            },
        ]
    }


def cachet_incidents() -> dict[str, Any]:
    return {
        "data": [
            {
                "id": 7,
                "name": "API down",
                "status": "2",
                "message": "<p>We know.</p>",
                "component_id": 1,
                "occurred_at": "2026-05-28 20:00:00",
                "created_at": "2026-05-28 20:10:00",
            },
            {"id": 6, "name": "Old", "status": 4, "message": ""},
        ]
    }


RSS = b"""<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0"><channel><title><![CDATA[Example Service Status]]></title>
<item>
  <title><![CDATA[Service degradation: Increased Error Rates]]></title>
  <description><![CDATA[<b>We are investigating</b> increased error rates.]]></description>
  <pubDate>Thu, 28 May 2026 13:20:00 PDT</pubDate>
  <guid isPermaLink="false">https://status.example.com/#llm-us-east-1_1780000000</guid>
</item>
<item>
  <title>Service is operating normally: [RESOLVED] Increased Latency</title>
  <description>The issue has been resolved.</description>
  <pubDate>Tue, 26 May 2026 10:00:00 +0000</pubDate>
  <guid>https://status.example.com/#llm-us-east-1_1779789600</guid>
</item>
</channel></rss>"""

ATOM = b"""<?xml version="1.0"?>
<feed xmlns="http://www.w3.org/2005/Atom"><title>Example</title>
<entry><id>tag:e,1</id><title>API errors</title><updated>2026-05-28T20:20:00Z</updated>
<published>2026-05-28T20:00:00Z</published>
<content type="html">&lt;p&gt;&lt;strong&gt;Monitoring&lt;/strong&gt; - a fix&lt;/p&gt;</content>
</entry>
<entry><id>tag:e,2</id><title>Console</title><updated>2026-05-27T08:00:00Z</updated>
<content type="html">&lt;strong&gt;Resolved&lt;/strong&gt; - done</content></entry>
</feed>"""

# One of each format, under its name.
EVERY: dict[str, bytes] = {
    "statuspage": dumps(statuspage()),
    "incidentio": dumps(incidentio_widget()),
    "google": dumps(google()),
    "aws": dumps(aws()),
    "feed": RSS,
    "instatus": dumps(instatus()),
    "betterstack": dumps(betterstack()),
    "cachet": dumps(cachet_components()),
}
