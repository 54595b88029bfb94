"""Trouble over time: all down, waits asked for, rest and return, whose key is whose."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.clients.sdk import Sdk, majors
from tests.doubles import acts
from tests.doubles.provider import Provider
from tests.gateway import Gateway, Upstream, gateway, upstream

MODELS = {"anthropic": "claude-haiku-5", "openai": "gpt-5.1"}
PAIRS = {"anthropic": ("alpha", "beta"), "openai": ("gamma", "delta")}
SHORT = {"connect_s": 1.0, "headers_s": 1.0, "content_s": 1.0, "idle_s": 1.0, "whole_s": 1.5}
MINE = MODELS["anthropic"]
Get = Callable[[str, bool], Sdk]


@contextmanager
def pair(
    doubles: dict[str, Provider], folder: Path, name: str = "anthropic"
) -> Iterator[tuple[Gateway, Provider, Provider]]:
    """A gateway with a first choice and a stand-in of the client's dialect."""
    first, second = (doubles[double] for double in PAIRS[name])
    targets = [f"{first.name}/*", f"{second.name}/*"]
    upstreams = [upstream(first), upstream(second)]
    with gateway(folder, upstreams, [("*", targets)], **SHORT) as running:
        yield running, first, second


@pytest.mark.parametrize(("name", "old"), majors())
def test_with_everything_down_the_truth_comes_soon(
    sdks: Get, doubles: dict[str, Provider], tmp_path: Path, name: str, old: bool
) -> None:
    """Within 2 s, in the client's dialect, streamed and not, at most 4 attempts; each time."""
    with pair(doubles, tmp_path, name) as (running, first, second):
        first.down()
        second.always(acts.status(529))
        try:
            for do in ("plain", "stream", "plain"):
                second.seen.clear()
                told = sdks(name, old).ask(do, url=running.url, model=MODELS[name])
                assert told.error
                assert (told.status or 0) >= 500
                assert told.seconds < 2
                assert json.loads(told.body or "")["error"]["message"]
                assert len(second.calls) <= told.attempts <= 4
                assert told.headers["x-should-retry"] in ("true", "false")
                if told.headers["x-should-retry"] == "true":
                    assert 0 < float(told.headers["retry-after"]) <= 60
        finally:
            first.up()


@pytest.mark.parametrize("name", PAIRS)
def test_a_wait_that_a_provider_asks_for_is_kept(
    sdks: Get, doubles: dict[str, Provider], tmp_path: Path, name: str
) -> None:
    """429 with `retry-after: 2`: nobody knocks there for 2 s, then it is the first choice again."""
    sdk = sdks(name, False)
    with pair(doubles, tmp_path, name) as (running, first, second):
        first.play(acts.status(429, retry_after="2"))
        while not first.calls or time.monotonic() < first.calls[0].at + 1.8:
            told = sdk.ask("plain", url=running.url, model=MODELS[name])
            assert (told.error, told.text) == (None, second.text())
            time.sleep(0.1)
        end = time.monotonic() + 10
        while told.text != first.text():
            assert time.monotonic() < end, "the first choice was not taken back"
            told = sdk.ask("plain", url=running.url, model=MODELS[name])
            time.sleep(0.1)
        limited, again = first.calls[:2]
        assert again.at - limited.at >= 1.99


def test_a_lone_target_that_came_back_slower_is_found_by_the_sdks_own_retries(
    sdks: Get, doubles: dict[str, Provider], tmp_path: Path
) -> None:
    """The first word is the truth, within two seconds; who asks again is waited for longer."""
    only, sdk = doubles["alpha"], sdks("anthropic", False)
    limits = {"headers_s": 2.5, "content_s": 2.5}
    with gateway(tmp_path, [upstream(only)], [("*", ["alpha/*"])], **limits) as running:
        assert sdk.ask("stream", url=running.url, model=MINE).error is None
        only.always(acts.stall("after_headers"))
        assert sdk.ask("stream", url=running.url, model=MINE).error
        only.always(acts.slow(first_s=2.0))
        told = sdk.ask("stream", url=running.url, model=MINE)
        assert told.error
        assert "within 1.5 s" in (told.body or "")
        assert told.seconds < 2
        told = sdk.ask("stream", url=running.url, model=MINE, retries=2)
        assert (told.error, told.text) == (None, only.text())
        assert sdk.ask("stream", url=running.url, model=MINE).error is None


def test_a_wait_that_nobody_can_shorten_is_told(
    sdks: Get, doubles: dict[str, Provider], tmp_path: Path
) -> None:
    """Both are limited: the client's SDK is told when to come back, and is answered then."""
    with pair(doubles, tmp_path) as (running, first, second):
        for double in (first, second):
            double.play(acts.status(429, retry_after="1"))
        told = sdks("anthropic", False).ask("plain", url=running.url, model=MINE)
        if told.error:
            assert told.status == 429
            assert 0 < float(told.headers["retry-after"]) <= 2
            told = sdks("anthropic", False).ask("plain", url=running.url, model=MINE, retries=3)
        assert told.error is None
        for double in (first, second):
            assert all(
                b.at - a.at >= 0.99 for a, b in zip(double.calls, double.calls[1:], strict=False)
            )


