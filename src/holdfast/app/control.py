"""The control plane: what lies under `/-/`."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING

import msgspec

from holdfast.core.serving import blame, standing_of
from holdfast.facts.calls import Headers
from holdfast.net.reply import Reply, Request

if TYPE_CHECKING:
    from holdfast.app.gateway import Gateway

JSON: Headers = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)


PAGES = {
    "/-/live": "whether the process answers",
    "/-/ready": "whether calls are accepted",
    "/-/status.json": "the board: segments, routes, whose fault, incidents, pages, alarms",
    "/-/api/incidents": "incidents with their evidence, as `holdfast incidents` shows them",
    "/-/observations": "counts of what was observed lately, for other gateways; nothing private",
}


class Control:
    """Answers for the gateway about itself. Reads, never writes."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._pages: dict[str, Callable[[], object]] = {
            "/-/live": lambda: {"live": True},
            "/-/ready": lambda: {"ready": True},
            "/-/status.json": self.status,
            "/-/api/incidents": self.incidents,
            "/-/observations": lambda: gateway.observatory.scouts.tally.feed(gateway.wall()),
        }

    def __call__(self, request: Request, reply: Reply) -> None:
        """Handle one request under `/-/`."""
        page = self._pages.get(request.path)
        if page is None:
            known = ", ".join(PAGES)
            send(reply, 404, {"error": f"holdfast: there is no {request.path}, only {known}."})
        elif request.method not in ("GET", "HEAD"):
            send(reply, 405, {"error": f"holdfast: {request.path} is only read: use GET."})
        else:
            send(reply, 200, page())

    def status(self) -> dict[str, object]:
        """The board as scripts read it. Times are UTC seconds, durations seconds."""
        gateway = self._gateway
        wall = gateway.wall()
        steady = gateway.desk.clock()
        rows = gateway.board.rows(steady)
        upstream = gateway.dialer.counts
        return {
            "version": version("holdfast"),
            "at": wall,
            "started": gateway.started_wall,
            "url": gateway.url,
            "blame": blame(rows, gateway.observatory.alive(wall)),
            "segments": rows,
            "routes": standing_of(gateway.config.routes, rows),
            "calls_in_the_air": len(gateway.desk.flying),
            "connections": {
                "clients": gateway.listener.connections,
                "upstream_open": upstream.open,
                "upstream_idle": upstream.idle,
                "upstream_dialled": upstream.dialled,
                "upstream_reused": upstream.reused,
            },
            "turned_away": {str(status): n for status, n in gateway.listener.refuses.items()},
            "ledger_backlog": gateway.ledger.backlog,
            "alarms": [
                *gateway.alarms.values(),
                *gateway.ledger.alarms,
                *gateway.observatory.alarms,
                *gateway.desk.runaways.alarms(steady),
            ],
            **gateway.observatory.status(wall),
            "crashes": list(gateway.front.crashes),
            "config": str(gateway.config.source or ""),
            "data_dir": str(gateway.config.gateway.data_dir),
        }

    def incidents(self) -> dict[str, object]:
        """All incidents that are remembered, with their evidence."""
        gateway = self._gateway
        return {"at": gateway.wall(), "incidents": gateway.observatory.timelines()}


def send(reply: Reply, status: int, value: object) -> None:
    """Answer with JSON."""
    reply.send(status, JSON, msgspec.json.encode(value) + b"\n")
