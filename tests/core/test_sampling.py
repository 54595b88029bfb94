"""Good samples put together: nothing is lost, and no failure is touched."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.sampling import WITHIN_S, Samples, mergeable, merged
from holdfast.facts.observations import Observation

MEASURED = ("traffic", "probe")


def seen(at: float, **fields: Any) -> Observation:
    known = {"kind": "traffic", "provider": "north", "surface": "messages", "model": "large"}
    return Observation(at=at, wall=1e9 + at, **known | fields)


def leaf(each: Observation) -> tuple[str, str, str, str]:
    return each.provider, each.surface, each.model, each.credential


@st.composite
def batches(draw: st.DrawFn) -> list[Observation]:
    at, batch = 0.0, []
    for _ in range(draw(st.integers(0, 40))):
        at += draw(st.sampled_from((0.0, 0.1, 0.4, 1.0, 3.0)))
        batch.append(
            seen(
                at,
                kind=draw(st.sampled_from((*MEASURED, "slept", "peer"))),
                ok=draw(st.booleans()),
                model=draw(st.sampled_from("ab")),
                trial=draw(st.integers(0, 5)) == 0,
                status=draw(st.sampled_from((200, 201))),
                count=draw(st.sampled_from((1, 1, 3))),
                first_content_s=draw(st.sampled_from((None, 0.5, 2.0))),
            )
        )
    return batch


@given(batch=batches())
def test_nothing_is_lost_and_failures_are_untouched(batch: list[Observation]) -> None:
    out = merged(batch)
    assert [each.at for each in out] == sorted(each.at for each in out)

    def counts(of: list[Observation]) -> Counter[object]:
        found: Counter[object] = Counter()
        for each in of:
            found[leaf(each), each.kind, each.ok, each.status, each.trial] += each.count
        return found

    assert counts(out) == counts(batch)

    def alone(of: list[Observation]) -> list[Observation]:
        return [e for e in of if not e.ok or e.trial or e.kind not in MEASURED]

    assert alone(out) == alone(batch)


@given(batch=batches())
def test_the_order_on_each_leaf_is_kept(batch: list[Observation]) -> None:
    """The row of each leaf, blown up again by its counts, is the row that went in."""

    def row(of: list[Observation]) -> dict[object, list[object]]:
        rows: dict[object, list[object]] = {}
        for each in of:
            mark = (each.kind, each.ok, each.status, each.trial)
            rows.setdefault(leaf(each), []).extend([mark] * each.count)
        return rows

    assert row(merged(batch)) == row(batch)


def test_the_one_says_how_many_and_how_long_on_average() -> None:
    out = merged(
        [
            seen(1.0, first_content_s=1.0, status=200),
            seen(1.1, first_content_s=None, status=200),
            seen(1.9, first_content_s=4.0, status=200, count=2),
            seen(2.0, first_content_s=9.0, status=200),
        ]
    )
    assert [(each.at, each.count) for each in out] == [(1.0, 4), (2.0, 1)]
    assert out[0].first_content_s == pytest.approx(3.0)
    assert WITHIN_S == 1.0


def test_a_lone_sample_is_the_very_same() -> None:
    only = seen(1.0, first_content_s=0.25)
    assert merged([only])[0] is only


def test_a_failure_between_keeps_both_sides_apart() -> None:
    batch = [seen(1.0), seen(1.1, ok=False), seen(1.2), seen(1.3)]
    out = merged(batch)
    assert [(each.ok, each.count) for each in out] == [(True, 1), (False, 1), (True, 2)]
    assert out[1] is batch[1]
    assert msgspec.structs.replace(out[2], count=1) == batch[2]


@given(batch=batches(), taken=st.integers(0, 40))
def test_what_is_counted_is_as_if_it_were_added(batch: list[Observation], taken: int) -> None:
    """Also across a beat, at which all that came is taken."""
    samples, out = Samples(), []
    for number, each in enumerate(batch):
        if number == taken:
            out += samples.take()
        plain = mergeable(each) and each.kind == "traffic" and each.count == 1
        mark = (leaf(each), each.at, each.status, each.first_content_s)
        if not plain or not samples.count(*mark):
            samples.add(each)
    assert [*out, *samples.take()] == [*merged(batch[:taken]), *merged(batch[taken:])]


def test_only_so_many_are_kept_and_the_latest_stay() -> None:
    samples = Samples()
    for at in range(5):
        samples.add(seen(float(at), ok=False))
    samples.add(seen(5.0))
    assert samples.keep(6) == 0
    assert samples.count(leaf(seen(5.0)), 5.5, None, None)
    assert samples.keep(2) == 4
    assert len(samples) == 2
    assert not samples.count(leaf(seen(5.0)), 5.6, None, None), "what it was counted to may be gone"
    assert [(each.at, each.count) for each in samples.take()] == [(4.0, 1), (5.0, 2)]
    assert len(samples) == 0
