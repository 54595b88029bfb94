"""The one reply where nobody could answer: whose fault it is, and when to ask again."""

from __future__ import annotations

from holdfast.core.signatures import NOT_OFFERED
from holdfast.facts.flights import Decline, Leg
from holdfast.facts.outcomes import Action, Failure, Verdict

# So sure that it is the provider's fault, we do not pass on words that say it is the user's.
SURE = 0.8
# A prompt that is too long for a target, and for none with a larger window.
SHRINK: Action = "shrink_or_larger_context"

# A wait up to this is worth it for a client that retries by itself.
SOON_S = 30.0

# One failed attempt, and what it was judged to be.
Declined = tuple[Leg, Failure, Verdict]


def decline(
    failed: list[Declined],
    tried: tuple[tuple[str, str], ...],
    *,
    several: bool,
    counting: bool = False,
) -> Decline:
    """The one reply to a call that nobody could answer.

    A matter of the request, or of an account with no other target, is the upstream's to say:
    its bytes go through unchanged, because clients match on the wording. When several targets
    failed, one of their errors would point at one fault of many (and perhaps at the user, who
    has none), so the reply is our own and names each. It is our own as well where the only one
    blames the user and the verdict is surely another: what a client does next depends on the
    status, and the coding tools give up for good on a 403. A route may switch both off.

    `counting`: tokens were to be counted. That somebody has no count is no answer to who asked;
    where nobody has, the reply says so, and clients estimate.
    """
    if not failed:
        nobody = Verdict(
            whose="request",
            cause=NOT_OFFERED if counting else "no_target",
            confidence=0.9,
            action="surface_to_user",
            because=("no target of the route can carry this call",),
        )
        return Decline(verdict=nobody, tried=tried, should_retry=False)
    failed = _telling(failed)
    leg, failure, verdict = _speaking(failed)
    # What failed behind a status of success (a page, an empty answer) must not look like one.
    is_error = failure.status is not None and failure.status >= 400
    # A page may be a guest network's as well: once somebody has signed in there, all is well.
    passing = verdict.cause == "rate_limit" or (verdict.cause == "wrong_address" and not is_error)
    final = verdict.whose in ("request", "account") and not passing
    passed_on = failure if is_error and (final or not several or not leg.own_errors) else None
    instead_of = failure if leg.own_errors and blames_the_user(failure, verdict) else None
    if instead_of is not None or verdict.cause == NOT_OFFERED:
        passed_on = None
    waits = [v.rest_s for _, _, v in failed if v.rest_s is not None]
    wait_s = min(waits) if waits else None
    if final:
        return Decline(
            verdict=verdict,
            failure=passed_on,
            provider=leg.target.provider,
            tried=tried,
            should_retry=False,
        )
    # A wait that stands in words or in a body is said in a header, too, where SDKs look for it.
    said = wait_s is not None and passed_on is not None and _says_wait(passed_on)
    welcome = not all(forbidden(failure) for _, failure, _ in failed)
    soon = welcome and (wait_s is None or wait_s <= SOON_S)
    return Decline(
        verdict=verdict,
        failure=passed_on,
        instead_of=instead_of,
        provider=leg.target.provider,
        tried=tried,
        retry_after_s=None if said else (wait_s or 3.0),
        should_retry=soon,
    )


def _telling(failed: list[Declined]) -> list[Declined]:
    """Those of them that tell something of what was asked for."""
    failed = [one for one in failed if one[2].cause != NOT_OFFERED] or failed
    # That it is too long for a stand-in says nothing of whom the person asked for.
    return [one for one in failed if not (one[0].stand_in and one[2].action == SHRINK)] or failed


def _speaking(failed: list[Declined]) -> Declined:
    """The one that speaks for all: where the last ended the search, that; else the first choice,
    which is what the person asked for.
    """
    last = failed[-1]
    return last if last[2].action in ("surface_to_user", SHRINK) else failed[0]


def blames_the_user(failure: Failure, verdict: Verdict) -> bool:
    """Whether an answer says that it is the client's fault (4xx) and is surely wrong about it."""
    return (
        verdict.whose == "provider"
        and verdict.confidence >= SURE
        and failure.status is not None
        and 400 <= failure.status < 500
    )


def forbidden(failure: Failure) -> bool:
    """Whether the target itself says that asking it again is of no use, as both SDKs read it."""
    return any(pair == (b"x-should-retry", b"false") for pair in failure.headers)


def _says_wait(failure: Failure) -> bool:
    return any(name in (b"retry-after", b"retry-after-ms") for name, _ in failure.headers)
