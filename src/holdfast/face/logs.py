"""`holdfast logs`: the calls, each with its attempts and why. Works without a running gateway."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from holdfast.face.reading import at_a_glance, fail, how_called, joined, say_json, span
from holdfast.store.home import StoreError
from holdfast.store.query import AttemptLine, ExchangeLine, Reader

STYLES = {"ok": "green", "declined": "red", "broken": "red", "unknown": "yellow"}
# Said of an end that nobody saw.
UNSEEN = "its end was not seen"


def command(words: argparse.Namespace) -> int:
    """0; 1 where there is no such exchange or no ledger; 2 usage or configuration."""
    config = at_a_glance(words)
    if config is None:
        return 2
    if words.limit < 1:
        return fail("--limit is a number from 1 on.", as_json=words.json, status=2)
    reader = Reader(config.gateway.data_dir)
    try:
        if words.id is None:
            found = reader.exchanges(words.limit, only_failed=words.failed)
        else:
            one = reader.one(words.id)
            found = [] if one is None else [one]
    except StoreError as error:
        return fail(str(error), as_json=words.json)
    if words.id is not None and not found:
        text = f"there is no exchange {words.id} in {reader.path}. It may be too old, or too new."
        text += f" `{how_called()} logs` lists the latest."
        return fail(text, as_json=words.json)
    if words.json:
        say_json(found)
        return 0
    screen = Console()
    if words.id is not None:
        show(found[0], screen)
    elif found:
        listed(reversed(found), screen)
    else:
        screen.print("No call" + (" failed." if words.failed else " yet."))
    return 0


def listed(exchanges: Iterable[ExchangeLine], screen: Console) -> None:
    """One line a call, the newest last, and below it what else was tried."""
    for one in exchanges:
        head = Text(time.strftime("%H:%M:%S ", time.localtime(one.wall)), style="dim")
        head.append(f"{one.outcome:9}", style=STYLES.get(one.outcome, ""))
        head.append(f" {one.asked_model or one.path}")
        if one.served_by and one.served_by.partition("/")[2] != one.asked_model:
            head.append(f" → {one.served_by}", style="yellow" if one.stand_in else "")
        if one.stand_in:
            head.append(" (stand-in)", style="yellow")
        took = span(one.duration_s) if one.duration_s is not None else ""
        rest = (str(one.status or ""), took, one.tool, tokens(one), without(one), one.id)
        head.append(f"  {joined(rest)}", style="dim")
        screen.print(head, soft_wrap=True)
        for attempt in one.attempts:
            if attempt.outcome != "ok":
                screen.print(Text(f"         {ended(attempt)}", style="yellow"), soft_wrap=True)


def show(one: ExchangeLine, screen: Console) -> None:
    """One call in full."""
    day = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.wall))
    fields = {
        "exchange": one.id,
        "at": day,
        "asked": f"{one.method} {one.path} for {one.asked_model or 'no model'}"
        + (", streamed" if one.stream else ""),
        "tool": one.tool or "not named",
        "outcome": joined((one.outcome, str(one.status or ""), one.verdict)),
        "served by": (one.served_by or "nobody") + (" (stand-in)" if one.stand_in else ""),
        "why": one.because,
        "took": span(one.duration_s) if one.duration_s is not None else UNSEEN,
        "bytes": f"{one.bytes_in} in, {one.bytes_out} out",
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in fields.items():
        table.add_row(Text(name, style="dim"), Text(value))
    screen.print(table)
    for attempt in one.attempts:
        screen.print(Text(f"\nattempt {attempt.attempt}: {ended(attempt)}"), soft_wrap=True)
        times, usage = attempt.times, attempt.usage
        moments = {
            "sent": times.sent,
            "headers": times.headers,
            "first content": times.content,
            "end": times.end,
        }
        told = joined(f"{name} {span(at)}" for name, at in moments.items() if at is not None)
        used = joined(
            f"{count} {name}"
            for name, count in (
                ("tokens in", usage.input),
                ("out", usage.output),
                ("of it thoughts", usage.thought),
                ("from cache", usage.cache_read),
                ("to cache", usage.cache_write),
            )
            if count
        )
        lost = (f"lost on the way there: {loss}" for loss in attempt.lost)
        for line in (told, used, *lost, *attempt.because):
            if line:
                screen.print(Text(f"  {line}", style="dim"), soft_wrap=True)


def ended(attempt: AttemptLine) -> str:
    """An attempt in a line: who was asked, why, how it ended, whose fault that is."""
    how = attempt.failure_text or {"unsettled": "still in the air", "unknown": UNSEEN}.get(
        attempt.outcome, attempt.outcome
    )
    where = f"{attempt.provider}/{attempt.model}"
    return joined((f"{where} ({attempt.why}): {how}", attempt.verdict))


def tokens(one: ExchangeLine) -> str:
    """What the call used, over all its attempts."""
    read = sum(attempt.usage.input or 0 for attempt in one.attempts)
    written = sum(attempt.usage.output or 0 for attempt in one.attempts)
    return f"{read}+{written} tokens" if read or written else ""


def without(one: ExchangeLine) -> str:
    """What of the request did not reach who answered, by its names."""
    lost = one.attempts[-1].lost if one.attempts and one.served_by else ()
    names = ", ".join(dict.fromkeys(loss.partition(": ")[0] for loss in lost))
    return f"without {names}" if names else ""
