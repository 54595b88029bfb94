"""What the configuration's tests share: a good text, and reading one that is not."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import pytest

from holdfast.config.catalogue import catalogue
from holdfast.config.problems import ConfigError, Problem
from holdfast.config.read import Config, parse

CANARY = "sk-canary-3141592653589793238462"
KNOWN = catalogue()
ENVIRON = {"WORK_KEY": CANARY, "OPENAI_API_KEY": f"{CANARY}-openai"}

GOOD = """\
[gateway]
host = "127.0.0.1"
port = 4242
data_dir = "/tmp/holdfast"
keys = "off"

[limits]
connect_s = 2
idle_s = 30.5

[providers.work]
dialect = ["openai", "anthropic"]
base_url = "https://llm.example.com/team/v1/"
key = "env:WORK_KEY"
status_page = "https://status.example.com"
kind = "cloud"
serves = ["house-*"]

[[providers.work.models]]
model = "house-*"
context_tokens = 128_000
tools = true
vision = false

[providers.openai]

[providers.ollama]

[[routes]]
model = "claude-*"
targets = ["work/house-large", "openai/*", "ollama/qwen3-coder:30b"]

[[routes]]
model = "*"
targets = ["openai/*"]
"""


def good(text: str, environ: Mapping[str, str] = ENVIRON) -> Config:
    return parse(textwrap.dedent(text), environ, entries=KNOWN)


def problems(text: str, environ: Mapping[str, str] = ENVIRON) -> list[Problem]:
    """All that is wrong with a text; each can be put right, and none shows a key."""
    with pytest.raises(ConfigError) as caught:
        parse(textwrap.dedent(text), environ, entries=KNOWN)
    error = caught.value
    assert CANARY not in f"{error} {error!r}"
    for problem in error.problems:
        assert problem.what
        assert problem.remedy
        assert str(problem).isprintable()
        assert str(problem) in str(error)
    return list(error.problems)


def problem(text: str, environ: Mapping[str, str] = ENVIRON) -> Problem:
    """The one thing that is wrong with a text."""
    found = problems(text, environ)
    assert len(found) == 1, [str(each) for each in found]
    return found[0]
