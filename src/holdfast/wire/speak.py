"""The one door of this room: a dialect's name in, its module's words out.

A dialect is one folder, its `dialect` the module with the functions of `speech.Speaking`, and a row
in `DIALECTS`; none knows another, and what crosses goes through the neutral form of `wire.speech`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil
from urllib.parse import quote, unquote

import msgspec
from msgspec import Struct

from holdfast.facts.calls import Call, Headers, Peek
from holdfast.facts.flights import Decline, Leg
from holdfast.facts.losses import Lost
from holdfast.facts.outcomes import Failure, FailureKind, Said
from holdfast.facts.places import NOTHING_KNOWN, ModelFacts
from holdfast.wire import kin, patching
from holdfast.wire import peek as peeking
from holdfast.wire.anthropic import dialect as anthropic
from holdfast.wire.crossings import Crossings
from holdfast.wire.deltas import DeltaWriter
from holdfast.wire.fitting import fitted, lettered, looks_fitted, paired
from holdfast.wire.gathering import Gatherer, GatheringTap
from holdfast.wire.gemini import array as gemini_array
from holdfast.wire.gemini import dialect as gemini
from holdfast.wire.headers import about_call, client_credential, is_subscription, to_client
from holdfast.wire.keeping import KeepingTap, SignedTap
from holdfast.wire.mend import Mender, deltas_of, mended_answer
from holdfast.wire.mended import MendedFrames
from holdfast.wire.needs import needs
from holdfast.wire.ollama import dialect as ollama
from holdfast.wire.ollama import generate as ollama_generate
from holdfast.wire.openai import dialect as openai
from holdfast.wire.packed import InflatingTap, UnreadableTap
from holdfast.wire.quiet import QuietWriter, quiet
from holdfast.wire.responses import dialect as responses
from holdfast.wire.retry_after import retry_delay_s
from holdfast.wire.schemas import schemed
from holdfast.wire.sniffed import SniffingTap
from holdfast.wire.speech import (
    UNSEEN,
    UNSHOWN,
    Answer,
    Ask,
    BadBodyError,
    CannotCrossError,
    Model,
    Part,
    Refusal,
    Speaking,
    Takes,
    Text,
    ToolCall,
    UnshownError,
    Written,
)
from holdfast.wire.suiting import suited, windowed
from holdfast.wire.tap import CrossingTap, PassingTap, Tap
from holdfast.wire.whole import JSON, ErrorTap, WholeTap, page_words

__all__ = [
    "BadBodyError",
    "CannotCrossError",
    "client_credential",
    "compose",
    "conversation",
    "declined",
    "error_event",
    "error_reply",
    "error_type",
    "is_subscription",
    "model_reply",
    "models_reply",
    "overload_status",
    "peek",
    "renamed",
    "reshaped",
    "said",
    "tap",
]

LOST_CHARS_MAX = 180
DIALECTS: dict[str, Speaking] = {
    "anthropic": anthropic,
    "openai": openai,
    "openai-responses": responses,
    "ollama": ollama,
    "gemini": gemini,
}
# Other ways of asking in a dialect, by their surface; its targets are asked in its usual way.
_ALSO: dict[tuple[str, str], Speaking] = {("ollama", "generate"): ollama_generate}
# The surfaces that can be asked about what was said before by its name alone.
_TELLING = frozenset({responses.SURFACE, "count_tokens"})
# Statuses by which a server says that it has no such endpoint.
_ABSENT = (404, 405, 501)
# What is asked for in another way, or done without, where a model has it not.
_MENDED = frozenset({"thinking", "json_schema"})
# The content type of events, in most dialects.
EVENTS = b"text/event-stream"
# Whose answers are streamed where a request does not say.
STREAM_UNASKED = frozenset({"ollama"})


def peek(dialect: str, body: bytes, path: str = "") -> Peek:
    """What routing needs of a request. Raises BadBodyError with the field and the remedy."""
    if dialect == gemini.DIALECT:
        return gemini.peek(body, path)
    found = peeking.peek(body, unsaid=dialect in STREAM_UNASKED)
    if dialect == responses.DIALECT:
        responses.check(body)
    return found


def reshaped(dialect: str, surface: str, body: bytes) -> Written | None:
    """A body of the dialect that its path says, where the client wrote it in another, and what of
    it that has no word for; None where it is of its path's.

    Some send Responses' bodies to the path of Chat, and want Chat's answers. Raises BadBodyError
    where that cannot be said.
    """
    if (dialect, surface) != ("openai", openai.SURFACE) or not responses.is_ours(body):
        return None
    try:
        model = peeking.peek(body).model
        ask = responses.read_ask(body)
        written = openai.write_ask(paired(ask, responses.TURNS), model)
        lost = _borne((*ask.lost, *written.lost))
    except CannotCrossError as error:
        raise BadBodyError(f"holdfast: {error}.") from None
    return Written(written.body, lost)


def conversation(dialect: str, body: bytes, *, first_turns: bool = False) -> str:
    """A mark of a *continuing* conversation, the same on each of its turns; "" for a first turn.

    `first_turns`: that has one, too, the one of the turns that follow it.
    """
    if dialect == responses.DIALECT:
        return responses.conversation(body, first_turns=first_turns)
    if dialect == gemini.DIALECT:
        return gemini.conversation(body, first_turns=first_turns)
    return peeking.conversation(dialect, body, first_turns=first_turns)


# ------------------------------------------------------------------ requests


class Outgoing(Struct, frozen=True, gc=False):
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


def compose(call: Call, leg: Leg, crossings: Crossings | None = None) -> Outgoing:
    """The request for this leg: the same bytes, but for the target's own model name, or written
    anew in its dialect. Raises CannotCrossError when it cannot be said there, or not all of it and
    the route forbids losses.

    `crossings` gives back to a provider what it signed, where the client could not keep it.
    """
    if crossings is not None and call.dialect == responses.DIALECT and call.surface in _TELLING:
        owner = call.credential_mark
        body = crossings.conversations.told(call.body, leg.target.provider, call.at, owner=owner)
        call = msgspec.structs.replace(call, body=body)
    if leg.dialect == call.dialect:
        return _passed(call, leg, crossings)
    there = DIALECTS.get(leg.dialect)
    here = _spoken(call)
    counts = call.surface == "count_tokens" and there is not None and there.COUNT_PATH != ""
    if here is None or there is None or not (call.surface == here.SURFACE or counts):
        raise CannotCrossError(f"{call.surface} of {call.dialect} cannot be said in {leg.dialect}")
    ask = here.read_ask(call.body)
    _borne(ask.lost)
    if crossings is not None:
        ask = crossings.restored(ask, leg.target.provider, call.at, owner=call.credential_mark)
    ask, model = paired(_suited(ask, leg), here.TURNS), leg.target.model
    if call.stream and not ask.sampling.stream:  # the path says it, not the body
        sampling = msgspec.structs.replace(ask.sampling, stream=True)
        ask = msgspec.structs.replace(ask, sampling=sampling)
    written = Written(there.write_count(ask, model)) if counts else _written(there, ask, leg)
    lost = _borne((*call.lost, *_lost_headers(call, here), *ask.lost, *written.lost), leg)
    path = (
        there.COUNT_PATH.format(model=quote(model, safe=""))
        if counts
        else there.path(model, stream=ask.sampling.stream)
    )
    return Outgoing(path, (*there.HEADERS, *JSON), written.body, here.OWN_PREFIXES, lost)


def _spoken(call: Call) -> Speaking | None:
    """The module of what a client speaks, in the form of streams that it asked for."""
    return _ALSO.get((call.dialect, call.surface)) or _formed(call.dialect, call.query)


def _formed(dialect: str, query: str) -> Speaking | None:
    """The module of a dialect, in the form of streams that the query asks for."""
    if dialect == gemini.DIALECT and not gemini.as_events(query):
        return gemini_array
    return DIALECTS.get(dialect)


def _suited(ask: Ask, leg: Leg) -> Ask:
    """The ask as this model takes it. Raises CannotCrossError where it needs what that has not."""
    _check_needs(ask, leg, _MENDED)
    facts = leg.facts or NOTHING_KNOWN
    ask = kin.parted(ask, leg.dialect, facts.refuses or ())
    ask = suited(schemed(ask, leg.dialect), facts, leg.dialect)
    return windowed(ask, facts) if leg.dialect == ollama.DIALECT else ask


def _written(there: Speaking, ask: Ask, leg: Leg) -> Written:
    written = there.write_ask(ask, leg.target.model)
    if leg.facts is None or not leg.facts.refuses or leg.dialect != openai.DIALECT:
        return written
    body = patching.limited(written.body, frozenset(leg.facts.refuses))
    return msgspec.structs.replace(written, body=body)


def _own_ask(call: Call, leg: Leg) -> Ask | None:
    """What a call that passes asks for; None where that need not be known, or cannot.

    It is read only where something is known of the model that may keep it from answering. What
    cannot be read passes: its own dialect will tell the client what is wrong.
    """
    if not leg.lacks and (leg.facts is None or not leg.stand_in):
        return None
    here = _spoken(call)
    if here is None or call.surface != here.SURFACE:
        return None
    try:
        return here.read_ask(call.body)
    except CannotCrossError:
        return None


def _passed(call: Call, leg: Leg, crossings: Crossings | None) -> Outgoing:
    """The same request; without thoughts that this provider cannot take, and to a stand-in without
    what its model is known to refuse.
    """
    query = f"?{call.query}" if call.query else ""
    model, path, body = leg.target.model, call.path, call.body
    lost = call.lost
    ask = _own_ask(call, leg)
    if ask is not None:
        _check_needs(ask, leg, _MENDED - {"json_schema"})
    if leg.stand_in and leg.facts is not None:
        body, more = _resaid(call, leg, ask, leg.facts)
        lost += more
    if leg.dialect in DIALECTS:
        own = DIALECTS[leg.dialect].own(body, _takes(leg, crossings))
        if own is not body:
            body, lost = own, (*lost, _LEFT_BEHIND)
    if model != call.model:
        path, body = renamed(path, body, call.model, model)
    return Outgoing(path + query, (), body, lost=_borne(lost, leg) if lost else ())


def renamed(path: str, body: bytes, was: str, model: str) -> tuple[str, bytes]:
    """The path and the body of a call for `was`, with this model's name where theirs name one."""
    return _renamed(path, was, model), peeking.renamed(body, model) if body else body


