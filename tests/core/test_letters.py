"""The words of messages: what, which part, whose fault, since when, how sure, what to do."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.core.test_telling import CHAT, MESSAGES, NOON, event

from holdfast.core.letters import (
    TEXT_CHARS,
    TITLE_CHARS,
    Voice,
    back_sentence,
    letter,
    parts,
    plain,
    span,
    sureness,
)
from holdfast.core.telling import Change
from holdfast.facts.incidents import Event, Incident
from holdfast.facts.places import Segment


def clock(wall: float) -> str:
    return f"{int(wall // 3600) % 24:02}:{int(wall // 60) % 60:02}"


VOICE = Voice(local=clock, eta=lambda _: "Back in 30 min to 3 h, most likely.")
OVERLOADED = Event(
    at=NOON + 200,
    event="opened",
    incident="i1",
    whose="provider",
    cause="overloaded",
    segments=(MESSAGES,),
    confidence=0.94,
    because=("6 of 6 calls failed with 529", "two models alike", "a third"),
)
INCIDENT = Incident(
    id="i1",
    since=NOON,
    opened=NOON + 200,
    whose="provider",
    cause="overloaded",
    confidence=0.94,
    segments=(MESSAGES,),
    page_said=NOON + 1220,
    page_late_s=1020.0,
    stood_in=("other/large",),
)


def test_an_opening_says_everything() -> None:
    change = Change(incident="i1", kind="opened", event=OVERLOADED)
    said = letter("m1", [change], {"i1": INCIDENT}, VOICE, NOON + 1300)
    assert said.title == "Down: acme messages"
    assert said.text.splitlines() == [
        "Since 12:00 (22 min, 94 % sure). Whose fault: theirs, not yours (overloaded).",
        "Because: 6 of 6 calls failed with 529; two models alike.",
        "Standing in: other/large.",
        "Back in 30 min to 3 h, most likely.",
        "Their status page admits it (read at 12:20, 17 min after us).",
        "Nothing needs mending on your side.",
    ]
    assert (said.id, said.kind) == ("m1", "opened")
    (entry,) = said.changes
    assert (entry.incident, entry.since, entry.at) == ("i1", NOON, NOON + 200)
    assert (entry.whose, entry.cause, entry.confidence) == ("provider", "overloaded", 0.94)
    assert (entry.segments, entry.stood_in) == ((MESSAGES,), ("other/large",))


def test_credentials_are_named_only_where_they_matter() -> None:
    """Who is told in a channel need not learn where keys lie."""
    keyed = [Segment("acme", "messages", None, f"file:/home/me/{n}") for n in range(2)]
    there = Change(incident="i", kind="opened", event=event(NOON, segments=keyed))
    said = letter("m", [there], {}, VOICE, NOON)
    assert said.changes[0].segments == (MESSAGES,)
    assert "/home" not in said.text


def test_it_is_back() -> None:
    ended = event(NOON + 3000, "resolved")
    change = Change(incident="i1", kind="resolved", event=ended)
    known = Incident(
        id="i1", since=NOON, back=NOON + 2820, resolved=NOON + 3000, stood_in=("other/large",)
    )
    said = letter("m1", [change], {"i1": known}, VOICE, NOON + 3000)
    assert said.title == "It's back: acme messages"
    assert said.text == "It lasted 47 min. other/large stood in."
    assert back_sentence(known) == said.text
    assert back_sentence(Incident(id="x", since=0)) == "Good answers come again."


def test_an_incident_that_is_not_at_hand_is_told_by_its_event() -> None:
    change = Change(
        incident="gone", kind="passed", event=event(NOON + 600, "resolved"), first_at=NOON
    )
    said = letter("m1", [change], {}, VOICE, NOON + 700)
    assert said.text == "It lasted 10 min."


def test_who_must_act_is_told_what_to_do() -> None:
    keyed = Event(
        at=NOON,
        event="opened",
        incident="i1",
        whose="account",
        cause="invalid_key",
        segments=(Segment("acme", None, None, "env:ACME_KEY"),),
        confidence=1.0,
    )
    change = Change(incident="i1", kind="opened", event=keyed)
    said = letter("m1", [change], {}, VOICE, NOON)
    text = said.text
    assert said.changes[0].segments == keyed.segments
    assert "on your side: the account or its key (invalid key)" in text
    assert "ask again. It is the key from env:ACME_KEY." in text
    alone = letter("m1", [Change(incident="i", kind="opened", event=OVERLOADED)], {}, VOICE, NOON)
    assert "A stand-in in the routes would answer meanwhile." in alone.text


def test_several_changes_in_one_message() -> None:
    changes = [
        Change(incident="i1", kind="opened", event=OVERLOADED),
        Change(
            incident="i2",
            kind="passed",
            event=event(NOON + 900, "resolved", "i2", [CHAT]),
            falls=3,
            returns=3,
            first_at=NOON,
            held=True,
        ),
        Change(
            incident="i3",
            kind="unsteady",
            event=event(NOON, "opened", "i3"),
            falls=1,
            returns=2,
            first_at=NOON,
            held=True,
            last_word=True,
        ),
    ]
    said = letter("m1", changes, {"i1": INCIDENT}, VOICE, NOON + 1300)
    assert said.title == "Down: acme messages (and 2 more)"
    assert "Was down, is back: acme chat\nIt lasted 15 min." in said.text
    assert "Held back since 12:00; meanwhile it fell 3 times and came back 3 times." in said.text
    assert "fell once and came back twice." in said.text
    assert "within the hour comes in one message" in said.text


def test_parts_and_sureness_and_spans() -> None:
    many = [Segment("acme", "messages", f"m{n}", "env:K") for n in range(5)]
    assert parts(many) == "acme messages m0, acme messages m1, acme messages m2 and 2 more"
    assert parts([Segment("acme", None, None, "env:K"), Segment("acme")]) == "acme"
    assert parts([Segment("")]) == "the network here"
    assert [sureness(each) for each in (0.0, 0.5, 1.0)] == ["1 % sure", "50 % sure", "99 % sure"]
    assert [span(each) for each in (-5, 20, 600, 5460, 7200, 300_000)] == [
        "less than a minute",
        "less than a minute",
        "10 min",
        "1 h 31 min",
        "2 h",
        "3 d 11 h",
    ]


def test_what_a_terminal_would_obey_is_taken_out() -> None:
    assert plain("\x1b[31mred\x1b[0m \x1b]0;title\x07x\r\ny\x9b2J\u202eabc", 99) == "red x y abc"
    assert plain("a" * 50, 10) == "aaaaaaaaa…"


@given(st.text(max_size=300), st.integers(2, 100))
def test_plain_text_is_plain_and_bounded(text: str, limit: int) -> None:
    found = plain(text, limit)
    assert found.isprintable()
    assert len(found) <= limit
    assert plain(found, limit) == found


@given(st.lists(st.text(max_size=3000), min_size=1, max_size=4), st.text(max_size=500))
def test_whatever_a_provider_says_a_message_is_plain_and_bounded(
    because: list[str], name: str
) -> None:
    hostile = Event(
        at=NOON,
        event="opened",
        incident="i",
        whose="unknown",
        cause=name,
        segments=(Segment(name, "messages", name),),
        confidence=0.5,
        because=tuple(because),
    )
    changes = [Change(incident="i", kind="opened", event=hostile)] * 2
    said = letter("m", changes, {}, VOICE, NOON)
    assert said.title.isprintable()
    assert len(said.title) <= TITLE_CHARS
    assert len(said.text) <= TEXT_CHARS
    assert all(line.isprintable() for line in said.text.split("\n"))
