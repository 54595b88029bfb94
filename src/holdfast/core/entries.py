"""What is written of a call and of its attempts: into the book, and into the journal."""

from __future__ import annotations

from holdfast.facts.calls import Call
from holdfast.facts.flights import AttemptEnded, Exchange, Intent, Leg, Settled
from holdfast.facts.observations import Observation
from holdfast.facts.outcomes import Usage

# Ends of patience before the first content.
GIVEN_UP_KINDS = frozenset({"connect_timeout", "headers_timeout", "content_timeout"})


def attempt_id(call: Call, attempt: int) -> str:
    """The name of an attempt in the book. Those of a flight count from 1; a bypass is 0."""
    return f"{call.id}.{attempt}"


def intent_of(call: Call, leg: Leg, attempt: int, wall: float, bytes_out: int, why: str) -> Intent:
    """What is about to leave the machine."""
    target = leg.target
    return Intent(
        id=attempt_id(call, attempt),
        exchange=call.id,
        attempt=attempt,
        wall=wall,
        provider=target.provider,
        model=target.model,
        surface=leg.surface,
        credential=target.credential,
        asked_model=call.model,
        tool=call.tool,
        bytes_out=bytes_out,
        why=why,
    )


def settled_of(
    call: Call,
    note: AttemptEnded,
    status: int | None,
    wall: float,
    *,
    usage: Usage,
    bytes_in: int,
    lost: tuple[str, ...] = (),
) -> Settled:
    """How an attempt ended. `status` is that of its answer, where it had one."""
    failure, verdict = note.failure, note.verdict
    return Settled(
        id=attempt_id(call, note.attempt),
        outcome=note.outcome,
        wall=wall,
        status=failure.status if failure is not None else status,
        failure_kind=failure.kind if failure is not None else "",
        failure_text=failure.text if failure is not None else "",
        verdict=str(verdict) if verdict is not None else "",
        because=verdict.because if verdict is not None else (),
        usage=usage,
        times=note.times,
        bytes_in=bytes_in,
        lost=lost,
    )


def tells_nothing(note: AttemptEnded) -> bool:
    """Whether an attempt's end says nothing of its target: its client left, or it was given up
    sooner than is its due.
    """
    failure = note.failure
    given_up = failure is not None and failure.kind in GIVEN_UP_KINDS
    return note.outcome == "abandoned" or (note.leg.hurried and given_up)


def observation_of(call: Call, note: AttemptEnded, status: int | None, wall: float) -> Observation:
    """What an attempt's end tells of its target. `status` as above."""
    leg, target, failure = note.leg, note.leg.target, note.failure
    return Observation(
        at=note.at,
        wall=wall,
        kind="traffic",
        provider=target.provider,
        surface=leg.surface,
        model=target.model,
        credential=target.credential,
        ok=note.outcome == "ok",
        trial=leg.trial,
        trial_of=attempt_id(call, note.attempt) if leg.trial else "",
        status=failure.status if failure is not None else status,
        failure_kind=failure.kind if failure is not None else "",
        verdict=note.verdict,
        took_s=note.times.end or 0.0,
        first_content_s=note.times.content,
        stand_in=leg.stand_in,
    )


def exchange_of(  # noqa: PLR0913 - a line has as many columns
    call: Call,
    outcome: str,
    status: int,
    *,
    duration_s: float,
    attempts: int,
    served_by: str = "",
    stand_in: bool = False,
    verdict: str = "",
    because: str = "",
    bytes_out: int = 0,
) -> Exchange:
    """The line of a call that has ended."""
    return Exchange(
        id=call.id,
        wall=call.wall,
        duration_s=duration_s,
        dialect=call.dialect,
        surface=call.surface,
        method=call.method,
        path=call.path,
        asked_model=call.model,
        stream=call.stream,
        tool=call.tool,
        outcome=outcome,
        status=status,
        attempts=attempts,
        served_by=served_by,
        stand_in=stand_in,
        verdict=verdict,
        because=because,
        bytes_in=len(call.body),
        bytes_out=bytes_out,
    )
