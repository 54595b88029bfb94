"""The observatory over a recorded history: JSON Lines of observations in, events out.

Each line is what was seen at its time, raw: a failure is judged here, with the circumstances that
the lines before it made, as a live gateway would have judged it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, cast

import msgspec
from msgspec import Struct

from holdfast.app.diagnosis import failure_of
from holdfast.config.catalogue import catalogue
from holdfast.core.blame import judge
from holdfast.core.board import Board
from holdfast.core.incident import Incidents
from holdfast.facts.calls import Headers
from holdfast.facts.evidence import Circumstances, PageState
from holdfast.facts.flights import Leg
from holdfast.facts.incidents import Event
from holdfast.facts.observations import Observation, ObservationKind
from holdfast.facts.outcomes import Failure, Verdict
from holdfast.facts.pages import ComponentStatus, PageClaim, PageComponent
from holdfast.facts.places import Segment, Surface, Target, engines_of
from holdfast.wire.retry_after import retry_after_s

LINE_MAX = 4_000_000
BODY_MAX = 65_536
COUNT_MAX = 10_000
# Seconds of the epoch up to the year 5138: more is another unit.
LATEST = 1e11
KINDS = ("traffic", "probe", "status_page", "network", "slept", "peer", "knock", "moved")
PAGE_STATES = ("operational", "incident", "unreadable")
COMPONENT_STATES = frozenset(
    {"operational", "degraded", "partial_outage", "major_outage", "maintenance"}
)
# Unlike in every answer, and says nothing of it.
ONLY_ONCE = re.compile(r'"request_id"\s*:\s*"[^"]{0,200}"\s*,?')


class Raised(Struct):
    kind: str | None = None
    text: str | None = None


class Line(Struct):
    """One line as it is written. Fields that are not named here are left alone."""

    at: float
    kind: str
    provider: str | None = None
    surface: str | None = None
    model: str | None = None
    credential: str | None = None
    ok: bool | None = None
    status: int | str | None = None
    headers: dict[str, Any] | None = None
    body: Any = None
    exception: Raised | str | None = None
    where: str | None = None
    latency_ms: float | None = None
    count: int | None = None
    components: Any = None
    slept_s: float | None = None
    peer: str | None = None
    retry_after_s: float | None = None


class MalformedError(Exception):
    """A line that says nothing; the text says why."""


class Replay:
    """Folds lines, in order."""

    def __init__(self) -> None:
        self.incidents = Incidents(local=engines_of(catalogue()))
        self._board = Board(lambda: 0.5, incidents=self.incidents)
        self._decode = msgspec.json.Decoder(Line).decode
        self._at = -math.inf

    def read(self, data: bytes) -> list[Event]:
        """Fold one line. Raises MalformedError, and is then as it was before."""
        try:
            line = self._decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise MalformedError(f"not a record: {error}") from None
        if not abs(line.at) < LATEST:
            raise MalformedError(f"at: {line.at:g} is no time in seconds since the epoch")
        if line.at < self._at:
            raise MalformedError(f"at: {line.at:f} is before the line above it ({self._at:f})")
        obs = self._observation(line)
        self._at = line.at
        self._board.observe(obs)
        return self.incidents.observe(obs)

    def _observation(self, line: Line) -> Observation:
        kind = line.kind
        if kind in {"traffic", "probe"}:
            ok = succeeded(line)
            if ok:
                return observed(line, ok=True)
            failure = failed(line)
            return observed(line, ok=False, failure=failure, verdict=self._judge(failure, line))
        if kind not in KINDS:
            raise MalformedError(f"kind: {kind!r:.40} is none of {', '.join(KINDS)}")
        if kind == "status_page":
            claim = claimed(line)
            return msgspec.structs.replace(
                observed(line, ok=claim.state == "operational"), page=claim
            )
        return observed(line, ok=line.ok is not False)

    def _judge(self, failure: Failure, line: Line) -> Verdict:
        """The verdict, in the circumstances that the lines before made."""
        provider, model = name_of(line.provider), name_of(line.model)
        target = Target(provider, model, name_of(line.credential))
        surface = cast("Surface", name_of(line.surface))
        wait_s = line.retry_after_s
        if wait_s is None and failure.headers:
            wait_s = retry_after_s(failure.headers, line.at, failure.body)
        found = self._board.circumstances(
            Leg(target=target, dialect="anthropic", surface=surface),
            line.at,
            line.at,
            retry_after_s=wait_s,
        )
        last_ok_s = found.credential_last_ok_s
        if last_ok_s is not None:
            found = msgspec.structs.replace(found, credential_last_ok_s=coarse(last_ok_s))
        return judged(failure, found)


@lru_cache(maxsize=4096)
def judged(failure: Failure, around: Circumstances) -> Verdict:
    """The judge, who says the same to the same: an outage repeats itself."""
    return judge(failure, around)


def coarse(seconds: float) -> float:
    """To two digits, which is as exact as anybody needs how long ago something was."""
    return float(f"{seconds:.2g}")


def name_of(part: str | None) -> str:
    """A part of a segment; null, absent and "*" mean no particular one."""
    return "" if part is None or part == "*" else part[:200]


def succeeded(line: Line) -> bool:
    """Whether an attempt went well, by what the line says of it."""
    if line.ok is not None:
        return line.ok
    if line.exception is not None:
        return False
    if isinstance(line.status, int):
        return line.status < 400
    raise MalformedError("ok: missing, and there is neither status nor exception to tell it by")


def observed(
    line: Line, *, ok: bool, failure: Failure | None = None, verdict: Verdict | None = None
) -> Observation:
    """The line as an observation, but for what only a status page has."""
    return Observation(
        at=line.at,
        wall=line.at,
        kind=cast("ObservationKind", line.kind),
        provider=name_of(line.provider),
        surface=name_of(line.surface),
        model=name_of(line.model),
        credential=name_of(line.credential),
        ok=ok,
        count=1 if line.count is None else min(max(line.count, 1), COUNT_MAX),
        status=line.status if isinstance(line.status, int) else None,
        failure_kind="" if failure is None else failure.kind,
        text="" if failure is None else failure.text,
        verdict=verdict,
        peer=name_of(line.peer),
        slept_s=line.slept_s or 0.0,
    )


def failed(line: Line) -> Failure:
    """The failure that a line tells of."""
    raised = line.exception
    if isinstance(raised, str):
        raised = Raised(raised, raised)
    status = line.status if isinstance(line.status, int) else None
    body = ONLY_ONCE.sub("", body_of(line.body))
    thrown = (raised.kind or "failure", raised.text or "") if raised is not None else None
    found = read_failure(status, body, thrown, line.where or "")
    heads = headers(line)
    return msgspec.structs.replace(found, headers=heads) if heads else found


@lru_cache(maxsize=1024)
def read_failure(
    status: int | None, body: str, thrown: tuple[str, str] | None, where: str
) -> Failure:
    """The failure that these words tell of, read as a diagnosis reads them; often the same."""
    exception = None if thrown is None else {"kind": thrown[0], "text": thrown[1]}
    return failure_of({"status": status, "body": body, "exception": exception, "where": where})


def headers(line: Line) -> Headers:
    """The answer's headers, where the line has any."""
    return tuple(
        (name.lower().encode(errors="replace"), str(value).encode(errors="replace"))
        for name, value in (line.headers or {}).items()
    )


