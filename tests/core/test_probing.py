"""Which probes are due: where traffic is thin, cheap ones first, within the day's budget."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.probing import (
    DAY_S,
    KINDS,
    Params,
    Probe,
    Probing,
    View,
    Watched,
    covers,
)
from holdfast.facts.observations import Observation
from holdfast.facts.places import Dialect, Provider, Segment, Target

START = 20_000 * DAY_S + 8 * 3600.0
KEY = "env:NORTH_KEY"
NORTH = Provider(name="north", dialects=("anthropic",), base_url="https://north.example", key=KEY)
SOUTH = Provider(name="south", dialects=("openai",), base_url="https://south.example", key="env:S")
BORROWED = Provider(
    name="borrowed", dialects=("anthropic",), base_url="https://b.example", key="client"
)
STAGE = Provider(
    name="stage", dialects=("anthropic", "openai"), base_url="http://127.0.0.1:1", kind="sim"
)
LARGE = Target("north", "large", KEY)
VIEW = View(providers=(NORTH, SOUTH, BORROWED, STAGE), targets=(LARGE,))
MESSAGES = Segment("north", "messages", None, None)


def traffic(wall: float, *, ok: bool = True, **fields: Any) -> Observation:
    known = {"provider": "north", "surface": "messages", "model": "large", "credential": KEY}
    return Observation(at=wall - START, wall=wall, kind="traffic", ok=ok, **known | fields)


def answer(probe: Probe, wall: float, *, ok: bool = True, status: int = 200) -> Observation:
    return Observation(
        at=wall - START,
        wall=wall,
        kind="probe",
        provider=probe.provider,
        surface=probe.surface,
        model=probe.model,
        credential=probe.credential,
        ok=ok,
        status=status,
    )


class Watch:
    """Lets time pass, second by second; every probe is answered at once."""

    def __init__(self, params: Params | None = None, seed: int = 1) -> None:
        self.probing = Probing(params)
        self.dice = random.Random(seed)
        self.wall = START
        self.made: list[tuple[float, Probe]] = []
        self.fails: set[str] = set()  # ways that fail
        self.status = 500

    def run(self, seconds: float, view: View = VIEW, step_s: float = 1.0) -> list[Probe]:
        """What is made within this time."""
        before = len(self.made)
        end = self.wall + seconds
        while self.wall < end:
            for probe in self.probing.due(self.wall, view, self.dice.random):
                self.made.append((self.wall, probe))
                ok = probe.way not in self.fails
                status = 200 if ok else self.status
                self.probing.observe(answer(probe, self.wall, ok=ok, status=status))
            self.wall += step_s
        return [probe for _, probe in self.made[before:]]

    def use(self, **fields: Any) -> None:
        self.probing.observe(traffic(self.wall, **fields))


def ways(probes: list[Probe]) -> Counter[str]:
    return Counter(probe.way for probe in probes)


# ------------------------------------------------------------------ at rest


def test_what_is_in_use_is_probed_about_once_a_minute_and_mostly_for_nothing() -> None:
    watch = Watch()
    watch.use()
    made = ways(watch.run(1790.0))
    assert 24 <= made["count_tokens"] <= 33
    assert 1 <= made["generation"] <= 4
    assert set(made) == {"count_tokens", "generation"}


@pytest.mark.parametrize(
    ("dialects", "surface", "asked_in", "ways_"),
    [
        (("openai-responses",), "responses", "openai-responses", {"count_tokens", "generation"}),
        (("openai", "openai-responses"), "responses", "openai-responses",
         {"count_tokens", "generation"}),
        (("ollama",), "chat", "ollama", {"models", "generation"}),
        (("anthropic", "openai", "ollama"), "chat", "openai", {"models", "generation"}),
        (("gemini",), "generate_content", "gemini", {"count_tokens", "generation"}),
    ],
)  # fmt: skip
def test_each_dialect_is_asked_as_itself(
    dialects: tuple[Dialect, ...], surface: str, asked_in: str, ways_: set[str]
) -> None:
    one = Provider(name="north", dialects=dialects, base_url="https://north.example", key=KEY)
    watch = Watch()
    watch.use(surface=surface)
    made = watch.run(1790.0, View(providers=(one,)))
    assert {(probe.dialect, probe.way) for probe in made} == {(asked_in, way) for way in ways_}
    # Who is known to have no counts is not asked for any.
    none = msgspec.structs.replace(one, counts=())
    watch = Watch()
    watch.use(surface=surface)
    assert set(ways(watch.run(1790.0, View(providers=(none,))))) == {"models", "generation"}


def test_traffic_that_tells_enough_leaves_nothing_to_ask() -> None:
    watch = Watch()
    for _ in range(60):
        watch.use()
        assert not watch.run(30.0)


def test_failing_traffic_does_not_keep_probes_away() -> None:
    watch = Watch()
    for _ in range(10):
        watch.use(ok=False)
        watch.run(30.0)
    assert watch.made


def test_a_local_engine_is_not_made_to_load_a_model_while_all_is_well() -> None:
    engine = msgspec.structs.replace(NORTH, kind="local")
    view = View(providers=(engine,))
    watch = Watch()
    watch.use()
    assert set(ways(watch.run(1700.0, view))) == {"count_tokens"}
    watch.use(ok=False)
    trouble = msgspec.structs.replace(view, declared=frozenset({MESSAGES}))
    assert ways(watch.run(60.0, trouble))["generation"]


def test_what_is_only_named_is_looked_at_once_an_hour_and_for_nothing() -> None:
    watch = Watch()
    made = ways(watch.run(6 * 3600.0, step_s=10.0))
    assert 5 <= made["count_tokens"] <= 8
    assert set(made) == {"count_tokens"}


def test_what_nobody_names_or_uses_is_left_alone() -> None:
    watch = Watch()
    view = msgspec.structs.replace(VIEW, targets=())
    assert not watch.run(7200.0, view, step_s=10.0)
    watch.use()
    assert watch.run(1700.0, view)
    watch.run(400.0, view)
    assert not watch.run(7200.0, view, step_s=10.0)


@pytest.mark.parametrize("provider", ["borrowed", "stage", "unknown"])
def test_no_key_of_ours_or_no_real_provider_no_probe(provider: str) -> None:
    key = {"borrowed": "client:abc", "stage": "none"}.get(provider, "k")
    watch = Watch()
    view = msgspec.structs.replace(
        VIEW,
        targets=(Target(provider, "large", key),),
        declared=frozenset({Segment(provider)}),
    )
    watch.use(provider=provider, credential=key)
    assert not watch.run(7200.0, view, step_s=10.0)


def test_a_simulated_provider_is_probed_where_it_is_asked_for() -> None:
    watch = Watch(Params(sim=True))
    watch.use(provider="stage", credential="none")
    assert watch.run(120.0)


def test_no_probe_carries_a_subscription_token() -> None:
    watch = Watch()
    view = msgspec.structs.replace(
        VIEW, subscriptions=frozenset({"north"}), declared=frozenset({MESSAGES})
    )
    watch.use()
    assert not watch.run(3600.0, view, step_s=5.0)


def test_a_model_that_is_not_known_is_asked_of_the_list_alone() -> None:
    watch = Watch()
    view = msgspec.structs.replace(VIEW, targets=(Target("north", "*", KEY),))
    assert set(ways(watch.run(3 * 3600.0, view, step_s=10.0))) == {"models"}


def test_an_endpoint_that_is_not_there_is_asked_once() -> None:
    watch = Watch()
    watch.fails, watch.status = {"count_tokens"}, 404
    watch.use()
    made = watch.run(1200.0)
    assert ways(made)["count_tokens"] == 1
    assert ways(made)["models"] >= 10


def test_an_endpoint_that_was_there_is_asked_on_whatever_an_outage_says() -> None:
    watch = Watch()
    watch.use()
    before = ways(watch.run(1200.0))["count_tokens"]
    watch.fails, watch.status = {"count_tokens"}, 404
    watch.use()
    assert before
    assert ways(watch.run(1200.0))["count_tokens"] > 1


def test_two_models_of_one_key_share_the_list() -> None:
    watch = Watch()
    for model in ("gpt", "mini"):
        watch.use(provider="south", surface="chat", model=model, credential="env:S")
    made = ways(watch.run(1200.0))
    assert 14 <= made["models"] <= 26


# --------------------------------------------------------------- in trouble


def test_a_suspicion_is_followed_up_soon_and_the_answer_itself_is_asked() -> None:
    """The free endpoint is well, so only a generation can tell."""
    watch = Watch()
    watch.use()
    watch.run(300.0)
    watch.fails = {"generation"}
    view = msgspec.structs.replace(VIEW, suspected=frozenset({MESSAGES}))
    before = watch.wall
    made = watch.run(180.0, view)
    assert 9 <= ways(made)["generation"] <= 14
    assert min(at for at, probe in watch.made if at >= before) <= before + 1
    assert ways(watch.run(600.0, view))["generation"] <= 13


def test_while_free_endpoints_fail_too_they_are_the_ones_to_ask() -> None:
    watch = Watch()
    watch.use()
    watch.fails = {"generation", "count_tokens", "models"}
    view = msgspec.structs.replace(VIEW, declared=frozenset({MESSAGES}))
    made = ways(watch.run(1200.0, view))
    assert 34 <= made["count_tokens"] <= 46
    assert made["generation"] <= 6


@pytest.mark.parametrize(
    ("surface", "model", "way"),
    [("models", "", "models"), ("count_tokens", "large", "count_tokens")],
)
def test_a_free_endpoint_in_trouble_is_asked_until_it_is_well(
    surface: str, model: str, way: str
) -> None:
    """Also where answers are well and nobody else has a reason to ask it."""
    watch = Watch()
    watch.use(surface=surface, model=model, ok=False)
    declared = frozenset({Segment("north", surface, model or None, KEY)})
    made = ways(watch.run(600.0, msgspec.structs.replace(VIEW, declared=declared)))
    assert 15 <= made[way] <= 25
    assert set(made) <= {way, "count_tokens", "models"}


def test_siblings_of_a_new_suspect_are_looked_at_once_and_at_once() -> None:
    watch = Watch()
    for model in ("large", "small"):
        watch.use(model=model)
    watch.run(55.0)
    for model in ("large", "small"):
        watch.use(model=model)
    watch.run(5.0)
    suspect = Segment("north", "messages", "large", None)
    view = msgspec.structs.replace(VIEW, suspected=frozenset({suspect}))
    made = watch.run(1.0, view)
    assert {(probe.way, probe.model) for probe in made} >= {
        ("generation", "small"),
        ("count_tokens", "small"),
    }
    small = [probe for probe in watch.run(20.0, view) if probe.model == "small"]
    assert not small


def test_a_long_outage_does_not_eat_the_budget_and_its_end_is_seen_soon() -> None:
    """Four hours: generations at most a tenth of the elapsed time apart, and never too many."""
    watch = Watch()
    watch.use()
    watch.fails = {"generation"}
    view = msgspec.structs.replace(VIEW, declared=frozenset({MESSAGES}))
    began = watch.wall
    watch.run(4 * 3600.0, view, step_s=5.0)
    times = [at for at, probe in watch.made if probe.way == "generation"]
    assert len(times) <= Params().generations_per_day_max
    for earlier, later in itertools.pairwise(times):
        assert later - earlier <= max(45.0, 0.13 * (later - began))


def test_somebody_who_left_for_lunch_in_an_outage_still_waits_for_its_end() -> None:
    """Also where no route names it; and models that nobody used cost nothing meanwhile."""
    watch = Watch()
    watch.use()
    watch.fails = {"generation"}
    unused = Target("north", "unused", KEY)
    view = msgspec.structs.replace(VIEW, targets=(unused,), declared=frozenset({MESSAGES}))
    watch.run(7200.0, view, step_s=5.0)
    made = watch.run(1800.0, view, step_s=5.0)
    assert {probe.model for probe in made if probe.way == "generation"} == {"large"}
    assert "unused" in {probe.model for probe in made}


def test_good_traffic_in_trouble_makes_probes_needless() -> None:
    watch = Watch()
    view = msgspec.structs.replace(VIEW, declared=frozenset({MESSAGES}))
    watch.run(60.0, view)
    for _ in range(10):
        watch.use()
        assert not watch.run(20.0, view)


def test_who_answers_429_is_asked_half_as_often_each_time() -> None:
    watch = Watch()
    watch.fails, watch.status = {"count_tokens"}, 429
    for _ in range(120):  # in use, but without a good answer
        watch.use(ok=False)
        watch.run(60.0)
    times = [at for at, probe in watch.made if probe.way == "count_tokens"]
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert len(times) <= 8
    assert all(later > 1.3 * earlier for earlier, later in itertools.pairwise(gaps))


def test_the_offline_and_the_just_woken_ask_nothing() -> None:
    watch = Watch()
    watch.use()
    view = msgspec.structs.replace(VIEW, declared=frozenset({MESSAGES}))
    assert not watch.run(300.0, msgspec.structs.replace(view, offline=True))
    woken = msgspec.structs.replace(view, woke_wall=watch.wall)
    assert not watch.run(29.0, woken)
    assert watch.run(60.0, woken)


# ------------------------------------------------------------------ watching


def test_pages_are_looked_at_every_five_minutes_and_sooner_in_trouble() -> None:
    watched = (Watched("north", "chat_site", "https://chat.north.example"),)
    view = View(providers=(NORTH,), watched=watched)
    watch = Watch()
    assert 10 <= ways(watch.run(3600.0, view))["reach"] <= 15
    trouble = msgspec.structs.replace(view, suspected=frozenset({MESSAGES}))
    assert 50 <= ways(watch.run(3600.0, trouble))["reach"] <= 70
    assert watch.probing.spent(watch.wall) == ()


# ------------------------------------------------------------------- budgets


def test_a_working_day_stays_within_the_budget_and_never_goes_blind() -> None:
    """Eight hours in use without one good answer of the user's own: probes thin out, not end."""
    watch = Watch()
    watch.probing.params = Params(free_per_day_max=300)
    for _ in range(16):
        watch.use(ok=False)
        assert watch.run(1790.0, step_s=5.0)
    (spent,) = watch.probing.spent(watch.wall)
    assert spent.provider == "north"
    assert 100 <= spent.free <= 200
    assert spent.generations <= 15
    assert (spent.free_max, spent.generations_max) == (300, 50)


