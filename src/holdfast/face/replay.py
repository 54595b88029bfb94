"""`holdfast replay --jsonl`: what the observatory would have said of a recorded history."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import BinaryIO

from holdfast.app.replay import LINE_MAX, replay
from holdfast.face.reading import fail


def command(words: argparse.Namespace) -> int:
    """0; 1 where lines had to be skipped; 2 usage."""
    if not words.jsonl:
        text = "say --jsonl and give observations as JSON Lines on stdin; events come out."
        return fail(text, as_json=words.json, status=2)
    out = sys.stdout.buffer

    def say(line: bytes) -> None:
        out.write(line)
        out.flush()

    def complain(text: str) -> None:
        sys.stderr.write(f"holdfast: {text}\n")
        sys.stderr.flush()

    return replay(lines_of(sys.stdin.buffer), say, complain)


def lines_of(stream: BinaryIO) -> Iterator[bytes]:
    """Lines as they come, none longer than we would read: of a longer one only its beginning."""
    while line := stream.readline(LINE_MAX):
        whole = line
        while len(whole) >= LINE_MAX and not whole.endswith(b"\n"):
            whole = stream.readline(LINE_MAX)
            if not whole:
                break
        yield line if line.endswith(b"\n") or whole is line else line + b"\n"
