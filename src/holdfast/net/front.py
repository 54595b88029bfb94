"""The front of the house: a request that came in becomes a call, and a pilot flies it.

Paths decide the dialect and the surface; the query string does not matter. What cannot become a
call (unknown path, malformed body, unknown model) is answered here, in the client's dialect.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import unquote

import msgspec

from holdfast.core.blame import judge, transient
from holdfast.core.budget import Budget
from holdfast.core.entries import exchange_of
from holdfast.core.flight import ATTEMPTS_MAX, Flight, Judge, Policy
from holdfast.core.route import TALK, Affinity, NoRoute, candidates, plan
from holdfast.core.words import ascii_header
from holdfast.facts.calls import Call, Headers
from holdfast.facts.flights import Leg
from holdfast.facts.losses import Lost
from holdfast.facts.outcomes import Failure, Verdict
from holdfast.facts.places import Dialect, Limits, Provider, Route, Surface, Target
from holdfast.net.audience import Audience
from holdfast.net.bypass import Bypass
from holdfast.net.caller import Caller, Callers
from holdfast.net.desk import Desk
from holdfast.net.doors import (
    BATCHES,
    DOORS,
    NAMELESS,
    OF_A_MODEL,
    PAGES,
    STORED,
    Page,
    climbs,
    dialect_of,
    door_of,
    keyed,
    methods_of,
    no_such_door,
)
from holdfast.net.pilot import Pilot
from holdfast.net.reply import Reply, Request
from holdfast.net.shelf import PATIENCE_S, Shelf, listed
from holdfast.wire import speak, stored
from holdfast.wire.ollama import dialect as ollama
from holdfast.wire.retry_after import retry_after_s
from holdfast.wire.speech import Model

CACHED_ROUTES_MAX = 4096
# Who asks for a model's page waits for a moment: SDKs and tools give up after about three seconds.
DETAILS = {"connect_s": 1.0, "headers_s": 1.5, "content_s": 1.5, "whole_s": 1.5}


class Rules:
    """What one configuration says about routing; a reload puts another in its place."""

    __slots__ = ("_theirs", "cache", "limits", "providers", "routes")

    def __init__(
        self, providers: dict[str, Provider], routes: tuple[Route, ...], limits: Limits
    ) -> None:
        self.providers = providers
        self.routes = routes
        self.limits = limits
        self.cache: dict[tuple[str, str, str, str], tuple[Leg, ...] | NoRoute] = {}
        self._theirs = any(provider.key == "client" for provider in providers.values())

    def legs(self, call: Call) -> tuple[Leg, ...] | NoRoute:
        """The legs that the routes name for this call, in order."""
        mark = call.credential_mark if self._theirs else ""
        key = (call.dialect, call.surface, call.model, mark)
        found = self.cache.get(key)
        if found is None:
            found = candidates(self.routes, self.providers, call, self.limits)
            if len(self.cache) >= CACHED_ROUTES_MAX:
                self.cache.clear()
            self.cache[key] = found
        return found


class Front:
    """The data plane's handler. `control` gets everything under `/-/`."""

    def __init__(
        self,
        desk: Desk,
        rules: Rules,
        *,
        budget: Budget,
        affinity: Affinity,
        dice: Callable[[], float],
        prefix: str,
        control: Callable[[Request, Reply], None],
    ) -> None:
        self.desk = desk
        self.rules = rules
        self._budget = budget
        self._affinity = affinity
        self._dice = dice
        self._prefix = prefix
        self._control = control
        self._count = 0
        self.shelf = Shelf(desk)
        self._listing: set[asyncio.Task[None]] = set()
        self.crashes: deque[str] = deque(maxlen=100)
        # Good for telling credentials apart within this process, and for nothing else.
        self._callers = Callers(hashlib.blake2b(prefix.encode(), digest_size=16).digest())
        self.judge: Judge
        self._policy = self._make_policy()

    def __call__(self, request: Request, reply: Reply) -> None:
        """Handle one request of the listener."""
        path = request.path
        door = DOORS.get((request.method, path))
        if door is None and "/models" in path:
            request = keyed(request)
            door = door_of(request.method, path)
        if door is not None:
            self._answer(request, reply, *door)
        elif path.startswith("/-/") or path == "/-":
            self._control(request, reply)
        elif path == "/" and request.method in ("GET", "HEAD"):
            reply.send(200, JSON, b'{"holdfast":"ready","see":"/-/status.json"}\n')
        elif (request.method, path) in PAGES:
            _PAGES[PAGES[request.method, path]](self, request, reply)
        elif climbs(path):
            self._refuse(request, reply, 404, NO_DOOR, no_such_door(request))
        elif path == BATCHES or path.startswith(BATCHES + "/"):
            self._answer(request, reply, "anthropic", "batches")
        elif path.startswith(STORED) or path == stored.CONVERSATIONS:
            self._stored(request, reply)
        elif request.method == "GET" and path.startswith(OF_A_MODEL) and methods_of(path) == "GET":
            self._model(request, reply)
        else:
            status = 405 if methods_of(path) else 404
            self._refuse(request, reply, status, NO_DOOR, no_such_door(request))

    # ---------------------------------------------------------------- calls

    def _stored(self, request: Request, reply: Reply) -> None:
        """About what has a name: ours to say, or the provider's that keeps it."""
        keeper = any(
            stored.DIALECT in provider.dialects and provider.kind == "cloud"
            for provider in self.rules.providers.values()
        )
        found = None
        if not (keeper and request.path == stored.CONVERSATIONS):
            self._count += 1
            found = stored.told(
                request.method,
                request.path,
                request.body,
                self.desk.crossings.conversations,
                at=self.desk.clock(),
                wall=self.desk.wall(),
                name=f"{self._prefix}{self._count:07x}",
                owner=self._callers.of(request).mark,
            )
        if found is None:
            self._answer(request, reply, stored.DIALECT, "stored")
        else:
            reply.send(found.status, JSON, found.body)

    def _answer(self, request: Request, reply: Reply, dialect: Dialect, surface: Surface) -> None:
        try:
            self._call(request, reply, dialect, surface)
        except Exception as error:  # noqa: BLE001 - the house fails open, before the flight too
            call = self._bare(request, dialect, surface)
            self._pass_raw(call, Audience(reply), error)

    def _bare(self, request: Request, dialect: Dialect, surface: Surface) -> Call:
        """The call as far as it can be told when our own code is broken somewhere in here."""
        model, stream = "", False
        if surface not in NAMELESS:
            with suppress(Exception):
                peek = speak.peek(dialect, request.body, request.path)
                model, stream = peek.model, peek.stream
        return self._ask(request, self._callers.of(request), dialect, surface, model, stream=stream)

    def _call(self, request: Request, reply: Reply, dialect: Dialect, surface: Surface) -> None:
        model, stream, body = "", False, request.body
        lost: tuple[Lost, ...] = ()
        if request.method == "POST" and surface not in NAMELESS:
            try:
                written = speak.reshaped(dialect, surface, body)
                if written is not None:
                    body, lost = written.body, written.lost
                peek = speak.peek(dialect, body, request.path)
            except speak.BadBodyError as problem:
                self._refuse(request, reply, 400, INVALID, str(problem), dialect)
                return
            model, stream = peek.model, peek.stream
        caller = self._callers.of(request)
        call = self._ask(request, caller, dialect, surface, model, stream=stream, body=body)
        if lost:
            call = msgspec.structs.replace(call, lost=lost)
        if call.retry_count and self._join(call, caller, reply):
            return
        legs = self.rules.legs(call)
        if isinstance(legs, NoRoute):
            self._refuse(request, reply, 404, NO_MODEL, legs.text, dialect, call=call)
            return
        if dialect == stored.DIALECT and self._goes_on_from_nothing(call, legs, reply):
            return
        pause_s = self.desk.pause_s(call)
        if pause_s:
            self._slow(call, caller, legs, reply, pause_s)
        else:
            self._fly(call, caller, legs, reply)

    def _goes_on_from_nothing(self, call: Call, legs: tuple[Leg, ...], reply: Reply) -> bool:
        """Answer a call that continues what nobody knows, or what is somebody else's."""
        found = stored.unknown(
            call.body,
            self.desk.crossings.conversations,
            at=call.at,
            owner=call.credential_mark,
            keeper=any(leg.dialect == call.dialect for leg in legs),
        )
        if found is None:
            return False
        because = "it goes on from what is not known here"
        told = (found.status, (*JSON, *_no_use(INVALID)), found.body)
        self._tell(call, reply, told, because, verdict=_verdict(INVALID))
        return True

    def _slow(
        self, call: Call, caller: Caller, legs: tuple[Leg, ...], reply: Reply, pause_s: float
    ) -> None:
        """Its tool asks on and on: this one waits, unless its client leaves meanwhile."""

        held = self.desk.held

        def let_go() -> None:
            timer.cancel()
            held.discard(end)
            reply.on_gone = None

        def end() -> None:
            let_go()
            self._pilot(call, caller, legs, reply, slowed_s=pause_s).stop()

        def go() -> None:
            let_go()
            late = msgspec.structs.replace(call, at=self.desk.clock())
            try:
                self._fly(late, caller, legs, reply, slowed_s=pause_s)
            except Exception as error:  # noqa: BLE001 - the house fails open, here too
                self._pass_raw(call, Audience(reply), error)

        timer = asyncio.get_running_loop().call_later(pause_s, go)
        reply.on_gone = let_go
        held.add(end)

    def _fly(
        self,
        call: Call,
        caller: Caller,
        legs: tuple[Leg, ...],
        reply: Reply,
        *,
        slowed_s: float = 0.0,
    ) -> None:
        self._pilot(call, caller, legs, reply, slowed_s=slowed_s).take_off()

    def _pilot(
        self,
        call: Call,
        caller: Caller,
        legs: tuple[Leg, ...],
        reply: Reply,
        *,
        slowed_s: float = 0.0,
    ) -> Pilot:
        desk = self.desk
        sticky = None
        if self._affinity:
            digest = speak.conversation(call.dialect, call.body)
            sticky = self._affinity.target(digest, call.at)
        chosen = plan(call, legs, desk.board, sticky=sticky)
        flight = Flight(call, chosen, self._policy)
        because = chosen.because
        if slowed_s:
            because = f"held back for {slowed_s:.0f} s, as its tool asks on and on; {because}"
        pilot = Pilot(desk, call, caller, flight, reply, because=because, slowed_s=slowed_s)
        pilot.on_crash = self._fail_open
        return pilot

    def _fail_open(self, pilot: Pilot, error: Exception) -> None:
        self._pass_raw(pilot.call, pilot.audience, error, pilot.sent_count)

    def _pass_raw(
        self, call: Call, audience: Audience, error: Exception, attempts: int = 0
    ) -> None:
        """Our own code broke: the raw request goes to the original provider, and that is told.

        `attempts`: how many had left for this call before.
        """
        self.crashes.append(f"{type(error).__name__}: {error}")
        if audience.begun or not audience.replies:
            outcome = "broken" if audience.begun else "abandoned"
            self._write_down(call, outcome, audience.status, _fault(error), attempts)
            audience.break_()
            return
        leg = self._meant(call) if attempts < ATTEMPTS_MAX else None
        if leg is None:
            told = _own_fault(call.dialect, error)
            self._tell(call, audience, told, _fault(error), attempts=attempts)
        else:
            Bypass(self.desk, call, leg, audience, error, attempts).start()

    def _meant(self, call: Call) -> Leg | None:
        """The first target of the call that takes it as it is; None where there is none, or where
        its model could not be read and several might be meant, of whatever dialect: what is said
        to one of them is no other's to know.
        """
        if not call.model and call.surface not in NAMELESS and len(self.rules.providers) > 1:
            return None
        legs = self.rules.legs(call)
        if isinstance(legs, NoRoute):
            return None
        return next((leg for leg in legs if leg.dialect == call.dialect), None)

    def _make_policy(self) -> Policy:
        desk = self.desk

        def verdict(failure: Failure, leg: Leg) -> Verdict:
            at = desk.clock()
            wall = desk.wall()
            around = desk.board.circumstances(
                leg,
                at,
                wall,
                retry_after_s=retry_after_s(failure.headers, wall, failure.body),
            )
            return judge(failure, around)

        def may_retry(leg: Leg, at: float) -> bool:
            return self._budget.take(leg.target.provider, at)

        self.judge = verdict
        return Policy(verdict, transient, may_retry, self._dice, desk.board.standing)

    def _ask(
        self,
        request: Request,
        caller: Caller,
        dialect: Dialect,
        surface: Surface,
        model: str,
        *,
        stream: bool,
        body: bytes | None = None,
    ) -> Call:
        self._count += 1
        return Call(
            id=f"{self._prefix}{self._count:07x}",
            at=self.desk.clock(),
            wall=self.desk.wall(),
            dialect=dialect,
            surface=surface,
            method=request.method,
            path=request.path,
            query=request.query,
            headers=caller.headers,
            body=request.body if body is None else body,
            model=model,
            stream=stream,
            tool=caller.tool,
            retry_count=caller.retry_count,
            credential_mark=caller.mark,
        )

    def _join(self, call: Call, caller: Caller, reply: Reply) -> bool:
        """Attach a client's own retry to the same call, still in the air or just landed, if there
        is one.
        """
        for pilot in (*self.desk.flying, *self.desk.kept):
            other = pilot.call
            if (
                pilot.audience.joinable
                and other.credential_mark == call.credential_mark
                and pilot.caller.bearing == caller.bearing
                and other.path == call.path
                and other.query == call.query
                and other.body == call.body
            ):
                pilot.join(reply)
                return True
        return False

    # --------------------------------------------------------- own answers

    def _models(self, request: Request, reply: Reply) -> None:
        """The list of models, in the shape of who asks; nobody is waited for longer than needed."""
        dialect = dialect_of(request)
        caller = self._callers.of(request)
        errands = self.shelf.ask(dialect, caller)
        if not errands:
            self._list(request, reply, dialect, caller)
            return

        async def later() -> None:
            try:
                await asyncio.wait(errands, timeout=PATIENCE_S)
                self._list(request, reply, dialect, caller)
            except Exception as error:  # noqa: BLE001 - nobody is left without an answer
                self.crashes.append(f"{type(error).__name__}: {error}")
                reply.send(*_own_fault(dialect, error))

        task = asyncio.get_running_loop().create_task(later())
        self._listing.add(task)
        task.add_done_callback(self._listing.discard)

    def _list(self, request: Request, reply: Reply, dialect: Dialect, caller: Caller) -> None:
        def leads(name: str) -> Target | None:
            legs = self._talking(request, caller, dialect, name)
            return None if isinstance(legs, NoRoute) else legs[0].target

        rules = self.rules
        lists = self.shelf.known(dialect, caller)
        models = listed(rules.routes, rules.providers, lists, leads)
        try:
            body = speak.models_reply(dialect, models, request.query)
        except speak.BadBodyError as problem:
            self._refuse(request, reply, 400, INVALID, str(problem), dialect)
            return
        reply.send(200, JSON, body)

    def _talking(
        self, request: Request, caller: Caller, dialect: Dialect, name: str
    ) -> tuple[Leg, ...] | NoRoute:
        """The legs for an answer of this model."""
        call = self._ask(request, caller, dialect, TALK[dialect], name, stream=False)
        return self.rules.legs(call)

    def _model(self, request: Request, reply: Reply) -> None:
        """One model: told by who has it where he speaks the client's dialect, else by us."""
        dialect = dialect_of(request)
        name = unquote(request.path.partition("/models/")[2])
        caller = self._callers.of(request)
        call = self._ask(request, caller, dialect, "models", name, stream=False)
        legs = self._talking(request, caller, dialect, name)
        if isinstance(legs, NoRoute):
            self._refuse(request, reply, 404, NO_MODEL, legs.text, dialect, call=call)
            return
        first = legs[0]
        provider = self.rules.providers[first.target.provider]
        if dialect not in provider.dialects:
            model = Model(name, "", first.context_tokens)
            reply.send(200, JSON, speak.model_reply(dialect, model))
            return
        limits = msgspec.structs.replace(first.limits, **DETAILS)
        asked = msgspec.structs.replace(first, dialect=dialect, surface="models", limits=limits)
        self._fly(call, caller, (asked,), reply)

    def _loaded(self, _: Request, reply: Reply) -> None:
        reply.send(200, JSON, ollama.loaded_body())

    def _version(self, _: Request, reply: Reply) -> None:
        reply.send(200, JSON, ollama.version_body())

    def _show(self, request: Request, reply: Reply) -> None:
        """What is known of a model: of the target that is asked for it first."""
        try:
            model = ollama.shown_model(request.body)
        except speak.BadBodyError as problem:
            self._refuse(request, reply, 400, INVALID, str(problem))
            return
        legs = self._talking(request, self._callers.of(request), "ollama", model)
        if isinstance(legs, NoRoute):
            self._refuse(request, reply, 404, NO_MODEL, legs.text)
            return
        first = legs[0]
        reply.send(200, JSON, ollama.show_body(first.context_tokens, first.lacks))

    def _refuse(
        self,
        request: Request,
        reply: Reply,
        status: int,
        cause: str,
        text: str,
        dialect: Dialect | None = None,
        call: Call | None = None,
    ) -> None:
        dialect = dialect or dialect_of(request)
        headers, body = speak.error_reply(dialect, status, text)
        ours = _no_use(cause)
        if status == 405:
            ours += ((b"allow", methods_of(request.path).encode()),)
        if call is None:
            reply.send(status, (*headers, *ours), body)
        else:
            told = (status, (*headers, *ours), body)
            self._tell(call, reply, told, text, verdict=_verdict(cause))

    def _tell(
        self,
        call: Call,
        reply: Reply | Audience,
        answer: tuple[int, Headers, bytes],
        because: str,
        *,
        attempts: int = 0,
        verdict: str = "",
    ) -> None:
        """Answer a call that goes to nobody (any more), and write it down."""
        status, headers, body = answer
        ours = (
            (b"x-holdfast-exchange", ascii_header(call.id)),
            (b"x-holdfast-attempts", b"%d" % attempts),
        )
        reply.send(status, (*headers, *ours), body)
        size = len(body)
        self._write_down(
            call, "declined", status, because, attempts, bytes_out=size, verdict=verdict
        )

    def _write_down(
        self,
        call: Call,
        outcome: str,
        status: int,
        because: str,
        attempts: int,
        *,
        bytes_out: int = 0,
        verdict: str = "",
    ) -> None:
        """The line in the book of a call that no pilot has brought to its end."""
        self.desk.book.record(
            exchange_of(
                call,
                outcome,
                status,
                duration_s=self.desk.clock() - call.at,
                attempts=attempts,
                verdict=verdict,
                because=because,
                bytes_out=bytes_out,
            )
        )


JSON: Headers = ((b"content-type", b"application/json"),)
# Causes of the verdicts that need no judge.
INVALID, NO_MODEL, NO_DOOR = "request_invalid", "model_not_found", "wrong_address"


def _verdict(cause: str) -> str:
    return f"request;{cause};0.99"


def _no_use(cause: str) -> Headers:
    """What tells a client that asking again is of no use."""
    return ((b"x-holdfast-verdict", _verdict(cause).encode()), (b"x-should-retry", b"false"))


def _fault(error: Exception) -> str:
    return f"holdfast's own code failed ({type(error).__name__})"


def _own_fault(dialect: Dialect, error: Exception) -> tuple[int, Headers, bytes]:
    """The answer where nobody could be asked past it."""
    headers, body = speak.error_reply(dialect, 500, f"{_fault(error)}; please report it.")
    return 500, headers, body


# Outside the class because it names its methods.
# ruff: noqa: SLF001
_PAGES: dict[Page, Callable[[Front, Request, Reply], None]] = {
    "models": Front._models,
    "loaded": Front._loaded,
    "version": Front._version,
    "show": Front._show,
}
