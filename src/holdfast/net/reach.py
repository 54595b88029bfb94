"""Reaching an origin: its name, its addresses, TLS, and what each failure is called.

Addresses are tried happy-eyeballs style (RFC 8305): families interleaved, a new one every
`STAGGER_S` or as soon as one fails, the first to connect wins. Every exception of the sockets
and of TLS ends here and becomes a `Failure` with where="connect".
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from itertools import zip_longest
from time import monotonic
from typing import Any

from holdfast.facts.network import Distrust
from holdfast.facts.outcomes import Failure, FailureKind
from holdfast.net.line import Way
from holdfast.net.pipe import Pipe

STAGGER_S = 0.25
NAMES_MAX = 16

# An address family and a socket address for it, as `socket.connect` takes it.
Address = tuple[int, tuple[str, int] | tuple[str, int, int, int]]
Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]

_UNREACHABLE = frozenset(
    {
        errno.ENETUNREACH,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.EHOSTDOWN,
        errno.EADDRNOTAVAIL,
        errno.EAFNOSUPPORT,
        errno.EACCES,  # a firewall's way of saying no
        errno.EPERM,
    }
)
# Which of several addresses' errors tells most: somebody's refusal over silence over no route.
_TELLING: dict[FailureKind, int] = {"refused": 2, "connect_timeout": 1}

# OpenSSL's verify codes (x509_vfy.h).
_DISTRUST: dict[int, Distrust] = {
    2: "issuer",
    9: "early",
    10: "expired",
    18: "issuer",
    19: "issuer",
    20: "issuer",
    21: "issuer",
    62: "name",
    64: "name",
}


async def ask_system(host: str, port: int) -> Sequence[Address]:
    """Resolve by the system's resolver."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, address) for family, _, _, _, address in found]  # type: ignore[misc] # typeshed allows for builds without IPv6


class Names:
    """Looks names up, the same name only once at a time.

    The loop has few threads for it, and each may hang for many seconds when name servers are
    away. So a hundred calls to one dead cloud take one of them, not all; and what needs no name
    server (addresses, `localhost`, RFC 6761) takes none, so that a local stand-in still answers.
    """

    __slots__ = ("_asked", "_resolve")

    def __init__(self, resolve: Resolve = ask_system) -> None:
        self._resolve = resolve
        self._asked: dict[tuple[str, int], asyncio.Future[Sequence[Address]]] = {}

    async def addresses(self, host: str, port: int) -> Sequence[Address]:
        """The addresses of a host, best first. Raises OSError or UnicodeError if it has none."""
        if host == "localhost":
            return [(socket.AF_INET, ("127.0.0.1", port)), (socket.AF_INET6, ("::1", port, 0, 0))]
        literal = address_of(host, port)
        if literal is not None:
            return [literal]
        asked = self._asked.get((host, port))
        if asked is None:
            asked = self._asked[host, port] = asyncio.ensure_future(self._resolve(host, port))
            asked.add_done_callback(partial(self._answered, (host, port)))
        await asyncio.wait([asked])  # unlike awaiting it, this leaves it running for the others
        found = interleaved(asked.result())
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "the name has no addresses")
        return found

    def _answered(self, about: tuple[str, int], asked: asyncio.Future[Sequence[Address]]) -> None:
        del self._asked[about]
        if not asked.cancelled():
            asked.exception()  # looked at, even if nobody waits any more

    def close(self) -> None:
        """Wait for no answer any more."""
        for asked in list(self._asked.values()):
            asked.cancel()


def address_of(host: str, port: int) -> Address | None:
    """The address that a host without a name is; None for a name."""
    if _is_address(socket.AF_INET, host):
        return socket.AF_INET, (host, port)
    if _is_address(socket.AF_INET6, host):
        return socket.AF_INET6, (host, port, 0, 0)
    return None


def _is_address(family: int, host: str) -> bool:
    try:
        socket.inet_pton(family, host)
    except OSError:
        return False
    return True


def checked(context: ssl.SSLContext) -> ssl.SSLContext:
    """A given context with our ALPN. Raises ValueError unless it verifies."""
    if context.verify_mode != ssl.CERT_REQUIRED or not context.check_hostname:
        raise ValueError("the TLS context must verify certificates and host names")
    context.set_alpn_protocols(["http/1.1"])
    return context


