"""Where things are: providers, their models, targets, and the segments that fail together."""

from __future__ import annotations

from typing import Literal

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


class ModelFacts(Struct, frozen=True, kw_only=True):
    """What the router must know of a model. None or absent means: not known, assume it can.

    `model` is a glob; the first that matches a name speaks for it. `context_tokens` is the
    window (input and output together).
    """

    model: str
    context_tokens: int | None = None
    tools: bool | None = None
    vision: bool | None = None
    thinking: bool | None = None


class Provider(Struct, frozen=True, kw_only=True):
    """Who serves models: a cloud, a local engine, or the simulator.

    `base_url` carries scheme, host, optional port and prefix, never a trailing slash and never
    the version segment (`/v1`): paths of a dialect bring their own. `key` is the *reference* to
    the credential (`env:NAME`, `client`, `none`, …), never the secret. `dialects` are those it
    speaks natively, preferred first. `counts` are those of them in which it counts tokens; None:
    not known, so each that has words for it is tried. `serves` are globs of the models it is known
    for.
    `status_page` is the page for people, `page` where a program reads it, if that is known.
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


class Target(Struct, frozen=True):
    """Where one attempt goes. `credential` names it (the key's reference), it is not the secret."""

    provider: str
    model: str
    credential: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


class Segment(Struct, frozen=True):
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
