"""Outlooks as a filter: every line has an answer, or is told what is wrong with it."""

from __future__ import annotations

import json
from math import isfinite

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.app.eta import Fault, Outlooks, TornLineError, answer
from holdfast.core.outlook import outlook
from holdfast.facts.incidents import Incident

PERCENTS = ["5", "10", "25", "50", "75", "90", "95"]
OTHERS = ("id", "provider", "impact", "stage", "since_update_min", "components", "x")
anything = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def said(line: bytes) -> dict[str, object]:
    """What goes out for it."""
    found: dict[str, object] = json.loads(msgspec.json.encode(answer(line, 7)))
    return found


def test_an_answer_is_what_the_contract_says_and_what_people_are_told() -> None:
    line = (
        b'{"id":"a","provider":"p","impact":"critical","elapsed_min":25,"stage":"monitoring",'
        b'"since_update_min":4,"components":["api"]}\n'
    )
    found = said(line)
    assert list(found) == ["id", "quantiles_min", "p_back_within_min"]
    told = outlook(25.0)
    assert found["id"] == "a"
    assert found["quantiles_min"] == told.quantiles_min
    assert list(told.quantiles_min) == PERCENTS
    assert found["p_back_within_min"] == told.p_back_within_min
    assert list(told.p_back_within_min) == ["60", "240"]


@given(
    st.fixed_dictionaries(
        {
            "elapsed_min": st.floats(allow_nan=False, allow_infinity=False)
            | st.integers(-99, 10**15)
        },
        optional=dict.fromkeys(
            ("id", "provider", "impact", "stage", "since_update_min", "components", "x"), anything
        ),
    )
)
def test_whatever_else_a_question_says_it_is_answered_under_its_own_id(
    question: dict[str, object],
) -> None:
    found = said(json.dumps(question).encode() + b"\n")
    assert found["id"] == question.get("id")
    quantiles = [found["quantiles_min"][percent] for percent in PERCENTS]  # type: ignore[index]
    assert quantiles == sorted(quantiles)
    assert all(isfinite(r) and r >= 0.0 for r in quantiles)


@pytest.mark.parametrize(
    ("line", "id_"),
    [
        (b"nope\n", None),
        (b"12\n", None),
        (b"{}\n", None),
        (b'{"id":3}\n', 3),
        (b'{"id":[1],"elapsed_min":"5"}\n', [1]),
        (b'{"id":"a","elapsed_min":null}\n', "a"),
        (b'{"id":"a","elapsed_min":true}\n', "a"),
        (b'{"elapsed_min":NaN}\n', None),
        (b'{"elapsed_min":1e999}\n', None),
        (b'{"elapsed_min":5', None),
        (b"\xff\xfe\n", None),
        (b'{"a":' + b"[" * 100_000 + b"\n", None),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_line_that_is_no_question_is_told_why(line: bytes, id_: object) -> None:
    found = said(line if line.endswith(b"\n") else line + b"\n")
    assert found["id"] == id_
    assert str(found["error"]).startswith("line 7 is no question (")
    assert "elapsed_min" in str(found["error"])


def test_a_gateway_learns_when_an_incident_ends_and_only_then() -> None:
    def one(at: int, lasted_s: float | None = 400.0) -> Incident:
        end = None if lasted_s is None else at + lasted_s
        return Incident(id=str(at), since=at, opened=at, resolved=end, whose="provider")

    now = 50_000.0
    outlooks, still = Outlooks(), one(49_940, None)
    past = [one(1000 * at) for at in range(30)]
    plain = outlooks.of(still, now)
    outlooks.learn([*past, still], now)
    learnt = outlooks.of(still, now)
    assert plain is not None
    assert learnt is not None
    assert learnt.n_own == 30
    assert learnt.quantiles_min["50"] < plain.quantiles_min["50"] / 4
    assert outlooks.checked.startswith("checked on your own ")
    assert outlooks.of(past[0], now) is None
    outlooks.learn([*past, one(49_940)], now)
    again = outlooks.of(still, now)
    assert again is not None
    assert again.n_own == 31


@given(st.binary(max_size=60))
def test_no_bytes_make_it_raise(line: bytes) -> None:
    found = answer(line + b"\n", 1)
    assert isinstance(found, Fault) or found.quantiles_min


@given(st.integers(1, 39))
def test_a_last_line_that_ends_in_the_middle_is_torn_and_a_whole_one_is_not(cut: int) -> None:
    whole = b'{"id":"\xc3\xa4","stage":null,"elapsed_min":5}'
    assert said(whole)["id"] == "ä"
    with pytest.raises(TornLineError):
        answer(whole[:cut], 1)


def test_a_whole_last_line_that_is_no_question_is_not_torn() -> None:
    assert isinstance(answer(b'{"elapsed_min":"x"}', 1), Fault)
