"""What can go wrong with an answer, by name: each a function from a request to a script.

A name is also a model of the built-in provider (`sim/overloaded`), and the fault of a timeline's
span. `BEHAVIOURS` is the table that documentation and drills read. Faults within an answer come
after half of its words, so that both what was said before and what is missing can be counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from msgspec import Struct

from holdfast.facts.calls import Headers
from holdfast.sim.script import (
    Blackhole,
    Bytes,
    Cut,
    Does,
    End,
    Fin,
    Head,
    Refuse,
    Script,
    Stall,
    Step,
)
from holdfast.sim.shapes import MARK, Asked, Problem, Shape

JSON = b"application/json"
EVENTS = b"text/event-stream; charset=utf-8"
ARTICLE = "Account is no longer a member of the organization associated with this token."


class Pace(Struct, frozen=True):
    """Seconds until the first word, and between words."""

    first_s: float = 0.03
    word_s: float = 0.005


class Ask(Struct, frozen=True):
    """A request with the dialect's shape and the pace of this provider."""

    asked: Asked
    dialect: str
    shape: Shape
    pace: Pace


Make = Callable[[Ask], Script]


class Behaviour(Struct, frozen=True):
    """One row of the table: what it is, in words, and how it is made."""

    says: str
    make: Make


# ---------------------------------------------------------------- good answers


def good(ask: Ask) -> Script:
    """The whole answer, at the provider's pace."""
    asked, shape, pace = ask.asked, ask.shape, ask.pace
    if not asked.stream:
        wait_s = pace.first_s + pace.word_s * len(asked.words)
        head = Head(200, shape.headers(asked, JSON))
        return (Step(wait_s, head), Step(0.0, Bytes(shape.whole(asked))), Step(0.0, End()))
    reason, end = shape.closing(asked)
    return (
        *_begun(ask, len(asked.words)),
        Step(pace.word_s, Bytes(reason)),
        Step(0.0, Bytes(end)),
        Step(0.0, End()),
    )


def slow(ask: Ask) -> Script:
    """The whole answer, a word each 0.3 s."""
    return good(Ask(ask.asked, ask.dialect, ask.shape, Pace(0.5, 0.3)))


def _begun(ask: Ask, words: int) -> Script:
    """A stream up to this many words."""
    asked, shape, pace = ask.asked, ask.shape, ask.pace
    return (
        Step(pace.first_s, Head(200, shape.headers(asked, EVENTS))),
        Step(0.0, Bytes(shape.opening(asked))),
        *(Step(pace.word_s, Bytes(shape.word(asked, word))) for word in asked.words[:words]),
    )


