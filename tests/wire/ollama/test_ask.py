"""Requests of Ollama's own API in the neutral form and back."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wire.asks import ASKS, in_objects

from holdfast.wire.anthropic import ask as anthropic_ask
from holdfast.wire.fitting import paired
from holdfast.wire.ollama import ask as ollama_ask
from holdfast.wire.ollama.ask import read_ask
from holdfast.wire.openai import ask as openai_ask
from holdfast.wire.speech import (
    Ask,
    BadFieldError,
    CannotCrossError,
    Document,
    Form,
    Image,
    Reasoning,
    Refusal,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    Written,
)

HI = {"role": "user", "content": "hi"}
PNG = "iVBORw0KGgoAAAANSUhEUg=="


def read(*messages: object, **more: object) -> Ask:
    return read_ask(json.dumps({"model": "m", "messages": messages or [HI], **more}).encode())


def write(ask: Ask) -> dict[str, Any]:
    return json.loads(ollama_ask.write_ask(ask, "m").body)


def user(*said: object) -> Ask:
    return Ask(turns=(Turn("user", said),))


def names(losses: tuple) -> list[str]:
    return [loss.field for loss in losses]


# ------------------------------------------------------------------ round trips


def told(ask: Ask) -> Ask:
    """What this dialect can say of an ask: calls are known by their place, words of a turn stand
    in one text before what is shown, tools are not held to their schema (none of whose fields is
    just true or false), nobody is named.
    """
    ids: dict[str, str] = {}
    turns = tuple(_told(turn, ids) for turn in ask.turns)
    choice = ask.tool_choice
    tools = () if choice is not None and choice.mode == "none" else ask.tools
    form = ask.form and msgspec.structs.replace(ask.form, name="")
    return msgspec.structs.replace(
        ask,
        turns=turns,
        tools=tuple(
            msgspec.structs.replace(tool, strict=None, schema=_objects(tool.schema))
            for tool in tools
        ),
        tool_choice=None,
        form=form,
        user="",
        lost=(),
    )


def _objects(schema: bytes) -> bytes:
    found = in_objects(schema)
    return schema if found == json.loads(schema) else msgspec.json.encode(found)


def _told(turn: Turn, ids: dict[str, str]) -> Turn:
    parts: list[object] = []
    for part in turn.parts:
        if isinstance(part, ToolCall):
            ids[part.id] = f"call_{len(ids) + 1}"
            parts.append(msgspec.structs.replace(part, id=ids[part.id]))
        elif isinstance(part, ToolResult):
            parts.append(msgspec.structs.replace(part, id=ids[part.id]))
    texts = [part.text for part in turn.parts if isinstance(part, Text)]
    said = [Text("\n\n".join(texts))] if texts else []
    shown = [part for part in turn.parts if isinstance(part, Image)]
    if turn.role == "assistant":
        return Turn(turn.role, (*said, *parts))
    return Turn(turn.role, (*parts, *said, *shown))


def _parts(ask: Ask) -> list[object]:
    return [part for turn in ask.turns for part in turn.parts]


def forces(ask: Ask) -> bool:
    """Whether a tool has to be called."""
    choice = ask.tool_choice
    return bool(ask.tools) and choice is not None and choice.mode in ("any", "named")


def typed(ask: Ask) -> Ask:
    """The ask with its pictures as PNG: their type is not said, and the strategy's are none."""
    turns = tuple(
        Turn(t.role, tuple(Image("image/png", p.data) if isinstance(p, Image) and p.data else p
                           for p in t.parts))
        for t in ask.turns
    )  # fmt: skip
    return msgspec.structs.replace(ask, turns=turns)


def written(ask: Ask) -> Written | None:
    """The request, None where it cannot be said and that is told."""
    if any(isinstance(part, Document) or getattr(part, "url", "") for part in _parts(ask)):
        with pytest.raises(CannotCrossError, match="cannot be said here"):
            ollama_ask.write_ask(ask, "m")
        return None
    found = ollama_ask.write_ask(ask, "m")
    grave = [loss for loss in found.lost if not loss.tolerable]
    assert bool(grave) is forces(ask)
    return None if grave else found


