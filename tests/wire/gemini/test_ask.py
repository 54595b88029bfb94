"""Requests of Gemini's dialect in the neutral form and back."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.asks import ASKS, VALUES, plain

from holdfast.wire.anthropic import ask as anthropic_ask
from holdfast.wire.gemini.ask import generation_of, own, read_ask, write_ask
from holdfast.wire.gemini.parts import SEALED, UNSIGNED, sealed
from holdfast.wire.gemini.schema import is_empty
from holdfast.wire.openai import ask as openai_ask
from holdfast.wire.speech import (
    Ask,
    BadFieldError,
    CannotCrossError,
    Document,
    Form,
    Image,
    Part,
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

Json = dict[str, Any]
HI = {"role": "user", "parts": [{"text": "hi"}]}
replace = msgspec.structs.replace


def read(fields: Json) -> Ask:
    return read_ask(json.dumps({"contents": [HI]} | fields).encode())


def drawn(fields: Json) -> Ask:
    return read({"generationConfig": fields})


def written(ask: Ask, model: str = "m") -> Json:
    return json.loads(write_ask(ask, model).body)


def asked(*parts: Part, **more: object) -> Ask:
    return Ask(turns=(Turn("user", parts or (Text("x"),)),), **more)  # type: ignore[arg-type]


def sayable(ask: Ask) -> Ask:
    """The ask with what this dialect has words for."""

    def said(part: Part) -> Part:
        return replace(part, name="") if isinstance(part, Document) else part

    turns = [
        replace(turn, parts=tuple(map(said, turn.parts)))
        for turn in ask.turns
        if turn.role != "system"
    ]
    tools = tuple(
        replace(t, strict=None, schema=Tool("x").schema if is_empty(t.schema) else t.schema)
        for t in ask.tools
    )
    choice = ask.tool_choice
    return replace(
        plain(ask),
        turns=tuple(turns),
        tools=tools,
        tool_choice=replace(choice, parallel=None) if choice is not None else None,
        sampling=replace(ask.sampling, stream=False),
        user="",
    )


@given(ASKS)
def test_a_request_that_is_written_is_read_as_the_same(ask: Ask) -> None:
    ask = sayable(ask)
    sent = write_ask(ask, "m")
    assert sent.lost == ()
    assert read_ask(sent.body) == ask


@pytest.mark.parametrize("other", [anthropic_ask, openai_ask])
@given(ask=ASKS)
def test_what_both_can_say_survives_the_way_to_another_and_back(other: Any, ask: Ask) -> None:
    ask = sayable(ask)
    there = other.read_ask(other.write_ask(read_ask(write_ask(ask, "m").body), "m").body)
    assert sayable(read_ask(write_ask(sayable(there), "m").body)) == ask


@given(st.binary(min_size=1, max_size=40), st.booleans())
def test_bytes_come_in_either_alphabet_and_leave_in_the_one_of_all(data: bytes, bare: bool) -> None:
    """The provider's own SDK writes `-` and `_`, which every other dialect refuses."""
    sent = base64.urlsafe_b64encode(data).decode()
    blob = {"mimeType": "image/png", "data": sent.rstrip("=") if bare else sent}
    ask = read({"contents": [{"parts": [{"inlineData": blob}]}]})
    image = Image("image/png", base64.b64encode(data).decode())
    assert ask.turns == (Turn("user", (image,)),)


@pytest.mark.parametrize("url", ["https://www.youtube.com/watch?v=x", "https://example.com/a.mp4"])
def test_a_file_that_is_no_picture_by_all_that_is_said_is_not_taken_for_one(url: str) -> None:
    (lost,) = read({"contents": [{"parts": [{"fileData": {"fileUri": url}}, *HI["parts"]]}]}).lost
    assert (lost.field, lost.tolerable) == ("contents[0].parts[0].fileData", False)


@given(ASKS)
def test_names_may_be_written_in_either_spelling(ask: Ask) -> None:
    """As protocol buffers allow; what is a client's own JSON is left alone."""
    body = write_ask(sayable(ask), "m").body
    snake = body
    for name, other in (
        (b"systemInstruction", b"system_instruction"),
        (b"generationConfig", b"generation_config"),
        (b"functionDeclarations", b"function_declarations"),
        (b"parametersJsonSchema", b"parameters_json_schema"),
        (b"functionCallingConfig", b"function_calling_config"),
        (b"toolConfig", b"tool_config"),
        (b"functionCall", b"function_call"),
        (b"functionResponse", b"function_response"),
        (b"thoughtSignature", b"thought_signature"),
        (b"inlineData", b"inline_data"),
        (b"mimeType", b"mime_type"),
        (b"maxOutputTokens", b"max_output_tokens"),
    ):
        snake = snake.replace(b'"%b":' % name, b'"%b":' % other)  # no text holds a bare quote
    assert read_ask(snake) == read_ask(body)