def _half(ask: Ask) -> Script:
    """The first half of the answer, streamed or not."""
    if ask.asked.stream:
        return _begun(ask, max(1, len(ask.asked.words) // 2))
    head, whole, _ = good(ask)
    if not isinstance(whole.does, Bytes):
        return (head,)
    data = whole.does.data
    return (head, Step(0.0, Bytes(data[: len(data) // 2])))


# --------------------------------------------------------------- error answers


def _said(problems: Mapping[str, Problem], dialect: str) -> Problem:
    """A problem in a dialect's words; who has none of its own has OpenAI's, its statuses too."""
    return problems.get(dialect) or problems.get("openai") or problems["anthropic"]


def _status(problems: Mapping[str, Problem], extra: Headers = ()) -> Make:
    def make(ask: Ask) -> Script:
        problem = _said(problems, ask.dialect)
        head = Head(problem.status, (*ask.shape.headers(ask.asked, JSON), *extra))
        return (
            Step(ask.pace.first_s, head),
            Step(0.0, Bytes(ask.shape.error(problem))),
            Step(0.0, End()),
        )

    return make


def refusal(ask: Ask, status: int, message: str) -> Script:
    """A request that is wrong everywhere, said as the dialect says it."""
    kind = "not_found_error" if status == 404 else "invalid_request_error"
    return _status({"anthropic": Problem(status, kind, message)})(ask)


def _both(status: int, anthropic: str, openai: str, message: str, code: str | None = None) -> Make:
    return _status(
        {
            "anthropic": Problem(status, anthropic, message),
            "openai": Problem(status, openai, message, code),
        }
    )


OVERLOADED = {
    "anthropic": Problem(529, "overloaded_error", "Overloaded"),
    "openai": Problem(
        503,
        "server_error",
        "The server is currently overloaded with other requests. Please retry.",
        "server_is_overloaded",
    ),
}
LIMITED = {
    "anthropic": Problem(
        429, "rate_limit_error", "This request would exceed your account's rate limit."
    ),
    "openai": Problem(429, "requests", "Rate limit reached for requests.", "rate_limit_exceeded"),
}
TOO_LONG = {
    "anthropic": Problem(
        400, "invalid_request_error", "prompt is too long: 250000 tokens > 200000 maximum"
    ),
    "openai": Problem(
        400,
        "invalid_request_error",
        "This model's maximum context length is 128000 tokens.",
        "context_length_exceeded",
    ),
}
FILTERED = {
    "anthropic": Problem(
        400, "invalid_request_error", "Output blocked by content filtering policy (content_filter)"
    ),
    "openai": Problem(400, "invalid_request_error", "The response was filtered.", "content_filter"),
}
PAGE = (
    b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head>"
    b"<body><h1>Bad gateway</h1><p>simulated by holdfast</p></body></html>"
)


def _page(status: int) -> Make:
    def make(ask: Ask) -> Script:
        head = Head(status, ((b"content-type", b"text/html; charset=utf-8"), *MARK))
        return (Step(ask.pace.first_s, head), Step(0.0, Bytes(PAGE)), Step(0.0, End()))

    return make


def _no_host(ask: Ask) -> Script:
    """The edge's own words when nobody stands behind it: no JSON, no request id."""
    head = Head(503, ((b"content-type", b"text/plain"), *MARK))
    words = Bytes(b"no healthy upstream")
    return (Step(ask.pace.first_s, head), Step(0.0, words), Step(0.0, End()))


# -------------------------------------------------------------- broken answers


def _only(does: Does) -> Make:
    return lambda _: (Step(0.0, does),)


def _before_head(does: Does) -> Make:
    return lambda ask: (Step(ask.pace.first_s, does),)


def _after_half(does: Does) -> Make:
    return lambda ask: (*_half(ask), Step(ask.pace.word_s, does))


def _after_head(does: Does) -> Make:
    def make(ask: Ask) -> Script:
        kind = EVENTS if ask.asked.stream else JSON
        head = Head(200, ask.shape.headers(ask.asked, kind))
        return (Step(ask.pace.first_s, head), Step(0.0, does))

    return make


def _error_event(*, first: bool) -> Make:
    def make(ask: Ask) -> Script:
        shape, asked = ask.shape, ask.asked
        problem = _said(OVERLOADED, ask.dialect)
        if not asked.stream:
            head = Step(ask.pace.first_s, Head(200, shape.headers(asked, JSON)))
            return (head, Step(0.0, Bytes(shape.error(problem))), Step(0.0, End()))
        words = 0 if first else max(1, len(asked.words) // 2)
        event = Bytes(shape.error_event(problem))
        return (*_begun(ask, words), Step(0.0, event), Step(0.0, End()))

    return make


def _garbage(ask: Ask) -> Script:
    bad = b'event: content_block_delta\ndata: {"type":"content_blo\x00<<\xff\n\n'
    return (*_half(ask), Step(ask.pace.word_s, Bytes(bad)), Step(0.0, End()))


BEHAVIOURS: Mapping[str, Behaviour] = MappingProxyType(
    {
        "steady": Behaviour("answers, a word each few milliseconds", good),
        "slow": Behaviour("answers, a word each 0.3 s", slow),
        # The built-in one shares its listener, where no connection can be refused any more.
        "refuse": Behaviour(
            "nobody listens (the built-in one takes the connection and closes it unanswered)",
            _only(Refuse()),
        ),
        "blackhole": Behaviour(
            "connections are never made (the built-in one takes them and stays silent)",
            _only(Blackhole()),
        ),
        "reset": Behaviour("the connection is reset before the head", _before_head(Cut())),
        "hangup": Behaviour("the connection is closed before the head", _before_head(Fin())),
        "mute": Behaviour("takes the request and never answers", _before_head(Stall())),
        "forbidden": Behaviour(
            "403, the error of the outage of 2026-04-30",
            _both(403, "permission_error", "permission_error", ARTICLE),
        ),
        "unauthorized": Behaviour(
            "401, the key is not valid",
            _both(
                401,
                "authentication_error",
                "invalid_request_error",
                "invalid x-api-key",
                "invalid_api_key",
            ),
        ),
        "unpaid": Behaviour(
            "402, no money left",
            _both(
                402,
                "billing_error",
                "insufficient_quota",
                "Your credit balance is too low",
                "insufficient_quota",
            ),
        ),
        "limited": Behaviour("429 with retry-after", _status(LIMITED, ((b"retry-after", b"2"),))),
        "error": Behaviour("500", _both(500, "api_error", "server_error", "Internal server error")),
        "unavailable": Behaviour("503 in the words of the edge, no JSON", _no_host),
        "overloaded": Behaviour("529 overloaded (503 in the OpenAI dialect)", _status(OVERLOADED)),
        "html": Behaviour("502 with a page", _page(502)),
        "page": Behaviour("200 with a page where JSON was due", _page(200)),
        "too-long": Behaviour("400, beyond the context window", _status(TOO_LONG)),
        "invalid": Behaviour(
            "400, wrong everywhere",
            _both(400, "invalid_request_error", "invalid_request_error", "messages: invalid (sim)"),
        ),
        "filtered": Behaviour("400, refused by the content filter", _status(FILTERED)),
        "empty": Behaviour("200 without an answer in it", _after_head(End())),
        "silent": Behaviour("a head, and then nothing for ever", _after_head(Stall())),
        "error-first": Behaviour("200, and its first word is an error", _error_event(first=True)),
        "error-event": Behaviour("an error event in mid-answer", _error_event(first=False)),
        "cut": Behaviour("reset in mid-answer", _after_half(Cut())),
        "fin": Behaviour("closed in mid-answer", _after_half(Fin())),
        "unfinished": Behaviour("ends cleanly in mid-answer", _after_half(End())),
        "stall": Behaviour("falls silent in mid-answer", _after_half(Stall())),
        "garbage": Behaviour("bytes of no dialect in mid-answer", _garbage),
    }
)
FLAKY = "flaky"
FLAKY_SAYS = "3 requests in 10 meet a fault, by the seed"
FLAKY_SHARE = 0.3
# What a flaky provider does: passing faults, of every position.
PASSING = (
    "overloaded",
    "error",
    "reset",
    "html",
    "error-first",
    "empty",
    "cut",
    "error-event",
    "unfinished",
)
MODELS = (*BEHAVIOURS, FLAKY)
