"""The real clients: how each is asked for a cell, and what it cannot do by its own nature."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.matrix.installing import PLACE, ROOT
from tests.matrix.model import CITY, UNICODE, Json

CELLS = ("plain", "streamed", "tools", "parallel", "unicode", "structured")
FAULTS = ("403", "429", "529", "cut")
NOTES = {"one.txt": "kingfisher", "two.txt": "heron"}
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "count": {"type": "integer"}},
    "required": ["city", "count"],
    "additionalProperties": False,
}
MODELS = {
    "anthropic": "claude-sonnet-4-5",
    "openai": "gpt-5.1",
    "openai-responses": "gpt-5.1",
    "gemini": "gemini-2.5-pro",
    "ollama": "qwen3:8b",
}
TASKS = {
    "tools": "Read the note one.txt and say what it holds.",
    "parallel": "Read the notes one.txt and two.txt, both at once, and say what they hold.",
    "unicode": f"Say this back: {UNICODE}",
    "structured": "Name a city and a count, as the schema says.",
}


@dataclass(frozen=True, slots=True)
class Room:
    """Where one cell is played: a folder of its own, the gateway, the configuration's file."""

    folder: Path
    url: str
    config: Path
    cell: str

    @property
    def prompt(self) -> str:
        return TASKS.get(self.cell, "Say something.")


@dataclass(frozen=True, slots=True)
class Client:
    """One client. `package` is its pin; `words` the command line for a cell.

    `arguments`: its tools that can be played, with what they are called. `limits`: cells that it
    cannot play, and why; a fault's limit is what it does instead of recovering.
    """

    name: str
    package: str
    dialect: str
    words: Callable[[Room], list[str]]
    arguments: Callable[[Path], dict[str, tuple[Json, ...]]]
    env: dict[str, str] = field(default_factory=dict)
    limits: dict[str, str] = field(default_factory=dict)
    through_run: bool = False
    timeout_s: float = 90.0

    @property
    def is_there(self) -> bool:
        if self.from_npm:
            return (PLACE / "npm" / "node_modules" / self.package).is_dir()
        return (PLACE / self.package / "installed").is_file()

    @property
    def from_npm(self) -> bool:
        return "/" in self.package or self.package in ("ai", "openai", "opencode-ai")


QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "OPENCODE_DISABLE_AUTOUPDATE": "1",
    "OPENCODE_DISABLE_MODELS_FETCH": "1",
    "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
    "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
    "AIDER_ANALYTICS_DISABLE": "true",
    "AIDER_CHECK_UPDATE": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LANGSMITH_TRACING": "false",
    "GEMINI_CLI_NO_RELAUNCH": "true",
    "GEMINI_CLI_TRUST_WORKSPACE": "true",
    "GEMINI_TELEMETRY_ENABLED": "false",
    "NO_COLOR": "1",
}


def environment(room: Room, client: Client) -> dict[str, str]:
    """Nothing of the machine's own homes, keys and settings; no way out but loopback."""
    home = room.folder / "home"
    home.mkdir(exist_ok=True)
    bins = [PLACE / "npm" / "node_modules" / ".bin", PLACE / client.package / "bin"]
    path = os.pathsep.join([*map(str, bins), os.environ["PATH"]])
    xdg = {f"XDG_{kind}_HOME": str(home / kind.lower()) for kind in ("CONFIG", "DATA", "CACHE")}
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    nowhere |= {"NO_PROXY": "127.0.0.1,localhost"}
    nowhere |= {name.lower(): value for name, value in nowhere.items()}
    own = {**QUIET, **nowhere, **xdg, "HOME": str(home), "PATH": path, "LANG": "C.UTF-8"}
    return {**own, "PYTHONPATH": str(ROOT / "src"), **client.env}


# ------------------------------------------------------------------ agents on the command line


def _claude(room: Room) -> list[str]:
    more = ["--json-schema", json.dumps(SCHEMA)] if room.cell == "structured" else []
    form = ["--output-format", "json"]
    if room.cell == "streamed":
        form = ["--output-format", "stream-json", "--verbose", "--include-partial-messages"]
    return ["claude", "-p", room.prompt, "--model", MODELS["anthropic"], *form, *more]


def _claude_tools(folder: Path) -> dict[str, tuple[Json, ...]]:
    return {
        "Read": tuple({"file_path": str(folder / name)} for name in NOTES),
        "StructuredOutput": (CITY,),
    }


