"""The gateway as it is joined: what a configuration that changes does to it."""

from __future__ import annotations

import asyncio
import json
import os
import urllib.request
from contextlib import suppress
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from urllib.error import HTTPError, URLError

import pytest
from tests.doubles import acts
from tests.doubles.holes import free_port
from tests.doubles.provider import Provider as Double
from tests.net.visiting import eventually

from holdfast.app.control import Control
from holdfast.app.gateway import Gateway
from holdfast.config.read import read
from holdfast.core.runaway import MANY
from holdfast.net.listen import Listener
from holdfast.store.ledger import Ledger

FILE = """
[gateway]
port = {port}
data_dir = "{data}"
[providers.cloud]
dialect = "openai"
base_url = "http://127.0.0.1:9"
key = "{key}"
[[routes]]
model = "{model}"
targets = ["cloud/*"]
"""


def of_two(port: int, folder: Path, tables: dict[str, tuple[Double, str, str]]) -> str:
    """A first choice and its stand-in: each a name with its double, its address and its key."""
    lines = ["[gateway]", f"port = {port}", f'data_dir = "{folder / "data"}"']
    for name, (_, url, key) in tables.items():
        lines += [f"[providers.{name}]", 'dialect = "anthropic"']
        lines += [f'base_url = "{url}"', f'key = "{key}"']
    targets = [f"{name}/{double.models[0]}" for name, (double, _, _) in tables.items()]
    lines += ["[[routes]]", 'model = "*"', f"targets = {json.dumps(targets)}"]
    return "\n".join(lines)


