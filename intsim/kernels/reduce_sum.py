"""The sum over axes."""

from __future__ import annotations

from math import prod

import numpy as np

from intsim.kernels.layout import Array
from intsim.kernels.mac import extremes
from intsim.kernels.multiplied import INT32, within
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.reduce_mean import sums_over


def reduce_sum(x: Array, *, axes: tuple[int, ...], keepdims: bool, x_zero: int = 0, pool: Sharing = run_all) -> Array:
    """The sums of x - x_zero, int32; the axes are left out, or of length 1 with keepdims.

    x: integer codes. Raises ValueError for a sum beyond int32, and where int64 might not hold one.
    """
    if max(map(abs, extremes(x, x_zero))) * prod(x.shape[a] for a in axes) >= 1 << 62:
        raise ValueError("sums of these codes may leave int64: use the spec")
    sums, shape = sums_over(x, axes, keepdims, x_zero, pool)
    return within(sums.reshape(shape), *INT32, "the sum").astype(np.int32)
