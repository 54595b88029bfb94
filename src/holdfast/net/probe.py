"""Carries one probe out, on a connection of its own, and says how it went.

The answer is read by the same taps as a call's, and a failure is judged like a call's. A probe
that costs is written into the book like any attempt: the intent before its bytes leave.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from typing import cast
from urllib.parse import urlsplit

import msgspec

from holdfast.core.entries import attempt_id, exchange_of, intent_of
from holdfast.core.probing import Probe
from holdfast.facts.calls import Call, Headers
from holdfast.facts.flights import Leg, Settled
from holdfast.facts.observations import Observation
from holdfast.facts.outcomes import Failure, Piece, PieceKind, Times, Usage, Verdict
from holdfast.facts.places import Limits, Surface, Target
from holdfast.net.desk import Desk, Place
from holdfast.net.dial import Line, Origin
from holdfast.net.mask import masked_failure
from holdfast.wire import speak
from holdfast.wire.headers import credential_headers, is_subscription
from holdfast.wire.marks import models_of, shape_of
from holdfast.wire.question import question
from holdfast.wire.tap import Tap

TOOL = "holdfast-probe"
LIMITS = Limits(connect_s=5.0, headers_s=20.0, content_s=30.0)
# Of a long list of models so much is enough to know that it is one.
ENOUGH_BYTES = 1 << 16
TEXT_CHARS_MAX = 300
_MANNERS: Headers = (
    (b"user-agent", TOOL.encode()),
    (b"accept", b"*/*"),
    (b"accept-encoding", b"identity"),
)

Judge = Callable[[Failure, Leg], Verdict]


def leg_of(probe: Probe) -> Leg:
    """A probe as the judge knows attempts; also one of a surface that cannot be routed."""
    return Leg(
        target=Target(probe.provider, probe.model, probe.credential),
        dialect=probe.dialect or "openai",
        surface=cast("Surface", probe.surface),
        why=f"probe: {probe.why}" if probe.why else "probe",
        limits=LIMITS,
    )


class Prober:
    """Makes probes from a gateway's desk. `prefix` begins the names of its calls in the book."""

    __slots__ = ("_desk", "_judge", "_numbers", "_prefix", "limits")

    def __init__(self, desk: Desk, judge: Judge, prefix: str, limits: Limits = LIMITS) -> None:
        self._desk = desk
        self._judge = judge
        self._prefix = prefix
        self._numbers = count(1)
        self.limits = limits

    async def carry(self, probe: Probe) -> Observation | None:
        """Make this probe; what was learnt. Raises nothing but cancellation.

        None: it was not made, as its provider is no longer in the configuration, has no key of
        ours, or one that no probe may carry.
        """
        if probe.way == "reach":
            return await self._reach(probe)
        place = self._desk.places.get(probe.provider)
        if place is None or place.provider.key == "client" or is_subscription(place.secret):
            return None
        try:
            return await self._ask(probe, place)
        except speak.CannotCrossError:
            return None

    async def _reach(self, probe: Probe) -> Observation:
        """Whether a page is there: any answer that is no server's error, by a good certificate."""
        answer = _Answer(self._desk.clock, None, leg_of(probe))
        try:
            parts = urlsplit(probe.url)
            origin, _ = Origin.of(f"{parts.scheme}://{parts.netloc}")
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            await self._exchange(answer, origin, "GET", target, _MANNERS, b"")
        except (ValueError, RuntimeError) as error:
            answer.finish(Failure(kind="internal", where="connect", text=str(error)))
        return self._observation(probe, answer, None)

    async def _ask(self, probe: Probe, place: Place) -> Observation:
        desk, leg = self._desk, leg_of(probe)
        asked = question(leg.dialect, probe.surface, probe.model)
        path, _, query = asked.path.partition("?")
        call = Call(
            id=f"{self._prefix}-p{next(self._numbers)}",
            at=desk.clock(),
            wall=desk.wall(),
            dialect=leg.dialect,
            surface=leg.surface,
            method=asked.method,
            path=path,
            query=query,
            body=asked.body,
            model=probe.model,
            stream=asked.stream,
            tool=TOOL,
        )
        secret = place.secret
        credential = () if secret is None else credential_headers(leg.dialect, secret, None)
        headers = (*_MANNERS, *asked.headers, *credential)
        answer = _Answer(desk.clock, call, leg)
        costs = probe.way == "generation"
        if costs:
            desk.intend(intent_of(call, leg, 1, call.wall, len(asked.body), leg.why))
        try:
            target = place.prefix + asked.path
            await self._exchange(answer, place.origin, asked.method, target, headers, asked.body)
        except (ValueError, RuntimeError) as error:
            answer.finish(Failure(kind="internal", where="connect", text=str(error)))
        except asyncio.CancelledError:
            if costs:
                self._settle(call, answer, None)
            raise
        self._show(probe, answer)
        told = self._observation(probe, answer, secret)
        if costs:
            self._settle(call, answer, told)
        return told

    async def _exchange(
        self,
        answer: _Answer,
        origin: Origin,
        method: str,
        target: str,
        headers: Headers,
        body: bytes,
    ) -> None:
        """Ask, and wait until the answer has told enough or the patience is at its end."""
        limits = self.limits
        try:
            answer.line = self._desk.dialer.ask(
                origin,
                method,
                target,
                headers,
                body,
                answer,
                connect_s=limits.connect_s,
                keep=False,
            )
            if not await _within(limits.connect_s + limits.headers_s, answer.begun):
                text = f"{origin}: no answer within {limits.headers_s:g} s"
                answer.finish(Failure(kind="headers_timeout", where="before_headers", text=text))
            elif not await _within(limits.content_s, answer.over):
                text = f"{origin}: headers, but no content within {limits.content_s:g} s"
                answer.finish(Failure(kind="content_timeout", where="body", text=text))
        finally:
            if answer.line is not None:
                answer.line.hang_up()

    # ------------------------------------------------------------- the facts

    def _show(self, probe: Probe, answer: _Answer) -> None:
        """What the connection, the error or the list of models shows of who answers there."""
        evidence = answer.line.evidence if answer.line is not None else None
        failure = answer.failure
        if evidence is None:
            return
        if failure is not None and failure.status is not None:
            error = shape_of(failure.body)
            evidence = msgspec.structs.replace(evidence, error=error)
        elif probe.way == "models":
            evidence = msgspec.structs.replace(evidence, models=models_of(answer.listed))
        self._desk.shown(probe.provider, probe.surface, evidence)

    def _observation(self, probe: Probe, answer: _Answer, secret: bytes | None) -> Observation:
        at, failure = self._desk.clock(), answer.failure
        verdict = None
        if failure is not None:
            failure = masked_failure(failure, secret)
            verdict = self._judge(failure, answer.leg)
        return Observation(
            at=at,
            wall=self._desk.wall(),
            kind="probe",
            provider=probe.provider,
            surface=probe.surface,
            model=probe.model,
            credential=probe.credential,
            ok=failure is None,
            status=(failure.status if failure is not None else None) or answer.status or None,
            failure_kind=failure.kind if failure is not None else "",
            text=failure.text[:TEXT_CHARS_MAX] if failure is not None else "",
            verdict=verdict,
            took_s=at - answer.began_at,
            first_content_s=answer.content_s if probe.way == "generation" else None,
        )

    def _settle(self, call: Call, answer: _Answer, told: Observation | None) -> None:
        """Settle the intent; `told` None: we were stopped before its end."""
        desk, verdict = self._desk, told.verdict if told is not None else None
        ok = told is not None and told.ok
        desk.book.settle(
            Settled(
                id=attempt_id(call, 1),
                outcome="abandoned" if told is None else "ok" if ok else "failed",
                wall=desk.wall(),
                status=told.status if told is not None else None,
                failure_kind=told.failure_kind if told is not None else "",
                failure_text=told.text if told is not None else "",
                verdict=str(verdict) if verdict is not None else "",
                because=verdict.because if verdict is not None else (),
                usage=answer.usage,
                times=Times(headers=answer.headers_s, content=answer.content_s),
                bytes_in=answer.bytes_in,
            )
        )
        desk.book.record(
            exchange_of(
                call,
                "abandoned" if told is None else "ok" if ok else "declined",
                answer.status,
                duration_s=desk.clock() - call.at,
                attempts=1,
                served_by=str(answer.leg.target) if ok else "",
                verdict=str(verdict) if verdict is not None else "",
                because=answer.leg.why,
            )
        )


