"""What a double answers besides completions: models, token counts, embeddings, batches."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from tests.doubles import grammar
from tests.doubles.acts import text
from tests.doubles.grammar import Json, dumps

BATCHES = "/v1/messages/batches"
INPUT_TOKENS = "/v1/responses/input_tokens"
COUNTS = re.compile(r"/count_tokens$|/input_tokens$|:countTokens$")


class Page(NamedTuple):
    """A whole answer."""

    status: int
    body: bytes
    content_type: str = "application/json"


class Pages:
    """The pages of one double; batches that were made are kept.

    `instead_of_counts` is what it says where tokens are counted, None: the number.
    """

    def __init__(self, name: str, dialect: str) -> None:
        self._name = name
        self._dialect = dialect
        self._grammar = grammar.GRAMMARS[dialect]
        self._batches: dict[str, list[Json]] = {}
        self.instead_of_counts: Page | None = None

    def answer(self, method: str, path: str, body: Any) -> Page:
        """The page of this path; `body` is the JSON that came, None without one."""
        if self.instead_of_counts is not None and COUNTS.search(path):
            return self.instead_of_counts
        parts = path.removeprefix("/v1beta/").removeprefix("/v1/").split("/")
        match parts:
            case ["models", name] if method == "POST" and name.endswith(":countTokens"):
                asked = body.get("generateContentRequest", body)
                return Page(200, dumps({"totalTokens": len(dumps(asked["contents"])) // 4}))
            case ["models"] | ["", "api", "tags"] if method == "GET":
                return Page(200, self._grammar.list_models(self._grammar.models))
            case ["models", name] if method == "GET" and name in self._grammar.models:
                return Page(200, grammar.one_model(self._dialect, name))
            case ["embeddings"] if method == "POST" and self._dialect == "openai":
                return Page(200, grammar.embeddings(body))
            case ["messages", "count_tokens"] if method == "POST" and self._dialect == "anthropic":
                return Page(200, dumps({"input_tokens": len(dumps(body["messages"])) // 4}))
            case ["responses", "input_tokens"] if self._dialect == "openai-responses":
                counted = {"object": "response.input_tokens"}
                return Page(200, dumps({**counted, "input_tokens": len(dumps(body["input"])) // 4}))
            case ["messages", "batches", *rest] if self._dialect == "anthropic":
                return self._batch(method, rest, body)
        return Page(404, self._grammar.error(404, f"Not found: {path}", ""))

    def _batch(self, method: str, rest: Sequence[str], body: Any) -> Page:
        if method == "POST" and not rest:
            batch = f"msgbatch_{self._name}{len(self._batches)}"
            self._batches[batch] = body["requests"]
            return Page(200, self._told(batch, "in_progress"))
        if method == "GET" and not rest:
            data = [grammar.batch(name, "ended", self._batches[name]) for name in self._batches]
            return Page(200, dumps({"data": data, "has_more": False}))
        if rest[0] in self._batches:
            batch = rest[0]
            match method, rest[1:]:
                case "GET", []:
                    return Page(200, self._told(batch, "ended"))
                case "GET", ["results"]:
                    return Page(200, self._results(batch), "application/x-jsonl")
                case "POST", ["cancel"]:
                    return Page(200, self._told(batch, "canceling"))
                case "DELETE", []:
                    return Page(200, dumps({"id": batch, "type": "message_batch_deleted"}))
        return Page(404, self._grammar.error(404, f"Not found: {'/'.join(rest)}", ""))

    def _told(self, batch: str, status: str) -> bytes:
        return dumps(grammar.batch(batch, status, self._batches[batch]))

    def _results(self, batch: str) -> bytes:
        said = len(text(self._name).split())
        lines = []
        for one in self._batches[batch]:
            message = grammar.message(self._name, one["params"], said)
            lines.append(
                b'{"custom_id":%b,"result":{"type":"succeeded","message":%b}}\n'
                % (dumps(one["custom_id"]), message)
            )
        return b"".join(lines)
