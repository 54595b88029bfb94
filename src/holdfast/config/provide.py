"""One `[providers.NAME]` table into one Provider and its secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast, get_args
from urllib.parse import urlsplit

import msgspec

from holdfast.config import addresses, keys
from holdfast.config.addresses import AddressError
from holdfast.config.catalogue import Catalogue, Entry, known_as
from holdfast.config.keys import KeySourceError, Secret
from holdfast.config.tables import Table
from holdfast.facts.pages import PageSource
from holdfast.facts.places import (
    Dialect,
    Effort,
    Kind,
    Limits,
    ModelFacts,
    Provider,
    Setting,
    Thinks,
)
from holdfast.wire.headers import is_subscription

DIALECTS: tuple[str, ...] = get_args(Dialect)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MOST_TOKENS = 1_000_000_000
# An engine on one's own machine loads its model first, and reads a long prompt for minutes, in
# silence: as long as coding tools wait for a gateway.
ENGINE_PATIENCE = {"headers_s": 300.0, "content_s": 300.0}


def provider(
    name: str,
    table: Table,
    entries: Catalogue,
    environ: Mapping[str, str] | None,
    patience: Mapping[str, float],
) -> tuple[Provider, Secret | None]:
    """The provider that a table describes; what is wrong with it is noted in the table's sheet.

    A known one (by its name, else by its address) needs nothing but what differs from the data.
    `environ` None: its key stays where it is. `patience` is what the configuration says of all
    providers' limits.
    """
    if not _NAME.fullmatch(name):
        table.sheet.wrong(
            table.where,
            "is not a name for a provider",
            "Use letters, digits, dot, dash and underscore, 64 at most.",
        )
    own_url = _base_url(table)
    entry = known_as(entries, name, own_url)
    dialects = tuple(table.texts("dialect", DIALECTS, lone=True))
    url = own_url or (entry.base_url if entry else "")
    kind = cast("Kind | None", table.text("kind", ("cloud", "local")))
    engine = kind == "local" or (kind is None and entry is not None and entry.kind == "local")
    if kind is None:
        kind = _kind(entry, own_url)
    said = {**(ENGINE_PATIENCE if engine else {}), **patience, **limits(table.table("limits"))}
    if entry is None:
        _demand(table, entries, "dialect")
        _demand(table, entries, "base_url")
    _check_scheme(table, own_url)
    allow_subscription = table.flag("allow_subscription") or False
    reference, secret = _key(table, entry, url, kind, environ)
    _check_subscription(table, secret, allowed=allow_subscription)
    serves = tuple(table.texts("serves"))
    own_page = _status_page(table)
    # Who stands in for a known provider on this machine has no page of its own unless one is named.
    here = addresses.is_loopback(urlsplit(url).hostname or "")
    found = Provider(
        name=name,
        dialects=cast("tuple[Dialect, ...]", dialects) or (entry.dialects if entry else ()),
        base_url=url,
        key=reference,
        kind=kind,
        status_page=own_page or (entry.status_page if entry and not here else None),
        page=None if here and own_page is None else _page_source(entry, own_page),
        counts=entry.counts if entry else None,
        serves=serves or (entry.serves if entry else ()),
        models=(*_models(table), *(entry.models if entry else ())),
        allow_subscription=allow_subscription,
        limits=Limits(**said) if said != patience else None,
    )
    table.close()
    return found, secret


def limits(table: Table) -> dict[str, float]:
    """The limits that a table names."""
    found = {}
    for name in Limits.__struct_fields__:
        # Ten minutes are the longest that today's clients wait; a day is the longest we believe.
        value = table.number(name, 0.001, 86_400)
        if value is not None:
            found[name] = value
    table.close()
    return found


def _kind(entry: Entry | None, own_url: str | None) -> Kind:
    # What has an address of its own is no simulator of ours, whatever its name.
    if entry is not None and not (entry.kind == "sim" and own_url):
        return entry.kind
    return "local" if own_url and addresses.is_loopback(addresses.host_of(own_url)) else "cloud"


def _demand(table: Table, entries: Catalogue, key: str) -> None:
    if key in table:
        return
    names = ", ".join(entries)
    table.wrong(
        key,
        "is missing, and this provider is not one that holdfast knows by name",
        f"Write {key} = …, or use a known name: {names}.",
    )


def _base_url(table: Table) -> str | None:
    text = table.text("base_url")
    if text is None:
        return None
    try:
        return addresses.base_url(text)
    except AddressError as bad:
        table.wrong("base_url", bad.what, bad.remedy)
        return None


def _check_scheme(table: Table, url: str | None) -> None:
    """Prompts and keys do not leave the machine in the clear unless that is said to be meant."""
    meant = table.flag("insecure_http") or False
    if url is None or url.startswith("https:") or addresses.is_loopback(addresses.host_of(url)):
        return
    if meant:
        table.note("insecure_http", "prompts, answers and the key travel unencrypted to this host.")
        return
    table.wrong(
        "base_url",
        "is http to another machine: prompts, answers and the key would travel unencrypted",
        "Use https, or write insecure_http = true if this network may read them.",
    )


def _key(
    table: Table, entry: Entry | None, url: str, kind: Kind, environ: Mapping[str, str] | None
) -> tuple[str, Secret | None]:
    if "key" in table or environ is None:
        reference = (table.text("key") or "none").strip()
    else:
        reference = _usual_key(table, entry, url, kind, environ)
    if environ is None:
        return reference, None
    try:
        secret = keys.resolve(reference, environ)
    except KeySourceError as trouble:
        table.wrong("key", trouble.what, trouble.remedy)
        return "none", None
    warning = keys.notice(reference)
    if warning is not None:
        table.note("key", f"{warning}.")
    return reference, secret


def _usual_key(
    table: Table, entry: Entry | None, url: str, kind: Kind, environ: Mapping[str, str]
) -> str:
    """The reference for a table that names none.

    The usual variables count only for the provider's own address: a key does not go to another
    host because a URL was changed. Whatever is not on this machine must be told its key.
    """
    own = entry is not None and url == entry.base_url
    variables = entry.key_env if entry is not None and own else ()
    for variable in variables:
        if environ.get(variable, "").strip():
            return f"env:{variable}"
    if kind != "cloud" or not url or addresses.is_loopback(addresses.host_of(url)):
        return "none"
    if variables:
        what = f"is missing, and {' or '.join(variables)} is not set"
        table.wrong("key", what, f"Set {variables[0]}, or write key = … ({keys.FORMS}).")
    else:
        what = "is missing: holdfast sends no key to a host that was not named for it"
        table.wrong("key", what, f"Write key = … ({keys.FORMS}).")
    return "none"


def _check_subscription(table: Table, secret: Secret | None, *, allowed: bool) -> None:
    if allowed:
        table.note(
            "allow_subscription",
            "subscription (OAuth) tokens are passed on to this provider. Its terms may forbid the"
            " use of a subscription through other programs; an API key is the safe way.",
        )
    elif secret is not None and is_subscription(secret.reveal().encode()):
        table.wrong(
            "key",
            "is a subscription (OAuth) token and no API key",
            "Use an API key, or read the provider's terms and write allow_subscription = true.",
        )


def _status_page(table: Table) -> str | None:
    text = table.text("status_page")
    if text is None:
        return None
    try:
        addresses.base_url(text)
    except AddressError as bad:
        table.wrong("status_page", bad.what, bad.remedy)
        return None
    return text


def _page_source(entry: Entry | None, own: str | None) -> PageSource | None:
    """Where the page is read by a program; for one of the person's own that is found by asking."""
    if entry is None or (own is not None and own.rstrip("/") != entry.status_page):
        return None
    return entry.status


