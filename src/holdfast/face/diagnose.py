"""`holdfast diagnose`: is it them or is it me? A pasted error, records as JSON Lines, or now."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO

import msgspec
from msgspec import Struct

from holdfast.app.diagnosis import UNHEARD_OF, Diagnosis, MalformedError, of_paste
from holdfast.config.catalogue import catalogue
from holdfast.config.problems import ConfigError
from holdfast.config.read import Config, glance
from holdfast.core.letters import plain
from holdfast.core.serving import THEIRS, YOURS
from holdfast.face.line import parts
from holdfast.face.reading import ask, at_a_glance, fail, joined, not_running, say_json, span
from holdfast.facts.network import Climb, Step
from holdfast.facts.outcomes import Verdict

LINE_MAX = 8_000_000
PASTE_MAX = 1_000_000
WELL, THEM, YOU, MIXED, UNKNOWN = 0, 10, 11, 12, 13
SENTENCES = {
    WELL: "All is well, as far as can be seen from here.",
    THEM: "It is them, not you.",
    YOU: "It is on your side.",
    MIXED: "Some of it is them, some of it is on your side.",
    UNKNOWN: "Whose fault it is is not clear yet.",
}
MATTER = {
    "provider": "the provider's fault",
    "account": "a matter of the account or its key",
    "request": "a matter of this request",
    "network": "the network between this machine and the provider",
    "local": "this machine: an engine or a tool on it",
    "intermediary": "a relay, proxy or gateway in between",
}
TO_DO = {
    "retry_same": "Ask the same once more; it is likely to pass.",
    "fail_over": "Use another provider or model for now; nothing has to be changed here.",
    "wait_retry_after": "Wait as long as the answer says, then ask again.",
    "surface_to_user": "Change the request: sent as it is, it will fail anywhere.",
    "fail_over_and_tell_user": "Go on with another provider, and see to this one meanwhile.",
    "shrink_or_larger_context": "Shorten the conversation, or use a model with a larger window.",
}
HOLD = "Change no key and log out of nothing for this alone."


class Finding(Struct, frozen=True):
    """What one look says: whose it is as an exit status, and why; of the network, how it went."""

    blame: int
    because: tuple[str, ...]
    steps: tuple[str, ...] = ()
    climbs: tuple[Climb, ...] = ()


def command(words: argparse.Namespace) -> int:
    """10 it is them, 11 it is you, 12 mixed, 13 unknown; of records 0, or 1 if one was no record.

    A live check gives 0 where all is well.
    """
    if words.jsonl:
        return records(sys.stdin.buffer, sys.stdout.buffer)
    pasted = given(asked=words.source == "-")
    if not pasted and words.source == "-":
        return fail("no error was given to read.", as_json=words.json, status=2)
    if pasted and words.config is None:
        return paste(pasted, _config_if_any(), words)
    config = at_a_glance(words)
    if config is None:
        return 2
    return paste(pasted, config, words) if pasted else live(config, words)


def given(*, asked: bool) -> str:
    """The error on standard input. `asked`: also wait for one that is pasted at a terminal."""
    if sys.stdin.isatty():
        if not asked:
            return ""
        sys.stderr.write("Paste the error, then press Ctrl-D on a line of its own.\n")
    return sys.stdin.read(PASTE_MAX).strip()


def _config_if_any() -> Config | None:
    """A pasted error can be judged without: on a machine where nothing is set up yet."""
    try:
        return glance(None, os.environ)
    except ConfigError:
        return None


# --- records ------------------------------------------------------------------------------


def records(source: BinaryIO, sink: BinaryIO) -> int:
    """One answer for each record, in order, each written out at once. 1 if a line was no record."""
    diagnosis = Diagnosis(catalogue())
    encode = msgspec.json.encode
    status = 0
    for number, line in enumerate(iter(lambda: source.readline(LINE_MAX + 1), b""), 1):
        whole = line.endswith(b"\n")
        if not line.strip():
            continue
        _skip_rest(source, line)
        try:
            answer: object = diagnosis.answer(line, time.time())
        except MalformedError as error:
            status = 1
            answer = {"id": None, "error": f"line {number} was left out: {error}"}
            if not whole:
                sys.stderr.write(
                    f"holdfast: line {number}, the last, is torn (no line end): the writer was"
                    " stopped in the middle of it, or is not done. All before it is answered.\n"
                )
        sink.write(encode(answer) + b"\n")
        sink.flush()
    return status


def _skip_rest(source: BinaryIO, line: bytes) -> None:
    """Of a line beyond all bounds only the beginning is kept: it will be no JSON."""
    while len(line) > LINE_MAX and not line.endswith(b"\n"):
        line = source.readline(LINE_MAX + 1)


# --- a pasted error -----------------------------------------------------------------------


def paste(text: str, config: Config | None, words: argparse.Namespace) -> int:
    """The verdict on an error that somebody met, with what the running gateway knows."""
    board = ask(config, "/-/status.json") if config is not None else None
    told = of_paste(text, catalogue(), board, time.time())
    verdict = told.verdict
    blame = _blame(verdict, trouble_there=told.trouble_there)
    if words.json:
        say_json(
            {**msgspec.to_builtins(verdict), "blame": blame, "provider": told.provider or None}
        )
        return blame
    lines = [SENTENCES[blame], *_likely(verdict), ""]
    lines += [f"  · {reason}" for reason in verdict.because]
    if config is None:
        lines.append("  · no gateway was asked: there is no configuration that can be read")
    elif board is None:
        lines.append(f"  · {not_running(config)} (it would know what else fails)")
    elif not told.provider:
        lines.append("  · the text names no provider that the gateway could be asked about")
    if verdict is not UNHEARD_OF:
        lines += ["", TO_DO[verdict.action]]
    if verdict.whose in ("provider", "unknown") and verdict.scope == "credential":
        lines.append(HOLD)
    sys.stdout.write("\n".join(lines) + "\n")
    return blame


def _likely(verdict: Verdict) -> list[str]:
    if verdict.whose == "unknown":
        return []
    cause = verdict.cause.replace("_", " ")
    return [f"Most likely {MATTER[verdict.whose]} ({cause}); {verdict.confidence:.0%} sure."]


def _blame(verdict: Verdict, *, trouble_there: bool) -> int:
    """Mixed: the error is of this side, and the provider is in trouble of its own, too."""
    if verdict.whose in YOURS:
        return MIXED if trouble_there else YOU
    return THEM if verdict.whose in THEIRS else UNKNOWN


# --- now ----------------------------------------------------------------------------------


def of_the_board(config: Config) -> Finding | None:
    """What the running gateway has seen; None where none runs."""
    status = ask(config, "/-/status.json")
    if status is None:
        return None
    blames = {"well": WELL, "them": THEM, "you": YOU, "mixed": MIXED}
    at = float(status["at"])
    because = [
        _incident(one, at) for one in status.get("incidents") or () if one.get("resolved") is None
    ]
    because += [_row(row, at) for row in status["segments"] if row["state"] != "well"]
    if not because:
        seen = "no call has gone through it yet" if not status["segments"] else "nothing is down"
        because = [f"the gateway at {status['url']}: {seen}"]
    return Finding(blames.get(status["blame"], UNKNOWN), tuple(because))


def _incident(one: dict[str, Any], at: float) -> str:
    what, lasts = parts(one), span(max(0.0, at - float(one["since"])))
    eta = (one.get("eta") or {}).get("told") or ""
    return joined((f"{what} is down for {lasts}, declared by the gateway", eta))


def _row(row: dict[str, Any], at: float) -> str:
    segment = row["segment"]
    named = (segment[part] for part in ("provider", "surface", "model", "credential"))
    name = " · ".join(part or "*" for part in named)
    why = "; ".join(row["because"]) or str(row["status"] or row["kind"])
    return f"{name}: {row['state']} for {span(max(0.0, at - row['since']))} ({why})"


def of_the_network(config: Config) -> Finding | None:
    """A look from here towards each cloud, and to hosts that know nothing of it; None: no cloud."""
    import asyncio

    from holdfast.app.surroundings import look_around

    climbs = asyncio.run(look_around(config, os.environ, time.time()))
    if not climbs:
        return None
    because = [f"{climb.provider}: {'; '.join(climb.because)}" for climb in climbs]
    steps = [line for climb in climbs for line in way_there(climb)]
    return Finding(
        together(map(_network_blame, climbs)),
        tuple(because),
        tuple(dict.fromkeys(steps)),
        tuple(climbs),
    )


def _network_blame(climb: Climb) -> int:
    """Whose it is that this host is, or is not, reached."""
    reached = any(
        step.ok and step.rung == "http" and step.host == climb.steps[0].host for step in climb.steps
    )
    if climb.finding == "well" or (climb.finding in ("ipv6", "proxy") and reached):
        return WELL
    return {"host": THEM, "unclear": UNKNOWN}.get(climb.finding, YOU)


def way_there(climb: Climb) -> Iterator[str]:
    """The steps of a climb, a line for each host and way, with their times."""
    lanes: dict[tuple[str, str], list[str]] = {}
    for step in climb.steps:
        if step.rung == "link" or not step.host:
            continue
        way = joined((step.family, "by proxy" if step.proxied else ""), " ")
        lanes.setdefault((step.host, way), []).append(_step(step))
    for (host, way), steps in lanes.items():
        yield f"{host}{f' ({way})' if way else ''}: {' · '.join(steps)}"


def _step(step: Step) -> str:
    took = span(step.took_s)
    if not step.ok:
        return f"{step.rung} FAILED after {took}"
    status = f" {step.status}" if step.status is not None else ""
    signed = f" (signed by {plain(step.issuer, 40)})" if step.issuer else ""
    return f"{step.rung}{status} {took}{signed}"


# The looks of a live check, in order. Whatever looks at more is added here.
LOOKS: tuple[Callable[[Config], Finding | None], ...] = (of_the_board, of_the_network)


def live(config: Config, words: argparse.Namespace) -> int:
    """The state of things now, by every look that can be taken."""
    looks = [(look, look(config)) for look in LOOKS]
    found = [finding for _, finding in looks if finding is not None]
    if not found:
        return fail(
            f"there is nothing to go by: {not_running(config)}. Or paste the error:"
            " holdfast diagnose -",
            as_json=words.json,
            status=UNKNOWN,
        )
    blame = together(finding.blame for finding in found)
    because = [reason for finding in found for reason in finding.because]
    if (of_the_board, None) in looks:
        because.append(f"{not_running(config)} (it would know what failed)")
    steps = [step for finding in found for step in finding.steps]
    if words.json:
        climbs = [climb for finding in found for climb in finding.climbs]
        say_json({"blame": blame, "because": because, "network": climbs})
    else:
        lines = [SENTENCES[blame], "", *(f"  · {plain(reason, 1000)}" for reason in because)]
        lines += (
            ["", "The network, step by step:", *(f"  {step}" for step in steps)] if steps else []
        )
        sys.stdout.write("\n".join(lines) + "\n")
    return blame


def together(blames: Iterable[int]) -> int:
    """Several looks as one: what is well or unknown gives way to what is known."""
    found = set(blames)
    known = found - {WELL, UNKNOWN}
    if len(known) > 1:
        return MIXED
    if known:
        return known.pop()
    return UNKNOWN if UNKNOWN in found else WELL
