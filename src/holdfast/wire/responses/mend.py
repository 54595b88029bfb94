"""The grammar of a Responses stream, and the mending of engines' streams by it.

After the documented API; items may overlap there, each goes through its own states. Seen of
engines and relays: no `response.created`, deltas of items that were never added, and items that
are never done (LiteLLM, Codex then drops the answer), no `output_text.done` (ogx), no
`output_index` and calls without an id (llama.cpp, lemonade), no or repeated sequence numbers, a
terminal event without the output or its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Raw, Struct

from holdfast.wire.grammar import Table
from holdfast.wire.mended import named, patched
from holdfast.wire.speech import UNREADABLE
from holdfast.wire.sse import SseEvent

# Of a message; other items are checked for their beginning and their end alone.
MESSAGE: Table[str, str] = Table(
    {
        "start": {"added": "item"},
        "item": {"part": "part", "done": "over"},
        "part": {"words": "part", "said": "told"},
        "told": {"part done": "item"},
        "over": {},
    },
    added=("added", "part", "said", "part done", "done"),
)
OTHER: Table[str, str] = Table(
    {"start": {"added": "item"}, "item": {"more": "item", "done": "over"}, "over": {}},
    added=("done",),
)
KINDS = {
    "response.output_item.added": "added",
    "response.output_item.done": "done",
    "response.content_part.added": "part",
    "response.content_part.done": "part done",
    "response.output_text.delta": "words",
    "response.refusal.delta": "words",
    "response.output_text.annotation.added": "words",
    "response.output_text.done": "said",
    "response.refusal.done": "said",
    "response.function_call_arguments.delta": "more",
    "response.function_call_arguments.done": "more",
    "response.reasoning_summary_part.added": "more",
    "response.reasoning_summary_part.done": "more",
    "response.reasoning_summary_text.delta": "more",
    "response.reasoning_summary_text.done": "more",
    "response.reasoning_text.delta": "more",
    "response.reasoning_text.done": "more",
}
ENDS = ("response.completed", "response.incomplete")
_PLACED = ("part", "part done", "words", "said")  # these name a part of their item
_encode = msgspec.json.encode


class _Item(Struct):
    id: str | None = None
    type: str = "message"
    name: Any = None


class _Response(Struct):
    id: str | None = None
    model: str | None = None
    output: list[Raw] | None = None


class _Event(Struct):
    type: str = ""
    sequence_number: int | None = None
    output_index: int | None = None
    content_index: int | None = None
    item_id: str | None = None
    item: Raw = Raw()
    part: _Item | None = None
    delta: Any = None
    response: _Response | None = None


_decode = msgspec.json.Decoder(_Event).decode
_item = msgspec.json.Decoder(_Item).decode
_fields = msgspec.json.Decoder(dict[str, Raw]).decode


class _Open:
    """An item of the answer, and what it has come to."""

    __slots__ = ("done", "id", "part", "refuses", "state", "table", "text", "type")

    def __init__(self, id_: str, type_: str) -> None:
        self.id = id_
        self.type = type_
        self.table = MESSAGE if type_ == "message" else OTHER
        self.state = "start"
        self.part = 0  # the place of the part that is open, or was last
        self.text: list[str] = []
        self.refuses = False
        self.done: Raw | None = None

    def piece(self, *, whole: bool) -> dict[str, Any]:
        text = "".join(self.text) if whole else ""
        if self.refuses:
            return {"type": "refusal", "refusal": text}
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}

    def item(self, *, whole: bool) -> dict[str, Any]:
        content = [self.piece(whole=True)] if whole and self.text else []
        status = "completed" if whole else "in_progress"
        item = {"id": self.id, "type": "message", "role": "assistant"}
        return {**item, "status": status, "content": content}


class Mender:
    """Follows one stream. `model` and `created` are put into an opening that is missing."""

    __slots__ = (
        "_created",
        "_faulty",
        "_id",
        "_items",
        "_last",
        "_model",
        "_newest",
        "_opened",
    )

    def __init__(self, model: str, created: int) -> None:
        self._model = model
        self._created = created
        self._id = f"resp_holdfast{created}"
        self._opened = False
        self._faulty = False  # whether anything was mended
        self._last = -1  # the number of the last event
        self._newest = -1  # the index of the item that was added last
        self._items: dict[int, _Open] = {}

    def mend(self, event: SseEvent) -> tuple[SseEvent, ...]:
        """See `speech.EventMender`."""
        if event.event == b"error":
            return (event,)
        try:
            found = _decode(event.data)
            if not found.type.startswith("response."):
                return (event,)
            return tuple(self._read(event, found))
        except UNREADABLE:
            return (event,)

    def _read(self, event: SseEvent, found: _Event) -> Iterator[SseEvent]:
        kind = found.type
        response = found.response
        if response is not None and response.id:
            self._id = response.id
        if kind == "response.created":
            self._opened = True
        elif not self._opened and kind != "response.failed":
            self._opened = True
            yield self._made("response.created", response=self._response(found))
        fields: dict[str, object] = {}
        if kind in KINDS:
            index = self._index(found)
            item = self._items.get(index)
            if item is None:
                item = self._items[index] = self._new(index, found)
            yield from self._to(KINDS[kind], index, item)
            fields = self._placed(found, index, item)
        elif kind in ENDS and response is not None:
            yield from self._close(response)
            fields = self._whole(event.data, response)
        yield self._numbered(event, found, fields)

    def _response(self, found: _Event) -> object:
        """The object of an answer that has just begun."""
        model = found.response.model if found.response is not None else None
        head = {"id": self._id, "object": "response", "created_at": self._created}
        body = {"status": "in_progress", "model": model or self._model, "output": []}
        return {**head, **body, "error": None, "incomplete_details": None, "usage": None}

    def _index(self, found: _Event) -> int:
        """Which item an event is of; where it does not say, the newest, or a new one."""
        if found.output_index is not None:
            return found.output_index
        id_ = found.item_id or (found.item and _item(found.item).id) or ""
        known = next((n for n, item in self._items.items() if id_ and item.id == id_), None)
        if known is not None:
            return known
        newest = self._items.get(self._newest)
        added = KINDS[found.type] == "added"
        if newest is None or added or (newest.state == "over" and KINDS[found.type] != "done"):
            return self._newest + 1
        return self._newest

    def _new(self, index: int, found: _Event) -> _Open:
        item = _item(found.item) if found.item else _Item()
        if not found.item and KINDS[found.type] == "more":
            item.type = "reasoning" if "reasoning" in found.type else "function_call"
        self._newest = max(self._newest, index)
        id_ = item.id or found.item_id or f"{item.type}_{self._id}_{index}"
        return _Open(id_, item.type)

    def _to(self, kind: str, index: int, item: _Open) -> Iterator[SseEvent]:
        """The events behind which this kind may stand, and then that it stands there."""
        for step in item.table.way(item.state, kind) or ():
            item.state = item.table.rows[item.state][step]
            yield self._step(step, index, item)
        item.state = item.table.after(item.state, kind) or item.state

    def _step(self, step: str, index: int, item: _Open) -> SseEvent:
        at: dict[str, Any] = {"output_index": index}
        if step in ("added", "done"):
            whole = item.item(whole=step == "done")
            if step == "done":
                item.done = Raw(_encode(whole))
            return self._made(f"response.output_item.{step}", **at, item=whole)
        at |= {"item_id": item.id, "content_index": item.part}
        if step == "said":
            if item.refuses:
                return self._made("response.refusal.done", **at, refusal="".join(item.text))
            text = "".join(item.text)
            return self._made("response.output_text.done", **at, text=text, logprobs=[])
        end = "done" if step == "part done" else "added"
        piece = item.piece(whole=end == "done")
        return self._made(f"response.content_part.{end}", **at, part=piece)

    def _placed(self, found: _Event, index: int, item: _Open) -> dict[str, object]:
        """What is missing of an event of an item."""
        kind = KINDS[found.type]
        fields: dict[str, object] = {}
        if found.output_index is None:
            fields["output_index"] = index
        if kind in ("added", "done"):
            if not _item(found.item).id:
                fields["item"] = Raw(patched(found.item, id=item.id))
            if kind == "done":
                item.done = Raw(patched(found.item, id=item.id))
            return fields
        if found.item_id is None:
            fields["item_id"] = item.id
        if kind in _PLACED:
            if found.content_index is None:
                fields["content_index"] = item.part
            else:
                item.part = found.content_index
        if kind == "words" and isinstance(found.delta, str):
            item.refuses = found.type == "response.refusal.delta"
            item.text.append(found.delta)
        return fields

    def _close(self, response: _Response) -> Iterator[SseEvent]:
        """The ends of what is still open, and what the terminal event alone tells of."""
        for index, item in sorted(self._items.items()):
            if item.table is MESSAGE and item.state != "over":
                yield from self._to("done", index, item)
                if not response.output:
                    yield self._step("done", index, item)
        for place, raw in enumerate(response.output or ()):
            found = _item(raw)
            index, known = self._known(place, found)
            if known is None:
                known = self._items[index] = _Open(
                    found.id or f"{found.type}_{self._id}_{index}", found.type
                )
                known.done = Raw(patched(raw, id=known.id))
                yield self._made("response.output_item.added", output_index=index, item=known.done)
            elif known.done is not None or known.type != found.type:
                continue
            known.done = Raw(patched(raw, id=known.id))
            yield self._made("response.output_item.done", output_index=index, item=known.done)

    def _known(self, place: int, found: _Item) -> tuple[int, _Open | None]:
        """The item of a terminal event's output among those that the stream told of."""
        for index, item in self._items.items():
            if found.id and item.id == found.id:
                return index, item
        item_there = self._items.get(place)
        if item_there is None or item_there.type == found.type:
            return place, item_there
        return max(self._items) + 1, None

    def _whole(self, data: bytes, response: _Response) -> dict[str, object]:
        """What the object of a terminal event lacks."""
        lacks: dict[str, object] = {}
        if not response.id:
            lacks["id"] = self._id
        items = [item.done for _, item in sorted(self._items.items()) if item.done is not None]
        # Some providers leave it empty; what else is wrong tells whether this one means it.
        if items and (response.output is None or (not response.output and self._faulty)):
            lacks["output"] = items
        return {"response": Raw(patched(_fields(data)["response"], **lacks))} if lacks else {}

    def _made(self, kind: str, **fields: object) -> SseEvent:
        self._last += 1
        self._faulty = True
        return named(kind, _encode({"type": kind, "sequence_number": self._last, **fields}))

    def _numbered(self, event: SseEvent, found: _Event, fields: dict[str, object]) -> SseEvent:
        """The event with these fields, behind the others."""
        number = found.sequence_number
        if number is None or number <= self._last:
            number = fields["sequence_number"] = self._last + 1
        self._last = number
        if fields:
            self._faulty = True
            return named(found.type, patched(event.data, **fields))
        return event if event.event else named(found.type, event.data)
