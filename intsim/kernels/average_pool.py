"""The mean of each window, one exact quotient and one rounding."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel as compiled
from intsim.kernels.layout import Array
from intsim.kernels.mac import extremes
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.rounding import RULES, divide, require_quotient
from intsim.kernels.saturate import clamp, code_dtype, limits
from intsim.kernels.windows import planes_and_windows


def average_pool(
    x: Array,
    *,
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    pads: tuple[int, ...],
    dilations: tuple[int, ...],
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    x_zero: int = 0,
    shift: int,
    rounding: str,
    zero_point: int = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
    pool: Sharing = run_all,
) -> Array:
    """The codes [N, C, (H,) W], integers of the smallest dtype of `bits` bits.

    clip(round(sum(x - x_zero) / (count * 2**shift)) + zero_point), one exact quotient. count: the window's elements
    in the image, with count_include_pad those in the padding too, which add 0 to the sum.
    x: integer codes [N, C, (H,) W]. pads: begins, then ends. rounding: a name of RULES.
    Raises ValueError where no window fits, one has nothing of the image, or int64 does not hold the quotient's terms.
    """
    planes, windows, shape = planes_and_windows(x, kernel, strides, pads, dilations, ceil_mode)
    rows, columns = windows.counts(count_include_pad)
    require_quotient(extremes(x, x_zero), kernel, shift)
    low, high = limits(bits, signed, narrow)
    out = np.empty((len(planes), *windows.output), code_dtype(bits, signed))
    terms = (1 << max(-shift, 0), 1 << max(shift, 0))
    parameters = (windows.geometry, x_zero, rows, columns, *terms, RULES[rounding], zero_point, low, high, out)
    pool(lambda start, stop: mean_rows(planes, *parameters, start, stop), len(planes))
    return out.reshape(shape)


@compiled
def mean_rows(
    x: Any,
    geometry: Any,
    x_zero: Any,
    rows: Any,
    columns: Any,
    factor: Any,
    divisor: Any,
    rule: Any,
    zero: Any,
    low: Any,
    high: Any,
    out: Any,
    start: Any,
    stop: Any,
) -> None:
    """Planes [start, stop): sums of each column over a window's rows, then over its columns, then their quotients.

    A quotient is sum * factor / (count * divisor).
    """
    kernel, strides, dilations, begins = geometry
    column_sums = np.empty(x.shape[2], np.int64)
    sums = np.empty(out.shape[2], np.int64)
    for row in range(start, stop):
        for i in range(out.shape[1]):
            column_sums[:] = 0
            for k in range(kernel[0]):
                y = i * strides[0] + k * dilations[0] - begins[0]
                if 0 <= y < x.shape[1]:
                    line = x[row, y]
                    for j in range(column_sums.shape[0]):
                        column_sums[j] += np.int64(line[j]) - x_zero
            sums[:] = 0
            for k in range(kernel[1]):
                left = k * dilations[1] - begins[1]
                first = max(0, -(left // strides[1]))
                end = min(sums.shape[0], (column_sums.shape[0] - 1 - left) // strides[1] + 1)
                for j in range(first, end):
                    sums[j] += column_sums[left + j * strides[1]]
            for j in range(sums.shape[0]):
                mean = divide(sums[j] * factor, rows[i] * columns[j] * divisor, rule)
                out[row, i, j] = clamp(mean + zero, low, high)
