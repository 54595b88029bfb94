"""Credentials come from where they are said to be, and never show themselves."""

from __future__ import annotations

import copy
import pickle
import sys
import time
import types
from pathlib import Path

import pytest

from holdfast.config import keys
from holdfast.config.keys import KeySourceError, Secret, origin, resolve

CANARY = "sk-canary-3141592653589793238462"


def test_a_secret_does_not_show_itself() -> None:
    secret = Secret(CANARY)
    shown = f"{secret} {secret!r} {secret:>40} {[secret]}"
    assert CANARY not in shown
    assert secret.reveal() == CANARY
    assert not hasattr(secret, "__dict__")


def test_a_secret_is_neither_pickled_nor_copied() -> None:
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="secret"):
            leave(Secret(CANARY))


def test_secrets_are_compared_by_value() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert Secret("a") != "a"


def test_none_and_client_are_no_secret() -> None:
    assert resolve("none", {}) is None
    assert resolve("client", {}) is None


def test_every_source_gives_the_key_without_blanks_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "key"
    file.write_text(f"  {CANARY}\r\n")
    monkeypatch.setitem(sys.modules, "keyring", fake_keyring({("holdfast", "work"): CANARY}))
    monkeypatch.setitem(sys.modules, "keyring.errors", fake_errors())
    printer = f"{sys.executable} -c 'print(\"{CANARY}\")'"
    for reference in ("env:KEY", f"file:{file}", "keyring:work", f"command:{printer}"):
        secret = resolve(reference, {"KEY": f" {CANARY} "})
        assert secret is not None
        assert secret.reveal() == CANARY, reference


def fake_keyring(entries: dict[tuple[str, str], str]) -> types.ModuleType:
    module = types.ModuleType("keyring")
    module.get_password = lambda service, name: entries.get((service, name))
    return module


def fake_errors() -> types.ModuleType:
    module = types.ModuleType("keyring.errors")
    module.KeyringError = type("KeyringError", (Exception,), {})
    return module


def test_a_file_in_the_home_directory_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "key").write_text(CANARY)
    secret = resolve("file:~/key", {})
    assert secret is not None
    assert secret.reveal() == CANARY


def bad_references(folder: Path) -> dict[str, str]:
    """Reference → what must stand in the message."""
    (folder / "empty").write_text("\n")
    (folder / "two").write_text(f"{CANARY}\n{CANARY}\n")
    (folder / "bytes").write_bytes(b"\xff\xfe\x00")
    (folder / "huge").write_text("k" * 20_000)
    python = sys.executable
    return {
        CANARY: "not a reference",
        f"sk:{CANARY}": "not a reference",
        "env:": "not a reference",
        f"env:{CANARY}": "not set",
        "env:ABSENT": "ABSENT is not set",
        "env:BLANK": "variable BLANK is empty",
        "env:UMLAUT": "characters",
        f"file:{folder}/absent": "does not exist",
        f"file:{folder}": "cannot be read",
        f"file:{folder}/empty": "empty",
        f"file:{folder}/two": "one line",
        f"file:{folder}/bytes": "not text",
        f"file:{folder}/huge": "characters",
        "file:key": "relative",
        "file:/a\0b": "cannot be read",
        "command:'": "unclosed quote",
        "command:''": "cannot be started",
        "command:no-such-command-here": "cannot be started",
        f"command:{python} -c 'import sys; print(\"{CANARY}\"); sys.exit(3)'": "status 3",
        f"command:{python} -c 'pass'": "empty",
        f"command:{python} -c 'print(\"{CANARY}\\n{CANARY}\")'": "one line",
    }


def test_a_reference_that_gives_no_key_says_why_and_what_to_do(tmp_path: Path) -> None:
    """And never repeats the key, not even one that was pasted in place of the reference."""
    environ = {"BLANK": "  ", "UMLAUT": f"{CANARY}ä", "PATH": "/usr/bin:/bin"}
    for reference, expected in bad_references(tmp_path).items():
        with pytest.raises(KeySourceError) as caught:
            resolve(reference, environ)
        assert expected in str(caught.value), reference
        assert caught.value.remedy
        assert CANARY not in str(caught.value)


def test_a_keyring_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(KeySourceError, match=r"-m pip install keyring"):
        resolve("keyring:work", {})


def test_a_keyring_that_is_locked_or_empty_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = fake_errors()
    keyring = fake_keyring({})
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)
    with pytest.raises(KeySourceError, match="no such entry"):
        resolve("keyring:work", {})

    def locked(*_: str) -> str:
        raise errors.KeyringError(CANARY)

    keyring.get_password = locked
    with pytest.raises(KeySourceError, match="cannot be used") as caught:
        resolve("keyring:work", {})
    assert CANARY not in str(caught.value)


def test_a_command_that_hangs_is_ended_with_all_it_has_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its child holds the pipe open, too; waiting for that one would be for ever."""
    monkeypatch.setattr(keys, "COMMAND_LIMIT_S", 0.3)
    script = tmp_path / "hang.sh"
    script.write_text("sleep 60 &\nsleep 60\n")
    began = time.monotonic()
    with pytest.raises(KeySourceError, match="did not end"):
        resolve(f"command:/bin/sh {script}", {"PATH": "/usr/bin:/bin"})
    assert time.monotonic() - began < 20


def test_a_command_goes_through_no_shell(tmp_path: Path) -> None:
    environ = {"PATH": "/usr/bin:/bin", "HOME": "/elsewhere"}
    secret = resolve("command:echo $HOME;$(id)", environ)
    assert secret is not None
    assert secret.reveal() == "$HOME;$(id)"


def test_a_key_file_that_others_can_read_earns_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(CANARY)
    file.chmod(0o644)
    assert "0644" in (keys.notice(f"file:{file}") or "")
    file.chmod(0o600)
    assert keys.notice(f"file:{file}") is None
    assert keys.notice("env:KEY") is None


def test_where_a_key_comes_from_is_told_without_the_commands_words() -> None:
    assert origin("env:KEY") == "key from $KEY"
    assert origin("client") == "the client's own key"
    assert origin("none") == "no key"
    assert origin(f"command:/usr/bin/op read {CANARY}") == "key from the command op …"