def test_a_new_day_has_a_new_budget() -> None:
    watch = Watch(Params(free_per_day_max=3, generations_per_day_max=0))
    view = msgspec.structs.replace(VIEW, declared=frozenset({MESSAGES}))
    watch.use()
    assert len(watch.run(1200.0, view)) == 3
    assert not watch.run(1200.0, view)
    watch.wall += DAY_S
    assert watch.probing.spent(watch.wall) == ()
    assert len(watch.run(1200.0, view)) == 3


def test_a_probe_that_never_comes_back_is_given_up_and_paid_for() -> None:
    probing, dice = Probing(), random.Random(1)
    probing.observe(traffic(START, ok=False))
    view = msgspec.structs.replace(VIEW, declared=frozenset({MESSAGES}))
    first = probing.due(START, view, dice.random)
    assert {probe.way for probe in first} == {"count_tokens", "generation"}
    assert not probing.due(START + 60.0, view, dice.random)
    again = probing.due(START + 121.0, view, dice.random)
    assert {probe.way for probe in again} == {"count_tokens"}
    (spent,) = probing.spent(START + 122.0)
    assert (spent.free, spent.generations) == (2, 1), "also what is under way"


STEPS = st.one_of(
    st.tuples(st.just("wait"), st.sampled_from((1.0, 20.0, 70.0, 700.0, 40_000.0, -30.0))),
    st.tuples(st.just("use"), st.booleans(), st.sampled_from(("large", "small"))),
    st.tuples(st.just("answer"), st.booleans(), st.sampled_from((200, 429, 404, 500))),
    st.tuples(st.just("trouble"), st.sampled_from(("suspected", "declared", "none"))),
)


