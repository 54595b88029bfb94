"""A target of the other dialect: talk, tools and pictures cross both ways; nothing is broken."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from tests.clients import recorded
from tests.clients.sdk import Sdk, majors
from tests.doubles import acts
from tests.doubles.acts import Act
from tests.doubles.provider import Provider
from tests.gateway import Gateway, Upstream, gateway

MODELS = {"anthropic": "claude-haiku-5", "openai": "gpt-5.1"}
# Who is asked first, who of the other dialect next, and who of one's own last.
DOUBLES = {"anthropic": ("alpha", "gamma", "beta"), "openai": ("gamma", "alpha", "delta")}
OTHER = {"anthropic": "openai", "openai": "anthropic"}
SHORT = {"headers_s": 1.0, "content_s": 1.0, "idle_s": 1.0, "whole_s": 1.5}
BREAKS: dict[str, Act] = {
    "end": acts.end(8),
    "reset": acts.cut("words", 8, rst=True),
    "error": acts.error_event(8),
    "utf8": acts.cut("utf8", 8),
    "stall": acts.stall("words", 8),
}
NOTHING = {"type": "object", "properties": {}}
TOOLS = {
    "anthropic": [{"name": "now", "description": "The time", "input_schema": NOTHING}],
    "openai": [
        {
            "type": "function",
            "function": {
                "name": "now",
                "description": "The time",
                "parameters": NOTHING,
            },
        }
    ],
}
CALLED = {
    "anthropic": [("get_weather", {"location": "Zürich", "unit": "☕"})],
    "openai": [("get_weather", {"location": "Zürich"}), ("get_time", {})],
}
IMAGES = {
    "anthropic": {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
    "openai": {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
}
# What the other dialect has no word for.
UNSPEAKABLE = {
    "anthropic": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "document", "source": {"type": "url", "url": "https://example.com"}},
                    {"type": "text", "text": "this?"},
                ],
            }
        ]
    },
    "openai": {"logit_bias": {"50256": -100}},
}
CASES = ["plain", "stream", "tools", "image", "unfit", "alone", *BREAKS]
Get = Callable[[str, bool], Sdk]


@pytest.fixture(scope="module")
def crossing(
    _doubles: dict[str, Provider], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """Three providers of their own for each case and dialect."""
    upstreams, routes = [], []
    for dialect, names in DOUBLES.items():
        for case in CASES:
            targets = []
            for name in names:
                at = _doubles[name]
                own = f"{dialect}_{case}_{name}"
                upstreams.append(Upstream(own, at.dialect, at.url, at.key))
                targets.append(f"{own}/{MODELS[at.dialect]}")
            if case == "alone" or case in BREAKS:
                targets = targets[1:2] if case in BREAKS else targets[:2]
            routes.append((f"{dialect}-{case}", targets))
    with gateway(tmp_path_factory.mktemp("crossing"), upstreams, routes, **SHORT) as running:
        yield running


@pytest.mark.parametrize(("name", "old"), majors())
@pytest.mark.parametrize("do", ["plain", "stream"])
def test_a_stand_in_may_speak_the_other_dialect(
    sdks: Get, doubles: dict[str, Provider], crossing: Gateway, name: str, old: bool, do: str
) -> None:
    """Plain text with a system prompt crosses both ways; the strict double has no objection."""
    first, other, own = (doubles[double] for double in DOUBLES[name])
    first.always(acts.status(529))
    told = sdks(name, old).ask(do, url=crossing.url, model=f"{name}-{do}", usage=True)
    assert (told.error, told.text) == (None, other.text())
    assert told.stop == ("end_turn" if name == "anthropic" else "stop")
    assert told.tokens == 20
    assert (told.served_by or "").endswith(f"{other.name}/{MODELS[OTHER[name]]}")
    assert told.headers["x-holdfast-stand-in"] == "true"
    (call,) = other.calls
    assert call.refused is None
    assert "You count." in call.body.decode()
    assert "数到二十" in json.dumps(call.json, ensure_ascii=False)
    assert not [name for name, _ in call.headers if name.startswith(f"{first.dialect}-")]
    assert not own.calls


@pytest.mark.parametrize("name", DOUBLES)
@pytest.mark.parametrize("case", BREAKS)
def test_a_break_in_the_other_dialect_raises_too(
    sdks: Get, doubles: dict[str, Provider], crossing: Gateway, name: str, case: str
) -> None:
    """A stand-in of the other dialect that breaks off is not ended cleanly by the crossing."""
    other = doubles[DOUBLES[name][1]]
    other.always(BREAKS[case])
    told = sdks(name, False).ask("stream", url=crossing.url, model=f"{name}-{case}")
    assert told.error, "a broken stream was taken for an answer"
    assert told.text == other.text(8)


@pytest.mark.parametrize(("name", "old"), majors())
def test_tools_cross_and_their_calls_come_back_whole(
    sdks: Get, doubles: dict[str, Provider], crossing: Gateway, name: str, old: bool
) -> None:
    """By the SDK's own accumulator, which raises at whatever is not of its grammar."""
    first, other, own = (doubles[double] for double in DOUBLES[name])
    first.always(acts.status(529))
    other.play(acts.recorded(recorded.STREAMS[other.dialect]["tools"]))
    more = {"tools": TOOLS[name]}
    told = sdks(name, old).ask("blocks", url=crossing.url, model=f"{name}-tools", more=more)
    assert told.error is None
    if name == "anthropic":
        calls = [item for item in told.items if item["type"] == "tool_use"]
        found = [(call["name"], call["input"]) for call in calls]
        assert told.stop == "tool_use"
    else:
        functions = [call["function"] for call in told.items[0]["tool_calls"]]
        found = [(call["name"], json.loads(call["arguments"])) for call in functions]
        assert told.stop == "tool_calls"
    assert found == CALLED[other.dialect]
    (call,) = other.calls
    assert call.refused is None
    assert call.json["tools"] == TOOLS[OTHER[name]]
    assert not own.calls


