"""Subtraction of codes of different exponents, aligned to the left, with one rounding."""

from __future__ import annotations

from intsim.kernels.add import aligned_sum
from intsim.kernels.layout import Array
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.requantize import requantize


def sub(
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

    clip(round((((a - a_zero) << a_shift) - ((b - b_zero) << b_shift)) / 2**shift) + zero_point)
    a, b: integer codes. a_shift, b_shift >= 0. Raises ValueError where int64 does not hold the aligned difference.
    """
    difference = aligned_sum(a, b, a_shift, b_shift, a_zero, b_zero, -1, pool)
    return requantize(
        difference,
        shift=shift,
        rounding=rounding,
        zero_point=zero_point,
        bits=bits,
        signed=signed,
        narrow=narrow,
        pool=pool,
    )
