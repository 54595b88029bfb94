"""The house rules that a linter does not know, as tests without an exemption list."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "holdfast"
PURE = ("facts", "core", "wire")
AMBIENT = {
    "asyncio", "logging", "multiprocessing", "os", "pathlib", "random", "secrets",
    "select", "signal", "socket", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "time",
    "uuid",
}  # fmt: skip
CLUTTER = {"utils", "util", "helpers", "helper", "misc", "common", "manager", "base"}


def sources() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Top names of every import, those hidden inside functions included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_the_thinking_rooms_open_nothing_and_ask_no_clock() -> None:
    """Time, dice and I/O come through the front door, as arguments."""
    found = {
        f"{path.relative_to(SOURCE)}: {', '.join(sorted(bad))}"
        for path in sources()
        if path.relative_to(SOURCE).parts[0] in PURE and (bad := imported(path) & AMBIENT)
    }
    assert not found


def test_the_thinking_rooms_never_ask_what_time_it_is() -> None:
    """`datetime` may read a date that somebody wrote; it may not look at the clock."""
    found = [
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for path in sources()
        if path.relative_to(SOURCE).parts[0] in PURE
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ("now", "utcnow", "today")
    ]
    assert not found


def test_packages_are_folders_and_nothing_more() -> None:
    """What a name means is found in the file of that name, so `__init__` stays empty."""
    assert not [str(p) for p in SOURCE.rglob("__init__.py") if p.read_text().strip()]


def test_no_file_has_a_name_that_attracts_clutter() -> None:
    assert not [str(path) for path in sources() if path.stem in CLUTTER]


def test_every_room_is_mirrored_by_its_tests() -> None:
    """A test file without a source file has lost what it tests."""
    rooms = [
        room for room in ("core", "wire", "store", "net", "sim") if (ROOT / "tests" / room).is_dir()
    ]
    for room in rooms:
        for test in (ROOT / "tests" / room).glob("test_*.py"):
            name = test.stem.removeprefix("test_")
            there = (SOURCE / room / f"{name}.py").exists()
            assert there, f"{test.relative_to(ROOT)} mirrors no file of {room}"
