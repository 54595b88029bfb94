"""The stream of OpenAI Chat Completions, read and written, as many providers and engines speak it.

After the documented API: chunks with `choices[].delta`, a finish reason in the last of them, usage
in a chunk of its own where it was asked for, `data: [DONE]` at the end. A finish reason without
`[DONE]` is a whole answer; neither is a cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from holdfast.facts.outcomes import (
    CONTENT,
    END,
    FAULT,
    OPENING,
    PING,
    Failure,
    FailureKind,
    PieceKind,
    Said,
    Usage,
    Where,
)
from holdfast.wire.said import read_said
from holdfast.wire.speech import UNREADABLE, CannotCrossError, Stop
from holdfast.wire.sse import SseEvent

DONE = b"[DONE]"
LAST = b"data: [DONE]\n\n"
UNNAMED = "chatcmpl-holdfast"
STOPS: dict[str, Stop] = {
    "stop": "end",
    "length": "length",
    "content_filter": "refusal",
    "insufficient_system_resource": "length",  # one provider's word for: cut for want of machines
}
STOP_NAMES: dict[Stop, str] = {
    "end": "stop",
    "length": "length",
    "stop_sequence": "stop",
    "refusal": "content_filter",
}


class _Details(Struct):
    cached_tokens: int | None = None


class UsageFields(Struct):
    """Usage as this dialect writes it; the prompt includes what a cache gave."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class Words(Struct):
    """What a delta or a message says, as far as it can cross."""

    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[Raw] | None = None
    function_call: Raw = Raw()


class _Choice(Struct):
    index: int | None = 0
    finish_reason: str | None = None
    delta: Raw = Raw()


class _Chunk(Struct):
    choices: list[_Choice] | None = None
    usage: Raw = Raw()
    error: Raw = Raw()
    object: Any = None


class _Names(Struct):
    id: str | None = None
    model: str | None = None


class _Spoken(Struct):
    index: int | None = 0
    delta: Words | None = None
    finish_reason: str | None = None


class _Speech(Struct):
    choices: list[_Spoken] | None = None


class _FlowingChoice(Struct, gc=False):
    index: Literal[0]
    finish_reason: None = None


class _Flowing(Struct, gc=False):
    """Nearly every chunk of an answer; none with an end, usage or an error is read as one."""

    choices: list[_FlowingChoice]
    usage: None = None
    error: None = None


_decode = msgspec.json.Decoder(_Chunk).decode
_decode_flowing = msgspec.json.Decoder(_Flowing).decode_lines
_decode_names = msgspec.json.Decoder(_Names).decode
_decode_delta = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_speech = msgspec.json.Decoder(_Speech).decode
_decode_usage = msgspec.json.Decoder(UsageFields).decode
_encode = msgspec.json.encode
_NOTHING = (b"", b'""', b"null", b"[]", b"{}")


def read_usage(raw: Raw) -> Usage:
    """Cached tokens are counted within the prompt here; the facts keep them beside it."""
    try:
        found = _decode_usage(raw)
    except UNREADABLE:
        return Usage()
    details = found.prompt_tokens_details
    cached = details.cached_tokens if details is not None else None
    fresh = found.prompt_tokens
    if fresh is not None and cached:
        fresh = max(0, fresh - cached)
    return Usage(input=fresh, output=found.completion_tokens, cache_read=cached)


