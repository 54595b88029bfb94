"""`holdfast run -- CMD`: a tool, with the variables set that point it at the gateway."""

from __future__ import annotations

import argparse
import os
import shutil
import sys

from holdfast.face.reading import ask, base_url, configuration, fail, how_called, not_running

# What the usual tools and SDKs read. A key is set only where the person has none: many refuse to
# start without one, and the gateway brings its own.
BASE_URLS = {
    "ANTHROPIC_BASE_URL": "",
    "OPENAI_BASE_URL": "/v1",
    "OPENAI_API_BASE": "/v1",
}
KEYS = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY")
PLACEHOLDER = "holdfast"


def variables(url: str, environ: dict[str, str]) -> dict[str, str]:
    """The variables to set for a tool, given the gateway's address and what is set already."""
    found = {name: url + suffix for name, suffix in BASE_URLS.items()}
    own_login = "ANTHROPIC_AUTH_TOKEN" in environ
    for name in KEYS:
        if name not in environ and not (name.startswith("ANTHROPIC") and own_login):
            found[name] = PLACEHOLDER
    return found


def command(words: argparse.Namespace) -> int:
    """Replace this process by the tool. Its exit status is the tool's own."""
    cmd = words.words[1:] if words.words[:1] == ["--"] else words.words
    if not cmd:
        return fail(f"no command given. Try: {how_called()} run -- claude", as_json=False, status=2)
    config = configuration(words)
    if config is None:
        return 2
    if shutil.which(cmd[0]) is None:
        text = f"{cmd[0]} is not installed, or not on the PATH."
        return fail(text, as_json=False, status=127)
    if ask(config, "/-/live") is None:
        return fail(not_running(config), as_json=False)
    sys.stdout.flush()
    environ = {**os.environ, **variables(base_url(config), dict(os.environ))}
    return os.execvpe(cmd[0], cmd, environ)  # noqa: S606 - the person's own command
