"""What the pilots of one gateway share: the board, the book, the places, and one alarm clock."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from holdfast.core.board import Board
from holdfast.core.runaway import Runaways
from holdfast.core.sampling import Leaf
from holdfast.facts.calls import Call, Headers
from holdfast.facts.fingerprints import Evidence
from holdfast.facts.flights import Decline, Exchange, Intent, Leg, Settled
from holdfast.facts.observations import Observation
from holdfast.facts.outcomes import Times
from holdfast.facts.places import Dialect, Provider
from holdfast.net.caller import CALLERS_MAX, Caller
from holdfast.net.dial import Block, Dialer, Origin
from holdfast.wire import speak
from holdfast.wire.crossings import Crossings
from holdfast.wire.headers import credential_headers, is_subscription

if TYPE_CHECKING:
    from holdfast.net.pilot import Pilot


class Book(Protocol):
    """What a pilot writes down. `intend` returns when the records are with the kernel (True),
    or have failed to get there (False, which is the book's alarm and not the call's trouble).
    """

    def intend(self, *intents: Intent) -> bool: ...
    def settle(self, settled: Settled) -> None: ...
    def record(self, exchange: Exchange) -> None: ...


class Place:
    """A provider as the pilot needs it: where to connect, and the secret bound to that host.

    `blocks` are the header blocks for the callers that are about, each with its secret.
    """

    __slots__ = ("blocks", "origin", "prefix", "provider", "secret")

    def __init__(self, provider: Provider, secret: bytes | None) -> None:
        self.provider = provider
        self.origin, self.prefix = Origin.of(provider.base_url)
        self.secret = secret
        self.blocks: dict[tuple[Caller, Dialect], tuple[bytes | None, Block]] = {}

    def is_at(self, other: Place) -> bool:
        """Whether both are at the same address, with the same key."""
        own, theirs = self.provider, other.provider
        return (own.base_url, own.key, self.secret) == (theirs.base_url, theirs.key, other.secret)

    def dressed(
        self, caller: Caller, dialect: Dialect, instead: Headers, without: tuple[bytes, ...]
    ) -> tuple[bytes | None, Block]:
        """The secret for this host and the headers: the caller's, with that credential alone.

        `instead` stand in place of the client's own of these names; those that begin with one of
        `without` stay behind. What a caller says to a place is put together once. Raises
        PermissionError, with a sentence for people, where the credential may not be sent.
        """
        key = (caller, dialect)
        if not instead:
            known = self.blocks.get(key)
            if known is not None:
                return known
        secret = self.credential(caller.credential)
        credential = (
            () if secret is None else credential_headers(dialect, secret, caller.credential)
        )
        named = {name for name, _ in instead}
        kept = [
            pair
            for pair in caller.outgoing
            if pair[0] not in named and not pair[0].startswith(without)
        ]
        found = secret, Block((*kept, *instead, *credential))
        if not instead:
            if len(self.blocks) >= CALLERS_MAX:
                self.blocks.clear()
            self.blocks[key] = found
        return found

    def credential(self, own: tuple[str, bytes] | None) -> bytes | None:
        """The secret for this host, and for no other; `own` is what the client brought.

        Raises PermissionError, with a sentence for people, where that may not be sent.
        """
        provider = self.provider
        if provider.key != "client":
            return self.secret
        secret = own[1] if own is not None else None
        if is_subscription(secret) and not provider.allow_subscription:
            raise PermissionError(
                f"{provider.name} was asked with a subscription token; the provider's"
                f" terms forbid third parties to carry these. Use an API key, or set"
                f" allow_subscription = true in [providers.{provider.name}]"
            )
        return secret


class Desk:
    """What the pilots of one gateway share.

    `observe` takes what attempts found out, to the board first of all. `counted` is asked before
    that of a first choice's good answer: whether it was counted to one like it (the observatory's).
    `outlook` says, in a sentence for a call that nobody could answer, since when it lasts and when
    it may be over.
    `shown` takes what a new connection showed of who answers there: provider, surface, evidence.
    `kept` are calls that ended whole just after their client left, which may come back at once.
    `held` end calls that are held back, each its own.
    `alarm_at` is when the flights' deadlines are looked at next (the clock's; infinity: never).
    """

    __slots__ = (
        "_alarm",
        "_intents",
        "affinity",
        "alarm_at",
        "board",
        "book",
        "clock",
        "counted",
        "credit",
        "crossings",
        "dialer",
        "flying",
        "held",
        "kept",
        "observe",
        "outlook",
        "places",
        "runaways",
        "shown",
        "wall",
    )

    def __init__(
        self,
        *,
        board: Board,
        book: Book,
        dialer: Dialer,
        clock: Callable[[], float],
        wall: Callable[[], float],
        credit: Callable[[str, float], None],
        affinity: Callable[[Call, Leg, float], None],
    ) -> None:
        self.board = board
        self.book = book
        self.dialer = dialer
        self.clock = clock
        self.wall = wall
        self.credit = credit
        self.affinity = affinity
        self.observe: Callable[[Observation], None] = board.observe
        self.counted: Callable[[Leaf, float, float, int | None, Times], bool]
        self.counted = lambda *_: False
        self.outlook: Callable[[Decline], str] = lambda _: ""
        self.crossings = Crossings()
        self.runaways = Runaways()
        self.shown: Callable[[str, str, Evidence | None], None] = lambda *_: None
        self.places: dict[str, Place] = {}
        self.flying: set[Pilot] = set()
        self.kept: set[Pilot] = set()
        self.held: set[Callable[[], None]] = set()
        self._intents: list[Intent] = []
        dialer.cork.before = self.promise
        self._alarm: asyncio.TimerHandle | None = None
        self.alarm_at = math.inf

    def pause_s(self, call: Call) -> float:
        """How long this call is to wait, since its tool asks on and on; mostly 0, and known at
        once.
        """
        if not call.stream or not len(self.runaways):
            return 0.0
        mark = _mark(call)
        return self.runaways.pause_s(mark, call.at) if mark else 0.0

    def streamed(self, call: Call, at: float, *, whole: bool) -> None:
        """The stream that answered this call is over; not `whole`: it broke off, or its client
        does not read in it why it ended.
        """
        if whole and not len(self.runaways):
            return
        mark = _mark(call)
        if mark:
            self.runaways.ended(mark, at, whole=whole, name=call.tool)

    def stop(self) -> None:
        """End every call that is held back or in the air, so that each client hears why."""
        for end in (*self.held, *(pilot.stop for pilot in self.flying)):
            try:
                end()
            except Exception as error:  # noqa: BLE001 - the others shall hear why, too
                what = {"message": "holdfast: a call could not be ended", "exception": error}
                asyncio.get_running_loop().call_exception_handler(what)

    def intend(self, intent: Intent) -> None:
        """What is about to be sent. The book has it before a byte of this turn's leaves."""
        self._intents.append(intent)
        self.dialer.cork.rouse()

    def promise(self) -> None:
        """Give the book what was intended since: one write for all that leaves together."""
        if self._intents:
            intents, self._intents = self._intents, []
            self.book.intend(*intents)

    def wake_by(self, deadline: float) -> None:
        """Look at the flights' deadlines at this time (the clock's), or earlier.

        One timer for all of them: nearly every deadline moves on or goes before it comes, and the
        first that is set is the first to come.
        """
        if deadline < self.alarm_at:
            if self._alarm is not None:
                self._alarm.cancel()
            self.alarm_at = deadline
            self._alarm = asyncio.get_running_loop().call_at(deadline, self._ring)

    def _ring(self) -> None:
        self._alarm, self.alarm_at = None, math.inf
        now = self.clock()
        due, nearest = [], math.inf
        for pilot in self.flying:
            deadline = pilot.flight.deadline
            if deadline is not None and deadline <= now:
                due.append(pilot)
            elif deadline is not None and deadline < nearest:
                nearest = deadline
        self.wake_by(nearest)
        for pilot in due:
            with suppress(Exception):  # each one ends its own call; the next is rung all the same
                pilot.ring(now)


def _mark(call: Call) -> str:
    """Tells a tool's conversation from others, from its first turn on; "" where there is none."""
    digest = speak.conversation(call.dialect, call.body, first_turns=True)
    return f"{call.tool}|{call.credential_mark}|{digest}" if digest else ""
