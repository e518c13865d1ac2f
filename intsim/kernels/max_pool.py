"""The largest code of each window."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel as compiled
from intsim.kernels.layout import Array
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.windows import planes_and_windows


def max_pool(
    x: Array,
    *,
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    pads: tuple[int, ...],
    dilations: tuple[int, ...],
    ceil_mode: bool = False,
    pool: Sharing = run_all,
) -> Array:
    """The largest element of each window, [N, C, (H,) W] of x's dtype; padding never wins.

    x: codes (or float32) [N, C, (H,) W]. pads: begins, then ends. Raises ValueError where no window
    fits, or one has nothing of the image.
    """
    planes, windows, shape = planes_and_windows(x, kernel, strides, pads, dilations, ceil_mode)
    out = np.empty((len(planes), *windows.output), x.dtype)
    lowest = x.dtype.type(-np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min)
    geometry = windows.geometry
    pool(lambda start, stop: _rows(planes, geometry, lowest, out, start, stop), len(planes))
    return out.reshape(shape)


@compiled
def _rows(x: Any, geometry: Any, lowest: Any, out: Any, start: Any, stop: Any) -> None:
    """Planes [start, stop): the largest of each column over a window's rows, then over its columns."""
    kernel, strides, dilations, begins = geometry
    columns = np.empty(x.shape[2], x.dtype)
    for row in range(start, stop):
        for i in range(out.shape[1]):
            columns[:] = lowest
            for k in range(kernel[0]):
                y = i * strides[0] + k * dilations[0] - begins[0]
                if 0 <= y < x.shape[1]:
                    line = x[row, y]
                    for j in range(columns.shape[0]):
                        columns[j] = max(columns[j], line[j])
            result = out[row, i]
            result[:] = lowest
            for k in range(kernel[1]):
                left = k * dilations[1] - begins[1]
                first = max(0, -(left // strides[1]))
                end = min(result.shape[0], (columns.shape[0] - 1 - left) // strides[1] + 1)
                for j in range(first, end):
                    result[j] = max(result[j], columns[left + j * strides[1]])
