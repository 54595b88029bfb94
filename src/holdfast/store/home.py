"""The data directory: ours alone, readable by its owner alone, used by one gateway at a time."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

LEDGER = "ledger.sqlite3"
JOURNAL = "journal"
LOCK = "lock"


class StoreError(Exception):
    """The store cannot be used. The text says what, where, and what to do about it."""


class Home:
    """A data directory that this process holds, by a lock that dies with the process.

    The lock is `flock` on a file that is never removed: removing it would let two processes hold
    locks on two files of one name.
    """

    __slots__ = ("_lock", "directory")

    def __init__(self, directory: Path, lock: int) -> None:
        self.directory = directory
        self._lock = lock

    @classmethod
    def claim(cls, directory: Path) -> Home:
        """Make the directory where it is missing (0700), and take its lock.

        Raises StoreError when it cannot be read or written, or another gateway holds it.
        """
        try:
            if not directory.exists():
                directory.mkdir(parents=True, exist_ok=True)
                directory.chmod(0o700)  # not by mkdir's mode: that is cut down by the umask
            lock = private_file(directory / LOCK, os.O_RDWR)
        except OSError as error:
            raise unusable(directory, error) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _sign(lock)
            journal = directory / JOURNAL
            journal.mkdir(mode=0o700, exist_ok=True)
            for folder in (directory, journal):
                list(folder.iterdir())  # to be allowed to write there is not enough
        except OSError as error:
            holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
            os.close(lock)
            if isinstance(error, BlockingIOError):
                raise StoreError(
                    f"The data directory {directory} is in use by another holdfast gateway"
                    f" (process {holder or 'unknown'}). Stop that one first, or give this one its"
                    " own directory: data_dir under [gateway] in the configuration."
                ) from error
            raise unusable(directory, error) from error
        return cls(directory, lock)

    @property
    def ledger(self) -> Path:
        return self.directory / LEDGER

    @property
    def journal(self) -> Path:
        return self.directory / JOURNAL

    def release(self) -> None:
        """Let another gateway have the directory. A second time does nothing."""
        if self._lock != -1:
            os.close(self._lock)
            self._lock = -1


def _sign(lock: int) -> None:
    """Write our process id into the lock's file: a courtesy, so a full disk does not matter."""
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, b"%d\n" % os.getpid(), 0)
    except OSError as error:
        if not no_space(error):
            raise


def private_file(path: Path, flags: int) -> int:
    """Open, creating it where it is missing, a file for its owner alone, whatever the umask.

    Returns the file descriptor; raises OSError.
    """
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return os.open(path, flags | os.O_CLOEXEC)
    os.fchmod(descriptor, 0o600)
    return descriptor


def sync(path: Path) -> None:
    """Have the disk take a file, or the names in a directory. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def no_space(error: OSError) -> bool:
    """Whether this error means a full disk (or a quota, or a limit on a file's size)."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def unusable(directory: Path, error: OSError) -> StoreError:
    """What to tell an operator whose data directory the system does not let us use."""
    if no_space(error):
        return StoreError(
            f"The data directory {directory} cannot be set up: the disk is full. Free some space,"
            " or name another data_dir under [gateway] in the configuration."
        )
    return StoreError(
        f"The data directory {directory} cannot be used: {error.strerror or error}"
        f" ({error.filename or directory}). It must be a directory that this user may read and"
        " write. Correct its owner or permissions, or name another data_dir under [gateway] in"
        " the configuration."
    )
