"""The OpenAI SDK's `responses` through a real gateway: the same dialect and each other one."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from tests.clients.sdk import PROMPT, Sdk, majors
from tests.doubles import acts
from tests.doubles.acts import Act
from tests.doubles.provider import Provider
from tests.gateway import Gateway, Upstream, gateway

DIALECTS = {"anthropic": "a", "openai": "o", "openai-responses": "r"}
MODELS = {"anthropic": "claude-haiku-5", "openai": "gpt-5.1", "openai-responses": "gpt-5.1"}
SHORT = {"headers_s": 1.0, "content_s": 1.0, "idle_s": 1.0, "whole_s": 1.5}
ERRORS = {403: "forbidden", 429: "limited", 529: "overloaded"}
BREAKS: dict[str, Act] = {
    "end": acts.end(8),
    "reset": acts.cut("words", 8, rst=True),
    "error": acts.error_event(8),
    "utf8": acts.cut("utf8", 8),
}
Json = dict[str, Any]
Doubles = dict[str, Provider]


def whole(body: Json) -> Act:
    return acts.recorded(json.dumps(body).encode(), "application/json")


USAGE = {"input_tokens": 3, "output_tokens": 2}
ARGUMENTS = '{"city": "Zürich ☕"}'
# An answer of each dialect that calls both kinds of tools, with what was thought before.
CALLS = {
    "anthropic": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-5",
        "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
            {"type": "text", "text": "Let me see."},
            {
                "type": "tool_use",
                "id": "toolu_1",
                "name": "mcp__sky__weather",
                "input": {"city": "Zürich ☕"},
            },
            {"type": "tool_use", "id": "toolu_2", "name": "patch", "input": {"input": "*** x"}},
        ],
        "stop_reason": "tool_use",
        "usage": USAGE,
    },
    "openai": {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "gpt-5.1",
        "choices": [
            {
                "index": 0,
                "finish_reason": "tool_calls",
                "message": {
                    "role": "assistant",
                    "content": "Let me see.",
                    "tool_calls": [
                        {
                            "id": "call_1",
                            "type": "function",
                            "function": {"name": "mcp__sky__weather", "arguments": ARGUMENTS},
                        },
                        {
                            "id": "call_2",
                            "type": "function",
                            "function": {"name": "patch", "arguments": '{"input":"*** x"}'},
                        },
                    ],
                },
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2},
    },
    "openai-responses": {
        "id": "resp_1",
        "object": "response",
        "status": "completed",
        "model": "gpt-5.1",
        "output": [
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAx"},
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": "Let me see.", "annotations": []}],
            },
            {
                "type": "function_call",
                "id": "fc_1",
                "call_id": "call_1",
                "namespace": "mcp__sky",
                "name": "weather",
                "arguments": ARGUMENTS,
            },
            {
                "type": "custom_tool_call",
                "id": "ctc_1",
                "call_id": "call_2",
                "name": "patch",
                "input": "*** x",
            },
        ],
        "usage": USAGE,
    },
}
TOOLS = [
    {
        "type": "namespace",
        "name": "mcp__sky",
        "description": "Sky",
        "tools": [
            {
                "type": "function",
                "name": "weather",
                "description": "Now",
                "strict": False,
                "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
            }
        ],
    },
    {"type": "custom", "name": "patch", "description": "Edit"},
]


@pytest.fixture(scope="module")
def clients() -> Iterator[dict[bool, Sdk]]:
    running = {old: Sdk("responses", old=old) for _, old in majors(["openai"])}
    yield running
    for sdk in running.values():
        sdk.close()


@pytest.fixture(scope="module")
def _places() -> Iterator[Doubles]:
    with (
        Provider("ada", "anthropic") as ada,
        Provider("oda", "openai") as oda,
        Provider("rea", "openai-responses") as rea,
    ):
        yield {double.dialect: double for double in (ada, oda, rea)}


@pytest.fixture
def places(_places: Doubles) -> Iterator[Doubles]:
    """One double of each dialect."""
    for double in _places.values():
        double.reset()
    yield _places
    assert not [said for double in _places.values() for said in double.complaints]


@pytest.fixture(scope="module")
def house(_places: Doubles, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway in which each case has a provider of its own: what breaks there rests there."""
    cases = ["well", "loop", "named", "back", *BREAKS, *map(str, ERRORS)]
    upstreams, routes = [], []
    for dialect, letter in DIALECTS.items():
        double = _places[dialect]
        for case in cases:
            name = f"{letter}_{case}"
            upstreams.append(Upstream(name, dialect, double.url, double.key))
            routes.append((f"{dialect}-{case}", [f"{name}/{MODELS[dialect]}"]))
    second = [f"r_back/{MODELS['openai-responses']}", f"a_back/{MODELS['anthropic']}"]
    routes.append(("switch", second))
    with gateway(tmp_path_factory.mktemp("responses"), upstreams, routes, **SHORT) as running:
        yield running


