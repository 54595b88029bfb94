"""Lists of models: an upstream's, in whichever dialect; and the part of one that is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct

from holdfast.wire.speech import UNREADABLE, BadBodyError, Model

LIMIT_MAX = 1000
ID_CHARS_MAX = 256
_TALKS = "generateContent"


class _Entry(Struct):
    """One model, with the names that each dialect has for the same."""

    id: object = None
    name: object = None
    display_name: object = None
    displayName: object = None  # noqa: N815 - Gemini's own
    created: object = None
    created_at: object = None
    max_input_tokens: object = None
    inputTokenLimit: object = None  # noqa: N815
    context_length: object = None
    context_window: object = None
    supportedGenerationMethods: object = None  # noqa: N815


class _List(Struct):
    data: list[_Entry] = []
    models: list[_Entry] = []


_decode = msgspec.json.Decoder(_List).decode


def read_models(body: bytes) -> tuple[Model, ...]:
    """The models that can be talked to in a list of an upstream; empty for anything else.

    Never raises.
    """
    try:
        found = _decode(body)
    except UNREADABLE:
        return ()
    models = (_model(entry) for entry in (*found.data, *found.models)[:LIMIT_MAX])
    return tuple({model.id: model for model in models if model is not None}.values())


def _model(entry: _Entry) -> Model | None:
    methods = entry.supportedGenerationMethods
    if isinstance(methods, list) and _TALKS not in methods:
        return None
    name = entry.id if isinstance(entry.id, str) else entry.name
    name = name.removeprefix("models/") if isinstance(name, str) else ""
    if not name.isprintable() or not 0 < len(name) <= ID_CHARS_MAX:
        return None
    title = next((t for t in (entry.display_name, entry.displayName) if isinstance(t, str)), "")
    windows = (
        entry.max_input_tokens,
        entry.inputTokenLimit,
        entry.context_length,
        entry.context_window,
    )
    window = next((w for w in windows if type(w) is int and w > 0), None)
    return Model(name, title[:ID_CHARS_MAX], window, _created(entry))


def _created(entry: _Entry) -> int:
    """Seconds since the epoch, 0 where it is not said."""
    if type(entry.created) is int and 0 <= entry.created < 1 << 40:
        return entry.created
    try:
        said = datetime.fromisoformat(str(entry.created_at))
    except ValueError:
        return 0
    return max(0, int(said.replace(tzinfo=said.tzinfo or UTC).timestamp()))


def asked_of(query: str) -> dict[str, str]:
    """What a query says of a list."""
    return dict(parse_qsl(query))


def limit_of(asked: Mapping[str, str], name: str) -> int:
    """How many are wanted at once: all, where that is not said. Raises BadBodyError."""
    said = asked.get(name, "")
    if not said or said == "0":  # Gemini's way of not saying it
        return LIMIT_MAX
    if not (said.isascii() and said.isdigit() and len(said) < 9):
        raise BadBodyError(f"holdfast: {name}: {said[:20]!r} is no number of models.")
    return min(int(said), LIMIT_MAX)


def page(
    models: Sequence[Model], limit: int, *, after: str = "", before: str = "", name: str = ""
) -> tuple[list[Model], bool]:
    """At most `limit` models behind (or before) the one of this id; whether there are more.

    `name` is the field that says the id. Raises BadBodyError where no model has it.
    """
    marked = after or before
    at = next((n for n, model in enumerate(models) if model.id == marked), None)
    if marked and at is None:
        raise BadBodyError(f"holdfast: {name}: {marked[:100]!r} is not in the list of models.")
    if before:
        rest = list(models[:at])
        return rest[-limit:], len(rest) > limit
    rest = list(models[0 if at is None else at + 1 :])
    return rest[:limit], len(rest) > limit
