"""The bytes of the dialects as a provider writes them, after the public API references.

Written apart from `wire` on purpose: a simulator that spoke through the gateway's own writers
would share its misunderstandings.
"""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar, Protocol

import msgspec
from msgspec import Struct

from holdfast.facts.calls import Headers

_encode = msgspec.json.encode
Json = dict[str, Any]

# `x-holdfast-*` is the gateway's own and would be dropped on the way.
MARK: Headers = ((b"x-simulated", b"holdfast"),)
REQUESTS_PER_MINUTE = 1000
DIMENSIONS = 8


class Asked(Struct, frozen=True, kw_only=True):
    """One request as the shapes need it. `words`: the answer, `whole`: not cut short by a limit.

    `inputs` are the texts to embed. `n` counts this provider's requests and makes ids.
    """

    surface: str
    model: str
    stream: bool = False
    usage_asked: bool = False
    tokens_in: int = 1
    words: tuple[str, ...] = ()
    whole: bool = True
    inputs: tuple[str, ...] = ()
    n: int = 0

    @property
    def text(self) -> str:
        """The whole answer."""
        return "".join(self.words)


class Problem(Struct, frozen=True):
    """An error in a provider's own words, for any dialect. `code` is only said by some."""

    status: int
    type: str
    message: str
    code: str | None = None


class Shape(Protocol):
    """What each dialect can write."""

    def headers(self, asked: Asked, kind: bytes) -> Headers:
        """The head's fields, framing apart; `kind` is the content type."""
        ...

    def opening(self, asked: Asked) -> bytes:
        """What a stream says before its first word."""
        ...

    def word(self, asked: Asked, word: str) -> bytes:
        """One word of a stream."""
        ...

    def closing(self, asked: Asked) -> tuple[bytes, bytes]:
        """What a stream says behind its last word: the reason of its end, and its end."""
        ...

    def whole(self, asked: Asked) -> bytes:
        """An answer in one piece, for any surface."""
        ...

    def models(self, names: list[str]) -> bytes:
        """The list of models."""
        ...

    def error(self, problem: Problem) -> bytes:
        """An error's body."""
        ...

    def error_event(self, problem: Problem) -> bytes:
        """An error inside a stream."""
        ...


def _vector(text: str) -> list[float]:
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=DIMENSIONS).digest()
    return [byte / 255 for byte in digest]


def _id(prefix: str, asked: Asked) -> str:
    # The same provider gives the same id to the same request: a trace can be played again.
    tail = hashlib.blake2b(f"{asked.n}{asked.model}".encode(), digest_size=12).hexdigest()
    return prefix + tail


