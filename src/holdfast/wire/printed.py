"""An error as a program printed it: wrapped, quoted, shortened; read what can be read.

People paste "API Error: 403 {…}", a Python repr, JSON inside a JSON string, an SDK's exception.
The innermost type and code are the provider's own; the whole text stays as the message, because
the client's words around it say something as well.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping

from msgspec import Struct

from holdfast.facts.outcomes import FailureKind, Said
from holdfast.wire.said import said_of
from holdfast.wire.speech import UNREADABLE

TEXT_MAX = 20_000
DEPTH_MAX = 4
TRIES_MAX = 6


class Printed(Struct, frozen=True):
    """What a text holds: a status where one is named, the words, and a page of HTML if it is one.

    `structured`: whether an error object was found in it.
    """

    status: int | None = None
    said: Said = Said()
    page: str = ""
    structured: bool = False


# google.rpc.Code and its HTTP status; "got status: UNAVAILABLE" names no number.
RPC = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
# What the SDKs call their errors, and AWS its own.
NAMED = {
    "BadRequestError": 400,
    "ValidationException": 400,
    "AuthenticationError": 401,
    "PermissionDeniedError": 403,
    "AccessDeniedException": 403,
    "NotFoundError": 404,
    "UnprocessableEntityError": 422,
    "RateLimitError": 429,
    "ThrottlingException": 429,
    "InternalServerError": 500,
    "ServiceUnavailableError": 503,
    "ServiceUnavailableException": 503,
    "OverloadedError": 529,
}
# What a status is called, where neither number nor name of it is said: its phrase in RFC 9110 and
# RFC 6585, and what clients shorten it to.
_PHRASES = (
    (401, r"unauthori[sz]ed|invalid (?:x-)?api[ -]?key|(?:incorrect|wrong|bad) api[ -]?key"),
    (402, r"payment required"),
    (403, r"forbidden"),
    (413, r"(?:payload|content|request(?: entity)?) too large"),
    (429, r"too many requests|rate[ -]?limit(?:s|ed)?\b|quota (?:was |has been )?exceeded"),
    (500, r"internal server error"),
    (502, r"bad gateway"),
    (503, r"service (?:is )?(?:temporarily )?unavailable|temporarily unavailable"),
    (504, r"gateway time-?out"),
)
_SPOKEN = tuple(
    (status, re.compile(rf"\b(?:{words})", re.IGNORECASE)) for status, words in _PHRASES
)
_NAMED = re.compile(r"\b(" + "|".join(NAMED) + r")\b")
_RPC = re.compile(r"\b(" + "|".join(RPC) + r")\b")
_STATUS = (
    re.compile(
        r"(?:error code|status(?:[_ ]?code)?|\bhttp(?:/\d\.\d)?|api error|\berror|exception)"
        r"[\W_]{0,5}([1-5]\d\d)\b",
        re.IGNORECASE,
    ),
    re.compile(r"^\W*(?:\w+: ?)?\W{0,3}([3-5]\d\d)\b"),
    re.compile(r"[(\[]([3-5]\d\d)\b"),
)
_PAGE = re.compile(r"<!doctype html|<html\b", re.IGNORECASE)


def read_printed(text: str) -> Printed:
    """Status, words and page of any text about an error. Never raises."""
    text = text[:TEXT_MAX].strip()
    page = _PAGE.search(text)
    if page is not None:
        return Printed(_status_in(text[: page.start()]), page=text[page.start() :])
    status, kind, code, whole = None, "", "", False
    messages: list[str] = []
    for found, all_of_it in _objects(text, DEPTH_MAX):
        said = said_of(found)
        kind, code = said.type or kind, said.code or code
        if said.message and said.message not in messages:
            messages.append(said.message)
        status = _status_of(found) or status
        whole = whole or all_of_it
    structured = bool(kind or code or messages)
    if whole and messages:
        # What an outer message says before it quotes the inner one, and the innermost as it is.
        quoting = [message.partition("{")[0].strip() for message in messages[:-1]]
        words = " ".join(part for part in (*quoting, messages[-1]) if part)
    else:
        words = " ".join(text.split())
    return Printed(status or _status_in(text), Said(kind, code, words), structured=structured)


def _objects(text: str, depth: int) -> Iterator[tuple[object, bool]]:
    """The objects in a text, outer ones first; whether each is all of the text."""
    if depth == 0 or ("{" not in text and "[" not in text):
        return
    whole = _parsed(text)
    found = [(whole, True)] if whole is not None else [(part, False) for part in _parts(text)]
    for value, all_of_it in found:
        if isinstance(value, str):  # JSON within a JSON string
            yield from _objects(value, depth - 1)
            continue
        yield value, all_of_it
        for inner in _strings(value, 5):
            yield from ((part, False) for part, _ in _objects(inner, depth - 1))


def _parts(text: str) -> Iterator[object]:
    """Objects that begin somewhere in a text."""
    at, tries = 0, 0
    while tries < TRIES_MAX:
        at = text.find("{", at)
        if at < 0:
            return
        tries += 1
        try:
            value, end = json.JSONDecoder(strict=False).raw_decode(text, at)
        except UNREADABLE:
            closing = text.rfind("}") + 1
            value, end = _parsed(text[at:closing]), closing
        if isinstance(value, dict):
            yield value
            at = max(end, at + 1)
        else:
            at += 1


def _parsed(text: str) -> object | None:
    """A text that is JSON or a Python literal; None where it is neither."""
    try:
        value: object = json.loads(text, strict=False)
    except UNREADABLE:
        pass
    else:
        return value
    if "'" not in text:
        return None
    try:
        return ast.literal_eval(text)  # type: ignore[no-any-return]
    except (*UNREADABLE, SyntaxError, TypeError, MemoryError):
        return None


def _strings(value: object, depth: int) -> Iterator[str]:
    """The strings in an object that may hold another object, and inner errors as text."""
    if depth == 0:
        return
    if isinstance(value, str):
        if "{" in value:
            yield value
    elif isinstance(value, dict):
        inner = value.get("body", value.get("error"))
        if isinstance(inner, Mapping) and isinstance(inner.get("error"), Mapping):
            yield json.dumps(inner, default=str)
        for one in value.values():
            yield from _strings(one, depth - 1)
    elif isinstance(value, list | tuple):
        for one in value[:20]:
            yield from _strings(one, depth - 1)


def _status_of(value: object) -> int | None:
    """A status that an object names as such, at most two levels down."""
    if not isinstance(value, Mapping):
        return None
    for holder in (value, *(one for one in value.values() if isinstance(one, Mapping))):
        for name in ("code", "status", "statusCode", "status_code", "httpStatusCode", "httpStatus"):
            number = holder.get(name)
            if isinstance(number, int) and 300 <= number <= 599:
                return number
    return None


def _status_in(text: str) -> int | None:
    """A status that a text names as such, as a number or by its name."""
    for pattern in _STATUS:
        found = pattern.search(text)
        if found is not None and int(found[1]) >= 300:
            return int(found[1])
    rpc = _RPC.search(text)
    if rpc is not None:
        return RPC[rpc[1]]
    named = _NAMED.search(text)
    if named is not None:
        return NAMED[named[1]]
    return next((status for status, spoken in _SPOKEN if spoken.search(text)), None)


def _way(kind: FailureKind, *patterns: str) -> tuple[FailureKind, re.Pattern[str]]:
    return kind, re.compile("|".join(patterns))


# What clients, SDKs and system libraries call a failure on the way; the first that fits.
_KINDS = (
    _way("dns", r"\bdns|getaddrinfo|enotfound|eai_again|erefused|name resolution",
         r"name or service|nodename nor|not resolve|resolve host|no such host"),
    _way("tls", r"\btls|\bssl(?!:default)|certificate|cert_|self.signed|issuer|handshake|err_tls",
         r"unable_to_verify"),
    _way("refused", r"connection.{0,30}refused|econnrefused|refused (?:it|by)|errno:? ?111|\(111\)",
         r"no connections? could be made|could not connect to"),
    _way("refused", r"proxy ?error|tunnel connection failed|proxy connect"),
    _way("unreachable", r"unreach|no route to host|network is down|enetdown|disconnected_internet",
         r"internet_disconnected"),
    _way("headers_timeout", r"headers?.timeout|read.?time.?d? ?out|und_err_(?:headers|body)"),
    _way("idle_timeout", r"\bstall|idle.?timeout|idle timed|no data received|waiting for sse"),
    _way("connect_timeout", r"time.?d? ?out|etimedout|deadline exceeded|noresponse"),
    _way("not_json", r"unexpected token '?<|<!doctype|expecting value"),
    _way("garbage", r"not valid json|end of json|parse message|jsondecode|property name in json"),
    _way("truncated", r"stream (?:closed|disconnected)|incomplete|response body|before completion",
         r"chunked|premature|broken off"),
    _way("reset", r"econnreset|connection.{0,12}reset|reset by|hang up|socket_closed",
         r"closed unexpectedly|connection_?closed|epipe",
         r"broken pipe|server disconnected|connection (?:was )?(?:lost|closed)|remoteprotocol",
         r"\beof\b"),
    _way("empty", r"empty.?(?:stream|response|answer|body)|no content"),
    _way("refused", r"connection error|connect_?(?:failed|error)|fetch failed|error connecting",
         r"(?:un|not )?able to connect|failed to connect|cannot connect|couldn.?t connect",
         r"can.?t reach|error sending request|apiconnection|err_bad",
         r"check your (?:internet )?connection"),
)  # fmt: skip


def way_of(words: str) -> FailureKind | None:
    """The kind of a failure on the way, by what a client calls it; None where it is none."""
    low = words[:TEXT_MAX].lower()
    return next((kind for kind, pattern in _KINDS if pattern.search(low)), None)
