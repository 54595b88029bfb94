"""Our own key is taken out of what an upstream echoes, and nothing else is touched."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.facts.outcomes import Failure, Piece, PieceKind, Said
from holdfast.net.mask import MASK, masked, masked_failure, masked_headers, masked_pieces

KEY = b"sk-canary-0123456789"


def test_a_failure_says_the_key_nowhere() -> None:
    told = f"no such key: {KEY.decode()}"
    failure = Failure(
        kind="status",
        where="body",
        text=told,
        status=401,
        headers=((b"x-echo", b"Bearer " + KEY), (b"x-other", b"1")),
        body=told.encode() * 2,
        said=Said(told, told, told),
    )
    clean = masked_failure(failure, KEY)
    assert KEY.decode() not in repr(clean)
    assert clean.body == failure.body.replace(KEY, MASK)
    assert clean.headers[1] == (b"x-other", b"1")
    assert (clean.kind, clean.where, clean.status) == ("status", "body", 401)
    pieces = [Piece(PieceKind.CONTENT, KEY), Piece(PieceKind.FAULT, KEY, failure)]
    assert masked_pieces(pieces, KEY)[1] == Piece(PieceKind.FAULT, MASK, clean)
    assert pieces[0].data == KEY  # an answer is the target's, byte for byte


@given(st.binary(max_size=60), st.none() | st.binary(max_size=12))
def test_what_holds_no_key_stays_as_it_is(data: bytes, secret: bytes | None) -> None:
    """Also for no key, an empty one, and one so short that any word might be it."""
    if secret is None or len(secret) < 8 or secret not in data:
        headers = ((b"x-a", data),)
        assert masked(data, secret) == data
        assert masked_headers(headers, secret) == headers
    else:
        assert secret not in masked(data, secret) or secret in MASK


@given(st.text(max_size=40), st.integers(0, 40))
def test_any_text_can_be_cleaned(text: str, at: int) -> None:
    """Half a surrogate and all, the key in the midst of it."""
    failure = Failure(kind="status", where="body", text=text[:at] + KEY.decode() + text[at:])
    clean = masked_failure(failure, KEY)
    assert clean.text == text[:at] + MASK.decode() + text[at:]


def test_half_a_surrogate_is_kept() -> None:
    failure = Failure(kind="status", where="body", text="\ud800")
    assert masked_failure(failure, KEY) == failure
