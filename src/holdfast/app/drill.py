"""A rehearsal: a whole outage, through a real gateway, on real sockets, in a minute.

The cloud that fails and the stand-in that does not are simulated; the gateway between them is the
one that `holdfast up` runs, with a ledger of its own in a directory that is thrown away. Time may
run faster than the wall's: every timer in every room keeps its proportion to the outage.
"""

from __future__ import annotations

import asyncio
import selectors
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Literal

from msgspec import Struct

from holdfast.app.gateway import Gateway
from holdfast.app.stage import Stage
from holdfast.config.notify import Notify
from holdfast.config.read import Config, GatewayConfig
from holdfast.core.letters import parts
from holdfast.facts.calls import Headers
from holdfast.facts.incidents import Event, EventKind
from holdfast.facts.outcomes import Failure
from holdfast.facts.places import Provider, Route
from holdfast.net.dial import Dialer, Origin
from holdfast.sim.client import Asking, read
from holdfast.sim.invented import expected_text
from holdfast.sim.timeline import Timeline
from holdfast.store.query import ExchangeLine, Reader

CLOUD, SPARE = "cloud", "stand-in"
MODEL = "claude-drill"
# One client a surface, each asking again when it has its answer and this has passed.
PAUSE_S = 2.0
PATIENCE_S = 60.0
KINDS: tuple[tuple[str, Asking], ...] = (
    ("messages", Asking(at_s=0, model=MODEL)),
    ("count_tokens", Asking(at_s=0, model=MODEL, surface="count_tokens", stream=False)),
    ("embeddings", Asking(at_s=0, model=MODEL, dialect="openai", surface="embeddings")),
)
Saw = Literal["whole", "damaged", "refused", "broken"]


class Seen(Struct, frozen=True, kw_only=True):
    """What one call of the drill's client came to. `at_s` is the scenario's time.

    `took_s` and `first_s` (to the first byte of the answer) are seconds of the wall. "whole": the
    answer ended properly with not a character missing or doubled; "damaged": it ended properly
    and was not that; "refused": an error came; "broken": it was seen to break off.
    """

    at_s: float
    surface: str
    saw: Saw
    status: int
    served_by: str
    stand_in: bool
    attempts: int
    verdict: str
    first_s: float | None
    took_s: float
    exchange: str
    error: str = ""


class Stretch(Struct, frozen=True):
    """A part of the scenario in which the same things are wrong; scenario seconds."""

    from_s: float
    until_s: float
    wrong: str


class Report(Struct, frozen=True, kw_only=True):
    """A whole drill. `back_s`: scenario seconds from the recovery to the first choice's next
    answer on a surface that had failed; None where that was not reached. `noticed`: when the
    observatory suspected, declared, and saw it end (scenario seconds).
    """

    scenario: str
    says: str
    seed: int
    speed: float
    took_s: float
    stretches: tuple[Stretch, ...]
    calls: tuple[Seen, ...]
    exchanges: tuple[ExchangeLine, ...]
    told: tuple[tuple[float, str], ...]
    noticed: tuple[tuple[float, EventKind], ...]
    back_s: float | None

    @property
    def held(self) -> bool:
        """Whether no call on a surface that has a stand-in was left without its whole answer."""
        return all(call.saw == "whole" for call in self.calls)


class HastySelector(selectors.DefaultSelector):
    """Waits a `speed`-th of what it is asked to."""

    def __init__(self, speed: float) -> None:
        super().__init__()
        self._speed = speed

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(timeout / self._speed if timeout else timeout)


class HastyLoop(asyncio.SelectorEventLoop):
    """Its clock runs `speed` times as fast as the wall's, from 0."""

    def __init__(self, speed: float) -> None:
        self._began = time.monotonic()
        self._speed = speed
        super().__init__(HastySelector(speed))

    def time(self) -> float:
        return (time.monotonic() - self._began) * self._speed


