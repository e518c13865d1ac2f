"""The mean of each window in float32, as ONNX Runtime's QLinearAveragePool does it."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel as compiled
from intsim.kernels.layout import Array
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.saturate import code_dtype, float_limits, round_saturate
from intsim.kernels.windows import planes_and_windows


def average_pool_float32(
    x: Array,
    *,
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    pads: tuple[int, ...],
    dilations: tuple[int, ...],
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    x_scale: Any,
    x_zero: int = 0,
    scale: Any,
    zero_point: int = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
    pool: Sharing = run_all,
) -> Array:
    """The codes [N, C, (H,) W], integers of the smallest dtype of `bits` bits.

    saturate(half_even(mean / scale + zero_point)), mean = (sum of x_scale * float32(x - x_zero)) / count; every
    operation rounded to float32, the sum from left to right, row by row. count: the window's elements in the image,
    with count_include_pad always the kernel's, even where the window reaches beyond the padding.
    x: integer codes [N, C, (H,) W]. pads: begins, then ends. x_scale, scale: float32.
    Raises ValueError where no window fits, or one has nothing of the image, or for more than 24 bits.
    Source: ONNX Runtime, contrib_ops/cpu/quantization/qlinear_pool.cc.
    """
    planes, windows, shape = planes_and_windows(x, kernel, strides, pads, dilations, ceil_mode)
    if count_include_pad:
        rows, columns = (np.full(windows.output[d], windows.kernel[d]) for d in (0, 1))
    else:
        rows, columns = windows.counts(False)
    low, high = (limit[0] for limit in float_limits(bits, signed, narrow)[:2])
    out = np.empty((len(planes), *windows.output), code_dtype(bits, signed))
    scales = (np.float32(x_scale), np.float32(scale))
    parameters = (windows.geometry, *scales, x_zero, rows, columns, np.float32(zero_point), low, high, out)
    pool(lambda start, stop: _rows(planes, *parameters, start, stop), len(planes))
    return out.reshape(shape)


@compiled
def _rows(
    x: Any,
    geometry: Any,
    x_scale: Any,
    scale: Any,
    x_zero: Any,
    rows: Any,
    columns: Any,
    zero: Any,
    low: Any,
    high: Any,
    out: Any,
    start: Any,
    stop: Any,
) -> None:
    """Planes [start, stop): a line of windows at a time; each window's sum still runs row by row."""
    kernel, strides, dilations, begins = geometry
    sums = np.empty(out.shape[2], np.float32)
    for row in range(start, stop):
        for i in range(out.shape[1]):
            sums[:] = 0
            for k in range(kernel[0]):
                y = i * strides[0] + k * dilations[0] - begins[0]
                if y < 0 or y >= x.shape[1]:
                    continue
                for m in range(kernel[1]):
                    left = m * dilations[1] - begins[1]
                    first = max(0, -(left // strides[1]))
                    end = min(sums.shape[0], (x.shape[2] - 1 - left) // strides[1] + 1)
                    for j in range(first, end):
                        sums[j] += x_scale * np.float32(np.int64(x[row, y, left + j * strides[1]]) - x_zero)
            for j in range(sums.shape[0]):
                mean = sums[j] / np.float32(rows[i] * columns[j])
                out[row, i, j] = round_saturate(mean / scale + zero, low, high)
