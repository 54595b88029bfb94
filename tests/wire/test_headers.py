"""Which headers travel on: upwards, downwards, and the credential among them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.facts.calls import Headers
from holdfast.facts.losses import Lost
from holdfast.wire import headers as wire_headers
from holdfast.wire.headers import (
    IDENTITY,
    about_call,
    client_credential,
    credential_headers,
    is_subscription,
    lost_told,
    lost_value,
    to_client,
    to_upstream,
)

# What real clients and providers send and what must reach the other side as it came.
TRAVELS_UP: Headers = (
    (b"content-type", b"application/json"),
    (b"accept", b"text/event-stream"),
    (b"user-agent", b"claude-cli/2.1.197 (external, cli)"),
    (b"anthropic-version", b"2023-06-01"),
    (b"anthropic-beta", b"one-2025-01-01,two-2026-02-02"),
    (b"x-claude-code-session-id", b"c0ffee"),
    (b"x-stainless-retry-count", b"0"),
    (b"x-stainless-timeout", b"600"),
    (b"openai-organization", b"org-1"),
    (b"openai-project", b"proj_1"),
    (b"idempotency-key", b"stainless-python-retry-1"),
    (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    (b"x-made-up-next-year", b"\xc3\xbc and\ttabs"),
    (b"x-empty", b""),
)
ABOUT_CALL: Headers = (
    (b"request-id", b"req_1"),
    (b"x-request-id", b"req_2"),
    (b"retry-after", b"3"),
    (b"anthropic-ratelimit-tokens-remaining", b"9"),
    (b"x-ratelimit-remaining-requests", b"1"),
    (b"x-ratelimit-reset", b"0"),
)
STAYS_HERE = [
    b"connection",
    b"keep-alive",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
    b"content-length",
    b"host",
    b"expect",
    b"accept-encoding",
    b"authorization",
    b"x-api-key",
    b"x-goog-api-key",
    b"api-key",
    b"cookie",
    b"proxy-authorization",
    b"proxy-connection",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"forwarded",
    b"via",
    b"x-real-ip",
    b"origin",
    b"referer",
    b"sec-fetch-site",
    b"sec-fetch-mode",
    b"x-holdfast-force",
]
TRAVELS_DOWN: Headers = (
    (b"date", b"Tue, 24 Nov 2026 04:00:00 GMT"),
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"content-encoding", b"gzip"),
    (b"request-id", b"req_011CSHoEeqs5C35K2UUqR7Fy"),
    (b"x-request-id", b"req-1"),
    (b"anthropic-organization-id", b"0000"),
    (b"anthropic-ratelimit-requests-remaining", b"0"),
    (b"anthropic-ratelimit-unified-status", b"allowed_warning"),
    (b"x-ratelimit-reset-tokens", b"9m38.016s"),
    (b"retry-after", b"17"),
    (b"retry-after-ms", b"17000"),
    (b"x-should-retry", b"true"),
    (b"openai-processing-ms", b"412"),
    (b"cf-ray", b"8f1-FRA"),
    (b"server", b"cloudflare"),
    (b"cache-control", b"no-cache"),
    (b"x-made-up-next-year", b"yes"),
)
STAYS_AWAY = [
    b"connection",
    b"keep-alive",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
    b"content-length",
    b"set-cookie",
    b"set-cookie2",
    b"access-control-allow-origin",
    b"access-control-allow-credentials",
    b"access-control-allow-private-network",
    b"content-security-policy",
    b"content-security-policy-report-only",
    b"clear-site-data",
    b"refresh",
    b"link",
    b"location",
    b"strict-transport-security",
    b"alt-svc",
    b"nel",
    b"report-to",
    b"reporting-endpoints",
    b"www-authenticate",
    b"proxy-authenticate",
    b"service-worker-allowed",
    b"sourcemap",
    b"referrer-policy",
    b"timing-allow-origin",
    b"speculation-rules",
    b"accept-ch",
    b"set-login",
    b"x-holdfast-served-by",
    b"cross-origin-opener-policy",
    b"cross-origin-resource-policy",
]
NAMES = st.one_of(
    st.sampled_from([*STAYS_HERE, *STAYS_AWAY, *(name for name, _ in TRAVELS_UP + TRAVELS_DOWN)]),
    st.from_regex(rb"[a-z][a-z0-9-]{0,20}", fullmatch=True),
    st.binary(max_size=12),
)
VALUES = st.one_of(st.from_regex(rb"[ -~]{0,20}", fullmatch=True), st.binary(max_size=12))
PAIRS = st.lists(st.tuples(NAMES, VALUES), max_size=12).map(tuple)
TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")


def test_what_a_client_says_travels_up_in_its_order() -> None:
    """Unknown headers too: the providers' lists are open."""
    assert to_upstream(TRAVELS_UP) == (*TRAVELS_UP, IDENTITY)


