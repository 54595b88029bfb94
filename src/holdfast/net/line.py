"""The asker's end of one asking: where its answer goes, how it is steered.

A `Line` and the connection that carries it part when the answer is over, so an old line cannot
touch a connection that meanwhile serves somebody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from holdfast.facts.calls import Headers
from holdfast.facts.fingerprints import Evidence
from holdfast.facts.outcomes import Failure
from holdfast.wire.marks import marks_of


class Sink(Protocol):
    """Where an answer goes. Called on the loop's thread, never from within `Dialer.ask`.

    The order is `sent`, `head`, `body`*, then exactly one of `ended` or `broke`, which may come
    at any point (`broke` even before `sent`, where dialling failed). After that, and after
    `Line.hang_up` or `Line.release`, nothing more is called.
    """

    def sent(self, reused: bool) -> None:  # noqa: FBT001 - the only argument there is
        """The request was handed to a connection, `reused` from an earlier answer or new."""

    def head(self, status: int, headers: Headers) -> None:
        """The final head arrived: names in lower case, order and repetition as they came."""

    def body(self, data: bytes) -> None:
        """Some of the body, free of chunk framing, as it came."""

    def ended(self) -> None:
        """The body ended as HTTP says it should."""

    def broke(self, failure: Failure) -> None:
        """The asking failed; `failure` says where, and how."""


# In place of a sink's `head`, `body` and `ended`, where an answer came in one piece.
Whole = Callable[[int, Headers, bytes], None]


class Carrier(Protocol):
    """The connection, as far as a line needs it (see `holdfast.net.pipe`)."""

    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def settle(self) -> None: ...
    def drop(self) -> None: ...


class Way:
    """How a connection came about: the evidence of its dialling.

    Durations are in seconds, None where it did not get so far. `peer` is the address reached
    (or last tried). `issuer` and `alpn` are None without TLS, `tls` (its version) is empty;
    `names` are the certificate's, sorted. `evidence` comes with the first answer's head.
    """

    __slots__ = (
        "alpn",
        "connect_s",
        "dns_s",
        "evidence",
        "issuer",
        "names",
        "peer",
        "tls",
        "tls_s",
    )

    def __init__(self) -> None:
        self.peer = ""
        self.dns_s: float | None = None
        self.connect_s: float | None = None
        self.tls_s: float | None = None
        self.issuer: str | None = None
        self.alpn: str | None = None
        self.tls = ""
        self.names: tuple[str, ...] = ()
        self.evidence: Evidence | None = None

    def shown(self, headers: Headers = (), headers_s: float | None = None) -> Evidence:
        """What the connection has shown so far, with the head of an answer if there is one."""
        return Evidence(
            address=self.peer.rpartition(":")[0].strip("[]"),
            dns_s=self.dns_s,
            connect_s=self.connect_s,
            tls_s=self.tls_s,
            headers_s=headers_s,
            issuer=self.issuer or "",
            names=self.names,
            tls=self.tls,
            alpn=self.alpn or "",
            headers=marks_of(headers),
        )


class Line:
    """The asker's end of one asking. Once the answer is over, its methods do nothing.

    `eof_delimited` is known with the head: such an answer ends where the connection does.
    """

    __slots__ = (
        "announced",
        "bodiless",
        "eof_delimited",
        "keep",
        "paused",
        "pipe",
        "reused",
        "sent_at",
        "sink",
        "task",
        "way",
        "whole",
    )

    def __init__(
        self, sink: Sink, *, bodiless: bool, keep: bool, whole: Whole | None = None
    ) -> None:
        self.sink: Sink | None = sink
        self.whole = whole
        self.bodiless = bodiless
        self.keep = keep
        self.reused = False
        self.eof_delimited = False
        self.announced = False
        self.paused = False
        self.sent_at = 0.0
        self.pipe: Carrier | None = None
        self.task: asyncio.Task[None] | None = None
        self.way: Way | None = None

    @property
    def peer(self) -> str:
        """The address that answered (or was tried last), as `host:port`; empty before that."""
        return self.way.peer if self.way is not None else ""

    @property
    def evidence(self) -> Evidence | None:
        """What the connection showed of who stands there; the same object for all its answers.

        None before anything was dialled. Without an answer's head, only what the dialling showed.
        """
        way = self.way
        return None if way is None else way.evidence or way.shown()

    def pause(self) -> None:
        """Read no more from the connection for now. What was already read still arrives."""
        if not self.paused:
            self.paused = True
            if self.pipe is not None:
                self.pipe.pause()

    def resume(self) -> None:
        """Read on."""
        if self.paused:
            self.paused = False
            if self.pipe is not None:
                self.pipe.resume()

    def hang_up(self) -> None:
        """Give up now, whatever the state: the socket is closed at once, nothing is called."""
        self.sink = None
        if self.task is not None:
            self.task.cancel()
        elif self.pipe is not None:
            self.pipe.drop()

    def release(self) -> None:
        """The answer is whole for us, though its framing may not have ended. Nothing is called.

        The framing gets a second to end; then the connection serves others, else it is closed.
        """
        if self.task is not None:
            self.hang_up()
        self.sink = None
        if self.pipe is not None:
            self.pipe.settle()

    def announce(self) -> None:
        """Tell the sink, once, that the request was handed over."""
        if not self.announced and self.sink is not None:
            self.announced = True
            self.sink.sent(self.reused)

    def fail(self, failure: Failure) -> None:
        """Tell the sink that it is over; nothing follows."""
        sink, self.sink = self.sink, None
        if sink is not None:
            sink.broke(failure)
