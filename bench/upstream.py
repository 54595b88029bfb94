"""The canned provider: as little work as Python allows, so that it does not distort.

`python -m bench.upstream PORT`. The header `x-bench` says what to do: `whole` (one JSON answer),
`paced:N:MS` (N events, one every MS milliseconds), `hold` (the opening and one event, then the
stream stays open). Under the prefix `/down` everything is answered 529.
"""

from __future__ import annotations

import asyncio
import sys

import uvloop

from bench import canned


class Canned(asyncio.Protocol):
    """One connection; requests come one after the other, with a Content-Length."""

    __slots__ = ("buffer", "events", "gap_s", "loop", "missing", "mode", "transport")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.buffer = b""
        self.missing = 0
        self.mode = b"whole"
        self.events = 0
        self.gap_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if self.missing:
            self.missing -= len(data)
            if self.missing <= 0:
                self.answer()
            return
        data = self.buffer + data if self.buffer else data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self.buffer = data
            return
        self.buffer = b""
        head = data[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 : at + 26].split(b"\r", 1)[0]) if at >= 0 else 0
        at = head.find(b"x-bench:")
        self.mode = head[at + 8 :].split(b"\r", 1)[0].strip() if at >= 0 else b"whole"
        if head.startswith(b"post /down"):
            self.mode = b"down"
        self.missing = length - (len(data) - end - 4)
        if self.missing <= 0:
            self.answer()

    def answer(self) -> None:
        self.missing = 0
        if self.mode == b"whole":
            self.transport.write(canned.WHOLE)
        elif self.mode == b"down":
            self.transport.write(canned.OVERLOADED)
        elif self.mode == b"hold":
            self.transport.write(canned.STREAM_HEAD + canned.OPENING + canned.DELTA)
        else:
            _, events, gap_ms = self.mode.split(b":")
            self.events, self.gap_s = int(events), int(gap_ms) / 1000
            self.transport.write(canned.STREAM_HEAD + canned.OPENING + canned.DELTA)
            self.loop.call_later(self.gap_s, self.tick)

    def tick(self) -> None:
        if self.transport.is_closing():
            return
        self.events -= 1
        if self.events <= 0:
            self.transport.write(canned.ENDING)
            return
        self.transport.write(canned.DELTA)
        self.loop.call_later(self.gap_s, self.tick)


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Canned(loop), "127.0.0.1", port, backlog=8192)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
