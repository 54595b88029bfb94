"""The official SDKs through a real gateway process: what works without it works with it."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.clients.sdk import PROMPT, Sdk, majors
from tests.doubles import acts
from tests.doubles.provider import Provider
from tests.engine import Engine
from tests.gateway import Gateway, Upstream, gateway, upstream

MODELS = {"anthropic": "claude-haiku-5", "openai": "gpt-5.1"}
FIRSTS = {"anthropic": "alpha", "openai": "gamma"}
Get = Callable[[str, bool], Sdk]

every_sdk = pytest.mark.parametrize(
    ("name", "old"), majors(), ids=[f"{n}-{'old' if o else 'new'}" for n, o in majors()]
)


@pytest.fixture(scope="module")
def healthy(
    _doubles: dict[str, Provider], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway in front of one double of each dialect; shared, so nothing may fail behind it."""
    upstreams = [upstream(_doubles[name]) for name in ("alpha", "gamma")]
    routes = [
        (MODELS["anthropic"], ["alpha/*"]),  # a name without a wildcard is listed as a model
        (MODELS["openai"], ["gamma/*"]),
        ("claude-*", ["alpha/*"]),
        ("gpt-*", ["gamma/*"]),
        ("text-*", ["gamma/*"]),
    ]
    with gateway(tmp_path_factory.mktemp("healthy"), upstreams, routes) as running:
        yield running


@every_sdk
@pytest.mark.parametrize("do", ["plain", "stream", "helper"])
def test_answers_come_through_exactly(
    sdks: Get, doubles: dict[str, Provider], healthy: Gateway, name: str, old: bool, do: str
) -> None:
    """The text, its end and its tokens as without a gateway; one attempt, and it says by whom."""
    first = doubles[FIRSTS[name]]
    told = sdks(name, old).ask(do, url=healthy.url, model=MODELS[name], usage=True)
    assert (told.error, told.text) == (None, first.text())
    assert told.stop in ("end_turn", "stop")
    assert len(first.calls) == 1
    if do != "helper":
        assert told.tokens == 20
        assert told.served_by == f"{first.name}/{MODELS[name]}"
        assert told.attempts == 1
        assert "x-holdfast-exchange" in told.headers
        assert "x-holdfast-stand-in" not in told.headers
        assert told.headers["request-id"].startswith("req_")
    assert not {"set-cookie", "access-control-allow-origin"} & set(told.headers)


@every_sdk
def test_the_request_reaches_the_provider_as_the_sdk_wrote_it(
    sdks: Get, doubles: dict[str, Provider], healthy: Gateway, name: str, old: bool
) -> None:
    """Same dialect in and out: same bytes of body, same headers; only the key is ours."""
    sdk, first = sdks(name, old), doubles[FIRSTS[name]]
    sdk.ask("plain", url=first.url, key=first.key, model=MODELS[name])
    sdk.ask("plain", url=healthy.url, model=MODELS[name])
    direct, through = first.calls
    assert through.body == direct.body
    assert PROMPT in through.body.decode()
    ours = {"host", "connection", "accept-encoding", "authorization", "x-api-key"}
    counters = {"x-stainless-read-timeout", "content-length"}
    assert {h for h in through.headers if h[0] not in ours | counters} == {
        h for h in direct.headers if h[0] not in ours | counters
    }
    assert "client-key" not in str(through.headers)


@every_sdk
def test_the_other_surfaces_answer(
    sdks: Get, doubles: dict[str, Provider], healthy: Gateway, name: str, old: bool
) -> None:
    """Token counting is true, models are listed in the asker's dialect, embeddings pass."""
    sdk, first = sdks(name, old), doubles[FIRSTS[name]]
    listed = sdk.ask("models", url=healthy.url)
    assert listed.error is None
    assert MODELS[name] in [item.rpartition("/")[2] for item in listed.items]
    if name == "anthropic":
        count = sdk.ask("count", url=healthy.url, model=MODELS[name])
        direct = sdk.ask("count", url=first.url, key=first.key, model=MODELS[name])
        assert (count.error, count.tokens) == (None, direct.tokens)
    else:
        told = sdk.ask("embeddings", url=healthy.url, model="text-embedding-3-small")
        assert (told.error, told.items) == (None, [[0.25, -0.5, 1.0, 2.0]] * 2)


def test_beta_headers_unknown_fields_and_queries_travel_on(
    doubles: dict[str, Provider], healthy: Gateway
) -> None:
    """`/v1/messages?beta=true` with fields of tomorrow arrives byte for byte."""
    body = (
        b'{ "model":"claude-haiku-5", "max_tokens":5, "thinking":{"type":"adaptive"},\n'
        b' "frobnication":{"n":1e400}, "messages":[{"role":"user","content":"caf\\u00e9"}]}'
    )
    with socket.create_connection(("127.0.0.1", healthy.port), 10) as line:
        line.sendall(
            b"POST /v1/messages?beta=true HTTP/1.1\r\nHost: localhost:%d\r\n"
            b"Content-Type: application/json\r\nx-api-key: k\r\nConnection: close\r\n"
            b"anthropic-version: 2023-06-01\r\nanthropic-beta: frobnication-2027-01-01\r\n"
            b"x-claude-code-session-id: s1\r\nContent-Length: %d\r\n\r\n%b"
            % (healthy.port, len(body), body)
        )
        reply = b"".join(iter(lambda: line.recv(65536), b""))
    assert reply.startswith(b"HTTP/1.1 200")
    (call,) = doubles["alpha"].calls
    assert call.body == body
    assert call.target == "/v1/messages?beta=true"
    assert call.header("anthropic-beta") == "frobnication-2027-01-01"
    assert call.header("x-claude-code-session-id") == "s1"