async def _within(seconds: float, event: asyncio.Event) -> bool:
    """Wait for an event; whether it came in time."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


class _Answer:
    """Reads one answer as far as is needed (a `Sink`). Without a call, its head is enough."""

    __slots__ = (
        "_call",
        "_clock",
        "_first",
        "_tap",
        "began_at",
        "begun",
        "bytes_in",
        "content_s",
        "failure",
        "headers_s",
        "leg",
        "line",
        "listed",
        "over",
        "status",
    )

    def __init__(self, clock: Callable[[], float], call: Call | None, leg: Leg) -> None:
        self._clock = clock
        self.began_at = clock()
        self._call = call
        self._tap: Tap | None = None
        self._first = b""
        self.leg = leg
        self.line: Line | None = None
        self.status = 0
        self.failure: Failure | None = None
        self.headers_s: float | None = None
        self.content_s: float | None = None
        self.bytes_in = 0
        self.listed = b""  # a list of models, where it came whole
        self.begun = asyncio.Event()
        self.over = asyncio.Event()

    @property
    def usage(self) -> Usage:
        return self._tap.usage if self._tap is not None else Usage()

    def finish(self, failure: Failure | None) -> None:
        """It is known how the probe ended; the first word counts."""
        if self.over.is_set():
            return
        self.failure = failure
        self.begun.set()
        self.over.set()
        if self.line is not None:
            self.line.hang_up()

    def sent(self, reused: bool) -> None:  # noqa: FBT001 - the Sink's signature
        """Nothing to do."""

    def head(self, status: int, headers: Headers) -> None:
        self.status = status
        self.headers_s = self._clock() - self.began_at
        self.begun.set()
        if self._call is not None:
            self._tap = speak.tap(self._call, self.leg, status, headers)
        elif status >= 500:
            text = f"the page answers with the status {status}"
            self.finish(Failure(kind="status", where="body", status=status, text=text))
        else:
            self.finish(None)

    def body(self, data: bytes) -> None:
        tap = self._tap
        if tap is None or self.over.is_set():
            return
        self.bytes_in += len(data)
        self._first = self._first or data.lstrip()[:1]
        self._read(tap.feed(data))
        listed = self._call is not None and self._call.surface == "models"
        well = listed and self.status == 200 and self._first in (b"{", b"[")
        if well and self.bytes_in > ENOUGH_BYTES:
            self.finish(None)  # it may be a megabyte, and is asked for every minute

    def ended(self) -> None:
        if self._tap is not None:
            self._read(self._tap.close())
        nothing = Failure(kind="empty", where="body", text="an answer without anything in it")
        self.finish(nothing)

    def broke(self, failure: Failure) -> None:
        self.finish(failure)

    def _read(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            if piece.kind is PieceKind.FAULT:
                self.finish(piece.failure)
            elif piece.kind in (PieceKind.CONTENT, PieceKind.END) and not self.over.is_set():
                # A model that reasons may come to the end of its few tokens before it says a word.
                self.content_s = self._clock() - self.began_at
                if self.leg.surface == "models":
                    self.listed = piece.data
                self.finish(None)
