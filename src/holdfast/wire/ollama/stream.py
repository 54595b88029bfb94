"""The stream of Ollama's `/api/chat` and `/api/generate`, read and written: lines of JSON.

After the documented API: each line holds more of the message (`thinking`, `content`, whole
`tool_calls`; `response` from `/api/generate`), the last one says `done` with its reason and what
was counted. An error is a line with `error` in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Raw, Struct

from holdfast.facts.losses import Lost
from holdfast.facts.outcomes import Failure, FailureKind, Said, Usage, Where
from holdfast.wire.deltas import (
    BlockEnded,
    Delta,
    Fault,
    Odds,
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
from holdfast.wire.odds import filled
from holdfast.wire.ollama.ask import DIALECT, ID_CHARS_MAX
from holdfast.wire.said import read_said
from holdfast.wire.speech import UNREADABLE
from holdfast.wire.sse import SseEvent

# Calls stop an answer here like any other end; `load` and `unload` answer a bare request for it.
STOPS: dict[str, Stop] = {"stop": "end", "length": "length", "load": "end", "unload": "end"}
STOP_NAMES: dict[Stop, str] = {
    "end": "stop",
    "length": "length",
    "stop_sequence": "stop",
    "refusal": "stop",
    "tool_calls": "stop",
    "pause": "stop",
}
_NOTHING = (b"", b'""', b"null", b"[]", b"{}")


class _Function(Struct):
    name: str | None = None
    arguments: Raw = Raw()


class _Call(Struct):
    id: str | None = None
    function: _Function | None = None


class Message(Struct):
    """What a message says, in the shapes that can be carried."""

    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_Call] | None = None


class Line(Struct):
    """One line of a stream, or a whole answer; `response` and `thinking` are `/api/generate`'s."""

    model: str | None = None
    message: Message | None = None
    response: str | None = None
    thinking: str | None = None
    done: bool | None = None
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    logprobs: Raw = Raw()
    error: Raw = Raw()


decode = msgspec.json.Decoder(Line).decode
_string = msgspec.json.Decoder(str).decode
_encode = msgspec.json.encode
_PINGS = (Ping(),)


def is_error(line: Line) -> bool:
    """Whether this says an error."""
    return bytes(line.error) not in _NOTHING


def read_usage(line: Line) -> Usage:
    """What was counted. The prompt is counted whole, whatever of it a cache gave."""
    return Usage(input=line.prompt_eval_count, output=line.eval_count)


def usage_fields(usage: Usage) -> dict[str, int]:
    """Usage as this dialect writes it. The times, in nanoseconds, nobody has measured: 0."""
    prompt = (usage.input or 0) + (usage.cache_read or 0) + (usage.cache_write or 0)
    return {
        "total_duration": 0,
        "load_duration": 0,
        "prompt_eval_count": prompt,
        "prompt_eval_duration": 0,
        "eval_count": usage.output or 0,
        "eval_duration": 0,
    }


def arguments_of(call: _Call) -> str:
    """A call's arguments as the text of JSON; some relays give them as such a text."""
    given = bytes(call.function.arguments) if call.function is not None else b""
    if given in (b"", b"null"):
        return "{}"
    return _string(given) if given.startswith(b'"') else given.decode()


def written_call(index: int, id_: str, name: str, arguments: str) -> dict[str, Any]:
    """A call as clients of today get it."""
    # JSON's own line ends are white space, and would end the line here.
    given = Raw(arguments.replace("\n", " ").replace("\r", " ").encode())
    function = {"index": index, "name": name, "arguments": given}
    return {"id": fitted(id_, ID_CHARS_MAX), "function": function}


def generated(message: dict[str, Any]) -> dict[str, Any]:
    """A message as `/api/generate` says it: the words alone."""
    thought = {"thinking": message["thinking"]} if "thinking" in message else {}
    return {"response": message.get("content", ""), **thought}


