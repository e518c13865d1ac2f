"""How two tensors of codes differ: counts, the largest difference, the histogram, the first coordinate."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from intsim.errors import UnusableInput

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Mismatch:
    """One element that differs: its coordinate (image first), the peer's code and ours."""

    coordinate: tuple[int, ...]
    expected: int
    actual: int


@dataclass
class TensorDifference:
    """The differences of one tensor over all images so far.

    name: the ONNX tensor's. elements, mismatches: counts. max_difference: the largest |actual - expected| in codes.
    histogram: actual - expected -> count, zero included. first: the first mismatch in image order.
    local: mismatches that remain when the layer is fed the peer's own inputs (None: not measured).
    causes: cause -> count of the local mismatches.
    """

    name: str
    op: str = ""
    elements: int = 0
    mismatches: int = 0
    max_difference: int = 0
    histogram: Counter[int] = field(default_factory=Counter)
    first: Mismatch | None = None
    local: int | None = None
    causes: Counter[str] = field(default_factory=Counter)

    def add(self, expected: Array, actual: Array, first_image: int, images: int) -> int:
        """Count the differences of one chunk of `images` images, and return how many there are.

        Errors: UnusableInput where the shapes differ.
        """
        if expected.shape != actual.shape:
            raise UnusableInput(
                f"tensor {self.name!r}: the peer has shape {list(expected.shape)}, this model computes "
                f"{list(actual.shape)}{_hint(expected.shape, actual.shape)}"
            )
        self.elements += actual.size
        where = np.flatnonzero(expected != actual)
        if where.size < actual.size:
            self.histogram[0] += actual.size - where.size
        if where.size == 0:
            return 0
        theirs, ours = (codes.reshape(-1)[where].astype(np.int64) for codes in (expected, actual))
        values, counts = np.unique(ours - theirs, return_counts=True)
        self.histogram.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
        self.mismatches += where.size
        self.max_difference = max(self.max_difference, int(np.abs(values).max()))
        if self.first is None:
            at = tuple(int(i) for i in np.unravel_index(where[0], actual.shape))
            if at:
                # A tensor may hold several rows an image on its first axis.
                at = (at[0] + first_image * (len(actual) // images), *at[1:])
            self.first = Mismatch(at, int(theirs[0]), int(ours[0]))
        return where.size

    def to_dict(self) -> dict[str, Any]:
        """The entry of `layers` in the JSON document."""
        first = self.first
        return {
            "name": self.name,
            "op": self.op,
            "elements": self.elements,
            "mismatches": self.mismatches,
            "max_difference": self.max_difference,
            "histogram": {str(k): v for k, v in sorted(self.histogram.items())},
            "first": None
            if first is None
            else {"coordinate": list(first.coordinate), "expected": first.expected, "actual": first.actual},
            "local_mismatches": self.local,
            "causes": dict(self.causes),
        }


def _hint(theirs: tuple[int, ...], ours: tuple[int, ...]) -> str:
    """What may have gone wrong, where that can be seen."""
    if len(ours) > 2 and theirs == (ours[0], *ours[2:], ours[1]):
        return "; its channels are last, ONNX has them second: transpose them"
    return ""
