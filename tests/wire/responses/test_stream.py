"""The stream of OpenAI Responses, as providers and engines speak it."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.asks import streams
from tests.wire.heard import mended, says

from holdfast.facts.calls import Call
from holdfast.facts.flights import Leg
from holdfast.facts.outcomes import Piece, PieceKind, Usage
from holdfast.facts.places import Target
from holdfast.wire import speak
from holdfast.wire.deltas import (
    BlockEnded,
    Delta,
    Fault,
    Opened,
    Ping,
    RefusalDelta,
    Stopped,
    TextDelta,
    ThinkingDelta,
    ToolArgsDelta,
    ToolCallBegun,
    UsageSeen,
)
from holdfast.wire.mend import deltas_of
from holdfast.wire.responses.dialect import delta_reader, stream_reader, stream_writer
from holdfast.wire.speech import Answer, Choice, Text, Thinking
from holdfast.wire.sse import SseReader

OPENING, PING, THINKING, CONTENT, END, FAULT = PieceKind
SSE = ((b"content-type", b"text/event-stream; charset=utf-8"),)
SURFACES = {"anthropic": "messages", "openai": "chat", "openai-responses": "responses"}
Json = dict[str, Any]
USAGE = {
    "input_tokens": 36,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
    "output_tokens": 87,
    "output_tokens_details": {"reasoning_tokens": 12},
    "total_tokens": 123,
}


def events(*told: Json) -> bytes:
    """A stream of these events, numbered."""
    return b"".join(
        b"event: %b\ndata: %b\n\n"
        % (
            fields["type"].encode(),
            json.dumps(fields | {"sequence_number": number}, separators=(",", ":")).encode(),
        )
        for number, fields in enumerate(told)
    )


def response(status: str, *output: Json, **more: object) -> Json:
    usage = None if status == "in_progress" else USAGE
    return {
        "id": "resp_67c",
        "object": "response",
        "created_at": 1741290958,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": "You help.",
        "model": "model-r",
        "output": list(output),
        "usage": usage,
        **more,
    }


BEGUN = (
    {"type": "response.created", "response": response("in_progress")},
    {"type": "response.in_progress", "response": response("in_progress")},
)


def message(index: int, *texts: str) -> list[Json]:
    item = {"id": f"msg_{index}", "type": "message", "role": "assistant"}
    at = {"item_id": f"msg_{index}", "output_index": index, "content_index": 0}
    text = "".join(texts)
    part = {"type": "output_text", "text": text, "annotations": []}
    return [
        {
            "type": "response.output_item.added",
            "output_index": index,
            "item": {**item, "status": "in_progress", "content": []},
        },
        {"type": "response.content_part.added", **at, "part": {**part, "text": ""}},
        *(
            {"type": "response.output_text.delta", **at, "delta": one, "obfuscation": "aB"}
            for one in texts
        ),
        {"type": "response.output_text.done", **at, "text": text, "logprobs": []},
        {"type": "response.content_part.done", **at, "part": part},
        {
            "type": "response.output_item.done",
            "output_index": index,
            "item": {**item, "status": "completed", "content": [part]},
        },
    ]


def called(index: int, name: str, *args: str) -> list[Json]:
    item = {"id": f"fc_{index}", "type": "function_call", "call_id": f"call_{index}", "name": name}
    at = {"item_id": f"fc_{index}", "output_index": index}
    return [
        {
            "type": "response.output_item.added",
            "output_index": index,
            "item": {**item, "status": "in_progress", "arguments": ""},
        },
        *({"type": "response.function_call_arguments.delta", **at, "delta": a} for a in args),
        {"type": "response.function_call_arguments.done", **at, "arguments": "".join(args)},
        {
            "type": "response.output_item.done",
            "output_index": index,
            "item": {**item, "status": "completed", "arguments": "".join(args)},
        },
    ]


def thought(index: int, *parts: str) -> list[Json]:
    item = {"id": f"rs_{index}", "type": "reasoning"}
    told: list[Json] = [
        {
            "type": "response.output_item.added",
            "output_index": index,
            "item": {**item, "summary": [], "encrypted_content": "gA"},
        }
    ]
    for number, text in enumerate(parts):
        at = {"item_id": f"rs_{index}", "output_index": index, "summary_index": number}
        piece = {"type": "summary_text", "text": text}
        told += [
            {
                "type": "response.reasoning_summary_part.added",
                **at,
                "part": {**piece, "text": ""},
            },
            {"type": "response.reasoning_summary_text.delta", **at, "delta": text},
            {"type": "response.reasoning_summary_text.done", **at, "text": text},
            {"type": "response.reasoning_summary_part.done", **at, "part": piece},
        ]
    summary = [{"type": "summary_text", "text": text} for text in parts]
    whole = {**item, "summary": summary, "encrypted_content": "gAAA"}
    done = {"type": "response.output_item.done", "output_index": index, "item": whole}
    return [*told, done]


def ended(*told: Json, status: str = "completed", **more: object) -> bytes:
    done = [one["item"] for one in told if one["type"] == "response.output_item.done"]
    last = {"type": f"response.{status}", "response": response(status, *done, **more)}
    return events(*BEGUN, *told, last)


HARD_WORDS = ("Grüß", " dich,\n\n", "data: {", '"type":"response.completed"', " 你好 😀\\")
STREAMS = {
    "text": ended(*message(0, "Hello", "!")),
    "hard words": ended(*message(0, *HARD_WORDS)),
    "thought": ended(*thought(0, "Hm.", "So."), *message(1, "Yes.")),
    "sealed": ended(*thought(0), *message(1, "Yes.")),
    "calls": ended(*message(0, "See."), *called(1, "f", '{"a":', "1}"), *called(2, "g", "{}")),
    "no arguments": ended(*called(0, "now")),
    "web search": ended(
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {"id": "ws_1", "type": "web_search_call", "status": "in_progress"},
        },
        {"type": "response.web_search_call.searching", "output_index": 0, "item_id": "ws_1"},
        *message(1, "22 °C."),
    ),
    "length": ended(
        *message(0, "Once"), status="incomplete", incomplete_details={"reason": "max_output_tokens"}
    ),
    "keepalive": events(
        *BEGUN,
        {"type": "keepalive"},
        *message(0, "Hi"),
        {"type": "event.of_tomorrow", "x": 1},
        {"type": "response.completed", "response": response("completed")},
    ),
}
TEXTS = {"hard words": "".join(HARD_WORDS), "calls": "See.", "web search": "22 °C."}


def call(dialect: str, body: bytes = b"{}") -> Call:
    fields: Json = {"surface": SURFACES[dialect], "path": "/v1/x", "model": "m", "body": body}
    return Call(id="x", at=0.0, wall=1e9, dialect=dialect, stream=True, **fields)


def play(client: str, target: str, chunks: list[bytes]) -> list[Piece]:
    leg = Leg(target=Target("p", "m", "none"), dialect=target, surface=SURFACES[target])
    tap = speak.tap(call(client), leg, 200, SSE)
    return [piece for data in chunks for piece in tap.feed(data)] + tap.close()


def joined(pieces: list[Piece]) -> bytes:
    return b"".join(piece.data for piece in pieces)


def heard(stream: bytes) -> list[Delta]:
    return mended(delta_reader("m"), stream)


# ---------------------------------------------------------------------- reading


@pytest.mark.parametrize("name", STREAMS)
def test_each_stream_is_read_to_its_end(name: str) -> None:
    found = says(heard(STREAMS[name]))
    assert found.opened == Opened("resp_67c", "model-r")
    assert found.usage == Usage(30, 87, cache_read=4, cache_write=2, thought=12)
    if name in TEXTS:
        assert found.joined("text") == TEXTS[name]


def test_thoughts_come_with_what_seals_them() -> None:
    def told(name: str) -> list[Delta]:
        return [delta for delta in heard(STREAMS[name]) if not isinstance(delta, Ping)]

    assert told("thought")[1:7] == [
        ThinkingDelta(0, "Hm.", origin="openai-responses"),
        ThinkingDelta(0, "\n\n", origin="openai-responses"),
        ThinkingDelta(0, "So.", origin="openai-responses"),
        ThinkingDelta(0, signature="rs_0:gAAA", origin="openai-responses"),
        BlockEnded(0),
        TextDelta(1, "Yes."),
    ]
    assert told("sealed")[1:3] == [
        ThinkingDelta(0, signature="rs_0:gAAA", origin="openai-responses"),
        BlockEnded(0),
    ]


def test_calls_and_ends_are_read() -> None:
    found = says(heard(STREAMS["calls"]))
    assert found.calls == [("call_1", "f", '{"a":1}'), ("call_2", "g", "{}")]
    assert found.stop == "tool_calls"
    assert says(heard(STREAMS["no arguments"])).calls == [("call_0", "now", "{}")]
    assert says(heard(STREAMS["length"])).stop == "length"
    assert says(heard(STREAMS["text"])).stop == "end"
    filtered = {"incomplete_details": {"reason": "content_filter"}}
    stream = ended(*message(0, "Take"), status="incomplete", **filtered)
    assert says(heard(stream)).stop == "refusal"


def test_a_refusal_is_read() -> None:
    at = {"item_id": "msg_0", "output_index": 0, "content_index": 0}
    told = [
        {"type": "response.refusal.delta", **at, "delta": "I"},
        {"type": "response.refusal.delta", **at, "delta": " won't."},
        {"type": "response.refusal.done", **at, "refusal": "I won't."},
    ]
    found = says(heard(ended(*told)))
    assert (found.blocks, found.stop) == ([("refusal", "I won't.")], "refusal")


def without(told: list[Json], *types: str) -> list[Json]:
    return [one for one in told if not any(part in one["type"] for part in types)]


@pytest.mark.parametrize(
    "left_out",
    [
        ("delta",),
        ("added",),
        ("output_item",),
        ("delta", "added"),
        ("delta", "part", "text.done", "arguments.done"),
        ("delta", "added", "done"),
    ],
)
def test_what_an_engine_leaves_out_is_made_up_for(left_out: tuple[str, ...]) -> None:
    """A part is said whole up to four times; whatever comes first is taken, and no other."""
    told = [*thought(0, "Hm."), *message(1, "He", "y"), *called(2, "f", "{}")]
    if "output_item" in left_out:
        told = told[:-4] + told[-4:]  # a call's name stands in its item only
        stream = ended(*without(told[:-4], *left_out), *told[-4:])
    else:
        last = {
            "type": "response.completed",
            "response": response(
                "completed", *(t["item"] for t in told if t["type"].endswith("item.done"))
            ),
        }
        stream = events(*BEGUN, *without(told, *left_out), last)
    found = says(heard(stream))
    assert found.joined("text") == "Hey"
    assert found.calls == [("call_2", "f", "{}")]
    assert found.joined("thinking") in ("Hm.", "")
    assert found.stop == "tool_calls"


ERRORS = [
    {"type": "error", "code": "server_error", "message": "busy", "param": None},
    {"type": "error", "error": {"type": "server_error", "code": None, "message": "busy"}},
    {
        "type": "response.failed",
        "response": response("failed", error={"code": "server_error", "message": "busy"}),
    },
]


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_in_the_stream_keeps_its_bytes_and_its_words(error: Json) -> None:
    for before in ([], [*BEGUN], [*BEGUN, *message(0, "Hel")[:3]]):
        last_event = events(*before, error)[len(events(*before)) :]
        for client in SURFACES:
            last = play(client, "openai-responses", [events(*before, error)])[-1]
            assert last.kind is FAULT
            assert last.failure is not None
            if client == "openai-responses":
                assert last.data.startswith(last_event)
                assert last.data.count(b"event: response.failed\n") == 1
            else:
                assert last.data == b""
            assert last.failure.kind == "error_event"
            assert last.failure.said.message == "busy"
            assert last.failure.where == ("in_stream" if len(before) > 2 else "body")


@given(st.sampled_from(sorted(STREAMS)), st.lists(st.integers(0, 20_000), max_size=6))
def test_wherever_the_bytes_are_cut_the_same_is_heard(name: str, cuts: list[int]) -> None:
    stream = STREAMS[name]
    places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    chunks = [stream[a:b] for a, b in itertools.pairwise(places)]
    own = play("openai-responses", "openai-responses", chunks)
    assert (joined(own), own[-1].kind) == (stream, END)
    for client in ("anthropic", "openai"):
        assert says_of(client, chunks) == says_of(client, [stream])


def says_of(client: str, chunks: list[bytes]) -> tuple[object, ...]:
    pieces = play(client, "openai-responses", chunks)
    assert pieces[-1].kind is END
    found = says(mended(speak.DIALECTS[client].delta_reader("m"), joined(pieces)))
    return found.blocks, found.calls, found.stop, found.usage


@given(st.sampled_from(sorted(STREAMS)), st.integers(0, 20_000))
def test_a_stream_that_was_cut_off_is_never_whole(name: str, cut: int) -> None:
    """It ends with its terminal event; the connection's end says nothing."""
    stream = STREAMS[name]
    whole_from = len(stream) - 2  # the blank line behind the last data
    for client in SURFACES:
        kind = play(client, "openai-responses", [stream[: cut % whole_from]])[-1].kind
        assert kind is FAULT


