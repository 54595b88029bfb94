"""An answer on its way to a client, kept once it is whole."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.facts.outcomes import Piece, PieceKind, Usage
from holdfast.wire.keeping import KeepingTap, ended


class Said:
    """A tap that says these pieces."""

    head = None
    usage = Usage(1)

    def __init__(self, *pieces: Piece) -> None:
        self._pieces = list(pieces)

    def feed(self, data: bytes) -> list[Piece]:
        assert data
        return [self._pieces.pop(0)]

    def close(self) -> list[Piece]:
        return self._pieces


def test_an_answer_is_kept_when_it_is_whole_and_not_before() -> None:
    last = b'event: x\ndata: {"response":{"id":"r"}}\n\n'
    ping = Piece(PieceKind.PING, b": x\n\n")
    for end in (
        [Piece(PieceKind.END, last)],
        [Piece(PieceKind.CONTENT, last), Piece(PieceKind.END)],
    ):
        kept: list[bytes] = []
        tap = KeepingTap(Said(ping, *end), kept.append, stream=True)
        assert tap.feed(b"x") == [ping]
        assert kept == []
        assert tap.close() == end
        assert kept == [b'{"id":"r"}']
        assert tap.usage == Usage(1)
    kept = []
    cut = Piece(PieceKind.FAULT)
    assert KeepingTap(Said(Piece(PieceKind.CONTENT, last), cut), kept.append, stream=True).close()
    assert kept == []


@given(st.binary(max_size=40))
def test_no_bytes_whatever_make_it_raise(dirty: bytes) -> None:
    for stream in (dirty, b"data: " + dirty + b"\n\n", b'data: {"response":' + dirty + b"\n\n"):
        assert isinstance(ended(stream), bytes)
