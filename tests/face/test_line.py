"""One line for a prompt: short, plain, quick, with the exit status of `holdfast status`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.doubles.holes import free_port, refused
from tests.face.samples import AT, incident, old, row, segment, trouble
from tests.gateway import ROOT
from tests.net.script_server import ScriptServer, read, send

from holdfast.face.line import WIDTH, brief, line


def test_well_and_down() -> None:
    assert line(old()) == "● holdfast ok"
    assert line(trouble()) == "○ acme messages down 12m (them 94%) +1 → other; back in 30m–3h"


def test_what_does_not_fit_is_left_out_the_least_telling_first() -> None:
    long = [segment("acme-with-a-long-name", "messages", "large-model-1")]
    told = line({**old(), "incidents": [incident(segments=long)]})
    assert told == "○ acme-with-a-long-name messages large-model-1 down 12m (them 94%) → other"
    told = line({**old(), "incidents": [incident(segments=[segment("a" * 100)])]})
    assert len(told) == WIDTH
    assert told.endswith("…")


def test_a_suspicion_and_a_fresh_end() -> None:
    suspected = [
        row("down", segment("acme", "messages"), whose="provider"),
        row("well", segment("b")),
    ]
    assert line({**old(), "segments": suspected}) == "◐ acme messages failing 12m (them)"
    suspected.append(row("probation", segment("b", "chat")))
    assert line({**old(), "segments": suspected}) == "◐ acme messages failing 12m +1 (them)"
    ended = [incident(resolved=AT - 180)]
    assert line({**old(), "incidents": ended}) == ("● holdfast ok; acme messages came back 3m ago")
    assert line({**old(), "incidents": [incident(resolved=AT - 700)]}) == "● holdfast ok"


def test_what_only_the_observatory_suspects() -> None:
    one = {"since": AT - 40, "segments": [segment("acme", "chat")], "because": ["HTTP 529"]}
    assert line({**old(), "suspected": [one]}) == "◐ acme chat suspected 40s"


def test_the_network_and_a_range_that_is_of_no_use() -> None:
    own = incident(
        segments=[segment("")], whose="network", stood_in=[], eta={"quantiles_min": {"10": 1}}
    )
    assert line({**old(), "incidents": [own]}) == "○ the network here down 12m (the network 94%)"
    long = incident(eta={"quantiles_min": {"10": 1.0, "90": 9e4}, "useful": False, "told": "long"})
    assert line({**old(), "incidents": [long]}).endswith("→ other")


def test_durations() -> None:
    assert [brief(each) for each in (-1, 45, 720, 10_800, 200_000)] == [
        "0s",
        "45s",
        "12m",
        "3h",
        "2d",
    ]


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "id": st.text(),
                "since": st.floats(0, AT),
                "resolved": st.none() | st.floats(0, AT),
                "whose": st.sampled_from(["provider", "account", "unknown", "?"]),
                "confidence": st.floats(0, 1),
                "segments": st.lists(st.builds(segment, st.text(), st.none() | st.text())),
                "stood_in": st.lists(st.text()),
                "eta": st.none()
                | st.fixed_dictionaries(
                    {
                        "quantiles_min": st.dictionaries(
                            st.sampled_from(["10", "90"]), st.floats(0, 1e5)
                        )
                    }
                ),
            },
        )
    )
)
def test_any_status_is_one_plain_short_line(incidents: list[dict[str, Any]]) -> None:
    told = line({**old(), "incidents": incidents})
    assert told.isprintable()
    assert len(told) <= WIDTH


# ------------------------------------------------------------ as a process


def holdfast(folder: Path, port: int, *words: str, **environ: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of the line; the key's command would take long."""
    file = folder / "config.toml"
    key = "command:sleep 100"
    text = f'[gateway]\nport = {port}\n[providers.openai]\nkey = "{key}"\n'
    file.write_text(text)
    return run(["status", "--line", "--config", str(file), *words], **environ)


def run(words: Sequence[str], **environ: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "holdfast", *words],
        env={"PYTHONPATH": str(ROOT / "src"), "PYTHONUTF8": "1", **environ},
        capture_output=True,
        timeout=30,
        check=False,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def answer(status: dict[str, Any]) -> bytes:
    body = json.dumps(status).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


@pytest.mark.parametrize(
    ("blame", "code"), [("well", 0), ("them", 10), ("you", 11), ("mixed", 12), ("unknown", 13)]
)
def test_the_exit_status_says_whose_fault_it_is(tmp_path: Path, blame: str, code: int) -> None:
    with ScriptServer([read(), send(answer({**trouble(), "blame": blame}))]) as server:
        found = holdfast(tmp_path, server.port)
    assert found == (code, line(trouble()) + "\n", "")


def test_where_none_runs(tmp_path: Path) -> None:
    with refused() as url:
        assert holdfast(tmp_path, int(url.rpartition(":")[2])) == (1, "holdfast off\n", "")


def test_where_something_else_listens(tmp_path: Path) -> None:
    with ScriptServer([read(), send(b"HTTP/1.1 200 OK\r\n\r\n<html>")]) as server:
        assert holdfast(tmp_path, server.port) == (1, "holdfast off\n", "")


def test_a_terminal_without_the_signs_gets_question_marks(tmp_path: Path) -> None:
    with ScriptServer([read(), send(answer(old()))]) as server:
        code, out, err = holdfast(tmp_path, server.port, PYTHONIOENCODING="ascii")
    assert (code, out, err) == (0, "? holdfast ok\n", "")


def test_a_broken_file_is_no_riddle(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    for text in ("[gateway", '[gateway]\nport = "x"\n'):
        file.write_text(text)
        code, out, err = run(["status", "--line", "--config", str(file)])
        assert (code, err) == (2, "")
        assert "holdfast check" in out
    assert run(["status", "--line", "--config", str(tmp_path / "none")])[0] == 2


def test_a_prompt_does_not_wait_for_libraries(tmp_path: Path) -> None:
    """Neither the printer nor the checker of configurations is so much as imported."""
    file = tmp_path / "config.toml"
    file.write_text(f"[gateway]\nport = {free_port()}\n")
    script = (
        "import sys; from holdfast.face.cli import run;"
        f" run(['status', '--line', '--config', {str(file)!r}]);"
        " print(sorted({'rich', 'msgspec', 'asyncio', 'ssl', 'http'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout == "holdfast off\n[]\n"
