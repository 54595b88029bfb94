"""`holdfast check`: is the configuration right, and what does it mean?"""

from __future__ import annotations

import argparse
import sys

from holdfast.face.reading import configuration, say_json


def command(words: argparse.Namespace) -> int:
    """0 and what it means, or 2 and everything that is wrong with it."""
    config = configuration(words)
    if config is None:
        return 2
    if words.json:
        say_json(
            {
                "ok": True,
                "config": str(config.source),
                "data_dir": str(config.gateway.data_dir),
                "providers": list(config.providers),
                "routes": config.routes,
                "notices": config.notices,
            }
        )
        return 0
    lines = [f"{config.source}: fine", *config.describe()]
    lines += [f"note: {notice}" for notice in config.notices]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0
