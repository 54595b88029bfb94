"""`holdfast run`: real programs, real files; nothing of the person's own is written to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.doubles.provider import Provider
from tests.gateway import Gateway, gateway, upstream

# Says what it was given, and with which words; ends with 7, or waits for a signal.
TOOL = f"""#!{sys.executable}
import json, os, sys, time
said = dict(os.environ) | {{"args": sys.argv[1:]}}
path = os.environ.get("MY_SETTINGS")
if path:
    said["settings"] = json.load(open(path))
print(json.dumps(said), flush=True)
if "wait" in sys.argv:
    time.sleep(60)
sys.exit(7)
"""
DATA = """\
title = "With a file"
commands = ["filed"]
args = ["--base={url}/v1"]
[env]
MY_SETTINGS = "{folder}/s.json"
[files."s.json"]
nested.url = "{url}"
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("run")
    with Provider("alpha") as alpha, gateway(folder, [upstream(alpha)], []) as one:
        yield one


@pytest.fixture
def place(running: Gateway, tmp_path: Path) -> Path:
    for name in ("filed", "plain", "claude"):
        (tmp_path / name).write_text(TOOL)
        (tmp_path / name).chmod(0o755)
    tools = running.folder / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "filed.toml").write_text(DATA)
    return tmp_path


def begin(running: Gateway, place: Path, *words: str) -> subprocess.Popen[str]:
    environ = running._environ | {
        "PATH": f"{place}:{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(place / "cache"),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "holdfast", "run", "--config", str(running.file), *words],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_tool_with_a_file_finds_it_and_the_folder_is_gone_behind_it(
    running: Gateway, place: Path
) -> None:
    child = begin(running, place, "--", "filed", "--list", "x")
    out, _ = child.communicate(timeout=30)
    said = json.loads(out)
    assert said["args"] == [f"--base={running.url}/v1", "--list", "x"]
    assert said["settings"] == {"nested": {"url": running.url}}
    assert said["ANTHROPIC_BASE_URL"] == running.url
    assert child.returncode == 7
    assert not list((place / "cache" / "holdfast" / "run").iterdir())


def test_a_signal_reaches_the_tool_and_the_folder_is_gone_all_the_same(
    running: Gateway, place: Path
) -> None:
    child = begin(running, place, "--", "filed", "wait")
    assert child.stdout is not None
    assert json.loads(child.stdout.readline())
    assert list((place / "cache" / "holdfast" / "run").iterdir())
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=30)
    assert child.returncode == 128 + signal.SIGTERM
    assert not list((place / "cache" / "holdfast" / "run").iterdir())


def test_a_tool_without_files_takes_the_place_of_this_process(
    running: Gateway, place: Path
) -> None:
    child = begin(running, place, "claude", "-p", "hi")
    out, _ = child.communicate(timeout=30)
    said = json.loads(out)
    assert (said["args"], child.returncode) == (["-p", "hi"], 7)
    assert said["ANTHROPIC_AUTH_TOKEN"] == "holdfast"
    assert "ANTHROPIC_API_KEY" not in said


def test_the_list_shows_ours_and_the_persons_own(running: Gateway, place: Path) -> None:
    out, _ = begin(running, place, "--list").communicate(timeout=30)
    assert "With a file" in out
    assert "Claude Code" in out
    out, _ = begin(running, place, "--json", "--list").communicate(timeout=30)
    assert json.loads(out)["filed"]["commands"] == ["filed"]


def test_wrong_data_is_said_with_its_line_and_nothing_is_run(running: Gateway, place: Path) -> None:
    wrong = running.folder / "tools" / "wrong.toml"
    wrong.write_text('title = "W"\ncommand = ["w"]\n')
    try:
        child = begin(running, place, "--", "plain")
        out, err = child.communicate(timeout=30)
    finally:
        wrong.unlink()
    assert (out, child.returncode) == ("", 2)
    assert (
        f"{wrong}:2: command: is not a key that holdfast knows here. Did you mean commands?" in err
    )


def test_what_is_not_there_is_said(running: Gateway, place: Path) -> None:
    child = begin(running, place, "--", "no-such-tool")
    _, err = child.communicate(timeout=30)
    assert child.returncode == 127
    assert "no-such-tool is not installed" in err
    child = begin(running, place)
    _, err = child.communicate(timeout=30)
    assert child.returncode == 2
    assert "run -- claude" in err


def test_the_gateway_s_keys_need_not_be_known_where_a_tool_is_started(
    running: Gateway, place: Path
) -> None:
    running._environ.pop("ALPHA_KEY", None)
    child = begin(running, place, "--", "plain")
    out, err = child.communicate(timeout=30)
    assert (json.loads(out)["OPENAI_BASE_URL"], err) == (f"{running.url}/v1", "")


def test_a_broken_configuration_is_said_with_its_line(
    running: Gateway, place: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.toml").write_text("[gateway]\nport = [\n")
    child = begin(running, place, "--config", str(tmp_path / "bad.toml"), "--", "plain")
    _, err = child.communicate(timeout=30)
    assert child.returncode == 2
    assert "bad.toml:" in err


def test_where_no_folder_of_ones_own_can_be_made_the_usual_place_will_do(
    running: Gateway, place: Path
) -> None:
    (place / "cache").write_text("a file where a folder is looked for")
    child = begin(running, place, "--", "filed")
    out, _ = child.communicate(timeout=30)
    assert json.loads(out)["settings"] == {"nested": {"url": running.url}}
    assert not Path(json.loads(out)["MY_SETTINGS"]).parent.exists()
