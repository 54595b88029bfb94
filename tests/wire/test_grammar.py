"""Tables of grammars: where a kind may stand, and what leads there."""

from __future__ import annotations

import pytest

from holdfast.wire.anthropic import mend as anthropic_mend
from holdfast.wire.deltas import GRAMMAR
from holdfast.wire.grammar import Table
from holdfast.wire.openai import mend as openai_mend
from holdfast.wire.responses import mend as responses_mend

DOOR: Table[str, str] = Table(
    {
        "shut": {"open": "ajar"},
        "ajar": {"push": "wide", "shut": "shut", "look": "ajar"},
        "wide": {"walk": "wide", "shut": "shut"},
    },
    added=("open", "push", "shut"),
)


def test_a_kind_stands_where_its_row_has_it() -> None:
    assert DOOR.after("wide", "walk") == "wide"
    assert DOOR.after("shut", "walk") is None


@pytest.mark.parametrize(
    ("state", "kind", "way"),
    [
        ("wide", "walk", ()),
        ("shut", "walk", ("open", "push")),
        ("wide", "look", ("shut", "open")),
        ("shut", "fly", None),
    ],
)
def test_the_way_is_the_shortest_of_what_may_be_added(state, kind, way) -> None:
    assert DOOR.way(state, kind) == DOOR.way(state, kind) == way


def test_what_may_not_be_added_is_no_way() -> None:
    table: Table[str, str] = Table(DOOR.rows, added=("push",))
    assert table.way("shut", "walk") is None


TABLES = {
    "neutral": GRAMMAR,
    "anthropic": anthropic_mend.GRAMMAR,
    "openai": openai_mend.GRAMMAR,
    "responses: message": responses_mend.MESSAGE,
    "responses: other": responses_mend.OTHER,
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_state_is_reached_and_only_one_is_the_end(table) -> None:
    """And whatever may be added stands somewhere."""
    reached = {"start"} | {to for row in table.rows.values() for to in row.values()}
    assert reached == set(table.rows)
    assert len([state for state, row in table.rows.items() if not row]) == 1
    assert set(table.added) <= table.kinds
