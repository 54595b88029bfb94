"""One client's connection: requests in, one after the other, and their replies out.

On a request's way there is no task, no future and no timer: deadlines are plain numbers that the
listener's sweep looks at. A request behind another waits for its turn, and reading pauses while
too much does.
"""

from __future__ import annotations

import asyncio
import math
import select
import socket
import struct
from collections.abc import Callable
from typing import Protocol, cast

from holdfast.net.cork import Cork
from holdfast.net.doorman import Doorman, Refusal
from holdfast.net.familiar import Familiar
from holdfast.net.intake import Bounds, Intake
from holdfast.net.reply import Reply, Request

Handler = Callable[[Request, Reply], None]

# What may wait unread behind a request that is being answered, in bytes.
WAITING_MAX = 65_536
# When the house closes: how long a connection that never asked anything may still begin to.
FRESH_S = 0.1

_RESET_AT_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s
_JSON = ((b"content-type", b"application/json"), (b"x-content-type-options", b"nosniff"))
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# Pieces of an answer beyond this are not held back.
_LARGE = 1 << 14

# What a connection waits for.
_FRESH, _IDLE, _HEAD, _BODY, _BUSY, _LINGERING = range(6)


class House(Protocol):
    """The listener, as far as a connection needs it."""

    bounds: Bounds
    cork: Cork
    doorman: Doorman
    draining: bool
    familiar: Familiar
    handler: Handler
    now: Callable[[], float]

    def arrived(self, guest: Guest) -> None:
        """It is open."""

    def left(self, guest: Guest) -> None:
        """It is closed; called once."""

    def refused(self, status: int) -> None:
        """It was told why not."""

    def crashed(self, error: Exception, request: Request | None) -> None:
        """Our own code failed on it."""


