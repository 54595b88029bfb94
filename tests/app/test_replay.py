"""`holdfast replay --jsonl`, as a real process: what comes out of recorded histories, and when."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.app.replay import Line, MalformedError, Replay, read_failure, replay

START = 1_764_000_000.0
OVERLOADED = '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
NO_MEMBER = (
    '{"type":"error","error":{"type":"permission_error","message":'
    '"Your account is no longer a member of the organization."}}'
)
BAD_KEY = '{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}'
Lines = list[dict[str, Any]]


def probe(at: float, surface: str = "messages", **more: Any) -> dict[str, Any]:
    line = {"at": START + at, "kind": "probe", "provider": "anthropic", "surface": surface}
    return line | {"model": "m", "credential": "k1", "ok": True, "status": 200} | more


def bad(at: float, surface: str = "messages", **more: Any) -> dict[str, Any]:
    return probe(at, surface, **({"ok": False, "status": 529, "body": OVERLOADED} | more))


def every(
    minutes: range, make: Callable[..., dict[str, Any]], *surfaces: str, **more: Any
) -> Lines:
    return [
        make(minute * 60.0 + n, surface, **more)
        for minute in minutes
        for n, surface in enumerate(surfaces)
    ]


def ordered(*parts: Lines) -> Lines:
    return sorted((line for part in parts for line in part), key=lambda line: line["at"])


def written(lines: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def ran(data: bytes) -> tuple[int, Lines, str]:
    done = subprocess.run(
        [sys.executable, "-m", "holdfast", "replay", "--jsonl"],
        input=data,
        capture_output=True,
        check=False,
    )
    return (
        done.returncode,
        [json.loads(line) for line in done.stdout.splitlines()],
        (done.stderr.decode()),
    )


def told(lines: Iterable[dict[str, Any]]) -> Lines:
    """The same without a process: what people are told, suspicions left out."""
    out: list[bytes] = []
    complaints: list[str] = []
    assert replay(written(lines).splitlines(keepends=True), out.append, complaints.append) == 0
    assert not complaints
    return [event for line in out if (event := json.loads(line))["event"] != "suspected"]


def surfaces(event: dict[str, Any]) -> set[str | None]:
    return {segment["surface"] for segment in event["segments"]}


def test_the_article() -> None:
    """529 on two surfaces, then a 403 that names the user; the third goes on; the page lags."""
    names = ("messages", "chat")
    history = ordered(
        every(range(60), probe, *names, "models"),
        every(range(60, 64), bad, *names),
        every(range(64, 90), bad, *names, status=403, body=NO_MEMBER),
        every(range(60, 120), probe, "models"),
        every(range(90, 120), probe, *names),
        [{"at": START + 3600, "kind": "status_page", "provider": "anthropic",
          "status": "operational"}],
        [{"at": START + 4800, "kind": "status_page", "provider": "anthropic",
          "status": "incident"}],
    )  # fmt: skip
    code, events, complaints = ran(written(history))
    assert code == 0
    assert not complaints
    assert [event["event"] for event in events if event["event"] != "suspected"] == [
        "opened", "narrowed", "resolved",
    ]  # fmt: skip
    opened = next(event for event in events if event["event"] == "opened")
    assert events[0]["event"] == "suspected"
    assert events[0]["at"] == START + 3600
    assert START + 3600 < opened["at"] <= START + 3600 + 300
    assert surfaces(opened) == {"messages", "chat"}
    assert opened["whose"] == events[-1]["whose"] == "provider"
    assert set(opened) >= {
        "at", "event", "incident", "whose", "segments", "confidence", "because",
    }  # fmt: skip


def test_a_revoked_key_is_the_accounts_and_that_keys_only() -> None:
    history = ordered(
        every(range(60), probe, "messages", "chat"),
        every(range(100), probe, "messages", "chat", credential="k2"),
        every(range(60, 100), bad, "messages", "chat", status=401, body=BAD_KEY),
    )
    (opened,) = told(history)
    assert opened["whose"] == "account"
    assert {segment["credential"] for segment in opened["segments"]} == {"k1"}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, '{"type":"error","error":{"type":"invalid_request_error","message":"bad field"}}'),
        (429, '{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}'),
    ],
)
def test_a_broken_request_and_a_rate_limit_are_no_outage(status: int, body: str) -> None:
    history = ordered(
        every(range(120), probe, "messages"),
        [bad(600 + n * 7.0, kind="traffic", status=status, body=body) for n in range(300)],
    )
    assert not told(history)


def test_sleep_and_waking_are_no_outage() -> None:
    gone = {"kind": "ConnectError", "text": "getaddrinfo failed"}
    history = [
        *every(range(60), probe, "messages"),
        bad(3600),
        {"at": START + 40_000, "kind": "slept", "slept_s": 36_000},
        *(bad(40_001 + n * 5.0, status=None, body=None, exception=gone) for n in range(10)),
        *every(range(668, 700), probe, "messages"),
    ]
    assert not told(history)


def test_offline_is_the_networks() -> None:
    gone = {"kind": "ENOTFOUND", "text": "getaddrinfo ENOTFOUND"}
    names = ("anthropic", "openai", "gemini")
    history = ordered(
        *(every(range(60), probe, "chat", provider=name) for name in names),
        *(
            every(range(60, 80), bad, "chat", provider=name, status=None, body=None, exception=gone)
            for name in names
        ),
        *(every(range(80, 100), probe, "chat", provider=name) for name in names),
        [{"at": START + 3605, "kind": "network", "ok": False}],
        [{"at": START + 4801, "kind": "network", "ok": True, "provider": "*"}],
    )
    events = told(history)
    assert [event["event"] for event in events] == ["opened", "resolved"]
    assert {event["whose"] for event in events} == {"network"}
    assert events[0]["segments"][0]["provider"] is None


def test_every_event_is_out_before_the_next_line_is_read() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "holdfast", "replay", "--jsonl"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(written([*every(range(10), probe, "messages"), bad(600)]))
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["event"] == "suspected"
        process.stdin.close()
        assert process.wait(10) == 0


def test_bad_lines_are_said_and_cost_nothing_else() -> None:
    good = every(range(60), probe, "messages") + every(range(60, 70), bad, "messages")
    lines = written(good).splitlines(keepends=True)
    lines[5:5] = [
        b"{not json}\n",
        b"\n",
        json.dumps(probe(-5)).encode() + b"\n",
        b'{"at": 1e400, "kind": "probe"}\n',
        b'{"at": 1764000300, "kind": "gossip"}\n',
        b'{"at": 1764000300, "kind": "status_page", "status": "on fire"}\n',
        b'{"at": 1764000300, "kind": "probe"}\n',
        b'{"at": 1764000300000, "kind": "probe", "ok": true}\n',
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
    ]
    code, events, complaints = ran(b"".join(lines))
    assert code == 1
    _, wanted, _ = ran(written(good))
    assert events == wanted
    assert "opened" in {event["event"] for event in events}
    for number in (6, 8, 9, 10, 11, 12, 13, 14, 15):
        assert f"line {number} is skipped" in complaints
    assert "line 7 " not in complaints


def test_a_torn_last_line_is_no_error() -> None:
    data = written(every(range(3), probe, "messages"))
    code, _, complaints = ran(data + b'{"at": 1764000300, "ki')
    assert code == 0
    assert "read up to the last whole record" in complaints
    assert ran(data[:-1])[0] == 0  # whole, but for the newline
    assert not ran(data[:-1])[2]


def test_without_jsonl_it_says_how() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "holdfast", "replay"], capture_output=True, check=False
    )
    assert done.returncode == 2
    assert b"--jsonl" in done.stderr


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("ENOTFOUND", "dns"), ("ECONNREFUSED", "refused"), ("EHOSTUNREACH", "unreachable"),
        ("SSLCertVerificationError", "tls"), ("ConnectTimeout", "connect_timeout"),
        ("ReadTimeout", "headers_timeout"), ("ECONNRESET", "reset"), ("garbage", "garbage"),
        ("IncompleteRead", "truncated"), ("something new", "error_event"),
    ],
)  # fmt: skip
def test_exceptions_of_any_client(words: str, kind: str) -> None:
    assert read_failure(None, "", (words, "it broke"), "").kind == kind


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=5) | st.sampled_from(["name", "status"]), inner, max_size=3
        )
    ),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.sampled_from(Line.__struct_fields__), anything, max_size=9).map(
            lambda found: {"at": 1.0, "kind": "probe", "provider": "p", "ok": False} | found
        ),
        max_size=10,
    ),
    st.binary(max_size=30),
)
def test_no_line_can_break_it(lines: Lines, noise: bytes) -> None:
    fold = Replay()
    for data in [json.dumps(line).encode() for line in lines] + [noise]:
        with suppress(MalformedError):
            fold.read(data)
