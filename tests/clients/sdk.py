"""The official SDKs as clients, each in a process of its own, driven by lines of JSON.

`Sdk("anthropic")` is the newest major, `Sdk("anthropic", old=True)` the previous one (they differ
on the wire). A process imports its SDK once, which is the slow part, and serves all tests.
`sdk.ask("stream", url=…, model=…)` runs one of the functions below and returns its `Told`.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
OLD = Path(sys.prefix) / "old-sdks"
PROMPT = "Zähle bis zwanzig ☕ 数到二十"
SYSTEM = "You count."


@dataclass(slots=True)
class Told:
    """What the person's program got: text, how it ended, or the SDK's exception.

    `status` and `body` are the exception's, where it has them. Times are seconds since the ask.
    """

    text: str = ""
    stop: str | None = None
    tokens: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    error: str | None = None
    error_text: str = ""
    status: int | None = None
    body: str | None = None
    first_s: float | None = None
    seconds: float = 0.0
    items: list[Any] = field(default_factory=list)
    version: str = ""

    @property
    def served_by(self) -> str | None:
        return self.headers.get("x-holdfast-served-by")

    @property
    def attempts(self) -> int:
        return int(self.headers["x-holdfast-attempts"])


# ----------------------------------------------------- inside the SDK's process


def _heard(told: Told, text: str | None, start: float) -> None:
    if text:
        told.first_s = told.first_s or time.monotonic() - start
        told.text += text


class _Anthropic:
    def __init__(self) -> None:
        import anthropic

        self.sdk = anthropic
        self.version = anthropic.__version__

    def client(self, task: dict[str, Any]) -> Any:
        return self.sdk.Anthropic(
            base_url=task["url"],
            api_key=task.get("key", "client-key"),
            max_retries=task.get("retries", 0),
            timeout=task.get("timeout_s", 30.0),
        )

    def _request(self, task: dict[str, Any]) -> dict[str, Any]:
        said = [{"role": "user", "content": task.get("prompt", PROMPT)}]
        more = {"system": SYSTEM} if task.get("system", True) else {}
        more |= task.get("more", {})
        return {"model": task["model"], "max_tokens": 64, "messages": said, **more}

    def plain(self, client: Any, task: dict[str, Any], told: Told, start: float) -> None:
        raw = client.messages.with_raw_response.create(**self._request(task))
        told.headers = dict(raw.headers)
        message = raw.parse()
        _heard(told, "".join(b.text for b in message.content if b.type == "text"), start)
        told.stop, told.tokens = message.stop_reason, message.usage.output_tokens

    def stream(self, client: Any, task: dict[str, Any], told: Told, start: float) -> None:
        raw = client.messages.with_raw_response.create(stream=True, **self._request(task))
        told.headers = dict(raw.headers)
        for event in raw.parse():
            if event.type == "content_block_delta":
                _heard(told, event.delta.text, start)
            elif event.type == "message_delta":
                told.stop, told.tokens = event.delta.stop_reason, event.usage.output_tokens
            if task.get("leave_after") and told.text.count(" ") >= task["leave_after"]:
                return

    def helper(self, client: Any, task: dict[str, Any], told: Told, start: float) -> None:
        with client.messages.stream(**self._request(task)) as stream:
            told.headers = dict(stream.response.headers)
            for text in stream.text_stream:
                _heard(told, text, start)
            told.stop = stream.get_final_message().stop_reason

    def blocks(self, client: Any, task: dict[str, Any], told: Told, start: float) -> None:
        """All that a stream comes to, by the SDK's own accumulator."""
        del start
        with client.messages.stream(**self._request(task)) as stream:
            message = stream.get_final_message()
        told.items = [block.to_dict() for block in message.content]
        told.stop = message.stop_reason

    def model(self, client: Any, task: dict[str, Any], told: Told, start: float) -> None:
        del start
        told.items = [client.models.retrieve(task["model"]).id]

    def batch(self, client: Any, task: dict[str, Any], told: Told, start: float) -> None:
        """A batch from its making to its deletion; what it said, and its states."""
        batches = client.messages.batches
        one = {"custom_id": "one", "params": self._request(task)}
        made = batches.create(requests=[one])
        told.items = [made.id, made.processing_status]
        told.items.append(batches.retrieve(made.id).processing_status)
        assert made.id in [batch.id for batch in batches.list()]
        path = f"/v1/messages/batches/{made.id}/results"
        line = json.loads(client.get(path, cast_to=str))
        told.items.append(line["result"]["type"])
        _heard(told, line["result"]["message"]["content"][0]["text"], start)
        told.items.append(batches.cancel(made.id).processing_status)
        batches.delete(made.id)

    def count(self, client: Any, task: dict[str, Any], told: Told, start: float) -> None:
        del start
        request = self._request(task)
        del request["max_tokens"]
        told.tokens = client.messages.count_tokens(**request).input_tokens

    def models(self, client: Any, task: dict[str, Any], told: Told, start: float) -> None:
        del start
        more = {"limit": task["limit"]} if "limit" in task else {}
        told.items = [model.id for model in client.models.list(**more)]


