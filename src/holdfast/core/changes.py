"""What changed at a provider's front: fingerprints kept, and values never seen before reported.

A front is told by a few fields (`facts.fingerprints.Field`), each with the values seen in it. A new
value is a change only behind a calm: nothing new for `CALM_S`, in `CALM_COUNT` observations at
least. So a pool of addresses that is still being learnt reports nothing, and what is known stays
known. A field that has taken more values than are kept is restless for good: there a new value
says nothing. Changes are facts with a time; what they mean is not said here.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network

from holdfast.facts.fingerprints import Change, Evidence, Field, Print, Seen

CALM_COUNT = 20
CALM_S = 3600.0
VALUES_MAX = 64
MODELS_MAX = 512  # a list may be long, and comes whole
CHANGES_MAX = 256
PRINTS_MAX = 2048
BEFORE_MAX = 4
_VALUE_LENGTH = 128

# A version or an id behind a product's name: `nginx/1.25.3`, `Varnish (cache-fra-123)`.
_VERSION = re.compile(r"/\S*|\([^)]*\)|\bv?\d+(?:\.\d+)+\b")
_VIA = re.compile(r"^\s*(?:[\w.-]+/)?\d+(?:\.\d+)?\s+(\S+)")


class Changes:
    """The fingerprints of all providers, folded from evidence. One for a gateway."""

    def __init__(self, prints: Iterable[Print] = (), changes: Iterable[Change] = ()) -> None:
        """Begin with what was kept (see `prints` and `log`), or with nothing."""
        self._prints: dict[tuple[str, str, Field], Print] = {}
        for kept in prints:
            self._prints[kept.provider, kept.surface, kept.field] = _copy(kept)
        self._log: deque[Change] = deque(changes, CHANGES_MAX)

    def observe(
        self, wall: float, provider: str, surface: str, evidence: Evidence
    ) -> tuple[Change, ...]:
        """Fold what one connection showed at `wall` (UTC seconds); what is new in it, if anything.

        An empty part of the evidence was not seen, and counts for nothing.
        """
        found = tuple(
            change
            for field, values in fields_of(evidence)
            for change in self._fold(wall, (provider, surface, field), values)
        )
        self._log.extend(found)
        return found

    @property
    def prints(self) -> tuple[Print, ...]:
        """All fingerprints, as copies to be kept: `Changes(prints, log)` goes on from there."""
        return tuple(_copy(kept) for kept in self._prints.values())

    @property
    def log(self) -> tuple[Change, ...]:
        """The last changes, in the order in which they were met."""
        return tuple(self._log)

    def _fold(
        self, wall: float, key: tuple[str, str, Field], values: tuple[str, ...]
    ) -> Iterator[Change]:
        kept = self._prints.get(key)
        if kept is None:
            if len(self._prints) >= PRINTS_MAX:
                del self._prints[next(iter(self._prints))]
            provider, surface, field = key
            kept = self._prints[key] = Print(
                provider=provider,
                surface=surface,
                field=field,
                since=wall,
                calm_since=wall,
                seen=[],
            )
        known = {seen.value: seen for seen in kept.seen}
        new = [value for value in values if value not in known]
        for value in values:
            if value in known:
                seen = known[value]
                seen.last, seen.count = max(seen.last, wall), seen.count + 1
        if new and _calm(kept, wall):
            before = tuple(s.value for s in sorted(kept.seen, key=lambda s: (-s.count, s.value)))
            for value in new:
                yield Change(
                    at=wall,
                    provider=kept.provider,
                    surface=kept.surface,
                    field=kept.field,
                    value=value,
                    before=before[:BEFORE_MAX],
                    known=len(before),
                    since=kept.since,
                )
        _learn(kept, new, wall)


def _calm(kept: Print, wall: float) -> bool:
    return not kept.restless and kept.calm_count >= CALM_COUNT and wall - kept.calm_since >= CALM_S


def _learn(kept: Print, new: list[str], wall: float) -> None:
    """Take up new values, the longest unseen out where there are too many."""
    if new or wall < kept.calm_since:  # a clock set back begins the calm anew
        kept.calm_since, kept.calm_count = wall, 0
    else:
        kept.calm_count += 1
    if not new:
        return
    kept.seen += [Seen(value=value, first=wall, last=wall) for value in new]
    most = MODELS_MAX if kept.field == "model" else VALUES_MAX
    if len(kept.seen) > most:
        kept.restless = True
        kept.seen = sorted(kept.seen, key=lambda seen: seen.last)[-most:]


def _copy(kept: Print) -> Print:
    seen = [Seen(value=s.value, first=s.first, last=s.last, count=s.count) for s in kept.seen]
    return Print(
        provider=kept.provider,
        surface=kept.surface,
        field=kept.field,
        since=kept.since,
        calm_since=kept.calm_since,
        calm_count=kept.calm_count,
        restless=kept.restless,
        seen=seen,
    )


# ---------------------------------------------------------------- what evidence shows


def fields_of(evidence: Evidence) -> Iterator[tuple[Field, tuple[str, ...]]]:
    """The fingerprint of one connection: for each field that was seen, its values, sorted."""
    shown: tuple[tuple[Field, Iterable[str]], ...] = (
        ("address", [address_range(evidence.address)]),
        ("issuer", [evidence.issuer]),
        ("name", evidence.names),
        ("server", _products(evidence.headers)),
        ("header", [name for name, _ in evidence.headers]),
        ("protocol", [" ".join(part for part in (evidence.tls, evidence.alpn) if part)]),
        ("model", evidence.models[:MODELS_MAX]),
        ("error", [evidence.error]),
    )
    for field, values in shown:
        kept = sorted({value[:_VALUE_LENGTH] for value in values if value})
        if kept:
            yield field, tuple(kept)


def address_range(address: str) -> str:
    """The range an address is counted in: /16 of IPv4, /32 of IPv6; empty for anything else."""
    try:
        bits = 16 if ip_address(address).version == 4 else 32
        return str(ip_network(f"{address.partition('%')[0]}/{bits}", strict=False))
    except ValueError:
        return ""


def _products(headers: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Who names himself in `server` and `via`: words alone, for versions and ids come and go."""
    for name, value in headers:
        if name == "server":
            yield " ".join(_VERSION.sub(" ", value).lower().split())
        elif name == "via":
            for hop in value.split(","):
                met = _VIA.match(hop)
                if met is not None:
                    yield "via " + _hop(met[1].lower())


