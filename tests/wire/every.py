"""Recorded streams of all dialects, in one list."""

from __future__ import annotations

from typing import NamedTuple

from tests.wire.gemini import test_stream as test_gemini_stream
from tests.wire.ollama import test_stream as test_ollama_stream
from tests.wire.recorded import ALL
from tests.wire.responses import test_stream as test_responses_stream

from holdfast.facts.calls import Call
from holdfast.facts.flights import Leg
from holdfast.facts.places import Target
from holdfast.wire import speak


class Stream(NamedTuple):
    name: str
    dialect: str
    bytes: bytes


STREAMS = [
    *(Stream(name, one.dialect, one.stream) for name, one in ALL),
    *(
        Stream(f"responses: {name}", "openai-responses", stream)
        for name, stream in test_responses_stream.STREAMS.items()
    ),
    *(
        Stream(f"gemini: {name}", "gemini", test_gemini_stream.as_events(chunks))
        for name, chunks in test_gemini_stream.STREAMS.items()
    ),
    Stream("ollama", "ollama", test_ollama_stream.STREAM),
]


def tap(client: str, target: str, *, local: bool = False, body: bytes = b"{}") -> speak.Tap:
    """A tap of one stream between any two dialects; `local`: from an engine."""
    here, there = speak.DIALECTS[client], speak.DIALECTS[target]
    call = Call(
        id="x", at=0.0, wall=1e9, dialect=client, surface=here.SURFACE, path="/v1/x",
        model="m", stream=True, body=body, query="alt=sse",
    )  # fmt: skip
    leg = Leg(target=Target("p", "m", "none"), dialect=target, surface=there.SURFACE, local=local)
    return speak.tap(call, leg, 200, ((b"content-type", there.STREAM),))
