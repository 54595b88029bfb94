"""Completions, in a shell that is there: what it says to a half-typed word."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.face import cli

ASK = """
eval "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_shtab_holdfast
printf '%s\\n' "${COMPREPLY[@]}"
"""


def script(shell: str, *more: str) -> str:
    words = [sys.executable, "-m", "holdfast", "completion", shell, *more]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_completes_commands_options_values_and_files(tmp_path: Path) -> None:
    said = script("bash")

    def completed(*words: str) -> list[str]:
        asked = ["bash", "--norc", "-c", ASK, "bash", said, "holdfast", *words]
        found = subprocess.run(asked, cwd=tmp_path, check=True, capture_output=True, text=True)
        return found.stdout.split()

    (tmp_path / "mine.toml").touch()
    assert completed("") == list(cli.COMMANDS)
    assert completed("st") == ["status"]
    assert completed("logs", "--f") == ["--failed"]
    assert completed("completion", "") == list(cli.SHELLS)
    assert completed("status", "--config", "m") == ["mine.toml"]


@pytest.mark.parametrize("shell", cli.SHELLS)
def test_every_shell_gets_every_command(shell: str) -> None:
    said = script(shell)
    assert all(name in said for name in cli.COMMANDS)


def test_another_shell_is_refused_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["completion", "csh"]) == cli.USAGE
    assert "csh" in capsys.readouterr().err
