"""The ladder against real things on loopback: hosts, name servers, proxies, portals, holes."""

from __future__ import annotations

import asyncio
import datetime
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.doubles import holes
from tests.doubles.between import LOGIN_PAGE, LOGIN_REDIRECT, WELL, Host, Proxy, Stand
from tests.doubles.names import Mood, NameServer, stub
from tests.net.asking import LOOPS

from holdfast.facts.network import Climb, PortalCheck, References, Step
from holdfast.net.dial import Origin
from holdfast.net.ladder import Ladder, Limits
from holdfast.net.proxies import Proxies, proxies_of

NO_ROUTE = ("255.255.255.255", "ff02::1:ff00:0")
HERE = ("127.0.0.1", "::1")
CALM = Limits()
# For holes, where a step is to come to nothing: long enough for whoever does answer on loopback.
BRISK = Limits(step_s=0.6, total_s=5.0)
NO_PROXY = Proxies()
GOOD = trustme.CA(organization_name="Good Signers Ltd")
PRYING = trustme.CA(organization_name="Prying Proxies Ltd")


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


IPV6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")


class World:
    """Hosts with names, all of loopback, and a ladder among them."""

    def __init__(self, stack: ExitStack, loop: str) -> None:
        self.stack = stack
        self.loop = loop
        self.ca, self.other_ca = GOOD, PRYING
        self.trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.ca.configure_trust(self.trust)
        self.names: dict[str, list[str]] = {}
        self.references: list[str] = []
        self.portals: list[PortalCheck] = []

    def host(self, name: str, certificate: trustme.LeafCert | None = None, **options: Any) -> Host:
        self.names[name] = [options.get("host", "127.0.0.1")]
        certificate = certificate or self.ca.issue_cert(name)
        return self.stack.enter_context(Host(certificate, **options))

    def reference(self, name: str = "one.test", **options: Any) -> Host:
        host = self.host(name, **options)
        self.references.append(f"https://{name}:{host.port}")
        return host

    def bare_reference(self) -> Host:
        """A reference without a name."""
        host = Host(self.ca.issue_cert("127.0.0.1"))
        self.references.append(f"https://127.0.0.1:{host.port}")
        return self.stack.enter_context(host)

    def portal(self, answer: bytes, says: str = "success") -> Host:
        host = self.stack.enter_context(Host(answer=answer))
        self.names["portal.test"] = ["127.0.0.1"]
        self.portals.append(PortalCheck(f"http://portal.test:{host.port}/check", says=says))
        return host

    def climb(
        self,
        url: str = "",
        *,
        mood: Mood = "answers",
        limits: Limits = CALM,
        outside: tuple[str, str] = HERE,
        proxies: Proxies = NO_PROXY,
    ) -> Climb:
        """One climb; nothing may be reported to the loop, nothing stay open."""
        reports: list[Mapping[str, Any]] = []

        async def main(port: int) -> Climb:
            asyncio.get_running_loop().set_exception_handler(lambda _, met: reports.append(met))
            references = References(hosts=tuple(self.references), portals=tuple(self.portals))
            ladder = Ladder(
                references,
                proxies=proxies,
                lookup=stub(port),
                tls=self.trust,
                limits=limits,
                outside=outside,
            )
            climb = await ladder.climb(
                1000.0, "them" if url else "", Origin.of(url)[0] if url else None
            )
            assert len(asyncio.all_tasks()) == 1
            return climb

        with (
            NameServer(self.names, mood) as server,
            asyncio.Runner(loop_factory=LOOPS[self.loop]) as runner,
        ):
            climb = runner.run(main(server.port))
        assert not reports
        return climb


@pytest.fixture(params=sorted(LOOPS))
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(stack, request.param)


def step(climb: Climb, rung: str, host: str = "", **about: Any) -> Step:
    """The one step of this kind."""
    about = {"proxied": False, **about}
    (found,) = (
        step
        for step in climb.steps
        if step.rung == rung
        and (not host or step.host == host)
        and all(getattr(step, name) == value for name, value in about.items())
    )
    return found


def deaf_and_gone(sock: socket.socket) -> None:
    """Takes the first byte, and hangs up."""
    sock.recv(1)


# ---------------------------------------------------------------- all well


