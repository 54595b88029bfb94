"""What it costs to say a request and a stream in another dialect, beside passing them.

`python -m bench.crossing` prints medians of CPU time for each ordered pair of dialects, and the
worst of them: of one request like a coding tool's (60 kB, 24 tools, 40 turns), and of one stream
of 500 words, cut as a network cuts it (an event a read) and in larger reads.
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

SURFACES = {dialect: speaking.SURFACE for dialect, speaking in speak.DIALECTS.items()}
READS = (1, 8, 64)  # events a read
WORDS = 500
ROUNDS = 8


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
        query="alt=sse",  # else one dialect's streams are arrays
    )


def leg(dialect: str) -> Leg:
    return Leg(target=Target("p", "m", "none"), dialect=dialect, surface=SURFACES[dialect])


def request() -> bytes:
    """60 kB of Messages, as a coding tool sends them."""
    schema = {
        "type": "object",
        "properties": {
            f"field_{n}": {"type": "string", "description": "w " * 20} for n in range(8)
        },
    }
    tools = [
        {"name": f"tool_{n}", "description": "Does a thing. " * 47, "input_schema": schema}
        for n in range(24)
    ]
    messages: list[dict[str, object]] = [{"role": "user", "content": "Fix the test. " * 30}]
    for n in range(20):
        use = {"type": "tool_use", "id": f"toolu_{n}", "name": "tool_1", "input": {"a": "b" * 60}}
        said = [{"type": "text", "text": "Let me look. " * 10}, use]
        lines = "line of it\n" * 52
        result = {"type": "tool_result", "tool_use_id": f"toolu_{n}", "content": lines}
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
    kind = speak.DIALECTS[target].STREAM
    tap = speak.tap(call(client, b"{}"), leg(target), 200, ((b"content-type", kind),))
    for data in reads:
        tap.feed(data)
    tap.close()


def requests(pairs: list[tuple[str, str]]) -> None:
    asked = {"anthropic": request()}
    for there in SURFACES:
        if there not in asked:
            asked[there] = speak.compose(call("anthropic", request()), leg(there)).body
    worst = (0.0, "")
    for here, there in pairs:
        out = call(here, asked[here])
        ms = cpu_ms(lambda out=out, there=there: speak.compose(out, leg(there)), 100)
        print(f"request {here} -> {there}: {len(out.body) / 1000:.0f} kB in {ms:.2f} ms")
        worst = max(worst, (ms, f"{here} -> {there}"))
    print(f"worst request: {worst[1]}, {worst[0]:.2f} ms")


def streams(pairs: list[tuple[str, str]]) -> None:
    worst = (0.0, "")
    for client, target in pairs:
        events = stream(target)
        for per_read in READS:
            reads = [b"".join(events[n : n + per_read]) for n in range(0, len(events), per_read)]
            # One after the other, so that whatever else the machine does falls on both.
            passed, crossed = [], []
            for _ in range(ROUNDS):
                passed.append(cpu_ms(lambda t=target, r=reads: run_tap(t, t, r), 6))
                crossed.append(cpu_ms(lambda c=client, t=target, r=reads: run_tap(c, t, r), 6))
            one, other = statistics.median(passed), statistics.median(crossed)
            print(
                f"stream {target} -> {client}, {per_read} events a read: passed {one:.2f} ms,"
                f" crossed {other:.2f} ms, {other / one:.1f} times"
            )
            worst = max(worst, (other / one, f"{target} -> {client}, {per_read} events a read"))
    print(f"worst stream: {worst[1]}, {worst[0]:.1f} times")


def main() -> None:
    pairs = list(itertools.permutations(SURFACES, 2))
    requests(pairs)
    streams(pairs)


if __name__ == "__main__":
    main()
