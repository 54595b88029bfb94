"""One attempt on the invented network: the provider's script, played in time through a real tap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from holdfast.facts.calls import Call, Headers
from holdfast.facts.flights import Closed, Event, Failed, Heard, Leg, Opened, Sent
from holdfast.facts.outcomes import Failure, FailureKind, Where
from holdfast.sim.script import Blackhole, Bytes, Cut, End, Fin, Head, Refuse, Script, Stall
from holdfast.sim.trace import Seen, Trace
from holdfast.wire import speak
from holdfast.wire.crossings import Crossings
from holdfast.wire.tap import Tap


class Link(Protocol):
    """The network between the gateway and one provider. `kept`: connections that wait for use."""

    rtt_s: float
    kept: int

    def split(self, data: bytes) -> list[bytes]: ...


class Air(Protocol):
    """What an attempt needs of the world around it."""

    now_s: float
    trace: Trace
    crossings: Crossings

    def at(self, when_s: float, do: Callable[[], None]) -> None: ...
    def ask(self, leg: Leg, body: bytes, *, stream: bool) -> Script: ...
    def link(self, leg: Leg) -> Link: ...
    def stale(self) -> bool: ...


class Attempt:
    """Asks one leg and tells `feed` what happens, until it is over or hung up."""

    __slots__ = (
        "_air",
        "_feed",
        "_index",
        "_link",
        "_open",
        "_script",
        "bytes_in",
        "call",
        "head",
        "leg",
        "number",
        "status",
        "tap",
    )

    def __init__(
        self, air: Air, call: Call, leg: Leg, number: int, feed: Callable[[Event], None]
    ) -> None:
        self._air = air
        self._feed = feed
        self._link = air.link(leg)
        self._open = True
        self._script: Script = ()
        self._index = 0
        self.call = call
        self.leg = leg
        self.number = number
        self.head: Headers = ()
        self.status = 0
        self.tap: Tap | None = None
        self.bytes_in = 0

    def begin(self, body: bytes, *, fresh: bool, stream: bool = False) -> None:
        """Ask. What comes of it comes later, never from within. `stream`: the path asks for one."""
        air, link = self._air, self._link
        rtt_s = link.rtt_s
        kept = not fresh and link.kept > 0
        if kept:
            link.kept -= 1
            if air.stale():
                air.at(air.now_s + rtt_s, self._found_stale)
                return
        self._script = air.ask(self.leg, body, stream=stream)
        first = self._script[0].does
        if isinstance(first, Refuse):
            air.at(air.now_s + rtt_s, self._refused)
        elif not isinstance(first, Blackhole):
            air.at(air.now_s + (0.0 if kept else rtt_s), self._connected)

    def hang_up(self) -> None:
        """Close the connection; nothing is told any more."""
        self._open = False

    def release(self) -> None:
        """The answer was whole: keep the connection for the next."""
        if self._open:
            self._open = False
            self._link.kept += 1

    # ------------------------------------------------------------- connecting

    def _refused(self) -> None:
        text = f"connection refused by {self.leg.target.provider}"
        self._fail("refused", "connect", text)

    def _found_stale(self) -> None:
        self._fail("stale", "before_headers", "a kept connection was closed before an answer")

    def _connected(self) -> None:
        if not self._open:
            return
        air, leg = self._air, self.leg
        air.trace.saw.append(
            Seen(
                at_s=air.now_s,
                provider=leg.target.provider,
                surface=leg.surface,
                id=f"{self.call.id}.{self.number}",
            )
        )
        self._feed(Sent(air.now_s, self.number))
        self._later(self._link.rtt_s)

    # ---------------------------------------------------------------- playing

    def _later(self, extra_s: float = 0.0) -> None:
        """The script's next step, in its time."""
        if self._index < len(self._script):
            wait_s = self._script[self._index].wait_s + extra_s
            self._air.at(self._air.now_s + wait_s, self._play)

    def _play(self) -> None:
        """The next step and those that follow it at once."""
        while self._open and self._index < len(self._script):
            does = self._script[self._index].does
            self._index += 1
            _STEPS[type(does)](self, does)
            if self._index < len(self._script) and self._script[self._index].wait_s > 0:
                break
        if self._open:
            self._later()

    def _headed(self, does: Head) -> None:
        self.head, self.status = does.headers, does.status
        self.tap = speak.tap(self.call, self.leg, does.status, does.headers, self._air.crossings)
        self._feed(Opened(self._air.now_s, self.number, does.status))

    def _wrote(self, does: Bytes) -> None:
        for part in self._link.split(does.data):
            tap = self.tap
            if tap is None or not self._open:
                return
            self.bytes_in += len(part)
            pieces = tap.feed(part)
            if pieces:
                self._feed(Heard(self._air.now_s, self.number, pieces))

    def _ended(self, _: End) -> None:
        if self.tap is None:
            return
        pieces = self.tap.close()
        if pieces:
            self._feed(Heard(self._air.now_s, self.number, pieces))
        self._feed(Closed(self._air.now_s, self.number))

    def _cut(self, does: Cut | Fin) -> None:
        how = "reset" if isinstance(does, Cut) else "closed"
        if self.tap is None:
            self._fail("reset", "before_headers", f"the connection was {how} before an answer")
        else:
            self._fail("truncated", "body", f"the connection was {how} in mid-answer")

    def _stalled(self, _: Stall) -> None:
        """Nothing more comes."""

    def _fail(self, kind: FailureKind, where: Where, text: str) -> None:
        if self._open:
            self._open = False
            failure = Failure(kind=kind, where=where, text=text)
            self._feed(Failed(self._air.now_s, self.number, failure))


# The class's own table, outside it because it names its methods.
# ruff: noqa: SLF001
_STEPS: dict[type, Callable[[Attempt, Any], None]] = {
    Head: Attempt._headed,
    Bytes: Attempt._wrote,
    End: Attempt._ended,
    Cut: Attempt._cut,
    Fin: Attempt._cut,
    Stall: Attempt._stalled,
}
