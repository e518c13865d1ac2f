"""The candidates for a tensor's exponent, each with how well it represents the tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from intsim.metrics import correlation, jsd
from intsim.quantization.cells import (
    Cells,
    Moments,
    count_cells,
    find_bins,
    moments,
    own_histogram,
    quantized_histogram,
)
from intsim.quantization.exponents import best_exponent, candidate_exponents, reference_exponent

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Candidate:
    """An exponent that was tried, and the distance between a tensor and its quantized values.

    mse: mean squared error. pcc: Pearson's correlation. jsd: Jensen-Shannon divergence, base 2, of the histograms
    of both over 2**bits equal bins, the narrowest of a power-of-two width that span the tensor and zero;
    similarity: 1 - jsd.
    """

    exponent: int
    mse: float
    pcc: float
    jsd: float
    similarity: float


class Trial:
    """The candidates of one tensor that comes in parts: `add` each part, then `candidates`.

    lowest, highest: of the whole tensor's numbers, finite. bits: the width of the codes.
    """

    def __init__(self, lowest: float, highest: float, bits: int) -> None:
        self.reference = reference = reference_exponent(max(-lowest, highest, 0.0), bits)
        self.bits = bits
        self.bins = find_bins(lowest, highest, bits, finest_grid(reference))
        self.moments = dict.fromkeys(candidate_exponents(reference), Moments())
        self.own = np.zeros(1 << bits)
        self.quantized = {e: np.zeros(1 << bits) for e in self.moments}

    def add(self, cells: Cells) -> None:
        """Count a part of the tensor, on a grid below all candidates."""
        self.own += own_histogram(cells, self.bins)
        for e in self.moments:
            self.moments[e] += moments(cells, e, self.bits)
            self.quantized[e] += quantized_histogram(cells, e, self.bins, self.bits)

    def candidates(self) -> tuple[Candidate, ...]:
        """Every candidate in ascending order of the exponent."""
        return tuple(self._candidate(e) for e in self.moments)

    def best(self) -> int:
        """The candidate with the least squared error; the smaller exponent where errors are equal."""
        return best_exponent({e: m.squared_error for e, m in self.moments.items()})

    def _candidate(self, exponent: int) -> Candidate:
        m = self.moments[exponent]
        distance = jsd(self.own, self.quantized[exponent])
        return Candidate(exponent, m.squared_error / m.count, _pcc(m), distance, 1.0 - distance)


def try_tensor(reals: Array, bits: int) -> Trial:
    """The finished Trial of one whole tensor, float32[...], finite and not empty."""
    lowest, highest = float(np.min(reals)), float(np.max(reals))
    trial = Trial(lowest, highest, bits)
    trial.add(count_cells(reals, finest_grid(trial.reference), max(-lowest, highest)))
    return trial


def find_exponent(reals: Array, bits: int) -> int:
    """`try_tensor(reals, bits).best()`, without the candidates' histograms."""
    largest = float(np.max(np.abs(reals)))
    reference = reference_exponent(largest, bits)
    cells = count_cells(reals, finest_grid(reference), largest)
    return best_exponent({e: moments(cells, e, bits).squared_error for e in candidate_exponents(reference)})


def finest_grid(reference: int) -> int:
    """A grid below all candidates around a reference exponent: half of the smallest candidate's step."""
    return candidate_exponents(reference)[0] - 1


def _pcc(m: Moments) -> float:
    if m.squared_error == 0.0:
        return 1.0
    return correlation(m.count * m.rq - m.r * m.q, m.count * m.rr - m.r**2, m.count * m.qq - m.q**2)
