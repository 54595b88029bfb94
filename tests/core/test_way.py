"""What steps come to: the table, by the ways that lead to each finding, and its laws."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.way import OVERALL_S, PER_PROVIDER_S, due, finding, observation_of
from holdfast.facts.network import Climb, Distrust, Finding, Rung, Step

HOST = "them.test"
LINK = (Step(rung="link", host="", ok=True, family="v4"),)
BOTH = (*LINK, Step(rung="link", host="", ok=True, family="v6"))
NO_LINK = (Step(rung="link", host="", ok=False, family="v4", text="no way out"),)


def climbed(host: str, up_to: str = "http", family: str = "v4", **failed: Any) -> tuple[Step, ...]:
    """A host climbed up to a rung; with `text` or `distrust`, that rung failed."""
    rungs = ("dns", "tcp", "tls", "http")
    taken = rungs[: rungs.index(up_to) + 1]
    proxied = failed.pop("proxied", False)
    return tuple(
        Step(rung=rung, host=host, ok=True, family=family, proxied=proxied)
        if rung != up_to or not failed
        else Step(rung=rung, host=host, ok=False, family=family, proxied=proxied, **failed)
        for rung in taken
    )


def unnamed(host: str) -> tuple[Step, ...]:
    return climbed(host, "dns", text="no name server answers")


def portal(**about: Any) -> tuple[Step, ...]:
    return (Step(rung="portal", host="portal.test", **about),)


BARE = tuple(step for step in climbed("192.0.2.9") if step.rung != "dns")
GOOD = climbed("one.test")
DEAD = climbed("one.test", "tcp", text="one.test: nothing")
DOWN = climbed(HOST, "tcp", text="them.test: refused")
UP = climbed(HOST)


@pytest.mark.parametrize(
    ("steps", "host", "found"),
    [
        (LINK + GOOD, "", "well"),
        (LINK + GOOD + UP, HOST, "well"),
        (LINK + DEAD + UP, HOST, "well"),
        (LINK + GOOD + DOWN, HOST, "host"),
        (LINK + GOOD + climbed(HOST, "http", text="no answer"), HOST, "host"),
        (LINK + GOOD + unnamed(HOST), HOST, "host"),
        (LINK + GOOD + climbed(HOST, "tls", distrust="expired"), HOST, "host"),
        (LINK + GOOD + climbed(HOST, "tls", distrust="name"), HOST, "host"),
        (LINK + GOOD + climbed(HOST, "tls", distrust="issuer"), HOST, "intercepted"),
        (LINK + climbed("one.test", "tls", distrust="issuer"), "", "intercepted"),
        (LINK + GOOD + climbed("two.test", "tls", distrust="issuer"), "", "well"),
        (LINK + climbed("one.test", "tls", distrust="issuer") + UP, HOST, "well"),
        (LINK + climbed("one.test", "tls", distrust="issuer") + DOWN, HOST, "intercepted"),
        (
            LINK
            + climbed("one.test", "tls", distrust="name")
            + climbed(HOST, "tls", distrust="name"),
            HOST,
            "intercepted",
        ),
        (
            LINK
            + climbed("one.test", "tls", distrust="expired")
            + climbed("two.test", "tls", distrust="early"),
            "",
            "unclear",
        ),
        (LINK + unnamed("one.test") + BARE + unnamed(HOST), HOST, "dns"),
        (LINK + unnamed("one.test") + BARE, "", "dns"),
        (LINK + unnamed("one.test") + unnamed(HOST), HOST, "offline"),
        (LINK + DEAD + DOWN, HOST, "offline"),
        (NO_LINK + DEAD + DOWN, HOST, "offline"),
        (NO_LINK, "", "offline"),
        (LINK + DOWN, HOST, "unclear"),
        ((), "", "unclear"),
        (LINK + DEAD + portal(ok=False, status=302), "", "portal"),
        (
            LINK + climbed("one.test", "tls", distrust="issuer") + portal(ok=False, status=200),
            "",
            "portal",
        ),
        (LINK + GOOD + portal(ok=False, status=302), "", "well"),
        (LINK + DEAD + portal(ok=False), "", "offline"),
        (BOTH + UP + climbed(HOST, "tcp", "v6", text="no"), HOST, "ipv6"),
        (BOTH + climbed(HOST, family="v6") + climbed(HOST, "tcp", text="no"), HOST, "ipv6"),
        (LINK + UP + climbed(HOST, "tcp", "v6", text="no"), HOST, "well"),
        (
            BOTH + UP + climbed(HOST, "tcp", "v6", text="no") + climbed("one.test", family="v6"),
            HOST,
            "well",
        ),
        (
            BOTH
            + GOOD
            + climbed("one.test", "tcp", "v6", text="no")
            + climbed(HOST, "tcp", "v6", text="no"),
            HOST,
            "ipv6",
        ),
        (LINK + UP + climbed(HOST, "tcp", "", proxied=True, text="no"), HOST, "proxy"),
        (LINK + UP + climbed(HOST, "tcp", "", proxied=True, status=407), HOST, "well"),
        (LINK + DOWN + climbed(HOST, "http", "", proxied=True), HOST, "proxy"),
        (LINK + DEAD + climbed(HOST, "tcp", "", proxied=True, text="no"), HOST, "proxy"),
        (NO_LINK + DEAD + climbed(HOST, "tcp", "", proxied=True, text="no"), HOST, "offline"),
        (LINK + GOOD + DOWN + climbed(HOST, "http", "", proxied=True), HOST, "host"),
    ],
)
def test_the_table(steps: tuple[Step, ...], host: str, found: Finding) -> None:
    assert finding(steps, host)[0] == found


def test_reasons_sum_up_first_and_leave_out_what_stopped_nothing() -> None:
    steps = (*LINK, *GOOD, Step(rung="dns", host="one.test", ok=False, family="v6", text="none"))
    _, because = finding((*steps, *DOWN), HOST)
    assert because == ("others are reached, them.test is not", "them.test: refused")
    assert finding(steps)[1] == ("the hosts can be reached",)


def test_one_issuer_for_all_is_worth_a_sentence() -> None:
    def signed(host: str, issuer: str) -> tuple[Step, ...]:
        tls = Step(rung="tls", host=host, ok=True, family="v4", issuer=issuer)
        return (tls, Step(rung="http", host=host, ok=True, family="v4"))

    same = signed("one.test", "Corp CA") + signed("two.test", "Corp CA")
    found, because = finding(same + signed(HOST, "Corp CA"), HOST)
    assert found == "well"
    assert because[1:] == ("every host's certificate is signed by Corp CA",)
    assert finding(same + signed(HOST, "Another"), HOST)[1][1:] == ()
    assert finding(same)[1][1:] == ()  # two may well have the same


STEPS = st.lists(
    st.builds(
        Step,
        rung=st.sampled_from(get_args(Rung)),
        host=st.sampled_from(["", HOST, "one.test", "two.test"]),
        ok=st.booleans(),
        family=st.sampled_from(["", "v4", "v6"]),
        proxied=st.booleans(),
        distrust=st.sampled_from(get_args(Distrust)),
        status=st.sampled_from([None, 200, 302, 407]),
        text=st.sampled_from(["", "a", "b", "c", "d", "e", "f"]),
    ),
    max_size=14,
)


@given(steps=STEPS, host=st.sampled_from(["", HOST]), data=st.data())
def test_any_steps_in_any_order_come_to_one_finding(
    steps: list[Step], host: str, data: st.DataObject
) -> None:
    found, because = finding(steps, host)
    assert found in get_args(Finding)
    assert because[0]
    assert len(because) <= 5
    turned = data.draw(st.permutations(steps))
    assert finding(turned, host)[0] == found


@given(steps=STEPS)
def test_a_host_that_answers_directly_is_never_blamed(steps: list[Step]) -> None:
    met = [*steps, Step(rung="http", host=HOST, ok=True, family="v4")]
    assert finding(met, HOST)[0] in ("well", "ipv6", "proxy")


@given(steps=STEPS)
def test_a_host_is_blamed_only_while_others_are_reached(steps: list[Step]) -> None:
    if finding(steps, HOST)[0] == "host":
        reached = {s.host for s in steps if s.ok and s.rung in ("tls", "http") and not s.proxied}
        assert reached - {HOST}


@pytest.mark.parametrize(
    ("found", "steps", "ok"),
    [
        ("well", (), True),
        ("host", (), True),
        ("ipv6", (), True),
        ("proxy", UP, True),
        ("proxy", climbed(HOST, proxied=True), False),
        ("dns", (), False),
        ("portal", (), False),
        ("intercepted", (), False),
        ("offline", (), False),
        ("unclear", (), False),
    ],
)
def test_an_observation_says_whether_the_plain_network_works(
    found: Finding, steps: tuple[Step, ...], ok: bool
) -> None:
    climb = Climb(wall=9.0, provider="them", finding=found, steps=steps, because=("a", "b"))
    told = observation_of(climb, 5.0)
    assert (told.at, told.wall, told.kind, told.provider) == (5.0, 9.0, "network", "them")
    assert (told.ok, told.failure_kind, told.text) == (ok, found, "a; b")


def test_pace() -> None:
    assert due(0.0, "a", {})
    assert not due(14.9, "b", {"a": 0.0})
    assert due(15.0, "b", {"a": 0.0})
    assert not due(29.9, "a", {"a": 0.0})
    assert due(30.0, "a", {"a": 0.0, "b": 15.0})


@given(st.lists(st.tuples(st.floats(0, 20), st.sampled_from(["", "a", "b"])), max_size=60))
def test_no_pace_is_ever_exceeded(asked: list[tuple[float, str]]) -> None:
    at, climbed_at = 0.0, dict[str, float]()
    log: list[tuple[float, str]] = []
    for later_s, provider in asked:
        at += later_s
        if due(at, provider, climbed_at):
            climbed_at[provider] = at
            log.append((at, provider))
    for (one, _), (two, _) in pairwise(log):
        assert two - one >= OVERALL_S
    for name in ("", "a", "b"):
        times = [at for at, provider in log if provider == name]
        assert all(two - one >= PER_PROVIDER_S for one, two in pairwise(times))
