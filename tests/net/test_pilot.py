"""The pilot: what reaches a target, what comes back to the client, and when each side leaves."""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from typing import Any

import pytest
from tests.doubles import acts
from tests.doubles.grammar import GRAMMARS
from tests.doubles.provider import Provider as Double
from tests.net.flying import DataPlane, asking
from tests.net.script_server import ScriptServer, Step, read, send, tell, until_gone, wait
from tests.net.visiting import Answer, Visitor, at_rest, eventually

from holdfast.facts.places import Limits, Provider
from holdfast.net import audience as audience_module

MODEL = GRAMMARS["anthropic"].models[0]
BODY: dict[str, Any] = {
    "model": MODEL,
    "max_tokens": 50,
    "messages": [{"role": "user", "content": "hello"}],
}
STREAM = BODY | {"stream": True}
KEY = b"sk-own-canary-0123456789"
MESSAGE = json.dumps(
    {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [{"type": "text", "text": "hi"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
).encode()
START = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message",'
    b'"role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,'
    b'"usage":{"input_tokens":1,"output_tokens":1}}}\n\n'
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
    b'"content_block":{"type":"text","text":""}}\n\n'
)
DELTA = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"text_delta","text":"%b"}}\n\n'
)


def response(
    status: int = 200,
    body: bytes = MESSAGE,
    *headers: bytes,
    kind: bytes = b"application/json",
) -> bytes:
    """One whole answer of an upstream."""
    lines = [b"HTTP/1.1 %d Whatever" % status, b"content-type: " + kind, *headers]
    lines.append(b"content-length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def stream_head(*headers: bytes) -> bytes:
    """The head of a stream that its connection ends."""
    lines = [b"HTTP/1.1 200 OK", b"content-type: text/event-stream", b"connection: close", *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def error(message: str, type_: str = "api_error") -> bytes:
    return json.dumps({"type": "error", "error": {"type": type_, "message": message}}).encode()


def place(name: str, server: ScriptServer | Double, **more: Any) -> Provider:
    return Provider(name=name, dialects=("anthropic",), base_url=server.url, **more)


def fly(*steps: Step, request: bytes | None = None, **more: Any) -> tuple[Answer, bytes, DataPlane]:
    """One call to one scripted target: the client's answer, what the target saw, the plane."""
    with ScriptServer(steps) as server:
        with DataPlane({"*": ("only/*",)}, place("only", server, **more), key=KEY) as plane:
            answer = plane.ask(request or asking(BODY))
        assert plane.crashes == []
        assert list(plane.front.crashes) == []
        return answer, b"".join(server.requests), plane


# ------------------------------------------------------------ what goes up


def test_the_bytes_of_a_call_reach_the_target_untouched() -> None:
    """Order, blanks, unknown fields and headers: as the client sent them."""
    body = json.dumps(BODY | {"x_unknown": [1.0, 1e5, "é\\u00e9"]}, indent=2).encode()
    ours = (b"anthropic-beta: a,b", b"x-stainless-lang: python", b"x-own: 1", b"x-own: 2")
    _, seen, _ = fly(read(), send(response()), request=asking(body, *ours))
    head, _, sent = seen.partition(b"\r\n\r\n")
    assert sent == body
    assert head.startswith(b"POST /v1/messages HTTP/1.1\r\n")
    assert b"\r\nanthropic-version: 2023-06-01" in head
    assert all(b"\r\n" + line in head for line in ours)
    assert b"x-holdfast" not in head


def test_nothing_of_this_hop_or_this_host_goes_up() -> None:
    """Nor what tells who asks: cookies, addresses, pages."""
    canary = [
        b"cookie: session=canary", b"x-forwarded-for: canary", b"forwarded: for=canary",
        b"via: canary", b"x-real-ip: canary", b"proxy-authorization: canary",
        b"x-holdfast-own: canary", b"x-hop: canary", b"connection: keep-alive, x-hop",
        b"te: trailers, canary", b"trailer: canary", b"referer: http://localhost/canary",
        b"accept-encoding: br, canary", b"expect: 100-continue",
    ]  # fmt: skip
    with (
        ScriptServer([read(), send(response())]) as server,
        DataPlane({"*": ("only/*",)}, place("only", server), key=KEY) as plane,
        plane.visit() as visitor,
    ):
        answer = visitor.send(asking(BODY, *canary)).answer()
        while answer.status == 100:
            answer = visitor.answer()
        assert answer.status == 200
        (seen,) = server.requests
        assert b"canary" not in seen.replace(KEY, b"")
        assert seen.count(b"\r\nhost: ") == 1
        assert b"\r\nhost: 127.0.0.1:%d\r\n" % server.port in seen
        assert b"\r\naccept-encoding: identity\r\n" in seen


@pytest.mark.parametrize("scheme", ["x-api-key", "bearer", "both"])
def test_the_clients_credential_stays_here(scheme: str) -> None:
    """The target hears its own key, once, whichever form the client used."""
    lines = [b"authorization: Bearer client-key-canary"] if scheme != "x-api-key" else []
    key = b"client-key-canary" if scheme != "bearer" else None
    _, seen, plane = fly(read(), send(response()), request=asking(BODY, *lines, key=key))
    assert b"client-key-canary" not in seen
    assert seen.count(KEY) == 1
    assert "client-key-canary" not in repr(plane.book.__dict__)


def test_each_target_hears_its_own_key_alone() -> None:
    """The stand-in never hears the key of the first choice, nor the client's."""
    with Double("alpha", "anthropic") as alpha, Double("beta", "anthropic") as beta:
        alpha.always(acts.status(529))
        keys = {double.name: double.key.encode() for double in (alpha, beta)}
        places = (place("alpha", alpha), place("beta", beta))
        with DataPlane({"*": ("alpha/*", "beta/*")}, *places, key=b"unused", keys=keys) as plane:
            assert plane.ask(asking(BODY)).status == 200
        assert alpha.key not in repr(beta.seen)
        assert beta.key not in repr(alpha.seen)
        assert "client-key-canary" not in repr((alpha.seen, beta.seen))
        assert alpha.complaints + beta.complaints == []


def test_a_client_that_brings_its_key_has_it_taken_to_that_provider_alone() -> None:
    with Double("alpha", "anthropic") as alpha, Double("beta", "anthropic") as beta:
        alpha.always(acts.status(529))
        places = (place("alpha", alpha, key="client"), place("beta", beta))
        keys = {"alpha": None, "beta": beta.key.encode()}
        with DataPlane({"*": ("alpha/*", "beta/*")}, *places, key=b"", keys=keys) as plane:
            assert plane.ask(asking(BODY, key=alpha.key.encode())).status == 200
        assert alpha.seen[0].refused is None
        assert alpha.key not in repr(beta.seen)
        assert alpha.key not in repr(plane.book.__dict__)


@pytest.mark.parametrize("status", [400, 500])
def test_an_error_that_quotes_the_prompt_reaches_the_client_and_no_book(status: int) -> None:
    prompt = "my own secret plan for Tuesday"
    said = {"type": "invalid_request_error", "message": f"could not read: '{prompt}'"}
    body = json.dumps({"type": "error", "error": said}).encode()
    request = asking(BODY | {"messages": [{"role": "user", "content": f"Well,\n{prompt}!"}]})
    with ScriptServer(*[[read(), send(response(status, body))]] * 4) as server:
        with DataPlane({"*": ("only/*",)}, place("only", server), key=KEY) as plane:
            answer = plane.ask(request)
            known = repr((plane.book.__dict__, plane.do(lambda: plane.desk.board.rows(0.0))))
        assert (answer.status, answer.body) == (status, body)
    assert "could not read" in known
    assert "secret" not in known


def test_why_a_stand_in_answered_is_in_the_book_where_the_first_was_not_asked() -> None:
    with ScriptServer([]) as first, ScriptServer([read(), send(response())]) as second:
        places = [place("first", first, key="client"), place("second", second)]
        with DataPlane({"*": ("first/*", "second/*")}, *places, key=KEY) as plane:
            answer = plane.ask(asking(BODY, key=b"sk-ant-oat01-canary"))
            assert answer.header("x-holdfast-stand-in") == "true"
            (told,) = plane.book.exchanges
    assert told.because.startswith(f"first/{MODEL} was not asked: ")
    assert "allow_subscription" in told.because
    assert "canary" not in told.because


def test_a_subscription_goes_nowhere_unless_that_is_switched_on() -> None:
    """Its owner's terms forbid it; nothing leaves the machine."""
    token = b"sk-ant-oat01-canary-canary"
    for request in (
        asking(BODY, key=token),
        asking(BODY, b"authorization: Bearer " + token, key=None),
    ):
        with (
            Double("alpha", "anthropic", key=token.decode()) as alpha,
            DataPlane({"*": ("alpha/*",)}, place("alpha", alpha, key="client"), key=KEY) as plane,
        ):
            answer = plane.ask(request)
            assert answer.status >= 400
            assert b"allow_subscription" in answer.body
            assert token not in answer.body
            assert alpha.seen == []
            assert plane.book.intents == []


def test_a_redirect_is_not_followed() -> None:
    """Neither the call nor its key goes where an upstream points."""
    with ScriptServer([read(), send(response())]) as trap:
        for status in (301, 302, 303, 307, 308):
            there = b"location: " + trap.url.encode() + b"/v1/messages"
            answer, _, _ = fly(read(), send(response(status, b"", there)))
            assert answer.status >= 300
            assert answer.header("location") is None
        assert trap.requests == []
        assert trap.peers == []


def test_the_intent_is_in_the_book_before_a_byte_leaves() -> None:
    """Whatever happens then, what was spent is written down."""
    known: list[list[str]] = []
    plane: DataPlane | None = None

    def look(_: object) -> None:
        assert plane is not None
        known.append([intent.id for intent in plane.book.intents])

    with ScriptServer([look, read(), send(response())]) as server:
        with DataPlane({"*": ("only/*",)}, place("only", server), key=KEY) as plane:
            answer = plane.ask(asking(BODY))
        (intent,) = plane.book.intents
        assert known == [[intent.id]]
        assert intent.id == f"{answer.header('x-holdfast-exchange')}.1"
        (settled,) = plane.book.settled
        assert (settled.id, settled.outcome, settled.status) == (intent.id, "ok", 200)
        assert settled.usage.output == 1
        (line,) = plane.book.exchanges
        assert (line.outcome, line.status, line.attempts) == ("ok", 200, 1)
        assert line.bytes_out == len(MESSAGE)


# -------------------------------------------------------- what comes down

DANGEROUS = [
    b"set-cookie: a=canary", b"Set-Cookie2: a=canary", b"access-control-allow-origin: canary",
    b"Access-Control-Allow-Credentials: canary", b"content-security-policy: canary",
    b"content-security-policy-report-only: canary", b"clear-site-data: \"canary\"",
    b"refresh: 0; url=canary", b"link: <canary>; rel=preload", b"location: http://canary/",
    b"strict-transport-security: canary", b"alt-svc: canary", b"nel: canary",
    b"report-to: canary", b"www-authenticate: Basic canary", b"service-worker-allowed: canary",
    b"sourcemap: canary", b"permissions-policy: canary", b"cross-origin-opener-policy: canary",
    b"origin-agent-cluster: canary", b"proxy-authenticate: canary", b"keep-alive: canary",
    b"trailer: canary", b"upgrade: canary", b"x-holdfast-served-by: canary",
    b"x-holdfast-verdict: canary", b"x-hop: canary", b"connection: x-hop",
]  # fmt: skip
WELCOME = [
    b"request-id: req_1", b"x-request-id: req_2", b"anthropic-ratelimit-requests-remaining: 7",
    b"x-ratelimit-reset-tokens: 6m0s", b"retry-after-ms: 5", b"openai-processing-ms: 12",
    b"anthropic-organization-id: org", b"cf-ray: 9a2b", b"x-own: 1", b"x-own: 2",
    b"content-disposition: inline", b"date: Tue, 15 Nov 1994 08:12:31 GMT", b"server: cloudflare",
]  # fmt: skip


@pytest.mark.parametrize("status", [200, 400], ids=["good", "error"])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_what_must_not_be_set_on_our_origin_is_dropped_and_all_else_travels(
    status: int, streamed: bool
) -> None:
    data = response(status, error("no"), *DANGEROUS, *WELCOME)
    if status == 200:
        data = response(200, MESSAGE, *DANGEROUS, *WELCOME)
        if streamed:
            end = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
            head = stream_head(*DANGEROUS, *WELCOME).replace(b"connection: close\r\n", b"")
            data = head + START + DELTA % b"hi" + end
    answer, _, _ = fly(read(), send(data), request=asking(STREAM if streamed else BODY))
    assert answer.status == status
    assert "canary" not in repr(answer.headers)
    assert [name for name, _ in answer.headers if name.startswith("access-control")] == []
    sent = [f"{name}: {value}".encode() for name, value in answer.headers]
    assert [line for line in sent if line in WELCOME] == WELCOME
    assert answer.header("x-holdfast-attempts") == "1"
    assert answer.header("x-holdfast-exchange")


def test_an_answer_passes_byte_for_byte() -> None:
    """A whole one, an error, and a stream with what no dialect knows."""
    answer, _, _ = fly(read(), send(response(200, b" " + MESSAGE + b"\n")))
    assert answer.body == b" " + MESSAGE + b"\n"
    body = b'{"type":"error","error":{"type":"invalid_request_error","message":"\\u00e9"},  "x":1}'
    answer, _, _ = fly(read(), send(response(400, body)))
    assert (answer.status, answer.body) == (400, body)
    assert answer.header(
        "x-holdfast-verdict",
    ).startswith("request;")  # type: ignore[union-attr]
    stream = (
        START
        + b": a comment\n\nevent: ping\ndata: {\"type\": \"ping\"}\n\n"
        + DELTA % "hi ☕".encode()
        + b"event: unheard_of\ndata: {\"type\":\"unheard_of\"}\n\n"
        + b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
        + b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn",'
        b'"stop_sequence":null},"usage":{"output_tokens":2}}\n\n'
        + b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    )  # fmt: skip
    answer, _, _ = fly(read(), send(stream_head() + stream), request=asking(STREAM))
    assert (answer.body, answer.whole) == (stream, True)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nx-a: b\x00c\r\n",
        b"HTTP/1.1 200 OK\r\nx-a: b\rset-cookie: canary=1\r\n",
        b"HTTP/1.1 200 OK\r\nx-a: b\n set-cookie: canary=1\r\n",
        b"HTTP/1.1 200 OK\r\nx-a : canary\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n",
        b"HTTP/1.1 200 OK\r\nx-a: caf\xc3\xa9 \x7f canary\r\n",
        b"HTTP/2 200\r\n",
        b"canary\r\n",
    ],
    ids=repr,
)
def test_a_split_or_ambiguous_head_of_an_upstream_never_reaches_the_client(head: bytes) -> None:
    """It is the upstream's failure: an honest error, or the head without the bad line."""
    data = head + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(MESSAGE)
    answer, _, plane = fly(read(), send(data + MESSAGE))
    assert "canary" not in repr(answer.headers)
    assert answer.header("set-cookie") is None
    assert answer.status in (200, 502, 503, 529)
    if answer.status == 200:
        assert answer.body == MESSAGE
    else:
        assert plane.book.settled[0].outcome == "failed"
        assert json.loads(answer.body)["error"]["message"]


