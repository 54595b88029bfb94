"""One pilot for each call: carries out what the flight commands, on real connections.

A pilot decides nothing. It turns what sockets do into events, feeds the flight, and obeys. It is
all callbacks on the loop's thread: a call costs no task and no future. The order is that of one
list: intent to the ledger, bytes to the target, pieces to the client, facts to the board.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from holdfast.core.entries import (
    attempt_id,
    exchange_of,
    intent_of,
    observation_of,
    settled_of,
    tells_nothing,
)
from holdfast.core.flight import Flight
from holdfast.core.words import ascii_header, because_of, declined_status, refusal, sentence
from holdfast.facts.calls import Call, Headers
from holdfast.facts.fingerprints import Evidence
from holdfast.facts.flights import (
    Answered,
    AttemptEnded,
    Begin,
    Break,
    Closed,
    Command,
    Decline,
    Dial,
    Event,
    Failed,
    Finish,
    FlightEnded,
    HangUp,
    Heard,
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
    Stopping,
    Unfit,
    Vouched,
)
from holdfast.facts.losses import Lost
from holdfast.facts.outcomes import Failure, Usage
from holdfast.net.audience import Audience
from holdfast.net.caller import Caller
from holdfast.net.desk import Desk
from holdfast.net.dial import Line
from holdfast.net.mask import masked_failure, masked_pieces
from holdfast.net.onward import onward, signature
from holdfast.net.reply import Lines, Reply
from holdfast.wire import speak
from holdfast.wire.headers import lost_told, lost_value
from holdfast.wire.marks import marks_of, shape_of
from holdfast.wire.tap import Tap

# A client's own retry comes back within half a second (both SDKs: 0.5 s less up to a quarter);
# a call that such a client left is kept this long, so that the retry can join it.
JOIN_GRACE_S = 0.75


class Pilot:
    """Flies one call. It is the `Sink` of the attempt under way."""

    __slots__ = (
        "_attempt",
        "_bytes_in",
        "_bytes_out",
        "_desk",
        "_grace",
        "_head",
        "_leg",
        "_line",
        "_lost",
        "_paused",
        "_places",
        "_secret",
        "_slowed",
        "_status",
        "_tap",
        "_unsettled",
        "audience",
        "call",
        "caller",
        "flight",
        "on_crash",
        "plan_because",
        "sent_count",
    )

    def __init__(
        self,
        desk: Desk,
        call: Call,
        caller: Caller,
        flight: Flight,
        reply: Reply,
        *,
        because: str = "",
        slowed_s: float = 0.0,
    ) -> None:
        """`slowed_s`: how long it was made to wait before it was given to this pilot."""
        self._desk = desk
        self.call = call
        self.caller = caller
        self.flight = flight
        self.plan_because = because
        audience = self.audience = Audience(reply, keeps=call.retry_count is not None)
        audience.on_gone = self._gone
        audience.on_pace = self._flow
        self.on_crash: Callable[[Pilot, Exception], None] | None = None
        self._places = desk.places  # those of now: it ends by the configuration it began with
        self._attempt = 0
        self.sent_count = 0  # attempts that the book knows to have left
        self._unsettled = False  # whether the book waits for this attempt's end
        self._leg: Leg | None = None
        self._line: Line | None = None
        self._tap: Tap | None = None
        self._head: Headers = ()
        self._lost: tuple[Lost, ...] = ()  # what of the request did not reach this target
        self._slowed: Headers = ()
        if slowed_s:
            self._slowed = ((b"x-holdfast-slowed", b"%d" % max(1, round(slowed_s))),)
        self._secret: bytes | None = None
        self._grace: asyncio.TimerHandle | None = None
        self._paused = False
        self._status = 0
        self._bytes_in = 0
        self._bytes_out = 0

    def take_off(self) -> None:
        """Begin. Everything else comes by callbacks."""
        self._desk.flying.add(self)
        self._feed_safely(Started(self.call.at))

    # ------------------------------------------------------------ the Sink

    # Each is supervised: what breaks in here ends this call and nothing else.

    def sent(self, reused: bool) -> None:  # noqa: ARG002, FBT001 - the dialler's evidence
        try:
            self.feed(Sent(self._desk.clock(), self._attempt))
        except Exception as error:  # noqa: BLE001 - supervisor: the house fails open
            self._crashed(error)

    def head(self, status: int, headers: Headers) -> None:
        try:
            self._head_came(status, headers)
        except Exception as error:  # noqa: BLE001 - the same
            self._crashed(error)

    def body(self, data: bytes) -> None:
        try:
            self._body_came(data)
        except Exception as error:  # noqa: BLE001 - the same
            self._crashed(error)

    def ended(self) -> None:
        try:
            self._body_ended()
        except Exception as error:  # noqa: BLE001 - the same
            self._crashed(error)

    def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """In place of the three before, where the answer came in one piece."""
        try:
            self._answer_came(status, headers, body)
        except Exception as error:  # noqa: BLE001 - the same
            self._crashed(error)

    def broke(self, failure: Failure) -> None:
        try:
            failure = masked_failure(failure, self._secret)
            self.feed(Failed(self._desk.clock(), self._attempt, failure))
        except Exception as error:  # noqa: BLE001 - the same
            self._crashed(error)

    def _feed_safely(self, event: Event) -> None:
        try:
            self.feed(event)
        except Exception as error:  # noqa: BLE001 - the same
            self._crashed(error)

    def _crashed(self, error: Exception) -> None:
        desk = self._desk
        if self not in desk.flying:
            return
        desk.flying.discard(self)
        self.flight.land()
        if self._grace is not None:
            self._grace.cancel()
        line = self._part()
        if line is not None:
            line.hang_up()
        with suppress(Exception):  # what broke may be the book; the client is answered all the same
            self._settle_unknown()
        # Those who listen are handed on: whoever takes them is told when they leave.
        self.audience.on_gone = self.audience.on_pace = None
        if self.on_crash is not None:
            self.on_crash(self, error)

    def _settle_unknown(self) -> None:
        """What was sent and is not followed any more."""
        desk, name = self._desk, attempt_id(self.call, self._attempt)
        if self._leg is not None and self._leg.trial:
            desk.board.unclaim(self._leg, name)
        if self._unsettled:
            desk.promise()
            desk.book.settle(Settled(id=name, outcome="unknown", wall=desk.wall()))

    def _head_came(self, status: int, headers: Headers) -> None:
        if self._leg is not None:
            self._tap = self._tapped(self._leg, status, headers)
            self.feed(Opened(self._desk.clock(), self._attempt, status))

    def _tapped(self, leg: Leg, status: int, headers: Headers) -> Tap:
        """The tap for an answer with this head."""
        self._head = headers
        if self._line is not None and not self._line.reused:
            self._desk.shown(leg.target.provider, leg.surface, self._line.evidence)
        return speak.tap(self.call, leg, status, headers, self._desk.crossings)

    def _answer_came(self, status: int, headers: Headers, body: bytes) -> None:
        leg = self._leg
        if leg is None:
            return
        tap = self._tap = self._tapped(leg, status, headers)
        self._line = None  # it has gone home
        self._bytes_in += len(body)
        pieces = [*tap.feed(body), *tap.close()]
        if pieces:
            pieces = masked_pieces(pieces, self._secret)
        self.feed(Answered(self._desk.clock(), self._attempt, status, pieces))

    def _body_came(self, data: bytes) -> None:
        tap = self._tap
        if tap is None:
            return
        self._bytes_in += len(data)
        pieces = tap.feed(data)
        if pieces:
            self.feed(Heard(self._desk.clock(), self._attempt, masked_pieces(pieces, self._secret)))

    def _body_ended(self) -> None:
        tap, attempt = self._tap, self._attempt
        if tap is None:
            return
        pieces = tap.close()
        at = self._desk.clock()
        if pieces:
            self.feed(Heard(at, attempt, masked_pieces(pieces, self._secret)))
        if self._line is not None:  # else that was the end of it
            self.feed(Closed(at, attempt))

    # ------------------------------------------------------------ the client

    def join(self, reply: Reply) -> None:
        """Attach a client's own retry to this call: it gets the answer from its first byte."""
        if self in self._desk.kept:
            self.audience.repeat(reply)
            return
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None
        self.audience.join(reply)
        self._flow()

    def _gone(self) -> None:
        if self.audience.replies:
            self._flow()  # it may have been the slow one
            return
        if self not in self._desk.flying:
            return
        if self.audience.joinable:
            loop = asyncio.get_running_loop()
            self._grace = loop.call_later(JOIN_GRACE_S, self._leave)
        else:
            self._leave()

    def _leave(self) -> None:
        self._grace = None
        self._desk.kept.discard(self)
        if not self.audience.replies:
            self._feed_safely(Left(self._desk.clock()))

    def _flow(self) -> None:
        """Read from the target only while every client takes what it is given."""
        writable = self.audience.writable
        if self._line is not None and writable == self._paused:
            self._paused = not writable
            (self._line.resume if writable else self._line.pause)()
            self._be_patient()

    def _be_patient(self) -> None:
        """Wait for the target anew: while a client does not read, its silence is our doing."""
        self.flight.wait_anew(self._desk.clock())
        if self.flight.deadline is not None:
            self._desk.wake_by(self.flight.deadline)

    # -------------------------------------------------------------- obeying

    def feed(self, event: Event) -> None:
        """Give the flight one event and carry out what it commands."""
        flight = self.flight
        commands = flight.handle(event)
        if commands:
            self._obey(commands)
        deadline = flight.deadline
        if deadline is not None and deadline < self._desk.alarm_at:
            self._desk.wake_by(deadline)

    def ring(self, now: float) -> None:
        """The flight's deadline has come."""
        if self._paused:
            self._be_patient()
            return
        self._feed_safely(Rang(now))

    def stop(self) -> None:
        """The house closes, and this call's time to end by itself is over."""
        at = self._desk.clock()
        self._desk.flying.add(self)  # it may not even have taken off
        self._feed_safely(Stopping(at) if self.audience.replies else Left(at))

    def _obey(self, commands: Sequence[Command]) -> None:
        if (
            len(commands) > 2
            and type(commands[0]) is Begin
            and type(commands[1]) is Say
            and type(commands[2]) is Finish
        ):
            self._send_whole(commands[0], commands[1].data)
            commands = commands[3:]
        for command in commands:
            _OBEY[type(command)](self, command)

    def _finish(self, _: Finish) -> None:
        self.audience.finish()

    def _break(self, _: Break) -> None:
        self.audience.break_()

    def _hang_up(self, _: HangUp) -> None:
        line = self._part()
        if line is not None:
            line.hang_up()

    def _release(self, _: Release) -> None:
        line = self._part()
        if line is not None:
            line.release()

    def _part(self) -> Line | None:
        line, self._line = self._line, None
        self._paused = False
        return line

    def _dial(self, command: Dial) -> None:
        desk, call, leg = self._desk, self.call, command.leg
        self._attempt, self._leg, self._tap = command.attempt, leg, None
        self._head = ()
        self._bytes_in = 0
        place = self._places.get(leg.target.provider)
        at = desk.clock()
        if place is None:
            self.feed(Unfit(at, command.attempt, "it is no longer in the configuration"))
            return
        try:
            outgoing = speak.compose(call, leg, desk.crossings)
        except speak.CannotCrossError as reason:
            self.feed(Unfit(at, command.attempt, str(reason)))
            return
        try:
            self._secret, headers = place.dressed(
                self.caller, leg.dialect, outgoing.headers, outgoing.without
            )
        except PermissionError as reason:
            self.feed(Unfit(at, command.attempt, str(reason)))
            return
        if leg.trial:
            desk.board.claim(leg, at, attempt_id(call, command.attempt))
        desk.intend(intent_of(call, leg, command.attempt, desk.wall(), len(outgoing.body), leg.why))
        self.sent_count += 1
        self._unsettled = True
        self._lost = outgoing.lost
        line = self._line = desk.dialer.ask(
            place.origin,
            call.method,
            place.prefix + outgoing.path,
            headers,
            outgoing.body,
            self,
            connect_s=leg.limits.connect_s,
            fresh=command.fresh,
            # Local engines have been seen to close a kept connection under the next request.
            keep=not leg.local,
            announce=False,
            whole=self.whole,
        )
        if line.reused:  # the word of it would come from within `ask`, before there was a line
            line.announced = True
            self.feed(Sent(at, command.attempt))

    # ------------------------------------------------------------- replying

    def _ours(self, attempt: int) -> Headers:
        ours: Headers = (
            (b"x-holdfast-exchange", self.call.id.encode()),
            (b"x-holdfast-attempts", b"%d" % self.flight.attempts),
        )
        if self._slowed:
            ours += self._slowed
        leg = self._leg
        if not attempt or leg is None:
            return ours
        found = self._losses()
        lost = ((b"x-holdfast-lost", lost_value(found)),) if found else ()
        return ours + signature(leg.target, leg.stand_in) + lost

    def _losses(self) -> tuple[Lost, ...]:
        """What of the request did not reach this target, and of its answer not the client."""
        tap = self._tap
        return self._lost + tap.lost if tap is not None and tap.lost else self._lost

    def _reply_headers(self, attempt: int) -> Headers | Lines:
        tap = self._tap
        own = tap.head if tap is not None else None
        return onward(self._head if own is None else own, self._secret, self._ours(attempt))

    def _send_whole(self, begin: Begin, data: bytes) -> None:
        headers = self._reply_headers(begin.attempt)
        self._status = begin.status
        self._bytes_out += len(data)
        self.audience.send(begin.status, headers, data)

    def _begin(self, command: Begin) -> None:
        self._status = command.status
        self.audience.begin(command.status, self._reply_headers(command.attempt))

    def _tell(self, command: Say) -> None:
        self._say(command.data)

    def _say(self, data: bytes) -> None:
        self._bytes_out += len(data)
        if not self.audience.say(data):
            self._flow()

    def _say_error(self, command: SayError) -> None:
        data = command.data
        if not data:
            text = sentence(command.verdict, f"{self._leg.target}" if self._leg else "")
            data = speak.error_event(self.call.dialect, 529, text, self.call.query)
        self._say(data)

    def _decline(self, command: Decline) -> None:
        dialect, verdict = self.call.dialect, command.verdict
        ours = (*self._ours(0), (b"x-holdfast-verdict", ascii_header(str(verdict))))
        status = declined_status(verdict, speak.overload_status(dialect))
        text = refusal(command, self._desk.outlook(command))
        self._status, headers, data = speak.declined(dialect, command, status, text, ours)
        self._bytes_out += len(data)
        self.audience.send(self._status, headers, data)

    # -------------------------------------------------------------- the facts

    def _vouched(self, note: Vouched) -> None:
        desk = self._desk
        desk.board.vouched(note, desk.wall(), attempt_id(self.call, note.attempt))

    def _attempt_ended(self, note: AttemptEnded) -> None:
        if note.outcome == "unfit":
            return  # no intent was written: nothing left the machine
        desk, call, leg, target = self._desk, self.call, note.leg, note.leg.target
        tap, failure, status, wall = self._tap, note.failure, self._status or None, desk.wall()
        if failure is not None and failure.status is not None:
            desk.shown(target.provider, leg.surface, answered(failure))
        usage = tap.usage if tap is not None else Usage()
        lost = self._losses()
        told = lost_told(lost) if lost else ()
        desk.book.settle(
            settled_of(call, note, status, wall, usage=usage, bytes_in=self._bytes_in, lost=told)
        )
        self._unsettled = False
        if tells_nothing(note):
            if leg.trial:
                desk.board.unclaim(leg, attempt_id(call, note.attempt))
            return
        if note.outcome == "ok":
            desk.credit(target.provider, note.at)
            if leg.stand_in:
                desk.affinity(call, leg, note.at)
            leaf = (target.provider, leg.surface, target.model, target.credential)
            usual = not (leg.trial or leg.stand_in)
            if usual and desk.counted(leaf, note.at, wall, status, note.times):
                return
        desk.observe(observation_of(call, note, status, wall))

    def _flight_ended(self, note: FlightEnded) -> None:
        desk, call = self._desk, self.call
        if self._grace is not None and note.outcome == "ok" and self.audience.joinable:
            desk.kept.add(self)  # until the grace is over
        elif self._grace is not None:
            self._grace.cancel()
            self._grace = None
        desk.flying.discard(self)
        if call.stream and note.outcome in ("ok", "broken"):
            told = note.outcome == "ok" and (self._tap is None or self._tap.stopped)
            desk.streamed(call, note.at, whole=told)
        verdict = note.verdict
        desk.book.record(
            exchange_of(
                call,
                note.outcome,
                self._status,
                duration_s=note.at - call.at,
                attempts=note.attempts,
                served_by=str(note.served_by) if note.served_by is not None else "",
                stand_in=note.stand_in,
                verdict=str(verdict) if verdict is not None else "",
                because=because_of(self.plan_because, note.unasked),
                bytes_out=self._bytes_out,
            )
        )
        self.audience.let_go()


def answered(failure: Failure) -> Evidence:
    """What an error shows of who answered it."""
    return Evidence(headers=marks_of(failure.headers), error=shape_of(failure.body))


# The class's own table, outside it because it names its methods.
# ruff: noqa: SLF001
_OBEY: dict[type, Callable[[Pilot, Any], None]] = {
    Say: Pilot._tell,
    Begin: Pilot._begin,
    Finish: Pilot._finish,
    Dial: Pilot._dial,
    Vouched: Pilot._vouched,
    AttemptEnded: Pilot._attempt_ended,
    FlightEnded: Pilot._flight_ended,
    HangUp: Pilot._hang_up,
    Release: Pilot._release,
    SayError: Pilot._say_error,
    Break: Pilot._break,
    Decline: Pilot._decline,
}
