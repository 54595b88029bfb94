"""`holdfast status --line`: one line for a shell's prompt or a status line.

A prompt waits for it: nothing heavy is imported, the configuration is looked at for the gateway's
address alone, and a gateway that does not answer at once counts as none.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
from typing import Any

from holdfast.config.whereabouts import gateway_address

WIDTH = 80
PATIENCE_S = 1.0
_MAX_BYTES = 8 << 20
# For so long an end is worth a word.
FRESH_S = 600.0
EXITS = {"well": 0, "them": 10, "you": 11, "mixed": 12, "unknown": 13}
WHOSE = {
    "provider": "them",
    "account": "your account",
    "request": "the request",
    "network": "the network",
    "local": "your engine",
    "intermediary": "in between",
}


def command(words: argparse.Namespace) -> int:
    """As `holdfast status`: 0, 10 to 13; 1 and "holdfast off" where no gateway answers."""
    try:
        host, port = gateway_address(words.config, os.environ)
    except (OSError, ValueError):
        say("○ holdfast: its configuration cannot be read (holdfast check)")
        return 2
    status = ask(host, port)
    if status is None:
        say("holdfast off")
        return 1
    say(line(status))
    return EXITS.get(str(status.get("blame")), 13)


def say(text: str) -> None:
    """Print it on any terminal: what its encoding lacks becomes a question mark."""
    encoding = sys.stdout.encoding or "ascii"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding) + "\n")


def ask(host: str, port: int) -> dict[str, Any] | None:
    """The gateway's status; None where there is none at once."""
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    request = f"GET /-/status.json HTTP/1.1\r\nhost: {where}\r\nconnection: close\r\n\r\n"
    data = bytearray()
    try:
        with socket.create_connection((host, port), PATIENCE_S) as sock:
            sock.sendall(request.encode())
            while (part := sock.recv(65_536)) and len(data) < _MAX_BYTES:
                data += part
        head, _, body = bytes(data).partition(b"\r\n\r\n")
        found = json.loads(body) if head.startswith(b"HTTP/1.1 200 ") else None
    except (OSError, ValueError, RecursionError):  # not there, or not ours
        return None
    return found if isinstance(found, dict) else None


def line(status: dict[str, Any]) -> str:
    """A status in at most 80 characters; what does not fit is left out, the least telling first."""
    at = float(status.get("at") or 0.0)
    incidents = status.get("incidents") or []
    troubled = [one for one in incidents if one.get("resolved") is None]
    if troubled:
        return fitted(*trouble(troubled, at))
    rows = [
        row for row in status.get("segments") or [] if row.get("state") in ("down", "probation")
    ]
    if rows:
        first, more = rows[0], f" +{len(rows) - 1}" if len(rows) > 1 else ""
        whose = WHOSE.get(first.get("whose") or "", "not clear yet")
        since = brief(at - float(first.get("since") or at))
        return fitted(f"◐ {part(first['segment'])} failing {since}{more}", f" ({whose})")
    suspected = status.get("suspected") or []
    if suspected:
        since = brief(at - float(suspected[0].get("since") or at))
        return fitted(f"◐ {parts(suspected[0])} suspected {since}")
    fresh = [one for one in incidents if at - float(one.get("resolved") or 0.0) < FRESH_S]
    if fresh:
        since = brief(at - float(fresh[0]["resolved"]))
        return fitted("● holdfast ok", f"; {parts(fresh[0])} came back {since} ago")
    return "● holdfast ok"


def trouble(incidents: list[dict[str, Any]], at: float) -> tuple[str, str, str]:
    """What must be said of open incidents; who stands in; when the first may be over."""
    first = incidents[0]
    more = f" +{len(incidents) - 1}" if len(incidents) > 1 else ""
    sure = min(99, round(100 * float(first.get("confidence") or 0.0)))
    whose = WHOSE.get(first.get("whose") or "")
    blamed = f"{whose} {sure}%" if whose else "not clear yet"
    since = brief(at - float(first.get("since") or at))
    stood = first.get("stood_in") or []
    head = f"○ {parts(first)} down {since} ({blamed}){more}"
    span = back_in(first.get("eta"))
    return (
        head,
        f" → {str(stood[0]).partition('/')[0]}" if stood else "",
        f"; {span}" if span else "",
    )


def fitted(head: str, *more: str) -> str:
    """The head with as many of the rest, from the left, as fit; plain text on one line."""
    text = head
    for rest in more:
        if len(text) + len(rest) <= WIDTH:
            text += rest
    text = "".join(char if char.isprintable() else "?" for char in text)
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"


def part(segment: dict[str, Any]) -> str:
    """A segment in words, without its credential; as `core.letters.part`, but light to import."""
    names = (segment.get(name) for name in ("provider", "surface", "model"))
    return " ".join(str(name) for name in names if name and name != "*") or "the network here"


def parts(incident: dict[str, Any]) -> str:
    """An incident's segments in few words: the first, and how many more."""
    names = list(dict.fromkeys(part(one) for one in incident.get("segments") or []))
    more = f" +{len(names) - 1}" if len(names) > 1 else ""
    return (names[0] if names else str(incident.get("id", "something"))) + more


def back_in(eta: object) -> str:
    """When it may be over, as a range from the 10 % to the 90 % quantile; empty: not known."""
    quantiles = eta.get("quantiles_min") if isinstance(eta, dict) else None
    if not isinstance(eta, dict) or not isinstance(quantiles, dict) or eta.get("useful") is False:
        return ""
    if not {"10", "90"} <= quantiles.keys():
        return ""
    low, high = (brief(60 * float(quantiles[name])) for name in ("10", "90"))
    return f"back in {low}–{high}" if low != high else f"back in about {low}"


def brief(seconds: float) -> str:
    """A duration in one number: 45s, 12m, 3h, 2d."""
    seconds = max(0.0, seconds)
    if seconds < 90:
        return f"{seconds:.0f}s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f}m"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.0f}h"
    return f"{seconds / 86_400:.0f}d"
