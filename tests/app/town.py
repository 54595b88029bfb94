"""A town around a real gateway: providers that fail on demand, a status page, somebody who is
told, a client. All on real loopback sockets, on one loop whose clock is turned, so that an hour
of trouble takes a second or two. While a process runs the clock is not turned.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct
from tests.doubles.holes import free_port
from tests.stories.sockets import TurnedLoop

from holdfast.app.gateway import Gateway
from holdfast.app.stage import Performance
from holdfast.config.read import parse
from holdfast.facts.calls import Headers
from holdfast.facts.incidents import Incident
from holdfast.net.dial import Dialer
from holdfast.net.doorman import Doorman
from holdfast.net.fetch import Fetched, fetch
from holdfast.net.listen import Listener
from holdfast.net.reply import Reply, Request
from holdfast.sim.client import Asking
from holdfast.sim.player import Player
from holdfast.sim.provider import SimProvider
from holdfast.sim.timeline import Span, Timeline

ROOT = Path(__file__).parents[2]
MODEL = "m"
PATIENCE_S = 40.0  # of the wall: a story that hangs fails
PROCESS_S = 20.0
EVER = 1e12
# Hours pass here, and nobody is asked more often than every few seconds.
LOOPBACK_PER_S = 0.0004
Answer = tuple[int, dict[str, str], bytes]


def turned(story: Callable[[], Awaitable[None]]) -> None:
    """Let a story happen on a turned clock."""

    async def main() -> None:
        began = time.monotonic()
        task = asyncio.ensure_future(story())
        while not task.done():
            await asyncio.wait([task], timeout=60)
            if time.monotonic() - began > PATIENCE_S and not task.done():
                task.cancel()
                await asyncio.wait([task])
                raise AssertionError(f"the story did not end within {PATIENCE_S} s")
        task.result()

    with asyncio.Runner(loop_factory=lambda: TurnedLoop(LOOPBACK_PER_S)) as runner:
        runner.run(main())


class Asked(Struct, frozen=True):
    """A request as a provider saw it; `wall` in UTC seconds."""

    wall: float
    method: str
    path: str
    headers: Headers
    body: bytes

    @property
    def probe(self) -> bool:
        """Whether the gateway asked of its own accord."""
        return dict(self.headers).get(b"user-agent") == b"holdfast-probe"


class House:
    """One provider. `fails` and `well` change what it does from now on. `page`: the path of its
    status page on the town's own server; `url`: where it is, if that is outside of the town.
    """

    def __init__(
        self,
        name: str,
        *,
        dialect: str = "anthropic",
        key: str = "env",
        page: str = "",
        kind: str = "cloud",
        more: str = "",
        url: str = "",
    ) -> None:
        self.name = name
        self.kind = kind
        self.more = more
        self.dialect = dialect
        self.key = key
        self.page = page
        self.url = url
        self.asked: list[Asked] = []
        self.provider = SimProvider(1, name=name)

    def fails(self, fault: str, *surfaces: str) -> None:
        span = Span(from_s=0, until_s=EVER, fault=fault, surfaces=surfaces or None)
        self.provider.timeline = Timeline((span,))

    def well(self) -> None:
        self.provider.timeline = Timeline()

    def table(self, variable: str) -> str:
        key = f"env:{variable}" if self.key == "env" else self.key
        page = f'status_page = "{self.page}"\n' if self.page else ""
        return (
            f'[providers.{self.name}]\ndialect = "{self.dialect}"\nbase_url = "{self.url}"\n'
            f'key = "{key}"\nkind = "{self.kind}"\n{page}{self.more}\n'
        )


class Town:
    """Build with `town(...)`. `said` is what the person at the terminal was told."""

    def __init__(self, folder: Path, houses: Sequence[House], wall_0: float, port: int) -> None:
        self.loop: Any = asyncio.get_running_loop()
        self.folder = folder
        self.houses = {house.name: house for house in houses}
        self.said: list[str] = []
        self.letters: list[dict[str, Any]] = []
        self.page: Callable[[str], Answer] = lambda _: (404, {}, b"")
        self.page_reads = 0
        self.web = ""
        self.port = port
        self.file = folder / "config.toml"
        self.environ: dict[str, str] = {}
        self.crashes: list[BaseException] = []
        self.dialer = Dialer()
        self._listeners: list[Listener] = []
        self._urls: list[str] = []
        self._wall_0 = wall_0 - self.loop.time()
        self._gateway: Gateway | None = None
        self._number = 0

    @property
    def gateway(self) -> Gateway:
        assert self._gateway is not None
        return self._gateway

    def wall(self) -> float:
        return self._wall_0 + self.loop.time()

    # ------------------------------------------------------------ building

    async def build(self, config: Callable[[Town], str], environ: Mapping[str, str]) -> None:
        self.web = await self._listen(self._answer)
        for house in self.houses.values():
            player = Player(house.provider)
            if house.page:
                house.page = f"{self.web}/{house.page}"
            if not house.url:
                house.url = await self._listen(self._play(house, player))
        self.environ = {f"{name.upper()}_KEY": f"sk-{name}-0123456789" for name in self.houses}
        self.environ.update(environ)
        tables = [house.table(f"{house.name.upper()}_KEY") for house in self.houses.values()]
        gate = f'[gateway]\nport = {self.port}\ndata_dir = "{self.folder / "data"}"\n'
        self.file.write_text("\n".join((gate, *tables, config(self))))

    async def start(self) -> None:
        """Start the gateway, and wait until it has recalled what its journal knows."""
        read = parse(self.file.read_text(), self.environ)
        with self.loop.unturned():
            self._gateway = await Gateway.start(
                read, self.environ, say=self.said.append, wall=self.wall
            )
            while not self.gateway.observatory.recalled:
                await self.nap()

    async def stop(self) -> None:
        gateway, self._gateway = self._gateway, None
        if gateway is not None:
            assert list(gateway.front.crashes) == []
            with self.loop.unturned():
                await gateway.stop(0.0)

    async def close(self) -> None:
        try:
            await self.stop()
        finally:
            for listener in self._listeners:
                await listener.close(0.0)
            self.dialer.close()
        assert self.crashes == []

    async def hears(self, *kinds: str) -> None:
        """Who is told has heard just these; what a thread of a busy machine still holds is waited
        for by the wall's clock.
        """
        with self.loop.unturned():
            for _ in range(1000):
                if len(self.letters) >= len(kinds):
                    break
                await self.nap()
        assert [letter["kind"] for letter in self.letters] == list(kinds)

    async def nap(self) -> None:
        """Let the loop look round, for a moment of the wall's."""
        await asyncio.to_thread(time.sleep, 0.005)

    async def listen_at(self, port: int) -> None:
        """Answer there, too, as the status page does."""
        await self._listen(self._answer, port)

    async def shut(self, url: str) -> None:
        """Whoever is at this address is not there any more."""
        await self._listeners.pop(self._urls.index(url)).close(0.0)
        self._urls.remove(url)

    async def _listen(self, handler: Callable[[Request, Reply], None], port: int = 0) -> str:
        listener = Listener(
            handler,
            doorman=Doorman.of("127.0.0.1", port),
            on_crash=lambda error, _: self.crashes.append(error),
        )
        self._listeners.append(listener)
        host, port = (await listener.start("127.0.0.1", port))[0]
        self._urls.append(f"http://{host}:{port}")
        return self._urls[-1]

    def _play(self, house: House, player: Player) -> Callable[[Request, Reply], None]:
        def play(request: Request, reply: Reply) -> None:
            house.asked.append(
                Asked(self.wall(), request.method, request.path, request.headers, request.body)
            )
            script = player.script(
                self.loop.time(), request.method, request.path, request.headers, request.body
            )
            Performance(script, reply).go_on()

        return play

    def _answer(self, request: Request, reply: Reply) -> None:
        """Everybody else: whoever is told, and the status page."""
        if request.path == "/hook":
            self.letters.append(json.loads(request.body))
            reply.send(204, (), b"")
            return
        self.page_reads += 1
        status, headers, body = self.page(request.path)
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        reply.send(status, pairs, body)

    # ------------------------------------------------------------ living

    async def ask(self, surface: str = "messages", **more: object) -> Fetched:
        """One call of a client, with its whole answer."""
        self._number += 1
        asking = Asking(
            **{
                "at_s": 0,
                "model": MODEL,
                "surface": surface,
                "stream": False,
                "words": f"question {self._number}",
                **more,
            }  # type: ignore[arg-type]  # keywords of Asking, checked there
        )
        return await fetch(
            self.dialer,
            f"http://127.0.0.1:{self.port}{asking.path}",
            method="POST",
            headers=asking.headers(0),
            body=asking.body(),
            total_s=120.0,
        )

    async def minutes(
        self,
        count: float,
        *surfaces: str,
        every_s: float = 15.0,
        until: Callable[[], object] = lambda: False,
    ) -> list[Fetched]:
        """A client goes on asking for so long, or until something is so."""
        end_s = self.loop.time() + 60 * count
        found = []
        while self.loop.time() < end_s and not until():
            began_s = self.loop.time()
            found += [await self.ask(surface) for surface in surfaces or ("messages",)]
            await asyncio.sleep(max(0.0, began_s + every_s - self.loop.time()))
        return found

    async def pass_s(self, seconds: float, until: Callable[[], object] = lambda: False) -> None:
        """Time passes, and nobody asks anything."""
        end_s = self.loop.time() + seconds
        while self.loop.time() < end_s and not until():  # noqa: ASYNC110 - the clock is turned
            await asyncio.sleep(1.0)

    async def get(self, path: str) -> Any:
        """A page of the control plane."""
        found = await fetch(self.dialer, f"http://127.0.0.1:{self.port}{path}")
        assert found.status == 200, found
        return json.loads(found.body)

    async def status(self) -> Any:
        return await self.get("/-/status.json")

    async def holdfast(self, *words: str, stdin: str = "") -> tuple[int, str, str]:
        """A command of the command line as a process of its own: exit status, stdout, stderr."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        keep = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        environ = {
            **keep,
            **self.environ,
            "HOME": str(home),
            "COLUMNS": "80",
            "TZ": "UTC",
            "PYTHONPATH": str(ROOT / "src"),
        }
        with self.loop.unturned():
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "holdfast", words[0], "--config", str(self.file), *words[1:],
                env=environ, cwd=self.folder, stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            out, err = await process.communicate(stdin.encode())
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    def open(self) -> list[Incident]:
        """Declared incidents that go on."""
        alive = self.gateway.observatory.alive(self.wall())
        return [one for one in alive if one.opened is not None]

    def suspected(self) -> list[Incident]:
        alive = self.gateway.observatory.alive(self.wall())
        return [one for one in alive if one.opened is None]

    def probes(self, name: str) -> list[Asked]:
        return [asked for asked in self.houses[name].asked if asked.probe]


QUIET = "probes = false\nwatch = false\npages = false\nreferences = []\nportals = []"


@asynccontextmanager
async def town(
    folder: Path,
    houses: Iterable[House],
    *,
    observatory: str = QUIET,
    more: Callable[[Town], str] = lambda _: "",
    environ: Mapping[str, str] | None = None,
    routes: str = "",
    wall_0: float | None = None,
    port: int = 0,
) -> AsyncIterator[Town]:
    """A running town. `observatory` is that table's content, `more` further tables.

    Without `routes` any model goes to the houses in their order. `wall_0`: its UTC at the start.
    """
    folder.mkdir(exist_ok=True)  # noqa: ASYNC240 - nobody waits yet
    wall_0 = time.time() if wall_0 is None else wall_0
    there = Town(folder, list(houses), wall_0, port or free_port())

    def config(there: Town) -> str:
        targets = json.dumps([f"{name}/*" for name in there.houses])
        route = routes or f'[[routes]]\nmodel = "*"\ntargets = {targets}\n'
        return f"[observatory]\n{observatory}\n\n{route}\n{more(there)}"

    try:
        await there.build(config, environ or {})
        await there.start()
        yield there
    finally:
        await there.close()


def hook(there: Town) -> str:
    """The table by which the town's own postbox is told, and nobody else."""
    return f'[notify]\ndesktop = false\n[[notify.webhooks]]\nurl = "{there.web}/hook"\n'


def statuspage(indicator: str, described: str, *incidents: dict[str, Any]) -> Answer:
    """A summary in the shape of Statuspage."""
    page = {
        "page": {"id": "p", "name": "Example", "url": "https://status.example.com"},
        "status": {"indicator": indicator, "description": described},
        "components": [
            {
                "id": "c1",
                "name": "API",
                "status": "operational" if indicator == "none" else "major_outage",
            }
        ],
        "incidents": list(incidents),
        "scheduled_maintenances": [],
    }
    return 200, {"content-type": "application/json"}, json.dumps(page).encode()
