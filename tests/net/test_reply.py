"""Replies as a client reads them: framing, endings, and headers that never split a head."""

from __future__ import annotations

import asyncio
import email.utils
import http.client
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.net.asking import LOOPS
from tests.net.visiting import GOOD, Answer, House

from holdfast.facts.calls import Headers
from holdfast.net import reply as replying
from holdfast.net.reply import Reply, Request

HEAD = GOOD.replace(b"GET", b"HEAD")
OLD = GOOD.replace(b"1.1", b"1.0")
OLD_KEPT = OLD.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n")
CLOSING = GOOD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
TEXT: Headers = ((b"content-type", b"text/plain"),)

Script = Callable[[Reply], None]


def house(script: Script, **options: float) -> House:
    """A house that answers `/good` by this script, and anything else by a word."""

    def handle(request: Request, reply: Reply) -> None:
        if request.path == "/good":
            script(reply)
        else:
            reply.send(200, TEXT, b"another")

    return House(handle, **options)  # type: ignore[arg-type]  # `kind` is not among them


def told(script: Script, request: bytes = GOOD, *, head_only: bool = False) -> tuple[Answer, bool]:
    """What a client gets, and whether the connection then serves another request."""
    with house(script) as home, home.visit() as visitor:
        answer = visitor.send(request).answer(head_only=head_only)
        if visitor.closed(0.05):
            return answer, False
        another = visitor.send(GOOD.replace(b"/good", b"/other")).answer()
        assert another.body == b"another", "the replies have run into one another"
        return answer, True


def say(*pieces: bytes, length: int | None = None, status: int = 200) -> Script:
    def script(reply: Reply) -> None:
        reply.begin(status, TEXT, length)
        for piece in pieces:
            reply.say(piece)
        reply.finish()

    return script


# ------------------------------------------------------------------ framing


def test_a_whole_reply_is_counted() -> None:
    answer, kept = told(lambda reply: reply.send(200, TEXT, b"hello"))
    assert (answer.status, answer.body, answer.whole, kept) == (200, b"hello", True, True)
    assert answer.header("content-length") == "5"
    assert answer.header("content-type") == "text/plain"
    assert answer.header("connection") is None


def test_what_is_said_piece_by_piece_is_chunked() -> None:
    answer, kept = told(say(b"a", b"", b"bc", b"d" * 100_000))
    assert answer.header("transfer-encoding") == "chunked"
    assert answer.body == b"abc" + b"d" * 100_000
    assert (answer.whole, kept) == (True, True)


def test_a_length_that_is_known_is_told() -> None:
    answer, kept = told(say(b"abc", b"de", length=5))
    assert answer.header("content-length") == "5"
    assert answer.header("transfer-encoding") is None
    assert (answer.body, answer.whole, kept) == (b"abcde", True, True)


