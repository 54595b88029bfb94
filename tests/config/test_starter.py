"""The file to begin with says what was found, reads back clean and overwrites nothing."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.config.checking import CANARY, KNOWN

from holdfast.config.read import parse, read
from holdfast.config.starter import Found, default, look_around, starter, write_starter
from holdfast.facts.engines import Engine, Marks
from holdfast.facts.places import Limits, Route

OLLAMA = Engine(
    provider="ollama",
    base_url="http://127.0.0.1:11434",
    models=("nomic-embed-text:latest", "llama3.2:3b", "qwen3-coder:30b"),
)
LLAMACPP = Engine(
    provider="llamacpp", base_url="http://[::1]:8080", models=("m.gguf",), context_tokens=65_536
)
CLOUDS = {"ANTHROPIC_API_KEY": CANARY, "OPENAI_API_KEY": f"{CANARY}2"}


def around(environ: Mapping[str, str], *engines: Engine) -> Found:
    def probe(marks: Mapping[str, Marks], _: Mapping[str, str]) -> Sequence[Engine]:
        assert set(marks) == {name for name, entry in KNOWN.items() if entry.engine}
        return engines

    return look_around(environ, probe, KNOWN)


def routes(found: Found, environ: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    return {route.model: route.targets for route in default(found, environ).routes}


def test_with_nothing_found_the_simulator_answers_and_the_rest_is_explained() -> None:
    found = around({})
    text = starter(found)
    config = parse(text, {}, entries=KNOWN)
    assert list(config.providers) == ["sim"]
    assert config.routes == (Route("sim/*", ("sim/*",)),)
    assert config.limits == Limits()
    assert config.notices == ()
    assert '# key = "env:ANTHROPIC_API_KEY"   # or "client"' in text
    assert found.describe() == []


def test_keys_and_engines_that_were_found_stand_in_for_each_other() -> None:
    found = around(CLOUDS, OLLAMA)
    config = default(found, CLOUDS)
    assert list(config.providers) == ["anthropic", "openai", "ollama", "sim"]
    assert routes(found, CLOUDS)["claude-*"] == (
        "anthropic/*",
        f"openai/{KNOWN['openai'].stand_in}",
        "ollama/qwen3-coder:30b",
    )
    assert routes(found, CLOUDS)["gpt-*"] == (
        "openai/*",
        f"anthropic/{KNOWN['anthropic'].stand_in}",
        "ollama/qwen3-coder:30b",
    )
    assert config.notices == ()


def test_what_was_found_is_told_by_names_and_never_by_the_key() -> None:
    found = around(CLOUDS, OLLAMA, LLAMACPP)
    said = "\n".join(found.describe())
    assert "Anthropic: key in $ANTHROPIC_API_KEY" in said
    assert "Ollama: running at http://127.0.0.1:11434, 3 models" in said
    assert "llama.cpp: running at http://[::1]:8080, 1 model" in said
    assert CANARY not in said + starter(found)


def test_a_key_that_cannot_be_used_is_passed_over_and_said() -> None:
    token = "sk-ant-oat01-" + "x" * 40
    environ = {"ANTHROPIC_API_KEY": token, "GEMINI_API_KEY": "a b", "GOOGLE_API_KEY": CANARY}
    found = around(environ)
    assert found.clouds == (("gemini", "GOOGLE_API_KEY"),)
    said = "\n".join(found.passed_over)
    assert "$ANTHROPIC_API_KEY is set but not used: it is a subscription" in said
    assert "$GEMINI_API_KEY is set but not used" in said
    text = starter(found)
    assert token not in text
    assert "$ANTHROPIC_API_KEY is set but not used" in text


def test_a_usable_second_variable_is_the_one_that_the_file_names() -> None:
    """Gemini's own variable is broken here: the file must not lean on it."""
    environ = {"GEMINI_API_KEY": "a b", "GOOGLE_API_KEY": CANARY}
    config = default(around(environ), environ)
    assert config.providers["gemini"].key == "env:GOOGLE_API_KEY"


def test_two_engines_of_a_kind_get_two_names() -> None:
    second = Engine(provider="ollama", base_url="http://127.0.0.1:11435", models=("a",))
    config = default(around({}, OLLAMA, second), {})
    assert list(config.providers) == ["ollama", "ollama-2", "sim"]
    assert config.providers["ollama-2"].base_url == "http://127.0.0.1:11435"
    assert config.providers["ollama-2"].serves == ("a",)


def test_a_window_that_the_engine_tells_is_written_down_and_else_asked_for() -> None:
    config = default(around({}, LLAMACPP), {})
    assert config.providers["llamacpp"].models[0].context_tokens == 65_536
    assert "# context_tokens = 65536" in starter(around({}, OLLAMA))


