"""OpenAI Responses: what kind of body it is, counting, errors, and other dialects' bodies."""

from __future__ import annotations

import itertools
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wire.asks import ASKS, plain, streams
from tests.wire.heard import mended, says

from holdfast.facts.calls import Call
from holdfast.facts.flights import Leg
from holdfast.facts.outcomes import PieceKind, Said, Usage
from holdfast.facts.places import Target
from holdfast.wire import speak
from holdfast.wire.deltas import Delta
from holdfast.wire.responses import dialect as responses
from holdfast.wire.speak import BadBodyError, CannotCrossError
from holdfast.wire.speech import UNREADABLE, Ask, Model, Text, Turn
from holdfast.wire.sse import SseReader

JSON = ((b"content-type", b"application/json"),)
SURFACES = {"anthropic": "messages", "openai": "chat", "openai-responses": "responses"}
HI = {"role": "user", "content": "hi"}
SAID = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "Hi!", "annotations": []}],
}
WHOLE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "error": None,
    "model": "model-r",
    "output": [SAID],
    "usage": {"input_tokens": 3, "output_tokens": 2},
}


def call(dialect: str, fields: object, **more: object) -> Call:
    known = {"surface": SURFACES[dialect], "path": "/v1/x", "model": "m", "wall": 1e9, "at": 0.0}
    body = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    return Call(id="x", dialect=dialect, body=body, **{**known, **more})


def leg(dialect: str) -> Leg:
    return Leg(target=Target("p", "n", "none"), dialect=dialect, surface=SURFACES[dialect])


# ------------------------------------------------------------- whole answers


@pytest.mark.parametrize(
    ("fields", "answer", "error"),
    [
        (WHOLE, True, False),
        (WHOLE | {"status": "incomplete"}, True, False),
        (WHOLE | {"output": []}, True, False),
        (WHOLE | {"status": "failed", "error": {"code": "x", "message": "busy"}}, False, True),
        ({"error": {"message": "busy"}}, False, True),
        ({"choices": []}, False, False),
        ({}, False, False),
    ],
)
def test_each_body_is_what_it_is(fields: object, answer: bool, error: bool) -> None:
    found = responses.read_whole(json.dumps(fields).encode())
    assert (found.answer, found.error) == (answer, error)
    if "usage" in fields:
        assert found.usage == Usage(3, 2)
    for body in (b"", b"[]", b"{"):
        with pytest.raises(UNREADABLE):
            responses.read_whole(body)


@pytest.mark.parametrize("client", SURFACES)
def test_an_answer_in_one_piece_crosses_also_as_a_stream(client: str) -> None:
    for stream in (False, True):
        asked = call(client, {"stream": stream}, stream=stream)
        tap = speak.tap(asked, leg("openai-responses"), 200, JSON)
        pieces = tap.feed(json.dumps(WHOLE).encode()) + tap.close()
        assert [piece.kind for piece in pieces] == [PieceKind.CONTENT, PieceKind.END]
        assert b"Hi!" in pieces[0].data
        assert tap.usage == Usage(3, 2)
        assert pieces[0].data.startswith(b"{") is not stream


# ------------------------------------------------------------------- requests


def test_a_request_goes_to_its_path_with_the_whole_conversation() -> None:
    fields = {"model": "m", "max_tokens": 99, "messages": [HI], "system": "s"}
    sent = speak.compose(call("anthropic", fields), leg("openai-responses"))
    assert sent.path == "/v1/responses"
    assert json.loads(sent.body) == {
        "model": "n",
        "instructions": "s",
        "input": [HI],
        "store": False,
        "max_output_tokens": 99,
    }
    back = speak.compose(call("openai-responses", {"model": "m", "input": "hi"}), leg("anthropic"))
    assert json.loads(back.body)["messages"] == [HI]


def test_what_was_said_elsewhere_does_not_cross() -> None:
    fields = {"model": "m", "input": "hi", "previous_response_id": "resp_1"}
    with pytest.raises(CannotCrossError, match="previous_response_id"):
        speak.compose(call("openai-responses", fields), leg("openai"))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"messages": [HI]}, "`messages` is of another dialect.*chat/completions"),
        ({"contents": []}, "`contents` is of another dialect.*generateContent"),
        ({}, "`input` is missing"),
    ],
)
def test_a_body_of_another_dialect_is_refused(fields: dict[str, object], says: str) -> None:
    with pytest.raises(BadBodyError, match=says):
        speak.peek("openai-responses", json.dumps({"model": "m", **fields}).encode())


