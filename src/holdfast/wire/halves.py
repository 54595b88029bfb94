"""Halves of characters: escapes of one surrogate without the other (`\\ud83d` alone).

They are JSON by its grammar (RFC 8259, 8.2), and who cuts a text between the two into pieces, as
programs of UTF-16 do, writes them. A reader of UTF-8 has no word for them. So what is read has
U+FFFD in their place; what passes keeps its bytes.
"""

from __future__ import annotations

import re

_ESCAPE = re.compile(
    rb"\\(?:u[Dd][89ABab][0-9A-Fa-f]{2}\\u[Dd][C-Fc-f][0-9A-Fa-f]{2}"
    rb"|(u[Dd][89A-Fa-f][0-9A-Fa-f]{2})|.)",
    re.DOTALL,
)


def without_halves(json: bytes) -> bytes:
    """The same JSON, readable; nearly always the very bytes."""
    if json.find(b"\\ud") < 0 and json.find(b"\\uD") < 0:
        return json
    return _ESCAPE.sub(_readable, json)


def _readable(escape: re.Match[bytes]) -> bytes:
    return escape[0] if escape[1] is None else b"\\ufffd"
