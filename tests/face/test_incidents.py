"""`holdfast incidents`: the list, one timeline with its evidence, from a gateway or from memory."""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console
from tests.doubles.holes import refused
from tests.face.test_line import answer, run
from tests.face.test_status import configured
from tests.net.script_server import ScriptServer, read, send

from holdfast.face import incidents
from holdfast.facts.incidents import Event, Incident
from holdfast.facts.places import Segment

AT = 1_000_000_000.0
MESSAGES = Segment("acme", "messages")


def event(at: float, kind: str, *because: str) -> Event:
    return Event(
        at=AT + at,
        event=kind,  # type: ignore[arg-type]
        incident="i-1",
        whose="provider",
        cause="overloaded",
        segments=(MESSAGES,),
        confidence=0.94,
        because=because,
    )


WHOLE = Incident(
    id="i-1",
    since=AT,
    opened=AT + 180,
    back=AT + 2800,
    resolved=AT + 3000,
    whose="provider",
    cause="overloaded",
    confidence=0.94,
    segments=(MESSAGES,),
    reopened=2,
    page_said=AT + 1200,
    page_claims_since=AT + 60,
    page_late_s=1020.0,
    stood_in=("other/large",),
    timeline=(
        event(30, "suspected", "2 calls failed"),
        event(180, "opened", "6 of 6 calls failed", "\x1b[2Jthis key worked a minute ago"),
        event(3000, "resolved"),
    ),
)
OPEN = Incident(id="i-2", since=AT + 9000, opened=AT + 9100, segments=(Segment("b", "chat"),))
SUSPECTED = Incident(id="i-3", since=AT + 9500)


def shown(found: list[Incident], *, whole: bool) -> str:
    out = io.StringIO()
    incidents.shown(found, Console(file=out, width=80), whole=whole)
    return out.getvalue()


def test_one_line_each_the_newest_last() -> None:
    lines = shown([SUSPECTED, OPEN, WHOLE], whole=False).splitlines()
    assert [line[0] for line in lines] == ["✓", "○", "◐"]
    assert lines[0][19:] == (
        "acme messages · for 47 min · their fault · overloaded · other/large stood in  i-1"
    )
    assert lines[1][19:] == "b chat · still open · whose fault is not clear yet  i-2"
    assert shown([], whole=False) == "No incident yet.\n"


def test_a_timeline_is_in_order_with_its_evidence() -> None:
    lines = [line[12:] for line in shown([WHOLE], whole=True).splitlines()[2:]]
    assert lines == [
        "the first failure that belongs to it",
        "◐ suspected  acme messages · 94 % sure · their fault · overloaded",
        "2 calls failed",
        "the provider's page claims it began now",
        "○ opened  acme messages · 94 % sure · their fault · overloaded",
        "6 of 6 calls failed",
        "this key worked a minute ago",
        "the provider's page admits it, 17 min after we declared it",
        "the first good answer of the recovery",
        "✓ resolved  acme messages · 94 % sure · their fault · overloaded",
    ]
    assert "reopened 2 times" in shown([WHOLE], whole=True)


def test_from_a_gateway(tmp_path: Path) -> None:
    page: dict[str, Any] = {"incidents": msgspec.to_builtins([OPEN, WHOLE]), "at": AT}
    with ScriptServer([read(), send(answer(page))]) as server:
        file = configured(tmp_path, server.port)
        code, out, _ = run(["incidents", "--json", "--config", file])
        assert code == 0
        assert [one["id"] for one in json.loads(out)] == ["i-2", "i-1"]
        code, out, _ = run(["incidents", "-n", "1", "--json", "--config", file])
        assert [one["id"] for one in json.loads(out)] == ["i-2"]
        code, out, _ = run(["incidents", "i-1", "--config", file])
        assert (code, "the first failure" in out) == (0, True)
        code, _, err = run(["incidents", "i-9", "--config", file])
        assert (code, "there is no incident i-9" in err) == (1, True)
        assert run(["incidents", "-n", "0", "--config", file])[0] == 2
        assert server.requests[0].startswith(b"GET /-/api/incidents HTTP/1.1")


def test_a_gateway_that_speaks_otherwise(tmp_path: Path) -> None:
    with ScriptServer([read(), send(answer({"incidents": [{"id": 1}]}))]) as server:
        code, _, err = run(["incidents", "--config", configured(tmp_path, server.port)])
    assert (code, "does not know" in err) == (1, True)


def test_a_gateway_from_before_there_were_incidents(tmp_path: Path) -> None:
    lost = send(b"HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n")
    with ScriptServer([read(), lost], [read(), send(answer({"live": True}))]) as server:
        code, _, err = run(["incidents", "--config", configured(tmp_path, server.port)])
    assert (code, "start it anew" in err) == (1, True)


def test_from_memory_where_no_gateway_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with refused() as url:
        file = configured(tmp_path, int(url.rpartition(":")[2]))
        words = argparse.Namespace(config=Path(file), json=True, id=None, limit=20)
        assert incidents.command(words, lambda _: [WHOLE]) == 0
        assert json.loads(capsys.readouterr().out)[0]["id"] == "i-1"
        assert run(["incidents", "--config", file])[0] == 1
