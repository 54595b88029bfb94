"""Which targets a call may go to, and in which order they are asked now."""

from __future__ import annotations

from fnmatch import fnmatchcase

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.playbook import call

from holdfast.core.board import Board
from holdfast.core.route import (
    AFFINITY_MAX,
    AFFINITY_S,
    COUNTING,
    CROSSING,
    LAST_RESORT_CONNECT_S,
    SILENCE_S,
    TALK,
    Affinity,
    NoRoute,
    candidates,
    counts_in,
    known,
    plan,
)
from holdfast.facts.calls import Call
from holdfast.facts.flights import Leg
from holdfast.facts.observations import Observation
from holdfast.facts.outcomes import Verdict
from holdfast.facts.places import Dialect, Limits, ModelFacts, Provider, Route, Surface, Target

LIMITS = Limits()


def provider(name: str, *dialects: Dialect, **more: object) -> Provider:
    return Provider(
        name=name,
        dialects=dialects or ("anthropic", "openai"),
        base_url=f"https://{name}.example",
        key=f"env:{name}",
        **more,
    )


PROVIDERS = {
    each.name: each
    for each in (
        provider("first", serves=("claude-*",)),
        provider("second", "openai", serves=("gpt-*",)),
        provider("third", "unspoken", serves=("gemini-*",)),
    )
}


def asking(model: str, dialect: Dialect = "anthropic", surface: Surface = "messages") -> Call:
    return msgspec.structs.replace(call(), model=model, dialect=dialect, surface=surface)


def targets(*routes: Route, ask: Call, providers: dict[str, Provider] = PROVIDERS) -> list[str]:
    found = candidates(routes, providers, ask, LIMITS)
    assert not isinstance(found, NoRoute), found.text
    return [str(leg.target) for leg in found]


# ------------------------------------------------------------ candidates


def test_the_targets_stand_in_the_order_of_the_route_and_star_keeps_the_asked_name() -> None:
    route = Route("claude-*", ("first/*", "second/gpt-5.1", "first/claude-small"))
    found = candidates((route,), PROVIDERS, asking("claude-big"), LIMITS)
    assert isinstance(found, tuple)
    assert [str(leg.target) for leg in found] == [
        "first/claude-big",
        "second/gpt-5.1",
        "first/claude-small",
    ]
    assert [leg.stand_in for leg in found] == [False, True, True]
    assert [leg.why for leg in found] == ["first choice", "stand-in", "stand-in"]


def test_the_first_route_that_matches_wins() -> None:
    routes = (Route("claude-s*", ("second/x",)), Route("claude-*", ("first/*",)))
    assert targets(*routes, ask=asking("claude-sonnet")) == ["second/x"]
    assert targets(*routes, ask=asking("claude-opus")) == ["first/claude-opus"]


def test_what_a_route_says_of_errors_and_losses_holds_for_each_of_its_targets() -> None:
    route = Route("first/*", ("first/*", "second/x"), own_errors=False, losses="forbidden")
    for asked in ("first/claude", "first/other"):  # addressed, too
        found = candidates((route,), PROVIDERS, asking(asked), LIMITS)
        assert isinstance(found, tuple)
        assert [(leg.own_errors, leg.losses) for leg in found] == [(False, "forbidden")] * 2
    (leg,) = candidates((Route("*", ("first/*",)),), PROVIDERS, asking("x"), LIMITS)
    assert (leg.own_errors, leg.losses) == (True, "allowed")


def test_globs_mind_the_case() -> None:
    assert isinstance(
        candidates((Route("GPT-*", ("second/*",)),), {}, asking("gpt-5"), LIMITS), NoRoute
    )


def test_provider_and_model_address_that_one_target() -> None:
    assert targets(ask=asking("second/anything:7b")) == ["second/anything:7b"]
    assert targets(ask=asking("first/org/name")) == ["first/org/name"]


def test_a_provider_without_a_model_addresses_nobody() -> None:
    assert isinstance(candidates((), PROVIDERS, asking("second/"), LIMITS), NoRoute)


