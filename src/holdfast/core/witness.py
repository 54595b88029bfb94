"""What others say of a provider: its status page, and other gateways. Claims, never proof.

A claim makes it likelier that failures of one's own are an outage; `times` says by how much. Alone
it makes nothing likely: with no failures of one's own it is never even asked.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from holdfast.facts.evidence import PageState
from holdfast.facts.observations import Observation
from holdfast.facts.pages import PageClaim

# A page that admits an incident: pages do so for some 4 % of the time, and for about every third
# outage within its first minutes.
PAGE_TIMES = 8.0
# One more gateway in trouble. It may be lying, broken, or stand behind the same router.
PEER_TIMES = 5.0
PEERS_COUNTED = 2
PEERS_MAX = 50
# A claim older than this says nothing of now: pages are read every quarter of an hour.
CLAIM_HOLDS_S = 3600.0
# A complaint is fresh for so long. One that began so long before our own trouble is an old story.
FRESH_S = 300.0


class Complaint:
    """What one peer says of one surface: failing since, last heard, and how much of it."""

    __slots__ = ("failed", "heard", "ok", "since")

    def __init__(self, wall: float) -> None:
        self.since = self.heard = wall
        self.failed = self.ok = 0


class Witness:
    """What is claimed of one provider. Times are UTC seconds."""

    __slots__ = ("_peers", "_read_wall", "claim", "said", "state")

    def __init__(self) -> None:
        self.state: PageState | Literal[""] = ""
        self._read_wall = 0.0
        self.claim: PageClaim | None = None
        # When we first read the trouble that the page admits now.
        self.said: float | None = None
        self._peers: dict[tuple[str, str], Complaint] = {}

    def read(self, obs: Observation) -> None:
        """The page was read. Unreadable says nothing, neither for nor against."""
        claim = obs.page
        self._read_wall = obs.wall
        self.state = claim.state if claim is not None else "operational" if obs.ok else "incident"
        self.claim = claim
        if self.state == "incident":
            self.said = obs.wall if self.said is None else self.said
        elif self.state == "operational":
            self.said = None

    def heard(self, obs: Observation) -> None:
        """A peer tells how it fares."""
        key = (obs.peer, obs.surface)
        found = self._peers.get(key)
        if obs.ok:
            if found is not None:
                found.ok += obs.count
                if found.ok > found.failed:
                    del self._peers[key]
            return
        if found is None:
            if len(self._peers) >= PEERS_MAX:
                del self._peers[min(self._peers, key=lambda one: self._peers[one].heard)]
            found = self._peers[key] = Complaint(obs.wall)
        found.heard = obs.wall
        found.failed += obs.count

    def admits(self, surfaces: Collection[str]) -> bool:
        """Whether the page admits trouble that may be ours.

        Not where it shows each of our surfaces, by name, as operational.
        """
        if self.state != "incident":
            return False
        named = {c.surface: c.status for c in self.claim.components} if self.claim else {}
        return not surfaces or any(named.get(one) != "operational" for one in surfaces)

    def page(self, surface: str, wall: float) -> PageState | None:
        """What the page claims of this surface; None: it was not read of late, or names it not."""
        if not self.state or wall - self._read_wall >= CLAIM_HOLDS_S:
            return None
        if self.state == "incident" and not self.admits((surface,)):
            return "operational"
        return self.state

    def claims_since(self) -> float | None:
        """The beginning that the page itself gives for what it still has open."""
        begun = [
            wall
            for one in (self.claim.incidents if self.claim is not None else ())
            if one.resolved_wall is None and one.stage not in ("resolved", "maintenance")
            if (wall := one.started_wall or one.created_wall) is not None
        ]
        return min(begun, default=None)

    def peers(self, surfaces: Collection[str], since: float, wall: float) -> int:
        """How many peers fail there now, in a stretch that began about when ours did."""
        return len(
            {
                peer
                for (peer, surface), one in self._peers.items()
                if (not surface or surface in surfaces)
                and wall - one.heard <= FRESH_S
                and one.since >= since - FRESH_S
            }
        )

    def times(self, surfaces: Collection[str], since: float, wall: float) -> float:
        """By how much all this raises the odds that our failures are an outage."""
        told = PEER_TIMES ** min(PEERS_COUNTED, self.peers(surfaces, since, wall))
        return told * (PAGE_TIMES if self.admits(surfaces) else 1.0)


class Way:
    """The way out of this machine: is it our own network?

    It is in doubt after a look at the network that found it down, and when two providers could not
    be reached while none was. Engines on this machine say nothing about it.
    """

    __slots__ = ("_down", "_looked", "_missed", "reached_wall", "woke")

    TOGETHER_S = 90.0
    LOOK_HOLDS_S = 600.0
    WAKING_S = 60.0

    def __init__(self) -> None:
        self._down: float | None = None
        self._looked: tuple[float, bool] | None = None
        self.reached_wall: float | None = None
        # Providers that could not be reached, and none since: first and last time.
        self._missed: dict[str, tuple[float, float]] = {}
        self.woke: float | None = None

    def looked(self, wall: float, *, ok: bool) -> None:
        """Somebody looked at independent hosts."""
        self._looked = wall, ok
        self._down = None if ok else wall
        if ok:
            self._missed.clear()

    def plain(self, wall: float) -> bool | None:
        """Whether the last look found the plain network working; None: nobody looked of late."""
        if self._looked is None or wall - self._looked[0] >= self.LOOK_HOLDS_S:
            return None
        return self._looked[1]

    def reached(self, provider: str, wall: float) -> None:
        """A provider out there answered, if only with an error."""
        self.reached_wall = wall
        if self._missed:
            if provider in self._missed:
                self._down = None
            self._missed.clear()

    def missed(self, provider: str, wall: float) -> None:
        """A provider could not be reached."""
        first, _ = self._missed.get(provider, (wall, wall))
        if len(self._missed) >= PEERS_MAX:
            self._missed.clear()
        self._missed[provider] = (first, wall)

    def lately_reached(self, wall: float) -> bool:
        """Whether anybody out there answered within the last minutes."""
        return self.reached_wall is not None and 0.0 <= wall - self.reached_wall < self.TOGETHER_S

    def seen_down(self, wall: float) -> bool:
        """Whether a look at the network found it down, not long ago."""
        return self._down is not None and wall - self._down < self.LOOK_HOLDS_S

    def down(self, wall: float) -> bool:
        """Whether nobody out there can be reached, as far as we can tell."""
        lately = sum(wall - last < self.TOGETHER_S for _, last in self._missed.values())
        return lately >= 2 or self.seen_down(wall)

    def since(self, wall: float) -> float:
        """When it began."""
        return min((first for first, _ in self._missed.values()), default=wall)

    def waking(self, wall: float) -> bool:
        """Just woken, when the network is still coming up."""
        return self.woke is not None and 0.0 <= wall - self.woke < self.WAKING_S
