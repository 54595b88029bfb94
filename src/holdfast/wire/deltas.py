"""The neutral stream: one algebra of events, its grammar as a table, and who checks it.

A reader brings an upstream's events into deltas whose indexes are the upstream's own, in whatever
order it sends them; `wire.mend` makes a stream of this grammar of them; a writer says such a
stream in its dialect. In the grammar blocks have dense indexes, never overlap, are begun by their
first delta and ended by `BlockEnded`; a tool's call is one block, begun by `ToolCallBegun`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct

from holdfast.facts.losses import Lost
from holdfast.facts.outcomes import Failure, Usage
from holdfast.wire.grammar import Table
from holdfast.wire.sse import SseEvent

# `tool_calls`: the client's turn to run tools; `pause`: the provider wants to be asked to go on.
Stop = Literal["end", "length", "stop_sequence", "refusal", "tool_calls", "pause"]


class Opened(Struct, frozen=True, gc=False):
    """The answer begins; its name and its model's, as far as the upstream gave them."""

    id: str = ""
    model: str = ""


class TextDelta(Struct, frozen=True, gc=False):
    """More words in this block."""

    index: int
    text: str


class RefusalDelta(Struct, frozen=True, gc=False):
    """More words of a refusal."""

    index: int
    text: str


class ThinkingDelta(Struct, frozen=True, gc=False):
    """More thoughts; or the signature, or the encrypted payload, of this block. One with nothing
    in it announces thoughts, which may not be shown.

    `origin` is the dialect whose provider thinks, as in `speech.Thinking`.
    """

    index: int
    text: str = ""
    signature: str = ""
    data: str = ""
    origin: str = ""

    @property
    def announces(self) -> bool:
        """Whether there is nothing in it yet."""
        return not (self.text or self.signature or self.data)


class ToolCallBegun(Struct, frozen=True, gc=False):
    """A tool is called; its arguments follow in pieces of JSON text."""

    index: int
    id: str
    name: str


class ToolArgsDelta(Struct, frozen=True, gc=False):
    """More of a call's arguments."""

    index: int
    json: str


class BlockEnded(Struct, frozen=True, gc=False):
    """This block is whole."""

    index: int


class Odds(Struct, frozen=True, gc=False):
    """How likely the words of the next TextDelta were: a list of tokens, see `wire.odds`."""

    tokens: bytes


class UsageSeen(Struct, frozen=True):
    """All that the provider has counted so far."""

    usage: Usage


class Stopped(Struct, frozen=True, gc=False):
    """The terminal event: the answer is whole. `sequence`: the stop sequence that was met."""

    stop: Stop = "end"
    sequence: str = ""


class Ping(Struct, frozen=True, gc=False):
    """The upstream is alive and says nothing that can be carried."""


class Fault(Struct, frozen=True):
    """The stream failed; nothing follows."""

    failure: Failure


class Of(Struct, frozen=True, gc=False):
    """What another of several answers says; the first, with number 0, says its own bare.

    Each of them is a stream of the grammar by itself, but for its opening and the usage, which are
    the first's, and which stands around the others: it is opened before them and stops behind them.
    """

    choice: int
    delta: Delta


Delta = (
    Opened
    | TextDelta
    | RefusalDelta
    | ThinkingDelta
    | ToolCallBegun
    | ToolArgsDelta
    | BlockEnded
    | Odds
    | UsageSeen
    | Stopped
    | Ping
    | Fault
    | Of
)


class DeltaReader(Protocol):
    """Reads one upstream stream into deltas, with indexes and an order of the upstream's own.

    `lost` is what it held so far that no delta says, each thing once.
    """

    lost: tuple[Lost, ...]

    def read(self, event: SseEvent) -> Sequence[Delta]:
        """What this event says. Never raises: what is wrong is a Fault, the last delta."""
        ...

    def run(self, block: bytes) -> TextDelta | None:
        """These whole events as one delta, where they are nothing but words of one block, known
        at a glance; None wherever it is not certain: then each of them is read.
        """
        ...

    def close(self) -> Sequence[Delta]:
        """The stream ended without its terminal event: a Stopped where the answer is whole."""
        ...


class DeltaWriter(Protocol):
    """Writes one stream, from deltas that keep the grammar, for a client of a dialect.

    `several`: the dialect has a word for more than one answer. Where it has none, no Of is written.
    """

    several: bool

    def write(self, delta: Delta) -> bytes:
        """The events that say this; b"" where it is said later or not at all. A Fault is not
        written: the flight says errors.
        """
        ...


# -------------------------------------------------------------------- grammar

State = Literal["start", "between", "text", "refusal", "thinking", "call", "stopped"]

# What may stand where, and what it leads to. Beside it: the first delta of a block has the next
# dense index, those that follow the same one. Pings, odds and counts may stand anywhere but at the
# ends, and a fault wherever there is something left to fail.
_BLOCKS: dict[State, dict[type, State]] = {
    "start": {Opened: "between"},
    "between": {
        TextDelta: "text",
        RefusalDelta: "refusal",
        ThinkingDelta: "thinking",
        ToolCallBegun: "call",
        Stopped: "stopped",
    },
    "text": {TextDelta: "text", BlockEnded: "between"},
    "refusal": {RefusalDelta: "refusal", BlockEnded: "between"},
    "thinking": {ThinkingDelta: "thinking", BlockEnded: "between"},
    "call": {ToolArgsDelta: "call", BlockEnded: "between"},
    "stopped": {},
}
_BESIDE = (Odds, Ping, UsageSeen)
GRAMMAR: Table[State, type] = Table(
    {
        state: {
            **row,
            **({} if state in ("start", "stopped") else dict.fromkeys(_BESIDE, state)),
            **({} if state == "stopped" else {Fault: "stopped"}),
        }
        for state, row in _BLOCKS.items()
    },
    added=(Opened, BlockEnded),
)


class Grammar:
    """Follows one neutral stream and says where it leaves the grammar."""

    __slots__ = ("index", "state")

    def __init__(self) -> None:
        self.state: State = "start"
        self.index = -1  # of the block that is open, or was last

    def check(self, delta: Delta) -> str | None:
        """What is wrong with this delta here; None where nothing is."""
        kind = type(delta)
        following = GRAMMAR.after(self.state, kind)
        if following is None:
            return f"{kind.__name__} in state {self.state}"
        index = getattr(delta, "index", None)
        if index is not None:
            due = self.index + 1 if self.state == "between" else self.index
            if index != due:
                return f"{kind.__name__} of block {index}, where {due} is due"
            self.index = due
        self.state = following
        return None