@pytest.mark.parametrize(
    "fields",
    [
        {"input": "x"},
        {"input": [], "messages": []},
        {"prompt": {"id": "x"}},
        {"previous_response_id": "x"},
    ],
)
def test_a_body_that_only_its_provider_can_judge_passes(fields: dict[str, object]) -> None:
    body = json.dumps({"model": "m", "stream": True, **fields}).encode()
    assert speak.peek("openai-responses", body).stream


def test_a_body_on_the_path_of_chat_becomes_one_of_chat() -> None:
    """Some clients send these there, and want the answers of Chat."""
    fields = {"model": "m", "input": [HI], "stream": True, "tools": []}
    written = speak.reshaped("openai", "chat", json.dumps(fields).encode())
    assert written is not None
    assert written.lost == ()
    found = json.loads(written.body)
    assert found["messages"] == [HI]
    assert (found["model"], found["stream"]) == ("m", True)
    with pytest.raises(BadBodyError, match=r"holdfast: input\[0\].role"):
        speak.reshaped("openai", "chat", b'{"model":"m","input":[{"role":"king","content":""}]}')
    with pytest.raises(BadBodyError, match="previous_response_id"):
        speak.reshaped("openai", "chat", b'{"model":"m","input":"x","previous_response_id":"r"}')


def test_what_such_a_body_says_beyond_chat_is_lost_by_its_name() -> None:
    body = b'{"model":"m","input":"x","truncation":"auto","client_metadata":{"a":"b"}}'
    written = speak.reshaped("openai", "chat", body)
    assert written is not None
    call = Call(
        id="x",
        at=0.0,
        wall=0.0,
        dialect="openai",
        surface="chat",
        path="/v1/chat/completions",
        body=written.body,
        model="m",
        lost=written.lost,
    )
    for there in ("openai", "anthropic"):
        leg = Leg(target=Target("p", "m", "k"), dialect=there, surface="chat")
        sent = speak.compose(call, leg)
        assert [loss.field for loss in sent.lost] == ["truncation", "client_metadata"]
        with pytest.raises(CannotCrossError, match="truncation"):
            speak.compose(call, msgspec.structs.replace(leg, losses="forbidden"))


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","messages":[]}',
        b'{"model":"m","messages":[],"input":"x"}',
        b'{"model":"m","messages":[{"role":"user","content":"\\"input\\""}]}',
        b'{"model":"m","metadata":{"input":"x"}}',
        b'{"input"',
        b"",
    ],
)
def test_any_other_body_stays_as_it_is(body: bytes) -> None:
    assert speak.reshaped("openai", "chat", body) is None
    ours = b'{"model":"m","input":"x"}'
    doors = (("anthropic", "messages"), ("openai-responses", "responses"), ("openai", "embeddings"))
    for dialect, surface in (*doors, ("ollama", "chat")):
        assert speak.reshaped(dialect, surface, ours) is None


@given(st.binary(max_size=40))
def test_no_bytes_whatever_make_it_raise_anything_else(dirty: bytes) -> None:
    for body in (dirty, b'{"input":' + dirty, b'{"model":"m","input":' + dirty + b"}"):
        try:
            speak.reshaped("openai", "chat", body)
            speak.peek("openai-responses", body)
        except BadBodyError as error:
            assert str(error).startswith("holdfast: ")  # noqa: PT017 - either is right
        assert isinstance(speak.conversation("openai-responses", body), str)


# --------------------------------------------------------------- conversations


def marked(*items: object, first_turns: bool = False) -> str:
    body = json.dumps({"model": "m", "input": items}).encode()
    return speak.conversation("openai-responses", body, first_turns=first_turns)


def test_a_conversation_keeps_its_mark_while_it_goes_on() -> None:
    called = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    thought = {"type": "reasoning", "id": "r", "summary": []}
    rules = {"role": "developer", "content": "d"}
    marks = {
        marked(HI, SAID, HI),
        marked(HI, SAID, HI, SAID, HI),
        marked(HI, called, HI),
        marked(HI, thought, called),
        marked(rules, HI, SAID, HI),
    }
    assert len(marks) == 1
    assert "" not in marks
    assert marked(HI) == marked(rules, HI) == marked(SAID, HI) == ""
    assert marked({**HI, "content": "ho"}, SAID, HI) not in marks
    assert marked(HI, first_turns=True) in marks
    assert marked(rules, HI, first_turns=True) in marks
    plain = b'{"input":"x"}'
    assert speak.conversation("openai-responses", plain) == ""
    known = {"role": "user", "content": "x"}
    assert speak.conversation("openai-responses", plain, first_turns=True) == marked(known, SAID)


# ----------------------------------------------------------- there and back

PAIRS = [
    ("openai-responses", "anthropic"),
    ("anthropic", "openai-responses"),
    ("openai-responses", "openai"),
    ("openai", "openai-responses"),
]
SSE = ((b"content-type", b"text/event-stream"),)


