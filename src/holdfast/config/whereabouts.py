"""Which file is the configuration, and where its gateway is called.

Light to import: a shell's prompt waits for it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

import platformdirs

VARIABLE = "HOLDFAST_CONFIG"
HOST, PORT = "127.0.0.1", 4141
# What to call when the gateway listens everywhere.
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def default_path() -> Path:
    """The configuration file that is looked for when none is named."""
    return Path(platformdirs.user_config_dir("holdfast", appauthor=False)) / "config.toml"


def locate(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The file to read: the named one, else $HOLDFAST_CONFIG, else the user's own if it is there.

    None: nothing is named and there is no file yet. The working directory is never looked at.
    """
    if path is not None:
        return path
    named = environ.get(VARIABLE, "").strip()
    if named:
        return Path(named)
    return default_path() if default_path().exists() else None


def callable_host(host: str) -> str:
    """Where a gateway that listens on this host can be called from this machine."""
    return _EVERYWHERE.get(host, host)


def gateway_address(path: Path | None, environ: Mapping[str, str]) -> tuple[str, int]:
    """Host and port of this configuration's gateway, with nothing else of the file looked at.

    For those who cannot wait for keys from commands; `config.read` is what checks. Raises
    ValueError or OSError where the file cannot be read.
    """
    file = locate(path, environ)
    table = tomllib.loads(file.read_text(encoding="utf-8-sig")).get("gateway") if file else None
    gateway = table if isinstance(table, dict) else {}
    host, port = gateway.get("host", HOST), gateway.get("port", PORT)
    if not isinstance(host, str) or not isinstance(port, int):
        raise ValueError("[gateway] names no host and port")  # noqa: TRY004 - bad text
    return callable_host(host), port