# ---------------------------------------------------------- our own secrets


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
def test_our_own_key_in_an_upstreams_error_is_masked(status: int) -> None:
    """In the body and in the headers, and not a trace of it in the book or on the board."""
    said = error(f"Incorrect API key provided: {KEY.decode()}.", "authentication_error")
    data = response(status, said, b"x-echo: Bearer " + KEY, b"x-should-retry: false")
    answer, _, plane = fly(read(), send(data))
    assert KEY not in answer.body
    assert KEY.decode() not in repr(answer.headers)
    assert KEY.decode() not in repr(plane.book.__dict__)
    assert KEY.decode() not in repr(plane.desk.board.rows(plane.desk.clock()))
    assert b"masked" in answer.body or b"holdfast" in answer.body
    if answer.status == status and status == 400:
        assert answer.body == said.replace(KEY, b"[key masked by holdfast]")


def test_a_key_of_an_earlier_attempt_is_masked_as_well() -> None:
    """The first choice's error is passed on behind a second attempt elsewhere, with another key."""
    other = b"sk-other-canary-9876543210"
    said = error(f"no such key: {KEY.decode()}", "authentication_error")
    refuse = [read(), send(response(401, said, b"x-echo: " + KEY))]
    down = [read(), send(response(500, error(f"broken: {other.decode()}")))]
    with ScriptServer(refuse) as first, ScriptServer(down) as second:
        places = (place("first", first), place("second", second))
        keys = {"first": KEY, "second": other}
        with DataPlane({"*": ("first/*", "second/*")}, *places, key=b"", keys=keys) as plane:
            answer = plane.ask(asking(BODY))
        told = repr((answer, plane.book.__dict__))
        assert answer.status >= 400
        assert KEY.decode() not in told
        assert other.decode() not in told


