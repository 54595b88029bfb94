"""The house fails open: when our own code breaks before the first byte, traffic passes.

A bypass carries the raw request to the original provider and the raw answer back, by the
shortest way: no plan, no tap, no timers but the dialler's. A continuity layer must never be the
outage.
"""

from __future__ import annotations

from typing import Literal

from holdfast.core.entries import attempt_id, exchange_of, intent_of
from holdfast.facts.calls import Call, Headers
from holdfast.facts.flights import Leg, Settled
from holdfast.facts.outcomes import Failure
from holdfast.net.audience import Audience
from holdfast.net.desk import Desk
from holdfast.net.dial import Line
from holdfast.net.mask import masked, masked_failure, masked_headers
from holdfast.net.onward import signature
from holdfast.wire import speak
from holdfast.wire.headers import (
    client_credential,
    credential_headers,
    to_client,
    to_upstream,
)


class Bypass:
    """One raw relay. It is the `Sink` of its only attempt."""

    __slots__ = (
        "_attempts",
        "_audience",
        "_begun",
        "_call",
        "_desk",
        "_leg",
        "_line",
        "_secret",
        "_status",
        "_why",
    )

    def __init__(
        self,
        desk: Desk,
        call: Call,
        leg: Leg,
        audience: Audience,
        error: Exception,
        attempts: int,
    ) -> None:
        """`attempts`: how many had left for this call before."""
        self._attempts = attempts
        self._desk = desk
        self._call = call
        self._leg = leg
        self._audience = audience
        self._begun = False
        self._why = f"holdfast's own code failed ({type(error).__name__}); passed through raw"
        self._secret: bytes | None = None
        self._line: Line | None = None
        self._status = 0

    def start(self) -> None:
        """Send the raw request on its way."""
        call, place = self._call, self._desk.places.get(self._leg.target.provider)
        if place is None:
            self._decline("its provider is no longer in the configuration")
            return
        own = client_credential(call.headers)
        try:
            secret = self._secret = place.credential(own)
        except PermissionError as reason:
            self._decline(str(reason))
            return
        headers: Headers = to_upstream(call.headers)
        if secret is not None:
            headers += credential_headers(call.dialect, secret, own)
        query = f"?{call.query}" if call.query else ""
        wall = self._desk.wall()
        try:
            path, body = self._named()
        except Exception:  # noqa: BLE001 - the same fault, or another
            self._decline("nor could the request be addressed to its model")
            return
        self._desk.intend(intent_of(call, self._leg, 0, wall, len(body), "passed through raw"))
        self._attempts += 1
        self._audience.on_gone = self._gone
        self._audience.on_pace = self._resume
        self._line = self._desk.dialer.ask(
            place.origin,
            call.method,
            f"{place.prefix}{path}{query}",
            headers,
            body,
            self,
            connect_s=self._leg.limits.connect_s,
            fresh=True,
            keep=False,
        )

    def _named(self) -> tuple[str, bytes]:
        """The path and the body, untouched but for the name that the target has for the model."""
        call, model = self._call, self._leg.target.model
        if model == call.model:
            return call.path, call.body
        return speak.renamed(call.path, call.body, call.model, model)

    def _gone(self) -> None:
        if self._audience.replies:
            self._resume()  # it may have been the slow one
            return
        if self._line is not None:
            self._line.hang_up()
        self._settle("abandoned")
        if not self._begun:
            self._record("abandoned", 0)

    def _resume(self) -> None:
        if self._line is not None and self._audience.writable:
            self._line.resume()

    def sent(self, reused: bool) -> None:  # noqa: FBT001 - the Sink's signature
        """Nothing to do: nobody waits for it."""

    def head(self, status: int, headers: Headers) -> None:
        ours = (*self._ours(), *signature(self._leg.target, self._leg.stand_in))
        self._begun = True
        self._status = status
        self._audience.begin(status, (*masked_headers(to_client(headers), self._secret), *ours))
        self._record("bypassed", status)

    def _ours(self) -> Headers:
        return (
            (b"x-holdfast-exchange", self._call.id.encode()),
            (b"x-holdfast-attempts", b"%d" % self._attempts),
        )

    def body(self, data: bytes) -> None:
        # An error comes in one piece, nearly always; an answer is the target's, byte for byte.
        data = masked(data, self._secret) if self._status >= 400 else data
        if not self._audience.say(data) and self._line is not None:
            self._line.pause()

    def ended(self) -> None:
        self._audience.finish()
        self._settle("ok" if self._status < 400 else "failed")

    def broke(self, failure: Failure) -> None:
        failure = masked_failure(failure, self._secret)
        self._settle("failed", failure)
        if self._begun:
            self._audience.break_()
            return
        self._decline(failure.text or failure.kind)

    def _decline(self, why: str) -> None:
        """The raw request could not be carried either: say so, in the client's dialect."""
        text = f"{self._why}; {why}. Please report this."
        headers, body = speak.error_reply(self._call.dialect, 502, text)
        self._audience.send(502, (*headers, *self._ours()), body)
        self._record("declined", 502)

    def _settle(
        self, outcome: Literal["ok", "failed", "abandoned"], failure: Failure | None = None
    ) -> None:
        self._desk.book.settle(
            Settled(
                id=attempt_id(self._call, 0),
                outcome=outcome,
                wall=self._desk.wall(),
                status=self._status or None,
                failure_kind=failure.kind if failure is not None else "",
                failure_text=failure.text if failure is not None else "",
            )
        )

    def _record(self, outcome: str, status: int) -> None:
        self._desk.book.record(
            exchange_of(
                self._call,
                outcome,
                status,
                duration_s=self._desk.clock() - self._call.at,
                attempts=self._attempts,
                served_by=str(self._leg.target) if self._begun else "",
                stand_in=self._begun and self._leg.stand_in,
                because=self._why,
            )
        )
