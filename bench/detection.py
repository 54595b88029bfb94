"""`python -m bench.detection`: how soon outages are seen, how often falsely, how exactly placed.

Seeded simulation with known truth, told to the real `core.incident`. One person: a probe a minute
on each surface, 20 requests an hour. 1 % of samples fail, either by chance alone or partly in blips
(mean 40 s, 90 % failing, 0.3 % of the time). Seeds for choosing parameters (`--choose`) are others
than those for judging. What was never declared counts as endless.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from holdfast.app.replay import replay
from holdfast.core.incident import Incidents
from holdfast.facts.incidents import Event
from holdfast.facts.observations import Observation
from holdfast.facts.outcomes import Verdict
from holdfast.facts.pages import PageClaim

MONTH_S = 30 * 86400.0
START = 1_764_000_000.0
CHANCE, CHANCE_BESIDE_BLIPS = 0.01, 0.0073
BLIP_S, BLIP_SHARE, BLIP_FAILS = 40.0, 0.003, 0.9
BAD = Verdict(
    whose="provider", cause="provider_outage", confidence=0.8, action="fail_over", scope="model"
)
JUDGING, CHOOSING = 7_000_000, 1_000_000


class World:
    """Surfaces of one provider with their blips and, from `begins` on, an outage.

    `failing`: surface → the share that fails in the outage. `shared`: blips hit all surfaces at
    once. `sooner`: a suspicion brings a probe every 15 s for 3 min there, and one to each sibling.
    """

    def __init__(
        self,
        seed: int,
        length_s: float,
        surfaces: Sequence[str] = ("messages",),
        *,
        blips: bool = True,
        shared: bool = False,
        begins: float = math.inf,
        failing: dict[str, float] | None = None,
        sooner: bool = False,
        probe_s: float = 60.0,
        request_s: float = 180.0,
        others: Sequence[tuple[float, Observation]] = (),
    ) -> None:
        self.dice = random.Random(seed)
        self.surfaces, self.begins, self.failing = surfaces, begins, failing or {}
        self.sooner, self.length_s = sooner, length_s
        self.chance = CHANCE_BESIDE_BLIPS if blips else CHANCE
        series = list(self._blips()) if blips and shared else []
        self.blips = {
            one: list(series if shared else self._blips()) if blips else [] for one in surfaces
        }
        self.due: list[tuple[float, int, str, float | None]] = []
        for n, surface in enumerate(surfaces):
            if probe_s:
                heapq.heappush(self.due, (self.dice.random() * probe_s, n, surface, probe_s))
            if request_s:
                wait = self.dice.expovariate(1 / request_s)
                heapq.heappush(self.due, (wait, n, surface, -request_s))
        self.others = list(others)
        self.until: dict[str, float] = {}
        self.extra = 0

    def _blips(self) -> Iterator[tuple[float, float]]:
        at = 0.0
        while at < self.length_s:
            at += self.dice.expovariate(BLIP_SHARE / BLIP_S)
            long_s = self.dice.expovariate(1 / BLIP_S)
            yield at, at + long_s
            at += long_s

    def _fails(self, surface: str, at: float) -> bool:
        share = self.chance
        blips = self.blips[surface]
        while blips and blips[0][1] < at:
            blips.pop(0)
        if blips and blips[0][0] <= at:
            share = BLIP_FAILS
        if at >= self.begins:
            share = max(share, self.failing.get(surface, 0.0))
        return self.dice.random() < share

    def run(self, incidents: Incidents) -> Iterator[tuple[float, Event]]:
        """Every event with its time since the beginning, as it comes."""
        while self.due:
            at, n, surface, every = heapq.heappop(self.due)
            if at > self.length_s:
                continue
            while self.others and self.others[0][0] <= at:
                when, told = self.others.pop(0)
                for event in incidents.observe(told):
                    yield when, event
            if every is not None:
                wait = every if every > 0 else self.dice.expovariate(-1 / every)
                heapq.heappush(self.due, (at + wait, n, surface, every))
            for event in incidents.observe(sample(surface, at, ok=not self._fails(surface, at))):
                if self.sooner and event.event == "suspected":
                    self._look_closer(surface, at)
                yield at, event

    def _look_closer(self, surface: str, at: float) -> None:
        begun = self.until.get(surface, 0.0)
        step = max(at, begun) + 15.0
        while step <= at + 180.0:
            heapq.heappush(self.due, (step, 9, surface, None))
            self.until[surface] = step
            self.extra += 1
            step += 15.0
        for n, other in enumerate(self.surfaces):
            if other != surface and self.until.get(other, 0.0) < at:
                heapq.heappush(self.due, (at + 1.0 + n, 9, other, None))
                self.extra += 1


def sample(surface: str, at: float, *, ok: bool) -> Observation:
    """One attempt on a surface."""
    wall = START + at
    return Observation(
        at=wall,
        wall=wall,
        kind="probe",
        provider="p",
        surface=surface,
        model="m",
        credential="k",
        ok=ok,
        status=200 if ok else 500,
        failure_kind="" if ok else "status",
        verdict=None if ok else BAD,
    )


def page(at: float) -> tuple[float, Observation]:
    """The page admits an incident."""
    return at, Observation(
        at=START + at,
        wall=START + at,
        kind="status_page",
        provider="p",
        ok=False,
        page=PageClaim(state="incident"),
    )


def peer(name: str, at: float) -> tuple[float, Observation]:
    """Another gateway is in trouble there."""
    return at, Observation(
        at=START + at,
        wall=START + at,
        kind="peer",
        provider="p",
        surface="messages",
        peer=name,
        ok=False,
        count=5,
    )


def interval(count: int, months: float) -> str:
    """A rate with its 95 % Poisson interval (exact: Garwood 1936), by bisection."""

    def tail(mean: float, upto: int) -> float:
        term = total = math.exp(-mean)
        for n in range(1, upto + 1):
            term *= mean / n
            total += term
        return total

    def solve(holds: Callable[[float], bool]) -> float:
        low, high = 0.0, 10.0 * count + 20.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if holds(middle) else (low, middle)
        return low

    least = solve(lambda mean: tail(mean, count - 1) > 0.975) if count else 0.0
    most = solve(lambda mean: tail(mean, count) > 0.025)
    return f"{count / months:.2f} ({least / months:.2f}–{most / months:.2f})"


def falsely(seed: int, months: int, **how: object) -> tuple[int, float]:
    """False declarations in so many months without any outage, and extra probes a month."""
    count = extra = 0
    for month in range(months):
        world = World(seed + month, MONTH_S, **how)  # type: ignore[arg-type]
        count += sum(event.event == "opened" for _, event in world.run(Incidents()))
        extra += world.extra
    return count, extra / months


def delays(seed: int, trials: int, share: float, **how: object) -> tuple[list[float], list[float]]:
    """Seconds from the beginning of an outage until suspected, and until declared."""
    suspected, declared = [], []
    told: Callable[[float], list[tuple[float, Observation]]] = how.pop("told", lambda _: [])  # type: ignore[assignment]
    surfaces = how.pop("surfaces", ("messages",))
    for trial in range(trials):
        begins = 7200.0 + random.Random(seed + trial).random() * 600.0
        world = World(
            seed + trial,
            begins + 5400.0,
            surfaces,  # type: ignore[arg-type]
            begins=begins,
            failing=dict.fromkeys(surfaces, share),  # type: ignore[call-overload]
            others=told(begins),
            **how,  # type: ignore[arg-type]
        )
        first = opened = math.inf
        for at, event in world.run(Incidents()):
            if at >= begins and event.event in ("suspected", "opened"):
                first = min(first, at - begins)
                if event.event == "opened":
                    opened = at - begins
                    break
        suspected.append(first)
        declared.append(opened)
    return suspected, declared


def placed(
    seed: int, trials: int, share: float, minutes: Sequence[int], **how: object
) -> dict[int, tuple[float, float]]:
    """Precision and recall of the set of surfaces at so many minutes into an outage."""
    names = ("messages", "chat", "models")
    hits: dict[int, list[int]] = {minute: [0, 0, 0] for minute in minutes}
    for trial in range(trials):
        dice = random.Random(seed + trial)
        begins = 7200.0 + dice.random() * 600.0
        ill = set(dice.sample(names, dice.choice((1, 1, 2))))
        world = World(
            seed + trial,
            begins + max(minutes) * 60.0,
            names,
            begins=begins,
            failing=dict.fromkeys(ill, share),
            **how,  # type: ignore[arg-type]
        )
        told: list[tuple[float, set[str]]] = [(0.0, set())]
        for at, event in world.run(Incidents()):
            if event.event == "resolved":
                told.append((at, set()))
            elif event.event != "suspected":
                whole = any(segment.surface is None for segment in event.segments)
                found = {segment.surface for segment in event.segments if segment.surface}
                told.append((at, set(names) if whole else found))
        for minute, counts in hits.items():
            said = [found for at, found in told if at <= begins + minute * 60.0][-1]
            counts[0] += len(said & ill)
            counts[1] += len(said)
            counts[2] += len(ill)
    return {
        minute: (right / said if said else math.nan, right / there)
        for minute, (right, said, there) in hits.items()
    }


def team(seed: int, trials: int) -> list[float]:
    """Ten requests a second: seconds until a total failure is declared."""
    found = []
    for trial in range(trials):
        world = World(
            seed + trial,
            330.0,
            blips=False,
            begins=300.0,
            failing={"messages": 0.95},
            probe_s=0.0,
            request_s=0.1,
        )
        opened = (at for at, event in world.run(Incidents()) if event.event == "opened")
        found.append(next((at - 300.0 for at in opened if at >= 300.0), math.inf))
    return found


def folding(count: int = 100_000) -> float:
    """CPU seconds for so many observations through `holdfast replay`'s own fold, JSON included."""
    names = ("messages", "chat", "models")
    dice = random.Random(5)
    lines = []
    bad = {"body": '{"type":"error","error":{"type":"api_error","message":"Internal error"}}'}
    for n in range(count):
        ok = dice.random() > 0.01 and not 40_000 < n < 41_000
        line = {"at": START + n * 15.0, "kind": "probe", "provider": "p", "surface": names[n % 3]}
        line |= {"model": "m", "credential": "k", "ok": ok, "status": 200 if ok else 500}
        lines.append(json.dumps(line | ({} if ok else bad)).encode() + b"\n")
    began = time.process_time()
    said: list[bytes] = []
    if replay(lines, said.append, lambda text: sys.stderr.write(f"{text}\n")):
        raise RuntimeError("the benchmark's own lines were not read")
    return time.process_time() - began


