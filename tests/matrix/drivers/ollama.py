"""ollama: `CELL URL PROMPT`; prints what it was answered."""

import sys
from pathlib import Path

import ollama

CELL, URL, PROMPT = sys.argv[1:]
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "count": {"type": "integer"}},
    "required": ["city", "count"],
}


def note(name: str) -> str:
    """Read a note.

    Args:
      name: its file
    """
    return Path(name).read_text()


client = ollama.Client(host=URL)
said = [{"role": "user", "content": PROMPT}]
more = {"model": "qwen3:8b"}
if CELL in ("tools", "parallel"):
    more["tools"] = [note]
if CELL == "structured":
    more["format"] = SCHEMA
if CELL in ("streamed", "cut"):
    for chunk in client.chat(messages=said, stream=True, **more):
        print(chunk.message.content or "", end="", flush=True)
else:
    for _ in range(3):
        message = client.chat(messages=said, **more).message
        if not message.tool_calls:
            break
        said.append(message)
        for call in message.tool_calls:
            result = note(**call.function.arguments)
            said.append({"role": "tool", "tool_name": call.function.name, "content": result})
    print(message.content)
