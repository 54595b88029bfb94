"""The flight machine, as playbooks and as properties."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.playbook import Playbook, call, legs, policy

from holdfast.core import flight as flight_module
from holdfast.core.board import Standing
from holdfast.core.flight import ATTEMPTS_MAX, Flight, Phase
from holdfast.facts.flights import (
    Answered,
    AttemptEnded,
    Begin,
    Break,
    Closed,
    Decline,
    Dial,
    Failed,
    Finish,
    FlightEnded,
    Heard,
    Left,
    Opened,
    Plan,
    Rang,
    Say,
    SayError,
    Sent,
    Started,
    Stopping,
    Unfit,
)
from holdfast.facts.outcomes import Failure, Piece, PieceKind, Said
from holdfast.facts.places import Limits, Surface

OPENING = Piece(PieceKind.OPENING, b"<open>")
PING = Piece(PieceKind.PING, b"<ping>")
THOUGHT = Piece(PieceKind.THINKING, b"<think>")
END = Piece(PieceKind.END, b"<end>")


def words(text: str) -> Piece:
    return Piece(PieceKind.CONTENT, text.encode())


def fault(kind: str = "error_event", data: bytes = b"", status: int | None = None) -> Piece:
    failure = Failure(kind=kind, where="in_stream", text=kind, status=status)
    return Piece(PieceKind.FAULT, data, failure)


def status(code: int, said: Said | None = None) -> Piece:
    failure = Failure(
        kind="status", where="body", text=f"status {code}", status=code, said=said or Said()
    )
    return Piece(PieceKind.FAULT, b"", failure)


def failed(attempt: int, kind: str = "refused", at: float = 1.0) -> Failed:
    return Failed(at, attempt, Failure(kind=kind, where="connect", text=kind))


def opened(play: Playbook, attempt: int = 1, at: float = 0.0) -> Playbook:
    """Bring an attempt to the point where its head has come."""
    return play >> Sent(at, attempt) >> Opened(at, attempt, 200)


@pytest.mark.parametrize("trial", [True, False])
def test_a_trial_whose_answer_keeps_coming_is_vouched_for_once(trial: bool) -> None:
    (leg,) = legs("a")
    play = Playbook((msgspec.structs.replace(leg, trial=trial),))
    play >> Started(0.0) << "Dial 1 a/m"
    opened(play, at=1.0) >> Heard(2.0, 1, [words("a")]) << "Begin 1" << "Say a"
    play >> Heard(4.9, 1, [words("b")]) << "Say b"
    play >> Heard(5.0, 1, [PING]) << "Say <ping>"
    if trial:
        play << "Vouched"
    play >> Heard(9.0, 1, [words("c")]) << "Say c"
    play >> Heard(9.1, 1, [END]) << "Say <end>" << "Finish" << "Release 1" << "Ended 1 ok"
    play << "Flight ok"
    play.quiet()


def test_a_whole_answer_is_passed_and_ended_once() -> None:
    play = Playbook(legs("a", "b"))
    play >> Started(0.0) << "Dial 1 a/m"
    opened(play) >> Heard(0.1, 1, [OPENING, PING])
    play >> Heard(0.2, 1, [words("hi")]) << "Begin 1" << "Say <open><ping>" << "Say hi"
    play >> Heard(0.3, 1, [words(" you"), END]) << "Say  you" << "Say <end>" << "Finish"
    play << "Release 1" << "Ended 1 ok" << "Flight ok"
    play.quiet()
    assert play.flight.phase is Phase.LANDED


@pytest.mark.parametrize(
    "kind", ["refused", "reset", "connect_timeout", "dns", "tls", "unreachable", "protocol"]
)
def test_before_the_commit_a_broken_way_leads_to_the_stand_in_at_once(kind: str) -> None:
    play = Playbook(legs("a", "b"))
    play >> Started(0.0) << "Dial 1 a/m"
    play >> failed(1, kind) << "Ended 1 failed" << "Dial 2 b/m"
    play.quiet()


@pytest.mark.parametrize("code", [401, 402, 403, 408, 429, 500, 502, 503, 529])
def test_a_status_that_another_target_could_answer_goes_on_to_it(code: int) -> None:
    play = Playbook(legs("a", "b"))
    play >> Started(0.0) << "Dial 1 a/m"
    opened(play) >> Heard(0.1, 1, [status(code)])
    play << "HangUp 1" << "Ended 1 failed" << "Dial 2 b/m"


def test_what_was_held_of_a_failed_answer_is_never_said() -> None:
    play = Playbook(legs("a", "b"))
    play >> Started(0.0) << "Dial 1 a/m"
    opened(play) >> Heard(0.1, 1, [OPENING, fault()])
    play << "HangUp 1" << "Ended 1 failed" << "Dial 2 b/m"
    opened(play, 2) >> Heard(0.2, 2, [Piece(PieceKind.OPENING, b"<b>"), words("hi"), END])
    play << "Begin 2" << "Say <b>" << "Say hi" << "Say <end>" << "Finish" << "Release 2"
    play << "Ended 2 ok" << "Flight ok"


def test_a_request_that_is_wrong_everywhere_goes_nowhere_else_and_comes_back_as_it_is() -> None:
    play = Playbook(legs("a", "b"))
    play >> Started(0.0) << "Dial 1 a/m"
    opened(play) >> Heard(0.1, 1, [status(400)])
    play << "HangUp 1" << "Ended 1 failed" << "Decline 400" << "Flight declined"
    play.quiet()


def test_a_context_too_long_goes_only_to_a_larger_window() -> None:
    windows = {"a": 100, "b": 50, "c": 200}
    play = Playbook(legs("a", "b", "c", windows=windows))
    play >> Started(0.0) << "Dial 1 a/m"
    opened(play) >> Heard(0.1, 1, [status(400, Said("context"))])
    play << "HangUp 1" << "Ended 1 failed" << "Dial 2 c/m"
    opened(play, 2) >> Heard(0.2, 2, [status(400, Said("context"))])
    play << "HangUp 2" << "Ended 2 failed" << "Decline 400" << "Flight declined"


@pytest.mark.parametrize("piece", [fault("garbage"), fault("error_event", b"<their error>")])
def test_after_the_commit_a_fault_becomes_an_error_event_and_an_unclean_end(piece: Piece) -> None:
    play = Playbook(legs("a", "b"))
    play >> Started(0.0) << "Dial 1 a/m"
    opened(play) >> Heard(0.1, 1, [words("half")]) << "Begin 1" << "Say half"
    play >> Heard(0.2, 1, [piece]) << "HangUp 1" << "Ended 1 failed"
    play << f"SayError {piece.data.decode()}".rstrip() << "Break" << "Flight broken"
    play.quiet()


def test_an_answer_that_merely_stops_is_never_ended_cleanly() -> None:
    play = Playbook(legs("a"))
    play >> Started(0.0) << "Dial 1 a/m"
    opened(play) >> Heard(0.1, 1, [words("half")]) << "Begin 1" << "Say half"
    play >> Closed(0.2, 1) << "HangUp 1" << "Ended 1 failed" << "SayError" << "Break"
    play << "Flight broken"


ANSWER = st.lists(
    st.sampled_from([OPENING, PING, words("hi"), END, fault(), status(529), status(400)]),
    max_size=4,
)


@given(ANSWER, ANSWER)
def test_an_answer_that_comes_at_once_is_what_its_parts_would_be(
    first: list[Piece], second: list[Piece]
) -> None:
    at_once, in_parts = (Flight(call(), Plan(legs=legs("a", "b")), policy()) for _ in range(2))
    for flight in (at_once, in_parts):
        flight.handle(Started(0.0))
    for attempt, pieces in ((1, first), (2, second)):
        said = [
            command
            for part in (
                Sent(0.5, attempt),
                Opened(1.0, attempt, 200),
                Heard(1.0, attempt, pieces),
                Closed(1.0, attempt),
            )
            for command in in_parts.handle(part)
        ]
        at_once.handle(Sent(0.5, attempt))
        assert at_once.handle(Answered(1.0, attempt, 200, pieces)) == said
        assert (at_once.phase, at_once.deadline) == (in_parts.phase, in_parts.deadline)


def test_silence_in_each_phase_is_its_own_failure() -> None:
    for prepare, kind, patience_s in (
        (0, "connect_timeout", 5),
        (1, "headers_timeout", 31),
        (2, "content_timeout", 61),
    ):
        play = Playbook(legs("a", "b"))
        play >> Started(0.0) << "Dial 1 a/m"
        if prepare > 0:
            play >> Sent(0.0, 1)
        if prepare > 1:
            play >> Opened(0.0, 1, 200)
        play >> Rang(0.1)  # too early: nothing happens
        play >> Rang(float(patience_s)) << "HangUp 1" << "Ended 1 failed" << "Dial 2 b/m"
        ended = play.commands[-2]
        assert ended.failure is not None
        assert ended.failure.kind == kind


def test_pings_do_not_prolong_the_wait_for_content_but_events_prolong_a_stream() -> None:
    play = Playbook(legs("a"))
    play >> Started(0.0) << "Dial 1 a/m"
    opened(play) >> Heard(50.0, 1, [PING])
    assert play.flight.deadline == 60.0
    play >> Heard(55.0, 1, [words("hi")]) << "Begin 1" << "Say <ping>" << "Say hi"
    assert play.flight.deadline == 115.0
    play >> Heard(100.0, 1, [PING]) << "Say <ping>"
    assert play.flight.deadline == 160.0


def test_silence_is_told_with_how_long_it_was_waited_for() -> None:
    """The true patience, which may be shorter than the configured limit."""
    for begin, until, told in (
        ([], 5.0, "no connection within 5.0 s"),
        ([Sent(1.0, 1)], 31.0, "connected, but no answer within 30.0 s"),
        ([Sent(1.0, 1), Opened(3.0, 1, 200)], 63.0, "headers, but no content within 60.0 s"),
    ):
        flight = Flight(call(), Plan(legs=legs("a")), policy())
        for event in (Started(0.0), *begin):
            flight.handle(event)
        assert flight.deadline == pytest.approx(until, abs=0.001)
        ended, *_ = [c for c in flight.handle(Rang(until + 0.01)) if isinstance(c, AttemptEnded)]
        assert ended.failure is not None
        assert ended.failure.text == told


def test_the_silence_of_a_last_resort_says_that_it_was_not_given_long() -> None:
    (leg,) = legs("a")
    last = msgspec.structs.replace(leg, hurried=True, limits=Limits(headers_s=1.5))
    flight = Flight(call(), Plan(last_resort=(last,)), policy())
    for event in (Started(0.0), Sent(1.0, 1)):
        flight.handle(event)
    ended, *_ = [c for c in flight.handle(Rang(3.0)) if isinstance(c, AttemptEnded)]
    assert ended.failure is not None
    assert ended.failure.text == (
        "connected, but no answer within 1.5 s, which is all that a target at rest is given"
    )


def test_who_says_that_it_thinks_is_not_silent() -> None:
    """Some models show nothing of what they think for minutes, with pings or without."""
    play = Playbook(legs("a"))
    play >> Started(0.0) << "Dial 1 a/m"
    opened(play) >> Heard(1.0, 1, [OPENING, THOUGHT])
    assert play.flight.deadline == 601.0
    play >> Heard(90.0, 1, [PING])
    assert play.flight.deadline == 601.0
    play >> Heard(200.0, 1, [words("hi")]) << "Begin 1" << "Say <open><think><ping>" << "Say hi"
    assert play.flight.deadline == 260.0
    play >> Heard(210.0, 1, [THOUGHT, PING]) << "Say <think>" << "Say <ping>"
    assert play.flight.deadline == 810.0
    play >> Rang(300.0)
    play >> Heard(400.0, 1, [words("!")]) << "Say !"
    assert play.flight.deadline == 460.0


def test_thinking_makes_no_wait_shorter() -> None:
    """Whoever sets `thinking_s` below the other limits has not asked to be cut off sooner."""
    hasty = tuple(
        msgspec.structs.replace(leg, limits=Limits(content_s=60.0, idle_s=50.0, thinking_s=5.0))
        for leg in legs("a")
    )
    play = Playbook(hasty)
    play >> Started(0.0) << "Dial 1 a/m"
    opened(play) >> Heard(1.0, 1, [OPENING, THOUGHT])
    assert play.flight.deadline == 60.0
    play >> Heard(2.0, 1, [words("hi"), THOUGHT])
    play << "Begin 1" << "Say <open><think>" << "Say hi" << "Say <think>"
    assert play.flight.deadline == 52.0


def test_an_overture_without_end_is_said_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever thinks on and on is not held in memory for it."""
    monkeypatch.setattr(flight_module, "HELD_BYTES_MAX", len(b"<open><think><think>"))
    play = Playbook(legs("a"))
    play >> Started(0.0) << "Dial 1 a/m"
    opened(play) >> Heard(1.0, 1, [OPENING, THOUGHT, THOUGHT])
    play >> Heard(2.0, 1, [THOUGHT]) << "Begin 1" << "Say <open><think><think><think>"
    play >> Heard(3.0, 1, [THOUGHT]) << "Say <think>"