def test_a_route_for_everything_does_not_take_over_what_is_addressed() -> None:
    catch_all = Route("*", ("first/*",))
    assert targets(catch_all, ask=asking("second/gpt-5")) == ["second/gpt-5"]
    # A provider that is not there makes it a model's name like any other.
    assert targets(catch_all, ask=asking("nobody/gpt-5")) == ["first/nobody/gpt-5"]


def test_a_route_that_names_the_provider_itself_gives_it_stand_ins() -> None:
    route = Route("first/*", ("first/*", "second/gpt-5"))
    assert targets(route, ask=asking("first/claude")) == ["first/claude", "second/gpt-5"]


def test_without_a_route_the_provider_that_serves_the_model_is_asked() -> None:
    assert targets(ask=asking("gpt-5")) == ["second/gpt-5"]
    elsewhere = Route("other-*", ("first/*",))
    assert targets(elsewhere, ask=asking("claude-x")) == ["first/claude-x"]


def test_a_model_that_nobody_serves_is_told_what_there_is() -> None:
    routes = (Route("house-*", ("first/*",)), Route("claude-*", ("first/*",)))
    found = candidates(routes, PROVIDERS, asking("mistral-9"), LIMITS)
    assert isinstance(found, NoRoute)
    for part in ("'mistral-9'", "house-*", "claude-*", "first", "second", "[[routes]]"):
        assert part in found.text


def test_a_model_s_name_cannot_move_a_terminal_or_fake_a_line() -> None:
    found = candidates((), PROVIDERS, asking("x\n\x1b[2Jy"), LIMITS)
    assert isinstance(found, NoRoute)
    assert found.text.isprintable()


def test_a_call_without_a_model_goes_to_the_first_who_speaks_its_dialect_and_no_further() -> None:
    """A batch that another provider made would be unknown where it is looked up next."""
    found = targets(ask=asking("", "openai", "batches"))
    assert [name.partition("/")[0] for name in found] == ["first"]


def test_a_leg_speaks_the_call_s_dialect_where_the_provider_does() -> None:
    routes = (Route("*", ("first/*", "second/x")),)
    for dialect, surface in (("anthropic", "messages"), ("openai", "chat")):
        found = candidates(routes, PROVIDERS, asking("m", dialect, surface), LIMITS)
        assert isinstance(found, tuple)
        assert (found[0].dialect, found[0].surface) == (dialect, surface)
        assert (found[1].dialect, found[1].surface) == ("openai", "chat")


@pytest.mark.parametrize("surface", ["count_tokens", "batches", "models"])
def test_only_conversation_crosses_dialects(surface: Surface) -> None:
    routes = (Route("*", ("second/x", "first/*")),)
    ask = asking("m", "anthropic", surface)
    assert targets(*routes, ask=ask) == ["first/m"]
    assert targets(*routes, ask=asking("m")) == ["second/x", "first/m"]


def test_every_dialect_of_conversation_crosses_into_every_other() -> None:
    providers = {dialect: provider(dialect, dialect) for dialect in TALK}
    routes = (Route("*", tuple(f"{dialect}/*" for dialect in TALK)),)
    for (dialect, surface), said in CROSSING.items():
        found = candidates(routes, providers, asking("m", dialect, surface), LIMITS)
        assert isinstance(found, tuple)
        assert said == TALK[dialect]
        own = {dialect: surface}
        assert [(leg.dialect, leg.surface) for leg in found] == list((TALK | own).items())


def test_tokens_are_counted_for_a_client_of_another_dialect_where_they_are_counted() -> None:
    providers = PROVIDERS | {"fourth": provider("fourth", "openai", "gemini")}
    routes = (Route("*", ("second/x", "fourth/y", "first/*")),)
    found = candidates(routes, providers, asking("m", "anthropic", "count_tokens"), LIMITS)
    assert isinstance(found, tuple)
    assert [(leg.target.provider, leg.dialect, leg.surface) for leg in found] == [
        ("fourth", "gemini", "count_tokens"),
        ("first", "anthropic", "count_tokens"),
    ]
    # In this dialect nobody counts.
    nobody = candidates(
        (Route("*", ("second/x",)),), PROVIDERS, asking("m", surface="count_tokens"), LIMITS
    )
    assert isinstance(nobody, NoRoute)
    assert nobody.text.startswith("holdfast: no target of the route for m counts tokens. Estimate")


