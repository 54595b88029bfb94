"""What a client asked: the call, before anything is decided about it."""

from __future__ import annotations

from msgspec import Struct

from holdfast.facts.losses import Lost
from holdfast.facts.places import Dialect, Surface

# Header names are lower case; order and repetition are kept as they came.
Headers = tuple[tuple[bytes, bytes], ...]


class Call(Struct, frozen=True, kw_only=True, gc=False):
    """What a client asked, once.

    `at` is the steady clock (seconds) when the whole request had been read; `wall` the UTC time.
    `body` is exactly what arrived. `path` is raw, `query` the raw string behind `?` or empty.
    `tool` is a short name of the asking tool, from its user agent. `retry_count` is the client's
    own count (`x-stainless-retry-count`), None where it sends none. `credential_mark` is a salted
    digest of the client's credential, good for equality within this process only. `lost` is what
    its body said beyond its path's dialect, before it was written in that.
    """

    id: str
    at: float
    wall: float
    dialect: Dialect
    surface: Surface
    method: str = "POST"
    path: str
    query: str = ""
    headers: Headers = ()
    body: bytes = b""
    model: str = ""
    stream: bool = False
    tool: str = ""
    retry_count: int | None = None
    credential_mark: str = ""
    lost: tuple[Lost, ...] = ()


class Peek(Struct, frozen=True, kw_only=True, gc=False):
    """What routing needs of a request body, read without parsing the rest of it."""

    model: str
    stream: bool
