"""RSS and Atom: AWS (a feed for each service and region), Azure, and any page's history.

A feed states no stages, so an entry's is read from its words, with care: one in its title or
its category, else the first that its text says. XML with a document type or entities is refused
before it is parsed; no feed needs either.
"""

from __future__ import annotations

import re
from xml.etree.ElementTree import ParseError, XMLParser

from holdfast.facts.pages import PageClaim, PageIncident, Stage
from holdfast.wire.pages import claim
from holdfast.wire.pages.claim import About
from holdfast.wire.pages.plain import UnreadableError, moment, text, utf8

_DEPTH_MAX = 40
_ENTRIES_MAX = 500
_FIELD_MAX = 8_000
_REFUSED = re.compile(r"<!\s*(?:DOCTYPE|ENTITY)", re.IGNORECASE)
_ROOTS = ("rss", "rdf", "feed")
_ENTRIES = ("item", "entry")
# Names of RSS and Atom for the same thing.
_FIELDS = {
    "title": "title",
    "description": "body",
    "summary": "body",
    "content": "body",
    "encoded": "body",
    "pubdate": "published",
    "published": "published",
    "date": "published",
    "updated": "updated",
    "guid": "id",
    "id": "id",
    "category": "category",
}
_SERIAL = re.compile(r"_\d{9,}$")
# Past this an entry that was never closed says nothing about now.
_STALE_S = 48 * 3600.0
_WELL = re.compile(r"\b(?:resolved|operating normally|completed|mitigated)\b", re.IGNORECASE)
_WORDS = re.compile(
    r"\b(resolved|completed|mitigated|postmortem|monitoring|identified|investigating|"
    r"scheduled)\b|\boperating normally\b",
    re.IGNORECASE,
)
_STAGES: dict[str, Stage] = {
    "resolved": "resolved",
    "completed": "resolved",
    "mitigated": "resolved",
    "postmortem": "resolved",
    "operating normally": "resolved",
    "monitoring": "monitoring",
    "identified": "identified",
    "investigating": "investigating",
    "scheduled": "maintenance",
}

Entry = dict[str, str]


def read(data: bytes, about: About) -> PageClaim:
    """The claim of a feed's entries that count. Raises UnreadableError."""
    title, entries = _parsed(utf8(data))
    told: dict[str, PageIncident] = {}
    for entry in entries:
        found = _incident(entry, about)
        if not about.counts(f"{found.name} {text(entry.get('body'), 2000)}"):
            continue
        # Some feeds have an entry for every update: the newest speaks.
        key = _SERIAL.sub("", entry.get("id", "")) or found.id
        known = told.get(key)
        if known is None or (found.updated_wall or 0.0) > (known.updated_wall or 0.0):
            told[key] = found
    current = [each.name for each in told.values() if claim.is_open(each, about.at)]
    return claim.claim(about, (), told.values(), described=current[0] if current else title)


def _parsed(page: str) -> tuple[str, list[Entry]]:
    """The feed's title and its entries."""
    if _REFUSED.search(page):
        raise UnreadableError("its XML declares a document type or entities, which is refused")
    collected = _Collected()
    parser = XMLParser(target=collected)  # noqa: S314 - see above
    try:
        parser.feed(page)
        parser.close()
    except ParseError:
        raise UnreadableError("it is not the XML that was promised") from None
    if collected.root not in _ROOTS:
        raise UnreadableError("its XML is not a feed")
    return collected.title, collected.entries


class _Collected:
    """What the parser tells, in bounds: no tree is built."""

    def __init__(self) -> None:
        self.root = ""
        self.title = ""
        self.entries: list[Entry] = []
        self._path: list[str] = []
        self._field = ""  # the one that is being read
        self._field_depth = 0
        self._parts: list[str] = []
        self._size = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:  # noqa: ARG002
        name = tag.rpartition("}")[2].lower()
        if not self._path:
            self.root = name
        self._path.append(name)
        if len(self._path) > _DEPTH_MAX:
            raise UnreadableError("its XML is nested too deeply")
        if name in _ENTRIES and len(self.entries) < _ENTRIES_MAX:
            self.entries.append({})
        elif not self._field and name in _FIELDS:
            self._field, self._field_depth = _FIELDS[name], len(self._path)
            self._parts, self._size = [], 0

    def data(self, data: str) -> None:
        if self._field and self._size < _FIELD_MAX:
            self._parts.append(data[: _FIELD_MAX - self._size])
            self._size += len(data)

    def end(self, tag: str) -> None:  # noqa: ARG002
        if self._field and len(self._path) == self._field_depth:
            value = " ".join(self._parts) if self._field == "body" else "".join(self._parts)
            if any(name in _ENTRIES for name in self._path[:-1]):
                self.entries[-1].setdefault(self._field, value)
            elif self._field == "title" and not self.title:
                self.title = value
            self._field = ""
        self._path.pop()

    def close(self) -> None:
        pass


def _incident(entry: Entry, about: About) -> PageIncident:
    title, body = text(entry.get("title")), text(entry.get("body"), 2000)
    published = moment(entry.get("published"), about.at)
    updated = moment(entry.get("updated"), about.at) or published
    found = _stage(f"{title} {text(entry.get('category'), 40)}", body)
    if found != "resolved" and updated is not None and about.at - updated > _STALE_S:
        found = "unknown"
    return claim.incident(
        id=entry.get("id"),
        name=title or body,
        stage=found,
        started=None,
        created=published,
        updated=updated,
    )


def _stage(title: str, body: str) -> Stage:
    if _WELL.search(title):
        return "resolved"
    match = _WORDS.search(title) or _WORDS.search(body)
    return _STAGES[match[0].lower()] if match is not None else "unknown"
