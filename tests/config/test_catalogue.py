"""What is known of the providers is data: one file each, and a new one touches nothing else."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import get_args

import pytest
from tests.config.checking import KNOWN

from holdfast.config import addresses
from holdfast.config.catalogue import catalogue, known_as
from holdfast.config.keys import resolve
from holdfast.config.provide import DIALECTS
from holdfast.config.read import parse
from holdfast.core.route import COUNTING, counts_in, known
from holdfast.facts.pages import PageSource
from holdfast.facts.places import Surface
from holdfast.wire.pages.claim import About

MADE_UP = """\
title = "Made Up"
dialects = ["openai"]
base_url = "https://api.made-up.example"
rank = 15
key_env = ["MADE_UP_KEY"]
serves = ["mu-*"]
chats = ["mu-*"]
stand_in = "mu-large"
[[models]]
model = "mu-*"
context_tokens = 64_000
"""


def test_a_new_provider_is_one_new_file(tmp_path: Path) -> None:
    (tmp_path / "madeup.toml").write_text(MADE_UP)
    (tmp_path / "notes.txt").write_text("not data")
    entries = catalogue([tmp_path])
    assert list(entries) == ["madeup"]
    config = parse("[providers.madeup]", {"MADE_UP_KEY": "k"}, entries=entries)
    found = config.providers["madeup"]
    assert found.base_url == "https://api.made-up.example"
    assert found.key == "env:MADE_UP_KEY"
    assert found.models[0].context_tokens == 64_000


def test_entries_stand_in_order_of_rank_and_a_later_folder_overrides(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    for folder, title in ((first, "One"), (second, "Two")):
        folder.mkdir()
        (folder / "b.toml").write_text(MADE_UP.replace("Made Up", title))
    (first / "a.toml").write_text(MADE_UP.replace("rank = 15", "rank = 20"))
    entries = catalogue([first, second])
    assert list(entries) == ["b", "a"]
    assert entries["b"].title == "Two"


def test_who_counts_tokens_does_it_in_a_dialect_that_it_speaks_and_that_has_a_way() -> None:
    for name, entry in catalogue().items():
        assert set(entry.counts or ()) <= set(entry.dialects) & COUNTING, name
    found = parse("[providers.ollama]\n[providers.vllm]", {}).providers
    assert counts_in(found["ollama"], "anthropic") is None
    assert counts_in(found["vllm"], "openai-responses") == "anthropic"


@pytest.mark.parametrize(
    "text",
    [
        "title = ",
        MADE_UP.replace("rank", "rnak"),
        MADE_UP.replace('["openai"]', '["klingon"]'),
        MADE_UP.replace("64_000", '"many"'),
        MADE_UP.replace('title = "Made Up"\n', ""),
    ],
    ids=["syntax", "unknown field", "unknown dialect", "wrong type", "missing"],
)
def test_wrong_data_is_refused_with_the_file_s_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "madeup.toml").write_text(text)
    with pytest.raises(ValueError, match=r"provider data madeup\.toml: "):
        catalogue([tmp_path])


def test_a_cloud_is_known_by_its_address_too_and_an_engine_by_its_name_alone() -> None:
    for name, entry in KNOWN.items():
        assert known_as(KNOWN, name, None) is entry
        found = known_as(KNOWN, "mine", entry.base_url)
        assert found is (entry if entry.kind == "cloud" else None)
    assert known_as(KNOWN, "mine", None) is None


def test_our_own_data_keeps_its_promises() -> None:
    """Addresses as `Provider` wants them, globs in order, stand-ins that are served."""
    assert {"anthropic", "openai", "gemini", "ollama", "llamacpp", "sim"} <= set(KNOWN)
    for name, entry in KNOWN.items():
        assert entry.dialects, name
        assert set(entry.dialects) <= set(DIALECTS)
        if entry.kind == "cloud":
            assert addresses.base_url(entry.base_url) == entry.base_url
            assert entry.base_url.startswith("https://")
            assert entry.key_env, name
            assert entry.serves, name
            if entry.status_page is not None:
                addresses.base_url(entry.status_page)
        assert set(entry.chats) <= set(entry.serves), name
        if entry.stand_in:
            assert any(fnmatchcase(entry.stand_in, glob) for glob in entry.serves), name
        for variable in entry.key_env:
            assert resolve(f"env:{variable}", {variable: "k"}) is not None


def test_no_two_providers_share_a_variable() -> None:
    """A key goes to one host; whom it belongs to must not depend on who is asked first."""
    variables = [variable for entry in KNOWN.values() for variable in entry.key_env]
    assert len(set(variables)) == len(variables)


def test_no_row_of_models_says_only_what_a_wider_one_before_it_has_said() -> None:
    for name, entry in KNOWN.items():
        for number, row in enumerate(entry.models):
            fields = row.__struct_fields__[1:]
            said = {field for field in fields if getattr(row, field) is not None}
            for wider in entry.models[:number]:
                if fnmatchcase(row.model, wider.model):
                    said -= {field for field in fields if getattr(wider, field) is not None}
            assert said or name == "sim", (name, row.model)


def test_engines_are_local_and_can_be_recognised() -> None:
    for name, entry in KNOWN.items():
        if entry.engine is None:
            assert entry.kind != "local", name
            continue
        marks = entry.engine
        assert entry.kind == "local", name
        assert addresses.is_loopback(addresses.host_of(entry.base_url))
        assert marks.ports
        assert marks.path.startswith("/")
        assert marks.models_path.startswith("/")
        assert bool(marks.says) != bool(marks.field), name


def test_status_pages_are_read_over_tls_and_have_a_page_for_people() -> None:
    for name, entry in KNOWN.items():
        assert bool(entry.status) == bool(entry.status_page), name
        if entry.status is None:
            continue
        assert entry.status.urls, name
        assert all(url.startswith("https://") for url in entry.status.urls), name
        # The first that fits speaks, so exact ids stand before globs.
        globs = [("*" in key or "?" in key) for key in entry.status.components]
        assert globs == sorted(globs), name


def test_a_component_of_a_known_page_is_a_surface_of_ours() -> None:
    about = About(KNOWN["anthropic"].status or PageSource(), 0.0)
    assert about.surface("k8w3r06qmzrp", "Claude API (api.anthropic.com)") == "messages"
    assert about.surface("new", "Claude API") == "messages"
    assert about.surface("new", "Claude Console (platform.claude.com)") == "console"
    assert about.surface("new", "Something else") == ""


def test_what_is_watched_is_a_page_of_its_own_and_no_surface_that_is_routed() -> None:
    routed = set(get_args(Surface))
    for name, entry in KNOWN.items():
        assert entry.kind == "cloud" or not entry.watch, name
        for surface, url in entry.watch.items():
            assert surface.isidentifier(), (name, surface)
            assert surface not in routed, (name, surface)
            addresses.base_url(url)
            assert url.startswith("https://")
    assert set(KNOWN["anthropic"].watch) == set(KNOWN["openai"].watch)


@pytest.mark.parametrize(
    ("provider", "model", "output", "thinks", "refuses"),
    [
        ("anthropic", "claude-opus-5-5", 128_000, "unasked adaptive effort", "forced_tools"),
        ("anthropic", "claude-opus-5", 128_000, "unasked adaptive effort off", "temperature"),
        ("anthropic", "claude-sonnet-4-6", 128_000, "adaptive budget effort off", "prefill"),
        ("anthropic", "claude-haiku-4-5-20251001", 64_000, "budget off", "temperature_with_top_p"),
        ("anthropic", "claude-3-haiku-20240307", 4_096, "", "system_turns"),
        ("openai", "gpt-6.1-terra", 128_000, "unasked effort off", "max_tokens"),
        ("openai", "gpt-5", 128_000, "unasked effort", "stop"),
        ("openai", "o3", 100_000, "unasked effort", "parallel_tool_calls"),
        ("openai", "gpt-4o-mini", 16_384, None, "verbosity"),
        ("gemini", "gemini-3.8-flash", 65_536, "unasked adaptive effort", "top_k"),
        ("gemini", "gemini-2.5-flash", 65_536, "unasked adaptive budget off", "form_with_tools"),
        ("mistral", "mistral-large-latest", None, None, "max_completion_tokens"),
    ],
)
def test_what_is_known_of_a_model_is_put_together_of_its_rows(
    provider: str, model: str, output: int | None, thinks: str | None, refuses: str
) -> None:
    found = known(KNOWN[provider].models, model)
    assert found is not None
    assert found.output_tokens == output
    assert found.thinks == (None if thinks is None else tuple(thinks.split()))
    assert refuses in (found.refuses or ())
