"""`holdfast status`: whose fault, what is in trouble, who stands in, when it may be back."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

from holdfast.face.line import EXITS

EVERY_S = 1.0


def command(words: argparse.Namespace) -> int:
    """0 well, 10 it is them, 11 it is you, 12 mixed, 13 unknown; 1 where no gateway answers."""
    if words.line and not words.json:
        from holdfast.face import line

        return line.command(words)
    from holdfast.face.reading import ask, at_a_glance, fail, not_running, say_json

    config = at_a_glance(words)
    if config is None:
        return 2
    if words.watch and not words.json:
        return watch(lambda: ask(config, "/-/status.json"), not_running(config))
    status = ask(config, "/-/status.json")
    if status is None:
        return fail(not_running(config), as_json=words.json)
    if words.json:
        say_json(status)
    else:
        from rich.console import Console

        from holdfast.face.board import board

        Console().print(board(status))
    return EXITS.get(str(status.get("blame")), 13)


def watch(look: Callable[[], dict[str, Any] | None], missing: str) -> int:
    """Show it until Ctrl-C, on a screen of its own where there is one."""
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.text import Text

    from holdfast.face.board import board

    screen = Console()
    with Live(console=screen, screen=screen.is_terminal, auto_refresh=False) as live:
        while True:
            status = look()
            shown: RenderableType = (
                Text(f"holdfast: {missing} (still looking)") if status is None else board(status)
            )
            live.update(shown, refresh=True)
            time.sleep(EVERY_S)
