"""Outlooks of a gateway, which learns from its own incidents; and as a filter over lines."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct

from holdfast.core.calibration import check, outages
from holdfast.core.outlook import Outlook, curve_of, estimate, outlook_of
from holdfast.core.prior import POOLED
from holdfast.core.survival import Survival
from holdfast.facts.incidents import Incident

_NULL = Raw(b"null")


class Outlooks:
    """What a gateway tells of its open incidents; `checked`: how that fared, in a sentence.

    Learns anew only when an incident began or ended since, so it may be asked with every look.
    """

    __slots__ = ("_curve", "_known", "checked")

    def __init__(self) -> None:
        self._curve = POOLED
        self._known: frozenset[tuple[str, float | None]] = frozenset()
        self.checked = ""

    def learn(self, incidents: Sequence[Incident], now: float) -> None:
        """Take in one's own incidents, open and ended (`now`: UTC seconds)."""
        known = frozenset((one.id, one.resolved) for one in incidents)
        if known != self._known:
            self._known = known
            self._curve = curve_of(incidents, now)
            self.checked = check(outages(incidents)).told

    def of(self, incident: Incident, now: float) -> Outlook | None:
        """When it may be back; None where it is over, or no outage that one waits for."""
        return outlook_of(incident, self._curve, now)


class Question(Struct):
    """What is read of a line. All else that it may say of the outage adds nothing (core.prior)."""

    elapsed_min: float
    id: Raw = _NULL


class Answer(Struct):
    """Minutes still to go, by percent; the probability that it is over within so many minutes."""

    id: Raw
    quantiles_min: dict[str, float]
    p_back_within_min: dict[str, float]


class Fault(Struct):
    """Why a line has no answer. `id` is the line's own where it can be read, else null."""

    error: str
    id: Raw = _NULL


class _Named(Struct):
    id: Raw = _NULL


_question = msgspec.json.Decoder(Question)
_named = msgspec.json.Decoder(_Named)


class TornLineError(Exception):
    """The last line ends in the middle: whoever wrote it has not finished."""


def answer(line: bytes, number: int, curve: Survival = POOLED) -> Answer | Fault:
    """Answer one line, the `number`-th; raises TornLineError where the last is not whole."""
    try:
        asked = _question.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        if not line.endswith(b"\n") and not _is_json(line):
            raise TornLineError from None
        return _fault(line, number, problem)
    return Answer(asked.id, *estimate(asked.elapsed_min, curve))


def _fault(line: bytes, number: int, problem: Exception) -> Fault:
    why = "it is nested too deeply" if isinstance(problem, RecursionError) else str(problem)
    told = f'line {number} is no question ({why}). It needs at least {{"elapsed_min": MINUTES}}.'
    try:
        return Fault(told, _named.decode(line).id)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Fault(told)


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
