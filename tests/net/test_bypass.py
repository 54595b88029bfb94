"""When our own code breaks before the first byte, the traffic passes."""

from __future__ import annotations

import http.client
import json
from urllib.parse import urlsplit

import pytest
from tests.doubles.provider import Provider as Double
from tests.net.flying import DataPlane

from holdfast.facts.places import Provider
from holdfast.net import front as front_module
from holdfast.wire import speak

BODY = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}]}


def broken(*_: object, **__: object) -> None:
    raise ZeroDivisionError("a fault of ours")


def ask(url: str) -> tuple[int, dict[str, object]]:
    """One plain call; its status and body."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port or 0, timeout=10)
    headers = {"content-type": "application/json", "anthropic-version": "2023-06-01"}
    connection.request("POST", "/v1/messages", json.dumps(BODY), headers)
    reply = connection.getresponse()
    found = json.loads(reply.read())
    connection.close()
    return reply.status, found


@pytest.mark.parametrize(
    ("place", "name"),
    [(front_module, "plan"), (front_module, "Flight"), (speak, "peek"), (speak, "tap")],
    ids=["plan", "flight", "peek", "tap"],
)
def test_a_fault_of_ours_costs_nobody_the_answer(
    monkeypatch: pytest.MonkeyPatch, place: object, name: str
) -> None:
    """The raw request reaches its provider, the raw answer the client, and the book has both."""
    monkeypatch.setattr(place, name, broken)
    with Double("first", "anthropic") as double:
        monkeypatch.setitem(BODY, "model", double.models[0])
        provider = Provider(name="first", dialects=("anthropic",), base_url=double.url)
        with DataPlane({"*": ("first/*",)}, provider, key=double.key.encode()) as plane:
            status, answer = ask(plane.url)
            book = plane.book
        assert status == 200, answer
        assert answer["type"] == "message"
        assert plane.crashes == []
        assert book.intents[-1].why == "passed through raw"
        assert book.settled[-1].outcome == "ok"
        assert book.exchanges[-1].outcome == "bypassed"
        # The tap breaks behind the first answer's head, so its request had left already.
        assert len(double.calls) == (2 if name == "tap" else 1)


def test_a_provider_that_is_away_as_well_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our fault and theirs at once: an error in the client's dialect that names both."""
    monkeypatch.setattr(front_module, "plan", broken)
    provider = Provider(name="first", dialects=("anthropic",), base_url="http://127.0.0.1:9")
    with DataPlane({"*": ("first/*",)}, provider, key=b"k" * 20) as plane:
        status, answer = ask(plane.url)
        assert status == 502
        assert "holdfast's own code failed" in str(answer)
        assert plane.book.settled[-1].outcome == "failed"


def test_without_a_provider_of_the_dialect_our_fault_is_owned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where nobody could take the raw request, the client hears whose fault it is."""
    monkeypatch.setattr(front_module, "plan", broken)
    provider = Provider(name="first", dialects=("openai",), base_url="http://127.0.0.1:9")
    with DataPlane({"*": ("first/*",)}, provider, key=b"k" * 20) as plane:
        status, answer = ask(plane.url)
        assert status == 500
        assert "holdfast's own code failed" in str(answer)
