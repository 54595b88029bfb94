"""The door of the room: what is read of a request, what is sent on, what cannot cross."""

from __future__ import annotations

import contextlib
import itertools
import json
import string
from collections.abc import Callable, Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wire.asks import ASKS, in_objects, plain, streams
from tests.wire.every import tap
from tests.wire.heard import mended, says
from tests.wire.recorded import JSON, SSE, joined, pieces_of, split

from holdfast.facts.calls import Call, Headers
from holdfast.facts.flights import Leg
from holdfast.facts.outcomes import Failure, PieceKind, Said, Usage
from holdfast.facts.places import ModelFacts, Target
from holdfast.wire import speak
from holdfast.wire.crossings import Crossings
from holdfast.wire.deltas import (
    BlockEnded,
    Delta,
    DeltaReader,
    Fault,
    Grammar,
    Odds,
    Of,
    Opened,
    Ping,
    Stopped,
    TextDelta,
    ThinkingDelta,
    UsageSeen,
)
from holdfast.wire.fitting import paired
from holdfast.wire.mend import Mender, deltas_of
from holdfast.wire.openai import dialect as openai
from holdfast.wire.speak import BadBodyError, CannotCrossError
from holdfast.wire.speech import (
    Answer,
    Ask,
    Choice,
    Framer,
    Image,
    Model,
    Speaking,
    Text,
    ToolCall,
    ToolResult,
)
from holdfast.wire.sse import SseReader
from holdfast.wire.tap import CrossingTap

DIALECTS = ["anthropic", "openai"]
SURFACES = {"anthropic": "messages", "openai": "chat", "openai-responses": "responses"}
PATHS = {
    "anthropic": "/v1/messages",
    "openai": "/v1/chat/completions",
    "openai-responses": "/v1/responses",
}
WAYS = [("anthropic", "openai"), ("openai", "anthropic")]
HI = [{"role": "user", "content": "hi"}]


def call(dialect: str, body: bytes, **more: object) -> Call:
    fields = {
        "id": "x",
        "at": 0.0,
        "wall": 0.0,
        "dialect": dialect,
        "surface": SURFACES[dialect],
        "path": PATHS[dialect],
        "body": body,
        "model": "m",
    }
    return Call(**(fields | more))


def leg(dialect: str, model: str = "n") -> Leg:
    return Leg(target=Target("p", model, "none"), dialect=dialect, surface=SURFACES[dialect])


def crossed(way: tuple[str, str], fields: object) -> dict:
    """The body that arrives on the other side, parsed."""
    here, there = way
    body = json.dumps(fields).encode()
    return json.loads(speak.compose(call(here, body), leg(there)).body)


# ---------------------------------------------------------------- any JSON

NAMES = st.sampled_from(
    [
        "model",
        "Model",
        'x"model',
        'model"',
        "x\\",
        '"model":"x"',
        "stream",
        "messages",
        "role",
        "content",
        "text",
        "type",
        "system",
        "stop",
        "stop_sequences",
        "max_tokens",
        "temperature",
        "n",
        "ü",
    ]
)
WORDS = st.one_of(
    st.sampled_from(
        ["user", "assistant", "system", "text", 'say "model": "x"', '\\", "model": "x', "{[", "]}"]
    ),
    st.text(max_size=8),
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    WORDS,
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=12,
)
GAPS = st.sampled_from(["", " ", "\n", "\t ", "\r\n  "])


@st.composite
def spelled(draw, text: str) -> str:
    """A JSON string, some of its characters written as escapes."""
    marks = draw(st.lists(st.booleans(), min_size=len(text), max_size=len(text)))
    parts = []
    for letter, escape in zip(text, marks, strict=True):
        if escape and ord(letter) < 0x10000:
            parts.append(f"\\u{ord(letter):04{draw(st.sampled_from('xX'))}}")
        else:
            parts.append(json.dumps(letter, ensure_ascii=False)[1:-1])
    return '"' + "".join(parts) + '"'


@st.composite
def members(draw) -> str:
    """Fields that are not the model: with the word in texts, in names, in objects further in."""
    found = draw(st.dictionaries(NAMES.filter(lambda name: name != "model"), VALUES, max_size=4))
    found.pop("stream", None)
    plain = draw(st.booleans())
    gap = draw(GAPS)
    return ",".join(
        f"{gap}{json.dumps(name)}{gap}:{gap}{json.dumps(value, ensure_ascii=plain)}{gap}"
        for name, value in found.items()
    )


@st.composite
def bodies(draw) -> tuple[bytes, bytes, bytes, str]:
    """A body in three parts, the middle one the value of its model; and the model's name."""
    name = draw(st.text(min_size=1, max_size=12))
    before, behind = draw(members()), draw(members())
    key = draw(st.one_of(st.just('"model"'), spelled("model")))
    gap = draw(GAPS)
    head = f"{gap}{{{before}{',' if before else ''}{gap}{key}{gap}:{gap}"
    tail = f"{gap}{',' if behind else ''}{behind}}}{gap}"
    return head.encode(), draw(spelled(name)).encode(), tail.encode(), name


# -------------------------------------------------------------------- peek


@given(bodies())
def test_a_peek_sees_the_model_on_the_top_level_and_no_other(parts) -> None:
    head, value, tail, name = parts
    assert speak.peek("openai", head + value + tail).model == name


@pytest.mark.parametrize(
    ("text", "stream"),
    [("", False), (',"stream":true', True), (',"stream":false', False), (',"stream":null', False)],
)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_peek_sees_whether_a_stream_is_asked_for(dialect, text: str, stream: bool) -> None:
    body = b'{"messages":[{"stream":true}],"model":"m"' + text.encode() + b"}"
    peek = speak.peek(dialect, body)
    assert (peek.model, peek.stream) == ("m", stream)


@pytest.mark.parametrize(("text", "stream"), [("", True), ("null", True), ("false", False)])
def test_who_does_not_say_gets_what_is_usual_in_the_dialect(text: str, stream: bool) -> None:
    said = f',"stream":{text}' if text else ""
    assert speak.peek("ollama", f'{{"model":"m"{said}}}'.encode()).stream is stream


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "JSON"),
        (b"   ", "JSON"),
        (b"null", "object"),
        (b"[]", "object"),
        (b'"model"', "object"),
        (b"7", "object"),
        (b"model=m&stream=true", "JSON"),
        (b"<html></html>", "JSON"),
        (b"\0\0\0", "JSON"),
        (b"\x1f\x8b\x08\0", "JSON"),
        (b'\xef\xbb\xbf{"model":"m"}', "JSON"),
        (b'{"model":"m"', "JSON"),
        (b'{"model":"m"} {}', "JSON"),
        (b'{"model":"m",}', "JSON"),
        (b"{'model':'m'}", "JSON"),
        (b'{"model":"m","x":NaN}', "JSON"),
        (b'{"model":"m","x":Infinity}', "JSON"),
        (b'{"model":"m","x":01}', "JSON"),
        (b'{"model":"m","x":tru}', "JSON"),
        (b'{"model":"m","x":"\\u12"}', "JSON"),
        (b'{"model":"m","x":"\n"}', "JSON"),
        (b'{"model":"\\ud800"}', "JSON"),
        (b'{"model":"\xc3\x28"}', "JSON"),
        (b"{}", "`model`"),
        (b'{"messages":[{"model":"m"}]}', "`model`"),
        (b'{"Model":"m"}', "`model`"),
        (b'{"model":""}', "`model`"),
        (b'{"model":null}', "`model`"),
        (b'{"model":7}', "`model`"),
        (b'{"model":["m"]}', "`model`"),
        (b'{"model":{"model":"m"}}', "`model`"),
        (b'{"model":"m","stream":"true"}', "`stream`"),
        (b'{"model":"m","stream":1}', "`stream`"),
        (b'{"model":"m","stream":{}}', "`stream`"),
    ],
)
def test_a_body_that_is_wrong_everywhere_says_what_is_wrong(body: bytes, says: str) -> None:
    """The sentence begins with who speaks, so that nobody blames a provider for it."""
    with pytest.raises(BadBodyError, match=says) as raised:
        speak.peek("openai", body)
    assert str(raised.value).startswith("holdfast: ")
    assert len(str(raised.value)) < 300


@given(bodies(), st.integers(0, 1000))
def test_a_body_that_was_cut_off_is_refused(parts, cut: int) -> None:
    body = b"".join(parts[:3]).strip()
    with pytest.raises(BadBodyError):
        speak.peek("openai", body[: cut % len(body)])


@given(st.one_of(st.binary(max_size=60), st.text(string.printable, max_size=60).map(str.encode)))
def test_no_bytes_whatever_make_a_peek_raise_anything_else(body: bytes) -> None:
    for dirty in (body, b'{"model":' + body, b'{"model":"m","x":' + body + b"}"):
        with contextlib.suppress(BadBodyError):
            assert speak.peek("anthropic", dirty).model


