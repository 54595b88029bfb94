"""OpenAI Chat Completions, as many providers and local engines speak it.

After the documented API: chunks with `choices[].delta`, a finish reason in the last of them, usage
in a chunk of its own where it was asked for, `data: [DONE]` at the end. A finish reason without
`[DONE]` is a whole answer; neither is a cut.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from holdfast.facts.calls import Headers
from holdfast.facts.outcomes import Failure, FailureKind, PieceKind, Said, Usage, Where
from holdfast.wire.speech import Answer, Ask, CannotCrossError, Stop, Turn
from holdfast.wire.sse import SseEvent

DIALECT = "openai"
PATH = "/v1/chat/completions"
TEXT_SURFACE = "chat"
EXTRA_HEADERS: Headers = ()
DONE = b"[DONE]"
_BY_STATUS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_STOPS: dict[str, Stop] = {"stop": "end", "length": "length", "content_filter": "refusal"}
_STOP_NAMES: dict[Stop, str] = {
    "end": "stop",
    "length": "length",
    "stop_sequence": "stop",
    "refusal": "content_filter",
}


class _Details(Struct):
    cached_tokens: int | None = None


class _Usage(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class _Words(Struct):
    content: Any = None
    refusal: str | None = None
    tool_calls: Any = None
    function_call: Any = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class _Choice(Struct):
    delta: _Words | None = None
    message: _Words | None = None
    finish_reason: str | None = None


class _Chunk(Struct):
    id: str | None = None
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Chunk).decode
_encode = msgspec.json.encode


def _usage_of(found: _Usage | None) -> Usage:
    """Cached tokens are counted within the prompt here; the facts keep them beside it."""
    if found is None:
        return Usage()
    details = found.prompt_tokens_details
    cached = details.cached_tokens if details is not None else None
    fresh = found.prompt_tokens
    if fresh is not None and cached:
        fresh = max(0, fresh - cached)
    return Usage(input=fresh, output=found.completion_tokens, cache_read=cached)


def _speaks(words: _Words | None) -> bool:
    return words is not None and bool(
        words.content
        or words.tool_calls
        or words.refusal
        or words.reasoning_content
        or words.reasoning
        or words.function_call
    )


class StreamReader:
    """Reads a stream of chat chunks."""

    __slots__ = ("_spoke", "failure", "id", "model", "stop", "usage")

    def __init__(self) -> None:
        self.usage = Usage()
        self.stop: Stop | None = None
        self.id = ""
        self.model = ""
        self.failure: Failure | None = None
        self._spoke = False

    def read(self, event: SseEvent) -> PieceKind:
        data = event.data
        if not data:
            return PieceKind.PING
        if data == DONE:
            if self._spoke or self.stop is not None:
                return PieceKind.END
            return self._fault("empty", "the answer ended without a word")
        try:
            chunk = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self._fault("garbage", "an event of the stream is not of the dialect")
        if chunk.error is not None or event.event == b"error":
            words = said(data)
            text = f"the stream says {words.type or words.code or 'error'}: {words.message}"
            return self._fault("error_event", text, words)
        return self._chunk(chunk)

    def _chunk(self, chunk: _Chunk) -> PieceKind:
        if not self.id:
            self.id, self.model = chunk.id or "", chunk.model or ""
        if chunk.usage is not None:
            self.usage = _usage_of(chunk.usage)
        kind = PieceKind.CONTENT if self._spoke else PieceKind.OPENING
        for choice in chunk.choices or ():
            if _speaks(choice.delta):
                kind = PieceKind.CONTENT
                self._spoke = True
            if choice.finish_reason is not None:
                self.stop = _STOPS.get(choice.finish_reason, "end")
                kind = PieceKind.CONTENT
        return kind

    def _fault(self, kind: FailureKind, text: str, words: Said | None = None) -> PieceKind:
        where: Where = "in_stream" if self._spoke else "body"
        self.failure = Failure(kind=kind, where=where, text=text, said=words or Said())
        return PieceKind.FAULT

    def text(self, event: SseEvent) -> str:
        if not event.data or event.data == DONE:
            return ""
        words = [choice.delta for choice in _decode(event.data).choices or () if choice.delta]
        return "".join(word.content for word in words if isinstance(word.content, str))

    def rescue(self, event: SseEvent) -> bytes:  # noqa: ARG002 - this dialect needs no opening
        return b""

    def closing(self) -> bytes | None:
        return None if self.stop is None else b"data: [DONE]\n\n"


class StreamWriter:
    """Writes a stream of chat chunks."""

    __slots__ = ("_id", "_model", "_usage_asked")

    def __init__(self, *, usage_asked: bool = False) -> None:
        self._id = ""
        self._model = ""
        self._usage_asked = usage_asked

    def _chunk(self, delta: dict[str, Any], stop: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": stop}
        return self._line({"choices": [choice]})

    def _line(self, fields: dict[str, Any]) -> bytes:
        head = {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": 0,
            "model": self._model,
        }
        return b"data: " + _encode({**head, **fields}) + b"\n\n"

    def opening(self, id_: str, model: str) -> bytes:
        self._id, self._model = id_ or "chatcmpl-holdfast", model
        return self._chunk({"role": "assistant", "content": ""})

    def text(self, text: str) -> bytes:
        return self._chunk({"content": text})

    def end(self, stop: Stop, usage: Usage) -> bytes:
        last = self._chunk({}, _STOP_NAMES[stop])
        if self._usage_asked:
            last += self._line({"choices": [], "usage": _usage(usage)})
        return last + b"data: [DONE]\n\n"


def _usage(usage: Usage) -> dict[str, Any]:
    cached = usage.cache_read or 0
    prompt = (usage.input or 0) + cached + (usage.cache_write or 0)
    output = usage.output or 0
    return {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


# ------------------------------------------------------------- whole answers


def read_usage(body: bytes) -> Usage:
    """The usage of a whole answer. Raises msgspec.DecodeError when it is not of the dialect."""
    return _usage_of(_decode(body).usage)


def read_answer(body: bytes) -> Answer:
    """A whole answer of text. Raises msgspec.DecodeError or CannotCrossError."""
    chunk = _decode(body)
    if not chunk.choices or chunk.choices[0].message is None:
        raise CannotCrossError("the answer holds no message")
    choice = chunk.choices[0]
    words = choice.message
    if words is None or words.tool_calls or not isinstance(words.content, str):
        raise CannotCrossError("the answer holds more than text")
    return Answer(
        id=chunk.id or "",
        model=chunk.model or "",
        text=words.content,
        stop=_STOPS.get(choice.finish_reason or "", "end"),
        usage=_usage_of(chunk.usage),
    )


def write_answer(answer: Answer) -> bytes:
    """A whole answer for a Chat client."""
    message = {"role": "assistant", "content": answer.text, "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": _STOP_NAMES[answer.stop]}
    return _encode(
        {
            "id": answer.id or "chatcmpl-holdfast",
            "object": "chat.completion",
            "created": 0,
            "model": answer.model,
            "choices": [{**choice, "logprobs": None}],
            "usage": _usage(answer.usage),
        }
    )


# ------------------------------------------------------------------ requests

# Dropped in crossing, without a change of meaning: book-keeping and service hints.
_DROPPED = {"metadata", "user", "service_tier", "stream_options", "store", "model"}
_SYSTEM = ("system", "developer")


def _text(content: object, where: str) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise CannotCrossError(f"{where} is neither text nor a list of parts")
    parts = []
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else type(part).__name__
        if kind != "text":
            raise CannotCrossError(f"{where} holds a part of type {kind}; only text crosses yet")
        parts.append(str(part.get("text", "")))
    return "".join(parts)


def read_ask(body: bytes) -> Ask:
    """The request in the neutral form. Raises CannotCrossError."""
    fields: dict[str, Any] = msgspec.json.decode(body)
    system: list[str] = []
    turns: list[Turn] = []
    for number, message in enumerate(fields.pop("messages", [])):
        role, where = message.get("role"), f"messages[{number}]"
        if set(message) - {"role", "content", "name"}:
            raise CannotCrossError(f"{where} holds more than text")
        text = _text(message.get("content"), where)
        if role in _SYSTEM and not turns:
            system.append(text)
        elif role == "user":
            turns.append(Turn("user", text))
        elif role == "assistant":
            turns.append(Turn("assistant", text))
        else:
            raise CannotCrossError(f"{where} has the role {role}, which cannot cross here yet")
    if not turns or turns[-1].role != "user":
        raise CannotCrossError("the conversation does not end with the user's words")
    stop = fields.pop("stop", None)
    longest = fields.pop("max_completion_tokens", None)
    older = fields.pop("max_tokens", None)
    ask = Ask(
        system="\n\n".join(system),
        turns=tuple(turns),
        max_tokens=longest or older,
        temperature=fields.pop("temperature", None),
        top_p=fields.pop("top_p", None),
        stop=(stop,) if isinstance(stop, str) else tuple(stop or ()),
        stream=bool(fields.pop("stream", False)),
    )
    if fields.get("n") == 1:
        del fields["n"]
    left = {name for name in fields if name not in _DROPPED and fields[name] not in (None, [])}
    if left:
        raise CannotCrossError(
            f"the request uses {', '.join(sorted(left))}, which cannot cross yet"
        )
    return ask


def write_ask(ask: Ask, model: str) -> bytes:
    """The request for a Chat target."""
    messages = [{"role": turn.role, "content": turn.text} for turn in ask.turns]
    if ask.system:
        messages.insert(0, {"role": "system", "content": ask.system})
    body: dict[str, Any] = {"model": model, "messages": messages}
    if ask.max_tokens is not None:
        body["max_tokens"] = ask.max_tokens
    if ask.temperature is not None:
        body["temperature"] = ask.temperature
    if ask.top_p is not None:
        body["top_p"] = ask.top_p
    if ask.stop:
        body["stop"] = list(ask.stop)
    if ask.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return _encode(body)


# -------------------------------------------------------------------- errors


def error_type(status: int) -> str:
    """The dialect's error type for a status."""
    return _BY_STATUS.get(status, "server_error" if status >= 500 else "invalid_request_error")


def error_body(type_: str, message: str) -> bytes:
    """An error in the dialect's envelope."""
    return _encode({"error": {"message": message, "type": type_, "param": None, "code": None}})


def error_event(type_: str, message: str) -> bytes:
    """An error inside a stream; the SDKs raise on it."""
    return b"data: " + error_body(type_, message) + b"\n\n"


def said(body: bytes) -> Said:
    """Type, code and message of an error, in the many forms of this dialect. Never raises."""
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Said()
    if isinstance(fields, list) and fields:
        fields = fields[0]
    if not isinstance(fields, dict):
        return Said()
    error = fields.get("error", fields.get("detail"))
    if isinstance(error, str):
        return Said(message=error)
    if not isinstance(error, dict):
        return Said(message=str(fields.get("message") or ""))
    kind = error.get("type") or error.get("status") or ""
    return Said(str(kind), str(error.get("code") or ""), str(error.get("message") or ""))


def models_body(ids: list[str]) -> bytes:
    """A list of models as this dialect's clients read it."""
    data = [
        {"id": id_, "object": "model", "created": 0, "owned_by": id_.partition("/")[0]}
        for id_ in ids
    ]
    return _encode({"object": "list", "data": data})
