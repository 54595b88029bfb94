"""Prebuilt bytes: the requests that are sent and the answers that come back.

The requests have the shape, field order and headers of the official SDK; what the canned provider
is to do with one stands in a header of ours (`x-bench`), so that it need not read the body.
"""

from __future__ import annotations

import json
from typing import Any

MODEL = "claude-haiku-5"
EVENT_WORDS = "the quick brown fox "


def _words(size: int) -> str:
    sentence = "Then look at how the second module reads its settings and say what is missing. "
    return (sentence * (size // len(sentence) + 1))[: max(size, 1)]


def _tool(number: int) -> dict[str, object]:
    """A tool as a coding agent declares it: its schema nests, and is full of brackets."""
    texts = {name: {"type": "string", "description": _words(60)} for name in ("path", "pattern")}
    lines = {"type": "array", "items": {"type": "object", "properties": {"line": {"minimum": 1}}}}
    return {
        "name": f"tool_{number}",
        "description": _words(240),
        "input_schema": {"type": "object", "properties": {**texts, "lines": lines}},
    }


def body(size: int, *, stream: bool = False, model: str = MODEL) -> bytes:
    """A Messages body of about `size` bytes: a conversation in a few turns, a system prompt.

    A third of a large one are declarations of tools, as in the bodies of coding agents.
    """
    frame: dict[str, Any] = {
        "max_tokens": 1024,
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Please review this project."}]},
            {"role": "assistant", "content": [{"type": "text", "text": "I read “main.py” first."}]},
            {"role": "user", "content": [{"type": "text", "text": ""}]},
        ],
        "model": model,
        "stream": stream,
        "system": [{"type": "text", "text": "You are a careful reviewer. " * 8}],
        "temperature": 1.0,
        "tools": [_tool(number) for number in range(size // 2000)] if size > 10_000 else [],
    }
    rest = size - len(json.dumps(frame, separators=(",", ":"), ensure_ascii=False).encode())
    frame["messages"][-1]["content"][0]["text"] = _words(rest)
    return json.dumps(frame, separators=(",", ":"), ensure_ascii=False).encode()


def request(
    host: str, size: int, mode: str = "whole", *, stream: bool = False, model: str = MODEL
) -> bytes:
    """One whole request as the SDK sends it; `mode` is what the canned provider does."""
    data = body(size, stream=stream, model=model)
    head = (
        "POST /v1/messages HTTP/1.1\r\n"
        f"Host: {host}\r\n"
        "Accept-Encoding: gzip, deflate\r\n"
        "Connection: keep-alive\r\n"
        "Accept: application/json\r\n"
        "Content-Type: application/json\r\n"
        "User-Agent: Anthropic/Python 2.12.0\r\n"
        "X-Stainless-Lang: python\r\n"
        "X-Stainless-Package-Version: 2.12.0\r\n"
        "X-Stainless-OS: Linux\r\n"
        "X-Stainless-Arch: x64\r\n"
        "X-Stainless-Runtime: CPython\r\n"
        "X-Stainless-Runtime-Version: 3.11.7\r\n"
        "Authorization: Bearer client-key\r\n"
        "X-Stainless-Async: false\r\n"
        "anthropic-version: 2026-10-21\r\n"
        "x-stainless-retry-count: 0\r\n"
        "x-stainless-read-timeout: 600\r\n"
        f"x-bench: {mode}\r\n"
        f"Content-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


def _event(name: str, value: dict[str, object]) -> bytes:
    data = json.dumps(value, separators=(",", ":")).encode()
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


_MESSAGE = {
    "id": "msg_013Zva2CMHLNnXjNJJKqJ2EF",
    "type": "message",
    "role": "assistant",
    "model": MODEL,
    "content": [{"type": "text", "text": EVENT_WORDS * 40}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 512, "output_tokens": 160, "cache_read_input_tokens": 0},
}
_HEAD = (
    "HTTP/1.1 {status}\r\nDate: Tue, 24 Nov 2026 00:00:00 GMT\r\nContent-Type: {type}\r\n"
    "request-id: req_011CSHoEeqs5C35K2UUqR7Fy\r\n"
    "anthropic-ratelimit-requests-limit: 4000\r\n"
    "anthropic-ratelimit-requests-remaining: 3999\r\n"
    "anthropic-ratelimit-requests-reset: 2026-11-24T00:00:00Z\r\n"
    "cf-ray: 9a2b3c4d5e6f7890-FRA\r\n{framing}\r\n\r\n"
)


def _whole(status: str, value: object) -> bytes:
    data = json.dumps(value, separators=(",", ":")).encode()
    framing = f"Content-Length: {len(data)}"
    return _HEAD.format(status=status, type="application/json", framing=framing).encode() + data


WHOLE = _whole("200 OK", _MESSAGE)
OVERLOADED = _whole(
    "529 Site is overloaded",
    {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
)
STREAM_HEAD = _HEAD.format(
    status="200 OK",
    type="text/event-stream; charset=utf-8",
    framing="Transfer-Encoding: chunked",
).encode()
OPENING = chunk(
    _event(
        "message_start",
        {"type": "message_start", "message": {**_MESSAGE, "content": [], "stop_reason": None}},
    )
) + chunk(
    _event(
        "content_block_start",
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    )
)
DELTA = chunk(
    _event(
        "content_block_delta",
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": EVENT_WORDS},
        },
    )
)
ENDING = (
    chunk(_event("content_block_stop", {"type": "content_block_stop", "index": 0}))
    + chunk(
        _event(
            "message_delta",
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                "usage": {"output_tokens": 160},
            },
        )
    )
    + chunk(_event("message_stop", {"type": "message_stop"}))
    + b"0\r\n\r\n"
)
