"""Our own key, should an upstream echo it: it is not told to clients, written down or shown.

What a target says of a failure goes on to people, to the book and to the board; its headers go to
the client. The key that an attempt was made with is taken out of both. Pure.
"""

from __future__ import annotations

from operator import itemgetter

import msgspec

from holdfast.facts.calls import Headers
from holdfast.facts.outcomes import Failure, Piece, Said

MASK = b"[key masked by holdfast]"
_value = itemgetter(1)
BYTES_MIN = 8  # what is shorter is no key, and might be any word


def masked(data: bytes, secret: bytes | None) -> bytes:
    """The bytes without the key."""
    if secret is not None and len(secret) >= BYTES_MIN and data.find(secret) >= 0:
        return data.replace(secret, MASK)
    return data


def masked_headers(headers: Headers, secret: bytes | None) -> Headers:
    """The headers without the key; the very same ones where it is not in them."""
    if secret is None or b"\0".join(map(_value, headers)).find(secret) < 0:
        return headers
    return tuple((name, masked(value, secret)) for name, value in headers)


def masked_failure(failure: Failure, secret: bytes | None) -> Failure:
    """The failure without the key, wherever in it the target said it."""
    if secret is None:
        return failure
    said = failure.said
    return msgspec.structs.replace(
        failure,
        text=_text(failure.text, secret),
        headers=masked_headers(failure.headers, secret),
        body=masked(failure.body, secret),
        said=Said(*(_text(part, secret) for part in (said.type, said.code, said.message))),
    )


def masked_pieces(pieces: list[Piece], secret: bytes | None) -> list[Piece]:
    """What a tap read, in place: a fault (the last, if there is one) without the key."""
    last = pieces[-1]
    if last.failure is not None:
        failure = masked_failure(last.failure, secret)
        pieces[-1] = Piece(last.kind, masked(last.data, secret), failure)
    return pieces


def _text(text: str, secret: bytes) -> str:
    return masked(text.encode(errors="surrogatepass"), secret).decode(errors="surrogatepass")