# -------------------------------------------------------------------- reading


def test_a_system_prompt_is_read_in_each_of_its_forms() -> None:
    for system in (
        {"parts": [{"text": "Be"}, {"text": ""}, {"text": "brief."}]},
        {"role": "system", "parts": [{"text": "Be"}, {"text": "brief."}]},
    ):
        assert read({"systemInstruction": system}).system == (Text("Be"), Text("brief."))
    assert read({"system_instruction": {"parts": {"text": "Be"}}}).system == (Text("Be"),)
    assert read({"systemInstruction": "Be"}).system == (Text("Be"),)


def test_each_part_is_read() -> None:
    data = base64.b64encode(b"plain words").decode()
    parts = [
        {"text": "see"},
        {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
        {"fileData": {"fileUri": "https://example.com/a.png"}},
        {"inline_data": {"mime_type": "application/pdf", "data": "aGk=", "displayName": "a.pdf"}},
        {"fileData": {"mimeType": "application/pdf", "fileUri": "https://example.com/a"}},
        {"inlineData": {"mimeType": "text/plain", "data": data}},
    ]
    ask = read({"contents": {"parts": parts}})
    assert ask.turns == (
        Turn(
            "user",
            (
                Text("see"),
                Image("image/png", "aGk="),
                Image(url="https://example.com/a.png"),
                Document("application/pdf", "aGk=", name="a.pdf"),
                Document("application/pdf", url="https://example.com/a"),
                Document("text/plain", text="plain words"),
            ),
        ),
    )
    assert ask.lost == ()


def call(name: str, id_: str = "", **more: Any) -> Json:
    made = {"name": name, "args": {}} | ({"id": id_} if id_ else {})
    return {"functionCall": made, **more}


def result(name: str, response: Json, id_: str = "") -> Json:
    made = {"name": name, "response": response} | ({"id": id_} if id_ else {})
    return {"functionResponse": made}


def test_calls_without_ids_are_answered_by_name_and_order() -> None:
    ask = read(
        {
            "contents": [
                HI,
                {"role": "model", "parts": [call("a"), call("b"), call("a")]},
                {"role": "function", "parts": [result("b", {"n": 1})]},
                {"role": "user", "parts": [result("a", {"output": "1"}), {"text": "go on"}]},
                {"role": "user", "parts": [result("a", {"error": "no"})]},
            ]
        }
    )
    assert [call.id for call in ask.turns[1].parts] == ["call_1", "call_2", "call_3"]
    assert ask.turns[2:] == (
        Turn("user", (ToolResult("call_2", (Text('{"n": 1}'),)),)),
        Turn("user", (ToolResult("call_1", (Text("1"),)), Text("go on"))),
        Turn("user", (ToolResult("call_3", (Text("no"),), error=True),)),
    )


def test_calls_with_ids_are_answered_by_them() -> None:
    said = [call("a", "x"), call("a", "y")]
    told = [result("a", {"result": {"k": 1}}, "y"), result("a", {"output": ""}, "x")]
    ask = read({"contents": [HI, {"role": "model", "parts": said}, {"parts": told}]})
    assert ask.turns[2].parts == (ToolResult("y", (Text('{"k": 1}'),)), ToolResult("x"))


def test_what_a_tool_shows_is_read() -> None:
    shown = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
    told = result("a", {"output": "see"})
    told["functionResponse"]["parts"] = [shown]
    ask = read({"contents": [HI, {"role": "model", "parts": [call("a")]}, {"parts": [told]}]})
    assert ask.turns[2].parts == (ToolResult("call_1", (Text("see"), Image("image/png", "aGk="))),)


def test_each_chunk_that_a_client_kept_is_a_part_of_one_turn() -> None:
    chunks = [[{"text": "On"}], [{"text": "e"}], [call("a")], [{"text": ""}]]
    said = [{"role": "model", "parts": parts} for parts in chunks]
    ask = read({"contents": [HI, *said, {"parts": [result("a", {})]}]})
    assert ask.turns[1] == Turn("assistant", (Text("One"), ToolCall("call_1", "a")))


def test_thoughts_and_their_signatures_are_read_where_they_stand() -> None:
    parts = [
        {"text": "hm", "thought": True},
        {"text": "Well", "thoughtSignature": "c2lnMQ=="},
        call("a", "x", thoughtSignature="c2lnMg=="),
        call("b", "y", thoughtSignature=UNSIGNED),
    ]
    told = [result("a", {}, "x"), result("b", {}, "y")]
    ask = read({"contents": [HI, {"role": "model", "parts": parts}, {"parts": told}]})
    assert ask.turns[1].parts == (
        Thinking("hm", origin="gemini"),
        Thinking(signature="c2lnMQ==", origin="gemini"),
        Text("Well"),
        Thinking(signature="c2lnMg==", origin="gemini"),
        ToolCall("x", "a"),
        ToolCall("y", "b"),
    )
    sent = written(ask)["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in sent] == [None, "c2lnMQ==", "c2lnMg==", None]
    assert sent[0] == parts[0]


def test_a_seal_gives_foreign_thoughts_back_and_what_was_shown_of_them_goes() -> None:
    foreign = Thinking("Let me see", "sig", origin="anthropic")
    chunks = [
        {"role": "model", "parts": [{"text": "Let me see", "thought": True}]},
        {"role": "model", "parts": [call("a", "x", thoughtSignature=sealed([foreign]))]},
    ]
    ask = read({"contents": [HI, *chunks, {"parts": [result("a", {}, "x")]}]})
    assert ask.turns[1].parts == (foreign, ToolCall("x", "a"))


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({"thinkingBudget": 0}, Reasoning("off")),
        ({"thinkingBudget": -1}, Reasoning("auto")),
        ({"thinkingBudget": 2048, "includeThoughts": True}, Reasoning("on", 2048)),
        ({"thinkingLevel": "HIGH"}, Reasoning("on", effort="high")),
        ({"includeThoughts": True}, Reasoning("auto")),
        ({"includeThoughts": False}, None),
        ({}, None),
    ],
)
def test_how_much_is_thought_is_read(config: Json, found: Reasoning | None) -> None:
    assert drawn({"thinkingConfig": config}).reasoning == found


