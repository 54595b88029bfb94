"""`holdfast eta`: when will it be back? A range for each open incident, and never one time."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import msgspec

from holdfast.app.eta import Fault, TornLineError, answer
from holdfast.core.outlook import (
    OUTAGES,
    about,
    back_by,
    chance,
    lasted,
    outlook,
)
from holdfast.face.reading import ask, at_a_glance, fail, joined, not_running, say_json

LINE_MAX = 1 << 20
RANGE = ("10", "25", "50", "75", "90")
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_LENGTH = re.compile(r"(?:(\d+) ?d)? ?(?:(\d+) ?h)? ?(?:(\d+) ?m(?:in)?)?")


class Deadline(NamedTuple):
    """By when it is wanted: as it was said, UTC seconds, and from now in minutes."""

    said: str
    at: float
    minutes: float


def command(words: argparse.Namespace) -> int:
    """0; 1 where no gateway answers or a line was not understood; 2 usage or configuration."""
    if words.jsonl:
        return filtered(sys.stdin.buffer, sys.stdout.buffer)
    now = time.time()
    try:
        deadline = None if words.before is None else read_clock(words.before, now)
        elapsed = None if words.elapsed is None else read_length(words.elapsed)
    except ValueError as problem:
        return fail(str(problem), as_json=words.json, status=2)
    if elapsed is not None:
        found = [{"elapsed_min": elapsed, "eta": msgspec.to_builtins(outlook(elapsed))}]
        check = ""
    else:
        config = at_a_glance(words)
        if config is None:
            return 2
        status = ask(config, "/-/status.json")
        if status is None:
            return fail(not_running(config), as_json=words.json)
        at = float(status.get("at") or now)  # its clock, by which it says since when
        found = [with_outlook(one, at) for one in status.get("incidents") or () if is_open(one)]
        check = status.get("eta_check") or ""
    if deadline is not None:
        found = [with_deadline(one, deadline) for one in found]
    if words.json:
        say_json({"at": now, "incidents": found, "checked": check})
    else:
        sys.stdout.write(told(found, check))
    return 0


def is_open(incident: dict[str, Any]) -> bool:
    """Whether it goes on; what is suspected alone goes on too."""
    return incident.get("resolved") is None


def with_outlook(incident: dict[str, Any], now: float) -> dict[str, Any]:
    """The incident with how long it has lasted, and with an outlook where it has none.

    The gateway knows its own history and says `eta`; one that does not gets the published range.
    """
    elapsed = max(0.0, now - incident["since"]) / 60.0
    eta = incident.get("eta")
    if "eta" not in incident and incident.get("whose") in OUTAGES:
        eta = msgspec.to_builtins(outlook(elapsed))
    return {**incident, "elapsed_min": elapsed, "eta": eta}


def with_deadline(incident: dict[str, Any], deadline: Deadline) -> dict[str, Any]:
    """The incident with the probability that it is over by then."""
    eta = incident["eta"]
    p = None
    if eta is not None:
        p = back_by(
            eta["quantiles_min"], eta.get("p_back_within_min") or {}, max(0.0, deadline.minutes)
        )
    before = deadline._asdict() | {"p_back": None if p is None else round(p, 4)}
    return {**incident, "before": before}


def told(incidents: list[dict[str, Any]], check: str) -> str:
    """Everything for people, a paragraph for each incident."""
    if not incidents:
        return (
            "No incident is open, so there is nothing to wait for. `holdfast status` shows all.\n"
        )
    parts = ["\n".join(paragraph(one)) + "\n" for one in incidents]
    if check:
        parts.append(f"{check}\n")
    return "\n".join(parts)


def paragraph(incident: dict[str, Any]) -> Iterator[str]:
    """One incident: what, for how long, the range, and the deadline where one is asked about."""
    length = lasted(incident["elapsed_min"])
    if "id" in incident:
        state = "down" if incident.get("opened") is not None else "suspected, not yet sure"
        what = ", ".join(segment_told(one) for one in incident.get("segments") or ()) or "all"
        yield clean(f"{what}: {state}, for {length} ({incident.get('whose', 'unknown')})")
    eta = incident["eta"]
    if eta is None:
        yield "  no range: this is no outage to wait for, somebody here has to mend it."
        yield "  `holdfast status` says what is wrong."
        return
    yield clean(f"  {eta.get('told') or outlook(incident['elapsed_min']).told}")
    yield f"  {range_told(eta['quantiles_min'])}"
    own = eta.get("n_own") or 0
    yield f"  by published outages of AI services{f' and your own {own}' if own else ''}"
    before = incident.get("before")
    if before is not None:
        in_time = about(before["minutes"])
        yield f"  back before {before['said']} (in {in_time}): {chance(before['p_back'])}"


def range_told(quantiles: dict[str, float]) -> str:
    """The range by percents: within how many minutes more so many of 100 were over."""
    names = [name for name in RANGE if name in quantiles]
    return "over within: " + joined(f"{name} % {about(quantiles[name])}" for name in names)


def segment_told(segment: dict[str, Any]) -> str:
    """A segment in few words: parts that mean all are left out."""
    parts = (segment.get(part) for part in ("surface", "model", "credential"))
    return joined([segment.get("provider") or "everything", *(part or "" for part in parts)])


def clean(text: str) -> str:
    """What a terminal cannot mistake for an order: names come from outside."""
    return "".join(c if c.isprintable() else "?" for c in text)


def read_clock(text: str, now: float) -> Deadline:
    """The next time that a clock here shows HH:MM; raises ValueError with what to say."""
    found = _CLOCK.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"--before {text!r} is no time of day. Write it as 17:00.")
    today = time.localtime(now)
    for days in (0, 1):
        day = (today.tm_year, today.tm_mon, today.tm_mday + days)
        at = time.mktime((*day, int(found[1]), int(found[2]), 0, 0, 0, -1))
        if at > now:
            break
    said = f"{int(found[1]):02}:{found[2]}{' tomorrow' if days else ''}"
    return Deadline(said, at, (at - now) / 60.0)


def read_length(text: str) -> float:
    """Minutes from 25m, 1h30m, 2 h or 45 (minutes); raises ValueError with what to say."""
    bare = text.strip()
    if bare.isascii() and bare.isdigit() and len(bare) < 10:
        return float(bare)
    found = _LENGTH.fullmatch(bare)
    if found is None or not any(found.groups()) or len(bare) > 30:
        raise ValueError(f"--elapsed {text!r} is no length of time. Write it as 25m or 1h30m.")
    days, hours, minutes = (float(part or 0) for part in found.groups())
    return days * 1440 + hours * 60 + minutes


def filtered(source: BinaryIO, sink: BinaryIO) -> int:
    """Answer questions line by line until the end. 1 where a line was not understood."""
    status = 0
    encode = msgspec.json.Encoder().encode
    for number, line in numbered(source):
        try:
            found = answer(line, number) if line is not None else too_long(number)
        except TornLineError:
            sys.stderr.write(
                f"holdfast: line {number}, the last, is torn: read up to the last whole record.\n"
            )
            break
        if isinstance(found, Fault):
            status = 1
        sink.write(encode(found) + b"\n")
        sink.flush()
    return status


def too_long(number: int) -> Fault:
    """What is answered to a line that nobody could mean."""
    return Fault(f"line {number} is longer than {LINE_MAX} bytes, so it was not read.")


def numbered(source: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Lines with their numbers, the empty ones left out; None for one that is too long."""
    number = 0
    while line := source.readline(LINE_MAX):
        number += 1
        if len(line) == LINE_MAX and not line.endswith(b"\n"):
            while (rest := source.readline(LINE_MAX)) and not rest.endswith(b"\n"):
                pass
            yield number, None
        elif not line.isspace():
            yield number, line
