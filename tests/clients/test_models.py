"""Lists of models and models' pages, read by the real SDKs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.clients.sdk import Sdk, Told
from tests.doubles.provider import Provider
from tests.gateway import Gateway, gateway, upstream

NAMES = {"anthropic": "one", "openai": "two", "gemini": "three"}
KINDS = [*NAMES, "ollama"]
every = pytest.mark.parametrize("client", KINDS)


@pytest.fixture(scope="module")
def clients() -> Iterator[dict[str, Sdk]]:
    running = {name: Sdk(name) for name in KINDS}
    yield running
    for sdk in running.values():
        sdk.close()


@pytest.fixture(scope="module")
def doubles() -> Iterator[dict[str, Provider]]:
    with (
        Provider("one", "anthropic") as one,
        Provider("two", "openai") as two,
        Provider("three", "gemini") as three,
    ):
        yield {double.dialect: double for double in (one, two, three)}


@pytest.fixture(scope="module")
def house(
    doubles: dict[str, Provider], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A name of our own for a model of each, and Anthropic's by their own names."""
    routes = [(f"my-{name}", [f"{NAMES[name]}/{doubles[name].models[0]}"]) for name in NAMES]
    routes.append(("claude-*", ["one/*"]))
    upstreams = [upstream(double) for double in doubles.values()]
    with gateway(tmp_path_factory.mktemp("models"), upstreams, routes) as running:
        yield running


def well(told: Told) -> Told:
    assert told.error is None, told.error_text
    return told


@every
@pytest.mark.parametrize("limit", [None, 1, 2, 1000])
def test_all_that_can_be_named_is_listed_also_in_parts(
    clients: dict[str, Sdk],
    doubles: dict[str, Provider],
    house: Gateway,
    client: str,
    limit: int | None,
) -> None:
    more = {} if limit is None else {"limit": limit}
    told = well(clients[client].ask("models", url=house.url, **more))
    named = {f"my-{name}" for name in NAMES} | set(doubles["anthropic"].models)
    named |= {f"{NAMES[of]}/{m}" for of in ("openai", "gemini") for m in doubles[of].models}
    found = [name.removeprefix("models/") for name in told.items]
    assert named <= set(found)
    assert found == sorted(set(found))


@every
@pytest.mark.parametrize("of", NAMES)
def test_each_that_is_listed_has_a_page(
    clients: dict[str, Sdk], doubles: dict[str, Provider], house: Gateway, client: str, of: str
) -> None:
    named = f"{NAMES[of]}/{doubles[of].models[0]}"
    assert well(clients[client].ask("model", url=house.url, model=named)).items
    if client != of:  # who speaks the client's dialect tells of its own name
        told = well(clients[client].ask("model", url=house.url, model=f"my-{of}"))
        assert told.items[0] in (f"my-{of}", f"models/my-{of}", "completion")


@every
def test_what_is_not_there_is_a_404_of_the_dialect(
    clients: dict[str, Sdk], house: Gateway, client: str
) -> None:
    told = clients[client].ask("model", url=house.url, model="nothing-like-it")
    assert told.status == 404
    assert "no route or provider serves the model" in told.error_text
    assert told.error in ("NotFoundError", "ClientError", "ResponseError")
