"""One prompt and its answer, in the neutral form and back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from tests.wire.asks import streams
from tests.wire.heard import mended, says
from tests.wire.recorded import call, joined, leg

from holdfast.facts.outcomes import Usage
from holdfast.wire import speak
from holdfast.wire.deltas import Delta
from holdfast.wire.lines import LineReader
from holdfast.wire.ollama import generate as ollama_generate
from holdfast.wire.ollama.generate import read_ask
from holdfast.wire.speech import (
    Answer,
    Ask,
    BadFieldError,
    CannotCrossError,
    Choice,
    Image,
    Reasoning,
    Sampling,
    Text,
    Thinking,
    Turn,
)


def read(**fields: object) -> Ask:
    return read_ask(json.dumps({"model": "m", "prompt": "hi", **fields}).encode())


def test_a_prompt_is_a_turn_and_settings_are_as_in_a_chat() -> None:
    nothing = {"suffix": "", "context": [], "raw": False, "template": None}
    options = {"num_predict": 3, "seed": 1}
    ask = read(system="s", images=["/9j/4A"], think=True, options=options, **nothing)
    assert ask == Ask(
        system=(Text("s"),),
        turns=(Turn("user", (Text("hi"), Image("image/jpeg", "/9j/4A"))),),
        sampling=Sampling(max_tokens=3, seed=1, stream=True),
        reasoning=Reasoning("on"),
    )


@pytest.mark.parametrize(
    ("fields", "says_"),
    [
        ({"prompt": ""}, "prompt: there is none"),
        ({"prompt": None}, "prompt: there is none"),
        ({"prompt": 5}, "prompt is not a text"),
        ({"system": []}, "system is not a text"),
        ({"images": ["http://x"]}, r"images\[0\] is an address"),
    ],
)
def test_what_is_wrong_has_its_name(fields: dict[str, object], says_: str) -> None:
    with pytest.raises(CannotCrossError, match=says_) as raised:
        read(**fields)
    assert isinstance(raised.value, BadFieldError) is ("is " in says_.partition("there")[0])


@pytest.mark.parametrize(
    "field", [{"suffix": "}"}, {"raw": True}, {"context": [1]}, {"template": "{{ .Prompt }}"}]
)
def test_what_speaks_to_the_engine_itself_stays_with_engines(field: dict[str, object]) -> None:
    ask = read(**field)
    assert [(loss.field, loss.tolerable) for loss in ask.lost] == [(next(iter(field)), False)]
    body = json.dumps({"model": "m", "prompt": "hi", **field}).encode()
    with pytest.raises(CannotCrossError, match=next(iter(field))):
        speak.compose(call("ollama", body=body, surface="generate"), leg("openai"))


def test_it_crosses_as_a_conversation_of_one_turn() -> None:
    body = b'{"model":"m","prompt":"hi","stream":false}'
    sent = speak.compose(call("ollama", body=body, surface="generate"), leg("anthropic"))
    assert sent.path == "/v1/messages"
    assert json.loads(sent.body)["messages"] == [{"role": "user", "content": "hi"}]


def test_a_whole_answer_is_its_words() -> None:
    choice = Choice((Thinking("hm"), Text("Hi")))
    answer = Answer(id="i", model="m", choices=(choice,), usage=Usage(1, 2))
    written = json.loads(ollama_generate.write_answer(answer, 0))
    assert (written["response"], written["thinking"], written["done"]) == ("Hi", "hm", True)
    assert "message" not in written


@given(streams())
def test_a_stream_that_is_written_is_read_as_the_same(deltas: list[Delta]) -> None:
    """But for calls of tools, which nobody can ask for here."""
    writer = ollama_generate.stream_writer(b"", 0)
    stream = b"".join(map(writer.write, deltas))
    lines = [json.loads(event.data) for event in LineReader().feed(stream)]
    assert all(isinstance(line["response"], str) and "message" not in line for line in lines)
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
    said = says(deltas)
    back = says(mended(ollama_generate.delta_reader("m"), stream, LineReader()))
    assert back.joined("thinking") == said.joined("thinking")
    assert back.joined("text") == "".join(
        text for kind, text in said.blocks if kind in ("text", "refusal")
    )


def test_a_target_of_another_dialect_answers_in_lines() -> None:
    asked = call("ollama", stream=True, surface="generate")
    sse = ((b"content-type", b"text/event-stream"),)
    tap = speak.tap(asked, leg("openai"), 200, sse)
    chunk = {"id": "i", "model": "g", "choices": [{"index": 0, "delta": {"content": "Hi"}}]}
    end = {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    data = b"".join(b"data: %b\n\n" % json.dumps(one).encode() for one in (chunk, end))
    pieces = [*tap.feed(data + b"data: [DONE]\n\n"), *tap.close()]
    lines = [json.loads(line) for line in joined(pieces).splitlines()]
    assert [line["response"] for line in lines] == ["Hi", ""]
    assert lines[-1]["done_reason"] == "stop"
