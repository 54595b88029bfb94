"""pydantic-ai, with Anthropic's model: `CELL URL PROMPT`; prints what it was answered."""

import asyncio
import sys
from pathlib import Path

from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.providers.anthropic import AnthropicProvider

CELL, URL, PROMPT = sys.argv[1:]


class City(BaseModel):
    """A city and a count."""

    city: str
    count: int


def note(name: str) -> str:
    """Read a note."""
    return Path(name).read_text()


provider = AnthropicProvider(api_key="x", base_url=URL)
model = AnthropicModel("claude-sonnet-4-5", provider=provider)
tools = [note] if CELL in ("tools", "parallel") else []
agent = Agent(model, tools=tools, output_type=City if CELL == "structured" else str)


async def streamed() -> None:
    async with agent.run_stream(PROMPT) as answer:
        async for text in answer.stream_text(delta=True):
            print(text, end="", flush=True)


if CELL in ("streamed", "cut"):
    asyncio.run(streamed())
else:
    print(agent.run_sync(PROMPT).output)
