"""The MAX78000's and MAX78002's requantizer: from the accumulator to the output code."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array
from intsim.kernels.multiplied import int32_sums, parameter, run
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.saturate import clamp


def requantize_max7800x(
    acc: Array,
    *,
    output_shift: Any,
    bias: Any = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
    axis: int = 1,
    pool: Sharing = run_all,
) -> Array:
    """The codes, integers of the smallest dtype of `bits` bits, in acc's shape.

    clip(half_up((acc + bias * 2**7) / 2**(7 - output_shift))).
    acc: integers, each an int32. output_shift: -15 to 15; bias: int8; each scalar or [channels] along axis.
    Raises ValueError outside that. Source: ai8x-synthesis, izer/simulate.py.
    """
    parameters = (parameter(output_shift, -15, 15, "output_shift"), parameter(bias, -128, 127, "bias"))
    return run(_rows, int32_sums(acc), parameters, bits=bits, signed=signed, narrow=narrow, axis=axis, pool=pool)


@kernel
def _rows(acc: Any, shifts: Any, biases: Any, low: Any, high: Any, out: Any, start: Any, stop: Any) -> None:
    for row in range(start, stop):
        c = row % shifts.shape[0]
        right, left, addend = max(7 - shifts[c], 0), max(shifts[c] - 7, 0), biases[c] << 7
        half = (np.int64(1) << right) >> 1
        for i in range(acc.shape[1]):
            out[row, i] = clamp((((np.int64(acc[row, i]) + addend) << left) + half) >> right, low, high)
