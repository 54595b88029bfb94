"""Who calls: what follows from a client's headers, worked out once.

A client says the same headers with every request, but for the length of its body. What they mean
is remembered for the clients that are about, in memory only, as their credentials are among it.
"""

from __future__ import annotations

import hashlib

from holdfast.facts.calls import Headers
from holdfast.net.reply import Request
from holdfast.wire.headers import client_credential, to_upstream

CALLERS_MAX = 256
TOOL_CHARS_MAX = 40
# Headers that bear on what is answered: betas, versions, the account that is asked for.
BEARING = (b"anthropic-", b"openai-", b"x-goog-")
COUNT_DIGITS_MAX = 9  # Python refuses to read thousands of them


class Caller:
    """One way of asking.

    `headers` are those that it always says, shared by all its calls, and `outgoing` what of them
    goes on to a target. `credential` is the client's own and how it came, and `mark` tells it from
    others within this process. `bearing`: those that bear on the answer. `tool` is the client's
    name by its user agent, `retry_count` its own count of tries, None where it keeps none.
    """

    __slots__ = ("bearing", "credential", "headers", "mark", "outgoing", "retry_count", "tool")

    def __init__(self, headers: Headers, named: Request, salt: bytes) -> None:
        self.headers = headers
        self.outgoing = to_upstream(headers)
        self.bearing = frozenset(pair for pair in headers if pair[0].startswith(BEARING))
        self.credential = client_credential(headers)
        own = self.credential
        self.mark = hashlib.blake2b(own[1], digest_size=8, key=salt).hexdigest() if own else ""
        self.tool = tool_of(named.header(b"user-agent"))
        retry = named.header(b"x-stainless-retry-count")
        self.retry_count = count_of(retry)


class Callers:
    """The callers that are about. `salt` makes the marks those of this process."""

    __slots__ = ("_known", "_salt")

    def __init__(self, salt: bytes) -> None:
        self._salt = salt
        self._known: dict[Headers, Caller] = {}

    def of(self, request: Request) -> Caller:
        """Who asks this."""
        noted = request.notes.get(self)
        if type(noted) is Caller:
            return noted
        headers = tuple([pair for pair in request.headers if pair[0] != b"content-length"])
        caller = self._known.get(headers)
        if caller is None:
            caller = Caller(headers, request, self._salt)
            if len(self._known) >= CALLERS_MAX:
                self._known.clear()
            self._known[headers] = caller
        request.notes[self] = caller
        return caller


def count_of(retry: bytes | None) -> int | None:
    """A client's own count of its tries; what is no such number is none."""
    if retry is None or not retry.isdigit() or len(retry) > COUNT_DIGITS_MAX:
        return None
    return int(retry)


def tool_of(agent: bytes | None) -> str:
    """The last word before the first slash of a user agent, made safe to show."""
    words = agent.decode("latin-1").split("/")[0].split() if agent else []
    word = words[-1] if words else ""
    return "".join(c for c in word if c.isalnum() or c in "-_.")[:TOOL_CHARS_MAX]
