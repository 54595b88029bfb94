"""Places where a dial goes wrong: nobody there, nobody answers, a reset, a wrong certificate."""

from __future__ import annotations

import secrets
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import trustme

OURS = range(15_000, 32_000)


def free_port() -> int:
    """A loopback port on which nobody listened a moment ago.

    Below those that the system gives out by itself, or a connection of another test may take it.
    """
    while True:
        port = secrets.choice(OURS)
        with socket.socket() as sock, suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


@contextmanager
def refused() -> Iterator[str]:
    """A port that is taken and does not listen, so that nobody else takes it meanwhile."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"


@contextmanager
def blackhole() -> Iterator[str]:
    """A listener whose queue is full: the kernel drops every further SYN, as a firewall does."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        yield f"http://127.0.0.1:{address[1]}"
        for filler in fillers:
            filler.close()


@contextmanager
def resets() -> Iterator[str]:
    """Accepts, then resets at once."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    def run() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            linger = struct.pack("ii", 1, 0)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            peer.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{port}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


def untrusted_tls(host: str = "127.0.0.1") -> ssl.SSLContext:
    """A server's context with a certificate that nobody trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert(host).configure_cert(context)
    return context
