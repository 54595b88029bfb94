"""When an invented provider is in trouble, and with what: spans on the provider's own time.

`SCENARIOS` are the rehearsals that ship. Times are seconds since the scenario began; `scaled`
plays one faster or slower.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType

import msgspec
from msgspec import Struct

# One surface has several names, by the dialect in which it is asked.
TALK = ("messages", "chat", "responses", "generate_content")


class Span(Struct, frozen=True, kw_only=True):
    """From `from_s` until `until_s` (exclusive) requests meet `fault`, each with `probability`.

    `surfaces`, `models` (globs) and `credentials` narrow it; None stands for all. `fault` is a
    name of `faults.BEHAVIOURS`.
    """

    from_s: float
    until_s: float
    fault: str
    surfaces: tuple[str, ...] | None = None
    models: tuple[str, ...] | None = None
    credentials: tuple[str, ...] | None = None
    probability: float = 1.0

    def covers(self, at_s: float, surface: str, model: str, credential: str) -> bool:
        """Whether a request at this time, for these, falls into the span."""
        if not self.from_s <= at_s < self.until_s:
            return False
        if self.surfaces is not None and surface not in self.surfaces:
            return False
        if self.credentials is not None and credential not in self.credentials:
            return False
        return self.models is None or any(fnmatchcase(model, glob) for glob in self.models)


class Timeline(Struct, frozen=True):
    """The spans of one scenario; of those that overlap, the first whose dice falls decides.

    `length_s` is how long it takes until the provider is well again and some calls have shown it;
    0 where it goes on for ever. `says` tells people what is rehearsed.
    """

    spans: tuple[Span, ...] = ()
    length_s: float = 0.0
    says: str = ""

    def fault(
        self, at_s: float, surface: str, model: str, credential: str, dice: float
    ) -> str | None:
        """The fault that a request meets, None for none. `dice` is uniform in [0, 1)."""
        for span in self.spans:
            if dice < span.probability and span.covers(at_s, surface, model, credential):
                return span.fault
        return None

    def scaled(self, factor: float) -> Timeline:
        """The same scenario with every time multiplied by `factor`. Raises ValueError if ≤ 0."""
        if factor <= 0:
            raise ValueError(f"a scenario cannot be played {factor} times as long")
        spans = tuple(
            msgspec.structs.replace(s, from_s=s.from_s * factor, until_s=s.until_s * factor)
            for s in self.spans
        )
        return Timeline(spans, self.length_s * factor, self.says)

    def shifted(self, by_s: float) -> Timeline:
        """The same scenario, begun `by_s` seconds later."""
        spans = tuple(
            msgspec.structs.replace(s, from_s=s.from_s + by_s, until_s=s.until_s + by_s)
            for s in self.spans
        )
        return Timeline(spans, self.length_s + by_s, self.says)

    def troubled(self, at_s: float) -> bool:
        """Whether any span covers this moment."""
        return any(span.from_s <= at_s < span.until_s for span in self.spans)


STEADY = Timeline(says="nothing fails")


def _bursts(times: Iterable[tuple[float, float]], fault: str, probability: float) -> list[Span]:
    return [
        Span(from_s=a, until_s=b, fault=fault, surfaces=TALK, probability=probability)
        for a, b in times
    ]


def _flapping(cycle_s: float, cycles: int) -> tuple[Span, ...]:
    return tuple(
        Span(from_s=(2 * n + 1) * cycle_s, until_s=(2 * n + 2) * cycle_s, fault="overloaded")
        for n in range(cycles)
    )


SCENARIOS: Mapping[str, Timeline] = MappingProxyType(
    {
        "steady": STEADY,
        # After the outage of 2026-04-30 as its victims told it: overload in bursts first, then an
        # error that names the user's own account, while a third part of the provider went on.
        "article": Timeline(
            (
                *_bursts(((20, 26), (34, 44), (50, 60)), "overloaded", 0.9),
                Span(
                    from_s=60,
                    until_s=180,
                    fault="forbidden",
                    surfaces=(*TALK, "count_tokens"),
                ),
            ),
            240.0,
            "bursts of 529, then 403 “no longer a member of the organization” on two surfaces of"
            " three (messages and token counting; models and embeddings work), then recovery",
        ),
        "outage": Timeline(
            (Span(from_s=60, until_s=660, fault="error"),),
            900.0,
            "for ten minutes every request fails with 500: long enough for people to be told, and"
            " to be told that it is back (try it with --speed 20)",
        ),
        "flapping": Timeline(_flapping(10, 6), 150.0, "10 s well, 10 s overloaded, six times"),
        "blackhole": Timeline(
            (Span(from_s=10, until_s=70, fault="blackhole"),),
            110.0,
            "for a minute nothing answers, and nothing says why",
        ),
        "brownout": Timeline(
            (
                Span(from_s=10, until_s=70, fault="error", probability=0.3),
                Span(from_s=10, until_s=70, fault="slow", probability=0.7),
            ),
            100.0,
            "for a minute 3 requests in 10 fail with 500 and half of the rest are slow",
        ),
        "cuts": Timeline(
            (
                Span(from_s=10, until_s=40, fault="cut", surfaces=TALK, probability=0.5),
                Span(from_s=40, until_s=70, fault="unfinished", surfaces=TALK, probability=0.5),
            ),
            100.0,
            "for a minute half of the streams break off: first resets, then ends that look clean",
        ),
    }
)
