"""From an event to a person: a real webhook, a real file, a clock that is turned."""

from __future__ import annotations

import asyncio
import json
import stat
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from tests.core.test_telling import CHAT, MESSAGES, event
from tests.net.script_server import ScriptServer, read, send

from holdfast.app.herald import FILE, Herald
from holdfast.config.keys import Secret
from holdfast.config.notify import CommandTarget, Notify, Webhook
from holdfast.core.telling import Quiet
from holdfast.facts.incidents import Incident
from holdfast.net.dial import Dialer

NOON = 12 * 3600.0
SECRET = "hook-secret-161803398"
OK = send(b"HTTP/1.1 204 No Content\r\n\r\n")
BAD = send(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n")


class House:
    """A folder, a clock and a herald that may be started anew."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wall = NOON
        self.dialer = Dialer()
        self.incidents: dict[str, Incident] = {}

    def herald(self, config: Notify, environ: dict[str, str] | None = None) -> Herald:
        one = Herald(
            self.folder,
            self.dialer,
            wall=lambda: self.wall,
            local=time.gmtime,
            eta=lambda _: "Back in 30 min to 3 h.",
        )
        self.notices = one.take_over(config, environ or {})
        return one

    async def pass_time(self, herald: Herald, seconds: float) -> None:
        """Turn the clock; between two beats everything under way comes to its end."""
        self.wall += seconds
        for _ in range(4):
            herald.beat(self.incidents)
            if herald._saving is not None:
                await herald._saving
            await herald.courier.idle()


def run(work: Callable[[House], Coroutine[Any, Any, None]], folder: Path) -> None:
    async def inside() -> None:
        house = House(folder)
        await work(house)
        house.dialer.close()

    asyncio.run(inside())


def hooks(*urls: str, quiet: Quiet | None = None) -> Notify:
    found = tuple(
        Webhook(
            url=Secret(f"{url}/{SECRET}"),
            host=url.partition("//")[2],
            header="authorization",
            secret=Secret(SECRET),
        )
        for url in urls
    )
    return Notify(quiet=quiet, desktop=False, webhooks=found)


def bodies(server: ScriptServer) -> list[Any]:
    return [json.loads(request.partition(b"\r\n\r\n")[2]) for request in server.requests]


def test_from_opening_to_its_end_over_a_restart(tmp_path: Path) -> None:
    with ScriptServer([read(), OK]) as server:

        async def work(house: House) -> None:
            first = house.herald(hooks(server.url))
            opened = event(NOON)
            house.incidents["i1"] = Incident(id="i1", since=NOON - 60, stood_in=("other/large",))
            first.hear(opened)
            await house.pass_time(first, 5)
            assert server.requests == []
            await first.close()

            again = house.herald(hooks(server.url))
            again.hear(opened, recalled=True)
            await house.pass_time(again, 30)
            await house.pass_time(again, 30)
            again.hear(event(NOON + 65, "resolved"))
            house.incidents["i1"] = Incident(
                id="i1", since=NOON - 60, back=NOON + 60, stood_in=("other/large",)
            )
            await house.pass_time(again, 30)
            await again.close()
            assert again.alarms == []

        run(work, tmp_path)
        opened, ended = bodies(server)
    assert opened["title"] == "Down: acme messages"
    assert "Standing in: other/large.\nBack in 30 min to 3 h." in opened["text"]
    assert (ended["title"], ended["text"]) == (
        "It's back: acme messages",
        "It lasted 2 min. other/large stood in.",
    )
    assert opened["id"] != ended["id"]
    assert SECRET not in (tmp_path / FILE).read_text()
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_what_is_due_is_written_down_before_it_is_sent(tmp_path: Path) -> None:
    with ScriptServer([read(), OK]) as server:

        async def work(house: House) -> None:
            herald = house.herald(hooks(server.url))
            herald.hear(event(NOON))
            house.wall += 30
            herald.beat({})
            assert herald.courier.outbox.due(house.wall) != []  # not under way before the save
            assert herald._saving is not None
            await herald._saving
            kept = json.loads((tmp_path / FILE).read_text())
            assert len(kept["outbox"]) == 1

        run(work, tmp_path)
        assert server.requests == []


def test_quiet_hours_are_those_of_the_local_clock(tmp_path: Path) -> None:
    with ScriptServer([read(), OK]) as server:

        async def work(house: House) -> None:
            herald = house.herald(hooks(server.url, quiet=Quiet(720, 780)))
            herald.hear(event(NOON))
            await house.pass_time(herald, 3599)
            assert server.requests == []
            await house.pass_time(herald, 1)
            await herald.close()

        run(work, tmp_path)
        (body,) = bodies(server)
    assert "Held back since 12:00" in body["text"]


def test_one_that_fails_becomes_an_alarm_and_no_other_suffers(tmp_path: Path) -> None:
    with ScriptServer([read(), BAD]) as bad, ScriptServer([read(), OK]) as good:

        async def work(house: House) -> None:
            herald = house.herald(hooks(bad.url, good.url, good.url))
            herald.hear(event(NOON))
            for wait in (30, 30, 120, 480, 1920):
                await house.pass_time(herald, wait)
            assert len(herald.alarms) == 1
            assert f"webhook 127.0.0.1:{bad.port} could not be told" in herald.alarms[0]
            assert SECRET not in herald.alarms[0]
            # Whoever leaves the configuration is complained of no more.
            herald.take_over(hooks(good.url), {})
            assert herald.alarms == []
            await herald.close()

        run(work, tmp_path)
        assert len(bad.requests) == 5
        assert len(good.requests) == 2


def test_a_damaged_file_is_said_and_the_past_is_not_told(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"told": {')

    async def work(house: House) -> None:
        herald = house.herald(Notify(desktop=False))
        assert "cannot be read" in herald.alarms[0]
        herald.hear(event(NOON - 100), recalled=True)
        await house.pass_time(herald, 60)
        assert herald.telling.saved.threads["i1"].heard == "open"
        assert herald.alarms == []  # it has been written anew
        await herald.close()

    run(work, tmp_path)


def test_a_folder_that_cannot_be_written_to_does_not_keep_it_silent(tmp_path: Path) -> None:
    (tmp_path / f"{Path(FILE).stem}.new").mkdir()
    with ScriptServer([read(), OK]) as server:

        async def work(house: House) -> None:
            herald = house.herald(hooks(server.url))
            herald.hear(event(NOON))
            await house.pass_time(herald, 30)
            assert "cannot be written" in herald.alarms[0]
            await herald.close()

        run(work, tmp_path)
        assert len(server.requests) == 1


def test_a_desktop_that_is_wished_for_and_absent_is_a_word(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        nothing = {"PATH": str(tmp_path)}
        house.herald(Notify(desktop=True), nothing)
        assert len(house.notices) == 1
        assert "no desktop notifications" in house.notices[0]
        house.herald(Notify(), nothing)
        assert house.notices == []

    run(work, tmp_path)


@pytest.mark.parametrize("level", ["opened", "resolved"])
def test_levels_of_their_own(tmp_path: Path, level: str) -> None:
    program = tmp_path / "tell"
    program.write_text(f"#!/bin/sh\ncat >> {tmp_path}/heard\n")
    program.chmod(0o700)

    async def work(house: House) -> None:
        target = CommandTarget(words=(str(program),), level=level)  # type: ignore[arg-type]
        herald = house.herald(Notify(desktop=False, commands=(target,)), {"PATH": "/usr/bin:/bin"})
        for at, kind in ((0, "opened"), (60, "widened"), (120, "resolved")):
            both = [MESSAGES, CHAT] if kind == "widened" else [MESSAGES]
            herald.hear(event(NOON + at, kind, segments=both))  # type: ignore[arg-type]
            await house.pass_time(herald, 60)
        await herald.close()

    run(work, tmp_path)
    heard = (tmp_path / "heard").read_text()
    assert ('"kind":"opened"' in heard) == (level == "opened")
    assert '"kind":"widened"' not in heard
    assert heard.count('"kind":"resolved"') == 2  # the message's, and its one change's