def test_it_ends_with_its_terminal_event_and_not_with_the_connection() -> None:
    behind = STREAMS["text"] + b"data: [DONE]\n\nrubbish"
    for client in SURFACES:
        tap = speak.tap(
            call(client),
            Leg(target=Target("p", "m", "none"), dialect="openai-responses", surface="responses"),
            200,
            SSE,
        )
        assert tap.feed(behind)[-1].kind is END
        assert tap.close() == []


@pytest.mark.parametrize(
    "data", [b"{", b"5", b"[]", b"{}", b'{"type":"response.completed"}', b'{"type":7}']
)
def test_what_is_not_of_the_dialect_is_a_fault(data: bytes) -> None:
    stream = events(*BEGUN) + b"data: " + data + b"\n\n"
    assert isinstance(heard(stream)[-1], Fault)
    assert play("openai-responses", "openai-responses", [stream])[-1].kind is FAULT


def test_words_flow_at_a_glance() -> None:
    words = events(*message(0, "a", "b", "c")[2:5])
    reader = stream_reader("m")
    assert reader.flows(words)
    for other in (
        events(*message(0, "a")[2:4]),
        words.replace(b'"delta":"b"', b'"delta":\n"b"'),
        words[:-1],
        b": hi\n\n" + words,
        events({"type": "error", "message": "x", "delta": "y"}),
    ):
        assert not reader.flows(other)
        assert delta_reader("m").run(other) is None
    assert delta_reader("m").run(words) == TextDelta(0, "abc")
    two = events(message(0, "a")[2], message(1, "b")[2])
    assert (reader.flows(two), delta_reader("m").run(two)) == (True, None)


