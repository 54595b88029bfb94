"""Gemini's `generateContent`: requests, whole answers, errors, after the documented API.

The stream is in `wire.gemini.stream`; what the functions promise, in `speech.Speaking`. A stream
that is an array and not events is `wire.gemini.array`'s.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

import msgspec
from msgspec import Raw, Struct

from holdfast.facts.calls import Headers, Peek
from holdfast.facts.outcomes import Said
from holdfast.wire.gemini import ask as gemini_ask
from holdfast.wire.gemini.odds import read_logprobs, written_logprobs
from holdfast.wire.gemini.parts import Signing, thought, unsealed
from holdfast.wire.gemini.stream import (
    BROKEN,
    STOP_NAMES,
    UNNAMED,
    CandidateFields,
    DeltaReader,
    PartFields,
    StreamReader,
    StreamWriter,
    decode_reply,
    losses,
    read_usage,
    stop_of,
    usage_body,
)
from holdfast.wire.listing import asked_of, limit_of, page
from holdfast.wire.mended import AsItCame
from holdfast.wire.said import read_said
from holdfast.wire.speech import (
    UNREADABLE,
    Answer,
    Ask,
    BadBodyError,
    CannotCrossError,
    Choice,
    Model,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    Whole,
)
from holdfast.wire.sse import SseReader

DIALECT = gemini_ask.DIALECT
VERSION = "/v1beta"
SURFACE = "generate_content"
TURNS = "contents"
STREAM = b"text/event-stream"
HEADERS: Headers = ()
OWN_PREFIXES: tuple[bytes, ...] = (b"x-goog-",)
OVERLOADED = 503
ID_CHARS_MAX = gemini_ask.ID_CHARS_MAX
NAME_CHARS_MAX = gemini_ask.NAME_CHARS_MAX
SIGNS = True
COUNT_PATH = f"{VERSION}/models/{{model}}:countTokens"
MODELS_PATH = f"{VERSION}/models?pageSize=1000"
own = gemini_ask.own
read_ask = gemini_ask.read_ask
write_ask = gemini_ask.write_ask
shows_thoughts = gemini_ask.shows_thoughts
_BY_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
    529: "UNAVAILABLE",
}
_CODES = {name: status for status, name in _BY_STATUS.items()} | {"UNAVAILABLE": 503}


class _Asked(Struct, rename="camel"):
    contents: Raw = Raw()
    content: Raw = Raw()
    requests: Raw = Raw()
    generate_content_request: Raw = Raw()
    messages: Raw = Raw()
    input: Raw = Raw()


_encode = msgspec.json.encode
_decode_asked = msgspec.json.Decoder(_Asked).decode
_replies = msgspec.json.Decoder(list[Raw]).decode


def path(model: str, *, stream: bool) -> str:
    """Where a request for an answer goes, with its query."""
    named = f"{VERSION}/models/{quote(model, safe='')}"
    return f"{named}:streamGenerateContent?alt=sse" if stream else f"{named}:generateContent"


def peek(body: bytes, path: str) -> Peek:
    """What routing needs: the model and whether it streams stand in the path.

    Raises BadBodyError with the field and the remedy, for a body of another dialect too.
    """
    model, _, action = path.partition("/models/")[2].rpartition(":")
    model = unquote(model)
    if not model:
        raise BadBodyError("holdfast: the path names no model; write /v1beta/models/MODEL:ACTION.")
    try:
        asked = _decode_asked(body)
    except RecursionError:
        raise BadBodyError("holdfast: the body nests too deep to be read.") from None
    except UNREADABLE as error:
        raise BadBodyError(
            f"holdfast: the body is not the JSON object that this path takes: {error}."
        ) from None
    known = (asked.contents, asked.content, asked.requests, asked.generate_content_request)
    if not any(bytes(value) for value in known):
        foreign = "messages" if bytes(asked.messages) else "input" if bytes(asked.input) else ""
        hint = f", but `{foreign}`, as other dialects write it" if foreign else ""
        raise BadBodyError(
            f"holdfast: the body has no `contents`{hint}. This path takes Gemini's requests; Chat"
            f" Completions go to /v1/chat/completions, Messages to /v1/messages."
        )
    return Peek(model=model, stream=action == "streamGenerateContent")


class _Said(Struct):
    role: str = ""
    parts: Raw = Raw()


class _Conversation(Struct):
    contents: list[_Said] = []


_decode_conversation = msgspec.json.Decoder(_Conversation).decode


def conversation(body: bytes, *, first_turns: bool = False) -> str:
    """A mark of a *continuing* conversation, as `peek.conversation` makes it. Never raises."""
    try:
        contents = _decode_conversation(body).contents
    except UNREADABLE:
        return ""
    unanswered = len(contents) if first_turns else 0
    first = next((n for n, said in enumerate(contents) if said.role == "model"), unanswered)
    if not first:
        return ""
    digest = hashlib.blake2b(DIALECT.encode(), digest_size=12)
    for said in contents[:first]:
        digest.update(b"\0" + bytes(said.parts))
    return digest.hexdigest()


def as_events(query: str) -> bool:
    """Whether a stream was asked for as events, or as an array."""
    return any(name in ("alt", "$alt") and value == "sse" for name, value in parse_qsl(query))


def frames() -> SseReader:
    """A framer for one stream."""
    return SseReader()


def stream_reader(model: str) -> StreamReader:  # noqa: ARG001 - a promise of the protocol
    """A reader of one stream that passes."""
    return StreamReader()


def event_mender(model: str, created: int) -> AsItCame:  # noqa: ARG001 - a promise of the protocol
    """A mender of one stream that passes from an engine."""
    return AsItCame()


def delta_reader(model: str) -> DeltaReader:
    """A reader of one stream that crosses; `model` is said where the stream names none."""
    return DeltaReader(model)


def stream_writer(asked: bytes, created: int) -> StreamWriter:  # noqa: ARG001 - others need them
    """A writer of one stream."""
    return StreamWriter()


# ------------------------------------------------------------- whole answers


def read_whole(body: bytes) -> Whole:
    """What a whole body is. Raises one of UNREADABLE when it is no JSON object.

    Errors come in an array, too.
    """
    if body.lstrip()[:1] == b"[":
        replies = _replies(body)
        body = bytes(replies[0]) if replies else b"{}"
    found = decode_reply(body)
    blocked = found.prompt_feedback is not None and bool(found.prompt_feedback.block_reason)
    return Whole(
        answer=bool(found.candidates) or blocked,
        error=bytes(found.error) not in (b"", b"null"),
        usage=read_usage(found.usage_metadata),
    )


def read_answer(body: bytes) -> Answer:
    """A whole answer. Raises UNREADABLE or CannotCrossError."""
    found = decode_reply(body)
    choices = [_choice(candidate) for candidate in found.candidates or ()]
    blocked = found.prompt_feedback
    if not choices and blocked is not None and blocked.block_reason:
        words = blocked.block_reason_message
        choices = [Choice((Refusal(words),) if words else (), "refusal")]
    if not choices:
        raise CannotCrossError("the answer holds no candidate")
    return Answer(
        id=found.response_id or "",
        model=found.model_version or "",
        choices=tuple(choices),
        usage=read_usage(found.usage_metadata),
        lost=tuple(dict.fromkeys(loss for one in found.candidates or () for loss in losses(one))),
    )


def _choice(candidate: CandidateFields) -> Choice:
    reason = candidate.finish_reason or "STOP"
    said = candidate.finish_message or ""
    if reason in BROKEN:
        raise CannotCrossError(f"the model's call of a tool is broken: {reason}: {said}"[:300])
    found: list[Part] = []
    for fields in (candidate.content and candidate.content.parts) or ():
        for part in _parts(fields):
            if isinstance(part, Text) and found and isinstance(found[-1], Text):
                found[-1] = Text(found[-1].text + part.text)
            else:
                found.append(part)
    stop = stop_of(reason)
    if stop == "refusal" and said:
        found.append(Refusal(said))
    return Choice(tuple(found), stop, logprobs=read_logprobs(candidate.logprobs_result))


def _parts(part: PartFields) -> Iterator[Part]:
    before = unsealed(part.thought_signature or "")
    if part.thought:
        sign = before[0].signature if before else ""
        yield Thinking(text=part.text or "", signature=sign, origin=DIALECT)
        return
    yield from before
    if part.text:
        yield Text(part.text)
    call = part.function_call
    if call is not None:
        if not call.name:
            raise CannotCrossError("the answer calls a tool without a name")
        args = bytes(call.args).decode()
        yield ToolCall(call.id or "", call.name, "{}" if args in ("", "null") else args)


def write_answer(answer: Answer, created: int) -> bytes:  # noqa: ARG001 - this dialect has no date
    """A whole answer for a client of this dialect."""
    candidates = []
    for number, choice in enumerate(answer.choices):
        candidate: dict[str, Any] = {
            "content": {"parts": _written(choice), "role": "model"},
            "finishReason": STOP_NAMES[choice.stop],
            "index": number,
        }
        if choice.logprobs:
            candidate |= written_logprobs(choice.logprobs)
        candidates.append(candidate)
    return _encode(
        {
            "candidates": candidates,
            "usageMetadata": usage_body(answer.usage),
            "modelVersion": answer.model,
            "responseId": answer.id or UNNAMED,
        }
    )


def _written(choice: Choice) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    signing = Signing()
    for part in choice.parts:
        if isinstance(part, Thinking):
            if part.text:
                parts.append(thought(part.text))
            signing.think(part)
        elif isinstance(part, ToolCall):
            parts.append(signing.call(part))
        elif isinstance(part, Text | Refusal):
            parts.append(signing.signed({"text": part.text}))
        else:
            raise CannotCrossError(f"the answer holds a {type(part).__name__}")
    if signing.due or not parts:
        parts.append(signing.signed({"text": ""}))
    return parts


# ------------------------------------------------------------------ counting


class _Count(Struct, rename="camel"):
    total_tokens: int


def write_count(ask: Ask, model: str) -> bytes:
    """The question how many tokens this is. Raises CannotCrossError."""
    fields: dict[str, Raw] = msgspec.json.decode(write_ask(ask, model).body, type=dict[str, Raw])
    fields.pop("generationConfig", None)
    return _encode({"generateContentRequest": {"model": f"models/{model}", **fields}})


def read_count(body: bytes) -> int:
    """The number in its answer. Raises one of UNREADABLE."""
    return msgspec.json.decode(body, type=_Count).total_tokens


def write_count_answer(tokens: int) -> bytes:
    """The number as this dialect's clients read it."""
    return _encode({"totalTokens": tokens})


