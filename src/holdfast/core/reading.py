"""When which status page is read next: politely, sooner in trouble, seldom where it cannot be read.

Times are the shell's steady seconds. A page is not ours, so the intervals are long: at one reading
in five minutes a page was seen to answer with a CAPTCHA, fifteen minutes were tolerated.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from msgspec import Struct

# Nobody may read oftener than this, whatever is configured.
LEAST_S = 300.0


class Params(Struct, frozen=True, kw_only=True):
    """How often. Seconds, but for `jitter`, a share of an interval that is added by the dice.

    `usual_s` between readings when all is quiet, `trouble_s` while the provider is in trouble.
    `apart_s` is the least between two readings of one page, for the one that is brought forward
    when trouble begins. `longest_s` bounds the back-off, `asked_longest_s` a page's own wish.
    The first readings of all pages are spread over `spread_s`.
    """

    usual_s: float = 900.0
    trouble_s: float = LEAST_S
    apart_s: float = 60.0
    longest_s: float = 7200.0
    asked_longest_s: float = 86_400.0
    spread_s: float = 20.0
    jitter: float = 0.1


class _Page:
    """One page: when it is due, and what is known of reading it."""

    __slots__ = ("hurried_at", "misses", "next_at", "not_before", "read_at", "troubled")

    def __init__(self, next_at: float) -> None:
        self.next_at = next_at
        self.read_at: float | None = None
        self.hurried_at: float | None = None
        self.not_before = 0.0  # the page asked to be left alone until then
        self.misses = 0
        self.troubled = False


class Reading:
    """The schedule. `dice` is uniform in [0, 1)."""

    __slots__ = ("_dice", "_pages", "params")

    def __init__(self, dice: Callable[[], float], params: Params | None = None) -> None:
        self._dice = dice
        self.params = params or Params()
        self._pages: dict[str, _Page] = {}

    def due(
        self,
        at: float,
        pages: Iterable[str],
        *,
        troubled: Collection[str] = (),
        online: bool = True,
    ) -> list[str]:
        """Which of these pages (by their providers' names) to read now.

        `troubled` are those whose provider is suspected or declared to be in trouble. Offline,
        none is due. A page is handed out once; `read` is to tell how it went, and without that
        word it is due again after `LEAST_S`. Pages no longer among `pages` are forgotten.
        """
        wanted = list(pages)
        for gone in self._pages.keys() - set(wanted):
            del self._pages[gone]
        for name in wanted:
            page = self._pages.get(name)
            if page is None:
                first_s = self.params.spread_s * self._dice()
                page = self._pages[name] = _Page(at + first_s)
            if not page.troubled and name in troubled:
                self._hurry(page, at)
            page.troubled = name in troubled
        found = [name for name in wanted if online and self._pages[name].next_at <= at]
        for name in found:
            self._pages[name].read_at = at
            self._pages[name].next_at = at + LEAST_S
        return found

    def _hurry(self, page: _Page, at: float) -> None:
        """Trouble begins: one reading is brought forward, but flapping brings no flood."""
        if page.hurried_at is not None and at - page.hurried_at < self.params.trouble_s:
            return
        page.hurried_at = at
        apart_at = at if page.read_at is None else page.read_at + self.params.apart_s
        page.next_at = min(page.next_at, max(at, apart_at, page.not_before))

    def read(self, name: str, at: float, *, readable: bool, asked_s: float | None = None) -> None:
        """A page was read, or could not be. `asked_s`: the wait that it asked for (Retry-After)."""
        page = self._pages.get(name)
        if page is None:
            return
        page.read_at = at
        page.misses = 0 if readable else page.misses + 1
        wait_s = self._interval_s(page) * (1.0 + self.params.jitter * self._dice())
        if asked_s is not None:
            page.not_before = at + min(max(asked_s, 0.0), self.params.asked_longest_s)
        page.next_at = max(at + wait_s, page.not_before)

    def _interval_s(self, page: _Page) -> float:
        params = self.params
        usual_s = max(params.usual_s, LEAST_S)
        if page.misses:
            longest_s = max(params.longest_s, usual_s)
            return min(usual_s * 2.0 ** min(page.misses, 32), longest_s)
        return min(max(params.trouble_s, LEAST_S), usual_s) if page.troubled else usual_s

    def next_at(self) -> float | None:
        """When the next one is due, if nothing happens until then; None: there is none."""
        return min((page.next_at for page in self._pages.values()), default=None)