def test_how_it_is_drawn_is_read() -> None:
    config = {
        "maxOutputTokens": 9,
        "temperature": 2,
        "topP": 0.5,
        "topK": 40.0,
        "seed": -3,
        "frequencyPenalty": 0.1,
        "presencePenalty": -0.1,
        "stopSequences": ["a"],
        "candidateCount": 2,
        "responseLogprobs": True,
        "logprobs": "3",
        "responseModalities": ["TEXT"],
    }
    assert drawn(config).sampling == Sampling(
        max_tokens=9,
        temperature=2.0,
        top_p=0.5,
        top_k=40,
        seed=-3,
        frequency_penalty=0.1,
        presence_penalty=-0.1,
        stop=("a",),
        choices=2,
        logprobs=True,
        top_logprobs=3,
    )


def test_the_form_is_read_by_each_of_its_names() -> None:
    media = {"responseMimeType": "application/json"}
    assert drawn(media).form == Form("json_object")
    older = drawn(media | {"responseSchema": {"type": "ARRAY", "items": {"type": "STRING"}}}).form
    assert older is not None
    assert json.loads(older.schema) == {"type": "array", "items": {"type": "string"}}
    newer = drawn(media | {"responseJsonSchema": {"$ref": "#"}}).form
    assert newer == Form("json_schema", b'{"$ref": "#"}', strict=True)
    assert drawn({"responseMimeType": "text/plain"}).form is None


