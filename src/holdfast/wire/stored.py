"""Requests about answers and conversations that nobody keeps but the gateway.

After the documented API: `POST /v1/conversations`, and `GET` and `DELETE` of what has a name.
What a provider keeps is for it to say.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from holdfast.wire.conversations import Conversations
from holdfast.wire.responses import DIALECT, error_body, error_type
from holdfast.wire.speech import UNREADABLE

CONVERSATIONS = "/v1/conversations"
RESPONSES = "/v1/responses"
__all__ = ["CONVERSATIONS", "DIALECT", "RESPONSES", "Told", "told"]
_encode = msgspec.json.encode


class Told(Struct, frozen=True):
    """An answer of ours."""

    status: int
    body: bytes


class _New(Struct):
    items: list[Raw] | None = None
    metadata: Raw = Raw(b"{}")


_decode_new = msgspec.json.Decoder(_New).decode


def told(
    method: str, path: str, body: bytes, kept: Conversations, *, at: float, wall: float, name: str
) -> Told | None:
    """What we say to this request; None where it is not ours to answer.

    `name` is one for a new conversation. Times are the steady clock's and UTC, in seconds.
    """
    if path == CONVERSATIONS:
        return _begun(body, kept, at, wall, name) if method == "POST" else None
    base, _, known = path.rpartition("/")
    if base not in (CONVERSATIONS, RESPONSES) or method not in ("GET", "DELETE"):
        return None
    whole = kept.whole(known, at)
    if method == "DELETE":
        kept.forget(known)
    if not whole:
        return None
    if method == "GET":
        return Told(200, whole)
    kind = "response" if base == RESPONSES else "conversation.deleted"
    return Told(200, _encode({"id": known, "object": kind, "deleted": True}))


def _begun(body: bytes, kept: Conversations, at: float, wall: float, name: str) -> Told:
    try:
        new = _decode_new(body or b"{}")
    except UNREADABLE as error:
        text = f"holdfast: the body is not that of a new conversation: {error}."
        return Told(400, error_body(error_type(400), text))
    known = f"conv_{name}"
    found = {"id": known, "object": "conversation", "created_at": int(wall)}
    whole = _encode({**found, "metadata": new.metadata})
    kept.begin(known, new.items or [], whole, at)
    return Told(200, whole)
