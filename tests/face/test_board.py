"""The board in a terminal: at a glance, at 80 columns, and whatever a gateway leaves out."""

from __future__ import annotations

import io
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from tests.face.samples import AT, incident, old, segment, trouble

from holdfast.face.board import board, cleaned


def shown(status: dict[str, Any], width: int = 80) -> list[str]:
    """The lines as a terminal of this width shows them, without what is left empty at the end."""
    out = io.StringIO()
    Console(file=out, width=width).print(board(status))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_trouble_at_a_glance_in_eighty_columns() -> None:
    lines = shown(trouble())
    assert lines[:9] == [
        "Some of it is them, some of it is on your side.  http://127.0.0.1:4141",
        "",
        "○ acme messages down 12 min, 94 % sure · their fault · overloaded",
        "  other/large stands in · back in 30 min – 3 h (even odds: 58 min)",
        "  their page still says all is well: “All Systems Operational” (read 3 min ago)",
        "○ third chat down 60 s, 80 % sure · your account or key · invalid key",
        "  nobody stands in",
        "  the key was never accepted here",
        "✓ other chat small back since 53 min · down for 47 min · their fault · acme/lar…",
    ]
    text = "\n".join(lines)
    assert "25 min ago acme changed: certificate issuer A → B" in text
    assert "probes today: acme 12/500 free, 0/20 paid" in text
    assert "claude-*   other/large (stand-in)" in text
    assert max(map(len, lines)) <= 80


def test_a_suspicion_is_one_line_and_no_incident() -> None:
    one = {"since": AT - 40, "segments": [segment("acme", "chat")], "because": ["HTTP 529"]}
    lines = shown({**old(), "suspected": [one]})
    assert "◐ acme chat suspected for 40 s, not sure yet · HTTP 529" in lines


def test_an_incident_takes_three_lines_at_most_however_narrow() -> None:
    for width in (30, 50, 80, 120):
        lines = shown({**old(), "incidents": [incident()]}, width)
        start = next(n for n, line in enumerate(lines) if line.startswith("○"))
        assert lines[start + 3] == ""


def test_an_older_gateway_is_shown_as_before() -> None:
    lines = shown(old())
    assert lines[0].startswith("All is well.")
    assert "No call has gone through it yet." in lines
    assert lines[-1] == "up for 2 h 0 min · 0 calls in the air"


def test_the_page_s_claim_and_its_lateness() -> None:
    def third(**more: Any) -> str:
        return shown({**trouble(), **more})[4].strip()

    late = [incident(page_said=AT - 60, page_late_s=1020.0)]
    assert third(incidents=late) == "their page admits it, 17 min after us"
    early = [incident(page_said=AT - 900, page_late_s=-360.0)]
    assert third(incidents=early) == "their page admits it, 6 min before us"
    closed = {"acme": {"state": "unreadable", "why": "a CAPTCHA", "read_at": AT - 120}}
    assert third(pages=closed) == "their page cannot be read: a CAPTCHA · 2 min ago".replace(
        "2 min", "read 2 min"
    )
    said = {"acme": {"state": "incident", "described": "Elevated errors"}}
    assert third(pages=said) == "their page speaks of an incident: “Elevated errors”"
    assert third(pages={}) == "6 of 6 calls failed with 529; this key worked a minute ago"


def test_trouble_of_our_own_and_of_the_network_comes_first() -> None:
    network = {"finding": "portal", "at": AT - 30, "because": ["a sign-in page answers"]}
    lines = shown({**old(), "alarms": ["disk full"], "crashes": ["E: x"], "network": network})
    assert lines[2:5] == [
        "alarm: disk full",
        "a fault in holdfast itself: E: x. Please report it.",
        "network: portal · a sign-in page answers · 30 s ago",
    ]


def test_texts_of_others_are_text() -> None:
    """Neither a terminal's escapes nor the printer's own markup do anything."""
    nasty = "\x1b[2J\x1b]0;x\x07[bold red]mark[/]\u202e\r\nup"
    status = trouble()
    status["incidents"] = [incident(because=[nasty], cause=nasty, segments=[segment(nasty)])]
    status["pages"] = {nasty: {"state": "incident", "described": nasty}}
    status["alarms"] = [nasty]
    status["segments"][0]["because"] = [nasty]
    status["segments"][0]["segment"] = segment(nasty, nasty)
    status["routes"][0]["model"] = nasty
    text = "\n".join(shown(status, 300))
    assert "[bold red]mark[/] up" in text
    assert all(line.isprintable() for line in text.split("\n"))


@settings(max_examples=30)
@given(
    st.recursive(
        st.text() | st.integers() | st.none(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_cleaned_json_is_plain_all_through(value: Any) -> None:
    def texts(one: Any) -> list[str]:
        if isinstance(one, str):
            return [one]
        if isinstance(one, dict):
            return [*one, *(text for each in one.values() for text in texts(each))]
        return [text for each in one for text in texts(each)] if isinstance(one, list) else []

    assert all(text.isprintable() and len(text) <= 300 for text in texts(cleaned(value)))


@settings(max_examples=30)
@given(st.lists(st.sampled_from(sorted(trouble())), unique=True))
def test_whatever_a_gateway_leaves_out_the_rest_is_shown(missing: list[str]) -> None:
    status = {name: value for name, value in trouble().items() if name not in missing}
    assert shown(status)


@settings(max_examples=30)
@given(st.lists(st.sampled_from(sorted(set(incident()) - {"resolved"})), unique=True))
def test_whatever_an_incident_leaves_out_the_rest_is_shown(missing: list[str]) -> None:
    one = {name: value for name, value in incident().items() if name not in missing}
    assert any(line.startswith("○") for line in shown({**trouble(), "incidents": [one]}))
