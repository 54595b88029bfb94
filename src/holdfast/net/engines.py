"""Looks for local inference engines on this machine's loopback, and nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from ipaddress import ip_address
from urllib.parse import urlsplit

import httptools
import msgspec

from holdfast.facts.engines import Engine, Marks

LIMIT_S = 0.2
_MAX_BYTES = 4_000_000
_MAX_MODELS = 200
_LOOPBACK = ("127.0.0.1", "::1")

Address = tuple[str, int]


async def find_engines(
    known: Mapping[str, Marks],
    environ: Mapping[str, str],
    *,
    limit_s: float = LIMIT_S,
) -> list[Engine]:
    """The engines that answer on loopback now, in the order of `known` (provider name → marks).

    Each usual port is asked for every engine's marks, so one on another's port is found, too. An
    address that an engine's own variable names is asked when it is loopback; other machines never
    are. One that does not answer within `limit_s` (seconds, for each question) is not there.
    """
    addresses = list(dict.fromkeys(_addresses(known.values(), environ)))
    asked = await asyncio.gather(*(_look(known, place, limit_s) for place in addresses))
    found: dict[tuple[str, int], Engine] = {}
    for place, engine in zip(addresses, asked, strict=True):
        # One engine that listens on both addresses of a port is one engine.
        if engine is not None:
            found.setdefault((engine.provider, place[1]), engine)
    order = list(known)
    return sorted(found.values(), key=lambda engine: order.index(engine.provider))


def _addresses(marks: Iterable[Marks], environ: Mapping[str, str]) -> Iterable[Address]:
    for mark in marks:
        named = environ.get(mark.address_env or "", "").strip()
        if named:
            yield from _named(named, mark.ports[0])
    for mark in marks:
        for port in mark.ports:
            for host in _LOOPBACK:
                yield host, port


def _named(text: str, usual_port: int) -> Iterable[Address]:
    """The loopback addresses meant by a variable like OLLAMA_HOST (host, :port, host:port, URL)."""
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        port = parts.port or usual_port
    except ValueError:
        return
    host = parts.hostname or ""
    if parts.scheme != "http":
        return
    # The unspecified address says where the engine listens: everywhere, so on loopback, too.
    if host in ("", "localhost", "0.0.0.0", "::"):
        for each in _LOOPBACK:
            yield each, port
        return
    try:
        if ip_address(host).is_loopback:
            yield host, port
    except ValueError:
        return


async def _look(known: Mapping[str, Marks], place: Address, limit_s: float) -> Engine | None:
    """The engine at this address, by what it answers."""
    paths = list(dict.fromkeys(mark.path for mark in known.values()))
    bodies = await asyncio.gather(*(_get(place, path, limit_s) for path in paths))
    answers = dict(zip(paths, bodies, strict=True))
    for name, mark in known.items():
        body = answers[mark.path]
        if body is None or not _fits(mark, body):
            continue
        models = await _get(place, mark.models_path, limit_s)
        window = _at(_json(body), mark.window) if mark.window else None
        host, port = place
        return Engine(
            provider=name,
            base_url=f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}",
            models=_models(mark, models or b""),
            context_tokens=window if type(window) is int and window > 0 else None,
        )
    return None


def _fits(mark: Marks, body: bytes) -> bool:
    if mark.says:
        return mark.says.encode() in body
    value = _at(_json(body), mark.field)
    if value is None or mark.equals is None:
        return value is not None
    return mark.equals == (value if isinstance(value, str) else msgspec.json.encode(value).decode())


def _models(mark: Marks, body: bytes) -> tuple[str, ...]:
    listed = _at(_json(body), mark.models_list)
    names = [_at(item, mark.model_name) for item in listed] if isinstance(listed, list) else []
    return tuple(
        name
        for name in names[:_MAX_MODELS]
        if isinstance(name, str)
        and 0 < len(name) <= 256
        and name.isprintable()
        and " " not in name
        and not any(fnmatchcase(name, glob) for glob in mark.remote)
    )


def _json(body: bytes) -> object:
    try:
        found: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    return found


def _at(value: object, path: str) -> object:
    """What stands at a dotted path in a JSON value; None where there is nothing."""
    for part in path.split("."):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


async def _get(place: Address, path: str, limit_s: float) -> bytes | None:
    """The body of a 200 answer to a plain GET; None for everything else."""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(limit_s):
            reader, writer = await asyncio.open_connection(*place)
            host = f"[{place[0]}]" if ":" in place[0] else place[0]
            writer.write(
                f"GET {path} HTTP/1.1\r\nHost: {host}:{place[1]}\r\n"
                "Accept: */*\r\nConnection: close\r\n\r\n".encode()
            )
            return await _body(reader)
    except (OSError, httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    finally:
        if writer is not None:
            writer.transport.abort()


async def _body(reader: asyncio.StreamReader) -> bytes | None:
    answer = _Answer()
    parser = httptools.HttpResponseParser(answer)
    size = 0
    while not answer.whole:
        data = await reader.read(65_536)
        size += len(data)
        if size > _MAX_BYTES:
            return None
        if not data:
            break  # an answer without a length ends with the connection
        parser.feed_data(data)
    return b"".join(answer.parts) if answer.begun and parser.get_status_code() == 200 else None


class _Answer:
    """What the parser tells of one answer."""

    __slots__ = ("begun", "parts", "whole")

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.begun = False
        self.whole = False

    def on_headers_complete(self) -> None:
        self.begun = True

    def on_body(self, body: bytes) -> None:
        self.parts.append(body)

    def on_message_complete(self) -> None:
        self.whole = True
