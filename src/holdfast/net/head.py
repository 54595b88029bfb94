"""What a request's head must be, beyond what llhttp makes sure of: pure rules of RFC 9112.

llhttp with its leniencies off lets pass HTTP/0.9 and 2.0, RTSP, a missing or repeated `Host`,
`Transfer-Encoding: identity, chunked`, chunked bodies in HTTP/1.0, and targets of every form.
"""

from __future__ import annotations

from holdfast.facts.calls import Headers
from holdfast.net.doorman import Refusal
from holdfast.net.reply import Request

_METHODS = {
    name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
}
# Where two of these could be read in two ways, somebody in between reads the other one.
_SINGLE = (
    b"host",
    b"content-length",
    b"transfer-encoding",
    b"content-type",
    b"origin",
    b"expect",
    b"sec-fetch-site",
    b"sec-fetch-mode",
    b"sec-fetch-dest",
)

LENGTH_DIGITS_MAX = 20  # llhttp bounds the value, but not the zeros before it


class RefusedError(Exception):
    """A request that is not served. `whole`: the sentence is complete as it stands."""

    def __init__(self, status: int, why: str, *, whole: bool = False) -> None:
        text = why if whole else f"holdfast: this is no request to be served: {why}."
        super().__init__(text)
        self.refusal = Refusal(status, text)


class Head:
    """A head that may be served: the request without its body, and how the body comes.

    `framing` is the header line that frames it, empty without a body; `length` its bytes, 0
    where it is chunked. `named` are the headers by name, the first of those that are repeated.
    """

    __slots__ = ("framing", "length", "named", "request", "wants_100")

    def __init__(self, request: Request, named: dict[bytes, bytes]) -> None:
        self.request = request
        self.named = named
        self.framing = b""
        self.length = 0
        self.wants_100 = False


def read_head(method: bytes, target: bytes, version: str, headers: Headers) -> Head:
    """Check a head and make a request of it. Raises RefusedError."""
    http10 = version == "1.0"
    if not http10 and version != "1.1":
        raise RefusedError(400, f"it is HTTP/{version}, and only 1.1 and 1.0 are spoken here")
    verb = _METHODS.get(method)
    if verb is None or (http10 and verb == "OPTIONS"):  # HTTP/1.0 has none, but RTSP/1.0 does
        raise RefusedError(501, f"nothing here takes {method.decode('ascii', 'replace')}")
    if not target.startswith(b"/") or b"#" in target:
        raise RefusedError(400, "its target must be a path beginning with / (no scheme, host or #)")
    if not target.isascii():  # llhttp lets these bytes pass
        raise RefusedError(400, "its target is not ASCII; other characters are percent-encoded")
    named = dict(headers[::-1])
    if len(named) != len(headers):
        _check_repeated(headers)
    if b"host" not in named:
        raise RefusedError(400, "it has no Host header, and needs one")
    path, _, query = target.decode("ascii").partition("?")
    request = Request(verb, path, query, headers, named)
    request.http10 = http10
    head = Head(request, named)
    if b"content-length" in named or b"transfer-encoding" in named:
        _read_framing(head, http10=http10)
    if b"expect" in named and not http10:
        if named[b"expect"].lower() != b"100-continue":
            raise RefusedError(417, "only 100-continue can be expected of this gateway")
        head.wants_100 = bool(head.framing)
    return head


def _check_repeated(headers: Headers) -> None:
    names = [name for name, _ in headers]
    for name in _SINGLE:
        if names.count(name) > 1:
            raise RefusedError(400, f"it has more than one {name.decode()} header")


def _read_framing(head: Head, *, http10: bool) -> None:
    length, coding = head.named.get(b"content-length"), head.named.get(b"transfer-encoding")
    if coding is not None:
        if length is not None:
            raise RefusedError(400, "it has both Content-Length and Transfer-Encoding")
        if http10:
            raise RefusedError(400, "HTTP/1.0 knows no Transfer-Encoding")
        if coding.lower() != b"chunked":
            raise RefusedError(400, "its Transfer-Encoding is not chunked and nothing else")
        head.framing = b"transfer-encoding: chunked"
    elif length is not None:
        if not length.isdigit() or len(length) > LENGTH_DIGITS_MAX:
            raise RefusedError(400, "its Content-Length is not a number of bytes")
        head.length = int(length)
        if head.length:
            head.framing = b"content-length: %d" % head.length
