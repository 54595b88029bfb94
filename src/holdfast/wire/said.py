"""An error in a provider's own words, brought to one shape.

Providers, relays and engines mix each other's envelopes, so one reader takes all of them: the
Anthropic envelope with `details.error_code`, OpenAI's `error` object, Google's status and reasons
(alone or in an array), a bare string under `error` or `detail`, `object: error`, a flat object.
"""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.facts.outcomes import Said
from holdfast.wire.speech import UNREADABLE

WORDS_MAX = 4000


def read_said(body: bytes) -> Said:
    """Type, code and message; empty where the body has none. Never raises."""
    try:
        found = msgspec.json.decode(body)
    except UNREADABLE:
        return Said()
    return said_of(found)


def said_of(found: object) -> Said:
    """The same for an error that is read already."""
    if isinstance(found, list) and found:
        found = found[0]
    if not isinstance(found, dict):
        return Said()
    error = found.get("error")
    if error is None:
        error = found.get("detail")
    if isinstance(error, dict):
        return Said(
            _word(error.get("type")) or _word(error.get("status")),
            _code(error),
            _word(error.get("message")) or _word(error.get("error")),
        )
    message = _word(error) or _word(found.get("message"))
    return Said(_word(found.get("type")), _word(found.get("code")), message)


def _code(error: dict[str, Any]) -> str:
    """The stablest code there is: Anthropic's own, Google's reason, or what stands in `code`."""
    details = error.get("details")
    if isinstance(details, dict):
        found = _word(details.get("error_code"))
        if found:
            return found
    if isinstance(details, list):
        for detail in details:
            reason = detail.get("reason") if isinstance(detail, dict) else None
            if isinstance(reason, str):
                return _word(reason)
    return _word(error.get("code"))


def _word(value: object) -> str:
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, str | int | float):
        return str(value)[:WORDS_MAX]
    return msgspec.json.encode(value).decode()[:WORDS_MAX]
