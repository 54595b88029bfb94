"""The second way: what is learnt goes into the journal, then into the fold, then to people.

Routing hears of an observation at once (the board). All else is done once a second: good samples
are put together, the batch goes to the journal, and the very same batch is folded; so folding the
journal again gives the same incidents (the law of replay). At a start the last day is folded that
way, and what people know of it is not told again.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from holdfast.app.eta import Outlooks
from holdfast.app.herald import Herald
from holdfast.app.scouts import Scouts, page_told
from holdfast.config.read import Config
from holdfast.core.changes import Changes, told
from holdfast.core.letters import WHOSE, back_sentence, parts, plain, sureness
from holdfast.core.outlook import Outlook
from holdfast.core.sampling import Leaf, Samples
from holdfast.facts.fingerprints import Change, Evidence, Print
from holdfast.facts.flights import Decline
from holdfast.facts.incidents import Event, Incident
from holdfast.facts.observations import Observation
from holdfast.facts.outcomes import Times
from holdfast.net.desk import Desk
from holdfast.net.probe import Judge
from holdfast.store.home import StoreError
from holdfast.store.ledger import Ledger
from holdfast.store.note import write_whole
from holdfast.store.query import Reader

DAY_S = 86_400.0
# What is folded again at a start, and how far back an incident that is still open may reach.
RECALL_S = DAY_S
RECALL_OPEN_S = 7 * DAY_S
RECALL_SLICE = 500
# So many wait for the next beat; beyond, the oldest go, some at once. (Good samples are put
# together as they come, and failures alone do not come as fast as that.)
WAITING_MAX = 50_000
CROWDED = 55_000
KNOWN_MAX = 2_000
SHOWN_ENDED_S = 7200.0
PRINTS_FILE = "fingerprints.json"
PRINTS_EVERY_S = 300.0


class Prints(Struct, frozen=True):
    """What stands in the file of fingerprints."""

    prints: tuple[Print, ...] = ()
    log: tuple[Change, ...] = ()


class Observatory:
    """One for a gateway. `observe` takes whatever was learnt, `beat` is called once a second.

    `say` is given sentences for the person at the terminal.
    """

    def __init__(
        self,
        desk: Desk,
        ledger: Ledger,
        data_dir: Path,
        *,
        judge: Judge,
        fault: Callable[[BaseException], None],
        say: Callable[[str], None],
        prefix: str,
    ) -> None:
        self._desk = desk
        self._ledger = ledger
        self._data_dir = data_dir
        self._fault = fault
        self._say = say
        self._inbox = Samples()
        self._dropped = 0
        # Whether the past is folded; nothing new is before.
        self.recalled = False
        self._recalling: asyncio.Task[None] | None = None
        self._known: dict[str, Incident] = {}
        self._prints_at = desk.clock()
        self._alarms: dict[str, str] = {}
        # Whoever wants to hear of each event at once, suspicions too: a rehearsal does.
        self.hear: Callable[[Event], None] = lambda _: None
        self.incidents = desk.board.incidents
        self.outlooks = Outlooks()
        kept = self._read_prints()
        self.changes = Changes(kept.prints, kept.log)
        self.scouts = Scouts(
            desk,
            self.observe,
            fault,
            judge=judge,
            prefix=prefix,
            nonce=secrets.token_hex(8),
        )
        self.herald = Herald(data_dir, desk.dialer, wall=desk.wall, eta=self._eta_told)

    def take_over(self, config: Config, environ: Mapping[str, str]) -> list[str]:
        """Watch and tell as this configuration says; sentences about what cannot be done."""
        return [
            *self.scouts.take_over(config, environ),
            *self.herald.take_over(config.notify, environ),
        ]

    @property
    def alarms(self) -> list[str]:
        """What people ought to know of the observatory itself."""
        found = [*self._alarms.values(), *self.herald.alarms, *self.scouts.alarms]
        if self._dropped:
            found.append(f"{self._dropped} observations were dropped: too many came at once.")
        return found

    # ------------------------------------------------------------ learning

    def observe(self, obs: Observation) -> None:
        """Something was learnt. Routing hears of it now, everybody else with the next beat."""
        self._desk.board.observe(obs)
        self._inbox.add(obs)
        if not obs.ok:
            self.scouts.alarmed(obs)
        if len(self._inbox) >= CROWDED:
            self._dropped += self._inbox.keep(WAITING_MAX)

    def counted(self, leaf: Leaf, at: float, wall: float, status: int | None, times: Times) -> bool:
        """A client had a good answer of the first choice, which was no trial. False: it wants an
        observation of its own; else it was counted to one like it, and routing has heard of it.
        """
        found = self._inbox.count(leaf, at, status, times.content)
        if found:
            self._desk.board.answered(leaf, at, wall, times)
        return found

    def shown(self, provider: str, surface: str, evidence: Evidence | None) -> None:
        """What a connection showed of who answers there."""
        if evidence is None:
            return
        for change in self.changes.observe(self._desk.wall(), provider, surface, evidence):
            self._say(f"changed: {told(change, _clock_time)}")

    def start(self) -> None:
        """Begin to recall what the journal knows; nothing new is folded before that is done."""
        self._recalling = asyncio.get_running_loop().create_task(self._recall())
        self._recalling.add_done_callback(self._recall_ended)

    def beat(self, at: float, wall: float) -> None:
        """Once a second: write down, fold, tell, and send the scouts."""
        if not self.recalled:
            return
        for obs in self._note_down():
            self.scouts.learn(obs)
            for event in self.incidents.observe(obs):
                self.herald.hear(event)
                self.hear(event)
                if event.event != "suspected":
                    self._say(event_told(event, self.incidents.view()))
        alive = self.alive(wall)
        self._keep(alive)
        self.scouts.beat(at, wall, alive)
        self.herald.beat(self._known)
        if at - self._prints_at >= PRINTS_EVERY_S:
            self._prints_at = at
            self._keep_prints()

    async def close(self) -> None:
        """Call the scouts home, write everything down."""
        if self._recalling is not None:
            self._recalling.cancel()
        await self.scouts.close()
        if self.recalled and self._inbox:
            self._note_down()
        await self.herald.close()
        self._keep_prints()

    def _note_down(self) -> list[Observation]:
        """What waits goes into the journal; the same is to be folded."""
        batch = self._inbox.take()
        if batch:
            self._ledger.observe(batch)
        return batch

    # ------------------------------------------------------------ recalling

    async def _recall(self) -> None:
        """Fold the last day again, and longer where an incident was open."""
        wall = self._desk.wall()
        past, journal = await asyncio.to_thread(self._read_journal, wall)
        self._known = {one.id: one for one in past[-KNOWN_MAX:]}
        for number, obs in enumerate(journal, 1):
            self.scouts.learn(obs)
            for event in self.incidents.observe(obs):
                self.herald.hear(event, recalled=True)
            if number % RECALL_SLICE == 0:
                await asyncio.sleep(0)
        self.recalled = True

    def _recall_ended(self, task: asyncio.Task[None]) -> None:
        self.recalled = True  # whatever happened: from now on is better than never
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._fault(error)

    def _read_journal(self, wall: float) -> tuple[list[Incident], list[Observation]]:
        reader = Reader(self._data_dir)
        try:
            past = reader.incidents()
            unsettled = [one.since for one in past if one.opened and one.resolved is None]
            since = min([wall - RECALL_S, *unsettled])
            journal = list(reader.observations(max(since, wall - RECALL_OPEN_S)))
        except StoreError as error:
            self._alarms["recall"] = f"What was learnt before this start is not known: {error}"
            return [], []
        if reader.complaint is not None:
            self._alarms["recall"] = reader.complaint
        return past, journal

    # ------------------------------------------------------------ knowing

    def alive(self, wall: float) -> list[Incident]:
        """Incidents that are open, and suspicions."""
        return [one for one in self.incidents.view(wall) if one.resolved is None]

    def _keep(self, alive: Iterable[Incident]) -> None:
        """Remember what is new of incidents, by this process and beyond it."""
        ended = [one for one in self.incidents.view() if one.resolved is not None]
        news = [
            one
            for one in (*alive, *ended)
            if one.opened is not None and self._known.get(one.id) != one
        ]
        if not news:
            return
        self._ledger.remember(news)
        for one in news:
            self._known[one.id] = one
        for oldest in list(self._known)[: len(self._known) - KNOWN_MAX]:
            del self._known[oldest]

    @property
    def known(self) -> list[Incident]:
        """All incidents that are remembered, the oldest first."""
        return sorted(self._known.values(), key=lambda one: one.since)

    # ------------------------------------------------------------ telling

    def outlook(self, incident: Incident) -> Outlook | None:
        """When an incident may be over; None where there is nothing to wait for."""
        wall = self._desk.wall()
        self.outlooks.learn(list(self._known.values()), wall)
        return self.outlooks.of(incident, wall)

    def _eta_told(self, incident: Incident) -> str:
        found = self.outlook(incident)
        return f"When it may be back: {found.told}." if found is not None else ""

    def since_when(self, decline: Decline) -> str:
        """For a call that nobody could answer: since when it lasts, when it may be over."""
        wall = self._desk.wall()
        for one in self.alive(wall):
            if one.opened is not None and any(s.provider == decline.provider for s in one.segments):
                minutes = max(1, round((wall - one.since) / 60))
                return f"Since {_clock_time(one.since)} ({minutes} min). {self._eta_told(one)}"
        return ""

    def status(self, wall: float) -> dict[str, object]:
        """What the status page of the control plane says of it. Times are UTC seconds."""
        lately = [
            one
            for one in reversed(self.known)
            if one.resolved is not None and wall - one.resolved < SHOWN_ENDED_S
        ]
        climb, alive = self.scouts.network, self.alive(wall)
        return {
            "incidents": [
                {**msgspec.to_builtins(one), "timeline": [], "eta": self.outlook(one)}
                for one in (*(one for one in alive if one.opened is not None), *lately)
            ],
            "suspected": [
                {"since": one.since, "segments": one.segments, "because": one.because}
                for one in alive
                if one.opened is None
            ],
            "eta_check": self.outlooks.checked,
            "pages": {name: page_told(obs) for name, obs in self.scouts.pages.items()},
            "network": None
            if climb is None
            else {"finding": climb.finding, "at": climb.wall, "because": climb.because},
            "probes": {
                one.provider: {
                    "free_today": one.free,
                    "free_max": one.free_max,
                    "paid_today": one.generations,
                    "paid_max": one.generations_max,
                }
                for one in self.scouts.probing.spent(wall)
            },
            "changes": [
                {"provider": one.provider, "at": one.at, "told": told(one, _clock_time)}
                for one in self.changes.log[-10:]
            ],
        }

    def timelines(self) -> list[Incident]:
        """All incidents with their evidence, suspicions included, the newest last."""
        return [*self.known, *(o for o in self.alive(self._desk.wall()) if o.opened is None)]

    # ------------------------------------------------------------ fingerprints

    def _read_prints(self) -> Prints:
        try:
            data = (self._data_dir / PRINTS_FILE).read_bytes()
            return msgspec.json.decode(data, type=Prints)
        except FileNotFoundError:
            return Prints()
        except (OSError, msgspec.DecodeError):
            self._alarms["prints"] = (
                f"What was known of the providers' fronts cannot be read from {PRINTS_FILE} in"
                f" {self._data_dir}; it is learnt anew."
            )
            return Prints()

    def _keep_prints(self) -> None:
        data = msgspec.json.encode(Prints(self.changes.prints, self.changes.log))
        try:
            write_whole(self._data_dir / PRINTS_FILE, data)
        except OSError as error:
            self._alarms["prints"] = (
                f"What is known of the providers' fronts cannot be written to {self._data_dir}"
                f" ({error.strerror}); a restart forgets it. Make room there."
            )


TOLD = {
    "opened": "trouble",
    "widened": "wider trouble",
    "narrowed": "less trouble",
    "resolved": "It's back!",
}


def event_told(event: Event, incidents: Iterable[Incident]) -> str:
    """An entry of a timeline as a line for the terminal."""
    where = parts(event.segments)
    if event.event == "resolved":
        ended = next((one for one in incidents if one.id == event.incident), None)
        return f"{TOLD[event.event]} {where}. {back_sentence(ended) if ended else ''}".rstrip()
    sure = f"{sureness(event.confidence)}; whose fault: {WHOSE[event.whose]}"
    return plain(f"{TOLD[event.event]}: {where} ({sure}): {'; '.join(event.because[:2])}", 400)


def _clock_time(wall: float) -> str:
    return time.strftime("%H:%M", time.localtime(wall))