# -------------------------------------------------------------------- errors


def error_type(status: int) -> str:
    """The dialect's name for an error of this status."""
    return _BY_STATUS.get(status, "INTERNAL" if status >= 500 else "INVALID_ARGUMENT")


def error_body(type_: str, message: str, code: str = "", status: int = 0) -> bytes:  # noqa: ARG001
    """An error in the dialect's envelope, which repeats the status of HTTP."""
    number = status or _CODES.get(type_, 500)
    return _encode({"error": {"code": number, "message": message, "status": type_}})


def too_long(message: str) -> bytes:
    """The error for a prompt that is too long, in the provider's words."""
    words = "The input token count exceeds the maximum number of tokens allowed"
    return error_body(error_type(400), f"{words}: {message}")


def error_event(type_: str, message: str) -> bytes:
    """An error inside a stream; the SDKs raise on it."""
    return b"data: " + error_body(type_, message) + b"\r\n\r\n"


def said(body: bytes) -> Said:
    """Type, code and message of an error; empty where there is none. Never raises.

    Relays put the whole error, as JSON, into the message of another one.
    """
    found = read_said(body)
    for _ in range(2):
        if not found.message.lstrip().startswith(("{", "[")):
            break
        inner = read_said(found.message.encode(errors="replace"))
        if not inner.message:
            break
        found = inner
    return found


def models_body(models: Sequence[Model], query: str) -> bytes:
    """The part of a list of models that the query asks for. Raises BadBodyError."""
    asked = asked_of(query)
    after = asked.get("pageToken", "")
    part, more = page(models, limit_of(asked, "pageSize"), after=after, name="pageToken")
    listed: dict[str, Any] = {"models": [_model(model) for model in part]}
    if more and part:
        listed["nextPageToken"] = part[-1].id
    return _encode(listed)


def model_body(model: Model) -> bytes:
    """One model as this dialect's clients read it."""
    return _encode(_model(model))


def _model(model: Model) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": f"models/{model.id}",
        "version": "",
        "displayName": model.title or model.id,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    }
    if model.context_tokens is not None:
        told["inputTokenLimit"] = model.context_tokens
    return told
