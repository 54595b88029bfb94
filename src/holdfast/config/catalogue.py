"""What is true of the known providers, as data: one file each in `holdfast/providers/`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from importlib.resources import files
from importlib.resources.abc import Traversable

import msgspec
from msgspec import Struct

from holdfast.facts.engines import Marks
from holdfast.facts.pages import PageSource
from holdfast.facts.places import Dialect, Kind, ModelFacts


class Entry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One known provider, as its data file says it; the file's name is its name.

    `key_env`: the variables that usually hold its key, first choice first. `serves`: globs of the
    models it is known for. `chats`: those of them for which another model may stand in.
    `stand_in`: its model for that part. `rank`: its place among the others, small ones first.
    `status_page`: its page for people, `status`: where a program reads that.
    `watch`: surfaces that people use and that cannot be routed (chat site, console, sign-in), with
    the page that shows whether each is there.
    The other fields are those of `facts.places.Provider`.
    """

    title: str
    dialects: tuple[Dialect, ...]
    base_url: str
    kind: Kind = "cloud"
    rank: int = 100
    key_env: tuple[str, ...] = ()
    status_page: str | None = None
    status: PageSource | None = None
    counts: tuple[Dialect, ...] | None = None
    serves: tuple[str, ...] = ()
    chats: tuple[str, ...] = ()
    stand_in: str = ""
    models: tuple[ModelFacts, ...] = ()
    engine: Marks | None = None
    notes: str = ""
    watch: dict[str, str] = {}


Catalogue = dict[str, Entry]


def catalogue(folders: Iterable[Traversable] | None = None) -> Catalogue:
    """The known providers, by rank. `folders`: where the data lies; default: our own.

    Raises ValueError, with the file's name, where the data itself is wrong.
    """
    found: Catalogue = {}
    for folder in folders if folders is not None else (files("holdfast") / "providers",):
        for file in folder.iterdir():
            if file.name.endswith(".toml"):
                found[file.name.removesuffix(".toml")] = _entry(file)
    return dict(sorted(found.items(), key=lambda pair: (pair[1].rank, pair[0])))


def _entry(file: Traversable) -> Entry:
    try:
        return msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8")), Entry)
    except ValueError as error:  # of the syntax as well as of the fields
        raise ValueError(f"provider data {file.name}: {error}") from error


def known_as(entries: Catalogue, name: str, base_url: str | None) -> Entry | None:
    """The entry for a provider of the person's own: by its name, a cloud also by its address."""
    if name in entries:
        return entries[name]
    if base_url is None:
        return None
    clouds = (entry for entry in entries.values() if entry.kind == "cloud")
    return next((entry for entry in clouds if entry.base_url == base_url), None)
