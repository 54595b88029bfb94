"""What can be asked for by name: the routes' own names, the data's, and the providers' lists."""

from __future__ import annotations

import asyncio
from fnmatch import fnmatchcase
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.doubles.provider import Provider as Double

from holdfast.facts.places import ModelFacts, Provider, Route, Target
from holdfast.net.caller import Caller
from holdfast.net.desk import Place
from holdfast.net.dial import Dialer
from holdfast.net.reply import Request
from holdfast.net.shelf import FAILED_S, KEPT_S, Shelf, listed
from holdfast.wire.speech import Model

ONE = Provider(
    name="one",
    dialects=("anthropic",),
    base_url="https://one.example",
    models=(ModelFacts(model="exact", context_tokens=9), ModelFacts(model="claude-*")),
)
TWO = Provider(name="two", dialects=("openai",), base_url="https://two.example")
PROVIDERS = {"one": ONE, "two": TWO}
ROUTES = (Route("mine", ("two/a",)), Route("claude-*", ("one/*", "two/a")), Route("?", ("one/x",)))


def leads(name: str) -> Target | None:
    """As `core.route` finds it, for these routes."""
    provider, _, model = name.partition("/")
    if model and provider in PROVIDERS:
        return Target(provider, model, "none")
    for route in ROUTES:
        if fnmatchcase(name, route.model):
            provider, _, model = route.targets[0].partition("/")
            return Target(provider, name if model == "*" else model, "none")
    return None


def test_a_model_has_its_own_name_where_that_leads_to_it() -> None:
    lists = {
        "one": (Model("claude-9", "Nine", 200), Model("other")),
        "two": (Model("a", context_tokens=7), Model("claude-9")),
    }
    found = {model.id: model for model in listed(ROUTES, PROVIDERS, lists, leads)}
    assert list(found) == sorted(found)
    assert set(found) == {"mine", "one/exact", "claude-9", "one/other", "two/a", "two/claude-9"}
    assert found["mine"].context_tokens == 7  # as the target's list says
    assert (found["claude-9"].title, found["claude-9"].context_tokens) == ("Nine", 200)
    assert found["one/exact"].context_tokens == 9


NAMES = st.lists(st.sampled_from(["a", "b", "x", "mine", "claude-1", "exact", "one/a"]), max_size=5)


@given(NAMES, NAMES)
def test_each_name_in_the_list_leads_to_the_model_that_it_stands_for(
    ones: list[str], twos: list[str]
) -> None:
    lists = {"one": tuple(map(Model, ones)), "two": tuple(map(Model, twos))}
    ids = [model.id for model in listed(ROUTES, PROVIDERS, lists, leads)]
    assert len(ids) == len(set(ids))
    reached = {(led.provider, led.model) for led in map(leads, ids) if led is not None}
    wanted = {(name, model.id) for name, models in lists.items() for model in models}
    assert wanted <= reached
    assert None not in map(leads, ids)


@pytest.mark.parametrize("status", [200, 500])
def test_a_list_is_kept_for_a_while_and_outlives_its_provider(status: int) -> None:
    """Asked anew when it is old; what was known stays where the answer fails."""
    now = 0.0

    async def tell() -> list[int]:
        nonlocal now
        dialer = Dialer()
        place = Place(
            Provider(name="alpha", dialects=("anthropic",), base_url=double.url),
            double.key.encode(),
        )
        desk: Any = SimpleNamespace(places={"alpha": place}, clock=lambda: now, dialer=dialer)
        shelf, caller = Shelf(desk), Caller((), Request("GET", "/", "", (), {}), b"")
        asked = []
        for at in (0.0, KEPT_S - 1.0, KEPT_S, KEPT_S + FAILED_S - 1.0, KEPT_S + FAILED_S):
            now = at
            if at == KEPT_S and status != 200:
                place.secret = b"revoked"
            errands = shelf.ask("anthropic", caller)
            asked.append(len(errands))
            if errands:
                await asyncio.wait(errands)
            (models,) = shelf.known("anthropic", caller).values()
            assert [model.id for model in models] == list(double.models)
        shelf.forget()
        assert shelf.known("anthropic", caller) == {}
        dialer.close()
        return asked

    with Double("alpha", "anthropic") as double:
        assert asyncio.run(tell()) == ([1, 0, 1, 0, 0] if status == 200 else [1, 0, 1, 0, 1])
