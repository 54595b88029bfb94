"""The player: an HTTP request's fields in, the script of the right surface out."""

from __future__ import annotations

import json

import pytest

from holdfast.sim.faults import MODELS
from holdfast.sim.player import Player
from holdfast.sim.provider import SimProvider
from holdfast.sim.script import body_of, head_of
from holdfast.sim.timeline import Span, Timeline

MESSAGE = b'{"model":"steady","max_tokens":9,"messages":[{"role":"user","content":"x"}]}'
CONTENTS = b'{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{"maxOutputTokens":9}}'
COUNT = (
    b'{"generateContentRequest":{"model":"models/steady","contents":[{"parts":[{"text":"x"}]}]}}'
)
VERSION = ((b"anthropic-version", b"2023-06-01"),)


def player(timeline: Timeline | None = None, begun_at_s: float = 0.0) -> Player:
    return Player(SimProvider(1, timeline or Timeline()), begun_at_s)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/messages", MESSAGE, 200),
        ("POST", "/v1/messages/count_tokens", MESSAGE, 200),
        ("POST", "/v1/chat/completions", MESSAGE, 200),
        ("POST", "/v1/responses", b'{"model":"steady","input":"x"}', 200),
        ("POST", "/v1/responses", b'{"model":"steady"}', 400),
        ("POST", "/v1/responses/input_tokens", b'{"model":"steady","input":"x"}', 200),
        ("POST", "/v1/embeddings", b'{"model":"steady","input":"x"}', 200),
        ("GET", "/v1/models", b"", 200),
        ("GET", "/v1/models/steady", b"", 200),
        ("POST", "/v1beta/models/steady:generateContent", CONTENTS, 200),
        ("POST", "/v1/models/steady:streamGenerateContent", CONTENTS, 200),
        ("POST", "/v1beta/models/steady:countTokens", COUNT, 200),
        ("POST", "/v1beta/models/steady:generateContent", b"{}", 400),
        ("POST", "/v1beta/models/forbidden:generateContent", CONTENTS, 403),
        ("POST", "/v1beta/models/overloaded:generateContent", CONTENTS, 503),
        ("GET", "/v1beta/models", b"", 200),
        ("GET", "/v1beta/models/steady", b"", 200),
        ("POST", "/v1beta/models/steady:predict", CONTENTS, 404),
        ("HEAD", "/", b"", 200),
        ("POST", "/v1/nowhere", b"{}", 404),
        ("GET", "/v1/messages", b"", 404),
    ],
)
def test_paths_lead_to_surfaces(method: str, path: str, body: bytes, status: int) -> None:
    assert head_of(player().script(0.0, method, path, (), body)).status == status


@pytest.mark.parametrize("headers", [(), VERSION])
def test_the_list_of_models_is_the_table_of_behaviours(headers: tuple) -> None:
    found = json.loads(body_of(player().script(0.0, "GET", "/v1/models", headers, b"")))
    assert [row["id"] for row in found["data"]] == list(MODELS)
    assert ("has_more" in found) is bool(headers)


def test_a_model_in_the_path_is_asked_and_the_answer_is_of_its_dialect() -> None:
    one = player()
    whole = one.script(0.0, "POST", "/v1beta/models/steady:generateContent", (), CONTENTS)
    said = json.loads(body_of(whole))
    (part,) = said["candidates"][0]["content"]["parts"]
    stream = one.script(0.0, "POST", "/v1beta/models/steady:streamGenerateContent", (), CONTENTS)
    chunks = [json.loads(line[6:]) for line in body_of(stream).split(b"\r\n\r\n") if line]
    streamed = "".join(c["candidates"][0]["content"]["parts"][0]["text"] for c in chunks)
    assert part["text"] == streamed != ""
    assert len(part["text"].split()) == 9
    assert chunks[-1]["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert said["modelVersion"] == "steady"
    listed = json.loads(body_of(one.script(0.0, "GET", "/v1beta/models", (), b"")))
    assert [row["name"] for row in listed["models"]] == [f"models/{name}" for name in MODELS]
    wrong = one.script(0.0, "POST", "/v1beta/models/overloaded:generateContent", (), CONTENTS)
    assert json.loads(body_of(wrong))["error"]["status"] == "UNAVAILABLE"


def test_requests_are_numbered_so_that_ids_differ() -> None:
    one = player()
    bodies = {body_of(one.script(0.0, "POST", "/v1/messages", (), MESSAGE)) for _ in range(3)}
    assert len(bodies) == 3


def test_the_provider_s_time_begins_when_its_player_does() -> None:
    late = player(Timeline((Span(from_s=0, until_s=1, fault="error"),)), begun_at_s=100.0)
    statuses = [
        head_of(late.script(now_s, "POST", "/v1/messages", (), MESSAGE)).status
        for now_s in (100.5, 101.5)
    ]
    assert statuses == [500, 200]


def test_one_credential_may_fail_while_another_works() -> None:
    """Both ways in which clients send a key are read."""
    span = Span(from_s=0, until_s=9, fault="unauthorized", credentials=("bad",))
    one = player(Timeline((span,)))
    statuses = [
        head_of(one.script(0.0, "POST", "/v1/messages", (header,), MESSAGE)).status
        for header in (
            (b"x-api-key", b"bad"),
            (b"authorization", b"Bearer bad"),
            (b"x-api-key", b"good"),
        )
    ]
    assert statuses == [401, 401, 200]
