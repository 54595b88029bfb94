"""The gateway as it is joined: what a configuration that changes does to it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from tests.doubles.holes import free_port

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