class _OpenAI:
    def __init__(self) -> None:
        import openai

        self.sdk = openai
        self.version = openai.__version__

    def client(self, task: dict[str, Any]) -> Any:
        return self.sdk.OpenAI(
            base_url=task["url"] + "/v1",
            api_key=task.get("key", "client-key"),
            max_retries=task.get("retries", 0),
            timeout=task.get("timeout_s", 30.0),
        )

    def _request(self, task: dict[str, Any]) -> dict[str, Any]:
        said = [{"role": "user", "content": task.get("prompt", PROMPT)}]
        if task.get("system", True):
            said.insert(0, {"role": "system", "content": SYSTEM})
        more = {"max_completion_tokens": 64, **task.get("more", {})}
        return {"model": task["model"], "messages": said, **more}

    def plain(self, client: Any, task: dict[str, Any], told: Told, start: float) -> None:
        raw = client.chat.completions.with_raw_response.create(**self._request(task))
        told.headers = dict(raw.headers)
        completion = raw.parse()
        _heard(told, completion.choices[0].message.content, start)
        told.stop = completion.choices[0].finish_reason
        told.tokens = completion.usage and completion.usage.completion_tokens

    def stream(self, client: Any, task: dict[str, Any], told: Told, start: float) -> None:
        usage = {"stream_options": {"include_usage": True}} if task.get("usage") else {}
        raw = client.chat.completions.with_raw_response.create(
            stream=True, **usage, **self._request(task)
        )
        told.headers = dict(raw.headers)
        for chunk in raw.parse():
            for choice in chunk.choices:
                _heard(told, choice.delta.content, start)
                told.stop = choice.finish_reason or told.stop
            if chunk.usage:
                told.tokens = chunk.usage.completion_tokens
            if task.get("leave_after") and told.text.count(" ") >= task["leave_after"]:
                return

    def helper(self, client: Any, task: dict[str, Any], told: Told, start: float) -> None:
        with client.chat.completions.stream(**self._request(task)) as stream:
            for event in stream:
                if event.type == "content.delta":
                    _heard(told, event.delta, start)
            told.stop = stream.get_final_completion().choices[0].finish_reason

    def blocks(self, client: Any, task: dict[str, Any], told: Told, start: float) -> None:
        """All that a stream comes to, by the SDK's own accumulator."""
        del start
        with client.chat.completions.stream(**self._request(task)) as stream:
            for _ in stream:
                pass
            choice = stream.get_final_completion().choices[0]
        told.items, told.stop = [choice.message.to_dict()], choice.finish_reason

    def model(self, client: Any, task: dict[str, Any], told: Told, start: float) -> None:
        del start
        told.items = [client.models.retrieve(task["model"]).id]

    def models(self, client: Any, task: dict[str, Any], told: Told, start: float) -> None:
        del task, start
        told.items = [model.id for model in client.models.list()]

    def embeddings(self, client: Any, task: dict[str, Any], told: Told, start: float) -> None:
        del start
        reply = client.embeddings.create(model=task["model"], input=["one", "two"])
        told.items = [item.embedding for item in reply.data]