# ------------------------------------------------------------ same dialect


@pytest.mark.parametrize("dialect", DIALECTS)
@given(parts=bodies())
def test_of_the_same_dialect_only_the_models_name_is_exchanged(dialect: str, parts) -> None:
    """Whatever else the body says about models, and in whatever way it is written."""
    head, value, tail, name = parts
    body = head + value + tail
    sent = speak.compose(call(dialect, body, model=name), leg(dialect, 'other/"üñ"')).body
    assert sent.startswith(head)
    assert sent.endswith(tail)
    assert json.loads(sent[len(head) : len(sent) - len(tail)]) == 'other/"üñ"'


@pytest.mark.parametrize("dialect", DIALECTS)
@given(parts=bodies())
def test_of_the_same_dialect_and_model_no_byte_changes(dialect: str, parts) -> None:
    head, value, tail, name = parts
    body = head + value + tail
    assert speak.compose(call(dialect, body, model=name), leg(dialect, name)).body is body


@given(st.lists(st.sampled_from(["a", "b", "m"]), min_size=2, max_size=4), members())
def test_a_model_named_twice_is_exchanged_wherever_it_stands(names: list[str], rest: str) -> None:
    """Parsers differ in which of them they take; none may take the old one."""
    fields = [f'"model":{json.dumps(name)}' for name in names]
    body = ("{" + ",".join([fields[0], *([rest] if rest else []), *fields[1:]]) + "}").encode()
    model = speak.peek("openai", body).model
    assert model == names[-1]
    sent = speak.compose(call("openai", body, model=model), leg("openai", "n")).body
    pairs = json.loads(sent, object_pairs_hook=lambda found: found)
    assert [value for name, value in pairs if name == "model"] == ["n"] * len(names)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_path_and_the_query_of_the_same_dialect_travel_on(dialect: str) -> None:
    body = b'{"model":"m"}'
    sent = speak.compose(call(dialect, body, query="beta=true&x=%20"), leg(dialect, "m"))
    assert sent.path == PATHS[dialect] + "?beta=true&x=%20"
    assert sent.headers == sent.without == ()
    assert speak.compose(call(dialect, body), leg(dialect)).path == PATHS[dialect]


@pytest.mark.parametrize(
    ("dialect", "surface", "path"),
    [
        ("anthropic", "count_tokens", "/v1/messages/count_tokens"),
        ("anthropic", "batches", "/v1/messages/batches"),
        ("openai", "embeddings", "/v1/embeddings"),
        ("openai", "models", "/v1/models/m"),
    ],
)
def test_other_surfaces_travel_on_but_do_not_cross(dialect: str, surface: str, path: str) -> None:
    body = b"" if surface == "models" else b'{"model":"m","input":"x"}'
    asked = call(dialect, body, surface=surface, path=path)
    sent = speak.compose(asked, leg(dialect, "n"))
    assert (sent.path, sent.body) == (
        path[:-1] + "n" if surface == "models" else path,
        body.replace(b'"m"', b'"n"'),
    )
    other = "openai" if dialect == "anthropic" else "anthropic"
    with pytest.raises(CannotCrossError, match=surface):
        speak.compose(asked, leg(other))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_dialect_that_is_not_spoken_yet_is_not_crossed_into(dialect: str) -> None:
    body = json.dumps({"model": "m", "max_tokens": 5, "messages": HI}).encode()
    foreign = Leg(target=Target("p", "n", "none"), dialect="unspoken", surface="chat")
    with pytest.raises(CannotCrossError, match="unspoken"):
        speak.compose(call(dialect, body), foreign)


# -------------------------------------------------------------- text crosses

SENTENCES = st.text(min_size=1, max_size=30).filter(lambda text: bool(text.strip()))
SHARES = st.sampled_from([0, 0.0, 0.25, 0.5, 1])


@st.composite
def talks(draw) -> list[dict[str, str]]:
    """Turns that both dialects take: the user's word first and last."""
    said = draw(st.lists(SENTENCES, min_size=1, max_size=7).filter(lambda found: len(found) % 2))
    return [{"role": ("user", "assistant")[n % 2], "content": t} for n, t in enumerate(said)]


@st.composite
def sampling(draw) -> dict[str, object]:
    """Values that both dialects know by the same name."""
    fields = {"temperature": draw(SHARES), "top_p": draw(SHARES), "stream": draw(st.booleans())}
    return {name: value for name, value in fields.items() if draw(st.booleans())}


@given(talks(), sampling(), st.one_of(st.none(), SENTENCES), st.one_of(st.none(), SENTENCES))
def test_a_talk_crosses_from_messages_to_chat(turns, values, system, stop) -> None:
    asked = {"model": "m", "max_tokens": 77, "messages": turns, **values}
    expected = {"model": "n", "max_completion_tokens": 77, "messages": list(turns), **values}
    if system is not None:
        asked["system"] = system
        expected["messages"].insert(0, {"role": "system", "content": system})
    if stop is not None:
        asked["stop_sequences"] = expected["stop"] = [stop]
    if expected.get("stream"):
        expected["stream_options"] = {"include_usage": True}
    else:
        expected.pop("stream", None)
    assert crossed(WAYS[0], asked) == expected


@given(talks(), sampling(), st.one_of(st.none(), SENTENCES), st.one_of(st.none(), SENTENCES))
def test_a_talk_crosses_from_chat_to_messages(turns, values, system, stop) -> None:
    asked = {"model": "m", "messages": list(turns), **values}
    expected = {"model": "n", "max_tokens": 4096, "messages": turns, **values}
    if system is not None:
        asked["messages"].insert(0, {"role": "system", "content": system})
        expected["system"] = system
    if stop is not None:
        asked["stop"] = stop
        expected["stop_sequences"] = [stop]
    if not expected.get("stream"):
        expected.pop("stream", None)
    assert crossed(WAYS[1], asked) == expected


@given(talks(), sampling(), st.one_of(st.none(), SENTENCES))
def test_a_talk_that_crosses_there_and_back_is_the_same(turns, values, system) -> None:
    asked = {"model": "m", "max_tokens": 5, "messages": turns, **values}
    if system is not None:
        asked["system"] = system
    if not asked.get("stream"):
        asked.pop("stream", None)
    there = speak.compose(call("anthropic", json.dumps(asked).encode()), leg("openai"))
    back = speak.compose(call("openai", there.body), leg("anthropic", "m"))
    assert json.loads(back.body) == asked


def test_a_crossed_request_has_the_paths_and_headers_of_its_target() -> None:
    """The client's own headers of its dialect would mean nothing there."""
    body = json.dumps({"model": "m", "max_tokens": 5, "messages": HI}).encode()
    there = speak.compose(call("openai", body, query="x=1"), leg("anthropic"))
    assert there.path == "/v1/messages"
    assert dict(there.headers)[b"anthropic-version"] == b"2023-06-01"
    assert dict(there.headers)[b"content-type"] == b"application/json"
    assert b"openai-organization".startswith(there.without)
    there = speak.compose(call("anthropic", body, query="beta=true"), leg("openai"))
    assert there.path == "/v1/chat/completions"
    assert there.headers == ((b"content-type", b"application/json"),)
    assert b"anthropic-beta".startswith(there.without)


def test_blocks_of_text_cross_and_lose_their_cache_marks_where_nobody_reads_them() -> None:
    mark = {"type": "ephemeral"}
    blocks = [{"type": "text", "text": "a"}, {"type": "text", "text": "b", "cache_control": mark}]
    asked = {"model": "m", "max_tokens": 5, "system": blocks}
    sent = crossed(WAYS[0], asked | {"messages": [{"role": "user", "content": blocks}]})
    assert [turn["content"].replace("\n\n", "") for turn in sent["messages"]] == ["ab", "ab"]
    assert "ephemeral" not in json.dumps(sent)
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    sent = crossed(WAYS[1], {"model": "m", "messages": [{"role": "user", "content": parts}]})
    assert sent["messages"] == [{"role": "user", "content": parts}]


def test_system_and_developer_messages_at_the_start_become_the_system_prompt() -> None:
    turns = [{"role": "system", "content": "a"}, {"role": "developer", "content": "b"}, *HI]
    sent = crossed(WAYS[1], {"model": "m", "messages": turns})
    assert [block["text"] for block in sent["system"]] == ["a", "b"]
    assert sent["messages"] == HI


@pytest.mark.parametrize(
    ("limits", "found"),
    [
        ({}, 4096),
        ({"max_tokens": None}, 4096),
        ({"max_tokens": 9}, 9),
        ({"max_completion_tokens": 9}, 9),
        ({"max_completion_tokens": 9, "max_tokens": 5}, 9),
    ],
)
def test_the_limit_of_an_answer_crosses_by_either_name(limits: dict, found: int) -> None:
    assert crossed(WAYS[1], {"model": "m", "messages": HI, **limits})["max_tokens"] == found


