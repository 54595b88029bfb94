"""The doubles and the engine, asked by the official SDKs without a gateway between.

What the SDKs do here is the yardstick for the gateway: a double that they do not understand, or
that they forgive, would prove nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.clients.sdk import Sdk, majors
from tests.doubles import acts
from tests.doubles.provider import Provider
from tests.engine import Engine

MODELS = {"anthropic": "claude-haiku-5", "openai": "gpt-5.1"}
DOUBLES = {"anthropic": "alpha", "openai": "gamma"}
Get = Callable[[str, bool], Sdk]

every_sdk = pytest.mark.parametrize(
    ("name", "old"), majors(), ids=[f"{n}-{'old' if o else 'new'}" for n, o in majors()]
)


def of(double: Provider) -> dict[str, str]:
    """The task of asking this double directly."""
    return {"url": double.url, "key": double.key, "model": MODELS[double.dialect]}


@every_sdk
def test_the_sdks_read_the_doubles_whole(
    sdks: Get, doubles: dict[str, Provider], name: str, old: bool
) -> None:
    """In one piece, as raw events and through the SDK's own accumulator: the exact text."""
    double, sdk = doubles[DOUBLES[name]], sdks(name, old)
    for do in ("plain", "stream", "helper"):
        told = sdk.ask(do, **of(double))
        assert (told.error, told.text) == (None, double.text())
        assert told.stop in ("end_turn", "stop")
    assert sdk.ask("models", **of(double)).items == list(double.models)
    if name == "anthropic":
        assert (sdk.ask("count", **of(double)).tokens or 0) > 3
    else:
        task = {**of(double), "model": "text-embedding-3-small"}
        assert sdk.ask("embeddings", **task).items == [[0.25, -0.5, 1.0, 2.0]] * 2
    assert not [seen.refused for seen in double.seen if seen.refused]


@every_sdk
def test_the_sdks_take_a_mere_end_for_an_answer(
    sdks: Get, doubles: dict[str, Provider], name: str, old: bool
) -> None:
    """The trap that the gateway must never set: half an answer, no exception."""
    double = doubles[DOUBLES[name]]
    double.play(acts.end(8))
    told = sdks(name, old).ask("stream", **of(double))
    assert (told.error, told.text, told.stop) == (None, double.text(8), None)


@every_sdk
@pytest.mark.parametrize("act", [acts.cut(rst=True), acts.error_event(8)], ids=["rst", "event"])
def test_the_sdks_raise_when_a_stream_breaks(
    sdks: Get, doubles: dict[str, Provider], name: str, old: bool, act: acts.Act
) -> None:
    double = doubles[DOUBLES[name]]
    double.play(act)
    told = sdks(name, old).ask("stream", **of(double))
    assert told.error
    assert told.text == double.text(8)


@every_sdk
def test_the_sdks_read_the_engine(sdks: Get, local: Engine, name: str, old: bool) -> None:
    """llama.cpp speaks both dialects; it says the same each time."""
    sdk, task = sdks(name, old), {"url": local.url, "model": local.model}
    first, again = sdk.ask("plain", **task), sdk.ask("stream", **task)
    assert (first.error, again.error) == (None, None)
    assert first.text
    assert first.text == again.text
