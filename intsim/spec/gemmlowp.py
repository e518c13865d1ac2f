"""The two fixed-point operations of gemmlowp that TFLite, CMSIS-NN and ruy requantize with.

Source: google/gemmlowp, fixedpoint/fixedpoint.h.
"""

from __future__ import annotations

import numpy as np

from intsim.spec import checks
from intsim.spec.integers import Integers, multiply, result, shift_left
from intsim.spec.rounding import shift_right
from intsim.spec.saturate import saturate, wrap

LEFT, RIGHT = 30, 31
"""The longest shifts: 1 << 31 is no int, and RoundingDivideByPOT asserts an exponent of at most 31."""


def srdhm(a: Integers, b: Integers) -> Integers:
    """min(half_up(a * b / 2**31), 2**31 - 1), for int32 a and b: SaturatingRoundingDoublingHighMul.

    The source adds 2**30 to a product of zero or more and 1 - 2**30 to a negative one, and divides by 2**31 toward
    zero; so a tie goes up. The minimum matters for a = b = -2**31 alone. It is VQRDMULH of ARMv7.
    """
    return saturate(shift_right(multiply(a, b), np.asarray(31), "half_up"), 32, True)


def rounding_divide_by_pot(x: Integers, exponent: Integers) -> Integers:
    """half_away(x / 2**exponent), for int32 x and 0 <= exponent <= 31: RoundingDivideByPOT.

    The source adds one to x >> exponent where the remainder exceeds the half, less half of one unit for x >= 0.
    """
    return shift_right(x, exponent, "half_away")


def double_rounding(x: Integers, multiplier: Integers, shift: Integers) -> Integers:
    """rounding_divide_by_pot(srdhm(wrap(x << max(shift, 0)), multiplier), max(-shift, 0)), int32 to int32.

    A left shift beyond int32 is undefined in C; compiled code keeps the lowest 32 bits, and so does this.
    """
    left, right = result(np.maximum(shift, 0)), result(np.maximum(-shift, 0))
    checks.within(x, *checks.INT32, "acc")
    return rounding_divide_by_pot(srdhm(wrap(shift_left(x, left), 32, True), multiplier), right)
