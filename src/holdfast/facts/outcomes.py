"""What happened: failures, what they were judged to mean, usage, times."""

from __future__ import annotations

from enum import IntEnum
from typing import Literal

from msgspec import Struct

from holdfast.facts.calls import Headers

FailureKind = Literal[
    # before a byte of the answer
    "refused",  # nobody listens there
    "unreachable",  # no route, network down
    "dns",  # the name does not resolve
    "tls",  # handshake or certificate
    "connect_timeout",  # a blackhole
    "stale",  # a reused connection was found closed before any byte of an answer
    "reset",  # cut before the head of the answer
    "headers_timeout",
    # in the answer
    "status",  # an HTTP status that says failure, body read whole
    "not_json",  # HTML or other text where JSON was due
    "absent",  # it has no such thing: a status that says so, or a success without a count in it
    "unshown",  # an answer of another dialect that holds nothing which its client can be shown
    "empty",  # a 200 without an answer in it
    "error_event",  # the stream itself says error, or a 200 holds an error object
    "content_timeout",  # headers, but no content
    "idle_timeout",  # content, then silence
    "truncated",  # ended without its terminal event, or cut in the body
    "garbage",  # bytes that are not of the dialect
    "protocol",  # not HTTP, or HTTP that must not be passed on
    "too_large",  # an answer beyond our bounds
    # ours
    "internal",
]

Where = Literal["connect", "before_headers", "body", "in_stream"]


class Said(Struct, frozen=True):
    """An error in a provider's own words, brought to one shape by `wire`."""

    type: str = ""
    code: str = ""
    message: str = ""


class Failure(Struct, frozen=True, kw_only=True):
    """One attempt's failure, as evidence: what arrived, where, and in whose words.

    `text` is for people ("connection refused by 127.0.0.1:9"). `body` is the error's bytes as
    they came (bounded), so that it can be passed on unchanged; `headers` are the upstream's.
    `crossed`: they are of another dialect than the client's.
    """

    kind: FailureKind
    where: Where
    text: str = ""
    status: int | None = None
    headers: Headers = ()
    body: bytes = b""
    said: Said = Said()
    crossed: bool = False


Whose = Literal["provider", "account", "request", "network", "local", "intermediary", "unknown"]
Action = Literal[
    "retry_same",
    "fail_over",
    "wait_retry_after",
    "surface_to_user",
    "fail_over_and_tell_user",
    "shrink_or_larger_context",
]
# Which part of the tree a failure speaks about (see core/health).
Scope = Literal["nothing", "provider", "model", "credential", "leaf"]


class Verdict(Struct, frozen=True, kw_only=True):
    """Whose fault, which cause, how sure, what to do, because of what.

    `scope` says what the failure speaks about; `rest_s` is how long the other side asked to be
    left alone (`Retry-After` and its relatives), None when it did not say.
    """

    whose: Whose
    cause: str
    confidence: float
    action: Action
    because: tuple[str, ...] = ()
    scope: Scope = "nothing"
    rest_s: float | None = None

    def __str__(self) -> str:
        return f"{self.whose};{self.cause};{self.confidence:.2f}"


class Usage(Struct, frozen=True, gc=False):
    """Tokens as counted by the provider. Cache reads and writes stand *beside* `input`.

    (Anthropic's way. Providers that count cached tokens within the input are normalised.)
    `thought` are those of `output` that the model spent on thinking. None: not said.
    """

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    thought: int | None = None


class Times(Struct, frozen=True, gc=False):
    """Seconds since the attempt's start; None: did not get so far."""

    sent: float | None = None
    headers: float | None = None
    content: float | None = None
    end: float | None = None


class PieceKind(IntEnum):
    """What one piece of an answer means to the flight."""

    OPENING = 0  # envelope before content (message_start, role chunk): held until content
    PING = 1  # keeps alive, says nothing
    THINKING = 2  # says that the model thinks, perhaps for long; held like the envelope
    CONTENT = 3  # the first of these is the commit point
    END = 4  # the terminal event: the answer is whole
    FAULT = 5  # the answer failed; `failure` says how


# For every piece of every answer: by the class it takes ten times as long.
OPENING, PING, THINKING, CONTENT, END, FAULT = PieceKind


class Piece(Struct, frozen=True, gc=False):
    """One event of an answer: its meaning, and the bytes for the client (its own dialect).

    `data` may be empty. A FAULT's `data`, when not empty, is the upstream's own error event in
    the client's dialect, to be passed on as it came.
    """

    kind: PieceKind
    data: bytes = b""
    failure: Failure | None = None