def test_a_dead_first_choice_rests_and_is_taken_back(
    sdks: Get, doubles: dict[str, Provider], tmp_path: Path
) -> None:
    """Ten calls do not ask it ten times; within 30 s of its recovery it serves again."""
    sdk = sdks("anthropic", False)
    with pair(doubles, tmp_path) as (running, first, second):
        first.down()
        for _ in range(10):
            told = sdk.ask("plain", url=running.url, model=MINE)
            assert (told.error, told.text) == (None, second.text())
        first.up()
        end = time.monotonic() + 30
        while told.served_by != f"alpha/{MINE}":
            assert time.monotonic() < end, "the first choice was not taken back"
            time.sleep(0.25)
            told = sdk.ask("plain", url=running.url, model=MINE)
            assert told.error is None


def test_an_account_that_is_out_is_not_asked_by_every_call(
    sdks: Get, doubles: dict[str, Provider], tmp_path: Path
) -> None:
    """The article's 403: ten calls ask it a few times at most, and none of them fails."""
    body = b'{"type":"error","error":{"type":"permission_error","message":"Account is no longer a '
    body += b'member of the organization associated with this token."}}'
    with pair(doubles, tmp_path) as (running, first, second):
        first.always(acts.status(403, body))
        for _ in range(10):
            told = sdks("anthropic", False).ask("plain", url=running.url, model=MINE)
            assert (told.error, told.text) == (None, second.text())
        assert 1 <= len(first.calls) <= 3


def test_a_connection_that_went_stale_is_dialled_anew(
    sdks: Get, doubles: dict[str, Provider], tmp_path: Path
) -> None:
    """A kept connection that the provider closed is nobody's failure: same provider, no error."""
    with pair(doubles, tmp_path) as (running, first, second):
        for _ in range(6):
            told = sdks("anthropic", False).ask("plain", url=running.url, model=MINE)
            assert (told.error, told.text) == (None, first.text())
            first.drop()
        assert not second.calls


def test_keys_go_to_their_own_provider(
    sdks: Get, doubles: dict[str, Provider], tmp_path: Path
) -> None:
    """On the way past a failing first choice no key or cookie meets the wrong host, nor the log."""
    with pair(doubles, tmp_path) as (running, first, second):
        first.always(acts.status(401))
        told = sdks("anthropic", False).ask("plain", url=running.url, model=MINE)
        assert told.error is None
        assert first.key.encode() in first.calls[0].head
        assert b"client-key" not in first.calls[0].head
        for key in (first.key, "client-key"):
            assert key.encode() not in second.calls[0].head
        pages = json.dumps([running.get("/-/status.json"), told.headers])
    for secret in (first.key, second.key, "client-key"):
        assert secret not in pages + running.log
        for file in (tmp_path / "data").rglob("*"):
            assert not file.is_file() or secret.encode() not in file.read_bytes()


def test_a_key_that_an_upstream_echoes_is_masked(
    sdks: Get, doubles: dict[str, Provider], tmp_path: Path
) -> None:
    """Our key in a provider's error never reaches the client, the log or the ledger."""
    alpha = doubles["alpha"]
    echo = json.dumps({"type": "error", "error": {"type": "x", "message": f"bad {alpha.key}!"}})
    alpha.always(acts.status(400, echo.encode()))
    with gateway(tmp_path, [upstream(alpha)], [("*", ["alpha/*"])], **SHORT) as running:
        told = sdks("anthropic", False).ask("plain", url=running.url, model=MINE)
        assert told.status == 400
        assert "bad " in (told.body or "")
        pages = json.dumps([running.get("/-/status.json"), told.headers, told.body])
    assert alpha.key not in pages + running.log
    for file in (tmp_path / "data").rglob("*"):
        assert not file.is_file() or alpha.key.encode() not in file.read_bytes()


@pytest.mark.parametrize(("name", "old"), majors())
def test_the_clients_own_key_goes_where_it_is_meant_to(
    sdks: Get, doubles: dict[str, Provider], tmp_path: Path, name: str, old: bool
) -> None:
    """`key = "client"` forwards it to that provider; the stand-in gets its own and not this one."""
    first, second = (doubles[double] for double in PAIRS[name])
    theirs = Upstream(first.name, name, first.url, "client")
    routes = [("*", [f"{first.name}/*", f"{second.name}/*"])]
    with gateway(tmp_path, [theirs, upstream(second)], routes, **SHORT) as running:
        task = {"url": running.url, "model": MODELS[name], "key": first.key}
        told = sdks(name, old).ask("plain", **task)
        assert (told.error, told.text) == (None, first.text())
        first.always(acts.status(529))
        told = sdks(name, old).ask("plain", **task)
        assert (told.error, told.text) == (None, second.text())
    assert first.key.encode() not in second.calls[0].head
    assert first.key not in running.log
    for file in (tmp_path / "data").rglob("*"):
        assert not file.is_file() or first.key.encode() not in file.read_bytes()


def test_a_local_key_is_not_needed(sdks: Get, doubles: dict[str, Provider], tmp_path: Path) -> None:
    """An upstream without a key gets none, the client's least of all."""
    beta = doubles["beta"]
    here = Upstream("beta", "anthropic", beta.url)
    with gateway(tmp_path, [here], [("*", ["beta/*"])], **SHORT) as running:
        told = sdks("anthropic", False).ask("plain", url=running.url, model=MINE)
    assert told.status == 401
    assert b"client-key" not in beta.seen[0].head
