"""The requantizer at the end of a layer: round and truncate, clip, and a Relu or Clip that follows alone."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from intsim.kernels.carriers.step_errors import step_errors
from intsim.quantization.exponents import REACH, bound_code
from intsim.training.carriers import Coded, flat_array, limits, to_codes
from intsim.training.modules.average import Average
from intsim.training.proof import carrier


class Sum(NamedTuple):
    """What a layer hands to its requantizer: v in units of 2**exponent, a half added where something is truncated.

    observed: what tells which exponent would be best, in the same units and with the same half; v itself if None.
    """

    v: Tensor
    half: float
    exponent: int
    observed: Tensor | None = None


class OutputFormat(nn.Module):
    """Codes from a sum that is already shifted: clip(floor(v)), v with its half added.

    bits: of the codes. average: of the layer's truncation point, or of its output's exponent. lowest, highest: reals of
    the Relu or Clip after it, ±inf where there is none. In training it moves the average to the exponent that has the
    least squared error for the batch, sought from the present one downhill.
    """

    def __init__(self, bits: int, average: Average, lowest: float = -math.inf, highest: float = math.inf) -> None:
        super().__init__()
        self.bits = bits
        self.average = average
        self.lowest, self.highest = lowest, highest

    def forward(self, s: Sum, clamped: bool = True) -> Coded:
        """The codes of a sum. clamped: whether the Relu or Clip acts, too."""
        if self.training:
            self.average.observe(self.average.value + self._best_step(s))
        low, high = limits(self.bits)
        if clamped:
            low, high = (bound_code(bound, s.exponent, self.bits) for bound in (self.lowest, self.highest))
        return Coded(to_codes(s.v, low, high), s.exponent, self.bits)

    def _best_step(self, s: Sum) -> int:
        """How far above the present exponent the one with the least squared error is, at most 2 * REACH off."""
        flat = flat_array(s.v if s.observed is None else s.observed)
        lowest, highest = (math.ldexp(bound, -s.exponent) for bound in (self.lowest, self.highest))
        step, way = 0, 0
        while abs(step) < 2 * REACH:
            errors = step_errors(flat, s.half, step, self.bits, lowest, highest)
            # The smaller exponent where errors are equal.
            best = min((-1, 0, 1), key=lambda k: (errors[k + 1], k))
            if best == 0 or best == -way:
                break
            step, way = step + best, best
        return step


def half_of(shift: int) -> float:
    """What is added before a floor that truncates by `shift` bits: the rounding half, where anything is truncated."""
    return 0.5 if shift > 0 else 0.0


def exact_dtype(bound: float, shift: int) -> torch.dtype:
    """float32 where integers up to `bound`, and the half of a truncation by `shift`, fit in 24 bits; else float64."""
    return carrier(bound + (2.0 ** (shift - 1) if shift > 0 else 0.0), "sum")
