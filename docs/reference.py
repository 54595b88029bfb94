"""Writes docs/reference/ from the code itself (`make docs`); a test keeps it current."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from holdfast.app.control import PAGES
from holdfast.config.catalogue import catalogue
from holdfast.config.tools import USUAL, Tool, known
from holdfast.core.blame import EVIDENCE, TRANSIENT
from holdfast.core.signatures import SIGNATURES, WHOSE, Signature
from holdfast.face.cli import COMMANDS, parser
from holdfast.facts.flights import Limits
from holdfast.facts.places import ModelFacts
from holdfast.net.doors import ACTIONS, DOORS, MODELS_BETA, door_of
from holdfast.sim.faults import BEHAVIOURS, FLAKY, FLAKY_SAYS
from holdfast.sim.timeline import SCENARIOS

FOLDER = Path(__file__).with_name("reference")
NOTE = "<!-- Written by `make docs` from the code. Do not edit. -->\n"


BESIDES = (
    "Gemini's paths are the same under `/v1/`. Besides: `GET /v1/models` (the shape by the client's"
    " headers), `GET /v1beta/models`, each with `/ID`; `GET /api/tags`, `GET /api/ps`, `GET"
    " /api/version`, `POST /api/show`; `/v1/responses/ID…` and `/v1/conversations…` (what has a"
    " name); `/v1/messages/batches…` (passed on to the first provider of the dialect); `GET /`.\n"
)
MODELS = (
    "Of each fact the first row that says it and matches a model's name counts; `[[providers.NAME."
    "models]]` in the configuration stands before these, and [the guide](../guide/configuration.md)"
    " says what the words mean. A setting that a stand-in is known to refuse is cut to what it"
    " takes or left out, and `x-holdfast-lost` names it.\n"
)
ROWS = (
    "The first row that fits says what the bytes may mean: whose fault such bytes have been, how"
    " often. What stands around the failure then moves these shares, and the greatest is said,"
    " unless saying it could do more harm than saying that it is not known yet. `python -m"
    " bench.verdicts` shows how often that is right.\n"
)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for row in rows:
        cells = [str(cell).replace("|", "\\|").replace("\n", " ") for cell in row]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def code(words: Iterable[object]) -> str:
    """Words as code, with commas between."""
    return ", ".join(f"`{word}`" for word in words)


class _Help(argparse.HelpFormatter):
    """The same on every Python: a value is named once, behind all spellings, as 3.13 does."""

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        value = self._format_args(action, self._get_default_metavar_for_optional(action))
        return f"{', '.join(action.option_strings)} {value}"


def commands() -> str:
    """The command line."""
    choices: dict[str, argparse.ArgumentParser] = {}
    for action in parser()._actions:  # noqa: SLF001 - argparse has no other way to its commands
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            choices = dict(action.choices)
    parts = ["# Commands\n", table(("command", "does"), COMMANDS.items())]
    for name, one in choices.items():
        one.formatter_class = lambda prog: _Help(prog, width=88)
        parts.append(f"## {name}\n\n```\n{one.format_help()}```\n")
    parts.append(
        "Exit status: 0 fine, 1 failed, 2 usage or configuration. `holdfast status` and"
        " `holdfast diagnose`: 10 it is them, 11 it is you, 12 mixed, 13 unknown. Colours follow"
        " `NO_COLOR`.\n"
    )
    return "\n".join(parts)


def http() -> str:
    """What the gateway answers."""
    doors = [(f"`{method} {path}`", *door) for (method, path), door in DOORS.items()]
    named = [f"{MODELS_BETA}/MODEL:{action}" for action in ACTIONS]
    doors += [(f"`POST {path}`", *door) for path in named if (door := door_of("POST", path))]
    limits = Limits()
    times = [(f"`{name}`", f"{getattr(limits, name):g}") for name in Limits.__struct_fields__]
    return "\n".join(
        [
            "# HTTP\n",
            "## The data plane\n",
            table(("request", "dialect", "surface"), doors),
            BESIDES,
            "## The control plane\n",
            table(("page", "holds"), ((f"`{path}`", text) for path, text in PAGES.items())),
            "## Time limits\n",
            "Seconds; `[limits]` in the configuration changes them.\n",
            table(("limit", "default"), times),
        ]
    )


def providers() -> str:
    """The providers that are known by name."""
    rows = [
        (
            f"`{name}`",
            entry.title,
            ", ".join(entry.dialects),
            f"`{entry.base_url}`" if entry.kind != "sim" else "built in",
            code(entry.key_env) or "none",
            code(entry.serves),
        )
        for name, entry in catalogue().items()
    ]
    head = ("name", "who", "dialects", "address", "key from", "known for")
    return "\n".join(["# Known providers\n", table(head, rows)])


def models() -> str:
    """What is known of models."""
    parts = ["# Known models\n", MODELS]
    for name, entry in catalogue().items():
        rows = [(f"`{facts.model}`", said(facts)) for facts in entry.models if said(facts)]
        if rows:
            parts += [f"## {entry.title} (`{name}`)\n", table(("models", "what is known"), rows)]
    return "\n".join(parts)


def said(facts: ModelFacts) -> str:
    """What one row says of models."""
    parts = []
    for key in facts.__struct_fields__[1:]:
        value = getattr(facts, key)
        if isinstance(value, tuple):
            parts.append(f"`{key}`: {', '.join(map(str, value)) or 'none'}")
        elif value is not None:
            parts.append(f"`{key}`: {str(value).lower()}")
    return "; ".join(parts)


def simulator() -> str:
    """The invented provider."""
    models = [(f"`sim/{name}`", one.says) for name, one in BEHAVIOURS.items()]
    models.append((f"`sim/{FLAKY}`", FLAKY_SAYS))
    scenarios = [
        (f"`{name}`", one.says, f"{one.length_s:.0f} s")
        for name, one in SCENARIOS.items()
        if one.length_s  # what never ends cannot be rehearsed
    ]
    return "\n".join(
        [
            "# The simulator\n",
            "## Models\n",
            "Ask for one of these by name to see what your tools make of it.\n",
            table(("model", "what it does"), models),
            "## Scenarios for `holdfast drill`\n",
            table(("scenario", "what happens", "length"), scenarios),
        ]
    )


def mark(row: Signature) -> str:
    """What a failure must look like for a row to speak about it."""
    parts = [
        spans(sorted(row.statuses)),
        ", ".join(sorted(row.kinds)),
        code(sorted(row.codes | row.types)),
    ]
    parts.append("its wording" if row.says else "")
    return "; ".join(part for part in parts if part)


def spans(numbers: Sequence[int]) -> str:
    """Numbers with runs drawn together: 400, 500–599."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(r[0]) if len(r) == 1 else f"{r[0]}–{r[-1]}" for r in runs)


