"""Text in; one frozen Config, or every problem at once, out."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, cast, get_args

import platformdirs
from msgspec import Struct

from holdfast.config import addresses, keys, provide
from holdfast.config.addresses import AddressError
from holdfast.config.catalogue import Catalogue, catalogue
from holdfast.config.keys import Secret
from holdfast.config.lines import Lines
from holdfast.config.notify import Notify, notify
from holdfast.config.observatory import Observatory, observatory
from holdfast.config.problems import ConfigError, one
from holdfast.config.tables import Sheet, Table
from holdfast.config.whereabouts import HOST, PORT, VARIABLE, default_path, locate
from holdfast.facts.losses import Losses
from holdfast.facts.places import Limits, Provider, Route

_MAX_BYTES = 1_000_000
# The table of our own, whatever stands around it.
_OWN_TABLE = re.compile(r"^[ \t]*\[gateway\][^\n]*\n(?:(?![ \t]*\[)[^\n]*\n?)*", re.MULTILINE)
_AT_LINE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")

_TWICE = re.compile(r"Cannot (?:declare|overwrite|redefine|mutate)\b|Duplicate inline table key\b")
# What it says with quotes around no more than signs of TOML's own.
_FIXED = re.compile(r"Expected '(?:\]|\]\]|=)' (?:at the end of an?|after a key in a) [a-z/ ]+")


class GatewayConfig(Struct, frozen=True, kw_only=True):
    """Where the gateway listens and keeps its files; `keys`: whether clients need one of ours."""

    host: str = HOST
    port: int = PORT
    data_dir: Path
    keys: Literal["off", "required"] = "off"


class Config(Struct, frozen=True, kw_only=True):
    """A whole configuration, checked.

    `providers` stand in the order of the file, `routes`, too. `secrets` holds the key of each
    provider that has one (not for `none` and `client`), by the provider's name. `source` is the
    file, None for a text without one. `notices` are sentences about what works but should be known.
    """

    gateway: GatewayConfig
    providers: dict[str, Provider]
    routes: tuple[Route, ...] = ()
    limits: Limits = Limits()
    source: Path | None = None
    notices: tuple[str, ...] = ()
    secrets: dict[str, Secret] = {}
    notify: Notify = Notify()
    observatory: Observatory = Observatory()

    def describe(self) -> list[str]:
        """The configuration for people: providers, where their keys come from, routes."""
        lines = ["providers"]
        wide = max(map(len, self.providers), default=0)
        for name, provider in self.providers.items():
            place = "built in, simulated" if provider.kind == "sim" else provider.base_url
            key = "" if provider.kind == "sim" else f", {keys.origin(provider.key)}"
            dialects = " + ".join(provider.dialects)
            lines.append(f"  {name:<{wide}}  {place} ({provider.kind}, {dialects}){key}")
        lines.append("routes")
        wide = max((len(route.model) for route in self.routes), default=0)
        lines += [f"  {route.model:<{wide}}  {' → '.join(route.targets)}" for route in self.routes]
        if not self.routes:
            lines.append("  none: a model goes to the provider that is known to serve it")
        return lines


def read(path: Path | None, environ: Mapping[str, str], entries: Catalogue | None = None) -> Config:
    """Read and check the configuration file (see `locate`). Raises ConfigError with all problems.

    `entries`: the known providers; default: our own data.
    """
    file = _there(path, environ)
    return parse(_text(file), environ, source=file, entries=entries)


def glance(path: Path | None, environ: Mapping[str, str]) -> Config:
    """The configuration for those who only look at what runs: no key is asked for.

    What is wrong with the rest of the file is no concern of theirs, since a gateway goes on by what
    it read before; then there are no providers in it. Raises ConfigError where the file, or its
    [gateway], cannot be read.
    """
    file = _there(path, environ)
    text = _text(file)
    try:
        return parse(text, None, source=file)
    except ConfigError as problem:
        own = _OWN_TABLE.search(text)
        root = _root(own[0] if own else "", str(file))
        gateway = _gateway(root.table("gateway"))
        if root.sheet.problems:
            raise problem from None
        return Config(gateway=gateway, providers={}, source=file)


def _there(path: Path | None, environ: Mapping[str, str]) -> Path:
    file = locate(path, environ)
    if file is None:
        raise one(
            default_path(),
            "there is no configuration file",
            "`holdfast up` writes one to begin with, or name yours with --config FILE.",
        )
    return file


def _text(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        remedy = f"Correct --config or ${VARIABLE}, or make the file."
        raise one(file, "there is no such file", remedy) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a path"
        remedy = "Name a file that you may read."
        raise one(file, f"the file cannot be read ({why})", remedy) from None
    if len(data) > _MAX_BYTES:
        raise one(file, "the file is larger than 1 MB", "Name a holdfast configuration.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise one(file, "the file is not UTF-8 text", "Save it as UTF-8.", line) from None


def parse(
    text: str,
    environ: Mapping[str, str] | None,
    *,
    source: Path | None = None,
    entries: Catalogue | None = None,
) -> Config:
    """Check a configuration given as text. Raises ConfigError with all problems.

    `environ` None: keys stay where they are, and nobody is notified.
    """
    name = str(source) if source is not None else "configuration"
    root = _root(text, name)
    known = catalogue() if entries is None else entries
    gateway = _gateway(root.table("gateway"))
    said = provide.limits(root.table("limits"))
    providers: dict[str, Provider] = {}
    secrets: dict[str, Secret] = {}
    tables = root.table("providers")
    for each in tables.names():
        table = tables.table(each)
        providers[each], secret = provide.provider(each, table, known, environ, said)
        if secret is not None:
            secrets[each] = secret
    routes = _routes(root.tables("routes"), providers)
    about = root.table("notify")
    telling = notify(about, environ) if environ is not None else Notify()
    watching = observatory(root.table("observatory"))
    root.close()
    sheet = root.sheet
    if not providers and not sheet.problems:
        remedy = "Add a [providers.NAME] table; the built-in simulator needs nothing else."
        sheet.wrong(("providers",), "there is none", remedy)
    if sheet.problems:
        raise ConfigError(sorted(sheet.problems, key=lambda problem: problem.line or 0))
    return Config(
        gateway=gateway,
        providers=providers,
        routes=routes,
        limits=Limits(**said),
        source=source,
        notices=tuple(sheet.notices),
        secrets=secrets,
        notify=telling,
        observatory=watching,
    )


def _root(text: str, name: str) -> Table:
    try:
        raw: dict[str, object] = tomllib.loads(text)
    except RecursionError:
        raise one(name, "brackets are nested too deep", "Take some of them out.") from None
    except ValueError as error:
        said = str(error)
        match = _AT_LINE.search(said)
        line = int(match[1]) if match and match[1] else text.count("\n") + 1
        raise one(name, *_broken(said[: match.start()] if match else ""), line) from None
    return Table(Sheet(name, Lines(text)), (), raw)


def _broken(said: str) -> tuple[str, str]:
    """What is wrong with a text that is no TOML, and what to do, by what the parser said of it.

    It may quote the file there, and so a secret: only what is known to quote nothing is passed on.
    """
    if _TWICE.match(said):
        return "this table or key stands twice", "Put the two together, or take one of them out."
    what = "this is not valid TOML"
    if _FIXED.fullmatch(said) or (said and '"' not in said and "'" not in said):
        what += f" ({said})"
    return what, "Correct this line; texts need quotes."


def _gateway(table: Table) -> GatewayConfig:
    host = table.text("host") or HOST
    try:
        host = addresses.listen_host(host)
    except AddressError as bad:
        table.wrong("host", bad.what, bad.remedy)
        host = HOST
    wanted = cast("Literal['off', 'required'] | None", table.text("keys", ("off", "required")))
    if wanted == "required":
        table.wrong(
            "keys",
            '"required" cannot be served yet: this version makes no keys of its own',
            'Write keys = "off" and listen on "127.0.0.1".',
        )
    if not addresses.is_loopback(host):
        table.wrong(
            "host",
            "is not this machine alone, and anybody who reaches it could spend your keys",
            'Listen on "127.0.0.1"; other machines can come through SSH.',
        )
    found = GatewayConfig(
        host=host,
        port=table.whole("port", 1, 65535) or PORT,
        data_dir=_data_dir(table),
        keys=wanted or "off",
    )
    table.close()
    return found


def _usual_data_dir() -> str:
    return platformdirs.user_data_dir("holdfast", appauthor=False)


def _data_dir(table: Table) -> Path:
    text = table.text("data_dir")
    path = Path(_usual_data_dir() if text is None else text)
    try:
        path = path.expanduser()
    except RuntimeError:
        table.wrong("data_dir", "names a home that is not known", "Write the whole path.")
        return path
    if not path.is_absolute():
        table.wrong("data_dir", "is a relative path", "Write the whole path, from the root on.")
        return path
    there = path
    try:
        while not there.exists() and there != there.parent:
            there = there.parent
        fine = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    except (OSError, ValueError):  # no entry, a name too long, a loop of links
        fine = False
    if not fine:
        what = "is not a directory that can be written to" if there == path else "cannot be made"
        table.wrong(
            "data_dir", f"{path} {what}", "Choose one where you may write, or change its rights."
        )
    return path


def _routes(tables: list[Table], providers: dict[str, Provider]) -> tuple[Route, ...]:
    routes: list[Route] = []
    for table in tables:
        glob = table.text("model")
        if glob is None and "model" not in table:
            table.wrong("model", "is missing", 'Say which models: model = "name or glob".')
        if "targets" not in table:
            table.wrong("targets", "is missing", 'Write targets = ["provider/model"].')
        targets = table.texts("targets")
        for target in targets:
            _check_target(table, target, providers)
        own_errors = table.flag("own_errors")
        losses = cast("Losses | None", table.text("losses", get_args(Losses)))
        table.close()
        if glob is None:
            continue
        if " " in glob:
            table.wrong("model", "holds a blank, and no model's name does", "Take it out.")
        before = next((route.model for route in routes if _covers(route.model, glob)), None)
        if before is not None:
            table.note(
                "model",
                f"this route is never reached, because {before} stands before it and matches"
                " everything that this one would. Put it further up.",
            )
        routes.append(Route(glob, tuple(targets), own_errors is not False, losses or "allowed"))
    return tuple(routes)


def _check_target(table: Table, target: str, providers: dict[str, Provider]) -> None:
    name, slash, model = target.partition("/")
    if not slash or not name or not model or " " in target:
        table.wrong(
            "targets", f"{target} is not provider/model", "Write it like provider/model, * allowed."
        )
        return
    if model != "*" and any(char in model for char in "*?"):
        table.wrong(
            "targets",
            f"{target} holds a pattern, and a target is one model",
            f"Write {name}/* to keep the asked name, or one model's name.",
        )
    if name not in providers:
        known = ", ".join(providers) or "none"
        table.wrong(
            "targets",
            f"{target} names a provider that is not there",
            f"Add [providers.{name}], or use one of: {known}.",
        )


def _covers(earlier: str, later: str) -> bool:
    """Whether every name that the later glob matches is surely matched by the earlier one."""
    if earlier == later:
        return True
    if any(char in earlier for char in "?[") or "[" in later:
        return False
    # The later one's own stars can only fall under the earlier one's stars.
    return fnmatchcase(later, earlier)
