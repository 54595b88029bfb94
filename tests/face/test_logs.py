"""`holdfast logs`: the calls with their attempts, from the ledger alone."""

from __future__ import annotations

import json
from pathlib import Path

from msgspec import structs
from tests.face.test_line import run
from tests.store.records import exchange, intent, settled

from holdfast.store.ledger import Ledger


def test_what_others_wrote_is_shown_as_it_stands(tmp_path: Path) -> None:
    """Names and reasons hold brackets, which are no marks of ours."""
    ledger = Ledger.open(tmp_path / "data")
    odd = {"asked_model": "[/foo] [bold]x", "because": "add a [[routes]]", "served_by": "a/[/INST]"}
    ledger.record(structs.replace(exchange("odd"), **odd))
    ledger.close()
    file = tmp_path / "config.toml"
    data = json.dumps(str(tmp_path / "data"))
    file.write_text(f"[gateway]\ndata_dir = {data}\n[providers.sim]\n")
    for words in (["logs"], ["logs", "odd"]):
        code, shown, err = run([*words, "--config", str(file)], NO_COLOR="1", COLUMNS="200")
        assert (code, err) == (0, "")
        assert odd["asked_model"] in shown
        assert odd["served_by"] in shown
    assert odd["because"] in shown


def test_what_a_target_was_not_told_is_shown(tmp_path: Path) -> None:
    """In the list by its names, of a call in full with the reasons, and to scripts."""
    ledger = Ledger.open(tmp_path / "data")
    lost = ("top_k: this dialect has none", "user: it has no word for who asks")
    for name, losses in (("lossy", lost), ("whole", ())):
        assert ledger.intend(intent(name))
        ledger.settle(settled(name, lost=losses))
        ledger.record(exchange(name))
    ledger.close()
    file = tmp_path / "config.toml"
    data = json.dumps(str(tmp_path / "data"))
    file.write_text(f"[gateway]\ndata_dir = {data}\n[providers.sim]\n")
    more = ["--config", str(file)]
    code, listed, _ = run(["logs", *more], NO_COLOR="1")
    assert code == 0
    assert [line.partition("without ")[2].partition(" ·")[0] for line in listed.splitlines()] == [
        "top_k, user",
        "",
    ]
    code, shown, _ = run(["logs", "lossy", *more], NO_COLOR="1")
    assert "lost on the way there: top_k: this dialect has none" in shown
    code, told, _ = run(["logs", "--json", *more])
    by_name = {line["id"]: line["attempts"][0] for line in json.loads(told)}
    assert by_name["lossy"]["lost"] == list(lost)
    assert by_name["whole"]["lost"] == []