def _takes(leg: Leg, crossings: Crossings | None) -> Takes:
    """Which of the thoughts that a client hands back this target takes."""
    if crossings is None:
        return Takes(unsigned=leg.local)
    provider = leg.target.provider
    return crossings.signers.takes(provider, stand_in=leg.stand_in, local=leg.local)


_LEFT_BEHIND = Lost("thinking", "thoughts that this provider did not sign stay behind")


def _check_needs(ask: Ask, leg: Leg, mended: frozenset[str]) -> None:
    missing = sorted((needs(ask) & leg.lacks) - mended)
    if missing:
        raise CannotCrossError(f"{leg.target.model} has no {', '.join(missing)}")


def _resaid(
    call: Call, leg: Leg, ask: Ask | None, facts: ModelFacts
) -> tuple[bytes, tuple[Lost, ...]]:
    """The body for another model of its own dialect, and what of it was lost."""
    refuses = frozenset(facts.refuses or ())
    if "prefill" in refuses and patching.begun(call.body):
        raise CannotCrossError(f"{leg.target.model} goes on with no answer that was begun for it")
    here = _spoken(call)
    if ask is None or here is None:
        return call.body, ()
    after = suited(ask, facts, leg.dialect)
    lost = after.lost[len(ask.lost) :]
    if ask.form is not None and after.form is None:
        raise CannotCrossError(f"{leg.target.model} cannot be held to the form of its answer")
    lacks = set(refuses) | ({"thinking"} if facts.thinking is False else set())
    try:
        models = (call.model, leg.target.model)
        body = patching.patched(call.body, here, (ask, models[0]), (after, models[1]), lacks)
    except CannotCrossError:  # what its own dialect cannot say, its provider shall judge
        return call.body, ()
    return (patching.limited(body, refuses) if leg.dialect == openai.DIALECT else body), lost


