"""Every story in invented time."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.stories.laws import broken_laws, replays
from tests.stories.tellings import TELLINGS, Night, Telling, nothing_amiss

from holdfast.facts.places import ModelFacts
from holdfast.sim.provider import SimProvider
from holdfast.sim.world import World, invented_place

AFTERMATH_S = 700.0


def places(telling: Telling) -> dict:
    return {
        house.name: invented_place(
            house.name,
            SimProvider(1, house.timeline, name=house.name, pace=house.pace),
            house.dialects,
            models=(ModelFacts(model="*", context_tokens=house.window),) if house.window else (),
        )
        for house in telling.houses
    }


@pytest.mark.parametrize("telling", TELLINGS, ids=lambda telling: telling.name)
def test_the_promise_is_kept_in_invented_time(telling: Telling, tmp_path: Path) -> None:
    """The same promises as on real sockets; the world's own laws hold besides."""
    world = World(1, places(telling), telling.all_routes, limits=telling.limits)
    end_s = max(asking.at_s for asking in telling.asks) + AFTERMATH_S
    trace = world.run(telling.asks, end_s)
    assert broken_laws(world, trace) == []
    night = Night(
        told=sorted(trace.told, key=lambda told: told.at_s),
        saw=trace.saw,
        written={id_: trace.settled[id_].outcome for id_ in trace.intents},
        journal=world.journal,
        incidents=world.incidents.view(),
    )
    nothing_amiss(night)
    telling.check(night)
    replays(night, tmp_path)
