"""A tool that asks on and on in one conversation, since it cannot use the answers: it is slowed.

Some tools take a stream that ends without a stop reason for one more step to do, and ask again at
once, for ever, each time with the whole prompt (opencode 1.18: up to three times a second, a
hundred bytes longer each time). What counts is an answer that began and was not whole: it broke
off, or ended without a stop reason. A whole one ends the matter, so neither an agent at work nor
a benchmark is slowed. Errors do not count: tools give up on those by themselves, and hear from us
when to come back.
"""

from __future__ import annotations

from collections import OrderedDict, deque

MANY = 15
WINDOW_S = 60.0
# Who was slowed falls below "many a minute" by that alone, and stays slowed until this long has
# passed without a further such answer.
FORGET_S = 300.0
FIRST_PAUSE_S = 1.0
PAUSE_MAX_S = 20.0  # tools begin to warn of a dead network behind it
MARKS_MAX = 256


class _Streak:
    __slots__ = ("last", "level", "name", "times")

    def __init__(self) -> None:
        self.times: deque[float] = deque(maxlen=MANY)
        self.last = 0.0
        self.level = 0
        self.name = ""


class Runaways:
    """One for a gateway; told the time (steady seconds) with everything. Bounded and forgetful.

    A `mark` tells one conversation from others: the tool, its credential, the digest of what was
    said up to the first answer, which a first turn has as well (`speak.conversation`). Its size
    would not do, as it grows.
    """

    __slots__ = ("_streaks",)

    def __init__(self) -> None:
        self._streaks: OrderedDict[str, _Streak] = OrderedDict()

    def __len__(self) -> int:
        return len(self._streaks)

    def ended(self, mark: str, at: float, *, whole: bool, name: str = "") -> None:
        """An answer that had begun is over. `name`: the tool's, for people."""
        if whole:
            self._streaks.pop(mark, None)
            return
        streak = self._known(mark, at)
        if streak is None:
            streak = self._streaks[mark] = _Streak()
            if len(self._streaks) > MARKS_MAX:
                self._streaks.popitem(last=False)
        self._streaks.move_to_end(mark)
        streak.times.append(at)
        streak.last, streak.name = at, name
        many = len(streak.times) == MANY and at - streak.times[0] <= WINDOW_S
        if streak.level or many:
            streak.level += 1

    def pause_s(self, mark: str, at: float) -> float:
        """How long a request that comes now is to wait before anybody is asked; mostly 0."""
        streak = self._known(mark, at)
        return 0.0 if streak is None else _pause_s(streak.level)

    def alarms(self, at: float) -> tuple[str, ...]:
        """Who is slowed at present, in words."""
        slowed = [self._known(mark, at) for mark in tuple(self._streaks)]
        return tuple(
            f"{streak.name or 'A tool'} asks on and on, as its answers do not end as they should;"
            f" each further request of that conversation waits {_pause_s(streak.level):.0f} s."
            " Stop it there, and see `holdfast logs` for who answers so."
            for streak in slowed
            if streak is not None and streak.level
        )

    def _known(self, mark: str, at: float) -> _Streak | None:
        streak = self._streaks.get(mark)
        if streak is not None and at - streak.last > FORGET_S:
            del self._streaks[mark]
            return None
        return streak


def _pause_s(level: int) -> float:
    return min(PAUSE_MAX_S, FIRST_PAUSE_S * 2.0 ** min(level - 1, 16)) if level else 0.0