def _models(table: Table) -> list[ModelFacts]:
    found = []
    for item in table.tables("models"):
        glob = item.text("model")
        if glob is None and "model" not in item:
            item.wrong("model", "is missing", 'Say which models: model = "name or glob".')
        facts = ModelFacts(
            model=glob or "",
            context_tokens=item.whole("context_tokens", 1, _MOST_TOKENS),
            output_tokens=item.whole("output_tokens", 1, _MOST_TOKENS),
            tools_max=item.whole("tools_max", 1, _MOST_TOKENS),
            tools=item.flag("tools"),
            vision=item.flag("vision"),
            documents=item.flag("documents"),
            json_schema=item.flag("json_schema"),
            thinking=item.flag("thinking"),
            thinks=_words(item, "thinks", get_args(Thinks)),
            efforts=_words(item, "efforts", get_args(Effort)),
            thinking_tokens=_range(item, "thinking_tokens"),
            refuses=_words(item, "refuses", get_args(Setting)),
            refuses_thinking=_words(item, "refuses_thinking", get_args(Setting)),
            dialect=cast("Dialect | None", item.text("dialect", DIALECTS)),
        )
        item.close()
        if glob is not None:
            found.append(msgspec.structs.replace(facts, model=glob))
    return found


def _words(table: Table, key: str, words: tuple[str, ...]) -> tuple[Any, ...] | None:
    """Some of these words; None where the key is absent. An empty list says: none."""
    if key not in table:
        return None
    return tuple(table.texts(key, words, empty=True))


def _range(table: Table, key: str) -> tuple[int, int] | None:
    pair = table.wholes(key, 0, _MOST_TOKENS)
    if pair is None:
        return None
    if len(pair) != 2 or pair[0] > pair[1]:
        table.wrong(key, "must be the least and the most", f"Write {key} = [1024, 32768].")
        return None
    return pair[0], pair[1]
