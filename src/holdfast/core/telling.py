"""Telling people: which changes of incidents are told, when, and to whom. Words: `core/letters`.

    events ── hear ──▶ what nobody has been told yet ── due ──▶ changes, grouped ──▶ one message

For each incident this keeps what people last heard of it, and the newest that they have not. What
comes in between is counted and no more: a change is always "from what you know to what is now", so
it does not matter whether it waits for twenty seconds (others may belong to it), for the end of the
quiet hours, or until a flapping incident may speak again. Nothing is told twice and no opening is
lost, over a restart either: `saved` is the whole state.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct

from holdfast.facts.incidents import Event
from holdfast.facts.outcomes import Whose
from holdfast.facts.places import Segment

# Changes within this time of the first are told together.
GROUP_S = 20.0
# As many messages about one incident within this time, then it is summed up.
FLAPS_MAX = 4
FLAPS_S = 3600.0
# Events of one incident that are known by heart, and incidents of which anything is.
SEEN_MAX = 64
THREADS_MAX = 500

Level = Literal["opened", "resolved", "all"]
Heard = Literal["nothing", "open", "back"]
# "unsteady": it came back and fell again, unheard; "passed": it fell and came back, unheard.
ChangeKind = Literal["opened", "unsteady", "widened", "narrowed", "resolved", "passed"]
_WANTED: dict[Level, tuple[ChangeKind, ...]] = {
    "all": ("opened", "unsteady", "widened", "narrowed", "resolved", "passed"),
    "opened": ("opened", "unsteady", "resolved", "passed"),
    "resolved": ("resolved", "passed"),
}


class Quiet(Struct, frozen=True):
    """Hours in which people are left alone; minutes of the local day, the end not included.

    A span that ends before it begins goes over midnight.
    """

    start_min: int
    end_min: int

    def covers(self, minute: int) -> bool:
        """Whether this minute of the local day (0 to 1439) lies within."""
        if self.start_min <= self.end_min:
            return self.start_min <= minute < self.end_min
        return minute >= self.start_min or minute < self.end_min


class Change(Struct, frozen=True, kw_only=True):
    """One incident's change from what people know to what is now, in one message.

    `event` is the newest of those that it stands for; among these are `falls` openings and
    `returns` resolutions, the first of all at `first_at` (UTC). `held`: it had to wait, for the end
    of the quiet hours or because the incident flaps. `last_word`: the next is going to wait.
    """

    incident: str
    kind: ChangeKind
    event: Event
    falls: int = 0
    returns: int = 0
    first_at: float = 0.0
    held: bool = False
    last_word: bool = False


class Thread(Struct, kw_only=True, omit_defaults=True):
    """What people know of one incident, and the newest that they have not been told.

    `recalled`: all of it comes from the past, nothing was heard live. Times are UTC seconds.
    """

    heard: Heard = "nothing"
    segments: tuple[Segment, ...] = ()
    whose: Whose = "unknown"
    newest: Event | None = None
    falls: int = 0
    returns: int = 0
    first_at: float = 0.0
    waits_since: float = 0.0
    held: bool = False
    told_at: tuple[float, ...] = ()
    seen: tuple[tuple[float, str, tuple[Segment, ...]], ...] = ()
    recalled: bool = False

    def know(self, event: Event) -> None:
        """People know how it stands by this event."""
        self.heard = "back" if event.event == "resolved" else "open"
        self.segments = event.segments
        self.whose = event.whose
        self.newest, self.falls, self.returns, self.held = None, 0, 0, False

    def net(self) -> ChangeKind | None:
        """What the untold comes to; None: nothing, all is as people know it."""
        if self.newest is None:
            return None
        if self.newest.event == "resolved":
            return "resolved" if self.heard == "open" else "passed"
        if self.heard != "open":
            return "opened"
        if self.falls:
            return "unsteady"
        if self.newest.whose == self.whose and set(self.newest.segments) == set(self.segments):
            return None
        return "narrowed" if self.newest.event == "narrowed" else "widened"


class Told(Struct, kw_only=True):
    """The state to be kept over a restart. `heard_until`: the newest event's own time (UTC)."""

    heard_until: float
    threads: dict[str, Thread] = {}
    count: int = 0


