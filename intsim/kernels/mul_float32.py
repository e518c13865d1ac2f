"""Multiplication of codes with a float32 requantizer, as ONNX Runtime's QLinearMul does it."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array, flat_pair, share_elements
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.saturate import code_dtype, float_limits, round_saturate


def mul_float32(
    a: Array,
    b: Array,
    *,
    ratio: Any,
    a_zero: int = 0,
    b_zero: int = 0,
    zero_point: int = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
    pool: Sharing = run_all,
) -> Array:
    """The codes, integers of the smallest dtype of `bits` bits, in the shape that a and b broadcast to.

    saturate(half_even(float32((a - a_zero) * (b - b_zero)) * ratio + zero_point)), product and sum rounded to float32
    one after the other; the zero point is added before the rounding to an integer.
    a, b: integer codes of up to 16 bits. ratio: float32, a_scale * b_scale / scale.
    Raises ValueError for more than 24 bits, whose codes float32 does not hold.
    Source: MlasQLinearMul in ONNX Runtime, mlas/lib/qlmul.cpp.
    """
    factor, zero = np.float32(ratio), np.float32(zero_point)
    low, high = (limit[0] for limit in float_limits(bits, signed, narrow)[:2])
    flat_a, flat_b, shape = flat_pair(a, b)
    out = np.empty(flat_a.shape, code_dtype(bits, signed))
    share_elements(
        pool,
        lambda start, stop: _elements(flat_a, flat_b, a_zero, b_zero, factor, zero, low, high, out, start, stop),
        out.size,
    )
    return out.reshape(shape)


@kernel
def _elements(
    a: Any,
    b: Any,
    a_zero: Any,
    b_zero: Any,
    factor: Any,
    zero: Any,
    low: Any,
    high: Any,
    out: Any,
    start: Any,
    stop: Any,
) -> None:
    a, b, out = a[start:stop], b[start:stop], out[start:stop]
    for i in range(out.shape[0]):
        product = (np.int64(a[i]) - a_zero) * (np.int64(b[i]) - b_zero)
        scaled = np.float32(product) * factor
        out[i] = round_saturate(scaled + zero, low, high)
