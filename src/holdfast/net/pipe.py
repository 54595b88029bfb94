"""One connection: requests out, llhttp over what comes in, one line after the other.

HTTP/1.1 framing follows RFC 9112, with every leniency of the parser off but one: characters that
a header's value may not hold, and values folded over lines, cost that header alone (`wire.headers`
drops what is invalid), not the answer. Stricter than that are the bounds below and the refusal of
transfer codings that nobody asked for.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from itertools import repeat
from time import monotonic
from typing import Any, Protocol, cast

from httptools import (
    HttpParserCallbackError,
    HttpParserError,
    HttpParserUpgrade,
    HttpResponseParser,
)

from holdfast.facts.calls import Headers
from holdfast.facts.outcomes import Failure, FailureKind, Where
from holdfast.net.cork import Cork
from holdfast.net.line import Line, Sink, Way
from holdfast.net.usual import Usual

# Bounds on what an upstream may make us hold: a head (interim ones included), or framing and
# trailers between two pieces of body, in bytes; and the number of header lines.
HEAD_MAX = 65_536
HEADERS_MAX = 200
# Up to here one copy is cheaper than a second write.
JOIN_MAX = 65_536
# How long a released answer may take to end its framing before the connection is closed.
DRAIN_S = 1.0

_RESET_AT_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s


class Lower(dict[bytes, bytes]):
    """Header names as they are spelt → in lower case. The usual ones are remembered."""

    NAMES_MAX = 2048
    BYTES_MAX = 100

    def __missing__(self, name: bytes) -> bytes:
        small = name.lower()
        if len(self) < self.NAMES_MAX and len(name) <= self.BYTES_MAX:
            self[name] = self.setdefault(small, small)
        return small


_lower = Lower().__getitem__
_BLANKS = repeat(b" \t")


class Home(Protocol):
    """Where a pipe returns to, and what it is called in sentences."""

    where: str
    cork: Cork
    usual: Usual

    def back(self, pipe: Pipe) -> None:
        """The answer is over and the connection good for another."""

    def lost(self, pipe: Pipe) -> None:
        """The connection is closed; called once."""


class _MalformedError(Exception):
    """The answer's head may not be passed on; the text says why."""


class _EnoughError(Exception):
    """What the parser reads next is no part of the answer."""