class Telling:
    """Hears events in order and says what is due. The wall clock comes as an argument.

    `saved` is what an earlier one left behind; without it, `started` (UTC) is when we began:
    whatever is recalled from before is taken as known and not told.
    """

    def __init__(
        self, quiet: Quiet | None = None, *, saved: Told | None = None, started: float = 0.0
    ) -> None:
        self.quiet = quiet
        self.saved = saved if saved is not None else Told(heard_until=started)

    def hear(self, event: Event, wall: float, *, recalled: bool = False) -> bool:
        """Take in one event; whether it changes the state. Suspicions are not for people.

        `recalled`: it comes out of the journal, at a start. What was heard before the stop is then
        known already, whatever was still on its way when we were cut off is news.
        """
        if event.event == "suspected":
            return False
        old = recalled and event.at <= self.saved.heard_until
        thread = self.saved.threads.get(event.incident)
        if thread is None:
            if event.event != "opened":  # it never was declared, or is long forgotten
                return False
            self._forget()
            thread = self.saved.threads[event.incident] = Thread(recalled=old)
        key = (event.at, event.event, event.segments)
        if key in thread.seen or (old and not thread.recalled):
            return False
        thread.seen = (*thread.seen, key)[-SEEN_MAX:]
        if old:
            thread.know(event)
            return True
        self.saved.heard_until = max(self.saved.heard_until, event.at)
        thread.recalled = False
        if thread.newest is None:
            thread.waits_since, thread.first_at = wall, event.at
        thread.newest = event
        thread.falls += event.event == "opened"
        thread.returns += event.event == "resolved"
        return True

    def due(self, wall: float, minute: int) -> tuple[Change, ...]:
        """What is to be told now, in one message; empty: nothing. From now on it counts as told.

        `minute` is that of the local day, for the quiet hours. In these, only the end of what
        people know to be in trouble is told; the rest comes in one message when they are over.
        """
        quiet = self.quiet is not None and self.quiet.covers(minute)
        waiting = {
            name: thread
            for name, thread in self.saved.threads.items()
            if thread.newest is not None and may_speak(thread, wall, quiet=quiet)
        }
        if all(0 <= wall - thread.waits_since < GROUP_S for thread in waiting.values()):
            return ()
        found = [
            change
            for name, thread in waiting.items()
            if (change := _told(name, thread, wall)) is not None
        ]
        return tuple(sorted(found, key=lambda change: _WANTED["all"].index(change.kind)))

    def next_id(self, wall: float) -> str:
        """A name for the next message; receivers can tell a repetition by it."""
        self.saved.count += 1
        return f"{int(wall)}-{self.saved.count}"

    def _forget(self) -> None:
        """Make room for one more: of those without news, one that is over goes first."""
        threads = self.saved.threads
        idle = [name for name, thread in threads.items() if thread.newest is None]
        if len(threads) >= THREADS_MAX and idle:
            del threads[next((name for name in idle if threads[name].heard == "back"), idle[0])]


def may_speak(thread: Thread, wall: float, *, quiet: bool) -> bool:
    """Whether an incident's news may be told now; where not, it is noted that they had to wait."""
    ends = thread.newest is not None and thread.newest.event == "resolved"
    thread.told_at = tuple(at for at in thread.told_at if 0 <= wall - at < FLAPS_S)
    if len(thread.told_at) >= FLAPS_MAX or (quiet and not (ends and thread.heard == "open")):
        thread.held = True
        return False
    return True


def _told(name: str, thread: Thread, wall: float) -> Change | None:
    """The change that a thread's news come to, from now on known to people."""
    event, kind = thread.newest, thread.net()
    if event is None:
        return None
    found = None
    if kind is not None:
        thread.told_at = (*thread.told_at, wall)
        found = Change(
            incident=name,
            kind=kind,
            event=event,
            falls=thread.falls,
            returns=thread.returns,
            first_at=thread.first_at,
            held=thread.held,
            last_word=len(thread.told_at) == FLAPS_MAX,
        )
    thread.know(event)
    return found


def wanted(changes: Iterable[Change], level: Level) -> tuple[Change, ...]:
    """Those changes that a notifier of this level is told.

    "all": every change; "opened": beginnings and ends; "resolved": ends alone.
    """
    return tuple(change for change in changes if change.kind in _WANTED[level])


