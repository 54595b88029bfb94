"""The stream of OpenAI Chat Completions, read and written, as many providers and engines speak it.

After the documented API: chunks with `choices[].delta`, a finish reason in the last of them, usage
in a chunk of its own where it was asked for, `data: [DONE]` at the end. A finish reason without
`[DONE]` is a whole answer; neither is a cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from holdfast.facts.losses import Lost
from holdfast.facts.outcomes import (
    CONTENT,
    END,
    OPENING,
    PING,
    Failure,
    FailureKind,
    PieceKind,
    Said,
    Usage,
    Where,
)
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
from holdfast.wire.fitting import fitted
from holdfast.wire.freeform import input_of
from holdfast.wire.odds import listed
from holdfast.wire.openai.ask import DIALECT, ID_CHARS_MAX
from holdfast.wire.said import read_said
from holdfast.wire.speech import CITED, FILED, STRANGE, UNREADABLE
from holdfast.wire.sse import SseEvent

DONE = b"[DONE]"
LAST = b"data: [DONE]\n\n"
UNNAMED = "chatcmpl-holdfast"
STOPS: dict[str, Stop] = {
    "stop": "end",
    "length": "length",
    "content_filter": "refusal",
    "insufficient_system_resource": "length",  # one provider's word for: cut for want of machines
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
}
STOP_NAMES: dict[Stop, str] = {
    "end": "stop",
    "length": "length",
    "stop_sequence": "stop",
    "refusal": "content_filter",
    "tool_calls": "tool_calls",
    "pause": "stop",
}


class _PromptDetails(Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _CompletionDetails(Struct):
    reasoning_tokens: int | None = None


class UsageFields(Struct, gc=False):
    """Usage as this dialect writes it; the prompt includes what a cache gave and took."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


class _Function(Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Piece(Struct):
    """One of the pieces in which Mistral's models that reason say their answer."""

    type: str = ""
    text: str | None = None
    thinking: str | list[_Piece] | None = None


class Words(Struct):
    """What a delta or a message says, in the shapes that can be carried."""

    content: str | list[_Piece] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_Call] | None = None
    function_call: _Function | None = None
    annotations: Raw = Raw()
    audio: Raw = Raw()
    images: Raw = Raw()


def spoken(words: Words) -> tuple[str, str]:
    """The thoughts and the words, in whichever of the shapes they came."""
    thought = words.reasoning_content or words.reasoning or ""
    content = words.content
    if content is None or isinstance(content, str):
        return thought, content or ""
    return thought + _thoughts(content), _texts(content)


def _thoughts(pieces: list[_Piece]) -> str:
    inner = [piece.thinking for piece in pieces if piece.thinking is not None]
    return "".join([one if isinstance(one, str) else _texts(one) for one in inner])


def _texts(pieces: list[_Piece]) -> str:
    return "".join([piece.text for piece in pieces if piece.text is not None])


def losses(words: Words) -> Iterator[Lost]:
    """What stands among the words, or beside them, that nobody else has a place for."""
    pieces = words.content if isinstance(words.content, list) else ()
    kinds = {piece.type for piece in pieces if piece.text is None and piece.thinking is None}
    if bytes(words.annotations) not in _NOTHING or "reference" in kinds:
        yield CITED
    if kinds - {"reference"}:
        yield STRANGE
    if bytes(words.audio) not in _NOTHING or bytes(words.images) not in _NOTHING:
        yield FILED


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
    logprobs: Raw = Raw()


class _Crossing(Struct):
    """A chunk with what it says."""

    choices: list[_Spoken] | None = None
    usage: Raw = Raw()
    error: Raw = Raw()
    object: Any = None


class _FlowingChoice(Struct, gc=False):
    index: Literal[0]
    finish_reason: None = None


class _Flowing(Struct, gc=False):
    """Nearly every chunk of an answer; none with an end, usage or an error is read as one."""

    choices: list[_FlowingChoice]
    usage: None = None
    error: None = None


