"""The one way in: an answer of a status page → a claim, whatever came.

A page that cannot be read says nothing about its provider. Pages answer programs with challenges,
CAPTCHAs and HTML, and are at times down themselves; each of these is said in plain words.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from holdfast.facts.calls import Headers
from holdfast.facts.pages import PageClaim, PageFormat
from holdfast.wire.pages import (
    aws,
    betterstack,
    cachet,
    feed,
    google,
    incidentio,
    instatus,
    statuspage,
)
from holdfast.wire.pages.claim import About, unreadable
from holdfast.wire.pages.plain import UnreadableError

LIMIT_BYTES = 4 << 20

Reader = Callable[[bytes, About], PageClaim]

# In the order in which a page of unknown format is tried: each demands marks of its own.
READERS: dict[PageFormat, Reader] = {
    "statuspage": statuspage.read,
    "incidentio": incidentio.read,
    "instatus": instatus.read,
    "betterstack": betterstack.read,
    "cachet": cachet.read,
    "google": google.read,
    "aws": aws.read,
    "feed": feed.read,
}
_JSON_TYPES = ("json", "javascript", "text/plain", "octet-stream")
_XML_TYPES = ("xml", "text/plain", "octet-stream")
_CHALLENGES = (b"captcha", b"just a moment", b"verify you are human", b"challenge-platform")
_CHALLENGE_HEADERS = (b"cf-mitigated", b"x-amzn-waf-action")
_HTML = (b"<!doctype html", b"<html")
_LOOKED_AT = 65_536


def read_page(status: int, headers: Headers, data: bytes, about: About) -> PageClaim:
    """What a page claims, by its answer; its format is `about.source.format`. Raises nothing.

    What is no readable page of that format gives the state "unreadable" and the reason in words.
    """
    try:
        _check(status, headers, data)
        read = READERS.get(about.source.format)
        if read is not None:
            _check_type(about.source.format, headers, data)
            return read(data, about)
        return _recognised(headers, data, about)
    except UnreadableError as trouble:
        return unreadable(about.url, str(trouble))


def _check(status: int, headers: Headers, data: bytes) -> None:
    """Whether it is the page at all that answered."""
    named = dict(headers)
    start = data[:_LOOKED_AT].lower()
    if any(name in named for name in _CHALLENGE_HEADERS) or (
        _is_html(data) and any(mark in start for mark in _CHALLENGES)
    ):
        raise UnreadableError(f"blocked: it answers programs with a challenge (status {status})")
    if status in (401, 403, 405, 451):
        raise UnreadableError(f"blocked: it answers {status} to programs")
    if status == 429:
        raise UnreadableError("blocked: it says that it is asked too often (429)")
    if status in (407, 511):
        raise UnreadableError(f"something in between wants a sign-in first (status {status})")
    if status >= 500:
        raise UnreadableError(f"the page itself is in trouble (status {status})")
    if status != 200:
        raise UnreadableError(f"no page there (status {status})")
    if named.get(b"content-encoding", b"identity").lower() not in (b"", b"identity"):
        raise UnreadableError("it comes compressed though that was not asked for")
    if len(data) > LIMIT_BYTES:
        raise UnreadableError(f"too large: more than {LIMIT_BYTES >> 20} MB")


def _check_type(form: PageFormat, headers: Headers, data: bytes) -> None:
    """Whether what came is the kind of document that the format is."""
    said = next((value for name, value in headers if name == b"content-type"), b"")
    kind = said.split(b";")[0].strip().lower().decode("latin-1")
    if _is_html(data):
        if form != "incidentio":
            what = "XML" if form == "feed" else "JSON"
            raise UnreadableError(f"HTML where {what} was due: a page for people, or a challenge")
        return
    allowed = _XML_TYPES if form == "feed" else _JSON_TYPES
    if kind and not any(word in kind for word in (*allowed, "html")):
        raise UnreadableError(f"wrong type: {kind}")


def _is_html(data: bytes) -> bool:
    return data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_HTML)


def _recognised(headers: Headers, data: bytes, about: About) -> PageClaim:
    """The claim by the first format that knows it for its own."""
    for form, read in READERS.items():
        try:
            _check_type(form, headers, data)
            found = read(data, about)
        except UnreadableError:
            continue
        if found.components or found.incidents or found.described:
            return found  # else an empty list, which could be anybody's
    raise UnreadableError("its format is none that is known here")


def addresses(page: str) -> tuple[str, ...]:
    """Where a page whose address for people is `page` may be read by a program, likeliest first.

    An address that already is a program's is the only one.
    """
    path = urlsplit(page).path.lower()
    if path.endswith((".json", ".rss", ".xml", ".atom", "/feed", "/feed/", "/api/widget")):
        return (page,)
    base = page.rstrip("/")
    known = (
        "api/v2/summary.json",
        "summary.json",
        "index.json",
        "api/widget",
        "api/v1/components",
        "history.rss",
    )
    return tuple(f"{base}/{path}" for path in known)
