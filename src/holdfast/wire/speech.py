"""The neutral form: what a conversation says, whichever dialect says it.

Five dialects meet here, so that N modules suffice where N×M translators would be needed. The form
is the union of what they can say, in the plainest shape: an `Ask` of `Turn`s of `Part`s, an
`Answer` of `Choice`s. JSON that nobody here needs to understand (schemas, arguments) stays in the
bytes that it came in. What a dialect cannot bring into the form, or out of it, becomes a `Lost`;
a body that is not of its dialect is refused with the name of the field.

Streams are in `wire.deltas`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from msgspec import Struct

from holdfast.facts.losses import Lost
from holdfast.facts.outcomes import Failure, PieceKind, Said, Usage
from holdfast.wire.deltas import DeltaReader, DeltaWriter, Stop
from holdfast.wire.sse import SseEvent

# What reading bytes as JSON may raise: not JSON or not of the shape (msgspec's errors are
# ValueErrors, so is bad UTF-8), or nested beyond what the interpreter's stack bears.
UNREADABLE = (ValueError, RecursionError)
# Stands before the signature of thinking that another dialect signed, in answers to clients that
# hand signatures back: so it is known when it returns, and never shown to who did not sign it.
FOREIGN = "holdfast."


# Why a tool's schema is a looser one.
LOOSER = "which of a tool's fields go together cannot be said here"
# Why the system's words are a user's, where nobody else says anything.
ALONE = "they stand alone, and are said as a user's"


# What answers hold that nobody else has a place for.
CITED = Lost("answer.citations", "where the words are taken from has no place in the other dialect")
RAN = Lost(
    "answer.server_tools", "what the provider's own tools did; the words say what came of it"
)
FILED = Lost("answer.files", "pictures and sounds have no place in an answer of the other dialect")
STRANGE = Lost("answer.unknown", "a part of a kind that has no place in the other dialect")
# An answer of nothing but these is none to its client.
UNSEEN = frozenset({FILED, STRANGE})
UNSHOWN = "all that the answer holds (a picture or a sound) has no place in the other dialect"


class BadBodyError(Exception):
    """The request is wrong wherever it goes; the text names the field and the remedy."""


class CannotCrossError(Exception):
    """This cannot be said in the other dialect; the text names what stands out."""


class UnshownError(CannotCrossError):
    """An answer holds nothing that its client could be shown. No fault of its provider."""


class BadFieldError(CannotCrossError):
    """A field is not what its own dialect says that it is; the text names it."""


# ---------------------------------------------------------------------- parts


class Text(Struct, frozen=True):
    """Words. `cache` is the mark behind which a provider may cache, JSON as it came, or b""."""

    text: str
    cache: bytes = b""


class Image(Struct, frozen=True):
    """A picture: `data` in base64 with its `media_type`, or a `url`. `detail` where it was said."""

    media_type: str = ""
    data: str = ""
    url: str = ""
    detail: str = ""
    cache: bytes = b""


class Document(Struct, frozen=True):
    """A file: `data` in base64 with its `media_type`, or a `url`, or plain `text`."""

    media_type: str = ""
    data: str = ""
    url: str = ""
    text: str = ""
    name: str = ""
    cache: bytes = b""


class ToolCall(Struct, frozen=True):
    """The model calls a tool. `arguments` is the text of a JSON object, as it came."""

    id: str
    name: str
    arguments: str = "{}"
    cache: bytes = b""


class ToolResult(Struct, frozen=True):
    """What a tool gave, for the call with this id. `error`: it failed."""

    id: str
    parts: tuple[Text | Image | Document, ...] = ()
    error: bool = False
    cache: bytes = b""


class Thinking(Struct, frozen=True):
    """What a model thought. `origin` is the dialect whose provider signed it.

    `signature` vouches for `text`; `data` is thinking that came encrypted. Both mean something to
    their origin only.
    """

    text: str = ""
    signature: str = ""
    data: str = ""
    origin: str = ""


class Refusal(Struct, frozen=True):
    """The model says why it will not."""

    text: str


Part = Text | Image | Document | ToolCall | ToolResult | Thinking | Refusal


class Turn(Struct, frozen=True):
    """What one side says at a time.

    A `user` turn holds results first, then what people say; an `assistant` turn what a model said,
    in its order; a `system` turn, in mid-conversation, texts.
    """

    role: Literal["user", "assistant", "system"]
    parts: tuple[Part, ...]


# ------------------------------------------------------------------- requests


class Tool(Struct, frozen=True):
    """A tool that the client runs. `schema` is JSON as it came; `strict` None: not said.

    `freeform`: its input is text and no JSON. To other dialects it is a tool with the single field
    `input`, which its schema says, and so are its calls here.
    """

    name: str
    description: str = ""
    schema: bytes = b'{"type":"object","properties":{}}'
    strict: bool | None = None
    freeform: bool = False
    cache: bytes = b""


class ToolChoice(Struct, frozen=True):
    """Whether tools are called: `named` with a `name`; `parallel` None: not said."""

    mode: Literal["auto", "any", "none", "named"] = "auto"
    name: str = ""
    parallel: bool | None = None


class Reasoning(Struct, frozen=True):
    """How much is thought: not at all, as much as the model likes, or by a budget of tokens.

    `effort` is one of minimal, low, medium, high, xhigh, max; "" where it was not said. What a
    model does not take of it is no longer here when a request is written (`suiting`).
    """

    mode: Literal["off", "auto", "on"] = "auto"
    budget: int | None = None
    effort: str = ""


class Form(Struct, frozen=True):
    """The form that the answer must have: any JSON object, or one of a schema (JSON as it came)."""

    kind: Literal["json_object", "json_schema"]
    schema: bytes = b""
    name: str = ""
    strict: bool | None = None


class Sampling(Struct, frozen=True, kw_only=True):
    """How the answer is drawn. None where the client set nothing.

    Temperatures go from 0 to 2 here, as in most dialects; who has less cuts them and says so.
    `window_tokens` is how large an engine's window must be, where that can be said: no client's
    word, but what `suiting` makes of the whole request.
    """

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    stop: tuple[str, ...] = ()
    choices: int = 1
    logprobs: bool = False
    top_logprobs: int | None = None
    stream: bool = False
    window_tokens: int | None = None


class Ask(Struct, frozen=True, kw_only=True):
    """A request: at least one turn, the last of them not the model's.

    `lost` is what this form has no word for. `user` identifies who asks, in the client's own way.
    `shared` are settings that only kin of the client's dialect know, JSON as it came (`wire.kin`).
    """

    system: tuple[Text, ...] = ()
    turns: tuple[Turn, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    sampling: Sampling = Sampling()
    reasoning: Reasoning | None = None
    form: Form | None = None
    user: str = ""
    shared: tuple[tuple[str, bytes], ...] = ()
    lost: tuple[Lost, ...] = ()


class Written(Struct, frozen=True):
    """A request as a dialect says it, and what of the neutral form it could not say."""

    body: bytes
    lost: tuple[Lost, ...] = ()


# -------------------------------------------------------------------- answers


class Choice(Struct, frozen=True):
    """One answer among those asked for. `sequence` is the stop sequence that was met."""

    parts: tuple[Part, ...]
    stop: Stop = "end"
    sequence: str = ""
    logprobs: bytes = b""


class Answer(Struct, frozen=True, kw_only=True):
    """A whole answer, one choice at least. `id` and `model` as the upstream gave them.

    `asked` is the client's request that it answers, as it came: some dialects say of it again.
    `lost` is what this form has no word for.
    """

    id: str
    model: str
    choices: tuple[Choice, ...]
    usage: Usage = Usage()
    asked: bytes = b""
    lost: tuple[Lost, ...] = ()


class Whole(Struct, frozen=True, kw_only=True, gc=False):
    """What a whole body is: an answer in words, an object with an error in it, or neither."""

    answer: bool
    error: bool
    usage: Usage = Usage()


class Model(Struct, frozen=True):
    """One model as lists tell of it: `title` for people, the window in tokens where it is known,
    `created` in seconds since the epoch (0: not known).
    """

    id: str
    title: str = ""
    context_tokens: int | None = None
    created: int = 0


class Reader(Protocol):
    """Reads one upstream stream of the client's own dialect, event by event: what passes is known
    by its kind alone. A dialect that needs no speed has `wire.kinds` for it.

    `spoke`: content has been seen. `missing`: bytes of an opening that the stream left out, due
    before the event that was read last; behind a FAULT those of an end. `failure` says how, after
    a FAULT.
    """

    usage: Usage
    spoke: bool
    missing: bytes
    failure: Failure | None

    @property
    def stopped(self) -> bool:
        """Whether the stream has said why it ends (a stop reason)."""
        ...

    def read(self, event: SseEvent) -> PieceKind:
        """What this event is. Never raises."""
        ...

    def flows(self, block: bytes) -> bool:
        """Whether these whole events are content and nothing else, known after the first content.

        They need not be read then. False wherever it is not certain at a glance.
        """
        ...

    def closing(self) -> bytes | None:
        """The stream stopped: the terminal event to add if the answer is whole, else None."""
        ...


class EventMender(Protocol):
    """Follows one stream of a dialect and mends what breaks the dialect's clients."""

    def mend(self, event: SseEvent) -> tuple[SseEvent, ...]:
        """What stands in this event's place: the very event where nothing is wrong with it.

        Never raises; what it cannot read or mend stays as it came. It adds no terminal event: a
        stream that was cut off stays cut off.
        """
        ...