@pytest.mark.parametrize("asks", sorted(COUNTING))
def test_a_count_is_asked_in_a_dialect_that_has_one_before_all_in_the_clients_own(
    asks: Dialect,
) -> None:
    every = ("ollama", "openai", "gemini", "openai-responses", "anthropic")
    known = provider("x", *every)
    assert counts_in(known, asks) == asks
    assert counts_in(provider("x", *every, counts=("anthropic",)), asks) == "anthropic"
    assert counts_in(provider("x", "openai", "openai-responses"), asks) == "openai-responses"
    assert counts_in(provider("x", *every, counts=()), asks) is None
    assert counts_in(provider("x", "openai", "ollama"), asks) is None
    # What the data say of a dialect that this one is not said to speak is no matter.
    assert counts_in(provider("x", "openai", counts=("anthropic",)), asks) is None


def test_the_first_that_can_is_the_first_choice() -> None:
    """Whoever was left out because it cannot carry the call makes nobody a stand-in."""
    routes = (Route("*", ("third/g", "second/x", "first/*")),)
    found = candidates(routes, PROVIDERS, asking("m"), LIMITS)
    assert isinstance(found, tuple)
    assert [(leg.target.provider, leg.stand_in) for leg in found] == [
        ("second", False),
        ("first", True),
    ]


def test_a_route_whose_targets_all_cannot_says_which_surface_and_dialect() -> None:
    routes = (Route("*", ("second/x", "third/y")),)
    found = candidates(routes, PROVIDERS, asking("m", "anthropic", "batches"), LIMITS)
    assert isinstance(found, NoRoute)
    assert "batches" in found.text
    assert "anthropic" in found.text


def test_a_window_is_that_of_the_first_fact_that_matches_the_target_s_name() -> None:
    facts = (
        ModelFacts(model="claude-*-1m", context_tokens=1_000_000),
        ModelFacts(model="claude-*", context_tokens=200_000),
    )
    providers = {"first": provider("first", models=facts)}
    routes = (Route("*", ("first/*", "first/claude-x-1m", "first/other")),)
    found = candidates(routes, providers, asking("claude-x"), LIMITS)
    assert isinstance(found, tuple)
    assert [leg.context_tokens for leg in found] == [200_000, 1_000_000, None]


def test_what_a_model_is_known_to_lack_is_on_its_leg() -> None:
    facts = (ModelFacts(model="small", tools=True, vision=False, thinking=False),)
    providers = {"first": provider("first", models=facts)}
    routes = (Route("*", ("first/small", "first/unknown")),)
    found = candidates(routes, providers, asking("claude-x"), LIMITS)
    assert isinstance(found, tuple)
    assert [leg.lacks for leg in found] == [{"vision", "thinking"}, frozenset()]


def test_of_each_fact_the_first_glob_that_says_it_counts() -> None:
    facts = (
        ModelFacts(model="claude-*-1m", context_tokens=1_000_000),
        ModelFacts(model="claude-*", context_tokens=200_000, tools=True, efforts=()),
        ModelFacts(model="*", tools=False, vision=False, efforts=("low",)),
    )
    found = known(facts, "claude-x-1m")
    assert found == ModelFacts(
        model="claude-x-1m", context_tokens=1_000_000, tools=True, vision=False, efforts=()
    )
    assert known(facts[:2], "gpt-x") is None
    assert known(facts, "gpt-x") == facts[2]


