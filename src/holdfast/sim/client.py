"""Invented clients: what they ask, how they read what they are told, and when they ask again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from holdfast.core.route import TALK
from holdfast.facts.calls import Headers
from holdfast.facts.places import Dialect, Surface
from holdfast.wire.retry_after import retry_after_s

PATHS: dict[tuple[Dialect, Surface], str] = {
    ("anthropic", "messages"): "/v1/messages",
    ("anthropic", "count_tokens"): "/v1/messages/count_tokens",
    ("openai", "chat"): "/v1/chat/completions",
    ("openai", "embeddings"): "/v1/embeddings",
    ("openai-responses", "responses"): "/v1/responses",
    ("ollama", "chat"): "/api/chat",
}
ROLES = ("user", "assistant")
GEMINI: Dialect = "gemini"
# As both official SDKs do: half a second doubled up to 8 s, less up to a quarter.
RETRY_STATUS = frozenset({408, 409, 429})
RETRY_S, RETRY_MAX_S, RETRY_JITTER = 0.5, 8.0, 0.25
RETRY_AFTER_MAX_S = 60.0


class Asking(Struct, frozen=True, kw_only=True):
    """One client that asks once, and perhaps again by itself as the official SDKs do.

    `earlier` are the turns before `words`, user and assistant by turns. It leaves after
    `patience_s` seconds without an end; `retries` is how often it asks again (SDKs: 2), and with
    0 it does not say that it would.
    """

    at_s: float
    model: str
    words: str = "How late is it?"
    dialect: Dialect = "anthropic"
    surface: Surface | None = None
    stream: bool = True
    earlier: tuple[str, ...] = ()
    patience_s: float | None = None
    retries: int = 0
    max_tokens: int = 1000

    @property
    def asked_surface(self) -> Surface:
        """The surface, by the dialect's name for talking where none is given."""
        return self.surface or TALK[self.dialect]

    @property
    def path(self) -> str:
        if self.dialect == GEMINI:
            action = "streamGenerateContent" if self.stream else "generateContent"
            return f"/v1beta/models/{self.model}:{action}"
        return PATHS[self.dialect, self.asked_surface]

    @property
    def query(self) -> str:
        return "alt=sse" if self.dialect == GEMINI and self.stream else ""

    def headers(self, retry: int) -> Headers:
        """What an SDK sends along, on its first try (0) or on a later one."""
        headers: Headers = ((b"content-type", b"application/json"),)
        if self.dialect == "anthropic":
            headers = (*headers, (b"anthropic-version", b"2023-06-01"))
        if self.retries:
            headers = (*headers, (b"x-stainless-retry-count", b"%d" % retry))
        return headers

    def body(self) -> bytes:
        """The request's body."""
        if self.asked_surface == "embeddings":
            return _encode({"model": self.model, "input": self.words})
        said = [(ROLES[n % 2], text) for n, text in enumerate((*self.earlier, self.words))]
        if self.dialect == GEMINI:
            turns = [{"role": GEMINI_ROLES[r], "parts": [{"text": text}]} for r, text in said]
            limit = {"maxOutputTokens": self.max_tokens}
            return _encode({"contents": turns, "generationConfig": limit})
        turns = [{"role": role, "content": text} for role, text in said]
        fields: dict[str, object] = {
            "model": self.model,
            _TURNS.get(self.dialect, "messages"): turns,
        }
        if self.asked_surface != "count_tokens":
            fields["stream"] = self.stream
            fields |= _limit(self.dialect, self.max_tokens)
        return _encode(fields)


_encode = msgspec.json.encode
GEMINI_ROLES = {"user": "user", "assistant": "model"}
_TURNS = {"openai-responses": "input"}


def _limit(dialect: Dialect, tokens: int) -> dict[str, object]:
    """The most tokens of an answer, as this dialect says it."""
    if dialect == "ollama":
        return {"options": {"num_predict": tokens}}
    return {"max_output_tokens" if dialect == "openai-responses" else "max_tokens": tokens}


def retries_in_s(
    status: int, headers: Headers, retry: int, wall: float, dice: Callable[[], float]
) -> float | None:
    """After how many seconds an SDK asks again by itself, None where it does not.

    `retry` counts its retries so far; status 0 stands for a connection without an answer in it
    (a timeout of its own).
    """
    by_name = dict(headers)
    should = by_name.get(b"x-should-retry")
    again = status == 0 or status in RETRY_STATUS or status >= 500
    if should is not None:
        again = should == b"true"
    if not again:
        return None
    said_s = retry_after_s(headers, wall)
    if said_s is not None and 0 < said_s <= RETRY_AFTER_MAX_S:
        return said_s
    wait_s: float = min(RETRY_S * 2.0**retry, RETRY_MAX_S)
    return wait_s * (1 - RETRY_JITTER * dice())


def read(dialect: str, data: bytes, *, stream: bool) -> tuple[str, str]:
    """The text and the error's message that a client finds in these bytes.

    Read as plainly as can be, apart from `wire`: the text of whatever parses, the first error.
    """
    if not stream:
        return _read_whole(dialect, data)
    texts: list[str] = []
    error = ""
    mark = b"{" if dialect == "ollama" else b"data: {"
    for line in data.split(b"\n"):
        if not line.startswith(mark):
            continue
        event = _fields(line[len(mark) - 1 :])
        if event.get("error"):
            error = error or _message(event)
        else:
            texts.append(_STREAMED[dialect](event))
    return "".join(texts), error


def _read_whole(dialect: str, data: bytes) -> tuple[str, str]:
    answer = _fields(data)
    if answer.get("error"):
        return "", _message(answer)
    return _WHOLE[dialect](answer), ""


def _parts(said: object) -> str:
    """The texts of blocks, parts or items of content."""
    blocks = said if isinstance(said, list) else ()
    return "".join(str(block.get("text") or "") for block in blocks if isinstance(block, dict))


def _chat(fields: dict[str, Any], name: str) -> str:
    choices = fields.get("choices") or ()
    return "".join(str(_within(choice, name).get("content") or "") for choice in choices)


def _candidates(fields: dict[str, Any]) -> str:
    said = [_within(one, "content").get("parts") for one in fields.get("candidates") or ()]
    return "".join(map(_parts, said))


def _output(fields: dict[str, Any]) -> str:
    return "".join(_parts(item.get("content")) for item in fields.get("output") or ())


def _spoken(fields: dict[str, Any]) -> str:
    return str(_within(fields, "message").get("content") or "")


def _output_delta(fields: dict[str, Any]) -> str:
    return str(fields["delta"]) if fields.get("type") == "response.output_text.delta" else ""


_STREAMED: dict[str, Callable[[dict[str, Any]], str]] = {
    "anthropic": lambda event: str(_within(event, "delta").get("text", "")),
    "openai": lambda event: _chat(event, "delta"),
    "openai-responses": _output_delta,
    "gemini": _candidates,
    "ollama": _spoken,
}
_WHOLE: dict[str, Callable[[dict[str, Any]], str]] = {
    "anthropic": lambda answer: _parts(answer.get("content")),
    "openai": lambda answer: _chat(answer, "message"),
    "openai-responses": _output,
    "gemini": _candidates,
    "ollama": _spoken,
}


def _fields(data: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


def _within(fields: dict[str, Any], name: str) -> dict[str, Any]:
    found = fields.get(name)
    return found if isinstance(found, dict) else {}


def _message(fields: dict[str, Any]) -> str:
    error = fields["error"]
    return str(error.get("message") or error) if isinstance(error, dict) else str(error)
