"""Gemini's way of saying how likely the words were."""

from __future__ import annotations

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from holdfast.wire.gemini.odds import read_logprobs, written_logprobs

TOKENS = st.fixed_dictionaries({"token": st.text(), "logprob": st.floats(-99, 0)})


def token(said: dict) -> dict:
    return {**said, "bytes": list(said["token"].encode())}


@given(st.lists(st.tuples(TOKENS, st.lists(TOKENS, max_size=3)), min_size=1))
def test_what_is_written_is_read_as_the_same(words: list) -> None:
    content = [{**token(one), "top_logprobs": list(map(token, more))} for one, more in words]
    fields = written_logprobs(json.dumps({"content": content}).encode())
    back = read_logprobs(msgspec.Raw(json.dumps(fields["logprobsResult"]).encode()))
    assert json.loads(back) == {"content": content, "refusal": None}


@given(st.binary() | st.sampled_from([b"", b"null", b"[1]", b'{"chosenCandidates":7}']))
def test_what_is_no_such_thing_is_nothing(data: bytes) -> None:
    found = read_logprobs(msgspec.Raw(data))
    assert not found or json.loads(found)["content"] == []
    written_logprobs(data)
