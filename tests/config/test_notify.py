"""`[notify]`: who is told, of what, when not; secrets come by reference and are never shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.config.checking import CANARY, good, problem, problems

from holdfast.config.notify import Notify
from holdfast.core.telling import Quiet

SIM = "[providers.sim]\n"
ENVIRON = {"TOKEN": CANARY, "HOOK": f"https://hooks.example.com/{CANARY}?a=b", "BAD": "nonsense"}


def notify(text: str) -> Notify:
    return good(SIM + text, ENVIRON).notify


def test_nothing_said_is_the_desktop_where_there_is_one() -> None:
    assert notify("") == Notify()
    assert Notify().desktop is None


def test_everything_said() -> None:
    found = notify(
        """\
[notify]
quiet_hours = "22:00-07:00"
desktop = false
desktop_level = "opened"

[[notify.webhooks]]
url = "https://chat.example.com:8443/hook?room=1"
secret = "env:TOKEN"
level = "resolved"

[[notify.webhooks]]
url = "env:HOOK"
header = "X-Token"
secret = "env:TOKEN"

[[notify.apprise]]
url = "env:HOOK"
level = "opened"

[[notify.commands]]
run = "say 'two words'"
"""
    )
    assert found.quiet == Quiet(1320, 420)
    assert (found.desktop, found.desktop_level) == (False, "opened")
    first, second = found.webhooks
    assert (first.host, first.header, first.level) == (
        "chat.example.com:8443",
        "authorization",
        "resolved",
    )
    assert first.secret is not None
    assert first.secret.reveal() == CANARY
    assert (second.host, second.header, second.level) == ("hooks.example.com", "x-token", "all")
    assert second.url.reveal() == ENVIRON["HOOK"]
    assert (found.apprise[0].reference, found.apprise[0].level) == ("env:HOOK", "opened")
    assert found.commands[0].words == ("say", "two words")
    assert CANARY not in repr(found)


@pytest.mark.parametrize(
    ("line", "key", "word"),
    [
        ('quiet_hours = "late"', "notify.quiet_hours", "span"),
        ('quiet_hours = "22:00-24:00"', "notify.quiet_hours", "clock"),
        ('quiet_hours = "22:60-07:00"', "notify.quiet_hours", "clock"),
        ('quiet_hours = "07:00-07:00"', "notify.quiet_hours", "ends when it begins"),
        ("desktop = 1", "notify.desktop", "true or false"),
        ('desktop_level = "widened"', "notify.desktop_level", "one of"),
        ('dekstop = "x"', "notify.dekstop", "not a key"),
    ],
)
def test_what_is_wrong_with_the_table(line: str, key: str, word: str) -> None:
    found = problem(f"{SIM}[notify]\n{line}\n")
    assert (found.line, found.key) == (3, key)
    assert word in found.what


@pytest.mark.parametrize(
    ("lines", "key", "word"),
    [
        ("", "url", "is missing"),
        ('url = "nonsense"', "url", "not a URL"),
        ('url = "ftp://a.example.com"', "url", "not a URL"),
        ('url = "https://a b"', "url", "not a URL"),
        ('url = "https://a:99999999"', "url", "not a URL"),
        ('url = "https://ä.example.com"', "url", "not a URL"),
        (f'url = "https://me:{CANARY}@a.example.com"', "url", "password"),
        ('url = "http://chat.example.com/x"', "url", "unencrypted"),
        ('url = "http://8.8.8.8/x"', "url", "unencrypted"),
        ('url = "env:BAD"', "url", "not a URL"),
        ('url = "env:NOT_THERE"', "url", "NOT_THERE is not set"),
        (f'url = "https://a.example.com"\nsecret = "{CANARY}"', "secret", "reference"),
        ('url = "https://a.example.com"\nsecret = "none"', "secret", "reference"),
        ('url = "https://a.example.com"\nheader = "x-token"', "header", "without a secret"),
        ('url = "https://a.example.com"\nheader = "host"\nsecret = "env:TOKEN"', "header", "name"),
        ('url = "https://a.example.com"\nheader = "a b"\nsecret = "env:TOKEN"', "header", "name"),
        ('url = "https://a.example.com"\nlevel = "loud"', "level", "one of"),
    ],
)
def test_what_is_wrong_with_a_webhook(lines: str, key: str, word: str) -> None:
    found = [
        each
        for each in problems(f"{SIM}[[notify.webhooks]]\n{lines}\n", ENVIRON)
        if each.key == f"notify.webhooks[0].{key}"
    ]
    assert len(found) == 1
    assert word in found[0].what


@pytest.mark.parametrize("host", ["127.0.0.1:9", "localhost", "[::1]:9", "192.168.1.4", "10.0.0.1"])
def test_plain_http_stays_within_the_house(host: str) -> None:
    assert notify(f'[[notify.webhooks]]\nurl = "http://{host}/x"\n').webhooks[0].level == "all"


def test_a_secret_over_plain_http_is_worth_a_word() -> None:
    text = '[[notify.webhooks]]\nurl = "http://192.168.1.4/"\nsecret = "env:TOKEN"\n'
    (notice,) = good(SIM + text, ENVIRON).notices
    assert "unencrypted" in notice


def test_an_apprise_url_is_a_reference_only() -> None:
    found = problem(f'{SIM}[[notify.apprise]]\nurl = "slack://{CANARY}"\n')
    assert (found.line, found.key) == (3, "notify.apprise[0].url")
    assert "reference" in found.what
    assert problem(f"{SIM}[[notify.apprise]]\n").what == "is missing"


def test_a_command_has_its_quotes_closed() -> None:
    found = problem(f'{SIM}[[notify.commands]]\nrun = "say \'x"\n')
    assert found.key == "notify.commands[0].run"
    assert problem(f"{SIM}[[notify.commands]]\n").what == "is missing"


def test_a_file_that_others_can_read_is_worth_a_word(tmp_path: Path) -> None:
    file = tmp_path / "hook"
    file.write_text("https://hooks.example.com/x\n")
    file.chmod(0o644)
    config = good(f'{SIM}[[notify.webhooks]]\nurl = "file:{file}"\n')
    assert config.notify.webhooks[0].host == "hooks.example.com"
    assert "chmod 600" in config.notices[0]


def test_all_problems_at_once() -> None:
    found = problems(
        f'{SIM}[notify]\nquiet_hours = "x"\n[[notify.webhooks]]\n[[notify.apprise]]\nlevel = 3\n'
    )
    assert [(each.line, each.key) for each in found] == [
        (3, "notify.quiet_hours"),
        (4, "notify.webhooks[0].url"),
        (5, "notify.apprise[0].url"),
        (6, "notify.apprise[0].level"),
    ]


@given(st.integers(0, 1439), st.integers(0, 1439))
def test_every_span_of_two_times_is_read_as_written(start: int, end: int) -> None:
    told = f"{start // 60:02}:{start % 60:02}-{end // 60}:{end % 60:02}"
    text = f'[notify]\nquiet_hours = "{told}"\n'
    if start == end:
        problem(SIM + text)
    else:
        assert notify(text).quiet == Quiet(start, end)
