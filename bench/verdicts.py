"""`python -m bench.verdicts`: how often the judge is right, and how sure it says it is.

Cases are records as `holdfast diagnose --jsonl` reads them, each with the right answer: `whose`
(whose fault it was), `say` (what to do; optional), `basis` ("stated": the thread says it, "shown":
many at once or a fix that worked, else "inferred"; only the first two count). They are chosen to
be misleading: figures say nothing about everyday traffic.

Held out is done by rows: what a signature is worth on cases that did not bring it in.
- by provider: before one provider's cases are judged, every signature that no other provider's
  case has used is taken away, so that nothing is left but what others taught.
- by halves: only signatures that one half of the cases has used (and those by status or kind
  alone) judge the other half.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from msgspec import Struct

from holdfast.app.diagnosis import Diagnosis, failure_of
from holdfast.config.catalogue import catalogue
from holdfast.core.signatures import SIGNATURES, Book, Signature, wording
from holdfast.facts.outcomes import Verdict

ROOT = Path(__file__).parents[1]
CASES = ROOT / "tests" / "core" / "cases.jsonl"
PAGE = ROOT / "docs" / "reference" / "reliability.md"
AS_OF = "2026-11"
USERS = ("account", "request", "network", "local")
BINS = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.01)
HALVES = 20
COLUMNS = (
    "judged",
    "cases",
    "whose right",
    "action right",
    "provider's fault blamed on the user",
    "user's fault excused",
    "unknown said",
    "ECE",
)
Case = dict[str, Any]
Judged = tuple[Case, Verdict]


class Figures(Struct, frozen=True):
    """What is measured over some cases; shares in 0..1, None where nothing is to be measured."""

    cases: int
    whose: float
    action: float | None
    blamed: float | None
    excused: float | None
    unknown: float
    ece: float


def figures(judged: Sequence[Judged]) -> Figures:
    """`blamed`: of the provider's faults, those called the user's. `excused`: the reverse."""
    acted = [verdict.action == case["say"] for case, verdict in judged if case.get("say")]
    theirs = [verdict.whose in USERS for case, verdict in judged if case["whose"] == "provider"]
    mine = [v.whose == "provider" for case, v in judged if case["whose"] in ("account", "request")]
    return Figures(
        len(judged),
        statistics.fmean(right(one) for one in judged),
        statistics.fmean(acted) if acted else None,
        statistics.fmean(theirs) if theirs else None,
        statistics.fmean(mine) if mine else None,
        statistics.fmean(verdict.whose == "unknown" for _, verdict in judged),
        sum(len(part) * abs(sure - hit) for part, sure, hit in bins(judged)) / len(judged),
    )


def right(one: Judged) -> bool:
    case, verdict = one
    return bool(verdict.whose == case["whose"])


def bins(judged: Sequence[Judged]) -> list[tuple[list[Judged], float, float]]:
    """By stated confidence: the cases, what was said on average, what was right."""
    found = []
    for low, high in pairwise(BINS):
        part = [one for one in judged if low <= one[1].confidence < high]
        if part:
            sure = statistics.fmean(verdict.confidence for _, verdict in part)
            found.append((part, sure, statistics.fmean(right(one) for one in part)))
    return found


def judged_by(book: Book, cases: Iterable[Case], leave_out: Iterable[str] = ()) -> list[Judged]:
    """Each case with its verdict. `leave_out`: names of fields of a case; the facts they name."""
    diagnosis = Diagnosis(catalogue(), book)
    found = []
    for case in cases:
        facts = dict(case.get("facts") or {})
        for field in leave_out:
            for name in list(facts) if field == "*" else case.get(field) or ():
                facts.pop(name, None)
        found.append((case, diagnosis.judge({**case, "facts": facts}, 0.0)))
    return found


def used(cases: Iterable[Case]) -> list[Signature]:
    """The first row that fits each case."""
    book = Book()
    return [book.find(failure, wording(failure)) for failure in map(failure_of, cases)]


def by_provider(cases: Sequence[Case]) -> list[Judged]:
    """Held out by provider."""
    rows = used(cases)
    found = []
    for name in sorted({case["provider"] for case in cases}):
        others = [row for row, case in zip(rows, cases, strict=True) if case["provider"] != name]
        own = [case for case in cases if case["provider"] == name]
        found += judged_by(taught(others), own)
    return found


def by_halves(cases: Sequence[Case]) -> list[Judged]:
    """Held out by halves, many times over."""
    rows = used(cases)
    found = []
    for seed in range(HALVES):
        order = list(range(len(cases)))
        random.Random(seed).shuffle(order)
        half, rest = order[: len(order) // 2], order[len(order) // 2 :]
        found += judged_by(taught([rows[at] for at in half]), [cases[at] for at in rest])
    return found


def taught(rows: Sequence[Signature]) -> Book:
    """A book of these rows and of the plain ones."""
    keep = {id(row) for row in rows}
    return Book(row for row in SIGNATURES if row.plain or id(row) in keep)


SETS: dict[str, Callable[[Sequence[Case]], list[Judged]]] = {
    "with all facts": lambda cases: judged_by(Book(), cases),
    "without facts known only afterwards": lambda cases: judged_by(
        Book(), cases, ["facts_hindsight"]
    ),
    "bytes alone": lambda cases: judged_by(Book(), cases, ["*"]),
    "raw bytes only": lambda cases: judged_by(
        Book(), [case for case in cases if case.get("tier") == "raw"]
    ),
    "held out by provider": by_provider,
    "held out by halves": by_halves,
}


def report(cases: Sequence[Case], day: str) -> str:
    """All figures as Markdown."""
    counted = [case for case in cases if basis(case) in ("stated", "shown")]
    lines = [
        f"{len(counted)} cases whose cause is stated or shown, of {len(cases)}; as of {day}.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "|---|---|---|---|---|---|---|---|",
    ]
    results = {name: judge(counted) for name, judge in SETS.items()}
    results = {name: found for name, found in results.items() if found}
    for name, found in results.items():
        it = figures(found)
        cells = (it.whose, it.action, it.blamed, it.excused, it.unknown, it.ece)
        told = " | ".join("–" if cell is None else f"{cell:.3f}" for cell in cells)
        lines.append(f"| {name} | {it.cases} | {told} |")
    for name in ("with all facts", "held out by provider"):
        lines += ["", f"Stated confidence and what was right, {name}:", ""]
        lines += ["| confidence | cases | stated | right |", "|---|---|---|---|"]
        for part, sure, hit in bins(results[name]):
            low = max(edge for edge in BINS if edge <= part[0][1].confidence)
            lines.append(f"| from {low:.1f} | {len(part)} | {sure:.2f} | {hit:.2f} |")
    return "\n".join(lines) + "\n"


def basis(case: Case) -> str:
    return str(case.get("basis") or case.get("label_basis") or "stated")


def speed(cases: Sequence[Case]) -> str:
    """How long one line takes, from its bytes to the verdict."""
    diagnosis = Diagnosis(catalogue())
    lines = [json.dumps(case).encode() for case in cases]
    begun = time.perf_counter()
    for line in lines * 5:
        diagnosis.answer(line, 0.0)
    each_us = (time.perf_counter() - begun) / (5 * len(lines)) * 1e6
    return f"{each_us:.0f} µs a line from bytes to verdict\n"


def main(argv: Sequence[str]) -> int:
    """Print the figures; with `--write` also the page of the reference."""
    parser = argparse.ArgumentParser(prog="python -m bench.verdicts", description=__doc__)
    parser.add_argument("--cases", type=Path, default=CASES, metavar="FILE")
    parser.add_argument("--wrong", action="store_true", help="each case that was judged wrong")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    parser.add_argument("--date", default=AS_OF, help="date of the data, for the page")
    words = parser.parse_args(argv)
    cases = read(words.cases)
    text = report(cases, words.date)
    sys.stdout.write(text + speed(cases))
    if words.wrong:
        for case, verdict in judged_by(Book(), cases):
            if verdict.whose != case["whose"] or verdict.action != case.get("say"):
                sys.stdout.write(
                    f"{case['id']} {basis(case)[:3]} {case['whose']}/{case.get('say')} but"
                    f" {verdict} {verdict.action}: {' · '.join(verdict.because)[:260]}\n"
                )
    if words.write:
        PAGE.write_text(NOTE + HEAD + text, encoding="utf-8")
    return 0


def page() -> str:
    """The page of the reference, from the cases of this repository."""
    return HEAD + report(read(CASES), AS_OF)


def read(file: Path) -> list[Case]:
    return [json.loads(line) for line in file.read_text().splitlines() if line.strip()]


# As `docs/reference.py` writes it at the head of each sheet.
NOTE = "<!-- Written by `make docs` from the code. Do not edit. -->\n"


HEAD = """# How far the verdicts can be relied on

Failures from public threads, chosen to be misleading: the figures say nothing about everyday
traffic, where most failures are plain. "Held out" takes away, before a case is judged, every
signature that only cases like it have brought in. Confidence is meant as a share: of the verdicts
said with 0.8, eight in ten should be right (ECE: the mean distance from that).

"""

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