def test_what_a_provider_says_travels_down_in_its_order() -> None:
    assert to_client(TRAVELS_DOWN) == TRAVELS_DOWN


def test_repeated_headers_stay_repeated() -> None:
    twice = ((b"anthropic-beta", b"one"), (b"x-a", b"1"), (b"anthropic-beta", b"two"))
    assert to_upstream(twice)[:-1] == twice
    assert to_client(twice) == twice


@pytest.mark.parametrize("name", STAYS_HERE)
def test_what_is_of_one_hop_this_host_or_a_secret_does_not_travel_up(name: bytes) -> None:
    asked = ((b"x-before", b"1"), (name, b"x"), (b"x-behind", b"2"))
    assert to_upstream(asked) == (asked[0], asked[2], IDENTITY)


@pytest.mark.parametrize("name", STAYS_AWAY)
def test_what_an_upstream_must_not_set_on_our_origin_does_not_travel_down(name: bytes) -> None:
    answered = ((b"x-before", b"1"), (name, b"x"), (b"x-behind", b"2"))
    assert to_client(answered) == (answered[0], answered[2])


def test_an_answer_is_asked_for_unpacked_whatever_the_client_takes() -> None:
    asked = ((b"accept-encoding", b"gzip, br, zstd"), (b"accept-encoding", b"deflate"))
    assert to_upstream(asked) == ((b"accept-encoding", b"identity"),)


@pytest.mark.parametrize("travel", [to_upstream, to_client])
def test_what_connection_names_is_for_one_hop(travel) -> None:
    """RFC 9110 §7.6.1: named headers end here, wherever they stand and however they are written."""
    sent = (
        (b"x-one", b"1"),
        (b"connection", b"close, X-One ,,x-two"),
        (b"x-two", b"2"),
        (b"x-three", b"3"),
        (b"connection", b"X-THREE"),
        (b"x-four", b"4"),
    )
    assert [name for name, _ in travel(sent) if name.startswith(b"x-")] == [b"x-four"]


@pytest.mark.parametrize("words", [b"close", b"keep-alive", b"Keep-Alive, close", b"", b" , "])
def test_a_usual_connection_header_takes_nothing_else_with_it(words: bytes) -> None:
    sent = ((b"x-one", b"1"), (b"connection", words), (b"close", b"is a name, too"))
    assert to_client(sent) == (sent[0], sent[2])


@pytest.mark.parametrize(
    "value",
    [
        b"a\r\nset-cookie: x=1",
        b"a\nb",
        b"a\rb",
        b"a\0b",
        b"\x1b[2J",
        b"\x7f",
        b"\n",
        b"a\r\n\r\n<script>",
    ],
)
def test_a_split_value_is_dropped_and_its_neighbours_stay(value: bytes) -> None:
    sent = ((b"x-before", b"1"), (b"x-split", value), (b"x-behind", b"2"))
    assert to_client(sent) == (sent[0], sent[2])
    assert to_upstream(sent)[:-1] == (sent[0], sent[2])


