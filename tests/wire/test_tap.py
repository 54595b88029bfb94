"""Taps of streams: whatever a stream says and however it is cut, the client is told the truth."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wire.every import STREAMS, Stream
from tests.wire.heard import mended, says
from tests.wire.recorded import (
    ALL,
    ANTHROPIC,
    DIALECTS,
    DONE,
    MESSAGE_STOP,
    OPENAI,
    OTHER,
    ROLE,
    SSE,
    START,
    Recorded,
    block,
    call,
    chunk,
    event,
    joined,
    kinds,
    leg,
    line,
    pieces_of,
    play,
    read,
    split,
    text_block,
    tool_call,
    words,
)

from holdfast.facts.outcomes import Piece, PieceKind, Usage
from holdfast.wire import speak
from holdfast.wire.deltas import Delta, Fault, Of, Stopped
from holdfast.wire.mend import Mender
from holdfast.wire.tap import CrossingTap, PassingTap

CUTS = st.lists(st.integers(0, 100_000), max_size=8)
each_recorded = pytest.mark.parametrize("recorded", [r for _, r in ALL], ids=[n for n, _ in ALL])
each_that_crosses = pytest.mark.parametrize(
    "recorded", [r for _, r in ALL if r.crosses], ids=[n for n, r in ALL if r.crosses]
)
STOP_NAMES = {
    "anthropic": {
        "end": "end_turn",
        "length": "max_tokens",
        "stop_sequence": "stop_sequence",
        "refusal": "refusal",
        "tool_calls": "tool_use",
    },
    "openai": {
        "end": "stop",
        "length": "length",
        "stop_sequence": "stop",
        "refusal": "content_filter",
        "tool_calls": "tool_calls",
    },
}


def fault(pieces: list[Piece]) -> str:
    """The kind of failure in the last piece, which is the only one."""
    assert pieces[-1].kind is PieceKind.FAULT
    assert not {PieceKind.FAULT, PieceKind.END} & set(kinds(pieces[:-1]))
    failure = pieces[-1].failure
    assert failure is not None
    assert failure.text
    return failure.kind


# -------------------------------------------------------------- the same dialect


@pytest.mark.parametrize("dialect", ["anthropic", "openai"])
def test_a_character_that_is_cut_in_two_passes_untouched(dialect: str) -> None:
    """A program of UTF-16 cuts a text where it likes, and its client puts it together again."""
    whole = {"anthropic": ANTHROPIC, "openai": OPENAI}[dialect]["text"]
    ours = joined(play(dialect, dialect, [whole.stream]))
    for half in (b"\\ud83d", b"\\ude00"):
        cut = ours.replace(b"Hello", b"He" + half)
        assert cut != ours
        for parts in ([cut], split(cut, list(range(0, len(cut), 7)))):
            pieces = play(dialect, dialect, parts)
            assert (pieces[-1].kind, joined(pieces)) == (PieceKind.END, cut)
        crossed = play(OTHER[dialect], dialect, [cut])
        assert crossed[-1].kind is PieceKind.END
        assert "He\ufffd" in joined(crossed).decode()


@each_recorded
@settings(max_examples=40)
@given(cuts=CUTS)
def test_a_stream_of_the_clients_own_dialect_passes_untouched(
    recorded: Recorded, cuts: list[int]
) -> None:
    tap = speak.tap(call(recorded.dialect), leg(recorded.dialect), 200, SSE)
    pieces = pieces_of(tap, split(recorded.stream, cuts))
    added = DONE if recorded is OPENAI["done is missing"] else b""
    assert joined(pieces) == recorded.stream + added
    assert kinds(pieces).count(PieceKind.END) == 1
    assert pieces[-1].kind is PieceKind.END
    assert PieceKind.CONTENT in kinds(pieces)
    assert tap.stopped
    assert tap.usage == recorded.usage
    assert tap.head is None


@pytest.mark.parametrize(
    ("dialect", "stream"),
    [
        ("openai", ROLE + b"".join(words("Hi")) + DONE),
        ("anthropic", START + b"".join(text_block(0, "Hi")) + MESSAGE_STOP),
    ],
)
def test_an_end_that_gives_no_reason_passes_and_is_known(dialect: str, stream: bytes) -> None:
    """Some tools ask again at once behind it, for ever; one that crosses is given a reason."""
    tap = speak.tap(call(dialect), leg(dialect), 200, SSE)
    pieces = pieces_of(tap, [stream])
    assert (pieces[-1].kind, joined(pieces)) == (PieceKind.END, stream)
    assert not tap.stopped
    crossing = speak.tap(call(OTHER[dialect]), leg(dialect), 200, SSE)
    told = joined(pieces_of(crossing, [stream]))
    assert crossing.stopped
    assert read(OTHER[dialect], told)[:2] == ("Hi", STOP_NAMES[OTHER[dialect]]["end"])


@each_recorded
def test_nothing_that_speaks_stands_before_the_commit(recorded: Recorded) -> None:
    """What comes before the first CONTENT may be thrown away for another target's answer."""
    pieces = play(recorded.dialect, recorded.dialect, [recorded.stream])
    first = kinds(pieces).index(PieceKind.CONTENT)
    text, stop, _ = read(recorded.dialect, joined(pieces[:first]))
    assert (text, stop) == ("", None)