def test_the_headers_limit_grows_with_the_body_and_is_long_when_not_streamed() -> None:
    big = Flight(call(body=b"x" * 320_000), Plan(legs=legs("a")), policy())
    big.handle(Started(0.0))
    big.handle(Sent(0.0, 1))
    assert big.deadline == pytest.approx(30 + 320_000 / 32_768)
    whole = Flight(call(stream=False), Plan(legs=legs("a")), policy())
    whole.handle(Started(0.0))
    whole.handle(Sent(0.0, 1))
    assert whole.deadline is not None
    assert whole.deadline > 599


@pytest.mark.parametrize("surface", ["count_tokens", "embeddings"])
def test_what_no_model_generates_is_not_waited_for_as_if_it_were(surface: Surface) -> None:
    asked = msgspec.structs.replace(call(stream=False), surface=surface)
    flight = Flight(asked, Plan(legs=legs("a")), policy())
    flight.handle(Started(0.0))
    flight.handle(Sent(0.0, 1))
    assert flight.deadline == pytest.approx(30.0, abs=0.001)
    flight.handle(Opened(2.0, 1, 200))
    assert flight.deadline == 62.0


def test_a_stale_connection_is_asked_again_on_a_fresh_one_once() -> None:
    play = Playbook(legs("a"))
    play >> Started(0.0) << "Dial 1 a/m"
    play >> failed(1, "stale") << "Ended 1 failed" << "Dial 2 a/m fresh"
    play.quiet()


