"""The virtual shell: the same core in invented time, and the same seed gives the same trace."""

from __future__ import annotations

import os
import subprocess
import sys
from time import perf_counter

from holdfast.facts.places import Route
from holdfast.sim.client import Asking
from holdfast.sim.invented import expected_text
from holdfast.sim.provider import SimProvider
from holdfast.sim.timeline import SCENARIOS, STEADY, Span, Timeline
from holdfast.sim.trace import Trace
from holdfast.sim.world import Weather, World, invented_place

DAY_S = 86_400.0
CALLS = 10_000
ROUTES = (Route("m", ("first/*", "second/other")),)
ANOTHER_PROCESS = "from tests.sim.test_world import digest_of; print(digest_of({seed}))"


def always(fault: str, from_s: float = 0.0, until_s: float = 1e9) -> Timeline:
    return Timeline((Span(from_s=from_s, until_s=until_s, fault=fault),))


def world(first: Timeline = STEADY, second: Timeline = STEADY, *, seed: int = 1) -> World:
    places = {
        "first": invented_place("first", SimProvider(seed, first, name="first"), ("anthropic",)),
        "second": invented_place("second", SimProvider(seed, second, name="second"), ("openai",)),
    }
    return World(seed, places, ROUTES, weather=Weather(stale=0.1))


def troubled(seed: int) -> Trace:
    """Some minutes with everything in it that rolls dice."""
    there = world(SCENARIOS["article"], SCENARIOS["cuts"].shifted(100), seed=seed)
    calls = [Asking(at_s=n * 2.0, model="m", words=f"Hello {n}", retries=n % 3) for n in range(150)]
    return there.run(calls, 400.0)


def digest_of(seed: int) -> str:
    return troubled(seed).digest


def elsewhere(seed: int, hash_seed: str) -> str:
    """The digest that another process finds, in which sets have another order."""
    done = subprocess.run(
        [sys.executable, "-c", ANOTHER_PROCESS.format(seed=seed)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_the_same_seed_gives_the_same_trace_in_any_process() -> None:
    """A failure found with a seed can be found again with it, tomorrow and elsewhere."""
    digests = {digest_of(7), digest_of(7), elsewhere(7, "1"), elsewhere(7, "2")}
    assert len(digests) == 1


def test_another_seed_gives_another_trace() -> None:
    """The dice are really rolled."""
    assert len({digest_of(seed) for seed in range(5)}) == 5


def test_a_day_with_ten_thousand_calls_takes_seconds() -> None:
    """Time is invented: a day of traffic with an outage in it is over before the coffee is."""
    there = world(SCENARIOS["article"].shifted(DAY_S / 2))
    calls = [
        Asking(at_s=n * DAY_S / CALLS, model="m", words=f"{n}", stream=n % 2 > 0, max_tokens=12)
        for n in range(CALLS)
    ]
    began = perf_counter()
    trace = there.run(calls, DAY_S + 100)
    took_s = perf_counter() - began
    print(f"\na simulated day with {CALLS} calls took {took_s:.1f} s")
    assert len(trace.told) == CALLS
    assert not there.flying
    assert all(told.good for told in trace.told)
    assert 0 < sum(told.stand_in for told in trace.told) < 100
    assert took_s < 60  # a loaded machine; alone it is a few


def test_answers_are_whole_in_either_dialect_however_the_bytes_are_split() -> None:
    """Nothing is lost or doubled on the virtual wire, by the same taps as on the real one."""
    calls = [
        Asking(at_s=n, model=("m", "second/x")[n % 2], stream=n % 4 < 2, words=f"w {n}")
        for n in range(40)
    ]
    trace = world().run(calls, 100.0)
    for told in trace.told:
        name = told.served_by.partition("/")[0]
        assert told.good
        assert told.text == expected_text(told.asking.body(), name)
    assert {told.served_by for told in trace.told} == {"first/m", "second/x"}


def test_who_could_not_be_reached_is_found_by_knocking() -> None:
    """No call is spent on finding out that a door is open again."""
    there = world(always("refuse", 0, 60), always("refuse", 0, 60))
    trace = there.run([Asking(at_s=1, model="m"), Asking(at_s=66, model="m")], 100.0)
    assert [told.good for told in trace.told] == [False, True]
    tries = [(d.target, d.trial, d.last_resort) for d in trace.dialled if d.at_s > 60]
    assert tries == [("first/m", True, False)]


def test_a_client_that_leaves_ends_the_call_and_its_trial() -> None:
    """Who left asks for nothing any more, and the trial that it was is free for the next."""
    there = world(always("overloaded", 0, 3))
    first = [Asking(at_s=n / 10, model="m") for n in range(20)]
    left = Asking(at_s=10, model="m", patience_s=0.05)
    trace = there.run([*first, left, Asking(at_s=10.5, model="m")], 100.0)
    assert [told.how for told in trace.told[-2:]] == ["left", "clean"]
    trials = [d for d in trace.dialled if d.at_s >= 10]
    assert [(d.trial, d.rested, d.target) for d in trials] == [(True, False, "first/m")] * 2
    assert trace.settled[trials[0].id].outcome == "abandoned"


def test_a_client_that_asks_again_joins_its_own_call() -> None:
    """An SDK's own timeout costs no second attempt."""
    there = world(always("slow"))
    trace = there.run([Asking(at_s=0, model="m", patience_s=7, retries=2)], 100.0)
    assert [(told.how, told.retry) for told in trace.told] == [("left", 0), ("clean", 1)]
    last = trace.told[-1]
    assert last.text == expected_text(last.asking.body(), "first")
    assert len(trace.saw) == 1


def test_a_model_that_nobody_serves_is_refused_at_once() -> None:
    """There is a plain answer to a wrong name, without an attempt."""
    trace = world().run([Asking(at_s=0, model="unheard-of", retries=2)], 10.0)
    assert [(told.status, told.attempts) for told in trace.told] == [(404, 0)]
    assert "unheard-of" in trace.told[0].error