@each_recorded
def test_a_cut_at_any_byte_is_a_fault_and_never_an_end(recorded: Recorded) -> None:
    """Only behind the stop reason is the answer whole; then its end is added."""
    dialect, stream = recorded.dialect, recorded.stream
    for cut in range(len(stream)):
        pieces = play(dialect, dialect, [stream[:cut]])
        if cut < recorded.whole_from:
            assert fault(pieces) in ("truncated", "empty"), cut
        else:
            assert pieces[-1].kind is PieceKind.END, cut
            assert joined(pieces).endswith(DONE if dialect == "openai" else MESSAGE_STOP)
        # A client never sees half an event: each of them can be read.
        read(dialect, joined(pieces))


@each_recorded
@settings(max_examples=25)
@given(cut=st.integers(0, 100_000), cuts=CUTS)
def test_a_cut_stream_is_a_fault_however_its_bytes_came(
    recorded: Recorded, cut: int, cuts: list[int]
) -> None:
    part = recorded.stream[: cut % recorded.whole_from]
    for client in DIALECTS:
        assert fault(play(client, recorded.dialect, split(part, cuts))) in (
            "truncated",
            "empty",
            "garbage",  # a tool call that cannot cross
        )


def test_content_behind_the_commit_passes_in_one_piece() -> None:
    for start, flowing in (
        (START, b"".join(text_block(0, *("word " * 50).split())[1:-1])),
        (b"", b"".join(words(*("word " * 50).split()))),
    ):
        tap = speak.tap(call("openai" if not start else "anthropic"), leg_of(start), 200, SSE)
        tap.feed(start + flowing)
        assert tap.feed(flowing) == [Piece(PieceKind.CONTENT, flowing)]
        half = flowing[: len(flowing) - 20]
        assert [p.kind for p in tap.feed(half)] == [PieceKind.CONTENT]
        assert [p.kind for p in tap.feed(flowing[len(half) :])] == [PieceKind.CONTENT]


def leg_of(start: bytes) -> object:
    return leg("anthropic" if start else "openai")


class Careful:
    """A reader that reads every event."""

    def __init__(self, reader: object) -> None:
        self._reader = reader

    def __getattr__(self, name: str) -> object:
        return getattr(self._reader, name)

    def flows(self, block: bytes) -> bool:
        return False

    def run(self, block: bytes) -> None:
        return None


THOUGHT = [{"type": "thinking_delta", "thinking": "hm"}]
ODD = {
    "anthropic": [
        *text_block(0, "a", "data: {", '"event: content_block_delta\n'),
        b'event: content_block_delta\ndata: {"type":"content_block_delta"\n\n',
        b'event: content_block_delta\ndata: {"type":"ping"}\n\n',
        b'event: error\ndata: {"type":"content_block_delta"}\n\n',
        b'event:content_block_delta\ndata:{"type":"content_block_delta","delta":{}}\n\n',
        b'event: content_block_delta\r\ndata: {"type":"content_block_delta"}\r\n\r\n',
        b": comment\n\n",
        b"\n",
        b"event: content_block_delta\n\n",
        event({"type": "error", "error": {"type": "api_error", "message": "no"}}),
        event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {}}),
        MESSAGE_STOP,
        b"data: []\n\n",
        b"\xff\xfe\n\n",
    ],
    "openai": [
        *words("a", "data: {", "\n\ndata: {"),
        chunk({"content": "b"}, index=1),
        chunk({"content": "c"}, usage={"prompt_tokens": 5, "completion_tokens": 6}),
        chunk({}, "stop"),
        chunk({}, "stop", index=1),
        b'data:{"choices":[{"index":0,"delta":{"content":"x"}}]}\n\n',
        b'data: {"choices":[{"index":0,"delta":{"content":"x"}}]}\r\n\r\n',
        line({"error": {"message": "no", "type": "server_error"}}),
        line({"object": "error", "message": "no"}),
        b": comment\n\n",
        b"\n",
        b'data: {"choices":\n\n',
        DONE,
        b"data: []\n\n",
        b"\xff\xfe\n\n",
    ],
}


