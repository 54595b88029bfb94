"""A segment's health: the table, the rests, the trials, the knocks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core import health as module
from holdfast.core.health import TABLE, Health, Node, Params, State, Turn
from holdfast.facts.outcomes import Verdict
from holdfast.facts.places import Segment

P = Params()
A = Segment("a")
DOWN, PROBATION, WELL, DOUBTFUL = State.DOWN, State.PROBATION, State.WELL, State.DOUBTFUL


def verdict(rest_s: float | None = None) -> Verdict:
    return Verdict(
        whose="provider", cause="outage", confidence=0.8, action="fail_over", rest_s=rest_s
    )


class Patient:
    """One segment, told what happens to it."""

    def __init__(self, dice: float = 0.5, params: Params | None = None) -> None:
        self.health = Health(lambda: dice, params)

    @property
    def node(self) -> Node:
        return self.health.nodes[A]

    def fail(
        self,
        at: float,
        kind: str = "status",
        status: int | None = 500,
        rest_s: float | None = None,
        *,
        sure: bool = False,
        took_s: float = 0.0,
    ) -> None:
        self.health.fail(A, at, at, verdict(rest_s), kind, status, sure=sure, took_s=took_s)

    def trip(self, at: float) -> None:
        self.fail(at, "refused", None)

    def good(self, at: float, *, took_s: float = 0.0) -> None:
        self.health.succeed(A, at, at, took_s=took_s)

    def state(self, at: float) -> State:
        node = self.health.nodes.get(A)
        return WELL if node is None else node.state_at(at, P.memory_s)

    def shut(self, at: float) -> bool:
        node = self.health.nodes.get(A)
        return node is not None and node.shut(at)


# ------------------------------------------------------------ the table


def test_the_drawing_and_the_table_are_one() -> None:
    """The drawing in the module's docstring is what people read: it must be what runs."""
    text = module.__doc__ or ""
    rows = [line.split() for line in text.splitlines() if line.startswith("    ")]
    heads = [Turn[name] for name in rows[0][1:]]
    drawn = {
        State(cells[0]): {
            turn: State(cell) for turn, cell in zip(heads, cells[1:], strict=True) if cell != "–"
        }
        for cells in rows[2:]
    }
    assert drawn == TABLE


def test_every_state_can_be_reached_and_left_for_well() -> None:
    for start in State:
        seen, front = {start}, [start]
        while front:
            for state in TABLE[front.pop()].values():
                if state not in seen:
                    seen.add(state)
                    front.append(state)
        assert seen == set(State), start


# ------------------------------------------------------------ tripping


@pytest.mark.parametrize("kind", sorted(module.AT_ONCE_KINDS))
def test_who_cannot_be_reached_or_says_nothing_is_down_at_once(kind: str) -> None:
    patient = Patient()
    patient.fail(0.0, kind, None)
    assert patient.state(0.0) is DOWN


@pytest.mark.parametrize("status", sorted(module.AT_ONCE_STATUSES))
def test_who_refuses_the_credential_is_down_at_once(status: int) -> None:
    patient = Patient()
    patient.fail(0.0, "status", status)
    assert patient.state(0.0) is DOWN


@pytest.mark.parametrize("kind", ["status", "reset", "truncated", "error_event", "idle_timeout"])
def test_what_may_be_chance_takes_two_in_a_row(kind: str) -> None:
    patient = Patient()
    patient.fail(0.0, kind)
    assert patient.state(0.0) is DOUBTFUL
    assert not patient.shut(0.0)
    patient.good(1.0)
    patient.fail(2.0, kind)
    assert patient.state(2.0) is DOUBTFUL
    patient.fail(3.0, kind)
    assert patient.state(3.0) is DOWN


def test_a_doubt_is_forgotten_after_five_quiet_minutes() -> None:
    patient = Patient()
    patient.fail(0.0)
    assert patient.state(P.memory_s) is DOUBTFUL
    assert patient.state(P.memory_s + 1) is WELL
    patient.fail(P.memory_s + 1)
    assert patient.state(P.memory_s + 1) is DOUBTFUL


def test_long_answers_from_before_do_not_hide_for_long_that_nothing_new_is_answered() -> None:
    """Each ends well and takes the doubt back; the fourth failure of new calls is enough."""
    one = Patient()
    for n in range(4):
        assert one.state(n) is WELL
        one.fail(n)
        one.good(n + 0.5, took_s=20.0)
    assert one.state(3.5) is DOWN


def test_few_failures_among_many_long_calls_at_once_put_nobody_down() -> None:
    """One in a hundred, ten calls a second, each of ten seconds."""
    one = Patient()
    for n in range(200, 4000):
        at = n / 10
        if n % 100 == 0:
            one.fail(at)
        else:
            one.good(at, took_s=10.0)
        assert one.state(at) in (WELL, DOUBTFUL)


