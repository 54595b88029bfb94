"""The gateway as it is joined: what a configuration that changes does to it."""

from __future__ import annotations

import asyncio
import json
import os
import urllib.request
from dataclasses import replace
from pathlib import Path

from tests.doubles import acts
from tests.doubles.holes import free_port
from tests.doubles.provider import Provider as Double
from tests.net.visiting import eventually

from holdfast.app.control import Control
from holdfast.app.gateway import Gateway
from holdfast.config.read import read
from holdfast.core.runaway import MANY

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
            file.write_text(
                f"""[gateway]
                port = {port}
                data_dir = "{tmp_path / "data"}"
                [providers.one]
                dialect = "anthropic"
                base_url = "{one.url}"
                key = "env:ONE"
                [providers.{name}]
                dialect = "anthropic"
                base_url = "{two.url}"
                key = "env:TWO"
                [[routes]]
                model = "*"
                targets = ["one/{one.models[0]}", "{name}/{two.models[0]}"]"""
            )

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
