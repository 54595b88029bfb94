"""The load generator: raw protocols, prebuilt bytes, kept connections.

`python -m bench.load JSON` does one `Job` and prints its `Result`. It reads the CPU of the system
under test itself, at the first and the last moment of the measured window.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections import deque
from contextlib import suppress
from typing import Literal

import msgspec
import uvloop

from bench import canned, kernel

HOLD_S = 120.0  # a stream that has not begun by then never will


class Job(msgspec.Struct):
    """What to do. `rate` per second, 0 for flat out; `pids` is the system under test."""

    kind: Literal["whole", "paced", "hold", "first"]
    port: int
    pids: list[int] = []
    connections: int = 32
    count: int = 1000
    warm: int = 200
    rate: float = 0.0
    size: int = 2000
    events: int = 100
    gap_ms: int = 20
    models: list[str] = []


class Result(msgspec.Struct):
    """`cpu_s` over the window; `done` requests or events in it; times in milliseconds."""

    done: int = 0
    errors: int = 0
    cpu_s: float = 0.0
    seconds: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    rss_mb: float = 0.0
    times_ms: list[float] = []


class Line(asyncio.Protocol):
    """One connection to the system under test, one request at a time."""

    __slots__ = ("buffer", "crew", "ends", "events", "first", "sent", "streamed", "transport")

    def __init__(self, crew: Crew) -> None:
        self.crew = crew
        self.buffer = b""
        self.ends = 0
        self.streamed = False
        self.events = 0
        self.sent = 0.0
        self.first = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def ask(self, request: bytes, at: float) -> None:
        self.sent, self.first, self.ends, self.streamed, self.events = at, 0.0, 0, False, 0
        self.buffer = b""
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self.streamed:
            self.take(data)
            return
        data = self.buffer + data if self.buffer else data
        self.buffer = data
        if not self.ends:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                return
            head = data[:end].lower()
            if not head.startswith(b"http/1.1 200"):
                self.crew.failed(self)
                return
            at = head.find(b"content-length:")
            if at < 0:
                self.streamed = True
                self.buffer = b""
                self.take(data[end + 4 :])
                return
            self.ends = end + 4 + int(head[at + 15 : at + 26].split(b"\r", 1)[0])
        if len(data) >= self.ends:
            self.crew.done(self)

    def take(self, data: bytes) -> None:
        """Bytes of a chunked stream: count the events, notice the first content and the end."""
        found = data.count(b"event: content_block_delta")
        if found:
            self.events += found
            if not self.first:
                self.first = time.perf_counter()
                self.crew.began(self)
        if data.endswith(b"0\r\n\r\n"):
            self.crew.done(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - gone is gone
        self.crew.lost(self)


class Crew:
    """All connections of one job."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.result = Result()
        self.idle: deque[Line] = deque()
        self.lines: list[Line] = []
        self.times: list[float] = []
        self.finished = asyncio.Event()
        self.left = 0
        self.to_send = 0
        self.request = b""
        self.waits = False
        self.over = False

    async def connect(self, count: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(count):
            _, line = await loop.create_connection(lambda: Line(self), "127.0.0.1", self.job.port)
            self.idle.append(line)
            self.lines.append(line)

    def done(self, line: Line) -> None:
        now = time.perf_counter()
        self.times.append(now - line.sent)
        self.result.done += 1 if self.job.kind == "whole" else line.events
        self.settle(line, now)

    def settle(self, line: Line, now: float) -> None:
        self.left -= 1
        if self.left <= 0:
            self.finished.set()
        if self.job.rate == 0 and self.to_send > 0:
            self.to_send -= 1
            line.ask(self.request, now)
        else:
            self.idle.append(line)

    def began(self, line: Line) -> None:
        if self.waits:
            self.times.append(line.first - line.sent)
            self.left -= 1
            if self.left <= 0:
                self.finished.set()

    def failed(self, line: Line) -> None:
        self.result.errors += 1
        self.settle(line, time.perf_counter())

    def lost(self, line: Line) -> None:
        if line.sent and not self.over and line not in self.idle:
            self.result.errors += 1
            self.left -= 1
            if self.left <= 0:
                self.finished.set()

    async def flat_out(self, count: int) -> None:
        """Every connection asks again as soon as it has its answer."""
        self.left, self.finished = count, asyncio.Event()
        now = time.perf_counter()
        first = min(count, len(self.idle))
        self.to_send = count - first
        for line in [self.idle.popleft() for _ in range(first)]:
            line.ask(self.request, now)
        await self.finished.wait()

    async def at_rate(self, count: int, rate: float) -> None:
        """Requests leave when they are due, whether or not earlier ones have come back."""
        self.left, self.finished = count, asyncio.Event()
        start, sent = time.perf_counter(), 0
        while sent < count:
            now = time.perf_counter()
            while sent < count and self.idle and start + sent / rate <= now:
                self.idle.popleft().ask(self.request, time.perf_counter())
                sent += 1
            if sent < count:
                await asyncio.sleep(max(0.0005, start + sent / rate - time.perf_counter()))
        await self.finished.wait()

    def close(self) -> None:
        self.over = True
        for line in self.lines:
            line.transport.abort()


async def whole(job: Job) -> Result:
    """Answers in one piece: CPU for each thousand, and the latency seen here."""
    crew = Crew(job)
    crew.request = canned.request(f"127.0.0.1:{job.port}", job.size)
    await crew.connect(job.connections)
    rate, crew.job.rate = job.rate, 0.0
    await crew.flat_out(job.warm)
    crew.job.rate = rate
    crew.times.clear()
    crew.result = Result(errors=crew.result.errors)
    start, cpu = time.perf_counter(), kernel.cpu_s(job.pids)
    await (crew.at_rate(job.count, rate) if rate else crew.flat_out(job.count))
    return _finish(crew, start, cpu)


async def paced(job: Job) -> Result:
    """`count` streams at once, each event relayed when it comes: CPU for each thousand events."""
    crew = Crew(job)
    mode = f"paced:{job.events}:{job.gap_ms}"
    crew.request = canned.request(f"127.0.0.1:{job.port}", job.size, mode, stream=True)
    await crew.connect(job.count)
    crew.left = job.count
    start, cpu = time.perf_counter(), kernel.cpu_s(job.pids)
    for line in list(crew.idle):
        crew.idle.popleft()
        line.ask(crew.request, time.perf_counter())
        await asyncio.sleep(job.gap_ms / 1000 / job.count)  # spread over the beat
    await crew.finished.wait()
    return _finish(crew, start, cpu)


async def hold(job: Job) -> Result:
    """`count` streams open at once: the memory of the system under test while they are."""
    crew = Crew(job)
    crew.waits = True
    crew.request = canned.request(f"127.0.0.1:{job.port}", job.size, "hold", stream=True)
    crew.left = job.count
    start, cpu = time.perf_counter(), kernel.cpu_s(job.pids)
    for _ in range(job.count):
        await crew.connect(1)
        crew.idle.pop().ask(crew.request, time.perf_counter())
    with suppress(TimeoutError):
        await asyncio.wait_for(crew.finished.wait(), HOLD_S)
    await asyncio.sleep(1)
    crew.result.rss_mb = kernel.rss_mb(job.pids)
    crew.result.done = sum(1 for line in crew.lines if line.first)
    crew.result.errors = job.count - crew.result.done
    return _finish(crew, start, cpu)


async def first(job: Job) -> Result:
    """One stream after the other, one for each model: the time to its first content."""
    crew = Crew(job)
    start, cpu = time.perf_counter(), kernel.cpu_s(job.pids)
    for model in job.models:
        crew.request = canned.request(
            f"127.0.0.1:{job.port}", job.size, "paced:1:1", stream=True, model=model
        )
        if not crew.idle:
            await crew.connect(1)
        crew.left, crew.finished = 1, asyncio.Event()
        line = crew.idle.popleft()
        line.ask(crew.request, time.perf_counter())
        await crew.finished.wait()
        if line.first:
            crew.result.times_ms.append((line.first - line.sent) * 1000)
        await asyncio.sleep(0.02)
    return _finish(crew, start, cpu)


def _finish(crew: Crew, start: float, cpu: float) -> Result:
    result = crew.result
    result.cpu_s = kernel.cpu_s(crew.job.pids) - cpu
    result.seconds = time.perf_counter() - start
    if crew.times:
        result.p50_ms = statistics.median(crew.times) * 1000
        result.p99_ms = sorted(crew.times)[int(len(crew.times) * 0.99)] * 1000
    crew.close()
    return result


JOBS = {"whole": whole, "paced": paced, "hold": hold, "first": first}


def main() -> None:
    job = msgspec.json.decode(sys.argv[1], type=Job)
    print(msgspec.json.encode(uvloop.run(JOBS[job.kind](job))).decode())


if __name__ == "__main__":
    main()
