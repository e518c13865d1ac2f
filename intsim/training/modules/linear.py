"""Fully connected layer."""

from __future__ import annotations

from torch.nn import functional

from intsim.training.carriers import Coded
from intsim.training.modules.mac import Mac
from intsim.training.modules.output import Sum


class Linear(Mac):
    """y = requantize(x @ w.T + b): codes [N, inputs] to [N, outputs]."""

    def accumulate(self, name: str, x: Coded) -> Sum:
        """The Sum that is requantized."""
        o = self.operands(x, name)
        return Sum(functional.linear(o.x, o.weight, o.bias), o.half, o.exponent)
