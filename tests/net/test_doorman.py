"""Who may come in: names, pages of others, and what a body is declared as."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.net.doorman import Doorman, Refusal

PORT = 4141
HOME = Doorman.of("127.0.0.1", PORT)
ANY = Doorman.of("0.0.0.0", PORT)
NAMED = Doorman(frozenset({"Gateway.Example", "proxy.example:8443"}), PORT)


def check(
    doorman: Doorman = HOME, method: str = "GET", path: str = "/-/status.json", **headers: str
) -> int | None:
    """The status of the refusal, None for a welcome. Underlines in names are hyphens."""
    headers.setdefault("host", f"127.0.0.1:{PORT}")
    named = {k.replace("_", "-").encode(): v.encode("latin-1") for k, v in headers.items()}
    refusal = doorman.check(method, path, named)
    return None if refusal is None else refusal.status


# ------------------------------------------------------------------ names


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        f"localhost:{PORT}",
        "LOCALHOST",
        f"LocalHost:{PORT}",
        "127.0.0.1",
        f"127.0.0.1:{PORT}",
        "[::1]",
        f"[::1]:{PORT}",
    ],
)
def test_our_own_names_are_welcome(host: str) -> None:
    assert check(host=host) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        f"evil.example:{PORT}",
        "localhost.",
        "localhost.evil.example",
        f"localhost.:{PORT}",
        "localhost:1",
        f"localhost:0{PORT}",
        "localhost:",
        "foo.localhost",
        "127.1",
        "127.0.0.2",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0.0.0.0",
        "127.0.0.1.nip.example",
        "127.0.0.1.",
        "[::]",
        "[::2]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
        "gateway.example",
        "%6cocalhost",
    ],
)
def test_another_name_is_refused_with_a_remedy(host: str) -> None:
    """Rebinding gives a page any name but ours."""
    assert check(host=host) == 421
    refusal = HOME.check("GET", "/", {b"host": host.encode()})
    assert refusal is not None
    assert f"http://127.0.0.1:{PORT}" in refusal.text
    assert host in refusal.text


@pytest.mark.parametrize(
    "host",
    [
        "",
        "localhost@evil.example",
        "user:pw@localhost",
        "localhost/",
        "localhost/../",
        "/?",
        "/#",
        "localhost#",
        "localhost?x",
        "http://localhost",
        "::1",
        f"::1:{PORT}",
        "[::1",
        "localhost:port",
        "localhost:4141:4141",
        "local host",
        "localhost, evil.example",
        "lo\xe7alhost",
        ":4141",
        "localhost\t",
        "localhost\\evil",
    ],
)
def test_what_is_no_name_at_all_is_malformed(host: str) -> None:
    assert check(host=host) in (400, 421)
    assert check(ANY, host=host) == check(host=host)


def test_only_what_cannot_be_read_as_a_name_is_called_malformed() -> None:
    """An empty Host, user information, a path: RFC 9110 says 400; a stranger's name is 421."""
    assert [check(host=h) for h in ("", "a@b", "a/b", "::1", "a:b")] == [400] * 5


def test_configured_names_are_allowed_bare_and_with_the_port() -> None:
    for host in ("gateway.example", f"GATEWAY.example:{PORT}", "proxy.example:8443", "localhost"):
        assert check(NAMED, host=host) is None, host
    for host in ("gateway.example:80", "proxy.example", f"proxy.example:{PORT}", "gateway"):
        assert check(NAMED, host=host) == 421, host


def test_on_all_addresses_every_address_in_its_usual_spelling_is_allowed() -> None:
    """DNS cannot rebind what is no name."""
    for host in ("10.0.0.7", f"192.168.1.4:{PORT}", "[2001:db8::7]", f"[fe80::1]:{PORT}"):
        assert check(ANY, host=host) is None, host
    for host in ("10.1", "010.0.0.7", "[2001:db8:0::7]", "0.0.0.0", "[::]", "evil.example"):
        assert check(ANY, host=host) == 421, host