@settings(max_examples=150)
@given(steps=st.lists(STEPS, max_size=60), seed=st.integers(0, 5))
def test_whatever_happens_the_laws_of_probing_hold(steps: list[Any], seed: int) -> None:
    """Within the budget; one at a time for each question; none to whom none may go; repeatable;
    and folding the same observations gives the same account.
    """
    params = Params(free_per_day_max=6, generations_per_day_max=3)
    probing, twin = Probing(params), Probing(params)
    dice, twins = random.Random(seed), random.Random(seed)
    wall, view = START, VIEW
    flying: dict[tuple[str, ...], tuple[Probe, float]] = {}
    learnt: list[Observation] = []
    issued: Counter[tuple[int, str, str]] = Counter()

    def learn(obs: Observation) -> None:
        learnt.append(obs)
        probing.observe(obs)
        twin.observe(obs)

    for step in steps:
        match step:
            case ("wait", seconds):
                wall += seconds
            case ("use", ok, model):
                learn(traffic(wall, ok=ok, model=model))
                learn(traffic(wall, ok=ok, provider="borrowed", credential="client:x"))
            case ("answer", ok, status) if flying:
                probe, _ = flying.pop(next(iter(flying)))
                learn(answer(probe, wall, ok=ok, status=status))
            case ("trouble", level):
                found = frozenset({MESSAGES})
                view = VIEW if level == "none" else msgspec.structs.replace(VIEW, **{level: found})
        flying = {k: v for k, v in flying.items() if 0 <= wall - v[1] < params.lost_s}
        made = probing.due(wall, view, dice.random)
        assert made == twin.due(wall, view, twins.random)
        for probe in made:
            assert probe.leaf not in flying
            assert (probe.provider, probe.credential) == ("north", KEY)
            flying[probe.leaf] = (probe, wall)
            issued[int(wall // DAY_S), probe.provider, probe.way] += 1
        assert len(made) <= params.at_once_max
    for (day, name, _), _ in list(issued.items()):
        free = issued[day, name, "models"] + issued[day, name, "count_tokens"]
        # An answer that comes after midnight is paid by its own day.
        assert free <= params.free_per_day_max + 2
        assert issued[day, name, "generation"] <= params.generations_per_day_max + 2
    folded = Probing(params)
    for obs in learnt:
        folded.observe(obs)
    told = {spent.provider: spent for spent in folded.spent(wall)}
    for spent in probing.spent(wall):
        if spent.provider in told:  # beside those that were given up
            assert told[spent.provider].free <= spent.free


@given(
    parts=st.tuples(*[st.none() | st.sampled_from("ab")] * 3),
    leaf=st.tuples(*[st.sampled_from("ab")] * 3),
)
def test_a_part_that_is_left_out_covers_all(parts: Any, leaf: Any) -> None:
    expected = all(part is None or part == own for part, own in zip(parts, leaf, strict=True))
    assert covers(Segment("p", *parts), ("p", *leaf)) is expected
    assert not covers(Segment("q", *parts), ("p", *leaf))


def test_every_surface_that_answers_has_a_dialect() -> None:
    assert {kind.dialect for kinds in KINDS.values() for kind in kinds} == set(get_args(Dialect))