def trusting() -> ssl.SSLContext:
    """The TLS settings towards others: this machine's trust store, HTTP/1.1. Takes a while."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return checked(context)


def interleaved(addresses: Iterable[Address]) -> list[Address]:
    """Alternate families, the resolver's first one first, its order kept within each."""
    families: dict[int, list[Address]] = {}
    for address in addresses:
        families.setdefault(address[0], []).append(address)
    rows = zip_longest(*families.values())
    return [address for row in rows for address in row if address is not None]


async def reach(
    pipe: Pipe,
    names: Names,
    host: str,
    port: int,
    tls: ssl.SSLContext | None,
    within_s: float,
) -> Failure | None:
    """Connect `pipe` to host and port, with TLS if there is a context; say why if it fails.

    On cancellation, too, no socket stays open that is not the pipe's own.
    """
    way = pipe.way
    try:
        async with asyncio.timeout(within_s):
            await _connect(pipe, names, host, port, tls)
    except (OSError, UnicodeError) as problem:
        if way.dns_s is None:
            return _unresolved(host, port, problem, within_s)
        if way.connect_s is None:
            return _unconnected(_where(host, port, way), problem, within_s)
        return unsecured(_where(host, port, way), problem, within_s)
    return None


async def _connect(
    pipe: Pipe, names: Names, host: str, port: int, tls: ssl.SSLContext | None
) -> None:
    loop = asyncio.get_running_loop()
    way = pipe.way
    began = monotonic()
    addresses = await names.addresses(host, port)
    named = monotonic()
    way.dns_s = named - began
    sock = await first_to_connect(addresses, way)
    connected = monotonic()
    way.connect_s = connected - named
    name = None if tls is None else host
    try:
        transport, _ = await loop.create_connection(
            lambda: pipe, sock=sock, ssl=tls, server_hostname=name
        )
    except BaseException:
        pipe.drop()  # it may have got its transport just when we were cancelled
        disown(loop, sock)
        raise
    if transport.is_closing():
        disown(loop, sock)
    pipe.sock = sock
    if tls is not None:
        way.tls_s = monotonic() - connected
        secured = transport.get_extra_info("ssl_object")
        way.alpn = secured.selected_alpn_protocol()
        way.tls = secured.version() or ""
        certificate = secured.getpeercert()
        way.issuer = issuer_of(certificate)
        way.names = names_of(certificate)


