"""The flight: one call in the air. `handle(event) -> commands`; it opens nothing, asks no clock.

Theory of operation. A flight walks through the legs of its plan. Each attempt passes the phases

    dialling → waiting (sent, no head) → opened (head, no content) → speaking → landed

and until `speaking` nothing has reached the client: the envelope of an answer (OPENING pieces) is
held, so any failure before that can be answered by another target without the client seeing it. The
"next leg" is one that is left of the first round; then, where nobody was asked or it was too long
for all who were, one of those who rest (the last resort); then one worth a second round. The first
CONTENT piece is the *commit point*: what was held is said, and from then on the answer either ends
with its terminal event or is broken off behind an error event. A stream that merely stops is never
ended cleanly, because both official SDKs take that for a success.

    phase      event                 next
    ---------  --------------------  -----------------------------------------------
    dialling   Sent                  waiting
    dialling   Unfit                 next leg, or landed (Decline)
    waiting    Answered              as Opened, Heard and Closed in one
    waiting    Opened                opened
    the rest   stale                 dialling   (the same leg, once, on a fresh connection)
    opened     THINKING              opened     (with `thinking_s` to go on)
    opened     CONTENT               speaking   (commit)
    opened     END                   landed     (commit, Finish)
    speaking   CONTENT               speaking   (of a trial, once, after VOUCH_S: Vouched)
    speaking   END                   landed     (Finish)
    speaking   FAULT, Failed, silence, Closed   landed (SayError, Break)
    the rest   FAULT, Failed, silence, Closed   next leg, or pausing, or landed (Decline)
    pausing    Rang                  dialling   (the second round), or landed (Decline)
    speaking   Stopping              landed     (SayError, Break)
    the rest   Stopping              landed     (Decline)
    any        Left                  landed     (abandoned)

The flight never judges: `judge` turns a failure into a verdict, and the flight obeys its action.
`deadline` is the steady time at which the flight wants a `Rang`; a shell may look at it late, an
early `Rang` does no harm. Going on elsewhere in mid-answer belongs where `_broken` is called.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, Literal

import msgspec

from holdfast.core.board import Standing
from holdfast.core.declining import SHRINK, Declined, decline, forbidden
from holdfast.core.discreet import discreet
from holdfast.core.words import STOPPED
from holdfast.facts.calls import Call
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
    Plan,
    Rang,
    Release,
    Say,
    SayError,
    Sent,
    Started,
    Stopping,
    Unfit,
    Vouched,
)
from holdfast.facts.outcomes import (
    CONTENT,
    END,
    FAULT,
    THINKING,
    Failure,
    FailureKind,
    Piece,
    Times,
    Verdict,
    Where,
)
from holdfast.facts.places import Surface

ATTEMPTS_MAX = 4
BODY_BYTES_PER_S = 32 * 1024
SECOND_ROUND_S = 0.3
# Waits up to this are taken inside; longer ones are the client's, which knows its own patience.
WAIT_INSIDE_S = 1.5
# Nothing is generated for these.
SOON: frozenset[Surface] = frozenset({"count_tokens", "embeddings"})
# An answer may take minutes, and nobody else goes there before its trial has told something.
VOUCH_S = 3.0
# An overture without end is said as it comes: what is held back is memory.
HELD_BYTES_MAX = 4_000_000
# So soon is a gateway back that is started again.
STOPPED_S = 5.0

_FINISH = Finish()
_STOPPED = Verdict(
    whose="local",
    cause=STOPPED,
    confidence=1.0,
    action="surface_to_user",
    because=("holdfast was stopped in the middle of it",),
)

Judge = Callable[[Failure, Leg], Verdict]
Transient = Callable[[Verdict], bool]
Allowed = Callable[[Leg, float], bool]
Stands = Callable[[Leg, float], Standing]


class Phase(Enum):
    """Where the current attempt is; see the table above."""

    DIALLING = "dialling"
    WAITING = "waiting"
    OPENED = "opened"
    SPEAKING = "speaking"
    PAUSING = "pausing"
    LANDED = "landed"


# For every event of every flight: by the class it takes ten times as long.
DIALLING, WAITING, OPENED, SPEAKING, PAUSING, LANDED = Phase

_SILENCE: dict[Phase, tuple[FailureKind, Where, str]] = {
    DIALLING: ("connect_timeout", "connect", "no connection"),
    WAITING: ("headers_timeout", "before_headers", "connected, but no answer"),
    OPENED: ("content_timeout", "body", "headers, but no content"),
    SPEAKING: ("idle_timeout", "in_stream", "the answer fell silent"),
}


class Policy:
    """What the flight asks others: what a failure means, and whether a retry may be spent.

    `judge(failure, leg)` gives the verdict; `transient(verdict)` says whether the same target
    may be asked again for it; `may_retry(leg, at)` takes one retry from the budget, or refuses;
    `dice()` is uniform in [0, 1). `standing(leg, at)` is the board's word on a later leg: much
    may have happened since the plan was made. None: the plan is as good as on its first leg.
    """

    __slots__ = ("dice", "judge", "may_retry", "standing", "transient")

    def __init__(
        self,
        judge: Judge,
        transient: Transient,
        may_retry: Allowed,
        dice: Callable[[], float],
        standing: Stands | None = None,
    ) -> None:
        self.judge = judge
        self.transient = transient
        self.may_retry = may_retry
        self.dice = dice
        self.standing = standing


class Flight:
    """One call on its way through its plan. Feed every event to `handle`, obey what returns."""

    __slots__ = (
        "_attempt",
        "_call",
        "_content_at",
        "_declined",
        "_dialled",
        "_headers_at",
        "_held",
        "_held_bytes",
        "_last",
        "_leg",
        "_legs",
        "_plan",
        "_policy",
        "_resorted",
        "_retries",
        "_sent_at",
        "_stale_leg",
        "_started_at",
        "_status",
        "_thinks",
        "_tried",
        "_unasked",
        "_vouch_at",
        "deadline",
        "phase",
    )

    def __init__(self, call: Call, plan: Plan, policy: Policy) -> None:
        self._call = call
        self._plan = plan
        self._policy = policy
        self._legs = list(plan.legs)
        self._last = list(plan.last_resort)
        self._retries: list[tuple[Leg, float]] = []
        self._resorted = False  # to somebody who rests
        self._attempt = 0
        self._dialled = 0
        self._leg: Leg | None = None
        self._stale_leg: Leg | None = None
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._tried: list[tuple[str, str]] = []
        self._unasked: tuple[tuple[str, str], ...] = ()
        # What each failed attempt was judged to be, first choice first.
        self._declined: list[Declined] = []
        self._status = 0
        self._thinks = False
        self._started_at = 0.0
        self._sent_at: float | None = None
        self._headers_at: float | None = None
        self._content_at: float | None = None
        self._vouch_at: float | None = None
        self.deadline: float | None = None
        self.phase = DIALLING

    def __repr__(self) -> str:
        return (
            f"[{self.phase.value}, attempt {self._attempt}, leg {self._leg and self._leg.target}]"
        )

    @property
    def attempts(self) -> int:
        """Attempts that left, or tried to leave, this machine so far."""
        return self._dialled

    def handle(self, event: Event) -> list[Command]:
        """Take one event, return what is to be done now. Events of past attempts do nothing."""
        if self.phase is LANDED:
            return []
        step = _OF_AN_ATTEMPT.get(type(event))
        if step is None:
            return _OF_THE_CALL[type(event)](self, event)
        # Between two attempts there is no leg: what the last one still says is past.
        if self._leg is None or event.attempt != self._attempt:  # type: ignore[union-attr]
            return []
        return step(self, event)

    # ------------------------------------------------------------ the way out

    def _started(self, event: Started) -> list[Command]:
        return self._next(event.at)

    def _sent(self, event: Sent) -> list[Command]:
        leg = self._leg
        assert leg is not None  # noqa: S101 - an attempt is under way
        self._sent_at = event.at
        limits = leg.limits
        patience_s = limits.headers_s if self._is_soon() else limits.whole_s
        self.deadline = event.at + patience_s + len(self._call.body) / BODY_BYTES_PER_S
        self.phase = WAITING
        return []

    def _is_soon(self) -> bool:
        """Whether its answer begins soon; another begins when a model has said all of it."""
        return self._call.stream or self._call.surface in SOON

    def _answered(self, event: Answered) -> list[Command]:
        """As if the three had come one after the other, in the same moment."""
        self._opened(event)
        commands = self._heard(event)
        if self.phase is OPENED or self.phase is SPEAKING:
            commands += self._closed(event)
        return commands

    def _opened(self, event: Opened | Answered) -> list[Command]:
        leg = self._leg
        assert leg is not None  # noqa: S101 - an attempt is under way
        self._headers_at = event.at
        self._status = event.status
        patience_s = leg.limits.content_s if self._is_soon() else leg.limits.whole_s
        self.deadline = event.at + patience_s
        self.phase = OPENED
        return []

    def _heard(self, event: Heard | Answered) -> list[Command]:
        commands: list[Command] = []
        for piece in event.pieces:
            kind = piece.kind
            if kind is CONTENT:
                self._content(event.at, piece, commands)
            elif kind is END:
                return self._whole(event.at, piece, commands)
            elif kind is FAULT:
                failure = piece.failure
                assert failure is not None  # noqa: S101 - a FAULT says how
                return commands + self._failed(event.at, failure, piece.data, hang_up=True)
            else:
                if kind is THINKING:
                    self._think(event.at)
                if self.phase is not SPEAKING:
                    self._hold(event.at, piece.data, commands)
                elif piece.data:
                    commands.append(Say(piece.data))
        if self.phase is SPEAKING:
            self.wait_anew(event.at)
            if self._vouch_at is not None and event.at >= self._vouch_at:
                self._vouch(event.at, commands)
        return commands

    def _vouch(self, at: float, commands: list[Command]) -> None:
        leg = self._leg
        assert leg is not None  # noqa: S101 - an attempt is under way
        self._vouch_at = None
        commands.append(Vouched(at, self._attempt, leg, at - self._started_at))

    def _hold(self, at: float, data: bytes, commands: list[Command]) -> None:
        if data:
            self._held.append(data)
            self._held_bytes += len(data)
            if self._held_bytes > HELD_BYTES_MAX:
                self._commit(at, commands)

    def _think(self, at: float) -> None:
        """Thinking that is not shown is no silence: it may make the wait longer, never shorter."""
        self._thinks = True
        if self._leg is not None:
            self.deadline = max(self.deadline or 0.0, at + self._leg.limits.thinking_s)

    def wait_anew(self, at: float) -> None:
        """The target has shown life, or could not: its time to go on begins now."""
        leg = self._leg
        if leg is not None and self.deadline is not None:
            idle_s = leg.limits.idle_s
            self.deadline = at + (max(idle_s, leg.limits.thinking_s) if self._thinks else idle_s)

    def _content(self, at: float, piece: Piece, commands: list[Command]) -> None:
        self._thinks = False
        if self.phase is not SPEAKING:
            self._commit(at, commands)
        if piece.data:
            commands.append(Say(piece.data))

    def _commit(self, at: float, commands: list[Command]) -> None:
        self._content_at = at
        if self._leg is not None and self._leg.trial:
            self._vouch_at = at + VOUCH_S
        self.phase = SPEAKING
        commands.append(Begin(self._attempt, self._status))
        if self._held:
            commands.append(Say(b"".join(self._held)))
            self._held.clear()

    def _whole(self, at: float, piece: Piece, commands: list[Command]) -> list[Command]:
        leg = self._leg
        assert leg is not None  # noqa: S101 - an attempt is under way
        if self.phase is not SPEAKING:
            self._commit(at, commands)
        if piece.data:
            commands.append(Say(piece.data))
        commands += (
            _FINISH,
            Release(self._attempt),
            AttemptEnded(
                at=at, attempt=self._attempt, leg=leg, outcome="ok", times=self._times(at)
            ),
            FlightEnded(
                at=at,
                outcome="ok",
                served_by=leg.target,
                attempts=self._dialled,
                stand_in=leg.stand_in,
                unasked=self._unasked,
            ),
        )
        self.land()
        return commands

    def _closed(self, event: Closed | Answered) -> list[Command]:
        """The body ended as HTTP says it should, yet the tap saw no end of the answer."""
        failure = Failure(
            kind="truncated",
            where="in_stream" if self.phase is SPEAKING else "body",
            text="the answer ended without its terminal event",
            status=self._status,
        )
        return self._failed(event.at, failure, hang_up=True)

    # -------------------------------------------------------------- failures

    def _broke(self, event: Failed) -> list[Command]:
        return self._failed(event.at, event.failure, hang_up=False)

    def _rang(self, event: Rang) -> list[Command]:
        at = event.at
        if self.deadline is None or at < self.deadline:
            return []
        if self.phase is PAUSING:
            return self._next(at)
        kind, where, text = _SILENCE[self.phase]
        if self.phase is not SPEAKING:
            text = f"{text} within {self.deadline - self._since():.1f} s"
            if self._leg is not None and self._leg.hurried:
                text = f"{text}, which is all that a target at rest is given"
        failure = Failure(kind=kind, where=where, text=text)
        return self._failed(at, failure, hang_up=True)

    def _since(self) -> float:
        """When the current phase of an attempt began."""
        if self.phase is OPENED and self._headers_at is not None:
            return self._headers_at
        return self._started_at if self._sent_at is None else self._sent_at

    def _unfit(self, event: Unfit) -> list[Command]:
        leg = self._leg
        if leg is None:
            return []
        self._dialled -= 1  # nothing left the machine
        self._pass_over(leg, event.why)
        ended = AttemptEnded(
            at=event.at,
            attempt=self._attempt,
            leg=leg,
            outcome="unfit",
            failure=Failure(kind="internal", where="connect", text=event.why),
        )
        return [ended, *self._next(event.at)]

    def _failed(
        self, at: float, failure: Failure, data: bytes = b"", *, hang_up: bool
    ) -> list[Command]:
        leg = self._leg
        assert leg is not None  # noqa: S101 - callers have looked
        verdict = self._policy.judge(failure, leg)
        commands: list[Command] = [HangUp(self._attempt)] if hang_up else []
        # The client may hear what its own request was quoted for; nobody else.
        told, judged = discreet(failure, verdict, self._call)
        commands.append(
            AttemptEnded(
                at=at,
                attempt=self._attempt,
                leg=leg,
                outcome="failed",
                failure=told,
                verdict=judged,
                times=self._times(at),
            )
        )
        self._tried.append((str(leg.target), failure.text or failure.kind))
        if self.phase is SPEAKING:
            return commands + self._broken(at, leg, verdict, data)
        self._held.clear()
        self._held_bytes = 0
        self._sent_at = self._headers_at = self._content_at = None
        if failure.kind == "stale" and self._stale_leg is not leg:
            self._stale_leg = leg
            return commands + self._dial(at, leg, fresh=True)
        again = all(other is not leg for other, _, _ in self._declined) and not forbidden(failure)
        self._declined.append((leg, failure, verdict))
        return commands + self._elsewhere(at, leg, verdict, again=again)

    def _broken(self, at: float, leg: Leg, verdict: Verdict, data: bytes) -> list[Command]:
        """The client has part of the answer. The seam for a rescue in mid-answer is here."""
        self.land()
        ended = FlightEnded(
            at=at,
            outcome="broken",
            served_by=leg.target,
            attempts=self._dialled,
            stand_in=leg.stand_in,
            verdict=verdict,
            unasked=self._unasked,
        )
        return [SayError(verdict, data), Break(), ended]

    def _elsewhere(self, at: float, leg: Leg, verdict: Verdict, *, again: bool) -> list[Command]:
        """Obey the verdict. `again`: this leg may be asked once more."""
        action = verdict.action
        if action == "surface_to_user" or self._resorted:
            return self._decline(at)
        if action == SHRINK:
            self._retries.clear()
            self._legs = _larger(self._legs, leg)
            self._last = _larger(self._last, leg)
        elif again and self._policy.transient(verdict):
            wait_s = verdict.rest_s if verdict.rest_s is not None else 0.0
            if wait_s <= WAIT_INSIDE_S:
                jitter = 1.0 + 0.5 * self._policy.dice()
                self._retries.append((leg, at + max(wait_s, SECOND_ROUND_S * jitter)))
                self._retries.sort(key=_not_before)  # whoever is ready first
        return self._next(at)

    def _next(self, at: float) -> list[Command]:
        """Go on to the next leg of the first round, then once more to those worth it."""
        if self._dialled < ATTEMPTS_MAX:
            while self._legs:
                leg = self._as_it_stands(self._legs.pop(0), at)
                if leg is not None:
                    return self._dial(at, leg)
            if self._last and not self._resorted and all(map(_was_too_small, self._declined)):
                # Nobody who could do it was asked: then one of those who rest, and only one.
                self._resorted = True
                self._legs = self._last
                return self._dial(at, self._legs.pop(0))
            while self._retries:
                leg, not_before = self._retries[0]
                if at < not_before:
                    self._leg = None
                    self.phase = PAUSING
                    self.deadline = not_before
                    return []
                self._retries.pop(0)
                if self._policy.may_retry(leg, at):
                    return self._dial(at, leg, fresh=True)
        return self._decline(at)

    def _pass_over(self, leg: Leg, why: str) -> None:
        """This leg is not asked after all."""
        self._unasked += ((str(leg.target), why),)

    def _as_it_stands(self, leg: Leg, at: float) -> Leg | None:
        """A later leg as the board sees it now, None where it has begun to rest meanwhile.

        Beside a trial under way it is asked all the same: the person has nowhere else to go.
        Somebody must have been asked before anybody is left alone.
        """
        if self._policy.standing is None or not self._declined:
            return leg
        standing = self._policy.standing(leg, at)
        if standing.rests:
            self._pass_over(leg, standing.why)
            return None
        if standing.trial is leg.trial:
            return leg
        return msgspec.structs.replace(leg, trial=standing.trial)

    def _dial(self, at: float, leg: Leg, *, fresh: bool = False) -> list[Command]:
        if self._dialled >= ATTEMPTS_MAX:
            return self._decline(at)
        self._attempt += 1
        self._dialled += 1
        self._leg = leg
        self._started_at = at
        self._status = 0
        self._thinks = False
        self.phase = DIALLING
        self.deadline = at + leg.limits.connect_s
        return [Dial(self._attempt, leg, fresh)]

    def _decline(self, at: float) -> list[Command]:
        """Nothing more can be done, and nothing has been said: the truth, in one reply."""
        counting = self._call.surface == "count_tokens"
        several = self._several()
        commands = [decline(self._declined, self._told(), several=several, counting=counting)]
        verdict = commands[0].verdict
        ended = self._ended(at, "declined", verdict)
        self.land()
        return [*commands, ended]

    def _told(self) -> tuple[tuple[str, str], ...]:
        """What became of each target of the plan, for people: those who were asked come first."""
        asked = dict(self._tried)
        unasked = dict((*self._plan.passed_over, *self._unasked))
        rest = ((name, f"not asked: {why}") for name, why in unasked.items() if name not in asked)
        return (*self._tried, *rest)

    def _several(self) -> bool:
        """Whether the call had more than one target; who could not carry it was none."""
        targets = {str(leg.target) for leg, _, _ in self._declined}
        return len(targets.union(name for name, _ in self._plan.passed_over)) > 1

    def _left(self, event: Left) -> list[Command]:
        at = event.at
        commands: list[Command] = []
        if self._leg is not None:
            commands = [
                HangUp(self._attempt),
                AttemptEnded(
                    at=at,
                    attempt=self._attempt,
                    leg=self._leg,
                    outcome="abandoned",
                    times=self._times(at),
                ),
            ]
        commands.append(self._ended(at, "abandoned"))
        self.land()
        return commands

    def _stopping(self, event: Stopping) -> list[Command]:
        """We are stopped: the client hears so, and no target is to blame."""
        at, leg, commands = event.at, self._leg, list[Command]()
        spoke = self.phase is SPEAKING
        if leg is not None:
            text = _STOPPED.because[0]
            failure = Failure(kind="internal", where="in_stream" if spoke else "body", text=text)
            self._tried.append((str(leg.target), text))
            commands = [
                HangUp(self._attempt),
                AttemptEnded(
                    at=at,
                    attempt=self._attempt,
                    leg=leg,
                    outcome="abandoned",
                    failure=failure,
                    verdict=_STOPPED,
                    times=self._times(at),
                ),
            ]
            if spoke:
                return commands + self._broken(at, leg, _STOPPED, b"")
        told = Decline(
            verdict=_STOPPED, tried=self._told(), retry_after_s=STOPPED_S, should_retry=True
        )
        ended = self._ended(at, "declined", _STOPPED)
        self.land()
        return [*commands, told, ended]

    # --------------------------------------------------------------- the rest

    def _ended(
        self, at: float, outcome: Literal["declined", "abandoned"], verdict: Verdict | None = None
    ) -> FlightEnded:
        """The end of a flight that nobody served."""
        return FlightEnded(
            at=at,
            outcome=outcome,
            attempts=self._dialled,
            verdict=verdict,
            unasked=self._unasked,
        )

    def _times(self, at: float) -> Times:
        start = self._started_at
        return Times(
            sent=None if self._sent_at is None else self._sent_at - start,
            headers=None if self._headers_at is None else self._headers_at - start,
            content=None if self._content_at is None else self._content_at - start,
            end=at - start,
        )

    def land(self) -> None:
        """Over: whatever comes now does nothing. A shell whose own code broke says so by this."""
        self.phase = LANDED
        self.deadline = None
        self._leg = None
        self._held.clear()
        self._legs.clear()


# The class's own tables, outside it because they name its methods.
# ruff: noqa: SLF001
_OF_THE_CALL: dict[type, Callable[[Flight, Any], list[Command]]] = {
    Started: Flight._started,
    Rang: Flight._rang,
    Left: Flight._left,
    Stopping: Flight._stopping,
}
_OF_AN_ATTEMPT: dict[type, Callable[[Flight, Any], list[Command]]] = {
    Sent: Flight._sent,
    Opened: Flight._opened,
    Heard: Flight._heard,
    Closed: Flight._closed,
    Answered: Flight._answered,
    Failed: Flight._broke,
    Unfit: Flight._unfit,
}


def _larger(legs: list[Leg], than: Leg) -> list[Leg]:
    """Those of them whose window is known to be larger than this one's."""
    window = than.context_tokens
    if window is None:
        return []
    return [leg for leg in legs if (leg.context_tokens or 0) > window]


def _was_too_small(declined: Declined) -> bool:
    return declined[2].action == SHRINK


def _not_before(retry: tuple[Leg, float]) -> float:
    return retry[1]