def test_a_good_way_is_well_and_each_rung_says_what_it_met(world: World) -> None:
    world.reference()
    them = world.host("them.test")
    climb = world.climb(f"https://them.test:{them.port}")
    assert (climb.finding, climb.provider, climb.wall) == ("well", "them", 1000.0)
    assert step(climb, "link", family="v4").ok
    assert step(climb, "dns", "them.test", family="v4").address == "127.0.0.1"
    assert not step(climb, "dns", "them.test", family="v6").ok  # it has no AAAA
    assert step(climb, "tcp", "them.test").address == f"127.0.0.1:{them.port}"
    tls = step(climb, "tls", "them.test")
    assert (tls.ok, tls.issuer, tls.alpn) == (True, "Good Signers Ltd", "http/1.1")
    assert step(climb, "http", "them.test").status == 200
    assert all(0 <= step.took_s < 2 for step in climb.steps)


def test_what_is_sent_is_a_bare_head_without_credentials(world: World) -> None:
    one = world.reference()
    world.climb()
    assert one.requests == [
        f"HEAD / HTTP/1.1\r\nhost: one.test:{one.port}\r\nuser-agent: holdfast\r\n"
        "connection: close\r\n\r\n".encode()
    ]


def test_an_answer_that_says_failure_is_an_answer(world: World) -> None:
    world.reference()
    them = world.host("them.test", answer=b"HTTP/1.1 503 Down\r\ncontent-length: 9\r\n\r\n")
    climb = world.climb(f"https://them.test:{them.port}")
    assert (climb.finding, step(climb, "http", "them.test").status) == ("well", 503)


def test_a_local_engine_needs_no_tls_and_no_name(world: World) -> None:
    engine = world.stack.enter_context(Host())
    climb = world.climb(f"http://127.0.0.1:{engine.port}")
    assert climb.finding == "well"
    assert [step.rung for step in climb.steps if step.host] == ["tcp", "http"]


def test_with_nobody_to_ask_nothing_is_claimed(world: World) -> None:
    assert world.climb().finding == "unclear"


# ---------------------------------------------------------------- names


@pytest.mark.parametrize("mood", ["fails", "silent"])
def test_a_dead_name_server_is_told_from_a_dead_network(world: World, mood: Mood) -> None:
    world.bare_reference()
    them = world.host("them.test")
    climb = world.climb(f"https://them.test:{them.port}", mood=mood, limits=BRISK)
    assert climb.finding == "dns"
    assert "no name server answers" in step(climb, "dns", family="v4").text


def test_a_name_that_does_not_exist_where_others_do_is_that_hosts_trouble(world: World) -> None:
    world.reference()
    climb = world.climb("https://gone.test:443")
    assert climb.finding == "host"
    assert "gone.test" in climb.because[0]
    assert "no IPv4 address for the name gone.test: it has none" in climb.because


# ---------------------------------------------------------------- connections


def test_a_blackholed_host_is_told_from_a_dead_network(world: World) -> None:
    world.reference()
    with holes.blackhole() as url:
        climb = world.climb(url.replace("http", "https"), limits=BRISK)
    assert climb.finding == "host"
    assert "no answer within 0.6 s" in step(climb, "tcp", "127.0.0.1").text


def test_a_host_that_refuses_resets_or_says_nothing_never_raises(world: World) -> None:
    world.reference()
    deaf = world.stack.enter_context(Stand(deaf_and_gone))
    with holes.refused() as refused, holes.resets() as resets:
        for url in (refused, resets, f"http://127.0.0.1:{deaf.port}"):
            assert world.climb(url.replace("http", "https")).finding == "host"
            assert world.climb(url).finding == "host"


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9\r\n",
        b"\0" * 50_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 4000,
        b"HTTP/1.1 2",
    ],
)
def test_an_answer_that_is_no_http_is_a_failed_rung(world: World, answer: bytes) -> None:
    world.reference()
    them = world.host("them.test", answer=answer)
    climb = world.climb(f"https://them.test:{them.port}")
    assert climb.finding == "host"
    assert not step(climb, "http", "them.test").ok


def test_without_any_way_out_it_is_offline(world: World) -> None:
    climb = world.climb("https://gone.test", outside=NO_ROUTE)
    assert climb.finding == "offline"
    assert not step(climb, "link", family="v4").ok


def test_where_no_reference_answers_it_is_offline(world: World) -> None:
    with holes.blackhole() as one:
        world.references.append(one.replace("http", "https"))
        climb = world.climb("https://gone.test", limits=Limits(step_s=0.2))
    assert climb.finding == "offline"


