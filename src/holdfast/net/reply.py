"""One request as it was read, and the reply to it as it is written: HTTP/1.1 framing, outwards.

What a reply writes in one turn of the loop leaves together (`net.cork`).
It ends once: properly, visibly broken, or because the client left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from email.utils import formatdate
from http import HTTPStatus
from time import time
from typing import Protocol

from holdfast.facts.calls import Headers

# Up to here one copy is cheaper than a second buffer to hand to the kernel.
JOIN_MAX = 65_536
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_BODILESS = (204, 304)
_FRAMING = frozenset({b"content-length", b"transfer-encoding", b"connection"})

# How a reply's body ends.
_UNSET, _CHUNKED, _COUNTED, _WITH_CONNECTION, _ABSENT = range(5)


class Request:
    """What a client asked, whole. `path` is raw and without the query, `query` without the `?`.

    Header names are lower case, in the order in which they came. `received_at` is the loop's
    clock (seconds) when the last byte had come. `peer` is the client's `address:port`. `notes` is
    for those who find something out of the head, by themselves as keys: requests that say the same
    head (but for the length of the body) share them.
    """

    __slots__ = (
        "_named",
        "body",
        "headers",
        "http10",
        "keep_alive",
        "method",
        "notes",
        "path",
        "peer",
        "query",
        "received_at",
    )

    def __init__(
        self, method: str, path: str, query: str, headers: Headers, named: dict[bytes, bytes]
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self._named = named
        self.notes: dict[object, object] = {}
        self.body = b""
        self.http10 = False
        self.keep_alive = True
        self.peer = ""
        self.received_at = 0.0

    def again(self, headers: Headers) -> Request:
        """The same request anew, without its body. `headers` differ in content-length at most."""
        request = Request(self.method, self.path, self.query, headers, self._named)
        request.notes = self.notes
        request.http10 = self.http10
        request.keep_alive = self.keep_alive
        return request

    def with_headers(self, headers: Headers, query: str) -> Request:
        """The same request with other headers and another query; the first of a name counts."""
        request = Request(self.method, self.path, query, headers, dict(headers[::-1]))
        for name in ("body", "http10", "keep_alive", "peer", "received_at"):
            setattr(request, name, getattr(self, name))
        return request

    def header(self, name: bytes) -> bytes | None:
        """The value of a header by its lower-case name; the first, where it is repeated."""
        return self._named.get(name)


class Lines:
    """Header lines that were looked at already. `dated`: there is a Date among them."""

    __slots__ = ("data", "dated")

    def __init__(self, data: bytes, *, dated: bool) -> None:
        self.data = data
        self.dated = dated


Told = Iterable[tuple[bytes, bytes]] | Lines


class Carrier(Protocol):
    """The connection, as far as a reply needs it (see `holdfast.net.listen`)."""

    def write(self, data: bytes) -> None:
        """Give the client these bytes, behind all that it was given before."""

    @property
    def last(self) -> bool:
        """Whether the connection closes behind the current reply anyway."""

    def done(self, reply: Reply) -> None:
        """The reply has ended properly."""

    def broken(self, *, reset: bool) -> None:
        """The reply must be seen to have broken off; `reset` where a FIN would look clean."""


class Reply:
    """The reply to one request. After its end, or once the client has left, calls do nothing.

    `on_gone` is called once if the client leaves before the end (a half-close counts, as it does
    for nginx). `writable` turns False when the client reads too slowly; `on_writable` is called
    when it may be given more. Neither is called from within one of the methods here.
    `close_after`, set before `begin`, closes the connection behind this reply.
    """

    __slots__ = (
        "_carrier",
        "_framing",
        "_head_only",
        "_http10",
        "_left",
        "begun",
        "close_after",
        "ended",
        "on_gone",
        "on_writable",
        "writable",
    )

    def __init__(
        self,
        carrier: Carrier,
        *,
        head_only: bool,
        http10: bool,
        keep_alive: bool,
    ) -> None:
        self._carrier = carrier
        self._head_only = head_only
        self._http10 = http10
        self._framing = _UNSET
        self._left = 0
        self.begun = False
        self.ended = False
        self.writable = True
        self.close_after = not keep_alive
        self.on_gone: Callable[[], None] | None = None
        self.on_writable: Callable[[], None] | None = None

    def begin(self, status: int, headers: Told, length: int | None = None) -> None:
        """Write the head. `length` is the body's size in bytes; None: as long as it turns out.

        `headers` have lower-case names; framing and `connection` are not theirs to say, and a
        header that would split the head is left out. Raises RuntimeError on a second begin.
        """
        if self.ended:
            return
        self._carrier.write(self._head(status, headers, length))

    def say(self, data: bytes) -> None:
        """Write some of the body. Raises RuntimeError before `begin`."""
        if self.ended or not data:
            return
        framing = self._framing
        if framing == _CHUNKED:
            if len(data) <= JOIN_MAX:
                data = b"%x\r\n%b\r\n" % (len(data), data)
            else:
                self._carrier.write(b"%x\r\n" % len(data))
                self._carrier.write(data)
                data = b"\r\n"
        elif framing == _COUNTED:
            self._left -= len(data)
            if self._left < 0:  # more than was promised would be read as the next reply
                self.break_()
                return
        elif framing == _ABSENT:
            return
        elif framing == _UNSET:
            raise RuntimeError("a reply must begin before it says something")
        self._carrier.write(data)

    def finish(self) -> None:
        """End the reply properly; one that owes bytes of its length is broken instead."""
        if self.ended:
            return
        framing = self._framing
        if framing == _UNSET:
            raise RuntimeError("a reply must begin before it can finish")
        if framing == _COUNTED and self._left:
            self.break_()
            return
        self.ended = True
        if framing == _CHUNKED:
            self._carrier.write(b"0\r\n\r\n")
        self._carrier.done(self)

    def break_(self) -> None:
        """End the reply so that no client takes it for whole; what was said before is flushed.

        A chunked reply lacks its last chunk, one with a length lacks bytes; where the
        connection's end alone would end the body, the connection is reset.
        """
        if self.ended:
            return
        self.ended = True
        cut = self._framing in (_UNSET, _CHUNKED) or (self._framing == _COUNTED and self._left > 0)
        self._carrier.broken(reset=not cut)

    def send(self, status: int, headers: Told, body: bytes) -> None:
        """The whole reply at once."""
        if self.ended:
            return
        data = self._head(status, headers, len(body))
        if self._framing == _COUNTED:
            if len(body) <= JOIN_MAX:
                data += body
            else:
                self._carrier.write(data)
                data = body
        self._carrier.write(data)
        self.ended = True
        self._carrier.done(self)

    def _head(self, status: int, headers: Told, length: int | None) -> bytes:
        if self.begun:
            raise RuntimeError("a reply begins once")
        self.begun = True
        framing = b""
        if length is not None and status not in _BODILESS:
            framing = b"content-length: %d\r\n" % length
        if self._head_only or status in _BODILESS:
            self._framing = _ABSENT
        elif length is not None:
            self._framing = _COUNTED
            self._left = length
        elif self._http10:
            self._framing = _WITH_CONNECTION
            self.close_after = True
        else:
            self._framing = _CHUNKED
            framing = b"transfer-encoding: chunked\r\n"
        if self._carrier.last:
            self.close_after = True
        if self.close_after:
            framing += b"connection: close\r\n"
        elif self._http10:
            framing += b"connection: keep-alive\r\n"
        lines = headers if isinstance(headers, Lines) else _lines(headers)
        line = _STATUS_LINES.get(status) or _status_line(status)
        date = b"" if lines.dated else _date()
        return b"".join((line, lines.data, date, framing, b"\r\n"))


def _lines(headers: Iterable[tuple[bytes, bytes]]) -> Lines:
    """Header lines. Looking for trouble in all of them at once is cheaper than in each."""
    pairs = tuple(headers)
    if not pairs:
        return _NOTHING
    names, values = zip(*pairs, strict=True)
    template = template_of(names)
    said = b"".join(values)
    if template and said.find(b"\n") < 0 and said.find(b"\r") < 0 and said.find(b"\0") < 0:
        return Lines(template % values, dated=b"date" in names)
    kept = [pair for pair in pairs if _is_fit(*pair)]
    dated = any(name == b"date" for name, _ in kept)
    return Lines(b"".join([b"%b: %b\r\n" % pair for pair in kept]), dated=dated)


_NOTHING = Lines(b"", dated=False)


def template_of(names: tuple[bytes, ...]) -> bytes:
    """What header lines with these names are filled into; empty where not all are fit for it."""
    template = _templates.get(names)
    if template is not None:
        return template
    template = b""
    if all(_is_fit(name, b"") for name in names):
        template = b"".join([b"%b: %%b\r\n" % name.replace(b"%", b"%%") for name in names])
    if sum(map(len, names)) <= TEMPLATE_BYTES_MAX:
        if len(_templates) >= TEMPLATES_MAX:
            _templates.clear()
        _templates[names] = template
    return template


def _is_fit(name: bytes, value: bytes) -> bool:
    """Whether it is a header, and one that is not ours to say."""
    return name.partition(b":")[0].lower() not in _FRAMING and not any(
        byte in name or byte in value for byte in (b"\r", b"\n", b"\0")
    )


def _status_line(status: int) -> bytes:
    line = b"HTTP/1.1 %d %b\r\n" % (status, _PHRASES.get(status, "Unknown").encode())
    if len(_STATUS_LINES) < 1000:
        _STATUS_LINES[status] = line
    return line


_STATUS_LINES: dict[int, bytes] = {}
# Header lines without their values, by the names: an answer's are mostly the same.
TEMPLATES_MAX = 512
TEMPLATE_BYTES_MAX = 8192
_templates: dict[tuple[bytes, ...], bytes] = {}
_dated: tuple[int, bytes] = (0, b"")


def _date() -> bytes:
    """The Date header (RFC 9110, 6.6.1), made once a second."""
    global _dated  # noqa: PLW0603 - a cache of one entry
    now = int(time())
    if _dated[0] != now:
        _dated = (now, b"date: %b\r\n" % formatdate(now, usegmt=True).encode())
    return _dated[1]
