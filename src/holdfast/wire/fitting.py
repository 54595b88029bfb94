"""Names and ids that a dialect takes, made of those that it does not.

Where one fits it stays as it is. Else it becomes as much of itself as there is room for and a
digest of the whole, so the same name always becomes the same one: a call and its result agree in
every turn without anybody's memory.
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Callable, Sequence
from functools import lru_cache, wraps
from typing import Any

import msgspec
from msgspec import Raw

from holdfast.wire.forms import Schema, rewritten
from holdfast.wire.speech import UNREADABLE, Ask, BadFieldError, Part, ToolCall, ToolResult, Turn

_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_ROUND = {"type": Raw(b'"object"'), "properties": Raw(b"{}")}
ID = re.compile(r"[A-Za-z0-9_-]+")
_OTHER = re.compile(r"[^A-Za-z0-9_-]")
_DIGIT = re.compile(r"[0-9-]")
_DIGEST = 12  # hex digits behind the `_`
# What is remembered of schemas: so many, and none that is larger.
_SCHEMAS_MAX = 512
_SCHEMA_BYTES_MAX = 16 << 10


def fitted(name: str, chars_max: int) -> str:
    """The name in letters, digits, `_` and `-`, of no more than this many characters."""
    if len(name) <= chars_max and ID.fullmatch(name):
        return name
    return _shortened(name, name, chars_max)


def lettered(name: str, chars_max: int) -> str:
    """The same for those who take no name that begins with a digit or a dash."""
    return (
        _shortened(f"_{name}", name, chars_max) if _DIGIT.match(name) else fitted(name, chars_max)
    )


def _shortened(shown: str, name: str, chars_max: int) -> str:
    digest = hashlib.blake2b(name.encode(errors="replace"), digest_size=_DIGEST // 2).hexdigest()
    return f"{_OTHER.sub('_', shown)[: chars_max - _DIGEST - 1]}_{digest}"


def rounded(schema: bytes) -> bytes:
    """A tool's schema with what several dialects want of every one: its type and its properties."""
    try:
        fields = _fields(schema)
    except UNREADABLE:
        return schema
    if fields.keys() >= _ROUND.keys() or bytes(fields.get("type", b'"object"')) != b'"object"':
        return schema
    return msgspec.json.encode({**_ROUND, **fields})


