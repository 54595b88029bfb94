"""Who may come in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.net.doorman import Doorman

DOOR = Doorman.of("127.0.0.1", 4141)
HOST = (b"host", b"127.0.0.1:4141")
JSON = (b"content-type", b"application/json; charset=utf-8")
BODY = (b"content-length", b"2")
PATH = "/v1/messages"


def status(*headers: tuple[bytes, bytes], method: str = "POST", path: str = PATH) -> int:
    refusal = DOOR.check(method, path, headers)
    return 200 if refusal is None else refusal.status


@pytest.mark.parametrize(
    "host", [b"localhost", b"localhost:4141", b"LocalHost:4141", b"127.0.0.1", b"[::1]:4141"]
)
def test_our_own_names_are_welcome(host: bytes) -> None:
    assert status((b"host", host), JSON, BODY) == 200


@pytest.mark.parametrize(
    "host",
    [
        b"evil.com",
        b"localhost.",
        b"localhost:80",
        b"127.1",
        b"2130706433",
        b"user@localhost",
        b"localhost/?",
        b"localhost#",
        b"",
        b"0.0.0.0:4141",
        b"127.0.0.1.nip.io",
        b"localhost.evil.com",
    ],
)
def test_any_other_name_is_not_ours(host: bytes) -> None:
    assert status((b"host", host), JSON, BODY) == 421


def test_exactly_one_host_is_required() -> None:
    assert status(JSON, BODY) == 400
    assert status(HOST, HOST, JSON, BODY) == 400


@pytest.mark.parametrize("origin", [b"null", b"https://evil.com", b"http://localhost:8080"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_foreign_origin_gets_nothing_anywhere(origin: bytes, method: str) -> None:
    for path in (PATH, "/-/status.json", "/"):
        assert status(HOST, (b"origin", origin), method=method, path=path) == 403


def test_our_own_pages_may_ask() -> None:
    assert status(HOST, (b"origin", b"http://127.0.0.1:4141"), JSON, BODY) == 200


def test_a_cross_site_request_is_refused_but_a_followed_link_is_not() -> None:
    cross = (b"sec-fetch-site", b"cross-site")
    assert status(HOST, cross, JSON, BODY) == 403
    navigate = (b"sec-fetch-mode", b"navigate")
    assert status(HOST, cross, navigate, method="GET", path="/-/") == 200
    assert status(HOST, cross, navigate, method="GET", path=PATH) == 403


@pytest.mark.parametrize("kind", [b"text/plain", b"application/x-www-form-urlencoded", b""])
def test_what_a_page_can_send_unasked_is_not_taken(kind: bytes) -> None:
    assert status(HOST, (b"content-type", kind), BODY) == 415
    assert status(HOST, BODY) == 415


@given(st.binary(max_size=40))
def test_no_other_name_ever_passes(host: bytes) -> None:
    known = {b"localhost", b"127.0.0.1", b"[::1]"}
    known |= {name + b":4141" for name in known}
    assert (status((b"host", host), JSON, BODY) == 200) == (host.lower() in known)
