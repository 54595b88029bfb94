"""What several commands need: the configuration, the gateway's answer, the words about it."""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from holdfast.config.problems import ConfigError
from holdfast.config.read import Config, glance, read
from holdfast.config.whereabouts import callable_host, default_path

LOCAL_S = 2.0


def configuration(words: argparse.Namespace) -> Config | None:
    """The configuration that a command is about; None, after saying why, where it is wrong."""
    return _or_complaint(read, words)


def at_a_glance(words: argparse.Namespace) -> Config | None:
    """As much of it as those need who only look at what runs, or ran; None as before."""
    return _or_complaint(glance, words)


def _or_complaint(
    reader: Callable[[Path | None, Mapping[str, str]], Config], words: argparse.Namespace
) -> Config | None:
    try:
        return reader(words.config, os.environ)
    except ConfigError as error:
        complain_of(error, as_json=words.json)
        return None


def complain_of(error: ConfigError, *, as_json: bool) -> None:
    """Say all that is wrong with a configuration: for people on stderr, for scripts on stdout."""
    if as_json:
        say_json({"ok": False, "problems": error.problems})
        return
    count = len(error.problems)
    sys.stderr.write(f"{error}\n")
    sys.stderr.write(f"holdfast: {count} problem{'s' if count != 1 else ''} to put right.\n")


def fail(text: str, *, as_json: bool, status: int = 1) -> int:
    """Say why a command cannot do its work; returns the exit status."""
    if as_json:
        say_json({"ok": False, "error": text})
    else:
        sys.stderr.write(f"holdfast: {text}\n")
    return status


def say_json(value: object) -> None:
    """One JSON value on one line of stdout."""
    import msgspec

    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


def base_url(config: Config) -> str:
    """Where the gateway of this configuration is to be found."""
    host = callable_host(config.gateway.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{config.gateway.port}"


def ask(config: Config, path: str) -> dict[str, Any] | None:
    """A page of the running gateway's control plane; None where no gateway answers."""
    # No proxy of the environment stands between us and this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{base_url(config)}{path}", timeout=LOCAL_S) as reply:
            found = json.load(reply)
    except (OSError, ValueError, urllib.error.URLError):
        return None
    return found if isinstance(found, dict) else None


def not_running(config: Config) -> str:
    """What to say where no gateway answers."""
    start = f"{how_called()} up{which(config)}"
    return f"no gateway answers at {base_url(config)}. Start one with: {start}"


def how_called() -> str:
    """How a person at this terminal calls us: by name, or by the path in a virtual environment."""
    import shutil
    from pathlib import Path

    if shutil.which("holdfast"):
        return "holdfast"
    ours = Path(sys.executable).with_name("holdfast")
    try:
        return str(ours.relative_to(Path.cwd())) if ours.exists() else "python -m holdfast"
    except ValueError:
        return str(ours)


def which(config: Config) -> str:
    """The words that name this configuration to another command: none where it is the usual one."""
    import shlex

    source = config.source
    named = source is not None and source != default_path()
    return f" --config {shlex.quote(str(source))}" if named else ""


def span(seconds: float) -> str:
    """A duration for people: 87 ms, 1.2 s, 12 s, 3 min, 2 h 5 min, 3 d 4 h."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def in_the_air(count: int) -> str:
    """How many calls go on just now, in words."""
    return f"{count} call{'s' if count != 1 else ''} in the air"


def joined(parts: Iterable[str], mark: str = " · ") -> str:
    """What is not empty, with a mark between."""
    return mark.join(part for part in parts if part)
