"""Lines of JSON as a stream."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.recorded import split

from holdfast.wire import lines
from holdfast.wire.lines import LineReader
from holdfast.wire.sse import WireError

STREAM = '{"a":"ü\\n"}\n\r\n {"b":1}\r\n{"c":"\u2028\x0b"}\n{"d"'.encode()


@given(st.lists(st.integers(0, 100), max_size=6))
def test_every_cut_gives_the_same_lines(cuts: list[int]) -> None:
    reader = LineReader()
    events = [event for data in split(STREAM, cuts) for event in reader.feed(data)]
    last = reader.finish()
    assert last is not None
    assert b"".join(event.raw for event in [*events, last]) == STREAM
    assert [event.data for event in events if event.data] == [
        '{"a":"ü\\n"}'.encode(),
        b'{"b":1}',
        '{"c":"\u2028\x0b"}'.encode(),
    ]
    assert last.data == b'{"d"'
    assert reader.finish() is None
    assert reader.ahead(STREAM) == b""


def test_an_endless_line_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LINE_BYTES_MAX", 10)
    reader = LineReader()
    reader.feed(b"x" * 10)
    with pytest.raises(WireError, match="line"):
        reader.feed(b"x")
