"""What several commands say: how another command finds the same gateway."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from holdfast.config.read import default_path, read
from holdfast.face.reading import not_running, which

FILE = "[gateway]\nport = 4242\n[providers.sim]\n"


@pytest.mark.parametrize("folder", ["plain", "with a space", "$(touch x)"])
def test_a_command_that_is_told_names_the_configuration(tmp_path: Path, folder: str) -> None:
    """Without it the other command would ask the usual port, where another gateway may be."""
    file = tmp_path / folder / "config.toml"
    file.parent.mkdir()
    file.write_text(FILE)
    config = read(file, {})
    assert shlex.split(which(config)) == ["--config", str(file)]
    assert not_running(config).endswith(f" up{which(config)}")


def test_the_usual_configuration_needs_no_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    file = default_path()
    file.parent.mkdir(parents=True)
    file.write_text(FILE)
    assert which(read(None, {})) == ""
