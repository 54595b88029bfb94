"""Bringing messages: real servers, real programs, real apprise; failing ones hurt nobody."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from tests.doubles.holes import refused
from tests.net.asking import LOOPS
from tests.net.script_server import ScriptServer, read, send, until_gone

from holdfast.core.telling import Message, Outbox
from holdfast.net import notify
from holdfast.net.dial import Dialer
from holdfast.net.notify import Courier, NotifyError, Sender, apprise, command, desktop, webhook

SECRET = "hook-secret-2718281828"
HOSTILE = Message(
    id="1-1",
    at=1.0,
    kind="opened",
    title="$(touch owned) `touch owned`; -h --help",
    text='<b>bold</b> & "quotes" \'; touch owned #\nsecond line',
)
OK = b"HTTP/1.1 204 No Content\r\n\r\n"


@pytest.fixture(params=sorted(LOOPS), autouse=True)
def loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything on each kind of loop that the gateway may run on."""
    monkeypatch.setattr(sys.modules[__name__], "chosen", request.param)


chosen = ""


def run(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=LOOPS[chosen]) as runner:
        runner.run(work)


def posted(request: bytes) -> tuple[str, dict[str, str], Any]:
    """Request line, headers and JSON of a request."""
    head, _, body = request.partition(b"\r\n\r\n")
    line, *rest = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in rest)}
    return line, headers, json.loads(body)


def why(make: Callable[[Dialer], Sender]) -> str:
    """Why a message was not taken."""
    found: list[str] = []

    async def work() -> None:
        dialer = Dialer()
        with pytest.raises(NotifyError) as caught:
            await make(dialer)(HOSTILE)
        found.append(str(caught.value))
        dialer.close()

    run(work())
    assert SECRET not in found[0]
    return found[0]


# ------------------------------------------------------------ webhooks


def test_a_webhook_gets_the_message_as_json_with_its_secret() -> None:
    with ScriptServer([read(), send(OK)]) as server:

        async def work() -> None:
            dialer = Dialer()
            await webhook(dialer, f"{server.url}/hook?room=1", "x-token", SECRET)(HOSTILE)
            await webhook(dialer, f"{server.url}/", "authorization", SECRET)(HOSTILE)
            await webhook(dialer, server.url)(HOSTILE)
            dialer.close()

        run(work())
        first, second, third = map(posted, server.requests)
    assert first[0] == "POST /hook?room=1 HTTP/1.1"
    assert first[1]["x-token"] == SECRET
    assert first[1]["content-type"] == "application/json"
    assert first[2]["title"] == HOSTILE.title
    assert first[2]["text"] == HOSTILE.text
    assert (first[2]["id"], first[2]["kind"]) == ("1-1", "opened")
    assert second[1]["authorization"] == f"Bearer {SECRET}"
    assert "authorization" not in third[1]


def test_an_answer_that_is_no_yes_is_a_failure_with_its_status() -> None:
    with ScriptServer(
        [read(), send(b"HTTP/1.1 500 Oops\r\ncontent-length: 2\r\n\r\nno")]
    ) as server:
        assert why(lambda dialer: webhook(dialer, server.url, "x-token", SECRET)) == (
            "it answered HTTP 500"
        )


def test_a_redirect_is_not_followed() -> None:
    with ScriptServer([read(), send(OK)]) as other:
        to = f"HTTP/1.1 307 Go\r\nlocation: {other.url}/\r\ncontent-length: 0\r\n\r\n".encode()
        with ScriptServer([read(), send(to)]) as server:
            found = why(lambda dialer: webhook(dialer, server.url, "x-token", SECRET))
        assert other.requests == []
    assert found == "it redirects (HTTP 307), and that is not followed"


def test_a_slow_one_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "LIMIT_S", 0.1)
    with ScriptServer([read(), until_gone()]) as server:
        found = why(lambda dialer: webhook(dialer, server.url, "x-token", SECRET))
    assert "no answer within the time" in found


def test_nobody_there() -> None:
    with refused() as url:
        assert "connection refused" in why(lambda dialer: webhook(dialer, url, "x-token", SECRET))


