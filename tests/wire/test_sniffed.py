"""Streams whose head does not say that they are streams."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.recorded import (
    ALL,
    JSON,
    OTHER,
    Recorded,
    call,
    joined,
    leg,
    pieces_of,
    read,
    split,
)

from holdfast.facts.calls import Headers
from holdfast.facts.outcomes import PieceKind
from holdfast.wire import speak

STREAMS = [recorded for _, recorded in ALL]
NOTHING: Headers = ((b"request-id", b"req_1"),)
TEXT: Headers = (*NOTHING, (b"content-type", b"text/plain; charset=utf-8"))
WRONG: Headers = (*NOTHING, (b"content-type", b"application/json"))
EVENTS: Headers = (*NOTHING, (b"content-type", b"text/event-stream"))


@pytest.mark.parametrize("headers", [NOTHING, TEXT, WRONG])
@given(recorded=st.sampled_from(STREAMS), cuts=st.lists(st.integers(0, 3000), max_size=8))
def test_events_pass_as_others_do_and_their_head_is_set_right(
    headers: Headers, recorded: Recorded, cuts: list[int]
) -> None:
    tap, right = (
        speak.tap(call(recorded.dialect), leg(recorded.dialect), 200, said)
        for said in (headers, EVENTS)
    )
    chunks = split(recorded.stream, cuts)
    assert pieces_of(tap, chunks) == pieces_of(right, chunks)
    assert tap.usage == recorded.usage
    assert tap.head == EVENTS


@pytest.mark.parametrize("before", [b"\xef\xbb\xbf", b"\n\r\n", b": hello\n\n", b"retry: 10\n\n"])
def test_every_byte_alone_tells(before: bytes) -> None:
    recorded = STREAMS[0]
    stream = before + recorded.stream
    tap = speak.tap(call(recorded.dialect), leg(recorded.dialect), 200, NOTHING)
    pieces = pieces_of(tap, split(stream, list(range(len(stream)))))
    assert joined(pieces) == stream
    assert pieces[-1].kind is PieceKind.END


@given(recorded=st.sampled_from([one for one in STREAMS if one.crosses]))
def test_they_cross_too(recorded: Recorded) -> None:
    other = OTHER[recorded.dialect]
    tap, right = (
        speak.tap(call(other), leg(recorded.dialect), 200, headers) for headers in (TEXT, EVENTS)
    )
    assert joined(pieces_of(tap, [recorded.stream])) == joined(pieces_of(right, [recorded.stream]))
    assert tap.head == right.head
    assert tap.usage == recorded.usage


@pytest.mark.parametrize("headers", [NOTHING, TEXT])
@given(recorded=st.sampled_from([one for one in STREAMS if one.crosses]))
def test_one_that_nobody_asked_for_is_gathered(headers: Headers, recorded: Recorded) -> None:
    for client in (recorded.dialect, OTHER[recorded.dialect]):
        tap, right = (
            speak.tap(call(client, stream=False), leg(recorded.dialect), 200, said)
            for said in (headers, EVENTS)
        )
        assert pieces_of(tap, [recorded.stream]) == pieces_of(right, [recorded.stream])
        assert tap.head == right.head


def test_one_that_came_compressed_has_a_head_of_plain_events() -> None:
    recorded = STREAMS[0]
    headers = (*TEXT, (b"content-encoding", b"gzip"))
    tap = speak.tap(call(recorded.dialect), leg(recorded.dialect), 200, headers)
    assert joined(pieces_of(tap, [gzip.compress(recorded.stream)])) == recorded.stream
    assert tap.head == EVENTS


@pytest.mark.parametrize("cut", range(4))
def test_a_whole_answer_is_still_streamed(cut: int) -> None:
    body = b'  {"id":"x","choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}'
    for headers in (TEXT, (*NOTHING, *JSON)):
        tap = speak.tap(call("openai"), leg("openai"), 200, headers)
        assert read("openai", joined(pieces_of(tap, split(body, [cut]))))[0] == "Hi"


@pytest.mark.parametrize("headers", [NOTHING, TEXT])
def test_a_whole_answer_that_was_asked_for_passes_under_its_own_head(headers: Headers) -> None:
    body = b'{"id":"x","choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}'
    tap = speak.tap(call("openai", stream=False), leg("openai"), 200, headers)
    assert joined(pieces_of(tap, [body])) == body
    assert tap.head is None


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html><title>Down</title></html>", "not_json"),
        (b"upstream connect error", "not_json"),
        (b"data", "not_json"),
        (b"", "empty"),
        (b" \n", "empty"),
        (b"data: {", "truncated"),
    ],
)
def test_what_is_neither_is_a_fault(body: bytes, kind: str) -> None:
    tap = speak.tap(call("openai"), leg("openai"), 200, TEXT)
    last = pieces_of(tap, split(body, list(range(len(body)))))[-1]
    assert last.failure is not None
    assert last.failure.kind == kind
