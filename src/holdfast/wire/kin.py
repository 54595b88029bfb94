"""What OpenAI's two dialects say alike and the others have no word for.

Chat Completions and Responses share settings that mean something to their provider alone. Between
the two they travel as they came; for everybody else they are losses by their names. And they choose
tools by the same words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from holdfast.facts.losses import Lost
from holdfast.wire.fields import NOTHING, Fields, string
from holdfast.wire.speech import Ask, BadFieldError, Reasoning, ToolChoice

KIN = frozenset({"openai", "openai-responses"})
VERBOSITY = "verbosity"
_STORE = "store"
# One name each, by Chat, and the value in JSON.
Settings = tuple[tuple[str, bytes], ...]
_SAFETY = "safety_identifier"
_PLAIN = (
    "metadata",
    "prompt_cache_key",
    "prompt_cache_retention",
    "service_tier",
    _STORE,
)
NAMES = frozenset({*_PLAIN, _SAFETY, VERBOSITY})
# Values that ask for nothing, so that nothing is lost without them.
_USUAL = {
    "service_tier": (b'"auto"', b'"default"'),
    _STORE: (b"true", b"false"),
    VERBOSITY: (b'"medium"',),
}
# The effort of who does not think; budgets of thinking up to which an effort is meant.
OFF = "none"
_EFFORTS = ((2048, "low"), (8192, "medium"))
MODES = {"auto": ToolChoice("auto"), "none": ToolChoice("none"), "required": ToolChoice("any")}
# How tools are chosen, and the names of those that may be, where that is said.
Chosen = tuple[ToolChoice, frozenset[str] | None]
_encode = msgspec.json.encode


def tool_choice(
    fields: Fields, read: Callable[[Fields], Chosen]
) -> tuple[ToolChoice | None, frozenset[str] | None]:
    """How a request chooses tools: by a word, or by an object, which its own dialect reads."""
    parallel = fields.flag("parallel_tool_calls")
    value = fields.raw("tool_choice")
    if not value:
        return (None if parallel is None else ToolChoice(parallel=parallel)), None
    if value.startswith(b'"'):
        word = MODES.get(string(value, "tool_choice"))
        if word is None:
            raise BadFieldError("tool_choice is none of auto, none, required, or an object")
        return msgspec.structs.replace(word, parallel=parallel), None
    choice, names = read(Fields(value, "tool_choice"))
    return msgspec.structs.replace(choice, parallel=parallel), names


def choose(choice: ToolChoice, named: dict[str, Any], body: dict[str, Any]) -> None:
    """Say how tools are chosen; `named` is how the dialect names one of them."""
    if choice.mode == "named":
        body["tool_choice"] = {"type": "function", **named}
    else:
        body["tool_choice"] = "required" if choice.mode == "any" else choice.mode
    if choice.parallel is not None:
        body["parallel_tool_calls"] = choice.parallel


def effort(reasoning: Reasoning | None) -> str:
    """The word for how much is thought; "" where it is the model's own choice."""
    if reasoning is None:
        return ""
    if reasoning.mode == "off":
        return OFF
    if reasoning.effort:
        return reasoning.effort
    if reasoning.budget is None:
        return ""
    return next((name for most, name in _EFFORTS if reasoning.budget <= most), "high")


def shared(fields: Fields, verbosity: bytes) -> tuple[str, Settings]:
    """Who asks, and what a request says of these by Chat's names; `verbosity` stands elsewhere.

    Not to store is what Chat does anyhow and what a crossing says to Responses, so it is not kept.
    """
    newer, older = fields.text(_SAFETY) or "", fields.text("user") or ""
    found = [(name, fields.raw(name)) for name in _PLAIN]
    found += [(_SAFETY, _encode(newer)), (VERBOSITY, verbosity)]
    said = (pair for pair in found if pair[1] and pair[1] not in NOTHING)
    return older or newer, tuple(pair for pair in said if pair != (_STORE, b"false"))


def parted(ask: Ask, dialect: str, refuses: tuple[str, ...]) -> Ask:
    """The ask with what a target of this dialect takes of it; the very same where that is all."""
    if not ask.shared:
        return ask
    kin = dialect in KIN
    kept = tuple(pair for pair in ask.shared if kin and pair[0] not in refuses)
    if len(kept) == len(ask.shared):
        return ask
    why = "the model that answers refuses it" if kin else "it has no word outside its dialect"
    user = (_SAFETY, _encode(ask.user))  # said to everybody, in each one's own way
    lost = [
        Lost(name, why)
        for name, value in ask.shared
        if (name, value) not in (*kept, user) and value not in _USUAL.get(name, ())
    ]
    return msgspec.structs.replace(ask, shared=kept, lost=(*ask.lost, *lost))


def say(ask: Ask, body: dict[str, Any]) -> bytes:
    """Put them into a body of Chat or Responses; give how long the answer is to be, or b""."""
    said = dict(ask.shared)
    verbosity = said.pop(VERBOSITY, b"")
    body |= {name: Raw(value) for name, value in said.items()}
    if "user" in body and _encode(body["user"]) == said.get(_SAFETY):
        del body["user"]  # its older name
    return verbosity