@given(ASKS)
def test_a_request_that_is_written_is_read_as_the_same(ask: Ask) -> None:
    found = written(ask)
    if found is not None:
        assert json.loads(found.body)["model"] == "m"
        assert read_ask(found.body) == told(typed(ask))


@settings(max_examples=60)
@given(ASKS)
def test_what_came_is_said_in_every_other_dialect_and_comes_back(ask: Ask) -> None:
    there_and_back(ask)


@pytest.mark.long
@pytest.mark.timeout(600)
@settings(max_examples=2000)
@given(ASKS)
def test_what_came_crosses_in_thousands_of_ways(ask: Ask) -> None:
    there_and_back(ask)


def there_and_back(ask: Ask) -> None:
    """What both sides can express survives the way there and back."""
    found = written(ask)
    if found is None:
        return
    here = read_ask(found.body)
    if ask.form is not None:
        here = msgspec.structs.replace(here, form=msgspec.structs.replace(here.form, name=""))
    for there in (openai_ask, anthropic_ask):
        back = there.read_ask(there.write_ask(paired(here, "messages"), "m").body)
        again = written(back)
        assert again is not None
        assert _folded(read_ask(again.body)) == _folded(here)


def _folded(ask: Ask) -> Ask:
    """Without the limit that one dialect demands, and turns of people who spoke twice as one."""
    turns: list[Turn] = []
    for turn in ask.turns:
        if turns and turns[-1].role == turn.role:
            turns[-1] = Turn(turn.role, (*turns[-1].parts, *turn.parts))
        else:
            turns.append(turn)
    return msgspec.structs.replace(ask, turns=tuple(turns))


# ---------------------------------------------------------------------- reading


def test_what_a_tool_of_today_sends_is_read_whole() -> None:
    ask = read(
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": "What is this?",
            "images": [PNG, "/9j/4AAQ", "R0lGOD", "UklGR"],
        },
        {"role": "assistant", "content": "", "thinking": "hm", "tool_calls": [call("f", {"n": 1})]},
        {"role": "tool", "content": "22", "tool_name": "f"},
        {"role": "system", "content": "Hurry."},
        tools=[{"type": "function", "function": {"name": "f", "description": "d"}}],
        think="high",
        format={"type": "object"},
        keep_alive="5m",
        options={
            "num_predict": 9,
            "num_ctx": 8192,
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 20,
            "seed": -1,
            "stop": ["x"],
            "presence_penalty": 1.5,
            "frequency_penalty": 1,
        },
        logprobs=True,
        top_logprobs=2,
    )
    assert ask == Ask(
        system=(Text("Be brief."),),
        turns=(
            Turn(
                "user",
                (
                    Text("What is this?"),
                    Image("image/png", PNG),
                    Image("image/jpeg", "/9j/4AAQ"),
                    Image("image/gif", "R0lGOD"),
                    Image("image/webp", "UklGR"),
                ),
            ),
            Turn(
                "assistant", (Thinking("hm", origin="ollama"), ToolCall("call_1", "f", '{"n": 1}'))
            ),
            Turn("user", (ToolResult("call_1", (Text("22"),)),)),
            Turn("system", (Text("Hurry."),)),
        ),
        tools=(Tool("f", "d"),),
        sampling=Sampling(
            max_tokens=9,
            temperature=0.5,
            top_p=0.9,
            top_k=20,
            seed=-1,
            frequency_penalty=1.0,
            presence_penalty=1.5,
            stop=("x",),
            logprobs=True,
            top_logprobs=2,
            stream=True,
        ),
        reasoning=Reasoning("on", effort="high"),
        form=Form("json_schema", b'{"type": "object"}', strict=True),
        lost=ask.lost,
    )
    assert names(ask.lost) == ["options.num_ctx", "keep_alive"]
    assert all(loss.tolerable for loss in ask.lost)


def call(name: str, arguments: object, **more: object) -> dict[str, object]:
    return {"function": {"name": name, "arguments": arguments}, **more}


def test_a_request_that_does_not_say_is_streamed() -> None:
    assert read().sampling.stream is True
    assert read(stream=None).sampling.stream is True
    assert read(stream=False).sampling.stream is False


