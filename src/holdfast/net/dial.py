"""The upstream client: pooled HTTP/1.1 by callbacks, lean enough to stand on every call's way.

A request on a kept connection is two writes' worth of work and no task; only dialling is a task.
Kept connections are used last in, first out, so that the surplus grows old and is dropped.
Redirects are answers like others, proxies of the environment are not used, and certificates are
always verified.
"""

from __future__ import annotations

import asyncio
import ssl
from functools import lru_cache
from typing import Literal
from urllib.parse import urlsplit

from msgspec import Struct

from holdfast.facts.calls import Headers
from holdfast.facts.outcomes import Failure
from holdfast.net.cork import Cork
from holdfast.net.line import Line, Sink, Way, Whole
from holdfast.net.pipe import Pipe
from holdfast.net.reach import Names, Resolve, ask_system, checked, reach, trusting
from holdfast.net.usual import Usual

__all__ = ["Block", "Counts", "Dialer", "Line", "Origin", "Sink"]

GRAIN_S = 0.01
_PORTS = {"http": 80, "https": 443}
# RFC 9110, 5.6.2, but lower case only: what is looked up in `_OURS` has one spelling.
_TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
# What frames the request or speaks of the connection is ours to say.
_OURS = frozenset(
    {
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)


class Origin(Struct, frozen=True, cache_hash=True):
    """Scheme, host and port: what a connection, and a credential, is bound to."""

    scheme: Literal["http", "https"]
    host: str
    port: int

    @staticmethod
    def of(base_url: str) -> tuple[Origin, str]:
        """The origin of a base URL, and the path prefix in front of every target (may be "").

        Raises ValueError, with a sentence for people, where the URL cannot be used.
        """
        if not base_url.isprintable() or " " in base_url:
            raise ValueError(f"the URL {base_url!r} holds characters that no URL may hold")
        parts = urlsplit(base_url)
        if parts.scheme not in _PORTS:
            raise ValueError(f"the URL {base_url!r} must start with http:// or https://")
        if not parts.hostname:
            raise ValueError(f"the URL {base_url!r} names no host")
        if parts.username is not None or parts.password is not None:
            # Not quoted back: it may hold a secret.
            raise ValueError(f"the URL of {parts.hostname} must not hold a user name or password")
        if parts.query or parts.fragment:
            raise ValueError(f"the URL {base_url!r} must not hold a query (?) or fragment (#)")
        try:
            port = parts.port
            host = parts.hostname.encode("ascii" if ":" in parts.hostname else "idna").decode()
            parts.path.encode("ascii")
        except ValueError as problem:
            raise ValueError(f"the URL {base_url!r} cannot be used: {problem}") from None
        scheme: Literal["http", "https"] = "https" if parts.scheme == "https" else "http"
        return Origin(scheme, host, _PORTS[scheme] if port is None else port), parts.path.rstrip(
            "/"
        )

    @property
    def authority(self) -> str:
        """As in a `Host` header: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Counts(Struct, frozen=True):
    """Connections open now (idle ones included), idle now; dialled and reused so far."""

    open: int
    idle: int
    dialled: int
    reused: int


class Block:
    """Header lines, checked and joined once for requests that say the same again and again.

    Framing and connection headers are ours to say, and are left out. Raises ValueError for
    anything that could be read as more, or as something else, than meant.
    """

    __slots__ = ("lines",)

    def __init__(self, headers: Headers) -> None:
        kept = [header for header in headers if header[0] not in _OURS]
        names = [name for name, _ in kept]
        if b"" in names or b"".join(names).translate(None, _TOKEN):
            raise ValueError("a header name is empty, or holds what no (lower-case) name may hold")
        lines = b"".join([b"\r\n%b: %b" % header for header in kept])
        breaks = len(kept)
        if lines.count(b"\n") != breaks or lines.count(b"\r") != breaks or b"\0" in lines:
            raise ValueError("a header value holds a line break or a NUL; the request was not sent")
        self.lines = lines


def request_head(
    method: str, target: str, host: bytes, headers: Headers | Block, body: bytes, *, keep: bool
) -> bytes:
    """The request line and headers as bytes. `host` is that header's line, without its end.

    Raises ValueError for anything that could be read as more, or as something else, than meant.
    """
    line = _request_line(method, target)
    block = headers if isinstance(headers, Block) else Block(headers)
    framing = b"\r\n\r\n" if keep else b"\r\nconnection: close\r\n\r\n"
    if body or method not in ("GET", "HEAD", "DELETE", "OPTIONS"):
        framing = b"\r\ncontent-length: %d%b" % (len(body), framing)
    return b"".join((line, host, block.lines, framing))


@lru_cache(256)
def _request_line(method: str, target: str) -> bytes:
    if not (method.isascii() and method.isalpha()):
        raise ValueError(f"{method!r} is not an HTTP method")
    if not (target.startswith("/") and target.isascii() and target.isprintable()) or " " in target:
        raise ValueError("the request target must be an ASCII path without spaces")
    return f"{method} {target} HTTP/1.1\r\n".encode()


class _Pool:
    """One origin's connections. The idle ones are in the order in which they became idle."""

    __slots__ = ("_dialer", "cork", "host", "idle", "origin", "usual", "where")

    def __init__(self, dialer: Dialer, origin: Origin) -> None:
        self._dialer = dialer
        self.cork = dialer.cork
        self.usual = Usual()
        self.origin = origin
        self.host = f"host: {origin.authority}".encode()
        self.where = str(origin)
        self.idle: list[Pipe] = []

    def take(self) -> Pipe | None:
        """The connection that was used last, if there is one."""
        idle = self.idle
        while idle:
            pipe = idle.pop()
            if pipe.open:
                return pipe
            pipe.drop()
        return None

    def back(self, pipe: Pipe) -> None:
        self._dialer.keep(self, pipe)

    def lost(self, pipe: Pipe) -> None:
        if pipe in self.idle:
            self.idle.remove(pipe)
        self._dialer.forget(pipe)


class Dialer:
    """Asks origins, keeps their connections for the next asking.

    Belongs to the loop it is first used on. `ssl_context` is taken as it is but for ALPN; it must
    verify (ValueError otherwise). `idle_s` is how long an unused connection is kept: below the
    usual 60 s of servers, so that we are the ones to close. Requests leave through `cork`.
    """

    __slots__ = (
        "_closed",
        "_dialled",
        "_dialling",
        "_idle_s",
        "_loop",
        "_names",
        "_open",
        "_per_origin_idle",
        "_pools",
        "_reused",
        "_sweep",
        "_tls",
        "cork",
    )

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
        resolve: Resolve = ask_system,
        idle_s: float = 55.0,
        per_origin_idle: int = 64,
    ) -> None:
        if ssl_context is not None:
            checked(ssl_context)
        self._tls = ssl_context
        self._names = Names(resolve)
        self._idle_s = idle_s
        self._per_origin_idle = per_origin_idle
        self._pools: dict[Origin, _Pool] = {}
        self._open: set[Pipe] = set()
        self._dialling: set[asyncio.Task[None]] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._dialled = 0
        self._reused = 0
        self._closed = False
        self.cork = Cork()
        self._loop: asyncio.AbstractEventLoop | None = None

    def _here(self) -> asyncio.AbstractEventLoop:
        """The running loop; the first is kept, as each question for it is a system call."""
        loop = asyncio.get_running_loop()
        self._loop = self._loop or loop
        return loop

    @property
    def counts(self) -> Counts:
        """The connections, counted."""
        idle = sum(len(pool.idle) for pool in self._pools.values())
        return Counts(len(self._open), idle, self._dialled, self._reused)

    def ask(  # noqa: PLR0913 - one asking has as many parts
        self,
        origin: Origin,
        method: str,
        target: str,
        headers: Headers | Block,
        body: bytes,
        sink: Sink,
        *,
        connect_s: float,
        fresh: bool = False,
        keep: bool = True,
        announce: bool = True,
        whole: Whole | None = None,
    ) -> Line:
        """Send a request; the answer comes to `sink`, and is steered by the line returned.

        `target` is the path with its query. `connect_s` is the patience for name, connection
        and TLS together. `fresh`: on a new connection. `keep=False`: on a new one that serves
        nobody else, and the server is told so. `announce=False`: where the line is `reused`, the
        asker calls its `announce` as soon as it has it. `whole` is called in place of the sink's
        `head`, `body` and `ended`, where an answer of a usual shape came in one piece. Host,
        framing and connection headers are set here and dropped from `headers`, which may be a
        `Block` made earlier. Raises ValueError, and sends nothing, where the request would not be
        one clean HTTP request; RuntimeError after `close`.
        """
        if self._closed:
            raise RuntimeError("the dialler is closed")
        pool = self._pools.get(origin)
        if pool is None:
            pool = self._pools[origin] = _Pool(self, origin)
        head = request_head(method, target, pool.host, headers, body, keep=keep)
        line = Line(sink, bodiless=method == "HEAD", keep=keep, whole=whole)
        if keep and not fresh:
            pipe = pool.take()
            if pipe is not None:
                self._reused += 1
                line.reused = True
                pipe.carry(line, head, body)
                if announce:
                    self._here().call_soon(line.announce)
                return line
        line.task = self._here().create_task(self._dial(pool, line, head, body, connect_s))
        self._dialling.add(line.task)
        line.task.add_done_callback(self._dialling.discard)
        return line

    async def _dial(
        self, pool: _Pool, line: Line, head: bytes, body: bytes, connect_s: float
    ) -> None:
        way = line.way = Way()
        pipe = Pipe(pool, way)
        origin = pool.origin
        tls = self._context() if origin.scheme == "https" else None
        failure: Failure | None = Failure(
            kind="internal", where="connect", text=f"holdfast's own code failed to dial {origin}"
        )
        try:
            failure = await reach(pipe, self._names, origin.host, origin.port, tls, connect_s)
        except asyncio.CancelledError:  # hung up, or closed
            line.sink = None
            raise
        finally:  # whatever else went wrong, the sink is not left waiting
            line.task = None
            if failure is not None:
                line.fail(failure)
        if failure is not None:
            return
        self._dialled += 1
        if line.sink is None:
            pipe.drop()
        elif not pipe.open:
            text = f"{origin}: the connection was closed as soon as it was made"
            line.fail(Failure(kind="reset", where="before_headers", text=text))
        else:
            self._open.add(pipe)
            pipe.carry(line, head, body)
            line.announce()

    async def knock(self, origin: Origin, within_s: float) -> bool:
        """Whether a bare connection (with TLS where due) can be made now. Asks for nothing."""
        pool = self._pools.get(origin) or _Pool(self, origin)
        pipe = Pipe(pool, Way())
        tls = self._context() if origin.scheme == "https" else None
        failure = await reach(pipe, self._names, origin.host, origin.port, tls, within_s)
        pipe.drop()
        return failure is None

    def _context(self) -> ssl.SSLContext:
        """The TLS settings, made at their first use: reading the trust store takes a while."""
        if self._tls is None:
            self._tls = trusting()
        return self._tls

    # ------------------------------------------------------------ keeping

    def keep(self, pool: _Pool, pipe: Pipe) -> None:
        """Take a connection back for the next asking, unless there are enough."""
        if len(pool.idle) >= self._per_origin_idle or self._closed:
            pipe.drop()
            return
        loop = self._loop or self._here()
        pipe.idle_since = loop.time()
        pool.idle.append(pipe)
        if self._sweep is None:
            self._sweep = loop.call_later(self._idle_s, self._drop_old)

    def forget(self, pipe: Pipe) -> None:
        """A connection is closed."""
        self._open.discard(pipe)

    def _drop_old(self) -> None:
        """Drop what was idle for too long, and come again when the next will have been."""
        loop = asyncio.get_running_loop()
        self._sweep = None
        too_old = loop.time() - self._idle_s
        oldest: list[float] = []
        for pool in self._pools.values():
            for pipe in [pipe for pipe in pool.idle if pipe.idle_since <= too_old]:
                pipe.drop()
            oldest += [pipe.idle_since for pipe in pool.idle[:1]]
        if oldest:
            # A little later than that: a timer may ring within its clock's grain, too early to see
            # that it is time, and would be set for the same moment again and again.
            self._sweep = loop.call_at(min(oldest) + self._idle_s + GRAIN_S, self._drop_old)

    def drop_idle(self) -> None:
        """Drop all idle connections, as after a sleep of the machine: they are likely dead."""
        for pool in self._pools.values():
            for pipe in list(pool.idle):
                pipe.drop()

    def close(self) -> None:
        """Close everything at once; askings under way get no further callback."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for task in list(self._dialling):
            task.cancel()
        self._names.close()
        for pipe in list(self._open):
            pipe.drop()
