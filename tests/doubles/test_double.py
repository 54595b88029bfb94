"""The doubles themselves: strict, exact in their grammar, and true to the fault they are told."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.doubles import acts, holes
from tests.doubles.provider import Provider

MESSAGE = {
    "model": "claude-haiku-5",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "count"}],
}
CHAT = {"model": "gpt-5.1", "messages": [{"role": "user", "content": "count"}]}
PATHS = {"anthropic": "/v1/messages", "openai": "/v1/chat/completions"}
BODIES = {"anthropic": MESSAGE, "openai": CHAT}


@contextmanager
def asked(double: Provider, **change: object) -> Iterator[http.client.HTTPResponse]:
    """One good request, changed as told; None takes a field or header away."""
    body = {**BODIES[double.dialect], **{k: v for k, v in change.items() if k != "headers"}}
    headers = {
        "content-type": "application/json",
        "authorization": f"Bearer {double.key}",
        **({"anthropic-version": "2023-06-01"} if double.dialect == "anthropic" else {}),
        **change.get("headers", {}),  # type: ignore[dict-item]  # a dict by the tests below
    }
    line = http.client.HTTPConnection("127.0.0.1", double.port, timeout=5)
    line.request(
        "POST",
        PATHS[double.dialect],
        json.dumps({k: v for k, v in body.items() if v is not None}),
        {k: v for k, v in headers.items() if v is not None},
    )
    try:
        yield line.getresponse()
    finally:
        line.close()


def read(reply: http.client.HTTPResponse) -> tuple[bytes, Exception | None]:
    """All that arrives, and the exception that ended it."""
    said = bytearray()
    try:
        while part := reply.read1(65536):
            said += part
    except (OSError, http.client.HTTPException) as problem:
        return bytes(said), problem
    return bytes(said), None


@pytest.mark.parametrize("dialect", PATHS)
def test_a_good_request_is_answered_whole(dialect: str) -> None:
    """Numbered words, in one piece and streamed, with the terminal event of the dialect."""
    with Provider("alpha", dialect) as double:
        with asked(double) as reply:
            assert double.text() in json.dumps(json.load(reply), ensure_ascii=False)
        with asked(double, stream=True) as reply:
            raw = reply.read().decode()
        assert raw.count("alpha-") == 20
        assert "message_stop" in raw or "[DONE]" in raw
        assert not double.complaints


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"headers": {"anthropic-version": None}}, 400),
        ({"headers": {"authorization": "Bearer other"}}, 401),
        ({"headers": {"authorization": None}}, 401),
        ({"headers": {"x-api-key": "of-someone-else"}}, 401),
        ({"headers": {"content-type": "text/plain"}}, 400),
        ({"max_tokens": None}, 400),
        ({"messages": []}, 400),
        ({"messages": [{"role": "assistant", "content": "x"}]}, 400),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]}, 400),
        ({"frobnicate": 1}, 400),
        ({"model": "gpt-5.1"}, 404),
    ],
)
def test_messages_refuses_what_the_api_refuses(change: dict[str, object], status: int) -> None:
    with Provider("alpha") as double, asked(double, **change) as reply:
        assert reply.status == status
        assert json.load(reply)["type"] == "error"
        assert double.seen[0].refused


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"headers": {"authorization": "Bearer other"}}, 401),
        ({"headers": {"x-api-key": "of-someone-else"}}, 400),
        ({"headers": {"anthropic-version": "2023-06-01"}}, 400),
        ({"max_tokens": 5}, 400),
        ({"system": "x"}, 400),
        ({"stream_options": {"include_usage": True}}, 400),
        ({"model": "claude-haiku-5"}, 404),
    ],
)
def test_chat_refuses_what_the_api_refuses(change: dict[str, object], status: int) -> None:
    with Provider("beta", "openai") as double, asked(double, **change) as reply:
        assert reply.status == status
        assert "message" in json.load(reply)["error"]


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize("rst", [False, True], ids=["fin", "rst"])
@pytest.mark.parametrize("where", ["words", "event", "utf8"])
def test_a_cut_is_unclean_behind_exactly_the_words_told(
    dialect: str, rst: bool, where: acts.Where
) -> None:
    with Provider("alpha", dialect) as double:
        double.play(acts.cut(where, 8, rst=rst))
        with asked(double, stream=True) as reply:
            said, problem = read(reply)
        assert isinstance(problem, ConnectionResetError if rst else http.client.IncompleteRead)
        assert said.count(b"alpha-") == 8 + (where == "utf8")
        assert b"[DONE]" not in said
        assert b"message_stop" not in said


@pytest.mark.parametrize("dialect", PATHS)
def test_a_clean_end_has_all_but_the_terminal_event(dialect: str) -> None:
    with Provider("alpha", dialect) as double:
        double.play(acts.end(8))
        with asked(double, stream=True) as reply:
            raw = reply.read()
        assert raw.count(b"alpha-") == 8
        assert b"message_stop" not in raw
        assert b"[DONE]" not in raw


def test_errors_come_first_or_later_as_told() -> None:
    with Provider("alpha") as double:
        double.play(acts.error_event(-1), acts.error_event(0), acts.error_event(3))
        firsts = []
        for words in (0, 0, 3):
            with asked(double, stream=True) as reply:
                raw = reply.read().decode()
            firsts.append(raw.split("\n")[0])
            assert raw.count("alpha-") == words
            assert "overloaded_error" in raw
        assert firsts == ["event: error", "event: message_start", "event: message_start"]


def test_a_status_comes_with_its_headers_and_body() -> None:
    with Provider("alpha") as double:
        double.play(acts.status(429, b'{"a": 1}', retry_after="7"), acts.html(), acts.empty())
        with asked(double) as reply:
            assert (reply.status, reply.headers["retry-after"]) == (429, "7")
            assert reply.read() == b'{"a": 1}'
        with asked(double) as reply:
            assert (reply.status, reply.read()[:6]) == (502, b"<html>")
        with asked(double) as reply:
            assert (reply.status, reply.read()) == (200, b"")


@pytest.mark.parametrize("where", ["before_headers", "after_headers", "words"])
def test_a_stall_is_silent_and_sees_the_peer_go(where: acts.Where) -> None:
    """The record says when the peer closed; that is how `client gone` is measured."""
    with Provider("alpha") as double:
        double.play(acts.stall(where, 2))
        line = socket.create_connection(("127.0.0.1", double.port))
        body = json.dumps({**MESSAGE, "stream": True}).encode()
        line.sendall(
            b"POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1:%d\r\nx-api-key: %b\r\n"
            b"content-type: application/json\r\nanthropic-version: 2026-10-21\r\n"
            b"content-length: %d\r\n\r\n%b" % (double.port, double.key.encode(), len(body), body)
        )
        double.wait(lambda: double.calls and double.calls[0].body, 2)
        if where == "words":
            double.wait(lambda: double.calls[0].words == 2, 2)
        assert double.calls[0].closed_at is None
        line.close()
        double.wait(lambda: double.calls[0].closed_at, 1)
        assert not double.complaints


def test_ambiguous_requests_are_complained_of() -> None:
    with Provider("alpha") as double:
        with socket.create_connection(("127.0.0.1", double.port)) as line:
            line.sendall(
                b"POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 2\r\n"
                b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n"
            )
            assert line.recv(100).startswith(b"HTTP/1.1 400")
        assert double.complaints


def test_down_refuses_and_up_listens_on_the_same_port() -> None:
    with Provider("alpha") as double:
        double.down()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", double.port))
        double.up()
        with asked(double) as reply:
            assert reply.status == 200


def read_one(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 1) as line:
        return line.recv(1)


def test_holes_are_what_they_say() -> None:
    """Refused, silent, and reset at once."""
    with holes.refused() as url, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 1)
    with holes.blackhole() as url, pytest.raises(TimeoutError):
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 0.2)
    # On a busy machine the reset may overtake the connect itself.
    with holes.resets() as url, pytest.raises(ConnectionError):
        read_one(int(url.rpartition(":")[2]))


def test_recorded_bytes_come_as_they_are_in_pieces() -> None:
    with Provider("alpha") as double:
        double.play(acts.recorded("event: ☕\n\n".encode(), piece=3))
        with asked(double, stream=True) as reply:
            assert reply.headers["content-type"] == "text/event-stream"
            assert reply.read().decode() == "event: ☕\n\n"


def test_the_pages_besides_completions() -> None:
    """One model, and a batch from its making to its results; refused without a version."""
    with Provider("alpha") as double:

        def page(method: str, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
            line = http.client.HTTPConnection("127.0.0.1", double.port, timeout=5)
            sent = {"x-api-key": double.key, "content-type": "application/json", **headers}
            line.request(method, path, None if body is None else json.dumps(body), sent)
            reply = line.getresponse()
            said = reply.read()
            line.close()
            return reply.status, said

        assert json.loads(page("GET", "/v1/models/claude-haiku-5")[1])["id"] == "claude-haiku-5"
        assert page("GET", "/v1/models/claude-1")[0] == 404
        batch = {"requests": [{"custom_id": "a", "params": MESSAGE}]}
        assert page("POST", "/v1/messages/batches", batch)[0] == 400
        version = {"anthropic-version": "2023-06-01"}
        status, made = page("POST", "/v1/messages/batches", batch, **version)
        assert status == 200
        path = f"/v1/messages/batches/{json.loads(made)['id']}"
        assert json.loads(page("GET", path)[1])["processing_status"] == "ended"
        results = page("GET", f"{path}/results")[1]
        said = json.loads(results)["result"]["message"]["content"][0]["text"]
        assert said == double.text()
        assert page("POST", f"{path}/cancel")[0] == 200
        assert page("DELETE", path)[0] == 200
