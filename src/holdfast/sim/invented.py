"""The words that an invented provider says, so that a missing or doubled one can be counted.

The text depends on the last thing the user said and on the limit of tokens, and on nothing that
a gateway may change on the way (model, dialect, streaming): whoever holds the request knows what
the whole answer must be. One word counts as one token.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

NAME = "sim"
NUMBERED = 12


class Heard(msgspec.Struct, frozen=True):
    """What a request's body says, as far as an invented provider cares.

    `last` is the user's last words; `tokens_in` counts the words of the whole conversation, at
    least 1; `limit` is the most tokens the client takes.
    """

    last: str
    tokens_in: int
    limit: int | None = None


def listen(fields: dict[str, Any]) -> Heard:
    """Read a request of any dialect. Never raises: what is not text counts as nothing."""
    texts: list[str] = []
    fields = _likened(fields)
    _texts(fields.get("system"), texts)
    _texts(fields.get("instructions"), texts)
    messages, given = fields.get("messages"), fields.get("input")
    last: list[str] = []
    if messages is None and isinstance(given, list):
        messages = given  # items, among them messages; texts to embed are none
    elif isinstance(given, str):
        last = [given]
    for message in messages if isinstance(messages, list) else ():
        if not isinstance(message, dict):
            continue
        said: list[str] = []
        _texts(message.get("content"), said)
        texts += said
        if message.get("role") == "user":
            last = said
    _texts(given, texts)
    names = ("max_tokens", "max_completion_tokens", "max_output_tokens")
    limits = (fields.get(name) for name in names)
    limit = next((n for n in limits if isinstance(n, int) and not isinstance(n, bool)), None)
    tokens = sum(len(text.split()) for text in texts)
    return Heard("".join(last), max(1, tokens), limit)


def _likened(fields: dict[str, Any]) -> dict[str, Any]:
    """The request with the names that the other dialects give to what it says."""
    inner = fields.get("generateContentRequest")
    fields = inner if isinstance(inner, dict) else fields
    contents = fields.get("contents")
    if not isinstance(contents, list):
        return fields
    said = [one for one in contents if isinstance(one, dict)]
    system, drawing = fields.get("systemInstruction"), fields.get("generationConfig")
    return {
        "system": system.get("parts") if isinstance(system, dict) else None,
        "messages": [
            {"role": one.get("role") or "user", "content": one.get("parts")} for one in said
        ],
        "max_tokens": drawing.get("maxOutputTokens") if isinstance(drawing, dict) else None,
    }


def _texts(content: object, into: list[str]) -> None:
    if isinstance(content, str):
        into.append(content)
    elif isinstance(content, list):
        for part in content:
            if isinstance(part, str):
                into.append(part)
            elif isinstance(part, dict) and isinstance(part.get("text"), str):
                into.append(part["text"])


def words(heard: Heard, name: str = NAME) -> tuple[list[str], bool]:
    """The words of the answer, each with the blank behind it, and whether it is whole.

    It is not whole where the client's limit of tokens cut it short.
    """
    digest = hashlib.blake2b(heard.last.encode("utf-8", "replace"), digest_size=4).hexdigest()
    count = len(heard.last.split())
    text = (
        f"This is a simulated answer by holdfast's built-in provider {name}; no model was asked."
        f" You wrote {count} words (digest {digest}). Here are {NUMBERED} to count:"
    )
    said = text.split()
    # Three bytes in every third word: a character cut in two must not be lost either.
    said += [f"{name}-{n}{'☕' if n % 3 == 0 else ''}" for n in range(1, NUMBERED + 1)]
    limit = heard.limit
    whole = limit is None or limit >= len(said)
    if not whole and limit is not None:
        said = said[: max(limit, 0)]
    return [f"{word} " for word in said[:-1]] + said[-1:], whole


def expected_text(body: bytes, name: str = NAME) -> str:
    """The whole text with which provider `name` answers this request of either dialect.

    Raises msgspec.DecodeError where the body is not a JSON object.
    """
    said, _ = words(listen(msgspec.json.decode(body, type=dict[str, Any])), name)
    return "".join(said)
