"""Local engines are found by what they answer, over real sockets; all else is let be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.doubles.holes import blackhole, refused
from tests.engine import engine

from holdfast.config.catalogue import catalogue
from holdfast.facts.engines import Engine, Marks
from holdfast.net.engines import LIMIT_S, find_engines

KNOWN = {name: entry.engine for name, entry in catalogue().items() if entry.engine is not None}
# What is there answers at once; only a busy machine needs this long.
PATIENT_S = 5.0

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def ok(body: str, head: str = "") -> bytes:
    data = body.encode()
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(data)}\r\n{head}\r\n".encode() + data


NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot found"

# Answers as the engines give them (their own documents and sources, 2026-11), by path.
OLLAMA = {
    "/": ok("Ollama is running"),
    "/api/tags": ok(
        '{"models": [{"name": "qwen3-coder:30b", "size": 1}, {"name": "big:cloud"},'
        ' {"name": "gpt-oss:120b-cloud"}, {"name": "llama3.2:3b"}]}'
    ),
    "/v1/models": ok('{"object": "list", "data": [{"id": "x", "owned_by": "library"}]}'),
}
LLAMACPP = {
    "/props": ok('{"default_generation_settings": {"n_ctx": 65536}, "total_slots": 1}'),
    "/v1/models": ok('{"data": [{"id": "m.gguf", "owned_by": "llamacpp"}]}'),
}
LMSTUDIO = {
    "/lmstudio-greeting": ok('{"lmstudio": true}'),
    "/v1/models": ok('{"data": [{"id": "qwen3"}, {"id": "phi-4"}]}'),
}
VLLM = {"/v1/models": ok('{"data": [{"id": "m", "owned_by": "vllm", "max_model_len": 8192}]}')}
ENGINES: dict[str, dict[str, bytes]] = {
    "ollama": OLLAMA,
    "llamacpp": LLAMACPP,
    "lmstudio": LMSTUDIO,
    "vllm": VLLM,
}


def answering(answers: Mapping[str, bytes]) -> Talk:
    """Answers each path as it is told, and closes; every other path is not found."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, path, version = head.split(b"\r\n")[0].decode().split(" ")
        assert (method, version) == ("GET", "HTTP/1.1")
        assert b"\r\nHost: " in head
        writer.write(answers.get(path, NOT_FOUND))

    return talk