def _borne(lost: tuple[Lost, ...], leg: Leg | None = None) -> tuple[Lost, ...]:
    """Each of these losses once. Raises CannotCrossError for those that cannot be borne, and for
    any where the route of the leg forbids them."""
    grave = [str(loss) for loss in lost if not loss.tolerable]
    if grave:
        raise CannotCrossError("; ".join(grave)[:LOST_CHARS_MAX])
    if lost and leg is not None and leg.losses == "forbidden":
        names = ", ".join(dict.fromkeys(loss.field for loss in lost))
        raise CannotCrossError(f"the route forbids losses, and there is no word for {names}")
    return tuple(dict.fromkeys(lost))


def _renamed(path: str, was: str, model: str) -> str:
    """The path with this model's name in place of the one that it names, if it names one."""
    before, named, rest = path.partition("/models/")
    rest = unquote(rest)
    if was and named and (rest == was or rest.startswith(f"{was}:")):
        return f"{before}{named}{quote(model, safe='')}{rest[len(was) :]}"
    return path


def _lost_headers(call: Call, here: Speaking) -> Iterable[Lost]:
    """The client's headers that only its own dialect knows and that ask for something.

    The fields of the body that belong to them are lost by themselves: half of a pair is an error.
    """
    for name, value in call.headers:
        if name.startswith(here.OWN_PREFIXES) and name.endswith(b"-beta"):
            why = f"{value.decode('latin-1')[:100]} is of its dialect alone"
            yield Lost(name.decode("latin-1"), why)


