"""Addition of codes of any scales, with one exact quotient."""

from __future__ import annotations

import numpy as np

from intsim.kernels.add import weighted_sum
from intsim.kernels.layout import Array
from intsim.kernels.mac import extremes
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.requantize_quotient import requantize_quotient


def add_quotient(
    a: Array,
    b: Array,
    *,
    a_factor: int,
    b_factor: int,
    a_zero: int = 0,
    b_zero: int = 0,
    divisor: int,
    rounding: str,
    zero_point: int = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
    pool: Sharing = run_all,
) -> Array:
    """The codes, integers of the smallest dtype of `bits` bits, in the shape that a and b broadcast to.

    clip(round(((a - a_zero) * a_factor + (b - b_zero) * b_factor) / divisor) + zero_point), one exact quotient.
    a, b: integer codes. Raises ValueError where int64 does not hold twice the sum or the divisor.
    """
    operands = ((a, a_zero, a_factor), (b, b_zero, b_factor))
    largest = sum(max(map(abs, extremes(x, zero))) * abs(factor) for x, zero, factor in operands)
    if largest >= 1 << 62:
        raise ValueError(f"codes times {a_factor} and {b_factor} may leave int64: use the spec")
    total = weighted_sum(a, b, (a_factor, b_factor), (a_zero, b_zero), np.dtype(np.int64), pool)
    return requantize_quotient(
        total,
        factor=1,
        divisor=divisor,
        rounding=rounding,
        zero_point=zero_point,
        bits=bits,
        signed=signed,
        narrow=narrow,
        pool=pool,
    )
