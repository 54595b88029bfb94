"""`holdfast completion bash`: a script for a shell, made from the command line as it is."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

import shtab

from holdfast.face.cli import parser
from holdfast.face.reading import say_json


def command(words: argparse.Namespace) -> int:
    """Print the script."""
    top = parser()
    for action in _actions(top):
        if action.metavar == "FILE":
            action.complete = shtab.FILE  # type: ignore[attr-defined] # where it looks for it
    script = shtab.complete(top, shell=words.shell)
    if words.json:
        say_json({"shell": words.shell, "script": script})
    else:
        sys.stdout.write(script)
    return 0


def _actions(top: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Those of the parser and of each of its commands."""
    for action in top._actions:  # noqa: SLF001 - argparse has no other way to them
        yield action
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for one in action.choices.values():
                yield from _actions(one)
