"""instructor over OpenAI's SDK: `CELL URL PROMPT`; prints what it was answered."""

import sys

import instructor
import openai
from pydantic import BaseModel

CELL, URL, PROMPT = sys.argv[1:]
MODEL = "gpt-5.1"


class City(BaseModel):
    """A city and a count."""

    city: str
    count: int


plain = openai.OpenAI(api_key="x", base_url=f"{URL}/v1")
said = [{"role": "user", "content": PROMPT}]
if CELL == "structured":
    client = instructor.from_openai(plain)
    found = client.chat.completions.create(model=MODEL, messages=said, response_model=City)
    print(found.model_dump_json())
elif CELL in ("streamed", "cut"):
    for chunk in plain.chat.completions.create(model=MODEL, messages=said, stream=True):
        print(chunk.choices[0].delta.content or "", end="", flush=True)
else:
    client = instructor.from_openai(plain)
    answer = client.chat.completions.create(model=MODEL, messages=said, response_model=None)
    print(answer.choices[0].message.content)
