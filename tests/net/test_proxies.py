"""The environment's proxy, and the hosts that need none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.net.proxies import Proxies, Proxy, proxies_of


@pytest.mark.parametrize(
    ("environ", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://proxy.test:3128"}, Proxy("proxy.test", 3128)),
        ({"HTTPS_PROXY": "proxy.test:3128"}, Proxy("proxy.test", 3128)),
        ({"https_proxy": "http://a.test", "HTTPS_PROXY": "http://b.test"}, Proxy("a.test", 80)),
        ({"ALL_PROXY": "http://[::1]:8080"}, Proxy("::1", 8080)),
        ({"HTTP_PROXY": "http://proxy.test:3128"}, None),
        ({"HTTPS_PROXY": " "}, None),
    ],
)
def test_the_variables_are_read_as_others_read_them(
    environ: dict[str, str], proxy: Proxy | None
) -> None:
    assert proxies_of(environ).towards("them.test", 443) == proxy


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("socks5://user:secret@proxy.test", "of the kind socks5"),
        ("http://user:secret@proxy.test:99999", "holds no URL"),
        ("http://user:secret@", "names no host"),
    ],
)
def test_a_proxy_that_cannot_be_asked_is_said_and_its_secret_kept(value: str, why: str) -> None:
    found = proxies_of({"HTTPS_PROXY": value})
    assert found.https is None
    assert why in found.unusable
    assert "secret" not in found.unusable


@pytest.mark.parametrize(
    ("rule", "host", "exempt"),
    [
        ("*", "them.test", True),
        ("them.test", "them.test", True),
        (".them.test", "api.them.test", True),
        ("*.them.test", "api.them.test", True),
        ("them.test", "api.them.test", True),
        ("them.test", "notthem.test", False),
        ("them.test:443", "them.test", True),
        ("them.test:8443", "them.test", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.0/8", "them.test", False),
        ("nonsense/8", "10.1.2.3", False),
        ("[fd00::1]:443", "fd00::1", True),
        ("other.test, them.test", "them.test", True),
        ("", "them.test", False),
        ("", "localhost", True),
        ("", "127.0.0.2", True),
        ("", "::1", True),
    ],
)
def test_hosts_can_be_exempt(rule: str, host: str, exempt: bool) -> None:
    proxies = proxies_of({"HTTPS_PROXY": "http://proxy.test", "NO_PROXY": rule})
    assert (proxies.towards(host, 443) is None) is exempt


@given(value=st.text(max_size=60), rules=st.text(max_size=60), host=st.text(max_size=20))
def test_no_environment_breaks_it(value: str, rules: str, host: str) -> None:
    found = proxies_of({"HTTPS_PROXY": value, "NO_PROXY": rules})
    assert isinstance(found, Proxies)
    assert found.towards(host, 443) in (None, found.https)