@pytest.mark.parametrize("trial", ["", "x.1"])
def test_what_was_begun_before_the_fall_tells_of_then(trial: str) -> None:
    """Also a trial, begun before it fell once more; and a failure is no news either."""
    one = Patient()
    one.trip(0.0)
    assert one.state(3.0) is PROBATION
    one.health.claim(A, 3.0, trial_of=trial)
    one.trip(4.0)
    one.health.succeed(A, 5.0, 5.0, took_s=2.0, trial_of=trial)
    assert one.state(5.0) is DOWN
    assert one.state(15.0) is PROBATION
    one.fail(15.0, took_s=12.0)
    assert one.state(15.0) is PROBATION
    assert not one.shut(15.0)
    one.fail(15.0, took_s=12.0, rest_s=20.0)
    assert one.shut(30.0)
    one.health.succeed(A, 20.0, 20.0, took_s=6.0, trial_of="x.2")
    assert one.shut(30.0)


def test_what_hung_since_before_the_fall_puts_nobody_down_who_is_back() -> None:
    """Each of the old calls ends in its own time; only a wait that is asked for counts."""
    one = Patient()
    one.trip(30.0)
    one.good(33.0)
    assert one.state(33.0) is WELL
    for at in (35.0, 40.0, 50.0):
        one.fail(at, "headers_timeout", None, took_s=30.0)
        assert one.state(at) is WELL
    one.fail(52.0, status=429, rest_s=20.0, took_s=30.0)
    assert one.shut(60.0)


def test_few_failures_among_long_answers_put_nobody_down_however_many_there_are() -> None:
    """Three in a hundred, two calls a second, each of a minute: none begun later has ended yet."""
    one = Patient()
    for n in range(7200):
        at = 60.0 + n / 2
        if n % 33 == 0:
            one.fail(at)
        else:
            one.good(at, took_s=60.0)
        assert one.state(at) in (WELL, DOUBTFUL)


def test_sleep_takes_doubts_away() -> None:
    one = Patient()
    for n in range(3):
        one.fail(n)
        one.good(n + 0.5, took_s=20.0)
    one.health.wake(100.0, 100.0)
    one.fail(101.0)
    assert one.state(101.0) is DOUBTFUL


def test_nobody_knocks_for_a_part_of_a_provider() -> None:
    """A knock tells of the provider's door alone, and would be due for the part for ever."""
    one, part = Patient(), Segment("a", "messages", "m")
    one.health.fail(part, 0.0, 0.0, verdict(), "refused", None)
    assert one.health.knocks_due(4.0) == []
    one.trip(1.0)
    assert one.health.knocks_due(4.0) == [A]


def test_a_trial_is_not_undone_by_what_failed_from_before() -> None:
    one = Patient()
    one.trip(0.0)
    one.health.claim(A, 4.0, trial_of="x.1")
    one.fail(5.0, "reset", None, took_s=60.0)
    one.health.succeed(A, 6.0, 6.0, took_s=2.0, trial_of="x.1")
    assert one.state(6.0) is WELL


def test_a_stated_wait_or_a_sure_failure_puts_down_at_once() -> None:
    waiting, sure = Patient(), Patient()
    waiting.fail(0.0, "status", 429, 7.0)
    sure.fail(0.0, sure=True)
    assert waiting.state(0.0) is DOWN
    assert sure.state(0.0) is DOWN


# ------------------------------------------------------------ resting


def test_rests_double_with_each_failed_trial_and_stop_growing() -> None:
    patient, at, rests = Patient(), 0.0, []
    for _ in range(6):
        patient.trip(at)
        rests.append(patient.node.rests_until - at)
        at = patient.node.rests_until
    assert rests == pytest.approx([3.0, 6.0, 12.0, 12.5, 12.5, 12.5])


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 12))
def test_a_rest_of_its_own_never_outlasts_its_bound(dice: float, trips: int) -> None:
    patient, at = Patient(dice), 0.0
    for _ in range(trips):
        patient.trip(at)
        rest_s = patient.node.rests_until - at
        assert P.rest_s * 0.8 <= rest_s <= P.rest_max_s + 1e-9
        at = patient.node.rests_until


def test_trips_of_long_ago_do_not_count() -> None:
    patient = Patient()
    for at in (0.0, 10.0, 20.0):
        patient.trip(at)
    at = 20.0 + P.memory_s
    patient.trip(at)
    assert patient.node.rests_until - at == pytest.approx(3.0)


