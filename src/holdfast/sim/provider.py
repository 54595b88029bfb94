"""An invented provider: one request in, a script out. Pure; time and dice are handed in.

The model's name picks the behaviour (`steady`, `overloaded`, `cut`, …: `faults.MODELS`); any other
model, and `steady`, meets whatever the timeline has in store at that time. The same seed, request
number and time give the same script.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from holdfast.sim import invented
from holdfast.sim.faults import (
    BEHAVIOURS,
    FLAKY,
    FLAKY_SHARE,
    MODELS,
    PASSING,
    Ask,
    Pace,
    good,
    refusal,
)
from holdfast.sim.script import Script
from holdfast.sim.shapes import SHAPES, Asked
from holdfast.sim.timeline import STEADY, TALK, Timeline

SURFACES: dict[str, tuple[str, ...]] = {
    "anthropic": ("messages", "count_tokens", "models"),
    "openai": ("chat", "embeddings", "models"),
    "openai-responses": ("responses", "count_tokens", "models"),
    "gemini": ("generate_content", "count_tokens", "models"),
}
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class SimProvider:
    """One invented provider. It keeps no state: requests are numbered by the caller."""

    __slots__ = ("name", "pace", "seed", "timeline")

    def __init__(
        self,
        seed: int = 0,
        timeline: Timeline = STEADY,
        *,
        name: str = invented.NAME,
        pace: Pace | None = None,
    ) -> None:
        self.seed = seed
        self.timeline = timeline
        self.name = name
        self.pace = pace or Pace()

    def __repr__(self) -> str:
        return f"SimProvider({self.name!r}, seed {self.seed}, {self.timeline.says})"

    def answer(  # noqa: PLR0913 - one request has as many parts
        self,
        at_s: float,
        dialect: str,
        surface: str,
        model: str,
        body: bytes,
        credential: str,
        n: int,
        *,
        stream: bool = False,
    ) -> Script:
        """What request number `n` of this provider gets, at `at_s` on its own time.

        `model` is only looked at where the body names none (it stands in the path then), `stream`
        says that the path asks for one. Never raises: a request that is wrong is answered with the
        dialect's own error.
        """
        shape = SHAPES.get(dialect, SHAPES["openai"])
        fields, wrong = _read(surface, body)
        named = fields.get("model")
        name = named if isinstance(named, str) else model
        heard = invented.listen(fields)
        said, whole = invented.words(heard, self.name)
        options = fields.get("stream_options")
        asked = Asked(
            surface=surface,
            model=name,
            stream=(stream or fields.get("stream") is True) and surface in TALK,
            usage_asked=isinstance(options, dict) and options.get("include_usage") is True,
            tokens_in=heard.tokens_in,
            words=tuple(said),
            whole=whole,
            inputs=_inputs(fields.get("input")),
            n=n,
        )
        ask = Ask(asked, dialect if dialect in SHAPES else "openai", shape, self.pace)
        fault = self._fault(at_s, surface, name, credential, n)
        if fault is not None:
            return BEHAVIOURS[fault].make(ask)
        if surface not in SURFACES.get(dialect, ()):
            return refusal(ask, 404, f"the simulated provider has no {surface} in this dialect")
        wrong = wrong or _missing(dialect, surface, fields)
        return refusal(ask, 400, wrong) if wrong else good(ask)

    def models(self, dialect: str) -> bytes:
        """The body of the list of models in this dialect."""
        return SHAPES.get(dialect, SHAPES["openai"]).models(list(MODELS))

    def _fault(self, at_s: float, surface: str, model: str, credential: str, n: int) -> str | None:
        if model == FLAKY:
            if self._dice(n, "flaky") >= FLAKY_SHARE:
                return None
            return PASSING[int(self._dice(n, "which") * len(PASSING))]
        if model in BEHAVIOURS and model != "steady":
            return model
        return self.timeline.fault(at_s, surface, model, credential, self._dice(n, "timeline"))

    def _dice(self, n: int, why: str) -> float:
        """Uniform in [0, 1), the same for the same request and reason."""
        data = f"{self.seed}|{self.name}|{n}|{why}".encode()
        return int.from_bytes(hashlib.blake2b(data, digest_size=6).digest(), "big") / 2**48


def _read(surface: str, body: bytes) -> tuple[dict[str, Any], str]:
    if surface == "models":
        return {}, ""
    try:
        return _decode(body), ""
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return {}, f"the body is not a JSON object: {error}"


def _inputs(given: object) -> tuple[str, ...]:
    if isinstance(given, str):
        return (given,)
    return tuple(str(text) for text in given) if isinstance(given, list) else ()


def _unsaid(fields: dict[str, Any]) -> str:
    """The same for a request whose model stands in the path."""
    inner = fields.get("generateContentRequest")
    contents = (inner if isinstance(inner, dict) else fields).get("contents")
    return "" if contents else "* GenerateContentRequest.contents: contents is not specified"


def _missing(dialect: str, surface: str, fields: dict[str, Any]) -> str:
    """What the real API would miss, in its own words; "" where it would not."""
    if surface == "models":
        return ""
    if dialect == "gemini":
        return _unsaid(fields)
    if not isinstance(fields.get("model"), str):
        return "model: Field required"
    if surface in ("embeddings", "responses") or (surface == "count_tokens" and "input" in fields):
        return "" if fields.get("input") else "input: Field required"
    messages = fields.get("messages")
    if not isinstance(messages, list) or not messages:
        return "messages: at least one message is required"
    tokens = fields.get("max_tokens")
    if surface == "messages" and (not isinstance(tokens, int) or tokens < 1):
        return "max_tokens: Field required"
    return ""