def test_a_second_round_asks_the_same_once_more_after_a_pause() -> None:
    play = Playbook(legs("a", "b"))
    play >> Started(0.0) << "Dial 1 a/m"
    play >> failed(1, "reset", 0.0) << "Ended 1 failed" << "Dial 2 b/m"
    play >> failed(2, "reset", 0.0) << "Ended 2 failed"
    assert play.flight.phase is Phase.PAUSING
    play >> Rang(0.3) << "Dial 3 a/m fresh"
    play >> failed(3, "reset", 0.3) << "Ended 3 failed" << "Dial 4 b/m fresh"
    play >> failed(4, "reset", 0.3) << "Ended 4 failed" << "Decline own words"
    play << "Flight declined"


def test_who_failed_twice_is_not_waited_for_again() -> None:
    play = Playbook(legs("a"))
    play >> Started(0.0) << "Dial 1 a/m"
    play >> failed(1, "reset", 0.0) << "Ended 1 failed"
    play >> Rang(0.3) << "Dial 2 a/m fresh"
    play >> failed(2, "reset", 0.3) << "Ended 2 failed" << "Decline own words" << "Flight declined"
    play.quiet()


def test_in_the_second_round_whoever_is_ready_first_is_asked_first() -> None:
    play = Playbook(legs("a", "b"))
    play >> Started(0.0) << "Dial 1 a/m"
    opened(play) >> Heard(0.0, 1, [status(429, Said(code="1"))])
    play << "HangUp 1" << "Ended 1 failed" << "Dial 2 b/m"
    play >> failed(2, "reset", 0.0) << "Ended 2 failed"
    play >> Rang(0.3) << "Dial 3 b/m fresh"