class AnthropicShape:
    """Anthropic Messages, token counting and the list of models."""

    def headers(self, asked: Asked, kind: bytes) -> Headers:
        left = REQUESTS_PER_MINUTE - 1
        return (
            (b"content-type", kind),
            (b"request-id", _id("req_sim", asked).encode()),
            (b"anthropic-ratelimit-requests-limit", b"%d" % REQUESTS_PER_MINUTE),
            (b"anthropic-ratelimit-requests-remaining", b"%d" % left),
            *MARK,
        )

    @staticmethod
    def _event(value: Json) -> bytes:
        return b"event: %b\ndata: %b\n\n" % (value["type"].encode(), _encode(value))

    @staticmethod
    def _message(asked: Asked, content: list[Json], stop: str | None, output: int) -> Json:
        return {
            "id": _id("msg_sim", asked),
            "type": "message",
            "role": "assistant",
            "model": asked.model,
            "content": content,
            "stop_reason": stop,
            "stop_sequence": None,
            "usage": {
                "input_tokens": asked.tokens_in,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "output_tokens": output,
            },
        }

    def opening(self, asked: Asked) -> bytes:
        start = {"type": "message_start", "message": self._message(asked, [], None, 1)}
        block: Json = {"type": "content_block_start", "index": 0}
        block["content_block"] = {"type": "text", "text": ""}
        return self._event(start) + self._event(block) + self._event({"type": "ping"})

    def word(self, asked: Asked, word: str) -> bytes:  # noqa: ARG002 - the protocol's shape
        delta = {"type": "text_delta", "text": word}
        return self._event({"type": "content_block_delta", "index": 0, "delta": delta})

    def _stop(self, asked: Asked) -> str:
        return "end_turn" if asked.whole else "max_tokens"

    def closing(self, asked: Asked) -> tuple[bytes, bytes]:
        delta = {
            "type": "message_delta",
            "delta": {"stop_reason": self._stop(asked), "stop_sequence": None},
            "usage": {"output_tokens": len(asked.words)},
        }
        stopped = self._event({"type": "content_block_stop", "index": 0}) + self._event(delta)
        return stopped, self._event({"type": "message_stop"})

    def whole(self, asked: Asked) -> bytes:
        if asked.surface == "count_tokens":
            return _encode({"input_tokens": asked.tokens_in})
        if asked.surface == "models":
            return _encode(self._model(asked.model))
        content = [{"type": "text", "text": asked.text}]
        return _encode(self._message(asked, content, self._stop(asked), len(asked.words)))

    @staticmethod
    def _model(name: str) -> Json:
        day = "2026-01-01T00:00:00Z"
        return {"type": "model", "id": name, "display_name": f"{name} (sim)", "created_at": day}

    def models(self, names: list[str]) -> bytes:
        data = [self._model(name) for name in names]
        ends = {"first_id": names[0], "last_id": names[-1]} if names else {}
        return _encode({"data": data, "has_more": False, **ends})

    def error(self, problem: Problem) -> bytes:
        said = {"type": problem.type, "message": problem.message}
        return _encode({"type": "error", "error": said})

    def error_event(self, problem: Problem) -> bytes:
        return b"event: error\ndata: " + self.error(problem) + b"\n\n"


class OpenAiShape:
    """OpenAI Chat Completions, embeddings and the list of models."""

    def headers(self, asked: Asked, kind: bytes) -> Headers:
        left = REQUESTS_PER_MINUTE - 1
        return (
            (b"content-type", kind),
            (b"x-request-id", _id("req_sim", asked).encode()),
            (b"x-ratelimit-limit-requests", b"%d" % REQUESTS_PER_MINUTE),
            (b"x-ratelimit-remaining-requests", b"%d" % left),
            *MARK,
        )

    @staticmethod
    def _line(value: Json) -> bytes:
        return b"data: " + _encode(value) + b"\n\n"

    def _chunk(self, asked: Asked, choices: list[Json], **more: object) -> bytes:
        head: Json = {
            "id": _id("chatcmpl-sim", asked),
            "object": "chat.completion.chunk",
            "created": 0,
            "model": asked.model,
            "choices": choices,
        }
        return self._line({**head, **more})

    def opening(self, asked: Asked) -> bytes:
        delta = {"role": "assistant", "content": ""}
        return self._chunk(asked, [{"index": 0, "delta": delta, "finish_reason": None}])

    def word(self, asked: Asked, word: str) -> bytes:
        choice = {"index": 0, "delta": {"content": word}, "finish_reason": None}
        return self._chunk(asked, [choice])

    def _stop(self, asked: Asked) -> str:
        return "stop" if asked.whole else "length"

    def closing(self, asked: Asked) -> tuple[bytes, bytes]:
        choice = {"index": 0, "delta": {}, "finish_reason": self._stop(asked)}
        stopped = self._chunk(asked, [choice])
        end = b"data: [DONE]\n\n"
        if asked.usage_asked:
            end = self._chunk(asked, [], usage=self._usage(asked)) + end
        return stopped, end

    @staticmethod
    def _usage(asked: Asked) -> Json:
        said = len(asked.words)
        return {
            "prompt_tokens": asked.tokens_in,
            "completion_tokens": said,
            "total_tokens": asked.tokens_in + said,
            "prompt_tokens_details": {"cached_tokens": 0},
        }

    def whole(self, asked: Asked) -> bytes:
        if asked.surface == "embeddings":
            return self._embedding(asked)
        if asked.surface == "models":
            return _encode(self._model(asked.model))
        message = {"role": "assistant", "content": asked.text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None}
        return _encode(
            {
                "id": _id("chatcmpl-sim", asked),
                "object": "chat.completion",
                "created": 0,
                "model": asked.model,
                "choices": [{**choice, "finish_reason": self._stop(asked)}],
                "usage": self._usage(asked),
            }
        )

    @staticmethod
    def _embedding(asked: Asked) -> bytes:
        usage = {"prompt_tokens": asked.tokens_in, "total_tokens": asked.tokens_in}
        data = [
            {"object": "embedding", "index": index, "embedding": _vector(text)}
            for index, text in enumerate(asked.inputs)
        ]
        return _encode({"object": "list", "data": data, "model": asked.model, "usage": usage})

    @staticmethod
    def _model(name: str) -> Json:
        return {"id": name, "object": "model", "created": 0, "owned_by": "holdfast"}

    def models(self, names: list[str]) -> bytes:
        return _encode({"object": "list", "data": [self._model(name) for name in names]})

    def error(self, problem: Problem) -> bytes:
        said = {"message": problem.message, "type": problem.type, "param": None}
        return _encode({"error": {**said, "code": problem.code}})

    def error_event(self, problem: Problem) -> bytes:
        return b"data: " + self.error(problem) + b"\n\n"


