"""Deeploy's RequantShift for PULP: accumulator to output code."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from intsim.spec import checks
from intsim.spec.integers import Integers, add, as_integers, multiply, result, shift_left
from intsim.spec.rounding import shift_right
from intsim.spec.saturate import saturate, wrap


def requantize_pulp(
    acc: npt.ArrayLike,
    *,
    multiplier: npt.ArrayLike,
    addend: npt.ArrayLike = 0,
    shift: npt.ArrayLike,
    rounding: str = "half_up",
    overflow: str = "wrap",
    input_offset: int = 0,
    zero_point: npt.ArrayLike = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
    axis: int = 1,
) -> Integers:
    """Output codes: clip(((((acc + input_offset) * multiplier + addend) + half) >> shift) + zero_point), all in int32.

    half = 2**(shift - 1) with rounding="half_up" and shift > 0, else 0 (rounding="floor").
    acc: int32[N, C, ...]. multiplier, addend: int32; shift: 0 to 31, counts to the RIGHT; zero_point; each int, [C]
    along `axis`, or an array that broadcasts. input_offset: int32. bits (1 to 32), signed, narrow: the output format.
    The source computes in int32_t, the half included, and leaves undefined what does not fit. overflow="wrap" keeps
    the lowest 32 bits of each intermediate value, as RISC-V's instructions do; "trap" raises.
    Returns i64 of acc's shape. Raises OutOfDomain. Source: pulp-platform/Deeploy,
    TargetLibraries/Generic/src/RequantShift_s8.c, RequantShift_s32_s8_NCHW and its siblings, with `rounding` true for
    half_up and false for floor.
    """
    acc = as_integers(acc, "acc")
    low, high = checks.requantized_range(bits, signed, narrow)
    checks.within(acc, *checks.INT32, "acc")
    checks.one_of(rounding, ("half_up", "floor"), "rounding")
    checks.one_of(overflow, ("wrap", "trap"), "overflow")
    factor = checks.channelwise(multiplier, axis, acc.shape, *checks.INT32, "multiplier")
    plus = checks.channelwise(addend, axis, acc.shape, *checks.INT32, "addend")
    amount = checks.channelwise(shift, axis, acc.shape, 0, 31, "shift")
    zero = checks.channelwise(zero_point, axis, acc.shape, low, high, "zero_point")
    offset = result(checks.integer(input_offset, *checks.INT32, "input_offset"))
    half = np.where((amount > 0) & (rounding == "half_up"), shift_left(result(1), np.maximum(amount - 1, 0)), 0)
    total = _int32(add(acc, offset), overflow, "acc + input_offset")
    total = _int32(multiply(total, factor), overflow, "the product")
    total = _int32(add(total, plus), overflow, "the sum with the addend")
    total = _int32(add(total, result(half)), overflow, "the sum with the half")
    return saturate(add(shift_right(total, amount, "floor"), zero), bits, signed, narrow)


def _int32(values: Integers, overflow: str, name: str) -> Integers:
    if overflow == "trap":
        checks.within(values, *checks.INT32, name)
    return wrap(values, 32, True)
