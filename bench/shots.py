"""`make shots`: pictures of what a person sees, taken from the real commands on a real terminal."""

from __future__ import annotations

import io
import os
import pty
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import msgspec
from rich.console import Console
from rich.text import Text

from bench.systems import free_port

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
WIDTH = 104
CONFIG = """\
[gateway]
port = {port}
data_dir = "{folder}/data"

[providers.anthropic]
dialect = "anthropic"
base_url = "http://127.0.0.1:{dead}"
key = "none"

[providers.sim]

[[routes]]
model = "claude-*"
targets = ["anthropic/*", "sim/steady"]
"""
BODY = {"max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]}


def main() -> int:
    """Take every picture anew."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="holdfast-shots-") as name:
        folder = Path(name)
        port = free_port()
        file = folder / "config.toml"
        file.write_text(CONFIG.format(port=port, dead=free_port(), folder=folder))
        shoot("drill", ["drill"])
        gateway = subprocess.Popen(command("up", file), stdout=subprocess.DEVNULL)
        try:
            use(f"http://127.0.0.1:{port}")
            shoot("status", ["status"], file)
            shoot("logs", ["logs"], file)
        finally:
            gateway.send_signal(signal.SIGTERM)
            gateway.wait()
    return 0


def command(word: str, file: Path) -> list[str]:
    """How one of our commands is called over a configuration."""
    return [sys.executable, "-m", "holdfast", word, "--config", str(file)]


def use(url: str) -> None:
    """A little traffic: a first choice that nobody listens behind, and some models of trouble."""
    wait_for(f"{url}/-/ready")
    for model in ("claude-sonnet-5-5", "claude-sonnet-5-5", "sim/steady", "sim/overloaded"):
        body = msgspec.json.encode({"model": model, **BODY})
        headers = {"content-type": "application/json", "user-agent": "claude-cli/2.1"}
        request = urllib.request.Request(f"{url}/v1/messages", body, headers)
        with suppress(OSError):  # an error is part of the picture
            urllib.request.urlopen(request, timeout=30).read()
    time.sleep(0.5)


def wait_for(url: str) -> None:
    """Until the gateway is ready; RuntimeError after ten seconds."""
    for _ in range(200):
        try:
            urllib.request.urlopen(url, timeout=5).read()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the gateway does not start")


def shoot(name: str, words: list[str], file: Path | None = None) -> None:
    """Run a command on a terminal of its own and keep what it shows as an SVG."""
    more = ["--config", str(file)] if file is not None else []
    shown = on_terminal([sys.executable, "-m", "holdfast", *words, *more])
    screen = Console(record=True, width=WIDTH, file=io.StringIO())
    screen.print(Text(f"$ holdfast {' '.join(words)}", style="bold"))
    screen.print(Text.from_ansi(shown), soft_wrap=False)
    picture = PICTURES / f"{name}.svg"
    picture.write_text(screen.export_svg(title="holdfast", unique_id=name))
    sys.stdout.write(f"{picture.relative_to(ROOT)}\n")


def on_terminal(words: list[str]) -> str:
    """What a command leaves on a terminal: its text with colours, without progress lines."""
    ours, theirs = pty.openpty()
    environ = {**os.environ, "COLUMNS": str(WIDTH), "TERM": "xterm-256color"}
    # Progress goes to stderr and is gone at the end; the picture is of what stays.
    process = subprocess.Popen(
        words, stdout=theirs, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=environ
    )
    os.close(theirs)
    data = []
    while True:
        try:
            part = os.read(ours, 65_536)
        except OSError:
            break
        if not part:
            break
        data.append(part)
    os.close(ours)
    process.wait()
    return b"".join(data).decode("utf-8", "replace").replace("\r\n", "\n")


if __name__ == "__main__":
    sys.exit(main())