class ResponsesShape(OpenAiShape):
    """OpenAI Responses, token counting and the list of models."""

    @staticmethod
    def _event(number: int, kind: str, **fields: object) -> bytes:
        data = _encode({"type": kind, "sequence_number": number, **fields})
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)

    @staticmethod
    def _part(text: str) -> Json:
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}

    @staticmethod
    def _item(asked: Asked, status: str, content: list[Json]) -> Json:
        head = {"id": _id("msg_sim", asked), "type": "message", "role": "assistant"}
        return {**head, "status": status, "content": content}

    @staticmethod
    def _at(asked: Asked) -> Json:
        return {"item_id": _id("msg_sim", asked), "output_index": 0, "content_index": 0}

    def _response(self, asked: Asked, status: str, output: list[Json]) -> Json:
        ended = status != "in_progress"
        cut = {"reason": "max_output_tokens"} if status == "incomplete" else None
        return {
            "id": _id("resp_sim", asked),
            "object": "response",
            "created_at": 0,
            "status": status,
            "error": None,
            "incomplete_details": cut,
            "model": asked.model,
            "output": output,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": self._used(asked) if ended else None,
        }

    @staticmethod
    def _used(asked: Asked) -> Json:
        said = len(asked.words)
        return {
            "input_tokens": asked.tokens_in,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": said,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": asked.tokens_in + said,
        }

    def opening(self, asked: Asked) -> bytes:
        begun = self._response(asked, "in_progress", [])
        item, at = self._item(asked, "in_progress", []), self._at(asked)
        return b"".join(
            (
                self._event(0, "response.created", response=begun),
                self._event(1, "response.in_progress", response=begun),
                self._event(2, "response.output_item.added", output_index=0, item=item),
                self._event(3, "response.content_part.added", **at, part=self._part("")),
            )
        )

    def word(self, asked: Asked, word: str) -> bytes:
        # Words may be alike; which of them this is tells the very object.
        number = next((n for n, known in enumerate(asked.words) if known is word), 0)
        told = {**self._at(asked), "delta": word, "logprobs": []}
        return self._event(4 + number, "response.output_text.delta", **told)

    def closing(self, asked: Asked) -> tuple[bytes, bytes]:
        number, at = 4 + len(asked.words), self._at(asked)
        status = "completed" if asked.whole else "incomplete"
        part = self._part(asked.text)
        item = self._item(asked, status, [part])
        done = {**at, "text": asked.text, "logprobs": []}
        stopped = b"".join(
            (
                self._event(number, "response.output_text.done", **done),
                self._event(number + 1, "response.content_part.done", **at, part=part),
                self._event(number + 2, "response.output_item.done", output_index=0, item=item),
            )
        )
        response = self._response(asked, status, [item])
        return stopped, self._event(number + 3, f"response.{status}", response=response)

    def whole(self, asked: Asked) -> bytes:
        if asked.surface == "count_tokens":
            return _encode({"object": "response.input_tokens", "input_tokens": asked.tokens_in})
        if asked.surface == "models":
            return super().whole(asked)
        status = "completed" if asked.whole else "incomplete"
        item = self._item(asked, status, [self._part(asked.text)])
        return _encode(self._response(asked, status, [item]))

    def error_event(self, problem: Problem) -> bytes:
        said = {"type": problem.type, "code": problem.code, "message": problem.message}
        return self._event(9999, "error", error={**said, "param": None})


