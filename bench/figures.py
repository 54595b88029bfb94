"""The figures: what is done to each system, round by round, and what becomes of the numbers."""

from __future__ import annotations

import compileall
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bench import kernel
from bench.load import Job, Result
from bench.systems import FAULTS, FAULTS_MAX, ROOT, Cores, Provider, System, faulty

JOB_S = 400.0
DIRECT, NGINX, HOLDFAST = "direct", "nginx", "holdfast"
REQUESTS = "ms CPU / 1,000 requests"


class Row(msgspec.Struct):
    """One line of the table: for each system its value in each round, in the row's unit.

    `limit` is the target: of the ratio to nginx where `against_nginx`, else of holdfast's value.
    """

    title: str
    unit: str
    limit: float | None = None
    against_nginx: bool = False
    values: dict[str, list[float]] = {}
    note: str = ""

    def add(self, system: str, value: float) -> None:
        self.values.setdefault(system, []).append(value)

    def median(self, system: str) -> float | None:
        found = self.values.get(system)
        return statistics.median(found) if found else None

    @property
    def ratios(self) -> list[float]:
        """holdfast to nginx, pair by pair: the machine's moods are the same in each."""
        ours, theirs = self.values.get(HOLDFAST, []), self.values.get(NGINX, [])
        return [our / their for our, their in zip(ours, theirs, strict=False) if their]

    @property
    def ratio(self) -> float | None:
        return statistics.median(self.ratios) if self.ratios else None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none, or nothing to judge by."""
        value = self.ratio if self.against_nginx else self.median(HOLDFAST)
        return None if value is None or self.limit is None else value <= self.limit


class Bench:
    """The systems under test, how much is to be done, and whom to tell how far it is."""

    def __init__(
        self,
        systems: list[System],
        provider: Provider,
        cores: Cores,
        *,
        quick: bool,
        say: Callable[[str], None],
    ) -> None:
        self.systems = systems
        self.quick = quick
        self.say = say
        self.trouble: list[str] = []
        self._provider = provider
        self._cores = cores

    @property
    def gateways(self) -> list[System]:
        """The systems that stand between client and provider."""
        return [system for system in self.systems if system.name != DIRECT]

    def pin(self, *, split: bool) -> None:
        """Lay out the cores for what is started next."""
        (self._cores.split if split else self._cores.free)(self._provider.pid)

    @contextmanager
    def up(self, systems: list[System], *, split: bool = True) -> Iterator[None]:
        """These systems, started anew and all at once."""
        self.pin(split=split)
        try:
            for system in systems:
                system.start()
            yield
        finally:
            for system in systems:
                system.stop()

    def do(self, system: System, job: Job) -> Result:
        """Have one job done by a load generator of its own."""
        job = msgspec.structs.replace(job, port=system.port, pids=system.pids())
        done = subprocess.run(
            [sys.executable, "-m", "bench.load", msgspec.json.encode(job).decode()],
            cwd=ROOT,
            capture_output=True,
            timeout=JOB_S,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"the load generator failed:\n{done.stderr.decode()}")
        result = msgspec.json.decode(done.stdout, type=Result)
        if result.errors:
            self.trouble.append(f"{system.name}: {result.errors} errors in {job.kind}")
        return result

    def rounds(self, title: str, count: int, systems: list[System], one: Round) -> None:
        """Each system once a round, the first one another each time."""
        for number in range(count):
            for step in range(len(systems)):
                system = systems[(number + step) % len(systems)]
                self.say(f"{title}: round {number + 1} of {count}, {system.name}")
                one(system)


Round = Callable[[System], None]


def _cpu(bench: Bench, row: Row, job: Job, rounds: int) -> list[Row]:
    """CPU of each system for a thousand of what the job does."""

    def one(system: System) -> None:
        result = bench.do(system, job)
        row.add(system.name, result.cpu_s / max(1, result.done) * 1e6)

    with bench.up(bench.gateways):
        bench.rounds(row.title, rounds, bench.gateways, one)
    return [row]


def small(bench: Bench) -> list[Row]:
    row = Row("requests of 2 kB", REQUESTS, 3.0, against_nginx=True)
    job = Job("whole", 0, count=2000 if bench.quick else 6000, size=2000)
    return _cpu(bench, row, job, 3 if bench.quick else 9)


def large(bench: Bench) -> list[Row]:
    row = Row("requests of 60 kB", REQUESTS, 4.0, against_nginx=True)
    job = Job("whole", 0, count=1000 if bench.quick else 3000, size=60_000)
    return _cpu(bench, row, job, 3 if bench.quick else 9)


def calm(bench: Bench) -> list[Row]:
    """The same at a rate that both can keep: more system calls each, for everybody."""
    row = Row("requests of 2 kB, 1,000 a second", REQUESTS, against_nginx=True)
    job = Job("whole", 0, count=600 if bench.quick else 2000, size=2000, rate=1000.0)
    return _cpu(bench, row, job, 3 if bench.quick else 5)


def events(bench: Bench) -> list[Row]:
    row = Row("events of 100 streams", "ms CPU / 1,000 events", 3.0, against_nginx=True)
    job = Job("paced", 0, count=100, events=50 if bench.quick else 150, gap_ms=20)
    return _cpu(bench, row, job, 3 if bench.quick else 7)


def latency(bench: Bench) -> list[Row]:
    """The median at 20 requests a second, less that of asking the provider directly."""
    seen = Row("median at 20 requests/s", "ms")
    added = Row("added to it over direct", "ms", 1.0)
    job = Job("whole", 0, count=20 if bench.quick else 60, warm=5, connections=1, rate=20.0)

    def one(system: System) -> None:
        seen.add(system.name, bench.do(system, job).p50_ms)

    with bench.up(bench.systems, split=False):
        bench.rounds(seen.title, 3 if bench.quick else 5, bench.systems, one)
    for system in bench.gateways:
        pairs = zip(seen.values[system.name], seen.values[DIRECT], strict=True)
        added.values[system.name] = [through - straight for through, straight in pairs]
    return [seen, added]


def standin(bench: Bench) -> list[Row]:
    """First content of the stand-in after a hard failure, less the stand-in's own."""
    ours = [system for system in bench.gateways if system.name == HOLDFAST]
    rows = []
    count = 5 if bench.quick else FAULTS_MAX
    with bench.up(ours, split=False):
        for system in ours:
            bench.say("stand-in: its own time to first content")
            own = bench.do(system, Job("first", 0, models=["claude-haiku-5"] * (count + 2)))
            base = statistics.median(own.times_ms[2:])
            for fault in FAULTS:
                row = Row(f"stand-in's first content, first choice {fault}", "ms later", 50.0)
                bench.say(row.title)
                models = [faulty(fault, number) for number in range(count)]
                came = bench.do(system, Job("first", 0, models=models))
                row.values[HOLDFAST] = [took - base for took in came.times_ms]
                row.note = f"slowest {max(row.values[HOLDFAST], default=0.0):.1f}"
                rows.append(row)
    return rows


