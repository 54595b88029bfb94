"""A real `holdfast` process for the tests: a configuration, a free port, a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.doubles.holes import free_port
from tests.doubles.provider import Provider

ROOT = Path(__file__).parents[1]
READY_S = 30.0  # a loaded machine; how fast it really is, the bench says
STOP_S = 15.0
# Nobody goes out of his own accord: what providers are asked is what clients asked.
QUIET = "probes = false\npages = false\nwatch = false\nreferences = []"


class Upstream(NamedTuple):
    """One `[providers.NAME]`; `key` is the secret, which travels in the environment.

    The key "client" is no secret: it says that the client's own goes there.
    """

    name: str
    dialect: str
    url: str
    key: str = ""
    kind: str = "cloud"


def upstream(double: Provider, url: str = "") -> Upstream:
    """A double as the gateway is to know it; `url` puts it behind another address."""
    return Upstream(double.name, double.dialect, url or double.url, double.key)


def configuration(
    folder: Path,
    port: int,
    upstreams: Sequence[Upstream],
    routes: Sequence[tuple[str, Sequence[str]]],
    limits: Mapping[str, float],
    *,
    scouts: str = QUIET,
) -> str:
    """The text of a configuration file. `scouts` is the observatory's table."""
    lines = ["[gateway]", 'host = "127.0.0.1"', f"port = {port}"]
    lines += [f"data_dir = {json.dumps(str(folder / 'data'))}", 'keys = "off"', ""]
    if limits:
        lines += ["[limits]", *(f"{name} = {value}" for name, value in limits.items()), ""]
    lines += ["[observatory]", scouts, ""]
    for up in upstreams:
        key = f"env:{up.name.upper()}_KEY" if up.key not in ("", "client") else up.key or "none"
        lines += [f"[providers.{up.name}]", f'dialect = "{up.dialect}"']
        lines += [f'base_url = "{up.url}"', f'key = "{key}"', f'kind = "{up.kind}"', ""]
    for glob, targets in routes:
        lines += ["[[routes]]", f'model = "{glob}"', f"targets = {json.dumps(list(targets))}", ""]
    return "\n".join(lines)


class Gateway:
    """One gateway process over a configuration; `start` may follow `stop` or `kill9`."""

    def __init__(self, folder: Path, config: str, port: int, environ: Mapping[str, str]) -> None:
        self.folder = folder
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.file = folder / "config.toml"
        self.file.write_text(config)
        self.log_file = folder / "gateway.log"
        self._environ = dict(environ)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "the gateway is not running"
        return self._process.pid

    @property
    def log(self) -> str:
        """All that it printed so far."""
        return self.log_file.read_text()

    def start(self) -> None:
        """Start it and wait until `/-/ready` says 200."""
        with self.log_file.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "holdfast", "up", "--config", str(self.file)],
                cwd=self.folder,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        end = time.monotonic() + READY_S
        while not self.ready():
            code = self._process.poll()
            assert code is None, f"the gateway ended with {code}:\n{self.log}"
            assert time.monotonic() < end, f"the gateway is not ready:\n{self.log}"
            time.sleep(0.02)

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False

    def get(self, path: str) -> Any:
        """The JSON of one page of the control plane."""
        with urllib.request.urlopen(self.url + path, timeout=5) as reply:
            return json.load(reply)

    def stop(self) -> None:
        """Ask it to end, and see that it ends well."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(
                f"the gateway did not end within {STOP_S} s:\n{self.log}"
            ) from None
        assert code == 0, f"the gateway ended with {code}:\n{self.log}"
        assert "Traceback" not in self.log, self.log

    def kill9(self) -> None:
        """End it as a crash does."""
        process, self._process = self._process, None
        assert process is not None
        process.kill()
        process.wait()


def environment(folder: Path, upstreams: Sequence[Upstream]) -> dict[str, str]:
    """Nothing of the machine's own keys, settings or folders, and the doubles' keys."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    keep = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    keys = {f"{up.name.upper()}_KEY": up.key for up in upstreams if up.key}
    return {**keep, **keys, "HOME": str(home), "PYTHONPATH": str(ROOT / "src")}


@contextmanager
def gateway(
    folder: Path,
    upstreams: Sequence[Upstream],
    routes: Sequence[tuple[str, Sequence[str]]],
    **limits: float,
) -> Iterator[Gateway]:
    """A running gateway over these upstreams; the end is a clean stop, asserted.

    When the test itself fails, what the gateway printed is added to the report.
    """
    port = free_port()
    config = configuration(folder, port, upstreams, routes, limits)
    one = Gateway(folder, config, port, environment(folder, upstreams))
    try:
        one.start()
        yield one
    except BaseException as problem:
        problem.add_note(f"the gateway said:\n{one.log}")
        if one._process is not None:
            one.kill9()
        raise
    one.stop()
