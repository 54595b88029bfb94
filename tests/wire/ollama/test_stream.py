"""The stream of Ollama's own API, read and written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.asks import streams
from tests.wire.heard import mended, says
from tests.wire.recorded import call, joined, leg, split

from holdfast.facts.outcomes import Piece, PieceKind, Usage
from holdfast.wire import speak
from holdfast.wire.deltas import (
    BlockEnded,
    Delta,
    Fault,
    Opened,
    Stopped,
    ToolArgsDelta,
    ToolCallBegun,
)
from holdfast.wire.lines import LineReader
from holdfast.wire.ollama.stream import DeltaReader, StreamWriter

OPENING, PING, THINKING, CONTENT, END, FAULT = PieceKind
HEAD = {"model": "llama3.2", "created_at": "2023-08-04T08:52:19.385406455-07:00"}
COUNTS = {
    "total_duration": 4883583458,
    "load_duration": 1334875,
    "prompt_eval_count": 26,
    "prompt_eval_duration": 342546000,
    "eval_count": 282,
    "eval_duration": 4535599000,
}
USED = Usage(input=26, output=282)
NDJSON = ((b"content-type", b"application/x-ndjson"),)


def line(**fields: object) -> bytes:
    said = json.dumps({**HEAD, **fields}, ensure_ascii=False, separators=(",", ":"))
    return said.encode() + b"\n"


def words(content: str = "", **more: object) -> bytes:
    return line(message={"role": "assistant", "content": content, **more}, done=False)


def done(reason: str | None = "stop", content: str = "") -> bytes:
    why = {} if reason is None else {"done_reason": reason}
    message = {"role": "assistant", "content": content}
    return line(message=message, **why, done=True, **COUNTS)


def tool(name: str, arguments: object, **more: object) -> dict[str, object]:
    return {**more, "function": {"name": name, "arguments": arguments}}


TEXT = "Grüß dich,\n你好 😀 \u2028end"
STREAM = (
    words(thinking="The user ")
    + words(thinking="greets.")
    + words("Grüß ")
    + words("dich,\n")
    + words("你好 😀 \u2028end")
    + words(tool_calls=[tool("f", {"n": 1}), tool("f", {"ü": "😀"})])
    + words(tool_calls=[tool("g", {}, id="call_g")])
    + done()
)


def heard(stream: bytes) -> list[Delta]:
    return mended(DeltaReader("asked"), stream, LineReader())


# ------------------------------------------------------------------------ reading


def test_a_stream_as_documented_is_read_whole() -> None:
    found = says(heard(STREAM))
    assert found.opened == Opened("", "llama3.2")
    assert found.blocks == [("thinking", "The user greets."), ("text", TEXT)]
    (first, second, third) = found.calls
    assert (first[1:], second[1:]) == (("f", '{"n":1}'), ("f", '{"ü":"😀"}'))
    assert third == ("call_g", "g", "{}")
    assert first[0][:5] == second[0][:5] == "call_"
    assert first[0] != second[0]
    assert (found.stop, found.usage) == ("tool_calls", USED)


def deltas_of(chunks: list[bytes]) -> list[Delta]:
    frames, reader = LineReader(), DeltaReader("m")
    events = [event for data in chunks for event in frames.feed(data)]
    return [delta for event in events for delta in reader.read(event)]


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_every_cut_of_the_bytes_gives_the_same(cuts: list[int]) -> None:
    deltas = deltas_of(split(STREAM, cuts))
    assert deltas == deltas_of([STREAM])
    assert isinstance(deltas[-1], Stopped)


@pytest.mark.long
def test_each_cut_in_two_gives_the_same() -> None:
    whole = deltas_of([STREAM])
    assert deltas_of([STREAM[n : n + 1] for n in range(len(STREAM))]) == whole
    for cut in range(len(STREAM)):
        assert deltas_of([STREAM[:cut], STREAM[cut:]]) == whole


@pytest.mark.parametrize(
    ("reason", "stop"), [("stop", "end"), ("length", "length"), ("new", "end"), (None, "end")]
)
def test_the_reason_of_the_end_is_read(reason: str | None, stop: str) -> None:
    found = says(heard(words("Hi") + done(reason, "!")))
    assert (found.joined("text"), found.stop) == ("Hi!", stop)


def test_a_model_that_is_loaded_says_nothing_and_is_no_fault() -> None:
    for reason in ("load", "unload", "stop"):
        assert [type(delta) for delta in heard(done(reason))][-1] is Stopped
    (fault,) = heard(done(None))
    assert isinstance(fault, Fault)
    assert fault.failure.kind == "empty"


def test_generated_text_is_read_too() -> None:
    stream = line(response="", thinking="hm", done=False) + line(response="Hi", done=False)
    found = says(heard(stream + line(response="", done=True, done_reason="stop", **COUNTS)))
    assert found.blocks == [("thinking", "hm"), ("text", "Hi")]
    assert found.usage == USED


@pytest.mark.parametrize("arguments", ['{"n":1}', {"n": 1}])
def test_arguments_may_come_as_text(arguments: object) -> None:
    stream = words(tool_calls=[tool("f", arguments)]) + done()
    assert says(heard(stream)).calls[0][1:] == ("f", '{"n":1}')


def test_arguments_that_are_none_are_an_empty_object() -> None:
    assert says(heard(words(tool_calls=[tool("f", None)]) + done())).calls[0][2] == "{}"


@pytest.mark.parametrize(
    ("bad", "kind", "says_"),
    [
        (b'{"error":"an error was encountered while running the model"}\n', "error_event", "an er"),
        (b'{"error":{"message":"busy","code":503}}\n', "error_event", "busy"),
        (b'{"detail":"gone","done":5}\n', "error_event", "gone"),
        (b'{"done":5}\n', "garbage", "a line of the stream"),
        (b"<html>\n", "garbage", "a line of the stream"),
        (b'{"message":{"tool_calls":[{"function":{"name":"f","arguments":"\\ud800"}}]}}\n', "", ""),
        (words(tool_calls=[{"function": {"arguments": {}}}]), "garbage", "without a name"),
        (words(tool_calls=[tool("f", [1])]), "garbage", "no JSON object"),
    ],
)
def test_what_is_wrong_is_a_fault(bad: bytes, kind: str, says_: str) -> None:
    for before in (b"", words("Hi")):
        last = heard(before + bad + done())[-1]
        assert isinstance(last, Fault)
        assert last.failure.kind == (kind or "garbage")
        assert says_ in last.failure.text


@given(st.binary(max_size=40) | st.recursive(st.none() | st.text(), st.lists).map(
    lambda value: json.dumps({"message": value, "done": value}).encode()
))  # fmt: skip
def test_any_line_is_read(data: bytes) -> None:
    reader = DeltaReader("m")
    for event in LineReader().feed(data + b"\n"):
        assert isinstance(list(reader.read(event)), list)


# ------------------------------------------------------------------------ passing


def pieces(client: str, target: str, chunks: list[bytes]) -> list[Piece]:
    asked = call(client, stream=True, body=b'{"thinking":{"type":"adaptive"}}')
    tap = speak.tap(asked, leg(target), 200, NDJSON)
    return [piece for data in chunks for piece in tap.feed(data)] + tap.close()


@given(st.lists(st.integers(0, len(STREAM)), max_size=6))
def test_a_stream_of_the_same_dialect_passes_byte_for_byte(cuts: list[int]) -> None:
    found = pieces("ollama", "ollama", split(STREAM, cuts))
    assert joined(found) == STREAM
    assert found[-1].kind is END
    assert CONTENT in {piece.kind for piece in found}


def test_what_comes_behind_the_end_does_not_pass() -> None:
    found = pieces("ollama", "ollama", [words("Hi"), done() + words("more"), words("more")])
    assert joined(found) == words("Hi") + done()


def test_an_error_in_mid_stream_passes_as_it_came() -> None:
    error = b'{"error":"model runner has unexpectedly stopped"}\n'
    last = pieces("ollama", "ollama", [words("Hi") + error])[-1]
    assert (last.kind, last.data) == (FAULT, error)
    assert last.failure is not None
    assert last.failure.said.message == "model runner has unexpectedly stopped"
    last = pieces("anthropic", "ollama", [words("Hi") + error])[-1]
    assert (last.kind, last.data) == (FAULT, b"")


@pytest.mark.parametrize("client", ["ollama", "openai", "anthropic"])
def test_a_cut_is_never_an_end(client: str) -> None:
    """At any byte but the line end behind the last line."""
    for at in range(0, len(STREAM) - 1, 7):
        last = pieces(client, "ollama", [STREAM[:at]])[-1]
        assert last.kind is FAULT
    assert pieces(client, "ollama", [STREAM[:-1]])[-1].kind is END


@pytest.mark.parametrize("client", ["openai", "anthropic"])
def test_what_crosses_says_the_same(client: str) -> None:
    found = joined(pieces(client, "ollama", [STREAM]))
    reader = speak.DIALECTS[client].delta_reader("m")
    told = says(mended(reader, found))
    assert told.joined("text") == TEXT
    assert told.joined("thinking") == "The user greets."
    assert [name for _, name, _ in told.calls] == ["f", "f", "g"]
    assert told.stop == "tool_calls"


# ------------------------------------------------------------------------ writing


def check(stream: bytes) -> list[dict[str, Any]]:
    """Each line names the model, is of the model's role, and the last one alone is done."""
    lines = [json.loads(event.data) for event in LineReader().feed(stream)]
    assert stream.count(b"\n") == len(lines)
    assert len({(found["model"], found["created_at"]) for found in lines}) == 1
    for found in lines:
        assert found["message"]["role"] == "assistant"
        assert isinstance(found["message"]["content"], str)
    assert [found["done"] for found in lines] == [False] * (len(lines) - 1) + [True]
    assert lines[-1]["message"]["content"] == ""
    assert lines[-1]["done_reason"] in ("stop", "length")
    assert all(lines[-1][name] >= 0 for name in COUNTS)
    calls = [one for found in lines for one in found["message"].get("tool_calls", ())]
    assert [one["function"]["index"] for one in calls] == list(range(len(calls)))
    assert all(isinstance(one["function"]["arguments"], dict) for one in calls)
    return lines


