"""Local inference engines: how one is recognised, and one that was found."""

from __future__ import annotations

from msgspec import Struct


class Marks(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an engine shows itself on loopback: by what it answers, not by its port.

    `path` is asked with GET. The answer is the engine's when `says` stands in its text, or when
    the JSON value at the dotted path `field` exists (and, with `equals`, is that value as text).
    `window` is the dotted path, in the same answer, of the context window in tokens.
    `models_path` lists the models: `model_name` of each item under `models_list`. `remote` are
    globs of models that the engine only passes on to a cloud. `address_env` names the variable
    with which people move the engine to another address.
    """

    ports: tuple[int, ...]
    path: str
    says: str = ""
    field: str = ""
    equals: str | None = None
    window: str = ""
    models_path: str
    models_list: str = "data"
    model_name: str = "id"
    remote: tuple[str, ...] = ()
    address_env: str | None = None


class Engine(Struct, frozen=True, kw_only=True):
    """An engine that answered. `provider` is its name in the data, `base_url` as in Provider.

    `context_tokens`: the window it says it runs with, None where it does not say.
    """

    provider: str
    base_url: str
    models: tuple[str, ...] = ()
    context_tokens: int | None = None
