"""A name server on loopback (real UDP, RFC 1035), and a stub resolver that asks it."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self

Mood = Literal["answers", "silent", "fails"]
_TYPES = {1: socket.AF_INET, 28: socket.AF_INET6}


class NameServer:
    """Answers for a zone of name → addresses; or says SERVFAIL; or never says a word."""

    def __init__(self, zone: Mapping[str, Sequence[str]], mood: Mood = "answers") -> None:
        self.zone = dict(zone)
        self.mood = mood
        self.asked: list[tuple[str, int]] = []
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 0))
        self.port: int = self._sock.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join(5)
        self._sock.close()

    def _serve(self) -> None:
        while True:
            question, asker = self._sock.recvfrom(4096)
            if not question:
                return
            name, kind = _question(question)
            self.asked.append((name, kind))
            if self.mood != "silent":
                self._sock.sendto(self._answer(question, name, kind), asker)

    def _answer(self, question: bytes, name: str, kind: int) -> bytes:
        known = name in self.zone
        code = 2 if self.mood == "fails" else 0 if known else 3
        found = [
            socket.inet_pton(_TYPES[kind], address)
            for address in self.zone.get(name, ())
            if (":" in address) == (kind == 28) and not code
        ]
        head = question[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, len(found), 0, 0)
        rows = [struct.pack("!HHHIH", 0xC00C, kind, 1, 60, len(data)) + data for data in found]
        return head + question[12:] + b"".join(rows)


def _question(data: bytes) -> tuple[str, int]:
    labels, at = [], 12
    while data[at]:
        labels.append(data[at + 1 : at + 1 + data[at]].decode())
        at += 1 + data[at]
    return ".".join(labels), struct.unpack_from("!H", data, at + 1)[0]


def stub(port: int) -> Callable[[str, int, int], Awaitable[Sequence[Any]]]:
    """A lookup, family by family, that asks the name server on this port."""

    async def lookup(host: str, to_port: int, family: int) -> Sequence[Any]:
        kind = 28 if family == socket.AF_INET6 else 1
        name = b"".join(bytes([len(label)]) + label.encode() for label in host.split("."))
        asking = (
            struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + name + struct.pack("!BHH", 0, kind, 1)
        )
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.connect(("127.0.0.1", port))
            await loop.sock_sendall(sock, asking)
            answer = await loop.sock_recv(sock, 4096)
        code, count = answer[3] & 15, struct.unpack_from("!H", answer, 6)[0]
        if code == 2:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        size = 16 if kind == 28 else 4
        rows = [answer[len(asking) :][i * (12 + size) + 12 :][:size] for i in range(count)]
        if not rows:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        behind = (0, 0) if kind == 28 else ()
        return [(family, (socket.inet_ntop(family, row), to_port, *behind)) for row in rows]

    return lookup
