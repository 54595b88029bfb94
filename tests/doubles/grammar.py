"""The dialects as the doubles speak them: what they refuse, and the exact shape of answers.

After the public API references: Anthropic Messages (streaming, errors), OpenAI Chat Completions,
OpenAI Responses, Ollama's own API and Gemini's generateContent. A double refuses what the real API
refuses, so that a broken request is seen.
"""

from __future__ import annotations

import base64
import json
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from tests.doubles.acts import word

Json = dict[str, Any]


class Refusal(NamedTuple):
    """What the real API answers to a request that is wrong."""

    status: int
    type: str
    message: str


class Frame(NamedTuple):
    """One event of a stream, and how many words were said once it has left."""

    data: bytes
    words: int


def dumps(value: object, *, indent: int | None = None) -> bytes:
    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(value, ensure_ascii=False, separators=separators, indent=indent).encode()


# ------------------------------------------------------------------ Anthropic Messages

MESSAGE_FIELDS = {
    "model", "messages", "max_tokens", "system", "stream", "temperature", "top_p", "top_k",
    "stop_sequences", "metadata", "tools", "tool_choice", "thinking", "service_tier",
    "output_config", "inference_geo", "cache_control",
}  # fmt: skip
COUNTED_FIELDS = {
    "model", "messages", "system", "tools", "tool_choice", "thinking", "output_config",
    "cache_control",
}  # fmt: skip
BLOCKS = {
    "text", "image", "document", "tool_use", "tool_result", "thinking", "redacted_thinking",
    "search_result", "server_tool_use", "web_search_tool_result",
}  # fmt: skip
ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    503: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def anthropic_error(status: int, message: str = "", type_: str = "") -> bytes:
    kind = type_ or ANTHROPIC_TYPES.get(status, "api_error")
    said = message or {529: "Overloaded", 500: "Internal server error"}.get(status, kind)
    error = {"type": kind, "message": said}
    return dumps({"type": "error", "error": error, "request_id": "req_011CSHoEeqs5C35K2UUqR7Fy"})


def _bad(message: str) -> Refusal:
    return Refusal(400, "invalid_request_error", message)


