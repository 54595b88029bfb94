"""The second shell: the gateway's own core, invented providers, invented clients, invented time.

    calls → [plan → flight ⇄ pilot ⇄ network ⇄ provider's script] → what clients were told
                 ↑________ board ← what attempts found out ________|
                                        ↓ ↑ probes
                                  journal → incidents

`core` and `wire` are the very modules that run on real sockets; only the shell around them is
another. Requests are really composed and answers really tapped, in pieces of any size. Nothing
asks the time and all dice come from the seed: the same seed gives the same trace.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from holdfast.core.blame import judge, transient
from holdfast.core.board import Board
from holdfast.core.budget import Budget
from holdfast.core.entries import attempt_id, observation_of, tells_nothing
from holdfast.core.flight import Flight, Policy
from holdfast.core.probing import Probe, Probing, View
from holdfast.core.route import Affinity, NoRoute, candidates, plan
from holdfast.core.sampling import merged
from holdfast.facts.calls import Call
from holdfast.facts.flights import AttemptEnded, Dial, Leg, Vouched
from holdfast.facts.incidents import Event
from holdfast.facts.observations import Observation
from holdfast.facts.outcomes import Failure, Verdict
from holdfast.facts.places import Dialect, Limits, ModelFacts, Provider, Route, Target, engines_of
from holdfast.sim import scout
from holdfast.sim.client import Asking, retries_in_s
from holdfast.sim.pilot import Ear, Pilot
from holdfast.sim.provider import SimProvider
from holdfast.sim.script import Blackhole, Refuse, Script
from holdfast.sim.trace import Dialled, Told, Trace
from holdfast.wire import speak
from holdfast.wire.crossings import Crossings
from holdfast.wire.retry_after import retry_after_s

WALL_0 = 1_800_000_000.0
BEAT_S = 1.0
KNOCK_S = 3.0


class Weather(Struct, frozen=True, kw_only=True):
    """The network. `splits` is the share of writes that arrive in several pieces, `stale` of kept
    connections that are found closed; `rtt_s` seconds there and back.
    """

    rtt_s: float = 0.02
    splits: float = 0.2
    stale: float = 0.0


class Place(Struct, frozen=True):
    """A provider as the gateway knows it, and what it really is."""

    provider: Provider
    sim: SimProvider


class Link:
    """The network to one provider, with its dice."""

    __slots__ = ("_dice", "_splits", "kept", "rtt_s")

    def __init__(self, weather: Weather, dice: random.Random) -> None:
        self.rtt_s = weather.rtt_s
        self.kept = 0
        self._splits = weather.splits
        self._dice = dice

    def split(self, data: bytes) -> list[bytes]:
        """The pieces in which these bytes arrive."""
        dice = self._dice
        if len(data) < 2 or dice.random() >= self._splits:
            return [data]
        cut = dice.randrange(1, len(data))
        return [data[:cut], *self.split(data[cut:])]


class World:
    """One simulated stretch of time. `run` once."""

    def __init__(
        self,
        seed: int,
        places: Mapping[str, Place],
        routes: tuple[Route, ...],
        *,
        limits: Limits | None = None,
        weather: Weather | None = None,
        probing: Probing | None = None,
    ) -> None:
        """`probing`: who decides about questions of our own; None: there are none."""
        self._dice = random.Random(seed)  # noqa: S311 - the seed makes the run repeatable
        self._places = dict(places)
        self._providers = {name: place.provider for name, place in places.items()}
        self._routes = routes
        self._limits = limits or Limits()
        self._weather = weather or Weather()
        self._links = {name: Link(self._weather, self._dice) for name in places}
        self._numbers = dict.fromkeys(places, 0)
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._calls = 0
        self.now_s = 0.0
        self.trace = Trace()
        self.board = Board(self._dice.random)
        self.board.incidents.local = engines_of(self._providers)
        self.incidents = self.board.incidents
        # What was learnt, as the gateway's journal has it, and what it led to.
        self.journal: list[Observation] = []
        self.events: list[Event] = []
        self._inbox: list[Observation] = []
        self._probing = probing
        self._probes = 0
        self.budget = Budget()
        self.affinity = Affinity()
        self.crossings = Crossings()
        self._policy = Policy(
            self._verdict, transient, self._may_retry, self._dice.random, self.board.standing
        )
        # In the order in which they took off.
        self.flying: dict[str, Pilot] = {}
        self._knocking: set[str] = set()
        self._knocks = 0
        self._until_s = 0.0

    def run(self, calls: Iterable[Asking], until_s: float) -> Trace:
        """Let these clients ask, and time pass until `until_s`.

        What is still in the air then is in `flying`.
        """
        self._until_s = until_s
        for asking in calls:
            self._asks(asking, asking.at_s, 0)
        self.at(BEAT_S, self._beat)
        heap = self._heap
        while heap and heap[0][0] <= until_s:
            self.now_s, _, do = heapq.heappop(heap)
            do()
        self.fold()
        return self.trace

    # ------------------------------------------------------------ the clients

    def _asks(self, asking: Asking, at_s: float, retry: int) -> None:
        self.at(at_s, lambda: self._ask(asking, retry))

    def _ask(self, asking: Asking, retry: int) -> None:
        call = self._call(asking, retry)
        ear = Ear(asking, retry, self.now_s)
        if call.retry_count:
            for pilot in self.flying.values():
                other = pilot.call
                if pilot.joinable and other.path == call.path and other.body == call.body:
                    pilot.join(ear)
                    return
        legs = candidates(self._routes, self._providers, call, self._limits)
        if isinstance(legs, NoRoute):
            self.told(_refused(call, asking, legs))
            return
        digest = speak.conversation(call.dialect, call.body)
        sticky = self.affinity.target(digest, self.now_s) if digest else None
        chosen = plan(call, legs, self.board, sticky=sticky)
        pilot = Pilot(
            self, call, Flight(call, chosen, self._policy), last_resort=chosen.last_resort
        )
        self.flying[call.id] = pilot
        self.trace.flew.append(call.id)
        pilot.take_off(ear)

    def _call(self, asking: Asking, retry: int) -> Call:
        self._calls += 1
        body = asking.body()
        peek = speak.peek(asking.dialect, body, asking.path)
        return Call(
            id=f"s{self._calls:06d}",
            at=self.now_s,
            wall=self.wall(),
            dialect=asking.dialect,
            surface=asking.asked_surface,
            path=asking.path,
            query=asking.query,
            headers=asking.headers(retry),
            body=body,
            model=peek.model,
            stream=peek.stream,
            tool="sim",
            retry_count=retry if asking.retries else None,
        )

    def landed(self, pilot: Pilot) -> None:
        """This call is over."""
        self.trace.landed.append(pilot.call.id)
        self.flying.pop(pilot.call.id, None)

    def told(self, told: Told) -> None:
        """Keep what a client was told; let it ask again where an SDK would."""
        self.trace.told.append(told)
        if told.retry >= told.asking.retries or (told.how != "left" and told.status < 400):
            return
        status = 0 if told.how == "left" else told.status
        headers = tuple(told.headers.items()) if status else ()
        wait_s = retries_in_s(status, headers, told.retry, self.wall(), self._dice.random)
        if wait_s is not None:
            self._asks(told.asking, self.now_s + wait_s, told.retry + 1)

    # -------------------------------------------------------------- the beat

    def _beat(self) -> None:
        """Once a second: fold what was learnt, knock where the board wants it, send probes."""
        self.fold()
        for provider in self.board.knocks_due(self.now_s):
            if provider in self._places and provider not in self._knocking:
                self._knocking.add(provider)
                self._knock(provider)
        if self._probing is not None:
            for probe in self._probing.due(self.wall(), self._view(), self._dice.random):
                self._probe(probe)
        if self.now_s < self._until_s:
            self.at(self.now_s + BEAT_S, self._beat)

    # ------------------------------------------------------------ the observatory

    def learn(self, obs: Observation) -> None:
        """Something was learnt: routing hears of it now, everybody else with the next beat."""
        self.board.observe(obs)
        self._inbox.append(obs)

    def fold(self) -> None:
        """The batch of this beat goes into the journal, and the very same batch is folded."""
        batch, self._inbox = merged(self._inbox), []
        self.journal += batch
        for obs in batch:
            if self._probing is not None:
                self._probing.observe(obs)
            for event in self.incidents.observe(obs):
                self.events.append(event)
                self.trace.mark(self.now_s, f"{event.event} {event.incident}")

    def _view(self) -> View:
        alive = [one for one in self.incidents.view(self.wall()) if one.resolved is None]
        return View(
            providers=tuple(self._providers.values()),
            targets=tuple(
                Target(name, model, self._providers[name].key)
                for route in self._routes
                for name, _, model in (target.partition("/") for target in route.targets)
            ),
            suspected=frozenset(s for one in alive if one.opened is None for s in one.segments),
            declared=frozenset(s for one in alive if one.opened is not None for s in one.segments),
        )

    def _probe(self, probe: Probe) -> None:
        self._probes += 1
        asked, place = scout.asked_by(probe), self._places[probe.provider]
        script = place.sim.answer(
            self.now_s,
            probe.dialect or "openai",
            probe.surface,
            probe.model,
            asked.body,
            probe.credential,
            -1_000_000 - self._probes,
        )
        found = scout.read(script, probe, self._weather.rtt_s)
        self.at(self.now_s + found.took_s, lambda: self._probed(probe, found))

    def _probed(self, probe: Probe, found: scout.Found) -> None:
        failure = found.failure
        self.trace.mark(self.now_s, f"probe {probe.provider} {probe.surface} {failure is None}")
        self.learn(
            Observation(
                at=self.now_s,
                wall=self.wall(),
                kind="probe",
                provider=probe.provider,
                surface=probe.surface,
                model=probe.model,
                credential=probe.credential,
                ok=failure is None,
                status=found.status or None,
                failure_kind=failure.kind if failure is not None else "",
                verdict=self._verdict(failure, scout.leg_of(probe)) if failure else None,
                took_s=found.took_s,
            )
        )

    # -------------------------------------------------------------- knocking

    def _knock(self, provider: str) -> None:
        """A bare connection: what happens to a request that begins now says whether it is made."""
        self._knocks += 1
        sim = self._places[provider].sim
        first = sim.answer(self.now_s, "openai", "models", "", b"", "", -self._knocks)[0].does
        wait_s = KNOCK_S if isinstance(first, Blackhole) else self._weather.rtt_s
        ok = not isinstance(first, Blackhole | Refuse)
        self.at(self.now_s + wait_s, lambda: self._knocked(provider, ok=ok))

    def _knocked(self, provider: str, *, ok: bool) -> None:
        self._knocking.discard(provider)
        self.trace.mark(self.now_s, f"knock {provider} {ok}")
        self.learn(
            Observation(
                at=self.now_s,
                wall=self.wall(),
                kind="knock",
                provider=provider,
                surface="",
                model="",
                credential="",
                ok=ok,
            )
        )

    # --------------------------------------------------- the sky of the pilots

    def at(self, when_s: float, do: Callable[[], None]) -> None:
        """Let something happen at this time; of what happens at once, the first asked first."""
        self._count += 1
        heapq.heappush(self._heap, (when_s, self._count, do))

    def wall(self) -> float:
        """UTC now."""
        return WALL_0 + self.now_s

    def before_dial(self, call: Call, command: Dial, *, last_resort: bool) -> None:
        """Note what the board says of the target at this moment; claim its trial."""
        leg = command.leg
        standing = self.board.standing(leg, self.now_s)
        if leg.trial:
            self.board.claim(leg, self.now_s, attempt_id(call, command.attempt))
        self.trace.dialled.append(
            Dialled(
                id=attempt_id(call, command.attempt),
                at_s=self.now_s,
                attempt=command.attempt,
                target=str(leg.target),
                trial=leg.trial,
                last_resort=last_resort,
                rested=standing.rests,
                beside=not standing.open and not standing.rests,
                fresh=command.fresh,
            )
        )
        self.trace.mark(self.now_s, f"{call.id}.{command.attempt} dial {leg.target}")

    def ask(self, leg: Leg, body: bytes, *, stream: bool) -> Script:
        """What the provider does with this request."""
        target = leg.target
        self._numbers[target.provider] += 1
        return self._places[target.provider].sim.answer(
            self.now_s,
            leg.dialect,
            leg.surface,
            target.model,
            body,
            target.credential,
            self._numbers[target.provider],
            stream=stream,
        )

    def link(self, leg: Leg) -> Link:
        """The network to the leg's provider."""
        return self._links[leg.target.provider]

    def stale(self) -> bool:
        """Whether a kept connection is found closed."""
        return self._dice.random() < self._weather.stale

    def vouched(self, call: Call, note: Vouched) -> None:
        """Let the board know of a trial that goes well."""
        name = attempt_id(call, note.attempt)
        self.trace.vouched[name] = note.at
        self.trace.mark(note.at, f"{name} vouched")
        self.board.vouched(note, self.wall(), name)

    def attempt_ended(self, call: Call, note: AttemptEnded, status: int) -> None:
        """Let the board learn from an attempt."""
        leg = note.leg
        if tells_nothing(note):
            if leg.trial:
                self.board.unclaim(leg, attempt_id(call, note.attempt))
            return
        if note.outcome == "ok":
            self.budget.credit(leg.target.provider, note.at)
            digest = speak.conversation(call.dialect, call.body) if leg.stand_in else ""
            if digest:
                self.affinity.note(digest, leg.target, note.at)
        self.learn(observation_of(call, note, status, self.wall()))

    # ------------------------------------------------------------- the policy

    def _verdict(self, failure: Failure, leg: Leg) -> Verdict:
        around = self.board.circumstances(
            leg,
            self.now_s,
            self.wall(),
            retry_after_s=retry_after_s(failure.headers, self.wall(), failure.body),
        )
        return judge(failure, around)

    def _may_retry(self, leg: Leg, at: float) -> bool:
        return self.budget.take(leg.target.provider, at)


def _refused(call: Call, asking: Asking, legs: NoRoute) -> Told:
    """The reply to a call for which nothing is named."""
    headers, body = speak.error_reply(call.dialect, 404, legs.text)
    return Told(
        id=call.id,
        asking=asking,
        at_s=call.at,
        ended_s=call.at,
        first_s=None,
        status=404,
        headers=dict(headers),
        text="",
        error=legs.text,
        body=body,
        how="clean",
        served_by="",
        stand_in=False,
        attempts=0,
        verdict="request;model_not_found;0.99",
        retry=call.retry_count or 0,
    )


def invented_place(
    name: str,
    sim: SimProvider,
    dialects: tuple[Dialect, ...] = ("anthropic", "openai"),
    *,
    models: tuple[ModelFacts, ...] = (),
) -> Place:
    """A place for an invented provider of this name."""
    base_url = f"http://{name}.invalid"
    return Place(Provider(name=name, dialects=dialects, base_url=base_url, models=models), sim)
