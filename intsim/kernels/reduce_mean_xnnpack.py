"""The mean over axes with a float32 requantizer, as XNNPACK does it."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.reduce_mean import sums_over
from intsim.kernels.saturate import code_dtype, float_limits, round_saturate


def reduce_mean_xnnpack(
    x: Array,
    *,
    axes: tuple[int, ...],
    keepdims: bool,
    x_zero: int = 0,
    multiplier: Any,
    zero_point: int = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
    pool: Sharing = run_all,
) -> Array:
    """The codes, integers of the smallest dtype of `bits` bits; the axes are left out, or of length 1 with keepdims.

    saturate(half_even(float32(sum) * multiplier + addend)), addend = zero_point - float32(n * x_zero) * multiplier,
    each step rounded to float32; sum: of the n raw codes of one mean. multiplier: float32.
    Raises ValueError for more than 24 bits, whose codes float32 does not hold.
    """
    sums, shape = sums_over(x, axes, keepdims, 0, pool)
    low, high = (limit[0] for limit in float_limits(bits, signed, narrow)[:2])
    factor = np.float32(multiplier)
    addend = np.float32(zero_point) - np.float32(prod(x.shape[a] for a in axes) * x_zero) * factor
    out = np.empty(sums.shape, code_dtype(bits, signed))
    pool(lambda start, stop: _elements(sums, factor, addend, low, high, out, start, stop), len(out))
    return out.reshape(shape)


@kernel
def _elements(sums: Any, factor: Any, addend: Any, low: Any, high: Any, out: Any, start: Any, stop: Any) -> None:
    for i in range(start, stop):
        scaled = np.float32(sums[i]) * factor
        out[i] = round_saturate(scaled + addend, low, high)