# ------------------------------------------------------------------- answers


def tap(
    call: Call, leg: Leg, status: int, headers: Headers, crossings: Crossings | None = None
) -> Tap:
    """The tap that reads this answer and gives pieces in the client's dialect.

    `crossings` keeps what the provider signed, where the client cannot.
    """
    keeps = crossings is not None and 200 <= status < 300
    answers = call.surface == responses.SURFACE  # they are kept whole, with what was signed
    found = _unpacked(call, leg, status, headers, None if keeps and answers else crossings)
    if crossings is None or not keeps:
        return found
    if answers:
        found = _keeping(call, leg, found, crossings)
    if leg.stand_in and leg.dialect == call.dialect and DIALECTS[leg.dialect].SIGNS:
        found = SignedTap(found, crossings.signers, leg.target.provider)
    return found


def _unpacked(
    call: Call, leg: Leg, status: int, headers: Headers, crossings: Crossings | None
) -> Tap:
    """The tap, in front of it what takes the compression off."""
    by_name = dict(headers)
    encoding = by_name.get(b"content-encoding", b"").strip().lower()
    kind = by_name.get(b"content-type", b"").lower()
    if encoding in (b"", b"identity"):
        return _tap(call, leg, status, headers, kind, crossings)
    if encoding in (b"gzip", b"x-gzip", b"deflate"):
        plain = tuple(pair for pair in headers if pair[0] != b"content-encoding")
        return InflatingTap(_tap(call, leg, status, plain, kind, crossings), plain)
    return UnreadableTap(
        f"the answer came as {encoding.decode('latin-1')[:40]}, which was not asked for"
    )


def _keeping(call: Call, leg: Leg, inner: Tap, crossings: Crossings) -> Tap:
    """The tap, whose answer can be asked on by its name alone."""

    def keep(answer: bytes) -> None:
        by, native = leg.target.provider, leg.dialect == call.dialect
        crossings.conversations.keep(
            call.body, answer, by, call.at, native=native, owner=call.credential_mark
        )

    return KeepingTap(inner, keep, stream=call.stream)


def _tap(
    call: Call,
    leg: Leg,
    status: int,
    headers: Headers,
    kind: bytes,
    crossings: Crossings | None,
) -> Tap:
    crosses = leg.dialect != call.dialect
    here = _spoken(call) or openai
    there = DIALECTS.get(leg.dialect, openai) if crosses else here
    counts = call.surface == "count_tokens"
    if not 200 <= status < 300:
        how: FailureKind = "absent" if counts and status in _ABSENT else "status"
        return ErrorTap(there, status, headers, crossed=crosses, kind=how)
    if counts:
        return _counting(here, there, headers)
    if not call.stream and not crosses:
        if call.surface != here.SURFACE:
            return WholeTap(there, "nothing" if call.surface == "batches" else "json")
        there = _ALSO.get((call.dialect, call.surface)) or DIALECTS.get(leg.dialect, openai)
        if _is_json(kind):
            return WholeTap(there, "answer")
    way = _Way(call, leg, here, there, crossings)
    type_ = _type_of(there)
    if kind.startswith(type_):
        return _answering(call, way, headers, streams=True)
    whole = _answering(call, way, headers, streams=False)
    if not EVENTS.startswith(type_) or (_is_json(kind) and not call.stream):
        return whole
    # Relays name no content type, or a wrong one.
    others = (pair for pair in headers if pair[0] != b"content-type")
    return SniffingTap(
        whole,
        lambda: _answering(call, way, headers, streams=True),
        (*others, (b"content-type", EVENTS)),
    )


