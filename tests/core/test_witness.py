"""What pages, peers and the way out say, and for how much it counts."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.witness import PAGE_TIMES, PEER_TIMES, PEERS_COUNTED, Way, Witness
from holdfast.facts.observations import Observation
from holdfast.facts.pages import PageClaim, PageComponent, PageIncident


def page(state: str, wall: float = 0.0, **claims: object) -> Observation:
    claim = PageClaim(state=state, **claims)  # type: ignore[arg-type]
    return Observation(at=wall, wall=wall, kind="status_page", page=claim)


def peer(name: str, wall: float, *, ok: bool = False) -> Observation:
    return Observation(at=wall, wall=wall, kind="peer", surface="messages", peer=name, ok=ok)


def test_the_first_reading_of_a_trouble_is_remembered() -> None:
    witness = Witness()
    for wall, state in enumerate(("operational", "incident", "unreadable", "incident")):
        witness.read(page(state, float(wall)))
    assert witness.said == 1.0
    witness.read(page("operational", 9.0))
    assert witness.said is None


def test_unreadable_neither_admits_nor_denies() -> None:
    witness = Witness()
    witness.read(page("incident"))
    witness.read(page("unreadable"))
    assert not witness.admits(("messages",))
    assert witness.times(("messages",), 0.0, 0.0) == 1.0


def test_a_component_that_vanished_is_not_well() -> None:
    witness = Witness()
    fine = PageComponent(id="1", name="chat", status="operational", surface="chat")
    witness.read(page("incident", components=(fine,)))
    assert witness.admits(("messages",))
    assert not witness.admits(("chat",))


def test_the_beginning_it_claims_is_of_what_is_still_open() -> None:
    witness = Witness()
    over = PageIncident(id="1", name="x", stage="resolved", started_wall=5.0)
    plan = PageIncident(id="2", name="x", stage="maintenance", started_wall=6.0)
    here = PageIncident(id="3", name="x", stage="identified", created_wall=8.0)
    witness.read(page("incident", incidents=(over, plan, here)))
    assert witness.claims_since() == 8.0


def test_an_old_complaint_is_no_corroboration() -> None:
    witness = Witness()
    for wall in range(0, 3600, 60):
        witness.heard(peer("liar", float(wall)))
    assert witness.peers(("messages",), 3540.0, 3540.0) == 0
    witness.heard(peer("friend", 3500.0))
    assert witness.peers(("messages",), 3540.0, 3540.0) == 1
    assert witness.peers(("chat",), 3540.0, 3540.0) == 0


def test_a_complaint_ends_with_good_news() -> None:
    witness = Witness()
    witness.heard(peer("x", 1.0))
    for wall in (2.0, 3.0):
        witness.heard(peer("x", wall, ok=True))
    assert witness.peers(("messages",), 0.0, 4.0) == 0


@settings(max_examples=40)
@given(st.lists(st.tuples(st.text(max_size=3), st.floats(0, 1e4), st.booleans()), max_size=80))
def test_no_crowd_of_peers_weighs_more_than_two(told: list[tuple[str, float, bool]]) -> None:
    witness = Witness()
    for name, wall, ok in told:
        witness.heard(peer(name, wall, ok=ok))
    most = PEER_TIMES**PEERS_COUNTED * PAGE_TIMES
    assert 1.0 <= witness.times(("messages",), 0.0, 0.0) <= most


def test_two_out_of_reach_and_none_reached_is_the_way() -> None:
    way = Way()
    way.missed("a", 10.0)
    assert not way.down(10.0)
    way.missed("b", 20.0)
    assert way.down(20.0)
    assert way.since(20.0) == 10.0
    way.reached("c", 25.0)
    assert not way.down(25.0)
    way.missed("a", 30.0)
    way.missed("b", 300.0)
    assert not way.down(300.0)


def test_a_look_holds_for_a_while_and_an_answer_disproves_it() -> None:
    way = Way()
    way.looked(0.0, ok=False)
    assert way.down(10.0)
    assert not way.down(10.0 + Way.LOOK_HOLDS_S)
    way.looked(1000.0, ok=False)
    way.missed("a", 1001.0)
    way.reached("a", 1002.0)
    assert not way.down(1003.0)
