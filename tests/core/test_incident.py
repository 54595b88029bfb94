"""Incidents as stories: what is told, of which part, whose fault, and what is no incident."""

from __future__ import annotations

import random
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.tale import START, Tale, shown, verdict

from holdfast.core.incident import Incidents, Params
from holdfast.facts.incidents import Event
from holdfast.facts.observations import Observation
from holdfast.facts.pages import PageClaim
from holdfast.facts.places import Segment

MESSAGES, CHAT, MODELS = ({"surface": name} for name in ("messages", "chat", "models"))
ALL = (MESSAGES, CHAT, MODELS)
REFUSED = {"ok": False, "status": 403, "says": verdict("provider", "provider_outage")}
BAD_KEY = {"ok": False, "status": 401, "says": verdict("account", "credential_invalid")}
UNREACHED = {
    "ok": False, "status": None, "kind": "connect_timeout", "says": verdict("unknown", "blackhole"),
}  # fmt: skip


def fails(ask: dict[str, object], **how: object) -> dict[str, object]:
    return {**ask, "ok": False, **how}


def test_suspected_at_once_declared_with_patience_and_over_by_good_answers() -> None:
    tale = Tale()
    tale.minutes(30, MESSAGES)
    tale.ask(ok=False)
    assert tale.names() == ["suspected"]
    began = tale.now
    tale.now += 60
    tale.minutes(10, fails(MESSAGES))
    assert tale.names() == ["suspected", "opened"]
    opened = tale.events[-1]
    assert 120 < opened.at - began < 300
    assert opened.whose == "provider"
    assert opened.confidence > 0.7
    assert any("529" in reason for reason in opened.because)
    tale.minutes(10, MESSAGES)
    assert tale.names() == ["suspected", "opened", "resolved"]
    (incident,) = tale.incidents.view()
    assert incident.since == began
    assert incident.opened == opened.at
    assert incident.back is not None
    assert incident.resolved is not None
    assert incident.since < incident.opened < incident.back < incident.resolved
    assert incident.timeline == tuple(tale.events)


def test_the_longer_it_lasts_the_surer() -> None:
    tale = Tale()
    tale.minutes(30, MESSAGES)
    tale.minutes(20, fails(MESSAGES))
    (incident,) = tale.incidents.view()
    opened = tale.events[-1]
    assert opened.event == "opened"
    assert opened.confidence < 0.9 < incident.confidence <= 1.0


def test_a_blip_is_suspected_and_forgotten() -> None:
    tale = Tale()
    tale.minutes(30, MESSAGES)
    tale.minutes(1, fails(MESSAGES), every_s=10)
    tale.minutes(30, MESSAGES)
    assert tale.names() == ["suspected"]
    assert not tale.incidents.view()


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (400, verdict("request", "request_invalid")),
        (429, verdict("account", "rate_limit")),
        (402, verdict("account", "quota_or_billing")),
    ],
)
def test_what_is_no_outage_is_not_even_suspected(status: int, says: object) -> None:
    tale = Tale()
    tale.minutes(10, MESSAGES)
    tale.minutes(30, fails(MESSAGES, status=status, says=says), every_s=10)
    assert not tale.events


def test_two_of_three_surfaces_after_a_burst_of_overload() -> None:
    """The story of the article: 529 first, then 403 that name the user, on two of three."""
    tale = Tale()
    tale.minutes(30, *ALL)
    tale.minutes(2, fails(MESSAGES), fails(CHAT), MODELS)
    tale.minutes(8, MESSAGES | REFUSED, CHAT | REFUSED, MODELS)
    last = tale.events[-1]
    assert tale.told()[0] == "opened"
    assert shown(last) == {"a · messages · m · k1", "a · chat · m · k1"}
    assert last.whose == "provider"
    assert any("still well there: models" in reason for reason in last.because)


def test_a_key_that_is_refused_while_another_works_is_the_accounts() -> None:
    tale = Tale()
    keys = [{"surface": s, "key": k} for s in ("messages", "chat") for k in ("k1", "k2")]
    tale.minutes(30, *keys)
    tale.minutes(8, *(ask | (BAD_KEY if ask["key"] == "k1" else {}) for ask in keys))
    last = tale.events[-1]
    assert tale.told()[0] == "opened"
    assert last.whose == "account"
    assert shown(last) == {"a · * · m · k1"}