def test_a_wait_that_is_asked_for_lengthens_a_rest_and_never_shortens_it() -> None:
    patient = Patient()
    patient.fail(0.0, "status", 429, 60.0)
    assert patient.node.rests_until == 60.0
    patient.fail(1.0, "status", 429, 5.0)
    assert patient.node.rests_until == 60.0
    patient.fail(2.0, "status", 429, 90.0)
    assert patient.node.rests_until == 92.0
    short = Patient()
    short.fail(0.0, "status", 429, 0.5)
    assert short.node.rests_until == pytest.approx(3.0)


def test_no_asked_wait_is_longer_than_an_hour() -> None:
    patient = Patient()
    patient.fail(0.0, "status", 429, 1e9)
    assert patient.node.rests_until == P.asked_rest_max_s


# ------------------------------------------------------------ trials and recovery


def test_one_trial_at_a_time_and_it_expires() -> None:
    patient = Patient()
    patient.trip(0.0)
    assert patient.shut(2.9)
    assert not patient.shut(3.1)
    patient.health.claim(A, 3.1)
    assert patient.shut(3.1)
    assert not patient.shut(3.1 + P.trial_s)
    patient.health.unclaim(A)
    assert not patient.shut(3.2)


def test_one_attempts_end_does_not_end_anothers_trial() -> None:
    """What was under way before the outage ends in the middle of a trial."""
    patient = Patient()
    patient.trip(0.0)
    patient.health.claim(A, 3.1, trial_of="x.1")
    for ends in (
        lambda: patient.health.unclaim(A, trial_of="y.1"),
        lambda: patient.health.unclaim(A),
        lambda: patient.good(3.2),
    ):
        ends()
        assert patient.node.trial_until > 3.2
    patient.fail(3.3)  # it rests anew, and its trial is still under way behind that
    patient.fail(3.4)
    assert patient.shut(3.4 + P.rest_max_s * 2)
    patient.health.unclaim(A, trial_of="x.1")
    assert not patient.shut(3.4 + P.rest_max_s * 2)


def test_a_trial_is_not_claimed_while_it_rests() -> None:
    patient = Patient()
    patient.trip(0.0)
    patient.health.claim(A, 1.0)
    assert patient.node.trial_until == 0.0


def test_after_one_outage_one_good_trial_is_enough() -> None:
    patient, at = Patient(), 0.0
    for _ in range(20):  # however long it lasted
        patient.trip(at)
        at = patient.node.rests_until
    patient.good(at)
    assert patient.state(at) is WELL


def test_who_fell_again_needs_two_good_trials_with_a_pause_between() -> None:
    patient = Patient()
    patient.trip(0.0)
    patient.good(4.0)
    patient.trip(5.0)
    at = patient.node.rests_until
    patient.good(at)
    assert patient.state(at) is PROBATION
    patient.good(at + P.apart_s - 0.1)
    assert patient.state(at + P.apart_s - 0.1) is PROBATION
    patient.good(at + P.apart_s)
    assert patient.state(at + P.apart_s) is WELL


def test_who_keeps_falling_waits_longer_between_good_trials() -> None:
    patient = Patient()
    at = 0.0
    for _ in range(3):
        patient.trip(at)
        at = patient.node.rests_until
        while patient.state(at) is not WELL:
            patient.good(at)
            at += P.apart_flapping_s
    patient.trip(at)
    at = patient.node.rests_until
    patient.good(at)
    patient.good(at + P.apart_s)
    assert patient.state(at + P.apart_s) is PROBATION
    patient.good(at + P.apart_flapping_s)
    assert patient.state(at + P.apart_flapping_s) is WELL


def test_a_good_answer_out_of_the_rest_counts_too() -> None:
    """A last resort may find that all is well again before the rest is over."""
    patient = Patient()
    patient.trip(0.0)
    patient.good(0.5)
    assert patient.state(0.5) is WELL
    assert not patient.shut(0.5)


def test_who_was_well_for_five_minutes_leaves_no_trace() -> None:
    patient = Patient()
    patient.trip(0.0)
    patient.good(4.0)
    assert A in patient.health.nodes
    patient.good(P.memory_s + 1)
    assert A not in patient.health.nodes


def test_the_number_of_nodes_is_bounded_and_the_oldest_go_first() -> None:
    small = Patient(params=Params(nodes_max=20))
    for n in range(50):
        small.health.fail(Segment("p", "s", str(n)), float(n), 0.0, verdict(), "refused", None)
        assert len(small.health.nodes) <= 20
    assert Segment("p", "s", "49") in small.health.nodes
    assert Segment("p", "s", "0") not in small.health.nodes


