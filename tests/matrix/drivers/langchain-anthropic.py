"""langchain-anthropic: `CELL URL PROMPT`; prints what it was answered."""

import sys
from pathlib import Path

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from pydantic import BaseModel

CELL, URL, PROMPT = sys.argv[1:]


class City(BaseModel):
    """A city and a count."""

    city: str
    count: int


@tool
def note(name: str) -> str:
    """Read a note."""
    return Path(name).read_text()


model = ChatAnthropic(model="claude-sonnet-4-5", base_url=URL, api_key="x")
if CELL == "structured":
    print(model.with_structured_output(City).invoke(PROMPT).model_dump_json())
elif CELL in ("streamed", "cut"):
    for chunk in model.stream(PROMPT):
        print(chunk.text, end="", flush=True)
else:
    asked = model.bind_tools([note]) if CELL in ("tools", "parallel") else model
    said = [HumanMessage(PROMPT)]
    for _ in range(3):
        message = asked.invoke(said)
        said.append(message)
        if not message.tool_calls:
            break
        said += [note.invoke(call) for call in message.tool_calls]
    print(message.text)
