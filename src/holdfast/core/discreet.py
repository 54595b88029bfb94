"""What errors quote of a request is not written down: prompts are nobody's but the person's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

import msgspec

from holdfast.facts.calls import Call
from holdfast.facts.outcomes import Failure, Verdict

# As much in one piece is no chance, whatever it is.
QUOTE_CHARS = 12
END_CHARS = 500_000
LOST = "…"
_WORD = re.compile(r"\w+")


def discreet(failure: Failure, verdict: Verdict, call: Call) -> tuple[Failure, Verdict]:
    """Both as they may be written down: without what the upstream's error quotes of the request."""
    if len(failure.said.message or failure.body) < QUOTE_CHARS:
        return failure, verdict
    # The first reason is what the upstream said; the others are our own words.
    text, *said = unquoted((failure.text, *verdict.because[:1]), call)
    replace = msgspec.structs.replace
    because = (*said, *verdict.because[1:])
    return replace(failure, text=text), replace(verdict, because=because)


def unquoted(texts: tuple[str, ...], call: Call) -> tuple[str, ...]:
    """The texts without what they quote of the call's body (the name of the model may stand).

    Runs of whole words that stand in one of the body's strings become `…`; white space is all
    alike. Of a very long body its beginning and its end are looked at.
    """
    try:
        said = "\n".join(map(_plain, _strings(msgspec.json.decode(call.body))))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        said = _plain(call.body.decode(errors="replace"))
    if len(said) > 2 * END_CHARS:
        said = f"{said[:END_CHARS]}\n{said[-END_CHARS:]}"
    return tuple(map(partial(_without, said=said, model=call.model), texts))


def _strings(value: object) -> Iterator[str]:
    """Every string in a body, but for the names of its fields."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)
    elif isinstance(value, dict):
        for one in value.values():
            yield from _strings(one)


def _plain(text: str) -> str:
    return " ".join(text.split())


def _without(text: str, said: str, model: str) -> str:
    text = _plain(text)
    words = [match.span() for match in _WORD.finditer(text)]
    kept: list[str] = []
    at = n = 0
    while n < len(words):
        start, end = words[n][0], 0
        last = n
        while last < len(words) and text[start : words[last][1]] in said:
            end = words[last][1]
            last += 1
        if end - start >= QUOTE_CHARS and text[start:end] not in model:
            kept += (text[at:start], LOST)
            at, n = end, last
        else:
            n += 1
    return "".join((*kept, text[at:]))
