"""What is measured: processes that stand between a client and the canned provider."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from bench import canned, kernel

ROOT = Path(__file__).parents[1]
READY_S = 30.0
STOP_S = 10.0
# Each failing first choice is asked once: after that the gateway lets it rest.
FAULTS = ("refused", "529")
FAULTS_MAX = 20
NOBODY = "http://127.0.0.1:1"  # a port where nothing listens


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


class Cores:
    """Who runs where. The load generator and the canned provider are together on one core.

    `split`: the system on another core than those two, or on the same where there is but one.
    `free`: wherever the kernel likes, as on a person's machine. Waking an idle core takes longer
    than everything a gateway does, so latencies are taken like this.
    """

    def __init__(self) -> None:
        self._all = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
        self._system = set(sorted(self._all)[:1])
        self._load = set(sorted(self._all)[1:2]) or self._system
        self._split = False

    def split(self, provider: int) -> None:
        """From now on the system has a core of its own; `provider` is that one's pid."""
        self._split = True
        self._go(0, self._load)
        self._go(provider, self._load)

    def free(self, provider: int) -> None:
        """From now on nobody is pinned."""
        self._split = False
        self._go(0, self._all)
        self._go(provider, self._all)

    @contextmanager
    def on_system(self) -> Iterator[None]:
        """What is started in here is a system under test."""
        if self._split:
            self._go(0, self._system)
        try:
            yield
        finally:
            if self._split:
                self._go(0, self._load)

    def _go(self, pid: int, cores: set[int]) -> None:
        if cores:
            os.sched_setaffinity(pid, cores)

    def __str__(self) -> str:
        if not self._all:
            return "this kernel pins nothing"
        shared = ", the same one" if self._load == self._system else ""
        return f"system on core {min(self._system)}, load and provider on {min(self._load)}{shared}"


class Child:
    """A process of ours, with what it prints kept in a file."""

    def __init__(self, words: list[str], log: Path, environ: dict[str, str] | None = None) -> None:
        self._log = log
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                words,
                cwd=log.parent,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self.pid = self._process.pid

    def wait_for(self, port: int, path: str) -> None:
        """Return once `path` is answered with 200. Raises RuntimeError with what it printed."""
        end = time.monotonic() + READY_S
        while not _answers(port, path):
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(
                    f"{self._process.args!r} did not start:\n{self._log.read_text()}"
                )
            time.sleep(0.002)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


class System(Protocol):
    """One way to the canned provider. `port` is where clients ask."""

    name: str
    port: int

    def start(self) -> float:
        """Start and return the seconds until it was ready."""

    def pids(self) -> list[int]:
        """The processes whose CPU and memory count."""

    def stop(self) -> None: ...


class Direct:
    """No gateway at all."""

    name = "direct"

    def __init__(self, upstream: int) -> None:
        self.port = upstream

    def start(self) -> float:
        return 0.0

    def pids(self) -> list[int]:
        return []

    def stop(self) -> None:
        pass


class Provider:
    """The canned provider."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        words = [sys.executable, "-m", "bench.upstream", str(self.port)]
        self._child = Child(words, folder / "upstream.log", environ)
        self._child.wait_for(self.port, "/")
        self.pid = self._child.pid

    def stop(self) -> None:
        self._child.stop()


NGINX = """
worker_processes 1;
worker_rlimit_nofile {files};
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections {files}; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 10000000;
  client_max_body_size 32m;
  client_body_buffer_size 128k;
  upstream provider {{
    server 127.0.0.1:{upstream};
    keepalive 128;
    keepalive_requests 10000000;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=8192;
    location / {{
      proxy_pass http://provider;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 600s;
    }}
  }}
}}
"""


class Nginx:
    """A plain reverse proxy: one worker, kept connections, bodies in memory, nothing logged."""

    name = "nginx"

    def __init__(self, folder: Path, cores: Cores, upstream: int) -> None:
        self._folder = folder
        self._cores = cores
        self._upstream = upstream
        self._child: Child | None = None
        self.port = 0

    @staticmethod
    def found() -> str | None:
        """Where it is installed; also where a user's PATH does not lead."""
        return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")

    def start(self) -> float:
        self.port = free_port()
        file = self._folder / "nginx.conf"
        file.write_text(
            NGINX.format(
                folder=self._folder,
                files=kernel.many_files() - 100,
                upstream=self._upstream,
                port=self.port,
            )
        )
        words = [str(self.found()), "-p", str(self._folder), "-c", str(file)]
        begun = time.perf_counter()
        with self._cores.on_system():
            self._child = Child([*words, "-e", "stderr"], self._folder / "nginx.out")
        self._child.wait_for(self.port, "/")
        return time.perf_counter() - begun

    def pids(self) -> list[int]:
        return kernel.children(self._child.pid) if self._child is not None else []

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop()
            self._child = None


