"""A stream that is one JSON array, cut into its elements."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.asks import VALUES

from holdfast.wire import elements
from holdfast.wire.elements import CLOSED, ElementReader
from holdfast.wire.sse import SseEvent, WireError

OBJECTS = st.dictionaries(st.text(max_size=6), VALUES, max_size=3)
GAPS = st.sampled_from(["", "\n", "\r\n", " \t "])


@st.composite
def arrays(draw: st.DrawFn) -> tuple[list[dict], bytes]:
    """Elements, and the array that they are in, however it is spaced."""
    found = draw(st.lists(OBJECTS, max_size=4))
    indent, plain = draw(st.sampled_from([None, 2])), draw(st.booleans())
    texts = [json.dumps(one, indent=indent, ensure_ascii=plain) for one in found]
    between = draw(GAPS) + "," + draw(GAPS)
    return found, f"{draw(GAPS)}[{draw(GAPS)}{between.join(texts)}{draw(GAPS)}]".encode()


def fed(data: bytes, cuts: list[int]) -> list[SseEvent]:
    reader, found, at = ElementReader(), [], 0
    for cut in [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]:
        found += reader.feed(data[at:cut])
        at = cut
    assert reader.finish() is None
    return found


@given(arrays(), st.lists(st.integers(0, 10_000), max_size=8))
def test_any_split_gives_the_same_elements_and_loses_no_byte(array, cuts: list[int]) -> None:
    values, data = array
    *found, last = fed(data, cuts)
    assert [json.loads(event.data) for event in found] == values
    assert last.data == CLOSED
    assert b"".join(event.raw for event in (*found, last)) == data


@given(arrays(), st.integers(0, 10_000))
def test_an_array_that_was_cut_off_does_not_end(array, cut: int) -> None:
    values, data = array
    whole = data.rindex(b"]")
    reader = ElementReader()
    found = reader.feed(data[: cut % (whole + 1)])
    assert CLOSED not in [event.data for event in found]
    assert [json.loads(event.data) for event in found] == values[: len(found)]


def test_a_lone_object_is_the_only_element() -> None:
    (only,) = ElementReader().feed(b' {"a":[{}]}')
    assert json.loads(only.data) == {"a": [{}]}
    assert only.raw == b' {"a":[{}]}'


def test_half_an_element_is_what_is_left() -> None:
    reader = ElementReader()
    reader.feed(b'[{"a":1},{"b":"\\')
    left = reader.finish()
    assert left is not None
    assert left.data == b',{"b":"\\'
    assert reader.ahead(b"x") == b""


@pytest.mark.parametrize("data", [b"]", b"}", b"[{}]]"])
def test_brackets_that_were_not_opened_are_no_array(data: bytes) -> None:
    with pytest.raises(WireError, match="bracket"):
        ElementReader().feed(data)


def test_an_element_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elements, "EVENT_BYTES_MAX", 1 << 20)
    reader = ElementReader()
    assert reader.feed(b'[{"a":"' + b"x" * (1 << 19)) == []
    with pytest.raises(WireError, match="1 MB"):
        reader.feed(b"x" * (1 << 19))
