"""Wanted: what a run shows of a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Wanted:
    """What a run shows: values as arrays; counts of values; of layers, by the value they make, what they clip.

    counted: value -> whether it takes a histogram, and whether one for each image. replaced: values that their readers
    are given, whatever was computed.
    """

    arrays: frozenset[str]
    counted: Mapping[str, tuple[bool, bool]] = field(default_factory=dict)
    clipped: frozenset[str] = frozenset()
    replaced: frozenset[str] = frozenset()

    @property
    def key(self) -> tuple[object, ...]:
        """What tells it from others."""
        return self.arrays, tuple(self.counted.items()), self.clipped, self.replaced

    @property
    def values(self) -> frozenset[str]:
        """The values that must lie in memory."""
        return self.arrays | self.counted.keys()
