"""google-genai: `CELL URL PROMPT`; prints what it was answered."""

import sys
from pathlib import Path

from google import genai
from google.genai import types

CELL, URL, PROMPT = sys.argv[1:]
MODEL = "gemini-2.5-pro"
SCHEMA = {
    "type": "OBJECT",
    "properties": {"city": {"type": "STRING"}, "count": {"type": "INTEGER"}},
    "required": ["city", "count"],
}


def note(name: str) -> str:
    """Read a note."""
    return Path(name).read_text()


client = genai.Client(api_key="x", http_options=types.HttpOptions(base_url=URL))
config = None
if CELL in ("tools", "parallel"):
    config = types.GenerateContentConfig(tools=[note])
if CELL == "structured":
    config = types.GenerateContentConfig(
        response_mime_type="application/json", response_schema=SCHEMA
    )
if CELL in ("streamed", "cut"):
    for chunk in client.models.generate_content_stream(model=MODEL, contents=PROMPT):
        print(chunk.text or "", end="", flush=True)
else:
    print(client.models.generate_content(model=MODEL, contents=PROMPT, config=config).text)