def rehearse(
    name: str,
    timeline: Timeline,
    *,
    seed: int,
    speed: float,
    tell: Callable[[float, str], None] = lambda _at_s, _text: None,
) -> Report:
    """Play a scenario once. `tell` is given (scenario seconds, sentence) as things happen.

    Raises OSError where no loopback port or no temporary directory can be had.
    """
    with tempfile.TemporaryDirectory(prefix="holdfast-drill-") as folder:
        drill = Drill(name, timeline, seed, speed, Path(folder), tell)
        with asyncio.Runner(loop_factory=lambda: HastyLoop(speed)) as runner:
            return runner.run(drill.run())


class Drill:
    """One playing of one scenario."""

    def __init__(
        self,
        name: str,
        timeline: Timeline,
        seed: int,
        speed: float,
        folder: Path,
        tell: Callable[[float, str], None],
    ) -> None:
        self._name = name
        self._timeline = timeline
        self._seed = seed
        self._speed = speed
        self._folder = folder
        self._tell = tell
        self._told: list[tuple[float, str]] = []
        self._noticed: list[tuple[float, EventKind]] = []
        self._calls: list[Seen] = []
        self._began_s = 0.0

    async def run(self) -> Report:
        """Start everything, let the clients ask until the scenario is over, sum up."""
        began = time.monotonic()
        stage = Stage(seed=self._seed, rehearsals={CLOUD: self._timeline})
        loop, wall_0 = asyncio.get_running_loop(), time.time()
        gateway = await Gateway.start(
            configuration(self._folder),
            {},
            say=self._hear,
            stage=stage,
            # What the observatory thinks of minutes it thinks of the outage's own minutes.
            wall=lambda: wall_0 + loop.time(),
        )
        try:
            gateway.observatory.hear = self._notice
            stage.begin()
            self._began_s = asyncio.get_running_loop().time()
            await asyncio.gather(*(self._client(gateway, *kind) for kind in KINDS))
        finally:
            await gateway.stop(1.0)
        calls = tuple(sorted(self._calls, key=lambda call: call.at_s))
        return Report(
            scenario=self._name,
            says=self._timeline.says,
            seed=self._seed,
            speed=self._speed,
            took_s=time.monotonic() - began,
            stretches=tuple(stretches(self._timeline)),
            calls=calls,
            exchanges=tuple(Reader(self._folder).exchanges(limit=len(calls) + 10)),
            told=tuple(self._told),
            noticed=tuple(self._noticed),
            back_s=back_s(calls, self._timeline),
        )

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time() - self._began_s

    def _hear(self, sentence: str) -> None:
        self._told.append((self._now_s(), sentence))
        self._tell(self._now_s(), sentence)

    def _notice(self, event: Event) -> None:
        self._noticed.append((self._now_s(), event.event))
        if event.event == "suspected":  # the rest is told anyway
            why = "; ".join(event.because)
            self._hear(f"suspected: {parts(event.segments)} ({why}); nobody is told yet")

    async def _client(self, gateway: Gateway, surface: str, asking: Asking) -> None:
        dialer = Dialer()
        origin, _ = Origin.of(gateway.url)
        try:
            while (at_s := self._now_s()) < self._timeline.length_s:
                visit = Visit(surface, asking, at_s)
                seen = await visit.ask(dialer, origin)
                self._calls.append(seen)
                self._tell(self._now_s(), "")
                await asyncio.sleep(max(0.0, at_s + PAUSE_S - self._now_s()))
        finally:
            dialer.close()


