"""Worlds by chance: providers, faults, weather and clients from one seed."""

from __future__ import annotations

import random

from tests.stories.tellings import SPEAKERS

from holdfast.facts.places import Dialect, Limits, Route, Surface
from holdfast.sim.client import Asking
from holdfast.sim.faults import BEHAVIOURS, Pace
from holdfast.sim.provider import SimProvider
from holdfast.sim.timeline import TALK, Span, Timeline
from holdfast.sim.world import Weather, World, invented_place

TROUBLE_S = 90.0
LENGTH_S = 150.0
END_S = 2000.0
# A trial may have begun just before the trouble ended; then half a minute, at a call a second.
BACK_S = TROUBLE_S + 10.0 + 30.0
FIRST = "alpha"
SPEAKS: tuple[tuple[Dialect, ...], ...] = (
    ("anthropic",),
    ("openai",),
    ("anthropic", "openai"),
    ("openai-responses", "openai"),
    ("gemini",),
)
SIDES: dict[Dialect, Surface] = {"anthropic": "count_tokens", "openai": "embeddings"}
FAULTS = tuple(name for name in BEHAVIOURS if name not in ("steady", "slow"))
# Seconds to the first word and between words; the slowest are heard out just within the limits.
FIRST_S = (0.03, 0.03, 1.2)
WORDS_S = (0.0, 0.02, 0.15)
LIMITS = Limits(connect_s=2.0, headers_s=4.0, content_s=4.0, idle_s=3.0, whole_s=8.0)

# Four attempts at the end of their patience, and a pause.
LONGEST_S = 4 * (LIMITS.connect_s + LIMITS.headers_s + LIMITS.content_s) + 2.0


def world(seed: int) -> tuple[World, list[Asking]]:
    """A world with trouble in its first 90 s, and the clients that live in it."""
    dice = random.Random(f"story {seed}")
    names = [FIRST, "beta", "gamma"][: dice.randint(1, 3)]
    places = {
        name: invented_place(
            name,
            SimProvider(
                seed,
                _timeline(dice),
                name=name,
                pace=Pace(dice.choice(FIRST_S), dice.choice(WORDS_S)),
            ),
            dice.choice(SPEAKS),
        )
        for name in names
    }
    weather = Weather(
        rtt_s=dice.choice((0.02, 0.3)),
        splits=dice.choice((0.0, 0.3)),
        stale=dice.choice((0.0, 0.2)),
    )
    routes = (Route("m", tuple(f"{name}/*" for name in names)),)
    crowds = [dice.uniform(0, LENGTH_S) for _ in range(4)]
    calls = [_asking(dice, n, crowds) for n in range(dice.randint(20, 60))]
    calls += [
        Asking(at_s=TROUBLE_S + n, model="m", words=f"regular {n}", stream=bool(seed % 2))
        for n in range(round(BACK_S - TROUBLE_S) + 5)
    ]
    return World(seed, places, routes, limits=LIMITS, weather=weather), calls


def _timeline(dice: random.Random) -> Timeline:
    spans = []
    for _ in range(dice.randint(0, 4)):
        from_s = dice.uniform(0, TROUBLE_S)
        spans.append(
            Span(
                from_s=from_s,
                until_s=min(TROUBLE_S, from_s + dice.expovariate(1 / 20)),
                fault=dice.choice(FAULTS),
                surfaces=dice.choice((None, None, TALK)),
                probability=dice.choice((1.0, 1.0, 0.5)),
            )
        )
    return Timeline(tuple(spans))


def _asking(dice: random.Random, n: int, crowds: list[float]) -> Asking:
    dialect = dice.choice(SPEAKERS)
    side = SIDES.get(dialect)
    return Asking(
        # Crowds come at the same moment.
        at_s=dice.choice((dice.choice(crowds), dice.uniform(0, LENGTH_S))),
        model="m",
        words=f"question {n}",
        dialect=dialect,
        surface=side if dice.random() < 0.1 else None,
        stream=dice.random() < 0.7,
        earlier=(f"opening {n % 5}", "an answer") if dice.random() < 0.3 else (),
        patience_s=dice.choice((None, None, None, dice.uniform(0.01, 8))),
        retries=dice.choice((0, 2)),
    )
