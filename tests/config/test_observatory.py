"""The `[observatory]` table: what is watched, how often, and what is wrong with it, all at once."""

from __future__ import annotations

import pytest
from tests.config.checking import problem

from holdfast.config.observatory import Observatory
from holdfast.config.read import parse
from holdfast.facts.network import PortalCheck, References

SIM = "[providers.sim]\n[observatory]\n"


def read(text: str) -> Observatory:
    return parse(SIM + text, {}).observatory


def test_without_the_table_everything_is_watched_politely() -> None:
    found = parse("[providers.sim]", {}).observatory
    assert found == Observatory()
    assert found.probes
    assert found.pages_every_s >= 300
    assert found.references == References()


def test_everything_can_be_set() -> None:
    found = read(
        "probes = false\nwatch = false\npages = false\nfree_probes_per_day = 10\n"
        "paid_probes_per_day = 0\npages_every_s = 1800\n"
        'references = ["https://example.org/"]\npeers = ["http://10.0.0.7:4141/"]\n'
        '[[observatory.portals]]\nurl = "http://example.org/204"\nstatus = 204\n'
    )
    assert found == Observatory(
        probes=False,
        watch=False,
        pages=False,
        free_probes_per_day=10,
        paid_probes_per_day=0,
        pages_every_s=1800,
        references=References(
            hosts=("https://example.org",), portals=(PortalCheck("http://example.org/204", 204),)
        ),
        peers=("http://10.0.0.7:4141",),
    )


def test_an_empty_list_of_references_asks_nobody() -> None:
    assert read("references = []").references.hosts == ()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("pages_every_s = 60", "must be between 300"),
        ('references = ["http://example.org"]', "is not https"),
        ('peers = ["ftp://a"]', "must start with http"),
        ("probes = 1", "must be true or false"),
        ("probe = true", "is not a key"),
        ('[[observatory.portals]]\nurl = "https://a.example"', "is not plain http"),
        ("[[observatory.portals]]\nstatus = 204", "is missing"),
        (f"peers = {[f'http://h{n}' for n in range(21)]}".replace("'", '"'), "more than 20"),
    ],
)
def test_each_fault_is_named(text: str, what: str) -> None:
    found = problem(SIM + text)
    assert what in found.what
    assert found.key.startswith("observatory")
    assert found.remedy
