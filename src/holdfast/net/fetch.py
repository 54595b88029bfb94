"""One small request and its whole answer: status pages, feeds, webhooks, reachability.

Unlike a call's way (`net/dial` with a sink), nothing here is streamed: the answer is read whole
within bounds, redirects are followed with suspicion, and whatever goes wrong is a value. Every
request has a connection of its own, so that its times and its certificate are its own, too.
"""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from time import monotonic
from urllib.parse import quote, urljoin, urlsplit

import msgspec
from msgspec import Struct

from holdfast.facts.calls import Headers
from holdfast.facts.outcomes import Failure
from holdfast.net.dial import Dialer, Origin
from holdfast.net.line import Line

LIMIT_BYTES = 4 << 20
TOTAL_S = 20.0
CONNECT_S = 10.0
REDIRECTS_MAX = 5

_REDIRECTS = (301, 302, 303, 307, 308)
# What may follow to where a redirect leads; a credential in some header of its own name may not.
_HARMLESS = frozenset(
    {b"accept", b"accept-language", b"if-modified-since", b"if-none-match", b"user-agent"}
)
# What a path and a query may hold as it is (RFC 3986, 3.3 and 3.4); anything else is escaped.
_SAFE = "/?%:@!$&'()*+,;=~-._[]"


class Fetched(Struct, frozen=True, kw_only=True):
    """What came of one asking: an answer of any status, or a failure.

    `failure` None: the answer is whole, and `status` says what it is. Else `status` and `headers`
    are those of the answer that failed (0 and empty where it did not get so far), and `body` is
    empty. `url` is the address asked last, behind any redirects; `took_s` is for all.
    """

    url: str
    status: int = 0
    headers: Headers = ()
    body: bytes = b""
    failure: Failure | None = None
    took_s: float = 0.0

    def header(self, name: bytes) -> bytes:
        """The first header of this (lower-case) name, or nothing."""
        return next((value for key, value in self.headers if key == name), b"")


async def fetch(  # noqa: PLR0913 - each bound can be the asker's own
    dialer: Dialer,
    url: str,
    *,
    method: str = "GET",
    headers: Headers = (),
    body: bytes = b"",
    limit_bytes: int = LIMIT_BYTES,
    total_s: float = TOTAL_S,
    redirects: int = REDIRECTS_MAX,
) -> Fetched:
    """Ask `url` and read the answer whole; never raises, but for cancellation.

    The body is bounded by `limit_bytes` (beyond: hung up, "too_large"), everything together by
    `total_s`. The answer is asked for uncompressed. GET and HEAD follow up to `redirects`
    redirects: not in a circle, not from https to http, not from the outside into this machine or
    its network, and without any header that could hold a secret. Other methods follow none: what
    was meant for one host does not go to another. Names of `headers` are in lower case.
    """
    began = monotonic()
    deadline = asyncio.get_running_loop().time() + total_s
    seen: list[str] = []
    while True:
        seen.append(url)
        found = await _ask(dialer, url, method, headers, body, limit_bytes, deadline)
        where = found.header(b"location")
        follows = method in ("GET", "HEAD") and redirects > 0 and found.failure is None
        if not (follows and where and found.status in _REDIRECTS):
            break
        url = _onward(url, where)
        objection = "too often" if len(seen) > redirects else _objection(url, seen)
        if objection:
            text = f"{_host(seen[-1])} redirects {objection}"
            found = _failed(found, Failure(kind="protocol", where="body", text=text))
            break
        headers = tuple(pair for pair in headers if pair[0] in _HARMLESS)
    return msgspec.structs.replace(found, took_s=monotonic() - began)


async def _ask(
    dialer: Dialer,
    url: str,
    method: str,
    headers: Headers,
    body: bytes,
    limit_bytes: int,
    deadline: float,
) -> Fetched:
    """One request and its answer."""
    answer = _Answer(url, limit_bytes)
    left_s = deadline - asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout_at(deadline):
            origin, target = _split(url)
            answer.line = dialer.ask(
                origin,
                method,
                target,
                _dressed(headers),
                body,
                answer,
                connect_s=max(0.001, min(CONNECT_S, left_s / 2)),
                keep=False,
            )
            await answer.over.wait()
    except TimeoutError:
        answer.failure = answer.timed_out()
    except (ValueError, RuntimeError) as problem:  # no clean request; or the dialler is closed
        answer.failure = Failure(kind="internal", where="connect", text=str(problem))
    finally:
        if answer.line is not None:
            answer.line.hang_up()
    return answer.fetched()


