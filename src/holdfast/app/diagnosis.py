"""A failure that somebody else met, told as JSON or as pasted text, brought before the judge.

The gateway's own failures are facts already; these are words. What cannot be read is left out and
said; nothing that is merely odd stops a diagnosis.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast, get_args

import msgspec
from msgspec import Struct

from holdfast.config.catalogue import Catalogue, Entry
from holdfast.core.blame import judge
from holdfast.core.signatures import BOOK, Book, wording
from holdfast.facts.evidence import Circumstances, PageState
from holdfast.facts.outcomes import Action, Failure, FailureKind, Said, Verdict, Where, Whose
from holdfast.facts.places import engines_of
from holdfast.wire.printed import Printed, read_printed, way_of
from holdfast.wire.retry_after import retry_after_s

TEXT_FOR_PEOPLE = 200
_YES_NO = (
    "overload_burst",
    "credential_ever_ok",
    "other_credentials_failing",
    "other_surfaces_failing",
    "other_surfaces_ok",
    "other_models_failing",
    "other_providers_ok",
    "other_providers_failing",
    "many_users",
    "internet_ok",
    "same_request_fails_again",
    "other_requests_ok",
    "smaller_request_ok",
    "intermediary",
)
_KINDS = frozenset(get_args(FailureKind)) - {"status", "internal"}
_NUMBERS = ("credential_last_ok_s", "attempt_count", "request_tokens", "context_tokens")


class MalformedError(Exception):
    """A record that cannot be judged; the text says why."""


class Answer(Struct, frozen=True):
    """What goes out for one record, as the public contract names it."""

    id: Any
    whose: Whose
    cause: str
    confidence: float
    action: Action
    because: tuple[str, ...]


class Diagnosis:
    """Judges records of failures. `known`: which providers there are, and which are local."""

    def __init__(self, known: Catalogue, book: Book = BOOK) -> None:
        self._local = engines_of(known)
        self._book = book

    def answer(self, line: bytes | str, wall: float) -> Answer:
        """The answer to one line of JSON. Raises MalformedError where it is no record.

        `wall`: now, in seconds since the epoch, for waits that are stated as dates.
        """
        try:
            record = msgspec.json.decode(line)
        except (ValueError, RecursionError) as error:
            raise MalformedError(f"this is not JSON ({error})") from None
        if not isinstance(record, dict):
            raise MalformedError("a record is a JSON object, and this is none")
        verdict = self.judge(record, wall)
        return Answer(
            record.get("id"),
            verdict.whose,
            verdict.cause,
            verdict.confidence,
            verdict.action,
            verdict.because,
        )

    def judge(self, record: Mapping[str, Any], wall: float) -> Verdict:
        """The verdict on one record; what is odd in it is left out, and said."""
        failure = failure_of(record)
        around, odd = circumstances_of(record.get("facts"))
        name = record.get("provider")
        local = record.get("surface") == "local" or (isinstance(name, str) and name in self._local)
        around = msgspec.structs.replace(
            around, local=local, retry_after_s=retry_after_s(failure.headers, wall, failure.body)
        )
        verdict = judge(failure, around, self._book)
        if odd:
            note = f"not understood and left out: {', '.join(odd)}"
            verdict = msgspec.structs.replace(verdict, because=(*verdict.because, note))
        return verdict

    def is_any_text(self, record: Mapping[str, Any]) -> bool:
        """Whether a record holds words alone, of which none are known to be a provider's."""
        failure = failure_of(record)
        said = failure.said
        return (
            failure.kind == "error_event"
            and not (said.type or said.code or failure.headers)
            and failure.status is None
            and self._book.find(failure, wording(failure)).plain
        )


UNHEARD_OF = Verdict(
    whose="unknown",
    cause="unknown",
    confidence=0.5,
    action="surface_to_user",
    because=(
        "no provider's error that is known here reads like this",
        "look next: paste all of it, with its status and the name of who answered",
    ),
)


def circumstances_of(facts: object) -> tuple[Circumstances, list[str]]:
    """The circumstances that a record tells of, and the names of those that are not understood."""
    if facts is None:
        return Circumstances(), []
    if not isinstance(facts, Mapping):
        return Circumstances(), ["facts"]
    told: dict[str, Any] = {}
    odd = []
    for name, value in facts.items():
        if value is None:
            continue
        if name in _YES_NO:
            good = isinstance(value, bool)
        elif name in _NUMBERS:
            good = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
        elif name == "status_page":
            good = value in get_args(PageState)
        elif name in ("local_change", "model"):
            good = isinstance(value, str)
        else:
            continue
        if good:
            told[name] = value
        else:
            odd.append(name)
    if told.get("other_providers_ok") is False:
        told["other_providers_failing"] = True
    return Circumstances(**told), odd


def failure_of(record: Mapping[str, Any]) -> Failure:
    """The failure that a record tells of, in our own nouns."""
    body = _text(record.get("body"))
    thrown, thrown_text = _exception(record.get("exception"))
    where = _where(record.get("where"))
    headers = _headers(record.get("headers"))
    printed = read_printed(body) if body.strip() else Printed()
    status = _number(record.get("status"))
    if status is None or (200 <= status < 300 and where == "before_headers"):
        status = printed.status if printed.status is not None else status
    if status is None and not body:
        status = read_printed(thrown).status
    words = " ".join(part for part in (printed.said.message, thrown_text) if part)
    kind = _kind(status, where, printed, thrown, words)
    if kind in ("status", "error_event", "not_json") and printed.page:
        said = Said()
    else:
        said = Said(printed.said.type, printed.said.code, words)
    return Failure(
        kind=kind,
        where=where,
        text=_told(status, thrown_text or body, kind),
        status=status,
        headers=headers,
        body=(printed.page or body).encode("utf-8", "replace"),
        said=said,
    )


