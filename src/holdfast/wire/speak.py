"""The one door of this room: a dialect's name in, its module's words out.

A dialect is one module with the same few functions and a row in `DIALECTS`; none knows another,
and what crosses goes through the neutral form of `wire.speech`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Protocol

import msgspec
from msgspec import Struct

from holdfast.facts.calls import Call, Headers, Peek
from holdfast.facts.flights import Leg
from holdfast.facts.outcomes import Said, Usage
from holdfast.wire import anthropic, openai
from holdfast.wire.headers import client_credential, is_subscription
from holdfast.wire.speech import Answer, Ask, BadBodyError, CannotCrossError
from holdfast.wire.tap import (
    CrossingTap,
    ErrorTap,
    InflatingTap,
    PassingTap,
    Tap,
    UnreadableTap,
    WholeTap,
)

__all__ = [
    "BadBodyError",
    "CannotCrossError",
    "client_credential",
    "compose",
    "conversation",
    "error_event",
    "error_reply",
    "error_type",
    "is_subscription",
    "models_reply",
    "peek",
    "said",
    "tap",
]

DEPTH_MAX = 64
JSON: Headers = ((b"content-type", b"application/json"),)


class Speaking(Protocol):
    """What a dialect module gives."""

    PATH: str
    TEXT_SURFACE: str
    EXTRA_HEADERS: Headers

    @staticmethod
    def read_ask(body: bytes) -> Ask: ...
    @staticmethod
    def write_ask(ask: Ask, model: str) -> bytes: ...
    @staticmethod
    def read_answer(body: bytes) -> Answer: ...
    @staticmethod
    def write_answer(answer: Answer) -> bytes: ...
    @staticmethod
    def read_usage(body: bytes) -> Usage: ...
    @staticmethod
    def said(body: bytes) -> Said: ...
    @staticmethod
    def error_type(status: int) -> str: ...
    @staticmethod
    def error_body(type_: str, message: str) -> bytes: ...
    @staticmethod
    def error_event(type_: str, message: str) -> bytes: ...
    @staticmethod
    def models_body(ids: list[str]) -> bytes: ...


DIALECTS: dict[str, Speaking] = {"anthropic": anthropic, "openai": openai}  # type: ignore[dict-item]  # modules as protocols
_READERS: dict[str, Callable[[], anthropic.StreamReader | openai.StreamReader]] = {
    "anthropic": anthropic.StreamReader,
    "openai": openai.StreamReader,
}


class _Asked(Struct):
    model: msgspec.Raw = msgspec.Raw()
    stream: object = False


_peek = msgspec.json.Decoder(_Asked).decode


def peek(dialect: str, body: bytes) -> Peek:  # noqa: ARG001 - both dialects ask alike
    """What routing needs of a body. Raises BadBodyError with the field and the remedy."""
    if body.count(b"[") + body.count(b"{") > DEPTH_MAX and depth(body) > DEPTH_MAX:
        raise BadBodyError(f"holdfast: the body nests deeper than {DEPTH_MAX} levels.")
    try:
        asked = _peek(body)
        raw = bytes(asked.model)
        model = msgspec.json.decode(raw, type=str) if raw else ""
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadBodyError(
            f"holdfast: the body is not the JSON that this path takes: {error}."
        ) from None
    if not model:
        raise BadBodyError("holdfast: the body names no model; give `model` as a string.")
    if not isinstance(asked.stream, bool | None):
        raise BadBodyError("holdfast: `stream` is neither true nor false.")
    return Peek(model=model, stream=bool(asked.stream))


def depth(body: bytes) -> int:
    """How deep the brackets outside strings nest; one pass, no recursion."""
    deepest = level = 0
    for part in _outside_strings(body):
        for byte in part:
            if byte in b"[{":
                level += 1
                deepest = max(deepest, level)
            elif byte in b"]}":
                level -= 1
    return deepest


def _outside_strings(body: bytes) -> list[bytes]:
    plain = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    return plain.split(b'"')[::2]


_MODEL = re.compile(rb'"model"\s*:\s*("(?:[^"\\]|\\.)*")')


def model_span(body: bytes) -> tuple[int, int] | None:
    """The byte range of the top-level `model` value, quotes included; None where there is none.

    Nearly every body says `"model":` once outside of strings; where it is said again (in a tool's
    schema, say), a slower walk finds the one on the top level.
    """
    found = [match.span(1) for match in _MODEL.finditer(body)]
    if len(found) < 2:
        return found[0] if found else None
    return next((span for span in found if _level(body, span[0]) == 1), None)


def _level(body: bytes, end: int) -> int:
    """How deep the brackets outside strings nest at this place; -1 inside a string."""
    parts = body[:end].replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
    if len(parts) % 2 == 0:
        return -1
    outside = b"".join(parts[::2])
    opened = outside.count(b"{") + outside.count(b"[")
    return opened - outside.count(b"}") - outside.count(b"]")


# ------------------------------------------------------------------ requests


class Outgoing(Struct, frozen=True):
    """A request as one target wants it. `headers` stand in place of the client's own."""

    path: str
    headers: Headers
    body: bytes


