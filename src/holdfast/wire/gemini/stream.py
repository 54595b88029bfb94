"""The stream of Gemini's dialect, read and written: chunks that are answers in little.

After the documented API: `streamGenerateContent?alt=sse` sends each chunk as an event's data,
without it they are the elements of one JSON array. A chunk says a piece of the candidates' parts,
the last one a finish reason and the usage. There is no terminal event: a stream is whole when it
ends behind the finish reason, and chunks may still come behind that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from holdfast.facts.losses import Lost
from holdfast.facts.outcomes import Failure, FailureKind, PieceKind, Said, Usage, Where
from holdfast.wire.deltas import (
    BlockEnded,
    Delta,
    Fault,
    Odds,
    Of,
    Opened,
    Ping,
    RefusalDelta,
    Stop,
    Stopped,
    TextDelta,
    ThinkingDelta,
    ToolArgsDelta,
    ToolCallBegun,
    UsageSeen,
)
from holdfast.wire.gemini.odds import read_logprobs, written_logprobs
from holdfast.wire.gemini.parts import DIALECT, Signing, thought, unsealed
from holdfast.wire.odds import listed
from holdfast.wire.said import read_said
from holdfast.wire.speech import CITED, FILED, RAN, UNREADABLE, Thinking, ToolCall
from holdfast.wire.sse import SseEvent

DONE = b"[DONE]"  # some relays say it; the end of an array is read as one
STOPS: dict[str, Stop] = {
    "STOP": "end",
    "FINISH_REASON_UNSPECIFIED": "end",
    "MAX_TOKENS": "length",
    "SAFETY": "refusal",
    "RECITATION": "refusal",
    "LANGUAGE": "refusal",
    "BLOCKLIST": "refusal",
    "PROHIBITED_CONTENT": "refusal",
    "SPII": "refusal",
    "IMAGE_SAFETY": "refusal",
    "IMAGE_PROHIBITED_CONTENT": "refusal",
    "IMAGE_RECITATION": "refusal",
    "MODEL_ARMOR": "refusal",
    "OTHER": "refusal",
}
# The model tried to call a tool and failed: nothing that a client could do anything with.
BROKEN = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "MALFORMED_RESPONSE",
        "MISSING_THOUGHT_SIGNATURE",
        "TOO_MANY_TOOL_CALLS",
        "UNEXPECTED_TOOL_CALL",
    }
)
STOP_NAMES: dict[Stop, str] = {
    "end": "STOP",
    "length": "MAX_TOKENS",
    "stop_sequence": "STOP",
    "refusal": "SAFETY",
    "tool_calls": "STOP",
    "pause": "STOP",
}
_ABSENT = Raw()  # the very one, where a field is not there
_NOTHING = (b"", b"null", b"{}", b"[]", b'""')


class UsageFields(Struct, rename="camel"):
    """Usage as this dialect writes it; the prompt includes what a cache gave, the candidates do
    not include the thoughts.
    """

    prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None


class FunctionCall(Struct):
    name: str | None = None
    id: str | None = None
    args: Raw = Raw()


class PartFields(Struct, rename="camel"):
    """A part of an answer in the shapes that can be carried."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: FunctionCall | None = None
    inline_data: Raw = _ABSENT
    file_data: Raw = _ABSENT
    executable_code: Raw = _ABSENT
    code_execution_result: Raw = _ABSENT


class Content(Struct):
    parts: list[PartFields] | None = None


class CandidateFields(Struct, rename="camel"):
    """One of the answers, or a piece of it."""

    content: Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    index: int | None = None
    logprobs_result: Raw = _ABSENT
    grounding_metadata: Raw = _ABSENT
    citation_metadata: Raw = _ABSENT
    url_context_metadata: Raw = _ABSENT


def losses(candidate: CandidateFields) -> Iterator[Lost]:
    """What of it nobody else has a place for."""
    for part in (candidate.content and candidate.content.parts) or ():
        if _any(part.inline_data, part.file_data):
            yield FILED
        if _any(part.executable_code, part.code_execution_result):
            yield RAN
    if _any(
        candidate.grounding_metadata,
        candidate.citation_metadata,
        candidate.url_context_metadata,
    ):
        yield CITED


