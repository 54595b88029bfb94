"""What may stand on the way: hosts with and without TLS, proxies that let through, refuse or look
inside, captive portals. Real sockets on loopback, a thread for each connection."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import trustme

PATIENCE_S = 10.0
WELL = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nserver: double/1.0\r\n\r\n"
LOGIN_PAGE = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 34\r\n\r\n"
    b"<html>Welcome! Please sign.</html>"
)
LOGIN_REDIRECT = (
    b"HTTP/1.1 302 Found\r\nlocation: http://login.portal.test/\r\ncontent-length: 0\r\n\r\n"
)


class Stand:
    """Listens on a free loopback port and hands every connection to `handle`."""

    def __init__(self, handle: Callable[[socket.socket], None], host: str = "127.0.0.1") -> None:
        self._handle = handle
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
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
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.settimeout(PATIENCE_S)
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):  # a client that leaves is its own business
            self._handle(sock)


class Host(Stand):
    """Answers every request with the same bytes, under TLS where it has a certificate."""

    def __init__(
        self,
        certificate: trustme.LeafCert | None = None,
        answer: bytes = WELL,
        host: str = "127.0.0.1",
    ) -> None:
        self.requests: list[bytes] = []
        self.handshakes = 0
        self._certificate = certificate
        self._answer = answer
        super().__init__(self._speak, host)

    def _speak(self, sock: socket.socket) -> None:
        if self._certificate is None:
            self._reply(sock)
            return
        with wrapped(sock, self._certificate) as secured:
            self.handshakes += 1
            self._reply(secured)

    def _reply(self, sock: socket.socket) -> None:
        request = head_of(sock)
        if request:
            self.requests.append(request)
            sock.sendall(self._answer)


class Proxy(Stand):
    """An HTTP proxy: tunnels to loopback, refuses, or looks inside with a CA of its own."""

    def __init__(self, *, refuses: bytes = b"", ca: trustme.CA | None = None) -> None:
        self.requests: list[bytes] = []
        self.inside: list[bytes] = []
        self._refuses = refuses
        self._ca = ca
        super().__init__(self._speak)

    def _speak(self, sock: socket.socket) -> None:
        request = head_of(sock)
        self.requests.append(request)
        met = re.match(rb"CONNECT ([^ :]+):(\d+) HTTP/1\.1\r\n", request)
        if met is None or self._refuses:
            status = self._refuses or b"400 Bad Request"
            sock.sendall(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\n\r\n")
            return
        sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        if self._ca is not None:
            with wrapped(sock, self._ca.issue_cert(met[1].decode())) as secured:
                self.inside.append(head_of(secured))
                secured.sendall(WELL)
            return
        with socket.create_connection(("127.0.0.1", int(met[2])), PATIENCE_S) as beyond:
            back = threading.Thread(target=_pump, args=(beyond, sock), daemon=True)
            back.start()
            _pump(sock, beyond)
            back.join(PATIENCE_S)


def wrapped(sock: socket.socket, certificate: trustme.LeafCert) -> ssl.SSLSocket:
    """The server's end of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    certificate.configure_cert(context)
    return context.wrap_socket(sock, server_side=True)


def head_of(sock: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        more = sock.recv(1)
        if not more:
            return b""
        data += more
    return data


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