def test_compressed_answers_are_read(
    sdks: Get, doubles: dict[str, Provider], healthy: Gateway
) -> None:
    """A provider that compresses where it may changes nothing for the client."""
    doubles["alpha"].always(acts.ok(gzip=True))
    for do in ("plain", "stream"):
        told = sdks("anthropic", False).ask(do, url=healthy.url, model=MODELS["anthropic"])
        assert (told.error, told.text) == (None, doubles["alpha"].text())


@every_sdk
def test_an_unknown_model_is_told_in_the_clients_dialect(
    sdks: Get, doubles: dict[str, Provider], healthy: Gateway, name: str, old: bool
) -> None:
    """404 that names what there is; nobody is asked."""
    told = sdks(name, old).ask("plain", url=healthy.url, model="frobnicator-9")
    assert (told.error, told.status) == ("NotFoundError", 404)
    assert "frobnicator-9" in told.error_text
    assert not any(double.calls for double in doubles.values())


@every_sdk
def test_whoever_leaves_costs_nothing_more(
    sdks: Get, doubles: dict[str, Provider], healthy: Gateway, name: str, old: bool
) -> None:
    """The client closes its stream in mid-answer: the upstream's socket is closed within 1 s."""
    first = doubles[FIRSTS[name]]
    first.play(acts.ok(words=200, gap_s=0.05))
    told = sdks(name, old).ask("stream", url=healthy.url, model=MODELS[name], leave_after=3)
    left = time.monotonic()
    assert (told.error, told.text) == (None, first.text(3))
    first.wait(lambda: first.calls[0].closed_at, 2, "the hanging up")
    assert (first.calls[0].closed_at or 0) - left < 1.0
    assert first.calls[0].words < 60


@every_sdk
def test_an_sdks_own_retry_joins_the_call_that_still_runs(
    sdks: Get, doubles: dict[str, Provider], healthy: Gateway, name: str, old: bool
) -> None:
    """The SDK loses patience and asks again; the provider is asked, and paid, once."""
    first = doubles[FIRSTS[name]]
    first.always(acts.slow(headers_s=1.7))
    told = sdks(name, old).ask(
        "plain", url=healthy.url, model=MODELS[name], timeout_s=0.7, retries=3
    )
    assert (told.error, told.text) == (None, first.text())
    assert len(first.calls) == 1


def test_a_person_reads_who_answered(
    sdks: Get, doubles: dict[str, Provider], healthy: Gateway
) -> None:
    """`provider/model` asked for by name goes to that provider."""
    told = sdks("anthropic", False).ask("plain", url=healthy.url, model="alpha/claude-opus-5-5")
    assert (told.error, told.served_by) == (None, "alpha/claude-opus-5-5")
    assert json.loads(doubles["alpha"].calls[0].body)["model"] == "claude-opus-5-5"


# ------------------------------------------------------------------ a real engine


@every_sdk
def test_with_all_clouds_down_the_engine_answers(
    sdks: Get, doubles: dict[str, Provider], local: Engine, tmp_path: Path, name: str, old: bool
) -> None:
    """What it says is what the engine itself says to this request, streamed and not."""
    sdk, alpha, gamma = sdks(name, old), doubles["alpha"], doubles["gamma"]
    alpha.always(acts.status(529))
    gamma.always(acts.status(503))
    here = Upstream("engine", name, local.url, kind="local")
    targets = [f"{FIRSTS[name]}/*", f"engine/{local.model}"]
    own = sdk.ask("plain", url=local.url, model=local.model)
    upstreams = [upstream(alpha), upstream(gamma), here]
    with gateway(tmp_path, upstreams, [("*", targets)]) as running:
        for do in ("plain", "stream"):
            told = sdk.ask(do, url=running.url, model=MODELS[name])
            assert (told.error, told.text) == (None, own.text)
            assert told.served_by == f"engine/{local.model}"
            assert told.headers["x-holdfast-stand-in"] == "true"
            assert told.attempts <= 4


@pytest.mark.parametrize("old", [False, True], ids=["new", "old"])
def test_an_engine_that_leaves_its_opening_out_is_put_right(
    sdks: Get, byte_engine: Engine, tmp_path: Path, old: bool
) -> None:
    """llama.cpp omits `message_start` here, on which the SDK's helper dies by an assertion."""
    sdk = sdks("anthropic", old)
    task = {"model": byte_engine.model, "prompt": "hello", "system": False}
    # Some prompt of these begins with half a character; which one, the weights decide.
    prompts = [f"hello{number}" for number in range(40)]
    broken = next(
        prompt
        for prompt in prompts
        if sdk.ask("helper", url=byte_engine.url, **{**task, "prompt": prompt}).error
    )
    here = Upstream("engine", "anthropic", byte_engine.url, kind="local")
    with gateway(tmp_path, [here], [("*", ["engine/*"])]) as running:
        told = sdk.ask("helper", url=running.url, **{**task, "prompt": broken})
    assert told.error is None
    assert told.text


def test_stale_connections_to_an_engine_are_nobodys_error(
    sdks: Get, local: Engine, tmp_path: Path
) -> None:
    """llama.cpp closes kept connections now and then: 30 calls in a row, streamed and not."""
    sdk = sdks("anthropic", False)
    here = Upstream("engine", "anthropic", local.url, kind="local")
    with gateway(tmp_path, [here], [("*", ["engine/*"])]) as running:
        for number in range(30):
            told = sdk.ask("stream" if number % 2 else "plain", url=running.url, model=local.model)
            assert told.error is None
            assert told.text
