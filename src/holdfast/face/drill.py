"""`holdfast drill`: rehearse an outage, and see how one would have come through it."""

from __future__ import annotations

import argparse
import statistics
from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from holdfast.app.drill import Report, Seen, Stretch, rehearse
from holdfast.face.reading import fail, how_called, joined, say_json, span
from holdfast.sim.timeline import SCENARIOS


def command(words: argparse.Namespace) -> int:
    """0 when every call got its whole answer, 1 when not, 2 for an unknown scenario."""
    timeline = SCENARIOS.get(words.scenario)
    if timeline is None or not timeline.length_s:
        known = ", ".join(name for name, one in SCENARIOS.items() if one.length_s)
        text = f"there is no scenario {words.scenario!r} to rehearse. There are: {known}."
        return fail(text, as_json=words.json, status=2)
    if not 0.1 <= words.speed <= 20:
        return fail("--speed is a number from 0.1 to 20.", as_json=words.json, status=2)
    screen = Console(stderr=True)
    if not words.json:
        screen.print(
            f"Rehearsing “{words.scenario}”: {timeline.says}.\n"
            f"{span(timeline.length_s)} at {words.speed:g}-fold speed, through a real gateway on a"
            " port of its own; your configuration and ledger are not touched.\n",
            highlight=False,
        )
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f} of {task.total:.0f} s"),
        TimeRemainingColumn(),
        console=screen,
        transient=True,
        disable=words.json,
    ) as progress:
        task = progress.add_task("rehearsing", total=timeline.length_s)

        def tell(at_s: float, sentence: str) -> None:
            progress.update(task, completed=min(at_s, timeline.length_s))
            if sentence and not words.json:
                progress.console.print(
                    f"{at_s:5.0f} s  {sentence}", markup=False, highlight=False, soft_wrap=True
                )

        try:
            report = rehearse(
                words.scenario, timeline, seed=words.seed, speed=words.speed, tell=tell
            )
        except OSError as error:
            why = error.strerror or str(error)
            return fail(f"the drill could not be set up ({why}).", as_json=words.json)
    if words.json:
        say_json({"held": report.held, "report": report})
    else:
        show(report, Console())
    return 0 if report.held else 1


def show(report: Report, screen: Console) -> None:
    """The report for people."""
    title = "What the client saw (first byte: by the clock on the wall)"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("when", no_wrap=True)
    table.add_column("what was wrong", overflow="fold")
    for name in ("calls", "first choice", "stand-in", "no answer", "first byte"):
        table.add_column(name, justify="right", no_wrap=True)
    for stretch in report.stretches:
        table.add_row(*map(Text, told_of(stretch, within(report.calls, stretch))))
    screen.print(table)
    screen.print()
    show_attempts(report, screen)
    whole = sum(call.saw == "whole" for call in report.calls)
    stand_in = sum(call.stand_in for call in report.calls)
    text = f"{whole} of {len(report.calls)} calls got their whole answer"
    lines = [f"{text} ({stand_in} of them from the stand-in), not a character missing or doubled."]
    first = first_stand_in(report.calls)
    if first is not None:
        took = span(first.took_s * report.speed)  # as its steps are: by the drill's own clock
        lines.append(
            f"The first call that met the trouble, {took} in all (in the outage's own time, each"
            " attempt from its beginning):"
        )
        lines += [f"  {step}" for step in steps(report, first)]
    lines += noticed(report)
    if report.back_s is not None:
        lines.append(
            f"Back on the first choice {span(report.back_s)} after its recovery"
            " (in the outage's own time)."
        )
    elif any(call.stand_in for call in report.calls):
        lines.append("The first choice was not back in use before the rehearsal ended.")
    lines.append(f"It took {span(report.took_s)}. Again: the same --seed gives the same faults.")
    screen.print("\n".join(lines), highlight=False, markup=False)
    if not report.held:
        me = how_called()
        screen.print(f"Not every call held. For each of them: {me} drill --json", markup=False)


def noticed(report: Report) -> list[str]:
    """What the observatory made of it."""
    first: dict[str, float] = {}
    for at_s, kind in report.noticed:
        first.setdefault(kind, at_s)
    if "suspected" not in first:
        return []
    told = f"The observatory suspected trouble at {first['suspected']:.0f} s"
    if "opened" not in first:
        why = "it was over before that could be told from a blip, which takes some minutes"
        return [f"{told} and declared none: {why}. People are told of declared trouble only."]
    back = max((at_s for at_s, kind in report.noticed if kind == "resolved"), default=None)
    end = f", and said “It's back!” at {back:.0f} s" if back is not None else ""
    return [f"{told}, declared it at {first['opened']:.0f} s{end}."]


def show_attempts(report: Report, screen: Console) -> None:
    """What was attempted, and how each attempt ended."""
    table = Table(title="What was attempted", title_justify="left", box=None, pad_edge=False)
    for name in ("at", "surface", "why", "how it ended"):
        table.add_column(name)
    table.add_column("times", justify="right")
    counts: Counter[tuple[str, str, str, str]] = Counter()
    for exchange in report.exchanges:
        for attempt in exchange.attempts:
            ended = attempt.outcome if attempt.outcome == "ok" else attempt.failure_text
            counts[attempt.provider, attempt.surface, attempt.why, ended or attempt.outcome] += 1
    for (provider, surface, why, ended), count in sorted(counts.items()):
        table.add_row(*map(Text, (provider, surface, why, ended, str(count))))
    screen.print(table)
    screen.print()


def within(calls: Sequence[Seen], stretch: Stretch) -> list[Seen]:
    """The calls that began in a stretch."""
    return [call for call in calls if stretch.from_s <= call.at_s < stretch.until_s]


def told_of(stretch: Stretch, calls: Sequence[Seen]) -> tuple[str, ...]:
    """One row of the table."""
    firsts = [call.first_s for call in calls if call.first_s is not None]
    return (
        f"{stretch.from_s:.0f}–{stretch.until_s:.0f} s",
        stretch.wrong,
        str(len(calls)),
        str(sum(call.saw == "whole" and not call.stand_in for call in calls)),
        str(sum(call.saw == "whole" and call.stand_in for call in calls)),
        str(sum(call.saw != "whole" for call in calls)),
        f"{statistics.median(firsts) * 1000:.0f} ms" if firsts else "",
    )


def steps(report: Report, call: Seen) -> list[str]:
    """One call's attempts, and how long each step of them took, in the outage's own time."""
    found = next((one for one in report.exchanges if one.id == call.exchange), None)
    told = []
    for attempt in found.attempts if found is not None else ():
        times = attempt.times
        moments = {"sent": times.sent, "headers": times.headers, "first content": times.content}
        took = joined(
            (f"{name} after {span(at_s)}" for name, at_s in moments.items() if at_s is not None),
            ", ",
        )
        ended = "whole" if attempt.outcome == "ok" else attempt.failure_text or attempt.outcome
        end = f" after {span(times.end)}" if times.end is not None else ""
        told.append(f"{attempt.provider} ({attempt.why}): {joined((took, ended + end), ', ')}")
    return told


def first_stand_in(calls: Sequence[Seen]) -> Seen | None:
    """The call that met the trouble first: the cloud was asked, and another answered."""
    return next((call for call in calls if call.stand_in and call.attempts > 1), None)
