"""The retry budget: so that many clients asking again never make an outage permanent.

A token bucket for each provider, after gRPC's retry throttling (proposal A6), with a small refill
by time so that a person with three calls an hour still gets a retry. It is spent when the *same*
provider is asked again within one call; going on to another provider costs nothing here, because
resting targets already bounds that.
"""

from __future__ import annotations

TOKENS_MAX = 10.0
PER_SUCCESS = 0.1
PER_SECOND = 1 / 60


class Budget:
    """Told the time (steady seconds) with every question."""

    __slots__ = ("_at", "_tokens")

    def __init__(self) -> None:
        self._tokens: dict[str, float] = {}
        self._at: dict[str, float] = {}

    def take(self, provider: str, at: float) -> bool:
        """Spend one retry on this provider, or refuse."""
        tokens = self._refilled(provider, at)
        if tokens < 1.0:
            return False
        self._tokens[provider] = tokens - 1.0
        return True

    def credit(self, provider: str, at: float) -> None:
        """A call ended well there: a tenth of a retry comes back."""
        if provider in self._tokens:
            tokens = self._refilled(provider, at) + PER_SUCCESS
            if tokens >= TOKENS_MAX:
                del self._tokens[provider], self._at[provider]
            else:
                self._tokens[provider] = tokens

    def _refilled(self, provider: str, at: float) -> float:
        before = self._tokens.get(provider, TOKENS_MAX)
        since = at - self._at.get(provider, at)
        self._at[provider] = at
        tokens = min(TOKENS_MAX, before + max(0.0, since) * PER_SECOND)
        self._tokens[provider] = tokens
        return tokens
