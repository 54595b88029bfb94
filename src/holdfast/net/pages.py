"""Reads the providers' status pages when they are due, and gives what they claim as observations.

Each answer's ETag or date is kept with its claim: a page that has not changed is not sent again,
and its former claim is observed anew. Where a page has several addresses they are tried in order,
the one that worked last first. A host that could not be reached, or says that it is asked too
often, is not asked for its other addresses.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable
from urllib.parse import urlsplit

from msgspec import Struct

from holdfast.core.reading import Params, Reading
from holdfast.facts.calls import Headers
from holdfast.facts.observations import Observation
from holdfast.facts.outcomes import Failure
from holdfast.facts.pages import PageClaim, PageSource
from holdfast.facts.places import Provider
from holdfast.net.dial import Dialer
from holdfast.net.fetch import Fetched, fetch
from holdfast.wire.pages.claim import About, unreadable
from holdfast.wire.pages.door import LIMIT_BYTES, addresses, read_page
from holdfast.wire.retry_after import retry_after_s

TOTAL_S = 20.0
_ACCEPT = (b"accept", b"application/json, application/rss+xml, application/atom+xml, */*;q=0.5")
_VALIDATORS = ((b"etag", b"if-none-match"), (b"last-modified", b"if-modified-since"))
_VALIDATOR_MAX = 500
_AT_ONCE_BYTES = 128 << 10


class _Kept(Struct, frozen=True):
    """What an address answered last: how to ask whether that has changed, and what it claimed."""

    conditions: Headers
    claim: PageClaim


class PageReader:
    """Reads pages. `dice` is uniform in [0, 1); `clock` is steady, `wall` UTC, both in seconds."""

    __slots__ = ("_clock", "_dialer", "_kept", "_reading", "_total_s", "_wall", "_worked")

    def __init__(
        self,
        dialer: Dialer,
        dice: Callable[[], float],
        *,
        params: Params | None = None,
        total_s: float = TOTAL_S,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._dialer = dialer
        self._reading = Reading(dice, params)
        self._total_s = total_s
        self._clock = clock
        self._wall = wall
        self._kept: dict[str, _Kept] = {}
        self._worked: dict[str, str] = {}  # by provider: the address that could be read

    async def read_due(
        self, providers: Iterable[Provider], *, troubled: Collection[str] = (), online: bool = True
    ) -> list[Observation]:
        """Read all pages that are due now, side by side; nothing is due most of the time.

        `troubled` are the names of providers suspected or declared to be in trouble. Calls may
        overlap: what one has taken up is not due for the next.
        """
        known = {each.name: each for each in providers if each.page or each.status_page}
        due = self._reading.due(self._clock(), known, troubled=troubled, online=online)
        return await asyncio.gather(*(self.read(known[name]) for name in due))

    async def read(self, provider: Provider) -> Observation:
        """Read one provider's page now. What goes wrong is a claim with the state "unreadable"."""
        claim, status, asked_s = await self._first_readable(provider)
        readable = claim.state != "unreadable"
        self._reading.read(provider.name, self._clock(), readable=readable, asked_s=asked_s)
        return Observation(
            at=self._clock(),
            wall=self._wall(),
            kind="status_page",
            provider=provider.name,
            ok=claim.state == "operational",
            status=status or None,
            text=claim.why or claim.described,
            page=claim,
        )

    async def _first_readable(self, provider: Provider) -> tuple[PageClaim, int, float | None]:
        """The first claim that can be read, with its status; else why not, and the wait asked for.

        Of several reasons the first is given, but for a mere "not there".
        """
        source, urls = self._where(provider)
        reasons: list[tuple[PageClaim, int]] = []
        waits_s: list[float] = []
        closed: set[str] = set()  # hosts that are not asked on
        for url in urls:
            if _host(url) in closed:
                continue
            found = await self._fetch(url)
            claim = await self._claim(provider, source, url, found)
            if claim.state != "unreadable":
                self._worked[provider.name] = url
                return claim, found.status, None
            reasons.append((claim, found.status))
            asked_s = retry_after_s(found.headers, self._wall())
            if asked_s is not None:
                waits_s.append(asked_s)
            if found.failure is not None or found.status == 429:
                closed.add(_host(url))
        if not reasons:
            return unreadable(provider.status_page or "", "no status page is known"), 0, None
        reason, status = next((each for each in reasons if each[1] != 404), reasons[0])
        return reason, status, max(waits_s, default=None)

    def _where(self, provider: Provider) -> tuple[PageSource, list[str]]:
        """What is known of a page, and its addresses, the one that worked last first."""
        shown = provider.status_page
        source = provider.page or PageSource(urls=addresses(shown) if shown else ())
        worked = self._worked.get(provider.name)
        urls = [url for url in source.urls if url != worked]
        return source, [worked, *urls] if worked and worked in source.urls else urls

    async def _fetch(self, url: str) -> Fetched:
        kept = self._kept.get(url)
        headers = (_ACCEPT, *(kept.conditions if kept is not None else ()))
        return await fetch(
            self._dialer, url, headers=headers, limit_bytes=LIMIT_BYTES, total_s=self._total_s
        )

    async def _claim(
        self, provider: Provider, source: PageSource, url: str, found: Fetched
    ) -> PageClaim:
        shown = provider.status_page or url
        if found.failure is not None:
            return unreadable(shown, _why(found.failure))
        kept = self._kept.get(url)
        if found.status == 304 and kept is not None:
            return kept.claim
        about = About(source, self._wall(), shown)
        answer = found.status, found.headers, found.body
        if len(found.body) > _AT_ONCE_BYTES:  # it may take a second, and no call waits for a page
            claim = await asyncio.to_thread(read_page, *answer, about)
        else:
            claim = read_page(*answer, about)
        self._kept.pop(url, None)
        if claim.state != "unreadable":
            self._kept[url] = _Kept(_conditions(found.headers), claim)
        return claim


def _conditions(headers: Headers) -> Headers:
    """The headers that ask whether an answer has changed since."""
    said = dict(headers)
    return tuple(
        (condition, said[name])
        for name, condition in _VALIDATORS
        if name in said and len(said[name]) <= _VALIDATOR_MAX
    )


def _why(failure: Failure) -> str:
    if failure.kind == "tls" and "certificate" in failure.text:
        return f"bad certificate: {failure.text}"
    if failure.kind == "too_large":
        return f"too large: {failure.text}"
    return f"not reached: {failure.text}" if failure.where == "connect" else failure.text


def _host(url: str) -> str:
    return urlsplit(url).netloc
