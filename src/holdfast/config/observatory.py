"""The `[observatory]` table: what is watched besides the user's own traffic, and how often."""

from __future__ import annotations

from urllib.parse import urlsplit

from msgspec import Struct

from holdfast.config import addresses
from holdfast.config.addresses import AddressError
from holdfast.config.tables import Table
from holdfast.facts.network import PortalCheck, References

# Pages are not ours: nobody reads them oftener than this.
PAGES_LEAST_S = 300.0
PEERS_MAX = 20
REFERENCES_MAX = 16


class Observatory(Struct, frozen=True, kw_only=True):
    """The whole table. Counts are for one provider and day, `pages_every_s` in seconds.

    `probes`: whether questions of our own are asked where traffic is thin; `watch`: whether chat
    sites, consoles and sign-ins are looked at. `peers` are base URLs of other gateways.
    """

    probes: bool = True
    watch: bool = True
    pages: bool = True
    free_probes_per_day: int = 1500
    paid_probes_per_day: int = 50
    pages_every_s: float = 900.0
    references: References = References()
    peers: tuple[str, ...] = ()


def observatory(table: Table) -> Observatory:
    """The table's meaning; what is wrong with it is noted in its sheet."""
    usual = Observatory()
    free = table.whole("free_probes_per_day", 0, 100_000)
    paid = table.whole("paid_probes_per_day", 0, 10_000)
    every_s = table.number("pages_every_s", PAGES_LEAST_S, 86_400)
    found = Observatory(
        probes=table.flag("probes") is not False,
        watch=table.flag("watch") is not False,
        pages=table.flag("pages") is not False,
        free_probes_per_day=usual.free_probes_per_day if free is None else free,
        paid_probes_per_day=usual.paid_probes_per_day if paid is None else paid,
        pages_every_s=usual.pages_every_s if every_s is None else every_s,
        references=_references(table),
        peers=_urls(table, "peers", ("http", "https"), PEERS_MAX),
    )
    table.close()
    return found


def _references(table: Table) -> References:
    usual = References()
    hosts, portals = usual.hosts, usual.portals
    if "references" in table:
        hosts = _urls(table, "references", ("https",), REFERENCES_MAX)
    if "portals" in table:
        portals = tuple(filter(None, map(_portal, table.tables("portals"))))
    return References(hosts=hosts, portals=portals)


def _portal(table: Table) -> PortalCheck | None:
    url = table.text("url")
    status = table.whole("status", 200, 599)
    says = table.text("says") if "says" in table else None
    if url is None and "url" not in table:
        table.wrong("url", "is missing", 'Write url = "http://…", an address with a known answer.')
    elif url is not None and not url.startswith("http://"):
        what = "is not plain http, and a portal can only answer in place of that"
        table.wrong("url", what, "Write an address that begins with http://.")
        url = None
    table.close()
    return PortalCheck(url, 200 if status is None else status, says or "") if url else None


def _urls(table: Table, key: str, schemes: tuple[str, ...], most: int) -> tuple[str, ...]:
    found = []
    for text in table.texts(key, empty=True):
        try:
            url = addresses.base_url(text)
        except AddressError as bad:
            table.wrong(key, bad.what, bad.remedy)
            continue
        if urlsplit(url).scheme not in schemes:
            table.wrong(key, f"{url} is not {' or '.join(schemes)}", "Write the whole URL.")
        elif url not in found:
            found.append(url)
    if len(found) > most:
        table.wrong(key, f"names more than {most}", "Take some of them out.")
    return tuple(found[:most])
