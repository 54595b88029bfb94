"""Answers of OpenAI Responses: the items that a model says, and the response around them.

Whole answers and the ends of streams hold the same object, so it is read and written here once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from holdfast.facts.losses import Lost
from holdfast.facts.outcomes import Failure, Said, Usage, Where
from holdfast.wire.deltas import Stop
from holdfast.wire.fitting import fitted
from holdfast.wire.freeform import input_of
from holdfast.wire.odds import filled, listed
from holdfast.wire.responses.ask import DIALECT, ID_CHARS_MAX, Own, sealed, thinking_of
from holdfast.wire.said import read_said
from holdfast.wire.speech import (
    CITED,
    FILED,
    RAN,
    UNREADABLE,
    Answer,
    CannotCrossError,
    Choice,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)

_encode = msgspec.json.encode
_NOTHING = (b"", b"null", b"{}", b"[]", b'""')
_CARRIED = ("message", "reasoning", "function_call", "custom_tool_call")

# -------------------------------------------------------------------- reading


class _Details(Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(Struct):
    reasoning_tokens: int | None = None


class _Used(Struct):
    """Usage as this dialect writes it; the input includes what a cache gave and took."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: _Details | None = None
    output_tokens_details: _OutputDetails | None = None


class Piece(Struct):
    """A part of a message, or of what was thought."""

    type: str = ""
    text: str = ""
    refusal: str = ""
    logprobs: Raw = Raw()
    annotations: Raw = Raw()


class Item(Struct):
    """An item of the output in the shapes that can be carried."""

    type: str = ""
    id: str | None = None
    content: list[Piece] | None = None
    summary: list[Piece] | None = None
    encrypted_content: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    input: str | None = None


class _Incomplete(Struct):
    reason: str | None = None


class Response(Struct):
    """The object that an answer is."""

    id: str | None = None
    model: str | None = None
    status: str | None = None
    output: list[Item] | None = None
    usage: Raw = Raw()
    error: Raw = Raw()
    incomplete_details: _Incomplete | None = None


_decode_used = msgspec.json.Decoder(_Used).decode
tokens_of = msgspec.json.Decoder(list[Raw]).decode


def read_usage(raw: Raw) -> Usage:
    """Cached tokens are counted within the input here; the facts keep them beside it."""
    try:
        found = _decode_used(raw)
    except UNREADABLE:
        return Usage()
    details = found.input_tokens_details or _Details()
    fresh = found.input_tokens
    if fresh is not None:
        fresh = max(0, fresh - (details.cached_tokens or 0) - (details.cache_write_tokens or 0))
    written = details.cache_write_tokens or None
    thought = (found.output_tokens_details or _OutputDetails()).reasoning_tokens or None
    return Usage(fresh, found.output_tokens, details.cached_tokens, written, thought)


def is_error(raw: Raw) -> bool:
    """Whether there is anything in a field for an error."""
    return bytes(raw) not in _NOTHING


def failure_of(error: bytes, *, spoke: bool) -> Failure:
    """The failure that an error in a stream is; `error` is the object, or the whole event."""
    words = read_said(error)
    if not words.message and not words.type:
        words = Said(message=error[:500].decode("utf-8", "replace"))
    text = f"the stream says {words.code or words.type or 'error'}: {words.message}"[:500]
    where: Where = "in_stream" if spoke else "body"
    return Failure(kind="error_event", where=where, text=text, said=words)


def parts_of(item: Item) -> list[Part]:
    """What an item says; nothing where it is the provider's own doing. Raises CannotCrossError."""
    kind = item.type
    if kind == "message":
        found = (_words(piece) for piece in item.content or ())
        return [part for part in found if part is not None]
    if kind == "reasoning":
        return thoughts_of(item)
    if kind in ("function_call", "custom_tool_call"):
        if not item.name:
            raise CannotCrossError("the answer calls a tool without a name")
        return [ToolCall(item.call_id or "", item.name, arguments_of(item))]
    return []


def losses(item: Item) -> Iterator[Lost]:
    """What of an item nobody else has a place for."""
    if item.type == "image_generation_call":
        yield FILED
    elif item.type not in _CARRIED:
        yield RAN
    if any(bytes(piece.annotations) not in _NOTHING for piece in item.content or ()):
        yield CITED


def _words(piece: Piece) -> Part | None:
    if piece.type == "refusal":
        return Refusal(piece.refusal) if piece.refusal else None
    return Text(piece.text) if piece.text else None


def thoughts_of(item: Item) -> list[Part]:
    """What a reasoning item holds: one thought, or nothing."""
    text = "\n\n".join(piece.text for piece in item.summary or item.content or ())
    found = thinking_of(text, item.id or "", item.encrypted_content or "")
    return [] if found == Thinking(origin=DIALECT) else [found]