def test_a_target_that_wants_no_retry_gets_none_and_neither_does_the_client() -> None:
    refusing = Failure(
        kind="status",
        where="body",
        text="529",
        status=529,
        headers=((b"x-should-retry", b"false"),),
    )
    play = opened(Playbook(legs("a")) >> Started(0.0) << "Dial 1 a/m")
    play >> Heard(0.1, 1, [Piece(PieceKind.FAULT, b"", refusing)])
    play << "HangUp 1" << "Ended 1 failed" << "Decline 529" << "Flight declined"
    declined = play.commands[-2]
    assert isinstance(declined, Decline)
    assert declined.should_retry is False


def test_one_target_alone_speaks_for_itself_at_the_last_resort_too() -> None:
    only = legs("a")
    for others, told in (((), "Decline 429"), ((("b/m", "rests"),), "Decline own words")):
        play = Playbook((), last_resort=only, passed_over=(("a/m", "rests"), *others))
        play >> Started(0.0) << "Dial 1 a/m"
        opened(play) >> Heard(0.0, 1, [status(429, Said(code="7"))])
        play << "HangUp 1" << "Ended 1 failed" << told << "Flight declined"


def test_without_budget_or_as_a_last_resort_nobody_is_asked_twice() -> None:
    for play in (Playbook(legs("a"), retries=False), Playbook((), last_resort=legs("a", "b"))):
        play >> Started(0.0) << "Dial 1 a/m"
        play >> failed(1, "reset", 0.0)
        play << "Ended 1 failed"
        if play.flight.phase is Phase.PAUSING:
            play >> Rang(0.3)
        play << "Decline own words" << "Flight declined"


