"""Bytes in, requests out: what one connection's client sent, read without a socket or a clock.

llhttp reads the framing (RFC 9112) with every leniency off; `head` refuses what it lets pass, and
the doorman what may not come in. What is malformed or ambiguous becomes a `Refusal` behind the
requests before it, and nothing behind that is ever read.
"""

from __future__ import annotations

from typing import Any

from httptools import (
    HttpParserCallbackError,
    HttpParserError,
    HttpParserUpgrade,
    HttpRequestParser,
)
from msgspec import Struct

from holdfast.net.doorman import Doorman, Refusal
from holdfast.net.familiar import Familiar
from holdfast.net.head import Head, RefusedError, read_head
from holdfast.net.reply import Request

# How much is given to the parser at a time. It reads on behind a request's end, so this also
# bounds how many small pipelined requests can be waiting in a row.
SLICE = 16_384
PATH_SEEN_MAX = 512  # of a refused one, to know whose error it is to be


class Bounds(Struct, frozen=True, kw_only=True):
    """What one client may make us hold, and for how long.

    A request's head must be whole `header_s` after the connection or the head began; its body
    must come at `body_rate` bytes/s on the whole, `body_grace_s` not counted; between two
    requests `idle_s` may pass. A reply may pile up `max_buffered` bytes before `writable` turns
    False; when the client takes none of it for `stalled_s`, it is dropped. A connection that we
    close may go on sending for `linger_s`, so that it can read why.
    """

    header_s: float = 10.0
    idle_s: float = 75.0
    body_grace_s: float = 10.0
    body_rate: float = 1024.0
    stalled_s: float = 120.0
    linger_s: float = 2.0
    max_headers: int = 100
    max_header_bytes: int = 32_768
    max_body: int = 32 * 1024 * 1024
    max_buffered: int = 1024 * 1024
    max_connections: int = 10_000

    @property
    def sweep_s(self) -> float:
        """How often deadlines are looked at."""
        shortest = min(self.header_s, self.idle_s, self.body_grace_s, self.stalled_s, self.linger_s)
        return min(1.0, max(0.01, shortest / 4))


