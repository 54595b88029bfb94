"""A request as one model takes it.

Models that speak the same dialect differ in what they let themselves be told: how they are made to
think, how long an answer may be, which settings they answer with an error. What each takes is data
(`facts.places.ModelFacts`); the rules that use it stand here once, on the neutral form. What had to
be changed is a loss; one that would change what the answer is keeps the request from this model.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

import msgspec

from holdfast.facts.losses import Lost
from holdfast.facts.places import Effort, ModelFacts
from holdfast.wire.speech import (
    Ask,
    Document,
    Form,
    Image,
    Reasoning,
    Sampling,
    Text,
    Thinking,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)

EFFORTS: tuple[str, ...] = get_args(Effort)
# Budgets of thinking that efforts stand for, and the other way round: up to this many tokens.
BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 24_576}
BUDGET_MAX = 32_768
# With thinking turned off no more effort than this is taken.
_OFF_EFFORT = "high"
# What every model of a dialect takes, where nothing else is known of it.
_THINKS = {"ollama": ("adaptive", "off")}
# What a setting is where nobody says it: to leave that out loses nothing.
_USUAL = {"temperature": 1.0, "top_p": 1.0, "frequency_penalty": 0.0, "presence_penalty": 0.0}
_NUMBERS = ("temperature", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty")
_FORCED = ("any", "named")
_CHAT = "openai"
# The least room for an answer that is worth asking for.
ROOM_MIN_TOKENS = 256
# An engine's usual window, the sizes that it is asked for instead (each change loads the model
# anew), and what of an answer must fit in besides.
WINDOW_TOKENS = 4096
WINDOWS = (8192, 16_384, 32_768, 65_536, 131_072)
ANSWER_TOKENS = 4096
_PICTURE_TOKENS = 1600
_replace = msgspec.structs.replace


def suited(ask: Ask, facts: ModelFacts, dialect: str) -> Ask:
    """The ask for this model; the very same where it takes everything.

    `dialect` is the one in which it is asked. What was changed is added to `lost`.
    """
    lost: list[Lost] = []
    reasoning = _reasoned(ask, facts, dialect, lost)
    refuses = refused(reasoning, facts, dialect)
    choice = _chosen(ask, refuses, facts, lost)
    found = _replace(
        ask,
        turns=_turned(ask.turns, refuses, facts, lost),
        tool_choice=choice,
        reasoning=reasoning,
        sampling=_drawn(ask, facts, refuses, lost),
    )
    if _refuses_form(found, facts, refuses):
        found = _told(found, lost)
    if found == ask and not lost:
        return ask
    return _replace(found, lost=(*ask.lost, *lost))


def _ways(facts: ModelFacts, dialect: str) -> tuple[str, ...] | None:
    return _THINKS.get(dialect) if facts.thinks is None else facts.thinks


def will_think(reasoning: Reasoning | None, facts: ModelFacts, dialect: str) -> bool:
    """Whether the model thinks when it is asked so, as far as that is known."""
    if facts.thinking is False:
        return False
    if reasoning is None:
        return "unasked" in (_ways(facts, dialect) or ())
    return reasoning.mode != "off"


def refused(reasoning: Reasoning | None, facts: ModelFacts, dialect: str) -> frozenset[str]:
    """The settings that the model refuses when it is asked so."""
    refuses: frozenset[str] = frozenset(facts.refuses or ())
    if facts.refuses_thinking and will_think(reasoning, facts, dialect):
        refuses |= frozenset(facts.refuses_thinking)
    return refuses if dialect == _CHAT else refuses - {"tools_in_chat"}


# ------------------------------------------------------------------- thinking


def _reasoned(ask: Ask, facts: ModelFacts, dialect: str, lost: list[Lost]) -> Reasoning | None:
    """How much is thought, in the way in which this model is asked for it."""
    reasoning, ways = ask.reasoning, _ways(facts, dialect)
    if facts.thinking is False:
        if reasoning is not None and reasoning.mode != "off":
            lost.append(Lost("thinking", "the model that answers does not think"))
        return None
    if ways is None:
        if reasoning is None or reasoning.mode != "off":
            return reasoning
        lost.append(Lost("thinking", "whether the model can be told not to think is not known"))
        return None
    if reasoning is not None:
        if reasoning.mode == "off":
            reasoning = _off(reasoning, ways, facts, lost)
        else:
            reasoning = _on(reasoning, ways, facts, _answer_tokens(ask, facts), lost)
    why = _why_off(ask, facts, dialect)
    if why and "off" in ways and will_think(reasoning, facts, dialect):
        if ask.reasoning is not None and ask.reasoning.mode != "off":
            lost.append(Lost("thinking", why))
        return Reasoning("off")
    return reasoning


def _why_off(ask: Ask, facts: ModelFacts, dialect: str) -> str:
    """Why the model must not think for this ask; "" where it may."""
    refuses = facts.refuses_thinking or ()
    if "forced_tools" in refuses and _is_forced(ask):
        return "a model that is made to call a tool cannot think here"
    if "tools_in_chat" in refuses and dialect == _CHAT and ask.tools:
        return "this model takes no tools in this dialect while it thinks"
    return ""


def _is_forced(ask: Ask) -> bool:
    return bool(ask.tools) and ask.tool_choice is not None and ask.tool_choice.mode in _FORCED


def _off(
    reasoning: Reasoning, ways: tuple[str, ...], facts: ModelFacts, lost: list[Lost]
) -> Reasoning | None:
    if "off" in ways:
        effort = reasoning.effort if "effort" in ways else ""
        if effort in EFFORTS[EFFORTS.index(_OFF_EFFORT) + 1 :]:
            effort = _OFF_EFFORT
        return Reasoning("off", effort=_worded(effort, facts, lost))
    if "unasked" not in ways:
        return None
    if "effort" in ways and facts.efforts:
        lost.append(Lost("thinking", "the model cannot but think; it is asked for the least"))
        return Reasoning("on", effort=facts.efforts[0])
    lost.append(Lost("thinking", "the model cannot but think"))
    return None


def _on(
    reasoning: Reasoning,
    ways: tuple[str, ...],
    facts: ModelFacts,
    answer_tokens: int | None,
    lost: list[Lost],
) -> Reasoning | None:
    if not {"adaptive", "budget", "effort"} & set(ways):
        if "unasked" not in ways:
            lost.append(Lost("thinking", "the model that answers does not think"))
        return None
    budget = _budget(reasoning, ways, facts, answer_tokens)
    if budget == 0 and "adaptive" not in ways:
        lost.append(Lost("thinking", "the answer may be too short to think before it"))
        return None
    if reasoning.budget is not None and not {"budget", "effort"} & set(ways):
        lost.append(Lost("budget_tokens", "the model takes no number of tokens for it"))
    effort = reasoning.effort
    if "effort" not in ways:
        if effort and not budget:
            lost.append(Lost("effort", "the model takes no word for it"))
        effort = ""
    elif not (effort or budget):
        effort = _effort_for(reasoning.budget, ways)
    return Reasoning(reasoning.mode, budget or None, _worded(effort, facts, lost))


def _budget(
    reasoning: Reasoning, ways: tuple[str, ...], facts: ModelFacts, answer_tokens: int | None
) -> int | None:
    """The budget that is said: None for none, 0 where the answer has no room for the least."""
    if "budget" not in ways:
        return None
    budget, effort = reasoning.budget, reasoning.effort
    if budget is None:
        worded = effort and "effort" not in ways
        if "adaptive" in ways and not worded:
            return None
        budget = BUDGETS.get(effort or "medium", BUDGET_MAX)
    return _fitting(budget, facts, answer_tokens)


def _effort_for(budget: int | None, ways: tuple[str, ...]) -> str:
    """The word that stands for a budget; for none, what makes the model think at all."""
    if budget is not None:
        return next((word for word, most in BUDGETS.items() if budget <= most), "high")
    return "" if {"adaptive", "unasked"} & set(ways) else "medium"


def _fitting(budget: int, facts: ModelFacts, answer_tokens: int | None) -> int:
    """A budget that the model takes and the answer has room for; 0 where it has none."""
    least, most = facts.thinking_tokens or (1, budget)
    if answer_tokens is not None:
        most = min(most, answer_tokens - 1)
    return min(max(budget, least), most) if most >= least else 0


def _worded(effort: str, facts: ModelFacts, lost: list[Lost]) -> str:
    """The word for an effort that the model knows: the same, the next below it, or its least."""
    known = facts.efforts
    if not effort or known is None or effort in known:
        return effort
    if effort not in EFFORTS or not known:
        lost.append(Lost("effort", f"the model does not know the word {effort[:20]!r}"))
        return ""
    below = [word for word in known if EFFORTS.index(word) < EFFORTS.index(effort)]
    found = below[-1] if below else known[0]
    lost.append(Lost("effort", f"{effort} became {found}, which the model knows"))
    return found


# ------------------------------------------------------------------- sampling


def _drawn(ask: Ask, facts: ModelFacts, refuses: frozenset[str], lost: list[Lost]) -> Sampling:
    sampling = ask.sampling
    changed: dict[str, object] = {}
    for name in _NUMBERS:
        value = getattr(sampling, name)
        if name in refuses and value is not None:
            changed[name] = None
            if value != _USUAL.get(name):
                lost.append(Lost(name, _REFUSES))
    if "temperature_with_top_p" in refuses and not changed.keys() & {"temperature", "top_p"}:
        name = _one_too_many(sampling)
        if name:
            changed[name] = None
            if getattr(sampling, name) != _USUAL[name]:
                lost.append(Lost(name, "the model takes it or the temperature, not both"))
    if "stop" in refuses and sampling.stop:
        changed["stop"] = ()
        lost.append(Lost("stop", _REFUSES))
    if "logprobs" in refuses and sampling.logprobs:
        lost.append(Lost("logprobs", _REFUSES, tolerable=False))
    most = _answer_tokens(ask, facts)
    if most != sampling.max_tokens and most is not None:
        changed["max_tokens"] = most
        lost.append(Lost("max_tokens", f"{sampling.max_tokens} was cut to {most}, the most here"))
    return _replace(sampling, **changed) if changed else sampling


_REFUSES = "the model that answers refuses it"


def _one_too_many(sampling: Sampling) -> str:
    """Which of temperature and `top_p` goes where there may be one; "" where there is."""
    if sampling.temperature is None or sampling.top_p is None:
        return ""
    return "temperature" if sampling.temperature == _USUAL["temperature"] else "top_p"


def _answer_tokens(ask: Ask, facts: ModelFacts) -> int | None:
    """How long the answer may be: as asked for, as the model can, as its window has room for."""
    asked = ask.sampling.max_tokens
    if asked is None:
        return None
    most = min(asked, facts.output_tokens or asked)
    if facts.context_tokens is None or most < facts.context_tokens // 8:
        return most
    room = facts.context_tokens - tokens_at_most(ask)
    # Where not even that is left, the provider shall say that the prompt is too long.
    return min(most, room) if room >= ROOM_MIN_TOKENS else most


def tokens_at_most(ask: Ask) -> int:
    """About how many tokens a request has, rather too many than too few."""
    tokens = sum(_tokens(tool.description) + len(tool.schema) // 3 for tool in ask.tools)
    parts: Iterable[object] = (*ask.system, *(part for turn in ask.turns for part in turn.parts))
    return tokens + sum(map(_part_tokens, parts))


def _part_tokens(part: object) -> int:
    if isinstance(part, Image):
        return _PICTURE_TOKENS
    if isinstance(part, ToolResult):
        return sum(map(_part_tokens, part.parts)) + 8
    if isinstance(part, ToolCall):
        return _tokens(part.name) + _tokens(part.arguments) + 8
    if isinstance(part, Document) and not part.text:
        return len(part.data) // 4
    return _tokens(getattr(part, "text", "")) + 8


def _tokens(text: str) -> int:
    return len(text) // 3 + 1 if text.isascii() else len(text) + 1


def windowed(ask: Ask, facts: ModelFacts) -> Ask:
    """The ask with the window that an engine must have for it, where its usual one may not do.

    Prompts beyond its window an engine cuts without a word. Whose window is known is not told; the
    sizes are few, since another one loads the model anew.
    """
    if facts.context_tokens is not None:
        return ask
    need = tokens_at_most(ask) + min(ask.sampling.max_tokens or ANSWER_TOKENS, ANSWER_TOKENS)
    if need <= WINDOW_TOKENS:
        return ask
    window = next((size for size in WINDOWS if size >= need), WINDOWS[-1])
    return _replace(ask, sampling=_replace(ask.sampling, window_tokens=window))


# ------------------------------------------------------- tools, form, and turns


def _chosen(
    ask: Ask, refuses: frozenset[str], facts: ModelFacts, lost: list[Lost]
) -> ToolChoice | None:
    choice = ask.tool_choice
    if facts.tools_max is not None and len(ask.tools) > facts.tools_max:
        why = f"there are {len(ask.tools)}, and the model takes {facts.tools_max}"
        lost.append(Lost("tools", why, tolerable=False))
    if ask.tools and "tools_in_chat" in refuses:
        lost.append(Lost("tools", "this model takes none in this dialect", tolerable=False))
    if choice is None:
        return None
    if _is_forced(ask) and "forced_tools" in refuses:
        why = "the model cannot be made to call a tool"
        lost.append(Lost("tool_choice", why, tolerable=False))
    if choice.parallel is not None and "parallel_tool_calls" in refuses:
        if not choice.parallel:
            lost.append(Lost("parallel_tool_calls", _REFUSES))
        return _replace(choice, parallel=None)
    return choice


def _turned(
    turns: tuple[Turn, ...], refuses: frozenset[str], facts: ModelFacts, lost: list[Lost]
) -> tuple[Turn, ...]:
    """The turns without thoughts where the model has none; the system's words as it can."""
    found = []
    for turn in turns:
        if turn.role == "system" and "system_turns" in refuses:
            found.append(Turn("user", turn.parts))
            why = "the model takes no system's words in mid-conversation; they are said as a user's"
            lost.append(Lost("system", why))
        elif facts.thinking is False and any(isinstance(part, Thinking) for part in turn.parts):
            kept = tuple(part for part in turn.parts if not isinstance(part, Thinking))
            found += [Turn(turn.role, kept)] if kept else []
        else:
            found.append(turn)
    return tuple(found)


def _refuses_form(ask: Ask, facts: ModelFacts, refuses: frozenset[str]) -> bool:
    if ask.form is None:
        return False
    if ask.tools and "form_with_tools" in refuses:
        return True
    return facts.json_schema is False and ask.form.kind == "json_schema"


def _told(ask: Ask, lost: list[Lost]) -> Ask:
    """The ask with the form of its answer told in words."""
    form = ask.form or Form("json_object")
    words = "Answer with one JSON object and nothing else: no fences, no words around it."
    if form.kind == "json_schema":
        schema = form.schema.decode(errors="replace")
        words = f"{words} It must be valid under this JSON schema:\n{schema}"
    lost.append(Lost("response_format", "the model cannot be held to it; it is asked for in words"))
    return _replace(ask, form=None, system=(*ask.system, Text(words)))