def test_an_engine_with_no_model_to_talk_with_stands_in_for_nobody() -> None:
    embedder = Engine(provider="ollama", base_url="http://127.0.0.1:11434", models=("bge-m3",))
    found = around(CLOUDS, embedder)
    assert not any("ollama" in target for row in routes(found, CLOUDS).values() for target in row)


def test_each_example_in_the_comments_works_when_its_mark_is_taken_away() -> None:
    lines = starter(around({})).splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("# Not found"))
    shown = [
        line.removeprefix("# ")
        if line.startswith(("# [", "# key", "# model", "# targets"))
        else line
        for line in lines[start:]
    ]
    environ = {"ANTHROPIC_API_KEY": "k", "OPENAI_API_KEY": "k"}
    config = parse("\n".join([*lines[:start], *shown]), environ, entries=KNOWN)
    assert {"anthropic", "openai", "sim"} <= set(config.providers)
    assert config.routes[0].targets == ("anthropic/*",)


names = st.text(min_size=1, max_size=20).filter(lambda name: name.isprintable() and " " not in name)
engines = st.builds(
    Engine,
    provider=st.sampled_from([name for name, entry in KNOWN.items() if entry.engine]),
    base_url=st.integers(1, 65_535).map("http://127.0.0.1:{}".format),
    models=st.lists(names | st.sampled_from(["a*", "[x]", 'q"q', "a\\b", "é", "#"])).map(tuple),
    context_tokens=st.none() | st.integers(1, 10**9),
)
variables = st.sampled_from([name for entry in KNOWN.values() for name in entry.key_env])
contents = st.sampled_from([CANARY, "", "a b", "é", "sk-ant-oat01-" + "x" * 30])


@given(st.dictionaries(variables, contents), st.lists(engines, max_size=4))
def test_whatever_is_found_the_file_reads_back_clean(
    environ: dict[str, str], engines: list[Engine]
) -> None:
    found = around(environ, *engines)
    text = starter(found)
    assert CANARY not in text
    config = parse(text, environ, entries=KNOWN)
    assert set(config.secrets) == {name for name, _ in found.clouds}
    assert len(config.providers) == len(found.clouds) + len(engines) + 1
    assert not [each for each in config.notices if "never reached" in each]
    for engine in engines:
        serving = [p for p in config.providers.values() if p.base_url == engine.base_url]
        assert serving
        assert len(serving[0].serves) == len(engine.models) or len(serving) > 1


# ------------------------------------------------------------ writing it down


def inside(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()]


def test_the_file_is_for_its_owner_alone_and_so_is_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "config" / "holdfast" / "config.toml"
    text = starter(around({}, OLLAMA))
    umask = os.umask(0)
    try:
        assert write_starter(path, text)
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.parent.parent.stat().st_mode) == 0o700
    assert path.read_text(encoding="utf-8") == text
    assert read(path, {}, KNOWN).source == path
    assert inside(path.parent) == ["config.toml"]


def test_a_file_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("mine")
    path.chmod(0o644)
    assert not write_starter(path, "theirs")
    assert path.read_text() == "mine"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert inside(tmp_path) == ["config.toml"]


def test_a_link_that_leads_nowhere_is_somebody_s_file_too(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.symlink_to(tmp_path / "elsewhere")
    assert not write_starter(path, "text")
    assert inside(tmp_path) == ["config.toml"]


def test_where_links_are_missing_the_file_is_still_whole_and_never_over_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise OSError(95, os.strerror(95))

    monkeypatch.setattr(os, "link", no_links)
    path = tmp_path / "config.toml"
    assert write_starter(path, "first")
    assert not write_starter(path, "second")
    assert path.read_text() == "first"
    assert inside(tmp_path) == ["config.toml"]


def test_a_place_where_nothing_can_be_written_is_an_error_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    (tmp_path / "plain").write_text("")
    with pytest.raises(OSError, match="Not a directory"):
        write_starter(tmp_path / "plain" / "config.toml", "text")
    assert inside(tmp_path) == ["plain"]


def test_of_several_who_write_at_once_one_wins_and_its_file_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "config.toml"
    texts = [str(n) * 50_000 for n in range(8)]
    won: list[bool] = [False] * 8
    gate = threading.Barrier(8)

    def write(n: int) -> None:
        gate.wait()
        won[n] = write_starter(path, texts[n])

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won.count(True) == 1
    assert path.read_text() == texts[won.index(True)]
    assert inside(path.parent) == ["config.toml"]