def test_an_endless_answer_to_a_message_that_was_taken_is_cut_and_fine() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n"
    with ScriptServer([read(), send(head), until_gone()]) as server:

        async def work() -> None:
            dialer = Dialer()
            await webhook(dialer, server.url)(HOSTILE)
            dialer.close()

        run(work())


# ------------------------------------------------------------ programs


def program(folder: Path, name: str, text: str) -> Path:
    """A real program of this name; what it is given lies in `seen` afterwards."""
    file = folder / name
    file.write_text(f"#!{sys.executable}\nimport json, os, sys, time\n{text}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return file


RECORD = """\
seen = {"argv": sys.argv[1:], "stdin": sys.stdin.read()}
open("seen", "w").write(json.dumps(seen))"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def environ(folder: Path, **more: str) -> dict[str, str]:
    return {"PATH": str(folder), **more}


def seen(folder: Path) -> Any:
    return json.loads((folder / "seen").read_text())


def test_the_desktop_of_linux_is_given_words_and_no_script(folder: Path) -> None:
    program(folder, "notify-send", RECORD)
    sender = desktop(environ(folder, DISPLAY=":0"), "linux")
    assert not isinstance(sender, str)
    run(sender(HOSTILE))  # type: ignore[arg-type]
    assert seen(folder)["argv"] == [
        "--urgency=normal",
        "--app-name=holdfast",
        "--",
        HOSTILE.title,
        '&lt;b&gt;bold&lt;/b&gt; &amp; "quotes" \'; touch owned #\nsecond line',
    ]
    assert not (folder / "owned").exists()


def test_the_desktop_of_macos_gets_the_texts_behind_the_script(folder: Path) -> None:
    program(folder, "osascript", RECORD)
    sender = desktop(environ(folder), "darwin")
    assert not isinstance(sender, str)
    run(sender(HOSTILE))  # type: ignore[arg-type]
    flag, script, *texts = seen(folder)["argv"]
    assert (flag, texts) == ("-e", [HOSTILE.title, HOSTILE.text])
    assert "touch" not in script


def test_no_desktop_is_a_sentence_and_no_error(folder: Path) -> None:
    assert "install libnotify" in str(desktop(environ(folder, DISPLAY=":0"), "linux"))
    assert "osascript is not installed" in str(desktop(environ(folder), "darwin"))
    program(folder, "notify-send", RECORD)
    assert "no desktop session" in str(desktop(environ(folder), "linux"))


def test_a_program_of_ones_own_gets_json_on_stdin(folder: Path) -> None:
    words = [str(program(folder, "mine", RECORD)), "an argument"]
    run(command(words, environ(folder))(HOSTILE))  # type: ignore[arg-type]
    found = seen(folder)
    assert found["argv"] == ["an argument"]
    assert json.loads(found["stdin"])["text"] == HOSTILE.text


def test_programs_that_fail(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(command([str(program(folder, "deaf", ""))], environ(folder))(HOSTILE))  # type: ignore[arg-type]

    def told(words: list[str]) -> str:
        return why(lambda _: command(words, environ(folder)))

    assert told([str(program(folder, "bad", "sys.exit(3)"))]) == "bad failed with status 3"
    assert told(["not-there"]) == "not-there cannot be started: No such file or directory"
    assert "cannot be started" in told(["nul\0"])
    monkeypatch.setattr(notify, "LIMIT_S", 0.2)
    began = time.monotonic()
    slow = program(folder, "slow", "open('pid', 'w').write(str(os.getpid()))\ntime.sleep(60)")
    assert told([str(slow)]) == "slow did not end within 0.2 s"
    assert time.monotonic() - began < 10
    if (folder / "pid").exists():  # it had come so far
        with pytest.raises(ProcessLookupError):
            os.kill(int((folder / "pid").read_text()), 0)


# ------------------------------------------------------------ apprise

# It reads all its plugins at once, some of which import what Python is about to drop.
theirs = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@theirs
def test_apprise_brings_it(capfd: pytest.CaptureFixture[str]) -> None:
    with ScriptServer([read(), send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")]) as server:
        run(apprise(f"json://127.0.0.1:{server.port}/{SECRET}")(HOSTILE))  # type: ignore[arg-type]
        line, _, body = posted(server.requests[0])
    assert line == f"POST /{SECRET} HTTP/1.1"
    assert (body["title"], body["message"]) == (HOSTILE.title, HOSTILE.text)
    assert capfd.readouterr() == ("", "")


@theirs
def test_apprise_that_fails_shows_no_secret(capfd: pytest.CaptureFixture[str]) -> None:
    with refused() as url:
        port = url.rpartition(":")[2]
        found = why(lambda _: apprise(f"json://127.0.0.1:{port}/{SECRET}"))
    assert found == "apprise could not deliver it"
    assert why(lambda _: apprise(f"nonsense://{SECRET}")) == (
        "apprise does not know a URL like this one"
    )
    assert capfd.readouterr() == ("", "")


def test_without_apprise_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    assert f"{sys.executable} -m pip install apprise" in why(lambda _: apprise(f"json://{SECRET}"))


# ------------------------------------------------------------ the courier


class Clock:
    """The wall clock, turned by hand."""

    wall = 1_000_000.0

    def __call__(self) -> float:
        return self.wall


def test_a_failing_notifier_is_tried_again_and_holds_up_no_other() -> None:
    clock, outbox = Clock(), Outbox()
    taken: list[str] = []
    changes: list[None] = []

    async def works(message: Message) -> None:
        taken.append(message.id)

    async def breaks(_: Message) -> None:
        raise ZeroDivisionError(SECRET)

    async def work() -> None:
        courier = Courier(outbox, wall=clock, changed=lambda: changes.append(None))
        courier.senders |= {"good": works, "bad": breaks}
        for name in ("good", "bad", "gone"):
            outbox.put(HOSTILE, name, clock.wall)
        for wait in (0.0, 30.0, 120.0, 480.0, 1920.0):
            clock.wall += wait
            courier.beat()
            courier.beat()  # what is under way is not started again
            await courier.idle()
        await courier.close()

    run(work())
    assert taken == ["1-1"]
    assert len(changes) == 1 + 5 + 5
    assert outbox.saved == []
    assert set(outbox.alarms) == {"bad", "gone"}
    assert "5 tries; a fault of its own: ZeroDivisionError" in outbox.alarms["bad"]
    assert SECRET not in str(outbox.alarms)


def test_a_real_webhook_that_comes_to_itself_takes_what_waited_in_order() -> None:
    clock, outbox = Clock(), Outbox()
    bad = send(b"HTTP/1.1 503 Later\r\ncontent-length: 0\r\n\r\n")
    with ScriptServer([read(), bad], [read(), send(OK)]) as server:

        async def work() -> None:
            dialer = Dialer()
            courier = Courier(outbox, wall=clock)
            courier.senders["hook"] = webhook(dialer, server.url)
            for number in (1, 2):
                message = Message(id=str(number), at=0.0, kind="opened", title="t", text="t")
                outbox.put(message, "hook", clock.wall)
            for _ in range(3):
                courier.beat()
                await courier.idle()
                clock.wall += 30
            dialer.close()

        run(work())
        assert [posted(request)[2]["id"] for request in server.requests] == ["1", "1", "2"]
    assert outbox.saved == []


def test_what_is_under_way_at_the_end_is_kept_for_the_next_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(notify, "LIMIT_S", 0.02)
    clock, outbox = Clock(), Outbox()

    async def never(_: Message) -> None:
        await asyncio.Event().wait()

    async def work() -> None:
        courier = Courier(outbox, wall=clock)
        courier.senders["slow"] = never
        outbox.put(HOSTILE, "slow", clock.wall)
        courier.beat()
        await courier.idle()  # left after its time
        assert outbox.saved[0].tries == 1
        monkeypatch.setattr(notify, "LIMIT_S", 60.0)
        clock.wall += 30
        courier.beat()
        await asyncio.sleep(0)
        await courier.close()

    run(work())
    assert [one.tries for one in outbox.saved] == [1]
