"""`python -m bench`: what the gateway costs, side by side with nginx and with no gateway."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench import kernel
from bench.figures import DIRECT, FIGURES, HOLDFAST, NGINX, Bench, Row
from bench.systems import ROOT, Cores, Direct, Holdfast, Nginx, Provider, System

SYSTEMS = (DIRECT, NGINX, HOLDFAST)


def main(argv: Sequence[str]) -> int:
    """Measure and print. 0: done; 1: something failed, so that not all figures hold."""
    words = _parser().parse_args(argv)
    chosen = words.only or [name for name in FIGURES if not (words.quick and name == "installed")]
    kernel.many_files()
    cores = Cores()
    progress = Progress()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        provider = Provider(Path(folder))
        try:
            systems = _systems(Path(folder), cores, provider.port, words.without)
            bench = Bench(systems, provider, cores, quick=words.quick, say=progress.say)
            for name in chosen:
                rows += FIGURES[name](bench)
        except RuntimeError as problem:  # a system or the load generator, and what it printed
            sys.stderr.write(f"\nbench: {problem}\n")
            return 1
        finally:
            provider.stop()
    progress.end()
    facts = {"machine": kernel.machine(), "commit": commit(), "cores": str(cores)}
    facts["quick"] = "yes, too short to quote" if words.quick else "no"
    sys.stdout.write(as_json(facts, rows, bench.trouble) if words.json else table(facts, rows))
    for line in bench.trouble:
        sys.stderr.write(f"bench: {line}\n")
    return 1 if bench.trouble else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute, to see that it works")
    parser.add_argument("--json", action="store_true", help="every round's value, for scripts")
    parser.add_argument(
        "--only", action="append", metavar="NAME", choices=FIGURES, help="one figure"
    )
    parser.add_argument(
        "--without", action="append", default=[], choices=SYSTEMS[1:], help="leave a system out"
    )
    return parser


def _systems(folder: Path, cores: Cores, upstream: int, without: list[str]) -> list[System]:
    systems: list[System] = [Direct(upstream)]
    if NGINX not in without:
        if Nginx.found():
            systems.append(Nginx(folder, cores, upstream))
        else:
            sys.stderr.write("bench: nginx is not installed, so there is nothing to compare with\n")
    if HOLDFAST not in without:
        systems.append(Holdfast(folder, cores, upstream))
    return systems


class Progress:
    """One line that is written over on a terminal, one line each elsewhere."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._terminal = sys.stderr.isatty()

    def say(self, text: str) -> None:
        line = f"{time.monotonic() - self._began:4.0f} s  {text}"
        sys.stderr.write(f"\r\x1b[2K{line}" if self._terminal else f"{line}\n")
        sys.stderr.flush()

    def end(self) -> None:
        if self._terminal:
            sys.stderr.write("\r\x1b[2K")


def commit() -> str:
    """The commit measured, and whether the tree differs from it."""
    git = ["git", "-C", str(ROOT)]
    try:
        head = subprocess.check_output([*git, "rev-parse", "--short", "HEAD"], text=True).strip()
        dirty = subprocess.check_output([*git, "status", "--porcelain", "src"], text=True).strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head} and uncommitted changes" if dirty else head


def table(facts: dict[str, str], rows: list[Row]) -> str:
    """The rows side by side; a system that has no such figure has a dash."""
    lines = [f"{name:8} {value}" for name, value in facts.items()] + [""]
    names = [name for name in SYSTEMS if any(name in row.values for row in rows)]
    width = max((len(row.title) for row in rows), default=0)
    unit = max((len(row.unit) for row in rows), default=0)
    head = f"{'':{width}}  {'':{unit}}" + "".join(f"{name:>10}" for name in names)
    lines.append(f"{head}{'× nginx':>10}{'range':>13}  target")
    for row in rows:
        line = f"{row.title:{width}}  {row.unit:{unit}}"
        line += "".join(f"{_number(row.median(name)):>10}" for name in names)
        ratios = row.ratios if row.against_nginx else []
        line += f"{_number(row.ratio if ratios else None):>10}"
        line += f"{f'{min(ratios):.2f}–{max(ratios):.2f}' if ratios else '':>13}"
        lines.append(f"{line}  {_target(row)}".rstrip())
    lines.append("\nMedians of the rounds; the range is that of the ratio over the rounds.")
    return "\n".join(lines) + "\n"


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _target(row: Row) -> str:
    words = []
    if row.limit is not None:
        verdict = {True: "met", False: "MISSED", None: "not judged"}[row.met]
        words.append(f"≤ {row.limit:g}{'×' if row.against_nginx else ''} {verdict}")
    return " · ".join([*words, row.note] if row.note else words)


def as_json(facts: dict[str, str], rows: list[Row], trouble: list[str]) -> str:
    """Everything, with the values of each round in order."""
    figures = [{**msgspec.to_builtins(row), "ratio": row.ratio, "met": row.met} for row in rows]
    whole = {**facts, "figures": figures, "trouble": trouble}
    return msgspec.json.format(msgspec.json.encode(whole), indent=2).decode() + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