# ---------------------------------------------------------------------- writing


def written(deltas: list[Delta], asked: Json | None = None) -> list[Json]:
    """The events of a stream, held against the rules that every client relies on."""
    writer = stream_writer(json.dumps(asked or {}).encode(), 5)
    stream = b"".join(map(writer.write, deltas))
    found = []
    for event in SseReader().feed(stream):
        fields = json.loads(event.data)
        assert fields["type"] == event.event.decode()
        found.append(fields)
    assert [one["sequence_number"] for one in found] == list(range(len(found)))
    return found


def check(told: list[Json]) -> Json:
    """What the items' events must be, whatever they say; the response of the last one."""
    assert [one["type"] for one in told[:2]] == ["response.created", "response.in_progress"]
    open_, items = None, []
    for one in told[2:-1]:
        kind = one["type"]
        if kind == "keepalive":
            continue
        assert one["output_index"] == len(items)
        if kind == "response.output_item.added":
            assert open_ is None
            open_ = one["item"]
        elif kind == "response.output_item.done":
            assert one["item"]["type"] == open_["type"]
            items.append(one["item"])
            open_ = None
        else:
            assert one["item_id"] == open_["id"]
    assert open_ is None
    last = told[-1]["response"]
    assert last["output"] == items
    ids = [item["id"] for item in items]
    assert len(set(ids)) == len(ids)
    assert all(one["response"]["id"] == last["id"] for one in told[:2])
    return last


