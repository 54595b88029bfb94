"""Fault × position × client: before the commit another answers whole, after it the SDK raises.

Each case has a gateway of its own, so that no target rests because of another case.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.clients.sdk import Sdk, Told, majors
from tests.doubles import acts, holes
from tests.doubles.acts import Act
from tests.doubles.provider import Provider
from tests.gateway import Gateway, Upstream, gateway, upstream

MODELS = {"anthropic": "claude-haiku-5", "openai": "gpt-5.1"}
PAIRS = {"anthropic": ("alpha", "beta"), "openai": ("gamma", "delta")}
SHORT = {"connect_s": 1.0, "headers_s": 1.0, "content_s": 1.0, "idle_s": 1.0, "whole_s": 1.5}
ARTICLE = (
    b'{"type":"error","error":{"type":"permission_error","message":"Account is no longer a '
    b'member of the organization associated with this token."}}'
)
Get = Callable[[str, bool], Sdk]

# Faults that another target can make good, in whatever way the answer was asked for.
EARLY: dict[str, Act] = {
    "401": acts.status(401),
    "402": acts.status(402),
    "403": acts.status(403, ARTICLE),
    "408": acts.status(408),
    "429": acts.status(429, retry_after="30"),
    "500": acts.status(500),
    "503": acts.status(503),
    "529": acts.status(529),
    "html-502": acts.html(502),
    "html-200": acts.html(200),
    "empty-200": acts.empty(),
    "error-first": acts.error_event(-1),
    "cut-head-fin": acts.cut("before_headers"),
    "cut-head-rst": acts.cut("before_headers", rst=True),
    "cut-body-fin": acts.cut("after_headers"),
    "cut-body-rst": acts.cut("after_headers", rst=True),
    "cut-eof": acts.cut("after_headers", eof=True),
    "cut-words": acts.cut("words", 0),
    "end-0": acts.end(0),
    "garbage-0": acts.garbage(0),
    "error-opening": acts.error_event(0),
    "stall-head": acts.stall("before_headers"),
    "stall-body": acts.stall("after_headers"),
    "stall-opening": acts.stall("words", 0),
}
# The same in an answer that is not streamed: nothing was said before it is whole.
WHOLE: dict[str, Act] = {
    "cut-middle": acts.cut("words", 8),
    "cut-middle-rst": acts.cut("words", 8, rst=True),
    "cut-middle-eof": acts.cut("utf8", 8, eof=True),
    "end-middle": acts.end(8),
    "garbage-middle": acts.garbage(8),
    "stall-middle": acts.stall("words", 8),
}
# Behind the first words: what was said stays, and the end is never clean.
LATE: dict[str, Act] = {
    "error": acts.error_event(8),
    "cut-fin": acts.cut("words", 8),
    "cut-rst": acts.cut("words", 8, rst=True),
    "cut-eof": acts.cut("words", 8, eof=True),
    "event-fin": acts.cut("event", 8),
    "event-rst": acts.cut("event", 8, rst=True),
    "event-eof": acts.cut("event", 8, eof=True),
    "utf8-fin": acts.cut("utf8", 8),
    "utf8-rst": acts.cut("utf8", 8, rst=True),
    "end": acts.end(8),
    "end-all-words": acts.end(20),
    "garbage": acts.garbage(8),
    "stall": acts.stall("words", 8),
}
# Dials that go wrong.
DIALS = ["refused", "reset", "blackhole", "dns", "tls"]


def clients(index: int) -> tuple[str, bool]:
    """One of the four SDKs for this case: all of them see faults of every kind."""
    return majors()[index % 4]


@contextmanager
def pair(
    doubles: dict[str, Provider], folder: Path, name: str, first_url: str = "", **limits: float
) -> Iterator[tuple[Gateway, Provider, Provider]]:
    """A gateway with a first choice and a stand-in of the client's dialect."""
    first, second = (doubles[double] for double in PAIRS[name])
    upstreams = [upstream(first, first_url), upstream(second)]
    targets = [f"{first.name}/*", f"{second.name}/*"]
    with gateway(folder, upstreams, [("*", targets)], **{**SHORT, **limits}) as running:
        yield running, first, second


def assert_saved(told: Told, first: Provider, second: Provider) -> None:
    """The stand-in's whole answer, exactly, and it says so; within the budget of attempts."""
    assert (told.error, told.text) == (None, second.text())
    assert told.stop in ("end_turn", "stop")
    assert (told.served_by or "").startswith(second.name)
    assert told.headers["x-holdfast-stand-in"] == "true"
    assert len(second.calls) == 1
    assert len(first.calls) + len(second.calls) <= min(4, told.attempts)


