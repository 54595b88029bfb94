"""The stream of Gemini's dialect, as events and as an array."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.asks import streams
from tests.wire.heard import says
from tests.wire.recorded import joined, pieces_of, split

from holdfast.facts.calls import Call
from holdfast.facts.flights import Leg
from holdfast.facts.outcomes import Piece, PieceKind, Usage
from holdfast.facts.places import Target
from holdfast.wire import speak
from holdfast.wire.deltas import Delta, Fault, Grammar, RefusalDelta, Stopped, TextDelta, UsageSeen
from holdfast.wire.gemini import array as gemini_array
from holdfast.wire.gemini import dialect as gemini
from holdfast.wire.gemini.parts import UNSIGNED
from holdfast.wire.gemini.stream import DeltaReader, StreamReader, StreamWriter
from holdfast.wire.mend import Mender
from holdfast.wire.sse import SseEvent

OPENING, PING, THINKING, CONTENT, END, FAULT = PieceKind
Json = dict[str, Any]
USAGE = {
    "promptTokenCount": 100,
    "cachedContentTokenCount": 40,
    "candidatesTokenCount": 7,
    "thoughtsTokenCount": 5,
    "totalTokenCount": 112,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 100}],
}
HEAD = {"modelVersion": "gemini-3-pro", "responseId": "r1"}


def chunk(*parts: Json, stop: str = "", index: int = 0, **more: object) -> Json:
    candidate: Json = {"index": index}
    if parts:
        candidate["content"] = {"parts": list(parts), "role": "model"}
    if stop:
        candidate["finishReason"] = stop
    return {"candidates": [candidate], **HEAD, **more}


def event(fields: object) -> bytes:
    return b"data: %b\r\n\r\n" % json.dumps(fields, ensure_ascii=False).encode()


CALL = {"functionCall": {"name": "now", "args": {"tz": "UTC"}}, "thoughtSignature": "c2ln"}
LAST = chunk({"text": ""}, stop="STOP", usageMetadata=USAGE)
TEXT = [chunk({"text": "Grüße ☕"}), chunk({"text": "数到"}, usageMetadata=USAGE), LAST]
TOOLS = [
    chunk({"text": "Let me", "thought": True}),
    chunk({"text": "Well"}),
    chunk(CALL, {"functionCall": {"id": "x", "name": "now"}}),
    LAST,
]
BLOCKED = [{"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": USAGE, **HEAD}]
STREAMS = {"text": TEXT, "tools": TOOLS, "blocked": BLOCKED}


def as_events(chunks: list[Json]) -> bytes:
    return b"".join(map(event, chunks))


def as_array(chunks: list[Json]) -> bytes:
    return b"[" + b",\r\n".join(json.dumps(c, indent=2).encode() for c in chunks) + b"]"


def tap(client: str, target: str = "gemini", query: str = "alt=sse", kind: str = "") -> speak.Tap:
    call = Call(
        id="x", at=0.0, wall=0.0, dialect=client, surface=speak.DIALECTS[client].SURFACE,
        path="/", query=query, model="m", stream=True, body=b"{}",
    )  # fmt: skip
    leg = Leg(
        target=Target("p", "m", "none"), dialect=target, surface=speak.DIALECTS[target].SURFACE
    )
    form = kind or ("text/event-stream" if "sse" in query else "application/json")
    return speak.tap(call, leg, 200, ((b"content-type", form.encode()),))


def mended(data: bytes, *, array: bool = False) -> list[Delta]:
    """The neutral stream that these bytes become; it is held against the grammar."""
    speaking = gemini_array if array else gemini
    reader, mender, grammar = DeltaReader("m"), Mender("m"), Grammar()
    found = []
    for read in speaking.frames().feed(data):
        for delta in (one for raw in reader.read(read) for one in mender.mend(raw)):
            assert grammar.check(delta) is None
            found.append(delta)
            if isinstance(delta, Stopped | Fault):
                return found
    for delta in (one for raw in reader.close() for one in mender.mend(raw)):
        assert grammar.check(delta) is None
        found.append(delta)
    return found


# -------------------------------------------------------------------- passing


@pytest.mark.parametrize("name", STREAMS)
@given(cuts=st.lists(st.integers(0, 5000), max_size=6))
def test_a_stream_passes_byte_for_byte_in_either_form(name: str, cuts: list[int]) -> None:
    for form, query in ((as_events, "alt=sse"), (as_array, "key=x")):
        data = form(STREAMS[name])
        pieces = pieces_of(tap("gemini", query=query), split(data, cuts))
        assert joined(pieces) == data
        assert pieces[-1].kind is END
        assert FAULT not in [piece.kind for piece in pieces]


@given(name=st.sampled_from(["text", "tools"]), cut=st.integers(0, 5000), array=st.booleans())
def test_a_cut_is_never_a_clean_end(name: str, cut: int, array: bool) -> None:
    """What ends before its finish reason is broken, for a client of any dialect."""
    data = (as_array if array else as_events)(STREAMS[name])
    whole = data.index(b"STOP") + 4
    query = "" if array else "alt=sse"
    clients = ["gemini"] if array else ["gemini", "anthropic", "openai"]
    for client in clients:
        pieces = pieces_of(tap(client, query=query), [data[: cut % whole]])
        assert pieces[-1].kind is FAULT
        assert END not in [piece.kind for piece in pieces]


def kinds(*chunks: Json) -> list[PieceKind]:
    reader = StreamReader()
    return [reader.read(SseEvent(b"", b"", json.dumps(c).encode())) for c in chunks]


@pytest.mark.parametrize(
    ("part", "commits"),
    [
        ({"text": "x"}, True),
        ({"text": "x", "thought": True}, True),
        (CALL, True),
        ({"inlineData": {"data": "x"}}, True),
        ({"fieldOfTomorrow": 0}, True),
        ({"text": ""}, False),
        ({}, False),
    ],
)
def test_whatever_a_part_says_commits(part: Json, commits: bool) -> None:
    assert kinds(chunk(part)) == [CONTENT if commits else OPENING]


def test_of_several_candidates_each_must_be_finished() -> None:
    begun = [chunk({"text": "Heads"}), chunk({"text": "Tails"}, index=1)]
    for last, kind in (([], FAULT), ([chunk(stop="STOP", index=1)], END)):
        data = as_events([*begun, chunk(stop="STOP"), *last])
        assert pieces_of(tap("gemini"), [data])[-1].kind is kind
        assert pieces_of(tap("openai"), [data])[-1].kind is kind
    (*_, last_piece) = pieces_of(tap("anthropic"), [as_events(begun)])
    assert last_piece.failure is not None
    assert "several choices" in last_piece.failure.text


def test_what_follows_the_finish_reason_still_passes() -> None:
    late = [chunk({"text": "x"}), chunk(stop="STOP"), {"usageMetadata": USAGE}]
    reading = tap("gemini")
    assert joined(pieces_of(reading, [as_events(late)])) == as_events(late)
    assert reading.usage == Usage(60, 12, 40, thought=5)
    for client in ("openai", "anthropic"):
        crossing = tap(client)
        assert pieces_of(crossing, [as_events(late)])[-1].kind is END
        assert crossing.usage == Usage(60, 12, 40, thought=5)


ERRORS = [
    event({"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}),
    b'event: error\r\ndata: {"error":{"message":"The model is overloaded."}}\r\n\r\n',
    event([{"error": {"code": 503, "message": "The model is overloaded."}}]),
]


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("begun", [b"", event(TEXT[0])])
def test_an_error_in_the_stream_keeps_its_bytes_and_its_words(begun: bytes, error: bytes) -> None:
    for client in ("gemini", "openai", "anthropic"):
        last = pieces_of(tap(client), [begun + error + event(LAST)])[-1]
        assert (last.kind, last.data) == (FAULT, error if client == "gemini" else b"")
        assert last.failure is not None
        assert last.failure.kind == "error_event"
        assert last.failure.said.message == "The model is overloaded."
        assert last.failure.where == ("in_stream" if begun else "body")


@pytest.mark.parametrize("data", [b"data: {\r\n\r\n", b'data: {"candidates":5}\r\n\r\n'])
def test_what_is_not_of_the_dialect_is_garbage(data: bytes) -> None:
    for client in ("gemini", "openai"):
        last = pieces_of(tap(client), [event(TEXT[0]) + data + event(LAST)])[-1]
        assert last.failure is not None
        assert last.failure.kind == "garbage"


def test_a_relays_done_ends_it() -> None:
    done = b"data: [DONE]\n\n"
    for client in ("gemini", "openai"):
        assert pieces_of(tap(client), [as_events(TEXT) + done])[-1].kind is END
        cut = pieces_of(tap(client), [event(TEXT[0]) + done])[-1]
        assert cut.failure is not None
        assert cut.failure.kind == "truncated"
        empty = pieces_of(tap(client), [done])[-1]
        assert empty.failure is not None
        assert empty.failure.kind == "empty"


# ------------------------------------------------------------------- crossing


@pytest.mark.parametrize("name", STREAMS)
@given(cuts=st.lists(st.integers(0, 5000), max_size=6))
def test_any_split_gives_the_same_deltas(name: str, cuts: list[int]) -> None:
    for client in ("openai", "anthropic"):
        whole = joined(pieces_of(tap(client), [as_events(STREAMS[name])]))
        parts = split(as_events(STREAMS[name]), cuts)
        assert joined(pieces_of(tap(client), parts)) == whole


def test_what_a_stream_says() -> None:
    said = says(mended(as_events(TEXT)))
    assert said.opened is not None
    assert (said.opened.id, said.opened.model) == ("r1", "gemini-3-pro")
    assert (said.joined("text"), said.stop, said.usage) == (
        "Grüße ☕数到",
        "end",
        Usage(60, 12, 40, thought=5),
    )
    said = says(mended(as_events(TOOLS)))
    (first, second) = said.calls
    assert first[1:] == ("now", '{"tz": "UTC"}')
    assert first[0].startswith("call_")
    assert second == ("x", "now", "{}")
    assert said.joined("thinking") == "Let me"
    assert said.stop == "tool_calls"
    assert said.blocks[0] == ("thinking", "Let me")


def test_a_call_is_let_go_as_soon_as_it_has_come() -> None:
    deltas = mended(as_events(TOOLS[:3]))
    assert len(says(deltas).calls) == 2


@pytest.mark.parametrize("reason", ["SAFETY", "RECITATION", "OTHER", "PROHIBITED_CONTENT"])
def test_what_a_provider_withholds_is_a_refusal(reason: str) -> None:
    chunks = [chunk({"text": "We"}), chunk(stop=reason)]
    chunks[1]["candidates"][0]["finishMessage"] = "Not this."
    said = says(mended(as_events(chunks)))
    assert (said.joined("text"), said.joined("refusal"), said.stop) == (
        "We",
        "Not this.",
        "refusal",
    )
    blocked = {"promptFeedback": {"blockReason": reason, "blockReasonMessage": "No."}}
    deltas = mended(event(blocked))
    assert says(deltas).stop == "refusal"
    assert RefusalDelta(0, "No.") in deltas


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"])
def test_a_call_that_the_model_broke_is_a_fault_and_passes_in_its_own_dialect(reason: str) -> None:
    data = as_events([chunk({"text": ""}), chunk(stop=reason)])
    last = mended(data)[-1]
    assert isinstance(last, Fault)
    assert reason in last.failure.text
    assert pieces_of(tap("gemini"), [data])[-1].kind is END


def test_a_file_in_an_answer_stands_beside_the_words() -> None:
    image = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
    reader = DeltaReader("m")
    (found,) = gemini.frames().feed(event(chunk(image, {"text": "Hi"})))
    assert TextDelta(0, "Hi") in reader.read(found)
    assert [loss.field for loss in reader.lost] == ["answer.files"]


@given(streams(), st.booleans())
def test_a_stream_that_is_written_is_read_as_the_same(deltas: list[Delta], array: bool) -> None:
    writer = StreamWriter(array=array)
    data = b"".join(writer.write(delta) for delta in deltas)
    if array:
        assert isinstance(json.loads(data), list)
    wanted, found = says(deltas), says(mended(data, array=array))
    assert found.opened == wanted.opened
    assert found.calls == wanted.calls
    assert found.joined("text") == wanted.joined("text") + wanted.joined("refusal") or (
        # In the order in which they were said.
        sorted(found.joined("text")) == sorted(wanted.joined("text") + wanted.joined("refusal"))
    )
    assert found.stop == {"stop_sequence": "end"}.get(wanted.stop, wanted.stop)
    last = [delta.usage for delta in deltas if isinstance(delta, UsageSeen)][-1]
    assert found.usage.output == last.output
    assert (found.usage.input, found.usage.cache_read or 0) == (
        (last.input or 0) + (last.cache_write or 0),
        last.cache_read or 0,
    )


@given(streams())
def test_what_others_thought_comes_back_with_its_signature(deltas: list[Delta]) -> None:
    """By the parts that a client keeps: what it was shown of a thought does not matter."""
    writer = StreamWriter()
    data = b"".join(writer.write(delta) for delta in deltas)
    parts = [
        part
        for read in gemini.frames().feed(data)
        for candidate in json.loads(read.data).get("candidates", ())
        for part in candidate["content"]["parts"]
        if not part.get("thought")
    ]
    said = [{"role": "model", "parts": parts}]
    told = [
        {"functionResponse": {"id": part["functionCall"]["id"], "name": "x", "response": {}}}
        for part in parts
        if "functionCall" in part
    ]
    body = {"contents": [*said, {"parts": told or [{"text": "x"}]}]}
    ask = gemini.read_ask(json.dumps(body).encode())
    wanted = {d.signature for d in deltas if getattr(d, "signature", "") and d.origin != "gemini"}
    found = {getattr(part, "signature", "") for turn in ask.turns for part in turn.parts}
    assert wanted <= found
    assert UNSIGNED not in found


@given(st.lists(st.binary(max_size=30), max_size=4))
def test_no_bytes_whatever_raise(chunks: list[bytes]) -> None:
    for client in ("gemini", "openai"):
        for query in ("alt=sse", ""):
            pieces: list[Piece] = pieces_of(tap(client, query=query), chunks)
            assert pieces[-1].kind is FAULT
    for data in chunks:
        for read in (DeltaReader("m").read, StreamReader().read):
            read(SseEvent(b"", b"", data))


def test_a_whole_answer_is_streamed_in_the_form_that_was_asked_for() -> None:
    """Where the target does not stream, or speaks another dialect."""
    whole = json.dumps({"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]})
    for query, array in (("alt=sse", False), ("", True)):
        crossing = tap("gemini", "openai", query, kind="application/json")
        assert crossing.head == (
            (b"content-type", b"application/json" if array else b"text/event-stream"),
        )
        data = joined(pieces_of(crossing, [whole.encode()]))
        assert says(mended(data, array=array)).joined("text") == "Hi"


@pytest.mark.parametrize(
    ("query", "array"), [("alt=sse", False), ("x=1&%24alt=sse", False), ("", True)]
)
def test_our_own_error_is_of_the_streams_form(query: str, array: bool) -> None:
    error = speak.error_event("gemini", 529, "Nobody answers.", query)
    begun = as_array(TEXT[:1])[:-1] if array else event(TEXT[0])
    if array:
        assert json.loads(begun + error)[-1]["error"]["status"] == "UNAVAILABLE"
    last = pieces_of(tap("gemini", query=query), [begun + error])[-1]
    assert last.failure is not None
    assert last.failure.said.message == "Nobody answers."