@pytest.mark.parametrize("dialect", DIALECTS)
@given(data=st.data())
def test_what_passes_at_a_glance_is_what_passes_on_reading(
    dialect: str, data: st.DataObject
) -> None:
    """The quick way behind the commit hides no end, no error, no usage and no garbage."""
    begin = START + text_block(0, "a")[1] if dialect == "anthropic" else ROLE + words("a")[0]
    blocks = data.draw(st.lists(st.sampled_from(ODD[dialect]), max_size=8))
    chunks = [begin, *split(b"".join(blocks), data.draw(CUTS))]
    quick = speak.tap(call(dialect), leg(dialect), 200, SSE)
    slow = speak.tap(call(dialect), leg(dialect), 200, SSE)
    assert isinstance(slow, PassingTap)
    slow._reader = Careful(slow._reader)  # type: ignore[assignment]
    one, two = pieces_of(quick, chunks), pieces_of(slow, chunks)
    assert joined(one) == joined(two)
    assert (one[-1].kind, one[-1].failure) == (two[-1].kind, two[-1].failure)
    assert quick.usage == slow.usage


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_success_without_a_byte_or_a_word_is_empty(dialect: str) -> None:
    assert fault(play(dialect, dialect, [])) == "empty"
    assert fault(play(dialect, OTHER[dialect], [])) == "empty"
    nothing = START + MESSAGE_STOP if dialect == "anthropic" else ROLE + DONE
    for client in DIALECTS:
        assert fault(play(client, dialect, [nothing])) == "empty"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_comes_behind_the_end_is_left_out(dialect: str) -> None:
    stream = (ANTHROPIC if dialect == "anthropic" else OPENAI)["text"].stream
    tap = speak.tap(call(dialect), leg(dialect), 200, SSE)
    pieces = tap.feed(stream + b'data: {"error":"late"}\n\n')
    assert joined(pieces) == stream
    assert tap.feed(b"data: more\n\n") == []
    assert tap.close() == []


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "garbage", [b"data: {oops\n\n", b"data: 5\n\n", b"data: \xff\xfe\n\n", b"data: [1]\n\n"]
)
def test_garbage_is_a_fault_that_says_whether_content_came_before(
    dialect: str, garbage: bytes
) -> None:
    assert fault(pieces := play(dialect, dialect, [garbage])) == "garbage"
    assert pieces[-1].failure is not None
    assert pieces[-1].failure.where == "body"
    begin = START + text_block(0, "a")[1] if dialect == "anthropic" else words("a")[0]
    for client in DIALECTS:
        assert fault(pieces := play(client, dialect, [begin + garbage])) == "garbage"
        assert pieces[-1].failure is not None
        assert pieces[-1].failure.where == "in_stream"
        assert pieces[-1].data == b""


def test_an_endless_line_is_a_fault() -> None:
    for client in DIALECTS:
        tap = speak.tap(call(client), leg("openai"), 200, SSE)
        pieces = [piece for _ in range(9) for piece in tap.feed(b"x" * (1 << 20))]
        assert fault(pieces) == "garbage"
        assert tap.feed(b"x") == tap.close() == []


# --------------------------------------------------------------------- crossing


