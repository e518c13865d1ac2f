"""Relu or Clip on codes that something else reads, too; the exponent stays."""

from __future__ import annotations

from torch import nn

from intsim.quantization.exponents import bound_code
from intsim.training.carriers import Coded


class ClampCodes(nn.Module):
    """y = clip(x, code of lowest, code of highest), codes of reals by half_up."""

    def __init__(self, lowest: float, highest: float) -> None:
        super().__init__()
        self.lowest, self.highest = lowest, highest

    def exponent(self, x: int) -> int:
        """The output's exponent: the input's."""
        return x

    def forward(self, name: str, x: Coded) -> Coded:
        """The codes of the output."""
        low, high = (bound_code(bound, x.exponent, x.bits) for bound in (self.lowest, self.highest))
        return Coded(x.codes.clamp(low, high), x.exponent, x.bits)
