"""litellm: `CELL URL PROMPT`; prints what it was answered."""

import json
import sys
from pathlib import Path

import litellm

CELL, URL, PROMPT = sys.argv[1:]
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "count": {"type": "integer"}},
    "required": ["city", "count"],
    "additionalProperties": False,
}
NOTE = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
TOOL = {"name": "note", "description": "Read a note", "parameters": NOTE}
more = {"model": "openai/gpt-5.1", "api_base": f"{URL}/v1", "api_key": "x"}
said = [{"role": "user", "content": PROMPT}]
if CELL in ("tools", "parallel"):
    more["tools"] = [{"type": "function", "function": TOOL}]
if CELL == "structured":
    named = {"name": "city", "strict": True, "schema": SCHEMA}
    more["response_format"] = {"type": "json_schema", "json_schema": named}
if CELL in ("streamed", "cut"):
    for chunk in litellm.completion(messages=said, stream=True, **more):
        print(chunk.choices[0].delta.content or "", end="", flush=True)
else:
    for _ in range(3):
        message = litellm.completion(messages=said, **more).choices[0].message
        if not message.tool_calls:
            break
        said.append(message.model_dump(exclude_none=True))
        for call in message.tool_calls:
            text = Path(json.loads(call.function.arguments)["name"]).read_text()
            said.append({"role": "tool", "tool_call_id": call.id, "content": text})
    print(message.content)