class _RunningWords(Struct, gc=False):
    content: str
    refusal: Literal[""] | None = None
    reasoning_content: Literal[""] | None = None
    reasoning: Literal[""] | None = None
    tool_calls: None = None
    function_call: None = None


class _RunningChoice(Struct, gc=False):
    delta: _RunningWords
    index: Literal[0] = 0
    finish_reason: None = None
    logprobs: None = None


class _Running(Struct, gc=False):
    """A chunk of words and nothing else."""

    choices: list[_RunningChoice]
    usage: None = None
    error: None = None


_decode_running = msgspec.json.Decoder(_Running).decode_lines
_decode_one = msgspec.json.Decoder(_Running).decode
_decode = msgspec.json.Decoder(_Chunk).decode
_decode_flowing = msgspec.json.Decoder(_Flowing).decode_lines
_decode_names = msgspec.json.Decoder(_Names).decode
_decode_delta = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_crossing = msgspec.json.Decoder(_Crossing).decode
_decode_usage = msgspec.json.Decoder(UsageFields).decode
_encode = msgspec.json.encode
_NOTHING = (b"", b'""', b"null", b"[]", b"{}")


def read_usage(raw: Raw) -> Usage:
    """Cached tokens are counted within the prompt here; the facts keep them beside it."""
    try:
        found = _decode_usage(raw)
    except UNREADABLE:
        return Usage()
    given = found.prompt_tokens_details or _PromptDetails()
    made = found.completion_tokens_details or _CompletionDetails()
    cached, written = given.cached_tokens, given.cache_write_tokens or None
    fresh = found.prompt_tokens
    if fresh is not None:
        fresh = max(0, fresh - (cached or 0) - (written or 0))
    return Usage(fresh, found.completion_tokens, cached, written, made.reasoning_tokens or None)


def usage_body(usage: Usage) -> dict[str, Any]:
    """Usage as this dialect writes it."""
    given = {"cached_tokens": usage.cache_read or 0}
    if usage.cache_write:
        given["cache_write_tokens"] = usage.cache_write
    prompt, output = (usage.input or 0) + sum(given.values()), usage.output or 0
    counts: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": given,
    }
    if usage.thought is not None:
        counts["completion_tokens_details"] = {"reasoning_tokens": usage.thought}
    return counts


def stop_name(stop: Stop, *, refused: bool, older: bool = False) -> str:
    """The finish reason. A refusal in the model's own words is an answer that ends as others do.

    `older`: the client knows functions and no tools.
    """
    if older and stop == "tool_calls":
        return "function_call"
    return "stop" if stop == "refusal" and refused else STOP_NAMES[stop]