class Visit:
    """One call of a client, over the same sockets that any client has."""

    def __init__(self, surface: str, asking: Asking, at_s: float) -> None:
        self._surface = surface
        self._asking = asking
        self._at_s = at_s
        self._began = time.monotonic()
        self._first_s: float | None = None
        self._status = 0
        self._headers: dict[bytes, bytes] = {}
        self._data: list[bytes] = []
        self._broke = ""
        self._over = asyncio.Event()

    async def ask(self, dialer: Dialer, origin: Origin) -> Seen:
        """Ask and read to the end, whatever it is."""
        asking = self._asking
        line = dialer.ask(
            origin, "POST", asking.path, asking.headers(0), asking.body(), self, connect_s=5.0
        )
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._over.wait()
        except TimeoutError:
            self._broke = f"no end within {PATIENCE_S:g} s"
            line.hang_up()
        return self._seen()

    def sent(self, reused: bool) -> None:  # noqa: FBT001 - the Sink's signature
        """Nothing to note."""

    def head(self, status: int, headers: Headers) -> None:
        self._status = status
        self._headers = dict(headers)

    def body(self, data: bytes) -> None:
        if self._first_s is None:
            self._first_s = time.monotonic() - self._began
        self._data.append(data)

    def ended(self) -> None:
        self._over.set()

    def broke(self, failure: Failure) -> None:
        self._broke = failure.text or failure.kind
        self._over.set()

    def _seen(self) -> Seen:
        asking, headers, data = self._asking, self._headers, b"".join(self._data)
        stream = asking.stream and self._status == 200 and self._surface == "messages"
        text, error = read(asking.dialect, data, stream=stream)
        served_by = headers.get(b"x-holdfast-served-by", b"").decode()
        saw: Saw = "whole"
        if self._broke:
            saw = "broken"
        elif self._status != 200:
            saw = "refused"
        elif error:
            saw = "broken"
        elif self._surface == "messages":
            whole = expected_text(asking.body(), served_by.partition("/")[0])
            saw = "whole" if text == whole else "damaged"
        return Seen(
            at_s=self._at_s,
            surface=self._surface,
            saw=saw,
            status=self._status,
            served_by=served_by,
            stand_in=headers.get(b"x-holdfast-stand-in") == b"true",
            attempts=int(headers.get(b"x-holdfast-attempts", b"0")),
            verdict=headers.get(b"x-holdfast-verdict", b"").decode(),
            first_s=self._first_s,
            took_s=time.monotonic() - self._began,
            exchange=headers.get(b"x-holdfast-exchange", b"").decode(),
            error=self._broke or error,
        )


def configuration(folder: Path) -> Config:
    """A cloud that is going to fail, and one that stands in for it."""
    return Config(
        gateway=GatewayConfig(port=0, data_dir=folder),
        notify=Notify(desktop=False),  # a rehearsal is nobody's news
        providers={name: invented(name) for name in (CLOUD, SPARE)},
        routes=(Route("claude-*", (f"{CLOUD}/*", f"{SPARE}/*")),),
    )


def invented(name: str) -> Provider:
    """A simulated provider of both dialects; the stage gives it an address."""
    return Provider(
        name=name, dialects=("anthropic", "openai"), base_url="http://127.0.0.1:0", kind="sim"
    )


def stretches(timeline: Timeline) -> Iterator[Stretch]:
    """The scenario cut wherever something begins or ends to be wrong."""
    edges = {0.0, timeline.length_s}
    edges |= {edge for span in timeline.spans for edge in (span.from_s, span.until_s)}
    cuts = sorted(edge for edge in edges if edge <= timeline.length_s)
    for from_s, until_s in pairwise(cuts):
        faults = {
            f"{span.fault} ({', '.join(span.surfaces or ('everything',))})"
            for span in timeline.spans
            if span.from_s <= from_s < span.until_s
        }
        yield Stretch(from_s, until_s, " and ".join(sorted(faults)) or "all is well")


def back_s(calls: tuple[Seen, ...], timeline: Timeline) -> float | None:
    """From the end of the last trouble until every surface that had fallen had the cloud back."""
    over_s = max((span.until_s for span in timeline.spans), default=0.0)
    fallen = {call.surface for call in calls if call.stand_in or call.saw != "whole"}
    again = [
        min(
            (
                call.at_s
                for call in calls
                if call.at_s >= over_s and call.surface == surface and back(call)
            ),
            default=None,
        )
        for surface in fallen
    ]
    if not again or None in again:
        return None
    return max(at_s for at_s in again if at_s is not None) - over_s


def back(call: Seen) -> bool:
    """Whether the first choice gave this answer."""
    return call.saw == "whole" and call.served_by.startswith(f"{CLOUD}/")
