"""Watching one file for a new content, by looking at it now and then."""

from __future__ import annotations

from pathlib import Path

Stamp = tuple[int, int, int] | None


class Watch:
    """Tells when a file has changed and has come to rest: editors write in several steps."""

    __slots__ = ("_known", "_seen", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known = self._seen = stamp(path)

    def changed(self) -> bool:
        """Whether it differs from what was known, and looked the same at the last look.

        True once for each change. A file that is gone is no change: it may be coming back.
        """
        now = stamp(self.path)
        rested, self._seen = now == self._seen, now
        if now is None or not rested or now == self._known:
            return False
        self._known = now
        return True


def stamp(path: Path) -> Stamp:
    """What tells one content of a file from another without reading it; None: no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
