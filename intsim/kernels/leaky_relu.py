"""LeakyRelu and PRelu of an accumulator."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array, channel_rows, per_channel
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.requantize import widen
from intsim.kernels.rounding import shift_right, shift_terms
from intsim.kernels.saturate import accumulator_dtype, clamp, limits


def leaky_relu(
    x: Array, *, slope: Any, shift: int, rounding: str, width: int, axis: int = 1, pool: Sharing = run_all
) -> Array:
    """x where x >= 0, else round(x * slope / 2**shift); both clipped to the accumulator's bits, i32 or i64.

    x: integers of up to 64 bits. slope: int32, scalar or [channels] along axis.
    Raises ValueError where int64 does not hold a product.
    """
    rows, (slopes,) = channel_rows(widen(x), axis, per_channel(slope))
    least, steepest = int(rows.min(initial=0)), max(abs(int(slopes.min())), abs(int(slopes.max())))
    if -least * steepest >= 1 << 63:
        raise ValueError(f"the product of {least} and a slope of {steepest} may leave int64: use the spec")
    low, high = limits(width, True)
    out = np.empty(rows.shape, accumulator_dtype(width))
    terms = shift_terms(rounding, shift)
    pool(lambda start, stop: _rows(rows, slopes, shift, terms, low, high, out, start, stop), len(rows))
    return out.reshape(x.shape)


@kernel
def _rows(x: Any, slopes: Any, shift: Any, terms: Any, low: Any, high: Any, out: Any, start: Any, stop: Any) -> None:
    for row in range(start, stop):
        slope = slopes[row % slopes.shape[0]]
        for i in range(x.shape[1]):
            v = np.int64(x[row, i])
            below = shift_right(min(v, 0) * slope, shift, terms[0], terms[1], terms[2])
            out[row, i] = clamp(v if v >= 0 else below, low, high)