@given(streams())
def test_a_stream_that_is_written_is_read_as_the_same(deltas: list[Delta]) -> None:
    told = written(deltas)
    last = check(told)
    found = says(heard(events(*told)))
    expected = says(deltas)
    assert (found.blocks, found.calls, found.usage) == (
        expected.blocks,
        expected.calls,
        expected.usage,
    )
    assert found.opened == Opened(last["id"], expected.opened.model)
    refused = any(isinstance(delta, RefusalDelta) for delta in deltas)
    stop = "end" if expected.stop == "stop_sequence" else expected.stop
    assert found.stop == ("refusal" if stop == "end" and refused else stop)
    assert last["object"] == "response"


ASKED: Json = {
    "model": "m",
    "input": "x",
    "instructions": "i",
    "metadata": {"a": "b"},
    "tools": [
        {"type": "namespace", "name": "ns", "tools": [{"type": "function", "name": "f"}]},
        {"type": "custom", "name": "patch"},
    ],
    "store": False,
}


def test_the_clients_own_tools_are_called_by_their_own_names() -> None:
    deltas = [
        Opened("msg_1", "model-a"),
        ToolCallBegun(0, "call_1", "ns__f"),
        ToolArgsDelta(0, '{"n":'),
        ToolArgsDelta(0, "1}"),
        BlockEnded(0),
        ToolCallBegun(1, "call_2", "patch"),
        ToolArgsDelta(1, '{"input":"*** x"}'),
        BlockEnded(1),
        UsageSeen(Usage(3, 4)),
        Stopped("tool_calls"),
    ]
    told = written(deltas, ASKED)
    last = check(told)
    call_, custom = last["output"]
    assert (call_["namespace"], call_["name"]) == ("ns", "f")
    assert (call_["call_id"], call_["arguments"]) == ("call_1", '{"n":1}')
    assert call_["type"] == "function_call"
    assert (custom["type"], custom["name"], custom["input"]) == (
        "custom_tool_call",
        "patch",
        "*** x",
    )
    assert [one["type"] for one in told if one.get("output_index") == 1] == [
        "response.output_item.added",
        "response.custom_tool_call_input.delta",
        "response.custom_tool_call_input.done",
        "response.output_item.done",
    ]
    assert last["status"] == "completed"
    assert last["instructions"] == "i"
    assert last["tools"] == ASKED["tools"]
    assert last["store"] is False
    assert last["model"] == "model-a"
    assert last["usage"]["total_tokens"] == 7


