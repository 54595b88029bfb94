"""What is written into the book of a call and of its attempts."""

from __future__ import annotations

from holdfast.facts.calls import Call
from holdfast.facts.flights import Exchange, Intent, Leg


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


def exchange_of(  # noqa: PLR0913 - the same
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
