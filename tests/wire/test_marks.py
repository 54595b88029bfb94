"""Marks of who answered, and the shape of an error's body."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.wire.marks import MARKS_MAX, SHAPE_MAX, VALUE_MAX, marks_of, models_of, shape_of


def test_marks_are_those_of_servers_edges_and_request_ids_alone() -> None:
    headers = (
        (b"server", b"cloudflare"),
        (b"set-cookie", b"session=secret"),
        (b"anthropic-ratelimit-requests-remaining", b"3"),
        (b"cf-ray", b"8f-FRA"),
        (b"some-vendor-request-id", b"req_1"),
        (b"via", b"1.1 relay\x00"),
    )
    assert marks_of(headers) == (
        ("server", "cloudflare"),
        ("cf-ray", "8f-FRA"),
        ("some-vendor-request-id", "req_1"),
        ("via", "1.1 relay?"),
    )


@given(st.lists(st.tuples(st.sampled_from([b"via", b"server", b"date"]), st.binary(max_size=300))))
def test_marks_are_bounded_and_printable(headers: list[tuple[bytes, bytes]]) -> None:
    found = marks_of(tuple(headers))
    assert len(found) == min(MARKS_MAX, sum(name != b"date" for name, _ in headers))
    assert all(len(value) <= VALUE_MAX and value.isprintable() for _, value in found)


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        (b'{"type":"error","error":{"type":"x","message":"y"}}', "{error:{message,type},type}"),
        (b'[{"error":{"code":1,"details":[{"reason":"r"}]}}]', "[{error:{code,details:[{}]}}]"),
        (b'{"error":"no"}', "{error}"),
        (b'{"req_011CA secret words":1}', "{?}"),
        (b'"words"', "value"),
        (b"[]", "[]"),
        (b"  <!DOCTYPE html>", "html"),
        (b"upstream connect error", "text"),
        (b" \n", "empty"),
        (b"[" * 100_000, "text"),
    ],
)
def test_shapes(body: bytes, shape: str) -> None:
    assert shape_of(body) == shape


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_a_shape_is_always_short(body: bytes) -> None:
    assert 0 < len(shape_of(body)) <= SHAPE_MAX


KEYS = st.sampled_from(["error", "type", "message", "id"])
TREES = st.recursive(
    st.text(max_size=5) | st.integers(-9, 9),
    lambda inner: st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(KEYS, TREES))
def test_the_order_of_keys_does_not_change_a_shape(tree: dict[str, object]) -> None:
    turned = dict(reversed(tree.items()))
    assert shape_of(json.dumps(tree).encode()) == shape_of(json.dumps(turned).encode())


@pytest.mark.parametrize(
    ("body", "models"),
    [
        (b'{"data":[{"id":"b"},{"id":"a","type":"model"}],"has_more":false}', ("b", "a")),
        (b'{"models":[{"name":"models/g-3","version":"1"},{}]}', ("models/g-3",)),
        (b'{"data":"none"}', ()),
        (b"<html>", ()),
        (b"[" * 100_000, ()),
    ],
)
def test_models_are_read_from_a_list_of_any_dialect(body: bytes, models: tuple[str, ...]) -> None:
    assert models_of(body) == models