def shares(row: Signature) -> str:
    """Whose fault such bytes have been, the likeliest first."""
    pairs = sorted(zip(WHOSE, row.prior, strict=True), key=lambda pair: -pair[1])
    return ", ".join(f"{whose} {share:.2f}" for whose, share in pairs if share >= 0.05)


def verdicts() -> str:
    """What a failure may mean, and what stands around it that moves whose fault it is."""
    rows = [
        (f"`{row.cause}`", mark(row), shares(row), f"`{row.action}`", row.scope, row.source)
        for row in SIGNATURES
    ]
    moved = [
        (
            piece.says.replace("{change}", "a change").replace("{ok}", "a while"),
            moves(piece.factors),
        )
        for piece in EVIDENCE
    ]
    head = ("cause", "seen as", "whose, how often", "action", "speaks of", "known from")
    return "\n".join(
        [
            "# Verdicts\n",
            ROWS,
            table(head, rows),
            "## What stands around it\n",
            "Each multiplies the odds of those whom it speaks for or against.\n",
            table(("seen", "odds"), moved),
            f"The same target may be asked once more for: {code(sorted(TRANSIENT))}.\n",
        ]
    )


def moves(factors: Sequence[float]) -> str:
    """Whom a piece of evidence speaks for (more than 1) or against."""
    pairs = zip(WHOSE, factors, strict=True)
    return ", ".join(f"{whose} × {factor:.1f}" for whose, factor in pairs if factor != 1.0)


def reliability() -> str:
    """How often the verdicts are right on known cases."""
    sys.path.insert(0, str(FOLDER.parents[1]))
    from bench.verdicts import page

    return page()


URL = "http://127.0.0.1:4141"
CLIENTS = FOLDER.parent / "guide" / "clients.md"
# What stands between the two is written from the data, the rest by hand.
BLOCK = ("<!-- tools: written by `make docs` -->\n", "<!-- end of tools -->\n")


def given(tool: Tool) -> str:
    """What `holdfast run` gives a tool."""
    parts = [f"`{name}={text}`" for name, text in tool.env.items()]
    parts += [f"`{name}` unless you have a key set" for name in tool.keys]
    parts += [f"a part of `{name}`" for name in tool.json]
    parts += ["flags"] if tool.args else []
    parts += [f"a `{name}` for this run" for name in tool.files]
    return ", ".join(parts).replace("{url}", URL).replace("{folder}", "…")


def tools() -> str:
    """The tools that are known by name: a table, then each by itself."""
    every = known()
    usual = every.pop(USUAL)
    rows = [
        (
            code(tool.commands),
            tool.title,
            tool.dialect,
            given(tool) or "the usual",
            ", ".join(tool.tested) or "not yet",
        )
        for tool in every.values()
    ]
    rows.append(("any other", usual.title, "", given(usual), ""))
    head = ("command", "who", "speaks", "`holdfast run` sets, beside the usual", "tested with")
    parts = [table(head, rows)]
    for tool in every.values():
        parts.append(f"### {tool.title}\n")
        by_hand = tool.by_hand.replace("{url}", URL)
        parts.append(f"By hand:\n\n```\n{by_hand}\n```\n")
        parts += ["\n".join(f"- {note}" for note in tool.notes) + "\n"] if tool.notes else []
    return "\n".join(parts)


def clients() -> str:
    """The guide to clients, with what the data says of tools in its place."""
    before, begin, rest = CLIENTS.read_text(encoding="utf-8").partition(BLOCK[0])
    _, end, after = rest.partition(BLOCK[1])
    return f"{before}{begin}\n{tools()}\n{end}{after}"


SHEETS: dict[str, Callable[[], str]] = {
    "commands": commands,
    "http": http,
    "providers": providers,
    "models": models,
    "reliability": reliability,
    "simulator": simulator,
    "verdicts": verdicts,
}


def written() -> dict[Path, str]:
    """Every sheet: its file and its text."""
    sheets = {FOLDER / f"{name}.md": NOTE + sheet() for name, sheet in SHEETS.items()}
    return {**sheets, CLIENTS: clients()}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file, text in written().items():
        file.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{file.relative_to(Path.cwd())}\n")