def test_two_keys_refused_at_once_are_no_coincidence() -> None:
    tale = Tale()
    keys = [{"key": "k1"}, {"key": "k2"}]
    tale.minutes(30, *keys)
    tale.minutes(8, *(ask | BAD_KEY for ask in keys))
    last = tale.events[-1]
    assert last.whose == "provider"
    assert shown(last) == {"a · messages · m · *"}
    assert len({event.incident for event in tale.events}) == 1


def test_all_surfaces_are_shown_as_one_and_shrink_as_they_come_back() -> None:
    tale = Tale()
    tale.minutes(30, *ALL)
    tale.minutes(10, *(fails(ask) for ask in ALL))
    assert shown(tale.events[-1]) == {"a · * · m · k1"}
    tale.minutes(15, MESSAGES, fails(CHAT), fails(MODELS))
    assert tale.told()[-1] == "narrowed"
    assert shown(tale.events[-1]) == {"a · chat · m · k1", "a · models · m · k1"}
    tale.minutes(15, *ALL)
    assert tale.told()[-2:] == ["narrowed", "resolved"]


def test_it_widens_when_another_surface_follows() -> None:
    tale = Tale()
    tale.minutes(30, *ALL)
    tale.minutes(10, fails(MESSAGES), CHAT, MODELS)
    tale.minutes(10, fails(MESSAGES), fails(CHAT), MODELS)
    assert tale.told() == ["opened", "widened"]
    assert shown(tale.events[-1]) == {"a · messages · m · k1", "a · chat · m · k1"}


def test_thin_traffic_over_many_models_adds_up() -> None:
    tale = Tale()
    models = [{"model": f"m{n}"} for n in range(6)]
    for n in range(60):
        tale.minutes(1, models[n % 6])
    for n in range(6):
        tale.minutes(1, fails(models[n]))
    assert tale.told()[0] == "opened"
    assert tale.events[-1].at < tale.now
    assert shown(tale.events[-1]) <= {"a · messages · * · k1"} | {
        f"a · messages · m{n} · k1" for n in range(6)
    }


def test_a_model_asked_for_the_first_time_in_it_belongs_to_it() -> None:
    tale = Tale()
    models = [{"model": f"m{n}"} for n in range(3)]
    tale.minutes(30, *models[:2])
    tale.minutes(10, *(fails(ask) for ask in models[:2]))
    assert shown(tale.events[-1]) == {"a · messages · * · k1"}
    tale.ask(model="m2", ok=False)
    assert len(tale.incidents.view()[0].segments) == 1
    tale.minutes(10, *models[:2], fails(models[2]))
    assert tale.told()[-1] == "narrowed"
    assert shown(tale.events[-1]) == {"a · messages · m2 · k1"}


def test_one_model_of_two() -> None:
    tale = Tale()
    tale.minutes(30, {"model": "big"}, {"model": "small"})
    tale.minutes(10, {"model": "big", "ok": False}, {"model": "small"})
    assert tale.told() == ["opened"]
    assert shown(tale.events[-1]) == {"a · messages · big · k1"}


def test_flapping_is_one_incident() -> None:
    tale = Tale()
    tale.minutes(30, MESSAGES)
    for _ in range(10):
        tale.minutes(6, fails(MESSAGES))
        tale.minutes(6, MESSAGES)
    tale.minutes(60, MESSAGES)
    assert len({event.incident for event in tale.events}) == 1
    assert tale.told().count("opened") <= 4
    assert tale.told()[-1] == "resolved"


def test_the_same_again_within_half_an_hour_is_opened_again() -> None:
    tale = Tale()
    tale.minutes(30, MESSAGES)
    for _ in range(2):
        tale.minutes(10, fails(MESSAGES))
        tale.minutes(15, MESSAGES)
    assert tale.told() == ["opened", "resolved", "opened", "resolved"]
    (incident,) = tale.incidents.view()
    assert incident.reopened == 1
    tale.minutes(60, MESSAGES)
    tale.minutes(10, fails(MESSAGES))
    assert len({event.incident for event in tale.events}) == 2


def test_a_closed_lid_is_no_outage() -> None:
    tale = Tale()
    tale.minutes(30, MESSAGES)
    tale.minutes(2, fails(MESSAGES))
    tale.now += 8 * 3600
    tale.see(kind="slept", slept_s=8 * 3600.0)
    assert not tale.incidents.view()
    tale.minutes(0.8, MESSAGES | UNREACHED, every_s=6)
    tale.minutes(10, MESSAGES)
    assert tale.names() == ["suspected"]


