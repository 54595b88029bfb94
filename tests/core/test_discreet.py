"""What an error quotes of the request stays out of what is written down."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.playbook import call

from holdfast.core.discreet import LOST, QUOTE_CHARS, discreet, unquoted
from holdfast.facts.calls import Call
from holdfast.facts.outcomes import Failure, Verdict


def asking(prompt: str, **more: object) -> Call:
    body = {"model": "claude-a-long-name-5", "messages": [{"role": "user", "content": prompt}]}
    return msgspec.structs.replace(
        call(), model="claude-a-long-name-5", body=json.dumps(body | more).encode()
    )


PROMPT = "Dear Ada,\nthe códe of the safe is 4711 and nobody else knows it."


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"could not process input: '{PROMPT}'", "could not process input: '….'"),
        ("invalid: [the códe of the safe is 4711] in turn 3", "invalid: […] in turn 3"),
        ("Ada: the códe of the", "Ada: …"),
        ("HTTP 400: max_tokens: Field required", "HTTP 400: max_tokens: Field required"),
        ("no model claude-a-long-name-5 here", "no model claude-a-long-name-5 here"),
        ("the safe is", "the safe is"),
        ("", ""),
    ],
)
def test_quotes_of_the_prompt_are_left_out_and_the_rest_stays(text: str, kept: str) -> None:
    assert unquoted((text, "short"), asking(PROMPT)) == (kept, "short")


def test_a_body_that_is_no_json_is_looked_at_as_it_stands() -> None:
    odd = msgspec.structs.replace(call(), body=b"not json: my own secret words")
    assert unquoted(("bad: my own secret words",), odd) == (f"bad: {LOST}",)


def test_our_own_words_stand_though_a_prompt_holds_them_too() -> None:
    ours = "such an answer is most often a matter of the provider"
    asked = asking(f"{PROMPT} Somebody said: {ours}.")
    text = f"HTTP 500: could not process {PROMPT}"
    failure = Failure(kind="status", where="body", status=500, text=text, body=text.encode())
    verdict = Verdict(
        whose="provider",
        cause="provider_outage",
        confidence=0.8,
        action="fail_over",
        because=(text, ours),
    )
    told, judged = discreet(failure, verdict, asked)
    assert told.text == judged.because[0] == f"HTTP 500: could not process {LOST}."
    assert judged.because[1:] == (ours,)


@given(st.text(), st.text(), st.text())
def test_nothing_long_of_a_prompt_is_left(prompt: str, before: str, after: str) -> None:
    (kept,) = unquoted((f"{before} {prompt} {after}",), asking(prompt))
    plain = " ".join(prompt.split())
    if len(plain) >= QUOTE_CHARS and plain[0].isalnum() and plain[-1].isalnum():
        assert plain not in kept or plain in f"{before} {after}" or plain in "claude-a-long-name-5"