@pytest.mark.parametrize(
    ("best", "spoken"), [("openai-responses", "responses"), ("ollama", "chat")]
)
def test_a_call_of_another_dialect_is_written_in_the_one_that_suits_the_model(
    best: Dialect, spoken: str
) -> None:
    """If its provider speaks that; who asks in one of the provider's own is not moved."""
    models = (ModelFacts(model="new", dialect=best),)
    both = provider("first", "openai", "openai-responses", models=models)
    routes = (Route("*", ("first/new", "first/old")),)
    found = candidates(routes, {"first": both}, asking("m", "anthropic"), LIMITS)
    assert isinstance(found, tuple)
    assert [leg.surface for leg in found] == [spoken, "chat"]
    found = candidates(routes, {"first": both}, asking("m", "openai", "chat"), LIMITS)
    assert isinstance(found, tuple)
    assert [leg.surface for leg in found] == ["chat", "chat"]


def test_an_engine_s_leg_says_that_it_is_one() -> None:
    providers = {"first": provider("first"), "engine": provider("engine", kind="local")}
    found = candidates((Route("*", ("first/a", "engine/a")),), providers, asking("x"), LIMITS)
    assert isinstance(found, tuple)
    assert [leg.local for leg in found] == [False, True]


names = st.text("ab-*/", min_size=1, max_size=5)
routes_ = st.lists(
    st.builds(
        Route,
        st.text("ab*?-/", min_size=1, max_size=4),
        st.lists(
            st.sampled_from(["first/*", "second/b", "second/*", "third/*", "first/a"]), min_size=1
        ).map(tuple),
    ),
    max_size=4,
).map(tuple)


@given(routes_, names | st.sampled_from(["first/a", "second/a-b", "claude-1"]))
def test_any_model_gets_the_first_matching_route_s_targets_in_order_or_a_word(
    routes: tuple[Route, ...], model: str
) -> None:
    found = candidates(routes, PROVIDERS, asking(model), LIMITS)
    if isinstance(found, NoRoute):
        assert found.text
        return
    assert found
    assert [leg.stand_in for leg in found] == [n > 0 for n in range(len(found))]
    addressed = model.partition("/")[0] in PROVIDERS and bool(model.partition("/")[2])
    route = next((route for route in routes if fnmatchcase(model, route.model)), None)
    if route is None or addressed:
        return
    wanted = [target.replace("*", model) if target.endswith("/*") else target
              for target in route.targets if not target.startswith("third/")]  # fmt: skip
    assert [str(leg.target) for leg in found] == wanted


# ------------------------------------------------------------ plan


def legs(*providers: str) -> tuple[Leg, ...]:
    return tuple(
        Leg(
            target=Target(name, "m", f"env:{name}"),
            dialect="anthropic",
            surface="messages",
            stand_in=n > 0,
            why="stand-in" if n else "first choice",
            limits=LIMITS,
        )
        for n, name in enumerate(providers)
    )


def told(
    board: Board,
    leg: Leg,
    at: float,
    *,
    kind: str = "status",
    first_content_s: float | None = None,
    rest_s: float = 3.0,
) -> None:
    """One attempt's end: a failure of the model of this kind, or (empty kind) a good answer."""
    verdict = Verdict(
        whose="provider",
        cause="outage",
        confidence=0.8,
        action="fail_over",
        because=("503 from there",),
        scope="model",
        rest_s=rest_s,
    )
    board.observe(
        Observation(
            at=at,
            wall=at,
            kind="traffic",
            provider=leg.target.provider,
            surface=leg.surface,
            model=leg.target.model,
            credential=leg.target.credential,
            ok=not kind,
            trial=leg.trial,
            status=503 if kind == "status" else None,
            failure_kind=kind,
            verdict=verdict if kind else None,
            first_content_s=first_content_s,
        )
    )


def board() -> Board:
    return Board(dice=lambda: 0.5)


def order(board: Board, legs: tuple[Leg, ...], at: float, sticky: Target | None = None) -> str:
    chosen = plan(msgspec.structs.replace(call(), at=at), legs, board, sticky=sticky)
    return " ".join(leg.target.provider + ("?" if leg.trial else "") for leg in chosen.legs)


