"""An invented probe: one small question to an invented provider, read by the same taps as a call.

What `net/probe` does on sockets, in invented time: a script is read to the first thing that tells.
"""

from __future__ import annotations

from typing import cast

from msgspec import Struct

from holdfast.core.probing import Probe
from holdfast.facts.calls import Call
from holdfast.facts.flights import Leg
from holdfast.facts.outcomes import Failure, FailureKind, PieceKind, Where
from holdfast.facts.places import Surface, Target
from holdfast.sim.script import Blackhole, Bytes, End, Head, Refuse, Script, Stall
from holdfast.wire import speak
from holdfast.wire.question import Question, question
from holdfast.wire.tap import Tap

CONNECT_S, PATIENCE_S = 5.0, 20.0


class Found(Struct, frozen=True):
    """What came of it after `took_s` seconds; `failure` None: it is well. `status` 0: none came."""

    took_s: float
    failure: Failure | None
    status: int = 0


def asked_by(probe: Probe) -> Question:
    """What this probe says."""
    return question(probe.dialect or "openai", probe.surface, probe.model)


def leg_of(probe: Probe) -> Leg:
    """The probe as the judge knows attempts."""
    return Leg(
        target=Target(probe.provider, probe.model, probe.credential),
        dialect=probe.dialect or "openai",
        surface=cast("Surface", probe.surface),
        why="probe",
    )


def read(script: Script, probe: Probe, rtt_s: float) -> Found:
    """What the script shows to this probe."""
    asked, leg = asked_by(probe), leg_of(probe)
    path, _, query = asked.path.partition("?")
    call = Call(
        id="probe",
        at=0.0,
        wall=0.0,
        dialect=leg.dialect,
        surface=leg.surface,
        method=asked.method,
        path=path,
        query=query,
        body=asked.body,
        model=probe.model,
        stream=asked.stream,
    )
    took_s, status = rtt_s, 0
    tap: Tap | None = None
    for step in script:
        took_s += step.wait_s
        match step.does:
            case Blackhole():
                return Found(CONNECT_S, _failure("connect_timeout", "connect"))
            case Refuse():
                return Found(took_s, _failure("refused", "connect"))
            case Head():
                status = step.does.status
                tap = speak.tap(call, leg, status, step.does.headers)
            case Bytes() if tap is not None:
                found = _told(tap, step.does.data)
                if found is not None:
                    return Found(took_s, found[0], status)
            case End() if tap is not None:
                found = _told(tap, None)
                return Found(took_s, found[0] if found else _failure("empty", "body"), status)
            case Stall():
                return Found(PATIENCE_S, _failure("headers_timeout", "before_headers"), status)
            case _:
                return Found(took_s, _failure("reset", "before_headers"), status)
    return Found(took_s, _failure("empty", "body"), status)


def _told(tap: Tap, data: bytes | None) -> tuple[Failure | None] | None:
    """The first piece that tells how it is: good (None in it) or a failure."""
    for piece in tap.close() if data is None else tap.feed(data):
        if piece.kind is PieceKind.FAULT:
            return (piece.failure,)
        if piece.kind in (PieceKind.CONTENT, PieceKind.END):
            return (None,)
    return None


def _failure(kind: FailureKind, where: Where) -> Failure:
    return Failure(kind=kind, where=where, text=kind.replace("_", " "))