class _Responses(_OpenAI):
    """The OpenAI SDK's other interface."""

    def _request(self, task: dict[str, Any]) -> dict[str, Any]:
        more = {"instructions": SYSTEM} if task.get("system", True) else {}
        more |= {"max_output_tokens": 64, "input": task.get("prompt", PROMPT)}
        return {"model": task["model"], **more, **task.get("more", {})}

    def _read(self, response: Any, told: Told) -> None:
        told.stop, told.tokens = response.status, response.usage and response.usage.output_tokens
        told.items = [item.to_dict() for item in response.output]

    def plain(self, client: Any, task: dict[str, Any], told: Told, start: float) -> None:
        raw = client.responses.with_raw_response.create(**self._request(task))
        told.headers = dict(raw.headers)
        response = raw.parse()
        _heard(told, response.output_text, start)
        self._read(response, told)

    def stream(self, client: Any, task: dict[str, Any], told: Told, start: float) -> None:
        raw = client.responses.with_raw_response.create(stream=True, **self._request(task))
        told.headers = dict(raw.headers)
        for event in raw.parse():
            if event.type == "response.output_text.delta":
                _heard(told, event.delta, start)
            elif event.type in ("response.completed", "response.incomplete"):
                self._read(event.response, told)

    def count(self, client: Any, task: dict[str, Any], told: Told, start: float) -> None:
        del start
        request = self._request(task)
        del request["max_output_tokens"]
        counted = client.responses.input_tokens.with_raw_response.count(**request)
        told.headers, told.tokens = dict(counted.headers), counted.parse().input_tokens

    def helper(self, client: Any, task: dict[str, Any], told: Told, start: float) -> None:
        with client.responses.stream(**self._request(task)) as stream:
            for event in stream:
                if event.type == "response.output_text.delta":
                    _heard(told, event.delta, start)
            self._read(stream.get_final_response(), told)

    def loop(self, client: Any, task: dict[str, Any], told: Told, start: float) -> None:
        """Two turns: the model calls tools, their results go back with all that it said."""
        said: list[Any] = [{"role": "user", "content": PROMPT}]
        request = self._request(task)
        first = client.responses.create(**{**request, "input": said})
        said += first.output
        told.items = [item.to_dict() for item in first.output]
        for item in first.output:
            if item.type in ("function_call", "custom_tool_call"):
                kind = f"{item.type}_output"
                said.append({"type": kind, "call_id": item.call_id, "output": "12 °C ☕"})
        for event in client.responses.create(stream=True, **{**request, "input": said}):
            if event.type == "response.output_text.delta":
                _heard(told, event.delta, start)

    def named(self, client: Any, task: dict[str, Any], told: Told, start: float) -> None:
        """Two turns, the first of which is told by the name of its answer alone."""
        request = self._request(task)
        first = client.responses.create(**request)
        told.items = [first.id]
        second = {**request, "input": "And now?", "previous_response_id": first.id}
        raw = client.responses.with_raw_response.create(**second)
        told.headers = dict(raw.headers)
        told.items.append(raw.parse().previous_response_id)
        _heard(told, raw.parse().output_text, start)


