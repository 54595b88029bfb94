"""The invented provider: the right bytes by name, time and seed; text that can be counted."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.sim.faults import ARTICLE, BEHAVIOURS, MODELS
from holdfast.sim.invented import expected_text
from holdfast.sim.provider import SimProvider
from holdfast.sim.script import (
    Blackhole,
    Bytes,
    Cut,
    End,
    Fin,
    Refuse,
    Script,
    Stall,
    body_of,
    head_of,
    problem,
)
from holdfast.sim.timeline import SCENARIOS, Span, Timeline

WORDS = "Wie spät ist es in Ulan-Bator?"


def body(dialect: str = "anthropic", *, model: str = "steady", stream: bool = True) -> bytes:
    fields: dict[str, object] = {
        "model": model,
        "messages": [{"role": "user", "content": WORDS}],
        "stream": stream,
    }
    if dialect == "openai-responses":
        fields["input"] = fields.pop("messages")
    elif dialect == "anthropic":
        fields["max_tokens"] = 1000
    elif stream:
        fields["stream_options"] = {"include_usage": True}
    return json.dumps(fields).encode()


def surface(dialect: str) -> str:
    return {"anthropic": "messages", "openai": "chat"}.get(dialect, "responses")


def ask(
    model: str = "steady",
    dialect: str = "anthropic",
    *,
    stream: bool = True,
    at_s: float = 0.0,
    provider: SimProvider | None = None,
    n: int = 1,
) -> Script:
    asked = body(dialect, model=model, stream=stream)
    provider = provider or SimProvider(7)
    return provider.answer(at_s, dialect, surface(dialect), "", asked, "key", n)


def events(data: bytes) -> list[dict[str, object]]:
    """The data of a stream's events, read as plainly as can be."""
    lines = data.decode().split("\n")
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


DIALECTS = ("anthropic", "openai", "openai-responses")


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("model", MODELS)
def test_every_behaviour_is_a_proper_script(model: str, dialect: str, stream: bool) -> None:
    """Each name of the table makes a script by the grammar, marked as simulated."""
    script = ask(model, dialect, stream=stream)
    assert problem(script) == ""
    head = head_of(script)
    assert head is None or (b"x-simulated", b"holdfast") in head.headers


def test_the_anthropic_stream_says_the_expected_text_and_counts_it() -> None:
    """Grammar, text and usage of a good stream in the Messages dialect."""
    script = ask()
    seen = events(body_of(script))
    assert [e["type"] for e in seen[:3]] == ["message_start", "content_block_start", "ping"]
    assert [e["type"] for e in seen[-3:]] == ["content_block_stop", "message_delta", "message_stop"]
    said = [e["delta"]["text"] for e in seen if e["type"] == "content_block_delta"]
    assert "".join(said) == expected_text(body())
    assert seen[-2]["usage"]["output_tokens"] == len(said)
    assert seen[0]["message"]["usage"]["input_tokens"] == len(WORDS.split())


def test_the_openai_stream_says_the_expected_text_and_counts_it() -> None:
    """Grammar, text and usage of a good stream in the Chat dialect."""
    script = ask(dialect="openai")
    data = body_of(script)
    seen = events(data)
    said = [e["choices"][0]["delta"].get("content", "") for e in seen if e["choices"]]
    assert "".join(said) == expected_text(body("openai"))
    assert seen[-2]["choices"][0]["finish_reason"] == "stop"
    assert seen[-1]["usage"]["completion_tokens"] == len([word for word in said if word])
    assert data.endswith(b"data: [DONE]\n\n")


def test_the_responses_stream_says_the_expected_text_and_counts_it() -> None:
    """Grammar, numbers, text and usage of a good stream in the Responses dialect."""
    seen = events(body_of(ask(dialect="openai-responses")))
    assert [e["type"] for e in seen[:4]] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert [e["sequence_number"] for e in seen] == list(range(len(seen)))
    said = [e["delta"] for e in seen if e["type"] == "response.output_text.delta"]
    assert "".join(said) == expected_text(body("openai-responses"))
    last = seen[-1]["response"]
    assert last["status"] == "completed"
    assert last["usage"]["output_tokens"] == len(said)
    assert last["output"][0]["content"][0]["text"] == "".join(said)