def test_tools_and_how_they_are_chosen_are_read() -> None:
    schema = {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}
    tools = [
        {
            "functionDeclarations": [
                {"name": "f", "description": "d", "parameters": schema},
                {"name": "g", "parametersJsonSchema": {"$ref": "#"}},
                {"name": "h"},
            ]
        },
        {"googleSearch": {"x": 1}},
        {"codeExecution": {}, "urlContext": None},
    ]

    def chosen(**config: Any) -> Ask:
        return read({"tools": tools, "toolConfig": {"functionCallingConfig": config}})

    ask = chosen(mode="AUTO")
    assert [tool.name for tool in ask.tools] == ["f", "g", "h"]
    assert json.loads(ask.tools[0].schema)["properties"] == {"a": {"type": "string"}}
    assert ask.tools[1].schema == b'{"$ref": "#"}'
    assert ask.tools[2].schema == Tool("h").schema
    assert [(loss.field, loss.tolerable) for loss in ask.lost] == [
        ("tools[1].googleSearch", True),
        ("tools[2].codeExecution", True),  # which has no settings, and is one all the same
    ]
    assert ask.tool_choice == ToolChoice("auto")
    assert chosen(mode="any").tool_choice == ToolChoice("any")
    assert chosen(mode="NONE").tool_choice == ToolChoice("none")
    assert chosen(mode="ANY", allowedFunctionNames=["g"]).tool_choice == ToolChoice("named", "g")
    some = chosen(mode="ANY", allowedFunctionNames=["g", "h"])
    assert (some.tool_choice, len(some.tools)) == (ToolChoice("any"), 2)


def test_a_question_for_tokens_is_read_in_both_shapes() -> None:
    inner = {"model": "models/m", "contents": [HI], "systemInstruction": {"parts": [{"text": "s"}]}}
    ask = read_ask(json.dumps({"generateContentRequest": inner}).encode())
    assert ask.system == (Text("s"),)
    assert ask.turns == read({}).turns


@pytest.mark.parametrize(
    ("fields", "field", "tolerable"),
    [
        ({"cachedContent": "cachedContents/x"}, "cachedContent", False),
        ({"safetySettings": [{"category": "X"}]}, "safetySettings", True),
        ({"labels": {"a": "b"}}, "labels", True),
        ({"tools": [{"codeExecution": {"a": 1}}]}, "tools[0].codeExecution", True),
        ({"tools": [{"computerUse": {"a": 1}}]}, "tools[0].computerUse", False),
        ({"generationConfig": {"speechConfig": {"a": 1}}}, "generationConfig.speechConfig", False),
        ({"generationConfig": {"responseModalities": ["IMAGE"]}},
         "generationConfig.responseModalities", False),
        ({"generationConfig": {"mediaResolution": "X"}}, "generationConfig.mediaResolution", True),
        ({"contents": [{"parts": [{"fieldOfTomorrow": {"a": 1}}]}]},
         "contents[0].parts[0].fieldOfTomorrow", False),
        ({"contents": [{"parts": [{"fieldOfTomorrow": {}}]}, HI]},
         "contents[0].parts[0].fieldOfTomorrow", False),
        ({"contents": [{"parts": [{"text": "x", "videoMetadata": {"fps": 1}}]}]},
         "contents[0].parts[0].videoMetadata", True),
        ({"contents": [{"parts": [{"inlineData": {"mimeType": "audio/mp3", "data": "x"}}]}]},
         "contents[0].parts[0].inlineData", False),
        ({"contents": [{"parts": [{"fileData": {
            "fileUri": "https://example.com/v1beta/files/abc", "mimeType": "image/png"}}]}]},
         "contents[0].parts[0].fileData", False),
        ({"contents": [HI, {"role": "model", "parts": [{"executableCode": {"code": "x"}}]}, HI]},
         "contents[1].parts[0].executableCode", True),
    ],
)  # fmt: skip
def test_what_has_no_word_elsewhere_is_a_loss_with_its_name(
    fields: Json, field: str, tolerable: bool
) -> None:
    (lost,) = read(fields).lost
    assert (lost.field, lost.tolerable) == (field, tolerable)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"contents": []}, "contents is missing or empty"),
        ({"contents": 5}, "contents is not a list of objects"),
        ({"contents": ["hi"]}, r"contents\[0\] is not a JSON object"),
        ({"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}, r"contents\[0\].role"),
        ({"contents": [{"role": "user"}]}, r"contents\[0\].parts is missing"),
        ({"contents": [{"parts": [{}]}]}, r"contents\[0\].parts\[0\] holds nothing"),
        ({"contents": [{"parts": [{"text": 5}]}]}, r"contents\[0\].parts\[0\].text"),
        ({"contents": [{"parts": [{"inlineData": {"data": "x"}}]}]}, "mimeType is missing"),
        ({"contents": [{"parts": [{"fileData": {"mimeType": "image/png"}}]}]}, "fileUri"),
        ({"contents": [{"parts": [result("f", {})]}]}, "'f', which the turn before"),
        ({"contents": [HI, {"role": "model", "parts": [call("f")]}, HI]}, "no result of the call"),
        ({"contents": [HI, {"role": "model", "parts": [call("f")]}, HI,
                       {"role": "model", "parts": [{"text": "x"}]}, HI]}, "it has no result"),
        ({"contents": [HI, {"role": "model", "parts": [{"functionCall": {"args": {}}}]}]}, "name"),
        ({"contents": [HI, {"role": "model", "parts": [
            {"functionCall": {"name": "f", "args": []}}]}]}, "args is not a JSON object"),
        ({"systemInstruction": {"parts": [{"inlineData": {}}]}}, r"systemInstruction.parts\[0\]"),
        ({"tools": [{"functionDeclarations": [{}]}]}, "name is missing"),
        ({"tools": [{"functionDeclarations": [{"name": "f", "parameters": 5}]}]}, "parameters"),
        ({"toolConfig": {"functionCallingConfig": {"mode": "SOME"}}}, "mode is 'SOME'"),
        ({"generationConfig": {"maxOutputTokens": 1.5}}, "generationConfig.maxOutputTokens"),
        ({"generationConfig": {"topK": -1}}, "topK is out of range"),
        ({"generationConfig": {"candidateCount": 0}}, "candidateCount is out of range"),
        ({"generationConfig": {"temperature": "hot"}}, "generationConfig.temperature"),
        ({"generationConfig": {"stopSequences": "x"}}, "stopSequences"),
        ({"generationConfig": {"responseMimeType": "text/html"}}, "responseMimeType"),
        ({"generationConfig": {"thinkingConfig": {"thinkingLevel": "wild"}}}, "thinkingLevel"),
        ({"generationConfig": []}, "generationConfig"),
    ],
)  # fmt: skip
def test_a_field_that_is_wrong_is_named(fields: Json, says: str) -> None:
    with pytest.raises(BadFieldError, match=says):
        read(fields)