def _any(*values: Raw) -> bool:
    there = [value for value in values if value is not _ABSENT]  # nearly always none
    return bool(there) and any(bytes(value) not in _NOTHING for value in there)


class Feedback(Struct, rename="camel"):
    block_reason: str | None = None
    block_reason_message: str | None = None


class Reply(Struct, rename="camel"):
    """A whole answer, or a chunk of a stream: the same thing here."""

    candidates: list[CandidateFields] | None = None
    prompt_feedback: Feedback | None = None
    usage_metadata: Raw = Raw()
    model_version: str | None = None
    response_id: str | None = None
    error: Raw = Raw()


class _Seen(Struct, rename="camel"):
    index: int | None = None
    finish_reason: str | None = None
    content: Raw = Raw()


class _Passing(Struct, rename="camel"):
    """A chunk as far as passing it needs."""

    candidates: list[_Seen] | None = None
    prompt_feedback: Feedback | None = None
    usage_metadata: Raw = Raw()
    error: Raw = Raw()


class _Parts(Struct):
    parts: list[dict[str, Raw]] | None = None


decode_reply = msgspec.json.Decoder(Reply).decode
_decode_passing = msgspec.json.Decoder(_Passing).decode
_decode_parts = msgspec.json.Decoder(_Parts).decode
_decode_usage = msgspec.json.Decoder(UsageFields).decode
_encode = msgspec.json.encode


def read_usage(raw: Raw) -> Usage:
    """Cached tokens are counted within the prompt here, thoughts beside the answer."""
    try:
        found = _decode_usage(raw)
    except UNREADABLE:
        return Usage()
    cached = found.cached_content_token_count
    fresh, output = found.prompt_token_count, found.candidates_token_count
    if fresh is not None:
        fresh = max(0, fresh + (found.tool_use_prompt_token_count or 0) - (cached or 0))
    thought = found.thoughts_token_count or None
    if thought:
        output = (output or 0) + thought
    return Usage(input=fresh, output=output, cache_read=cached, thought=thought)


def usage_body(usage: Usage) -> dict[str, int]:
    """Usage as this dialect writes it."""
    cached = usage.cache_read or 0
    prompt = (usage.input or 0) + cached + (usage.cache_write or 0)
    output = usage.output or 0
    thought = min(usage.thought or 0, output)
    counts = {"promptTokenCount": prompt, "candidatesTokenCount": output - thought}
    if thought:
        counts["thoughtsTokenCount"] = thought
    if cached:
        counts["cachedContentTokenCount"] = cached
    return counts | {"totalTokenCount": prompt + output}


def stop_of(reason: str) -> Stop:
    """What a finish reason means; those of later days are taken for an end."""
    return STOPS.get(reason, "end")


def _failure(kind: FailureKind, text: str, *, spoke: bool, said: Said | None = None) -> Failure:
    where: Where = "in_stream" if spoke else "body"
    return Failure(kind=kind, where=where, text=text, said=said or Said())


def _said_error(data: bytes, *, spoke: bool) -> Failure:
    words = read_said(data)
    if not words.message and not words.type:
        words = Said(message=data[:500].decode("utf-8", "replace"))
    text = f"the stream says {words.type or words.code or 'error'}: {words.message}"[:500]
    return _failure("error_event", text, spoke=spoke, said=words)