@given(st.lists(st.tuples(st.sampled_from("pqr"), st.integers(0, 9), st.booleans()), max_size=60))
def test_it_knows_whose_segments_it_has(course: list[tuple[str, int, bool]]) -> None:
    health = Patient(params=Params(nodes_max=6)).health
    for number, (provider, model, ok) in enumerate(course):
        segment, at = Segment(provider, "s", str(model)), number * P.memory_s / 3
        if ok:
            health.succeed(segment, at, at)
        else:
            health.fail(segment, at, at, verdict(), "refused", None)
        has = {one.provider for one in health.nodes}
        assert {name for name in "pqr" if health.knows(name)} == has


# ------------------------------------------------------------ knocks and sleep


def test_a_door_that_opens_ends_the_rest_of_whom_nobody_could_reach() -> None:
    patient = Patient()
    patient.trip(0.0)
    assert patient.health.knocks_due(1.9) == []
    assert patient.health.knocks_due(2.0) == [A]
    patient.health.knock(A, 2.0, 2.0, ok=True)
    assert patient.state(2.0) is PROBATION
    assert not patient.shut(2.0)
    assert patient.health.knocks_due(9.0) == []


def test_a_door_that_stays_shut_prolongs_the_rest_without_a_call() -> None:
    patient = Patient()
    patient.trip(0.0)
    for at in range(2, 60, 2):
        assert patient.health.knocks_due(float(at)) == [A]
        patient.health.knock(A, float(at), float(at), ok=False)
        assert patient.shut(at + 1.9)
    assert len(patient.node.trips) == 1


def test_nobody_knocks_where_somebody_answered() -> None:
    patient = Patient()
    patient.fail(0.0, "status", 403)
    assert patient.health.knocks_due(100.0) == []
    patient.health.knock(A, 1.0, 1.0, ok=True)
    assert patient.shut(1.0)


def test_a_knock_that_lied_is_not_believed_again() -> None:
    """The door opens, and the call behind it fails: a load balancer without anyone behind it."""
    patient = Patient()
    patient.trip(0.0)
    patient.health.knock(A, 2.0, 2.0, ok=True)
    patient.trip(2.5)
    assert patient.health.knocks_due(10.0) == []
    patient.good(patient.node.rests_until)
    at = patient.node.rests_until + 10.0
    patient.trip(at)
    assert patient.health.knocks_due(at + 2.0) == [A]


def test_sleep_ends_every_rest_and_forgets_the_trips() -> None:
    patient = Patient()
    for at in (0.0, 3.0, 9.0):
        patient.trip(at)
    patient.health.wake(10.0, 50_000.0)
    assert patient.state(10.0) is PROBATION
    assert not patient.shut(10.0)
    patient.trip(11.0)
    assert patient.node.rests_until - 11.0 == pytest.approx(3.0)


# ------------------------------------------------------------ whatever happens

turns = st.lists(
    st.tuples(
        st.sampled_from(["fail", "refused", "429", "good", "claim", "unclaim", "knock", "vain"])
        | st.sampled_from(["sleep", "403"]),
        st.floats(0, 40),
    ),
    max_size=40,
)


def play(patient: Patient, course: list[tuple[str, float]]) -> float:
    at = 0.0
    for what, pause_s in course:
        at += pause_s
        match what:
            case "fail":
                patient.fail(at)
            case "refused":
                patient.trip(at)
            case "429":
                patient.fail(at, "status", 429, pause_s)
            case "403":
                patient.fail(at, "status", 403)
            case "good":
                patient.good(at)
            case "claim":
                patient.health.claim(A, at)
            case "unclaim":
                patient.health.unclaim(A)
            case "sleep":
                patient.health.wake(at, at)
            case _:
                patient.health.knock(A, at, at, ok=what == "knock")
    return at


@given(turns, st.floats(0, 1, exclude_max=True))
def test_a_call_a_second_finds_a_recovery_within_thirty_seconds(
    course: list[tuple[str, float]], dice: float
) -> None:
    """From any past without a longer wait that was asked for: trials that are open are taken."""
    patient = Patient(dice)
    at = play(patient, course)
    patient.health.unclaim(A)  # whoever had the trial has ended it
    asked_s = max((pause_s for what, pause_s in course if what == "429"), default=0.0)
    for second in range(60):
        now = at + asked_s + second
        if not patient.shut(now):
            patient.good(now)
        if patient.state(now) is WELL:
            assert second <= 30
            return
    raise AssertionError("never well again")


@given(turns, st.floats(0, 1, exclude_max=True))
def test_the_same_past_makes_the_same_present(course: list[tuple[str, float]], dice: float) -> None:
    one, two = Patient(dice), Patient(dice)
    at = play(one, course)
    play(two, course)
    assert one.state(at) is two.state(at)
    assert [repr(node) for node in one.health.nodes.values()] == [
        repr(node) for node in two.health.nodes.values()
    ]
    for node in one.health.nodes.values():
        assert node.rests_until <= at + P.asked_rest_max_s
        assert len(node.trips) <= module.TIMES_KEPT
