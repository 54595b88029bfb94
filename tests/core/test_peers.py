"""What peers are told and what they are believed: counts alone, bounded, each once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core import peers
from holdfast.core.peers import (
    COUNT_MAX,
    FEED_BYTES_MAX,
    ROWS_MAX,
    FeedError,
    Hearing,
    Tally,
    public_names,
    read_feed,
    wait_s,
)
from holdfast.facts.observations import Observation
from holdfast.facts.outcomes import Verdict
from holdfast.facts.places import Provider

NOW = 1_800_000_030.0
MINUTE = 1_800_000_000
NAMES = {"mine": "north", "work": "north", "relay": "llm.example"}
SERVES = {"mine": ("large*", "small")}


def seen(wall: float = NOW, *, whose: Any = None, cause: str = "outage", **fields: Any) -> Any:
    verdict = whose and Verdict(whose=whose, cause=cause, confidence=0.9, action="fail_over")
    known = {
        "kind": "traffic",
        "provider": "mine",
        "surface": "messages",
        "model": "large-1",
        "credential": "env:SECRET_NAME",
        "text": "what somebody said",
        "ok": verdict is None,
    }
    return Observation(at=5.0, wall=wall, verdict=verdict, **known | fields)


def tally(*observations: Observation) -> Tally:
    made = Tally("n1", NAMES, SERVES)
    for each in observations:
        made.observe(each)
    return made


def heard(feed: Any, hearing: Hearing | None = None, now: float = NOW) -> list[Observation]:
    data = feed if isinstance(feed, bytes) else msgspec.json.encode(feed)
    return (hearing or Hearing("peer1", NAMES)).news(read_feed(data, now), now, 100.0)


def row(**fields: Any) -> dict[str, Any]:
    return {"provider": "north", "surface": "messages", "minute": MINUTE} | fields


def feed_of(*rows: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"version": 1, "nonce": "n2", "at": NOW, "rows": list(rows)} | fields


# ------------------------------------------------------------------- telling


def test_a_feed_is_counts_and_nothing_else() -> None:
    feed = tally(
        seen(), seen(count=4), seen(whose="provider"), seen(whose="account", cause="auth")
    ).feed(NOW)
    assert msgspec.to_builtins(feed) == {
        "version": 1,
        "nonce": "n1",
        "at": NOW,
        "rows": [
            {
                "provider": "north",
                "surface": "messages",
                "model": "large-1",
                "minute": MINUTE,
                "ok": 5,
                "failed": 2,
                "causes": {"outage": 1, "auth": 1},
            }
        ],
    }
    told = msgspec.json.encode(feed)
    for private in (b"SECRET_NAME", b"somebody", b"mine"):
        assert private not in told


@pytest.mark.parametrize(
    "private",
    [
        seen(kind="peer"),  # or it would come back as an echo
        seen(kind="status_page"),
        seen(provider="engine"),  # not among the names
        seen(whose="request"),
        seen(whose="network"),
        seen(whose="local"),
        seen(ok=False),  # nobody judged it
        seen(wall=NOW - 2000.0),
        seen(surface="Not A Surface"),
    ],
)
def test_what_concerns_nobody_else_is_not_told(private: Observation) -> None:
    assert tally(private).feed(NOW).rows == []


@pytest.mark.parametrize("model", ["ft:large:my-company:x1", "secret-project", "large é", ""])
def test_models_that_tell_whose_they_are_are_counted_without_their_name(model: str) -> None:
    (told,) = tally(seen(model=model)).feed(NOW).rows
    assert (told.model, told.ok) == ("", 1)


def test_known_providers_have_their_known_name_and_others_that_of_their_host() -> None:
    def provider(name: str, url: str, kind: Any = "cloud") -> Provider:
        return Provider(name=name, dialects=("openai",), base_url=url, kind=kind)

    found = public_names(
        [
            provider("mine", "https://api.north.example"),
            provider("relay", "https://llm.example:8443/v1"),
            provider("here", "http://127.0.0.1:1", "local"),
            provider("play", "http://127.0.0.1:2", "sim"),
        ],
        {"https://api.north.example": "north"},
    )
    assert found == {"mine": "north", "relay": "llm.example"}


def test_a_busy_gateway_tells_the_newest_within_the_bounds() -> None:
    made = Tally("n1", NAMES, {"mine": ("*",)})
    for minute in range(29, -1, -1):
        for model in range(90):
            made.observe(seen(NOW - 60.0 * minute, model=f"large-{'x' * 80}-{model:03}"))
    feed = made.feed(NOW)
    data = msgspec.json.encode(feed)
    assert len(feed.rows) <= ROWS_MAX
    assert len(data) <= FEED_BYTES_MAX
    assert feed.rows[0].minute == MINUTE
    assert read_feed(data, NOW) == feed


# ------------------------------------------------------------------- hearing


def test_what_one_tells_the_other_hears() -> None:
    feed = tally(seen(), seen(whose="provider"), seen(whose="provider")).feed(NOW)
    found = heard(feed, Hearing("peer1", {"ours": "north"}))
    assert [(o.provider, o.ok, o.count, o.failure_kind) for o in found] == [
        ("ours", False, 2, "outage"),
        ("ours", True, 1, ""),
    ]
    assert {(o.kind, o.peer, o.model, o.credential, o.verdict) for o in found} == {
        ("peer", "peer1", "large-1", "", None)
    }
    assert {(o.wall, o.at) for o in found} == {(NOW, 100.0)}


def test_each_attempt_counts_once_however_often_it_is_read() -> None:
    hearing = Hearing("peer1", {"ours": "north"})
    first = feed_of(row(ok=3, failed=1, causes={"outage": 1}))
    assert sum(o.count for o in heard(first, hearing)) == 4
    assert heard(first, hearing) == []
    more = feed_of(row(ok=5, failed=1, causes={"outage": 1}))
    assert [(o.ok, o.count) for o in heard(more, hearing, NOW + 20)] == [(True, 2)]
    less = feed_of(row(ok=1))
    assert heard(less, hearing, NOW + 25) == []


def test_both_of_our_providers_there_are_confirmed() -> None:
    found = heard(feed_of(row(ok=1)))
    assert [o.provider for o in found] == ["mine", "work"]


def test_a_loud_voice_counts_for_sixty_a_minute_in_its_own_proportions() -> None:
    found = heard(
        feed_of(row(ok=9_000, failed=1_000, causes={"outage": 999, "auth": 1})),
        Hearing("peer1", {"ours": "north"}),
    )
    counts = {o.failure_kind: o.count for o in found}
    assert counts == {"auth": 1, "outage": 6, "": 53}
    rows = [row(model=f"m{n}", failed=60, causes={"outage": 60}) for n in range(20)]
    found = heard(feed_of(*rows), Hearing("peer1", {"ours": "north"}))
    assert sum(o.count for o in found) == COUNT_MAX
    (mad,) = heard(feed_of(row(ok=2**70)), Hearing("peer1", {"ours": "north"}))
    assert mad.count == COUNT_MAX


@pytest.mark.parametrize(
    ("mad", "why"),
    [
        (b"", "no feed"),
        (b"<html>", "no feed"),
        (b"[" * 100_000, "no feed"),
        (b" " * (FEED_BYTES_MAX + 1), "larger than 200 kB"),
        (feed_of(version=2), "version 2"),
        (feed_of(nonce=""), "which process"),
        (feed_of(nonce="\x1b[31m"), "which process"),
        (feed_of(prompt="hello"), "no feed"),
        (feed_of(row(credential="x")), "no feed"),
        (feed_of(row(ok="many")), "no feed"),
        (feed_of(row(ok=-1)), "add up"),
        (feed_of(row(failed=3)), "add up"),
        (feed_of(row(failed=0, causes={"outage": 1, "auth": -1})), "add up"),
        (feed_of(row(failed=1, causes={"<b>": 1})), "causes"),
        (feed_of(row(minute=MINUTE - 3600)), "clocks"),
        (feed_of(row(minute=MINUTE + 3600)), "clocks"),
        (feed_of(row(surface="chat site")), "surface"),
        (feed_of(row(provider="../x")), "provider"),
        (feed_of(row(model="a\nb")), "model"),
        (feed_of(row(), row()), "twice"),
        (feed_of(*(row(model=f"m{n}") for n in range(ROWS_MAX + 1))), "more than 500"),
    ],
)
def test_what_is_no_sound_feed_is_refused_whole_and_plainly(mad: Any, why: str) -> None:
    with pytest.raises(FeedError, match=why) as refused:
        heard(mad)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 120


WILD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
ROWS = st.fixed_dictionaries(
    {
        "provider": st.sampled_from(("north", "llm.example", "else", "", "é")),
        "surface": st.sampled_from(("messages", "chat", "chat_site", "-")),
        "minute": st.integers(MINUTE - 2400, MINUTE + 240),
    },
    optional={
        "model": st.sampled_from(("", "large", "x y")),
        "ok": st.integers(-1, 10_000) | st.integers(),
        "failed": st.integers(0, 3),
        "causes": st.dictionaries(st.sampled_from(("outage", "auth")), st.integers(0, 2)),
        "extra": WILD,
    },
)
FEEDS = st.one_of(
    st.binary(max_size=60),
    WILD.map(lambda wild: msgspec.json.encode(wild, enc_hook=str)),
    st.lists(ROWS, max_size=8).map(lambda rows: msgspec.json.encode(feed_of(*rows))),
    st.lists(
        st.builds(
            lambda minute, ok, bad: row(
                minute=MINUTE - 60 * minute, ok=ok, failed=bad, causes={"outage": bad}
            ),
            st.integers(0, 29),
            st.integers(0, 2**40),
            st.integers(0, 2**40),
        ),
        unique_by=lambda each: each["minute"],
        max_size=8,
    ).map(lambda rows: msgspec.json.encode(feed_of(*rows))),
)


@settings(max_examples=100)
@given(feeds=st.lists(FEEDS, max_size=4))
def test_no_feed_however_mad_makes_more_of_itself_than_a_voice(feeds: list[bytes]) -> None:
    """Kind peer, its own name, a provider of ours, sane times; and at most 60 for each minute and
    surface, whatever it says and however often.
    """
    hearing = Hearing("peer1", NAMES)
    counts: Counter[Any] = Counter()
    for data in feeds:
        try:
            found = heard(data, hearing)
        except FeedError:
            continue
        for obs in found:
            assert (obs.kind, obs.peer, obs.credential, obs.verdict) == ("peer", "peer1", "", None)
            assert obs.provider in NAMES
            assert NOW - 1900 <= obs.wall <= NOW
            assert obs.at - 100.0 == pytest.approx(obs.wall - NOW)
            assert obs.count >= 1
            counts[obs.provider, obs.surface, obs.wall] += obs.count
        assert [obs.wall for obs in found] == sorted(obs.wall for obs in found)
    # The last two minutes have one time, that of now.
    assert all(n <= COUNT_MAX * (3 if key[2] == NOW else 1) for key, n in counts.items())


def test_what_is_remembered_of_a_peer_is_bounded() -> None:
    hearing = Hearing("peer1", {"ours": "north"})
    for minute in range(300):
        now = NOW + 60.0 * minute
        heard(feed_of(row(minute=MINUTE + 60 * minute, ok=1), at=now), hearing, now)
    assert len(hearing._taken) < 100


def test_who_fails_is_asked_more_and_more_seldom() -> None:
    waits = [wait_s(failures, lambda: 0.5) for failures in range(8)]
    assert waits == [30, 60, 120, 240, 480, 600, 600, 600]
    assert wait_s(10_000, lambda: 1.0) <= 660
    assert peers.POLL_S == 30.0
