"""`holdfast status` as a process: the board, for scripts, and again and again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.doubles.holes import refused
from tests.face.samples import trouble
from tests.face.test_line import answer, run
from tests.gateway import ROOT
from tests.net.script_server import ScriptServer, read, send


def configured(folder: Path, port: int) -> str:
    file = folder / "config.toml"
    file.write_text(f"[gateway]\nport = {port}\n[providers.sim]\n")
    return str(file)


def test_the_board_and_json(tmp_path: Path) -> None:
    with ScriptServer([read(), send(answer(trouble()))]) as server:
        file = configured(tmp_path, server.port)
        code, out, err = run(["status", "--config", file], COLUMNS="80", NO_COLOR="1")
        assert (code, err) == (12, "")
        assert "○ acme messages down 12 min" in out
        assert "\x1b" not in out
        code, out, _ = run(["status", "--json", "--config", file])
        assert code == 12
        assert json.loads(out)["incidents"][0]["id"] == "i-20"


def test_a_mistake_in_the_file_hides_nothing(tmp_path: Path) -> None:
    """The gateway runs on by what it read before, and that is what is asked about."""
    with ScriptServer([read(), send(answer(trouble()))]) as server:
        file = configured(tmp_path, server.port)
        with Path(file).open("a") as more:
            more.write('[providers.openai]\nkey = "env:NOT_SET"\n[what\n')
        code, out, err = run(["status", "--config", file], COLUMNS="80", NO_COLOR="1")
        assert (code, err) == (12, "")
        assert "○ acme messages down 12 min" in out


def test_in_a_locale_without_arrows_it_is_shown_all_the_same(tmp_path: Path) -> None:
    """As under `LC_ALL=C` of an old terminal: what it cannot show is a question mark."""
    with ScriptServer([read(), send(answer(trouble()))]) as server:
        file = configured(tmp_path, server.port)
        code, out, err = run(
            ["status", "--config", file], COLUMNS="80", NO_COLOR="1", PYTHONIOENCODING="ascii"
        )
    assert (code, err) == (12, "")
    assert "? acme messages down 12 min" in out


def test_a_word_that_it_does_not_know_is_told_with_those_that_it_does() -> None:
    code, out, err = run(["status", "--wach"])
    assert (code, out) == (2, "")
    assert err.startswith("usage: holdfast status")
    assert "unrecognized arguments: --wach" in err


def test_where_none_runs(tmp_path: Path) -> None:
    with refused() as url:
        file = configured(tmp_path, int(url.rpartition(":")[2]))
        code, out, err = run(["status", "--config", file])
    assert (code, out) == (1, "")
    assert "no gateway answers at" in err


def test_a_line_and_watching_at_once_is_a_mistake() -> None:
    assert run(["status", "--line", "--watch"])[0] == 2


def test_watching_looks_again_until_it_is_ended(tmp_path: Path) -> None:
    with ScriptServer([read(), send(answer(trouble()))]) as server:
        words = ["status", "--watch", "--config", configured(tmp_path, server.port)]
        process = subprocess.Popen(
            [sys.executable, "-m", "holdfast", *words],
            env={"PYTHONPATH": str(ROOT / "src"), "PYTHONUTF8": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        end = time.monotonic() + 20
        while len(server.requests) < 2 and time.monotonic() < end:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        assert len(server.requests) >= 2
    assert (process.returncode, err) == (130, b"")