def check_messages(headers: Mapping[str, str], body: Json, *, counting: bool) -> Refusal | None:
    """The refusals of `/v1/messages` and its token counting."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", headers.get("anthropic-version", "")):
        return _bad("anthropic-version: header is required")
    extra = sorted(set(body) - (COUNTED_FIELDS if counting else MESSAGE_FIELDS))
    if extra and "anthropic-beta" not in headers:
        return _bad(f"{extra[0]}: Extra inputs are not permitted")
    if not isinstance(body.get("model"), str):
        return _bad("model: Field required")
    tokens = body.get("max_tokens")
    if not counting and (not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 1):
        return _bad("max_tokens: Field required")
    if not isinstance(body.get("stream", False), bool):
        return _bad("stream: Input should be a valid boolean")
    if not isinstance(body.get("system", ""), str | list):
        return _bad("system: Input should be a valid string or list")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        return _bad("messages: at least one message is required")
    return next(_wrong_messages(messages), None)


def _wrong_messages(messages: list[Any]) -> Iterator[Refusal]:
    for number, message in enumerate(messages):
        if not isinstance(message, dict) or set(message) - {"role", "content", "cache_control"}:
            yield _bad(f"messages.{number}: Extra inputs are not permitted")
        elif message.get("role") not in ("user", "assistant", "system"):
            yield _bad(f"messages.{number}.role: Input should be 'user' or 'assistant'")
        elif not isinstance(content := message.get("content"), str | list) or not content:
            yield _bad(f"messages.{number}: content must be non-empty")
        elif isinstance(content, list):
            for at, block in enumerate(content):
                if not isinstance(block, dict) or block.get("type") not in BLOCKS:
                    yield _bad(f"messages.{number}.content.{at}.type: unknown block")
                elif block["type"] == "text" and not block.get("text"):
                    yield _bad("messages: text content blocks must be non-empty")
    if messages[0].get("role") == "assistant":
        yield _bad("messages: first message must use the user role")


def _sse(event: str, value: Json) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event.encode(), dumps(value))


def _usage(body: Json, words: int) -> Json:
    said = len(dumps(body.get("messages", ""))) // 4
    return {
        "input_tokens": said,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": words,
    }


def _message(body: Json, content: list[Json], words: int) -> Json:
    return {
        "id": "msg_013Zva2CMHLNnXjNJJKqJ2EF",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": content,
        "stop_reason": "end_turn" if content else None,
        "stop_sequence": None,
        "usage": _usage(body, words),
    }


def message(name: str, body: Json, words: int) -> bytes:
    said = "".join(word(name, number) for number in range(1, words + 1))
    return dumps(_message(body, [{"type": "text", "text": said}], words))


def message_stream(name: str, body: Json, words: int) -> Iterator[Frame]:
    """message_start, a content block with a ping in it, deltas, message_delta, message_stop."""
    start = {"type": "message_start", "message": _message(body, [], 1)}
    yield Frame(_sse("message_start", start), 0)
    block = {"type": "text", "text": ""}
    opened = {"type": "content_block_start", "index": 0, "content_block": block}
    yield Frame(_sse("content_block_start", opened), 0)
    yield Frame(_sse("ping", {"type": "ping"}), 0)
    for number in range(1, words + 1):
        delta = {"type": "text_delta", "text": word(name, number)}
        event = {"type": "content_block_delta", "index": 0, "delta": delta}
        yield Frame(_sse("content_block_delta", event), number)
    stopped = {"type": "content_block_stop", "index": 0}
    yield Frame(_sse("content_block_stop", stopped), words + 1)
    ended = {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": words},
    }
    yield Frame(_sse("message_delta", ended), words + 1)
    yield Frame(_sse("message_stop", {"type": "message_stop"}), words + 1)


def anthropic_fault(type_: str) -> bytes:
    error = {"type": type_, "message": "Overloaded"}
    return _sse("error", {"type": "error", "error": error})


def check_batch(headers: Mapping[str, str], body: Json) -> Refusal | None:
    """The refusals of a new batch."""
    requests = body.get("requests")
    if not isinstance(requests, list) or not requests:
        return _bad("requests: at least one request is required")
    for one in requests:
        if not isinstance(one, dict) or set(one) != {"custom_id", "params"}:
            return _bad("requests: custom_id and params are required")
        if (wrong := check_messages(headers, one["params"], counting=False)) is not None:
            return wrong
    return None


def batch(name: str, status: str, requests: list[Json]) -> Json:
    """A batch as the API shows it."""
    counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
    counts["succeeded" if status == "ended" else "processing"] = len(requests)
    days = {"created_at": "2026-11-24T00:00:00Z", "expires_at": "2026-11-25T00:00:00Z"}
    ended = "2026-11-24T01:00:00Z" if status == "ended" else None
    return {
        "id": name,
        "type": "message_batch",
        "processing_status": status,
        "request_counts": counts,
        **days,
        "ended_at": ended,
        "archived_at": None,
        "cancel_initiated_at": None,
        "results_url": None,
    }


ANTHROPIC_GARBAGE = b'event: content_block_delta\ndata: {"type":"content_blo\x00<<\xff\n\n'


def _model(dialect: str, name: str) -> Json:
    if dialect == "anthropic":
        more = {"display_name": name, "created_at": "2026-01-01T00:00:00Z"}
        return {"type": "model", "id": name, **more}
    if dialect == "gemini":
        methods = ["generateContent", "countTokens"]
        more = {"version": "3", "supportedGenerationMethods": methods}
        return {"name": f"models/{name}", "displayName": name, "inputTokenLimit": 1048576, **more}
    return {"id": name, "object": "model", "created": 1764000000, "owned_by": "x"}


def one_model(dialect: str, name: str) -> bytes:
    return dumps(_model(dialect, name))


def anthropic_models(models: tuple[str, ...]) -> bytes:
    data = [_model("anthropic", name) for name in models]
    return dumps({"data": data, "has_more": False, "first_id": models[0], "last_id": models[-1]})


# --------------------------------------------------------------- OpenAI Chat Completions

CHAT_FIELDS = {
    "model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens",
    "temperature", "top_p", "n", "stop", "seed", "user", "tools", "tool_choice",
    "parallel_tool_calls", "response_format", "presence_penalty", "frequency_penalty", "logprobs",
    "top_logprobs", "logit_bias", "metadata", "store", "reasoning_effort", "verbosity",
    "service_tier", "prompt_cache_key", "safety_identifier", "modalities", "audio", "prediction",
}  # fmt: skip
OPENAI_TYPES = {
    401: ("invalid_request_error", "invalid_api_key"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
    500: ("server_error", None),
    503: ("server_error", None),
    529: ("server_error", None),
}


def openai_error(status: int, message: str = "", type_: str = "") -> bytes:
    kind, code = OPENAI_TYPES.get(status, ("invalid_request_error", None))
    error = {"message": message or f"status {status}", "type": type_ or kind, "param": None}
    return dumps({"error": {**error, "code": code}})


def check_chat(headers: Mapping[str, str], body: Json) -> Refusal | None:
    """The refusals of `/v1/chat/completions`."""
    if "anthropic-version" in headers or "x-api-key" in headers:
        return _bad("headers of another provider's API travelled here")
    if extra := sorted(set(body) - CHAT_FIELDS):
        return _bad(f"Unrecognized request argument supplied: {extra[0]}")
    if not isinstance(body.get("model"), str):
        return _bad("you must provide a model parameter")
    if "stream_options" in body and not body.get("stream"):
        return _bad("The 'stream_options' parameter is only allowed when 'stream' is enabled.")
    if "max_tokens" in body and re.match(r"gpt-5|o\d", body["model"]):
        return _bad(
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead."
        )
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        return _bad("Invalid type for 'messages': expected an array of objects.")
    roles = {"system", "developer", "user", "assistant", "tool", "function"}
    for number, said in enumerate(messages):
        if not isinstance(said, dict) or said.get("role") not in roles:
            return _bad(f"Invalid value for 'messages[{number}].role'.")
        content = said.get("content")
        if not isinstance(content, str | list) and not said.get("tool_calls"):
            return _bad(f"Invalid type for 'messages[{number}].content'.")
        for part in content if isinstance(content, list) else []:
            if part.get("type") not in ("text", "image_url", "input_audio", "file", "refusal"):
                return _bad(f"Invalid value: '{part.get('type')}' in 'messages[{number}]'.")
    return None


def check_embeddings(_: Mapping[str, str], body: Json) -> Refusal | None:
    if not isinstance(body.get("model"), str) or not body.get("input"):
        return _bad("you must provide a model and an input")
    return None


def _chat_usage(body: Json, words: int) -> Json:
    said = len(dumps(body["messages"])) // 4
    return {
        "prompt_tokens": said,
        "completion_tokens": words,
        "total_tokens": said + words,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    }


def _chat_head(body: Json, kind: str) -> Json:
    head = {"id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT", "object": kind}
    return {**head, "created": 1764000000, "model": body["model"]}


def chat(name: str, body: Json, words: int) -> bytes:
    said = "".join(word(name, number) for number in range(1, words + 1))
    reply = {"role": "assistant", "content": said, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": reply, "logprobs": None, "finish_reason": "stop"}
    head = _chat_head(body, "chat.completion")
    return dumps({**head, "choices": [choice], "usage": _chat_usage(body, words)})


def chat_stream(name: str, body: Json, words: int) -> Iterator[Frame]:
    """A role chunk, content chunks, the finish reason, usage where asked for, [DONE]."""
    head = _chat_head(body, "chat.completion.chunk")
    counted = bool((body.get("stream_options") or {}).get("include_usage"))

    def chunk(delta: Json, finish: str | None, said: int) -> Frame:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        usage = {"usage": None} if counted else {}
        return Frame(b"data: %b\n\n" % dumps({**head, "choices": [choice], **usage}), said)

    yield chunk({"role": "assistant", "content": "", "refusal": None}, None, 0)
    for number in range(1, words + 1):
        yield chunk({"content": word(name, number)}, None, number)
    yield chunk({}, "stop", words + 1)
    if counted:
        last = {**head, "choices": [], "usage": _chat_usage(body, words)}
        yield Frame(b"data: %b\n\n" % dumps(last), words + 1)
    yield Frame(b"data: [DONE]\n\n", words + 1)


def openai_fault(type_: str) -> bytes:
    error = {"message": "The server is overloaded", "type": type_, "param": None, "code": None}
    return b"data: %b\n\n" % dumps({"error": error})


OPENAI_GARBAGE = b'data: {"id":"chatcmpl-B9M","choi\x00<<\xff\n\n'


def openai_models(models: tuple[str, ...]) -> bytes:
    data = [_model("openai", name) for name in models]
    return dumps({"object": "list", "data": data})


def embeddings(body: Json) -> bytes:
    """Four numbers for each input; base64 of float32 where asked, as the SDK does by default."""
    inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
    vector = [0.25, -0.5, 1.0, 2.0]
    packed = base64.b64encode(struct.pack("<4f", *vector)).decode()
    value = packed if body.get("encoding_format") == "base64" else vector
    data = [{"object": "embedding", "index": i, "embedding": value} for i in range(len(inputs))]
    usage = {"prompt_tokens": len(inputs), "total_tokens": len(inputs)}
    return dumps({"object": "list", "data": data, "model": body["model"], "usage": usage})


# ------------------------------------------------------------------ OpenAI Responses

RESPONSES_FIELDS = {
    "model", "input", "instructions", "stream", "stream_options", "max_output_tokens", "store",
    "temperature", "top_p", "top_logprobs", "tools", "tool_choice", "parallel_tool_calls", "text",
    "reasoning", "include", "metadata", "user", "previous_response_id", "conversation",
    "prompt_cache_key", "safety_identifier", "service_tier", "truncation", "background",
    "max_tool_calls", "client_metadata",
}  # fmt: skip
INPUT_FIELDS = {
    "model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "reasoning",
    "text", "previous_response_id", "conversation", "truncation", "personality",
}  # fmt: skip
ITEM_TYPES = {
    "message", "reasoning", "function_call", "function_call_output", "custom_tool_call",
    "custom_tool_call_output",
}  # fmt: skip
NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
SAID_BY = {
    "user": {"input_text", "input_image", "input_file"},
    "system": {"input_text"},
    "developer": {"input_text"},
    "assistant": {"output_text", "refusal"},
}


def check_responses(
    headers: Mapping[str, str], body: Json, *, counting: bool = False
) -> Refusal | None:
    """The refusals of `/v1/responses` and its token counting."""
    if "anthropic-version" in headers or "x-api-key" in headers:
        return _bad("headers of another provider's API travelled here")
    if extra := sorted(set(body) - (INPUT_FIELDS if counting else RESPONSES_FIELDS)):
        return _bad(f"Unknown parameter: '{extra[0]}'.")
    if body.get("max_output_tokens", 16) < 16:
        return _bad("Invalid 'max_output_tokens': integer below minimum value.")
    for tool in body.get("tools", []):
        if tool.get("type") == "function" and not NAME.fullmatch(tool.get("name", "")):
            return _bad("Invalid 'tools[0].name'.")
    items = body.get("input")
    if isinstance(items, str):
        return None
    if not isinstance(items, list) or not items:
        return _bad("Missing required parameter: 'input'.")
    return next(_wrong_items(items, alone="previous_response_id" not in body), None)


def _wrong_items(items: list[Any], *, alone: bool) -> Iterator[Refusal]:
    calls: set[str] = set()
    for number, item in enumerate(items):
        kind = item.get("type", "message")
        if kind not in ITEM_TYPES:
            yield _bad(f"Invalid value: '{kind}' in 'input[{number}]'.")
        elif kind == "message":
            known = SAID_BY.get(item.get("role"), set())
            content = item.get("content")
            parts = content if isinstance(content, list) else []
            if not isinstance(content, str | list) or any(
                p.get("type") not in known for p in parts
            ):
                yield _bad(f"Invalid value: 'input[{number}].content'.")
        elif kind == "reasoning":
            if not str(item.get("encrypted_content", "")).startswith("gAAA"):
                yield _bad("The encrypted content could not be verified.")
        elif kind.endswith("_call"):
            calls.add(item.get("call_id", ""))
            if not NAME.fullmatch(item.get("call_id", "")):
                yield _bad(f"Invalid 'input[{number}].call_id'.")
        elif alone and item.get("call_id") not in calls:
            yield _bad("No tool call found for function call output.")


def _response(body: Json, status: str, output: list[Json], words: int) -> Json:
    said = len(dumps(body["input"])) // 4
    usage = {
        "input_tokens": said,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": words,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": said + words,
    }
    return {
        "id": "resp_67ccd2bed1ec8190b14f964abc0542670bb6a6b452d3795b",
        "object": "response",
        "created_at": 1764000000,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "model": body["model"],
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": body.get("previous_response_id"),
        "store": body.get("store", True),
        "tool_choice": "auto",
        "tools": body.get("tools", []),
        "usage": usage if status == "completed" else None,
    }


def _output(name: str, words: int, status: str = "completed") -> Json:
    said = "".join(word(name, number) for number in range(1, words + 1))
    part = {"type": "output_text", "text": said, "annotations": [], "logprobs": []}
    return {
        "id": "msg_67ccd2bf17f0819081ff3bb2cf6508e60bb6a6b452d3795b",
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": [part] if status == "completed" else [],
    }


def response(name: str, body: Json, words: int) -> bytes:
    return dumps(_response(body, "completed", [_output(name, words)], words))


def response_stream(name: str, body: Json, words: int) -> Iterator[Frame]:
    """Created, in progress, an item with a part, deltas, all of it done, completed."""
    whole = _output(name, words)
    at = {"item_id": whole["id"], "output_index": 0, "content_index": 0}
    part = whole["content"][0]
    begun = {"response": _response(body, "in_progress", [], 0)}
    told: list[tuple[str, Json, int]] = [
        ("response.created", begun, 0),
        ("response.in_progress", begun, 0),
        (
            "response.output_item.added",
            {"output_index": 0, "item": _output(name, words, "in_progress")},
            0,
        ),
        ("response.content_part.added", {**at, "part": {**part, "text": ""}}, 0),
    ]
    for number in range(1, words + 1):
        delta = {**at, "delta": word(name, number), "logprobs": [], "obfuscation": "x" * 9}
        told.append(("response.output_text.delta", delta, number))
    told += [
        ("response.output_text.done", {**at, "text": part["text"], "logprobs": []}, words + 1),
        ("response.content_part.done", {**at, "part": part}, words + 1),
        ("response.output_item.done", {"output_index": 0, "item": whole}, words + 1),
        (
            "response.completed",
            {"response": _response(body, "completed", [whole], words)},
            words + 1,
        ),
    ]
    for number, (kind, fields, said) in enumerate(told):
        yield Frame(_sse(kind, {"type": kind, "sequence_number": number, **fields}), said)


def response_fault(type_: str) -> bytes:
    said = {"type": type_, "code": "server_error", "message": "The server is overloaded"}
    return _sse("error", {"type": "error", "sequence_number": 99, "error": {**said, "param": None}})


RESPONSES_GARBAGE = b'event: response.output_text.delta\ndata: {"type":"resp\x00<<\xff\n\n'
# -------------------------------------------------------------------- Ollama's own API

OLLAMA_FIELDS: dict[str, type | tuple[type, ...]] = {
    "model": str, "messages": list, "tools": list, "stream": bool, "format": (str, dict),
    "options": dict, "think": (bool, str), "keep_alive": (str, int, float), "logprobs": bool,
    "top_logprobs": int, "prompt": str, "system": str,
}  # fmt: skip


def ollama_error(status: int, message: str = "", type_: str = "") -> bytes:
    return dumps({"error": message or type_ or f"status {status}"})


def check_ollama(body: Json) -> Refusal | None:
    """The refusals of `/api/chat`: what its server cannot unmarshal. It passes over the rest."""
    for name, kind in OLLAMA_FIELDS.items():
        if name in body and not isinstance(body[name], kind):
            return _bad(f"json: cannot unmarshal {type(body[name]).__name__} into field {name}")
    if extra := sorted(set(body) - set(OLLAMA_FIELDS)):
        return _bad(f"{extra[0]}: not of this API")
    for message in body.get("messages", ()):
        if message.get("role") not in ("system", "user", "assistant", "tool"):
            return _bad(f"invalid role: {message.get('role')}")
        if not isinstance(message.get("content", ""), str):
            return _bad("json: cannot unmarshal into field messages.content of type string")
        for call in message.get("tool_calls", ()):
            if not isinstance(call["function"]["arguments"], dict):
                return _bad("json: cannot unmarshal string into field arguments of type map")
        for image in message.get("images", ()):
            base64.b64decode(image, validate=True)
    return None


def _ollama_line(body: Json, said: str, **more: object) -> Json:
    head = {"model": body["model"], "created_at": "2026-11-24T08:52:19.385406455Z"}
    if "prompt" in body:
        return {**head, "response": said, **more}
    return {**head, "message": {"role": "assistant", "content": said}, **more}


def _ollama_end(body: Json, words: int) -> Json:
    said = len(dumps(body.get("messages", ""))) // 4
    return {
        "done": True,
        "done_reason": "stop",
        "total_duration": 4883583458,
        "load_duration": 1334875,
        "prompt_eval_count": said,
        "prompt_eval_duration": 342546000,
        "eval_count": words,
        "eval_duration": 4535599000,
    }


def ollama_whole(name: str, body: Json, words: int) -> bytes:
    said = "".join(word(name, number) for number in range(1, words + 1))
    return dumps(_ollama_line(body, said, **_ollama_end(body, words)))


def ollama_stream(name: str, body: Json, words: int) -> Iterator[Frame]:
    """A line for each word, and the line that says done."""
    for number in range(1, words + 1):
        line = _ollama_line(body, word(name, number), done=False)
        yield Frame(dumps(line) + b"\n", number)
    yield Frame(dumps(_ollama_line(body, "", **_ollama_end(body, words))) + b"\n", words + 1)


def ollama_fault(_: str) -> bytes:
    return dumps({"error": "an error was encountered while running the model"}) + b"\n"


def ollama_models(models: tuple[str, ...]) -> bytes:
    return dumps({"models": [{"name": name, "model": name} for name in models]})


# ------------------------------------------------------------ Gemini's generateContent

GEMINI_FIELDS = {
    "contents", "systemInstruction", "tools", "toolConfig", "safetySettings", "generationConfig",
    "cachedContent", "model", "store", "serviceTier",
}  # fmt: skip
GEMINI_DRAWING = {
    "stopSequences", "responseMimeType", "responseSchema", "responseJsonSchema", "candidateCount",
    "responseModalities", "maxOutputTokens", "temperature", "topP", "topK", "seed", "logprobs",
    "presencePenalty", "frequencyPenalty", "responseLogprobs", "thinkingConfig", "mediaResolution",
}  # fmt: skip
GEMINI_DATA = {
    "text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode",
    "codeExecutionResult",
}  # fmt: skip
GEMINI_SCHEMA = {
    "type", "format", "title", "description", "nullable", "enum", "maxItems", "minItems",
    "properties", "required", "minProperties", "maxProperties", "minLength", "maxLength",
    "pattern", "example", "anyOf", "propertyOrdering", "default", "items", "minimum", "maximum",
}  # fmt: skip
GEMINI_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
GEMINI_HEADERS = ("anthropic-version", "x-api-key", "authorization")


def gemini_error(status: int, message: str = "", type_: str = "") -> bytes:
    kind = GEMINI_STATUSES.get(status, "INTERNAL")
    said = message or {503: "The model is overloaded. Please try again later."}.get(status, kind)
    return dumps({"error": {"code": status, "message": said, "status": kind}}, indent=2)


def _unknown(name: str, where: str) -> Refusal:
    return _bad(f"Invalid JSON payload received. Unknown name \"{name}\" at '{where}'")


def check_gemini(headers: Mapping[str, str], model: str, body: Json) -> Refusal | None:
    """The refusals of generateContent and countTokens."""
    if found := [name for name in GEMINI_HEADERS if name in headers]:
        return _bad(f"{found[0]}: a header of another provider's API travelled here")
    body = body.get("generateContentRequest", body)
    if extra := sorted(set(body) - GEMINI_FIELDS):
        return _unknown(extra[0], "")
    drawing = body.get("generationConfig", {})
    if extra := sorted(set(drawing) - GEMINI_DRAWING):
        return _unknown(extra[0], "generation_config")
    if {"thinkingLevel", "thinkingBudget"} <= set(drawing.get("thinkingConfig", {})):
        return _bad("You can only set only one of thinking budget and thinking level.")
    if len(drawing.get("stopSequences", ())) > 5:
        return _bad("The number of stop sequences must be at most 5")
    declared = [f for tool in body.get("tools", ()) for f in tool.get("functionDeclarations", ())]
    for function in declared:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.:-]{0,63}", function["name"]):
            return _bad("Invalid function name. Must start with a letter or an underscore.")
        if (wrong := _wrong_schema(function.get("parameters"))) is not None:
            return wrong
    if (wrong := _wrong_schema(drawing.get("responseSchema"))) is not None:
        return wrong
    contents = body.get("contents")
    if not isinstance(contents, list) or not contents:
        return _bad("* GenerateContentRequest.contents: contents is not specified")
    return next(_wrong_contents(contents, model), None)


def _wrong_schema(schema: Any) -> Refusal | None:
    if schema is None:
        return None
    if extra := sorted(set(schema) - GEMINI_SCHEMA):
        return _unknown(extra[0], "parameters")
    if schema.get("type", "").lower() == "object" and not schema.get("properties"):
        return _bad("parameters.properties: should be non-empty for OBJECT type")
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", ())]
    inner += [schema["items"]] if "items" in schema else []
    return next((wrong for one in inner if (wrong := _wrong_schema(one)) is not None), None)


def _wrong_contents(contents: list[Any], model: str) -> Iterator[Refusal]:
    calls = 0
    for number, content in enumerate(contents):
        if content.get("role", "user") not in ("user", "model") or not content.get("parts"):
            yield _bad(f"* GenerateContentRequest.contents[{number}]: role or parts")
            return
        parts = content["parts"]
        for part in parts:
            if len(set(part) & GEMINI_DATA) != 1:
                yield _bad("required oneof field 'data' must have one initialized field")
            if "thoughtSignature" in part:
                base64.urlsafe_b64decode(part["thoughtSignature"] + "==")
            if "inlineData" in part:
                base64.b64decode(part["inlineData"]["data"], validate=True)
        answered = sum("functionResponse" in part for part in parts)
        if calls != answered:
            yield _bad("the number of function response parts is not that of function call parts")
        called = [part for part in parts if "functionCall" in part]
        calls = len(called)
        if called and model.startswith("gemini-3") and "thoughtSignature" not in called[0]:
            yield _bad("Function call is missing a thought_signature in functionCall parts.")


def _gemini(body: Json, said: str, words: int, stop: str | None) -> Json:
    content = {"parts": [{"text": said}], "role": "model"}
    finish = {} if stop is None else {"finishReason": stop}
    prompt = len(dumps(body.get("contents", ""))) // 4
    return {
        "candidates": [{"content": content, **finish, "index": 0}],
        "usageMetadata": {
            "promptTokenCount": prompt,
            "candidatesTokenCount": words,
            "totalTokenCount": prompt + words,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": prompt}],
        },
        "modelVersion": "gemini-3-pro",
        "responseId": "mN4laZqhCZ3tz7IPxcHg0AU",
    }


def gemini_whole(name: str, body: Json, words: int) -> bytes:
    said = "".join(word(name, number) for number in range(1, words + 1))
    return dumps(_gemini(body, said, words, "STOP"), indent=2)


def gemini_stream(name: str, body: Json, words: int) -> Iterator[Frame]:
    """A chunk for each word; the last has the finish reason, and nothing follows it."""
    for number in range(1, words + 1):
        chunk = _gemini(body, word(name, number), number, None)
        yield Frame(b"data: %b\r\n\r\n" % dumps(chunk), number)
    last = _gemini(body, "", words, "STOP")
    yield Frame(b"data: %b\r\n\r\n" % dumps(last), words + 1)


def gemini_fault(_: str) -> bytes:
    return b"data: %b\r\n\r\n" % dumps(json.loads(gemini_error(503)))


def gemini_models(models: tuple[str, ...]) -> bytes:
    return dumps({"models": [_model("gemini", name) for name in models]})


class Grammar(NamedTuple):
    """All that a double needs of one dialect."""

    models: tuple[str, ...]
    error: Callable[[int, str, str], bytes]
    stream: Callable[[str, Json, int], Iterator[Frame]]
    whole: Callable[[str, Json, int], bytes]
    fault: Callable[[str], bytes]
    garbage: bytes
    list_models: Callable[[tuple[str, ...]], bytes]
    stream_type: str = "text/event-stream; charset=utf-8"


GRAMMARS = {
    "anthropic": Grammar(
        ("claude-opus-5-5", "claude-haiku-5", "claude-sonnet-4-5"),
        anthropic_error,
        message_stream,
        message,
        anthropic_fault,
        ANTHROPIC_GARBAGE,
        anthropic_models,
    ),
    "openai": Grammar(
        ("gpt-5.1", "gpt-4o-mini", "text-embedding-3-small"),
        openai_error,
        chat_stream,
        chat,
        openai_fault,
        OPENAI_GARBAGE,
        openai_models,
    ),
    "openai-responses": Grammar(
        ("gpt-5.1", "gpt-4o-mini"),
        openai_error,
        response_stream,
        response,
        response_fault,
        RESPONSES_GARBAGE,
        openai_models,
    ),
    "ollama": Grammar(
        ("qwen3-coder:30b", "llama3.2"),
        ollama_error,
        ollama_stream,
        ollama_whole,
        ollama_fault,
        b'{"model":"llama3.2","mess\x00<<\xff\n',
        ollama_models,
        "application/x-ndjson",
    ),
    "gemini": Grammar(
        ("gemini-3-pro", "gemini-2.5-flash"),
        gemini_error,
        gemini_stream,
        gemini_whole,
        gemini_fault,
        b'data: {"candidates":[{"cont\x00<<\xff\r\n\r\n',
        gemini_models,
    ),
}
