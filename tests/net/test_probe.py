"""Probes over real sockets, against providers that fail on demand."""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import Any

import pytest
import trustme
from tests.doubles import acts
from tests.doubles.provider import Provider as Double
from tests.net.asking import on_loop
from tests.net.flying import Book
from tests.net.script_server import ScriptServer, closed_port, read, send

from holdfast.core.blame import judge
from holdfast.core.board import Board
from holdfast.core.probing import Probe
from holdfast.core.route import TALK
from holdfast.facts.evidence import Circumstances
from holdfast.facts.fingerprints import Evidence
from holdfast.facts.flights import Leg
from holdfast.facts.observations import Observation
from holdfast.facts.outcomes import Failure, Verdict
from holdfast.facts.places import Limits, Provider
from holdfast.net.desk import Desk, Place
from holdfast.net.dial import Dialer
from holdfast.net.probe import ENOUGH_BYTES, TOOL, Prober

IMPATIENT = Limits(connect_s=0.5, headers_s=0.3, content_s=0.3)


def verdict(failure: Failure, leg: Leg) -> Verdict:
    del leg
    return judge(failure, Circumstances())


def place(double: Double, *, key: bytes | None = None, ref: str = "env:K") -> Place:
    dialect: Any = double.dialect
    provider = Provider(name="north", dialects=(dialect,), base_url=double.url, key=ref)
    return Place(provider, double.key.encode() if key is None else key)


def carry(
    probe: Probe,
    where: Place | None,
    *,
    book: Book | None = None,
    tls: ssl.SSLContext | None = None,
    shown: list[Evidence | None] | None = None,
) -> Observation | None:
    """Make one probe; what was learnt. `shown` takes what was seen of who answered."""
    learnt: list[Observation | None] = []

    async def flight(dialer: Dialer) -> None:
        made = desk(dialer, book or Book(), where)
        if shown is not None:
            made.shown = lambda _provider, _surface, evidence: shown.append(evidence)
        prober = Prober(made, verdict, "t", IMPATIENT)
        learnt.append(await prober.carry(probe))

    on_loop("uvloop", flight, ssl_context=tls)
    return learnt[0]


def desk(dialer: Dialer, book: Book, where: Place | None) -> Desk:
    made = Desk(
        board=Board(dice=lambda: 0.5),
        book=book,
        dialer=dialer,
        clock=asyncio.get_running_loop().time,
        wall=time.time,
        credit=lambda _provider, _at: None,
        affinity=lambda _call, _leg, _at: None,
    )
    made.places = {} if where is None else {"north": where}
    return made


def probe(double: Double, way: Any) -> Probe:
    """A probe of this double."""
    dialect: Any = double.dialect
    talk = TALK[dialect]
    return Probe(
        way=way,
        provider="north",
        surface=talk if way == "generation" else way,
        model="" if way == "models" else min(double.models),
        credential="env:K",
        dialect=dialect,
        why="little traffic",
    )


def reach(url: str) -> Probe:
    return Probe(way="reach", provider="north", surface="chat_site", url=url)


# ------------------------------------------------------- who answers there


@pytest.mark.parametrize("dialect", ["anthropic", "openai"])
def test_a_list_of_models_is_kept_with_what_the_connection_showed(dialect: str) -> None:
    seen: list[Evidence | None] = []
    with Double("north", dialect) as double:
        carry(probe(double, "models"), place(double), shown=seen)
        models = set(double.models)
    (evidence,) = seen
    assert evidence is not None
    assert set(evidence.models) == models
    assert evidence.address == "127.0.0.1"
    assert evidence.error == ""


def test_an_error_shows_the_shape_of_its_envelope() -> None:
    seen: list[Evidence | None] = []
    with Double("north", "anthropic") as double:
        double.always(acts.status(529))
        carry(probe(double, "generation"), place(double), shown=seen)
    (evidence,) = seen
    assert evidence is not None
    assert evidence.error.startswith("{error:{message,type}")