class Entry(Struct, frozen=True, kw_only=True):
    """One change for programs, as in `facts.incidents`. Texts are plain and bounded.

    `segments` name their credential only where the account is at fault. Times are UTC seconds.
    """

    incident: str
    kind: ChangeKind
    at: float
    since: float
    whose: Whose
    cause: str
    confidence: float
    segments: tuple[Segment, ...] = ()
    because: tuple[str, ...] = ()
    stood_in: tuple[str, ...] = ()


class Message(Struct, frozen=True, kw_only=True):
    """What one notifier is given. Plain text without control characters, bounded.

    `kind` is that of the weightiest change. `at` is UTC seconds.
    """

    id: str
    at: float
    kind: ChangeKind
    title: str
    text: str
    changes: tuple[Entry, ...] = ()


# ------------------------------------------------------------ delivering

TRIES_MAX = 5
# 30 s, 2 min, 8 min, 32 min: five tries in 43 minutes.
FIRST_WAIT_S = 30.0
WAIT_FACTOR = 4.0
# What is older has one try, once its notifier is known to fail.
STALE_S = 3600.0
WAITING_MAX = 32


class Delivery(Struct, kw_only=True, omit_defaults=True):
    """One message on its way to one notifier. Times are UTC seconds."""

    notifier: str
    message: Message
    put_at: float
    next_at: float
    tries: int = 0


class Outbox:
    """Messages on their way: in order for each notifier, tried again when one fails.

    Only the first in each line is tried: "it's back" never overtakes "it is down". After five
    tries a message is given up and `alarms` says so, until that notifier takes another. `saved` is
    the whole state; what was under way at a crash is tried again.
    """

    def __init__(self, saved: Sequence[Delivery] = ()) -> None:
        self.saved = list(saved)
        self.alarms: dict[str, str] = {}
        self._under_way: set[str] = set()

    def put(self, message: Message, notifier: str, wall: float) -> None:
        """One more message for a notifier. A line that is too long loses its oldest."""
        self.saved.append(Delivery(notifier=notifier, message=message, put_at=wall, next_at=wall))
        line = [one for one in self.saved if one.notifier == notifier]
        if len(line) > WAITING_MAX:
            # The first may be under way just now.
            self._drop(line[1])
            self.alarms[notifier] = f"{notifier} is too slow: a message to it was dropped."

    def due(self, wall: float) -> list[Delivery]:
        """What is to be tried now. Each is under way until `delivered` or `failed`."""
        found = []
        heads: set[str] = set()
        for one in self.saved:
            if one.notifier in heads:
                continue
            heads.add(one.notifier)
            ripe = wall >= one.next_at or wall < one.put_at  # or the clock was turned back
            if ripe and one.notifier not in self._under_way:
                self._under_way.add(one.notifier)
                found.append(one)
        return found

    def delivered(self, one: Delivery) -> None:
        """It has arrived."""
        self._under_way.discard(one.notifier)
        self.alarms.pop(one.notifier, None)
        self._drop(one)

    def failed(self, one: Delivery, why: str, wall: float) -> None:
        """It did not arrive; `why` is a sentence without any secret."""
        self._under_way.discard(one.notifier)
        one.tries += 1
        one.next_at = wall + FIRST_WAIT_S * WAIT_FACTOR ** (one.tries - 1)
        stale = one.notifier in self.alarms and wall - one.put_at > STALE_S
        if one.tries >= TRIES_MAX or stale:
            self._drop(one)
            self.alarms[one.notifier] = (
                f"{one.notifier} could not be told “{one.message.title}”"
                f" ({one.tries} tries; {why.rstrip('.')}). Mend it, or take it out of [notify]."
            )

    def keep(self, notifiers: Iterable[str]) -> None:
        """Forget whatever is meant for others than these: they have left the configuration."""
        names = set(notifiers)
        self.saved = [one for one in self.saved if one.notifier in names]
        self.alarms = {name: alarm for name, alarm in self.alarms.items() if name in names}

    def _drop(self, one: Delivery) -> None:
        self.saved = [other for other in self.saved if other is not one]