def arguments_of(item: Item) -> str:
    """A call's arguments as the text of a JSON object."""
    if item.type == "custom_tool_call":
        return _encode({"input": item.input or ""}).decode()
    return item.arguments or "{}"


def stop_of(response: Response, parts: Iterable[Part]) -> Stop:
    """Why it stopped."""
    if response.status == "incomplete":
        details = response.incomplete_details
        filtered = details is not None and details.reason == "content_filter"
        return "refusal" if filtered else "length"
    said = list(parts)
    if any(isinstance(part, ToolCall) for part in said):
        return "tool_calls"
    return "refusal" if any(isinstance(part, Refusal) for part in said) else "end"


def answer_of(response: Response) -> Answer:
    """A whole answer. Raises CannotCrossError."""
    if response.output is None:
        raise CannotCrossError("the answer holds no output")
    parts = [part for item in response.output for part in parts_of(item)]
    choice = Choice(tuple(parts), stop_of(response, parts), logprobs=_logprobs(response.output))
    return Answer(
        id=response.id or "",
        model=response.model or "",
        choices=(choice,),
        usage=read_usage(response.usage),
        lost=tuple(dict.fromkeys(loss for item in response.output for loss in losses(item))),
    )


def _logprobs(output: list[Item]) -> bytes:
    """As Chat writes them, which has them in one list."""
    found: list[Raw] = []
    for piece in (piece for item in output for piece in item.content or ()):
        if filled(bytes(piece.logprobs)):
            found += tokens_of(piece.logprobs)
    return _encode({"content": found, "refusal": None}) if found else b""


# -------------------------------------------------------------------- writing


def usage_body(usage: Usage) -> dict[str, Any]:
    """Usage as this dialect writes it."""
    cached, written = usage.cache_read or 0, usage.cache_write or 0
    given, output = (usage.input or 0) + cached + written, usage.output or 0
    return {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": usage.thought or 0},
        "total_tokens": given + output,
    }


class _Asked(Struct):
    """What of a request its answer says again."""

    instructions: Raw = Raw(b"null")
    max_output_tokens: Raw = Raw(b"null")
    max_tool_calls: Raw = Raw(b"null")
    metadata: Raw = Raw(b"{}")
    parallel_tool_calls: Raw = Raw(b"true")
    previous_response_id: Raw = Raw(b"null")
    prompt_cache_key: Raw = Raw(b"null")
    reasoning: Raw = Raw(b'{"effort":null,"summary":null}')
    safety_identifier: Raw = Raw(b"null")
    store: Raw = Raw(b"true")
    temperature: Raw = Raw(b"1.0")
    text: Raw = Raw(b'{"format":{"type":"text"}}')
    tool_choice: Raw = Raw(b'"auto"')
    tools: Raw = Raw(b"[]")
    top_logprobs: Raw = Raw(b"0")
    top_p: Raw = Raw(b"1.0")
    truncation: Raw = Raw(b'"disabled"')
    user: Raw = Raw(b"null")


_decode_asked = msgspec.json.Decoder(_Asked).decode


