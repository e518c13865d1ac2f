"""TFLite's requantizer with double rounding: accumulator to output code."""

from __future__ import annotations

import numpy.typing as npt

from intsim.spec import checks, gemmlowp
from intsim.spec.integers import Integers, add, as_integers
from intsim.spec.saturate import saturate


def requantize_tflite(
    acc: npt.ArrayLike,
    *,
    multiplier: npt.ArrayLike,
    shift: npt.ArrayLike,
    zero_point: npt.ArrayLike = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
    axis: int = 1,
) -> Integers:
    """Output codes: clip(half_away(half_up((acc << max(shift, 0)) * multiplier / 2**31) / 2**max(-shift, 0)) + zero).

    shift counts to the LEFT: the factor is multiplier * 2**(shift - 31).
    acc: int32[N, C, ...]. multiplier: int32; shift: -31 to 30; zero_point: each int, [C] along `axis`, or an array that
    broadcasts. bits (1 to 32), signed, narrow: the output format. The left shift wraps at 32 bits, as compiled code
    does (in C it is undefined there); the sum with the zero point is exact. Returns i64 of acc's shape.
    Raises OutOfDomain. Source: tensorflow/tflite-micro, tensorflow/lite/kernels/internal/common.cc,
    MultiplyByQuantizedMultiplier(int32_t x, ...) without TFLITE_SINGLE_ROUNDING; LiteRT's reference kernels.
    """
    acc = as_integers(acc, "acc")
    low, high = checks.requantized_range(bits, signed, narrow)
    factor = checks.channelwise(multiplier, axis, acc.shape, *checks.INT32, "multiplier")
    amount = checks.channelwise(shift, axis, acc.shape, -gemmlowp.RIGHT, gemmlowp.LEFT, "shift")
    zero = checks.channelwise(zero_point, axis, acc.shape, low, high, "zero_point")
    return saturate(add(gemmlowp.double_rounding(acc, factor, amount), zero), bits, signed, narrow)
