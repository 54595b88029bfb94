"""`holdfast diagnose` as a person or a script runs it: a real process."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.doubles.between import LOGIN_PAGE, Host
from tests.doubles.holes import blackhole, free_port, refused

from holdfast.face.diagnose import MIXED, THEM, UNKNOWN, WELL, YOU, together

REMOVED = (
    'API Error: 403 {"type":"error","error":{"type":"permission_error","message":"Account is no'
    ' longer a member of the organization associated with this token."}} from api.anthropic.com'
)


def diagnose(
    stdin: str | bytes, folder: Path, *words: str, **environ: str
) -> subprocess.CompletedProcess[bytes]:
    given = stdin.encode() if isinstance(stdin, str) else stdin
    environ |= {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "PYTHONPATH": "src"}
    return subprocess.run(
        [sys.executable, "-m", "holdfast", "diagnose", *words],
        input=given,
        capture_output=True,
        env=environ,
        cwd=Path(__file__).parents[2],
        timeout=30,
        check=False,
    )


def config(folder: Path, port: int) -> str:
    file = folder / "config.toml"
    file.write_text(f'[gateway]\nport = {port}\ndata_dir = "{folder}/data"\n[providers.sim]\n')
    return str(file)


# ------------------------------------------------------------ records


def test_each_record_is_answered_in_order_and_what_is_none_is_told(tmp_path: Path) -> None:
    lines = [
        '{"id":"a","provider":"anthropic","surface":"api","status":529,"new":1}',
        "nope",
        "",
        '{"id":{"b":[2]},"status":429,"facts":{"many_users":true}}',
        '{"id":3,"sta',
    ]
    done = diagnose("\n".join(lines), tmp_path, "--jsonl")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["id"] for answer in answers] == ["a", None, {"b": [2]}, None]
    assert list(answers[0]) == ["id", "whose", "cause", "confidence", "action", "because"]
    assert answers[0]["whose"] == answers[2]["whose"] == "provider"
    assert list(answers[1]) == ["id", "error"]
    assert "line 2" in answers[1]["error"]
    assert "line 5" in answers[3]["error"]
    assert b"torn" in done.stderr
    assert done.returncode == 1


def test_good_records_end_well_even_without_the_last_line_end(tmp_path: Path) -> None:
    done = diagnose('{"id":1,"status":500}\n{"id":2,"status":500}', tmp_path, "--jsonl")
    assert (done.returncode, done.stderr) == (0, b"")
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == [1, 2]


def test_a_line_beyond_all_bounds_is_left_out_alone(tmp_path: Path) -> None:
    huge = b'{"id":1,"body":"' + b"x" * 8_100_000 + b'"}\n'
    done = diagnose(huge + b'{"id":2,"status":500}\n', tmp_path, "--jsonl")
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert "line 1" in first["error"]
    assert second["id"] == 2


def test_an_answer_is_written_before_the_next_record_comes(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "holdfast", "diagnose", "--jsonl"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"HOME": str(tmp_path), "PYTHONPATH": "src"},
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in (1, 2):
            process.stdin.write(b'{"id":%d,"status":500}\n' % number)
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["id"] == number
        process.stdin.close()
        assert process.wait(timeout=10) == 0


# ------------------------------------------------------------ pasted errors


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        (REMOVED, UNKNOWN, "Change no key"),
        ("API Error: 529 Overloaded. https://docs.claude.com", THEM, "It is them, not you."),
        ("prompt is too long: 210000 tokens > 200000 maximum", YOU, "Shorten"),
        ("Can't reach Claude. Check your connection.", UNKNOWN, "look next"),
    ],
)
def test_a_pasted_error_is_judged_where_nothing_is_set_up(
    tmp_path: Path, text: str, status: int, words: str
) -> None:
    done = diagnose(text, tmp_path)
    assert done.returncode == status
    assert words in done.stdout.decode()
    assert "no gateway was asked" in done.stdout.decode()
    as_json = diagnose(text, tmp_path, "--json")
    assert as_json.returncode == json.loads(as_json.stdout)["blame"] == status


def test_an_error_is_pasted_at_a_terminal_where_that_is_asked_for(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "holdfast", "diagnose", "-"],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "PYTHONPATH": "src"},
        cwd=Path(__file__).parents[2],
    ) as process:
        os.write(ours, b"API Error: 529 Overloaded\n\x04")
        out, said = process.communicate(timeout=30)
    os.close(ours)
    os.close(theirs)
    assert b"It is them" in out
    assert b"Ctrl-D" in said
    assert process.returncode == THEM


def test_who_gives_no_error_to_read_is_told_so(tmp_path: Path) -> None:
    done = diagnose("", tmp_path, "-")
    assert (done.returncode, done.stderr) == (2, b"holdfast: no error was given to read.\n")


@pytest.fixture
def board() -> Iterator[tuple[int, dict[str, Any]]]:
    """A port that gives a gateway's status, which the test may write."""
    segment = {"provider": "anthropic", "surface": "messages", "model": None, "credential": None}
    row = {"segment": segment, "state": "down", "since": 90.0, "kind": "status", "status": 529}
    row |= {"whose": "provider", "because": ["Overloaded"], "rests_s": 3.0, "verdict": ""}
    told = {"at": 100.0, "blame": "them", "url": "http://127.0.0.1", "segments": [row]}

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(told).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Door) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1], told
        server.shutdown()
        thread.join()


