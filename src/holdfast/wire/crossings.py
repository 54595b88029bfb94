"""What a conversation left with a provider when its client had no place to keep it.

Providers sign what their models thought and want it back, byte for byte, with the calls that it
led to. A client whose dialect has no word for a signature cannot hand it back; so it is kept here
by the ids of those calls, and put in again when the conversation returns to that provider. The
same for ids that had to be fitted. Bounded and forgetful; time comes in as an argument.

What was kept for one credential (`owner`, a mark of it) is given back to that one alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from holdfast.wire.conversations import Conversations
from holdfast.wire.deltas import Delta, Stopped, ThinkingDelta, ToolCallBegun
from holdfast.wire.signers import Signers
from holdfast.wire.speech import Ask, Part, Thinking, ToolCall, ToolResult, Turn

KEPT_MAX = 10_000
KEPT_BYTES_MAX = 64 << 20
KEPT_S = 6 * 3600.0
Key = tuple[str, str, str]  # the owner, the id of a call as the client knows it, and its tool


class _Kept(Struct, frozen=True):
    """What belongs to one call. Thoughts stand with the first call of their turn."""

    provider: str
    id: str
    thoughts: tuple[Thinking, ...]
    until: float
    size: int


class Crossings:
    """Thoughts and ids by the calls that a client knows; conversations that it only names; and who
    signed what it hands back.
    """

    __slots__ = ("_bytes", "_kept", "conversations", "signers")

    def __init__(self) -> None:
        self.conversations = Conversations()
        self.signers = Signers()
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def keep(
        self,
        provider: str,
        parts: Sequence[Part],
        shown: Sequence[str],
        at: float,
        *,
        owner: str = "",
    ) -> None:
        """An answer of this provider crossed; `shown` are the ids of its calls as the client was
        given them, in their order.
        """
        thoughts = tuple(
            part for part in parts if isinstance(part, Thinking) and (part.signature or part.data)
        )
        calls = [part for part in parts if isinstance(part, ToolCall)]
        for call, id_ in zip(calls, shown, strict=True):
            if thoughts or call.id != id_:
                self._put((owner, id_, call.name), provider, call.id, thoughts, at)
            thoughts = ()

    def _put(
        self,
        key: Key,
        provider: str,
        id_: str,
        thoughts: tuple[Thinking, ...],
        at: float,
    ) -> None:
        size = 200 + sum(len(t.text) + len(t.signature) + len(t.data) for t in thoughts)
        self._drop(key)
        self._kept[key] = _Kept(provider, id_, thoughts, at + KEPT_S, size)
        self._bytes += size
        while len(self._kept) > KEPT_MAX or self._bytes > KEPT_BYTES_MAX:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: Key) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self._bytes -= found.size

    def restored(self, ask: Ask, provider: str, at: float, *, owner: str = "") -> Ask:
        """The ask with what this provider knows it by: its ids, its thoughts before its calls."""
        if not self._kept:
            return ask
        ids: dict[str, str] = {}
        turns = tuple(self._turn(turn, provider, at, ids, owner) for turn in ask.turns)
        if not ids:
            return ask
        return msgspec.structs.replace(ask, turns=turns)

    def _turn(self, turn: Turn, provider: str, at: float, ids: dict[str, str], owner: str) -> Turn:
        parts: list[Part] = []
        for part in turn.parts:
            if isinstance(part, ToolCall):
                found = self._kept.get((owner, part.id, part.name))
                if found is not None and found.provider == provider and at <= found.until:
                    ids[part.id] = found.id
                    parts = [*found.thoughts, *parts]
                    part = msgspec.structs.replace(part, id=found.id)  # noqa: PLW2901 - its id
            elif isinstance(part, ToolResult) and part.id in ids:
                part = msgspec.structs.replace(part, id=ids[part.id])  # noqa: PLW2901 - its id
            parts.append(part)
        return Turn(turn.role, tuple(parts))


class Gathered:
    """The thoughts and calls of a stream that crosses, until it is whole."""

    __slots__ = ("_calls", "_thoughts")

    def __init__(self) -> None:
        self._thoughts: dict[int, Thinking] = {}
        self._calls: list[ToolCall] = []

    def see(self, delta: Delta) -> Sequence[Part] | None:
        """Take a delta of the neutral grammar; the parts at its end, where there is a call."""
        if isinstance(delta, ThinkingDelta):
            known = self._thoughts.get(delta.index, Thinking())
            self._thoughts[delta.index] = Thinking(
                known.text + delta.text,
                known.signature + delta.signature,
                known.data + delta.data,
                delta.origin,
            )
        elif isinstance(delta, ToolCallBegun):
            self._calls.append(ToolCall(delta.id, delta.name))
        elif isinstance(delta, Stopped) and self._calls:
            return (*self._thoughts.values(), *self._calls)
        return None