@pytest.mark.parametrize("dialect", DIALECTS)
@given(data=st.data())
def test_what_crosses_at_a_glance_is_what_crosses_on_reading(
    dialect: str, data: st.DataObject
) -> None:
    """The quick way behind the commit hides no call, no end, no error, no usage, no garbage."""
    begin = START + text_block(0, "a")[1] if dialect == "anthropic" else ROLE + words("a")[0]
    more = {
        "anthropic": [*text_block(1, "b"), *block(1, {"type": "thinking"}, *THOUGHT)],
        "openai": [
            chunk({"reasoning_content": "hm"}),
            chunk({"content": "d", "refusal": "no"}),
            chunk({"content": "e", "tool_calls": [{"index": 0, "function": {"name": "f"}}]}),
            chunk(tool_call(0, name="f", arguments="{}")),
        ],
    }
    blocks = data.draw(st.lists(st.sampled_from(ODD[dialect] + more[dialect]), max_size=8))
    chunks = [begin, *split(b"".join(blocks), data.draw(CUTS))]
    client = OTHER[dialect]
    quick = speak.tap(call(client), leg(dialect), 200, SSE)
    slow = speak.tap(call(client), leg(dialect), 200, SSE)
    assert isinstance(slow, CrossingTap)
    slow._reader = Careful(slow._reader)  # type: ignore[assignment]
    one, two = pieces_of(quick, chunks), pieces_of(slow, chunks)
    assert (one[-1].kind, one[-1].failure) == (two[-1].kind, two[-1].failure)
    assert quick.usage == slow.usage
    said = [says(mended(speak.DIALECTS[client].delta_reader("m"), joined(p))) for p in (one, two)]
    assert vars(said[0]) == vars(said[1])


@each_that_crosses
@settings(max_examples=25)
@given(cuts=CUTS)
def test_text_stop_reason_and_usage_cross(recorded: Recorded, cuts: list[int]) -> None:
    client = OTHER[recorded.dialect]
    asked = b'{"stream_options":{"include_usage":true}}'
    tap = speak.tap(call(client, body=asked), leg(recorded.dialect), 200, SSE)
    pieces = pieces_of(tap, split(recorded.stream, cuts))
    assert pieces[-1].kind is PieceKind.END
    text, stop, usage = read(client, joined(pieces))
    assert text == recorded.text
    assert stop == STOP_NAMES[client][recorded.stop]
    assert tap.usage == recorded.usage
    if client == "anthropic":
        assert usage["input_tokens"] == (recorded.usage.input or 0)
        assert usage["output_tokens"] == (recorded.usage.output or 0)
        assert usage.get("cache_read_input_tokens") == recorded.usage.cache_read
    else:
        assert usage["completion_tokens"] == recorded.usage.output
        assert usage["prompt_tokens"] == 25 + 1000 + 7
        assert usage["prompt_tokens_details"] == {"cached_tokens": 1000, "cache_write_tokens": 7}


@each_that_crosses
def test_a_crossed_stream_can_be_read_again(recorded: Recorded) -> None:
    """Written in the other dialect and brought back, it says the same."""
    other = OTHER[recorded.dialect]
    asked = b'{"stream_options":{"include_usage":true}}'
    there = pieces_of(
        speak.tap(call(other, body=asked), leg(recorded.dialect), 200, SSE), [recorded.stream]
    )
    back = speak.tap(call(recorded.dialect, body=asked), leg(other), 200, SSE)
    again = pieces_of(back, [joined(there)])
    assert again[-1].kind is PieceKind.END
    assert read(recorded.dialect, joined(again))[0] == recorded.text
    assert (back.usage.output or 0) == (recorded.usage.output or 0)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("recorded", STREAMS, ids=[one.name for one in STREAMS])
def test_every_split_of_a_stream_gives_the_same_deltas(recorded: Stream) -> None:
    """In two at every byte, and byte by byte."""
    speaking = speak.DIALECTS[recorded.dialect]

    def heard(chunks: list[bytes]) -> dict[str, object]:
        frames, reader, mender = speaking.frames(), speaking.delta_reader("m"), Mender("m")
        read = [delta for data in chunks for one in frames.feed(data) for delta in reader.read(one)]
        found: list[Delta] = []
        others: list[Delta] = []  # what the other answers say, as it was read
        for delta in [*read, *reader.close()]:
            if isinstance(delta, Of):
                others.append(delta)
                continue
            found += mender.mend(delta)
            if found and isinstance(found[-1], Stopped | Fault):
                break
        assert found
        return {**vars(says(found)), "others": others}

    stream = recorded.bytes
    whole = heard([stream])
    assert heard([stream[n : n + 1] for n in range(len(stream))]) == whole
    for cut in range(len(stream)):
        assert heard([stream[:cut], stream[cut:]]) == whole