class GeminiShape:
    """Gemini's generateContent, token counting and the list of models."""

    _STATUSES: ClassVar[dict[int, str]] = {
        400: "INVALID_ARGUMENT",
        401: "UNAUTHENTICATED",
        402: "FAILED_PRECONDITION",
        403: "PERMISSION_DENIED",
        404: "NOT_FOUND",
        429: "RESOURCE_EXHAUSTED",
        503: "UNAVAILABLE",
    }

    def headers(self, asked: Asked, kind: bytes) -> Headers:
        timing = b"gfet4t7; dur=%d" % (len(asked.words) + 1)
        return ((b"content-type", kind), (b"server-timing", timing), *MARK)

    @staticmethod
    def _event(value: Json) -> bytes:
        return b"data: " + _encode(value) + b"\r\n\r\n"

    def _reply(self, asked: Asked, text: str, output: int, stop: str | None) -> Json:
        content = {"parts": [{"text": text}], "role": "model"}
        finish = {} if stop is None else {"finishReason": stop}
        counts = {"promptTokenCount": asked.tokens_in, "totalTokenCount": asked.tokens_in + output}
        return {
            "candidates": [{"content": content, **finish, "index": 0}],
            "usageMetadata": {**counts, "candidatesTokenCount": output},
            "modelVersion": asked.model,
            "responseId": _id("sim", asked),
        }

    def opening(self, asked: Asked) -> bytes:
        return self._event(self._reply(asked, "", 0, None))

    def word(self, asked: Asked, word: str) -> bytes:
        return self._event(self._reply(asked, word, 1, None))

    def _stop(self, asked: Asked) -> str:
        return "STOP" if asked.whole else "MAX_TOKENS"

    def closing(self, asked: Asked) -> tuple[bytes, bytes]:
        return self._event(self._reply(asked, "", len(asked.words), self._stop(asked))), b""

    def whole(self, asked: Asked) -> bytes:
        if asked.surface == "count_tokens":
            return _encode({"totalTokens": asked.tokens_in})
        if asked.surface == "models":
            return _encode(self._model(asked.model))
        return _encode(self._reply(asked, asked.text, len(asked.words), self._stop(asked)))

    @staticmethod
    def _model(name: str) -> Json:
        methods = ["generateContent", "countTokens"]
        named = {"name": f"models/{name}", "displayName": f"{name} (sim)"}
        return {**named, "version": "sim", "supportedGenerationMethods": methods}

    def models(self, names: list[str]) -> bytes:
        return _encode({"models": [self._model(name) for name in names]})

    def error(self, problem: Problem) -> bytes:
        status = self._STATUSES.get(problem.status, "INTERNAL")
        said = {"code": problem.status, "message": problem.message, "status": status}
        return _encode({"error": said})

    def error_event(self, problem: Problem) -> bytes:
        return b"data: " + self.error(problem) + b"\r\n\r\n"


SHAPES: dict[str, Shape] = {
    "gemini": GeminiShape(),
    "anthropic": AnthropicShape(),
    "openai": OpenAiShape(),
    "openai-responses": ResponsesShape(),
}
