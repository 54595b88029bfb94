"""What a probe says: the smallest question that each surface of a dialect answers."""

from __future__ import annotations

from urllib.parse import quote

from msgspec import Struct

from holdfast.facts.calls import Headers
from holdfast.facts.places import Dialect
from holdfast.wire.speak import DIALECTS
from holdfast.wire.speech import Ask, CannotCrossError, Sampling, Text, Turn
from holdfast.wire.whole import JSON

WORDS = "Say ok."
# One token is refused by some models that reason; these are enough, and the first is waited for.
TOKENS_MAX = 16


class Question(Struct, frozen=True, kw_only=True):
    """A request without its credential."""

    method: str
    path: str
    headers: Headers
    body: bytes = b""
    stream: bool = False


def question(dialect: Dialect, surface: str, model: str = "") -> Question:
    """The smallest question to a surface: the list of models, a count, or a few streamed words.

    Raises CannotCrossError where the dialect has no such question.
    """
    there = DIALECTS.get(dialect)
    if there is None:
        raise CannotCrossError(f"probes do not speak {dialect}")
    if surface == "models":
        return Question(method="GET", path=there.MODELS_PATH, headers=there.HEADERS)
    said = (*there.HEADERS, *JSON)
    ask = Ask(
        turns=(Turn("user", (Text(WORDS),)),),
        sampling=Sampling(max_tokens=TOKENS_MAX, stream=True),
    )
    if surface == there.SURFACE:
        body = there.write_ask(ask, model).body
        path = there.path(model, stream=True)
        return Question(method="POST", path=path, headers=said, body=body, stream=True)
    if surface == "count_tokens" and there.COUNT_PATH:
        body = there.write_count(ask, model)
        path = there.COUNT_PATH.format(model=quote(model, safe=""))
        return Question(method="POST", path=path, headers=said, body=body)
    raise CannotCrossError(f"{dialect} has no question for {surface}")
