"""What a request needs of a model."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from tests.wire.asks import ASKS

from holdfast.wire.needs import needs, without
from holdfast.wire.speech import (
    Ask,
    Document,
    Form,
    Image,
    Reasoning,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
)

HI = Turn("user", (Text("x"),))


@pytest.mark.parametrize(
    ("ask", "found"),
    [
        (Ask(turns=(HI,)), set()),
        (Ask(turns=(HI,), tools=(Tool("f"),)), {"tools"}),
        (Ask(turns=(HI, Turn("assistant", (ToolCall("c", "f"),)))), {"tools"}),
        (Ask(turns=(Turn("user", (Image(url="x"),)),)), {"vision"}),
        (Ask(turns=(Turn("user", (ToolResult("c", (Image(url="x"),)),)),)), {"tools", "vision"}),
        (Ask(turns=(Turn("user", (Document(data="x"), Document(text="y"))),)), {"documents"}),
        (Ask(turns=(Turn("user", (Document(text="y"),)),)), set()),
        (Ask(turns=(HI,), form=Form("json_schema")), {"json_schema"}),
        (Ask(turns=(HI,), sampling=Sampling(choices=2, logprobs=True)), {"choices", "logprobs"}),
        (Ask(turns=(HI,), reasoning=Reasoning()), {"thinking"}),
        (Ask(turns=(HI,), reasoning=Reasoning("off")), set()),
    ],
)
def test_each_need_is_named(ask: Ask, found: set[str]) -> None:
    assert needs(ask) == found


def test_a_model_that_does_not_think_is_asked_without() -> None:
    said = Turn("assistant", (Thinking("hm"), Text("a")))
    ask = Ask(turns=(HI, said, HI), reasoning=Reasoning())
    plain = without(ask, frozenset({"thinking", "vision"}))
    assert "thinking" not in needs(plain)
    assert plain.turns[1].parts == (Text("a"),)
    assert [loss.field for loss in plain.lost] == ["thinking"]


@settings(max_examples=25)
@given(ASKS)
def test_who_lacks_nothing_is_asked_as_it_is(ask: Ask) -> None:
    assert without(ask, frozenset()) is ask
    assert without(ask, needs(ask) - {"thinking"}) is ask
