"""The neutral form: what a conversation says, whichever dialect says it.

Plain text with a system prompt for now. What a dialect cannot bring into this form it refuses
with `CannotCrossError`, so that the route goes on to another target and nothing is sent broken.
"""

from __future__ import annotations

from typing import Literal, Protocol

from msgspec import Struct

from holdfast.facts.outcomes import Failure, PieceKind, Usage
from holdfast.wire.sse import SseEvent

Stop = Literal["end", "length", "stop_sequence", "refusal"]


class BadBodyError(Exception):
    """The request is wrong wherever it goes; the text names the field and the remedy."""


class CannotCrossError(Exception):
    """This request cannot be said in the other dialect (yet); the text names what stands out."""


class Turn(Struct, frozen=True):
    role: Literal["user", "assistant"]
    text: str


class Ask(Struct, frozen=True, kw_only=True):
    """A request for text. Sampling values are None where the client set none."""

    system: str = ""
    turns: tuple[Turn, ...]
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    stream: bool = False


class Answer(Struct, frozen=True, kw_only=True):
    """A whole answer. `id` and `model` as the upstream gave them."""

    id: str
    model: str
    text: str
    stop: Stop
    usage: Usage = Usage()


class Reader(Protocol):
    """Reads one upstream stream of a dialect, event by event."""

    usage: Usage
    stop: Stop | None
    id: str
    model: str
    failure: Failure | None

    def read(self, event: SseEvent) -> PieceKind:
        """What this event is; for FAULT, `failure` says how."""
        ...

    def text(self, event: SseEvent) -> str:
        """The text that a CONTENT event adds, "" for none."""
        ...

    def rescue(self, event: SseEvent) -> bytes:
        """Bytes to put before this event where the stream lacks its opening."""
        ...

    def closing(self) -> bytes | None:
        """The stream stopped: the terminal event to add if the answer is whole, else None."""
        ...


class Writer(Protocol):
    """Writes one stream for a client of a dialect."""

    def opening(self, id_: str, model: str) -> bytes: ...
    def text(self, text: str) -> bytes: ...
    def end(self, stop: Stop, usage: Usage) -> bytes: ...