class _Ollama:
    def __init__(self) -> None:
        from importlib.metadata import version

        import ollama

        self.sdk = ollama
        self.version = version("ollama")
        self._headers: dict[str, str] = {}

    def client(self, task: dict[str, Any]) -> Any:
        hooks = {"response": [lambda response: self._headers.update(response.headers)]}
        self._headers.clear()
        timeout_s = task.get("timeout_s", 30.0)
        return self.sdk.Client(task["url"], timeout=timeout_s, event_hooks=hooks)

    def _request(self, task: dict[str, Any]) -> dict[str, Any]:
        said = [{"role": "user", "content": task.get("prompt", PROMPT)}]
        if task.get("system", True):
            said.insert(0, {"role": "system", "content": SYSTEM})
        more = {"options": {"num_predict": 64}, **task.get("more", {})}
        return {"model": task["model"], "messages": said, **more}

    def plain(self, client: Any, task: dict[str, Any], told: Told, start: float) -> None:
        told.headers = self._headers
        reply = client.chat(**self._request(task))
        _heard(told, reply.message.content, start)
        told.stop, told.tokens = reply.done_reason, reply.eval_count
        told.items = [reply.message.model_dump(exclude_none=True)]

    def stream(self, client: Any, task: dict[str, Any], told: Told, start: float) -> None:
        told.headers = self._headers
        for part in client.chat(stream=True, **self._request(task)):
            _heard(told, part.message.content, start)
            told.items.append(part.message.model_dump(exclude_none=True))
            told.stop, told.tokens = part.done_reason, part.eval_count

    def generate(self, client: Any, task: dict[str, Any], told: Told, start: float) -> None:
        told.headers = self._headers
        stream = task.get("stream", False)
        reply = client.generate(task["model"], PROMPT, stream=stream)
        for part in reply if stream else [reply]:
            _heard(told, part.response, start)
            told.stop, told.tokens = part.done_reason, part.eval_count

    def models(self, client: Any, task: dict[str, Any], told: Told, start: float) -> None:
        del task, start
        told.items = [model.model for model in client.list().models]

    def model(self, client: Any, task: dict[str, Any], told: Told, start: float) -> None:
        del start
        shown = client.show(task["model"])
        told.items = [*(shown.capabilities or ()), shown.modelinfo]


class _Gemini:
    def __init__(self) -> None:
        from google import genai

        self.sdk = genai
        self.version = genai.__version__

    def client(self, task: dict[str, Any]) -> Any:
        options = {"base_url": task["url"], "timeout": int(task.get("timeout_s", 30.0) * 1000)}
        if "version" in task:
            options["api_version"] = task["version"]
        return self.sdk.Client(api_key=task.get("key", "client-key"), http_options=options)

    def _request(self, task: dict[str, Any]) -> dict[str, Any]:
        config = {"max_output_tokens": 64, **task.get("config", {})}
        if task.get("system", True):
            config["system_instruction"] = SYSTEM
        said = task.get("contents", task.get("prompt", PROMPT))
        return {"model": task["model"], "contents": said, "config": config}

    def plain(self, client: Any, task: dict[str, Any], told: Told, start: float) -> None:
        reply = client.models.generate_content(**self._request(task))
        self._told(told, reply, start)
        told.headers = dict(reply.sdk_http_response.headers)

    def stream(self, client: Any, task: dict[str, Any], told: Told, start: float) -> None:
        for reply in client.models.generate_content_stream(**self._request(task)):
            self._told(told, reply, start)
            told.headers = dict(reply.sdk_http_response.headers)

    @staticmethod
    def _told(told: Told, reply: Any, start: float) -> None:
        for candidate in reply.candidates or ():
            for part in (candidate.content and candidate.content.parts) or ():
                told.items.append(part.model_dump(mode="json", exclude_none=True))
                if part.text and not part.thought:
                    _heard(told, part.text, start)
            if candidate.finish_reason:
                told.stop = candidate.finish_reason.value
        if reply.usage_metadata:
            told.tokens = reply.usage_metadata.candidates_token_count

    def chat(self, client: Any, task: dict[str, Any], told: Told, start: float) -> None:
        """Two turns of the SDK's own chat, streamed; it hands back what it was told."""
        config = self._request(task)["config"]
        talk = client.chats.create(model=task["model"], config=config)
        for prompt in (PROMPT, "Go on."):
            for reply in talk.send_message_stream(prompt):
                self._told(told, reply, start)

    def loop(self, client: Any, task: dict[str, Any], told: Told, start: float) -> None:
        """A tool that the SDK runs by itself: the call, and the answer to its result."""

        def now(tz: str) -> str:
            """The time.

            Args:
              tz: The time zone.
            """
            told.items.append(tz)
            return f"noon in {tz}"

        config = {**self._request(task)["config"], "tools": [now]}
        reply = client.models.generate_content(model=task["model"], contents=PROMPT, config=config)
        self._told(told, reply, start)

    def count(self, client: Any, task: dict[str, Any], told: Told, start: float) -> None:
        del start
        told.tokens = client.models.count_tokens(model=task["model"], contents=PROMPT).total_tokens

    def model(self, client: Any, task: dict[str, Any], told: Told, start: float) -> None:
        del start
        told.items = [client.models.get(model=task["model"]).name]

    def models(self, client: Any, task: dict[str, Any], told: Told, start: float) -> None:
        del start
        config = {"page_size": task["limit"]} if "limit" in task else {}
        told.items = [model.name for model in client.models.list(config=config)]


