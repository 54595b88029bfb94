"""`holdfast up`: the gateway in the foreground, from the first line to the last."""

from __future__ import annotations

import argparse
import asyncio
import errno
import os
import resource
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import uvloop

from holdfast.app.gateway import Gateway
from holdfast.config.problems import ConfigError
from holdfast.config.read import Config, read
from holdfast.config.starter import default, look_around, starter, write_starter
from holdfast.config.whereabouts import default_path, locate
from holdfast.face.reading import complain_of, fail, how_called, in_the_air, say_json, which
from holdfast.net.engines import find_engines
from holdfast.net.listen import CannotListenError
from holdfast.store.home import StoreError


def command(words: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT. 0 after a clean stop, 1 where it cannot run, 2 configuration."""
    began = time.monotonic()
    notes: list[str] = []
    try:
        if locate(words.config, os.environ) is None:
            config = first_configuration(notes)
        else:
            config = read(words.config, os.environ)
    except ConfigError as error:
        complain_of(error, as_json=words.json)
        return 2
    prepare_process()
    serving = serve(config, words, notes, began)
    try:
        return uvloop.run(serving)
    except ConfigError as error:
        complain_of(error, as_json=words.json)
        return 2
    except StoreError as error:
        return fail(str(error), as_json=words.json)
    except CannotListenError as error:
        return fail(no_address(config, error), as_json=words.json)
    except OSError as error:
        why = error.strerror or str(error) or type(error).__name__
        text = f"the system refused what holdfast needs ({why}). Nothing is served."
        return fail(text, as_json=words.json)


def first_configuration(notes: list[str]) -> Config:
    """Look around on this machine, write the starter file, and read it. Raises ConfigError."""
    found = look_around(
        os.environ, lambda known, environ: asyncio.run(find_engines(known, environ))
    )
    path = default_path()
    try:
        written = write_starter(path, starter(found))
    except OSError as error:
        why = error.strerror or type(error).__name__
        notes.append(f"{path} could not be written ({why}): running without a file")
        return default(found, os.environ)
    if written:
        notes.append(f"wrote {path} from what was found on this machine; edit it as you like")
    what = found.describe()
    notes += what or ["found no key variables and no local engines; the simulator needs neither"]
    return read(path, os.environ)


def prepare_process() -> None:
    """As many files as may be open; no core dumps, which would hold people's keys."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most if most != resource.RLIM_INFINITY else 65_536
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError):
        pass  # a limit that cannot be changed is as good as one that was not
    os.umask(0o077)


async def serve(config: Config, words: argparse.Namespace, notes: list[str], began: float) -> int:
    """Start, say where it is, and run until told to stop."""
    gateway = await Gateway.start(config, os.environ, say=say)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, gateway.reload)
    with suppress(OSError):  # as in `say`
        if words.json:
            say_json(
                {
                    "ok": True,
                    "url": gateway.url,
                    "pid": os.getpid(),
                    "config": str(config.source or ""),
                    "data_dir": str(config.gateway.data_dir),
                    "notes": [*notes, *config.notices],
                }
            )
        else:
            sys.stdout.write(greeting(gateway, notes, time.monotonic() - began))
            sys.stdout.flush()
    await stop.wait()
    # A second signal means it: no more waiting for calls in the air.
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.remove_signal_handler(number)
    flying = len(gateway.desk.flying)
    say("stopping" + (f"; {in_the_air(flying)} may end first" if flying else ""))
    await gateway.stop()
    for stream in (sys.stdout, sys.stderr):
        give_up(stream)
    return 0


def give_up(stream: TextIO) -> None:
    """What could not be said by now is let go: Python would try once more, and end with 120."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def say(sentence: str) -> None:
    """Tell the person at the terminal, with the time of day."""
    # A log on a full disk, or a terminal that is gone, is no reason to stop.
    with suppress(OSError):
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {sentence}\n")
        sys.stderr.flush()


def greeting(gateway: Gateway, notes: list[str], took_s: float) -> str:
    """What a person needs to know to go on."""
    url, config, me = gateway.url, gateway.config, how_called()
    file, this = config.source or Path("(none)"), which(config)
    lines = [
        f"holdfast is ready at {url}  (after {took_s:.1f} s)",
        "",
        f"  configuration  {file}",
        f"  data           {config.gateway.data_dir}",
        *(f"  note           {note}" for note in [*notes, *config.notices]),
        "",
        *(f"  {line}" for line in config.describe()),
        "",
        "Point your tools at it:",
        f"  export ANTHROPIC_BASE_URL={url}        # Claude Code, the Anthropic SDKs",
        f"  export OPENAI_BASE_URL={url}/v1        # the OpenAI SDKs and most other tools",
        f"  {me} run{this} -- claude        # or: one tool with all of that set",
        "",
    ]
    sim = next((name for name, p in config.providers.items() if p.kind == "sim"), None)
    if sim is not None:
        body = (
            f'{{"model":"{sim}/steady","max_tokens":100,'
            '"messages":[{"role":"user","content":"Hello"}]}'
        )
        lines += [
            "Try it now, without any key (the answer is invented and says so):",
            f"  curl {url}/v1/messages -H 'content-type: application/json' -d '{body}'",
            "",
        ]
    lines += [
        f"Watch it:  {me} status --watch{this}",
        f"Look back: {me} logs{this}",
        f"Rehearse:  {me} drill",
        "Stop it with Ctrl-C. What happens from here on is told below.",
        "",
    ]
    return "\n".join(lines)


def no_address(config: Config, error: OSError) -> str:
    """What to say when the address cannot be had: what, why, what to do."""
    gate = config.gateway
    where = f"{gate.host} port {gate.port}"
    file = config.source or default_path()
    if error.errno == errno.EADDRINUSE:
        return (
            f"{where} is taken by another program, perhaps by a holdfast that runs already"
            f" ({how_called()} status tells). Stop that one, or write another port under [gateway]"
            f" in {file}."
        )
    if error.errno == errno.EACCES:
        return f"{where} needs rights that you do not have. Use a port above 1023, in {file}."
    why = error.strerror or str(error)
    return f"{where} cannot be listened on ({why}). Correct host and port in {file}."
