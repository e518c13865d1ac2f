"""Addition of codes in float32, as ONNX Runtime's QLinearAdd does it."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.fma import fma
from intsim.kernels.layout import Array, flat_pair, share_elements
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.saturate import code_dtype, float_limits, round_saturate


def add_float32(
    a: Array,
    b: Array,
    *,
    a_ratio: Any,
    b_ratio: Any,
    a_zero: int = 0,
    b_zero: int = 0,
    zero_point: int = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
    pool: Sharing = run_all,
) -> Array:
    """The codes, integers of the smallest dtype of `bits` bits, in the shape that a and b broadcast to.

    saturate(half_even(fma(a, a_ratio, fma(b, b_ratio, k)))), k = zero_point - fma(a_ratio, a_zero, b_ratio * b_zero).
    a, b: integer codes. a_ratio, b_ratio: float32, scale over output scale. Each operation is rounded to float32.
    Raises ValueError for more than 24 bits, whose codes float32 does not hold.
    Source: MlasQLinearAdd in ONNX Runtime, mlas/lib/qladd.cpp (x86-64 with FMA3).
    """
    a_ratio, b_ratio = np.float32(a_ratio), np.float32(b_ratio)
    k = np.float32(zero_point) - fma(a_ratio, np.float32(a_zero), b_ratio * np.float32(b_zero))
    low, high = (limit[0] for limit in float_limits(bits, signed, narrow)[:2])
    flat_a, flat_b, shape = flat_pair(a, b)
    out = np.empty(flat_a.shape, code_dtype(bits, signed))
    share_elements(
        pool,
        lambda start, stop: _elements(flat_a, flat_b, a_ratio, b_ratio, k, low, high, out, start, stop),
        out.size,
    )
    return out.reshape(shape)


@kernel
def _elements(
    a: Any, b: Any, a_ratio: Any, b_ratio: Any, k: Any, low: Any, high: Any, out: Any, start: Any, stop: Any
) -> None:
    a, b, out = a[start:stop], b[start:stop], out[start:stop]
    for i in range(out.shape[0]):
        total = fma(np.float32(a[i]), a_ratio, fma(np.float32(b[i]), b_ratio, k))
        out[i] = round_saturate(total, low, high)