def _answering(call: Call, way: _Way, headers: Headers, *, streams: bool) -> Tap:
    """The tap for an answer; `streams`: it comes as events."""
    there = way.there
    if call.stream and streams and not way.crosses:
        frames = there.frames()
        if way.local:
            frames = MendedFrames(frames, there.event_mender(call.model, int(call.wall)))
        return PassingTap(there.stream_reader(call.model), frames)
    if call.stream or way.crosses:  # also where the target does not stream
        return _crossing(call, way, headers, streams=streams)
    return _gathering(call, way, about_call(headers)) if streams else WholeTap(there, "answer")


def _is_json(kind: bytes) -> bool:
    return kind.startswith(b"application/json")


def _type_of(there: Speaking) -> bytes:
    """The content type of a dialect's streams, without its parameters."""
    return there.STREAM.partition(b";")[0]


class _Way:
    """The way back of one answer: from the target's dialect into the client's."""

    __slots__ = ("_call", "_crossings", "_leg", "_quiet", "here", "there")

    def __init__(
        self, call: Call, leg: Leg, here: Speaking, there: Speaking, crossings: Crossings | None
    ) -> None:
        self._call = call
        self._leg = leg
        self.here = here
        self.there = there
        self._quiet = here is not there and not here.shows_thoughts(call.body)
        # Clients that hand signatures back need no memory of ours, where they are given any.
        self._crossings = None if here.SIGNS and not self._quiet else crossings

    @property
    def crosses(self) -> bool:
        return self._leg.dialect != self._call.dialect

    @property
    def local(self) -> bool:
        return self._leg.local

    @property
    def remembers(self) -> bool:
        return self._crossings is not None

    def tool(self, name: str) -> str:
        """The client's own name of a tool, for the one that the target was given."""
        if self.here is self.there or not looks_fitted(name):
            return name
        try:
            tools = self.here.read_ask(self._call.body).tools
        except CannotCrossError:
            return name
        most = self.there.NAME_CHARS_MAX
        for own in (tool.name for tool in tools):
            if name in (fitted(own, most), lettered(own, most)):
                return own
        return name

    def keep(self, parts: Sequence[Part]) -> None:
        """Remember what of this answer the client cannot."""
        if self._crossings is not None:
            most = self.here.ID_CHARS_MAX
            shown = [fitted(part.id, most) for part in parts if isinstance(part, ToolCall)]
            by, call = self._leg.target.provider, self._call
            self._crossings.keep(by, parts, shown, call.at, owner=call.credential_mark)

    def answer(self, body: bytes) -> Answer:
        """A whole answer, in order."""
        return self.shown(mended_answer(self.there.read_answer(body), self.tool))

    def shown(self, answer: Answer) -> Answer:
        """The answer, in order, as this client is shown it. Raises UnshownError."""
        if not UNSEEN.isdisjoint(answer.lost) and not _speaks(answer):
            raise UnshownError(UNSHOWN)
        for choice in answer.choices:
            self.keep(choice.parts)
        shown = quiet(answer) if self._quiet else answer
        return msgspec.structs.replace(shown, asked=self._call.body)

    def writer(self) -> DeltaWriter:
        """A writer of one stream for this client."""
        call = self._call
        writer = self.here.stream_writer(call.body, int(call.wall))
        return QuietWriter(writer) if self._quiet else writer


def _speaks(answer: Answer) -> bool:
    """Whether there is more in it than thoughts."""
    parts = (part for choice in answer.choices for part in choice.parts)
    return any(isinstance(part, Text | Refusal | ToolCall) for part in parts)


def _counting(here: Speaking, there: Speaking, headers: Headers) -> Tap:
    """A tap for a count, which must be one: a client believes it, and nought of anything said is
    how relays say that they have none.
    """

    def counted(body: bytes) -> tuple[bytes, tuple[Lost, ...]]:
        tokens = there.read_count(body)
        if tokens < 1:
            raise CannotCrossError(f"a count of {tokens} is none")
        return (body if here is there else here.write_count_answer(tokens)), ()

    head = None if here is there else (*about_call(headers), *JSON)
    return WholeTap(there, "json", rewrite=counted, head=head, strange="absent")