def saying(data: bytes) -> Talk:
    """Says this to whoever asks, whatever was asked."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(data)

    return talk


def closing(talk: Talk) -> Talk:
    """The same talk, over when it is over, and not put out by one who hangs up."""

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    return guarded


class Listeners:
    """Listeners on loopback that live as long as the block; each on a port of its own."""

    def __init__(self, *talks: Talk) -> None:
        self._talks = talks
        self._servers: list[asyncio.Server] = []
        self.ports: list[int] = []

    async def __aenter__(self) -> Self:
        for talk in self._talks:
            server = await asyncio.start_server(closing(talk), "127.0.0.1", 0)
            self._servers.append(server)
            self.ports.append(server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in self._servers:
            server.close()
            await server.wait_closed()


def at(*ports: int, **marks: Marks) -> dict[str, Marks]:
    """The known engines (or these), looked for at these ports alone."""
    return {
        name: msgspec.structs.replace(mark, ports=ports) for name, mark in (marks or KNOWN).items()
    }


def search(
    *talks: Talk, limit_s: float = PATIENT_S, environ: Mapping[str, str] | None = None
) -> tuple[list[Engine], list[int]]:
    """What is found when these listen, and at which ports they did."""

    async def run() -> tuple[list[Engine], list[int]]:
        async with Listeners(*talks) as there:
            return await find_engines(at(*there.ports), environ or {}, limit_s=limit_s), there.ports

    return asyncio.run(run())


# ------------------------------------------------------------ what is there is found


@pytest.mark.parametrize("name", ENGINES)
def test_each_engine_is_known_by_its_answer(name: str) -> None:
    """Whatever its port is: all of the known engines are looked for at each."""
    (found,), (port,) = search(answering(ENGINES[name]))
    assert found.provider == name
    assert found.base_url == f"http://127.0.0.1:{port}"


def test_models_are_listed_but_not_those_that_a_cloud_runs() -> None:
    (found,), _ = search(answering(OLLAMA))
    assert found.models == ("qwen3-coder:30b", "llama3.2:3b")
    assert found.context_tokens is None


def test_a_window_that_the_engine_tells_is_taken() -> None:
    (found,), _ = search(answering(LLAMACPP))
    assert found.models == ("m.gguf",)
    assert found.context_tokens == 65_536


def test_several_are_found_at_once_in_the_order_of_the_data() -> None:
    found, ports = search(
        answering(VLLM), answering(LMSTUDIO), answering(OLLAMA), answering(LLAMACPP)
    )
    assert [each.provider for each in found] == list(KNOWN)
    assert {each.base_url for each in found} == {f"http://127.0.0.1:{port}" for port in ports}


def test_a_real_llama_cpp_server_is_known_by_what_it_says(tmp_path: Path) -> None:
    with engine(tmp_path) as real:
        port = urlsplit(real.url).port
        assert port is not None
        (found,) = asyncio.run(find_engines(at(port), {}, limit_s=PATIENT_S))
    assert found.base_url == real.url
    assert found.models == (real.model,)


def test_an_answer_in_pieces_and_in_chunks_is_put_together() -> None:
    body = b'{"data": [{"id": "m", "owned_by": "vllm"}]}'

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, len(body), 7):
            piece = body[start : start + 7]
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    (found,), _ = search(talk)
    assert found.models == ("m",)


def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    answers = {
        path: answer.replace(b"Content-Length", b"X-Length") for path, answer in OLLAMA.items()
    }
    (found,), _ = search(answering(answers))
    assert found.models == ("qwen3-coder:30b", "llama3.2:3b")


def test_an_engine_that_was_moved_is_found_by_its_variable() -> None:
    """OLLAMA_HOST as people write it: a port, a host and port, a URL, the unspecified address."""

    async def run() -> None:
        async with Listeners(answering(OLLAMA)) as there:
            (port,) = there.ports
            with refused() as usual:
                known = at(urlsplit(usual).port or 0)
                for named in (
                    f":{port}",
                    f"127.0.0.1:{port}",
                    f"localhost:{port}",
                    f"0.0.0.0:{port}",
                    f"http://127.0.0.1:{port}/",
                ):
                    found = await find_engines(known, {"OLLAMA_HOST": named}, limit_s=PATIENT_S)
                    assert [each.base_url for each in found] == [f"http://127.0.0.1:{port}"], named

    asyncio.run(run())


def test_an_address_that_is_not_loopback_is_never_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Discovery looks at this machine only; another host is for the configuration to name."""
    asked: list[str] = []

    async def note(host: str, port: int) -> None:
        asked.append(host)
        raise ConnectionRefusedError

    monkeypatch.setattr(asyncio, "open_connection", note)
    hosts = ["192.168.1.4", "example.com:11434", "https://127.0.0.1", "http://[::1", "127.0.0.1:x"]
    hosts += ["10.0.0.1:11434", "[fe80::1]:11434", "localhost.example.com", "2130706433", "\0"]
    for host in hosts:
        assert asyncio.run(find_engines(at(1), {"OLLAMA_HOST": host})) == []
    assert set(asked) <= {"127.0.0.1", "::1"}


def test_one_engine_on_both_loopbacks_is_one_engine() -> None:
    async def run() -> None:
        async with Listeners(answering(OLLAMA)) as there:
            (port,) = there.ports
            try:
                both = await asyncio.start_server(closing(answering(OLLAMA)), "::1", port)
            except OSError:  # a machine without IPv6, or the port is taken there: one is left
                both = None
            found = await find_engines(at(port), {}, limit_s=PATIENT_S)
            assert [each.base_url for each in found] == [f"http://127.0.0.1:{port}"]
            if both is not None:
                both.close()
                await both.wait_closed()

    asyncio.run(run())


