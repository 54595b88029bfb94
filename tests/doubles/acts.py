"""What a double does with one request: the faults of real providers, by kind and position.

The text of an answer is numbered words that carry the double's name (`alpha-001 alpha-002 …`,
every third with a character of three bytes), so that a missing or doubled character, or a word
of the wrong provider, shows in one comparison.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["ok", "status", "recorded", "error_event", "empty", "cut", "end", "stall", "garbage"]
Where = Literal["before_headers", "after_headers", "words", "event", "utf8"]


def word(name: str, number: int) -> str:
    """The word with this number (from 1), the blank behind it included."""
    return f"{name}-{number:03d}{'☕' if number % 3 == 0 else ''} "


def text(name: str, words: int = 20) -> str:
    """The whole answer of the double of this name."""
    return "".join(word(name, number) for number in range(1, words + 1))


@dataclass(frozen=True, slots=True)
class Act:
    """One answer. `after`: words said before the fault; -1 for a fault as the very first event.

    `where` says how deep a cut or stall sits: `event` in the middle of the event behind `after`
    words, `utf8` inside a character of it. `rst`: reset instead of FIN. `headers_s`, `first_s`
    and `gap_s` are pauses in seconds before the head, before the first word, between words.
    `eof`: the answer is delimited by the end of the connection, so that a FIN looks clean.
    """

    kind: Kind = "ok"
    words: int = 20
    where: Where = "words"
    after: int = 0
    rst: bool = False
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    content_type: str = "application/json"
    headers_s: float = 0.0
    first_s: float = 0.0
    gap_s: float = 0.0
    gzip: bool = False
    eof: bool = False
    error_type: str = "overloaded_error"


def ok(words: int = 20, **more: object) -> Act:
    """A good answer."""
    return Act(words=words, **more)  # type: ignore[arg-type]  # keywords of Act, checked there


def slow(*, headers_s: float = 0.0, first_s: float = 0.0, gap_s: float = 0.0) -> Act:
    """A good answer that takes its time."""
    return Act(headers_s=headers_s, first_s=first_s, gap_s=gap_s)


def status(code: int, body: bytes | None = None, **headers: str) -> Act:
    """An HTTP error; without a body, the dialect's own for this status. `retry_after="1"`."""
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Act("status", status=code, body=body, headers=pairs)


def recorded(body: bytes, content_type: str = "text/event-stream", piece: int = 11) -> Act:
    """Exactly these bytes, in pieces of so many."""
    return Act("recorded", words=piece, body=body, content_type=content_type)


def html(code: int = 502) -> Act:
    """What a proxy or a captive portal in front of the API says."""
    page = b"<html><head><title>502 Bad Gateway</title></head><body>cloud</body></html>"
    return Act("status", status=code, body=page, content_type="text/html; charset=UTF-8")


def empty() -> Act:
    """200 and nothing in it."""
    return Act("empty")


def error_event(after: int = -1, error_type: str = "overloaded_error") -> Act:
    """The stream itself says error: as first event (-1), behind the opening (0), behind words."""
    return Act("error_event", after=after, error_type=error_type)


def cut(where: Where = "words", after: int = 8, *, rst: bool = False, eof: bool = False) -> Act:
    """The connection breaks there."""
    return Act("cut", where=where, after=after, rst=rst, eof=eof)


def end(after: int = 8) -> Act:
    """A clean end of the HTTP body without the dialect's terminal event."""
    return Act("end", after=after)


def stall(where: Where = "words", after: int = 8) -> Act:
    """Silence from there on, until the peer goes."""
    return Act("stall", where=where, after=after)


def garbage(after: int = 8) -> Act:
    """Bytes that are not of the dialect, in an orderly HTTP frame."""
    return Act("garbage", after=after)
