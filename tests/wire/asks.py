"""Requests, answers and streams in the neutral form, such as every dialect can say."""

from __future__ import annotations

import base64
import json

import msgspec
from hypothesis import strategies as st

from holdfast.facts.outcomes import Usage
from holdfast.wire.deltas import (
    BlockEnded,
    Delta,
    Opened,
    Ping,
    RefusalDelta,
    Stop,
    Stopped,
    TextDelta,
    ThinkingDelta,
    ToolArgsDelta,
    ToolCallBegun,
    UsageSeen,
)
from holdfast.wire.speech import (
    Answer,
    Ask,
    Choice,
    Document,
    Form,
    Image,
    Part,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)

TEXT = st.text(min_size=1, max_size=20).filter(str.strip)
TEXTS = TEXT.map(Text)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,29}", fullmatch=True)
IDS = st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True)
BASE64 = st.binary(min_size=1, max_size=9).map(lambda data: base64.b64encode(data).decode())
MEDIA = st.sampled_from(["image/png", "image/jpeg", "image/webp"])
URLS = st.from_regex(r"https://example\.com/[a-z]{1,8}\.png", fullmatch=True)
IMAGES = st.builds(Image, media_type=MEDIA, data=BASE64) | st.builds(Image, url=URLS)
PDF_NAMES = NAMES.map(lambda name: f"{name}.pdf")
PDFS = st.builds(Document, media_type=st.just("application/pdf"), data=BASE64, name=PDF_NAMES)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.text(max_size=6), VALUES, max_size=3).map(
    lambda fields: json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
)
# JSON that keeps its bytes: the spacing and the numbers are nobody's business.
ARGUMENTS = OBJECTS | st.sampled_from(['{"a": 1E2,  "b":0.10}', '{"n":12345678901234567890}'])
# Schemas that every dialect holds to: closed objects, all of whose fields are required.
STRICT = st.lists(NAMES, max_size=3, unique=True).map(
    lambda names: json.dumps(
        {
            "type": "object",
            "properties": {name: {"type": "string"} for name in names},
            "required": names,
            "additionalProperties": False,
        }
    ).encode()
)
TOOLS = st.builds(
    Tool,
    name=NAMES,
    description=st.text(max_size=12),
    schema=OBJECTS.map(lambda text: b'{"type": "object","properties":%b}' % text.encode()),
    strict=st.none() | st.just(False),
) | st.builds(Tool, name=NAMES, schema=STRICT, strict=st.just(True))
SAMPLINGS = st.builds(
    Sampling,
    max_tokens=st.integers(1, 10**6),
    temperature=st.none() | st.floats(0, 1),
    top_p=st.none() | st.floats(0, 1),
    stop=st.lists(TEXT, max_size=4).map(tuple),
    stream=st.booleans(),
)
KINDS = st.sampled_from([{"type": "string"}, {"type": "integer"}, {"enum": ["a", "b"]}])
FORMS = st.builds(
    Form,
    kind=st.just("json_schema"),
    schema=STRICT,
    name=st.just("answer"),
    strict=st.just(True),
)


@st.composite
def spoken(draw: st.DrawFn) -> tuple[Part, ...]:
    """What people say at a time: a text, or texts around what they show."""
    if draw(st.booleans()):
        return (draw(TEXTS),)
    return (draw(TEXTS), draw(IMAGES | PDFS), *draw(st.lists(TEXTS | IMAGES | PDFS, max_size=2)))


@st.composite
def turns(draw: st.DrawFn) -> tuple[Turn, ...]:
    """A conversation, some of its answers calls of tools with their results behind them."""
    found = [Turn("user", draw(spoken()))]
    ids = draw(st.lists(IDS, max_size=5, unique=True))
    for _ in range(draw(st.integers(0, 3))):
        calls = [ToolCall(ids.pop(), draw(NAMES), draw(ARGUMENTS)) for _ in ids[:2]]
        text = [draw(TEXTS)] if not calls or draw(st.booleans()) else []
        found.append(Turn("assistant", (*text, *calls)))
        results = [ToolResult(c.id, draw(st.just(()) | TEXTS.map(lambda t: (t,)))) for c in calls]
        said = draw(spoken()) if not calls or draw(st.booleans()) else ()
        found.append(Turn("user", (*results, *said)))
        if draw(st.integers(0, 3)) == 0:
            found.append(Turn("system", (draw(TEXTS),)))
    return tuple(found)


