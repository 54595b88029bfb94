"""One connection of a double: strict HTTP/1.1 in, bytes out, and the moment the peer went.

Strict on purpose: what is ambiguous or wrong in a request is noted as a complaint, since a
gateway that sends it to a real provider would be refused or, worse, misread.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
import time

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


class AmbiguousError(Exception):
    """Bytes that are not one plain HTTP/1.1 request."""


class Wire(asyncio.Protocol):
    """Reads by need, writes with back-pressure, and notices at once that the peer has gone."""

    def __init__(self, opened: list[Wire]) -> None:
        self.closed_at: float | None = None
        self.gone = asyncio.Event()
        self.head = b""
        self._opened = opened
        self._buffer = bytearray()
        self._more = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._opened.append(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._more.set()

    def eof_received(self) -> bool:
        self._leave()
        return True  # we close when we are done with it

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._leave()
        with contextlib.suppress(ValueError):
            self._opened.remove(self)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _leave(self) -> None:
        if self.closed_at is None:
            self.closed_at = time.monotonic()
        self.gone.set()
        self._more.set()
        self._writable.set()

    @property
    def waiting(self) -> int:
        """Bytes that came and were not asked for."""
        return len(self._buffer)

    async def _fill(self) -> None:
        if self.gone.is_set():
            raise ConnectionError("the peer has gone")
        self._more.clear()
        await self._more.wait()

    async def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            await self._fill()
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    async def _line(self, end: bytes) -> bytes:
        while (at := self._buffer.find(end)) < 0:
            await self._fill()
        return (await self._take(at + len(end)))[: -len(end)]

    async def read_head(self) -> tuple[str, str, list[tuple[str, str]]]:
        """Method, target and headers (names lower case)."""
        self.head = await self._line(b"\r\n\r\n") + b"\r\n\r\n"
        first, *lines = self.head[:-4].split(b"\r\n")
        if (match := re.fullmatch(rb"([A-Z]+) (\S+) HTTP/1\.1", first)) is None:
            raise AmbiguousError(f"request line {first!r}")
        headers: list[tuple[str, str]] = []
        for line in lines:
            name, colon, value = line.partition(b":")
            if not colon or not _TOKEN.fullmatch(name) or re.search(rb"[\x00\r\n]", value):
                raise AmbiguousError(f"header line {line!r}")
            headers.append((name.decode().lower(), value.strip().decode("latin-1")))
        return match[1].decode(), match[2].decode("latin-1"), headers

    async def read_body(self, headers: list[tuple[str, str]]) -> bytes:
        """The body as its framing says; two framings, or two of one kind, are AmbiguousError."""
        lengths = [value for name, value in headers if name == "content-length"]
        codings = [value for name, value in headers if name == "transfer-encoding"]
        if len(lengths) + len(codings) > 1:
            raise AmbiguousError(f"two framings: {lengths} {codings}")
        if codings:
            if codings != ["chunked"]:
                raise AmbiguousError(f"transfer-encoding {codings}")
            return await self._chunks()
        if lengths and not re.fullmatch(r"\d+", lengths[0]):
            raise AmbiguousError(f"content-length {lengths}")
        return await self._take(int(lengths[0])) if lengths else b""

    async def _chunks(self) -> bytes:
        body = bytearray()
        while size := int(await self._line(b"\r\n"), 16):
            body += (await self._take(size + 2))[:-2]
        await self._line(b"\r\n")
        return bytes(body)

    async def send(self, data: bytes) -> None:
        if self.gone.is_set() or self.transport.is_closing():
            raise ConnectionError("the peer has gone")
        self.transport.write(data)
        await self._writable.wait()

    def break_off(self, *, rst: bool) -> None:
        """End the connection: RST, or FIN behind what was written."""
        if rst:
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
        else:
            self.transport.close()
