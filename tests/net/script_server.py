"""A server that does what it is told, byte by byte: real sockets, blocking, a thread each.

A script is a list of steps for one connection; the first connection gets the first script, and
so on, the last script serving all that come after:

    with ScriptServer([read(), send(b"HTTP/1.1 200 OK\\r\\n\\r\\n"), reset()]) as server: ...

At the end of its script a connection is closed (TLS without close_notify).
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Self

Step = Callable[["Peer"], None]
PATIENCE_S = 20.0  # a script that waits longer than this has failed


class _LeftBetweenError(Exception):
    """The client closed where a next request could have come: its right, and the script's end."""


class Peer:
    """One accepted connection, as its script sees it."""

    def __init__(self, sock: socket.socket) -> None:
        self.raw = sock
        self.sock = sock
        self.request = b""  # the last one read
        self.left_at: float | None = None  # when the client was found gone
        self.left_by = ""  # "eof" or "reset"


class ScriptServer:
    """Listens on a free loopback port; connections follow their scripts."""

    def __init__(self, *scripts: Sequence[Step], tls: ssl.SSLContext | None = None) -> None:
        self._scripts = scripts
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.requests: list[bytes] = []
        self.peers: list[Peer] = []
        self.troubles: list[BaseException] = []
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(PATIENCE_S)
        if kind is not None:  # the test failed: scripts may wait for what never comes
            for peer in self.peers:
                with contextlib.suppress(OSError):
                    peer.raw.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE_S)
        if kind is None and self.troubles:
            raise AssertionError(f"the scripted server failed: {self.troubles!r}")

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.settimeout(PATIENCE_S)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            script = self._scripts[min(len(self.peers), len(self._scripts) - 1)]
            peer = Peer(sock)
            self.peers.append(peer)
            thread = threading.Thread(target=self._follow, args=(peer, script), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _follow(self, peer: Peer, script: Sequence[Step]) -> None:
        try:
            if self._tls is not None:
                try:
                    peer.sock = self._tls.wrap_socket(peer.raw, server_side=True)
                except (ssl.SSLError, OSError):
                    return  # the client did not like us: that is the test's business
                peer.raw = peer.sock
            for step in script:
                before = peer.request
                step(peer)
                if peer.request is not before:
                    self.requests.append(peer.request)
        except _LeftBetweenError:
            pass
        except Exception as trouble:  # noqa: BLE001 - told to the test at its end
            self.troubles.append(trouble)
        finally:
            peer.sock.close()


# ---------------------------------------------------------------- steps


def read() -> Step:
    """Read one request: its head, and a body as long as its content-length."""

    def step(peer: Peer) -> None:
        data = peer.sock.recv(65536)
        if not data:
            raise _LeftBetweenError
        while b"\r\n\r\n" not in data:
            data += _some(peer)
        head, _, body = data.partition(b"\r\n\r\n")
        said = re.search(rb"(?im)^content-length: *(\d+)", head)
        wanted = int(said[1]) if said else 0
        pieces = [body]
        wanted -= len(body)
        while wanted > 0:
            pieces.append(_some(peer))
            wanted -= len(pieces[-1])
        peer.request = head + b"\r\n\r\n" + b"".join(pieces)

    return step


def _some(peer: Peer) -> bytes:
    data = peer.sock.recv(65536)
    if not data:
        raise EOFError("the client left within its request")
    return data


def hear() -> Step:
    """Read whatever comes first, as a TLS handshake's first words."""
    return lambda peer: peer.sock.recv(65536) and None


def read_head() -> Step:
    """Read up to the end of a request's head, byte by byte: the body stays in the kernel."""

    def step(peer: Peer) -> None:
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            byte = peer.sock.recv(1)
            if not byte:
                raise EOFError("the client left within its request")
            data += byte
        peer.request = data

    return step


def send(data: bytes) -> Step:
    return lambda peer: peer.sock.sendall(data)


def send_each(data: bytes) -> Step:
    """Send every byte by itself."""

    def step(peer: Peer) -> None:
        for i in range(len(data)):
            peer.sock.sendall(data[i : i + 1])

    return step


def wait(event: threading.Event) -> Step:
    def step(_: Peer) -> None:
        if not event.wait(PATIENCE_S):
            raise TimeoutError("the test never said to go on")

    return step


def tell(event: threading.Event) -> Step:
    return lambda _: event.set()


def reset() -> Step:
    """Close with a RST."""

    def step(peer: Peer) -> None:
        peer.raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.sock.close()

    return step


def finish() -> Step:
    """Close with a FIN; in TLS without close_notify."""
    return lambda peer: peer.sock.close()


def goodbye() -> Step:
    """Close as TLS wants it: close_notify, then a FIN."""

    def step(peer: Peer) -> None:
        assert isinstance(peer.sock, ssl.SSLSocket)
        peer.sock.settimeout(0.2)  # unwrap sends ours at once, then waits for theirs: let it
        with contextlib.suppress(OSError):
            peer.sock.unwrap()
        peer.sock.close()

    return step


def until_gone() -> Step:
    """Read and drop whatever comes until the client is gone; note when, and how."""

    def step(peer: Peer) -> None:
        try:
            while peer.sock.recv(65536):
                pass
            peer.left_by = "eof"
        except ConnectionError:
            peer.left_by = "reset"
        peer.left_at = time.monotonic()

    return step


def deaf_until_gone() -> Step:
    """Read nothing, and notice by the connection's state alone that the client is gone."""

    def step(peer: Peer) -> None:
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            if peer.raw.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                peer.left_by = "reset"
                peer.left_at = time.monotonic()
                return
            time.sleep(0.01)
        raise TimeoutError("the client is still there")

    return step


@contextlib.contextmanager
def blackhole() -> Iterator[int]:
    """A loopback port that answers no connection: a listener whose queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        time.sleep(0.05)  # the kernel must have seen them
        yield listener.getsockname()[1]


def closed_port() -> int:
    """A loopback port where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
