"""Which targets are asked, and in which order: `candidates` by the configuration, `plan` by the
board. Every leg and every leg left out carries its reason in words.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

import msgspec
from msgspec import Struct

from holdfast.core.board import Board, Standing
from holdfast.facts.calls import Call
from holdfast.facts.flights import Leg, Plan
from holdfast.facts.places import Dialect, Limits, ModelFacts, Provider, Route, Surface, Target

FIRST = "first choice"
LAST_RESORT_CONNECT_S = 1.0
# Who was silent before is listened to for three times the usual while, and at least so long; twice
# as long with each trial in vain, since who comes back may be slower than before. Where nobody else
# can be asked, the truth has to come soon: there it is twice as long with each of the client's own
# retries, which show that it would rather wait, and with trials only after a minute of them.
SILENCE_S = 1.5
SOON_TRIALS = 5
DOUBLINGS_MAX = 8
# A trial that is not streamed answers whole, which takes longer than a first word.
WHOLE_TRIAL_FACTOR = 10.0
AFFINITY_S = 300.0
AFFINITY_MAX = 10_000
# Only requests for an answer are said in another dialect; the rest goes to targets that speak it.
CROSSING: dict[tuple[str, str], Surface] = {
    ("anthropic", "messages"): "messages",
    ("openai", "chat"): "chat",
    ("openai-responses", "responses"): "responses",
    ("ollama", "chat"): "chat",
    ("ollama", "generate"): "chat",
    ("gemini", "generate_content"): "generate_content",
}
TALK: dict[Dialect, Surface] = {
    "anthropic": "messages",
    "openai": "chat",
    "openai-responses": "responses",
    "ollama": "chat",
    "gemini": "generate_content",
}
# What a model may be known not to have.
ABILITIES = ("tools", "vision", "documents", "json_schema", "thinking")
# Where tokens are counted, and may be counted for a client of another of these.
COUNTING: frozenset[Dialect] = frozenset({"anthropic", "gemini", "openai-responses"})


class NoRoute(Struct, frozen=True):
    """Nothing is named for this call; `text` says what there is and what to do."""

    text: str


def candidates(
    routes: tuple[Route, ...], providers: dict[str, Provider], call: Call, limits: Limits
) -> tuple[Leg, ...] | NoRoute:
    """The legs that the configuration names for a call, in its order.

    A model written `provider/model` addresses that one target, or the targets of the first route
    that is written for that provider (`provider/…`); else the first route whose glob matches;
    else the provider that is known to serve the model.
    """
    route = _route(routes, providers, call)
    legs = []
    for name in route.targets:
        provider_name, _, model = name.partition("/")
        provider = providers[provider_name]
        leg = _leg(provider, call.model if model == "*" else model, call, limits)
        if leg is not None:
            legs.append(leg)
    if not legs:
        return NoRoute(_nothing(routes, providers, call, found=bool(route.targets)))
    return tuple(
        msgspec.structs.replace(
            leg,
            stand_in=n > 0,
            why=FIRST if n == 0 else "stand-in",
            own_errors=route.own_errors,
            losses=route.losses,
        )
        for n, leg in enumerate(legs)
    )


def _route(routes: tuple[Route, ...], providers: dict[str, Provider], call: Call) -> Route:
    """The route of a call, or one made for it; without targets where nothing is named."""
    asked = call.model
    if not asked:  # no model in the call: the first who speaks the dialect
        # And nobody else: what such a call makes or names (a batch) is known to that one alone.
        speaking = [name for name, known in providers.items() if call.dialect in known.dialects]
        return Route(asked, tuple(f"{name}/*" for name in speaking[:1]))
    named, slash, model = asked.partition("/")
    addressed = bool(slash and model) and named in providers
    for route in routes:
        if not fnmatchcase(asked, route.model):
            continue
        if not addressed:
            return route
        # Who addresses one target means it; only a route for that very provider adds to it.
        if route.model.startswith(f"{named}/"):
            targets = tuple(t.replace("/*", f"/{model}") for t in route.targets)
            return msgspec.structs.replace(route, model=asked, targets=targets)
    if addressed:
        return Route(asked, (asked,))
    for name, provider in providers.items():
        if any(fnmatchcase(asked, glob) for glob in provider.serves):
            return Route(asked, (f"{name}/*",))
    return Route(asked, ())


def _leg(provider: Provider, model: str, call: Call, limits: Limits) -> Leg | None:
    surface: Surface = call.surface
    dialect = call.dialect
    facts = known(provider.models, model)
    if surface == "count_tokens":
        counting = counts_in(provider, dialect)
        if counting is None:
            return None
        dialect = counting
    elif dialect not in provider.dialects:
        other = _other(provider, dialect, surface, facts)
        if other is None:
            return None
        dialect, surface = other
    # Clients that bring their own keys are told apart: a bad one speaks for nobody else's.
    credential = f"client:{call.credential_mark}" if provider.key == "client" else provider.key
    return Leg(
        target=Target(provider.name, model, credential),
        dialect=dialect,
        surface=surface,
        context_tokens=facts.context_tokens if facts is not None else None,
        limits=provider.limits or limits,
        lacks=_lacks(facts) if facts is not None else frozenset(),
        facts=facts,
        local=provider.kind == "local",
    )


def known(models: Iterable[ModelFacts], name: str) -> ModelFacts | None:
    """What is known of a model: each fact by the first glob that says it. None where nothing is."""
    rows = [facts for facts in models if fnmatchcase(name, facts.model)]
    if len(rows) < 2:
        return rows[0] if rows else None
    found: dict[str, Any] = {}
    for row in reversed(rows):
        said = ((field, getattr(row, field)) for field in row.__struct_fields__)
        found |= {field: value for field, value in said if value is not None}
    return ModelFacts(**{**found, "model": name})


def _other(
    provider: Provider, dialect: Dialect, surface: Surface, facts: ModelFacts | None
) -> tuple[Dialect, Surface] | None:
    """In which of its own dialects a provider can be asked this, and on which surface."""
    spoken = provider.dialects[0]
    if facts is not None and facts.dialect in provider.dialects:
        spoken = facts.dialect
    if (dialect, surface) not in CROSSING or spoken not in TALK:
        return None
    return spoken, TALK[spoken]


def counts_in(provider: Provider, dialect: Dialect | None = None) -> Dialect | None:
    """In which of its own dialects a provider counts tokens: in this one if it can, or in none."""
    said = provider.dialects if provider.counts is None else provider.counts
    able = [own for own in provider.dialects if own in COUNTING and own in said]
    return dialect if dialect in able else next(iter(able), None)


def _lacks(facts: ModelFacts) -> frozenset[str]:
    """What the model is known not to have. Where nothing is known it is assumed to have it."""
    return frozenset(name for name in ABILITIES if getattr(facts, name) is False)


def _nothing(
    routes: tuple[Route, ...], providers: dict[str, Provider], call: Call, *, found: bool
) -> str:
    if found and call.surface == "count_tokens":
        return (
            f"holdfast: no target of the route for {call.model} counts tokens. Estimate them, or"
            f" add a target to the route that counts (dialects: {', '.join(sorted(COUNTING))})."
        )
    if found:
        return (
            f"holdfast: no target of the route for {call.model} can answer"
            f" {call.surface} in the {call.dialect} dialect. Name one that speaks it."
        )
    globs = ", ".join(route.model for route in routes) or "none"
    names = ", ".join(providers) or "none"
    return (
        f"holdfast: no route or provider serves the model {call.model!r}. Routes: {globs}."
        f" Providers: {names}. Ask for provider/model, or add a [[routes]] to the configuration."
    )


def plan(call: Call, legs: tuple[Leg, ...], board: Board, *, sticky: Target | None = None) -> Plan:
    """The order in which these legs are asked now.

    Resting legs are left out. Where all rest, or the others cannot carry the call, the one that
    failed longest ago is asked once, with little patience: the truth within two seconds, and twice
    as long with each of the client's own retries.
    """
    if sticky is None and all(map(board.quiet, legs)):
        return Plan(legs=legs, because=FIRST)
    at = call.at
    standings = [board.standing(leg, at) for leg in legs]
    if sticky is None and all(s.open and not s.trial for s in standings):
        return Plan(legs=legs, because=FIRST)
    open_legs: list[Leg] = []
    shut: list[tuple[Leg, Standing]] = []
    passed: list[tuple[str, str]] = []
    alone = _doubled(call.retry_count or 0)
    for leg, standing in zip(legs, standings, strict=True):
        if not standing.open:
            shut.append((leg, standing))
            passed.append((str(leg.target), standing.why))
        elif standing.trial:
            spare = any(s.open and not s.trial for s in standings)
            soon = 1 if spare else 1 + SOON_TRIALS
            factor = max(1.0 if spare else alone, _doubled(standing.trips - soon))
            limits = _impatient(leg, standing, board, WHOLE_TRIAL_FACTOR, factor=factor)
            why = f"{leg.why}, on trial"
            open_legs.append(msgspec.structs.replace(leg, trial=True, limits=limits, why=why))
        else:
            open_legs.append(leg)
    # Who asked to be left alone comes last, however long ago he failed.
    shut.sort(key=lambda pair: (pair[1].asked, pair[1].failed_at))
    last = tuple(_last_resort(leg, standing, board, alone) for leg, standing in shut)
    if not open_legs:
        because = "all targets rest: " + "; ".join(f"{target} {why}" for target, why in passed)
        return Plan(passed_over=tuple(passed), because=because, last_resort=last)
    because = "; ".join(f"{target} is {why}" for target, why in passed) or open_legs[0].why
    kept = next((leg for leg in open_legs if leg.target == sticky), None)
    if kept is not None:
        open_legs.remove(kept)
        open_legs.insert(0, msgspec.structs.replace(kept, why="the conversation is here"))
        because = f"the conversation stays with {kept.target}"
    return Plan(legs=tuple(open_legs), passed_over=tuple(passed), because=because, last_resort=last)


def _doubled(times: int) -> float:
    return 2.0 ** min(max(times, 0), DOUBLINGS_MAX)


def _last_resort(leg: Leg, standing: Standing, board: Board, factor: float) -> Leg:
    """The leg as it is asked although it rests."""
    limits = _impatient(leg, standing, board, 1.0, unknown_s=0.0, factor=factor)
    limits = msgspec.structs.replace(limits, connect_s=LAST_RESORT_CONNECT_S)
    why = "last resort: no other could be asked"
    return msgspec.structs.replace(leg, limits=limits, trial=standing.rests, hurried=True, why=why)


def _impatient(
    leg: Leg,
    standing: Standing,
    board: Board,
    whole_factor: float,
    unknown_s: float | None = None,
    factor: float = 1.0,
) -> Limits:
    """The leg's limits, shorter where it was silent when last asked and its usual pace is known.

    `unknown_s` is taken for its pace where it is not; None: then its limits stay. `factor`: so much
    longer than that.
    """
    typical = board.typical_s(leg.target.provider, leg.target.model)
    if typical is None:
        typical = unknown_s
    limits = leg.limits
    if not standing.silent or typical is None:
        return limits
    patience_s = factor * max(SILENCE_S, 3 * typical)
    return msgspec.structs.replace(
        limits,
        headers_s=min(limits.headers_s, patience_s),
        content_s=min(limits.content_s, patience_s),
        whole_s=min(limits.whole_s, whole_factor * patience_s),
    )


class Affinity:
    """Where conversations stay that a stand-in has taken over; bounded and forgetful."""

    __slots__ = ("_places",)

    def __init__(self) -> None:
        self._places: OrderedDict[str, tuple[Target, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._places)

    def note(self, conversation: str, target: Target, at: float) -> None:
        """A stand-in answered this conversation."""
        self._places[conversation] = (target, at + AFFINITY_S)
        self._places.move_to_end(conversation)
        if len(self._places) > AFFINITY_MAX:
            self._places.popitem(last=False)

    def target(self, conversation: str, at: float) -> Target | None:
        """Where it stays, None where it is free to go."""
        found = self._places.get(conversation)
        if found is None:
            return None
        if at > found[1]:
            del self._places[conversation]
            return None
        return found[0]
