"""Installs the real clients into `.venv/clients`, as many as the machine takes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PINS = ROOT / "requirements" / "clients.toml"
PLACE = ROOT / ".venv" / "clients"


def pins() -> dict[str, dict[str, str]]:
    return tomllib.loads(PINS.read_text())


def versions() -> dict[str, str]:
    """The pinned version of each package, by its name there."""
    both = pins()
    python = {name: spec.partition("==")[2] for name, spec in both["pip"].items()}
    return {**both["npm"], **python}


def install() -> list[str]:
    """Install what is missing or of another version; returns what could not be had."""
    PLACE.mkdir(parents=True, exist_ok=True)
    failed = [] if _npm(pins()["npm"]) else ["npm's"]
    return failed + [name for name, spec in pins()["pip"].items() if not _pip(name, spec)]


def _npm(wanted: dict[str, str]) -> bool:
    folder = PLACE / "npm"
    text = json.dumps({"private": True, "dependencies": wanted}, indent=1)
    if _is_done(folder, text):
        return True
    if shutil.which("npm") is None:
        sys.stderr.write("npm is not installed: clients from there are left out.\n")
        return False
    folder.mkdir(exist_ok=True)
    (folder / "package.json").write_text(text)
    return _run(["npm", "install", "--no-audit", "--no-fund"], folder) and _note(folder, text)


def _pip(name: str, spec: str) -> bool:
    folder = PLACE / name
    if _is_done(folder, spec):
        return True
    if not (folder / "bin").is_dir() and not _run([sys.executable, "-m", "venv", name], PLACE):
        return False
    pip = [f"{folder}/bin/python", "-m", "pip", "--disable-pip-version-check", "--quiet"]
    return _run([*pip, "install", spec], PLACE) and _note(folder, spec)


def _run(words: list[str], folder: Path) -> bool:
    sys.stdout.write(f"installing: {' '.join(words[-2:])}\n")
    sys.stdout.flush()
    return subprocess.run(words, cwd=folder, check=False).returncode == 0


def _is_done(folder: Path, text: str) -> bool:
    mark = folder / "installed"
    return mark.exists() and mark.read_text() == text


def _note(folder: Path, text: str) -> bool:
    (folder / "installed").write_text(text)
    return True