def test_who_rests_is_asked_where_no_other_can_carry_the_call_and_only_one_of_them() -> None:
    """A stand-in that sees no pictures is no reason not to ask the first choice for one."""
    rests = (("a/m", "rests"), ("c/m", "rests"))
    play = Playbook(legs("b"), last_resort=legs("a", "c"), passed_over=rests)
    play >> Started(0.0) << "Dial 1 b/m"
    play >> Unfit(0.0, 1, "no pictures there") << "Ended 1 unfit" << "Dial 2 a/m"
    play >> failed(2, "reset", 0.1) << "Ended 2 failed" << "Decline own words" << "Flight declined"
    assert play.flight.attempts == 1
    told = play.commands[-2]
    assert isinstance(told, Decline)
    unfit = ("b/m", "not asked: no pictures there")
    assert told.tried == (("a/m", "reset"), ("c/m", "not asked: rests"), unfit)
    (*_, ended) = play.commands
    assert isinstance(ended, FlightEnded)
    assert ended.unasked == (("b/m", "no pictures there"),)
    assert told.verdict.whose == "provider"


def test_who_rests_is_asked_where_the_call_was_too_long_for_the_others() -> None:
    """If its window is larger; what a stand-in's window is too small for is no client's fault."""
    last = legs("a", "c", windows={"a": 200, "c": 50})
    (spare,) = legs("b", windows={"b": 100})
    stand_in = msgspec.structs.replace(spare, stand_in=True)
    for answer, told in (("hi", "Begin 2"), ("", "Decline own words")):
        play = Playbook((stand_in,), last_resort=last)
        play >> Started(0.0) << "Dial 1 b/m"
        opened(play) >> Heard(0.1, 1, [status(400, Said("context"))])
        play << "HangUp 1" << "Ended 1 failed" << "Dial 2 a/m"
        opened(play, 2)
        if answer:
            play >> Heard(0.2, 2, [words(answer)]) << told << "Say hi"
        else:
            play >> failed(2, "reset", 0.2) << "Ended 2 failed" << told << "Flight declined"
            declined = play.commands[-2]
            assert isinstance(declined, Decline)
            assert (declined.provider, declined.verdict.whose) == ("a", "provider")
    play = Playbook((stand_in,), last_resort=last[1:])
    play >> Started(0.0) << "Dial 1 b/m"
    opened(play) >> Heard(0.1, 1, [status(400, Said("context"))])
    play << "HangUp 1" << "Ended 1 failed" << "Decline 400" << "Flight declined"


