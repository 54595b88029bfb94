"""The neutral form: what a conversation says, whichever dialect says it.

Plain text with a system prompt for now. What a dialect cannot bring into this form it refuses
with `CannotCrossError`, so that the route goes on to another target and nothing is sent broken.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any, Literal, Protocol

from msgspec import Struct

from holdfast.facts.outcomes import Failure, PieceKind, Said, Usage
from holdfast.wire.sse import SseEvent

Stop = Literal["end", "length", "stop_sequence", "refusal"]

# What reading bytes as JSON may raise: not JSON or not of the shape (msgspec's errors are
# ValueErrors, so is bad UTF-8), or nested beyond what the interpreter's stack bears.
UNREADABLE = (ValueError, RecursionError)


class BadBodyError(Exception):
    """The request is wrong wherever it goes; the text names the field and the remedy."""


class CannotCrossError(Exception):
    """This cannot be said in the other dialect (yet); the text names what stands out."""


def refuse_the_rest(
    fields: dict[str, Any], dropped: Container[str], neutral: Mapping[str, object]
) -> None:
    """Raise CannotCrossError, with their names, for fields of a request that nobody has taken.

    Passed over are those in `dropped`, which change no answer, those that are empty, and those
    that have the value in `neutral`, which is the same as leaving them out.
    """
    left = sorted(
        name
        for name, value in fields.items()
        if name not in dropped and value not in (None, [], neutral.get(name))
    )
    if left:
        raise CannotCrossError(f"the request uses {', '.join(left)}, which cannot cross yet")


class Turn(Struct, frozen=True):
    role: Literal["user", "assistant"]
    text: str


class Sampling(Struct, frozen=True, kw_only=True):
    """How the answer is drawn. None where the client set nothing."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    stream: bool = False


class Ask(Struct, frozen=True, kw_only=True):
    """A request for text: at least one turn, the last of them the user's."""

    system: str = ""
    turns: tuple[Turn, ...]
    sampling: Sampling = Sampling()


class Answer(Struct, frozen=True, kw_only=True):
    """A whole answer. `id` and `model` as the upstream gave them."""

    id: str
    model: str
    text: str
    stop: Stop
    usage: Usage = Usage()


class Whole(Struct, frozen=True, kw_only=True):
    """What a whole body is: an answer in words, an object with an error in it, or neither."""

    answer: bool
    error: bool
    usage: Usage = Usage()


class Reader(Protocol):
    """Reads one upstream stream of a dialect, event by event.

    `spoke`: content has been seen. `missing`: bytes of an opening that the stream left out, due
    before the event that was read last. `failure` says how, after a FAULT.
    """

    usage: Usage
    stop: Stop | None
    id: str
    model: str
    spoke: bool
    missing: bytes
    failure: Failure | None

    def read(self, event: SseEvent) -> PieceKind:
        """What this event is. Never raises."""
        ...

    def text(self, event: SseEvent) -> str | None:
        """The text that a CONTENT event adds; "" for thinking, which does not cross; None for
        what says nothing. Raises CannotCrossError for what must not be lost, such as a tool call.
        """
        ...

    def flows(self, block: bytes) -> bool:
        """Whether these whole events are content and nothing else, known after the first content.

        They need not be read then. False wherever it is not certain at a glance.
        """
        ...

    def closing(self) -> bytes | None:
        """The stream stopped: the terminal event to add if the answer is whole, else None."""
        ...


class Writer(Protocol):
    """Writes one stream for a client of a dialect."""

    def opening(self, id_: str, model: str) -> bytes: ...
    def ping(self) -> bytes: ...
    def text(self, text: str) -> bytes: ...
    def end(self, stop: Stop, usage: Usage) -> bytes: ...


class Speaking(Protocol):
    """What a dialect's module gives. A new dialect is such a module and a row in `wire.speak`.

    `PATH` and `SURFACE` are those of a request for text; `HEADERS` go with a request that was
    written anew, in place of the client's own whose names begin with one of `OWN_PREFIXES`.
    `OVERLOADED` is the status by which its providers say that they cannot, for now.
    """

    PATH: str
    SURFACE: str
    HEADERS: tuple[tuple[bytes, bytes], ...]
    OWN_PREFIXES: tuple[bytes, ...]
    OVERLOADED: int

    def read_ask(self, body: bytes) -> Ask:
        """A request in the neutral form. Raises CannotCrossError, ValueError, TypeError."""
        ...

    def write_ask(self, ask: Ask, model: str) -> bytes:
        """A request for a target of this dialect. Raises CannotCrossError."""
        ...

    def read_answer(self, body: bytes) -> Answer:
        """A whole answer of text. Raises CannotCrossError, or one of UNREADABLE."""
        ...

    def write_answer(self, answer: Answer, created: int) -> bytes:
        """A whole answer for a client of this dialect; `created` in seconds since the epoch."""
        ...

    def read_whole(self, body: bytes) -> Whole:
        """What a whole body is. Raises one of UNREADABLE when it is not a JSON object."""
        ...

    def stream_reader(self, model: str) -> Reader:
        """A reader of one stream; `model` is put where the stream must be mended."""
        ...

    def stream_writer(self, asked: bytes, created: int) -> Writer:
        """A writer of one stream for a client that asked with this body."""
        ...

    def said(self, body: bytes) -> Said: ...
    def error_type(self, status: int) -> str: ...
    def error_body(self, type_: str, message: str) -> bytes: ...
    def error_event(self, type_: str, message: str) -> bytes: ...
    def models_body(self, ids: list[str]) -> bytes: ...
