"""What the listener's tests share: a house on a thread of its own, and visitors on raw sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Self

import msgspec
from tests.net.asking import LOOPS

from holdfast.net.doorman import Doorman
from holdfast.net.guest import Handler
from holdfast.net.intake import Bounds
from holdfast.net.listen import Listener
from holdfast.net.reply import Reply, Request

PATIENCE_S = 10.0
GOOD = b"GET /good HTTP/1.1\r\nHost: localhost\r\n\r\n"
JSON = ((b"content-type", b"application/json"),)


class Answer(NamedTuple):
    """One reply as a client reads it. `whole`: it ended as HTTP says it should."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    whole: bool

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key == name]
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None

    @property
    def error(self) -> str:
        """The sentence of a refusal."""
        told = json.loads(self.body)["error"]
        assert set(told) >= {"type", "message"}
        message: str = told["message"]
        return message


class Visitor:
    """A client that sends bytes as it likes and reads one reply after the other, strictly."""

    def __init__(self, address: tuple[str, int], *, receive_bytes: int = 0) -> None:
        self.sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        if receive_bytes:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.sock.settimeout(PATIENCE_S)
        try:
            self.sock.connect(address)
        except OSError:
            self.sock.close()
            raise
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> Self:
        self.sock.sendall(data)
        return self

    def try_send(self, data: bytes) -> None:
        """Send what may no longer be taken."""
        with contextlib.suppress(ConnectionError):
            self.sock.sendall(data)

    def shut(self) -> Self:
        """Close the sending half."""
        self.sock.shutdown(socket.SHUT_WR)
        return self

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def _fill(self) -> bool:
        data = self.sock.recv(65536)
        self.buffer += data
        return bool(data)

    def _line(self) -> bytes | None:
        while b"\r\n" not in self.buffer:
            if not self._fill():
                return None
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def _exactly(self, size: int) -> bytes:
        while len(self.buffer) < size and self._fill():
            pass
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def answer(self, *, head_only: bool = False) -> Answer:
        """Read the next reply."""
        line = self._line()
        assert line is not None, "the connection ended where a reply was due"
        version, code, _ = line.split(b" ", 2)
        assert version == b"HTTP/1.1"
        headers = []
        while header := self._line():
            name, colon, value = header.partition(b": ")
            assert colon
            assert name == name.lower()
            headers.append((name.decode(), value.decode("latin-1")))
        status = int(code)
        named = dict(headers)
        assert not ("content-length" in named and "transfer-encoding" in named)
        if head_only or status in (204, 304) or status < 200:
            return Answer(status, headers, b"", whole=True)
        if "content-length" in named:
            size = int(named["content-length"])
            body = self._exactly(size)
            return Answer(status, headers, body, whole=len(body) == size)
        if named.get("transfer-encoding") == "chunked":
            body, whole = self._chunks()
            return Answer(status, headers, body, whole)
        return Answer(status, headers, self.rest(), whole=True)

    def _chunks(self) -> tuple[bytes, bool]:
        body = b""
        while line := self._line():
            size = int(line, 16)
            body += self._exactly(size)
            if self._line() != b"":
                return body, False
            if not size:
                return body, True
        return body, False

    def rest(self) -> bytes:
        """All that comes until the end. A reset is ConnectionResetError."""
        while self._fill():
            pass
        rest, self.buffer = self.buffer, b""
        return rest

    def closed(self, within_s: float = PATIENCE_S) -> bool:
        """Whether nothing more came and the house hung up, softly or hard, in this time."""
        self.sock.settimeout(within_s)
        try:
            return self.buffer == b"" and self.sock.recv(65536) == b""
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        finally:
            self.sock.settimeout(PATIENCE_S)


class House:
    """A listener on a thread of its own, on 127.0.0.1 and ::1, for the time of a `with`.

    `requests` are those that reached the handler, `crashes` what our own code raised, `reports`
    what the loop's exception handler was told: a test that ends with one has failed.
    """

    def __init__(
        self, handler: Handler | None = None, *, kind: str = "uvloop", **bounds: float
    ) -> None:
        self.requests: list[Request] = []
        self.crashes: list[tuple[Exception, Request | None]] = []
        self.reports: list[dict[str, Any]] = []
        self.forgive = False
        self._handler = handler or echo
        self._bounds = msgspec.structs.replace(Bounds(), **bounds)
        self._loop = LOOPS[kind]()
        self._loop.set_exception_handler(lambda _, context: self.reports.append(context))
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.listener = Listener(
            self._handle,
            doorman=Doorman.of("127.0.0.1", 0),
            bounds=self._bounds,
            on_crash=lambda error, request: self.crashes.append((error, request)),
        )
        self.bound: list[tuple[str, int]] = []

    def _handle(self, request: Request, reply: Reply) -> None:
        self.requests.append(request)
        self._handler(request, reply)

    def __enter__(self) -> Self:
        self._thread.start()
        self.bound = self.wait_for(self.listener.start("127.0.0.1", 0))
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.wait_for(self.listener.close(0.0))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()
        if kind is None:
            assert not self.reports, self.reports
            assert self.listener.connections == 0
            assert self.forgive or self.crashes == []

    @property
    def port(self) -> int:
        return self.bound[0][1]

    def wait_for(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)

    def do(self, step: Callable[[], Any]) -> Any:
        """Run a step on the house's own thread."""

        async def run() -> Any:
            return step()

        return self.wait_for(run())

    def start(self, work: Any) -> Any:
        """Start a coroutine there; returns its future."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def visit(self, **options: int) -> Visitor:
        return Visitor(("127.0.0.1", self.port), **options)

    def ask(self, data: bytes) -> Answer:
        """One request on a connection of its own."""
        with self.visit() as visitor:
            return visitor.send(data).answer()

    def is_well(self) -> None:
        """A good request on a new connection is served."""
        before = len(self.requests)
        assert self.ask(GOOD).status == 200
        assert self.requests[before:][-1].path == "/good"


def echo(request: Request, reply: Reply) -> None:
    """Answer with the body that came, or with the path."""
    reply.send(200, ((b"content-type", b"text/plain"),), request.body or request.path.encode())


def eventually(met: Callable[[], object], within_s: float = PATIENCE_S) -> float:
    """Wait until something is so; returns how long that took, in seconds."""
    begun = time.monotonic()
    while not met():
        assert time.monotonic() - begun < within_s, "it did not come to pass"
        time.sleep(0.002)
    return time.monotonic() - begun


def at_rest(count: Callable[[], int], for_s: float) -> int:
    """Wait until a count has not changed for so long; returns it."""
    last, since = count(), time.monotonic()
    begun = since
    while time.monotonic() - since < for_s:
        time.sleep(0.01)
        if count() != last:
            last, since = count(), time.monotonic()
        assert since - begun < PATIENCE_S, "it never comes to rest"
    return last


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def post(body: bytes, *more: bytes, path: bytes = b"/v1/messages") -> bytes:
    """A good POST of JSON."""
    lines = [
        b"POST " + path + b" HTTP/1.1",
        b"Host: localhost",
        b"Content-Type: application/json",
        b"Content-Length: %d" % len(body),
        *more,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
