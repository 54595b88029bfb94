"""`python -m holdfast`, and what the `holdfast` script calls."""

import sys


def main() -> int:
    """Run the command line; return its exit status."""
    from holdfast.face.cli import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
