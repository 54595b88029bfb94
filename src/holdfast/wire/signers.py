"""Whose signatures a client holds: a provider refuses thoughts that another one signed.

A provider that is a route's first choice is the one whose signatures clients hold, so only those
that stand in for it are remembered: what nobody is known to have signed belongs to the first
choice, and to no stand-in. Bounded; what is forgotten costs thoughts, or a refusal.
"""

from __future__ import annotations

import re
from collections import OrderedDict

import msgspec

from holdfast.wire.speech import TAKES_ALL, UNREADABLE, Takes

KEPT_MAX = 50_000
# What vouches for thoughts, in whichever dialect; pieces are whole events.
_SIGNED = re.compile(
    rb'"(?:signature|thoughtSignature|encrypted_content|data)"\s*:\s*("(?:[^"\\]|\\.)+")'
)
_string = msgspec.json.Decoder(str).decode


class Signers:
    """Who signed what, of those that stood in for another."""

    __slots__ = ("_by",)

    def __init__(self) -> None:
        self._by: OrderedDict[int, str] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by)

    def keep(self, answer: bytes, provider: str) -> None:
        """All signatures in these bytes are this provider's."""
        for found in _SIGNED.finditer(answer):
            try:
                signature = _string(found[1])
            except UNREADABLE:
                continue
            self._by[hash(signature)] = provider
        while len(self._by) > KEPT_MAX:
            self._by.popitem(last=False)

    def takes(self, provider: str, *, stand_in: bool, local: bool) -> Takes:
        """What this provider takes back. Engines check no signatures and give none."""
        by = self._by
        if not by and not stand_in:
            return TAKES_ALL if local else _SIGNED_BY_ANY

        def signed(signature: str) -> bool:
            known = by.get(hash(signature))
            return not stand_in if known is None else known == provider

        return Takes(signed, unsigned=local)


_SIGNED_BY_ANY = Takes(unsigned=False)
