"""Lines of engines and relays, and what clients of Ollama are given."""

from __future__ import annotations

import json

import ollama
import pytest
from tests.wire.every import tap
from tests.wire.ollama.test_stream import done, line, tool, words
from tests.wire.recorded import joined, pieces_of

from holdfast.facts.outcomes import PieceKind


def passed(*lines: bytes) -> list[ollama.ChatResponse]:
    """As the client's library reads them; it checks their fields."""
    pieces = pieces_of(tap("ollama", "ollama", local=True), list(lines))
    assert pieces[-1].kind is PieceKind.END
    return [ollama.ChatResponse(**json.loads(one)) for one in joined(pieces).splitlines()]


@pytest.mark.parametrize("given", ['{"n":1}', ' {\n"n":1}'])
def test_arguments_in_text_become_an_object(given: str) -> None:
    (first, _) = passed(words(tool_calls=[tool("f", given), tool("g", {"m": 2}, id="x")]), done())
    assert first.message.tool_calls is not None
    assert [one.function.arguments for one in first.message.tool_calls] == [{"n": 1}, {"m": 2}]


def test_no_arguments_are_an_empty_object() -> None:
    (first, _) = passed(words(tool_calls=[tool("f", "")]), done())
    assert first.message.tool_calls is not None
    assert first.message.tool_calls[0].function.arguments == {}


def test_text_that_is_no_object_stays_as_it_came() -> None:
    odd = words(tool_calls=[tool("f", "never")])
    assert joined(pieces_of(tap("ollama", "ollama", local=True), [odd])) == odd


def test_a_message_and_its_role_are_always_there() -> None:
    (first, last) = passed(
        line(message={"content": "Hi"}, done=False), line(done=True, done_reason="stop")
    )
    assert (first.message.role, first.message.content) == ("assistant", "Hi")
    assert (last.message.role, last.message.content, last.done) == ("assistant", "", True)


def test_an_error_ends_the_answer_as_it_came() -> None:
    error = line(error="the model ran out of memory")
    pieces = pieces_of(tap("ollama", "ollama", local=True), [words("Hi"), error])
    assert pieces[-1].kind is PieceKind.FAULT
    assert pieces[-1].data == error
