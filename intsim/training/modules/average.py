"""The moving average of a truncation point or exponent; what is used is the nearest integer."""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import Tensor, nn

from intsim.quantization.truncation_points import nearest


class Average(nn.Module):
    """EMA_n = m * delta_n + (1 - m) * EMA_(n-1), kept as a float64 buffer; `value` is it rounded, ties to +inf.

    start: what calibration gave. momentum: m, of the newest batch.
    """

    average: Tensor

    def __init__(self, start: float, momentum: float) -> None:
        super().__init__()
        self.register_buffer("average", torch.tensor(start, dtype=torch.float64))
        self.momentum = momentum

    @property
    def value(self) -> int:
        """The nearest integer."""
        return nearest(Fraction(self.average.item()))

    def observe(self, delta: int) -> None:
        """Take in what was best for one more batch."""
        self.average.mul_(1 - self.momentum).add_(self.momentum * delta)
