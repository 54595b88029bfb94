"""Whatever answers in a page's place: a claim comes out, bounded, plain, and never an exception."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wire.pages import documents
from tests.wire.pages.documents import EVERY, NOW, dumps, statuspage

from holdfast.facts.calls import Headers
from holdfast.facts.pages import PageClaim, PageFormat, PageSource
from holdfast.wire.pages.claim import About
from holdfast.wire.pages.door import LIMIT_BYTES, READERS, addresses, read_page
from holdfast.wire.pages.plain import text

FORMS = ("any", *READERS)
JSON: Headers = ((b"content-type", b"application/json; charset=utf-8"),)


def about(form: PageFormat) -> About:
    return About(PageSource(format=form, components={"*a*": "messages"}), NOW, "https://s.example")


def claimed(
    data: bytes, form: PageFormat = "statuspage", status: int = 200, headers: Headers = JSON
) -> PageClaim:
    return read_page(status, headers, data, about(form))


# ---------------------------------------------------------------- what is no page

HTML = b"<!DOCTYPE html><html><title>Just a moment...</title>"


@pytest.mark.parametrize(
    ("status", "headers", "data", "why"),
    [
        (405, (), b"", "blocked: it answers 405 to programs"),
        (403, ((b"cf-mitigated", b"challenge"),), b"", "with a challenge (status 403)"),
        (202, ((b"x-amzn-waf-action", b"captcha"),), b"", "with a challenge (status 202)"),
        (200, (), HTML, "with a challenge (status 200)"),
        (200, (), b"<html>Please solve this CAPTCHA</html>", "with a challenge"),
        (200, (), b"\xef\xbb\xbf <html><body>Status</body></html>", "HTML where JSON was due"),
        (429, (), b"{}", "asked too often"),
        (511, (), b"", "wants a sign-in first"),
        (503, (), b"", "the page itself is in trouble (status 503)"),
        (404, (), b"{}", "no page there (status 404)"),
        (304, (), b"", "no page there (status 304)"),
        (200, ((b"content-encoding", b"br"),), b"{}", "compressed"),
        (200, ((b"content-type", b"image/png"),), EVERY["statuspage"], "wrong type: image/png"),
        (200, JSON, b"x" * (LIMIT_BYTES + 1), "too large: more than 4 MB"),
        (200, JSON, b'{"page": "\xff\xfe"}', "not UTF-8"),
        (200, JSON, b"\xff\xfe\x00", "not UTF-8"),
        (200, JSON, b"", "not the JSON"),
        (200, JSON, b"[" * 200_000, "nested too deeply"),
        (200, JSON, b'{"a":' * 200_000, "nested too deeply"),
        (200, JSON, b"[]", "not of the promised shape"),
        (200, JSON, b'{"page":{"id":"1"}}', "not a Statuspage document"),
    ],
)
def test_what_is_no_page_is_unreadable_for_a_plain_reason(
    status: int, headers: Headers, data: bytes, why: str
) -> None:
    found = claimed(data, status=status, headers=headers)
    assert found.state == "unreadable"
    assert why in found.why
    assert (found.components, found.incidents, found.described) == ((), (), "")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b'<!DOCTYPE x [<!ENTITY a "b">]><rss>&a;</rss>', "document type or entities"),
        ('<?xml version="1.0"?><!doctype x><rss/>'.encode("utf-16"), "document type or entities"),
        (b"<rss>" + b"<a>" * 100_000, "nested too deeply"),
        (b"<rss><channel>", "not the XML"),
        (b"<rss>&unknown;</rss>", "not the XML"),
        (b"<svg/>", "not a feed"),
        (b"{}", "not the XML"),
    ],
)
def test_xml_that_is_no_feed_is_refused(data: bytes, why: str) -> None:
    found = claimed(data, "feed", headers=((b"content-type", b"application/rss+xml"),))
    assert found.state == "unreadable"
    assert why in found.why


def test_an_empty_list_is_recognised_as_nothing() -> None:
    """Somebody's empty list is not somebody's all-clear."""
    for data in (b"[]", b'{"data":[]}', b"{}", b"null"):
        assert claimed(data, "any").why == "its format is none that is known here"


# ---------------------------------------------------------------- texts and bounds


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("<script>alert(1)</script>Down", "alert(1) Down"),
        ("&lt;img src=x onerror=1&gt; slow &amp; broken", "slow & broken"),
        ("\x1b[31mred\x1b[0m \x1b]8;;http://evil\x07link\x1b]8;;\x07", "red link"),
        ("a\u202egnp.exe\u2066 b\u200b\ufeffc\x00\x9b", "agnp.exe bc"),
        ("two\nlines\t and \u2028 more", "two lines and more"),
        ("p95 < 3 s", "p95 ‹ 3 s"),
        ("&amp;lt;b&amp;gt;", ""),
        ("x" * 300, "x" * 199 + "…"),
        (12, "12"),
        (True, ""),
        ({"a": 1}, ""),
        pytest.param(10**5000, "", id="a number too long to spell"),
    ],
)
def test_texts_are_plain(raw: object, shown: str) -> None:
    assert text(raw) == shown


def test_lists_are_kept_within_bounds_and_what_is_open_comes_first() -> None:
    page = statuspage()
    page["components"] = [
        {"id": f"c{i}", "name": "n" * 900, "status": "operational"} for i in range(999)
    ]
    open_one = page["incidents"][0]
    page["incidents"] = [{**open_one, "id": f"i{i}", "status": "resolved"} for i in range(999)]
    page["incidents"].append(open_one)
    found = claimed(dumps(page))
    assert len(found.components) == 200
    assert len(found.incidents) == 100
    assert found.incidents[0].id == "i1"
    assert found.state == "incident"


def plain(shown: str, longest: int) -> None:
    assert len(shown) <= longest
    assert shown.isprintable()
    assert not set(shown) & set("<>")


def bounded(found: PageClaim) -> None:
    """What holds for every claim, whatever was read."""
    assert bool(found.why) == (found.state == "unreadable")
    plain(found.why, 300)
    plain(found.described, 300)
    assert len(found.components) <= 200
    assert len(found.incidents) <= 100
    for component in found.components:
        plain(component.id, 120)
        plain(component.name, 200)
    for incident in found.incidents:
        plain(incident.id, 120)
        plain(incident.name, 200)
        plain(incident.impact, 40)
        assert len(incident.components) <= 50
        for link in incident.components:
            plain(link, 120)
        times = (incident.started_wall, incident.created_wall, incident.updated_wall)
        for at in (*times, incident.resolved_wall):
            assert at is None or 946_684_800 <= at <= NOW + 300


@settings(max_examples=300)
@given(st.binary(max_size=300), st.sampled_from(FORMS), st.integers(100, 599))
def test_any_bytes_give_a_claim(data: bytes, form: PageFormat, status: int) -> None:
    bounded(claimed(data, form, status))
    bounded(claimed(data, form, headers=()))


WILD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=30)
    | st.sampled_from(["<b>", "\x1b[1m", "operational", "investigating", "0", "9" * 40, "\u202e"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "name", "status", "components"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    found = [path] if path else []
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, inner in items:
        found += paths(inner, (*path, key))
    return found


DOCUMENTS = {form: json.loads(data) for form, data in EVERY.items() if form != "feed"}
PLACES = [(form, path) for form, document in DOCUMENTS.items() for path in paths(document)]


@settings(max_examples=600)
@given(st.lists(st.sampled_from(PLACES), min_size=1, max_size=3), WILD, st.booleans())
def test_a_document_with_anything_in_any_place_gives_a_claim(
    places: list[tuple[str, tuple[Any, ...]]], wild: Any, recognise: bool
) -> None:
    form = places[0][0]
    document = json.loads(EVERY[form])
    for other, path in places:
        if other == form:
            put(document, path, copy.deepcopy(wild))  # it may go into an earlier one
    bounded(claimed(dumps(document), "any" if recognise else form))  # type: ignore[arg-type]


def put(document: Any, path: tuple[Any, ...], value: Any) -> None:
    """Put a value into a place, if that place is still there."""
    for key in path[:-1]:
        try:
            document = document[key]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(document, (dict, list)) and not isinstance(document, str):
        try:
            document[path[-1]] = value
        except (IndexError, TypeError):
            return


@settings(max_examples=300)
@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=60))
def test_a_feed_with_any_texts_gives_a_claim(title: str, body: str, date: str) -> None:
    from xml.sax.saxutils import escape

    page = (
        f"<rss><channel><title>{escape(title)}</title><item><title>{escape(title)}</title>"
        f"<description>{escape(body)}</description><pubDate>{escape(date)}</pubDate>"
        f"</item></channel></rss>"
    )
    bounded(claimed(page.encode(errors="replace"), "feed", headers=()))


@settings(max_examples=200)
@given(st.integers(0, len(documents.RSS)), st.integers(0, 255), st.integers(0, 60))
def test_a_damaged_feed_gives_a_claim(where: int, byte: int, gone: int) -> None:
    data = documents.RSS[:where] + bytes([byte]) + documents.RSS[where + gone :]
    bounded(claimed(data, "feed", headers=()))


@settings(max_examples=400)
@given(st.text(max_size=400))
def test_any_text_is_plain_afterwards_and_stays_as_it_is(raw: str) -> None:
    shown = text(raw)
    plain(shown, 200)
    if "&" not in shown:
        assert text(shown) == shown


# ---------------------------------------------------------------- where pages are


def test_a_page_s_addresses_for_programs_follow_from_the_one_for_people() -> None:
    found = addresses("https://status.example.com/")
    assert found[0] == "https://status.example.com/api/v2/summary.json"
    assert "https://status.example.com/index.json" in found
    assert addresses("https://x.example/y.rss") == ("https://x.example/y.rss",)
