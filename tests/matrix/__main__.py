"""`python -m tests.matrix`: the real clients through a real gateway, as a table.

    python -m tests.matrix --install                 as `make test-clients` does
    python -m tests.matrix claude codex --cells plain tools --targets anthropic

Each cell says `ok`, names the client's or the target's own limit, or fails. A target
that the gateway does not speak yet is left out. Exit status 1 where a cell fails.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import platformdirs
from tests.gateway import Upstream, gateway
from tests.matrix import installing
from tests.matrix.clients import (
    CELLS,
    CLIENTS,
    FAULTS,
    MODELS,
    NOTES,
    Client,
    Room,
    command,
    environment,
)
from tests.matrix.model import BEGIN, CITY, END, FOUND, SAID, STATUS, UNICODE, Cell, Model

from holdfast.net.doors import DOORS
from holdfast.wire import speak

# To whom the calls of each dialect cross when nothing else is said.
CROSSED = {"anthropic": "openai", "openai": "anthropic", "openai-responses": "anthropic"}
_ESCAPES = re.compile(r"(?:\\u[0-9a-fA-F]{4})+")
# The gateway's own words where the target's dialect cannot say what the client insists on.
_UNSAYABLE = re.compile(r"not asked: (tool_choice: [^)]*)\)")
FAULT_TIMES = 2  # so often in a row; who asks a third time gets the answer


class Outcome(NamedTuple):
    """One cell: `ok`, `limit` or `FAIL`, and why."""

    kind: str
    why: str = ""
    seconds: float = 0.0
    asked: int = 0


def spoken(dialect: str) -> bool:
    """Whether this gateway has doors for the dialect and can write it."""
    doors = {door[0] for door in DOORS.values()}
    return dialect in speak.DIALECTS and (dialect in doors or dialect == "gemini")


def play(client: Client, target: str, cell_name: str) -> Outcome:
    """One cell: a model, a gateway over it, and the client, all of them new."""
    if cell_name in client.limits and cell_name not in FAULTS:
        return Outcome("limit", client.limits[cell_name])
    # Gemini CLI mistrusts what lies below a folder like /tmp, and opencode looks for a repository.
    rooms = platformdirs.user_cache_path("holdfast-matrix", ensure_exists=True)
    with tempfile.TemporaryDirectory(dir=rooms) as name, Model(target) as model:
        folder = Path(name)
        for note, text in NOTES.items():
            (folder / note).write_text(text + "\n")
        faults = FAULT_TIMES if cell_name in FAULTS else 0
        cell = model.cell = Cell(cell_name, client.arguments(folder), faults=faults)
        up = Upstream("up", target, model.url, "sk-up-x")
        with gateway(folder, [up], [("*", [f"up/{MODELS[target]}"])]) as running:
            room = Room(folder, running.url, running.file, cell_name)
            begun = time.monotonic()
            code, said = _run(client, room)
            seconds = time.monotonic() - begun
        if os.environ.get("MATRIX_SHOW"):
            sys.stdout.write(f"--- {client.name} {target} {cell_name}: {code}\n{said[-4000:]}\n")
            for seen in cell.seen:
                sys.stdout.write(f"    {seen.path} streamed={seen.streamed} {seen.answer[:60]}\n")
        kind, why = judge(client, cell, code, said)
        return Outcome(kind, why, seconds, len(cell.seen))


def _run(client: Client, room: Room) -> tuple[int | None, str]:
    """Its exit status (None: it did not end) and all that it printed."""
    child = subprocess.Popen(
        command(client, room),
        cwd=room.folder,
        env=environment(room, client),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        out, _ = child.communicate(timeout=client.timeout_s)
        return child.returncode, out.decode(errors="replace")
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        out, _ = child.communicate()
        return None, out.decode(errors="replace")


def judge(client: Client, cell: Cell, code: int | None, said: str) -> tuple[str, str]:
    """What a cell came to."""
    if cell.name in FAULTS:
        return _judge_fault(client, cell, code, said)
    if code is None:
        return "FAIL", "it did not end"
    if not cell.seen and (found := _UNSAYABLE.search(said)):
        return "limit", f"the target's: {found[1]}"
    if not cell.seen:
        return "FAIL", f"nothing reached the model: {_last(said)}"
    text = _plain(said)
    wanted: tuple[str, ...] = (END,)
    if cell.name == "structured":
        wanted = (CITY["city"],)
        if not any("count" in seen.text for seen in cell.seen):
            return "FAIL", "the schema did not arrive"
    if cell.name == "unicode":
        wanted = (UNICODE, END)
        if not any(UNICODE in seen.text for seen in cell.seen):
            return "FAIL", "the prompt did not arrive as it was"
    if cell.name in ("tools", "parallel"):
        found = FOUND[: 1 if cell.name == "tools" else 2]
        calls = sum(seen.answer == "calls" for seen in cell.seen)
        if not calls:
            return "FAIL", "it offered no tool that can be played"
        if not all(word in cell.seen[-1].text for word in found):
            return "FAIL", f"the results did not come back: {_last(said)}"
        if calls > 1:
            return "FAIL", f"the calls were asked for {calls} times"
    missing = [part for part in wanted if part not in text]
    if missing or code != 0:
        return "FAIL", f"exit {code}, {missing or 'all'} of the answer: {_last(said)}"
    return "ok", ""


def _judge_fault(client: Client, cell: Cell, code: int | None, said: str) -> tuple[str, str]:
    """Well is the whole answer, or an error that a person can see; never half an answer."""
    text = _plain(said)
    if END in text and code == 0:
        return "ok", f"whole after {len(cell.seen)}"
    if code is None:
        return "limit", client.limits.get(cell.name, "still asking when its time was up")
    seen = str(STATUS.get(cell.name, "")) in said or SAID.get(STATUS.get(cell.name, 0), "?") in said
    if cell.name == "cut":
        seen = code != 0 or "error" in said.lower() or "interrupted" in said.lower()
    if code != 0 or seen:
        return "ok", f"says so after {len(cell.seen)}"
    half = "half an answer as a whole one" if BEGIN in text else "no word of it"
    if cell.name in client.limits:
        return "limit", client.limits[cell.name]
    return "FAIL", f"{half}: {_last(said)}"


def _plain(said: str) -> str:
    """What was printed, with the pieces of a JSON stream put together, and escapes undone."""
    pieces = [
        str(json.loads(line).get("content", ""))
        for line in said.splitlines()
        if line.startswith("{") and '"delta":true' in line
    ]
    text = said + "".join(pieces)
    if "\\u" not in text:
        return text
    found = _ESCAPES.sub(lambda match: json.loads(f'"{match[0]}"'), text)
    return found.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _last(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return " / ".join(lines[-2:])[-300:]


def targets_of(client: Client, wanted: list[str]) -> list[str]:
    """The client's own dialect and one crossed, or those asked for; as far as they are spoken."""
    usual = [client.dialect, CROSSED.get(client.dialect, "anthropic")]
    named = [target for target in wanted if target in MODELS] or usual
    if "all" in wanted:
        named = list(MODELS)
    return [target for target in named if spoken(target)]


