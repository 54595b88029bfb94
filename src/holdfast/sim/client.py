"""Invented clients: what they ask, how they read what they are told, and when they ask again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from holdfast.facts.calls import Headers
from holdfast.facts.places import Dialect, Surface
from holdfast.wire.retry_after import retry_after_s

PATHS: dict[Surface, str] = {
    "messages": "/v1/messages",
    "count_tokens": "/v1/messages/count_tokens",
    "chat": "/v1/chat/completions",
    "embeddings": "/v1/embeddings",
}
ROLES = ("user", "assistant")
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
        return self.surface or ("messages" if self.dialect == "anthropic" else "chat")

    @property
    def path(self) -> str:
        return PATHS[self.asked_surface]

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
        turns = [*self.earlier, self.words]
        fields: dict[str, object] = {
            "model": self.model,
            "messages": [{"role": ROLES[n % 2], "content": text} for n, text in enumerate(turns)],
        }
        if self.asked_surface == "embeddings":
            fields = {"model": self.model, "input": self.words}
        elif self.asked_surface != "count_tokens":
            fields["stream"] = self.stream
            fields["max_tokens"] = self.max_tokens
        return msgspec.json.encode(fields)


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
    for line in data.split(b"\n"):
        if not line.startswith(b"data: {"):
            continue
        event = _fields(line[6:])
        if "error" in event:
            error = error or _message(event)
        elif dialect == "anthropic":
            texts.append(str(_within(event, "delta").get("text", "")))
        else:
            deltas = [_within(choice, "delta") for choice in event.get("choices") or ()]
            texts += [str(delta.get("content") or "") for delta in deltas]
    return "".join(texts), error


def _read_whole(dialect: str, data: bytes) -> tuple[str, str]:
    answer = _fields(data)
    if "error" in answer:
        return "", _message(answer)
    if dialect == "anthropic":
        blocks = answer.get("content") or ()
        return "".join(str(block.get("text", "")) for block in blocks), ""
    choices = answer.get("choices") or ()
    return "".join(str(_within(c, "message").get("content") or "") for c in choices), ""


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
