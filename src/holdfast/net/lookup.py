"""Names looked up family by family, on threads of their own.

The loop's own threads are few, and calls need them: a look at the network while name servers are
away must not take them. The system's resolver cannot be interrupted either, so its threads are
daemons, and bounded in number.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence

from holdfast.net.reach import Address

# Host, port and address family (AF_INET, AF_INET6) → addresses; OSError or UnicodeError for none.
Lookup = Callable[[str, int, int], Awaitable[Sequence[Address]]]

THREADS_MAX = 16
_free = threading.BoundedSemaphore(THREADS_MAX)


async def ask_apart(host: str, port: int, family: int) -> Sequence[Address]:
    """The addresses of one family, by the system's resolver.

    Raises gaierror where it has none, or where `THREADS_MAX` earlier questions still hang.
    """
    if not _free.acquire(blocking=False):
        raise socket.gaierror(socket.EAI_AGAIN, "earlier questions for names still hang")
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Sequence[Address]] = loop.create_future()

    def tell(found: Sequence[Address] | Exception) -> None:
        if answer.done():  # nobody waits any more
            return
        if isinstance(found, Exception):
            answer.set_exception(found)
        else:
            answer.set_result(found)

    def ask() -> None:
        found: Sequence[Address] | Exception
        try:
            found = _found(host, port, family)
        except (OSError, UnicodeError) as problem:
            found = problem
        finally:
            _free.release()
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(tell, found)

    threading.Thread(target=ask, name="holdfast-lookup", daemon=True).start()
    return await answer


def _found(host: str, port: int, family: int) -> Sequence[Address]:
    rows = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    return [(kind, address) for kind, _, _, _, address in rows]  # type: ignore[misc] # typeshed allows for builds without IPv6
