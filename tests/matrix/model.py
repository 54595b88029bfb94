"""A model that plays one cell of the matrix, in any of the five dialects, over a real socket.

It answers by what stands in the request: a tool that it knows is called once, and when the tool's
result has come, the answer follows. What a client makes of it shows whether its words got through
whole: an answer begins with `BEGIN` and ends with `END`.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Json = dict[str, Any]
BEGIN, END = "the-answer-begins", "the-answer-is-whole"
UNICODE = "Zürich ☕ 数到二十 👩\u200d🚀"
FOUND = ("kingfisher", "heron")  # what the notes say, and so the tools
CITY = {"city": "Zürich", "count": 3}
STATUS = {"403": 403, "429": 429, "529": 529}
TYPES = {400: "invalid_request_error", 403: "permission_error", 429: "rate_limit_error"}
SAID = {403: "Forbidden for this key.", 429: "Too many requests.", 529: "Overloaded"}


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call of an answer."""

    id: str
    name: str
    args: Json


@dataclass(slots=True)
class Seen:
    """One request: where, what, and what it got."""

    path: str
    body: Json
    streamed: bool
    answer: str = ""

    @property
    def text(self) -> str:
        """All that it says, unescaped."""
        return json.dumps(self.body, ensure_ascii=False)


@dataclass(slots=True)
class Cell:
    """What is played. `arguments`: for the tools of clients, what they are called with."""

    name: str = "plain"
    arguments: dict[str, tuple[Json, ...]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    faults: int = 0


def names_of(tools: object) -> list[str]:
    """The tools that a request offers, in each dialect's shape; those of namespaces left out."""
    found: list[str] = []
    for tool in tools if isinstance(tools, list) else []:
        inner = tool.get("function")
        if isinstance(inner, dict):
            found.append(inner.get("name", ""))
        elif "functionDeclarations" in tool:
            found += [one.get("name", "") for one in tool["functionDeclarations"]]
        elif tool.get("type") != "namespace":
            found.append(tool.get("name") or "")
    return found


def answer(cell: Cell, body: Json) -> str | list[Call]:
    """What the model says to this request: words or tool calls."""
    said = json.dumps(body, ensure_ascii=False)
    offered = names_of(body.get("tools"))
    formed = cell.name == "structured"
    playable = [n for n, given in cell.arguments.items() if (given == (CITY,)) == formed]
    known = next((name for name in playable if name in offered), None)
    if formed:
        # Either a tool of the client's own takes the answer, or it is said as the schema wants it.
        asked = any(seen.answer == "calls" for seen in cell.seen)
        if known is not None and not asked:
            return [Call("call_out", known, CITY)]
        return json.dumps(CITY, ensure_ascii=False) if "city" in said else f"{BEGIN} {END}"
    wanted = {"tools": 1, "parallel": 2}.get(cell.name, 0)
    if wanted and known is not None and not all(word in said for word in FOUND[:wanted]):
        given = cell.arguments[known][:wanted]
        return [Call(f"call_{n}abc", known, args) for n, args in enumerate(given)]
    middle = UNICODE if cell.name == "unicode" else "one two three four five six seven eight"
    return f"{BEGIN} {middle} {END}"


# ------------------------------------------------------------------ the dialects


def pieces(text: str) -> list[str]:
    """An answer as it streams: a few characters at a time."""
    return [text[at : at + 7] for at in range(0, len(text), 7)]


def sse(value: object, event: str = "") -> bytes:
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()


class Anthropic:
    """Messages."""

    paths = ("/v1/messages",)

    def whole(self, body: Json, said: str | list[Call]) -> Json:
        calls = said if isinstance(said, list) else []
        content: list[Json] = [{"type": "text", "text": said}] if isinstance(said, str) else []
        content += [
            {"type": "tool_use", "id": f"toolu_{c.id}", "name": c.name, "input": c.args}
            for c in calls
        ]
        return {
            "id": "msg_013Zva2CMHLNnXjNJJKqJ2EF",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": content,
            "stop_reason": "tool_use" if calls else "end_turn",
            "stop_sequence": None,
            "usage": {
                "input_tokens": 25,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "output_tokens": 15,
            },
        }

    def stream(self, body: Json, said: str | list[Call]) -> Iterator[bytes]:
        whole = self.whole(body, said)
        start = {**whole, "content": [], "stop_reason": None}
        yield sse({"type": "message_start", "message": start}, "message_start")
        for at, block in enumerate(whole["content"]):
            text = block["type"] == "text"
            empty = {**block, **({"text": ""} if text else {"input": {}})}
            opened = {"type": "content_block_start", "index": at, "content_block": empty}
            yield sse(opened, "content_block_start")
            for piece in pieces(block["text"] if text else json.dumps(block["input"])):
                delta = (
                    {"type": "text_delta", "text": piece}
                    if text
                    else {"type": "input_json_delta", "partial_json": piece}
                )
                event = {"type": "content_block_delta", "index": at, "delta": delta}
                yield sse(event, "content_block_delta")
            yield sse({"type": "content_block_stop", "index": at}, "content_block_stop")
        delta = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
        usage = {"output_tokens": 15}
        yield sse({"type": "message_delta", "delta": delta, "usage": usage}, "message_delta")
        yield sse({"type": "message_stop"}, "message_stop")

    def error(self, status: int, text: str) -> Json:
        type_ = TYPES.get(status, "overloaded_error")
        return {"type": "error", "error": {"type": type_, "message": text}, "request_id": "req_1"}


class OpenAI:
    """Chat Completions."""

    paths = ("/v1/chat/completions", "/chat/completions")

    def _calls(self, said: str | list[Call]) -> list[Json]:
        return [
            {
                "id": c.id,
                "type": "function",
                "function": {"name": c.name, "arguments": json.dumps(c.args, ensure_ascii=False)},
            }
            for c in (said if isinstance(said, list) else [])
        ]

    def _head(self, body: Json, kind: str) -> Json:
        return {"id": "chatcmpl-B9M", "object": kind, "created": 1764000000, "model": body["model"]}

    def whole(self, body: Json, said: str | list[Call]) -> Json:
        calls = self._calls(said)
        message: Json = {"role": "assistant", "content": None if calls else said, "refusal": None}
        if calls:
            message["tool_calls"] = calls
        finish = "tool_calls" if calls else "stop"
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        usage = {"prompt_tokens": 25, "completion_tokens": 15, "total_tokens": 40}
        return {**self._head(body, "chat.completion"), "choices": [choice], "usage": usage}

    def stream(self, body: Json, said: str | list[Call]) -> Iterator[bytes]:
        head = self._head(body, "chat.completion.chunk")

        def chunk(delta: Json, finish: str | None = None) -> bytes:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            return sse({**head, "choices": [choice]})

        calls = self._calls(said)
        yield chunk({"role": "assistant", "content": "" if not calls else None, "refusal": None})
        for piece in pieces(said) if isinstance(said, str) else ():
            yield chunk({"content": piece})
        for at, call in enumerate(calls):
            function = call["function"]
            opened = {**call, "index": at, "function": {**function, "arguments": ""}}
            yield chunk({"tool_calls": [opened]})
            for piece in pieces(function["arguments"]):
                yield chunk({"tool_calls": [{"index": at, "function": {"arguments": piece}}]})
        yield chunk({}, "tool_calls" if calls else "stop")
        if (body.get("stream_options") or {}).get("include_usage"):
            usage = {"prompt_tokens": 25, "completion_tokens": 15, "total_tokens": 40}
            yield sse({**head, "choices": [], "usage": usage})
        yield b"data: [DONE]\n\n"

    def error(self, status: int, text: str) -> Json:
        return {"error": {"message": text, "type": "server_error", "param": None, "code": None}}


class Responses(OpenAI):
    """Responses."""

    paths = ("/v1/responses",)

    def whole(self, body: Json, said: str | list[Call]) -> Json:
        if isinstance(said, str):
            part = {"type": "output_text", "text": said, "annotations": [], "logprobs": []}
            output: list[Json] = [
                {
                    "id": "msg_67ccd2bf",
                    "type": "message",
                    "status": "completed",
                    "role": "assistant",
                    "content": [part],
                }
            ]
        else:
            output = [
                {
                    "id": f"fc_{c.id}",
                    "type": "function_call",
                    "status": "completed",
                    "call_id": c.id,
                    "name": c.name,
                    "arguments": json.dumps(c.args, ensure_ascii=False),
                }
                for c in said
            ]
        return self._response(body, "completed", output)

    def _response(self, body: Json, status: str, output: list[Json]) -> Json:
        usage = {
            "input_tokens": 25,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 15,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 40,
        }
        return {
            "id": "resp_67ccd2be",
            "object": "response",
            "created_at": 1764000000,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "model": body["model"],
            "output": output,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": usage if status == "completed" else None,
        }

    def stream(self, body: Json, said: str | list[Call]) -> Iterator[bytes]:
        number = -1

        def event(type_: str, **more: object) -> bytes:
            nonlocal number
            number += 1
            return sse({"type": type_, **more, "sequence_number": number}, type_)

        whole = self.whole(body, said)
        yield event("response.created", response=self._response(body, "in_progress", []))
        for at, item in enumerate(whole["output"]):
            ref = {"item_id": item["id"], "output_index": at}
            text = item["type"] == "message"
            empty = {"content": []} if text else {"arguments": ""}
            begun = {**item, **empty, "status": "in_progress"}
            yield event("response.output_item.added", output_index=at, item=begun)
            if text:
                part = item["content"][0]
                ref["content_index"] = 0
                yield event("response.content_part.added", **ref, part={**part, "text": ""})
                for piece in pieces(part["text"]):
                    yield event("response.output_text.delta", **ref, delta=piece, logprobs=[])
                yield event("response.output_text.done", **ref, text=part["text"], logprobs=[])
                yield event("response.content_part.done", **ref, part=part)
            else:
                for piece in pieces(item["arguments"]):
                    yield event("response.function_call_arguments.delta", **ref, delta=piece)
                done = {"arguments": item["arguments"], "name": item["name"]}
                yield event("response.function_call_arguments.done", **ref, **done)
            yield event("response.output_item.done", output_index=at, item=item)
        yield event("response.completed", response=whole)


class Gemini:
    """`generateContent` and `streamGenerateContent`."""

    paths = ("generateContent", "streamGenerateContent")

    def whole(self, body: Json, said: str | list[Call]) -> Json:
        del body
        parts: list[Json] = [{"text": said}] if isinstance(said, str) else []
        if isinstance(said, list):
            parts = [{"functionCall": {"name": c.name, "args": c.args}} for c in said]
        return self._chunk(parts, "STOP")

    def _chunk(self, parts: list[Json], finish: str = "") -> Json:
        candidate: Json = {"content": {"role": "model", "parts": parts}, "index": 0}
        if finish:
            candidate["finishReason"] = finish
        usage = {"promptTokenCount": 25, "candidatesTokenCount": 15, "totalTokenCount": 40}
        return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-3-pro"}

    def stream(self, body: Json, said: str | list[Call]) -> Iterator[bytes]:
        del body
        for piece in pieces(said) if isinstance(said, str) else ():
            yield sse(self._chunk([{"text": piece}]))
        for c in said if isinstance(said, list) else ():
            yield sse(self._chunk([{"functionCall": {"name": c.name, "args": c.args}}]))
        yield sse(self._chunk([{"text": ""}], "STOP"))

    def error(self, status: int, text: str) -> Json:
        named = {403: "PERMISSION_DENIED", 429: "RESOURCE_EXHAUSTED"}.get(status, "UNAVAILABLE")
        return {"error": {"code": status, "message": text, "status": named}}


class Ollama:
    """`/api/chat`, one JSON value a line."""

    paths = ("/api/chat",)

    def _line(self, body: Json, message: Json, *, done: bool) -> Json:
        line: Json = {"model": body["model"], "created_at": "2026-11-24T00:00:00Z"}
        line |= {"message": {"role": "assistant", "content": "", **message}, "done": done}
        if done:
            line |= {"done_reason": "stop", "prompt_eval_count": 25, "eval_count": 15}
        return line

    def _calls(self, said: str | list[Call]) -> list[Json]:
        given = said if isinstance(said, list) else []
        return [{"function": {"name": c.name, "arguments": c.args}} for c in given]

    def whole(self, body: Json, said: str | list[Call]) -> Json:
        message = {"content": said} if isinstance(said, str) else {"tool_calls": self._calls(said)}
        return self._line(body, message, done=True)

    def stream(self, body: Json, said: str | list[Call]) -> Iterator[bytes]:
        parts = pieces(said) if isinstance(said, str) else []
        told: list[Json] = [{"content": piece} for piece in parts]
        if calls := self._calls(said):
            told.append({"tool_calls": calls})
        for message in told:
            yield json.dumps(self._line(body, message, done=False)).encode() + b"\n"
        yield json.dumps(self._line(body, {}, done=True)).encode() + b"\n"

    def error(self, status: int, text: str) -> Json:
        del status
        return {"error": text}


SPOKEN: dict[str, Any] = {
    "anthropic": Anthropic(),
    "openai": OpenAI(),
    "openai-responses": Responses(),
    "gemini": Gemini(),
    "ollama": Ollama(),
}


# ------------------------------------------------------------------ the socket


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Say nothing."""

    def do_GET(self) -> None:
        self._send(404, {"error": {"message": "no such page"}})

    def do_POST(self) -> None:
        model = self.server.model
        length = int(self.headers.get("content-length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        path = self.path.partition("?")[0]
        spoken = SPOKEN[model.dialect]
        if not path.endswith(spoken.paths) or path.endswith("count_tokens"):
            self._send(404, spoken.error(404, f"Not found: {path}"))
            return
        streamed = path.endswith("streamGenerateContent") or body.get(
            "stream", model.dialect == "ollama"
        )
        cell = model.cell
        body.setdefault("model", "gemini-3-pro")
        seen = Seen(path, body, bool(streamed))
        cell.seen.append(seen)
        said = answer(cell, body)
        seen.answer = said if isinstance(said, str) else "calls"
        if cell.name in STATUS and cell.faults > 0:
            cell.faults -= 1
            status = STATUS[cell.name]
            self._send(status, spoken.error(status, SAID[status]))
        elif streamed:
            cut = cell.name == "cut" and cell.faults > 0
            cell.faults -= cut
            self._stream(list(spoken.stream(body, said)), cut=cut)
        else:
            self._send(200, spoken.whole(body, said))

    def _send(self, status: int, value: Json) -> None:
        data = json.dumps(value, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        if status == 429:
            self.send_header("retry-after", "1")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, frames: list[bytes], *, cut: bool) -> None:
        kind = "application/x-ndjson" if self.server.model.dialect == "ollama" else ""
        self.send_response(200)
        self.send_header("content-type", kind or "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for frame in frames[: len(frames) // 2] if cut else frames:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(frame), frame))
            self.wfile.flush()
        if cut:
            # A reset, as a server's crash looks; a FIN in the middle of a chunk would do, too.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            threading.Event().wait(0.05)
            self.close_connection = True
            self.connection.close()
            return
        self.wfile.write(b"0\r\n\r\n")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    model: Model

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that left is no trouble of ours."""


class Model:
    """A provider of one dialect; use as a context manager. `cell` is what it plays."""

    def __init__(self, dialect: str) -> None:
        self.dialect = dialect
        self.cell = Cell()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.model = self
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
