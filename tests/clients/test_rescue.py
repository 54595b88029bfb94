"""Fault × position × client: before the commit another answers whole, after it the SDK raises.

One gateway serves most cases. Each case has two providers of its own in it, by the doubles' doors,
so that no target rests because of another case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import NamedTuple

import pytest
from tests.clients.sdk import Sdk, Told, majors
from tests.doubles import acts, holes
from tests.doubles.acts import Act
from tests.doubles.provider import Provider
from tests.gateway import Gateway, Upstream, gateway

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
    "html_502": acts.html(502),
    "html_200": acts.html(200),
    "empty_200": acts.empty(),
    "error_first": acts.error_event(-1),
    "cut_head_fin": acts.cut("before_headers"),
    "cut_head_rst": acts.cut("before_headers", rst=True),
    "cut_body_fin": acts.cut("after_headers"),
    "cut_body_rst": acts.cut("after_headers", rst=True),
    "cut_eof": acts.cut("after_headers", eof=True),
    "cut_words": acts.cut("words", 0),
    "end_0": acts.end(0),
    "garbage_0": acts.garbage(0),
    "error_opening": acts.error_event(0),
    "stall_head": acts.stall("before_headers"),
    "stall_body": acts.stall("after_headers"),
    "stall_opening": acts.stall("words", 0),
}
# The same in an answer that is not streamed: nothing was said before it is whole.
WHOLE: dict[str, Act] = {
    "cut_middle": acts.cut("words", 8),
    "cut_middle_rst": acts.cut("words", 8, rst=True),
    "cut_middle_eof": acts.cut("utf8", 8, eof=True),
    "end_middle": acts.end(8),
    "garbage_middle": acts.garbage(8),
    "stall_middle": acts.stall("words", 8),
}
# Behind the first words: what was said stays, and the end is never clean.
LATE: dict[str, Act] = {
    "error": acts.error_event(8),
    "words_fin": acts.cut("words", 8),
    "words_rst": acts.cut("words", 8, rst=True),
    "words_eof": acts.cut("words", 8, eof=True),
    "event_fin": acts.cut("event", 8),
    "event_rst": acts.cut("event", 8, rst=True),
    "event_eof": acts.cut("event", 8, eof=True),
    "utf8_fin": acts.cut("utf8", 8),
    "utf8_rst": acts.cut("utf8", 8, rst=True),
    "end": acts.end(8),
    "end_all_words": acts.end(20),
    "garbage": acts.garbage(8),
    "stall": acts.stall("words", 8),
}
# Dials that go wrong.
DIALS = ["refused", "reset", "blackhole", "dns", "tls"]
WRONG = {
    "anthropic": {
        "invalid": b'{"type":"error", "error":{"type":"invalid_request_error","message":'
        b'"messages.0: \\u00fcber-long  spaces kept"},"request_id":"req_1"}',
        "filtered": b'{"type":"error","error":{"type":"invalid_request_error","message":"Output '
        b'blocked by content filtering policy"}}\n',
    },
    "openai": {
        "invalid": b'{\n  "error": {"message": "Invalid type for \'n\'", "type": '
        b'"invalid_request_error", "param": "n", "code": null}\n}\n',
        "filtered": b'{"error":{"message":"Your request was rejected", "type":'
        b'"invalid_request_error", "param":"messages", "code":"content_policy_violation"}}',
    },
}
CASES = [*EARLY, *WHOLE, *LATE, *DIALS, "invalid", "filtered"]


class Pair(NamedTuple):
    """One case: where to ask for which model, who is asked first, who stands in."""

    url: str
    model: str
    first: Provider
    second: Provider


@pytest.fixture(scope="module")
def shared(
    _doubles: dict[str, Provider], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Gateway, Provider]]:
    """A gateway with two providers for each case and dialect; and the host that nobody trusts."""
    with ExitStack() as stack:
        secret = stack.enter_context(Provider("omega", tls=holes.untrusted_tls(), key="none"))
        urls = {
            "refused": stack.enter_context(holes.refused()),
            "reset": stack.enter_context(holes.resets()),
            "blackhole": stack.enter_context(holes.blackhole()),
            "dns": "https://nowhere.invalid",
            "tls": secret.url,
        }
        upstreams, routes = [], []
        for dialect, pair in PAIRS.items():
            for case in CASES:
                names = [f"{double}_{case}" for double in pair]
                for double, name, url in zip(pair, names, (urls.get(case), None), strict=True):
                    at = _doubles[double]
                    upstreams.append(Upstream(name, dialect, url or at.url, at.key))
                targets = [f"{name}/{MODELS[dialect]}" for name in names]
                routes.append((f"{dialect}-{case}", targets))
        folder = tmp_path_factory.mktemp("rescue")
        yield stack.enter_context(gateway(folder, upstreams, routes, **SHORT)), secret


@pytest.fixture
def pair(
    shared: tuple[Gateway, Provider], doubles: dict[str, Provider]
) -> Callable[[str, str], Pair]:
    """The providers of a case in this dialect."""

    def get(name: str, case: str) -> Pair:
        first, second = (doubles[double] for double in PAIRS[name])
        return Pair(shared[0].url, f"{name}-{case}", first, second)

    return get


Pairs = Callable[[str, str], Pair]


def assert_saved(told: Told, one: Pair) -> None:
    """The stand-in's whole answer, exactly, and it says so; within the budget of attempts."""
    assert (told.error, told.text) == (None, one.second.text())
    assert told.stop in ("end_turn", "stop")
    assert (told.served_by or "").startswith(one.second.name)
    assert told.headers["x-holdfast-stand-in"] == "true"
    assert len(one.second.calls) == 1
    assert len(one.first.calls) + len(one.second.calls) <= min(4, told.attempts)