class Intake:
    """Reads one connection. After `feed`, `ready` holds what is whole, in order.

    `closed`: nothing more is read, because of a refusal (the last in `ready`), or because the
    last request said so. `crash` is an exception of our own code, where that was the reason.
    `head` is that of a request whose body is still coming.
    """

    __slots__ = (
        "_between",
        "_body",
        "_bounds",
        "_doorman",
        "_familiar",
        "_fed",
        "_headers",
        "_parser",
        "_replaying",
        "_url",
        "closed",
        "crash",
        "head",
        "ready",
    )

    def __init__(self, doorman: Doorman, bounds: Bounds, familiar: Familiar) -> None:
        self._doorman = doorman
        self._familiar = familiar
        self._bounds = bounds
        self._parser: Any = HttpRequestParser(self)  # Any: httptools says too little of it
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: bytes | bytearray = b""
        self._between = True  # no byte of a request has been given to the parser
        self._fed = 0  # bytes given to the parser since the last that were a body's
        self._replaying = False
        self.head: Head | None = None
        self.ready: list[Request | Refusal] = []
        self.closed = False
        self.crash: Exception | None = None

    @property
    def begun(self) -> bool:
        """Whether bytes came that may be the beginning of a head."""
        return self._fed > 0

    @property
    def named_a_target(self) -> bool:
        """Whether those bytes are more than stray line ends."""
        return bool(self._url)

    @property
    def body_bytes(self) -> int:
        """How much of the coming body is there."""
        return len(self._body)

    @property
    def head_only(self) -> bool:
        """Whether the request being read is a HEAD, whose reply must have no body."""
        return self._parser is not None and bool(self._url) and self._parser.get_method() == b"HEAD"

    def feed(self, data: bytes) -> bytes:
        """Read until at least one request is whole; returns what was not read, for later."""
        between = self._between and not self.closed
        request = self._familiar.recognise(data) if between else None
        if request is not None and len(request.body) <= self._bounds.max_body:
            self.ready.append(request)
            return b""
        rest = self._feed_parser(data)
        if between and self._between and not rest and not self.closed and len(self.ready) == 1:
            read = self.ready[0]
            if isinstance(read, Request):
                self._familiar.learn(data, read)
        return rest

    def _feed_parser(self, data: bytes) -> bytes:
        if len(data) <= SLICE:
            self._parse(data)
            return b""
        view = memoryview(data)
        while view and not self.ready and not self.closed:
            self._parse(view[:SLICE])
            view = view[SLICE:]
        return b"" if self.closed else bytes(view)

    def close(self) -> None:
        """Read no more, and let go of everything."""
        self.closed = True
        self.ready.clear()
        self.head = None
        self._body = b""
        self._parser = None  # it holds our methods, and so would hold us

    def _parse(self, data: bytes | memoryview) -> None:
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as stop:
            self._read_on(bytes(data[stop.args[0] :]))
        except HttpParserError as problem:
            self._stumbled(problem, data)
        else:
            bound = self._bounds.max_header_bytes
            if self._fed > bound and not self.closed:
                self._refuse(431, f"its head, or framing without content, is beyond {bound} bytes")

    def _read_on(self, rest: bytes) -> None:
        """The client offers another protocol, and llhttp stopped there: stay with HTTP/1.1.

        A new parser is told how the body is framed, then given what follows the head.
        """
        self._parser = HttpRequestParser(self)
        head = self.head
        if head is not None:
            self._replaying = True
            self._parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % head.framing)
            self._replaying = False
        self._fed = 0
        if rest and not self.closed:
            self._parse(rest)

    def _stumbled(self, problem: Exception, data: bytes | memoryview) -> None:
        """The parser stopped: the request breaks the rules, ours or HTTP's, or our code failed."""
        if self.closed:
            return  # behind the last request
        cause = problem.__context__ if isinstance(problem, HttpParserCallbackError) else None
        if isinstance(cause, RefusedError):
            self._turn_down(cause.refusal)
        elif isinstance(cause, Exception):
            self.crash = cause
            self._turn_down(Refusal(500, "holdfast: its own code failed on this request."))
        elif cause is not None:
            raise cause
        elif data[:1] == b"\x16" and not self._url:
            self._refuse(400, "TLS on a port that speaks plain http; use http://, not https://")
        elif self._parser.get_method() == b"PRI":
            self._refuse(400, "it is HTTP/2, and only 1.1 and 1.0 are spoken here")
        else:
            self._refuse(400, f"it is not valid HTTP/1.1 ({problem})")

    def _refuse(self, status: int, why: str) -> None:
        self._turn_down(RefusedError(status, why).refusal)

    def _turn_down(self, refusal: Refusal) -> None:
        self.closed = True
        self._body = b""
        path = self._url[:PATH_SEEN_MAX].decode("latin-1")
        self.ready.append(Refusal(refusal.status, refusal.text, path))

    # ------------------------------------------------------------ the parser's callbacks

    def on_message_begin(self) -> None:
        self._between = False

    def on_url(self, url: bytes) -> None:
        if not self._replaying:
            self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.head is None:  # later ones are trailers, and nobody asked for those
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._replaying:
            return
        bounds, parser = self._bounds, self._parser
        headers = tuple([(name.lower(), value.rstrip(b" \t")) for name, value in self._headers])
        if len(headers) > bounds.max_headers:
            raise RefusedError(431, f"it has more than {bounds.max_headers} headers")
        # A longer one is longer than a slice, or the bound is shorter than that.
        if self._fed > min(SLICE, bounds.max_header_bytes):
            size = len(self._url) + sum(len(name) + len(value) + 4 for name, value in headers)
            if size > bounds.max_header_bytes:
                raise RefusedError(431, f"its head is beyond {bounds.max_header_bytes} bytes")
        head = read_head(parser.get_method(), self._url, parser.get_http_version(), headers)
        request = head.request
        refusal = self._doorman.check(request.method, request.path, head.named)
        if refusal is not None:
            raise RefusedError(refusal.status, refusal.text, whole=True)
        if head.length > bounds.max_body:
            raise self._too_large()
        request.keep_alive = parser.should_keep_alive()
        self.head = head

    def on_body(self, data: bytes) -> None:
        self._fed = 0
        if not self._body:
            self._body = data
            return
        if type(self._body) is bytes:
            self._body = bytearray(self._body)
        self._body += data
        if len(self._body) > self._bounds.max_body:
            raise self._too_large()

    def on_message_complete(self) -> None:
        head = self.head
        if head is None or (head.framing and self._parser.should_upgrade()):
            return  # its body is still to come, see `_read_on`
        request = head.request
        request.body = bytes(self._body)
        self.ready.append(request)
        self._url = self._body = b""
        self._headers = []
        self.head = None
        self._fed = 0
        self._between = True
        if not request.keep_alive:
            self.closed = True

    def _too_large(self) -> RefusedError:
        bound = self._bounds.max_body
        size = f"{bound >> 20} MB" if bound >> 20 else f"{bound} bytes"
        return RefusedError(413, f"its body is beyond {size}, the most that is taken")
