"""What a simulated run leaves behind: what clients asked and were told, and what was attempted."""

from __future__ import annotations

import hashlib
from typing import Literal

from msgspec import Struct

from holdfast.facts.flights import Intent, Settled
from holdfast.sim.client import Asking

How = Literal["clean", "broken", "left"]


class Told(Struct, frozen=True, kw_only=True):
    """How one exchange looked from the client's side, on whichever shell.

    `text` is what could be read of an answer; `error` the error's message, in a reply or in a
    stream; `body` all bytes of it. `how` the exchange ended: "clean" as HTTP says,
    "broken" off, or the client "left". `served_by`, `stand_in` and `attempts` are what the
    headers say. `status` 0: it did not get so far. Times are the world's seconds.
    """

    id: str
    asking: Asking
    at_s: float
    ended_s: float
    first_s: float | None
    status: int
    headers: dict[bytes, bytes]
    text: str
    error: str
    body: bytes
    how: How
    served_by: str
    stand_in: bool
    attempts: int
    verdict: str
    retry: int = 0

    @property
    def took_s(self) -> float:
        """Seconds from the asking to the end."""
        return self.ended_s - self.at_s

    @property
    def good(self) -> bool:
        """Whether the client takes it for a whole answer."""
        return self.how == "clean" and self.status == 200 and not self.error


class Dialled(Struct, frozen=True, kw_only=True):
    """One attempt as it left, with what the board said of the target at that moment.

    `rested`: the board said that it was resting; `beside`: that another trial was under way.
    `fresh`: a retry, or behind a kept connection that was found closed.
    """

    id: str
    at_s: float
    attempt: int
    target: str
    trial: bool
    last_resort: bool
    rested: bool
    beside: bool
    fresh: bool


class Seen(Struct, frozen=True, kw_only=True):
    """One request that reached a provider."""

    at_s: float
    provider: str
    surface: str
    id: str = ""


class Trace:
    """Everything of one run, in order. Two runs of one seed have the same `digest`.

    `flew` are the calls that took off, `landed` those that ended; both by id. `vouched`: when each
    trial was vouched for, by the attempt's id.
    """

    __slots__ = (
        "_digest",
        "dialled",
        "flew",
        "intents",
        "landed",
        "saw",
        "settled",
        "settled_twice",
        "told",
        "vouched",
    )

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.dialled: list[Dialled] = []
        self.flew: list[str] = []
        self.landed: list[str] = []
        self.intents: dict[str, Intent] = {}
        self.settled: dict[str, Settled] = {}
        self.settled_twice: list[str] = []
        self.vouched: dict[str, float] = {}
        self.saw: list[Seen] = []
        self._digest = hashlib.blake2b(digest_size=16)

    def mark(self, at_s: float, what: str, data: bytes = b"") -> None:
        """Make this moment part of the digest."""
        self._digest.update(f"{at_s:.6f} {what} ".encode())
        self._digest.update(data)

    @property
    def digest(self) -> str:
        """A mark of the whole run."""
        return self._digest.hexdigest()