@pytest.mark.parametrize("case", EARLY)
def test_before_the_commit_the_stand_in_answers_whole(sdks: Get, pair: Pairs, case: str) -> None:
    """Streamed and not, one after the other, with the first choice failing both times."""
    name, old = majors()[list(EARLY).index(case) % 4]  # all four SDKs see faults of every kind
    one = pair(name, case)
    one.first.always(EARLY[case])
    for do in ("stream", "plain"):
        one.first.seen.clear()
        one.second.seen.clear()
        assert_saved(sdks(name, old).ask(do, url=one.url, model=one.model), one)


@pytest.mark.parametrize("case", WHOLE)
def test_an_unstreamed_answer_is_whole_or_from_the_stand_in(
    sdks: Get, pair: Pairs, case: str
) -> None:
    name, old = majors()[list(WHOLE).index(case) % 4]
    one = pair(name, case)
    one.first.always(WHOLE[case])
    assert_saved(sdks(name, old).ask("plain", url=one.url, model=one.model), one)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("case", DIALS)
def test_a_dial_that_goes_wrong_goes_elsewhere(
    sdks: Get, pair: Pairs, shared: tuple[Gateway, Provider], case: str, name: str
) -> None:
    """Nobody listens, a reset, a blackhole, no such name, a certificate of nobody's."""
    one = pair(name, case)
    told = sdks(name, case in DIALS[::2]).ask("stream", url=one.url, model=one.model)
    assert_saved(told, one)
    assert told.seconds < 4
    assert not one.first.calls
    assert not shared[1].seen, "a request went to a host that is not who it says"


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("case", LATE)
def test_after_the_commit_the_sdk_raises(sdks: Get, pair: Pairs, case: str, name: str) -> None:
    """What was said is said once and exactly; then the truth. Nobody else is asked."""
    act, old = LATE[case], list(LATE).index(case) % 2 == 1
    one = pair(name, case)
    one.first.always(act)
    told = sdks(name, old).ask("stream", url=one.url, model=one.model)
    assert told.error, "a broken stream was taken for an answer"
    assert told.text == one.first.text(act.after)
    assert told.stop is None
    assert len(one.first.calls) == 1
    assert not one.second.calls


@pytest.mark.parametrize(("name", "old"), majors())
@pytest.mark.parametrize("case", ["invalid", "filtered"])
@pytest.mark.parametrize("do", ["plain", "stream"])
def test_a_wrong_request_goes_to_no_second_target(
    sdks: Get, pair: Pairs, name: str, old: bool, case: str, do: str
) -> None:
    """400 comes back byte for byte, at once, and is not tried again."""
    one = pair(name, case)
    one.first.always(acts.status(400, WRONG[name][case]))
    told = sdks(name, old).ask(do, url=one.url, model=one.model, retries=2)
    assert (told.error, told.status) == ("BadRequestError", 400)
    assert told.body == WRONG[name][case].decode()
    assert len(one.first.calls) == 1
    assert not one.second.calls
    assert told.headers["x-holdfast-verdict"].startswith("request;")
