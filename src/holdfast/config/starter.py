"""The configuration to begin with: what was found on this machine, as a file to be edited."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path

from msgspec import Struct

from holdfast.config import keys
from holdfast.config.catalogue import Catalogue, Entry, catalogue
from holdfast.config.read import Config, parse
from holdfast.core.route import TALK
from holdfast.facts.engines import Engine, Marks
from holdfast.wire.headers import is_subscription

Probe = Callable[[Mapping[str, Marks], Mapping[str, str]], Sequence[Engine]]

# Models that answer no questions, by the names that people give them.
_NOT_FOR_TALK = ("*embed*", "*bge-*", "*rerank*", "*whisper*", "*tts*")
_EXAMPLES = 2


class Found(Struct, frozen=True, kw_only=True):
    """What this machine has to offer.

    `clouds`: pairs of a provider and the variable that holds its key. `engines`: local engines
    that answered. `passed_over`: sentences about keys that are there but cannot be used.
    """

    entries: Catalogue
    clouds: tuple[tuple[str, str], ...] = ()
    engines: tuple[Engine, ...] = ()
    passed_over: tuple[str, ...] = ()

    def describe(self) -> list[str]:
        """What was found, a sentence each."""
        title = {name: entry.title for name, entry in self.entries.items()}
        lines = [f"{title[name]}: key in ${variable}" for name, variable in self.clouds]
        for engine in self.engines:
            models = f"{len(engine.models)} model{'s' if len(engine.models) != 1 else ''}"
            lines.append(f"{title[engine.provider]}: running at {engine.base_url}, {models}")
        return [*lines, *self.passed_over]


def look_around(
    environ: Mapping[str, str], probe: Probe, entries: Catalogue | None = None
) -> Found:
    """What is there: usual key variables that hold a usable key, and engines that `probe` finds.

    `probe` is given the marks of the known engines, by provider, and the environment.
    """
    known = catalogue() if entries is None else entries
    clouds = []
    passed_over = []
    for name, entry in known.items():
        for variable in entry.key_env:
            if not environ.get(variable, "").strip():
                continue
            why = _unusable(variable, environ)
            if why is None:
                clouds.append((name, variable))
                break
            passed_over.append(f"{entry.title}: ${variable} is set but not used: {why}")
    marks = {name: entry.engine for name, entry in known.items() if entry.engine is not None}
    return Found(
        entries=known,
        clouds=tuple(clouds),
        engines=tuple(probe(marks, environ)),
        passed_over=tuple(passed_over),
    )


def _unusable(variable: str, environ: Mapping[str, str]) -> str | None:
    try:
        secret = keys.resolve(f"env:{variable}", environ)
    except keys.KeySourceError as trouble:
        return trouble.what
    if secret is not None and is_subscription(secret.reveal().encode()):
        return "it is a subscription (OAuth) token and no API key"
    return None


def default(found: Found, environ: Mapping[str, str], source: Path | None = None) -> Config:
    """The configuration that the starter file stands for. Raises ConfigError."""
    return parse(starter(found), environ, source=source, entries=found.entries)


def starter(found: Found) -> str:
    """A configuration file for what was found, with comments on how to go on."""
    names = _engine_names(found.engines)
    parts = [_HEAD]
    parts += [f"# {sentence}\n" for sentence in found.passed_over]
    parts += [_cloud(name, found.entries[name], variable) for name, variable in found.clouds]
    parts += [_engine(names[n], engine, found) for n, engine in enumerate(found.engines)]
    sims = [name for name, entry in found.entries.items() if entry.kind == "sim"]
    parts += [_sim(name) for name in sims]
    parts.append(_examples(found))
    parts.append(_ROUTES)
    parts += _routes(found, _locals(found.engines, names))
    parts += [_route(f"{name}/*", [f"{name}/*"]) for name in sims]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


_HEAD = """\
# What holdfast found on this machine, to begin with. It is yours: edit it as you like.
# `holdfast check` tells what is wrong with it; a running gateway takes changes over by itself.

[gateway]
host = "127.0.0.1"          # this machine alone; others can come through SSH
port = 4141
# data_dir = "/path"        # default: your data directory
keys = "off"                # clients need no key of holdfast's own