Get = Callable[[bool], Sdk]
everywhere = pytest.mark.parametrize("there", DIALECTS)


@everywhere
@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("do", ["plain", "stream", "helper"])
def test_an_answer_comes_through_exactly(
    clients: dict[bool, Sdk], places: Doubles, house: Gateway, there: str, old: bool, do: str
) -> None:
    double = places[there]
    told = clients[old].ask(do, url=house.url, model=f"{there}-well")
    assert (told.error, told.text) == (None, double.text())
    assert (told.stop, told.tokens) == ("completed", 20)
    assert told.items[0]["content"][0]["text"] == double.text()
    (call,) = double.calls
    assert call.refused is None
    assert PROMPT in json.dumps(call.json, ensure_ascii=False)
    assert "You count." in call.body.decode()


def test_the_same_dialect_arrives_byte_for_byte(
    clients: dict[bool, Sdk], places: Doubles, house: Gateway
) -> None:
    double = places["openai-responses"]
    more = {"metadata": {"a": "ü"}, "prompt_cache_key": "k"}
    clients[False].ask("plain", url=double.url, key=double.key, model="gpt-5.1", more=more)
    clients[False].ask("plain", url=house.url, model="r_well/gpt-5.1", more=more)
    direct, through = (call.body for call in double.calls)
    assert through == direct


@everywhere
@pytest.mark.parametrize("old", [False, True])
def test_a_tool_loop_of_two_turns_works(
    clients: dict[bool, Sdk], places: Doubles, house: Gateway, there: str, old: bool
) -> None:
    """The SDK hands back what it was given; the strict double takes it, its thoughts included."""
    double = places[there]
    double.play(whole(CALLS[there]))
    more = {"tools": TOOLS, "store": False, "include": ["reasoning.encrypted_content"]}
    told = clients[old].ask("loop", url=house.url, model=f"{there}-loop", more=more)
    assert (told.error, told.text) == (None, double.text())
    *_, text, call, custom = told.items
    assert text["content"][0]["text"] == "Let me see."
    assert (call["namespace"], call["name"]) == ("mcp__sky", "weather")
    assert json.loads(call["arguments"]) == {"city": "Zürich ☕"}
    assert (custom["type"], custom["name"], custom["input"]) == (
        "custom_tool_call",
        "patch",
        "*** x",
    )
    first, second = double.calls
    assert (first.refused, second.refused) == (None, None)
    said = json.dumps(second.json, ensure_ascii=False)
    assert said.count("12 °C ☕") == 2
    if there == "anthropic":
        thought, _, used, _ = second.json["messages"][1]["content"]
        assert thought == CALLS["anthropic"]["content"][0]
        assert used["id"] == "toolu_1"


def test_thoughts_of_a_stand_in_are_not_shown_to_the_first_choice(
    clients: dict[bool, Sdk], places: Doubles, house: Gateway
) -> None:
    """The first turn is answered by a stand-in; the second finds the first choice well again."""
    places["openai-responses"].play(acts.status(529))
    places["anthropic"].play(whole(CALLS["anthropic"]))
    more = {"tools": TOOLS, "store": False}
    told = clients[False].ask("loop", url=house.url, model="switch", more=more)
    assert told.error is None
    for double in places.values():
        assert [call.refused for call in double.calls] == [None] * len(double.calls)


@everywhere
def test_a_conversation_goes_on_by_the_name_of_its_answer(
    clients: dict[bool, Sdk], places: Doubles, house: Gateway, there: str
) -> None:
    double = places[there]
    told = clients[False].ask("named", url=house.url, model=f"{there}-named")
    assert (told.error, told.text) == (None, double.text())
    assert told.items[0] == told.items[1]
    second = double.calls[1].json
    if there == "openai-responses":
        assert second["previous_response_id"] == told.items[0]
        return
    said = json.dumps(second, ensure_ascii=False)
    assert PROMPT in said
    assert double.text().strip() in said
    assert "And now?" in said


