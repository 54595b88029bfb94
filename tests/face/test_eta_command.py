"""`holdfast eta` as people and scripts run it: real processes, and a real page to ask."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.doubles.holes import free_port

from holdfast.face.eta import LINE_MAX, read_clock, read_length

ROOT = Path(__file__).parents[2]


def run(
    *words: str, given: bytes = b"", config: Path | None = None, zone: str = "UTC"
) -> subprocess.CompletedProcess[bytes]:
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src"), "TZ": zone}
    more = ["--config", str(config)] if config else []
    return subprocess.run(
        [sys.executable, "-m", "holdfast", "eta", *words, *more],
        input=given,
        capture_output=True,
        env=environ,
        timeout=60,
        check=False,
    )


@contextmanager
def status_page(folder: Path, status: dict[str, Any]) -> Iterator[Path]:
    """A configuration whose gateway answers with this status."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(status).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield configured(folder, server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


def configured(folder: Path, port: int) -> Path:
    file = folder / "config.toml"
    file.write_text(
        f'[gateway]\nport = {port}\ndata_dir = "{folder / "data"}"\n\n'
        '[providers.cloud]\ndialect = "openai"\nbase_url = "http://127.0.0.1:9"\nkey = "none"\n'
    )
    return file


def incident(**more: Any) -> dict[str, Any]:
    now = time.time()
    segment = {"provider": "cloud", "surface": "messages", "model": None, "credential": None}
    return {
        "id": "i1", "since": now - 1500.0, "opened": now - 1300.0, "resolved": None,
        "whose": "provider", "segments": [segment],
    } | more  # fmt: skip


def test_lines_are_answered_one_by_one_the_bad_ones_told_and_the_torn_one_said() -> None:
    given = b'{"id":1,"elapsed_min":5}\n\nnope\n{"id":2,"elapsed_min":9}\n{"id":3,"ela'
    done = run("--jsonl", given=given)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["id"] for one in found] == [1, None, 2]
    assert "line 3 " in found[1]["error"]
    assert b"line 5, the last, is torn" in done.stderr
    assert done.returncode == 1


def test_a_torn_last_line_alone_is_no_failure() -> None:
    done = run("--jsonl", given=b'{"id":1,"elapsed_min":5}\n{"id"')
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 1
    assert b"torn" in done.stderr


def test_a_line_without_end_is_not_kept_in_memory_and_hurts_no_other() -> None:
    given = b'{"x":"' + b"a" * (2 * LINE_MAX) + b'","elapsed_min":5}\n{"id":2,"elapsed_min":9}\n'
    done = run("--jsonl", given=given)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert "longer than" in found[0]["error"]
    assert found[1]["id"] == 2
    assert done.returncode == 1


def test_each_answer_is_there_before_the_next_question_is_asked() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "holdfast", "eta", "--jsonl"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src")},
    )
    with process:
        assert process.stdin
        assert process.stdout
        for number in range(3):
            process.stdin.write(b'{"id":%d,"elapsed_min":30}\n' % number)
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["id"] == number
        process.stdin.close()
        assert process.wait(30) == 0


def test_an_open_incident_is_told_with_its_range_and_the_deadline(tmp_path: Path) -> None:
    quantiles = {"10": 2.0, "50": 8.0, "90": 60.0}
    eta = {"quantiles_min": quantiles, "told": "half end within 8 min", "n_own": 12}
    over = incident(id="i0", resolved=time.time() - 9000.0)
    status = {"incidents": [incident(eta=eta), over], "eta_check": "checked on your own 12"}
    by = time.strftime("%H:%M", time.gmtime(time.time() + 7500))
    with status_page(tmp_path, status) as config:
        done = run("--before", by, config=config)
        plain = run("--json", "--before", by, config=config)
    assert done.returncode == 0, done.stderr
    told = done.stdout.decode()
    assert "cloud · messages: down, for 25 min (provider)" in told
    assert "half end within 8 min" in told
    assert "over within: 10 % 2 min · 50 % 8 min · 90 % 60 min" in told
    assert "by published outages of AI services and your own 12" in told
    assert f"back before {by}" in told
    assert "(in 2 h): about 95 %" in told
    assert "checked on your own 12" in told
    found = json.loads(plain.stdout)["incidents"]
    assert [one["id"] for one in found] == ["i1"]
    assert found[0]["before"]["p_back"] > 0.9
    assert found[0]["elapsed_min"] == pytest.approx(25.0, abs=1.0)


def test_an_incident_without_a_range_gets_the_published_one_or_says_why_not(
    tmp_path: Path,
) -> None:
    hostile = {"provider": "cl\x1b[2Joud", "model": "m\nx"}
    rows = [incident(segments=[hostile], opened=None), incident(whose="account", eta=None)]
    with status_page(tmp_path, {"incidents": rows}) as config:
        done = run("--before", "17:00", config=config)
    told = done.stdout.decode()
    assert "half of such outages end within" in told
    assert "suspected, not yet sure, for 25 min" in told
    assert "no range: this is no outage to wait for" in told
    assert "\x1b" not in told
    assert "m?x" in told


def test_without_an_incident_there_is_nothing_to_wait_for(tmp_path: Path) -> None:
    for status in ({"incidents": []}, {}):
        with status_page(tmp_path, status) as config:
            done = run(config=config)
        assert done.returncode == 0
        assert done.stdout.startswith(b"No incident is open, so there is nothing to wait for.")


def test_without_a_gateway_it_says_how_to_start_one(tmp_path: Path) -> None:
    done = run(config=configured(tmp_path, free_port()))
    assert done.returncode == 1
    assert b"no gateway answers at" in done.stderr


def test_what_began_so_long_ago_needs_no_gateway() -> None:
    done = run("--elapsed", "25m", "--json")
    found = json.loads(done.stdout)["incidents"][0]
    assert found["eta"]["elapsed_min"] == 25.0
    told = run("--elapsed", "9h").stdout.decode()
    assert "a long outage, no useful estimate" in told


@pytest.mark.parametrize(
    "words", [("--before", "17"), ("--before", "24:00"), ("--elapsed", "soon")]
)
def test_words_that_are_no_times_are_usage(words: tuple[str, ...]) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert b"Write it as" in done.stderr


def test_a_time_of_day_is_the_next_one() -> None:
    now = time.mktime((2026, 3, 4, 16, 30, 0, 0, 0, -1))
    assert read_clock("17:00", now) == ("17:00", now + 1800.0, 30.0)
    assert read_clock(" 7:05", now).said == "07:05 tomorrow"
    assert read_clock("16:30", now).said == "16:30 tomorrow"


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("25m", 25), ("25 min", 25), ("1h30m", 90), ("2 h", 120), ("1d 2h 3m", 1563), ("45", 45)],
)
def test_lengths_as_people_write_them(text: str, minutes: int) -> None:
    assert read_length(text) == minutes


@pytest.mark.parametrize("text", ["", " ", "m", "-5m", "5x", "1m2h", "9" * 40 + "m", "²m"])
def test_what_is_no_length_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Write it as"):
        read_length(text)