def ask(url: str) -> int:
    """The status of one plain call."""
    body = {"model": "x", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
    headers = {"content-type": "application/json", "anthropic-version": "2023-06-01"}
    request = urllib.request.Request(f"{url}/v1/messages", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as reply:
        return int(reply.status)


def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    """A key's command may take its time; the last content of the file is what counts."""
    file, pipe, port = tmp_path / "config.toml", tmp_path / "key", free_port()

    def write(model: str, key: str = "none") -> None:
        file.write_text(FILE.format(port=port, data=tmp_path / "data", key=key, model=model))

    async def story() -> tuple[str, ...]:
        gateway = await Gateway.start(read(file, {}), {})
        try:
            write("second", f"command:cat {pipe}")
            gateway.reload()
            with await asyncio.to_thread(pipe.open, "w") as key:  # now the command waits for us
                write("third")
                gateway.reload()
                key.write("secret")
            async with asyncio.timeout(10):
                while gateway._reloading is not None and not gateway._reloading.done():
                    await asyncio.wait([gateway._reloading])
            return tuple(route.model for route in gateway.config.routes)
        finally:
            await gateway.stop(0)

    os.mkfifo(pipe)
    write("first")
    assert asyncio.run(story()) == ("third",)


def test_a_call_that_is_under_way_ends_by_the_configuration_it_began_with(tmp_path: Path) -> None:
    """Its stand-in got another name meanwhile; it is asked all the same."""
    file, port = tmp_path / "config.toml", free_port()
    with Double("one", "anthropic") as one, Double("two", "anthropic") as two:

        def write(name: str) -> None:
            tables = {"one": (one, one.url, "env:ONE"), name: (two, two.url, "env:TWO")}
            file.write_text(of_two(port, tmp_path, tables))

        async def story() -> int:
            environ = {"ONE": one.key, "TWO": two.key}
            gateway = await Gateway.start(read(file, environ), environ)
            try:
                asked = asyncio.create_task(asyncio.to_thread(ask, gateway.url))
                await asyncio.to_thread(eventually, lambda: one.calls)
                write("zwei")
                gateway.reload()
                assert gateway._reloading is not None
                await gateway._reloading
                assert gateway.desk.flying
                return await asked
            finally:
                await gateway.stop(0)

        one.always(replace(acts.status(529), headers_s=0.7))
        write("two")
        assert asyncio.run(story()) == 200


async def reloaded(gateway: Gateway) -> None:
    gateway.reload()
    assert gateway._reloading is not None
    await gateway._reloading


@pytest.mark.parametrize("change", ["nothing", "key", "address"])
def test_who_is_written_anew_into_the_configuration_is_asked_anew(
    tmp_path: Path, change: str
) -> None:
    """Another key or address under an old name: what the old one asked for is no longer of use."""
    file, secret, port = tmp_path / "config.toml", tmp_path / "key", free_port()
    with Double("one", "anthropic") as one, Double("two", "anthropic") as two:

        def write(name: str = "127.0.0.1") -> None:
            url = one.url.replace("127.0.0.1", name)
            tables = {"one": (one, url, f"file:{secret}"), "two": (two, two.url, "env:TWO")}
            file.write_text(of_two(port, tmp_path, tables))

        async def story() -> int:
            environ = {"TWO": two.key}
            gateway = await Gateway.start(read(file, environ), environ)
            try:
                assert await asyncio.to_thread(ask, gateway.url) == 200
                assert len(one.calls) == len(two.calls) == 1
                if change == "key":
                    secret.write_text(one.key)
                write("localhost" if change == "address" else "127.0.0.1")
                await reloaded(gateway)
                assert await asyncio.to_thread(ask, gateway.url) == 200
                return len(one.calls)
            finally:
                await gateway.stop(0)

        secret.write_text(one.key if change != "key" else "an-old-one")
        secret.chmod(0o600)
        if change != "key":
            one.play(acts.status(429, retry_after="3600"))
        write()
        assert asyncio.run(story()) == (1 if change == "nothing" else 2)


def test_an_engine_that_is_added_by_a_reload_is_known_as_one(tmp_path: Path) -> None:
    """Its failures say nothing of the way to the clouds."""
    file = tmp_path / "config.toml"
    text = FILE.format(port=free_port(), data=tmp_path / "data", key="none", model="*")
    engine = '[providers.llama]\ndialect="openai"\nbase_url="http://127.0.0.1:9"\nkind="local"\n'

    async def story() -> list[frozenset[str]]:
        gateway = await Gateway.start(read(file, {}), {})
        try:
            found = [gateway.board.incidents.local]
            file.write_text(text + engine)
            await reloaded(gateway)
            return [*found, gateway.board.incidents.local]
        finally:
            await gateway.stop(0)

    file.write_text(text.replace('key = "none"', 'key = "none"\nkind = "cloud"'))
    assert asyncio.run(story()) == [frozenset(), frozenset({"cloud", "llama"})]


@pytest.mark.parametrize("where", ["stage.open", "observatory.herald.take_over"])
def test_a_configuration_that_cannot_be_taken_over_is_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """All of it or nothing: meanwhile calls go by the former one."""
    file = tmp_path / "config.toml"
    text = FILE.format(port=free_port(), data=tmp_path / "data", key="none", model="*")
    file.write_text(text)

    async def story() -> list[list[str]]:
        told: list[str] = []
        gateway = await Gateway.start(read(file, {}), {}, say=told.append)
        try:
            file.write_text(text + "[providers.sim]\n")
            with monkeypatch.context() as patch:
                room, _, name = where.rpartition(".")
                place = attrgetter(room)(gateway)
                patch.setattr(place, name, no_files if name == "open" else no_files_now)
                await reloaded(gateway)
            assert list(gateway.desk.places) == list(gateway.config.providers) == ["cloud"]
            alarms = [list(gateway.alarms.values())]
            await reloaded(gateway)
            return [told, *alarms, list(gateway.alarms.values()), list(gateway.desk.places)]
        finally:
            await gateway.stop(0)

    told, before, after, places = asyncio.run(story())
    assert "could not be taken over (OSError: [Errno 24] Too many open files)" in before[0]
    assert before[0] in told
    assert (after, places) == ([], ["cloud", "sim"])


def no_files_now(*_: object) -> str:
    raise OSError(24, "Too many open files")


async def no_files(_: str) -> str:
    return no_files_now()


def test_who_is_answered_at_all_is_answered_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also who asks while the second of the two addresses of this machine is being bound."""
    file, port, told = tmp_path / "config.toml", free_port(), []
    file.write_text(FILE.format(port=port, data=tmp_path / "data", key="none", model="*"))
    bind = Listener._bind

    def look() -> None:
        with suppress(URLError, TimeoutError):  # nobody answers yet; but an error of ours is told
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/status.json") as reply:
                    told.append(reply.status)
            except HTTPError as error:
                told.append(error.code)

    async def slowly(self: Listener, host: str, port: int) -> list[tuple[str, int]]:
        if self._servers:
            await asyncio.to_thread(look)
        return await bind(self, host, port)

    async def story() -> None:
        monkeypatch.setattr(Listener, "_bind", slowly)
        gateway = await Gateway.start(read(file, {}), {})
        await asyncio.to_thread(look)
        await gateway.stop(0)

    asyncio.run(story())
    assert told == [200]


def test_what_goes_wrong_at_the_end_does_not_keep_the_ledger_from_being_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(FILE.format(port=free_port(), data=tmp_path / "data", key="none", model="*"))

    async def story() -> None:
        gateway = await Gateway.start(read(file, {}), {})
        monkeypatch.setattr(gateway.observatory, "close", lambda: no_files(""))
        with pytest.raises(OSError, match="Too many"):
            await gateway.stop(0)

    asyncio.run(story())
    Ledger.open(tmp_path / "data").close()  # nobody has it any more


def test_who_asks_on_and_on_is_an_alarm(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    data = tmp_path / "data"
    file.write_text(FILE.format(port=free_port(), data=data, key="none", model="*"))

    async def story() -> tuple[object, list[str]]:
        told: list[str] = []
        gateway = await Gateway.start(read(file, {}), {}, say=told.append)
        try:
            for _ in range(MANY):
                gateway.desk.runaways.ended("m", gateway.desk.clock(), whole=False, name="stubborn")
            gateway._beat()
            return Control(gateway).status()["alarms"], told
        finally:
            await gateway.stop(0)

    alarms, told = asyncio.run(story())
    assert isinstance(alarms, list)
    assert [alarm.partition(" asks on and on")[0] for alarm in alarms] == ["stubborn"]
    assert f"alarm: {alarms[0]}" in told