def test_where_nobody_can_carry_the_call_not_even_who_rests_it_is_the_calls_fault() -> None:
    play = Playbook(legs("b"), last_resort=legs("a", "c"))
    play >> Started(0.0) << "Dial 1 b/m"
    play >> Unfit(0.0, 1, "no pictures there") << "Ended 1 unfit" << "Dial 2 a/m"
    play >> Unfit(0.0, 2, "none there") << "Ended 2 unfit" << "Dial 3 c/m"
    play >> Unfit(0.0, 3, "none there") << "Ended 3 unfit" << "Decline own words"
    play << "Flight declined"
    told = play.commands[-2]
    assert isinstance(told, Decline)
    assert (told.verdict.whose, len(told.tried)) == ("request", 3)


def test_who_rests_is_left_alone_where_anybody_was_asked() -> None:
    play = Playbook(legs("b"), last_resort=legs("a"), retries=False)
    play >> Started(0.0) << "Dial 1 b/m"
    play >> failed(1, "reset", 0.0) << "Ended 1 failed"
    play >> Rang(0.3) << "Decline own words" << "Flight declined"


def test_a_short_wait_is_taken_inside_and_a_long_one_is_the_clients() -> None:
    short = Playbook(legs("a"))
    short >> Started(0.0) << "Dial 1 a/m"
    opened(short) >> Heard(0.0, 1, [status(429, Said(code="1"))])
    short << "HangUp 1" << "Ended 1 failed"
    assert short.flight.deadline == 1.0
    long = Playbook(legs("a"))
    long >> Started(0.0) << "Dial 1 a/m"
    opened(long) >> Heard(0.0, 1, [status(429, Said(code="3600"))])
    long << "HangUp 1" << "Ended 1 failed" << "Decline 429" << "Flight declined"
    declined = long.commands[-2]
    assert isinstance(declined, Decline)
    assert declined.should_retry is False  # an SDK would sleep the hour in silence


def test_a_target_that_cannot_carry_the_call_costs_no_attempt() -> None:
    play = Playbook(legs("a", "b"))
    play >> Started(0.0) << "Dial 1 a/m"
    play >> Unfit(0.0, 1, "images cannot cross") << "Ended 1 unfit" << "Dial 2 b/m"
    play >> Unfit(0.0, 2, "images cannot cross") << "Ended 2 unfit" << "Decline own words"
    play << "Flight declined"
    assert play.flight.attempts == 0