@pytest.mark.parametrize(
    ("more", "reasoning", "form"),
    [
        ({}, None, None),
        ({"think": True, "format": "json"}, Reasoning("on"), Form("json_object")),
        ({"think": False, "format": ""}, Reasoning("off"), None),
        ({"think": "", "format": None}, None, None),
    ],
)
def test_thinking_and_form_in_every_variant(
    more: dict[str, object], reasoning: Reasoning | None, form: Form | None
) -> None:
    ask = read(**more)
    assert (ask.reasoning, ask.form, ask.lost) == (reasoning, form, ())


def test_no_limit_is_none_and_what_is_too_hot_is_cut() -> None:
    for limit in (-2, -1, 0):
        assert read(options={"num_predict": limit}).sampling.max_tokens is None
    assert read(options={"top_k": 0}).sampling.top_k is None
    assert read(options={"stop": "x"}).sampling.stop == ("x",)
    ask = read(options={"temperature": 5})
    assert (ask.sampling.temperature, names(ask.lost)) == (2.0, ["options.temperature"])


def results(*messages: dict[str, object]) -> list[str]:
    """The ids of the calls that these results are for, after three calls: f, g, f."""
    said = {
        "role": "assistant",
        "tool_calls": [call("f", {}), call("g", {}), call("f", {}, id="x")],
    }
    found = read(HI, said, *({"role": "tool", "content": "c", **m} for m in messages))
    assert [part.id for part in found.turns[1].parts] == ["call_1", "call_2", "x"]
    return [part.id for part in found.turns[2].parts]


def test_results_find_their_calls_by_id_by_name_or_by_place() -> None:
    f, g = {"tool_name": "f"}, {"tool_name": "g"}
    assert results(f, g, f) == ["call_1", "call_2", "x"]
    assert results(g, f, f) == ["call_2", "call_1", "x"]
    assert results({}, {}, {}) == ["call_1", "call_2", "x"]
    assert results({"name": "g"}, {"tool_call_id": "x", **f}, f) == ["call_2", "x", "call_1"]


def test_calls_of_two_turns_have_ids_of_their_own() -> None:
    said = {"role": "assistant", "tool_calls": [call("f", {})]}
    told = {"role": "tool", "content": "1", "tool_name": "f"}
    turns = paired(read(HI, said, told, said, told), "messages").turns
    assert turns[2].parts[0].id == turns[1].parts[0].id != turns[3].parts[0].id


def test_what_people_say_behind_results_stands_behind_them() -> None:
    said = {"role": "assistant", "tool_calls": [call("f", None)]}
    told = {"role": "tool", "content": "", "tool_name": "f", "images": [PNG]}
    ask = read(HI, said, told, HI)
    (result, text) = ask.turns[2].parts
    assert result == ToolResult("call_1", (Image("image/png", PNG),))
    assert text == Text("hi")


def test_a_picture_may_come_as_a_data_url() -> None:
    image = read({**HI, "images": ["data:image/webp;base64,UklG"]}).turns[0].parts[1]
    assert image == Image("image/webp", "UklG")


TOOL = {"role": "tool", "content": "x"}


