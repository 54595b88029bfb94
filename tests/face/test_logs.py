"""`holdfast logs`: the calls with their attempts, from the ledger alone."""

from __future__ import annotations

import json
from pathlib import Path

from tests.face.test_line import run
from tests.store.records import exchange, intent, settled

from holdfast.store.ledger import Ledger


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
