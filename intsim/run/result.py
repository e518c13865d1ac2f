"""Result: what a run of a model gives back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from intsim.formats import Format
from intsim.islands.environment import standard_floats
from intsim.taps.tap import Tap

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Output:
    """One output of a network. format: None where it is computed in float. values: its codes, or its float32 reals."""

    name: str
    format: Format | None
    values: Array

    @property
    def codes(self) -> Array | None:
        """Integers in the smallest dtype that holds the format; None where the output is computed in float."""
        return None if self.format is None else self.values

    @property
    @standard_floats()
    def real(self) -> Array:
        """The output's reals, float32: scale * (code - zero_point)."""
        return self.values if self.format is None else self.format.real(self.values)


class Taps(Mapping[str, Tap]):
    """The taps by tensor name; a graph node's name finds the tap of the node's (first tapped) output as well."""

    def __init__(self, taps: Mapping[str, Tap]) -> None:
        self._taps = taps

    def __getitem__(self, name: str) -> Tap:
        tap = self._taps.get(name) or next((t for t in self._taps.values() if t.node == name), None)
        if tap is None:
            raise KeyError(f"no tap on {name!r}; there are taps on {', '.join(self._taps) or 'nothing'}")
        return tap

    def __iter__(self) -> Iterator[str]:
        return iter(self._taps)

    def __len__(self) -> int:
        return len(self._taps)

    def __contains__(self, name: object) -> bool:
        return name in self._taps or any(t.node == name for t in self._taps.values())


@dataclass(frozen=True)
class Result:
    """What a run gives back.

    outputs: by graph output name. taps: by tensor name (or node name). images: how many were run.
    overflows: by tensor name, how many sums behind it left their accumulator; tensors without any are left out.
    """

    outputs: Mapping[str, Output]
    taps: Taps
    images: int
    overflows: Mapping[str, int]