def test_our_own_key_in_an_error_within_a_stream_is_masked() -> None:
    event = b"event: error\ndata: " + error(f"key {KEY.decode()} is overloaded") + b"\n\n"
    data = stream_head() + START + DELTA % b"hi" + event
    answer, _, plane = fly(read(), send(data), request=asking(STREAM))
    assert not answer.whole
    assert b"event: error" in answer.body
    assert KEY not in answer.body
    assert KEY.decode() not in repr(plane.book.__dict__)


# ------------------------------------------------------------- who leaves


@pytest.mark.parametrize("counts", [False, True], ids=["plain", "counting"])
@pytest.mark.parametrize("when", ["before the head", "before content", "within the answer"])
@pytest.mark.parametrize("manner", ["close", "reset"])
def test_a_client_that_leaves_takes_its_upstream_along(
    counts: bool, when: str, manner: str
) -> None:
    """Within a second, though one that counts its tries is waited for a little."""
    up_to: dict[str, list[Step]] = {
        "before the head": [],
        "before content": [send(stream_head() + START)],
        "within the answer": [send(stream_head() + START + DELTA % b"hi")],
    }
    there = threading.Event()
    patient = Limits(connect_s=5.0, headers_s=5.0, content_s=5.0, idle_s=5.0, whole_s=5.0)
    with ScriptServer([read(), *up_to[when], tell(there), until_gone()]) as server:
        only = place("only", server)
        with (
            DataPlane({"*": ("only/*",)}, only, key=KEY, limits=patient) as plane,
            plane.visit() as visitor,
        ):
            visitor.send(asking(STREAM, *([b"x-stainless-retry-count: 0"] if counts else [])))
            assert there.wait(5)
            if when == "within the answer":
                while b"hi" not in visitor.buffer:
                    visitor._fill()
            else:
                time.sleep(0.05)
            left = time.monotonic()
            {"close": visitor.sock.close, "reset": visitor.reset}[manner]()
            eventually(lambda: server.peers[0].left_at, within_s=1.5)
            assert server.peers[0].left_at is not None
            assert server.peers[0].left_at - left < 1.0
            eventually(lambda: plane.book.exchanges)
            assert plane.book.exchanges[0].outcome == "abandoned"
            assert plane.book.settled[0].outcome == "abandoned"
        assert len(server.requests) == 1