class Pipe(asyncio.Protocol):
    """A connection. Its home lends it to one line after the other."""

    __slots__ = (
        "_barren",
        "_cork",
        "_done",
        "_dropped",
        "_feeding",
        "_headers",
        "_heard",
        "_home",
        "_large",
        "_line",
        "_parser",
        "_read",
        "_reusable",
        "_status",
        "_timer",
        "_transport",
        "idle_since",
        "sock",
        "way",
    )

    def __init__(self, home: Home, way: Way) -> None:
        self._home = home
        self._cork = home.cork
        self.way = way
        self.idle_since = 0.0
        self.sock: socket.socket | None = None
        self._transport: asyncio.Transport | None = None
        self._parser: Any = HttpResponseParser(self)  # Any: httptools says too little of it
        self._parser.set_dangerous_leniencies(lenient_headers=True)
        self._line: Line | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._read: Headers = ()  # the final head, once it is there
        self._status = 0  # its status
        self._barren = 0  # bytes since the start of the head, or since the last piece of body
        self._large = False  # whether the request's body was a large one
        self._heard = False  # whether a byte of the answer came
        self._done = False  # whether its framing ended
        self._reusable = False
        self._feeding = False
        self._dropped = False

    # ------------------------------------------------------------ for its home and its line

    @property
    def open(self) -> bool:
        """Whether a request may be put on it."""
        return self._transport is not None and not self._transport.is_closing()

    def carry(self, line: Line, head: bytes, body: bytes) -> None:
        """Write a request and belong to `line` until its answer is over."""
        transport = self._transport
        assert transport is not None  # noqa: S101 - its home asks `open` first
        self._line = line
        self._headers = []
        self._status = 0
        self._barren = 0
        self._heard = self._done = False
        line.pipe = self
        line.task = None
        line.way = self.way
        self._large = len(body) > JOIN_MAX
        if self._large:
            self._cork.write(transport, head)
            self._cork.write(transport, body)
        else:
            self._cork.write(transport, head + body)
        line.sent_at = monotonic()
        if line.paused:
            self.pause()

    def pause(self) -> None:
        """Stop reading."""
        transport = self._transport
        if transport is not None and not self._dropped and transport.is_reading():
            if self.way.tls_s is not None:
                # The TLS layer reads on into a buffer of its own, and at the end of the
                # connection throws away what is in it. With nothing buffered, nothing is lost.
                _tls(transport).set_read_buffer_limits(0)
            transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        transport = self._transport
        if transport is not None and not self._dropped and not transport.is_reading():
            transport.resume_reading()
            if self.way.tls_s is not None:
                _tls(transport).set_read_buffer_limits()

    def settle(self) -> None:
        """Its line wants nothing more: let the framing end within `DRAIN_S`, or close."""
        if self._line is not None and not self._feeding and self._timer is None:
            self.resume()
            self._timer = asyncio.get_running_loop().call_later(DRAIN_S, self.drop)

    def drop(self) -> None:
        """Close the socket at once. No callback follows."""
        line = self._part()
        if line is not None:
            line.sink = None
        transport = self._transport
        if self._dropped or transport is None:
            return
        self._dropped = True
        # What the TLS layer has passed down it no longer counts: a large body without an answer
        # is taken for one still under way.
        uploading = transport.get_write_buffer_size() or (self._large and not self._heard)
        if uploading and self.sock is not None and not transport.is_closing():
            # What the kernel still holds is to be thrown away too, or the other side would read
            # it to its end before it learnt that we had left.
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
        transport.abort()
        self._home.lost(self)

    def _part(self) -> Line | None:
        """Let go of the line: from here on nothing that arrives is for it."""
        line, self._line = self._line, None
        if line is not None:
            line.pipe = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return line

    # ------------------------------------------------------------ the transport's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        line = self._line
        if line is None:  # nobody asked: whoever sends this would spoil the next answer
            self.drop()
            return
        fresh = not self._heard
        if fresh:
            self._heard = True
            if not line.announced:
                line.announce()
            if line.whole is not None and self._came_whole(line, data):
                return
        self._barren += len(data)
        self._feeding = True
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as problem:
            self._stumbled(problem)
        self._feeding = False
        if self._line is not line:
            return  # its sink hung up, or it failed
        if self._done:
            if fresh and self._reusable and not line.bodiless:
                self._home.usual.learn(data, self._status, self._read)
            self._finish(line)
        elif self._barren > HEAD_MAX:
            what = "framing without content" if self._status else "a head"
            self._malformed(f"{what} beyond {HEAD_MAX // 1024} kB")
        elif line.sink is None:
            self.settle()

    def _came_whole(self, line: Line, data: bytes) -> bool:
        """Whether it is an answer of a known shape and all of it; then its asker has it."""
        answer = None if line.bodiless else self._home.usual.recognise(data)
        if answer is None:
            return False
        if self.way.evidence is None:
            self.way.evidence = self.way.shown(answer[1], monotonic() - line.sent_at)
        self._done = self._reusable = True
        whole = line.whole
        self._let_go(line)
        if whole is not None:
            whole(*answer)
        return True

    def eof_received(self) -> None:
        line = self._line
        if line is not None and line.eof_delimited and self._said_goodbye():
            self._reusable = False
            self._finish(line)
        elif line is not None:
            self._cut(line, None)
        else:
            self.drop()

    def _said_goodbye(self) -> bool:
        """Whether the end is meant: always without TLS; with it, after its close_notify.

        One loop's TLS layer reports a bare FIN, which anybody can send, just the same.
        """
        if self.way.tls_s is None or self._transport is None:
            return True
        try:
            return not self._transport.get_extra_info("ssl_object").read(1)
        except ssl.SSLZeroReturnError:
            return True
        except ssl.SSLError:
            return False

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._dropped:
            self._dropped = True
            self._home.lost(self)
        if self._line is not None:
            self._cut(self._line, exc)
        self._transport = None
        self._parser = None  # it holds our methods, and so would hold us

    # ------------------------------------------------------------ the parser's callbacks

    def on_message_begin(self) -> None:
        if self._done:
            raise _EnoughError

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._status:  # later ones are trailers
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            if status == 101:
                raise _MalformedError("it switched protocols unasked")
            self._headers.clear()
            return
        line = self._line
        if line is None:
            return
        names, values = zip(*self._headers, strict=True) if self._headers else ((), ())
        names = tuple(map(_lower, names))
        headers = tuple(zip(names, map(bytes.rstrip, values, _BLANKS), strict=True))
        self._check_head(names, headers)
        if self.way.evidence is None:
            self.way.evidence = self.way.shown(headers, monotonic() - line.sent_at)
        self._status = status
        self._read = headers
        self._headers = []
        self._barren = 0
        if not line.bodiless and not self._parser.should_keep_alive():
            line.eof_delimited = _ends_with_connection(status, headers)
        sink = line.sink
        if sink is not None:
            sink.head(status, headers)
        if line.bodiless:
            # The parser would wait for a body, so the connection is done with.
            self._done, self._reusable = True, False
            raise _EnoughError

    def on_body(self, data: bytes) -> None:
        self._barren = 0
        line = self._line
        if line is not None and line.sink is not None:
            line.sink.body(data)

    def on_message_complete(self) -> None:
        if self._status:
            self._done = True
            self._reusable = self._parser.should_keep_alive()

    # ------------------------------------------------------------ how it goes on, or ends

    def _check_head(self, names: tuple[bytes, ...], headers: Headers) -> None:
        if not self._parser.get_http_version().startswith("1."):
            raise _MalformedError("it is not HTTP/1")
        if len(headers) > HEADERS_MAX:
            raise _MalformedError(f"more than {HEADERS_MAX} headers")
        if self._barren > HEAD_MAX:  # though much of it may already be body
            size = sum(len(name) + len(value) + 4 for name, value in headers)
            if size > HEAD_MAX:
                raise _MalformedError(f"a head beyond {HEAD_MAX // 1024} kB")
        if b"transfer-encoding" in names:
            codings = [value for name, value in headers if name == b"transfer-encoding"]
            if len(codings) > 1 or codings[0].lower() != b"chunked":
                raise _MalformedError("a transfer coding that was not asked for")

    def _finish(self, line: Line) -> None:
        """The framing ended: first home, then the word, so that the next asking may have it."""
        sink = self._let_go(line)
        if sink is not None:
            sink.ended()

    def _let_go(self, line: Line) -> Sink | None:
        """Part from a line whose answer is over, and go home; who asked is told nothing more."""
        self._part()
        transport = self._transport
        if (
            transport is not None
            and self._reusable
            and line.keep
            and not transport.get_write_buffer_size()  # else it answered before we had asked it all
        ):
            if line.paused:
                self.resume()
            self._home.back(self)
        else:
            self.drop()
        sink, line.sink = line.sink, None
        return sink

    def _stumbled(self, problem: Exception) -> None:
        """The parser stopped."""
        cause = problem.__context__ if isinstance(problem, HttpParserCallbackError) else None
        if cause is None or isinstance(cause, (_MalformedError, _EnoughError)):
            if self._done:  # whole, but with something behind it: not to be trusted with another
                self._reusable = False
            elif self._line is not None:
                self._malformed(str(cause or problem))
            return
        # Our own sink raised: end this asking, and let the loop report it.
        where = self._home.where
        self._fail("internal", f"holdfast's own code failed on the answer of {where}: {cause!r}")
        raise cause

    def _malformed(self, why: str) -> None:
        what = (
            "its answer breaks HTTP" if self._status else "what came is no HTTP answer to pass on"
        )
        self._fail("protocol", f"{self._home.where}: {what}: {why[:1].lower()}{why[1:]}")

    def _cut(self, line: Line, exc: Exception | None) -> None:
        """The connection is gone before the framing ended."""
        line.announce()
        if self._line is not line:
            return
        where = self._home.where
        how = "reset" if isinstance(exc, ConnectionError) else "closed"
        if isinstance(exc, ssl.SSLError):
            how = f"ended by a TLS error ({exc.reason or exc})"
        elif line.eof_delimited and self.way.tls_s is not None:
            how += " without TLS's word of goodbye (close_notify)"
        if self._status:
            self._fail("truncated", f"{where}: the connection was {how} in mid-answer")
        elif self._heard:
            self._fail("reset", f"{where}: the connection was {how} within the answer's head")
        elif line.reused:
            self._fail("stale", f"{where}: a kept connection was {how} before an answer")
        elif isinstance(exc, ssl.SSLError):
            self._fail("tls", f"{where}: the connection was {how} before an answer")
        else:
            self._fail("reset", f"{where}: the connection was {how} before an answer")

    def _fail(self, kind: FailureKind, text: str) -> None:
        where: Where = "body" if self._status else "before_headers"
        if kind == "tls":  # the tail of a handshake: TLS 1.3 refuses a client after it
            where = "connect"
        line = self._part()
        self.drop()
        if line is not None:
            line.fail(Failure(kind=kind, where=where, text=text))


def _ends_with_connection(status: int, headers: Headers) -> bool:
    """Whether only the connection's end can end this answer's body (RFC 9112, 6.3)."""
    if status in (204, 304):
        return False
    return not any(name in (b"content-length", b"transfer-encoding") for name, _ in headers)


class _Tls(Protocol):
    def set_read_buffer_limits(self, high: int | None = None) -> None: ...


def _tls(transport: asyncio.Transport) -> _Tls:
    """The transport with what TLS transports can do besides."""
    return cast("_Tls", transport)
