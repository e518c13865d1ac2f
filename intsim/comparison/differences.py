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

    def add(self, expected: Array, actual: Array, first_image: int) -> None:
        """Count the differences of one chunk of images. Errors: UnusableInput where the shapes differ."""
        if expected.shape != actual.shape:
            raise UnusableInput(
                f"tensor {self.name!r}: the peer has shape {expected.shape}, this model computes {actual.shape}"
            )
        difference = actual.astype(np.int64) - expected.astype(np.int64)
        self.elements += difference.size
        values, counts = np.unique(difference, return_counts=True)
        self.histogram.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
        if not difference.any():
            return
        self.mismatches += int(np.count_nonzero(difference))
        self.max_difference = max(self.max_difference, int(np.abs(difference).max()))
        if self.first is None:
            where = tuple(int(i) for i in np.argwhere(difference)[0])
            image, *rest = where or (0,)
            coordinate = (image + first_image, *rest) if where else ()
            self.first = Mismatch(coordinate, int(expected[where]), int(actual[where]))

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
