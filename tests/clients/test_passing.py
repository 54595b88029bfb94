"""Same dialect on both sides: what passes, passes byte for byte; so does the rest of the API."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator

import pytest
from tests.clients import recorded
from tests.clients.sdk import Sdk, majors
from tests.doubles import acts
from tests.doubles.provider import Provider
from tests.gateway import Gateway, gateway, upstream

MODELS = {"anthropic": "claude-haiku-5", "openai": "gpt-5.1"}
FIRSTS = {"anthropic": "alpha", "openai": "gamma"}
PATHS = {"anthropic": "/v1/messages", "openai": "/v1/chat/completions"}
JSON = {"content-type": "application/json"}
HEADERS = (
    {**JSON, "anthropic-version": "2023-06-01", "x-api-key": "k"},
    {**JSON, "authorization": "Bearer k"},
)
Get = Callable[[str, bool], Sdk]

every_sdk = pytest.mark.parametrize(
    ("name", "old"), majors(), ids=[f"{n}-{'old' if o else 'new'}" for n, o in majors()]
)


@pytest.fixture(scope="module")
def passing(
    _doubles: dict[str, Provider], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """One gateway before one double of each dialect."""
    upstreams = [upstream(_doubles[name]) for name in ("alpha", "gamma")]
    routes = [("claude-*", ["alpha/*"]), ("gpt-*", ["gamma/*"]), ("text-*", ["gamma/*"])]
    with gateway(tmp_path_factory.mktemp("passing"), upstreams, routes) as running:
        yield running


def asked(name: str, **more: object) -> bytes:
    """The request of a client."""
    said = [{"role": "user", "content": "hello"}]
    limit = {"max_tokens": 64} if name == "anthropic" else {}
    return json.dumps({"model": MODELS[name], "messages": said, **limit, **more}).encode()


def fetch(
    running: Gateway, method: str, path: str, body: bytes | None = None
) -> tuple[int, dict[str, str], bytes]:
    """One exchange without an SDK: status, headers, and the body's very bytes."""
    line = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
    line.request(method, path, body, HEADERS[path == PATHS["openai"]])
    reply = line.getresponse()
    said = reply.read()
    line.close()
    return reply.status, {k.lower(): v for k, v in reply.getheaders()}, said


STREAMS = [
    *[(name, case) for name, streams in recorded.STREAMS.items() for case in streams],
    ("anthropic", "tomorrow"),
]


@pytest.mark.parametrize("piece", [1, 13, 100_000])
@pytest.mark.parametrize(("name", "case"), STREAMS)
def test_streams_pass_byte_for_byte(
    doubles: dict[str, Provider], passing: Gateway, name: str, case: str, piece: int
) -> None:
    """Thinking, tool calls, refusals, things of tomorrow; in pieces that end anywhere."""
    body = recorded.TOMORROW if case == "tomorrow" else recorded.STREAMS[name][case]
    first = doubles[FIRSTS[name]]
    first.play(acts.recorded(body, piece=piece))
    status, headers, said = fetch(passing, "POST", PATHS[name], asked(name, stream=True))
    assert (status, said) == (200, body)
    assert headers["content-type"] == "text/event-stream"
    assert len(first.calls) == 1


@pytest.mark.parametrize("name", FIRSTS)
def test_whole_answers_pass_byte_for_byte(
    doubles: dict[str, Provider], passing: Gateway, name: str
) -> None:
    doubles[FIRSTS[name]].play(acts.recorded(recorded.WHOLE[name], "application/json"))
    status, headers, said = fetch(passing, "POST", PATHS[name], asked(name))
    assert (status, said) == (200, recorded.WHOLE[name])
    assert headers["content-type"] == "application/json"


