"""History in a few words: observations made one after the other, and what they led to."""

from __future__ import annotations

from typing import Any

from holdfast.core.incident import Incidents, Params
from holdfast.facts.incidents import Event
from holdfast.facts.observations import Observation
from holdfast.facts.outcomes import Verdict, Whose
from holdfast.facts.pages import PageClaim, PageComponent, PageIncident

START = 1_764_000_000.0


def verdict(whose: Whose = "provider", cause: str = "provider_overload") -> Verdict:
    return Verdict(whose=whose, cause=cause, confidence=0.8, action="fail_over", scope="model")


class Tale:
    """Minutes pass by `minutes`; everything else happens now."""

    def __init__(self, params: Params | None = None, local: tuple[str, ...] = ()) -> None:
        self.incidents = Incidents(params, local=local)
        self.now = START
        self.events: list[Event] = []
        self.seen: list[Observation] = []

    def see(self, **facts: Any) -> list[Event]:
        obs = Observation(at=self.now, wall=self.now, **facts)
        self.seen.append(obs)
        found = self.incidents.observe(obs)
        self.events += found
        return list(found)

    def ask(
        self,
        surface: str = "messages",
        *,
        ok: bool = True,
        provider: str = "a",
        model: str = "m",
        key: str = "k1",
        status: int | None = 529,
        kind: str = "status",
        says: Verdict | None = None,
        count: int = 1,
    ) -> list[Event]:
        return self.see(
            kind="probe",
            provider=provider,
            surface=surface,
            model=model,
            credential=key,
            ok=ok,
            status=200 if ok else status,
            failure_kind="" if ok else kind,
            verdict=None if ok else says or verdict(),
            count=count,
        )

    def page(self, state: Any, provider: str = "a", **claims: Any) -> list[Event]:
        claim = PageClaim(
            state=state,
            components=tuple(
                PageComponent(id=name, name=name, status=status, surface=name)
                for name, status in claims.pop("components", {}).items()
            ),
            incidents=tuple(
                PageIncident(id="1", name="trouble", stage="investigating", started_wall=wall)
                for wall in claims.pop("since", ())
            ),
        )
        return self.see(
            kind="status_page", provider=provider, ok=state == "operational", page=claim
        )

    def minutes(self, count: float, *asks: dict[str, Any], every_s: float = 60.0) -> list[Event]:
        """Let minutes pass; every `every_s` each of `asks` is asked, a few seconds apart."""
        found: list[Event] = []
        end = self.now + count * 60.0
        while self.now + every_s <= end + 1e-6:
            begun = self.now
            for n, ask in enumerate(asks):
                self.now = begun + (n + 1) * min(5.0, every_s / (len(asks) + 1))
                found += self.ask(**ask)
            self.now = begun + every_s
        return found

    def names(self, *kinds: str) -> list[str]:
        return [one.event for one in self.events if not kinds or one.event in kinds]

    def told(self) -> list[str]:
        """What people were told: suspicions left out."""
        return [one.event for one in self.events if one.event != "suspected"]


def shown(event: Event) -> set[str]:
    return {str(segment) for segment in event.segments}