class StreamReader:
    """Reads a stream that passes. It is whole when each candidate that was begun has its finish
    reason, or the prompt was blocked.
    """

    __slots__ = ("_begun", "_finished", "failure", "missing", "spoke", "usage")

    def __init__(self) -> None:
        self.usage = Usage()
        self.spoke = False
        self.missing = b""
        self.failure: Failure | None = None
        self._begun: set[int | None] = set()
        self._finished: set[int | None] = set()

    def read(self, event: SseEvent) -> PieceKind:
        """What this event is. Never raises."""
        data = event.data
        if event.event == b"error":
            return self._error(data)
        if not data:
            return PieceKind.PING
        if data.startswith(DONE):
            return PieceKind.END if self.stopped else self._cut()
        try:
            chunk = _decode_passing(data)
        except UNREADABLE:
            return self._unread(data)
        if bytes(chunk.error) not in _NOTHING:
            return self._error(data)
        if bytes(chunk.usage_metadata) not in _NOTHING:
            self.usage = read_usage(chunk.usage_metadata)
        if chunk.prompt_feedback is not None and chunk.prompt_feedback.block_reason:
            self._begun.add(None)
            self._finished.add(None)
        for candidate in chunk.candidates or ():
            self._begun.add(candidate.index or 0)
            if candidate.finish_reason:
                self._finished.add(candidate.index or 0)
            self.spoke = self.spoke or _speaks(candidate.content)
        return PieceKind.CONTENT if self.spoke else PieceKind.OPENING

    @property
    def stopped(self) -> bool:
        return bool(self._finished) and self._begun == self._finished

    def _cut(self) -> PieceKind:
        kind: FailureKind = "truncated" if self.spoke else "empty"
        text = "the answer ended without a finish reason"
        self.failure = _failure(kind, text, spoke=self.spoke)
        return PieceKind.FAULT

    def _unread(self, data: bytes) -> PieceKind:
        if read_said(data) != Said():
            return self._error(data)
        text = "an event of the stream is not of the dialect"
        self.failure = _failure("garbage", text, spoke=self.spoke)
        return PieceKind.FAULT

    def _error(self, data: bytes) -> PieceKind:
        self.failure = _said_error(data, spoke=self.spoke)
        return PieceKind.FAULT

    def flows(self, block: bytes) -> bool:  # noqa: ARG002 - a promise of the protocol
        """Never known at a glance: the last chunk looks like the others."""
        return False

    def closing(self) -> bytes | None:
        """Nothing is added to a stream that is whole."""
        return b"" if self.stopped else None


def _speaks(content: Raw) -> bool:
    """Whether a candidate's content says anything; parts grow fields, so all of them count."""
    try:
        parts = _decode_parts(content).parts or ()
    except UNREADABLE:
        return False
    return any(bytes(value) not in _NOTHING for part in parts for value in part.values())


_PINGS = (Ping(),)


