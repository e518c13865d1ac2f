"""Addition and subtraction: operands aligned by left shifts, one exact sum, one rounding."""

from __future__ import annotations

from torch import nn

from intsim.training.carriers import Coded
from intsim.training.modules.output import OutputFormat, Sum, exact_dtype, half_of


class Add(nn.Module):
    """y = requantize((a << (e_a - e)) ± (b << (e_b - e))), e = min(e_a, e_b). sign: 1 or -1, of b."""

    def __init__(self, output: OutputFormat, sign: int) -> None:
        super().__init__()
        self.output = output
        self.sign = sign

    def exponent(self, *_: int) -> int:
        """The output's exponent."""
        return self.output.average.value

    def accumulate(self, name: str, a: Coded, b: Coded) -> Sum:
        """The Sum that is requantized."""
        e, e_y = min(a.exponent, b.exponent), self.output.average.value
        bound = sum(2.0 ** (x.bits - 1 + x.exponent - e) for x in (a, b))
        dtype, half = exact_dtype(bound, e_y - e), half_of(e_y - e)
        left, right = (x.codes.to(dtype) for x in (a, b))
        v = left * 2.0 ** (a.exponent - e_y)
        v.add_(right, alpha=self.sign * 2.0 ** (b.exponent - e_y)).add_(half)
        return Sum(v, half, e_y)