# ---------------------------------------------------------------------- well


@pytest.mark.parametrize(
    ("dialect", "way"),
    [
        ("anthropic", "models"),
        ("anthropic", "count_tokens"),
        ("anthropic", "generation"),
        ("openai", "models"),
        ("openai", "generation"),
        ("openai-responses", "models"),
        ("openai-responses", "count_tokens"),
        ("openai-responses", "generation"),
        ("gemini", "models"),
        ("gemini", "count_tokens"),
        ("gemini", "generation"),
        ("ollama", "models"),
        ("ollama", "generation"),
    ],
)
def test_a_good_answer_is_a_good_observation(dialect: str, way: str) -> None:
    with Double("north", dialect) as double:
        asked = probe(double, way)
        book = Book()
        found = carry(asked, place(double), book=book)
        assert found is not None
        assert (found.kind, found.ok, found.status) == ("probe", True, 200)
        assert (found.provider, found.surface, found.model, found.credential) == asked.leaf
        assert (found.first_content_s is not None) is (way == "generation")
        assert double.complaints == []
        assert [seen.refused for seen in double.seen] == [None]
        assert double.seen[0].header("user-agent") == TOOL
        assert len(book.intents) == (1 if way == "generation" else 0)


def test_what_costs_is_in_the_book_like_any_attempt_and_before_its_bytes_leave() -> None:
    with Double("north") as double:
        book = Book()
        seen_at_intent: list[int] = []
        intend = book.intend
        book.intend = lambda *intents: (  # type: ignore[method-assign]
            seen_at_intent.append(len(double.seen)),
            intend(*intents),
        )[1]
        carry(probe(double, "generation"), place(double), book=book)
    (intent,), (settled,), (exchange,) = book.intents, book.settled, book.exchanges
    assert seen_at_intent == [0]
    assert (intent.tool, intent.provider, intent.credential) == (TOOL, "north", "env:K")
    assert "little traffic" in intent.why
    assert (settled.id, settled.outcome, settled.status) == (intent.id, "ok", 200)
    assert settled.usage.input is not None
    assert (exchange.id, exchange.outcome, exchange.attempts) == (intent.exchange, "ok", 1)


def test_the_first_word_is_enough() -> None:
    """The rest of the answer is not waited for: this one would take for ever."""
    with Double("north") as double:
        double.play(acts.stall("words", 1))
        found = carry(probe(double, "generation"), place(double))
    assert found is not None
    assert found.ok


def test_of_a_long_list_only_the_beginning_is_read() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9999999\r\n\r\n"
    with ScriptServer([read(), send(head + b'{"data": ["' + b"x" * (2 * ENOUGH_BYTES))]) as server:
        provider = Provider(name="north", dialects=("openai",), base_url=server.url, key="env:K")
        asked = Probe(way="models", provider="north", surface="models", dialect="openai")
        found = carry(asked, Place(provider, b"key-of-north"))
    assert found is not None
    assert found.ok


# ------------------------------------------------------------------- failing


@pytest.mark.parametrize(
    ("act", "kind", "status"),
    [
        (acts.status(529), "status", 529),
        (acts.status(500), "status", 500),
        (acts.status(401), "status", 401),
        (acts.html(502), "status", 502),
        (acts.error_event(), "error_event", None),
        (acts.empty(), "empty", 200),
        (acts.cut("after_headers"), "truncated", 200),
        (acts.stall("before_headers"), "headers_timeout", None),
        (acts.stall("after_headers"), "content_timeout", 200),
    ],
)
def test_a_failure_is_told_and_judged_like_that_of_a_call(
    act: acts.Act, kind: str, status: int | None
) -> None:
    with Double("north") as double:
        double.play(act)
        book = Book()
        found = carry(probe(double, "generation"), place(double), book=book)
    assert found is not None
    assert not found.ok
    assert found.failure_kind == kind
    assert found.status == status or kind == "error_event"
    assert found.verdict is not None
    assert book.settled[0].verdict == str(found.verdict)
    assert book.settled[0].outcome == "failed"
    assert book.exchanges[0].outcome == "declined"


