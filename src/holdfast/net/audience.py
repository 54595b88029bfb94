"""Who listens to one answer: the client that asked, and its own retries that joined the call.

All of them are told the same. What was said is kept while it may be said again: to a retry, which
gets the answer from its first byte.
"""

from __future__ import annotations

from collections.abc import Callable

from holdfast.net.reply import Reply, Told

# Of the answer to a client that may come back. The SDKs do so before its head, seldom after it.
TRANSCRIPT_BYTES_MAX = 1 << 16
# Who reads along seldom comes back for it, and there are many of those at once.
READ_ALONG_BYTES_MAX = 1 << 13


class Audience:
    """The replies to one call. `keeps`: a retry may join it.

    `on_gone` is called when one of them has left, `on_pace` when one may be told more. Neither is
    called from within one of the methods here.
    """

    __slots__ = ("_head", "_transcript", "on_gone", "on_pace", "replies")

    def __init__(self, reply: Reply, *, keeps: bool = False) -> None:
        self.replies: list[Reply] = []
        self.on_gone: Callable[[], None] | None = None
        self.on_pace: Callable[[], None] | None = None
        self._head: tuple[int, Told] | None = None
        self._transcript = bytearray() if keeps else None
        self._listen_to(reply)

    @property
    def joinable(self) -> bool:
        """Whether all that was said so far is still at hand."""
        return self._transcript is not None

    @property
    def writable(self) -> bool:
        """Whether every one of them takes what it is given."""
        return all(reply.writable for reply in self.replies)

    @property
    def begun(self) -> bool:
        """Whether they were told anything, which cannot be taken back."""
        return any(reply.begun for reply in self.replies)

    @property
    def status(self) -> int:
        """What they were told; 0 before that."""
        return self._head[0] if self._head is not None else 0

    def join(self, reply: Reply) -> None:
        """Let one more listen, from the first byte. Only while `joinable`."""
        self._listen_to(reply)
        if self._head is not None:
            reply.begin(*self._head)
            if self._transcript:
                reply.say(bytes(self._transcript))

    def repeat(self, reply: Reply) -> None:
        """Tell one more the answer, which is over. Only while `joinable`."""
        assert self._head is not None  # noqa: S101 - what is over was begun
        reply.send(*self._head, bytes(self._transcript or b""))

    def _listen_to(self, reply: Reply) -> None:
        reply.on_gone = lambda: self._gone(reply)
        reply.on_writable = self._paced
        self.replies.append(reply)

    def _gone(self, reply: Reply) -> None:
        if reply in self.replies:
            self.replies.remove(reply)
        if self.on_gone is not None:
            self.on_gone()

    def _paced(self) -> None:
        if self.on_pace is not None:
            self.on_pace()

    # ------------------------------------------------------------ to all alike

    def send(self, status: int, headers: Told, data: bytes) -> None:
        """The whole answer at once."""
        self._head = (status, headers)
        if not self.replies:  # its client may come back for it
            self.say(data)
        for reply in self.replies:
            reply.send(status, headers, data)

    def begin(self, status: int, headers: Told) -> None:
        """The head of the answer."""
        self._head = (status, headers)
        for reply in self.replies:
            reply.begin(status, headers)

    def say(self, data: bytes) -> bool:
        """Some of the body. Returns whether all of them take more."""
        if self._transcript is not None:
            self._transcript += data
            most = READ_ALONG_BYTES_MAX if self.replies else TRANSCRIPT_BYTES_MAX
            if len(self._transcript) > most:
                self._transcript = None
        writable = True
        for reply in self.replies:
            reply.say(data)
            writable &= reply.writable
        return writable

    def finish(self) -> None:
        """The proper end."""
        for reply in self.replies:
            reply.finish()

    def break_(self) -> None:
        """An end that nobody takes for a proper one."""
        for reply in self.replies:
            reply.break_()

    def let_go(self) -> None:
        """Over: whoever leaves now is nobody's concern."""
        self.on_gone = self.on_pace = None
        for reply in self.replies:
            reply.on_gone = reply.on_writable = None
