"""Fingerprints: what is new behind a calm is told once; what rotates falls silent."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.changes import (
    CALM_COUNT,
    CALM_S,
    CHANGES_MAX,
    MODELS_MAX,
    VALUES_MAX,
    Changes,
    address_range,
    fields_of,
    told,
)
from holdfast.facts.fingerprints import Change, Evidence, Print

T0 = 1_800_000_000.0
OLD = Evidence(address="104.18.2.3", issuer="Old Signers", headers=(("server", "cloudflare"),))
NEW = Evidence(address="160.79.104.10", issuer="New Signers", headers=(("server", "envoy"),))


def calm(evidence: Evidence = OLD, changes: Changes | None = None, at: float = T0) -> Changes:
    """A history as calm as a change needs, ending `CALM_S` after `at`."""
    changes = changes or Changes()
    for i in range(CALM_COUNT + 1):
        assert changes.observe(at + i * CALM_S / CALM_COUNT, "them", "messages", evidence) == ()
    return changes


def test_a_move_is_told_as_a_fact_with_its_time() -> None:
    found = calm().observe(T0 + 2 * CALM_S, "them", "messages", NEW)
    assert [(change.field, change.value) for change in found] == [
        ("address", "160.79.0.0/16"),
        ("issuer", "New Signers"),
        ("server", "envoy"),
    ]
    assert told(found[0], lambda wall: f"{(wall - T0) / 3600:g} h") == (
        "them messages: first answered from 160.79.0.0/16 at 2 h; "
        "before only 104.18.0.0/16 since 0 h"
    )
    assert told(found[1]).endswith("since 2027-01-15 08:00 UTC")


def test_what_is_known_stays_known() -> None:
    changes = calm()
    assert changes.observe(T0 + 2 * CALM_S, "them", "messages", NEW)
    for i in range(100):
        assert not changes.observe(T0 + (3 + i) * CALM_S, "them", "messages", (OLD, NEW)[i % 2])


@pytest.mark.parametrize("count", [0, 1, CALM_COUNT])
def test_a_short_history_tells_nothing(count: int) -> None:
    changes = Changes()
    for i in range(count):
        changes.observe(T0 + i * 10 * CALM_S, "them", "messages", OLD)
    assert not changes.observe(T0 + 999 * CALM_S, "them", "messages", NEW)


def test_many_observations_within_minutes_tell_nothing() -> None:
    changes = Changes()
    for i in range(1000):
        changes.observe(T0 + i, "them", "messages", OLD)
    assert not changes.observe(T0 + 1000, "them", "messages", NEW)


def test_a_surface_has_a_history_of_its_own() -> None:
    changes = calm()
    assert not changes.observe(T0 + 2 * CALM_S, "them", "models", NEW)
    assert not changes.observe(T0 + 2 * CALM_S, "others", "messages", NEW)


def test_what_was_not_seen_is_no_change() -> None:
    assert not calm().observe(T0 + 2 * CALM_S, "them", "messages", Evidence())


def test_an_edge_that_is_another_machine_of_the_same_is_no_change() -> None:
    def seen(ray: str, version: str, hop: str, pop: str) -> Evidence:
        return Evidence(
            headers=(
                ("server", f"nginx/{version} (Ubuntu)"),
                ("cf-ray", ray),
                ("via", f"1.1 {hop}.cloudfront.net (CloudFront), 1.1 cache-{pop}123"),
                ("request-id", ray),
            )
        )

    changes = calm(seen("8f-FRA", "1.25.3", "a1b2", "fra"))
    other = seen("9a-AMS", "1.27", "c3d4", "ams")
    assert not changes.observe(T0 + 2 * CALM_S, "them", "messages", other)
    assert dict(fields_of(other))["server"] == ("nginx", "via cache", "via cloudfront.net")


def test_a_pool_beyond_what_is_kept_falls_silent() -> None:
    changes = calm()
    reported = 0
    for i in range(4 * VALUES_MAX):  # each in a calm of its own
        at = T0 + (2 + 3 * i) * CALM_S
        address = f"10.{i % (2 * VALUES_MAX)}.0.1"
        reported += len(changes.observe(at, "them", "messages", Evidence(address=address)))
        same = Evidence(address="104.18.2.3")
        for j in range(CALM_COUNT + 1):
            changes.observe(at + j * CALM_S / CALM_COUNT, "them", "messages", same)
    assert reported == VALUES_MAX
    (kept,) = (kept for kept in changes.prints if kept.field == "address")
    assert kept.restless
    assert len(kept.seen) == VALUES_MAX
    assert "104.18.0.0/16" in {seen.value for seen in kept.seen}  # never long unseen


def test_a_long_list_of_models_is_kept_whole() -> None:
    models = tuple(f"model-{i}" for i in range(MODELS_MAX - 1))
    changes = calm(Evidence(models=models))
    found = changes.observe(
        T0 + 2 * CALM_S, "them", "messages", Evidence(models=(*models, "brand-new"))
    )
    assert [change.value for change in found] == ["brand-new"]
    assert "first listed the model brand-new" in told(found[0])
    assert "never before since" in told(found[0])


def test_a_clock_set_back_begins_the_calm_anew_and_does_not_silence_for_years() -> None:
    changes = Changes()
    changes.observe(T0 + 1e9, "them", "messages", OLD)
    calm(OLD, changes, T0)
    assert changes.observe(T0 + 2 * CALM_S, "them", "messages", NEW)


@pytest.mark.parametrize(
    ("address", "range_"),
    [
        ("160.79.104.10", "160.79.0.0/16"),
        ("2607:6bc0::10", "2607:6bc0::/32"),
        ("fe80::1%eth0", "fe80::/32"),
        ("", ""),
        ("them.test", ""),
    ],
)
def test_addresses_are_counted_in_ranges(address: str, range_: str) -> None:
    assert address_range(address) == range_


EVIDENCE = st.builds(
    Evidence,
    address=st.sampled_from(["", "10.0.0.1", "10.1.0.1", "fd00::1", "nonsense"]),
    issuer=st.sampled_from(["", "a", "b"]),
    names=st.lists(st.sampled_from(["x.test", "y.test"]), max_size=2).map(tuple),
    tls=st.sampled_from(["", "TLSv1.3"]),
    alpn=st.sampled_from(["", "h2"]),
    headers=st.lists(
        st.tuples(st.sampled_from(["server", "via", "cf-ray"]), st.text(max_size=20)), max_size=3
    ).map(tuple),
    models=st.lists(st.text(max_size=3), max_size=3).map(tuple),
    error=st.sampled_from(["", "{error}", "html"]),
)
HISTORY = st.lists(
    st.tuples(
        st.floats(-4000, 40_000),
        st.sampled_from(["messages", "models"]),
        EVIDENCE,
        st.integers(1, 25),
    ),
    max_size=25,
)


def play(changes: Changes, wall: float, history: list[tuple[float, str, Evidence, int]]) -> float:
    for later_s, surface, evidence, times in history:
        wall += later_s
        for _ in range(times):
            changes.observe(wall, "them", surface, evidence)
    return wall


@settings(max_examples=60)
@given(history=HISTORY)
def test_each_value_is_told_at_most_once_and_never_as_its_own_past(
    history: list[tuple[float, str, Evidence, int]],
) -> None:
    changes = Changes()
    play(changes, T0, history)
    keys = [(change.surface, change.field, change.value) for change in changes.log]
    assert len(keys) == len(set(keys))
    for change in changes.log:
        assert change.value not in change.before
        assert change.before
        assert change.at - change.since >= CALM_S or any(later < 0 for later, *_ in history)
        assert told(change)
    for kept in changes.prints:
        assert len(kept.seen) <= VALUES_MAX
        assert len({seen.value for seen in kept.seen}) == len(kept.seen)


@settings(max_examples=40)
@given(before=HISTORY, after=HISTORY)
def test_what_was_kept_goes_on_as_if_nothing_had_happened(
    before: list[tuple[float, str, Evidence, int]], after: list[tuple[float, str, Evidence, int]]
) -> None:
    changes = Changes()
    wall = play(changes, T0, before)
    kept = msgspec.json.encode((changes.prints, changes.log))
    prints, log = msgspec.json.decode(kept, type=tuple[tuple[Print, ...], tuple[Change, ...]])
    again = Changes(prints, log)
    play(changes, wall, after)
    play(again, wall, after)
    assert (again.prints, again.log) == (changes.prints, changes.log)


def test_the_log_is_bounded() -> None:
    one = calm().observe(T0 + 2 * CALM_S, "them", "messages", NEW)
    assert len(Changes((), one * CHANGES_MAX).log) == CHANGES_MAX
