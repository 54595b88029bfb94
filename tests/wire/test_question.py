"""The smallest questions: what the strict doubles of the providers take for well-formed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.doubles import grammar

from holdfast.wire.question import TOKENS_MAX, question
from holdfast.wire.speech import CannotCrossError


def said(body: bytes) -> Any:
    return json.loads(body)


def test_a_short_answer_is_asked_for_in_the_words_of_the_dialect() -> None:
    asked = question("anthropic", "messages", "claude-x")
    body = said(asked.body)
    assert (asked.method, asked.path, asked.stream) == ("POST", "/v1/messages", True)
    assert (body["model"], body["max_tokens"], body["stream"]) == ("claude-x", TOKENS_MAX, True)
    headers = {name.decode(): value.decode() for name, value in asked.headers}
    assert grammar.check_messages(headers, body, counting=False) is None
    asked = question("openai", "chat", "gpt-x")
    body = said(asked.body)
    assert (asked.method, asked.path) == ("POST", "/v1/chat/completions")
    assert body["max_completion_tokens"] == TOKENS_MAX
    assert "max_tokens" not in body
    headers = {name.decode(): value.decode() for name, value in asked.headers}
    assert grammar.check_chat(headers, body) is None


def test_a_count_costs_nothing_and_has_no_limit_in_it() -> None:
    asked = question("anthropic", "count_tokens", "claude-x")
    assert asked.path == "/v1/messages/count_tokens"
    assert set(said(asked.body)) == {"model", "messages"}
    assert not asked.stream
    headers = {name.decode(): value.decode() for name, value in asked.headers}
    assert grammar.check_messages(headers, said(asked.body), counting=True) is None


def test_a_model_in_the_path_is_asked_and_counted_for() -> None:
    asked = question("gemini", "generate_content", "gemini-3-pro")
    assert asked.path == "/v1beta/models/gemini-3-pro:streamGenerateContent?alt=sse"
    assert asked.stream
    assert grammar.check_gemini({}, "gemini-3-pro", said(asked.body)) is None
    asked = question("gemini", "count_tokens", "gemini-3-pro")
    assert asked.path == "/v1beta/models/gemini-3-pro:countTokens"
    assert grammar.check_gemini({}, "gemini-3-pro", said(asked.body)) is None


@pytest.mark.parametrize(
    ("dialect", "path"),
    [
        ("anthropic", "/v1/models?limit=1000"),
        ("openai", "/v1/models"),
        ("gemini", "/v1beta/models?pageSize=1000"),
        ("ollama", "/api/tags"),
    ],
)
def test_the_list_of_models_is_only_read(dialect: Any, path: str) -> None:
    asked = question(dialect, "models")
    assert (asked.method, asked.path, asked.body) == ("GET", path, b"")


def test_the_other_dialects_are_asked_in_their_own_words() -> None:
    asked = question("openai-responses", "responses", "gpt-x")
    assert (asked.path, asked.stream) == ("/v1/responses", True)
    assert grammar.check_responses({}, said(asked.body)) is None
    asked = question("openai-responses", "count_tokens", "gpt-x")
    assert asked.path == "/v1/responses/input_tokens"
    assert grammar.check_responses({}, said(asked.body), counting=True) is None
    asked = question("ollama", "chat", "qwen3")
    assert (asked.path, asked.stream) == ("/api/chat", True)
    assert grammar.check_ollama(said(asked.body)) is None


@pytest.mark.parametrize(
    ("dialect", "surface"),
    [("openai", "count_tokens"), ("anthropic", "chat"), ("unspoken", "models"), ("openai", "")],
)
def test_what_a_dialect_does_not_have_is_not_asked(dialect: Any, surface: str) -> None:
    with pytest.raises(CannotCrossError, match=r"probes do not speak|has no question"):
        question(dialect, surface, "m")
