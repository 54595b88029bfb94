"""Google's own SDK before the gateway: targets of its dialect, and of the others."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from tests.clients.sdk import PROMPT, Sdk, Told
from tests.doubles import acts
from tests.doubles.provider import Provider
from tests.gateway import Gateway, Upstream, gateway, upstream

SHORT = {"headers_s": 1.0, "content_s": 1.0, "idle_s": 1.0, "whole_s": 1.5}
MODELS = {"anthropic": "claude-haiku-5", "openai": "gpt-5.1", "gemini": "gemini-3-pro"}
NAMES = {"anthropic": "nu", "openai": "xi", "gemini": "mu"}
BREAKS = {
    "end": acts.end(8),
    "reset": acts.cut("words", 8, rst=True),
    "error": acts.error_event(8),
    "utf8": acts.cut("utf8", 8),
    "stall": acts.stall("words", 8),
}
FAILURES = {
    "503": acts.status(503),
    "500": acts.status(500),
    "html": acts.html(),
    "error_first": acts.error_event(-1),
    "cut": acts.cut("before_headers"),
}
STATUSES = (400, 403, 404, 429)
every_target = pytest.mark.parametrize("dialect", NAMES)


@pytest.fixture(scope="module")
def genai() -> Iterator[Sdk]:
    sdk = Sdk("gemini")
    yield sdk
    sdk.close()


@pytest.fixture(scope="module")
def _targets() -> Iterator[dict[str, Provider]]:
    with (
        Provider("mu", "gemini") as mu,
        Provider("nu", "anthropic") as nu,
        Provider("xi", "openai") as xi,
        Provider("pi", "gemini") as pi,
    ):
        yield {double.name: double for double in (mu, nu, xi, pi)}


@pytest.fixture(scope="module")
def before(
    _targets: dict[str, Provider], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A route to a target of each dialect, and those that fall over from one to another."""
    routes = [(f"to-{dialect}", [f"{NAMES[dialect]}/{MODELS[dialect]}"]) for dialect in NAMES]
    upstreams = [upstream(double) for double in _targets.values()]
    mu = _targets["mu"]
    for case in [*FAILURES, *STATUSES]:  # each with a provider of its own, that nothing befell yet
        for do in ("plain", "stream"):
            name = f"mu_{case}_{do}"
            upstreams.append(Upstream(name, mu.dialect, mu.url, mu.key))
            targets = [f"{name}/gemini-3-pro", "pi/gemini-3-pro"]
            routes.append((f"{case}-{do}", targets if case in FAILURES else targets[:1]))
    with gateway(tmp_path_factory.mktemp("gemini"), upstreams, routes, **SHORT) as running:
        yield running


@pytest.fixture
def targets(_targets: dict[str, Provider]) -> Iterator[dict[str, Provider]]:
    for double in _targets.values():
        double.reset()
    yield _targets
    assert not [said for double in _targets.values() for said in double.complaints]
    # Whether somebody is there at all is asked without a key.
    asked = [seen for double in _targets.values() for seen in double.seen if seen.method != "HEAD"]
    assert not [seen for seen in asked if seen.refused]


def well(told: Told) -> Told:
    assert told.error is None, told.error_text
    return told


@every_target
@pytest.mark.parametrize("version", ["v1", "v1beta"])
@pytest.mark.parametrize("do", ["plain", "stream"])
def test_the_sdk_is_answered_by_a_target_of_any_dialect(
    genai: Sdk, targets: dict[str, Provider], before: Gateway, dialect: str, version: str, do: str
) -> None:
    double = targets[NAMES[dialect]]
    told = well(genai.ask(do, url=before.url, model=f"to-{dialect}", version=version))
    assert (told.text, told.stop, told.tokens) == (double.text(), "STOP", 20)
    assert told.served_by == f"{double.name}/{MODELS[dialect]}"
    (call,) = double.calls
    assert "You count." in call.body.decode()
    assert "数到二十" in json.dumps(call.json, ensure_ascii=False)
    # The client's own key stays here.
    assert b"client-key" not in call.head + call.body


@every_target
def test_tokens_are_counted_or_it_is_said_that_nobody_does(
    genai: Sdk, targets: dict[str, Provider], before: Gateway, dialect: str
) -> None:
    del targets
    told = genai.ask("count", url=before.url, model=f"to-{dialect}")
    if dialect == "openai":
        assert told.status == 404
        assert "counts tokens" in told.error_text
    else:
        assert (well(told).tokens or 0) > 3


def test_models_are_listed_and_told_of(
    genai: Sdk, targets: dict[str, Provider], before: Gateway
) -> None:
    del targets
    for version in ("v1", "v1beta"):
        told = well(genai.ask("models", url=before.url, version=version))
        assert set(told.items) >= {f"models/to-{dialect}" for dialect in NAMES}
    task = {"url": before.url, "model": "mu/gemini-3-pro"}
    assert well(genai.ask("model", **task)).items == ["models/gemini-3-pro"]