class Holdfast:
    """The gateway as a person starts it, each time with a data directory of its own."""

    name = "holdfast"

    def __init__(self, folder: Path, cores: Cores, upstream: int) -> None:
        self._folder = folder
        self._cores = cores
        self._upstream = upstream
        self._child: Child | None = None
        self._starts = 0
        self.port = 0

    def start(self) -> float:
        self.port = free_port()
        self._starts += 1
        home = self._folder / f"holdfast-{self._starts}"
        home.mkdir()
        file = home / "config.toml"
        file.write_text(configuration(home, self.port, self._upstream))
        keep = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        environ = {**keep, "HOME": str(home), "BENCH_KEY": "a-key-of-the-bench-0123456789"}
        environ["PYTHONPATH"] = str(ROOT / "src")
        words = [sys.executable, "-m", "holdfast", "up", "--config", str(file)]
        begun = time.perf_counter()
        with self._cores.on_system():
            self._child = Child(words, home / "gateway.log", environ)
        try:
            self._child.wait_for(self.port, "/-/ready")
        except RuntimeError:
            self.stop()
            raise
        seconds = time.perf_counter() - begun
        self._look_at_an_answer()
        return seconds

    def _look_at_an_answer(self) -> None:
        """The gateway also answers where its own code fails; that is not what is measured here."""
        with socket.create_connection(("127.0.0.1", self.port), READY_S) as sock:
            sock.sendall(canned.request(f"127.0.0.1:{self.port}", 2000))
            said = sock.recv(65_536).decode()
        if not said.startswith("HTTP/1.1 200") or "x-holdfast-served-by" not in said:
            self.stop()
            raise RuntimeError(f"holdfast does not answer as it should: {said}")

    def pids(self) -> list[int]:
        return [self._child.pid] if self._child is not None else []

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop()
            self._child = None
            with suppress(OSError):
                shutil.rmtree(self._folder / f"holdfast-{self._starts}" / "data")


def faulty(fault: str, number: int) -> str:
    """The model whose first choice fails so; each number is another provider."""
    return f"first-{fault}-{number}"


def configuration(home: Path, port: int, upstream: int) -> str:
    """One good provider for `claude-*`, and first choices that fail for `first-…`."""
    lines = ["[gateway]", 'host = "127.0.0.1"', f"port = {port}", f'data_dir = "{home / "data"}"']
    routes = [("claude-*", ["canned/*"])]
    places = {"canned": f"http://127.0.0.1:{upstream}"}
    for number in range(FAULTS_MAX):
        for fault in FAULTS:
            name = f"bad-{fault}-{number}"
            url = f"http://127.0.0.1:{upstream}/down" if fault == "529" else NOBODY
            places[name] = url
            stand_in = ["canned/claude-haiku-5"]
            routes.append((faulty(fault, number), [f"{name}/claude-haiku-5", *stand_in]))
    for name, url in places.items():
        lines += ["", f"[providers.{name}]", 'dialect = "anthropic"', f'base_url = "{url}"']
        lines += ['key = "env:BENCH_KEY"', 'kind = "cloud"']
    for glob, targets in routes:
        listed = ", ".join(f'"{target}"' for target in targets)
        lines += ["", "[[routes]]", f'model = "{glob}"', f"targets = [{listed}]"]
    return "\n".join(lines) + "\n"
