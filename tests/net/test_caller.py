"""Who calls: a client's headers are read once, and what follows from them stays the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.facts.calls import Headers
from holdfast.net.caller import CALLERS_MAX, Caller, Callers, tool_of
from holdfast.net.reply import Request
from holdfast.wire.headers import client_credential, to_upstream


def request(*headers: tuple[bytes, bytes]) -> Request:
    return Request("POST", "/v1/messages", "", headers, dict(reversed(headers)))


SDK: Headers = (
    (b"host", b"127.0.0.1:4141"),
    (b"user-agent", b"Anthropic/Python 2.12.0"),
    (b"authorization", b"Bearer a-key"),
    (b"x-stainless-retry-count", b"1"),
)


def test_a_client_that_says_the_same_is_read_once_whatever_the_length_of_its_body() -> None:
    callers = Callers(b"salt")
    first = callers.of(request(*SDK, (b"content-length", b"10")))
    assert callers.of(request(*SDK, (b"content-length", b"2000"))) is first
    assert (first.tool, first.retry_count) == ("Anthropic", 1)
    assert first.credential == ("bearer", b"a-key")


def test_a_head_that_was_said_before_is_not_even_looked_at() -> None:
    callers, others = Callers(b"salt"), Callers(b"another")
    first = request(*SDK, (b"content-length", b"10"))
    caller = callers.of(first)
    again = first.again((*SDK, (b"content-length", b"2000")))
    callers._known.clear()
    assert callers.of(again) is caller
    assert others.of(again) is not caller


def test_one_other_header_makes_another_caller() -> None:
    callers = Callers(b"salt")
    first = callers.of(request(*SDK))
    retry = callers.of(request(*SDK[:-1], (b"x-stainless-retry-count", b"2")))
    stranger = callers.of(request(*SDK[:2], (b"authorization", b"Bearer another"), SDK[3]))
    assert retry is not first
    assert retry.mark == first.mark
    assert stranger.mark != first.mark


def test_a_mark_is_no_credential_and_differs_between_processes() -> None:
    here, there = (Callers(salt).of(request(*SDK)).mark for salt in (b"one", b"two"))
    assert here != there
    assert "a-key" not in here
    assert Callers(b"one").of(request((b"host", b"h"))).mark == ""


def test_only_so_many_callers_are_remembered() -> None:
    callers = Callers(b"salt")
    for number in range(3 * CALLERS_MAX):
        callers.of(request(*SDK, (b"x-request", b"%d" % number)))
    assert len(callers._known) <= CALLERS_MAX


NAMES = st.sampled_from(
    [b"host", b"x-api-key", b"authorization", b"cookie", b"anthropic-beta", b"x-own", b"connection"]
)
VALUES = st.sampled_from([b"", b"a", b"Bearer k", b"x-own", b"close", b"caf\xe9", b"bad\x01"])


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6), st.integers(0, 10**6))
def test_the_remembered_is_what_would_be_read_anew(
    headers: list[tuple[bytes, bytes]], length: int
) -> None:
    """The same answer from memory as from the headers, for any headers in any order."""
    callers = Callers(b"salt")
    for _ in range(2):
        asked = request(*headers, (b"content-length", b"%d" % length))
        found, anew = callers.of(asked), Caller(asked.headers, asked, b"salt")
        assert found.outgoing == to_upstream(asked.headers)
        assert found.credential == client_credential(asked.headers)
        assert all(
            getattr(found, part) == getattr(anew, part) for part in ("mark", "tool", "retry_count")
        )


@given(st.binary(max_size=80))
def test_a_tool_is_safe_to_show(agent: bytes) -> None:
    """No user agent, however strange, brings spaces, quotes or markup into a name."""
    tool = tool_of(agent)
    assert len(tool) <= 40
    assert all(c.isalnum() or c in "-_." for c in tool)


def test_a_tool_is_named_by_its_user_agent() -> None:
    assert tool_of(b"claude-cli/2.1.0 (external, cli)") == "claude-cli"
    assert tool_of(b"Mozilla/5.0 (X11)") == "Mozilla"
    assert tool_of(None) == tool_of(b"") == tool_of(b"/") == ""