@everywhere
@pytest.mark.parametrize("status", ERRORS)
@pytest.mark.parametrize("do", ["plain", "stream"])
def test_an_error_is_one_of_the_sdk(
    clients: dict[bool, Sdk], places: Doubles, house: Gateway, there: str, status: int, do: str
) -> None:
    double = places[there]
    double.always(acts.status(status))
    told = clients[False].ask(do, url=house.url, model=f"{there}-{status}")
    assert told.error in ("PermissionDeniedError", "RateLimitError", "InternalServerError")
    assert told.status in (status, 503)
    assert told.body is not None
    error = json.loads(told.body)["error"]
    assert error["message"]
    assert error["type"]


@everywhere
@pytest.mark.parametrize("case", BREAKS)
def test_a_break_is_never_taken_for_an_answer(
    clients: dict[bool, Sdk], places: Doubles, house: Gateway, there: str, case: str
) -> None:
    double = places[there]
    double.always(BREAKS[case])
    told = clients[False].ask("stream", url=house.url, model=f"{there}-{case}")
    assert told.error
    assert told.text == double.text(8)


@pytest.mark.parametrize("name", ["anthropic", "openai"])
@pytest.mark.parametrize("do", ["plain", "stream", "helper"])
def test_a_target_that_speaks_it_answers_other_clients(
    sdks: Callable[[str, bool], Sdk], places: Doubles, house: Gateway, name: str, do: str
) -> None:
    double = places["openai-responses"]
    told = sdks(name, False).ask(do, url=house.url, model="openai-responses-back", usage=True)
    assert (told.error, told.text) == (None, double.text())
    assert told.stop in ("end_turn", "stop")
    (call,) = double.calls
    assert call.refused is None
    assert call.json["instructions"] == "You count."


def post(house: Gateway, path: str, fields: Json) -> tuple[int, Any]:
    sent = urllib.request.Request(
        house.url + path, json.dumps(fields).encode(), {"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(sent, timeout=10) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_a_body_of_this_dialect_on_the_path_of_chat_gets_chats_answer(
    places: Doubles, house: Gateway
) -> None:
    fields = {"model": "openai-well", "stream": True, "input": [{"role": "user", "content": "q"}]}
    status, body = post(house, "/v1/chat/completions", fields)
    assert status == 200
    assert b"chat.completion.chunk" in body
    assert body.endswith(b"data: [DONE]\n\n")
    (call,) = places["openai"].calls
    assert call.json["messages"] == [{"role": "user", "content": "q"}]


@pytest.mark.parametrize(
    ("path", "fields", "says"),
    [
        ("/v1/responses", {"messages": []}, "`messages` is of another dialect"),
        ("/v1/responses", {}, "`input` is missing"),
        ("/v1/responses", {"input": [{"role": "king", "content": "x"}]}, "input[0].role"),
        ("/v1/responses", {"input": [{"type": "function_call"}]}, "input[0].name"),
        ("/v1/responses", {"input": "x", "tools": [{"type": "function"}]}, "tools[0].name"),
        ("/v1/responses", {"input": "x", "previous_response_id": "r"}, "previous_response_id"),
        ("/v1/chat/completions", {"input": [{"role": "king", "content": "x"}]}, "input[0].role"),
    ],
)
def test_what_is_wrong_is_named(
    places: Doubles, house: Gateway, path: str, fields: Json, says: str
) -> None:
    status, body = post(house, path, {"model": "anthropic-well", **fields})
    assert status == 400
    assert says in body["error"]["message"]
    assert body["error"]["type"] == "invalid_request_error"
    assert not places["anthropic"].seen


def test_conversations_and_answers_that_nobody_else_keeps_are_kept_here(
    places: Doubles, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No provider here speaks the dialect; the SDK's resources work all the same."""
    double = places["anthropic"]
    upstreams = [Upstream("ada", double.dialect, double.url, double.key)]
    folder = tmp_path_factory.mktemp("kept")
    with gateway(folder, upstreams, [("m", [f"ada/{MODELS['anthropic']}"])]) as alone:
        client = openai.OpenAI(base_url=f"{alone.url}/v1", api_key="k", max_retries=0)
        with client:
            talk = client.conversations.create(items=[{"role": "user", "content": "I am Ada."}])
            for question in ("Who am I?", "And now?"):
                said = client.responses.create(model="m", input=question, conversation=talk.id)
            assert client.responses.retrieve(said.id).output_text == double.text()
            client.responses.delete(said.id)
            with pytest.raises(openai.NotFoundError):
                client.responses.retrieve(said.id)
    first, second = (call.json["messages"] for call in double.calls)
    assert json.dumps(first).count("I am Ada.") == json.dumps(second).count("I am Ada.") == 1
    assert [message["role"] for message in second] == ["user", "assistant", "user"]
    assert second[1]["content"] == double.text()
    assert second[2]["content"] == "And now?"
