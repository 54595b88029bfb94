"""The journal of intents: what is about to be spent, written down before it is spent.

An append-only file of JSON lines, one line an intent, one `write` for those that are promised
together. It stands on a call's way, so it does no more than reach the kernel: that outlives the
process (kill -9), not the power supply. The ledger's writer takes the intents over into the
database behind it, and removes a segment of the journal once all of it is there for good.

Threads: `promise` belongs to whoever sends requests; all else to the ledger's writer.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from contextlib import suppress
from pathlib import Path
from threading import Lock

import msgspec

from holdfast.facts.flights import Intent
from holdfast.store.home import no_space, private_file, sync, unusable

# Intents that wait in memory for the database. Beyond it those in the journal wait there alone;
# only those that neither the journal nor the database would take are lost.
WAITING_MAX = 10_000
# Names that clients make up have no natural bound; a line of the journal has.
LINE_BYTES_MAX = 8192
NAME_CHARS_MAX = 256
SUFFIX = ".jsonl"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Intent).decode


class Segment:
    """One file of the journal.

    `unseen`: it holds intents that memory does not. `synced`: it is closed and the disk has it.
    """

    __slots__ = ("path", "synced", "unseen")

    def __init__(self, path: Path, *, unseen: bool) -> None:
        self.path = path
        self.unseen = unseen
        self.synced = False


class Journal:
    """The segments in one directory: one active, the others closed and soon removed.

    `leftover` are those of an earlier process. `trouble` is why the last intent could not be
    written (None: it could). `lost` counts intents that neither disk nor memory could keep.

    Raises StoreError when no segment can be begun, but for a full disk: that is an alarm.
    """

    __slots__ = (
        "_active",
        "_closed",
        "_directory",
        "_fd",
        "_lock",
        "_number",
        "_torn",
        "_waiting",
        "leftover",
        "lost",
        "size",
        "trouble",
    )

    def __init__(self, directory: Path) -> None:
        self.leftover = [
            Segment(path, unseen=True)
            for path in sorted(directory.glob(f"*{SUFFIX}"))
            if path.stem.isdecimal()
        ]
        self.trouble: OSError | None = None
        self.lost = 0
        self.size = 0
        self._directory = directory
        self._waiting: deque[Intent] = deque()
        self._closed: list[Segment] = []
        self._number = int(self.leftover[-1].path.stem) if self.leftover else 0
        self._active: Segment | None = None
        self._fd = -1
        self._torn = False
        # Held for one write, or for the exchange of two names; never over the opening of a file.
        self._lock = Lock()
        hindrance = self.rotate()
        if hindrance is not None and not no_space(hindrance):
            raise unusable(directory, hindrance)

    # ------------------------------------------------------ before a request

    def promise(self, *intents: Intent) -> bool:
        """Write intents; return whether the kernel has them. Never raises, never opens a file."""
        lines = [_line(intent) for intent in intents]
        with self._lock:
            kept = self._write(b"".join([line for line, _ in lines]))
            for _, intent in lines:
                if len(self._waiting) < WAITING_MAX:
                    self._waiting.append(intent)
                elif kept and self._active is not None:
                    self._active.unseen = True
                else:
                    self.lost += 1
        return kept

    def _write(self, lines: bytes) -> bool:
        if self._torn:  # half a line stands before: end it, so that it costs no other
            lines = b"\n" + lines
        try:
            written = os.write(self._fd, lines)
        except OSError as error:
            self.trouble = error
            return False
        self.size += written
        self._torn = written != len(lines)
        if self._torn:
            self.trouble = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return False
        self.trouble = None
        return True

    # ------------------------------------------------------------ the writer

    def take(self) -> list[Intent]:
        """The intents that wait in memory, oldest first."""
        waiting = self._waiting
        return [waiting.popleft() for _ in range(len(waiting))]

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def used(self) -> bool:
        """Whether something stands in the active segment, or there is none."""
        return self.size > 0 or self._fd == -1

    def rotate(self) -> OSError | None:
        """Close the active segment and begin another.

        Where that fails, stay with the old one and return the error.
        """
        self._number += 1
        path = self._directory / f"{self._number:010d}{SUFFIX}"
        try:
            fd = private_file(path, os.O_WRONLY | os.O_APPEND)
        except OSError as error:
            self.trouble = error
            return error
        with self._lock:
            before, self._fd = self._fd, fd
            if self._active is not None:
                self._closed.append(self._active)
            self._active = Segment(path, unseen=False)
            self._torn = False
            self.size = 0
        if before != -1:
            os.close(before)
        return None

    def closed(self) -> list[Segment]:
        """The closed segments: every intent in one was in memory, or it is marked unseen."""
        return list(self._closed)

    def forget(self, segments: list[Segment]) -> None:
        """Remove segments whose intents are all in the database, durably. Raises OSError."""
        for segment in segments:
            segment.path.unlink(missing_ok=True)
            if segment in self._closed:
                self._closed.remove(segment)
            elif segment in self.leftover:
                self.leftover.remove(segment)
        self.trouble = None  # whatever it was, nothing waits for the journal any more

    def sync(self) -> None:
        """Have the disk take what the kernel has: for times when the database will not."""
        try:
            for segment in self._closed:
                if not segment.synced:
                    sync(segment.path)
                    segment.synced = True
            if self._fd != -1:
                os.fsync(self._fd)
            sync(self._directory)
        except OSError as error:
            self.trouble = error

    def close(self) -> None:
        """End it. An active segment in which nothing stands is removed, if it can be."""
        with self._lock:
            fd, self._fd = self._fd, -1
        if fd != -1:
            os.close(fd)
            if self.size == 0 and self._active is not None:
                with suppress(OSError):
                    self._active.path.unlink()


def read(path: Path) -> tuple[list[Intent], int]:
    """The intents of one segment, and how many lines could not be read.

    Half a line, wherever it stands, costs itself only: a disk ran full, or the power went.
    """
    intents, unreadable = [], 0
    for line in path.read_bytes().split(b"\n"):
        if line:
            try:
                intents.append(_decode(line))
            except ValueError:
                unreadable += 1
    return intents, unreadable


def _line(intent: Intent) -> tuple[bytes, Intent]:
    """An intent's line, and the intent as it stands there."""
    try:
        line = _encode(intent) + b"\n"
        if len(line) <= LINE_BYTES_MAX:
            return line, intent
    except UnicodeEncodeError:  # half a surrogate pair, in a name that a client made up
        pass
    intent = _fitting(intent)
    return _encode(intent) + b"\n", intent


def _fitting(intent: Intent) -> Intent:
    """The same with its names cut to size and made proper Unicode."""
    return msgspec.structs.replace(
        intent,
        **{
            name: value.encode("utf-8", "replace").decode()[:NAME_CHARS_MAX]
            for name, value in msgspec.structs.asdict(intent).items()
            if isinstance(value, str)
        },
    )