def disown(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    """See to it that a socket handed to the loop is closed, and its number only once.

    asyncio closes the object we gave it. libuv closes the number; uvloop 0.23 then takes it from
    the object, but not where the connection was reset while it was handed over: closed again
    when the object dies, the number may meanwhile belong to somebody else.
    """
    if isinstance(loop, asyncio.BaseEventLoop):
        sock.close()
    else:
        sock.detach()


def issuer_of(certificate: dict[str, Any]) -> str | None:
    """The organisation that issued a verified certificate, or else the issuer's common name."""
    names = dict(pair for group in certificate.get("issuer", ()) for pair in group)
    return names.get("organizationName") or names.get("commonName")


def names_of(certificate: dict[str, Any]) -> tuple[str, ...]:
    """The hosts that a verified certificate names, sorted; the first `NAMES_MAX`."""
    return tuple(sorted({str(name) for _, name in certificate.get("subjectAltName", ())}))[
        :NAMES_MAX
    ]


async def first_to_connect(addresses: Sequence[Address], way: Way) -> socket.socket:
    """Race the addresses; raise the most telling OSError if none can be had."""
    if len(addresses) == 1:
        return await _connected(addresses[0], way)
    loop = asyncio.get_running_loop()
    waiting = list(reversed(addresses))
    racing: set[asyncio.Task[socket.socket]] = set()
    errors: list[OSError] = []
    winner: socket.socket | None = None
    try:
        while winner is None and (waiting or racing):
            if waiting:
                racing.add(loop.create_task(_connected(waiting.pop(), way)))
            done, racing = await asyncio.wait(
                racing,
                timeout=STAGGER_S if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                problem = task.exception()
                if isinstance(problem, OSError):
                    errors.append(problem)
                elif winner is None:
                    winner = task.result()
                else:
                    task.result().close()
    finally:
        for task in racing:
            task.add_done_callback(_discard)
            task.cancel()
    if winner is None:
        raise max(errors, key=lambda problem: _TELLING.get(_kind(problem), 0))
    way.peer = _text(*winner.getpeername()[:2])
    return winner


def _discard(task: asyncio.Task[socket.socket]) -> None:
    """Close what a runner that lost the race may still have brought."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def _connected(address: Address, way: Way) -> socket.socket:
    family, where = address
    way.peer = _text(*where[:2])
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)  # noqa: FBT003 - its only way
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, where)
    except BaseException:
        sock.close()
        raise
    return sock


# ------------------------------------------------------------ what it is called


def _text(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _where(host: str, port: int, way: Way) -> str:
    asked = _text(host, port)
    return asked if way.peer in ("", asked) else f"{asked} ({way.peer})"


def _kind(problem: Exception) -> FailureKind:
    if isinstance(problem, ConnectionRefusedError):
        return "refused"
    if isinstance(problem, TimeoutError):  # ours, or the kernel's own patience
        return "connect_timeout"
    if isinstance(problem, OSError) and problem.errno in _UNREACHABLE:
        return "unreachable"
    if isinstance(problem, ConnectionError):
        return "reset"
    return "internal"


def _failure(kind: FailureKind, text: str) -> Failure:
    return Failure(kind=kind, where="connect", text=text)


def _unresolved(host: str, port: int, problem: Exception, within_s: float) -> Failure:
    where = _text(host, port)
    if isinstance(problem, TimeoutError):
        text = f"no name server answered for {host} within {within_s:g} s (asked for {where})"
        return _failure("connect_timeout", text)
    if isinstance(problem, socket.gaierror) and problem.errno == socket.EAI_AGAIN:
        why = "no name server answered (is this machine online?)"
    elif isinstance(problem, UnicodeError):
        why = "it is not a host name; check base_url"
    else:
        why = "there is no such name, or its servers are away; check base_url and the network"
    return _failure("dns", f"the name {host} does not resolve ({where}): {why}")


def _unconnected(where: str, problem: Exception, within_s: float) -> Failure:
    kind = _kind(problem)
    if kind == "refused":
        text = f"connection refused by {where}: nothing listens there (is it running?)"
    elif kind == "connect_timeout":
        text = f"no connection to {where} within {within_s:g} s: nothing answers there"
    elif kind == "unreachable":
        text = f"no way to {where} ({_reason(problem)}; is this machine's network up?)"
    elif kind == "reset":
        text = f"the connection to {where} was reset while it was made"
    else:
        text = f"this machine could not open a connection to {where}: {_reason(problem)}"
    return _failure(kind, text)


def unsecured(where: str, problem: Exception, within_s: float) -> Failure:
    """A handshake that failed, with the reason, in a sentence."""
    if isinstance(problem, ssl.SSLCertVerificationError):
        text = f"the certificate of {where} is not to be trusted: {_distrust(problem)}"
        return _failure("tls", text)
    if isinstance(problem, ssl.SSLError):
        why = problem.reason or str(problem)
        if why in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"):
            why += "; it does not seem to speak TLS: https in base_url where http is due?"
        return _failure("tls", f"no TLS with {where}: {why}")
    if isinstance(problem, ConnectionError):
        return _failure("tls", f"no TLS with {where}: it ended the connection in the handshake")
    if isinstance(problem, TimeoutError):
        text = f"{where} accepted the connection, but no TLS handshake came within {within_s:g} s"
        return _failure("connect_timeout", text)
    return _failure("internal", f"no TLS with {where}: {_reason(problem)}")


def distrust_of(problem: Exception) -> Distrust:
    """Why a certificate was refused, in a word; empty where that was not what failed."""
    if not isinstance(problem, ssl.SSLCertVerificationError):
        return ""
    return _DISTRUST.get(problem.verify_code, "other")


def _distrust(problem: ssl.SSLCertVerificationError) -> str:
    """What is wrong with a certificate, by OpenSSL's verify codes (x509_vfy.h)."""
    says = problem.verify_message
    match problem.verify_code:
        case 10:
            return f"it has expired ({says})"
        case 9:
            return f"it is not valid yet; is this machine's clock right? ({says})"
        case 18:
            return f"it is self-signed ({says})"
        case 19:
            return f"its issuer is unknown here, self-signed; a company's proxy? ({says})"
        case 2 | 20 | 21:
            return f"its issuer is unknown here; a company's proxy, or an old trust store? ({says})"
        case 62 | 64:
            return f"it is for another, the wrong host ({says})"
        case _:
            return says


def _reason(problem: Exception) -> str:
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror
    return str(problem) or type(problem).__name__
