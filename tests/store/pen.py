"""A process that writes a ledger and may be killed: `python -m tests.store.pen DIR HOW NAME`.

It tells on its standard output what it was promised, one line each, at once, in one write:
`ready`; `intent ID` when `intend` returned True; `end ID` when a settlement was flushed; `kept N`
when the observations up to the nth were.
"""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

from tests.store.records import eventually, exchange, incident, intent, observation, settled

from holdfast.store.ledger import Ledger

ROOT = Path(__file__).parents[2]


def spawn(data_dir: Path, how: str, name: str) -> subprocess.Popen[bytes]:
    """Start such a process; its standard output is a pipe."""
    command = [sys.executable, "-m", "tests.store.pen", str(data_dir), how, name]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)


def say(line: str) -> None:
    os.write(1, line.encode() + b"\n")


def scribble(ledger: Ledger, name: str) -> None:
    """Write calls until somebody kills us; each settlement is promised by a flush or not at all."""
    dice = random.Random(name)
    open_ends: list[str] = []
    number = 0
    while True:
        number += 1
        call = f"{name}-{number}"
        for attempt in range(1, dice.choice((1, 1, 2, 3)) + 1):
            if ledger.intend(intent(call, attempt, wall=time.time())):
                say(f"intent {call}.{attempt}")
            if dice.random() < 0.7:
                ledger.settle(settled(call, attempt))
                open_ends.append(f"{call}.{attempt}")
        if dice.random() < 0.5:
            ledger.record(exchange(call))
        if dice.random() < 0.01 and ledger.flush():
            for ended in open_ends:
                say(f"end {ended}")
            open_ends.clear()
        time.sleep(dice.random() * 0.001)


def note(ledger: Ledger, name: str) -> None:
    """Observe until somebody kills us; from `name` on, which is where the last one had got to."""
    dice = random.Random(name)
    number = int(name)
    while True:
        batch = range(number + 1, number + dice.choice((2, 2, 5, 60)))
        number = batch[-1]
        ledger.observe([observation(n, ok=n % 3 > 0, wall=time.time()) for n in batch])
        ledger.remember([incident(n, since=time.time()) for n in batch if n % 7 == 0])
        if dice.random() < 0.05 and ledger.flush():
            say(f"kept {number}")
        time.sleep(dice.random() * 0.001)


def fill(ledger: Ledger, name: str) -> None:
    """Let the disk run full, go on, have it emptied again; then close. The end is `well`."""
    crowd(ledger, name)
    alarms = ledger.alarms
    assert any("ledger" in alarm for alarm in alarms), alarms
    assert any("journal" in alarm for alarm in alarms), alarms
    assert ledger.backlog > 0
    limit_files(resource.RLIM_INFINITY)
    eventually(ledger.flush)
    assert ledger.alarms == ()
    assert ledger.backlog == 0
    ledger.intend(intent(f"{name}-after"))
    ledger.settle(settled(f"{name}-after"))
    ledger.close()
    say("well")


def crowd(ledger: Ledger, name: str) -> None:
    """Write with a limit on the size of files (a full disk) until nothing is taken any more."""
    ledger.intend(intent(f"{name}-before"))
    assert ledger.flush()
    limit_files(int(name))
    refused = 0
    number = 0
    while refused < 50:
        number += 1
        call = f"{name}-{number}"
        if ledger.intend(intent(call)):
            say(f"intent {call}.1")
        else:
            refused += 1
        ledger.settle(settled(call))
        ledger.record(exchange(call))
        ledger.observe([observation(number, ok=number % 2 == 0)])
        ledger.remember([incident(number)])
    eventually(lambda: len(ledger.alarms) == 2)
    assert not ledger.flush()
    say("full")


def limit_files(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def main() -> None:
    data_dir, how, name = sys.argv[1:]
    ledger = Ledger.open(Path(data_dir))
    say("ready")
    if how == "scribble":
        scribble(ledger, name)
    elif how == "note":
        note(ledger, name)
    elif how == "fill":
        fill(ledger, name)
    elif how == "crowd":
        crowd(ledger, name)
        time.sleep(60)  # until we are killed
    elif how == "hold":
        sys.stdin.read()


if __name__ == "__main__":
    main()
