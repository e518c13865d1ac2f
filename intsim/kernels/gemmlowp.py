"""The two fixed-point operations of gemmlowp, in int64. Source: google/gemmlowp, fixedpoint/fixedpoint.h."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.saturate import wrap


@kernel
def srdhm(a: Any, b: Any) -> Any:
    """min(half_up(a * b / 2**31), 2**31 - 1) for int64 a and b that hold an int32: at most 2**62 + 2**30 in between."""
    return min((a * b + (1 << 30)) >> 31, (1 << 31) - 1)


@kernel
def rounding_divide_by_pot(x: Any, exponent: Any) -> Any:
    """half_away(x / 2**exponent) for int64 x that holds an int32, and 0 <= exponent <= 31."""
    half = (np.int64(1) << exponent) >> 1
    return (x + half - ((x < 0) & (exponent > 0))) >> exponent


@kernel
def double_rounding(x: Any, multiplier: Any, shift: Any) -> Any:
    """RoundingDivideByPOT(SRDHM(x << max(shift, 0)), max(-shift, 0)), the left shift wrapping at 32 bits."""
    left = wrap(x << max(shift, 0), 32)
    return rounding_divide_by_pot(srdhm(left, multiplier), max(-shift, 0))
