"""The observatory from the outside: a real gateway, and a town that is in trouble."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from tests.app.town import QUIET, Answer, House, Town, hook, statuspage, town, turned
from tests.doubles.holes import free_port

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
        cloud, spare = House("cloud", page="town"), House("spare", kind="local")
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
            assert [letter["kind"] for letter in there.letters] == ["opened", "resolved"]
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
    code, out, _ = await there.holdfast("status")
    assert code == 10
    assert out.startswith("It is them, not you.")
    assert "spare/m stands in · back in " in out
    assert "their page still says all is well: “All Systems Operational”" in out
    assert max(map(len, out.splitlines())) <= 80, out
    code, out, _ = await there.holdfast("status", "--line")
    assert code == 10
    assert out.startswith("○ cloud messages m down ")
    assert out.endswith("\n")
    assert len(out) <= 81
    code, out, _ = await there.holdfast("incidents")
    assert code == 0
    assert "cloud messages m · still open" in out
    code, out, _ = await there.holdfast("eta", "--json")
    (one,) = json.loads(out)["incidents"]
    quantiles = one["eta"]["quantiles_min"]
    assert code == 0
    assert 0 < quantiles["10"] < quantiles["50"] < quantiles["90"]
    code, out, _ = await there.holdfast("diagnose")
    assert code == 10
    assert out.startswith("It is them, not you.")


async def _the_commands_when_it_is_over(there: Town, name: str) -> None:
    code, out, _ = await there.holdfast("status")
    assert code == 0
    assert "✓ cloud messages m back since" in out
    code, out, _ = await there.holdfast("incidents", name, "--json")
    (one,) = json.loads(out)
    assert code == 0
    assert one["page_late_s"] > 60
    assert one["stood_in"] == ["spare/m"]
    assert [event["event"] for event in one["timeline"]] == ["suspected", "opened", "resolved"]
    assert (await there.holdfast("eta"))[1].startswith("No incident is open")
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
                "the provider's fault, not yours",
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
            assert [letter["kind"] for letter in there.letters] == ["opened"]
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
            assert [letter["kind"] for letter in there.letters] == ["opened"]
            cloud.well()
            await until_back(there)
            await there.pass_s(30)
            assert [letter["kind"] for letter in there.letters] == ["opened", "resolved"]
            assert [one.id for one in there.gateway.observatory.known] == [before.id]

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
            code, out, _ = await there.holdfast("status")
            assert "alarm: " in out
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
            assert shown["cloud"]["free_today"] + shown["cloud"]["paid_today"] == 1 + len(more)
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

    async def story() -> None:
        cloud = House("cloud", page="town")
        async with town(tmp_path, [cloud], observatory=PAGES + "\npages_every_s = 300") as there:

            async def read(page: Answer) -> dict[str, object]:
                there.page = lambda _: page
                before = there.page_reads
                await there.pass_s(4000, until=lambda: there.page_reads > before)
                await there.pass_s(30)
                found: dict[str, object] = (await there.status())["pages"]["cloud"]
                return found

            found = await read((200, {"content-type": "application/json"}, huge))
            assert found["state"] == "unreadable"
            assert "too large" in str(found["why"])
            found = await read((302, {"location": f"{there.web}/page/again"}, b""))
            assert found["state"] == "unreadable"
            assert "redirect" in str(found["why"])
            found = await read((403, {"cf-mitigated": "challenge"}, b"<html>Just a moment"))
            assert "blocked" in str(found["why"])
            marked = statuspage("major", "\x1b[31m<script>alert(1)</script>\u202e down")
            found = await read(marked)
            assert found["state"] == "incident"
            assert "\x1b" not in str(found["described"])
            cloud.fails("overloaded")
            await until_declared(there)
            out = (await there.holdfast("status"))[1]
            assert "\x1b" not in out
            assert "\u202e" not in out
            assert there.gateway.observatory.alarms == []

    turned(story)