@pytest.mark.parametrize(
    ("way", "extra"),
    [
        (WAYS[0], {"service_tier": "auto"}),
        (WAYS[0], {"stop_sequences": []}),
        (WAYS[0], {"tools": []}),
        (WAYS[0], {"thinking": None}),
        (WAYS[1], {"metadata": {"a": "b"}}),
        (WAYS[1], {"service_tier": "auto"}),
        (WAYS[1], {"store": True}),
        (WAYS[1], {"n": 1}),
        (WAYS[1], {"tools": []}),
        (WAYS[1], {"stream_options": {"include_usage": True}}),
        (WAYS[1], {"response_format": None}),
    ],
)
def test_book_keeping_and_empty_fields_do_not_hinder_a_crossing(way, extra: dict) -> None:
    plain = {"model": "m", "max_tokens": 5, "messages": HI}
    assert crossed(way, plain | extra) == crossed(way, plain)


# ------------------------------------------------------------- more than text crosses


def there_and_back(ask: Ask, here: str, there: str) -> None:
    """Nothing is lost on the way, and the first dialect has its own words again."""
    body = speak.DIALECTS[here].write_ask(ask, "m").body
    out = speak.compose(call(here, body), leg(there))
    back = speak.compose(call(there, out.body), leg(here, "m"))
    assert out.lost == back.lost == ()
    one, two = json.loads(body), json.loads(back.body)
    for fields in (one, two):
        if "response_format" in fields:
            del fields["response_format"]["json_schema"]["name"]
    assert one == two


@pytest.mark.parametrize("way", WAYS)
@given(deltas=streams(), cuts=st.lists(st.integers(0, 10_000), max_size=5))
def test_a_stream_crosses_with_everything_in_it(way, deltas: list[Delta], cuts: list[int]) -> None:
    """However its bytes are cut."""
    client, target = way
    wants = b'{"stream_options":{"include_usage":true},"thinking":{"type":"adaptive"}}'
    asked = call(client, wants, stream=True)
    writer = speak.DIALECTS[target].stream_writer(asked.body, 0)
    stream = b"".join(map(writer.write, deltas))
    tap = speak.tap(asked, leg(target), 200, ((b"content-type", b"text/event-stream"),))
    pieces = pieces_of(tap, split(stream, cuts))
    back = says(mended(speak.DIALECTS[client].delta_reader("m"), joined(pieces)))
    said = says(mended(speak.DIALECTS[target].delta_reader("m"), stream))
    assert back.calls == said.calls
    assert back.joined("thinking") == said.joined("thinking")
    words = [said.joined("text") + said.joined("refusal"), back.joined("text")]
    assert sorted(words[0]) == sorted(words[1] + back.joined("refusal"))
    assert back.usage.output == said.usage.output
    assert back.stop == (
        "end" if said.stop == "stop_sequence" and client == "openai" else said.stop
    )


@pytest.mark.parametrize("dialect", ["anthropic", "openai", "openai-responses", "gemini"])
@given(counts=st.tuples(*[st.integers(1, 9999)] * 3, st.integers(1, 99)), written=st.booleans())
def test_what_was_counted_is_said_again(dialect: str, counts: tuple, written: bool) -> None:
    """Thoughts within the output and caches beside the input, however the dialect has them."""
    fresh, output, cached, thought = counts
    usage = Usage(fresh, output + thought, cached, thought=thought)
    if written and dialect != "gemini":  # which does not know what a cache took
        usage = msgspec.structs.replace(usage, cache_write=7)
    speaking = speak.DIALECTS[dialect]
    answer = Answer(id="x", model="m", choices=(Choice((Text("hi"),)),), usage=usage)
    assert speaking.read_answer(speaking.write_answer(answer, 0)).usage == usage


TOKEN = st.fixed_dictionaries({"token": st.text(max_size=3), "logprob": st.floats(-9, 0)})
LIKELY = ["openai", "openai-responses", "gemini", "ollama"]


@pytest.mark.parametrize("target", LIKELY)
@pytest.mark.parametrize("client", LIKELY)
@settings(max_examples=25)
@given(words=st.lists(st.tuples(TOKEN, st.lists(TOKEN, max_size=2)), min_size=1, max_size=3))
def test_how_likely_the_words_were_crosses_with_them(client: str, target: str, words) -> None:
    said = [
        [{**with_bytes(one), "top_logprobs": [with_bytes(other) for other in others]}]
        for one, others in words
    ]
    written = speak.DIALECTS[target].stream_writer(b"{}", 0)
    stream = written.write(Opened("x", "m"))
    for tokens in said:
        odds = Odds(json.dumps(tokens, indent=1).encode().replace(b"\n", b" "))
        stream += written.write(odds) + written.write(TextDelta(0, "hi"))
    stream += written.write(BlockEnded(0)) + written.write(Stopped())
    there, here = speak.DIALECTS[target], speak.DIALECTS[client]
    deltas = mended(there.delta_reader("m"), stream, there.frames())
    back = b"".join(map(here.stream_writer(b"{}", 0).write, deltas))
    found = mended(here.delta_reader("m"), back, here.frames())
    tokens = [
        token for delta in found if isinstance(delta, Odds) for token in json.loads(delta.tokens)
    ]
    assert tokens == [token for one in said for token in one]
    assert says(found).joined("text") == "hi" * len(said)


def with_bytes(token: dict) -> dict:
    return {**token, "bytes": list(token["token"].encode())}


@settings(max_examples=60)
@given(ask=ASKS, way=st.sampled_from(WAYS))
def test_what_both_can_say_crosses_there_and_back(ask: Ask, way: tuple[str, str]) -> None:
    there_and_back(ask, *way)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=2000)
@given(ask=ASKS)
def test_what_both_can_say_crosses_in_thousands_of_ways(way: tuple[str, str], ask: Ask) -> None:
    there_and_back(ask, *way)


# ---------------------------------------------------------------- all ordered pairs

PAIRS = list(itertools.permutations(speak.DIALECTS, 2))
EACH_PAIR = pytest.mark.parametrize("pair", PAIRS, ids=["-".join(pair) for pair in PAIRS])


def carried(here: str, there: str, ask: Ask) -> Ask:
    """The ask as it arrives on the other side. Raises CannotCrossError."""
    one, other = speak.DIALECTS[here], speak.DIALECTS[there]
    path = one.path("m", stream=ask.sampling.stream).partition("?")[0]
    body = one.write_ask(paired(ask, "messages"), "m").body
    asked = Call(
        id="x", at=0.0, wall=0.0, dialect=here, surface=one.SURFACE, path=path, body=body,
        model="m", stream=ask.sampling.stream,
    )  # fmt: skip
    to = Leg(target=Target("p", "m", "none"), dialect=there, surface=other.SURFACE)
    return other.read_ask(speak.compose(asked, to).body)


def essence(ask: Ask, read: Callable[[bytes], object] = json.loads) -> list[object]:
    """What is said, called and answered, however a dialect groups it."""
    parts = [part for turn in ask.turns for part in turn.parts]
    words = "".join(part.text for part in (*ask.system, *parts) if isinstance(part, Text))
    calls = [(c.name, json.loads(c.arguments)) for c in parts if isinstance(c, ToolCall)]
    given = ["".join(p.text for p in r.parts) for r in parts if isinstance(r, ToolResult)]
    pictures = [(p.data, p.url) for p in parts if isinstance(p, Image)]
    # Tools that may not be called are as good as none.
    none = ask.tool_choice is not None and ask.tool_choice.mode == "none"
    tools = [(t.name, t.description, read(t.schema)) for t in ask.tools if not none]
    # Words between others may change places with results; none may be lost or said twice.
    return [sorted("".join(words.split())), calls, given, pictures, tools]


def survives(ask: Ask, here: str, there: str) -> bool:
    """What both dialects can say of an ask crosses and comes back the same; False where one of
    them refuses it in words.
    """
    try:
        known = speak.DIALECTS[here].read_ask(speak.DIALECTS[here].write_ask(ask, "m").body)
        both = carried(there, here, carried(here, there, known))
        again = carried(there, here, carried(here, there, both))
    except CannotCrossError:
        return False
    assert plain(again) == plain(both)
    # Ollama alone takes no schema that is just true or false.
    read = in_objects if "ollama" in (here, there) else json.loads
    assert essence(both, read) == essence(known, read)
    return True


@EACH_PAIR
@settings(max_examples=20)
@given(ask=ASKS)
def test_what_two_dialects_can_say_survives(pair: tuple[str, str], ask: Ask) -> None:
    survives(ask, *pair)


