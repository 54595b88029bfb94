"""The line of every key, in every way that TOML lets people write one."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.config.lines import Lines, Where

TEXT = '''\
# comment with [brackets] and "quotes
top = 1

[gateway]   # [[not.a.table]]
host = "127.0.0.1" # host = 2
port.number = 3

[providers."my cloud"]
text = """
[not.a.table]
key = 1 \\""" still text
""""
other = \'\'\'
x = """
\'\'\'
'quoted key' = [
  "a", # ] not the end
  "b]",
  { inner = "}" },
]
last = { a = { b = 1 }, c = "\\"" }

[[routes]]
model = "a"
[[routes]]
model = "b"
targets = ["x/y"]
[[routes.parts]]
name = 1
[routes.extra]
deep."er".key = 2
'''

PLACES: list[tuple[Where, int | None]] = [
    (("top",), 2),
    (("gateway",), 4),
    (("gateway", "host"), 5),
    (("gateway", "port", "number"), 6),
    (("gateway", "absent"), 4),
    (("providers",), 8),
    (("providers", "my cloud"), 8),
    (("providers", "my cloud", "text"), 9),
    (("providers", "my cloud", "other"), 13),
    (("providers", "my cloud", "quoted key", 1), 16),
    (("providers", "my cloud", "last", "a", "b"), 21),
    (("routes", 0), 23),
    (("routes", 0, "model"), 24),
    (("routes", 1, "model"), 26),
    (("routes", 1, "targets"), 27),
    (("routes", 1, "parts", 0, "name"), 29),
    (("routes", 1, "extra", "deep", "er", "key"), 31),
    (("absent",), None),
    ((), None),
]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_every_key_is_found_on_its_line(ending: str) -> None:
    tomllib.loads(TEXT)
    lines = Lines(TEXT.replace("\n", ending))
    assert [(where, lines.find(where)) for where, _ in PLACES] == PLACES


names = st.text("ab-_1", min_size=1, max_size=6)
values = st.sampled_from(
    [
        "1",
        '"x = 1"',
        "[\n1,\n2 # ]\n]",
        '"""\n[a]\n"""',
        "'''\nb = 1\n'''",
        "{ a = [1, 2] }",
        "true",
    ]
)
notes = st.sampled_from(["", "# [a]\n", "\n", "  # x = 1\n\n"])


@given(st.dictionaries(names, st.dictionaries(names, st.tuples(values, notes)), max_size=6))
@settings(max_examples=150)
def test_lines_stay_right_whatever_stands_between(
    tables: dict[str, dict[str, tuple[str, str]]],
) -> None:
    """The text is put together with its line numbers counted along."""
    text = ""
    expected: dict[Where, int] = {}
    for name, keys in tables.items():
        expected[(name,)] = text.count("\n") + 1
        text += f"[{name}]\n"
        for key, (value, note) in keys.items():
            text += note
            expected[(name, key)] = text.count("\n") + 1
            text += f"{key} = {value}\n"
    tomllib.loads(text)
    lines = Lines(text)
    assert {where: lines.find(where) for where in expected} == expected


@given(st.text("[]{}\"'=#.\\ab \n", max_size=80))
@settings(max_examples=200)
def test_the_scanner_ends_on_any_text(text: str) -> None:
    assert Lines(text).find(("absent",)) is None
