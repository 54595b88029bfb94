"""Resting, trials and recovery: observations in, standings out."""

from __future__ import annotations

import itertools
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.playbook import call

from holdfast.core.blame import judge
from holdfast.core.board import WELL, Board
from holdfast.core.route import plan
from holdfast.facts.flights import Leg, Vouched
from holdfast.facts.observations import Observation
from holdfast.facts.outcomes import Failure, Times
from holdfast.facts.places import Target

LEGS = tuple(
    Leg(
        target=Target(name, "m", f"env:{name}"),
        dialect="anthropic",
        surface="messages",
        stand_in=n > 0,
    )
    for n, name in enumerate("ab")
)


def asked(at: float):
    return msgspec.structs.replace(call(), at=at)


def tell(
    board: Board,
    leg: Leg,
    at: float,
    failure: Failure | None,
    wait_s: float | None = None,
    content_s: float | None = None,
) -> None:
    """What the shell does with the end of an attempt; `content_s`: where a failed one had begun."""
    around = board.circumstances(leg, at, at, retry_after_s=wait_s)
    board.observe(
        Observation(
            at=at,
            wall=at,
            kind="traffic",
            provider=leg.target.provider,
            surface=leg.surface,
            model=leg.target.model,
            credential=leg.target.credential,
            ok=failure is None,
            trial=leg.trial,
            status=failure.status if failure else 200,
            failure_kind=failure.kind if failure else "",
            verdict=judge(failure, around) if failure else None,
            first_content_s=0.1 if failure is None else content_s,
        )
    )


def answer(status: int) -> Failure:
    return Failure(kind="status", where="body", status=status)


def live(board: Board, at: float, fails: dict[str, Failure]) -> tuple[str, list[str]]:
    """One call through the plan: who served it, and who was asked."""
    tried = []
    for leg in plan(asked(at), LEGS, board).legs:
        tried.append(leg.target.provider)
        if leg.trial:
            board.claim(leg, at)
        failure = fails.get(leg.target.provider)
        tell(board, leg, at, failure)
        if failure is None:
            return leg.target.provider, tried
    return "", tried


def board(seed: int = 7) -> Board:
    return Board(dice=random.Random(seed).random)


def test_a_dead_first_choice_is_not_asked_by_every_call() -> None:
    for failure in (answer(403), answer(529), Failure(kind="refused", where="connect")):
        b = board()
        asks = sum("a" in live(b, float(n), {"a": failure})[1] for n in range(600))
        assert asks <= 60, failure
        quick = board()
        asks = sum("a" in live(quick, n / 100, {"a": failure})[1] for n in range(100))
        assert asks <= 2, failure


def test_it_is_back_within_thirty_seconds_of_its_recovery() -> None:
    for down_s in (1, 5, 30, 300, 3600):
        b = board()
        for n in range(down_s):
            live(b, float(n), {"a": answer(529)})
        for n in range(down_s, down_s + 60):
            live(b, float(n), {})
        late = [live(b, float(n), {})[0] for n in range(down_s + 60, down_s + 70)]
        assert late == ["a"] * 10
        b = board()
        for n in range(down_s):
            live(b, float(n), {"a": answer(529)})
        back = next(n for n in range(down_s, down_s + 60) if live(b, float(n), {})[0] == "a")
        assert back - down_s <= 30