@pytest.mark.long
@pytest.mark.timeout(900)
@EACH_PAIR
def test_what_two_dialects_can_say_survives_thousands_of_times(pair: tuple[str, str]) -> None:
    """And most of what is asked can be said."""
    found = []

    @settings(max_examples=2000)
    @given(ask=ASKS)
    def each(ask: Ask) -> None:
        found.append(survives(ask, *pair))

    each()
    assert found.count(True) > len(found) / 8


# The counts, and the thoughts of a client of Messages and of one of Gemini.
WANTS_ALL = (
    b'{"stream_options":{"include_usage":true},"thinking":{"type":"adaptive"},'
    b'"generationConfig":{"thinkingConfig":{"includeThoughts":true}}}'
)


def stream_survives(deltas: list[Delta], cuts: list[int], client: str, target: str) -> None:
    """A stream of one dialect says the same in the other, however its bytes are cut."""
    asked = WANTS_ALL
    here, there = speak.DIALECTS[client], speak.DIALECTS[target]
    stream = b"".join(map(there.stream_writer(asked, 0).write, deltas))
    pieces = pieces_of(tap(client, target, body=asked), split(stream, cuts))
    assert pieces[-1].kind is PieceKind.END
    shown = heard(here.delta_reader("m"), joined(pieces), here.frames())
    if client == "gemini":  # whose seals hold foreign thoughts a second time
        shown = [d for d in shown if not (isinstance(d, ThinkingDelta) and d.origin != client)]
    back = says(shown)
    said = says(heard(there.delta_reader("m"), stream, there.frames()))
    assert [call[1:] for call in back.calls] == [call[1:] for call in said.calls]
    assert len({call[0] for call in back.calls}) == len({call[0] for call in said.calls})
    assert back.joined("thinking") == said.joined("thinking")
    words = sorted(said.joined("text") + said.joined("refusal"))
    assert words == sorted(back.joined("text") + back.joined("refusal"))
    assert back.usage.output == said.usage.output


def heard(reader: DeltaReader, stream: bytes, frames: Framer) -> list[Delta]:
    """The neutral stream that these bytes become, to the end of the connection."""
    mender, grammar, found = Mender("m"), Grammar(), []
    read = [delta for event in frames.feed(stream) for delta in reader.read(event)]
    for delta in (one for raw in (*read, *reader.close()) for one in mender.mend(raw)):
        assert grammar.check(delta) is None
        found.append(delta)
        if isinstance(delta, Stopped | Fault):
            break
    return found


CUTS = st.lists(st.integers(0, 10_000), max_size=5)


@EACH_PAIR
@settings(max_examples=20)
@given(deltas=streams(), cuts=CUTS)
def test_a_stream_says_the_same_in_the_other_dialect(
    pair: tuple[str, str], deltas: list[Delta], cuts: list[int]
) -> None:
    stream_survives(deltas, cuts, *pair)


@pytest.mark.long
@pytest.mark.timeout(900)
@EACH_PAIR
@settings(max_examples=2000)
@given(deltas=streams(), cuts=CUTS)
def test_a_stream_says_the_same_in_thousands_of_ways(
    pair: tuple[str, str], deltas: list[Delta], cuts: list[int]
) -> None:
    stream_survives(deltas, cuts, *pair)


TOOL = {"name": "f", "description": "d", "input_schema": {"type": "object"}}
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {}}}
CALLED = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
DATA = {"type": "base64", "media_type": "image/png", "data": "aGk="}


def block(**fields: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": [fields]}]}


def test_names_that_are_too_long_there_are_the_clients_own_here() -> None:
    name = "mcp__" + "x" * 90
    body = json.dumps({"messages": HI, "tools": [{**TOOL, "name": name}]}).encode()
    asked = call("anthropic", body)
    sent = json.loads(speak.compose(asked, leg("openai")).body)["tools"][0]["function"]["name"]
    assert len(sent) <= 64
    function = {"name": sent, "arguments": "{}"}
    message = {"content": None, "tool_calls": [{"id": "c", "function": function}]}
    answer = json.dumps({"choices": [{"message": message, "finish_reason": "tool_calls"}]})
    tap = speak.tap(asked, leg("openai"), 200, ((b"content-type", b"application/json"),))
    (block,) = json.loads(joined(pieces_of(tap, [answer.encode()])))["content"]
    assert block["name"] == name


SIGNED = {"type": "thinking", "thinking": "hm", "signature": "EqQB/x+y=="}
USE = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"n": 1}}


@pytest.mark.parametrize("stream", [False, True])
def test_a_conversation_that_crosses_and_comes_back_finds_its_thoughts(stream: bool) -> None:
    """A client that has no word for signatures; the provider wants them with the results."""
    crossings = Crossings()
    asked = call("openai", json.dumps({"messages": HI}).encode(), stream=stream)
    message = {"content": [SIGNED, USE], "stop_reason": "tool_use", "id": "msg_1", "model": "m"}
    body, kind = json.dumps(message).encode(), b"application/json"
    if stream:
        answer = speak.DIALECTS["anthropic"].read_answer(body)
        write = speak.DIALECTS["anthropic"].stream_writer(b"", 0).write
        body, kind = b"".join(map(write, deltas_of(answer))), b"text/event-stream"
    tap = speak.tap(asked, leg("anthropic"), 200, ((b"content-type", kind),), crossings)
    assert b"toolu_1" in joined(pieces_of(tap, [body]))
    called = CALLED | {"id": "toolu_1"}
    turns = [
        *HI,
        {"role": "assistant", "content": None, "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "toolu_1", "content": "1"},
    ]
    asked = call("openai", json.dumps({"messages": turns, "reasoning_effort": "low"}).encode())
    for at, found in ((leg("anthropic"), SIGNED), (leg("openai"), None)):
        sent = json.loads(speak.compose(asked, at, crossings).body)
        content = sent["messages"][1].get("content") or [{}]
        assert (content[0] if content[0].get("type") == "thinking" else None) == found


def test_what_another_dialect_signed_does_not_go_to_who_did_not() -> None:
    foreign = {"type": "thinking", "thinking": "hm", "signature": "holdfast.openai."}
    said = {"role": "assistant", "content": [foreign, {"type": "text", "text": "a"}]}
    body = json.dumps({"model": "m", "messages": [*HI, said, *HI]}).encode()
    sent = speak.compose(call("anthropic", body), leg("anthropic", "m"))
    assert b"holdfast" not in sent.body
    plain = body.replace(b"holdfast.openai.", b"EqQB")
    assert speak.compose(call("anthropic", plain), leg("anthropic", "m")).body is plain


def test_a_beta_goes_with_the_fields_that_belong_to_it() -> None:
    fields = {"model": "m", "messages": HI, "context_management": {"edits": [1]}}
    betas = ((b"anthropic-beta", b"context-management-2025-06-27"),)
    asked = call("anthropic", json.dumps(fields).encode(), headers=betas)
    sent = speak.compose(asked, leg("openai"))
    assert [loss.field for loss in sent.lost] == ["anthropic-beta", "context_management"]
    assert b"context_management" not in sent.body
    assert b"anthropic-beta".startswith(sent.without)


@pytest.mark.parametrize(
    ("way", "extra", "lost"),
    [
        (WAYS[0], {"top_k": 5}, "top_k"),
        (WAYS[0], {"made_up_next_year": 1}, "made_up_next_year"),
        (WAYS[0], {"cache_control": {"type": "ephemeral"}}, "cache_control"),
        (WAYS[1], {"seed": 5}, "seed"),
        (WAYS[1], {"temperature": 1.5}, "temperature"),
        (WAYS[1], {"presence_penalty": 0.5}, "presence_penalty"),
        (WAYS[1], {"response_format": {"type": "json_object"}}, "response_format"),
        (WAYS[1], {"made_up_next_year": 1}, "made_up_next_year"),
    ],
)
def test_a_loss_that_can_be_borne_is_told(way, extra: dict, lost: str) -> None:
    here, there = way
    body = json.dumps({"model": "m", "max_tokens": 5, "messages": HI} | extra).encode()
    assert [loss.field for loss in speak.compose(call(here, body), leg(there)).lost] == [lost]
    strict = msgspec.structs.replace(leg(there), losses="forbidden")
    with pytest.raises(CannotCrossError, match=f"the route forbids losses.*{lost}"):
        speak.compose(call(here, body), strict)


@pytest.mark.parametrize("way", WAYS)
def test_where_losses_are_forbidden_what_loses_nothing_crosses(way) -> None:
    here, there = way
    strict = msgspec.structs.replace(leg(there), losses="forbidden")
    body = json.dumps({"model": "m", "max_tokens": 5, "messages": HI}).encode()
    assert speak.compose(call(here, body), strict) == speak.compose(call(here, body), leg(there))
    # Of the same dialect everything passes, known or not.
    odd = json.dumps({"model": "m", "messages": HI, "made_up_next_year": 1}).encode()
    own = msgspec.structs.replace(leg(here), losses="forbidden")
    assert json.loads(speak.compose(call(here, odd), own).body)["made_up_next_year"] == 1


LACKS = Leg(
    target=Target("p", "m", "none"),
    dialect="anthropic",
    surface="messages",
    lacks=frozenset({"tools", "vision", "thinking"}),
    facts=ModelFacts(model="*", tools=False, vision=False, thinking=False),
)


@pytest.mark.parametrize("here", DIALECTS)
def test_a_call_that_needs_what_the_model_has_not_goes_on(here: str) -> None:
    """Of the same dialect, too; what can be done without stays behind where it is written anew."""
    needy = {"anthropic": {"tools": [TOOL]}, "openai": {"tools": [FUNCTION]}}[here]
    body = json.dumps({"model": "m", "messages": HI, **needy}).encode()
    with pytest.raises(CannotCrossError, match="m has no tools"):
        speak.compose(call(here, body), LACKS)
    for odd in (b'{"model":"m","messages":5}', b'{"model":"m","messages":[]}'):
        if here == "anthropic":
            assert speak.compose(call(here, odd), LACKS).body is odd
    thinks = {
        "anthropic": {"thinking": {"type": "adaptive"}},
        "openai": {"reasoning_effort": "low"},
    }
    body = json.dumps({"model": "m", "messages": HI, **thinks[here]}).encode()
    sent = speak.compose(call(here, body), LACKS)
    if here == "openai":
        assert "thinking" not in json.loads(sent.body)
        assert [loss.field for loss in sent.lost] == ["thinking"]
    else:
        assert sent.body is body


def test_tokens_are_counted_where_somebody_counts() -> None:
    body = json.dumps({"model": "m", "messages": HI}).encode()
    asked = call("openai", body, surface="count_tokens")
    sent = speak.compose(asked, leg("anthropic"))
    assert sent.path == "/v1/messages/count_tokens"
    assert json.loads(sent.body) == {"model": "n", "messages": HI}


# -------------------------------------------------------- what cannot cross


@pytest.mark.parametrize(
    ("extra", "names"),
    [
        ({"mcp_servers": [{"url": "x"}]}, "mcp_servers"),
        ({"container": "c"}, "container"),
        (block(type="document", source={"type": "url", "url": "https://x"}), "URL"),
        (block(type="image", source={"type": "file", "file_id": "f"}), "file f"),
        (block(type="hologram"), r"messages\[0\].content\[0\]: a hologram"),
        (block(type="tool_result", tool_use_id="t", content="x"), "the call 't'"),
        (block(text="x"), "type is missing"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, r"content\[0\] is not"),
        ({"messages": [{"role": "user", "content": None}]}, "neither text nor"),
        ({"messages": [{"role": "user", "content": {"type": "text", "text": "x"}}]}, "neither"),
        ({"messages": [*HI, {"role": "assistant", "content": "Sure, "}]}, "user's words"),
        ({"messages": []}, "messages is missing or empty"),
        ({"messages": [*HI, {"role": "assistant", "content": [USE]}, *HI]}, "has no result"),
        ({"system": [{"type": "image", "source": DATA}]}, "image"),
        ({"system": 5}, "system"),
        ({"stop_sequences": "abc"}, "stop"),
        ({"stop_sequences": list("abcde")}, "stop sequences"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"stream": "yes"}, "stream"),
    ],
)
def test_what_messages_can_say_and_chat_cannot_is_refused_by_name(extra: dict, names: str) -> None:
    refused(WAYS[0], extra, names)


