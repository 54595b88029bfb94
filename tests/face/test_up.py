"""`holdfast up`: what its terminal does is no reason to stop."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.doubles.holes import free_port
from tests.gateway import Gateway, configuration, environment

FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="no device here on which nothing can be written")
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_log_on_a_full_disk_stops_nobody(tmp_path: Path, more: list[str]) -> None:
    port = free_port()
    text = configuration(tmp_path, port, [], [], {}) + "[providers.sim]\n"
    one = Gateway(tmp_path, text, port, {})
    words = [sys.executable, "-m", "holdfast", "up", "--config", str(one.file), *more]
    with (
        FULL.open("wb") as full,
        subprocess.Popen(
            words, env=environment(tmp_path, []), stdin=subprocess.DEVNULL, stdout=full, stderr=full
        ) as process,
    ):
        while not one.ready():
            assert process.poll() is None
        assert one.get("/-/status.json")
        process.terminate()
        assert process.wait(15) == 0