def test_an_ipv6_address_is_bound_by_its_bracketed_name() -> None:
    doorman = Doorman.of("2001:db8::7", PORT)
    assert check(doorman, host=f"[2001:db8::7]:{PORT}") is None
    assert check(doorman, host="[2001:db8::8]") == 421


def test_the_port_that_was_bound_takes_the_place_of_the_one_asked_for() -> None:
    moved = NAMED.at(5000)
    assert check(moved, host="gateway.example:5000") is None
    assert check(moved, host=f"gateway.example:{PORT}") == 421
    assert check(Doorman.of("0.0.0.0", 0).at(5000), host="10.0.0.7:5000") is None


def test_http_1_0_may_leave_its_host_out() -> None:
    """The caller has made sure that HTTP/1.1 has one; no browser speaks 1.0."""
    assert HOME.check("GET", "/", {}) is None


NAMES = st.text("localhst127.0:[]@/%.xe", max_size=20) | st.from_regex(
    rb"(localhost|127\.0\.0\.1|\[::1\])(:4141)?[.:@/ -~]{0,4}", fullmatch=True
).map(lambda raw: raw.decode("latin-1"))


@given(NAMES)
def test_only_the_list_passes(host: str) -> None:
    """Whatever the bytes: a Host passes that is on the list, and no other."""
    names = ("localhost", "127.0.0.1", "[::1]")
    listed = {*names, *(f"{name}:{PORT}" for name in names)}
    assert (check(host=host) is None) == (host.lower() in listed)


@given(NAMES, st.sampled_from(["GET", "POST", "OPTIONS", "DELETE"]), st.text(max_size=20))
def test_no_path_or_method_makes_a_name_welcome(host: str, method: str, path: str) -> None:
    """The verdict on a name is the same on every route, health checks and pages included."""
    if check(host=host) is not None:
        assert check(host=host, method=method, path=path) == check(host=host)
        assert check(host=host, method=method, path="/-/live") == check(host=host)


# ------------------------------------------------------------------ pages


OWN = (f"http://localhost:{PORT}", f"http://127.0.0.1:{PORT}", f"http://[::1]:{PORT}")


@pytest.mark.parametrize("origin", OWN)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_our_own_pages_may_ask(origin: str, method: str) -> None:
    assert check(method=method, origin=origin, sec_fetch_site="same-origin") is None


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "https://evil.example",
        f"http://evil.example:{PORT}",
        "http://localhost",  # another service of this machine
        "http://localhost:3000",
        "http://127.0.0.1",
        f"https://localhost:{PORT}",
        f"http://localhost:{PORT}/",
        f"http://localhost:{PORT}.evil.example",
        f"HTTP://LOCALHOST:{PORT}",
        f"http://user@localhost:{PORT}",
        f"http://localhost:{PORT} http://evil.example",
        "file://",
        "chrome-extension://abcdef",
        "*",
    ],
)
def test_pages_of_others_may_not(origin: str) -> None:
    """On any route: reading a health check across sites already tells who runs what."""
    for method in ("GET", "HEAD", "POST", "OPTIONS", "DELETE"):
        for path in ("/", "/v1/messages", "/-/", "/-/events", "/-/live", "/nowhere"):
            assert check(method=method, path=path, origin=origin) == 403, (method, path)


def test_a_name_behind_a_tls_proxy_has_a_page_of_its_own() -> None:
    assert check(NAMED, host="gateway.example", origin="https://gateway.example") is None
    assert check(NAMED, host="gateway.example", origin="http://gateway.example") == 403
    assert check(NAMED, host="gateway.example", origin=f"http://gateway.example:{PORT}") is None


def test_on_all_addresses_a_page_may_ask_where_it_came_from() -> None:
    host = f"10.0.0.7:{PORT}"
    assert check(ANY, host=host, origin=f"http://{host}") is None
    assert check(ANY, host=host, origin=f"http://10.0.0.8:{PORT}") == 403
    assert check(HOME, host="localhost", origin="http://localhost") == 403


