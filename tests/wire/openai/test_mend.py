"""Engines' streams of chat chunks, as their users reported them, and what clients are given."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.lib.streaming.chat._completions import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from tests.wire.every import tap
from tests.wire.recorded import DONE, HEAD, ROLE, chunk, joined, line, pieces_of, split, words

from holdfast.facts.outcomes import PieceKind
from holdfast.wire.sse import SseReader

Json = dict[str, Any]


def call(
    index: int | None = 0, id_: str | None = "a", name: str | None = "f", args: Any = ""
) -> Json:
    function = {"name": name, "arguments": args}
    piece: Json = {"index": index, "id": id_, "type": "function", "function": function}
    return {name: value for name, value in piece.items() if value is not None}


def calls(*pieces: Json) -> bytes:
    return chunk({"tool_calls": list(pieces)})


def more(args: Any, index: int | None = 0, **again: str) -> Json:
    piece: Json = {"function": {"arguments": args}} | again
    return piece if index is None else {"index": index, **piece}


def heard(*parts: bytes, cuts: list[int] | None = None) -> ChatCompletion:
    """What the SDK's helper makes of it."""
    pieces = pieces_of(tap("openai", "openai", local=True), split(b"".join(parts), cuts or []))
    assert pieces[-1].kind is PieceKind.END
    state = ChatCompletionStreamState()
    for event in SseReader().feed(joined(pieces)):
        if event.data != b"[DONE]":
            state.handle_chunk(ChatCompletionChunk.model_construct(**built(event.data)))
    return state.get_final_completion()


def built(data: bytes) -> Json:
    return ChatCompletionChunk.model_validate(
        {"id": "x", "created": 1, "model": "m", "object": "chat.completion.chunk"}
        | json.loads(data)
    ).__dict__


STOP = chunk({}, "stop") + DONE
TWO = [("f", '{"n":1}'), ("g", '{"n":2}')]
FAULTS = {
    "no index": [calls(call(None, args='{"n":1}')), calls(call(None, "b", "g", '{"n":2}'))],
    "no index, in one chunk": [calls(call(None, args='{"n":1}'), call(None, "b", "g", '{"n":2}'))],
    "all under one index": [calls(call(args='{"n":1}')), calls(call(0, "b", "g", '{"n":2}'))],
    "no ids": [calls(call(0, None, args='{"n":1}')), calls(call(1, None, "g", '{"n":2}'))],
    "neither": [calls(call(0, None, args='{"n":1}')), calls(call(0, None, "g", '{"n":2}'))],
    "an object": [calls(call(args={"n": 1})), calls(call(1, "b", "g", {"n": 2}))],
    "indexes from one": [calls(call(1, args='{"n":1}')), calls(call(2, "b", "g", '{"n":2}'))],
    "named again": [
        calls(call()),
        calls(more('{"n":', id="a") | {"function": {"name": "f", "arguments": '{"n":'}}),
        calls(more("1}")),
        calls(call(1, "b", "g")),
        calls(more('{"n":2}', 1, id="b")),
    ],
}


@pytest.mark.parametrize("name", FAULTS)
@settings(max_examples=15)
@given(cuts=st.lists(st.integers(0, 5000), max_size=4))
def test_calls_can_be_told_apart_and_run(name: str, cuts: list[int]) -> None:
    (choice,) = heard(ROLE, *FAULTS[name], STOP, cuts=cuts).choices
    found = choice.message.tool_calls or []
    assert [
        (one.function.name, json.dumps(json.loads(one.function.arguments), separators=(",", ":")))
        for one in found
    ] == TWO
    assert choice.finish_reason == "tool_calls"
    ids = [one.id for one in found]
    assert len(set(ids)) == 2
    assert all(ids)
    assert (
        "".join(ids) in ("ab", "".join(ids))
        if "ids" in name or name == "neither"
        else ids == ["a", "b"]
    )


@pytest.mark.parametrize(
    ("said", "reason"),
    [([*words("Hi")], "stop"), ([calls(call(args="{}"))], "tool_calls")],
)
def test_an_end_without_a_reason_is_given_one(said: list[bytes], reason: str) -> None:
    """Some clients ask again for ever where there is none."""
    (choice,) = heard(ROLE, *said, DONE).choices
    assert choice.finish_reason == reason


def test_an_end_within_a_call_is_none() -> None:
    parts = [ROLE, calls(call(args='{"n":')), DONE]
    pieces = pieces_of(tap("openai", "openai", local=True), parts)
    assert pieces[-1].kind is PieceKind.FAULT


@pytest.mark.parametrize(
    ("odd", "due"),
    [
        (line({**HEAD, "choices": None}), b'"choices":[]'),
        (line({**HEAD, "usage": {"prompt_tokens": 1}}), b'"choices":[]'),
        (line({**HEAD, "choices": [{"index": 0, "finish_reason": "stop"}]}), b'"delta":{}'),
        (chunk({"content": "x"}, ""), b'"finish_reason":null'),
    ],
)
def test_what_clients_read_without_asking_is_there(odd: bytes, due: bytes) -> None:
    pieces = pieces_of(tap("openai", "openai", local=True), [ROLE, *words("Hi"), odd, STOP])
    said = joined(pieces)
    assert due in said
    assert pieces[-1].kind is PieceKind.END


def test_a_named_tools_reason_is_changed_and_a_length_is_not() -> None:
    assert heard(ROLE, calls(call(args="{}")), STOP).choices[0].finish_reason == "tool_calls"
    cut = b"".join([ROLE, calls(call(args="{}")), chunk({}, "length"), DONE])
    assert joined(pieces_of(tap("openai", "openai", local=True), [cut])) == cut


def test_several_choices_are_mended_apart() -> None:
    one = chunk({"tool_calls": [call(0, "a", "f", "{}")]}, index=0)
    two = chunk({"tool_calls": [call(0, "b", "g", "{}")]}, index=1)
    said = heard(ROLE, one, two, chunk({}, "stop"), chunk({}, "stop", index=1), DONE)
    assert [c.message.tool_calls[0].id for c in said.choices if c.message.tool_calls] == ["a", "b"]


def test_a_cloud_is_not_mended() -> None:
    stream = b"".join([ROLE, calls(call(None, args="{}")), STOP])
    assert joined(pieces_of(tap("openai", "openai"), [stream])) == stream
