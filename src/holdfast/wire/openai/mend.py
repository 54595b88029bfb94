"""The grammar of a stream of chat chunks, and the mending of engines' streams by it.

After the documented API; there, the calls of an answer are told apart by their index, and clients
join by it whatever is text. Seen of engines and relays: calls without an index (Ollama, sglang) or
all under the same one (Ollama, LiteLLM), without an id, with arguments that are an object
(LiteLLM), with their name or id said in every piece (llama.cpp), `stop` as the reason of calls
(Ollama, vLLM, mlx), no reason at all before `[DONE]`, chunks without choices or without a delta.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Raw, Struct

from holdfast.wire.deltas import ToolCallBegun
from holdfast.wire.grammar import Table
from holdfast.wire.mend import Call, named
from holdfast.wire.mended import patched
from holdfast.wire.openai.stream import DONE, UNNAMED, speaks
from holdfast.wire.speech import UNREADABLE
from holdfast.wire.sse import SseEvent

# Of one choice.
GRAMMAR: Table[str, str] = Table(
    {
        "start": {"says": "open", "finish": "finished", "done": "stopped"},
        "open": {"says": "open", "finish": "finished"},
        "finished": {"says": "finished", "finish": "finished", "done": "stopped"},
        "stopped": {},
    },
    added=("finish",),
)
_NOTHING = (b"", b"null")


class _Function(Struct):
    name: str | None = None
    arguments: Raw = Raw()


class _Piece(Struct):
    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: _Function | None = None


class _Delta(Struct):
    tool_calls: list[_Piece] | None = None


class _Choice(Struct):
    index: int | None = 0
    finish_reason: str | None = None
    delta: Raw = Raw()


class _Chunk(Struct):
    choices: list[_Choice] | None = None
    error: Raw = Raw()
    object: Any = None
    id: Any = None
    model: Any = None


_decode = msgspec.json.Decoder(_Chunk).decode
_decode_delta = msgspec.json.Decoder(_Delta).decode
_list = msgspec.json.Decoder(list[Raw]).decode
_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.encode


class _Said:
    """What one choice has said."""

    __slots__ = ("calls", "keys", "state")

    def __init__(self) -> None:
        self.state = "start"
        self.calls: list[Call] = []
        self.keys: dict[int, int] = {}  # the engine's index of a call → the number of the newest


class Mender:
    """Follows one stream. `model` and `created` are put into what is added to it."""

    __slots__ = ("_choices", "_created", "_id", "_model")

    def __init__(self, model: str, created: int) -> None:
        self._id = ""
        self._model = model
        self._created = created
        self._choices: dict[int, _Said] = {}

    def mend(self, event: SseEvent) -> tuple[SseEvent, ...]:
        """See `speech.EventMender`."""
        data = event.data
        if event.event == b"error":
            return (event,)
        if data.startswith(DONE):
            return (*self._ends(), event)
        try:
            return (self._chunk(event, data),)
        except UNREADABLE:
            return (event,)

    def _chunk(self, event: SseEvent, data: bytes) -> SseEvent:
        chunk = _decode(data)
        if bytes(chunk.error) not in _NOTHING or chunk.object == "error":
            return event
        if not self._id and isinstance(chunk.id, str):
            self._id = chunk.id
        if isinstance(chunk.model, str) and chunk.model:
            self._model = chunk.model
        if chunk.choices is None:
            return _line(patched(data, choices=[]))
        fields = [self._choice(choice) for choice in chunk.choices]
        if not any(fields):
            return event
        kept = _list(_fields(data)["choices"])
        mended = [
            Raw(patched(raw, **new)) if new else raw for raw, new in zip(kept, fields, strict=True)
        ]
        return _line(patched(data, choices=mended))

    def _choice(self, choice: _Choice) -> dict[str, object]:
        """The fields of a choice that are to be put in place of its own."""
        said = self._choices.setdefault(choice.index or 0, _Said())
        fields: dict[str, object] = {}
        if bytes(choice.delta) in _NOTHING:
            fields["delta"] = {}
        elif choice.delta:
            if b'"tool_calls"' in bytes(choice.delta):
                calls = self._calls(said, choice.delta)
                if calls is not None:
                    fields["delta"] = Raw(patched(choice.delta, tool_calls=calls))
            if said.state == "start" and speaks(choice.delta):
                said.state = GRAMMAR.rows[said.state]["says"]
        reason = choice.finish_reason
        if reason:
            said.state = GRAMMAR.after(said.state, "finish") or said.state
            if reason == "stop" and said.calls:
                fields["finish_reason"] = "tool_calls"
        elif reason == "":
            fields["finish_reason"] = None
        return fields

    def _calls(self, said: _Said, delta: Raw) -> list[Raw] | None:
        """The pieces of calls as they should be; None where they are."""
        pieces = _decode_delta(delta).tool_calls
        if not pieces:
            return None
        fields = [self._piece(said, place, piece) for place, piece in enumerate(pieces)]
        if not any(fields):
            return None
        kept = _list(_fields(delta)["tool_calls"])
        return [Raw(_merged(raw, new)) for raw, new in zip(kept, fields, strict=True)]

    def _piece(self, said: _Said, place: int, piece: _Piece) -> dict[str, object]:
        """What of a piece is to be put in place of its own; None for a field that is to go."""
        key = place if piece.index is None else piece.index
        function = piece.function or _Function()
        id_, name = piece.id or "", function.name or ""
        number = said.keys.get(key)
        goes_on = number is not None and said.calls[number].goes_on(ToolCallBegun(key, id_, name))
        fields: dict[str, object] = {}
        more: dict[str, object] = {}
        if number is None or not goes_on:
            number = said.keys[key] = len(said.calls)
            said.calls.append(Call(id_, name))
            if not id_:
                fields["id"] = named(f"{self._id}\0{self._created}", number, name, "")
            if piece.type is None:
                fields["type"] = "function"
        else:  # clients join what is said again
            if id_ and said.calls[number].id:
                fields["id"] = None
            if name and said.calls[number].name:
                more["name"] = None
        if piece.index != number:
            fields["index"] = number
        given = bytes(function.arguments)
        if given.startswith(b"{"):
            more["arguments"] = given.decode("utf-8", "replace")
        if given not in _NOTHING:
            text = more.get("arguments") or msgspec.json.decode(given)
            said.calls[number].parts.append(str(text))
        if more:
            fields["function"] = more
        return fields

    def _ends(self) -> Iterator[SseEvent]:
        """What is missing before `[DONE]`: the reasons of the choices that gave none."""
        for index, said in sorted(self._choices.items()):
            if not GRAMMAR.way(said.state, "done"):
                continue
            said.state = GRAMMAR.rows[said.state]["finish"]
            if not all(call.whole for call in said.calls):
                text = "the engine ended its answer within a tool call"
                yield _line(_encode({"error": {"message": text, "type": "server_error"}}))
                return
            reason = "tool_calls" if said.calls else "stop"
            choice = {"index": index, "delta": {}, "finish_reason": reason}
            head = {"id": self._id or UNNAMED, "object": "chat.completion.chunk"}
            made = {"created": self._created, "model": self._model}
            yield _line(_encode({**head, **made, "choices": [choice]}))


def _merged(piece: Raw, new: dict[str, object]) -> bytes:
    """A piece of a call with these fields; without those that are None."""
    fields: dict[str, object] = dict(_fields(piece))
    for name, value in new.items():
        if name == "function":
            assert isinstance(value, dict)  # noqa: S101 - as `_piece` makes it
            old = fields.get(name)
            value = Raw(_merged(old if isinstance(old, Raw) else Raw(b"{}"), value))  # noqa: PLW2901
        if value is None:
            fields.pop(name, None)
        else:
            fields[name] = value
    return _encode(fields)


def _line(json: bytes) -> SseEvent:
    return SseEvent(b"data: %b\n\n" % json, b"", json)
