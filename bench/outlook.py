"""`python -m bench.outlook`: do the ranges of `holdfast eta` hold, and does own history help?

Everything is drawn with fixed seeds, from laws that are known, so every run prints the same.
`--history FILE` checks outages that really were: JSON Lines of {"began": UTC seconds, "minutes"}.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from holdfast.core.calibration import LANDMARKS_MIN, Ended, Marks, as_lived, marks, outages
from holdfast.core.outlook import PERCENTS, WITHIN_MIN, outlook
from holdfast.core.prior import POOLED
from holdfast.core.survival import STRENGTH, Past, Survival, blended
from holdfast.facts.incidents import Incident

ROOT = Path(__file__).parents[1]
SHEET = ROOT / "docs" / "reference" / "eta.md"
NOTE = "<!-- Written by `python -m bench.outlook --write`. Do not edit. -->\n"
ELAPSED_MIN = (0, 5, 15, 30, 60, 120, 240, 480)
STUDIED: Final = 688  # as many incidents as the published table was made of
LATE_MIN = 240.0  # late enough for the elapsed time to tell much
WEEK_MIN = 7 * 24 * 60.0
OWN = (5, 20, 80, 320)
STRENGTHS = (1.0, 5.0, 10.0, 20.0, 40.0, 80.0)
LINES = 100_000
# For curves that are fitted with hardly any prior: one that says next to nothing, and counts as
# less than one outage.
VAGUE: Final = Survival([(60.0, 0.5)], 1.1)
ALONE: Final = 0.5

Law = Callable[[random.Random], float]


def published(dice: random.Random) -> float:
    """One outage as the published ones: longer than nothing, shorter than a week."""
    while (minutes := POOLED.time(dice.expovariate(1.0))) >= WEEK_MIN:
        pass
    return minutes


def two_kinds(dice: random.Random) -> float:
    """A law not like the published one: short blips, and now and then a long night."""
    middle, spread = (9.0, 0.5) if dice.random() < 0.7 else (300.0, 0.4)
    return middle * dice.lognormvariate(0.0, spread)


WORLDS: Final[dict[str, Law]] = {
    "as published": published,
    "0.4 times as long": lambda dice: 0.4 * published(dice),
    "3 times as long": lambda dice: 3.0 * published(dice),
    "short blips and long nights": two_kinds,
}


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table that reads well in a terminal too."""
    cells = [list(head), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"


def ranges() -> str:
    """What is told where there is no own history."""
    rows = []
    for elapsed in ELAPSED_MIN:
        one = outlook(elapsed)
        quantiles = [f"{one.quantiles_min[str(percent)]:.0f}" for percent in PERCENTS]
        chances = [f"{one.p_back_within_min[str(span)]:.2f}" for span in WITHIN_MIN]
        rows.append([elapsed, *quantiles, *chances])
    head = ["elapsed min", *(f"q{percent}" for percent in PERCENTS), "back in 1 h", "back in 4 h"]
    return table(head, rows)


def row(name: str, one: Marks) -> list[str]:
    """One line of a table of marks."""
    held = [f"{share:.2f}" for share in (one.held_50, one.held_80, one.held_90)]
    return [name, f"{one.landmark_min:g}", str(one.n), *held] + [
        f"{score:.3f}" for score in (one.crps, one.brier_60, one.brier_240)
    ]


MARKED = ("curve", "asked at min", "n", "50 %", "80 %", "90 %", "CRPS", "Brier 1 h", "Brier 4 h")


def halves(rounds: int) -> str:
    """Fit on one half of a published-like history, judge on the other."""
    shipped: list[tuple[Survival, float]] = []
    fitted: list[tuple[Survival, float]] = []
    for seed in range(rounds):
        dice = random.Random(f"halves {seed}")
        drawn = [published(dice) for _ in range(STUDIED)]
        half, rest = drawn[: STUDIED // 2], drawn[STUDIED // 2 :]
        curve = blended(VAGUE, [Past(minutes) for minutes in half], ALONE)
        shipped += [(POOLED, minutes) for minutes in rest]
        fitted += [(curve, minutes) for minutes in rest]
    rows = []
    for at in (*LANDMARKS_MIN, LATE_MIN):
        for name, cases in (("shipped table", shipped), ("fitted on the other half", fitted)):
            found = marks(at, cases)
            assert found is not None
            rows.append(row(name, found))
        rows.append(row("elapsed ignored", ignoring(at, shipped)))
    return table(MARKED, rows)


def ignoring(at: float, cases: Sequence[tuple[Survival, float]]) -> Marks:
    """The marks of one who tells at every time what he would have told at the beginning."""
    found = marks(0.0, [(curve, minutes - at) for curve, minutes in cases])
    assert found is not None
    return msgspec.structs.replace(found, landmark_min=at)


def trials(world: str, own: int, rounds: int) -> Iterator[tuple[list[Past], list[float]]]:
    """Own histories of one law, each with outages of the same law that are yet to come."""
    for seed in range(rounds):
        dice = random.Random(f"{world} {own} {seed}")
        law = WORLDS[world]
        yield [Past(law(dice)) for _ in range(own)], [law(dice) for _ in range(20)]


def score(world: str, own: int, rounds: int, fit: Callable[[list[Past]], Survival]) -> Marks:
    """The marks over all landmarks of curves fitted to own histories."""
    cases = []
    for past, ahead in trials(world, own, rounds):
        curve = fit(past)
        cases += [(curve, minutes) for minutes in ahead]
    found = [one for at in LANDMARKS_MIN if (one := marks(at, cases))]
    n = sum(one.n for one in found)
    means = {
        name: sum(getattr(one, name) * one.n for one in found) / n
        for name in ("held_50", "held_80", "held_90", "crps", "brier_60", "brier_240")
    }
    return Marks(landmark_min=0.0, n=n, **means)


def mixing(rounds: int) -> str:
    """CRPS of the published table alone, of own history alone, and of both."""
    rows = []
    for world in WORLDS:
        for own in OWN:
            plain = score(world, own, rounds, lambda _: POOLED)
            alone = score(world, own, rounds, lambda past: blended(VAGUE, past, ALONE))
            both = score(world, own, rounds, lambda past: blended(POOLED, past))
            gain = round(100.0 * (1.0 - both.crps / plain.crps))
            held = f"{plain.held_80:.2f} → {both.held_80:.2f}"
            rows.append(
                [world, own, *(f"{x.crps:.3f}" for x in (plain, alone, both)), f"{gain:+} %", held]
            )
    head = ("own outages are", "n", "published", "own alone", "mixed", "gain", "80 % range held")
    return table(head, rows)


def strengths(rounds: int) -> str:
    """CRPS of the mixture when the published table counts as so many outages."""
    rows = []
    for world in WORLDS:
        for own in OWN[:3]:
            found = []
            for strength in STRENGTHS:
                one = score(world, own, rounds, lambda past, k=strength: blended(POOLED, past, k))
                found.append(one.crps)
            rows.append([world, own, *(f"{value:.3f}" for value in found)])
    return table(("own outages are", "n", *(f"{k:g}" for k in STRENGTHS)), rows)


TOLD = """\
What `holdfast eta` tells, and how well it holds. Minutes still to go, given the minutes elapsed;
qN: N of 100 such outages were over by then. Without own history:
"""
WIDTH = """\
The width is the message: from q25 to q75 is a factor of six. What has lasted goes on longer. Beyond
8 h there is hardly anything to compare with, and `holdfast eta` says so. The published table is in
the pages' time (a page says “resolved” later than the first good answer comes); your own history is
in the time of good answers.
"""
HALVES = """\
Histories of {studied} outages drawn from the published table, {rounds} times; fitted on one half,
judged on the other. The columns 50, 80 and 90 % say how often the range of that name held the
truth; CRPS is of ln(1 + minutes to go); for it and for both Brier scores 0 is best. These outages
follow the table by construction: this shows that the arithmetic is right and what it is worth to
regard the elapsed time, not that tomorrow is like yesterday. `--history FILE` judges by outages
that really were.
"""
MIXING = """\
Mean CRPS over 5, 15, 30 and 60 min elapsed, for people whose own outages follow the published table
or differ from it, after n of them.
"""
COUNTS = """\
The published table counts as {strength:g} outages. CRPS if it counted as another number:
"""


def sheet(*, quick: bool = False) -> str:
    """The page of the reference."""
    rounds = 3 if quick else 40
    return "\n".join(
        [
            NOTE + "# When will it be back?\n",
            TOLD,
            ranges(),
            WIDTH,
            "## Do the ranges hold?\n",
            HALVES.format(studied=STUDIED, rounds=rounds),
            halves(rounds),
            "## Does your own history help?\n",
            MIXING,
            mixing(rounds),
            COUNTS.format(strength=STRENGTH),
            strengths(rounds),
        ]
    )


def lived(file: Path) -> str:
    """The check of a real history: what would have been told, and what then was."""
    found: list[Ended] = []
    for number, line in enumerate(file.read_bytes().splitlines(), 1):
        try:
            found.append(msgspec.json.decode(line, type=Ended))
        except msgspec.DecodeError as problem:
            raise SystemExit(f"bench: {file}, line {number}: {problem}") from None
    history = outages(
        Incident(
            id=str(at), since=one.began, opened=one.began, resolved=one.began + 60 * one.minutes
        )
        for at, one in enumerate(found)
    )
    cases = as_lived(history)
    rows = []
    for at in LANDMARKS_MIN:
        plain = marks(at, [(POOLED, minutes) for _, minutes in cases])
        both = marks(at, cases)
        if plain and both:
            rows += [row("published", plain), row("with what was known then", both)]
    return table(MARKED, rows)


def speed() -> str:
    """Lines a second of the real command, start and end included."""
    lines = "".join(
        f'{{"id":{at},"provider":"p","impact":"major","elapsed_min":{at % 600}.5,'
        f'"stage":"identified","since_update_min":4.0,"components":["api"]}}\n'
        for at in range(LINES)
    )
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "holdfast", "eta", "--jsonl"],
        input=lines.encode(),
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return f"{LINES / (time.perf_counter() - began):,.0f} lines a second (`eta --jsonl`)\n"


def main(argv: Sequence[str]) -> int:
    """Print the figures, or write the page."""
    parser = argparse.ArgumentParser(prog="python -m bench.outlook", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="seconds; not to be quoted")
    parser.add_argument("--history", type=Path, metavar="FILE", help="check a real history")
    parser.add_argument("--write", action="store_true", help="write docs/reference/eta.md")
    words = parser.parse_args(argv)
    if words.history:
        sys.stdout.write(lived(words.history))
    elif words.write:
        SHEET.write_text(sheet(), encoding="utf-8")
        sys.stdout.write(f"{SHEET.relative_to(ROOT)}\n")
    else:
        sys.stdout.write(sheet(quick=words.quick))
        sys.stdout.write(f"\n{speed()}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
