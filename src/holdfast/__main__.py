"""`python -m holdfast`, and what the `holdfast` script calls."""

import os
import sys


def main() -> int:
    """Run the command line; return its exit status."""
    open_streams()
    from holdfast.face.cli import run

    return run(sys.argv[1:])


def open_streams() -> None:
    """Some start us with a standard stream closed: its number would go to the next connection."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # the lowest number that is free is its own
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


if __name__ == "__main__":
    sys.exit(main())
