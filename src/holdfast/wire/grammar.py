"""Grammars of streams as tables: who checks a stream and who mends it read the same one."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Hashable, Mapping
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
S = TypeVar("S", bound=Hashable)


class Table(Generic[S, K]):
    """What may stand in each state of a stream, and the state that it leads to.

    `added` are the kinds that say nothing new: who mends a stream may put them in by himself.
    """

    __slots__ = ("_ways", "added", "kinds", "rows")

    def __init__(self, rows: Mapping[S, Mapping[K, S]], added: Collection[K] = ()) -> None:
        self.rows = rows
        self.added = added
        self.kinds = frozenset(kind for row in rows.values() for kind in row)
        self._ways: dict[tuple[S, K], tuple[K, ...] | None] = {}

    def after(self, state: S, kind: K) -> S | None:
        """The state behind this kind; None where it may not stand."""
        return self.rows[state].get(kind)

    def way(self, state: S, kind: K) -> tuple[K, ...] | None:
        """The fewest of `added` behind which this kind may stand; None where there are none."""
        try:
            return self._ways[state, kind]
        except KeyError:
            found = self._ways[state, kind] = self._search(state, kind)
            return found

    def _search(self, state: S, kind: K) -> tuple[K, ...] | None:
        seen = {state}
        paths: deque[tuple[S, tuple[K, ...]]] = deque([(state, ())])
        while paths:
            at, path = paths.popleft()
            row = self.rows[at]
            if kind in row:
                return path
            for step in self.added:
                to = row.get(step)
                if to is not None and to not in seen:
                    seen.add(to)
                    paths.append((to, (*path, step)))
        return None
