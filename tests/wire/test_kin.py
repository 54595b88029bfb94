"""What OpenAI's two dialects say alike: as it came between them, a loss with its name elsewhere."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.facts.calls import Call
from holdfast.facts.flights import Leg
from holdfast.facts.places import ModelFacts, Target
from holdfast.wire import speak

CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
RESPONSES: dict[str, Any] = {"model": "m", "input": "hi"}
SURFACES = {"openai": "chat", "openai-responses": "responses"}
ALIKE = {
    "metadata": {"order": "17"},
    "prompt_cache_key": "k",
    "prompt_cache_retention": "24h",
    "safety_identifier": "s",
    "service_tier": "flex",
    "store": True,
}


def sent(
    here: str, there: str, body: dict[str, Any], *refuses: str
) -> tuple[dict[str, Any], list[str]]:
    call = Call(
        id="x",
        at=0.0,
        wall=0.0,
        dialect=here,
        surface=SURFACES[here],
        path="/",
        body=json.dumps(body).encode(),
        model="m",
    )
    facts = ModelFacts(model="*", refuses=refuses)
    leg = Leg(
        target=Target("p", "m2", "k"),
        dialect=there,
        surface="chat",
        facts=facts,
    )
    out = speak.compose(call, leg)
    return json.loads(out.body), [loss.field for loss in out.lost]


def test_what_both_say_goes_from_one_to_the_other_and_back() -> None:
    out, lost = sent("openai", "openai-responses", CHAT | ALIKE | {"verbosity": "low"})
    assert {name: out[name] for name in ALIKE} == ALIKE
    assert (out["text"], lost) == ({"verbosity": "low"}, [])
    assert "user" not in out  # the older name of the same
    form = {"format": {"type": "json_object"}, "verbosity": "high"}
    out, lost = sent("openai-responses", "openai", RESPONSES | ALIKE | {"text": form})
    assert {name: out[name] for name in ALIKE} == ALIKE
    assert (out["verbosity"], out["response_format"], lost) == ("high", {"type": "json_object"}, [])


def test_a_user_stays_one() -> None:
    out, _ = sent("openai", "openai-responses", CHAT | {"user": "u"})
    assert (out["user"], "safety_identifier" in out) == ("u", False)
    out, _ = sent("openai", "openai-responses", CHAT | {"user": "u", "safety_identifier": "s"})
    assert (out["user"], out["safety_identifier"]) == ("u", "s")


@pytest.mark.parametrize("there", ["anthropic", "gemini", "ollama"])
def test_others_have_no_word_for_it(there: str) -> None:
    _, lost = sent("openai", there, CHAT | ALIKE | {"verbosity": "low"})
    assert [name for name in lost if name != "user"] == [
        "metadata",
        "prompt_cache_key",
        "prompt_cache_retention",
        "service_tier",
        "verbosity",
    ]
    usual = {"service_tier": "auto", "store": False, "metadata": {}, "verbosity": "medium"}
    assert sent("openai", there, CHAT | usual)[1] == []


def test_who_refuses_it_is_not_told() -> None:
    out, lost = sent("openai-responses", "openai", RESPONSES | ALIKE, "metadata", "store")
    assert {"metadata", "store"} & set(out) == set()
    assert (out["prompt_cache_key"], lost) == ("k", ["metadata"])


def test_nothing_is_stored_where_nobody_asks_for_it() -> None:
    assert sent("openai", "openai-responses", CHAT)[0]["store"] is False
    assert "store" not in sent("openai-responses", "openai", RESPONSES | {"store": False})[0]


@given(
    st.dictionaries(st.text(max_size=9), st.text(max_size=9), min_size=1),
    st.sampled_from([("openai", "openai-responses"), ("openai-responses", "openai")]),
)
def test_labels_arrive_as_they_are(labels: dict[str, str], way: tuple[str, str]) -> None:
    body = CHAT if way[0] == "openai" else RESPONSES
    assert sent(*way, body | {"metadata": labels})[0]["metadata"] == labels