def test_a_slow_client_slows_its_upstream_down() -> None:
    """What it does not take is not read, and the target is not blamed for the silence.

    Our memory is bounded, and all of it comes in the end.
    """
    piece = DELTA % (b"x" * 100_000)
    count = 300  # 30 MB
    sent: list[int] = []

    def pour(peer: Any) -> None:
        for n in range(count):
            peer.sock.sendall(piece)
            sent.append(n)

    end = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    with ScriptServer([read(), send(stream_head() + START), pour, send(end)]) as server:
        only = place("only", server)
        with (
            DataPlane({"*": ("only/*",)}, only, key=KEY) as plane,
            plane.visit(receive_bytes=65_536) as visitor,
        ):
            visitor.send(asking(STREAM))
            eventually(lambda: sent)
            # More than twice what the target may be silent for:
            assert at_rest(lambda: len(sent), 1.2) < count - 50
            answer = visitor.answer()
            assert answer.whole
            assert answer.body == START + piece * count + end


def test_a_slow_client_that_leaves_holds_up_nobody_who_joined() -> None:
    """The one that reads goes on; the target is not left paused for the other."""
    piece = DELTA % (b"x" * 4_000)
    release = threading.Event()
    end = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    steps = [read(), send(stream_head() + START), wait(release), send(piece * 4000), send(end)]
    patient = Limits(connect_s=5.0, headers_s=5.0, content_s=5.0, idle_s=5.0, whole_s=5.0)
    with ScriptServer(steps) as server:
        only = place("only", server)
        with (
            DataPlane({"*": ("only/*",)}, only, key=KEY, limits=patient) as plane,
            plane.visit(receive_bytes=8_192) as slow,
            plane.visit() as quick,
        ):
            slow.send(asking(STREAM, b"x-stainless-retry-count: 0"))
            eventually(lambda: server.requests)
            quick.send(asking(STREAM, b"x-stainless-retry-count: 1"))
            (pilot,) = plane.do(lambda: set(plane.desk.flying))
            eventually(lambda: len(pilot.audience.replies) == 2)
            release.set()
            eventually(lambda: pilot._paused)
            slow.sock.close()
            answer = quick.answer()
            assert answer.whole
            assert answer.body.count(DELTA[:30]) == 4000
        assert len(server.requests) == 1


