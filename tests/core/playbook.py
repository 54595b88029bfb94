"""A flight as a script of arrows: events go in with `>>`, commands must come out with `<<`.

    play = Playbook(legs("a", "b"))
    play >> Started(0.0) << "Dial 1 a/m"
    play >> failed(1, "refused") << "Ended 1 failed" << "Dial 2 b/m"

A mismatch prints the whole script so far, with arrows, and both sides of the step that failed.
"""

from __future__ import annotations

from holdfast.core.flight import Flight, Policy, Stands
from holdfast.facts.calls import Call
from holdfast.facts.flights import (
    AttemptEnded,
    Begin,
    Command,
    Decline,
    Dial,
    Event,
    FlightEnded,
    HangUp,
    Leg,
    Plan,
    Release,
    Say,
    SayError,
)
from holdfast.facts.outcomes import Failure, Verdict
from holdfast.facts.places import Target


def call(*, stream: bool = True, body: bytes = b"{}") -> Call:
    return Call(
        id="x1",
        at=0.0,
        wall=0.0,
        dialect="anthropic",
        surface="messages",
        path="/v1/messages",
        body=body,
        model="m",
        stream=stream,
    )


def legs(*names: str, windows: dict[str, int] | None = None) -> tuple[Leg, ...]:
    return tuple(
        Leg(
            target=Target(name, "m", f"env:{name}"),
            dialect="anthropic",
            surface="messages",
            stand_in=index > 0,
            context_tokens=(windows or {}).get(name),
        )
        for index, name in enumerate(names)
    )


FINAL = {400, 413, 422}


def judge(failure: Failure, leg: Leg) -> Verdict:
    """A plain judge for playbooks: statuses and kinds decide, nothing corroborates."""
    del leg
    if failure.said.type == "context":
        return Verdict(
            whose="request",
            cause="context_too_long",
            confidence=0.9,
            action="shrink_or_larger_context",
        )
    if failure.status in FINAL and failure.kind == "status":
        return Verdict(whose="request", cause="invalid", confidence=0.9, action="surface_to_user")
    if failure.status in (401, 403):
        return Verdict(
            whose="unknown", cause="auth", confidence=0.3, action="fail_over_and_tell_user"
        )
    if failure.status == 429:
        return Verdict(
            whose="account",
            cause="rate_limit",
            confidence=0.8,
            action="wait_retry_after",
            rest_s=float(failure.said.code or 0) or None,
        )
    return Verdict(whose="provider", cause="outage", confidence=0.8, action="fail_over")


def transient(verdict: Verdict) -> bool:
    return verdict.cause in ("outage", "rate_limit")


def policy(*, retries: bool = True, standing: Stands | None = None) -> Policy:
    return Policy(judge, transient, lambda _leg, _at: retries, lambda: 0.0, standing)


def arrow(command: Command) -> str:
    """One command in a few words."""
    match command:
        case Dial():
            fresh = " fresh" if command.fresh else ""
            return f"Dial {command.attempt} {command.leg.target}{fresh}"
        case HangUp() | Release() | Begin():
            return f"{type(command).__name__} {command.attempt}"
        case Say():
            return f"Say {command.data.decode()}"
        case SayError():
            return f"SayError {command.data.decode()}".rstrip()
        case AttemptEnded():
            return f"Ended {command.attempt} {command.outcome}"
        case FlightEnded():
            return f"Flight {command.outcome}"
        case Decline():
            passed = command.failure.status if command.failure else "own words"
            return f"Decline {passed}"
        case _:
            return type(command).__name__


class Playbook:
    """A flight, the script so far, and what it commanded that nobody has named yet."""

    def __init__(
        self,
        plan_legs: tuple[Leg, ...],
        *,
        standing: Stands | None = None,
        passed_over: tuple[tuple[str, str], ...] = (),
        last_resort: tuple[Leg, ...] = (),
        **options: object,
    ) -> None:
        stream = bool(options.pop("stream", True))
        retries = bool(options.pop("retries", True))
        self.flight = Flight(
            call(stream=stream),
            Plan(legs=plan_legs, last_resort=last_resort, passed_over=passed_over),
            policy(retries=retries, standing=standing),
        )
        self.script: list[str] = []
        self.pending: list[str] = []
        self.commands: list[Command] = []

    def __rshift__(self, event: Event) -> Playbook:
        assert not self.pending, self.story(f"not named: {self.pending}")
        self.script.append(f">> {event}")
        commands = self.flight.handle(event)
        self.commands += commands
        self.pending = [arrow(command) for command in commands]
        return self

    def __lshift__(self, expected: str) -> Playbook:
        got = self.pending.pop(0) if self.pending else "nothing"
        assert got == expected, self.story(f"expected << {expected}\n     got << {got}")
        self.script.append(f"<< {got}")
        return self

    def quiet(self) -> None:
        """Nothing further was commanded."""
        assert not self.pending, self.story(f"not named: {self.pending}")

    def story(self, end: str) -> str:
        return "\n".join([*self.script, end, repr(self.flight)])
