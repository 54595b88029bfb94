"""A provider that fails on demand, over real sockets.

`Provider("alpha", "anthropic")` listens on a free loopback port in a thread of its own, speaks
Anthropic Messages or OpenAI Chat with their real event grammar, refuses what the real API
refuses, does with each request what the next `Act` says, and keeps a record of each.
`python -m tests.doubles.provider --help` runs one by hand.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import http.client
import json
import re
import socket
import ssl
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self

from tests.doubles import acts, grammar, particular
from tests.doubles.acts import Act
from tests.doubles.pages import BATCHES, INPUT_TOKENS, Page, Pages
from tests.doubles.wire import AmbiguousError, Wire

# Paths that ask for an answer.
TALK = ("/v1/messages", "/v1/chat/completions", "/v1/responses", "/api/chat", "/api/generate")
# Gemini's paths name the model and what is asked of it.
OF_A_MODEL = re.compile(r"/v1(?:beta)?/models/([^:/]+):(\w+)")
PAUSE_S = 0.05  # lets the peer read what was said before a reset throws its buffer away


@dataclass(slots=True)
class Seen:
    """One request as it came, and what became of it. Times are `time.monotonic()`."""

    at: float
    head: bytes
    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    fresh: bool = True
    act: Act = field(default_factory=Act)
    refused: grammar.Refusal | None = None
    words: int = 0
    answered_at: float | None = None
    closed_at: float | None = None

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def named(self) -> tuple[str, str]:
        """The model that the path names, and what is asked of it; empty where it names none."""
        found = OF_A_MODEL.fullmatch(self.path)
        return (found[1], found[2]) if found else ("", "")

    @property
    def talks(self) -> bool:
        """Whether it asks for an answer."""
        return self.path in TALK or self.named[1].endswith("enerateContent")

    @property
    def streams(self) -> bool:
        """Whether it asks for a stream; Ollama's own API gives one where nothing is said."""
        if self.named[1]:
            return self.named[1] == "streamGenerateContent"
        return bool(self.json.get("stream", self.path.startswith("/api/")))

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """The one value of this header; a repeated one is an error of the test's subject."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None


class Provider:
    """A strict double of one provider; use as a context manager.

    `play(*acts)` queues what is done with the next completions, `always(act)` sets what is done
    when the queue is empty. `models`: those it has; then each refuses what that model really
    refuses, too. `seen` are all requests, `calls` those for a completion.
    `complaints` are violations of HTTP or of good manners; tests end with none.
    """

    def __init__(
        self,
        name: str,
        dialect: str = "anthropic",
        *,
        key: str | None = None,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        models: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.dialect = dialect
        self.key = f"sk-{name}-{'x' * 24}" if key is None else key
        self.models = models or grammar.GRAMMARS[dialect].models
        self._particular = bool(models)
        self.seen: list[Seen] = []
        self.complaints: list[str] = []
        self._grammar = grammar.GRAMMARS[dialect]
        self._pages = Pages(name, dialect)
        self._script: deque[Act] = deque()
        self._usual = Act()
        self._tls = tls
        self._listener = _listen(port)
        self.port: int = self._listener.getsockname()[1]
        self._wires: list[Wire] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)

    # ------------------------------------------------------------- for the test

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._listener.close()

    @property
    def url(self) -> str:
        """The base address, without a version segment."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def calls(self) -> list[Seen]:
        return [s for s in self.seen if s.talks]

    def text(self, words: int = 20) -> str:
        """What a whole answer of this double says."""
        return acts.text(self.name, words)

    def play(self, *script: Act) -> None:
        self._script.extend(script)

    def always(self, act: Act) -> None:
        self._usual = act

    def count_nothing(self, status: int, body: bytes) -> None:
        """Say this wherever tokens are to be counted, as those do that cannot."""
        self._pages.instead_of_counts = Page(status, body)

    def reset(self) -> None:
        """Forget the script and the record; open connections stay."""
        self._pages.instead_of_counts = None
        self._script.clear()
        self._usual = Act()
        self.seen.clear()
        self.complaints.clear()

    def down(self) -> None:
        """Nobody listens here any more; open connections are reset."""
        self._run(self._close())

    def up(self) -> None:
        """Listen again on the same port."""
        self._listener = _listen(self.port)
        self._run(self._open())

    def drop(self) -> None:
        """Close all open connections, as a server does with idle ones; go on listening."""
        self._run(self._drop())

    def wait(self, true: Callable[[], object], within_s: float, what: str = "it") -> None:
        """Until `true()`, looked at after each change here; AssertionError when too late."""
        end = time.monotonic() + within_s
        with self._changed:
            while not true():
                left = end - time.monotonic()
                assert left > 0, f"{self.name}: {what} did not happen within {within_s} s"
                self._changed.wait(min(left, 0.02))

    def _run(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()

    # ---------------------------------------------------------------- listening

    async def _open(self) -> None:
        self._server = await self._loop.create_server(
            self._accept, sock=self._listener, ssl=self._tls
        )

    def _accept(self) -> Wire:
        wire = Wire(self._wires)
        task = self._loop.create_task(self._serve(wire))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return wire

    async def _drop(self) -> None:
        for wire in list(self._wires):
            wire.transport.abort()
        await asyncio.sleep(0)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._drop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, wire: Wire) -> None:
        fresh = True
        try:
            while await self._exchange(wire, fresh=fresh):
                fresh = False
        except AmbiguousError as problem:
            self.complaints.append(str(problem))
            wire.transport.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            wire.transport.close()

    async def _exchange(self, wire: Wire, *, fresh: bool) -> bool:
        """One request and its answer; False when the connection is not to be used again."""
        method, target, headers = await wire.read_head()
        seen = Seen(time.monotonic(), wire.head, method, target, headers, fresh=fresh)
        self.seen.append(seen)
        watch = self._loop.create_task(self._watch(wire, seen))
        self._tasks.add(watch)
        watch.add_done_callback(self._tasks.discard)
        seen.body = await wire.read_body(headers)
        self._look(seen)
        keep = await self._answer(wire, seen)
        seen.answered_at = time.monotonic()
        self._tell()
        if wire.waiting:
            self.complaints.append(f"bytes behind a request before its answer had ended: {target}")
        return keep

    async def _watch(self, wire: Wire, seen: Seen) -> None:
        await wire.gone.wait()
        seen.closed_at = wire.closed_at
        self._tell()

    def _look(self, seen: Seen) -> None:
        """Manners that no provider insists on, but that nobody should lack."""
        if seen.header("host") != f"127.0.0.1:{self.port}":
            self.complaints.append(f"host: {seen.header('host')}")
        for name, _ in seen.headers:
            if name in ("cookie", "origin", "forwarded") or name.startswith(
                ("x-holdfast", "x-forwarded", "proxy-")
            ):
                self.complaints.append(f"header {name} reached the provider")

    # ---------------------------------------------------------------- answering

    def _refusal(self, seen: Seen) -> grammar.Refusal | None:
        headers = dict(seen.headers)
        given = [headers.get("authorization", "").removeprefix("Bearer ")]
        own = {"anthropic": "x-api-key", "gemini": "x-goog-api-key"}.get(self.dialect, "")
        given.append(headers.get(own, ""))
        if re.search(r"[?&]key=", seen.target):
            self.complaints.append("a key came in the query")
        if any(key and key != self.key for key in given) or self.key not in given:
            said = "invalid x-api-key" if self.dialect == "anthropic" else "Incorrect API key"
            return grammar.Refusal(401, "", said)
        if seen.method in ("GET", "DELETE") or seen.path.endswith("/cancel"):
            return None
        if headers.get("content-type", "").partition(";")[0] != "application/json":
            return grammar.Refusal(400, "", "content-type: application/json is required")
        try:
            body = seen.json
        except ValueError as problem:
            return grammar.Refusal(400, "", f"the body is not JSON: {problem}")
        if not isinstance(body, dict):
            return grammar.Refusal(400, "", "the body is not an object")
        if (wrong := self._check(seen, headers, body)) is not None:
            return wrong
        if seen.path == BATCHES:
            return None
        model = seen.named[0] or body.get("model")
        if model not in self.models:
            return grammar.Refusal(404, "", f"model: {model}")
        if self._particular and (why := particular.objection(str(model), body)) is not None:
            return grammar.Refusal(400, "", why)
        return None

    def _check(self, seen: Seen, headers: dict[str, str], body: Any) -> grammar.Refusal | None:
        path, model = seen.path, seen.named[0]
        if self.dialect == "gemini" and model:
            return grammar.check_gemini(headers, model, body)
        if self.dialect == "anthropic" and path == BATCHES:
            return grammar.check_batch(headers, body)
        if self.dialect == "anthropic" and path.startswith("/v1/messages"):
            return grammar.check_messages(headers, body, counting=path.endswith("/count_tokens"))
        if self.dialect == "openai" and path == "/v1/chat/completions":
            return grammar.check_chat(headers, body)
        if self.dialect == "openai-responses" and path in ("/v1/responses", INPUT_TOKENS):
            return grammar.check_responses(headers, body, counting=path == INPUT_TOKENS)
        if self.dialect == "openai" and path == "/v1/embeddings":
            return grammar.check_embeddings(headers, body)
        if self.dialect == "ollama" and path in TALK:
            return grammar.check_ollama(body)
        return grammar.Refusal(404, "", f"Not found: {path}")

    async def _answer(self, wire: Wire, seen: Seen) -> bool:
        if (refusal := self._refusal(seen)) is not None:
            seen.refused = refusal
            body = self._grammar.error(refusal.status, refusal.message, refusal.type)
            await wire.send(_head(refusal.status, length=len(body)) + body)
            return True
        if seen.talks:
            seen.act = self._script.popleft() if self._script else self._usual
            return await self._perform(wire, seen)
        page = self._pages.answer(seen.method, seen.path, seen.json if seen.body else None)
        head = _head(page.status, length=len(page.body), type_=page.content_type)
        await wire.send(head + page.body)
        return True

    async def _perform(self, wire: Wire, seen: Seen) -> bool:
        act = seen.act
        if act.where == "before_headers" and act.kind in ("cut", "stall"):
            return await self._fault(wire, act)
        await _pause(wire, act.headers_s)
        if act.kind == "recorded":
            return await self._recorded(wire, act)
        if act.kind == "status":
            body = act.body
            if body is None:
                body = self._grammar.error(act.status, "", "")
            head = _head(act.status, length=len(body), type_=act.content_type, extra=act.headers)
            await wire.send(head + body)
            return True
        if seen.streams:
            return await self._stream(wire, seen)
        return await self._whole(wire, seen)

    async def _recorded(self, wire: Wire, act: Act) -> bool:
        """The bytes as told, in pieces that end anywhere, also within a character."""
        body = act.body or b""
        head = _head(act.status, type_=act.content_type, extra=act.headers)
        await wire.send(head)
        for at in range(0, len(body), act.words):
            piece = body[at : at + act.words]
            await wire.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        await wire.send(b"0\r\n\r\n")
        return True

    async def _fault(self, wire: Wire, act: Act) -> bool:
        if act.kind == "stall":
            await wire.gone.wait()
            return False
        await asyncio.sleep(PAUSE_S)
        wire.break_off(rst=act.rst)
        return False

    async def _stream(self, wire: Wire, seen: Seen) -> bool:
        act = seen.act
        zipped = act.gzip and "gzip" in (seen.header("accept-encoding") or "")
        pack = zlib.compressobj(wbits=31) if zipped else None
        extra = (*act.headers, *((("content-encoding", "gzip"),) if zipped else ()))

        async def say(data: bytes, *, last: bool = False) -> None:
            if pack is not None:
                data = pack.compress(data) + pack.flush(
                    zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH
                )
            if data:
                await wire.send(data if act.eof else b"%x\r\n%b\r\n" % (len(data), data))
            if last and not act.eof:
                await wire.send(b"0\r\n\r\n")

        type_ = self._grammar.stream_type
        await wire.send(_head(200, type_=type_, extra=extra, eof=act.eof))
        if act.where == "after_headers" and act.kind in ("cut", "stall"):
            return await self._fault(wire, act)
        for frame in () if act.kind == "empty" else self._frames(seen):
            if act.kind != "ok" and frame.words > act.after:
                return await self._break(wire, act, frame.data, say)
            if frame.words:
                await _pause(wire, act.first_s if frame.words == 1 else act.gap_s)
            await say(frame.data)
            seen.words = min(frame.words, act.words)
        await say(b"", last=True)
        return not act.eof

    def _frames(self, seen: Seen) -> Iterator[grammar.Frame]:
        return self._grammar.stream(self.name, seen.json, seen.act.words)

    async def _break(self, wire: Wire, act: Act, following: bytes, say: Callable[..., Any]) -> bool:
        """The fault of this act, where `following` would have come next."""
        if act.kind == "error_event":
            await say(self._grammar.fault(act.error_type), last=True)
            return not act.eof
        if act.kind == "garbage":
            await say(self._grammar.garbage, last=True)
            return not act.eof
        if act.kind == "end":
            await say(b"", last=True)
            return not act.eof
        if act.where == "event":
            await say(following[: len(following) // 2])
        elif act.where == "utf8":
            await say(following[: following.index("☕".encode()) + 1])
        return await self._fault(wire, act)

    async def _whole(self, wire: Wire, seen: Seen) -> bool:
        """The same acts on an answer in one piece, by the words in its bytes."""
        act = seen.act
        body = self._grammar.whole(self.name, seen.json, act.words)
        if act.kind == "error_event":
            body = self._grammar.error(act.status, "", act.error_type)
        elif act.kind == "empty":
            body = b""
        elif act.kind != "ok":
            said = acts.text(self.name, max(act.after, 0)).encode().rstrip()
            at = body.index(said) + len(said) if said else 0
            at += 3 if act.where == "event" else 0
            if act.where == "utf8":
                at = body.index("☕".encode(), at) + 1
            if act.kind == "garbage":
                body = body[:at] + b"\x00<<\xff"
            elif act.kind == "end":
                body = body[:at]
            else:
                length = None if act.eof else len(body)
                await wire.send(_head(200, length=length, extra=act.headers, eof=act.eof))
                if act.where != "after_headers":
                    await wire.send(body[:at])
                return await self._fault(wire, act)
        await _pause(wire, act.first_s + act.gap_s * act.words)
        extra = act.headers
        if act.gzip and "gzip" in (seen.header("accept-encoding") or ""):
            body, extra = gzip.compress(body), (*extra, ("content-encoding", "gzip"))
        await wire.send(_head(200, length=len(body), extra=extra) + body)
        seen.words = act.words
        return True


async def _pause(wire: Wire, seconds: float) -> None:
    """Wait, but not for a peer that has gone."""
    if seconds > 0:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(wire.gone.wait(), seconds)


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(256)
    return listener


def _head(
    code: int,
    *,
    length: int | None = None,
    type_: str = "application/json",
    extra: tuple[tuple[str, str], ...] = (),
    eof: bool = False,
) -> bytes:
    """The head of an answer, with what the big providers send beside it."""
    phrase = http.client.responses.get(code, "Site is overloaded")
    lines = [f"HTTP/1.1 {code} {phrase}", f"content-type: {type_}"]
    if eof:
        lines.append("connection: close")
    elif length is None:
        lines.append("transfer-encoding: chunked")
    if length is not None:
        lines.append(f"content-length: {length}")
    lines += [
        "request-id: req_011CSHoEeqs5C35K2UUqR7Fy",
        "anthropic-ratelimit-requests-remaining: 3999",
        "x-ratelimit-remaining-requests: 3999",
        "set-cookie: __cf_bm=canary; path=/; HttpOnly",
        "access-control-allow-origin: *",
        "strict-transport-security: max-age=31536000",
        "cf-ray: 9a2b3c4d5e6f7890-FRA",
    ]
    lines += [f"{name}: {value}" for name, value in extra]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def main() -> None:
    """Run one double until Ctrl-C, printing each request."""
    parser = argparse.ArgumentParser(prog="python -m tests.doubles.provider")
    parser.add_argument("--name", default="alpha")
    parser.add_argument("--dialect", choices=sorted(grammar.GRAMMARS), default="anthropic")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument(
        "--act", action="append", default=[], help='JSON, e.g. {"kind":"status","status":529}'
    )
    given = parser.parse_args()
    with Provider(given.name, given.dialect, port=given.port) as double:
        script = [Act(**json.loads(act)) for act in given.act]
        double.play(*script[:-1])
        double.always(script[-1] if script else Act())
        print(f"{double.url}  key {double.key}  models {', '.join(double.models)}", flush=True)
        shown = 0
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(0.2)
                for seen in double.seen[shown:]:
                    shown += 1
                    print(seen.method, seen.target, seen.act.kind, seen.refused or "", flush=True)


if __name__ == "__main__":
    main()