def test_a_reply_with_nothing_in_it() -> None:
    assert told(say())[0].body == b""
    assert told(say(length=0))[0].header("content-length") == "0"
    assert told(lambda reply: reply.send(200, (), b""))[0].header("content-length") == "0"


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 3_000_000])
def test_a_large_reply_comes_whole_either_way(size: int) -> None:
    """Beyond the joining bound the head travels by itself."""
    body = bytes(range(251)) * (size // 251 + 1)
    for script in (
        lambda reply: reply.send(200, TEXT, body[:size]),
        say(body[:size]),
        say(body[:size], length=size),
    ):
        answer, kept = told(script)
        assert (answer.body == body[:size], answer.whole, kept) == (True, True, True)


@pytest.mark.parametrize("length", [None, 5])
def test_head_gets_the_head_alone(length: int | None) -> None:
    """RFC 9110, 9.3.2: the headers a GET would get, no body, and the connection goes on."""
    answer, kept = told(say(b"hello", length=length), HEAD, head_only=True)
    assert (answer.status, kept) == (200, True)
    assert answer.header("content-length") == (None if length is None else "5")
    answer, kept = told(lambda reply: reply.send(200, TEXT, b"hello"), HEAD, head_only=True)
    assert (answer.header("content-length"), kept) == ("5", True)


@pytest.mark.parametrize("status", [204, 304])
def test_bodiless_statuses_have_no_body_and_no_length(status: int) -> None:
    """RFC 9112, 6.3: framing there would be read as the next reply."""
    for script in (
        say(b"hello", status=status),
        say(b"hello", status=status, length=5),
        lambda reply: reply.send(status, TEXT, b"hello"),
    ):
        answer, kept = told(script)
        assert (answer.status, kept) == (status, True)
        assert answer.header("content-length") is None
        assert answer.header("transfer-encoding") is None


def test_an_http_1_0_client_reads_to_the_end_of_the_connection() -> None:
    """It knows no chunks, whether or not it would stay."""
    for request in (OLD, OLD_KEPT):
        answer, kept = told(say(b"a", b"bc"), request)
        assert (answer.body, kept) == (b"abc", False)
        assert answer.header("transfer-encoding") is None
        assert answer.header("connection") == "close"


def test_an_http_1_0_client_may_stay_where_the_length_is_told() -> None:
    answer, kept = told(lambda reply: reply.send(200, TEXT, b"hello"), OLD_KEPT)
    assert (answer.header("connection"), kept) == ("keep-alive", True)
    answer, kept = told(say(b"hello", length=5), OLD_KEPT)
    assert (answer.header("connection"), kept) == ("keep-alive", True)
    answer, kept = told(lambda reply: reply.send(200, TEXT, b"hello"), OLD)
    assert (answer.header("connection"), kept) == ("close", False)


def test_the_connection_closes_where_either_side_says_so() -> None:
    answer, kept = told(say(b"x"), CLOSING)
    assert (answer.header("connection"), answer.whole, kept) == ("close", True, False)

    def closing(reply: Reply) -> None:
        reply.close_after = True
        reply.send(200, TEXT, b"x")

    answer, kept = told(closing)
    assert (answer.header("connection"), answer.whole, kept) == ("close", True, False)


def test_the_date_is_that_of_now() -> None:
    answer, _ = told(say(b"x"))
    date = answer.header("date")
    assert date is not None
    assert date.endswith(" GMT")
    sent = email.utils.parsedate_to_datetime(date).timestamp()
    assert abs(sent - time.time()) < 3


def test_an_upstreams_own_date_stays() -> None:
    then = b"Tue, 15 Nov 1994 08:12:31 GMT"
    answer, _ = told(lambda reply: reply.send(200, ((b"date", then),), b""))
    assert answer.header("date") == then.decode()


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (200, b"HTTP/1.1 200 OK"),
        (404, b"HTTP/1.1 404 Not Found"),
        (421, b"HTTP/1.1 421 Misdirected Request"),
        (529, b"HTTP/1.1 529 Unknown"),
        (999, b"HTTP/1.1 999 Unknown"),
    ],
)
def test_any_status_travels(status: int, line: bytes) -> None:
    with house(lambda reply: reply.send(status, (), b"")) as home, home.visit() as visitor:
        assert visitor.send(CLOSING).rest().partition(b"\r\n")[0] == line


# ------------------------------------------------------------------- headers

SPLITS: list[tuple[bytes, bytes]] = [
    (b"x-a", b"v\r\nset-cookie: stolen=1"),
    (b"x-a", b"v\nset-cookie: stolen=1"),
    (b"x-a", b"v\rset-cookie: stolen=1"),
    (b"x-a", b"v\r\n\r\nHTTP/1.1 200 OK"),
    (b"x-a", b"\0"),
    (b"x-a\r\nset-cookie", b"stolen=1"),
    (b"x-a: v\nset-cookie", b"stolen=1"),
    (b"content-length", b"1"),
    (b"content-length", b"0\r\n"),
    (b"transfer-encoding", b"chunked"),
    (b"transfer-encoding", b"gzip, chunked"),
    (b"connection", b"close"),
    (b"connection", b"upgrade"),
]


@pytest.mark.parametrize("pair", SPLITS, ids=repr)
def test_a_header_that_would_split_or_frame_the_head_is_left_out(pair: tuple[bytes, bytes]) -> None:
    """The others stay, in their order; the reply is framed by us alone."""
    headers: Headers = ((b"x-before", b"1"), pair, (b"x-after", b"2"))
    for script in (
        lambda reply: reply.send(200, headers, b"hello"),
        lambda reply: (reply.begin(200, headers), reply.say(b"hello"), reply.finish()),
        lambda reply: (reply.begin(200, headers, 5), reply.say(b"hello"), reply.finish()),
    ):
        answer, kept = told(script)  # type: ignore[arg-type]  # a tuple of nothing
        assert (answer.body, answer.whole, kept) == (b"hello", True, True)
        names = [name for name, _ in answer.headers if name.startswith("x-") or "cookie" in name]
        assert names == ["x-before", "x-after"]


