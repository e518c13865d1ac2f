"""CMSIS-NN's requantizer in its default build, with double rounding: accumulator to output code."""

from __future__ import annotations

import numpy.typing as npt

from intsim.spec import checks, gemmlowp
from intsim.spec.integers import Integers, add, as_integers
from intsim.spec.saturate import saturate


def requantize_cmsis_nn(
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

    shift counts to the LEFT. acc: int32[N, C, ...]. multiplier: int32 but -2**31; shift: -31 to 30; zero_point: each
    int, [C] along `axis`, or an array that broadcasts. bits (1 to 32), signed, narrow: the output format. The left
    shift wraps at 32 bits, as compiled code does. Returns i64 of acc's shape. Raises OutOfDomain.
    Source: ARM-software/CMSIS-NN, Include/arm_nnsupportfunctions.h, arm_nn_requantize without
    CMSIS_NN_USE_SINGLE_ROUNDING: arm_nn_doubling_high_mult_no_sat, whose range leaves out the one product that would
    saturate, then arm_nn_divide_by_power_of_two. So it is TFLite's for every multiplier that it takes. Its assembly
    (CMSIS_NN_USE_REQUANTIZE_INLINE_ASSEMBLY) computes the same.
    """
    acc = as_integers(acc, "acc")
    low, high = checks.requantized_range(bits, signed, narrow)
    factor = checks.channelwise(multiplier, axis, acc.shape, checks.INT32[0] + 1, checks.INT32[1], "multiplier")
    amount = checks.channelwise(shift, axis, acc.shape, -gemmlowp.RIGHT, gemmlowp.LEFT, "shift")
    zero = checks.channelwise(zero_point, axis, acc.shape, low, high, "zero_point")
    return saturate(add(gemmlowp.double_rounding(acc, factor, amount), zero), bits, signed, narrow)