class Answering:
    """Writes the answer to one request: its items, and the response that holds them.

    Ids are made of the request and the time: engines give the same id twice, and clients keep
    conversations by them.
    """

    __slots__ = ("_asked", "_created", "_names", "_stem", "id", "model")

    def __init__(self, asked: bytes, created: int, names: dict[str, Own]) -> None:
        try:
            self._asked = _decode_asked(asked)
        except UNREADABLE:
            self._asked = _Asked()
        self._created = created
        self._names = names
        self._stem = hashlib.blake2b(b"%d\0" % created + asked, digest_size=16).hexdigest()
        self.id = ""
        self.model = ""

    def open(self, id_: str, model: str) -> None:
        """The answer's own id and model, as far as its provider gave them."""
        seed = f"{self._stem}\0{id_}".encode(errors="replace")
        self._stem = hashlib.blake2b(seed, digest_size=24).hexdigest()
        self.id, self.model = f"resp_{self._stem}", model

    def response(
        self,
        status: str,
        output: list[dict[str, Any]],
        usage: Usage | None = None,
        reason: str | None = None,
    ) -> dict[str, Any]:
        """The whole object."""
        asked = {name: getattr(self._asked, name) for name in _Asked.__struct_fields__}
        return {
            "id": self.id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": {"reason": reason} if reason else None,
            "model": self.model,
            "output": output,
            **asked,
            "service_tier": "default",
            "usage": None if usage is None else usage_body(usage),
        }

    def begun(self, index: int, part: Part) -> dict[str, Any]:
        """An item at this place that has just begun; what the part holds so far is not in it."""
        if isinstance(part, Text | Refusal):
            return self._message(index, "in_progress", [])
        if isinstance(part, Thinking):
            return {"id": self._thought(index, part), "type": "reasoning", "summary": []}
        assert isinstance(part, ToolCall)  # noqa: S101 - what a model says is one of these
        own = self._own(part.name)
        given = {"input": ""} if own.custom else {"arguments": ""}
        return self._call(index, part, own, "in_progress", given)

    def done(self, index: int, part: Part, logprobs: bytes = b"") -> dict[str, Any]:
        """The item at this place, whole. Raises CannotCrossError."""
        if isinstance(part, Text | Refusal):
            return self._message(index, "completed", [piece_of(part, logprobs)])
        if isinstance(part, Thinking):
            _, content = sealed(part)
            summary = [{"type": "summary_text", "text": part.text}] if part.text else []
            item = {"id": self._thought(index, part), "type": "reasoning"}
            return {**item, "summary": summary, "encrypted_content": content or None}
        if not isinstance(part, ToolCall):
            raise CannotCrossError(f"the answer holds a {type(part).__name__}")
        own = self._own(part.name)
        if own.custom:
            return self._call(index, part, own, "completed", {"input": input_of(part.arguments)})
        return self._call(index, part, own, "completed", {"arguments": part.arguments})

    def is_custom(self, name: str) -> bool:
        """Whether the client gave this tool as one whose input is text."""
        return self._own(name).custom

    def _own(self, name: str) -> Own:
        return self._names.get(name) or Own(name)

    def _thought(self, index: int, part: Thinking) -> str:
        """The id of a reasoning item: its own, without which its provider does not take it back."""
        return sealed(part)[0] or f"rs_{self._stem}{index:02x}"

    def _message(self, index: int, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": f"msg_{self._stem}{index:02x}",
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": content,
        }

    def _call(
        self, index: int, call: ToolCall, own: Own, status: str, given: dict[str, str]
    ) -> dict[str, Any]:
        item: dict[str, Any] = {
            "id": f"{'ctc' if own.custom else 'fc'}_{self._stem}{index:02x}",
            "type": "custom_tool_call" if own.custom else "function_call",
            "status": status,
            "call_id": fitted(call.id, ID_CHARS_MAX),
            "name": own.name,
            **given,
        }
        if own.namespace:
            item["namespace"] = own.namespace
        return item


def piece_of(part: Text | Refusal, logprobs: bytes = b"") -> dict[str, Any]:
    """A message's part."""
    if isinstance(part, Refusal):
        return {"type": "refusal", "refusal": part.text}
    probs: Any = Raw(logprobs) if logprobs else []
    return {"type": "output_text", "text": part.text, "annotations": [], "logprobs": probs}


# Behind every event that a stream may hold: an error does not know how many there were.
LAST_NUMBER = 1 << 30


def failed_event(code: str, message: str) -> bytes:
    """The terminal event of a response that failed."""
    response = {
        "id": "resp_holdfast",
        "object": "response",
        "created_at": 0,
        "status": "failed",
        "error": {"code": code, "message": message},
        "incomplete_details": None,
        "model": "",
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": None,
    }
    kind = "response.failed"
    event = {"type": kind, "sequence_number": LAST_NUMBER + 1, "response": response}
    return b"event: response.failed\ndata: %b\n\n" % _encode(event)


def ending(stop: Stop, parts: Iterable[Part]) -> tuple[str, str | None]:
    """A response's status at its end, and why it is incomplete."""
    if stop == "length":
        return "incomplete", "max_output_tokens"
    if stop == "refusal" and not any(isinstance(part, Refusal) for part in parts):
        return "incomplete", "content_filter"
    return "completed", None


def cut(output: Sequence[dict[str, Any]], status: str) -> None:
    """Say of the message in which an incomplete answer ends that it is not whole either."""
    if status == "incomplete" and output and output[-1]["type"] == "message":
        output[-1]["status"] = status


def write_answer(answer: Answer, created: int, asked: bytes, names: dict[str, Own]) -> bytes:
    """A whole answer for a Responses client. Raises CannotCrossError where it is several."""
    if len(answer.choices) != 1:
        raise CannotCrossError(f"the answer holds {len(answer.choices)} choices, not one")
    choice = answer.choices[0]
    answering = Answering(asked, created, names)
    answering.open(answer.id, answer.model)
    probs = listed(choice.logprobs)
    output = []
    for index, part in enumerate(choice.parts):
        mine = probs if isinstance(part, Text) and probs.startswith(b"[") else b""
        output.append(answering.done(index, part, mine))
        probs = b"" if mine else probs
    status, reason = ending(choice.stop, choice.parts)
    cut(output, status)
    return _encode(answering.response(status, output, answer.usage, reason))
