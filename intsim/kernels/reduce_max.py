"""The largest element over axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.reduce_mean import rows_over


def reduce_max(x: Array, *, axes: tuple[int, ...], keepdims: bool, pool: Sharing = run_all) -> Array:
    """The largest elements, of x's dtype; the axes are left out, or of length 1 with keepdims.

    x: codes (or float32). Of equal elements the first one, NaN above all. Raises ValueError for one of no elements.
    """
    if 0 in (x.shape[axis] for axis in axes):
        raise ValueError(f"axes must have elements, not shape {x.shape} over {axes}")
    rows, shape = rows_over(x, axes, keepdims)
    out = np.empty(len(rows), x.dtype)
    pool(lambda start, stop: _largest(rows, out, start, stop), len(rows))
    return out.reshape(shape)


@kernel
def _largest(x: Any, out: Any, start: Any, stop: Any) -> None:
    for row in range(start, stop):
        largest = x[row, 0]
        for i in range(1, x.shape[1]):
            v = x[row, i]
            if v > largest or (v != v and largest == largest):
                largest = v
        out[row] = largest
