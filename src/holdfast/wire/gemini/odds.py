"""How likely the words of an answer of Gemini's were: `logprobsResult` beside the candidate."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from holdfast.wire.speech import UNREADABLE

_encode = msgspec.json.encode


class _Token(Struct, rename="camel"):
    token: str = ""
    log_probability: float = 0.0


class _Tokens(Struct):
    candidates: list[_Token] = []


class _Chosen(Struct, rename="camel"):
    chosen_candidates: list[_Token] = []
    top_candidates: list[_Tokens] = []


class _Likely(Struct):
    token: str = ""
    logprob: float = 0.0
    top_logprobs: list[_Likely] | None = None


class _Likelies(Struct):
    content: list[_Likely] | None = None


def read_logprobs(raw: Raw) -> bytes:
    """As the neutral form has them: `content` with a token, its logprob and the top ones.

    b"" where there are none. Never raises.
    """
    if bytes(raw) in (b"", b"null"):
        return b""
    try:
        found = msgspec.json.decode(raw, type=_Chosen)
    except UNREADABLE:
        return b""
    content = []
    for number, chosen in enumerate(found.chosen_candidates):
        others = found.top_candidates[number : number + 1]
        content.append(
            {**_likely(chosen), "top_logprobs": [_likely(o) for t in others for o in t.candidates]}
        )
    return _encode({"content": content, "refusal": None})


def _likely(token: _Token) -> dict[str, Any]:
    data = list(token.token.encode())
    return {"token": token.token, "logprob": token.log_probability, "bytes": data}


def written_logprobs(raw: bytes) -> dict[str, Any]:
    """The fields of a candidate that say the same. Never raises."""
    try:
        content = msgspec.json.decode(raw, type=_Likelies).content or []
    except UNREADABLE:
        return {}
    if not content:
        return {}
    tops = [[_unlikely(one) for one in token.top_logprobs or ()] for token in content]
    return {
        "avgLogprobs": sum(token.logprob for token in content) / len(content),
        "logprobsResult": {
            "chosenCandidates": [_unlikely(token) for token in content],
            "topCandidates": [{"candidates": top} for top in tops],
        },
    }


def _unlikely(token: _Likely) -> dict[str, Any]:
    return {"token": token.token, "logProbability": token.logprob}