def body_of(body: object) -> str:
    """The body's text, whether it was written as text or as JSON."""
    if body is None:
        return ""
    return (body if isinstance(body, str) else msgspec.json.encode(body).decode())[:BODY_MAX]


def claimed(line: Line) -> PageClaim:
    """What a status page claimed."""
    if line.status not in PAGE_STATES:
        raise MalformedError(f"status: of a page it is one of {', '.join(PAGE_STATES)}")
    found = line.components
    if isinstance(found, list):
        found = {
            str(one.get("name", "")): one.get("status") for one in found if isinstance(one, dict)
        }
    components = tuple(
        PageComponent(
            id=name,
            name=name,
            status=cast("ComponentStatus", state if str(state) in COMPONENT_STATES else "unknown"),
            surface=name,
        )
        for name, state in (found.items() if isinstance(found, dict) else ())
    )
    return PageClaim(state=cast("PageState", line.status), components=components[:500])


def written(event: Event) -> bytes:
    """An event as its line of output."""
    return msgspec.json.encode(
        {
            "at": event.at,
            "event": event.event,
            "incident": event.incident,
            "whose": event.whose,
            "cause": event.cause,
            "segments": [shown(segment) for segment in event.segments],
            "confidence": event.confidence,
            "because": event.because,
        }
    )


def shown(segment: Segment) -> dict[str, str | None]:
    """A segment with null for "all"."""
    return {
        "provider": segment.provider or None,
        "surface": segment.surface,
        "model": segment.model,
        "credential": segment.credential,
    }


def replay(
    lines: Iterable[bytes], say: Callable[[bytes], None], complain: Callable[[str], None]
) -> int:
    """Fold lines as they come; every event is said before the next line is read.

    Returns the exit status: 1 where lines had to be skipped. A last line that was torn off is
    said and is no error: everything up to the last whole record counts.
    """
    fold = Replay()
    skipped = 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            events = fold.read(line)
        except MalformedError as why:
            if not line.endswith(b"\n") and str(why).startswith("not a record"):
                complain(f"line {number} was torn off; read up to the last whole record.")
                break
            complain(f"line {number} is skipped: {why}")
            skipped += 1
            continue
        for event in events:
            say(written(event) + b"\n")
    if skipped:
        complain(f"{skipped} line{'s' if skipped > 1 else ''} skipped; the rest was read.")
    return 1 if skipped else 0
