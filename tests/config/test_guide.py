"""The guide for users says what is true: its example is read, and no key is missing from it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from tests.config.checking import KNOWN

from holdfast.config import addresses
from holdfast.config.keys import FORMS, resolve
from holdfast.config.lines import Lines
from holdfast.config.notify import notify
from holdfast.config.observatory import Observatory
from holdfast.config.provide import DIALECTS, provider
from holdfast.config.read import GatewayConfig, default_path, parse
from holdfast.config.tables import Sheet, Table
from holdfast.core.telling import Entry, Message
from holdfast.facts.places import Limits, ModelFacts, Route

FOLDER = Path(__file__).parents[2] / "docs" / "guide"
GUIDE = (FOLDER / "configuration.md").read_text(encoding="utf-8")
NOTIFICATIONS = (FOLDER / "notifications.md").read_text(encoding="utf-8")


def test_the_example_is_read_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".keys").mkdir()
    (tmp_path / ".keys" / "openai").write_text("k")
    (tmp_path / ".keys" / "openai").chmod(0o600)
    # Nobody's password manager is asked.
    example = example.replace("command:pass show work/llm", f"command:{sys.executable} -c print(1)")
    config = parse(example, {"ANTHROPIC_API_KEY": "k"}, entries=KNOWN)
    assert len(config.providers) == 5
    assert config.notices == ()


def test_every_key_stands_in_the_guide() -> None:
    """Those of a provider are learnt by asking: whatever its table looks at."""
    table = Table(Sheet("x", Lines("")), ("providers", "x"), {})
    provider("x", table, KNOWN, {}, {})
    keys = {*table._asked, *GatewayConfig.__struct_fields__, *Limits.__struct_fields__}
    keys |= {*ModelFacts.__struct_fields__, *Route.__struct_fields__} - {"models"}
    keys |= {*Observatory.__struct_fields__}
    missing = {key for key in keys if f"`{key}`" not in GUIDE} - {"models"}
    assert missing == set()
    assert "[[providers.NAME.models]]" in GUIDE


def test_every_key_of_notify_stands_in_the_guide() -> None:
    """Learnt by asking, too: each list has one table, which is empty."""
    lists: dict[str, object] = {name: [{}] for name in ("webhooks", "apprise", "commands")}
    text = "[notify]\n" + "".join(f"[[notify.{name}]]\n" for name in lists)
    asked: set[str] = set()

    class Asked(Table):
        def _ask(self, key: str, kinds: type | tuple[type, ...], words: str) -> object:
            asked.add(key)
            return super()._ask(key, kinds, words)

        def tables(self, key: str) -> list[Table]:
            return [Asked(each.sheet, each.where, each._raw) for each in super().tables(key)]

    notify(Asked(Sheet("x", Lines(text)), ("notify",), lists), {})
    assert {"quiet_hours", "webhooks", "url", "level", "run"} <= asked
    assert {key for key in asked if f"`{key}`" not in GUIDE} == set()


def test_the_guide_to_notifications_is_read_as_it_stands() -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```", NOTIFICATIONS, re.DOTALL | re.MULTILINE)
    environ = {"HOOK_TOKEN": "t", "TEAM_HOOK": "https://a.example.com/x", "APPRISE_URL": "ntfy://x"}
    found = parse(f"[providers.sim]\n{example}", environ, entries=KNOWN).notify
    assert (len(found.webhooks), len(found.apprise), len(found.commands)) == (2, 1, 1)
    assert found.quiet is not None
    for field in (*Message.__struct_fields__, *Entry.__struct_fields__):
        assert f"`{field}`" in NOTIFICATIONS


def test_the_guide_s_defaults_are_the_defaults() -> None:
    for name in Limits.__struct_fields__:
        assert f"| `{name}` | {getattr(Limits(), name):g} |" in GUIDE
    gateway = GatewayConfig(data_dir=Path("/x"))
    assert f'| `host` | `"{gateway.host}"` |' in GUIDE
    assert f"| `port` | `{gateway.port}` |" in GUIDE
    assert f'| `keys` | `"{gateway.keys}"` |' in GUIDE


def test_names_and_forms_in_the_guide_are_all_there_are() -> None:
    for name in KNOWN:
        assert f"`{name}`" in GUIDE
    for dialect in DIALECTS:
        assert f'`"{dialect}"`' in GUIDE
    for form in FORMS.replace(" or ", ", ").split(", "):
        assert f"| `{form}` |" in GUIDE
    assert resolve("none", {}) is None
    assert default_path().parts[-2:] == ("holdfast", "config.toml")
    assert addresses.base_url("https://llm.example.com/team/v1") == "https://llm.example.com/team"