def test_on_port_80_the_bare_name_is_the_origin() -> None:
    assert check(Doorman.of("127.0.0.1", 80), host="localhost", origin="http://localhost") is None


@pytest.mark.parametrize("site", ["cross-site", "same-site", "", "CROSS-SITE", "whatever"])
def test_the_browsers_word_counts_where_it_sends_no_origin(site: str) -> None:
    """A no-cors GET, an image, a script tag: these carry no Origin."""
    assert check(sec_fetch_site=site) == 403
    assert check(sec_fetch_site=site, sec_fetch_mode="no-cors", sec_fetch_dest="image") == 403


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_the_address_bar_and_our_own_pages_pass(site: str) -> None:
    assert check(sec_fetch_site=site, sec_fetch_mode="navigate") is None


def test_a_link_to_our_pages_may_be_followed_but_not_framed() -> None:
    """A top-level navigation shows the page to a person and nothing to the site that linked it."""
    link = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}
    assert check(path="/-/", **link) is None
    assert check(path="/-/chat", sec_fetch_dest="document", **link) is None
    assert check(path="/-", **link) is None
    assert check(path="/-/", sec_fetch_dest="iframe", **link) == 403
    assert check(path="/-/", sec_fetch_dest="embed", **link) == 403
    assert check(path="/-/", method="POST", **link) == 403
    assert check(path="/v1/models", **link) == 403
    assert check(path="/", **link) == 403
    assert check(path="/-x", **link) == 403


# ------------------------------------------------------------------- bodies


@pytest.mark.parametrize(
    "declared",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "application/json ;x=y",
    ],
)
def test_declared_json_is_taken(declared: str) -> None:
    assert check(method="POST", content_type=declared, content_length="2") is None


@pytest.mark.parametrize(
    "declared",
    [
        "",
        "text/plain",
        "text/plain;application/json",
        "text/plain; a=application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json, text/plain",
        "application/jsonp",
        "application/json-seq",
        "json",
    ],
)
@pytest.mark.parametrize("path", ["/v1/messages", "/-/api/x", "/nowhere"])
def test_what_a_page_could_send_unasked_is_not(declared: str, path: str) -> None:
    assert check(method="POST", path=path, content_type=declared, content_length="2") == 415
    assert check(method="POST", path=path, transfer_encoding="chunked") == 415


def test_a_post_without_a_body_need_declare_nothing() -> None:
    assert check(method="POST") is None
    assert check(method="POST", content_length="0") is None
    assert check(method="POST", content_length="00") is None
    assert check(method="POST", content_length="1") == 415


# --------------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (403, "permission_error"),
        (413, "request_too_large"),
        (415, "invalid_request_error"),
        (421, "invalid_request_error"),
        (503, "overloaded_error"),
    ],
)
def test_a_refusal_is_an_error_in_the_shape_of_the_dialects(status: int, kind: str) -> None:
    """Both SDKs look for `error.type` and `error.message`."""
    body = json.loads(Refusal(status, 'say "why"\n').body())
    assert body["error"]["type"] == kind
    assert body["error"]["message"] == 'say "why"\n'


@given(st.binary(max_size=300) | st.text("ab.", min_size=300, max_size=900).map(str.encode))
def test_a_strangers_bytes_cannot_act_in_a_refusal(value: bytes) -> None:
    """They are quoted, bounded, and printable."""
    named = {b"host": b"localhost", b"content-length": b"1"}
    refusals = (
        HOME.check("GET", "/", named | {b"origin": value}),
        HOME.check("GET", "/", named | {b"sec-fetch-site": value}),
        HOME.check("POST", "/", named | {b"content-type": value}),
        HOME.check("GET", "/", {b"host": value}),
    )
    for refusal in refusals:
        if refusal is not None:
            assert refusal.text.isprintable()
            assert len(refusal.text) < 700