@pytest.mark.parametrize(
    ("messages", "more", "says"),
    [
        ([], {}, "messages is missing or empty; this path takes"),
        ([{"role": "bot", "content": "x"}], {}, r"messages\[0\].role is 'bot'"),
        ([{**HI, "content": 5}], {}, r"messages\[0\].content is not a text"),
        ([{**HI, "content": [{"type": "text"}]}], {}, r"messages\[0\].content .*chat/completions"),
        ([{**HI, "images": [7]}], {}, r"messages\[0\].images is not a list of texts"),
        ([{**HI, "images": ["https://x"]}], {}, r"messages\[0\].images\[0\] is an address"),
        ([{**HI, "images": ["data:text,x"]}], {}, r"messages\[0\].images\[0\] is a data URL"),
        ([HI, {**TOOL, "tool_name": "f"}], {}, r"messages\[1\].tool_name is 'f', and no call"),
        ([HI, {**TOOL, "tool_call_id": "i"}], {}, r"messages\[1\].tool_call_id is 'i', and no"),
        ([HI, {"role": "assistant", "tool_calls": [{}]}], {}, r"tool_calls\[0\].function.name is"),
        (
            [HI, {"role": "assistant", "tool_calls": [call("f", "{}")]}],
            {},
            r"messages\[1\].tool_calls\[0\].function.arguments is not a JSON object",
        ),
        ([HI], {"stream": "no"}, "stream is neither true nor false"),
        ([HI], {"think": "hard"}, "think is none of true, false, low, medium, high"),
        ([HI], {"think": 7}, "think is none of"),
        ([HI], {"format": "xml"}, 'format is neither "json" nor a JSON schema'),
        ([HI], {"options": []}, "options is not a JSON object"),
        ([HI], {"options": {"num_predict": "9"}}, "options.num_predict is not a whole number"),
        ([HI], {"options": {"stop": [1]}}, "options.stop is neither a text nor a list"),
        ([HI], {"options": {"temperature": "hot"}}, "options.temperature is not a number"),
        ([HI], {"tools": [{"type": "web"}]}, r"tools\[0\].type is 'web'"),
        ([HI], {"tools": [{"name": "f", "input_schema": {}}]}, r"tools\[0\].function is missing"),
        ([HI], {"tools": [{"function": {}}]}, r"tools\[0\].function.name is missing"),
        (
            [HI],
            {"tools": [{"function": {"name": "f", "parameters": 1}}]},
            r"tools\[0\].function.parameters is not a JSON object",
        ),
    ],
)
def test_what_is_wrong_has_its_name(messages: list, more: dict, says: str) -> None:
    with pytest.raises(BadFieldError, match=says):
        read_ask(json.dumps({"model": "m", "messages": messages, **more}).encode())


def test_a_conversation_that_ends_with_the_model_does_not_cross() -> None:
    with pytest.raises(CannotCrossError, match="does not end with the user's words"):
        read(HI, {"role": "assistant", "content": "ho"})


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["role", "content", "images", "tool_calls", "function", "name", "arguments", "stop"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from(["messages", "tools", "options", "format", "think"]), JSONISH)
)
def test_whatever_comes_is_read_or_refused(fields: dict[str, object]) -> None:
    for body in (fields, {"messages": [HI], **fields}, {**fields, "messages": [fields]}):
        try:
            read_ask(json.dumps(body).encode())
        except CannotCrossError as error:
            assert str(error)  # noqa: PT017 - either is right


# ---------------------------------------------------------------------- writing


def test_a_tool_loop_is_written_without_ids() -> None:
    tool = Tool("f", "d", b'{"type":"object"}', strict=True)
    found = ollama_ask.write_ask(
        Ask(
            system=(Text("a"), Text("b")),
            turns=(
                Turn("user", (Text("hi"),)),
                Turn(
                    "assistant",
                    (
                        Thinking("own", origin="ollama"),
                        Thinking("other", "sig", origin="anthropic"),
                        Text("I "),
                        Text("look."),
                        ToolCall("toolu_1", "f", '{"n": 1E2}'),
                        ToolCall("toolu_2", "f", "{}"),
                    ),
                ),
                Turn(
                    "user",
                    (
                        ToolResult("toolu_1", (Text("x"), Image("image/png", PNG))),
                        ToolResult("toolu_2", (Text("gone"),), error=True),
                        Text("and?"),
                    ),
                ),
            ),
            tools=(tool,),
            tool_choice=ToolChoice("auto", parallel=False),
        ),
        "m",
    )
    assert json.loads(found.body) == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "a\n\nb"},
            {"role": "user", "content": "hi"},
            {
                "role": "assistant",
                "content": "I look.",
                "thinking": "own",
                "tool_calls": [call("f", {"n": 100.0}), call("f", {})],
            },
            {"role": "tool", "content": "x", "images": [PNG], "tool_name": "f"},
            {"role": "tool", "content": "Error: gone", "tool_name": "f"},
            {"role": "user", "content": "and?"},
        ],
        "stream": False,
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "f",
                    "description": "d",
                    "parameters": {"type": "object", "properties": {}},
                },
            }
        ],
    }
    assert b'{"n": 1E2}' in found.body
    assert names(found.lost) == ["thinking", "strict", "parallel_tool_calls"]


