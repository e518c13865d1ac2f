"""CMSIS-NN's requantizer with single rounding: accumulator to output code."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from intsim.spec import checks
from intsim.spec.integers import Integers, add, as_integers, multiply
from intsim.spec.rounding import shift_right
from intsim.spec.saturate import saturate


def requantize_cmsis_nn_single(
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
    """Output codes: clip(half_up(floor(acc * multiplier / 2**(30 - shift)) / 2) + zero_point).

    shift counts to the LEFT. acc: int32[N, C, ...]. multiplier: int32; shift: -31 to 30; zero_point: each int, [C]
    along `axis`, or an array that broadcasts. bits (1 to 32), signed, narrow: the output format. Returns i64 of acc's
    shape. Raises OutOfDomain, also where the rounded product is no int32, which the source returns.
    Source: ARM-software/CMSIS-NN, Include/arm_nnsupportfunctions.h, arm_nn_requantize with
    CMSIS_NN_USE_SINGLE_ROUNDING.
    """
    acc = as_integers(acc, "acc")
    low, high = checks.requantized_range(bits, signed, narrow)
    checks.within(acc, *checks.INT32, "acc")
    factor = checks.channelwise(multiplier, axis, acc.shape, *checks.INT32, "multiplier")
    amount = checks.channelwise(shift, axis, acc.shape, -31, 30, "shift")
    zero = checks.channelwise(zero_point, axis, acc.shape, low, high, "zero_point")
    doubled = shift_right(multiply(acc, factor), np.asarray(30 - amount), "floor")
    scaled = shift_right(doubled, 1, "half_up")
    checks.within(scaled, *checks.INT32, "the rounded product")
    return saturate(add(scaled, zero), bits, signed, narrow)
