"""Whose fault it is: evidence in, verdict out.

Two steps, apart. First what the bytes *may mean* (`core/signatures`): a share for each of those
whose fault such bytes have been. Then what *corroborates*: each piece of `EVIDENCE` that is seen
multiplies the shares of those whom it speaks for or against (naive Bayes: log-odds add up), and
leaves its sentence. An auth error is evidence, not a verdict.

What is said in the end is what costs least to be wrong about. Blaming the user for a provider's
fault is the worst mistake: people log out, wipe their keys and cannot get in again. So a share
that the provider may have weighs against every verdict on the user's side, and where nothing
stands out the verdict is "unknown", with what to look at next.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import exp
from typing import Literal

from msgspec import Struct

from holdfast.core.signatures import (
    AGAIN,
    BOOK,
    GO,
    GO_TELL,
    LARGER,
    SAY,
    WAIT,
    WHOSE,
    Book,
    Signature,
    wording,
)
from holdfast.facts.evidence import Circumstances
from holdfast.facts.outcomes import Action, Failure, Scope, Verdict, Whose

RECENT_S = 3600.0
JUST_NOW_S = 900.0
# A stated wait longer than this is not "a moment": go elsewhere and tell.
SHORT_WAIT_S = 60.0
# From so many tokens on a context is "long" (Anthropic's long-context terms).
LONG_TOKENS = 200_000
# What a share of the provider's takes from a verdict on the user's side.
WRONGED = 0.8
# What a share of the account's takes from a verdict that excuses it.
EXCUSED = 0.45
# What it is worth to have blamed nobody.
RESERVE = 0.3
SURE, UNSURE = 0.95, 0.05
SURE_WHERE_IT_WORKED = 0.6

USERS: frozenset[Whose] = frozenset({"account", "request", "network", "local"})
# Failures on the way: what speaks of the network speaks of these.
ON_THE_WAY = frozenset(
    {
        "dns",
        "tls_interception",
        "certificate",
        "local_network",
        "no_connection",
        "blackhole",
        "silence",
        "stream_truncated",
        "client_timeout",
        "proxy_or_captive_portal",
    }
)
# Passing faults: the same target may be asked once more when nobody else can answer. Silence and
# blackholes are not among them: they have cost the user's patience already.
TRANSIENT = frozenset(
    {
        "provider_overload",
        "provider_outage",
        "stream_truncated",
        "client_timeout",
        "rate_limit",
        "no_connection",
        "proxy_or_captive_portal",
    }
)
_LOCAL_DOWN = frozenset({"no_connection", "blackhole", "local_network"})
_STREAM_FAULTS = frozenset({"stream_truncated", "silence", "no_connection"})

# --- what corroborates -------------------------------------------------------------------

About = Literal["any", "answer", "key", "way"]


class Piece(Struct, frozen=True):
    """One thing that may stand around a failure, whom it speaks for (> 1) or against, and how.

    `about`: whether it says something about failures on the way, about answers, about answers that
    refuse a credential whole (a limit that is reached says nothing against yesterday), or any.
    """

    seen: Callable[[Circumstances], bool]
    factors: tuple[float, ...]
    says: str
    about: About = "any"

    @property
    def speaks(self) -> bool:
        """Whether its sentence is worth saying: whether it moves anybody much."""
        return max(self.factors) > 1.4 or min(self.factors) < 0.7


def _piece(
    seen: Callable[[Circumstances], bool],
    says: str,
    moves: Mapping[Whose, float],
    about: About = "any",
) -> Piece:
    """`moves`: what is added to the log-odds of each (natural logarithm)."""
    return Piece(seen, tuple(exp(moves.get(whose, 0.0)) for whose in WHOSE), says, about)


def _ok_within(since_s: float, until_s: float) -> Callable[[Circumstances], bool]:
    def seen(around: Circumstances) -> bool:
        ok_s = around.credential_last_ok_s
        return ok_s is not None and since_s <= ok_s < until_s

    return seen


WAY_CHANGES = frozenset(
    {"vpn_on", "vpn_off", "vpn", "proxy_on", "proxy_off", "proxy", "corporate_network", "travel"}
    | {"network_changed", "firewall", "antivirus"}
)
KEY_CHANGES = frozenset({"key_rotated", "account_switched", "revoked_by_user", "org_changed"})
MONEY_CHANGES = frozenset({"plan_changed", "credit_added", "payment_changed"})
TOOL_CHANGES = frozenset({"client_updated", "engine_updated", "model_changed", "os_updated"})

EVIDENCE: tuple[Piece, ...] = (
    # --- for the provider
    _piece(_ok_within(0.0, JUST_NOW_S), "this very credential worked {ok} ago",
           {"provider": 1.3, "account": -0.1}, "key"),
    _piece(_ok_within(JUST_NOW_S, RECENT_S), "this very credential worked {ok} ago",
           {"provider": 1.0}, "key"),
    _piece(lambda a: a.overload_burst, "a burst of server errors came first", {"provider": 1.5}),
    _piece(lambda a: a.many_users is True, "others report the same now", {"provider": 2.4}),
    _piece(lambda a: a.status_page == "incident", "the provider's page tells of an incident",
           {"provider": 1.8}),
    _piece(lambda a: a.other_credentials_failing is True,
           "another credential is refused there, too", {"provider": 1.3}),
    _piece(lambda a: a.other_models_failing is True, "other models there fail too",
           {"provider": 0.5}),
    _piece(lambda a: a.other_surfaces_failing is True, "other surfaces of the provider fail too",
           {"provider": 0.25}),
    _piece(lambda a: a.other_surfaces_ok is True,
           "the same credential still works on another surface", {"provider": 0.45}, "key"),
    # Where a filter stands between, what it lets through clears nobody.
    _piece(lambda a: a.other_providers_ok is True and a.local_change not in WAY_CHANGES,
           "other providers answer, so the plain network works",
           {"provider": 1.2, "network": -1.0, "unknown": -0.7}, "way"),
    _piece(lambda a: a.local_change == "none", "nothing was changed on this side",
           {"provider": 0.3}),
    # --- for the account
    _piece(lambda a: a.credential_ever_ok is False, "this credential has never worked yet",
           {"account": 1.2, "request": 0.3, "provider": -0.8}, "answer"),
    _piece(lambda a: a.many_users is False, "nobody else reports it",
           {"provider": -0.9}),
    _piece(lambda a: a.local_change in KEY_CHANGES, "just before: {change}",
           {"account": 1.6}, "answer"),
    # --- for what lies between
    _piece(lambda a: a.internet_ok is False, "nothing else is reached from here either",
           {"network": 3.0, "local": 0.5}),
    _piece(lambda a: a.other_providers_failing is True and a.other_providers_ok is not True,
           "other providers are not reached either", {"network": 1.6, "provider": -0.8}, "way"),
    _piece(lambda a: a.local_change in WAY_CHANGES, "just before: {change}", {"network": 2.1}),
    _piece(lambda a: a.internet_ok is True, "the rest of the internet is reached from here",
           {"network": -0.25}, "way"),
    _piece(lambda a: a.other_surfaces_ok is True,
           "another of its addresses is reached from here",
           {"network": 0.3, "provider": -0.4}, "way"),
    _piece(lambda a: a.intermediary is True, "a relay or gateway of somebody else stands between",
           {"intermediary": 2.3}),
    # --- for the request
    _piece(lambda a: a.same_request_fails_again is True and a.other_requests_ok is True,
           "this request fails each time, others pass", {"request": 1.5, "provider": -0.3}),
    _piece(lambda a: a.other_requests_ok is True and a.same_request_fails_again is None,
           "other requests pass", {"request": 0.5}, "answer"),
    _piece(lambda a: a.other_requests_ok is False, "no other request passes either",
           {"request": -0.7, "provider": 0.3}),
    _piece(lambda a: a.same_request_fails_again is False, "the same request passed later",
           {"request": -2.0, "provider": 0.5}),
    _piece(lambda a: a.smaller_request_ok is True, "a smaller request passes", {"request": 2.7}),
    _piece(lambda a: (a.request_tokens or 0) > (a.context_tokens or 10**12),
           "the request is longer than the model's window", {"request": 2.0}),
    # --- for this machine
    _piece(lambda a: a.local_change in TOOL_CHANGES, "just before: {change}",
           {"local": 0.7, "request": 0.4}),
)  # fmt: skip
# "Long context" is refused: how long is this one? (for that signature alone)
_LONG = _piece(lambda a: (a.request_tokens or 0) > LONG_TOKENS,
               "the request is as long as that", {"request": 1.3})  # fmt: skip
_SHORT = _piece(lambda a: 0 < (a.request_tokens or 0) <= LONG_TOKENS,
                "the request is much shorter than what it is refused for",
                {"provider": 1.6, "request": -1.5})  # fmt: skip

# "No money" just after money was added: it may not have reached the provider, or not this key.
_PAID = _piece(lambda a: a.local_change in MONEY_CHANGES, "just before: {change}",
               {"provider": 1.8})  # fmt: skip

# A page instead of an answer: not the address, where one came from there just before.
_THERE = _piece(_ok_within(0.0, JUST_NOW_S), "this provider answered {ok} ago",
                {"intermediary": 1.5, "provider": 1.0, "request": -3.0})  # fmt: skip

_WAY = tuple(piece for piece in EVIDENCE if piece.about in ("any", "way"))
_KEY = tuple(piece for piece in EVIDENCE if piece.about != "way")
_ANSWER = tuple(piece for piece in EVIDENCE if piece.about in ("any", "answer"))
_INDEX = {whose: at for at, whose in enumerate(WHOSE)}
_MATTER: dict[Whose, str] = {
    "provider": "the provider",
    "account": "the account or its key",
    "request": "the request",
    "network": "the network on this side",
    "local": "this machine",
    "intermediary": "something in between",
    "unknown": "nobody that was found",
}


def transient(verdict: Verdict) -> bool:
    """Whether asking the same target again could help within a second or two."""
    return verdict.cause in TRANSIENT and verdict.action in (GO, WAIT, AGAIN)


def judge(failure: Failure, around: Circumstances, book: Book = BOOK) -> Verdict:
    """Give the verdict on one failure. Never raises; unsure is a verdict too."""
    words = wording(failure)
    row = book.find(failure, words)
    because = [evidence(failure)]
    shares = list(row.prior)
    if around.local:
        _here(shares, row)
        because.append("it is an engine on this machine")
    told = _weigh(shares, row, around)
    whose, confidence = _decide(shares)
    if whose == "account" and failure.status in (401, 403) and _worked(around):
        confidence = min(confidence, SURE_WHERE_IT_WORKED)
    cause, action = _cause(whose, row, around), _action(whose, row, failure, around)
    rest_s = around.retry_after_s
    if rest_s is None and row.action == WAIT:
        rest_s = stated_wait_s(words)
    scope: Scope = "nothing" if whose == "request" and row.whose != "request" else row.scope
    if scope == "nothing":
        rest_s = None
    if not told and whose != "unknown":
        because.append(f"such an answer is most often a matter of {_MATTER[whose]}")
    because += told
    if action == WAIT and rest_s is not None and rest_s > SHORT_WAIT_S:
        action = GO_TELL
        because.append(f"it asks to be left alone for {round(rest_s)} s")
    if whose == "unknown":
        because.append(_next_check(row))
    return Verdict(
        whose=whose,
        cause=cause,
        confidence=round(confidence, 3),
        action=action,
        because=tuple(because),
        scope=scope,
        rest_s=rest_s,
    )


def _weigh(shares: list[float], row: Signature, around: Circumstances) -> list[str]:
    """Multiply in what stands around, bring the sum to 1 again; the sentences of what spoke."""
    told = []
    for piece in _pieces(row):
        if piece.seen(around):
            for at, factor in enumerate(piece.factors):
                shares[at] *= factor
            if piece.speaks:
                told.append(_sentence(piece, around))
    total = sum(shares)
    shares[:] = [share / total for share in shares]
    return told


def _pieces(row: Signature) -> tuple[Piece, ...]:
    """The evidence that says something about such a failure."""
    if row.cause in ON_THE_WAY:
        return _WAY
    pieces = _KEY if row.scope == "credential" else _ANSWER
    if row.cause == "quota_or_billing":
        return (*pieces, _LONG, _SHORT) if row.scope == "nothing" else (*pieces, _PAID)
    if row.cause == "wrong_address" and "not_json" in row.kinds:
        return (*pieces, _THERE)
    return pieces


def _decide(shares: list[float]) -> tuple[Whose, float]:
    """Who it is said to be, and how sure that is: the least costly thing to say.

    For "unknown" it is how likely it is that nobody will ever be found.
    """
    theirs, account = shares[_INDEX["provider"]], shares[_INDEX["account"]]
    best: Whose = "unknown"
    worth = shares[_INDEX["unknown"]] + RESERVE
    for at, whose in enumerate(WHOSE):
        if whose == "unknown":
            continue
        gain = shares[at]
        if whose in USERS:
            gain -= WRONGED * theirs
        elif whose == "provider":
            gain -= EXCUSED * account
        if gain > worth:
            best, worth = whose, gain
    return best, min(SURE, max(UNSURE, shares[_INDEX[best]]))


def _here(shares: list[float], row: Signature) -> None:
    """For an engine on this machine: what would be the provider's fault is this machine's."""
    local, provider, unknown = _INDEX["local"], _INDEX["provider"], _INDEX["unknown"]
    moved = shares[provider] + 0.8 * shares[unknown]
    shares[local] += moved
    shares[provider], shares[unknown] = 0.0, 0.2 * shares[unknown]
    if row.whose == "intermediary":  # nobody stands in between
        between = _INDEX["intermediary"]
        shares[local] += shares[between]
        shares[between] = 0.0
    if row.cause in _LOCAL_DOWN and row.cause != "local_network":
        network = _INDEX["network"]
        shares[local] += 0.5 * shares[network]
        shares[network] *= 0.5


def _cause(whose: Whose, row: Signature, around: Circumstances) -> str:
    """The cause by its row, or what it must be where the fault is found to be another's."""
    if whose == "local" and row.cause in _LOCAL_DOWN and row.scope == "provider":
        return "local_engine_down"
    if whose in (row.whose, "unknown"):
        return row.cause
    if whose == "provider":
        return row.cause if row.whose == "unknown" else "provider_outage"
    if whose == "request":
        return "context_too_long" if _too_long(row, around) else "request_invalid"
    if whose == "network":
        return "proxy_or_captive_portal" if around.local_change in WAY_CHANGES else "local_network"
    if whose == "local":
        return row.cause if row.whose in ("provider", "unknown") else "local_engine_down"
    return "proxy_or_captive_portal" if whose == "intermediary" else "credential_invalid"