def test_an_open_incident_outlasts_the_lid() -> None:
    tale = Tale()
    tale.minutes(30, MESSAGES)
    tale.minutes(10, fails(MESSAGES))
    tale.now += 3600
    tale.see(kind="slept", slept_s=3600.0)
    assert tale.incidents.view()[0].resolved is None
    tale.minutes(5, MESSAGES)
    assert tale.told() == ["opened", "resolved"]


def test_our_own_network_is_nobody_elses_incident() -> None:
    tale = Tale()
    asks = [{"provider": name} for name in ("a", "b", "c")]
    tale.minutes(30, *asks)
    tale.minutes(10, *(ask | UNREACHED for ask in asks))
    assert {event.whose for event in tale.events if event.event == "opened"} == {"network"}
    assert tale.told() == ["opened"]
    assert tale.events[-1].segments[0].provider == ""
    tale.minutes(10, *asks)
    assert tale.told() == ["opened", "resolved"]


def test_a_look_at_the_network_holds_nothing_against_a_provider() -> None:
    tale = Tale()
    tale.minutes(30, {})
    tale.ask(**UNREACHED)
    tale.see(kind="network", ok=False, failure_kind="offline")
    tale.minutes(10, UNREACHED)
    assert {event.whose for event in tale.events[1:]} == {"network"}
    assert "opened" in tale.told()
    tale.see(kind="network", ok=True)
    tale.minutes(5, {})
    assert tale.told() == ["opened", "resolved"]


def test_a_portal_that_answers_for_everybody_is_no_provider() -> None:
    tale = Tale()
    asks = [{"provider": "a"}, {"provider": "b"}]
    portal = {"ok": False, "status": 302, "says": verdict("network", "proxy_or_captive_portal")}
    page = {"ok": False, "status": 200, "kind": "not_json", "says": verdict("intermediary", "x")}
    tale.minutes(30, *asks)
    tale.minutes(10, asks[0] | portal, asks[1] | page)
    (opened,) = [event for event in tale.events if event.event == "opened"]
    assert opened.whose == "network"
    assert opened.segments[0].provider == ""


def test_a_key_that_no_surface_knows_any_more_was_taken_back() -> None:
    tale = Tale()
    tale.minutes(30, MESSAGES, CHAT)
    unknown = {"ok": False, "status": 401, "says": verdict("provider", "provider_outage")}
    tale.minutes(10, MESSAGES | unknown, CHAT | unknown)
    assert tale.told() == ["opened"]
    assert tale.events[-1].whose == "account"
    assert tale.events[-1].cause == "credential_revoked_or_org"
    other = Tale()
    other.minutes(30, MESSAGES, CHAT)
    other.minutes(1, fails(MESSAGES), CHAT)
    other.minutes(10, MESSAGES | unknown, CHAT | unknown)
    assert other.events[-1].whose == "provider"  # server errors came before


def test_an_engine_on_this_machine_does_not_prove_the_network() -> None:
    tale = Tale(local=("engine",))
    names = verdict("network", "dns")
    tale.minutes(30, {}, {"provider": "engine"})
    tale.minutes(
        10, {"ok": False, "status": None, "kind": "dns", "says": names}, {"provider": "engine"}
    )
    assert {event.whose for event in tale.events} == {"network"}


def test_one_provider_out_of_reach_while_another_answers() -> None:
    tale = Tale()
    asks = [{"provider": "a"}, {"provider": "b"}]
    tale.minutes(30, *asks)
    tale.minutes(10, asks[0] | UNREACHED, asks[1])
    assert shown(tale.events[-1]) == {"a · messages · m · k1"}


def test_the_page_hastens_but_never_opens() -> None:
    tale = Tale()
    tale.minutes(30, MESSAGES)
    tale.page("incident", since=(START,))
    tale.minutes(60, MESSAGES)
    assert not tale.events
    tale.minutes(3, fails(MESSAGES))
    with_page = tale.events[-1]
    assert with_page.event == "opened"
    alone = Tale()
    alone.minutes(90, MESSAGES)
    alone.minutes(3, fails(MESSAGES))
    assert alone.names() == ["suspected"]


