"""The `[notify]` table: who is told of incidents, of which changes, and when not."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from ipaddress import ip_address
from typing import cast
from urllib.parse import urlsplit

from msgspec import Struct

from holdfast.config import addresses, keys
from holdfast.config.keys import KeySourceError, Secret
from holdfast.config.tables import Table
from holdfast.core.telling import Level, Quiet

LEVELS = ("opened", "resolved", "all")
_REFERENCE = re.compile(r"(env|file|keyring|command):")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_SPAN = re.compile(r"(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})")
# What frames a request or says what is in it is not for a secret.
_TAKEN = {"host", "connection", "content-length", "content-type", "transfer-encoding", "expect"}


class Webhook(Struct, frozen=True, kw_only=True):
    """A URL that messages are posted to. It may itself be the secret; `host` may be shown.

    `header` (lower case, may be empty) carries `secret`, if there is one; `authorization` carries
    it as a bearer token.
    """

    url: Secret
    host: str
    header: str = ""
    secret: Secret | None = None
    level: Level = "all"


class AppriseTarget(Struct, frozen=True, kw_only=True):
    """One URL of the `apprise` package; `reference` says where it comes from, and may be shown."""

    url: Secret
    reference: str
    level: Level = "all"


class CommandTarget(Struct, frozen=True, kw_only=True):
    """A program of the user's own, as words; it gets the message as JSON on its stdin."""

    words: tuple[str, ...]
    level: Level = "all"


class Notify(Struct, frozen=True, kw_only=True):
    """The whole table. `desktop` None: where there is a desktop."""

    quiet: Quiet | None = None
    desktop: bool | None = None
    desktop_level: Level = "all"
    webhooks: tuple[Webhook, ...] = ()
    apprise: tuple[AppriseTarget, ...] = ()
    commands: tuple[CommandTarget, ...] = ()


def notify(table: Table, environ: Mapping[str, str]) -> Notify:
    """The table's meaning; what is wrong with it is noted in its sheet."""
    found = Notify(
        quiet=_quiet(table),
        desktop=table.flag("desktop"),
        desktop_level=_level(table, "desktop_level"),
        webhooks=tuple(filter(None, [_webhook(one, environ) for one in table.tables("webhooks")])),
        apprise=tuple(filter(None, [_apprise(one, environ) for one in table.tables("apprise")])),
        commands=tuple(filter(None, [_command(one) for one in table.tables("commands")])),
    )
    table.close()
    return found


def _quiet(table: Table) -> Quiet | None:
    text = table.text("quiet_hours")
    if text is None:
        return None
    remedy = 'Write it like "22:00-07:00", in local time.'
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        table.wrong("quiet_hours", "is not a span of two times of day", remedy)
        return None
    hours = (int(match[1]), int(match[3]))
    minutes = (int(match[2]), int(match[4]))
    if max(hours) > 23 or max(minutes) > 59:
        table.wrong("quiet_hours", "names a time that no clock shows", remedy)
        return None
    quiet = Quiet(hours[0] * 60 + minutes[0], hours[1] * 60 + minutes[1])
    if quiet.start_min == quiet.end_min:
        what = "ends when it begins, so that nobody could tell always from never"
        table.wrong("quiet_hours", what, "Take it out, or write a span.")
        return None
    return quiet


def _level(table: Table, key: str = "level") -> Level:
    return cast("Level", table.text(key, LEVELS) or "all")


def _webhook(table: Table, environ: Mapping[str, str]) -> Webhook | None:
    text = _demanded(table, "url", 'url = "https://…" or "env:NAME"')
    level = _level(table)
    header = (table.text("header") or "").lower()
    secret = _secret(table, "secret", environ) if "secret" in table else None
    if header and (not _HEADER.fullmatch(header) or header in _TAKEN):
        what = "is not the name of a header that can carry a secret"
        table.wrong("header", what, 'Write it like "authorization".')
    if header and "secret" not in table:
        table.wrong("header", "stands without a secret", 'Add secret = "env:NAME".')
    url = _secret(table, "url", environ) if text and _REFERENCE.match(text) else _literal(text)
    host = _host(table, url) if url is not None else None
    table.close()
    if url is None or host is None:
        return None
    usual = header or ("authorization" if secret is not None else "")
    return Webhook(url=url, host=host, header=usual, secret=secret, level=level)


def _literal(text: str | None) -> Secret | None:
    return Secret(text) if text else None


def _host(table: Table, url: Secret) -> str | None:
    """Host (and port) of a webhook's URL, that may be shown; None where it cannot be used."""
    remedy = "Write https://…; http only to this machine or a private address."
    text = url.reveal()
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
        text.encode("ascii")
    except ValueError:
        table.wrong("url", "is not a URL", remedy)
        return None
    if parts.scheme not in ("http", "https") or not host or not text.isprintable() or " " in text:
        table.wrong("url", "is not a URL that can be posted to", remedy)
        return None
    if parts.username is not None or parts.password is not None or parts.fragment:
        what = "holds a user name, password or fragment"
        table.wrong("url", what, 'Take it out; a secret goes into secret = "env:NAME".')
        return None
    if parts.scheme == "http" and not (addresses.is_loopback(host) or _private(host)):
        table.wrong("url", "is http to a public host: messages would travel unencrypted", remedy)
        return None
    if parts.scheme == "http" and "secret" in table and not addresses.is_loopback(host):
        table.note("secret", "it travels unencrypted to this host.")
    return f"{host}:{port}" if port is not None else host


def _private(host: str) -> bool:
    try:
        return ip_address(host).is_private
    except ValueError:
        return False


def _apprise(table: Table, environ: Mapping[str, str]) -> AppriseTarget | None:
    text = _demanded(table, "url", 'url = "env:NAME"')
    level = _level(table)
    url = _secret(table, "url", environ) if text else None
    table.close()
    if text is None or url is None:
        return None
    return AppriseTarget(url=url, reference=text.strip(), level=level)


def _command(table: Table) -> CommandTarget | None:
    text = _demanded(table, "run", 'run = "program argument"')
    level = _level(table)
    words: list[str] = []
    if text is not None:
        try:
            words = shlex.split(text)
        except ValueError:
            table.wrong("run", "has an unclosed quote", "Close it.")
    table.close()
    return CommandTarget(words=tuple(words), level=level) if words else None


def _demanded(table: Table, key: str, example: str) -> str | None:
    if key not in table:
        table.wrong(key, "is missing", f"Write {example}.")
    return table.text(key)


def _secret(table: Table, key: str, environ: Mapping[str, str]) -> Secret | None:
    """The secret behind a reference. What stands there itself is never quoted back."""
    reference = table.text(key)
    if reference is None:
        return None
    if not _REFERENCE.match(reference):
        what = "must be a reference, because what it stands for is a secret"
        table.wrong(key, what, "Write env:NAME, file:PATH, keyring:NAME or command:CMD.")
        return None
    try:
        secret = keys.resolve(reference.strip(), environ)
    except KeySourceError as trouble:
        table.wrong(key, trouble.what, trouble.remedy)
        return None
    warning = keys.notice(reference)
    if warning is not None:
        table.note(key, f"{warning}.")
    return secret