def _action(whose: Whose, row: Signature, failure: Failure, around: Circumstances) -> Action:
    """What to do: the row's own where it was right about whose fault it is, else by whose."""
    if whose == "unknown":
        return row.action if row.action in (GO, GO_TELL) else GO
    if whose == "provider":
        return _their_action(row, failure, around)
    if whose == "request" and _too_long(row, around):
        return LARGER
    if whose == row.whose:
        sure = around.intermediary and whose == "intermediary" and row.action == GO
        return GO_TELL if sure else row.action
    if whose == "local":
        return GO_TELL if row.scope == "provider" else row.action
    return SAY if whose == "request" else GO_TELL


def _their_action(row: Signature, failure: Failure, around: Circumstances) -> Action:
    """A fault of one stream may pass at once; whatever points to more than that is an outage."""
    wide = around.many_users or around.overload_burst or around.status_page == "incident"
    one = failure.where in ("body", "in_stream") and row.cause in _STREAM_FAULTS
    passed = around.same_request_fails_again is False
    if row.whose == "provider" and row.action == AGAIN:
        return GO if wide else AGAIN
    return AGAIN if (one or passed) and not wide and not around.other_requests_ok else GO


def _too_long(row: Signature, around: Circumstances) -> bool:
    tokens = around.request_tokens or 0
    limit = around.context_tokens or (LONG_TOKENS if row.cause == "quota_or_billing" else 0)
    return around.smaller_request_ok is True or 0 < limit < tokens


