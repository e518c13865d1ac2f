"""Addition of codes of different exponents, aligned to the left, with one rounding."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array, flat_pair, share_elements
from intsim.kernels.mac import extremes
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.requantize import requantize
from intsim.kernels.saturate import INT64_HIGH


def add(
    a: Array,
    b: Array,
    *,
    a_shift: int,
    b_shift: int,
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

    clip(round((((a - a_zero) << a_shift) + ((b - b_zero) << b_shift)) / 2**shift) + zero_point)
    a, b: integer codes. a_shift, b_shift >= 0. Raises ValueError where int64 does not hold the aligned sum.
    """
    total = aligned_sum(a, b, a_shift, b_shift, a_zero, b_zero, 1, pool)
    return requantize(
        total,
        shift=shift,
        rounding=rounding,
        zero_point=zero_point,
        bits=bits,
        signed=signed,
        narrow=narrow,
        pool=pool,
    )


def aligned_sum(
    a: Array, b: Array, a_shift: int, b_shift: int, a_zero: int, b_zero: int, sign: int, pool: Sharing
) -> Array:
    """((a - a_zero) << a_shift) + sign * ((b - b_zero) << b_shift), i32 where that holds it, else i64."""
    largest = sum(
        max(map(abs, extremes(x, zero))) << shift for x, zero, shift in ((a, a_zero, a_shift), (b, b_zero, b_shift))
    )
    if largest > INT64_HIGH:
        raise ValueError(f"codes shifted left by {a_shift} and {b_shift} bits may leave int64: use the spec")
    dtype = np.dtype(np.int32 if largest < 1 << 31 else np.int64)
    return weighted_sum(a, b, (1 << a_shift, sign << b_shift), (a_zero, b_zero), dtype, pool)


def weighted_sum(
    a: Array, b: Array, factors: tuple[int, int], zeros: tuple[int, int], dtype: np.dtype[Any], pool: Sharing
) -> Array:
    """(a - zeros[0]) * factors[0] + (b - zeros[1]) * factors[1], of a dtype that holds it."""
    flat_a, flat_b, shape = flat_pair(a, b)
    out = np.empty(flat_a.shape, dtype)
    share_elements(
        pool,
        lambda start, stop: _elements(flat_a, flat_b, factors, zeros, out, start, stop),
        out.size,
    )
    return out.reshape(shape)


@kernel
def _elements(a: Any, b: Any, factors: Any, zeros: Any, out: Any, start: Any, stop: Any) -> None:
    a, b, out = a[start:stop], b[start:stop], out[start:stop]
    for i in range(out.shape[0]):
        out[i] = (np.int64(a[i]) - zeros[0]) * factors[0] + (np.int64(b[i]) - zeros[1]) * factors[1]