def written(deltas: list[Delta]) -> bytes:
    return b"".join(map(StreamWriter(7).write, deltas))


@given(streams())
def test_a_stream_that_is_written_keeps_the_grammar_and_is_read_as_the_same(
    deltas: list[Delta],
) -> None:
    stream = written(deltas)
    assert check(stream)[0]["created_at"] == "1970-01-01T00:00:07Z"
    said, back = says(deltas), says(heard(stream))
    assert back.joined("text") == "".join(
        text for kind, text in said.blocks if kind in ("text", "refusal")
    )
    assert back.joined("thinking") == said.joined("thinking")
    assert back.calls == said.calls
    assert back.stop == {"stop_sequence": "end", "refusal": "end"}.get(said.stop, said.stop)
    used = said.usage
    assert back.usage == Usage((used.input or 0) + (used.cache_read or 0), used.output or 0)
    assert said.opened is not None
    assert back.opened == Opened("", said.opened.model)


def test_arguments_over_several_lines_stay_in_one() -> None:
    deltas = [
        Opened("a", "m"),
        ToolCallBegun(0, "i" * 70, "f"),
        ToolArgsDelta(0, '{\r\n "n":'),
        ToolArgsDelta(0, "\n 1}"),
        BlockEnded(0),
        Stopped("tool_calls"),
    ]
    (first, last) = check(written(deltas))
    (found,) = first["message"]["tool_calls"]
    assert found["function"]["arguments"] == {"n": 1}
    assert len(found["id"]) == 64
    assert last["done_reason"] == "stop"
