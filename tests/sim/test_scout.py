"""Invented probes: what each behaviour of a provider shows to a small question."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.probing import Params, Probe, Probing, Way
from holdfast.facts.places import Route
from holdfast.sim.client import Asking
from holdfast.sim.faults import BEHAVIOURS
from holdfast.sim.provider import SimProvider
from holdfast.sim.scout import PATIENCE_S, asked_by, read
from holdfast.sim.timeline import Span, Timeline
from holdfast.sim.world import World, invented_place

DOWN_S, UP_S = 3600.0, 7200.0


def probe(way: Way) -> Probe:
    surface = "messages" if way == "generation" else way
    return Probe(way=way, provider="p", surface=surface, model="m", dialect="anthropic")


def found(way: Way, fault: str | None) -> tuple[bool, str]:
    spans = (Span(from_s=0, until_s=10, fault=fault),) if fault else ()
    sim, asked = SimProvider(1, Timeline(spans), name="p"), probe(way)
    script = sim.answer(1.0, "anthropic", asked.surface, "m", asked_by(asked).body, "", 1)
    told = read(script, asked, 0.02)
    return told.failure is None, "" if told.failure is None else told.failure.kind


@pytest.mark.parametrize("way", ["models", "count_tokens", "generation"])
def test_a_provider_that_is_well_is_seen_to_be(way: Way) -> None:
    assert found(way, None) == (True, "")


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("refuse", "refused"), ("blackhole", "connect_timeout"), ("overloaded", "status")],
)
@pytest.mark.parametrize("way", ["models", "count_tokens", "generation"])
def test_one_that_is_not_is_seen_not_to_be(way: Way, fault: str, kind: str) -> None:
    assert found(way, fault) == (False, kind)


@given(st.sampled_from(sorted(BEHAVIOURS)), st.sampled_from(["models", "generation"]))
def test_every_behaviour_comes_to_an_end(fault: str, way: Way) -> None:
    sim, asked = SimProvider(1, Timeline((Span(from_s=0, until_s=9, fault=fault),))), probe(way)
    script = sim.answer(1.0, "anthropic", asked.surface, "m", asked_by(asked).body, "", 1)
    assert 0 < read(script, asked, 0.02).took_s <= 10 * PATIENCE_S


def day(seed: int, *, probes: bool, until_s: float = 10_800.0) -> World:
    """Three quiet hours with four calls in each; the second is an outage."""
    timeline = Timeline((Span(from_s=DOWN_S, until_s=UP_S, fault="error"),))
    places = {
        "p": invented_place("p", SimProvider(seed, timeline, name="p"), ("anthropic",)),
        "q": invented_place("q", SimProvider(seed, name="q"), ("anthropic",)),
    }
    asking = Probing(Params(sim=True)) if probes else None
    there = World(seed, places, (Route("m", ("p/*", "q/*")),), probing=asking)
    there.run([Asking(at_s=60 + 900.0 * n, model="m", words=f"{n}") for n in range(12)], until_s)
    return there


def test_probes_find_an_outage_and_its_end_where_traffic_is_thin() -> None:
    there = day(1, probes=True)
    opened = [event.at for event in there.events if event.event == "opened"]
    (incident,) = [one for one in there.incidents.view() if one.opened is not None]
    began = there.wall() - there.now_s + DOWN_S
    assert len(opened) == 1
    assert 0 < opened[0] - began < 600
    assert incident.back is not None
    assert 0 <= incident.back - (began + UP_S - DOWN_S) < 600
    alone = [event.at for event in day(1, probes=False).events if event.event == "opened"]
    assert not alone or alone[0] > opened[0] + 300


def test_with_probes_the_same_seed_gives_the_same_trace() -> None:
    first, again, other = (day(seed, probes=True, until_s=4000.0) for seed in (3, 3, 4))
    assert first.trace.digest == again.trace.digest
    assert first.trace.digest != other.trace.digest