class Takes(Struct, frozen=True):
    """Which thoughts a target takes back: `signed` tells it of a signature, None: of any;
    `unsigned`: also those without one.
    """

    signed: Callable[[str], bool] | None = None
    unsigned: bool = True


TAKES_ALL = Takes()


class Framer(Protocol):
    """Cuts a stream's bytes into events; see `sse.SseReader`."""

    def feed(self, data: bytes) -> list[SseEvent]: ...
    def ahead(self, data: bytes) -> bytes: ...
    def passed(self, block: bytes, data: bytes) -> None: ...
    def finish(self) -> SseEvent | None: ...


class Speaking(Protocol):
    """What a dialect's module gives. A new dialect is such a module and a row in `wire.speak`.

    `DIALECT` is its name; `SURFACE` that of a request for an answer, and `TURNS` that of the field
    that holds what was said so far; `HEADERS` go with a request that was written anew, in place of
    the client's own whose names begin with one of `OWN_PREFIXES`. `OVERLOADED` is the status by
    which its providers say that they cannot, for now. `STREAM` is the content type of its streams.
    `ID_CHARS_MAX` and `NAME_CHARS_MAX` bound the ids of calls and the names of tools. `SIGNS`: its
    clients hand back what a provider signed. `MODELS_PATH` is where its models are listed, all at
    once as far as that can be asked for. `COUNT_PATH` is where tokens are counted, `{model}` in the
    place of its name where the path has it; "" where nobody does.
    """

    DIALECT: str
    SURFACE: str
    TURNS: str
    HEADERS: tuple[tuple[bytes, bytes], ...]
    OWN_PREFIXES: tuple[bytes, ...]
    OVERLOADED: int
    STREAM: bytes
    ID_CHARS_MAX: int
    NAME_CHARS_MAX: int
    SIGNS: bool
    COUNT_PATH: str
    MODELS_PATH: str

    def path(self, model: str, *, stream: bool) -> str:
        """Where a request for an answer goes, with its query."""
        ...

    def own(self, body: bytes, takes: Takes) -> bytes:
        """A request that passes, without the thoughts that its target does not take.

        Byte for byte as it came where there are none. Never raises.
        """
        ...

    def read_ask(self, body: bytes) -> Ask:
        """A request in the neutral form. Raises BadFieldError, CannotCrossError."""
        ...

    def write_ask(self, ask: Ask, model: str) -> Written:
        """A request for a target of this dialect. Raises CannotCrossError."""
        ...

    def read_answer(self, body: bytes) -> Answer:
        """A whole answer. Raises CannotCrossError, or one of UNREADABLE."""
        ...

    def write_answer(self, answer: Answer, created: int) -> bytes:
        """A whole answer for a client of this dialect; `created` in seconds since the epoch.

        Raises CannotCrossError.
        """
        ...

    def read_whole(self, body: bytes) -> Whole:
        """What a whole body is. Raises one of UNREADABLE when it is not a JSON object."""
        ...

    def frames(self) -> Framer:
        """A framer for one stream."""
        ...

    def stream_reader(self, model: str) -> Reader:
        """A reader of one stream that passes; `model` is put where it must be mended."""
        ...

    def event_mender(self, model: str, created: int) -> EventMender:
        """A mender of one stream that passes from an engine; both are put into what is added."""
        ...

    def delta_reader(self, model: str) -> DeltaReader:
        """A reader of one stream that crosses; `model` is said where the stream names none."""
        ...

    def stream_writer(self, asked: bytes, created: int) -> DeltaWriter:
        """A writer of one stream for a client that asked with this body."""
        ...

    def write_count(self, ask: Ask, model: str) -> bytes:
        """The question how many tokens this is. Raises CannotCrossError."""
        ...

    def read_count(self, body: bytes) -> int:
        """The number in its answer. Raises CannotCrossError, or one of UNREADABLE."""
        ...

    def write_count_answer(self, tokens: int) -> bytes:
        """The number as a client of this dialect reads it. Raises CannotCrossError."""
        ...

    def said(self, body: bytes) -> Said: ...
    def error_type(self, status: int) -> str: ...
    def error_body(self, type_: str, message: str, code: str = "", status: int = 0) -> bytes:
        """An error; `status` is that of HTTP which it goes with, 0 where there is none."""
        ...

    def shows_thoughts(self, asked: bytes) -> bool:
        """Whether the client of this request is shown what a model of another dialect thinks."""
        ...

    def too_long(self, message: str) -> bytes:
        """An error that says, as its clients know it, that the prompt is too long (status 400)."""
        ...

    def error_event(self, type_: str, message: str) -> bytes: ...
    def models_body(self, models: Sequence[Model], query: str) -> bytes:
        """The part of a list that the query asks for. Raises BadBodyError."""
        ...

    def model_body(self, model: Model) -> bytes:
        """One model, as its page tells of it."""
        ...