def _codex(room: Room) -> list[str]:
    more = []
    if room.cell == "structured":
        (room.folder / "schema.json").write_text(json.dumps(SCHEMA))
        more = ["--output-schema", str(room.folder / "schema.json")]
    flags = ["--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "--json"]
    return ["codex", "exec", *flags, "-m", MODELS["openai-responses"], *more, room.prompt]


def _codex_tools(folder: Path) -> dict[str, tuple[Json, ...]]:
    return {
        "exec_command": tuple({"cmd": f"cat {folder / name}"} for name in NOTES),
        "shell_command": tuple({"command": f"cat {folder / name}"} for name in NOTES),
        "shell": tuple({"command": ["cat", str(folder / name)]} for name in NOTES),
    }


def _opencode(model: str) -> Callable[[Room], list[str]]:
    return lambda room: ["opencode", "run", "--format", "json", "-m", model, room.prompt]


def _opencode_tools(folder: Path) -> dict[str, tuple[Json, ...]]:
    return {"read": tuple({"filePath": str(folder / name)} for name in NOTES)}


def _gemini(room: Room) -> list[str]:
    form = "stream-json" if room.cell == "streamed" else "json"
    return ["gemini", "-m", MODELS["gemini"], "--output-format", form, "-p", room.prompt]


def _gemini_tools(folder: Path) -> dict[str, tuple[Json, ...]]:
    return {"read_file": tuple({"file_path": str(folder / name)} for name in NOTES)}


def _aider(model: str) -> Callable[[Room], list[str]]:
    flags = ["--no-git", "--yes-always", "--no-check-update", "--no-show-model-warnings"]
    flags += ["--no-pretty", "--no-show-release-notes", "--no-detect-urls", "--map-tokens", "0"]

    def words(room: Room) -> list[str]:
        stream = "--no-stream" if room.cell == "plain" else "--stream"
        return ["aider", *flags, stream, "--model", model, "--message", room.prompt]

    return words


NO_TOOLS = dict.fromkeys(("tools", "parallel"), "it calls no tools")


def no_tools(folder: Path) -> dict[str, tuple[Json, ...]]:
    del folder
    return {}


NOTE_TOOL = 'def note(name: str) -> str:\n    """Read a note"""\n    return open(name).read()\n'


def _llm(room: Room) -> list[str]:
    more = ["--no-stream"] if room.cell == "plain" else []
    if room.cell in ("tools", "parallel"):
        more += ["--functions", NOTE_TOOL]
    if room.cell == "structured":
        more += ["--schema", json.dumps(SCHEMA)]
    return ["llm", "prompt", "--no-log", "-m", "gpt-4o-mini", *more, room.prompt]


def _notes(folder: Path) -> dict[str, tuple[Json, ...]]:
    given = tuple({"name": str(folder / name)} for name in NOTES)
    return {"note": given, **dict.fromkeys(("City", "city", "json", "final_result"), (CITY,))}


# ------------------------------------------------------------------ libraries, by a driver each


def python(name: str, package: str) -> Callable[[Room], list[str]]:
    driver = ROOT / "tests" / "matrix" / "drivers" / f"{name}.py"
    interpreter = PLACE / package / "bin" / "python"
    return lambda room: [str(interpreter), "-P", str(driver), room.cell, room.url, room.prompt]


def node(name: str) -> Callable[[Room], list[str]]:
    driver = ROOT / "tests" / "matrix" / "drivers" / f"{name}.mjs"
    return lambda room: ["node", str(driver), room.cell, room.url, room.prompt]


def library(name: str, dialect: str, package: str = "", **limits: str) -> Client:
    package = package or name
    return Client(name, package, dialect, python(name, package), _notes, limits=limits)


def script(name: str, dialect: str, package: str, **limits: str) -> Client:
    where = {"NODE_PATH": str(PLACE / "npm" / "node_modules")}
    return Client(name, package, dialect, node(name), _notes, env=where, limits=limits)


CLIENTS = (
    Client(
        "claude",
        "@anthropic-ai/claude-code",
        "anthropic",
        _claude,
        _claude_tools,
        through_run=True,
        limits={"plain": "it always streams"},
    ),
    Client(
        "codex",
        "@openai/codex",
        "openai-responses",
        _codex,
        _codex_tools,
        through_run=True,
        limits={"plain": "it always streams"},
    ),
    Client(
        "opencode",
        "opencode-ai",
        "anthropic",
        _opencode(f"anthropic/{MODELS['anthropic']}"),
        _opencode_tools,
        through_run=True,
        limits={"plain": "it always streams", "structured": "it asks for no schema"},
    ),
    Client(
        "gemini",
        "@google/gemini-cli",
        "gemini",
        _gemini,
        _gemini_tools,
        through_run=True,
        limits={"plain": "it always streams", "structured": "it asks for no schema"},
    ),
    Client(
        "aider",
        "aider",
        "openai",
        _aider("openai/gpt-4o"),
        no_tools,
        through_run=True,
        limits={**NO_TOOLS, "structured": "it asks for no schema"},
    ),
    Client(
        "aider-anthropic",
        "aider",
        "anthropic",
        _aider(f"anthropic/{MODELS['anthropic']}"),
        no_tools,
        through_run=True,
        limits={**NO_TOOLS, "structured": "it asks for no schema"},
    ),
    Client("llm", "llm", "openai", _llm, _notes, through_run=True),
    library("google-genai", "gemini"),
    library("ollama", "ollama"),
    library("litellm", "openai"),
    library("langchain-anthropic", "anthropic"),
    library("langchain-openai", "openai"),
    library("pydantic-ai", "anthropic"),
    library(
        "instructor", "openai", tools="it only fills schemas", parallel="it only fills schemas"
    ),
    script("anthropic-js", "anthropic", "@anthropic-ai/sdk"),
    script("openai-js", "openai", "openai"),
    script("openai-js-responses", "openai-responses", "openai"),
    script("ai-anthropic", "anthropic", "@ai-sdk/anthropic"),
    script("ai-openai", "openai-responses", "@ai-sdk/openai"),
)


def command(client: Client, room: Room) -> list[str]:
    """The command line of a cell; agents are started by `holdfast run`, as people do."""
    words = client.words(room)
    if not client.through_run:
        return words
    return [sys.executable, "-m", "holdfast", "run", "--config", str(room.config), "--", *words]
