"""The mean over axes with a float32 requantizer, as ONNX Runtime's QLinearGlobalAveragePool does it."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from intsim.kernels.layout import Array
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.reduce_mean import sums_over
from intsim.kernels.requantize_float32 import requantize_float32


def reduce_mean_float32(
    x: Array,
    *,
    axes: tuple[int, ...],
    keepdims: bool,
    x_scale: Any,
    x_zero: int = 0,
    scale: Any,
    zero_point: int = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
    pool: Sharing = run_all,
) -> Array:
    """The codes, integers of the smallest dtype of `bits` bits; the axes are left out, or of length 1 with keepdims.

    half_even(clamp(float32(sum) * m, low - zero_point, high - zero_point)) + zero_point, in float32, with
    m = x_scale / (scale * float32(n)) and sum = sum(x - x_zero) over the n elements of one mean, wrapped to int32.
    x: integer codes. x_scale, scale: float32. Raises ValueError for more than 24 bits.
    Source: MlasQLinearGlobalAveragePool in ONNX Runtime, mlas/lib/qlgavgpool.cpp.
    """
    sums, shape = sums_over(x, axes, keepdims, x_zero, pool)
    count = np.float32(prod(x.shape[a] for a in axes))
    multiplier = np.float32(x_scale) / (np.float32(scale) * count)
    return requantize_float32(
        sums.astype(np.int32).reshape(shape),
        multiplier=multiplier,
        zero_point=zero_point,
        bits=bits,
        signed=signed,
        narrow=narrow,
        pool=pool,
    )
