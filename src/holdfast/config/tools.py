"""How tools are pointed at the gateway, as data: one file each, ours and the person's own."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePath
from typing import Any, cast

from msgspec import Struct

from holdfast.config.lines import Lines
from holdfast.config.problems import ConfigError, Problem, one
from holdfast.config.provide import DIALECTS
from holdfast.config.tables import Sheet, Table
from holdfast.facts.places import Dialect

# Its variables are set for every tool, before the tool's own.
USUAL = "usual"
PLACEHOLDER = "holdfast"


class Tool(Struct, frozen=True, kw_only=True):
    """One tool, as its data file says it; the file's name is its name.

    `commands`: what it is called on the command line. `env`: variables to set, whatever they were.
    `keys`: variables that get a placeholder, unless they or one of those beside them are set.
    `json`: variables that hold JSON, and what to merge into it. `args` stand directly behind the
    command. `files`: JSON files to write into a folder of this run's own. In all of them `{url}`
    stands for the gateway's address without a path, and `{folder}` for that folder.
    `dialect`: what it speaks first. `by_hand`: lines to show to those who set it up themselves.
    `notes`: what changes for it behind a gateway. `tested`: the versions that were tried.
    """

    title: str
    commands: tuple[str, ...] = ()
    dialect: Dialect | None = None
    env: dict[str, str] = {}
    keys: dict[str, tuple[str, ...]] = {}
    json: dict[str, Any] = {}
    args: tuple[str, ...] = ()
    files: dict[str, Any] = {}
    by_hand: str = ""
    notes: tuple[str, ...] = ()
    tested: tuple[str, ...] = ()


class Outfit(Struct, frozen=True, kw_only=True):
    """What one run of a tool gets: variables, words behind the command, files by their name."""

    env: dict[str, str]
    args: tuple[str, ...] = ()
    files: dict[str, str] = {}


Tools = dict[str, Tool]


def known(own: Path | None = None) -> Tools:
    """The tools that are known, by name: ours, and over them those of the folder `own`.

    Raises ConfigError with everything that is wrong in any of the files.
    """
    ours = files("holdfast") / "tools"
    found: Tools = {}
    problems: list[Problem] = []
    for folder in (ours, own):
        for file in _data(folder):
            try:
                found[file.name.removesuffix(".toml")] = _tool(file)
            except ConfigError as error:
                problems += error.problems
    problems += _rivals(found)
    if problems:
        raise ConfigError(problems)
    return found


def called(tools: Tools, command: str) -> Tool | None:
    """The tool that this command starts: by its name, wherever the program lies."""
    name = PurePath(command.replace("\\", "/")).name.lower()
    for end in (".exe", ".cmd"):
        name = name.removesuffix(end)
    return next((tool for tool in tools.values() if name in tool.commands), None)


def outfit(layers: Sequence[Tool], url: str, folder: str, environ: Mapping[str, str]) -> Outfit:
    """What a tool needs to talk to the gateway at `url`. The last layer is the tool's own data.

    `folder`: where its files will lie. `environ`: what is set already; no key in it is touched.
    Raises ValueError where a variable that holds JSON holds none.
    """

    def filled(text: str) -> str:
        return text.replace("{url}", url).replace("{folder}", folder)

    env = {name: filled(text) for layer in layers for name, text in layer.env.items()}
    # The tool's own keys first: one of them may be what the usual ones ask for.
    for layer in reversed(layers):
        for name, others in layer.keys.items():
            if not any(environ.get(each) or each in env for each in (name, *others)):
                env[name] = PLACEHOLDER
    for layer in layers:
        for name, more in layer.json.items():
            env[name] = _merged(name, env.get(name) or environ.get(name, ""), _each(more, filled))
    return Outfit(
        env=env,
        args=tuple(filled(word) for layer in layers for word in layer.args),
        files={
            name: json.dumps(_each(content, filled), indent=1)
            for layer in layers
            for name, content in layer.files.items()
        },
    )


def _data(folder: Traversable | None) -> list[Traversable]:
    if folder is None or not folder.is_dir():
        return []
    found = [file for file in folder.iterdir() if file.name.endswith(".toml")]
    return sorted(found, key=lambda file: file.name)


def _tool(file: Traversable) -> Tool:
    raw, root = _read(file)
    title = root.text("title")
    if "title" not in root:
        root.wrong("title", "is missing", 'Say what it is called: title = "Name".')
    dialect = cast("Dialect | None", root.text("dialect", DIALECTS))
    keys = root.table("keys")
    tool = Tool(
        title=title or "",
        commands=tuple(word.lower() for word in root.texts("commands")),
        dialect=dialect,
        env=_texts(root.table("env")),
        keys={name: tuple(keys.texts(name, empty=True)) for name in keys.names()},
        json=_tree(root, raw, "json"),
        args=tuple(root.texts("args")),
        files=_files(root, raw),
        by_hand=_shown(root, raw),
        notes=tuple(root.texts("notes")),
        tested=tuple(root.texts("tested")),
    )
    root.close()
    problems = root.sheet.problems
    if problems:
        raise ConfigError(sorted(problems, key=lambda problem: problem.line or 0))
    return tool


def _read(file: Traversable) -> tuple[dict[str, Any], Table]:
    try:
        text = file.read_text(encoding="utf-8-sig")
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = getattr(error, "lineno", None) or _line_in(str(error)) or text.count("\n") + 1
        what = "this is not valid TOML"
        raise one(str(file), what, "Correct this line; texts need quotes.", line) from None
    except UnicodeDecodeError:
        raise one(str(file), "the file is not UTF-8 text", "Save it as UTF-8.") from None
    except RecursionError:
        raise one(str(file), "brackets are nested too deep", "Take some out.") from None
    except OSError as error:
        why = f"the file cannot be read ({error.strerror})"
        raise one(str(file), why, "Make it readable, or take it away.") from None
    return raw, Table(Sheet(str(file), Lines(text)), (), raw)


def _line_in(said: str) -> int | None:
    _, found, rest = said.rpartition("(at line ")
    number = rest.partition(",")[0]
    return int(number) if found and number.isdigit() else None


def _texts(table: Table) -> dict[str, str]:
    return {name: text for name in table.names() if (text := table.text(name)) is not None}


def _shown(root: Table, raw: dict[str, Any]) -> str:
    """Lines to show as they are."""
    text = raw.get("by_hand", "")
    if "by_hand" in root and not isinstance(text, str):
        root.wrong("by_hand", "must be a text", 'Write it between """ and """.')
        return ""
    return str(text).strip("\n")


def _tree(root: Table, raw: dict[str, Any], key: str) -> dict[str, Any]:
    """Tables of whatever shape, to be written as JSON. Dates are no JSON, and nor is infinity."""
    inner = root.table(key)
    found: dict[str, Any] = {}
    for name in inner.names():
        value = raw[key][name]
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            inner.wrong(name, "holds what JSON cannot say", "Write texts, numbers, lists, tables.")
            continue
        if not isinstance(value, dict):
            inner.wrong(name, "must be a table", f"Write [{key}.{name}] above its fields.")
            continue
        found[name] = value
    return found


def _files(root: Table, raw: dict[str, Any]) -> dict[str, Any]:
    found = _tree(root, raw, "files")
    for name in list(found):
        if PurePath(name).name != name or name in (".", "..") or "\\" in name:
            root.table("files").wrong(name, "is not a plain file name", "Name it without a folder.")
            del found[name]
    return found


def _rivals(tools: Tools) -> Iterable[Problem]:
    """Two tools that claim the same command."""
    owner: dict[str, str] = {}
    for name, tool in tools.items():
        for command in tool.commands:
            first = owner.setdefault(command, name)
            if first != name:
                what = f"the command {command} is that of {first}.toml already"
                remedy = f"Take it out of one of them, or call your file {first}.toml."
                yield Problem(f"{name}.toml", None, "commands", what, remedy)


def _each(value: object, change: Callable[[str], str]) -> object:
    """The same value with every text in it changed."""
    if isinstance(value, dict):
        return {key: _each(inner, change) for key, inner in value.items()}
    if isinstance(value, list):
        return [_each(inner, change) for inner in value]
    return change(value) if isinstance(value, str) else value


def _merged(name: str, before: str, more: object) -> str:
    """What a variable holds, with more in it; where both say something, `more` does."""
    try:
        value = json.loads(before) if before.strip() else {}
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ValueError(f"{name} holds no JSON object. Correct it, or take it away.")  # noqa: TRY004
    return json.dumps(_joined(value, more))


def _joined(under: object, over: object) -> object:
    """Two JSON values as one: tables go together, of anything else the second stands."""
    if not isinstance(under, dict) or not isinstance(over, dict):
        return over
    return under | {key: _joined(under.get(key), value) for key, value in over.items()}