@pytest.mark.parametrize(
    ("extra", "names"),
    [
        ({"n": 2}, "n: "),
        ({"logprobs": True, "top_logprobs": 2}, "logprobs"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"web_search_options": {"a": 1}}, "web_search_options"),
        (block(type="input_audio", input_audio={}), "input_audio"),
        (block(type="file", file={"file_id": "f"}), "file f"),
        (block(text="x"), "type is missing"),
        ({"messages": [{"role": "user", "content": None}]}, "neither text nor"),
        ({"messages": [{"role": "tool", "tool_call_id": "c", "content": "x"}]}, "the call 'c'"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "tool_call_id"),
        ({"messages": [{"role": "function", "content": "x"}]}, "function"),
        ({"messages": [*HI, {"role": "assistant", "content": "Sure, "}]}, "user's words"),
        ({"messages": []}, "messages is missing or empty"),
        ({"system": "Be brief."}, "system is of Anthropic's"),
        ({"messages": [{"role": "user", "content": ""}]}, "empty"),
        ({"messages": [{"role": "user", "content": " \n"}]}, "empty"),
        ({"temperature": "hot"}, "temperature"),
        ({"max_tokens": 5.5}, "max_tokens"),
        ({"stop": 5}, "stop"),
        ({"stop": [5]}, "stop"),
        (
            {
                "messages": [
                    *HI,
                    {"role": "assistant", "content": None, "tool_calls": [CALLED]},
                    *HI,
                ]
            },
            "'c' has no result",
        ),
    ],
)
def test_what_chat_can_say_and_messages_cannot_is_refused_by_name(extra: dict, names: str) -> None:
    refused(WAYS[1], extra, names)


def test_several_answers_are_asked_for_where_there_is_a_word_for_them() -> None:
    body = json.dumps({"model": "m", "messages": HI, "n": 2, "stream": True}).encode()
    to = Leg(target=Target("p", "m", "none"), dialect="gemini", surface="generate_content")
    sent = json.loads(speak.compose(call("openai", body, stream=True), to).body)
    assert sent["generationConfig"]["candidateCount"] == 2


SEVERAL = [("openai", "gemini"), ("gemini", "openai"), ("gemini", "gemini"), ("openai", "openai")]


@st.composite
def several(draw: st.DrawFn) -> list[list[Delta]]:
    """Streams of the same answer: one opening, one count."""
    found = draw(st.lists(streams(), min_size=2, max_size=3))
    rest = [
        [one for one in stream if not isinstance(one, Opened | UsageSeen | Ping)]
        for stream in found[1:]
    ]
    return [found[0], *rest]


@pytest.mark.parametrize("pair", SEVERAL)
@settings(max_examples=40)
@given(choices=several(), cuts=CUTS, data=st.data())
def test_each_of_several_answers_crosses_as_it_would_alone(
    pair: tuple[str, str], choices: list[list[Delta]], cuts: list[int], data: st.DataObject
) -> None:
    """Their events mixed in any order, the first one's opening and end around them."""
    client, target = pair
    places = [n for n, stream in enumerate(choices) for _ in stream[1 if not n else 0 :]]
    order = data.draw(st.permutations(places))
    waiting = [iter(stream) for stream in choices]
    mixed: list[Delta] = [next(waiting[0])]
    last = choices[0][-1]
    for number in order:
        delta = next(waiting[number])
        if delta is not last:
            mixed.append(delta if not number else Of(number, delta))
    mixed.append(last)
    here, there = speak.DIALECTS[client], speak.DIALECTS[target]
    stream = b"".join(map(there.stream_writer(b"{}", 0).write, mixed))
    one = CrossingTap(
        there.delta_reader("m"), here.stream_writer(b"{}", 0), Mender("m"), there.frames(), ()
    )
    pieces = pieces_of(one, split(stream, cuts))
    assert [piece.kind for piece in pieces].count(PieceKind.END) == 1
    back, said = (
        by_choice(speaking, told) for speaking, told in ((here, joined(pieces)), (there, stream))
    )
    assert back.keys() == said.keys()
    for number in said:
        got, due = says(back[number]), says(said[number])
        assert [c[1:] for c in got.calls] == [c[1:] for c in due.calls]
        words = sorted(due.joined("text") + due.joined("refusal"))
        assert sorted(got.joined("text") + got.joined("refusal")) == words


def by_choice(speaking: Speaking, stream: bytes) -> dict[int, list[Delta]]:
    """The neutral stream of each choice, held against the grammar."""
    frames, reader = speaking.frames(), speaking.delta_reader("m")
    raw = [delta for event in frames.feed(stream) for delta in reader.read(event)]
    raw += reader.close()
    numbers = {one.choice for one in raw if isinstance(one, Of)} | {0}
    found: dict[int, list[Delta]] = {}
    for number in numbers:
        mender, grammar = Mender("m"), Grammar()
        own = [
            one.delta if isinstance(one, Of) else one
            for one in raw
            if (one.choice if isinstance(one, Of) else 0) == number
        ]
        found[number] = []
        for delta in (put for one in own for put in mender.mend(one)):
            assert grammar.check(delta) is None
            found[number].append(delta)
            if isinstance(delta, Stopped | Fault):
                break
    return found