def test_several_choices_are_a_fault_in_words() -> None:
    pieces = play("anthropic", "openai", [OPENAI["two choices"].stream])
    assert fault(pieces) == "garbage"
    assert pieces[-1].failure is not None
    assert pieces[-1].failure.text.startswith("the answer")


def calls_of(dialect: str, stream: bytes) -> list[tuple[str, str, str]]:
    """The calls of tools as a client of the dialect reads them: id, name, arguments."""
    found: list[tuple[str, str, str]] = []
    for data in (x.removeprefix(b"data: ") for x in stream.split(b"\n")):
        if not data.startswith(b"{"):
            continue
        fields = json.loads(data)
        if dialect == "anthropic":
            start, delta = fields.get("content_block") or {}, fields.get("delta") or {}
            if start.get("type") == "tool_use":
                found.append((start["id"], start["name"], ""))
            arguments = delta.get("partial_json", "")
        else:
            delta = fields["choices"][0]["delta"] if fields["choices"] else {}
            (call,) = delta.get("tool_calls") or [{}]
            if "id" in call:
                found.append((call["id"], call["function"]["name"], ""))
            arguments = call.get("function", {}).get("arguments", "")
        if arguments:
            found[-1] = (*found[-1][:2], found[-1][2] + arguments)
    return found


CALLING = {
    "anthropic": (ANTHROPIC["tool"], ("toolu_01T1x1fJ", "get_weather")),
    "openai": (OPENAI["tools"], ("call_0", "get_weather")),
}


@pytest.mark.parametrize("dialect", DIALECTS)
@given(cuts=CUTS)
def test_a_tool_call_crosses_whole(dialect: str, cuts: list[int]) -> None:
    recorded, named = CALLING[dialect]
    client = OTHER[dialect]
    pieces = play(client, dialect, split(recorded.stream, cuts))
    ((*name, arguments),) = calls_of(client, joined(pieces))
    assert tuple(name) == named
    assert "location" in json.loads(arguments)
    assert pieces[-1].kind is PieceKind.END


@pytest.mark.parametrize("dialect", DIALECTS)
def test_half_a_tool_call_never_leaves(dialect: str) -> None:
    """Wherever the stream breaks: the call is whole, or the client has seen none of it."""
    recorded, _ = CALLING[dialect]
    client = OTHER[dialect]
    for cut in range(recorded.whole_from):
        pieces = play(client, dialect, [recorded.stream[:cut]])
        assert fault(pieces) in ("truncated", "empty")
        for _, _, arguments in calls_of(client, joined(pieces)):
            assert "location" in json.loads(arguments)


def test_a_long_call_shows_that_the_model_is_at_work() -> None:
    """Nothing is committed for a short one; a long one would look like silence."""
    tap = speak.tap(call("anthropic"), leg("openai"), 200, SSE)
    begun = tap.feed(ROLE + chunk(tool_call(0, name="f", arguments='{"text":"')))
    assert kinds(begun) == [PieceKind.OPENING]
    more = chunk(tool_call(0, arguments="x" * 200))
    said = [kinds(tap.feed(more)) for _ in range(10)]
    assert said == [[]] * 5 + [[PieceKind.CONTENT]] + [[], [PieceKind.PING]] * 2
    end = tap.feed(chunk(tool_call(0, arguments='"}')) + chunk({}, "tool_calls") + DONE)
    ((_, _, arguments),) = calls_of("anthropic", joined(end))
    assert len(json.loads(arguments)["text"]) == 2000


def test_a_call_that_is_no_json_is_a_fault_before_anything_is_said() -> None:
    stream = ROLE + chunk(tool_call(0, name="f", arguments='{"a')) + chunk({}, "tool_calls") + DONE
    pieces = play("anthropic", "openai", [stream])
    assert fault(pieces) == "garbage"
    assert PieceKind.CONTENT not in kinds(pieces)
    assert pieces[-1].failure is not None
    assert pieces[-1].failure.where == "body"


