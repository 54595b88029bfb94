"""The virtual pilot: carries out what a flight commands, in invented time.

The same order as on real sockets: intent to the ledger, bytes to the target, pieces to the
client, facts to the board. It decides nothing; what the network does is in the provider's script
and in the world's weather.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from holdfast.core.entries import intent_of, settled_of
from holdfast.core.flight import Flight
from holdfast.core.words import declined_status, refusal, sentence
from holdfast.facts.calls import Call, Headers
from holdfast.facts.flights import (
    AttemptEnded,
    Begin,
    Break,
    Decline,
    Dial,
    Event,
    Finish,
    FlightEnded,
    HangUp,
    Left,
    Leg,
    Rang,
    Release,
    Say,
    SayError,
    Started,
    Unfit,
    Vouched,
)
from holdfast.facts.outcomes import Usage
from holdfast.sim.attempt import Air, Attempt
from holdfast.sim.client import Asking, read
from holdfast.sim.trace import How, Told
from holdfast.wire import speak
from holdfast.wire.headers import to_client

# As on real sockets: so long is a call kept in the air whose client may come back and join it.
JOIN_GRACE_S = 0.75


class Ear:
    """One client that listens to a call. `at_s`: since when."""

    __slots__ = ("asking", "at_s", "retry")

    def __init__(self, asking: Asking, retry: int, at_s: float) -> None:
        self.asking = asking
        self.retry = retry
        self.at_s = at_s


class Sky(Air, Protocol):
    """What a pilot needs of the world around it, besides what an attempt does."""

    def wall(self) -> float: ...
    def before_dial(self, call: Call, command: Dial, *, last_resort: bool) -> None: ...
    def vouched(self, call: Call, note: Vouched) -> None: ...
    def attempt_ended(self, call: Call, note: AttemptEnded, status: int) -> None: ...
    def landed(self, pilot: Pilot) -> None: ...
    def told(self, told: Told) -> None: ...


class Pilot:
    """Flies one call in invented time, for the clients that listen to it."""

    __slots__ = (
        "_attempt",
        "_ears",
        "_first_s",
        "_grace",
        "_headers",
        "_how",
        "_last_resort",
        "_ring_s",
        "_said",
        "_served",
        "_sky",
        "_stand_in",
        "_status",
        "call",
        "flight",
    )

    def __init__(
        self, sky: Sky, call: Call, flight: Flight, *, last_resort: tuple[Leg, ...]
    ) -> None:
        self._sky = sky
        self.call = call
        self.flight = flight
        self._ears: list[Ear] = []
        # Counts the times that somebody came or left: a grace that was begun before is void.
        self._grace = 0
        self._last_resort = last_resort
        self._attempt: Attempt | None = None
        self._ring_s: float | None = None
        # What its clients have got so far.
        self._status = 0
        self._headers: Headers = ()
        self._said: list[bytes] = []
        self._first_s: float | None = None
        self._how: How | None = None
        self._served = ""
        self._stand_in = False

    def take_off(self, ear: Ear) -> None:
        """Begin, for this client."""
        self.join(ear)
        self.feed(Started(self._sky.now_s))

    # ----------------------------------------------------------- the clients

    @property
    def joinable(self) -> bool:
        """Whether a client's own retry may listen to this call instead of starting another."""
        return self.call.retry_count is not None

    def join(self, ear: Ear) -> None:
        """Let one more client listen, from the first byte on."""
        self._grace += 1
        self._ears.append(ear)
        patience_s = ear.asking.patience_s
        if patience_s is not None:
            self._sky.at(self._sky.now_s + patience_s, lambda: self._leave(ear))

    def _leave(self, ear: Ear) -> None:
        """A client lost its patience; the last one ends the call, if after a moment's grace."""
        if ear not in self._ears:
            return
        self._ears.remove(ear)
        self._grace += 1
        self._tell(ear, "left", "")
        if self._ears:
            return
        if self.joinable:
            grace, sky = self._grace, self._sky
            sky.at(sky.now_s + JOIN_GRACE_S, lambda: self._nobody_came(grace))
        else:
            self.feed(Left(self._sky.now_s))

    def _nobody_came(self, grace: int) -> None:
        if grace == self._grace:
            self.feed(Left(self._sky.now_s))

    # --------------------------------------------------------------- obeying

    def feed(self, event: Event) -> None:
        """Give the flight one event and carry out what it commands."""
        for command in self.flight.handle(event):
            _OBEY[type(command)](self, command)
        self._arm()

    def _arm(self) -> None:
        deadline = self.flight.deadline
        if deadline is not None and (self._ring_s is None or deadline < self._ring_s):
            self._ring_s = deadline
            self._sky.at(deadline, lambda: self._ring(deadline))

    def _ring(self, when_s: float) -> None:
        if self._ring_s == when_s:
            self._ring_s = None
            self.feed(Rang(self._sky.now_s))

    def _dial(self, command: Dial) -> None:
        sky, call, leg = self._sky, self.call, command.leg
        try:
            outgoing = speak.compose(call, leg, sky.crossings)
        except speak.CannotCrossError as reason:
            self.feed(Unfit(sky.now_s, command.attempt, str(reason)))
            return
        sky.before_dial(call, command, last_resort=any(leg is one for one in self._last_resort))
        intent = intent_of(call, leg, command.attempt, sky.wall(), len(outgoing.body), leg.why)
        sky.trace.intents[intent.id] = intent
        self._attempt = Attempt(sky, call, leg, command.attempt, self.feed)
        # As the door of a provider has it: one dialect says in the path that it wants a stream.
        stream = ":stream" in outgoing.path
        self._attempt.begin(outgoing.body, fresh=command.fresh, stream=stream)

    def _hang_up(self, _: HangUp) -> None:
        self._now.hang_up()

    def _release(self, _: Release) -> None:
        self._now.release()

    @property
    def _now(self) -> Attempt:
        assert self._attempt is not None  # noqa: S101 - the flight commands what it dialled
        return self._attempt

    # -------------------------------------------------------------- replying

    def _begin(self, command: Begin) -> None:
        attempt = self._now
        own = attempt.tap.head if attempt.tap is not None else None
        self._status = command.status
        self._headers = to_client(attempt.head if own is None else own)
        self._first_s = self._sky.now_s
        self._served, self._stand_in = str(attempt.leg.target), attempt.leg.stand_in
        self._sky.trace.mark(self._sky.now_s, f"{self.call.id} begin {self._served}")

    def _say(self, command: Say) -> None:
        self._said.append(command.data)
        self._sky.trace.mark(self._sky.now_s, self.call.id, command.data)

    def _say_error(self, command: SayError) -> None:
        data = command.data
        if not data:
            text = sentence(command.verdict, self._served)
            data = speak.error_event(self.call.dialect, 529, text, self.call.query)
        self._said.append(data)

    def _finish(self, _: Finish) -> None:
        self._how = self._how or "clean"

    def _break(self, _: Break) -> None:
        self._how = self._how or "broken"

    def _decline(self, command: Decline) -> None:
        dialect = self.call.dialect
        status = declined_status(command.verdict, speak.overload_status(dialect))
        text = refusal(command)
        self._status, self._headers, data = speak.declined(dialect, command, status, text)
        self._said = [data]
        self._how = self._how or "clean"

    # -------------------------------------------------------------- the facts

    def _vouched(self, note: Vouched) -> None:
        self._sky.vouched(self.call, note)

    def _attempt_ended(self, note: AttemptEnded) -> None:
        if note.outcome == "unfit":
            return  # no intent was written: nothing left the machine
        sky, call, attempt = self._sky, self.call, self._now
        settled = settled_of(
            call,
            note,
            self._status or None,
            sky.wall(),
            usage=attempt.tap.usage if attempt.tap is not None else Usage(),
            bytes_in=attempt.bytes_in,
        )
        if settled.id in sky.trace.settled:
            sky.trace.settled_twice.append(settled.id)
        sky.trace.settled[settled.id] = settled
        sky.trace.mark(note.at, f"{settled.id} {note.outcome} {settled.failure_kind}")
        sky.attempt_ended(call, note, attempt.status)

    def _flight_ended(self, note: FlightEnded) -> None:
        sky, ears = self._sky, self._ears
        sky.trace.mark(note.at, f"{self.call.id} {note.outcome}")
        sky.landed(self)
        self._ears = []
        for ear in ears:
            self._tell(ear, self._how or "broken", str(note.verdict or ""))

    def _tell(self, ear: Ear, how: How, verdict: str) -> None:
        """Note what this client has been told by now."""
        call, now_s = self.call, self._sky.now_s
        data = b"".join(self._said)
        failed = self._status >= 400
        text, error = read(call.dialect, data, stream=call.stream and not failed)
        told = Told(
            id=call.id,
            asking=ear.asking,
            at_s=ear.at_s,
            ended_s=now_s,
            first_s=None if self._first_s is None else max(self._first_s, ear.at_s),
            status=self._status,
            headers=dict(self._headers),
            text=text,
            error=error,
            body=data,
            how=how,
            served_by=self._served,
            stand_in=self._stand_in,
            attempts=self.flight.attempts,
            verdict=verdict,
            retry=ear.retry,
        )
        self._sky.told(told)


# The class's own table, outside it because it names its methods.
# ruff: noqa: SLF001
_OBEY: dict[type, Callable[[Pilot, Any], None]] = {
    Dial: Pilot._dial,
    HangUp: Pilot._hang_up,
    Release: Pilot._release,
    Begin: Pilot._begin,
    Say: Pilot._say,
    Finish: Pilot._finish,
    Break: Pilot._break,
    Decline: Pilot._decline,
    SayError: Pilot._say_error,
    Vouched: Pilot._vouched,
    AttemptEnded: Pilot._attempt_ended,
    FlightEnded: Pilot._flight_ended,
}