def test_what_only_looks_like_framing_travels() -> None:
    pairs: Headers = (
        (b"proxy-connection", b"x"),
        (b"x-why", b"connection: lost, content-length: 7, transfer-encoding: none"),
        (b"x-latin", "née".encode("latin-1")),
        (b"x-empty", b""),
        (b"x-twice", b"1"),
        (b"x-twice", b"2"),
    )
    answer, _ = told(lambda reply: reply.send(200, pairs, b""))
    travelled = [(n.encode(), v.encode("latin-1")) for n, v in answer.headers]
    assert tuple(pair for pair in travelled if pair in pairs) == pairs


class _Wire:
    """Just enough of a connection to hold what is written."""

    last = False

    def __init__(self) -> None:
        self.data = b""
        self.ends: list[str] = []

    def write(self, data: bytes) -> None:
        self.data += data

    def done(self, _: Reply) -> None:
        self.ends.append("done")

    def broken(self, *, reset: bool) -> None:
        self.ends.append("reset" if reset else "cut")


def on_wire(*, head_only: bool = False, http10: bool = False) -> tuple[_Wire, Reply]:
    wire = _Wire()
    reply = Reply(wire, head_only=head_only, http10=http10, keep_alive=True)
    return wire, reply


PAIRS = st.lists(
    st.tuples(
        st.sampled_from([b"x-a", b"connection", b"content-length", b"date"])
        | st.binary(min_size=1, max_size=6),
        st.binary(max_size=10) | st.sampled_from([b"a\r\nb: c", b"\r\n\r\n", b"close", b"7"]),
    ),
    max_size=4,
)