def test_what_the_gateway_saw_speaks_for_the_pasted_error(
    tmp_path: Path, board: tuple[int, dict[str, Any]]
) -> None:
    file = config(tmp_path, board[0])
    assert diagnose(REMOVED, tmp_path, "--config", file).returncode == THEM
    text = "prompt is too long: 210000 tokens > 200000 maximum (claude-sonnet)"
    assert diagnose(text, tmp_path, "--config", file).returncode == MIXED


def test_without_an_error_the_board_is_told(
    tmp_path: Path, board: tuple[int, dict[str, Any]]
) -> None:
    port, told = board
    file = config(tmp_path, port)
    done = diagnose("", tmp_path, "--config", file)
    assert done.returncode == THEM
    assert "anthropic · messages · * · *: down for 10 s (Overloaded)" in done.stdout.decode()
    told |= {"blame": "well", "segments": []}
    done = diagnose("", tmp_path, "--config", file, "--json")
    assert json.loads(done.stdout)["blame"] == done.returncode == WELL


def test_with_nothing_to_go_by_that_is_said(tmp_path: Path) -> None:
    done = diagnose("", tmp_path, "--config", config(tmp_path, free_port()))
    assert done.returncode == UNKNOWN
    assert b"no gateway answers" in done.stderr
    missing = diagnose("", tmp_path, "--config", str(tmp_path / "none.toml"))
    assert missing.returncode == 2


# ------------------------------------------------------------ the network, from here


@pytest.fixture
def around(tmp_path: Path) -> Iterator[Callable[..., subprocess.CompletedProcess[bytes]]]:
    """A live check among hosts of our own: one is the reference, the cloud is where it is said."""
    ca = trustme.CA()
    trust = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(trust))
    with Host(ca.issue_cert("localhost")) as reference, Host(answer=LOGIN_PAGE) as portal:

        def check(
            cloud: str, *words: str, portal_answers: bool = False, reference_at: int = 0
        ) -> subprocess.CompletedProcess[bytes]:
            at = reference_at or reference.port
            asked = f'url = "http://127.0.0.1:{portal.port}/", says = "success"'
            file = tmp_path / "config.toml"
            lines = [
                f'[gateway]\nport = {free_port()}\ndata_dir = "{tmp_path}/data"',
                f'[observatory]\nreferences = ["https://localhost:{at}"]',
                f"portals = [{{ {asked} }}]" if portal_answers else "portals = []",
                f'[providers.cloud]\nbase_url = "{cloud}"\ndialect = "anthropic"\nkind = "cloud"',
                'key = "none"',
            ]
            file.write_text("\n".join(lines))
            return diagnose("", tmp_path, "--config", str(file), *words, SSL_CERT_FILE=str(trust))

        yield check


def test_a_cloud_that_is_reached_is_shown_step_by_step(around: Any) -> None:
    with Host() as cloud:
        done = around(f"http://127.0.0.1:{cloud.port}")
        out = done.stdout.decode()
        assert done.returncode == WELL, out
        assert "cloud: 127.0.0.1 can be reached" in out
        assert "no gateway answers" in out
        assert re.search(r"127\.0\.0\.1 \(v4\): tcp \d.* · http 200 \d", out), out


def test_a_cloud_that_is_a_hole_is_theirs_and_the_look_is_bounded(around: Any) -> None:
    with blackhole() as cloud:
        began = time.monotonic()
        done = around(cloud, "--json")
        assert time.monotonic() - began < 12
    told = json.loads(done.stdout)
    assert done.returncode == told["blame"] == THEM, told
    (climb,) = told["network"]
    assert climb["provider"] == "cloud"
    assert climb["finding"] == "host"


def test_a_portal_is_on_this_side(around: Any) -> None:
    with refused() as cloud:
        gone = int(cloud.rpartition(":")[2])
        done = around(cloud, portal_answers=True, reference_at=gone)
    assert done.returncode == YOU, done.stdout
    assert "captive portal" in done.stdout.decode()


@pytest.mark.parametrize(
    ("blames", "all_told"),
    [
        ([WELL], WELL),
        ([WELL, UNKNOWN], UNKNOWN),
        ([WELL, THEM], THEM),
        ([UNKNOWN, YOU], YOU),
        ([THEM, YOU], MIXED),
        ([MIXED, YOU], MIXED),
    ],
)
def test_looks_are_drawn_together(blames: list[int], all_told: int) -> None:
    assert together(blames) == all_told
