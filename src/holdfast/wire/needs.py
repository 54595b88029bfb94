"""What a request needs of a model, so that targets that lack it are left out beforehand."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.wire.speech import Ask, Document, Image, Part, ToolCall, ToolResult


def needs(ask: Ask) -> frozenset[str]:
    """The abilities without which this cannot be answered: `tools`, `vision`, `documents`,
    `json_schema`, `json_object`, `choices` (several), `logprobs`; and `thinking`.
    """
    found = set()
    if ask.tools or any(isinstance(part, ToolCall | ToolResult) for part in _parts(ask)):
        found.add("tools")
    for part in _parts(ask):
        if isinstance(part, Image):
            found.add("vision")
        elif isinstance(part, Document) and not part.text:
            found.add("documents")
    if ask.form is not None:
        found.add(ask.form.kind)
    if ask.sampling.choices > 1:
        found.add("choices")
    if ask.sampling.logprobs:
        found.add("logprobs")
    if ask.reasoning is not None and ask.reasoning.mode != "off":
        found.add("thinking")
    return frozenset(found)


def is_marked(ask: Ask) -> bool:
    """Whether anything in it is marked for the provider's cache."""
    parts = (part for turn in ask.turns for part in turn.parts)
    return any(getattr(part, "cache", b"") for part in (*ask.system, *ask.tools, *parts))


def _parts(ask: Ask) -> Iterator[Part]:
    for turn in ask.turns:
        for part in turn.parts:
            yield part
            if isinstance(part, ToolResult):
                yield from part.parts