def test_the_last_word_is_the_users() -> None:
    with pytest.raises(CannotCrossError, match="end with the user"):
        read({"contents": [HI, {"role": "model", "parts": [{"text": "x"}]}]})


@given(VALUES)
def test_any_json_is_read_or_refused(value: object) -> None:
    part = {"parts": [{"text": value}, {"functionCall": value}, {"inlineData": value}]}
    for fields in (
        {"contents": value},
        {"contents": [value]},
        {"contents": [{"parts": value}]},
        {"contents": [{"parts": [value]}]},
        {"contents": [part]},
        {"systemInstruction": value, "tools": value, "toolConfig": value},
        {"generationConfig": value, "contents": [HI]},
        {
            "contents": [HI],
            "tools": [{"functionDeclarations": [{"name": "f", "parameters": value}]}],
        },
        {
            "contents": [HI],
            "generationConfig": {"topK": value, "seed": value, "thinkingConfig": value},
        },
    ):
        try:
            ask = read_ask(json.dumps(fields).encode())
        except CannotCrossError:
            continue
        assert ask.turns


# -------------------------------------------------------------------- passing


def test_what_others_signed_is_taken_out_and_the_rest_stays() -> None:
    seal = sealed([Thinking("hm", "sig", origin="anthropic")])
    parts = [
        {"text": "hm", "thought": True},
        {"text": "Well", "thoughtSignature": seal},
        call("a", "x", thoughtSignature=seal),
        {"text": "", "thought_signature": seal},
        {"text": "own", "thoughtSignature": "c2ln"},
    ]
    body = {"contents": [HI, {"role": "model", "parts": parts}], "x": 1}
    found = json.loads(own(json.dumps(body).encode()))
    assert found["contents"][1]["parts"] == [
        parts[0],
        {"text": "Well"},
        call("a", "x", thoughtSignature=UNSIGNED),
        parts[4],
    ]
    assert (found["contents"][0], found["x"]) == (HI, 1)
    alone = {"contents": [{"role": "model", "parts": [{"text": "", "thoughtSignature": seal}]}]}
    assert json.loads(own(json.dumps(alone).encode()))["contents"][0]["parts"] == [{"text": ""}]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"contents":5}', b'{"contents":["%b"]}' % SEALED.encode(), SEALED.encode()],
)
def test_what_is_not_of_the_dialect_stays_as_it_is(body: bytes) -> None:
    assert own(body) == body
    assert own(body + SEALED.encode()) == body + SEALED.encode()