def test_one_target_alone_is_passed_on_byte_for_byte_and_several_in_our_words() -> None:
    alone = Playbook(legs("a"), retries=False)
    alone >> Started(0.0) << "Dial 1 a/m"
    opened(alone) >> Heard(0.0, 1, [status(529)]) << "HangUp 1" << "Ended 1 failed"
    alone >> Rang(0.5) << "Decline 529" << "Flight declined"
    both = Playbook(legs("a", "b"), retries=False)
    both >> Started(0.0) << "Dial 1 a/m"
    opened(both) >> Heard(0.0, 1, [status(403)]) << "HangUp 1" << "Ended 1 failed" << "Dial 2 b/m"
    both >> failed(2, "refused", 0.0) << "Ended 2 failed"
    both >> Rang(0.5) << "Decline own words" << "Flight declined"
    declined = both.commands[-2]
    assert isinstance(declined, Decline)
    assert [target for target, _ in declined.tried] == ["a/m", "b/m"]


def test_what_failed_behind_a_status_of_success_is_told_as_an_error() -> None:
    """A page or nothing with 200 must not end as an answer, even where it is all there is."""
    page = Failure(kind="not_json", where="body", text="a page", status=200, body=b"<html>")
    play = opened(Playbook(legs("a"), retries=False) >> Started(0.0) << "Dial 1 a/m")
    play >> Heard(0.1, 1, [Piece(PieceKind.FAULT, b"", page)]) << "HangUp 1" << "Ended 1 failed"
    play >> Rang(0.5) << "Decline own words" << "Flight declined"


def test_a_later_leg_that_began_to_rest_meanwhile_is_left_alone() -> None:
    """A plan may be half a minute old: what was learnt since then counts."""
    stands = {
        "b": Standing(open=False, rests=True, why="resting"),
        "c": Standing(open=True, trial=True),
        "d": Standing(open=False),
    }
    play = Playbook(legs("a", "b", "c", "d"), standing=lambda leg, _: stands[leg.target.provider])
    play >> Started(0.0) << "Dial 1 a/m"
    play >> failed(1) << "Ended 1 failed" << "Dial 2 c/m"
    dial = play.commands[-1]
    assert isinstance(dial, Dial)
    assert dial.leg.trial
    play >> failed(2) << "Ended 2 failed" << "Dial 3 d/m"
    dial = play.commands[-1]
    assert isinstance(dial, Dial)
    assert not dial.leg.trial


def test_somebody_is_asked_before_anybody_is_left_alone() -> None:
    """Who cannot carry the call has not been asked: then the resting one is, too."""
    rests = Standing(open=False, rests=True)
    play = Playbook(legs("a", "b"), standing=lambda *_: rests) >> Started(0.0) << "Dial 1 a/m"
    play >> Unfit(0.0, 1, "no tools there") << "Ended 1 unfit" << "Dial 2 b/m"


def test_what_a_failed_attempt_still_says_in_the_pause_is_past() -> None:
    play = Playbook(legs("a"))
    play >> Started(0.0) << "Dial 1 a/m"
    opened(play) >> Heard(0.0, 1, [status(529)]) << "HangUp 1" << "Ended 1 failed"
    play >> Closed(0.1, 1)
    play.quiet()
    play >> Rang(0.3) << "Dial 2 a/m fresh"


def test_a_client_that_left_takes_the_connection_with_it() -> None:
    play = Playbook(legs("a", "b"))
    play >> Started(0.0) << "Dial 1 a/m"
    play >> Left(0.1) << "HangUp 1" << "Ended 1 abandoned" << "Flight abandoned"
    play >> failed(1)
    play.quiet()