def memory(bench: Bench) -> list[Row]:
    """What open streams cost, on a system that has just been started."""
    streams = 500 if bench.quick else 5000
    idle = Row("memory when idle", "MB")
    each = Row(f"memory at {streams:,} open streams", "MB / 1,000 streams", 15.0)
    for system in bench.gateways:
        bench.say(f"{each.title}: {system.name}")
        with bench.up([system]):
            bench.do(system, Job("whole", 0, count=200))  # what is made once, is made now
            before = kernel.rss_mb(system.pids())
            during = bench.do(system, Job("hold", 0, count=streams))
            idle.add(system.name, before)
            each.add(system.name, (during.rss_mb - before) / max(1, during.done) * 1000)
    return [idle, each]


def start(bench: Bench) -> list[Row]:
    row = Row("from start to ready", "s", 1.0)

    def one(system: System) -> None:
        try:
            row.add(system.name, system.start())
        finally:
            system.stop()

    bench.pin(split=True)
    bench.rounds(row.title, 2 if bench.quick else 5, bench.gateways, one)
    return [row]


def installed(bench: Bench) -> list[Row]:
    """The packages of a virtual environment as `make up` makes it: run-time dependencies alone."""
    row = Row("installed, our own code included", "MB", 60.0)
    bench.say(f"{row.title}: making a virtual environment")
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        done = subprocess.run([sys.executable, "-m", "venv", folder], check=False)
        pip = [f"{folder}/bin/python", "-m", "pip", "--disable-pip-version-check", "--quiet"]
        lock = str(ROOT / "requirements" / "run.txt")
        if not done.returncode:
            done = subprocess.run(
                [*pip, "install", "--require-hashes", "-r", lock], capture_output=True, check=False
            )
        if done.returncode:
            bench.trouble.append("installed: pip could not install the locked dependencies")
            return []
        # As `make up` does: what old Pythons add to a new environment, and nothing here needs.
        unwanted = [*pip, "uninstall", "--yes", "setuptools"]
        subprocess.run(unwanted, capture_output=True, check=False)
        packages = next(Path(folder).glob("lib/python*/site-packages"))
        ours, stale = packages / "holdfast", shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "src" / "holdfast", ours, ignore=stale)
        compileall.compile_dir(ours, quiet=1)
        row.add(HOLDFAST, _size_mb(packages))
        own = sum(_size_mb(part) for part in packages.glob("pip*"))
        row.note = f"{own:.0f} of them pip's own"
    return [row]


def _size_mb(path: Path) -> float:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_blocks * 512 for file in files) / 1e6


FIGURES: dict[str, Callable[[Bench], list[Row]]] = {
    "small": small,
    "large": large,
    "calm": calm,
    "events": events,
    "latency": latency,
    "standin": standin,
    "memory": memory,
    "start": start,
    "installed": installed,
}