@pytest.mark.parametrize("dialect", ["anthropic", "openai"])
@pytest.mark.parametrize("do", ["plain", "stream"])
def test_others_are_answered_by_a_target_of_this_dialect(
    sdks, targets: dict[str, Provider], before: Gateway, dialect: str, do: str
) -> None:
    told = well(sdks(dialect, False).ask(do, url=before.url, model="to-gemini", usage=True))
    assert (told.text, told.tokens) == (targets["mu"].text(), 20)
    assert told.stop == ("end_turn" if dialect == "anthropic" else "stop")
    (call,) = targets["mu"].calls
    assert call.json["systemInstruction"] == {"parts": [{"text": "You count."}]}
    assert call.target.endswith(":streamGenerateContent?alt=sse") is (do == "stream")


@every_target
@pytest.mark.parametrize("case", BREAKS)
def test_a_break_raises(
    genai: Sdk, targets: dict[str, Provider], before: Gateway, dialect: str, case: str
) -> None:
    double = targets[NAMES[dialect]]
    double.always(BREAKS[case])
    told = genai.ask("stream", url=before.url, model=f"to-{dialect}")
    assert told.error, "a broken stream was taken for an answer"
    assert told.text == double.text(8)


@pytest.mark.parametrize("case", FAILURES)
@pytest.mark.parametrize("do", ["plain", "stream"])
def test_a_failure_before_the_first_word_is_not_seen(
    genai: Sdk, targets: dict[str, Provider], before: Gateway, do: str, case: str
) -> None:
    targets["mu"].always(FAILURES[case])
    told = well(genai.ask(do, url=before.url, model=f"{case}-{do}"))
    assert told.text == targets["pi"].text()
    assert targets["mu"].calls


@pytest.mark.parametrize("status", STATUSES)
def test_an_error_that_is_passed_on_keeps_its_bytes(
    genai: Sdk, targets: dict[str, Provider], before: Gateway, status: int
) -> None:
    error = [{"error": {"code": status, "message": "Said so.", "status": "WHATEVER", "x": [1.0]}}]
    body = json.dumps(error, indent=1).encode()
    targets["mu"].always(acts.status(status, body))
    told = genai.ask("plain", url=before.url, model=f"{status}-plain")
    assert (told.status, told.body) == (status, body.decode())


# ---------------------------------------------------------------------- tools

CALLED = {
    "candidates": [
        {
            "content": {
                "parts": [
                    {
                        "functionCall": {"name": "now", "args": {"tz": "Zürich ☕"}},
                        "thoughtSignature": "CrQBAcu+98M=",
                    }
                ],
                "role": "model",
            },
            "finishReason": "STOP",
            "index": 0,
        }
    ],
    "modelVersion": "gemini-3-pro",
}
ASKED = {"tz": "Zürich ☕"}
TOOL_USE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "tool_use",
    "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1},
    "content": [
        {"type": "thinking", "thinking": "Let me see", "signature": "c2ln"},
        {"type": "tool_use", "id": "toolu_" + "x" * 50, "name": "now", "input": ASKED},
    ],
}  # fmt: skip
TOOL_CALLS = {
    "id": "c", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
        "role": "assistant", "content": None, "tool_calls": [
            {"id": "call_1", "type": "function",
             "function": {"name": "now", "arguments": json.dumps(ASKED)}}]}}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}  # fmt: skip
CALLS = {"gemini": CALLED, "anthropic": TOOL_USE, "openai": TOOL_CALLS}


@every_target
def test_a_tool_loop_of_the_sdk_goes_round(
    genai: Sdk, targets: dict[str, Provider], before: Gateway, dialect: str
) -> None:
    """The SDK runs the tool by itself and hands all back: ids, signatures, results."""
    double = targets[NAMES[dialect]]
    double.play(acts.recorded(json.dumps(CALLS[dialect]).encode(), "application/json"))
    told = well(genai.ask("loop", url=before.url, model=f"to-{dialect}"))
    assert told.items[0] == "Zürich ☕"
    assert told.text == double.text()
    _, again = double.calls
    if dialect == "gemini":
        _, said, given = again.json["contents"]
        assert said["parts"][0]["thoughtSignature"].replace("-", "+") == "CrQBAcu+98M="
        assert given["parts"][0]["functionResponse"]["name"] == "now"
    elif dialect == "anthropic":
        _, said, given = again.json["messages"]
        assert said["content"] == TOOL_USE["content"]
        assert given["content"][0]["tool_use_id"] == "toolu_" + "x" * 50
        assert given["content"][0]["content"] == "noon in Zürich ☕"
    else:
        _, _, said, given = again.json["messages"]
        assert json.loads(said["tool_calls"][0]["function"]["arguments"]) == ASKED
        assert (given["tool_call_id"], given["content"]) == ("call_1", "noon in Zürich ☕")


