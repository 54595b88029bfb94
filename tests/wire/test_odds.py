"""How likely the words were: the one form, and what is not of it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.wire.odds import filled, listed

JSON = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda more: st.lists(more) | st.dictionaries(st.text(), more),
)


@given(
    st.lists(st.dictionaries(st.text(), st.text() | st.floats(-9, 0), min_size=1)),
    st.none() | st.integers(0, 3),
)
def test_a_list_is_taken_out_in_one_line(tokens: list, indent: int | None) -> None:
    found = listed(json.dumps({"content": tokens, "refusal": None}, indent=indent).encode())
    assert bool(found) is bool(tokens)
    assert b"\n" not in found
    assert not found or json.loads(found) == tokens


@given(JSON)
def test_nothing_else_is_taken_for_one(value: object) -> None:
    for said in (json.dumps(value).encode(), json.dumps({"content": value}).encode()):
        found = listed(said)
        assert found == b"" or json.loads(found) == value


@given(st.binary())
def test_no_bytes_make_it_raise(data: bytes) -> None:
    listed(data)


@pytest.mark.parametrize("empty", [b"", b"null", b"[]", b"[ \n]", b"{}"])
def test_nothing_stays_nothing(empty: bytes) -> None:
    assert filled(empty) == b""
