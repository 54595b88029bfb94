"""Taps: recorded answers in, pieces out."""

from __future__ import annotations

import gzip
import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.facts.calls import Call
from holdfast.facts.flights import Leg
from holdfast.facts.outcomes import Piece, PieceKind, Usage
from holdfast.facts.places import Target
from holdfast.wire import speak

SSE = ((b"content-type", b"text/event-stream"),)
JSON = ((b"content-type", b"application/json"),)


def events(*fields: dict[str, object]) -> bytes:
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (str(f["type"]).encode(), json.dumps(f).encode())
        for f in fields
    )


MESSAGE = events(
    {
        "type": "message_start",
        "message": {"id": "msg_1", "model": "m", "usage": {"input_tokens": 7, "output_tokens": 1}},
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "ping"},
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": "grüß "},
    },
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "dich"}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {"output_tokens": 5, "cache_read_input_tokens": 3},
    },
    {"type": "message_stop"},
)


def chunk(delta: dict[str, object], finish: str | None = None, **more: object) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    fields = {"id": "c1", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(fields | more).encode() + b"\n\n"


CHAT = (
    chunk({"role": "assistant", "content": ""})
    + chunk({"content": "grüß "})
    + chunk({"content": "dich"})
    + chunk({}, "stop")
    + chunk(
        {},
        None,
        usage={
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 3},
        },
    )
    + b"data: [DONE]\n\n"
)
STREAMS = {"anthropic": MESSAGE, "openai": CHAT}
SURFACES = {"anthropic": "messages", "openai": "chat"}


def call(dialect: str, *, stream: bool = True, body: bytes = b"{}") -> Call:
    return Call(
        id="x",
        at=0.0,
        wall=0.0,
        dialect=dialect,
        surface=SURFACES[dialect],
        path="/v1/x",
        body=body,
        model="m",
        stream=stream,
    )


def leg(dialect: str) -> Leg:
    return Leg(target=Target("p", "m", "none"), dialect=dialect, surface=SURFACES[dialect])


def play(client: str, target: str, chunks: list[bytes], headers: tuple = SSE) -> list[Piece]:
    tap = speak.tap(call(client), leg(target), 200, headers)
    pieces = [piece for data in chunks for piece in tap.feed(data)]
    return pieces + tap.close()


def said_by(dialect: str, data: bytes) -> str:
    """The text that a client of the dialect would read."""
    words = []
    for line in data.split(b"\n"):
        if line.startswith(b"data: {"):
            fields = json.loads(line[6:])
            delta = fields.get("delta") or (fields.get("choices") or [{}])[0].get("delta") or {}
            words.append(delta.get("text" if dialect == "anthropic" else "content") or "")
    return "".join(words)


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(places)]


@pytest.mark.parametrize("dialect", STREAMS)
@given(cuts=st.lists(st.integers(0, 10_000), max_size=8))
def test_the_same_dialect_passes_untouched_at_any_split(dialect: str, cuts: list[int]) -> None:
    stream = STREAMS[dialect]
    pieces = play(dialect, dialect, split(stream, cuts))
    assert b"".join(piece.data for piece in pieces) == stream
    assert [piece.kind for piece in pieces].count(PieceKind.END) == 1
    assert pieces[-1].kind is PieceKind.END
    first = next(n for n, piece in enumerate(pieces) if piece.kind is PieceKind.CONTENT)
    assert "gr" not in said_by(dialect, b"".join(piece.data for piece in pieces[:first]))


@pytest.mark.parametrize(("client", "target"), [("anthropic", "openai"), ("openai", "anthropic")])
@given(cuts=st.lists(st.integers(0, 10_000), max_size=8))
def test_text_crosses_both_ways_at_any_split(client: str, target: str, cuts: list[int]) -> None:
    pieces = play(client, target, split(STREAMS[target], cuts))
    assert said_by(client, b"".join(piece.data for piece in pieces)) == "grüß dich"
    assert pieces[-1].kind is PieceKind.END


@pytest.mark.parametrize("target", STREAMS)
@pytest.mark.parametrize("client", STREAMS)
@given(cut=st.integers(0, 10_000), splits=st.lists(st.integers(0, 10_000), max_size=4))
def test_a_cut_anywhere_is_a_fault_and_never_an_end(
    client: str, target: str, cut: int, splits: list[int]
) -> None:
    """Up to the stop reason; behind it the answer is whole and the end may be added."""
    stream = STREAMS[target]
    mark = b'"stop_reason": "end_turn"' if target == "anthropic" else b'"finish_reason": "stop"'
    part = stream[: cut % stream.index(mark)]
    pieces = play(client, target, split(part, splits))
    assert pieces[-1].kind is PieceKind.FAULT
    assert PieceKind.END not in [piece.kind for piece in pieces]


@pytest.mark.parametrize("dialect", STREAMS)
def test_usage_counts_caches_beside_the_input(dialect: str) -> None:
    tap = speak.tap(call(dialect), leg(dialect), 200, SSE)
    tap.feed(STREAMS[dialect])
    assert tap.usage == Usage(input=7, output=5, cache_read=3)


