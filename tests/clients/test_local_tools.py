"""Ollama's own client and API: the same dialect on both sides, and crossed in either direction."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.clients import recorded
from tests.clients.sdk import PROMPT, Sdk
from tests.doubles import acts, grammar
from tests.doubles.acts import Act
from tests.doubles.provider import Provider
from tests.gateway import Gateway, Upstream, gateway

MODELS = {"omega": "llama3.2", "alpha": "claude-haiku-5", "gamma": "gpt-5.1"}
SHORT = {"headers_s": 1.0, "content_s": 1.0, "idle_s": 1.0, "whole_s": 1.5}
BREAKS: dict[str, Act] = {
    "end": acts.end(8),
    "reset": acts.cut("words", 8, rst=True),
    "error": acts.error_event(8),
    "utf8": acts.cut("utf8", 8),
    "stall": acts.stall("words", 8),
    "garbage": acts.garbage(8),
}
STATUSES = (403, 404, 429, 529)
CASES = ["good", "tools", "wrong", *BREAKS, *map(str, STATUSES)]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "now",
            "description": "The time",
            "parameters": {"type": "object", "properties": {"where": {"type": "string"}}},
        },
    }
]
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
NDJSON = "application/x-ndjson"
Get = Callable[[str, bool], Sdk]


@pytest.fixture(scope="module")
def client() -> Iterator[Sdk]:
    sdk = Sdk("ollama")
    yield sdk
    sdk.close()


@pytest.fixture(scope="module")
def _omega() -> Iterator[Provider]:
    with Provider("omega", "ollama") as omega:
        yield omega


@pytest.fixture
def targets(doubles: dict[str, Provider], _omega: Provider) -> Iterator[dict[str, Provider]]:
    """One double of each dialect: omega speaks Ollama's own."""
    _omega.reset()
    yield {"omega": _omega, "alpha": doubles["alpha"], "gamma": doubles["gamma"]}
    assert not _omega.complaints


