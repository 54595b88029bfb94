"""A request as one model takes it: the rules, and a checker that finds nothing to object to."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.config.checking import KNOWN

from holdfast.core.route import known
from holdfast.facts.losses import Lost
from holdfast.facts.places import Effort, ModelFacts, Setting, Thinks
from holdfast.wire.speech import (
    Ask,
    Document,
    Form,
    Image,
    Reasoning,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from holdfast.wire.suiting import (
    EFFORTS,
    WINDOWS,
    refused,
    suited,
    tokens_at_most,
    will_think,
    windowed,
)

HI = Turn("user", (Text("x"),))
SCHEMA = b'{"type":"object","properties":{"n":{"type":"number"}}}'


def facts(provider: str, model: str) -> ModelFacts:
    found = known(KNOWN[provider].models, model)
    assert found is not None
    return found


def ask(**said: object) -> Ask:
    return Ask(turns=(HI,), **said)


def lost(found: Ask) -> list[str]:
    return [loss.field for loss in found.lost]


# ------------------------------------------------------------------- thinking

OPUS_5_5 = facts("anthropic", "claude-opus-5-5")
OPUS_5 = facts("anthropic", "claude-opus-5")
SONNET_4_6 = facts("anthropic", "claude-sonnet-4-6")
OPUS_4_5 = facts("anthropic", "claude-opus-4-5")
HAIKU_4_5 = facts("anthropic", "claude-haiku-4-5")
HAIKU_3 = facts("anthropic", "claude-3-haiku-20240307")
GPT_5 = facts("openai", "gpt-5")
GPT_5_4 = facts("openai", "gpt-5.4")
GPT_6_1 = facts("openai", "gpt-6.1-terra")
GPT_6_1_SOL = facts("openai", "gpt-6.1-sol")
GPT_4O = facts("openai", "gpt-4o")
PRO_2_5 = facts("gemini", "gemini-2.5-pro")
LITE_2_5 = facts("gemini", "gemini-2.5-flash-lite")
PRO_3_1 = facts("gemini", "gemini-3.1-pro-preview")
QWEN = facts("ollama", "qwen3:8b")
OSS = facts("ollama", "gpt-oss:20b")
GROK = facts("xai", "grok-4")


@pytest.mark.parametrize(
    ("there", "asked", "found", "names"),
    [
        # budgets where there are none any more, and where there is nothing else
        (OPUS_5_5, Reasoning("on", 4096), Reasoning("on", effort="medium"), []),
        (OPUS_5_5, Reasoning("auto", effort="xhigh"), Reasoning("auto", effort="xhigh"), []),
        (SONNET_4_6, Reasoning("on", 4096), Reasoning("on", 4096), []),
        (
            SONNET_4_6,
            Reasoning("auto", effort="xhigh"),
            Reasoning("auto", effort="high"),
            ["effort"],
        ),
        (OPUS_4_5, Reasoning("auto", effort="low"), Reasoning("auto", 2048, "low"), []),
        (HAIKU_4_5, Reasoning("auto", effort="max"), Reasoning("auto", 32_768), []),
        (HAIKU_4_5, Reasoning("auto"), Reasoning("auto", 8192), []),
        (HAIKU_4_5, Reasoning("on", 100), Reasoning("on", 1024), []),
        (HAIKU_3, Reasoning("auto"), None, ["thinking"]),
        (GPT_5, Reasoning("on", 1024), Reasoning("on", effort="minimal"), []),
        (GPT_5, Reasoning("on"), Reasoning("on"), []),
        (GPT_5_4, Reasoning("on"), Reasoning("on", effort="medium"), []),
        (GPT_5_4, Reasoning("on", effort="minimal"), Reasoning("on", effort="low"), ["effort"]),
        (GPT_4O, Reasoning("on", effort="low"), None, ["thinking"]),
        (PRO_2_5, Reasoning("on", effort="max"), Reasoning("on", 32_768), []),
        (PRO_2_5, Reasoning("on", 64_000), Reasoning("on", 32_768), []),
        (LITE_2_5, Reasoning("on", 100), Reasoning("on", 512), []),
        (PRO_3_1, Reasoning("on", 20_000), Reasoning("on", effort="high"), []),
        (PRO_3_1, Reasoning("on", effort="minimal"), Reasoning("on", effort="low"), ["effort"]),
        (QWEN, Reasoning("on", effort="low"), Reasoning("on"), ["effort"]),
        (QWEN, Reasoning("on", 9), Reasoning("on"), ["budget_tokens"]),
        (OSS, Reasoning("on", 9), Reasoning("on", effort="low"), ["effort"]),
        (GROK, Reasoning("on"), None, []),
        # not to think
        (OPUS_5_5, Reasoning("off"), Reasoning("on", effort="low"), ["thinking"]),
        (OPUS_5, Reasoning("off", effort="max"), Reasoning("off", effort="high"), []),
        (HAIKU_4_5, Reasoning("off", effort="max"), Reasoning("off"), []),
        (HAIKU_3, Reasoning("off"), None, []),
        (GPT_5, Reasoning("off"), Reasoning("on", effort="minimal"), ["thinking"]),
        (GPT_6_1, Reasoning("off"), Reasoning("off"), []),
        (PRO_2_5, Reasoning("off"), None, ["thinking"]),
        (LITE_2_5, Reasoning("off"), Reasoning("off"), []),
        (ModelFacts(model="*"), Reasoning("off"), None, ["thinking"]),
        (ModelFacts(model="*"), Reasoning("on", 7, "max"), Reasoning("on", 7, "max"), []),
    ],
)
def test_thinking_is_asked_for_in_the_model_s_own_way(
    there: ModelFacts, asked: Reasoning, found: Reasoning | None, names: list[str]
) -> None:
    sent = suited(ask(reasoning=asked), there, "anthropic")
    assert sent.reasoning == found
    assert lost(sent) == names


def test_an_engine_that_is_not_known_can_be_told_not_to_think() -> None:
    nobody = ModelFacts(model="*")
    off = ask(reasoning=Reasoning("off"))
    assert suited(off, nobody, "ollama") is off
    assert lost(suited(off, nobody, "openai")) == ["thinking"]


@pytest.mark.parametrize(("most", "budget"), [(9000, 8192), (4096, 4095), (1024, None)])
def test_a_budget_leaves_room_for_the_answer(most: int, budget: int | None) -> None:
    sent = suited(
        ask(sampling=Sampling(max_tokens=most), reasoning=Reasoning("auto")), HAIKU_4_5, "anthropic"
    )
    assert (sent.reasoning and sent.reasoning.budget) == budget
    assert lost(sent) == ([] if budget else ["thinking"])


FORCED = {"tools": (Tool("f"),), "tool_choice": ToolChoice("any")}


def test_who_is_made_to_call_a_tool_does_not_think() -> None:
    for there in (OPUS_5, HAIKU_4_5):
        sent = suited(ask(reasoning=Reasoning("auto"), **FORCED), there, "anthropic")
        assert sent.reasoning == Reasoning("off")
        assert lost(sent) == ["thinking"]
    assert suited(ask(**FORCED), OPUS_5, "anthropic").reasoning == Reasoning("off")
    plain = ask(**FORCED)
    assert suited(plain, HAIKU_4_5, "anthropic") is plain


def test_who_cannot_be_made_to_is_not_asked() -> None:
    (loss,) = suited(ask(**FORCED), OPUS_5_5, "anthropic").lost
    assert loss.field == "tool_choice"
    assert not loss.tolerable


def test_newer_models_take_tools_in_chat_only_without_thinking() -> None:
    tooled = ask(tools=(Tool("f"),), reasoning=Reasoning("on", effort="low"))
    sent = suited(tooled, GPT_6_1, "openai")
    assert sent.reasoning == Reasoning("off")
    assert lost(sent) == ["thinking"]
    (loss,) = suited(tooled, GPT_6_1_SOL, "openai").lost
    assert not loss.tolerable
    assert suited(tooled, GPT_6_1_SOL, "openai-responses") is tooled


# ------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("there", "said", "left", "names"),
    [
        (OPUS_5, {"temperature": 0.2, "top_k": 4}, {}, ["temperature", "top_k"]),
        (OPUS_5, {"temperature": 1.0, "top_p": 1}, {}, []),
        (HAIKU_4_5, {"temperature": 0.2, "top_p": 0.9}, {"temperature": 0.2}, ["top_p"]),
        (HAIKU_4_5, {"temperature": 1.0, "top_p": 0.9}, {"top_p": 0.9}, []),
        (HAIKU_3, {"temperature": 0.2, "top_p": 0.9}, {"temperature": 0.2, "top_p": 0.9}, []),
        (HAIKU_3, {"max_tokens": 64_000}, {"max_tokens": 4096}, ["max_tokens"]),
        (GPT_5, {"temperature": 0.2, "stop": ("x",)}, {}, ["temperature", "stop"]),
        (GPT_5_4, {"temperature": 0.2, "presence_penalty": 0.0}, {"temperature": 0.2}, []),
        (GPT_4O, {"stop": ("x",), "max_tokens": 9}, {"stop": ("x",), "max_tokens": 9}, []),
    ],
)
def test_settings_are_cut_to_what_the_model_takes(
    there: ModelFacts, said: dict, left: dict, names: list[str]
) -> None:
    sent = suited(ask(sampling=Sampling(**said)), there, "x")
    assert sent.sampling == Sampling(**left)
    assert lost(sent) == names


def test_an_answer_is_no_longer_than_the_window_has_room_for() -> None:
    small = ModelFacts(model="*", context_tokens=16_384)
    long = Ask(turns=(Turn("user", (Text("word " * 6000),)),), sampling=Sampling(max_tokens=64_000))
    sent = suited(long, small, "openai")
    assert sent.sampling.max_tokens == 16_384 - tokens_at_most(long)
    assert lost(sent) == ["max_tokens"]
    full = msgspec.structs.replace(long, turns=(Turn("user", (Text("word " * 12_000),)),))
    assert suited(full, small, "openai") is full  # the provider says that it is too long


def test_what_cannot_be_done_without_keeps_the_request_away() -> None:
    tools = tuple(Tool(f"f{number}") for number in range(129))
    for asked in (ask(tools=tools), ask(sampling=Sampling(logprobs=True))):
        assert any(not loss.tolerable for loss in suited(asked, GPT_5, "openai").lost)


def test_a_form_that_the_model_cannot_be_held_to_is_asked_for_in_words() -> None:
    for there, tools in ((HAIKU_3, ()), (PRO_2_5, (Tool("f"),))):
        sent = suited(ask(form=Form("json_schema", SCHEMA), tools=tools), there, "x")
        assert sent.form is None
        assert SCHEMA.decode() in sent.system[-1].text
        assert lost(sent) == ["response_format"]
    whole = ask(form=Form("json_schema", SCHEMA))
    assert suited(whole, PRO_2_5, "x") is whole
    sent = suited(ask(form=Form("json_object"), tools=(Tool("f"),)), PRO_2_5, "x")
    assert "JSON object" in sent.system[-1].text


def test_turns_are_such_as_the_model_takes() -> None:
    thought = Turn("assistant", (Thinking("hm"), Text("a")))
    only = Turn("assistant", (Thinking("hm"),))
    told = Turn("system", (Text("now"),))
    whole = Ask(turns=(HI, thought, HI, only, told))
    sent = suited(whole, HAIKU_3, "anthropic")
    assert sent.turns == (HI, Turn("assistant", (Text("a"),)), HI, Turn("user", told.parts))
    assert lost(sent) == ["system"]
    assert suited(whole, OPUS_5, "anthropic") is whole
    said = ToolChoice(parallel=False)
    o3 = facts("openai", "o3")
    sent = suited(ask(tool_choice=said), o3, "openai")
    assert sent.tool_choice == ToolChoice()
    assert lost(sent) == ["parallel_tool_calls"]
    assert lost(suited(ask(tool_choice=ToolChoice(parallel=True)), o3, "openai")) == []


# --------------------------------------------------------------------- window


@pytest.mark.parametrize(
    ("chars", "window"), [(100, None), (12_000, 8192), (120_000, 65_536), (10**6, WINDOWS[-1])]
)
def test_an_engine_is_told_the_window_that_a_long_prompt_needs(
    chars: int, window: int | None
) -> None:
    long = Ask(turns=(Turn("user", (Text("x" * chars),)),), sampling=Sampling(max_tokens=500))
    assert windowed(long, ModelFacts(model="*")).sampling.window_tokens == window
    assert windowed(long, ModelFacts(model="*", context_tokens=32_768)) is long


def test_tokens_are_rather_too_many_than_too_few() -> None:
    call, result = (
        ToolCall("c", "f", '{"a":"' + "x" * 300 + '"}'),
        ToolResult("c", (Text("y" * 300),)),
    )
    turns = (
        Turn("user", (Text("天" * 300), Image("image/png", "x" * 10**6), Document(data="x" * 400))),
        Turn("assistant", (call,)),
        Turn("user", (result,)),
    )
    assert 300 + 1600 + 100 + 200 <= tokens_at_most(Ask(turns=turns)) < 2500


# ---------------------------------------------------------------- the checker


def objections(sent: Ask, there: ModelFacts, dialect: str) -> list[str]:
    """What a provider would answer with an error, written down once more from its rules."""
    sampling, choice, reasoning = sent.sampling, sent.tool_choice, sent.reasoning
    refuses = refused(reasoning, there, dialect)
    numbers = ("temperature", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty")
    found = [name for name in numbers if name in refuses and getattr(sampling, name) is not None]
    if "temperature_with_top_p" in refuses and None not in (sampling.temperature, sampling.top_p):
        found.append("temperature with top_p")
    if "stop" in refuses and sampling.stop:
        found.append("stop")
    if "logprobs" in refuses and sampling.logprobs:
        found.append("logprobs")
    if there.output_tokens is not None and (sampling.max_tokens or 0) > there.output_tokens:
        found.append("max_tokens")
    if choice is not None and choice.parallel is not None and "parallel_tool_calls" in refuses:
        found.append("parallel_tool_calls")
    if choice is not None and choice.mode in ("any", "named") and "forced_tools" in refuses:
        found += ["forced tools"] if sent.tools else []
    if sent.tools and "tools_in_chat" in refuses and dialect == "openai":
        found.append("tools in chat")
    if len(sent.tools) > (there.tools_max or 10**9):
        found.append("too many tools")
    if "system_turns" in refuses and any(turn.role == "system" for turn in sent.turns):
        found.append("system turns")
    if sent.form is not None and sent.tools and "form_with_tools" in refuses:
        found.append("form with tools")
    if sent.form is not None and sent.form.kind == "json_schema" and there.json_schema is False:
        found.append("json_schema")
    return found + thinking_objections(reasoning, sampling, there)


def thinking_objections(
    reasoning: Reasoning | None, sampling: Sampling, there: ModelFacts
) -> list[str]:
    if reasoning is None or there.thinks is None:
        return ["thinking"] if reasoning is not None and there.thinking is False else []
    if there.thinking is False:
        return ["thinking"]
    found = []
    ways = there.thinks
    if reasoning.mode == "off":
        found += [] if "off" in ways else ["off"]
    elif reasoning.budget is None and not reasoning.effort:
        found += [] if {"adaptive", "unasked"} & set(ways) else ["neither budget nor effort"]
    if reasoning.budget is not None:
        least, most = there.thinking_tokens or (1, 10**9)
        found += [] if "budget" in ways and least <= reasoning.budget <= most else ["budget"]
        if sampling.max_tokens is not None and reasoning.budget >= sampling.max_tokens:
            found.append("no room for an answer")
    if reasoning.effort:
        efforts = there.efforts if there.efforts is not None else EFFORTS
        found += [] if "effort" in ways and reasoning.effort in efforts else ["effort"]
    return found


some = st.none() | st.booleans()
SETTINGS = st.lists(st.sampled_from(get_args(Setting)), unique=True).map(tuple)
EFFORT_WORDS = st.lists(st.sampled_from(get_args(Effort)), unique=True).map(
    lambda words: tuple(sorted(words, key=EFFORTS.index))
)
FACTS = st.builds(
    ModelFacts,
    model=st.just("*"),
    context_tokens=st.none() | st.integers(1000, 10**6),
    output_tokens=st.none() | st.integers(1, 10**6),
    tools_max=st.none() | st.integers(1, 3),
    json_schema=some,
    thinking=some,
    thinks=st.none() | st.lists(st.sampled_from(get_args(Thinks)), unique=True).map(tuple),
    efforts=st.none() | EFFORT_WORDS,
    thinking_tokens=st.none() | st.tuples(st.integers(1, 2000), st.integers(2000, 10**5)),
    refuses=st.none() | SETTINGS,
    refuses_thinking=st.none() | SETTINGS,
) | st.sampled_from([row for entry in KNOWN.values() for row in entry.models])
REASONINGS = st.none() | st.builds(
    Reasoning,
    mode=st.sampled_from(["off", "auto", "on"]),
    budget=st.none() | st.integers(0, 10**6),
    effort=st.sampled_from(["", *EFFORTS]),
)
DRAWN = st.builds(
    Sampling,
    max_tokens=st.none() | st.integers(1, 10**6),
    temperature=st.none() | st.just(1.0) | st.floats(0, 2),
    top_p=st.none() | st.just(1.0) | st.floats(0, 1),
    top_k=st.none() | st.integers(1, 99),
    seed=st.none() | st.integers(0, 99),
    presence_penalty=st.none() | st.floats(-2, 2),
    stop=st.lists(st.text(min_size=1, max_size=3), max_size=2).map(tuple),
    logprobs=st.booleans(),
)
TALKS = [
    (HI,),
    (Turn("user", (Text("x" * 9000),)),),
    (HI, Turn("assistant", (Thinking("hm"), Text("a"))), HI, Turn("system", (Text("s"),))),
    (HI, Turn("assistant", (Thinking("hm"),)), HI),
]
CHOICES = [None, ToolChoice(), ToolChoice("any", parallel=False), ToolChoice("named", "f")]
FREE = st.builds(
    Ask,
    turns=st.sampled_from(TALKS),
    tools=st.sampled_from([(), (Tool("f"),), (Tool("f"), Tool("g"))]),
    tool_choice=st.sampled_from(CHOICES),
    reasoning=REASONINGS,
    sampling=DRAWN,
    form=st.sampled_from([None, Form("json_object"), Form("json_schema", SCHEMA)]),
    lost=st.sampled_from([(), (Lost("x", "y"),)]),
)


@given(FREE, FACTS, st.sampled_from(["anthropic", "openai", "openai-responses", "gemini"]))
def test_nobody_objects_to_what_was_made_to_suit(
    whole: Ask, there: ModelFacts, dialect: str
) -> None:
    sent = suited(whole, there, dialect)
    if all(loss.tolerable for loss in sent.lost):
        assert objections(sent, there, dialect) == []
        assert suited(sent, there, dialect) is sent  # nothing is lost twice


@given(FREE, FACTS)
def test_whatever_goes_is_told_and_the_rest_stays(whole: Ask, there: ModelFacts) -> None:
    sent = suited(whole, there, "openai")
    assert sent.lost[: len(whole.lost)] == whole.lost
    assert all(isinstance(loss, Lost) for loss in sent.lost)
    assert sent.tools == whole.tools
    if sent.sampling.max_tokens != whole.sampling.max_tokens:
        assert "max_tokens" in lost(sent)
    if will_think(whole.reasoning, there, "openai") and whole.reasoning is not None:
        assert will_think(sent.reasoning, there, "openai") or "thinking" in lost(sent)


@given(FREE)
def test_who_is_not_known_is_asked_as_it_is(whole: Ask) -> None:
    if whole.reasoning is None or whole.reasoning.mode != "off":
        assert suited(whole, ModelFacts(model="*"), "openai") is whole
