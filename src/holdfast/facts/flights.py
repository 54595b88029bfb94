"""The flight's language: plans, events (past tense) and commands (imperative).

A shell (real sockets in `net`, invented time in `sim`) feeds events to `core.flight.Flight` and
carries out the commands that come back. Attempts are numbered from 1 within a flight; events of
an attempt that is no longer the current one are ignored.

What is made for every call and cannot be part of a cycle is kept from the garbage collector's eyes
(`gc=False`): it would look at each of them, again and again while they wait for the ledger.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from holdfast.facts.losses import Losses
from holdfast.facts.outcomes import Failure, Piece, Times, Usage, Verdict
from holdfast.facts.places import Dialect, Limits, ModelFacts, Surface, Target


class Leg(Struct, frozen=True, kw_only=True):
    """One target in a plan, and how it is to be asked.

    `dialect` and `surface` are the target's; where `dialect` differs from the call's, the call
    is written anew. `why` is in words. `trial`: it is in probation, this call finds out.
    `hurried`: it is waited for less than it is owed, so its silence tells nothing of it.
    `own_errors` and `losses` are the route's. `lacks`: abilities that the model is known not to
    have (`tools`, `vision`, …); a call that needs one goes on to the next leg. `facts`: all that is
    known of it. `local`: an engine, whose streams are mended where they leave their grammar.
    """

    target: Target
    dialect: Dialect
    surface: Surface
    why: str = ""
    stand_in: bool = False
    trial: bool = False
    hurried: bool = False
    context_tokens: int | None = None
    limits: Limits = Limits()
    own_errors: bool = True
    losses: Losses = "allowed"
    lacks: frozenset[str] = frozenset()
    facts: ModelFacts | None = None
    local: bool = False


class Plan(Struct, frozen=True, kw_only=True):
    """The order in which targets are asked, with the reasons for those left out.

    `last_resort` are those left out because they rest, in the order in which one of them is asked
    after all where none of `legs` could be: better a last try than an instant refusal.
    """

    legs: tuple[Leg, ...] = ()
    passed_over: tuple[tuple[str, str], ...] = ()
    because: str = ""
    last_resort: tuple[Leg, ...] = ()


# ---------------------------------------------------------------- events


class Started(Struct, frozen=True, gc=False):
    at: float


class Sent(Struct, frozen=True, gc=False):
    """The request was handed to a connection; its last byte may still be on the way."""

    at: float
    attempt: int


class Opened(Struct, frozen=True, gc=False):
    """The head of an answer arrived."""

    at: float
    attempt: int
    status: int


class Heard(Struct, frozen=True):
    """Pieces of the answer, in order, as the tap read them."""

    at: float
    attempt: int
    pieces: list[Piece]


class Closed(Struct, frozen=True):
    """The answer's body ended as HTTP says it should; what the tap still held came in `Heard`."""

    at: float
    attempt: int


class Answered(Struct, frozen=True):
    """Head, pieces and end of the answer came at once: `Opened`, `Heard` and `Closed` in one."""

    at: float
    attempt: int
    status: int
    pieces: list[Piece]


class Failed(Struct, frozen=True):
    """The attempt failed on the way: dialling, sending, or the connection broke."""

    at: float
    attempt: int
    failure: Failure


class Unfit(Struct, frozen=True):
    """The call cannot be carried to this target; nothing left the machine."""

    at: float
    attempt: int
    why: str


class Rang(Struct, frozen=True):
    """`Flight.deadline` has come."""

    at: float


class Left(Struct, frozen=True):
    """Nobody waits for the answer any more."""

    at: float


class Stopping(Struct, frozen=True):
    """The gateway is stopped, and the answer has had its time to end."""

    at: float


Event = (
    Started | Sent | Opened | Heard | Closed | Answered | Failed | Unfit | Rang | Left | Stopping
)

# -------------------------------------------------------------- commands


class Dial(Struct, frozen=True):
    """Write the intent down, then ask this leg. `fresh`: not on a reused connection."""

    attempt: int
    leg: Leg
    fresh: bool = False


class HangUp(Struct, frozen=True):
    """Close the attempt's connection at once; it is not to be used again."""

    attempt: int