def usage_body(usage: Usage) -> dict[str, Any]:
    """Usage as this dialect writes it."""
    cached = usage.cache_read or 0
    prompt = (usage.input or 0) + cached + (usage.cache_write or 0)
    output = usage.output or 0
    return {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def _speaks(delta: Raw) -> bool:
    """Whether a delta says anything at all; providers add fields, so all but the role count."""
    try:
        fields = _decode_delta(delta)
    except UNREADABLE:
        return False
    return any(name != "role" and bytes(value) not in _NOTHING for name, value in fields.items())


class StreamReader:
    """Reads a stream of chat chunks.

    The stream is whole when each choice that was begun has its finish reason.
    """

    __slots__ = (
        "_begun",
        "_finished",
        "_named",
        "failure",
        "id",
        "missing",
        "model",
        "spoke",
        "stop",
        "usage",
    )

    def __init__(self, model: str) -> None:
        self.usage = Usage()
        self.stop: Stop | None = None
        self.id = ""
        self.model = model
        self.spoke = False
        self.missing = b""
        self.failure: Failure | None = None
        self._named = False
        self._begun: set[int | None] = set()
        self._finished: set[int | None] = set()

    def read(self, event: SseEvent) -> PieceKind:
        """What this event is. Never raises."""
        data = event.data
        if event.event == b"error":
            return self._error(data)
        if not data:
            return PING
        if data.startswith(DONE):
            if self.spoke or self.stop is not None:
                return END
            return self._fault("empty", "the answer ended without a word")
        try:
            chunk = _decode(data)
        except UNREADABLE:
            return self._fault("garbage", "an event of the stream is not of the dialect")
        if bytes(chunk.error) not in _NOTHING or chunk.object == "error":
            return self._error(data)
        if not self._named:
            self._name(data)
        if bytes(chunk.usage) not in _NOTHING:
            self.usage = read_usage(chunk.usage)
        return self._choices(chunk.choices or ())

    def _choices(self, choices: Sequence[_Choice]) -> PieceKind:
        kind = CONTENT if self.spoke else OPENING
        for choice in choices:
            if not self.spoke and _speaks(choice.delta):
                self.spoke = True
                kind = CONTENT
            self._begun.add(choice.index)
            if choice.finish_reason:
                self._finished.add(choice.index)
                self.stop = STOPS.get(choice.finish_reason, "end")
                kind = CONTENT
        return kind

    def _name(self, data: bytes) -> None:
        try:
            names = _decode_names(data)
        except UNREADABLE:
            return
        self._named = bool(names.id)
        self.id = names.id or ""
        self.model = names.model or self.model

    def _error(self, data: bytes) -> PieceKind:
        words = read_said(data)
        if not words.message and not words.type:
            words = Said(message=data[:500].decode("utf-8", "replace"))
        text = f"the stream says {words.type or words.code or 'error'}: {words.message}"[:500]
        return self._fault("error_event", text, words)

    def _fault(self, kind: FailureKind, text: str, words: Said | None = None) -> PieceKind:
        where: Where = "in_stream" if self.spoke else "body"
        self.failure = Failure(kind=kind, where=where, text=text, said=words or Said())
        return FAULT

    def flows(self, block: bytes) -> bool:
        """Whether these whole events are content and nothing else, known after the first content.

        All of them are read in one go: a chunk without the name of its field is a line of JSON.
        No string holds a newline.
        """
        events = block.count(b"\n\n")
        # A line's end within JSON is white space to a decoder, and cuts an event.
        if 0 not in self._begun or block[:7] != b"data: {" or block.count(b"\n") != 2 * events:
            return False
        try:
            found = _decode_flowing(block[6:].replace(b"\n\ndata: {", b"\n{"))
        except UNREADABLE:
            return False
        return len(found) == events

    def text(self, event: SseEvent) -> str | None:
        """The text of a CONTENT event; "" for reasoning, None for what says nothing."""
        try:
            choices = _decode_speech(event.data).choices or ()
        except UNREADABLE:
            raise CannotCrossError("the answer holds more than text") from None
        if any(choice.index for choice in choices):
            raise CannotCrossError("the answer holds several choices, not one")
        if any(choice.finish_reason in ("tool_calls", "function_call") for choice in choices):
            raise CannotCrossError("the answer waits for a tool, which cannot cross yet")
        spoken = [choice.delta for choice in choices if choice.delta is not None]
        return "".join(text_of(words) for words in spoken) if any(map(says, spoken)) else None

    def closing(self) -> bytes | None:
        """`[DONE]`, where every choice that was begun is finished."""
        return LAST if self.stop is not None and self._begun <= self._finished else None


def says(words: Words) -> bool:
    """Whether there is anything in it: words, thoughts or a call."""
    return bool(
        words.content
        or words.refusal
        or words.reasoning_content
        or words.reasoning
        or words.tool_calls
        or bytes(words.function_call) not in _NOTHING
    )


def text_of(words: Words) -> str:
    """The text, a refusal's included; reasoning stays behind. Raises CannotCrossError."""
    if words.tool_calls or bytes(words.function_call) not in _NOTHING:
        raise CannotCrossError("the answer calls a tool, which cannot cross yet")
    return (words.content or "") + (words.refusal or "")


class StreamWriter:
    """Writes a stream of chat chunks."""

    __slots__ = ("_before", "_behind", "_head", "_usage_asked")

    def __init__(self, created: int, *, usage_asked: bool) -> None:
        self._before = self._behind = b""  # what stands around the text of every chunk
        self._head: dict[str, Any] = {
            "id": UNNAMED,
            "object": "chat.completion.chunk",
            "created": created,
            "model": "",
        }
        self._usage_asked = usage_asked

    def _chunk(self, delta: dict[str, Any], stop: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": stop}
        return self._line({"choices": [choice]})

    def _line(self, fields: dict[str, Any]) -> bytes:
        return b"data: " + _encode({**self._head, **fields}) + b"\n\n"

    def opening(self, id_: str, model: str) -> bytes:
        """The role chunk."""
        self._head |= {"id": id_ or UNNAMED, "model": model}
        self._before = b""
        return self._chunk({"role": "assistant", "content": ""})

    def ping(self) -> bytes:
        """A chunk that says nothing: some clients crash on comments."""
        return self._chunk({"content": ""})

    def text(self, text: str) -> bytes:
        """A chunk of text."""
        if not self._before:
            before, _, self._behind = self._chunk({"content": ""}).rpartition(b'""')
            self._before = before
        return b"%b%b%b" % (self._before, _encode(text), self._behind)

    def end(self, stop: Stop, usage: Usage) -> bytes:
        """The finish reason, the usage where it was asked for, and `[DONE]`."""
        last = self._chunk({}, STOP_NAMES[stop])
        if self._usage_asked:
            last += self._line({"choices": [], "usage": usage_body(usage)})
        return last + LAST
