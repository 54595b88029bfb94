"""`holdfast incidents`: what was in trouble, from when to when, and what spoke for it."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import msgspec
from rich.console import Console
from rich.text import Text

from holdfast.config.read import Config
from holdfast.core.letters import parts, plain, sureness
from holdfast.face.board import WHOSE
from holdfast.face.reading import ask, at_a_glance, fail, joined, not_running, say_json, span
from holdfast.facts.incidents import Event, Incident
from holdfast.store.home import StoreError
from holdfast.store.query import Reader

PAGE = "/-/api/incidents"
TEXT_CHARS = 400
MARKS = {
    "suspected": ("◐", "yellow"),
    "opened": ("○", "red"),
    "widened": ("○", "red"),
    "narrowed": ("◐", "yellow"),
    "resolved": ("✓", "green"),
}

# What is remembered where no gateway runs. Raises StoreError where nothing can be read.
Remembered = Callable[[Config], Sequence[Incident]]


def stored(config: Config) -> Sequence[Incident]:
    """What the store has of them, as the last gateway left it. Raises StoreError."""
    return Reader(config.gateway.data_dir).incidents()


def command(words: argparse.Namespace, remembered: Remembered = stored) -> int:
    """0; 1 where there is no such incident, or nothing to read; 2 usage or configuration."""
    config = at_a_glance(words)
    if config is None:
        return 2
    if words.limit < 1:
        return fail("--limit is a number from 1 on.", as_json=words.json, status=2)
    try:
        found = asked(config)
    except msgspec.ValidationError as error:
        text = f"the gateway tells of incidents in a way that this holdfast does not know ({error})"
        return fail(f"{text}. Restart it with `holdfast up`.", as_json=words.json)
    if found is None:
        try:
            found = remembered(config)
        except StoreError as error:
            runs = ask(config, "/-/live") is not None
            why = "the gateway that runs keeps none; start it anew" if runs else not_running(config)
            return fail(f"{why}. {error}", as_json=words.json)
    newest = sorted(found, key=lambda one: one.since, reverse=True)
    if words.id is not None:
        newest = [one for one in newest if one.id == words.id]
        if not newest:
            text = f"there is no incident {words.id}. `holdfast incidents` lists them."
            return fail(text, as_json=words.json)
    newest = newest[: words.limit]
    if words.json:
        say_json(newest)
    else:
        shown(newest, Console(), whole=words.id is not None)
    return 0


def asked(config: Config) -> Sequence[Incident] | None:
    """What the running gateway tells; None where none answers. Raises ValidationError."""
    answer = ask(config, PAGE)
    if answer is None or "incidents" not in answer:
        return None
    return msgspec.convert(answer["incidents"], list[Incident])


def shown(incidents: Sequence[Incident], screen: Console, *, whole: bool) -> None:
    """The newest last, as in a log; one alone with its whole timeline."""
    if not incidents:
        screen.print("No incident yet.")
    for one in reversed(incidents):
        for line in timeline(one) if whole else [headline(one)]:
            screen.print(line, soft_wrap=True)


def headline(one: Incident) -> Text:
    """An incident in one line."""
    mark, style = MARKS["opened" if one.resolved is None else "resolved"]
    if one.opened is None:
        mark, style = MARKS["suspected"]
    end = one.back if one.back is not None else one.resolved
    if end is not None:
        lasted = f"for {span(max(0.0, end - one.since))}"
    elif one.opened is not None and one.confidence > 0:
        lasted = f"still open, {sureness(one.confidence)}"
    else:
        lasted = "still open"
    stood = ", ".join(one.stood_in)
    told = joined(
        (
            plain(parts(one.segments), TEXT_CHARS),
            lasted,
            WHOSE[one.whose],
            plain(one.cause.replace("_", " "), TEXT_CHARS),
            plain(f"{stood} stood in" if stood else "", TEXT_CHARS),
        )
    )
    day = time.strftime("%Y-%m-%d %H:%M ", time.localtime(one.since))
    return Text.assemble(
        (mark, style), " ", (day, "dim"), told, (f"  {plain(one.id, TEXT_CHARS)}", "dim")
    )


def timeline(one: Incident) -> list[Text]:
    """An incident in full: what was known when, because of what, and what the page said."""
    lines = [headline(one)]
    if one.reopened:
        again = "once" if one.reopened == 1 else f"{one.reopened} times"
        lines.append(Text(f"  reopened {again}"))
    moments = [(event.at, entry(event)) for event in one.timeline]
    if one.page_claims_since is not None:
        told = [Text("the provider's page claims it began now")]
        moments.append((one.page_claims_since, told))
    if one.page_said is not None:
        late = one.page_late_s
        when = ""
        if late is not None:
            when = f", {span(abs(late))} {'after' if late > 0 else 'before'} we declared it"
        moments.append((one.page_said, [Text(f"the provider's page admits it{when}")]))
    if one.back is not None:
        moments.append((one.back, [Text("the first good answer of the recovery", style="green")]))
    moments.append((one.since, [Text("the first failure that belongs to it")]))
    for at, told in sorted(moments, key=lambda moment: moment[0]):
        clock = time.strftime("%H:%M:%S", time.localtime(at))
        lines += [Text.assemble((f"  {clock}  ", "dim"), told[0])]
        lines += [Text.assemble(" " * 12, line) for line in told[1:]]
    if not one.timeline:
        lines += [Text(f"  {plain(reason, TEXT_CHARS)}", style="dim") for reason in one.because]
    return lines


def entry(event: Event) -> list[Text]:
    """One entry of a timeline, with its evidence."""
    mark, style = MARKS[event.event]
    sure = sureness(event.confidence)  # that it is down; at the end, that it is back
    where = plain(parts(event.segments, most=10), TEXT_CHARS)
    told = joined((where, sure, WHOSE[event.whose], event.cause.replace("_", " ")))
    head = Text.assemble((f"{mark} {event.event}", style), f"  {plain(told, TEXT_CHARS)}")
    return [head, *(Text(plain(why, TEXT_CHARS), style="dim") for why in event.because)]