# Providers. The name in brackets is yours; a known one needs nothing but its key:
#   env:NAME       from an environment variable
#   file:PATH      from a file that only you can read
#   keyring:NAME   from the keyring of your system
#   command:CMD    what a command prints, such as a password manager's
#   client         the key that your tool sends; it goes to this provider and nowhere else
#   none           no key
"""

_ROUTES = """\
# Routes: what is asked for, and who answers, in order. The first route that fits counts; the next
# target is asked when one fails. * keeps the name that was asked for. A stand-in gets the prompt,
# too: take out whom you would not send it to. One of another dialect may be told less than was
# asked (x-holdfast-lost names it); losses = "forbidden" in a route goes on to the next instead.
"""


def _cloud(name: str, entry: Entry, variable: str) -> str:
    lines = [f"[providers.{name}]  # {entry.title}", f"key = {_text(f'env:{variable}')}"]
    return "\n".join(lines)


def _engine(name: str, engine: Engine, found: Found) -> str:
    entry = found.entries[engine.provider]
    lines = [f"# {entry.notes}"] if entry.notes else []
    lines += [
        f"[providers.{name}]  # {entry.title}, found running",
        f"dialect = {_texts(entry.dialects)}",
        f"base_url = {_text(engine.base_url)}",
        'kind = "local"',
        'key = "none"',
    ]
    if engine.models:
        lines.append(f"serves = {_texts([_literal(model) for model in engine.models])}")
    if engine.context_tokens is not None:
        lines += [
            f"[[providers.{name}.models]]",
            'model = "*"',
            f"context_tokens = {engine.context_tokens}",
        ]
    else:
        lines += [
            "# How many tokens fit in its window? Say so, and nothing longer is sent there:",
            f"# [[providers.{name}.models]]",
            '# model = "*"',
            "# context_tokens = 65536",
        ]
    return "\n".join(lines)


def _sim(name: str) -> str:
    return (
        f"# Invented answers for a first try without any key: ask for the model {name}/steady.\n"
        f"[providers.{name}]"
    )


def _examples(found: Found) -> str:
    """Clouds that have no key here, as comments: how to add them."""
    there = {name for name, _ in found.clouds}
    rest = [
        (name, entry)
        for name, entry in found.entries.items()
        if entry.kind == "cloud" and name not in there
    ]
    if not rest:
        return ""
    lines = ["# Not found, and easily added: set the variable, take the # away."]
    for name, entry in rest[:_EXAMPLES]:
        lines += [
            f"# [providers.{name}]  # {entry.title}",
            f'# key = {_text(f"env:{entry.key_env[0]}")}   # or "client": your tool brings its own',
        ]
    if rest[_EXAMPLES:]:
        others = ", ".join(f"{name} ({entry.key_env[0]})" for name, entry in rest[_EXAMPLES:])
        lines.append(f"# Known in the same way: {others}.")
    globs = [(name, glob) for name, entry in rest for glob in entry.chats[:1]]
    if globs and not there:
        name, glob = globs[0]
        lines += [
            "# and a route for it:",
            "# [[routes]]",
            f"# model = {_text(glob)}",
            f"# targets = {_texts([f'{name}/*'])}",
        ]
    return "\n".join(lines)


def _engine_names(engines: Sequence[Engine]) -> list[str]:
    """A name for each engine: the second of a kind gets a number."""
    names: list[str] = []
    for n, engine in enumerate(engines):
        before = sum(other.provider == engine.provider for other in engines[:n])
        names.append(f"{engine.provider}-{before + 1}" if before else engine.provider)
    return names


def _locals(engines: Sequence[Engine], names: Sequence[str]) -> list[str]:
    """One target for each engine that has a model to talk with."""
    targets = []
    for name, engine in zip(names, engines, strict=True):
        models = [
            model
            for model in engine.models
            if not any(fnmatchcase(model.lower(), glob) for glob in _NOT_FOR_TALK)
            and not any(char in model for char in "*?")
        ]
        if models:
            # Those who need a stand-in are most often at work on code.
            best = next((model for model in models if "coder" in model.lower()), models[0])
            targets.append(f"{name}/{best}")
    return targets


def _routes(found: Found, local: list[str]) -> list[str]:
    """For each cloud: itself first, then what comes nearest in the other clouds, then local."""
    there = [name for name, _ in found.clouds]
    parts = []
    for name in there:
        entry = found.entries[name]
        stand_ins = [
            f"{other}/{found.entries[other].stand_in}"
            for other in there
            if other != name and found.entries[other].stand_in and _talks(found.entries[other])
        ]
        others = [*stand_ins, *local] if _talks(entry) else []
        parts += [_route(glob, [f"{name}/*", *others]) for glob in entry.chats]
    if not there and local:
        # No cloud at all: tools that ask for a cloud's model by its name get the local one.
        lines = [
            "# Let tools that insist on a cloud's model names talk to your own engine:",
            "# [[routes]]",
            '# model = "*"',
            f"# targets = {_texts(local)}",
        ]
        parts.append("\n".join(lines))
    return parts


def _talks(entry: Entry) -> bool:
    """Whether a call in another dialect can be said anew for it."""
    return entry.dialects[0] in TALK


def _route(glob: str, targets: Sequence[str]) -> str:
    return f"[[routes]]\nmodel = {_text(glob)}\ntargets = {_texts(targets)}"


def _literal(model: str) -> str:
    """A model's name as a glob that matches nothing else."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in model)


def _text(value: str) -> str:
    # A JSON string is a basic TOML string, but for DEL, which TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _texts(values: Sequence[str]) -> str:
    return f"[{', '.join(map(_text, values))}]"


def write_starter(path: Path, text: str) -> bool:
    """Write the starter file for its owner's eyes only; False when there is a file already.

    Whole or not at all, and never over another file. Raises OSError.
    """
    for folder in reversed([path.parent, *path.parent.parents]):
        if not folder.exists():
            with suppress(FileExistsError):
                folder.mkdir(mode=0o700)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write_new(draft, text)
        try:
            # A link, unlike a rename, fails where there is a file already.
            os.link(draft, path)
        except FileExistsError:
            return False
        except OSError:  # a file system without links
            if path.exists():
                return False
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return True


def _write_new(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
