"""Shapes of heads: how many are learnt, and of what."""

from __future__ import annotations

import pytest

from holdfast.facts.calls import Headers
from holdfast.net.usual import ALIKE_MAX, SHAPES_MAX, Usual


def answer(name: bytes = b"X-A", value: bytes = b"1", first: bytes = b"Date") -> bytes:
    return b"HTTP/1.1 200 OK\r\n%b: now\r\n%b: %b\r\nContent-Length: 2\r\n\r\nhi" % (
        first, name, value,
    )  # fmt: skip


def read(data: bytes) -> Headers:
    lines = data.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    pairs = [line.partition(b": ") for line in lines]
    return tuple((name.lower(), value) for name, _, value in pairs)


def taught(*data: bytes) -> Usual:
    usual = Usual()
    for one in data:
        usual.learn(one, 200, read(one))
    return usual


@pytest.mark.parametrize(
    ("head", "known"),
    [
        (b"Content-Type: a/b", True),
        (b"Content-Type: a/c", False),  # it decides how the answer is read
        (b"Connection: close", False),
        (b"Transfer-Encoding: chunked", False),
        (b"X-A: b", False),
    ],
)
def test_what_decides_how_an_answer_is_read_must_be_the_same(head: bytes, known: bool) -> None:
    name, _, value = head.partition(b": ")
    usual = taught(answer(b"Content-Type", b"a/b"))
    assert (usual.recognise(answer(name, value)) is not None) is known


def test_a_value_that_the_parser_would_not_let_in_is_left_to_it() -> None:
    usual = taught(answer())
    assert usual.recognise(answer(value=b"2")) is not None
    for value in (b"\0", b"a\x7f", b"a\r\nX-B: b", b" a", b"a ", b"", b"a\tb", b"x" * 5000):
        assert usual.recognise(answer(value=value)) is None


def test_neither_many_alike_nor_many_at_all_are_learnt() -> None:
    alike = [answer(b"X-%d" % number) for number in range(ALIKE_MAX + 1)]
    usual = taught(*alike)
    assert [usual.recognise(one) is not None for one in alike] == [*[True] * ALIKE_MAX, False]
    others = [answer(first=b"D-%d" % number) for number in range(SHAPES_MAX + 1)]
    usual = taught(*others)
    assert [usual.recognise(one) is not None for one in others] == [*[True] * SHAPES_MAX, False]