def remembered(write: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """The same for a tool's schema, which comes again with every turn of a conversation. Those of
    usual size are remembered.
    """
    known = lru_cache(_SCHEMAS_MAX)(write)

    @wraps(write)
    def remembering(schema: bytes) -> bytes:
        return known(schema) if len(schema) <= _SCHEMA_BYTES_MAX else write(schema)

    return remembering


@remembered
def flat(schema: bytes) -> bytes:
    """A tool's schema, rounded, and without alternatives at its top or a reference there,
    which some dialects refuse.

    All fields of all alternatives are its fields then, and those are required that all require:
    what was allowed still is. Its very bytes where it needs nothing.
    """
    if not any(name in schema for name in _ALTERNATIVES_SAID):
        return rounded(schema)
    try:
        fields = msgspec.json.decode(schema, type=dict[str, Any])
        if isinstance(fields.get("$ref"), str):  # at its top it says nothing else
            fields = {**_referred(fields, fields), **fields}
            del fields["$ref"]
        elif not any(fields.get(name) for name in _ALTERNATIVES):
            return rounded(schema)
        return msgspec.json.encode(_merged(fields))
    except UNREADABLE:
        return schema


_ALTERNATIVES = ("anyOf", "oneOf", "allOf")
_ALTERNATIVES_SAID = tuple(f'"{name}"'.encode() for name in ("$ref", *_ALTERNATIVES))


def is_flat(schema: bytes) -> bool:
    """Whether nothing was lost by making it so."""
    return not any(name in schema for name in _ALTERNATIVES_SAID) or flat(schema) == rounded(schema)


def _merged(schema: dict[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in schema.items() if name not in _ALTERNATIVES}
    fields, required = dict(_object(schema.get("properties"))), _texts(schema.get("required"))
    for name in _ALTERNATIVES:
        options = [_referred(one, schema) for one in _list(schema.get(name))]
        needs = [set(_texts(one.get("required"))) for one in options]
        for one in options:
            fields = {**_object(one.get("properties")), **fields}
        if needs:
            common = set.union(*needs) if name == "allOf" else set.intersection(*needs)
            required += sorted(common.difference(required))
    found |= {"type": "object", "properties": fields}
    return {**found, "required": required} if required else found


def _referred(schema: object, top: dict[str, Any]) -> dict[str, Any]:
    """The schema, or the one among the top's definitions that it refers to."""
    found = _object(schema)
    name = str(found.get("$ref", "")).rpartition("/")[2]
    for place in ("$defs", "definitions"):
        named = _object(top.get(place)).get(name)
        if isinstance(named, dict):
            return named
    return found


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _texts(value: object) -> list[str]:
    return [one for one in _list(value) if isinstance(one, str)]


def itemised(schema: bytes) -> bytes:
    """The schema with a word on the items of every array, as OpenAI's dialects want it."""
    if schema.count(b'"array"') <= schema.count(b'"items"') + schema.count(b'"prefixItems"'):
        return schema
    return rewritten(schema, _with_items)


def _with_items(schema: Schema) -> Schema:
    kind = schema.get("type")
    is_array = kind == "array" or (isinstance(kind, list) and "array" in kind)
    return schema if not is_array or "items" in schema else {**schema, "items": {}}


def looks_fitted(name: str) -> bool:
    """Whether `fitted` may have made this: then it is worth looking for what it was made of."""
    return len(name) > _DIGEST and name[-_DIGEST - 1] == "_"


def paired(ask: Ask, field: str) -> Ask:
    """The ask with an id of its own for every call, and its results right behind it.

    Engines give the same id twice, in one turn or in several; clients say something else first.
    Raises BadFieldError for a result that no call asked for, and for a call whose result is missing
    when the conversation goes on: every dialect refuses those. `field` is where its client said it.
    """
    seen: set[str] = set()
    waiting: dict[str, deque[str]] = {}
    turns: list[Turn] = []
    for turn in _results_first(ask.turns):
        if turn.role == "assistant" and waiting:
            raise _unanswered(field, waiting)
        if any(isinstance(part, ToolCall | ToolResult) for part in turn.parts):
            parts = tuple(_own(field, part, seen, waiting) for part in turn.parts)
            turn = msgspec.structs.replace(turn, parts=parts)  # noqa: PLW2901 - the same turn
        turns.append(turn)
    if waiting:
        raise _unanswered(field, waiting)
    return msgspec.structs.replace(ask, turns=tuple(turns))


def _results_first(turns: Sequence[Turn]) -> Sequence[Turn]:
    """The turns with results in none but the first behind the model's, whoever spoke between."""
    found: list[Turn] = []
    first = 0
    for turn in turns:
        results = [part for part in turn.parts if isinstance(part, ToolResult)]
        if turn.role == "assistant":
            first = len(found) + 1
        elif results and first < len(found):
            rest = tuple(part for part in turn.parts if not isinstance(part, ToolResult))
            if found[first].role == "user":
                parts = sorted((*found[first].parts, *results), key=_is_no_result)
                found[first] = Turn("user", tuple(parts))
            else:
                found.insert(first, Turn("user", tuple(results)))
            if not rest:
                continue
            turn = Turn("user", rest)  # noqa: PLW2901 - what is left of it
        found.append(turn)
    return found


def _is_no_result(part: Part) -> bool:
    return not isinstance(part, ToolResult)


def _own(field: str, part: Part, seen: set[str], waiting: dict[str, deque[str]]) -> Part:
    if isinstance(part, ToolCall):
        own, number = part.id, len(seen)
        while own in seen or not own:
            number += 1
            own = f"{part.id or 'call'}_{number}"
        seen.add(own)
        waiting.setdefault(part.id, deque()).append(own)
        return part if own == part.id else msgspec.structs.replace(part, id=own)
    if isinstance(part, ToolResult):
        due = waiting.get(part.id)
        if not due:
            raise BadFieldError(
                f"{field}: a tool result names the call {part.id[:80]!r},"
                " which is not in the turn before it"
            )
        own = due.popleft()
        if not due:
            del waiting[part.id]
        return part if own == part.id else msgspec.structs.replace(part, id=own)
    return part


def _unanswered(field: str, waiting: dict[str, deque[str]]) -> BadFieldError:
    return BadFieldError(f"{field}: the tool call {next(iter(waiting))[:80]!r} has no result")
