"""Putting good samples together, so that a busy second is one row and not a thousand.

A failure is never merged: each is evidence by itself.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from holdfast.facts.observations import Observation

WITHIN_S = 1.0

Leaf = tuple[str, str, str, str]


class _Group:
    """Good samples of one leaf that become one; they stay in the place of the first."""

    __slots__ = ("content_s", "count", "first", "place", "timed")

    def __init__(self, first: Observation, place: int) -> None:
        self.first = first
        self.place = place
        self.count = 0
        self.content_s = 0.0  # summed over the `timed` ones
        self.timed = 0
        self.add(first)

    def add(self, sample: Observation) -> None:
        self.count += sample.count
        if sample.first_content_s is not None:
            self.content_s += sample.first_content_s * sample.count
            self.timed += sample.count

    def takes(self, sample: Observation) -> bool:
        first = self.first
        return (
            0.0 <= sample.at - first.at < WITHIN_S
            and sample.kind == first.kind
            and sample.status == first.status
            and sample.stand_in == first.stand_in
        )

    def observation(self) -> Observation:
        if self.count == self.first.count:
            return self.first
        usual = self.content_s / self.timed if self.timed else None
        return msgspec.structs.replace(self.first, count=self.count, first_content_s=usual)


def merged(batch: Iterable[Observation]) -> list[Observation]:
    """The same, with good samples of one leaf within one second as one, `count` of them.

    It has the time of the first and the mean time to first content. Trials are left as they are,
    and so is the order on each leaf: what lies on both sides of a failure is not put together.
    """
    out: list[Observation | None] = []
    open_groups: dict[Leaf, _Group] = {}
    for each in batch:
        leaf = (each.provider, each.surface, each.model, each.credential)
        if not mergeable(each):
            _close(open_groups.pop(leaf, None), out)
            out.append(each)
            continue
        group = open_groups.get(leaf)
        if group is not None and group.takes(each):
            group.add(each)
            continue
        _close(group, out)
        open_groups[leaf] = _Group(each, len(out))
        out.append(None)
    for group in open_groups.values():
        _close(group, out)
    return [each for each in out if each is not None]


def mergeable(observation: Observation) -> bool:
    """Whether it is a good sample that says nothing but that things go well."""
    return observation.ok and not observation.trial and observation.kind in ("traffic", "probe")


def _close(group: _Group | None, out: list[Observation | None]) -> None:
    if group is not None:
        out[group.place] = group.observation()