def test_what_another_provider_thought_comes_sealed_for_it() -> None:
    deltas = [
        Opened("", "m"),
        ThinkingDelta(0, "Hm", origin="anthropic"),
        ThinkingDelta(0, ".", origin="anthropic"),
        ThinkingDelta(0, signature="sig", origin="anthropic"),
        BlockEnded(0),
        TextDelta(1, "x"),
        Ping(),
        BlockEnded(1),
        Stopped("length"),
    ]
    told = written(deltas)
    last = check(told)
    item = last["output"][0]
    assert item["encrypted_content"] == "holdfast.anthropic.text.sig"
    assert item["summary"] == [{"type": "summary_text", "text": "Hm."}]
    assert [one["type"].rpartition("response.")[2] for one in told][2:9] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
    ]
    assert told[-1]["type"] == "response.incomplete"
    assert last["incomplete_details"] == {"reason": "max_output_tokens"}


def test_a_thought_of_its_own_keeps_its_id_from_its_beginning() -> None:
    """SDKs stop at an item that is done under another id than it began with."""
    thought = Thinking("Hm", "rs_9:RU5D", origin="openai-responses")
    said = Answer(id="x", model="m", choices=(Choice((thought, Text("hi"))),))
    stream = b"".join(map(stream_writer(b"{}", 0).write, deltas_of(said)))
    events = [json.loads(event.data) for event in SseReader().feed(stream)]
    ids = [
        event["item"]["id"]
        for event in events
        if event.get("output_index") == 0 and "item" in event
    ]
    assert ids == ["rs_9", "rs_9"]
