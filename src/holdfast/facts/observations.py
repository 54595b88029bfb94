"""Anything learnt at a time: what goes the second way, into the journal and the board."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from holdfast.facts.outcomes import Verdict
from holdfast.facts.pages import PageClaim

ObservationKind = Literal[
    "traffic", "probe", "knock", "status_page", "network", "peer", "slept", "moved"
]


class Observation(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Anything learnt at a time about a segment; the board folds these.

    `at` is the steady clock of the shell (seconds), `wall` UTC: the routing's health lives by the
    first, incidents by the second. Empty names of `provider`, `surface`, `model`, `credential`
    mean that it is about no particular one.

    - `traffic`, `probe`: one attempt ended (`count` of them, where good samples of one segment and
      one second were put together); for failures `verdict` says what was made of it at that moment.
      It took `took_s` until `at`. `first_content_s` is the time to the first content of a good
      answer, `stand_in`: it came from another than the first choice; `trial`: it was one, of the
      attempt `trial_of`.
    - `knock`: a bare connection was made, or not.
    - `status_page`: the provider's page was read, `page` is its claim; `ok` if all is well there.
    - `network`: the way was looked at, to reference hosts (`provider` empty) or to a provider;
      `failure_kind` is the finding in a word, see `facts.network`.
    - `peer`: another gateway says that `count` of its attempts on this segment went this way;
      `peer` is a name for it that tells no identity.
    - `moved`: the configuration has another address or key for the provider; what was known of it
      was known of another.
    - `slept`: the machine slept for `slept_s`; `wall` is the waking.
    """

    at: float
    wall: float
    kind: ObservationKind
    provider: str = ""
    surface: str = ""
    model: str = ""
    credential: str = ""
    ok: bool = True
    trial: bool = False
    trial_of: str = ""
    count: int = 1
    status: int | None = None
    failure_kind: str = ""
    text: str = ""
    verdict: Verdict | None = None
    took_s: float = 0.0
    first_content_s: float | None = None
    stand_in: bool = False
    page: PageClaim | None = None
    peer: str = ""
    slept_s: float = 0.0


# What is asked of a provider without a price, where there is such a thing.
FREE_SURFACES = ("models", "count_tokens")
_ABSENT = (404, 405, 501)


def absent(obs: Observation) -> bool:
    """Whether an answer says that the provider has no such surface at all."""
    return obs.surface in FREE_SURFACES and (obs.status in _ABSENT or obs.failure_kind == "absent")
