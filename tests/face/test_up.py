"""`holdfast up`: what its terminal does is no reason to stop."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.doubles.holes import free_port
from tests.gateway import Gateway, configuration, environment

FULL = Path("/dev/full")


def ends_well(folder: Path, *around: str, more: Sequence[str] = (), **streams: Any) -> None:
    """A gateway that is started so is ready, answers, and ends with 0."""
    port = free_port()
    text = configuration(folder, port, [], [], {}) + "[providers.sim]\n"
    one = Gateway(folder, text, port, {})
    words = [*around, sys.executable, "-m", "holdfast", "up", "--config", str(one.file), *more]
    with subprocess.Popen(words, env=environment(folder, []), **streams) as process:
        try:
            while not one.ready():
                assert process.poll() is None
            assert one.get("/-/status.json")
        finally:
            process.terminate()
        assert process.wait(15) == 0


@pytest.mark.skipif(not FULL.exists(), reason="no device here on which nothing can be written")
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_log_on_a_full_disk_stops_nobody(tmp_path: Path, more: list[str]) -> None:
    with FULL.open("wb") as full:
        ends_well(tmp_path, more=more, stdin=subprocess.DEVNULL, stdout=full, stderr=full)


@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_nobody_need_listen(tmp_path: Path, closed: str) -> None:
    """As some supervisors start their programs; a connection must not get such a number."""
    ends_well(tmp_path, "sh", "-c", f'exec "$@" {closed}', "sh", stdout=subprocess.DEVNULL)
