"""Asks peers for what they observed, each at its own pace, and forgives them everything.

A `Source` is anything that others' observations come from. There is one: another gateway's feed.
A store that a team shares would be a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from holdfast.core.peers import FEED_BYTES_MAX, FeedError, Hearing, read_feed, wait_s
from holdfast.facts.observations import Observation
from holdfast.net.dial import Dialer
from holdfast.net.fetch import fetch

FEED_PATH = "/-/observations"
TOTAL_S = 10.0


class Source(Protocol):
    """Where observations of others come from.

    `due` says whether it should be asked now (steady clock, seconds); `news` asks, and raises
    nothing but cancellation. `trouble`: why nothing comes of it at present, for people.
    """

    trouble: str | None

    def due(self, at: float) -> bool: ...
    async def news(self) -> list[Observation]: ...


class Peer:
    """Another gateway that was named in the configuration.

    `name` is what it is called in observations ("peer1"): its address would tell who it is.
    `claims(nonce, name)` says whether this peer is the one to be heard for a process, see `Peers`.
    """

    __slots__ = (
        "_claims",
        "_clock",
        "_dialer",
        "_dice",
        "_due_at",
        "_failures",
        "_wall",
        "hearing",
        "trouble",
        "url",
    )

    def __init__(
        self,
        url: str,
        hearing: Hearing,
        dialer: Dialer,
        *,
        claims: Callable[[str, str], str | None],
        clock: Callable[[], float],
        wall: Callable[[], float],
        dice: Callable[[], float],
    ) -> None:
        self.url = url
        self.hearing = hearing
        self.trouble: str | None = None
        self._dialer = dialer
        self._claims = claims
        self._clock = clock
        self._wall = wall
        self._dice = dice
        self._failures = 0
        self._due_at = clock()

    def due(self, at: float) -> bool:
        return at >= self._due_at

    async def news(self) -> list[Observation]:
        """Ask once; what is new. It is not due again before its answer has been read."""
        self._due_at = float("inf")
        try:
            found = await self._ask()
            self._failures, self.trouble = 0, None
        except FeedError as error:
            found = []
            self._failures += 1
            self.trouble = (
                f"The peer {self.url} is not heard: {error}. Calls are not affected; look there,"
                " or take it out of peers under [observatory]."
            )
        finally:
            self._due_at = self._clock() + wait_s(self._failures, self._dice)
        return found

    async def _ask(self) -> list[Observation]:
        url = self.url.rstrip("/") + FEED_PATH
        told = await fetch(
            self._dialer, url, limit_bytes=FEED_BYTES_MAX, total_s=TOTAL_S, redirects=0
        )
        if told.failure is not None:
            raise FeedError(told.failure.text or told.failure.kind.replace("_", " "))
        if told.status != 200:
            raise FeedError(f"it answers with the status {told.status}")
        now = self._wall()
        feed = read_feed(told.body, now)
        objection = self._claims(feed.nonce, self.hearing.peer)
        if objection is not None:
            raise FeedError(objection)
        return self.hearing.news(feed, now, self._clock())


class Peers:
    """All peers of one gateway. `nonce` is its own (see `core.peers.Tally`).

    A peer that is this very process, or one that is heard already under another address, is
    named as such and not heard: nobody confirms himself, and nobody twice.
    """

    __slots__ = ("_heard", "_nonce", "sources")

    def __init__(
        self,
        urls: Iterable[str],
        nonce: str,
        names: Mapping[str, str],
        dialer: Dialer,
        *,
        clock: Callable[[], float],
        wall: Callable[[], float],
        dice: Callable[[], float],
    ) -> None:
        self._nonce = nonce
        self._heard: dict[str, str] = {}  # by peer, the process that it was last
        self.sources: list[Source] = [
            Peer(
                url,
                Hearing(f"peer{number}", names),
                dialer,
                claims=self._claims,
                clock=clock,
                wall=wall,
                dice=dice,
            )
            for number, url in enumerate(dict.fromkeys(urls), 1)
        ]

    def due(self, at: float) -> list[Source]:
        """Those that should be asked now (steady clock)."""
        return [source for source in self.sources if source.due(at)]

    @property
    def alarms(self) -> tuple[str, ...]:
        """What is wrong with them, in sentences for people."""
        return tuple(source.trouble for source in self.sources if source.trouble is not None)

    def _claims(self, nonce: str, peer: str) -> str | None:
        """Why this process is not to be heard as this peer; None if it is."""
        if nonce == self._nonce:
            return "it is this very gateway"
        if any(own == nonce for name, own in self._heard.items() if name != peer):
            return "it is a peer that is heard already, under another address"
        self._heard[peer] = nonce
        return None