def compose(call: Call, leg: Leg) -> Outgoing:
    """The request for this leg: the same bytes, but for the target's own model name, or written
    anew in its dialect. Raises CannotCrossError when it cannot be said there.
    """
    if leg.dialect == call.dialect:
        query = f"?{call.query}" if call.query else ""
        return Outgoing(call.path + query, (), _renamed(call, leg.target.model))
    there = DIALECTS.get(leg.dialect)
    here = DIALECTS.get(call.dialect)
    if here is None or there is None or call.surface != here.TEXT_SURFACE:
        raise CannotCrossError(f"{call.surface} of {call.dialect} cannot be said in {leg.dialect}")
    try:
        body = there.write_ask(here.read_ask(call.body), leg.target.model)
    except (AttributeError, TypeError, ValueError) as error:
        # The client's own dialect will tell it what is wrong; here it is only not portable.
        raise CannotCrossError(f"the request is not of its dialect: {error}") from None
    return Outgoing(there.PATH, (*there.EXTRA_HEADERS, *JSON), body)


def _renamed(call: Call, model: str) -> bytes:
    body = call.body
    if model == call.model or not body:
        return body
    span = model_span(body)
    if span is None:
        return body
    return b"".join((body[: span[0]], msgspec.json.encode(model), body[span[1] :]))


# ------------------------------------------------------------------- answers


def tap(call: Call, leg: Leg, status: int, headers: Headers) -> Tap:
    """The tap that reads this answer and gives pieces in the client's dialect."""
    by_name = dict(headers)
    found = _tap(call, leg, status, headers, by_name.get(b"content-type", b""))
    encoding = by_name.get(b"content-encoding", b"").strip().lower()
    if encoding in (b"", b"identity"):
        return found
    if encoding in (b"gzip", b"x-gzip", b"deflate"):
        return InflatingTap(found, headers)
    return UnreadableTap(
        f"the answer came as {encoding.decode('latin-1')}, which was not asked for"
    )


def _tap(call: Call, leg: Leg, status: int, headers: Headers, kind: bytes) -> Tap:
    there = DIALECTS.get(leg.dialect, DIALECTS["openai"])
    here = DIALECTS.get(call.dialect, DIALECTS["openai"])
    if not 200 <= status < 300:
        return ErrorTap(there, status, headers)
    crosses = leg.dialect != call.dialect
    if call.stream and kind.lower().startswith(b"text/event-stream"):
        reader = _READERS[leg.dialect]()
        if not crosses:
            return PassingTap(reader)
        return CrossingTap(reader, _writer(call))
    if call.stream and crosses:
        return WholeTap(there, status, rewrite=lambda body: body)
    if crosses:
        return WholeTap(
            there, status, rewrite=lambda body: here.write_answer(there.read_answer(body))
        )
    return WholeTap(there, status, strict=call.surface != "batches")


def _writer(call: Call) -> anthropic.StreamWriter | openai.StreamWriter:
    if call.dialect == "anthropic":
        return anthropic.StreamWriter()
    return openai.StreamWriter(usage_asked=b"include_usage" in call.body)


def said(dialect: str, body: bytes) -> Said:
    """An error in the provider's own words. Never raises."""
    return DIALECTS[dialect].said(body)


def error_type(dialect: str, status: int) -> str:
    """The dialect's name for an error of this status."""
    return DIALECTS[dialect].error_type(status)


def error_reply(dialect: str, status: int, message: str) -> tuple[Headers, bytes]:
    """A whole error answer in the client's dialect: headers and body."""
    there = DIALECTS[dialect]
    return JSON, there.error_body(there.error_type(status), message)


def error_event(dialect: str, status: int, message: str) -> bytes:
    """An error inside a stream, in the client's dialect."""
    there = DIALECTS[dialect]
    return there.error_event(there.error_type(status), message)


def models_reply(dialect: str, ids: list[str]) -> bytes:
    """A list of models in the client's dialect."""
    return DIALECTS[dialect].models_body(ids)


class _Spoken(Struct):
    role: str = ""
    content: msgspec.Raw = msgspec.Raw()


class _Conversation(Struct):
    system: msgspec.Raw = msgspec.Raw()
    messages: list[_Spoken] = []


_conversation = msgspec.json.Decoder(_Conversation).decode


def conversation(dialect: str, body: bytes) -> str:
    """A mark of a *continuing* conversation, the same on each of its turns; "" for a first turn.

    Made from what never changes while it goes on: the system prompt and the opening up to the
    first answer.
    """
    try:
        spoken = _conversation(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    digest = hashlib.blake2b(dialect.encode(), digest_size=12)
    for message in spoken.messages:
        if message.role == "assistant":
            return digest.hexdigest()
        digest.update(bytes(message.content))
    return ""