# -------------------------------------------------------------------- writing


@pytest.mark.parametrize(
    ("model", "reasoning", "found"),
    [
        ("g-2.5-flash", Reasoning("on", 2048), {"thinkingBudget": 2048}),
        ("g-2.5-flash", Reasoning("on", effort="high"), {"thinkingBudget": 24576}),
        ("g-2.5-flash", Reasoning("auto"), {}),
        ("g-3-pro", Reasoning("on", 2048), {"thinkingLevel": "low"}),
        ("g-3.5-pro", Reasoning("on", 9000), {"thinkingLevel": "high"}),
        ("g-3-pro", Reasoning("on", effort="medium"), {"thinkingLevel": "medium"}),
        ("g-3-pro", Reasoning("auto", effort="max"), {"thinkingLevel": "high"}),
        ("nameless", Reasoning("on", 2048), {"thinkingBudget": 2048}),
        ("nameless", Reasoning("on", effort="low"), {"thinkingLevel": "low"}),
    ],
)
def test_each_generation_is_told_how_much_to_think_in_its_words(
    model: str, reasoning: Reasoning, found: Json
) -> None:
    config = written(asked(reasoning=reasoning), model)["generationConfig"]["thinkingConfig"]
    assert config == {"includeThoughts": True} | found


def test_who_can_do_without_is_told_not_to_think() -> None:
    config = written(asked(reasoning=Reasoning("off")), "m")["generationConfig"]
    assert config == {"thinkingConfig": {"thinkingBudget": 0}}


@pytest.mark.parametrize(
    ("model", "found"),
    [("g-2.5-flash-lite", 2.5), ("g-3-pro-preview", 3.0), ("g-flash-latest", None), ("g4", 4.0)],
)
def test_the_first_number_in_a_name_is_its_generation(model: str, found: float | None) -> None:
    assert generation_of(model) == found


