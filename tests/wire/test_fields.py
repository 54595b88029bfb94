"""The fields of an object: taken, named, left."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.asks import VALUES

from holdfast.wire.fields import Fields
from holdfast.wire.speech import BadFieldError

TAKE = ["raw", "mapping", "text", "texts", "count", "number", "flag", "object", "objects"]


def fields(**values: object) -> Fields:
    return Fields(json.dumps(values).encode(), "x[1]")


def test_each_kind_is_taken_as_it_is() -> None:
    found = fields(a="ü", b=["c"], d=5, e=0.5, f=True, g={"h": 1}, i=[{"j": 2}], k=None)
    assert found.text("a") == "ü"
    assert found.texts("b") == ("c",)
    assert (found.count("d"), found.number("e"), found.flag("f")) == (5, 0.5, True)
    inner = found.object("g")
    assert inner is not None
    assert (inner.where, inner.raw("h")) == ("x[1].g", b"1")
    assert fields(a={"b": 1}).mapping("a") == b'{"b": 1}'
    (item,) = found.objects("i")
    assert item.where == "x[1].i[0]"
    assert found.left() == []


@pytest.mark.parametrize("take", TAKE)
def test_what_is_absent_or_null_is_nothing(take: str) -> None:
    for found in (fields(), fields(a=None)):
        assert not getattr(found, take)("a")


@given(VALUES)
def test_any_value_is_taken_or_refused_by_name(value: object) -> None:
    for take in TAKE:
        found = fields(a=value, b=1)
        said = "x[1].a"
        try:
            getattr(found, take)("a")
        except BadFieldError as error:
            said = str(error)
        assert "x[1].a" in said
        assert found.left() == ["x[1].b"]


@given(st.binary(max_size=20))
def test_bytes_that_are_no_object_are_refused(data: bytes) -> None:
    with pytest.raises(BadFieldError, match="is not a JSON object"):
        Fields(b"[" + data)
    with pytest.raises(BadFieldError, match="messages"):
        Fields.listed(b"{" + data, "messages")


def test_what_nobody_took_is_a_loss_unless_it_is_empty() -> None:
    found = fields(a=1, b=[], c=None, d="", e={}, f=False)
    assert [loss.field for loss in found.losses()] == ["x[1].a", "x[1].f"]
    found.forget()
    assert list(found.losses()) == []


@pytest.mark.parametrize("number", [b"-1", b"1e400", b"1.5", b'"5"', b"true", b"9" * 40])
def test_a_count_is_a_whole_number_within_bounds(number: bytes) -> None:
    with pytest.raises(BadFieldError, match=r"^n "):
        Fields(b'{"n":' + number + b"}").count("n")


def test_json_keeps_its_bytes() -> None:
    assert Fields(b'{"a": {"b" : 1E2,"b":0.10} }').raw("a") == b'{"b" : 1E2,"b":0.10}'