def test_a_whole_answer_of_several_choices_is_streamed() -> None:
    choice = {"message": {"content": "a"}, "finish_reason": "stop"}
    body = json.dumps({"choices": [choice, {**choice, "index": 1}], "id": "x"}).encode()
    asked = call("openai", b"{}", stream=True)
    kind = ((b"content-type", b"application/json"),)
    told = joined(pieces_of(speak.tap(asked, leg("openai"), 200, kind), [body]))
    assert [len(says(found).joined("text")) for found in by_choice(openai, told).values()] == [1, 1]
    other = call("anthropic", b"{}", stream=True)
    (fault,) = pieces_of(speak.tap(other, leg("openai"), 200, kind), [body])
    assert fault.kind is PieceKind.FAULT


@pytest.mark.parametrize("n", [0, 2])
def test_several_answers_are_not_streamed_from_another_dialect(n: int) -> None:
    refused(WAYS[1], {"n": n, "stream": True}, "n: ")


def refused(way: tuple[str, str], extra: dict, names: str) -> None:
    with pytest.raises(CannotCrossError, match=names) as raised:
        crossed(way, {"model": "m", "max_tokens": 5, "messages": HI} | extra)
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ([{"type": "item_of_tomorrow"}], r"input\[0\]: .*item_of_tomorrow"),
        ([{"type": "function_call_output", "call_id": "c1", "output": "x"}], "input: a tool"),
        ([{"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
          {"role": "user", "content": "hi"}], "input: the tool call 'c1' has no result"),
    ],
)  # fmt: skip
def test_what_cannot_be_said_is_named_in_the_clients_own_words(said: object, names: str) -> None:
    body = json.dumps({"model": "m", "input": said}).encode()
    with pytest.raises((CannotCrossError, BadBodyError), match=names):
        speak.compose(call("openai-responses", body), leg("anthropic"))


@pytest.mark.parametrize("way", WAYS)
@given(fields=VALUES, turns=VALUES)
def test_any_json_crosses_or_is_refused(way, fields: object, turns: object) -> None:
    """Nothing else is raised, and what crosses is JSON that names the target's model."""
    mixed = {"model": "m", **(fields if isinstance(fields, dict) else {}), "messages": turns}
    for asked in (fields, mixed, {"model": "m", "messages": [turns, *HI]}):
        with contextlib.suppress(CannotCrossError):
            assert crossed(way, asked)["model"] == "n"


@pytest.mark.parametrize("way", WAYS)
@given(body=st.binary(max_size=40))
def test_any_bytes_cross_or_are_refused(way, body: bytes) -> None:
    here, there = way
    for dirty in (body, b'{"messages":' + body, b'{"model":"m","messages":[' + body + b"]}"):
        with pytest.raises(CannotCrossError):
            speak.compose(call(here, dirty), leg(there))


# ------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("dialect", "status", "type_"),
    [
        ("anthropic", 400, "invalid_request_error"),
        ("anthropic", 401, "authentication_error"),
        ("anthropic", 402, "billing_error"),
        ("anthropic", 403, "permission_error"),
        ("anthropic", 404, "not_found_error"),
        ("anthropic", 413, "request_too_large"),
        ("anthropic", 418, "invalid_request_error"),
        ("anthropic", 429, "rate_limit_error"),
        ("anthropic", 500, "api_error"),
        ("anthropic", 502, "api_error"),
        ("anthropic", 504, "timeout_error"),
        ("anthropic", 529, "overloaded_error"),
        ("openai", 400, "invalid_request_error"),
        ("openai", 401, "authentication_error"),
        ("openai", 403, "permission_error"),
        ("openai", 404, "not_found_error"),
        ("openai", 413, "invalid_request_error"),
        ("openai", 429, "rate_limit_error"),
        ("openai", 500, "server_error"),
        ("openai", 503, "server_error"),
    ],
)
def test_an_error_has_its_dialects_name(dialect: str, status: int, type_: str) -> None:
    assert speak.error_type(dialect, status) == type_


@pytest.mark.parametrize("dialect", DIALECTS)
@given(status=st.integers(400, 599), message=st.text(max_size=60))
def test_our_own_errors_are_of_the_clients_dialect(dialect, status: int, message: str) -> None:
    headers, body = speak.error_reply(dialect, status, message)
    assert headers == ((b"content-type", b"application/json"),)
    type_ = speak.error_type(dialect, status)
    if dialect == "anthropic":
        assert json.loads(body) == {"type": "error", "error": {"type": type_, "message": message}}
    else:
        error = {"message": message, "type": type_, "param": None, "code": None}
        assert json.loads(body) == {"error": error}
    assert speak.said(dialect, body) == Said(type=type_, message=message)


@pytest.mark.parametrize("dialect", DIALECTS)
@given(status=st.integers(400, 599), message=st.text(max_size=60))
def test_our_own_error_in_a_stream_is_one_event(dialect, status: int, message: str) -> None:
    """Whatever the message holds: blank lines and field names in it stay inside of it."""
    reader = SseReader()
    events = reader.feed(speak.error_event(dialect, status, message))
    assert len(events) == 1
    assert reader.tail == b""
    assert events[0].event == (b"error" if dialect == "anthropic" else b"")
    assert json.loads(events[0].data)["error"]["message"] == message


ARTICLE = "Account is no longer a member of the organization associated with this token."
SAYINGS = [
    (
        {"type": "error", "error": {"type": "permission_error", "message": ARTICLE}},
        Said("permission_error", "", ARTICLE),
    ),
    (
        {
            "type": "error",
            "error": {
                "type": "rate_limit_error",
                "message": "m",
                "details": {"error_code": "ramp_limit_exceeded"},
            },
            "request_id": "req_1",
        },
        Said("rate_limit_error", "ramp_limit_exceeded", "m"),
    ),
    (
        {
            "error": {
                "message": "m",
                "type": "insufficient_quota",
                "param": None,
                "code": "insufficient_quota",
            }
        },
        Said("insufficient_quota", "insufficient_quota", "m"),
    ),
    ({"error": {"message": "m", "code": 429}}, Said("", "429", "m")),
    ({"error": "m"}, Said("", "", "m")),
    ({"detail": "m"}, Said("", "", "m")),
    ({"message": "m"}, Said("", "", "m")),
    (
        {"object": "error", "message": "m", "type": "BadRequestError", "code": 400},
        Said("BadRequestError", "400", "m"),
    ),
    (
        [{"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED"}}],
        Said("RESOURCE_EXHAUSTED", "429", "m"),
    ),
    (
        {
            "error": {
                "code": 400,
                "message": "m",
                "status": "INVALID_ARGUMENT",
                "details": [{"@type": "x"}, {"reason": "API_KEY_INVALID"}],
            }
        },
        Said("INVALID_ARGUMENT", "API_KEY_INVALID", "m"),
    ),
    ({"error": None}, Said()),
    ({"error": {}}, Said()),
    ({"id": "msg_1", "content": []}, Said()),
    ([], Said()),
    ("m", Said()),
    (None, Said()),
]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("body", "said"), SAYINGS)
def test_an_error_is_read_in_each_form_whatever_the_dialect(dialect, body, said: Said) -> None:
    """Relays and engines mix each other's envelopes."""
    assert speak.said(dialect, json.dumps(body).encode()) == said


def test_the_fault_of_a_form_sent_to_fastapi_is_kept_as_text() -> None:
    body = b'{"detail":[{"loc":["body","model"],"msg":"field required"}]}'
    assert "field required" in speak.said("openai", body).message


@pytest.mark.parametrize("dialect", DIALECTS)
@given(error=VALUES, code=VALUES, body=st.binary(max_size=40))
def test_no_body_whatever_makes_said_raise(dialect: str, error, code, body: bytes) -> None:
    for fields in (error, {"error": error}, [{"error": {"message": error, "code": code}}]):
        found = speak.said(dialect, json.dumps(fields).encode())
        assert max(map(len, (found.type, found.code, found.message))) <= 4000
    for dirty in (body, b'{"error":' + body + b"}", b'{"error":{"message":"' + body + b'"}}'):
        speak.said(dialect, dirty)


@pytest.mark.parametrize("field", [b"type", b"code", b"message", b"status", b"details"])
@pytest.mark.parametrize(
    "value", [b'"' + b"x" * 1_000_000 + b'"', b"9" * 5000, b"[" * 900 + b"]" * 900, b"-1e308"]
)
def test_what_an_error_says_is_bounded(field: bytes, value: bytes) -> None:
    found = speak.said("openai", b'{"error":{"' + field + b'":' + value + b"}}")
    assert max(map(len, (found.type, found.code, found.message))) <= 4000