def test_a_provider_has_its_own_patience_where_it_has_any() -> None:
    own = Limits(headers_s=300.0)
    providers = {
        "a": Provider(name="a", dialects=("anthropic",), base_url="", limits=own),
        "b": Provider(name="b", dialects=("anthropic",), base_url=""),
    }
    usual = Limits(headers_s=1.0)
    found = candidates((Route("*", ("a/*", "b/*")),), providers, call(), usual)
    assert isinstance(found, tuple)
    assert [leg.limits for leg in found] == [own, usual]


def test_while_all_is_well_the_order_is_the_route_s() -> None:
    assert order(board(), legs("a", "b", "c"), 0.0) == "a b c"


def test_who_rests_is_passed_over_with_the_reason() -> None:
    b = board()
    told(b, legs("a")[0], 0.0)
    chosen = plan(msgspec.structs.replace(call(), at=1.0), legs("a", "b"), b)
    assert [leg.target.provider for leg in chosen.legs] == ["b"]
    ((target, why),) = chosen.passed_over
    assert target == "a/m"
    assert "rest" in why
    assert "a/m" in chosen.because
    assert [leg.target.provider for leg in chosen.last_resort] == ["a"]


def test_after_its_rest_one_call_tries_it_in_its_old_place_and_the_others_do_not() -> None:
    b = board()
    told(b, legs("a")[0], 0.0)
    assert order(b, legs("a", "b"), 4.0) == "a? b"
    b.claim(legs("a")[0], 4.0)
    assert order(b, legs("a", "b"), 4.0) == "b"
    trial = msgspec.structs.replace(legs("a")[0], trial=True)
    told(b, trial, 4.5, kind="")
    assert order(b, legs("a", "b"), 4.5) == "a b"


def test_when_all_rest_the_one_that_failed_longest_ago_is_the_first_to_be_asked() -> None:
    b = board()
    for at, leg in enumerate(legs("a", "b", "c")):
        told(b, leg, float(2 - at))
    told(b, legs("c")[0], 0.5)
    chosen = plan(msgspec.structs.replace(call(), at=2.5), legs("a", "b", "c"), b)
    assert not chosen.legs
    last = chosen.last_resort[0]
    assert [leg.target.provider for leg in chosen.last_resort] == ["c", "b", "a"]
    assert last.trial
    assert last.hurried
    assert last.limits.connect_s == LAST_RESORT_CONNECT_S
    assert len(chosen.passed_over) == 3


def test_the_last_resort_is_not_who_asked_to_be_left_alone() -> None:
    """He failed longest ago, and said for how long: the other, who said less, is asked."""
    watched = board()
    two = legs("a", "b")
    told(watched, two[0], 0.0, rest_s=60.0)
    told(watched, two[1], 1.0, rest_s=0.5)
    chosen = plan(msgspec.structs.replace(call(), at=2.0), two, watched)
    assert not chosen.legs
    assert [leg.target.provider for leg in chosen.last_resort] == ["b", "a"]


def test_a_last_resort_beside_a_trial_is_none_and_leaves_it_alone() -> None:
    """Its client may leave, and that must not let a second trial begin."""
    b = board()
    (leg,) = legs("a")
    told(b, leg, 0.0, kind="headers_timeout")
    (first,) = plan(msgspec.structs.replace(call(), at=9.0), (leg,), b).legs
    assert first.trial
    b.claim(first, 9.0)
    beside = plan(msgspec.structs.replace(call(), at=9.1), (leg,), b)
    assert not beside.legs
    assert not beside.last_resort[0].trial


def test_a_last_resort_that_was_silent_gets_little_patience() -> None:
    """The honest error has to come within two seconds; a slow one gets three times its pace."""
    for pace_s, patience_s in ((0.1, 1.5), (2.0, 6.0), (100.0, 30.0)):
        b = board()
        (leg,) = legs("a")
        told(b, leg, 0.0, kind="", first_content_s=pace_s)
        told(b, leg, 1.0, kind="headers_timeout")
        (last,) = plan(msgspec.structs.replace(call(), at=1.5), (leg,), b).last_resort
        assert last.limits.headers_s == patience_s
        assert last.limits.content_s <= max(patience_s, 60.0)
    b = board()
    told(b, leg, 1.0, kind="headers_timeout")
    (last,) = plan(msgspec.structs.replace(call(), at=1.5), (leg,), b).last_resort
    assert last.limits.headers_s == SILENCE_S
    # Its rest over, it is heard out: who never answered may just be slow.
    (trial,) = plan(msgspec.structs.replace(call(), at=9.0), (leg,), b).legs
    assert trial.trial
    assert trial.limits == LIMITS