def test_values_are_judged_each_for_itself() -> None:
    """Two halves that are harmless together and two that are not, next to each other."""
    sent = ((b"x-a", b"1"), (b"x-b", b"\r"), (b"x-c", b"\n"), (b"x-d", b"2"), (b"x-e", b"\0"))
    assert to_client(sent) == (sent[0], sent[3])


@pytest.mark.parametrize(
    "name", [b"", b"x y", b"x:y", b"x\r\ny", b"x\0", b"x\xfc", b"(x)", b"x\t", b"Set-Cookie", b"X"]
)
def test_an_invalid_name_is_dropped(name: bytes) -> None:
    """Names are lower case in the facts: one that is not was never seen by the parser."""
    assert to_client(((name, b"1"), (b"x-a", b"2"))) == ((b"x-a", b"2"),)
    assert to_upstream(((name, b"1"), (b"x-a", b"2"))) == ((b"x-a", b"2"), IDENTITY)


def in_order(part: Headers, whole: Headers) -> bool:
    rest = iter(whole)
    return all(pair in rest for pair in part)


@given(PAIRS)
def test_what_travels_down_is_valid_in_order_and_nothing_forbidden(sent: Headers) -> None:
    kept = to_client(sent)
    assert in_order(kept, sent)
    for name, value in kept:
        assert name
        assert TOKEN.issuperset(name)
        assert name not in STAYS_AWAY
        assert not name.startswith((b"access-control-", b"x-holdfast-", b"proxy-"))
        assert all(byte == 9 or (byte >= 32 and byte != 127) for byte in value)


@given(PAIRS)
def test_what_travels_up_is_valid_in_order_and_no_secret(sent: Headers) -> None:
    kept = to_upstream(sent)
    assert kept[-1] == IDENTITY
    assert in_order(kept[:-1], sent)
    for name, value in kept[:-1]:
        assert TOKEN.issuperset(name)
        assert name not in STAYS_HERE
        assert not name.startswith((b"proxy-", b"x-forwarded-", b"sec-fetch-", b"x-holdfast-"))
        assert all(byte == 9 or (byte >= 32 and byte != 127) for byte in value)


@given(PAIRS)
def test_nothing_harmless_is_lost(sent: Headers) -> None:
    """With no `connection` header, a valid header goes missing only if its name is of the list."""
    sent = tuple(pair for pair in sent if pair[0] != b"connection")
    for name, value in set(sent) - set(to_client(sent)):
        alone = to_client(((name, value),)) == ()
        named = to_client(((name, b""),)) == ()
        control = any(byte < 32 and byte != 9 for byte in value) or 127 in value
        assert alone
        assert named or control


@given(PAIRS)
def test_a_second_passage_changes_nothing(sent: Headers) -> None:
    assert to_client(to_client(sent)) == to_client(sent)
    assert to_upstream(to_upstream(sent)) == to_upstream(sent)
    assert to_client(sent) == to_client(sent)


def test_names_made_up_without_end_do_not_fill_the_memory() -> None:
    """What is remembered of heads is bounded, and the verdict is the same beyond the bound."""
    for n in range(5000):
        fresh = ((b"x-made-up-%d" % n, b"1"), (b"access-control-%d" % n, b"2"))
        assert to_client(fresh) == fresh[:1]
        assert to_upstream(fresh)[:-1] == fresh
    long = ((b"x" * 60_000, b"1"),)
    assert to_client(long) == long
    for known in (wire_headers._up_passing, wire_headers._down_passing):
        assert len(known) <= 512
        assert max(len(b"".join(names)) for names in known) <= 4096


