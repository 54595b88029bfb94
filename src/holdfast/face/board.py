"""The board for a terminal: what `/-/status.json` says, at a glance.

First whose fault it is, then each incident in three lines at most, then segments and routes. What
a gateway does not say (an older one) is left out. Texts of others are shown as text, whatever is
in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from holdfast.core.letters import plain, sureness
from holdfast.core.letters import span as long_span
from holdfast.face.line import parts
from holdfast.face.reading import in_the_air, joined, span

Json = Mapping[str, Any]

BLAMED = {
    "well": ("All is well.", "green"),
    "them": ("It is them, not you.", "yellow"),
    "you": ("It is on your side.", "red"),
    "mixed": ("Some of it is them, some of it is on your side.", "red"),
    "unknown": ("Something is wrong; whose fault is not clear yet.", "yellow"),
}
WHOSE = {
    "provider": "their fault",
    "account": "your account or key",
    "request": "the request itself",
    "network": "the network",
    "local": "your engine",
    "intermediary": "something in between",
    "unknown": "whose fault is not clear yet",
}
MARKS = {"well": ("●", "green"), "doubtful": ("◐", "yellow"), "probation": ("◐", "yellow")}
DOWN = ("○", "red")
TEXT_CHARS = 300
CHANGES_MAX = 3
CHANGES_S = 86_400.0


def cleaned(value: object) -> object:
    """JSON with every text in it made plain: it comes from providers, pages and the like."""
    if isinstance(value, str):
        return plain(value, TEXT_CHARS)
    if isinstance(value, list):
        return [cleaned(one) for one in value]
    if isinstance(value, dict):
        return {plain(str(name), TEXT_CHARS): cleaned(one) for name, one in value.items()}
    return value


def board(status: Json) -> RenderableType:
    """The whole board as something to print."""
    status = cast("Json", cleaned(status))
    at = float(status.get("at") or 0.0)
    sentence, colour = BLAMED.get(str(status.get("blame")), BLAMED["unknown"])
    blocks: list[list[RenderableType]] = [
        [Text.assemble((sentence, f"bold {colour}"), f"  {status.get('url', '')}")],
        list(warnings(status, at)),
        [
            *(
                line
                for one in status.get("incidents") or ()
                for line in incident_lines(one, status, at)
            ),
            *(suspicion(one, at) for one in status.get("suspected") or ()),
        ],
        [segments(rows, at)] if (rows := status.get("segments")) else [],
        [routes(rows)] if (rows := status.get("routes")) else [],
        list(notes(status, at)),
    ]
    if not status.get("segments"):
        blocks[3] = [Text("No call has gone through it yet.")]
    shown: list[RenderableType] = []
    for block in filter(None, blocks):
        shown += [Text(), *block] if shown else block
    return Group(*shown)


def row(*pieces: str | tuple[str, str]) -> Text:
    """One line of the board; what does not fit ends with an ellipsis."""
    return Text.assemble(*pieces, no_wrap=True, overflow="ellipsis")


def warnings(status: Json, at: float) -> Iterator[Text]:
    """What comes before everything else: our own trouble, and that of this machine's network."""
    for alarm in status.get("alarms") or ():
        yield Text(f"alarm: {alarm}", style="red")
    for crash in (status.get("crashes") or ())[-3:]:
        yield Text(f"a fault in holdfast itself: {crash}. Please report it.", style="red")
    network = status.get("network") or {}
    if network.get("finding") not in (None, "", "well"):
        because = "; ".join(network.get("because") or ())
        ago = f"{span(at - network['at'])} ago" if network.get("at") else ""
        yield Text(f"network: {joined((network['finding'], because, ago))}", style="yellow")


# ------------------------------------------------------------ incidents


def incident_lines(one: Json, status: Json, at: float) -> list[Text]:
    """One incident in three lines at most; one that is over in one."""
    whose = str(one.get("whose") or "unknown")
    if one.get("resolved") is not None:
        return [over(one, at)]
    # How sure it is that it is down, not whose fault: so it stands beside that.
    sure = sureness(float(one.get("confidence") or 0.0))
    cause = str(one.get("cause") or "").replace("_", " ")
    lasts = span(max(0.0, at - float(one.get("since") or at)))
    rest = joined((f"{lasts}, {sure}", WHOSE.get(whose, whose), cause))
    told = [row((DOWN[0], DOWN[1]), f" {parts(dict(one))} ", ("down ", "red"), rest)]
    stood = ", ".join(one.get("stood_in") or ())
    second = joined((f"{stood} stands in" if stood else "nobody stands in", outlook(one)))
    told.append(row(f"  {second}"))
    third = page_said(one, status, at) if whose == "provider" else ""
    because = "; ".join(one.get("because") or ())
    if third or because:
        told.append(row((f"  {third or because}", "dim")))
    return told


def suspicion(one: Json, at: float) -> Text:
    """What may be the beginning of trouble, or a blip: it is noted, nobody is told yet."""
    lasts = span(max(0.0, at - float(one.get("since") or at)))
    because = "; ".join(one.get("because") or ())
    rest = joined((f"suspected for {lasts}, not sure yet", because))
    return row(("◐", "yellow"), (f" {parts(dict(one))} {rest}", "dim"))


