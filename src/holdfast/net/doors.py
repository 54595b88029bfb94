"""Which paths there are, and what stands behind each: a dialect and a surface, or a page of ours.

Paths are matched as they came: nothing is unescaped, folded or resolved. Pure.
"""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import unquote

from holdfast.facts.places import Dialect, Surface
from holdfast.net.reply import Request
from holdfast.wire import stored

Door = tuple[Dialect, Surface]

DOORS: dict[tuple[str, str], Door] = {
    ("POST", "/v1/messages"): ("anthropic", "messages"),
    ("POST", "/v1/messages/count_tokens"): ("anthropic", "count_tokens"),
    ("POST", "/v1/chat/completions"): ("openai", "chat"),
    ("POST", "/v1/responses"): ("openai-responses", "responses"),
    ("POST", "/v1/responses/input_tokens"): ("openai-responses", "count_tokens"),
    ("POST", "/v1/embeddings"): ("openai", "embeddings"),
    ("POST", "/api/chat"): ("ollama", "chat"),
    ("POST", "/api/generate"): ("ollama", "generate"),
}
# What can be asked of a model whose name stands in the path: `/v1beta/models/{m}:generateContent`.
ACTIONS: dict[str, Surface] = {
    "generateContent": "generate_content",
    "streamGenerateContent": "generate_content",
    "countTokens": "count_tokens",
    "embedContent": "embeddings",
    "batchEmbedContents": "embeddings",
}
# What is asked of a provider, and of no model.
NAMELESS: frozenset[Surface] = frozenset({"batches", "stored"})
BATCHES = "/v1/messages/batches"
STORED = (f"{stored.RESPONSES}/", f"{stored.CONVERSATIONS}/")
MODELS = "/v1/models"
MODELS_BETA = "/v1beta/models"
OF_A_MODEL = (f"{MODELS}/", f"{MODELS_BETA}/")
# What is answered here.
Page = Literal["models", "loaded", "version", "show"]
PAGES: dict[tuple[str, str], Page] = {
    ("GET", MODELS): "models",
    ("GET", MODELS_BETA): "models",
    ("GET", "/api/tags"): "models",
    ("GET", "/api/ps"): "loaded",
    ("GET", "/api/version"): "version",
    ("POST", "/api/show"): "show",
}


def dialect_of(request: Request) -> Dialect:
    """Whose shapes a client expects where the path does not say: its headers tell."""
    if request.path.startswith("/api/"):
        return "ollama"
    if request.path.startswith("/v1beta/") or door_of("POST", request.path) is not None:
        return "gemini"
    if request.header(b"anthropic-version") is not None or request.path.startswith("/v1/messages"):
        return "anthropic"
    if any(request.header(name) is not None for name in (b"x-goog-api-key", b"x-goog-api-client")):
        return "gemini"
    return "openai"


def climbs(path: str) -> bool:
    """Whether a path leads elsewhere once its dots are resolved (RFC 3986, 5.2.4).

    It would take our key to another surface of the provider, or out of its base URL's prefix.
    """
    return any(segment in (".", "..") for segment in re.split(r"[/\\]", unquote(unquote(path))))


def door_of(method: str, path: str) -> Door | None:
    """The door of a path that names a model and what is asked of it."""
    if method != "POST" or not path.startswith(OF_A_MODEL) or climbs(path):
        return None
    surface = ACTIONS.get(path.rpartition(":")[2])
    return None if surface is None else ("gemini", surface)


# Credentials that may stand in a query, and the header that says the same, with its scheme.
_KEYS = {
    "key": (b"x-goog-api-key", ""),
    "access_token": (b"authorization", "Bearer "),
    "oauth_token": (b"authorization", "Bearer "),
}


def keyed(request: Request) -> Request:
    """The request with a key that came in its query among its headers instead.

    So it is treated as one: bound to its provider's host, and neither logged nor passed on.
    """
    pairs = request.query.split("&")
    names = [unquote(pair.partition("=")[0]) for pair in pairs]
    if not _KEYS.keys() & set(names):
        return request
    headers = list(request.headers)
    for name, pair in zip(names, pairs, strict=True):
        secret = unquote(pair.partition("=")[2]).strip()
        if name in _KEYS and secret and secret.isascii() and secret.isprintable():
            header, scheme = _KEYS[name]
            headers.append((header, f"{scheme}{secret}".encode()))
    kept = [pair for name, pair in zip(names, pairs, strict=True) if name not in _KEYS]
    return request.with_headers(tuple(headers), "&".join(kept))


def methods_of(path: str) -> str:
    """The methods that a path takes, as `allow` lists them; empty where there is no such path."""
    if path == "/":
        return "GET, HEAD"
    if door_of("POST", path) is not None:
        return "POST"
    if path.startswith(OF_A_MODEL):
        return "" if path.startswith(MODELS_BETA) and ":" in path else "GET"
    return ", ".join(method for method, door in (*DOORS, *PAGES) if door == path)


def no_such_door(request: Request) -> str:
    """What to say to a request for something that is not here, or not by this method."""
    allowed = methods_of(request.path)
    if allowed and not climbs(request.path):
        return f"holdfast: {request.path} takes {allowed}, not {request.method}."
    doors = {path for method, path in (*DOORS, *PAGES) if method == request.method}
    doors |= {MODELS, BATCHES, f"{MODELS_BETA}/MODEL:generateContent"}
    return (
        f"holdfast: there is no {request.method} {request.path} here. It answers"
        f" {', '.join(sorted(doors))}. A base URL usually ends at the port (Anthropic, Gemini)"
        f" or in /v1 (OpenAI)."
    )