def _hop(name: str) -> str:
    """A relay's name without the machine's: `a1b2.cloudfront.net` is `cloudfront.net`."""
    host = name.partition(":")[0]
    labels = host.split(".")
    return ".".join(labels[-2:]) if len(labels) > 2 else re.split(r"[-_\d]", host)[0] or "?"


# ---------------------------------------------------------------- for people

_TELLS: dict[Field, str] = {
    "address": "first answered from {value}",
    "issuer": "first showed a certificate signed by {value}",
    "name": "its certificate first named {value}",
    "server": "first answered as “{value}”",
    "header": "first sent the header {value}",
    "protocol": "first spoke {value}",
    "model": "first listed the model {value}",
    "error": "first sent an error of the shape {value}",
}


def utc(wall: float) -> str:
    """Date and minute in UTC; for display, give `told` a function of the reader's own time."""
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%d %H:%M UTC")


def told(change: Change, time: Callable[[float], str] = utc) -> str:
    """A change as a sentence: what, when, and what was known before. No guess at its meaning."""
    what = _TELLS[change.field].format(value=change.value)
    sentence = f"{change.provider} {change.surface}: {what} at {time(change.at)}"
    if change.field in ("model", "name", "header") or not change.before:
        return f"{sentence}; never before since {time(change.since)}"
    more = change.known - len(change.before)
    before = ", ".join(change.before) + (f" and {more} more" if more > 0 else "")
    return f"{sentence}; before only {before} since {time(change.since)}"