def test_a_responses_answer_at_its_limit_is_incomplete() -> None:
    asked = b'{"model":"steady","max_output_tokens":3,"input":"x"}'
    script = SimProvider().answer(0.0, "openai-responses", "responses", "", asked, "", 1)
    found = json.loads(body_of(script))
    assert found["status"] == "incomplete"
    assert found["output"][0]["content"][0]["text"] == "This is a" == expected_text(asked)
    counted = SimProvider().answer(0.0, "openai-responses", "count_tokens", "", asked, "", 1)
    assert json.loads(body_of(counted))["input_tokens"] == 1


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_whole_answer_says_the_same_as_a_stream(dialect: str) -> None:
    found = json.loads(body_of(ask(dialect=dialect, stream=False)))
    if dialect == "anthropic":
        text = found["content"][0]["text"]
    elif dialect == "openai":
        text = found["choices"][0]["message"]["content"]
    else:
        text = found["output"][0]["content"][0]["text"]
    assert text == expected_text(body(dialect))


def test_every_answer_says_that_it_is_simulated() -> None:
    """People read it in the text, programs in a header."""
    assert "simulated answer by holdfast's built-in provider" in expected_text(body())


def test_the_text_ends_at_the_limit_of_tokens_and_says_so() -> None:
    asked = json.dumps(
        {"model": "steady", "max_tokens": 3, "messages": [{"role": "user", "content": "x"}]}
    ).encode()
    script = SimProvider().answer(0.0, "anthropic", "messages", "", asked, "", 1)
    found = json.loads(body_of(script))
    assert found["content"][0]["text"] == "This is a" == expected_text(asked)
    assert found["stop_reason"] == "max_tokens"
    assert found["usage"]["output_tokens"] == 3


def test_the_article_s_403_is_the_article_s_bytes() -> None:
    """Byte for byte what the victims of 2026-04-30 saw."""
    script = ask("forbidden")
    assert head_of(script).status == 403
    assert body_of(script) == (
        b'{"type":"error","error":{"type":"permission_error","message":"'
        + ARTICLE.encode()
        + b'"}}'
    )


@pytest.mark.parametrize(
    ("model", "dialect", "status", "kind"),
    [
        ("overloaded", "anthropic", 529, "overloaded_error"),
        ("overloaded", "openai", 503, "server_error"),
        ("limited", "anthropic", 429, "rate_limit_error"),
        ("limited", "openai", 429, "requests"),
        ("unauthorized", "anthropic", 401, "authentication_error"),
        ("error", "openai", 500, "server_error"),
        ("overloaded", "openai-responses", 503, "server_error"),
        ("invalid", "anthropic", 400, "invalid_request_error"),
    ],
)
def test_errors_have_the_dialect_s_shape(model: str, dialect: str, status: int, kind: str) -> None:
    script = ask(model, dialect)
    assert head_of(script).status == status
    assert json.loads(body_of(script))["error"]["type"] == kind


def test_a_rate_limit_says_when_to_come_back() -> None:
    assert dict(head_of(ask("limited")).headers)[b"retry-after"] == b"2"


@pytest.mark.parametrize(
    ("model", "last"),
    [
        ("refuse", Refuse),
        ("blackhole", Blackhole),
        ("reset", Cut),
        ("hangup", Fin),
        ("mute", Stall),
        ("silent", Stall),
        ("cut", Cut),
        ("fin", Fin),
        ("stall", Stall),
        ("unfinished", End),
        ("empty", End),
    ],
)
def test_broken_answers_end_as_their_name_says(model: str, last: type) -> None:
    assert type(ask(model)[-1].does) is last