def test_a_client_that_asks_again_is_waited_for_longer_where_there_is_nobody_else() -> None:
    """So a target that came back slower is found without probes; the first word comes soon."""
    for at in (1.5, 9.0):  # while it rests, and as its trial
        b = board()
        (leg,) = legs("a")
        told(b, leg, 0.0, kind="", first_content_s=0.1)
        told(b, leg, 1.0, kind="headers_timeout")
        waits = []
        for again in (None, 0, 1, 2, 100):
            chosen = plan(msgspec.structs.replace(call(), at=at, retry_count=again), (leg,), b)
            (asked,) = chosen.legs or chosen.last_resort
            waits.append((asked.limits.headers_s, asked.limits.content_s))
        assert waits == [(1.5, 1.5), (1.5, 1.5), (3.0, 3.0), (6.0, 6.0), (30.0, 60.0)]


def test_a_conversation_stays_with_its_stand_in_while_that_one_is_up() -> None:
    b = board()
    pair = legs("a", "b")
    assert order(b, pair, 0.0, sticky=pair[1].target) == "b a"
    assert order(b, pair, 0.0, sticky=Target("gone", "m", "none")) == "a b"
    told(b, pair[1], 1.0)
    assert order(b, pair, 1.5, sticky=pair[1].target) == "a"


steps = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from(["", "status", "refused", "idle_timeout"]),
        st.floats(0, 10),
    ),
    max_size=20,
)


@given(steps, st.sampled_from([None, "a", "b", "c"]))
def test_a_plan_has_everybody_once_and_keeps_the_order_of_the_route(
    course: list[tuple[str, str, float]], sticky: str | None
) -> None:
    b, at = board(), 0.0
    three = legs("a", "b", "c")
    by_name = {leg.target.provider: leg for leg in three}
    for name, kind, pause_s in course:
        at += pause_s
        told(b, by_name[name], at, kind=kind)
    kept = by_name[sticky].target if sticky else None
    chosen = plan(msgspec.structs.replace(call(), at=at), three, b, sticky=kept)
    names = [leg.target.provider for leg in chosen.legs]
    last = [leg.target.provider for leg in chosen.last_resort]
    assert sorted(names + last) == ["a", "b", "c"]
    assert chosen.because
    open_ones = [leg.target.provider for leg in three if b.standing(leg, at).open]
    assert sorted(names) == open_ones
    if sticky in open_ones:
        assert names[0] == sticky
        names.remove(sticky)
    assert names == sorted(names)
    assert {target for target, _ in chosen.passed_over} == {
        f"{name}/m" for name in "abc" if name not in open_ones
    }


# ------------------------------------------------------------ affinity


def test_affinity_is_forgotten_after_its_time_and_renewed_by_use() -> None:
    places = Affinity()
    there = Target("b", "m", "none")
    places.note("talk", there, 0.0)
    assert places.target("talk", AFFINITY_S) == there
    places.note("talk", there, AFFINITY_S)
    assert places.target("talk", 2 * AFFINITY_S) == there
    assert places.target("talk", 2 * AFFINITY_S + 1) is None
    assert len(places) == 0
    assert places.target("other", 0.0) is None


def test_affinity_is_bounded_and_drops_the_oldest() -> None:
    places = Affinity()
    there = Target("b", "m", "none")
    for n in range(AFFINITY_MAX + 5):
        places.note(str(n), there, 0.0)
    assert len(places) == AFFINITY_MAX
    assert places.target("4", 0.0) is None
    assert places.target("5", 0.0) == there