# ------------------------------------------------------------ what is not is let be


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Would be Ollama, a byte at a time: too slow to wait for."""
    for byte in OLLAMA["/"]:
        writer.write(bytes([byte]))
        await writer.drain()
        if reader.at_eof():
            return
        await asyncio.sleep(0.05)


async def flooding(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"Ollama is running" * 10_000)
        await writer.drain()


STRANGERS: dict[str, bytes] = {
    "nothing": b"",
    "ssh": b"SSH-2.0-OpenSSH_9.9\r\n",
    "tls alert": b"\x15\x03\x01\x00\x02\x02\x28",
    "random": bytes(range(256)) * 8,
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nOllama is runn",
    "bad length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nOllama is running",
    "bad chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nOllama is running",
    "an upgrade": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nxx",
    "an error": b"HTTP/1.1 500 No\r\nContent-Length: 17\r\n\r\nOllama is running",
    "a redirect": b"HTTP/1.1 302 F\r\nLocation: http://example.com/\r\nContent-Length: 0\r\n\r\n",
    "another page": ok("<html>Ollama was running"),
    "another's JSON": ok('{"data": [{"id": "m", "owned_by": "somebody"}]}'),
    "deep JSON": ok("[" * 20_000),
    "broken JSON": ok('{"default_generation_settings": '),
    "a list": ok("[1, 2]"),
    "null": ok('{"default_generation_settings": null, "lmstudio": false}'),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_whoever_else_listens_is_no_engine(name: str) -> None:
    found, _ = search(saying(STRANGERS[name]))
    assert found == []


def test_strangers_beside_an_engine_do_not_hide_it() -> None:
    talks = [saying(data) for data in STRANGERS.values()]
    (found,), ports = search(*talks, answering(OLLAMA))
    assert found.base_url == f"http://127.0.0.1:{ports[-1]}"


def test_the_slow_the_silent_and_the_endless_cost_a_moment_all_together() -> None:
    """One after the other they would take seconds; the limit is for each question, all at once."""

    async def run() -> float:
        slow = [silent] * 6 + [dripping] * 3 + [flooding]
        with blackhole() as hole, refused() as nobody:
            async with Listeners(*slow) as there:
                holes = [urlsplit(url).port or 0 for url in (hole, nobody)]
                began = time.monotonic()
                assert await find_engines(at(*there.ports, *holes), {}) == []
                return time.monotonic() - began

    serially_s = 9 * LIMIT_S * len({mark.path for mark in KNOWN.values()})
    took_s = asyncio.run(run())
    assert took_s < 1.0 < serially_s


def test_no_connection_is_left_open_by_the_search() -> None:
    async def run() -> None:
        ended = asyncio.Event()

        async def talk(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            try:
                await reader.read()
            finally:
                ended.set()

        async with Listeners(talk) as there:
            await find_engines(at(*there.ports), {}, limit_s=0.05)
            async with asyncio.timeout(PATIENT_S):
                await ended.wait()

    asyncio.run(run())


def test_models_with_names_that_nobody_could_ask_for_are_left_out() -> None:
    names = ["", "a b", "a\\nb", "\\u001b[2J", "x" * 257, "good"]
    listed = ", ".join(f'{{"name": "{name}"}}' for name in names)
    odd = ', {"name": 1}, {"title": "x"}, "text", null'
    (found,), _ = search(answering({**OLLAMA, "/api/tags": ok(f'{{"models": [{listed}{odd}]}}')}))
    assert found.models == ("good",)


def test_an_engine_that_lists_no_models_is_still_there() -> None:
    for tags in (NOT_FOUND, ok("{}"), ok('{"models": 1}'), ok("nonsense")):
        (found,), _ = search(answering({**OLLAMA, "/api/tags": tags}))
        assert found.models == ()


def test_a_list_of_models_without_end_is_cut() -> None:
    listed = ", ".join(f'{{"name": "m{n}"}}' for n in range(1000))
    (found,), _ = search(answering({**OLLAMA, "/api/tags": ok(f'{{"models": [{listed}]}}')}))
    assert len(found.models) == 200


def test_a_window_that_is_no_number_of_tokens_is_not_believed() -> None:
    for window in ("-1", "0", '"65536"', "true", "1.5", "null"):
        props = ok(f'{{"default_generation_settings": {{"n_ctx": {window}}}}}')
        (found,), _ = search(answering({**LLAMACPP, "/props": props}))
        assert found.context_tokens is None, window


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "models", "id", "name", "owned_by", "lmstudio"])
            | st.sampled_from(["default_generation_settings", "n_ctx"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(json_values | st.binary(max_size=60))
@settings(max_examples=60)
def test_any_answer_at_all_is_an_engine_or_none_and_never_an_error(answer: object) -> None:
    data = answer if isinstance(answer, bytes) else ok(msgspec.json.encode(answer).decode())
    found, ports = search(saying(data))
    for each in found:
        assert each.provider in KNOWN
        assert each.base_url == f"http://127.0.0.1:{ports[0]}"
        assert all(isinstance(model, str) and model for model in each.models)