def spread(seconds: list[float], unit_s: float = 60.0) -> str:
    """Median / 95th percentile."""
    ordered = sorted(seconds)
    high = ordered[min(len(ordered) - 1, math.ceil(0.95 * len(ordered)) - 1)]
    return f"{statistics.median(ordered) / unit_s:.2f} / {high / unit_s:.2f}"


def main(argv: Sequence[str]) -> int:
    """Print the figures."""
    words = argparse.ArgumentParser(prog="python -m bench.detection", description=__doc__)
    words.add_argument("--quick", action="store_true", help="a tenth of it, too little to quote")
    words.add_argument("--choose", action="store_true", help="on the seeds for choosing parameters")
    asked = words.parse_args(argv)
    seed = CHOOSING if asked.choose else JUDGING
    months, trials = (4, 40) if asked.quick else (40, 400)
    say = lambda *cells: print("| " + " | ".join(cells) + " |", flush=True)  # noqa: E731
    say("false declarations a month", f"{months} months, 95 % interval", "extra probes a month")
    say("---", "---", "---")
    for title, how in (
        ("chance only", {"blips": False}),
        ("with blips", {}),
        ("with blips, probes sooner when suspected", {"sooner": True}),
        ("three surfaces, blips of their own", {"surfaces": ("messages", "chat", "models")}),
        (
            "three surfaces, shared blips",
            {"surfaces": ("messages", "chat", "models"), "shared": True},
        ),
    ):
        count, extra = falsely(seed, months, **how)
        say(title, interval(count, months), f"{extra:.0f}")
    sys.stdout.write("\n")
    say("min to … (median / p95)", "suspected", "declared")
    say("---", "---", "---")
    for title, share, how in (
        ("all fail", 1.0, {}),
        ("95 % fail", 0.95, {}),
        ("95 %, probes sooner", 0.95, {"sooner": True}),
        ("95 %, a second surface", 0.95, {"surfaces": ("messages", "chat")}),
        ("95 %, the page after 2 min", 0.95, {"told": lambda at: [page(at + 120.0)]}),
        ("95 %, one peer", 0.95, {"told": lambda at: [peer("x", at + 45.0)]}),
        (
            "95 %, two peers",
            0.95,
            {"told": lambda at: [peer("x", at + 45.0), peer("y", at + 60.0)]},
        ),
        ("half fail", 0.5, {}),
        ("half fail, probes sooner", 0.5, {"sooner": True}),
        ("half fail, sooner, a second surface", 0.5, {"sooner": True, "surfaces": ("a", "b")}),
        ("20 % fail", 0.2, {}),
        ("20 % fail, probes sooner", 0.2, {"sooner": True}),
    ):
        suspected, declared = delays(seed + 500_000, trials, share, **how)
        say(title, spread(suspected), spread(declared))
    sys.stdout.write("\n")
    say("which of three surfaces (precision / recall)", "3 min", "5 min", "10 min")
    say("---", "---", "---", "---")
    for title, share, how in (
        ("all fail", 1.0, {}),
        ("95 % fail", 0.95, {}),
        ("95 % fail, probes sooner", 0.95, {"sooner": True}),
        ("half fail", 0.5, {}),
        ("half fail, probes sooner", 0.5, {"sooner": True}),
    ):
        found = placed(seed + 600_000, trials, share, (3, 5, 10), **how)
        say(title, *(f"{right:.3f} / {there:.2f}" for right, there in found.values()))
    sys.stdout.write("\n")
    declared = team(seed + 700_000, max(20, trials // 8))
    sys.stdout.write(f"10 requests/s, 95 % fail: declared in {spread(declared, 1.0)} s\n")
    sys.stdout.write(f"100,000 observations replayed: {folding():.2f} s CPU\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