def _next_check(row: Signature) -> str:
    """What a person can look at to know more."""
    if row.cause in ON_THE_WAY:
        return (
            "look next: does another site answer from here, with and without VPN or proxy; does"
            " another provider answer; does it work over a fresh connection"
        )
    if row.whose == "account":
        return (
            "nothing tells yet whether the credential or the provider is at fault; look next:"
            " one small request with this and with another key, and the status page, before"
            " anything is logged out or changed"
        )
    return "look next: one tiny request to the same model, and the same to another provider"


def _worked(around: Circumstances) -> bool:
    return around.credential_last_ok_s is not None and around.credential_last_ok_s < RECENT_S


def _sentence(piece: Piece, around: Circumstances) -> str:
    if "{" not in piece.says:
        return piece.says
    ok_s = max(1, round(around.credential_last_ok_s or 0.0))
    return piece.says.format(
        ok=f"{ok_s} s" if ok_s < 120 else f"{round(ok_s / 60)} min",
        change=(around.local_change or "").replace("_", " "),
    )


_WAIT_STATED = re.compile(
    r"\b(?:re)?try (?:again )?(?:in|after) (?:(\d+) ?h(?:ours?)?)?"
    r" ?(?:(\d+) ?m(?:in(?:ute)?s?)?(?!s))? ?(?:(\d+(?:\.\d+)?) ?(ms|s))?",
    re.IGNORECASE,
)


def stated_wait_s(words: str) -> float | None:
    """Seconds to wait as said in words ("try again in 9m38.016s"), for those without a header."""
    found = _WAIT_STATED.search(words)
    if found is None or not any(found.groups()):
        return None
    hours, minutes, seconds, unit = found.groups()
    last_s = float(seconds or 0) / (1000 if unit and unit.lower() == "ms" else 1)
    return int(hours or 0) * 3600.0 + int(minutes or 0) * 60.0 + last_s


def evidence(failure: Failure) -> str:
    """The failure itself in a few words."""
    return (failure.text or failure.kind.replace("_", " "))[:300]
