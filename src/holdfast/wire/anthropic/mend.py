"""The grammar of a Messages stream, and the mending of engines' streams by it.

After the provider's documentation: a start, blocks one behind the other under dense indexes, a
stop reason, the end. Seen of engines and relays: no opening (llama.cpp), a block begun within
another and under its index (Ollama), thoughts in a block of text (LiteLLM), a start with each
token, deltas without a start, starts without a stop, no usage, no names of events, `end_turn`
behind a call.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Raw, Struct

from holdfast.wire.anthropic.stream import block_start, message_start
from holdfast.wire.grammar import Table
from holdfast.wire.mended import event_of, named, patched
from holdfast.wire.speech import UNREADABLE
from holdfast.wire.sse import SseEvent

GRAMMAR: Table[str, str] = Table(
    {
        "start": {"message_start": "between"},
        "between": {"content_block_start": "block", "message_delta": "ended"},
        "block": {"content_block_delta": "block", "content_block_stop": "between"},
        "ended": {"message_delta": "ended", "message_stop": "stopped"},
        "stopped": {},
    },
    added=("message_start", "content_block_start", "content_block_stop", "message_delta"),
)
# Which blocks a delta belongs to; a kind of block or of delta that is not here fits any other.
_BLOCK_OF = {
    "text_delta": "text",
    "citations_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "thinking",
    "input_json_delta": "tool_use",
}
_OPEN_TO = ("text", "thinking", "redacted_thinking")
_TOKENS = (b"", b"null")


class _Typed(Struct, frozen=True):
    type: str = ""
    stop_reason: str | None = None


class _Counted(Struct, frozen=True):
    usage: Raw = Raw()


class _Event(Struct):
    type: str = ""
    index: int = 0
    content_block: _Typed = _Typed()
    delta: _Typed = _Typed()
    message: _Counted = _Counted()
    usage: Raw = Raw()


_decode = msgspec.json.Decoder(_Event).decode
_fields = msgspec.json.Decoder(dict[str, Raw]).decode


class Mender:
    """Follows one stream. `model` is put where an opening is missing."""

    __slots__ = ("_called", "_model", "_ours", "_state", "_theirs", "_type")

    def __init__(self, model: str) -> None:
        self._model = model
        self._state = "start"
        self._ours = -1  # the index of the block that is open, or was last
        self._theirs = -1  # the engine's own for it
        self._type = ""
        self._called = False

    def mend(self, event: SseEvent) -> tuple[SseEvent, ...]:
        """See `speech.EventMender`."""
        try:
            found = _decode(event.data)
            if found.type and not event.event:
                # The SDKs go by the name of an event, not by its type.
                event = named(found.type, event.data)
            known = found.type in GRAMMAR.kinds and event.event != b"error"
            if not known or not GRAMMAR.rows[self._state]:
                return (event,)
            return tuple(self._read(event, found))
        except UNREADABLE:
            return (event,)

    def _read(self, event: SseEvent, found: _Event) -> Iterator[SseEvent]:
        kind = found.type
        if self._says_nothing(found):
            return
        if kind == "content_block_delta" and not self._fits(found):
            type_ = _BLOCK_OF[found.delta.type]
            if type_ == "tool_use":
                yield self._broken()
                return
            yield from self._to("content_block_start")
            yield self._begin(type_, found.index)
        elif kind == "message_stop" and self._ours < 0:
            yield event  # an answer without a word is no answer
            return
        yield from self._to(kind)
        yield self._said(event, found)

    def _says_nothing(self, found: _Event) -> bool:
        """Whether a client can do without it: what was said before, or ends what is not open."""
        kind, open_ = found.type, self._state == "block"
        if kind == "message_start":
            return self._state != "start"
        if kind == "content_block_stop":
            return not open_ or found.index != self._theirs
        if kind == "content_block_start" and open_ and found.index == self._theirs:
            type_ = found.content_block.type
            return type_ == self._type and type_ in _OPEN_TO
        return False

    def _fits(self, found: _Event) -> bool:
        """Whether a delta goes on in the block that is open."""
        if self._state == "ended":
            return True  # nothing can be put before it
        if self._state != "block" or found.index != self._theirs:
            return found.delta.type not in _BLOCK_OF
        due = _BLOCK_OF.get(found.delta.type, self._type)
        return due == self._type or self._type not in _OPEN_TO

    def _to(self, kind: str) -> Iterator[SseEvent]:
        """The events behind which this kind may stand."""
        if kind == "content_block_delta" and self._state != "block":
            return  # of a kind that is not known: there is no start for it
        for step in GRAMMAR.way(self._state, kind) or ():
            if step == "message_start":
                yield event_of(message_start("", self._model))
            elif step == "content_block_stop":
                data = b'{"type":"content_block_stop","index":%d}' % self._ours
                yield named(step, data)
            else:
                yield named(step, _ENDS[self._called])
            self._state = GRAMMAR.rows[self._state][step]

    def _begin(self, type_: str, index: int) -> SseEvent:
        self._state, self._type, self._theirs = "block", type_, index
        self._ours += 1
        return event_of(block_start(self._ours, type_))

    def _said(self, event: SseEvent, found: _Event) -> SseEvent:
        """The event itself, with what is wrong in it put right."""
        kind, data = found.type, event.data
        self._state = GRAMMAR.after(self._state, kind) or self._state
        if kind == "content_block_start":
            self._ours += 1
            self._theirs, self._type = found.index, found.content_block.type
            self._called = self._called or self._type == "tool_use"
        fields: dict[str, object] = {}
        if kind.startswith("content_block") and found.index != self._ours >= 0:
            fields["index"] = self._ours
        elif kind == "message_start" and bytes(found.message.usage) in _TOKENS:
            message = _fields(data)["message"]
            fields["message"] = Raw(patched(message, usage=Raw(_NO_TOKENS)))
        elif kind == "message_delta":
            fields = self._ending(found, data)
        return named(kind, patched(data, **fields)) if fields else event

    def _ending(self, found: _Event, data: bytes) -> dict[str, object]:
        fields: dict[str, object] = {}
        if bytes(found.usage) in _TOKENS:
            fields["usage"] = {"output_tokens": 0}
        if self._called and found.delta.stop_reason == "end_turn":
            delta = _fields(data)["delta"]
            fields["delta"] = Raw(patched(delta, stop_reason="tool_use"))
        return fields

    def _broken(self) -> SseEvent:
        """The end of a stream whose calls nobody can tell apart: half a call is not to be run."""
        return named("error", _MIXED)


_NO_TOKENS = b'{"input_tokens":0,"output_tokens":0}'
_MIXED = (
    b'{"type":"error","error":{"type":"api_error",'
    b'"message":"the engine mixed the arguments of its tool calls"}}'
)
_ENDS = {
    called: b'{"type":"message_delta","delta":{"stop_reason":"%b","stop_sequence":null},'
    b'"usage":{"output_tokens":0}}' % reason
    for called, reason in ((False, b"end_turn"), (True, b"tool_use"))
}
