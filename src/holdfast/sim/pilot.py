"""The virtual pilot: carries out what a flight commands, in invented time.

The same order as on real sockets: intent to the ledger, bytes to the target, pieces to the
client, facts to the board. It decides nothing; what the network does is in the provider's script
and in the world's weather.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from holdfast.core.flight import Flight
from holdfast.core.words import DECLINED_STATUS, refusal, sentence
from holdfast.facts.calls import Call, Headers
from holdfast.facts.flights import (
    AttemptEnded,
    Begin,
    Break,
    Closed,
    Decline,
    Dial,
    Event,
    Failed,
    Finish,
    FlightEnded,
    HangUp,
    Heard,
    Intent,
    Left,
    Leg,
    Opened,
    Rang,
    Release,
    Say,
    SayError,
    Sent,
    Settled,
    Started,
    Unfit,
)
from holdfast.facts.outcomes import Failure, FailureKind, Usage, Where
from holdfast.sim.client import Asking, read
from holdfast.sim.script import (
    Blackhole,
    Bytes,
    Cut,
    End,
    Fin,
    Head,
    Refuse,
    Script,
    Stall,
)
from holdfast.sim.trace import How, Seen, Told, Trace
from holdfast.wire import speak
from holdfast.wire.headers import to_client
from holdfast.wire.tap import Tap

# As on real sockets: so long is a call kept in the air whose client may come back and join it.
JOIN_GRACE_S = 0.75


class Ear:
    """One client that listens to a call. `at_s`: since when."""

    __slots__ = ("asking", "at_s", "retry")

    def __init__(self, asking: Asking, retry: int, at_s: float) -> None:
        self.asking = asking
        self.retry = retry
        self.at_s = at_s


class Link(Protocol):
    """The network between the gateway and one provider. `kept`: connections that wait for use."""

    rtt_s: float
    kept: int

    def split(self, data: bytes) -> list[bytes]: ...


class Sky(Protocol):
    """What a pilot needs of the world around it."""

    now_s: float
    trace: Trace

    def at(self, when_s: float, do: Callable[[], None]) -> None: ...
    def wall(self) -> float: ...
    def before_dial(self, call: Call, command: Dial, *, last_resort: bool) -> None: ...
    def ask(self, leg: Leg, body: bytes) -> Script: ...
    def link(self, leg: Leg) -> Link: ...
    def stale(self) -> bool: ...
    def attempt_ended(self, call: Call, note: AttemptEnded, status: int) -> None: ...
    def landed(self, pilot: Pilot) -> None: ...
    def told(self, told: Told) -> None: ...


class Pilot:
    """Flies one call in invented time, for the clients that listen to it."""

    __slots__ = (
        "_attempt",
        "_bytes_in",
        "_ears",
        "_first_s",
        "_grace",
        "_head",
        "_headers",
        "_how",
        "_index",
        "_last_resort",
        "_leg",
        "_line",
        "_ring_s",
        "_said",
        "_script",
        "_served",
        "_sky",
        "_stand_in",
        "_status",
        "_tap",
        "_upstream_status",
        "call",
        "flight",
    )

    def __init__(self, sky: Sky, call: Call, flight: Flight, *, last_resort: bool) -> None:
        self._sky = sky
        self.call = call
        self.flight = flight
        self._ears: list[Ear] = []
        # Counts the times that somebody came or left: a grace that was begun before is void.
        self._grace = 0
        self._last_resort = last_resort
        self._attempt = 0
        # The attempt whose connection is open; 0 for none.
        self._line = 0
        self._leg: Leg | None = None
        self._tap: Tap | None = None
        self._script: Script = ()
        self._index = 0
        self._head: Headers = ()
        self._upstream_status = 0
        self._bytes_in = 0
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

    # ---------------------------------------------------------- the upstream

    def _connected(self, attempt: int) -> None:
        if self._line != attempt:
            return
        sky = self._sky
        leg = self._leg_now()
        sky.trace.saw.append(
            Seen(
                at_s=sky.now_s,
                provider=leg.target.provider,
                surface=leg.surface,
                id=f"{self.call.id}.{attempt}",
            )
        )
        self.feed(Sent(sky.now_s, attempt))
        self._later(attempt, sky.link(leg).rtt_s)

    def _later(self, attempt: int, extra_s: float = 0.0) -> None:
        """The script's next step, in its time."""
        if self._index < len(self._script):
            when_s = self._sky.now_s + self._script[self._index].wait_s + extra_s
            self._sky.at(when_s, lambda: self._steps(attempt))

    def _steps(self, attempt: int) -> None:
        """The next step and those that follow it at once."""
        while self._line == attempt and self._index < len(self._script):
            does = self._script[self._index].does
            self._index += 1
            _STEPS[type(does)](self, attempt, does)
            if self._index < len(self._script) and self._script[self._index].wait_s > 0:
                break
        if self._line == attempt:
            self._later(attempt)

    def _headed(self, attempt: int, does: Head) -> None:
        leg = self._leg_now()
        self._head, self._upstream_status = does.headers, does.status
        self._tap = speak.tap(self.call, leg, does.status, does.headers)
        self.feed(Opened(self._sky.now_s, attempt, does.status))

    def _wrote(self, attempt: int, does: Bytes) -> None:
        for part in self._sky.link(self._leg_now()).split(does.data):
            tap = self._tap
            if tap is None or self._line != attempt:
                return
            self._bytes_in += len(part)
            pieces = tap.feed(part)
            if pieces:
                self.feed(Heard(self._sky.now_s, attempt, pieces))

    def _ended(self, attempt: int, _: End) -> None:
        if self._tap is None:
            return
        pieces = self._tap.close()
        if pieces:
            self.feed(Heard(self._sky.now_s, attempt, pieces))
        self.feed(Closed(self._sky.now_s, attempt))

    def _cut(self, attempt: int, does: Cut | Fin) -> None:
        how = "reset" if isinstance(does, Cut) else "closed"
        if self._tap is None:
            text = f"the connection was {how} before an answer"
            self._fail(attempt, "reset", "before_headers", text)
        else:
            self._fail(attempt, "truncated", "body", f"the connection was {how} in mid-answer")

    def _stalled(self, attempt: int, _: Stall) -> None:
        """Nothing more comes."""
        del attempt

    def _fail(self, attempt: int, kind: FailureKind, where: Where, text: str) -> None:
        if self._line == attempt:
            self._line = 0
            failure = Failure(kind=kind, where=where, text=text)
            self.feed(Failed(self._sky.now_s, attempt, failure))

    def _leg_now(self) -> Leg:
        leg = self._leg
        assert leg is not None  # noqa: S101 - an attempt is under way
        return leg

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
        sky, call, leg, attempt = self._sky, self.call, command.leg, command.attempt
        self._attempt, self._leg, self._tap, self._index = attempt, leg, None, 0
        self._bytes_in, self._upstream_status = 0, 0
        try:
            outgoing = speak.compose(call, leg)
        except speak.CannotCrossError as reason:
            self.feed(Unfit(sky.now_s, attempt, str(reason)))
            return
        sky.before_dial(call, command, last_resort=self._last_resort)
        self._intend(leg, attempt, len(outgoing.body))
        self._line = attempt
        link = sky.link(leg)
        rtt_s = link.rtt_s
        kept = not command.fresh and link.kept > 0
        if kept:
            link.kept -= 1
            if sky.stale():
                sky.at(sky.now_s + rtt_s, lambda: self._found_stale(attempt))
                return
        self._script = sky.ask(leg, outgoing.body)
        first = self._script[0].does
        if isinstance(first, Refuse):
            sky.at(sky.now_s + rtt_s, lambda: self._refused(attempt))
        elif not isinstance(first, Blackhole):
            wait_s = 0.0 if kept else rtt_s
            sky.at(sky.now_s + wait_s, lambda: self._connected(attempt))

    def _refused(self, attempt: int) -> None:
        target = self._leg_now().target
        self._fail(attempt, "refused", "connect", f"connection refused by {target.provider}")

    def _found_stale(self, attempt: int) -> None:
        text = "a kept connection was closed before an answer"
        self._fail(attempt, "stale", "before_headers", text)

    def _intend(self, leg: Leg, attempt: int, size: int) -> None:
        call, target = self.call, leg.target
        id_ = f"{call.id}.{attempt}"
        self._sky.trace.intents[id_] = Intent(
            id=id_,
            exchange=call.id,
            attempt=attempt,
            wall=self._sky.wall(),
            provider=target.provider,
            model=target.model,
            surface=leg.surface,
            credential=target.credential,
            asked_model=call.model,
            tool=call.tool,
            bytes_out=size,
            why=leg.why,
        )

    def _hang_up(self, _: HangUp) -> None:
        self._line = 0

    def _release(self, _: Release) -> None:
        self._line = 0
        self._sky.link(self._leg_now()).kept += 1

    # -------------------------------------------------------------- replying

    def _begin(self, command: Begin) -> None:
        leg, tap = self._leg_now(), self._tap
        own = tap.head if tap is not None else None
        self._status = command.status
        self._headers = to_client(self._head if own is None else own)
        self._first_s = self._sky.now_s
        self._served, self._stand_in = str(leg.target), leg.stand_in
        self._sky.trace.mark(self._sky.now_s, f"{self.call.id} begin {self._served}")

    def _say(self, command: Say) -> None:
        self._said.append(command.data)
        self._sky.trace.mark(self._sky.now_s, self.call.id, command.data)

    def _say_error(self, command: SayError) -> None:
        data = command.data
        if not data:
            text = sentence(command.verdict, self._served)
            data = speak.error_event(self.call.dialect, 529, text)
        self._said.append(data)

    def _finish(self, _: Finish) -> None:
        self._how = self._how or "clean"

    def _break(self, _: Break) -> None:
        self._how = self._how or "broken"

    def _decline(self, command: Decline) -> None:
        failure, extra = command.failure, []
        if command.retry_after_s is not None:
            extra.append((b"retry-after", b"%d" % max(1, round(command.retry_after_s))))
        if command.should_retry is not None:
            extra.append((b"x-should-retry", b"true" if command.should_retry else b"false"))
        if failure is not None and failure.status is not None:
            self._status, data = failure.status, failure.body
            self._headers = (*to_client(failure.headers), *extra)
        else:
            self._status = DECLINED_STATUS.get(command.verdict.whose, 503)
            head, data = speak.error_reply(self.call.dialect, self._status, refusal(command))
            self._headers = (*head, *extra)
        self._said = [data]
        self._how = self._how or "clean"

    # -------------------------------------------------------------- the facts

    def _attempt_ended(self, note: AttemptEnded) -> None:
        if note.outcome == "unfit":
            return  # no intent was written: nothing left the machine
        trace, call, tap = self._sky.trace, self.call, self._tap
        id_ = f"{call.id}.{note.attempt}"
        if id_ in trace.settled:
            trace.settled_twice.append(id_)
        failure, verdict = note.failure, note.verdict
        trace.settled[id_] = Settled(
            id=id_,
            outcome=note.outcome,
            wall=self._sky.wall(),
            status=failure.status if failure is not None else (self._status or None),
            failure_kind=failure.kind if failure is not None else "",
            failure_text=failure.text if failure is not None else "",
            verdict=str(verdict) if verdict is not None else "",
            because=verdict.because if verdict is not None else (),
            usage=tap.usage if tap is not None else Usage(),
            times=note.times,
            bytes_in=self._bytes_in,
        )
        trace.mark(note.at, f"{id_} {note.outcome} {failure.kind if failure else ''}")
        self._sky.attempt_ended(call, note, self._upstream_status)

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
            body=data if failed else b"",
            how=how,
            served_by=self._served,
            stand_in=self._stand_in,
            attempts=self.flight.attempts,
            verdict=verdict,
            retry=ear.retry,
        )
        self._sky.told(told)


# The class's own tables, outside it because they name its methods.
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
    AttemptEnded: Pilot._attempt_ended,
    FlightEnded: Pilot._flight_ended,
}
_STEPS: dict[type, Callable[[Pilot, int, Any], None]] = {
    Head: Pilot._headed,
    Bytes: Pilot._wrote,
    End: Pilot._ended,
    Cut: Pilot._cut,
    Fin: Pilot._cut,
    Stall: Pilot._stalled,
}