class Guest(asyncio.Protocol):
    """A connection."""

    __slots__ = (
        "_current",
        "_deadline",
        "_full",
        "_house",
        "_intake",
        "_moved_at",
        "_paused",
        "_peer",
        "_phase",
        "_pumping",
        "_since",
        "_taken",
        "_transport",
        "_waiting",
        "_written",
    )

    def __init__(self, house: House) -> None:
        self._house = house
        self._transport: asyncio.Transport = _NOWHERE
        self._intake = Intake(house.doorman, house.bounds, house.familiar)
        self._peer = ""
        self._waiting = b""  # behind what the intake has read
        self._current: Reply | None = None
        self._pumping = False
        self._phase = _FRESH
        self._since = 0.0  # when the body began
        self._deadline = math.inf
        self._written = 0  # bytes given to the client so far
        self._taken = 0  # of that, what the kernel had taken when the client last took any
        self._moved_at = 0.0
        self._full = False
        self._paused = False  # reading is

    # ------------------------------------------------------------ the transport's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        house = self._house
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=house.bounds.max_buffered)
        peer = transport.get_extra_info("peername")
        if peer:
            self._peer = f"[{peer[0]}]:{peer[1]}" if ":" in peer[0] else f"{peer[0]}:{peer[1]}"
        self._moved_at = house.now()
        self._deadline = self._moved_at + house.bounds.header_s
        house.arrived(self)

    def data_received(self, data: bytes) -> None:
        intake = self._intake
        if intake.closed:
            return
        if self._current is not None or intake.ready or self._waiting:
            self._waiting += data
            if len(self._waiting) > WAITING_MAX:
                self._paused = True
                self._transport.pause_reading()
            return
        self._waiting = intake.feed(data)
        if intake.ready:
            self._pump()
        else:
            self._await()

    def eof_received(self) -> None:
        """Whoever closes its half has left: a reply under way is for nobody."""
        if self._current is not None:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - gone is gone
        self._intake.close()
        self._waiting = b""
        self._house.left(self)
        reply, self._current = self._current, None
        if reply is not None and not reply.ended:
            reply.ended = True
            reply.on_writable = None
            gone, reply.on_gone = reply.on_gone, None
            if gone is not None:
                gone()

    def pause_writing(self) -> None:
        self._full = True
        if self._current is not None:
            self._current.writable = False

    def resume_writing(self) -> None:
        self._full = False
        reply = self._current
        if reply is not None and not reply.ended:
            reply.writable = True
            if reply.on_writable is not None:
                reply.on_writable()

    # ------------------------------------------------------------ answering

    def _pump(self) -> None:
        """Answer what is whole, one by one; read on where nothing is."""
        intake = self._intake
        self._pumping = True
        while self._current is None and not self._transport.is_closing():
            if intake.ready:
                self._answer(intake.ready.pop(0))
            elif self._waiting and not intake.closed:
                self._waiting = intake.feed(self._waiting)
            else:
                break
        self._pumping = False
        if self._paused and len(self._waiting) <= WAITING_MAX:
            self._resume()
        if self._current is None:
            self._await()

    def _answer(self, task: Request | Refusal) -> None:
        if isinstance(task, Refusal):
            crash, self._intake.crash = self._intake.crash, None
            self.turn_away(task)
            if crash is not None:
                self._house.crashed(crash, None)
            return
        self._phase = _BUSY
        self._deadline = math.inf
        task.peer = self._peer
        task.received_at = self._house.now()
        reply = self._reply(
            head_only=task.method == "HEAD", http10=task.http10, keep_alive=task.keep_alive
        )
        try:
            self._house.handler(task, reply)
        except Exception as error:  # noqa: BLE001 - supervisor: a crash ends this request only
            if reply.begun:
                reply.break_()
            else:
                ours = "holdfast: its own code failed on this request; others are not concerned."
                reply.send(500, _JSON, Refusal(500, ours, task.path).body())
            self._house.crashed(error, task)

    def _reply(self, *, head_only: bool, http10: bool, keep_alive: bool) -> Reply:
        reply = Reply(self, head_only=head_only, http10=http10, keep_alive=keep_alive)
        reply.writable = not self._full
        self._current = reply
        return reply

    def write(self, data: bytes) -> None:
        """Give the client these bytes, behind all that it was given before."""
        self._written += len(data)
        self._house.cork.write(self._transport, data)
        if (
            len(data) > _LARGE
        ):  # or one turn could pour out a long answer, and nobody saw it pile up
            self._house.cork.flush()

    def turn_away(self, refusal: Refusal) -> None:
        """Say why not, and close."""
        self._house.refused(refusal.status)
        self._intake.closed = True
        reply = self._reply(head_only=self._intake.head_only, http10=False, keep_alive=False)
        reply.send(refusal.status, _JSON, refusal.body())

    @property
    def last(self) -> bool:
        """Whether no request is read behind the current one anyway."""
        return self._house.draining

    def done(self, reply: Reply) -> None:
        """The current reply is whole: close, or go on to the next request."""
        if reply is not self._current:
            return
        self._current = None
        if reply.close_after or self._house.draining:
            self._linger()
        elif not self._pumping:
            if self._waiting or self._intake.ready:
                # Not from within whoever ended the reply: the next request is not its business.
                asyncio.get_running_loop().call_soon(self._pump)
            else:
                self._await()

    def broken(self, *, reset: bool) -> None:
        """The current reply must be seen to have broken off."""
        self._current = None
        if not reset:
            self._linger()
            return
        self._intake.closed = True
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
        self._house.cork.flush()
        self._transport.close()  # not before all of it is written

    def _linger(self) -> None:
        """Send what there is and a FIN, then read into the void until the client closes too.

        Closing at once, with something of the client's unread, would make a reset of it, and
        that may overtake the reply.
        """
        self._intake.closed = True
        self._intake.ready.clear()
        self._waiting = b""
        self._phase = _LINGERING
        self._deadline = self._house.now() + self._house.bounds.linger_s
        self._resume()
        if not self._transport.is_closing():
            self._house.cork.flush()
            self._transport.write_eof()

    def _resume(self) -> None:
        self._paused = False
        transport = self._transport
        if not transport.is_closing() and not transport.is_reading():
            transport.resume_reading()

    # ------------------------------------------------------------ time

    def _await(self) -> None:
        """Nothing is being answered: set the deadline for what has to come next."""
        intake, bounds = self._intake, self._house.bounds
        if intake.closed:
            return
        now = self._house.now()
        if intake.head is not None:
            if self._phase != _BODY:
                self._phase = _BODY
                self._since = now
                self._deadline = now + bounds.body_grace_s
                if intake.head.wants_100 and not intake.body_bytes:
                    self.write(_CONTINUE)
        elif intake.begun:
            if self._phase == _FRESH:  # its deadline counts from the connection's beginning
                self._phase = _HEAD
            elif self._phase != _HEAD:
                self._phase = _HEAD
                self._deadline = now + bounds.header_s
        else:
            self._phase = _IDLE
            self._deadline = now + bounds.idle_s

    def look(self, now: float) -> None:
        """Has a deadline passed, or has the client stopped taking what it asked for?"""
        buffered = self._transport.get_write_buffer_size()
        taken = self._written - buffered
        if not buffered or taken != self._taken:
            self._taken = taken
            self._moved_at = now
        elif now - self._moved_at >= self._house.bounds.stalled_s:
            self.abort()
            return
        if len(self._waiting) > WAITING_MAX and self._left_unseen():
            self.abort()
            return
        if now < self._deadline:
            return
        if buffered:  # it is still reading, which is no idling
            self._deadline = now + self._house.bounds.linger_s
        elif self._phase == _BODY:
            self._look_at_body(now)
        elif self._phase == _HEAD and self._intake.named_a_target:
            seconds = self._house.bounds.header_s
            self.turn_away(Refusal(408, f"holdfast: no whole head came within {seconds:g} s."))
        elif self._phase == _LINGERING:
            self.abort()
        else:
            self._house.cork.flush()
            self._transport.close()

    def _left_unseen(self) -> bool:
        """Whether the client left while reading is paused, when the loop does not tell."""
        sock = self._transport.get_extra_info("socket")
        if sock is None or not hasattr(select, "POLLRDHUP"):  # Linux has it
            return False
        poll = select.poll()
        poll.register(sock.fileno(), select.POLLRDHUP)
        return bool(poll.poll(0))

    def _look_at_body(self, now: float) -> None:
        bounds, came = self._house.bounds, self._intake.body_bytes
        enough_until = self._since + bounds.body_grace_s + came / bounds.body_rate
        if now < enough_until:
            self._deadline = enough_until
            return
        self.turn_away(
            Refusal(
                408,
                f"holdfast: the body came too slowly: {came} bytes in {now - self._since:.1f} s."
                " Look at the network in between, and send it again.",
            )
        )

    # ------------------------------------------------------------ for the house

    def retire(self) -> None:
        """The house is closing: go when idle, or behind the current reply."""
        if self._phase == _IDLE:
            self._house.cork.flush()
            self._transport.close()
        elif self._phase == _FRESH:
            self._deadline = min(self._deadline, self._house.now() + FRESH_S)

    def abort(self) -> None:
        """Drop the connection now. A reply under way learns that its client is gone."""
        self._intake.closed = True
        self._transport.abort()


# Stands in until the connection is made, so that nothing need ask whether it is.
_NOWHERE = asyncio.Transport()
