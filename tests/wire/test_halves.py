"""Escapes of one surrogate without the other: JSON that a reader of UTF-8 has no word for."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.wire.halves import without_halves

ANY = st.text(st.sampled_from('ud8Dc3\\"/é😀\ud83d\ude00\udfff\ud800'), max_size=12)


def without(text: str) -> str:
    """The same with each half replaced, by a reader of UTF-16."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@given(ANY)
def test_any_text_can_be_read(text: str) -> None:
    read = msgspec.json.decode(without_halves(json.dumps(text).encode()))
    assert read == without(text)


@pytest.mark.parametrize(
    "same", [b'"\\ud83d\\ude00"', b'"\\\\ud83d"', b'"\\uD55C"', b'"\\ufffd"', b'{"a": 1}', b""]
)
def test_what_can_be_read_stays_as_it_is(same: bytes) -> None:
    assert without_halves(same) == same


@given(st.binary(max_size=40))
def test_bytes_that_are_no_json_do_no_harm(data: bytes) -> None:
    assert without_halves(b"\\ud8" + data).startswith((b"\\ud8", b"\\ufffd"))
