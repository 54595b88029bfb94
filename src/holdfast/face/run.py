"""`holdfast run -- CMD`: a tool, set up so that it talks to the gateway."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from holdfast.config.problems import ConfigError, printable
from holdfast.config.read import Config, GatewayConfig
from holdfast.config.tools import USUAL, Tool, Tools, called, known, outfit
from holdfast.config.whereabouts import default_path, gateway_address, locate
from holdfast.face.reading import (
    ask,
    base_url,
    complain_of,
    configuration,
    fail,
    how_called,
    not_running,
    say_json,
)

# What asks a running program to end; it is the tool's to answer, and ours to pass on.
PASSED_ON = ("SIGTERM", "SIGHUP")


def command(words: argparse.Namespace) -> int:
    """Run the tool, as this very process where nothing is to be put away behind it.

    The exit status is the tool's own; 127 where it is not there, 2 for usage or configuration.
    """
    try:
        tools = known(own_data(words.config))
    except ConfigError as error:
        complain_of(error, as_json=words.json)
        return 2
    if words.list:
        return show(tools, as_json=words.json)
    cmd = words.words[1:] if words.words[:1] == ["--"] else words.words
    if not cmd:
        return fail(f"no command given. Try: {how_called()} run -- claude", as_json=False, status=2)
    config = address_of(words.config)
    if config is None:
        complained = configuration(words)  # says what is wrong with it, and where
        return 2 if complained is None else 1
    if shutil.which(cmd[0]) is None:
        text = f"{cmd[0]} is not installed, or not on the PATH."
        return fail(text, as_json=False, status=127)
    if ask(config, "/-/live") is None:
        return fail(not_running(config), as_json=False)
    sys.stdout.flush()
    layers = [tool for tool in (tools.get(USUAL), called(tools, cmd[0])) if tool is not None]
    try:
        return start(cmd, layers, base_url(config))
    except ValueError as error:
        return fail(str(error), as_json=False, status=2)


def own_data(named: Path | None) -> Path:
    """Where a person's own data of tools lies: in `tools/` beside the configuration file."""
    return (locate(named, os.environ) or default_path()).parent / "tools"


def address_of(named: Path | None) -> Config | None:
    """As much of the configuration as a tool needs: where its gateway is.

    The keys in it are the gateway's; where a tool is started, they need not be known.
    """
    try:
        host, port = gateway_address(named, os.environ)
    except (OSError, ValueError):
        return None
    place = GatewayConfig(host=host, port=port, data_dir=Path())
    return Config(gateway=place, providers={}, source=locate(named, os.environ))


def start(cmd: Sequence[str], layers: Sequence[Tool], url: str) -> int:
    """Run a command with what it needs. Files go to a folder that is gone when it has ended."""
    if not any(layer.files for layer in layers):
        fit = outfit(layers, url, "", os.environ)
        words = [cmd[0], *fit.args, *cmd[1:]]
        return os.execvpe(cmd[0], words, {**os.environ, **fit.env})  # noqa: S606 - the person's own
    with tempfile.TemporaryDirectory(prefix="run-", dir=private()) as folder:
        fit = outfit(layers, url, folder, os.environ)
        for name, text in fit.files.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        return attend([cmd[0], *fit.args, *cmd[1:]], {**os.environ, **fit.env})


def private() -> str | None:
    """Where the folders of runs lie: some tools mistrust settings below a place like /tmp."""
    place = platformdirs.user_cache_path("holdfast", appauthor=False) / "run"
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return None  # the usual place for what is temporary
    return str(place)


def attend(cmd: list[str], environ: dict[str, str]) -> int:
    """Wait for a tool that has the terminal. Ctrl-C is for it, and other signals are passed on."""
    before = signal.signal(signal.SIGINT, lambda *_: None)  # unlike SIG_IGN, it is not inherited
    try:
        child = subprocess.Popen(cmd, env=environ)  # noqa: S603 - the person's own command
        for name in PASSED_ON:
            if (number := getattr(signal, name, None)) is not None:
                signal.signal(number, lambda got, _: child.send_signal(got))
        status = child.wait()
    finally:
        signal.signal(signal.SIGINT, before)
    return status if status >= 0 else 128 - status


def show(tools: Tools, *, as_json: bool) -> int:
    """The known tools: how each is called, what it is given."""
    rows = {name: tool for name, tool in tools.items() if name != USUAL}
    if as_json:
        say_json(rows)
        return 0
    wide = max((len(" ".join(tool.commands)) for tool in rows.values()), default=0)
    for tool in rows.values():
        tried = f"tested with {', '.join(tool.tested)}" if tool.tested else "not tested"
        line = f"{' '.join(tool.commands):<{wide}}  {tool.title} ({tried})"
        sys.stdout.write(printable(line) + "\n")
    sys.stdout.write("Any other tool gets the usual variables.\n")
    return 0