def date(seconds: int) -> str:
    """A time as this dialect writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class DeltaReader:
    """Reads a stream of lines. A call comes whole in one line, and needs no end of the stream."""

    lost: tuple[Lost, ...] = ()  # nothing that it says is without a word
    __slots__ = ("_calls", "_model", "_opened", "_spoke")

    def __init__(self, model: str) -> None:
        self._model = model
        self._opened = False
        self._spoke = False
        self._calls = 0

    def read(self, event: SseEvent) -> Sequence[Delta]:
        """What this line says. Never raises."""
        data = event.data
        if not data:
            return _PINGS
        try:
            line = decode(data)
        except UNREADABLE:
            return self._unread(data)
        if is_error(line):
            return (Fault(self._said_error(data)),)
        found: list[Delta] = []
        if not self._opened:
            self._opened = True
            found.append(Opened("", line.model or self._model))
        try:
            self._words(line, found)
        except UNREADABLE:
            return self._fault("garbage", "a tool call of the stream is not of the dialect")
        if line.done:
            return self._done(line, found)
        return found

    def run(self, block: bytes) -> TextDelta | None:  # noqa: ARG002 - a promise of the protocol
        """Never known at a glance."""
        return None

    def _words(self, line: Line, found: list[Delta]) -> None:
        message = line.message
        thought = line.thinking if message is None else message.thinking
        text = line.response if message is None else message.content
        if thought:
            self._spoke = True
            found.append(ThinkingDelta(0, thought, origin=DIALECT))
        odds = filled(bytes(line.logprobs))
        if odds:
            found.append(Odds(odds))
        if text:
            self._spoke = True
            found.append(TextDelta(0, text))
        for call in (message.tool_calls if message is not None else None) or ():
            self._spoke = True
            self._calls += 1  # the words have 0
            name = call.function.name if call.function is not None else None
            found += (
                ToolCallBegun(self._calls, call.id or "", name or ""),
                ToolArgsDelta(self._calls, arguments_of(call)),
                BlockEnded(self._calls),
            )

    def _done(self, line: Line, found: list[Delta]) -> Sequence[Delta]:
        if not line.done_reason and not self._spoke:
            return self._fault("empty", "the answer ended without a word")
        usage = read_usage(line)
        if usage != Usage():
            found.append(UsageSeen(usage))
        found.append(Stopped(STOPS.get(line.done_reason or "", "end")))
        return found

    def _unread(self, data: bytes) -> Sequence[Delta]:
        """A line of another shape: what it says cannot be carried, unless it is an error."""
        if read_said(data) != Said():
            return (Fault(self._said_error(data)),)
        return self._fault("garbage", "a line of the stream is not of the dialect")

    def _said_error(self, data: bytes) -> Failure:
        said = read_said(data)
        if not said.message:
            said = Said(message=data[:500].decode("utf-8", "replace"))
        return self._failure("error_event", f"the stream says error: {said.message}"[:500], said)

    def _fault(self, kind: FailureKind, text: str) -> Sequence[Delta]:
        return (Fault(self._failure(kind, text, Said())),)

    def _failure(self, kind: FailureKind, text: str, said: Said) -> Failure:
        where: Where = "in_stream" if self._spoke else "body"
        return Failure(kind=kind, where=where, text=text, said=said)

    def close(self) -> Sequence[Delta]:
        """Nothing: an answer is whole with its last line alone."""
        return ()


class StreamWriter:
    """Writes a stream of lines; `generated`: those of `/api/generate`, which have no message."""

    several = False
    __slots__ = (
        "_args",
        "_begun",
        "_behind",
        "_calls",
        "_generated",
        "_head",
        "_odds",
        "_texts",
        "_usage",
    )

    def __init__(self, created: int, *, generated: bool = False) -> None:
        self._generated = generated
        self._head: dict[str, Any] = {"model": "", "created_at": date(created)}
        self._texts: dict[type, bytes] = {}  # what stands before the text of a line, by its kind
        self._behind = b""
        self._begun: ToolCallBegun | None = None  # the call that is on its way
        self._args: list[str] = []
        self._calls = 0
        self._odds = b""  # of the words that come next
        self._usage = Usage()

    def write(self, delta: Delta) -> bytes:
        """The line that says this delta."""
        kind = type(delta)
        if self._odds and isinstance(delta, TextDelta):
            odds, self._odds = Raw(self._odds), b""
            return self._line({"content": delta.text}, done=False, logprobs=odds)
        before = self._texts.get(kind)
        if before is not None:
            text: str = delta.text  # type: ignore[union-attr]  # whose kinds have words
            return b"%b%b%b" % (before, _encode(text), self._behind) if text else b""
        step = _WRITE.get(kind)
        return step(self, delta) if step is not None else b""

    def _line(self, message: dict[str, Any], **more: object) -> bytes:
        if self._generated:
            said = generated(message)
        else:
            said = {"message": {"role": "assistant", "content": "", **message}}
        return _encode({**self._head, **said, **more}) + b"\n"

    def _opened(self, delta: Opened) -> bytes:
        """Nothing: every line names the model."""
        self._head["model"] = delta.model
        for kind, name in _TEXT_NAMES.items():
            before, _, self._behind = self._line({name: ""}, done=False).rpartition(b'""')
            self._texts[kind] = before
        return b""

    def _ping(self, _: Ping) -> bytes:
        """A line that says nothing."""
        return self._line({}, done=False)

    def _call(self, delta: ToolCallBegun) -> bytes:
        self._begun, self._args = delta, []
        return b""

    def _more(self, delta: ToolArgsDelta) -> bytes:
        self._args.append(delta.json)
        return b""

    def _ended(self, _: BlockEnded) -> bytes:
        """A call leaves whole."""
        begun, self._begun = self._begun, None
        if begun is None:
            return b""
        call = written_call(self._calls, begun.id, begun.name, "".join(self._args) or "{}")
        self._calls += 1
        return self._line({"tool_calls": [call]}, done=False)

    def _likely(self, delta: Odds) -> bytes:
        self._odds = delta.tokens
        return b""

    def _seen(self, delta: UsageSeen) -> bytes:
        self._usage = delta.usage
        return b""

    def _stopped(self, delta: Stopped) -> bytes:
        reason = STOP_NAMES[delta.stop]
        return self._line({}, done=True, done_reason=reason, **usage_fields(self._usage))


_TEXT_NAMES: dict[type, str] = {
    TextDelta: "content",
    RefusalDelta: "content",
    ThinkingDelta: "thinking",
}
# ruff: noqa: SLF001 - the class's own table, outside it because it names its methods
_WRITE: dict[type, Callable[..., bytes]] = {
    Opened: StreamWriter._opened,
    Ping: StreamWriter._ping,
    ToolCallBegun: StreamWriter._call,
    ToolArgsDelta: StreamWriter._more,
    BlockEnded: StreamWriter._ended,
    Odds: StreamWriter._likely,
    UsageSeen: StreamWriter._seen,
    Stopped: StreamWriter._stopped,
}