# --------------------------------------------------------------- credentials


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        ((), None),
        (((b"x-api-key", b"sk-1"),), ("x-api-key", b"sk-1")),
        (((b"x-goog-api-key", b"AIza"),), ("x-goog-api-key", b"AIza")),
        (((b"authorization", b"Bearer sk-1"),), ("bearer", b"sk-1")),
        (((b"authorization", b"bEARER   sk-1  "),), ("bearer", b"sk-1")),
        (((b"x-api-key", b" sk-1 "),), ("x-api-key", b"sk-1")),
        (((b"authorization", b"Bearer "),), None),
        (((b"authorization", b"Bearer"),), None),
        (((b"authorization", b"Bearer-sk-1"),), None),
        (((b"authorization", b"Basic dTpw"),), None),
        (((b"x-api-key", b"  "),), None),
        (((b"authorization", b"Basic dTpw"), (b"x-api-key", b"k")), ("x-api-key", b"k")),
        (((b"x-api-key", b""), (b"authorization", b"Bearer k")), ("bearer", b"k")),
    ],
)
def test_the_clients_credential_is_found_in_each_of_its_forms(sent: Headers, found: object) -> None:
    assert client_credential(sent) == found


@given(PAIRS)
def test_no_headers_whatever_make_the_credential_raise(sent: Headers) -> None:
    found = client_credential(sent)
    assert found is None or found[1].strip() == found[1] != b""


@pytest.mark.parametrize(
    ("secret", "yes"),
    [
        (b"sk-ant-oat01-abc", True),
        (b"sk-ant-api03-abc", False),
        (b"sk-proj-abc", False),
        (b"", False),
        (None, False),
        (b" sk-ant-oat01-abc", False),
    ],
)
def test_a_subscription_is_known_by_its_tokens_form(secret: bytes | None, yes: bool) -> None:
    assert is_subscription(secret) is yes


BEARER = ("bearer", b"theirs")
KEY = ("x-api-key", b"theirs")


@pytest.mark.parametrize(
    ("dialect", "secret", "own", "headers"),
    [
        ("anthropic", b"sk-1", None, ((b"x-api-key", b"sk-1"),)),
        ("anthropic", b"sk-1", KEY, ((b"x-api-key", b"sk-1"),)),
        ("anthropic", b"sk-1", BEARER, ((b"authorization", b"Bearer sk-1"),)),
        ("anthropic", b"sk-ant-oat01-x", KEY, ((b"authorization", b"Bearer sk-ant-oat01-x"),)),
        ("anthropic", b"sk-ant-oat01-x", None, ((b"authorization", b"Bearer sk-ant-oat01-x"),)),
        ("openai", b"sk-1", None, ((b"authorization", b"Bearer sk-1"),)),
        ("openai", b"sk-1", KEY, ((b"authorization", b"Bearer sk-1"),)),
    ],
)
def test_a_credential_goes_up_as_its_dialect_wants_it(dialect, secret, own, headers) -> None:
    """The target's own secret goes; of the client's only the form matters."""
    assert credential_headers(dialect, secret, own) == headers


@given(st.lists(st.text(max_size=30).map(lambda name: Lost(name, "why")), max_size=60))
def test_the_names_of_losses_are_a_header_whatever_they_are(lost: list[Lost]) -> None:
    value, told = lost_value(lost), lost_told(lost)
    assert len(value) <= 1000
    assert len(told) <= 100
    assert all(re.fullmatch(r"[A-Za-z0-9_.?\[\]-]*: [ -~]*", words) for words in told)
    assert re.fullmatch(rb"[A-Za-z0-9_.?, \[\]-]*", value)


def test_each_loss_is_named_once() -> None:
    lost = [Lost("top_k", "a"), Lost("top_k", "b"), Lost("messages[0].content[1]", "c")]
    assert lost_value(lost) == b"top_k, messages[0].content[1]"
    told = ("top_k: a", "top_k: b", "messages[0].content[1]: c")
    assert lost_told([*lost, lost[0]]) == told


def test_of_a_crossing_answer_the_head_tells_what_is_about_the_call() -> None:
    body: Headers = (
        (b"content-type", b"text/event-stream"),
        (b"content-encoding", b"gzip"),
        (b"etag", b"x"),
        (b"openai-organization", b"o"),
    )
    assert about_call((*body, *ABOUT_CALL, *body)) == ABOUT_CALL
    assert to_client(ABOUT_CALL) == ABOUT_CALL