@pytest.mark.parametrize("dialect", STREAMS)
def test_a_stop_reason_without_the_terminal_event_is_whole(dialect: str) -> None:
    stream = STREAMS[dialect]
    end = stream.index(b"event: message_stop" if dialect == "anthropic" else b"data: [DONE]")
    pieces = play(dialect, dialect, [stream[:end]])
    assert pieces[-1].kind is PieceKind.END
    assert pieces[-1].data == stream[end:].replace(b'"type": ', b'"type":')


def fault(pieces: list[Piece]) -> tuple[str, bytes]:
    assert pieces[-1].kind is PieceKind.FAULT
    failure = pieces[-1].failure
    assert failure is not None
    return failure.kind, pieces[-1].data


def test_error_events_keep_their_bytes_and_say_their_type() -> None:
    error = events({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}})
    pieces = play("anthropic", "anthropic", [error])
    assert fault(pieces) == ("error_event", error)
    assert pieces[-1].failure.said.type == "overloaded_error"
    crossed = play("openai", "anthropic", [error])
    assert fault(crossed) == ("error_event", b"")
    chat = b'data: {"error":{"message":"busy","type":"server_error"}}\n\n'
    assert fault(play("openai", "openai", [chat])) == ("error_event", chat)


@pytest.mark.parametrize(
    ("headers", "body", "kind"),
    [
        (SSE, b"", "empty"),
        (SSE, b"data: {oops\n\n", "garbage"),
        (((b"content-type", b"text/html"),), b"<html>Bad gateway</html>", "not_json"),
        (JSON, b'{"error":{"message":"no","type":"server_error"}}', "error_event"),
        (JSON, b"", "empty"),
        (((b"content-type", b"text/event-stream"), (b"content-encoding", b"br")), b"?", "protocol"),
    ],
)
@pytest.mark.parametrize("dialect", STREAMS)
def test_a_success_that_is_none_is_a_fault(
    dialect: str, headers: tuple, body: bytes, kind: str
) -> None:
    assert fault(play(dialect, dialect, [body] if body else [], headers))[0] == kind


def test_an_engine_that_leaves_out_the_opening_is_mended() -> None:
    """llama.cpp does when the first token is half a character; the SDK dies of it."""
    start = MESSAGE.index(b"event: content_block_start")
    mended = b"".join(p.data for p in play("anthropic", "anthropic", [MESSAGE[start:]]))
    assert mended.startswith(b"event: message_start")
    assert mended.count(b"event: content_block_start") == 1
    delta = MESSAGE.index(b"event: content_block_delta")
    mended = b"".join(p.data for p in play("anthropic", "anthropic", [MESSAGE[delta:]]))
    assert mended.count(b"event: content_block_start") == 1


def test_a_compressed_stream_is_unpacked_and_says_so() -> None:
    headers = (*SSE, (b"content-encoding", b"gzip"))
    tap = speak.tap(call("anthropic"), leg("anthropic"), 200, headers)
    packed = gzip.compress(MESSAGE)
    pieces = [piece for n in range(0, len(packed), 7) for piece in tap.feed(packed[n : n + 7])]
    assert b"".join(piece.data for piece in pieces + tap.close()) == MESSAGE
    assert tap.head == SSE


def test_a_bomb_is_a_fault_before_it_fills_the_memory() -> None:
    headers = (*JSON, (b"content-encoding", b"gzip"))
    tap = speak.tap(call("openai", stream=False), leg("openai"), 200, headers)
    pieces = tap.feed(gzip.compress(b" " * (64 << 20)))
    assert fault(pieces)[0] == "too_large"


def test_a_whole_answer_passes_or_is_written_anew() -> None:
    whole = json.dumps(
        {
            "id": "msg_1",
            "type": "message",
            "model": "m",
            "content": [{"type": "text", "text": "hi"}],
            "stop_reason": "max_tokens",
            "usage": {"input_tokens": 7, "output_tokens": 5},
        }
    ).encode()
    same = speak.tap(call("anthropic", stream=False), leg("anthropic"), 200, JSON)
    assert same.feed(whole[:9]) + same.feed(whole[9:]) == []
    assert [piece.data for piece in same.close()] == [whole, b""]
    assert same.usage == Usage(input=7, output=5)
    crossed = speak.tap(call("openai", stream=False), leg("anthropic"), 200, JSON)
    crossed.feed(whole)
    answer = json.loads(crossed.close()[0].data)
    assert answer["choices"][0]["message"]["content"] == "hi"
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["total_tokens"] == 12


def test_an_error_answer_is_kept_byte_for_byte() -> None:
    body = b'{"type":"error","error":{"type":"permission_error","message":"no longer a member"}}'
    tap = speak.tap(call("anthropic"), leg("anthropic"), 403, JSON)
    tap.feed(body)
    failure = tap.close()[0].failure
    assert failure is not None
    assert (failure.status, failure.body, failure.said.type) == (403, body, "permission_error")


@given(st.lists(st.binary(max_size=60), max_size=8), st.sampled_from([200, 403, 529]))
def test_no_bytes_whatever_make_a_tap_raise(chunks: list[bytes], status: int) -> None:
    for client in STREAMS:
        for target in STREAMS:
            for headers in (SSE, JSON, (*SSE, (b"content-encoding", b"gzip"))):
                tap = speak.tap(call(client), leg(target), status, headers)
                for data in chunks:
                    tap.feed(data)
                tap.close()
