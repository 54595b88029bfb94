""" "It's back!": with how long it lasted, who stood in, and what waits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.back import back_told, named
from holdfast.facts.incidents import Incident
from holdfast.facts.places import Segment

MESSAGES = Segment("cloud", "messages")


def ended(**more: object) -> Incident:
    fields = {"opened": 1060.0, "back": 1000.0 + 47 * 60, "resolved": 1000.0 + 50 * 60} | more
    return Incident(id="i", since=1000.0, segments=(MESSAGES,), **fields)  # type: ignore[arg-type]


def test_it_says_what_is_back_how_long_it_lasted_who_stood_in_and_what_waits() -> None:
    told = back_told(ended(stood_in=("other/large", "engine/small")), 3)
    assert told == (
        "It's back: cloud · messages. It lasted 47 min. other/large, engine/small stood in."
        " 3 calls wait."
    )


def test_what_is_not_there_is_not_spoken_of() -> None:
    assert back_told(ended(), 0) == "It's back: cloud · messages. It lasted 47 min."


def test_short_reopened_and_single() -> None:
    told = back_told(ended(back=1030.0, reopened=2), 1)
    assert told == (
        "It's back: cloud · messages. It lasted less than a minute, reopened 2 times. 1 call waits."
    )
    assert "reopened once" in back_told(ended(reopened=1), 0)


def test_without_a_good_answer_it_lasted_until_it_was_declared_over() -> None:
    assert "It lasted 50 min." in back_told(ended(back=None), 0)
    assert "lasted" not in back_told(ended(back=None, resolved=None), 0)


def test_a_segment_is_named_by_what_of_it_is_meant() -> None:
    assert named(Segment("cloud")) == "cloud"
    assert named(Segment("cloud", None, "large", "env:KEY")) == "cloud · large · env:KEY"


segments = st.builds(Segment, st.sampled_from("ab"), st.none(), st.sampled_from([None, "m"]))


@given(st.lists(segments, max_size=30).map(tuple), st.integers(-5, 10**9))
def test_however_many_segments_it_stays_a_sentence(
    found: tuple[Segment, ...], waiting: int
) -> None:
    one = Incident(id="i", since=0.0, opened=1.0, resolved=600.0, confidence=1.0, segments=found)
    told = back_told(one, waiting)
    assert told.startswith("It's back: ")
    assert "It lasted 10 min." in told
    assert ("wait" in told.rsplit("It lasted", 1)[1]) == (waiting > 0)
    if len(found) > 3:
        assert f" and {len(found) - 3} more." in told