class DeltaReader:
    """Reads a stream that crosses, of one candidate or several."""

    __slots__ = ("_calls", "_model", "_named", "_spoke", "_stop", "_stops", "lost")

    def __init__(self, model: str) -> None:
        self._model = model
        self._named = False
        self._spoke = False
        self._stop: Stop | None = None
        self._stops: dict[int, Stop | None] = {}  # of the other candidates
        self._calls = 0
        self.lost: tuple[Lost, ...] = ()

    def read(self, event: SseEvent) -> Sequence[Delta]:
        """What this event says. Never raises."""
        data = event.data
        if event.event == b"error":
            return (Fault(_said_error(data, spoke=self._spoke)),)
        if not data:
            return _PINGS
        if data.startswith(DONE):
            ends = self.close()
            if not ends:
                kind: FailureKind = "truncated" if self._spoke else "empty"
                return self._fault(kind, "the answer ended without a finish reason")
            return ends
        try:
            chunk = decode_reply(data)
        except UNREADABLE:
            return self._unread(data)
        if bytes(chunk.error) not in _NOTHING:
            return (Fault(_said_error(data, spoke=self._spoke)),)
        return self._chunk(chunk)

    def run(self, block: bytes) -> TextDelta | None:  # noqa: ARG002 - a promise of the protocol
        """Never known at a glance: the provider ends its lines in CRLF."""
        return None

    def _chunk(self, chunk: Reply) -> list[Delta]:
        found: list[Delta] = []
        if not self._named:
            self._named = True
            found.append(Opened(chunk.response_id or "", chunk.model_version or self._model))
        blocked = chunk.prompt_feedback
        if blocked is not None and blocked.block_reason:
            self._stop = "refusal"
            found.append(RefusalDelta(0, blocked.block_reason_message or ""))
        for candidate in chunk.candidates or ():
            told: list[Delta] = []
            if candidate.logprobs_result is not _ABSENT:
                odds = listed(read_logprobs(candidate.logprobs_result))
                told = [Odds(odds)] if odds else []
            for part in (candidate.content and candidate.content.parts) or ():
                self._part(part, told)
            for loss in losses(candidate):
                if loss not in self.lost:
                    self.lost += (loss,)
            reason = candidate.finish_reason
            if reason in BROKEN:
                said = f"{reason}: {candidate.finish_message or ''}"[:300]
                return self._fault("garbage", f"the model's call of a tool is broken: {said}")
            stop = stop_of(reason) if reason else None
            if stop == "refusal":
                told.append(RefusalDelta(0, candidate.finish_message or ""))
            index = candidate.index
            if index:
                self._stops[index] = stop or self._stops.get(index)
                found += [Of(index, delta) for delta in told]
            else:
                self._stop = stop or self._stop
                found += told
        if bytes(chunk.usage_metadata) not in _NOTHING:
            found.append(UsageSeen(read_usage(chunk.usage_metadata)))
        return found

    def _part(self, part: PartFields, found: list[Delta]) -> None:
        text = part.text
        if part.thought and text:
            found.append(ThinkingDelta(0, text, origin=DIALECT))
        if part.thought_signature:
            found += (
                ThinkingDelta(0, one.text, one.signature, one.data, one.origin)
                for one in unsealed(part.thought_signature)
            )
        if text and not part.thought:
            self._spoke = True
            found.append(TextDelta(0, text))
        call = part.function_call
        if call is not None:
            self._spoke = True
            self._calls += 1
            args = bytes(call.args)
            found.append(ToolCallBegun(self._calls, call.id or "", call.name or ""))
            if args not in _NOTHING:
                found.append(ToolArgsDelta(self._calls, args.decode("utf-8", "replace")))
            found.append(BlockEnded(self._calls))

    def _unread(self, data: bytes) -> list[Delta]:
        if read_said(data) != Said():
            return [Fault(_said_error(data, spoke=self._spoke))]
        return self._fault("garbage", "an event of the stream is not of the dialect")

    def _fault(self, kind: FailureKind, text: str) -> list[Delta]:
        return [Fault(_failure(kind, text, spoke=self._spoke))]

    def close(self) -> Sequence[Delta]:
        """A stream that ends behind its finish reason, each candidate's, is whole."""
        if self._stop is None:
            return ()
        ends: list[Delta] = []
        for index, stop in sorted(self._stops.items()):
            if stop is None:
                return ()
            ends.append(Of(index, Stopped(stop)))
        return (*ends, Stopped(self._stop))


