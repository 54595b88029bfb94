"""What it costs to say a request and a stream in another dialect, beside passing them.

`python -m bench.crossing` prints medians of CPU time: of one request like a coding tool's (60 kB,
24 tools, 40 turns), and of one stream of 500 words, cut as a network cuts it (an event a read) and
in larger reads.
"""

from __future__ import annotations

import itertools
import json
import statistics
import time
from collections.abc import Callable

from holdfast.facts.calls import Call
from holdfast.facts.flights import Leg
from holdfast.facts.outcomes import Usage
from holdfast.facts.places import Target
from holdfast.wire import speak
from holdfast.wire.deltas import BlockEnded, Opened, Stopped, TextDelta, UsageSeen

SURFACES = {"anthropic": "messages", "openai": "chat", "openai-responses": "responses"}
SSE = ((b"content-type", b"text/event-stream"),)
WORDS = 500


def call(dialect: str, body: bytes) -> Call:
    return Call(
        id="x",
        at=0.0,
        wall=1e9,
        dialect=dialect,
        surface=SURFACES[dialect],
        path="/v1/x",
        body=body,
        model="m",
        stream=True,
    )


def leg(dialect: str) -> Leg:
    return Leg(target=Target("p", "m", "none"), dialect=dialect, surface=SURFACES[dialect])


def request() -> bytes:
    """About 60 kB of Messages, as a coding tool sends them."""
    schema = {
        "type": "object",
        "properties": {
            f"field_{n}": {"type": "string", "description": "w " * 20} for n in range(8)
        },
    }
    tools = [
        {"name": f"tool_{n}", "description": "Does a thing. " * 25, "input_schema": schema}
        for n in range(24)
    ]
    messages: list[dict[str, object]] = [{"role": "user", "content": "Fix the test. " * 30}]
    for n in range(20):
        use = {"type": "tool_use", "id": f"toolu_{n}", "name": "tool_1", "input": {"a": "b" * 60}}
        said = [{"type": "text", "text": "Let me look. " * 10}, use]
        result = {"type": "tool_result", "tool_use_id": f"toolu_{n}", "content": "line\n" * 80}
        messages += [
            {"role": "assistant", "content": said},
            {"role": "user", "content": [result]},
        ]
    system = [{"type": "text", "text": "You are a tool. " * 300, "cache_control": {"type": "x"}}]
    return json.dumps(
        {
            "model": "m",
            "max_tokens": 64000,
            "stream": True,
            "system": system,
            "tools": tools,
            "messages": messages,
            "thinking": {"type": "adaptive"},
        }
    ).encode()


def cpu_ms(run: Callable[[], object], times: int) -> float:
    found = []
    for _ in range(times):
        start = time.process_time_ns()
        run()
        found.append((time.process_time_ns() - start) / 1e6)
    return statistics.median(found)


def stream(dialect: str) -> list[bytes]:
    write = speak.DIALECTS[dialect].stream_writer(b"{}", 0).write
    words = [TextDelta(0, f"word{n} ") for n in range(WORDS)]
    deltas = [Opened("id", "m"), *words, BlockEnded(0), UsageSeen(Usage(1, 2)), Stopped()]
    return [said for said in map(write, deltas) if said]


def run_tap(client: str, target: str, reads: list[bytes]) -> None:
    tap = speak.tap(call(client, b"{}"), leg(target), 200, SSE)
    for data in reads:
        tap.feed(data)
    tap.close()


def main() -> None:
    pairs = list(itertools.permutations(SURFACES, 2))
    asked = {"anthropic": request()}
    for there in SURFACES:
        if there not in asked:
            asked[there] = speak.compose(call("anthropic", request()), leg(there)).body
    for here, there in pairs:
        out = call(here, asked[here])
        ms = cpu_ms(lambda out=out, there=there: speak.compose(out, leg(there)), 200)
        print(f"request {here} -> {there}: {len(out.body) / 1000:.0f} kB in {ms:.2f} ms")
    for client, target in pairs:
        events = stream(target)
        for per_read in (1, 8, 64):
            reads = [b"".join(events[n : n + per_read]) for n in range(0, len(events), per_read)]
            passed = cpu_ms(lambda t=target, r=reads: run_tap(t, t, r), 60)
            crossed = cpu_ms(lambda c=client, t=target, r=reads: run_tap(c, t, r), 60)
            print(
                f"stream {target} -> {client}, {per_read} events a read: passed {passed:.2f} ms,"
                f" crossed {crossed:.2f} ms, {crossed / passed:.1f} times"
            )


if __name__ == "__main__":
    main()
