"""What people are told: each change once, grouped, in peace, and never nothing."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.telling import (
    FLAPS_MAX,
    FLAPS_S,
    GROUP_S,
    SEEN_MAX,
    THREADS_MAX,
    TRIES_MAX,
    WAITING_MAX,
    Change,
    Delivery,
    Level,
    Message,
    Outbox,
    Quiet,
    Telling,
    Told,
    wanted,
)
from holdfast.facts.incidents import Event, EventKind
from holdfast.facts.outcomes import Whose
from holdfast.facts.places import Segment

NOON = 12 * 3600.0
NIGHT = Quiet(22 * 60, 7 * 60)
MESSAGES, CHAT = Segment("acme", "messages"), Segment("acme", "chat")


def event(
    at: float,
    kind: EventKind = "opened",
    incident: str = "i1",
    segments: Sequence[Segment] = (MESSAGES,),
    whose: Whose = "provider",
) -> Event:
    return Event(
        at=at,
        event=kind,
        incident=incident,
        whose=whose,
        segments=tuple(segments),
        confidence=0.9,
    )


def minute(wall: float) -> int:
    """Of the local day, which here is UTC's."""
    return int(wall // 60) % 1440


class Person:
    """Somebody who is told; looks as often as the gateway beats."""

    def __init__(self, quiet: Quiet | None = None, telling: Telling | None = None) -> None:
        self.telling = telling or Telling(quiet)
        self.told: list[tuple[float, tuple[Change, ...]]] = []
        self.wall = NOON

    def hears(self, *events: Event) -> None:
        for one in events:
            self.until(one.at)
            self.telling.hear(one, self.wall)

    def until(self, wall: float, step: float = 5.0) -> None:
        """Look now and again up to this time."""
        while self.wall < wall:
            self.wall = min(wall, self.wall + step)
            self.look()

    def look(self) -> None:
        changes = self.telling.due(self.wall, minute(self.wall))
        if changes:
            self.told.append((self.wall, changes))

    def restarts(self) -> None:
        """What was kept goes through a file."""
        saved = msgspec.json.decode(msgspec.json.encode(self.telling.saved), type=Told)
        self.telling = Telling(self.telling.quiet, saved=saved)

    @property
    def kinds(self) -> list[list[str]]:
        return [[change.kind for change in changes] for _, changes in self.told]


# ------------------------------------------------------------ once, grouped


def test_an_opening_is_told_once_after_the_time_of_grouping() -> None:
    person = Person()
    person.hears(event(NOON))
    person.until(NOON + GROUP_S - 1)
    assert person.kinds == []
    person.until(NOON + 3600)
    assert person.kinds == [["opened"]]
    assert person.told[0][0] == NOON + GROUP_S + 4  # the look after it


def test_what_comes_together_is_told_together_the_weightiest_first() -> None:
    person = Person()
    person.hears(event(NOON, incident="old"))
    person.until(NOON + 60)
    person.hears(
        event(NOON + 61, "resolved", "old"),
        event(NOON + 65, incident="a"),
        event(NOON + 70, incident="b", segments=[CHAT]),
        event(NOON + 72, "widened", "b", [CHAT, MESSAGES]),
    )
    person.until(NOON + 300)
    assert person.kinds == [["opened"], ["opened", "opened", "resolved"]]
    (change,) = (one for one in person.told[1][1] if one.incident == "b")
    assert change.event.segments == (CHAT, MESSAGES)  # as it stands, not as it began


def test_each_change_of_one_incident() -> None:
    person = Person()
    person.hears(
        event(NOON),
        event(NOON + 100, "widened", segments=[MESSAGES, CHAT]),
        event(NOON + 200, "narrowed", segments=[CHAT]),
        event(NOON + 300, "resolved", segments=[CHAT]),
    )
    person.until(NOON + 400)
    assert person.kinds == [["opened"], ["widened"], ["narrowed"], ["resolved"]]


def test_wider_and_narrow_again_within_the_group_is_nothing() -> None:
    person = Person()
    person.hears(event(NOON))
    person.until(NOON + 60)
    person.hears(
        event(NOON + 60, "widened", segments=[MESSAGES, CHAT]), event(NOON + 65, "narrowed")
    )
    person.until(NOON + 200)
    assert person.kinds == [["opened"]]


def test_another_culprit_is_a_change_though_the_segments_stay() -> None:
    person = Person()
    person.hears(event(NOON), event(NOON + 60, "widened", whose="network"))
    person.until(NOON + 200)
    assert person.kinds == [["opened"], ["widened"]]


def test_suspicions_are_not_for_people_nor_is_their_end() -> None:
    person = Person()
    person.hears(event(NOON, "suspected"), event(NOON + 50, "resolved"))
    person.until(NOON + 200)
    assert person.kinds == []


def test_a_reopened_incident_is_told_again() -> None:
    person = Person()
    person.hears(event(NOON), event(NOON + 60, "resolved"), event(NOON + 120))
    person.until(NOON + 200)
    assert person.kinds == [["opened"], ["resolved"], ["opened"]]


def test_levels() -> None:
    kinds = ("opened", "unsteady", "widened", "narrowed", "resolved", "passed")
    changes = [Change(incident="i", kind=kind, event=event(NOON)) for kind in kinds]

    def heard(level: Level) -> tuple[str, ...]:
        return tuple(change.kind for change in wanted(changes, level))

    assert heard("all") == kinds
    assert heard("opened") == ("opened", "unsteady", "resolved", "passed")
    assert heard("resolved") == ("resolved", "passed")


# ------------------------------------------------------------ quiet hours


def test_the_span_of_quiet_hours() -> None:
    assert [NIGHT.covers(at) for at in (0, 419, 420, 1319, 1320)] == [
        True,
        True,
        False,
        False,
        True,
    ]
    noon = Quiet(12 * 60, 13 * 60)
    assert [noon.covers(at) for at in (719, 720, 779, 780)] == [False, True, True, False]


def test_at_night_only_the_end_of_what_is_known() -> None:
    person = Person(NIGHT)
    late, morning = 21.9 * 3600, 31 * 3600
    person.hears(event(late))
    person.until(late + 60)
    person.hears(
        event(23 * 3600, incident="i2", segments=[CHAT]),
        event(24 * 3600, "resolved"),
        event(25 * 3600),
        event(26 * 3600, "resolved"),
    )
    person.until(morning - 1)
    assert person.kinds == [["opened"], ["resolved"]]
    person.until(morning + 5)
    assert person.kinds[2:] == [["opened", "passed"]]  # what was held, in one message
    opened, passed = person.told[2][1]
    assert (opened.incident, opened.held, opened.first_at) == ("i2", True, 23 * 3600)
    assert (passed.falls, passed.returns, passed.first_at) == (1, 1, 25 * 3600)


# ------------------------------------------------------------ flapping


def test_flapping_is_limited_and_then_summed_up() -> None:
    person = Person()
    for turn in range(20):
        kind: EventKind = "resolved" if turn % 2 else "opened"
        person.hears(event(NOON + turn * 60, kind))
    person.until(NOON + FLAPS_S - 60)
    assert person.kinds == [["opened"], ["resolved"]] * (FLAPS_MAX // 2)
    assert [changes[0].last_word for _, changes in person.told] == [False] * 3 + [True]
    person.until(NOON + 2 * FLAPS_S)
    assert person.kinds[FLAPS_MAX:] == [["passed"]]
    (summary,) = person.told[FLAPS_MAX][1]
    assert (summary.falls, summary.returns, summary.held) == (8, 8, True)


def test_one_that_flaps_does_not_keep_another_from_being_told() -> None:
    person = Person()
    for turn in range(8):
        person.hears(event(NOON + turn * 60, "resolved" if turn % 2 else "opened"))
    person.hears(event(NOON + 500, incident="i2"))
    person.until(NOON + 600)
    assert person.kinds[-1] == ["opened"]
    assert person.told[-1][1][0].incident == "i2"


# ------------------------------------------------------------ restarts


def test_nothing_is_told_twice_over_a_restart_nor_lost() -> None:
    person = Person()
    first, second = event(NOON), event(NOON + 100, "widened", segments=[MESSAGES, CHAT])
    person.hears(first)
    person.until(NOON + 60)
    person.hears(second)
    person.restarts()
    for one in (first, second, event(NOON + 101, incident="i2")):
        person.telling.hear(one, person.wall, recalled=True)
    person.until(NOON + 300)
    # i2 was on its way when it was cut off.
    assert person.kinds == [["opened"], ["opened", "widened"]]


def test_at_the_very_first_start_the_past_is_known_and_its_end_is_told() -> None:
    person = Person(telling=Telling(started=NOON))
    recalled = [
        event(NOON - 900, incident="over"),
        event(NOON - 800, "resolved", "over"),
        event(NOON - 500),
        event(NOON - 400, "widened", segments=[MESSAGES, CHAT]),
    ]
    for one in recalled:
        assert person.telling.hear(one, NOON, recalled=True)
    person.hears(event(NOON + 10, "resolved"))
    person.until(NOON + 100)
    assert person.kinds == [["resolved"]]


def test_a_history_longer_than_is_known_by_heart_stays_told() -> None:
    """Its beginning comes out of the journal again, and must not undo what was heard since."""
    person = Person(telling=Telling(started=NOON))
    opened = event(NOON - 10)
    person.telling.hear(opened, NOON, recalled=True)
    history = [
        event(
            NOON + at, "narrowed" if at % 2 else "widened", segments=[MESSAGES, CHAT][: at % 2 + 1]
        )
        for at in range(1, SEEN_MAX + 20)
    ]
    history.append(event(NOON + 200, "resolved"))
    person.hears(*history)
    person.restarts()
    for one in (opened, *history):
        person.telling.hear(one, person.wall, recalled=True)
    person.until(NOON + 2 * FLAPS_S)
    assert person.kinds[-1] == ["resolved"]
    count = len(person.told)
    for one in history[-10:]:  # and a repetition is not news, however it comes
        assert not person.telling.hear(one, person.wall)
    person.until(NOON + 4 * FLAPS_S)
    assert len(person.told) == count


def test_what_was_told_and_forgotten_is_not_told_again_out_of_the_journal() -> None:
    person = Person()
    history = [event(NOON), event(NOON + 60, "resolved")]
    person.hears(*history)
    person.until(NOON + 200)
    person.telling.saved.threads.clear()
    for one in history:
        person.telling.hear(one, person.wall, recalled=True)
    person.until(NOON + 400)
    assert person.kinds == [["opened"], ["resolved"]]


def test_what_was_never_declared_cannot_widen() -> None:
    person = Person()
    person.hears(event(NOON, "suspected"), event(NOON + 5, "widened", segments=[MESSAGES, CHAT]))
    person.until(NOON + 200)
    assert person.kinds == []


def test_a_clock_that_was_turned_back_holds_nothing_up() -> None:
    person = Person()
    person.hears(event(NOON))
    person.wall -= 7200
    person.look()
    assert person.kinds == [["opened"]]


def test_old_incidents_are_forgotten_open_ones_last() -> None:
    telling = Telling(started=NOON)
    telling.hear(event(1, incident="open"), NOON, recalled=True)
    for number in range(THREADS_MAX + 10):
        telling.hear(event(2, incident=f"n{number}"), NOON, recalled=True)
        telling.hear(event(3, "resolved", f"n{number}"), NOON, recalled=True)
    assert len(telling.saved.threads) == THREADS_MAX
    assert "open" in telling.saved.threads


# ------------------------------------------------------------ the law


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Events of some incidents as a tracker makes them: in order, each set as it then is."""
    at, events = NOON, []
    states: dict[str, str] = {}
    for _ in range(draw(st.integers(1, 40))):
        at += draw(st.sampled_from([0.0, 1.0, 15.0, 60.0, 900.0, 7200.0]))
        name = draw(st.sampled_from(["a", "b", "c"]))
        state = states.get(name, "")
        kinds = ["suspected", "widened", "narrowed", "resolved"] if state == "open" else ["opened"]
        kind = draw(st.sampled_from(kinds))
        if kind != "suspected":
            states[name] = "back" if kind == "resolved" else "open"
        segments = draw(st.sampled_from([[MESSAGES], [CHAT], [MESSAGES, CHAT]]))
        events.append(event(at, kind, name, segments))  # type: ignore[arg-type]
    return events


@given(
    histories(),
    st.sampled_from([None, NIGHT, Quiet(720, 800)]),
    st.lists(st.booleans(), min_size=40, max_size=40),
)
def test_told_once_never_lost_and_in_peace(
    events: list[Event], quiet: Quiet | None, restarts: list[bool]
) -> None:
    person = Person(quiet)
    for number, one in enumerate(events):
        person.until(one.at, step=300)
        person.telling.hear(one, person.wall)
        person.telling.hear(one, person.wall)  # a repetition is not news
        if restarts[number]:
            person.restarts()
            for past in events[: number + 1]:
                person.telling.hear(past, person.wall, recalled=True)
    person.until(person.wall + 2 * 86_400, step=1800)
    known: dict[str, str] = {}
    sent: dict[str, list[float]] = {}
    for wall, changes in person.told:
        for change in changes:
            before = known.get(change.incident, "")
            ended = change.event.event == "resolved"
            if quiet is not None and quiet.covers(minute(wall)):
                assert (ended, before) == (True, "open")
            # From what was known to what is now, and never to the same.
            assert (change.kind in ("opened", "passed")) == (before != "open")
            assert (change.kind in ("resolved", "passed")) == ended
            known[change.incident] = "back" if ended else "open"
            times = sent.setdefault(change.incident, [])
            times.append(wall)
            assert len([at for at in times if wall - at < FLAPS_S]) <= FLAPS_MAX
    told = [change for _, changes in person.told for change in changes]
    for name in {one.incident for one in events}:
        mine = [one for one in events if one.incident == name and one.event != "suspected"]
        unique = {(one.at, one.event, one.segments) for one in mine}
        openings = sum(kind == "opened" for _, kind, _ in unique)
        assert sum(change.falls for change in told if change.incident == name) == openings
        assert known[name] == ("back" if mine[-1].event == "resolved" else "open")


# ------------------------------------------------------------ delivering


def message(name: str = "m1") -> Message:
    return Message(id=name, at=NOON, kind="opened", title=f"Down: {name}", text="…")


def drain(box: Outbox, wall: float, *, works: bool) -> list[str]:
    """Try what is due; the names of the messages."""
    names = []
    for one in box.due(wall):
        names.append(one.message.id)
        if works:
            box.delivered(one)
        else:
            box.failed(one, "HTTP 500", wall)
    return names


def test_five_tries_within_an_hour_then_an_alarm() -> None:
    box = Outbox()
    box.put(message(), "hook", NOON)
    tried = [at for at in range(7200) if drain(box, NOON + at, works=False)]
    assert tried == [0, 30, 150, 630, 2550]
    assert len(tried) == TRIES_MAX
    assert box.alarms == {
        "hook": "hook could not be told “Down: m1” (5 tries; HTTP 500)."
        " Mend it, or take it out of [notify]."
    }
    assert box.saved == []
    box.put(message("m2"), "hook", NOON + 7200)
    assert drain(box, NOON + 7200, works=True) == ["m2"]
    assert box.alarms == {}


def test_one_at_a_time_in_order_and_apart_from_other_notifiers() -> None:
    box = Outbox()
    for name in ("m1", "m2"):
        box.put(message(name), "hook", NOON)
        box.put(message(name), "desk", NOON)
    first = box.due(NOON)
    assert [(one.notifier, one.message.id) for one in first] == [("hook", "m1"), ("desk", "m1")]
    assert box.due(NOON) == []  # both under way
    box.failed(first[0], "slow", NOON)
    box.delivered(first[1])
    assert [(one.notifier, one.message.id) for one in box.due(NOON)] == [("desk", "m2")]
    assert drain(box, NOON + 30, works=True) == ["m1"]
    assert drain(box, NOON + 30, works=True) == ["m2"]


def test_stale_messages_have_one_try_where_the_notifier_is_known_to_fail() -> None:
    box = Outbox()
    for name in ("m1", "m2", "m3"):
        box.put(message(name), "hook", NOON)
    for at in range(0, 3600, 10):
        drain(box, NOON + at, works=False)
    # m1 is given up after 43 minutes; m2, tried since, is older than an hour by then.
    for at in range(3600, 7200, 10):
        drain(box, NOON + at, works=False)
    assert box.saved == []


def test_a_line_is_bounded_and_says_so() -> None:
    box = Outbox()
    for number in range(WAITING_MAX + 3):
        box.put(message(f"m{number}"), "hook", NOON)
    assert len(box.saved) == WAITING_MAX
    assert box.saved[-1].message.id == f"m{WAITING_MAX + 2}"
    assert "too slow" in box.alarms["hook"]


def test_what_was_under_way_is_tried_again_after_a_restart_with_its_tries_counted() -> None:
    box = Outbox()
    box.put(message(), "hook", NOON)
    drain(box, NOON, works=False)
    box.due(NOON + 30)
    saved = msgspec.json.decode(msgspec.json.encode(box.saved), type=list[Delivery])
    again = Outbox(saved)
    assert [one.tries for one in again.due(NOON + 40)] == [1]


def test_notifiers_that_left_the_configuration_are_forgotten() -> None:
    box = Outbox()
    box.put(message(), "hook", NOON)
    box.put(message(), "desk", NOON)
    box.alarms["hook"] = "…"
    box.keep(["desk"])
    assert [one.notifier for one in box.saved] == ["desk"]
    assert box.alarms == {}


@given(st.lists(st.tuples(st.sampled_from(["put", "works", "fails"]), st.floats(0, 4000))))
def test_each_message_arrives_once_or_is_given_up_with_an_alarm(
    steps: list[tuple[str, float]],
) -> None:
    box, wall = Outbox(), NOON
    put: list[str] = []
    arrived: list[str] = []
    for what, wait in steps:
        wall += wait
        if what == "put":
            put.append(f"m{len(put)}")
            box.put(message(put[-1]), "hook", wall)
            continue
        names = drain(box, wall, works=what == "works")
        arrived += names if what == "works" else []
    waiting = [one.message.id for one in box.saved]
    assert len({*arrived, *waiting}) == len(arrived) + len(waiting)
    assert arrived == sorted(arrived, key=put.index)
    assert all(one.tries < TRIES_MAX for one in box.saved)
