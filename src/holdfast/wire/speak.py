"""The one door of this room: a dialect's name in, its module's words out.

A dialect is one module with the functions of `speech.Speaking` and a row in `DIALECTS`; none
knows another, and what crosses goes through the neutral form of `wire.speech`.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from msgspec import Struct

from holdfast.facts.calls import Call, Headers, Peek
from holdfast.facts.flights import Leg
from holdfast.facts.losses import Lost
from holdfast.facts.outcomes import Said
from holdfast.wire import anthropic, openai
from holdfast.wire import peek as peeking
from holdfast.wire.fitting import paired
from holdfast.wire.headers import client_credential, is_subscription
from holdfast.wire.mend import deltas_of, mended_answer
from holdfast.wire.packed import InflatingTap, UnreadableTap
from holdfast.wire.speech import BadBodyError, CannotCrossError, Speaking
from holdfast.wire.tap import CrossingTap, PassingTap, Tap
from holdfast.wire.whole import JSON, ErrorTap, WholeTap

__all__ = [
    "BadBodyError",
    "CannotCrossError",
    "client_credential",
    "compose",
    "conversation",
    "error_event",
    "error_reply",
    "error_type",
    "is_subscription",
    "models_reply",
    "overload_status",
    "peek",
    "said",
    "tap",
]

LOST_CHARS_MAX = 180
DIALECTS: dict[str, Speaking] = {"anthropic": anthropic, "openai": openai}


def peek(dialect: str, body: bytes) -> Peek:  # noqa: ARG001 - both dialects ask alike
    """What routing needs of a body. Raises BadBodyError with the field and the remedy."""
    return peeking.peek(body)


def conversation(dialect: str, body: bytes) -> str:
    """A mark of a *continuing* conversation, the same on each of its turns; "" for a first turn."""
    return peeking.conversation(dialect, body)


# ------------------------------------------------------------------ requests


class Outgoing(Struct, frozen=True):
    """A request as one target wants it.

    `headers` stand in place of the client's own; its others travel on, but for those whose names
    begin with one of `without`, which mean nothing to the target. `lost` is what could not be
    carried and can be borne.
    """

    path: str
    headers: Headers
    body: bytes
    without: tuple[bytes, ...] = ()
    lost: tuple[Lost, ...] = ()


def compose(call: Call, leg: Leg) -> Outgoing:
    """The request for this leg: the same bytes, but for the target's own model name, or written
    anew in its dialect. Raises CannotCrossError when it cannot be said there.
    """
    if leg.dialect == call.dialect:
        query = f"?{call.query}" if call.query else ""
        model, path, body = leg.target.model, call.path, call.body
        if model != call.model:
            if body:
                body = peeking.renamed(body, model)
            elif call.surface == "models":
                path = f"/v1/models/{quote(model, safe='')}"
        return Outgoing(path + query, (), body)
    there = DIALECTS.get(leg.dialect)
    here = DIALECTS.get(call.dialect)
    if here is None or there is None or call.surface != here.SURFACE:
        raise CannotCrossError(f"{call.surface} of {call.dialect} cannot be said in {leg.dialect}")
    ask = here.read_ask(call.body)
    written = there.write_ask(paired(ask), leg.target.model)
    lost = (*_lost_headers(call, here), *ask.lost, *written.lost)
    grave = [str(loss) for loss in lost if not loss.tolerable]
    if grave:
        raise CannotCrossError("; ".join(grave)[:LOST_CHARS_MAX])
    path = there.path(leg.target.model, stream=ask.sampling.stream)
    return Outgoing(
        path, (*there.HEADERS, *JSON), written.body, here.OWN_PREFIXES, tuple(dict.fromkeys(lost))
    )


def _lost_headers(call: Call, here: Speaking) -> Iterable[Lost]:
    """The client's headers that only its own dialect knows and that ask for something.

    The fields of the body that belong to them are lost by themselves: half of a pair is an error.
    """
    for name, value in call.headers:
        if name.startswith(here.OWN_PREFIXES) and name.endswith(b"-beta"):
            why = f"{value.decode('latin-1')[:100]} is of its dialect alone"
            yield Lost(name.decode("latin-1"), why)


# ------------------------------------------------------------------- answers


def tap(call: Call, leg: Leg, status: int, headers: Headers) -> Tap:
    """The tap that reads this answer and gives pieces in the client's dialect."""
    by_name = dict(headers)
    encoding = by_name.get(b"content-encoding", b"").strip().lower()
    kind = by_name.get(b"content-type", b"").lower()
    if encoding in (b"", b"identity"):
        return _tap(call, leg, status, headers, kind)
    if encoding in (b"gzip", b"x-gzip", b"deflate"):
        plain = tuple(pair for pair in headers if pair[0] != b"content-encoding")
        return InflatingTap(_tap(call, leg, status, plain, kind), plain)
    return UnreadableTap(
        f"the answer came as {encoding.decode('latin-1')[:40]}, which was not asked for"
    )


def _tap(call: Call, leg: Leg, status: int, headers: Headers, kind: bytes) -> Tap:
    crosses = leg.dialect != call.dialect
    there = DIALECTS.get(leg.dialect, openai)
    here = DIALECTS.get(call.dialect, openai)
    if not 200 <= status < 300:
        return ErrorTap(there, status, headers, here=here if crosses else None)
    created = int(call.wall)
    if call.stream and kind.startswith(b"text/event-stream"):
        if not crosses:
            return PassingTap(there.stream_reader(call.model))
        reader = there.delta_reader(call.model)
        return CrossingTap(reader, here.stream_writer(call.body, created), call.model, here.STREAM)
    if call.stream:
        # Some relays and engines do not stream: the words are all there, so they are streamed now.
        def streamed(body: bytes) -> bytes:
            answer = mended_answer(there.read_answer(body))
            write = here.stream_writer(call.body, created).write
            return b"".join(map(write, deltas_of(answer)))

        head = ((b"content-type", here.STREAM),)
        return WholeTap(there, "answer", rewrite=streamed, head=head)
    if crosses:

        def rewritten(body: bytes) -> bytes:
            return here.write_answer(mended_answer(there.read_answer(body)), created)

        return WholeTap(there, "answer", rewrite=rewritten, head=JSON)
    if call.surface == here.SURFACE:
        return WholeTap(there, "answer")
    return WholeTap(there, "nothing" if call.surface == "batches" else "json")


def said(dialect: str, body: bytes) -> Said:
    """An error in the provider's own words. Never raises."""
    return DIALECTS[dialect].said(body)


def error_type(dialect: str, status: int) -> str:
    """The dialect's name for an error of this status."""
    return DIALECTS[dialect].error_type(status)


def overload_status(dialect: str) -> int:
    """The status by which a provider of this dialect says that the fault is its own, for now."""
    return DIALECTS[dialect].OVERLOADED


def error_reply(dialect: str, status: int, message: str) -> tuple[Headers, bytes]:
    """A whole error answer in the client's dialect: headers and body."""
    there = DIALECTS[dialect]
    return JSON, there.error_body(there.error_type(status), message)


def error_event(dialect: str, status: int, message: str) -> bytes:
    """An error inside a stream, in the client's dialect."""
    there = DIALECTS[dialect]
    return there.error_event(there.error_type(status), message)


def models_reply(dialect: str, ids: list[str]) -> bytes:
    """A list of models in the client's dialect."""
    return DIALECTS[dialect].models_body(ids)
