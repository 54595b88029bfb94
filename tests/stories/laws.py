"""What must hold of every run, whatever failed in it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.stories.tellings import Night

from holdfast.core.incident import Incidents
from holdfast.sim.invented import expected_text
from holdfast.sim.timeline import TALK
from holdfast.sim.trace import Told, Trace
from holdfast.sim.world import WALL_0, World
from holdfast.store.ledger import Ledger
from holdfast.store.query import Reader

ATTEMPTS_MAX = 4
# What opens an answer; said twice, two answers were mixed.
OPENINGS = {
    "anthropic": b"event: message_start",
    "openai": b'"role":"assistant"',
    "openai-responses": b"event: response.created",
}
# Attempts that end like this need not have reached the provider.
NOT_REACHED = ("refused", "connect_timeout", "stale")


def broken_laws(world: World, trace: Trace) -> list[str]:
    """Each breach in a sentence; empty where all is well."""
    return [*_endings(world, trace), *_answers(trace), *_ledger(trace), *_rests(trace)]


def replays(night: Night, folder: Path) -> None:
    """Folding the journal again, written down and read back, gives the live view."""
    ledger = Ledger.open(folder / "journal")
    ledger.observe(night.journal)
    ledger.close()
    again = Incidents()
    for obs in Reader(folder / "journal").observations():
        again.observe(obs)
    assert again.view() == night.incidents


def _endings(world: World, trace: Trace) -> list[str]:
    """Every call ends, once, after four attempts at most."""
    found = [f"{id_} never ended" for id_ in world.flying]
    landed = Counter(trace.landed)
    found += [f"{id_} ended {landed[id_]} times" for id_ in trace.flew if landed[id_] != 1]
    dialled = Counter(d.id.partition(".")[0] for d in trace.dialled)
    found += [f"{id_} made {n} attempts" for id_, n in dialled.items() if n > ATTEMPTS_MAX]
    listening = Counter((told.asking, told.retry) for told in trace.told)
    found += [f"{asking} was told {n} endings" for (asking, _), n in listening.items() if n > 1]
    return found


def late(trace: Trace, longest_s: float) -> list[str]:
    """Calls that took longer than any may."""
    return [f"{t.id} took {t.took_s:.1f} s" for t in trace.told if t.took_s > longest_s]


def not_back(trace: Trace, first: str, from_s: float) -> list[str]:
    """Regular calls from then on that the first choice did not answer."""
    return [
        f"{t.id} at {t.at_s:.1f} was served by {t.served_by or 'nobody'}"
        for t in trace.told
        if t.at_s >= from_s
        and t.asking.words.startswith("regular")
        and t.served_by.partition("/")[0] != first
    ]


def _answers(trace: Trace) -> list[str]:
    return [f"{told.id}: {wrong}" for told in trace.told if (wrong := wrong_answer(told))]


def wrong_answer(told: Told) -> str:
    """What is wrong with what one client was told: lost, doubled, or ended too nicely."""
    if told.status >= 400:
        if told.how == "clean" and not told.body:
            return f"{told.status} without a word"
        return f"{told.status} with text" if told.text else ""
    if told.status == 0:
        return "a clean end without an answer" if told.how == "clean" else ""
    if told.asking.asked_surface not in TALK:
        return ""
    opening = OPENINGS.get(told.asking.dialect)
    if opening is not None and told.body.count(opening) > 1:
        return "it was begun twice"
    whole = expected_text(told.asking.body(), told.served_by.partition("/")[0])
    if not whole.startswith(told.text):
        return f"{told.text!r} is no beginning of {whole!r}"
    if told.how == "clean" and told.text != whole:
        return f"a clean end after {len(told.text)} of {len(whole)} characters"
    if told.how == "clean" and told.error:
        return f"a clean end behind an error: {told.error}"
    if told.how == "broken" and told.asking.stream and not told.error:
        return "broken off without a word"
    return ""


def _ledger(trace: Trace) -> list[str]:
    """What was intended, what was settled and what the providers saw are the same attempts."""
    intended = list(trace.intents)
    dialled = [d.id for d in trace.dialled]
    saw = Counter(seen.id for seen in trace.saw)
    found = [f"{id_} was settled twice" for id_ in trace.settled_twice]
    if intended != dialled:
        found.append("not every attempt was written down before it left, or one that did not")
    if set(intended) != set(trace.settled):
        found.append(f"not settled: {set(intended) ^ set(trace.settled)}")
    found += [f"{id_} was seen {n} times" for id_, n in saw.items() if n > 1]
    found += [f"{id_} was seen and never intended" for id_ in saw if id_ not in trace.intents]
    for id_, settled in trace.settled.items():
        excused = settled.failure_kind in NOT_REACHED or settled.outcome == "abandoned"
        if id_ not in saw and not excused:
            found.append(f"{id_} ended as {settled.outcome} and reached nobody")
    return found


def _rests(trace: Trace) -> list[str]:
    """Who rests is left alone: but for one trial at a time, a retry, and the last resort."""
    plain = [d for d in trace.dialled if not d.fresh and not d.last_resort]
    found = [f"{d.id} asked {d.target} at {d.at_s:.3f}, at rest" for d in plain if d.rested]
    trials: dict[tuple[str, str], float] = {}
    for d in plain:
        if not d.trial:
            continue
        of = (d.target, trace.intents[d.id].surface)
        if d.at_s < trials.get(of, 0.0):
            found.append(f"{d.id} was a second trial of {d.target} at {d.at_s:.3f}")
        trials[of] = trace.vouched.get(d.id, trace.settled[d.id].wall - WALL_0)
    return found


def _target(trace: Trace, id_: str) -> str:
    intent = trace.intents[id_]
    return f"{intent.provider}/{intent.model}"