# ------------------------------------------------------------------ models


@given(st.lists(st.text(min_size=1, max_size=12), max_size=5))
def test_a_list_of_models_is_of_the_clients_dialect(ids: list[str]) -> None:
    models = [Model(id_) for id_ in ids]
    found = json.loads(speak.models_reply("openai", models))
    assert found["object"] == "list"
    assert [(model["id"], model["object"]) for model in found["data"]] == [
        (id_, "model") for id_ in ids
    ]
    assert all(set(model) == {"id", "object", "created", "owned_by"} for model in found["data"])
    found = json.loads(speak.models_reply("anthropic", models))
    assert [(model["id"], model["type"]) for model in found["data"]] == [
        (id_, "model") for id_ in ids
    ]
    fields = {"id", "type", "display_name", "created_at", "max_input_tokens", "lifecycle"}
    assert all(set(model) == fields for model in found["data"])
    ends = (ids[0], ids[-1]) if ids else (None, None)
    assert (found["first_id"], found["last_id"], found["has_more"]) == (*ends, False)


# ------------------------------------------------------------ conversation


def marked(dialect: str, turns: list, *, first_turns: bool = False, **more: object) -> str:
    fields = {"model": "m", "messages": turns, **more}
    return speak.conversation(dialect, json.dumps(fields).encode(), first_turns=first_turns)


@pytest.mark.parametrize("dialect", DIALECTS)
@given(said=st.lists(SENTENCES, min_size=3, max_size=9), system=SENTENCES)
def test_a_conversation_keeps_its_mark_while_it_goes_on(dialect, said, system: str) -> None:
    """System prompts may change on the way: coding tools put the state of the day into them."""
    turns = [{"role": ("user", "assistant")[n % 2], "content": t} for n, t in enumerate(said)]
    assert marked(dialect, turns[:1]) == ""
    marks = {marked(dialect, turns[:n]) for n in range(2, len(turns) + 1)}
    marks.add(marked(dialect, turns, system=system))
    marks.add(marked(dialect, [{"role": "system", "content": system}, *turns]))
    assert len(marks) == 1
    assert marks != {""}
    # Where a first turn is to be known again, it has the mark of what follows it.
    for n in range(1, len(turns) + 1):
        marks.add(marked(dialect, turns[:n], first_turns=True))
    assert len(marks) == 1


@given(SENTENCES, SENTENCES)
def test_another_opening_or_dialect_is_another_conversation(one: str, other: str) -> None:
    answer = {"role": "assistant", "content": "a"}
    marks = [
        marked(dialect, [{"role": "user", "content": opening}, answer])
        for dialect in DIALECTS
        for opening in (one, other)
    ]
    assert len(set(marks)) == (2 if one == other else 4)


def test_marks_for_a_cache_do_not_change_the_mark() -> None:
    """They move on with each turn: the opening has one at first and none later."""
    answer = {"role": "assistant", "content": "a"}

    def opening(**more: object) -> list:
        return [{"role": "user", "content": [{"type": "text", "text": "q", **more}]}, answer]

    assert marked("anthropic", opening()) == marked(
        "anthropic", opening(cache_control={"type": "ephemeral"})
    )


def test_pictures_are_part_of_what_was_said() -> None:
    answer = {"role": "assistant", "content": "a"}
    marks = set()
    for data in ("aGk=", "aG8="):
        part = {"type": "image", "source": DATA | {"data": data}}
        marks.add(marked("anthropic", [{"role": "user", "content": [part]}, answer]))
        part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
        marks.add(marked("openai", [{"role": "user", "content": [part]}, answer]))
    assert len(marks) == 4
    assert "" not in marks


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'{"messages":null}',
        b'{"messages":{}}',
        b'{"messages":[]}',
        b'{"messages":["assistant"]}',
        b'{"messages":[{"role":"user"},{"role":null}]}',
        b'{"messages":[{"role":"assistant","content":"x"},{"role":"user","content":"y"}]}',
        b'{"input":"x"}',
    ],
)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_is_no_conversation_has_no_mark(dialect: str, body: bytes) -> None:
    assert speak.conversation(dialect, body) == ""
    if b'"user"},{"role":null' not in body:
        assert speak.conversation(dialect, body, first_turns=True) == ""


@given(VALUES, st.binary(max_size=40))
def test_no_body_whatever_makes_a_mark_raise(turns: object, body: bytes) -> None:
    answer = {"role": "assistant", "content": turns}
    for found in (turns, [turns, answer], [{"role": "user", "content": turns}, answer]):
        assert isinstance(marked("openai", found), str)
    assert speak.conversation("openai", body) == ""
    dirty = b'{"messages":[' + body + b',{"role":"assistant"}]}'
    assert isinstance(speak.conversation("openai", dirty), str)


# ------------------------------------------------------------------ hostile


def filled(head: bytes, bit: bytes, tail: bytes) -> bytes:
    return head + bit * (1_000_000 // len(bit)) + tail


HOSTILE = {
    "models further in": filled(b'{"tools":[', b'{"model":"x"},', b'1],"model":"m"}'),
    "models in text": filled(b'{"model":"m","x":"', b'\\"model\\": \\"x\\",', b'"}'),
    "models in names": filled(b'{"model":"m","x":{', b'"x\\"model":"y",', b'"y":1}}'),
    "backslashes": filled(b'{"model":"m","x":"', b"\\\\", b'"}'),
    "quotes": filled(b'{"model":"m","x":[', b'"\\"",', b"1]}"),
    "unicode escapes": filled(b'{"model":"m","x":"', b"\\u0022", b'"}'),
    "white space": filled(b'{"model"', b" ", b':"m"}'),
    "white space behind names": filled(b'{"model":"m","x":["model"', b" ", b"]}"),
    "brackets in text": filled(b'{"model":"m","x":"', b"[{", b'"}'),
    "fields": filled(b'{"model":"m"', b',"a":1', b"}"),
    "models": filled(b'{"model":"m"', b',"model":"m"', b"}"),
    "empty lists": filled(b'{"model":"m","x":[', b"[],", b"1]}"),
    "digits": filled(b'{"model":"m","x":1', b"9", b"}"),
    "turns": filled(b'{"model":"m","messages":[', b'{"role":"user","content":""},', b"1]}"),
    "an open string": filled(b'{"model":"m","x":"', b"x", b""),
    "an open name": filled(b'{"model":"m","', b'\\"model', b""),
    "half a model": filled(b'{"model":"', b"\\u00", b""),
    "a long model": filled(b'{"model":"', b"x", b'"}'),
    "deep lists": filled(b'{"model":"m","x":', b"[", b""),
    "deep lists, closed": b'{"model":"m","x":' + b"[" * 500_000 + b"]" * 500_000 + b"}",
    "deep objects": filled(b'{"model":"m","x":', b'{"a":', b""),
    "deep models": filled(b"", b'{"model":', b""),
    "deep turns": filled(b'{"model":"m","messages":', b'[{"content":', b""),
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_megabyte_takes_no_time_and_raises_nothing_else(body: bytes) -> None:
    """What would be quadratic takes minutes here; nothing recurses."""
    with contextlib.suppress(BadBodyError):
        model = speak.peek("openai", body).model
        sent = speak.compose(call("openai", body, model=model), leg("openai", "n")).body
        assert speak.peek("openai", sent).model == "n"
    for here, there in WAYS:
        with pytest.raises(CannotCrossError):
            speak.compose(call(here, body), leg(there))
        speak.conversation(here, body)
        speak.said(here, body)


@pytest.mark.parametrize("value", ["null", "1", "true"])
def test_a_model_that_is_no_string_hides_no_key(value: str) -> None:
    """Parsers take the last of two names; whatever else is called so stays as it is."""
    body = f'{{"model":{value},"x":{{"model":"q"}},"model":"b","messages":[]}}'.encode()
    sent = speak.compose(call("openai", body), leg("openai", "n")).body
    assert sent == body.replace(b'"b"', b'"n"')


def test_a_tool_that_had_to_be_named_otherwise_is_called_by_its_own_name() -> None:
    function = {"type": "function", "function": {"name": "3d", "parameters": {}}}
    body = json.dumps({"model": "m", "messages": HI, "tools": [function]}).encode()
    there = Leg(target=Target("p", "n", "none"), dialect="gemini", surface="generate_content")
    sent = json.loads(speak.compose(call("openai", body), there).body)
    name = sent["tools"][0]["functionDeclarations"][0]["name"]
    parts = [{"functionCall": {"name": name, "args": {}}}]
    answer = {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}
    read = speak.tap(call("openai", body), there, 200, ((b"content-type", b"application/json"),))
    told = json.loads(joined(pieces_of(read, [json.dumps(answer).encode()])))
    assert told["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "3d"


# ------------------------------------------------------------- what answers lose

CITES = [{"type": "url_citation", "url": "https://example.com"}]
PICTURE = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
SAYS_HI = {"type": "text", "text": "Hi"}
SEARCHES = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}


def way_back(client: str, target: str, head: Headers, *, stream: bool) -> speak.Tap:
    here, there = speak.DIALECTS[client], speak.DIALECTS[target]
    asked = Call(
        id="x", at=0.0, wall=0.0, dialect=client, surface=here.SURFACE, path="/", body=b"{}",
        model="m", stream=stream,
    )  # fmt: skip
    to = Leg(target=Target("p", "m", "none"), dialect=target, surface=there.SURFACE)
    return speak.tap(asked, to, 200, head)


def generated(*parts: object, **more: object) -> dict[str, object]:
    content = {"role": "model", "parts": parts}
    return {"candidates": [{"content": content, "finishReason": "STOP", **more}]}


def blocks_of(*blocks: object) -> dict[str, object]:
    return {"type": "message", "content": blocks, "stop_reason": "end_turn"}


def completed(**more: object) -> dict[str, object]:
    message = {"role": "assistant", "content": "Hi", **more}
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


def responded(*items: object, annotations: Sequence[object] = ()) -> dict[str, object]:
    piece = {"type": "output_text", "text": "Hi", "annotations": annotations}
    message = {"type": "message", "role": "assistant", "content": [piece]}
    return {"id": "r", "status": "completed", "output": [*items, message]}


LOSING = [
    ("anthropic", blocks_of(SAYS_HI), []),
    ("anthropic", blocks_of({**SAYS_HI, "citations": CITES}), ["answer.citations"]),
    ("anthropic", blocks_of(SEARCHES, SAYS_HI), ["answer.server_tools"]),
    ("anthropic", blocks_of({"type": "hologram"}, SAYS_HI), ["answer.unknown"]),
    ("openai", completed(annotations=[]), []),
    ("openai", completed(annotations=CITES), ["answer.citations"]),
    ("openai", completed(audio={"data": "aGk="}), ["answer.files"]),
    ("openai-responses", responded(), []),
    ("openai-responses", responded(annotations=CITES), ["answer.citations"]),
    ("openai-responses", responded({"type": "web_search_call"}), ["answer.server_tools"]),
    ("openai-responses", responded({"type": "image_generation_call"}), ["answer.files"]),
    ("gemini", generated({"text": "Hi"}), []),
    ("gemini", generated({"text": "Hi"}, groundingMetadata={"a": 1}), ["answer.citations"]),
    ("gemini", generated({"executableCode": {"code": "1"}}, {"text": "Hi"}),
     ["answer.server_tools"]),
    ("gemini", generated({"text": "Hi"}, PICTURE), ["answer.files"]),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "said", "lost"), LOSING)
@pytest.mark.parametrize("client", speak.DIALECTS)
def test_what_an_answer_loses_is_named(
    client: str, dialect: str, said: dict[str, object], lost: list[str]
) -> None:
    if client == dialect:
        return
    body = json.dumps(said).encode()
    for stream in (True, False):  # of a target that does not stream
        found = way_back(client, dialect, JSON, stream=stream)
        pieces = pieces_of(found, [body])
        assert b"Hi" in joined(pieces)
        assert [loss.field for loss in found.lost] == lost


def events(*said: dict[str, object]) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(one).encode() for one in said)