class Release(Struct, frozen=True, gc=False):
    """The attempt's answer is whole; its connection may serve others."""

    attempt: int


class Begin(Struct, frozen=True, gc=False):
    """Start the reply with this attempt's own head (hygiene applied) and our headers."""

    attempt: int
    status: int


class Say(Struct, frozen=True, gc=False):
    data: bytes


class Finish(Struct, frozen=True):
    """End the reply cleanly: the answer is whole."""


class Break(Struct, frozen=True):
    """End the reply uncleanly, behind an error event that was said before."""


class Decline(Struct, frozen=True, kw_only=True):
    """Nothing was said yet and nothing can be: answer with an error.

    With `failure`, pass that upstream error on byte for byte (status, headers, body); without,
    compose one in the client's dialect. `instead_of` is the upstream's error that is not passed on
    because it would blame the user for the provider's fault. `provider` is whom the verdict is
    about, empty where nobody was asked. `tried` has an entry for each attempt.
    `retry_after_s` and `should_retry` become `retry-after` and `x-should-retry`; None leaves them
    alone.
    """

    verdict: Verdict
    failure: Failure | None = None
    instead_of: Failure | None = None
    provider: str = ""
    tried: tuple[tuple[str, str], ...] = ()
    retry_after_s: float | None = None
    should_retry: bool | None = None


class SayError(Struct, frozen=True):
    """After the commit: an error event in the client's dialect. `Break` follows.

    `data`: the upstream's own event, to be passed on as it came; empty: compose one.
    """

    verdict: Verdict
    data: bytes = b""


class Vouched(Struct, frozen=True, gc=False):
    """A trial's answer has been coming for a while: the board may take it for a good one.

    It may go on for minutes, and is settled by its own end. `took_s` is since its attempt began.
    """

    at: float
    attempt: int
    leg: Leg
    took_s: float


class AttemptEnded(Struct, frozen=True, kw_only=True, gc=False):
    """Settles the intent of this attempt, and is what the board observes."""

    at: float
    attempt: int
    leg: Leg
    outcome: Literal["ok", "failed", "abandoned", "unfit"]
    failure: Failure | None = None
    verdict: Verdict | None = None
    times: Times = Times()


class FlightEnded(Struct, frozen=True, kw_only=True, gc=False):
    """Exactly one for each flight. `unasked`: who was passed over on the way, each with why."""

    at: float
    outcome: Literal["ok", "declined", "broken", "abandoned"]
    served_by: Target | None = None
    attempts: int = 0
    stand_in: bool = False
    verdict: Verdict | None = None
    unasked: tuple[tuple[str, str], ...] = ()


Note = Vouched | AttemptEnded | FlightEnded
Command = Dial | HangUp | Release | Begin | Say | Finish | Break | Decline | SayError | Note

# ------------------------------------------------------- as remembered


class Intent(Struct, frozen=True, kw_only=True, gc=False):
    """Written before the request's bytes leave. `id` is `exchange.attempt`."""

    id: str
    exchange: str
    attempt: int
    wall: float
    provider: str
    model: str
    surface: str
    credential: str
    asked_model: str
    tool: str
    bytes_out: int
    why: str = ""


class Settled(Struct, frozen=True, kw_only=True, gc=False):
    """How the attempt ended; `outcome` "unknown" stands for one whose end was not seen.

    `lost`: what of the request did not reach the target, in words, each with the field's name.
    """

    id: str
    outcome: Literal["ok", "failed", "abandoned", "unfit", "unknown"]
    wall: float
    status: int | None = None
    failure_kind: str = ""
    failure_text: str = ""
    verdict: str = ""
    because: tuple[str, ...] = ()
    usage: Usage = Usage()
    times: Times = Times()
    bytes_in: int = 0
    lost: tuple[str, ...] = ()


class Exchange(Struct, frozen=True, kw_only=True, gc=False):
    """One call's line in the book, written when it has ended."""

    id: str
    wall: float
    duration_s: float
    dialect: str
    surface: str
    method: str
    path: str
    asked_model: str
    stream: bool
    tool: str
    outcome: str
    status: int
    attempts: int
    served_by: str = ""
    stand_in: bool = False
    verdict: str = ""
    because: str = ""
    bytes_in: int = 0
    bytes_out: int = 0