@pytest.mark.parametrize("case", EARLY)
def test_before_the_commit_the_stand_in_answers_whole(
    sdks: Get, doubles: dict[str, Provider], tmp_path: Path, case: str
) -> None:
    """Streamed and not, one after the other, with the first choice failing both times."""
    name, old = clients(list(EARLY).index(case))
    with pair(doubles, tmp_path, name) as (running, first, second):
        first.always(EARLY[case])
        for do in ("stream", "plain"):
            first.seen.clear()
            second.seen.clear()
            told = sdks(name, old).ask(do, url=running.url, model=MODELS[name])
            assert_saved(told, first, second)


@pytest.mark.parametrize("case", WHOLE)
def test_an_unstreamed_answer_is_whole_or_from_the_stand_in(
    sdks: Get, doubles: dict[str, Provider], tmp_path: Path, case: str
) -> None:
    name, old = clients(list(WHOLE).index(case))
    with pair(doubles, tmp_path, name) as (running, first, second):
        first.always(WHOLE[case])
        told = sdks(name, old).ask("plain", url=running.url, model=MODELS[name])
        assert_saved(told, first, second)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("case", DIALS)
def test_a_dial_that_goes_wrong_goes_elsewhere(
    sdks: Get, doubles: dict[str, Provider], tmp_path: Path, case: str, name: str
) -> None:
    """Nobody listens, a reset, a blackhole, no such name, a certificate of nobody's."""
    with ExitStack() as stack:
        if case == "refused":
            url = stack.enter_context(holes.refused())
        elif case == "reset":
            url = stack.enter_context(holes.resets())
        elif case == "blackhole":
            url = stack.enter_context(holes.blackhole())
        elif case == "dns":
            url = "https://nowhere.invalid"
        else:
            secret = stack.enter_context(
                Provider("omega", name, tls=holes.untrusted_tls(), key="none")
            )
            url = secret.url
        with pair(doubles, tmp_path, name, url) as (running, first, second):
            told = sdks(name, case in DIALS[::2]).ask("stream", url=running.url, model=MODELS[name])
            assert_saved(told, first, second)
            assert told.seconds < 4
            if case == "tls":
                assert not secret.seen


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("case", LATE)
def test_after_the_commit_the_sdk_raises(
    sdks: Get, doubles: dict[str, Provider], tmp_path: Path, case: str, name: str
) -> None:
    """What was said is said once and exactly; then the truth. Nobody else is asked."""
    act = LATE[case]
    old = list(LATE).index(case) % 2 == 1
    with pair(doubles, tmp_path, name) as (running, first, second):
        first.always(act)
        told = sdks(name, old).ask("stream", url=running.url, model=MODELS[name])
        assert told.error, "a broken stream was taken for an answer"
        assert told.text == first.text(act.after)
        assert told.stop is None
        assert len(first.calls) == 1
        assert not second.calls


WRONG = {
    "anthropic": b'{"type":"error", "error":{"type":"invalid_request_error","message":'
    b'"messages.0: \\u00fcber-long  spaces kept"},"request_id":"req_1"}',
    "openai": b'{\n  "error": {"message": "Your request was rejected", "type": '
    b'"invalid_request_error", "param": "messages", "code": "content_policy_violation"}\n}\n',
}


@pytest.mark.parametrize(("name", "old"), majors())
@pytest.mark.parametrize("do", ["plain", "stream"])
def test_a_wrong_request_goes_to_no_second_target(
    sdks: Get, doubles: dict[str, Provider], tmp_path: Path, name: str, old: bool, do: str
) -> None:
    """400 comes back byte for byte, at once, and is not tried again."""
    with pair(doubles, tmp_path, name) as (running, first, second):
        first.always(acts.status(400, WRONG[name]))
        told = sdks(name, old).ask(do, url=running.url, model=MODELS[name], retries=2)
    assert (told.error, told.status) == ("BadRequestError", 400)
    assert told.body == WRONG[name].decode()
    assert len(first.calls) == 1
    assert not second.calls
    assert told.headers["x-holdfast-verdict"].startswith("request;")


