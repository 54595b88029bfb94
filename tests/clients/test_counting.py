"""Token counting by the real SDKs: in each dialect that has it, from targets of each other one."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tests.clients.sdk import Sdk, Told
from tests.doubles.provider import Provider
from tests.gateway import Gateway, gateway, upstream

TARGETS = {
    "anthropic": "claude-haiku-5",
    "gemini": "gemini-3-pro",
    "openai-responses": "gpt-5.1",
    "openai": "gpt-5.1",
}
COUNTING = ["anthropic", "gemini", "openai-responses"]
SDKS = {"anthropic": "anthropic", "gemini": "gemini", "openai-responses": "responses"}
# What those say that have no count.
NO_COUNT = {
    "go": (404, b"404 page not found"),
    "fastapi": (404, b'{"detail":"Not Found"}'),
    "method": (405, b'{"detail":"Method Not Allowed"}'),
    "lmstudio": (200, b'{"error":"Unexpected endpoint or method. (POST /v1/messages)"}'),
    "nought": (200, b'{"input_tokens":0,"totalTokens":0,"object":"response.input_tokens"}'),
    "nothing": (200, b"{}"),
}  # fmt: skip
every_client = pytest.mark.parametrize("client", COUNTING)


def named(dialect: str) -> str:
    return f"of_{dialect.replace('-', '_')}"


@pytest.fixture(scope="module")
def clients() -> Iterator[dict[str, Sdk]]:
    running = {dialect: Sdk(name) for dialect, name in SDKS.items()}
    yield running
    for sdk in running.values():
        sdk.close()


@pytest.fixture(scope="module")
def _targets() -> Iterator[dict[str, Provider]]:
    doubles = {dialect: Provider(named(dialect), dialect) for dialect in TARGETS}
    for double in doubles.values():
        double.__enter__()
    yield doubles
    for double in doubles.values():
        double.__exit__()


@pytest.fixture
def targets(_targets: dict[str, Provider]) -> Iterator[dict[str, Provider]]:
    for double in _targets.values():
        double.reset()
    yield _targets
    assert not [said for double in _targets.values() for said in double.complaints]
    asked = [seen for double in _targets.values() for seen in double.seen if seen.method != "HEAD"]
    assert not [seen.refused for seen in asked if seen.refused]


@pytest.fixture(scope="module")
def house(
    _targets: dict[str, Provider], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A route to each target, and one to each with Gemini's behind it (Anthropic's behind that)."""
    routes = []
    for dialect, model in TARGETS.items():
        other = "anthropic" if dialect == "gemini" else "gemini"
        targets = [f"{named(dialect)}/{model}", f"{named(other)}/{TARGETS[other]}"]
        routes += [(f"to-{dialect}", targets[:1]), (f"behind-{dialect}", targets)]
    with gateway(
        tmp_path_factory.mktemp("counting"), [upstream(d) for d in _targets.values()], routes
    ) as running:
        yield running


def well(told: Told) -> Told:
    assert told.error is None, told.error_text
    return told


@every_client
@pytest.mark.parametrize("dialect", COUNTING)
def test_a_client_of_each_dialect_gets_the_count_of_a_target_of_each(
    clients: dict[str, Sdk],
    targets: dict[str, Provider],
    house: Gateway,
    client: str,
    dialect: str,
) -> None:
    told = well(clients[client].ask("count", url=house.url, model=f"to-{dialect}"))
    (asked,) = targets[dialect].seen
    asked_of = asked.json.get("generateContentRequest", asked.json)
    said = next(asked_of[name] for name in ("messages", "contents", "input") if name in asked_of)
    # The double counts a quarter of the bytes of what was said.
    assert (
        told.tokens
        == len(json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()) // 4
    )
    assert "数到二十" in asked.body.decode() or "\\u6570" in asked.body.decode()


@every_client
def test_where_nobody_counts_it_is_said_so_and_no_number_is_made_up(
    clients: dict[str, Sdk], targets: dict[str, Provider], house: Gateway, client: str
) -> None:
    told = clients[client].ask("count", url=house.url, model="to-openai")
    assert told.status == 404
    assert "no target of the route for to-openai counts tokens" in told.error_text
    assert not targets["openai"].seen


@every_client
@pytest.mark.parametrize("says", NO_COUNT)
def test_a_target_without_a_count_is_passed_over_and_alone_it_is_a_404(
    clients: dict[str, Sdk], targets: dict[str, Provider], house: Gateway, client: str, says: str
) -> None:
    targets["anthropic"].count_nothing(*NO_COUNT[says])
    told = well(clients[client].ask("count", url=house.url, model="behind-anthropic"))
    assert (told.tokens or 0) > 3
    assert len(targets["anthropic"].seen) == len(targets["gemini"].seen) == 1
    alone = clients[client].ask("count", url=house.url, model="to-anthropic")
    assert alone.status == 404
    assert "no target of this route counts tokens" in alone.error_text
    # Nobody is ill for it: a second question meets the same target again.
    clients[client].ask("count", url=house.url, model="to-anthropic")
    assert len(targets["anthropic"].seen) == 3


@every_client
def test_a_stand_in_counts_while_the_first_choice_has_none(
    clients: dict[str, Sdk], targets: dict[str, Provider], house: Gateway, client: str
) -> None:
    told = well(clients[client].ask("count", url=house.url, model="behind-openai"))
    assert (told.tokens or 0) > 3
    assert not targets["openai"].seen
    assert len(targets["gemini"].seen) == 1


def test_an_unknown_model_is_told_of_in_its_providers_words(
    clients: dict[str, Sdk], targets: dict[str, Provider], house: Gateway
) -> None:
    told = clients["anthropic"].ask("count", url=house.url, model="of_anthropic/claude-0")
    assert (told.status, "model: claude-0" in told.error_text) == (404, True)
    targets["anthropic"].reset()  # that it refused was meant
