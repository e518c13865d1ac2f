"""Memory of buffers: offsets in an arena, so that values that are needed at different times share bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """A buffer of `size` bytes, needed from op `first` to op `last`, both included."""

    first: int
    last: int
    size: int


def allocate(intervals: Mapping[str, Interval]) -> tuple[dict[str, int], int]:
    """The offset of each buffer, and the size of the arena: the largest first, each as low as it fits.

    Buffers whose intervals share an op never share a byte.
    """
    offsets: dict[str, int] = {}
    for name, own in sorted(intervals.items(), key=lambda item: (-item[1].size, item[1].first)):
        taken = sorted(
            (offsets[other], offsets[other] + intervals[other].size)
            for other in offsets
            if intervals[other].first <= own.last and own.first <= intervals[other].last
        )
        at = 0
        for start, stop in taken:
            if at + own.size <= start:
                break
            at = max(at, stop)
        offsets[name] = at
    return offsets, max((offsets[name] + own.size for name, own in intervals.items()), default=0)
