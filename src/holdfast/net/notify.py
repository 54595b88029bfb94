"""Bringing messages to people: the desktop, webhooks, programs, and whatever `apprise` speaks.

A sender is one callable: it returns when the message was taken, or raises NotifyError with a
sentence. Texts are handed on as arguments, variables or JSON, never as a part of a script. The
`Courier` carries out what `core.telling.Outbox` decides, beside the traffic.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from html import escape
from tempfile import TemporaryFile

import msgspec

from holdfast.core.telling import Delivery, Message, Outbox
from holdfast.net.dial import Dialer
from holdfast.net.fetch import fetch

LIMIT_S = 15.0
DESKTOP_CHARS = 400
_ANSWER_BYTES = 64 << 10

Sender = Callable[[Message], Awaitable[None]]

_MACOS = "on run argv\ndisplay notification (item 2 of argv) with title (item 1 of argv)\nend run"
# A session on Linux that can show something has one of these.
_SESSION = ("DBUS_SESSION_BUS_ADDRESS", "WAYLAND_DISPLAY", "DISPLAY")


class NotifyError(Exception):
    """A message was not taken: why, as a sentence without any secret."""


# ------------------------------------------------------------ the desktop


def desktop(environ: Mapping[str, str], platform: str = sys.platform) -> Sender | str:
    """What shows messages on this desktop; else a sentence that says why there is nothing."""
    program = "osascript" if platform == "darwin" else "notify-send"
    path = shutil.which(program, path=environ.get("PATH"))
    if path is None:
        hint = "; install libnotify" if program == "notify-send" else ""
        return f"there are no desktop notifications: {program} is not installed{hint}."
    if program == "notify-send" and not any(environ.get(name) for name in _SESSION):
        return "there are no desktop notifications: no desktop session is running here."

    async def send(message: Message) -> None:
        text = _short(message.text)
        words = [path]
        if platform == "darwin":
            words += ["-e", _MACOS, message.title, text]
        else:
            urgency = "low" if message.kind in ("narrowed", "passed") else "normal"
            # The body may hold markup there, so none of ours may look like it.
            words += [f"--urgency={urgency}", "--app-name=holdfast", "--"]
            words += [message.title, escape(text, quote=False)]
        await _run(words, environ)

    return send


def _short(text: str) -> str:
    return text if len(text) <= DESKTOP_CHARS else f"{text[: DESKTOP_CHARS - 1]}…"


# ------------------------------------------------------------ programs


def command(words: Sequence[str], environ: Mapping[str, str]) -> Sender:
    """A program of the user's own: the message comes as JSON on its stdin, status 0 is taken."""

    async def send(message: Message) -> None:
        await _run(words, environ, msgspec.json.encode(message))

    return send


async def _run(words: Sequence[str], environ: Mapping[str, str], stdin: bytes = b"") -> None:
    """Run a program without a shell, for LIMIT_S at most. Raises NotifyError."""
    name = os.path.basename(words[0])  # noqa: PTH119 - a name for people, no file
    try:
        # A file and no pipe: a program that does not read it, or ends first, breaks nothing.
        with TemporaryFile() as given:
            given.write(stdin)
            given.seek(0)
            process = await asyncio.create_subprocess_exec(
                *words,
                stdin=given,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                env=dict(environ),
                start_new_session=True,
            )
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is not a command"
        raise NotifyError(f"{name} cannot be started: {why}") from None
    try:
        async with asyncio.timeout(LIMIT_S):
            await process.wait()
    except TimeoutError:
        raise NotifyError(f"{name} did not end within {LIMIT_S:g} s") from None
    finally:
        if process.returncode is None:
            _end(process)
            await process.wait()
    if process.returncode != 0:
        raise NotifyError(f"{name} failed with status {process.returncode}")


def _end(process: asyncio.subprocess.Process) -> None:
    """End a program and all that it has started."""
    try:
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    except ProcessLookupError:
        return


# ------------------------------------------------------------ webhooks


def webhook(dialer: Dialer, url: str, header: str = "", secret: str = "") -> Sender:
    """POSTs each message as JSON; any 2xx is taken, a redirect is not followed.

    `secret` goes into `header` as it is, into `authorization` as a bearer token.
    """
    value = f"Bearer {secret}" if header == "authorization" else secret
    headers = [(b"content-type", b"application/json")]
    if header and secret:
        headers.append((header.encode(), value.encode()))

    async def send(message: Message) -> None:
        found = await fetch(
            dialer,
            url,
            method="POST",
            headers=tuple(headers),
            body=msgspec.json.encode(message),
            limit_bytes=_ANSWER_BYTES,
            total_s=LIMIT_S,
        )
        taken = 200 <= found.status < 300
        if found.failure is not None and not (taken and found.failure.kind == "too_large"):
            raise NotifyError(found.failure.text)
        if 300 <= found.status < 400:
            raise NotifyError(f"it redirects (HTTP {found.status}), and that is not followed")
        if not taken:
            raise NotifyError(f"it answered HTTP {found.status}")

    return send


# ------------------------------------------------------------ apprise


def apprise(url: str) -> Sender:
    """Whatever the optional package `apprise` speaks: Slack, ntfy, e-mail, …"""

    async def send(message: Message) -> None:
        # It knows no asyncio that could be bounded: a thread of its own.
        await asyncio.to_thread(_apprise, url, message)

    return send


def _apprise(url: str, message: Message) -> None:
    try:
        import apprise as package
    except ImportError:
        raise NotifyError(
            "the optional package apprise is not installed;"
            f" {sys.executable} -m pip install apprise"
        ) from None
    import logging

    # Its log quotes URLs, and these hold secrets.
    logging.getLogger("apprise").disabled = True
    one = package.Apprise()
    if not one.add(url):
        raise NotifyError("apprise does not know a URL like this one")
    if not one.notify(title=message.title, body=message.text, body_format="text"):
        raise NotifyError("apprise could not deliver it")


# ------------------------------------------------------------ the courier


class Courier:
    """Tries what the outbox says is due, each in a task of its own; told the time by `beat`.

    `wall` gives UTC seconds. `changed` is called when the outbox is no longer what it was.
    """

    def __init__(
        self,
        outbox: Outbox,
        *,
        wall: Callable[[], float],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.outbox = outbox
        self.senders: dict[str, Sender] = {}
        self._wall = wall
        self._changed = changed
        self._tasks: set[asyncio.Task[None]] = set()

    def beat(self) -> None:
        """Start what is due now. Returns at once."""
        for one in self.outbox.due(self._wall()):
            task = asyncio.get_running_loop().create_task(self._deliver(one))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _deliver(self, one: Delivery) -> None:
        sender = self.senders.get(one.notifier)
        try:
            if sender is None:
                raise NotifyError("it is not there any more")  # noqa: TRY301
            async with asyncio.timeout(2 * LIMIT_S):
                await sender(one.message)
        except NotifyError as error:
            self.outbox.failed(one, str(error), self._wall())
        except TimeoutError:
            self.outbox.failed(one, f"it took longer than {2 * LIMIT_S:g} s", self._wall())
        except Exception as error:  # noqa: BLE001 - the one place: no notifier ever hurts a call
            self.outbox.failed(one, f"a fault of its own: {type(error).__name__}", self._wall())
        else:
            self.outbox.delivered(one)
        self._changed()

    async def idle(self) -> None:
        """Until nothing is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Stop what is under way; it is tried again after the next start."""
        for task in self._tasks:
            task.cancel()
        await self.idle()