@every_sdk
@pytest.mark.parametrize("case", ["thinking", "tools", "all", "refusal", "filtered"])
def test_the_sdks_read_more_than_text(
    sdks: Get, doubles: dict[str, Provider], passing: Gateway, name: str, old: bool, case: str
) -> None:
    """What the SDK puts together of a stream is the same with and without the gateway."""
    first, sdk = doubles[FIRSTS[name]], sdks(name, old)
    if case not in recorded.STREAMS[name]:
        case = "tools"
    first.always(acts.recorded(recorded.STREAMS[name][case]))
    direct = sdk.ask("blocks", url=first.url, key=first.key, model=MODELS[name])
    through = sdk.ask("blocks", url=passing.url, model=MODELS[name])
    assert through.error == direct.error
    assert through.items == direct.items
    assert through.stop == direct.stop
    assert len(first.calls) == 2


@every_sdk
def test_one_model_is_told_by_its_provider(
    sdks: Get, doubles: dict[str, Provider], passing: Gateway, name: str, old: bool
) -> None:
    """By its own name and by `provider/model`; an unknown one is a 404 in the dialect."""
    first, sdk = doubles[FIRSTS[name]], sdks(name, old)
    for asked_for in (MODELS[name], f"{first.name}/{MODELS[name]}"):
        told = sdk.ask("model", url=passing.url, model=asked_for)
        assert (told.error, told.items) == (None, [MODELS[name]])
    told = sdk.ask("model", url=passing.url, model=f"{MODELS[name]}-none")
    assert (told.error, told.status) == ("NotFoundError", 404)


@pytest.mark.parametrize("old", [False, True], ids=["new", "old"])
def test_batches_pass(sdks: Get, doubles: dict[str, Provider], passing: Gateway, old: bool) -> None:
    """Made, looked at, listed, read, cancelled, deleted: as without a gateway."""
    alpha, sdk = doubles["alpha"], sdks("anthropic", old)
    told = sdk.ask("batch", url=passing.url, model=MODELS["anthropic"])
    assert (told.error, told.text) == (None, alpha.text())
    assert told.items[1:] == ["in_progress", "ended", "succeeded", "canceling"]
    assert not doubles["gamma"].seen
    assert not [seen.refused for seen in alpha.seen if seen.refused]


def test_the_providers_other_words_pass(doubles: dict[str, Provider], passing: Gateway) -> None:
    """Its request id and its limits are the client's to read; its cookies are not."""
    _, headers, _ = fetch(passing, "POST", PATHS["anthropic"], asked("anthropic"))
    assert headers["anthropic-ratelimit-requests-remaining"] == "3999"
    assert headers["request-id"] == "req_011CSHoEeqs5C35K2UUqR7Fy"
    assert headers["cf-ray"]
    assert not {"set-cookie", "strict-transport-security"} & set(headers)


@pytest.mark.parametrize(
    ("path", "type_", "body", "status"),
    [
        ("/v1/messages", "application/json", b'{"model": "claude-haiku-5", "messa', 400),
        ("/v1/messages", "application/json", b"[" * 5000, 400),
        ("/v1/messages", "application/json", b'{"messages": []}', 400),
        ("/v1/messages", "text/plain", b"{}", 415),
        ("/v1/chat/completions", "application/json", b"\xff\xfe", 400),
        ("/v1/chat/completions", "application/x-www-form-urlencoded", b"a=b", 415),
        ("/v1/nothing", "application/json", b"{}", 404),
    ],
)
def test_what_is_no_request_is_refused_in_the_dialect(
    doubles: dict[str, Provider],
    passing: Gateway,
    path: str,
    type_: str,
    body: bytes,
    status: int,
) -> None:
    """Nobody is asked, and the error says what is wrong."""
    line = http.client.HTTPConnection("127.0.0.1", passing.port, timeout=10)
    line.request("POST", path, body, {"content-type": type_})
    reply = line.getresponse()
    told = json.loads(reply.read())
    line.close()
    assert reply.status == status
    assert len(told["error"]["message"]) > 20
    if status != 415:  # refused by its head, before anybody looks at the path
        assert ("type" in told) == path.startswith("/v1/messages")
    assert not any(double.seen for double in doubles.values())
