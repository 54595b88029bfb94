"""The real shell for stories: real sockets and the gateway's own data plane, on a turned clock.

Providers, gateway and clients share one event loop whose clock is turned: it moves on only when
nothing is under way on any socket, so that a story of four minutes is told in a few seconds.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.stories.tellings import House, Night, Telling

from holdfast.app.stage import Performance
from holdfast.core.board import Board
from holdfast.core.budget import Budget
from holdfast.core.route import Affinity
from holdfast.facts.calls import Call, Headers
from holdfast.facts.flights import Exchange, Intent, Leg, Settled
from holdfast.facts.observations import Observation
from holdfast.facts.places import ModelFacts, Provider
from holdfast.net.desk import Desk, Place
from holdfast.net.dial import Dialer
from holdfast.net.doorman import Doorman
from holdfast.net.front import Front, Rules
from holdfast.net.listen import Listener
from holdfast.net.reply import Reply, Request
from holdfast.sim.client import Asking, read, retries_in_s
from holdfast.sim.player import ACTIONS, DOORS, Player
from holdfast.sim.provider import SimProvider
from holdfast.sim.trace import Seen, Told
from holdfast.wire import speak

WALL_0 = 1_800_000_000.0
PATIENCE_S = 3600.0  # of the story: one that hangs fails
# What loopback may need to hand bytes on; a wrong leap of a minute harms more than one of a word.
LOOPBACK_S = 0.0003
LOOPBACK_PER_S, LEAP_S = 0.002, 10.0
BESIDE_S = 0.02
KEY = b"sk-story-0123456789"


class TurningSelector(selectors.DefaultSelector):
    """Waits for sockets only as long as bytes on loopback may need; then it turns the clock on."""

    now_s = 0.0
    # So many work who are not on this loop (processes, threads): it goes as the wall's clock then.
    beside = 0
    loopback_per_s = LOOPBACK_PER_S

    def select(self, timeout: float | None = None) -> list:
        if self.beside:
            began_s = time.monotonic()
            ready = super().select(BESIDE_S if timeout is None else min(timeout, BESIDE_S))
            self.now_s += time.monotonic() - began_s
            return ready
        ready = super().select(0)
        if not ready and timeout != 0:
            leap_s = min(timeout or 0.0, LEAP_S)
            ready = super().select(LOOPBACK_S + self.loopback_per_s * leap_s)
        if not ready and timeout:
            self.now_s += timeout
        return ready


class TurnedLoop(asyncio.SelectorEventLoop):
    """Real sockets, and a clock that stands still while anything happens on them.

    Its time passes only when all parties, who share this loop, wait for it. So a story takes as
    long as its work, and a slow machine makes nobody in it slow.
    """

    def __init__(self, loopback_per_s: float = LOOPBACK_PER_S) -> None:
        self._turning = TurningSelector()
        self._turning.loopback_per_s = loopback_per_s
        super().__init__(self._turning)

    def time(self) -> float:
        return self._turning.now_s

    @contextmanager
    def unturned(self) -> Iterator[None]:
        """The clock is not turned while this lasts: somebody works who is not on this loop."""
        self._turning.beside += 1
        try:
            yield
        finally:
            self._turning.beside -= 1


class Book:
    """Keeps what a ledger would write: attempts in order, and how each was settled."""

    def __init__(self) -> None:
        self.written: dict[str, str] = {}
        self.twice: list[str] = []

    def intend(self, *intents: Intent) -> bool:
        self.written.update((intent.id, "") for intent in intents)
        return True

    def settle(self, settled: Settled) -> None:
        if self.written[settled.id]:
            self.twice.append(settled.id)
        self.written[settled.id] = settled.outcome

    def record(self, exchange: Exchange) -> None:
        del exchange


class Street:
    """The houses of a story, the gateway before them, and the clients that come by."""

    def __init__(self, telling: Telling) -> None:
        self.loop = asyncio.get_running_loop()
        self.telling = telling
        self.book = Book()
        self.saw: list[Seen] = []
        self.told: list[Told] = []
        self.crashes: list[BaseException] = []
        self.dialer = Dialer()
        self.board = Board(dice=lambda: 0.5)
        self.journal: list[Observation] = []
        self.listeners: list[Listener] = []
        self.url = ("", 0)
        self.began_s = 0.0

    def now_s(self) -> float:
        return self.loop.time() - self.began_s

    async def open(self) -> None:
        providers = {}
        players = []
        for house in self.telling.houses:
            player = Player(SimProvider(1, house.timeline, name=house.name, pace=house.pace))
            players.append(player)
            host, port = await self._listen(self._house(house, player))
            providers[house.name] = Provider(
                name=house.name,
                dialects=house.dialects,
                base_url=f"http://{host}:{port}",
                models=(ModelFacts(model="*", context_tokens=house.window),)
                if house.window
                else (),
            )
        self.url = await self._listen(self._front(providers))
        self.began_s = self.loop.time()
        for player in players:
            player.begun_at_s = self.began_s

    async def close(self) -> None:
        for listener in self.listeners:
            await listener.close(0.0)
        self.dialer.close()

    async def _listen(self, handler: object) -> tuple[str, int]:
        listener = Listener(
            handler,  # type: ignore[arg-type]  # a Front or a function
            doorman=Doorman.of("127.0.0.1", 0),
            on_crash=lambda error, _: self.crashes.append(error),
        )
        self.listeners.append(listener)
        return (await listener.start("127.0.0.1", 0))[0]

    def _house(self, house: House, player: Player) -> object:
        def play(request: Request, reply: Reply) -> None:
            surface = surface_of(request)
            self.saw.append(Seen(at_s=self.now_s(), provider=house.name, surface=surface))
            script = player.script(
                self.loop.time(), request.method, request.path, request.headers, request.body
            )
            Performance(script, reply).go_on()

        return play

    def _front(self, providers: dict[str, Provider]) -> Front:
        budget, affinity = Budget(), Affinity()

        def stay(call: Call, leg: Leg, at: float) -> None:
            digest = speak.conversation(call.dialect, call.body)
            if digest:
                affinity.note(digest, leg.target, at)

        desk = Desk(
            board=self.board,
            book=self.book,
            dialer=self.dialer,
            clock=self.loop.time,
            wall=lambda: WALL_0 + self.loop.time(),
            credit=budget.credit,
            affinity=stay,
        )
        desk.observe = self._learn
        desk.places = {name: Place(provider, KEY) for name, provider in providers.items()}
        return Front(
            desk,
            Rules(providers, self.telling.all_routes, self.telling.limits),
            budget=budget,
            affinity=affinity,
            dice=lambda: 0.5,
            prefix="r",
            control=lambda _, reply: reply.send(404, (), b""),
        )

    def _learn(self, obs: Observation) -> None:
        self.board.observe(obs)
        self.journal.append(obs)
        self.board.incidents.observe(obs)

    # ----------------------------------------------------------- the clients

    async def client(self, asking: Asking) -> None:
        """One client with its own retries, as an SDK has them."""
        await asyncio.sleep(asking.at_s - self.now_s())
        for retry in range(asking.retries + 1):
            told = await Visit(self, asking, retry).tell()
            self.told.append(told)
            if retry == asking.retries or (told.how != "left" and told.status < 400):
                return
            status = 0 if told.how == "left" else told.status
            headers = tuple(told.headers.items()) if status else ()
            wait_s = retries_in_s(status, headers, retry, WALL_0, lambda: 0.5)
            if wait_s is None:
                return
            await asyncio.sleep(wait_s)


def surface_of(request: Request) -> str:
    """What a provider is asked for."""
    door = DOORS.get((request.method, request.path))
    return door[1] if door is not None else ACTIONS[request.path.rpartition(":")[2]][0]


class Visit:
    """One request of one client on a connection of its own, and what came of it."""

    def __init__(self, street: Street, asking: Asking, retry: int) -> None:
        self._street = street
        self._asking = asking
        self._retry = retry
        self._status = 0
        self._headers: dict[bytes, bytes] = {}
        self._data = b""
        self._first_s: float | None = None

    async def tell(self) -> Told:
        """Ask, read to the end, and say how it was."""
        at_s = self._street.now_s()
        reader, writer = await asyncio.open_connection(*self._street.url)
        how = "clean"
        try:
            writer.write(self._request())
            async with asyncio.timeout(self._asking.patience_s):
                await self._read(reader)
        except TimeoutError:
            how = "left"
        except (asyncio.IncompleteReadError, ConnectionError):
            how = "broken"
        finally:
            writer.transport.abort()
        return self._told(at_s, how)

    def _request(self) -> bytes:
        asking = self._asking
        body = asking.body()
        headers: Headers = (
            (b"host", b"127.0.0.1:%d" % self._street.url[1]),
            *asking.headers(self._retry),
            (b"content-length", b"%d" % len(body)),
        )
        lines = b"".join(b"%b: %b\r\n" % pair for pair in headers)
        path = f"{asking.path}?{asking.query}" if asking.query else asking.path
        return b"POST %b HTTP/1.1\r\n%b\r\n%b" % (path.encode(), lines, body)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head[:-4].split(b"\r\n")
        self._status = int(first.split()[1])
        self._headers = {
            name.lower(): value.strip() for name, _, value in (li.partition(b":") for li in lines)
        }
        if self._headers.get(b"transfer-encoding") == b"chunked":
            while size := int(await reader.readuntil(b"\r\n"), 16):
                self._take((await reader.readexactly(size + 2))[:-2])
            await reader.readexactly(2)
        else:
            self._take(await reader.readexactly(int(self._headers[b"content-length"])))

    def _take(self, data: bytes) -> None:
        if self._first_s is None:
            self._first_s = self._street.now_s()
        self._data += data

    def _told(self, at_s: float, how: str) -> Told:
        asking, headers = self._asking, self._headers
        failed = self._status >= 400
        text, error = read(asking.dialect, self._data, stream=asking.stream and not failed)
        return Told(
            id=headers.get(b"x-holdfast-exchange", b"").decode(),
            asking=asking,
            at_s=at_s,
            ended_s=self._street.now_s(),
            first_s=self._first_s,
            status=self._status,
            headers=headers,
            text=text,
            error=error,
            body=self._data,
            how=how,  # type: ignore[arg-type]  # one of the three
            served_by=headers.get(b"x-holdfast-served-by", b"").decode(),
            stand_in=headers.get(b"x-holdfast-stand-in") == b"true",
            attempts=int(headers.get(b"x-holdfast-attempts", b"0")),
            verdict=headers.get(b"x-holdfast-verdict", b"").decode(),
            retry=self._retry,
        )


async def _tell(telling: Telling) -> Night:
    street = Street(telling)
    await street.open()
    try:
        await asyncio.gather(*(street.client(asking) for asking in telling.asks))
        while not all(street.book.written.values()):  # noqa: ASYNC110 - what clients left behind
            await asyncio.sleep(0.1)
    finally:
        await street.close()
    assert street.crashes == []
    assert street.book.twice == []
    return Night(
        told=sorted(street.told, key=lambda told: told.at_s),
        saw=street.saw,
        written=street.book.written,
        journal=street.journal,
        incidents=street.board.incidents.view(),
    )


def tell(telling: Telling) -> Night:
    """Tell a story on real sockets."""

    async def main() -> Night:
        return await asyncio.wait_for(_tell(telling), PATIENCE_S)

    with asyncio.Runner(loop_factory=TurnedLoop) as runner:
        return runner.run(main())
