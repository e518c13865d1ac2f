"""TOSA's RESCALE: accumulator (or code) to output code."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from intsim.errors import OutOfDomain
from intsim.spec import checks
from intsim.spec.integers import Integers, add, as_integers, multiply, result, shift_left, subtract
from intsim.spec.rounding import shift_right
from intsim.spec.saturate import saturate


def requantize_tosa(
    acc: npt.ArrayLike,
    *,
    multiplier: npt.ArrayLike,
    shift: npt.ArrayLike,
    double_rounding: bool = False,
    multiplier_bits: int = 32,
    input_zero_point: int = 0,
    zero_point: npt.ArrayLike = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
    axis: int = 1,
) -> Integers:
    """Output codes: clip(((v * multiplier + r) >> shift) + zero_point) with v = acc - input_zero_point.

    r = 2**(shift - 1), which is half_up; with double_rounding and shift > 31 also + 2**30 where v >= 0, - 2**30 where
    v < 0. shift counts to the RIGHT: 2 to 62.
    multiplier_bits 32 (apply_scale_32): v and the multiplier int32, multiplier >= 0, -2**(shift - 1) <= v <
    2**(shift - 1). multiplier_bits 16 (apply_scale_16): v int48, 0 <= multiplier < 2**15, no double_rounding, and the
    shifted product an int32. The sum with the zero point is an int32 too. These are the REQUIREs of the standard: data
    that break one raise OutOfDomain, with value and coordinate; nothing saturates but the last clip.
    acc: i64[N, C, ...]; multiplier, shift, zero_point: each int, [C] along `axis` (TOSA's channels are the last axis),
    or an array that broadcasts; bits (1 to 32), signed, narrow: the output format. Returns i64 of acc's shape.
    Source: arm/tosa-specification, pseudocode/library/scale_helpers.tosac, operators/RESCALE.tosac, and apply_add_s of
    library/arithmetic_helpers.tosac. Which zero points and pairs of types a TOSA graph may have is not checked here.
    """
    acc = as_integers(acc, "acc")
    low, high = checks.requantized_range(bits, signed, narrow)
    double_rounding = checks.flag(double_rounding, "double_rounding")
    if multiplier_bits not in (16, 32):
        raise OutOfDomain(f"multiplier_bits must be 16 or 32, not {multiplier_bits!r}")
    if double_rounding and multiplier_bits == 16:
        raise OutOfDomain("double_rounding must be False with multiplier_bits 16")
    v = subtract(acc, result(checks.integer(input_zero_point, *checks.INT32, "input_zero_point")))
    factor = checks.channelwise(multiplier, axis, acc.shape, 0, 2 ** (multiplier_bits - 1) - 1, "multiplier")
    amount = checks.channelwise(shift, axis, acc.shape, 2, 62, "shift")
    zero = checks.channelwise(zero_point, axis, acc.shape, low, high, "zero_point")
    checks.within(v, *(checks.INT32 if multiplier_bits == 32 else checks.INT48), "acc - input_zero_point")
    if multiplier_bits == 32:
        half = shift_left(result(1), amount - 1)
        checks.within(v, -half, half - 1, "acc - input_zero_point")
    nudge = result(np.where(double_rounding & (amount > 31), np.where(v >= 0, 2**30, -(2**30)), 0))
    scaled = shift_right(add(multiply(v, factor), nudge), amount, "half_up")
    checks.within(scaled, *checks.INT32, "the shifted product")
    total = add(scaled, zero)
    checks.within(total, *checks.INT32, "the sum with zero_point")
    return saturate(total, bits, signed, narrow)
