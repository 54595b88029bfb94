"""Engines' streams of Responses, as their users reported them, and what clients are given."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wire.every import tap
from tests.wire.recorded import joined, pieces_of, split
from tests.wire.responses.test_stream import (
    BEGUN,
    STREAMS,
    called,
    events,
    message,
    response,
    thought,
    without,
)

from holdfast.facts.outcomes import PieceKind
from holdfast.wire.sse import SseReader

Json = dict[str, Any]
TOLD = [*thought(0, "Hm."), *message(1, "He", "y"), *called(2, "f", '{"n":', "1}")]
DONE = [one["item"] for one in TOLD if one["type"] == "response.output_item.done"]
LAST = {"type": "response.completed", "response": response("completed", *DONE)}


def passed(stream: bytes, cuts: list[int] | None = None) -> list[Json]:
    tapped = tap("openai-responses", "openai-responses", local=True)
    pieces = pieces_of(tapped, split(stream, cuts or []))
    assert pieces[-1].kind is PieceKind.END
    found = []
    for one in SseReader().feed(joined(pieces)):
        fields = json.loads(one.data)
        assert one.event.decode() == fields["type"]
        found.append(fields)
    return found


def codex(found: list[Json]) -> tuple[str, list[Json]]:
    """What Codex makes of it: words only within an active item, items when they are done."""
    active, said, done = set(), "", []
    numbers = [one["sequence_number"] for one in found]
    assert numbers == sorted(set(numbers))
    assert found[0]["type"] == "response.created"
    for one in found:
        kind = one["type"]
        if kind == "response.output_item.added":
            active.add(one["output_index"])
        elif kind == "response.output_text.delta":
            assert one["output_index"] in active
            assert {"item_id", "content_index"} <= set(one)
            said += one["delta"]
        elif kind == "response.output_item.done":
            assert one["item"]["id"]
            done.append(one["item"])
    assert found[-1]["response"]["id"]
    return said, done


def stripped(told: list[Json], *names: str) -> list[Json]:
    """Events without these fields, also of their items."""
    found = []
    for one in told:
        fields = {name: value for name, value in one.items() if name not in names}
        if "id" in names and fields.get("item", {}).get("type") == "function_call":
            item = {name: value for name, value in one["item"].items() if name != "id"}
            fields["item"] = item
        found.append(fields)
    return found


FAULTS = {
    "nothing": TOLD,
    "no indexes and no ids": stripped(TOLD, "output_index", "content_index", "item_id", "id"),
    "no output_text.done": without(TOLD, "text.done"),
    "no parts": without(TOLD, "content_part"),
    "no ends of items": without(TOLD, "item.done"),
    "no beginnings of the message": [
        one
        for one in TOLD
        if one["type"] not in ("response.output_item.added", "response.content_part.added")
        or one.get("output_index") != 1
    ],
    "deltas alone": [one for one in TOLD if one["type"] == "response.output_text.delta"],
}


@pytest.mark.parametrize("opened", [True, False])
@pytest.mark.parametrize("name", FAULTS)
@settings(max_examples=15)
@given(cuts=st.lists(st.integers(0, 20_000), max_size=4))
def test_what_leaves_the_grammar_is_mended(name: str, opened: bool, cuts: list[int]) -> None:
    stream = events(*(BEGUN if opened else ()), *FAULTS[name], LAST)
    said, done = codex(passed(stream, cuts))
    assert said == "Hey"
    texts = [part["text"] for item in done for part in item.get("content") or ()]
    assert texts == ["Hey"]
    calls = [item for item in done if item["type"] == "function_call"]
    assert [(one["call_id"], one["arguments"]) for one in calls] == [("call_2", '{"n":1}')]


def test_without_numbers_there_are_some() -> None:
    bare = [b"data: %b\n\n" % json.dumps(one).encode() for one in (*BEGUN, *TOLD, LAST)]
    found = passed(b"".join(bare))
    assert [one["sequence_number"] for one in found] == list(range(len(bare)))


def test_numbers_that_stand_still_go_on() -> None:
    same = [
        b"data: %b\n\n" % json.dumps(one | {"sequence_number": 1}).encode()
        for one in (*BEGUN, *TOLD, LAST)
    ]
    codex(passed(b"".join(same)))


def test_a_refusal_is_ended_as_one() -> None:
    at = {"item_id": "msg_0", "output_index": 0, "content_index": 0}
    told = [{"type": "response.refusal.delta", **at, "delta": "No."}]
    last = {"type": "response.completed", "response": response("completed")}
    found = passed(events(*BEGUN, *told, last))
    assert {"response.refusal.done"} <= {one["type"] for one in found}
    (item,) = found[-1]["response"]["output"]
    assert item["content"] == [{"type": "refusal", "refusal": "No."}]


def test_the_end_says_what_was_said_and_by_whom() -> None:
    last = {"type": "response.completed", "response": {"status": "completed"}}
    found = passed(events(*BEGUN, *TOLD, last))
    assert found[-1]["response"]["id"] == "resp_67c"
    assert found[-1]["response"]["output"] == DONE


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_never_ends_is_not_ended(name: str) -> None:
    stream = STREAMS[name]
    part = stream[: stream.rindex(b"event: ")]
    tapped = tap("openai-responses", "openai-responses", local=True)
    assert pieces_of(tapped, [part])[-1].kind is PieceKind.FAULT