def main() -> int:
    words = argparse.ArgumentParser(prog="python -m tests.matrix")
    words.add_argument("clients", nargs="*", help="which clients (default: all)")
    words.add_argument("--install", action="store_true", help="install them first")
    words.add_argument("--targets", nargs="+", default=[], help="dialects behind it, or all")
    words.add_argument("--cells", nargs="+", default=[*CELLS, *FAULTS])
    given = words.parse_args()
    if given.install:
        for name in installing.install():
            sys.stdout.write(f"not to be had here: {name}\n")
    rows: dict[str, dict[str, Outcome]] = {}
    versions = installing.versions()
    for client in CLIENTS:
        if given.clients and client.name not in given.clients:
            continue
        head = f"{client.name} {versions.get(client.package, '')}"
        if not client.is_there:
            sys.stdout.write(f"{head:<30} not installed\n")
            continue
        if not spoken(client.dialect):
            sys.stdout.write(f"{head:<30} waits: the gateway has no door for {client.dialect}\n")
            continue
        for target in targets_of(client, given.targets):
            row = f"{head} → {target}"
            rows[row] = _row(row, client, target, given.cells)
    failed = sum(found.kind == "FAIL" for row in rows.values() for found in row.values())
    sys.stdout.write(f"\n{table(rows, given.cells)}\n{failed} cells failed\n")
    return 1 if failed else 0


def table(rows: dict[str, dict[str, Outcome]], cells: list[str]) -> str:
    """All rows in one Markdown table; `–` is a limit of the client or the target, told above."""
    wide = max(map(len, rows), default=0)
    shown = {"ok": "ok", "limit": "–", "FAIL": "FAIL"}
    lines = [
        f"| {'client → target':<{wide}} | {' | '.join(cells)} |",
        f"|{'-' * (wide + 2)}|{'|'.join('-' * (len(cell) + 2) for cell in cells)}|",
    ]
    for row, found in rows.items():
        said = [f"{shown[found[cell].kind]:<{len(cell)}}" for cell in cells]
        lines.append(f"| {row:<{wide}} | {' | '.join(said)} |")
    return "\n".join(lines) + "\n"


def _row(head: str, client: Client, target: str, cells: list[str]) -> dict[str, Outcome]:
    """Play and print one row, cell by cell."""
    sys.stdout.write(f"{head}\n")
    row = {}
    for name in cells:
        row[name] = found = play(client, target, name)
        sys.stdout.write(f"  {name:<11}{found.kind:<6}{found.seconds:5.1f} s  {found.why}\n")
        sys.stdout.flush()
    return row


if __name__ == "__main__":
    sys.exit(main())
