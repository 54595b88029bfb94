"""Where things are: providers, their models, targets, and the segments that fail together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

from msgspec import Struct

from holdfast.facts.losses import Losses
from holdfast.facts.pages import PageSource

Dialect = Literal["anthropic", "openai", "openai-responses", "gemini", "ollama"]
Kind = Literal["cloud", "local", "sim"]

# A surface is a part of a provider that can fail by itself.
Surface = Literal[
    "messages",
    "count_tokens",
    "batches",
    "chat",
    "generate",
    "generate_content",
    "responses",
    "stored",  # answers and conversations that the provider keeps
    "embeddings",
    "models",
]


# How a model comes to think: without being asked; as much as it likes; within a number of tokens;
# as hard as a word of `efforts` says; and whether it can be told not to.
Thinks = Literal["unasked", "adaptive", "budget", "effort", "off"]
Effort = Literal["minimal", "low", "medium", "high", "xhigh", "max"]
# What a model may refuse to be told. Behind the first line, what is more than a number:
# both of the two · a call of some tool demanded · a word on several calls at once · an answer begun
# for the model · the system's words in mid-conversation · a form while there are tools · tools in
# Chat Completions. Then fields of one dialect, by their names.
Setting = Literal[
    "temperature",
    "top_p",
    "top_k",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "stop",
    "logprobs",
    "temperature_with_top_p",
    "forced_tools",
    "parallel_tool_calls",
    "prefill",
    "system_turns",
    "form_with_tools",
    "tools_in_chat",
    "max_tokens",
    "max_completion_tokens",
    "logit_bias",
    "prediction",
    "speed",
    "verbosity",
    "metadata",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
]


class ModelFacts(Struct, frozen=True, kw_only=True):
    """What must be known of a model to choose it and to ask it. None: not known, assume it can.

    `model` is a glob; of each fact the first that says it and matches a name speaks for it.
    `context_tokens` is the window (input and output together), `output_tokens` the most that may
    be asked for, `tools_max` how many tools it takes. `tools`, `vision`, `documents`,
    `json_schema` (an answer held to a schema), `thinking`: whether it can. `thinks` says how it is
    made to, by which `efforts`, within `thinking_tokens` (the least and the most). `refuses`:
    settings that it answers with an error; `refuses_thinking`: those that it refuses while it
    thinks. `dialect`: in which of its provider's dialects a call of another is written for it.
    """

    model: str
    context_tokens: int | None = None
    output_tokens: int | None = None
    tools_max: int | None = None
    tools: bool | None = None
    vision: bool | None = None
    documents: bool | None = None
    json_schema: bool | None = None
    thinking: bool | None = None
    thinks: tuple[Thinks, ...] | None = None
    efforts: tuple[Effort, ...] | None = None
    thinking_tokens: tuple[int, int] | None = None
    refuses: tuple[Setting, ...] | None = None
    refuses_thinking: tuple[Setting, ...] | None = None
    dialect: Dialect | None = None


NOTHING_KNOWN = ModelFacts(model="*")


class Limits(Struct, frozen=True):
    """Patience, in seconds. There is no total limit on a stream.

    `headers_s` grows by one second for each 32 kB of body. `whole_s` is the headers limit of an
    answer that is not streamed: its head only comes when it is complete. A model that says
    that it thinks has `thinking_s`, each time, and with each sign of life anew once it has spoken.
    """

    connect_s: float = 5.0
    headers_s: float = 30.0
    content_s: float = 60.0
    idle_s: float = 60.0
    whole_s: float = 600.0
    thinking_s: float = 600.0


class Provider(Struct, frozen=True, kw_only=True):
    """Who serves models: a cloud, a local engine, or the simulator.

    `base_url` carries scheme, host, optional port and prefix, never a trailing slash and never
    the version segment (`/v1`): paths of a dialect bring their own. `key` is the *reference* to
    the credential (`env:NAME`, `client`, `none`, …), never the secret. `dialects` are those it
    speaks natively, preferred first. `counts` are those of them in which it counts tokens; None:
    not known, so each that has words for it is tried. `serves` are globs of the models it is known
    for.
    `status_page` is the page for people, `page` where a program reads it, if that is known.
    `limits` are its own, None where the usual ones hold.
    """

    name: str
    dialects: tuple[Dialect, ...]
    base_url: str
    key: str = "none"
    kind: Kind = "cloud"
    status_page: str | None = None
    page: PageSource | None = None
    counts: tuple[Dialect, ...] | None = None
    serves: tuple[str, ...] = ()
    models: tuple[ModelFacts, ...] = ()
    allow_subscription: bool = False
    limits: Limits | None = None


class Sort(Protocol):
    """Whatever says of what kind it is."""

    @property
    def kind(self) -> Kind: ...


def engines_of(providers: Mapping[str, Sort]) -> frozenset[str]:
    """The names of those that are engines on this machine."""
    return frozenset(name for name, one in providers.items() if one.kind == "local")


class Target(Struct, frozen=True, cache_hash=True, gc=False):
    """Where one attempt goes. `credential` names it (the key's reference), it is not the secret."""

    provider: str
    model: str
    credential: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


class Segment(Struct, frozen=True, cache_hash=True, gc=False):
    """Provider × surface × model × credential: the grain at which things are up or down.

    None stands for "all": `Segment("anthropic", "messages", None, "env:KEY")` is everything that
    goes through this key on the messages surface.
    """

    provider: str
    surface: str | None = None
    model: str | None = None
    credential: str | None = None

    def __str__(self) -> str:
        parts = (self.provider, self.surface, self.model, self.credential)
        return " · ".join("*" if part is None else part for part in parts)


class Route(Struct, frozen=True):
    """One `[[routes]]` of the configuration: a glob on the asked model, targets in order.

    Targets are `provider/model`; a model `*` keeps the asked name. `own_errors`: an error of an
    upstream that blames the user in a provider's outage is told in our own words. `losses`: whether
    a target may be asked that cannot be told all of a request.
    """

    model: str
    targets: tuple[str, ...]
    own_errors: bool = True
    losses: Losses = "allowed"