class StreamWriter:
    """Writes a stream of events, or one of the elements of an array.

    `choice` is the number of the candidate among several; the first writes the end of them all.
    """

    several = True
    __slots__ = (
        "_array",
        "_before",
        "_behind",
        "_call",
        "_choice",
        "_due",
        "_head",
        "_odds",
        "_opening",
        "_others",
        "_signing",
        "_thought",
        "_usage",
        "_written",
    )

    def __init__(self, *, array: bool = False, choice: int = 0) -> None:
        self._array = array
        self._choice = choice
        self._opening = Opened()
        self._others: dict[int, StreamWriter] = {}
        # Whether there is something before the next chunk: in an array, that is, a comma.
        self._written = bool(choice)
        self._head: dict[str, Any] = {}
        self._before = self._behind = b""  # what stands around the text of a chunk
        self._signing = Signing()
        self._thought: Thinking | None = None  # the thought that is being said
        self._call: list[str] = []  # the call that is being said: its id, its name, its arguments
        self._usage = Usage()
        self._odds = b""  # of the words that come next
        self._due = False  # whether a signature waits for a part

    def write(self, delta: Delta) -> bytes:
        """The chunks that say this delta."""
        if type(delta) is TextDelta and self._written and not (self._due or self._odds):
            return b"%b%b%b" % (self._before, _encode(delta.text), self._behind)
        return _WRITE[type(delta)](self, delta)

    def _framed(self, json: bytes) -> bytes:
        first, self._written = not self._written, True
        if not self._array:
            return b"data: %b\r\n\r\n" % json
        return (b"[%b" if first else b",\r\n%b") % json

    def _signed(self, part: dict[str, Any]) -> bytes:
        """A chunk of this part, with the signature that was due."""
        return self._sent(self._signing.signed(part))

    def _sent(self, part: dict[str, Any]) -> bytes:
        self._due = False
        return self._framed(self._chunk([part]))

    def _chunk(self, parts: list[dict[str, Any]], stop: str | None = None) -> bytes:
        candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}}
        if self._odds:
            candidate |= written_logprobs(b'{"content":%b}' % self._odds)
            self._odds = b""
        if stop is not None:
            candidate["finishReason"] = stop
        last = stop is not None and not self._choice
        counts = {"usageMetadata": usage_body(self._usage)} if last else {}
        index = {"index": self._choice}
        return _encode({"candidates": [{**candidate, **index}], **counts, **self._head})

    def _opened(self, delta: Opened) -> bytes:
        self._opening = delta
        self._head = {"modelVersion": delta.model, "responseId": delta.id or UNNAMED}
        before, _, behind = self._chunk([{"text": ""}]).partition(b'""')
        if self._array:
            self._before, self._behind = b",\r\n" + before, behind
        else:
            self._before, self._behind = b"data: " + before, behind + b"\r\n\r\n"
        return b""

    def _words(self, delta: TextDelta | RefusalDelta) -> bytes:
        if not delta.text:
            return b""
        return self._signed({"text": delta.text})

    def _thinking(self, delta: ThinkingDelta) -> bytes:
        known = self._thought or Thinking()
        self._thought = Thinking(
            known.text + delta.text,
            known.signature + delta.signature,
            known.data + delta.data,
            delta.origin,
        )
        return self._framed(self._chunk([thought(delta.text)])) if delta.text else b""

    def _begun(self, delta: ToolCallBegun) -> bytes:
        self._call = [delta.id, delta.name]
        return b""

    def _args(self, delta: ToolArgsDelta) -> bytes:
        self._call.append(delta.json)
        return b""

    def _ended(self, _: BlockEnded) -> bytes:
        if self._thought is not None:
            self._signing.think(self._thought)
            self._thought, self._due = None, self._signing.due
        if not self._call:
            return b""
        id_, name, *json = self._call
        self._call = []
        return self._sent(self._signing.call(ToolCall(id_, name, "".join(json) or "{}")))

    def _likely(self, delta: Odds) -> bytes:
        self._odds = delta.tokens
        return b""

    def _seen(self, delta: UsageSeen) -> bytes:
        self._usage = delta.usage
        return b""

    def _ping(self, _: Ping) -> bytes:
        """A chunk that says nothing: clients of this dialect know no comments."""
        return self._framed(_encode(self._head))

    def _stopped(self, delta: Stopped) -> bytes:
        last = self._chunk([self._signing.signed({"text": ""})], STOP_NAMES[delta.stop])
        return self._framed(last) + (b"]" if self._array and not self._choice else b"")

    def _of(self, delta: Of) -> bytes:
        """What another candidate says."""
        if delta.choice not in self._others:
            other = StreamWriter(array=self._array, choice=delta.choice)
            self._others[delta.choice] = other
            other.write(self._opening)
        said = self._others[delta.choice].write(delta.delta)
        if said and not self._written:
            self._written = True
            return said.replace(b",\r\n", b"[", 1) if self._array else said
        return said

    def _fault(self, _: Fault) -> bytes:
        return b""


UNNAMED = "holdfast"
# ruff: noqa: SLF001 - the class's own table, outside it because it names its methods
_WRITE: dict[type, Callable[..., bytes]] = {
    Opened: StreamWriter._opened,
    TextDelta: StreamWriter._words,
    RefusalDelta: StreamWriter._words,
    ThinkingDelta: StreamWriter._thinking,
    ToolCallBegun: StreamWriter._begun,
    ToolArgsDelta: StreamWriter._args,
    BlockEnded: StreamWriter._ended,
    Odds: StreamWriter._likely,
    UsageSeen: StreamWriter._seen,
    Ping: StreamWriter._ping,
    Stopped: StreamWriter._stopped,
    Of: StreamWriter._of,
    Fault: StreamWriter._fault,
}
