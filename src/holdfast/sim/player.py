"""From an HTTP request's fields to a script: what a listener needs to play an invented provider.

The listener (in `app`, which owns the sockets) hands each request in and plays the steps that come
back on its own clock. Where it shares one address with others it cannot refuse a connection; it
closes it without a byte instead.
"""

from __future__ import annotations

from urllib.parse import unquote

from holdfast.facts.calls import Headers
from holdfast.sim.provider import SimProvider
from holdfast.sim.script import Bytes, End, Head, Script, Step
from holdfast.sim.shapes import MARK

DOORS: dict[tuple[str, str], tuple[str, str]] = {
    ("POST", "/v1/messages"): ("anthropic", "messages"),
    ("POST", "/v1/messages/count_tokens"): ("anthropic", "count_tokens"),
    ("POST", "/v1/chat/completions"): ("openai", "chat"),
    ("POST", "/v1/responses"): ("openai-responses", "responses"),
    ("POST", "/v1/responses/input_tokens"): ("openai-responses", "count_tokens"),
    ("POST", "/v1/embeddings"): ("openai", "embeddings"),
}
MODELS = "/v1/models"
MODELS_BETA = "/v1beta/models"
ACTIONS: dict[str, tuple[str, bool]] = {
    "generateContent": ("generate_content", False),
    "streamGenerateContent": ("generate_content", True),
    "countTokens": ("count_tokens", False),
}


class Player:
    """Numbers the requests of one invented provider and finds out what each asks for."""

    __slots__ = ("asked", "begun_at_s", "provider")

    def __init__(self, provider: SimProvider, begun_at_s: float = 0.0) -> None:
        """`begun_at_s` is the listener's time at which the provider's own time is 0."""
        self.provider = provider
        self.begun_at_s = begun_at_s
        self.asked = 0

    def script(self, now_s: float, method: str, path: str, headers: Headers, body: bytes) -> Script:
        """What happens to this request. `path` without its query; header names in lower case."""
        self.asked += 1
        n = self.asked
        at_s = now_s - self.begun_at_s
        credential = _credential(headers)
        door = DOORS.get((method, path))
        if door is not None:
            return self.provider.answer(at_s, *door, "", body, credential, n)
        dialect = _dialect(path, headers)
        model, _, action = unquote(path.partition("/models/")[2]).rpartition(":")
        if method == "POST" and model and action in ACTIONS:
            surface, stream = ACTIONS[action]
            asked = (at_s, "gemini", surface, model, body, credential, n)
            return self.provider.answer(*asked, stream=stream)
        if method == "GET" and path in (MODELS, MODELS_BETA):
            listed = self.provider.answer(at_s, dialect, "models", "", b"", credential, n)
            return _with_body(listed, self.provider.models(dialect))
        if method == "GET" and path.startswith((f"{MODELS}/", f"{MODELS_BETA}/")):
            model = unquote(path.partition("/models/")[2])
            return self.provider.answer(at_s, dialect, "models", model, b"", credential, n)
        if method in ("GET", "HEAD") and path == "/":
            return (Step(0.0, Head(200, MARK)), Step(0.0, End()))
        return self.provider.answer(at_s, dialect, path, "", b"{}", credential, n)


def _dialect(path: str, headers: Headers) -> str:
    """Whose shapes a client expects where the path does not say."""
    names = {name for name, _ in headers}
    if path.startswith("/v1beta/") or b"x-goog-api-key" in names:
        return "gemini"
    return "anthropic" if b"anthropic-version" in names else "openai"


def _credential(headers: Headers) -> str:
    """The credential as it came: it is only compared with names in a timeline."""
    for name, value in headers:
        if name in (b"x-api-key", b"x-goog-api-key", b"authorization"):
            return value.decode("latin-1").removeprefix("Bearer ")
    return ""


def _with_body(script: Script, body: bytes) -> Script:
    """The same script, its good answer replaced by this one."""
    head = script[0].does if script else None
    if not isinstance(head, Head) or head.status != 200:
        return script
    return tuple(
        Step(step.wait_s, Bytes(body)) if isinstance(step.does, Bytes) else step for step in script
    )
