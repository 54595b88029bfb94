"""The matrix judges well: what is not installed is not tested by it, but the judge is."""

from __future__ import annotations

import json

import pytest
from tests.matrix.__main__ import Outcome, judge, table
from tests.matrix.clients import CLIENTS
from tests.matrix.installing import pins, versions
from tests.matrix.model import BEGIN, CITY, END, SPOKEN, UNICODE, Call, Cell, Seen, answer

from holdfast.config.tools import known

CLAUDE = CLIENTS[0]
WHOLE = f"{BEGIN} one two {END}"


def played(name: str, *seen: tuple[object, str]) -> Cell:
    told = [Seen("/v1/x", {"said": said}, True, got) for said, got in seen]
    return Cell(name, seen=told)


@pytest.mark.parametrize(
    ("cell", "code", "said", "kind"),
    [
        (played("plain", ("hi", WHOLE)), 0, WHOLE, "ok"),
        (played("plain", ("hi", WHOLE)), 1, WHOLE, "FAIL"),
        (played("plain", ("hi", WHOLE)), None, WHOLE, "FAIL"),
        (played("plain", ("hi", WHOLE)), 0, BEGIN, "FAIL"),
        (played("plain"), 0, WHOLE, "FAIL"),
        (played("unicode", (UNICODE, "")), 0, json.dumps(f"{UNICODE} {END}"), "ok"),
        (
            played("streamed", ("hi", WHOLE)),
            0,
            "\n".join(
                json.dumps({"content": part, "delta": True}, separators=(",", ":"))
                for part in (WHOLE[:30], WHOLE[30:])
            ),
            "ok",
        ),
        (played("unicode", ("Z?rich", "")), 0, f"{UNICODE} {END}", "FAIL"),
        (played("tools", ("hi", "calls"), ("kingfisher", WHOLE)), 0, WHOLE, "ok"),
        (played("tools", ("hi", WHOLE)), 0, WHOLE, "FAIL"),
        (played("tools", ("hi", "calls"), ("nothing", WHOLE)), 0, WHOLE, "FAIL"),
        (played("parallel", ("hi", "calls"), ("kingfisher", WHOLE)), 0, WHOLE, "FAIL"),
        (played("structured", ("hi", "")), 0, str(CITY), "FAIL"),
        (played("structured"), 1, "(up/m: not asked: tool_choice: none such). Whose", "limit"),
        (played("structured"), 1, "(up/m: not asked: messages: odd). Whose", "FAIL"),
        (played("403", ("hi", "")), 1, "403 Forbidden", "ok"),
        (played("cut", ("hi", "")), 0, BEGIN, "FAIL"),
        (played("cut", ("hi", "")), 0, WHOLE, "ok"),
        (played("529", ("hi", "")), 0, "", "FAIL"),
    ],
)
def test_what_a_cell_comes_to(cell: Cell, code: int | None, said: str, kind: str) -> None:
    assert judge(CLAUDE, cell, code, said)[0] == kind


def test_tools_are_called_once_and_then_the_answer_follows() -> None:
    cell = Cell("parallel", {"Read": ({"p": "one"}, {"p": "two"})})
    offered = {"tools": [{"name": "Read"}], "messages": ["read both"]}
    calls = answer(cell, offered)
    assert [call.args for call in calls if isinstance(call, Call)] == [{"p": "one"}, {"p": "two"}]
    assert END in answer(cell, {**offered, "messages": ["kingfisher", "heron"]})
    assert END in answer(cell, {"messages": ["a title, please"]})


@pytest.mark.parametrize("dialect", SPOKEN)
def test_a_stream_of_the_model_says_what_its_whole_answer_says(dialect: str) -> None:
    body = {"model": "m", "messages": []}
    said = b"".join(SPOKEN[dialect].stream(body, [Call("c1", "Read", {"p": "one"})])).decode()
    assert "Read" in said
    assert "Read" in json.dumps(SPOKEN[dialect].whole(body, [Call("c1", "Read", {"p": "one"})]))


def test_the_versions_in_the_tools_data_are_those_that_are_pinned() -> None:
    tools, pinned = known(), versions()
    for client in CLIENTS:
        tool = tools.get(client.name)
        if client.through_run and tool is not None and tool.tested:
            assert tool.tested[-1] == pinned[client.package], client.name


def test_every_client_is_pinned() -> None:
    both = pins()
    for client in CLIENTS:
        assert client.package in both["npm" if client.from_npm else "pip"], client.name


def test_the_table_shows_every_cell() -> None:
    rows = {"a → b": {"plain": Outcome("limit", "it always streams"), "cut": Outcome("FAIL", "x")}}
    head, _, row = table(rows, ["plain", "cut"]).splitlines()
    assert head.split("|")[2:4] == [" plain ", " cut "]
    assert [part.strip() for part in row.split("|")[1:4]] == ["a → b", "–", "FAIL"]
