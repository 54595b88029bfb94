"""What a stretch shows: the fewest segments that say what is in trouble, and nothing more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.stretch import Key, Leaf, Pool, shown_as, span
from holdfast.facts.places import Segment

keys = st.tuples(
    st.just("a"),
    st.sampled_from(["s1", "s2", "s3"]),
    st.sampled_from(["m1", "m2", ""]),
    st.sampled_from(["k1", "k2"]),
)


def well(key: Key, wall: float = 100.0) -> Leaf:
    leaf = Leaf(key, Pool())
    leaf.ever_good, leaf.last_good = True, wall
    return leaf


def covers(segment: Segment, key: Key) -> bool:
    parts = (segment.provider, segment.surface, segment.model, segment.credential)
    return all(part is None or part == name for part, name in zip(parts, key, strict=True))


@given(st.sets(keys, min_size=1), st.sets(keys))
def test_all_that_is_in_trouble_and_nothing_that_is_well(
    inside: set[Key], others: set[Key]
) -> None:
    shown = shown_as(inside, [well(key) for key in sorted(others)], 100.0)
    for key in inside:
        assert any(covers(segment, key) for segment in shown)
    for key in others - inside:
        # A leaf of no particular model can only be shown as all models.
        if all(one[2] for one in inside):
            assert not any(covers(segment, key) for segment in shown)
    assert len(shown) <= len(inside)
    assert len(set(shown)) == len(shown)


@pytest.mark.parametrize(
    ("inside", "others", "told"),
    [
        ([("s1", "m1", "k1")], [], ["a · s1 · m1 · k1"]),
        ([("s1", "m1", "k1"), ("s1", "m2", "k1")], [], ["a · s1 · * · k1"]),
        ([("s1", "m1", "k1"), ("s2", "m1", "k1")], [], ["a · * · m1 · k1"]),
        (
            [("s1", "m1", "k1"), ("s2", "m1", "k1")],
            [("s3", "m2", "k1")],
            ["a · s1 · m1 · k1", "a · s2 · m1 · k1"],
        ),
        (
            [("s1", "m1", "k1"), ("s1", "m2", "k1")],
            [("s1", "m1", "k2")],
            ["a · s1 · * · k1"],
        ),
    ],
)
def test_examples(
    inside: list[tuple[str, ...]], others: list[tuple[str, ...]], told: list[str]
) -> None:
    found = shown_as(
        [("a", *key) for key in inside],  # type: ignore[misc]
        [well(("a", *key)) for key in others],  # type: ignore[arg-type]
        100.0,
    )
    assert [str(segment) for segment in found] == told


def test_who_was_not_seen_for_a_day_does_not_count_as_well() -> None:
    inside = [("a", "s1", "m1", "k1"), ("a", "s2", "m1", "k1")]
    old = well(("a", "s3", "m1", "k1"))
    assert len(shown_as(inside, [old], 200.0)) == 2
    assert len(shown_as(inside, [old], 100_000.0)) == 1


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-3.0, "0 s"), (40.4, "40 s"), (180.0, "3 min"), (7500.0, "2 h 5 min")],
)
def test_durations(seconds: float, words: str) -> None:
    assert span(seconds) == words