def _crossing(call: Call, way: _Way, headers: Headers, *, streams: bool) -> Tap:
    """A tap for an answer that is written anew: of another dialect, or of another form. `streams`:
    it comes as events.
    """
    about = about_call(headers)
    here, there, created = way.here, way.there, int(call.wall)
    if not call.stream and streams:
        return _gathering(call, way, about)
    if not call.stream:

        def rewritten(body: bytes) -> tuple[bytes, tuple[Lost, ...]]:
            answer = way.answer(body)
            return here.write_answer(answer, created), answer.lost

        return WholeTap(there, "answer", rewrite=rewritten, head=(*about, *JSON))
    head = (*about, (b"content-type", here.STREAM))
    if streams:
        return CrossingTap(
            there.delta_reader(call.model),
            way.writer(),
            Mender(call.model, way.tool),
            there.frames(),
            head,
            whole=way.keep if way.remembers else None,
        )

    # Some relays and engines do not stream: the words are all there, so they are streamed now.
    def streamed(body: bytes) -> tuple[bytes, tuple[Lost, ...]]:
        writer, answer = way.writer(), way.answer(body)
        if len(answer.choices) != 1 and not writer.several:
            raise CannotCrossError(f"the answer holds {len(answer.choices)} choices, not one")
        return b"".join(map(writer.write, deltas_of(answer))), answer.lost

    return WholeTap(there, "answer", rewrite=streamed, head=head)


def _gathering(call: Call, way: _Way, about: Headers) -> Tap:
    """A tap for an answer that is streamed, though it was asked for in one piece."""
    here, there, gatherer = way.here, way.there, Gatherer()

    def written() -> bytes:
        return here.write_answer(way.shown(gatherer.answer()), int(call.wall))

    mender = Mender(call.model, way.tool)
    inner = CrossingTap(there.delta_reader(call.model), gatherer, mender, there.frames(), JSON)
    return GatheringTap(inner, written, (*about, *JSON))


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
    return JSON, there.error_body(there.error_type(status), message, status=status)


def passed_error(dialect: str, failure: Failure, cause: str) -> tuple[int, Headers, bytes]:
    """An upstream's error for the client: status, headers and body, byte for byte as they came.

    Of another dialect, the same words in an envelope that the client knows; of a web page, its
    title. What a client does about a prompt that is too long hangs on how it is said.
    """
    status = failure.status or 500
    if not failure.crossed:
        return status, failure.headers, failure.body
    here, said = DIALECTS[dialect], failure.said
    words = said.message or page_words(failure.body) or f"The provider answered {status}."
    head = (*(pair for pair in failure.headers if pair[0] not in _OF_BODIES), *JSON)
    wait_s = retry_delay_s(failure.body)
    if wait_s is not None and b"retry-after" not in dict(head):
        # What its own SDKs read in the body, others look for in the headers.
        head = (*head, (b"retry-after", b"%d" % ceil(wait_s)))
    if cause == "context_too_long":
        return 400, head, here.too_long(words)
    code = "" if said.code.isdigit() else said.code  # some repeat the status there
    return status, head, here.error_body(here.error_type(status), words, code, status)


def declined(
    dialect: str, command: Decline, status: int, text: str, ours: Headers = ()
) -> tuple[int, Headers, bytes]:
    """The answer to a client whom nobody could serve: status, headers and body.

    The error of a target, where one is to be passed on; else `text`, with `status`. The headers say
    to its SDK whether and when to ask again; these and `ours` count where the target says the same.
    """
    if command.retry_after_s is not None:
        ours += ((b"retry-after", b"%d" % max(1, round(command.retry_after_s))),)
    if command.should_retry is not None:
        ours += ((b"x-should-retry", b"true" if command.should_retry else b"false"),)
    failure = command.failure
    if failure is None or failure.status is None:
        head, body = error_reply(dialect, status, text)
    else:
        status, head, body = passed_error(dialect, failure, command.verdict.cause)
    told = {name for name, _ in ours}
    return status, (*(pair for pair in to_client(head) if pair[0] not in told), *ours), body


_OF_BODIES = (b"content-type", b"content-encoding", b"content-length")


def error_event(dialect: str, status: int, message: str, query: str = "") -> bytes:
    """An error inside a stream, in the client's dialect and, by its query, its form."""
    there = _formed(dialect, query) or openai
    return there.error_event(there.error_type(status), message)


def models_reply(dialect: str, models: Sequence[Model], query: str = "") -> bytes:
    """A list of models in the client's dialect, or the part of it that the query asks for.

    Raises BadBodyError.
    """
    return DIALECTS[dialect].models_body(models, query)


def model_reply(dialect: str, model: Model) -> bytes:
    """One model in the client's dialect."""
    return DIALECTS[dialect].model_body(model)
