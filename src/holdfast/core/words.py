"""What people are told of a call that nobody could answer: what, whose fault, what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from holdfast.core.declining import SOON_S
from holdfast.core.letters import WHOSE, span
from holdfast.core.route import FIRST
from holdfast.core.signatures import NOT_OFFERED
from holdfast.facts.flights import Decline
from holdfast.facts.outcomes import Failure, Verdict

SAID_CHARS_MAX = 500
STOPPED = "stopped"  # the cause where it is our own end that ends a call
_STATUS = {"request": 400, "account": 403}


def ascii_header(text: str) -> bytes:
    """A header value that no reader stumbles over: printable ASCII, the rest as `?`."""
    return "".join(c if " " <= c <= "~" else "?" for c in text).encode()


def sentence(verdict: Verdict, target: str) -> str:
    """What happened, whose fault, what to do: for an answer that broke off."""
    if verdict.cause == STOPPED:
        return (
            f"holdfast: the answer from {target} broke off, because holdfast itself was stopped;"
            " the provider is not at fault. What you have is incomplete; ask again when it is back."
        )
    because = "; ".join(verdict.because) or verdict.cause
    return (
        f"holdfast: the answer from {target} broke off ({because}). Whose fault:"
        f" {WHOSE[verdict.whose]}. What you have is incomplete; ask again."
    )


def declined_status(verdict: Verdict, overloaded: int) -> int:
    """The status of a reply in our own words. A limit is not a ban: clients give up at a 403.

    `overloaded`: by which providers of the client's dialect say that the fault is theirs, for now.
    """
    if verdict.cause == NOT_OFFERED:
        return 404
    if verdict.cause == "rate_limit":
        return 429
    if verdict.cause == "wrong_address":  # of a provider, in the configuration: not in the request
        return 503
    return overloaded if verdict.whose == "provider" else _STATUS.get(verdict.whose, 503)


def refusal(command: Decline, outlook: str = "") -> str:
    """What happened, whose fault, what to do: for a call that nobody could answer.

    `outlook`: since when it lasts and when it may be over, in a sentence of its own.
    """
    verdict = command.verdict
    if verdict.cause == STOPPED:
        return (
            "holdfast: it was stopped before this call was answered; no provider is at fault. Ask"
            " again when it is back (`holdfast up`)."
        )
    tried = "; ".join(_counted(command.tried)) or "; ".join(verdict.because)
    if verdict.cause == NOT_OFFERED:
        return f"holdfast: no target of this route counts tokens ({tried}). Estimate them."
    if command.should_retry:
        wait = round(command.retry_after_s or 3)
        remedy = f"Ask again in about {max(1, wait)} s; `holdfast status` shows what is up."
    elif command.retry_after_s is not None and command.retry_after_s > SOON_S:
        wait_s = command.retry_after_s
        remedy = f"Ask again in about {span(wait_s)}; before, it will not help."
    else:
        remedy = "Asking again will not help by itself; `holdfast logs` tells of this call."
    said = f" {_misleading(command.instead_of)}" if command.instead_of is not None else ""
    return (
        f"holdfast: no target could answer this call ({tried})."
        f" Whose fault: {WHOSE[verdict.whose]} ({verdict.cause}).{said}"
        f"{f' {outlook}' if outlook else ''} {remedy}"
    )


def because_of(planned: str, unasked: Iterable[tuple[str, str]]) -> str:
    """Why a call went to whom it went: the plan's reason, and who was then not asked after all."""
    told = [f"{target} was not asked: {why}" for target, why in unasked]
    return "; ".join([*told, planned] if planned and planned != FIRST else told) or planned


def _counted(tried: Iterable[tuple[str, str]]) -> list[str]:
    """Each attempt in words; what went the same way several times, once."""
    times = Counter(f"{target}: {why}" for target, why in tried)
    return [told if count == 1 else f"{told} ({count} times)" for told, count in times.items()]


def _misleading(failure: Failure) -> str:
    """What the upstream said, for those who want to know, and that it is not to be believed."""
    said = failure.said
    what = ": ".join(part for part in (said.type, said.message) if part) or failure.text
    return (
        f"The provider's own answer was {failure.status} {what[:SAID_CHARS_MAX]}; do not act on it."
    )
