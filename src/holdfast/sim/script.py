"""What an invented provider does with one request, as data: timed steps, played by any shell.

A script says what the client of the provider gets to see, in order, and nothing about sockets.
It either never gets to HTTP (`Refuse`, `Blackhole`), or is a `Head`, some `Bytes`, and one ending;
`Cut`, `Fin` and `Stall` may also come before the head. Framing (content-length or chunks) is the
player's business: a head carries no header that frames.
"""

from __future__ import annotations

from msgspec import Struct

from holdfast.facts.calls import Headers


class Head(Struct, frozen=True):
    """The status line and the header fields."""

    status: int
    headers: Headers = ()


class Bytes(Struct, frozen=True):
    """Bytes of the body, as they are written in one go."""

    data: bytes


class End(Struct, frozen=True):
    """The body ends as HTTP says it should. Whether the answer was whole is another matter."""


class Cut(Struct, frozen=True):
    """The connection is reset (RST)."""


class Fin(Struct, frozen=True):
    """The connection is closed (FIN) although HTTP was not done with the message."""


class Stall(Struct, frozen=True):
    """Nothing more comes, for ever; the connection stays."""


class Refuse(Struct, frozen=True):
    """Nobody listens: the connection is refused."""


class Blackhole(Struct, frozen=True):
    """Nobody answers: the connection is never made."""


Does = Head | Bytes | End | Cut | Fin | Stall | Refuse | Blackhole


class Step(Struct, frozen=True):
    """Wait `wait_s` seconds after the step before (or after the request had arrived), then act."""

    wait_s: float
    does: Does


Script = tuple[Step, ...]

NO_CONNECTION = (Refuse, Blackhole)
ENDINGS = (End, Cut, Fin, Stall)


def problem(script: Script) -> str:
    """What is wrong with a script by the grammar above, "" where nothing is."""
    kinds = [type(step.does) for step in script]
    if any(step.wait_s < 0 for step in script):
        return "a step waits for a negative time"
    if len(kinds) == 1 and kinds[0] in NO_CONNECTION:
        return ""
    if not kinds or kinds[-1] not in ENDINGS:
        return "it does not say how it ends"
    body = kinds[:-1]
    if not body:
        return "" if kinds[-1] is not End else "it ends before it began"
    if body[0] is not Head or any(kind is not Bytes for kind in body[1:]):
        return "it is not a head and then bytes"
    return ""


def body_of(script: Script) -> bytes:
    """All bytes of the body that a script writes."""
    return b"".join(step.does.data for step in script if isinstance(step.does, Bytes))


def head_of(script: Script) -> Head | None:
    """The head that a script writes, None where it does not get so far."""
    return next((step.does for step in script if isinstance(step.does, Head)), None)
