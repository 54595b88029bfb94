"""The command line: words in, one command run, an exit status out.

0 fine, 1 failed, 2 usage or configuration; `status` and `diagnose` also 10 it is them, 11 it is
you, 12 mixed, 13 unknown. Every command takes `--json`. Heavy imports wait until a command needs
them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

COMMANDS = {
    "up": "run the gateway",
    "run": "run a tool with the variables set that point it at the gateway",
    "check": "read the configuration and say everything that is wrong with it",
    "status": "the board: each segment, since when, whose fault",
    "diagnose": "is it them or is it me? of an error pasted on stdin, or of now",
    "logs": "exchanges, with their attempts and why",
    "drill": "rehearse an outage through a real gateway",
}
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
    made = {}
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        command.add_argument("--config", type=Path, metavar="FILE", help="configuration file")
        command.add_argument("--json", action="store_true", help="print JSON for scripts")
        made[name] = command
    made["run"].add_argument("words", nargs=argparse.REMAINDER, metavar="-- CMD …")
    made["status"].add_argument("--watch", action="store_true", help="go on showing it")
    made["diagnose"].add_argument(
        "--jsonl", action="store_true", help="failures as JSON Lines on stdin, verdicts on stdout"
    )
    made["logs"].add_argument("-n", "--limit", type=int, default=20, help="how many (default 20)")
    made["logs"].add_argument("--failed", action="store_true", help="only those not simply fine")
    made["logs"].add_argument("id", nargs="?", help="one exchange")
    made["drill"].add_argument(
        "--scenario", default="article", help="which outage (default: article)"
    )
    made["drill"].add_argument("--seed", type=int, default=1, help="same seed, same faults")
    made["drill"].add_argument(
        "--speed", type=float, default=4.0, help="how many times as fast as the clock (default 4)"
    )
    return top


def run(argv: Sequence[str]) -> int:
    """Run one command; return its exit status. Never raises for what a person can do wrong."""
    top = parser()
    try:
        words = top.parse_args(list(argv))
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
