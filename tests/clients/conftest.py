"""What the tests with real clients share: SDK processes, doubles, the local engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.clients.sdk import Sdk, majors
from tests.doubles.provider import Provider
from tests.engine import BYTES, Engine, engine


@pytest.fixture(scope="session")
def sdks() -> Iterator[Callable[[str, bool], Sdk]]:
    """The SDK's process by name and age; they import their SDKs side by side."""
    running = {(name, old): Sdk(name, old=old) for name, old in majors()}
    yield lambda name, old: running[name, old]
    for sdk in running.values():
        sdk.close()


@pytest.fixture(scope="session")
def _doubles() -> Iterator[dict[str, Provider]]:
    with (
        Provider("alpha", "anthropic") as alpha,
        Provider("beta", "anthropic") as beta,
        Provider("gamma", "openai") as gamma,
        Provider("delta", "openai") as delta,
    ):
        yield {double.name: double for double in (alpha, beta, gamma, delta)}


@pytest.fixture
def doubles(_doubles: dict[str, Provider]) -> Iterator[dict[str, Provider]]:
    """alpha and beta speak Anthropic, gamma and delta OpenAI; no one has a complaint at the end."""
    for double in _doubles.values():
        double.reset()
    yield _doubles
    assert not [said for double in _doubles.values() for said in double.complaints]


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def local(models_folder: Path) -> Iterator[Engine]:
    """The real engine, which says printable ASCII."""
    with engine(models_folder) as running:
        yield running


@pytest.fixture(scope="session")
def byte_engine(models_folder: Path) -> Iterator[Engine]:
    """The real engine, which says any bytes and so breaks the grammar now and then."""
    with engine(models_folder, BYTES) as running:
        yield running
