"""How tools are pointed at the gateway: data, whole or refused, and what comes of it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.config import tools
from holdfast.config.problems import ConfigError
from holdfast.config.tools import PLACEHOLDER, USUAL, Tool, called, known, outfit

URL = "http://127.0.0.1:4141"
OURS = known()


def dressed(command: str, **environ: str) -> dict[str, str]:
    tool = called(OURS, command)
    return outfit([OURS[USUAL], *([tool] if tool else [])], URL, "/run", environ).env


def test_an_unknown_tool_gets_the_usual_variables() -> None:
    assert dressed("my-agent") == {
        "ANTHROPIC_BASE_URL": URL,
        "OPENAI_BASE_URL": f"{URL}/v1",
        "OPENAI_API_BASE": f"{URL}/v1",
        "GOOGLE_GEMINI_BASE_URL": URL,
        "ANTHROPIC_API_KEY": PLACEHOLDER,
        "OPENAI_API_KEY": PLACEHOLDER,
        "GEMINI_API_KEY": PLACEHOLDER,
    }


@pytest.mark.parametrize(
    ("mine", "kept"),
    [
        ({"ANTHROPIC_API_KEY": "sk-own"}, "ANTHROPIC"),
        ({"ANTHROPIC_AUTH_TOKEN": "own"}, "ANTHROPIC"),
        ({"OPENAI_API_KEY": "sk-own"}, "OPENAI_API_KEY"),
        ({"GOOGLE_API_KEY": "own"}, "GEMINI_API_KEY"),
    ],
)
@pytest.mark.parametrize("command", ["claude", "codex", "my-agent"])
def test_no_placeholder_beside_a_key_of_the_person(
    command: str, mine: dict[str, str], kept: str
) -> None:
    env = dressed(command, **mine)
    assert not [name for name in env if name.startswith(kept) and "BASE" not in name]


def test_one_placeholder_is_enough_where_a_tool_names_its_own() -> None:
    """Claude Code complains of two credentials at once, and asks before it takes a key."""
    env = dressed("claude")
    assert env["ANTHROPIC_AUTH_TOKEN"] == PLACEHOLDER
    assert "ANTHROPIC_API_KEY" not in env


def test_an_empty_variable_is_no_key() -> None:
    assert dressed("my-agent", OPENAI_API_KEY="")["OPENAI_API_KEY"] == PLACEHOLDER


def test_codex_gets_a_provider_by_flags() -> None:
    tool = called(OURS, "/opt/bin/codex")
    assert tool is not None
    args = outfit([tool], URL, "", {}).args
    settings = [tomllib.loads(word) for word in args if word != "-c"]
    assert {"model_provider": "holdfast"} in settings
    assert any(f"{URL}/v1" in str(one) for one in settings)


def test_a_variable_that_holds_json_keeps_what_it_held() -> None:
    own = {"theme": "dark", "provider": {"anthropic": {"options": {"timeout": 5}}}}
    env = dressed("opencode", OPENCODE_CONFIG_CONTENT=json.dumps(own))
    found = json.loads(env["OPENCODE_CONFIG_CONTENT"])
    assert found["theme"] == "dark"
    options = found["provider"]["anthropic"]["options"]
    assert options == {"timeout": 5, "baseURL": f"{URL}/v1"}
    with pytest.raises(ValueError, match="OPENCODE_CONFIG_CONTENT holds no JSON object"):
        dressed("opencode", OPENCODE_CONFIG_CONTENT="{oops")


def test_files_are_json_and_variables_name_their_folder() -> None:
    fit = outfit([OURS["gemini"]], URL, "/run", {})
    assert json.loads(fit.files["settings.json"]) == {
        "security": {"auth": {"selectedType": "gemini-api-key"}}
    }
    assert fit.env["GEMINI_CLI_SYSTEM_SETTINGS_PATH"] == "/run/settings.json"


@pytest.mark.parametrize("command", ["claude", "/usr/bin/claude", r"C:\npm\Claude.CMD"])
def test_a_tool_is_known_wherever_it_lies(command: str) -> None:
    assert called(OURS, command) is OURS["claude"]
    assert called(OURS, "claudette") is None


def test_the_own_folder_adds_and_overrides(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('title = "Mine"\ncommands = ["mine"]\n[env]\nA = "{url}/x"')
    (tmp_path / "claude.toml").write_text('title = "My Claude"\ncommands = ["claude"]')
    (tmp_path / "README").write_text("not data")
    found = known(tmp_path)
    assert found["claude"].title == "My Claude"
    mine = called(found, "mine")
    assert mine is not None
    assert outfit([mine], URL, "", {}).env == {"A": f"{URL}/x"}
    assert known(tmp_path / "nowhere") == OURS


BROKEN = """\
titel = "Mine"
commands = "mine"
dialect = "klingon"
[env]
A = 5
[keys]
K = "L"
[json]
J = "text"
[json.D]
day = 2026-11-24
[files."../up.json"]
a = 1
"""


def test_everything_wrong_in_all_files_is_said_at_once_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text(BROKEN)
    (tmp_path / "syntax.toml").write_text('title = "x"\ncommands = [')
    (tmp_path / "bytes.toml").write_bytes(b'title = "\xff"')
    (tmp_path / "thief.toml").write_text('title = "T"\ncommands = ["claude"]')
    with pytest.raises(ConfigError) as caught:
        known(tmp_path)
    problems = caught.value.problems
    found = {(Path(one.file).name, one.line, one.key) for one in problems}
    assert found >= {
        ("broken.toml", 1, "titel"),
        ("broken.toml", None, "title"),
        ("broken.toml", 2, "commands"),
        ("broken.toml", 3, "dialect"),
        ("broken.toml", 5, "env.A"),
        ("broken.toml", 7, "keys.K"),
        ("broken.toml", 9, "json.J"),
        ("broken.toml", 10, "json.D"),
        ("broken.toml", 12, 'files."../up.json"'),
        ("bytes.toml", None, ""),
        ("thief.toml", None, "commands"),
    }
    assert [one.line for one in problems if one.file.endswith("syntax.toml")] == [2]
    assert all(one.what and one.remedy for one in problems)


def test_our_own_data_keeps_its_promises() -> None:
    assert {"claude", "codex", "opencode", "gemini", "aider", "llm", USUAL} <= set(OURS)
    for name, tool in OURS.items():
        if name == USUAL:
            assert not tool.commands
            continue
        assert tool.commands, name
        assert tool.dialect, name
        assert tool.by_hand, name
        assert tool.by_hand.replace("\n", "").isprintable(), name


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
TREES = st.dictionaries(st.text(), JSON, max_size=4)


@given(TREES, TREES)
def test_merging_twice_changes_nothing_and_loses_no_key(
    own: dict[str, Any], more: dict[str, Any]
) -> None:
    tool = Tool(title="T", json={"V": more})
    once = outfit([tool], URL, "/f", {"V": json.dumps(own)}).env["V"]
    assert outfit([tool], URL, "/f", {"V": once}).env["V"] == once
    found = json.loads(once)
    assert set(found) == set(own) | set(more)
    assert all(found[key] == value for key, value in own.items() if key not in more)


@given(st.text(max_size=300))
def test_whatever_a_file_holds_it_is_read_or_refused(text: str) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "x.toml"
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            assert tools._tool(file).title
        except ConfigError as error:
            problems = error.problems
            assert problems and all(one.what and one.remedy for one in problems)  # noqa: PT018