@pytest.mark.parametrize("name", DOUBLES)
def test_thoughts_cross_with_what_they_led_to(
    sdks: Get, doubles: dict[str, Provider], crossing: Gateway, name: str
) -> None:
    first, other, _ = (doubles[double] for double in DOUBLES[name])
    first.always(acts.status(529))
    case = "all" if other.dialect == "anthropic" else "thinking"
    other.play(acts.recorded(recorded.STREAMS[other.dialect][case]))
    more = {"thinking": {"type": "adaptive"}} if name == "anthropic" else {}
    told = sdks(name, False).ask("blocks", url=crossing.url, model=f"{name}-stream", more=more)
    assert told.error is None
    if name == "anthropic":
        assert told.items[0]["type"] == "thinking"
        assert told.items[0]["signature"].startswith("holdfast.")
    else:
        assert told.items[0]["reasoning_content"].startswith("Let me add")


def test_what_a_provider_signed_returns_to_it_with_the_result(
    sdks: Get, doubles: dict[str, Provider], crossing: Gateway
) -> None:
    """A Chat client has no place for a signature; the gateway keeps it from turn to turn."""
    first, other, _ = (doubles[double] for double in DOUBLES["openai"])
    first.always(acts.status(529))
    other.play(acts.recorded(recorded.STREAMS["anthropic"]["all"]))
    sdk, model = sdks("openai", False), "openai-stream"
    more = {"tools": TOOLS["openai"]}
    told = sdk.ask("blocks", url=crossing.url, model=model, more=more)
    said = {"role": "assistant", "tool_calls": told.items[0]["tool_calls"]}
    result = {
        "role": "tool",
        "tool_call_id": said["tool_calls"][0]["id"],
        "content": "22",
    }
    turns = [{"role": "user", "content": "hot?"}, said, result]
    told = sdk.ask("plain", url=crossing.url, model=model, more={**more, "messages": turns})
    assert told.error is None
    blocks = other.calls[-1].json["messages"][1]["content"]
    assert [block["type"] for block in blocks] == ["thinking", "redacted_thinking", "tool_use"]
    assert blocks[0]["signature"].encode() in recorded.STREAMS["anthropic"]["all"]


def test_what_was_lost_on_the_way_is_told(
    sdks: Get, doubles: dict[str, Provider], crossing: Gateway
) -> None:
    first, _, _ = (doubles[double] for double in DOUBLES["anthropic"])
    first.always(acts.status(529))
    told = sdks("anthropic", False).ask(
        "plain",
        url=crossing.url,
        model="anthropic-plain",
        more={"cache_control": {"type": "ephemeral"}},
    )
    assert told.error is None
    assert told.headers["x-holdfast-lost"] == "cache_control"


@pytest.mark.parametrize("name", DOUBLES)
def test_pictures_cross(
    sdks: Get, doubles: dict[str, Provider], crossing: Gateway, name: str
) -> None:
    first, other, _ = (doubles[double] for double in DOUBLES[name])
    first.always(acts.status(529))
    said = [{"role": "user", "content": [{"type": "text", "text": "this?"}, IMAGES[name]]}]
    told = sdks(name, False).ask(
        "plain", url=crossing.url, model=f"{name}-image", more={"messages": said}
    )
    assert (told.error, told.text) == (None, other.text())
    (call,) = other.calls
    assert call.json["messages"][-1]["content"][1] == IMAGES[OTHER[name]]


@pytest.mark.parametrize("name", DOUBLES)
def test_what_cannot_cross_goes_on_to_the_next(
    sdks: Get, doubles: dict[str, Provider], crossing: Gateway, name: str
) -> None:
    """Nothing reaches the other dialect; the target behind it answers, in each way of asking."""
    first, other, own = (doubles[double] for double in DOUBLES[name])
    first.always(acts.status(529))
    for do in ("plain", "stream"):
        own.seen.clear()
        told = sdks(name, do == "plain").ask(
            do, url=crossing.url, model=f"{name}-unfit", more=UNSPEAKABLE[name]
        )
        assert (told.error, told.text) == (None, own.text())
        assert [call.refused for call in own.calls] == [None]
    assert not other.seen


@pytest.mark.parametrize("name", DOUBLES)
def test_where_nothing_else_is_left_the_first_choices_error_is_told(
    sdks: Get, doubles: dict[str, Provider], crossing: Gateway, name: str
) -> None:
    """The request cannot cross, and there is no other: an error, never half a request."""
    first, other, own = (doubles[double] for double in DOUBLES[name])
    first.always(acts.status(529))
    more = UNSPEAKABLE[name]
    told = sdks(name, False).ask("stream", url=crossing.url, model=f"{name}-alone", more=more)
    assert told.error
    assert (told.status or 0) >= 500
    assert told.seconds < 2
    assert not other.seen
    assert not own.seen