@pytest.mark.parametrize(("name", "old"), majors())
@pytest.mark.parametrize("do", ["plain", "stream"])
def test_a_stand_in_may_speak_the_other_dialect(
    sdks: Get, doubles: dict[str, Provider], tmp_path: Path, name: str, old: bool, do: str
) -> None:
    """Plain text with a system prompt crosses both ways; the strict double has no objection."""
    first, second = ("alpha", "gamma") if name == "anthropic" else ("gamma", "alpha")
    other = MODELS["openai" if name == "anthropic" else "anthropic"]
    upstreams = [upstream(doubles[first]), upstream(doubles[second])]
    doubles[first].always(acts.status(529))
    routes = [("*", [f"{first}/*", f"{second}/{other}"])]
    with gateway(tmp_path, upstreams, routes, **SHORT) as running:
        told = sdks(name, old).ask(do, url=running.url, model=MODELS[name], usage=True)
    assert (told.error, told.text) == (None, doubles[second].text())
    assert told.stop == ("end_turn" if name == "anthropic" else "stop")
    assert told.tokens == 20
    assert told.served_by == f"{second}/{other}"
    (call,) = doubles[second].calls
    assert call.refused is None
    assert "You count." in call.body.decode()
    assert "数到二十" in json.dumps(call.json, ensure_ascii=False)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("case", ["end", "cut-rst", "error", "utf8-fin", "stall"])
def test_a_break_in_the_other_dialect_raises_too(
    sdks: Get, doubles: dict[str, Provider], tmp_path: Path, case: str, name: str
) -> None:
    """A stand-in of the other dialect that breaks off is not ended cleanly by the crossing."""
    second = doubles["gamma" if name == "anthropic" else "alpha"]
    other = MODELS["openai" if name == "anthropic" else "anthropic"]
    second.always(LATE[case])
    routes = [("*", [f"{second.name}/{other}"])]
    with gateway(tmp_path, [upstream(second)], routes, **SHORT) as running:
        told = sdks(name, False).ask("stream", url=running.url, model=MODELS[name])
    assert told.error, "a broken stream was taken for an answer"
    assert told.text == second.text(8)


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
                assert len(second.calls) <= 4
                assert "x-should-retry" in told.headers
        finally:
            first.up()


def test_a_dead_first_choice_rests_and_is_taken_back(
    sdks: Get, doubles: dict[str, Provider], tmp_path: Path
) -> None:
    """Ten calls do not ask it ten times; within 30 s of its recovery it serves again."""
    sdk = sdks("anthropic", False)
    with pair(doubles, tmp_path, "anthropic") as (running, first, second):
        first.always(acts.status(403, ARTICLE))
        for _ in range(10):
            told = sdk.ask("plain", url=running.url, model=MODELS["anthropic"])
            assert (told.error, told.text) == (None, second.text())
        assert len(first.calls) <= 3
        first.always(acts.ok())
        end = time.monotonic() + 30
        while told.served_by != f"alpha/{MODELS['anthropic']}":
            assert time.monotonic() < end, "the first choice was not taken back"
            time.sleep(0.25)
            told = sdk.ask("plain", url=running.url, model=MODELS["anthropic"])
            assert told.error is None


def test_a_connection_that_went_stale_is_dialled_anew(
    sdks: Get, doubles: dict[str, Provider], tmp_path: Path
) -> None:
    """A kept connection that the provider closed is nobody's failure: same provider, no error."""
    with pair(doubles, tmp_path, "anthropic") as (running, first, second):
        for _ in range(6):
            told = sdks("anthropic", False).ask("plain", url=running.url, model=MODELS["anthropic"])
            assert (told.error, told.text) == (None, first.text())
            first.drop()
        assert not second.calls


def test_keys_go_to_their_own_provider(
    sdks: Get, doubles: dict[str, Provider], tmp_path: Path
) -> None:
    """On the way past a failing first choice no key or cookie meets the wrong host, nor the log."""
    with pair(doubles, tmp_path, "anthropic") as (running, first, second):
        first.always(acts.status(401))
        told = sdks("anthropic", False).ask("plain", url=running.url, model=MODELS["anthropic"])
        assert told.error is None
        assert first.key.encode() in first.calls[0].head
        for key in (first.key, "client-key"):
            assert key.encode() not in second.calls[0].head
        pages = json.dumps([running.get("/-/status.json"), told.headers])
    for secret in (first.key, second.key, "client-key"):
        assert secret not in pages + running.log
        for file in (tmp_path / "data").rglob("*"):
            assert not file.is_file() or secret.encode() not in file.read_bytes()


def test_a_local_key_is_not_needed(sdks: Get, doubles: dict[str, Provider], tmp_path: Path) -> None:
    """An upstream without a key gets none, the client's least of all."""
    beta = doubles["beta"]
    here = Upstream("beta", "anthropic", beta.url)
    with gateway(tmp_path, [here], [("*", ["beta/*"])], **SHORT) as running:
        told = sdks("anthropic", False).ask("plain", url=running.url, model=MODELS["anthropic"])
    assert told.status == 401
    assert b"client-key" not in beta.seen[0].head
