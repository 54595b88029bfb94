"""`holdfast status`: the board. Each segment, since when, whose fault, what stands in."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from holdfast.config.read import Config
from holdfast.face.reading import ask, configuration, fail, joined, not_running, say_json, span

EVERY_S = 1.0
# `holdfast status` tells scripts whose fault it is by its exit status.
EXITS = {"well": 0, "them": 10, "you": 11, "mixed": 12, "unknown": 13}
BLAMED = {
    "well": ("All is well.", "green"),
    "them": ("It is them, not you.", "yellow"),
    "you": ("It is on your side.", "red"),
    "mixed": ("Some of it is them, some of it is on your side.", "red"),
    "unknown": ("Something is wrong; whose fault is not clear yet.", "yellow"),
}
MARKS = {"well": ("●", "green"), "doubtful": ("◐", "yellow"), "probation": ("◐", "yellow")}
DOWN = ("○", "red")


def command(words: argparse.Namespace) -> int:
    """0 well, 10 it is them, 11 it is you, 12 mixed, 13 unknown; 1 where no gateway answers."""
    config = configuration(words)
    if config is None:
        return 2
    if words.watch and not words.json:
        return watch(config)
    status = ask(config, "/-/status.json")
    if status is None:
        return fail(not_running(config), as_json=words.json)
    if words.json:
        say_json(status)
    else:
        Console().print(board(status))
    return EXITS.get(status["blame"], 13)


def watch(config: Config) -> int:
    """Show it until Ctrl-C, on a screen of its own where there is one."""
    screen = Console()
    with Live(console=screen, screen=screen.is_terminal, auto_refresh=False) as live:
        while True:
            status = ask(config, "/-/status.json")
            shown: RenderableType = (
                Text(f"holdfast: {not_running(config)} (still looking)")
                if status is None
                else board(status)
            )
            live.update(shown, refresh=True)
            time.sleep(EVERY_S)


def board(status: dict[str, Any]) -> RenderableType:
    """The whole board as something to print."""
    sentence, colour = BLAMED.get(status["blame"], BLAMED["unknown"])
    at = status["at"]
    parts: list[RenderableType] = [
        Text.assemble((sentence, f"bold {colour}"), f"  {status['url']}"),
    ]
    parts += [Text(f"alarm: {alarm}", style="red") for alarm in status["alarms"]]
    parts += [
        Text(f"a fault in holdfast itself: {crash}. Please report it.", style="red")
        for crash in status["crashes"][-3:]
    ]
    if status["segments"]:
        parts += [Text(), segments(status["segments"], at)]
    else:
        parts += [Text(), Text("No call has gone through it yet.")]
    if status["routes"]:
        parts += [Text(), routes(status["routes"])]
    flying = status["calls_in_the_air"]
    up_s = at - status["started"]
    parts += [Text(), Text(f"up for {span(up_s)} · {flying} calls in the air", style="dim")]
    return Group(*parts)


def segments(rows: Iterable[dict[str, Any]], at: float) -> Table:
    """What is up and what is down: troubled segments first."""
    table = Table(box=None, pad_edge=False)
    for name in ("", "segment", "since", "whose fault", "why"):
        table.add_column(name, overflow="fold")
    for row in rows:
        mark, colour = MARKS.get(row["state"], DOWN)
        segment = row["segment"]
        what = [segment[part] for part in ("provider", "surface", "model", "credential")]
        again = f"tried again in {span(row['rests_s'])}" if row["rests_s"] > 0 else ""
        told = str(row["status"] or row["kind"].replace("_", " "))
        why = "; ".join(row["because"]) or ("" if row["state"] == "well" else told)
        table.add_row(
            Text(mark, style=colour),
            joined(part or "*" for part in what),
            span(max(0.0, at - row["since"])),
            row["whose"],
            joined((row["state"] if row["state"] != "well" else "", why, again)),
        )
    return table


def routes(rows: Iterable[dict[str, Any]]) -> Table:
    """Who answers for what."""
    table = Table(box=None, pad_edge=False)
    for name in ("asked for", "answers now", "the others"):
        table.add_column(name, overflow="fold")
    for row in rows:
        serving = row["serving"] or "nobody is known to"
        style = "yellow" if row["stand_in"] else "" if row["serving"] else "red"
        others = [
            joined((target["target"], target["state"]), " ")
            for target in row["targets"]
            if target["target"] != row["serving"]
        ]
        told = f"{serving} (stand-in)" if row["stand_in"] else serving
        table.add_row(row["model"], Text(told, style=style), ", ".join(others))
    return table