@pytest.mark.parametrize("model", ["cut", "fin", "stall", "unfinished", "error-event", "garbage"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_broken_stream_has_said_half_and_never_its_end(model: str, dialect: str) -> None:
    data = body_of(ask(model, dialect))
    assert b"sim-1 " not in data
    assert b"simulated" in data
    assert b"message_stop" not in data
    assert b"[DONE]" not in data
    assert b"response.completed" not in data


def test_flaky_fails_three_times_in_ten_and_the_same_ones_for_a_seed() -> None:
    """Faults are dealt by seed and number of the request, not by luck."""

    def faults(seed: int) -> list[int]:
        provider = SimProvider(seed)
        return [
            n
            for n in range(400)
            if b"message_stop" not in body_of(ask("flaky", provider=provider, n=n))
        ]

    assert 0.2 < len(faults(1)) / 400 < 0.4
    assert faults(1) == faults(1)
    assert faults(1) != faults(2)


def test_slow_takes_its_time() -> None:
    """The waits are in the script; nobody sleeps for them here."""
    waits = [step.wait_s for step in ask("slow") if isinstance(step.does, Bytes)]
    assert waits.count(0.3) > 10


def test_the_timeline_speaks_for_steady_and_unknown_models_only() -> None:
    """A model that names a behaviour keeps it whatever the timeline says."""
    down = SimProvider(1, Timeline((Span(from_s=0, until_s=9, fault="overloaded"),)))
    assert head_of(ask("steady", provider=down)).status == 529
    assert head_of(ask("claude-x", provider=down)).status == 529
    assert head_of(ask("forbidden", provider=down)).status == 403
    assert head_of(ask("claude-x", provider=down, at_s=9.0)).status == 200


def test_the_article_fails_on_two_surfaces_of_three() -> None:
    """Messages and token counting answer 403 while models and embeddings work."""
    provider = SimProvider(1, SCENARIOS["article"])
    counted = body(stream=False)
    found = {
        name: head_of(provider.answer(100.0, dialect, name, "claude-x", asked, "k", 1)).status
        for dialect, name, asked in (
            ("anthropic", "messages", counted),
            ("anthropic", "count_tokens", counted),
            ("anthropic", "models", b""),
            ("openai", "embeddings", b'{"model":"e","input":"x"}'),
        )
    }
    assert found == {"messages": 403, "count_tokens": 403, "models": 200, "embeddings": 200}


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'{"model":"steady"}', 400),
        (b'{"model":"steady","messages":[{"role":"user","content":"x"}]}', 400),
        (b'{"model":"steady","messages":[{"role":"user","content":"x"}],"max_tokens":9}', 200),
    ],
)
def test_what_the_real_api_refuses_is_refused(asked: bytes, status: int) -> None:
    """A request that would fail in earnest must not pass in the rehearsal."""
    script = SimProvider().answer(0.0, "anthropic", "messages", "", asked, "", 1)
    assert head_of(script).status == status


def test_tokens_are_counted_as_the_answer_counts_them() -> None:
    script = SimProvider().answer(0.0, "anthropic", "count_tokens", "", body(), "", 1)
    assert json.loads(body_of(script)) == {"input_tokens": len(WORDS.split())}


def test_each_text_gets_its_own_embedding() -> None:
    asked = b'{"model":"steady","input":["a","b"]}'
    script = SimProvider().answer(0.0, "openai", "embeddings", "", asked, "", 1)
    first, second = json.loads(body_of(script))["data"]
    assert first["embedding"] != second["embedding"]


def test_every_fault_of_every_scenario_is_known() -> None:
    for scenario in SCENARIOS.values():
        assert {span.fault for span in scenario.spans} <= set(BEHAVIOURS)


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9999) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["model", "messages", "role", "content", "text", "stream", "max_tokens", "input"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(
    st.binary(max_size=60) | JSONISH.map(lambda value: json.dumps(value).encode()),
    st.sampled_from(
        ["messages", "chat", "responses", "count_tokens", "embeddings", "models", "/nowhere"]
    ),
    st.sampled_from(DIALECTS),
)
def test_no_body_makes_it_raise(asked: bytes, name: str, dialect: str) -> None:
    """Whatever comes is answered, with a proper script."""
    assert problem(SimProvider().answer(0.0, dialect, name, "m", asked, "", 1)) == ""