class _Answer:
    """Collects one answer (a `Sink`)."""

    __slots__ = (
        "_limit",
        "_parts",
        "_size",
        "_url",
        "failure",
        "headers",
        "line",
        "over",
        "status",
    )

    def __init__(self, url: str, limit_bytes: int) -> None:
        self._url = url
        self._limit = limit_bytes
        self._parts: list[bytes] = []
        self._size = 0
        self.line: Line | None = None
        self.status = 0
        self.headers: Headers = ()
        self.failure: Failure | None = None
        self.over = asyncio.Event()

    def sent(self, reused: bool) -> None:  # noqa: FBT001
        pass

    def head(self, status: int, headers: Headers) -> None:
        self.status, self.headers = status, headers
        said = dict(headers).get(b"content-length", b"")
        bodiless = self.line is not None and self.line.bodiless
        if not bodiless and said.isdigit() and len(said) < 20 and int(said) > self._limit:
            self._too_large()

    def body(self, data: bytes) -> None:
        self._size += len(data)
        self._parts.append(data)
        if self._size > self._limit:
            self._too_large()

    def ended(self) -> None:
        self.over.set()

    def broke(self, failure: Failure) -> None:
        self.failure = failure
        self.over.set()

    def _too_large(self) -> None:
        if self.line is not None:
            self.line.hang_up()
        self._parts.clear()
        text = f"{_host(self._url)}: the answer is larger than {_size(self._limit)}"
        self.broke(Failure(kind="too_large", where="body", text=text))

    def timed_out(self) -> Failure:
        if self.status:
            text = f"{_host(self._url)}: the answer did not end within the time it is given"
            return Failure(kind="idle_timeout", where="body", text=text)
        text = f"{_host(self._url)}: no answer within the time it is given"
        return Failure(kind="headers_timeout", where="before_headers", text=text)

    def fetched(self) -> Fetched:
        return Fetched(
            url=self._url,
            status=self.status,
            headers=self.headers,
            body=b"" if self.failure is not None else b"".join(self._parts),
            failure=self.failure,
        )


def _failed(found: Fetched, failure: Failure) -> Fetched:
    return msgspec.structs.replace(found, body=b"", failure=failure)


def _dressed(headers: Headers) -> Headers:
    """With what every request says: who asks, and that the answer may not be compressed."""
    names = {name for name, _ in headers}
    usual = ((b"user-agent", b"holdfast"), (b"accept", b"*/*"), (b"accept-encoding", b"identity"))
    return (*headers, *(pair for pair in usual if pair[0] not in names))


def _split(url: str) -> tuple[Origin, str]:
    """Origin and target (path and query) of a URL. Raises ValueError with a sentence."""
    if not url.isprintable() or " " in url:
        raise ValueError("the address holds characters that no URL may hold")
    parts = urlsplit(url)
    origin, _ = Origin.of(f"{parts.scheme}://{parts.netloc}")
    path = quote(parts.path or "/", safe=_SAFE)
    return origin, f"{path}?{quote(parts.query, safe=_SAFE)}" if parts.query else path


def _onward(url: str, where: bytes) -> str:
    """Where a `location` header leads; empty if it cannot be read."""
    try:
        return urljoin(url, where.decode().strip()).partition("#")[0]
    except ValueError:
        return ""


def _objection(onward: str, seen: list[str]) -> str:
    """Why a redirect is not followed; empty if it is."""
    try:
        to, _ = _split(onward)
        came, _ = _split(seen[-1])
    except ValueError:
        return "to an address that cannot be used"
    if onward in seen:
        return "in a circle"
    if came.scheme == "https" and to.scheme != "https":
        return f"from https to http ({to.host})"
    if _inward(to.host) and not _inward(came.host):
        return f"into this machine or its network ({to.host})"
    return ""


def _inward(host: str) -> bool:
    """Whether a host is, by its very name, none of the public network."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith((".localhost", ".local", ".internal")):
        return True
    try:
        return not ip_address(name).is_global
    except ValueError:
        # Resolvers take `127.1` and the like for addresses, too; no public name ends so.
        return name.rpartition(".")[2][:1].isdigit()


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "the address"
    except ValueError:
        return "the address"


def _size(limit_bytes: int) -> str:
    megabytes, rest = divmod(limit_bytes, 1 << 20)
    return f"{megabytes} MB" if megabytes and not rest else f"{limit_bytes} bytes"