def speaks(delta: Raw) -> bool:
    """Whether a delta says anything at all; providers add fields, so all but the role count."""
    try:
        fields = _decode_delta(delta)
    except UNREADABLE:
        return False
    return any(name != "role" and bytes(value) not in _NOTHING for name, value in fields.items())


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
    """Reads a stream of chat chunks that passes.

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

    @property
    def stopped(self) -> bool:
        return self.stop is not None

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
            if not self.spoke and speaks(choice.delta):
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
        self.failure = _said_error(data, spoke=self.spoke)
        return PieceKind.FAULT

    def _fault(self, kind: FailureKind, text: str) -> PieceKind:
        self.failure = _failure(kind, text, spoke=self.spoke)
        return PieceKind.FAULT

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

    def closing(self) -> bytes | None:
        """`[DONE]`, where every choice that was begun is finished."""
        return LAST if self.stop is not None and self._begun <= self._finished else None


_PINGS = (Ping(),)


class DeltaReader:
    """Reads a stream of chat chunks that crosses, of one choice or several.

    Calls have no mark at their end here, and engines mix their pieces: they end with the answer.
    """

    __slots__ = ("_begun", "_model", "_named", "_others", "_spoke", "_stop", "_usage", "lost")

    def __init__(self, model: str) -> None:
        self._model = model
        self._named = False
        self._spoke = False
        self._stop: Stop | None = None
        self._usage = Usage()
        self._begun: set[int] = set()
        self._others: dict[int, DeltaReader] = {}  # readers of the other choices
        self.lost: tuple[Lost, ...] = ()

    def read(self, event: SseEvent) -> Sequence[Delta]:
        """What this event says. Never raises."""
        data = event.data
        if not data.startswith(b"{") or event.event == b"error":
            return self._other(event)
        try:
            chunk = _decode_crossing(data)
        except UNREADABLE:
            return self._unread(data)
        if bytes(chunk.error) not in _NOTHING or chunk.object == "error":
            return (Fault(_said_error(data, spoke=self._spoke)),)
        found: list[Delta] = []
        if not self._named and chunk.choices:
            found.append(self._name(data))
        if bytes(chunk.usage) not in _NOTHING:
            self._usage = read_usage(chunk.usage)
            found.append(UsageSeen(self._usage))
        for choice in chunk.choices or ():
            if choice.index:
                found += self._other_choice(choice.index, choice)
                continue
            self._said(choice, found)
        return found

    def _said(self, choice: _Spoken, found: list[Delta]) -> None:
        odds = listed(bytes(choice.logprobs))
        if odds:
            found.append(Odds(odds))
        if choice.delta is not None:
            self._words(choice.delta, found)
        if choice.finish_reason:
            self._stop = STOPS.get(choice.finish_reason, "end")

    def _other_choice(self, index: int, choice: _Spoken) -> list[Delta]:
        if index not in self._others:
            self._others[index] = DeltaReader(self._model)
        other = self._others[index]
        found: list[Delta] = []
        other._said(choice, found)
        self._spoke = self._spoke or other._spoke
        self.lost = tuple(dict.fromkeys((*self.lost, *other.lost)))
        return [Of(index, delta) for delta in found]

    def _stops(self) -> Sequence[Delta]:
        """The ends of all choices, the first one's last."""
        others = sorted(self._others.items())
        ends = [Of(index, Stopped(other._stop or "end")) for index, other in others]
        return (*ends, Stopped(self._stop or "end"))

    def run(self, block: bytes) -> TextDelta | None:
        """These whole events as one delta, where they are nothing but words."""
        if b'"annotations"' in block:
            return None
        if block.find(b"\n") == len(block) - 2 and block.startswith(b"data: {"):
            try:
                choices = _decode_one(block[6:]).choices
            except UNREADABLE:
                return None
            text = choices[0].delta.content if len(choices) == 1 else ""
            self._spoke = self._spoke or bool(text)
            return TextDelta(0, text) if text else None
        events = block.count(b"\n\n")
        if block[:7] != b"data: {" or block.count(b"\n") != 2 * events:
            return None  # see `StreamReader.flows`
        try:
            found = _decode_running(block[6:].replace(b"\n\ndata: {", b"\n{"))
        except UNREADABLE:
            return None
        if len(found) != events:
            return None
        text = "".join([choice.delta.content for chunk in found for choice in chunk.choices])
        self._spoke = self._spoke or bool(text)
        return TextDelta(0, text)

    def _other(self, event: SseEvent) -> Sequence[Delta]:
        """What is no chunk: an error by its name, a comment, the end."""
        data = event.data
        if event.event == b"error":
            return (Fault(_said_error(data, spoke=self._spoke)),)
        if not data:
            return _PINGS
        if data.startswith(DONE):
            if self._spoke or self._stop is not None:
                return self._stops()
            return self._fault("empty", "the answer ended without a word")
        return self._unread(data)

    def _words(self, words: Words, found: list[Delta]) -> None:
        self.lost += tuple(loss for loss in losses(words) if loss not in self.lost)
        thought, text = spoken(words)
        if thought:
            found.append(ThinkingDelta(0, thought, origin=DIALECT))
        if text:
            self._spoke = True
            found.append(TextDelta(0, text))
        if words.refusal:
            self._spoke = True
            found.append(RefusalDelta(0, words.refusal))
        for number, call in enumerate(words.tool_calls or ()):
            self._spoke = True
            key = number if call.index is None else call.index
            function = call.function or _Function()
            if call.id or function.name or key not in self._begun:
                self._begun.add(key)
                found.append(ToolCallBegun(key, call.id or "", function.name or ""))
            if function.arguments:
                found.append(ToolArgsDelta(key, function.arguments))

    def _unread(self, data: bytes) -> Sequence[Delta]:
        """A chunk of another shape: what it says cannot be carried, unless it is an error."""
        if read_said(data) != Said():
            try:
                if bytes(_decode(data).error) not in _NOTHING:
                    return (Fault(_said_error(data, spoke=self._spoke)),)
            except UNREADABLE:
                pass
        return self._fault("garbage", "an event of the stream is not of the dialect")

    def _name(self, data: bytes) -> Opened:
        try:
            names = _decode_names(data)
        except UNREADABLE:
            return Opened("", self._model)
        self._named = True
        return Opened(names.id or "", names.model or self._model)

    def _fault(self, kind: FailureKind, text: str) -> Sequence[Delta]:
        return (Fault(_failure(kind, text, spoke=self._spoke)),)

    def close(self) -> Sequence[Delta]:
        """A finish reason, of each choice, without `[DONE]` is a whole answer."""
        if any(one._stop is None for one in (self, *self._others.values())):
            return ()
        return self._stops()


