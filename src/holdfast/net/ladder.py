"""The network ladder: from link to HTTP, to a provider and to hosts that know nothing of it.

Climbed when something fails, never all the time (`core.way.due`). What the network does, however
strange, becomes a step; a climb raises nothing for it. It sends a bare `HEAD /` (a portal check:
a `GET`), never a credential, and to a peer whose certificate is refused it sends nothing: a second
handshake, unverified, reads who signed that certificate and hangs up.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import httptools
from msgspec import Struct, structs

from holdfast.core.way import finding
from holdfast.facts.network import Climb, PortalCheck, References, Step
from holdfast.net import certificate
from holdfast.net.dial import Origin, request_head
from holdfast.net.line import Way
from holdfast.net.lookup import Lookup, ask_apart
from holdfast.net.proxies import Proxies, Proxy
from holdfast.net.reach import (
    Address,
    address_of,
    checked,
    disown,
    distrust_of,
    first_to_connect,
    interleaved,
    issuer_of,
    trusting,
    unsecured,
)

# Documentation addresses (RFC 5737, RFC 3849): a route to them is a route to the internet. A UDP
# socket that is connected there learns of the route and sends nothing.
OUTSIDE = ("192.0.2.1", "2001:db8::1")
_FAMILIES = {"v4": socket.AF_INET, "v6": socket.AF_INET6}
_ADDRESSES_MAX = 4  # of one family, tried in a race
_HEAD_MAX = 16_384
_BODY_MAX = 16_384
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r]")
_USER_AGENT = ((b"user-agent", b"holdfast"),)


class Limits(Struct, frozen=True):
    """Seconds: for each step, and for a whole climb."""

    step_s: float = 3.0
    total_s: float = 12.0


class _Stream(Struct, frozen=True):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class _Opened(Struct, frozen=True):
    """A connected socket; `where` names the peer in sentences."""

    sock: socket.socket
    address: str
    where: str


# Opens one more connection of the same kind, and says who is there.
_Open = Callable[[], Awaitable[_Opened]]


class Ladder:
    """Looks at the way between this machine and others.

    `tls` must verify (ValueError otherwise, as for a reference's URL that cannot be used); None:
    this machine's trust store, read at the first climb. `outside` are two addresses (IPv4, IPv6)
    that stand for the internet when routes are looked at.
    """

    def __init__(
        self,
        references: References,
        *,
        proxies: Proxies = Proxies(),  # noqa: B008 - frozen
        lookup: Lookup = ask_apart,
        tls: ssl.SSLContext | None = None,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        outside: tuple[str, str] = OUTSIDE,
    ) -> None:
        if tls is not None:
            checked(tls)
        self._references = [Origin.of(url)[0] for url in references.hosts]
        self._portals = [(check, *_split(check.url)) for check in references.portals]
        self._proxies = proxies
        self._lookup = lookup
        self._tls = tls
        self._limits = limits
        self._outside = outside

    async def climb(self, wall: float, provider: str = "", origin: Origin | None = None) -> Climb:
        """Look now, at the references and at `origin`, where `provider` is. At most `total_s`.

        `wall` is the UTC time to put down. The steps that were not over by then are failed ones.
        """
        if self._tls is None:
            self._tls = trusting()
        steps: list[Step] = [*self._links()]
        origins = dict.fromkeys([*self._references, *([origin] if origin is not None else [])])
        ways = [self._up(steps, each) for each in origins]
        ways += [self._through(steps, each, proxy) for each, proxy in self._proxied(origin)]
        ways += [self._portal(steps, *each) for each in self._portals]
        await _within(ways, self._limits.total_s)
        found, because = finding(steps, origin.host if origin is not None else "")
        return Climb(
            wall=wall, provider=provider, finding=found, steps=tuple(steps), because=because
        )

    def _proxied(self, origin: Origin | None) -> Iterator[tuple[Origin, Proxy]]:
        """What is looked at through the proxy: the origin, and one named reference."""
        named = [each for each in self._references if address_of(each.host, each.port) is None]
        for each in dict.fromkeys([*([origin] if origin is not None else []), *named[:1]]):
            proxy = self._proxies.towards(each.host, each.port)
            if proxy is not None and each.scheme == "https":
                yield each, proxy

    # ------------------------------------------------------------ the ways

    def _links(self) -> Iterator[Step]:
        for (family, number), outside in zip(_FAMILIES.items(), self._outside, strict=True):
            about = Step(rung="link", host="", ok=True, family=family)
            try:
                with socket.socket(number, socket.SOCK_DGRAM) as sock:
                    sock.connect((outside, 9))
                    yield structs.replace(about, address=sock.getsockname()[0])
            except OSError as problem:
                text = f"this machine has no way out over IP{family} ({_reason(problem)})"
                yield structs.replace(about, ok=False, text=text)

    async def _up(self, steps: list[Step], origin: Origin) -> None:
        """The direct way, both families side by side; the first to get so far asks."""
        asked: set[str] = set()
        await asyncio.gather(*(self._family(steps, origin, each, asked) for each in _FAMILIES))

    async def _family(
        self, steps: list[Step], origin: Origin, family: str, asked: set[str]
    ) -> None:
        addresses = await self._addresses(steps, origin, family)
        if not addresses:
            return

        async def open_() -> _Opened:
            way = Way()
            sock = await first_to_connect(addresses, way)
            asked_for = str(origin)
            where = asked_for if way.peer == asked_for else f"{asked_for} ({way.peer})"
            return _Opened(sock, way.peer, where)

        about = Step(rung="tcp", host=origin.host, ok=True, family=family)
        await self._lane(steps, origin, open_, about, asked)

    async def _addresses(self, steps: list[Step], origin: Origin, family: str) -> Sequence[Address]:
        number = _FAMILIES[family]
        literal = address_of(origin.host, origin.port)
        if literal is not None:
            return [literal] if literal[0] == number else []
        found: Sequence[Address] = ()
        about = Step(rung="dns", host=origin.host, ok=True, family=family)
        async with self._timed(steps, about) as noted:
            found = await self._lookup(origin.host, origin.port, number)
            if not found:
                raise socket.gaierror(socket.EAI_NONAME, "the name has no addresses")
            noted["address"] = str(found[0][1][0])
        return found[:_ADDRESSES_MAX]

    async def _through(self, steps: list[Step], origin: Origin, proxy: Proxy) -> None:
        """The way through the proxy: CONNECT, TLS within, one question."""

        async def open_() -> _Opened:
            way = Way()
            sock = await first_to_connect(await self._any(proxy.host, proxy.port), way)
            try:
                await _connect_through(sock, origin)
            except BaseException:
                sock.close()
                raise
            return _Opened(sock, way.peer, f"{origin} (through the proxy {way.peer})")

        about = Step(rung="tcp", host=origin.host, ok=True, proxied=True)
        await self._lane(steps, origin, open_, about, set())

    async def _any(self, host: str, port: int) -> Sequence[Address]:
        """Addresses of either family, where both together are one step."""
        literal = address_of(host, port)
        if literal is not None:
            return [literal]
        found: list[Address] = []
        problem: BaseException | None = None
        for one in await asyncio.gather(
            *(self._lookup(host, port, number) for number in _FAMILIES.values()),
            return_exceptions=True,
        ):
            if isinstance(one, BaseException):
                problem = one
            else:
                found += one[:_ADDRESSES_MAX]
        if not found:
            raise problem or socket.gaierror(socket.EAI_NONAME, "the name has no addresses")
        return interleaved(found)

    async def _portal(
        self, steps: list[Step], check: PortalCheck, origin: Origin, path: str
    ) -> None:
        """Whether a question in plain http comes back with the answer that is known."""
        async with self._timed(steps, Step(rung="portal", host=origin.host, ok=True)) as noted:
            sock = await first_to_connect(await self._any(origin.host, origin.port), Way())
            async with _stream(sock, None, origin.host) as stream:
                answer = await _ask(stream, origin, "GET", path)
            noted["status"] = answer.status
            if answer.status != check.status or not answer.body.startswith(check.says.encode()):
                noted["ok"] = False
                text = f"{check.url} was answered by somebody else (status {answer.status})"
                noted["text"] = text

    # ------------------------------------------------------------ the rungs

    async def _lane(
        self, steps: list[Step], origin: Origin, open_: _Open, about: Step, asked: set[str]
    ) -> None:
        """Connection, TLS where due, and the question, if nobody else has `asked` it."""
        opened = await self._connected(steps, open_, about)
        if opened is None:
            return
        async with AsyncExitStack() as held:
            stream = await self._secured(steps, origin, opened, open_, about, held)
            if stream is not None and origin.host not in asked:
                asked.add(origin.host)
                async with self._timed(steps, structs.replace(about, rung="http")) as noted:
                    answer = await _ask(stream, origin, "HEAD", "/")
                    noted["status"] = answer.status

    async def _connected(self, steps: list[Step], open_: _Open, about: Step) -> _Opened | None:
        opened: _Opened | None = None
        async with self._timed(steps, about) as noted:
            opened = await open_()
            noted["address"] = opened.address
        return opened

    async def _secured(
        self,
        steps: list[Step],
        origin: Origin,
        opened: _Opened,
        open_: _Open,
        about: Step,
        held: AsyncExitStack,
    ) -> _Stream | None:
        if origin.scheme == "http":
            return await held.enter_async_context(_stream(opened.sock, None, origin.host))
        stream: _Stream | None = None
        about = structs.replace(about, rung="tls", address=opened.address)
        async with self._timed(steps, about, opened.where) as noted:
            try:
                stream = await held.enter_async_context(
                    _stream(opened.sock, self._tls, origin.host)
                )
            except ssl.SSLCertVerificationError as problem:
                noted["distrust"] = distrust_of(problem)
                noted["issuer"] = await _signed_by(origin, open_)
                raise
            secured = stream.writer.get_extra_info("ssl_object")
            noted["issuer"] = issuer_of(secured.getpeercert()) or ""
            noted["alpn"] = secured.selected_alpn_protocol() or ""
        return stream

    # ------------------------------------------------------------ noting them down

    @asynccontextmanager
    async def _timed(
        self, steps: list[Step], about: Step, where: str = ""
    ) -> AsyncIterator[dict[str, Any]]:
        """Bound and time what happens within, and put the step down, also when it is cut short.

        What the network does to it is swallowed: the step tells of it.
        """
        began = monotonic()
        noted: dict[str, Any] = {}
        problem: BaseException | None = None
        try:
            async with asyncio.timeout(self._limits.step_s):
                yield noted
        except (OSError, EOFError, ValueError) as met:
            problem = met
        except asyncio.CancelledError as met:
            problem = met
            raise
        finally:
            if problem is not None:
                noted |= {"ok": False, "text": self._say(about, problem, noted, where)}
            if isinstance(problem, _RefusedError):
                noted["status"] = problem.status
            steps.append(structs.replace(about, took_s=monotonic() - began, **noted))

    def _say(self, about: Step, problem: BaseException, noted: dict[str, Any], where: str) -> str:
        """The failed step in a sentence."""
        host, within_s = about.host, self._limits.step_s
        over = f" over IP{about.family}" if about.family else ""
        if not isinstance(problem, Exception):
            return f"{host}: {about.rung}{over} was not over within {self._limits.total_s:g} s"
        if about.rung == "tls":
            signed = f"; signed by {noted['issuer']}" if noted.get("issuer") else ""
            return unsecured(where, problem, within_s).text + signed
        if about.rung == "dns":
            silent = isinstance(problem, TimeoutError) or _errno(problem) == socket.EAI_AGAIN
            why = "no name server answers" if silent else "it has none"
            return f"no IP{about.family} address for the name {host}: {why}"
        if isinstance(problem, TimeoutError):
            why = f"no answer within {within_s:g} s"
        else:
            why = _reason(problem)
        if about.proxied:
            return f"{host} through the environment's proxy: {why}"
        what = "plain http" if about.rung == "portal" else about.rung.upper()
        return f"{host}: no {what}{over}: {why}"


# ---------------------------------------------------------------- what the rungs stand on


async def _within(ways: Sequence[Coroutine[Any, Any, None]], total_s: float) -> None:
    """Go all ways at once, and stop those that are not at their end after `total_s`."""
    tasks = [asyncio.ensure_future(way) for way in ways]
    if not tasks:
        return
    try:
        await asyncio.wait(tasks, timeout=total_s)
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception):  # our own mistake: the network's are steps
            raise end


@asynccontextmanager
async def _stream(
    sock: socket.socket, tls: ssl.SSLContext | None, host: str
) -> AsyncIterator[_Stream]:
    """The socket with TLS on it, where there is a context; closed at the end, come what may."""
    loop = asyncio.get_running_loop()
    try:
        reader, writer = await asyncio.open_connection(
            sock=sock, ssl=tls, server_hostname=None if tls is None else host
        )
    except BaseException:
        disown(loop, sock)
        raise
    try:
        yield _Stream(reader, writer)
    finally:
        writer.transport.abort()


async def _signed_by(origin: Origin, open_: _Open) -> str:
    """Who signed the certificate that was refused; empty where that cannot be read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with _stream((await open_()).sock, context, origin.host) as stream:
            secured = stream.writer.get_extra_info("ssl_object")
            return certificate.read(secured.getpeercert(binary_form=True) or b"").issuer
    except (OSError, EOFError, ValueError):
        return ""


class _RefusedError(OSError):
    """The proxy said no."""

    def __init__(self, status: int) -> None:
        super().__init__(f"it refused the connection with status {status}")
        self.status = status


async def _connect_through(sock: socket.socket, origin: Origin) -> None:
    """Have a proxy open a tunnel (RFC 9110, 9.3.6). No credentials: one that wants some refuses."""
    loop = asyncio.get_running_loop()
    lines = f"CONNECT {origin} HTTP/1.1\r\nhost: {origin}\r\nuser-agent: holdfast\r\n\r\n"
    await loop.sock_sendall(sock, lines.encode())
    head = b""
    while b"\r\n\r\n" not in head:
        more = await loop.sock_recv(sock, 4096)
        if not more or len(head) > _HEAD_MAX:
            raise EOFError("it ended the connection" if not more else "its answer has no end")
        head += more
    said = _STATUS_LINE.match(head)
    if said is None:
        raise ValueError("its answer is not HTTP")
    if not said[1].startswith(b"2"):
        raise _RefusedError(int(said[1]))
    if not head.endswith(b"\r\n\r\n"):
        raise ValueError("it sent bytes of its own before TLS")


class _Answer:
    """An answer as far as it is wanted: its status, and how its body begins."""

    def __init__(self, *, bodiless: bool) -> None:
        self.status = 0
        self.body = b""
        self.over = False
        self._bodiless = bodiless
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Raises ValueError where it is not HTTP."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as problem:
            if not self.over:
                raise ValueError(f"what came is not HTTP ({problem})") from None

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200 and not self.status:
            self.status = status
            self.over = self._bodiless

    def on_body(self, data: bytes) -> None:
        self.body += data
        self.over = self.over or len(self.body) > _BODY_MAX

    def on_message_complete(self) -> None:
        self.over = self.over or bool(self.status)


async def _ask(stream: _Stream, origin: Origin, method: str, path: str) -> _Answer:
    """Ask one question without credentials. Raises OSError, EOFError or ValueError."""
    host = f"host: {origin.authority}".encode()
    stream.writer.write(request_head(method, path, host, _USER_AGENT, b"", keep=False))
    answer = _Answer(bodiless=method == "HEAD")
    came = 0
    while not answer.over:
        data = await stream.reader.read(4096)
        if not data:
            break
        answer.feed(data)
        came += len(data)
        if came > _HEAD_MAX + _BODY_MAX and not answer.over:
            raise ValueError("its answer has no end")
    if not answer.status:
        raise EOFError("the connection ended without an answer")
    return answer


def _split(url: str) -> tuple[Origin, str]:
    """Origin and path of a portal check's URL. Raises ValueError, with a sentence for people."""
    parts = urlsplit(url)
    if parts.scheme != "http":
        raise ValueError(f"the captive-portal URL {url!r} must start with http://")
    origin, _ = Origin.of(f"http://{parts.netloc}")
    return origin, parts.path or "/"


def _reason(problem: Exception) -> str:
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror
    return str(problem) or type(problem).__name__


def _errno(problem: Exception) -> int | None:
    return problem.errno if isinstance(problem, OSError) else None
