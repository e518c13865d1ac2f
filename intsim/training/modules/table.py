"""A function of one tensor, as a table with one correctly rounded result for each code."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from intsim.formats import Format
from intsim.lowering.tables import exact_table
from intsim.training.carriers import Coded, limits, replaced
from intsim.training.modules.output import OutputFormat, Sum


class TableLookUp(nn.Module):
    """y = table[x]: half_up(f(x * 2**e_x) / 2**e_y), clipped. function: f of reals in PyTorch, for the gradient.

    op, attributes: as in ONNX.
    """

    def __init__(
        self, output: OutputFormat, op: str, attributes: Mapping[str, Any], function: Callable[[Tensor], Tensor]
    ) -> None:
        super().__init__()
        self.output = output
        self.op, self.attributes, self.function = op, dict(attributes), function

    def exponent(self, *_: int) -> int:
        """The output's exponent."""
        return self.output.average.value

    def accumulate(self, name: str, x: Coded) -> Sum:
        """The Sum that is requantized: the table's codes; the gradient is that of the function."""
        e_y = self.output.average.value
        real = self.function(x.reals) * 2.0**-e_y
        low, high = limits(self.output.bits)
        table = _table(self.op, tuple(sorted(self.attributes.items())), x.exponent, x.bits, e_y, self.output.bits)
        index = x.codes.detach().to(torch.int64) - limits(x.bits)[0]
        codes = torch.from_numpy(table)[index]
        return Sum(replaced(real.clamp(low - 0.5, high + 0.5), codes), 0.0, e_y, real)


@functools.lru_cache(maxsize=256)
def _table(
    op: str, attributes: tuple[tuple[str, Any], ...], e_x: int, x_bits: int, e_y: int, y_bits: int
) -> np.ndarray[Any, np.dtype[np.float32]]:
    x, y = (Format(bits, True, False, (math.ldexp(1.0, e),)) for bits, e in ((x_bits, e_x), (y_bits, e_y)))
    return exact_table(op, dict(attributes), [], x, y, "half_up").astype(np.float32)