class StreamWriter:
    """Writes a stream of chat chunks, with usage where the client asked for it.

    `choice` is the number of the answer among several; the first writes the end of them all.
    `older`: the client knows functions and no tools, and one call an answer. `custom` names its
    tools whose input is text.
    """

    several = True
    __slots__ = (
        "_behind",
        "_calls",
        "_choice",
        "_created",
        "_custom",
        "_given",
        "_head",
        "_odds",
        "_older",
        "_opening",
        "_others",
        "_refused",
        "_texts",
        "_usage",
        "_usage_asked",
    )

    def __init__(
        self,
        created: int,
        *,
        usage_asked: bool,
        choice: int = 0,
        older: bool = False,
        custom: frozenset[str] = frozenset(),
    ) -> None:
        self._choice = choice
        self._custom = custom
        self._given: list[str] | None = None  # of the call under way, where its input is text
        self._older = older
        self._created = created
        self._opening = Opened()
        self._others: dict[int, StreamWriter] = {}
        self._texts: dict[type, bytes] = {}  # what stands before the text of a chunk, by its kind
        self._behind = b""
        self._calls = -1  # the number of the call that was begun last
        self._odds = b""  # of the words that come next
        self._refused = False
        self._head: dict[str, Any] = {
            "id": UNNAMED,
            "object": "chat.completion.chunk",
            "created": created,
            "model": "",
        }
        self._usage = Usage()
        self._usage_asked = usage_asked

    def _chunk(self, delta: dict[str, Any], stop: str | None = None) -> bytes:
        choice: dict[str, Any] = {"index": self._choice, "delta": delta, "finish_reason": stop}
        if self._odds:
            choice["logprobs"] = {"content": Raw(self._odds), "refusal": None}
            self._odds = b""
        return self._line({"choices": [choice]})

    def _line(self, fields: dict[str, Any]) -> bytes:
        return b"data: " + _encode({**self._head, **fields}) + b"\n\n"

    def write(self, delta: Delta) -> bytes:
        """The chunks that say this delta."""
        kind = type(delta)
        if self._odds and isinstance(delta, TextDelta):
            return self._chunk({"content": delta.text})
        before = self._texts.get(kind)
        if before is not None:
            text: str = delta.text  # type: ignore[union-attr]  # whose kinds have words
            return b"%b%b%b" % (before, _encode(text), self._behind) if text else b""
        step = _WRITE.get(kind)
        return step(self, delta) if step is not None else b""

    def _opened(self, delta: Opened) -> bytes:
        """The role chunk."""
        self._opening = delta
        self._head |= {"id": delta.id or UNNAMED, "model": delta.model}
        for kind, name in _TEXT_NAMES.items():
            before, _, self._behind = self._chunk({name: ""}).rpartition(b'""')
            self._texts[kind] = before
        return self._chunk({"role": "assistant", "content": ""})

    def _ping(self, _: Ping) -> bytes:
        """A chunk that says nothing: some clients crash on comments."""
        return self._chunk({"content": ""})

    def _call(self, delta: ToolCallBegun) -> bytes:
        self._calls += 1
        function = {"name": delta.name, "arguments": ""}
        if self._older:
            return self._function(function)
        id_ = fitted(delta.id, ID_CHARS_MAX)
        if delta.name in self._custom:
            self._given = []
            begun = {"name": delta.name, "input": ""}
            call = {"index": self._calls, "id": id_, "type": "custom", "custom": begun}
            return self._chunk({"tool_calls": [call]})
        call = {"index": self._calls, "id": id_, "type": "function", "function": function}
        return self._chunk({"tool_calls": [call]})

    def _function(self, function: dict[str, str]) -> bytes:
        return b"" if self._calls else self._chunk({"function_call": function})

    def _args(self, delta: ToolArgsDelta) -> bytes:
        if self._older:
            return self._function({"arguments": delta.json})
        if self._given is not None:
            self._given.append(delta.json)
            return b""  # it is known when it is whole
        call = {"index": self._calls, "function": {"arguments": delta.json}}
        return self._chunk({"tool_calls": [call]})

    def _ended(self, _: BlockEnded) -> bytes:
        if self._given is None:
            return b""
        given, self._given = input_of("".join(self._given)), None
        return self._chunk({"tool_calls": [{"index": self._calls, "custom": {"input": given}}]})

    def _refusal(self, delta: RefusalDelta) -> bytes:
        self._refused = True
        return self._chunk({"refusal": delta.text})

    def _likely(self, delta: Odds) -> bytes:
        self._odds = delta.tokens
        return b""

    def _seen(self, delta: UsageSeen) -> bytes:
        self._usage = delta.usage
        return b""

    def _of(self, delta: Of) -> bytes:
        """What another choice says, its role first."""
        begun = b""
        if delta.choice not in self._others:
            number, older = delta.choice, self._older
            other = StreamWriter(
                self._created,
                usage_asked=False,
                choice=number,
                older=older,
                custom=self._custom,
            )
            self._others[delta.choice] = other
            begun = other.write(self._opening)
        return begun + self._others[delta.choice].write(delta.delta)

    def _stopped(self, delta: Stopped) -> bytes:
        """The finish reason, the usage where it was asked for, and `[DONE]`."""
        last = self._chunk({}, stop_name(delta.stop, refused=self._refused, older=self._older))
        if self._choice:
            return last
        if self._usage_asked:
            last += self._line({"choices": [], "usage": usage_body(self._usage)})
        return last + LAST


_TEXT_NAMES: dict[type, str] = {
    TextDelta: "content",
    ThinkingDelta: "reasoning_content",
}
# ruff: noqa: SLF001 - the class's own table, outside it because it names its methods
_WRITE: dict[type, Callable[..., bytes]] = {
    Opened: StreamWriter._opened,
    Of: StreamWriter._of,
    Ping: StreamWriter._ping,
    ToolCallBegun: StreamWriter._call,
    ToolArgsDelta: StreamWriter._args,
    BlockEnded: StreamWriter._ended,
    RefusalDelta: StreamWriter._refusal,
    Odds: StreamWriter._likely,
    UsageSeen: StreamWriter._seen,
    Stopped: StreamWriter._stopped,
}