def _run(driver: Any, task: dict[str, Any]) -> Told:
    """One task; an exception is a result like another."""
    told = Told(version=driver.version)
    start = time.monotonic()
    try:
        with driver.client(task) as client:
            start = time.monotonic()
            getattr(driver, task["do"])(client, task, told, start)
    except Exception as problem:  # noqa: BLE001  # whatever it is, the test is told
        told.error, told.error_text = type(problem).__name__, str(problem)
        told.status = getattr(problem, "status_code", None) or getattr(problem, "code", None)
        if (response := getattr(problem, "response", None)) is not None:
            told.headers = dict(getattr(response, "headers", {}))
            with contextlib.suppress(Exception):  # a stream that broke has no body any more
                if told.status and told.status >= 400:
                    told.body = base64.b64encode(response.content).decode()
    told.seconds = time.monotonic() - start
    return told


def main(name: str) -> None:
    """Serve tasks until the input ends."""
    makers: dict[str, Callable[[], Any]] = {
        "anthropic": _Anthropic,
        "openai": _OpenAI,
        "responses": _Responses,
        "ollama": _Ollama,
        "gemini": _Gemini,
    }
    driver = makers[name]()
    for line in sys.stdin:
        print(json.dumps(asdict(_run(driver, json.loads(line)))), flush=True)


# -------------------------------------------------------------- in the tests


class Sdk:
    """One SDK in its process."""

    def __init__(self, name: str, *, old: bool = False) -> None:
        self.name = name
        self.dialect = name
        self.old = old
        path = [str(OLD)] if old else []
        keep = {k: os.environ[k] for k in ("PATH", "HOME", "LANG") if k in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.clients.sdk", name],
            cwd=ROOT,
            env={**keep, "PYTHONPATH": os.pathsep.join([*path, str(ROOT)])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def begin(self, do: str, **task: Any) -> None:
        """Start a task and do not wait for it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **task}) + "\n")
        self._process.stdin.flush()

    def result(self) -> Told:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the process of the {self.name} SDK ended"
        told = Told(**json.loads(line))
        if told.body is not None:
            told.body = base64.b64decode(told.body).decode()
        return told

    def ask(self, do: str, **task: Any) -> Told:
        """Run a task: `plain`, `stream`, `helper`, `count`, `models`, `embeddings`."""
        self.begin(do, **task)
        return self.result()

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(10)


def majors(names: Iterable[str] = ("anthropic", "openai")) -> list[tuple[str, bool]]:
    """Each SDK, newest and previous major."""
    return [(name, old) for name in names for old in (False, True)]


if __name__ == "__main__":
    main(sys.argv[1])
