"""Multiplication of codes, with one rounding."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array, flat_pair, share_elements
from intsim.kernels.mac import extremes
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.requantize import requantize
from intsim.kernels.saturate import INT64_HIGH


def mul(
    a: Array,
    b: Array,
    *,
    a_zero: int = 0,
    b_zero: int = 0,
    shift: int,
    rounding: str,
    zero_point: int = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
    pool: Sharing = run_all,
) -> Array:
    """The codes, integers of the smallest dtype of `bits` bits, in the shape that a and b broadcast to.

    clip(round((a - a_zero) * (b - b_zero) / 2**shift) + zero_point)
    a, b: integer codes. Raises ValueError where int64 does not hold the product.
    """
    largest = max(map(abs, extremes(a, a_zero))) * max(map(abs, extremes(b, b_zero)))
    if largest > INT64_HIGH:
        raise ValueError("a product of these codes may leave int64: use the spec")
    flat_a, flat_b, shape = flat_pair(a, b)
    product = np.empty(flat_a.shape, np.int32 if largest < 1 << 31 else np.int64)
    share_elements(
        pool,
        lambda start, stop: _elements(flat_a, flat_b, a_zero, b_zero, product, start, stop),
        product.size,
    )
    return requantize(
        product.reshape(shape),
        shift=shift,
        rounding=rounding,
        zero_point=zero_point,
        bits=bits,
        signed=signed,
        narrow=narrow,
        pool=pool,
    )


@kernel
def _elements(a: Any, b: Any, a_zero: Any, b_zero: Any, out: Any, start: Any, stop: Any) -> None:
    a, b, out = a[start:stop], b[start:stop], out[start:stop]
    for i in range(out.shape[0]):
        out[i] = (np.int64(a[i]) - a_zero) * (np.int64(b[i]) - b_zero)