def test_every_setting_has_its_place() -> None:
    sampling = Sampling(
        max_tokens=5,
        temperature=0.0,
        top_p=0.5,
        top_k=3,
        seed=7,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        stop=("a", "b"),
        logprobs=True,
        top_logprobs=4,
        stream=True,
    )
    ask = msgspec.structs.replace(user(Text("x")), sampling=sampling)
    assert write(ask) == {
        "model": "m",
        "messages": [{"role": "user", "content": "x"}],
        "stream": True,
        "options": {
            "num_predict": 5,
            "temperature": 0.0,
            "top_p": 0.5,
            "top_k": 3,
            "seed": 7,
            "frequency_penalty": 0.1,
            "presence_penalty": 0.2,
            "stop": ["a", "b"],
        },
        "logprobs": True,
        "top_logprobs": 4,
    }


@pytest.mark.parametrize(
    ("reasoning", "think", "lost"),
    [
        (Reasoning("off", effort="low"), False, []),
        (Reasoning("on", 1024), True, ["budget_tokens"]),
        (Reasoning("on", effort="high"), "high", []),
        (Reasoning("auto"), None, []),
    ],
)
def test_thinking_is_on_or_off_or_has_a_word(
    reasoning: Reasoning, think: bool | str | None, lost: list[str]
) -> None:
    found = ollama_ask.write_ask(msgspec.structs.replace(user(Text("x")), reasoning=reasoning), "m")
    assert json.loads(found.body).get("think") == think
    assert names(found.lost) == lost


@pytest.mark.parametrize(
    ("part", "says"),
    [
        (Image(url="https://x"), "an image by its URL"),
        (Document("application/pdf", "JVBE"), "a Document"),
        (Refusal("no"), "a Refusal"),
    ],
)
def test_what_has_no_word_here_does_not_cross(part: object, says: str) -> None:
    with pytest.raises(CannotCrossError, match=says):
        write(user(part))


def test_how_closely_a_picture_is_looked_at_is_a_loss() -> None:
    written = ollama_ask.write_ask(user(Image("image/png", PNG, detail="low")), "m")
    assert names(written.lost) == ["detail"]


def test_a_document_of_text_is_said_as_text() -> None:
    assert write(user(Document(text="t", name="n")))["messages"][0]["content"] == "n\n\nt"


def test_what_would_be_another_answer_keeps_the_request_away() -> None:
    sampling = Sampling(choices=2)
    choice = ToolChoice("named", "f")
    ask = msgspec.structs.replace(
        user(Text("x")), tools=(Tool("f"),), tool_choice=choice, sampling=sampling, user="u"
    )
    lost = ollama_ask.write_ask(ask, "m").lost
    assert [(loss.field, loss.tolerable) for loss in lost] == [
        ("tool_choice", False),
        ("n", False),
        ("user", True),
    ]


def test_rules_that_stand_alone_are_said_as_a_users() -> None:
    body = {"model": "m", "messages": [{"role": "system", "content": "Write a haiku."}]}
    ask = read_ask(json.dumps(body).encode())
    assert (ask.system, ask.turns) == ((), (Turn("user", (Text("Write a haiku."),)),))
    assert names(ask.lost) == ["system"]


def test_a_field_of_which_nothing_is_said_is_an_object() -> None:
    """The server reads objects there, and refuses `true`."""
    inner = {"type": "object", "properties": {"b": False}, "additionalProperties": False}
    schema = {"type": "object", "properties": {"a": True, "o": inner, "c": {"anyOf": [True]}}}
    tool = Tool("f", schema=json.dumps(schema).encode())
    sent = write(Ask(turns=(Turn("user", (Text("q"),)),), tools=(tool,)))
    assert sent["tools"][0]["function"]["parameters"]["properties"] == {
        "a": {},
        "o": inner | {"properties": {"b": {"not": {}}}},
        "c": {"anyOf": [{}]},
    }
