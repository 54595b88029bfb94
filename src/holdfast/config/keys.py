"""Where credentials come from. The configuration holds references; secrets live only in memory."""

from __future__ import annotations

import hmac
import importlib
import os
import re
import shlex
import signal
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn, SupportsIndex

COMMAND_LIMIT_S = 10.0
FORMS = "env:NAME, file:PATH, keyring:NAME, command:CMD, none or client"
_SERVICE = "holdfast"
_MAX_CHARS = 16_384
# What looks like a variable's name may be said aloud; a key pasted behind `env:` may not.
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")


class Secret:
    """A credential that does not show itself: not in repr, str, a pickle or a copy."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself. Send it to the host that it is bound to, and nowhere else."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __format__(self, spec: str) -> str:
        # Any width or precision that a table asks for is laid on what may be shown.
        return format(repr(self), spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a secret is not to be pickled or copied")


class KeySourceError(Exception):
    """A reference gives no key: what happened, and what to do. Never holds the secret."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}. {remedy}")
        self.what = what
        self.remedy = remedy


def resolve(reference: str, environ: Mapping[str, str]) -> Secret | None:
    """The secret behind a reference; None for `none` and `client`.

    Forms: `env:NAME`, `file:PATH` (its whole content, stripped), `keyring:NAME` (the entry NAME of
    the service "holdfast"; needs the optional package), `command:CMD` (its output, stripped; run
    without a shell, 10 s at most). Raises KeySourceError.
    """
    form, _, rest = reference.partition(":")
    if reference in ("none", "client"):
        return None
    source = _SOURCES.get(form)
    if source is None or not rest.strip():
        # Not quoted back: people paste the key itself here.
        what = "is not a reference to a key"
        raise KeySourceError(
            what, f"Write one of {FORMS}; the key itself never stands in this file."
        )
    value = source(rest.strip(), environ).strip()
    spoken = _spoken(form, rest.strip())
    if not value:
        raise KeySourceError(f"the key from {spoken} is empty", "Put the key there.")
    if not (value.isascii() and value.isprintable()) or " " in value or len(value) > _MAX_CHARS:
        raise KeySourceError(
            f"what comes from {spoken} holds blanks or characters that no key has",
            "Give the key alone: one line, nothing else.",
        )
    return Secret(value)


def notice(reference: str) -> str | None:
    """A word of warning about a reference that works, None where there is nothing to say."""
    form, _, rest = reference.partition(":")
    if form != "file" or os.name != "posix":
        return None
    try:
        mode = stat.S_IMODE(Path(rest.strip()).expanduser().stat().st_mode)
    except (OSError, RuntimeError):
        return None
    if not mode & 0o077:
        return None
    return f"the key file can be read by others (mode {mode:04o}); chmod 600 it"


def origin(reference: str) -> str:
    """Where a key comes from, in words for people."""
    form, _, rest = reference.partition(":")
    if reference == "none":
        return "no key"
    if reference == "client":
        return "the client's own key"
    if form == "env":
        return f"key from ${rest.strip()}"
    if form == "command":
        words = rest.split()
        return f"key from the command {Path(words[0]).name if words else ''} …"
    return f"key from {form} {rest.strip()}"


def _spoken(form: str, name: str) -> str:
    """A source that gave something; what a variable is called is then no key pasted there."""
    sources = {"env": f"the environment variable {name}", "file": "the file"}
    return sources.get(form, "the keyring" if form == "keyring" else "the command")


def _from_environment(name: str, environ: Mapping[str, str]) -> str:
    value = environ.get(name)
    if value is None:
        spoken = f"variable {name}" if _VARIABLE.fullmatch(name) else "variable that is named there"
        raise KeySourceError(
            f"the environment {spoken} is not set",
            "Set it before you start holdfast, or name another source of the key.",
        )
    return value


def _from_file(name: str, _: Mapping[str, str]) -> str:
    try:
        path = Path(name).expanduser()
    except RuntimeError:
        raise KeySourceError(
            "the home directory in the path is not known", "Write it out."
        ) from None
    if not path.is_absolute():
        remedy = "Write it from the root (file:/…) or from your home (file:~/…)."
        raise KeySourceError("the path of the key file is relative", remedy)
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(_MAX_CHARS + 1)
    except FileNotFoundError:
        raise KeySourceError(
            "the key file does not exist", "Make it, or correct the path."
        ) from None
    except UnicodeDecodeError:
        raise KeySourceError("the key file is not text", "Put the key alone into it.") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a path"
        raise KeySourceError(
            f"the key file cannot be read ({why})", "Make it readable for you alone (chmod 600)."
        ) from None


def _from_keyring(name: str, _: Mapping[str, str]) -> str:
    try:
        keyring = importlib.import_module("keyring")
        errors = importlib.import_module("keyring.errors")
    except ImportError:
        raise KeySourceError(
            "the optional package keyring is not installed",
            f"Install it ({sys.executable} -m pip install keyring), or use env: or file:.",
        ) from None
    try:
        value = keyring.get_password(_SERVICE, name)
    except (errors.KeyringError, RuntimeError, OSError) as error:
        raise KeySourceError(
            f"the keyring cannot be used ({type(error).__name__})",
            "Unlock it; on a machine without one use env: or file:.",
        ) from None
    if value is None:
        raise KeySourceError(
            "the keyring has no such entry", f"Add it: keyring set {_SERVICE} followed by the name."
        )
    return str(value)


def _from_command(line: str, environ: Mapping[str, str]) -> str:
    try:
        words = shlex.split(line)
    except ValueError:
        raise KeySourceError("the command has an unclosed quote", "Close it.") from None
    if not words:
        raise KeySourceError("the command is empty", "Write the command that prints the key.")
    by_hand = "Run it by hand to see why."
    try:
        # Without a shell, and in a session of its own, so that all it has started can be ended.
        process = subprocess.Popen(  # noqa: S603 - the command is the person's own
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(environ),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a command"
        remedy = "Install it, or write its full path."
        raise KeySourceError(f"the command cannot be started ({why})", remedy) from None
    with process:
        try:
            output, _ = process.communicate(timeout=COMMAND_LIMIT_S)
        except subprocess.TimeoutExpired:
            _end(process)
            what = f"the command did not end within {COMMAND_LIMIT_S:g} s"
            raise KeySourceError(what, by_hand) from None
    if process.returncode != 0:
        raise KeySourceError(f"the command failed with status {process.returncode}", by_hand)
    return output.decode("utf-8", "replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    if os.name == "posix":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


_SOURCES = {
    "env": _from_environment,
    "file": _from_file,
    "keyring": _from_keyring,
    "command": _from_command,
}
