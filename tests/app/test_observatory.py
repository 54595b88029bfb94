"""The observatory from the outside: a real gateway, and a town that is in trouble."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sqlite3
import ssl
import time
from pathlib import Path

import pytest
import trustme
from tests.app.town import QUIET, ROOT, Answer, House, Town, hook, statuspage, town, turned
from tests.doubles.between import LOGIN_PAGE, WELL
from tests.doubles.holes import blackhole, free_port
from tests.gateway import Gateway

PAGES = "probes = false\nwatch = false\nreferences = []\nportals = []"
PROBES = "watch = false\npages = false\nreferences = []\nportals = []"
OPERATIONAL = statuspage("none", "All Systems Operational")
MAJOR = statuspage("major", "Major outage on all platforms")


async def until_declared(there: Town, *surfaces: str) -> None:
    await there.minutes(8, *surfaces, until=there.open)
    assert there.open(), there.suspected()


async def until_back(there: Town, *surfaces: str) -> None:
    await there.minutes(5, *surfaces, until=lambda: not there.open())
    assert there.open() == []


# ------------------------------------------------------------------ one outage, whole


def test_an_outage_from_the_first_failure_to_its_end(tmp_path: Path) -> None:
    async def story() -> None:
        cloud, spare = House("cloud", page="page"), House("spare", kind="local")
        async with town(tmp_path, [cloud, spare], observatory=PAGES, more=hook) as there:
            there.page = lambda _: OPERATIONAL
            await there.minutes(2, "messages", "count_tokens")
            read = there.page_reads
            cloud.fails("overloaded", "messages")
            began = there.wall()
            assert (await there.ask()).status == 200
            await there.pass_s(2)
            (one,) = there.suspected()
            assert began <= one.since < began + 1
            await there.pass_s(60)
            assert there.page_reads == read + 1, "the page is read sooner, once"
            assert there.letters == []

            await until_declared(there, "messages", "count_tokens")
            assert there.wall() - began < 300
            there.page = lambda _: MAJOR
            await _the_commands_in_an_outage(there)
            await there.minutes(6, until=lambda: there.open()[0].page_said)
            (one,) = there.open()
            assert one.id == f"cloud-{int(one.since)}"
            assert one.page_late_s is not None
            assert 60 < one.page_late_s < 400
            assert "their page admits it, " in (await there.holdfast("status"))[1]

            cloud.well()
            await until_back(there, "messages", "count_tokens")
            await there.pass_s(30)
            await there.hears("opened", "resolved")
            opened, resolved = there.letters
            assert opened["title"] == "Down: cloud messages m"
            assert "Standing in: spare/m." in opened["text"]
            assert "theirs, not yours" in opened["text"]
            assert "When it may be back: half of such outages end within" in opened["text"]
            assert resolved["title"] == "It's back: cloud messages m"
            assert "It lasted " in resolved["text"]
            assert "spare/m stood in." in resolved["text"]
            told = [line for line in there.said if line.startswith(("trouble", "It's back!"))]
            assert len(told) == 2, there.said
            await _the_commands_when_it_is_over(there, one.id)

    turned(story)


async def _the_commands_in_an_outage(there: Town) -> None:
    board, line, incidents, eta, diagnosis = await asyncio.gather(
        there.holdfast("status"),
        there.holdfast("status", "--line"),
        there.holdfast("incidents"),
        there.holdfast("eta", "--json"),
        there.holdfast("diagnose"),
    )
    assert [one[0] for one in (board, line, incidents, eta, diagnosis)] == [10, 10, 0, 0, 10]
    assert board[1].startswith("It is them, not you.")
    assert "spare/m stands in · back in " in board[1]
    assert "their page still says all is well: “All Systems Operational”" in board[1]
    assert max(map(len, board[1].splitlines())) <= 80, board[1]
    assert line[1].startswith("○ cloud messages m down ")
    assert len(line[1]) <= 81
    assert "cloud messages m · still open" in incidents[1]
    (one,) = json.loads(eta[1])["incidents"]
    quantiles = one["eta"]["quantiles_min"]
    assert 0 < quantiles["10"] < quantiles["50"] < quantiles["90"]
    assert diagnosis[1].startswith("It is them, not you.")
    assert "cloud messages m is down for " in diagnosis[1]


async def _the_commands_when_it_is_over(there: Town, name: str) -> None:
    board, found, eta = await asyncio.gather(
        there.holdfast("status"),
        there.holdfast("incidents", name, "--json"),
        there.holdfast("eta"),
    )
    assert (board[0], found[0], eta[0]) == (0, 0, 0)
    assert "✓ cloud messages m back since" in board[1]
    (one,) = json.loads(found[1])
    assert one["page_late_s"] > 60
    assert one["stood_in"] == ["spare/m"]
    assert [event["event"] for event in one["timeline"]] == ["suspected", "opened", "resolved"]
    assert eta[1].startswith("No incident is open")
    await there.stop()
    code, out, err = await there.holdfast("incidents")
    assert code == 0, err
    assert name in out, "read from the store, where no gateway runs"


# ------------------------------------------------------------------ the honest error


def test_what_a_client_is_told_when_nobody_can_answer(tmp_path: Path) -> None:
    """403 that blames the user becomes our own 529, but not where a route switches that off."""
    routes = "".join(
        f'[[routes]]\nmodel = "{glob}"\ntargets = ["cloud/*"]\nown_errors = {own}\n'
        for glob, own in (("raw*", "false"), ("*", "true"))
    )

    async def story() -> None:
        cloud = House("cloud")
        async with town(tmp_path, [cloud], routes=routes) as there:
            await there.minutes(2)
            cloud.fails("overloaded")
            await there.minutes(1)
            cloud.fails("forbidden")
            await until_declared(there)
            told = await there.ask()
            said = json.loads(told.body)["error"]
            assert told.status == 529
            assert said["type"] == "overloaded_error"
            for part in (
                "theirs, not yours",
                "no longer a member of the organization",
                "403",
                "do not act on it",
                "Since ",
                "When it may be back: half of such outages end within",
            ):
                assert part in said["message"], said["message"]
            assert told.header(b"x-holdfast-verdict").startswith(b"provider;")
            await there.pass_s(60)
            raw = await there.ask(model="raw-m")
            assert raw.status == 403
            assert json.loads(raw.body)["error"]["type"] == "permission_error"
            assert raw.header(b"x-holdfast-verdict").startswith(b"provider;")

    turned(story)


# ------------------------------------------------------------------ restarts


def test_a_restart_in_the_middle_of_an_incident(tmp_path: Path) -> None:
    """It keeps its name, is told once, and ends once."""

    async def story() -> None:
        cloud = House("cloud")
        async with town(tmp_path, [cloud, House("spare")], more=hook) as there:
            await there.minutes(2)
            cloud.fails("overloaded")
            await until_declared(there)
            await there.pass_s(30)
            (before,) = there.open()
            await there.hears("opened")
            await there.stop()
            await there.pass_s(40)
            await there.start()
            (after,) = there.open()
            assert (after.id, after.since, after.opened) == (
                before.id,
                before.since,
                before.opened,
            )
            await there.minutes(2)
            assert (await there.status())["incidents"][0]["id"] == before.id
            await there.hears("opened")
            cloud.well()
            await until_back(there)
            await there.pass_s(30)
            await there.hears("opened", "resolved")
            assert [one.id for one in there.gateway.observatory.known] == [before.id]

    turned(story)


def test_kill_9_in_the_middle_of_an_incident(tmp_path: Path) -> None:
    """Lived through on a turned clock that ends about now; killed and recalled as processes."""

    async def story() -> None:
        cloud = House("cloud")
        houses = [cloud, House("spare")]
        async with town(tmp_path, houses, more=hook, wall_0=time.time() - 420) as there:
            await there.minutes(2)
            cloud.fails("overloaded")
            await until_declared(there)
            await there.pass_s(30)
            (before,) = there.open()
            await there.stop()
            environ = {**there.environ, "PATH": os.environ["PATH"], "HOME": str(tmp_path)}
            environ["PYTHONPATH"] = str(ROOT / "src")
            real = Gateway(tmp_path, there.file.read_text(), there.port, environ)
            with there.loop.unturned():
                for end in (real.kill9, real.stop):
                    await asyncio.to_thread(real.start)
                    assert (await there.ask()).header(b"x-holdfast-served-by") == b"spare/m"
                    (one,) = (await there.status())["incidents"]
                    assert (one["id"], one["resolved"]) == (before.id, None)
                    assert one["since"] == before.since
                    await asyncio.to_thread(end)
            await there.hears("opened")

    turned(story)


def test_a_damaged_journal_is_said_and_the_rest_of_it_used(tmp_path: Path) -> None:
    async def story() -> None:
        cloud = House("cloud")
        async with town(tmp_path, [cloud, House("spare")]) as there:
            await there.minutes(2)
            cloud.fails("overloaded")
            await until_declared(there)
            (before,) = there.open()
            await there.stop()
            ledger = there.folder / "data" / "ledger.sqlite3"
            with sqlite3.connect(ledger) as db:
                (number,) = db.execute("SELECT min(id) FROM observations").fetchone()
                torn = "UPDATE observations SET data = substr(data, 1, 9) WHERE id = ?"
                assert db.execute(torn, (number,)).rowcount == 1
            await there.start()
            (alarm,) = [a for a in (await there.status())["alarms"] if "journal" in a]
            assert alarm.startswith("1 rows of the journal in ")
            assert [one.id for one in there.open()] == [before.id]
            await there.stop()

            ledger.write_bytes(b"This is no database, but there was one here once. " * 50)
            await there.start()
            assert any("ledger" in alarm for alarm in (await there.status())["alarms"])
            assert (await there.ask()).status == 200
            assert "alarm: " in (await there.holdfast("status"))[1]
            await there.pass_s(5)

    turned(story)


# ------------------------------------------------------------------ probes


def test_probes_are_cheap_few_shown_and_never_for_another_s_key(tmp_path: Path) -> None:
    async def story() -> None:
        cloud, mine = House("cloud"), House("mine", key="client")
        plan = House("plan", more="allow_subscription = true")
        environ = {"PLAN_KEY": "sk-ant-oat01-" + "x" * 80}
        houses = [cloud, mine, plan]
        async with town(tmp_path, houses, observatory=PROBES, environ=environ) as there:
            began = there.wall()
            await there.minutes(0.5)
            assert there.probes("cloud") == []
            await there.minutes(1.5)
            await there.pass_s(300)
            first, *more = there.probes("cloud")
            assert first.wall - began >= 30
            assert first.path in ("/v1/messages/count_tokens", "/v1/models")
            assert more
            costly = [p for p in (first, *more) if p.path == "/v1/messages"]
            assert len(costly) <= 1
            assert there.probes("mine") == there.probes("plan") == []
            shown = (await there.status())["probes"]
            assert set(shown) == {"cloud"}
            counted = shown["cloud"]["free_today"] + shown["cloud"]["paid_today"]
            assert 1 + len(more) <= counted <= 1 + len(there.probes("cloud"))
            assert "probes today: cloud " in (await there.holdfast("status"))[1]

            # Nobody calls any more: what fails, and what is well again, probes alone find out.
            cloud.fails("error")
            began = there.wall()
            await there.pass_s(400, until=there.suspected)
            assert there.suspected()
            await there.pass_s(600, until=there.open)
            assert there.open()
            assert there.wall() - began < 600
            cloud.well()
            await there.pass_s(900, until=lambda: not there.open())
            assert there.open() == []

    turned(story)


# ------------------------------------------------------------------ peers


def test_two_gateways_confirm_each_other(tmp_path: Path) -> None:
    ports = free_port(), free_port()

    def listening(port: int) -> str:
        return f'{QUIET}\npeers = ["http://127.0.0.1:{port}"]'

    async def story() -> None:
        here, there = House("cloud"), House("acme")
        async with (
            town(tmp_path / "a", [here], observatory=listening(ports[1]), port=ports[0]) as a,
            town(tmp_path / "b", [there], observatory=listening(ports[0]), port=ports[1]) as b,
        ):
            for _ in range(8):
                await a.ask()
                await b.ask()
                await a.pass_s(14)
            here.fails("overloaded")
            there.fails("overloaded")
            began = a.wall()
            while not a.open() and a.wall() - began < 600:
                await a.ask()
                await b.ask()
                await a.pass_s(14)
            (one,) = a.open()
            assert "1 other gateway in trouble there, too" in one.because
            assert a.wall() - began < 150, "faster than alone"
            feed = (await b.get("/-/observations"))["rows"]
            assert {row["provider"] for row in feed} == {"127.0.0.1"}
            assert "sk-" not in json.dumps(feed)

    turned(story)


def test_a_peer_that_lies_declares_nothing_alone(tmp_path: Path) -> None:
    async def story() -> None:
        cloud = House("cloud")
        port = free_port()
        lying = f'{QUIET}\npeers = ["http://127.0.0.1:{port}"]'
        async with town(tmp_path, [cloud], observatory=lying) as there:
            heard = []

            def feed(_path: str) -> Answer:
                heard.append(there.wall())
                minutes = [int(there.wall() // 60 * 60) - 60 * n for n in range(3)]
                rows = [
                    {"provider": "127.0.0.1", "surface": surface, "minute": minute,
                     "failed": 1000, "causes": {"provider_outage": 1000}}
                    for minute in minutes for surface in ("messages", "count_tokens")
                ]  # fmt: skip
                told = {"version": 1, "nonce": "liar", "at": there.wall(), "rows": rows}
                return 200, {"content-type": "application/json"}, json.dumps(told).encode()

            there.page = feed
            await there.listen_at(port)
            await there.minutes(3)
            cloud.fails("overloaded")
            await there.ask()
            cloud.well()
            await there.minutes(5)
            assert len(heard) > 5
            known = there.gateway.observatory.known
            assert known == [], "one failure of our own, whatever the peer says"
            there.page = lambda _: (200, {}, b"[" * 300_000)
            await there.minutes(2)
            (alarm,) = (await there.status())["alarms"]
            assert "The peer http://127.0.0.1" in alarm

    turned(story)


# ------------------------------------------------------------------ pages that are none


def test_a_broken_page_is_said_and_harms_nothing(tmp_path: Path) -> None:
    whole = json.dumps(
        {"page": {"name": "x"}, "status": {"indicator": "none", "description": "d"}}
    ).encode()
    huge = whole[:-1] + b" " * 50_000_000 + b"}"

    pages: dict[str, Answer] = {
        "huge": (200, {"content-type": "application/json"}, huge),
        "loop": (302, {"location": "/loop/again"}, b""),
        "shut": (403, {"cf-mitigated": "challenge"}, b"<html>Just a moment"),
        "marked": statuspage("major", "\x1b[31m<script>alert(1)</script>\u202e down"),
    }

    async def story() -> None:
        houses = [House(name, page=name) for name in pages]
        async with town(tmp_path, houses, observatory=PAGES) as there:
            there.page = lambda path: pages[path.split("/")[1]]
            await there.pass_s(40, until=lambda: len(there.gateway.observatory.scouts.pages) == 4)
            read = (await there.status())["pages"]
            assert {name: page["state"] for name, page in read.items()} == {
                "huge": "unreadable",
                "loop": "unreadable",
                "shut": "unreadable",
                "marked": "incident",
            }
            assert "too large" in read["huge"]["why"]
            assert "redirect" in read["loop"]["why"]
            assert "blocked" in read["shut"]["why"]
            assert read["marked"]["described"].isprintable()
            houses[0].fails("overloaded")
            await until_declared(there)
            out = (await there.holdfast("status"))[1]
            assert "their page cannot be read: too large" in out
            assert out.replace("\n", "").isprintable()
            assert there.gateway.observatory.alarms == []

    turned(story)


# ------------------------------------------------------------------ the way there


def test_one_provider_behind_a_hole_and_then_the_whole_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others are reached: it is that one. A portal answers for all: it is this side."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.2").configure_cert(tls)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (await reader.readuntil(b"\r\n\r\n")).startswith(b"HEAD"):
            writer.write(WELL)
        writer.close()

    async def story() -> None:
        reference = await asyncio.start_server(answer, "127.0.0.2", 0, ssl=tls)
        at = reference.sockets[0].getsockname()[1]
        port = free_port()
        looking = (
            f"probes = false\nwatch = false\npages = false\n"
            f'references = ["https://127.0.0.2:{at}"]\n'
            f'portals = [{{ url = "http://127.0.0.1:{port}/", says = "success" }}]'
        )
        with blackhole() as hole:
            spare = House("spare")
            houses = [House("cloud", url=hole), spare]
            async with town(tmp_path / "town", houses, observatory=looking) as there:
                there.page = lambda _: (200, {}, b"success")
                await there.listen_at(port)
                assert (await there.ask()).header(b"x-holdfast-served-by") == b"spare/m"
                await there.pass_s(15)
                network = (await there.status())["network"]
                assert network["finding"] == "host", network
                await until_declared(there)
                (one,) = there.open()
                assert one.whose == "provider"
                assert (await there.holdfast("status", "--line"))[0] == 10

                there.page = lambda _: (200, {}, LOGIN_PAGE.partition(b"\r\n\r\n")[2])
                reference.close()
                await there.shut(spare.url)
                await there.minutes(10, until=lambda: len(there.open()) > 1)
                shown = {one.segments[0].provider: one.whose for one in there.open()}
                assert shown[""] in ("network", "intermediary"), shown
                status = await there.status()
                assert status["network"]["finding"] == "portal", status["network"]
                out = (await there.holdfast("status"))[1]
                assert "captive portal" in out
                assert "the network here" in out

    turned(story)


# ------------------------------------------------------------------ a full disk


def test_a_full_disk_is_an_alarm_and_no_call_s_trouble(tmp_path: Path) -> None:
    async def story() -> None:
        cloud = House("cloud")
        async with town(tmp_path, [cloud, House("spare")]) as there:
            await there.stop()
            environ = {**there.environ, "PATH": os.environ["PATH"], "HOME": str(tmp_path)}
            environ["PYTHONPATH"] = str(ROOT / "src")
            real = Gateway(tmp_path, there.file.read_text(), there.port, environ)
            with there.loop.unturned():
                await asyncio.to_thread(real.start)
                usual = resource.prlimit(real.pid, resource.RLIMIT_FSIZE)
                resource.prlimit(real.pid, resource.RLIMIT_FSIZE, (1, usual[1]))
                cloud.fails("overloaded")

                async def alarmed() -> list[str]:
                    assert (await there.ask()).status == 200
                    found: list[str] = (await there.status())["alarms"]
                    return found

                until = time.monotonic() + 10
                while not (alarms := await alarmed()) and time.monotonic() < until:
                    await there.nap()
                assert any("full" in alarm or "too large" in alarm for alarm in alarms), alarms
                rows = (await there.status())["segments"]
                assert any(row["whose"] == "provider" for row in rows)
                resource.prlimit(real.pid, resource.RLIMIT_FSIZE, usual)
                while await alarmed() and time.monotonic() < until:
                    await there.nap()
                assert await alarmed() == []
                await asyncio.to_thread(real.stop)

    turned(story)
