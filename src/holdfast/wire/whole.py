"""Answers that come in one piece, and answers that are errors."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

from holdfast.facts.calls import Headers
from holdfast.facts.losses import Lost
from holdfast.facts.outcomes import CONTENT, END, FAULT, Failure, FailureKind, Piece, Said, Usage
from holdfast.wire.halves import without_halves
from holdfast.wire.speech import UNREADABLE, CannotCrossError, Speaking, UnshownError, Whole
from holdfast.wire.tap import NOTHING, fault

ERROR_BYTES_MAX = 1 << 20
WHOLE_BYTES_MAX = 64 << 20
TEXT_MAX = 500
PAGE_BYTES_MAX = 1 << 16
_END = Piece(END)
JSON: Headers = ((b"content-type", b"application/json"),)

# What is demanded of a body that says success: an answer of the dialect, JSON without an error in
# it, or nothing (batch results are lines of JSON, files may be anything).
Demand = Literal["answer", "json", "nothing"]
# A body into what the client is told, and what of it the client is not told.
Rewrite = Callable[[bytes], tuple[bytes, tuple[Lost, ...]]]


class WholeTap:
    """An answer that comes in one piece: kept until it is complete, then judged by its bytes.

    `rewrite` turns it into what the client asked for, `head` is its new head; without, it passes
    as it came. `strange` is the kind of failure where that cannot be done; where it is `absent`, an
    error in a success is one of it, too.
    """

    stopped = True
    __slots__ = (
        "_demand",
        "_done",
        "_parts",
        "_rewrite",
        "_size",
        "_speaking",
        "_strange",
        "head",
        "lost",
        "usage",
    )

    def __init__(
        self,
        speaking: Speaking,
        demand: Demand,
        *,
        rewrite: Rewrite | None = None,
        head: Headers | None = None,
        strange: FailureKind = "garbage",
    ) -> None:
        self._strange = strange
        self._speaking = speaking
        self._demand = demand
        self._rewrite = rewrite
        self._parts: list[bytes] = []
        self._size = 0
        self._done = False
        self.usage = Usage()
        self.lost: tuple[Lost, ...] = ()
        self.head = head

    def feed(self, data: bytes) -> list[Piece]:
        if self._done:
            return []
        self._size += len(data)
        if self._size > WHOLE_BYTES_MAX:
            self._parts.clear()
            self._done = True
            return [fault("too_large", f"an answer of more than {WHOLE_BYTES_MAX >> 20} MB")]
        self._parts.append(data)
        return []

    def close(self) -> list[Piece]:
        if self._done:
            return []
        self._done = True
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        if self._demand != "nothing":
            problem = self._wrong(body)
            if problem is not None:
                return [Piece(FAULT, b"", problem)]
        if self._rewrite is not None:
            try:
                body, self.lost = self._rewrite(without_halves(body))
            except UnshownError as error:
                return [fault("unshown", str(error))]
            except CannotCrossError as error:
                return [fault(self._strange, str(error))]
            except UNREADABLE as error:
                return [
                    fault(self._strange, f"the answer is not of its dialect: {error}"[:TEXT_MAX])
                ]
        return [Piece(CONTENT, body), _END]

    def _wrong(self, body: bytes) -> Failure | None:
        start = body.lstrip()[:1]
        if not start:
            return self._failure("empty", NOTHING)
        if start not in (b"{", b"["):
            return self._failure("not_json", "a page or other text where JSON was due", body)
        if start == b"[" and self._demand == "json":
            return None
        try:
            found = self._speaking.read_whole(without_halves(body))
        except UNREADABLE:
            return self._failure("garbage", "the answer is not whole JSON of the dialect", body)
        self.usage = found.usage
        if found.error:
            return self._errs(body)
        return None if found.answer or self._demand == "json" else self._answerless(body, found)

    def _answerless(self, body: bytes, found: Whole) -> Failure:
        """JSON without an error field, and yet no answer: an error in other words, or nothing."""
        said = self._speaking.said(body)
        if said.message and found.usage == Usage():
            return self._errs(body)
        return self._failure("empty", "JSON in which there is no answer", body)

    def _errs(self, body: bytes) -> Failure:
        said = self._speaking.said(body)
        text = f"a success that holds an error: {said.message or said.type or said.code}"
        kind: FailureKind = "error_event" if self._strange == "garbage" else self._strange
        return self._failure(kind, text, body, said)

    def _failure(
        self, kind: FailureKind, text: str, body: bytes = b"", said: Said | None = None
    ) -> Failure:
        return Failure(
            kind=kind,
            where="body",
            text=text[:TEXT_MAX],
            body=body[:ERROR_BYTES_MAX],
            said=said or Said(),
        )


class ErrorTap:
    """An answer whose status says failure: its body is kept, so that it can be passed on.

    `crossed`: the client speaks another dialect. `kind` is that of the failure.
    """

    lost: tuple[Lost, ...] = ()
    stopped = False
    __slots__ = (
        "_crossed",
        "_headers",
        "_kind",
        "_parts",
        "_room",
        "_status",
        "_there",
        "head",
        "usage",
    )

    def __init__(
        self,
        there: Speaking,
        status: int,
        headers: Headers,
        *,
        crossed: bool = False,
        kind: FailureKind = "status",
    ) -> None:
        self._kind: FailureKind = kind
        self._there = there
        self._crossed = crossed
        self._status = status
        self._headers = headers
        self._parts: list[bytes] = []
        self._room = ERROR_BYTES_MAX
        self.usage = Usage()
        self.head: Headers | None = None

    def feed(self, data: bytes) -> list[Piece]:
        if self._room > 0:
            self._parts.append(data[: self._room])
            self._room -= len(self._parts[-1])
        return []

    def close(self) -> list[Piece]:
        body, status = b"".join(self._parts), self._status
        said = self._there.said(body)
        what = " ".join(part for part in (said.type, said.message) if part)
        failure = Failure(
            kind=self._kind,
            where="body",
            text=f"{status} {what}".strip()[:TEXT_MAX],
            status=status,
            headers=self._headers,
            body=body,
            said=said,
            crossed=self._crossed,
        )
        return [Piece(FAULT, b"", failure)]


_TITLE = re.compile(rb"<title[^>]*>([^<]{1,300})", re.IGNORECASE)


def page_words(body: bytes) -> str:
    """What a page says, or any body that is not JSON: its title, or the first of its words."""
    title = _TITLE.search(body[:PAGE_BYTES_MAX])
    said = title.group(1) if title is not None else body[:TEXT_MAX]
    if title is None and said.lstrip()[:1] in (b"<", b"{", b"["):
        return ""
    return " ".join(said.decode("utf-8", "replace").split())