def test_the_first_call_of_a_turn_is_signed_or_marked_where_models_insist() -> None:
    turns = (
        Turn("user", (Text("x"),)),
        Turn(
            "assistant",
            (Thinking("", "sig", origin="anthropic"), ToolCall("a", "f"), ToolCall("b", "f")),
        ),
        Turn("user", (ToolResult("a"), ToolResult("b"))),
    )
    newer = written(Ask(turns=turns), "g-3-pro")["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in newer] == [UNSIGNED, None]
    older = written(Ask(turns=turns), "g-2.5-pro")["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in older] == [None, None]
    assert [loss.field for loss in write_ask(Ask(turns=turns), "m").lost] == ["thinking"]


def test_a_schema_is_said_by_the_name_that_takes_it() -> None:
    simple = b'{"type":"object","properties":{"a":{"type":"string"}}}'
    strict = b'{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}'
    tools = (Tool("f", schema=simple), Tool("g", schema=strict), Tool("h"))
    ask = asked(tools=tools, form=Form("json_schema", strict))
    (declared,) = written(ask)["tools"]
    assert declared["functionDeclarations"] == [
        {"name": "f", "parameters": json.loads(simple)},
        {"name": "g", "parametersJsonSchema": json.loads(strict)},
        {"name": "h"},
    ]
    assert written(ask)["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": json.loads(strict),
    }
    assert "responseSchema" in written(asked(form=Form("json_schema", simple)))["generationConfig"]


def test_results_come_first_and_what_they_show_behind_them() -> None:
    shown = ToolResult("a", (Text("see"), Image("image/png", "aGk=")))
    turns = (
        Turn("user", (Text("x"),)),
        Turn("assistant", (ToolCall("a", "f"),)),
        Turn("system", (Text("Hurry."),)),
        Turn("user", (shown, Text("go on"))),
    )
    sent = write_ask(Ask(turns=turns), "m")
    *_, last = json.loads(sent.body)["contents"]
    assert last["parts"] == [
        {"functionResponse": {"id": "a", "name": "f", "response": {"output": "see"}}},
        {"text": "Hurry."},
        {"text": "(shown by the tool call a)"},
        {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
        {"text": "go on"},
    ]
    assert [loss.field for loss in sent.lost] == ["system"]


def test_an_id_that_is_too_long_is_fitted_in_both_places() -> None:
    turns = (
        Turn("user", (Text("x"),)),
        Turn("assistant", (ToolCall("i" * 80, "n" * 80),)),
        Turn("user", (ToolResult("i" * 80, (Text("no"),), error=True),)),
    )
    _, said, told = written(Ask(turns=turns))["contents"]
    made, given = said["parts"][0]["functionCall"], told["parts"][0]["functionResponse"]
    assert (made["id"], made["name"]) == (given["id"], given["name"])
    assert len(made["id"]) == len(made["name"]) == 64
    assert given["response"] == {"error": "no"}


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (asked(sampling=Sampling(stop=tuple("abcdef"))), "5 stop sequences"),
        (asked(Text("")), "no empty message"),
        (asked(ToolCall("a", "f")), "ToolCall"),
    ],
)
def test_what_the_dialect_would_refuse_is_not_sent(ask: Ask, says: str) -> None:
    with pytest.raises(CannotCrossError, match=says):
        write_ask(ask, "m")


@pytest.mark.parametrize(
    ("ask", "field"),
    [
        (asked(user="me"), "user"),
        (asked(Text("x", b"{}")), "cache_control"),
        (asked(Document("application/pdf", "aGk=", name="a")), "document"),
        (asked(tools=(Tool("f", strict=True),)), "strict"),
        (asked(tools=(Tool("f"),), tool_choice=ToolChoice("any", parallel=False)),
         "parallel_tool_calls"),
    ],
)  # fmt: skip
def test_what_only_others_can_is_a_loss_that_can_be_borne(ask: Ask, field: str) -> None:
    assert [(loss.field, loss.tolerable) for loss in write_ask(ask, "m").lost] == [(field, True)]


@given(st.text(max_size=20))
def test_any_model_has_a_generation_or_none(model: str) -> None:
    found = generation_of(model)
    assert found is None or 0 <= found < 100


# Whether a form can be demanded beside tools, by the generation of the model.
@pytest.mark.parametrize(
    ("model", "held"), [("gemini-2.5-flash", False), ("gemini-3-pro", True), ("other", True)]
)
def test_a_form_beside_tools_is_asked_for_in_words_where_it_is_refused(
    model: str, held: bool
) -> None:
    form = Form("json_schema", b'{"type":"object","properties":{"a":{"type":"string"}}}')
    sent = write_ask(asked(tools=(Tool("f"),), form=form), model)
    body = json.loads(sent.body)
    assert ("responseMimeType" in body.get("generationConfig", {})) == held
    assert (form.schema.decode() in str(body.get("systemInstruction"))) != held
    assert [lost.field for lost in sent.lost] == ([] if held else ["response_format"])


def test_a_seed_of_more_bits_than_are_taken_is_a_loss_and_an_empty_stop_says_nothing() -> None:
    sent = write_ask(asked(sampling=Sampling(seed=2**31, stop=("", "x"))), "m")
    assert json.loads(sent.body)["generationConfig"] == {"stopSequences": ["x"]}
    assert [lost.field for lost in sent.lost] == ["seed"]
    sent = write_ask(asked(sampling=Sampling(seed=2**31 - 1)), "m")
    assert sent.lost == ()


@pytest.mark.parametrize(
    "part",
    [
        {"text": "see", "inlineData": {"mimeType": "image/png", "data": "aGk="}},
        {"functionCall": {"name": "f"}, "inlineData": {"mimeType": "image/png", "data": "aGk="}},
    ],
)
def test_a_part_that_holds_two_things_is_refused(part: Json) -> None:
    with pytest.raises(BadFieldError, match="a part holds one thing"):
        read({"contents": [{"parts": [part]}]})


def test_a_tool_whose_name_begins_with_a_digit_is_named_otherwise() -> None:
    turns = (
        Turn("user", (Text("q"),)),
        Turn("assistant", (ToolCall("i", "3d"),)),
        Turn("user", (ToolResult("i", (Text("r"),)),)),
    )
    sent = written(Ask(turns=turns, tools=(Tool("3d"),), tool_choice=ToolChoice("named", "3d")))
    name = sent["tools"][0]["functionDeclarations"][0]["name"]
    assert name.startswith("_3d_")
    calling = sent["toolConfig"]["functionCallingConfig"]
    assert calling["allowedFunctionNames"] == [name]
    assert sent["contents"][1]["parts"][0]["functionCall"]["name"] == name
    assert sent["contents"][2]["parts"][0]["functionResponse"]["name"] == name