def test_who_joins_a_call_that_stood_still_sets_it_going_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The slow one has gone and the target is paused: whoever comes back reads on."""
    monkeypatch.setattr(audience_module, "TRANSCRIPT_BYTES_MAX", 1 << 28)
    monkeypatch.setattr(audience_module, "READ_ALONG_BYTES_MAX", 1 << 28)
    piece = DELTA % (b"x" * 4_000)
    end = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    steps = [read(), send(stream_head() + START), send(piece * 4000), send(end)]
    patient = Limits(connect_s=5.0, headers_s=5.0, content_s=5.0, idle_s=5.0, whole_s=5.0)
    with ScriptServer(steps) as server:
        only = place("only", server)
        with (
            DataPlane({"*": ("only/*",)}, only, key=KEY, limits=patient) as plane,
            plane.visit(receive_bytes=8_192) as slow,
            plane.visit() as quick,
        ):
            slow.send(asking(STREAM, b"x-stainless-retry-count: 0"))
            eventually(lambda: plane.do(lambda: [p._paused for p in plane.desk.flying]) == [True])
            slow.sock.close()
            time.sleep(0.1)
            answer = quick.send(asking(STREAM, b"x-stainless-retry-count: 1")).answer()
            assert answer.whole
            assert answer.body.count(DELTA[:30]) == 4000
        assert len(server.requests) == 1


# --------------------------------------------------------- ours to be ended


def test_a_cut_after_the_commit_is_never_a_clean_end() -> None:
    """An error event, then a connection without the last chunk."""
    answer, _, plane = fly(
        read(), send(stream_head() + START + DELTA % b"hi"), request=asking(STREAM)
    )
    assert answer.status == 200
    assert not answer.whole
    assert b"event: error" in answer.body.rpartition(b"text_delta")[2]
    assert plane.book.exchanges[0].outcome == "broken"


@pytest.mark.parametrize("status", [204, 304])
def test_a_success_without_a_body_is_no_answer(status: int) -> None:
    """What has no body cannot be a message; the client hears that, in its dialect."""
    answer, _, _ = fly(read(), send(b"HTTP/1.1 %d Odd\r\n\r\n" % status))
    assert answer.status >= 400
    assert json.loads(answer.body)["type"] == "error"


def test_failures_of_ours_carry_our_headers() -> None:
    answer, _, plane = fly(read(), send(response(500, error("broken"))))
    assert answer.header("x-holdfast-exchange") == plane.book.exchanges[0].id
    assert int(answer.header("x-holdfast-attempts") or 0) == plane.book.exchanges[0].attempts
    whose, cause, sure = (answer.header("x-holdfast-verdict") or "").split(";")
    assert whose
    assert cause
    assert 0 < float(sure) <= 1
    assert answer.header("x-should-retry") in ("true", "false")


# --------------------------------------------------------------- our own end


@pytest.mark.parametrize("spoke", [True, False], ids=["in mid-answer", "before a word"])
def test_at_our_own_end_an_open_stream_ends_in_words(spoke: bool) -> None:
    """Behind the time that it had to end by itself: an error of its dialect, an unclean end."""
    said = (send(stream_head() + START + DELTA % b"So far"),) if spoke else ()
    with ScriptServer([read(), *said, until_gone()]) as server:
        patient = Limits(headers_s=9.0, content_s=9.0, idle_s=9.0)
        with DataPlane({"*": ("only/*",)}, place("only", server), key=KEY, limits=patient) as plane:
            plane.drain_s = 0.05
            visitor = plane.visit().send(asking(STREAM))
            eventually(lambda: plane.book.intents and (not spoke or b"So far" in peeked(visitor)))
        with visitor:
            answer = visitor.answer()
        told = answer.body.rpartition(b"data: ")[2] if spoke else answer.body
        error = json.loads(told)["error"]
        assert "stopped" in error["message"]
        assert "at fault" in error["message"]
        assert (answer.status, answer.whole) == ((200, False) if spoke else (503, True))
        (line,) = plane.book.exchanges
        assert (line.outcome, line.verdict) == (
            "broken" if spoke else "declined",
            "local;stopped;1.00",
        )
        (settled,) = plane.book.settled
        assert settled.outcome == "abandoned"
        assert settled.failure_text == "holdfast was stopped in the middle of it"
        assert plane.desk.board.quiet


def peeked(visitor: Visitor) -> bytes:
    """What has come so far; it stays there."""
    return (
        visitor.sock.recv(65536, socket.MSG_PEEK | socket.MSG_DONTWAIT) if ready(visitor) else b""
    )


def ready(visitor: Visitor) -> bool:
    return bool(select.select([visitor.sock], [], [], 0)[0])