def there_and_back(ask: Ask, here: str, there: str) -> None:
    """The first dialect has its own words again; what is lost is told and nothing else is."""
    tokens = max(16, ask.sampling.max_tokens or 0)  # the least that Responses takes
    sampling = msgspec.structs.replace(ask.sampling, stop=(), max_tokens=tokens)
    tools = tuple(msgspec.structs.replace(t, strict=t.strict or False) for t in ask.tools)
    ask = msgspec.structs.replace(ask, sampling=sampling, tools=tools)
    body = speak.DIALECTS[here].write_ask(ask, "m").body
    out = speak.compose(call(here, body), leg(there))
    back = speak.compose(call(there, out.body), leg(here))
    assert out.lost == back.lost == ()
    one, two = (plain(speak.DIALECTS[here].read_ask(sent)) for sent in (body, back.body))
    assert one == two


@settings(max_examples=60)
@given(ask=ASKS, pair=st.sampled_from(PAIRS))
def test_what_both_can_say_crosses_there_and_back(ask: Ask, pair: tuple[str, str]) -> None:
    there_and_back(ask, *pair)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("pair", PAIRS)
@settings(max_examples=2000)
@given(ask=ASKS)
def test_what_both_can_say_crosses_there_and_back_thousands_of_times(
    pair: tuple[str, str], ask: Ask
) -> None:
    there_and_back(ask, *pair)


@pytest.mark.parametrize("pair", PAIRS)
@given(deltas=streams(), cuts=st.lists(st.integers(0, 10_000), max_size=5))
def test_a_stream_crosses_with_everything_in_it(
    pair: tuple[str, str], deltas: list[Delta], cuts: list[int]
) -> None:
    """However its bytes are cut."""
    client, target = pair
    wants = {"stream_options": {"include_usage": True}, "thinking": {"type": "adaptive"}}
    asked = call(client, wants, stream=True)
    writer = speak.DIALECTS[target].stream_writer(asked.body, 0)
    stream = b"".join(map(writer.write, deltas))
    places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    tap = speak.tap(asked, leg(target), 200, SSE)
    pieces = [p for a, b in itertools.pairwise(places) for p in tap.feed(stream[a:b])]
    pieces += tap.close()
    assert pieces[-1].kind is PieceKind.END
    told = b"".join(piece.data for piece in pieces)
    back = says(mended(speak.DIALECTS[client].delta_reader("m"), told))
    said = says(mended(speak.DIALECTS[target].delta_reader("m"), stream))
    assert back.calls == said.calls
    assert back.joined("thinking") == said.joined("thinking")
    words = sorted(said.joined("text") + said.joined("refusal"))
    assert words == sorted(back.joined("text") + back.joined("refusal"))
    assert back.usage.output == said.usage.output


# ------------------------------------------------------------------- counting


def test_tokens_are_counted_where_somebody_does() -> None:
    ask = Ask(turns=(Turn("user", (Text("hi"),)),), user="u")
    assert json.loads(responses.write_count(ask, "m")) == {"model": "m", "input": [HI]}
    body = responses.write_count_answer(7)
    assert json.loads(body) == {"object": "response.input_tokens", "input_tokens": 7}
    assert responses.read_count(body) == 7
    with pytest.raises(UNREADABLE):
        responses.read_count(b"{}")


# --------------------------------------------------------------------- errors


def test_an_error_is_said_in_the_envelope_of_the_dialect() -> None:
    headers, body = speak.error_reply("openai-responses", 429, "slow down")
    assert headers == JSON
    assert json.loads(body) == {
        "error": {
            "message": "slow down",
            "type": "rate_limit_error",
            "param": None,
            "code": None,
        }
    }
    assert speak.said("openai-responses", body) == Said("rate_limit_error", "", "slow down")


def test_an_error_in_a_stream_is_seen_by_whoever_looks_for_either_event() -> None:
    events = SseReader().feed(speak.error_event("openai-responses", 529, "cut"))
    first, last = (json.loads(event.data) for event in events)
    assert [event.event for event in events] == [b"error", b"response.failed"]
    assert first["error"]["message"] == first["message"] == "cut"
    assert last["response"]["status"] == "failed"
    assert last["response"]["error"] == {"code": "server_error", "message": "cut"}
    assert last["sequence_number"] > first["sequence_number"]
    assert {"id", "created_at", "model", "output", "tools", "tool_choice"} < set(last["response"])
    assert last["response"]["parallel_tool_calls"] is True  # SDKs that check miss none of these


def test_models_are_listed() -> None:
    found = json.loads(speak.models_reply("openai-responses", [Model("p/m")]))
    assert [(one["id"], one["owned_by"]) for one in found["data"]] == [("p/m", "p")]
