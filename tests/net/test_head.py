"""What a head must be, beyond what llhttp makes sure of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.net.head import Head, RefusedError, read_head

HOST = (b"host", b"localhost")


def head(
    method: bytes = b"GET",
    target: bytes = b"/",
    version: str = "1.1",
    *headers: tuple[bytes, bytes],
    host: bool = True,
) -> Head:
    return read_head(method, target, version, (*((HOST,) if host else ()), *headers))


def refused(*given: object, **more: bool) -> tuple[int, str]:
    with pytest.raises(RefusedError) as caught:
        head(*given, **more)  # type: ignore[arg-type]
    refusal = caught.value.refusal
    return refusal.status, refusal.text


def test_a_request_is_made_of_a_head() -> None:
    """Raw path, query without its mark, headers in their order, the first of repeated ones."""
    pairs = ((b"x-a", b"1"), (b"x-b", b"2"), (b"x-a", b"3"))
    request = head(b"DELETE", b"/v1/a%2Fb?beta=true&x=?y", "1.1", *pairs).request
    assert (request.method, request.path) == ("DELETE", "/v1/a%2Fb")
    assert request.query == "beta=true&x=?y"
    assert request.headers == (HOST, *pairs)
    assert request.header(b"x-a") == b"1"
    assert request.header(b"x-c") is None
    assert not request.http10


@pytest.mark.parametrize("version", ["0.9", "2.0", "1.2", "3.0", "9.9", "1.10"])
def test_other_versions_are_refused(version: str) -> None:
    status, text = refused(b"GET", b"/", version)
    assert status == 400
    assert version in text


@pytest.mark.parametrize(
    "method", [b"CONNECT", b"TRACE", b"PROPFIND", b"DESCRIBE", b"PRI", b"SOURCE", b"M-SEARCH"]
)
def test_methods_that_nothing_takes(method: bytes) -> None:
    status, text = refused(method, b"/")
    assert status == 501
    assert method.decode() in text


def test_options_came_with_http_1_1() -> None:
    """What says OPTIONS in version 1.0 is RTSP."""
    assert refused(b"OPTIONS", b"/", "1.0")[0] == 501


@pytest.mark.parametrize(
    "target",
    [b"http://localhost/", b"HTTP://evil.example/v1", b"*", b"localhost:443", b"", b"x", b"/a#b"],
)
def test_only_paths_are_targets(target: bytes) -> None:
    """Absolute, asterisk and authority forms could name another host than `Host` does."""
    status, text = refused(b"GET", target)
    assert status == 400
    assert "path" in text


@pytest.mark.parametrize("target", [b"/\xff", b"/caf\xc3\xa9", b"/v1/models/\x80"])
def test_raw_bytes_in_a_target_are_malformed(target: bytes) -> None:
    """RFC 3986 has them percent-encoded; they are the client's mistake, no crash of ours."""
    status, text = refused(b"GET", target)
    assert status == 400
    assert "ASCII" in text


@pytest.mark.parametrize(
    "target", [b"//evil.example/v1", b"/../../etc", b"/%2e%2e/", b"/%zz", b"/%"]
)
def test_strange_paths_are_paths_and_are_not_decoded(target: bytes) -> None:
    """They match no door; nobody here unescapes them."""
    assert head(b"GET", target).request.path == target.decode()


def test_each_request_needs_one_host() -> None:
    assert refused(host=False)[0] == 400
    status, text = refused(b"GET", b"/", "1.1", HOST)
    assert (status, "more than one host" in text) == (400, True)
    with pytest.raises(RefusedError):
        read_head(b"GET", b"/", "1.0", ())
    assert read_head(b"GET", b"/", "1.0", (HOST,)).request.http10


@pytest.mark.parametrize(
    "name",
    [
        b"host", b"content-length", b"transfer-encoding", b"content-type", b"origin", b"expect",
        b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest",
    ],
)  # fmt: skip
def test_what_decides_comes_once(name: bytes) -> None:
    """The same value twice is refused too: some reader takes the list for one value."""
    values = {b"host": b"localhost", b"content-length": b"0", b"transfer-encoding": b"chunked"}
    pair = (name, values.get(name, b"x"))
    assert refused(b"GET", b"/", "1.1", pair, pair, host=name != b"host")[0] == 400