def test_a_call_crosses_to_others_and_comes_back_signed(
    sdks, targets: dict[str, Provider], before: Gateway
) -> None:
    """A client that hands signatures back gives this provider its own again."""
    double = targets["mu"]
    double.play(acts.recorded(json.dumps(CALLED).encode(), "application/json"))
    tools = [{"name": "now", "input_schema": {"type": "object", "properties": {}}}]
    body = {"model": "to-gemini", "max_tokens": 64, "tools": tools}
    ask = {"role": "user", "content": PROMPT}
    reply = posted(before, "", {**body, "messages": [ask]}, path="/v1/messages")
    use = reply["content"][-1]
    assert (use["type"], use["input"]) == ("tool_use", ASKED)
    result = {"type": "tool_result", "tool_use_id": use["id"], "content": "noon"}
    said = [
        ask,
        {"role": "assistant", "content": reply["content"]},
        {"role": "user", "content": [result]},
    ]
    posted(before, "", {**body, "messages": said}, path="/v1/messages")
    _, again = double.calls
    _, model, user = again.json["contents"]
    assert model["parts"][0]["thoughtSignature"] == "CrQBAcu+98M="
    made, given = model["parts"][0]["functionCall"], user["parts"][0]["functionResponse"]
    assert made["args"] == ASKED
    assert (given["id"], given["name"]) == (made["id"], "now")
    assert given["response"] == {"output": "noon"}


@every_target
def test_the_sdks_chat_goes_on(
    genai: Sdk, targets: dict[str, Provider], before: Gateway, dialect: str
) -> None:
    double = targets[NAMES[dialect]]
    told = well(genai.ask("chat", url=before.url, model=f"to-{dialect}"))
    assert told.text == double.text() * 2
    turns = double.calls[-1].json["contents" if dialect == "gemini" else "messages"]
    assert dialect == "gemini" or len([turn for turn in turns if turn["role"] == "assistant"]) == 1


# ------------------------------------------------------------- without the SDK


def posted(
    before: Gateway, action: str, body: object, *, path: str = "", **headers: str
) -> dict | list:
    request = urllib.request.Request(
        before.url + (path or f"/v1beta/models/{action}"),
        json.dumps(body).encode(),
        {"content-type": "application/json", **headers},
    )
    with urllib.request.urlopen(request, timeout=5) as reply:
        return json.load(reply)


@every_target
def test_a_stream_that_was_not_asked_for_as_events_is_an_array(
    targets: dict[str, Provider], before: Gateway, dialect: str
) -> None:
    if dialect == "gemini":
        chunks = [CALLED, CALLED]
        targets["mu"].play(acts.recorded(json.dumps(chunks, indent=2).encode(), "application/json"))
    body = {"contents": [{"parts": [{"text": PROMPT}]}]}
    found = posted(before, f"to-{dialect}:streamGenerateContent?key=secret-in-the-query", body)
    assert isinstance(found, list)
    if dialect == "gemini":
        assert found == chunks
    else:
        text = "".join(c["candidates"][0]["content"]["parts"][0]["text"] for c in found)
        assert text == targets[NAMES[dialect]].text()
        assert found[-1]["candidates"][0]["finishReason"] == "STOP"


def test_a_key_in_the_query_goes_nowhere_and_is_written_nowhere(
    targets: dict[str, Provider], before: Gateway
) -> None:
    body = {"contents": [{"parts": [{"text": "x"}]}]}
    posted(before, "to-gemini:generateContent?key=AIza-canary-1&x=1", body)
    posted(before, "to-gemini:generateContent?x=1&access_token=ya29.canary-2", body)
    one, two = targets["mu"].calls
    assert one.target.endswith("models/gemini-3-pro:generateContent?x=1")
    assert two.target.endswith("models/gemini-3-pro:generateContent?x=1")
    for seen in (one, two):
        assert seen.header("x-goog-api-key") == targets["mu"].key
        assert b"canary" not in seen.head
    before.stop()
    before.start()
    kept = b"".join(file.read_bytes() for file in before.folder.rglob("*") if file.is_file())
    assert b"canary" not in kept
    assert before.log.count("canary") == 0


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"messages": [{"role": "user", "content": "x"}]}, "`messages`, as other dialects"),
        ({}, "no `contents`"),
        ({"contents": [{"role": "user", "parts": [{"txt": "x"}]}]}, "contents[0].parts[0].txt"),
        ({"contents": []}, "contents is missing or empty"),
        ({"contents": [{"parts": []}]}, "contents[0].parts is missing"),
        ({"contents": [{"parts": [{"functionResponse": {"name": "f"}}]}]}, "did not call"),
        ({"contents": [{"parts": [{"text": "x"}]}], "generationConfig": {"topK": "many"}},
         "generationConfig.topK"),
    ],
)  # fmt: skip
def test_a_body_that_is_wrong_is_400_with_the_field(
    targets: dict[str, Provider], before: Gateway, body: dict, says: str
) -> None:
    for model in ("to-anthropic", "to-openai"):
        with pytest.raises(urllib.error.HTTPError) as raised:
            posted(before, f"{model}:generateContent", body)
        error = json.load(raised.value)["error"]
        assert (raised.value.code, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
        assert says in error["message"]
    assert not [call for double in targets.values() for call in double.calls]
