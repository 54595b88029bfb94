"""Requests about answers and conversations that nobody keeps but the gateway.

After the documented API: `POST /v1/conversations`, and `GET` and `DELETE` of what has a name.
What a provider keeps is for it to say.
"""

from __future__ import annotations

from urllib.parse import unquote

import msgspec
from msgspec import Raw, Struct

from holdfast.wire.conversations import Conversations
from holdfast.wire.responses.dialect import DIALECT, SURFACE, error_body, error_type
from holdfast.wire.speech import UNREADABLE

CONVERSATIONS = "/v1/conversations"
RESPONSES = "/v1/responses"
__all__ = ["CONVERSATIONS", "DIALECT", "RESPONSES", "SURFACE", "Told", "told", "unknown"]
_encode = msgspec.json.encode


class Told(Struct, frozen=True):
    """An answer of ours."""

    status: int
    body: bytes


class _New(Struct):
    items: list[Raw] | None = None
    metadata: Raw = Raw(b"{}")


_decode_new = msgspec.json.Decoder(_New).decode


def told(  # noqa: PLR0913 - a request and its moment
    method: str,
    path: str,
    body: bytes,
    kept: Conversations,
    *,
    at: float,
    wall: float,
    name: str,
    owner: str = "",
) -> Told | None:
    """What we say to this request; None where it is not ours to answer.

    `name` is one for a new conversation. Times are the steady clock's and UTC, in seconds.
    What was given to another `owner` is not there, whoever keeps it.
    """
    if path == CONVERSATIONS:
        return _begun(body, kept, at, wall, name, owner) if method == "POST" else None
    for part in map(unquote, path.split("/")):
        if kept.anothers(part, owner=owner):
            what = "Conversation" if path.startswith(CONVERSATIONS) else "Response"
            return Told(404, error_body(error_type(400), f"{what} with id '{part}' not found."))
    base, _, known = path.rpartition("/")
    if base not in (CONVERSATIONS, RESPONSES) or method not in ("GET", "DELETE"):
        return None
    whole = kept.whole(known, at, owner=owner)
    if method == "DELETE":
        kept.forget(known, owner=owner)
    if not whole:
        return None
    if method == "GET":
        return Told(200, whole)
    kind = "response" if base == RESPONSES else "conversation.deleted"
    return Told(200, _encode({"id": known, "object": kind, "deleted": True}))


def unknown(
    body: bytes, kept: Conversations, *, at: float, owner: str, keeper: bool
) -> Told | None:
    """What we say to a request for an answer that goes on from what nobody knows; None for others.

    In the provider's own shape: coding tools know its code, and send all that was said then.
    `keeper`: a target may know what we do not.
    """
    found = kept.unknown(body, at, owner=owner, keeper=keeper)
    if found is None:
        return None
    field, name = found
    what, code = _MISSING[field]
    text = (
        f"{what} with id '{name[:NAME_CHARS_MAX]}' not found. holdfast keeps what was said for six"
        f" hours, for the key that it was said with, and not over a restart: send the whole"
        f" conversation in `input`, without `{field}`."
    )
    if field == "input":
        text = (
            f"{what} with id '{name[:NAME_CHARS_MAX]}' not found. Send the item itself in `input`."
        )
    error = {"message": text, "type": error_type(400), "param": field, "code": code}
    return Told(400, _encode({"error": error}))


NAME_CHARS_MAX = 200
_MISSING = {
    "previous_response_id": ("Previous response", "previous_response_not_found"),
    "conversation": ("Conversation", "conversation_not_found"),
    "input": ("Item", None),
}


def _begun(body: bytes, kept: Conversations, at: float, wall: float, name: str, owner: str) -> Told:
    try:
        new = _decode_new(body or b"{}")
    except UNREADABLE as error:
        text = f"holdfast: the body is not that of a new conversation: {error}."
        return Told(400, error_body(error_type(400), text))
    known = f"conv_{name}"
    found = {"id": known, "object": "conversation", "created_at": int(wall)}
    whole = _encode({**found, "metadata": new.metadata})
    kept.begin(known, new.items or [], whole, at, owner=owner)
    return Told(200, whole)
