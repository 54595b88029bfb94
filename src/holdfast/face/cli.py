"""The command line: words in, one command run, an exit status out.

0 fine, 1 failed, 2 usage or configuration; `status` and `diagnose` also 10 it is them, 11 it is
you, 12 mixed, 13 unknown. Every command takes `--json`. Heavy imports wait until one needs them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

Add = Callable[..., Any]

COMMANDS = {
    "up": "run the gateway and the observatory",
    "run": "run a tool, set up so that it talks to the gateway",
    "check": "read the configuration and say everything that is wrong with it",
    "status": "the board: each segment, since when, whose fault",
    "diagnose": "is it them or is it me? A pasted error, or a look around",
    "incidents": "what was in trouble, from when to when, and what spoke for it",
    "eta": "when will it be back? A range for each open incident",
    "replay": "the observatory over a recorded history of observations",
    "logs": "exchanges, with their attempts and why",
    "drill": "rehearse an outage through a real gateway",
    "completion": "what makes a shell complete these commands, to be read by it",
}
SHELLS = ("bash", "zsh", "fish")
OK, FAILED, USAGE = 0, 1, 2


def parser() -> argparse.ArgumentParser:
    """The whole command line as argparse knows it."""
    top = argparse.ArgumentParser(
        prog="holdfast",
        description="Keeps you at work when cloud AI fails.",
        epilog="A first try: `holdfast up`, then point a tool at http://127.0.0.1:4141.",
    )
    top.add_argument("--version", action="store_true", help="say the version and stop")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        command.add_argument("--config", type=Path, metavar="FILE", help="configuration file")
        command.add_argument("--json", action="store_true", help="print JSON for scripts")
        command.set_defaults(parser=command)
        if name in WORDS:
            WORDS[name](command.add_argument, command)
    return top


def _run_words(add: Add, _: argparse.ArgumentParser) -> None:
    add("--list", action="store_true", help="show the tools that are known, and stop")
    add("words", nargs=argparse.REMAINDER, metavar="-- CMD …")


def _status_words(_: Add, command: argparse.ArgumentParser) -> None:
    how = command.add_mutually_exclusive_group()
    how.add_argument("--watch", action="store_true", help="go on showing it")
    how.add_argument("--line", action="store_true", help="one short line, for a shell's prompt")


def _diagnose_words(add: Add, _: argparse.ArgumentParser) -> None:
    add(
        "source",
        nargs="?",
        choices=("-",),
        metavar="-",
        help="read the error from standard input, also at a terminal: paste it, then Ctrl-D",
    )
    add("--jsonl", action="store_true", help="one failure a line in, one verdict a line out")


def _incidents_words(add: Add, _: argparse.ArgumentParser) -> None:
    add("id", nargs="?", help="one incident, with its evidence")
    add("-n", "--limit", type=int, default=20, help="how many (default 20)")


def _eta_words(add: Add, _: argparse.ArgumentParser) -> None:
    add("--before", metavar="HH:MM", help="how probably it is back by then")
    add("--elapsed", metavar="LENGTH", help="for an outage that began so long ago, as 25m or 1h30m")
    add("--jsonl", action="store_true", help="answer questions from stdin, one JSON object a line")


def _replay_words(add: Add, _: argparse.ArgumentParser) -> None:
    add("--jsonl", action="store_true", help="one observation a line in, one event a line out")


def _logs_words(add: Add, _: argparse.ArgumentParser) -> None:
    add("-n", "--limit", type=int, default=20, help="how many (default 20)")
    add("--failed", action="store_true", help="only those not simply fine")
    add("id", nargs="?", help="one exchange")


def _drill_words(add: Add, _: argparse.ArgumentParser) -> None:
    add("--scenario", default="article", help="which outage (default: article)")
    add("--seed", type=int, default=1, help="same seed, same faults")
    add("--speed", type=float, default=4.0, help="how many times as fast as the clock (default 4)")


def _completion_words(add: Add, _: argparse.ArgumentParser) -> None:
    add("shell", choices=SHELLS, help="for which shell")


# What a command takes besides `--config` and `--json`.
WORDS: dict[str, Callable[[Add, argparse.ArgumentParser], None]] = {
    "run": _run_words,
    "status": _status_words,
    "diagnose": _diagnose_words,
    "incidents": _incidents_words,
    "eta": _eta_words,
    "replay": _replay_words,
    "logs": _logs_words,
    "drill": _drill_words,
    "completion": _completion_words,
}


def run(argv: Sequence[str]) -> int:
    """Run one command; return its exit status. Never raises for what a person can do wrong."""
    top = parser()
    try:
        words, unknown = top.parse_known_args(list(argv))
        if unknown:  # said by who knows what there is: the command that was meant
            text = f"unrecognized arguments: {' '.join(unknown)}"
            (getattr(words, "parser", None) or top).error(text)
    except SystemExit as end:  # argparse has said what is wrong
        return int(end.code or 0)
    if words.version:
        from importlib.metadata import version

        sys.stdout.write(f"holdfast {version('holdfast')}\n")
        return OK
    if words.command is None:
        top.print_help()
        return USAGE
    room = import_module(f"holdfast.face.{words.command}")
    command: Callable[[argparse.Namespace], int] = room.command
    try:
        return command(words)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return OK