def test_nobody_there_is_an_observation_too() -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    where = Place(Provider(name="north", dialects=("openai",), base_url=url, key="env:K"), b"k" * 9)
    asked = Probe(way="models", provider="north", surface="models", dialect="openai")
    found = carry(asked, where)
    assert found is not None
    assert (found.ok, found.failure_kind) == (False, "refused")


def test_a_key_that_is_echoed_is_masked() -> None:
    with Double("north") as double:
        body = b'{"type":"error","error":{"type":"x","message":"bad key %b"}}' % double.key.encode()
        double.play(acts.status(401, body))
        book = Book()
        found = carry(probe(double, "generation"), place(double), book=book)
    told = f"{found} {book.settled} {book.exchanges} {book.intents}"
    assert double.key not in told
    assert found is not None
    assert "masked" in found.text or found.text


@pytest.mark.parametrize(
    ("ref", "key"),
    [("client", b""), ("env:K", b"sk-ant-oat01-subscription")],
    ids=["the client's own", "a subscription"],
)
def test_a_credential_that_is_not_for_probes_carries_none(ref: str, key: bytes) -> None:
    with Double("north") as double:
        for way in ("models", "count_tokens", "generation"):
            assert carry(probe(double, way), place(double, key=key, ref=ref)) is None
        assert double.seen == []
        assert carry(probe(double, "models"), None) is None


def test_a_probe_that_is_stopped_is_settled_as_abandoned() -> None:
    book = Book()
    with Double("north") as double:
        double.play(acts.stall("before_headers"))

        async def flight(dialer: Dialer) -> None:
            prober = Prober(desk(dialer, book, place(double)), verdict, "t")
            task = asyncio.create_task(prober.carry(probe(double, "generation")))
            while not double.calls:  # noqa: ASYNC110 - it is on a thread
                await asyncio.sleep(0.005)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        on_loop("asyncio", flight)
    assert [settled.outcome for settled in book.settled] == ["abandoned"]
    assert [exchange.outcome for exchange in book.exchanges] == ["abandoned"]


# -------------------------------------------------------------- reachability


@pytest.mark.parametrize(
    ("status", "ok"), [(200, True), (302, True), (403, True), (429, True), (503, False)]
)
def test_a_page_is_there_unless_its_server_fails(status: int, ok: bool) -> None:
    answer = b"HTTP/1.1 %d So\r\nlocation: /elsewhere\r\ncontent-length: 2\r\n\r\nhi" % status
    with ScriptServer([read(), send(answer)]) as server:
        found = carry(reach(f"{server.url}/new?a=b"), None)
        assert server.requests[0].startswith(b"GET /new?a=b HTTP/1.1\r\n")
        assert b"authorization" not in server.requests[0].lower()
    assert found is not None
    assert (found.ok, found.status, found.surface) == (ok, status, "chat_site")
    assert (found.verdict is None) is ok


def test_a_page_with_a_certificate_of_nobody_we_trust_is_not_there() -> None:
    ours, theirs = trustme.CA(), trustme.CA()

    def server_of(ca: trustme.CA) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("127.0.0.1").configure_cert(context)
        return context

    def seen(ca: trustme.CA) -> Observation | None:
        client = ssl.create_default_context()
        ours.configure_trust(client)
        script = [read(), send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")]
        with ScriptServer(script, tls=server_of(ca)) as server:
            return carry(reach(server.url), None, tls=client)

    good, bad = seen(ours), seen(theirs)
    assert good is not None
    assert good.ok
    assert bad is not None
    assert (bad.ok, bad.failure_kind) == (False, "tls")


def test_an_address_that_is_none_is_our_fault_and_hurts_nobody() -> None:
    found = carry(reach("ftp://nowhere"), None)
    assert found is not None
    assert (found.ok, found.failure_kind) == (False, "internal")