def over(one: Json, at: float) -> Text:
    """An incident that has ended, in one line."""
    ended = float(one.get("back") or one["resolved"])
    lasted = span(max(0.0, ended - float(one.get("since") or ended)))
    stood = ", ".join(one.get("stood_in") or ())
    rest = joined(
        (
            f"down for {lasted}",
            WHOSE.get(str(one.get("whose")), ""),
            f"{stood} stood in" if stood else "",
        )
    )
    back = f"back since {span(max(0.0, at - ended))}"
    return row(("✓", "green"), f" {parts(dict(one))} ", (back, "green"), f" · {rest}")


def outlook(one: Json) -> str:
    """When it may be over: a range, and the middle of it."""
    eta = one.get("eta") or {}
    quantiles = eta.get("quantiles_min") or {}
    if eta.get("useful") is False or not {"10", "90"} <= quantiles.keys():
        return str(eta.get("told") or "")
    low, high = (long_span(60 * float(quantiles[name])) for name in ("10", "90"))
    middle = long_span(60 * float(quantiles["50"])) if "50" in quantiles else ""
    return f"back in {low} – {high}{f' (even odds: {middle})' if middle else ''}"


def page_said(one: Json, status: Json, at: float) -> str:
    """What the provider's page claims of it, and how late; empty where no page is read."""
    late = one.get("page_late_s")
    if one.get("page_said") is not None:
        when = ""
        if late is not None and abs(late) >= 30:
            when = f", {span(abs(late))} {'after' if late > 0 else 'before'} us"
        return f"their page admits it{when}"
    providers = {str(part.get("provider")) for part in one.get("segments") or ()}
    pages = status.get("pages") or {}
    page = next((pages[name] for name in sorted(providers) if name in pages), None)
    if page is None:
        return ""
    return page_told(page, at)


def page_told(page: Json, at: float) -> str:
    """A page's claim in a few words."""
    read = f"read {span(max(0.0, at - page['read_at']))} ago" if page.get("read_at") else ""
    described = f"“{page['described']}”" if page.get("described") else ""
    if page.get("state") == "unreadable":
        return f"their page cannot be read: {joined((page.get('why') or '', read))}"
    said = "speaks of an incident" if page.get("state") == "incident" else "still says all is well"
    return f"their page {said}{f': {described}' if described else ''}{f' ({read})' if read else ''}"


# ------------------------------------------------------------ segments and routes


def segments(rows: Iterable[Json], at: float) -> Table:
    """What is up and what is down: troubled segments first."""
    table = Table(box=None, pad_edge=False)
    for name in ("", "segment", "since", "whose fault", "why"):
        table.add_column(name, overflow="fold")
    for one in rows:
        state = str(one.get("state") or "")
        mark, colour = MARKS.get(state, DOWN)
        segment = one.get("segment") or {}
        what = [segment.get(part) for part in ("provider", "surface", "model", "credential")]
        rests_s = one.get("rests_s") or 0.0
        again = f"tried again in {span(rests_s)}" if rests_s > 0 else ""
        told = str(one.get("status") or str(one.get("kind") or "").replace("_", " "))
        why = "; ".join(one.get("because") or ()) or ("" if state == "well" else told)
        table.add_row(
            Text(mark, style=colour),
            Text(joined(part or "*" for part in what)),
            span(max(0.0, at - float(one.get("since") or at))),
            Text(str(one.get("whose") or "")),
            Text(joined((state if state != "well" else "", why, again))),
        )
    return table


def routes(rows: Iterable[Json]) -> Table:
    """Who answers for what."""
    table = Table(box=None, pad_edge=False)
    for name in ("asked for", "answers now", "the others"):
        table.add_column(name, overflow="fold")
    for one in rows:
        serving = one.get("serving") or "nobody now"
        stand_in = bool(one.get("stand_in"))
        style = "yellow" if stand_in else "" if one.get("serving") else "red"
        others = [
            joined((str(target.get("target")), str(target.get("state"))), " ")
            for target in one.get("targets") or ()
            if target.get("target") != one.get("serving")
        ]
        told = f"{serving} (stand-in)" if stand_in else serving
        table.add_row(Text(str(one.get("model"))), Text(told, style=style), Text(", ".join(others)))
    return table


def notes(status: Json, at: float) -> Iterator[Text]:
    """What is worth knowing beside it: what changed at providers, probes used up, our own state."""
    recent = [one for one in status.get("changes") or () if at - one["at"] < CHANGES_S]
    for one in sorted(recent, key=lambda one: -float(one["at"]))[:CHANGES_MAX]:
        yield row((f"{span(at - one['at'])} ago {one['provider']} changed: {one['told']}", "dim"))
    used = [
        f"{name} {one.get('free_today', 0)}/{one.get('free_max', 0)} free,"
        f" {one.get('paid_today', 0)}/{one.get('paid_max', 0)} paid"
        for name, one in (status.get("probes") or {}).items()
        if one.get("free_today") or one.get("paid_today")
    ]
    if used:
        yield row((f"probes today: {'; '.join(used)}", "dim"))
    flying = int(status.get("calls_in_the_air") or 0)
    up_s = at - float(status.get("started") or at)
    yield row((f"up for {span(up_s)} · {in_the_air(flying)}", "dim"))