def _kind(
    status: int | None, where: Where, printed: Printed, thrown: str, words: str
) -> FailureKind:
    """The kind of failure, by what arrived first of all and by a client's words else."""
    if status is not None and status >= 300:
        return "status"
    if printed.page:
        return "not_json"
    named = thrown.partition(" ")[0]
    if named in _KINDS:  # our own word for it, as in a recorded history
        return cast("FailureKind", named)
    way = way_of(thrown) if thrown else None
    if way == "not_json" and not printed.said.message and "<" not in thrown:
        return "empty"  # a parser that found nothing at the first place
    if way is None and not printed.structured:
        way = way_of(words)
    if way in ("reset", "refused") and where in ("in_stream", "body"):
        return "truncated"
    if way is not None:
        return way
    if words:
        return "error_event"
    return "empty" if status is not None else "internal"


def _told(status: int | None, words: str, kind: str) -> str:
    """The failure for people, in a line."""
    short = " ".join(words.split())[:TEXT_FOR_PEOPLE]
    if status is None or str(status) in short:
        return short or kind.replace("_", " ")
    return f"HTTP {status}: {short}" if short else f"HTTP {status}"


def _text(body: object) -> str:
    if body is None:
        return ""
    return body if isinstance(body, str) else msgspec.json.encode(body).decode()


def _exception(thrown: object) -> tuple[str, str]:
    """All words of an exception, and its text alone."""
    if isinstance(thrown, Mapping):
        kind, text = _text(thrown.get("kind")), _text(thrown.get("text"))
        return f"{kind} {text}".strip(), text or kind
    return _text(thrown), _text(thrown)


def _where(where: object) -> Where:
    return next((one for one in get_args(Where) if one == where), "before_headers")


def _number(status: object) -> int | None:
    """A status as a number, also where it is written as text."""
    if isinstance(status, str) and status.strip().isdecimal():
        status = int(status.strip()[:4])
    if isinstance(status, bool) or not isinstance(status, int):
        return None
    return status if 100 <= status <= 999 else None


def _headers(headers: object) -> tuple[tuple[bytes, bytes], ...]:
    """Headers from an object or from pairs; what is neither is left out."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    if not hasattr(pairs, "__iter__") or isinstance(pairs, str):
        return ()
    return tuple(
        (str(pair[0]).lower().encode(), str(pair[1]).encode())
        for pair in pairs
        if isinstance(pair, list | tuple) and len(pair) == 2
    )


# --- a pasted error -----------------------------------------------------------------------


class Pasted(Struct, frozen=True):
    """What a pasted error means. `provider`: whom it speaks of, empty where it does not say.

    `trouble_there`: whether the running gateway has seen a fault of that provider's own.
    """

    verdict: Verdict
    provider: str
    trouble_there: bool


def of_paste(text: str, known: Catalogue, board: Mapping[str, Any] | None, wall: float) -> Pasted:
    """The verdict on any text about an error. `board`: the gateway's status, None without one."""
    provider = named_in(text, known)
    entry = known.get(provider)
    facts, trouble_there = _of_board(board, provider)
    record = {
        "provider": provider,
        "surface": "local" if entry is not None and entry.kind == "local" else "api",
        "body": text,
        "where": "before_headers",
        "facts": facts,
    }
    diagnosis = Diagnosis(known)
    # People paste what is no provider's error at all.
    unheard_of = not trouble_there and diagnosis.is_any_text(record)
    verdict = UNHEARD_OF if unheard_of else diagnosis.judge(record, wall)
    return Pasted(verdict, provider, trouble_there)


def named_in(text: str, known: Catalogue) -> str:
    """The provider that a text names: by its host, its name, its title or its models' names."""
    low = text.lower()
    for marks in (_hosts, _names, _models):
        for name, entry in known.items():
            if entry.kind != "sim" and any(_stands_in(low, mark) for mark in marks(name, entry)):
                return name
    return ""


def _stands_in(text: str, mark: str) -> bool:
    """Whether a mark stands in a text and is not the end of another word."""
    return bool(mark) and re.search(rf"(?<![a-z0-9]){re.escape(mark)}", text) is not None


def _hosts(_name: str, entry: Entry) -> list[str]:
    address = entry.base_url.partition("://")[2].partition("/")[0]
    page = (entry.status_page or "").partition("://")[2].partition("/")[0]
    return [address, page]


def _names(name: str, entry: Entry) -> list[str]:
    return [name, entry.title.lower()]


def _models(_name: str, entry: Entry) -> list[str]:
    return [glob.rstrip("*").rstrip("-") for glob in entry.serves if len(glob) > 4]


def _of_board(board: Mapping[str, Any] | None, provider: str) -> tuple[dict[str, bool], bool]:
    """What the gateway's board says about a provider, as facts."""
    if board is None or not provider:
        return {}, False
    rows = board["segments"]
    down = [row for row in rows if row["state"] == "down" and row["whose"] == "provider"]
    there = any(row["segment"]["provider"] == provider for row in down)
    others = [row for row in rows if row["segment"]["provider"] != provider]
    facts = {}
    if there:
        facts["overload_burst"] = True
    if any(row["state"] == "well" for row in others):
        facts["other_providers_ok"] = True
    return facts, there
