"""What a client is told of an upstream's head: the same at one look as line by line."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.facts.calls import Headers
from holdfast.net import onward as module
from holdfast.net.mask import MASK, masked_headers
from holdfast.net.onward import onward
from holdfast.net.reply import Lines, Reply
from holdfast.wire.headers import to_client

SECRET = b"sk-of-ours-0123456789"
OURS: Headers = ((b"x-holdfast-exchange", b"e1"), (b"x-holdfast-attempts", b"1"))
USUAL: Headers = ((b"date", b"now"), (b"request-id", b"r1"), (b"content-length", b"5"))

NAMES = st.sampled_from(
    [b"date", b"request-id", b"x-a", b"x-%s", b"set-cookie", b"connection", b"content-length",
     b"x-holdfast-exchange", b"location", b"transfer-encoding", b"X-Upper", b"x a", b""]
)  # fmt: skip
VALUES = st.sampled_from(
    [b"", b"1", b"%b", b"a\tb", b"caf\xe9", b"a\r\nx-b: c", b"\0", b"keep-alive", b"x-a, close",
     SECRET, b"Bearer " + SECRET]
)  # fmt: skip
HEADS = st.lists(st.tuples(NAMES, VALUES), max_size=6).map(tuple)


class Wire:
    """The client's end of a reply."""

    last = False

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    def done(self, reply: Reply) -> None: ...

    def broken(self, *, reset: bool) -> None: ...


def told(headers: Headers | Lines) -> bytes:
    wire = Wire()
    Reply(wire, head_only=False, http10=False, keep_alive=True).send(200, headers, b"hello")
    return wire.data


def line_by_line(headers: Headers, secret: bytes | None, ours: Headers) -> Headers:
    return masked_headers(to_client(headers), secret) + ours


@given(st.lists(HEADS, min_size=1, max_size=3), st.sampled_from([None, SECRET]), HEADS)
def test_it_is_told_as_line_by_line(heads: list[Headers], secret: bytes | None, ours: Any) -> None:
    """Whatever was remembered of the heads before."""
    ours = OURS + tuple(pair for pair in ours if pair[0] == b"x-a")
    for headers in heads:
        assert told(onward(headers, secret, ours)) == told(line_by_line(headers, secret, ours))


def test_a_usual_head_takes_one_look() -> None:
    assert isinstance(onward(USUAL, SECRET, OURS), Lines)
    kept = (*USUAL, (b"connection", b"keep-alive"))
    assert isinstance(onward(kept, SECRET, OURS), Lines)
    assert b"keep-alive" not in told(onward(kept, SECRET, OURS))


@pytest.mark.parametrize("value", [SECRET, b"a\r\nx-b: c", b"\0"])
def test_what_is_odd_is_looked_at_by_itself(value: bytes) -> None:
    head = (*USUAL, (b"x-a", value))
    assert onward(head, SECRET, OURS) == line_by_line(head, SECRET, OURS)
    said = told(onward(head, SECRET, OURS))
    assert SECRET not in said
    assert (MASK in said) is (value == SECRET)


def test_what_is_remembered_has_bounds() -> None:
    for number in range(module.FORMS_MAX + 10):
        onward(((b"x-%d" % number, b"1"),), None, OURS)
    assert len(module._forms) <= module.FORMS_MAX
    before = len(module._forms)
    onward(((b"x" * module.NAMES_BYTES_MAX, b"1"),), None, OURS)
    assert len(module._forms) == before
