"""What a request needs of a model."""

from __future__ import annotations

import pytest

from holdfast.wire.needs import needs
from holdfast.wire.speech import (
    Ask,
    Document,
    Form,
    Image,
    Reasoning,
    Sampling,
    Text,
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
