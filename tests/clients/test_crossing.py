"""A target of the other dialect: plain text crosses both ways, and nothing is sent broken."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
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
TOOLS = {
    "anthropic": [{"name": "now", "description": "The time", "input_schema": {"type": "object"}}],
    "openai": [{"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}],
}
IMAGES = {
    "anthropic": {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
    "openai": {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
}
CASES = ["plain", "stream", "tools", "image", "alone", *BREAKS]
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


@pytest.mark.parametrize("name", DOUBLES)
@pytest.mark.parametrize("case", ["tools", "image"])
def test_what_cannot_cross_goes_on_to_the_next(
    sdks: Get, doubles: dict[str, Provider], crossing: Gateway, name: str, case: str
) -> None:
    """Nothing reaches the other dialect; the target behind it answers, in each way of asking."""
    first, other, own = (doubles[double] for double in DOUBLES[name])
    first.always(acts.status(529))
    said = [{"role": "user", "content": [{"type": "text", "text": "this?"}, IMAGES[name]]}]
    more = {"tools": TOOLS[name]} if case == "tools" else {"messages": said}
    for do in ("plain", "stream"):
        own.seen.clear()
        told = sdks(name, do == "plain").ask(
            do, url=crossing.url, model=f"{name}-{case}", more=more
        )
        assert (told.error, told.text) == (None, own.text())
        assert [call.refused for call in own.calls] == [None]
    assert not other.seen


@pytest.mark.parametrize("name", DOUBLES)
def test_where_nothing_else_is_left_the_first_choices_error_is_told(
    sdks: Get, doubles: dict[str, Provider], crossing: Gateway, name: str
) -> None:
    """The tools cannot cross, and there is no other: an error, never half a request."""
    first, other, own = (doubles[double] for double in DOUBLES[name])
    first.always(acts.status(529))
    more = {"tools": TOOLS[name]}
    told = sdks(name, False).ask("stream", url=crossing.url, model=f"{name}-alone", more=more)
    assert told.error
    assert (told.status or 0) >= 500
    assert told.seconds < 2
    assert not other.seen
    assert not own.seen