def test_flapping_does_not_flap_the_user() -> None:
    b = board()
    served = []
    for n in range(600):
        fails = {"a": answer(529)} if (n // 10) % 2 else {}
        served.append(live(b, float(n), fails)[0])
    assert "" not in served
    switches = sum(x != y for x, y in itertools.pairwise(served))
    # Going back at once would make 60; conversations already under way stay (see Affinity).
    assert switches <= 40


@pytest.mark.parametrize(
    "failures", [[answer(403)], [answer(529)] * 2, [Failure(kind="refused", where="connect")]]
)
def test_an_answer_that_was_begun_before_the_fall_does_not_end_it(failures: list) -> None:
    """A long one that ends well tells of when it was asked for; one begun later tells of now."""
    b, leg = board(), LEGS[0]
    leaf = (leg.target.provider, leg.surface, leg.target.model, leg.target.credential)
    for failure in failures:
        tell(b, leg, 10.0, failure)
    b.answered(leaf, 11.0, 11.0, Times(content=0.5, end=6.0))
    assert b.standing(leg, 11.0).rests
    b.answered(leaf, 11.5, 11.5, Times(content=0.5, end=1.0))
    assert b.standing(leg, 11.5).open


def test_a_trial_that_is_answered_lets_others_in_before_its_end() -> None:
    """And one that breaks off later is a doubt like another, not the end of it."""
    b, (leg, *_) = board(), LEGS
    tell(b, leg, 0.0, answer(403))
    trial = plan(asked(20.0), LEGS, b).legs[0]
    assert trial.trial
    b.claim(trial, 20.0, "x.1")
    assert not b.standing(leg, 24.0).open
    b.vouched(Vouched(24.0, 1, trial, 4.0), 24.0, "x.1")
    assert b.standing(leg, 24.0) == WELL
    tell(b, trial, 60.0, Failure(kind="truncated", where="in_stream"))
    assert b.standing(leg, 60.0) == WELL
    tell(b, leg, 61.0, Failure(kind="truncated", where="in_stream"))
    assert b.standing(leg, 61.0).rests


def test_who_broke_off_is_not_vouched_for_by_another_beginning() -> None:
    b, (leg, *_) = board(), LEGS
    for at in (0.0, 1.0):
        tell(b, leg, at, Failure(kind="idle_timeout", where="in_stream"), content_s=0.5)
    trial = plan(asked(20.0), LEGS, b).legs[0]
    b.claim(trial, 20.0, "x.1")
    b.vouched(Vouched(24.0, 1, trial, 4.0), 24.0, "x.1")
    assert not b.standing(leg, 24.0).open
    tell(b, trial, 40.0, None)
    assert b.standing(leg, 40.0) == WELL


def test_a_long_trial_does_not_end_a_rest_that_was_asked_for_meanwhile() -> None:
    """It was begun before; what is said later counts."""
    b, (leg, *_) = board(), LEGS
    tell(b, leg, 0.0, answer(403))
    trial = plan(asked(5.0), (leg,), b).legs[0]
    b.claim(trial, 5.0)
    tell(b, leg, 6.0, answer(429), wait_s=60.0)
    done = Observation(
        at=9.0,
        wall=9.0,
        kind="traffic",
        provider="a",
        surface=leg.surface,
        model=leg.target.model,
        credential=leg.target.credential,
        trial=True,
        trial_of="x.1",
        took_s=4.0,
    )
    b.observe(done)
    assert b.standing(leg, 9.0).asked
    assert b.standing(leg, 9.0).rests


def test_of_many_credentials_the_newest_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.core.board.KNOWN_MAX", 5)
    b = board()
    for n in range(20):
        b.answered(("a", "messages", "m", f"client:{n}"), float(n), float(n), Times())
    assert [key for _, key, _ in b._last_ok] == [f"client:{n}" for n in range(15, 20)]


def test_one_error_among_many_good_answers_changes_nothing() -> None:
    b = board()
    live(b, 0.0, {})
    assert live(b, 1.0, {"a": answer(500)})[0] == "b"
    assert live(b, 2.0, {})[0] == "a"


def keyed(credential: str, model: str = "m") -> Leg:
    return msgspec.structs.replace(LEGS[0], target=Target("a", model, credential))


def test_keys_that_never_worked_put_nobody_down_but_themselves() -> None:
    """Whoever may speak to the gateway could keep all others from a provider with two of them."""
    b, good, bad = board(), keyed("good"), [keyed("bad"), keyed("worse")]
    tell(b, good, 0.0, None)
    for at in range(1, 60):
        for leg in bad:
            if b.standing(leg, at).open:
                tell(b, leg, at, answer(401))
        assert b.standing(good, at) == WELL
    assert not any(b.standing(leg, 60.0) == WELL for leg in bad)


def test_a_key_that_is_refused_says_nothing_of_another_while_a_third_is_answered() -> None:
    b, good, bad, worse = board(), keyed("good"), keyed("bad"), keyed("worse")
    tell(b, bad, 1.0, answer(401))
    assert b.circumstances(worse, 2.0, 2.0).other_credentials_failing
    tell(b, good, 3.0, None)
    tell(b, bad, 20.0, answer(401))
    assert not b.circumstances(worse, 21.0, 21.0).other_credentials_failing


def test_keys_that_worked_and_are_refused_together_speak_for_all() -> None:
    b, keys = board(), [keyed("one"), keyed("two"), keyed("three")]
    for leg in keys:
        tell(b, leg, 0.0, None)
    for leg in keys[:2]:
        tell(b, leg, 1.0, answer(403))
    assert b.standing(keys[2], 1.0).rests


def test_two_models_in_trouble_do_not_put_down_a_third_that_answers() -> None:
    b, models = board(), [keyed("k", name) for name in ("small", "middle", "large")]
    for at in (1.0, 2.0):
        tell(b, models[0], at, answer(529))
    tell(b, models[2], 3.0, None)
    for at in (4.0, 5.0):
        tell(b, models[1], at, answer(529))
    assert b.standing(models[2], 5.0) == WELL
    for at in (20.0, 21.0):
        for leg in models[:2]:
            tell(b, leg, at, answer(529))
    assert b.standing(models[2], 21.0).rests, "nobody was answered since both fell"


def test_of_whom_moved_nothing_is_known_and_of_the_others_all() -> None:
    moved, stayed = board(), board()
    for one in (moved, stayed):
        live(one, 0.0, {})
        live(one, 1.0, {"a": answer(500)})
        live(one, 2.0, {"a": answer(403), "b": answer(403)})
    moved.observe(Observation(at=3.0, wall=3.0, kind="moved", provider="a"))
    assert moved.standing(LEGS[0], 3.0) == board().standing(LEGS[0], 3.0)
    assert moved.circumstances(LEGS[0], 3.0, 3.0).credential_ever_ok is None
    assert moved.typical_s("a", "m") is None
    assert moved.standing(LEGS[1], 3.0) == stayed.standing(LEGS[1], 3.0)
    assert moved.typical_s("b", "m") == stayed.typical_s("b", "m") is not None


def test_when_all_rest_the_one_that_failed_longest_ago_is_asked_once() -> None:
    b = board()
    down = {"a": answer(403), "b": answer(403)}
    live(b, 0.0, down)
    chosen = plan(asked(0.5), LEGS, b)
    assert not chosen.legs
    assert [leg.limits.connect_s for leg in chosen.last_resort] == [1.0, 1.0]


def test_a_trial_after_silence_has_little_patience() -> None:
    """A call that finds out whether the silence is over does not wait half a minute for it."""
    b = Board(lambda: 0.5)
    tell(b, LEGS[0], 0.0, None)
    tell(b, LEGS[0], 1.0, Failure(kind="headers_timeout", where="before_headers"))
    trial, spare = plan(asked(5.0), LEGS, b).legs
    assert trial.trial
    assert (trial.limits.headers_s, trial.limits.content_s) == (1.5, 1.5)
    assert trial.limits.whole_s == 15.0
    assert spare.limits == LEGS[1].limits


def test_resting_and_a_trial_under_way_are_told_apart() -> None:
    """Beside a trial a call may be asked along; at rest it may not."""
    b = Board(lambda: 0.5)
    tell(b, LEGS[0], 0.0, answer(403))
    assert b.standing(LEGS[0], 1.0).rests
    trial = b.standing(LEGS[0], 4.0)
    assert (trial.open, trial.trial, trial.rests) == (True, True, False)
    b.claim(LEGS[0], 4.0)
    under_way = b.standing(LEGS[0], 4.1)
    assert (under_way.open, under_way.trial, under_way.rests) == (False, False, False)


def test_a_request_that_is_wrong_says_nothing_about_its_target() -> None:
    b = board()
    for n in range(10):
        assert live(b, float(n), {"a": answer(400)})[1] == ["a", "b"]
    assert b.rows(10.0)[0].state == "well"


def test_one_surface_down_leaves_the_others_open() -> None:
    b = board()
    live(b, 0.0, {"a": answer(403)})

    counting = msgspec.structs.replace(LEGS[0], surface="count_tokens")
    assert b.standing(counting, 1.0).open
    assert not b.standing(LEGS[0], 1.0).open


def test_who_comes_back_slower_than_before_is_found_to_be_back() -> None:
    """Each trial that ends in silence gives the next twice the patience, up to the usual one;
    where nobody else can answer after it, from the seventh on.
    """
    b, leg, at = Board(lambda: 0.5), LEGS[0], 1.0
    tell(b, leg, 0.0, None)
    tell(b, leg, at, Failure(kind="headers_timeout", where="before_headers"))
    patience, alone_s = [], []
    for _ in range(8):
        at += 20.0
        trial, _ = plan(asked(at), LEGS, b).legs
        (alone,) = plan(asked(at), (leg,), b).legs
        assert trial.trial
        alone_s.append(alone.limits.headers_s)
        patience.append(trial.limits.headers_s)
        tell(b, trial, at, Failure(kind="headers_timeout", where="before_headers"))
    assert patience == [1.5, 3.0, 6.0, 12.0, 24.0, 30.0, 30.0, 30.0]
    assert alone_s == [1.5] * 6 + [3.0, 6.0]


@given(st.lists(st.tuples(st.sampled_from([None, 400, 403, 429, 500, 529]), st.floats(0, 20))))
def test_a_resting_target_is_never_asked_but_by_one_trial(course: list) -> None:
    b = board()
    at = 0.0
    for status, pause in course:
        at += pause
        chosen = plan(asked(at), LEGS, b)
        trials = [leg for leg in chosen.legs if leg.trial]
        assert len(chosen.legs) + len(chosen.last_resort) == len(LEGS)
        for leg in trials:
            b.claim(leg, at)
        again = plan(asked(at), LEGS, b)
        assert not [leg for leg in again.legs if leg.trial]
        for leg in trials:
            tell(b, leg, at, None if status is None else answer(status))
        if not trials:
            tell(b, LEGS[0], at, None if status is None else answer(status))


COURSES = st.lists(st.tuples(st.sampled_from([None, None, 400, 429, 500]), st.floats(0, 20)))


@given(COURSES, st.sampled_from([(), ("messages",)]))
def test_a_good_answer_is_folded_as_its_observation_would_be(course: list, watched: tuple) -> None:
    one, other = (Board(lambda: 0.5, watched=watched) for _ in range(2))
    leg, at = LEGS[0], 0.0
    leaf = (leg.target.provider, leg.surface, leg.target.model, leg.target.credential)
    for status, pause in course:
        at += pause
        tell(one, leg, at, None if status is None else answer(status))
        if status is None:
            other.answered(leaf, at, at, Times(content=0.1))
        else:
            tell(other, leg, at, answer(status))
        assert one.rows(at) == other.rows(at)
        around = [b.circumstances(leg, at, at) for b in (one, other)]
        assert around[0] == around[1]
        assert (one._typical, one._aside) == (other._typical, other._aside)