@given(PAIRS, st.booleans())
def test_no_header_breaks_out_of_its_line(
    headers: list[tuple[bytes, bytes]], counted: bool
) -> None:
    """Whatever the bytes: one head, ended by our framing, and the body behind it."""
    wire, reply = on_wire()
    reply.begin(200, headers, 4 if counted else None)
    reply.say(b"body")
    reply.finish()
    head, _, body = wire.data.partition(b"\r\n\r\n")
    assert body == (b"body" if counted else b"4\r\nbody\r\n0\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    assert status == b"HTTP/1.1 200 OK"
    assert not any(b"\n" in line or b"\r" in line or b"\0" in line for line in lines)
    framing = [
        line
        for line in lines
        if line.partition(b":")[0].lower() in (b"content-length", b"transfer-encoding")
    ]
    assert framing == [b"content-length: 4" if counted else b"transfer-encoding: chunked"]


def test_a_percent_sign_in_a_name_is_no_more_than_that() -> None:
    headers: Headers = ((b"x-%b", b"%d"), (b"x-%%", b"1"), (b"x", b"%"))
    wire, reply = on_wire()
    reply.send(200, headers, b"")
    lines = bytes(wire.data).split(b"\r\n")
    assert lines[1:4] == [b"x-%b: %d", b"x-%%: 1", b"x: %"]


def test_names_without_end_do_not_fill_the_memory() -> None:
    for n in range(1200):
        wire, reply = on_wire()
        reply.send(200, ((b"x-made-up-%d" % n, b"1"), (b"x" * (n % 3 * 5000 + 1), b"2")), b"")
        assert b"x-made-up-%d: 1\r\n" % n in bytes(wire.data)
    assert len(replying._templates) <= replying.TEMPLATES_MAX
    assert max(len(template) for template in replying._templates.values()) < 10_000


# -------------------------------------------------------------------- endings


def test_a_broken_chunked_reply_lacks_its_last_chunk() -> None:
    """What was said arrives, and the end is none: real clients raise."""

    def script(reply: Reply) -> None:
        reply.begin(200, TEXT)
        reply.say(b"some ")
        reply.say(b"words")
        reply.break_()

    answer, kept = told(script)
    assert (answer.body, answer.whole, kept) == (b"some words", False, False)
    with house(script) as home:
        client = http.client.HTTPConnection("127.0.0.1", home.port, timeout=10)
        client.request("GET", "/good")
        with pytest.raises(http.client.IncompleteRead) as caught:
            client.getresponse().read()
        assert caught.value.partial == b"some words"
        client.close()


def test_a_broken_counted_reply_lacks_bytes() -> None:
    def script(reply: Reply) -> None:
        reply.begin(200, TEXT, 100)
        reply.say(b"some")
        reply.break_()

    answer, kept = told(script)
    assert (answer.body, answer.whole, kept) == (b"some", False, False)


@pytest.mark.parametrize("kind", LOOPS)
def test_where_the_end_of_the_connection_ends_the_body_it_is_reset(kind: str) -> None:
    """For HTTP/1.0 a FIN would look like the proper end."""
    words = b"words " * 10_000

    def script(reply: Reply) -> None:
        reply.begin(200, TEXT)
        reply.say(words)
        asyncio.get_running_loop().call_later(0.05, reply.break_)

    with House(lambda _, reply: script(reply), kind=kind) as home, home.visit() as visitor:
        visitor.send(OLD)
        with pytest.raises(ConnectionResetError):
            visitor.rest()
        assert visitor.buffer.count(b"words ") > 0


def test_a_reply_that_never_began_is_broken_by_silence() -> None:
    with house(lambda reply: reply.break_()) as home, home.visit() as visitor:
        assert visitor.send(GOOD).rest() == b""


def test_a_counted_reply_that_ends_short_is_broken_not_finished() -> None:
    answer, kept = told(say(b"some", length=100))
    assert (answer.body, answer.whole, kept) == (b"some", False, False)


def test_more_than_the_length_is_never_sent() -> None:
    """It would be read as the next reply; the connection is reset instead."""
    wire, reply = on_wire()
    reply.begin(200, TEXT, 4)
    reply.say(b"some")
    reply.say(b"HTTP/1.1 200 OK")
    assert wire.ends == ["reset"]
    assert wire.data.endswith(b"\r\n\r\nsome")
    reply.finish()
    assert wire.ends == ["reset"]


def test_after_the_end_calls_do_nothing() -> None:
    def late(reply: Reply) -> None:
        reply.say(b"late")
        reply.finish()
        reply.break_()
        reply.begin(200, TEXT)
        reply.send(200, TEXT, b"late")

    def script(reply: Reply) -> None:
        say(b"in time")(reply)
        late(reply)

    answer, kept = told(script)
    assert (answer.body, answer.whole, kept) == (b"in time", True, True)
    for ending in ("finish", "break_"):
        wire, reply = on_wire()
        reply.begin(200, TEXT)
        getattr(reply, ending)()
        before = wire.data, list(wire.ends)
        late(reply)
        assert (wire.data, wire.ends) == before


@pytest.mark.parametrize("misuse", ["begin", "send", "say", "finish"])
def test_a_reply_begins_once_and_before_it_speaks(misuse: str) -> None:
    """A handler that mixes this up is told, and its client is not left in doubt."""
    _, reply = on_wire()
    if misuse in ("begin", "send"):
        reply.begin(200, TEXT)
    given: dict[str, tuple[object, ...]] = {
        "begin": (200, TEXT), "send": (200, TEXT, b""), "say": (b"x",), "finish": ()
    }  # fmt: skip
    with pytest.raises(RuntimeError):
        getattr(reply, misuse)(*given[misuse])


STEPS = st.lists(
    st.sampled_from(["say", "more", "finish", "break", "nothing"]), min_size=0, max_size=6
)


@given(STEPS, st.booleans(), st.booleans(), st.none() | st.integers(0, 8))
def test_every_reply_ends_at_most_once_and_never_cleanly_by_mistake(
    steps: list[str], head_only: bool, http10: bool, length: int | None
) -> None:
    wire, reply = on_wire(head_only=head_only, http10=http10)
    reply.begin(200, TEXT, length)
    said = b""
    for step in steps:
        if step in ("say", "more") and not reply.ended:
            said += b"abc"
        {
            "say": lambda: reply.say(b"abc"),
            "more": lambda: reply.say(b"abc"),
            "finish": reply.finish,
            "break": reply.break_,
            "nothing": lambda: reply.say(b""),
        }[step]()
    assert len(wire.ends) == int(reply.ended)
    _, _, body = wire.data.partition(b"\r\n\r\n")
    if head_only:
        assert body == b""
    elif wire.ends == ["done"]:
        assert length in (None, len(said))
    if wire.ends == ["cut"]:  # a FIN follows: it must not look like an end
        assert not http10 or length is not None
        assert length is None or len(body) < length
        assert not body.endswith(b"0\r\n\r\n")