def test_a_page_about_other_parts_says_nothing() -> None:
    tale = Tale()
    tale.minutes(30, MESSAGES)
    tale.page("incident", components={"messages": "operational", "chat": "major_outage"})
    tale.minutes(3, fails(MESSAGES))
    assert tale.names() == ["suspected"]


def test_lateness_of_the_page() -> None:
    tale = Tale()
    tale.page("operational")
    tale.minutes(30, MESSAGES)
    tale.minutes(10, fails(MESSAGES))
    tale.page("unreadable")
    tale.minutes(7, fails(MESSAGES))
    tale.page("incident", since=(START + 1800.0,))
    (incident,) = tale.incidents.view()
    assert incident.opened is not None
    assert incident.page_said == tale.now
    assert incident.page_late_s == tale.now - incident.opened
    assert incident.page_claims_since == START + 1800.0
    tale.page("operational")
    assert tale.incidents.view()[0].resolved is None  # the page ends nothing either


def peer(tale: Tale, name: str, *, ok: bool = False, count: int = 50) -> list[Event]:
    return tale.see(kind="peer", provider="a", surface="messages", peer=name, ok=ok, count=count)


def test_a_lying_peer_opens_nothing() -> None:
    tale = Tale()
    for _ in range(120):
        peer(tale, "liar")
        tale.minutes(1, MESSAGES)
    assert not tale.events
    tale.minutes(2, fails(MESSAGES))
    peer(tale, "liar")
    tale.minutes(10, MESSAGES)
    assert tale.names() == ["suspected"]


def test_two_peers_in_the_same_trouble_hasten() -> None:
    tale = Tale()
    tale.minutes(30, MESSAGES)
    tale.minutes(2, fails(MESSAGES))
    assert not peer(tale, "one")
    (opened,) = peer(tale, "two")
    assert opened.event == "opened"
    assert any("2 other gateways" in reason for reason in opened.because)


def test_peers_without_own_failures_open_nothing() -> None:
    tale = Tale()
    tale.minutes(30, MESSAGES)
    for name in "abcdef":
        peer(tale, name)
    tale.ask(ok=False)
    assert tale.names() == ["suspected"]


def test_a_leaf_that_nobody_asks_any_more_does_not_hold_an_incident_open() -> None:
    tale = Tale()
    tale.minutes(30, {"model": "old"}, {"model": "new"})
    tale.minutes(10, {"model": "old", "ok": False}, {"model": "new", "ok": False})
    tale.minutes(60, {"model": "new"})
    assert tale.told()[-1] == "resolved"


@pytest.mark.parametrize("known", [False, True])
def test_what_was_never_there_does_not_hold_an_incident_open(known: bool) -> None:
    """A count that a provider has not failed with all else, and then says that it is not there;
    one that was answered before is in trouble as long as it says so.
    """
    tale, count = Tale(), {"surface": "count_tokens"}
    no_such = fails(count, status=404, kind="absent", says=verdict("request", "not_offered"))
    tale.minutes(10, MESSAGES, *([count] if known else []))
    tale.minutes(8, fails(MESSAGES), fails(count))
    assert shown(tale.events[-1]) == {"a · * · m · k1"}, "both surfaces are in it"
    tale.minutes(10, MESSAGES, no_such)
    assert (tale.names()[-1] == "resolved") is not known


def test_a_crowd_is_told_within_seconds() -> None:
    tale = Tale()
    tale.minutes(2, MESSAGES, every_s=0.1)
    began = tale.now
    tale.minutes(0.2, fails(MESSAGES), every_s=0.1)
    (opened,) = [event for event in tale.events if event.event == "opened"]
    assert opened.at - began <= 5.0


def test_hostile_names_are_forgotten_oldest_first() -> None:
    tale = Tale(Params(leaves_max=100, providers_max=50))
    for n in range(1000):
        tale.now += 1
        tale.ask(provider=f"p{n % 300}", model=f"m{n}", ok=n % 3 > 0)
        tale.page("incident", provider=f"page{n}")
    assert len(tale.incidents._leaves) <= 100
    assert len(tale.incidents._places) <= 151
    assert len(tale.incidents.view()) <= 150


# ------------------------------------------------------------------ laws

VERDICTS = (verdict(), verdict("account", "credential_invalid"), verdict("unknown"), None)


