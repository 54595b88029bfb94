"""The reader of status pages against real servers on loopback: what they answer, and how rarely."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import trustme
from tests.net.asking import on_loop
from tests.net.script_server import ScriptServer, Step, closed_port, read, send, until_gone
from tests.wire.pages.documents import EVERY, NOW, dumps, statuspage

from holdfast.core.reading import Params
from holdfast.facts.observations import Observation
from holdfast.facts.pages import PageFormat, PageSource
from holdfast.facts.places import Provider
from holdfast.net.dial import Dialer
from holdfast.net.pages import PageReader

SUMMARY = dumps(statuspage())
WELL = dumps({"page": {"id": "p"}, "status": {"indicator": "none", "description": "All good"}})


def answer(
    body: bytes, head: str = "", status: str = "200 OK", kind: str = "application/json"
) -> list[Step]:
    """A script that answers one request."""
    lines = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{head}\r\n"
    )
    return [read(), send(lines.encode() + body)]


def provider(*urls: str, form: PageFormat = "statuspage", page: str | None = None) -> Provider:
    source = PageSource(format=form, urls=urls) if urls else None
    return Provider(
        name="made-up", dialects=("openai",), base_url="https://x", status_page=page, page=source
    )


class Clock:
    """Time that passes when a test says so."""

    at = 0.0

    def steady(self) -> float:
        return self.at

    def wall(self) -> float:
        return NOW + self.at


Plot = Callable[[PageReader, Clock], Coroutine[Any, Any, None]]


def with_reader(plot: Plot, *, tls: ssl.SSLContext | None = None, total_s: float = 20.0) -> None:
    async def flight(dialer: Dialer) -> None:
        clock = Clock()
        params = Params(spread_s=0.0, jitter=0.0)
        reader = PageReader(
            dialer, lambda: 0.0, params=params, total_s=total_s, clock=clock.steady, wall=clock.wall
        )
        await plot(reader, clock)

    on_loop("uvloop", flight, ssl_context=tls)


def read_once(provider: Provider, **options: Any) -> Observation:
    found: list[Observation] = []

    async def plot(reader: PageReader, _: Clock) -> None:
        found.append(await reader.read(provider))

    with_reader(plot, **options)
    return found[0]


def why(found: Observation) -> str:
    assert found.page is not None
    assert found.page.state == "unreadable", found.page
    assert found.text == found.page.why
    assert not found.ok
    return found.page.why


def test_a_page_s_claim_is_an_observation_at_the_time_of_reading() -> None:
    with ScriptServer(answer(SUMMARY)) as server:
        found = read_once(provider(f"{server.url}/s.json", page="https://status.example.com"))
    assert (found.kind, found.provider, found.wall) == ("status_page", "made-up", NOW)
    assert (found.ok, found.status, found.text) == (False, 200, "Partial System Outage")
    assert found.page is not None
    assert (found.page.state, found.page.url) == ("incident", "https://status.example.com")
    assert b"GET /s.json HTTP/1.1" in server.requests[0]
    assert b"accept-encoding: identity" in server.requests[0]


@pytest.mark.parametrize("form", sorted(EVERY))
def test_every_format_is_read_over_a_socket(form: PageFormat) -> None:
    kind = "application/rss+xml" if form == "feed" else "application/json"
    with ScriptServer(answer(EVERY[form], kind=kind)) as server:
        found = read_once(provider(server.url, form=form))
    assert found.page is not None
    assert found.page.state == "incident", found.page.why


def test_what_has_not_changed_is_not_sent_again_and_is_observed_anew() -> None:
    head = 'ETag: "v1"\r\nLast-Modified: Thu, 28 May 2026 20:00:00 GMT\r\n'
    scripts = [
        answer(SUMMARY, head),
        answer(b"", status="304 Not Modified"),
        answer(WELL, 'ETag: "v2"\r\n'),
        answer(b"", status="304 Not Modified"),
    ]
    with ScriptServer(*scripts) as server:
        page = provider(server.url)

        async def plot(reader: PageReader, clock: Clock) -> None:
            first = await reader.read(page)
            clock.at = 900.0
            second = await reader.read(page)
            assert second.page == first.page
            assert (second.status, second.wall) == (304, NOW + 900)
            assert (await reader.read(page)).ok
            assert (await reader.read(page)).ok

        with_reader(plot)
    assert b"if-none-match" not in server.requests[0]
    assert b'if-none-match: "v1"' in server.requests[1]
    assert b"if-modified-since: Thu, 28 May 2026 20:00:00 GMT" in server.requests[1]
    assert b'if-none-match: "v2"' in server.requests[3]
    assert b"if-modified-since" not in server.requests[3]


def test_a_304_to_somebody_who_has_nothing_is_no_claim() -> None:
    with ScriptServer(answer(b"", status="304 Not Modified")) as server:
        assert "no page there (status 304)" in why(read_once(provider(server.url)))


# ---------------------------------------------------------------- what cannot be read


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (answer(b"", status="405 Method Not Allowed"), "blocked: it answers 405"),
        (answer(b"<html>captcha</html>", kind="text/html"), "blocked: it answers programs with"),
        (answer(b"<html>hello</html>", kind="text/html"), "HTML where JSON was due"),
        (answer(SUMMARY, kind="video/mp4"), "wrong type: video/mp4"),
        (answer(b"", "Location: /\r\n", "302 Found"), "redirects in a circle"),
        ([read(), send(b"HTTP/1.1 200 OK\r\nContent-Length: 52428800\r\n\r\n"), until_gone()],
         "too large: 127.0.0.1: the answer is larger than 4 MB"),
        ([read(), send(b"SSH-2.0\r\n\r\n")], "no HTTP answer"),
        ([read(), send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")], "closed in mid-answer"),
    ],
)  # fmt: skip
def test_what_is_no_page_is_unreadable_for_its_own_reason(script: list[Step], reason: str) -> None:
    with ScriptServer(script) as server:
        assert reason in why(read_once(provider(f"{server.url}/")))


def test_a_slow_page_a_dead_one_and_none_at_all() -> None:
    with ScriptServer([read(), until_gone()]) as server:
        assert "no answer within the time" in why(read_once(provider(server.url), total_s=0.15))
    dead = provider(f"http://127.0.0.1:{closed_port()}")
    assert why(read_once(dead)).startswith("not reached: connection refused")
    assert why(read_once(provider())) == "no status page is known"


def test_a_bad_certificate_is_said_to_be_one() -> None:
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(serving)
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trustme.CA().configure_trust(trusting)
    with ScriptServer(answer(SUMMARY), tls=serving) as server:
        found = read_once(provider(server.url), tls=trusting)
    assert why(found).startswith("bad certificate: ")


def test_texts_arrive_plain_and_times_of_the_future_do_not() -> None:
    page = statuspage(status={"indicator": "major", "description": "<b>Down</b>\x1b[31m \u202e!"})
    page["incidents"][0] |= {"started_at": "2999-01-01T00:00:00Z", "created_at": 1e18}
    with ScriptServer(answer(dumps(page))) as server:
        found = read_once(provider(server.url))
    assert found.page is not None
    assert found.text == "Down !"
    assert found.page.incidents[0].started_wall is None
    assert found.page.incidents[0].created_wall is None


def test_a_large_page_is_read_beside_the_loop_and_just_the_same() -> None:
    page = statuspage(description="x" * 300_000)
    with ScriptServer(answer(dumps(page))) as server:
        found = read_once(provider(server.url))
    with ScriptServer(answer(SUMMARY)) as small:
        same = read_once(provider(small.url))
    assert found.page is not None
    assert same.page is not None
    assert found.page.incidents == same.page.incidents


# ---------------------------------------------------------------- several addresses


def test_a_blocked_address_is_followed_by_the_next_which_then_is_the_first() -> None:
    blocked, good = answer(b"", status="405 No"), answer(WELL)
    with ScriptServer(blocked) as first, ScriptServer(good, good, blocked) as second:
        page = provider(first.url, second.url)

        async def plot(reader: PageReader, _: Clock) -> None:
            assert (await reader.read(page)).ok
            assert (await reader.read(page)).ok
            assert len(first.requests) == 1  # the one that worked came first
            assert why(await reader.read(page)) == "blocked: it answers 405 to programs"
            assert len(first.requests) == 2

        with_reader(plot)


def test_a_page_of_ones_own_is_found_by_asking_its_usual_addresses() -> None:
    missing = answer(b"", status="404 Not Found", kind="text/plain")
    with ScriptServer(missing, missing, answer(EVERY["betterstack"]), missing) as server:

        async def plot(reader: PageReader, _: Clock) -> None:
            found = await reader.read(provider(page=server.url))
            assert found.page is not None
            assert found.page.state == "incident", found.page.why
            assert why(await reader.read(provider(page=server.url))) == "no page there (status 404)"

        with_reader(plot)
    asked = [request.split()[1] for request in server.requests]
    assert asked[:3] == [b"/api/v2/summary.json", b"/summary.json", b"/index.json"]
    assert asked[3] == b"/index.json"


def test_a_host_that_is_not_there_is_asked_once_not_at_every_address() -> None:
    with ScriptServer([read()]) as server:  # closes without a word
        assert "closed before an answer" in why(read_once(provider(page=server.url)))
        assert len(server.requests) == 1


# ---------------------------------------------------------------- when


def test_pages_are_read_when_due_sooner_in_trouble_and_not_before_they_allow() -> None:
    busy = answer(b"", "Retry-After: 4000\r\n", "429 Too Many Requests")
    with ScriptServer(answer(WELL), answer(SUMMARY), busy, answer(WELL)) as server:
        page = provider(server.url)
        silent = Provider(name="engine", dialects=("openai",), base_url="http://127.0.0.1:1")

        async def plot(reader: PageReader, clock: Clock) -> None:
            async def due(at: float, *troubled: str, online: bool = True) -> list[Observation]:
                clock.at = at
                return await reader.read_due([page, silent], troubled=troubled, online=online)

            assert await due(0.0, online=False) == []
            assert [found.ok for found in await due(1.0)] == [True]
            assert await due(30.0) == []
            assert await due(40.0, "made-up") == []
            assert [found.ok for found in await due(61.0, "made-up")] == [False]
            assert await due(300.0, "made-up") == []
            assert "asked too often" in why((await due(361.0, "made-up"))[0])
            assert await due(4300.0, "made-up") == []
            assert [found.ok for found in await due(4361.0)] == [True]

        with_reader(plot)
    assert len(server.requests) == 4
