"""A request that passes to another model: only what that refuses is changed."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.config.checking import KNOWN
from tests.core.playbook import call as playbook_call

from holdfast.core.route import known
from holdfast.facts.calls import Call
from holdfast.facts.flights import Leg
from holdfast.facts.places import Target
from holdfast.wire import patching, speak
from holdfast.wire.speak import CannotCrossError, Outgoing

Json = dict[str, Any]
SURFACES = {
    "anthropic": "messages",
    "openai": "chat",
    "openai-responses": "responses",
    "gemini": "generate_content",
    "ollama": "chat",
}
HI = {
    "anthropic": {"messages": [{"role": "user", "content": "x"}]},
    "openai": {"messages": [{"role": "user", "content": "x"}]},
    "openai-responses": {"input": "x"},
    "gemini": {"contents": [{"parts": [{"text": "x"}]}]},
    "ollama": {"messages": [{"role": "user", "content": "x"}]},
}
TOOL = {"name": "f", "input_schema": {"type": "object", "properties": {}}}
# What was asked first, where its name says how it is asked.
OTHER = {"gemini-3.1-pro-preview": "gemini-2.5-pro", "gemini-2.5-flash": "gemini-3-pro"}
FORM = {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def written(dialect: str, model: str, said: Json) -> bytes:
    return json.dumps({"model": model, **HI[dialect], **said}).encode()


def send(
    dialect: str,
    said: Json | bytes,
    provider: str,
    model: str,
    was: str = "m",
    *,
    first: bool = False,
) -> Outgoing:
    body = (
        said
        if isinstance(said, bytes)
        else json.dumps({"model": was, **HI[dialect]} | said).encode()
    )
    facts = known(KNOWN[provider].models, model)
    asked: Call = msgspec.structs.replace(
        playbook_call(),
        dialect=dialect,
        surface=SURFACES[dialect],
        model=was,
        path=f"/v1beta/models/{was}:generateContent" if dialect == "gemini" else "/x",
        body=body,
    )
    leg = Leg(
        target=Target(provider, model, "k"),
        dialect=dialect,
        surface=SURFACES[dialect],
        stand_in=not first,
        facts=facts,
        lacks=frozenset(
            {"json_schema"} if facts is not None and facts.json_schema is False else ()
        ),
    )
    return speak.compose(asked, leg)


def lost(sent: Outgoing) -> list[str]:
    return [loss.field for loss in sent.lost]


@pytest.mark.parametrize(
    ("dialect", "said", "provider", "model", "changed", "names"),
    [
        # Claude to an older one: thinking as budget, no effort, a shorter answer
        (
            "anthropic",
            {
                "max_tokens": 128_000,
                "thinking": {"type": "adaptive", "display": "omitted"},
                "output_config": {"effort": "high", "task_budget": 7},
                "speed": "fast",
            },
            "anthropic",
            "claude-haiku-4-5",
            {
                "max_tokens": 64_000,
                "thinking": {"type": "enabled", "display": "omitted", "budget_tokens": 24_576},
                "output_config": {"task_budget": 7},
                "speed": None,
            },
            ["max_tokens"],
        ),
        # to one that does not think
        (
            "anthropic",
            {
                "max_tokens": 9,
                "thinking": {"type": "adaptive"},
                "output_config": {"effort": "high"},
                "context_management": {"edits": [{"type": "clear_thinking_20251015"}]},
            },
            "anthropic",
            "claude-3-5-haiku-20241022",
            {"thinking": None, "output_config": None, "context_management": None},
            ["thinking"],
        ),
        # to a newer one: no settings of sampling, no budget
        (
            "anthropic",
            {
                "max_tokens": 9000,
                "temperature": 0.3,
                "top_p": 1,
                "thinking": {"type": "enabled", "budget_tokens": 8000},
            },
            "anthropic",
            "claude-opus-5-5",
            {
                "temperature": None,
                "top_p": None,
                "thinking": {"type": "adaptive"},
                "output_config": {"effort": "medium"},
            },
            ["temperature"],
        ),
        (
            "anthropic",
            {"max_tokens": 9, "thinking": {"type": "disabled"}},
            "anthropic",
            "claude-opus-5-5",
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
            ["thinking"],
        ),
        # OpenAI: a reasoning model's settings to one that does not, and the other way round
        (
            "openai",
            {"max_completion_tokens": 99_000, "reasoning_effort": "high", "verbosity": "low"},
            "openai",
            "gpt-4o",
            {"max_completion_tokens": 16_384, "reasoning_effort": None, "verbosity": None},
            ["thinking", "max_tokens"],
        ),
        (
            "openai",
            {"max_tokens": 50, "temperature": 0.1, "stop": "x", "logit_bias": {"1": 2}},
            "openai",
            "gpt-5",
            {
                "max_tokens": None,
                "max_completion_tokens": 50,
                "temperature": None,
                "stop": None,
                "logit_bias": None,
            },
            ["temperature", "stop"],
        ),
        (
            "openai",
            {"max_completion_tokens": 50, "seed": 4},
            "mistral",
            "mistral-large-latest",
            {"max_completion_tokens": None, "max_tokens": 50, "seed": None},
            ["seed"],
        ),
        (
            "openai-responses",
            {
                "input": [
                    {"role": "user", "content": "x"},
                    {"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "e"},
                    {"role": "assistant", "content": "y"},
                    {"role": "user", "content": "z"},
                ],
                "reasoning": {"effort": "high", "summary": "auto"},
                "include": ["reasoning.encrypted_content"],
            },
            "openai",
            "gpt-4.1",
            {
                "input": [
                    {"role": "user", "content": "x"},
                    {"role": "assistant", "content": "y"},
                    {"role": "user", "content": "z"},
                ],
                "reasoning": None,
                "include": None,
            },
            ["thinking"],
        ),
        # Gemini: budgets and levels, by either name of a field
        (
            "gemini",
            {"generation_config": {"thinking_config": {"thinking_budget": 20_000}, "x": 1}},
            "gemini",
            "gemini-3.1-pro-preview",
            {"generation_config": {"thinking_config": {"thinkingLevel": "high"}, "x": 1}},
            [],
        ),
        (
            "gemini",
            {"generationConfig": {"thinkingConfig": {"thinkingLevel": "LOW"}, "temperature": 1}},
            "gemini",
            "gemini-2.5-flash",
            {"generationConfig": {"thinkingConfig": {"thinkingBudget": 2048}, "temperature": 1}},
            [],
        ),
        ("ollama", {"think": "high"}, "ollama", "qwen3", {"think": True}, ["effort"]),
    ],
)
def test_what_the_other_model_refuses_is_changed_and_nothing_else(
    dialect: str, said: Json, provider: str, model: str, changed: Json, names: list[str]
) -> None:
    was = OTHER.get(model, "m")
    sent = send(dialect, said, provider, model, was)
    whole = {"model": model, **HI[dialect], **said, **changed}
    kept = {key: value for key, value in whole.items() if value is not None}
    assert json.loads(sent.body) == kept
    assert lost(sent) == names
    # The first choice is asked as the client asks.
    alone = send(dialect, said, provider, was, was, first=True)
    assert alone.body == written(dialect, was, said)


def test_the_rest_keeps_its_bytes() -> None:
    body = (
        b'{"model":"m", "max_tokens" : 9,"temperature":0.5,'
        b'"messages":[ {"role":"user","content":"\\u00e9 1e400"}],"odd":1e400 }'
    )
    sent = send("anthropic", body, "anthropic", "claude-opus-5")
    assert b'"messages":[ {"role":"user","content":"\\u00e9 1e400"}]' in sent.body
    assert b'"odd":1e400' in sent.body
    assert b"temperature" not in sent.body


def test_who_refuses_nothing_gets_the_very_bytes() -> None:
    body = b'{ "model":"m" , "messages":[ {"role":"user","content":"x"} ], "max_tokens":5 }'
    sent = send("anthropic", body, "anthropic", "claude-opus-5")
    assert sent.body == body.replace(b'"m"', b'"claude-opus-5"')
    assert sent.lost == ()
    for odd in (b'{"model":"m","messages":5}', b"[", b'{"model":"m","messages":[]}'):
        assert patching.begun(odd) is False
        renamed = odd.replace(b'"m"', b'"claude-opus-5"')
        assert send("anthropic", odd, "anthropic", "claude-opus-5").body == renamed


def test_turns_are_such_as_the_model_takes() -> None:
    """Without thoughts for a model that has none; the system's words as a user's."""
    thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
    messages = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": [thought, {"type": "text", "text": "y"}]},
        {"role": "user", "content": "z"},
        {"role": "assistant", "content": [thought]},
        {"role": "system", "content": "told"},
    ]
    sent = send(
        "anthropic", {"max_tokens": 9, "messages": messages}, "anthropic", "claude-3-haiku-20240307"
    )
    assert json.loads(sent.body)["messages"] == [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": [{"type": "text", "text": "y"}]},
        {"role": "user", "content": "z"},
        {"role": "user", "content": "told"},
    ]
    assert lost(sent) == ["system"]


@pytest.mark.parametrize(
    ("dialect", "said", "provider", "model", "why"),
    [
        (
            "anthropic",
            {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "{"}]},
            "anthropic",
            "claude-opus-5",
            "begun for it",
        ),
        (
            "anthropic",
            {"tools": [TOOL], "tool_choice": {"type": "any"}},
            "anthropic",
            "claude-opus-5-5",
            "made to call a tool",
        ),
        (
            "openai",
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "a", "schema": {}},
                }
            },
            "openai",
            "gpt-3.5-turbo",
            "json_schema",
        ),
        (
            "gemini",
            {
                "tools": [{"functionDeclarations": [{"name": "f"}]}],
                "generationConfig": {"responseMimeType": "application/json"},
            },
            "gemini",
            "gemini-2.5-pro",
            "the form of its answer",
        ),
        ("openai", {"tools": [FUNCTION] * 129}, "openai", "gpt-4o", "129"),
    ],
)
def test_what_cannot_be_mended_goes_to_another(
    dialect: str, said: Json, provider: str, model: str, why: str
) -> None:
    with pytest.raises(CannotCrossError, match=why):
        send(dialect, said, provider, model)
    if "json_schema" not in why:  # what a model has not, no client is sent to
        send(dialect, said, provider, model, first=True)


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["adaptive", "x", "high"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["type", "role", "content", "effort", "edits", "thinkingConfig"]), inner
        )
    ),
    max_leaves=5,
)
FIELDS = st.sampled_from(
    [
        "messages",
        "contents",
        "input",
        "thinking",
        "output_config",
        "temperature",
        "max_tokens",
        "generationConfig",
        "options",
        "reasoning",
        "include",
        "context_management",
        "tools",
    ]
)
TARGETS = [
    (dialect, provider, row.model)
    for provider, entry in KNOWN.items()
    for dialect in entry.dialects
    for row in entry.models
]


@given(st.dictionaries(FIELDS, JSONISH), st.sampled_from(TARGETS))
def test_whatever_comes_is_passed_or_refused_in_words(
    said: Json, target: tuple[str, str, str]
) -> None:
    dialect, provider, model = target
    with contextlib.suppress(CannotCrossError):
        sent = send(dialect, said, provider, model)
        assert json.loads(sent.body)["model"] == model


@pytest.mark.parametrize(
    "names",
    [("max_tokens", "max_completion_tokens"), ("max_completion_tokens", "max_tokens")],
    ids="/".join,
)
def test_an_answer_is_bounded_by_the_field_that_is_known(names: tuple[str, str]) -> None:
    wrong, right = names
    body = json.dumps({"a": 1, wrong: 5}).encode()
    assert json.loads(patching.limited(body, frozenset({wrong}))) == {"a": 1, right: 5}
    assert patching.limited(body, frozenset({right})) is body
    nested = json.dumps({"a": {wrong: 5}}).encode()
    assert patching.limited(nested, frozenset({wrong})) is nested
    assert patching.limited(f'[["{wrong}"'.encode(), frozenset({wrong})) == f'[["{wrong}"'.encode()
