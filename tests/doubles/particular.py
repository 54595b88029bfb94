"""What single models refuse, beside their dialect: after the providers' guides to each of them.

Written down by themselves, and not from the data of the gateway, for the models that tests ask.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]
SAMPLING = ("temperature", "top_p", "top_k")


def objection(model: str, body: Json) -> str | None:
    """Why this model answers 400 to a body; None where it does not."""
    for name, rules in RULES.items():
        if re.fullmatch(name, model):
            return next(rules(body), None)
    return None


def _older_claude(body: Json) -> Iterator[str]:
    """Haiku 4.5: budgets and no effort; one of temperature and top_p."""
    if body["max_tokens"] > 64_000:
        yield f"max_tokens: {body['max_tokens']} > 64000, the maximum for this model"
    thinking = body.get("thinking", {})
    if thinking.get("type") not in (None, "enabled", "disabled"):
        yield "adaptive thinking is not supported on this model"
    if thinking.get("type") == "enabled":
        if not 1024 <= thinking.get("budget_tokens", 0) < body["max_tokens"]:
            yield "thinking.enabled.budget_tokens: at least 1024 and less than max_tokens"
        if any(name in body for name in ("temperature", "top_k")):
            yield "`temperature` may only be set to 1 when thinking is enabled"
        if body.get("tool_choice", {}).get("type") in ("any", "tool"):
            yield "Thinking may not be enabled when tool_choice forces tool use."
    elif "clear_thinking" in str(body.get("context_management")):
        yield "`clear_thinking` strategy requires `thinking` to be enabled"
    if "effort" in body.get("output_config", {}):
        yield "This model does not support the effort parameter."
    if "temperature" in body and "top_p" in body:
        yield "`temperature` and `top_p` cannot both be specified for this model."
    if any(message["role"] == "system" for message in body["messages"]):
        yield "role 'system' is not supported on this model"
    if "speed" in body:
        yield "speed: not supported on this model"


def _newer_claude(body: Json) -> Iterator[str]:
    """Opus 5.5: it thinks as it likes, and is told nothing else."""
    if body.get("thinking", {}).get("type") not in (None, "adaptive"):
        yield f'"thinking.type.{body["thinking"]["type"]}" is not supported for this model.'
    yield from (f"{name}: not supported for this model" for name in SAMPLING if name in body)
    if body.get("tool_choice", {}).get("type") in ("any", "tool"):
        yield "tool_choice forces tool use is not compatible with this model"
    if body["messages"][-1]["role"] == "assistant":
        yield "This model does not support assistant message prefill."


def _chatting(body: Json) -> Iterator[str]:
    """gpt-4o: it does not reason."""
    for name in ("reasoning_effort", "verbosity", "reasoning"):
        if name in body:
            yield f"Unrecognized request argument supplied: {name}"
    if body.get("max_completion_tokens", 0) > 16_384:
        yield "max_tokens is too large: this model supports at most 16384 completion tokens"


def _reasoning(body: Json) -> Iterator[str]:
    """gpt-6.1-terra: in Chat it takes tools only where it does not reason."""
    effort = body.get("reasoning_effort") or body.get("reasoning", {}).get("effort")
    if effort not in (None, "none", "low", "medium", "high", "xhigh", "max"):
        yield f"Unsupported value: 'reasoning_effort' does not support '{effort}'"
    if "messages" in body and body.get("tools") and effort != "none":
        yield "Function tools with reasoning_effort are not supported in /v1/chat/completions."
    for name in ("max_tokens", "stop", "presence_penalty", "frequency_penalty"):
        if name in body:
            yield f"Unsupported parameter: '{name}' is not supported with this model."
    if effort != "none" and body.get("temperature", 1) != 1:
        yield "Unsupported value: 'temperature' does not support this value with this model."


RULES = {
    "claude-haiku-4-5": _older_claude,
    "claude-opus-5-5": _newer_claude,
    "gpt-4o": _chatting,
    "gpt-6.1-terra": _reasoning,
}