def test_a_climb_ends_in_time_and_says_what_was_not_over(world: World) -> None:
    with holes.blackhole() as url:
        began = time.monotonic()
        climb = world.climb(url, limits=Limits(step_s=60.0, total_s=0.3))
        assert time.monotonic() - began < 5
    assert "was not over within 0.3 s" in step(climb, "tcp").text


ALONE = """
import asyncio
from holdfast.facts.network import References
from holdfast.net.ladder import Ladder
print(asyncio.run(Ladder(References()).climb(0.0)).finding)
"""


@pytest.mark.skipif(shutil.which("unshare") is None, reason="no network namespaces here")
def test_a_machine_without_any_network_is_offline() -> None:
    """A network namespace of its own, in which even loopback is down; all as a user has it."""
    words = ["unshare", "--user", "--map-root-user", "--net"]
    if subprocess.run([*words, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this user may make no network namespace")
    done = subprocess.run(
        [*words, sys.executable, "-c", ALONE],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.strip() == "offline"


# ---------------------------------------------------------------- families


@IPV6
def test_a_dead_ipv6_beside_a_living_ipv4_is_found(world: World) -> None:
    one = world.reference()
    world.names["one.test"].append("::1")  # nobody listens there
    them = world.host("them.test")
    world.names["them.test"].append("::1")
    climb = world.climb(f"https://them.test:{them.port}")
    assert climb.finding == "ipv6"
    assert not step(climb, "tcp", "one.test", family="v6").ok
    assert len(one.requests) == 1


@IPV6
def test_both_families_alive_are_both_climbed_and_one_asked(world: World) -> None:
    world.reference(host="::1")
    climb = world.climb()
    assert climb.finding == "well"
    assert step(climb, "tls", family="v6").ok
    assert len([step for step in climb.steps if step.rung == "http"]) == 1


def test_no_ipv6_at_all_is_no_finding(world: World) -> None:
    world.reference()
    world.names["one.test"].append("::1")
    assert world.climb(outside=(HERE[0], NO_ROUTE[1])).finding == "well"


# ---------------------------------------------------------------- who signed it


def test_interception_is_named_by_its_issuer_and_told_nothing(world: World) -> None:
    world.reference()
    between = world.host("them.test", world.other_ca.issue_cert("them.test"))
    climb = world.climb(f"https://them.test:{between.port}")
    assert climb.finding == "intercepted"
    tls = step(climb, "tls", "them.test")
    assert (tls.ok, tls.issuer, tls.distrust) == (False, "Prying Proxies Ltd", "issuer")
    assert "signed by Prying Proxies Ltd" in tls.text
    assert between.requests == []


def test_a_certificate_that_has_expired_is_that_hosts_trouble(world: World) -> None:
    world.reference()
    old = world.ca.issue_cert(
        "them.test", not_after=datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    )
    them = world.host("them.test", old)
    climb = world.climb(f"https://them.test:{them.port}")
    assert climb.finding == "host"
    assert step(climb, "tls", "them.test").distrust == "expired"


def test_certificates_that_are_all_out_of_date_point_to_the_clock(world: World) -> None:
    for name in ("one.test", "two.test"):
        early = world.ca.issue_cert(
            name, not_after=datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
        )
        world.reference(name, certificate=early)
    climb = world.climb()
    assert climb.finding == "unclear"
    assert "clock" in climb.because[0]


# ---------------------------------------------------------------- portals


@pytest.mark.parametrize("answer", [LOGIN_PAGE, LOGIN_REDIRECT])
def test_a_captive_portal_is_found(world: World, answer: bytes) -> None:
    portal = world.portal(answer)
    signs = trustme.CA(organization_name="Hotel").issue_cert("login.portal.test")
    world.reference(certificate=signs)
    climb = world.climb()
    assert climb.finding == "portal"
    assert "sign in" in climb.because[0]
    assert portal.requests[0].startswith(b"GET /check HTTP/1.1\r\n")


def test_an_open_network_answers_as_promised(world: World) -> None:
    world.reference()
    world.portal(WELL.replace(b"length: 0", b"length: 8") + b"success\n")
    climb = world.climb()
    assert (climb.finding, step(climb, "portal").ok) == ("well", True)


def test_no_content_can_be_the_promise(world: World) -> None:
    host = world.stack.enter_context(Host(answer=b"HTTP/1.1 204 No Content\r\n\r\n"))
    world.portals.append(PortalCheck(f"http://127.0.0.1:{host.port}/generate_204", status=204))
    assert step(world.climb(), "portal").ok


def test_a_changed_portal_page_means_nothing_where_references_are_reached(world: World) -> None:
    world.reference()
    world.portal(LOGIN_PAGE)
    assert world.climb().finding == "well"


# ---------------------------------------------------------------- proxies


def through(proxy: Proxy, **more: str) -> Proxies:
    return proxies_of({"HTTPS_PROXY": f"http://user:secret@127.0.0.1:{proxy.port}", **more})


def test_the_way_through_a_proxy_is_climbed_too_without_its_credentials(world: World) -> None:
    them = world.host("them.test")
    proxy = world.stack.enter_context(Proxy())
    climb = world.climb(f"https://them.test:{them.port}", proxies=through(proxy))
    assert climb.finding == "well"
    assert step(climb, "tls", proxied=True).issuer == "Good Signers Ltd"
    assert step(climb, "http", proxied=True).status == 200
    assert b"secret" not in b"".join(proxy.requests)
    assert b"authorization" not in b"".join(proxy.requests).lower()


def test_a_proxy_that_fails_beside_a_direct_way_that_works(world: World) -> None:
    them = world.host("them.test")
    proxy = world.stack.enter_context(Proxy(refuses=b"502 Bad Gateway"))
    climb = world.climb(f"https://them.test:{them.port}", proxies=through(proxy))
    assert climb.finding == "proxy"
    assert step(climb, "tcp", proxied=True).status == 502


def test_a_proxy_that_wants_a_login_proves_nothing(world: World) -> None:
    them = world.host("them.test")
    proxy = world.stack.enter_context(Proxy(refuses=b"407 Proxy Authentication Required"))
    climb = world.climb(f"https://them.test:{them.port}", proxies=through(proxy))
    assert climb.finding == "well"


def test_a_proxy_that_looks_inside_is_seen_by_its_certificate(world: World) -> None:
    them = world.host("them.test")
    proxy = world.stack.enter_context(Proxy(ca=world.other_ca))
    climb = world.climb(f"https://them.test:{them.port}", proxies=through(proxy))
    tls = step(climb, "tls", proxied=True)
    assert (tls.ok, tls.issuer, tls.distrust) == (False, "Prying Proxies Ltd", "issuer")
    assert not any(proxy.inside)


def test_a_proxy_that_is_the_only_way_out(world: World) -> None:
    them = world.host("them.test")
    proxy = world.stack.enter_context(Proxy())
    world.names.clear()  # only the proxy knows names
    climb = world.climb(f"https://them.test:{them.port}", proxies=through(proxy))
    assert climb.finding == "proxy"
    assert "only the environment's proxy leads out" in climb.because[0]


def test_hosts_that_are_exempt_are_not_asked_through_the_proxy(world: World) -> None:
    them = world.host("them.test")
    proxy = world.stack.enter_context(Proxy())
    world.climb(f"https://them.test:{them.port}", proxies=through(proxy, NO_PROXY=".test"))
    assert proxy.requests == []


@pytest.mark.parametrize(
    "said",
    [b"", b"SSH-2.0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nearly", b"HTTP/1.1 200 OK\r\n" * 2000],
)
def test_a_proxy_that_talks_nonsense_is_a_failed_step(world: World, said: bytes) -> None:
    them = world.host("them.test")
    proxy = world.stack.enter_context(Host(answer=said))
    proxies = proxies_of({"HTTPS_PROXY": f"127.0.0.1:{proxy.port}"})
    climb = world.climb(f"https://them.test:{them.port}", proxies=proxies)
    assert climb.finding == "proxy"
    assert not step(climb, "tcp", proxied=True).ok


# ---------------------------------------------------------------- whatever comes


@settings(max_examples=25)
@given(said=st.binary(max_size=200), inside=st.booleans())
def test_whatever_a_host_says_becomes_steps(said: bytes, inside: bool) -> None:
    with ExitStack() as stack:
        world = World(stack, "asyncio")
        host = stack.enter_context(Host(answer=(b"HTTP/1.1 " if inside else b"") + said))
        world.portals.append(PortalCheck(f"http://127.0.0.1:{host.port}/", says="never"))
        climb = world.climb(f"http://127.0.0.1:{host.port}")
    assert [step.rung for step in climb.steps].count("portal") == 1


def test_a_portal_url_must_be_plain_http(world: World) -> None:
    world.portals.append(PortalCheck("https://portal.test/"))
    with pytest.raises(ValueError, match="must start with http://"):
        world.climb()
