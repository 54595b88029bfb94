"""How likely the words of an answer were: log probabilities, in the one form that all share.

Chat's form is the neutral one: a list with `token`, `logprob`, `bytes` and `top_logprobs` for each
token, which stands under `content` in a whole answer.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from holdfast.wire.speech import UNREADABLE


class _Content(Struct):
    content: Raw = Raw()


_decode = msgspec.json.Decoder(_Content).decode


def listed(logprobs: bytes) -> bytes:
    """The list of tokens in `{"content": …}`; b"" where there is none. Never raises."""
    if not logprobs:
        return b""
    try:
        return filled(bytes(_decode(logprobs).content))
    except UNREADABLE:
        return b""


def filled(tokens: bytes) -> bytes:
    """A list of tokens that holds any, in one line; b"" for whatever else stands in its place."""
    if not tokens.startswith(b"[") or not tokens[1:-1].strip():
        return b""
    # JSON's own line ends are white space, and would end an event or a line.
    return tokens.replace(b"\n", b" ").replace(b"\r", b" ")
