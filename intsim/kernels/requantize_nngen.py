"""NNgen's requantizer: from the accumulator to the output code in two rounded shifts, bias and scale between."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array
from intsim.kernels.multiplied import INT32, int32_sums, parameter, run
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.saturate import clamp


def requantize_nngen(
    acc: Array,
    *,
    sum_shift: Any = 0,
    bias: Any = 0,
    scale: Any = 1,
    out_shift: Any,
    bits: int,
    signed: bool,
    narrow: bool = True,
    axis: int = 1,
    pool: Sharing = run_all,
) -> Array:
    """The codes, integers of the smallest dtype of `bits` bits, in acc's shape.

    clip(half_away((half_up(acc / 2**sum_shift) + bias) * scale / 2**out_shift)).
    acc: integers, each an int32. sum_shift, out_shift: 0 to 62; bias, scale: int32; each scalar or [channels] along
    axis. Raises ValueError outside that, and where the scaled sum is no int64 (scale and bias at their ends alone).
    Source: nngen, nngen/verify/conv2d.py.
    """
    parameters = (
        parameter(sum_shift, 0, 62, "sum_shift"),
        parameter(bias, *INT32, "bias"),
        parameter(scale, *INT32, "scale"),
        parameter(out_shift, 0, 62, "out_shift"),
    )
    return run(
        _rows,
        int32_sums(acc),
        parameters,
        bits=bits,
        signed=signed,
        narrow=narrow,
        axis=axis,
        pool=pool,
        refused="the scaled sum must be an int64",
    )


@kernel
def _rows(
    acc: Any,
    sum_shifts: Any,
    biases: Any,
    scales: Any,
    out_shifts: Any,
    low: Any,
    high: Any,
    out: Any,
    outside: Any,
    start: Any,
    stop: Any,
) -> None:
    """|sum + bias| <= 2**32 and |scale| <= 2**31: only -2**32 * -2**31 leaves int64, and is not multiplied.

    The last rounding adds the half to the remainder, not to the product, which may be next to the end of int64.
    """
    inner = acc.shape[1]
    for row in range(start, stop):
        c = row % scales.shape[0]
        first, bias, scale, last = sum_shifts[c], biases[c], scales[c], out_shifts[c]
        first_half = (np.int64(1) << first) >> 1
        last_half = (np.int64(1) << last) >> 1
        away = np.int64(last > 0)
        first_outside = inner
        for i in range(inner):
            total = ((np.int64(acc[row, i]) + first_half) >> first) + bias
            fits = (total != -(1 << 32)) | (scale != -(1 << 31))
            first_outside = min(first_outside, inner if fits else i)
            v = (total if fits else 0) * scale
            floor = v >> last
            rest = v - (floor << last) + last_half - (away if v < 0 else 0)
            out[row, i] = clamp(floor + (rest >> last), low, high)
        outside[row] = first_outside