@pytest.fixture(scope="module")
def running(
    _omega: Provider, _doubles: dict[str, Provider], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A provider of its own for each case and double: `good-omega`."""
    doubles = {**_doubles, "omega": _omega}
    upstreams = [
        Upstream(f"{case}-{name}".replace("-", "_"), doubles[name].dialect, doubles[name].url,
                 doubles[name].key)
        for case in CASES
        for name in MODELS
    ]  # fmt: skip
    routes = [("stood", ("stood_omega/llama3.2", "stood_alpha/claude-haiku-5"))]
    for name in ("omega", "alpha"):
        at = doubles[name]
        upstreams.append(Upstream(f"stood_{name}", at.dialect, at.url, at.key))
    with gateway(tmp_path_factory.mktemp("ollama"), upstreams, routes, **SHORT) as up:
        yield up


def model(case: str, name: str) -> str:
    return f"{case}_{name}/{MODELS[name]}"


def post(up: Gateway, path: str, body: object) -> tuple[int, dict[str, str], bytes]:
    """Ask without any client's help; the status, the headers and the body."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection = http.client.HTTPConnection("127.0.0.1", up.port, timeout=10)
    connection.request("POST", path, data, {"content-type": "application/json"})
    reply = connection.getresponse()
    found = reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read()
    connection.close()
    return found


# ------------------------------------------------------------------------ answers


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("do", ["plain", "stream"])
def test_its_client_is_answered_whoever_speaks(
    client: Sdk, targets: dict[str, Provider], running: Gateway, name: str, do: str
) -> None:
    target = targets[name]
    more = {"messages": [{"role": "user", "content": PROMPT, "images": [PNG]}], "think": False}
    told = client.ask(do, url=running.url, model=model("good", name), more=more)
    assert (told.error, told.text) == (None, target.text())
    assert (told.stop, told.tokens) == ("stop", 20)
    assert told.served_by == model("good", name)
    (call,) = target.calls
    assert call.refused is None
    assert PROMPT in json.dumps(call.json, ensure_ascii=False)
    assert PNG in call.body.decode()
    assert call.json.get("stream", False) is (do == "stream")


@pytest.mark.parametrize("stream", [True, False, None])
def test_of_the_same_dialect_every_byte_passes(
    targets: dict[str, Provider], running: Gateway, stream: bool | None
) -> None:
    """Both ways; and who does not say gets a stream."""
    said = [{"role": "user", "content": "ü", "of_tomorrow": True}]
    fields = {"model": model("good", "omega"), "messages": said, "keep_alive": "5m"}
    fields |= {} if stream is None else {"stream": stream}
    targets["omega"].always(acts.ok(words=3))
    asked = json.dumps(fields)
    status, headers, body = post(running, "/api/chat", asked.encode())
    (call,) = targets["omega"].calls
    assert call.body.decode() == asked.replace(model("good", "omega"), "llama3.2")
    whole = grammar.ollama_whole("omega", call.json, 3)
    streamed = b"".join(f.data for f in grammar.ollama_stream("omega", call.json, 3))
    assert (status, body) == (200, whole if stream is False else streamed)
    assert headers["content-type"] == ("application/json" if stream is False else NDJSON)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("stream", [True, False])
def test_what_is_generated_is_told(
    client: Sdk, targets: dict[str, Provider], running: Gateway, name: str, stream: bool
) -> None:
    told = client.ask("generate", url=running.url, model=model("good", name), stream=stream)
    assert (told.error, told.text) == (None, targets[name].text())
    assert (told.stop, told.tokens) == ("stop", 20)


def test_a_stand_in_of_another_dialect_takes_over(
    client: Sdk, targets: dict[str, Provider], running: Gateway
) -> None:
    targets["omega"].always(acts.status(503))
    told = client.ask("stream", url=running.url, model="stood")
    assert (told.error, told.text) == (None, targets["alpha"].text())
    assert told.headers["x-holdfast-stand-in"] == "true"


# -------------------------------------------------------------------------- tools


def called(name: str) -> bytes:
    """A stream in which the target of this dialect calls two tools at once."""
    if name != "omega":
        return recorded.STREAMS["anthropic" if name == "alpha" else "openai"]["tools"]
    head = {"model": "llama3.2", "created_at": "2026-11-24T00:00:00Z"}
    calls = [
        {"function": {"name": "now", "arguments": {"where": "Zürich ☕"}}},
        {"function": {"name": "now", "arguments": {"where": "東京"}}},
    ]
    lines = [
        {"message": {"role": "assistant", "content": "", "thinking": "Two."}, "done": False},
        {"message": {"role": "assistant", "content": "", "tool_calls": calls}, "done": False},
        {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"},
    ]
    return b"".join(grammar.dumps({**head, **line}) + b"\n" for line in lines)


def recorded_act(name: str) -> Act:
    return acts.recorded(called(name), NDJSON if name == "omega" else "text/event-stream")


@pytest.mark.parametrize("name", MODELS)
def test_a_loop_of_two_turns_is_whole(
    client: Sdk, targets: dict[str, Provider], running: Gateway, name: str
) -> None:
    """The client hands back what it understood, which is without any ids."""
    target = targets[name]
    target.play(recorded_act(name))
    more: dict[str, Any] = {"tools": TOOLS}
    told = client.ask("stream", url=running.url, model=model("tools", name), more=more)
    assert (told.error, told.stop) == (None, "stop")
    calls = [call for item in told.items for call in item.get("tool_calls", ())]
    assert calls
    if name == "omega":
        assert [c["function"]["arguments"]["where"] for c in calls] == ["Zürich ☕", "東京"]
    said = {"role": "assistant", "content": told.text, "tool_calls": calls}
    results = [
        {"role": "tool", "content": f"{n} Uhr", "tool_name": call["function"]["name"]}
        for n, call in enumerate(calls)
    ]
    more["messages"] = [{"role": "user", "content": PROMPT}, said, *results]
    told = client.ask("plain", url=running.url, model=model("tools", name), more=more)
    assert (told.error, told.text) == (None, target.text())
    assert [call.refused for call in target.calls] == [None, None]
    assert "0 Uhr" in target.calls[-1].body.decode()


@pytest.mark.parametrize("name", ["anthropic", "openai"])
def test_other_clients_are_answered_by_its_models(
    sdks: Get, targets: dict[str, Provider], running: Gateway, name: str
) -> None:
    """Talk, and a tool loop of two turns."""
    omega, sdk = targets["omega"], sdks(name, False)
    for do in ("plain", "stream"):
        told = sdk.ask(do, url=running.url, model=model("good", "omega"), usage=True)
        assert (told.error, told.text, told.tokens) == (None, omega.text(), 20)
        assert told.stop == ("end_turn" if name == "anthropic" else "stop")
    omega.play(recorded_act("omega"))
    function = TOOLS[0]["function"]
    tool = {"name": "now", "input_schema": function["parameters"]}
    more: dict[str, Any] = {"tools": [tool] if name == "anthropic" else TOOLS}
    told = sdk.ask("blocks", url=running.url, model=model("tools", "omega"), more=more)
    assert told.error is None
    asked = {"role": "user", "content": PROMPT}
    if name == "anthropic":
        uses = [item for item in told.items if item["type"] == "tool_use"]
        wheres = [use["input"]["where"] for use in uses]
        results = [
            {"type": "tool_result", "tool_use_id": use["id"], "content": "1 Uhr"} for use in uses
        ]
        said = {"role": "assistant", "content": told.items}
        more["messages"] = [asked, said, {"role": "user", "content": results}]
    else:
        (said,) = told.items
        uses = said["tool_calls"]
        wheres = [json.loads(use["function"]["arguments"])["where"] for use in uses]
        results = [{"role": "tool", "tool_call_id": use["id"], "content": "1 Uhr"} for use in uses]
        more["messages"] = [asked, said, *results]
    assert wheres == ["Zürich ☕", "東京"]
    told = sdk.ask("plain", url=running.url, model=model("tools", "omega"), more=more)
    assert (told.error, told.text) == (None, omega.text())
    call = omega.calls[-1]
    assert [m["tool_name"] for m in call.json["messages"] if m["role"] == "tool"] == ["now"] * 2
    assert all(call.refused is None for call in omega.calls)


# ------------------------------------------------------------------------- trouble


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("case", BREAKS)
def test_a_break_is_never_an_end(
    client: Sdk, targets: dict[str, Provider], running: Gateway, name: str, case: str
) -> None:
    targets[name].always(BREAKS[case])
    told = client.ask("stream", url=running.url, model=model(case, name))
    assert told.error, "a broken stream was taken for an answer"
    assert told.text == targets[name].text(8)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("status", STATUSES)
def test_an_error_is_told_as_its_clients_read_it(
    client: Sdk, targets: dict[str, Provider], running: Gateway, name: str, status: int
) -> None:
    """The words of whoever failed; for an overload the status of this dialect."""
    target = targets[name]
    target.always(acts.status(status))
    told = client.ask("stream", url=running.url, model=model(str(status), name))
    assert told.error == "ResponseError"
    assert told.status == status or (status, told.status) == (529, 503)
    words = json.loads(grammar.GRAMMARS[target.dialect].error(status, "", ""))["error"]
    if status in (404, 429):
        assert (words if name == "omega" else words["message"]) in told.error_text


@pytest.mark.parametrize("name", ["alpha", "gamma"])
@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]}, "content"),
        ({"input": "x"}, "messages"),
        ({"messages": [{"role": "user", "content": "x"}], "think": "hard"}, "think"),
    ],
)
def test_what_is_wrong_is_a_400_that_names_the_field(
    targets: dict[str, Provider], running: Gateway, name: str, body: dict, says: str
) -> None:
    status, _, said = post(running, "/api/chat", {"model": model("wrong", name), **body})
    assert status == 400
    assert says in json.loads(said)["error"]


# --------------------------------------------------------------------------- pages


def test_its_pages_list_and_show_what_there_is(client: Sdk, running: Gateway) -> None:
    assert "stood" in client.ask("models", url=running.url, model="").items
    told = client.ask("model", url=running.url, model="stood")
    assert told.error is None
    assert told.items[:4] == ["completion", "tools", "vision", "thinking"]
    assert running.get("/api/version")["version"]
    told = client.ask("model", url=running.url, model="nobody's")
    assert (told.error, told.status) == ("ResponseError", 404)
    assert "no route or provider serves" in told.error_text
    status, _, said = post(running, "/api/show", b"{}")
    assert (status, json.loads(said)["error"][:9]) == (400, "holdfast:")
    status, headers, said = post(running, "/api/tags", b"{}")
    assert (status, headers["allow"]) == (405, "GET")
    assert json.loads(said)["error"].startswith("holdfast: /api/tags takes GET")
