"""TFLite's requantizer of 64-bit accumulators (16-bit activations, 8-bit weights): accumulator to output code."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from intsim.spec import checks
from intsim.spec.integers import Integers, add, as_integers, multiply, result
from intsim.spec.rounding import shift_right
from intsim.spec.saturate import saturate


def requantize_tflite_int64(
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
    """Output codes: clip(half_up(acc * reduced(multiplier) / 2**(15 - shift)) + zero_point); shift counts to the LEFT.

    reduced(m) = min(half_up(m / 2**16), 2**15 - 1).
    acc: int48[N, C, ...]. multiplier: 0 to 2**31 - 1; shift: -31 to 7; zero_point: each int, [C] along `axis`, or an
    array that broadcasts. bits (1 to 32), signed, narrow: the output format. Returns i64 of acc's shape.
    Raises OutOfDomain, also where the rounded product is no int32. Source: tensorflow/tflite-micro,
    tensorflow/lite/kernels/internal/common.cc, MultiplyByQuantizedMultiplier(int64_t x, ...), the same with and without
    TFLITE_SINGLE_ROUNDING; ARM-software/CMSIS-NN, arm_nn_requantize_s64 and REDUCE_MULTIPLIER.
    """
    acc = as_integers(acc, "acc")
    low, high = checks.requantized_range(bits, signed, narrow)
    checks.within(acc, *checks.INT48, "acc")
    factor = checks.channelwise(multiplier, axis, acc.shape, 0, checks.INT32[1], "multiplier")
    amount = checks.channelwise(shift, axis, acc.shape, -31, 7, "shift")
    zero = checks.channelwise(zero_point, axis, acc.shape, low, high, "zero_point")
    reduced = result(np.minimum(shift_right(factor, 16, "half_up"), 2**15 - 1))
    scaled = shift_right(multiply(acc, reduced), np.asarray(15 - amount), "half_up")
    checks.within(scaled, *checks.INT32, "the rounded product")
    return saturate(add(scaled, zero), bits, signed, narrow)