def test_thoughts_cross_and_show_that_the_model_is_at_work() -> None:
    thinks = ANTHROPIC["thinking"].stream
    pieces = play("openai", "anthropic", [thinks[: thinks.index(b"signature_delta")]])
    begins = [PieceKind.OPENING, PieceKind.THINKING, PieceKind.CONTENT]
    assert kinds(pieces[:-1])[:3] == begins
    assert read("openai", joined(pieces))[0] == ""
    assert b'"reasoning_content":"Let me solve' in joined(pieces)
    wants = call("anthropic", body=b'{"thinking":{"type":"adaptive"}}')
    pieces = pieces_of(speak.tap(wants, leg("openai"), 200, SSE), [OPENAI["reasoning"].stream])
    assert b'"thinking":"The user says hi."' in joined(pieces)
    assert b'"signature":"holdfast.openai."' in joined(pieces)


@pytest.mark.parametrize("here", ["openai-responses", "anthropic"])
def test_thoughts_are_announced_before_there_are_any(here: str) -> None:
    """Of some models that is all for minutes; whoever crosses waits as one of their dialect."""
    item = {"id": "rs_1", "type": "reasoning", "summary": []}
    begun = event({"type": "response.output_item.added", "output_index": 0, "item": item})
    pieces = play(here, "openai-responses", [begun])
    assert PieceKind.THINKING in kinds(pieces)
    assert PieceKind.CONTENT not in kinds(pieces)


def test_pings_cross_once_the_reply_has_begun() -> None:
    ping = event({"type": "ping"})
    begin = START + ping + text_block(0, "a")[1]
    pieces = play("openai", "anthropic", [begin + ping])
    assert kinds(pieces[:-1]) == [PieceKind.OPENING, PieceKind.CONTENT, PieceKind.PING]
    assert b'"content":""' in pieces[2].data
    comment = b": OPENROUTER PROCESSING\n\n"
    pieces = play("anthropic", "openai", [comment + words("a")[0] + comment])
    assert pieces[-2] == Piece(PieceKind.PING, b'event: ping\ndata: {"type":"ping"}\n\n')


def test_usage_crosses_to_chat_only_where_it_was_asked_for() -> None:
    stream = ANTHROPIC["text"].stream
    pieces = play("openai", "anthropic", [stream])
    assert b"usage" not in joined(pieces)
    tap = speak.tap(call("openai"), leg("anthropic"), 200, SSE)
    assert tap.head is not None
    assert dict(tap.head)[b"content-type"].startswith(b"text/event-stream")


# ---------------------------------------------------------------- anything at all


@given(
    st.lists(st.binary(max_size=60), max_size=8),
    st.sampled_from([200, 204, 302, 403, 529]),
    st.sampled_from([b"text/event-stream", b"application/json", b"text/html", b""]),
    st.sampled_from([b"", b"gzip", b"deflate", b"br"]),
    st.booleans(),
)
def test_no_bytes_whatever_make_a_tap_raise(
    chunks: list[bytes], status: int, kind: bytes, encoding: bytes, stream: bool
) -> None:
    headers = ((b"content-type", kind), (b"content-encoding", encoding))
    for client in DIALECTS:
        for target in DIALECTS:
            tap = speak.tap(call(client, stream=stream), leg(target), status, headers)
            pieces = pieces_of(tap, chunks)
            assert pieces[-1].kind >= PieceKind.END
            assert isinstance(tap.usage, Usage)


@st.composite
def scrambled(draw: st.DrawFn) -> tuple[str, bytes]:
    """Recorded streams with pieces of others in them, bytes changed, parts cut out."""
    _, recorded = draw(st.sampled_from(ALL))
    _, other = draw(st.sampled_from(ALL))
    stream = bytearray(recorded.stream)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, max(0, len(stream) - 1)))
        size = draw(st.integers(0, 40))
        start = draw(st.integers(0, len(other.stream) - 1))
        stream[at : at + size] = other.stream[start : start + draw(st.integers(0, 200))]
    return recorded.dialect, bytes(stream)


@given(scrambled(), CUTS)
def test_a_scrambled_stream_ends_once_and_says_how(
    scramble: tuple[str, bytes], cuts: list[int]
) -> None:
    dialect, stream = scramble
    for client in DIALECTS:
        pieces = play(client, dialect, split(stream, cuts))
        assert [kind for kind in kinds(pieces) if kind >= PieceKind.END] == [pieces[-1].kind]