def history(seed: int, length: int = 400) -> list[Observation]:
    """Anything at all, with stretches in which a part fails, so that there is something to tell."""
    dice = random.Random(seed)
    wall, ill, found = START, dict[tuple[str, ...], float](), []
    for _ in range(length):
        wall += dice.choice((1.0, 5.0, 15.0, 15.0, 30.0, 60.0))
        if dice.random() < 0.01:
            wall += dice.choice((-30.0, -3600.0, 4 * 3600.0))  # clocks are set, too
        leaf = tuple(dice.choice(names) for names in ("ab", ("messages", "chat"), "m", ("k", "l")))
        if dice.random() < 0.05:
            part = leaf[: dice.choice((1, 2, 4))]
            ill[part] = 0.0 if ill.get(part) else dice.choice((0.5, 1.0))
        share = max((ill.get(leaf[:n], 0.0) for n in (1, 2, 4)), default=0.0)
        kind = dice.choice(("probe",) * 30 + ("status_page", "network", "peer", "slept"))
        ok = dice.random() >= share if kind in ("probe", "slept") else dice.random() < 0.6
        status = dice.choice((500, 529, 403, None)) if not ok and kind == "probe" else None
        found.append(
            Observation(
                at=wall,
                wall=wall,
                kind=kind,  # type: ignore[arg-type]
                provider="" if kind == "network" else leaf[0],
                surface=leaf[1],
                model=leaf[2],
                credential=leaf[3],
                ok=ok,
                count=dice.choice((1, 1, 1, 7)) if ok else 1,
                status=status,
                failure_kind="" if ok else "status" if status else dice.choice(("dns", "reset")),
                verdict=dice.choice(VERDICTS) if not ok else None,
                peer=dice.choice("xy"),
                page=dice.choice((None, PageClaim(state="incident"), PageClaim(state="unreadable")))
                if kind == "status_page"
                else None,
            )
        )
    return found


def test_the_made_up_histories_hold_every_sort_of_event() -> None:
    """Else the laws below would hold for want of anything to judge."""
    seen = set()
    for seed in range(40):
        incidents = Incidents()
        seen |= {event.event for obs in history(seed) for event in incidents.observe(obs)}
    assert seen == {"suspected", "opened", "widened", "narrowed", "resolved"}


LEAVES = [Segment(*leaf) for leaf in product("ab", ("messages", "chat"), "m", ("k", "l"))]


def covered(event: Event) -> set[Segment]:
    """The leaves that an event's segments speak of."""
    return {
        leaf
        for leaf in LEAVES
        for part in event.segments
        if part.provider in ("", leaf.provider)
        and part.surface in (None, leaf.surface)
        and part.model in (None, leaf.model)
        and part.credential in (None, leaf.credential)
    }


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9))
def test_the_laws_of_a_timeline(seed: int) -> None:
    here, there = Incidents(), Incidents()
    events: list[Event] = []
    open_now: dict[str, set[Segment]] = {}
    for obs in history(seed):
        found = list(here.observe(obs))
        assert found == there.observe(obs)
        events += found
        for event in found:
            assert event.at == obs.wall
            assert event.because
            assert event.segments
            assert 0.0 < event.confidence < 1.0
            parts = covered(event)
            match event.event:
                case "opened":
                    assert event.incident not in open_now
                    assert not obs.ok or obs.kind in ("status_page", "peer")
                    open_now[event.incident] = parts
                case "widened":
                    assert open_now[event.incident] < parts
                    open_now[event.incident] = parts
                case "narrowed":
                    assert open_now[event.incident] > parts
                    open_now[event.incident] = parts
                case "resolved":
                    assert obs.ok or event.whose == "network"
                    del open_now[event.incident]
                case "suspected":
                    assert event.incident not in open_now
                    assert not obs.ok
    assert here.view() == there.view()
    for incident in here.view():
        assert incident.opened is None or incident.since <= incident.opened
        assert incident.resolved is None or incident.resolved >= (incident.back or 0.0)
    assert {i.id for i in here.view() if i.opened and i.resolved is None} == set(open_now)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**9))
def test_without_own_failures_nothing_is_ever_told(seed: int) -> None:
    incidents = Incidents()
    for obs in history(seed):
        if obs.ok or obs.kind in ("status_page", "peer"):
            assert not incidents.observe(obs)
