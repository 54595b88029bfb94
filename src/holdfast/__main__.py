"""`python -m holdfast`, and what the `holdfast` script calls."""

import io
import os
import sys


def main() -> int:
    """Run the command line; return its exit status."""
    open_streams()
    from holdfast.face.cli import run

    return run(sys.argv[1:])


def open_streams() -> None:
    """Standard streams that can be written to, whoever started us and in whatever locale.

    Where one is closed, its number would go to the next connection; where one knows no arrows (an
    ASCII locale), a question mark says as much.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # the lowest number that is free is its own
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


if __name__ == "__main__":
    sys.exit(main())
