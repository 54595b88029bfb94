"""Lists of models: read from each dialect, and given out in parts as a client asks for them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.wire import speak
from holdfast.wire.listing import read_models
from holdfast.wire.speech import Model

IDS = st.lists(st.text("abcdefgh-/.", min_size=1, max_size=8), unique=True, max_size=30)
MODEL = Model("m", "The M", 65536, 1_767_225_600)


@pytest.mark.parametrize(
    ("dialect", "known"),
    [
        ("anthropic", MODEL),
        ("gemini", Model("m", "The M", 65536)),
        ("openai", Model("m", created=1_767_225_600)),
        ("ollama", Model("m")),
    ],
)
def test_what_a_dialect_says_of_a_model_is_read_again(dialect: str, known: Model) -> None:
    assert read_models(speak.models_reply(dialect, [MODEL])) == (known,)


def test_what_cannot_be_talked_to_or_named_is_left_out() -> None:
    listed = [
        {"name": "models/embedder", "supportedGenerationMethods": ["embedContent"]},
        {"name": "models/g", "supportedGenerationMethods": ["generateContent"]},
        {"id": ""}, {"id": "a\nb"}, {"id": "x" * 300}, {"id": 5}, {}, {"id": "g"},
    ]  # fmt: skip
    assert [model.id for model in read_models(json.dumps({"models": listed}).encode())] == ["g"]
    relay = {"data": [{"id": "r", "context_length": 4096, "created_at": "soon", "created": -1}]}
    assert read_models(json.dumps(relay).encode()) == (Model("r", context_tokens=4096),)


@given(st.binary(max_size=60) | st.text(max_size=20).map(str.encode))
def test_nothing_that_an_upstream_says_breaks_the_reading(body: bytes) -> None:
    assert read_models(body) == ()
    read_models(b'{"data":[{"id":' + body + b"}]}")


@given(IDS, st.integers(1, 9))
def test_the_parts_of_a_list_are_the_list(ids: list[str], limit: int) -> None:
    models = [Model(id_) for id_ in ids]
    for dialect in ("anthropic", "gemini"):
        found: list[str] = []
        after = ""
        while True:
            names = ("limit", "after_id") if dialect == "anthropic" else ("pageSize", "pageToken")
            query = f"{names[0]}={limit}" + (f"&{names[1]}={after}" if after else "")
            told = json.loads(speak.models_reply(dialect, models, query))
            part = [model.id for model in read_models(json.dumps(told).encode())]
            assert len(part) <= limit
            found += part
            more = told.get("has_more") or "nextPageToken" in told
            if not more:
                break
            after = told.get("nextPageToken") or told["last_id"]
        assert found == ids


def test_a_list_can_be_read_backwards() -> None:
    models = [Model(id_) for id_ in "abcde"]
    told = json.loads(speak.models_reply("anthropic", models, "before_id=d&limit=2"))
    assert ([one["id"] for one in told["data"]], told["has_more"]) == (["b", "c"], True)


@pytest.mark.parametrize(
    ("dialect", "query", "says"),
    [
        ("anthropic", "limit=many", "limit: 'many' is no number"),
        ("anthropic", "after_id=x", "after_id: 'x' is not in the list"),
        ("anthropic", "before_id=x", "before_id: 'x' is not"),
        ("gemini", "pageSize=-1", "pageSize: '-1'"),
        ("gemini", "pageToken=x", "pageToken: 'x'"),
    ],
)
def test_what_no_list_can_be_asked_is_said(dialect: str, query: str, says: str) -> None:
    with pytest.raises(speak.BadBodyError, match=says):
        speak.models_reply(dialect, [MODEL], query)


def test_one_model_is_told_of_in_each_dialect() -> None:
    told = {name: json.loads(speak.model_reply(name, MODEL)) for name in speak.DIALECTS}
    assert told["anthropic"]["created_at"] == "2026-01-01T00:00:00Z"
    assert told["anthropic"]["max_input_tokens"] == told["gemini"]["inputTokenLimit"] == 65536
    assert told["openai"] == told["openai-responses"] == {
        "id": "m", "object": "model", "created": 1_767_225_600, "owned_by": "m",
    }  # fmt: skip
    assert told["ollama"]["name"] == "m"
