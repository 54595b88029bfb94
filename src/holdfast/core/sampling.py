"""Putting good samples together, so that a busy second is one row and not a thousand.

A failure is never merged: each is evidence by itself.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from holdfast.facts.observations import Observation

WITHIN_S = 1.0

Leaf = tuple[str, str, str, str]  # provider, surface, model, credential


class _Group:
    """Good samples of one leaf that become one."""

    __slots__ = ("content_s", "count", "first", "timed")

    def __init__(self, first: Observation) -> None:
        self.first = first
        self.count = 0
        self.content_s = 0.0  # summed over the `timed` ones
        self.timed = 0
        self.add(first.first_content_s, first.count)

    def add(self, content_s: float | None, count: int) -> None:
        self.count += count
        if content_s is not None:
            self.content_s += content_s * count
            self.timed += count

    def takes(self, kind: str, at: float, status: int | None, *, stand_in: bool) -> bool:
        first = self.first
        return (
            0.0 <= at - first.at < WITHIN_S
            and kind == first.kind
            and status == first.status
            and stand_in == first.stand_in
        )

    def observation(self) -> Observation:
        if self.count == self.first.count:
            return self.first
        usual = self.content_s / self.timed if self.timed else None
        return msgspec.structs.replace(self.first, count=self.count, first_content_s=usual)


class Samples:
    """Observations in the order in which they came, good samples of one leaf within a second as
    one, `count` of them.

    It has the time of the first and the mean time to first content. Trials are left as they are,
    and so is the order on each leaf: what lies on both sides of a failure is not put together.
    """

    __slots__ = ("_came", "_open")

    def __init__(self) -> None:
        self._came: list[Observation | _Group] = []
        self._open: dict[Leaf, _Group] = {}

    def __len__(self) -> int:
        return len(self._came)

    def add(self, each: Observation) -> None:
        """The next."""
        leaf = (each.provider, each.surface, each.model, each.credential)
        if not mergeable(each):
            self._open.pop(leaf, None)
            self._came.append(each)
            return
        group = self._open.get(leaf)
        if group is not None and group.takes(
            each.kind, each.at, each.status, stand_in=each.stand_in
        ):
            group.add(each.first_content_s, each.count)
        else:
            group = self._open[leaf] = _Group(each)
            self._came.append(group)

    def count(self, leaf: Leaf, at: float, status: int | None, content_s: float | None) -> bool:
        """Count one more good answer of a first choice to a client's call, as if it were added.
        False: there was nothing to count it to, it is to be added.
        """
        group = self._open.get(leaf)
        if group is None or not group.takes("traffic", at, status, stand_in=False):
            return False
        group.add(content_s, 1)
        return True

    def keep(self, most: int) -> int:
        """Let the oldest go, where there are more; returns how many."""
        excess = max(0, len(self._came) - most)
        if excess:
            del self._came[:excess]
            self._open.clear()
        return excess

    def take(self) -> list[Observation]:
        """All of them, which are not here any more."""
        came, self._came = self._came, []
        self._open.clear()
        return [each.observation() if isinstance(each, _Group) else each for each in came]


def merged(batch: Iterable[Observation]) -> list[Observation]:
    """The same, put together."""
    samples = Samples()
    for each in batch:
        samples.add(each)
    return samples.take()


def mergeable(observation: Observation) -> bool:
    """Whether it is a good sample that says nothing but that things go well."""
    return observation.ok and not observation.trial and observation.kind in ("traffic", "probe")