def block_of(kind: dict[str, object], delta: dict[str, object]) -> list[dict[str, object]]:
    return [
        {"type": "content_block_start", "index": 0, "content_block": kind},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
    ]


SAYS_NOTHING = {"type": "text", "text": "Hi"}
STREAMING = [
    ("anthropic",
     [*block_of(SEARCHES, {"type": "input_json_delta", "partial_json": "{}"}),
      *block_of(SAYS_NOTHING, {"type": "citations_delta", "citation": {}}),
      {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, {"type": "message_stop"}],
     ["answer.server_tools", "answer.citations"]),
    ("anthropic",
     [*block_of({"type": "hologram"}, {"type": "hologram_delta"}),
      *block_of(SAYS_NOTHING, {"type": "text_delta", "text": "!"}),
      {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, {"type": "message_stop"}],
     ["answer.unknown"]),
    ("openai",
     [{"choices": [{"index": 0, "delta": {"content": "Oh. "}}]},
      {"choices": [{"index": 0, "delta": {"content": "Hi", "annotations": CITES}}]},
      {"choices": [{"index": 0, "delta": {"annotations": CITES}, "finish_reason": "stop"}]}],
     ["answer.citations"]),
    ("openai-responses",
     [{"type": "response.output_item.done", "output_index": 0,
       "item": {"type": "web_search_call"}},
      {"type": "response.output_item.done", "output_index": 1,
       "item": responded(annotations=CITES)["output"][0]},
      {"type": "response.completed", "response": {"status": "completed", "output": []}}],
     ["answer.server_tools", "answer.citations"]),
    ("gemini", [generated({"text": "Hi"}, PICTURE)], ["answer.files"]),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "said", "lost"), STREAMING)
@pytest.mark.parametrize("stream", [True, False])
def test_what_a_stream_loses_is_named(
    dialect: str, said: list[dict[str, object]], lost: list[str], stream: bool
) -> None:
    found = way_back("ollama", dialect, SSE, stream=stream)
    pieces = pieces_of(found, [events(one) for one in said])
    assert b"Hi" in joined(pieces)
    assert pieces[-1].kind is PieceKind.END
    assert [loss.field for loss in found.lost] == lost


HOLOGRAM = [
    *block_of({"type": "hologram"}, {"type": "hologram_delta"}),
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, {"type": "message_stop"},
]  # fmt: skip
ALONE = [
    ("gemini", JSON, json.dumps(generated(PICTURE)).encode()),
    ("gemini", SSE, events(generated(PICTURE))),
    ("anthropic", JSON, json.dumps(blocks_of({"type": "hologram"})).encode()),
    ("anthropic", SSE, events(*HOLOGRAM)),
]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("dialect", "head", "body"), ALONE)
def test_an_answer_that_is_a_picture_alone_is_no_cut_stream(
    stream: bool, dialect: str, head: Headers, body: bytes
) -> None:
    pieces = pieces_of(way_back("openai", dialect, head, stream=stream), [body])
    assert PieceKind.CONTENT not in [piece.kind for piece in pieces]
    failure = pieces[-1].failure
    assert failure is not None
    assert (failure.kind, failure.where) == ("unshown", "body")
    assert "picture" in failure.text


# --------------------------------------------------------------------- errors


@pytest.mark.parametrize("status", [400, 402, 404, 409, 413, 422, 429, 500, 502, 503, 504])
def test_an_error_of_gemini_repeats_the_status_that_it_goes_with(status: int) -> None:
    _, body = speak.error_reply("gemini", status, "no")
    assert json.loads(body)["error"]["code"] == status
    failure = Failure(kind="status", where="body", status=status, crossed=True)
    sent, _, body = speak.passed_error("gemini", failure, "provider_outage")
    assert json.loads(body)["error"]["code"] == sent == status


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("words", ["", "Well"])
def test_why_a_provider_refused_is_said_where_nothing_else_is(stream: bool, words: str) -> None:
    stop = {"stop_reason": "refusal", "stop_details": {"type": "refusal", "explanation": "Because"}}
    block = {"type": "text", "text": words}
    said = [
        *(block_of(block, {"type": "text_delta", "text": ""}) if words else []),
        {"type": "message_delta", "delta": stop},
        {"type": "message_stop"},
    ]
    found = way_back("openai", "anthropic", SSE, stream=stream)
    told = joined(pieces_of(found, [events(*said)]))
    assert (b'"refusal":"Because"' in told) is not bool(words)
    blocks = [block] if words else []
    whole = json.dumps({"type": "message", "content": blocks, **stop}).encode()
    told = joined(pieces_of(way_back("openai", "anthropic", JSON, stream=stream), [whole]))
    assert (b'"refusal":"Because"' in told) is not bool(words)


@pytest.mark.parametrize(
    ("why", "status"), [("max_tokens", "incomplete"), ("end_turn", "completed")]
)
@pytest.mark.parametrize("stream", [True, False])
def test_the_message_in_which_an_answer_is_cut_off_is_not_whole_either(
    why: str, status: str, stream: bool
) -> None:
    body = json.dumps({**blocks_of(SAYS_HI, SAYS_HI), "stop_reason": why}).encode()
    found = way_back("openai-responses", "anthropic", JSON, stream=stream)
    told = joined(pieces_of(found, [body]))
    last = told.strip().rpartition(b"data: ")[2]
    response = json.loads(last)["response"] if stream else json.loads(last)
    assert response["status"] == status
    assert [item["status"] for item in response["output"]] == ["completed", status]