@pytest.mark.parametrize(
    "coding",
    [
        b"identity", b"gzip", b"chunked, chunked", b"gzip, chunked", b"chunked, identity",
        b"xchunked", b"chunked;q=1", b"", b"chunked,", b",chunked", b'"chunked"', b"chunk\xe9d",
        b"\x0bchunked", b"chunked\x0b",
    ],
)  # fmt: skip
def test_transfer_encoding_is_chunked_or_refused(coding: bytes) -> None:
    status, text = refused(b"POST", b"/", "1.1", (b"transfer-encoding", coding))
    assert status == 400
    assert "chunked" in text


def test_chunked_in_any_case_and_never_in_http_1_0() -> None:
    found = head(b"POST", b"/", "1.1", (b"transfer-encoding", b"CHUNKED"))
    assert (found.framing, found.length) == (b"transfer-encoding: chunked", 0)
    assert refused(b"POST", b"/", "1.0", (b"transfer-encoding", b"chunked"))[0] == 400


def test_two_framings_are_ambiguous() -> None:
    both = ((b"content-length", b"5"), (b"transfer-encoding", b"chunked"))
    for pairs in (both, both[::-1]):
        status, text = refused(b"POST", b"/", "1.1", *pairs)
        assert status == 400
        assert "both" in text


@pytest.mark.parametrize(
    "length", [b"", b"+5", b"-5", b"5,5", b"5 5", b"0x5", b"5.0", b"\xb2", b"1_0"]
)
def test_a_length_is_digits(length: bytes) -> None:
    assert refused(b"POST", b"/", "1.1", (b"content-length", length))[0] == 400


def test_a_length_of_thousands_of_digits_is_refused() -> None:
    """Python would not even read it."""
    for length in (b"0" * 5000 + b"5", b"9" * 5000):
        assert refused(b"POST", b"/", "1.1", (b"content-length", length))[0] == 400


def test_a_length_frames_the_body() -> None:
    found = head(b"POST", b"/", "1.1", (b"content-length", b"0012"))
    assert (found.framing, found.length) == (b"content-length: 12", 12)
    assert head(b"POST", b"/", "1.1", (b"content-length", b"0")).framing == b""


def test_nothing_but_100_continue_can_be_expected() -> None:
    assert refused(b"POST", b"/", "1.1", (b"expect", b"200-ok"))[0] == 417
    expecting = (b"expect", b"100-Continue")
    assert head(b"POST", b"/", "1.1", expecting, (b"content-length", b"1")).wants_100
    assert not head(b"POST", b"/", "1.1", expecting).wants_100  # nothing would follow
    old = read_head(b"POST", b"/", "1.0", (HOST, expecting, (b"content-length", b"1")))
    assert not old.wants_100  # HTTP/1.0 would take it for the answer


@given(
    st.sampled_from([b"GET", b"POST", b"BREW"]),
    st.binary(max_size=8) | st.binary(max_size=8).map(lambda tail: b"/" + tail),
    st.sampled_from(["1.0", "1.1", "2.0"]),
    st.lists(
        st.tuples(
            st.sampled_from(
                [b"host", b"content-length", b"transfer-encoding", b"expect", b"origin", b"x"]
            ),
            st.sampled_from([b"localhost", b"chunked", b"5", b"0"]) | st.binary(max_size=6),
        ),
        max_size=5,
    ),
)
def test_a_head_is_read_or_refused(
    method: bytes, target: bytes, version: str, headers: list[tuple[bytes, bytes]]
) -> None:
    """Never anything else; and what is read is framed in one way only."""
    try:
        found = read_head(method, target, version, tuple(headers))
    except RefusedError:
        return
    names = [name for name, _ in headers]
    framings = names.count(b"content-length") + names.count(b"transfer-encoding")
    assert framings <= 1
    assert bool(found.framing) <= framings
    assert version == "1.0" or names.count(b"host") == 1