def test_at_our_own_end_the_client_hears_why_and_no_target_is_blamed() -> None:
    play = Playbook(legs("a", "b"))
    play >> Started(0.0) << "Dial 1 a/m"
    play >> Stopping(0.1) << "HangUp 1" << "Ended 1 abandoned" << "Decline own words"
    play << "Flight declined"
    decline = play.commands[-2]
    assert isinstance(decline, Decline)
    assert decline.should_retry
    play = Playbook(legs("a"))
    play >> Started(0.0) << "Dial 1 a/m"
    opened(play) >> Heard(0.0, 1, [words("w")]) << "Begin 1" << "Say w"
    play >> Stopping(0.1) << "HangUp 1" << "Ended 1 abandoned" << "SayError" << "Break"
    play << "Flight broken"
    ended = play.commands[-4]
    assert isinstance(ended, AttemptEnded)
    assert ended.failure is not None
    assert ended.failure.text == "holdfast was stopped in the middle of it"
    play = Playbook(legs("a"))  # between two attempts
    play >> Started(0.0) << "Dial 1 a/m"
    opened(play) >> Heard(0.0, 1, [status(529)]) << "HangUp 1" << "Ended 1 failed"
    play >> Stopping(0.1) << "Decline own words" << "Flight declined"


def test_events_of_a_past_attempt_do_nothing() -> None:
    play = Playbook(legs("a", "b"))
    play >> Started(0.0) << "Dial 1 a/m"
    play >> failed(1) << "Ended 1 failed" << "Dial 2 b/m"
    play >> Heard(1.1, 1, [words("late")])
    play >> Closed(1.2, 1)
    play.quiet()


# ------------------------------------------------------------------ properties

PIECES = st.sampled_from(
    [
        OPENING,
        PING,
        words("w"),
        END,
        fault("garbage"),
        fault("error_event", b"<e>"),
        status(400),
        status(403),
        status(529),
        status(429, Said(code="1")),
        status(400, Said("context")),
    ]
)
STEPS = st.one_of(
    st.just("sent"),
    st.just("opened"),
    st.lists(PIECES, min_size=1, max_size=4),
    st.just("closed"),
    st.just("left"),
    st.just("stopping"),
    st.just("ring"),
    st.just("unfit"),
    st.sampled_from(["refused", "reset", "stale", "truncated", "dns"]),
)


def event_for(step: object, at: float, attempt: int) -> object:
    match step:
        case "sent":
            return Sent(at, attempt)
        case "opened":
            return Opened(at, attempt, 200)
        case "closed":
            return Closed(at, attempt)
        case "left":
            return Left(at)
        case "stopping":
            return Stopping(at)
        case "ring":
            return Rang(at + 1000)
        case "unfit":
            return Unfit(at, attempt, "cannot cross")
        case str():
            return failed(attempt, step, at)
        case _:
            return Heard(at, attempt, step)


@given(st.lists(STEPS, max_size=40), st.integers(1, 5), st.booleans(), st.booleans())
def test_any_course_of_events_keeps_the_laws(
    steps: list[object], count: int, stream: bool, retries: bool
) -> None:
    """One ending; nothing behind it; at most four attempts; never a clean end without END."""
    flight = Flight(call(stream=stream), Plan(legs=legs(*"abcde"[:count])), policy(retries=retries))
    commands = flight.handle(Started(0.0))
    whole = False
    at = 0.0
    for step in steps:
        at += 0.1
        landed = flight.phase is Phase.LANDED
        event = event_for(step, at, sum(isinstance(c, Dial) for c in commands))
        new = flight.handle(event)
        if landed:
            assert not new
        whole = whole or any(isinstance(c, Finish) for c in new)
        commands += new
    if flight.phase is not Phase.LANDED:
        commands += flight.handle(Left(at))
    assert flight.phase is Phase.LANDED
    assert flight.deadline is None
    kinds = [type(command) for command in commands]
    assert kinds.count(FlightEnded) == 1
    assert kinds[-1] is FlightEnded
    assert kinds.count(Begin) <= 1
    endings = [kind for kind in kinds if kind in (Finish, Break, Decline)]
    assert len(endings) == (commands[-1].outcome != "abandoned")
    if Begin in kinds:
        assert Decline not in kinds
        assert kinds.index(Begin) < kinds.index(Say)
    assert flight.attempts <= ATTEMPTS_MAX
    if Break in kinds:
        assert SayError in kinds
        assert Finish not in kinds
    assert whole == (commands[-1].outcome == "ok")