def choices(tools: list[Tool]) -> st.SearchStrategy[ToolChoice | None]:
    if not tools:
        return st.none()
    parallel = st.none() | st.booleans()
    names = st.sampled_from([tool.name for tool in tools])
    return (
        st.none()
        | st.builds(ToolChoice, st.sampled_from(["auto", "any"]), parallel=parallel)
        | st.just(ToolChoice("none"))
        | st.builds(ToolChoice, st.just("named"), names, parallel)
    )


@st.composite
def asks(draw: st.DrawFn) -> Ask:
    """What every dialect can say."""
    tools = draw(st.lists(TOOLS, max_size=3, unique_by=lambda tool: tool.name))
    return Ask(
        system=tuple(draw(st.lists(TEXTS, max_size=1))),
        turns=draw(turns()),
        tools=tuple(tools),
        tool_choice=draw(choices(tools)),
        sampling=draw(SAMPLINGS),
        form=draw(st.none() | FORMS),
        user=draw(st.just("") | NAMES),
    )


ASKS = asks()


def plain(ask: Ask) -> Ask:
    """The ask without the name of its form, which not all dialects give."""
    if ask.form is None:
        return ask
    return msgspec.structs.replace(ask, form=msgspec.structs.replace(ask.form, name=""))


# -------------------------------------------------------------------- answers

CALLS = st.builds(ToolCall, IDS, NAMES, ARGUMENTS)
USAGES = st.builds(Usage, *[st.integers(0, 10**6)] * 3)


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """Whole answers that every dialect can say: one text at most, then calls."""
    calls = draw(st.lists(CALLS, max_size=3, unique_by=lambda call: call.id))
    said = draw(st.lists(TEXTS, max_size=1))
    stop: Stop = draw(st.sampled_from(["tool_calls"] if calls else ["end", "length", "refusal"]))
    choice = Choice((*said, *calls), stop)
    return Answer(id=draw(NAMES), model=draw(NAMES), choices=(choice,), usage=draw(USAGES))


@st.composite
def streams(draw: st.DrawFn) -> list[Delta]:
    """Whole streams of the neutral grammar, their words in any number of deltas."""
    found: list[Delta] = [Opened(draw(NAMES), draw(NAMES))]
    blocks = draw(st.lists(st.sampled_from(["text", "refusal", "thinking", "call"]), max_size=4))
    for index, kind in enumerate(blocks):
        words = draw(st.lists(st.text(min_size=1, max_size=9), min_size=1, max_size=3))
        if kind == "text":
            found += [TextDelta(index, text) for text in words]
        elif kind == "refusal":
            found += [RefusalDelta(index, text) for text in words]
        elif kind == "thinking":
            origin = draw(st.sampled_from(["anthropic", "openai", "gemini"]))
            found += [ThinkingDelta(index, text, origin=origin) for text in words]
            if draw(st.booleans()):
                found.append(ThinkingDelta(index, signature=draw(NAMES), origin=origin))
        else:
            json_, cut = draw(ARGUMENTS), draw(st.integers(0, 20))
            found.append(ToolCallBegun(index, draw(IDS), draw(NAMES)))
            found += [ToolArgsDelta(index, part) for part in (json_[:cut], json_[cut:]) if part]
        found.append(BlockEnded(index))
        if draw(st.booleans()):
            found.append(draw(st.sampled_from([Ping(), UsageSeen(Usage(input=1))])))
    found.append(UsageSeen(draw(USAGES)))
    called = "call" in blocks
    stops = (
        ["length", "refusal"]
        if "refusal" in blocks
        else ["end", "length", "stop_sequence", "refusal"]
    )
    stops = ["tool_calls"] if called else stops
    found.append(Stopped(draw(st.sampled_from(stops))))
    return found


def in_objects(schema: bytes) -> object:
    """A tool's schema, in which a field that may be anything, or nothing, is said by an object."""
    found = json.loads(schema)
    spelt = {True: {}, False: {"not": {}}}
    fields = found.get("properties") if isinstance(found, dict) else None
    if isinstance(fields, dict):
        each = fields.items()
        found["properties"] = {k: spelt[v] if isinstance(v, bool) else v for k, v in each}
    return found
