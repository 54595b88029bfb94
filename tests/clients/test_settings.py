"""A stand-in is another model: it is asked in its own way, and answers."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.doubles import acts
from tests.doubles.provider import Provider
from tests.gateway import Gateway, gateway, upstream

Json = dict[str, Any]
HI = [{"role": "user", "content": "x"}]
SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}}
TOOL = {"name": "read", "description": "Reads", "input_schema": SCHEMA}
FUNCTION = {"type": "function", "function": {"name": "read", "parameters": SCHEMA}}
# As a coding tool asks the newest model.
CODING = {
    "max_tokens": 128_000,
    "thinking": {"type": "adaptive"},
    "output_config": {"effort": "xhigh"},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "speed": "fast",
    "messages": [*HI, {"role": "system", "content": "Be brief."}],
    "tools": [TOOL],
}
HEADERS = {
    "/v1/messages": {"anthropic-version": "2023-06-01", "anthropic-beta": "context-management-1"},
    "/v1/chat/completions": {},
}


@pytest.fixture(scope="module")
def running() -> Iterator[dict[str, Provider]]:
    """Known by their names, so that what their models take is known."""
    with (
        Provider("anthropic", models=("claude-opus-5-5", "claude-haiku-4-5")) as anthropic,
        Provider("openai", "openai", models=("gpt-4o", "gpt-6.1-terra")) as openai,
        Provider("ollama", "ollama") as ollama,
    ):
        yield {"anthropic": anthropic, "openai": openai, "ollama": ollama}


@pytest.fixture
def doubles(running: dict[str, Provider]) -> Iterator[dict[str, Provider]]:
    for double in running.values():
        double.reset()
    yield running
    assert not [said for double in running.values() for said in double.complaints]


ROUTES = {
    "older": ["anthropic/claude-opus-5-5", "anthropic/claude-haiku-4-5"],
    "newer": ["anthropic/claude-haiku-4-5", "anthropic/claude-opus-5-5"],
    "plain": ["openai/gpt-6.1-terra", "openai/gpt-4o"],
    "chat": ["anthropic/claude-opus-5-5", "openai/gpt-6.1-terra"],
    "engine": ["anthropic/claude-opus-5-5", "ollama/llama3.2"],
}


@pytest.fixture
def front(running: dict[str, Provider], tmp_path: Path) -> Iterator[Gateway]:
    """A fresh one for each: nobody rests yet."""
    upstreams = [upstream(each) for each in running.values()]
    with gateway(tmp_path, upstreams, list(ROUTES.items())) as one:
        yield one


def ask(front: Gateway, path: str, model: str, said: Json) -> tuple[int, Json, str]:
    """Status, answer, and what was lost."""
    wire = http.client.HTTPConnection("127.0.0.1", front.port, timeout=20)
    head = {"content-type": "application/json", **HEADERS[path]}
    wire.request("POST", path, json.dumps({"model": model, "messages": HI, **said}), head)
    reply = wire.getresponse()
    answer = json.load(reply)
    wire.close()
    return reply.status, answer, reply.getheader("x-holdfast-lost") or ""


def test_what_a_coding_tool_says_to_the_newest_model_suits_an_older_one(
    doubles: dict[str, Provider], front: Gateway
) -> None:
    double = doubles["anthropic"]
    double.play(acts.status(529))
    status, _, lost = ask(front, "/v1/messages", "older", CODING)
    first, second = double.calls
    assert (status, second.refused) == (200, None)
    assert first.json == {**CODING, "model": "claude-opus-5-5"}
    assert second.json["thinking"] == {"type": "enabled", "budget_tokens": 32_768}
    assert second.json["max_tokens"] == 64_000
    assert second.json["tools"] == [TOOL]
    assert "max_tokens" in lost
    assert "system" in lost


def test_what_an_older_model_takes_is_left_out_for_the_newest(
    doubles: dict[str, Provider], front: Gateway
) -> None:
    double = doubles["anthropic"]
    double.play(acts.status(529))
    said = {"max_tokens": 100, "temperature": 0.2, "thinking": {"type": "disabled"}}
    status, _, lost = ask(front, "/v1/messages", "newer", said)
    assert (status, double.calls[-1].refused) == (200, None)
    assert "temperature" in lost
    assert "thinking" in lost


def test_what_a_reasoning_model_takes_is_left_out_for_one_that_does_not(
    doubles: dict[str, Provider], front: Gateway
) -> None:
    double = doubles["openai"]
    double.play(acts.status(503))
    said = {"max_completion_tokens": 99_000, "reasoning_effort": "high", "verbosity": "low"}
    status, _, lost = ask(front, "/v1/chat/completions", "plain", said)
    assert (status, double.calls[-1].refused) == (200, None)
    assert double.calls[-1].json["max_completion_tokens"] == 16_384
    assert "thinking" in lost


def test_tools_cross_to_chat_where_the_model_may_not_think(
    doubles: dict[str, Provider], front: Gateway
) -> None:
    doubles["anthropic"].play(acts.status(529))
    status, _, lost = ask(front, "/v1/messages", "chat", CODING)
    (call,) = doubles["openai"].calls
    assert (status, call.refused) == (200, None)
    assert call.json["reasoning_effort"] == "none"
    assert "thinking" in lost


def test_an_engine_is_told_the_window_that_the_prompt_needs(
    doubles: dict[str, Provider], front: Gateway
) -> None:
    doubles["anthropic"].play(acts.status(529))
    said = {**CODING, "messages": [{"role": "user", "content": "word " * 8000}]}
    status, _, _ = ask(front, "/v1/messages", "engine", said)
    (call,) = doubles["ollama"].calls
    assert (status, call.refused) == (200, None)
    assert call.json["options"]["num_ctx"] == 32_768


def test_the_first_choice_is_asked_as_the_client_asks(
    doubles: dict[str, Provider], front: Gateway
) -> None:
    """Its refusal comes back: who asked wrongly shall know it."""
    status, answer, lost = ask(
        front, "/v1/messages", "older", {"max_tokens": 9, "temperature": 0.2}
    )
    assert (status, lost) == (400, "")
    assert answer["error"]["message"] == "temperature: not supported for this model"
    assert len(doubles["anthropic"].calls) == 1
