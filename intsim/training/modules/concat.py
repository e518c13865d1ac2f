"""Concatenation: each operand brought to the output's exponent, then joined."""

from __future__ import annotations

import torch
from torch import nn

from intsim.training.carriers import Coded
from intsim.training.modules.output import OutputFormat, Sum, exact_dtype, half_of


class Concat(nn.Module):
    """y = join of rnt(x_i, e_y - e_i) along an axis, each operand rounded on its own."""

    def __init__(self, output: OutputFormat, axis: int) -> None:
        super().__init__()
        self.output = output
        self.axis = axis

    def exponent(self, *_: int) -> int:
        """The output's exponent."""
        return self.output.average.value

    def accumulate(self, name: str, *operands: Coded) -> Sum:
        """The Sum that is requantized."""
        e_y = self.output.average.value
        e = min(x.exponent for x in operands)
        # One half for all: a code that is not truncated is an integer, and the floor takes the half away again.
        half = half_of(max(e_y - x.exponent for x in operands))
        bound = max(2.0 ** (x.bits - 1 + x.exponent - e) for x in operands)
        dtype = exact_dtype(bound + 2.0 ** max(0, e_y - e), e_y - e)
        shifted = [x.codes.to(dtype) * 2.0 ** (x.exponent - e_y) for x in operands]
        return Sum(torch.cat(shifted, self.axis) + half, half, e_y)
